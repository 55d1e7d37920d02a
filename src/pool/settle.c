/* SPDX-License-Identifier: MIT */
/*
 * The end of a task: exactly once, by whoever took it from its place (the queue, a hand, a worker's ring, a running
 * slot). The result is written first, then xstate with release; waiters and the loop see it after. Task memory goes
 * back to the pool's free list when the last reference is gone.
 */
#include <stdio.h>
#include <string.h>

#include "os/clock.h"
#include "os/memory.h"
#include "pool/extras.h"
#include "pool/internal.h"
#include "pool/metrics.h"
#include "pool/observe.h"
#include "pool/pool.h"

/* An error for each status, for when there is no memory to copy the real one. */
static const brg_error settle_errors[] = {
#define SETTLE_ERROR(name_, number_, text_)                                                                            \
    [-(number_)] = {.status = (brg_status)(number_), .domain = "pool", .message = text_},
    BRG_STATUS_MAP(SETTLE_ERROR)
#undef SETTLE_ERROR
};

const brg_error *brg__error_of_status(brg_status status)
{
    size_t index = (size_t) - (int)status;
    return index < brg__count_of(settle_errors) ? &settle_errors[index] : &settle_errors[-BRG_FAILED];
}

/* ---- memory of tasks --------------------------------------------------------------------------------------------- */

brg_task *brg__task_new_locked(brg_pool *pool)
{
    brg_task *task = pool->free_tasks;
    if (task == NULL && brg_load_relaxed(&pool->xfree) != NULL)
        task = pool->free_tasks = brg_exchange_acquire(&pool->xfree,
                                                       (brg_task *)NULL); /* pairs with the pushes below */
    if (task != NULL) {
        pool->free_tasks = task->next;
        return task;
    }
    task = brg__calloc_aligned(sizeof(*task));
    if (task != NULL)
        task->pool = pool;
    return task;
}

static void task_push_free(brg_pool *pool, brg_task *first, brg_task *last)
{
    brg_task *head = brg_load_relaxed(&pool->xfree);
    do
        last->next = head;
    while (!brg_cas_acq_rel(&pool->xfree, &head, first));
}

void brg__pool_flush_free(brg_pool *pool, brg__slot *slot)
{
    if (slot->free_first == NULL)
        return;
    task_push_free(pool, slot->free_first, slot->free_last);
    slot->free_first = slot->free_last = NULL;
    slot->free_count = 0;
}

/* What only tasks with a handle or a callback have. */
static void task_free_result(brg_task *task)
{
    brg__mfree(task->error);
    brg_value_unref(task->result.output);
    brg_value_unref(task->result.detail);
    task->result.output = task->result.detail = NULL;
    task->error = NULL;
}

static void task_recycle(brg_task *task, brg__slot *slot)
{
    if (task->has_result)
        task_free_result(task);
    if (BRG__UNLIKELY(task->extras != NULL)) {
        brg__progress_free(task->progress);
        brg__extras_free(task->extras);
        task->progress = NULL;
        task->extras = NULL;
    }
    if (slot == NULL) {
        task_push_free(task->pool, task, task);
        return;
    }
    if (slot->free_first == NULL)
        slot->free_last = task;
    task->next = slot->free_first;
    slot->free_first = task;
    if (++slot->free_count >= BRG__HAND_MAX)
        brg__pool_flush_free(task->pool, slot);
}

void brg__task_drop(brg_task *task, brg__slot *slot)
{
    if (!brg__task_is(task, BRG__TASK_HANDLE) || brg_sub_acq_rel(&task->xreferences, 1u) == 1)
        task_recycle(task, slot);
}

void brg__task_discard(brg_task *task)
{
    task->has_result = false;
    if (task->extras != NULL)
        brg__extras_undo_locked(task);
    task_recycle(task, NULL);
}

/* ---- settling ---------------------------------------------------------------------------------------------------- */

static brg_task_state settle_state(brg_status status)
{
    switch (status) {
    case BRG_OK:
        return BRG_TASK_DONE;
    case BRG_CANCELLED:
        return BRG_TASK_CANCELLED;
    case BRG_TIMED_OUT:
        return BRG_TASK_TIMED_OUT;
    case BRG_LOST:
        return BRG_TASK_LOST;
    default:
        return BRG_TASK_FAILED;
    }
}

static void settle_error(brg_task *task, const brg__outcome *outcome)
{
    const brg_error *error = outcome->error != NULL ? outcome->error : brg__error_of_status(outcome->status);
    task->error = brg__malloc(sizeof(*error));
    if (task->error == NULL) {
        task->result.error = brg__error_of_status(outcome->status);
        return;
    }
    *task->error = *error;
    task->error->status = outcome->status;
    task->error->attempt = task->attempts;
    task->result.error = task->error;
}

/* Writer-only counters that others may read at any time; with what was counted of the task before: metrics_read.c. */
static void settle_count(uint64_t *counter) { brg_store_release(counter, *counter + 1); }

static void settle_fill(brg_task *task, const brg__outcome *outcome, brg_task_state state)
{
    brg_result *result = &task->result;
    result->status = outcome->status;
    result->state = state;
    result->output = outcome->output;
    result->detail = outcome->detail;
    result->error = NULL;
    result->attempts = task->attempts;
    result->worker_id = task->worker_id;
    result->queued_ns = result->run_ns = 0;
    if (brg__task_is(task, BRG__TASK_CLOCK)) {
        result->queued_ns = task->started_ns != 0 ? task->started_ns - task->submitted_ns : 0;
        result->run_ns = outcome->run_ns;
    }
    if (BRG__UNLIKELY(outcome->status != BRG_OK))
        settle_error(task, outcome);
}

void brg__pool_notify(brg_pool *pool)
{
    brg_add_acq_rel(&pool->xidle_epoch, 1u);
    brg__futex_wake(&pool->xidle_epoch, INT32_MAX, BRG__FUTEX_PRIVATE);
}

static void settle_deliver(brg__completion *completion)
{
    brg_task *task = brg__container_of(completion, brg_task, completion);
    brg_pool *pool = task->pool;
    if (!task->has_result)
        settle_fill(task, &(brg__outcome){.status = BRG_OK}, BRG_TASK_DONE);
    bool has_extras = brg__task_is(task, BRG__TASK_EXTRAS);
    if (has_extras && task->progress != NULL)
        brg__progress_flush(task->progress);
    task->done(&task->result, task->user_data);
    if (has_extras && task->extras->group != NULL)
        brg__group_delivered(task);
    brg__task_drop(task, NULL);
    brg__pool_delivered(pool);
}

void brg__pool_delivered(brg_pool *pool)
{
    brg_loop *loop = pool->options.loop;
    brg_store_seq_cst(&pool->xdelivered, pool->xdelivered + 1); /* the owner thread is its only writer */
    if (BRG__UNLIKELY(brg_load_seq_cst(&pool->xidle_waiters) != 0)) {
        brg__pool_notify(pool);
    }
    brg__loop_unhold(loop);
}

static void settle_count_state(brg_task *task, brg_task_state state, brg__settled *counts)
{
    if (BRG__LIKELY(!brg__task_is(task, BRG__TASK_INTERNAL | BRG__TASK_CARRIER)))
        settle_count(&counts->by_state[state]);
}

/* Of a task with extras: under the lock, whoever settles it. */
static void settle_extras(brg_task *task, brg_task_state state, bool has_lock)
{
    brg_pool *pool = task->pool;
    if (!has_lock)
        brg__pool_lock(pool);
    brg__extras_settled_locked(task, state);
    if (!has_lock)
        brg__pool_unlock(pool);
}

void brg__task_settle(brg_task *task, const brg__outcome *outcome, brg__settled *counts, brg__slot *slot)
{
    brg_task_state state = settle_state(outcome->status);
    bool has_handle = brg__task_is(task, BRG__TASK_HANDLE), has_done = task->done != NULL;
    bool is_carrier = brg__task_is(task, BRG__TASK_CARRIER);
    brg__see_settled(task->pool, slot, task, outcome->status, outcome->worker_id, outcome->run_ns);
    task->worker_id = outcome->worker_id;
    task->has_result = has_handle || (has_done && (outcome->status != BRG_OK || outcome->output != NULL ||
                                                   brg__task_is(task, BRG__TASK_CLOCK)));
    if (BRG__UNLIKELY(brg__task_is(task, BRG__TASK_CARRIER | BRG__TASK_INTERNAL)))
        brg__task_ended_internal(task, outcome, slot == NULL);
    if (task->has_result) {
        settle_fill(task, outcome, state);
    } else {
        if (outcome->output != NULL)
            brg_value_unref(outcome->output);
        if (outcome->detail != NULL)
            brg_value_unref(outcome->detail);
    }
    if (task->input != NULL) {
        brg_value_unref(task->input);
        task->input = NULL;
    }
    if (task->measured != 0)
        brg__metrics_settled(task, outcome, state, counts, slot == NULL);
    brg_store_relaxed(&task->place, (uint8_t)BRG__PLACE_ENDED);
    settle_count_state(task, state, counts);
    bool has_extras = brg__task_is(task, BRG__TASK_EXTRAS);
    if (has_handle) {
        uint32_t before = brg_exchange_seq_cst(&task->xstate, (uint32_t)state); /* pairs with task_is_settled */
        has_extras = has_extras || (before & BRG__TASK_FOLLOWED) != 0;
        if ((before & BRG__TASK_WAITED) != 0)
            brg__futex_wake(&task->xstate, INT32_MAX, BRG__FUTEX_PRIVATE);
    }
    if (BRG__UNLIKELY(has_extras))
        settle_extras(task, state, slot == NULL);
    if (brg__task_is(task, BRG__TASK_HOOKED)) {
        brg__hooked_settled(task, slot);
    } else if (has_done) {
        brg_pool *pool = task->pool;
        task->completion.run = settle_deliver;
        brg__loop_post(pool->options.loop, &task->completion);
    } else {
        brg__task_drop(task, slot);
    }
    if (BRG__LIKELY(!is_carrier))
        brg_store_release(&counts->all, counts->all + 1); /* last: pairs with pool_is_idle, the task is through */
}

void brg__task_settle_plain(brg_task *task, brg_status status, const char *message)
{
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_error_set(&error, status, "pool", "%s", message);
    brg__outcome outcome = {.status = status, .error = &error};
    brg__task_settle(task, &outcome, &task->pool->settled, NULL);
}

/* ---- idle ------------------------------------------------------------------------------------------------------- */

bool brg__pool_is_idle_locked(brg_pool *pool)
{
    uint64_t settled = pool->settled.all;
    for (uint32_t i = 0; i < pool->slot_count; i++)
        settled += brg_load_acquire(&pool->slots[i]->xsettled.all);
    return settled == pool->submitted;
}

void brg__pool_check_idle_locked(brg_pool *pool)
{
    if (brg_load_relaxed(&pool->xidle_waiters) == 0 || !brg__pool_is_idle_locked(pool))
        return;
    brg__pool_notify(pool);
    if (pool->options.loop != NULL)
        brg__loop_nudge(pool->options.loop);
}
