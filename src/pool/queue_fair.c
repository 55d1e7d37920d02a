/* SPDX-License-Identifier: MIT */
/*
 * Keys in turn, the oldest of each: start-time fair queueing with equal shares (Goyal, Vin, Cheng 1996). Each key has a
 * lane, a list with a tag: how much it was served. The lane with the least tag goes next, of equals the one that has
 * waited for its turn longest, and adds the item's cost: with single tasks that is exact round robin, and after a batch
 * of n the key stands back for n rounds. A heap by (tag, turn): O(log keys) amortised for all but remove of an item
 * that is not its key's last, which is O(1).
 *
 * The virtual time is the greatest tag that was served. A new key starts there: it waits for one round, and has no
 * credit for the time when it was away. A lane that runs empty with its tag beyond the virtual time stays, so that
 * leaving and coming back is no way to more than a share; it goes once it is first in the heap. While nothing waits
 * such debts are forgotten. Tags count tasks and never overflow.
 *
 * No memory for a key: its items wait in the lane of those without a key. The first lanes that go are kept for later.
 */
#include "base/table.h"
#include "base/util.h"
#include "os/memory.h"
#include "pool/queue.h"

#define FAIR_SPARE_MAX 64
#define FAIR_TABLE_MIN 16
#define FAIR_TABLE_KEEP 1024 /* slots kept when there is no key */
#define FAIR_MIDDLE (UINT64_C(1) << 63)

typedef struct fair_lane {
    brg__heap_item heap_item; /* its key is the tag; in no heap: the lane is free, or that without keys and idle */
    uint64_t turn;
    uint64_t key;
    brg__list items;
} fair_lane;

/* What an item's link is here. */
typedef struct fair_link {
    brg__node node;
    fair_lane *lane;
} fair_link;

_Static_assert(sizeof(fair_link) <= BRG__LINK_BYTES, "it fits into a link");

typedef struct fair_queue {
    brg__heap lanes;
    brg__table by_key;
    fair_lane common; /* for key 0, and for those that there is no memory for */
    brg__list spare;  /* lanes, by `items.head`, a node here */
    uint32_t spare_count;
    uint64_t count; /* items */
    uint64_t virtual_time;
    uint64_t tag_max; /* of all that ever were */
    uint64_t next_turn, front_turn;
} fair_queue;

static fair_lane *fair_lane_of(const brg__heap_item *item)
{
    return item == NULL ? NULL : brg__container_of(item, fair_lane, heap_item);
}

static fair_link *fair_link_of(brg_item *item) { return (fair_link *)(void *)item->link; }

static bool fair_is_before(const brg__heap_item *a, const brg__heap_item *b)
{
    return a->key != b->key ? a->key < b->key : fair_lane_of(a)->turn < fair_lane_of(b)->turn;
}

static void fair_init(void *state, const brg_pool_options *options)
{
    (void)options;
    fair_queue *queue = state;
    *queue = (fair_queue){.lanes = {.is_before = fair_is_before}, .next_turn = FAIR_MIDDLE, .front_turn = FAIR_MIDDLE};
    brg__list_init(&queue->common.items);
    brg__list_init(&queue->spare);
}

/* ---- lanes ------------------------------------------------------------------------------------------------ */

static void fair_leave(fair_queue *queue, fair_lane *lane)
{
    if (brg__heap_is_linked(&lane->heap_item))
        brg__heap_remove(&queue->lanes, &lane->heap_item);
}

static void fair_enter(fair_queue *queue, fair_lane *lane, uint64_t tag, uint64_t turn)
{
    fair_leave(queue, lane);
    lane->turn = turn;
    queue->tag_max = brg__max(queue->tag_max, tag);
    brg__heap_insert(&queue->lanes, &lane->heap_item, tag);
}

/* Forgets an empty lane. */
static void fair_drop(fair_queue *queue, fair_lane *lane)
{
    fair_leave(queue, lane);
    if (lane == &queue->common)
        return;
    brg__table_remove(&queue->by_key, lane->key);
    if (queue->spare_count < FAIR_SPARE_MAX) {
        queue->spare_count++;
        brg__list_push_front(&queue->spare, &lane->items.head);
    } else {
        brg__mfree(lane);
    }
    if (queue->by_key.count == 0 && queue->by_key.capacity > FAIR_TABLE_KEEP) {
        brg__mfree(queue->by_key.slots);
        queue->by_key = (brg__table){0};
    }
}

/* Room for one more key; false: no memory. */
static bool fair_make_room(fair_queue *queue)
{
    if (brg__table_has_room(&queue->by_key))
        return true;
    size_t capacity = queue->by_key.capacity == 0 ? FAIR_TABLE_MIN : queue->by_key.capacity * 2;
    brg__table_slot *slots = brg__calloc(capacity, sizeof(*slots));
    if (slots == NULL)
        return false;
    brg__mfree(brg__table_rehash(&queue->by_key, slots, capacity));
    return true;
}

static fair_lane *fair_new_lane(fair_queue *queue)
{
    brg__node *node = brg__list_pop_front(&queue->spare);
    if (node == NULL)
        return brg__malloc(sizeof(fair_lane));
    queue->spare_count--;
    return brg__container_of(node, fair_lane, items.head);
}

static fair_lane *fair_lane_for(fair_queue *queue, uint64_t key)
{
    if (key == 0)
        return &queue->common;
    fair_lane *lane = brg__table_get(&queue->by_key, key);
    if (lane != NULL)
        return lane;
    lane = fair_make_room(queue) ? fair_new_lane(queue) : NULL;
    if (lane == NULL)
        return &queue->common;
    *lane = (fair_lane){.key = key};
    brg__list_init(&lane->items);
    brg__table_put(&queue->by_key, key, lane);
    return lane;
}

/* Drops the first lane if it is empty and has no debt. At most one goes for each push, so this takes no long time. */
static void fair_tidy(fair_queue *queue)
{
    fair_lane *first = fair_lane_of(brg__heap_peek(&queue->lanes));
    if (first != NULL && brg__list_is_empty(&first->items) && first->heap_item.key <= queue->virtual_time)
        fair_drop(queue, first);
}

/* ---- items ------------------------------------------------------------------------------------------------ */

static void fair_push(void *state, brg_item *item)
{
    fair_queue *queue = state;
    if (queue->count++ == 0)
        queue->virtual_time = queue->tag_max; /* not earlier: pops may still be undone */
    fair_lane *lane = fair_lane_for(queue, item->key);
    /* One that is empty but has a debt keeps its place. */
    if (brg__list_is_empty(&lane->items) &&
        (!brg__heap_is_linked(&lane->heap_item) || lane->heap_item.key <= queue->virtual_time))
        fair_enter(queue, lane, queue->virtual_time, queue->next_turn++);
    fair_link_of(item)->lane = lane;
    brg__list_push_back(&lane->items, brg__item_node(item));
    fair_tidy(queue);
    fair_tidy(queue);
}

/* Uncounts the pop, and its lane is the next one. */
static void fair_push_front(void *state, brg_item *item)
{
    fair_queue *queue = state;
    fair_lane *lane = fair_lane_for(queue, item->key);
    uint64_t tag = queue->virtual_time; /* its lane was dropped: then its debt is over */
    if (brg__heap_is_linked(&lane->heap_item))
        tag = lane->heap_item.key - brg__min(lane->heap_item.key, item->cost);
    if (brg__heap_peek(&queue->lanes) != NULL)
        tag = brg__min(tag, brg__heap_peek(&queue->lanes)->key);
    fair_enter(queue, lane, tag, --queue->front_turn);
    fair_link_of(item)->lane = lane;
    brg__list_push_front(&lane->items, brg__item_node(item));
    queue->count++;
}

static brg_item *fair_pop(void *state, uint64_t now_ns)
{
    (void)now_ns;
    fair_queue *queue = state;
    if (queue->count == 0)
        return NULL;
    fair_lane *lane = fair_lane_of(brg__heap_peek(&queue->lanes));
    for (; brg__list_is_empty(&lane->items); lane = fair_lane_of(brg__heap_peek(&queue->lanes)))
        fair_drop(queue, lane);
    brg_item *item = brg__node_item(brg__list_pop_front(&lane->items));
    queue->count--;
    uint64_t tag = lane->heap_item.key;
    queue->virtual_time = brg__max(queue->virtual_time, tag);
    fair_enter(queue, lane, tag + item->cost, queue->next_turn++);
    return item;
}

static void fair_remove(void *state, brg_item *item)
{
    fair_queue *queue = state;
    fair_lane *lane = fair_link_of(item)->lane;
    brg__list_remove(brg__item_node(item));
    queue->count--;
    if (brg__list_is_empty(&lane->items) && lane->heap_item.key <= queue->virtual_time)
        fair_drop(queue, lane);
}

static void fair_done(void *state)
{
    fair_queue *queue = state;
    for (brg__heap_item *first; (first = brg__heap_peek(&queue->lanes)) != NULL;)
        fair_drop(queue, fair_lane_of(first));
    for (brg__node *node; (node = brg__list_pop_front(&queue->spare)) != NULL;)
        brg__mfree(brg__container_of(node, fair_lane, items.head));
    brg__mfree(queue->by_key.slots);
}

static const brg_queue_policy fair = {.size = sizeof(brg_queue_policy),
                                      .name = "fair",
                                      .state_bytes = sizeof(fair_queue),
                                      .init = fair_init,
                                      .done = fair_done,
                                      .push = fair_push,
                                      .push_front = fair_push_front,
                                      .pop = fair_pop,
                                      .remove = fair_remove};
const brg_queue_policy *const brg_queue_fair = &fair;
