/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: one thread of the library, started with the first worker and kept until the program ends. It is the
 * parent of every template and process worker (PDEATHSIG watches that thread), holds their pidfds, and runs all timers.
 * Callbacks run on it one at a time, with no lock held, and must not block.
 */
#ifndef BRG_WORKER_SUPERVISOR_H
#define BRG_WORKER_SUPERVISOR_H

#include <brigade/status.h>

#include "base/heap.h"
#include "os/fd.h"

/* Starts it unless it runs. In a forked child it starts a fresh one. BRG_NO_MEMORY, BRG_SYSTEM. Any thread. */
brg_status brg__supervisor_ensure(brg_error *error);

/* A one-shot timer inside the object it serves; zeroed before first use. */
typedef struct brg__timer {
    brg__heap_item item;
    void (*fire)(struct brg__timer *timer);
} brg__timer;

/*
 * Fires at `deadline_ns` (brg__now terms); setting it again moves it; UINT64_MAX clears it. Returns whether it was set,
 * so that whoever counts references for a set timer knows. Any thread.
 */
bool brg__supervisor_timer_set(brg__timer *timer, uint64_t deadline_ns);

/* A function to run on the supervisor; the node must stay until it ran. */
typedef struct brg__call {
    struct brg__call *next;
    void (*run)(struct brg__call *call);
} brg__call;

/* In the order of posting. Any thread. */
void brg__supervisor_call(brg__call *call);

/* Runs it there and waits for it; runs it directly on the supervisor itself. What was cleared before cannot fire
 * after. */
void brg__supervisor_call_wait(void (*run)(void *argument), void *argument);

bool brg__supervisor_is_current(void);

/* The supervisor's poller: on the supervisor only. */
brg_status brg__supervisor_watch(brg__poll_source *source, brg_error *error);
void brg__supervisor_unwatch(brg__poll_source *source);

#endif
