/* SPDX-License-Identifier: MIT */
/* Tasks that run in their submitter because the queue is full. */
#ifndef BRG_POOL_CALLER_H
#define BRG_POOL_CALLER_H

#include "pool/pool.h"

/* Whether tasks of this pool may run outside its workers: threads, and a module that sets up nothing per worker; and
 * that one: not one that must wait for others or for tags. */
bool brg__caller_may_run(const brg_pool *pool, const brg_submit_options *options);
/* One that runs so is asked to end. Lock held. */
void brg__caller_cancel_locked(brg_task *task);
/* Runs and settles an accepted task. No lock. */
void brg__caller_run(brg_pool *pool, brg_task *task);

#endif
