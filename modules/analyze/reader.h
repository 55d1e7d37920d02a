/* SPDX-License-Identifier: MIT */
/*
 * Rows out of bytes. A row begins where the row before ended, so what a row is depends on where the first one begins
 * and on the bytes alone, never on how many of them were there at a time: chunks of any size give the same rows.
 *
 * CSV as RFC 4180 has it, with any delimiter; a line may end in LF or CRLF; empty lines are no rows; a quote inside an
 * unquoted field is a character like others. A row that is longer than row_max, as when a quote is left open, or that
 * the input ends inside a quoted field of, is malformed, and reading goes on with the line after the one it began on: an
 * open quote costs one row, not the rest. NDJSON: a line is an object.
 */
#ifndef BRIGADE_ANALYZE_READER_H
#define BRIGADE_ANALYZE_READER_H

#include "masks.h"
#include "plan.h"

#define READER_PADDING 64 /* readable bytes behind `size` */
#define READER_MASKS 64

typedef struct analyze_field {
    const char *text; /* in the data: between the quotes, where it had some */
    uint32_t size;
    bool escaped; /* it holds doubled quotes, or the escapes of JSON */
} analyze_field;

typedef enum analyze_row {
    READER_GOOD,
    READER_BLANK, /* an empty line */
    READER_BAD,   /* `problem` */
    READER_LONG,  /* too long, and its line end is not in the data: the caller goes on behind it. `problem` too */
    READER_MORE,  /* the row is not all there: again from `row`, with more data */
    READER_END
} analyze_row;

typedef enum analyze_problem {
    PROBLEM_NONE,
    PROBLEM_COLUMNS,     /* problem_number is how many there are */
    PROBLEM_UNCLOSED,    /* at the end of the input */
    PROBLEM_AFTER_QUOTE, /* problem_number is the column, from 0 */
    PROBLEM_LONG,
    PROBLEM_JSON,   /* problem_number is the byte of the line, from 0 */
    PROBLEM_NUMBER, /* of a slot, problem_number; not from here */
    PROBLEM_COUNT
} analyze_problem;

typedef struct analyze_reader {
    const analyze_plan *plan;
    const char *data;
    size_t size;
    bool at_end;              /* the input ends behind the data */
    size_t at;                /* where the next row begins */
    size_t row;               /* where this one does */
    uint64_t lines, row_line; /* line ends before them */
    analyze_field *fields;    /* CSV: of each column; NDJSON: of each slot */
    uint32_t count;           /* CSV: of the row */
    analyze_problem problem;
    uint64_t problem_number;

    uint64_t mask, masks[READER_MASKS];
    size_t mask_base, mask_index, mask_count;
} analyze_reader;

/* Borrows the plan. False without memory. End it with analyze_reader_done. */
bool analyze_reader_init(analyze_reader *reader, const analyze_plan *plan);
void analyze_reader_done(analyze_reader *reader);

/* Sets what there is to read and where; `lines` stay. */
void analyze_reader_set(analyze_reader *reader, const char *data, size_t size, bool at_end, size_t at);

analyze_row analyze_reader_next(analyze_reader *reader);

/* For the two below: the row is too long, or not all there. */
analyze_row analyze_reader_short(analyze_reader *reader, bool in_quotes);
analyze_row analyze_csv_next(analyze_reader *reader);
analyze_row analyze_ndjson_next(analyze_reader *reader);

/* The field without its escapes, in at most `size` bytes at `out`. Returns how many. */
size_t analyze_csv_decode(const analyze_field *field, char *out);
size_t analyze_ndjson_decode(const analyze_field *field, char *out);

/*
 * Where in data[from, to) the first row begins, as it seems from there, or SIZE_MAX. All before `from`, which is not 0,
 * is readable, and data[to]. A guess, to be checked against where the row before ended: Ge, Li, Eilebrecht, Chandramouli and Kossmann,
 * "Speculative distributed CSV data parsing for big data analytics", SIGMOD 2019. It looks for a quote that can only
 * open a field, or only close one.
 */
size_t analyze_csv_guess(const char *data, size_t from, size_t to, char delimiter);

#endif
