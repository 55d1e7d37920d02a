/* SPDX-License-Identifier: MIT */
/* The worker's side: what tasks, hooks and handlers are given. Used on the worker's own thread only. */
#ifndef BRG_WORKER_CONTEXT_H
#define BRG_WORKER_CONTEXT_H

#include <brigade/module.h>
#include <brigade/worker.h>

#include "base/asking.h"
#include "worker/family.h"
#include "worker/usage.h"
#include "worker/world.h"

/* What differs between a thread and a process. */
typedef struct brg__context_ops {
    brg_status (*post)(brg_context *context, brg_value *message, uint64_t timeout_ns, brg_error *error);
    brg_status (*receive)(brg_context *context, brg_value **message, uint64_t timeout_ns);
    int (*cancel_fd)(brg_context *context);
    bool (*asked)(brg_context *context); /* whether the worker is asked to end */
    int (*bell)(
        brg_context *context); /* written by whoever wakes or asks it while it is in its loop; -1: none to be had */
    void (*founded)(brg_context *context); /* context->family was made; may be NULL */
    /*
     * Around every sleep in its loop, whoever runs it; may be NULL. From the first on whoever has something for the
     * worker rings, and what came before has been moved.
     */
    void (*loop_sleeps)(brg_context *context);
    void (*loop_woke)(brg_context *context);
} brg__context_ops;

/* Where brg_context_progress of the running task goes; the worker's thread. `value` is taken on success. */
typedef struct brg__teller {
    brg_status (*send)(struct brg__teller *teller, brg_context *context, brg_value *value, uint64_t timeout_ns,
                       brg_error *error);
} brg__teller;
extern brg__teller brg__teller_refuses; /* BRG_STATE: of a batch */

typedef struct brg__at_exit brg__at_exit;

typedef struct brg__arena_chunk {
    struct brg__arena_chunk *older;
    size_t size, used; /* of the bytes behind the header */
} brg__arena_chunk;

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

    const uint64_t *xcancel;   /* ticket asked to end, or UINT64_MAX for all; written by the owner */
    uint64_t ticket;           /* of the running task; 0 between tasks, never in xcancel then */
    const brg__asking *asking; /* of the running task's flows, the innermost first; NULL: none */
    uint32_t nesting;          /* tasks that run inside functions with `asking`; under life_lock */
    uint32_t attempt;
    brg__teller *teller; /* of the running task; NULL: nobody listens */

    brg__arena_chunk *arena; /* newest chunk first */
    size_t arena_used, arena_max;

    brg_error failure; /* of the task or hook that runs */
    brg_value *failure_detail;

    brg__world *world;        /* never NULL */
    brg__usage_shared *usage; /* never NULL */
    brg__usage_shared own_usage;
    brg__family *family;           /* NULL until it makes a worker or pool */
    brg__at_exit *exits;           /* newest first */
    FILE *files[3];                /* thread: opened when asked for */
    brg_loop *loop;                /* NULL until asked for */
    bool loop_refuses;             /* it was told that the worker is asked to end */
    bool (*ready)(void *argument); /* inside brg__context_loop_wait: what it waits for */
    void *ready_argument;
    struct brg__direct_target *direct; /* messages by id wait there; may be NULL */
    struct brg__forks *forks;          /* a pool's thread worker that has forked, or run a fork: fork.c; else NULL */
    void (*forks_done)(struct brg__forks *forks); /* when the thread ends, abandoned or not */
    brg_value *config;                            /* of brg_pool_configure; NULL: none */
    uint32_t pool_index;                          /* UINT32_MAX outside a pool */
    uint64_t pool_tags;
};

void brg__context_init(brg_context *context, const brg__context_ops *ops, void *owner, const brg_module *module);
void brg__context_done(brg_context *context);

/* Around each task: begin clears the failure, end frees what the task allocated. */
void brg__context_begin(brg_context *context, uint64_t ticket, uint32_t attempt);
void brg__context_end(brg_context *context);

/* Where the arena stood, and back to there: what was allocated since goes. Marks nest. */
typedef struct brg__arena_mark {
    brg__arena_chunk *chunk;
    size_t chunk_used, used;
} brg__arena_mark;
void brg__context_arena_free(brg_context *context); /* all of it */
void brg__context_arena_rewind(brg_context *context, const brg__arena_mark *mark);
static inline brg__arena_mark brg__context_arena_mark(const brg_context *context)
{
    brg__arena_chunk *chunk = context->arena;
    return (brg__arena_mark){
        .chunk = chunk, .chunk_used = chunk == NULL ? 0 : chunk->used, .used = context->arena_used};
}
static inline void brg__context_arena_back(brg_context *context, const brg__arena_mark *mark)
{
    if (BRG__UNLIKELY(context->arena_used != mark->used))
        brg__context_arena_rewind(context, mark);
}

/*
 * Makes what a task or hook returned whole: a non-OK status gets a message if the task gave none, and status itself if
 * it is no known one. Returns the status that counts; failure is filled unless it is BRG_OK.
 */
brg_status brg__context_conclude(brg_context *context, brg_status returned, const char *what);

/* The status that a task which gave this one settles with: never BRG_OK. */
brg_status brg__context_status(brg_status given);

/* The name of the task whose input becomes the worker's configuration. No user's task begins with such a character. */
#define BRG__TASK_CONFIGURE "\001configure"

bool brg__context_names_config(const char *name, size_t name_size);
/* Makes `config` (may be NULL) the worker's, by reference, and runs the module's hook, if it has one; concluded. */
brg_status brg__context_configure(brg_context *context, const brg_value *config);

/* The task whose input is the list [name, stops, items]: the module's task of that name for each item. */
#define BRG__TASK_EACH "\002each"

typedef struct brg__each {
    const char *name;
    bool stops;        /* at the first that fails */
    brg_view items;    /* a list */
    size_t first, end; /* of it */
} brg__each;

bool brg__context_names_each(const char *name, size_t name_size);
/* *out: a list with an entry for each that ran, a list of one, its output, or its error; then how long it all took, in
 * nanoseconds. Fails only for want of memory, or where outputs cannot be copied. */
brg_status brg__context_run_each(brg_context *context, const brg__each *each, brg_value **out);
brg_status brg__context_run_each_input(brg_context *context, const brg_value *input, brg_value **out);

/* Runs the module's task `name` (not terminated, `name_size` bytes); concluded. *output is the caller's. */
brg_status brg__context_run_named(brg_context *context, const char *name, size_t name_size, const brg_value *input,
                                  brg_value **output);

/* worker_start of the module; concluded. When it fails, what it left with brg_context_at_exit has run. */
brg_status brg__context_start(brg_context *context);
/* The orderly end, user code: at-exit functions, then worker_end. */
void brg__context_finish(brg_context *context);
/* After it: ends the workers and pools it made and waits for them, then its loop. No user code but
 * what settles tasks of such pools, and releases. Idempotent. */
void brg__context_leave(brg_context *context);

/* Its loop, where it has one: a round without sleeping, between tasks and messages. User code. */
void brg__context_loop_turn(brg_context *context);
/* Runs its loop, which it has, until ready(argument) or the deadline: waiting between tasks and messages. Whoever
 * makes it ready rings the bell. User code. */
void brg__context_loop_wait(brg_context *context, bool (*ready)(void *argument), void *argument, uint64_t deadline_ns);

/* Around a wait inside user code or between tasks. */
static inline void brg__context_idle_begin(brg_context *context) { brg__usage_idle_begin(context->usage); }
static inline void brg__context_idle_end(brg_context *context) { brg__usage_idle_end(context->usage); }

/* The module's message handler, if it has one. BRG_OK without. */
brg_status brg__context_handle_message(brg_context *context, const brg_value *message);

/* The context of the worker the calling thread is; NULL elsewhere. */
brg_context *brg__context_current(void);
void brg__context_set_current(brg_context *context);

#endif
