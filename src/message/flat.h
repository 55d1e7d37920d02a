/* SPDX-License-Identifier: MIT */
/*
 * The flat block: what a value looks like in memory, in a ring and on the way to another process.
 *
 * Little-endian, relocatable: every position is a byte offset from the block's start, 32 bits. It begins with
 * brg__flat_header; nodes follow without gaps, each a multiple of 8 bytes, zero-padded. A node starts with
 * brg__node and goes on by its type:
 *
 *     nil, bool, buffer   nothing (bool: extra is 0 or 1; buffer: count is its index)
 *     int, uint, double   8 bytes
 *     string, bytes       count bytes; after a string at least one zero byte
 *     list                count offsets of 32 bits (extra: its height, 1 and more)
 *     map                 count pairs of offsets: the key, a string node, and its value (extra as in lists)
 *
 * Nodes stand in post-order: a container follows all of its children's subtrees, which tile the space before it
 * in document order; the root is the last node. So each node has exactly one parent, sharing and cycles cannot
 * be expressed, a subtree is one contiguous range (copying it is a memcpy and a shift of its offsets), and the
 * check in validate.c is one linear walk. Buffer nodes count up from 0 in the same order.
 *
 * Tags from BRG__FLAT_FIRST_FREE_TAG on are free for timestamps, big integers, typed arrays, sets, errors, handles and
 * references to earlier nodes; `extra` and `zero` are zero where the table above does not use them. A reader
 * refuses versions and tags it does not know.
 */
#ifndef BRG_MESSAGE_FLAT_H
#define BRG_MESSAGE_FLAT_H

#include <brigade/value.h>

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the flat block is little-endian and used in place");

#define BRG__FLAT_MAGIC 0x56475242u /* "BRGV" */
#define BRG__FLAT_VERSION 1
#define BRG__FLAT_FIRST_FREE_TAG 16

typedef struct brg__flat_header {
    uint32_t magic;
    uint16_t version;
    uint16_t flags; /* none yet: zero */
    uint32_t root;
    uint32_t buffer_count;
} brg__flat_header;

typedef struct brg__node {
    uint8_t type; /* brg_type: the tags are the public numbers */
    uint8_t extra;
    uint16_t zero;
    uint32_t count;
} brg__node;

#define BRG__FLAT_FIRST ((uint32_t)sizeof(brg__flat_header)) /* offset of the first node */
#define BRG__NODE_BYTES ((uint32_t)sizeof(brg__node))

_Static_assert(sizeof(brg__flat_header) == 16 && sizeof(brg__node) == 8, "the layout is a format");

/* Loads by memcpy: the block has no type of its own, and the compiler makes them plain loads. */
static inline uint32_t brg__flat_u32(const unsigned char *block, size_t at)
{
    uint32_t number;
    memcpy(&number, block + at, sizeof(number));
    return number;
}

static inline uint64_t brg__flat_u64(const unsigned char *block, size_t at)
{
    uint64_t number;
    memcpy(&number, block + at, sizeof(number));
    return number;
}

static inline brg__node brg__flat_node(const unsigned char *block, size_t at)
{
    brg__node node;
    memcpy(&node, block + at, sizeof(node));
    return node;
}

static inline bool brg__node_is_container(brg__node node)
{
    return node.type == BRG_TYPE_LIST || node.type == BRG_TYPE_MAP;
}

/* Offset of child `index` in document order: of a map, entry i has its key at 2i and its value at 2i + 1. */
static inline uint32_t brg__flat_child(const unsigned char *block, size_t container, size_t index)
{
    return brg__flat_u32(block, container + BRG__NODE_BYTES + index * sizeof(uint32_t));
}

static inline uint64_t brg__node_child_count(brg__node node)
{
    return node.type == BRG_TYPE_MAP ? (uint64_t)node.count * 2 : node.type == BRG_TYPE_LIST ? node.count : 0;
}

/* What follows a node's head, by its type: `fixed` bytes and `unit` bytes for each of its count; `known` is 1. */
typedef struct brg__node_shape {
    uint8_t known;
    uint8_t fixed;
    uint8_t unit;
} brg__node_shape;

extern const brg__node_shape brg__node_shapes[BRG__FLAT_FIRST_FREE_TAG];

/* Bytes a node takes, padding included; 0 for a tag this version does not know. */
static inline uint64_t brg__node_size(brg__node node)
{
    if (node.type >= BRG__FLAT_FIRST_FREE_TAG || !brg__node_shapes[node.type].known)
        return 0;
    brg__node_shape shape = brg__node_shapes[node.type];
    return (BRG__NODE_BYTES + shape.fixed + (uint64_t)node.count * shape.unit + 7) & ~UINT64_C(7);
}

/*
 * Checks a whole block, which must not change meanwhile: bounds, tags, tiling, heights, depth, UTF-8, padding, keys,
 * and that it refers to exactly `buffer_count` buffers. Linear but for a factor log n in maps with hostile keys.
 * Errors: BRG_MALFORMED naming the offset, BRG_TOO_LARGE (depth, bytes), BRG_NO_MEMORY (scratch for big maps).
 */
brg_status brg__flat_check(const unsigned char *block, size_t size_bytes, size_t buffer_count, brg_error *error);

#endif
