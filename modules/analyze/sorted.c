/* SPDX-License-Identifier: MIT */
#include "sorted.h"

#include "groups.h"
#include "rows.h"

#define SORTED_FIRST 1024
#define SORTED_BLOCK 12 /* rows that are sorted by insertion */

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* A text, ended so that what it begins comes behind it: NUL as 0 and 255, the end as 0 and 0. */
static void sorted_put_text(pack_writer *key, const char *text, uint32_t size, uint8_t flip)
{
    char *to = pack_room(key, 2 * (size_t)size + 2);
    size_t used = 0;
    if (to == NULL)
        return;
    for (uint32_t i = 0; i < size; i++) {
        to[used++] = (char)((uint8_t)text[i] ^ flip);
        if (text[i] == '\0')
            to[used++] = (char)(0xff ^ flip);
    }
    to[used++] = (char)flip;
    to[used++] = (char)flip;
    key->size -= 2 * (size_t)size + 2 - used;
}

/* Numbers, then texts, then empty cells, whatever the direction. */
static void sorted_put_key(pack_writer *key, const analyze_field *field, bool descending)
{
    row_key parsed = analyze_row_key(field->text, field->size);
    pack_put(key, &parsed.kind, 1);
    if (parsed.kind == 0) {
        uint64_t word = analyze_order(parsed.number);
        word = __builtin_bswap64(descending ? ~word : word);
        pack_put_u64(key, word);
    } else if (parsed.kind == 1) {
        sorted_put_text(key, field->text, field->size, descending ? 0xff : 0);
    }
}

uint64_t analyze_sorted_prefix(const char *key, uint32_t size)
{
    uint64_t word = 0;
    memcpy(&word, key, size < sizeof(word) ? size : sizeof(word));
    return __builtin_bswap64(word);
}

int analyze_sorted_compare(const char *a, uint32_t a_size, const char *b, uint32_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

size_t analyze_sorted_record(const char *at, size_t left)
{
    if (left < SORTED_HEAD)
        return 0;
    size_t size = sorted_word(at);
    if (size < sizeof(uint32_t) || size > left - sizeof(uint32_t) ||
        sorted_word(at + sizeof(uint32_t)) > size - sizeof(uint32_t))
        return 0;
    return size + sizeof(uint32_t);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

void analyze_sorted_clear(sorted_rows *rows)
{
    rows->text.size = rows->count = 0;
    rows->text.failed = false;
}

void analyze_sorted_done(sorted_rows *rows)
{
    free(rows->text.data);
    free(rows->entries);
    free(rows->scratch);
    *rows = (sorted_rows){.plan = rows->plan};
}

static bool sorted_grow(sorted_rows *rows)
{
    size_t capacity = rows->capacity == 0 ? SORTED_FIRST : rows->capacity * 2;
    sorted_entry *entries = realloc(rows->entries, capacity * sizeof(*entries));
    if (entries == NULL)
        return false;
    rows->entries = entries;
    rows->capacity = capacity;
    return true;
}

bool analyze_sorted_add(sorted_rows *rows, const analyze_field *fields)
{
    const analyze_plan *plan = rows->plan;
    pack_writer *text = &rows->text;
    size_t at = text->size;
    if (rows->count == rows->capacity && !sorted_grow(rows))
        return false;
    pack_room(text, SORTED_HEAD);
    for (uint32_t i = 0; i < plan->sort_count; i++)
        sorted_put_key(text, &fields[plan->select_count + i], plan->sort[i].descending);
    size_t key_size = text->size - at - SORTED_HEAD;
    for (uint32_t i = 0; i < plan->select_count; i++)
        pack_put_text(text, fields[i].text, fields[i].size);
    size_t size = text->size - at - sizeof(uint32_t);
    if (text->failed || size > UINT32_MAX)
        return false;
    const uint32_t head[] = {(uint32_t)size, (uint32_t)key_size};
    memcpy(text->data + at, head, sizeof(head));
    rows->entries[rows->count++] = (sorted_entry){
        analyze_sorted_prefix(text->data + at + SORTED_HEAD, (uint32_t)key_size), at};
    return true;
}

/* ---- sorting ----------------------------------------------------------------------------------------------------- */

static inline bool sorted_is_before(const char *text, const sorted_entry *a, const sorted_entry *b)
{
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix;
    const char *first = text + a->at + sizeof(uint32_t), *second = text + b->at + sizeof(uint32_t);
    return analyze_sorted_compare(first + sizeof(uint32_t), sorted_word(first), second + sizeof(uint32_t),
                                  sorted_word(second)) < 0;
}

static void sorted_insert(const char *text, sorted_entry *entries, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        sorted_entry entry = entries[i];
        size_t at = i;
        for (; at > 0 && sorted_is_before(text, &entry, &entries[at - 1]); at--)
            entries[at] = entries[at - 1];
        entries[at] = entry;
    }
}

static void sorted_merge(const char *text, const sorted_entry *from, size_t middle, size_t end, sorted_entry *to)
{
    size_t left = 0, right = middle;
    while (left < middle && right < end)
        *to++ = sorted_is_before(text, &from[right], &from[left]) ? from[right++] : from[left++];
    memcpy(to, from + left, (middle - left) * sizeof(*to));
    memcpy(to + (middle - left), from + right, (end - right) * sizeof(*to));
}

/* From the bottom up, so that equal rows keep their order (Knuth, TAOCP volume 3, 5.2.4). False without memory. */
static bool sorted_sort(sorted_rows *rows)
{
    const char *text = rows->text.data;
    size_t count = rows->count;
    sorted_entry *scratch = realloc(rows->scratch, rows->capacity * sizeof(*scratch) + 1);
    if (scratch == NULL)
        return false;
    rows->scratch = scratch;
    for (size_t at = 0; at < count; at += SORTED_BLOCK)
        sorted_insert(text, rows->entries + at, count - at < SORTED_BLOCK ? count - at : SORTED_BLOCK);
    for (size_t width = SORTED_BLOCK; width < count; width *= 2) {
        for (size_t at = 0; at < count; at += 2 * width) {
            size_t end = count - at < 2 * width ? count - at : 2 * width;
            sorted_merge(text, rows->entries + at, end < width ? end : width, end, rows->scratch + at);
        }
        scratch = rows->scratch;
        rows->scratch = rows->entries;
        rows->entries = scratch;
    }
    return true;
}

void analyze_sorted_pack(sorted_rows *rows, pack_writer *writer)
{
    if (!sorted_sort(rows)) {
        writer->failed = true;
        return;
    }
    size_t count = rows->count < rows->plan->limit ? rows->count : (size_t)rows->plan->limit;
    size_t place = writer->size;
    pack_put_u64(writer, 0);
    if (count == rows->count && pack_room(writer, rows->text.size) != NULL)
        writer->size -= rows->text.size; /* at once, not by doubling */
    for (size_t i = 0; i < count; i++) {
        const char *record = rows->text.data + rows->entries[i].at;
        pack_put(writer, record, sorted_word(record) + sizeof(uint32_t));
    }
    uint64_t bytes = writer->size - place - sizeof(bytes);
    if (!writer->failed)
        memcpy(writer->data + place, &bytes, sizeof(bytes));
}
