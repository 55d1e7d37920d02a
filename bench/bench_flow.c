/* SPDX-License-Identifier: MIT */
/* Flows: bench/flows.h over the workers of a pool; and a task for each element of a list, as one call and one by one. */
#include <brigade.h>

#include "flows.h"
#include "load.h"

#include <string.h>

#define VALUES ((size_t)20000)

typedef struct flow_run {
    brg_pool *pool;
    flows_cheap cheap;
    brg_value *items;
} flow_run;

static void flow_make_pool(flow_run *run, const brg_pool_options *options)
{
    brg_error error;
    if (brg_pool_create(&run->pool, options, &error) != BRG_OK)
        bench_fail("brg_pool_create: %s", error.message);
}

static void flow_must(brg_status status)
{
    if (status != BRG_OK)
        bench_fail("%s", brg_status_text(status));
}

/* ---- arrays ------------------------------------------------------------------------------------------------------ */

static brg_status flow_cheap_body(brg_context *context, size_t first, size_t end, void *state)
{
    (void)context;
    flows_cheap_run(state, first, end);
    return BRG_OK;
}

static void flow_cheap(void *state)
{
    flow_run *run = state;
    flow_must(brg_parallel_for(run->pool, FLOWS_CHEAP, flow_cheap_body, &run->cheap, NULL, NULL));
}

static void measure_cheap(int argc, char **argv)
{
    (void)argc, (void)argv;
    flow_run run = {.cheap = flows_cheap_make()};
    flow_make_pool(&run, brg_pool_opts(.workers_max = BENCH_WORKERS));
    flows_measure_cheap(flow_cheap, &run);
    brg_pool_destroy(run.pool);
}

static void flow_loop(void *state) { flows_cheap_run(&((flow_run *)state)->cheap, 0, FLOWS_CHEAP); }

static void measure_loop(int argc, char **argv)
{
    (void)argc, (void)argv;
    flow_run run = {.cheap = flows_cheap_make()};
    flows_measure_cheap(flow_loop, &run);
}

static brg_status flow_load_body(brg_context *context, size_t first, size_t end, void *state)
{
    const uint64_t *turns = state;
    (void)context;
    for (size_t i = first; i < end; i++)
        bench_load_turn(turns[i]);
    return BRG_OK;
}

static void flow_load(void *state, const uint64_t *turns)
{
    flow_must(brg_parallel_for(((flow_run *)state)->pool, BENCH_LOAD_TASKS, flow_load_body, (void *)(uintptr_t)turns,
                               NULL, NULL));
}

static void measure_load(int argc, char **argv)
{
    flow_run run = {.pool = NULL};
    flow_make_pool(&run, brg_pool_opts(.workers_max = BENCH_WORKERS));
    bench_load_measure(argc, argv, flow_load, &run);
    brg_pool_destroy(run.pool);
}

static brg_status flow_no_body(brg_context *context, size_t first, size_t end, void *state)
{
    (void)context, (void)first, (void)end, (void)state;
    return BRG_OK;
}

static void flow_nothing(void *state)
{
    flow_must(brg_parallel_for(((flow_run *)state)->pool, BENCH_WORKERS, flow_no_body, NULL, NULL, NULL));
}

static void measure_start(int argc, char **argv)
{
    (void)argc, (void)argv;
    flow_run run = {.pool = NULL};
    flow_make_pool(&run, brg_pool_opts(.workers_max = BENCH_WORKERS));
    bench_round_trips("start", flow_nothing, &run);
    brg_pool_destroy(run.pool);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static brg_value *flow_items(void)
{
    brg_builder *builder = NULL;
    brg_value *items = NULL;
    flow_must(brg_builder_create(&builder, NULL));
    brg_builder_list(builder);
    for (size_t i = 0; i < VALUES; i++)
        brg_builder_int(builder, (int64_t)i);
    brg_builder_end(builder);
    flow_must(brg_builder_finish(builder, &items, NULL));
    brg_builder_destroy(builder);
    return items;
}

static void flow_values(void *state)
{
    flow_run *run = state;
    brg_value *out = NULL;
    brg_error error;
    if (brg_map_values(run->pool, "noop", run->items, &out, NULL, &error) != BRG_OK)
        bench_fail("brg_map_values: %s", error.message);
    brg_value_unref(out);
}

/* The same by hand: a task and a handle each. */
static void flow_single(void *state)
{
    flow_run *run = state;
    static brg_task *tasks[VALUES];
    for (size_t i = 0; i < VALUES; i++) {
        brg_value *input = NULL;
        flow_must(brg_value_int(&input, (int64_t)i, NULL));
        flow_must(brg_pool_submit(run->pool, "noop", input, NULL, &tasks[i]));
    }
    for (size_t i = 0; i < VALUES; i++) {
        flow_must(brg_task_wait(tasks[i], BRG_FOREVER));
        brg_task_unref(tasks[i]);
    }
}

static void flow_measure_values(int argc, char **argv, void (*round)(void *state))
{
    bool in_process = strcmp(bench_argument(argc, argv, 0, "thread or process"), "process") == 0;
    flow_run run = {.items = flow_items()};
    flow_make_pool(&run, brg_pool_opts(.workers_max = BENCH_WORKERS, .queue_max = VALUES + 1,
                                       .isolation = in_process ? BRG_ISOLATION_PROCESS : BRG_ISOLATION_THREAD,
                                       .module = bench_argument(argc, argv, 1, "a module")));
    bench_round_trips("values", round, &run);
    brg_value_unref(run.items);
    brg_pool_destroy(run.pool);
}

static void measure_values(int argc, char **argv) { flow_measure_values(argc, argv, flow_values); }
static void measure_single(int argc, char **argv) { flow_measure_values(argc, argv, flow_single); }

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"loop", measure_loop},
                                             {"cheap", measure_cheap},
                                             {"load", measure_load},
                                             {"start", measure_start},
                                             {"values", measure_values},
                                             {"single", measure_single},
                                             {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
