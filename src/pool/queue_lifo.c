/* SPDX-License-Identifier: MIT */
/* Last in, first out: one list, whose front is the newest. What comes back goes on top. Everything O(1). */
#include "pool/queue.h"

static void lifo_init(void *state, const brg_pool_options *options)
{
    (void)options;
    brg__list_init(state);
}

static void lifo_push(void *state, brg_item *item) { brg__list_push_front(state, brg__item_node(item)); }

static brg_item *lifo_pop(void *state, uint64_t now_ns)
{
    (void)now_ns;
    return brg__node_item(brg__list_pop_front(state)); /* NULL stays NULL: the link is an item's first member */
}

static void lifo_remove(void *state, brg_item *item)
{
    (void)state;
    brg__list_remove(brg__item_node(item));
}

static const brg_queue_policy lifo = {.size = sizeof(brg_queue_policy),
                                      .name = "lifo",
                                      .state_bytes = sizeof(brg__list),
                                      .init = lifo_init,
                                      .push = lifo_push,
                                      .push_front = lifo_push,
                                      .pop = lifo_pop,
                                      .remove = lifo_remove};
const brg_queue_policy *const brg_queue_lifo = &lifo;
