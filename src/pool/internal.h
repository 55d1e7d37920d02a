/* SPDX-License-Identifier: MIT */
/* Tasks of the library's own: the configuration, the prewarm task, carriers of batches. configure.c, batch.c */
#ifndef BRG_POOL_INTERNAL_H
#define BRG_POOL_INTERNAL_H

#include "pool/pool.h"

/* The name that makes a worker take its input as its configuration: brg__context_run_named. */
#define BRG__TASK_CONFIGURE "\001configure"

/* Such a task ended: outputs it needs are taken (set to NULL). `has_lock`: the caller holds the pool's. */
void brg__task_ended_internal(brg_task *task, const brg__outcome *outcome, bool has_lock);

/* Pins to the slot what its new worker must run before it is online; how many there are. -1: no memory. Lock held. */
int brg__warm_begin_locked(brg_pool *pool, brg__slot *slot);
void brg__config_free(brg_pool *pool);

#endif
