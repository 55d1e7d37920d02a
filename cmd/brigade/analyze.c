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
#define ANALYZE_MESSAGE_MAX ((size_t)512 << 20)

static void run_merge(analyze_run *run);

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static analyze_piece *run_piece(analyze_run *run, size_t index)
{
    return &run->pieces[(run->first + index) % run->piece_max];
}

analyze_piece *analyze_add_piece(analyze_run *run)
{
    if (run->piece_count == run->piece_max)
        return NULL;
    analyze_piece *piece = run_piece(run, run->piece_count++);
    *piece = (analyze_piece){.run = run, .source = run->source};
    return piece;
}

/* What is out settles as cancelled; what is there is not merged. */
static void run_end(analyze_run *run)
{
    if (run->ended)
        return;
    run->ended = true;
    uv_timer_stop(&run->timer);
    if (run->pool != NULL)
        brg_pool_kill(run->pool, 0);
    analyze_stream_done(run);
}

void analyze_fail(analyze_run *run)
{
    run->failed = true;
    run_end(run);
}

static void run_done(const brg_result *result, void *user_data)
{
    analyze_piece *piece = user_data;
    analyze_run *run = piece->run;
    piece->state = PIECE_DONE;
    if (run->ended)
        return;
    if (result->status == BRG_OK && result->output != NULL) {
        piece->output = brg_value_ref(result->output);
        run_merge(run);
        return;
    }
    if (run->shows_progress)
        analyze_clear_progress();
    cli_complain("analyze", "%s: %s", run->sources[piece->source].name,
                 result->error != NULL ? result->error->message : "a task gave no result");
    run->cannot_run = result->status == BRG_UNAVAILABLE || result->status == BRG_START_FAILED;
    analyze_fail(run);
}

static void run_build(const analyze_run *run, const analyze_piece *piece, brg_buffer **block, size_t block_size,
                      brg_builder *builder)
{
    const analyze_source *source = &run->sources[piece->source];
    const char *path = source->path[0] != '\0' ? source->path : source->name;
    brg_builder_map(builder);
    if (block != NULL) {
        brg_builder_key(builder, "block");
        brg_builder_buffer(builder, block);
        brg_builder_key(builder, "size");
        brg_builder_uint(builder, block_size);
        brg_builder_key(builder, "base");
        brg_builder_uint(builder, piece->begin);
    } else {
        const struct {
            const char *key;
            uint64_t number;
        } numbers[] = {{"device", source->device},
                       {"inode", source->inode},
                       {"size", source->size},
                       {"begin", piece->begin},
                       {"end", piece->end}};
        brg_builder_key(builder, "path");
        brg_builder_bytes(builder, path, strlen(path));
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
            brg_builder_key(builder, numbers[i].key);
            brg_builder_int(builder, (int64_t)numbers[i].number);
        }
        brg_builder_key(builder, "exact");
        brg_builder_bool(builder, piece->exact);
    }
    brg_builder_end(builder);
}

bool analyze_submit(analyze_run *run, analyze_piece *piece, brg_buffer **block, size_t block_size)
{
    brg_error error = {.status = BRG_OK};
    brg_builder *builder = NULL;
    brg_value *input = NULL;
    piece->state = PIECE_OUT;
    brg_status status = brg_builder_create(&builder, &error);
    if (status == BRG_OK) {
        run_build(run, piece, block, block_size, builder);
        status = brg_builder_finish(builder, &input, &error);
    }
    brg_builder_destroy(builder);
    if (status == BRG_OK)
        status = brg_pool_submit(run->pool, block != NULL ? "block" : "file", input,
                                 brg_submit_opts(.done = run_done, .user_data = piece, .error = &error), NULL);
    if (status == BRG_OK)
        return true;
    brg_value_unref(input);
    return cli_complain("analyze", "%s", error.message);
}

/* The next chunk of the current file. */
static void run_submit_chunk(analyze_run *run)
{
    const analyze_source *source = &run->sources[run->source];
    analyze_piece *piece = analyze_add_piece(run);
    uint64_t left = source->size - run->next;
    piece->begin = run->next;
    piece->end = run->next + (left < run->options.chunk ? left : run->options.chunk);
    piece->exact = piece->begin == source->data_start;
    run->next = piece->end;
    if (!analyze_submit(run, piece, NULL, 0))
        analyze_fail(run);
}

static void run_next_source(analyze_run *run)
{
    analyze_stream_done(run);
    run->source++;
    if (run->source < run->source_count)
        run->next = run->sources[run->source].data_start;
}

void analyze_submit_more(analyze_run *run)
{
    while (!run->ended && run->piece_count < run->piece_max && run->source < run->source_count) {
        const analyze_source *source = &run->sources[run->source];
        if (source->is_file && run->next < source->size)
            run_submit_chunk(run);
        else if (source->is_file || !analyze_stream_more(run))
            run_next_source(run);
        else if (run->stream.polling)
            break;
    }
    if (run->source == run->source_count && run->piece_count == 0)
        run_end(run);
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

static pack_reader run_partial(const analyze_piece *piece)
{
    brg_view root = brg_value_root(piece->output);
    size_t size = 0;
    const char *bytes = brg_view_bytes(root, &size);
    const brg_buffer *buffer = brg_view_buffer(root);
    if (buffer != NULL) {
        bytes = brg_buffer_bytes(buffer);
        size = brg_buffer_size(buffer);
    }
    return (pack_reader){.at = bytes, .end = bytes == NULL ? NULL : bytes + size, .failed = bytes == NULL};
}

static void run_outcome(analyze_run *run, result_outcome outcome)
{
    if (outcome == RESULT_OK)
        return;
    if (outcome == RESULT_FULL) {
        run_end(run);
        return;
    }
    if (run->shows_progress)
        analyze_clear_progress();
    if (outcome == RESULT_GROUPS_MAX)
        cli_complain("analyze", "there are more than %llu groups; --groups-max allows more, and takes memory for each",
                     (unsigned long long)run->options.groups_max);
    else if (outcome == RESULT_VALUES_MAX)
        cli_complain("analyze",
                     "percentiles and --distinct would have to keep more than %llu values; --values-max "
                     "allows more%s",
                     (unsigned long long)run->options.values_max,
                     run->options.exact ? ", without --exact fewer are needed" : "");
    else
        cli_complain("analyze", outcome == RESULT_NO_MEMORY ? "out of memory" : "a worker gave a result that is none");
    analyze_fail(run);
}

/* Whether the piece was read from the right place; else it is read again. */
static bool run_validate(analyze_run *run, analyze_piece *piece, const analyze_partial *partial)
{
    if (partial->start == run->expected)
        return true;
    brg_value_unref(piece->output);
    piece->output = NULL;
    piece->begin = run->expected;
    if (piece->exact) {
        cli_complain("analyze", "a worker gave a result that is none");
        analyze_fail(run);
        return false;
    }
    piece->exact = true;
    if (!analyze_submit(run, piece, NULL, 0))
        analyze_fail(run);
    return false;
}

/* The oldest piece. False: it is to be waited for again, or all is over. */
static bool run_merge_piece(analyze_run *run, analyze_piece *piece)
{
    const analyze_source *source = &run->sources[piece->source];
    pack_reader reader = run_partial(piece);
    analyze_partial partial;
    if (piece->source != run->merging || run->expected == 0) {
        run->merging = run->result.input = piece->source;
        run->expected = source->data_start;
        run->result.lines = source->lines;
    }
    bool good = analyze_partial_read(&reader, &partial);
    if (good && source->is_file) {
        /* A row that began before and ends behind all of it. */
        if (run->expected >= piece->end)
            return true;
        if (!run_validate(run, piece, &partial))
            return false;
    }
    result_outcome outcome = good ? analyze_result_merge(&run->result, &partial, &reader) : RESULT_FALSE;
    run->result.lines += piece->lines;
    run->expected = partial.end;
    run->speed.malformed = run->result.malformed;
    run_outcome(run, outcome);
    return !run->ended;
}

static void run_merge(analyze_run *run)
{
    while (!run->ended && run->piece_count != 0) {
        analyze_piece *piece = run_piece(run, 0);
        if (piece->state != PIECE_DONE)
            break;
        uint64_t begin = piece->begin, end = piece->end;
        if (!run_merge_piece(run, piece) && !run->ended)
            break;
        run->speed.bytes += end - begin;
        brg_value_unref(piece->output);
        piece->output = NULL;
        run->first = (run->first + 1) % run->piece_max;
        run->piece_count--;
    }
    analyze_submit_more(run);
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static void run_interrupted(uv_signal_t *handle, int number)
{
    (void)number;
    analyze_run *run = handle->data;
    run->interrupted = true;
    run_end(run);
}

static void run_tick(uv_timer_t *timer)
{
    analyze_run *run = timer->data;
    analyze_draw_progress(&run->speed);
}

static void run_watch(analyze_run *run)
{
    uv_signal_init(&run->uv, &run->interrupt);
    uv_signal_init(&run->uv, &run->terminate);
    uv_timer_init(&run->uv, &run->timer);
    run->interrupt.data = run->terminate.data = run->timer.data = run;
    uv_signal_start(&run->interrupt, run_interrupted, SIGINT);
    uv_signal_start(&run->terminate, run_interrupted, SIGTERM);
    if (run->shows_progress)
        uv_timer_start(&run->timer, run_tick, ANALYZE_PROGRESS_MS, ANALYZE_PROGRESS_MS);
    uv_unref((uv_handle_t *)&run->interrupt);
    uv_unref((uv_handle_t *)&run->terminate);
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
        run->speed.started_ns = analyze_now_ns();
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
    for (size_t i = 0; i < run->piece_count; i++)
        brg_value_unref(run_piece(run, i)->output);
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
    run->printer = (analyze_row_printer){.options = &run->options, .header = &run->header, .plan = &run->plan};
    if (run->plan.rows && run->plan.sort_count == 0 && analyze_print_format(&run->options) != ANALYZE_PRINT_TABLE) {
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
    if (run->interrupted)
        return CLI_INTERRUPTED;
    if (run->failed)
        return run->cannot_run ? CLI_CANNOT_RUN : CLI_SOME_FAILED;
    bool good = run->plan.rows ? analyze_print_rows_end(&run->printer, &run->result)
                               : analyze_print_groups(&run->options, &run->header, &run->result);
    if (!good)
        cli_complain("analyze", "standard output could not be written: %s", strerror(errno));
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
        return CLI_USAGE;
    if (!run_prepare(run))
        return CLI_CANNOT_RUN;
    if (run->plan.rows)
        analyze_print_rows_begin(&run->printer);
    if (!run_execute(run, module))
        return CLI_CANNOT_RUN;
    return run_finish(run, analyze_now_ns());
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
                                    .values_max = 20000000};
    int first = 0, code = cli_parse(&cli_analyze, argc, argv, &run.options, &first);
    if (code < 0) {
        if (!run.options.has_input && first < argc && run_is_ndjson(argv[first]))
            run.options.input = ANALYZE_NDJSON;
        code = !analyze_check_options(&run.options) ? CLI_USAGE : run_all(&run, argv + first, argc - first);
    }
    for (uint32_t i = 0; i < run.source_count; i++)
        analyze_close_source(&run.sources[i]);
    analyze_result_done(&run.result);
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
