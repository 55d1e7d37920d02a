/* SPDX-License-Identifier: MIT */
/*
 * Tasks that run after others.
 *
 * An edge lies in the task that waits and is linked into the list of the one it waits for; all of it under the pool's
 * lock. Who leaves early takes its edges out of those lists, O(1) each; who settles hands its list over to the pool,
 * which tells those in it, a slice at a time: in the section that settled it, and the rest in the unlock. So no chain
 * makes a deep stack and no fan-out a long section, and who is told may settle and hand over a list of its own.
 *
 * A task needs no extras until somebody is to run after it, and may be running by then, on a thread that settles it
 * without the lock. BRG__TASK_FOLLOWED settles who is first: it is set in xstate, under the lock, only where the state
 * is not an end yet; settling swaps the end into xstate and looks at what was there. Either we see the end, or it sees
 * the mark, takes the lock and finds our edge. Whoever changes xstate on the way keeps the mark. A task that can be
 * followed has a handle, its `kind` does not change by that, and nobody else looks at its extras without the lock.
 */
#include <stdio.h>

#include "os/memory.h"
#include "pool/extras.h"

#define AFTER_SLICE 64 /* told in one section */

typedef struct after_edge {
    brg__node node; /* in followers of the task it waits for; unlinked once told */
    brg_task *waiter, *awaited;
} after_edge;

struct brg__after {
    brg__node node;      /* in pool->ended, its task settled */
    brg__list followers; /* edges of those that run after its task */
    brg_status status;   /* of its task, once in pool->ended */
    uint64_t id;
    uint32_t pending;    /* edges of its own not told yet */
    uint32_t first;      /* those before were told */
    bool any, is_doomed; /* it runs however they end; one ended so that it does not run */
    brg_status doom;
    uint64_t doom_id;
    uint32_t edge_count;
    after_edge edges[];
};

/* ---- joining ----------------------------------------------------------------------------------------------------- */

static brg__after *after_new(size_t edge_count)
{
    if (edge_count >= UINT32_MAX)
        return NULL;
    brg__after *after = brg__calloc(1, sizeof(*after) + edge_count * sizeof(after->edges[0]));
    if (after == NULL)
        return NULL;
    brg__list_init(&after->followers);
    after->edge_count = (uint32_t)edge_count;
    return after;
}

void brg__after_free(brg__after *after) { brg__mfree(after); }

static bool after_has_settled(const brg_task *task) { return brg_task_get_state(task) >= BRG_TASK_DONE; }

/* Makes the task's end look for its followers; false when it came first. */
static bool after_mark(brg_task *task)
{
    uint32_t state = brg_load_acquire(&task->xstate);
    while ((state & BRG__TASK_STATE_MASK) < BRG_TASK_DONE)
        if (brg_cas_seq_cst(&task->xstate, &state, state | BRG__TASK_FOLLOWED)) /* pairs with brg__task_settle */
            return true;
    return false;
}

/* Its list of followers; NULL: no memory. Its kind stays, see above. */
static brg__after *after_of_locked(brg_task *task)
{
    if (task->extras == NULL)
        task->extras = brg__calloc(1, sizeof(*task->extras));
    if (task->extras != NULL && task->extras->after == NULL)
        task->extras->after = after_new(0);
    return task->extras == NULL ? NULL : task->extras->after;
}

void brg__after_leave_locked(brg__after *after)
{
    for (uint32_t i = after->first; i < after->edge_count; i++)
        if (brg__node_is_linked(&after->edges[i].node))
            brg__list_remove(&after->edges[i].node);
    after->pending = 0;
    after->first = after->edge_count;
}

static void after_doom_locked(brg__after *after, brg_status status, uint64_t id)
{
    after->is_doomed = true;
    after->doom = status;
    after->doom_id = id;
    brg__after_leave_locked(after);
}

static brg_status after_follow_locked(brg_task *task, brg_task *awaited, after_edge *edge)
{
    brg__after *after = task->extras->after;
    if (!after_has_settled(awaited)) {
        brg__after *theirs = after_of_locked(awaited);
        if (theirs == NULL)
            return BRG_NO_MEMORY;
        if (after_mark(awaited)) {
            *edge = (after_edge){.waiter = task, .awaited = awaited};
            brg__list_push_back(&theirs->followers, &edge->node);
            after->pending++;
            return BRG_OK;
        }
    }
    if (awaited->result.status != BRG_OK && !after->any)
        after_doom_locked(after, awaited->result.status, awaited->id);
    return BRG_OK;
}

brg_status brg__after_join_locked(brg_task *task, const brg_submit_options *options)
{
    brg__after *after = after_new(options->after_count);
    if (after == NULL)
        return BRG_NO_MEMORY;
    task->extras->after = after;
    after->any = options->after_any;
    brg_status status = BRG_OK;
    for (size_t i = 0; i < options->after_count && status == BRG_OK && !after->is_doomed; i++)
        status = after_follow_locked(task, options->after[i], &after->edges[i]);
    return status;
}

bool brg__after_is_blocked_locked(const brg_task *task)
{
    const brg__after *after = task->extras->after;
    return after->pending != 0 || after->is_doomed;
}

brg_task *brg__after_first_locked(const brg_task *task)
{
    brg__after *after = task->extras == NULL ? NULL : task->extras->after;
    if (after == NULL || after->pending == 0)
        return NULL;
    while (!brg__node_is_linked(&after->edges[after->first].node))
        after->first++;
    return after->edges[after->first].awaited;
}

/* ---- settling ---------------------------------------------------------------------------------------------------- */

static void after_settle_doomed_locked(brg_task *task, brg_status why, uint64_t id)
{
    char message[128];
    snprintf(message, sizeof(message), "task %llu, which it was to run after, ended with %s", (unsigned long long)id,
             brg_status_name(why));
    brg__task_unwait_locked(task->pool, task);
    brg__task_settle_plain(task, BRG_CANCELLED, message);
}

bool brg__after_settle_if_doomed_locked(brg_task *task)
{
    const brg__after *after = task->extras->after;
    if (after == NULL || !after->is_doomed)
        return false;
    after_settle_doomed_locked(task, after->doom, after->doom_id);
    return true;
}

/* The first end that somebody follows; those that nobody follows any more go. */
static brg__after *after_first_ended_locked(brg_pool *pool)
{
    while (!brg__list_is_empty(&pool->ended)) {
        brg__after *after = brg__container_of(pool->ended.head.next, brg__after, node);
        if (!brg__list_is_empty(&after->followers))
            return after;
        brg__list_remove(&after->node);
        brg__after_free(after);
    }
    return NULL;
}

/* The first one that is to hear of an end, out of its list. */
static after_edge *after_next_locked(brg_pool *pool, brg_status *status, uint64_t *id)
{
    brg__after *after = after_first_ended_locked(pool);
    if (after == NULL)
        return NULL;
    brg__node *node = after->followers.head.next;
    brg__list_remove(node);
    *status = after->status;
    *id = after->id;
    return brg__container_of(node, after_edge, node);
}

void brg__after_tell_locked(brg_pool *pool)
{
    brg_status status;
    uint64_t id;
    uint32_t settled = 0;
    pool->is_telling = true;
    for (uint32_t i = 0; i < AFTER_SLICE; i++) {
        after_edge *edge = after_next_locked(pool, &status, &id);
        if (edge == NULL)
            break;
        brg_task *waiter = edge->waiter;
        brg__after *after = waiter->extras->after;
        after->pending--;
        if (status != BRG_OK && !after->any) {
            brg__after_leave_locked(after);
            after_settle_doomed_locked(waiter, status, id);
            settled++;
        } else if (after->pending == 0) {
            brg__task_unblock_locked(pool, waiter);
        }
    }
    pool->is_telling = false;
    pool->has_chores = pool->has_chores || after_first_ended_locked(pool) != NULL;
    if (settled != 0) {
        brg__pool_room_locked(pool);
        brg__pool_check_idle_locked(pool);
    }
}

void brg__after_settled_locked(brg_task *task)
{
    brg__after *after = task->extras->after;
    brg__after_leave_locked(after); /* cancelled or expired while it waited */
    if (brg__list_is_empty(&after->followers))
        return;
    after->status = task->result.status;
    after->id = task->id;
    task->extras->after = NULL;
    brg__list_push_back(&task->pool->ended, &after->node);
    task->pool->has_chores = true;
    if (!task->pool->is_telling) /* else who tells comes to them too, or the unlock */
        brg__after_tell_locked(task->pool);
}
