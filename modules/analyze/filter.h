/* SPDX-License-Identifier: MIT */
/* What is done with the slots of a row: their texts and numbers, and whether the filter holds. */
#ifndef BRIGADE_ANALYZE_FILTER_H
#define BRIGADE_ANALYZE_FILTER_H

#include "arena.h"
#include "reader.h"

/* The row that the reader read last. */
typedef struct analyze_cursor {
    analyze_reader *reader;
    uint32_t index[ANALYZE_SLOTS_MAX]; /* of each slot, in the reader's fields */
    text_arena texts;                  /* of this row, without escapes; `used` tells whether there are any */
    bool used, no_memory;
} analyze_cursor;

void analyze_cursor_init(analyze_cursor *cursor, analyze_reader *reader);

/* To be called before each row. */
static inline void analyze_cursor_next(analyze_cursor *cursor)
{
    if (cursor->used)
        arena_clear(&cursor->texts);
    cursor->used = false;
}

/* The text of a slot; stays for the row. */
analyze_field analyze_cursor_unescape(analyze_cursor *cursor, const analyze_field *field);
static inline analyze_field analyze_cursor_text(analyze_cursor *cursor, uint32_t slot)
{
    const analyze_field *field = &cursor->reader->fields[cursor->index[slot]];
    return __builtin_expect(field->escaped, 0) ? analyze_cursor_unescape(cursor, field) : *field;
}

/* 1 holds, 0 does not, -1: a cell compared with a number is none, and *slot is which. */
int analyze_filter(analyze_cursor *cursor, uint32_t *slot);

#endif
