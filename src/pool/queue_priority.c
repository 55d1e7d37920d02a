/* SPDX-License-Identifier: MIT */
/*
 * The most urgent first: one list for each band. Everything O(1).
 *
 * Ageing: an item that waited k * ageing_ns counts as k bands more urgent, but not as more than urgent; among those
 * that count the same the one that waited longest goes first. A band is in order of arrival, so its first has waited
 * longest and speaks for it: pop compares four. (One that arrives with an old since_ns, a retry, does so once it is
 * the first of its band.) No item waits for ever: once the first of its band is three steps old, nothing that was
 * submitted later goes before it.
 */
#include "pool/queue.h"

typedef struct priority_queue {
    brg__list bands[BRG_BAND_COUNT];
    uint64_t ageing_ns; /* 0: never */
} priority_queue;

typedef struct priority_choice {
    brg_item *item; /* NULL: empty */
    uint32_t band;  /* the one it counts as */
} priority_choice;

static void priority_tune(void *state, const brg_pool_options *options)
{
    priority_queue *queue = state;
    queue->ageing_ns = options->ageing_ns;
}

static void priority_init(void *state, const brg_pool_options *options)
{
    priority_queue *queue = state;
    for (int i = 0; i < BRG_BAND_COUNT; i++)
        brg__list_init(&queue->bands[i]);
    priority_tune(state, options);
}

static void priority_push(void *state, brg_item *item)
{
    priority_queue *queue = state;
    brg__list_push_back(&queue->bands[item->band], brg__item_node(item));
}

static void priority_push_front(void *state, brg_item *item)
{
    priority_queue *queue = state;
    brg__list_push_front(&queue->bands[item->band], brg__item_node(item));
}

/* The band that an item counts as: at most three steps, so no division. */
static uint32_t priority_effective(const priority_queue *queue, const brg_item *item, uint64_t now_ns)
{
    uint32_t band = item->band;
    uint64_t age = now_ns > item->since_ns ? now_ns - item->since_ns : 0;
    for (; band != 0 && age >= queue->ageing_ns; band--)
        age -= queue->ageing_ns;
    return band;
}

static priority_choice priority_choose(priority_queue *queue, uint64_t now_ns)
{
    priority_choice best = {0};
    for (uint32_t i = 0; i < BRG_BAND_COUNT; i++) {
        if (brg__list_is_empty(&queue->bands[i]))
            continue;
        brg_item *first = brg__node_item(queue->bands[i].head.next);
        if (queue->ageing_ns == 0)
            return (priority_choice){.item = first, .band = i};
        uint32_t band = priority_effective(queue, first, now_ns);
        if (best.item == NULL || band < best.band || (band == best.band && first->since_ns < best.item->since_ns))
            best = (priority_choice){.item = first, .band = band};
    }
    return best;
}

static brg_item *priority_pop(void *state, uint64_t now_ns)
{
    brg_item *item = priority_choose(state, now_ns).item;
    if (item != NULL)
        brg__list_remove(brg__item_node(item));
    return item;
}

static void priority_remove(void *state, brg_item *item)
{
    (void)state;
    brg__list_remove(brg__item_node(item));
}

static uint64_t priority_rank(void *state, uint64_t now_ns) { return priority_choose(state, now_ns).band; }

static const brg_queue_policy priority = {.size = sizeof(brg_queue_policy),
                                          .name = "priority",
                                          .state_bytes = sizeof(priority_queue),
                                          .wants_time = true,
                                          .init = priority_init,
                                          .tune = priority_tune,
                                          .push = priority_push,
                                          .push_front = priority_push_front,
                                          .pop = priority_pop,
                                          .remove = priority_remove,
                                          .rank = priority_rank};
const brg_queue_policy *const brg_queue_priority = &priority;
