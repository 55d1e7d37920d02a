/* SPDX-License-Identifier: MIT */
/*
 * A value to JSON text, straight from the block. Not by jansson, whose whole numbers end at INT64_MAX and which
 * would want the tree built a second time. Recursion goes as deep as values nest.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <brigade/value.h>

#include "base/util.h"
#include "os/memory.h"

typedef struct json_writer {
    char *text;
    size_t size;
    size_t capacity;
    uint32_t depth;
    bool indented;
    brg_status status;
    brg_error *error;
} json_writer;

/* Room for `size` more bytes and the zero at the end; NULL after a failure. */
static char *write_reserve(json_writer *writer, size_t size)
{
    if (writer->status != BRG_OK)
        return NULL;
    if (writer->capacity - writer->size <= size) {
        size_t capacity = brg__max(writer->size + size + 1, brg__max(writer->capacity * 2, 256));
        char *text = brg__realloc(writer->text, capacity);
        if (text == NULL) {
            writer->status = brg__error_memory(writer->error, "writing JSON");
            return NULL;
        }
        writer->text = text;
        writer->capacity = capacity;
    }
    return writer->text + writer->size;
}

static void write_bytes(json_writer *writer, const char *bytes, size_t size)
{
    char *to = write_reserve(writer, size);
    if (to == NULL)
        return;
    memcpy(to, bytes, size);
    writer->size += size;
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

/* The shortest of 15 to 17 digits that reads back as the same double, marked as a double by a point or exponent. */
static void write_double(json_writer *writer, double number)
{
    char digits[40], plain[40];
    if (!isfinite(number)) {
        if (writer->status == BRG_OK)
            writer->status = brg_error_set(writer->error, BRG_UNSUPPORTED, "value", "JSON has no %s",
                                           isnan(number) ? "NaN" : "infinity");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof(digits), "%.*g", precision, number);
        if (strtod(digits, NULL) == number)
            break;
    }
    /* A locale's decimal point, of one byte or several, becomes a point. */
    size_t size = 0;
    bool marked = false, in_point = false;
    for (const char *at = digits; *at != '\0'; at++) {
        bool is_point = strchr("0123456789+-e", *at) == NULL;
        if (!is_point || !in_point)
            plain[size++] = is_point ? '.' : *at;
        marked = marked || is_point || *at == 'e';
        in_point = is_point;
    }
    write_bytes(writer, plain, size);
    if (!marked)
        write_text(writer, ".0");
}

/* RFC 4648, with padding. */
static void write_base64(json_writer *writer, const unsigned char *bytes, size_t size)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to = write_reserve(writer, (size + 2) / 3 * 4);
    if (to == NULL)
        return;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t three = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);
        *to++ = alphabet[three >> 18];
        *to++ = alphabet[three >> 12 & 63];
        *to++ = left > 1 ? alphabet[three >> 6 & 63] : '=';
        *to++ = left > 2 ? alphabet[three & 63] : '=';
    }
    writer->size += (size + 2) / 3 * 4;
}

static void write_raw(json_writer *writer, const void *bytes, size_t size)
{
    write_text(writer, writer->indented ? "{\"$bytes\": \"" : "{\"$bytes\":\"");
    write_base64(writer, bytes, size);
    write_text(writer, "\"}");
}

static void write_view(json_writer *writer, brg_view view);

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
            size_t size;
            const char *key = brg_view_key_at(view, i, &size);
            write_string(writer, key, size);
            write_text(writer, writer->indented ? ": " : ":");
        }
        write_view(writer, brg_view_at(view, i));
    }
    writer->depth--;
    if (count > 0)
        write_break(writer);
    write_text(writer, is_map ? "}" : "]");
}

static void write_number(json_writer *writer, brg_view view)
{
    char digits[24];
    int64_t integer;
    uint64_t unsigned_integer;
    if (brg_view_int(view, &integer) == BRG_OK)
        snprintf(digits, sizeof(digits), "%lld", (long long)integer);
    else if (brg_view_uint(view, &unsigned_integer) == BRG_OK)
        snprintf(digits, sizeof(digits), "%llu", (unsigned long long)unsigned_integer);
    else
        return;
    write_text(writer, digits);
}

static void write_view(json_writer *writer, brg_view view)
{
    size_t size = 0;
    bool boolean = false;
    double number = 0;
    switch (brg_view_type(view)) {
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
    case BRG_TYPE_STRING: {
        const char *string = brg_view_string(view, &size);
        write_string(writer, string, size);
        break;
    }
    case BRG_TYPE_BYTES: {
        const void *bytes = brg_view_bytes(view, &size);
        write_raw(writer, bytes, size);
        break;
    }
    case BRG_TYPE_BUFFER:
        write_raw(writer, brg_buffer_data(brg_view_buffer(view)), brg_buffer_size(brg_view_buffer(view)));
        break;
    case BRG_TYPE_LIST:
    case BRG_TYPE_MAP:
        write_container(writer, view, brg_view_type(view) == BRG_TYPE_MAP);
        break;
    }
}

brg_status brg_value_to_json(const brg_value *value, brg_json_flags flags, char **text, size_t *size_bytes,
                             brg_error *error)
{
    json_writer writer = {.indented = (flags & BRG_JSON_INDENT) != 0, .status = BRG_OK, .error = error};
    write_view(&writer, brg_value_root(value));
    if (writer.status != BRG_OK) {
        brg__mfree(writer.text);
        return writer.status;
    }
    writer.text[writer.size] = '\0'; /* NOLINT(clang-analyzer-core.NullDereference): every value writes something */
    *text = writer.text;
    if (size_bytes != NULL)
        *size_bytes = writer.size;
    return BRG_OK;
}
