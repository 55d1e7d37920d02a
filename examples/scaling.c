/* SPDX-License-Identifier: MIT */
/* How many workers: they come when work waits (backlog), or when those there are busy (load), and go when it is over.
 * */
#include <poll.h>

#include "gate.h"

#define WORKERS 4

/* Both on the loop. */
static void count_start(brg_pool *pool, uint64_t worker_id, const brg_exit *exit, void *user_data)
{
    (void)pool, (void)worker_id, (void)exit;
    ++*(int *)user_data;
}
static void count_end(brg_pool *pool, uint64_t worker_id, const brg_exit *exit, void *user_data)
{
    (void)pool, (void)worker_id, (void)exit;
    --*(int *)user_data;
}

static uint32_t online(const brg_pool *pool)
{
    brg_pool_stats stats = {.size = sizeof(stats)};
    brg_pool_get_stats(pool, &stats);
    return stats.workers_online;
}

static void serve(brg_loop *loop, const char *label, const brg_scaling_policy *scaling)
{
    gate door = GATE_CLOSED;
    int there = 0;
    brg_error error;
    brg_pool *pool = NULL;
    const brg_pool_options *options = brg_pool_opts(.loop = loop, .scaling = scaling, .workers_min = 1,
                                                    .workers_max = WORKERS, .grow_queued = 1,
                                                    .scaling_interval_ns = BRG_MILLISECONDS(5),
                                                    .idle_timeout_ns = BRG_MILLISECONDS(5),
                                                    .on_worker_start = count_start, .on_worker_end = count_end,
                                                    .user_data = &there);

    must(brg_pool_create(&pool, options, &error), &error);
    for (int i = 0; i < 4 * WORKERS; i++)
        must(brg_pool_call(pool, gate_pass, &door, NULL, NULL), NULL);
    gate_wait(&door, WORKERS); /* so many are at work at once */
    printf("%s: %u workers", label, online(pool));
    gate_open(&door);
    brg_pool_wait_idle(pool, BRG_FOREVER);
    while (there > 1 || online(pool) > 1) { /* what the one says the other does soon */
        struct pollfd watched = {.fd = brg_loop_fd(loop), .events = POLLIN};
        poll(&watched, 1, -1);
        brg_loop_dispatch(loop);
    }
    printf(", later %d\n", there);
    brg_pool_destroy(pool);
}

int main(void)
{
    brg_error error;
    brg_loop *loop = NULL;
    must(brg_loop_create(&loop, brg_loop_opts(.external = true), &error), &error);
    serve(loop, "backlog", brg_scaling_backlog);
    serve(loop, "load", brg_scaling_load);
    brg_loop_destroy(loop);
    return EXIT_SUCCESS;
}
