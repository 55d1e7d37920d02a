/* SPDX-License-Identifier: MIT */
/* Eight tasks search together: a group waits for all of them, and a token they share ends the others when one has found
 * it. */
#include "gate.h"

#define PARTS 8

typedef struct part {
    brg_token *found;
    bool is_there; /* what is searched for */
} part;

static brg_status search(brg_context *context, void *argument)
{
    part *here = argument;
    if (here->is_there) {
        brg_token_cancel(here->found);
        return BRG_OK;
    }
    while (!brg_context_cancelled(context)) /* a long search */
        ;
    return BRG_CANCELLED;
}

int main(void)
{
    brg_error error;
    brg_pool *pool = NULL;
    brg_group *group = NULL;
    brg_token *found = NULL;
    brg_group_counts counts = {.size = sizeof(counts)};
    part parts[PARTS];

    must(brg_token_create(&found, &error), &error);
    must(brg_pool_create(&pool, brg_pool_opts(.workers_max = PARTS), &error), &error);
    must(brg_group_create(&group, pool, &error), &error);
    for (int i = 0; i < PARTS; i++) {
        parts[i] = (part){.found = found, .is_there = i == PARTS - 1};
        /* The one that finds it has no token: it is not to cancel itself. */
        const brg_submit_options *options = brg_submit_opts(.group = group, .token = parts[i].is_there ? NULL : found,
                                                            .error = &error);
        must(brg_pool_submit_call(pool, search, &parts[i], options, NULL), &error);
    }
    brg_group_wait(group, BRG_FOREVER);
    brg_group_get_counts(group, &counts);
    printf("found by %llu, given up by %llu\n", (unsigned long long)counts.done, (unsigned long long)counts.cancelled);
    brg_group_unref(group);
    brg_pool_destroy(pool);
    brg_token_unref(found);
    return EXIT_SUCCESS;
}
