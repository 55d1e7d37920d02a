/* SPDX-License-Identifier: MIT */
/* One key, one worker: what a worker keeps for a key (a cache, a connection) is used again. Few keys move when a worker
 * comes. */
#include "gate.h"

#define KEYS 100

typedef struct visit {
    uint32_t worker;
    bool elsewhere; /* not all visits were on the same worker */
} visit;

static brg_status note(brg_context *context, void *argument)
{
    visit *seen = argument;
    uint32_t worker = brg_context_worker_index(context);
    seen->elsewhere = seen->elsewhere || (seen->worker != UINT32_MAX && seen->worker != worker);
    seen->worker = worker;
    return BRG_OK;
}

static void visit_all(visit visits[KEYS], uint32_t workers)
{
    brg_error error;
    brg_pool *pool = NULL;
    must(brg_pool_create(&pool, brg_pool_opts(.workers_max = workers, .placement = brg_placement_sticky), &error),
         &error);
    for (int i = 0; i < KEYS; i++)
        visits[i] = (visit){.worker = UINT32_MAX};
    for (int i = 0; i < 3 * KEYS; i++) {
        char guest[16];
        snprintf(guest, sizeof(guest), "guest %d", i % KEYS);
        const brg_submit_options *options = brg_submit_opts(.key = brg_key(guest), .error = &error);
        must(brg_pool_submit_call(pool, note, &visits[i % KEYS], options, NULL), &error);
    }
    brg_pool_drain(pool, BRG_FOREVER);
    brg_pool_destroy(pool);
}

int main(void)
{
    visit four[KEYS], five[KEYS];
    int elsewhere = 0, moved = 0, moved_among_old = 0;
    visit_all(four, 4);
    visit_all(five, 5);
    for (int i = 0; i < KEYS; i++) {
        elsewhere += four[i].elsewhere || five[i].elsewhere;
        moved += five[i].worker == 4;
        moved_among_old += five[i].worker != 4 && five[i].worker != four[i].worker;
    }
    printf("keys that had more than one worker: %d\n", elsewhere);
    printf("of %d keys a fifth worker takes %d; others move: %d\n", KEYS, moved, moved_among_old);
    return EXIT_SUCCESS;
}
