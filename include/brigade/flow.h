/* SPDX-License-Identifier: MIT */
/*
 * Flows over arrays and values: the same work for each of many elements, spread over the workers of a pool.
 *
 *     brg_map_array(pool, square, numbers, squares, count, &error);
 *
 * Who calls waits until all of it is done. Elements go to workers in chunks whose size follows from the time that
 * elements are seen to take: about 100 us, one element at first, and never more than what is left by twice the workers,
 * so that all end together (guided self-scheduling: Polychronopoulos, Kuck 1987; factoring: Hummel, Schonberg, Flynn
 * 1992). chunk_min and chunk_max bound it; chunk_max is for work with a few elements that take thousands of times as
 * long as their neighbours, since a chunk that has begun is not divided.
 *
 * Each worker's part is a task of the library's own with the given priority, in none of the pool's counts and bounds;
 * but in traces and events (BRG_EVENTS_FLOWS); after about 2 ms it goes back into the queue when others wait there.
 * Called in a task of the same pool, that task's worker takes part: calls nest, however few workers there are. Nothing
 * begins after the call has returned.
 *
 * Or forks (brigade/fork.h)? They are for recursion inside a task, for pieces of a microsecond; this is for ranges, from
 * anywhere, beside other tasks.
 */
#ifndef BRIGADE_FLOW_H
#define BRIGADE_FLOW_H

#include <brigade/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the failure of an element does. */
typedef enum brg_flow_errors {
    BRG_FLOW_STOP = 0, /* nothing more begins, and the call fails with it; of several, that of the lowest index */
    BRG_FLOW_GO_ON,    /* all others run; then the call fails with that of the lowest index */
    BRG_FLOW_SKIP,     /* values: the result is left out of the list, and the call succeeds */
    BRG_FLOW_COLLECT   /* values: an error value stands in its place, and the call succeeds */
} brg_flow_errors;

typedef struct brg_flow_options {
    size_t size;
    brg_done_fn done; /* the call returns at once, and this runs on the pool's loop when all is done; with the */
    void *user_data;  /* output of calls over values. Everything the call was given must stay until then */
    brg_token *token; /* when it is cancelled, nothing more begins and what runs is asked: BRG_CANCELLED. Referenced */
    brg_priority priority;
    uint32_t workers_max; /* at most so many workers at a time; default: all of the pool */
    size_t chunk_min;     /* elements in a chunk, but for the last; default 1 */
    size_t chunk_max;     /* default: no bound but those above */
    bool unordered;       /* results are joined as they come: less memory, but how differs from run to run */
    brg_flow_errors errors;
    size_t *failures; /* receives how many elements, or ranges, failed, also on failure; may be NULL */
    const char *name; /* what traces and events call it; default: the task, or the function, by its symbol. Copied */
} brg_flow_options;

#define brg_flow_opts(...) BRG_OPTIONS(brg_flow_options, __VA_ARGS__)

/* ---- arrays: thread isolation ------------------------------------------------------------------------------ */

/*
 * Functions here run on workers of the pool, several at a time; `state` is shared. Their context is that of the worker:
 * memory of brg_context_alloc lives until the function returns, and brg_context_cancelled (or its descriptor) tells when
 * the flow is cancelled, by its token or with the calling task, or that worker is asked to end. Then fail, unless all is
 * done: what returns BRG_OK counts as done. A failure is a status other than BRG_OK, best from brg_context_fail.
 */

/* Does the elements from `first` to before `end`. */
typedef brg_status (*brg_range_fn)(brg_context *context, size_t first, size_t end, void *state);

/*
 * Runs `body` for ranges that together are 0 to count - 1, each number once. `options` and `error` may be NULL.
 * Errors: what `body` returned; BRG_CANCELLED (the token, the pool killed, the calling task asked to end); BRG_LOST, as
 * of a task: then one range may still be running; BRG_UNSUPPORTED (process isolation); BRG_INVALID; BRG_CLOSED;
 * BRG_UNAVAILABLE; BRG_NO_MEMORY; BRG_FORKED. Any thread; it waits, so not where nobody may.
 */
BRG_API brg_status brg_parallel_for(brg_pool *pool, size_t count, brg_range_fn body, void *state,
                                    const brg_flow_options *options, brg_error *error);

/* Makes one element of another. */
typedef brg_status (*brg_map_fn)(brg_context *context, const void *in, void *out, void *state);

/* An array of elements that a map reads, and one that it writes; `in` and `out` may be the same. The caller's. */
typedef struct brg_mapping {
    const void *in;
    void *out;
    size_t in_bytes, out_bytes; /* of one element; 0 with a NULL array */
    size_t count;
} brg_mapping;

/* Runs `fn` for each element of the arrays. Errors: as brg_parallel_for. */
BRG_API brg_status brg_map(brg_pool *pool, brg_map_fn fn, const brg_mapping *mapping, void *state,
                           const brg_flow_options *options, brg_error *error);

/* The short form: the sizes are those of the arrays' types. */
#define brg_map_array(pool, fn, in_, out_, count_, error)                                                              \
    brg_map((pool), (fn), &(brg_mapping){(in_), (out_), sizeof(*(in_)), sizeof(*(out_)), (count_)}, NULL, NULL, (error))

/* Takes the elements from `first` to before `end` into the accumulator. */
typedef brg_status (*brg_fold_fn)(brg_context *context, size_t first, size_t end, void *accumulator, void *state);

/* Takes `from`, whose elements come after those of `into`, into that; on success what `from` holds is taken. One at a
 * time; any worker or, at the end, the calling thread or the loop. */
typedef brg_status (*brg_combine_fn)(void *into, void *from, void *state);

typedef struct brg_reduction {
    size_t size;
    brg_fold_fn fold;
    brg_combine_fn combine;                          /* associative; with `unordered` also commutative */
    void (*discard)(void *accumulator, void *state); /* frees what one holds, after a failure; may be NULL */
    size_t accumulator_bytes;
    void *state;
} brg_reduction;

#define brg_reduction_opts(...) BRG_OPTIONS(brg_reduction, __VA_ARGS__)

/*
 * Folds ranges that together are 0 to count - 1 into accumulators, and combines those into *result. Each accumulator
 * begins as a copy of *result, which is untouched on failure, and what is left where count is 0.
 *
 * Combined from left to right in the order of the elements, so that any associative operation will do; with chunk_min
 * and chunk_max the same, also always in the same steps, so that sums of doubles are equal to the last bit. Accumulators
 * that wait for an earlier one take memory, one a chunk. With `unordered` there is one for each worker, and no more.
 *
 * Errors: as brg_parallel_for, and what `combine` returned; BRG_INVALID for other rules of errors than BRG_FLOW_STOP.
 */
BRG_API brg_status brg_map_reduce(brg_pool *pool, size_t count, const brg_reduction *reduction, void *result,
                                  const brg_flow_options *options, brg_error *error);

/* ---- values: any isolation --------------------------------------------------------------------------------- */

/*
 * Runs the module's task `name` with each element of the list `items` as its input, and gives the list of their outputs
 * in that order; nil for a task that gave none. Many elements go to a worker in one message, by the time they are seen
 * to take. A worker that crashes, or runs out of the pool's run_timeout_ns, costs only the element to blame: those that
 * were with it are run again, each alone, so tasks that fail may have run twice. What ends an element alone is tried
 * again as attempts_max and retry_on say. With a token, cancelled tasks in processes are asked to end.
 *
 * `items` is borrowed (with `done`: referenced). The list is *out, the caller's to unref; with `done` it is the result's
 * output, and `out` must be NULL. Error values of BRG_FLOW_COLLECT tell status, code and message, and as their detail
 * that of brg_context_fail_with.
 *
 * Errors: what a task failed with; BRG_CANCELLED; BRG_CRASHED and what else ends a task; BRG_WRONG_TYPE (items is no
 * list); BRG_UNSUPPORTED (ports or descriptors in it); BRG_TOO_LARGE (message_bytes_max); BRG_INVALID; BRG_CLOSED;
 * BRG_UNAVAILABLE; BRG_NO_MEMORY; BRG_FORKED; those of token watches. Any thread; in a task only of thread isolation.
 */
BRG_API brg_status brg_map_values(brg_pool *pool, const char *name, const brg_value *items, brg_value **out,
                                  const brg_flow_options *options, brg_error *error);

/*
 * Runs the task `map` on each element, then the task `reduce` on lists of neighbouring results, in their order, then on
 * lists of those, until there is one: *out, always an output of `reduce`, which gets an empty list where there is
 * nothing, and must be associative. Errors: as brg_map_values; BRG_INVALID with `done`.
 */
BRG_API brg_status brg_map_reduce_values(brg_pool *pool, const char *map, const char *reduce, const brg_value *items,
                                         brg_value **out, const brg_flow_options *options, brg_error *error);

#ifdef __cplusplus
}
#endif

#endif
