/* SPDX-License-Identifier: MIT */
/*
 * A queue policy of one's own: the shortest job first, by classes of size, each twice as large as the one before, so
 * that everything is O(1). The key of a task says how large it is.
 */
#include "gate.h"

enum { NEXT, PREVIOUS };

#define CLASSES 64

typedef struct shortest_queue {
    brg_item ends[CLASSES]; /* of rings: one for each class */
} shortest_queue;

static void shortest_init(void *state, const brg_pool_options *options)
{
    shortest_queue *queue = state;
    (void)options;
    for (int i = 0; i < CLASSES; i++)
        queue->ends[i].link[NEXT] = queue->ends[i].link[PREVIOUS] = &queue->ends[i];
}

static brg_item *shortest_end(shortest_queue *queue, const brg_item *item)
{
    int class = 0;
    while (class < CLASSES - 1 && item->key >> class > 1)
        class ++;
    return &queue->ends[class];
}

static void shortest_insert(brg_item *before, brg_item *item, brg_item *after)
{
    item->link[PREVIOUS] = before;
    item->link[NEXT] = after;
    before->link[NEXT] = after->link[PREVIOUS] = item;
}

static void shortest_push(void *state, brg_item *item)
{
    brg_item *end = shortest_end(state, item);
    shortest_insert(end->link[PREVIOUS], item, end);
}

/* It was popped and has not run: it goes before what is like it. Nothing was counted that had to be uncounted. */
static void shortest_push_front(void *state, brg_item *item)
{
    brg_item *end = shortest_end(state, item);
    shortest_insert(end, item, end->link[NEXT]);
}

static void shortest_remove(void *state, brg_item *item)
{
    brg_item *before = item->link[PREVIOUS], *after = item->link[NEXT];
    (void)state;
    before->link[NEXT] = after;
    after->link[PREVIOUS] = before;
}

static brg_item *shortest_pop(void *state, uint64_t now_ns)
{
    shortest_queue *queue = state;
    (void)now_ns;
    for (int i = 0; i < CLASSES; i++) {
        brg_item *first = queue->ends[i].link[NEXT];
        if (first != &queue->ends[i]) {
            shortest_remove(state, first);
            return first;
        }
    }
    return NULL;
}

static const brg_queue_policy shortest_first = {.size = sizeof(brg_queue_policy),
                                                .name = "shortest first",
                                                .state_bytes = sizeof(shortest_queue),
                                                .init = shortest_init,
                                                .push = shortest_push,
                                                .push_front = shortest_push_front,
                                                .pop = shortest_pop,
                                                .remove = shortest_remove};

static brg_status cook(brg_context *context, void *dish)
{
    (void)context;
    printf(" %s", (const char *)dish);
    return BRG_OK;
}

static void order(brg_pool *pool, const char *dish, uint64_t minutes)
{
    brg_error error;
    const brg_submit_options *options = brg_submit_opts(.key = minutes, .error = &error);
    must(brg_pool_submit_call(pool, cook, (void *)dish, options, NULL), &error);
}

int main(void)
{
    gate door = GATE_CLOSED;
    brg_error error;
    brg_pool *pool = NULL;

    must(brg_pool_create(&pool, brg_pool_opts(.workers_max = 1, .queue = &shortest_first), &error), &error);
    gate_hold(&door, pool, 0);
    printf("served:");
    order(pool, "roast", 90);
    order(pool, "toast", 2);
    order(pool, "soup", 30);
    order(pool, "tea", 3);
    gate_open(&door);
    brg_pool_drain(pool, BRG_FOREVER);
    brg_pool_destroy(pool);
    printf("\n");
    return EXIT_SUCCESS;
}
