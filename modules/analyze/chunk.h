/* SPDX-License-Identifier: MIT */
/* One chunk of a file: the rows that begin in it, read with pread, so that a file that shrinks is an error and no
 * signal. */
#ifndef BRIGADE_ANALYZE_CHUNK_H
#define BRIGADE_ANALYZE_CHUNK_H

#include "scan.h"

typedef struct analyze_chunk {
    int fd;
    uint64_t file_size; /* as it was when the command looked; what was written later is not read */
    uint64_t begin, end;
    bool exact; /* a row begins at `begin`: no guess */
} analyze_chunk;

/* The memory that chunks are read into, kept for the next one. All zero is none. */
typedef struct chunk_buffer {
    char *data;
    size_t capacity, size;
    uint64_t base; /* where byte 0 stands in the file */
} chunk_buffer;

typedef enum chunk_outcome { CHUNK_DONE, CHUNK_NO_MEMORY, CHUNK_SHRANK, CHUNK_SYSTEM /* errno */ } chunk_outcome;

/* Scans it and packs the partial result. */
chunk_outcome analyze_chunk_scan(const analyze_chunk *chunk, analyze_scan *scan, chunk_buffer *buffer,
                                 pack_writer *out);

#endif
