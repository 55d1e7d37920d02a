/* SPDX-License-Identifier: MIT */
/* Pull, the default: tasks wait in one queue and whoever is free takes the next, so none waits behind a long one. */
#include "gate.h"

typedef struct kitchen {
    gate door;
    uint32_t busy_index; /* of the worker that is busy */
    unsigned by_busy, by_other;
} kitchen;

static brg_status be_busy(brg_context *context, void *argument)
{
    kitchen *here = argument;
    here->busy_index = brg_context_worker_index(context);
    return gate_pass(context, &here->door);
}

static brg_status count(brg_context *context, void *argument)
{
    kitchen *here = argument;
    if (brg_context_worker_index(context) == here->busy_index)
        here->by_busy++;
    else
        here->by_other++;
    return BRG_OK;
}

int main(void)
{
    kitchen here = {.door = GATE_CLOSED};
    brg_error error;
    brg_pool *pool = NULL;
    brg_group *group = NULL;

    must(brg_pool_create(&pool, brg_pool_opts(.workers_max = 2), &error), &error);
    must(brg_group_create(&group, pool, &error), &error);
    must(brg_pool_call(pool, be_busy, &here, NULL, NULL), NULL);
    gate_wait(&here.door, 1);
    for (int i = 0; i < 100; i++)
        must(brg_pool_submit_call(pool, count, &here, brg_submit_opts(.group = group, .error = &error), NULL), &error);
    brg_group_wait(group, BRG_FOREVER); /* while one worker is busy all the time */
    printf("done by the free worker: %u, by the busy one: %u\n", here.by_other, here.by_busy);
    gate_open(&here.door);
    brg_group_unref(group);
    brg_pool_destroy(pool);
    return EXIT_SUCCESS;
}
