/* SPDX-License-Identifier: MIT */
/*
 * `brigade run`: each line is a task of a module, its result another line. Tasks are submitted and settle on one libuv
 * loop; a thread reads before it and a thread writes behind it (run.h says how items go round). So many are out at a
 * time; each that settles submits the next. An interrupt lets the running ones finish, a second one ends their workers.
 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <brigade/uv.h>

#define RUN_AHEAD 256 /* lines out at a time, for each worker */
#define RUN_AHEAD_MAX 65536
#define RUN_BESIDE 512 /* items that are being read and written */
#define RUN_BYTES_MAX ((size_t)64 << 20)
#define RUN_KEPT_BYTES (16 << 20)
#define RUN_PROGRESS_MS 100
#define RUN_PATIENCE_MS 500   /* with standard output, after two interrupts */
#define RUN_PATIENCE_MOST 240 /* so often with one that would take something: the thread that writes has no processor */

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void run_close_handle(uv_handle_t *handle, void *user_data)
{
    (void)user_data;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void run_pass_on(run_state *run);

static bool run_outputs_take_something(const run_state *run)
{
    struct pollfd outputs[] = {{.fd = STDOUT_FILENO, .events = POLLOUT},
                               {.fd = STDERR_FILENO, .events = POLLOUT},
                               {.fd = run->errors == NULL ? -1 : fileno(run->errors), .events = POLLOUT}};
    return poll(outputs, 3, 0) >= 0 && outputs[0].revents != 0 && outputs[1].revents != 0 &&
           (run->errors == NULL || outputs[2].revents != 0);
}

/* Nobody waits longer for a standard output that takes nothing. */
static void run_lose_patience(uv_timer_t *timer)
{
    run_state *run = timer->data;
    if (run_outputs_take_something(run) && ++run->patience_tries < RUN_PATIENCE_MOST) {
        uv_timer_start(timer, run_lose_patience, RUN_PATIENCE_MS, 0);
        return;
    }
    run->is_patience_over = true;
    run_pass_on(run);
}

/* Hands on what settled since it was here last, and looks whether that was all. */
static void run_pass_on(run_state *run)
{
    bool ended;
    uv_mutex_lock(&run->lock);
    if (run->settled.head != NULL) {
        run_list_append(&run->output, &run->settled);
        uv_cond_signal(&run->has_output);
    }
    run->bytes_held += run->bytes_more;
    run->bytes_more = 0;
    if (run->reader_ended && run->ready.head == NULL && run->waiting.head == NULL && run->outstanding == 0 &&
        !run->output_complete) {
        run->output_complete = true;
        uv_cond_signal(&run->has_output);
    }
    run->is_writer_over = run->writer_ended;
    ended = run->output_complete && (run->is_writer_over || run->is_patience_over);
    uv_mutex_unlock(&run->lock);
    if (run->output_complete && run->interrupts > 1 && !uv_is_active((uv_handle_t *)&run->patience))
        uv_timer_start(&run->patience, run_lose_patience, RUN_PATIENCE_MS, 0);
    if (ended && !run->is_closing) {
        run->is_closing = true;
        uv_timer_stop(&run->timer);
        uv_stop(&run->uv);
    }
}

static void run_checked(uv_check_t *handle) { run_pass_on(handle->data); }

/* The reader has items, one of the threads ended, or nobody takes the output. */
static void run_woken(uv_async_t *handle)
{
    run_state *run = handle->data;
    uv_mutex_lock(&run->lock);
    run_list_append(&run->waiting, &run->ready);
    bool lost = run->output_errno != 0 && !run->is_output_lost;
    run->is_output_lost = run->is_output_lost || lost;
    uv_mutex_unlock(&run->lock);
    if (lost) {
        run_halt(run);
        brg_pool_kill(run->pool, 0);
    }
    run_feed(run);
}

static void run_interrupted(uv_signal_t *handle, int number)
{
    (void)number;
    run_state *run = handle->data;
    run->interrupts++;
    uv_mutex_lock(&run->lock);
    run_clear_progress(run);
    if (run->interrupts == 1)
        cli_complain("run", "finishing what runs; once more to stop at once");
    uv_mutex_unlock(&run->lock);
    run_halt(run);
    if (run->interrupts == 2)
        brg_pool_kill(run->pool, 0);
    if (run->interrupts > 2)
        run->is_patience_over = true; /* whatever the outputs would take */
    run_feed(run);
}

static void run_tick(uv_timer_t *timer)
{
    run_state *run = timer->data;
    if (!run->is_closing)
        run_draw_progress(run);
}

static void run_watch(run_state *run)
{
    uv_signal_init(&run->uv, &run->interrupt);
    uv_signal_init(&run->uv, &run->terminate);
    uv_timer_init(&run->uv, &run->timer);
    uv_timer_init(&run->uv, &run->patience);
    uv_check_init(&run->uv, &run->check);
    uv_async_init(&run->uv, &run->wake, run_woken);
    run->interrupt.data = run->terminate.data = run->timer.data = run->patience.data = run->check.data =
        run->wake.data = run;
    uv_signal_start(&run->interrupt, run_interrupted, SIGINT);
    uv_signal_start(&run->terminate, run_interrupted, SIGTERM);
    uv_check_start(&run->check, run_checked);
    if (run->shows_progress)
        uv_timer_start(&run->timer, run_tick, RUN_PROGRESS_MS, RUN_PROGRESS_MS);
}

/* ---- before ------------------------------------------------------------------------------------------------------ */

/* Whether all can be read, and how much that is. */
static bool run_look_at_files(run_state *run)
{
    bool is_known = true;
    if ((fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) == O_RDONLY) /* as one that was closed is, by now */
        return cli_complain("run", "standard output: %s", strerror(EBADF));
    for (int i = 0; i < run->file_count; i++) {
        struct stat about;
        bool is_standard = strcmp(run->files[i], "-") == 0;
        if (is_standard ? fstat(STDIN_FILENO, &about) != 0
                        : stat(run->files[i], &about) != 0 || access(run->files[i], R_OK) != 0)
            return cli_complain("run", "%s: %s", is_standard ? "standard input" : run->files[i], strerror(errno));
        if (S_ISDIR(about.st_mode))
            return cli_complain("run", "%s: is a directory; give files, or nothing for standard input", run->files[i]);
        is_known = is_known && S_ISREG(about.st_mode);
        run->bytes_total += (uint64_t)about.st_size;
    }
    if (!is_known)
        run->bytes_total = 0;
    return true;
}

static bool run_open_errors(run_state *run)
{
    const char *name = run->options.errors_out;
    if (name == NULL || strcmp(name, "-") == 0)
        return true;
    run->errors = fopen(name, "we");
    return run->errors != NULL || cli_complain("run", "--errors-out %s: %s", name, strerror(errno));
}

static bool run_make_items(run_state *run)
{
    uint64_t ahead = (uint64_t)RUN_AHEAD * pool_settings_workers(&run->options.settings);
    if (ahead < 2 * (uint64_t)run->options.settings.pool.batch_size)
        ahead = 2 * (uint64_t)run->options.settings.pool.batch_size;
    if (run->options.in_flight != 0)
        ahead = run->options.in_flight;
    run->outstanding_max = (size_t)(ahead < RUN_AHEAD_MAX ? ahead : RUN_AHEAD_MAX);
    run->bytes_max = RUN_BYTES_MAX;
    size_t count = 2 * run->outstanding_max + RUN_BESIDE, slots = 1;
    while (slots < count)
        slots *= 2;
    run->slot_mask = slots - 1;
    run->items = calloc(count, sizeof(*run->items));
    run->slots = calloc(slots, sizeof(*run->slots));
    if (run->items == NULL || run->slots == NULL)
        return cli_complain("run", "out of memory");
    for (size_t i = 0; i < count; i++)
        run_list_push(&run->free_items, &run->items[i]);
    return true;
}

/* The pool with what was said about it. An exit code, or -1. */
static int run_open_pool(run_state *run, const char *module)
{
    pool_settings *settings = &run->options.settings;
    brg_pool_options options = settings->pool;
    brg_error error = {.status = BRG_OK};
    brg_status status = brg_loop_create_uv(&run->loop, &run->uv, NULL, &error);
    options.loop = run->loop;
    options.module = module;
    options.name = "run";
    options.init_data = settings->init == NULL ? NULL : brg_value_ref(settings->init);
    if (status == BRG_OK)
        status = brg_pool_create(&run->pool, &options, &error);
    if (status != BRG_OK)
        brg_value_unref(options.init_data);
    if (status == BRG_OK && settings->config != NULL) {
        brg_value *config = brg_value_ref(settings->config);
        status = brg_pool_configure(run->pool, config, &error);
        if (status != BRG_OK)
            brg_value_unref(config);
    }
    if (status == BRG_OK)
        return -1;
    cli_complain("run", "%s", error.message);
    return status == BRG_INVALID ? CLI_USAGE : CLI_CANNOT_RUN;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

/* Both threads, and the loop between them. False without threads. */
static bool run_flow(run_state *run)
{
    if (uv_thread_create(&run->reader, run_read, run) != 0)
        return cli_complain("run", "no thread to read with: out of memory or threads");
    if (uv_thread_create(&run->writer, run_write, run) != 0) {
        run_halt(run);
        uv_thread_join(&run->reader);
        return cli_complain("run", "no thread to write with: out of memory or threads");
    }
    uv_run(&run->uv, UV_RUN_DEFAULT);
    uv_thread_join(&run->reader);
    if (run->is_writer_over)
        uv_thread_join(&run->writer);
    return true;
}

static int run_exit_code(const run_state *run)
{
    if (run->interrupts != 0)
        return CLI_INTERRUPTED;
    if (run->output_errno != 0 || (run->cannot_run.status != BRG_OK && run->counts.done == 0))
        return CLI_CANNOT_RUN;
    return run->counts.failed != 0 || run->counts.not_run != 0 || run->input_errors != 0 ? CLI_SOME_FAILED : CLI_OK;
}

static void run_tell_end(run_state *run)
{
    const run_options *options = &run->options;
    uv_mutex_lock(&run->lock);
    run_clear_progress(run);
    if (run->cannot_run.status != BRG_OK)
        cli_complain("run", "%s", run->cannot_run.message);
    if (run->output_errno != 0)
        cli_complain("run", "%s could not be written: %s", run->output_name, strerror(run->output_errno));
    bool early = run->interrupts != 0 || run->output_errno != 0;
    if (options->summary != RUN_SUMMARY_AUTO || (!options->quiet && (early || isatty(STDERR_FILENO))))
        run_print_summary(run);
    uv_mutex_unlock(&run->lock);
}

static void run_free_items(run_state *run)
{
    for (size_t i = 0; run->items != NULL && i < 2 * run->outstanding_max + RUN_BESIDE; i++)
        run_item_clear(&run->items[i]);
    free(run->items);
    free(run->slots);
}

/* From the loop's birth to its end. */
static int run_on_loop(run_state *run, const char *module)
{
    int code = run_open_pool(run, module);
    if (code < 0) {
        run_watch(run);
        run->started_ns = cli_now_ns();
        code = run_flow(run) ? CLI_OK : CLI_CANNOT_RUN;
        run->ended_ns = cli_now_ns();
    }
    brg_pool_destroy(run->pool);
    if (code == CLI_OK) {
        run_tell_end(run);
        code = run_exit_code(run);
        if (!run->is_writer_over)
            _exit(code); /* its thread is in a write that does not return */
    }
    brg_loop_destroy(run->loop);
    uv_walk(&run->uv, run_close_handle, NULL);
    uv_run(&run->uv, UV_RUN_DEFAULT);
    return code;
}

static int run_process(run_state *run, const char *module)
{
    if (!run_look_at_files(run) || !run_open_errors(run) || !run_make_items(run))
        return CLI_CANNOT_RUN;
    run->shows_progress = run->options.progress == RUN_ALWAYS ||
                          (run->options.progress == RUN_AUTO && !run->options.quiet && isatty(STDERR_FILENO) &&
                           !isatty(STDOUT_FILENO));
    run->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (run->stop_fd < 0 || uv_loop_init(&run->uv) != 0) {
        cli_complain("run", "no event loop: out of memory or descriptors");
        return CLI_CANNOT_RUN;
    }
    uv_mutex_init(&run->lock);
    uv_cond_init(&run->has_free);
    uv_cond_init(&run->has_output);
    int code = run_on_loop(run, module);
    uv_loop_close(&run->uv);
    uv_cond_destroy(&run->has_output);
    uv_cond_destroy(&run->has_free);
    uv_mutex_destroy(&run->lock);
    close(run->stop_fd);
    return code;
}

/* Values are made on one thread and freed on another, for ever: memory that is freed will be wanted again at once. Given
 * back to the system and fetched again it costs half of the time. */
static void run_keep_memory(void)
{
    mallopt(M_TRIM_THRESHOLD, RUN_KEPT_BYTES);
    mallopt(M_MMAP_THRESHOLD, RUN_KEPT_BYTES / 16); /* the first call ends its adapting by itself */
}

static int run_main(int argc, char **argv)
{
    static run_state run;
    static char dash[] = "-", *standard_input[] = {dash, NULL};
    char module[MODULE_PATH_MAX];
    run_keep_memory();
    pool_settings_init(&run.options.settings);
    int first = 0, code = cli_parse(&cli_run, argc, argv, &run.options, &first);
    if (code < 0 && argc - first < 2) {
        cli_complain("run", argc == first ? "which module? Give MODULE TASK" : "which task of it? Give MODULE TASK");
        code = CLI_USAGE;
    }
    if (code < 0 && !run_check_options(&run.options))
        code = cli_refused();
    if (code < 0 && !module_find("run", argv[first], module))
        code = CLI_CANNOT_RUN;
    if (code < 0) {
        run.task = argv[first + 1];
        run.files = argc - first > 2 ? argv + first + 2 : standard_input;
        run.file_count = argc - first > 2 ? argc - first - 2 : 1;
        code = run_process(&run, module);
    }
    if (run.errors != NULL)
        fclose(run.errors);
    run_free_items(&run);
    pool_settings_done(&run.options.settings);
    return code;
}

const cli_command cli_run = {.name = "run",
                             .summary = "Runs a task of a module for each line of JSON; each result is a line of JSON.",
                             .usage = "brigade run [OPTION...] MODULE TASK [FILE...]",
                             .options = run_option_table,
                             .shared = pool_option_table,
                             .take = run_take_option,
                             .run = run_main};
