/* SPDX-License-Identifier: MIT */
/*
 * Messages by id: who can be named, and what is on its way. The program has a target for each worker and one for
 * itself; a process worker has one, for itself, which what arrives over its link is put to.
 *
 * A target either has a handler on a loop, or is drained by its worker between tasks (brg__direct_run), or lies behind
 * a link. All is guarded by one lock of rank BRG__RANK_SERVICE; no handler runs under it.
 */
#ifndef BRG_WORKER_DIRECT_H
#define BRG_WORKER_DIRECT_H

#include <brigade/direct.h>
#include <brigade/module.h>

#include "base/list.h"

struct brg__service_client;

typedef enum brg__direct_state {
    BRG__DIRECT_NONE = 0, /* not open: zeroed */
    BRG__DIRECT_STARTING, /* messages wait: whether it handles them is not known yet */
    BRG__DIRECT_READY,
    BRG__DIRECT_DEAF, /* it has no hook; a handler may still come */
    BRG__DIRECT_CLOSED
} brg__direct_state;

/* Zeroed at first; inside a brg_worker, a link's client or a process worker's child. */
typedef struct brg__direct_target {
    uint64_t id;
    brg__direct_state state;
    brg__list queue;   /* posts not begun */
    brg__list running; /* begun: at most one, but all that were sent where it lies behind a link */
    uint32_t count;    /* of both */
    size_t bytes;
    uint32_t xwaiting; /* there is something for brg__direct_run */
    brg_direct_handler *handler;
    struct brg__service_client *client; /* where it lies behind a link */
    void (*wake)(
        struct brg__direct_target *target); /* the lock is held; there is something to run. NULL behind a link */
} brg__direct_target;

/*
 * From here on messages to `id` wait for it. One of client and wake is given. BRG_NO_MEMORY. The program's own target
 * opens by itself.
 */
brg_status brg__direct_open(brg__direct_target *target, uint64_t id, struct brg__service_client *client,
                            void (*wake)(brg__direct_target *target), brg_error *error);
/* In a process worker: this target is the process. Not in the table of ids. */
void brg__direct_open_home(brg__direct_target *target, uint64_t id, void (*wake)(brg__direct_target *target));

/* It has started: it has the hook, or what waits and what comes gets BRG_UNSUPPORTED. */
void brg__direct_ready(brg__direct_target *target, bool has_hook);

/* Something for brg__direct_begin is there. Any thread, no lock. */
static inline bool brg__direct_is_waiting(const brg__direct_target *target)
{
    return __atomic_load_n(&target->xwaiting, __ATOMIC_ACQUIRE) != 0;
}

/* A module of before there was the hook is shorter. */
static inline bool brg__direct_has_hook(const brg_module *module)
{
    return module != NULL && module->size >= offsetof(brg_module, direct) + sizeof(module->direct) &&
           module->direct != NULL;
}

/*
 * Between tasks and messages, on the worker's thread; the target is context->direct, which may be NULL. Whether there
 * is one; handles one, user code, and says whether there was one.
 */
bool brg__direct_waits(const brg_context *context);
bool brg__direct_run(brg_context *context);

/*
 * The same in steps, for a thread that may be abandoned: begin gives the first that waits, or NULL; the hook is user
 * code, and end is called whether or not the worker still is.
 */
typedef struct brg__direct_post brg__direct_post;
brg__direct_post *brg__direct_begin(brg__direct_target *target);
brg_status brg__direct_call_hook(brg_context *context, const brg__direct_post *post);
void brg__direct_end(brg__direct_post *post, brg_status status, const brg_error *failure);

/*
 * The worker ended: what waits or runs fails with BRG_CLOSED, its id is not found any more. Idempotent; not for zeroed
 * ones.
 */
void brg__direct_close(brg__direct_target *target);

#endif
