/* SPDX-License-Identifier: MIT */
/* Copying a subtree of one value into another: a memcpy, then its offsets shifted and its buffers renumbered. */
#include "base/util.h"
#include "message/builder.h"
#include "message/object.h"

/* Where the subtree whose last node is at `offset` begins: down the first children to a leaf or empty container. */
static uint32_t graft_start(const unsigned char *block, uint32_t offset)
{
    while (brg__node_child_count(brg__flat_node(block, offset)) > 0)
        offset = brg__flat_child(block, offset, 0);
    return offset;
}

/* Offsets move by `shift`, modulo 2^32. */
static void graft_shift_children(unsigned char *node, uint64_t child_count, uint32_t shift)
{
    for (uint64_t i = 0; i < child_count; i++) {
        unsigned char *at = node + BRG__NODE_BYTES + i * sizeof(uint32_t);
        uint32_t child = brg__flat_u32(at, 0) + shift;
        memcpy(at, &child, sizeof(child));
    }
}

static bool graft_share_buffer(brg_builder *builder, unsigned char *at, brg__node node, const brg_value *from)
{
    brg_buffer *buffer = brg_buffer_ref(from->buffers[node.count]);
    if (!brg__builder_add_buffer(builder, buffer, &node.count)) {
        brg_buffer_unref(buffer);
        return false;
    }
    memcpy(at, &node, sizeof(node));
    return true;
}

static void graft_relocate(brg_builder *builder, unsigned char *at, uint64_t size, uint32_t shift,
                           const brg_value *from)
{
    for (const unsigned char *end = at + size; at < end;) {
        brg__node node = brg__flat_node(at, 0);
        if (node.type == BRG_TYPE_BUFFER && !graft_share_buffer(builder, at, node, from))
            return;
        graft_shift_children(at, brg__node_child_count(node), shift);
        at += brg__node_size(node);
    }
}

void brg_builder_view(brg_builder *builder, brg_view view)
{
    if (builder->failure.status != BRG_OK)
        return;
    if (view.value == NULL) {
        brg__builder_fail(builder, BRG_INVALID, "there is no node to copy: a key is missing or an index past the end");
        return;
    }
    const unsigned char *block = view.value->block;
    brg__node root = brg__flat_node(block, view.offset);
    uint8_t height = brg__node_is_container(root) ? root.extra : 0;
    if (builder->depth + height > BRG_VALUE_DEPTH_MAX) {
        brg__builder_fail(builder, BRG_TOO_LARGE, "lists and maps nest at most %d deep", BRG_VALUE_DEPTH_MAX);
        return;
    }
    uint32_t start = graft_start(block, view.offset);
    uint64_t size = view.offset + brg__node_size(root) - start;
    uint32_t shift = builder->used - start;
    unsigned char *at = brg__builder_append(builder, size, view.offset - start);
    if (at == NULL)
        return;
    memcpy(at, block + start, size);
    brg__builder_raise(builder, height);
    graft_relocate(builder, at, size, shift, view.value);
}
