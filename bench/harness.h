/* SPDX-License-Identifier: MIT */
/*
 * What every benchmark program shares. A program takes a subcommand and measures one thing in a fresh process; it
 * prints lines of "key value", in the unit that bench/rows names. Exit status 77 means: this peer is not here.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How many empty tasks one measurement submits, and how long a measurement that runs by the clock takes. */
#define BENCH_EMPTY_TASKS ((size_t)1000000)
#define BENCH_WINDOW_NS ((uint64_t)400000000)
#define BENCH_SAMPLES_MAX ((size_t)100000)
#define BENCH_WORKERS 2

typedef struct bench_command {
    const char *name;
    void (*run)(int argc, char **argv); /* what followed the subcommand */
} bench_command;

/* Runs the subcommand argv[1] of `commands`, which ends with a NULL name. */
int bench_main(const bench_command *commands, int argc, char **argv);

/* argv[index], or ends the program with a usage error. */
const char *bench_argument(int argc, char **argv, int index, const char *what);

/* CLOCK_MONOTONIC. */
uint64_t bench_now_ns(void);

void bench_print(const char *key, double value);

/* Ends the program: with an error, or as a peer that is missing here. */
void bench_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void bench_missing(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Zeroed memory whose pages are all present; ends the program when there is none. */
void *bench_alloc(size_t size_bytes);

/* Durations of one thing, of which a percentile is wanted. */
typedef struct bench_samples {
    uint64_t *ns;
    size_t count;
    uint64_t end_ns; /* when the window closes */
} bench_samples;

void bench_samples_open(bench_samples *samples, uint64_t window_ns);
/* Whether to take another sample. */
bool bench_samples_wanted(const bench_samples *samples, uint64_t now_ns);
void bench_samples_add(bench_samples *samples, uint64_t ns);
/* The median, in microseconds, and an end to the samples. */
double bench_samples_close_us(bench_samples *samples);

/*
 * Measures `round` again and again: a tenth of the window to warm up, then the window. Each call is one round
 * trip; prints the median in microseconds under `key`.
 */
void bench_round_trips(const char *key, void (*round)(void *state), void *state);

/* Resident kilobytes of this process; and proportional ones of process `process_id`, -1 where they cannot be read. */
double bench_resident_kb(void);
double bench_proportional_kb(int64_t process_id);

/*
 * Work that resubmits itself from its completion, by the clock: a warm-up first, then the window. Call
 * bench_flow_next in each completion: whether to submit again.
 */
typedef struct bench_flow {
    uint64_t warm_end_ns;
    uint64_t start_ns; /* 0 while warming up */
    uint64_t end_ns;
    uint64_t finished; /* within the window */
    uint64_t until_check;
    bool over;
} bench_flow;

/* `stride` completions share one look at the clock. */
void bench_flow_open(bench_flow *flow);
bool bench_flow_next(bench_flow *flow, uint64_t stride);
void bench_flow_print(const bench_flow *flow, const char *key);

#ifdef __cplusplus
}
#endif

#endif
