/* SPDX-License-Identifier: MIT */
/*
 * Tasks of the library's own. The configuration and the prewarm task of a worker (configure.c) go before all else that
 * waits for it, one at a time: until the last that it began with has ended, it is not online. Carriers of batches are
 * batch.c's.
 */
#ifndef BRG_POOL_INTERNAL_H
#define BRG_POOL_INTERNAL_H

#include "pool/pool.h"

/* Such a task ended: outputs it needs are taken (set to NULL). `has_lock`: the caller holds the pool's. */
void brg__task_ended_internal(brg_task *task, const brg__outcome *outcome, bool has_lock);

/* A strand's task settles: it may run again. Lock held. */
void brg__strand_ended_locked(brg_task *task, const brg__outcome *outcome);

/* Pins to the slot what its new worker must run before it is online; how many there are. -1: no memory, and the worker
 * is asked to end. Lock held. */
int brg__warm_begin_locked(brg_pool *pool, brg__slot *slot);
/* Its worker ended: what it did not run is not for the next. Lock held. */
void brg__warm_end_locked(brg_pool *pool, brg__slot *slot);
void brg__config_free(brg_pool *pool);

#endif
