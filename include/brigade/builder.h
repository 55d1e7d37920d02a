/* SPDX-License-Identifier: MIT */
/* Building values: node by node, or a flat map in one call. Part of <brigade/value.h>. */
#ifndef BRIGADE_BUILDER_H
#define BRIGADE_BUILDER_H

#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A builder appends nodes in document order into one growing block. Errors stick: after the first failure every
 * call does nothing and brg_builder_finish reports it, so a caller checks once. One thread at a time.
 *     brg_builder_map(b); brg_builder_key(b, "width"); brg_builder_int(b, 800); brg_builder_end(b);
 */
BRG_API brg_status brg_builder_create(brg_builder **out, brg_error *error);
BRG_API void brg_builder_destroy(brg_builder *builder);

BRG_API void brg_builder_nil(brg_builder *builder);
BRG_API void brg_builder_bool(brg_builder *builder, bool value);
BRG_API void brg_builder_int(brg_builder *builder, int64_t value);
BRG_API void brg_builder_uint(brg_builder *builder, uint64_t value);
BRG_API void brg_builder_double(brg_builder *builder, double value);
/* Nanoseconds since 1970-01-01T00:00:00Z. */
BRG_API void brg_builder_timestamp(brg_builder *builder, int64_t ns);
/* A sign and `size_bytes` bytes of magnitude, least significant first; leading zeros are dropped, and the sign of 0. */
BRG_API void brg_builder_bigint(brg_builder *builder, bool negative, const void *magnitude, size_t size_bytes);
/* A zero-terminated UTF-8 string; with _n, `size_bytes` bytes, zero bytes allowed. Copied. */
BRG_API void brg_builder_string(brg_builder *builder, const char *string);
BRG_API void brg_builder_string_n(brg_builder *builder, const char *string, size_t size_bytes);
BRG_API void brg_builder_bytes(brg_builder *builder, const void *bytes, size_t size_bytes);
/* Moves *buffer in and sets it to NULL; on a stuck error *buffer stays the caller's. */
BRG_API void brg_builder_buffer(brg_builder *builder, brg_buffer **buffer);
/* A typed array of `count` elements, copied into the value. BRG_INVALID sticks for an unknown element. */
BRG_API void brg_builder_array(brg_builder *builder, brg_element element, const void *elements, size_t count);
/*
 * A typed array over bytes of a buffer, from byte `offset` on: moves *buffer in as brg_builder_buffer does. To put
 * several over one buffer, give a reference (brg_buffer_ref) for each: the value holds it once. BRG_RANGE sticks where
 * it is not all inside, BRG_INVALID where its place in memory does not suit the elements.
 */
BRG_API void brg_builder_array_buffer(brg_builder *builder, brg_element element, brg_buffer **buffer, size_t offset,
                                      size_t count);
/*
 * Copies a node of another value, its subtree with it, shared and cyclic references too; buffers, shared memory and
 * tokens are shared. BRG_INVALID sticks for a port or descriptor in it: they move.
 */
BRG_API void brg_builder_view(brg_builder *builder, brg_view view);
/*
 * Opens a list, map or set; brg_builder_end closes the innermost one. In a map each value follows its key. In a set
 * each element may be there once, as brg_view_equal sees it, but handles by identity.
 */
BRG_API void brg_builder_list(brg_builder *builder);
BRG_API void brg_builder_map(brg_builder *builder);
BRG_API void brg_builder_set(brg_builder *builder);
BRG_API void brg_builder_key(brg_builder *builder, const char *key);
BRG_API void brg_builder_key_n(brg_builder *builder, const char *key, size_t size_bytes);
BRG_API void brg_builder_end(brg_builder *builder);

/*
 * An error value. With _open, up to two nodes follow, its detail and its cause, then brg_builder_end:
 *     brg_builder_error_open(b, &error); brg_builder_string(b, path); brg_builder_error(b, &cause); brg_builder_end(b);
 */
BRG_API void brg_builder_error(brg_builder *builder, const brg_error *error);
BRG_API void brg_builder_error_open(brg_builder *builder, const brg_error *error);

/*
 * References. brg_builder_mark names the node just finished, or the container just opened; brg_builder_ref puts that
 * same node in another place: later, or inside itself. A list that is its own second element:
 *     brg_builder_list(b); brg_mark list = brg_builder_mark(b);
 *     brg_builder_int(b, 1); brg_builder_ref(b, list); brg_builder_end(b);
 * Marks are good until brg_builder_finish; BRG_INVALID sticks for others.
 */
typedef struct brg_mark {
    uint32_t number;
    uint32_t generation;
} brg_mark;

BRG_API brg_mark brg_builder_mark(brg_builder *builder);
BRG_API void brg_builder_ref(brg_builder *builder, brg_mark mark);

/*
 * Hands out the finished value (one reference) and empties the builder for the next one. Errors: the first
 * stuck one; BRG_STATE when nothing or more than one root was built, a list or map is open, a key has no value;
 * BRG_INVALID for a key or element of a set that is there twice, or text that is not UTF-8; BRG_TOO_LARGE past a limit;
 * BRG_NO_MEMORY. After an error the builder is empty and usable.
 */
BRG_API brg_status brg_builder_finish(brg_builder *builder, brg_value **out, brg_error *error);

/*
 * A flat map in one call:
 *     brg_value_map(&value, &error, brg_field_string("path", path), brg_field_int("width", 800));
 */
typedef struct brg_field {
    const char *key;
    brg_type type;
    union {
        bool boolean;
        int64_t integer;
        double number;
        const char *string;
        brg_view view;
    } as;
} brg_field;

static inline brg_field brg_field_bool(const char *key, bool value)
{
    brg_field field;
    field.key = key;
    field.type = BRG_TYPE_BOOL;
    field.as.boolean = value;
    return field;
}

static inline brg_field brg_field_int(const char *key, int64_t value)
{
    brg_field field;
    field.key = key;
    field.type = BRG_TYPE_INT;
    field.as.integer = value;
    return field;
}

static inline brg_field brg_field_double(const char *key, double value)
{
    brg_field field;
    field.key = key;
    field.type = BRG_TYPE_DOUBLE;
    field.as.number = value;
    return field;
}

/* A NULL string becomes nil. */
static inline brg_field brg_field_string(const char *key, const char *value)
{
    brg_field field;
    field.key = key;
    field.type = BRG_TYPE_STRING;
    field.as.string = value;
    return field;
}

/* A subtree, copied. */
static inline brg_field brg_field_view(const char *key, brg_view value)
{
    brg_field field;
    field.key = key;
    field.type = BRG_TYPE_NONE;
    field.as.view = value;
    return field;
}

BRG_API brg_status brg_value_from_fields(brg_value **out, const brg_field *fields, size_t field_count,
                                         brg_error *error);

#define brg_value_map(out, error, ...)                                                                                 \
    brg_value_from_fields((out), (const brg_field[]){__VA_ARGS__},                                                     \
                          sizeof((const brg_field[]){__VA_ARGS__}) / sizeof(brg_field), (error))

#ifdef __cplusplus
}
#endif

#endif
