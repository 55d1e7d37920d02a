/* SPDX-License-Identifier: MIT */
/*
 * The context: the worker's side of everything. Tasks, hooks, handlers and entry functions are given one. All of it is
 * for the worker's own thread, unless a declaration says otherwise.
 */
#ifndef BRIGADE_CONTEXT_H
#define BRIGADE_CONTEXT_H

#include <stdio.h>

#include <brigade/loop.h>
#include <brigade/status.h>
#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum brg_isolation { BRG_ISOLATION_THREAD = 0, BRG_ISOLATION_PROCESS = 1 } brg_isolation;

typedef struct brg_context brg_context;

/* ---- who and what it is ------------------------------------------------------------------------------------ */

/* The context of the worker that the calling thread is; NULL on any other thread. Any thread. */
BRG_API brg_context *brg_context_current(void);

BRG_API uint64_t brg_context_worker_id(const brg_context *context);
BRG_API const char *brg_context_worker_name(const brg_context *context);
BRG_API brg_isolation brg_context_isolation(const brg_context *context);

/*
 * What the owner gave as init_data, borrowed for the worker's life; NULL for none. Ports and descriptors in it can be
 * taken with brg_view_take_port and brg_view_take_fd; what nobody takes goes with the worker.
 */
BRG_API const brg_value *brg_context_init_data(const brg_context *context);

/* What the owner gave as arguments; borrowed for the worker's life. NULL past the last. */
BRG_API size_t brg_context_argument_count(const brg_context *context);
BRG_API const char *brg_context_argument(const brg_context *context, size_t index);

/* A pointer of the module's own per worker: set in worker_start, freed in worker_end. */
BRG_API void brg_context_set_state(brg_context *context, void *state);
BRG_API void *brg_context_state(const brg_context *context);

/* ---- environment ------------------------------------------------------------------------------------------- */

/*
 * The worker's environment: its own copy, in a process worker also that of getenv(3) and of the programs it starts;
 * with share_environment that of the program, changes and all. getenv gives NULL for what is not there, else a string
 * that is valid until the next of these calls on this context. Errors of the other two: BRG_INVALID for an empty name,
 * one with '=' in it, or NULL; BRG_NO_MEMORY.
 */
BRG_API const char *brg_context_getenv(brg_context *context, const char *name);
BRG_API brg_status brg_context_setenv(brg_context *context, const char *name, const char *value);
BRG_API brg_status brg_context_unsetenv(brg_context *context, const char *name);

/* All of it as "NAME=value", ended by NULL, as execve takes it; borrowed until the next change. Of a shared one: the
 * program's environ. */
BRG_API const char *const *brg_context_environment(brg_context *context);

/*
 * Environment data: named values that the workers started from here later inherit, as they are then. In a worker these
 * are the worker's own, elsewhere the program's. set takes `value` on success; NULL removes the name. get gives a
 * reference, the caller's to unref, or NULL. Errors: BRG_INVALID for a name that is empty or no UTF-8; BRG_UNSUPPORTED
 * for a value with ports or descriptors in it, which only one can have; BRG_NO_MEMORY. Any thread.
 */
BRG_API brg_status brg_environment_data_set(const char *name, brg_value *value, brg_error *error);
BRG_API brg_value *brg_environment_data_get(const char *name);

/* The same for the worker of `context`. */
BRG_API brg_status brg_context_environment_data_set(brg_context *context, const char *name, brg_value *value,
                                                    brg_error *error);
BRG_API brg_value *brg_context_environment_data_get(brg_context *context, const char *name);

/* ---- standard streams -------------------------------------------------------------------------------------- */

/*
 * The worker's streams: what its owner chose for stdin_mode, stdout_mode and stderr_mode. In a process worker they are
 * stdin, stdout and stderr themselves, whatever writes there; in a thread worker they are streams of its own, or with
 * BRG_STDIO_INHERIT those of the program. Captured ones are line-buffered, stderr not at all; both are flushed when the
 * worker ends. A write that waits for the owner to read fails with EPIPE once the worker is asked to end. Borrowed: do
 * not close them. NULL when memory is out.
 */
BRG_API FILE *brg_context_stdin(brg_context *context);
BRG_API FILE *brg_context_stdout(brg_context *context);
BRG_API FILE *brg_context_stderr(brg_context *context);

/* ---- its loop and its end ---------------------------------------------------------------------------------- */

/*
 * The worker's own loop, made when first asked for: for its timers and I/O (brg_loop_uv), for ports, and for workers
 * and pools of its own. From then on the worker waits in it between tasks and messages. A task, or an entry function,
 * may also run it with brg_loop_run, which returns when nothing keeps it or when the worker is asked to end
 * (BRG_CLOSED). It ends with the worker, after worker_end, closing what is still open on it. Borrowed: do not destroy
 * it. NULL, with `error` filled: BRG_NO_MEMORY, BRG_SYSTEM (descriptors).
 */
BRG_API brg_loop *brg_context_loop(brg_context *context, brg_error *error);

/*
 * Runs `fn(argument)` when the worker ends in order: after its last task or message, or when its entry function
 * returned, or worker_start failed, or asked to end; the newest first, before worker_end. Not when it crashes, is
 * killed, calls exit or is abandoned. Errors: BRG_INVALID; BRG_NO_MEMORY.
 */
BRG_API brg_status brg_context_at_exit(brg_context *context, void (*fn)(void *argument), void *argument);

/* ---- tasks ------------------------------------------------------------------------------------------------- */

/* Which attempt of the task this is, from 1; 0 outside a task. */
BRG_API uint32_t brg_context_attempt(const brg_context *context);

/*
 * Memory that lives until the task settles; zeroed, aligned for any type. NULL past the worker's arena limit
 * (arena_bytes_max) or when memory is out.
 */
BRG_API void *brg_context_alloc(brg_context *context, size_t size_bytes);

/* Records why the task fails: the user's own code and a sentence. Returns BRG_FAILED for `return`. */
BRG_API brg_status brg_context_fail(brg_context *context, int64_t code, const char *format, ...) BRG_PRINTF(3, 4);

/* The same with any status and a detail value for the owner, which is taken (it may be NULL). Returns `status`. */
BRG_API brg_status brg_context_fail_with(brg_context *context, brg_status status, int64_t code, brg_value *detail,
                                         const char *format, ...) BRG_PRINTF(5, 6);

/* Whether the task was asked to end (cancel, timeout, shutdown). One relaxed load: ask often. */
BRG_API bool brg_context_cancelled(const brg_context *context);

/* A descriptor that becomes readable when the task is asked to end, to put into poll. Borrowed; -1 if none is left. */
BRG_API int brg_context_cancel_fd(brg_context *context);

/*
 * Sends a value to who submitted the running task: a part of the result, or how far it is. Taken on success. It is
 * delivered in order, before the task settles; where nobody listens it is dropped. Waits up to `timeout_ns` while
 * progress_max values are on their way (0: tries once). Errors: BRG_FULL or BRG_TIMED_OUT; BRG_CANCELLED when the task
 * is asked to end while it waits; BRG_TOO_LARGE; BRG_STATE outside a task of a pool, and in the function of a batch;
 * BRG_INVALID (NULL); BRG_NO_MEMORY; BRG_UNSUPPORTED for what cannot go to another process.
 */
BRG_API brg_status brg_context_progress(brg_context *context, brg_value *value, uint64_t timeout_ns, brg_error *error);

/* Says that the running task is alive, for pools with heartbeat_ns; so does brg_context_progress, also while it waits.
 * One store: call it often. */
BRG_API void brg_context_heartbeat(brg_context *context);

/* What brg_pool_configure gave last; borrowed until the next time. NULL: nothing. */
BRG_API const brg_value *brg_context_config(const brg_context *context);

/* The index of the worker in its pool, from 0, as in worker_tags; and its tags. UINT32_MAX and 0 outside a pool. */
BRG_API uint32_t brg_context_worker_index(const brg_context *context);
BRG_API uint64_t brg_context_worker_tags(const brg_context *context);

/* ---- messages ---------------------------------------------------------------------------------------------- */

/*
 * Sends a message to the owner. Taken on success. Waits up to `timeout_ns` for room; 0 tries once. Errors: BRG_FULL or
 * BRG_TIMED_OUT; BRG_TOO_LARGE; BRG_CLOSED when the owner is shutting the worker down; BRG_UNSUPPORTED
 * on a worker of a pool, which takes results, not messages.
 */
BRG_API brg_status brg_context_post(brg_context *context, brg_value *message, uint64_t timeout_ns, brg_error *error);

/*
 * Takes the next message the owner posted; the caller's to unref. Waits up to `timeout_ns`. Errors: BRG_EMPTY
 * (timeout 0), BRG_TIMED_OUT, BRG_CLOSED when the worker is asked to end and nothing is left.
 */
BRG_API brg_status brg_context_receive(brg_context *context, brg_value **message, uint64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif
