/* SPDX-License-Identifier: MIT */
/* What a pool tells its owner on the loop: full and drain, workers that came and went. */
#ifndef BRG_POOL_EVENTS_H
#define BRG_POOL_EVENTS_H

#include "pool/pool.h"

/* The part of a pool with such callbacks; nothing where there are none. Errors: BRG_NO_MEMORY. */
brg_status brg__events_init(brg_pool *pool);
/* Owner thread, from destroy, after the last worker: delivers what is left. */
void brg__events_end(brg_pool *pool);
void brg__events_free(brg_pool *pool);

/* pool->xfull changed. */
void brg__events_level_locked(brg_pool *pool);
/* A worker came online (exit NULL) or ended after it had; never fails: what there is no memory for is not told. */
void brg__events_worker_locked(brg_pool *pool, uint64_t worker_id, const brg_exit *exit);

#endif
