/* SPDX-License-Identifier: MIT */
/* Offloads one computation from a program without an event loop, and waits for it when the result is due. */
#include <stdio.h>
#include <stdlib.h>

#include <brigade.h>

typedef struct prime_count {
    uint32_t below;
    uint32_t count;
} prime_count;

static bool is_prime(uint32_t number)
{
    for (uint32_t divisor = 2; divisor * divisor <= number; divisor++)
        if (number % divisor == 0)
            return false;
    return number >= 2;
}

/* On a worker. */
static brg_status count_primes(brg_context *context, void *argument)
{
    prime_count *primes = argument;
    primes->count = 0;
    for (uint32_t number = 0; number < primes->below; number++) {
        if (brg_context_cancelled(context))
            return BRG_CANCELLED;
        primes->count += is_prime(number);
    }
    return BRG_OK;
}

static int fail(const brg_error *error)
{
    fprintf(stderr, "%s: %s\n", brg_status_name(error->status), error->message);
    return EXIT_FAILURE;
}

static int run(brg_pool *pool)
{
    brg_error error;
    brg_task *task = NULL;
    prime_count primes = {.below = 100000};

    if (brg_pool_submit_call(pool, count_primes, &primes, brg_submit_opts(.error = &error), &task) != BRG_OK)
        return fail(&error);
    printf("counting\n"); /* the program is free to do something else */

    brg_task_wait(task, BRG_FOREVER);
    const brg_result *result = brg_task_result(task);
    int code = result->status == BRG_OK ? EXIT_SUCCESS : fail(result->error);
    if (code == EXIT_SUCCESS)
        printf("%u primes below %u\n", primes.count, primes.below);
    brg_task_unref(task);
    return code;
}

int main(void)
{
    brg_error error;
    brg_pool *pool = NULL;
    if (brg_pool_create(&pool, brg_pool_opts(.workers_max = 1), &error) != BRG_OK)
        return fail(&error);
    int code = run(pool);
    brg_pool_destroy(pool);
    return code;
}
