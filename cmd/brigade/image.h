/* SPDX-License-Identifier: MIT */
/* The parts of `brigade image`: what was asked (image_options.c), which files (image_collect.c), how it goes and went
 * (image_report.c), and the run itself (image.c). */
#ifndef BRIGADE_IMAGE_COMMAND_H
#define BRIGADE_IMAGE_COMMAND_H

#include <sys/types.h>

#include <brigade.h>

#include "cli.h"

#define IMAGE_OPERATIONS_MAX 32

typedef enum image_when { IMAGE_AUTO, IMAGE_ALWAYS, IMAGE_NEVER } image_when;

typedef struct image_operation {
    const char *name;      /* as the module calls it */
    int64_t width, height; /* 0: not given */
    const char *fit;
    double number; /* sigma, angle, quality; 0: not given */
    const char *format;
} image_operation;

typedef struct image_options {
    image_operation operations[IMAGE_OPERATIONS_MAX];
    int operation_count;
    const char *fit; /* --fit, for the operations that have none */
    const char *output, *format, *module;
    uint64_t quality, megapixels_max, workers, timeout_ns, retries, memory_max;
    bool progressive, no_progressive, keep_metadata, fsync, overwrite, recursive, quiet, json;
    image_when progress;
    brg_isolation isolation;
} image_options;

/* One picture: what goes in, what comes out, how it went. */
typedef struct image_job {
    char *input, *output;
    dev_t device; /* of the input, where it can be used; else 0 and 0 */
    ino_t inode;
    bool settled;
    brg_status status;
    int64_t code; /* the module's, where it failed by itself */
    char *error;  /* NULL when it succeeded */
    uint64_t run_ns, bytes_in, bytes_out;
    int64_t width, height;
    char format[8];
    uint32_t attempts;
} image_job;

typedef struct image_jobs {
    image_job *list;
    size_t count, capacity;
    size_t done, failed; /* of the settled ones */
    uint64_t started_ns, ended_ns;
} image_jobs;

extern const cli_option image_option_table[];
bool image_take_option(void *state, const cli_option *option, const char *argument);
/* What only shows when all are there; false after it printed an error. */
bool image_check_options(image_options *options);
/* The task's input for one picture. */
brg_status image_build_input(const image_options *options, const image_job *job, brg_value **out, brg_error *error);
/* The suffix outputs get, with its dot; NULL: the input's own. */
const char *image_output_suffix(const image_options *options);

/* Fills `jobs` from the operands. What cannot be used is in there too, settled with its reason. False without memory.
 * */
bool image_collect(image_jobs *jobs, const image_options *options, char **operands, int count);
void image_free_jobs(image_jobs *jobs);
/* Settles a job without running it. */
void image_fail_job(image_jobs *jobs, image_job *job, brg_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

void image_draw_progress(const image_jobs *jobs, bool colour);
void image_clear_progress(void);
/* The summary on `to`; with --json the document on standard output instead. */
void image_print_summary(const image_jobs *jobs, const image_options *options, bool interrupted);
bool image_print_json(const image_jobs *jobs, bool interrupted);

#endif
