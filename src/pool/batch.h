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
void brg__batch_cancel_locked(brg_task *task); /* a member of a taken one: told; with the last of all the worker is */
void brg__batches_free(brg_pool *pool);
uint64_t brg__batches_ripen_locked(brg_pool *pool, uint64_t now); /* those whose delay is over; when the next is */

/* On the worker's thread: runs a taken one; the answers lie in it until its carrier settles. */
brg_status brg__batch_run(brg_context *context, brg_task *carrier, brg__outcome *outcome);

#endif
