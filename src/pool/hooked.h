/* SPDX-License-Identifier: MIT */
/*
 * Tasks of a flow: who settles one calls its hook, with no lock of the pool's held, and the hook may submit the next.
 *
 * A task that a worker's thread settles has its hook called at once. One that settles under the pool's lock is noted,
 * and the unlock calls it. A hook whose submit settles others does not call their hooks inside itself: they wait until
 * it returned, however many flows there are, so hooks make no deep stack. A hook may run under the lock of a worker's
 * replies (BRG__RANK_WORKER): it runs no code of the user's and does not wait.
 *
 * Such tasks pass by admission, since their flow bounds how many there are: a full queue neither fails nor delays them,
 * they are not dropped to make room, and they take no room from others. No handle to them leaves the library.
 */
#ifndef BRG_POOL_HOOKED_H
#define BRG_POOL_HOOKED_H

#include <brigade/stream.h>

/* The task settled: brg_task_result has how. Runs once, after which the task is gone. */
typedef void (*brg__hook_fn)(brg_task *task, void *user_data);

/* What tasks of one kind have in common. */
typedef struct brg__hooked {
    brg_pool *pool;   /* counted */
    const char *name; /* the caller's; or */
    brg_stage_fn run;
    void *state;
    brg__hook_fn hook;
    brg_submit_options options;
} brg__hooked;

/*
 * Checks it all, given pool, name or run, state and hook, and takes a reference to the pool. `options` may be NULL.
 * Errors as brg_pool_submit, and BRG_INVALID for options that such tasks cannot have: done, token, group, after,
 * progress. Any thread.
 */
brg_status brg__hooked_init(brg__hooked *hooked, const brg_submit_options *options, brg_error *error);
void brg__hooked_done(brg__hooked *hooked); /* nothing for one whose init failed, or that is zeroed */

/*
 * Submits one: `input` (may be NULL) is taken on success. *task is set before the hook can run, atomically, and is good
 * until the hook returns. Errors, of which `error` says more: BRG_CLOSED, BRG_UNAVAILABLE: the pool takes no more;
 * BRG_TOO_LARGE, BRG_INVALID (input); BRG_NO_MEMORY. Any thread, no lock from BRG__RANK_POOL on held.
 */
brg_status brg__hooked_submit(const brg__hooked *hooked, brg_value *input, void *user_data, brg_task **xtask,
                              brg_error *error);

/* In its hook: what it left, the caller's from there on; NULL: nothing. The error is freed with brg__mfree; without
 * one the result's is static. */
brg_value *brg__hooked_take_output(brg_task *task);
brg_value *brg__hooked_take_detail(brg_task *task);
brg_error *brg__hooked_take_error(brg_task *task);

/* An error that says what the status says, for when there is no memory for a better one. Static. */
const brg_error *brg__error_of_status(brg_status status);

/* From the pool: the task settled. Lock held where `slot` is NULL. */
typedef struct brg__slot brg__slot;
void brg__hooked_settled(brg_task *task, brg__slot *slot);
/* From the unlock: hooks of a list that was noted. No lock. */
void brg__hooked_run(brg_task *first);

/* ---- what a flow asks of its pools. Any thread ------------------------------------------------------------------- */

brg_loop *brg__hooked_loop(const brg_pool *pool);   /* NULL: none */
uint64_t brg__hooked_spin_ns(const brg_pool *pool); /* longest spin of who waits; 0: none */
bool brg__hooked_is_own_task(const brg_pool *pool); /* whether the caller is one of its tasks, in this process */

/* How many of them keep its workers busy, whatever they take: two for each worker, or two batches. Now. */
uint64_t brg__hooked_least(const brg__hooked *hooked);

/* Runs `run` on the supervisor thread, soon: for who holds locks he does not know. The node must stay until then. */
typedef struct brg__later {
    struct brg__later *next;
    void (*run)(struct brg__later *later);
} brg__later;
void brg__hooked_later(brg__later *later);

#endif
