/* SPDX-License-Identifier: MIT */
/*
 * Reading in place. The block was built by the builder or passed brg__flat_check, so offsets and sizes in it hold
 * and only what the caller passes (indices, types, missing nodes) is checked here. Views never point at a ref: where
 * one is handed out it is resolved.
 */
#define BRG_NO_INLINE /* here are the functions that brigade/inline.h has short ways of */

#include <math.h>

#include "base/util.h"
#include "message/graph.h"
#include "message/utf8.h"

brg_view brg_value_root(const brg_value *value)
{
    brg_view none = {NULL, 0, 0};
    if (value == NULL)
        return none;
    return (brg_view){value, brg__flat_u32(value->block, offsetof(brg__flat_header, root)), 1};
}

/* The node of a view; one of BRG_TYPE_NONE where there is none. */
static inline brg__head view_node(brg_view view)
{
    if (view.value == NULL)
        return (brg__head){0, 0, 0, 0};
    return brg__flat_head(view.value->block, view.offset);
}

static inline uint64_t view_payload(brg_view view)
{
    return brg__flat_u64(view.value->block, (size_t)view.offset + BRG__HEAD_BYTES);
}

static inline double view_payload_double(brg_view view)
{
    uint64_t bits = view_payload(view);
    double number;
    memcpy(&number, &bits, sizeof(number));
    return number;
}

brg_type brg_view_type(brg_view view) { return (brg_type)view_node(view).type; }

const char *brg_type_name(brg_type type)
{
    static const char *const names[] = {"none",  "nil",   "bool", "int",    "uint",      "double", "string",
                                        "bytes", "list",  "map",  "buffer", "timestamp", "bigint", "array",
                                        "set",   "error", "port", "fd",     "shared",    "token"};
    return (size_t)type < brg__count_of(names) ? names[type] : "?";
}

brg_status brg_view_bool(brg_view view, bool *out)
{
    brg__head node = view_node(view);
    if (node.type != BRG_TYPE_BOOL)
        return BRG_WRONG_TYPE;
    *out = node.extra != 0;
    return BRG_OK;
}

/* Whole doubles from `low` up to but without `high`, both exact as doubles. NaN fails every comparison. */
static bool view_double_is_whole(double number, double low, double high)
{
    return number >= low && number < high && (fabs(number) >= 0x1p53 || number == (double)(int64_t)number);
}

brg_status brg_view_int(brg_view view, int64_t *out)
{
    double number;
    switch (view_node(view).type) {
    case BRG_TYPE_INT:
        *out = (int64_t)view_payload(view);
        return BRG_OK;
    case BRG_TYPE_UINT: /* above INT64_MAX, or it were an int */
        return BRG_RANGE;
    case BRG_TYPE_DOUBLE:
        number = view_payload_double(view);
        if (!view_double_is_whole(number, -0x1p63, 0x1p63))
            return BRG_RANGE;
        *out = (int64_t)number;
        return BRG_OK;
    default:
        return BRG_WRONG_TYPE;
    }
}

brg_status brg_view_uint(brg_view view, uint64_t *out)
{
    double number;
    switch (view_node(view).type) {
    case BRG_TYPE_INT:
        if ((int64_t)view_payload(view) < 0)
            return BRG_RANGE;
        /* fallthrough */
    case BRG_TYPE_UINT:
        *out = view_payload(view);
        return BRG_OK;
    case BRG_TYPE_DOUBLE:
        number = view_payload_double(view);
        if (!view_double_is_whole(number, 0, 0x1p64))
            return BRG_RANGE;
        *out = (uint64_t)number;
        return BRG_OK;
    default:
        return BRG_WRONG_TYPE;
    }
}

brg_status brg_view_double(brg_view view, double *out)
{
    switch (view_node(view).type) {
    case BRG_TYPE_INT:
        *out = (double)(int64_t)view_payload(view);
        return BRG_OK;
    case BRG_TYPE_UINT:
        *out = (double)view_payload(view);
        return BRG_OK;
    case BRG_TYPE_DOUBLE:
        *out = view_payload_double(view);
        return BRG_OK;
    default:
        return BRG_WRONG_TYPE;
    }
}

static inline const void *view_content(brg_view view, brg_type type, size_t *size_bytes)
{
    brg__head node = view_node(view);
    if (node.type != type)
        return NULL;
    if (size_bytes != NULL)
        *size_bytes = node.count;
    return view.value->block + view.offset + BRG__HEAD_BYTES;
}

const char *brg_view_string(brg_view view, size_t *size_bytes)
{
    return view_content(view, BRG_TYPE_STRING, size_bytes);
}

const void *brg_view_bytes(brg_view view, size_t *size_bytes) { return view_content(view, BRG_TYPE_BYTES, size_bytes); }

brg_status brg_view_timestamp(brg_view view, int64_t *ns)
{
    if (view_node(view).type != BRG_TYPE_TIMESTAMP)
        return BRG_WRONG_TYPE;
    *ns = (int64_t)view_payload(view);
    return BRG_OK;
}

const void *brg_view_bigint(brg_view view, bool *negative, size_t *size_bytes)
{
    const void *magnitude = view_content(view, BRG_TYPE_BIGINT, size_bytes);
    if (magnitude != NULL && negative != NULL)
        *negative = view_node(view).extra != 0;
    return magnitude;
}

static brg__graph view_graph(brg_view view)
{
    return (brg__graph){view.value->block, view.value->objects, view.value->object_count};
}

brg_status brg_view_array(brg_view view, brg_array *out)
{
    if (view.value == NULL)
        return BRG_WRONG_TYPE;
    brg__graph graph = view_graph(view);
    return brg__graph_array(&graph, view.offset, out) ? BRG_OK : BRG_WRONG_TYPE;
}

brg__object *brg__view_object(brg_view view, brg_type type)
{
    brg__head node = view_node(view);
    if (node.type != type)
        return NULL;
    brg__graph graph = view_graph(view);
    return (brg__object *)brg__graph_object(&graph, node);
}

brg_buffer *brg_view_buffer(brg_view view)
{
    const brg__object *object = brg__view_object(view, BRG_TYPE_BUFFER);
    return object != NULL ? object->xpointer : NULL;
}

size_t brg_view_count(brg_view view)
{
    brg__head node = view_node(view);
    return node.type == BRG_TYPE_LIST || node.type == BRG_TYPE_MAP || node.type == BRG_TYPE_SET ? node.count : 0;
}

static inline brg_view view_node_at(brg_view parent, uint32_t offset)
{
    return (brg_view){parent.value, brg__flat_resolve(parent.value->block, offset), parent.depth + 1};
}

brg_view brg__view_child(brg_view view, size_t index)
{
    brg__head node = view_node(view);
    return view_node_at(
        view, brg__flat_u32(view.value->block, view.offset + brg__head_table(node) + index * sizeof(uint32_t)));
}

brg_view brg_view_at(brg_view view, size_t index)
{
    brg__head node = view_node(view);
    if (view.value == NULL || !brg__head_is_container(node) || node.type == BRG_TYPE_ERROR || index >= node.count)
        return (brg_view){NULL, 0, 0};
    return brg__view_child(view, index);
}

const char *brg_view_key_at(brg_view view, size_t index, size_t *size_bytes)
{
    brg__head node = view_node(view);
    if (node.type != BRG_TYPE_MAP || index >= node.count)
        return NULL;
    const unsigned char *key = view.value->block + brg__flat_key(view.value->block, view.offset, index);
    if (size_bytes != NULL)
        *size_bytes = brg__flat_head(key, 0).count;
    return (const char *)key + BRG__HEAD_BYTES;
}

/* A key node's first word after its head, as it must be for this key: nodes are zero-padded. */
static inline uint64_t view_key_word(const char *key, size_t key_bytes)
{
    uint64_t word;
    if (key_bytes < sizeof(word))
        return brg__utf8_short(key, key_bytes);
    memcpy(&word, key, sizeof(word));
    return word;
}

static brg_view view_find(brg_view map, size_t count, const char *key, size_t key_bytes)
{
    const unsigned char *block = map.value->block;
    uint64_t head = BRG__TAG_KEY | (uint64_t)key_bytes << 32, word = view_key_word(key, key_bytes);
    size_t keys = brg__flat_u32(block, map.offset + BRG__HEAD_BYTES) + BRG__HEAD_BYTES;
    for (size_t i = 0; i < count; i++) {
        const unsigned char *at = block + brg__flat_u32(block, keys + i * sizeof(uint32_t));
        if (brg__flat_u64(at, 0) != head || brg__flat_u64(at, BRG__HEAD_BYTES) != word)
            continue;
        if (key_bytes <= sizeof(word) ||
            memcmp(at + BRG__HEAD_BYTES + sizeof(word), key + sizeof(word), key_bytes - sizeof(word)) == 0)
            return brg__view_child(map, i);
    }
    return (brg_view){NULL, 0, 0};
}

brg_view brg_view_get(brg_view view, const char *key)
{
    brg__head map = view_node(view);
    if (map.type != BRG_TYPE_MAP)
        return (brg_view){NULL, 0, 0};
    return view_find(view, map.count, key, strlen(key));
}

bool brg_view_same(brg_view a, brg_view b)
{
    if (a.value == NULL || a.value != b.value)
        return false;
    if (a.offset == b.offset)
        return true;
    brg__head one = view_node(a), other = view_node(b);
    return one.type == other.type && one.type != BRG_TYPE_ARRAY && brg__head_is_object(one) && one.count == other.count;
}

int64_t brg_view_get_int(brg_view view, const char *key, int64_t otherwise)
{
    brg_view_int(brg_view_get(view, key), &otherwise);
    return otherwise;
}

double brg_view_get_double(brg_view view, const char *key, double otherwise)
{
    brg_view_double(brg_view_get(view, key), &otherwise);
    return otherwise;
}

bool brg_view_get_bool(brg_view view, const char *key, bool otherwise)
{
    brg_view_bool(brg_view_get(view, key), &otherwise);
    return otherwise;
}

const char *brg_view_get_string(brg_view view, const char *key, const char *otherwise)
{
    const char *string = brg_view_string(brg_view_get(view, key), NULL);
    return string != NULL ? string : otherwise;
}
