/* SPDX-License-Identifier: MIT */
/* What a task submits stays with its worker, whose caches know it; a worker that has nothing to do steals from there.
 * */
#include <stdatomic.h>

#include "gate.h"

#define PIECES 8

typedef struct dish {
    brg_pool *pool;
    uint32_t cook; /* the worker that submits the pieces */
    atomic_int left, by_others;
    brg_token *ready;
} dish;

static brg_status chop(brg_context *context, void *argument)
{
    dish *one = argument;
    if (brg_context_worker_index(context) != one->cook)
        atomic_fetch_add(&one->by_others, 1);
    if (atomic_fetch_sub(&one->left, 1) == 1)
        brg_token_cancel(one->ready);
    return BRG_OK;
}

/* Submits the pieces, and is busy until they are done: somebody else must do them. */
static brg_status cook(brg_context *context, void *argument)
{
    dish *one = argument;
    brg_status status = BRG_OK;
    one->cook = brg_context_worker_index(context);
    for (int i = 0; i < PIECES && status == BRG_OK; i++)
        status = brg_pool_call(one->pool, chop, one, NULL, NULL);
    return status == BRG_OK ? brg_token_wait(one->ready, BRG_FOREVER) : status;
}

int main(void)
{
    dish one = {.left = PIECES};
    brg_error error;
    brg_pool_stats stats = {.size = sizeof(stats)};

    must(brg_token_create(&one.ready, &error), &error);
    must(brg_pool_create(&one.pool, brg_pool_opts(.workers_max = 3, .placement = brg_placement_stealing), &error),
         &error);
    must(brg_pool_call(one.pool, cook, &one, NULL, NULL), NULL);
    brg_pool_wait_idle(one.pool, BRG_FOREVER);
    brg_pool_get_stats(one.pool, &stats);
    printf("%d of %d pieces done by others, all stolen: %s\n", atomic_load(&one.by_others), PIECES,
           stats.stolen >= PIECES ? "yes" : "no");
    brg_pool_destroy(one.pool);
    brg_token_unref(one.ready);
    return EXIT_SUCCESS;
}
