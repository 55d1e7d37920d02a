/* SPDX-License-Identifier: MIT */
/*
 * Tasks that wait: counted, bounded in time, and handed to the schedule when they are ready; and who is woken for them.
 *
 * A section of the lock notes whom to wake in pool->wakes; the unlock does it, so that nobody wakes up only to wait for
 * the lock. One worker is woken for the shared queue at a time: who takes and leaves something wakes the next. Nobody
 * is, while one searches already (run_thread.c). A task in a worker's own queue wakes that worker.
 *
 * Nor is anybody woken for a few short tasks while a worker runs a hand of such (it is *brief*): it is back for them in
 * some microseconds, sooner than another one is awake, which would then find nothing. Averages can be wrong: the timer
 * looks whether it came back, READY_BRIEF_NS later; if not, what it holds goes back and another one is woken.
 */
#include "os/clock.h"
#include "pool/batch.h"
#include "pool/extras.h"
#include "pool/hand.h"
#include "pool/help.h"
#include "pool/observe.h"
#include "pool/pool.h"

#define READY_BRIEF_NS BRG_MILLISECONDS(1)

/* ---- waking ------------------------------------------------------------------------------------------------------ */

static bool ready_note(brg__wakes *wakes, brg_worker *worker)
{
    if (wakes->count == BRG__WAKE_MAX) {
        wakes->is_over = true;
        return false;
    }
    brg__worker_ref(worker);
    wakes->workers[wakes->count++] = worker;
    return true;
}

static void ready_wake(const brg__wakes *wakes, const brg__wakes *asks)
{
    for (uint32_t i = 0; i < wakes->count; i++) {
        brg__gate_wake(&wakes->workers[i]->gate, BRG__FUTEX_PRIVATE);
        brg__worker_unref(wakes->workers[i]);
    }
    for (uint32_t i = 0; i < asks->count; i++) {
        brg__worker_ask(asks->workers[i]);
        brg__worker_unref(asks->workers[i]);
    }
}

static brg_task *ready_join(brg_task *first, brg_task *more)
{
    brg_task *last = first;
    if (first == NULL)
        return more;
    while (last->next != NULL)
        last = last->next;
    last->next = more;
    return first;
}

void brg__pool_unlock_and_wake(brg_pool *pool)
{
    brg_task *hooked = NULL;
    for (;;) {
        brg__wakes wakes = pool->wakes, asks = pool->asks;
        brg__bunch *left = pool->bunches_left;
        bool tell = !brg__list_is_empty(&pool->ended);
        pool->wakes.count = pool->asks.count = 0;
        pool->wakes.is_over = pool->asks.is_over = false;
        pool->bunches_left = NULL;
        hooked = ready_join(hooked, pool->hooked_first);
        pool->hooked_first = NULL;
        pool->has_chores = false;
        brg__lock_release(&pool->lock);
        ready_wake(&wakes, &asks);
        brg__bunches_let_go(left);
        if (!wakes.is_over && !tell)
            break;
        brg__lock_acquire(&pool->lock);
        if (tell)
            brg__after_tell_locked(pool);
        if (wakes.is_over)
            brg__pool_dispatch_locked(pool);
    }
    if (hooked != NULL) /* last: they may unlock this pool again */
        brg__hooked_run(hooked);
}

void brg__slot_set_brief_locked(brg__slot *slot, bool is_brief)
{
    if (slot->xbrief == is_brief)
        return;
    brg_store_relaxed(&slot->xbrief, (uint32_t)is_brief);
    slot->pool->brief_count += is_brief ? 1u : -1u;
    if (is_brief)
        slot->pool->brief_ns = (uint32_t)slot->run_ewma_ns;
}

void brg__pool_wake_slot_locked(brg_pool *pool, brg__slot *slot)
{
    if (brg__pool_has_processes(pool)) {
        brg__slot_feed_locked(slot);
    } else if (slot->seat.seen.is_idle && slot->worker != NULL && ready_note(&pool->wakes, slot->worker)) {
        brg__slot_set_idle_locked(slot, false);
        brg__slot_set_brief_locked(slot, slot->run_ewma_ns <= BRG__HAND_NS); /* on its way */
    } else if (BRG__UNLIKELY(slot->xparked != 0) && slot->worker != NULL && slot->seat.pinned_count != 0) {
        brg__gate_wake(&slot->worker->gate, BRG__FUTEX_PRIVATE); /* it sleeps and is in no list */
    }
}

void brg__pool_ask_locked(brg_pool *pool, brg__slot *slot)
{
    slot->ending = ready_note(&pool->asks, slot->worker);
    if (slot->ending)
        brg__see_worker_asked_locked(pool, slot, BRG_OK, 0);
    if (!slot->ending)
        brg__pool_timer_at(pool, 0); /* the next look comes back to it: recycle.c */
}

static void ready_rely_locked(brg_pool *pool)
{
    if (pool->is_relied_on)
        return;
    pool->is_relied_on = true;
    brg__pool_timer_at(pool, brg__now() + READY_BRIEF_NS);
}

/* Whoever is not back: also one that counts no more, since its hand is from when somebody relied on it. */
void brg__pool_check_brief_locked(brg_pool *pool)
{
    if (!pool->is_relied_on)
        return;
    uint64_t now = brg__now_real();
    bool any_young = false;
    pool->is_relied_on = false;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        brg__slot *slot = pool->slots[i];
        uint64_t hand = brg_load_acquire(&slot->xhand);
        bool is_empty = brg__hand_next(hand) == brg__hand_end(hand);
        if (brg_load_relaxed(&slot->xhand_at) + READY_BRIEF_NS / 2 >= now) {
            any_young = any_young || !is_empty;
            continue;
        }
        if (slot->xbrief != 0) /* behind what turned out to be long */
            brg__hand_reclaim_locked(slot);
        else
            brg__hand_reclaim_rest_locked(slot);
        brg__slot_set_brief_locked(slot, false);
    }
    if (any_young && !brg__list_is_empty(&pool->schedule.idle)) /* nothing may be queued now: still look again */
        ready_rely_locked(pool);
}

/* Whether brief workers will run what waits before another one could. */
static bool ready_is_brief_locked(brg_pool *pool)
{
    const brg__schedule *schedule = &pool->schedule;
    if (pool->brief_count == 0 || (uint64_t)schedule->xready * pool->brief_ns > BRG__HAND_NS ||
        schedule->xready != schedule->xshared || schedule->xlane_count != 1 || pool->strands_waiting != 0)
        return false;
    ready_rely_locked(pool);
    return true;
}

/* A process worker that was idle is so no more and took nothing: its ring has no room, it parks, or it is replaced. A
 * thread that does so sees to the next itself. */
static bool ready_is_refused(const brg__slot *slot)
{
    return slot->ahead_count == 0 && brg__pool_has_processes(slot->pool) && !slot->seat.seen.is_idle;
}

/* Something in the shared queue, or to be stolen. */
void brg__pool_wake_next_locked(brg_pool *pool)
{
    if (brg__list_is_empty(&pool->schedule.idle)) {
        if (BRG__UNLIKELY(pool->may_hint))
            brg__pool_hint_locked(pool);
        return;
    }
    if (!brg__pool_has_processes(pool) &&
        (brg_load_relaxed(&pool->team.xsearching) != 0 || ready_is_brief_locked(pool)))
        return;
    brg__slot *slot = brg__slot_of(brg__schedule_idle_for(&pool->schedule));
    while (slot != NULL) {
        brg__pool_wake_slot_locked(pool, slot);
        if (BRG__LIKELY(!ready_is_refused(slot)))
            return;
        slot = brg__slot_of(brg__schedule_idle_for(&pool->schedule));
    }
    if (BRG__UNLIKELY(pool->may_hint && pool->schedule.xlane_count > 1) &&
        brg__schedule_misses(&pool->schedule, UINT64_MAX, NULL))
        brg__pool_hint_locked(pool); /* those that are idle have other tags */
}

static void ready_wake_for_locked(brg_pool *pool, brg__slot *slot)
{
    if (slot == NULL) {
        brg__pool_wake_next_locked(pool);
        return;
    }
    bool was_idle = slot->seat.seen.is_idle;
    brg__pool_wake_slot_locked(pool, slot);
    if (was_idle && !ready_is_refused(slot))
        return;
    if (pool->schedule.steals && slot->seat.count != 0)
        brg__pool_wake_next_locked(pool);
    else if (BRG__UNLIKELY(pool->may_hint) && brg__list_is_empty(&pool->schedule.idle))
        brg__pool_hint_locked(pool);
}

void brg__pool_dispatch_locked(brg_pool *pool)
{
    brg__schedule *schedule = &pool->schedule;
    if (schedule->xready == 0)
        return;
    for (uint32_t i = 0; schedule->xready != schedule->xshared && i < pool->slot_count; i++) { /* no list: it changes */
        brg__slot *slot = pool->slots[i];
        if (slot->seat.xready != 0 && slot->seat.seen.is_idle)
            brg__pool_wake_slot_locked(pool, slot);
    }
    uint32_t before;
    do {
        before = schedule->xready;
        if (before != 0)
            brg__pool_wake_next_locked(pool);
    } while (schedule->xready < before && !brg__list_is_empty(&schedule->idle)); /* processes were fed */
}

/* ---- counts ------------------------------------------------------------------------------------------------------ */

/* When the waiting task's time is over: queue timeout or deadline, whichever is first. */
static void ready_watch_expiry_locked(brg_pool *pool, brg_task *task)
{
    uint64_t at = task->attempts == 0 ? brg__min(task->start_by_ns, task->deadline_ns) : task->deadline_ns;
    if (at == UINT64_MAX)
        return;
    brg__heap_insert(&pool->expiries, &task->expiry, at);
    task->expiry_if_linked = &task->expiry;
    brg__pool_timer_at(pool, at);
}

/* They wait, as far as scaling is concerned; nobody else is told. */
static void ready_count_strand_locked(brg_pool *pool, int by)
{
    pool->waiting += (uint64_t)by;
    pool->hooked_waiting += (uint64_t)by;
    pool->strands_waiting += (uint64_t)by;
}

void brg__pool_count_locked(brg_pool *pool, brg_task *task)
{
    task->expiry_if_linked = NULL;
    if (BRG__UNLIKELY(brg__task_is(task, BRG__TASK_INTERNAL | BRG__TASK_CARRIER))) {
        if (brg__task_is_strand(task))
            ready_count_strand_locked(pool, 1);
        return;
    }
    pool->waiting++;
    pool->waiting_bytes += task->input_bytes;
    if (brg__task_is(task, BRG__TASK_HOOKED)) {
        pool->hooked_waiting++;
        pool->hooked_bytes += task->input_bytes;
    }
    brg__pool_peak_locked(pool);
    if (BRG__UNLIKELY(brg__pool_waiting_locked(pool) >= pool->options.queue_high))
        brg__pool_level_locked(pool);
    if (brg__task_is(task, BRG__TASK_CLOCK))
        ready_watch_expiry_locked(pool, task);
    if (BRG__UNLIKELY(pool->options.admission >= BRG_ADMISSION_DROP_OLDEST) && !brg__task_is(task, BRG__TASK_HOOKED))
        brg__age_add_locked(pool, task);
}

void brg__pool_uncount_locked(brg_pool *pool, brg_task *task)
{
    if (BRG__UNLIKELY(brg__task_is(task, BRG__TASK_INTERNAL | BRG__TASK_CARRIER))) {
        if (brg__task_is_strand(task))
            ready_count_strand_locked(pool, -1);
        return;
    }
    pool->waiting--;
    pool->waiting_bytes -= task->input_bytes;
    if (brg__task_is(task, BRG__TASK_HOOKED)) {
        pool->hooked_waiting--;
        pool->hooked_bytes -= task->input_bytes;
    }
    if (task->expiry_if_linked != NULL) {
        brg__heap_remove(&pool->expiries, &task->expiry);
        task->expiry_if_linked = NULL;
    }
    if (BRG__UNLIKELY(pool->options.admission >= BRG_ADMISSION_DROP_OLDEST) && !brg__task_is(task, BRG__TASK_HOOKED))
        brg__age_remove_locked(pool, task);
}

/* ---- in and out -------------------------------------------------------------------------------------------------- */

static uint32_t ready_from(const brg_pool *pool)
{
    if (!pool->schedule.steals)
        return BRG_SEAT_ANY;
    const brg__slot *own = brg__pool_own_slot(pool);
    return own == NULL ? BRG_SEAT_ANY : own->index;
}

/* A worker whose task submits others is not through with it yet, and nobody knows when. */
static void ready_unbrief_own_locked(brg_pool *pool)
{
    brg__slot *own = brg__pool_own_slot(pool);
    if (own != NULL)
        brg__slot_set_brief_locked(own, false);
}

/* It was pinned, and waited for another attempt. */
static void ready_pin_again_locked(brg_pool *pool, brg_task *task)
{
    brg__slot *slot = pool->slots[task->item.reserved_2];
    brg__see_task_queued_locked(pool, task, slot, BRG_OK, 0);
    brg_store_relaxed(&task->place, (uint8_t)BRG__PLACE_QUEUE);
    brg__schedule_pin(&pool->schedule, &slot->seat, &task->item);
    brg__pool_wake_slot_locked(pool, slot);
    if (slot->worker == NULL)
        brg__pool_timer_at(pool, 0); /* whether one comes: workers.c */
}

void brg__task_schedule_locked(brg_pool *pool, brg_task *task)
{
    uint64_t now = 0;
    if (BRG__UNLIKELY(task->item.reserved_1 == BRG__LANE_PINNED)) {
        ready_pin_again_locked(pool, task);
        return;
    }
    if (brg__pool_wants_time(pool)) {
        now = brg__now();
        if (task->item.since_ns == 0)
            task->item.since_ns = now;
    }
    brg__see_task_queued_locked(pool, task, NULL, BRG_OK, 0);
    brg_store_relaxed(&task->place, (uint8_t)BRG__PLACE_QUEUE);
    brg__seat *seat = brg__schedule_put(&pool->schedule, &task->item, task->item.reserved_1, ready_from(pool), now);
    if (pool->brief_count != 0)
        ready_unbrief_own_locked(pool);
    ready_wake_for_locked(pool, brg__slot_of(seat));
}

void brg__task_ready_locked(brg_pool *pool, brg_task *task)
{
    if (BRG__UNLIKELY(brg__task_is(task, BRG__TASK_BATCHED)))
        brg__batch_add_locked(pool, task);
    else
        brg__task_schedule_locked(pool, task);
}

void brg__task_put_back_locked(brg_pool *pool, brg_task *task)
{
    brg_store_relaxed(&task->place, (uint8_t)BRG__PLACE_QUEUE);
    task->slot = NULL;
    if (BRG__UNLIKELY(brg__task_is(task, BRG__TASK_CARRIER)))
        brg__batch_put_back_locked(pool, task);
    brg__see_task_put_back_locked(pool, task, NULL, BRG_OK, 0);
    brg__pool_count_locked(pool, task);
    brg__schedule_put_back(&pool->schedule, &task->item);
}

void brg__task_pin_locked(brg_pool *pool, brg_task *task, brg__slot *slot)
{
    brg__see_task_queued_locked(pool, task, slot, BRG_OK, 0);
    brg__pool_count_locked(pool, task);
    brg_store_relaxed(&task->place, (uint8_t)BRG__PLACE_QUEUE);
    brg__schedule_pin(&pool->schedule, &slot->seat, &task->item);
    brg__pool_wake_slot_locked(pool, slot);
}

/* It is not online yet, and gets only what it must run before. */
static bool ready_is_warm(const brg__slot *slot)
{
    return slot->warming == 0 ||
           (slot->seat.pinned_count != 0 &&
            brg__task_is(brg__task_of(brg__node_item(slot->seat.pinned.head.next)), BRG__TASK_INTERNAL));
}

brg_task *brg__task_take_locked(brg_pool *pool, brg__slot *slot)
{
    if (BRG__UNLIKELY(!ready_is_warm(slot) || (slot->xparked != 0 && slot->seat.pinned_count == 0)))
        return NULL;
    uint64_t now = brg__pool_wants_time(pool) ? brg__now() : 0;
    brg_task *task;
    do {
        task = brg__task_of(brg__schedule_take(&pool->schedule, &slot->seat, now));
        if (task == NULL)
            return NULL;
        brg__pool_uncount_locked(pool, task);
    } while (BRG__UNLIKELY(brg__task_is(task, BRG__TASK_EXTRAS)) && brg__extras_refuse_locked(task));
    if (BRG__UNLIKELY(brg__task_is(task, BRG__TASK_CARRIER)))
        brg__batch_taken_locked(pool, task);
    brg__see_task_taken_locked(pool, task, slot, BRG_OK, 0);
    return task;
}

void brg__task_unwait_locked(brg_pool *pool, brg_task *task)
{
    switch ((brg__task_place)brg_load_relaxed(&task->place)) {
    case BRG__PLACE_QUEUE:
        brg__schedule_remove(&pool->schedule, &task->item);
        break;
    case BRG__PLACE_BATCH:
        brg__batch_remove_locked(pool, task);
        break;
    case BRG__PLACE_DELAYED:
        brg__heap_remove(&pool->delayed, brg__item_heap(&task->item));
        break;
    default: /* BRG__PLACE_BLOCKED: it leaves those it waits for when it settles */
        brg__list_remove(brg__item_node(&task->item));
    }
    brg__pool_uncount_locked(pool, task);
}

brg_task *brg__task_leave_any_locked(brg_pool *pool)
{
    brg_task *task = brg__task_of(brg__schedule_take_any(&pool->schedule));
    if (task != NULL) {
        brg__pool_uncount_locked(pool, task);
        if (brg__task_is(task, BRG__TASK_CARRIER))
            brg__batch_taken_locked(pool, task);
        return task;
    }
    brg__heap_item *item = brg__heap_peek(&pool->delayed);
    if (item != NULL)
        task = brg__task_of(brg__heap_to_item(item));
    else if (!brg__list_is_empty(&pool->blocked))
        task = brg__task_of(brg__node_item(pool->blocked.head.next));
    if (task != NULL)
        brg__task_unwait_locked(pool, task);
    return task;
}

/* ---- delays ------------------------------------------------------------------------------------------------------ */

void brg__task_delay_locked(brg_pool *pool, brg_task *task, uint64_t until_ns)
{
    brg__see_task_delayed_locked(pool, task, NULL, BRG_OK, until_ns);
    brg_store_relaxed(&task->place, (uint8_t)BRG__PLACE_DELAYED);
    brg__heap_insert(&pool->delayed, brg__item_heap(&task->item), until_ns);
    brg__pool_timer_at(pool, until_ns);
}

void brg__task_block_locked(brg_pool *pool, brg_task *task)
{
    brg__see_task_blocked_locked(pool, task, NULL, BRG_OK, 0);
    brg_store_relaxed(&task->place, (uint8_t)BRG__PLACE_BLOCKED);
    brg__list_push_back(&pool->blocked, brg__item_node(&task->item));
}

void brg__task_unblock_locked(brg_pool *pool, brg_task *task)
{
    brg__list_remove(brg__item_node(&task->item));
    uint64_t start = task->start_delay_ns == 0 ? 0 : brg__add_saturated(task->submitted_ns, task->start_delay_ns);
    if (start > brg__now())
        brg__task_delay_locked(pool, task, start);
    else
        brg__task_ready_locked(pool, task);
    brg__help_notice(task);
}

uint64_t brg__pool_release_delayed_locked(brg_pool *pool, uint64_t now)
{
    brg__heap_item *item;
    while ((item = brg__heap_peek(&pool->delayed)) != NULL && item->key <= now) {
        brg_task *task = brg__task_of(brg__heap_to_item(item));
        brg__heap_remove(&pool->delayed, item);
        brg__task_ready_locked(pool, task);
        brg__help_notice(task);
    }
    return item == NULL ? UINT64_MAX : item->key;
}
