/* SPDX-License-Identifier: MIT */
/* Traces, read back: JSON, whole, whose slices nest and whose asynchronous events end. */
#ifndef TESTS_TRACING_H
#define TESTS_TRACING_H

#include "scenario.h"

#include <brigade/trace.h>

typedef struct tracing_summary {
    size_t tasks, batches, begins, ends, starts_of_workers, unfinished, instants;
    size_t ok;
} tracing_summary;

brg_trace *tracing_new(const brg_trace_options *options);
brg_value *tracing_parse(const char *bytes, size_t size);
brg_value *tracing_read(brg_trace *trace); /* the caller's */
tracing_summary tracing_check(const brg_value *value);
tracing_summary tracing_check_now(brg_trace *trace); /* reads and checks it */

#endif
