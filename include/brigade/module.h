/* SPDX-License-Identifier: MIT */
/*
 * Modules: a shared object (or a struct linked in) that exports named tasks and hooks. The same module
 * serves both isolations. Its tasks get a brg_context, the worker's side of everything.
 *
 *     static brg_status resize(brg_context *context, const brg_value *input, brg_value **output);
 *     BRG_MODULE(photos, .tasks = BRG_TASKS({"resize", resize}), .worker_start = start_vips);
 */
#ifndef BRIGADE_MODULE_H
#define BRIGADE_MODULE_H

#include <brigade/status.h>
#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BRG_MODULE_ABI 1u
#define BRG_TASK_NAME_MAX 63 /* bytes */

typedef enum brg_isolation { BRG_ISOLATION_THREAD = 0, BRG_ISOLATION_PROCESS = 1 } brg_isolation;

typedef struct brg_context brg_context;

/*
 * One task. `input` is borrowed until return (NULL when nothing was sent). Store a value into *output to send
 * a result back: it is taken. Return BRG_OK, or an error, best by `return brg_context_fail(...)`.
 */
typedef brg_status (*brg_task_fn)(brg_context *context, const brg_value *input, brg_value **output);

typedef struct brg_module_task {
    const char *name;
    brg_task_fn run;
} brg_module_task;

typedef struct brg_module {
    size_t size;
    uint32_t abi;
    const char *name;
    const brg_module_task *tasks; /* ends with a NULL name; may be NULL */

    /*
     * Once before any worker starts: for process workers in their template process, which is single-threaded and
     * must stay so (start no threads here); for thread workers once in the program. May be NULL.
     */
    brg_status (*preload)(brg_error *error);

    /* On each worker, before its first task and after its last. A failing start ends the worker. May be NULL. */
    brg_status (*worker_start)(brg_context *context);
    void (*worker_end)(brg_context *context);

    /* On each message the owner posted to the worker; borrowed until return. Without it messages wait for
     * brg_context_receive. An error is reported to the owner and the worker lives on. May be NULL. */
    brg_status (*message)(brg_context *context, const brg_value *message);
} brg_module;

#define BRG_TASKS(...) ((const brg_module_task[]){__VA_ARGS__, {NULL, NULL}})

/* Defines the symbol the loader looks for. One per shared object. */
#define BRG_MODULE(id, ...)                                                                                            \
    BRG_API extern const brg_module brg_module_entry;                                                                  \
    const brg_module brg_module_entry = {.size = sizeof(brg_module), .abi = BRG_MODULE_ABI, .name = #id, __VA_ARGS__}

/* ---- the context: inside a worker, on the worker's thread ---------------------------------------------- */

/* Who this worker is. */
BRG_API uint64_t brg_context_worker_id(const brg_context *context);
BRG_API const char *brg_context_worker_name(const brg_context *context);
BRG_API brg_isolation brg_context_isolation(const brg_context *context);

/* What the owner gave as init_data, borrowed for the worker's life; NULL for none. */
BRG_API const brg_value *brg_context_init_data(const brg_context *context);

/* A pointer of the module's own per worker: set in worker_start, freed in worker_end. */
BRG_API void brg_context_set_state(brg_context *context, void *state);
BRG_API void *brg_context_state(const brg_context *context);

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
