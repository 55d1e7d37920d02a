/* SPDX-License-Identifier: MIT */
/* A pool for people who debug: what it is, what it did, what waits, who does what. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "os/clock.h"
#include "pool/metrics_read.h"

/* The first of those that wait for something. Who is next in the queue only its policy knows, which is not asked: a pop
 * that is undone may change whose turn it is. */
typedef struct dump_first {
    char name[BRG_TASK_NAME_MAX + 1]; /* "": none waits */
    uint64_t left_ns;
} dump_first;

/* What is in no reading. */
typedef struct dump_state {
    brg_pool_options options; /* its strings and policies stay; numbers may be changed by brg_pool_tune */
    brg__pool_mode mode;
    uint64_t bytes, ready, shared, assigned, breaker_ns;
    uint32_t lanes, parked;
    dump_first delayed, blocked, expires;
    brg_error start_error;
} dump_state;

static void dump_first_locked(dump_first *first, const brg_task *task, uint64_t until_ns, uint64_t now)
{
    brg__metrics_text(first->name, sizeof(first->name), brg__task_shown_name(task));
    first->left_ns = until_ns > now ? until_ns - now : 0;
}

static void dump_firsts_locked(brg_pool *pool, dump_state *state, uint64_t now)
{
    brg__heap_item *item = brg__heap_peek(&pool->delayed);
    if (item != NULL)
        dump_first_locked(&state->delayed, brg__task_of(brg__heap_to_item(item)), item->key, now);
    item = brg__heap_peek(&pool->expiries);
    if (item != NULL)
        dump_first_locked(&state->expires, brg__container_of(item, brg_task, expiry), item->key, now);
    if (!brg__list_is_empty(&pool->blocked))
        dump_first_locked(&state->blocked, brg__task_of(brg__node_item(pool->blocked.head.next)), 0, now);
}

static void dump_read(brg_pool *pool, dump_state *state)
{
    brg__pool_lock(pool);
    uint64_t now = brg__now();
    *state = (dump_state){.options = pool->options,
                          .mode = pool->mode,
                          .bytes = pool->waiting_bytes,
                          .ready = pool->schedule.xready,
                          .shared = pool->schedule.xshared,
                          .assigned = pool->schedule.xassigned,
                          .lanes = pool->schedule.xlane_count,
                          .parked = pool->parked,
                          .breaker_ns = pool->breaker_until > now ? pool->breaker_until - now : 0,
                          .start_error = pool->start_error};
    dump_firsts_locked(pool, state, now);
    brg__pool_unlock(pool);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* One of several, so that a line may have as many. */
typedef struct dump_text {
    char text[32];
} dump_text;

static const char *dump_time(dump_text *to, uint64_t ns)
{
    if (ns == BRG_FOREVER)
        (void)snprintf(to->text, sizeof(to->text), "none");
    else if (ns < 10000)
        (void)snprintf(to->text, sizeof(to->text), "%" PRIu64 " ns", ns);
    else if (ns < BRG_MILLISECONDS(10))
        (void)snprintf(to->text, sizeof(to->text), "%.1f us", (double)ns / 1e3);
    else if (ns < BRG_SECONDS(10))
        (void)snprintf(to->text, sizeof(to->text), "%.1f ms", (double)ns / 1e6);
    else
        (void)snprintf(to->text, sizeof(to->text), "%.1f s", (double)ns / 1e9);
    return to->text;
}

static const char *dump_size(dump_text *to, uint64_t bytes)
{
    if (bytes < 10240)
        (void)snprintf(to->text, sizeof(to->text), "%" PRIu64 " B", bytes);
    else if (bytes < UINT64_C(10) << 20)
        (void)snprintf(to->text, sizeof(to->text), "%" PRIu64 " KiB", bytes >> 10);
    else
        (void)snprintf(to->text, sizeof(to->text), "%" PRIu64 " MiB", bytes >> 20);
    return to->text;
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static const char *dump_policy(const char *name) { return name != NULL ? name : "own"; }

static void dump_options(FILE *to, const dump_state *state, const brg_metrics_of_pool *pool)
{
    static const char *const modes[] = {"open", "draining", "stopped", "killed", "closed"};
    static const char *const admissions[] = {"reject", "block", "caller runs", "drop oldest", "drop newest"};
    const brg_pool_options *options = &state->options;
    dump_text text[4];
    fprintf(to, "pool \"%s\": %s, %s workers, module %s, up for %s\n", pool->name, modes[state->mode],
            options->isolation == BRG_ISOLATION_PROCESS ? "process" : "thread",
            options->module != NULL          ? options->module
            : options->linked_module != NULL ? "linked"
                                             : "none",
            dump_time(&text[0], pool->uptime_ns));
    fprintf(to, "  policies: queue %s, placement %s, scaling %s from %u to %u, admission %s\n",
            dump_policy(options->queue->name), dump_policy(options->placement->name),
            dump_policy(options->scaling->name), options->workers_min == BRG_NO_WORKERS ? 0 : options->workers_min,
            options->workers_max, admissions[options->admission]);
    fprintf(to, "  limits: queue %u tasks, %s; run %s, queue %s, grace %s; %u attempts, batches of %u\n",
            options->queue_max, dump_size(&text[0], options->queue_bytes_max),
            dump_time(&text[1], options->run_timeout_ns), dump_time(&text[2], options->queue_timeout_ns),
            dump_time(&text[3], options->grace_ns), options->attempts_max, options->batch_size);
}

static void dump_tasks(FILE *to, const brg_metrics_of_pool *pool)
{
    fprintf(to,
            "  tasks: %" PRIu64 " submitted; %" PRIu64 " done, %" PRIu64 " failed, %" PRIu64 " cancelled, %" PRIu64
            " timed out, %" PRIu64 " lost; %" PRIu64 " run, %" PRIu64 " wait\n",
            pool->tasks_submitted, pool->tasks_done, pool->tasks_failed, pool->tasks_cancelled, pool->tasks_timed_out,
            pool->tasks_lost, pool->tasks_running, pool->queue_length);
    fprintf(to,
            "         %" PRIu64 " retried, %" PRIu64 " rejected, %" PRIu64 " dropped, %" PRIu64 " inline, %" PRIu64
            " stolen, %" PRIu64 " batches, %" PRIu64 " callbacks pending\n",
            pool->tasks_retried, pool->tasks_rejected, pool->tasks_dropped, pool->tasks_inline, pool->tasks_stolen,
            pool->batches, pool->callbacks_pending);
    fprintf(to, "  settled a second: %.0f now, %.0f in the last minute, %.0f at most; %.0f %% busy\n", pool->throughput,
            pool->throughput_recent, pool->throughput_peak, pool->utilization * 100);
}

static void dump_times(FILE *to, const char *what, const brg_metrics_times *times)
{
    dump_text text[5];
    if (times->count == 0)
        return;
    fprintf(to, "  %s: p50 %s, p90 %s, p99 %s, p99.9 %s, max %s\n", what, dump_time(&text[0], times->p50_ns),
            dump_time(&text[1], times->p90_ns), dump_time(&text[2], times->p99_ns), dump_time(&text[3], times->p999_ns),
            dump_time(&text[4], times->max_ns));
}

static void dump_queue(FILE *to, const dump_state *state, const brg_metrics_of_pool *pool)
{
    dump_text text;
    fprintf(to,
            "  queue: %" PRIu64 " wait, %s; %" PRIu64 " ready: %" PRIu64 " for all, %" PRIu64
            " given to workers; at most %" PRIu64 " ever; %u sets of tags\n",
            pool->queue_length, dump_size(&text, state->bytes), state->ready, state->shared, state->assigned,
            pool->queue_peak, state->lanes);
    if (state->delayed.name[0] != '\0')
        fprintf(to, "         some wait for their time, the next, %s, for %s\n", state->delayed.name,
                dump_time(&text, state->delayed.left_ns));
    if (state->blocked.name[0] != '\0')
        fprintf(to, "         some wait for others to settle, first %s\n", state->blocked.name);
    if (state->expires.name[0] != '\0')
        fprintf(to, "         some wait no longer than so long, the next, %s, for %s\n", state->expires.name,
                dump_time(&text, state->expires.left_ns));
    if (state->breaker_ns != 0)
        fprintf(to, "  workers do not start, the breaker is open for %s: %s\n", dump_time(&text, state->breaker_ns),
                state->start_error.message);
}

static void dump_workers(FILE *to, const dump_state *state, const brg_metrics *metrics)
{
    const brg_metrics_of_pool *pool = &metrics->pool;
    fprintf(to,
            "  workers: %" PRIu64 " online, %" PRIu64 " busy, %u parked, %" PRIu64 " wanted; %" PRIu64
            " started, %" PRIu64 " restarted, %" PRIu64 " crashed, %" PRIu64 " killed, %" PRIu64 " recycled, %" PRIu64
            " shrunk, %" PRIu64 " did not start\n",
            pool->workers_online, pool->workers_busy, state->parked, pool->workers_target, pool->workers_started,
            pool->workers_restarted, pool->workers_crashed, pool->workers_killed, pool->workers_recycled,
            pool->workers_shrunk, pool->workers_start_failed);
    for (size_t i = 0; i < metrics->worker_count; i++) {
        const brg_metrics_of_worker *worker = &metrics->workers[i];
        dump_text text[3];
        fprintf(to, "    %u %s id %" PRIu64, worker->index, worker->name, worker->id);
        if (worker->process_id != 0)
            fprintf(to, " pid %" PRId64 " %s", worker->process_id, dump_size(&text[0], worker->rss_bytes));
        fprintf(to, ": %s", brg_metrics_state_name(worker->state));
        if (worker->task[0] != '\0')
            fprintf(to, " with %s for %s", worker->task, dump_time(&text[0], worker->running_ns));
        if (worker->inactive_ns != 0)
            fprintf(to, " for %s", dump_time(&text[0], worker->inactive_ns));
        fprintf(to, ", up %s, cpu %s, %.0f %% busy, %" PRIu64 " tasks, %" PRIu64 " errors\n",
                dump_time(&text[1], worker->uptime_ns), dump_time(&text[2], worker->cpu_ns), worker->utilization * 100,
                worker->tasks, worker->errors);
    }
}

static void dump_names(FILE *to, const brg_metrics *metrics)
{
    for (size_t i = 0; i < metrics->task_count; i++) {
        const brg_metrics_of_task *task = &metrics->tasks[i].seen;
        dump_text text[2];
        fprintf(to,
                "  task %s: %" PRIu64 " done, %" PRIu64 " failed, %" PRIu64 " cancelled, %" PRIu64
                " timed out, %" PRIu64 " lost; p50 %s, p99 %s\n",
                task->name, task->done, task->failed, task->cancelled, task->timed_out, task->lost,
                dump_time(&text[0], task->run.p50_ns), dump_time(&text[1], task->run.p99_ns));
    }
}

brg_status brg_pool_dump(const brg_pool *pool, FILE *to)
{
    brg_metrics *metrics = NULL;
    dump_state state;
    if (to == NULL)
        return BRG_INVALID;
    brg_status status = brg_pool_metrics(pool, &metrics, NULL);
    if (status != BRG_OK)
        return status;
    dump_read((brg_pool *)pool, &state); /* the lock is not part of what const promises */
    dump_options(to, &state, &metrics->pool);
    dump_tasks(to, &metrics->pool);
    dump_times(to, "wait, last minute", &metrics->pool.wait_recent);
    dump_times(to, "run, last minute", &metrics->pool.run_recent);
    dump_queue(to, &state, &metrics->pool);
    dump_workers(to, &state, metrics);
    dump_names(to, metrics);
    brg_metrics_free(metrics);
    return fflush(to) == 0 && !ferror(to) ? BRG_OK : BRG_SYSTEM;
}
