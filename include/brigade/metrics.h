/* SPDX-License-Identifier: MIT */
/*
 * What a pool did and how it is: counts, times, workers, tasks by name; as a struct, JSON, a page for Prometheus, or a
 * dump for people.
 *
 *     brg_metrics *metrics = NULL;
 *     brg_pool_metrics(pool, &metrics, &error);
 *     printf("p99 %" PRIu64 " ns\n", brg_metrics_pool(metrics)->run_recent.p99_ns);
 *     brg_metrics_free(metrics);
 *
 * Counts are exact. Times are exact for pools with `timing`, and for all tasks with a run timeout, queue timeout,
 * deadline, delay or heartbeat, whose clocks run anyway. Of the others one in N is timed and counts as N: each task of
 * N in a row is as likely as the next, N is 1 while tasks come slower than one in about 32 us, and at most 1024. So the
 * `count` of times is near the number of tasks, not equal to it, and `max_ns` is of the tasks that were timed. Each
 * percentile is within 1/32 of one of the values.
 *
 * The lists below are all there is: they make the structs, the keys of the JSON, the names for Prometheus and the
 * tables of brg_metrics(3). X(field, type, kind, unit, help).
 */
#ifndef BRIGADE_METRICS_H
#define BRIGADE_METRICS_H

#include <stdio.h>

#include <brigade/json.h>
#include <brigade/pool.h>
#include <brigade/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
#define BRG_METRICS_POOL_MAP(X) \
    X(tasks_submitted, uint64_t, COUNTER, "tasks", "Tasks accepted.") \
    X(tasks_done, uint64_t, COUNTER, "tasks", "Tasks that succeeded.") \
    X(tasks_failed, uint64_t, COUNTER, "tasks", "Tasks that failed, dropped ones included.") \
    X(tasks_cancelled, uint64_t, COUNTER, "tasks", "Tasks that were cancelled.") \
    X(tasks_timed_out, uint64_t, COUNTER, "tasks", "Tasks that ran or waited too long.") \
    X(tasks_lost, uint64_t, COUNTER, "tasks", "Tasks whose thread was abandoned.") \
    X(tasks_retried, uint64_t, COUNTER, "attempts", "Attempts beyond the first.") \
    X(tasks_rejected, uint64_t, COUNTER, "submits", "Submits refused because the queue was full.") \
    X(tasks_dropped, uint64_t, COUNTER, "tasks", "Tasks that made room for others.") \
    X(tasks_inline, uint64_t, COUNTER, "tasks", "Tasks that ran in their submitter.") \
    X(tasks_stolen, uint64_t, COUNTER, "tasks", "Tasks that one worker took from the queue of another.") \
    X(tasks_timed, uint64_t, COUNTER, "tasks", "Tasks whose times were measured.") \
    X(tasks_running, uint64_t, GAUGE, "tasks", "Tasks with a worker now.") \
    X(batches, uint64_t, COUNTER, "batches", "Batches that went to workers.") \
    X(sampling, uint64_t, GAUGE, "tasks", "One task in so many is timed now; 1: all of them.") \
    X(queue_length, uint64_t, GAUGE, "tasks", "Tasks waiting now.") \
    X(queue_peak, uint64_t, GAUGE, "tasks", "Most tasks that ever waited.") \
    X(queue_bytes, uint64_t, GAUGE, "bytes", "Bytes of values waiting now.") \
    X(callbacks_pending, uint64_t, GAUGE, "callbacks", "Callbacks of tasks that have not run yet.") \
    X(throughput, double, GAUGE, "tasks/s", "Tasks settled per second, in the last one or two seconds.") \
    X(throughput_recent, double, GAUGE, "tasks/s", "Tasks settled per second, in the last minute.") \
    X(throughput_peak, double, GAUGE, "tasks/s", "Most tasks settled in one second.") \
    X(utilization, double, GAUGE, "ratio", "Share of the time of workers that were busy, in the last minute.") \
    X(busy_ns, uint64_t, COUNTER, "ns", "Time of workers with a task, all together.") \
    X(available_ns, uint64_t, COUNTER, "ns", "Time of workers online, all together.") \
    X(workers_online, uint64_t, GAUGE, "workers", "Workers that are there.") \
    X(workers_busy, uint64_t, GAUGE, "workers", "Workers with a task.") \
    X(workers_target, uint64_t, GAUGE, "workers", "Workers that scaling wants.") \
    X(workers_started, uint64_t, COUNTER, "workers", "Workers started.") \
    X(workers_restarted, uint64_t, COUNTER, "workers", "Workers started in the place of one that ended.") \
    X(workers_crashed, uint64_t, COUNTER, "workers", "Workers ended by a signal that nobody asked for.") \
    X(workers_killed, uint64_t, COUNTER, "workers", "Workers ended because their task did not listen.") \
    X(workers_start_failed, uint64_t, COUNTER, "workers", "Workers that did not start.") \
    X(workers_recycled, uint64_t, COUNTER, "workers", "Workers replaced after their tasks, age or memory.") \
    X(workers_shrunk, uint64_t, COUNTER, "workers", "Workers ended because fewer were wanted.") \
    X(uptime_ns, uint64_t, GAUGE, "ns", "Time since the pool was created.") \
    X(recent_ns, uint64_t, GAUGE, "ns", "Time that the recent times are of: the last minute, or less.")

#define BRG_METRICS_WORKER_MAP(X) \
    X(tasks, uint64_t, COUNTER, "tasks", "Attempts at tasks it has started.") \
    X(messages, uint64_t, COUNTER, "messages", "Messages it has handled or received.") \
    X(errors, uint64_t, COUNTER, "tasks", "Tasks that did not succeed on it, attempts that were tried again included.") \
    X(uptime_ns, uint64_t, GAUGE, "ns", "Time since it is online.") \
    X(inactive_ns, uint64_t, GAUGE, "ns", "Time since it did anything; 0: it is at work.") \
    X(running_ns, uint64_t, GAUGE, "ns", "Time since it began what it runs; 0: nothing, or not known.") \
    X(busy_ns, uint64_t, COUNTER, "ns", "Time at work.") \
    X(idle_ns, uint64_t, COUNTER, "ns", "Time waiting for work.") \
    X(utilization, double, GAUGE, "ratio", "busy / (busy + idle).") \
    X(cpu_ns, uint64_t, COUNTER, "ns", "CPU time of its thread or process.") \
    X(rss_bytes, uint64_t, GAUGE, "bytes", "Resident memory of its process; 0 for threads.")

#define BRG_METRICS_TASK_MAP(X) \
    X(done, uint64_t, COUNTER, "tasks", "Tasks of this name that succeeded.") \
    X(failed, uint64_t, COUNTER, "tasks", "Tasks of this name that failed.") \
    X(cancelled, uint64_t, COUNTER, "tasks", "Tasks of this name that were cancelled.") \
    X(timed_out, uint64_t, COUNTER, "tasks", "Tasks of this name that ran or waited too long.") \
    X(lost, uint64_t, COUNTER, "tasks", "Tasks of this name whose thread was abandoned.")

#define BRG_METRICS_TIMES_MAP(X) \
    X(count, uint64_t, COUNTER, "tasks", "Tasks these times stand for.") \
    X(sum_ns, uint64_t, COUNTER, "ns", "All of them together.") \
    X(mean_ns, uint64_t, GAUGE, "ns", "The mean.") \
    X(p50_ns, uint64_t, GAUGE, "ns", "The median.") \
    X(p90_ns, uint64_t, GAUGE, "ns", "What 90 % are not above.") \
    X(p99_ns, uint64_t, GAUGE, "ns", "What 99 % are not above.") \
    X(p999_ns, uint64_t, GAUGE, "ns", "What 99.9 % are not above.") \
    X(max_ns, uint64_t, GAUGE, "ns", "The longest.")
/* clang-format on */

#define BRG_METRICS_FIELD(field, type, kind, unit, help) type field;

/* Times of tasks that ran and settled; zeros where there are none. */
typedef struct brg_metrics_times {
    BRG_METRICS_TIMES_MAP(BRG_METRICS_FIELD)
} brg_metrics_times;

/* Later versions add fields at the end of these three. */
typedef struct brg_metrics_of_pool {
    BRG_METRICS_POOL_MAP(BRG_METRICS_FIELD)
    const char *name;            /* of the pool */
    brg_isolation isolation;     /* of its workers */
    brg_metrics_times wait, run; /* submit to the start of the last attempt; and that attempt. Since the */
    brg_metrics_times wait_recent, run_recent; /* pool was created; and in the last minute: see recent_ns */
} brg_metrics_of_pool;

typedef enum brg_metrics_state {
    BRG_METRICS_STARTING = 0, /* not online yet */
    BRG_METRICS_IDLE,
    BRG_METRICS_BUSY,
    BRG_METRICS_PARKED, /* kept from work: there are more than wanted */
    BRG_METRICS_ENDING  /* it gets nothing any more */
} brg_metrics_state;

/* A worker that is there. All but its state are since it came online. */
typedef struct brg_metrics_of_worker {
    BRG_METRICS_WORKER_MAP(BRG_METRICS_FIELD)
    uint64_t id;
    uint32_t index;  /* its place in the pool */
    uint32_t starts; /* workers this place has had, it included */
    brg_metrics_state state;
    int64_t process_id;               /* 0 for threads */
    char name[BRG_TASK_NAME_MAX + 1]; /* as ps and top show it, but for their bound */
    char task[BRG_TASK_NAME_MAX + 1]; /* what it runs; "" nothing; BRG_METRICS_FUNCTIONS or _FLOWS */
} brg_metrics_of_worker;

/* The tasks of one name. */
typedef struct brg_metrics_of_task {
    BRG_METRICS_TASK_MAP(BRG_METRICS_FIELD)
    char name[BRG_TASK_NAME_MAX + 1];
    brg_metrics_times run;
} brg_metrics_of_task;

/* The first so many names of a pool are told apart; those that come later count together, with those that are no UTF-8
 * or one of the two below. */
#define BRG_METRICS_NAMES_MAX 32
#define BRG_METRICS_FUNCTIONS "(function)" /* the name of all tasks that are functions */
#define BRG_METRICS_OTHERS "(other)"       /* and of those beyond the bound */
/* What a worker runs of brg_parallel_for and its kin, which is in no count of tasks. */
#define BRG_METRICS_FLOWS "(flow)"

/* A reading: it does not change any more. brg_metrics is declared in <brigade/pool.h>. */

/*
 * Reads everything of a pool at one moment; workers are looked at one after the other. It costs about 20 us and a few
 * more per worker (a file of /proc for a process), and holds up the pool for about one. Free it with brg_metrics_free.
 * With `no_metrics` counts and workers are there, times, names and what is said of the last minute are not. Errors:
 * BRG_INVALID; BRG_NO_MEMORY; BRG_FORKED. Any thread.
 */
BRG_API brg_status brg_pool_metrics(const brg_pool *pool, brg_metrics **out, brg_error *error);
BRG_API void brg_metrics_free(brg_metrics *metrics); /* accepts NULL. Any thread */

/* Borrowed from the reading, all three; NULL past the last index. Workers come by their place in the pool, names in
 * the order in which the pool met them. Any thread. */
BRG_API const brg_metrics_of_pool *brg_metrics_pool(const brg_metrics *metrics);
BRG_API const brg_metrics_of_worker *brg_metrics_worker(const brg_metrics *metrics, size_t index);
BRG_API const brg_metrics_of_task *brg_metrics_task(const brg_metrics *metrics, size_t index);

/* "starting", "idle", ... Static. Any thread. */
BRG_API const char *brg_metrics_state_name(brg_metrics_state state);

/*
 * As JSON: {"pool": {...}, "workers": [...], "tasks": [...]} with the names of the fields as keys; times are objects.
 * Flags: BRG_JSON_INDENT. Free *text with brg_free; `size_bytes` may be NULL. Errors: BRG_INVALID; BRG_NO_MEMORY. Any
 * thread.
 */
BRG_API brg_status brg_metrics_json(const brg_metrics *metrics, brg_json_flags flags, char **text, size_t *size_bytes,
                                    brg_error *error);

/*
 * As a page in the text format of Prometheus (0.0.4; send it as BRG_METRICS_CONTENT_TYPE), of one pool or several, told
 * apart by the label `pool`: give them different names. Fields become brigade_pool_..., brigade_worker_... and
 * brigade_task_..., counters end in _total, _ns becomes _seconds, utilization utilization_ratio. Times are
 * histograms, whose bounds are powers of 4 of nanoseconds, and summaries with the percentiles of the last minute.
 * Free *text with brg_free; `size_bytes` may be NULL. Errors: BRG_INVALID, also for two pools of one name;
 * BRG_NO_MEMORY. Any thread.
 */
BRG_API brg_status brg_metrics_prometheus(const brg_metrics *const *metrics, size_t count, char **text,
                                          size_t *size_bytes, brg_error *error);
#define BRG_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/*
 * Writes for people what the pool is and does: policies and limits, counts and times, what waits, each worker and what
 * it runs. The text is not stable. Errors: BRG_INVALID; BRG_NO_MEMORY; BRG_FORKED; BRG_SYSTEM when `to` took not all.
 * Any thread.
 */
BRG_API brg_status brg_pool_dump(const brg_pool *pool, FILE *to);

#ifdef __cplusplus
}
#endif

#endif
