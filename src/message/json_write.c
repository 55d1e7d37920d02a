/* SPDX-License-Identifier: MIT */
/*
 * A value to JSON text, straight from the block, into a buffer of a few kilobytes that goes to the caller's function
 * when it is full. Recursion goes as deep as values nest: refs to ancestors are refused, and along the others heights
 * count. What is in several places is written as often, so a small value can stand for endless text: what lies behind
 * refs has a budget.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "message/json.h"
#include "message/object.h"
#include "os/memory.h"

#define WRITE_PIECE_BYTES 4096u

typedef struct json_writer {
    size_t size;
    uint32_t depth;
    uint32_t ref_depth; /* how many refs lead here */
    uint64_t shared_bytes;
    uint32_t objects_seen; /* those before were written once */
    bool indented;
    brg_status status;
    brg_error *error;
    brg_json_write_fn write;
    void *user_data;
    char piece[WRITE_PIECE_BYTES];
} json_writer;

static void write_flush(json_writer *writer)
{
    if (writer->status == BRG_OK && writer->size > 0) {
        writer->status = writer->write(writer->user_data, writer->piece, writer->size);
        if (writer->status != BRG_OK)
            brg_error_set(writer->error, writer->status, "value", "writing JSON was ended by its write function");
    }
    writer->size = 0;
}

static void write_fail(json_writer *writer, brg_status status, const char *what)
{
    if (writer->status == BRG_OK)
        writer->status = brg_error_set(writer->error, status, "value", "JSON has no %s", what);
}

static void write_bytes(json_writer *writer, const char *bytes, size_t size)
{
    if (writer->ref_depth > 0) {
        writer->shared_bytes += size;
        if (writer->shared_bytes > BRG_JSON_SHARED_BYTES_MAX && writer->status == BRG_OK)
            writer->status = brg_error_set(writer->error, BRG_TOO_LARGE, "value",
                                           "nodes in several places make more than %zu bytes of JSON",
                                           BRG_JSON_SHARED_BYTES_MAX);
    }
    while (size > 0 && writer->status == BRG_OK) {
        size_t part = (size_t)brg__min(size, sizeof(writer->piece) - writer->size);
        memcpy(writer->piece + writer->size, bytes, part);
        writer->size += part;
        bytes += part;
        size -= part;
        if (writer->size == sizeof(writer->piece))
            write_flush(writer);
    }
}

static void write_text(json_writer *writer, const char *text) { write_bytes(writer, text, strlen(text)); }

static void write_break(json_writer *writer)
{
    if (!writer->indented)
        return;
    write_text(writer, "\n");
    for (uint32_t i = 0; i < writer->depth; i++)
        write_text(writer, "  ");
}

static void write_escape(json_writer *writer, unsigned char c)
{
    static const char shorts[] = "b\bf\fn\nr\rt\t\"\"\\\\";
    char escape[8];
    for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
        if ((unsigned char)shorts[i + 1] == c) {
            write_bytes(writer, (char[]){'\\', shorts[i]}, 2);
            return;
        }
    }
    snprintf(escape, sizeof(escape), "\\u%04x", c);
    write_text(writer, escape);
}

static void write_string(json_writer *writer, const char *string, size_t size)
{
    size_t plain = 0;
    write_text(writer, "\"");
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)string[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        write_bytes(writer, string + plain, i - plain);
        write_escape(writer, c);
        plain = i + 1;
    }
    write_bytes(writer, string + plain, size - plain);
    write_text(writer, "\"");
}

static void write_double(json_writer *writer, double number)
{
    char digits[40];
    if (!isfinite(number)) {
        write_fail(writer, BRG_UNSUPPORTED, isnan(number) ? "NaN" : "infinity");
        return;
    }
    write_bytes(writer, digits, brg__json_number_write(digits, number));
}

/* RFC 4648, with padding. */
static void write_base64(json_writer *writer, const unsigned char *bytes, size_t size)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size && writer->status == BRG_OK; i += 3) {
        size_t left = size - i;
        uint32_t three = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);
        char four[4] = {alphabet[three >> 18], alphabet[three >> 12 & 63], left > 1 ? alphabet[three >> 6 & 63] : '=',
                        left > 2 ? alphabet[three & 63] : '='};
        write_bytes(writer, four, sizeof(four));
    }
}

/* The one key of an object that stands for another type. */
static void write_typed(json_writer *writer, const char *key)
{
    write_text(writer, "{\"");
    write_text(writer, key);
    write_text(writer, writer->indented ? "\": " : "\":");
}

static void write_raw(json_writer *writer, const void *bytes, size_t size)
{
    write_typed(writer, "$bytes");
    write_text(writer, "\"");
    write_base64(writer, bytes, size);
    write_text(writer, "\"}");
}

static void write_view(json_writer *writer, brg_view view);

/* Child `index` of a container, which may be a ref. */
static void write_child(json_writer *writer, brg_view view, size_t index)
{
    const unsigned char *block = view.value->block;
    uint32_t child = brg__flat_child(block, view.offset, index);
    brg__head node = brg__flat_head(block, child);
    if (node.type != BRG__TAG_REF) {
        write_view(writer, (brg_view){view.value, child, 0});
    } else if (node.count > child) {
        write_fail(writer, BRG_UNSUPPORTED, "cycles: a node is inside itself");
    } else {
        writer->ref_depth++;
        write_view(writer, (brg_view){view.value, node.count, 0});
        writer->ref_depth--;
    }
}

static void write_container(json_writer *writer, brg_view view, bool is_map)
{
    size_t count = brg_view_count(view);
    write_text(writer, is_map ? "{" : "[");
    writer->depth++;
    for (size_t i = 0; i < count && writer->status == BRG_OK; i++) {
        if (i > 0)
            write_text(writer, ",");
        write_break(writer);
        if (is_map) {
            size_t size = 0;
            const char *key = brg_view_key_at(view, i, &size);
            write_string(writer, key, size);
            write_text(writer, writer->indented ? ": " : ":");
        }
        write_child(writer, view, i);
    }
    writer->depth--;
    if (count > 0)
        write_break(writer);
    write_text(writer, is_map ? "}" : "]");
}

static void write_integer(json_writer *writer, int64_t integer)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%lld", (long long)integer);
    write_text(writer, digits);
}

static void write_natural(json_writer *writer, uint64_t natural)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)natural);
    write_text(writer, digits);
}

static void write_number(json_writer *writer, brg_view view)
{
    int64_t integer = 0;
    uint64_t natural = 0;
    if (brg_view_int(view, &integer) == BRG_OK)
        write_integer(writer, integer);
    else if (brg_view_uint(view, &natural) == BRG_OK)
        write_natural(writer, natural);
}

static void write_bigint(json_writer *writer, brg_view view)
{
    bool negative = false;
    size_t size = 0;
    char digits[4];
    const unsigned char *bytes = brg_view_bigint(view, &negative, &size);
    write_typed(writer, "$bigint");
    write_text(writer, negative ? "\"-0x" : "\"0x");
    if (size == 0)
        write_text(writer, "0");
    for (size_t i = size; i-- > 0 && writer->status == BRG_OK;) {
        snprintf(digits, sizeof(digits), i == size - 1 ? "%x" : "%02x", bytes[i]);
        write_text(writer, digits);
    }
    write_text(writer, "\"}");
}

static void write_element(json_writer *writer, const brg_array *array, size_t index)
{
    const char *at = (const char *)array->data + index * brg_element_bytes(array->element);
    float f32;
    double f64;
    int64_t number = 0;
    size_t size = brg_element_bytes(array->element);
    switch (array->element) {
    case BRG_ELEMENT_F32:
        memcpy(&f32, at, sizeof(f32));
        write_double(writer, f32);
        return;
    case BRG_ELEMENT_F64:
        memcpy(&f64, at, sizeof(f64));
        write_double(writer, f64);
        return;
    case BRG_ELEMENT_U8:
    case BRG_ELEMENT_U16:
    case BRG_ELEMENT_U32:
    case BRG_ELEMENT_U64:
        memcpy(&number, at, size);
        write_natural(writer, (uint64_t)number);
        return;
    default: /* the sign: by shifting it out and in again */
        memcpy(&number, at, size);
        write_integer(writer, (int64_t)((uint64_t)number << (64 - 8 * size)) >> (64 - 8 * size));
        return;
    }
}

static void write_array(json_writer *writer, brg_view view)
{
    brg_array array;
    if (brg_view_array(view, &array) != BRG_OK) {
        write_fail(writer, BRG_MALFORMED, "array without its buffer");
        return;
    }
    write_typed(writer, "$array");
    write_text(writer, "[\"");
    write_text(writer, brg_element_name(array.element));
    write_text(writer, "\"");
    for (size_t i = 0; i < array.count && writer->status == BRG_OK; i++) {
        write_text(writer, ",");
        write_element(writer, &array, i);
    }
    write_text(writer, "]}");
}

static void write_error_number(json_writer *writer, const char *key, int64_t number)
{
    if (number == 0)
        return;
    write_text(writer, key);
    write_integer(writer, number);
}

static void write_error(json_writer *writer, brg_view view)
{
    brg_error error;
    brg_view_error(view, &error);
    write_typed(writer, "$error");
    write_text(writer, "{\"status\":");
    write_integer(writer, error.status);
    write_error_number(writer, ",\"code\":", error.code);
    write_error_number(writer, ",\"errno\":", error.os_errno);
    write_error_number(writer, ",\"signal\":", error.signal);
    write_error_number(writer, ",\"exit_code\":", error.exit_code);
    write_error_number(writer, ",\"attempt\":", error.attempt);
    const char *const names[] = {",\"domain\":", ",\"message\":", ",\"backtrace\":"};
    for (size_t i = 0; i < brg__count_of(names); i++) {
        size_t size = 0;
        const char *text = brg_view_string(brg__view_child(view, BRG__ERROR_NUMBERS + i), &size);
        if (size == 0)
            continue;
        write_text(writer, names[i]);
        write_string(writer, text, size);
    }
    if (brg_view_type(brg_view_error_detail(view)) != BRG_TYPE_NIL) {
        write_text(writer, ",\"detail\":");
        write_child(writer, view, BRG__ERROR_DETAIL);
    }
    if (brg_view_type(brg_view_error_cause(view)) != BRG_TYPE_NIL) {
        write_text(writer, ",\"cause\":");
        write_child(writer, view, BRG__ERROR_CAUSE);
    }
    write_text(writer, "}}");
}

static void write_buffer(json_writer *writer, brg_view view)
{
    const brg_buffer *buffer = brg_view_buffer(view);
    if (buffer == NULL)
        write_fail(writer, BRG_MALFORMED, "buffer that is none");
    else
        write_raw(writer, brg_buffer_bytes(buffer), brg_buffer_size(buffer));
}

/* An object may have many nodes: but for the first one, they count as refs. */
static void write_object(json_writer *writer, brg_view view, void (*write)(json_writer *writer, brg_view view))
{
    brg__head node = brg__flat_head(view.value->block, view.offset);
    bool is_object = brg__head_is_object(node), is_repeated = is_object && node.count < writer->objects_seen;
    if (is_object && !is_repeated)
        writer->objects_seen = node.count + 1;
    writer->ref_depth += is_repeated;
    write(writer, view);
    writer->ref_depth -= is_repeated;
}

static void write_view(json_writer *writer, brg_view view)
{
    if (writer->status != BRG_OK) /* errors that share errors are exponentially many paths */
        return;
    size_t size = 0;
    bool boolean = false;
    double number = 0;
    int64_t ns = 0;
    const void *bytes;
    brg_type type = brg_view_type(view);
    switch (type) {
    case BRG_TYPE_NONE:
    case BRG_TYPE_NIL:
        write_text(writer, "null");
        break;
    case BRG_TYPE_BOOL:
        brg_view_bool(view, &boolean);
        write_text(writer, boolean ? "true" : "false");
        break;
    case BRG_TYPE_INT:
    case BRG_TYPE_UINT:
        write_number(writer, view);
        break;
    case BRG_TYPE_DOUBLE:
        brg_view_double(view, &number);
        write_double(writer, number);
        break;
    case BRG_TYPE_STRING:
        bytes = brg_view_string(view, &size);
        write_string(writer, bytes, size);
        break;
    case BRG_TYPE_BYTES:
        bytes = brg_view_bytes(view, &size);
        write_raw(writer, bytes, size);
        break;
    case BRG_TYPE_BUFFER:
        write_object(writer, view, write_buffer);
        break;
    case BRG_TYPE_LIST:
    case BRG_TYPE_MAP:
        write_container(writer, view, type == BRG_TYPE_MAP);
        break;
    case BRG_TYPE_SET:
        write_typed(writer, "$set");
        write_container(writer, view, false);
        write_text(writer, "}");
        break;
    case BRG_TYPE_TIMESTAMP:
        brg_view_timestamp(view, &ns);
        write_typed(writer, "$timestamp");
        write_integer(writer, ns);
        write_text(writer, "}");
        break;
    case BRG_TYPE_BIGINT:
        write_bigint(writer, view);
        break;
    case BRG_TYPE_ARRAY:
        write_object(writer, view, write_array);
        break;
    case BRG_TYPE_ERROR:
        write_error(writer, view);
        break;
    default:
        write_fail(writer, BRG_UNSUPPORTED, brg_type_name(type));
        break;
    }
}

brg_status brg_value_write_json(const brg_value *value, brg_json_flags flags, brg_json_write_fn write, void *user_data,
                                brg_error *error)
{
    json_writer writer;
    memset(&writer, 0, offsetof(json_writer, piece));
    writer.indented = (flags & BRG_JSON_INDENT) != 0;
    writer.error = error;
    writer.write = write;
    writer.user_data = user_data;
    write_view(&writer, brg_value_root(value));
    write_flush(&writer);
    return writer.status;
}

typedef struct json_text {
    char *text;
    size_t size;
    size_t capacity;
} json_text;

static brg_status text_append(void *user_data, const char *bytes, size_t size)
{
    json_text *to = user_data;
    if (to->capacity - to->size <= size) {
        size_t capacity = brg__max(to->size + size + 1, to->capacity * 2);
        char *text = brg__realloc(to->text, capacity);
        if (text == NULL)
            return BRG_NO_MEMORY;
        to->text = text;
        to->capacity = capacity;
    }
    memcpy(to->text + to->size, bytes, size);
    to->size += size;
    to->text[to->size] = '\0';
    return BRG_OK;
}

brg_status brg_value_to_json(const brg_value *value, brg_json_flags flags, char **text, size_t *size_bytes,
                             brg_error *error)
{
    json_text to = {NULL, 0, 0};
    brg_status status = brg_value_write_json(value, flags, text_append, &to, error);
    if (status != BRG_OK) {
        brg__mfree(to.text);
        return status == BRG_NO_MEMORY ? brg__error_memory(error, "writing JSON") : status;
    }
    *text = to.text;
    if (size_bytes != NULL)
        *size_bytes = to.size;
    return BRG_OK;
}
