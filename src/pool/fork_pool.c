/* SPDX-License-Identifier: MIT */
#include "pool/fork_pool.h"

#include "pool/pool.h"

static bool fork_wake(void *owner)
{
    brg_pool *pool = owner;
    brg__pool_lock(pool);
    brg__slot *slot = brg__list_is_empty(&pool->schedule.idle)
                          ? NULL
                          : brg__slot_of(brg__container_of(pool->schedule.idle.head.next, brg__seat, idle_node));
    if (slot != NULL)
        brg__pool_wake_slot_locked(pool, slot);
    brg__pool_unlock(pool);
    return slot != NULL;
}

static uint32_t fork_workers(void *owner) { return ((const brg_pool *)owner)->options.workers_max; }
static void fork_leave(void *owner) { brg__pool_unref(owner); }

static const brg__team_hooks fork_hooks = {.wake = fork_wake, .workers = fork_workers, .leave = fork_leave};

void brg__pool_team_init(brg_pool *pool)
{
    brg__team_init(&pool->team, &fork_hooks, pool, pool->options.no_spin ? 0 : pool->options.spin_ns);
}

void brg__pool_team_done(brg_pool *pool) { brg__team_done(&pool->team); }

/* A reference to the pool, which may be gone if the worker was abandoned: it is there as long as the worker does not
 * show as ended, since its own reference goes after that. */
static brg_pool *fork_pool_of(brg_worker *worker)
{
    brg_pool *pool = NULL;
    brg__lock_acquire(&worker->life_lock);
    if (!brg__worker_is_over(worker) && brg_load_relaxed(&worker->xwhere) != BRG__IN_ABANDONED) {
        pool = worker->source_owner;
        brg__pool_ref(pool);
    }
    brg__lock_release(&worker->life_lock);
    return pool;
}

brg__forks *brg__forks_of(brg_context *context)
{
    if (context->forks != NULL)
        return context->forks;
    if (context->isolation != BRG_ISOLATION_THREAD || !context->is_pooled)
        return NULL;
    brg_worker *worker = context->owner;
    brg_pool *pool = worker->source == &brg__source_thread ? fork_pool_of(worker) : NULL;
    if (pool == NULL)
        return NULL;
    brg__forks *forks = brg__team_join(&pool->team, context);
    if (forks == NULL)
        brg__pool_unref(pool);
    return forks;
}

bool brg__forks_steal_one(brg_pool *pool, brg_worker *worker, brg_context *context)
{
    if (!brg__team_has_forks(&pool->team) || brg__forks_of(context) == NULL)
        return false;
    brg__worker_enter_user(worker);
    bool stole = brg__team_steal(&pool->team, context);
    return !brg__worker_leave_user(worker) || stole;
}
