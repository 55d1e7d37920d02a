/* SPDX-License-Identifier: MIT */
/*
 * A line of NDJSON: all of it is checked against the grammar of RFC 8259 (but for its UTF-8, which passes through), and
 * only what slots name is kept. Where a key comes twice, the last counts, with all that is in it.
 */
#include "reader.h"

/* One slot that may still be found: what is left of its path. */
typedef struct json_wanted {
    const char *rest;
    uint32_t size, slot;
} json_wanted;

typedef struct json_line {
    analyze_reader *reader;
    const char *at, *end;
    uint32_t found[ANALYZE_SLOTS_MAX]; /* what was left of a slot's path where it was found */
} json_line;

static void json_space(json_line *line)
{
    while (line->at != line->end && (*line->at == ' ' || *line->at == '\t' || *line->at == '\r' || *line->at == '\n'))
        line->at++;
}

static bool json_take(json_line *line, char byte)
{
    json_space(line);
    if (line->at == line->end || *line->at != byte)
        return false;
    line->at++;
    return true;
}

static bool json_escape(json_line *line)
{
    if (line->at == line->end)
        return false;
    char byte = *line->at++;
    if (byte != 'u')
        return byte != '\0' && strchr("\"\\/bfnrt", byte) != NULL;
    for (int i = 0; i < 4; i++, line->at++)
        if (line->at == line->end || *line->at == '\0' || strchr("0123456789abcdefABCDEF", *line->at) == NULL)
            return false;
    return true;
}

/* Behind the opening quote. */
static bool json_string(json_line *line, analyze_field *field)
{
    field->text = line->at;
    field->escaped = false;
    while (line->at != line->end) {
        unsigned char byte = (unsigned char)*line->at++;
        if (byte == '"') {
            field->size = (uint32_t)(line->at - 1 - field->text);
            return true;
        }
        if (byte < 0x20)
            break;
        if (byte == '\\') {
            field->escaped = true;
            if (!json_escape(line))
                break;
        }
    }
    return false;
}

static bool json_digits(json_line *line)
{
    const char *first = line->at;
    while (line->at != line->end && (unsigned)(*line->at - '0') < 10)
        line->at++;
    return line->at != first;
}

static bool json_number(json_line *line)
{
    if (line->at != line->end && *line->at == '-')
        line->at++;
    const char *first = line->at;
    if (!json_digits(line) || (*first == '0' && line->at - first > 1))
        return false;
    if (line->at != line->end && *line->at == '.') {
        line->at++;
        if (!json_digits(line))
            return false;
    }
    if (line->at != line->end && (*line->at == 'e' || *line->at == 'E')) {
        line->at++;
        if (line->at != line->end && (*line->at == '+' || *line->at == '-'))
            line->at++;
        return json_digits(line);
    }
    return true;
}

static bool json_word(json_line *line, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(line->end - line->at) < size || memcmp(line->at, word, size) != 0)
        return false;
    line->at += size;
    return true;
}

static bool json_object(json_line *line, const json_wanted *wanted, uint32_t count, int depth);

static bool json_list(json_line *line, int depth);

/* A value; *field is its text. `wanted` are those that lie in it, where it is an object. */
static bool json_value(json_line *line, analyze_field *field, const json_wanted *wanted, uint32_t count, int depth)
{
    json_space(line);
    if (line->at == line->end || depth > ANALYZE_DEPTH_MAX)
        return false;
    *field = (analyze_field){line->at, 0, false};
    bool good;
    switch (*line->at) {
    case '"':
        line->at++;
        return json_string(line, field);
    case '{':
        line->at++;
        good = json_object(line, wanted, count, depth);
        break;
    case '[':
        line->at++;
        good = json_list(line, depth);
        break;
    case 't':
        good = json_word(line, "true");
        break;
    case 'f':
        good = json_word(line, "false");
        break;
    case 'n':
        return json_word(line, "null"); /* as if it were not there */
    default:
        good = json_number(line);
    }
    field->size = (uint32_t)(line->at - field->text);
    return good;
}

static bool json_list(json_line *line, int depth)
{
    analyze_field ignored;
    if (json_take(line, ']'))
        return true;
    do
        if (!json_value(line, &ignored, NULL, 0, depth + 1))
            return false;
    while (json_take(line, ','));
    return json_take(line, ']');
}

/* Which of `wanted` this key is, or leads to. */
static uint32_t json_match(const analyze_field *key, const json_wanted *wanted, uint32_t count, json_wanted *inside,
                           uint64_t *here, uint32_t *found_at)
{
    uint32_t found = 0;
    *here = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = key->size;
        if (wanted[i].size < size || memcmp(wanted[i].rest, key->text, size) != 0)
            continue;
        if (wanted[i].size == size) {
            *here |= UINT64_C(1) << wanted[i].slot;
            found_at[wanted[i].slot] = size;
        } else if (wanted[i].rest[size] == '.')
            inside[found++] = (json_wanted){wanted[i].rest + size + 1, wanted[i].size - size - 1, wanted[i].slot};
    }
    return found;
}

static bool json_member(json_line *line, const json_wanted *wanted, uint32_t count, int depth)
{
    analyze_field key, value;
    if (!json_take(line, '"') || !json_string(line, &key))
        return false;
    char decoded[256];
    if (key.escaped && key.size <= sizeof(decoded) && count != 0)
        key = (analyze_field){decoded, (uint32_t)analyze_ndjson_decode(&key, decoded), false};
    json_wanted inside[ANALYZE_SLOTS_MAX];
    uint64_t here = 0;
    uint32_t found = count == 0 ? 0 : json_match(&key, wanted, count, inside, &here, line->found);
    /* What an earlier value of this key had counts no more; a key with a dot in it, nearer to the root, does. */
    for (uint32_t i = 0; i < found; i++)
        if (line->found[inside[i].slot] <= inside[i].size)
            line->reader->fields[inside[i].slot].size = 0;
    if (!json_take(line, ':') || !json_value(line, &value, inside, found, depth + 1))
        return false;
    for (; here != 0; here &= here - 1)
        line->reader->fields[__builtin_ctzll(here)] = value;
    return true;
}

/* Behind the opening brace. */
static bool json_object(json_line *line, const json_wanted *wanted, uint32_t count, int depth)
{
    if (json_take(line, '}'))
        return true;
    do
        if (!json_member(line, wanted, count, depth))
            return false;
    while (json_take(line, ','));
    return json_take(line, '}');
}

static bool json_row(json_line *line)
{
    const analyze_plan *plan = line->reader->plan;
    json_wanted wanted[ANALYZE_SLOTS_MAX];
    for (uint32_t i = 0; i < plan->slot_count; i++) {
        wanted[i] = (json_wanted){plan->slots[i].path, plan->slots[i].path_size, i};
        line->reader->fields[i] = (analyze_field){line->at, 0, false};
        line->found[i] = 0;
    }
    if (!json_take(line, '{') || !json_object(line, wanted, plan->slot_count, 1))
        return false;
    json_space(line);
    return line->at == line->end;
}

analyze_row analyze_ndjson_next(analyze_reader *reader)
{
    const char *start = reader->data + reader->row;
    size_t left = reader->size - reader->row;
    const char *end = memchr(start, '\n', left);
    if (end == NULL && !reader->at_end)
        return analyze_reader_short(reader, false);
    size_t size = end == NULL ? left : (size_t)(end - start);
    if (size > reader->plan->row_max)
        return analyze_reader_short(reader, false);
    reader->at = reader->row + size + (end != NULL);
    reader->lines += end != NULL;
    json_line line = {.reader = reader, .at = start, .end = start + size};
    json_space(&line);
    if (line.at == line.end)
        return READER_BLANK;
    if (json_row(&line))
        return READER_GOOD;
    reader->problem = PROBLEM_JSON;
    reader->problem_number = (uint64_t)(line.at - start);
    return READER_BAD;
}

static uint32_t json_hex(const char *text)
{
    uint32_t number = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char digit = (unsigned char)text[i];
        number = number * 16 + (digit <= '9' ? digit - 48u : (digit | 0x20u) - 'a' + 10u);
    }
    return number;
}

static size_t json_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

size_t analyze_ndjson_decode(const analyze_field *field, char *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    size_t size = 0;
    for (const char *at = field->text, *end = at + field->size; at != end; at++) {
        if (*at != '\\') {
            out[size++] = *at;
            continue;
        }
        const char *simple = strchr(from, *++at);
        if (*at != 'u') {
            out[size++] = simple != NULL ? to[simple - from] : *at;
            continue;
        }
        uint32_t code = json_hex(at + 1);
        at += 4;
        if (code >= 0xd800 && code < 0xdc00 && end - at > 6 && at[1] == '\\' && at[2] == 'u') {
            uint32_t low = json_hex(at + 3);
            if (low >= 0xdc00 && low < 0xe000) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                at += 6;
            }
        }
        size += json_utf8(code >= 0xd800 && code < 0xe000 ? 0xfffd : code, out + size);
    }
    return size;
}
