/* SPDX-License-Identifier: MIT */
/* The module of task_token_test.c. */
#include <brigade.h>

static brg_status task_wait(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)input, (void)output;
    while (!brg_context_cancelled(context))
        __asm__ __volatile__("");
    return BRG_CANCELLED;
}

/* The input is a token. */
static brg_status task_cancel(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context, (void)output;
    brg_token *token = brg_view_token(brg_value_root(input));
    if (token == NULL)
        return BRG_INVALID;
    brg_token_cancel(token);
    return BRG_OK;
}

BRG_MODULE(task_token, .tasks = BRG_TASKS({"wait", task_wait}, {"cancel", task_cancel}));
