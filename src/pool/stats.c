/* SPDX-License-Identifier: MIT */
/* What a pool did, added up over who counts it. metrics_read.c has more. */
#include <string.h>

#include "os/thread.h"
#include "pool/pool.h"

static void stats_add(brg_pool_stats *to, const brg__settled *from, uint64_t *all)
{
    to->done += brg_load_acquire(&from->by_state[BRG_TASK_DONE]);
    to->failed += brg_load_acquire(&from->by_state[BRG_TASK_FAILED]);
    to->cancelled += brg_load_acquire(&from->by_state[BRG_TASK_CANCELLED]);
    to->timed_out += brg_load_acquire(&from->by_state[BRG_TASK_TIMED_OUT]);
    to->lost += brg_load_acquire(&from->by_state[BRG_TASK_LOST]);
    to->retried += brg_load_relaxed(&from->retried);
    *all += brg_load_acquire(&from->all);
}

bool brg__slot_is_busy_locked(const brg__slot *slot)
{
    return slot->worker != NULL &&
           (brg__pool_has_processes(slot->pool) ? slot->ahead_count != 0 : brg_load_relaxed(&slot->xticket) != 0);
}

void brg__pool_stats_locked(const brg_pool *pool, brg_pool_stats *stats)
{
    uint64_t all = 0;
    memset(stats, 0, sizeof(*stats));
    stats_add(stats, &pool->settled, &all);
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        stats_add(stats, &pool->slots[i]->xsettled, &all);
        stats->workers_busy += brg__slot_is_busy_locked(pool->slots[i]);
    }
    stats->submitted = pool->submitted - pool->internal;
    stats->rejected = pool->rejected;
    stats->dropped = pool->dropped;
    stats->inline_run = pool->inline_run;
    stats->batches = pool->batches;
    stats->stolen = pool->schedule.stolen;
    stats->workers_recycled = pool->workers_recycled;
    stats->workers_shrunk = pool->workers_shrunk;
    stats->workers_target = pool->target;
    stats->queued = brg__pool_waiting_locked(pool);
    stats->queue_peak = pool->waiting_peak;
    all -= brg__min(all, pool->internal_ended);
    stats->running = brg__max(stats->submitted, all + stats->queued) - all - stats->queued;
    stats->workers_started = pool->workers_started;
    stats->workers_crashed = pool->workers_crashed;
    stats->workers_killed = pool->workers_killed;
    stats->workers_start_failed = pool->workers_start_failed;
    stats->workers_online = pool->online;
}

brg_status brg_pool_get_stats(const brg_pool *pool, brg_pool_stats *out)
{
    if (pool == NULL || out == NULL || out->size < sizeof(size_t))
        return BRG_INVALID;
    if (pool->generation != brg__fork_generation())
        return BRG_FORKED;
    brg_pool_stats stats;
    brg_pool *self = (brg_pool *)pool; /* the lock is not part of what const promises */
    brg__pool_lock(self);
    brg__pool_stats_locked(pool, &stats);
    brg__pool_unlock(self);
    size_t size = out->size;
    memcpy(out, &stats, brg__min(size, sizeof(stats)));
    out->size = size;
    return BRG_OK;
}
