/* SPDX-License-Identifier: MIT */
/* libdispatch: its global concurrent queue, whose width is its own choice; functions, so that any compiler does. */
#ifndef __has_feature
#define __has_feature(name) 0 /* clang's words, which the header takes for granted */
#define __has_extension(name) 0
#endif
#include <dispatch/dispatch.h>

#include "harness.h"

static void dispatch_noop(void *context) { (void)context; }

static void dispatch_batch(dispatch_group_t group, size_t count)
{
    dispatch_queue_t queue = dispatch_get_global_queue(DISPATCH_QUEUE_PRIORITY_DEFAULT, 0);
    for (size_t i = 0; i < count; i++)
        dispatch_group_async_f(group, queue, NULL, dispatch_noop);
    dispatch_group_wait(group, DISPATCH_TIME_FOREVER);
}

static void dispatch_empty(int argc, char **argv)
{
    dispatch_group_t group = dispatch_group_create();
    (void)argc;
    (void)argv;
    dispatch_batch(group, BENCH_EMPTY_TASKS / 10);
    uint64_t before_ns = bench_now_ns();
    dispatch_batch(group, BENCH_EMPTY_TASKS);
    bench_print("empty", (double)(bench_now_ns() - before_ns) / (double)BENCH_EMPTY_TASKS);
    dispatch_release(group);
}

static void dispatch_round(void *state) { dispatch_batch(state, 1); }

static void dispatch_hot(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    bench_round_trips("hot", dispatch_round, dispatch_group_create());
}

typedef struct dispatch_state {
    bench_flow flow;
    uint64_t in_flight;
} dispatch_state;

static void dispatch_work(void *context);

static void dispatch_result(void *context)
{
    dispatch_state *state = context;
    if (bench_flow_next(&state->flow, state->in_flight)) {
        dispatch_async_f(dispatch_get_global_queue(DISPATCH_QUEUE_PRIORITY_DEFAULT, 0), state, dispatch_work);
        return;
    }
    bench_flow_print(&state->flow, "flow");
    exit(0); /* dispatch_main never returns */
}

static void dispatch_work(void *context) { dispatch_async_f(dispatch_get_main_queue(), context, dispatch_result); }

static void dispatch_flow(int argc, char **argv)
{
    static dispatch_state state;
    state.in_flight = strtoull(bench_argument(argc, argv, 0, "tasks in flight"), NULL, 10);
    bench_flow_open(&state.flow);
    for (uint64_t i = 0; i < state.in_flight; i++)
        dispatch_async_f(dispatch_get_global_queue(DISPATCH_QUEUE_PRIORITY_DEFAULT, 0), &state, dispatch_work);
    dispatch_main();
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {
        {"empty", dispatch_empty}, {"hot", dispatch_hot}, {"flow", dispatch_flow}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
