/* SPDX-License-Identifier: MIT */
#include "reader.h"

bool analyze_reader_init(analyze_reader *reader, const analyze_plan *plan)
{
    memset(reader, 0, sizeof(*reader));
    reader->plan = plan;
    size_t count = plan->format == ANALYZE_CSV ? plan->columns : plan->slot_count;
    reader->fields = calloc(count + 1, sizeof(*reader->fields));
    return reader->fields != NULL;
}

void analyze_reader_done(analyze_reader *reader)
{
    free(reader->fields);
    reader->fields = NULL;
}

void analyze_reader_set(analyze_reader *reader, const char *data, size_t size, bool at_end, size_t at)
{
    reader->data = data;
    reader->size = size;
    reader->at_end = at_end;
    reader->at = at;
    reader->mask = 0;
    reader->mask_base = at;
    reader->mask_count = 0;
    reader->mask_index = SIZE_MAX;
}

analyze_row analyze_reader_next(analyze_reader *reader)
{
    reader->row = reader->at;
    reader->row_line = reader->lines;
    reader->problem = PROBLEM_NONE;
    if (reader->at >= reader->size)
        return reader->at_end ? READER_END : READER_MORE;
    return reader->plan->format == ANALYZE_CSV ? analyze_csv_next(reader) : analyze_ndjson_next(reader);
}

analyze_row analyze_reader_short(analyze_reader *reader, bool in_quotes)
{
    size_t left = reader->size - reader->row;
    bool is_long = left > reader->plan->row_max;
    if (!is_long && !reader->at_end) {
        reader->lines = reader->row_line;
        return READER_MORE;
    }
    reader->problem = is_long || !in_quotes ? PROBLEM_LONG : PROBLEM_UNCLOSED;
    const char *line_end = memchr(reader->data + reader->row, '\n', left);
    size_t next = line_end != NULL ? (size_t)(line_end - reader->data) + 1
                                   : reader->row + (is_long ? reader->plan->row_max + 1 : left);
    reader->lines = reader->row_line + (line_end != NULL);
    analyze_reader_set(reader, reader->data, reader->size, reader->at_end, next);
    return line_end == NULL && is_long ? READER_LONG : READER_BAD;
}
