/* SPDX-License-Identifier: MIT */
/*
 * Reading in place. The block was built by the builder or passed brg__flat_check, so offsets and sizes in it hold
 * and only what the caller passes (indices, types, missing nodes) is checked here.
 */
#include <math.h>

#include "base/util.h"
#include "message/object.h"
#include "message/utf8.h"

brg_view brg_value_root(const brg_value *value)
{
    brg_view none = {NULL, 0, 0};
    if (value == NULL)
        return none;
    return (brg_view){value, brg__flat_u32(value->block, offsetof(brg__flat_header, root)), 1};
}

/* The node of a view; one of BRG_TYPE_NONE where there is none. */
static inline brg__node view_node(brg_view view)
{
    if (view.value == NULL)
        return (brg__node){0, 0, 0, 0};
    return brg__flat_node(view.value->block, view.offset);
}

static inline uint64_t view_payload(brg_view view)
{
    return brg__flat_u64(view.value->block, (size_t)view.offset + BRG__NODE_BYTES);
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
    static const char *const names[] = {"none",   "nil",   "bool", "int", "uint",  "double",
                                        "string", "bytes", "list", "map", "buffer"};
    return (size_t)type < brg__count_of(names) ? names[type] : "?";
}

brg_status brg_view_bool(brg_view view, bool *out)
{
    brg__node node = view_node(view);
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
    brg__node node = view_node(view);
    if (node.type != type)
        return NULL;
    if (size_bytes != NULL)
        *size_bytes = node.count;
    return view.value->block + view.offset + BRG__NODE_BYTES;
}

const char *brg_view_string(brg_view view, size_t *size_bytes)
{
    return view_content(view, BRG_TYPE_STRING, size_bytes);
}

const void *brg_view_bytes(brg_view view, size_t *size_bytes) { return view_content(view, BRG_TYPE_BYTES, size_bytes); }

brg_buffer *brg_view_buffer(brg_view view)
{
    brg__node node = view_node(view);
    return node.type == BRG_TYPE_BUFFER ? view.value->buffers[node.count] : NULL;
}

size_t brg_view_count(brg_view view)
{
    brg__node node = view_node(view);
    return brg__node_is_container(node) ? node.count : 0;
}

static inline brg_view view_child(brg_view parent, size_t child)
{
    return (brg_view){parent.value, brg__flat_child(parent.value->block, parent.offset, child), parent.depth + 1};
}

brg_view brg_view_at(brg_view view, size_t index)
{
    brg__node node = view_node(view);
    if (!brg__node_is_container(node) || index >= node.count)
        return (brg_view){NULL, 0, 0};
    return view_child(view, node.type == BRG_TYPE_MAP ? index * 2 + 1 : index);
}

const char *brg_view_key_at(brg_view view, size_t index, size_t *size_bytes)
{
    brg__node node = view_node(view);
    if (node.type != BRG_TYPE_MAP || index >= node.count)
        return NULL;
    return view_content(view_child(view, index * 2), BRG_TYPE_STRING, size_bytes);
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
    uint64_t word = view_key_word(key, key_bytes);
    for (size_t i = 0; i < count; i++) {
        const unsigned char *at = block + brg__flat_child(block, map.offset, i * 2);
        if (brg__flat_node(at, 0).count != key_bytes || brg__flat_u64(at, BRG__NODE_BYTES) != word)
            continue;
        if (key_bytes <= sizeof(word) ||
            memcmp(at + BRG__NODE_BYTES + sizeof(word), key + sizeof(word), key_bytes - sizeof(word)) == 0)
            return view_child(map, i * 2 + 1);
    }
    return (brg_view){NULL, 0, 0};
}

brg_view brg_view_get(brg_view view, const char *key)
{
    brg__node map = view_node(view);
    if (map.type != BRG_TYPE_MAP)
        return (brg_view){NULL, 0, 0};
    return view_find(view, map.count, key, strlen(key));
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
