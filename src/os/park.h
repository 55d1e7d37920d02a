/* SPDX-License-Identifier: MIT */
/*
 * Waiting for another thread or process: an adaptive spin, then a futex.
 *
 * A gate is one side's sleeping place. Waiter: look for work; brg__gate_prepare; look again; brg__gate_wait or
 * brg__gate_cancel. Waker: publish the work; brg__gate_wake (one fence and one load when nobody sleeps). The fence
 * between publishing and reading xsleeping pairs with the one between setting it and looking again: no wake-up is lost.
 *
 * A waiter that must hear of descriptors too sleeps in poll instead: brg__gate_prepare_event names an eventfd that
 * wakers write (private gates only: a shared one is written by a process that need not be trusted). The eventfd must
 * stay open as long as a waker may be about, one that is late included.
 *
 * Spinning pays only while the other side runs on another CPU and answers within about the cost of a wake-up.
 * So each spinner keeps a budget that doubles when a spin was answered and halves when it was not, probing again now
 * and then (ski rental; Karlin et al. 1991); and gates publish the CPU their waiter last ran on.
 */
#ifndef BRG_OS_PARK_H
#define BRG_OS_PARK_H

#include <stdbool.h>
#include <stdint.h>

#include "os/atomic.h"
#include "os/fd.h"
#include "os/futex.h"
#include "os/thread.h"

/* Lives in memory both sides see; each field is one cache line's matter of its waiter. */
typedef struct brg__gate {
    uint32_t
        xsleeping; /* 1: the waiter sleeps or is about to; the futex word. BRG__GATE_EVENT + fd: it does so in poll */
    uint32_t xcpu; /* CPU the waiter was last seen on, plus 1; 0 while it sleeps or is unknown */
} brg__gate;

#define BRG__GATE_EVENT 2u

/* Marks the waiter as about to sleep. Look for work once more after this. */
static inline void brg__gate_prepare(brg__gate *gate)
{
    brg_store_seq_cst(&gate->xsleeping, 1u);
    brg_fence_seq_cst();
}

/* The same, for one that will sleep in poll on `event`. Woken, it cancels, and clears the event. */
static inline void brg__gate_prepare_event(brg__gate *gate, int event)
{
    brg_store_seq_cst(&gate->xsleeping, BRG__GATE_EVENT + (uint32_t)event);
    brg_fence_seq_cst();
}

/* Whether a waker has been there since prepare. */
static inline bool brg__gate_is_woken(const brg__gate *gate) { return brg_load_acquire(&gate->xsleeping) == 0; }

static inline void brg__gate_cancel(brg__gate *gate) { brg_store_relaxed(&gate->xsleeping, 0u); }

/* Sleeps until woken or the deadline (false); then clears the mark. */
bool brg__gate_wait(brg__gate *gate, uint64_t deadline_ns, brg__futex_scope scope);

/* Wakes the waiter if it sleeps. True if a system call was made. */
static inline bool brg__gate_wake(brg__gate *gate, brg__futex_scope scope)
{
    brg_fence_seq_cst();
    uint32_t slept = brg_load_relaxed(&gate->xsleeping);
    if (slept == 0 || (slept = brg_exchange_seq_cst(&gate->xsleeping, 0u)) == 0)
        return false;
    if (slept >= BRG__GATE_EVENT && scope == BRG__FUTEX_PRIVATE)
        brg__event_signal((int)(slept - BRG__GATE_EVENT));
    else
        brg__futex_wake(&gate->xsleeping, 1, scope);
    return true;
}

/* One waiter's private memory of how well spinning pays. */
typedef struct brg__spinner {
    uint64_t max_ns;    /* 0: never spin */
    uint64_t budget_ns; /* for the next spin */
    uint32_t misses;    /* since the last hit */
} brg__spinner;

/* `max_ns` is forced to 0 where only one CPU is online. */
void brg__spinner_init(brg__spinner *spinner, uint64_t max_ns);

/*
 * Spins until `ready(argument)`, or the budget ends. `peer_cpu` (may be NULL) is the xcpu of who will answer: no spin
 * while it is known to be on the caller's CPU. Returns the last ready().
 */
bool brg__spinner_spin(brg__spinner *spinner, const uint32_t *peer_cpu, bool (*ready)(void *argument), void *argument);

#endif
