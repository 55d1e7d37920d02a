/* SPDX-License-Identifier: MIT */
/*
 * Deep equality. Recursion goes as deep as values nest, at most BRG_VALUE_DEPTH_MAX. Maps are compared entry by
 * entry while their keys come in the same order, which they mostly do; then by both orders sorted.
 */
#include "base/util.h"
#include "message/keys.h"
#include "message/object.h"
#include "os/memory.h"

static const unsigned char *equal_at(brg_view view) { return view.value->block + view.offset; }

static brg_view equal_child(brg_view parent, size_t child)
{
    return (brg_view){parent.value, brg__flat_child(parent.value->block, parent.offset, child), parent.depth + 1};
}

static bool equal_entries(brg_view a, size_t a_entry, brg_view b, size_t b_entry)
{
    return brg__key_equal(equal_at(equal_child(a, a_entry * 2)), equal_at(equal_child(b, b_entry * 2))) &&
           brg_view_equal(equal_child(a, a_entry * 2 + 1), equal_child(b, b_entry * 2 + 1));
}

/* Without memory to sort in: quadratic. Keys are unique, so the first match of a key is the only one. */
static bool equal_maps_searched(brg_view a, brg_view b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const unsigned char *key = equal_at(equal_child(a, (size_t)i * 2));
        uint32_t j = 0;
        while (j < count && !brg__key_equal(key, equal_at(equal_child(b, (size_t)j * 2))))
            j++;
        if (j == count || !equal_entries(a, i, b, j))
            return false;
    }
    return true;
}

static bool equal_maps_sorted(brg_view a, brg_view b, uint32_t count)
{
    uint32_t *order = brg__malloc((size_t)count * 2 * sizeof(*order));
    if (order == NULL)
        return equal_maps_searched(a, b, count);
    brg__keys_sort(a.value->block, equal_at(a) + BRG__NODE_BYTES, count, order);
    brg__keys_sort(b.value->block, equal_at(b) + BRG__NODE_BYTES, count, order + count);
    bool equal = true;
    for (uint32_t i = 0; equal && i < count; i++)
        equal = equal_entries(a, order[i], b, order[count + i]);
    brg__mfree(order);
    return equal;
}

static bool equal_maps(brg_view a, brg_view b, uint32_t count)
{
    uint32_t i = 0;
    while (i < count &&
           brg__key_equal(equal_at(equal_child(a, (size_t)i * 2)), equal_at(equal_child(b, (size_t)i * 2))))
        i++;
    if (i < count)
        return equal_maps_sorted(a, b, count);
    for (i = 0; i < count; i++)
        if (!brg_view_equal(equal_child(a, (size_t)i * 2 + 1), equal_child(b, (size_t)i * 2 + 1)))
            return false;
    return true;
}

static bool equal_lists(brg_view a, brg_view b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!brg_view_equal(equal_child(a, i), equal_child(b, i)))
            return false;
    return true;
}

static bool equal_buffers(const brg_buffer *a, const brg_buffer *b)
{
    size_t size = brg_buffer_size(a);
    if (a == b || (size == 0 && brg_buffer_size(b) == 0))
        return true;
    return size == brg_buffer_size(b) && memcmp(brg_buffer_data(a), brg_buffer_data(b), size) == 0;
}

bool brg_view_equal(brg_view a, brg_view b)
{
    if (a.value == NULL || b.value == NULL)
        return a.value == b.value;
    if (a.value == b.value && a.offset == b.offset)
        return true;
    brg__node a_node = brg__flat_node(equal_at(a), 0), b_node = brg__flat_node(equal_at(b), 0);
    if (a_node.type == BRG_TYPE_BUFFER && b_node.type == BRG_TYPE_BUFFER)
        return equal_buffers(a.value->buffers[a_node.count], b.value->buffers[b_node.count]);
    /* Equal nodes have equal heads: type, bool, size and height are all there is in them. */
    if (memcmp(&a_node, &b_node, sizeof(a_node)) != 0)
        return false;
    if (a_node.type == BRG_TYPE_MAP)
        return equal_maps(a, b, a_node.count);
    if (a_node.type == BRG_TYPE_LIST)
        return equal_lists(a, b, a_node.count);
    return memcmp(equal_at(a), equal_at(b), brg__node_size(a_node)) == 0;
}
