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

#include <brigade/batch.h>
#include <brigade/context.h>
#include <brigade/status.h>
#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BRG_MODULE_ABI 1u
#define BRG_TASK_NAME_MAX 63 /* bytes */

/*
 * One task. `input` is borrowed until return (NULL when nothing was sent). Store a value into *output to send
 * a result back: it is taken. Return BRG_OK, or an error, best by `return brg_context_fail(...)`.
 */
typedef brg_status (*brg_task_fn)(brg_context *context, const brg_value *input, brg_value **output);

typedef struct brg_module_task {
    const char *name;
    brg_task_fn run;
} brg_module_task;

/* One task that takes many inputs at once: brigade/batch.h. Its name must not be among the other tasks'. */
typedef struct brg_module_batch_task {
    const char *name;
    brg_batch_fn run;
} brg_module_batch_task;

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

    /* On each message by id (brigade/direct.h), from a worker or the program (0); borrowed until return. Run between
     * tasks and messages; when it returns, the sender hears of it: of an error as BRG_FAILED. May be NULL. */
    brg_status (*direct)(brg_context *context, uint64_t from, const brg_value *message);

    const brg_module_batch_task *batch_tasks; /* ends with a NULL name; may be NULL */

    /* On each worker of a pool, when brg_pool_configure gave it `config` (NULL: none any more); borrowed, and
     * brg_context_config's until the next. Run between tasks, and before the first. A failing one ends the worker. May
     * be NULL. */
    brg_status (*configure)(brg_context *context, const brg_value *config);
} brg_module;

#define BRG_TASKS(...) ((const brg_module_task[]){__VA_ARGS__, {NULL, NULL}})

#define BRG_BATCH_TASKS(...) ((const brg_module_batch_task[]){__VA_ARGS__, {NULL, NULL}})

/* Defines the symbol the loader looks for. One per shared object. */
#define BRG_MODULE(id, ...)                                                                                            \
    BRG_API extern const brg_module brg_module_entry;                                                                  \
    const brg_module brg_module_entry = {.size = sizeof(brg_module), .abi = BRG_MODULE_ABI, .name = #id, __VA_ARGS__}

#ifdef __cplusplus
}
#endif

#endif
