/* SPDX-License-Identifier: MIT */
/*
 * The workers of a pool: they come, go and are replaced.
 *
 * Those that fail to start: breaker.c.
 */
#include <stdio.h>
#include <string.h>

#include "os/clock.h"
#include "os/memory.h"
#include "pool/events.h"
#include "pool/fork_pool.h"
#include "pool/help.h"
#include "pool/internal.h"
#include "pool/metrics.h"
#include "pool/observe.h"
#include "pool/pool.h"

/* ---- slots ------------------------------------------------------------------------------------------------------- */

static brg__slot *workers_new_slot(brg_pool *pool, uint32_t index)
{
    brg__slot *slot = brg__calloc_aligned(sizeof(*slot));
    if (slot == NULL)
        return NULL;
    uint64_t tags = index < pool->options.worker_tags_count ? pool->options.worker_tags[index] : 0;
    if (brg__meter_init(pool, &slot->xsettled) != BRG_OK ||
        brg__seat_init(&pool->schedule, &slot->seat, index, tags) != BRG_OK) {
        brg__meter_free(&slot->xsettled);
        brg__mfree_aligned(slot);
        return NULL;
    }
    slot->pool = pool;
    slot->index = index;
    slot->kill_at = slot->xdeadline = UINT64_MAX;
    slot->run_ewma_ns = UINT64_MAX;
    return slot;
}

static brg_status workers_grow_arrays(brg_pool *pool, uint32_t count)
{
    uint32_t capacity = (uint32_t)brg__max(pool->slot_capacity, 8u);
    while (capacity < count)
        capacity *= 2;
    brg__slot **slots = brg__calloc(capacity, sizeof(*slots));
    brg_seat **seats = brg__calloc(capacity, sizeof(*seats));
    if (slots == NULL || seats == NULL) {
        brg__mfree(slots);
        brg__mfree(seats);
        return BRG_NO_MEMORY;
    }
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        slots[i] = pool->slots[i];
        seats[i] = pool->schedule.seats[i];
    }
    brg__mfree(pool->slots);
    brg__mfree(pool->schedule.seats);
    pool->slots = slots;
    pool->schedule.seats = seats;
    pool->slot_capacity = capacity;
    return BRG_OK;
}

brg_status brg__pool_add_slots_locked(brg_pool *pool, uint32_t count)
{
    if (count > pool->slot_capacity && workers_grow_arrays(pool, count) != BRG_OK)
        return BRG_NO_MEMORY;
    while (pool->slot_count < count) {
        brg__slot *slot = workers_new_slot(pool, pool->slot_count);
        if (slot == NULL)
            return BRG_NO_MEMORY;
        pool->slots[pool->slot_count] = slot;
        pool->schedule.seats[pool->slot_count] = &slot->seat.seen;
        pool->schedule.seat_count = ++pool->slot_count;
    }
    return BRG_OK;
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

void brg__pool_place(const void *slot, uint32_t *index, uint64_t *tags)
{
    const brg__slot *place = slot;
    *index = place->index;
    *tags = place->seat.seen.tags;
}

const brg__world *brg__pool_heritage(void *owner) { return &((brg_pool *)owner)->heritage; }

static brg_worker_options workers_options_of(brg_pool *pool, uint32_t index, char name[64])
{
    const brg_pool_options *from = &pool->options;
    snprintf(name, 64, "%.50s-%u", from->name, index);
    return (brg_worker_options){.size = sizeof(brg_worker_options),
                                .isolation = from->isolation,
                                .module = from->module,
                                .linked_module = from->linked_module,
                                .name = name,
                                .init_data = from->init_data,
                                .message_bytes_max = from->message_bytes_max,
                                .start_timeout_ns = from->start_timeout_ns,
                                .grace_ns = from->grace_ns,
                                .spin_ns = from->spin_ns,
                                .no_spin = from->no_spin,
                                .limits = from->limits,
                                .helper = from->helper};
}

/* What no worker has started waits in the queues again, in order. */
static void workers_recall_locked(brg_pool *pool)
{
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        brg__slot *slot = pool->slots[i];
        if (slot->worker == NULL || !slot->online || slot->ending)
            continue;
        if (brg__pool_has_processes(pool))
            brg__slot_recall_locked(slot);
        else
            brg__hand_reclaim_locked(slot);
    }
}

void brg__slot_open_locked(brg__slot *slot)
{
    brg_pool *pool = slot->pool;
    uint64_t now = brg__pool_wants_time(pool) ? brg__now() : 0;
    bool by_key = pool->options.placement->share == BRG_SHARE_BY_KEY && pool->schedule.usable_count != 0;
    if (BRG__UNLIKELY(by_key))
        workers_recall_locked(pool); /* a key that moves goes on where it was */
    brg__seat_open(&pool->schedule, &slot->seat, now);
    if (BRG__UNLIKELY(by_key))
        brg__pool_dispatch_locked(pool);
}

static brg_status workers_start(brg_pool *pool, brg__slot *slot, brg_error *error)
{
    char name[64];
    const brg__source *source = brg__pool_has_processes(pool) ? &brg__source_process : &brg__source_thread;
    /* Held from before the start, so that the worker finds its slot filled, whatever it does at once. */
    brg__pool_lock(pool);
    if (pool->mode >= BRG__POOL_CLOSED) { /* it closed since the slot was claimed, and waits for it */
        pool->workers--;
        slot->restart_at = 0;
        brg__pool_notify(pool);
        brg__pool_unlock(pool);
        return BRG_OK;
    }
    brg__pool_ref(pool);
    brg_worker_options options = workers_options_of(pool, slot->index, name);
    brg_value *init_data = options.init_data == NULL ? NULL : brg_value_ref(options.init_data);
    brg_status status = brg__events_expect_locked(pool, slot);
    if (status != BRG_OK)
        brg__error_memory(error, "a worker");
    else
        status = brg__worker_create(&slot->worker, &options, source, pool, slot, error);
    if (status == BRG_OK) {
        slot->ending = slot->retiring = slot->online = false;
        slot->warming = 0;
        slot->kill_ticket = slot->cpu_ns = 0;
        slot->kill_at = UINT64_MAX;
        brg__recycle_begin_locked(slot);
        brg__metrics_begin_locked(slot);
        brg_store_relaxed(&slot->xticket, (uint64_t)0);
        if (slot->start_failures == 0) /* else once it is online */
            brg__slot_open_locked(slot);
        pool->workers_started++;
        brg__see_worker_starting_locked(pool, slot, BRG_OK, 0);
    } else {
        brg_value_unref(init_data);
        pool->workers--;
        slot->restart_at = 0;
    }
    brg__pool_unlock(pool);
    if (status != BRG_OK)
        brg__pool_unref(pool);
    return status;
}

/* Nobody comes for what is pinned to slots that get no worker. */
static void workers_cancel_pinned_locked(brg_pool *pool)
{
    bool any = false;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        brg__slot *slot = pool->slots[i];
        while (slot->worker == NULL && slot->restart_at != UINT64_MAX && slot->seat.pinned_count != 0) {
            brg_task *task = brg__task_of(brg__node_item(slot->seat.pinned.head.next));
            brg__task_unwait_locked(pool, task);
            brg__task_settle_plain(task, BRG_CANCELLED, "the worker went away before the task started");
            any = true;
        }
    }
    if (any) {
        brg__pool_room_locked(pool);
        brg__pool_check_idle_locked(pool);
    }
}

/* Those that are not to be, and end when they are idle. */
static uint32_t workers_surplus_locked(const brg_pool *pool)
{
    uint32_t count = 0;
    for (uint32_t i = pool->options.workers_max; i < pool->slot_count; i++)
        count += pool->slots[i]->worker != NULL || pool->slots[i]->restart_at == UINT64_MAX;
    return count;
}

/* First where tasks wait for that worker alone, then where no start failed, or the longest ago. */
static bool workers_is_before(const brg__slot *slot, const brg__slot *other)
{
    bool pinned = slot->seat.pinned_count != 0, other_pinned = other->seat.pinned_count != 0;
    return pinned != other_pinned ? pinned : slot->restart_at < other->restart_at;
}

/* A slot that may get a worker now, counted as one; NULL: none, and *next says when to look again. */
static brg__slot *workers_claim_locked(brg_pool *pool, uint64_t now, uint64_t *next)
{
    bool is_over = pool->mode >= BRG__POOL_CLOSED || (pool->mode >= BRG__POOL_KILL && pool->waiting == 0);
    uint32_t target = is_over || pool->breaker_until != 0 ? 0 : pool->target;
    if (pool->failures >= pool->options.breaker_failures) /* half open: one worker tries for all */
        target = (uint32_t)brg__min(target, 1);
    if (pool->workers - workers_surplus_locked(pool) >= target) {
        if (pool->breaker_until == 0)
            workers_cancel_pinned_locked(pool);
        return NULL;
    }
    uint32_t missed = brg__pool_missed_locked(pool, now);
    uint32_t places = (uint32_t)brg__min(target + brg__pool_given_up_locked(pool), pool->options.workers_max);
    if (brg__pool_add_slots_locked(pool, missed == UINT32_MAX ? places : brg__max(places, missed + 1)) != BRG_OK)
        *next = now + BRG_MILLISECONDS(100);
    brg__slot *claimed = NULL;
    for (uint32_t i = 0; i < brg__min(pool->slot_count, pool->options.workers_max); i++) {
        brg__slot *slot = pool->slots[i];
        if (slot->worker != NULL || slot->restart_at == UINT64_MAX)
            continue;
        if (slot->restart_at > now)
            *next = brg__min(*next, slot->restart_at);
        else if (claimed == NULL || workers_is_before(slot, claimed))
            claimed = slot;
    }
    if (claimed != NULL && claimed->seat.pinned_count == 0 && missed < pool->slot_count)
        claimed = pool->slots[missed];
    if (claimed != NULL) {
        claimed->restart_at = UINT64_MAX; /* being started */
        pool->workers++;
    }
    return claimed;
}

brg_status brg__pool_fill(brg_pool *pool, brg_error *error)
{
    for (;;) {
        uint64_t next = UINT64_MAX;
        brg__pool_lock(pool);
        brg__slot *slot = workers_claim_locked(pool, brg__now(), &next);
        brg__pool_timer_at(pool, next);
        brg__pool_unlock(pool);
        if (slot == NULL)
            return BRG_OK;
        brg_error failure;
        memset(&failure, 0, sizeof(failure));
        brg_status status = workers_start(pool, slot, &failure);
        if (status == BRG_OK)
            continue;
        if (error != NULL) {
            *error = failure;
            return status;
        }
        brg__pool_lock(pool);
        brg__start_failed_locked(slot, &failure);
        brg__pool_unlock(pool);
    }
}

void brg__slot_online_locked(brg__slot *slot)
{
    brg_pool *pool = slot->pool;
    uint64_t now = brg__now();
    brg__pool_account_locked(pool, now);
    slot->online = true;
    slot->online_at = now;
    pool->online++;
    brg__start_worked_locked(slot);
    if (!slot->seat.seen.is_usable && !slot->ending && !slot->retiring)
        brg__slot_open_locked(slot);
    brg__events_started_locked(pool, slot);
    brg__see_worker_online_locked(pool, slot, BRG_OK, 0);
    brg__recycle_watch_locked(slot);
    brg__pool_watch_locked(pool, now); /* until it is idle for the first time it is not */
    if (brg__pool_has_processes(pool))
        brg__slot_feed_locked(slot);
}

void brg__pool_started(void *owner, brg_worker *worker)
{
    brg_pool *pool = owner;
    brg__slot *slot = worker->slot;
    brg__pool_lock(pool);
    if (brg__warm_begin_locked(pool, slot) == 0)
        brg__slot_online_locked(slot);
    brg__pool_unlock(pool);
}

/* ---- the end of a worker ----------------------------------------------------------------------------------------- */

/*
 * The worker was taken back before we could hold it: its template died between making it and saying so. That is no
 * fault of the task, which runs again without losing an attempt; crash_limit bounds how often.
 */
static bool workers_start_again_locked(brg__slot *slot, brg_task *task, brg_status status)
{
    if (status != BRG_START_FAILED || task->cancel_asked || !brg__task_can_run_again(task) ||
        slot->pool->mode >= BRG__POOL_STOP || ++task->crashes >= slot->pool->options.crash_limit)
        return false;
    brg__see_task_unstarted_locked(slot->pool, task, slot, BRG_OK, 0);
    brg__see_chunk_locked(task, slot, BRG_EVENT_CHUNK_UNSTARTED, BRG_OK, 0);
    task->attempts--;
    brg__task_again_locked(task);
    return true;
}

/* The task that ran when its worker ended. */
static void workers_end_task_locked(brg__slot *slot, brg_task *task, const brg_exit *exit)
{
    brg_status status = exit->status;
    const brg_error *error = &exit->error;
    brg_error own;
    if (slot->kill_ticket == task->ticket) {
        status = slot->kill_why;
    } else if (status == BRG_OK) {
        status = slot->pool->mode >= BRG__POOL_KILL ? BRG_CANCELLED : BRG_EXITED;
        memset(&own, 0, sizeof(own));
        brg_error_set(&own, status, "worker", "the worker exited with code %d while running the task", exit->exit_code);
        own.exit_code = exit->exit_code;
        error = &own;
    }
    if (workers_start_again_locked(slot, task, status))
        return;
    bool crash = status == BRG_CRASHED || status == BRG_EXITED || status == BRG_PROTOCOL || status == BRG_NO_MEMORY;
    if (crash)
        task->crashes++;
    bool poison = crash && task->crashes >= slot->pool->options.crash_limit && task->attempts < task->attempts_max;
    if (!poison && brg__task_may_retry(task, status)) {
        brg__task_retry_locked(task, status, &slot->pool->settled);
        return;
    }
    if (poison) {
        own = *error;
        brg_error_set(&own, BRG_POISONED, error->domain, "the task ended %u workers and is not tried again: %.180s",
                      task->crashes, error->message);
        own.signal = error->signal;
        own.exit_code = error->exit_code;
        memcpy(own.backtrace, error->backtrace, sizeof(own.backtrace));
        error = &own;
        status = BRG_POISONED;
    }
    brg__outcome outcome = {.status = status, .error = error, .worker_id = slot->worker->id};
    if (brg__task_is_timed(task))
        outcome.run_ns = brg__now() - task->started_ns;
    brg__task_settle(task, &outcome, &slot->pool->settled, NULL);
}

/* True when a task ended with it. */
static bool workers_end_tasks_locked(brg__slot *slot, const brg_exit *exit)
{
    bool any = false;
    if (brg__pool_has_processes(slot->pool)) {
        brg__slot_recall_locked(slot);
        brg_task *task;
        while ((task = brg__slot_head_locked(slot)) != NULL) { /* at most one was started and not answered */
            brg__ahead *ahead = &slot->ahead[slot->ahead_first];
            if (ahead->end_why != BRG_OK) {
                slot->kill_ticket = ahead->ticket;
                slot->kill_why = ahead->end_why;
            }
            slot->ahead_first = (slot->ahead_first + 1) % BRG__AHEAD_MAX;
            slot->ahead_count--;
            workers_end_task_locked(slot, task, exit);
            any = true;
        }
        return any;
    }
    brg__hand_reclaim_locked(slot);
    if (slot->searching) { /* it ended while it looked for work */
        slot->searching = false;
        brg_sub_relaxed(&slot->pool->team.xsearching, 1u);
    }
    if (brg_load_acquire(&slot->xticket) == 0)
        return false;
    brg_task *task = brg_load_relaxed(&slot->xrunning); /* the thread was abandoned in it */
    brg_store_relaxed(&slot->xticket, (uint64_t)0);
    brg_task *suspended = slot->suspended;
    slot->suspended = slot->waiting_for = NULL;
    slot->depth = 0;
    while (task != NULL) { /* and in those that wait for it */
        brg_task *outer = suspended;
        suspended = outer == NULL ? NULL : outer->outer;
        if (task->input != NULL)
            brg_value_ref(task->input); /* for the thread, which reads it still */
        workers_end_task_locked(slot, task, exit);
        task = outer;
    }
    return true;
}

/* Worker of this slot is gone, for good or to be replaced: others may do what was its. */
static void workers_leave_seat_locked(brg__slot *slot)
{
    brg_pool *pool = slot->pool;
    brg__pool_account_locked(pool, brg__now());
    if (slot->online) {
        pool->online--;
        pool->leaving -= slot->retiring;
    }
    brg__slot_unpark_locked(slot);
    brg__slot_set_idle_locked(slot, false);
    brg__slot_set_brief_locked(slot, false);
    brg__seat_hold(&slot->seat, 0);
    brg__seat_close(&pool->schedule, &slot->seat, 0);
    slot->online = false;
    slot->ending = true;
    slot->is_stuffed = false;
}

/* A worker that came online and ended by itself without a task: its place waits longer each time. */
static void workers_fruitless_locked(brg__slot *slot)
{
    uint64_t wait = brg__restart_wait(&slot->pool->options, slot->fruitless);
    slot->fruitless++;
    slot->restart_at = brg__add_saturated(brg__now(), wait);
}

void brg__pool_ended(void *owner, brg_worker *worker, const brg_exit *exit)
{
    brg_pool *pool = owner;
    brg__slot *slot = worker->slot;
    brg__pool_lock(pool);
    bool was_online = slot->online;
    workers_leave_seat_locked(slot);
    bool fruitful = workers_end_tasks_locked(slot, exit) || brg__slot_served(slot) != 0;
    brg__warm_end_locked(pool, slot);
    if (exit->signal != 0 && !slot->kill_ticket && !exit->requested)
        pool->workers_crashed++;
    brg__see_worker_ended_locked(pool, slot, exit->status, (uint64_t)exit->signal);
    slot->worker = NULL;
    slot->kill_ticket = 0;
    slot->kill_at = UINT64_MAX;
    slot->restart_at = 0;
    pool->workers--;
    if (was_online)
        brg__events_ended_locked(pool, slot, exit);
    if (!was_online && (!exit->requested || slot->warm_failed) && pool->mode < BRG__POOL_KILL)
        brg__start_failed_locked(slot, slot->warm_failed ? &slot->warm_error : &exit->error);
    else if (!fruitful && !exit->requested)
        workers_fruitless_locked(slot);
    else
        slot->fruitless = 0;
    slot->warm_failed = false;
    if (pool->mode < BRG__POOL_CLOSED)
        brg__pool_timer_at(pool, 0); /* replace it, on the supervisor */
    brg__pool_dispatch_locked(pool);
    brg__pool_check_idle_locked(pool);
    brg__pool_notify(pool); /* destroy, which waits for workers to be gone */
    brg__pool_unlock(pool);
    brg__worker_unref(worker); /* the pool's */
    brg__pool_unref(pool);
}
