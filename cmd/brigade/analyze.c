/* SPDX-License-Identifier: MIT */
/*
 * `brigade analyze`: each chunk of a file, or block of a stream, is a task of the analyze module; their partial results
 * are merged here, in order. All runs on one libuv loop. A few chunks for each worker are out at a time, so memory does
 * not grow with the input.
 *
 * A worker guesses where the first row of its chunk begins. It is known once the chunk before is merged: where the guess
 * was wrong the chunk is read again from the right place. So the result never rests on a guess.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "analyze_run.h"
#include "module.h"

#define ANALYZE_PROGRESS_MS 100
#define ANALYZE_ATTEMPTS 5
#define ANALYZE_OUTPUT ((size_t)64 << 10)
#define ANALYZE_MESSAGE_MAX ((size_t)512 << 20)

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static void run_interrupted(uv_async_t *handle) { analyze_end(handle->data); }

static void run_tick(uv_timer_t *timer)
{
    analyze_run *run = timer->data;
    analyze_draw_progress(&run->speed);
}

static void run_watch(analyze_run *run)
{
    uv_timer_init(&run->uv, &run->timer);
    uv_async_init(&run->uv, &run->interrupt, run_interrupted);
    run->interrupt.data = run->timer.data = run;
    analyze_interrupt_begin(&run->interrupt);
    if (run->shows_progress)
        uv_timer_start(&run->timer, run_tick, ANALYZE_PROGRESS_MS, ANALYZE_PROGRESS_MS);
    uv_unref((uv_handle_t *)&run->interrupt);
    uv_unref((uv_handle_t *)&run->timer);
}

static brg_status run_open_pool(analyze_run *run, const char *module, brg_error *error)
{
    const analyze_options *options = &run->options;
    pack_writer plan = {.data = NULL};
    brg_value *data = NULL;
    analyze_plan_pack(&run->plan, &plan);
    brg_status status = plan.failed ? brg_error_set(error, BRG_NO_MEMORY, "analyze", "out of memory")
                                    : brg_value_bytes(&data, plan.data, plan.size, error);
    free(plan.data);
    if (status == BRG_OK)
        status = brg_loop_create_uv(&run->loop, &run->uv, NULL, error);
    if (status == BRG_OK)
        status = brg_pool_create(
            &run->pool,
            brg_pool_opts(.loop = run->loop, .module = module, .isolation = options->isolation, .name = "analyze",
                          .workers_max = (uint32_t)options->workers, .init_data = data,
                          .attempts_max = ANALYZE_ATTEMPTS, .crash_limit = ANALYZE_ATTEMPTS,
                          .retry_on = BRG_RETRY_CRASH, .queue_bytes_max = SIZE_MAX / 2,
                          .message_bytes_max = ANALYZE_MESSAGE_MAX, .grace_ns = BRG_MILLISECONDS(100)),
            error);
    if (status != BRG_OK)
        brg_value_unref(data);
    return status;
}

static void run_close_handle(uv_handle_t *handle, void *user_data)
{
    (void)user_data;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Everything between the plan and the result. False when nothing could run. */
static bool run_execute(analyze_run *run, const char *module)
{
    brg_error error = {.status = BRG_OK};
    if (uv_loop_init(&run->uv) != 0)
        return cli_complain("analyze", "no event loop: out of memory or descriptors");
    bool good = run_open_pool(run, module, &error) == BRG_OK;
    if (good) {
        run->speed.started_ns = cli_now_ns();
        run_watch(run);
        run->next = run->sources[0].data_start;
        analyze_submit_more(run);
        uv_run(&run->uv, UV_RUN_DEFAULT);
        if (run->shows_progress)
            analyze_clear_progress();
    } else {
        cli_complain("analyze", "%s", error.message);
    }
    brg_pool_destroy(run->pool);
    run->pool = NULL;
    brg_loop_destroy(run->loop);
    for (size_t i = 0; i < run->piece_count; i++) {
        analyze_piece *piece = &run->pieces[(run->first + i) % run->piece_max];
        brg_value_unref(piece->output);
        brg_buffer_unref(piece->block);
    }
    analyze_interrupt_loop_over(run->shows_progress);
    uv_walk(&run->uv, run_close_handle, NULL);
    uv_run(&run->uv, UV_RUN_DEFAULT);
    uv_loop_close(&run->uv);
    return good;
}

static bool run_open_sources(analyze_run *run, char **operands, int count)
{
    static char standard[] = "-", *only[] = {standard};
    if (count == 0) {
        operands = only;
        count = 1;
    }
    run->sources = calloc((size_t)count, sizeof(*run->sources));
    if (run->sources == NULL)
        return cli_complain("analyze", "out of memory");
    for (int i = 0; i < count; i++) {
        analyze_header header = {.names = NULL};
        run->source_count = (uint32_t)i + 1;
        bool good = analyze_open_source(&run->sources[i], operands[i], &run->options,
                                        i == 0 ? &run->header : &header) &&
                    (i == 0 || analyze_same_header(&run->header, &header, operands[i]));
        analyze_free_header(&header);
        if (!good)
            return false;
        if (run->sources[i].is_file)
            run->speed.total += run->sources[i].size - run->sources[i].data_start;
    }
    for (uint32_t i = 0; i < run->source_count; i++)
        if (!run->sources[i].is_file)
            run->speed.total = 0;
    return true;
}

static bool run_prepare(analyze_run *run)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t workers = run->options.workers != 0 ? run->options.workers : (uint64_t)(cpus > 0 ? cpus : 1);
    run->piece_max = (size_t)workers * ANALYZE_AHEAD;
    run->pieces = calloc(run->piece_max, sizeof(*run->pieces));
    if (run->pieces == NULL || !analyze_result_init(&run->result, &run->plan) ||
        !analyze_reader_init(&run->border, &run->plan))
        return cli_complain("analyze", "out of memory");
    run->result.groups_max = run->options.groups_max;
    run->result.values_max = run->options.values_max;
    if (run->plan.rows && !isatty(STDOUT_FILENO))
        setvbuf(stdout, NULL, _IOFBF, ANALYZE_OUTPUT);
    run->printer = (analyze_row_printer){.options = &run->options, .header = &run->header, .plan = &run->plan};
    if (!run->plan.rows) {
        run->result.values = analyze_values_submit;
        run->result.user_data = run;
    }
    if (run->plan.sorted) {
        analyze_sort_begin(run);
    } else if (run->plan.rows && run->plan.sort_count == 0 &&
               analyze_print_format(&run->options) != ANALYZE_PRINT_TABLE) {
        run->result.row = analyze_print_row;
        run->result.user_data = &run->printer;
    }
    run->shows_progress = run->options.progress == ANALYZE_ALWAYS ||
                          (run->options.progress == ANALYZE_AUTO && !run->options.quiet && isatty(STDERR_FILENO) &&
                           !(run->result.row != NULL && isatty(STDOUT_FILENO)));
    return true;
}

static int run_finish(analyze_run *run, uint64_t ended_ns)
{
    if (analyze_stop != 0)
        return CLI_INTERRUPTED;
    if (run->failed)
        return run->cannot_run ? CLI_CANNOT_RUN : CLI_SOME_FAILED;
    if (run->plan.rows && run->result.row == NULL)
        analyze_print_rows_begin(&run->printer);
    if (!run->plan.rows && !analyze_sort_tallies(run))
        return CLI_SOME_FAILED;
    bool good = run->plan.sorted ? analyze_sort_print(run)
                : run->plan.rows ? analyze_print_rows_end(&run->printer, &run->result)
                                 : analyze_print_groups(&run->options, &run->result);
    if (!good && !run->plan.sorted)
        cli_complain("analyze", "standard output could not be written: %s", strerror(errno));
    if (run->plan.sorted)
        ended_ns = cli_now_ns();
    if (!run->options.quiet)
        analyze_print_problems(&run->result, &run->header, run->sources);
    if (run->options.stats)
        analyze_print_stats(&run->result, &run->speed, ended_ns);
    return !good || (run->options.strict && run->result.malformed != 0) ? CLI_SOME_FAILED : CLI_OK;
}

static int run_all(analyze_run *run, char **operands, int count)
{
    char module[MODULE_PATH_MAX];
    const analyze_options *options = &run->options;
    bool found = options->module == NULL
                     ? module_find("analyze", "analyze", module)
                     : module_find_file(options->module, module) ||
                           cli_complain("analyze", "--module %s: %s", options->module, strerror(errno));
    if (!found)
        return CLI_CANNOT_RUN;
    if (!run_open_sources(run, operands, count))
        return CLI_SOME_FAILED;
    if (!analyze_make_plan(&run->options, &run->header, &run->plan))
        return cli_refused();
    if (!run_prepare(run))
        return CLI_CANNOT_RUN;
    if (run->result.row != NULL)
        analyze_print_rows_begin(&run->printer);
    if (!run_execute(run, module))
        return CLI_CANNOT_RUN;
    return run_finish(run, cli_now_ns());
}

static bool run_is_ndjson(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && (strcasecmp(dot, ".ndjson") == 0 || strcasecmp(dot, ".jsonl") == 0);
}

static int run_main(int argc, char **argv)
{
    static analyze_run run;
    run.options = (analyze_options){.isolation = BRG_ISOLATION_PROCESS,
                                    .malformed = 5,
                                    .row_max = UINT64_C(1) << 20,
                                    .groups_max = 1000000,
                                    .values_max = 20000000,
                                    .sort_memory = UINT64_C(256) << 20};
    int first = 0, code = cli_parse(&cli_analyze, argc, argv, &run.options, &first);
    if (code < 0) {
        if (!run.options.has_input && first < argc && run_is_ndjson(argv[first]))
            run.options.input = ANALYZE_NDJSON;
        if (first == argc && isatty(STDIN_FILENO)) {
            cli_complain("analyze", "which files? Give some, or - for the terminal");
            return CLI_USAGE;
        }
        code = !analyze_check_options(&run.options) ? cli_refused() : run_all(&run, argv + first, argc - first);
    }
    for (uint32_t i = 0; i < run.source_count; i++)
        analyze_close_source(&run.sources[i]);
    analyze_result_done(&run.result);
    analyze_sorter_done(&run.sorter);
    analyze_reader_done(&run.border);
    analyze_plan_done(&run.plan);
    analyze_free_header(&run.header);
    analyze_free_options(&run.options);
    free(run.pieces);
    free(run.sources);
    return code;
}

const cli_command cli_analyze = {.name = "analyze",
                                 .summary = "Groups, sums, filters and sorts CSV and NDJSON of any size, on all CPUs.",
                                 .usage = "brigade analyze [OPTION...] [FILE...]",
                                 .options = analyze_option_table,
                                 .take = analyze_take_option,
                                 .run = run_main};
