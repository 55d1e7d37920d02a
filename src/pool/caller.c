/* SPDX-License-Identifier: MIT */
/*
 * Tasks that run in their submitter because the queue is full: whoever makes work faster than it is done does it, and
 * makes no more meanwhile. On a worker of the pool the task is nested in the one that submits it. Elsewhere it gets
 * a context of its own, which is no worker's: no loop, no messages, no worker_start. Nobody can end the submitter, so
 * run timeouts are not enforced; cancelling tells the task.
 */
#include "pool/caller.h"

#include <string.h>

#include "os/clock.h"
#include "pool/help.h"
#include "pool/metrics.h"
#include "pool/observe.h"
#include "worker/module.h"

#define CALLER_ARENA_DEFAULT ((size_t)256 << 20)
#define CALLER_TICKET 1 /* there is one task per context */

static brg_status caller_post(brg_context *context, brg_value *message, uint64_t timeout_ns, brg_error *error)
{
    (void)context, (void)message, (void)timeout_ns;
    return brg_error_set(error, BRG_UNSUPPORTED, "pool", "a task that runs in its submitter has no owner to tell");
}

static brg_status caller_receive(brg_context *context, brg_value **message, uint64_t timeout_ns)
{
    (void)context, (void)message, (void)timeout_ns;
    return BRG_CLOSED;
}

static int caller_no_descriptor(brg_context *context)
{
    (void)context;
    return -1;
}

static bool caller_is_asked(brg_context *context) { return brg_context_cancelled(context); }

static const brg__context_ops caller_ops = {.post = caller_post,
                                            .receive = caller_receive,
                                            .cancel_fd = caller_no_descriptor,
                                            .asked = caller_is_asked,
                                            .bell = caller_no_descriptor};

static const brg_module *caller_module(const brg_pool *pool)
{
    const brg_module *module = NULL;
    brg_error error;
    if (pool->options.module == NULL && pool->options.linked_module == NULL)
        return NULL;
    if (brg__module_shared(pool->options.module, pool->options.linked_module, &module, &error) != BRG_OK)
        return NULL;
    return module;
}

bool brg__caller_may_run(const brg_pool *pool, const brg_submit_options *options)
{
    if (brg__pool_has_processes(pool) || options->after_count != 0 || options->delay_ns != 0 || options->tags != 0 ||
        brg_load_relaxed(&pool->options.batch_size) > 1 || options->on_progress != NULL || options->progress_max != 0)
        return false; /* the last two: who would take the values waits here */
    if (brg__pool_own_slot(pool) != NULL || (pool->options.module == NULL && pool->options.linked_module == NULL))
        return true;
    const brg_module *module = caller_module(pool);
    return module != NULL && module->worker_start == NULL;
}

void brg__caller_cancel_locked(brg_task *task)
{
    if (task->xcancel != NULL)
        brg_store_relaxed(task->xcancel, (uint64_t)CALLER_TICKET);
}

/* Runs it in a context of its own. */
static void caller_run_alone(brg_pool *pool, brg_task *task)
{
    uint64_t cancel = 0;
    brg_context context;
    brg__context_init(&context, &caller_ops, NULL, caller_module(pool));
    context.worker_name = "submitter";
    context.isolation = BRG_ISOLATION_THREAD;
    context.is_pooled = true;
    context.xcancel = &cancel;
    context.arena_max = pool->options.limits.arena_bytes_max != 0 ? pool->options.limits.arena_bytes_max
                                                                  : CALLER_ARENA_DEFAULT;
    brg__pool_lock(pool);
    /* cppcheck-suppress autoVariables ; taken back below, before it goes */
    task->xcancel = &cancel;
    if (task->cancel_asked)
        cancel = CALLER_TICKET;
    task->attempts++;
    brg__see_started(pool, NULL, task, NULL, 0);
    brg__pool_unlock(pool);
    brg__outcome outcome = {.status = BRG_OK};
    brg__context_begin(&context, CALLER_TICKET, task->attempts);
    uint64_t started = task->started_ns = brg__task_is_timed(task) ? brg__now() : 0;
    if (task->call != NULL)
        outcome.status = brg__context_conclude(&context, task->call(&context, task->argument), "function");
    else
        outcome.status = brg__context_run_named(&context, task->name, strlen(task->name), task->input, &outcome.output);
    if (started != 0)
        outcome.run_ns = brg__now() - started;
    outcome.error = &context.failure;
    outcome.detail = outcome.status == BRG_OK ? NULL : context.failure_detail;
    if (outcome.detail != NULL)
        context.failure_detail = NULL;
    brg__pool_lock(pool);
    task->xcancel = NULL;
    if (task->cancel_asked && outcome.status != BRG_OK) {
        outcome.status = BRG_CANCELLED;
        outcome.error = brg__error_of_status(BRG_CANCELLED);
    }
    if (outcome.status != BRG_OK && brg__task_may_retry(task, outcome.status)) { /* it waits for a worker then */
        brg_value_unref(outcome.output);
        brg_value_unref(outcome.detail);
        brg__task_retry_locked(task, outcome.status, &pool->settled);
    } else {
        brg__task_settle(task, &outcome, &pool->settled, NULL);
        brg__pool_check_idle_locked(pool);
    }
    brg__pool_unlock(pool);
    brg__context_end(&context);
    brg__context_done(&context);
}

void brg__caller_run(brg_pool *pool, brg_task *task)
{
    brg__pool_ref(pool); /* its user may end it in the task's callback */
    brg__slot *slot = brg__pool_own_slot(pool);
    if (slot == NULL) {
        caller_run_alone(pool, task);
    } else if (!brg__help_run_new(task, slot)) {
        brg__pool_lock(pool); /* too deep: it waits, whatever the bound */
        brg__pool_count_locked(pool, task);
        brg__task_ready_locked(pool, task);
        brg__pool_unlock(pool);
    }
    brg__pool_unref(pool);
}
