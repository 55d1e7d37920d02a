/* SPDX-License-Identifier: MIT */
/*
 * Named locks: whoever knows the name can take the lock, in the program and in its workers of both isolations.
 *
 *     brg_lock *lock;
 *     if (brg_lock_acquire(&lock, "index", NULL, &error) == BRG_OK) {
 *         ...
 *         brg_lock_release(lock);
 *     }
 *
 * A lock is held exclusively by one or shared by many. Requests for a name are served in their order: one for sharing
 * that comes after one for exclusion waits behind it, whoever holds the lock now. Locks are not recursive: who asks
 * again for what it holds waits for itself. The names live in the program; a request of a process worker goes there and
 * back.
 *
 * A worker that ends or dies lets go of all that it held and asked for. The holder may also lose a lock to somebody who
 * steals it: it is told, and has to stop what it does by itself.
 */
#ifndef BRIGADE_LOCKS_H
#define BRIGADE_LOCKS_H

#include <brigade/loop.h>
#include <brigade/status.h>
#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BRG_LOCK_NAME_MAX 255     /* bytes of UTF-8; at least 1 */
#define BRG_LOCKS_MAX 65536       /* held and waiting in a program, all its workers included */
#define BRG_LOCKS_WORKER_MAX 4096 /* of them, those of one process worker */

typedef struct brg_lock brg_lock; /* one holding of a name, or a request for it */

typedef enum brg_lock_mode { BRG_LOCK_EXCLUSIVE = 0, BRG_LOCK_SHARED = 1 } brg_lock_mode;

typedef struct brg_lock_options {
    size_t size;
    brg_lock_mode mode;  /* default exclusive */
    bool if_available;   /* do not wait: BRG_FULL where others hold it or wait for it */
    bool steal;          /* take it from all who hold it, before all who wait; exclusive only, not with if_available */
    uint64_t timeout_ns; /* how long to wait for it; default (zero) and BRG_FOREVER: no limit */
    struct brg_token
        *token; /* cancelling it ends the wait: brigade/token.h. Referenced; a lock held already stays so */

    /* Of brg_lock_request only. */
    brg_loop *loop; /* where the callbacks run; needed there */
    /* Once: with error NULL it is held; else the request is over and `error` says why, as for brg_lock_acquire. */
    void (*on_granted)(brg_lock *lock, const brg_error *error, void *user_data);
    void (*on_lost)(brg_lock *lock, void *user_data); /* at most once, after on_granted: it was stolen. May be NULL */
    void (*release)(void *user_data); /* exactly once, when brigade lets go of user_data; never if request failed */
    void *user_data;
} brg_lock_options;

#define brg_lock_opts(...) BRG_OPTIONS(brg_lock_options, __VA_ARGS__)

/*
 * Takes the lock called `name`; waits for it. `options` may be NULL. Errors: BRG_FULL with if_available; BRG_TIMED_OUT;
 * BRG_CANCELLED by the token, or in a worker that is asked to end; BRG_INVALID for a name or options that cannot be;
 * BRG_TOO_LARGE past BRG_LOCKS_MAX or BRG_LOCKS_WORKER_MAX; BRG_CLOSED when the program is gone; BRG_NO_MEMORY;
 * BRG_SYSTEM; BRG_FORKED. Any thread; on a loop's thread prefer brg_lock_request. End it with brg_lock_release.
 */
BRG_API brg_status brg_lock_acquire(brg_lock **lock, const char *name, const brg_lock_options *options,
                                    brg_error *error);

/*
 * Asks for the lock and returns at once; on_granted follows on options->loop, never inside this call. The loop keeps
 * running until then. Errors: BRG_INVALID, BRG_NO_MEMORY, BRG_TOO_LARGE, BRG_CLOSED, BRG_SYSTEM, BRG_FORKED: no
 * callback runs. Whether it is available is on_granted's to say. Owner thread of the loop.
 */
BRG_API brg_status brg_lock_request(brg_lock **lock, const char *name, const brg_lock_options *options,
                                    brg_error *error);

/*
 * Lets go of it, or withdraws the request, and frees the handle: whatever its state, exactly once. Never waits. No
 * callback runs after it but release, inside or soon after. Accepts NULL. Any thread; one with a loop: its owner
 * thread, safe inside its own callbacks.
 */
BRG_API void brg_lock_release(brg_lock *lock);

/* Whether it is held now: granted, not stolen since, and its worker has not ended. Any thread. */
BRG_API bool brg_lock_is_held(const brg_lock *lock);

/* Whether it was held and somebody stole it, or its worker ended. It stays to be released. Any thread. */
BRG_API bool brg_lock_is_lost(const brg_lock *lock);

/* What was asked for; the name is borrowed while the handle lives. Any thread. */
BRG_API const char *brg_lock_name(const brg_lock *lock);
BRG_API brg_lock_mode brg_lock_get_mode(const brg_lock *lock);

/*
 * All named locks of the program at this moment, as a value of the caller's:
 *     {"held": [{"name": "index", "mode": "exclusive", "worker": 3}], "pending": [...]}
 * `worker` is 0 for the program itself. Those waiting for the same name come in their order. In a process worker it
 * asks the program and waits for the answer. Errors: BRG_NO_MEMORY, BRG_CLOSED, BRG_TOO_LARGE, BRG_FORKED;
 * BRG_CANCELLED when it is asked to end. Any thread.
 */
BRG_API brg_status brg_locks_query(brg_value **out, brg_error *error);

#ifdef __cplusplus
}
#endif

#endif
