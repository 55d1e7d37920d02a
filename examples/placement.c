/* SPDX-License-Identifier: MIT */
/*
 * Which worker gets a task: how 40 tasks spread over four workers, of which the first has eight tasks to do already.
 * Pull decides when a worker is free, the others at submit.
 */
#include "gate.h"

#define WORKERS 4

static const uint64_t tags[WORKERS] = {1, 2, 4, 8}; /* so that the example can address one */

typedef struct kitchen {
    brg_pool *pool;
    gate door;
    unsigned done[WORKERS]; /* each written by one worker */
} kitchen;

static brg_status count(brg_context *context, void *argument)
{
    kitchen *here = argument;
    here->done[brg_context_worker_index(context)]++;
    return BRG_OK;
}

static void submit(kitchen *here, unsigned times, uint64_t to)
{
    brg_error error;
    for (unsigned i = 0; i < times; i++)
        must(brg_pool_submit_call(here->pool, count, here, brg_submit_opts(.tags = to, .error = &error), NULL), &error);
}

static void serve(const char *label, const brg_placement_policy *placement)
{
    kitchen here = {.door = GATE_CLOSED};
    brg_error error;
    const brg_pool_options *options = brg_pool_opts(.workers_max = WORKERS, .placement = placement, .seed = 2026,
                                                    .worker_tags = tags, .worker_tags_count = WORKERS);
    must(brg_pool_create(&here.pool, options, &error), &error);
    for (int i = 0; i < WORKERS; i++)
        gate_hold(&here.door, here.pool, tags[i]);
    submit(&here, 8, tags[0]);
    submit(&here, 40, 0);
    gate_open(&here.door);
    brg_pool_drain(here.pool, BRG_FOREVER);
    brg_pool_destroy(here.pool);
    printf("%-12s", label);
    for (int i = 0; i < WORKERS; i++)
        printf(" %3u", here.done[i]);
    printf("\n");
}

int main(void)
{
    serve("round robin", brg_placement_round_robin);
    serve("least busy", brg_placement_least_busy);
    serve("random", brg_placement_random);
    serve("two choices", brg_placement_two_choices);
    return EXIT_SUCCESS;
}
