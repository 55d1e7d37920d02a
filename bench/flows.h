/* SPDX-License-Identifier: MIT */
/*
 * A loop over many cheap elements, the same for all who run it: ten million numbers squared, from one array into
 * another. Two threads each.
 */
#ifndef BENCH_FLOWS_H
#define BENCH_FLOWS_H

#include "harness.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWS_CHEAP ((size_t)10000000)

typedef struct flows_cheap {
    float *in, *out;
} flows_cheap;

/* Arrays whose pages are all present. */
flows_cheap flows_cheap_make(void);
void flows_cheap_run(const flows_cheap *cheap, size_t first, size_t end);

/* Runs it again and again: prints the median time of all elements, in microseconds, as `cheap`. */
void flows_measure_cheap(void (*run)(void *state), void *state);
#ifdef __cplusplus
}
#endif

#endif
