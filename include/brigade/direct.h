/* SPDX-License-Identifier: MIT */
/*
 * Any to any: a message to a worker by its id, from the program or any worker, to any worker or the program, in both
 * isolations. It is acknowledged: the sender hears when the receiver's handler has finished, and how.
 *
 *     brg_worker_post_to(7, question, BRG_SECONDS(1), &error);
 *
 * Who receives: the hook `direct` of a worker's module, run between its tasks and messages; or a handler that the
 * program, or a worker, registered with brg_direct_handle for a loop. Messages to one receiver are handled one at a
 * time, in the order they came. What waits for it is bounded: 1024 messages, and 64 MiB of them, but one always passes.
 *
 * Who waits can be waited for: two workers that post to each other from their handlers and wait for ever never return.
 * Give a timeout, or use brg_worker_post_to_async.
 */
#ifndef BRIGADE_DIRECT_H
#define BRIGADE_DIRECT_H

#include <brigade/loop.h>
#include <brigade/status.h>
#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BRG_PROGRAM_ID UINT64_C(0) /* the program's own id among the workers' */

/*
 * Sends `message` to the worker `worker_id` (BRG_PROGRAM_ID: the program) and waits until its handler has finished:
 * taken on success. After an error the caller still owns its reference, but ports and descriptors in it may have gone
 * along; not after BRG_INVALID and, except in a process worker, BRG_NOT_FOUND, BRG_DEADLOCK and BRG_FULL. Errors:
 *   BRG_NOT_FOUND no such worker, or it has ended; BRG_DEADLOCK it is the caller's own;
 *   BRG_UNSUPPORTED it has no handler, or the caller is a process worker that a process worker made;
 *   BRG_FULL too much waits for it; BRG_INVALID message NULL or timeout 0; BRG_TOO_LARGE; BRG_NO_MEMORY; BRG_FORKED;
 *   BRG_TIMED_OUT (a handler that has begun goes on); BRG_FAILED the handler failed, with its code and sentence;
 *   BRG_CLOSED the receiver ended before it had finished, or, in a process worker, the program is gone;
 *   BRG_CANCELLED the caller is a worker that is asked to end.
 * Any thread; not a loop's thread that the receiver may wait for in turn.
 */
BRG_API brg_status brg_worker_post_to(uint64_t worker_id, brg_value *message, uint64_t timeout_ns, brg_error *error);

typedef struct brg_direct_options {
    size_t size;
    brg_loop *loop;      /* where done runs; needed */
    uint64_t timeout_ns; /* until the handler has finished; default (zero) and BRG_FOREVER: no limit */
    void (*done)(const brg_error *error, void *user_data); /* once; error NULL: the handler has finished well. Needed */
    void (*release)(void *user_data);                      /* exactly once, after done; never if the post failed */
    void *user_data;
} brg_direct_options;

#define brg_direct_opts(...) BRG_OPTIONS(brg_direct_options, __VA_ARGS__)

/*
 * The same without waiting: taken on success; `done` follows on the loop, never inside this call, with the errors
 * above. The loop keeps running until then. Errors here: BRG_INVALID, BRG_NO_MEMORY, BRG_SYSTEM; and as above what is
 * known at once. Owner thread of the loop.
 */
BRG_API brg_status brg_worker_post_to_async(uint64_t worker_id, brg_value *message, const brg_direct_options *options,
                                            brg_error *error);

/* A registered handler of the program, or of a worker that runs a loop of its own. */
typedef struct brg_direct_handler brg_direct_handler;

typedef struct brg_direct_handler_options {
    size_t size;
    brg_loop *loop; /* where it runs; needed */
    /* `message` is borrowed until return. Not BRG_OK: the sender gets BRG_FAILED with `error`, which it may fill.
     * Needed. */
    brg_status (*on_direct)(uint64_t from, const brg_value *message, void *user_data, brg_error *error);
    bool keeps_loop;                  /* it keeps its loop running until it is ended; default: it does not */
    void (*release)(void *user_data); /* exactly once, when brigade lets go of user_data; never if it failed */
    void *user_data;
} brg_direct_handler_options;

#define brg_direct_handler_opts(...) BRG_OPTIONS(brg_direct_handler_options, __VA_ARGS__)

/*
 * From now on messages to the caller's id (in a worker: that worker's, in place of its module's hook; else the
 * program's) are handled on the loop. One at a time: BRG_STATE where there is one. BRG_INVALID; BRG_NO_MEMORY. Owner
 * thread of the loop. End it with brg_direct_unhandle.
 */
BRG_API brg_status brg_direct_handle(brg_direct_handler **out, const brg_direct_handler_options *options,
                                     brg_error *error);

/* Ends it: what waits for it gets BRG_CLOSED, later ones BRG_UNSUPPORTED. Accepts NULL. Owner thread; safe inside the
 * handler. */
BRG_API void brg_direct_unhandle(brg_direct_handler *handler);

#ifdef __cplusplus
}
#endif

#endif
