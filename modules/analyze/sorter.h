/* SPDX-License-Identifier: MIT */
/*
 * Sorted runs into one, in bounded memory: they are kept until they pass `memory_max`, then merged into a longer one that
 * goes to a temporary file, whose runs are merged at the end, in several passes where there are many (Knuth, TAOCP volume
 * 3, 5.4). The file has no name: nothing is left behind, however this ends.
 */
#ifndef BRIGADE_ANALYZE_SORTER_H
#define BRIGADE_ANALYZE_SORTER_H

#include <signal.h>

#include "merge.h"

#define SORTER_MEMORY_LEAST ((uint64_t)16 << 10)

typedef struct sorter_run {
    char *records; /* owned; NULL: [begin, end) of the file */
    uint64_t begin, end;
} sorter_run;

typedef struct sorter_list {
    sorter_run *runs;
    size_t count, capacity;
} sorter_list;

typedef struct analyze_sorter {
    uint64_t memory_max, limit;  /* bytes; records */
    const char *directory;       /* of the temporary file; borrowed */
    volatile sig_atomic_t *stop; /* not 0: what is under way ends with SORTER_STOPPED; NULL: nothing stops it */
    sorter_list kept, spilled;
    uint64_t kept_bytes, records;
    size_t largest; /* record */
    int fd;         /* of the file; -1: none yet */
    char *buffer;   /* what is written next */
    size_t buffered, buffer_size;
    uint64_t file_size;             /* with it */
    int error;                      /* errno of the outcome */
    uint64_t run_count, pass_count; /* runs that went to the file; passes over it before the last one */
} analyze_sorter;

typedef enum sorter_outcome {
    SORTER_DONE,
    SORTER_STOPPED,
    SORTER_NO_MEMORY,
    SORTER_DIRECTORY, /* no file can be made there: `error` */
    SORTER_WRITE,     /* the file: `error` */
    SORTER_READ,
    SORTER_FALSE /* no records */
} sorter_outcome;

void analyze_sorter_init(analyze_sorter *sorter, uint64_t memory_max, uint64_t limit, const char *directory);
void analyze_sorter_done(analyze_sorter *sorter);
/* One more run, copied. Its records come behind those of earlier runs that are equal. */
sorter_outcome analyze_sorter_add(analyze_sorter *sorter, const char *records, size_t size);
/* Gives all records in order, up to the limit. Once, and last. */
sorter_outcome analyze_sorter_finish(analyze_sorter *sorter, merge_put put, void *user_data);

#endif
