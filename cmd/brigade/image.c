/* SPDX-License-Identifier: MIT */
/*
 * `brigade image`: each picture is a task of the image module on a worker process. Everything here runs on one libuv
 * loop: results, signals, the progress line. A few tasks a worker are out at a time; each result submits the next. An
 * interrupt lets the running ones finish, a second one ends their workers.
 */
#include "image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include <brigade/uv.h>

#include "module.h"

#define IMAGE_PATH_MAX 4096
#define IMAGE_AHEAD 4 /* tasks out at a time, for each worker */
#define IMAGE_PROGRESS_MS 100

typedef struct image_run {
    image_options options;
    image_jobs jobs;
    size_t next; /* the first job not looked at yet */
    size_t outstanding, outstanding_max;
    uv_loop_t uv;
    uv_signal_t interrupt, terminate;
    uv_timer_t timer;
    brg_loop *loop;
    brg_pool *pool;
    int interrupts;
    bool shows_progress, closing;
    brg_error cannot_run; /* workers do not start: nothing more is tried */
} image_run;

/* --module, or the one that ships. */
static bool image_find_module(const image_options *options, char path[MODULE_PATH_MAX])
{
    if (options->module != NULL)
        return module_find_file(options->module, path) ||
               cli_complain("image", "--module %s: %s", options->module, strerror(errno));
    return module_find_shipped("image", path) ||
           cli_complain("image", "the image module (image.so) is not beside this program nor in %s; give --module PATH",
                        module_directory());
}

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

static void image_submit_more(image_run *run);

/* All settled, or nothing more will be. The loop ends by itself: only what is out holds it. */
static void image_finish(image_run *run)
{
    if (run->closing || run->outstanding != 0)
        return;
    run->closing = true;
    run->jobs.ended_ns = cli_now_ns();
    uv_timer_stop(&run->timer);
}

typedef struct image_ticket {
    image_run *run;
    size_t job; /* by index: the list does not move any more */
} image_ticket;

static void image_succeeded(image_job *job, const brg_result *result)
{
    static const brg_view nothing;
    brg_view root = result->output == NULL ? nothing : brg_value_root(result->output);
    job->status = BRG_OK;
    job->settled = true;
    job->width = brg_view_get_int(root, "width", 0);
    job->height = brg_view_get_int(root, "height", 0);
    job->bytes_in = (uint64_t)brg_view_get_int(root, "bytes_in", 0);
    job->bytes_out = (uint64_t)brg_view_get_int(root, "bytes_out", 0);
    snprintf(job->format, sizeof(job->format), "%s", brg_view_get_string(root, "format", ""));
}

static void image_done(const brg_result *result, void *user_data)
{
    image_ticket *ticket = user_data;
    image_run *run = ticket->run;
    image_job *job = &run->jobs.list[ticket->job];
    free(ticket);
    run->outstanding--;
    job->run_ns = result->run_ns;
    job->attempts = result->attempts;
    if (result->status == BRG_OK) {
        image_succeeded(job, result);
        run->jobs.done++;
    } else if (result->status == BRG_CANCELLED && run->interrupts > 0) {
        job->settled = false; /* it counts as not started */
    } else {
        image_fail_job(&run->jobs, job, result->status, "%s", result->error->message);
        job->code = result->error->code;
        if (result->status == BRG_UNAVAILABLE)
            run->cannot_run = *result->error;
    }
    image_submit_more(run);
}

static void image_submit(image_run *run, size_t index)
{
    image_job *job = &run->jobs.list[index];
    image_ticket *ticket = malloc(sizeof(*ticket));
    brg_value *input = NULL;
    brg_error error = {.status = BRG_NO_MEMORY, .message = "out of memory"};
    brg_status status = ticket == NULL ? BRG_NO_MEMORY : image_build_input(&run->options, job, &input, &error);
    if (status == BRG_OK) {
        *ticket = (image_ticket){run, index};
        status = brg_pool_submit(run->pool, "pipeline", input,
                                 brg_submit_opts(.done = image_done, .user_data = ticket, .error = &error), NULL);
        if (status == BRG_OK) {
            run->outstanding++;
            return; /* cppcheck-suppress memleak */ /* image_done frees the ticket */
        }
        brg_value_unref(input);
    }
    free(ticket);
    if (status == BRG_INVALID && input == NULL)
        snprintf(error.message, sizeof(error.message), "its name, or that of its result, is not UTF-8");
    image_fail_job(&run->jobs, job, status, "%s", error.message);
    if (status == BRG_UNAVAILABLE)
        run->cannot_run = error;
}

static void image_submit_more(image_run *run)
{
    while (run->interrupts == 0 && run->cannot_run.status == BRG_OK && run->outstanding < run->outstanding_max &&
           run->next < run->jobs.count) {
        size_t index = run->next++;
        if (!run->jobs.list[index].settled)
            image_submit(run, index);
    }
    if (run->next == run->jobs.count || run->interrupts != 0 || run->cannot_run.status != BRG_OK)
        image_finish(run);
}

static void image_interrupted(uv_signal_t *handle, int number)
{
    (void)number;
    image_run *run = handle->data;
    run->interrupts++;
    if (run->shows_progress)
        image_clear_progress();
    if (run->pool == NULL)
        return; /* it is over */
    if (run->interrupts == 1) {
        fprintf(stderr, "brigade image: finishing what runs; once more to stop at once\n");
        brg_pool_stop(run->pool, 0);
    } else {
        brg_pool_kill(run->pool, 0);
    }
    image_finish(run);
}

static void image_tick(uv_timer_t *timer)
{
    image_run *run = timer->data;
    if (!run->closing)
        image_draw_progress(&run->jobs, cli_wants_colour(stderr));
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

/* The directories an output lies in. */
static bool image_make_directories(const char *output)
{
    char path[IMAGE_PATH_MAX];
    if (snprintf(path, sizeof(path), "%s", output) >= IMAGE_PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return false;
        *slash = '/';
    }
    return true;
}

static void image_prepare_outputs(image_run *run)
{
    for (size_t i = 0; i < run->jobs.count; i++) {
        image_job *job = &run->jobs.list[i];
        if (!job->settled && !image_make_directories(job->output))
            image_fail_job(&run->jobs, job, BRG_SYSTEM, "directory of %s: %s", job->output, strerror(errno));
    }
}

static brg_status image_open_pool(image_run *run, const char *module, brg_error *error)
{
    const image_options *options = &run->options;
    brg_status status = brg_loop_create_uv(&run->loop, &run->uv, NULL, error);
    if (status != BRG_OK)
        return status;
    return brg_pool_create(&run->pool,
                           brg_pool_opts(.loop = run->loop, .module = module, .isolation = options->isolation,
                                         .name = "image", .workers_max = (uint32_t)options->workers,
                                         .run_timeout_ns = options->timeout_ns, .grace_ns = BRG_MILLISECONDS(250),
                                         .attempts_max = (uint32_t)options->retries + 1,
                                         .retry_on = BRG_RETRY_CRASH | BRG_RETRY_TIMEOUT, .timing = true,
                                         .crash_limit = (uint32_t)options->retries + 1,
                                         .limits = {.memory_bytes_max = (size_t)options->memory_max}),
                           error);
}

static void image_watch(image_run *run)
{
    uv_signal_init(&run->uv, &run->interrupt);
    uv_signal_init(&run->uv, &run->terminate);
    uv_timer_init(&run->uv, &run->timer);
    run->interrupt.data = run->terminate.data = run->timer.data = run;
    uv_signal_start(&run->interrupt, image_interrupted, SIGINT);
    uv_signal_start(&run->terminate, image_interrupted, SIGTERM);
    if (run->shows_progress)
        uv_timer_start(&run->timer, image_tick, 0, IMAGE_PROGRESS_MS);
    uv_unref((uv_handle_t *)&run->interrupt);
    uv_unref((uv_handle_t *)&run->terminate);
    uv_unref((uv_handle_t *)&run->timer);
}

static void image_close(uv_handle_t *handle, void *user_data)
{
    (void)user_data;
    uv_close(handle, NULL);
}

/* After the summary: until then an interrupt is heard, not deadly. */
static void image_close_loop(image_run *run)
{
    uv_walk(&run->uv, image_close, NULL);
    uv_run(&run->uv, UV_RUN_DEFAULT);
    uv_loop_close(&run->uv);
}

/* Everything between the options and the summary. False when nothing could run. */
static bool image_execute(image_run *run, const char *module)
{
    brg_error error = {.status = BRG_OK};
    bool good = image_open_pool(run, module, &error) == BRG_OK;
    if (good) {
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        uint64_t workers = run->options.workers != 0 ? run->options.workers : (uint64_t)(cpus > 0 ? cpus : 1);
        run->outstanding_max = (size_t)(workers * IMAGE_AHEAD);
        image_watch(run);
        image_submit_more(run);
        uv_run(&run->uv, UV_RUN_DEFAULT);
        if (run->shows_progress)
            image_clear_progress();
    } else {
        cli_complain("image", "%s", error.message);
    }
    brg_pool_destroy(run->pool);
    brg_loop_destroy(run->loop);
    run->pool = NULL;
    uv_run(&run->uv, UV_RUN_DEFAULT); /* closes the handle of brigade's */
    return good;
}

static int image_exit_code(const image_run *run)
{
    if (run->interrupts != 0)
        return CLI_INTERRUPTED;
    if (run->cannot_run.status != BRG_OK && run->jobs.done == 0)
        return CLI_CANNOT_RUN;
    return run->jobs.failed != 0 ? CLI_SOME_FAILED : CLI_OK;
}

static bool image_report_json(const image_run *run)
{
    return image_print_json(&run->jobs, run->interrupts != 0) ||
           cli_complain("image", "standard output could not be written: %s", strerror(errno));
}

static int image_process(image_run *run, char **operands, int count)
{
    char module[MODULE_PATH_MAX];
    if (!image_find_module(&run->options, module))
        return CLI_CANNOT_RUN;
    if (!image_collect(&run->jobs, &run->options, operands, count)) {
        cli_complain("image", "out of memory");
        return CLI_CANNOT_RUN;
    }
    run->jobs.started_ns = run->jobs.ended_ns = cli_now_ns();
    if (run->jobs.count == 0) {
        cli_complain("image", "no pictures there; directories inside directories need -r");
        if (run->options.json)
            image_report_json(run);
        return CLI_SOME_FAILED;
    }
    image_prepare_outputs(run);
    run->shows_progress = run->options.progress == IMAGE_ALWAYS ||
                          (run->options.progress == IMAGE_AUTO && !run->options.quiet && !run->options.json &&
                           isatty(STDERR_FILENO));
    run->jobs.started_ns = cli_now_ns();
    run->jobs.ended_ns = 0;
    if (uv_loop_init(&run->uv) != 0) {
        cli_complain("image", "no event loop: out of memory or descriptors");
        return CLI_CANNOT_RUN;
    }
    if (!image_execute(run, module)) {
        image_close_loop(run);
        return CLI_CANNOT_RUN;
    }
    if (run->jobs.ended_ns == 0)
        run->jobs.ended_ns = cli_now_ns();
    bool told = true;
    if (run->options.json)
        told = image_report_json(run);
    else
        image_print_summary(&run->jobs, &run->options, run->interrupts != 0);
    if (run->cannot_run.status != BRG_OK)
        cli_complain("image", "%s", run->cannot_run.message);
    image_close_loop(run);
    int code = image_exit_code(run);
    return code == CLI_OK && !told ? CLI_SOME_FAILED : code;
}

static int image_main(int argc, char **argv)
{
    static image_run run;
    run.options.isolation = BRG_ISOLATION_PROCESS;
    run.options.timeout_ns = BRG_SECONDS(60);
    int first = 0, code = cli_parse(&cli_image, argc, argv, &run.options, &first);
    if (code >= 0)
        return code;
    if (!image_check_options(&run.options))
        return CLI_USAGE;
    if (first == argc) {
        cli_complain("image", "which pictures? Give files or directories");
        return CLI_USAGE;
    }
    code = image_process(&run, argv + first, argc - first);
    image_free_jobs(&run.jobs);
    return code;
}

const cli_command cli_image = {
    .name = "image",
    .summary = "Resizes, converts and optimizes pictures on worker processes; a bad one hurts no other.",
    .usage = "brigade image OPERATION... -o DIR FILE-or-DIRECTORY...",
    .options = image_option_table,
    .take = image_take_option,
    .run = image_main};
