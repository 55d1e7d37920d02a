/* SPDX-License-Identifier: MIT */
/*
 * The owner's loop: where callbacks run. Completions of workers and pools are collected without a lock and
 * delivered in batches with one wake-up. Four ways to have one:
 *   - a libuv loop of yours: brg_loop_create_uv, in <brigade/uv.h>;
 *   - one that brigade runs: brg_loop_create and brg_loop_run;
 *   - any other loop: brg_loop_create with .external = true, watch brg_loop_fd for reading, call brg_loop_dispatch;
 *   - none: pass no loop, use brg_task_wait, brg_worker_receive, brg_pool_drain.
 * The owner thread of a loop is the one that created it.
 */
#ifndef BRIGADE_LOOP_H
#define BRIGADE_LOOP_H

#include <brigade/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brg_loop brg_loop;

typedef struct brg_loop_options {
    size_t size;
    bool external;      /* no libuv loop inside: the caller watches brg_loop_fd */
    uint32_t batch_max; /* callbacks in one dispatch before other I/O gets its turn; default 1024 */
    uint64_t spin_ns;   /* after a dispatch, look for more this long while work is out; default 0: sleep at once */
} brg_loop_options;

#define brg_loop_opts(...) BRG_OPTIONS(brg_loop_options, __VA_ARGS__)

/* A loop on the calling thread. `options` may be NULL. Errors: BRG_NO_MEMORY, BRG_SYSTEM (descriptors). */
BRG_API brg_status brg_loop_create(brg_loop **out, const brg_loop_options *options, brg_error *error);

/*
 * Ends the loop. Workers and pools that use it must be destroyed first: BRG_STATE otherwise, and nothing
 * changes; so it does for a worker's own loop, which ends with the worker. Handles that are still open on a libuv loop
 * of brigade's are closed, without their close callbacks. Accepts NULL. Owner thread.
 */
BRG_API brg_status brg_loop_destroy(brg_loop *loop);

/*
 * Runs until nothing is out (no task with a callback, no live worker or open port with one, no active handle on its
 * libuv loop) or brg_loop_stop was called. Not for external loops (BRG_STATE); BRG_FORKED in a child of a fork, where
 * the parent's loops do nothing; BRG_CLOSED on a worker's own loop once that worker is asked to end. Owner thread, not
 * from inside a callback.
 */
BRG_API brg_status brg_loop_run(brg_loop *loop);

/* Makes brg_loop_run return after the current batch. Any thread. */
BRG_API void brg_loop_stop(brg_loop *loop);

/* Readable whenever brg_loop_dispatch has something to do. Borrowed: watch it, do not read it. Owner thread. */
BRG_API int brg_loop_fd(const brg_loop *loop);

/* Runs the callbacks that are due, at most batch_max; returns how many. Never blocks. Owner thread. */
BRG_API size_t brg_loop_dispatch(brg_loop *loop);

/* How many completions are still to come: what keeps brg_loop_run running. Any thread. */
BRG_API size_t brg_loop_pending(const brg_loop *loop);

#ifdef __cplusplus
}
#endif

#endif
