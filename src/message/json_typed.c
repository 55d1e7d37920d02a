/* SPDX-License-Identifier: MIT */
/*
 * From a value that is plain JSON to one where objects of one key, as json.h lists them, are the types they stand for.
 * A second value is built along the first: that needs no order of keys, and plain reading pays nothing for it.
 */
#include "base/util.h"
#include "message/builder.h"
#include "message/json.h"
#include "os/memory.h"

typedef struct json_kind {
    const char *key;
    bool (*build)(brg_builder *builder, brg_view view);
} json_kind;

static void typed_node(brg_builder *builder, brg_view view);

static bool typed_timestamp(brg_builder *builder, brg_view view)
{
    int64_t ns = 0;
    if (brg_view_type(view) != BRG_TYPE_INT || brg_view_int(view, &ns) != BRG_OK)
        return false;
    brg_builder_timestamp(builder, ns);
    return true;
}

static int typed_hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool typed_bigint(brg_builder *builder, brg_view view)
{
    size_t size = 0;
    const char *text = brg_view_string(view, &size);
    if (text == NULL)
        return false;
    bool negative = text[0] == '-';
    size_t start = (size_t)negative + 2;
    if (size <= start || text[start - 2] != '0' || text[start - 1] != 'x')
        return false;
    size_t digits = size - start;
    unsigned char *bytes = brg__calloc(digits / 2 + 1, 1);
    bool good = bytes != NULL;
    for (size_t i = 0; good && i < digits; i++) {
        int digit = typed_hex(text[size - 1 - i]);
        good = digit >= 0;
        if (good)
            bytes[i / 2] |= (unsigned char)(digit << (i % 2 * 4));
    }
    if (good)
        brg_builder_bigint(builder, negative, bytes, digits / 2 + 1);
    else if (bytes == NULL)
        brg__builder_fail_memory(builder);
    brg__mfree(bytes);
    return good || bytes == NULL;
}

static int typed_sextet(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* RFC 4648, strictly: padding, and no bits past the end. Bytes written to `to`, or SIZE_MAX. */
static size_t typed_base64(unsigned char *to, const char *text, size_t size)
{
    size_t used = 0;
    uint32_t bits = 0;
    if (size % 4 != 0)
        return SIZE_MAX;
    size_t padding = size > 0 && text[size - 1] == '=' ? 1 + (size_t)(text[size - 2] == '=') : 0;
    for (size_t i = 0; i < size; i++) {
        int sextet = i >= size - padding ? 0 : typed_sextet(text[i]);
        if (sextet < 0)
            return SIZE_MAX;
        bits = bits << 6 | (uint32_t)sextet;
        if (i % 4 != 3)
            continue;
        size_t spare = i + 1 == size ? padding : 0, count = 3 - spare;
        if ((bits & ((1u << (8 * spare)) - 1)) != 0)
            return SIZE_MAX;
        for (size_t k = 0; k < count && k < 3; k++)
            to[used++] = (unsigned char)(bits >> (16 - 8 * k));
        bits = 0;
    }
    return used;
}

static bool typed_bytes(brg_builder *builder, brg_view view)
{
    size_t size = 0;
    const char *text = brg_view_string(view, &size);
    if (text == NULL)
        return false;
    unsigned char *bytes = brg__malloc(size / 4 * 3 + 1);
    if (bytes == NULL) {
        brg__builder_fail_memory(builder);
        return true;
    }
    size_t used = typed_base64(bytes, text, size);
    if (used != SIZE_MAX)
        brg_builder_bytes(builder, bytes, used);
    brg__mfree(bytes);
    return used != SIZE_MAX;
}

static bool typed_element(brg_element element, brg_view view, unsigned char *to)
{
    static const int64_t lows[] = {0, INT8_MIN, 0, INT16_MIN, 0, INT32_MIN, 0, INT64_MIN};
    static const int64_t highs[] = {0, INT8_MAX, UINT8_MAX, INT16_MAX, UINT16_MAX, INT32_MAX, UINT32_MAX, INT64_MAX};
    double number = 0;
    int64_t integer = 0;
    uint64_t natural = 0;
    if (element >= BRG_ELEMENT_F32) {
        if (brg_view_double(view, &number) != BRG_OK)
            return false;
        float narrow = (float)number;
        memcpy(to, element == BRG_ELEMENT_F32 ? (const void *)&narrow : (const void *)&number,
               brg_element_bytes(element));
        return true;
    }
    if (element == BRG_ELEMENT_U64) {
        if (brg_view_uint(view, &natural) != BRG_OK)
            return false;
        memcpy(to, &natural, sizeof(natural));
        return true;
    }
    if (brg_view_int(view, &integer) != BRG_OK || integer < lows[element] || integer > highs[element])
        return false;
    memcpy(to, &integer, brg_element_bytes(element)); /* little-endian: its low bytes */
    return true;
}

static bool typed_array(brg_builder *builder, brg_view view)
{
    const char *name = brg_view_string(brg_view_at(view, 0), NULL);
    brg_element element = BRG_ELEMENT_I8;
    if (brg_view_type(view) != BRG_TYPE_LIST || name == NULL)
        return false;
    while (element <= BRG_ELEMENT_F64 && strcmp(brg_element_name(element), name) != 0)
        element = (brg_element)(element + 1);
    if (element > BRG_ELEMENT_F64)
        return false;
    size_t count = brg_view_count(view) - 1, size = brg_element_bytes(element);
    unsigned char *bytes = brg__malloc((count + 1) * size);
    if (bytes == NULL) {
        brg__builder_fail_memory(builder);
        return true;
    }
    bool good = true;
    for (size_t i = 0; good && i < count; i++)
        good = typed_element(element, brg_view_at(view, i + 1), bytes + i * size);
    if (good)
        brg_builder_array(builder, element, bytes, count);
    brg__mfree(bytes);
    return good;
}

static bool typed_set(brg_builder *builder, brg_view view)
{
    if (brg_view_type(view) != BRG_TYPE_LIST)
        return false;
    brg_builder_set(builder);
    for (size_t i = 0; i < brg_view_count(view) && builder->failure.status == BRG_OK; i++)
        typed_node(builder, brg_view_at(view, i));
    brg_builder_end(builder);
    return true;
}

static void typed_text(char *to, size_t to_bytes, brg_view view, const char *key)
{
    const char *text = brg_view_get_string(view, key, "");
    size_t size = strnlen(text, to_bytes - 1);
    memcpy(to, text, size);
    to[size] = '\0';
}

static bool typed_error(brg_builder *builder, brg_view view)
{
    brg_error error;
    if (brg_view_type(view) != BRG_TYPE_MAP)
        return false;
    memset(&error, 0, sizeof(error));
    error.status = (brg_status)brg_view_get_int(view, "status", BRG_FAILED);
    error.code = brg_view_get_int(view, "code", 0);
    error.os_errno = (int)brg_view_get_int(view, "errno", 0);
    error.signal = (int)brg_view_get_int(view, "signal", 0);
    error.exit_code = (int)brg_view_get_int(view, "exit_code", 0);
    error.attempt = (uint32_t)brg_view_get_int(view, "attempt", 0);
    typed_text(error.domain, sizeof(error.domain), view, "domain");
    typed_text(error.message, sizeof(error.message), view, "message");
    typed_text(error.backtrace, sizeof(error.backtrace), view, "backtrace");
    brg_builder_error_open(builder, &error);
    const char *const parts[] = {"detail", "cause"};
    for (size_t i = 0; i < brg__count_of(parts); i++) {
        brg_view part = brg_view_get(view, parts[i]);
        if (part.value != NULL)
            typed_node(builder, part);
        else
            brg_builder_nil(builder);
    }
    brg_builder_end(builder);
    return true;
}

static const json_kind typed_kinds[] = {{"$bytes", typed_bytes},   {"$timestamp", typed_timestamp},
                                        {"$bigint", typed_bigint}, {"$array", typed_array},
                                        {"$set", typed_set},       {"$error", typed_error}};

static const json_kind *typed_kind(brg_view view)
{
    const char *key = brg_view_type(view) == BRG_TYPE_MAP && brg_view_count(view) == 1 ? brg_view_key_at(view, 0, NULL)
                                                                                       : NULL;
    for (size_t i = 0; key != NULL && i < brg__count_of(typed_kinds); i++)
        if (strcmp(typed_kinds[i].key, key) == 0)
            return &typed_kinds[i];
    return NULL;
}

static void typed_container(brg_builder *builder, brg_view view, bool is_map)
{
    if (is_map)
        brg_builder_map(builder);
    else
        brg_builder_list(builder);
    for (size_t i = 0; i < brg_view_count(view) && builder->failure.status == BRG_OK; i++) {
        size_t size = 0;
        if (is_map) {
            const char *key = brg_view_key_at(view, i, &size);
            brg_builder_key_n(builder, key, size);
        }
        typed_node(builder, brg_view_at(view, i));
    }
    brg_builder_end(builder);
}

static void typed_node(brg_builder *builder, brg_view view)
{
    brg_type type = brg_view_type(view);
    const json_kind *kind = typed_kind(view);
    if (builder->failure.status != BRG_OK)
        return;
    if (kind != NULL) {
        if (!kind->build(builder, brg_view_at(view, 0)))
            brg__builder_fail(builder, BRG_MALFORMED, "JSON: a %s that is none", kind->key);
    } else if (type == BRG_TYPE_LIST || type == BRG_TYPE_MAP) {
        typed_container(builder, view, type == BRG_TYPE_MAP);
    } else {
        brg_builder_view(builder, view);
    }
}

brg_status brg__json_typed(brg_value **out, const brg_value *plain, brg_error *error)
{
    brg_builder builder;
    brg__builder_init(&builder);
    typed_node(&builder, brg_value_root(plain));
    brg_status status = brg_builder_finish(&builder, out, error);
    brg__builder_done(&builder);
    if (status == BRG_INVALID) /* an element of a set that is there twice */
        status = error != NULL ? (error->status = BRG_MALFORMED) : BRG_MALFORMED;
    return status;
}
