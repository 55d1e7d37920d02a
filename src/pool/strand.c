/* SPDX-License-Identifier: MIT */
#include "pool/strand.h"

#include <string.h>

#include "pool/internal.h"
#include "pool/observe.h"
#include "pool/submit.h"

/* ---- the task of a strand ---------------------------------------------------------------------------------------- */

static brg_status strand_run(brg_context *context, void *argument)
{
    brg__strand *strand = argument;
    strand->run(strand, context);
    return BRG_OK;
}

static brg_status strand_submit_locked(brg__strand *strand)
{
    brg_pool *pool = strand->pool;
    if (pool->mode != BRG__POOL_OPEN && pool->mode != BRG__POOL_DRAIN)
        return BRG_CLOSED;
    if (pool->breaker_until != 0)
        return BRG_UNAVAILABLE;
    brg_task *task = brg__task_new_locked(pool);
    if (task == NULL)
        return BRG_NO_MEMORY;
    bool is_named = brg__pool_has_processes(pool);
    brg__work work = {.argument = strand, .kind = BRG__TASK_INTERNAL | BRG__TASK_HANDLE};
    if (is_named) {
        work.name = BRG__TASK_EACH;
        work.input = brg_value_ref(strand->input);
    } else {
        work.call = strand_run;
    }
    const brg_submit_options options = {.size = sizeof(options),
                                        .priority = strand->priority,
                                        .run_timeout_ns = is_named ? pool->options.run_timeout_ns : BRG_FOREVER,
                                        .queue_timeout_ns = BRG_FOREVER,
                                        .attempts_max = 1};
    brg__submit_fill_locked(pool, task, &work, &options, false);
    task->xreferences = 1; /* as of a task with a token: it may be withdrawn out of a hand */
    task->id = pool->submitted + 1;
    task->ticket = 0;
    pool->submitted++;
    pool->internal++;
    strand->task = task;
    brg__pool_count_locked(pool, task);
    brg__task_ready_locked(pool, task);
    return BRG_OK;
}

brg_status brg__strand_start(brg__strand *strand, brg_error *error)
{
    brg_pool *pool = strand->pool;
    const brg_submit_options options = {.size = sizeof(options), .error = error};
    brg__pool_lock(pool);
    bool is_late = pool->mode == BRG__POOL_DRAIN && !strand->is_more;
    brg_status status = is_late ? BRG_CLOSED : strand_submit_locked(strand);
    if (status != BRG_OK)
        brg__submit_error(pool, &options, status);
    brg__pool_unlock(pool);
    return status;
}

void brg__strand_withdraw(brg__strand *strand)
{
    brg_pool *pool = strand->pool;
    brg__pool_lock(pool);
    if (strand->task != NULL && brg__task_withdraw_locked(strand->task))
        brg__pool_check_idle_locked(pool);
    brg__pool_unlock(pool);
}

void brg__strand_cancel(brg__strand *strand)
{
    brg_pool *pool = strand->pool;
    brg__pool_lock(pool);
    if (strand->task != NULL && brg__task_cancel_locked(strand->task) == BRG_OK)
        brg__pool_check_idle_locked(pool);
    brg__pool_unlock(pool);
}

void brg__strand_ended_locked(brg_task *task, const brg__outcome *outcome)
{
    brg__strand *strand = task->argument;
    brg_pool *pool = task->pool;
    pool->internal_ended++;
    if (task->attempts != 0)
        brg__see_chunk_locked(task, task->slot, BRG_EVENT_CHUNK_ENDED, outcome->status, outcome->run_ns);
    if (task->slot != NULL && outcome->status == BRG_OK)
        task->slot->settled_before++; /* it counts as served, and was no user's */
    strand->task = NULL;
    strand->output = outcome->output == NULL ? NULL : brg_value_ref(outcome->output);
    brg_status status = outcome->status;
    const brg_error *error = outcome->error;
    while (strand->ended(strand, status, error)) {
        status = strand_submit_locked(strand);
        error = NULL;
        if (status == BRG_OK)
            return;
    }
}

/* ---- inside ------------------------------------------------------------------------------------------------------ */

brg_context *brg__strand_context(const brg_pool *pool)
{
    return brg__pool_own_slot(pool) == NULL ? NULL : brg__context_current();
}

bool brg__strand_must_share(const brg_pool *pool) { return brg_load_relaxed(&pool->schedule.xready) != 0; }

static void strand_call(brg_context *context, void (*call)(void *argument, brg_context *context), void *argument)
{
    brg__arena_mark mark = brg__context_arena_mark(context);
    brg_value *detail = context->failure_detail;
    context->failure_detail = NULL;
    call(argument, context);
    brg_value_unref(context->failure_detail);
    context->failure_detail = detail;
    brg__context_arena_back(context, &mark);
}

/* In a task that has recorded why it fails. */
static __attribute__((noinline)) void strand_call_apart(brg_context *context,
                                                        void (*call)(void *argument, brg_context *context),
                                                        void *argument)
{
    brg_error failure = context->failure;
    memset(&context->failure, 0, sizeof(context->failure));
    strand_call(context, call, argument);
    context->failure = failure;
}

static bool strand_has_failure(const brg_context *context)
{
    return context->failure.status != BRG_OK || context->failure.message[0] != '\0';
}

void brg__strand_call(brg_context *context, void (*call)(void *argument, brg_context *context), void *argument)
{
    if (BRG__UNLIKELY(strand_has_failure(context)))
        strand_call_apart(context, call, argument);
    else
        strand_call(context, call, argument);
}

void brg__strand_begin_asking(brg_context *context, brg__asking *asking, const uint32_t *xasked)
{
    *asking = (brg__asking){.xasked = xasked, .outer = context->asking};
    context->asking = asking;
}

void brg__strand_end_asking(brg_context *context, const brg__asking *asking)
{
    const brg_worker *worker = context->owner;
    context->asking = asking->outer;
    if (BRG__LIKELY(brg_load_relaxed(asking->xasked) == 0) || worker->xcancel_event < 0)
        return;
    brg__event_clear(worker->xcancel_event);
    if (brg_context_cancelled(context)) /* the task is asked, too, or what is around this */
        brg__event_signal(worker->xcancel_event);
}

uint32_t brg__strand_nesting(const brg_context *context) { return context->nesting; }

void brg__strand_ring(brg_context *context, uint32_t nesting) { brg__worker_ring(context->owner, context, nesting); }

brg_status brg__strand_conclude(brg_context *context, brg_status returned, brg_error *why)
{
    brg_error *failure = &context->failure;
    brg_status status = brg__context_conclude(context, returned, "function");
    if (status != BRG_OK)
        *why = *failure;
    if (strand_has_failure(context))
        memset(failure, 0, sizeof(*failure));
    brg_value_unref(context->failure_detail);
    context->failure_detail = NULL;
    return status;
}

brg_status brg__strand_run_each(brg_context *context, const char *name, bool stops, brg_view items, size_t first,
                                size_t end, brg_value **out)
{
    const brg__each each = {.name = name, .stops = stops, .items = items, .first = first, .end = end};
    return brg__context_run_each(context, &each, out);
}

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

void brg__strand_hold_pool(brg_pool *pool) { brg__pool_ref(pool); }
void brg__strand_drop_pool(brg_pool *pool) { brg__pool_unref(pool); }

brg_status brg__strand_check(const brg_pool *pool, brg_error *error)
{
    if (pool == NULL)
        return brg_error_set(error, BRG_INVALID, "flow", "the pool must not be NULL");
    if (pool->generation != brg__fork_generation())
        return brg_error_set(error, BRG_FORKED, "flow", "the pool belongs to the parent of this forked process");
    return BRG_OK;
}

bool brg__strand_has_processes(const brg_pool *pool) { return brg__pool_has_processes(pool); }
bool brg__strand_has_loop(const brg_pool *pool) { return pool->options.loop != NULL; }

uint32_t brg__strand_workers(const brg_pool *pool)
{
    return (uint32_t)brg__max(1, brg_load_relaxed(&pool->options.workers_max));
}

bool brg__strand_has_module(const brg_pool *pool)
{
    return pool->options.module != NULL || pool->options.linked_module != NULL;
}

size_t brg__strand_bytes_max(const brg_pool *pool) { return pool->options.message_bytes_max; }
uint64_t brg__strand_run_timeout(const brg_pool *pool) { return brg_load_relaxed(&pool->options.run_timeout_ns); }

bool brg__strand_tries_again(const brg_pool *pool, brg_status status, uint32_t attempts)
{
    return attempts < brg_load_relaxed(&pool->options.attempts_max) &&
           (brg_load_relaxed(&pool->options.retry_on) & brg__retry_class(status)) != 0;
}

brg_status brg__strand_expect(brg_pool *pool, brg_error *error)
{
    const brg_submit_options options = {.size = sizeof(options), .error = error};
    brg_status status = BRG_OK;
    brg__pool_lock(pool);
    if (pool->mode == BRG__POOL_OPEN) {
        pool->with_done++;
        brg__loop_hold(pool->options.loop);
    } else {
        status = brg__submit_error(pool, &options, BRG_CLOSED);
    }
    brg__pool_unlock(pool);
    return status;
}

void brg__strand_unexpect(brg_pool *pool)
{
    brg__pool_lock(pool);
    pool->with_done--;
    brg__loop_unhold(pool->options.loop);
    brg__pool_notify(pool);
    brg__pool_unlock(pool);
}

void brg__strand_tell(brg_pool *pool, brg__completion *completion) { brg__loop_post(pool->options.loop, completion); }
void brg__strand_told(brg_pool *pool) { brg__pool_delivered(pool); }
