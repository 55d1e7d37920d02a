/* SPDX-License-Identifier: MIT */
/*
 * Cancel tokens: a flag that is raised once and never lowered, seen at once by every thread and process that holds
 * the token. It lies in shared memory: asking is one load, also in the middle of a loop that computes, in another
 * process that reads no messages. Put into a value (brg_builder_token) it travels by reference.
 */
#ifndef BRIGADE_TOKEN_H
#define BRIGADE_TOKEN_H

#include <brigade/loop.h>
#include <brigade/status.h>
#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brg_token brg_token;

/* A token that is not cancelled. Errors: BRG_NO_MEMORY; BRG_SYSTEM. Any thread. End it with brg_token_unref. */
BRG_API brg_status brg_token_create(brg_token **out, brg_error *error);

/* Another holder in this process; the last unref lets go of it here. unref accepts NULL. Any thread. */
BRG_API brg_token *brg_token_ref(brg_token *token);
BRG_API void brg_token_unref(brg_token *token);

/*
 * Cancels: whoever waits wakes, callbacks follow. What was written before is seen by who sees the token cancelled.
 * Later calls do nothing. Any thread.
 */
BRG_API void brg_token_cancel(brg_token *token);

/* Whether it is cancelled; false for NULL, so that "no token" needs no care. Any thread and signal handlers. */
BRG_API bool brg_token_is_cancelled(const brg_token *token);

/*
 * Waits until it is cancelled: BRG_OK, or BRG_TIMED_OUT after `timeout_ns` (0: at once), or BRG_CANCELLED in a worker
 * that is asked to end, or whose task is. Errors also: BRG_FULL when
 * BRG_SHARED_WAITERS_MAX wait already; BRG_FORKED. Any thread.
 */
BRG_API brg_status brg_token_wait(brg_token *token, uint64_t timeout_ns);

/* A function that waits for a token. */
typedef struct brg_token_watch brg_token_watch;

typedef struct brg_token_watch_options {
    size_t size;
    brg_loop *loop;     /* where `cancelled` runs; needed */
    bool is_background; /* it does not keep its loop running */

    void (*cancelled)(void *user_data); /* at most once, never inside the call that set the watch. Needed */
    void (*release)(void *user_data);   /* exactly once, on the loop, after the last use; never if it failed to start */
    void *user_data;
} brg_token_watch_options;

#define brg_token_watch_opts(...) BRG_OPTIONS(brg_token_watch_options, __VA_ARGS__)

/*
 * Runs `cancelled` on the loop when the token is cancelled, or soon if it is already. *out (`out` may be NULL) ends
 * the watch early. Errors: BRG_INVALID (options); BRG_FULL when BRG_SHARED_WAITERS_MAX wait already; BRG_NO_MEMORY;
 * BRG_SYSTEM; BRG_FORKED: then nothing runs, not even release. Any thread.
 */
BRG_API brg_status brg_token_on_cancel(brg_token *token, const brg_token_watch_options *options, brg_token_watch **out,
                                       brg_error *error);

/*
 * Ends the watch and the handle: on the loop's thread `cancelled` does not run after it; from other threads it may be
 * running. `release` follows on the loop. Accepts NULL. Any thread, once; also after `cancelled` ran.
 */
BRG_API void brg_token_watch_destroy(brg_token_watch *watch);

/* ---- in values --------------------------------------------------------------------------------------------- */

/* Puts it into a value by reference; the caller keeps its handle. BRG_INVALID sticks for NULL. */
BRG_API void brg_builder_token(brg_builder *builder, brg_token *token);

/*
 * The token of such a node, borrowed from the value; brg_token_ref keeps it longer. NULL for other types. Any thread.
 */
BRG_API brg_token *brg_view_token(brg_view view);

#ifdef __cplusplus
}
#endif

#endif
