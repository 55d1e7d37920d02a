/* SPDX-License-Identifier: MIT */
#include "pool/events.h"

brg_status brg__events_init(brg_pool *pool) { return (void)pool, BRG_OK; }
void brg__events_end(brg_pool *pool) { (void)pool; }
void brg__events_free(brg_pool *pool) { (void)pool; }
void brg__events_level_locked(brg_pool *pool) { (void)pool; }
void brg__events_worker_locked(brg_pool *pool, uint64_t worker_id, const brg_exit *exit)
{
    (void)pool, (void)worker_id, (void)exit;
}
