/* SPDX-License-Identifier: MIT */
/*
 * Strands: what the layer above the pool lets workers do. A strand is a function that runs as a task of the library's
 * own: in no count a user sees, bounded by no queue, not retried, without timeouts. It runs at most once at a time, and
 * again when its end says so. This header names nothing of the pool's inside.
 */
#ifndef BRG_POOL_STRAND_H
#define BRG_POOL_STRAND_H

#include <brigade/pool.h>

#include "base/asking.h"
#include "loop/loop.h"

typedef struct brg__strand brg__strand;

/* A flow, to those who watch its pool: strand_watch.c. */
typedef struct brg__seen {
    brg_pool *pool;
    uint64_t number;                  /* 0 until somebody is told; under the pool's lock */
    brg_call_fn function;             /* by its address, where it has no name */
    char name[BRG_TASK_NAME_MAX + 1]; /* or "" */
} brg__seen;

/* Its memory is the user's, from start until `ended` returned false. */
struct brg__strand {
    brg_pool *pool; /* held by the user */
    brg_priority priority;
    bool is_more; /* of something that has begun: it starts in a pool that drains, too */
    /* A worker's thread, as user code: the thread may be abandoned in it. */
    void (*run)(brg__strand *strand, brg_context *context);
    /* Its task settled: BRG_OK after it ran; else it never ran, or with BRG_LOST, it may be running still. Returns
     * whether it shall run again; when that fails this comes once more. Under the pool's lock. */
    bool (*ended)(brg__strand *strand, brg_status status, const brg_error *error);
    /* Process isolation, instead of run: input of BRG__TASK_EACH, worker/context.h; held by the user. */
    brg_value *input;
    brg_value *output;     /* of the last time; filled before `ended`, which takes it */
    brg__seen *flow;       /* whose chunk it is; NULL: it tells of its chunks itself */
    uint64_t first, end;   /* of that chunk */
    struct brg_task *task; /* the pool's, under its lock */
};

/* It will run. BRG_CLOSED; BRG_UNAVAILABLE; BRG_NO_MEMORY; BRG_FORKED. Any thread. */
brg_status brg__strand_start(brg__strand *strand, brg_error *error);
/* If it waits, it ends with BRG_CANCELLED, inside; if it runs, or does not, nothing happens. Any thread. */
void brg__strand_withdraw(brg__strand *strand);

/* If it waits, it ends as above; if it runs, its task is asked to end, and then its worker. Any thread. */
void brg__strand_cancel(brg__strand *strand);

/* The caller is a thread worker of the pool: its context. NULL: it is not. */
brg_context *brg__strand_context(const brg_pool *pool);
/* Whether anybody waits for a worker. A hint, without a lock. */
bool brg__strand_must_share(const brg_pool *pool);
/* Runs call(argument, context) on the worker's thread: what it allocates and how it fails is its own, not that of the
 * task it may be nested in. */
void brg__strand_call(brg_context *context, void (*call)(void *argument, brg_context *context), void *argument);
/* From here on the function that runs is part of what may be asked to end: it is when *xasked is not 0. They nest. */
void brg__strand_begin_asking(brg_context *context, brg__asking *asking, const uint32_t *xasked);
void brg__strand_end_asking(brg_context *context, const brg__asking *asking);
/* *xasked was set: who runs there hears of it, unless that is another task inside. `nesting`: what the first gave there,
 * on its thread. Any thread that knows that the context is between the two above. */
uint32_t brg__strand_nesting(const brg_context *context);
void brg__strand_ring(brg_context *context, uint32_t nesting);
/* In such a call: what a user's function returned, made whole; with a failure, why. The context is clean again. */
brg_status brg__strand_conclude(brg_context *context, brg_status returned, brg_error *why);

/* On a thread worker, in brg__strand_call: the module's task for the items from `first` to before `end`; *out as in
 * worker/context.h. What fails is why it does not give any. */
brg_status brg__strand_run_each(brg_context *context, const char *name, bool stops, brg_view items, size_t first,
                                size_t end, brg_value **out);

/* ---- being watched ----------------------------------------------------------------------------------------------- */

/* `flow` is zeroed; `name` may be NULL. */
void brg__seen_init(brg__seen *flow, brg_pool *pool, const char *name, void (*function)(void));
bool brg__seen_is_watched(const brg__seen *flow);
void brg__seen_started(brg__seen *flow, uint64_t elements);
void brg__seen_ended(brg__seen *flow, brg_status status, uint64_t failures, bool has_lock); /* the pool's */
/* Of thread workers, on one of them, of a flow that is watched. */
void brg__seen_chunk_started(brg__seen *flow, uint64_t first, uint64_t end);
void brg__seen_chunk_ended(brg__seen *flow, uint64_t first, uint64_t started_ns);

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

void brg__strand_hold_pool(brg_pool *pool);
void brg__strand_drop_pool(brg_pool *pool);
/* Checks of every call on a pool. */
brg_status brg__strand_check(const brg_pool *pool, brg_error *error);
bool brg__strand_has_processes(const brg_pool *pool);
bool brg__strand_has_loop(const brg_pool *pool);
bool brg__strand_has_module(const brg_pool *pool);
uint32_t brg__strand_workers(const brg_pool *pool);     /* at most so many */
size_t brg__strand_bytes_max(const brg_pool *pool);     /* of an input */
uint64_t brg__strand_run_timeout(const brg_pool *pool); /* UINT64_MAX: none */
/* Whether what ended so after so many attempts gets another one. */
bool brg__strand_tries_again(const brg_pool *pool, brg_status status, uint32_t attempts);

/* A completion for the pool's loop will come: what waits for the pool waits for it too. Then it comes, or not; and at
 * the end of what it runs brg__strand_told, on the loop. */
brg_status brg__strand_expect(brg_pool *pool, brg_error *error); /* BRG_CLOSED */
void brg__strand_unexpect(brg_pool *pool);
void brg__strand_tell(brg_pool *pool, brg__completion *completion);
void brg__strand_told(brg_pool *pool);

#endif
