/* SPDX-License-Identifier: MIT */
#include "pool/fork_pool.h"

#define FORK_HELPERS_MAX 64 /* a pool of more has some to spare */

static bool fork_wake(void *owner)
{
    brg_pool *pool = owner;
    brg__pool_lock(pool);
    brg__slot *slot = brg__list_is_empty(&pool->schedule.idle)
                          ? NULL
                          : brg__slot_of(brg__container_of(pool->schedule.idle.head.next, brg__seat, idle_node));
    if (slot != NULL)
        brg__pool_wake_slot_locked(pool, slot);
    bool woken = slot != NULL && !slot->seat.seen.is_idle;
    brg__pool_unlock(pool);
    return woken;
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
    bool has_pool = worker != NULL && worker->source == &brg__source_thread;
    brg_pool *pool = has_pool ? fork_pool_of(worker) : NULL;
    if (pool == NULL)
        return NULL;
    brg__forks *forks = brg__team_join(&pool->team, context);
    if (forks == NULL)
        brg__pool_unref(pool);
    return forks;
}

bool brg__forks_steal_one(brg_pool *pool, brg_worker *worker, brg_context *context)
{
    if (brg__forks_of(context) == NULL)
        return false;
    brg__context_begin(context, 0, 0);
    brg__worker_enter_user(worker);
    bool stole = brg__team_steal(&pool->team, context);
    bool stays = brg__worker_leave_user(worker);
    brg__context_end(context);
    return stole || !stays;
}

/* Workers that run a task of their own are let off: they ran the fork while they wait in a join. The others get no task
 * from here on, since that takes the lock. */
void brg__forks_end_helpers_locked(brg__slot *slot, brg_status why)
{
    brg_worker *helpers[FORK_HELPERS_MAX];
    uint32_t count = brg__team_lose(&slot->pool->team, slot->worker, helpers, FORK_HELPERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        brg__slot *its = helpers[i]->slot;
        if (its->worker == helpers[i] && !its->ending && brg_load_acquire(&its->xticket) == 0) {
            its->ending = true;
            slot->pool->workers_killed++;
            brg__worker_end_now(helpers[i], why, "it ran a fork of a task that did not end within its grace");
        }
        brg__worker_unref(helpers[i]);
    }
}
