/* SPDX-License-Identifier: MIT */
/* The rows of one chunk into groups, tallies or rows: a partial result, which travels packed (result.h reads it). */
#ifndef BRIGADE_ANALYZE_SCAN_H
#define BRIGADE_ANALYZE_SCAN_H

#include "filter.h"
#include "groups.h"
#include "rows.h"
#include "sorted.h"

#define SCAN_NO_ROW UINT64_MAX
#define SCAN_EXCERPT 60 /* bytes of a malformed row that are shown */

typedef struct analyze_scan {
    const analyze_plan *plan;
    analyze_reader reader;
    analyze_cursor cursor;
    group_table groups;
    tally_table tallies;
    row_set rows;
    sorted_rows sorted;
    uint64_t row_count, matched, malformed;
    pack_writer problems, key;
    uint32_t problem_count;
    double numbers[ANALYZE_SLOTS_MAX]; /* of plan->values */
    uint64_t present;                  /* which of them have one */
    bool failed;                       /* out of memory */
} analyze_scan;

/* Borrows the plan. False without memory. */
bool analyze_scan_init(analyze_scan *scan, const analyze_plan *plan);
void analyze_scan_done(analyze_scan *scan);
/* For the next chunk. */
void analyze_scan_clear(analyze_scan *scan);

/*
 * Takes the rows of scan->reader that begin before `stop` in its data; byte 0 of that is byte `base` of the input.
 * READER_END: that was all; READER_MORE, READER_LONG: as the reader says; READER_BAD: `failed`. May be called again.
 */
analyze_row analyze_scan_run(analyze_scan *scan, uint64_t base, size_t stop);

/* The partial result: its first row begins at `start` of the input (SCAN_NO_ROW: there is none), what follows at `end`. */
void analyze_scan_pack(analyze_scan *scan, uint64_t start, uint64_t end, pack_writer *writer);

#endif
