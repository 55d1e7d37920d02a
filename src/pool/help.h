/* SPDX-License-Identifier: MIT */
/*
 * Waiting inside a task of the same pool: the worker that waits runs what it waits for, nested in the task that waits.
 * Thread workers; help.c has the notes.
 */
#ifndef BRG_POOL_HELP_H
#define BRG_POOL_HELP_H

#include "pool/pool.h"

/* One wait. Begun on the thread of the slot's worker, in user code; BRG_CANCELLED: the thread was abandoned. */
typedef struct brg__help {
    brg_pool *pool;
    brg__slot *slot;
    brg_worker *worker;
    brg_context *context;
} brg__help;
brg_status brg__help_begin(brg__help *help, brg_pool *pool, brg__slot *slot);
/* Back to user code; `status` is what the wait returns, or BRG_CANCELLED. */
brg_status brg__help_end(brg__help *help, brg_status status);

/*
 * Looks what of `task` this worker can run, and runs it. Lock held, released meanwhile when something ran.
 * BRG_OK: something ran, or it settled; look again. BRG_EMPTY: nothing now; sleep until it settles or
 * brg__help_notice. BRG_DEADLOCK: it waits for this worker. BRG_CANCELLED: the thread was abandoned meanwhile; no lock
 * is held then, touch nothing.
 */
brg_status brg__help_step_locked(brg__help *help, brg_task *task);

/* Runs a task that was never queued, nested in the one that submits it. Thread of the slot's worker. False: it is
 * nested too deep already. */
bool brg__help_run_new(brg_task *task, brg__slot *slot);

/* Whether the task that waits is asked to end. */
bool brg__help_is_asked(const brg__help *help);

/* On a thread worker of the task's pool: until it settled, or the deadline. As brg_task_wait. */
brg_status brg__help_task(brg_task *task, brg__slot *slot, uint64_t deadline_ns);

/* When the first of the suspended tasks of a slot is to be asked to end: asks those that are due. Lock held. */
uint64_t brg__help_deadlines_locked(brg__slot *slot, uint64_t now);
/* Whether the task is suspended in this slot: it waits in it, and others run. Lock held. */
bool brg__help_is_suspended_locked(const brg__slot *slot, const brg_task *task);
/* Whether a suspended task of the slot has this ticket. Lock held. */
bool brg__help_has_ticket_locked(const brg__slot *slot, uint64_t ticket);

/* The task that the worker runs, seen from its own thread; NULL: it runs a fork that it stole. */
static inline brg_task *brg__help_running(const brg__slot *slot)
{
    return brg_load_relaxed(&slot->xticket) == 0 ? NULL : brg_load_relaxed(&slot->xrunning);
}

/* The task may be run now and could not before: who waits for it and could help looks again. Lock held. */
static inline void brg__help_notice(brg_task *task)
{
    if (BRG__UNLIKELY((brg_load_relaxed(&task->xstate) & BRG__TASK_WAITED) != 0))
        brg__futex_wake(&task->xstate, INT32_MAX, BRG__FUTEX_PRIVATE);
}

#endif
