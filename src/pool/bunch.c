/* SPDX-License-Identifier: MIT */
/*
 * Tasks of a pool that share a token: a bunch, with one watch on the token however many they are.
 *
 * Setting and ending a watch may run callbacks, start or join a thread: never under the pool's lock. So a submit holds
 * the bunch before it takes the lock, making it if there is none; and the last task that leaves puts it on a list,
 * which the unlock lets go of. Its watch may be running on another thread even then: references are the pool's, the
 * watch's, and that of a cancel on its way.
 *
 * The watch's callback comes on whatever thread cancels or notices, possibly one that holds this very lock (it sends a
 * value with the token to a process). So it only calls the supervisor, which cancels a slice of the tasks at a time.
 */
#include "message/shared.h"
#include "os/memory.h"
#include "pool/extras.h"
#include "worker/supervisor.h"

#define BUNCH_SLICE 64 /* cancelled in one section */
#define BUNCH_TABLE_MIN 16u

struct brg__bunch {
    uint32_t xreferences;
    brg_pool *pool; /* counted */
    brg_token *token;
    brg_token_watch *watch;
    brg__call cancel;
    uint32_t holds;          /* submits on their way */
    bool running_too;        /* the cancel has come round to those that run */
    brg__list tasks, swept;  /* `swept`: the cancel was there */
    struct brg__bunch *next; /* in pool->bunches_left */
};

static uint64_t bunch_key(const brg_token *token) { return (uint64_t)(uintptr_t)token; }

static void bunch_unref(brg__bunch *bunch)
{
    if (brg_sub_acq_rel(&bunch->xreferences, 1u) != 1)
        return;
    brg_token_unref(bunch->token);
    brg__pool_unref(bunch->pool);
    brg__mfree(bunch);
}

/* ---- cancelling -------------------------------------------------------------------------------------------------- */

/* Those that do not run come first, else a worker that is asked to end takes the next of them. */
static brg_task *bunch_next_locked(brg__bunch *bunch)
{
    brg__node *node = brg__list_pop_front(&bunch->tasks);
    if (node == NULL && !bunch->running_too) {
        bunch->running_too = true;
        brg__list_splice_back(&bunch->tasks, &bunch->swept);
        node = brg__list_pop_front(&bunch->tasks);
    }
    if (node == NULL)
        return NULL;
    brg__list_push_back(&bunch->swept, node);
    return brg__container_of(node, brg__extras, bunch_node)->task;
}

/* On the supervisor, again and again until none is left; who joins later sees the token itself. */
static void bunch_cancel_slice(brg__call *call)
{
    brg__bunch *bunch = brg__container_of(call, brg__bunch, cancel);
    brg_pool *pool = bunch->pool;
    brg_task *task = NULL;
    brg__pool_lock(pool);
    for (uint32_t i = 0; i < BUNCH_SLICE && (task = bunch_next_locked(bunch)) != NULL; i++)
        if (bunch->running_too || brg_task_get_state(task) != BRG_TASK_RUNNING)
            (void)brg__task_cancel_locked(task);
    brg__pool_check_idle_locked(pool);
    brg__pool_unlock(pool);
    if (task != NULL)
        brg__supervisor_call(call);
    else
        bunch_unref(bunch);
}

static void bunch_cancelled(void *user_data)
{
    brg__bunch *bunch = user_data;
    brg_add_relaxed(&bunch->xreferences, 1u);
    brg__supervisor_call(&bunch->cancel);
}

static void bunch_released(void *user_data) { bunch_unref(user_data); }

/* ---- from the first submit to the last end ----------------------------------------------------------------------- */

static brg_status bunch_new(brg__bunch **out, brg_pool *pool, brg_token *token, brg_error *error)
{
    brg__bunch *bunch = brg__calloc(1, sizeof(*bunch));
    if (bunch == NULL)
        return brg__error_memory(error, "a task's token");
    bunch->xreferences = 2;
    bunch->pool = pool;
    bunch->cancel.run = bunch_cancel_slice;
    brg__list_init(&bunch->tasks);
    brg__list_init(&bunch->swept);
    brg__pool_ref(pool);
    bunch->token = brg_token_ref(token);
    brg_status status = brg__token_watch(token, bunch_cancelled, bunch_released, bunch, &bunch->watch, error);
    if (status != BRG_OK) {
        bunch->xreferences = 1;
        bunch_unref(bunch);
        return status;
    }
    *out = bunch;
    return BRG_OK;
}

static void bunch_let_go(brg__bunch *bunch)
{
    brg_token_watch_destroy(bunch->watch);
    bunch_unref(bunch);
}

static brg__bunch *bunch_find_locked(brg_pool *pool, const brg_token *token)
{
    return brg__table_get(&pool->bunches, bunch_key(token));
}

/* Holds the bunch that is there. */
static bool bunch_hold_locked(brg_pool *pool, const brg_token *token)
{
    brg__bunch *bunch = bunch_find_locked(pool, token);
    if (bunch != NULL)
        bunch->holds++;
    return bunch != NULL;
}

static brg_status bunch_add_locked(brg_pool *pool, brg__bunch *bunch)
{
    if (!brg__table_has_room(&pool->bunches)) {
        size_t capacity = brg__max(BUNCH_TABLE_MIN, pool->bunches.capacity * 2);
        brg__table_slot *slots = brg__calloc(capacity, sizeof(*slots));
        if (slots == NULL)
            return BRG_NO_MEMORY;
        brg__mfree(brg__table_rehash(&pool->bunches, slots, capacity));
    }
    brg__table_put(&pool->bunches, bunch_key(bunch->token), bunch);
    bunch->holds++;
    return BRG_OK;
}

brg_status brg__bunch_hold(brg_pool *pool, brg_token *token, brg_error *error)
{
    brg__bunch *bunch = NULL;
    brg__pool_lock(pool);
    bool held = bunch_hold_locked(pool, token);
    brg__pool_unlock(pool);
    if (held)
        return BRG_OK;
    brg_status status = bunch_new(&bunch, pool, token, error);
    if (status != BRG_OK)
        return status;
    brg__pool_lock(pool);
    held = bunch_hold_locked(pool, token); /* another thread was first */
    if (!held)
        status = bunch_add_locked(pool, bunch);
    brg__pool_unlock(pool);
    if (held || status != BRG_OK)
        bunch_let_go(bunch);
    return status == BRG_OK ? BRG_OK : brg__error_memory(error, "a task's token");
}

static void bunch_check_locked(brg_pool *pool, brg__bunch *bunch)
{
    if (bunch->holds != 0 || !brg__list_is_empty(&bunch->tasks) || !brg__list_is_empty(&bunch->swept))
        return;
    brg__table_remove(&pool->bunches, bunch_key(bunch->token));
    bunch->next = pool->bunches_left;
    pool->bunches_left = bunch;
    pool->has_chores = true;
}

void brg__bunch_unhold_locked(brg_pool *pool, const brg_token *token)
{
    brg__bunch *bunch = bunch_find_locked(pool, token);
    bunch->holds--;
    bunch_check_locked(pool, bunch);
}

void brg__bunch_join_locked(brg_task *task, const brg_token *token)
{
    brg__bunch *bunch = bunch_find_locked(task->pool, token);
    task->extras->bunch = bunch;
    brg__list_push_back(&bunch->tasks, &task->extras->bunch_node);
}

bool brg__bunch_is_cancelled(const brg_task *task)
{
    const brg__bunch *bunch = task->extras->bunch;
    return bunch != NULL && brg_token_is_cancelled(bunch->token);
}

void brg__bunch_leave_locked(brg_task *task)
{
    brg__bunch *bunch = task->extras->bunch;
    brg__list_remove(&task->extras->bunch_node);
    task->extras->bunch = NULL;
    bunch_check_locked(task->pool, bunch);
}

void brg__bunches_let_go(brg__bunch *first)
{
    while (first != NULL) {
        brg__bunch *next = first->next;
        bunch_let_go(first);
        first = next;
    }
}

void brg__bunches_free(brg_pool *pool) { brg__mfree(pool->bunches.slots); }
