/* SPDX-License-Identifier: MIT */
/*
 * Batches, on the pool's side. A batch is a task of the library's, the carrier, which is scheduled, sent, timed out
 * and killed like any other; its members, the tasks users submitted, wait with it and are settled when it is through.
 */
#ifndef BRG_POOL_BATCH_H
#define BRG_POOL_BATCH_H

#include "pool/pool.h"

/* Under the lock, all of them. */
void brg__batch_add_locked(brg_pool *pool, brg_task *task);      /* a task that is ready: into the batch of its kind */
void brg__batch_remove_locked(brg_pool *pool, brg_task *task);   /* a member leaves before the batch was taken */
void brg__batch_taken_locked(brg_pool *pool, brg_task *carrier); /* uncounts its members */
void brg__batch_put_back_locked(brg_pool *pool, brg_task *carrier); /* counts them again */
bool brg__batch_is_taken(const brg_task *task);                     /* of a member: its batch went to a worker */
brg_task *brg__batch_carrier(const brg_task *task);                 /* of a member */
void brg__batch_cancel_locked(brg_task *task); /* a member of a taken one: told; with the last of all the worker is */
/* Of a member of one that is not taken: it waits for no more members; its carrier, in the schedule. */
brg_task *brg__batch_close_locked(brg_task *task);
void brg__batches_free(brg_pool *pool);
/* Those whose delay is over go into the schedule; when the next is. UINT64_MAX: all do, and nobody is woken. */
uint64_t brg__batches_ripen_locked(brg_pool *pool, uint64_t now);
void brg__batches_hurry_locked(brg_pool *pool); /* nothing new will come: none waits any longer */

/* Process workers: sends a taken one, as brg__process_send_task. BRG_OK: members that could not be sent have settled.
 * */
brg_status brg__batch_send_locked(brg__slot *slot, brg_task *carrier, uint64_t ticket, brg__sent *sent);
bool brg__batch_has_movables(const brg_task *carrier);
/* It is the one that runs now, as far as we know; its clock has started. */
void brg__batch_started_locked(brg_task *carrier);
/* The answer of one member. False: it was not asked, or has answered. */
bool brg__batch_answer_locked(brg_task *carrier, brg__task_reply *reply);

/* On the worker's thread: before user code, with *outcome to be settled with; then in it. */
void brg__batch_begin(brg_context *context, brg_task *carrier, brg__outcome *outcome);
brg_status brg__batch_run(brg_context *context, brg__outcome *outcome);

/* Its carrier settles with that: so do its members, or they go back. From brg__task_settle. */
void brg__batch_ended(brg_task *carrier, const brg__outcome *outcome, bool has_lock);

#endif
