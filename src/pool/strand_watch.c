/* SPDX-License-Identifier: MIT */
/*
 * Flows, as those see them who watch a pool: where one begins and ends, and where its chunks do.
 *
 * All of it is written under the pool's lock. A strand runs as user code, in which its thread may be abandoned, so the
 * places that the worker's thread writes to without the lock are not its own; and chunks are long enough not to mind.
 * One that was abandoned tells nothing any more: its slot has another worker, or none.
 */
#include "pool/observe.h"
#include "pool/strand.h"

#include <string.h>

#include "os/clock.h"

/* One branch, all in all. */
static inline bool watch_sees_flows(const brg_pool *pool)
{
    uint64_t stores = brg_load_relaxed(&pool->xobserved) & BRG_EVENTS_FLOWS;
    unsigned probes = BRG__PROBE_IS_ON(flow_started) | BRG__PROBE_IS_ON(flow_ended) | BRG__PROBE_IS_ON(chunk_started) |
                      BRG__PROBE_IS_ON(chunk_unstarted) | BRG__PROBE_IS_ON(chunk_ended);
    return BRG__UNLIKELY((stores | probes) != 0);
}

bool brg__seen_is_watched(const brg__seen *flow) { return watch_sees_flows(flow->pool); }

void brg__seen_init(brg__seen *flow, brg_pool *pool, const char *name, void (*function)(void))
{
    flow->pool = pool;
    flow->function = (brg_call_fn)function;
    if (name != NULL)
        memcpy(flow->name, name, brg__min(strlen(name), sizeof(flow->name) - 1));
}

static void watch_tell_locked(brg__seen *flow, const brg__sight *sight, uint64_t key)
{
    if (flow->number == 0)
        flow->number = ++flow->pool->flows;
    brg__observe_flow_locked(flow->pool, flow, sight, key);
}

void brg__seen_started(brg__seen *flow, uint64_t elements)
{
    brg_pool *pool = flow->pool;
    if (!watch_sees_flows(pool))
        return;
    brg__pool_lock(pool);
    watch_tell_locked(flow, &(brg__sight){.type = BRG_EVENT_FLOW_STARTED, .value = elements}, 0);
    brg__pool_unlock(pool);
}

void brg__seen_ended(brg__seen *flow, brg_status status, uint64_t failures, bool has_lock)
{
    brg_pool *pool = flow->pool;
    if (!watch_sees_flows(pool))
        return;
    if (!has_lock)
        brg__pool_lock(pool);
    watch_tell_locked(flow, &(brg__sight){.type = BRG_EVENT_FLOW_ENDED, .status = status, .value = failures}, 0);
    if (!has_lock)
        brg__pool_unlock(pool);
}

/* Of the caller, a worker's thread, unless it was abandoned. */
static void watch_tell_own(brg__seen *flow, brg__sight *sight, uint64_t first)
{
    brg_pool *pool = flow->pool;
    const brg_worker *worker = brg__context_current()->owner;
    brg__pool_lock(pool);
    brg__slot *slot = worker->slot;
    if (slot->worker == worker) {
        sight->slot = slot;
        sight->worker_id = worker->id;
        watch_tell_locked(flow, sight, first);
    }
    brg__pool_unlock(pool);
}

void brg__seen_chunk_started(brg__seen *flow, uint64_t first, uint64_t end)
{
    watch_tell_own(flow, &(brg__sight){.type = BRG_EVENT_CHUNK_STARTED, .value = end - first}, first);
}

void brg__seen_chunk_ended(brg__seen *flow, uint64_t first, uint64_t started_ns)
{
    watch_tell_own(flow, &(brg__sight){.type = BRG_EVENT_CHUNK_ENDED, .value = brg__now_real() - started_ns}, first);
}

void brg__strand_seen_locked(const brg_task *task, const brg__slot *slot, brg_event_type type, brg_status status,
                             uint64_t run_ns)
{
    const brg__strand *strand = task->argument;
    if (strand->flow == NULL || !watch_sees_flows(task->pool))
        return;
    const brg__sight sight = {.type = type,
                              .status = status,
                              .slot = slot,
                              .worker_id = slot == NULL || slot->worker == NULL ? 0 : slot->worker->id,
                              .value = type == BRG_EVENT_CHUNK_STARTED ? strand->end - strand->first : run_ns};
    watch_tell_locked(strand->flow, &sight, strand->first);
}
