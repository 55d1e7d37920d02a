/* SPDX-License-Identifier: MIT */
/*
 * Tasks on thread workers: they pull.
 *
 * A worker takes a handful of tasks under the pool's lock, as many as run in BRG__HAND_NS by its running average, one
 * when tasks are long or unknown, and never more than its share of the queue. It then starts them one by one without
 * the lock. A hand is a small ring claimed by compare-and-swap on (epoch, next, end): the worker takes from the front,
 * and under the pool's lock an idle worker, or the supervisor when the worker is stuck, takes the rest back to the
 * queue's front. So no task waits behind a long one that was taken with it while somebody is idle.
 *
 * Sleeping: an idle worker that found nothing puts itself on the idle list under the lock that submit holds, so no
 * submit is missed. A few workers, half as many as CPUs, may be searching: from just before they settle the last task
 * they hold, through their spin, until they take tasks or go to sleep. Submit wakes nobody while one searches; it
 * always looks at the queue under the lock before it sleeps. A worker that takes tasks and leaves some wakes the next
 * (Go's and tokio's rule), unless they are few and short (ready.c).
 */
#include <string.h>

#include "os/clock.h"
#include "os/thread.h"
#include "pool/batch.h"
#include "pool/fork_pool.h"
#include "pool/hand.h"
#include "pool/metrics.h"
#include "pool/observe.h"
#include "pool/pool.h"
#include "pool/progress.h"
#include "worker/batch.h"

/* How long to wait for more short tasks before a take, up to how many, and how often when none came lately. */
#define GATHER_PAUSES 16 /* some 400 ns */
#define GATHER_ENOUGH 16
#define GATHER_TASK_NS 1000 /* the longest that are short */
#define GATHER_MISSES_MAX 4
#define GATHER_PROBE_INTERVAL 32

/* ---- taking ------------------------------------------------------------------------------------------------------ */

static uint32_t take_count_locked(const brg_pool *pool, const brg__slot *slot)
{
    return brg__hand_count(&pool->schedule, &slot->seat, slot->run_ewma_ns, brg__slot_left_locked(slot));
}

/* Takes back what busy workers hold but have not started, so that the caller has something to do. Where the placement
 * gave each worker its own, it stays its own. One that has just taken and not begun keeps a task: else many idle
 * workers could take the last one from each other for ever, each before it comes to start it. */
static void take_from_others_locked(brg_pool *pool, const brg__slot *self)
{
    if (pool->schedule.assigns && !pool->schedule.steals)
        return;
    for (uint32_t i = 0; i < pool->slot_count && pool->schedule.xready == 0; i++)
        if (pool->slots[i] != self)
            brg__hand_reclaim_rest_locked(pool->slots[i]);
}

/* Counts the worker as searching, if not too many are: half the CPUs, at least one. */
static bool search_begin(brg_pool *pool, brg__slot *slot)
{
    if (slot->searching)
        return true;
    uint32_t allowed = brg__searchers_max(brg__cpu_online());
    if (brg_load_relaxed(&pool->team.xsearching) >= allowed)
        return false;
    if (brg_add_seq_cst(&pool->team.xsearching, 1u) < allowed) {
        slot->searching = true;
        return true;
    }
    brg_sub_relaxed(&pool->team.xsearching, 1u);
    return false;
}

static void search_end(brg_pool *pool, brg__slot *slot)
{
    if (!slot->searching)
        return;
    slot->searching = false;
    brg_sub_relaxed(&pool->team.xsearching, 1u);
}

/* The worker has served long enough: it ends, and gets nothing more. */
static bool take_retires_locked(brg__slot *slot)
{
    if (BRG__LIKELY(!brg__slot_is_due_locked(slot)))
        return false;
    brg__slot_recycle_locked(slot);
    search_end(slot->pool, slot);
    brg__pool_wake_next_locked(slot->pool); /* it may have been woken for a task */
    return true;
}

/*
 * Before a take. Where short tasks come one after the other, who takes each as it comes quarrels with the submitter
 * over the lock, and over the lines that the submitter is about to write: it is better to wait for some more of them,
 * as long as they come. Where none came, as when the caller waits for each, that is tried seldom.
 */
static void take_gather(const brg_pool *pool, brg__slot *slot)
{
    uint32_t before = brg_load_relaxed(&pool->schedule.xready), ready = before;
    if (!slot->searching || ready == 0 || ready >= GATHER_ENOUGH || slot->run_ewma_ns > GATHER_TASK_NS ||
        brg__cpu_online() < 2)
        return;
    if (slot->gather_misses >= GATHER_MISSES_MAX && ++slot->gather_misses % GATHER_PROBE_INTERVAL != 0)
        return;
    slot->gather_misses++;
    for (;;) {
        for (int i = 0; i < GATHER_PAUSES; i++)
            brg__cpu_pause();
        ready = brg_load_relaxed(&pool->schedule.xready);
        if (ready <= before)
            return;
        slot->gather_misses = 0;
        if (ready >= GATHER_ENOUGH)
            return;
        before = ready;
    }
}

/* Whether its worker has just taken tasks that are short by its average, and none of the library's own. */
static bool take_is_brief(const brg__slot *slot)
{
    return slot->run_ewma_ns <= BRG__HAND_NS &&
           !brg__task_is(brg_load_relaxed(&slot->xhand_tasks[slot->seat.held - 1]), BRG__TASK_INTERNAL);
}

/* Fills the worker's hand; false when there is nothing. */
static bool take(brg_pool *pool, brg__slot *slot)
{
    take_gather(pool, slot);
    brg__pool_lock(pool);
    brg__seat_hold(&slot->seat, 0);
    brg__slot_set_brief_locked(slot, false);
    uint32_t count = 0;
    if (!slot->ending && !slot->retiring && !take_retires_locked(slot)) { /* else a task would go with it */
        if (BRG__UNLIKELY(brg__slot_must_park_locked(slot)))
            brg__slot_park_locked(slot);
        if (pool->schedule.xready == 0 && slot->xparked == 0)
            take_from_others_locked(pool, slot);
        count = take_count_locked(pool, slot);
        if (count != 0)
            count = brg__hand_fill_locked(pool, slot, count);
    }
    if (count != 0) {
        brg__pool_room_locked(pool);
        search_end(pool, slot);
        brg__slot_set_brief_locked(slot, take_is_brief(slot));
        if (pool->schedule.xready != 0)
            brg__pool_wake_next_locked(pool);
    } else {
        if (BRG__UNLIKELY(slot->xparked != 0))
            search_end(pool, slot);
        if (!slot->searching && BRG__UNLIKELY(pool->schedule.xready != 0))
            brg__pool_wake_next_locked(pool); /* it is for others than this one */
        brg__pool_check_idle_locked(pool);
    }
    brg__pool_unlock(pool);
    if (count != 0)
        brg__team_pass_on(&pool->team, NULL);
    return count != 0;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* Queued to running; false when it was cancelled in the hand. */
bool brg__run_start(brg_task *task)
{
    uint32_t state = brg_load_relaxed(&task->xstate);
    while ((state & BRG__TASK_STATE_MASK) == BRG_TASK_QUEUED)
        if (brg_cas_acq_rel(&task->xstate, &state, (state & ~BRG__TASK_STATE_MASK) | (uint32_t)BRG_TASK_RUNNING))
            return true;
    return false;
}

/* Starts the clocks of the running task. */
static void run_clock(brg_pool *pool, brg__slot *slot, brg_task *task)
{
    task->started_ns = brg__now();
    if (!brg__task_is(task, BRG__TASK_CLOCK)) /* it is only measured */
        return;
    uint64_t deadline = brg__min(task->deadline_ns, brg__add_saturated(task->started_ns, task->run_timeout_ns));
    brg_store_relaxed(&slot->xdeadline, deadline);
    if (brg__task_is_watched(task))
        deadline = brg__min(deadline, brg__heartbeat_begin(slot, task, task->started_ns));
    brg_fence_seq_cst(); /* ours is shown before we look when the timer fires; pairs with brg__pool_timer_fire */
    if (deadline < brg_load_relaxed(&pool->xtimer_at)) {
        brg__pool_lock(pool);
        brg__pool_timer_at(pool, deadline);
        brg__pool_unlock(pool);
    }
}

/* Whether it was: of the worker's end hears the task it runs too. */
static bool run_was_asked(const brg_context *context, const brg_task *task)
{
    uint64_t cancel = brg_load_relaxed(context->xcancel);
    return BRG__UNLIKELY(cancel == task->ticket || cancel == UINT64_MAX);
}

/* Why the task was asked to end, while it is still shown as running: from then on the end of its grace forgets it. */
static brg_status run_asked(brg_pool *pool, const brg__slot *slot, const brg_task *task)
{
    brg__pool_lock(pool);
    brg_status why = slot->kill_ticket == task->ticket ? slot->kill_why : BRG_OK;
    brg__pool_unlock(pool);
    return why;
}

/* How the task ended for its owner, when it was asked to end while it ran. */
static brg_status run_verdict(brg_pool *pool, brg__slot *slot, brg_task *task, brg_status status, brg_status asked)
{
    brg__pool_lock(pool);
    if (slot->kill_ticket == task->ticket) {
        asked = slot->kill_why;
        slot->kill_at = UINT64_MAX;
        slot->kill_ticket = 0;
    }
    brg__pool_unlock(pool);
    return asked == BRG_TIMED_OUT || (asked != BRG_OK && status != BRG_OK) ? asked : status;
}

static void run_settle(brg_pool *pool, brg__slot *slot, brg_task *task, brg_context *context, brg__outcome *outcome,
                       brg_status asked)
{
    brg_status ended = outcome->status;
    if (run_was_asked(context, task))
        outcome->status = run_verdict(pool, slot, task, outcome->status, asked);
    if (BRG__UNLIKELY(outcome->status != BRG_OK)) {
        outcome->error = outcome->status == ended ? &context->failure
                                                  : brg__heartbeat_error(slot, task->ticket, outcome->status);
        outcome->detail = context->failure_detail;
        context->failure_detail = NULL;
        brg__pool_lock(pool);
        bool retry = brg__task_may_retry(task, outcome->status);
        if (retry)
            brg__task_retry_locked(task, outcome->status, &slot->xsettled);
        brg__pool_unlock(pool);
        if (outcome->status != ended || retry) {
            brg_value_unref(outcome->output);
            outcome->output = NULL;
        }
        if (retry) {
            brg_value_unref(outcome->detail);
            return;
        }
    }
    brg__task_settle(task, outcome, &slot->xsettled, slot);
}

/* A named task's output keeps to the same bound as in a process. */
static void run_check_output(brg_pool *pool, brg_context *context, brg__outcome *outcome)
{
    size_t size = brg__value_copied_bytes(outcome->output);
    if (size <= pool->options.message_bytes_max)
        return;
    brg_value_unref(outcome->output);
    outcome->output = NULL;
    outcome->status = brg_error_set(&context->failure, BRG_TOO_LARGE, "worker",
                                    "the result has %zu bytes, message_bytes_max is %zu", size,
                                    pool->options.message_bytes_max);
}

/* The function has returned: its progress ends, and that of a task that waits for it goes on. */
static void run_unlisten(brg_context *context, brg__progress_sender *sender, brg__teller *outer)
{
    if (BRG__UNLIKELY(context->teller == &sender->teller))
        brg__progress_end(sender);
    context->teller = outer;
}

/* The task's function, as user code. From there on the thread may be abandoned: the task is not looked at any more. */
static brg_status run_user(brg_worker *worker, brg_context *context, const brg_task *task, const brg_value *input,
                           brg__outcome *outcome)
{
    char name[sizeof(task->name)];
    if (BRG__UNLIKELY(brg__task_is(task, BRG__TASK_HOOKED) && task->stage != NULL)) {
        brg_stage_fn stage = task->stage;
        void *state = task->argument;
        brg__worker_enter_user(worker);
        return brg__context_conclude(context, stage(context, input, &outcome->output, state), "function");
    }
    if (task->call != NULL) {
        brg_call_fn call = task->call;
        void *argument = task->argument;
        brg__worker_enter_user(worker);
        return brg__context_conclude(context, call(context, argument), "function");
    }
    if (BRG__UNLIKELY(brg__task_is(task, BRG__TASK_CARRIER))) {
        brg__worker_enter_user(worker);
        return brg__batch_run(context, outcome);
    }
    size_t size = strlen(task->name);
    memcpy(name, task->name, size + 1);
    brg__worker_enter_user(worker);
    return brg__context_run_named(context, name, size, input, &outcome->output);
}

/* Runs one started task; false when the thread was abandoned in it. */
bool brg__run_one(brg_pool *pool, brg_worker *worker, brg__slot *slot, brg_context *context, brg_task *task)
{
    brg_value *input = task->input;
    brg__outcome outcome = {.worker_id = worker->id};
    brg__progress_sender progress;
    brg__teller *outer_teller = context->teller; /* of a task that waits for this one */
    task->attempts++;
    task->ticket = slot->tickets;
    brg__context_begin(context, task->ticket, task->attempts);
    bool timed = brg__task_is_timed(task);
    if (BRG__UNLIKELY(timed))
        run_clock(pool, slot, task);
    brg__see_started(pool, slot, task, slot, worker->id);
    context->teller = BRG__LIKELY(task->progress == NULL) ? NULL : brg__progress_begin(&progress, task->progress);
    if (BRG__UNLIKELY(brg__task_is(task, BRG__TASK_CARRIER)))
        brg__batch_begin(context, task, &outcome);
    outcome.status = run_user(worker, context, task, input, &outcome);
    if (BRG__UNLIKELY(!brg__worker_leave_user(worker))) { /* settled without us; who did kept the input for us */
        brg_value_unref(input);
        brg_value_unref(outcome.output);
        brg__batch_unref(outcome.batch);
        run_unlisten(context, &progress, outer_teller);
        brg__context_end(context);
        return false;
    }
    run_unlisten(context, &progress, outer_teller);
    if (BRG__UNLIKELY(timed))
        outcome.run_ns = brg__now() - task->started_ns;
    if (outcome.output != NULL)
        run_check_output(pool, context, &outcome);
    brg_status asked = BRG_OK;
    if (run_was_asked(context, task))
        asked = run_asked(pool, slot, task);
    brg_store_release(&slot->xticket, (uint64_t)0);
    uint64_t hand = brg_load_relaxed(&slot->xhand);
    if (slot->depth == 0 && brg__hand_next(hand) == brg__hand_end(hand) &&
        context->loop == NULL)    /* else its loop is next */
        search_begin(pool, slot); /* who waits for this result may submit the next task at once: we look already */
    run_settle(pool, slot, task, context, &outcome, asked);
    if (BRG__UNLIKELY(outcome.batch != NULL))
        brg__batch_unref(outcome.batch);
    brg__context_end(context);
    return true;
}

/* From one clock reading a hand. */
static void run_learn(brg__slot *slot, uint64_t elapsed_ns, uint32_t count)
{
    slot->run_ewma_ns = brg__run_learn(slot->run_ewma_ns, elapsed_ns, count);
}

/* Runs what is in its hand. */
static void run_hand(brg_pool *pool, brg_worker *worker, brg__slot *slot, brg_context *context)
{
    uint64_t start = brg__now_real();
    uint32_t count = 0;
    brg_store_relaxed(&slot->xhand_at, start);
    for (;;) {
        if (BRG__UNLIKELY(worker->xcancel_event >= 0)) /* it told an earlier task; from hand_pop on it tells the next */
            brg__event_clear(worker->xcancel_event);
        brg_task *task = brg__hand_pop(slot);
        if (task == NULL)
            break;
        count++;
        if (!brg__run_start(task)) {
            brg__task_drop(task, slot); /* cancelled: the hand's reference */
            continue;
        }
        if (!brg__run_one(pool, worker, slot, context, task))
            return; /* abandoned: touch nothing */
    }
    if (count != 0)
        run_learn(slot, brg__now_real() - start, count);
}

/* It searches no more, and so looks once more for tasks: while it searched nobody was woken for them. */
static bool take_after_search(brg_pool *pool, brg__slot *slot)
{
    if (!slot->searching)
        return false;
    search_end(pool, slot);
    return take(pool, slot);
}

static bool thread_run(void *owner, brg_worker *worker, brg_context *context)
{
    brg_pool *pool = owner;
    brg__slot *slot = worker->slot;
    if (!take(pool, slot)) {
        brg__pool_flush_free(pool, slot);
        if (!brg__team_has_forks(&pool->team))
            return false;
        if (!take_after_search(pool, slot))
            return brg__forks_steal_one(pool, worker, context);
    }
    run_hand(pool, worker, slot, context);
    return true;
}

/* ---- sleeping ---------------------------------------------------------------------------------------------------- */

static bool thread_ready(void *owner, brg_worker *worker)
{
    brg_pool *pool = owner;
    brg__slot *slot = worker->slot;
    if (brg_load_relaxed(&slot->seat.xready) != 0)
        return true;
    if (BRG__UNLIKELY(brg_load_relaxed(&slot->xparked) != 0))
        return false;
    if (pool->schedule.steals && brg_load_relaxed(&pool->schedule.xassigned) != 0)
        return true;
    if (brg_load_relaxed(&pool->schedule.xshared) == 0)
        return brg__team_has_forks(&pool->team);
    if (BRG__LIKELY(brg_load_relaxed(&pool->schedule.xlane_count) == 1))
        return true;
    brg__pool_lock(pool); /* some of it may be for workers with other tags */
    bool ready = brg__schedule_has_work(&pool->schedule, &slot->seat);
    brg__pool_unlock(pool);
    return ready || brg__team_has_forks(&pool->team);
}

static bool thread_spin(void *owner, brg_worker *worker, bool begin)
{
    return begin && search_begin(owner, worker->slot); /* it ends in take or sleep */
}

static void thread_leave(void *owner, brg_worker *worker)
{
    brg_pool *pool = owner;
    brg__slot *slot = worker->slot;
    if (!slot->searching && brg_load_relaxed(&slot->xbrief) == 0)
        return;
    search_end(pool, slot);
    brg__pool_lock(pool);
    brg__slot_set_brief_locked(slot, false);
    if (pool->schedule.xready != 0)
        brg__pool_wake_next_locked(pool); /* nobody was while it searched */
    brg__pool_unlock(pool);
    brg__team_pass_on(&pool->team, NULL);
}

static bool thread_sleep(void *owner, brg_worker *worker)
{
    brg_pool *pool = owner;
    brg__slot *slot = worker->slot;
    search_end(pool, slot); /* before looking: a submit after this wakes somebody */
    brg__pool_lock(pool);
    if (pool->schedule.xready == 0 && slot->xparked == 0)
        take_from_others_locked(pool, slot);
    bool stays = !slot->ending && !slot->retiring && !take_retires_locked(slot);
    bool work = stays && (slot->xparked == 0 ? brg__schedule_has_work(&pool->schedule, &slot->seat)
                                             : slot->seat.pinned_count != 0); /* it takes nothing else */
    if (!work && stays && slot->online && slot->xparked == 0)
        brg__slot_set_idle_locked(slot, true);
    if (BRG__UNLIKELY(pool->schedule.xready != 0))
        brg__pool_wake_next_locked(pool); /* for others than this one */
    brg__pool_check_idle_locked(pool);
    brg__pool_unlock(pool);
    return !work && (brg_load_relaxed(&slot->xparked) != 0 || !brg__team_has_forks_at_last(&pool->team));
}

static void thread_wake(void *owner, brg_worker *worker)
{
    brg_pool *pool = owner;
    brg__slot *slot = worker->slot;
    brg__pool_lock(pool);
    brg__slot_set_idle_locked(slot, false);
    brg__pool_unlock(pool);
    brg__team_woke(&pool->team);
}

const brg__source brg__source_thread = {.run = thread_run,
                                        .ready = thread_ready,
                                        .spin = thread_spin,
                                        .leave = thread_leave,
                                        .sleep = thread_sleep,
                                        .wake = thread_wake,
                                        .started = brg__pool_started,
                                        .ended = brg__pool_ended,
                                        .heritage = brg__pool_heritage,
                                        .place = brg__pool_place};
