/* SPDX-License-Identifier: MIT */
/* A task that forks, for workers of any kind. */
#include <brigade.h>

typedef struct fib_call {
    brg_context *context; /* of who forked it */
    uint64_t n, result;
    bool elsewhere;
} fib_call;

static void fib(brg_context *context, void *argument)
{
    fib_call *call = argument;
    call->elsewhere = call->context != context;
    call->result = call->n;
    if (call->n < 2)
        return;
    fib_call one = {.context = context, .n = call->n - 1}, two = {.context = context, .n = call->n - 2};
    brg_fork fork;
    brg_fork_start(context, &fork, fib, &one);
    fib(context, &two);
    brg_fork_join(context, &fork);
    call->result = one.result + two.result;
    call->elsewhere = call->elsewhere || one.elsewhere || two.elsewhere;
}

static brg_status run_fib(brg_context *context, const brg_value *input, brg_value **output)
{
    fib_call call = {.context = context};
    brg_status status = brg_view_uint(brg_value_root(input), &call.n);
    if (status != BRG_OK)
        return status;
    fib(context, &call);
    return brg_value_map(output, NULL, brg_field_int("fib", (int64_t)call.result),
                         brg_field_bool("elsewhere", call.elsewhere));
}

BRG_MODULE(fork, .tasks = BRG_TASKS({"fib", run_fib}));
