/* SPDX-License-Identifier: MIT */
/*
 * Traces: which task ran when, on which worker, of one pool or several, as a file that Perfetto (ui.perfetto.dev) and
 * chrome://tracing open. A flight recorder: it keeps the newest events, and is written whenever one wants to look.
 *
 *     brg_trace_create(&trace, NULL, &error);
 *     brg_pool_create(&pool, brg_pool_opts(.trace = trace, ...), &error);
 *     ...
 *     brg_trace_write(trace, "pool.trace.json", &error);
 */
#ifndef BRIGADE_TRACE_H
#define BRIGADE_TRACE_H

#include <brigade/json.h>
#include <brigade/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brg_trace brg_trace;

typedef struct brg_trace_options {
    size_t size;
    uint64_t events_max;  /* kept for each pool, 64 bytes each, allocated as needed; default 131072 */
    bool stops_when_full; /* keeps the first events instead of the newest */
    bool details;         /* also BRG_EVENTS_DETAILS: where tasks wait, and when workers fall idle */
} brg_trace_options;

#define brg_trace_opts(...) BRG_OPTIONS(brg_trace_options, __VA_ARGS__)

/* An empty one. Errors: BRG_INVALID; BRG_NO_MEMORY; BRG_UNSUPPORTED. Any thread. */
BRG_API brg_status brg_trace_create(brg_trace **out, const brg_trace_options *options, brg_error *error);

/*
 * Records the pool from now on, until the trace or the pool is destroyed; from its first moment by
 * brg_pool_options.trace. Pools need no loop. What was recorded of a pool stays when it goes. Errors: BRG_INVALID;
 * BRG_STATE (it is in this trace already); BRG_FULL (16 watches and traces on one pool); BRG_CLOSED; BRG_NO_MEMORY;
 * BRG_FORKED. Any thread.
 */
BRG_API brg_status brg_trace_add(brg_trace *trace, brg_pool *pool, brg_error *error);

/*
 * Writes what it has, as of now, and goes on recording: one process for each pool, one thread for each worker, one
 * slice for each attempt at a task and for each chunk of a flow. The file is there whole or not at all: it is written
 * beside `path` and renamed.
 * Errors: BRG_SYSTEM with the errno, `path` is untouched then; BRG_NO_MEMORY; BRG_INVALID. Any thread.
 */
BRG_API brg_status brg_trace_write(brg_trace *trace, const char *path, brg_error *error);

/* The same in pieces to a function; what that returns, unless BRG_OK, ends the writing and is returned. */
BRG_API brg_status brg_trace_print(brg_trace *trace, brg_json_write_fn write, void *user_data, brg_error *error);

/* What it holds, and how many events it could not keep: the oldest, or with stops_when_full the newest. Errors:
 * BRG_INVALID; BRG_FORKED. Any thread. */
typedef struct brg_trace_stats {
    size_t size;
    uint64_t events, lost;
    uint64_t bytes; /* of memory for events */
} brg_trace_stats;
BRG_API brg_status brg_trace_get_stats(brg_trace *trace, brg_trace_stats *out);

/* Accepts NULL. Its pools go on. Any thread, when no other function of it runs. */
BRG_API void brg_trace_destroy(brg_trace *trace);

#ifdef __cplusplus
}
#endif

#endif
