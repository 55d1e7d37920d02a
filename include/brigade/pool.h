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
#include <brigade/value.h>
#include <brigade/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brg_pool brg_pool;
typedef struct brg_task brg_task;

typedef enum brg_task_state {
    BRG_TASK_QUEUED = 0,
    BRG_TASK_RUNNING,
    BRG_TASK_DONE,      /* BRG_OK */
    BRG_TASK_FAILED,    /* the task's own error, a crash, a poison task, no worker to be had */
    BRG_TASK_CANCELLED, /* BRG_CANCELLED */
    BRG_TASK_TIMED_OUT, /* BRG_TIMED_OUT */
    BRG_TASK_LOST       /* its thread worker was abandoned: BRG_LOST */
} brg_task_state;

/* "queued", "running", ... Static. Any thread. */
BRG_API const char *brg_task_state_name(brg_task_state state);

/* How a task settled. Borrowed inside `done`; from brg_task_result, while the task handle lives. */
typedef struct brg_result {
    brg_status status;
    brg_task_state state;
    brg_value *output;      /* what the task returned, or NULL; borrowed: brg_value_ref to keep it */
    brg_value *detail;      /* what brg_context_fail_with sent along, or NULL; borrowed */
    const brg_error *error; /* NULL when status is BRG_OK */
    uint32_t attempts;      /* how often it started */
    uint64_t worker_id;     /* of the last attempt; 0 if it never ran */
    uint64_t queued_ns;     /* submit to start of the last attempt; 0 unless timing is on or a timeout is set */
    uint64_t run_ns;        /* the last attempt, likewise */
} brg_result;

typedef void (*brg_done_fn)(const brg_result *result, void *user_data);

/* A function of this program as a task (thread isolation). Errors by brg_context_fail or any status. */
typedef brg_status (*brg_call_fn)(brg_context *context, void *argument);

typedef enum brg_admission {
    BRG_ADMISSION_REJECT = 0, /* a full queue: BRG_FULL at once */
    BRG_ADMISSION_BLOCK       /* wait for room up to admission_timeout_ns, then BRG_TIMED_OUT */
} brg_admission;

/* Which ends of an attempt are worth another one; combine with |. */
typedef enum brg_retry_on {
    BRG_RETRY_CRASH = 1,   /* the worker crashed, exited, broke the protocol or was lost */
    BRG_RETRY_TIMEOUT = 2, /* run_timeout passed */
    BRG_RETRY_FAILED = 4   /* the task returned an error */
} brg_retry_on;

/*
 * Policies: NULL is the default. Each is a table of functions behind an opaque type; later releases add more
 * of each, and a public way to write one's own.
 */
typedef struct brg_queue_policy brg_queue_policy;
typedef struct brg_placement_policy brg_placement_policy;
typedef struct brg_scaling_policy brg_scaling_policy;
BRG_API extern const brg_queue_policy *const brg_queue_fifo;         /* which task is next: the oldest */
BRG_API extern const brg_placement_policy *const brg_placement_pull; /* which worker: the one that is idle takes it */
BRG_API extern const brg_scaling_policy *const brg_scaling_fixed;    /* how many workers: workers_max, always */

typedef struct brg_pool_options {
    size_t size;
    brg_loop *loop; /* where `done` runs; NULL: none may be given, use handles */
    brg_isolation isolation;
    const char *module;              /* path of a shared object; or */
    const brg_module *linked_module; /* one of this program (thread isolation); or neither: function tasks only */
    const char *name;                /* names the workers; default "pool" */
    uint32_t workers_max;            /* default: CPUs this process may use (affinity, cgroup quota), at least 1 */
    brg_value *init_data;            /* every worker gets it; taken on success */

    const brg_queue_policy *queue;
    const brg_placement_policy *placement;
    const brg_scaling_policy *scaling;

    brg_admission admission;
    uint64_t admission_timeout_ns; /* default 0 waits for ever, as BRG_FOREVER does */
    uint32_t queue_max;            /* tasks waiting; default 65536 */
    size_t queue_bytes_max;        /* bytes of values waiting; default 256 MiB */
    size_t message_bytes_max; /* one input or output, its buffers included but for those in regions; default 64 MiB */

    uint64_t run_timeout_ns;   /* from the start of an attempt; default none */
    uint64_t queue_timeout_ns; /* from submit to start; default none */
    uint64_t grace_ns;         /* from asking a running task to end to ending its worker; default 500 ms */
    uint32_t attempts_max;     /* default 1: no retry */
    uint32_t retry_on;         /* brg_retry_on flags; default BRG_RETRY_CRASH */
    uint32_t crash_limit;      /* a task that ended this many workers is poison; default 2 */

    uint64_t start_timeout_ns; /* a worker's start-up; default 30 s */
    uint64_t restart_min_ns;   /* wait after a first failed start, doubling; default 10 ms */
    uint64_t restart_max_ns;   /* ... up to this; default 5 s */
    uint32_t breaker_failures; /* failed starts in a row that open the breaker; default 5 */
    uint64_t breaker_open_ns;  /* how long queued tasks then fail fast; default 10 s */

    uint64_t spin_ns; /* longest spin of an idle worker, adaptive; default 50 us */
    bool no_spin;     /* never spin */
    bool timing;      /* fill queued_ns and run_ns of every result */
    brg_limits limits;
    const char *helper;               /* path of the worker program; default: found beside the library */
    void (*release)(void *user_data); /* exactly once, in destroy; never if create failed */
    void *user_data;
} brg_pool_options;

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

typedef struct brg_submit_options {
    size_t size;
    brg_done_fn done; /* needs a pool with a loop */
    void *user_data;
    uint64_t run_timeout_ns;   /* default: the pool's */
    uint64_t queue_timeout_ns; /* default: the pool's */
    uint64_t deadline_ns;      /* bound on everything, from submit; default none */
    uint32_t attempts_max;     /* default: the pool's */
    brg_error *error;          /* filled when submit fails; may be NULL */
} brg_submit_options;

#define brg_submit_opts(...) BRG_OPTIONS(brg_submit_options, __VA_ARGS__)

/*
 * Queues the module's task `name` with `input` (may be NULL), which is taken on success. `options` may be NULL. A
 * non-NULL `task` receives a handle to wait on or cancel, to be unref'ed. A name the module lacks settles as
 * BRG_NOT_FOUND. Errors: BRG_FULL; BRG_TIMED_OUT (block); BRG_CLOSED while draining or stopped; BRG_TOO_LARGE;
 * BRG_INVALID (no name, no module, `done` without a loop); BRG_UNAVAILABLE while the breaker is open; BRG_DEADLOCK
 * (block, from a task of this pool); BRG_NO_MEMORY; BRG_FORKED. Any thread.
 */
BRG_API brg_status brg_pool_submit(brg_pool *pool, const char *name, brg_value *input,
                                   const brg_submit_options *options, brg_task **task);

/* The same for a function and a pointer. BRG_UNSUPPORTED with process isolation. Any thread. */
BRG_API brg_status brg_pool_submit_call(brg_pool *pool, brg_call_fn call, void *argument,
                                        const brg_submit_options *options, brg_task **task);

/* The short form: `done` may be NULL. */
BRG_API brg_status brg_pool_call(brg_pool *pool, brg_call_fn call, void *argument, brg_done_fn done, void *user_data);

/* ---- one task ------------------------------------------------------------------------------------------- */

/*
 * Waits until the task settled: BRG_OK then, whatever its result; read that with brg_task_result. Errors:
 * BRG_TIMED_OUT; BRG_DEADLOCK on a worker of the same pool. `done`, if given, still runs on the loop. Any thread.
 */
BRG_API brg_status brg_task_wait(brg_task *task, uint64_t timeout_ns);

/* The result of a settled task, valid while the handle lives; NULL before it settled. Any thread. */
BRG_API const brg_result *brg_task_result(const brg_task *task);

/*
 * Asks the task to end: a queued one leaves the queue and settles as cancelled; a running one sees its flag, and
 * its worker is ended after grace_ns. BRG_OK: it will settle as cancelled, unless it finishes first.
 * BRG_STATE: it has settled already. Any thread.
 */
BRG_API brg_status brg_task_cancel(brg_task *task);

BRG_API brg_task_state brg_task_get_state(const brg_task *task);
BRG_API uint64_t brg_task_id(const brg_task *task);
BRG_API brg_task *brg_task_ref(brg_task *task);
BRG_API void brg_task_unref(brg_task *task); /* accepts NULL */

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
    uint64_t rejected; /* submits that failed with BRG_FULL or BRG_TIMED_OUT */
    uint64_t retried;  /* attempts beyond the first */
    uint64_t workers_started, workers_crashed, workers_killed, workers_start_failed;
    uint64_t queued, running; /* now */
    uint64_t queue_peak;
    uint32_t workers_online, workers_busy; /* now */
} brg_pool_stats;

/* Fills `out`, whose size field the caller set. Counts settle soon, not at once, while work runs. Any thread. */
BRG_API brg_status brg_pool_get_stats(const brg_pool *pool, brg_pool_stats *out);

#ifdef __cplusplus
}
#endif

#endif
