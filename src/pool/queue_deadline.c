/* SPDX-License-Identifier: MIT */
/*
 * The earliest deadline first (Jackson 1955; Liu and Layland 1973): where any order meets all deadlines, this one does.
 * A pairing heap by (due_ns, turn): push and rank O(1), pop and remove O(log n) amortised.
 *
 * Among equal deadlines turns make it first in, first out: they count up for what is pushed and down for what comes
 * back, from the middle, and 2^63 of either are never used up. The link's key is the turn; the deadline is in the item.
 */
#include "pool/queue.h"

#define DEADLINE_MIDDLE (UINT64_C(1) << 63)

typedef struct deadline_queue {
    brg__heap heap;
    uint64_t next_turn;  /* of the next push */
    uint64_t front_turn; /* of the last push_front */
} deadline_queue;

static bool deadline_is_before(const brg__heap_item *a, const brg__heap_item *b)
{
    uint64_t due_a = brg__heap_to_item(a)->due_ns, due_b = brg__heap_to_item(b)->due_ns;
    return due_a != due_b ? due_a < due_b : a->key < b->key;
}

static void deadline_init(void *state, const brg_pool_options *options)
{
    (void)options;
    deadline_queue *queue = state;
    *queue = (deadline_queue){
        .heap = {.is_before = deadline_is_before}, .next_turn = DEADLINE_MIDDLE, .front_turn = DEADLINE_MIDDLE};
}

static void deadline_push(void *state, brg_item *item)
{
    deadline_queue *queue = state;
    brg__heap_insert(&queue->heap, brg__item_heap(item), queue->next_turn++);
}

static void deadline_push_front(void *state, brg_item *item)
{
    deadline_queue *queue = state;
    brg__heap_insert(&queue->heap, brg__item_heap(item), --queue->front_turn);
}

static void deadline_remove(void *state, brg_item *item)
{
    deadline_queue *queue = state;
    brg__heap_remove(&queue->heap, brg__item_heap(item));
}

static brg_item *deadline_pop(void *state, uint64_t now_ns)
{
    (void)now_ns;
    deadline_queue *queue = state;
    brg__heap_item *first = brg__heap_peek(&queue->heap);
    if (first == NULL)
        return NULL;
    brg__heap_remove(&queue->heap, first);
    return brg__heap_to_item(first);
}

static uint64_t deadline_rank(void *state, uint64_t now_ns)
{
    (void)now_ns;
    const deadline_queue *queue = state;
    return brg__heap_to_item(brg__heap_peek(&queue->heap))->due_ns;
}

static const brg_queue_policy deadline = {.size = sizeof(brg_queue_policy),
                                          .name = "deadline",
                                          .state_bytes = sizeof(deadline_queue),
                                          .init = deadline_init,
                                          .push = deadline_push,
                                          .push_front = deadline_push_front,
                                          .pop = deadline_pop,
                                          .remove = deadline_remove,
                                          .rank = deadline_rank};
const brg_queue_policy *const brg_queue_deadline = &deadline;
