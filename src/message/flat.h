/* SPDX-License-Identifier: MIT */
/*
 * The flat block: what a value looks like in memory, in a ring and on the way to another process.
 *
 * Little-endian, relocatable: every position is a byte offset from the block's start, 32 bits. It begins with
 * brg__flat_header; nodes follow without gaps, each a multiple of 8 bytes, zero-padded. A node starts with
 * brg__head and goes on by its type:
 *
 *     nil, bool            nothing (bool: extra is 0 or 1)
 *     int, uint, double    8 bytes; so timestamp
 *     string, bytes        count bytes; after a string at least one zero byte; key (internal) as string
 *     bigint               count bytes of magnitude, least first, the last not zero; extra is 1 below zero
 *     array                extra is the element; count elements. With BRG__ARRAY_OUTSIDE in extra: count is the index
 *     of a
 *                          buffer, then 8 bytes of offset in it and 8 bytes of element count
 *     buffer, port, ...    count is the index of the object
 *     list, set, error     count offsets of 32 bits (extra: the height, 1 and more); an error has BRG__ERROR_CHILDREN
 *     keys (internal)      count offsets of 32 bits, of key nodes
 *     map                  the offset of its keys (0 if it is empty), then count offsets, of its values (extra as in
 *     lists)
 *     ref (internal)       count is the offset of the node it stands for (extra: that one's height, 0 for an ancestor)
 *
 * Nodes stand in post-order: a container follows its children's subtrees, in document order, and the root is the
 * last node. Read forwards, nodes that are values go onto a stack, and a container takes its children from its top: so
 * its table of offsets is the top of that stack, in the builder as in the check. Keys have a stack of their own, which
 * a keys node takes from and goes nowhere: maps name it, and those that have the same keys in the same order, as the
 * records of a list mostly do, name the same one.
 *
 * Sharing and cycles are refs. One to an earlier node shares it; one to a later node is to a container around it,
 * closing a cycle. No ref leads to a ref. Without the refs to ancestors the nodes are a DAG, of at most
 * BRG_VALUE_DEPTH_MAX levels since heights count through refs: what recurs along it and stops at those needs no other
 * bound on its stack, but may visit exponentially many paths.
 *
 * Objects are numbered in the order of their first nodes; those without a node come last. `extra`, `zero` and `count`
 * are zero where the table above does not use them. A reader refuses versions and tags it does not know.
 */
#ifndef BRG_MESSAGE_FLAT_H
#define BRG_MESSAGE_FLAT_H

#include <brigade/value.h>

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the flat block is little-endian and used in place");

#define BRG__FLAT_MAGIC 0x56475242u /* "BRGV" */
#define BRG__FLAT_VERSION 2
#define BRG__FLAT_HAS_REFS 1u /* flag: there is at least one ref */

/* Tags past the public types. */
#define BRG__TAG_REF BRG_INLINE_REF
#define BRG__TAG_KEY 25
#define BRG__TAG_KEYS 26

#define BRG__ARRAY_OUTSIDE 0x80u /* flag in an array's extra */

/* Children of an error: status, code, errno, signal, exit code, attempt: ints; domain, message, backtrace: strings;
 * ... */
#define BRG__ERROR_NUMBERS 6
#define BRG__ERROR_DETAIL 9
#define BRG__ERROR_CAUSE 10
#define BRG__ERROR_CHILDREN 11

typedef struct brg__flat_header {
    uint32_t magic;
    uint16_t version;
    uint16_t flags;
    uint32_t root;
    uint32_t object_count;
} brg__flat_header;

typedef struct brg__head {
    uint8_t type; /* brg_type or a tag: the tags are the public numbers */
    uint8_t extra;
    uint16_t zero;
    uint32_t count;
} brg__head;

#define BRG__FLAT_FIRST ((uint32_t)sizeof(brg__flat_header)) /* offset of the first node */
#define BRG__HEAD_BYTES ((uint32_t)sizeof(brg__head))

_Static_assert(sizeof(brg__flat_header) == 16 && sizeof(brg__head) == 8, "the layout is a format");

/* Loads by memcpy: the block has no type of its own, and the compiler makes them plain loads. */
static inline uint32_t brg__flat_u32(const unsigned char *block, size_t at)
{
    uint32_t number;                             /* a value's block is never NULL, which the analyser does not know */
    memcpy(&number, block + at, sizeof(number)); /* NOLINT(clang-analyzer-core.NonNullParamChecker) */
    return number;
}

static inline uint64_t brg__flat_u64(const unsigned char *block, size_t at)
{
    uint64_t number;
    memcpy(&number, block + at, sizeof(number));
    return number;
}

static inline brg__head brg__flat_head(const unsigned char *block, size_t at)
{
    brg__head node;
    memcpy(&node, block + at, sizeof(node));
    return node;
}

/* Whether it has a height and a table of values. */
static inline bool brg__head_is_container(brg__head node)
{
    return node.type == BRG_TYPE_LIST || node.type == BRG_TYPE_MAP || node.type == BRG_TYPE_SET ||
           node.type == BRG_TYPE_ERROR;
}

/* Whether its count is the index of an object. */
static inline bool brg__head_is_object(brg__head node)
{
    return node.type == BRG_TYPE_BUFFER || (node.type >= BRG_TYPE_PORT && node.type <= BRG_TYPE_TOKEN) ||
           (node.type == BRG_TYPE_ARRAY && (node.extra & BRG__ARRAY_OUTSIDE) != 0);
}

/* Where in a container its table of values begins. */
static inline uint32_t brg__head_table(brg__head node)
{
    return BRG__HEAD_BYTES + (node.type == BRG_TYPE_MAP ? (uint32_t)sizeof(uint32_t) : 0);
}

/* Offset of value `index` of a container, as it stands in its table: perhaps of a ref. */
static inline uint32_t brg__flat_child(const unsigned char *block, size_t container, size_t index)
{
    return brg__flat_u32(block,
                         container + brg__head_table(brg__flat_head(block, container)) + index * sizeof(uint32_t));
}

/* Offset of key `index` of a map that has one. */
static inline uint32_t brg__flat_key(const unsigned char *block, size_t map, size_t index)
{
    uint32_t keys = brg__flat_u32(block, map + BRG__HEAD_BYTES);
    return brg__flat_u32(block, keys + BRG__HEAD_BYTES + index * sizeof(uint32_t));
}

/* The node a ref stands for; `offset` itself for all others. */
static inline uint32_t brg__flat_resolve(const unsigned char *block, uint32_t offset)
{
    brg__head node = brg__flat_head(block, offset);
    return node.type == BRG__TAG_REF ? node.count : offset;
}

static inline bool brg__flat_has_refs(const unsigned char *block)
{
    brg__flat_header header;
    memcpy(&header, block, sizeof(header));
    return (header.flags & BRG__FLAT_HAS_REFS) != 0;
}

/* Bytes of an element of a typed array; 0 for what is none. */
static inline uint32_t brg__element_size(uint32_t element)
{
    static const uint8_t sizes[] = {0, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8};
    return element < sizeof(sizes) ? sizes[element] : 0;
}

/* Bytes a node takes, padding included; 0 for a tag this version does not know. Of a known one at least 8. */
static inline uint64_t brg__head_size(brg__head node)
{
    uint64_t size = node.count;
    switch (node.type) {
    case BRG_TYPE_NIL:
    case BRG_TYPE_BOOL:
    case BRG_TYPE_BUFFER:
    case BRG_TYPE_PORT:
    case BRG_TYPE_FD:
    case BRG_TYPE_SHARED:
    case BRG_TYPE_TOKEN:
    case BRG__TAG_REF:
        size = 0;
        break;
    case BRG_TYPE_INT:
    case BRG_TYPE_UINT:
    case BRG_TYPE_DOUBLE:
    case BRG_TYPE_TIMESTAMP:
        size = sizeof(uint64_t);
        break;
    case BRG_TYPE_STRING:
    case BRG__TAG_KEY:
        size += 1; /* the zero at its end */
        break;
    case BRG_TYPE_BYTES:
    case BRG_TYPE_BIGINT:
        break;
    case BRG_TYPE_ARRAY:
        if ((node.extra & BRG__ARRAY_OUTSIDE) != 0)
            size = 2 * sizeof(uint64_t);
        else
            size *= brg__element_size(node.extra);
        break;
    case BRG_TYPE_MAP:
        size = (size + 1) * sizeof(uint32_t);
        break;
    case BRG_TYPE_LIST:
    case BRG_TYPE_SET:
    case BRG_TYPE_ERROR:
    case BRG__TAG_KEYS:
        size *= sizeof(uint32_t);
        break;
    default:
        return 0;
    }
    return (BRG__HEAD_BYTES + size + 7) & ~UINT64_C(7);
}

/*
 * Checks a whole block, which must not change meanwhile: bounds, tags, order, heights, depth, UTF-8, padding, keys,
 * refs, sets, and that it names no more than `object_count` objects. Which type those have is for
 * brg__value_check_objects. Linear but for a factor log n in maps with hostile keys. Errors: BRG_MALFORMED naming the
 * offset, BRG_TOO_LARGE (depth, bytes), BRG_NO_MEMORY (scratch for lists, big maps and refs).
 */
brg_status brg__flat_check(const unsigned char *block, size_t size_bytes, size_t object_count, brg_error *error);

#endif
