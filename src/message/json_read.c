/* SPDX-License-Identifier: MIT */
/* JSON text to a value: jansson parses, the builder builds. jansson allocates with its own malloc meanwhile. */
#include <jansson.h>

#include "base/util.h"
#include "message/builder.h"
#include "message/json_scan.h"
#include "os/memory.h"

typedef struct json_reader {
    brg_builder builder;
    brg__json_scan scan;
    size_t number_count; /* numbers seen so far */
    size_t wide_count;   /* wide ones among them */
} json_reader;

static void read_number(json_reader *reader, const json_t *json)
{
    const brg__json_wide *wide = &reader->scan.wides[reader->wide_count];
    if (reader->wide_count < reader->scan.wide_count && wide->ordinal == reader->number_count) {
        reader->wide_count++;
        if (wide->is_uint)
            brg_builder_uint(&reader->builder, wide->integer);
        else
            brg_builder_double(&reader->builder, wide->number);
    } else if (json_is_integer(json)) {
        brg_builder_int(&reader->builder, json_integer_value(json));
    } else {
        brg_builder_double(&reader->builder, json_real_value(json));
    }
    reader->number_count++;
}

static void read_json(json_reader *reader, json_t *json);

static void read_array(json_reader *reader, json_t *array)
{
    size_t count = json_array_size(array);
    brg_builder_list(&reader->builder);
    for (size_t i = 0; i < count; i++)
        read_json(reader, json_array_get(array, i));
    brg_builder_end(&reader->builder);
}

/* jansson keeps the order of the text, on which the ordinals of numbers rely. */
static void read_object(json_reader *reader, json_t *object)
{
    brg_builder_map(&reader->builder);
    for (void *entry = json_object_iter(object); entry != NULL; entry = json_object_iter_next(object, entry)) {
        brg_builder_key(&reader->builder, json_object_iter_key(entry));
        read_json(reader, json_object_iter_value(entry));
    }
    brg_builder_end(&reader->builder);
}

static void read_json(json_reader *reader, json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_NULL:
        brg_builder_nil(&reader->builder);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        brg_builder_bool(&reader->builder, json_is_true(json));
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        read_number(reader, json);
        break;
    case JSON_STRING:
        brg_builder_string_n(&reader->builder, json_string_value(json), json_string_length(json));
        break;
    case JSON_ARRAY:
        read_array(reader, json);
        break;
    case JSON_OBJECT:
        read_object(reader, json);
        break;
    }
}

static brg_status read_failed(const json_error_t *failure, brg_error *error)
{
    switch (json_error_code(failure)) {
    case json_error_out_of_memory:
        return brg__error_memory(error, "reading JSON");
    case json_error_stack_overflow:
        return brg_error_set(error, BRG_TOO_LARGE, "value", "JSON nests too deep at line %d, column %d", failure->line,
                             failure->column);
    default:
        return brg_error_set(error, BRG_MALFORMED, "value", "JSON, line %d, column %d: %s", failure->line,
                             failure->column, failure->text);
    }
}

static brg_status read_text(json_reader *reader, brg_value **out, const char *text, size_t size_bytes, brg_error *error)
{
    json_error_t failure;
    json_t *json = json_loadb(text, size_bytes, JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &failure);
    if (json == NULL)
        return read_failed(&failure, error);
    brg__builder_init(&reader->builder);
    read_json(reader, json);
    json_decref(json);
    brg_status status = brg_builder_finish(&reader->builder, out, error);
    brg__builder_done(&reader->builder);
    return status;
}

brg_status brg_value_from_json(brg_value **out, const char *text, size_t size_bytes, brg_error *error)
{
    json_reader reader;
    reader.number_count = 0;
    reader.wide_count = 0;
    if (size_bytes == 0)
        return brg_error_set(error, BRG_MALFORMED, "value", "JSON, line 1, column 0: the text is empty");
    brg_status status = brg__json_scan_init(&reader.scan, text, size_bytes, error);
    if (status != BRG_OK)
        return status;
    status = read_text(&reader, out, reader.scan.text != NULL ? reader.scan.text : text, size_bytes, error);
    brg__json_scan_done(&reader.scan);
    return status;
}
