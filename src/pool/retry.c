/* SPDX-License-Identifier: MIT */
/* Whether a failed attempt is worth another one, and when that is. */
#include "base/random.h"
#include "os/clock.h"
#include "pool/observe.h"
#include "pool/pool.h"
#include "pool/progress.h"

/* Ports and descriptors in the input move to the worker: what it took is gone with it. */
bool brg__task_can_run_again(const brg_task *task) { return task->input == NULL || brg__value_is_whole(task->input); }

uint32_t brg__retry_class(brg_status status)
{
    switch (status) {
    case BRG_CRASHED:
    case BRG_EXITED:
    case BRG_PROTOCOL:
    case BRG_LOST:
        return BRG_RETRY_CRASH;
    case BRG_TIMED_OUT:
        return BRG_RETRY_TIMEOUT;
    case BRG_NO_MEMORY:
        return BRG_RETRY_MEMORY;
    case BRG_UNAVAILABLE:
    case BRG_FULL:
    case BRG_SYSTEM:
        return BRG_RETRY_TRANSIENT;
    case BRG_OK:
    case BRG_CANCELLED:
    case BRG_POISONED:
    case BRG_NOT_FOUND:
        return 0;
    default:
        return BRG_RETRY_FAILED;
    }
}

bool brg__task_may_retry(const brg_task *task, brg_status status)
{
    const brg_pool_options *options = &task->pool->options;
    return task->attempts < task->attempts_max && (options->retry_on & brg__retry_class(status)) != 0 &&
           !brg__task_is(task, BRG__TASK_CARRIER | BRG__TASK_INTERNAL) && !task->cancel_asked &&
           brg__task_can_run_again(task) && task->pool->mode < BRG__POOL_STOP &&
           (!brg__task_is(task, BRG__TASK_CLOCK) || brg__now() < task->deadline_ns);
}

uint64_t brg__retry_delay(const brg_pool_options *options, uint32_t attempts, uint64_t random)
{
    uint64_t delay = options->retry_delay_ns;
    if (options->retry_backoff == BRG_BACKOFF_EXPONENTIAL) {
        uint32_t doublings = attempts == 0 ? 0 : attempts - 1;
        delay = doublings >= 63 || delay > options->retry_delay_max_ns >> doublings ? options->retry_delay_max_ns
                                                                                    : delay << doublings;
    }
    delay = brg__min(delay, options->retry_delay_max_ns);
    uint64_t spread = delay / 100 * options->retry_jitter_percent;
    return spread == 0 ? delay : delay - random % (spread + 1);
}

static void retry_queued(brg_task *task)
{
    uint32_t state = brg_load_relaxed(&task->xstate);
    while (!brg_cas_acq_rel(&task->xstate, &state, (state & ~BRG__TASK_STATE_MASK) | (uint32_t)BRG_TASK_QUEUED))
        ;
    task->slot = NULL;
    if (task->progress != NULL)
        brg__progress_over_locked(task->progress, false);
}

void brg__task_again_locked(brg_task *task)
{
    bool was_batched = brg_load_relaxed(&task->place) == BRG__PLACE_BATCH; /* it was never in the schedule */
    retry_queued(task);
    if (was_batched) {
        brg__pool_count_locked(task->pool, task);
        brg__task_ready_locked(task->pool, task);
    } else {
        brg__task_put_back_locked(task->pool, task);
    }
    brg__pool_dispatch_locked(task->pool);
}

void brg__task_retry_locked(brg_task *task, brg_status why, brg__settled *counts)
{
    brg_pool *pool = task->pool;
    uint64_t delay = pool->options.retry_delay_ns == 0
                         ? 0
                         : brg__retry_delay(&pool->options, task->attempts, brg__random_next(&pool->random));
    brg__see_task_retried_locked(pool, task, task->slot, why, delay);
    brg_store_relaxed(&counts->retried, counts->retried + 1);
    if (pool->options.retry_delay_ns == 0) {
        brg__task_again_locked(task);
        return;
    }
    retry_queued(task);
    brg__pool_count_locked(pool, task);
    brg__task_delay_locked(pool, task, brg__deadline(delay));
}
