/* SPDX-License-Identifier: MIT */
/*
 * Pools: many workers, a queue in front of them, and the policies that join the two.
 *
 *     brg_pool_create(&pool, brg_pool_opts(.loop = loop, .module = "./photos.so",
 *                                          .isolation = BRG_ISOLATION_PROCESS,
 *                                          .run_timeout_ns = BRG_SECONDS(30)), &error);
 *     brg_pool_submit(pool, "resize", picture, brg_submit_opts(.done = reply, .user_data = request), NULL);
 *
 * The contract of a task: when submit returned BRG_OK, `done` runs exactly once, later, on the owner's loop,
 * never inside submit, whatever dies. When submit failed it never runs and the caller still owns what it passed.
 */
#ifndef BRIGADE_POOL_H
#define BRIGADE_POOL_H

#include <brigade/loop.h>
#include <brigade/module.h>
#include <brigade/status.h>
#include <brigade/task.h>
#include <brigade/token.h>
#include <brigade/value.h>
#include <brigade/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brg_pool brg_pool;
typedef struct brg_group brg_group;
typedef struct brg_metrics brg_metrics; /* brigade/metrics.h */
struct brg_trace;
struct brg_watch_options;

/* A function of this program as a task (thread isolation). Errors by brg_context_fail or any status. */
typedef brg_status (*brg_call_fn)(brg_context *context, void *argument);

/* What a submit to a full queue does. */
typedef enum brg_admission {
    BRG_ADMISSION_REJECT = 0,  /* BRG_FULL at once */
    BRG_ADMISSION_BLOCK,       /* waits for room up to admission_timeout_ns, then BRG_TIMED_OUT */
    BRG_ADMISSION_CALLER_RUNS, /* runs the task inside submit. It waits for room instead, as block does, where the task
                                * must not run in the caller: process isolation, a module with worker_start, a task
                                * with progress */
    BRG_ADMISSION_DROP_OLDEST, /* the oldest of the least urgent that wait makes room: it settles with BRG_FULL. A task
                                * less urgent than all that wait is rejected */
    BRG_ADMISSION_DROP_NEWEST  /* the same with the newest that waits */
} brg_admission;

typedef enum brg_priority {
    BRG_PRIORITY_NORMAL = 0,
    BRG_PRIORITY_URGENT,
    BRG_PRIORITY_HIGH,
    BRG_PRIORITY_LOW
} brg_priority;

/* Which ends of an attempt are worth another one; combine with |. */
typedef enum brg_retry_on {
    BRG_RETRY_CRASH = 1,     /* the worker crashed, exited, broke the protocol or was lost */
    BRG_RETRY_TIMEOUT = 2,   /* run_timeout passed */
    BRG_RETRY_FAILED = 4,    /* the task returned an error of no other class */
    BRG_RETRY_MEMORY = 8,    /* BRG_NO_MEMORY: returned, or a limit ended the worker */
    BRG_RETRY_TRANSIENT = 16 /* the task returned BRG_UNAVAILABLE, BRG_FULL or BRG_SYSTEM: later it may work */
} brg_retry_on;

typedef enum brg_backoff {
    BRG_BACKOFF_FIXED = 0,  /* retry_delay_ns before each further attempt */
    BRG_BACKOFF_EXPONENTIAL /* doubling from there up to retry_delay_max_ns */
} brg_backoff;

/*
 * Policies: NULL is the default, the first of each. brigade/policy.h says how to write one; brg_policy(7) which to
 * choose when. All combinations are valid, in both isolations.
 */
typedef struct brg_queue_policy brg_queue_policy;                /* which task is next */
BRG_API extern const brg_queue_policy *const brg_queue_fifo;     /* the oldest */
BRG_API extern const brg_queue_policy *const brg_queue_lifo;     /* the newest */
BRG_API extern const brg_queue_policy *const brg_queue_priority; /* the most urgent; ageing_ns lets the others rise */
BRG_API extern const brg_queue_policy *const brg_queue_weighted; /* each priority its share of what is served: shares */
BRG_API extern const brg_queue_policy *const brg_queue_deadline; /* the earliest deadline_ns; without one last */
BRG_API extern const brg_queue_policy *const brg_queue_fair;     /* keys in turn, the oldest of each */

typedef struct brg_placement_policy brg_placement_policy;                   /* which worker gets it */
BRG_API extern const brg_placement_policy *const brg_placement_pull;        /* the one that is free takes it */
BRG_API extern const brg_placement_policy *const brg_placement_round_robin; /* one after the other */
BRG_API extern const brg_placement_policy *const brg_placement_least_busy;  /* the one with the fewest tasks */
BRG_API extern const brg_placement_policy *const brg_placement_random;      /* any */
BRG_API extern const brg_placement_policy *const brg_placement_two_choices; /* the less busy of two random ones */
BRG_API extern const brg_placement_policy *const brg_placement_sticky;      /* one key, one worker */
BRG_API extern const brg_placement_policy *const brg_placement_stealing;    /* in turn, and who has nothing steals */

typedef struct brg_scaling_policy brg_scaling_policy;             /* how many workers, of workers_min to workers_max */
BRG_API extern const brg_scaling_policy *const brg_scaling_fixed; /* workers_max, always */
BRG_API extern const brg_scaling_policy *const brg_scaling_backlog;  /* by queued tasks per worker: grow_queued */
BRG_API extern const brg_scaling_policy *const brg_scaling_load;     /* by the busy share: grow_busy_percent */
BRG_API extern const brg_scaling_policy *const brg_scaling_adaptive; /* climbs to the best throughput */

typedef void (*brg_pool_event_fn)(brg_pool *pool, uint64_t queued_count, void *user_data);
typedef void (*brg_pool_worker_fn)(brg_pool *pool, uint64_t worker_id, const brg_exit *exit, void *user_data);

typedef void (*brg_pool_metrics_fn)(brg_pool *pool, const brg_metrics *metrics, void *user_data);

/* Fields marked * may be changed while it runs: brg_pool_tune. */
typedef struct brg_pool_options {
    size_t size;
    brg_loop *loop; /* where `done` and events run; NULL: none may be given, use handles */
    brg_isolation isolation;
    const char *module;              /* path of a shared object; or */
    const brg_module *linked_module; /* one of this program (thread isolation); or neither: function tasks only */
    const char *name;                /* names the workers; default "pool" */
    brg_value *init_data;            /* every worker gets it; taken on success */

    const brg_queue_policy *queue;
    uint32_t shares[4]; /* * weighted: of urgent, high, normal, low; default 0, 50, 40, 10. Those with 0 go first */
    uint64_t ageing_ns; /* * priority: a task that waited this long counts as one step more urgent; default never */
    const brg_placement_policy *placement;
    uint64_t seed;               /* of random choices; default: another one each time */
    const uint64_t *worker_tags; /* bits: what each worker is good for, by index; copied. Default none */
    uint32_t worker_tags_count;  /* workers beyond have none */

    const brg_scaling_policy *scaling;
    uint32_t workers_max;         /* * default: CPUs this process may use (affinity, cgroup quota), at least 1 */
    uint32_t workers_min;         /* * default 1, with fixed scaling workers_max; BRG_NO_WORKERS: none when idle */
    uint32_t workers_start;       /* started with the pool; default workers_min */
    uint32_t warm_spares;         /* * idle workers kept ready beyond the busy ones, within workers_max; default 0 */
    uint64_t idle_timeout_ns;     /* * a worker ends when it was idle this long and is not needed; default 10 s */
    uint64_t scaling_interval_ns; /* default 100 ms */
    uint32_t grow_queued;         /* * backlog: more than this many tasks waiting per worker; default 2 */
    uint32_t grow_busy_percent;   /* * load: above, as many more as bring it back there; default 80 */
    uint32_t shrink_busy_percent; /* * load: below, one less; default 20 */

    uint32_t batch_size;     /* * tasks of one kind that go to a worker together, for tasks with run_batch; default 1 */
    uint64_t batch_delay_ns; /* * how long the first of a batch waits for it to fill; default 1 ms */

    brg_admission admission;
    uint64_t admission_timeout_ns; /* default 0 waits for ever, as BRG_FOREVER does */
    uint32_t queue_max;            /* * tasks waiting; default 65536 */
    size_t queue_bytes_max;        /* * bytes of values waiting; default 256 MiB */
    size_t message_bytes_max;   /* one input or output, its buffers included but for those in regions; default 64 MiB */
    uint32_t queue_high;        /* * tasks waiting from which the queue counts as full; default queue_max */
    uint32_t queue_low;         /* * and to which it must fall to count as drained; default half of queue_high */
    brg_pool_event_fn on_full;  /* it became full: stop the source. On the loop, in turn with */
    brg_pool_event_fn on_drain; /* it drained: go on. Both tell how it is when they run */

    uint64_t run_timeout_ns;   /* * from the start of an attempt; default none */
    uint64_t queue_timeout_ns; /* * from submit to start; default none */
    uint64_t grace_ns;         /* * from asking a running task to end to ending its worker; default 500 ms */
    uint32_t attempts_max;     /* * default 1: no retry */
    uint32_t retry_on;         /* * brg_retry_on flags; default BRG_RETRY_CRASH */
    uint32_t crash_limit;      /* a task that ended this many workers is poison; default 2 */
    brg_backoff retry_backoff;
    uint64_t retry_delay_ns;       /* * default 0: at once */
    uint64_t retry_delay_max_ns;   /* * default 30 s */
    uint32_t retry_jitter_percent; /* * each delay is shorter by up to this part, at random; default 0 */

    uint64_t start_timeout_ns; /* a worker's start-up; default 30 s */
    uint64_t restart_min_ns;   /* wait after a first failed start, doubling; default 10 ms */
    uint64_t restart_max_ns;   /* ... up to this; default 5 s */
    uint32_t breaker_failures; /* failed starts in a row, with no worker online, that open the breaker; default 5 */
    uint64_t breaker_open_ns;  /* how long queued tasks then fail fast; default 10 s */

    const char *prewarm_task;           /* a task of the module that each worker runs before it counts as online */
    brg_value *prewarm_input;           /* its input; taken on success */
    brg_pool_worker_fn on_worker_start; /* a worker is online; `exit` is NULL. On the loop */
    brg_pool_worker_fn on_worker_end;   /* one ended: why. On the loop, after its start */
    uint64_t recycle_tasks;             /* * a worker is replaced after this many tasks; default never */
    uint64_t recycle_age_ns;            /* * ... at this age, between tasks; default never */
    size_t recycle_rss_bytes;           /* * ... above this memory, between tasks (process isolation); default never */
    uint64_t heartbeat_ns; /* * a running task must call brg_context_heartbeat this often, or it counts as timed out;
                            * default: need not */

    uint64_t spin_ns; /* longest spin of an idle worker, adaptive; default 50 us */
    bool no_spin;     /* never spin */
    bool timing;      /* fill queued_ns and run_ns of every result */
    brg_limits limits;
    const char *helper;               /* path of the worker program; default: found beside the library */
    void (*release)(void *user_data); /* exactly once, in destroy; never if create failed */
    void *user_data;                  /* also of the events */

    /* Tells how the pool is every metrics_interval_ns (1 ms at least; both or none), on the loop, also while nothing
     * happens. `metrics` is borrowed. One that is not told before the next is due is left out. */
    brg_pool_metrics_fn on_metrics;
    uint64_t metrics_interval_ns;
    bool no_metrics;                       /* only counts: no times, no names, nothing of the last minute */
    struct brg_trace *trace;               /* brigade/trace.h: records the pool from its first moment */
    const struct brg_watch_options *watch; /* brigade/events.h: watches it from its first moment, until destroy */
} brg_pool_options;

#define BRG_NO_WORKERS UINT32_MAX

#define brg_pool_opts(...) BRG_OPTIONS(brg_pool_options, __VA_ARGS__)

/*
 * Starts a pool; workers come up in the background. With a loop: owner thread. Errors: BRG_INVALID naming the option,
 * BRG_NOT_FOUND (module file), BRG_NO_MEMORY, BRG_SYSTEM, BRG_UNSUPPORTED. On failure init_data stays the caller's.
 */
BRG_API brg_status brg_pool_create(brg_pool **out, const brg_pool_options *options, brg_error *error);

/*
 * Kills what is left (queued tasks settle as cancelled, running ones within grace), delivers every outstanding
 * `done` inside this call, and frees the pool. Accepts NULL. Owner thread; not from one of its tasks or callbacks.
 */
BRG_API void brg_pool_destroy(brg_pool *pool);

/*
 * Changes options while the pool works: those marked * above that are not zero in `changes`; the others stay. Fewer
 * workers: those with the highest indexes end when idle, after what they have. Smaller limits hold for later submits.
 * All or nothing. Errors: BRG_INVALID naming an option that is wrong or cannot be changed, also a workers_max without a
 * worker that has the tags which tasks asked for; BRG_NO_MEMORY. Any thread.
 */
BRG_API brg_status brg_pool_tune(brg_pool *pool, const brg_pool_options *changes, brg_error *error);

/*
 * Gives every worker `config` (may be NULL), those now there before their next task, later ones before their first:
 * the module's `configure` hook runs with it, and brg_context_config returns it. Taken on success. A hook that fails,
 * or takes longer than start_timeout_ns, ends its worker, which is replaced; a replacement that fails as well counts as
 * a failed start. Errors: BRG_UNSUPPORTED for ports or descriptors in it; BRG_TOO_LARGE (message_bytes_max);
 * BRG_NO_MEMORY; BRG_INVALID; BRG_CLOSED; BRG_FORKED. Any thread.
 */
BRG_API brg_status brg_pool_configure(brg_pool *pool, brg_value *config, brg_error *error);

typedef void (*brg_progress_fn)(const brg_value *value, void *user_data);

typedef struct brg_submit_options {
    size_t size;
    brg_done_fn done; /* needs a pool with a loop */
    void *user_data;
    brg_priority priority;
    uint64_t key;              /* for sticky placement and fair queues; brg_key makes one of a string. 0: none */
    uint64_t tags;             /* only a worker with all these bits may run it */
    uint64_t run_timeout_ns;   /* default: the pool's */
    uint64_t queue_timeout_ns; /* default: the pool's */
    uint64_t deadline_ns;      /* bound on everything, from submit; default none */
    uint64_t delay_ns;         /* it may start this long after submit; default at once */
    uint32_t attempts_max;     /* default: the pool's */
    brg_token *token;          /* when it is cancelled, so is the task; many tasks may share it. Referenced */
    brg_group *group;          /* brigade/group.h; of the same pool. Referenced */
    brg_task *const
        *after;         /* it runs once these have settled, all with BRG_OK; else it settles as cancelled. Tasks of */
    size_t after_count; /* the same pool; the array and the handles stay the caller's */
    bool after_any;     /* however they settled */
    brg_progress_fn on_progress; /* for each value of brg_context_progress, in order, before `done`. On the loop */
    uint32_t progress_max; /* values sent and not yet delivered, the task waits beyond; default 16 with on_progress */
    brg_error *error;      /* filled when submit fails; may be NULL */
} brg_submit_options;

/* A key for a string: its hash (FNV-1a, 64 bits), never 0. Any thread. */
BRG_API uint64_t brg_key(const char *text);

#define brg_submit_opts(...) BRG_OPTIONS(brg_submit_options, __VA_ARGS__)

/*
 * Queues the module's task `name` with `input` (may be NULL), which is taken on success. `options` may be NULL. A
 * non-NULL `task` receives a handle to wait on or cancel, to be unref'ed. A name the module lacks settles as
 * BRG_NOT_FOUND. Errors: BRG_FULL; BRG_TIMED_OUT (block); BRG_CLOSED while draining or stopped; BRG_TOO_LARGE;
 * BRG_INVALID (no name, no module, `done` without a loop, tags that no worker has, tasks or a group of another pool);
 * BRG_UNAVAILABLE while the breaker is open; BRG_DEADLOCK (block, from a task of this pool); BRG_NO_MEMORY; BRG_FORKED.
 * Any thread.
 */
BRG_API brg_status brg_pool_submit(brg_pool *pool, const char *name, brg_value *input,
                                   const brg_submit_options *options, brg_task **task);

/* The same for a function and a pointer. BRG_UNSUPPORTED with process isolation. Any thread. */
BRG_API brg_status brg_pool_submit_call(brg_pool *pool, brg_call_fn call, void *argument,
                                        const brg_submit_options *options, brg_task **task);

/* The short form: `done` may be NULL. */
BRG_API brg_status brg_pool_call(brg_pool *pool, brg_call_fn call, void *argument, brg_done_fn done, void *user_data);

/*
 * Submits the module's task `name` once to each worker that the pool has now, for it and its replacements alone: each
 * is a task of its own, with its own `done`. It goes before what waits, whatever the policies. `input` is taken on
 * success. *count (may be NULL) receives how many. Tasks of workers that go away first settle as cancelled. Options
 * that do not apply (key, tags, delay, after) must be zero. They are admitted as one, which may put the queue above
 * queue_max. Errors: as brg_pool_submit, all or nothing; BRG_UNSUPPORTED for ports or descriptors that several would
 * get. Any thread.
 */
BRG_API brg_status brg_pool_submit_all(brg_pool *pool, const char *name, brg_value *input,
                                       const brg_submit_options *options, uint32_t *count);

/* Whether the queue counts as full: from queue_high until queue_low. If it says so, an on_drain follows, also where
 * on_full had no time to be told: a source may stop and wait for it. Any thread. */
BRG_API bool brg_pool_is_full(const brg_pool *pool);

/* ---- shutdown ------------------------------------------------------------------------------------------- */

/*
 * drain: accept nothing new, finish queue and running tasks. stop: also cancel the queue, finish what runs.
 * kill: also ask running tasks to end, and end their workers after grace_ns. Each waits up to `timeout_ns` for the
 * work to end and for its callbacks to be delivered (0: only changes the mode) and returns BRG_TIMED_OUT when the bound
 * passed: call a stronger one then. Called on the owner thread of a loop, they dispatch that loop's completions while
 * they wait. Modes only get stronger. BRG_DEADLOCK from a task of the pool. Any thread.
 */
BRG_API brg_status brg_pool_drain(brg_pool *pool, uint64_t timeout_ns);
BRG_API brg_status brg_pool_stop(brg_pool *pool, uint64_t timeout_ns);
BRG_API brg_status brg_pool_kill(brg_pool *pool, uint64_t timeout_ns);

/* Waits until nothing is queued or running and every callback ran; accepts new work all the while. As drain otherwise.
 * */
BRG_API brg_status brg_pool_wait_idle(brg_pool *pool, uint64_t timeout_ns);

/* Counters since the pool was created, and gauges of this moment. */
typedef struct brg_pool_stats {
    size_t size;
    uint64_t submitted, done, failed, cancelled, timed_out, lost; /* tasks; a settled one is in exactly one */
    uint64_t rejected;   /* submits that failed with BRG_FULL or BRG_TIMED_OUT */
    uint64_t dropped;    /* tasks that made room for others; they count as failed too */
    uint64_t inline_run; /* tasks that ran in their submitter */
    uint64_t retried;    /* attempts beyond the first */
    uint64_t batches;    /* that went to workers */
    uint64_t stolen;     /* tasks that one worker took from another's queue */
    uint64_t workers_recycled, workers_shrunk;
    uint64_t workers_started, workers_crashed, workers_killed, workers_start_failed;
    uint64_t queued, running; /* now */
    uint64_t queue_peak;
    uint32_t workers_online, workers_busy; /* now */
    uint32_t workers_target;               /* as many as scaling wants now */
} brg_pool_stats;

/* Fills `out`, whose size field the caller set. Counts settle soon, not at once, while work runs. Any thread. */
BRG_API brg_status brg_pool_get_stats(const brg_pool *pool, brg_pool_stats *out);

#ifdef __cplusplus
}
#endif

#endif
