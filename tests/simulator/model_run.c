/* SPDX-License-Identifier: MIT */
/* A run of the model: the pool is made and comes to rest, then the load begins. */
#include <stdlib.h>

#include "base/util.h"
#include "model.h"

#define RUN_EVENTS_MIN 1000000
#define RUN_EVENTS_MAX 2000              /* for each task: more is a livelock */
#define RUN_REST_NS UINT64_C(1000000000) /* enough for workers to start and fall asleep */

static void run_options(brg_pool_options *options)
{
    if (options->queue == NULL)
        options->queue = brg_queue_fifo;
    if (options->placement == NULL)
        options->placement = brg_placement_pull;
    if (options->scaling == NULL)
        options->scaling = brg_scaling_fixed;
    if (options->workers_min == 0)
        options->workers_min = 1;
    if (options->queue_max == 0)
        options->queue_max = UINT32_MAX;
    if (options->seed == 0)
        options->seed = 1;
    if (options->scaling_interval_ns == 0)
        options->scaling_interval_ns = BRG_MILLISECONDS(100);
    if (options->idle_timeout_ns == 0)
        options->idle_timeout_ns = BRG_SECONDS(10);
    if (options->spin_ns == 0)
        options->spin_ns = BRG_MICROSECONDS(50);
}

static void run_costs(sim_pool *pool, uint32_t cores)
{
    const sim_costs *costs = pool->costs;
    double queue_ns = sim_costs_of(costs, pool->options.queue->name, "_ns") - costs->fifo_ns;
    pool->queue_ns = queue_ns > 0 ? queue_ns : 0;
    pool->place_ns = sim_costs_of(costs, pool->options.placement->name, "_ns");
    pool->place_seat_ns = sim_costs_of(costs, pool->options.placement->name, "_seat_ns");
    pool->searching_max = brg__searchers_max(cores);
    if (cores == 1 || pool->options.no_spin)
        pool->options.spin_ns = 0;
}

static bool run_init(sim_pool *pool, const sim_setup *setup, const sim_load *load, sim_run *run)
{
    static const sim_costs nothing;
    sim_machine_init(&pool->machine, setup->cores, setup->costs == NULL ? &nothing : setup->costs);
    pool->costs = &pool->machine.costs;
    pool->options = setup->options;
    pool->load = load;
    pool->run = run;
    run_options(&pool->options);
    run_costs(pool, setup->cores);
    sim_lock_init(&pool->lock);
    brg__list_init(&pool->wakes);
    brg__list_init(&pool->spinning);
    uint32_t count = pool->options.workers_max;
    pool->tasks = calloc(run->count, sizeof(sim_task));
    pool->workers = calloc(count, sizeof(sim_worker *));
    pool->seats = calloc(count, sizeof(brg_seat *));
    if (pool->tasks == NULL || pool->workers == NULL || pool->seats == NULL ||
        brg__schedule_init(&pool->schedule, &pool->options) != BRG_OK)
        return false;
    for (uint32_t i = 0; i < run->count; i++)
        pool->tasks[i].record = &run->records[i];
    for (uint32_t i = 0; i < count; i++) {
        sim_worker *worker = pool->workers[i] = calloc(1, sizeof(sim_worker));
        if (worker == NULL || brg__seat_init(&pool->schedule, &worker->seat, i, 0) != BRG_OK)
            return false;
        pool->seats[i] = &worker->seat.seen;
        worker->pool = pool;
        pool->worker_count++;
        pool->schedule.seats = pool->seats;
        pool->schedule.seat_count = pool->worker_count;
    }
    return true;
}

static void run_done(sim_pool *pool)
{
    for (uint32_t i = 0; i < pool->worker_count; i++)
        brg__seat_done(&pool->schedule, &pool->workers[i]->seat);
    for (uint32_t i = 0; i < pool->options.workers_max && pool->workers != NULL; i++)
        free(pool->workers[i]);
    if (pool->schedule.options != NULL)
        brg__schedule_done(&pool->schedule);
    sim_scale_done(pool);
    sim_machine_done(&pool->machine);
    free(pool->tasks);
    free(pool->workers);
    free(pool->seats);
    free(pool);
}

/* Its events go on until then. */
static void run_alarm(sim_thread *thread) { sim_block(thread, run_alarm); }
static void run_alarm_set(sim_thread *thread) { sim_sleep(thread, (double)RUN_REST_NS, run_alarm); }

static uint64_t run_used_ns(const sim_pool *pool)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i < pool->machine.thread_count; i++)
        used += pool->machine.threads[i]->used_ns;
    return used;
}

static bool run_go(sim_pool *pool, sim_insight *insight)
{
    sim_thread alarm = {.state = SIM_BLOCKED};
    for (uint32_t i = 0; i < pool->target; i++)
        sim_worker_start(pool, i);
    sim_thread_start(&pool->machine, &alarm, run_alarm_set);
    while (pool->machine.now_ns < RUN_REST_NS)
        if (!sim_machine_step(&pool->machine))
            return false;
    sim_scale_account(pool);
    uint64_t used_ns = run_used_ns(pool), worker_ns = pool->worker_ns, held_ns = pool->lock.held_ns;
    pool->lock.takes = pool->lock.waited_ns = 0;
    sim_submitter_start(pool);
    uint64_t events_max = pool->machine.events_count + RUN_EVENTS_MIN + (uint64_t)RUN_EVENTS_MAX * pool->run->count;
    while (pool->settled < pool->run->count)
        if (!sim_machine_step(&pool->machine) || pool->machine.events_count > events_max)
            return false;
    sim_scale_account(pool);
    double passed = (double)brg__max(1, pool->machine.now_ns - pool->zero_ns);
    *insight = (sim_insight){.lock_busy = (double)(pool->lock.held_ns - held_ns) / passed,
                             .lock_wait_ns = (double)pool->lock.waited_ns / (double)brg__max(1, pool->lock.takes),
                             .workers = (double)(pool->worker_ns - worker_ns) / passed,
                             .cores_busy = (double)(run_used_ns(pool) - used_ns) / passed / pool->machine.cores,
                             .queue_peak = pool->waiting_peak,
                             .stolen = pool->schedule.stolen,
                             .events = pool->machine.events_count,
                             .workers_last = pool->online_count};
    return true;
}

bool sim_model_run(const sim_setup *setup, const sim_load *load, sim_run *run, sim_insight *insight)
{
    sim_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return false;
    bool good = run_init(pool, setup, load, run) && sim_scale_init(pool) && run_go(pool, insight);
    run_done(pool);
    return good;
}
