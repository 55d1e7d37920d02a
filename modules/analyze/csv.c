/* SPDX-License-Identifier: MIT */
#include "reader.h"

#define CSV_NONE SIZE_MAX
#define CSV_GUESS_BYTES ((size_t)256 << 10) /* looked through for a telling quote */

static bool csv_fill(analyze_reader *reader)
{
    size_t base = reader->mask_base + reader->mask_count * MASKS_BYTES;
    if (base >= reader->size) {
        reader->mask_index = reader->mask_count - 1;
        return false;
    }
    size_t left = reader->size - base, count = (left + MASKS_BYTES - 1) / MASKS_BYTES;
    if (count > READER_MASKS)
        count = READER_MASKS;
    analyze_masks(reader->data + base, count, reader->plan->delimiter, reader->masks);
    if (left < count * MASKS_BYTES)
        reader->masks[count - 1] &= (UINT64_C(1) << (left % MASKS_BYTES)) - 1;
    reader->mask_base = base;
    reader->mask_count = count;
    reader->mask_index = 0;
    return true;
}

/* The next delimiter, line end or quote; CSV_NONE behind the last. */
static inline size_t csv_special(analyze_reader *reader)
{
    while (reader->mask == 0) {
        if (++reader->mask_index >= reader->mask_count && !csv_fill(reader))
            return CSV_NONE;
        reader->mask = reader->masks[reader->mask_index];
    }
    size_t at = reader->mask_base + reader->mask_index * MASKS_BYTES + (size_t)__builtin_ctzll(reader->mask);
    reader->mask &= reader->mask - 1;
    return at;
}

static inline void csv_store(analyze_reader *reader, uint32_t index, size_t from, size_t to)
{
    if (index < reader->plan->columns)
        reader->fields[index] = (analyze_field){reader->data + from, (uint32_t)(to - from), false};
}

/* Past the closing quote of the field that opens at `open`; where it stands, or CSV_NONE. */
static size_t csv_close(analyze_reader *reader, uint32_t index, size_t open)
{
    bool escaped = false;
    for (;;) {
        size_t at = csv_special(reader);
        if (at == CSV_NONE)
            return CSV_NONE;
        if (reader->data[at] == '\n')
            reader->lines++;
        if (reader->data[at] != '"')
            continue;
        if (at + 1 == reader->size && !reader->at_end)
            return CSV_NONE; /* doubled, or the end of the field */
        if (at + 1 == reader->size || reader->data[at + 1] != '"') {
            if (index < reader->plan->columns)
                reader->fields[index] = (analyze_field){reader->data + open + 1, (uint32_t)(at - open - 1), escaped};
            return at;
        }
        csv_special(reader);
        escaped = true;
    }
}

/* The special character that ends the field closed at `close`; anything but a CR between is a problem. */
static size_t csv_after_quote(analyze_reader *reader, uint32_t index, size_t close)
{
    size_t at;
    do
        at = csv_special(reader);
    while (at != CSV_NONE && reader->data[at] == '"');
    size_t end = at == CSV_NONE ? reader->size : at;
    bool line = at == CSV_NONE || reader->data[at] == '\n';
    if (end != close + 1 && !(line && end == close + 2 && reader->data[close + 1] == '\r') &&
        reader->problem == PROBLEM_NONE) {
        reader->problem = PROBLEM_AFTER_QUOTE;
        reader->problem_number = index;
    }
    return at;
}

static analyze_row csv_finish(analyze_reader *reader, uint32_t count, size_t end)
{
    if (end - reader->row > reader->plan->row_max)
        return analyze_reader_short(reader, false);
    reader->count = count;
    reader->lines += end < reader->size;
    reader->at = end < reader->size ? end + 1 : end;
    if (reader->problem != PROBLEM_NONE)
        return READER_BAD;
    if (count == reader->plan->columns)
        return READER_GOOD;
    reader->problem = PROBLEM_COLUMNS;
    reader->problem_number = count;
    return READER_BAD;
}

/* An unquoted last field, and the row. */
static analyze_row csv_last(analyze_reader *reader, uint32_t index, size_t field, size_t end)
{
    size_t text_end = end > field && reader->data[end - 1] == '\r' ? end - 1 : end;
    if (index == 0 && text_end == field && field == reader->row) {
        reader->lines += end < reader->size;
        reader->at = end < reader->size ? end + 1 : end;
        return READER_BLANK;
    }
    csv_store(reader, index, field, text_end);
    return csv_finish(reader, index + 1, end);
}

analyze_row analyze_csv_next(analyze_reader *reader)
{
    const char delimiter = reader->plan->delimiter;
    size_t field = reader->row;
    for (uint32_t index = 0;;) {
        size_t at = csv_special(reader);
        if (at == CSV_NONE) {
            if (!reader->at_end)
                return analyze_reader_short(reader, false);
            return csv_last(reader, index, field, reader->size);
        }
        char special = reader->data[at];
        if (special == delimiter) {
            csv_store(reader, index++, field, at);
            field = at + 1;
        } else if (special == '\n') {
            return csv_last(reader, index, field, at);
        } else if (at == field) {
            size_t close = csv_close(reader, index, at);
            if (close == CSV_NONE)
                return analyze_reader_short(reader, true);
            at = csv_after_quote(reader, index++, close);
            if (at == CSV_NONE && !reader->at_end)
                return analyze_reader_short(reader, false);
            if (at == CSV_NONE || reader->data[at] == '\n')
                return csv_finish(reader, index, at == CSV_NONE ? reader->size : at);
            field = at + 1;
        }
    }
}

size_t analyze_csv_decode(const analyze_field *field, char *out)
{
    size_t size = 0;
    for (uint32_t i = 0; i < field->size; i++) {
        out[size++] = field->text[i];
        if (field->text[i] == '"')
            i++;
    }
    return size;
}

/* ---- guessing where a row begins ------------------------------------------------------------------------------- */

/* Behind the first line end outside quotes, by the rules of analyze_csv_next; or `to`. */
static size_t csv_line_end(const char *data, size_t at, size_t to, char delimiter, bool in_quotes)
{
    bool field_start = !in_quotes && (data[at - 1] == delimiter || data[at - 1] == '\n');
    for (; at < to; at++) {
        char byte = data[at];
        if (in_quotes) {
            if (byte == '"' && data[at + 1] == '"')
                at++;
            else if (byte == '"')
                in_quotes = field_start = false;
        } else if (byte == '\n') {
            return at + 1;
        } else {
            in_quotes = byte == '"' && field_start;
            field_start = byte == delimiter;
        }
    }
    return to;
}

/* Whether `at` is inside quotes; a run of quotes that could be either is counted and passed. */
static bool csv_seems_quoted(const char *data, size_t at, size_t to, char delimiter)
{
    bool odd = false;
    if (to - at > CSV_GUESS_BYTES)
        to = at + CSV_GUESS_BYTES;
    while (at < to) {
        const char *quote = memchr(data + at, '"', to - at);
        if (quote == NULL)
            break;
        size_t first = (size_t)(quote - data), last = first;
        while (last + 1 < to && data[last + 1] == '"')
            last++;
        at = last + 1;
        if ((at - first) % 2 == 0)
            continue;
        char before = data[first - 1], after = data[at];
        bool may_open = before == delimiter || before == '\n';
        bool may_close = after == delimiter || after == '\n' || after == '\r';
        if (may_open != may_close)
            return may_close != odd;
        odd = !odd;
    }
    return false;
}

size_t analyze_csv_guess(const char *data, size_t from, size_t to, char delimiter)
{
    /* In the middle of a run of quotes nothing could be told: from its beginning on. */
    size_t first = from;
    while (first > 1 && data[first - 1] == '"')
        first--;
    bool in_quotes = csv_seems_quoted(data, first, to, delimiter);
    if (!in_quotes && first == from && data[from - 1] == '\n')
        return from;
    size_t at = csv_line_end(data, first, to, delimiter, in_quotes);
    return at < to ? at : SIZE_MAX;
}
