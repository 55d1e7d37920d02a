/* SPDX-License-Identifier: MIT */
/*
 * Tasks and their results: one submitted piece of work. A handle is there to wait, look, cancel and read the result;
 * a task needs none.
 */
#ifndef BRIGADE_TASK_H
#define BRIGADE_TASK_H

#include <brigade/status.h>
#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brg_task brg_task;

typedef enum brg_task_state {
    BRG_TASK_QUEUED = 0, /* also: waiting for its delay, for other tasks, for its batch, for another attempt */
    BRG_TASK_RUNNING,
    BRG_TASK_DONE,      /* BRG_OK */
    BRG_TASK_FAILED,    /* the task's own error, a crash, a poison task, dropped (BRG_FULL), no worker to be had */
    BRG_TASK_CANCELLED, /* BRG_CANCELLED */
    BRG_TASK_TIMED_OUT, /* BRG_TIMED_OUT */
    BRG_TASK_LOST       /* its thread worker was abandoned: BRG_LOST */
} brg_task_state;

/* "queued", "running", ... Static. Any thread. */
BRG_API const char *brg_task_state_name(brg_task_state state);

/* How a task settled. Borrowed inside `done`; from brg_task_result, while the task handle lives. */
typedef struct brg_result {
    brg_status status;
    brg_task_state state;
    brg_value *output;      /* what the task returned, or NULL; borrowed: brg_value_ref to keep it */
    brg_value *detail;      /* what brg_context_fail_with sent along, or NULL; borrowed */
    const brg_error *error; /* NULL when status is BRG_OK */
    uint32_t attempts;      /* how often it started */
    uint64_t worker_id;     /* of the last attempt; 0 if it never ran */
    uint64_t queued_ns;     /* submit to start of the last attempt; 0 unless timing is on or a timeout is set */
    uint64_t run_ns;        /* the last attempt, likewise */
} brg_result;

typedef void (*brg_done_fn)(const brg_result *result, void *user_data);

/*
 * Waits until the task settled: BRG_OK then, whatever its result; read that with brg_task_result. `done`, if given,
 * still runs on the loop.
 *
 * On a thread worker of the same pool the waiting worker helps: a task that has not started runs right there, inside
 * the one that waits, and before it what it was to run after. So tasks may wait for tasks they submitted, however few
 * workers there are. Only what is waited for is run, never a stranger. Errors: BRG_TIMED_OUT; BRG_DEADLOCK for a task
 * that waits for itself, also in a circle, or that is nested deeper than BRG_NESTING_MAX or its stack allows (a quarter
 * of it, at most 128 KiB, is left free); BRG_CANCELLED when the
 * waiting task is asked to end. Any thread.
 */
BRG_API brg_status brg_task_wait(brg_task *task, uint64_t timeout_ns);
#define BRG_NESTING_MAX 256

/* The result of a settled task, valid while the handle lives; NULL before it settled. Any thread. */
BRG_API const brg_result *brg_task_result(const brg_task *task);

/*
 * Asks the task to end: a queued one leaves the queue and settles as cancelled; a running one sees its flag, and
 * its worker is ended after grace_ns. BRG_OK: it will settle as cancelled, unless it finishes first.
 * BRG_STATE: it has settled already. Any thread.
 */
BRG_API brg_status brg_task_cancel(brg_task *task);

/*
 * Takes the next value that the running task sent with brg_context_progress; the caller's to unref. For tasks submitted
 * with progress_max and without on_progress. Waits up to `timeout_ns`; it does not help, as brg_task_wait does. Once
 * the last handle is gone nobody listens. Errors: BRG_EMPTY (timeout 0); BRG_TIMED_OUT; BRG_CLOSED when the task
 * settled and nothing is left; BRG_CANCELLED in a task that is asked to end; BRG_INVALID for other tasks;
 * BRG_NO_MEMORY; BRG_FORKED. Any thread, one at a time.
 */
BRG_API brg_status brg_task_progress(brg_task *task, brg_value **value, uint64_t timeout_ns);

BRG_API brg_task_state brg_task_get_state(const brg_task *task);
BRG_API uint64_t brg_task_id(const brg_task *task);
BRG_API brg_task *brg_task_ref(brg_task *task);
BRG_API void brg_task_unref(brg_task *task); /* accepts NULL */

#ifdef __cplusplus
}
#endif

#endif
