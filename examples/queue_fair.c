/* SPDX-License-Identifier: MIT */
/* Guests in turn: who orders a lot waits for it, and nobody waits behind them. The key says whose a task is. */
#include "gate.h"

static brg_status cook(brg_context *context, void *guest)
{
    (void)context;
    printf(" %s", (const char *)guest);
    return BRG_OK;
}

static void order(brg_pool *pool, const char *guest, int dishes)
{
    brg_error error;
    for (int i = 0; i < dishes; i++) {
        const brg_submit_options *options = brg_submit_opts(.key = brg_key(guest), .error = &error);
        must(brg_pool_submit_call(pool, cook, (void *)guest, options, NULL), &error);
    }
}

int main(void)
{
    gate door = GATE_CLOSED;
    brg_error error;
    brg_pool *pool = NULL;

    must(brg_pool_create(&pool, brg_pool_opts(.workers_max = 1, .queue = brg_queue_fair), &error), &error);
    gate_hold(&door, pool, 0);
    printf("served:");
    order(pool, "anna", 5);
    order(pool, "bert", 2);
    order(pool, "clara", 1);
    gate_open(&door);
    brg_pool_drain(pool, BRG_FOREVER);
    brg_pool_destroy(pool);
    printf("\n");
    return EXIT_SUCCESS;
}
