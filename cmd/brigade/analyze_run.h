/* SPDX-License-Identifier: MIT */
/* The run of `brigade analyze`: as a whole (analyze.c), its pieces (analyze_merge.c), values (analyze_values.c), streams (analyze_stream.c),
 * sorted rows (analyze_sort.c), and what interrupts it (analyze_interrupt.c). */
#ifndef BRIGADE_ANALYZE_RUN_H
#define BRIGADE_ANALYZE_RUN_H

#include <uv.h>

#include <brigade/uv.h>

#include "analyze.h"
#include "sorter.h" /* of modules/analyze */

#define ANALYZE_AHEAD 4 /* chunks out at a time, for each worker */

typedef struct analyze_run analyze_run;

typedef enum piece_state { PIECE_OUT, PIECE_DONE } piece_state;

/* One chunk of a file, or block of a stream, from its submit until it is merged. */
typedef struct analyze_piece {
    analyze_run *run;
    uint32_t source;
    uint64_t begin, end;
    uint64_t lines; /* of a block: line ends behind it that no block has */
    bool exact;
    piece_state state;
    brg_value *output;
    brg_buffer *block; /* of a stream: to be filled again once the piece is merged */
} analyze_piece;

typedef struct analyze_stream {
    brg_buffer *block; /* being filled; READER_PADDING of it stay free */
    size_t size;
    brg_buffer **idle; /* blocks of the usual size: to touch fresh memory costs more than to read into it */
    size_t idle_count;
    uint64_t base; /* where its first byte stands in the input */
    bool skipping; /* the rest of a line that is too long */
    bool polling;
    uv_poll_t *poll; /* of this stream alone: the next may begin before it is closed. NULL: it cannot be waited for */
} analyze_stream;

struct analyze_run {
    analyze_options options;
    analyze_header header;
    analyze_plan plan;
    analyze_result result;
    analyze_sorter sorter; /* of plan.sorted */
    analyze_row_printer printer;
    analyze_speed speed;
    analyze_source *sources;
    uint32_t source_count, source; /* the one that pieces are made of next */
    uint64_t next;                 /* where in it */
    uint32_t merging;              /* the source of the piece merged last, */
    uint64_t expected;             /* and where its next row begins */
    analyze_piece *pieces;         /* a ring */
    size_t piece_max, first, piece_count;
    size_t values_out; /* lists of values that workers sort */
    analyze_stream stream;
    analyze_reader border; /* of streams: finds where rows end */
    uv_loop_t uv;
    uv_async_t interrupt;
    uv_timer_t timer;
    brg_loop *loop;
    brg_pool *pool;
    bool shows_progress, ended, failed, cannot_run;
};

/* Submits a piece, with its block where it has one, which is taken. False after it printed an error. */
bool analyze_submit(analyze_run *run, analyze_piece *piece, brg_buffer **block, size_t block_size);
/* A new last piece of the current source, or NULL when as many are out as may be. */
analyze_piece *analyze_add_piece(analyze_run *run);
/* Nothing more is read; what is out settles as cancelled, and what is there is not merged. */
void analyze_end(analyze_run *run);
/* The same after an error, whose message is printed already. */
void analyze_fail(analyze_run *run);
/* analyze_values.c: has workers sort values of percentiles and --distinct, where there are many. */
bool analyze_values_submit(const tally_entry *entries, size_t count, void *run);
/* What a task gave, bytes or a buffer; NULL and 0: nothing. */
const char *analyze_output(const brg_value *output, size_t *size);
/* Goes on, or ends the run after it printed why. */
void analyze_judge(analyze_run *run, result_outcome outcome);
/* Complains about a task that failed, and ends the run. */
void analyze_task_failed(analyze_run *run, const char *what, const brg_result *result);
/* Before groups are printed. False after it printed an error. */
bool analyze_sort_tallies(analyze_run *run);
/* As many pieces as may be out. At the end of the input and of all of them it ends the run. */
void analyze_submit_more(analyze_run *run);

/* analyze_sort.c: rows that are sorted without a limit. */
void analyze_sort_begin(analyze_run *run);
/* Merges and writes all rows. False after it printed an error. */
bool analyze_sort_print(analyze_run *run);

/* analyze_interrupt.c: not 0: SIGINT or SIGTERM came while the loop ran. What is written from then on nobody gets. */
extern volatile sig_atomic_t analyze_stop;
/* From now on they make the loop call `wake`. */
void analyze_interrupt_begin(uv_async_t *wake);
/* From now on they end the program, with its progress line where it shows one. */
void analyze_interrupt_loop_over(bool shows_progress);

/* Reads and submits what can be had now. False: the stream ended. */
bool analyze_stream_more(analyze_run *run);
/* The piece is merged: its block can be filled again. */
void analyze_stream_recycle(analyze_run *run, analyze_piece *piece);
void analyze_stream_done(analyze_run *run);

#endif
