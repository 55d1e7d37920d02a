/* SPDX-License-Identifier: MIT */
/* The worker's side: what tasks, hooks and handlers are given. Used on the worker's own thread only. */
#ifndef BRG_WORKER_CONTEXT_H
#define BRG_WORKER_CONTEXT_H

#include <brigade/module.h>
#include <brigade/worker.h>

/* What differs between a thread and a process: messages and the cancel descriptor. */
typedef struct brg__context_ops {
    brg_status (*post)(brg_context *context, brg_value *message, uint64_t timeout_ns, brg_error *error);
    brg_status (*receive)(brg_context *context, brg_value **message, uint64_t timeout_ns);
    int (*cancel_fd)(brg_context *context);
} brg__context_ops;

typedef struct brg__arena_chunk brg__arena_chunk;

struct brg_context {
    const brg__context_ops *ops;
    void *owner; /* brg_worker or child */
    uint64_t worker_id;
    const char *worker_name;
    brg_isolation isolation;
    bool is_pooled; /* nobody takes its messages */
    const brg_value *init_data;
    const brg_module *module; /* may be NULL */
    void *state;

    const uint64_t *xcancel; /* ticket asked to end, or UINT64_MAX for all; written by the owner */
    uint64_t ticket;         /* of the running task; 0 between tasks, never in xcancel then */
    uint32_t attempt;

    brg__arena_chunk *arena; /* newest chunk first */
    size_t arena_used, arena_max;

    brg_error failure; /* of the task or hook that runs */
    brg_value *failure_detail;
};

void brg__context_init(brg_context *context, const brg__context_ops *ops, void *owner, const brg_module *module);
void brg__context_done(brg_context *context);

/* Around each task: begin clears the failure, end frees what the task allocated. */
void brg__context_begin(brg_context *context, uint64_t ticket, uint32_t attempt);
void brg__context_end(brg_context *context);

/*
 * Makes what a task or hook returned whole: a non-OK status gets a message if the task gave none, and status itself if it is no known
 * one. Returns the status that counts; failure is filled unless it is BRG_OK.
 */
brg_status brg__context_conclude(brg_context *context, brg_status returned, const char *what);

/* Runs the module's task `name` (not terminated, `name_size` bytes); concluded. *output is the caller's. */
brg_status brg__context_run_named(brg_context *context, const char *name, size_t name_size, const brg_value *input,
                                  brg_value **output);

/* worker_start and worker_end of the module; concluded. */
brg_status brg__context_start(brg_context *context);
void brg__context_finish(brg_context *context);

/* The module's message handler, if it has one. BRG_OK without. */
brg_status brg__context_handle_message(brg_context *context, const brg_value *message);

/* The context of the worker the calling thread is; NULL elsewhere. */
brg_context *brg__context_current(void);
void brg__context_set_current(brg_context *context);

#endif
