/* SPDX-License-Identifier: MIT */
/*
 * Groups: the unsettled tasks of a group in a list, under the pool's lock.
 *
 * Who waits sleeps on xepoch, which moves when the last one settled; a thread worker of the pool runs those that nobody
 * has started. The group is kept, by one reference, while a task of it is unsettled or a callback of one is to come:
 * when_done waits for both.
 */
#include <brigade/group.h>

#include <string.h>

#include "os/clock.h"
#include "os/futex.h"
#include "os/memory.h"
#include "os/waiter.h"
#include "pool/extras.h"
#include "pool/help.h"

#define GROUP_SLICE 64      /* cancelled in one section */
#define GROUP_LOOKS_MAX 256 /* tasks looked at for one to run */

struct brg_group {
    uint32_t xreferences;
    brg_pool *pool; /* counted */
    uint32_t xepoch;
    uint32_t xwaiters;
    brg__list tasks, cancelling; /* unsettled ones; `cancelling`: those that a cancel has not come to */
    uint64_t submitted, pending, undelivered;
    uint64_t number, cancelled_to; /* of the last task that joined; those up to this one are cancelled */
    uint64_t by_state[BRG_TASK_LOST + 1];
    brg_group_done_fn done;
    void *user_data;
    bool is_done_posted;
    brg__completion completion;
};

brg_status brg_group_create(brg_group **out, brg_pool *pool, brg_error *error)
{
    if (out == NULL || pool == NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "a group needs a pool, and a place for its handle");
    if (pool->generation != brg__fork_generation())
        return brg_error_set(error, BRG_FORKED, "pool", "the pool belongs to the parent of this forked process");
    brg_group *group = brg__calloc(1, sizeof(*group));
    if (group == NULL)
        return brg__error_memory(error, "a group");
    group->xreferences = 1;
    group->pool = pool;
    brg__list_init(&group->tasks);
    brg__list_init(&group->cancelling);
    brg__pool_ref(pool);
    *out = group;
    return BRG_OK;
}

brg_group *brg_group_ref(brg_group *group)
{
    brg_add_relaxed(&group->xreferences, 1u);
    return group;
}

void brg_group_unref(brg_group *group)
{
    if (group == NULL || brg_sub_acq_rel(&group->xreferences, 1u) != 1)
        return;
    brg__pool_unref(group->pool); /* under its lock too: who holds that has the pool */
    brg__mfree(group);
}

brg_pool *brg__group_pool(const brg_group *group) { return group->pool; }

/* ---- its tasks --------------------------------------------------------------------------------------------------- */

static bool group_is_through(const brg_group *group) { return (group->pending | group->undelivered) == 0; }

/* Nothing is left of it: its callback comes, if there is one. */
static void group_post_locked(brg_group *group)
{
    if (group->done == NULL || group->is_done_posted)
        return;
    group->is_done_posted = true;
    brg__loop_post(group->pool->options.loop, &group->completion);
}

/* After one thing less is to come: the last one lets it go. */
static void group_check_locked(brg_group *group)
{
    if (!group_is_through(group))
        return;
    group_post_locked(group);
    brg_group_unref(group);
}

void brg__group_join_locked(brg_group *group, brg_task *task)
{
    if (group_is_through(group))
        brg_group_ref(group);
    task->extras->group = group;
    task->extras->group_number = ++group->number;
    brg__list_push_back(&group->tasks, &task->extras->group_node);
    group->submitted++;
    group->pending++;
    if (task->done != NULL)
        group->undelivered++;
}

void brg__group_leave_locked(brg_task *task)
{
    brg_group *group = task->extras->group;
    brg__list_remove(&task->extras->group_node);
    task->extras->group = NULL;
    group->submitted--;
    group->pending--;
    if (task->done != NULL)
        group->undelivered--;
    group_check_locked(group);
}

void brg__group_settled_locked(brg_task *task, brg_task_state state)
{
    brg_group *group = task->extras->group;
    brg__list_remove(&task->extras->group_node);
    group->by_state[state]++;
    if (--group->pending != 0)
        return;
    brg_add_seq_cst(&group->xepoch, 1u); /* before the look: pairs with group_sleep */
    if (brg_load_seq_cst(&group->xwaiters) != 0)
        brg__futex_wake(&group->xepoch, INT32_MAX, BRG__FUTEX_PRIVATE);
    group_check_locked(group);
}

void brg__group_delivered(brg_task *task)
{
    brg_group *group = task->extras->group;
    brg_pool *pool = group->pool;
    brg__pool_lock(pool);
    group->undelivered--;
    group_check_locked(group);
    brg__pool_unlock(pool);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static bool group_is_settled(brg_group *group)
{
    brg__pool_lock(group->pool);
    bool settled = group->pending == 0;
    brg__pool_unlock(group->pool);
    return settled;
}

static brg_status group_sleep(brg_group *group, uint64_t deadline_ns)
{
    brg_status status = BRG_OK;
    brg_add_seq_cst(&group->xwaiters, 1u); /* before the first look, so that the last end wakes */
    for (;;) {
        uint32_t epoch = brg_load_seq_cst(&group->xepoch);
        if (group_is_settled(group))
            break;
        if (brg__waiter_is_asked(brg__waiter_current()))
            status = BRG_CANCELLED;
        else if (brg__now() >= deadline_ns)
            status = BRG_TIMED_OUT;
        if (status != BRG_OK)
            break;
        brg__futex_wait(&group->xepoch, epoch, brg__waiter_slice(deadline_ns), BRG__FUTEX_PRIVATE);
    }
    brg_sub_relaxed(&group->xwaiters, 1u);
    return status;
}

static brg_task *group_task_of(brg__node *node) { return brg__container_of(node, brg__extras, group_node)->task; }

static bool group_may_start(const brg_task *task)
{
    uint8_t place = brg_load_relaxed(&task->place);
    return place == BRG__PLACE_QUEUE ||
           (place == BRG__PLACE_HAND && (brg_load_relaxed(&task->xstate) & BRG__TASK_STATE_MASK) == BRG_TASK_QUEUED);
}

/* One that nobody has started, by preference. Those looked at before go behind the others. */
static brg_task *group_pick_locked(brg_group *group)
{
    brg__list *list = brg__list_is_empty(&group->tasks) ? &group->cancelling : &group->tasks;
    uint64_t looks = brg__min(group->pending, GROUP_LOOKS_MAX);
    for (uint64_t i = 0; i < looks; i++) {
        brg__node *node = list->head.next;
        brg_task *task = group_task_of(node);
        if (group_may_start(task))
            return task;
        brg__list_remove(node);
        brg__list_push_back(list, node);
    }
    return group_task_of(list->head.next);
}

/* Whether this worker runs one of its tasks, at any depth. */
static bool group_has_own_locked(const brg_group *group, const brg__slot *slot)
{
    const brg_task *task = brg__help_running(slot);
    if (task != NULL && task->extras != NULL && task->extras->group == group)
        return true;
    for (task = slot->suspended; task != NULL; task = task->outer)
        if (task->extras != NULL && task->extras->group == group)
            return true;
    return false;
}

/* What runs elsewhere is waited for as any task is: until it settled or may be helped. */
static brg_status group_help(brg_group *group, brg__slot *slot, uint64_t deadline_ns)
{
    brg_pool *pool = group->pool;
    brg_status status = BRG_OK;
    while (status == BRG_OK) {
        brg__pool_lock(pool);
        brg_task *task = NULL;
        if (group->pending != 0 && group_has_own_locked(group, slot))
            status = BRG_DEADLOCK;
        else if (group->pending != 0)
            task = brg_task_ref(group_pick_locked(group));
        brg__pool_unlock(pool);
        if (task == NULL)
            break;
        status = brg__help_task(task, slot, deadline_ns);
        brg_task_unref(task);
    }
    return status;
}

brg_status brg_group_wait(brg_group *group, uint64_t timeout_ns)
{
    if (group == NULL)
        return BRG_INVALID;
    if (group->pool->generation != brg__fork_generation())
        return BRG_FORKED;
    brg__slot *own = brg__pool_own_slot(group->pool);
    uint64_t deadline = brg__deadline(timeout_ns);
    if (own == NULL || brg_load_relaxed(&own->xticket) == 0) /* 0: its worker runs no task, but a hook */
        return group_sleep(group, deadline);
    return group_help(group, own, deadline);
}

/* ---- cancelling -------------------------------------------------------------------------------------------------- */

bool brg__group_is_cancelled_locked(const brg_task *task)
{
    const brg__extras *extras = task->extras;
    return extras->group != NULL && extras->group_number <= extras->group->cancelled_to;
}

/* All up to the mark; those that run only if `running`. */
static void group_cancel_sweep_locked(brg_group *group, uint64_t mark, bool running)
{
    brg_pool *pool = group->pool;
    brg__list_splice_back(&group->cancelling, &group->tasks);
    for (uint32_t i = 1;; i++) {
        brg__node *node = brg__list_pop_front(&group->cancelling);
        if (node == NULL)
            break;
        brg_task *task = group_task_of(node);
        brg__list_push_back(&group->tasks, node);
        if (task->extras->group_number <= mark && (running || brg_task_get_state(task) != BRG_TASK_RUNNING))
            (void)brg__task_cancel_locked(task);
        if (i % GROUP_SLICE != 0)
            continue;
        brg__pool_check_idle_locked(pool);
        brg__pool_unlock(pool);
        brg__pool_lock(pool);
    }
    brg__pool_check_idle_locked(pool);
}

void brg_group_cancel(brg_group *group)
{
    if (group == NULL || group->pool->generation != brg__fork_generation())
        return;
    brg_group_ref(group);
    brg_pool *pool = group->pool;
    brg__pool_lock(pool);
    uint64_t mark = group->cancelled_to = group->number;
    group_cancel_sweep_locked(group, mark,
                              false); /* first, else a worker that is asked to end takes the next of them */
    group_cancel_sweep_locked(group, mark, true);
    brg__pool_unlock(pool);
    brg_group_unref(group);
}

/* ---- when it is done --------------------------------------------------------------------------------------------- */

static void group_run_done(brg__completion *completion)
{
    brg_group *group = brg__container_of(completion, brg_group, completion);
    brg_pool *pool = group->pool;
    brg__pool_lock(pool);
    brg_group_done_fn done = group->done;
    void *user_data = group->user_data;
    group->done = NULL;
    group->is_done_posted = false;
    brg__pool_unlock(pool);
    done(group, user_data);
    brg_group_unref(group);
    brg__pool_delivered(pool);
}

brg_status brg_group_when_done(brg_group *group, brg_group_done_fn done, void *user_data, brg_error *error)
{
    if (group == NULL || done == NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "a group and a function must be given");
    brg_pool *pool = group->pool;
    if (pool->generation != brg__fork_generation())
        return brg_error_set(error, BRG_FORKED, "pool", "the pool belongs to the parent of this forked process");
    if (pool->options.loop == NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "without a loop nothing can be called: use brg_group_wait");
    brg__pool_lock(pool);
    brg_status status = pool->mode == BRG__POOL_CLOSED ? BRG_CLOSED : group->done != NULL ? BRG_INVALID : BRG_OK;
    if (status == BRG_OK) {
        group->done = done;
        group->user_data = user_data;
        group->completion.run = group_run_done;
        pool->with_done++;
        brg__loop_hold(pool->options.loop);
        brg_group_ref(group); /* the callback's */
        if (group_is_through(group))
            group_post_locked(group);
    }
    brg__pool_unlock(pool);
    if (status == BRG_CLOSED)
        return brg_error_set(error, status, "pool", "the pool has ended");
    return status == BRG_OK ? BRG_OK
                            : brg_error_set(error, status, "pool", "the group has a function that waits already");
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

brg_status brg_group_get_counts(const brg_group *group, brg_group_counts *out)
{
    if (group == NULL || out == NULL || out->size < sizeof(size_t))
        return BRG_INVALID;
    if (group->pool->generation != brg__fork_generation())
        return BRG_FORKED;
    brg_group_counts counts;
    memset(&counts, 0, sizeof(counts));
    brg__pool_lock(group->pool);
    counts.submitted = group->submitted;
    counts.done = group->by_state[BRG_TASK_DONE];
    counts.failed = group->by_state[BRG_TASK_FAILED];
    counts.cancelled = group->by_state[BRG_TASK_CANCELLED];
    counts.timed_out = group->by_state[BRG_TASK_TIMED_OUT];
    counts.lost = group->by_state[BRG_TASK_LOST];
    counts.pending = group->pending;
    brg__pool_unlock(group->pool);
    size_t size = out->size;
    memcpy(out, &counts, brg__min(size, sizeof(counts)));
    out->size = size;
    return BRG_OK;
}
