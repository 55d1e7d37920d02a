/* SPDX-License-Identifier: MIT */
/* What a pool tells its owner on the loop: full and drained, workers that came and went. */
#ifndef BRG_POOL_EVENTS_H
#define BRG_POOL_EVENTS_H

#include "pool/pool.h"

typedef struct brg__events brg__events;
typedef struct brg__told brg__told;

/* The part of a pool with such callbacks; nothing where there are none. Errors: BRG_NO_MEMORY. */
brg_status brg__events_init(brg_pool *pool);
/* Owner thread, from destroy, after the last worker: delivers what is left. */
void brg__events_end(brg_pool *pool);
void brg__events_stop(brg_pool *pool); /* nothing is told from now on */
void brg__events_free(brg_pool *pool);

/* pool->xfull changed; `was_seen`: it is 0 now, and was full for somebody who asked. */
void brg__events_level_locked(brg_pool *pool, bool was_seen);

/* The slot gets a worker: memory for what will be told of it, so that neither its start nor its end can be lost.
 * Errors: BRG_NO_MEMORY. */
brg_status brg__events_expect_locked(brg_pool *pool, brg__slot *slot);
/* The slot's worker is online; it ended after it had been. */
void brg__events_started_locked(brg_pool *pool, brg__slot *slot);
void brg__events_ended_locked(brg_pool *pool, brg__slot *slot, const brg_exit *exit);

#endif
