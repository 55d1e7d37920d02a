/* SPDX-License-Identifier: MIT */
/*
 * Values: the messages workers exchange. A value is a graph of nil, bool, int, uint, double, string, bytes, timestamp,
 * big integer, typed array, list, map, set, error and handles (buffers, ports, descriptors, shared memory, tokens),
 * stored flat in one block: built in place, read in place, cloned by memcpy. Mostly it is a tree; a node may also be in
 * several places, and inside itself (brg_builder_ref). It is immutable once built, and counted: brg_value_ref shares
 * it, brg_value_unref lets go.
 *
 * Reading goes through brg_view, a small struct passed by value that points at one node. Every read is
 * bounds-checked: hostile bytes give BRG_MALFORMED or a nil view, never a crash. Who follows a value of unknown origin
 * by recursion must reckon with cycles: brg_value_has_refs tells where there can be none.
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
    BRG_TYPE_MAP,       /* keys are strings, each once, in the order they were built */
    BRG_TYPE_BUFFER,    /* a brg_buffer that travels with the value */
    BRG_TYPE_TIMESTAMP, /* nanoseconds since 1970-01-01T00:00:00Z, signed, 64 bits */
    BRG_TYPE_BIGINT,    /* sign and magnitude, any length */
    BRG_TYPE_ARRAY,     /* a typed array: a view of numbers over a buffer, or over bytes in the value */
    BRG_TYPE_SET,       /* elements, each once, in the order they were built */
    BRG_TYPE_ERROR,     /* code, domain, message, detail, cause */
    BRG_TYPE_PORT,      /* a port that moves with the value: brigade/port.h */
    BRG_TYPE_FD,        /* a file descriptor that moves with the value */
    BRG_TYPE_SHARED,    /* shared memory: brigade/shared.h */
    BRG_TYPE_TOKEN      /* a cancel token: brigade/token.h */
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

/* Nanoseconds since 1970-01-01T00:00:00Z. BRG_WRONG_TYPE for other types; *out is untouched then. Any thread. */
BRG_API brg_status brg_view_timestamp(brg_view view, int64_t *ns);

/*
 * A big integer: `size_bytes` bytes of magnitude, least significant first, without leading zeros (none for 0),
 * borrowed; *negative is its sign. NULL for other types. Both out arguments may be NULL. Any thread.
 */
BRG_API const void *brg_view_bigint(brg_view view, bool *negative, size_t *size_bytes);

/* What typed arrays are made of. Multi-byte elements are little-endian. */
typedef enum brg_element {
    BRG_ELEMENT_I8 = 1,
    BRG_ELEMENT_U8,
    BRG_ELEMENT_I16,
    BRG_ELEMENT_U16,
    BRG_ELEMENT_I32,
    BRG_ELEMENT_U32,
    BRG_ELEMENT_I64,
    BRG_ELEMENT_U64,
    BRG_ELEMENT_F32,
    BRG_ELEMENT_F64
} brg_element;

/* The name of an element as "f64", or "?"; its bytes, or 0. Any thread. */
BRG_API const char *brg_element_name(brg_element element);
BRG_API size_t brg_element_bytes(brg_element element);

typedef struct brg_array {
    brg_element element;
    size_t count;       /* of elements */
    const void *data;   /* aligned for them; borrowed from the value or its buffer */
    brg_buffer *buffer; /* that it is a view of, borrowed, and may share; NULL where the elements are in the value */
    size_t offset;      /* in bytes in that buffer */
} brg_array;

/* A typed array. BRG_WRONG_TYPE for other types; *out is untouched then. Any thread. */
BRG_API brg_status brg_view_array(brg_view view, brg_array *out);

/*
 * An error value: *out as it was put in (longer texts of foreign make are cut). Its detail, and the error that caused
 * it, are nodes: nil where there is none. BRG_WRONG_TYPE and BRG_TYPE_NONE for other types. Any thread.
 */
BRG_API brg_status brg_view_error(brg_view view, brg_error *out);
BRG_API brg_view brg_view_error_detail(brg_view view);
BRG_API brg_view brg_view_error_cause(brg_view view);

/* The buffer of a buffer node, borrowed; NULL for other types. brg_buffer_ref keeps it beyond the value. */
BRG_API brg_buffer *brg_view_buffer(brg_view view);

/* How many elements a list or set or entries a map has; 0 for others. O(1). */
BRG_API size_t brg_view_count(brg_view view);

/* Element `index` of a list or set, or value of entry `index` of a map: O(1). Outside: BRG_TYPE_NONE. */
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

/*
 * Whether two views are of one node: the same place, reached by whatever way, or nodes of one value with the same
 * handle. Equal nodes need not be the same. O(1). Any thread.
 */
BRG_API bool brg_view_same(brg_view a, brg_view b);

/*
 * Same type and content throughout; map entries and set elements in any order; doubles bit for bit; buffers and arrays
 * by content, other handles by identity; a node that is shared is as good as a copy. Cycles are equal if no walk along
 * both could tell them apart; in sets with elements that differ only along cycles that is decided by their order. Also
 * false when memory runs out in a value with sets or references. Any thread.
 */
BRG_API bool brg_view_equal(brg_view a, brg_view b);

/* ---- the whole value ----------------------------------------------------------------------------------- */

/* Another owner of the same value; the last unref frees it and its buffers. unref accepts NULL. Any thread. */
BRG_API brg_value *brg_value_ref(const brg_value *value);
BRG_API void brg_value_unref(brg_value *value);

/* Whether some node is in several places, or inside itself: without, a value is a tree. O(1). Any thread. */
BRG_API bool brg_value_has_refs(const brg_value *value);

/* Bytes of the flat block, and of that plus its buffers. Any thread. */
BRG_API size_t brg_value_size(const brg_value *value);
BRG_API size_t brg_value_size_with_buffers(const brg_value *value);

/* The flat block, borrowed: what brg_value_from_bytes takes. Buffers are not part of it. Any thread. */
BRG_API const void *brg_value_data(const brg_value *value);

/*
 * A value from `size_bytes` bytes of any origin; copied, then checked whole (bounds, types, depth, UTF-8, each key
 * once), so that every later read succeeds. `buffers` gives the buffers of its nodes, in the order of their first
 * appearance (each is referenced); count 0 where it has none. Errors: BRG_MALFORMED naming the offset, or where it is
 * made for another number of buffers, or for other handles; BRG_INVALID for a NULL buffer; BRG_TOO_LARGE;
 * BRG_NO_MEMORY.
 */
BRG_API brg_status brg_value_from_bytes(brg_value **out, const void *bytes, size_t size_bytes,
                                        brg_buffer *const *buffers, size_t buffer_count, brg_error *error);

/* A value of one node, without a builder. Errors: BRG_NO_MEMORY; BRG_INVALID for text that is not UTF-8;
 * BRG_TOO_LARGE. */
BRG_API brg_status brg_value_nil(brg_value **out, brg_error *error);
BRG_API brg_status brg_value_bool(brg_value **out, bool value, brg_error *error);
BRG_API brg_status brg_value_int(brg_value **out, int64_t value, brg_error *error);
BRG_API brg_status brg_value_double(brg_value **out, double value, brg_error *error);
BRG_API brg_status brg_value_string(brg_value **out, const char *string, brg_error *error);
BRG_API brg_status brg_value_bytes(brg_value **out, const void *bytes, size_t size_bytes, brg_error *error);

#ifdef __cplusplus
}
#endif

#include <brigade/builder.h> /* IWYU pragma: export */
#include <brigade/inline.h>  /* IWYU pragma: export */
#include <brigade/json.h>    /* IWYU pragma: export */

#endif
