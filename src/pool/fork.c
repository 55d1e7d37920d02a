/* SPDX-License-Identifier: MIT */
/*
 * Fork and join on thread workers.
 *
 * Each worker has a deque (deque.h). brg_fork_start pushes; brg_fork_join pops what is newest and runs it until its
 * fork is done. Where nobody is idle that is all there is: two accesses by one thread to its own memory and one
 * exchange. Idle workers steal the oldest fork, which by the way such programs recurse is the largest. A fork that
 * finds the deque full, or no deque, runs at once.
 *
 * Waiting. A join that pops nothing was robbed: since thieves take the oldest, its deque is empty. It waits, and helps:
 * first it steals from its thief (leapfrogging: Wagner, Calder, Leapfrogging: a portable technique for implementing
 * efficient futures, 1993), whose forks are parts of what it waits for; they lie deeper in the recursion, so that the
 * stack stays as deep as it would be without thieves. Then from others who work for the same task, a few levels deep at
 * most, because those may lie anywhere. Never from other tasks: a task's end would wait for a stranger's, and its
 * timeout would hit the stranger. Then it spins a little, and sleeps until its thief wakes it, or somebody of its task
 * that has forked more.
 *
 * It cannot deadlock. What is on some thread's stack waits either for a fork of its own, or for what lies above it
 * there; both began later than it did. So what began last waits for nothing, and forks that nobody began are popped by
 * their joins. Helping, and being woken to help, is for speed alone.
 *
 * A thief runs the fork with its own context, which tells of the origin's cancellation meanwhile: xcancel and ticket
 * are in the fork, since the origin's context may by then work for another task, nested in its own. When the fork is
 * marked as done its memory, on the joiner's stack, is gone for the thief; the gate it wakes the joiner at is in the
 * joiner's brg__forks, which outlive both threads (team.c).
 */
#include "pool/fork.h"

#include "os/atomic.h"
#include "pool/fork_pool.h"

#define FORK_STRANGERS_MAX 4     /* forks of other branches that a worker runs in its joins, one in the other */
#define FORK_PIECES_PER_WORKER 8 /* brg_fork_range without a grain */

/* On the thread that started it, or that waits for it. */
static inline void fork_run_here(brg_context *context, brg_fork_fn run, void *argument)
{
    brg__arena_mark mark = brg__context_arena_mark(context);
    run(context, argument);
    brg__context_arena_back(context, &mark);
}

static void fork_run_at_once(brg_context *context, brg_fork *fork)
{
    fork->xstate = BRG__FORK_DONE;
    if (context == NULL)
        fork->run(NULL, fork->argument);
    else
        fork_run_here(context, fork->run, fork->argument);
}

/* ---- stealing ---------------------------------------------------------------------------------------------------- */

/* What waits here is part of a flow that may be asked to end, which is not for what runs meanwhile. */
static void fork_leave_flow(brg_context *context)
{
    brg_worker *worker = context->owner;
    brg__worker_nest(worker, context, 1);
    if (worker->xcancel_event >= 0)
        brg__event_clear(worker->xcancel_event);
}

static void fork_come_back(brg_context *context)
{
    brg_worker *worker = context->owner;
    brg__worker_nest(worker, context, -1);
    if (worker->xcancel_event >= 0 && brg_context_cancelled(context))
        brg__event_signal(worker->xcancel_event);
}

/* Runs what was stolen from `victim`. */
static void fork_run_stolen(brg_context *context, brg__forks *victim, brg_fork *fork)
{
    brg__forks *self = context->forks, *root = brg_load_relaxed(&self->xroot);
    brg__forks *its_root = brg_load_relaxed(&victim->xroot);
    const uint64_t *xcancel = context->xcancel;
    const brg__asking *asking = context->asking;
    uint64_t ticket = context->ticket;
    brg_store_relaxed(&fork->xstate, BRG__FORK_TAKEN + self->index);
    brg__team_woke(victim->team);
    if (brg__deque_count(&victim->deque) != 0)
        brg__team_call_help(victim->team, its_root); /* who finds work and leaves some wakes the next */
    brg_store_relaxed(&self->xroot, its_root);
    context->xcancel = fork->xcancel;
    context->ticket = fork->ticket;
    if (BRG__UNLIKELY(asking != NULL))
        fork_leave_flow(context);
    context->asking = NULL;
    fork_run_here(context, fork->run, fork->argument);
    context->xcancel = xcancel;
    context->ticket = ticket;
    context->asking = asking;
    if (BRG__UNLIKELY(asking != NULL))
        fork_come_back(context);
    brg_store_relaxed(&self->xroot, root);
    brg_store_release(&fork->xstate, (uint32_t)BRG__FORK_DONE); /* pairs with fork_is_done. The fork is gone */
    brg__gate_wake(&victim->gate, BRG__FUTEX_PRIVATE);
}

bool brg__team_steal(brg__team *team, brg_context *context)
{
    brg__forks *victim;
    brg_fork *fork = brg__team_take(team, context->forks, NULL, &victim);
    if (fork == NULL)
        return false;
    fork_run_stolen(context, victim, fork);
    return true;
}

/* ---- joining ----------------------------------------------------------------------------------------------------- */

static inline bool fork_is_done(const brg_fork *fork) { return brg_load_acquire(&fork->xstate) == BRG__FORK_DONE; }

typedef struct join_wait {
    brg__forks *self, *root;
    const brg_fork *fork;
} join_wait;

/* Who stole it; NULL: not known. */
static brg__forks *join_thief(const join_wait *wait)
{
    uint32_t state = brg_load_relaxed(&wait->fork->xstate);
    return state >= BRG__FORK_TAKEN ? brg__team_at(wait->self->team, state - BRG__FORK_TAKEN) : NULL;
}

static bool join_is_ready(void *argument)
{
    const join_wait *wait = argument;
    if (fork_is_done(wait->fork))
        return true;
    const brg__forks *thief = join_thief(wait);
    return (thief != NULL && brg__deque_count(&thief->deque) != 0) ||
           (wait->self->strangers < FORK_STRANGERS_MAX && brg__team_could_take(wait->self->team, wait->root));
}

/* Runs one fork that is not its own; false: found none. */
static bool join_help(brg_context *context, const join_wait *wait)
{
    brg__forks *self = wait->self, *thief = join_thief(wait);
    brg_fork *part = thief == NULL ? NULL : brg__deque_steal(&thief->deque);
    if (part != NULL) {
        fork_run_stolen(context, thief, part);
        return true;
    }
    brg__forks *victim;
    brg_fork *other = NULL;
    if (self->strangers < FORK_STRANGERS_MAX)
        other = brg__team_take(self->team, self, wait->root, &victim);
    if (other == NULL)
        return false;
    self->strangers++;
    fork_run_stolen(context, victim, other);
    self->strangers--;
    return true;
}

/* It was stolen. */
static void join_until_done(brg_context *context, brg_fork *fork)
{
    brg__forks *self = context->forks;
    join_wait wait = {self, brg_load_relaxed(&self->xroot), fork};
    while (!fork_is_done(fork)) {
        if (join_help(context, &wait))
            continue;
        brg_add_relaxed(&wait.root->xlooking, 1u);
        bool found = brg__spinner_spin(&self->spinner, NULL, join_is_ready, &wait);
        brg_sub_relaxed(&wait.root->xlooking, 1u);
        if (!found)
            brg__team_sleep(self, join_is_ready, &wait);
    }
    brg__team_pass_on(self->team, wait.root);
}

/* Not the newest fork, or not there any more. */
static __attribute__((noinline)) void join_slowly(brg_context *context, brg_fork *fork, brg_fork *popped)
{
    brg__forks *self = context->forks;
    for (; popped != NULL; popped = brg__deque_pop(&self->deque)) {
        fork_run_here(context, popped->run, popped->argument);
        popped->xstate = BRG__FORK_DONE;
        if (popped == fork)
            return;
    }
    join_until_done(context, fork);
}

/* ---- public ------------------------------------------------------------------------------------------------------ */

/* The first fork of a worker, or one of a worker that shares none. */
static __attribute__((noinline)) void start_slowly(brg_context *context, brg_fork *fork)
{
    if (context != NULL && context->forks == NULL && brg__forks_of(context) != NULL)
        brg_fork_start(context, fork, fork->run, fork->argument);
    else
        fork_run_at_once(context, fork);
}

void brg_fork_start(brg_context *context, brg_fork *fork, brg_fork_fn fn, void *argument)
{
    brg__forks *self = context == NULL ? NULL : context->forks;
    fork->run = fn;
    fork->argument = argument;
    if (BRG__UNLIKELY(self == NULL)) {
        start_slowly(context, fork);
        return;
    }
    fork->xcancel = context->xcancel;
    fork->ticket = context->ticket;
    fork->xstate = BRG__FORK_WAITING;
    if (BRG__UNLIKELY(!brg__deque_push(&self->deque, fork))) {
        start_slowly(context, fork);
        return;
    }
    /* No fence: see brg__team_has_forks_at_last. */
    if (BRG__UNLIKELY(brg_load_relaxed(&self->team->xidle) != 0) ||
        BRG__UNLIKELY(brg_load_relaxed(&self->xroot->xwaiting) != 0))
        brg__team_call_help(self->team, brg_load_relaxed(&self->xroot));
}

void brg_fork_join(brg_context *context, brg_fork *fork)
{
    if (BRG__UNLIKELY(fork_is_done(fork)))
        return;
    brg_fork *popped = brg__deque_pop(&context->forks->deque);
    if (BRG__LIKELY(popped == fork))
        fork_run_here(context, fork->run, fork->argument);
    else
        join_slowly(context, fork, popped);
}

typedef struct fork_range {
    uint64_t first, end, grain;
    brg_fork_range_fn body;
    void *argument;
} fork_range;

/* Forks the upper half and halves the lower one, so that what thieves find first is the largest. */
static void range_run(brg_context *context, void *argument)
{
    const fork_range *all = argument;
    if (all->end - all->first <= all->grain) {
        all->body(context, all->first, all->end, all->argument);
        return;
    }
    fork_range lower = *all, upper = *all;
    lower.end = upper.first = all->first + (all->end - all->first) / 2;
    brg_fork fork;
    brg_fork_start(context, &fork, range_run, &upper);
    range_run(context, &lower);
    brg_fork_join(context, &fork);
}

void brg_fork_range(brg_context *context, uint64_t first, uint64_t end, uint64_t grain, brg_fork_range_fn body,
                    void *argument)
{
    if (first >= end)
        return;
    if (grain == 0) {
        brg__forks *self = context == NULL ? NULL : context->forks != NULL ? context->forks : brg__forks_of(context);
        uint64_t workers = self == NULL ? 1 : brg__max(1, self->team->hooks->workers(self->team->owner));
        uint64_t pieces = workers == 1 ? 1 : workers * FORK_PIECES_PER_WORKER;
        grain = (end - first - 1) / pieces + 1;
    }
    fork_range all = {first, end, grain, body, argument};
    range_run(context, &all);
}
