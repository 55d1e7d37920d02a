/* SPDX-License-Identifier: MIT */
/*
 * Pipes: blocks that end where a row does. A block is filled whole before it is cut, so that where it is cut depends on
 * the input and not on the pipe. Where it holds no quote its last line end is the place; else the rows are read, with
 * the reader that workers have, up to the last that is whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyze_run.h"

#define STREAM_PIPE (1 << 20)

/* A block with room for `capacity` bytes, which begins with `size` bytes of `data`. */
static bool stream_block(analyze_run *run, size_t capacity, const char *data, size_t size)
{
    brg_error error;
    brg_buffer *block = NULL;
    if (capacity == run->options.chunk && run->stream.idle_count != 0)
        block = run->stream.idle[--run->stream.idle_count];
    else if (brg_buffer_create(&block, capacity + READER_PADDING, &error) != BRG_OK)
        return cli_complain("analyze", "%s", error.message);
    if (size != 0)
        memcpy(brg_buffer_data(block), data, size);
    brg_buffer_unref(run->stream.block);
    run->stream.block = block;
    run->stream.size = size;
    return true;
}

/* Hands over the first `size` bytes; the rest begins the next block. */
static bool stream_cut(analyze_run *run, size_t size, uint64_t lines)
{
    analyze_stream *stream = &run->stream;
    analyze_piece *piece = analyze_add_piece(run);
    brg_buffer *block = stream->block;
    size_t left = stream->size - size;
    piece->begin = stream->base;
    piece->end = stream->base + size;
    piece->exact = true;
    piece->lines = lines;
    stream->block = NULL;
    const char *data = brg_buffer_bytes(block);
    size_t capacity = left > run->options.chunk ? left : (size_t)run->options.chunk;
    bool good = stream_block(run, capacity, data + size, left);
    stream->base = piece->end;
    piece->block = brg_buffer_ref(block);
    good = good && analyze_submit(run, piece, &block, size);
    brg_buffer_unref(block);
    return good;
}

/* Where the last whole row ends; 0: nowhere. *too_long: that row is the beginning of a line that is too long. */
static size_t stream_border(analyze_run *run, bool at_end, bool *too_long)
{
    analyze_stream *stream = &run->stream;
    const char *data = brg_buffer_bytes(stream->block);
    *too_long = false;
    if (at_end && stream->size <= run->options.row_max)
        return stream->size;
    bool plain = run->plan.format == ANALYZE_NDJSON || memchr(data, '"', stream->size) == NULL;
    const char *line = plain ? memrchr(data, '\n', stream->size) : NULL;
    if (line != NULL)
        return (size_t)(line - data) + 1;
    memset((char *)brg_buffer_data(stream->block) + stream->size, 0, READER_PADDING);
    analyze_reader_set(&run->border, data, stream->size, at_end, 0);
    for (;;) {
        analyze_row outcome = analyze_reader_next(&run->border);
        if (outcome == READER_END)
            return run->border.at;
        if (outcome == READER_MORE)
            return run->border.row;
        if (outcome == READER_LONG) {
            *too_long = true;
            return run->border.at;
        }
    }
}

/* Drops the rest of a line; false while its end is not there. */
static bool stream_skip(analyze_run *run, bool at_end)
{
    analyze_stream *stream = &run->stream;
    char *data = brg_buffer_data(stream->block);
    const char *end = memchr(data, '\n', stream->size);
    size_t size = end != NULL ? (size_t)(end - data) + 1 : stream->size;

    memmove(data, data + size, stream->size - size);
    stream->size -= size;
    stream->base += size;
    if (end == NULL && !at_end)
        return false;
    stream->skipping = false;
    return true;
}

/* The block is full, or the input ended: false after an error. */
static bool stream_full(analyze_run *run, bool at_end)
{
    analyze_stream *stream = &run->stream;
    if (stream->skipping && !stream_skip(run, at_end))
        return true;
    size_t capacity = brg_buffer_size(stream->block) - READER_PADDING;
    if (!at_end && stream->size < capacity)
        return true;
    bool too_long;
    size_t border = stream_border(run, at_end, &too_long);
    if (border == 0 && stream->size != 0)
        return stream_block(run, capacity * 2, brg_buffer_bytes(stream->block), stream->size);
    if (border == 0)
        return true;
    if (!stream_cut(run, border, too_long ? 1 : 0))
        return false;
    stream->skipping = too_long;
    return true;
}

static void stream_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    analyze_run *run = poll->data;
    uv_poll_stop(poll);
    run->stream.polling = false;
    analyze_submit_more(run);
}

static bool stream_start(analyze_run *run)
{
    analyze_stream *stream = &run->stream;
    analyze_source *source = &run->sources[run->source];
    size_t begun = source->begun_size - (size_t)source->data_start;
    size_t capacity = begun > run->options.chunk ? begun : (size_t)run->options.chunk;
    if (!stream_block(run, capacity, source->begun + source->data_start, begun))
        return false;
    stream->base = source->data_start;
    (void)fcntl(source->fd, F_SETPIPE_SZ, STREAM_PIPE); /* fewer switches; a pipe that may not grow stays as it is */
    /* What cannot be waited for, as /dev/zero, is read when there is room. */
    stream->poll = malloc(sizeof(*stream->poll));
    if (stream->poll == NULL)
        return cli_complain("analyze", "out of memory");
    if (uv_poll_init(&run->uv, stream->poll, source->fd) == 0) {
        stream->poll->data = run;
    } else {
        free(stream->poll);
        stream->poll = NULL;
    }
    return true;
}

static void stream_closed(uv_handle_t *handle) { free(handle); }

static void stream_close(analyze_run *run)
{
    analyze_stream *stream = &run->stream;
    if (stream->poll != NULL)
        uv_close((uv_handle_t *)stream->poll, stream_closed);
    stream->poll = NULL;
    stream->polling = false;
}

void analyze_stream_recycle(analyze_run *run, analyze_piece *piece)
{
    analyze_stream *stream = &run->stream;
    bool usual = piece->block != NULL && brg_buffer_size(piece->block) == run->options.chunk + READER_PADDING;
    if (stream->idle == NULL && usual && !run->ended)
        stream->idle = calloc(run->piece_max, sizeof(*stream->idle));
    if (stream->idle != NULL && usual && stream->idle_count < run->piece_max)
        stream->idle[stream->idle_count++] = piece->block;
    else
        brg_buffer_unref(piece->block);
    piece->block = NULL;
}

void analyze_stream_done(analyze_run *run)
{
    analyze_stream *stream = &run->stream;
    stream_close(run);
    brg_buffer_unref(stream->block);
    stream->block = NULL;
    while (stream->idle_count != 0)
        brg_buffer_unref(stream->idle[--stream->idle_count]);
    free(stream->idle);
    stream->idle = NULL;
}

/* Reads once. 1: go on; 0: nothing is there yet, and it is waited for; -1: an error. */
static int stream_read(analyze_run *run)
{
    analyze_stream *stream = &run->stream;
    analyze_source *source = &run->sources[run->source];
    struct pollfd ready = {.fd = source->fd, .events = POLLIN};
    if (stream->poll != NULL && poll(&ready, 1, 0) <= 0) {
        if (!stream->polling)
            uv_poll_start(stream->poll, UV_READABLE | UV_DISCONNECT, stream_readable);
        stream->polling = true;
        return 0;
    }
    size_t room = brg_buffer_size(stream->block) - READER_PADDING - stream->size;
    ssize_t got = read(source->fd, (char *)brg_buffer_data(stream->block) + stream->size, room);
    if (got > 0)
        stream->size += (size_t)got;
    source->at_end = got == 0;
    if (got >= 0 || errno == EINTR || errno == EAGAIN)
        return 1;
    cli_complain("analyze", "%s: %s", source->name, strerror(errno));
    return -1;
}

bool analyze_stream_more(analyze_run *run)
{
    analyze_stream *stream = &run->stream;
    analyze_source *source = &run->sources[run->source];
    if (stream->block == NULL && !stream_start(run)) {
        analyze_fail(run);
        return true;
    }
    while (run->piece_count < run->piece_max) {
        bool at_end = source->at_end;
        if (!stream_full(run, at_end)) {
            analyze_fail(run);
            return true;
        }
        if (at_end && stream->size == 0)
            return false;
        if (at_end)
            continue;
        if (brg_buffer_size(stream->block) - READER_PADDING == stream->size)
            continue; /* it is larger, or cut */
        int outcome = stream_read(run);
        if (outcome < 0)
            analyze_fail(run);
        if (outcome <= 0)
            return true;
    }
    return true;
}
