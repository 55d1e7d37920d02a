/* SPDX-License-Identifier: MIT */
/*
 * Events: every transition of a pool's tasks, of its workers and of the pool itself, in batches on its owner's loop.
 *
 *     brg_watch_create(&watch, pool, brg_watch_opts(.mask = BRG_EVENTS_TASKS, .on_events = look), &error);
 *
 * The same events feed traces (brigade/trace.h), and probes of the same names for perf and bpftrace (docs/probes.md).
 */
#ifndef BRIGADE_EVENTS_H
#define BRIGADE_EVENTS_H

#include <brigade/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * X(NAME, name, group, what `value` of it is). The list feeds the enum, brg_event_name, the masks, the probes and the
 * table in brg_events(3).
 *
 * A task's events follow this grammar, from submit to its end:
 *     submitted (wait | run (retried | unstarted))* run? settled        where
 *     wait is delayed, blocked, batched, queued, taken or put_back, and
 *     run is started overdue*
 * with cancel_asked anywhere after submitted: just after settled, too, when both happen at once.
 *
 * A flow (brigade/flow.h) is no task: it is flow_started flow_ended, and between these each of its chunks, by its first
 * element, is chunk_started (chunk_ended | chunk_unstarted); of one whose worker was lost the end is missing.
 */
#define BRG_EVENT_MAP(X)                                                                                               \
    X(TASK_SUBMITTED, task_submitted, TASKS, "tasks that waited before it")                                            \
    X(TASK_STARTED, task_started, TASKS, "0")                                                                          \
    X(TASK_UNSTARTED, task_unstarted, TASKS, "0")                                                                      \
    X(TASK_RETRIED, task_retried, TASKS, "ns until it may start again")                                                \
    X(TASK_CANCEL_ASKED, task_cancel_asked, TASKS, "0")                                                                \
    X(TASK_OVERDUE, task_overdue, TASKS, "0")                                                                          \
    X(TASK_SETTLED, task_settled, TASKS, "ns the last attempt ran, if that was measured")                              \
    X(TASK_QUEUED, task_queued, DETAILS, "0")                                                                          \
    X(TASK_DELAYED, task_delayed, DETAILS, "time at which it may start")                                               \
    X(TASK_BLOCKED, task_blocked, DETAILS, "0")                                                                        \
    X(TASK_BATCHED, task_batched, DETAILS, "0")                                                                        \
    X(TASK_TAKEN, task_taken, DETAILS, "0")                                                                            \
    X(TASK_PUT_BACK, task_put_back, DETAILS, "0")                                                                      \
    X(WORKER_IDLE, worker_idle, DETAILS, "0")                                                                          \
    X(WORKER_BUSY, worker_busy, DETAILS, "0")                                                                          \
    X(WORKER_STARTING, worker_starting, WORKERS, "0")                                                                  \
    X(WORKER_START_FAILED, worker_start_failed, WORKERS, "ns until the next try")                                      \
    X(WORKER_ONLINE, worker_online, WORKERS, "0")                                                                      \
    X(WORKER_PARKED, worker_parked, WORKERS, "0")                                                                      \
    X(WORKER_UNPARKED, worker_unparked, WORKERS, "0")                                                                  \
    X(WORKER_RECYCLED, worker_recycled, WORKERS, "tasks it ran")                                                       \
    X(WORKER_SHRUNK, worker_shrunk, WORKERS, "0")                                                                      \
    X(WORKER_ASKED, worker_asked, WORKERS, "0")                                                                        \
    X(WORKER_KILLED, worker_killed, WORKERS, "0")                                                                      \
    X(WORKER_ENDED, worker_ended, WORKERS, "the signal that ended it, or 0")                                           \
    X(POOL_FULL, pool_full, POOL, "tasks that wait")                                                                   \
    X(POOL_DRAINED, pool_drained, POOL, "tasks that wait")                                                             \
    X(POOL_REJECTED, pool_rejected, POOL, "tasks that wait")                                                           \
    X(POOL_TARGET, pool_target, POOL, "workers wanted")                                                                \
    X(POOL_CONFIGURED, pool_configured, POOL, "workers that are told now")                                             \
    X(POOL_TUNED, pool_tuned, POOL, "0")                                                                               \
    X(POOL_BREAKER_OPEN, pool_breaker_open, POOL, "ns it stays open")                                                  \
    X(POOL_BREAKER_HALF_OPEN, pool_breaker_half_open, POOL, "0")                                                       \
    X(POOL_BREAKER_CLOSED, pool_breaker_closed, POOL, "0")                                                             \
    X(POOL_DRAINING, pool_draining, POOL, "tasks that wait")                                                           \
    X(POOL_STOPPING, pool_stopping, POOL, "tasks that wait")                                                           \
    X(POOL_KILLING, pool_killing, POOL, "tasks that wait")                                                             \
    X(POOL_CLOSED, pool_closed, POOL, "0")                                                                             \
    X(FLOW_STARTED, flow_started, FLOWS, "its elements")                                                               \
    X(FLOW_ENDED, flow_ended, FLOWS, "elements, or ranges, that failed")                                               \
    X(CHUNK_STARTED, chunk_started, FLOWS, "its elements")                                                             \
    X(CHUNK_UNSTARTED, chunk_unstarted, FLOWS, "0")                                                                    \
    X(CHUNK_ENDED, chunk_ended, FLOWS, "ns it ran, if that was measured")

typedef enum brg_event_type {
#define BRG_EVENT_ENUM(NAME, name, group, value) BRG_EVENT_##NAME,
    BRG_EVENT_MAP(BRG_EVENT_ENUM)
#undef BRG_EVENT_ENUM
        BRG_EVENT_COUNT
} brg_event_type;

/* Which events: BRG_EVENT_BIT(type) of single ones, or of these groups; combine with |. */
#define BRG_EVENT_BIT(type) (UINT64_C(1) << (type))
#define BRG_EVENTS_TASKS                                                                                               \
    (BRG_EVENT_BIT(BRG_EVENT_TASK_QUEUED) - BRG_EVENT_BIT(BRG_EVENT_TASK_SUBMITTED)) /* their lives */
#define BRG_EVENTS_DETAILS                                                                                             \
    (BRG_EVENT_BIT(BRG_EVENT_WORKER_STARTING) - BRG_EVENT_BIT(BRG_EVENT_TASK_QUEUED)) /* where tasks wait; idle, busy */
#define BRG_EVENTS_WORKERS (BRG_EVENT_BIT(BRG_EVENT_POOL_FULL) - BRG_EVENT_BIT(BRG_EVENT_WORKER_STARTING))
#define BRG_EVENTS_POOL (BRG_EVENT_BIT(BRG_EVENT_FLOW_STARTED) - BRG_EVENT_BIT(BRG_EVENT_POOL_FULL))
#define BRG_EVENTS_FLOWS (BRG_EVENT_BIT(BRG_EVENT_COUNT) - BRG_EVENT_BIT(BRG_EVENT_FLOW_STARTED)) /* and their chunks */
#define BRG_EVENTS_ALL (BRG_EVENT_BIT(BRG_EVENT_COUNT) - 1)

#define BRG_NO_WORKER_INDEX UINT32_MAX

/* Fields that do not apply are 0 or NULL. */
typedef struct brg_event {
    uint64_t time_ns; /* CLOCK_MONOTONIC. A process worker's tasks: when this program knew of it; see brg_events(3) */
    uint64_t task;    /* brg_task_id; 0 for one without a handle that was submitted before anybody watched. Of flows and
                         chunks: the flow's number among the flows of its pool */
    uint64_t worker_id;
    uint64_t key;         /* of the task; of a chunk its first element */
    uint64_t value;       /* as the list above says */
    const char *name;     /* of the task; NULL: a function, or one submitted before anybody watched. Until destroy */
    brg_call_fn function; /* of the task, or NULL; of a flow without a name its function, of another type */
    brg_event_type type;
    brg_status status; /* settled, retried, flow_ended, chunk_ended: how. rejected, start_failed, killed, ended: why */
    brg_priority priority; /* of the task */
    uint32_t attempt;      /* of the task: how often it started so far; not with cancel_asked */
    uint32_t worker_index; /* BRG_NO_WORKER_INDEX: none, or not known */
    uint32_t batch;        /* started: the number of the batch it is in; 0: none */
    uint64_t reserved;
} brg_event;

/* "task_submitted" and so on; "?" for an unknown one. Static. Any thread. */
BRG_API const char *brg_event_name(brg_event_type type);

typedef struct brg_watch brg_watch;

/*
 * Some events, in the order of time: what follows from something never comes before it. `lost`: how many more there
 * were since the last call that found no room. The array is the library's and gone afterwards.
 */
typedef void (*brg_events_fn)(const brg_event *events, size_t count, uint64_t lost, void *user_data);

struct brg_watch_options {
    size_t size;
    uint64_t mask;                    /* which; default BRG_EVENTS_ALL */
    brg_events_fn on_events;          /* needed */
    uint64_t delay_ns;                /* how long events may wait for more, to be told together; default 10 ms */
    uint32_t capacity;                /* events kept until they are told; more are lost, and counted. Default 65536 */
    void (*release)(void *user_data); /* exactly once, when it ends; never if create failed */
    void *user_data;
};
typedef struct brg_watch_options brg_watch_options;

#define brg_watch_opts(...) BRG_OPTIONS(brg_watch_options, __VA_ARGS__)

/*
 * Watches a pool from now on; from its first moment by brg_pool_options.watch. What is left when the pool is destroyed
 * is told inside destroy; the watch stays the caller's. Errors: BRG_INVALID (a pool without a loop, no on_events);
 * BRG_FULL (16 watches and traces on one pool); BRG_CLOSED; BRG_NO_MEMORY; BRG_UNSUPPORTED; BRG_FORKED. Owner thread.
 */
BRG_API brg_status brg_watch_create(brg_watch **out, brg_pool *pool, const brg_watch_options *options,
                                    brg_error *error);

/* Ends it: nothing is told from now on. Accepts NULL. Owner thread, its own on_events included. */
BRG_API void brg_watch_destroy(brg_watch *watch);

#ifdef __cplusplus
}
#endif

#endif
