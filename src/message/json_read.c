/* SPDX-License-Identifier: MIT */
/*
 * JSON text to values, as it comes: a state between tokens, a state inside a token, and the token's bytes so far where
 * it spans pieces or has escapes. Tokens that lie whole in one piece are not copied. The builder keeps the stack of
 * containers.
 */
#include "base/util.h"
#include "message/builder.h"
#include "message/json.h"
#include "os/memory.h"

typedef enum json_state {
    JSON_VALUE,        /* a value is due */
    JSON_VALUE_OR_END, /* after [ */
    JSON_KEY_OR_END,   /* after { */
    JSON_KEY,          /* after , in an object */
    JSON_COLON,
    JSON_COMMA_OR_END,
    JSON_DONE, /* the value is there */
    JSON_STRING,
    JSON_NUMBER,
    JSON_WORD,
    JSON_FAILED
} json_state;

struct brg_json_reader {
    json_state state;
    brg_json_flags flags;
    bool is_key;         /* of the string */
    bool has_begun;      /* something but white space was there */
    uint8_t escape;      /* 0 outside; 1 after a backslash; 2 to 5: hex digits to come, plus 1 */
    uint32_t unit;       /* the UTF-16 unit that is being read */
    uint32_t lead;       /* the leading surrogate before it, or 0 */
    uint64_t offset;     /* bytes before the piece */
    uint64_t line;       /* from 1 */
    uint64_t line_start; /* offset of its first byte */
    char *token;
    size_t token_size;
    size_t token_capacity;
    brg_builder builder;
};

static brg_status read_fail(brg_json_reader *reader, uint64_t at, brg_status status, const char *what, brg_error *error)
{
    reader->state = JSON_FAILED;
    return brg_error_set(error, status, "value", "JSON, line %llu, column %llu (byte %llu): %s",
                         (unsigned long long)reader->line, (unsigned long long)(at - reader->line_start) + 1,
                         (unsigned long long)at, what);
}

static brg_status read_malformed(brg_json_reader *reader, uint64_t at, const char *what, brg_error *error)
{
    return read_fail(reader, at, BRG_MALFORMED, what, error);
}

/* What the builder refused, with its place. */
static brg_status read_built(brg_json_reader *reader, uint64_t at, brg_error *error)
{
    const brg_error *failure = &reader->builder.failure;
    if (BRG__LIKELY(failure->status == BRG_OK))
        return BRG_OK;
    return read_fail(reader, at, failure->status == BRG_INVALID ? BRG_MALFORMED : failure->status, failure->message,
                     error);
}

static bool read_keep(brg_json_reader *reader, const char *bytes, size_t size)
{
    if (reader->token_capacity - reader->token_size <= size) {
        size_t capacity = brg__max(reader->token_size + size + 1, brg__max(reader->token_capacity * 2, 64));
        char *token = brg__realloc(reader->token, capacity);
        if (token == NULL)
            return false;
        reader->token = token;
        reader->token_capacity = capacity;
    }
    memcpy(reader->token + reader->token_size, bytes, size);
    reader->token_size += size;
    reader->token[reader->token_size] = '\0';
    return true;
}

static brg_status read_memory(brg_json_reader *reader, brg_error *error)
{
    reader->state = JSON_FAILED;
    return brg__error_memory(error, "reading JSON");
}

static brg_status read_begin(brg_json_reader *reader, json_state state)
{
    reader->state = state;
    reader->token_size = 0;
    return BRG_OK;
}

static void read_after_value(brg_json_reader *reader)
{
    reader->state = reader->builder.depth > 0 ? JSON_COMMA_OR_END : JSON_DONE;
}

/* ---- strings ---- */

static brg_status read_end_string(brg_json_reader *reader, uint64_t at, const char *text, size_t size, brg_error *error)
{
    if (!reader->is_key) {
        brg_builder_string_n(&reader->builder, text, size);
        read_after_value(reader);
    } else if (memchr(text, '\0', size) != NULL) {
        return read_malformed(reader, at, "a key with a zero character in it", error);
    } else {
        brg_builder_key_n(&reader->builder, text, size);
        reader->state = JSON_COLON;
    }
    return read_built(reader, at, error);
}

static bool read_keep_character(brg_json_reader *reader, uint32_t c)
{
    char bytes[4];
    size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size; i-- > 1; c >>= 6)
        bytes[i] = (char)(0x80 | (c & 0x3f));
    bytes[0] = (char)(leads[size] | c);
    return read_keep(reader, bytes, size);
}

/* A \u escape is whole. */
static brg_status read_unit(brg_json_reader *reader, uint64_t at, brg_error *error)
{
    uint32_t unit = reader->unit, lead = reader->lead;
    bool is_lead = unit >= 0xd800 && unit < 0xdc00, is_trail = unit >= 0xdc00 && unit < 0xe000;
    reader->lead = 0;
    if ((lead != 0) != is_trail)
        return read_malformed(reader, at, "half of a surrogate pair", error);
    if (is_lead) {
        reader->lead = unit;
        return BRG_OK;
    }
    if (is_trail)
        unit = 0x10000 + ((lead - 0xd800) << 10) + (unit - 0xdc00);
    return read_keep_character(reader, unit) ? BRG_OK : read_memory(reader, error);
}

static brg_status read_escape(brg_json_reader *reader, uint64_t at, char c, brg_error *error)
{
    static const char shorts[] = "b\bf\fn\nr\rt\t\"\"\\\\//";
    if (reader->escape == 1) {
        reader->escape = 0;
        if (c == 'u') {
            reader->escape = 5;
            reader->unit = 0;
            return BRG_OK;
        }
        if (reader->lead != 0)
            return read_malformed(reader, at, "half of a surrogate pair", error);
        for (size_t i = 0; i + 1 < sizeof(shorts); i += 2)
            if (shorts[i] == c)
                return read_keep(reader, &shorts[i + 1], 1) ? BRG_OK : read_memory(reader, error);
        return read_malformed(reader, at, "an unknown escape", error);
    }
    uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
                                            : 16;
    if (digit == 16)
        return read_malformed(reader, at, "an escape \\u needs four hexadecimal digits", error);
    reader->unit = reader->unit << 4 | digit;
    if (--reader->escape > 1)
        return BRG_OK;
    reader->escape = 0;
    return read_unit(reader, at, error);
}

/* How many bytes are neither the end of a string nor an escape nor a control character. */
static size_t read_plain(const char *text, size_t size)
{
    size_t i = 0;
    while (i < size && (unsigned char)text[i] >= 0x20 && text[i] != '"' && text[i] != '\\')
        i++;
    return i;
}

static brg_status read_string(brg_json_reader *reader, const char *text, size_t size, size_t *used, brg_error *error)
{
    if (reader->escape != 0) {
        *used = 1;
        return read_escape(reader, reader->offset, text[0], error);
    }
    size_t plain = read_plain(text, size);
    *used = plain;
    if (reader->lead != 0 && (plain > 0 || text[0] != '\\'))
        return read_malformed(reader, reader->offset, "half of a surrogate pair", error);
    bool is_whole = plain < size && text[plain] == '"' && reader->token_size == 0;
    if (is_whole) {
        *used = plain + 1;
        return read_end_string(reader, reader->offset + plain, text, plain, error);
    }
    if (!read_keep(reader, text, plain))
        return read_memory(reader, error);
    if (plain == size)
        return BRG_OK;
    *used = plain + 1;
    if (text[plain] == '"')
        return read_end_string(reader, reader->offset + plain, reader->token, reader->token_size, error);
    if (text[plain] != '\\')
        return read_malformed(reader, reader->offset + plain, "a control character in a string", error);
    reader->escape = 1;
    return BRG_OK;
}

/* ---- numbers and words ---- */

static brg_status read_end_number(brg_json_reader *reader, uint64_t at, brg_error *error)
{
    brg__json_number number;
    brg__json_number_read(&number, reader->token, reader->token_size);
    if (number.type == BRG_TYPE_NONE)
        return read_malformed(reader, at - reader->token_size, "no number as JSON has them", error);
    if (number.is_infinite)
        return read_malformed(reader, at - reader->token_size, "a number past the doubles", error);
    if (number.type == BRG_TYPE_INT)
        brg_builder_int(&reader->builder, number.integer);
    else if (number.type == BRG_TYPE_UINT)
        brg_builder_uint(&reader->builder, number.natural);
    else
        brg_builder_double(&reader->builder, number.number);
    read_after_value(reader);
    return read_built(reader, at, error);
}

static brg_status read_end_word(brg_json_reader *reader, uint64_t at, brg_error *error)
{
    if (strcmp(reader->token, "null") == 0)
        brg_builder_nil(&reader->builder);
    else if (strcmp(reader->token, "true") == 0)
        brg_builder_bool(&reader->builder, true);
    else if (strcmp(reader->token, "false") == 0)
        brg_builder_bool(&reader->builder, false);
    else
        return read_malformed(reader, at - reader->token_size, "an unknown word", error);
    read_after_value(reader);
    return read_built(reader, at, error);
}

static bool read_is_in_number(char c)
{
    return (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' || c == 'e' || c == 'E';
}

static brg_status read_run(brg_json_reader *reader, const char *text, size_t size, size_t *used, brg_error *error)
{
    bool is_number = reader->state == JSON_NUMBER;
    size_t i = 0;
    while (i < size && (is_number ? read_is_in_number(text[i]) : text[i] >= 'a' && text[i] <= 'z'))
        i++;
    *used = i;
    if (!is_number && reader->token_size + i > 5)
        return read_malformed(reader, reader->offset - reader->token_size, "an unknown word", error);
    if (!read_keep(reader, text, i))
        return read_memory(reader, error);
    if (i == size)
        return BRG_OK;
    return is_number ? read_end_number(reader, reader->offset + i, error)
                     : read_end_word(reader, reader->offset + i, error);
}

/* ---- between tokens ---- */

static brg_status read_open(brg_json_reader *reader, char c, brg_error *error)
{
    if (reader->builder.depth == BRG_VALUE_DEPTH_MAX)
        return read_fail(reader, reader->offset, BRG_TOO_LARGE, "nests too deep", error);
    if (c == '[')
        brg_builder_list(&reader->builder);
    else
        brg_builder_map(&reader->builder);
    reader->state = c == '[' ? JSON_VALUE_OR_END : JSON_KEY_OR_END;
    return read_built(reader, reader->offset, error);
}

static brg_status read_close(brg_json_reader *reader, brg_error *error)
{
    brg_builder_end(&reader->builder);
    read_after_value(reader);
    return read_built(reader, reader->offset, error);
}

static brg_status read_value(brg_json_reader *reader, char c, size_t *used, brg_error *error)
{
    if (c == '"') {
        reader->is_key = false;
        return read_begin(reader, JSON_STRING);
    }
    if (c == '[' || c == '{')
        return read_open(reader, c, error);
    if (c == ']' && reader->state == JSON_VALUE_OR_END)
        return read_close(reader, error);
    *used = 0;
    if (c == '-' || (c >= '0' && c <= '9'))
        return read_begin(reader, JSON_NUMBER);
    if (c >= 'a' && c <= 'z')
        return read_begin(reader, JSON_WORD);
    return read_malformed(reader, reader->offset, "a value is missing here", error);
}

static brg_status read_between(brg_json_reader *reader, char c, size_t *used, brg_error *error)
{
    bool in_map = reader->builder.depth > 0 && reader->builder.frames[reader->builder.depth - 1].type == BRG_TYPE_MAP;
    *used = 1;
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        if (c == '\n') {
            reader->line++;
            reader->line_start = reader->offset + 1;
        }
        return BRG_OK;
    }
    reader->has_begun = true;
    switch (reader->state) {
    case JSON_KEY_OR_END:
        if (c == '}')
            return read_close(reader, error);
        /* fallthrough */
    case JSON_KEY:
        if (c != '"')
            return read_malformed(reader, reader->offset, "a key is missing here", error);
        reader->is_key = true;
        return read_begin(reader, JSON_STRING);
    case JSON_COLON:
        if (c != ':')
            return read_malformed(reader, reader->offset, "a colon is missing here", error);
        reader->state = JSON_VALUE;
        return BRG_OK;
    case JSON_COMMA_OR_END:
        if (c == (in_map ? '}' : ']'))
            return read_close(reader, error);
        if (c != ',')
            return read_malformed(reader, reader->offset, "a comma or the end is missing here", error);
        reader->state = in_map ? JSON_KEY : JSON_VALUE;
        return BRG_OK;
    case JSON_DONE:
        return read_malformed(reader, reader->offset, "more after the value", error);
    default:
        return read_value(reader, c, used, error);
    }
}

static brg_status read_take(brg_json_reader *reader, brg_value **out, brg_error *error)
{
    brg_value *value = NULL, *typed = NULL;
    brg_status status = brg_builder_finish(&reader->builder, &value, error);
    if (status == BRG_OK && (reader->flags & BRG_JSON_TYPED) != 0) {
        status = brg__json_typed(&typed, value, error);
        brg_value_unref(value);
        value = typed;
    }
    if (status != BRG_OK) {
        reader->state = JSON_FAILED;
        return status;
    }
    *out = value;
    if ((reader->flags & BRG_JSON_MANY) != 0)
        reader->state = JSON_VALUE;
    reader->has_begun = (reader->flags & BRG_JSON_MANY) == 0;
    return BRG_OK;
}

brg_status brg_json_reader_feed(brg_json_reader *reader, const char *text, size_t size_bytes, size_t *used_bytes,
                                brg_value **out, brg_error *error)
{
    size_t at = 0;
    *out = NULL;
    brg_status status = BRG_OK;
    if (reader->state == JSON_FAILED)
        status = brg_error_set(error, BRG_STATE, "value", "the JSON before was malformed; brg_json_reader_reset first");
    while (status == BRG_OK && at < size_bytes && *out == NULL) {
        size_t used = 0;
        json_state before = reader->state;
        if (before == JSON_STRING)
            status = read_string(reader, text + at, size_bytes - at, &used, error);
        else if (before == JSON_NUMBER || before == JSON_WORD)
            status = read_run(reader, text + at, size_bytes - at, &used, error);
        else
            status = read_between(reader, text[at], &used, error);
        at += used;
        reader->offset += used;
        if (status == BRG_OK && before != JSON_DONE && reader->state == JSON_DONE)
            status = read_take(reader, out, error);
    }
    if (used_bytes != NULL)
        *used_bytes = at;
    return status;
}

brg_status brg_json_reader_finish(brg_json_reader *reader, brg_value **out, brg_error *error)
{
    brg_status status = BRG_OK;
    *out = NULL;
    if (reader->state == JSON_FAILED)
        return brg_error_set(error, BRG_STATE, "value", "the JSON before was malformed; brg_json_reader_reset first");
    if (reader->state == JSON_NUMBER)
        status = read_end_number(reader, reader->offset, error);
    else if (reader->state == JSON_WORD)
        status = read_end_word(reader, reader->offset, error);
    else if (reader->state == JSON_DONE || (!reader->has_begun && (reader->flags & BRG_JSON_MANY) != 0))
        return BRG_OK;
    if (status != BRG_OK)
        return status;
    if (!reader->has_begun)
        return read_malformed(reader, reader->offset, "the text is empty", error);
    if (reader->state != JSON_DONE)
        return read_malformed(reader, reader->offset, "the text ends inside a value", error);
    return read_take(reader, out, error);
}

static void read_init(brg_json_reader *reader, brg_json_flags flags)
{
    memset(reader, 0, offsetof(brg_json_reader, builder));
    reader->flags = flags;
    reader->line = 1;
    brg__builder_init(&reader->builder);
}

static void read_done(brg_json_reader *reader)
{
    brg__mfree(reader->token);
    brg__builder_done(&reader->builder);
}

brg_status brg_json_reader_create(brg_json_reader **out, brg_json_flags flags, brg_error *error)
{
    brg_json_reader *reader = brg__malloc(sizeof(*reader));
    if (reader == NULL)
        return brg__error_memory(error, "creating a JSON reader");
    read_init(reader, flags);
    *out = reader;
    return BRG_OK;
}

void brg_json_reader_destroy(brg_json_reader *reader)
{
    if (reader == NULL)
        return;
    read_done(reader);
    brg__mfree(reader);
}

void brg_json_reader_reset(brg_json_reader *reader)
{
    brg_json_flags flags = reader->flags;
    read_done(reader);
    read_init(reader, flags);
}

brg_status brg_value_from_json_flags(brg_value **out, const char *text, size_t size_bytes, brg_json_flags flags,
                                     brg_error *error)
{
    brg_json_reader reader;
    brg_value *value = NULL, *more = NULL;
    size_t used = 0;
    read_init(&reader, flags & ~BRG_JSON_MANY);
    brg_status status = brg_json_reader_feed(&reader, text, size_bytes, &used, &value, error);
    if (status == BRG_OK && value != NULL)
        status = brg_json_reader_feed(&reader, text + used, size_bytes - used, &used, &more, error);
    else if (status == BRG_OK)
        status = brg_json_reader_finish(&reader, &value, error);
    read_done(&reader);
    if (status != BRG_OK) {
        brg_value_unref(value);
        return status;
    }
    *out = value;
    return BRG_OK;
}

brg_status brg_value_from_json(brg_value **out, const char *text, size_t size_bytes, brg_error *error)
{
    return brg_value_from_json_flags(out, text, size_bytes, BRG_JSON_COMPACT, error);
}
