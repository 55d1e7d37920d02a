/* SPDX-License-Identifier: MIT */
/*
 * Supervision: tasks that run too long are asked to end and then their worker is; those that wait too long settle.
 *
 * One timer per pool, set to the earliest of what may happen: a running task's deadline, a grace that ends, a waiting
 * task's timeout or delay, a batch that is ripe, an empty slot's restart, the breaker's half-opening, the next look at
 * how many workers there should be. It is moved earlier as things start and not moved later when they end: a firing
 * that finds nothing due costs little and sets it anew.
 */
#include <stdio.h>
#include <string.h>

#include "os/clock.h"
#include "pool/batch.h"
#include "pool/fork_pool.h"
#include "pool/help.h"
#include "pool/metrics.h"
#include "pool/observe.h"
#include "pool/pool.h"

#define AHEAD_LONG_NS BRG_MILLISECONDS(2)
#define KILL_DEFER_NS BRG_MILLISECONDS(2) /* for an answer that must be there */
#define KILL_DEFERRALS_MAX 50             /* a worker may lie about having answered */
#define KILL_LATE_NS BRG_MILLISECONDS(20) /* who looks so late had no processor, or was stopped */
#define KILL_GRACES_MAX 5                 /* ... which does not go on for ever */

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
    if (BRG__UNLIKELY(slot->suspended != NULL) && slot->kill_ticket != 0 && brg__help_has_ticket_locked(slot, ticket) &&
        !brg__help_has_ticket_locked(slot, slot->kill_ticket))
        return; /* the nested one was asked and must not forget it; this one is when it goes on: its end_why is kept */
    supervise_note_asked_locked(slot, ticket, why);
    slot->kill_ticket = ticket;
    slot->kill_why = why;
    if (why == BRG_TIMED_OUT)
        brg__see_overdue_locked(slot, ticket);
    slot->kill_deferrals = slot->kill_graces = 0;
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

/*
 * Whether a grace that is over begins again: the whole program did not run for a while, stopped or for want of a
 * processor, and so nor did the task that was to listen.
 */
static bool supervise_is_late_locked(brg__slot *slot, uint64_t now)
{
    if (now - slot->kill_at < KILL_LATE_NS || slot->kill_graces == KILL_GRACES_MAX)
        return false;
    slot->kill_graces++;
    slot->kill_at = brg__deadline(slot->pool->options.grace_ns);
    return true;
}

/* The grace of a slot's task is over. */
static void supervise_kill_locked(brg__slot *slot)
{
    brg_pool *pool = slot->pool;
    bool runs = brg_load_acquire(&slot->xticket) == slot->kill_ticket ||
                brg__help_has_ticket_locked(slot, slot->kill_ticket);
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
    brg__see_worker_killed_locked(pool, slot, slot->kill_why, 0);
    if (!brg__pool_has_processes(pool))
        brg__forks_end_helpers_locked(slot, slot->kill_why);
    const char *why = "the task was cancelled and did not end within its grace";
    if (brg_load_relaxed(&slot->xsilent_ticket) == slot->kill_ticket)
        why = brg__heartbeat_error(slot, slot->kill_ticket, BRG_TIMED_OUT)->message;
    else if (slot->kill_why == BRG_TIMED_OUT)
        why = "the task ran past its run timeout and its grace";
    brg__worker_end_now(slot->worker, slot->kill_why, why);
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
    if (ticket != 0 && brg_load_acquire(&slot->xbeat_ticket) == ticket)
        next = brg__min(next, brg__heartbeat_look_locked(slot, ticket, now));
    if (BRG__UNLIKELY(slot->suspended != NULL))
        next = brg__min(next, brg__help_deadlines_locked(slot, now));
    if (slot->kill_ticket != 0 && slot->kill_at <= now && !supervise_is_late_locked(slot, now))
        supervise_kill_locked(slot);
    if (slot->kill_ticket != 0)
        next = brg__min(next, slot->kill_at);
    return next;
}

/* Answers that nobody looked at yet come before the end of their workers. No lock. */
static void supervise_pump(brg_pool *pool, uint64_t now)
{
    for (uint32_t i = 0;; i++) {
        brg_worker *worker = NULL;
        brg__pool_lock(pool);
        const brg__slot *slot = i < pool->slot_count ? pool->slots[i] : NULL;
        if (slot != NULL && slot->worker != NULL && slot->kill_ticket != 0 && slot->kill_at <= now) {
            worker = slot->worker;
            brg__worker_ref(worker);
        }
        brg__pool_unlock(pool);
        if (slot == NULL)
            return;
        if (worker == NULL)
            continue;
        worker->ops->pump(worker);
        worker->ops->unpump(worker);
        brg__worker_unref(worker);
    }
}

/* Tasks that wait in a worker's ring behind a long one go to idle workers; there may be room in it again. */
static uint64_t supervise_ahead_locked(brg__slot *slot, uint64_t now)
{
    brg_pool *pool = slot->pool;
    if (BRG__UNLIKELY(slot->is_stuffed))
        brg__slot_feed_locked(slot);
    if (!brg__pool_has_processes(pool) || slot->worker == NULL || slot->ending || slot->ahead_count < 2)
        return UINT64_MAX;
    if (slot->ahead_since + AHEAD_LONG_NS > now)
        return slot->ahead_since + AHEAD_LONG_NS;
    brg__slot_recall_locked(slot);
    pool->run_ewma_ns = AHEAD_LONG_NS; /* what we believed of task lengths was wrong */
    return UINT64_MAX;
}

/* ---- the queue's timeouts ---------------------------------------------------------------------------------------- */

static uint64_t supervise_expiries_locked(brg_pool *pool, uint64_t now)
{
    brg__heap_item *item;
    while ((item = brg__heap_peek(&pool->expiries)) != NULL && item->key <= now) {
        brg_task *task = brg__container_of(item, brg_task, expiry);
        brg__task_unwait_locked(pool, task);
        brg__task_settle_plain(task, BRG_TIMED_OUT, "the task did not start within its queue timeout or deadline");
        brg__pool_room_locked(pool);
        brg__pool_check_idle_locked(pool);
    }
    return item == NULL ? UINT64_MAX : item->key;
}

/* ---- the timer --------------------------------------------------------------------------------------------------- */

void brg__pool_timer_fire(brg__timer *timer)
{
    brg_pool *pool = brg__container_of(timer, brg_pool, timer);
    uint64_t now = brg__now(), next = UINT64_MAX;
    if (brg__pool_has_processes(pool)) {
        supervise_pump(pool, now);
        brg__recycle_sample(pool, now);
    }
    brg__pool_lock(pool);
    brg_store_relaxed(&pool->xtimer_at, UINT64_MAX);
    brg_fence_seq_cst(); /* who does not see that shows us its deadline: run_clock */
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        next = brg__min(next, supervise_slot_locked(pool->slots[i], now));
        next = brg__min(next, supervise_ahead_locked(pool->slots[i], now));
    }
    next = brg__min(next, supervise_expiries_locked(pool, now));
    next = brg__min(next, brg__pool_release_delayed_locked(pool, now));
    next = brg__min(next, brg__batches_ripen_locked(pool, now));
    next = brg__min(next, brg__recycle_locked(pool, now));
    next = brg__min(next, brg__pool_scale_locked(pool, now));
    next = brg__min(next, brg__metrics_event_locked(pool, now));
    if (pool->breaker_until != 0 && pool->breaker_until <= now) {
        pool->breaker_until = 0;
        brg__see_pool_breaker_half_open_locked(pool, NULL, BRG_OK, 0);
    }
    if (pool->breaker_until != 0)
        next = brg__min(next, pool->breaker_until);
    brg__pool_check_brief_locked(pool);
    brg__pool_dispatch_locked(pool);
    brg__pool_check_idle_locked(pool);
    brg__pool_timer_at(pool, next);
    brg__pool_unlock(pool);
    brg__pool_fill(pool, NULL);
}
