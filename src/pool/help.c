/* SPDX-License-Identifier: MIT */
/*
 * Waiting inside a task, without deadlock.
 *
 * A task that waits for another one of its pool runs that one itself if nobody has started it: out of the queue, out
 * of a hand (its own too), and before it what it was to run after. What runs elsewhere is waited for. So with every
 * worker waiting, each waits for something that runs, which in the end waits for nothing: no deadlock but circles that
 * tasks make themselves, which are found by following who waits for whom. Only what is waited for runs, never a
 * stranger: no surprise for locks the waiting task holds, and no deeper stack than the tasks' own structure.
 *
 * While a nested task runs, the waiting one is suspended: in slot->suspended, innermost first, linked by task->outer,
 * under the lock. The slot's xrunning, xticket and xdeadline are the nested one's. What befalls a suspended one is kept
 * with it (end_why) and told to it when it goes on; when its grace is over first, the worker ends with all that is in
 * it.
 *
 * Inside a wait the thread counts as in the library, so that it is not abandoned while it holds the pool's things.
 */
#include "pool/help.h"

#include <string.h>

#include "os/clock.h"
#include "os/thread.h"
#include "os/waiter.h"
#include "pool/batch.h"
#include "pool/extras.h"
#include "pool/observe.h"

/* ---- begin and end ----------------------------------------------------------------------------------------------- */

brg_status brg__help_begin(brg__help *help, brg_pool *pool, brg__slot *slot)
{
    brg_context *context = brg__context_current();
    *help = (brg__help){.pool = pool, .slot = slot, .worker = context->owner, .context = context};
    return brg__worker_leave_user(help->worker) ? BRG_OK : BRG_CANCELLED;
}

brg_status brg__help_end(brg__help *help, brg_status status)
{
    brg__worker_enter_user(help->worker);
    return status;
}

bool brg__help_is_asked(const brg__help *help) { return brg_context_cancelled(help->context); }

/* ---- suspended tasks --------------------------------------------------------------------------------------------- */

bool brg__help_is_suspended_locked(const brg__slot *slot, const brg_task *task)
{
    for (const brg_task *one = slot->suspended; one != NULL; one = one->outer)
        if (one == task)
            return true;
    return false;
}

bool brg__help_has_ticket_locked(const brg__slot *slot, uint64_t ticket)
{
    for (const brg_task *one = slot->suspended; one != NULL; one = one->outer)
        if (one->ticket == ticket)
            return true;
    return false;
}

uint64_t brg__help_deadlines_locked(brg__slot *slot, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    for (brg_task *one = slot->suspended; one != NULL; one = one->outer) {
        if (!brg__task_is(one, BRG__TASK_CLOCK) || one->end_why != BRG_OK)
            continue;
        uint64_t due = brg__min(one->deadline_ns, brg__add_saturated(one->started_ns, one->run_timeout_ns));
        if (due > now) {
            next = brg__min(next, due);
            continue;
        }
        one->end_why = BRG_TIMED_OUT;
        brg__slot_ask_end_locked(slot, one->ticket, BRG_TIMED_OUT);
    }
    return next;
}

/* ---- running nested ---------------------------------------------------------------------------------------------- */

/* The part of a context that belongs to the running task. */
typedef struct help_frame {
    brg_task *outer; /* NULL: it waits in a fork that it stole, and runs no task */
    const uint64_t *xcancel;
    uint64_t ticket;
    const brg__asking *asking;
    uint32_t attempt;
    brg__arena_chunk *arena;
    size_t arena_used;
    brg_error failure;
    brg_value *failure_detail;
    uint64_t deadline;
} help_frame;

static void help_suspend_locked(brg__help *help, help_frame *frame, brg_task *task)
{
    brg__slot *slot = help->slot;
    brg_context *context = help->context;
    brg_task *outer = brg__help_running(slot);
    *frame = (help_frame){.outer = outer,
                          .xcancel = context->xcancel,
                          .ticket = context->ticket,
                          .asking = context->asking,
                          .attempt = context->attempt,
                          .arena = context->arena,
                          .arena_used = context->arena_used,
                          .failure = context->failure,
                          .failure_detail = context->failure_detail,
                          .deadline = brg_load_relaxed(&slot->xdeadline)};
    context->arena = NULL;
    context->arena_used = 0;
    context->failure_detail = NULL;
    context->asking = NULL;
    context->xcancel = &help->worker->xcancel; /* of a stolen fork it was another's */
    if (outer != NULL) {
        outer->outer = slot->suspended;
        outer->end_why = BRG_OK;
        slot->suspended = outer;
    }
    slot->depth++;
    uint64_t ticket = ++slot->tickets;
    brg_store_relaxed(&slot->xdeadline, UINT64_MAX);
    brg_store_relaxed(&slot->xrunning, task);
    brg_store_release(&slot->xticket, ticket); /* pairs with the looks of task.c, shutdown.c and supervise.c */
    task->slot = slot;
    brg_store_relaxed(&task->place, (uint8_t)BRG__PLACE_HAND);
    (void)brg__run_start(task); /* under the lock and out of the queue: nobody else can have it */
}

/* The suspended task goes on, and hears what befell it. */
static void help_resume_locked(brg__help *help, const help_frame *frame)
{
    brg__slot *slot = help->slot;
    brg_task *outer = frame->outer;
    slot->depth--;
    brg_store_relaxed(&slot->xrunning, outer);
    if (outer == NULL) {
        brg_store_release(&slot->xticket, (uint64_t)0);
        return;
    }
    slot->suspended = outer->outer;
    outer->outer = NULL;
    brg_store_relaxed(&slot->xdeadline, frame->deadline);
    brg_store_release(&slot->xticket, frame->ticket);
    if (brg__task_is_watched(outer))
        brg__pool_timer_at(help->pool, brg__heartbeat_begin(slot, outer, brg__now()));
    if (outer->end_why == BRG_OK && (outer->cancel_asked || help->pool->mode >= BRG__POOL_KILL))
        outer->end_why = BRG_CANCELLED;
    if (outer->end_why != BRG_OK && !slot->ending)
        brg__slot_ask_end_locked(slot, outer->ticket, outer->end_why);
    if (frame->deadline != UINT64_MAX)
        brg__pool_timer_at(help->pool, frame->deadline);
}

static void help_restore_context(brg_context *context, const help_frame *frame)
{
    brg__context_arena_free(context);
    context->xcancel = frame->xcancel;
    context->ticket = frame->ticket;
    context->asking = frame->asking;
    context->attempt = frame->attempt;
    context->arena = frame->arena;
    context->arena_used = frame->arena_used;
    context->failure = frame->failure;
    context->failure_detail = frame->failure_detail;
}

/* Runs a task that was taken from its place. Lock held, and held again afterwards; false when the thread was abandoned:
 * no lock is held then. */
static bool help_run_locked(brg__help *help, brg_task *task)
{
    help_frame frame;
    help_suspend_locked(help, &frame, task);
    brg__pool_unlock(help->pool);
    if (frame.asking != NULL)
        brg__worker_nest(help->worker, help->context, 1);
    if (help->worker->xcancel_event >= 0) /* it may have told the waiting task */
        brg__event_clear(help->worker->xcancel_event);
    bool here = brg__run_one(help->pool, help->worker, help->slot, help->context, task);
    if (frame.asking != NULL)
        brg__worker_nest(help->worker, help->context, -1);
    help_restore_context(help->context, &frame);
    if (!here)
        return false;
    if (help->worker->xcancel_event >= 0) {
        brg__event_clear(help->worker->xcancel_event);
        if (frame.asking != NULL && brg_context_cancelled(help->context))
            brg__event_signal(help->worker->xcancel_event);
    }
    brg__pool_lock(help->pool);
    help_resume_locked(help, &frame);
    return true;
}

bool brg__help_run_new(brg_task *task, brg__slot *slot)
{
    brg__help help;
    if (slot->depth >= BRG_NESTING_MAX || brg__thread_stack_is_low() ||
        brg__help_begin(&help, task->pool, slot) != BRG_OK)
        return false;
    brg__pool_lock(help.pool);
    if (task->cancel_asked) { /* since it was accepted: nobody was there to be told */
        brg__task_settle_plain(task, BRG_CANCELLED, "the task was cancelled before it started");
        brg__pool_unlock(help.pool);
        (void)brg__help_end(&help, BRG_OK);
    } else if (help_run_locked(&help, task)) {
        brg__pool_unlock(help.pool);
        (void)brg__help_end(&help, BRG_OK);
    }
    return true;
}

/* ---- what to run ------------------------------------------------------------------------------------------------- */

static bool help_is_mine_locked(const brg__help *help, const brg_task *task)
{
    return brg__help_running(help->slot) == task || brg__help_is_suspended_locked(help->slot, task);
}

/* What must run for `task` to settle and has not begun; what runs, when that is so far. */
static brg_task *help_root_locked(brg_task *task)
{
    while (brg_load_relaxed(&task->place) == BRG__PLACE_BLOCKED) {
        brg_task *first = brg__after_first_locked(task);
        if (first == NULL)
            break;
        task = first;
    }
    if (brg_load_relaxed(&task->place) == BRG__PLACE_BATCH && brg__batch_is_taken(task))
        task = brg__batch_carrier(task);
    return task;
}

/* Whether what runs `task` waits, by itself or through others, for this worker. */
static bool help_is_circle_locked(const brg__help *help, brg_task *task)
{
    for (uint32_t i = 0; task != NULL && i <= help->pool->slot_count; i++) {
        task = help_root_locked(task);
        if (help_is_mine_locked(help, task))
            return true;
        const brg__slot *slot = brg_load_relaxed(&task->place) == BRG__PLACE_HAND ? task->slot : NULL;
        if (slot == NULL || slot == help->slot)
            return false;
        bool runs = brg_load_relaxed(&slot->xrunning) == task || brg__help_is_suspended_locked(slot, task);
        task = runs ? slot->waiting_for : NULL;
    }
    return false;
}

/* Out of its place, if this worker may run it: NULL otherwise. */
static brg_task *help_claim_locked(brg__help *help, brg_task *task)
{
    brg_pool *pool = help->pool;
    uint8_t place = brg_load_relaxed(&task->place);
    if (place == BRG__PLACE_BATCH && !brg__batch_is_taken(task)) {
        task = brg__batch_close_locked(task); /* it waits no longer for others: its carrier */
        place = brg_load_relaxed(&task->place);
    }
    bool queued = (brg_load_acquire(&task->xstate) & BRG__TASK_STATE_MASK) == BRG_TASK_QUEUED;
    if (place == BRG__PLACE_HAND && queued && task->slot != NULL) {
        brg__hand_reclaim_locked(task->slot);
        brg__pool_wake_next_locked(pool); /* what else was in it */
        place = brg_load_relaxed(&task->place);
    }
    if (place != BRG__PLACE_QUEUE || task->item.reserved_1 == BRG__LANE_PINNED)
        return NULL;
    uint64_t needs = pool->schedule.lanes[task->item.reserved_1].needs;
    if ((needs & help->slot->seat.seen.tags) != needs)
        return NULL;
    brg__schedule_remove(&pool->schedule, &task->item);
    brg__pool_uncount_locked(pool, task);
    if (brg__task_is(task, BRG__TASK_CARRIER))
        brg__batch_taken_locked(pool, task);
    brg__see_task_taken_locked(pool, task, help->slot, BRG_OK, 0);
    brg__pool_room_locked(pool);
    return task;
}

brg_status brg__help_step_locked(brg__help *help, brg_task *task)
{
    brg_task *root = help_root_locked(task);
    if (help_is_mine_locked(help, root) || help_is_circle_locked(help, root))
        return BRG_DEADLOCK;
    brg_task *claimed = help_claim_locked(help, root);
    if (claimed == NULL)
        return BRG_EMPTY;
    if (help->slot->depth >= BRG_NESTING_MAX || brg__thread_stack_is_low()) {
        brg__task_put_back_locked(help->pool, claimed);
        brg__pool_dispatch_locked(help->pool);
        return BRG_DEADLOCK;
    }
    return help_run_locked(help, claimed) ? BRG_OK : BRG_CANCELLED;
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static bool help_is_settled(const brg_task *task) { return brg_task_get_state(task) >= BRG_TASK_DONE; }

/* Sleeps until it settled, may be helped, the deadline, or it is time to look whether this one is asked to end. */
static void help_sleep(brg_task *task, uint32_t seen, uint64_t deadline_ns)
{
    while ((seen & BRG__TASK_WAITED) == 0)
        if (brg_cas_seq_cst(&task->xstate, &seen, seen | BRG__TASK_WAITED))
            seen |= BRG__TASK_WAITED;
        else if ((seen & BRG__TASK_STATE_MASK) >= BRG_TASK_DONE)
            return;
    brg__futex_wait(&task->xstate, seen, brg__waiter_slice(deadline_ns), BRG__FUTEX_PRIVATE);
}

static brg_status help_until_settled(brg__help *help, brg_task *task, uint64_t deadline_ns)
{
    brg_pool *pool = help->pool;
    for (;;) {
        if (help_is_settled(task))
            return BRG_OK;
        if (brg__help_is_asked(help))
            return BRG_CANCELLED;
        if (brg__now() >= deadline_ns)
            return BRG_TIMED_OUT;
        brg__pool_lock(pool);
        uint32_t seen = brg_load_acquire(&task->xstate);
        help->slot->waiting_for = task;
        brg_status status = brg__help_step_locked(help, task);
        if (status == BRG_CANCELLED)
            return BRG_LOST; /* of this thread: no lock is held, nothing is ours any more */
        brg__pool_unlock(pool);
        if (status == BRG_DEADLOCK)
            return status;
        if (status == BRG_EMPTY)
            help_sleep(task, seen, deadline_ns);
    }
}

brg_status brg__help_task(brg_task *task, brg__slot *slot, uint64_t deadline_ns)
{
    brg__help help;
    if (brg__help_begin(&help, task->pool, slot) != BRG_OK)
        return BRG_CANCELLED;
    brg_task *before = slot->waiting_for;
    brg_status status = help_until_settled(&help, task, deadline_ns);
    if (status == BRG_LOST)
        return BRG_CANCELLED;
    brg__pool_lock(help.pool);
    slot->waiting_for = before;
    brg__pool_unlock(help.pool);
    return brg__help_end(&help, status);
}
