/* SPDX-License-Identifier: MIT */
/*
 * The parts of `brigade run`: what was asked (run_options.c), lines in (run_input.c, a thread), tasks (run_tasks.c, on
 * the loop of run.c), lines out (run_output.c, a thread), how it goes and went (run_report.c).
 *
 * An item is one line on its way: reader -> loop -> writer -> reader. There are only so many, all made at the start, and
 * the bytes they hold together are counted, so memory is bounded whatever the input's length: a reader without an item
 * waits, which is how a slow standard output slows the input. All that several threads see is under one lock, taken for
 * lists of items, not for each.
 */
#ifndef BRIGADE_RUN_COMMAND_H
#define BRIGADE_RUN_COMMAND_H

#include <uv.h>

#include <brigade.h>

#include "module.h"
#include "pool_options.h"

typedef enum run_when { RUN_AUTO, RUN_ALWAYS, RUN_NEVER } run_when;
typedef enum run_summary { RUN_SUMMARY_AUTO, RUN_SUMMARY_TEXT, RUN_SUMMARY_JSON } run_summary;

typedef struct run_options {
    pool_settings settings;
    const char *key, *priority, *errors_out;
    uint64_t in_flight, limit, line_max;
    bool ordered, with_line, raw_input, raw_output, typed, skip_null, fail_fast, quiet;
    run_when progress;
    run_summary summary;
} run_options;

typedef enum run_end {
    RUN_DONE = 0,
    RUN_FAILED,
    RUN_NOT_RUN /* it was left out because all ends early */
} run_end;

typedef struct run_item {
    struct run_item *next;
    struct run_state *run;
    uint64_t sequence; /* of all items, from 0 */
    uint64_t line;     /* in its file, from 1; blank ones count */
    const char *file;  /* NULL: standard input */
    size_t bytes;      /* that it holds, about */
    uint64_t key;
    brg_priority priority;
    brg_value *input, *output, *detail;
    run_end end;
    bool is_bad; /* the line itself: no task of it */
    brg_status status;
    brg_error *error; /* NULL where memory did not suffice, too */
    uint32_t attempts;
} run_item;

typedef struct run_list {
    run_item *head, *tail;
} run_list;

typedef struct run_counts {
    uint64_t lines, blank, bytes_read; /* by the reader */
    uint64_t done, failed, bad;        /* failed includes bad: lines that were no input */
    uint64_t not_run, written, retried;
} run_counts;

typedef struct run_state {
    run_options options;
    const char *task;
    char **files;
    int file_count;
    uint64_t bytes_total; /* of the files; 0: nobody knows */

    uv_loop_t uv;
    uv_signal_t interrupt, terminate;
    uv_timer_t timer, patience;
    uv_check_t check;
    uv_async_t wake;
    brg_loop *loop;
    brg_pool *pool;
    run_item *items;
    run_item **slots; /* ordered: settled items by sequence, of slot_mask + 1 */
    size_t slot_mask;
    uint64_t slot_next;
    run_list waiting, settled; /* on the loop: to be submitted; to be written */
    size_t outstanding, outstanding_max;
    int interrupts;
    size_t bytes_more; /* of outputs since the loop last held the lock */
    bool is_stopping, is_closing, is_output_lost, is_writer_over, is_patience_over, shows_progress;
    unsigned patience_tries; /* how often it was over though the outputs took something */
    brg_error cannot_run;    /* workers do not start, or there is no such task: nothing more is tried */
    uint64_t started_ns, ended_ns;

    uv_mutex_t lock; /* of all below */
    uv_cond_t has_free, has_output;
    run_list free_items, ready, output; /* to the reader, to the loop, to the writer */
    size_t bytes_held, bytes_max;
    run_counts counts;
    bool reader_ended, writer_ended, stop_reading, output_complete;
    int input_errors; /* files that could not be read to their end */
    int output_errno; /* why standard output, or the file of errors, takes no more */
    const char *output_name;
    bool progress_drawn; /* a line stands on the terminal */
    int stop_fd;         /* readable once the reader is to stop */
    FILE *errors;        /* --errors-out */
    uv_thread_t reader, writer;
} run_state;

extern const cli_option run_option_table[];
bool run_take_option(void *state, const cli_option *option, const char *argument);
bool run_check_options(run_options *options);

void run_list_push(run_list *list, run_item *item);
run_item *run_list_pop(run_list *list);
void run_list_append(run_list *to, run_list *from); /* empties `from` */

/* Fails an item by itself; takes no lock. */
void run_item_fail(run_item *item, brg_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Frees what it holds. */
void run_item_clear(run_item *item);

/* Submits what waits, as far as there is room; what was not run when all stops is settled too. On the loop. */
void run_feed(run_state *run);
/* No more lines; what runs finishes, and what waits is left out. On the loop. */
void run_halt(run_state *run);

/* Threads. The reader ends when there is no more input or stop_reading is set (run_stop_reading); the writer when
 * output_complete is and nothing is left. Both wake the loop. */
void run_read(void *run);
void run_write(void *run);
void run_stop_reading(run_state *run);

/* "FILE:17" or "line 17". */
void run_name_line(char *text, size_t size, const run_item *item);
/* One failed line for people; clears the progress line first. */
void run_report_failure(run_state *run, const run_item *item);
/* The same for programs: {"line":17,"error":{...}}. */
brg_status run_error_value(const run_item *item, brg_value **out);
void run_draw_progress(run_state *run);
void run_clear_progress(run_state *run);
void run_print_summary(const run_state *run);

#endif
