/* SPDX-License-Identifier: MIT */
/*
 * The writer of `brigade run`, a thread: settled items become lines of standard output, or reports of what failed. It
 * may wait for its reader as long as it likes; the loop does not. When nobody takes the output any more it says so, and
 * only counts from then on.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

#define OUTPUT_BLOCK ((size_t)64 << 10)

typedef struct output {
    run_state *run;
    char *buffer;
    size_t used, capacity;
    uint64_t lines; /* in the buffer */
    run_counts counts;
    int failed_errno;
} output;

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static brg_status output_append(void *user_data, const char *text, size_t size)
{
    output *out = user_data;
    if (out->buffer == NULL || out->capacity - out->used < size) {
        size_t capacity = 2 * out->capacity > out->used + size ? 2 * out->capacity : out->used + size + OUTPUT_BLOCK;
        char *larger = realloc(out->buffer, capacity);
        if (larger == NULL)
            return BRG_NO_MEMORY;
        out->buffer = larger;
        out->capacity = capacity;
    }
    memcpy(out->buffer + out->used, text, size);
    out->used += size;
    return BRG_OK;
}

static brg_status output_text(output *out, const char *text) { return output_append(out, text, strlen(text)); }

static void output_give_up(output *out, const char *name, int number)
{
    run_state *run = out->run;
    out->failed_errno = number;
    uv_mutex_lock(&run->lock);
    if (run->output_errno == 0) {
        run->output_errno = number;
        run->output_name = name;
    }
    uv_mutex_unlock(&run->lock);
    uv_async_send(&run->wake);
}

/* Writes the buffer, and counts the lines that went out whole. */
static void output_flush(output *out)
{
    struct pollfd room = {.fd = STDOUT_FILENO, .events = POLLOUT};
    size_t at = 0;
    while (out->failed_errno == 0 && at < out->used) {
        ssize_t count = write(STDOUT_FILENO, out->buffer + at, out->used - at);
        if (count >= 0)
            at += (size_t)count;
        else if (errno == EAGAIN) /* somebody else made the pipe one that does not block */
            (void)poll(&room, 1, -1);
        else if (errno != EINTR)
            output_give_up(out, "standard output", errno);
    }
    if (at == out->used) {
        out->counts.written += out->lines;
    } else {
        for (const char *next = out->buffer; (next = memchr(next, '\n', (size_t)(out->buffer + at - next))) != NULL;
             next++)
            out->counts.written++;
    }
    out->used = 0;
    out->lines = 0;
}

/* ---- items ------------------------------------------------------------------------------------------------------- */

static brg_status output_value(output *out, const run_item *item, brg_error *error)
{
    const run_options *options = &out->run->options;
    static const brg_view nothing;
    brg_view root = item->output == NULL ? nothing : brg_value_root(item->output);
    size_t size = 0;
    const char *string = options->raw_output ? brg_view_string(root, &size) : NULL;
    if (string != NULL)
        return output_append(out, string, size);
    return item->output == NULL ? output_text(out, "null")
                                : brg_value_write_json(item->output, BRG_JSON_COMPACT, output_append, out, error);
}

static bool output_is_null(const run_item *item)
{
    return item->output == NULL || brg_view_type(brg_value_root(item->output)) == BRG_TYPE_NIL;
}

/* One line. A result that JSON cannot say makes the item a failed one. */
static void output_result(output *out, run_item *item)
{
    const run_options *options = &out->run->options;
    brg_error error = {.status = BRG_OK};
    size_t before = out->used;
    if (options->skip_null && output_is_null(item))
        return;
    brg_status status = BRG_OK;
    if (options->with_line) {
        char text[64];
        snprintf(text, sizeof(text), "{\"line\":%llu,\"output\":", (unsigned long long)item->line);
        status = output_text(out, text);
    }
    if (status == BRG_OK)
        status = output_value(out, item, &error);
    if (status == BRG_OK)
        status = output_text(out, options->with_line ? "}\n" : "\n");
    if (status == BRG_OK) {
        out->lines++;
        return;
    }
    out->used = before;
    run_item_fail(item, status, "the result cannot be written as JSON: %s",
                  error.status != BRG_OK ? error.message : brg_status_text(status));
}

/* To the file of errors, which may be standard output. */
static void output_error_line(output *out, const run_item *item)
{
    run_state *run = out->run;
    brg_value *value = NULL;
    char *text = NULL;
    if (run_error_value(item, &value) == BRG_OK &&
        brg_value_to_json(value, BRG_JSON_COMPACT, &text, NULL, NULL) == BRG_OK) {
        if (run->errors == NULL) {
            if (output_text(out, text) == BRG_OK && output_text(out, "\n") == BRG_OK)
                out->lines++;
        } else if (out->failed_errno == 0 && (fputs(text, run->errors) == EOF || fputc('\n', run->errors) == EOF)) {
            output_give_up(out, run->options.errors_out, errno);
        }
    } else {
        run_report_failure(run, item);
    }
    brg_free(text);
    brg_value_unref(value);
}

static void output_item(output *out, run_item *item)
{
    if (item->end == RUN_DONE)
        output_result(out, item);
    out->counts.done += item->end == RUN_DONE;
    out->counts.failed += item->end == RUN_FAILED;
    out->counts.bad += item->end == RUN_FAILED && item->is_bad;
    out->counts.not_run += item->end == RUN_NOT_RUN;
    out->counts.retried += item->attempts > 1 ? item->attempts - 1 : 0;
    if (item->end == RUN_FAILED && out->run->options.errors_out != NULL)
        output_error_line(out, item);
    else if (item->end == RUN_FAILED)
        run_report_failure(out->run, item);
    if (out->used >= OUTPUT_BLOCK)
        output_flush(out);
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static void output_count(run_counts *to, run_counts *from)
{
    to->done += from->done;
    to->failed += from->failed;
    to->bad += from->bad;
    to->not_run += from->not_run;
    to->retried += from->retried;
    to->written += from->written;
    memset(from, 0, sizeof(*from));
}

/* A list of items, made lines of the buffer and given back to the reader. */
static void output_list(output *out, run_list *list)
{
    run_state *run = out->run;
    run_list empty = {NULL, NULL};
    size_t bytes = 0;
    for (run_item *item; (item = run_list_pop(list)) != NULL;) {
        output_item(out, item);
        bytes += item->bytes;
        run_item_clear(item);
        run_list_push(&empty, item);
    }
    uv_mutex_lock(&run->lock);
    output_count(&run->counts, &out->counts);
    run_list_append(&run->free_items, &empty);
    run->bytes_held -= bytes;
    uv_cond_signal(&run->has_free);
    uv_mutex_unlock(&run->lock);
}

/* Nothing more is there for now: nobody shall wait for what is in the buffers. */
static void output_flush_all(output *out)
{
    run_state *run = out->run;
    output_flush(out);
    if (run->errors != NULL && out->failed_errno == 0 && fflush(run->errors) != 0)
        output_give_up(out, run->options.errors_out, errno);
    uv_mutex_lock(&run->lock);
    output_count(&run->counts, &out->counts);
    uv_mutex_unlock(&run->lock);
}

/* The next items; empty at the end. */
static run_list output_next(output *out)
{
    run_state *run = out->run;
    run_list list = {NULL, NULL};
    uv_mutex_lock(&run->lock);
    if (run->output.head == NULL) {
        uv_mutex_unlock(&run->lock);
        output_flush_all(out);
        uv_mutex_lock(&run->lock);
    }
    while (run->output.head == NULL && !run->output_complete)
        uv_cond_wait(&run->has_output, &run->lock);
    run_list_append(&list, &run->output);
    uv_mutex_unlock(&run->lock);
    return list;
}

void run_write(void *user_data)
{
    run_state *run = user_data;
    output out = {.run = run};
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE); /* a reader that went away is an error like others */
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    for (run_list list; (list = output_next(&out)).head != NULL;)
        output_list(&out, &list);
    output_flush_all(&out);
    free(out.buffer);
    uv_mutex_lock(&run->lock);
    run->writer_ended = true;
    uv_mutex_unlock(&run->lock);
    uv_async_send(&run->wake);
}
