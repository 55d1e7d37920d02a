/* SPDX-License-Identifier: MIT */
/* The most urgent task first; with ageing, one that has waited long enough counts as more urgent than it was. */
#include "gate.h"

static brg_status cook(brg_context *context, void *dish)
{
    (void)context;
    printf(" %s", (const char *)dish);
    return BRG_OK;
}

static void order(brg_pool *pool, const char *dish, brg_priority priority)
{
    brg_error error;
    const brg_submit_options *options = brg_submit_opts(.priority = priority, .error = &error);
    must(brg_pool_submit_call(pool, cook, (void *)dish, options, NULL), &error);
}

static void serve(const char *label, uint64_t ageing_ns)
{
    gate door = GATE_CLOSED;
    brg_error error;
    brg_pool *pool = NULL;
    const brg_pool_options *options = brg_pool_opts(.workers_max = 1, .queue = brg_queue_priority,
                                                    .ageing_ns = ageing_ns);

    must(brg_pool_create(&pool, options, &error), &error);
    gate_hold(&door, pool, 0);
    printf("%s:", label);
    order(pool, "dishes", BRG_PRIORITY_LOW);
    order(pool, "soup", BRG_PRIORITY_NORMAL);
    order(pool, "roast", BRG_PRIORITY_HIGH);
    order(pool, "fire", BRG_PRIORITY_URGENT);
    gate_open(&door);
    brg_pool_drain(pool, BRG_FOREVER);
    brg_pool_destroy(pool);
    printf("\n");
}

int main(void)
{
    serve("by priority", 0);
    serve("aged", 1); /* a step for each nanosecond, so that it shows at once: seconds as a rule */
    return EXIT_SUCCESS;
}
