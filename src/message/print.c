/* SPDX-License-Identifier: MIT */
/*
 * Values for people. Nodes that refs lead to are marked where they are written first, #1=, and named, #1#, wherever
 * they are met again, as Lisp's printer does: so cycles end. A view inside a value may lead out of it; then a marked
 * node is written at its ref, and how deep that may go is bounded.
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "message/graph.h"
#include "message/json.h"
#include "os/memory.h"

#define PRINT_STRING_MAX 200u
#define PRINT_BYTES_MAX 32u
#define PRINT_CHILDREN_MAX 100u
#define PRINT_DEPTH_MAX 64u
#define PRINT_TEXT_MAX ((size_t)16 << 20)

typedef struct printer {
    char *text;
    size_t size;
    size_t capacity;
    bool failed;
    uint32_t depth;
    uint32_t label_count;
    brg__target *targets; /* number: of the mark, once it is written */
    uint32_t target_count;
} printer;

static void print_bytes(printer *to, const char *bytes, size_t size)
{
    if (to->failed || to->size > PRINT_TEXT_MAX)
        return;
    if (to->capacity - to->size <= size) {
        size_t capacity = brg__max(to->size + size + 1, brg__max(to->capacity * 2, 256));
        char *text = brg__realloc(to->text, capacity);
        to->failed = text == NULL;
        if (to->failed)
            return;
        to->text = text;
        to->capacity = capacity;
    }
    memcpy(to->text + to->size, bytes, size);
    to->size += size;
    to->text[to->size] = '\0';
}

static void print_text(printer *to, const char *text) { print_bytes(to, text, strlen(text)); }

static void BRG_PRINTF(2, 3) print_format(printer *to, const char *format, ...)
{
    char text[1600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    print_text(to, text);
}

static void print_left_out(printer *to, uint64_t left, const char *what)
{
    if (left > 0)
        print_format(to, " ... %llu more %s", (unsigned long long)left, what);
}

static void print_string(printer *to, const char *string, size_t size)
{
    size_t shown = (size_t)brg__min(size, PRINT_STRING_MAX);
    while (shown > 0 && shown < size && ((unsigned char)string[shown] & 0xc0) == 0x80)
        shown--;
    print_text(to, "\"");
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)string[i];
        if (c == '"' || c == '\\')
            print_format(to, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            print_format(to, "\\x%02x", c);
        else
            print_bytes(to, string + i, 1);
    }
    print_text(to, "\"");
    print_left_out(to, size - shown, "bytes");
}

static void print_hex(printer *to, const char *name, const unsigned char *bytes, size_t size)
{
    size_t shown = (size_t)brg__min(size, PRINT_BYTES_MAX);
    print_format(to, "%s(%zu", name, size);
    if (size > 0)
        print_text(to, ":");
    for (size_t i = 0; i < shown && bytes != NULL; i++)
        print_format(to, " %02x", bytes[i]);
    print_left_out(to, size - shown, "bytes");
    print_text(to, ")");
}

static void print_bigint(printer *to, brg_view view)
{
    bool negative = false;
    size_t size = 0;
    const unsigned char *bytes = brg_view_bigint(view, &negative, &size);
    print_format(to, "bigint(%s0x%s", negative ? "-" : "", size == 0 ? "0" : "");
    for (size_t i = size; i-- > 0 && size - i <= PRINT_BYTES_MAX;)
        print_format(to, i == size - 1 ? "%x" : "%02x", bytes[i]);
    print_left_out(to, size > PRINT_BYTES_MAX ? size - PRINT_BYTES_MAX : 0, "bytes");
    print_text(to, ")");
}

static void print_element(printer *to, brg_element element, const unsigned char *at)
{
    uint64_t bits = 0;
    float f32;
    double f64;
    size_t size = brg_element_bytes(element);
    memcpy(&bits, at, size);
    memcpy(&f32, at, size < sizeof(f32) ? size : sizeof(f32));
    memcpy(&f64, &bits, sizeof(f64));
    if (element == BRG_ELEMENT_F32 || element == BRG_ELEMENT_F64)
        print_format(to, " %.17g", element == BRG_ELEMENT_F32 ? (double)f32 : f64);
    else if (element % 2 == 0)
        print_format(to, " %llu", (unsigned long long)bits);
    else
        print_format(to, " %lld", (long long)((int64_t)(bits << (64 - 8 * size)) >> (64 - 8 * size)));
}

static void print_array(printer *to, brg_view view)
{
    brg_array array;
    if (brg_view_array(view, &array) != BRG_OK) {
        print_text(to, "array(?)");
        return;
    }
    size_t shown = (size_t)brg__min(array.count, PRINT_CHILDREN_MAX);
    print_format(to, "array(%s[%zu]:", brg_element_name(array.element), array.count);
    for (size_t i = 0; i < shown; i++)
        print_element(to, array.element, (const unsigned char *)array.data + i * brg_element_bytes(array.element));
    print_left_out(to, array.count - shown, "elements");
    print_text(to, ")");
}

static void print_node(printer *to, brg_view view);

static void print_error(printer *to, brg_view view)
{
    brg_error error;
    brg_view_error(view, &error);
    print_format(to, "error(%s %s: ", brg_status_name(error.status), error.domain);
    print_string(to, error.message, strlen(error.message));
    if (error.code != 0)
        print_format(to, " code=%lld", (long long)error.code);
    if (brg_view_type(brg_view_error_detail(view)) != BRG_TYPE_NIL) {
        print_text(to, " detail=");
        print_node(to, brg_view_error_detail(view));
    }
    if (brg_view_type(brg_view_error_cause(view)) != BRG_TYPE_NIL) {
        print_text(to, " cause=");
        print_node(to, brg_view_error_cause(view));
    }
    print_text(to, ")");
}

static void print_children(printer *to, brg_view view, bool is_map)
{
    size_t count = brg_view_count(view), shown = (size_t)brg__min(count, PRINT_CHILDREN_MAX);
    for (size_t i = 0; i < shown; i++) {
        size_t size = 0;
        if (i > 0)
            print_text(to, ", ");
        if (is_map) {
            const char *key = brg_view_key_at(view, i, &size);
            print_string(to, key, size);
            print_text(to, ": ");
        }
        print_node(to, brg_view_at(view, i));
    }
    print_left_out(to, count - shown, is_map ? "entries" : "elements");
}

static void print_double(printer *to, double number)
{
    char digits[40];
    if (isfinite(number))
        print_bytes(to, digits, brg__json_number_write(digits, number));
    else
        print_text(to, isnan(number) ? "nan" : number < 0 ? "-inf" : "inf");
}

static void print_number(printer *to, brg_view view, brg_type type)
{
    int64_t integer = 0;
    uint64_t natural = 0;
    double number = 0;
    bool boolean = false;
    if (type == BRG_TYPE_BOOL && brg_view_bool(view, &boolean) == BRG_OK)
        print_text(to, boolean ? "true" : "false");
    else if (type == BRG_TYPE_INT && brg_view_int(view, &integer) == BRG_OK)
        print_format(to, "%lld", (long long)integer);
    else if (type == BRG_TYPE_UINT && brg_view_uint(view, &natural) == BRG_OK)
        print_format(to, "%llu", (unsigned long long)natural);
    else if (type == BRG_TYPE_DOUBLE && brg_view_double(view, &number) == BRG_OK)
        print_double(to, number);
    else if (type == BRG_TYPE_TIMESTAMP && brg_view_timestamp(view, &integer) == BRG_OK)
        print_format(to, "timestamp(%lld)", (long long)integer);
}

static void print_content(printer *to, brg_view view, brg_type type)
{
    size_t size = 0;
    const void *bytes;
    const brg_buffer *buffer;
    switch (type) {
    case BRG_TYPE_STRING:
        bytes = brg_view_string(view, &size);
        print_string(to, bytes, size);
        break;
    case BRG_TYPE_BYTES:
        bytes = brg_view_bytes(view, &size);
        print_hex(to, "bytes", bytes, size);
        break;
    case BRG_TYPE_BUFFER:
        buffer = brg_view_buffer(view);
        if (buffer != NULL)
            print_hex(to, "buffer", brg_buffer_bytes(buffer), brg_buffer_size(buffer));
        break;
    case BRG_TYPE_BIGINT:
        print_bigint(to, view);
        break;
    case BRG_TYPE_ARRAY:
        print_array(to, view);
        break;
    case BRG_TYPE_ERROR:
        print_error(to, view);
        break;
    case BRG_TYPE_LIST:
    case BRG_TYPE_MAP:
    case BRG_TYPE_SET:
        print_text(to, type == BRG_TYPE_LIST ? "[" : type == BRG_TYPE_MAP ? "{" : "set{");
        print_children(to, view, type == BRG_TYPE_MAP);
        print_text(to, type == BRG_TYPE_LIST ? "]" : "}");
        break;
    case BRG_TYPE_NONE:
    case BRG_TYPE_NIL:
    case BRG_TYPE_PORT:
    case BRG_TYPE_FD:
    case BRG_TYPE_SHARED:
    case BRG_TYPE_TOKEN:
        print_text(to, brg_type_name(type));
        break;
    default:
        print_number(to, view, type);
        break;
    }
}

static void print_node(printer *to, brg_view view)
{
    brg__target *target = view.value != NULL ? brg__targets_find(to->targets, to->target_count, view.offset) : NULL;
    if (target != NULL && target->number != 0) {
        print_format(to, "#%u#", target->number);
        return;
    }
    if (to->depth >= PRINT_DEPTH_MAX || to->size > PRINT_TEXT_MAX) {
        print_text(to, "...");
        return;
    }
    if (target != NULL) {
        target->number = ++to->label_count;
        print_format(to, "#%u=", target->number);
    }
    to->depth++;
    print_content(to, view, brg_view_type(view));
    to->depth--;
}

brg_status brg_view_to_text(brg_view view, char **text, size_t *size_bytes, brg_error *error)
{
    printer to;
    memset(&to, 0, sizeof(to));
    if (view.value != NULL) {
        brg_status status = brg__targets_create(&to.targets, &to.target_count, view.value, error);
        if (status != BRG_OK)
            return status;
    }
    print_node(&to, view);
    brg__mfree(to.targets);
    if (to.failed) {
        brg__mfree(to.text);
        return brg__error_memory(error, "printing a value");
    }
    *text = to.text;
    if (size_bytes != NULL)
        *size_bytes = to.size;
    return BRG_OK;
}

brg_status brg_value_to_text(const brg_value *value, char **text, size_t *size_bytes, brg_error *error)
{
    return brg_view_to_text(brg_value_root(value), text, size_bytes, error);
}

void brg_view_print(brg_view view, FILE *file)
{
    char *text = NULL;
    size_t size = 0;
    if (brg_view_to_text(view, &text, &size, NULL) != BRG_OK)
        return;
    fwrite(text, 1, size, file);
    brg__mfree(text);
}

void brg_value_print(const brg_value *value, FILE *file) { brg_view_print(brg_value_root(value), file); }
