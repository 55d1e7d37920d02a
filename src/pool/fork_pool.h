/* SPDX-License-Identifier: MIT */
/* Where forks meet the pool. */
#ifndef BRG_POOL_FORK_POOL_H
#define BRG_POOL_FORK_POOL_H

#include "pool/pool.h"

/* The forks of the worker of `context`, whose thread it is, made if it is a thread worker of a pool; else NULL, also
 * without memory. */
brg__forks *brg__forks_of(brg_context *context);

/* pool->team: with the pool, and with its last reference. */
void brg__pool_team_init(brg_pool *pool);
void brg__pool_team_done(brg_pool *pool);

/* An idle worker's: steals one fork and runs it. False: there was none. When the thread was abandoned in it, it is
 * true, and worker->xwhere says so: touch nothing then. */
bool brg__forks_steal_one(brg_pool *pool, brg_worker *worker, brg_context *context);

/* The worker of `slot` is ended because of the task that it runs: so are those that run forks of that task. Lock held.
 * */
void brg__forks_end_helpers_locked(brg__slot *slot, brg_status why);

#endif
