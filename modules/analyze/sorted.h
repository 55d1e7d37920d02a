/* SPDX-License-Identifier: MIT */
/*
 * Rows that are sorted without a limit: as records in one text, each
 *     u32 size of what follows, u32 size of the key, the key, select_count fields with their sizes before them.
 * A key is made so that memcmp orders keys as --sort says (as in Graefe, "Implementing sorting in database systems", ACM
 * Computing Surveys 2006): a worker looks at the columns once, and merging compares bytes alone.
 */
#ifndef BRIGADE_ANALYZE_SORTED_H
#define BRIGADE_ANALYZE_SORTED_H

#include "reader.h"

#define SORTED_HEAD (2 * sizeof(uint32_t))

/* One row among others: the first bytes of its key decide most comparisons. */
typedef struct sorted_entry {
    uint64_t prefix; /* of the key, as a number; missing bytes are 0 */
    size_t at;       /* of its record in the text */
} sorted_entry;

typedef struct sorted_rows {
    const analyze_plan *plan;
    pack_writer text;
    sorted_entry *entries, *scratch;
    size_t count, capacity;
} sorted_rows;

static inline uint32_t sorted_word(const char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

uint64_t analyze_sorted_prefix(const char *key, uint32_t size);
/* Below 0: key `a` comes first. */
int analyze_sorted_compare(const char *a, uint32_t a_size, const char *b, uint32_t b_size);
/* The bytes of a record at `at` with its sizes, of `left` that are there; 0: it is none, or not all of it is there. */
size_t analyze_sorted_record(const char *at, size_t left);

void analyze_sorted_clear(sorted_rows *rows);
void analyze_sorted_done(sorted_rows *rows);
/* `fields` are select_count and sort_count of them. False without memory. */
bool analyze_sorted_add(sorted_rows *rows, const analyze_field *fields);
/* Sorts them, those that are equal in the order they came, and packs at most plan->limit: how many bytes, and the
 * records. */
void analyze_sorted_pack(sorted_rows *rows, pack_writer *writer);

#endif
