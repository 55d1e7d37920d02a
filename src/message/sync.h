/* SPDX-License-Identifier: MIT */
/*
 * How the objects of brigade/sync.h wait.
 *
 * Each has a bell: an event count (Reed and Kanodia 1979) over a futex. A waiter counts itself, reads xring, looks at
 * the object once more, and sleeps while xring stays; who changes the object looks for sleepers, raises xring and
 * wakes. Both sides have a full fence between their write and their read, so no wake-up is lost.
 *
 * Owners are marked with their participant id. A waiter that sees a dead one takes over. So that it looks when a
 * process dies, each sleeper stands in the header's table with its bell, and bury rings them all. Where the table is
 * full it looks again every now and then.
 *
 * A process that dies between counting itself and saying so in the table leaves a bell that counts one too many: each
 * ring then costs a system call, nothing else.
 */
#ifndef BRG_MESSAGE_SYNC_H
#define BRG_MESSAGE_SYNC_H

#include <brigade/sync.h>

#include "message/shared.h"

typedef struct brg__bell {
    uint32_t xring; /* futex */
    uint32_t xsleepers;
} brg__bell;

/* The object of `bytes` bytes at `offset`: BRG_RANGE, BRG_INVALID. */
brg_status brg__sync_at(const brg_shared *shared, size_t offset, size_t bytes, void **object);
/* The same for a call that may wait: BRG_FORKED too. */
brg_status brg__sync_at_wait(const brg_shared *shared, size_t offset, size_t bytes, void **object);

/*
 * Waits until ready(argument), which does what is waited for and is true once; false when `timeout_ns` passed. ready
 * runs often: it must be cheap where nothing has changed.
 */
bool brg__bell_await(brg_shared *shared, brg__bell *bell, bool (*ready)(void *argument), void *argument,
                     uint64_t timeout_ns);
/* Why it was false: BRG_CANCELLED where the thread is a worker that is asked to end, else BRG_TIMED_OUT. */
brg_status brg__bell_verdict(void);
/* The same without an end before ready. */
void brg__bell_await_surely(brg_shared *shared, brg__bell *bell, bool (*ready)(void *argument), void *argument);

/* Waits for a ring after `ring` was read. */
typedef struct brg__bell_watch {
    brg_shared *shared;
    brg__bell *bell;
    brg__shared_sleeper *sleeper;
    uint32_t ring;
} brg__bell_watch;

void brg__bell_watch_begin(brg__bell_watch *watch, brg_shared *shared, brg__bell *bell);
/* Sleeps once; false when the deadline passed. Spurious returns happen. */
bool brg__bell_watch_sleep(brg__bell_watch *watch, uint64_t deadline_ns);
bool brg__bell_watch_has_rung(const brg__bell_watch *watch);
void brg__bell_watch_end(brg__bell_watch *watch);

/* Wakes up to `count` sleepers; a fence and a load where nobody sleeps. The object was changed before. */
void brg__bell_ring(brg__bell *bell, uint32_t count);

/* A mutex in other objects. */
typedef struct brg__mutex {
    uint32_t xholder; /* participant id; 0: free */
    uint32_t xthread; /* of that process; written by the holder only */
    uint32_t xhealth;
    brg__bell bell;
} brg__mutex;

brg_status brg__mutex_take(brg_shared *shared, brg__mutex *mutex, uint64_t timeout_ns);
void brg__mutex_give(brg_shared *shared, brg__mutex *mutex);
bool brg__mutex_is_ours(const brg_shared *shared, const brg__mutex *mutex);
void brg__mutex_heal(brg__mutex *mutex); /* by its holder */

#endif
