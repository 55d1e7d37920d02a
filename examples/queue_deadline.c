/* SPDX-License-Identifier: MIT */
/* The earliest deadline first, whatever came first; tasks without one come last. A task past its deadline settles as
 * timed out. */
#include "gate.h"

static brg_status cook(brg_context *context, void *dish)
{
    (void)context;
    printf(" %s", (const char *)dish);
    return BRG_OK;
}

static void order(brg_pool *pool, const char *dish, uint64_t minutes)
{
    brg_error error;
    const brg_submit_options *options = brg_submit_opts(.deadline_ns = BRG_SECONDS(60) * minutes, .error = &error);
    must(brg_pool_submit_call(pool, cook, (void *)dish, options, NULL), &error);
}

int main(void)
{
    gate door = GATE_CLOSED;
    brg_error error;
    brg_pool *pool = NULL;

    must(brg_pool_create(&pool, brg_pool_opts(.workers_max = 1, .queue = brg_queue_deadline), &error), &error);
    gate_hold(&door, pool, 0);
    printf("served:");
    order(pool, "cleaning", 0); /* no deadline */
    order(pool, "banquet", 180);
    order(pool, "coffee", 5);
    order(pool, "lunch", 30);
    gate_open(&door);
    brg_pool_drain(pool, BRG_FOREVER);
    brg_pool_destroy(pool);
    printf("\n");
    return EXIT_SUCCESS;
}
