/* SPDX-License-Identifier: MIT */
/* The parts of `brigade analyze`: what was asked (analyze_options.c), the filter (analyze_where.c), columns and plan
 * (analyze_plan.c), files and streams (analyze_input.c), the run (analyze.c), what is shown (analyze_report.c,
 * analyze_print.c). */
#ifndef BRIGADE_ANALYZE_COMMAND_H
#define BRIGADE_ANALYZE_COMMAND_H

#include <brigade.h>

#include "cli.h"
#include "result.h" /* of modules/analyze */

#define ANALYZE_LIST_MAX 32 /* columns of one kind */

typedef enum analyze_when { ANALYZE_AUTO, ANALYZE_ALWAYS, ANALYZE_NEVER } analyze_when;
typedef enum analyze_print {
    ANALYZE_PRINT_AUTO,
    ANALYZE_PRINT_TABLE,
    ANALYZE_PRINT_CSV,
    ANALYZE_PRINT_JSON
} analyze_print;
typedef enum analyze_measure_kind {
    MEASURE_COUNT,
    MEASURE_SUM,
    MEASURE_MEAN,
    MEASURE_MIN,
    MEASURE_MAX,
    MEASURE_PERCENTILE,
    MEASURE_DISTINCT
} analyze_measure_kind;

/* One column of the result of groups. */
typedef struct analyze_measure {
    analyze_measure_kind kind;
    char *column;
    char *title; /* "sum(price)" */
    double percent;
    uint32_t index; /* which value, or tally, of the plan */
} analyze_measure;

typedef struct analyze_order_by {
    char *column; /* or the title of a measure */
    bool descending;
} analyze_order_by;

typedef struct analyze_options {
    char *groups[ANALYZE_LIST_MAX], *select[ANALYZE_LIST_MAX];
    analyze_measure measures[ANALYZE_LIST_MAX];
    analyze_order_by sort[ANALYZE_LIST_MAX];
    const char *where[ANALYZE_LIST_MAX];
    uint32_t group_count, select_count, measure_count, sort_count, where_count;
    bool has_limit, no_header, exact, quiet, stats, strict;
    uint64_t limit, groups_max, values_max, row_max, sort_memory, chunk, workers, malformed, timeout_ns;
    char delimiter;
    bool has_delimiter, has_input;
    analyze_format input;
    analyze_print print;
    analyze_when progress;
    brg_isolation isolation;
    const char *module;
} analyze_options;

extern const cli_option analyze_option_table[];
bool analyze_take_option(void *state, const cli_option *option, const char *argument);
/* What only shows when all are there; false after it printed an error. */
bool analyze_check_options(analyze_options *options);
void analyze_free_options(analyze_options *options);

/* The columns of the first input: of a CSV its header, or their numbers; of NDJSON none. */
typedef struct analyze_header {
    char **names;
    uint32_t *sizes;
    uint32_t count;
} analyze_header;

void analyze_free_header(analyze_header *header);

/* All of these print an error where they return false. */
bool analyze_make_plan(analyze_options *options, const analyze_header *header, analyze_plan *plan);
/* The slot of a column, made if nothing else needs it yet; UINT32_MAX after an error. */
uint32_t analyze_slot_of(analyze_plan *plan, const analyze_header *header, const char *option, const char *name,
                         uint32_t size);
bool analyze_parse_where(analyze_plan *plan, const analyze_header *header, const char *text, uint32_t *root);

/* One file, or a stream, which has a beginning that is read already. */
typedef struct analyze_source {
    const char *name;
    int fd;
    bool is_file;
    char path[64];                /* where workers find a file that has no name: else empty */
    uint64_t size, device, inode; /* of a file */
    uint64_t data_start, lines;   /* bytes and line ends before the first row */
    char *begun;                  /* of a stream */
    size_t begun_size, begun_capacity;
    bool at_end;
} analyze_source;

bool analyze_open_source(analyze_source *source, const char *name, const analyze_options *options,
                         analyze_header *header);
void analyze_close_source(analyze_source *source);
bool analyze_same_header(const analyze_header *first, const analyze_header *other, const char *name);

typedef struct analyze_speed {
    uint64_t started_ns, bytes, total; /* total 0: unknown */
    uint64_t malformed;
} analyze_speed;

void analyze_draw_progress(const analyze_speed *speed);
void analyze_clear_progress(void);
void analyze_print_problems(const analyze_result *result, const analyze_header *header, const analyze_source *sources);
void analyze_print_stats(const analyze_result *result, const analyze_speed *speed, uint64_t ended_ns);

/* Writes the result on standard output. False when that failed. */
bool analyze_print_groups(const analyze_options *options, analyze_result *result);
/* Rows: `begin`, then each, then `end`. */
typedef struct analyze_row_printer {
    const analyze_options *options;
    const analyze_header *header;
    const analyze_plan *plan;
    bool any;
} analyze_row_printer;
void analyze_print_rows_begin(analyze_row_printer *printer);
void analyze_print_row(const char *record, uint32_t size, void *printer);
bool analyze_print_rows_end(analyze_row_printer *printer, analyze_result *result);
/* The format to print in. */
analyze_print analyze_print_format(const analyze_options *options);

/* analyze_text.c: cells as CSV, JSON and tables have them. No other thread writes standard output: it is not locked for
 * each character, which took a third of the time of many rows. */
void analyze_put_csv(const char *text, uint32_t size, char delimiter);
void analyze_put_json(const char *text, uint32_t size);

typedef struct analyze_cell {
    char *text; /* owned, NULL: empty */
    uint32_t size;
    bool is_number;
} analyze_cell;
/* Columns aligned; the first row is the header. */
bool analyze_put_table(const analyze_cell *cells, size_t rows, size_t columns);

#endif
