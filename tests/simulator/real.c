/* SPDX-License-Identifier: MIT */
#include "real.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include <brigade.h>

#include "harness.h"
#include "load.h"

#define REAL_REST_NS 5000000
#define REAL_SAME_SPEED 1.01

typedef struct real_run real_run;

typedef struct real_task {
    real_run *run;
    sim_record *record;
} real_task;

struct real_run {
    const sim_load *load;
    brg_pool *pool;
    real_task *tasks;
    uint32_t count;
    uint32_t xchained;
    uint64_t zero_ns;
    double turns_per_ns;
};

static void real_check(brg_status status, const char *what)
{
    if (status != BRG_OK)
        bench_fail("%s: %s", what, brg_status_text(status));
}

static void real_until(uint64_t at_ns)
{
    struct timespec at = {(time_t)(at_ns / 1000000000), (long)(at_ns % 1000000000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static double real_turns_per_ns(void) { return (double)bench_load_turns(1000000) / 1e6; }

static brg_status real_noop(brg_context *context, void *argument);
static brg_status real_work(brg_context *context, void *argument);

static void real_submit(real_run *self, real_task *task)
{
    const sim_load *load = self->load;
    brg_call_fn call = load->mean_ns == 0 ? real_noop : real_work;
    if (load->mean_ns != 0)
        task->record->came_ns = bench_now_ns() - self->zero_ns;
    if (load->keys == 0 && !load->has_bands) {
        real_check(brg_pool_call(self->pool, call, task, NULL, NULL), "brg_pool_call");
        return;
    }
    static const brg_priority priorities[] = {BRG_PRIORITY_URGENT, BRG_PRIORITY_HIGH, BRG_PRIORITY_NORMAL,
                                              BRG_PRIORITY_LOW};
    brg_submit_options options = {
        .size = sizeof(options), .key = task->record->key, .priority = priorities[task->record->band]};
    real_check(brg_pool_submit_call(self->pool, call, task, &options, NULL), "brg_pool_submit_call");
}

static void real_chain(real_run *self)
{
    if (self->load->arrival != SIM_CHAINS)
        return;
    uint32_t next = __atomic_fetch_add(&self->xchained, 1, __ATOMIC_RELAXED);
    if (next < self->count)
        real_submit(self, &self->tasks[next]);
}

static brg_status real_noop(brg_context *context, void *argument)
{
    (void)context;
    real_chain(((real_task *)argument)->run);
    return BRG_OK;
}

static brg_status real_work(brg_context *context, void *argument)
{
    (void)context;
    real_task *task = argument;
    real_run *self = task->run;
    uint64_t began_ns = bench_now_ns();
    if (task->record->work_ns > 0)
        bench_load_turn((uint64_t)(task->record->work_ns * self->turns_per_ns));
    if (task->record->off_ns > 0)
        nanosleep(&(struct timespec){0, (long)task->record->off_ns}, NULL);
    task->record->began_ns = began_ns - self->zero_ns;
    task->record->ended_ns = bench_now_ns() - self->zero_ns;
    real_chain(self);
    return BRG_OK;
}

static void real_open(real_run *self, const brg_pool_options *given)
{
    brg_pool_options options = *given;
    options.size = sizeof(options);
    options.admission = BRG_ADMISSION_BLOCK;
    real_check(brg_pool_create(&self->pool, &options, NULL), "brg_pool_create");
    brg_pool_stats stats = {.size = sizeof(stats)};
    uint32_t wanted = options.workers_min != 0 ? options.workers_min : options.workers_max;
    do
        real_check(brg_pool_get_stats(self->pool, &stats), "brg_pool_get_stats");
    while (stats.workers_online < wanted);
}

bool sim_real_run(const brg_pool_options *options, const sim_load *load, sim_run *run)
{
    real_run self = {.load = load, .count = run->count, .tasks = bench_alloc(run->count * sizeof(real_task))};
    prctl(PR_SET_TIMERSLACK, 1UL); /* workers inherit it */
    self.turns_per_ns = real_turns_per_ns();
    for (uint32_t i = 0; i < run->count; i++)
        self.tasks[i] = (real_task){&self, &run->records[i]};
    real_open(&self, options);
    real_until(bench_now_ns() + REAL_REST_NS);
    uint32_t first = load->arrival == SIM_CHAINS ? load->chains : run->count;
    self.xchained = first;
    self.zero_ns = bench_now_ns();
    for (uint32_t i = 0; i < first && i < run->count; i++) {
        if (load->arrival == SIM_OPEN && self.zero_ns + run->records[i].wanted_ns > bench_now_ns())
            real_until(self.zero_ns + run->records[i].wanted_ns);
        real_submit(&self, &self.tasks[i]);
    }
    real_check(brg_pool_wait_idle(self.pool, BRG_FOREVER), "brg_pool_wait_idle");
    uint64_t end_ns = bench_now_ns() - self.zero_ns;
    if (load->mean_ns == 0) /* they note nothing themselves */
        run->records[run->count - 1].ended_ns = end_ns;
    brg_pool_destroy(self.pool);
    free(self.tasks);
    return real_turns_per_ns() < REAL_SAME_SPEED * self.turns_per_ns;
}
