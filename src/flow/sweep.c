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
 * Locks: sweep->lock is a leaf; strands end, and are told of, under the pool's.
 */
#include "flow/sweep.h"

#include <string.h>

#include "base/options.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/park.h"
#include "os/waiter.h"

#define SWEEP_TURN_NS BRG_MILLISECONDS(2)
#define SWEEP_LOOK_NS BRG_MILLISECONDS(5) /* how often a waiting caller looks at its token */
#define SWEEP_SPIN_NS BRG_MICROSECONDS(50)

typedef enum sweep_state {
    SWEEP_ENDED = 0,
    SWEEP_WAITING, /* its task does, or will in a moment */
    SWEEP_RUNNING,
    SWEEP_LOST
} sweep_state;

typedef struct sweep_strand {
    brg__strand strand;
    brg__sweep *sweep;
    sweep_state state;
    uint64_t last; /* elements of its chunk before */
} sweep_strand;

struct brg__sweep {
    uint32_t xreferences;
    brg_pool *pool;
    brg__sweep_work *work;
    brg_flow_options options;
    brg__chunk_rule rule;
    uint64_t count;
    brg__completion completion;

    brg__lock lock; /* a leaf; guards what follows */
    uint64_t next;  /* to be claimed */
    uint64_t cost;
    uint32_t waiting, running; /* strands */
    bool closed;               /* nothing is claimed any more */
    bool is_over;
    bool has_lost; /* a strand */
    brg_status status;
    uint64_t xfailed; /* the lowest index that failed; UINT64_MAX: none */
    size_t failures;
    brg_error error;
    uint32_t xover; /* futex: 1 when it is */

    uint32_t strand_count;
    sweep_strand strands[]; /* and one more, the caller's */
};

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void sweep_unref(brg__sweep *sweep)
{
    if (brg_sub_acq_rel(&sweep->xreferences, 1u) != 1)
        return;
    brg_pool *pool = sweep->pool;
    sweep->work->free(sweep->work);
    brg__mfree(sweep);
    brg__strand_drop_pool(pool);
}

static void strand_run(brg__strand *strand, brg_context *context);
static bool strand_ended(brg__strand *strand, brg_status status, const brg_error *error);

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
    brg__lock_init(&sweep->lock, BRG__RANK_LEAF, "sweep");
    for (uint32_t i = 0; i <= strands; i++) {
        sweep_strand *own = &sweep->strands[i];
        own->sweep = sweep;
        own->strand = (brg__strand){
            .pool = pool, .priority = options->priority, .run = strand_run, .ended = strand_ended};
    }
    if (options->token != NULL)
        brg_token_ref(options->token);
    brg__strand_hold_pool(pool);
    work->sweep = sweep;
    return sweep;
}

bool brg__sweep_has_lost(const brg__sweep *sweep) { return sweep->has_lost; }

/* ---- its end ----------------------------------------------------------------------------------------------------- */

/* No more is claimed; why, if nothing was wrong before. */
static void sweep_close_locked(brg__sweep *sweep, brg_status status, const char *why)
{
    sweep->closed = true;
    if (sweep->status == BRG_OK && status != BRG_OK)
        sweep->status = brg_error_set(&sweep->error, status, "flow", "%s", why);
}

/* Whether it is over from now on: the caller then tells, once the lock is released. */
static bool sweep_ends_locked(brg__sweep *sweep)
{
    if (sweep->is_over || sweep->running != 0)
        return false;
    bool exhausted = sweep->closed || sweep->next == sweep->count;
    if (!exhausted && sweep->waiting != 0)
        return false;
    sweep->closed = sweep->is_over = true;
    return true;
}

static void sweep_tell(brg__sweep *sweep)
{
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
    if (sweep->options.errors < BRG_FLOW_SKIP)
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

/* ---- strands ----------------------------------------------------------------------------------------------------- */

/* A strand at work. */
typedef struct sweep_turn {
    brg__sweep *sweep;
    sweep_strand *own;
    brg_context *context;
    bool has_task;
    uint64_t began, claimed; /* times */
    uint64_t first, end;     /* the chunk */
} sweep_turn;

/* Whether the strand, which has ended a chunk, goes back into the queue. */
static bool turn_is_over(const sweep_turn *turn, uint64_t now)
{
    return turn->has_task && now - turn->began >= SWEEP_TURN_NS && brg__strand_must_share(turn->sweep->pool);
}

static void turn_look_asked_locked(const sweep_turn *turn)
{
    brg__sweep *sweep = turn->sweep;
    if (sweep->closed || sweep->next == sweep->count)
        return;
    if (brg_context_cancelled(turn->context))
        sweep_close_locked(sweep, BRG_CANCELLED, "a worker of it was asked to end");
    else if (brg_token_is_cancelled(sweep->options.token))
        sweep_close_locked(sweep, BRG_CANCELLED, "its token was cancelled");
}

/* The chunk before is done. Takes the next one; false: the strand has left the sweep, or waits again. */
static bool turn_claim(sweep_turn *turn)
{
    brg__sweep *sweep = turn->sweep;
    sweep_strand *own = turn->own;
    uint64_t now = brg__now_real(), size = turn->end - turn->first;
    brg__lock_acquire(&sweep->lock);
    if (own->state == SWEEP_LOST) {
        brg__lock_release(&sweep->lock);
        return false;
    }
    if (size != 0)
        sweep->cost = brg__chunk_learn(sweep->cost, now - turn->claimed, size);
    turn_look_asked_locked(turn);
    bool has_more = !sweep->closed && sweep->next < sweep->count;
    bool goes_on = has_more && !turn_is_over(turn, now);
    if (goes_on) {
        size = brg__chunk_size(&sweep->rule, sweep->count - sweep->next, sweep->cost, own->last);
        turn->first = sweep->next;
        turn->end = sweep->next += size;
        turn->claimed = now;
        own->last = size;
    } else {
        sweep->running--;
        sweep->waiting += has_more;
        own->state = has_more ? SWEEP_WAITING : SWEEP_ENDED;
    }
    bool ends = sweep_ends_locked(sweep);
    brg__lock_release(&sweep->lock);
    if (ends)
        sweep_tell(sweep);
    return goes_on;
}

static void turn_chunk(void *argument, brg_context *context)
{
    sweep_turn *turn = argument;
    brg__sweep_work *work = turn->sweep->work;
    work->run(work, context, turn->first, turn->end, (uint32_t)(turn->own - turn->sweep->strands));
}

/* The strand counts as running already. */
static void turn_run(sweep_turn *turn)
{
    turn->began = brg__now_real();
    while (turn_claim(turn))
        brg__strand_call(turn->context, turn_chunk, turn);
}

static void strand_run(brg__strand *strand, brg_context *context)
{
    sweep_strand *own = brg__container_of(strand, sweep_strand, strand);
    brg__sweep *sweep = own->sweep;
    sweep_turn turn = {.sweep = sweep, .own = own, .context = context, .has_task = true};
    brg_add_relaxed(&sweep->xreferences, 1u); /* there is the task's */
    brg__lock_acquire(&sweep->lock);
    own->state = SWEEP_RUNNING;
    sweep->waiting--;
    sweep->running++;
    brg__lock_release(&sweep->lock);
    turn_run(&turn);
    sweep_unref(sweep);
}

/* Its task settled. Under the pool's lock. */
static bool strand_ended(brg__strand *strand, brg_status status, const brg_error *error)
{
    sweep_strand *own = brg__container_of(strand, sweep_strand, strand);
    brg__sweep *sweep = own->sweep;
    const char *why = error != NULL && error->message[0] != '\0' ? error->message : brg_status_text(status);
    brg__lock_acquire(&sweep->lock);
    bool again = status == BRG_OK && own->state == SWEEP_WAITING && !sweep->closed;
    if (own->state == SWEEP_WAITING && !again) {
        own->state = SWEEP_ENDED;
        sweep->waiting--;
        if (sweep->waiting == 0 && sweep->running == 0 && sweep->next < sweep->count)
            sweep_close_locked(sweep, status, why);
    } else if (own->state == SWEEP_RUNNING) { /* in a chunk that does not end */
        own->state = SWEEP_LOST;
        sweep->has_lost = true;
        sweep->running--;
        sweep_close_locked(sweep, status, why);
    }
    bool ends = sweep_ends_locked(sweep);
    brg__lock_release(&sweep->lock);
    if (ends)
        sweep_tell(sweep);
    if (!again)
        sweep_unref(sweep);
    return again;
}

/* ---- from start to end ------------------------------------------------------------------------------------------- */

/* Starts its strands; why there is none. `takes_part`: the caller is another one. Who calls has a reference. */
static brg_status sweep_start(brg__sweep *sweep, uint32_t strands, bool takes_part, brg_error *error)
{
    brg_status status = BRG_OK;
    sweep->waiting = strands;
    sweep->running = takes_part;
    for (uint32_t i = 0; i < strands; i++)
        sweep->strands[i].state = SWEEP_WAITING;
    for (uint32_t i = 0; i < strands; i++) {
        brg_add_relaxed(&sweep->xreferences, 1u);
        if (status == BRG_OK)
            status = brg__strand_start(&sweep->strands[i].strand, i == 0 && !takes_part ? error : NULL);
        if (status == BRG_OK)
            continue;
        brg__lock_acquire(&sweep->lock);
        sweep->strands[i].state = SWEEP_ENDED;
        sweep->waiting--;
        bool ends = i != 0 && !takes_part && sweep->waiting == 0 && sweep_ends_locked(sweep);
        if (ends && sweep->next < sweep->count && sweep->status == BRG_OK)
            sweep->status = brg_error_set(&sweep->error, status, "flow", "%s", brg_status_text(status));
        brg__lock_release(&sweep->lock);
        brg_sub_relaxed(&sweep->xreferences, 1u); /* never the last */
        if (ends)
            sweep_tell(sweep);
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
    if (!sweep->closed && sweep->next < sweep->count)
        sweep_close_locked(sweep, BRG_CANCELLED,
                           asked ? "the calling task was asked to end" : "its token was cancelled");
    bool ends = sweep_ends_locked(sweep);
    brg__lock_release(&sweep->lock);
    if (ends)
        sweep_tell(sweep);
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
    brg_token_unref(sweep->options.token); /* here, not when the last strand goes: that may hold the pool's lock */
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
    sweep_unref(sweep);
    brg__strand_told(pool);
    brg__strand_drop_pool(pool);
}

static void sweep_abandon(brg__sweep *sweep)
{
    brg_token_unref(sweep->options.token);
    sweep_unref(sweep);
}

static brg_status sweep_run_here(brg__sweep *sweep, brg_value **output, brg_error *error)
{
    brg_context *context = brg__strand_context(sweep->pool);
    uint32_t strands = sweep->strand_count - (context != NULL);
    brg_status status = sweep_start(sweep, strands, context != NULL, error);
    if (status != BRG_OK) {
        sweep_abandon(sweep);
        return status;
    }
    if (context != NULL) {
        sweep_strand *own = &sweep->strands[sweep->strand_count];
        own->state = SWEEP_RUNNING;
        sweep_turn turn = {.sweep = sweep, .own = own, .context = context};
        turn_run(&turn);
    }
    sweep_wait(sweep);
    status = sweep_finish(sweep, output, error);
    sweep_unref(sweep);
    return status;
}

static brg_status sweep_run_in_background(brg__sweep *sweep, brg_error *error)
{
    brg_pool *pool = sweep->pool;
    brg_status status = brg__strand_expect(pool, error);
    if (status != BRG_OK) {
        sweep_abandon(sweep);
        return status;
    }
    sweep->completion.run = sweep_deliver;
    brg__strand_hold_pool(pool);
    brg_add_relaxed(&sweep->xreferences, 1u); /* the completion's */
    status = sweep_start(sweep, sweep->strand_count, false, error);
    if (status != BRG_OK) {
        sweep_abandon(sweep);
        brg__strand_unexpect(pool);
    }
    sweep_unref(sweep);
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
