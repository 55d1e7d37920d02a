/* SPDX-License-Identifier: MIT */
/*
 * The check every foreign block passes before it becomes a value; afterwards readers trust the block.
 *
 * One walk from the root down, without recursion or allocation. Children tile the space before their container in
 * document order, so a frame remembers `position`, where the next child's subtree has to begin: a leaf must stand
 * exactly there; a container must, once its own children are walked, have their end exactly at itself. Each node
 * is thus visited once, whatever the offsets say, and a block of n bytes takes O(n) steps.
 */
#include "base/util.h"
#include "message/flat.h"
#include "message/keys.h"
#include "message/utf8.h"
#include "os/memory.h"

typedef struct check_frame {
    uint32_t offset;      /* of the container */
    uint32_t position;    /* where the next child's subtree begins */
    uint32_t child;       /* the next one's index */
    uint32_t child_count; /* a map's keys and values */
    uint8_t type;
    uint8_t height; /* of the highest child so far */
} check_frame;

typedef struct checker {
    const unsigned char *block;
    brg_error *error;
    uint32_t size_bytes;
    uint32_t buffers_seen;
    uint32_t end; /* of the last node that was left */
    uint32_t depth;
    check_frame frames[BRG_VALUE_DEPTH_MAX];
} checker;

static brg_status check_fail(const checker *check, uint32_t offset, const char *what)
{
    return brg_error_set(check->error, BRG_MALFORMED, "value", "malformed value: %s at offset %u", what, offset);
}

const brg__node_shape brg__node_shapes[BRG__FLAT_FIRST_FREE_TAG] = {
    [BRG_TYPE_NIL] = {1, 0, 0},
    [BRG_TYPE_BOOL] = {1, 0, 0},
    [BRG_TYPE_INT] = {1, sizeof(uint64_t), 0},
    [BRG_TYPE_UINT] = {1, sizeof(uint64_t), 0},
    [BRG_TYPE_DOUBLE] = {1, sizeof(uint64_t), 0},
    [BRG_TYPE_STRING] = {1, 1, 1}, /* and the zero at its end */
    [BRG_TYPE_BYTES] = {1, 0, 1},
    [BRG_TYPE_LIST] = {1, 0, sizeof(uint32_t)},
    [BRG_TYPE_MAP] = {1, 0, 2 * sizeof(uint32_t)},
    [BRG_TYPE_BUFFER] = {1, 0, 0},
};

/* Whether the bytes between the `used` ones of a node and its end are zero; they lie in its last word. */
static bool check_padding(const unsigned char *node, uint64_t used, uint64_t size)
{
    uint64_t in_last_word = used - (size - sizeof(uint64_t));
    return in_last_word >= sizeof(uint64_t) || brg__flat_u64(node, size - sizeof(uint64_t)) >> (8 * in_last_word) == 0;
}

static brg_status check_leaf(checker *check, uint32_t offset, brg__node node, uint64_t size)
{
    const unsigned char *at = check->block + offset;
    bool has_count = node.type == BRG_TYPE_STRING || node.type == BRG_TYPE_BYTES || node.type == BRG_TYPE_BUFFER;
    if ((!has_count && node.count != 0) || node.extra > (node.type == BRG_TYPE_BOOL ? 1 : 0))
        return check_fail(check, offset, "a reserved field is not zero");
    switch (node.type) {
    case BRG_TYPE_UINT:
        if (brg__flat_u64(at, BRG__NODE_BYTES) <= INT64_MAX)
            return check_fail(check, offset, "an unsigned number that is small");
        break;
    case BRG_TYPE_STRING:
        if (!brg__utf8_check((const char *)at + BRG__NODE_BYTES, node.count))
            return check_fail(check, offset, "text that is not UTF-8");
        /* fallthrough */
    case BRG_TYPE_BYTES:
        if (!check_padding(at, (uint64_t)BRG__NODE_BYTES + node.count, size))
            return check_fail(check, offset, "padding that is not zero");
        break;
    case BRG_TYPE_BUFFER:
        if (node.count != check->buffers_seen++)
            return check_fail(check, offset, "a buffer out of turn");
        break;
    default:
        break;
    }
    return BRG_OK;
}

static void check_leave(checker *check, uint32_t end, uint8_t height)
{
    check->end = end;
    if (check->depth == 0)
        return;
    check_frame *parent = &check->frames[check->depth - 1];
    parent->position = end;
    if (height > parent->height)
        parent->height = height;
}

static brg_status check_open(checker *check, uint32_t offset, uint32_t position, brg__node node, uint64_t size)
{
    uint64_t child_count = brg__node_child_count(node);
    if (!check_padding(check->block + offset, BRG__NODE_BYTES + child_count * sizeof(uint32_t), size))
        return check_fail(check, offset, "padding that is not zero");
    if (check->depth == BRG_VALUE_DEPTH_MAX)
        return brg_error_set(check->error, BRG_TOO_LARGE, "value", "nested deeper than %d at offset %u",
                             BRG_VALUE_DEPTH_MAX, offset);
    check->frames[check->depth++] = (check_frame){
        .offset = offset,
        .position = position,
        .child_count = (uint32_t)child_count,
        .type = node.type,
    };
    return BRG_OK;
}

/* The node at `offset`, whose subtree has to begin at `position` and which has to end by `limit`. */
static brg_status check_enter(checker *check, uint32_t offset, uint32_t position, uint32_t limit, bool is_key)
{
    if (offset % 8 != 0 || offset < position || (uint64_t)offset + BRG__NODE_BYTES > limit)
        return check_fail(check, offset, "a reference out of place");
    brg__node node = brg__flat_node(check->block, offset);
    uint64_t size = brg__node_size(node);
    if (size == 0)
        return check_fail(check, offset, "an unknown type");
    if (size > limit - offset)
        return check_fail(check, offset, "a node that runs past its end");
    if (node.zero != 0)
        return check_fail(check, offset, "a reserved field is not zero");
    if (is_key && node.type != BRG_TYPE_STRING)
        return check_fail(check, offset, "a key that is no string");
    if (brg__node_is_container(node))
        return check_open(check, offset, position, node, size);
    if (offset != position)
        return check_fail(check, position, "a gap");
    brg_status status = check_leaf(check, offset, node, size);
    if (status == BRG_OK)
        check_leave(check, offset + (uint32_t)size, 0);
    return status;
}

/* The container on top, all of whose children are walked. */
static brg_status check_close(checker *check)
{
    const check_frame *frame = &check->frames[--check->depth];
    brg__node node = brg__flat_node(check->block, frame->offset);
    if (frame->position != frame->offset)
        return check_fail(check, frame->position, "a gap");
    if (node.extra != frame->height + 1)
        return check_fail(check, frame->offset, "a wrong height");
    if (frame->type == BRG_TYPE_MAP) {
        uint32_t repeated;
        const unsigned char *table = check->block + frame->offset + BRG__NODE_BYTES;
        brg_status status = brg__keys_check(check->block, table, node.count, &repeated);
        if (status == BRG_INVALID)
            return check_fail(check, brg__flat_child(check->block, frame->offset, (size_t)repeated * 2),
                              "a repeated key");
        if (status != BRG_OK)
            return brg__error_memory(check->error, "checking the keys of a map");
    }
    check_leave(check, frame->offset + (uint32_t)brg__node_size(node), node.extra);
    return BRG_OK;
}

static brg_status check_tree(checker *check, uint32_t root)
{
    brg_status status = check_enter(check, root, BRG__FLAT_FIRST, check->size_bytes, false);
    while (status == BRG_OK && check->depth > 0) {
        check_frame *frame = &check->frames[check->depth - 1];
        if (frame->child == frame->child_count) {
            status = check_close(check);
            continue;
        }
        bool is_key = frame->type == BRG_TYPE_MAP && frame->child % 2 == 0;
        uint32_t child = brg__flat_child(check->block, frame->offset, frame->child++);
        status = check_enter(check, child, frame->position, frame->offset, is_key);
    }
    return status;
}

brg_status brg__flat_check(const unsigned char *block, size_t size_bytes, size_t buffer_count, brg_error *error)
{
    if (size_bytes > BRG_VALUE_BYTES_MAX)
        return brg_error_set(error, BRG_TOO_LARGE, "value", "a value of %zu bytes, at most %zu are allowed", size_bytes,
                             BRG_VALUE_BYTES_MAX);
    checker check;
    check.block = block;
    check.error = error;
    check.size_bytes = (uint32_t)size_bytes;
    check.buffers_seen = 0;
    check.end = 0;
    check.depth = 0;
    brg__flat_header header;
    if (size_bytes < sizeof(header) + BRG__NODE_BYTES)
        return check_fail(&check, check.size_bytes, "too short");
    memcpy(&header, block, sizeof(header));
    if (header.magic != BRG__FLAT_MAGIC || header.version != BRG__FLAT_VERSION || header.flags != 0)
        return check_fail(&check, 0, "not a value of a known version");
    if (header.buffer_count != buffer_count)
        return brg_error_set(error, BRG_MALFORMED, "value", "malformed value: it names %u buffers, %zu came with it",
                             header.buffer_count, buffer_count);
    brg_status status = check_tree(&check, header.root);
    if (status == BRG_OK && check.end != check.size_bytes)
        return check_fail(&check, check.end, "bytes after the root");
    if (status == BRG_OK && check.buffers_seen != header.buffer_count)
        return check_fail(&check, 0, "nodes and buffers that differ in number");
    return status;
}
