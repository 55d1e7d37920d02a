/* SPDX-License-Identifier: MIT */
/*
 * Where transitions are told: one short inline call at each place. While nobody watches, traces or probes it costs two
 * loads and a branch; pool->xobserved lies where workers look anyway. What is told then, and to whom, is in observe.c.
 *
 * `writer` is the slot whose worker's thread calls, without the lock; NULL: the pool's lock is held.
 */
#ifndef BRG_POOL_OBSERVE_H
#define BRG_POOL_OBSERVE_H

#include <brigade/events.h>

#include "os/probe.h"
#include "pool/pool.h"
#include "pool/store.h"
#include "pool/strand.h"

#define BRG__PROBE_DECLARE_EVENT(NAME, name, group, value) BRG__PROBE_DECLARE(name)
BRG_EVENT_MAP(BRG__PROBE_DECLARE_EVENT)
#undef BRG__PROBE_DECLARE_EVENT

#define BRG__IS_OBSERVED(pool, NAME, name)                                                                             \
    BRG__UNLIKELY((brg_load_relaxed(&(pool)->xobserved) & BRG_EVENT_BIT(BRG_EVENT_##NAME)) != 0 ||                     \
                  BRG__PROBE_IS_ON(name))

/* What is known beside the task. */
typedef struct brg__sight {
    brg_event_type type;
    brg_status status;
    const brg__slot *slot; /* where; NULL: nowhere, or it is not known */
    uint64_t worker_id;
    uint64_t value;
    uint32_t batch;
} brg__sight;

void brg__observe_task(brg_pool *pool, brg__slot *writer, const brg_task *task, const brg__sight *sight);
void brg__observe_other_locked(brg_pool *pool, const brg__sight *sight);
void brg__observe_submit_locked(brg_pool *pool, brg_task *task); /* gives it a number and a name first */
void brg__observe_settle(brg_pool *pool, brg__slot *writer, const brg_task *task, brg_status status, uint64_t worker_id,
                         uint64_t run_ns);

void brg__observe_overdue_locked(brg__slot *slot, uint64_t ticket);
void brg__observe_flow_locked(brg_pool *pool, const brg__seen *flow, const brg__sight *sight, uint64_t key);
/* A strand whose flow does not tell of its chunks itself. strand_watch.c */
void brg__strand_seen_locked(const brg_task *task, const brg__slot *slot, brg_event_type type, brg_status status,
                             uint64_t run_ns);

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

static inline void brg__see_submitted_locked(brg_pool *pool, brg_task *task)
{
    if (BRG__UNLIKELY(brg_load_relaxed(&pool->xobserved) != 0 || BRG__PROBE_IS_ON(task_submitted)))
        brg__observe_submit_locked(pool, task);
}

/* It runs now, in `slot`; NULL: in its submitter, lock held. */
static inline void brg__see_started(brg_pool *pool, brg__slot *writer, const brg_task *task, const brg__slot *slot,
                                    uint64_t worker_id)
{
    if (BRG__IS_OBSERVED(pool, TASK_STARTED, task_started))
        brg__observe_task(pool, writer, task,
                          &(brg__sight){.type = BRG_EVENT_TASK_STARTED, .slot = slot, .worker_id = worker_id});
}

static inline void brg__see_started_in_batch_locked(brg_pool *pool, const brg_task *task, const brg__slot *slot,
                                                    uint64_t batch)
{
    if (BRG__IS_OBSERVED(pool, TASK_STARTED, task_started))
        brg__observe_task(
            pool, NULL, task,
            &(brg__sight){
                .type = BRG_EVENT_TASK_STARTED, .slot = slot, .worker_id = slot->worker->id, .batch = (uint32_t)batch});
}

/* What runs in the slot under this ticket is asked to end because its time is over. */
static inline void brg__see_overdue_locked(brg__slot *slot, uint64_t ticket)
{
    if (BRG__IS_OBSERVED(slot->pool, TASK_OVERDUE, task_overdue))
        brg__observe_overdue_locked(slot, ticket);
}

static inline void brg__see_settled(brg_pool *pool, brg__slot *writer, const brg_task *task, brg_status status,
                                    uint64_t worker_id, uint64_t run_ns)
{
    if (BRG__IS_OBSERVED(pool, TASK_SETTLED, task_settled))
        brg__observe_settle(pool, writer, task, status, worker_id, run_ns);
}

/* Those that need no more than the task, where it is, and a status or a number. Lock held. */
#define BRG__SEE_TASK(NAME, name)                                                                                      \
    static inline void brg__see_##name##_locked(brg_pool *pool, const brg_task *task, const brg__slot *slot,           \
                                                brg_status status, uint64_t value)                                     \
    {                                                                                                                  \
        if (BRG__IS_OBSERVED(pool, NAME, name))                                                                        \
            brg__observe_task(pool, NULL, task,                                                                        \
                              &(brg__sight){.type = BRG_EVENT_##NAME,                                                  \
                                            .status = status,                                                          \
                                            .slot = slot,                                                              \
                                            .worker_id = slot == NULL || slot->worker == NULL ? 0 : slot->worker->id,  \
                                            .value = value});                                                          \
    }
BRG__SEE_TASK(TASK_UNSTARTED, task_unstarted)
BRG__SEE_TASK(TASK_RETRIED, task_retried)
BRG__SEE_TASK(TASK_CANCEL_ASKED, task_cancel_asked)
BRG__SEE_TASK(TASK_QUEUED, task_queued)
BRG__SEE_TASK(TASK_DELAYED, task_delayed)
BRG__SEE_TASK(TASK_BLOCKED, task_blocked)
BRG__SEE_TASK(TASK_BATCHED, task_batched)
BRG__SEE_TASK(TASK_TAKEN, task_taken)
BRG__SEE_TASK(TASK_PUT_BACK, task_put_back)
#undef BRG__SEE_TASK

/* A chunk in another process: it is the first its worker has now; it was not, or will be run again; it ended. */
static inline void brg__see_chunk_locked(const brg_task *task, const brg__slot *slot, brg_event_type type,
                                         brg_status status, uint64_t run_ns)
{
    if (BRG__UNLIKELY(brg__task_is_strand(task)))
        brg__strand_seen_locked(task, slot, type, status, run_ns);
}

/* ---- workers and the pool ---------------------------------------------------------------------------------------- */

/* Of a slot, or of the pool with NULL. Lock held. */
#define BRG__SEE_OTHER(NAME, name)                                                                                     \
    static inline void brg__see_##name##_locked(brg_pool *pool, const brg__slot *slot, brg_status status,              \
                                                uint64_t value)                                                        \
    {                                                                                                                  \
        if (BRG__IS_OBSERVED(pool, NAME, name))                                                                        \
            brg__observe_other_locked(                                                                                 \
                pool, &(brg__sight){.type = BRG_EVENT_##NAME,                                                          \
                                    .status = status,                                                                  \
                                    .slot = slot,                                                                      \
                                    .worker_id = slot == NULL || slot->worker == NULL ? 0 : slot->worker->id,          \
                                    .value = value});                                                                  \
    }
BRG__SEE_OTHER(WORKER_IDLE, worker_idle)
BRG__SEE_OTHER(WORKER_BUSY, worker_busy)
BRG__SEE_OTHER(WORKER_STARTING, worker_starting)
BRG__SEE_OTHER(WORKER_START_FAILED, worker_start_failed)
BRG__SEE_OTHER(WORKER_ONLINE, worker_online)
BRG__SEE_OTHER(WORKER_PARKED, worker_parked)
BRG__SEE_OTHER(WORKER_UNPARKED, worker_unparked)
BRG__SEE_OTHER(WORKER_RECYCLED, worker_recycled)
BRG__SEE_OTHER(WORKER_SHRUNK, worker_shrunk)
BRG__SEE_OTHER(WORKER_ASKED, worker_asked)
BRG__SEE_OTHER(WORKER_KILLED, worker_killed)
BRG__SEE_OTHER(WORKER_ENDED, worker_ended)
BRG__SEE_OTHER(POOL_FULL, pool_full)
BRG__SEE_OTHER(POOL_DRAINED, pool_drained)
BRG__SEE_OTHER(POOL_REJECTED, pool_rejected)
BRG__SEE_OTHER(POOL_TARGET, pool_target)
BRG__SEE_OTHER(POOL_CONFIGURED, pool_configured)
BRG__SEE_OTHER(POOL_TUNED, pool_tuned)
BRG__SEE_OTHER(POOL_BREAKER_OPEN, pool_breaker_open)
BRG__SEE_OTHER(POOL_BREAKER_HALF_OPEN, pool_breaker_half_open)
BRG__SEE_OTHER(POOL_BREAKER_CLOSED, pool_breaker_closed)
BRG__SEE_OTHER(POOL_DRAINING, pool_draining)
BRG__SEE_OTHER(POOL_STOPPING, pool_stopping)
BRG__SEE_OTHER(POOL_KILLING, pool_killing)
BRG__SEE_OTHER(POOL_CLOSED, pool_closed)
#undef BRG__SEE_OTHER

/* ---- who observes ------------------------------------------------------------------------------------------------ */

/* Records go to `store` from now on, which is referenced. Errors: BRG_FULL, BRG_CLOSED, BRG_NO_MEMORY, BRG_FORKED. No
 * lock. */
brg_status brg__observers_add(brg_pool *pool, brg__store *store, brg_error *error);
void brg__observers_remove(brg_pool *pool, brg__store *store); /* nothing where it is not there. No lock */
void brg__observers_end(brg_pool *pool);                       /* of a pool that has no workers any more */
void brg__observers_free(brg_pool *pool);

/* Names of tasks, as records have them: kept while anybody has records. */
typedef struct brg__names brg__names;
brg__names *brg__names_of(brg_pool *pool); /* referenced; of a pool with observers */
void brg__names_unref(brg__names *names);  /* accepts NULL */

/* watch.c: the end of the pool, for those who watch it. Owner thread. */
void brg__watches_end(brg_pool *pool);
void brg__watches_drop(brg_pool *pool); /* of a pool that could not be made: nothing is told, nor released */
brg_status brg__watch_begin(brg_pool *pool, const brg_watch_options *options, brg_error *error); /* of pool_create */

#endif
