/* SPDX-License-Identifier: MIT */
/*
 * The program's named locks: who holds which and who waits. After the Web Locks API (W3C, "Web Locks API", section 4):
 * one queue per name, served from its front; a request is granted when nothing waits before it and its mode agrees with
 * those that hold the name.
 *
 * All of it is guarded by one lock of rank BRG__RANK_SERVICE. A claim tells whom it belongs to through its ops, under
 * that lock.
 */
#ifndef BRG_WORKER_LOCKS_H
#define BRG_WORKER_LOCKS_H

#include <brigade/locks.h>

#include "base/list.h"
#include "worker/service.h"
#include "worker/supervisor.h"

typedef struct brg__lock_claim brg__lock_claim;

/* Under the lock: they may not call the hub. */
typedef struct brg__lock_claim_ops {
    void (*granted)(brg__lock_claim *claim);
    void (*lost)(brg__lock_claim *claim); /* it was granted before */
    void (*refused)(brg__lock_claim *claim, brg_status status);
    void (*ref)(brg__lock_claim *claim); /* for its timer */
    void (*unref)(brg__lock_claim *claim);
} brg__lock_claim_ops;

typedef enum brg__named_state {
    BRG__NAMED_IDLE = 0, /* not asked yet, or refused, lost or dropped: the hub does not know it */
    BRG__NAMED_PENDING,
    BRG__NAMED_HELD
} brg__named_state;

/* One request, then one holding. Zeroed at first. */
struct brg__lock_claim {
    const brg__lock_claim_ops *ops;
    uint64_t worker_id;
    brg__service_client *client; /* whose caps and list it counts in; NULL: a thread of this process */
    uint64_t id;                 /* the client's number for it */
    bool is_shared;

    /* The hub's. */
    brg__named_state state;
    struct brg__lock_name *name;
    brg__node node;       /* among those that hold the name, or wait for it */
    brg__node owner_node; /* in the client's list, or that of this process */
    brg__timer timer;     /* holds a reference while it is set */
};

typedef struct brg__lock_terms {
    const char *name; /* checked */
    size_t name_size;
    bool if_available;
    bool steal;
    uint64_t timeout_ns; /* BRG_FOREVER: none; the timer refuses it with BRG_TIMED_OUT */
} brg__lock_terms;

/* Granted or pending; or BRG_FULL (if_available), BRG_TOO_LARGE, BRG_NO_MEMORY: no function of it was called. */
brg_status brg__locks_claim(brg__lock_claim *claim, const brg__lock_terms *terms, brg_error *error);
/* Lets go, whatever its state; none of its functions run after it but unref. */
void brg__locks_drop(brg__lock_claim *claim);
/* Refuses it if it still waits. */
void brg__locks_refuse(brg__lock_claim *claim, brg_status status);
/* As brg_locks_query. */
brg_status brg__locks_list(brg_value **out, brg_error *error);

/* Lets go of the client's claim with that id, if there is one; refuses it with BRG_CANCELLED if it waits. Unrefs it. */
void brg__locks_release_client(brg__service_client *client, uint64_t id);

#endif
