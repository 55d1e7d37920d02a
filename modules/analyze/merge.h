/* SPDX-License-Identifier: MIT */
/* Many sorted runs of records (sorted.h) into one: a tree of losers (Knuth, TAOCP volume 3, 5.4.1). */
#ifndef BRIGADE_ANALYZE_MERGE_H
#define BRIGADE_ANALYZE_MERGE_H

#include "sorted.h"

/* A run: in memory, or a part of a file that is read through a buffer. */
typedef struct merge_input {
    const char *at, *end; /* what is there and not taken yet */
    char *buffer;         /* of a file's; owned. NULL: all is in memory */
    size_t capacity;
    uint64_t next, stop; /* the part of the file that is not read yet */
    int fd;
    /* The record that is next; none when `over`. */
    uint64_t prefix;
    const char *record;
    size_t size;
    bool over;
} merge_input;

typedef enum merge_outcome {
    MERGE_DONE,
    MERGE_ENDED, /* `put` wanted no more */
    MERGE_NO_MEMORY,
    MERGE_SYSTEM, /* errno: a file could not be read */
    MERGE_FALSE   /* a record is none */
} merge_outcome;

/* Gets a record with its sizes; false ends the merging. */
typedef bool (*merge_put)(const char *record, size_t size, void *user_data);

merge_input analyze_merge_memory(const char *records, size_t size);
/* Bytes [begin, stop) of `fd`, through a buffer of `capacity`, which is made and freed by analyze_merge. */
merge_input analyze_merge_file(int fd, uint64_t begin, uint64_t stop, size_t capacity);

/* Gives the first `limit` records in order, those that are equal in the order of the inputs. */
merge_outcome analyze_merge(merge_input *inputs, size_t count, uint64_t limit, merge_put put, void *user_data);

#endif
