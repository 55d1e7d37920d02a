/* SPDX-License-Identifier: MIT */
/* Values that a running task sends to who submitted it: progress.c has the notes. */
#ifndef BRG_POOL_PROGRESS_H
#define BRG_POOL_PROGRESS_H

#include "pool/pool.h"

typedef struct brg__progress brg__progress;

/* Submit, lock held: task->progress, if `options` ask for it and somebody can listen. BRG_NO_MEMORY. */
brg_status brg__progress_init(brg_task *task, const brg_submit_options *options);
/* The task's memory goes. Accepts NULL. */
void brg__progress_free(brg__progress *progress);
/* One handle more or fewer: with the last one of a task that is pulled from nobody listens any more. */
void brg__progress_listen(brg__progress *progress, bool more);

/* Owner thread, before `done`: delivers what is left. */
void brg__progress_flush(brg__progress *progress);
/* `done` of tasks with on_progress and none: what is out then holds the loop, and is waited for, all the same. */
void brg__progress_no_done(const brg_result *result, void *user_data);

/* The attempt is over, or with `settled` the task: what it sent stays, it sends no more. Under the pool's lock, while
 * its worker is in its slot. */
void brg__progress_over_locked(brg__progress *progress, bool settled);

/* Thread workers: around the function of a task with task->progress, on its thread. end: also when it was abandoned. */
typedef struct brg__progress_sender {
    brg__teller teller;
    brg__progress *progress; /* referenced */
    uint32_t attempt;
} brg__progress_sender;
brg__teller *brg__progress_begin(brg__progress_sender *sender, brg__progress *progress);
void brg__progress_end(brg__progress_sender *sender);

/* Process workers: how many values may be on their way; 0: nobody listens. `progress` may be NULL. */
uint32_t brg__progress_window(const brg__progress *progress);
/* One that came, with the ticket of the running task; under the pool's lock. BRG_PROTOCOL: it was not to be sent.
 * BRG_NO_MEMORY. Takes the value on success. */
brg_status brg__progress_receive_locked(brg__progress *progress, brg_worker *worker, uint64_t ticket, brg_value *value);

#endif
