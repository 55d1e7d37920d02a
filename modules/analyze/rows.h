/* SPDX-License-Identifier: MIT */
/* Rows that are wanted themselves: the first ones, or with a sort the best ones, in a heap of at most `limit`. */
#ifndef BRIGADE_ANALYZE_ROWS_H
#define BRIGADE_ANALYZE_ROWS_H

#include "reader.h"

/* Numbers come before texts, and empty cells last, whatever the direction. */
typedef struct row_key {
    const char *text;
    uint32_t size;
    uint8_t kind; /* 0 number, 1 text, 2 empty */
    double number;
} row_key;

row_key analyze_row_key(const char *text, uint32_t size);
/* Below 0: `a` comes first. */
int analyze_row_compare(const row_key *a, const row_key *b, bool descending);

typedef struct row_item {
    uint64_t order; /* of rows that are equal otherwise */
    uint32_t size;  /* of the record */
    char *record;   /* select_count fields, then those it is sorted by, each with its size before it */
    row_key keys[];
} row_item;

typedef struct row_set {
    const analyze_plan *plan;
    row_item **items; /* with a sort a heap, the worst first */
    size_t count, capacity;
} row_set;

void analyze_rows_init(row_set *rows, const analyze_plan *plan);
void analyze_rows_clear(row_set *rows);
void analyze_rows_done(row_set *rows);

/* `fields` are select_count and sort_count of them. False without memory. */
bool analyze_rows_add(row_set *rows, const analyze_field *fields, uint64_t order);

/* Whether no row after those there will be taken. */
bool analyze_rows_full(const row_set *rows);

/* Into their order. */
void analyze_rows_sort(row_set *rows);

#endif
