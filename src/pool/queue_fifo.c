/* SPDX-License-Identifier: MIT */
/* First in, first out: one list. Everything O(1). */
#include "pool/queue.h"

static void fifo_init(void *state, const brg_pool_options *options)
{
    (void)options;
    brg__list_init(state);
}

static void fifo_push(void *state, brg_item *item) { brg__list_push_back(state, brg__item_node(item)); }
static void fifo_push_front(void *state, brg_item *item) { brg__list_push_front(state, brg__item_node(item)); }

static brg_item *fifo_pop(void *state, uint64_t now_ns)
{
    (void)now_ns;
    return brg__node_item(brg__list_pop_front(state)); /* NULL stays NULL: the link is an item's first member */
}

static void fifo_remove(void *state, brg_item *item)
{
    (void)state;
    brg__list_remove(brg__item_node(item));
}

static const brg_queue_policy fifo = {.size = sizeof(brg_queue_policy),
                                      .name = "fifo",
                                      .state_bytes = sizeof(brg__list),
                                      .init = fifo_init,
                                      .push = fifo_push,
                                      .push_front = fifo_push_front,
                                      .pop = fifo_pop,
                                      .remove = fifo_remove};
const brg_queue_policy *const brg_queue_fifo = &fifo;
