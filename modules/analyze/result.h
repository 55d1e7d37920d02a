/* SPDX-License-Identifier: MIT */
/* Partial results put together, in the order of their chunks. */
#ifndef BRIGADE_ANALYZE_RESULT_H
#define BRIGADE_ANALYZE_RESULT_H

#include "groups.h"
#include "reader.h"
#include "rows.h"

typedef struct result_problem {
    uint64_t line;   /* of its input, from 1 */
    uint64_t offset; /* in bytes */
    uint32_t input;  /* which one */
    analyze_problem problem;
    uint64_t number;
    uint32_t size;
    char text[64];
} result_problem;

#define RESULT_PROBLEMS_MAX 1000

/* A row, in order: select_count fields with their sizes before them. */
typedef void (*result_row_fn)(const char *record, uint32_t size, void *user_data);

/* Records of a sorted run (sorted.h). False: they could not be taken, which is said already. */
typedef bool (*result_run_fn)(const char *records, size_t size, void *user_data);

/* Listed values, to be sorted elsewhere: what comes of them goes to analyze_result_add_run. False as above. */
typedef bool (*result_values_fn)(const tally_entry *entries, size_t count, void *user_data);

#define RESULT_RUNS_MAX 64 /* each is at least twice as long as the next */

/* Sorted by owner and value, each once. */
typedef struct value_run {
    tally_entry *entries;
    size_t count;
} value_run;

typedef struct analyze_result {
    const analyze_plan *plan;
    uint64_t groups_max, values_max;
    group_table groups;
    tally_table tallies;
    value_run runs[RESULT_RUNS_MAX]; /* of values that were listed; in the end all are in the first */
    size_t value_run_count;
    row_set rows;
    result_row_fn row;       /* gets rows as they come, where no sort is wanted; else they are kept */
    result_run_fn run;       /* gets the runs of plan->sorted, in the order of the input */
    result_values_fn values; /* gets lists of values that have grown long; NULL: they are sorted here */
    void *user_data;
    uint64_t row_count, matched, malformed, rows_given;
    uint32_t input;  /* of what is merged next, */
    uint64_t lines;  /* and the line ends of it before that; */
    uint64_t before; /* bytes of the inputs before that one */
    result_problem *problems;
    uint32_t problem_count;
} analyze_result;

/* What stands before a partial result's content. */
typedef struct analyze_partial {
    uint64_t start, end, row_count, matched, malformed, lines, problem_count;
} analyze_partial;

typedef enum result_outcome {
    RESULT_OK,
    RESULT_FULL, /* no more rows are wanted */
    RESULT_NO_MEMORY,
    RESULT_GROUPS_MAX,
    RESULT_VALUES_MAX,
    RESULT_RUN,  /* `run` could not take one */
    RESULT_FALSE /* no partial result */
} result_outcome;

bool analyze_result_init(analyze_result *result, const analyze_plan *plan);
void analyze_result_done(analyze_result *result);

bool analyze_partial_read(pack_reader *reader, analyze_partial *partial);
/* `reader` as analyze_partial_read left it. */
result_outcome analyze_result_merge(analyze_result *result, const analyze_partial *partial, pack_reader *reader);

/* After each merging: hands over the list of values when it is long. */
result_outcome analyze_result_check_tallies(analyze_result *result);
/* Sorts entries by owner and value and puts equal ones together; how many are left. */
size_t analyze_tallies_sort(tally_entry *entries, size_t count);
/* A list that was sorted so, copied; it need not be aligned. */
result_outcome analyze_result_add_run(analyze_result *result, const void *entries, size_t count);
/* Sorts the tallies by owner and value: from then on nothing may be merged. RESULT_OK, RESULT_NO_MEMORY, or
 * RESULT_VALUES_MAX. */
result_outcome analyze_result_sort_tallies(analyze_result *result);
/* Those of one owner: *count entries, by value. NULL and 0: none. */
const tally_entry *analyze_result_tally(const analyze_result *result, uint32_t owner, size_t *count);

/*
 * The value at `percent` of the entries, between two by linear interpolation: type 7 of Hyndman and Fan, "Sample
 * quantiles in statistical packages", 1996. At least one entry.
 */
double analyze_percentile(const tally_entry *entries, size_t count, bool sketch, double percent);

#endif
