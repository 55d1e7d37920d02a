/* SPDX-License-Identifier: MIT */
/* A module whose workers are prepared before their first task (load), and are told of changes between tasks
 * (configure). */
#include <stdlib.h>

#include <brigade.h>

typedef struct shop {
    int64_t prices[3];
    int64_t discount; /* per cent */
} shop;

static brg_status start(brg_context *context)
{
    shop *state = calloc(1, sizeof(*state));
    brg_context_set_state(context, state);
    return state != NULL ? BRG_OK : BRG_NO_MEMORY;
}

static void end(brg_context *context) { free(brg_context_state(context)); }

static brg_status configure(brg_context *context, const brg_value *config)
{
    shop *state = brg_context_state(context);
    state->discount = brg_view_get_int(brg_value_root(config), "discount", 0);
    return BRG_OK;
}

/* The prewarm task: whatever takes its time and should not take that of the first customer. */
static brg_status load(brg_context *context, const brg_value *input, brg_value **output)
{
    shop *state = brg_context_state(context);
    (void)input, (void)output;
    for (int i = 0; i < 3; i++)
        state->prices[i] = 100 * (i + 1);
    return BRG_OK;
}

static brg_status price(brg_context *context, const brg_value *input, brg_value **output)
{
    const shop *state = brg_context_state(context);
    int64_t article = 0;
    if (brg_view_int(brg_value_root(input), &article) != BRG_OK || article < 0 || article > 2)
        return brg_context_fail(context, 1, "no such article");
    return brg_value_int(output, state->prices[article] * (100 - state->discount) / 100, NULL);
}

BRG_MODULE(shop, .tasks = BRG_TASKS({"load", load}, {"price", price}), .worker_start = start, .worker_end = end,
           .configure = configure);
