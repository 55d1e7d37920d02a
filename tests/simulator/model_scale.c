/* SPDX-License-Identifier: MIT */
/* scale.c of the pool and the part of its supervisor that calls it: asks the real policy, starts and ends workers. */
#include <stdlib.h>

#include "base/util.h"
#include "model.h"

static uint64_t scale_now(const sim_pool *pool) { return pool->machine.now_ns; }

void sim_scale_account(sim_pool *pool)
{
    uint64_t passed = scale_now(pool) - pool->load_since_ns;
    pool->load_since_ns = scale_now(pool);
    pool->busy_ns += passed * (pool->online_count - brg__min(pool->idle_count, pool->online_count));
    pool->worker_ns += passed * pool->online_count;
}

static void scale_wake_by(sim_pool *pool, uint64_t at_ns)
{
    if (at_ns >= pool->scale_next_ns)
        return;
    pool->scale_next_ns = at_ns;
    if (pool->supervisor.state == SIM_ASLEEP) /* else it looks at scale_next_ns before it sleeps */
        sim_wake(&pool->supervisor);
}

void sim_worker_set_idle(sim_worker *worker, bool idle)
{
    sim_pool *pool = worker->pool;
    if (worker->seat.seen.is_idle == idle)
        return;
    sim_scale_account(pool);
    worker->idle_since_ns = scale_now(pool);
    pool->idle_count += idle ? 1 : -1u;
    if (idle && pool->started_count > pool->target)
        scale_wake_by(pool, scale_now(pool) + pool->options.idle_timeout_ns);
    brg__seat_set_idle(&pool->schedule, &worker->seat, idle);
}

void sim_scale_hint(sim_pool *pool)
{
    pool->may_hint = false;
    pool->scale_at_ns = 0;
    scale_wake_by(pool, 0);
}

/* brg__slot_retire_locked */
static void scale_retire(sim_worker *worker)
{
    sim_pool *pool = worker->pool;
    sim_worker_set_idle(worker, false);
    brg__seat_close(&pool->schedule, &worker->seat, scale_now(pool));
    worker->is_ending = true;
    worker->is_online = false;
    pool->online_count--;
    brg__list_push_back(&pool->wakes, &worker->wake_node);
}

/* scale_shrink_locked */
static uint64_t scale_shrink(sim_pool *pool)
{
    while (pool->online_count > pool->target && !brg__list_is_empty(&pool->schedule.idle)) {
        brg__seat *seat = brg__container_of(pool->schedule.idle.head.previous, brg__seat, idle_node);
        sim_worker *worker = brg__container_of(seat, sim_worker, seat);
        uint64_t due = worker->idle_since_ns + pool->options.idle_timeout_ns;
        if (due > scale_now(pool))
            return due;
        scale_retire(worker);
    }
    return UINT64_MAX;
}

/* scale_wanted_locked */
static uint32_t scale_wanted(sim_pool *pool)
{
    sim_scale_account(pool);
    brg_load load = {.now_ns = scale_now(pool),
                     .workers_min = pool->options.workers_min,
                     .workers_max = pool->options.workers_max,
                     .workers = pool->started_count,
                     .busy = pool->online_count - (uint32_t)brg__min(pool->idle_count, pool->online_count),
                     .queued = pool->waiting,
                     .done = pool->settled,
                     .busy_ns = pool->busy_ns,
                     .worker_ns = pool->worker_ns};
    uint64_t wanted = pool->options.scaling->target(pool->scaling, &load);
    uint64_t least = brg__max(load.workers_min, pool->schedule.xready != 0);
    return (uint32_t)brg__min(brg__max(wanted, least), load.workers_max);
}

/* brg__pool_scale_locked; then brg__pool_fill */
static uint64_t scale_look(sim_pool *pool)
{
    uint32_t before = pool->target;
    if (scale_now(pool) >= pool->scale_at_ns) {
        bool was_hint = pool->scale_at_ns == 0;
        pool->target = scale_wanted(pool);
        pool->scale_at_ns = scale_now(pool) + pool->options.scaling_interval_ns;
        pool->may_hint = pool->target < pool->options.workers_max && (pool->target > before || !was_hint);
    }
    uint64_t next = brg__min(pool->scale_at_ns, scale_shrink(pool));
    for (uint32_t i = 0; i < pool->worker_count && pool->started_count < pool->target; i++)
        if (!pool->workers[i]->is_there)
            sim_worker_start(pool, i);
    return next;
}

static sim_pool *scale_pool(sim_thread *thread) { return brg__container_of(thread, sim_pool, supervisor); }

static void scale_ask(sim_thread *thread);

static void scale_wait(sim_thread *thread)
{
    sim_pool *pool = scale_pool(thread);
    if (pool->scale_next_ns <= scale_now(pool))
        scale_ask(thread);
    else
        sim_sleep(thread, (double)(pool->scale_next_ns - scale_now(pool)), scale_ask);
}

static void scale_unlock(sim_thread *thread) { sim_pool_unlock(thread, scale_pool(thread), scale_wait); }

/* brg__pool_timer_fire */
static void scale_fire(sim_thread *thread)
{
    sim_pool *pool = scale_pool(thread);
    pool->scale_next_ns = UINT64_MAX;
    uint64_t next = scale_look(pool);
    pool->scale_next_ns = brg__min(pool->scale_next_ns, next);
    sim_pool_dispatch(pool);
    sim_use(thread, 2 * pool->costs->clock_ns, scale_unlock);
}

static void scale_ask(sim_thread *thread) { sim_acquire(thread, &scale_pool(thread)->lock, scale_fire); }

bool sim_scale_init(sim_pool *pool)
{
    const brg_scaling_policy *policy = pool->options.scaling;
    pool->target = pool->options.workers_min;
    pool->load_since_ns = scale_now(pool);
    pool->scale_next_ns = UINT64_MAX;
    if (policy == brg_scaling_fixed) {
        pool->target = pool->options.workers_max;
        return true;
    }
    if (policy->state_bytes != 0) {
        pool->scaling = calloc(1, policy->state_bytes);
        if (pool->scaling == NULL)
            return false;
    }
    if (policy->init != NULL)
        policy->init(pool->scaling, &pool->options);
    pool->may_hint = pool->target < pool->options.workers_max;
    pool->scale_at_ns = pool->scale_next_ns = scale_now(pool) + pool->options.scaling_interval_ns;
    sim_thread_start(&pool->machine, &pool->supervisor, scale_wait);
    return true;
}

void sim_scale_done(sim_pool *pool) { free(pool->scaling); }
