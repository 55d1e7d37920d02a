/* SPDX-License-Identifier: MIT */
/* The parts of `brigade bench`: what was asked (bench_options.c), which task comes when (bench_load.c), one round of one
 * choice of policies (bench_run.c), what is shown (bench_report.c), and the whole (bench.c). */
#ifndef BRIGADE_BENCH_H
#define BRIGADE_BENCH_H

#include <uv.h>

#include "histogram.h"
#include "pool_options.h"

#define BENCH_CLASSES_MAX 6
#define BENCH_CHOICES_MAX 64
#define BENCH_ROUNDS_MAX 31

typedef enum bench_when { BENCH_AUTO, BENCH_ALWAYS, BENCH_NEVER } bench_when;

/* Tasks of one length in the mix. */
typedef struct bench_class {
    double share; /* of the tasks; all together 1 */
    uint64_t length_ns;
    brg_priority priority;
    bool has_priority;
    char name[32]; /* its length, as "100us" */
} bench_class;

/* One combination of policies, by their names on the command line. */
typedef struct bench_choice {
    const char *queue, *placement, *scaling, *isolation;
    char name[96]; /* what tells it from the others */
} bench_choice;

typedef struct bench_options {
    pool_settings pool;
    const char *mix, *policies, *task, *svg;
    bench_class classes[BENCH_CLASSES_MAX];
    size_t class_count;
    bench_choice choices[BENCH_CHOICES_MAX];
    size_t choice_count;
    uint64_t tasks, rounds, seed;
    double load;
    bool at_once, json, quiet;
    bench_when progress;
} bench_options;

/* One task of the load. The same list is given to every choice. */
typedef struct bench_item {
    uint64_t arrival_ns; /* after the start */
    uint64_t key;        /* for sticky placement */
    uint32_t class_index;
} bench_item;

typedef struct bench_load {
    bench_item *items;
    size_t count;
    uint64_t ideal_ns; /* no order of any kind ends sooner */
    double work_ns;
    uint32_t workers;
    brg_value *inputs[BENCH_CLASSES_MAX]; /* what the tasks of each class get */
} bench_load;

/* What one round showed of one class. */
typedef struct bench_figures {
    double p50_ns, p99_ns, p999_ns; /* waiting, from when it should have come to its start */
    double slowdown;                /* (waiting + running) / length, on the mean */
    uint64_t tasks;
} bench_figures;

typedef struct bench_round {
    double makespan, rate; /* x ideal; tasks per second */
    uint64_t failed;
    bench_figures classes[BENCH_CLASSES_MAX];
} bench_round;

/* Of one choice: its rounds, and the median of each figure over them. */
typedef struct bench_result {
    bench_round rounds[BENCH_ROUNDS_MAX];
    size_t count;
    bench_round median;
} bench_result;

/* What all rounds share: the loop, and who listens to interrupts, also between rounds. */
typedef struct bench_stage {
    uv_loop_t uv;
    uv_signal_t interrupt, terminate;
    uv_timer_t ticker;
    brg_loop *loop;
    bool is_open;
    int interrupts;
} bench_stage;

typedef struct bench_all {
    bench_options options;
    bench_stage stage;
    char module[4096];
    bench_load load;
    bench_result results[BENCH_CHOICES_MAX];
    uint64_t failed;
    brg_error first_error;
} bench_all;

extern const cli_option bench_option_table[];
bool bench_take_option(void *state, const cli_option *option, const char *argument);
/* Reads the mix and the policies, fills in what was not said; false after it printed an error. */
bool bench_check_options(bench_options *options);

/* The list of tasks, from the seed. False after it printed an error. */
bool bench_load_init(bench_load *self, bench_options *options);
void bench_load_done(bench_load *self);

/* Before the first round and after the last. Open: false after it printed an error; close is safe also then. */
bool bench_stage_open(bench_stage *self);
void bench_stage_close(bench_stage *self);

/* One round of one choice, into `out`. False when interrupted, or after it printed why it could not run. */
bool bench_run(bench_all *all, const bench_choice *choice, bench_round *out);

void bench_take_medians(bench_result *result, size_t class_count);
bool bench_print(const bench_all *all);
bool bench_print_json(const bench_all *all);
bool bench_write_svg(const bench_all *all);

#endif
