/* SPDX-License-Identifier: MIT */
/* Waiting for a pool, ending it, counting what it did. */
#include <string.h>

#include "os/clock.h"
#include "os/memory.h"
#include "os/thread.h"
#include "pool/batch.h"
#include "pool/events.h"
#include "pool/extras.h"
#include "pool/fork_pool.h"
#include "pool/internal.h"
#include "pool/metrics.h"
#include "pool/observe.h"
#include "pool/pool.h"

void brg__pool_ref(brg_pool *pool) { brg_add_relaxed(&pool->xreferences, 1u); }

static void pool_free_tasks(brg_task *task)
{
    while (task != NULL) {
        brg_task *next = task->next;
        brg__mfree_aligned(task);
        task = next;
    }
}

void brg__pool_unref(brg_pool *pool)
{
    if (brg_sub_acq_rel(&pool->xreferences, 1u) != 1)
        return;
    pool_free_tasks(pool->free_tasks);
    pool_free_tasks(brg_load_acquire(&pool->xfree));
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        pool_free_tasks(pool->slots[i]->free_first);
        brg__seat_done(&pool->schedule, &pool->slots[i]->seat);
        brg__mfree(pool->slots[i]->told);
        brg__meter_free(&pool->slots[i]->xsettled);
        brg__mfree_aligned(pool->slots[i]);
    }
    brg__mfree(pool->slots);
    brg__mfree(pool->schedule.seats);
    brg__pool_team_done(pool);
    brg__batches_free(pool);
    brg__bunches_free(pool);
    brg__events_free(pool);
    brg__metrics_free(pool);
    brg__observers_free(pool);
    brg__config_free(pool);
    brg__schedule_done(&pool->schedule);
    brg__mfree(pool->scaling);
    brg__mfree((uint64_t *)pool->options.worker_tags);
    brg__mfree((char *)pool->options.prewarm_task);
    brg_value_unref(pool->options.prewarm_input);
    brg_value_unref(pool->options.init_data);
    brg__world_done(&pool->heritage);
    brg__mfree((char *)pool->options.module);
    brg__mfree((char *)pool->options.name);
    brg__mfree((char *)pool->options.helper);
    brg__mfree_aligned(pool);
}

brg__slot *brg__pool_own_slot(const brg_pool *pool)
{
    const brg_context *context = brg__context_current();
    if (context == NULL || context->isolation != BRG_ISOLATION_THREAD)
        return NULL;
    const brg_worker *worker = context->owner;
    return worker->source_owner == pool ? worker->slot : NULL;
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static bool shutdown_is_idle(void *argument)
{
    brg_pool *pool = argument;
    brg__pool_lock(pool);
    bool idle = brg__pool_is_idle_locked(pool) && brg_load_acquire(&pool->xdelivered) == pool->with_done;
    brg__pool_unlock(pool);
    return idle;
}

/* Until nothing is queued or running and all callbacks ran. */
static brg_status shutdown_wait(brg_pool *pool, uint64_t deadline_ns)
{
    brg_status status = BRG_OK;
    brg_add_seq_cst(&pool->xidle_waiters, 1u); /* before looking: pairs with the look of check_idle, under the lock */
    if (pool->options.loop != NULL && brg__loop_is_owner(pool->options.loop)) {
        if (!brg__loop_dispatch_until(pool->options.loop, shutdown_is_idle, pool, deadline_ns))
            status = BRG_TIMED_OUT;
    } else {
        uint32_t epoch = brg_load_acquire(&pool->xidle_epoch);
        while (!shutdown_is_idle(pool)) {
            if (!brg__futex_wait(&pool->xidle_epoch, epoch, deadline_ns, BRG__FUTEX_PRIVATE) &&
                !shutdown_is_idle(pool)) {
                status = BRG_TIMED_OUT;
                break;
            }
            epoch = brg_load_acquire(&pool->xidle_epoch);
        }
    }
    brg_sub_relaxed(&pool->xidle_waiters, 1u);
    return status;
}

static brg_status shutdown_check(const brg_pool *pool)
{
    if (pool == NULL)
        return BRG_INVALID;
    if (pool->generation != brg__fork_generation())
        return BRG_FORKED;
    return brg__pool_own_slot(pool) != NULL ? BRG_DEADLOCK : BRG_OK;
}

brg_status brg_pool_wait_idle(brg_pool *pool, uint64_t timeout_ns)
{
    brg_status status = shutdown_check(pool);
    return status == BRG_OK ? shutdown_wait(pool, brg__deadline(timeout_ns)) : status;
}

/* ---- modes ------------------------------------------------------------------------------------------------------- */

void brg__pool_cancel_queue_locked(brg_pool *pool, brg_status status, const char *message)
{
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        brg__slot *slot = pool->slots[i];
        if (brg__pool_has_processes(pool)) {
            if (slot->worker != NULL)
                brg__slot_recall_locked(slot);
        } else {
            brg__hand_reclaim_locked(slot);
        }
    }
    brg__batches_ripen_locked(pool, UINT64_MAX);
    brg_task *task;
    pool->is_telling = true; /* none becomes ready because another one is gone */
    while ((task = brg__task_leave_any_locked(pool)) != NULL)
        brg__task_settle_plain(task, status, message);
    pool->is_telling = false;
    brg__pool_room_locked(pool);
    brg__pool_check_idle_locked(pool);
}

/* Asks every running task to end. */
static void shutdown_cancel_running_locked(brg_pool *pool)
{
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        brg__slot *slot = pool->slots[i];
        uint64_t ticket = brg_load_acquire(&slot->xticket);
        if (slot->worker != NULL && !slot->ending && ticket != 0)
            brg__slot_ask_end_locked(slot, ticket, BRG_CANCELLED);
    }
}

static void shutdown_set_mode_locked(brg_pool *pool, brg__pool_mode mode)
{
    pool->mode = mode;
    if (mode == BRG__POOL_DRAIN)
        brg__see_pool_draining_locked(pool, NULL, BRG_OK, brg__pool_waiting_locked(pool));
    else if (mode == BRG__POOL_STOP)
        brg__see_pool_stopping_locked(pool, NULL, BRG_OK, brg__pool_waiting_locked(pool));
    else if (mode == BRG__POOL_KILL)
        brg__see_pool_killing_locked(pool, NULL, BRG_OK, brg__pool_waiting_locked(pool));
}

static brg_status shutdown_mode(brg_pool *pool, brg__pool_mode mode, uint64_t timeout_ns)
{
    brg_status status = shutdown_check(pool);
    if (status != BRG_OK)
        return status;
    uint64_t deadline = brg__deadline(timeout_ns);
    brg__pool_lock(pool);
    if (pool->mode < mode)
        shutdown_set_mode_locked(pool, mode);
    if (mode == BRG__POOL_DRAIN)
        brg__batches_hurry_locked(pool);
    if (mode >= BRG__POOL_STOP)
        brg__pool_cancel_queue_locked(pool, BRG_CANCELLED, "the pool was stopped before the task started");
    if (mode >= BRG__POOL_KILL)
        shutdown_cancel_running_locked(pool);
    brg__pool_close_admission_locked(pool);
    brg__pool_unlock(pool);
    if (timeout_ns != 0)
        return shutdown_wait(pool, deadline);
    return shutdown_is_idle(pool) ? BRG_OK : BRG_TIMED_OUT;
}

brg_status brg_pool_drain(brg_pool *pool, uint64_t timeout_ns)
{
    return shutdown_mode(pool, BRG__POOL_DRAIN, timeout_ns);
}
brg_status brg_pool_stop(brg_pool *pool, uint64_t timeout_ns)
{
    return shutdown_mode(pool, BRG__POOL_STOP, timeout_ns);
}
brg_status brg_pool_kill(brg_pool *pool, uint64_t timeout_ns)
{
    return shutdown_mode(pool, BRG__POOL_KILL, timeout_ns);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void shutdown_clear_timer(void *argument)
{
    brg_pool *pool = argument;
    brg__pool_lock(pool);
    brg_store_relaxed(&pool->xtimer_at, (uint64_t)0); /* nothing sets it any more */
    brg__pool_unlock(pool);
    brg__supervisor_timer_set(&pool->timer, UINT64_MAX);
}

/* Asks the workers to end and waits until they are gone from their slots. */
static void shutdown_end_workers(brg_pool *pool)
{
    brg__pool_lock(pool);
    pool->mode = BRG__POOL_CLOSED;
    brg__pool_unlock(pool);
    for (;;) {
        uint32_t epoch = brg_load_acquire(&pool->xidle_epoch);
        brg_worker *worker = NULL;
        bool any = false;
        brg__pool_lock(pool);
        for (uint32_t i = 0; i < pool->slot_count && worker == NULL; i++) {
            brg_worker *one = pool->slots[i]->worker;
            any = any || one != NULL || pool->workers != 0;
            if (one != NULL && brg_load_relaxed(&one->xasked) == 0) {
                brg__see_worker_asked_locked(pool, pool->slots[i], BRG_OK, 0);
                brg__worker_ref(one);
                worker = one;
            }
        }
        brg__pool_unlock(pool);
        if (worker != NULL) {
            brg__worker_ask(worker);
            brg__worker_unref(worker);
        } else if (!any) {
            return;
        } else {
            brg__futex_wait(&pool->xidle_epoch, epoch, UINT64_MAX, BRG__FUTEX_PRIVATE);
        }
    }
}

static void shutdown_end(brg_pool *pool)
{
    if (pool->has_ended)
        return;
    brg_pool_kill(pool, BRG_FOREVER);
    shutdown_end_workers(pool);
    brg__supervisor_call_wait(shutdown_clear_timer, pool);
    brg__pool_lock(pool);
    brg__see_pool_closed_locked(pool, NULL, BRG_OK, 0);
    brg__pool_unlock(pool);
    brg__events_end(pool);
    brg__metrics_event_end(pool);
    brg__observers_end(pool);
    brg__watches_end(pool);
    if (pool->options.loop != NULL)
        brg__loop_detach(pool->options.loop);
    pool->has_ended = true;
}

static brg_pool *shutdown_pool_of(brg__member *member) { return brg__container_of(member, brg_pool, member); }
static void shutdown_member_hold(brg__member *member) { brg__pool_ref(shutdown_pool_of(member)); }

static void shutdown_member_ask(brg__member *member)
{
    (void)shutdown_mode(shutdown_pool_of(member), BRG__POOL_KILL, 0);
}

/* The worker that made it ends. What was queued settles on its loop, which runs once more for that. */
static void shutdown_member_end(brg__member *member, brg_loop *loop)
{
    (void)loop;
    shutdown_end(shutdown_pool_of(member));
    brg__pool_unref(shutdown_pool_of(member));
}

void brg__pool_member_init(brg_pool *pool)
{
    pool->member.hold = shutdown_member_hold;
    pool->member.ask = shutdown_member_ask;
    pool->member.end = shutdown_member_end;
}

void brg_pool_destroy(brg_pool *pool)
{
    if (pool == NULL)
        return;
    if (pool->generation == brg__fork_generation()) {
        brg__family_leave(&pool->member);
        shutdown_end(pool);
    }
    if (pool->options.release != NULL)
        pool->options.release(pool->options.user_data);
    brg__pool_unref(pool);
}
