/* SPDX-License-Identifier: MIT */
/*
 * Where a thread waits for whatever it waits for: one gate per thread, which wakers find through what the thread waits
 * at.
 *
 * A waiter's memory is never given back to the allocator, only to other threads: so a waker may wake one it has read a
 * moment ago, under no lock, and the worst is that somebody looks once more.
 *
 * In a process worker the main thread must keep looking at what its owner sends, whatever it waits for: its `look`
 * does, and its gate is the one in the segment, which the owner wakes.
 */
#ifndef BRG_OS_WAITER_H
#define BRG_OS_WAITER_H

#include "os/park.h"

typedef struct brg__waiter brg__waiter;

struct brg__waiter {
    brg__gate *gate; /* &own, or one in shared memory */
    brg__futex_scope scope;
    brg__spinner spinner;
    void (*look)(void *argument);   /* moves what came for this thread; may be NULL */
    uint64_t look_every_ns;         /* how long a sleep may last before `missed` runs; UINT64_MAX: no bound */
    void (*missed)(void *argument); /* a sleep lasted that long: does the owner still live? */
    void *argument;                 /* of both */
    bool (*asked)(void *argument);  /* a worker's: whether it, or its task, is asked to end. May be NULL */
    void *asked_argument;
    brg__gate own;
    brg__waiter *next_free;
};

/* What waiters made from now on look at: in a process worker, for threads beside the main one. */
void brg__waiter_set_other(void (*look)(void *argument), uint64_t look_every_ns, void *argument);

/* The calling thread's; made when first asked for. NULL: out of memory. */
brg__waiter *brg__waiter_current(void);

static inline void brg__waiter_wake(brg__waiter *waiter) { brg__gate_wake(waiter->gate, waiter->scope); }

/*
 * Waits on the calling thread until ready(argument) or the deadline (false), with `until_asked` also until
 * brg__waiter_is_asked (false): spins, then sleeps. `look` (may be NULL) runs
 * before each ready while awake, beside the waiter's own; `unlook` (may be NULL) once before each sleep, after which
 * ready is asked once more. Whoever makes ready true then wakes the waiter.
 */
typedef struct brg__wait {
    bool (*ready)(void *argument);
    void (*look)(void *argument);
    void (*unlook)(void *argument);
    void *argument;
    bool until_asked;
} brg__wait;

/* Whether the thread is a worker that is asked to end: who asks wakes it. `waiter` may be NULL. */
static inline bool brg__waiter_is_asked(const brg__waiter *waiter)
{
    return waiter != NULL && waiter->asked != NULL && waiter->asked(waiter->asked_argument);
}

/* For a sleep at a place of one's own, where nobody who asks wakes the thread: how long to sleep before looking
 * whether it is asked; `deadline_ns` for threads that nobody asks. */
uint64_t brg__waiter_slice(uint64_t deadline_ns);

bool brg__waiter_wait(brg__waiter *waiter, const brg__wait *wait, uint64_t deadline_ns);

#endif
