/* SPDX-License-Identifier: MIT */
#include "chunks.h"

#include <sys/mman.h>
#include <unistd.h>

#include "chunk.h"

#define CHUNKS_PROBLEMS 100

/* ---- the obvious parser -------------------------------------------------------------------------------------------- */

typedef struct expect_row {
    uint32_t columns;
    bool flawed, unclosed;
    size_t end; /* of the text; behind it the line end, or nothing */
    pack_writer fields;
} expect_row;

static void expect_field(const chunks_input *input, expect_row *row, const char *text, size_t size)
{
    if (row->columns++ < input->columns)
        pack_put_text(&row->fields, text, (uint32_t)size);
}

static void expect_parse(const chunks_input *input, size_t at, expect_row *row)
{
    pack_writer field = {.data = NULL};
    for (;;) {
        bool quoted = at < input->size && input->data[at] == '"';
        size_t first = at;
        field.size = 0;
        if (quoted) {
            for (at++;; at++) {
                if (at == input->size) {
                    row->unclosed = true;
                    break;
                }
                if (input->data[at] == '"' && (at + 1 == input->size || input->data[at + 1] != '"'))
                    break;
                at += input->data[at] == '"';
                pack_put(&field, input->data + at, 1);
            }
            first = row->unclosed ? at : ++at;
        }
        while (at < input->size && input->data[at] != input->delimiter && input->data[at] != '\n')
            at++;
        bool last = at == input->size || input->data[at] == '\n';
        size_t end = last && at > first && input->data[at - 1] == '\r' ? at - 1 : at;
        if (quoted && end != first)
            row->flawed = true;
        if (quoted)
            expect_field(input, row, field.data, field.size);
        else
            expect_field(input, row, input->data + first, end - first);
        if (last)
            break;
        at++;
    }
    row->end = at;
    free(field.data);
}

static size_t expect_line(const chunks_input *input, size_t at)
{
    const char *end = memchr(input->data + at, '\n', input->size - at);
    return end == NULL ? input->size : (size_t)(end - input->data) + 1;
}

void chunks_expect(const chunks_input *input, chunks_outcome *out)
{
    pack_writer problems = {.data = NULL};
    memset(out, 0, sizeof(*out));
    for (size_t at = 0; at < input->size;) {
        expect_row row = {.columns = 0};
        size_t line = expect_line(input, at);
        expect_parse(input, at, &row);
        bool blank = (line - at == 1 && input->data[at] == '\n') ||
                     (input->data[at] == '\r' && (line - at == 1 || (line - at == 2 && input->data[at + 1] == '\n')));
        bool is_long = row.unclosed || row.end - at > input->row_max;
        if (!blank && !is_long && !row.flawed && row.columns == input->columns) {
            out->rows++;
            pack_put(&out->text, row.fields.data, row.fields.size);
        } else if (!blank) {
            out->malformed++;
            if (out->malformed <= CHUNKS_PROBLEMS) {
                pack_put_u64(&problems, at);
                pack_put_u64(&problems, out->lines + 1);
            }
        }
        size_t next = is_long ? line : row.end + (row.end < input->size);
        for (size_t i = at; i < next; i++)
            out->lines += input->data[i] == '\n';
        at = next;
        free(row.fields.data);
    }
    pack_put(&out->text, problems.data, problems.size);
    free(problems.data);
}

/* ---- in chunks ----------------------------------------------------------------------------------------------------- */

typedef struct read_run {
    const chunks_input *input;
    chunks_outcome *out;
    analyze_result result;
    analyze_scan scan;
    chunk_buffer buffer;
    int fd;
    uint64_t expected;
} read_run;

static void read_row(const char *record, uint32_t size, void *user_data)
{
    read_run *run = user_data;
    pack_put(&run->out->text, record, size);
}

static bool read_chunk(read_run *run, analyze_chunk *chunk)
{
    pack_writer packed = {.data = NULL};
    bool good = analyze_chunk_scan(chunk, &run->scan, &run->buffer, &packed) == CHUNK_DONE;
    pack_reader reader = {.at = packed.data, .end = packed.data + packed.size};
    analyze_partial partial;
    good = good && analyze_partial_read(&reader, &partial);
    if (good && partial.start != run->expected) {
        run->out->again++;
        good = !chunk->exact;
        chunk->exact = true;
        chunk->begin = run->expected;
        good = good && read_chunk(run, chunk);
    } else if (good) {
        good = analyze_result_merge(&run->result, &partial, &reader) == RESULT_OK;
        run->expected = partial.end;
    }
    free(packed.data);
    return good;
}

static bool read_all(read_run *run)
{
    const chunks_input *input = run->input;
    for (uint64_t begin = 0; begin < input->size; begin += input->chunk) {
        uint64_t end = begin + input->chunk < input->size ? begin + input->chunk : input->size;
        analyze_chunk chunk = {
            .fd = run->fd, .file_size = input->size, .begin = begin, .end = end, .exact = begin == 0};
        if (run->expected < end && !read_chunk(run, &chunk))
            return false;
    }
    return run->expected == input->size;
}

static void read_plan(const chunks_input *input, analyze_plan *plan)
{
    static char names[8][2] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    *plan = (analyze_plan){.format = input->format,
                           .delimiter = input->delimiter,
                           .columns = input->columns,
                           .row_max = input->row_max,
                           .malformed_max = CHUNKS_PROBLEMS,
                           .rows = true,
                           .limit = UINT64_MAX};
    for (uint32_t i = 0; i < input->columns; i++) {
        plan->slots[plan->slot_count++] = (analyze_slot){i, names[i % 8], 1};
        plan->select[plan->select_count++] = i;
    }
}

bool chunks_read(const chunks_input *input, chunks_outcome *out)
{
    static analyze_plan plan;
    read_run run = {.input = input, .out = out, .fd = memfd_create("chunks", MFD_CLOEXEC)};
    memset(out, 0, sizeof(*out));
    read_plan(input, &plan);
    bool good = run.fd >= 0 && write(run.fd, input->data, input->size) == (ssize_t)input->size &&
                analyze_scan_init(&run.scan, &plan) && analyze_result_init(&run.result, &plan);
    run.result.row = read_row;
    run.result.user_data = &run;
    good = good && read_all(&run);
    out->rows = run.result.row_count;
    out->malformed = run.result.malformed;
    out->lines = run.result.lines;
    for (uint32_t i = 0; i < run.result.problem_count; i++) {
        pack_put_u64(&out->text, run.result.problems[i].offset);
        pack_put_u64(&out->text, run.result.problems[i].line);
    }
    analyze_result_done(&run.result);
    analyze_scan_done(&run.scan);
    free(run.buffer.data);
    if (run.fd >= 0)
        close(run.fd);
    return good;
}

bool chunks_equal(const chunks_outcome *a, const chunks_outcome *b)
{
    return a->rows == b->rows && a->malformed == b->malformed && a->lines == b->lines && a->text.size == b->text.size &&
           (a->text.size == 0 || memcmp(a->text.data, b->text.data, a->text.size) == 0);
}
