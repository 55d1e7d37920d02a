/* SPDX-License-Identifier: MIT */
/* Which task is next: the oldest (fifo, the default), or the newest (lifo). */
#include "gate.h"

static brg_status cook(brg_context *context, void *dish)
{
    (void)context;
    printf(" %s", (const char *)dish);
    return BRG_OK;
}

static void serve(const char *label, const brg_queue_policy *queue)
{
    static const char *const dishes[] = {"soup", "salad", "roast", "pie"};
    gate door = GATE_CLOSED;
    brg_error error;
    brg_pool *pool = NULL;

    must(brg_pool_create(&pool, brg_pool_opts(.workers_max = 1, .queue = queue), &error), &error);
    gate_hold(&door, pool, 0);
    printf("%s:", label);
    for (size_t i = 0; i < sizeof(dishes) / sizeof(dishes[0]); i++)
        must(brg_pool_call(pool, cook, (void *)dishes[i], NULL, NULL), NULL);
    gate_open(&door);
    brg_pool_drain(pool, BRG_FOREVER);
    brg_pool_destroy(pool);
    printf("\n");
}

int main(void)
{
    serve("fifo", brg_queue_fifo);
    serve("lifo", brg_queue_lifo);
    return EXIT_SUCCESS;
}
