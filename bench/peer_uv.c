/* SPDX-License-Identifier: MIT */
/* libuv's thread pool: uv_queue_work with two threads, requests reused and their memory touched beforehand. */
#include <stdio.h>
#include <uv.h>

#include "harness.h"

static void uv_peer_work(uv_work_t *request) { (void)request; }

static void uv_peer_after(uv_work_t *request, int status)
{
    (void)request;
    (void)status;
}

static void uv_peer_check(int result, const char *what)
{
    if (result != 0)
        bench_fail("%s: %s", what, uv_strerror(result));
}

static uv_loop_t *uv_peer_loop(void)
{
    static uv_loop_t loop;
    char threads[16];
    snprintf(threads, sizeof(threads), "%d", BENCH_WORKERS);
    uv_peer_check(uv_os_setenv("UV_THREADPOOL_SIZE", threads), "uv_os_setenv");
    uv_peer_check(uv_loop_init(&loop), "uv_loop_init");
    return &loop;
}

static void uv_peer_batch(uv_loop_t *loop, uv_work_t *requests, size_t count)
{
    for (size_t i = 0; i < count; i++)
        uv_peer_check(uv_queue_work(loop, &requests[i], uv_peer_work, uv_peer_after), "uv_queue_work");
    uv_run(loop, UV_RUN_DEFAULT);
}

static void uv_peer_empty(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    uv_loop_t *loop = uv_peer_loop();
    uv_work_t *requests = bench_alloc(BENCH_EMPTY_TASKS * sizeof(*requests));
    uv_peer_batch(loop, requests, BENCH_EMPTY_TASKS / 10);
    uint64_t before_ns = bench_now_ns();
    uv_peer_batch(loop, requests, BENCH_EMPTY_TASKS);
    bench_print("empty", (double)(bench_now_ns() - before_ns) / (double)BENCH_EMPTY_TASKS);
    free(requests);
}

static void uv_peer_round(void *state)
{
    uv_work_t request;
    uv_peer_batch(state, &request, 1);
}

static void uv_peer_hot(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    bench_round_trips("hot", uv_peer_round, uv_peer_loop());
}

static void uv_peer_again(uv_work_t *request, int status)
{
    bench_flow *flow = request->data;
    uint64_t stride = *(const uint64_t *)request->loop->data;
    (void)status;
    if (bench_flow_next(flow, stride))
        uv_peer_check(uv_queue_work(request->loop, request, uv_peer_work, uv_peer_again), "uv_queue_work");
}

static void uv_peer_flow(int argc, char **argv)
{
    uint64_t in_flight = strtoull(bench_argument(argc, argv, 0, "tasks in flight"), NULL, 10);
    uv_loop_t *loop = uv_peer_loop();
    uv_work_t *requests = bench_alloc(in_flight * sizeof(*requests));
    bench_flow flow;
    loop->data = &in_flight;
    bench_flow_open(&flow);
    for (size_t i = 0; i < in_flight; i++) {
        requests[i].data = &flow;
        uv_peer_check(uv_queue_work(loop, &requests[i], uv_peer_work, uv_peer_again), "uv_queue_work");
    }
    uv_run(loop, UV_RUN_DEFAULT);
    bench_flow_print(&flow, "flow");
    free(requests);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {
        {"empty", uv_peer_empty}, {"hot", uv_peer_hot}, {"flow", uv_peer_flow}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
