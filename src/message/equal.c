/* SPDX-License-Identifier: MIT */
/*
 * Deep equality: whether a reader could tell two nodes apart, short of brg_view_same. Without refs it recurs as deep as
 * values nest. With refs, which may close cycles, it is the algorithm of Hopcroft and Karp for automata (1971): pairs
 * of containers that must be equal wait on a list; each is merged in a union-find structure when it is taken up, and
 * pairs that are merged already are done with. That ends after at most as many merges as there are containers.
 *
 * Maps are compared entry by entry while their keys come in the same order, which they mostly do; else by both orders
 * sorted. Elements of sets find each other by their hashes.
 */
#include "base/util.h"
#include "message/graph.h"
#include "message/keys.h"
#include "os/atomic.h"
#include "os/memory.h"

#include <stdlib.h>

typedef struct equal_class {
    uint64_t node; /* offset, and 1 << 32 in the second value; 0: free */
    uint32_t parent;
} equal_class;

typedef struct equal_pair {
    uint32_t a;
    uint32_t b;
} equal_pair;

typedef struct equality {
    brg__graph a;
    brg__graph b;
    bool has_refs;
    bool one_block;
    bool failed; /* out of memory: not known to be equal */
    equal_pair *pairs;
    size_t pair_count;
    size_t pair_capacity;
    equal_class *classes; /* a hash table, open addressing; parents are its indices */
    uint32_t class_count;
    uint32_t class_capacity;
    uint64_t class_seed;
} equality;

/* Nodes and objects of more bytes are remembered once they were compared: many more may name them. */
#define EQUAL_LONG 256u

static bool equal_nodes(equality *eq, uint32_t a, uint32_t b);

/* ---- union-find ---- */

static uint32_t class_slot(const equality *eq, uint64_t node)
{
    uint32_t mask = eq->class_capacity - 1;
    uint64_t hash = (node ^ eq->class_seed) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
    uint32_t slot = (uint32_t)(hash >> 32) & mask;
    while (eq->classes[slot].node != 0 && eq->classes[slot].node != node)
        slot = (slot + 1) & mask;
    return slot;
}

static bool class_grow(equality *eq)
{
    equality grown = *eq;
    grown.class_capacity = eq->class_capacity == 0 ? 64 : eq->class_capacity * 2;
    grown.classes = brg__calloc(grown.class_capacity, sizeof(*grown.classes));
    if (grown.classes == NULL)
        return false;
    for (uint32_t i = 0; i < eq->class_capacity; i++) {
        if (eq->classes[i].node == 0)
            continue;
        uint32_t slot = class_slot(&grown, eq->classes[i].node);
        grown.classes[slot].node = eq->classes[i].node;
    }
    for (uint32_t i = 0; i < eq->class_capacity; i++)
        if (eq->classes[i].node != 0)
            grown.classes[class_slot(&grown, eq->classes[i].node)].parent = class_slot(
                &grown, eq->classes[eq->classes[i].parent].node);
    brg__mfree(eq->classes);
    *eq = grown;
    return true;
}

static uint32_t class_of(equality *eq, uint64_t node)
{
    uint32_t slot = class_slot(eq, node);
    if (eq->classes[slot].node == 0) {
        eq->classes[slot] = (equal_class){node, slot};
        eq->class_count++;
    }
    while (eq->classes[slot].parent != slot) {
        eq->classes[slot].parent = eq->classes[eq->classes[slot].parent].parent; /* path halving */
        slot = eq->classes[slot].parent;
    }
    return slot;
}

static bool class_make_room(equality *eq) { return eq->class_count + 2 <= eq->class_capacity / 2 || class_grow(eq); }

static uint64_t class_of_b(const equality *eq, uint32_t b) { return eq->one_block ? b : b | UINT64_C(1) << 32; }

/* Whether the two were not known to be the same before. */
static bool equal_merge(equality *eq, uint32_t a, uint32_t b)
{
    if (!class_make_room(eq)) {
        eq->failed = true;
        return false;
    }
    uint32_t one = class_of(eq, a), other = class_of(eq, class_of_b(eq, b));
    if (one == other)
        return false;
    eq->classes[other].parent = one;
    return true;
}

/*
 * The same for what is compared at once, not assumed. Both do without memory: then it is compared again. Bit 33 tells
 * objects from nodes.
 */
#define EQUAL_OBJECT (UINT64_C(1) << 33)

static bool equal_is_known(equality *eq, uint64_t a, uint64_t b)
{
    return eq->class_capacity > 0 && class_make_room(eq) && class_of(eq, a) == class_of(eq, b);
}

static void equal_remember(equality *eq, uint64_t a, uint64_t b)
{
    if (!class_make_room(eq))
        return;
    uint32_t one = class_of(eq, a), other = class_of(eq, b);
    eq->classes[other].parent = one;
}

static void equal_later(equality *eq, uint32_t a, uint32_t b)
{
    if (eq->pair_count == eq->pair_capacity) {
        size_t capacity = eq->pair_capacity == 0 ? 64 : eq->pair_capacity * 2;
        equal_pair *pairs = brg__realloc(eq->pairs, capacity * sizeof(*pairs));
        if (pairs == NULL) {
            eq->failed = true;
            return;
        }
        eq->pairs = pairs;
        eq->pair_capacity = capacity;
    }
    eq->pairs[eq->pair_count++] = (equal_pair){a, b};
}

/* ---- containers ---- */

static bool equal_children(equality *eq, uint32_t a, uint32_t a_index, uint32_t b, uint32_t b_index)
{
    return equal_nodes(eq, brg__flat_child(eq->a.block, a, a_index), brg__flat_child(eq->b.block, b, b_index));
}

static bool equal_keys(const equality *eq, uint32_t a, uint32_t a_entry, uint32_t b, uint32_t b_entry)
{
    return brg__key_equal(eq->a.block + brg__flat_key(eq->a.block, a, a_entry),
                          eq->b.block + brg__flat_key(eq->b.block, b, b_entry));
}

/* Without memory to sort in: quadratic. Keys are unique, so the first match of a key is the only one. */
static bool equal_maps_searched(equality *eq, uint32_t a, uint32_t b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t j = 0;
        while (j < count && !equal_keys(eq, a, i, b, j))
            j++;
        if (j == count || !equal_children(eq, a, i, b, j))
            return false;
    }
    return true;
}

static bool equal_maps_sorted(equality *eq, uint32_t a, uint32_t b, uint32_t count)
{
    uint32_t *order = brg__malloc((size_t)count * 2 * sizeof(*order));
    if (order == NULL)
        return equal_maps_searched(eq, a, b, count);
    uint32_t a_keys = brg__flat_u32(eq->a.block, a + BRG__HEAD_BYTES);
    uint32_t b_keys = brg__flat_u32(eq->b.block, b + BRG__HEAD_BYTES);
    brg__keys_sort(eq->a.block, eq->a.block + a_keys + BRG__HEAD_BYTES, count, order);
    brg__keys_sort(eq->b.block, eq->b.block + b_keys + BRG__HEAD_BYTES, count, order + count);
    bool equal = true;
    for (uint32_t i = 0; equal && i < count; i++)
        equal = equal_keys(eq, a, order[i], b, order[count + i]) &&
                equal_children(eq, a, order[i], b, order[count + i]);
    brg__mfree(order);
    return equal;
}

static bool equal_lists(equality *eq, uint32_t a, uint32_t b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!equal_children(eq, a, i, b, i))
            return false;
    return true;
}

/* How many entries at the start of two maps have the same keys. Many maps may share keys that are long. */
static uint32_t equal_keys_in_order(equality *eq, uint32_t a, uint32_t b, uint32_t count)
{
    uint32_t a_keys = brg__flat_u32(eq->a.block, a + BRG__HEAD_BYTES), i = 0;
    uint32_t b_keys = brg__flat_u32(eq->b.block, b + BRG__HEAD_BYTES);
    uint64_t bytes = 0;
    if (count == 0 || (eq->one_block && a_keys == b_keys) || equal_is_known(eq, a_keys, class_of_b(eq, b_keys)))
        return count;
    for (; i < count && equal_keys(eq, a, i, b, i); i++)
        bytes += brg__head_size(brg__flat_head(eq->a.block, brg__flat_key(eq->a.block, a, i)));
    if (i == count && bytes > EQUAL_LONG)
        equal_remember(eq, a_keys, class_of_b(eq, b_keys));
    return i;
}

static bool equal_maps(equality *eq, uint32_t a, uint32_t b, uint32_t count)
{
    uint32_t i = equal_keys_in_order(eq, a, b, count);
    return i < count ? equal_maps_sorted(eq, a, b, count) : equal_lists(eq, a, b, count);
}

typedef struct equal_element {
    uint64_t hash;
    uint32_t index;
} equal_element;

static int element_compare(const void *left, const void *right)
{
    const equal_element *a = left, *b = right;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

/*
 * Elements of one hash, [from, to) in both: each of a's finds one of b's that no other took. With refs, where equality
 * is only assumed at first, they go by their order.
 */
static bool equal_run(equality *eq, uint32_t a, uint32_t b, const equal_element *ours, equal_element *theirs,
                      uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        uint32_t j = i;
        while (j < to && !equal_children(eq, a, ours[i].index, b, theirs[j].index) && !eq->has_refs)
            j++;
        if (j == to || (eq->has_refs && !equal_children(eq, a, ours[i].index, b, theirs[i].index)))
            return false;
        equal_element taken = theirs[j];
        theirs[j] = theirs[i];
        theirs[i] = taken;
    }
    return true;
}

static bool equal_sets(equality *eq, uint32_t a, uint32_t b, uint32_t count)
{
    equal_element *ours = brg__malloc(brg__max(count, 1) * 2 * sizeof(*ours));
    if (ours == NULL) {
        eq->failed = true;
        return false;
    }
    equal_element *theirs = ours + count;
    for (uint32_t i = 0; i < count; i++) {
        ours[i] = (equal_element){brg__graph_hash(&eq->a, brg__flat_child(eq->a.block, a, i)), i};
        theirs[i] = (equal_element){brg__graph_hash(&eq->b, brg__flat_child(eq->b.block, b, i)), i};
    }
    qsort(ours, count, sizeof(*ours), element_compare);
    qsort(theirs, count, sizeof(*theirs), element_compare);
    bool equal = true;
    for (uint32_t i = 0; equal && i < count; i++)
        equal = ours[i].hash == theirs[i].hash;
    for (uint32_t i = 0, end; equal && i < count; i = end) {
        for (end = i + 1; end < count && ours[end].hash == ours[i].hash;)
            end++;
        equal = equal_run(eq, a, b, ours, theirs, i, end);
    }
    brg__mfree(ours);
    return equal;
}

static bool equal_containers(equality *eq, uint32_t a, uint32_t b, brg__head node)
{
    if (node.type == BRG_TYPE_MAP)
        return equal_maps(eq, a, b, node.count);
    if (node.type == BRG_TYPE_SET)
        return equal_sets(eq, a, b, node.count);
    return equal_lists(eq, a, b, node.count);
}

/* ---- leaves ---- */

static bool equal_bytes(const void *a, size_t a_size, const void *b, size_t b_size)
{
    return a_size == b_size && (a_size == 0 || a == b || memcmp(a, b, a_size) == 0);
}

static bool equal_buffers(equality *eq, brg__head a, brg__head b, const brg_buffer *one, const brg_buffer *other)
{
    uint64_t a_class = a.count | EQUAL_OBJECT, b_class = class_of_b(eq, b.count) | EQUAL_OBJECT;
    bool is_long = brg_buffer_size(one) > EQUAL_LONG;
    if (brg_buffer_size(one) != brg_buffer_size(other))
        return false;
    if (is_long && equal_is_known(eq, a_class, b_class))
        return true;
    size_t size = brg_buffer_size(one);
    bool equal = equal_bytes(brg_buffer_bytes(one), size, brg_buffer_bytes(other), size);
    if (is_long && equal)
        equal_remember(eq, a_class, b_class);
    return equal;
}

static bool equal_leaves(equality *eq, uint32_t a, uint32_t b, uint64_t size)
{
    bool may_come_again = eq->has_refs && size > EQUAL_LONG;
    if (may_come_again && equal_is_known(eq, a, class_of_b(eq, b)))
        return true;
    bool equal = memcmp(eq->a.block + a, eq->b.block + b, size) == 0;
    if (may_come_again && equal)
        equal_remember(eq, a, class_of_b(eq, b));
    return equal;
}

static bool equal_objects(equality *eq, brg__head a, brg__head b)
{
    const brg__object *one = brg__graph_object(&eq->a, a), *other = brg__graph_object(&eq->b, b);
    if (one == NULL || other == NULL)
        return false;
    if (one == other)
        return true;
    if (a.type == BRG_TYPE_BUFFER)
        return equal_buffers(eq, a, b, one->xpointer, other->xpointer);
    void *pointer = brg_load_acquire(&one->xpointer); /* somebody may be taking it */
    return pointer != NULL && pointer == brg_load_acquire(&other->xpointer);
}

static bool equal_arrays(const equality *eq, uint32_t a, uint32_t b)
{
    brg_array one, other;
    if (!brg__graph_array(&eq->a, a, &one) || !brg__graph_array(&eq->b, b, &other) || one.element != other.element)
        return false;
    uint32_t size = brg__element_size(one.element);
    return equal_bytes(one.data, one.count * size, other.data, other.count * size);
}

static bool equal_nodes(equality *eq, uint32_t a, uint32_t b)
{
    a = brg__flat_resolve(eq->a.block, a);
    b = brg__flat_resolve(eq->b.block, b);
    if (eq->one_block && a == b)
        return true;
    brg__head a_node = brg__flat_head(eq->a.block, a), b_node = brg__flat_head(eq->b.block, b);
    if (a_node.type != b_node.type)
        return false;
    if (a_node.type == BRG_TYPE_ARRAY)
        return equal_arrays(eq, a, b);
    if (brg__head_is_object(a_node))
        return equal_objects(eq, a_node, b_node);
    if (a_node.count != b_node.count)
        return false;
    if (!brg__head_is_container(a_node))
        return equal_leaves(eq, a, b, brg__head_size(a_node));
    if (!eq->has_refs)
        return a_node.extra == b_node.extra && equal_containers(eq, a, b, a_node);
    if (equal_merge(eq, a, b))
        equal_later(eq, a, b);
    return !eq->failed;
}

bool brg_view_equal(brg_view a, brg_view b)
{
    if (a.value == NULL || b.value == NULL)
        return a.value == b.value;
    equality eq = {
        .a = {a.value->block, a.value->objects, a.value->object_count},
        .b = {b.value->block, b.value->objects, b.value->object_count},
        .has_refs = brg__flat_has_refs(a.value->block) || brg__flat_has_refs(b.value->block),
        .one_block = a.value == b.value,
        .class_seed = (uint64_t)(uintptr_t)&eq ^ (uint64_t)(uintptr_t)a.value, /* what a sender cannot know */
    };
    bool equal = equal_nodes(&eq, a.offset, b.offset);
    while (equal && eq.pair_count > 0) {
        equal_pair pair = eq.pairs[--eq.pair_count];
        equal = equal_containers(&eq, pair.a, pair.b, brg__flat_head(eq.a.block, pair.a));
    }
    brg__mfree(eq.pairs);
    brg__mfree(eq.classes);
    return equal && !eq.failed;
}
