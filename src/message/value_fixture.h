/* SPDX-License-Identifier: MIT */
/* For tests and fuzz targets: values of every kind, a walk that reads all there is, a rebuild through the builder. */
#ifndef BRG_MESSAGE_VALUE_FIXTURE_H
#define BRG_MESSAGE_VALUE_FIXTURE_H

#include <brigade/value.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

static inline void fixture_require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "value: %s\n", what);
    abort();
}

static inline uint64_t fixture_random(uint64_t *state) { return brg__random_next(state); }

static inline uint64_t fixture_mix(uint64_t sum, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ at[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return sum;
}

/*
 * Copies `view` node by node through the public reader and builder, so that every byte of it is read once. Aborts
 * where the reader contradicts itself. Returns a checksum of all bytes read.
 */
static inline uint64_t fixture_copy(brg_builder *builder, brg_view view, uint64_t sum)
{
    brg_type type = brg_view_type(view);
    size_t size = 0, count = brg_view_count(view);
    bool boolean = false;
    int64_t integer = 0;
    uint64_t natural = 0;
    double number = 0;
    const void *bytes;
    sum = fixture_mix(sum, &type, sizeof(type));
    switch (type) {
    case BRG_TYPE_NONE:
        fixture_require(false, "a node is missing");
        break;
    case BRG_TYPE_NIL:
        brg_builder_nil(builder);
        break;
    case BRG_TYPE_BOOL:
        fixture_require(brg_view_bool(view, &boolean) == BRG_OK, "a bool that is none");
        brg_builder_bool(builder, boolean);
        break;
    case BRG_TYPE_INT:
        fixture_require(brg_view_int(view, &integer) == BRG_OK, "an int that is none");
        brg_builder_int(builder, integer);
        break;
    case BRG_TYPE_UINT:
        fixture_require(brg_view_uint(view, &natural) == BRG_OK, "a uint that is none");
        brg_builder_uint(builder, natural);
        break;
    case BRG_TYPE_DOUBLE:
        fixture_require(brg_view_double(view, &number) == BRG_OK, "a double that is none");
        brg_builder_double(builder, number);
        break;
    case BRG_TYPE_STRING:
        bytes = brg_view_string(view, &size);
        fixture_require(bytes != NULL && ((const char *)bytes)[size] == '\0', "a string without its end");
        sum = fixture_mix(sum, bytes, size);
        brg_builder_string_n(builder, bytes, size);
        break;
    case BRG_TYPE_BYTES:
        bytes = brg_view_bytes(view, &size);
        fixture_require(bytes != NULL, "bytes that are none");
        sum = fixture_mix(sum, bytes, size);
        brg_builder_bytes(builder, bytes, size);
        break;
    case BRG_TYPE_BUFFER: {
        brg_buffer *buffer = brg_view_buffer(view);
        fixture_require(buffer != NULL, "a buffer that is none");
        sum = fixture_mix(sum, brg_buffer_bytes(buffer), brg_buffer_size(buffer));
        brg_buffer_ref(buffer);
        brg_builder_buffer(builder, &buffer);
        brg_buffer_unref(buffer); /* NULL unless the builder had failed */
        break;
    }
    case BRG_TYPE_LIST:
        brg_builder_list(builder);
        for (size_t i = 0; i < count; i++)
            sum = fixture_copy(builder, brg_view_at(view, i), sum);
        brg_builder_end(builder);
        break;
    case BRG_TYPE_MAP:
        brg_builder_map(builder);
        for (size_t i = 0; i < count; i++) {
            const char *key = brg_view_key_at(view, i, &size);
            fixture_require(key != NULL && key[size] == '\0', "a key without its end");
            sum = fixture_mix(sum, key, size);
            if (count <= 64 && strlen(key) == size)
                fixture_require(brg_view_get(view, key).offset == brg_view_at(view, i).offset, "a key not found");
            brg_builder_key_n(builder, key, size);
            sum = fixture_copy(builder, brg_view_at(view, i), sum);
        }
        brg_builder_end(builder);
        break;
    case BRG_TYPE_SET:
        brg_builder_set(builder);
        for (size_t i = 0; i < count; i++)
            sum = fixture_copy(builder, brg_view_at(view, i), sum);
        brg_builder_end(builder);
        break;
    case BRG_TYPE_TIMESTAMP:
        fixture_require(brg_view_timestamp(view, &integer) == BRG_OK, "a timestamp that is none");
        brg_builder_timestamp(builder, integer);
        break;
    case BRG_TYPE_BIGINT:
        bytes = brg_view_bigint(view, &boolean, &size);
        fixture_require(bytes != NULL, "a big integer that is none");
        sum = fixture_mix(sum, bytes, size);
        brg_builder_bigint(builder, boolean, bytes, size);
        break;
    case BRG_TYPE_ARRAY: {
        brg_array array;
        fixture_require(brg_view_array(view, &array) == BRG_OK, "an array that is none");
        sum = fixture_mix(sum, array.data, array.count * brg_element_bytes(array.element));
        if (array.buffer == NULL) {
            brg_builder_array(builder, array.element, array.data, array.count);
            break;
        }
        brg_buffer *shared = brg_buffer_ref(array.buffer);
        brg_builder_array_buffer(builder, array.element, &shared, array.offset, array.count);
        brg_buffer_unref(shared);
        break;
    }
    case BRG_TYPE_ERROR: {
        brg_error error;
        fixture_require(brg_view_error(view, &error) == BRG_OK, "an error that is none");
        brg_builder_error_open(builder, &error);
        sum = fixture_copy(builder, brg_view_error_detail(view), sum);
        sum = fixture_copy(builder, brg_view_error_cause(view), sum);
        brg_builder_end(builder);
        break;
    }
    default: /* ports and descriptors move, the rest is not made here */
        fixture_require(false, "a type that no test copies");
        break;
    }
    return sum;
}

/* Text and JSON, a copy by brg_builder_view, equality: of any value, refs or not. */
static inline void fixture_check_text(const brg_value *value)
{
    char *text = NULL;
    brg_value *copy = NULL;
    brg_builder *builder = NULL;
    brg_error error;
    fixture_require(brg_value_to_text(value, &text, NULL, &error) == BRG_OK, "not printed");
    brg_free(text);
    if (brg_value_to_json(value, BRG_JSON_COMPACT, &text, NULL, &error) == BRG_OK)
        brg_free(text);
    fixture_require(brg_view_equal(brg_value_root(value), brg_value_root(value)), "not equal to itself");
    fixture_require(brg_builder_create(&builder, &error) == BRG_OK, "no builder");
    brg_builder_view(builder, brg_value_root(value));
    fixture_require(brg_builder_finish(builder, &copy, &error) == BRG_OK, "not copied");
    fixture_require(brg_view_equal(brg_value_root(value), brg_value_root(copy)), "copied to another value");
    brg_value_unref(copy);
    brg_builder_destroy(builder);
}

/* Reads all of `value` and rebuilds it: what was built must come out as the same bytes, what was not as equal. */
static inline void fixture_check(const brg_value *value, bool was_built)
{
    brg_builder *builder = NULL;
    brg_value *copy = NULL;
    brg_error error;
    fixture_check_text(value);
    if (brg_value_has_refs(value))
        return; /* a plain walk might not end */
    fixture_require(brg_builder_create(&builder, &error) == BRG_OK, "no builder");
    fixture_copy(builder, brg_value_root(value), 0);
    fixture_require(brg_builder_finish(builder, &copy, &error) == BRG_OK, "what was read cannot be built");
    if (was_built) {
        fixture_require(brg_value_size(copy) == brg_value_size(value), "rebuilt to another size");
        fixture_require(memcmp(brg_value_data(copy), brg_value_data(value), brg_value_size(value)) == 0,
                        "rebuilt to other bytes");
    }
    fixture_require(!was_built || brg_view_equal(brg_value_root(copy), brg_value_root(value)), "rebuilt and not equal");
    brg_value_unref(copy);
    brg_builder_destroy(builder);
}

static inline void fixture_check_whole(const brg_value *value) { fixture_check(value, true); }

static inline double fixture_double(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof(number));
    return number;
}

#define FIXTURE_NAN_BITS UINT64_C(0xfff8dead0000beef)

/* A list with a node of every type and the numbers on the edges; with two buffers if asked for. */
static inline void fixture_everything(brg_builder *builder, bool with_buffers)
{
    brg_builder_list(builder);
    brg_builder_nil(builder);
    brg_builder_bool(builder, true);
    brg_builder_bool(builder, false);
    brg_builder_int(builder, 0);
    brg_builder_int(builder, INT64_MIN);
    brg_builder_int(builder, INT64_MAX);
    brg_builder_uint(builder, UINT64_MAX);
    brg_builder_double(builder, -0.0);
    brg_builder_double(builder, INFINITY);
    brg_builder_double(builder, fixture_double(FIXTURE_NAN_BITS));
    brg_builder_string(builder, "");
    brg_builder_string_n(builder, "zero\0inside", 11);
    brg_builder_string(builder, "gr\xc3\xbc\xc3\x9f dich, \xe2\x82\xac 5, \xf0\x9f\x8d\xb3");
    brg_builder_bytes(builder, NULL, 0);
    brg_builder_bytes(builder, "\xff\x00\xfe", 3);
    brg_builder_list(builder);
    brg_builder_end(builder);
    brg_builder_map(builder);
    brg_builder_end(builder);
    brg_builder_map(builder);
    brg_builder_key(builder, "name");
    brg_builder_string(builder, "photo-12.jpg");
    brg_builder_key(builder, "");
    brg_builder_int(builder, -1);
    brg_builder_key_n(builder, "a\0b", 3);
    brg_builder_list(builder);
    brg_builder_map(builder);
    brg_builder_key(builder, "deep");
    brg_builder_bool(builder, true);
    brg_builder_end(builder);
    brg_builder_end(builder);
    for (int i = 0; i < 20; i++) {
        char key[48];
        snprintf(key, sizeof(key), "a longer key, number %d", i);
        brg_builder_key(builder, key);
        brg_builder_int(builder, i);
    }
    brg_builder_end(builder);
    for (int i = 0; with_buffers && i < 2; i++) {
        brg_buffer *buffer = NULL;
        if (brg_buffer_create(&buffer, i == 0 ? 5 : 0, NULL) == BRG_OK && i == 0)
            memcpy(brg_buffer_data(buffer), "bytes", 5);
        brg_builder_buffer(builder, &buffer);
        brg_buffer_unref(buffer);
    }
    brg_builder_end(builder);
}

/* Bits flipped, words replaced, bytes copied elsewhere, or the end cut off: in place; the new size. */
static inline size_t fixture_mutate(unsigned char *bytes, size_t size, uint64_t *state)
{
    if (size == 0)
        return 0;
    for (uint64_t left = 1 + fixture_random(state) % 4; left > 0; left--) {
        uint64_t random = fixture_random(state);
        size_t at = (random >> 8) % size;
        switch (random % 6) {
        case 0:
            bytes[at] ^= (unsigned char)(1u << (random >> 60 & 7));
            break;
        case 1:
            bytes[at] = (unsigned char)(random >> 50);
            break;
        case 2: { /* an offset or count: small, and often aligned */
            uint32_t word = (uint32_t)((random >> 40) % (size + 16)) & (random >> 63 ? ~7u : ~0u);
            at &= ~(size_t)3;
            memcpy(bytes + at, &word, size - at < 4 ? size - at : 4);
            break;
        }
        case 3: { /* a stretch from elsewhere */
            size_t from = (random >> 30) % size & ~(size_t)7, length = 8 + (random >> 20) % 24;
            at &= ~(size_t)7;
            if (from + length <= size && at + length <= size)
                memmove(bytes + at, bytes + from, length);
            break;
        }
        case 4:
            memset(bytes + at, random >> 63 ? 0xff : 0, size - at < 4 ? size - at : 4);
            break;
        default:
            if (random >> 62 == 0)
                size = at > 0 ? at : 1;
            break;
        }
    }
    return size;
}

#endif
