/* SPDX-License-Identifier: MIT */
/*
 * Supervision: workers come, go and are replaced; tasks that run too long are asked to end and then their worker is.
 *
 * One timer per pool, set to the earliest of what may happen: a running task's deadline, a grace that ends, a waiting
 * task's timeout, an empty slot's restart, the breaker's half-opening. It is moved earlier as things start and not
 * moved later when they end: a firing that finds nothing due costs little and sets it anew.
 *
 * A worker that fails to start is tried again after restart_min_ns, doubling to restart_max_ns. breaker_failures in a
 * row open the breaker: what is queued fails at once, submits are refused, and after breaker_open_ns one worker is
 * tried.
 */
#include <stdio.h>
#include <string.h>

#include "os/clock.h"
#include "pool/pool.h"

#define AHEAD_LONG_NS BRG_MILLISECONDS(2)
#define KILL_DEFER_NS BRG_MILLISECONDS(2) /* for an answer that must be there */
#define KILL_DEFERRALS_MAX 50             /* a worker may lie about having answered */

brg__pool_view brg__pool_view_locked(brg_pool *pool)
{
    return (brg__pool_view){.idle = &pool->idle,
                            .queued = pool->xqueued,
                            .workers = pool->workers,
                            .online = pool->online,
                            .workers_min = pool->options.workers_max,
                            .workers_max = pool->options.workers_max};
}

void brg__pool_timer_at(brg_pool *pool, uint64_t at_ns)
{
    if (at_ns >= pool->xtimer_at)
        return;
    brg_store_relaxed(&pool->xtimer_at, at_ns);
    brg__supervisor_timer_set(&pool->timer, at_ns);
}

/* ---- asking and ending a running task --------------------------------------------------------------------------- */

/* Kept with the task too: another one may be asked before its answer is seen. */
static void supervise_note_asked_locked(brg__slot *slot, uint64_t ticket, brg_status why)
{
    for (uint32_t i = 0; i < slot->ahead_count; i++) {
        brg__ahead *ahead = &slot->ahead[(slot->ahead_first + i) % BRG__AHEAD_MAX];
        if (ahead->ticket == ticket && ahead->end_why == BRG_OK)
            ahead->end_why = why;
    }
}

void brg__slot_ask_end_locked(brg__slot *slot, uint64_t ticket, brg_status why)
{
    if (slot->worker == NULL || slot->kill_ticket == ticket)
        return;
    supervise_note_asked_locked(slot, ticket, why);
    slot->kill_ticket = ticket;
    slot->kill_why = why;
    slot->kill_deferrals = 0;
    slot->kill_at = brg__deadline(slot->pool->options.grace_ns);
    brg__worker_cancel_task(slot->worker, ticket);
    brg__pool_timer_at(slot->pool, slot->kill_at);
}

/*
 * Whether a process worker has answered the task that we think it runs: it has started one behind it. That one must
 * not pay, and the answer is on its way.
 */
static bool supervise_is_through_locked(brg__slot *slot)
{
    uint32_t tasks = 0;
    for (uint32_t i = 0; i < slot->ahead_count; i++)
        tasks += slot->ahead[(slot->ahead_first + i) % BRG__AHEAD_MAX].task != NULL;
    return tasks > 1 && slot->kill_deferrals++ < KILL_DEFERRALS_MAX;
}

/* The grace of a slot's task is over. */
static void supervise_kill_locked(brg__slot *slot)
{
    brg_pool *pool = slot->pool;
    bool runs = brg_load_acquire(&slot->xticket) == slot->kill_ticket;
    slot->kill_at = UINT64_MAX;
    if (!runs) {
        slot->kill_ticket = 0;
        return;
    }
    if (brg__pool_has_processes(pool)) {
        brg__slot_recall_locked(slot);
        if (supervise_is_through_locked(slot)) {
            slot->kill_at = brg__deadline(KILL_DEFER_NS);
            return;
        }
    } else {
        brg__hand_reclaim_locked(slot);
    }
    slot->ending = true;
    pool->workers_killed++;
    brg__worker_end_now(slot->worker, slot->kill_why,
                        slot->kill_why == BRG_TIMED_OUT ? "the task ran past its run timeout and its grace"
                                                        : "the task was cancelled and did not end within its grace");
}

/* Looks at one slot; returns when to look again. */
static uint64_t supervise_slot_locked(brg__slot *slot, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    if (slot->worker == NULL || slot->ending)
        return next;
    uint64_t ticket = brg_load_acquire(&slot->xticket), deadline = brg_load_relaxed(&slot->xdeadline);
    if (ticket != 0 && deadline != UINT64_MAX && brg_load_acquire(&slot->xticket) == ticket) {
        if (deadline > now)
            next = deadline;
        else
            brg__slot_ask_end_locked(slot, ticket, BRG_TIMED_OUT);
    }
    if (slot->kill_ticket != 0 && slot->kill_at <= now)
        supervise_kill_locked(slot);
    if (slot->kill_ticket != 0)
        next = brg__min(next, slot->kill_at);
    return next;
}

/* Answers that nobody looked at yet come before the end of their workers. No lock. */
static void supervise_pump(brg_pool *pool, uint64_t now)
{
    for (uint32_t i = 0; i < pool->options.workers_max; i++) {
        brg__slot *slot = &pool->slots[i];
        brg_worker *worker = NULL;
        brg__lock_acquire(&pool->lock);
        if (slot->worker != NULL && slot->kill_ticket != 0 && slot->kill_at <= now) {
            worker = slot->worker;
            brg__worker_ref(worker);
        }
        brg__lock_release(&pool->lock);
        if (worker == NULL)
            continue;
        worker->ops->pump(worker);
        worker->ops->unpump(worker);
        brg__worker_unref(worker);
    }
}

/* Tasks that wait in a worker's ring behind a long one go to idle workers. */
static uint64_t supervise_ahead_locked(brg__slot *slot, uint64_t now)
{
    brg_pool *pool = slot->pool;
    if (!brg__pool_has_processes(pool) || slot->worker == NULL || slot->ending || slot->ahead_count < 2)
        return UINT64_MAX;
    if (slot->ahead_since + AHEAD_LONG_NS > now)
        return slot->ahead_since + AHEAD_LONG_NS;
    brg__slot_recall_locked(slot);
    pool->run_ewma_ns = AHEAD_LONG_NS; /* what we believed of task lengths was wrong */
    return UINT64_MAX;
}

/* ---- the queue's timeouts
 * ---------------------------------------------------------------------------------------------- */

static uint64_t supervise_expiries_locked(brg_pool *pool, uint64_t now)
{
    brg__heap_item *item;
    while ((item = brg__heap_peek(&pool->expiries)) != NULL && item->key <= now) {
        brg_task *task = brg__container_of(item, brg_task, expiry);
        brg__task_unqueue_locked(pool, task);
        brg__task_settle_plain(task, BRG_TIMED_OUT, "the task did not start within its queue timeout or deadline");
        brg__pool_room_locked(pool);
        brg__pool_check_idle_locked(pool);
    }
    return item == NULL ? UINT64_MAX : item->key;
}

/* ---- workers
 * ---------------------------------------------------------------------------------------------------------------- */

const brg__world *brg__pool_heritage(void *owner) { return &((brg_pool *)owner)->heritage; }

static brg_worker_options supervise_worker_options(brg_pool *pool, uint32_t index, char name[64])
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

static brg_status supervise_start(brg_pool *pool, brg__slot *slot, brg_error *error)
{
    char name[64];
    brg_worker_options options = supervise_worker_options(pool, slot->index, name);
    const brg__source *source = brg__pool_has_processes(pool) ? &brg__source_process : &brg__source_thread;
    /* Held from before the start, so that the worker finds its slot filled, whatever it does at once. */
    brg__lock_acquire(&pool->lock);
    brg__pool_ref(pool);
    brg_value *init_data = options.init_data == NULL ? NULL : brg_value_ref(options.init_data);
    brg_status status = brg__worker_create(&slot->worker, &options, source, pool, slot, error);
    if (status == BRG_OK) {
        slot->ending = slot->online = false;
        slot->kill_ticket = 0;
        slot->kill_at = UINT64_MAX;
        slot->settled_before = brg_load_relaxed(&slot->xsettled.all);
        brg_store_relaxed(&slot->xticket, (uint64_t)0);
        pool->workers_started++;
    } else {
        brg_value_unref(init_data);
        pool->workers--;
        slot->restart_at = 0;
    }
    brg__lock_release(&pool->lock);
    if (status != BRG_OK)
        brg__pool_unref(pool);
    return status;
}

/* A slot that may get a worker now, counted as one; NULL: none, and *next says when to look again. */
static brg__slot *supervise_claim_locked(brg_pool *pool, uint64_t now, uint64_t *next)
{
    brg__pool_view view = brg__pool_view_locked(pool);
    uint32_t target = pool->mode >= BRG__POOL_CLOSED ? 0 : pool->options.scaling->target(&view);
    if (pool->breaker_until != 0)
        target = 0;
    if (pool->failures >= pool->options.breaker_failures) /* half open: one worker tries for all */
        target = (uint32_t)brg__min(target, 1);
    if (pool->workers >= target)
        return NULL;
    for (uint32_t i = 0; i < pool->options.workers_max; i++) {
        brg__slot *slot = &pool->slots[i];
        if (slot->worker != NULL || slot->restart_at == UINT64_MAX)
            continue;
        if (slot->restart_at <= now) {
            slot->restart_at = UINT64_MAX; /* being started */
            pool->workers++;
            return slot;
        }
        *next = brg__min(*next, slot->restart_at);
    }
    return NULL;
}

/* One more start failed: back off, and open the breaker after too many. Lock held; the slot is empty. */
static void supervise_failed_locked(brg_pool *pool, brg__slot *slot, const brg_error *error)
{
    const brg_pool_options *options = &pool->options;
    pool->workers_start_failed++;
    pool->start_error = *error;
    uint32_t doublings = (uint32_t)brg__min(pool->failures, 20);
    pool->failures++;
    uint64_t now = brg__now();
    slot->restart_at = brg__add_saturated(now, brg__min(options->restart_min_ns << doublings, options->restart_max_ns));
    if (pool->failures < options->breaker_failures || pool->breaker_until != 0)
        return;
    pool->breaker_until = brg__add_saturated(now, options->breaker_open_ns);
    char message[sizeof(error->message)];
    snprintf(message, sizeof(message), "workers do not start: %.220s", error->message);
    brg__pool_cancel_queue_locked(pool, BRG_UNAVAILABLE, message);
    brg__pool_timer_at(pool, pool->breaker_until);
}

brg_status brg__pool_fill(brg_pool *pool, brg_error *error)
{
    for (;;) {
        uint64_t next = UINT64_MAX;
        brg__lock_acquire(&pool->lock);
        brg__slot *slot = supervise_claim_locked(pool, brg__now(), &next);
        brg__pool_timer_at(pool, next);
        brg__lock_release(&pool->lock);
        if (slot == NULL)
            return BRG_OK;
        brg_error failure;
        memset(&failure, 0, sizeof(failure));
        brg_status status = supervise_start(pool, slot, &failure);
        if (status == BRG_OK)
            continue;
        if (error != NULL) {
            *error = failure;
            return status;
        }
        brg__lock_acquire(&pool->lock);
        supervise_failed_locked(pool, slot, &failure);
        brg__lock_release(&pool->lock);
    }
}

void brg__pool_started(void *owner, brg_worker *worker)
{
    brg_pool *pool = owner;
    brg__slot *slot = worker->slot;
    brg__lock_acquire(&pool->lock);
    slot->online = true;
    pool->online++;
    bool half_open = pool->failures != 0;
    pool->failures = 0;
    if (half_open)
        brg__pool_timer_at(pool, 0); /* the other slots may try again */
    for (uint32_t i = 0; half_open && i < pool->options.workers_max; i++)
        if (pool->slots[i].worker == NULL && pool->slots[i].restart_at != UINT64_MAX)
            pool->slots[i].restart_at = 0;
    if (brg__pool_has_processes(pool))
        brg__slot_feed_locked(slot);
    brg__lock_release(&pool->lock);
}

/* ---- the end of a worker
 * --------------------------------------------------------------------------------------------------- */

/*
 * The worker was taken back before we could hold it: its template died between making it and saying so. That is no
 * fault of the task, which runs again without losing an attempt; crash_limit bounds how often.
 */
static bool supervise_start_again_locked(brg__slot *slot, brg_task *task, brg_status status)
{
    if (status != BRG_START_FAILED || task->cancel_asked || !brg__task_can_run_again(task) ||
        slot->pool->mode >= BRG__POOL_STOP || ++task->crashes >= slot->pool->options.crash_limit)
        return false;
    task->attempts--;
    brg__task_retry_locked(task, &slot->pool->settled);
    return true;
}

/* The task that ran when its worker ended. */
static void supervise_end_task_locked(brg__slot *slot, brg_task *task, const brg_exit *exit)
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
    if (supervise_start_again_locked(slot, task, status))
        return;
    bool crash = status == BRG_CRASHED || status == BRG_EXITED || status == BRG_PROTOCOL || status == BRG_NO_MEMORY;
    if (crash)
        task->crashes++;
    bool poison = crash && task->crashes >= slot->pool->options.crash_limit && task->attempts < task->attempts_max;
    if (!poison && brg__task_may_retry(task, status)) {
        brg__task_retry_locked(task, &slot->pool->settled);
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
    if (task->has_clock)
        outcome.run_ns = brg__now() - task->started_ns;
    brg__task_settle(task, &outcome, &slot->pool->settled, NULL);
}

/* True when a task ended with it. */
static bool supervise_end_tasks_locked(brg__slot *slot, const brg_exit *exit)
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
            supervise_end_task_locked(slot, task, exit);
            any = true;
        }
        return any;
    }
    brg__hand_reclaim_locked(slot);
    if (slot->searching) { /* it ended while it looked for work */
        slot->searching = false;
        brg_sub_relaxed(&slot->pool->xsearching, 1u);
    }
    if (brg_load_acquire(&slot->xticket) == 0)
        return false;
    brg_task *task = brg_load_relaxed(&slot->xrunning); /* the thread was abandoned in it */
    if (task->input != NULL)
        brg_value_ref(task->input); /* for the thread, which reads it still */
    brg_store_relaxed(&slot->xticket, (uint64_t)0);
    supervise_end_task_locked(slot, task, exit);
    return true;
}

/* A worker that came online and ended by itself without a task: its place waits longer each time. */
static void supervise_fruitless_locked(brg__slot *slot)
{
    const brg_pool_options *options = &slot->pool->options;
    uint64_t wait = brg__min(options->restart_min_ns << brg__min(slot->fruitless, 20), options->restart_max_ns);
    slot->fruitless++;
    slot->restart_at = brg__add_saturated(brg__now(), wait);
}

void brg__pool_ended(void *owner, brg_worker *worker, const brg_exit *exit)
{
    brg_pool *pool = owner;
    brg__slot *slot = worker->slot;
    brg__lock_acquire(&pool->lock);
    if (slot->online)
        pool->online--;
    if (slot->is_idle) {
        brg__list_remove(&slot->idle_node);
        slot->is_idle = false;
    }
    bool was_online = slot->online;
    slot->online = false;
    slot->ending = true;
    bool fruitful = supervise_end_tasks_locked(slot, exit) ||
                    brg_load_relaxed(&slot->xsettled.all) != slot->settled_before;
    if (exit->signal != 0 && !slot->kill_ticket && !exit->requested)
        pool->workers_crashed++;
    slot->worker = NULL;
    slot->kill_ticket = 0;
    slot->kill_at = UINT64_MAX;
    slot->restart_at = 0;
    pool->workers--;
    if (!was_online && !exit->requested)
        supervise_failed_locked(pool, slot, &exit->error);
    else if (!fruitful && !exit->requested)
        supervise_fruitless_locked(slot);
    else
        slot->fruitless = 0;
    if (pool->mode < BRG__POOL_CLOSED)
        brg__pool_timer_at(pool, 0); /* replace it, on the supervisor */
    brg_worker *wake = NULL;
    if (!brg__pool_has_processes(pool) && pool->xqueued != 0)
        wake = brg__pool_wake_locked(pool);
    brg__pool_check_idle_locked(pool);
    brg_add_acq_rel(&pool->xidle_epoch, 1u); /* for destroy, which waits for workers to be gone */
    brg__futex_wake(&pool->xidle_epoch, INT32_MAX, BRG__FUTEX_PRIVATE);
    brg__lock_release(&pool->lock);
    if (wake != NULL) {
        brg__gate_wake(&wake->gate, BRG__FUTEX_PRIVATE);
        brg__worker_unref(wake);
    }
    brg__worker_unref(worker); /* the pool's */
    brg__pool_unref(pool);
}

/* ---- the timer
 * ------------------------------------------------------------------------------------------------------------------ */

void brg__pool_timer_fire(brg__timer *timer)
{
    brg_pool *pool = brg__container_of(timer, brg_pool, timer);
    uint64_t now = brg__now(), next = UINT64_MAX;
    if (brg__pool_has_processes(pool))
        supervise_pump(pool, now);
    brg__lock_acquire(&pool->lock);
    brg_store_relaxed(&pool->xtimer_at, UINT64_MAX);
    for (uint32_t i = 0; i < pool->options.workers_max; i++) {
        next = brg__min(next, supervise_slot_locked(&pool->slots[i], now));
        next = brg__min(next, supervise_ahead_locked(&pool->slots[i], now));
    }
    next = brg__min(next, supervise_expiries_locked(pool, now));
    if (pool->breaker_until != 0 && pool->breaker_until <= now)
        pool->breaker_until = 0;
    if (pool->breaker_until != 0)
        next = brg__min(next, pool->breaker_until);
    if (brg__pool_has_processes(pool) && pool->xqueued != 0)
        while (!brg__list_is_empty(&pool->idle)) {
            brg__pool_view view = brg__pool_view_locked(pool);
            brg__slot *slot = pool->options.placement->next(&view);
            uint32_t before = pool->xqueued;
            brg__slot_feed_locked(slot);
            if (pool->xqueued == before || pool->xqueued == 0)
                break;
        }
    brg__pool_timer_at(pool, next);
    brg__lock_release(&pool->lock);
    brg__pool_fill(pool, NULL);
}
