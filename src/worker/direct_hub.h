/* SPDX-License-Identifier: MIT */
/* One message by id, on its way. */
#ifndef BRG_WORKER_DIRECT_HUB_H
#define BRG_WORKER_DIRECT_HUB_H

#include "worker/direct.h"
#include "worker/service.h"
#include "worker/supervisor.h"

#define BRG__DIRECT_QUEUE_MAX 1024
#define BRG__DIRECT_BYTES_MAX ((size_t)64 << 20)
#define BRG__DIRECT_CALLS_MAX 1024 /* that one process worker may have on their way */

typedef enum brg__direct_stage {
    BRG__DIRECT_NEW = 0,
    BRG__DIRECT_QUEUED,
    BRG__DIRECT_RUNNING,
    BRG__DIRECT_SETTLED
} brg__direct_stage;

struct brg__direct_post {
    uint64_t from;
    brg_value *message; /* referenced */
    size_t bytes;
    /* Under the lock, exactly once, with status and error set. Who posted hears of it. */
    void (*settled)(brg__direct_post *post);
    void (*free)(brg__direct_post *post);

    /* The hub's, under the lock. */
    uint32_t references; /* the poster's, the target's while it is with it, whoever runs it, the timer's */
    brg__direct_stage stage;
    brg__direct_target *target; /* until settled */
    brg__node node;             /* in the target's queue or running */
    brg__timer timer;
    uint64_t number; /* of the event behind a link */
    brg_status status;
    brg_error error; /* unless status is BRG_OK */

    /* The poster's. */
    brg__node owner_node; /* in a client's calls */
    struct brg__service_client *client;
    uint64_t client_number;
};

/* One reference, the caller's. `message` is referenced. */
void brg__direct_post_init(brg__direct_post *post, uint64_t from, const brg_value *message);
void brg__direct_unref(brg__direct_post *post);

/*
 * On its way, for at most `timeout_ns` (BRG_FOREVER: no timer; then the poster gives it up itself). BRG_NOT_FOUND,
 * BRG_DEADLOCK, BRG_UNSUPPORTED, BRG_FULL, BRG_TOO_LARGE, ...: settled never runs.
 */
brg_status brg__direct_submit(brg__direct_post *post, uint64_t to, uint64_t timeout_ns, brg_error *error);
/* In a process worker: to the process itself. */
brg_status brg__direct_submit_home(brg__direct_post *post, brg_error *error);
/* Settles it unless it has been. */
void brg__direct_give_up(brg__direct_post *post, brg_status status);

/* For direct_serve.c. */
void brg__direct_lock(void);
void brg__direct_unlock(void);
void brg__direct_settle_locked(brg__direct_post *post, brg_status status, const brg_error *error);
void brg__direct_ref_locked(brg__direct_post *post);
bool brg__direct_unref_locked(brg__direct_post *post); /* true: free it without the lock */

/* For direct_handler.c, under the lock. The target of the caller's own id; NULL when its worker has ended. */
brg__direct_target *brg__direct_own_locked(uint64_t id);
brg__direct_post *brg__direct_begin_locked(brg__direct_target *target);
/* target->handler was set or cleared; posts to be freed without the lock go to `dead`. */
void brg__direct_handler_changed_locked(brg__direct_target *target, brg__list *dead);
void brg__direct_free_all(brg__list *dead);
/* In direct_handler.c: there is something for it. */
void brg__direct_handler_wake_locked(brg_direct_handler *handler);
/* Its target ended. */
void brg__direct_handler_orphan_locked(brg_direct_handler *handler);

#endif
