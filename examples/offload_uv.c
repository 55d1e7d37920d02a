/* SPDX-License-Identifier: MIT */
/* Offloads one computation from a libuv loop: a worker sums a series for pi while a timer of the loop keeps ticking. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <brigade.h>
#include <brigade/uv.h>

typedef struct estimate {
    atomic_bool enough;
    double value;
} estimate;

/* On a worker: adds terms for as long as the loop wants them better. */
static brg_status estimate_pi(brg_context *context, void *argument)
{
    estimate *pi = argument;
    double sum = 0;
    for (uint64_t n = 0; n < 1000000 || !atomic_load(&pi->enough); n++) {
        if (brg_context_cancelled(context))
            return BRG_CANCELLED;
        sum += (n % 2 == 0 ? 4.0 : -4.0) / (2.0 * (double)n + 1.0);
    }
    pi->value = sum;
    return BRG_OK;
}

/* On the loop: exactly once, whatever became of the task. */
static void print_pi(const brg_result *result, void *user_data)
{
    const estimate *pi = user_data;
    if (result->status == BRG_OK)
        printf("pi is about %.2f\n", pi->value);
    else
        fprintf(stderr, "no pi: %s\n", result->error->message);
}

/* On the loop: it never waits for the worker. The third tick says that the estimate is good enough. */
static void tick(uv_timer_t *timer)
{
    static int ticks;
    printf("tick %d\n", ++ticks);
    if (ticks == 3) {
        estimate *pi = timer->data;
        atomic_store(&pi->enough, true);
        uv_close((uv_handle_t *)timer, NULL);
    }
}

static int fail(const brg_error *error)
{
    fprintf(stderr, "%s: %s\n", brg_status_name(error->status), error->message);
    return EXIT_FAILURE;
}

int main(void)
{
    brg_error error;
    brg_loop *loop = NULL;
    brg_pool *pool = NULL;
    uv_timer_t timer;
    estimate pi = {.enough = false};

    if (brg_loop_create_uv(&loop, uv_default_loop(), NULL, &error) != BRG_OK)
        return fail(&error);
    if (brg_pool_create(&pool, brg_pool_opts(.loop = loop, .workers_max = 1), &error) != BRG_OK)
        return fail(&error);

    timer.data = &pi;
    uv_timer_init(uv_default_loop(), &timer);
    uv_timer_start(&timer, tick, 10, 10);
    brg_status status = brg_pool_call(pool, estimate_pi, &pi, print_pi, &pi);
    if (status == BRG_OK)
        uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    else
        fprintf(stderr, "%s\n", brg_status_text(status));

    brg_pool_destroy(pool);
    brg_loop_destroy(loop);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT); /* closes brigade's handle */
    uv_loop_close(uv_default_loop());
    return status == BRG_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
