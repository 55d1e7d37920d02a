/* SPDX-License-Identifier: MIT */
/*
 * Nobody knows how many workers are best: here they use a disk that is slower the more of them use it at once, and does
 * most for about five. Adaptive scaling finds that out, from the tasks done per second while some wait.
 */
#include <poll.h>
#include <stdatomic.h>
#include <time.h>

#include "gate.h"

#define WORKERS 32
#define TASKS 10000

static atomic_int users;

/* Stands for the disk. */
static brg_status use_disk(brg_context *context, void *argument)
{
    (void)context, (void)argument;
    double at_once = atomic_fetch_add(&users, 1) + 1;
    double crowd = at_once / 6;
    struct timespec time = {.tv_nsec = (long)(1e6 * (1 + crowd * crowd * crowd))};
    nanosleep(&time, NULL);
    atomic_fetch_sub(&users, 1);
    return BRG_OK;
}

int main(void)
{
    brg_error error;
    brg_pool *pool = NULL;
    brg_pool_stats stats = {.size = sizeof(stats)};
    const brg_pool_options *options = brg_pool_opts(.scaling = brg_scaling_adaptive, .workers_max = WORKERS,
                                                    .scaling_interval_ns = BRG_MILLISECONDS(20));

    must(brg_pool_create(&pool, options, &error), &error);
    for (int i = 0; i < TASKS; i++)
        must(brg_pool_call(pool, use_disk, NULL, NULL, NULL), NULL);
    do { /* a look from time to time, as a monitor takes it */
        poll(NULL, 0, 20);
        brg_pool_get_stats(pool, &stats);
    } while (stats.queued > TASKS / 10);
    printf("of 1 to %d workers it wants %u\n", WORKERS, stats.workers_target);
    brg_pool_drain(pool, BRG_FOREVER);
    brg_pool_destroy(pool);
    return EXIT_SUCCESS;
}
