/* SPDX-License-Identifier: MIT */
#include "sorter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define SORTER_BUFFER_LEAST ((size_t)4 << 10)
#define SORTER_BUFFER_MOST ((size_t)1 << 20)
#define SORTER_RUNS_MOST 1024u /* merged at a time */

void analyze_sorter_init(analyze_sorter *sorter, uint64_t memory_max, uint64_t limit, const char *directory)
{
    *sorter = (analyze_sorter){.memory_max = memory_max, .limit = limit, .directory = directory, .fd = -1};
}

static void sorter_drop(sorter_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->runs[i].records);
    list->count = 0;
}

void analyze_sorter_done(analyze_sorter *sorter)
{
    sorter_drop(&sorter->kept);
    free(sorter->kept.runs);
    free(sorter->spilled.runs);
    free(sorter->buffer);
    if (sorter->fd >= 0)
        close(sorter->fd);
    analyze_sorter_init(sorter, 0, 0, NULL);
}

static bool sorter_append(sorter_list *list, sorter_run run)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        sorter_run *runs = realloc(list->runs, capacity * sizeof(*runs));
        if (runs == NULL)
            return false;
        list->runs = runs;
        list->capacity = capacity;
    }
    list->runs[list->count++] = run;
    return true;
}

static sorter_outcome sorter_fail(analyze_sorter *sorter, sorter_outcome outcome)
{
    sorter->error = errno;
    return outcome;
}

static bool sorter_stopped(const analyze_sorter *sorter) { return sorter->stop != NULL && *sorter->stop != 0; }

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static sorter_outcome sorter_open(analyze_sorter *sorter)
{
    if (sorter->fd >= 0)
        return SORTER_DONE;
    size_t size = SORTER_BUFFER_MOST;
    while (size > SORTER_BUFFER_LEAST && size > sorter->memory_max / 8)
        size /= 2;
    sorter->buffer = malloc(size);
    if (sorter->buffer == NULL)
        return SORTER_NO_MEMORY;
    sorter->buffer_size = size;
    sorter->fd = open(sorter->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (sorter->fd >= 0)
        return SORTER_DONE;
    char name[PATH_MAX]; /* some file systems know no files without a name */
    int length = snprintf(name, sizeof(name), "%s/brigade-sort.XXXXXX", sorter->directory);
    if (length < 0 || (size_t)length >= sizeof(name)) {
        sorter->error = ENAMETOOLONG;
        return SORTER_DIRECTORY;
    }
    sigset_t all, before; /* it has a name for a moment: no signal may end the program then */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    sorter->fd = mkostemp(name, O_CLOEXEC);
    if (sorter->fd < 0)
        (void)sorter_fail(sorter, SORTER_DIRECTORY);
    else
        unlink(name);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return sorter->fd >= 0 ? SORTER_DONE : SORTER_DIRECTORY;
}

static bool sorter_flush(analyze_sorter *sorter)
{
    size_t written = 0;
    uint64_t at = sorter->file_size - sorter->buffered;
    while (written < sorter->buffered && !sorter_stopped(sorter)) {
        ssize_t put = pwrite(sorter->fd, sorter->buffer + written, sorter->buffered - written, (off_t)(at + written));
        if (put < 0 && errno != EINTR) {
            sorter->error = errno;
            return false;
        }
        written += put > 0 ? (size_t)put : 0;
    }
    sorter->buffered = 0;
    return !sorter_stopped(sorter);
}

static bool sorter_write(const char *record, size_t size, void *user_data)
{
    analyze_sorter *sorter = user_data;
    while (size != 0) {
        size_t room = sorter->buffer_size - sorter->buffered, part = size < room ? size : room;
        memcpy(sorter->buffer + sorter->buffered, record, part);
        sorter->buffered += part;
        sorter->file_size += part;
        record += part;
        size -= part;
        if (sorter->buffered == sorter->buffer_size && !sorter_flush(sorter))
            return false;
    }
    return true;
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

/* Gives back the place that merged runs took, where the file system can: the file is read and written at once. */
static void sorter_release(const analyze_sorter *sorter, const sorter_run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (runs[i].records == NULL)
            (void)fallocate(sorter->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)runs[i].begin,
                            (off_t)(runs[i].end - runs[i].begin));
}

static sorter_outcome sorter_outcome_of(analyze_sorter *sorter, merge_outcome outcome)
{
    switch (outcome) {
    case MERGE_DONE:
        return SORTER_DONE;
    case MERGE_ENDED:
        return sorter->error != 0 ? SORTER_WRITE : SORTER_STOPPED;
    case MERGE_NO_MEMORY:
        return SORTER_NO_MEMORY;
    case MERGE_SYSTEM:
        return sorter_fail(sorter, SORTER_READ);
    default:
        return SORTER_FALSE;
    }
}

/* Those runs of which none has to wait for memory: neither their buffers nor one record of each pass it. */
static size_t sorter_width(const analyze_sorter *sorter)
{
    size_t least = sorter->largest > SORTER_BUFFER_LEAST ? sorter->largest : SORTER_BUFFER_LEAST;
    uint64_t width = sorter->memory_max / least;
    return width < 3 ? 2 : width > SORTER_RUNS_MOST ? SORTER_RUNS_MOST : (size_t)width - 1;
}

static sorter_outcome sorter_merge(analyze_sorter *sorter, const sorter_run *runs, size_t count, merge_put put,
                                   void *user_data)
{
    merge_input *inputs = calloc(count + 1, sizeof(*inputs));
    uint64_t capacity = sorter->memory_max / (count + 1);
    if (inputs == NULL)
        return SORTER_NO_MEMORY;
    capacity = capacity < SORTER_BUFFER_LEAST ? SORTER_BUFFER_LEAST : capacity;
    capacity = capacity > SORTER_BUFFER_MOST ? SORTER_BUFFER_MOST : capacity;
    for (size_t i = 0; i < count; i++)
        inputs[i] = runs[i].records != NULL
                        ? analyze_merge_memory(runs[i].records, (size_t)(runs[i].end - runs[i].begin))
                        : analyze_merge_file(sorter->fd, runs[i].begin, runs[i].end, (size_t)capacity);
    merge_outcome outcome = analyze_merge(inputs, count, sorter->limit, put, user_data);
    free(inputs);
    return sorter_outcome_of(sorter, outcome);
}

/* Merges some runs into one at the end of the file. */
static sorter_outcome sorter_spill(analyze_sorter *sorter, const sorter_run *runs, size_t count, sorter_run *out)
{
    sorter_outcome outcome = sorter_open(sorter);
    uint64_t begin = sorter->file_size;
    if (outcome == SORTER_DONE)
        outcome = sorter_merge(sorter, runs, count, sorter_write, sorter);
    if (outcome == SORTER_DONE && !sorter_flush(sorter))
        outcome = sorter->error != 0 ? SORTER_WRITE : SORTER_STOPPED;
    if (outcome != SORTER_DONE)
        return outcome;
    sorter_release(sorter, runs, count);
    *out = (sorter_run){.begin = begin, .end = sorter->file_size}; /* which may be the first of `runs` */
    sorter->run_count++;
    return SORTER_DONE;
}

static sorter_outcome sorter_spill_kept(analyze_sorter *sorter)
{
    sorter_run run;
    if (sorter->kept.count == 0)
        return SORTER_DONE;
    sorter_outcome outcome = sorter_spill(sorter, sorter->kept.runs, sorter->kept.count, &run);
    sorter_drop(&sorter->kept);
    sorter->kept_bytes = 0;
    if (outcome == SORTER_DONE && !sorter_append(&sorter->spilled, run))
        outcome = SORTER_NO_MEMORY;
    return outcome;
}

/* Neighbours into one, so that equal records stay in their order, and no more than leaves `width` runs. */
static sorter_outcome sorter_pass(analyze_sorter *sorter, size_t width)
{
    sorter_list *list = &sorter->spilled;
    size_t to = 0, left = list->count;
    for (size_t at = 0; at < list->count;) {
        size_t count = list->count - at < width ? list->count - at : width;
        if (left <= width)
            count = 1;
        else if (count > left - width + 1)
            count = left - width + 1;
        if (count == 1) {
            list->runs[to++] = list->runs[at++];
            continue;
        }
        sorter_outcome outcome = sorter_spill(sorter, &list->runs[at], count, &list->runs[to]);
        if (outcome != SORTER_DONE)
            return outcome;
        to++;
        at += count;
        left -= count - 1;
    }
    list->count = to;
    sorter->pass_count++;
    return SORTER_DONE;
}

/* ---- runs come --------------------------------------------------------------------------------------------------- */

static bool sorter_count(analyze_sorter *sorter, const char *records, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t record = analyze_sorted_record(records + at, size - at);
        if (record == 0)
            return false;
        sorter->largest = record > sorter->largest ? record : sorter->largest;
        sorter->records++;
        at += record;
    }
    return true;
}

sorter_outcome analyze_sorter_add(analyze_sorter *sorter, const char *records, size_t size)
{
    if (!sorter_count(sorter, records, size))
        return SORTER_FALSE;
    if (size == 0)
        return SORTER_DONE;
    if (sorter->kept_bytes + size > sorter->memory_max) {
        sorter_outcome outcome = sorter_spill_kept(sorter);
        if (outcome != SORTER_DONE)
            return outcome;
    }
    sorter_run run = {.records = malloc(size), .end = size};
    if (run.records == NULL || !sorter_append(&sorter->kept, run)) {
        free(run.records);
        return SORTER_NO_MEMORY;
    }
    memcpy(run.records, records, size);
    sorter->kept_bytes += size;
    return SORTER_DONE;
}

sorter_outcome analyze_sorter_finish(analyze_sorter *sorter, merge_put put, void *user_data)
{
    size_t width = sorter_width(sorter);
    sorter_outcome outcome = SORTER_DONE;
    if (sorter->spilled.count == 0)
        return sorter_merge(sorter, sorter->kept.runs, sorter->kept.count, put, user_data);
    outcome = sorter_spill_kept(sorter);
    while (outcome == SORTER_DONE && sorter->spilled.count > width)
        outcome = sorter_pass(sorter, width);
    return outcome != SORTER_DONE ? outcome
                                  : sorter_merge(sorter, sorter->spilled.runs, sorter->spilled.count, put, user_data);
}
