/* SPDX-License-Identifier: MIT */
/*
 * Values: the messages workers exchange. A value is a tree of nil, bool, int, uint, double, string, bytes,
 * list, map and buffer, stored flat in one block: built in place, read in place, cloned by memcpy. It is
 * immutable once built, and counted: brg_value_ref shares it, brg_value_unref lets go.
 *
 * Reading goes through brg_view, a small struct passed by value that points at one node. Every read is
 * bounds-checked: hostile bytes give BRG_MALFORMED or a nil view, never a crash.
 */
#ifndef BRIGADE_VALUE_H
#define BRIGADE_VALUE_H

#include <brigade/buffer.h>
#include <brigade/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brg_value brg_value;
typedef struct brg_builder brg_builder;

typedef enum brg_type {
    BRG_TYPE_NONE = 0, /* no node: a missing key, an index past the end */
    BRG_TYPE_NIL,
    BRG_TYPE_BOOL,
    BRG_TYPE_INT,    /* signed, 64 bits */
    BRG_TYPE_UINT,   /* unsigned, 64 bits; the builder stores those up to INT64_MAX as BRG_TYPE_INT */
    BRG_TYPE_DOUBLE, /* IEEE 754 binary64, bit for bit: -0, NaN payloads and infinities kept */
    BRG_TYPE_STRING, /* UTF-8, checked when built and when received; zero-terminated in place */
    BRG_TYPE_BYTES,
    BRG_TYPE_LIST,
    BRG_TYPE_MAP,   /* keys are strings, each once, in the order they were built */
    BRG_TYPE_BUFFER /* a brg_buffer that travels with the value */
} brg_type;

/* Limits of every value: nesting depth, and bytes of its flat block (buffers not counted). */
#define BRG_VALUE_DEPTH_MAX 128
#define BRG_VALUE_BYTES_MAX ((size_t)1 << 31)

/* ---- reading ------------------------------------------------------------------------------------------- */

/* One node of a value; borrowed from it. A zeroed view is BRG_TYPE_NONE. Fields are private. */
typedef struct brg_view {
    const brg_value *value;
    uint32_t offset;
    uint32_t depth;
} brg_view;

/* The root node. Any thread. */
BRG_API brg_view brg_value_root(const brg_value *value);

BRG_API brg_type brg_view_type(brg_view view);

/* The name of a type, as "string". Static. Any thread. */
BRG_API const char *brg_type_name(brg_type type);

/*
 * Scalars. Each stores into *out and returns BRG_OK, or leaves *out and returns BRG_WRONG_TYPE or, where the
 * number does not fit, BRG_RANGE. Ints, uints and whole doubles convert into each other where the number is exact;
 * brg_view_double takes every number. Any thread.
 */
BRG_API brg_status brg_view_bool(brg_view view, bool *out);
BRG_API brg_status brg_view_int(brg_view view, int64_t *out);
BRG_API brg_status brg_view_uint(brg_view view, uint64_t *out);
BRG_API brg_status brg_view_double(brg_view view, double *out);

/* Bytes of a string (zero-terminated), or of bytes, borrowed; NULL for other types. `size_bytes` may be NULL. */
BRG_API const char *brg_view_string(brg_view view, size_t *size_bytes);
BRG_API const void *brg_view_bytes(brg_view view, size_t *size_bytes);

/* The buffer of a buffer node, borrowed; NULL for other types. brg_buffer_ref keeps it beyond the value. */
BRG_API brg_buffer *brg_view_buffer(brg_view view);

/* How many elements a list or entries a map has; 0 for others. O(1). */
BRG_API size_t brg_view_count(brg_view view);

/* Element `index` of a list, or value of entry `index` of a map: O(1). Outside: BRG_TYPE_NONE. */
BRG_API brg_view brg_view_at(brg_view view, size_t index);

/* Key of entry `index` of a map, borrowed; NULL outside. `size_bytes` may be NULL. O(1). */
BRG_API const char *brg_view_key_at(brg_view view, size_t index, size_t *size_bytes);

/* Value under `key` of a map; BRG_TYPE_NONE where it is missing or `view` is no map. O(entries). */
BRG_API brg_view brg_view_get(brg_view view, const char *key);

/* Shorthands for a map's scalars with a default for a missing key; a key of another type gives the default too. */
BRG_API int64_t brg_view_get_int(brg_view view, const char *key, int64_t otherwise);
BRG_API double brg_view_get_double(brg_view view, const char *key, double otherwise);
BRG_API bool brg_view_get_bool(brg_view view, const char *key, bool otherwise);
BRG_API const char *brg_view_get_string(brg_view view, const char *key, const char *otherwise);

/* Same type and content throughout; map entries in any order; doubles bit for bit; buffers by content. */
BRG_API bool brg_view_equal(brg_view a, brg_view b);

/* ---- building ------------------------------------------------------------------------------------------ */

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
/* A zero-terminated UTF-8 string; with _n, `size_bytes` bytes, zero bytes allowed. Copied. */
BRG_API void brg_builder_string(brg_builder *builder, const char *string);
BRG_API void brg_builder_string_n(brg_builder *builder, const char *string, size_t size_bytes);
BRG_API void brg_builder_bytes(brg_builder *builder, const void *bytes, size_t size_bytes);
/* Moves *buffer in and sets it to NULL; on a stuck error *buffer stays the caller's. */
BRG_API void brg_builder_buffer(brg_builder *builder, brg_buffer **buffer);
/* Copies a node of another value, its subtree with it; buffers are shared. */
BRG_API void brg_builder_view(brg_builder *builder, brg_view view);
/* Opens a list or map; brg_builder_end closes the innermost one. In a map each value follows its key. */
BRG_API void brg_builder_list(brg_builder *builder);
BRG_API void brg_builder_map(brg_builder *builder);
BRG_API void brg_builder_key(brg_builder *builder, const char *key);
BRG_API void brg_builder_key_n(brg_builder *builder, const char *key, size_t size_bytes);
BRG_API void brg_builder_end(brg_builder *builder);

/*
 * Hands out the finished value (one reference) and empties the builder for the next one. Errors: the first
 * stuck one; BRG_STATE when nothing or more than one root was built, a list or map is open, a key has no value;
 * BRG_INVALID for a duplicate key or text that is not UTF-8; BRG_TOO_LARGE past a limit; BRG_NO_MEMORY.
 * After an error the builder is empty and usable.
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

/* ---- the whole value ----------------------------------------------------------------------------------- */

/* Another owner of the same value; the last unref frees it and its buffers. unref accepts NULL. Any thread. */
BRG_API brg_value *brg_value_ref(const brg_value *value);
BRG_API void brg_value_unref(brg_value *value);

/* Bytes of the flat block, and of that plus its buffers. Any thread. */
BRG_API size_t brg_value_size(const brg_value *value);
BRG_API size_t brg_value_size_with_buffers(const brg_value *value);

/* The flat block, borrowed: what brg_value_from_bytes takes. Buffers are not part of it. Any thread. */
BRG_API const void *brg_value_data(const brg_value *value);

/*
 * A value from `size_bytes` bytes of any origin; copied, then checked whole (bounds, types, depth, UTF-8, each key
 * once), so that every later read succeeds. `buffers` gives the buffers of its buffer nodes, in document order (each
 * is referenced); count 0 where it has none. Errors: BRG_MALFORMED naming the offset, or where nodes and buffers
 * differ in number; BRG_INVALID for a NULL buffer; BRG_TOO_LARGE; BRG_NO_MEMORY.
 */
BRG_API brg_status brg_value_from_bytes(brg_value **out, const void *bytes, size_t size_bytes,
                                        brg_buffer *const *buffers, size_t buffer_count, brg_error *error);

/*
 * From JSON text (RFC 8259, UTF-8). Numbers without point or exponent become ints or uints where they fit, exactly;
 * others become the nearest double. Errors: BRG_MALFORMED with line and column, also for a key twice in an object,
 * a key with a zero character in it, and a number past the doubles; BRG_TOO_LARGE for nesting past
 * BRG_VALUE_DEPTH_MAX; BRG_NO_MEMORY. While it runs it also takes memory from malloc directly.
 */
BRG_API brg_status brg_value_from_json(brg_value **out, const char *text, size_t size_bytes, brg_error *error);

typedef enum brg_json_flags {
    BRG_JSON_COMPACT = 0,
    BRG_JSON_INDENT = 1 /* two spaces a level */
} brg_json_flags;

/*
 * To JSON text, zero-terminated; free with brg_free. `size_bytes` may be NULL. Bytes and buffers become
 * {"$bytes": base64}, doubles the shortest text of 15 to 17 digits that reads back the same. Errors: BRG_UNSUPPORTED
 * for NaN and infinities, which JSON lacks; BRG_NO_MEMORY.
 */
BRG_API brg_status brg_value_to_json(const brg_value *value, brg_json_flags flags, char **text, size_t *size_bytes,
                                     brg_error *error);

#ifdef __cplusplus
}
#endif

#endif
