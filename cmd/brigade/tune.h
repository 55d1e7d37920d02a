/* SPDX-License-Identifier: MIT */
/* The parts of `brigade tune`: what was asked (tune_options.c), what the task gets (tune_inputs.c), what is shown
 * (tune_report.c), and the run (tune.c), which joins the search (search.h) with measuring (measure.h). */
#ifndef BRIGADE_TUNE_H
#define BRIGADE_TUNE_H

#include "measure.h"
#include "search.h"

typedef enum tune_when { TUNE_AUTO, TUNE_ALWAYS, TUNE_NEVER } tune_when;

typedef struct tune_options {
    pool_settings pool;
    const char *module, *task; /* as they were given */
    const char *input, *inputs, *svg;
    uint64_t from, to, rounds, round_ns;
    double tolerance; /* per cent */
    bool sweep, plot, no_plot, json, quiet;
    tune_when progress;
} tune_options;

/* What was measured at one count, all rounds together. */
typedef struct tune_count {
    histogram *times; /* of runs; NULL before the first round */
    double cpus;      /* sum over rounds; below 0: not known */
    uint64_t tasks, failed;
} tune_count;

typedef struct tune_run {
    tune_options options;
    char module[4096]; /* the whole path */
    brg_value **inputs;
    size_t input_count;
    search search;
    tune_count *counts; /* by workers, from options.from */
    measure measure;
    uint64_t started_ns, ended_ns;
    uint32_t at; /* the count being measured */
    bool shows_progress;
} tune_run;

extern const cli_option tune_option_table[];
bool tune_take_option(void *state, const cli_option *option, const char *argument);
/* Operands, defaults and what contradicts itself; false after it printed an error. */
bool tune_check_options(tune_options *options, int count, char **operands);

/* --input or --inputs; false after it printed an error, which names the line. */
bool tune_load_inputs(tune_run *run);
void tune_free_inputs(tune_run *run);

void tune_draw_progress(void *state);
void tune_clear_progress(const tune_run *run);
/* The table, the plot and the sentence about the best; or the document of --json. False when it could not be written. */
bool tune_print(const tune_run *run, bool interrupted);
bool tune_print_json(const tune_run *run, bool interrupted);
/* Writes --svg; false after it printed an error. */
bool tune_write_svg(const tune_run *run);

#endif
