/* SPDX-License-Identifier: MIT */
/* Pieces of the input from their submit until they are merged: a ring, the oldest first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analyze_run.h"

static void merge_pieces(analyze_run *run);

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static analyze_piece *merge_piece_at(analyze_run *run, size_t index)
{
    return &run->pieces[(run->first + index) % run->piece_max];
}

analyze_piece *analyze_add_piece(analyze_run *run)
{
    if (run->piece_count == run->piece_max)
        return NULL;
    analyze_piece *piece = merge_piece_at(run, run->piece_count++);
    *piece = (analyze_piece){.run = run, .source = run->source};
    return piece;
}

/* What is out settles as cancelled; what is there is not merged. */
void analyze_end(analyze_run *run)
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
    analyze_end(run);
}

void analyze_task_failed(analyze_run *run, const char *what, const brg_result *result)
{
    if (run->shows_progress)
        analyze_clear_progress();
    cli_complain("analyze", "%s: %s", what, result->error != NULL ? result->error->message : "a task gave no result");
    run->cannot_run = result->status == BRG_UNAVAILABLE || result->status == BRG_START_FAILED;
    analyze_fail(run);
}

static void merge_done(const brg_result *result, void *user_data)
{
    analyze_piece *piece = user_data;
    analyze_run *run = piece->run;
    piece->state = PIECE_DONE;
    if (run->ended)
        return;
    if (result->status == BRG_OK && result->output != NULL) {
        piece->output = brg_value_ref(result->output);
        merge_pieces(run);
        return;
    }
    analyze_task_failed(run, run->sources[piece->source].name, result);
}

static void merge_build(const analyze_run *run, const analyze_piece *piece, brg_buffer **block, size_t block_size,
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
        merge_build(run, piece, block, block_size, builder);
        status = brg_builder_finish(builder, &input, &error);
    }
    brg_builder_destroy(builder);
    if (status == BRG_OK)
        status = brg_pool_submit(run->pool, block != NULL ? "block" : "file", input,
                                 brg_submit_opts(.done = merge_done, .user_data = piece, .error = &error), NULL);
    if (status == BRG_OK)
        return true;
    brg_value_unref(input);
    return cli_complain("analyze", "%s", error.message);
}

/* The next chunk of the current file. */
static void merge_submit_chunk(analyze_run *run)
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

static void merge_next_source(analyze_run *run)
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
            merge_submit_chunk(run);
        else if (source->is_file || !analyze_stream_more(run))
            merge_next_source(run);
        else if (run->stream.polling)
            break;
    }
    if (run->source == run->source_count && run->piece_count == 0 && run->values_out == 0)
        analyze_end(run);
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

const char *analyze_output(const brg_value *output, size_t *size)
{
    *size = 0;
    if (output == NULL)
        return NULL;
    brg_view root = brg_value_root(output);
    const brg_buffer *buffer = brg_view_buffer(root);
    if (buffer == NULL)
        return brg_view_bytes(root, size);
    *size = brg_buffer_size(buffer);
    return brg_buffer_bytes(buffer);
}

void analyze_judge(analyze_run *run, result_outcome outcome)
{
    if (outcome == RESULT_OK)
        return;
    if (outcome == RESULT_FULL) {
        analyze_end(run);
        return;
    }
    if (outcome == RESULT_RUN) {
        analyze_fail(run);
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

bool analyze_sort_tallies(analyze_run *run)
{
    analyze_judge(run, analyze_result_sort_tallies(&run->result));
    return !run->failed;
}

/* Whether the piece was read from the right place; else it is read again. */
static bool merge_validate(analyze_run *run, analyze_piece *piece, const analyze_partial *partial)
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
static bool merge_piece(analyze_run *run, analyze_piece *piece)
{
    const analyze_source *source = &run->sources[piece->source];
    size_t size;
    const char *bytes = analyze_output(piece->output, &size);
    pack_reader reader = {.at = bytes, .end = bytes == NULL ? NULL : bytes + size, .failed = bytes == NULL};
    analyze_partial partial;
    if (piece->source != run->merging || run->expected == 0) {
        run->merging = run->result.input = piece->source;
        run->result.before += run->expected;
        run->expected = source->data_start;
        run->result.lines = source->lines;
    }
    bool good = analyze_partial_read(&reader, &partial);
    if (good && source->is_file) {
        /* A row that began before and ends behind all of it. */
        if (run->expected >= piece->end)
            return true;
        if (!merge_validate(run, piece, &partial))
            return false;
    }
    result_outcome outcome = good ? analyze_result_merge(&run->result, &partial, &reader) : RESULT_FALSE;
    run->result.lines += piece->lines;
    run->expected = partial.end;
    run->speed.malformed = run->result.malformed;
    analyze_judge(run, outcome);
    if (!run->ended && analyze_stop != 0) {
        analyze_end(run);
    } else if (!run->ended && run->result.row != NULL && ferror(stdout)) {
        cli_complain("analyze", "standard output could not be written: %s", strerror(errno));
        analyze_fail(run);
    }
    return !run->ended;
}

static void merge_pieces(analyze_run *run)
{
    while (!run->ended && run->piece_count != 0) {
        analyze_piece *piece = merge_piece_at(run, 0);
        if (piece->state != PIECE_DONE)
            break;
        uint64_t begin = piece->begin, end = piece->end;
        if (!merge_piece(run, piece) && !run->ended)
            break;
        run->speed.bytes += end - begin;
        brg_value_unref(piece->output);
        piece->output = NULL;
        analyze_stream_recycle(run, piece);
        run->first = (run->first + 1) % run->piece_max;
        run->piece_count--;
    }
    analyze_submit_more(run);
}
