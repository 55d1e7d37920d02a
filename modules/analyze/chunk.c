/* SPDX-License-Identifier: MIT */
#include "chunk.h"

#include <errno.h>
#include <unistd.h>

#define CHUNK_TAIL ((size_t)32 << 10) /* read behind the end, for the last row */
#define CHUNK_BEFORE 64u              /* and before the beginning, for the guess */
#define CHUNK_SKIP ((size_t)256 << 10)

typedef struct chunk_run {
    const analyze_chunk *chunk;
    analyze_scan *scan;
    chunk_buffer *buffer;
    chunk_outcome outcome;
} chunk_run;

/* Reads on until the buffer has `size` bytes or the file ends. */
static bool chunk_read(chunk_run *run, size_t size)
{
    chunk_buffer *buffer = run->buffer;
    uint64_t left = run->chunk->file_size - buffer->base;
    if (size > left)
        size = (size_t)left;
    if (size + READER_PADDING > buffer->capacity) {
        char *data = realloc(buffer->data, size + READER_PADDING);
        if (data == NULL) {
            run->outcome = CHUNK_NO_MEMORY;
            return false;
        }
        buffer->data = data;
        buffer->capacity = size + READER_PADDING;
    }
    while (buffer->size < size) {
        ssize_t got = pread(run->chunk->fd, buffer->data + buffer->size, size - buffer->size,
                            (off_t)(buffer->base + buffer->size));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            run->outcome = got == 0 ? CHUNK_SHRANK : CHUNK_SYSTEM;
            return false;
        }
        buffer->size += (size_t)got;
    }
    memset(buffer->data + buffer->size, 0, READER_PADDING);
    return true;
}

/* Begins anew at `base`, with what the chunk has from there. */
static bool chunk_load(chunk_run *run, uint64_t base)
{
    uint64_t end = run->chunk->end > base ? run->chunk->end : base;
    run->buffer->base = base;
    run->buffer->size = 0;
    return chunk_read(run, (size_t)(end - base) + CHUNK_TAIL);
}

static void chunk_set(chunk_run *run, uint64_t at)
{
    chunk_buffer *buffer = run->buffer;
    analyze_reader_set(&run->scan->reader, buffer->data, buffer->size,
                       buffer->base + buffer->size == run->chunk->file_size, (size_t)(at - buffer->base));
}

/* Behind the next line end from `at` on, or at the end of the file. */
static bool chunk_skip_line(chunk_run *run, uint64_t *at)
{
    for (;;) {
        run->buffer->base = *at;
        run->buffer->size = 0;
        if (!chunk_read(run, CHUNK_SKIP))
            return false;
        const char *end = memchr(run->buffer->data, '\n', run->buffer->size);
        if (end != NULL) {
            *at += (uint64_t)(end - run->buffer->data) + 1;
            run->scan->reader.lines++;
            return true;
        }
        *at += run->buffer->size;
        if (*at == run->chunk->file_size)
            return true;
    }
}

static uint64_t chunk_start(chunk_run *run)
{
    const analyze_chunk *chunk = run->chunk;
    const chunk_buffer *buffer = run->buffer;
    if (chunk->exact || chunk->begin == 0)
        return chunk->begin;
    size_t from = (size_t)(chunk->begin - buffer->base), to = (size_t)(chunk->end - buffer->base);
    if (run->scan->plan->format == ANALYZE_NDJSON) {
        const char *end = memchr(buffer->data + from - 1, '\n', to - from);
        return end == NULL ? SCAN_NO_ROW : buffer->base + (uint64_t)(end - buffer->data) + 1;
    }
    size_t at = analyze_csv_guess(buffer->data, from, to, run->scan->plan->delimiter);
    return at == SIZE_MAX ? SCAN_NO_ROW : buffer->base + at;
}

/* Everything from `at` on; *at is then where the next chunk's first row begins. */
static bool chunk_rows(chunk_run *run, uint64_t *at)
{
    const analyze_chunk *chunk = run->chunk;
    analyze_reader *reader = &run->scan->reader;
    chunk_set(run, *at);
    while (*at < chunk->end) {
        analyze_row outcome = analyze_scan_run(run->scan, run->buffer->base, (size_t)(chunk->end - run->buffer->base));
        *at = run->buffer->base + reader->at;
        if (outcome == READER_END)
            break;
        if (outcome == READER_BAD) {
            run->outcome = CHUNK_NO_MEMORY;
            return false;
        }
        if (outcome == READER_LONG) {
            if (!chunk_skip_line(run, at) || (*at < chunk->end && !chunk_load(run, *at)))
                return false;
        } else {
            *at = run->buffer->base + reader->row;
            if (!chunk_read(run, run->buffer->size + (run->buffer->size - reader->row) + CHUNK_TAIL))
                return false;
        }
        if (*at < chunk->end)
            chunk_set(run, *at);
    }
    return true;
}

chunk_outcome analyze_chunk_scan(const analyze_chunk *chunk, analyze_scan *scan, chunk_buffer *buffer, pack_writer *out)
{
    chunk_run run = {.chunk = chunk, .scan = scan, .buffer = buffer, .outcome = CHUNK_DONE};
    analyze_scan_clear(scan);
    if (!chunk_load(&run, chunk->begin < CHUNK_BEFORE ? 0 : chunk->begin - CHUNK_BEFORE))
        return run.outcome;
    uint64_t start = chunk_start(&run), at = start;
    if (start != SCAN_NO_ROW && !chunk_rows(&run, &at))
        return run.outcome;
    analyze_scan_pack(scan, start, at, out);
    return out->failed ? CHUNK_NO_MEMORY : CHUNK_DONE;
}
