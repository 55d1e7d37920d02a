/* SPDX-License-Identifier: MIT */
/*
 * Sweeps.
 *
 * A sweep has a strand for each worker that may take part (pool/strand.h): one that runs claims chunks from a counter
 * under the sweep's lock until there are none. A claim tells what the chunk before took; with chunks of 100 us the lock
 * is cheap, and makes the end simple to see. A strand that has run for SWEEP_TURN_NS while others wait for a worker ends
 * its task and goes back into the queue, behind them. Who calls from a task of the same pool is a strand itself, without
 * a task, and then waits for those that run: it waits only for chunks that began after it, on other workers, so there
 * is no circle.
 *
 * It is over when no strand runs and nothing is left to claim, or nobody to claim it. Strands that wait in the queue
 * then are withdrawn; one that starts meanwhile finds it closed. A strand whose thread was abandoned in a chunk counts as
 * running no more (SWEEP_LOST), and touches only the sweep when it comes back.
 *
 * Who frees: references. One is the caller's or the completion's, one each strand's whose task has not settled, one each
 * thread's that is in a strand: an abandoned one keeps it. What it holds of the user's, the token, goes when it is over.
 *
 * Locks: sweep->lock takes nothing but a leaf; strands end, and are told of, under the pool's.
 */
#include "flow/sweep_state.h"

#include <string.h>

#include "base/options.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/park.h"
#include "os/waiter.h"

#define SWEEP_LOOK_NS BRG_MILLISECONDS(5) /* how often a waiting caller looks at its token */
#define SWEEP_SPIN_NS BRG_MICROSECONDS(50)

/* ---- life -------------------------------------------------------------------------------------------------------- */

void brg__sweep_unref(brg__sweep *sweep)
{
    if (brg_sub_acq_rel(&sweep->xreferences, 1u) != 1)
        return;
    brg_pool *pool = sweep->pool;
    sweep->work->free(sweep->work);
    brg__mfree(sweep);
    brg__strand_drop_pool(pool);
}

static brg__sweep *sweep_new(brg_pool *pool, uint64_t count, brg__sweep_work *work, const brg_flow_options *options)
{
    uint64_t strands = brg__min(options->workers_max, brg__max(1, count));
    brg__sweep *sweep = brg__calloc(1, sizeof(*sweep) + (strands + 1) * sizeof(sweep->strands[0]));
    if (sweep == NULL)
        return NULL;
    sweep->xreferences = 1;
    sweep->pool = pool;
    sweep->work = work;
    sweep->options = *options;
    sweep->count = count;
    sweep->strand_count = (uint32_t)strands;
    sweep->rule = (brg__chunk_rule){.min = brg__max(1, options->chunk_min),
                                    .max = options->chunk_max == 0 ? UINT64_MAX : options->chunk_max,
                                    .time_ns = BRG__CHUNK_NS,
                                    .strands = (uint32_t)strands};
    sweep->xfailed = UINT64_MAX;
    brg__lock_init(&sweep->lock, BRG__RANK_FLOW, "sweep");
    for (uint32_t i = 0; i <= strands; i++) {
        brg__sweep_strand *own = &sweep->strands[i];
        own->sweep = sweep;
        own->strand = (brg__strand){.pool = pool,
                                    .priority = options->priority,
                                    .run = brg__sweep_strand_run,
                                    .ended = brg__sweep_strand_ended};
    }
    if (options->token != NULL)
        brg_token_ref(options->token);
    brg__strand_hold_pool(pool);
    work->sweep = sweep;
    brg__seen_init(&sweep->seen, pool, options->name != NULL ? options->name : work->name, work->function);
    return sweep;
}

bool brg__sweep_has_lost(const brg__sweep *sweep) { return sweep->has_lost; }

/* ---- its end ----------------------------------------------------------------------------------------------------- */

void brg__sweep_close_locked(brg__sweep *sweep, brg_status status, const char *why)
{
    sweep->closed = true;
    if (sweep->status == BRG_OK && status != BRG_OK)
        sweep->status = brg_error_set(&sweep->error, status, "flow", "%s", why);
}

bool brg__sweep_ends_locked(brg__sweep *sweep)
{
    if (sweep->is_over || sweep->running != 0)
        return false;
    bool exhausted = sweep->closed || sweep->next == sweep->count;
    if (!exhausted && sweep->waiting != 0)
        return false;
    sweep->closed = sweep->is_over = true;
    return true;
}

static void sweep_show_end(brg__sweep *sweep, bool has_pool_lock)
{
    brg__lock_acquire(&sweep->lock); /* one that was abandoned may fail yet */
    brg_status status = sweep->status;
    size_t failures = sweep->failures;
    brg__lock_release(&sweep->lock);
    brg__seen_ended(&sweep->seen, status, failures, has_pool_lock);
}

void brg__sweep_tell(brg__sweep *sweep, bool has_pool_lock)
{
    if (BRG__UNLIKELY(brg__seen_is_watched(&sweep->seen)))
        sweep_show_end(sweep, has_pool_lock);
    bool in_background = sweep->options.done != NULL;
    brg_pool *pool = sweep->pool;
    if (in_background) { /* whose completion has the last reference, perhaps */
        brg__strand_tell(pool, &sweep->completion);
        return;
    }
    brg_store_release(&sweep->xover, 1u); /* pairs with sweep_is_over */
    brg__futex_wake(&sweep->xover, INT32_MAX, BRG__FUTEX_PRIVATE);
}

static void sweep_failed_locked(brg__sweep *sweep, uint64_t index, brg_status status, const brg_error *why)
{
    if (brg_context_cancelled(brg_context_current())) /* the caller's: it was asked before anybody looked */
        brg__sweep_ask_locked(sweep, "a worker of it was asked to end");
    if (BRG__UNLIKELY(sweep->xasked != 0)) { /* whatever it says, it was cancelled */
        if (sweep->status == BRG_OK)
            sweep->status = brg_error_set(&sweep->error, BRG_CANCELLED, "flow", "%s", sweep->why_asked);
        return;
    }
    if (index >= sweep->xfailed)
        return;
    brg_store_relaxed(&sweep->xfailed, index);
    sweep->status = status;
    sweep->error = *why;
}

void brg__sweep_fail(brg__sweep *sweep, uint64_t index, brg_status status, const brg_error *why)
{
    brg__lock_acquire(&sweep->lock);
    sweep->failures++;
    if (sweep->options.errors < BRG_FLOW_SKIP || brg_context_cancelled(brg_context_current()))
        sweep_failed_locked(sweep, index, status, why);
    if (sweep->options.errors == BRG_FLOW_STOP)
        sweep->closed = true;
    brg__lock_release(&sweep->lock);
}

void brg__sweep_stop(brg__sweep *sweep, uint64_t index, brg_status status, const brg_error *why)
{
    brg__lock_acquire(&sweep->lock);
    sweep->failures++;
    sweep_failed_locked(sweep, index, status, why);
    sweep->closed = true;
    brg__lock_release(&sweep->lock);
}

bool brg__sweep_is_past(const brg__sweep *sweep, uint64_t index)
{
    return sweep->options.errors == BRG_FLOW_STOP && index > brg_load_relaxed(&sweep->xfailed);
}

/* ---- from start to end ------------------------------------------------------------------------------------------- */

/* A strand has been started: from now on whoever finds that it ends tells. */
static void sweep_begin(brg__sweep *sweep)
{
    brg__lock_acquire(&sweep->lock);
    sweep->has_begun = true;
    bool ends = sweep->xasked != 0 && brg__sweep_ends_locked(sweep); /* asked before */
    brg__lock_release(&sweep->lock);
    if (ends)
        brg__sweep_tell(sweep, false);
}

/* Starts its strands; why there is none. `takes_part`: the caller is another one. Who calls has a reference. */
static brg_status sweep_start(brg__sweep *sweep, uint32_t strands, bool takes_part, brg_error *error)
{
    brg_status status = BRG_OK;
    brg__lock_acquire(&sweep->lock); /* its token may be cancelled by now */
    sweep->waiting = strands;
    sweep->running = takes_part;
    sweep->has_begun = takes_part;
    for (uint32_t i = 0; i < strands; i++)
        sweep->strands[i].state = BRG__SWEEP_WAITING;
    brg__lock_release(&sweep->lock);
    for (uint32_t i = 0; i < strands; i++) {
        brg_add_relaxed(&sweep->xreferences, 1u);
        if (status == BRG_OK)
            status = brg__strand_start(&sweep->strands[i].strand, i == 0 && !takes_part ? error : NULL);
        if (status == BRG_OK) {
            if (i == 0 && !takes_part)
                sweep_begin(sweep);
            continue;
        }
        brg__lock_acquire(&sweep->lock);
        sweep->strands[i].state = BRG__SWEEP_ENDED;
        sweep->waiting--;
        bool ends = i != 0 && !takes_part && sweep->waiting == 0 && brg__sweep_ends_locked(sweep);
        if (ends && sweep->next < sweep->count && sweep->status == BRG_OK)
            sweep->status = brg_error_set(&sweep->error, status, "flow", "%s", brg_status_text(status));
        brg__lock_release(&sweep->lock);
        brg_sub_relaxed(&sweep->xreferences, 1u); /* never the last */
        if (ends)
            brg__sweep_tell(sweep, false);
        if (i == 0 && !takes_part)
            return status;
    }
    return BRG_OK;
}

static bool sweep_is_over(void *argument)
{
    brg__sweep *sweep = argument;
    return brg_load_acquire(&sweep->xover) != 0;
}

/* Stops it where the caller, or its token, says so. */
static void sweep_look_asked(brg__sweep *sweep)
{
    const brg_context *context = brg_context_current();
    bool asked = context != NULL && brg_context_cancelled(context);
    if (!asked && !brg_token_is_cancelled(sweep->options.token))
        return;
    brg__lock_acquire(&sweep->lock);
    brg__sweep_ask_locked(sweep, asked ? "the calling task was asked to end" : "its token was cancelled");
    bool ends = brg__sweep_ends_locked(sweep);
    brg__lock_release(&sweep->lock);
    if (ends)
        brg__sweep_tell(sweep, false);
}

static _Thread_local brg__spinner sweep_spinner;

static void sweep_wait(brg__sweep *sweep)
{
    if (sweep_spinner.max_ns == 0)
        brg__spinner_init(&sweep_spinner, SWEEP_SPIN_NS);
    (void)brg__spinner_spin(&sweep_spinner, NULL, sweep_is_over, sweep);
    while (!sweep_is_over(sweep)) {
        sweep_look_asked(sweep);
        uint64_t until = brg__waiter_slice(UINT64_MAX);
        if (sweep->options.token != NULL)
            until = brg__min(until, brg__add_saturated(brg__now(), SWEEP_LOOK_NS));
        brg__futex_wait(&sweep->xover, 0, until, BRG__FUTEX_PRIVATE);
    }
}

/* It is over: what waits of it waits no more, and what it came to. */
static brg_status sweep_finish(brg__sweep *sweep, brg_value **output, brg_error *error)
{
    for (uint32_t i = 0; i < sweep->strand_count; i++)
        brg__strand_withdraw(&sweep->strands[i].strand);
    brg__lock_acquire(&sweep->lock);
    brg_status status = sweep->status;
    size_t failures = sweep->failures;
    if (status != BRG_OK && error != NULL)
        *error = sweep->error;
    brg__lock_release(&sweep->lock);
    if (error != NULL && status != BRG_OK)
        error->status = status;
    if (sweep->options.failures != NULL)
        *sweep->options.failures = failures;
    if (sweep->work->finish != NULL)
        status = sweep->work->finish(sweep->work, status, output, error);
    brg__sweep_let_token_go(sweep); /* here, not when the last strand goes: that may hold the pool's lock */
    return status;
}

static brg_task_state sweep_task_state(brg_status status)
{
    return status == BRG_OK          ? BRG_TASK_DONE
           : status == BRG_CANCELLED ? BRG_TASK_CANCELLED
           : status == BRG_LOST      ? BRG_TASK_LOST
                                     : BRG_TASK_FAILED;
}

static void sweep_deliver(brg__completion *completion)
{
    brg__sweep *sweep = brg__container_of(completion, brg__sweep, completion);
    brg_pool *pool = sweep->pool;
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_value *output = NULL;
    brg_result result = {.status = sweep_finish(sweep, &output, &error), .attempts = 1};
    result.state = sweep_task_state(result.status);
    result.output = output;
    result.error = result.status == BRG_OK ? NULL : &error;
    sweep->options.done(&result, sweep->options.user_data);
    brg_value_unref(output);
    brg__strand_hold_pool(pool);
    brg__sweep_unref(sweep);
    brg__strand_told(pool);
    brg__strand_drop_pool(pool);
}

static void sweep_abandon(brg__sweep *sweep, brg_status status)
{
    brg__seen_ended(&sweep->seen, status, 0, false);
    brg__sweep_let_token_go(sweep);
    brg__sweep_unref(sweep);
}

static brg_status sweep_run_here(brg__sweep *sweep, brg_value **output, brg_error *error)
{
    brg_context *context = brg__strand_context(sweep->pool);
    uint32_t strands = sweep->strand_count - (context != NULL);
    if (context != NULL)
        brg__sweep_watch(sweep);
    brg_status status = sweep_start(sweep, strands, context != NULL, error);
    if (status != BRG_OK) {
        sweep_abandon(sweep, status);
        return status;
    }
    if (context != NULL)
        brg__sweep_take_part(sweep, context);
    sweep_wait(sweep);
    status = sweep_finish(sweep, output, error);
    brg__sweep_unref(sweep);
    return status;
}

static brg_status sweep_run_in_background(brg__sweep *sweep, brg_error *error)
{
    brg_pool *pool = sweep->pool;
    brg__sweep_watch(sweep);
    brg_status status = brg__strand_expect(pool, error);
    if (status != BRG_OK) {
        sweep_abandon(sweep, status);
        return status;
    }
    sweep->completion.run = sweep_deliver;
    brg__strand_hold_pool(pool);
    brg_add_relaxed(&sweep->xreferences, 1u); /* the completion's */
    status = sweep_start(sweep, sweep->strand_count, false, error);
    if (status != BRG_OK) {
        sweep_abandon(sweep, status);
        brg__strand_unexpect(pool);
    }
    brg__sweep_unref(sweep);
    brg__strand_drop_pool(pool);
    return status;
}

brg_status brg__sweep_run(brg_pool *pool, uint64_t count, brg__sweep_work *work, const brg_flow_options *options,
                          brg_value **output, brg_error *error)
{
    brg__sweep *sweep = sweep_new(pool, count, work, options);
    if (sweep == NULL) {
        work->free(work);
        return brg__error_memory(error, "a flow");
    }
    brg__seen_started(&sweep->seen, count);
    return options->done != NULL ? sweep_run_in_background(sweep, error) : sweep_run_here(sweep, output, error);
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

brg_status brg__sweep_read(brg_flow_options *to, const brg_pool *pool, const brg_flow_options *from, uint32_t rules,
                           brg_error *error)
{
    brg_status status = brg__strand_check(pool, error);
    if (status == BRG_OK)
        status = brg__options_read(to, sizeof(*to), from, "brg_flow_options", error);
    if (status != BRG_OK)
        return status;
    if (to->done != NULL && !brg__strand_has_loop(pool))
        return brg_error_set(error, BRG_INVALID, "flow", "done needs a pool with a loop; without done the call waits");
    if ((unsigned)to->priority > BRG_PRIORITY_LOW)
        return brg_error_set(error, BRG_INVALID, "flow", "priority %d is unknown", (int)to->priority);
    if ((unsigned)to->errors > BRG_FLOW_COLLECT || (rules >> to->errors & 1u) == 0)
        return brg_error_set(error, BRG_INVALID, "flow", "this call does not take errors = %d", (int)to->errors);
    if (to->chunk_max != 0 && to->chunk_min > to->chunk_max)
        return brg_error_set(error, BRG_INVALID, "flow", "chunk_min is %zu, more than chunk_max, %zu", to->chunk_min,
                             to->chunk_max);
    if (to->name != NULL && strlen(to->name) > BRG_TASK_NAME_MAX)
        return brg_error_set(error, BRG_INVALID, "flow", "name has %zu bytes, at most %d are kept", strlen(to->name),
                             BRG_TASK_NAME_MAX);
    uint32_t workers = brg__strand_workers(pool);
    to->workers_max = to->workers_max == 0 ? workers : (uint32_t)brg__min(workers, to->workers_max);
    return BRG_OK;
}

brg_status brg__sweep_read_arrays(brg_flow_options *to, const brg_pool *pool, const brg_flow_options *from,
                                  uint32_t rules, brg_error *error)
{
    brg_status status = brg__sweep_read(to, pool, from, rules, error);
    if (status == BRG_OK && brg__strand_has_processes(pool))
        return brg_error_set(error, BRG_UNSUPPORTED, "flow",
                             "process workers cannot see this program's functions and arrays: map values over a task");
    return status;
}
