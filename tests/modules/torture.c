/* SPDX-License-Identifier: MIT */
/* The module of the torture of tasks: each function says so when memory is out, and goes on. */
#include <brigade.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>

static int64_t number_of(const brg_value *input)
{
    int64_t number = 0;
    if (input != NULL && brg_view_int(brg_value_root(input), &number) != BRG_OK)
        number = brg_view_get_int(brg_value_root(input), "n", 0);
    return number;
}

static brg_status torture_pass(brg_context *context, const brg_value *input, brg_value **output)
{
    *output = input == NULL ? NULL : brg_value_ref(input);
    return brg_context_alloc(context, 5000) != NULL ? BRG_OK : BRG_NO_MEMORY;
}

static brg_status torture_fail(brg_context *context, const brg_value *input, brg_value **output)
{
    brg_value *detail = NULL;
    (void)output;
    if (brg_value_int(&detail, number_of(input), NULL) != BRG_OK)
        return BRG_NO_MEMORY;
    return brg_context_fail_with(context, BRG_FAILED, 9, detail, "asked to fail");
}

/* Fails for now in the first two attempts. */
static brg_status torture_later(brg_context *context, const brg_value *input, brg_value **output)
{
    if (brg_context_attempt(context) < 3)
        return brg_context_fail_with(context, BRG_SYSTEM, 1, NULL, "not yet");
    return torture_pass(context, input, output);
}

static brg_status torture_die(brg_context *context, const brg_value *input, brg_value **output)
{
    if (brg_context_isolation(context) == BRG_ISOLATION_PROCESS && brg_context_attempt(context) < 2)
        abort();
    return torture_pass(context, input, output);
}

/* Until it is asked to end. */
static brg_status torture_stay(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)input, (void)output;
    while (!brg_context_cancelled(context)) {
        brg_context_heartbeat(context);
        sched_yield();
    }
    return BRG_CANCELLED;
}

static brg_status torture_tell(brg_context *context, const brg_value *input, brg_value **output)
{
    brg_status status = BRG_OK;
    for (int i = 0; i < 4 && status == BRG_OK; i++) {
        brg_value *value = NULL;
        status = brg_value_int(&value, i, NULL);
        if (status == BRG_OK && (status = brg_context_progress(context, value, BRG_FOREVER, NULL)) != BRG_OK)
            brg_value_unref(value);
    }
    return status == BRG_OK ? torture_pass(context, input, output) : status;
}

/* A sum of a list of numbers. */
static brg_status torture_sum(brg_context *context, const brg_value *input, brg_value **output)
{
    brg_view list = brg_value_root(input);
    int64_t sum = 0, number;
    for (size_t i = 0; i < brg_view_count(list); i++) {
        if (brg_view_int(brg_view_at(list, i), &number) != BRG_OK)
            return brg_context_fail(context, 1, "no number");
        sum += number;
    }
    return brg_value_int(output, sum, NULL);
}

/* Numbers that end in 3 fail. */
static brg_status torture_pick(brg_context *context, const brg_value *input, brg_value **output)
{
    return number_of(input) % 10 == 3 ? torture_fail(context, input, output) : torture_pass(context, input, output);
}

static brg_status torture_many(brg_context *context, brg_batch *batch)
{
    for (uint32_t i = 0; i < brg_batch_count(batch); i++) {
        const brg_value *input = brg_batch_input(batch, i);
        if (number_of(input) % 10 == 3)
            brg_batch_fail(batch, i, BRG_FAILED, 3, NULL, "no threes");
        else if (number_of(input) % 10 == 7 && brg_context_attempt(context) == 1)
            brg_batch_fail(batch, i, BRG_SYSTEM, 7, NULL, "later");
        else if (number_of(input) % 10 == 9 && brg_context_isolation(context) == BRG_ISOLATION_PROCESS &&
                 brg_context_attempt(context) == 1)
            abort();
        else
            brg_batch_succeed(batch, i, input == NULL ? NULL : brg_value_ref(input));
    }
    return BRG_OK;
}

static brg_status torture_configure(brg_context *context, const brg_value *config)
{
    return config == brg_context_config(context) ? BRG_OK : BRG_FAILED;
}

static brg_status torture_start(brg_context *context)
{
    char *state = malloc(16);
    brg_context_set_state(context, state);
    return state != NULL ? BRG_OK : BRG_NO_MEMORY;
}

static void torture_end(brg_context *context) { free(brg_context_state(context)); }

BRG_MODULE(torture,
           .tasks = BRG_TASKS({"pass", torture_pass}, {"fail", torture_fail}, {"later", torture_later},
                              {"die", torture_die}, {"stay", torture_stay}, {"tell", torture_tell},
                              {"sum", torture_sum}, {"pick", torture_pick}),
           .batch_tasks = BRG_BATCH_TASKS({"many", torture_many}), .worker_start = torture_start,
           .worker_end = torture_end, .configure = torture_configure);
