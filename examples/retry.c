/* SPDX-License-Identifier: MIT */
/* A task that fails for a while: tried again after 1 ms, 2 ms, 4 ms ..., each up to a fifth shorter at random. What is
 * wrong for good is not tried again. */
#include "gate.h"

static brg_status call_supplier(brg_context *context, void *argument)
{
    (void)argument;
    uint32_t attempt = brg_context_attempt(context);
    printf("attempt %u: %s\n", attempt, attempt < 4 ? "no answer" : "delivered");
    return attempt < 4 ? BRG_UNAVAILABLE : BRG_OK;
}

static brg_status order_unicorn(brg_context *context, void *argument)
{
    (void)argument;
    return brg_context_fail(context, 404, "no such animal");
}

static void run(brg_pool *pool, brg_call_fn call)
{
    brg_error error;
    brg_task *task = NULL;
    must(brg_pool_submit_call(pool, call, NULL, brg_submit_opts(.error = &error), &task), &error);
    brg_task_wait(task, BRG_FOREVER);
    const brg_result *result = brg_task_result(task);
    printf("%s after %u attempts\n", brg_status_name(result->status), result->attempts);
    brg_task_unref(task);
}

int main(void)
{
    brg_error error;
    brg_pool *pool = NULL;
    const brg_pool_options *options = brg_pool_opts(.workers_max = 1, .attempts_max = 5,
                                                    .retry_on = BRG_RETRY_TRANSIENT | BRG_RETRY_CRASH,
                                                    .retry_backoff = BRG_BACKOFF_EXPONENTIAL,
                                                    .retry_delay_ns = BRG_MILLISECONDS(1),
                                                    .retry_delay_max_ns = BRG_SECONDS(1), .retry_jitter_percent = 20);
    must(brg_pool_create(&pool, options, &error), &error);
    run(pool, call_supplier);
    run(pool, order_unicorn);
    brg_pool_destroy(pool);
    return EXIT_SUCCESS;
}
