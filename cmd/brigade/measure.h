/* SPDX-License-Identifier: MIT */
/*
 * A pool that never runs out of one task, measured at one worker count after another without starting anew: results are
 * counted from when all workers of a count are online and have run something, so no start is charged.
 */
#ifndef BRIGADE_MEASURE_H
#define BRIGADE_MEASURE_H

#include <uv.h>

#include "histogram.h"
#include "patience.h"
#include "pool_options.h"

typedef struct measure_result {
    double rate; /* tasks that succeeded, per second */
    double cpus; /* CPU seconds of the program and its worker processes, per second; below 0: not known */
    uint64_t tasks, failed, elapsed_ns;
} measure_result;

typedef struct measure {
    uv_loop_t uv;
    uv_signal_t interrupt, terminate;
    uv_timer_t timer;
    brg_loop *loop;
    brg_pool *pool;
    const char *command, *task;
    brg_value *const *inputs; /* in turn; NULL: none */
    size_t input_count, next_input;
    const brg_submit_options *submit;
    size_t outstanding, wanted;
    bool is_open, closing, is_counting, refused, was_late;
    int interrupts;
    uint64_t settled, failed;
    brg_error first_error; /* of the tasks; BRG_OK: none failed */
    double run_ns;         /* running mean */
    uint64_t longest_ns;   /* run of a task */
    patience patience;     /* with workers that start, and tasks that end */
    histogram times;       /* of the tasks that were counted in this round */
    struct measure_seats *seats;
    uint64_t first_ns, last_ns; /* completions */
    void (*tick)(void *state);  /* ten times a second, for the progress line; may be NULL */
    void *tick_state;
} measure;

/* CPU time of this program and its worker processes; 0 where the kernel does not tell. */
uint64_t measure_cpu_ns(void);

/* Starts the pool of `settings` (its loop, module and workers are filled in here). False after it printed an error. */
bool measure_open(measure *self, pool_settings *settings, const char *module, uint32_t workers);
/* Runs the task once with each input, at most 16 of them; false with `error` where all fail, or when interrupted. */
bool measure_try(measure *self, brg_error *error);
/* Measures for `ns` and until enough tasks ran; false when interrupted, or with `error` where nothing could run. */
bool measure_round(measure *self, uint32_t workers, uint64_t ns, measure_result *out, brg_error *error);
/* Lets running tasks finish, for a second at most. Safe also where open failed. */
void measure_close(measure *self);

#endif
