/* SPDX-License-Identifier: MIT */
/* Each priority gets its share of what is served, however much of the others waits; shares may change while it works.
 * */
#include "gate.h"

#define EACH 100 /* tasks of each priority */

typedef struct tally {
    unsigned served, of[BRG_PRIORITY_LOW + 1]; /* among the first EACH */
} tally;

typedef struct job {
    tally *tally;
    brg_priority priority;
} job;

static brg_status count(brg_context *context, void *argument)
{
    const job *one = argument;
    (void)context;
    if (one->tally->served++ < EACH)
        one->tally->of[one->priority]++;
    return BRG_OK;
}

static void serve(brg_pool *pool)
{
    gate door = GATE_CLOSED;
    tally all = {0};
    job jobs[] = {{&all, BRG_PRIORITY_HIGH}, {&all, BRG_PRIORITY_NORMAL}, {&all, BRG_PRIORITY_LOW}};
    brg_error error;
    gate_hold(&door, pool, 0);
    for (size_t i = 0; i < 3 * EACH; i++) {
        job *one = &jobs[i % 3];
        const brg_submit_options *options = brg_submit_opts(.priority = one->priority, .error = &error);
        must(brg_pool_submit_call(pool, count, one, options, NULL), &error);
    }
    gate_open(&door);
    brg_pool_wait_idle(pool, BRG_FOREVER);
    printf("of the first %d: %u high, %u normal, %u low\n", EACH, all.of[BRG_PRIORITY_HIGH],
           all.of[BRG_PRIORITY_NORMAL], all.of[BRG_PRIORITY_LOW]);
}

int main(void)
{
    brg_error error;
    brg_pool *pool = NULL;
    must(brg_pool_create(&pool, brg_pool_opts(.workers_max = 1, .queue = brg_queue_weighted), &error), &error);
    serve(pool); /* 50, 40, 10 unless you say otherwise; urgent ones, with share 0, go before all */
    must(brg_pool_tune(pool, brg_pool_opts(.shares = {0, 1, 1, 2}), &error), &error);
    serve(pool);
    brg_pool_destroy(pool);
    return EXIT_SUCCESS;
}
