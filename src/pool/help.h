/* SPDX-License-Identifier: MIT */
/* Waiting inside a task of the same pool: the worker that waits runs what it waits for. Thread workers. */
#ifndef BRG_POOL_HELP_H
#define BRG_POOL_HELP_H

#include "pool/pool.h"

/* On a thread worker of the task's pool: until it settled, or the deadline. As brg_task_wait. */
brg_status brg__help_task(brg_task *task, brg__slot *slot, uint64_t deadline_ns);

/* A task that runs nested, or in its submitter, is asked to end. */
void brg__help_cancel_locked(brg_task *task);

/* The task may be run now and could not before: who waits for it and could help looks again. Lock held. */
static inline void brg__help_notice(brg_task *task)
{
    if (BRG__UNLIKELY((brg_load_relaxed(&task->xstate) & BRG__TASK_WAITED) != 0))
        brg__futex_wake(&task->xstate, INT32_MAX, BRG__FUTEX_PRIVATE);
}

#endif
