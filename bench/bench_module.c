/* SPDX-License-Identifier: MIT */
/* The module the benchmarks run: tasks that do nothing, take time or never end, and a message that comes back. */
#include <brigade.h>

#include "load.h"

static brg_status module_noop(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    (void)output;
    return BRG_OK;
}

static brg_status module_noop_batch(brg_context *context, brg_batch *batch)
{
    (void)context;
    (void)batch;
    return BRG_OK;
}

/* As many turns as the input says. */
static brg_status module_turn(brg_context *context, const brg_value *input, brg_value **output)
{
    uint64_t turns = 0;
    (void)context;
    (void)output;
    brg_status status = brg_view_uint(brg_value_root(input), &turns);
    bench_load_turn(turns);
    return status;
}

/* What `brigade run` is measured with: a line that says {"a":1,"b":2}. */
static brg_status module_sum(brg_context *context, const brg_value *input, brg_value **output)
{
    brg_view root = brg_value_root(input);
    (void)context;
    return brg_value_map(output, NULL,
                         brg_field_int("sum", brg_view_get_int(root, "a", 0) + brg_view_get_int(root, "b", 0)));
}

/* Deaf to every request to end. */
static brg_status module_stuck(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    (void)output;
    for (volatile uint64_t turns = 0;; turns++) {
    }
    return BRG_OK;
}

static brg_status module_echo(brg_context *context, const brg_value *message)
{
    /* Borrowed, and immutable: another reference is what goes back. */
    brg_value *reply = brg_value_ref((brg_value *)(uintptr_t)message);
    brg_status status = brg_context_post(context, reply, BRG_FOREVER, NULL);
    if (status != BRG_OK)
        brg_value_unref(reply);
    return status;
}

BRG_MODULE(bench,
           .tasks = BRG_TASKS({"noop", module_noop}, {"stuck", module_stuck}, {"turn", module_turn},
                              {"sum", module_sum}),
           .batch_tasks = BRG_BATCH_TASKS({"noop-batch", module_noop_batch}), .message = module_echo);
