/* SPDX-License-Identifier: MIT */
/* Files and streams: what they are, and the header of a CSV. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analyze.h"

#define INPUT_READ ((size_t)64 << 10)

/* Another program may have made its end of a pipe, which is ours too, one that does not block. */
static bool input_wait(const analyze_source *source)
{
    struct pollfd ready = {.fd = source->fd, .events = POLLIN};
    return poll(&ready, 1, -1) > 0;
}

static bool input_read_more(analyze_source *source)
{
    if (source->begun_capacity - source->begun_size < INPUT_READ + READER_PADDING) {
        size_t capacity = source->begun_capacity * 2 + INPUT_READ + READER_PADDING;
        char *data = realloc(source->begun, capacity);
        if (data == NULL)
            return cli_complain("analyze", "out of memory");
        source->begun = data;
        source->begun_capacity = capacity;
    }
    ssize_t got;
    do
        got = source->is_file
                  ? pread(source->fd, source->begun + source->begun_size, INPUT_READ, (off_t)source->begun_size)
                  : read(source->fd, source->begun + source->begun_size, INPUT_READ);
    while (got < 0 && (errno == EINTR || (errno == EAGAIN && input_wait(source))));
    if (got < 0)
        return cli_complain("analyze", "%s: %s", source->name, strerror(errno));
    source->begun_size += (size_t)got;
    source->at_end = got == 0;
    memset(source->begun + source->begun_size, 0, READER_PADDING);
    return true;
}

static bool input_take_header(const analyze_reader *reader, bool numbered, analyze_header *header)
{
    header->names = calloc(reader->count, sizeof(*header->names));
    header->sizes = calloc(reader->count, sizeof(*header->sizes));
    if (header->names == NULL || header->sizes == NULL)
        return cli_complain("analyze", "out of memory");
    for (uint32_t i = 0; i < reader->count; i++) {
        const analyze_field *field = &reader->fields[i];
        char *name = malloc((size_t)field->size + 16);
        if (name == NULL)
            return cli_complain("analyze", "out of memory");
        size_t size = field->size;
        if (numbered)
            size = (size_t)snprintf(name, 16, "%u", i + 1);
        else if (field->escaped)
            size = analyze_csv_decode(field, name);
        else
            memcpy(name, field->text, size);
        name[size] = '\0';
        header->names[i] = name;
        header->sizes[i] = (uint32_t)size;
        header->count = i + 1;
    }
    return true;
}

/* The first row of a CSV; reads as much of the source as that takes. */
static bool input_first_row(analyze_source *source, const analyze_options *options, analyze_header *header)
{
    analyze_plan plan = {.format = ANALYZE_CSV, .delimiter = options->delimiter, .columns = ANALYZE_COLUMNS_MAX};
    analyze_reader reader;
    plan.row_max = options->row_max;
    if (!analyze_reader_init(&reader, &plan))
        return cli_complain("analyze", "out of memory");
    bool good = true;
    analyze_row outcome = READER_MORE;
    size_t at = source->data_start;
    for (;;) {
        analyze_reader_set(&reader, source->begun, source->begun_size, source->at_end, at);
        do
            outcome = analyze_reader_next(&reader);
        while (outcome == READER_BLANK);
        at = reader.row;
        if (outcome != READER_MORE || !(good = input_read_more(source)))
            break;
    }
    bool whole = outcome == READER_GOOD || (outcome == READER_BAD && reader.problem == PROBLEM_COLUMNS);
    if (good && outcome == READER_END)
        good = cli_complain("analyze", "%s: it is empty, it has not even a header", source->name);
    else if (good && (!whole || reader.count > ANALYZE_COLUMNS_MAX))
        good = cli_complain("analyze", "%s: its first row is longer than --row-max, or a quote in it is not right",
                            source->name);
    good = good && input_take_header(&reader, options->no_header, header);
    if (good && !options->no_header) {
        source->data_start = reader.at;
        source->lines = reader.lines;
    }
    analyze_reader_done(&reader);
    return good;
}

static bool input_open(analyze_source *source, const char *name)
{
    struct stat info;
    bool standard = strcmp(name, "-") == 0;
    source->name = standard ? "standard input" : name;
    source->fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    if (source->fd < 0 || fstat(source->fd, &info) != 0)
        return cli_complain("analyze", "%s: %s", source->name, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return cli_complain("analyze", "%s: it is a directory", source->name);
    source->is_file = S_ISREG(info.st_mode) && info.st_size > 0 && (!standard || lseek(source->fd, 0, SEEK_CUR) == 0);
    if (standard)
        snprintf(source->path, sizeof(source->path), "/proc/%ld/fd/0", (long)getpid());
    source->size = (uint64_t)info.st_size;
    source->device = (uint64_t)info.st_dev;
    source->inode = (uint64_t)info.st_ino;
    return true;
}

bool analyze_open_source(analyze_source *source, const char *name, const analyze_options *options,
                         analyze_header *header)
{
    if (!input_open(source, name))
        return false;
    while (source->begun_size < 3 && !source->at_end)
        if (!input_read_more(source))
            return false;
    if (source->begun_size >= 3 && memcmp(source->begun, "\xef\xbb\xbf", 3) == 0)
        source->data_start = 3;
    if (options->input == ANALYZE_CSV && !input_first_row(source, options, header))
        return false;
    if (source->is_file) {
        free(source->begun);
        source->begun = NULL;
        source->begun_size = 0;
    }
    return true;
}

void analyze_close_source(analyze_source *source)
{
    free(source->begun);
    source->begun = NULL;
    if (source->fd > STDERR_FILENO)
        close(source->fd);
    source->fd = -1;
}

bool analyze_same_header(const analyze_header *first, const analyze_header *other, const char *name)
{
    if (first->count != other->count)
        return cli_complain("analyze", "%s: it has %u columns, the first input has %u", name, other->count,
                            first->count);
    for (uint32_t i = 0; i < first->count; i++)
        if (strcmp(first->names[i], other->names[i]) != 0)
            return cli_complain("analyze", "%s: its column %u is \"%s\", that of the first input is \"%s\"", name,
                                i + 1, other->names[i], first->names[i]);
    return true;
}
