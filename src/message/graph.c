/* SPDX-License-Identifier: MIT */
/*
 * Sets. Elements go through a table of their hashes, open addressing and linear probing; those whose hashes meet are
 * compared. A hostile sender can make elements collide, and refs can make small elements big, so hashing looks at no
 * more than HASH_NODES nodes of an element, and all comparing has a budget of the order of the block's bytes, for all
 * its sets.
 *
 * The hash must not depend on the order of map entries and set elements, nor on whether a node is shared: it follows
 * refs, and of a container it looks at all children or, in unordered ones, at none. Refs to ancestors (which lie behind
 * their ref) count as such, nothing more: so both functions here recur no deeper than values nest.
 */
#include "message/graph.h"

#include "base/util.h"
#include "os/memory.h"

#define HASH_NODES 256u
#define HASH_BYTES_LEAST 16u /* of each end of a long string; else as many bytes as nodes may be looked at */
#define SET_BUDGET_PER_BYTE 4u

const brg__object *brg__graph_object(const brg__graph *graph, brg__head node)
{
    if (graph->objects == NULL || node.count >= graph->object_count)
        return NULL;
    const brg__object *object = &graph->objects[node.count];
    uint32_t type = node.type == BRG_TYPE_ARRAY ? BRG_TYPE_BUFFER : node.type;
    return object->type == type ? object : NULL;
}

bool brg__graph_array(const brg__graph *graph, uint32_t offset, brg_array *out)
{
    brg__head node = brg__flat_head(graph->block, offset);
    uint32_t element = node.extra & ~BRG__ARRAY_OUTSIDE, size = brg__element_size(element);
    if (node.type != BRG_TYPE_ARRAY || size == 0)
        return false;
    if (node.extra == element) {
        *out = (brg_array){(brg_element)element, node.count, graph->block + offset + BRG__HEAD_BYTES, NULL, 0};
        return true;
    }
    const brg__object *object = brg__graph_object(graph, node);
    uint64_t start = brg__flat_u64(graph->block, offset + 8), count = brg__flat_u64(graph->block, offset + 16);
    if (object == NULL || object->xpointer == NULL)
        return false;
    uint64_t bytes = brg_buffer_size(object->xpointer);
    if (start > bytes || count > (bytes - start) / size)
        return false;
    const unsigned char *data = brg_buffer_bytes(object->xpointer);
    if (count > 0 && (uintptr_t)(data + start) % size != 0)
        return false;
    *out = (brg_array){(brg_element)element, (size_t)count, data == NULL ? NULL : data + start, object->xpointer,
                       (size_t)start};
    return true;
}

static uint64_t hash_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static uint64_t hash_bytes(uint64_t hash, const unsigned char *bytes, size_t size)
{
    uint64_t word;
    for (; size >= sizeof(word); bytes += sizeof(word), size -= sizeof(word)) {
        memcpy(&word, bytes, sizeof(word));
        hash = hash_mix(hash, word);
    }
    word = 0;
    if (size > 0)
        memcpy(&word, bytes, size);
    return hash_mix(hash, word ^ (uint64_t)size << 56);
}

/* Of long content both ends, the less of them the less of the budget is left: so the whole has a bound too. */
static uint64_t hash_content(uint64_t hash, const unsigned char *bytes, uint64_t size, uint32_t budget)
{
    uint32_t end = brg__max(budget, HASH_BYTES_LEAST);
    hash = hash_mix(hash, size);
    if (size <= 2 * (uint64_t)end)
        return hash_bytes(hash, bytes, size);
    return hash_bytes(hash_bytes(hash, bytes, end), bytes + size - end, end);
}

static uint64_t hash_node(const brg__graph *graph, uint32_t offset, uint32_t budget);

static uint64_t hash_container(const brg__graph *graph, uint32_t offset, brg__head node, uint32_t budget)
{
    uint64_t hash = hash_mix(node.type, node.count), sum = 0;
    bool is_ordered = node.type == BRG_TYPE_LIST || node.type == BRG_TYPE_ERROR;
    uint32_t seen = (uint32_t)brg__min(node.count, budget - 1);
    if (!is_ordered && seen < node.count)
        return hash;
    for (uint32_t i = 0; i < seen; i++) {
        uint64_t one = hash_node(graph, brg__flat_child(graph->block, offset, i), (budget - 1) / seen);
        if (node.type == BRG_TYPE_MAP) {
            const unsigned char *key = graph->block + brg__flat_key(graph->block, offset, i);
            one = hash_mix(hash_content(0, key, brg__head_size(brg__flat_head(key, 0)), (budget - 1) / seen), one);
        }
        if (is_ordered)
            hash = hash_mix(hash, one);
        else
            sum += hash_mix(one, 1);
    }
    return hash_mix(hash, sum);
}

/* Buffers and arrays are equal by content, wherever it lies; others hash by type only. */
static uint64_t hash_object(const brg__graph *graph, uint32_t offset, brg__head node, uint32_t budget)
{
    brg_array array;
    if (node.type == BRG_TYPE_ARRAY && brg__graph_array(graph, offset, &array))
        return hash_content(hash_mix(node.type, (uint64_t)array.element), array.data,
                            (uint64_t)array.count * brg__element_size((uint32_t)array.element), budget);
    const brg__object *object = brg__graph_object(graph, node);
    if (graph->objects == NULL)
        return hash_content(node.type, graph->block + offset, brg__head_size(node), budget);
    if (node.type == BRG_TYPE_BUFFER && object != NULL && object->xpointer != NULL)
        return hash_content(node.type, brg_buffer_bytes(object->xpointer), brg_buffer_size(object->xpointer), budget);
    return node.type;
}

static uint64_t hash_node(const brg__graph *graph, uint32_t offset, uint32_t budget)
{
    brg__head node = brg__flat_head(graph->block, offset);
    if (node.type == BRG__TAG_REF) {
        if (node.zero != 0 || node.count > offset)
            return BRG__TAG_REF;
        offset = node.count;
        node = brg__flat_head(graph->block, offset);
    }
    if (brg__head_is_container(node))
        return hash_container(graph, offset, node, budget);
    if (node.type == BRG_TYPE_ARRAY || (graph->objects != NULL && brg__head_is_object(node)))
        return hash_object(graph, offset, node, budget);
    return hash_content(node.type, graph->block + offset, brg__head_size(node), budget);
}

uint64_t brg__graph_hash(const brg__graph *graph, uint32_t offset) { return hash_node(graph, offset, HASH_NODES); }

/* ---- equality of the elements of one set: without cycles, with a budget ---- */

typedef struct set_compare {
    const brg__graph *graph;
    uint64_t budget; /* 0: it is used up, and what was found means nothing */
} set_compare;

static bool set_spend(set_compare *compare, uint64_t work)
{
    compare->budget -= brg__min(work, compare->budget);
    return compare->budget > 0;
}

static bool set_equal(set_compare *compare, uint32_t a, uint32_t b);

/* Entry or element `i` of a, among b's. */
static bool set_equal_unordered(set_compare *compare, uint32_t a, uint32_t b, uint32_t count, bool is_map, uint32_t i)
{
    const unsigned char *block = compare->graph->block;
    for (uint32_t k = 0; k < count; k++) {
        uint32_t j = i + k < count ? i + k : i + k - count; /* mostly at the same place */
        if (!set_spend(compare, 1))
            return false;
        if (is_map) {
            const unsigned char *key = block + brg__flat_key(block, a, i);
            const unsigned char *other = block + brg__flat_key(block, b, j);
            if (brg__flat_u64(key, 0) != brg__flat_u64(other, 0))
                continue;
            uint64_t size = brg__head_size(brg__flat_head(key, 0));
            if (!set_spend(compare, size / 64))
                return false;
            if (memcmp(key, other, size) != 0)
                continue;
        }
        if (set_equal(compare, brg__flat_child(block, a, i), brg__flat_child(block, b, j)))
            return true;
        if (is_map)
            return false;
    }
    return false;
}

static bool set_equal_containers(set_compare *compare, uint32_t a, uint32_t b, brg__head node)
{
    const unsigned char *block = compare->graph->block;
    bool is_map = node.type == BRG_TYPE_MAP;
    for (uint32_t i = 0; i < node.count; i++) {
        bool equal = node.type == BRG_TYPE_LIST || node.type == BRG_TYPE_ERROR
                         ? set_equal(compare, brg__flat_child(block, a, i), brg__flat_child(block, b, i))
                         : set_equal_unordered(compare, a, b, node.count, is_map, i);
        if (!equal)
            return false;
    }
    return true;
}

static bool set_equal(set_compare *compare, uint32_t a, uint32_t b)
{
    const unsigned char *block = compare->graph->block;
    brg__head node[2] = {brg__flat_head(block, a), brg__flat_head(block, b)};
    uint32_t at[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        if (node[i].type != BRG__TAG_REF || node[i].zero != 0 || node[i].count > at[i])
            continue;
        at[i] = node[i].count;
        node[i] = brg__flat_head(block, at[i]);
    }
    if (at[0] == at[1])
        return set_spend(compare, 1);
    if (node[0].type != node[1].type || node[0].count != node[1].count || node[0].type == BRG__TAG_REF)
        return node[0].type == node[1].type && node[0].type == BRG__TAG_REF && node[0].count == node[1].count &&
               set_spend(compare, 1);
    if (brg__head_is_container(node[0]))
        return set_spend(compare, 1) && set_equal_containers(compare, at[0], at[1], node[0]);
    if (node[0].extra != node[1].extra)
        return false;
    uint64_t size = brg__head_size(node[0]);
    return set_spend(compare, 1 + size / 64) && memcmp(block + at[0], block + at[1], size) == 0;
}

static brg_status set_check_elements(const brg__graph *graph, uint32_t offset, uint32_t count, uint64_t *slots,
                                     size_t slot_count, uint64_t *spent, uint32_t *repeated)
{
    uint64_t budget = ((uint64_t)offset + 4096) * SET_BUDGET_PER_BYTE;
    set_compare compare = {graph, budget - brg__min(*spent, budget)};
    if (compare.budget == 0)
        return BRG_TOO_LARGE;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t element = brg__flat_child(graph->block, offset, i);
        uint64_t hash = brg__graph_hash(graph, element);
        size_t slot = (size_t)(hash >> 20) & (slot_count - 1);
        for (; slots[slot] != 0; slot = (slot + 1) & (slot_count - 1)) {
            if (!set_spend(&compare, 1))
                return BRG_TOO_LARGE;
            if (slots[slot] >> 32 != hash >> 32)
                continue;
            bool equal = set_equal(&compare, element, brg__flat_child(graph->block, offset, (uint32_t)slots[slot] - 1));
            if (compare.budget == 0)
                return BRG_TOO_LARGE;
            if (equal) {
                *repeated = i;
                return BRG_INVALID;
            }
        }
        slots[slot] = (hash & ~(uint64_t)UINT32_MAX) | (i + 1);
    }
    *spent = budget - compare.budget;
    return BRG_OK;
}

brg_status brg__set_check(const unsigned char *block, uint32_t offset, uint64_t *spent, uint32_t *repeated)
{
    uint64_t few[32] = {0};
    const brg__graph only = {block, NULL, 0}, *graph = &only;
    uint32_t count = brg__flat_head(block, offset).count;
    size_t slot_count = brg__count_of(few);
    while (slot_count / 2 < count)
        slot_count *= 2;
    if (slot_count == brg__count_of(few))
        return set_check_elements(graph, offset, count, few, slot_count, spent, repeated);
    uint64_t *slots = brg__calloc(slot_count, sizeof(*slots));
    if (slots == NULL)
        return BRG_NO_MEMORY;
    brg_status status = set_check_elements(graph, offset, count, slots, slot_count, spent, repeated);
    brg__mfree(slots);
    return status;
}

/* ---- where refs lead ---- */

static uint32_t targets_count_refs(const brg_value *value)
{
    uint32_t count = 0;
    for (size_t at = BRG__FLAT_FIRST; at < value->size_bytes;) {
        brg__head node = brg__flat_head(value->block, at);
        count += node.type == BRG__TAG_REF;
        at += brg__head_size(node);
    }
    return count;
}

/* Restores the heap, largest first, below `at` in targets[0 .. count). */
static void targets_sift(brg__target *targets, size_t at, size_t count)
{
    uint32_t moved = targets[at].offset;
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && targets[child].offset < targets[child + 1].offset)
            child++;
        if (moved >= targets[child].offset)
            break;
        targets[at].offset = targets[child].offset;
    }
    targets[at].offset = moved;
}

/* Heapsort (Williams 1964, Floyd 1964), then each once; how many are left. */
static uint32_t targets_sort(brg__target *targets, uint32_t count)
{
    for (size_t at = count / 2; at-- > 0;)
        targets_sift(targets, at, count);
    for (size_t left = count; left-- > 1;) {
        uint32_t largest = targets[0].offset;
        targets[0].offset = targets[left].offset;
        targets[left].offset = largest;
        targets_sift(targets, 0, left);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || targets[i].offset != targets[kept - 1].offset)
            targets[kept++].offset = targets[i].offset;
    return kept;
}

brg_status brg__targets_create(brg__target **out, uint32_t *count, const brg_value *value, brg_error *error)
{
    *out = NULL;
    *count = 0;
    if (!brg__flat_has_refs(value->block))
        return BRG_OK;
    uint32_t refs = targets_count_refs(value), filled = 0;
    brg__target *targets = brg__calloc(refs, sizeof(*targets));
    if (targets == NULL)
        return brg__error_memory(error, "looking at the references of a value");
    for (size_t at = BRG__FLAT_FIRST; at < value->size_bytes;) {
        brg__head node = brg__flat_head(value->block, at);
        if (node.type == BRG__TAG_REF)
            targets[filled++].offset = node.count;
        at += brg__head_size(node);
    }
    *count = targets_sort(targets, filled);
    *out = targets;
    return BRG_OK;
}

brg__target *brg__targets_find(brg__target *targets, uint32_t count, uint32_t offset)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (targets[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && targets[low].offset == offset ? &targets[low] : NULL;
}
