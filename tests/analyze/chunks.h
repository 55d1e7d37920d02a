/* SPDX-License-Identifier: MIT */
/* The same bytes read by an obvious parser and, in chunks, by the module: what must be equal. For tests and the fuzzer. */
#ifndef TESTS_ANALYZE_CHUNKS_H
#define TESTS_ANALYZE_CHUNKS_H

#include "result.h"
#include "scan.h"

typedef struct chunks_input {
    analyze_format format;
    const char *data;
    size_t size;
    char delimiter;
    uint32_t columns;
    uint64_t row_max, chunk;
} chunks_input;

/* What is compared: good rows as records, and where the malformed ones are. Freed with free(text.data). */
typedef struct chunks_outcome {
    pack_writer text;
    uint64_t rows, malformed, lines;
    uint64_t again; /* chunks whose beginning was guessed wrong */
} chunks_outcome;

/* Byte by byte, without chunks (CSV). */
void chunks_expect(const chunks_input *input, chunks_outcome *out);

/* As `brigade analyze` does it, from a file. False when something failed that must not. */
bool chunks_read(const chunks_input *input, chunks_outcome *out);

bool chunks_equal(const chunks_outcome *a, const chunks_outcome *b);

#endif
