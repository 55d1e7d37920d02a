/* SPDX-License-Identifier: MIT */
/*
 * Readings. The counts are taken under the lock, all at one moment; so are the workers, by reference. Histograms, which
 * only grow and whose memory lasts as long as the pool, are added up after that, and so is what /proc says.
 */
#include "pool/metrics_read.h"

#include <string.h>

#include "message/utf8.h"
#include "os/clock.h"
#include "os/memory.h"

/* ---- under the lock ---------------------------------------------------------------------------------------------- */

/* What a reading needs on its way. */
typedef struct read_work {
    brg_pool *pool;
    brg_metrics *out;
    uint64_t now;
    uint32_t slots; /* room for so many */
    brg_worker **workers;
    const brg__meter **meters; /* of the slots, then the pool's */
    uint32_t meter_count;
    uint64_t ended[BRG__END_COUNT]; /* tasks, by state */
    brg__histogram *named[BRG__NAME_COUNT];
    uint32_t names;
    brg__recent recent;
    brg__histogram scratch[BRG__TIME_COUNT];
} read_work;

static void read_counts_locked(read_work *work)
{
    const brg_pool *pool = work->pool;
    brg_metrics_of_pool *to = &work->out->pool;
    brg_pool_stats stats;
    brg__pool_stats_locked(pool, &stats);
    to->tasks_submitted = stats.submitted;
    to->tasks_done = work->ended[0] = stats.done;
    to->tasks_failed = work->ended[BRG_TASK_FAILED - BRG_TASK_DONE] = stats.failed;
    to->tasks_cancelled = work->ended[BRG_TASK_CANCELLED - BRG_TASK_DONE] = stats.cancelled;
    to->tasks_timed_out = work->ended[BRG_TASK_TIMED_OUT - BRG_TASK_DONE] = stats.timed_out;
    to->tasks_lost = work->ended[BRG_TASK_LOST - BRG_TASK_DONE] = stats.lost;
    to->tasks_retried = stats.retried;
    to->tasks_rejected = stats.rejected;
    to->tasks_dropped = stats.dropped;
    to->tasks_inline = stats.inline_run;
    to->tasks_stolen = stats.stolen;
    to->tasks_running = stats.running;
    to->batches = stats.batches;
    to->queue_length = stats.queued;
    to->queue_peak = stats.queue_peak;
    to->queue_bytes = pool->waiting_bytes;
    uint64_t delivered = brg_load_acquire(&pool->xdelivered);
    to->callbacks_pending = pool->with_done - brg__min(delivered, pool->with_done);
    to->workers_online = stats.workers_online;
    to->workers_busy = stats.workers_busy;
    to->workers_target = stats.workers_target;
    to->workers_started = stats.workers_started;
    to->workers_crashed = stats.workers_crashed;
    to->workers_killed = stats.workers_killed;
    to->workers_start_failed = stats.workers_start_failed;
    to->workers_recycled = stats.workers_recycled;
    to->workers_shrunk = stats.workers_shrunk;
    to->uptime_ns = work->now > pool->created_ns ? work->now - pool->created_ns : 0;
}

static double read_rate(uint64_t count, uint64_t span_ns)
{
    return span_ns == 0 ? 0 : (double)count * 1e9 / (double)span_ns;
}

/* What is said of the last seconds and the last minute. */
static void read_recent_locked(read_work *work)
{
    const brg__recent *recent = &work->pool->metrics->recent;
    brg_metrics_of_pool *to = &work->out->pool;
    brg__totals totals = brg__metrics_totals_locked(work->pool, work->now), gained;
    (void)brg__recent_since(recent, work->now, 0, &totals, &gained);
    to->throughput_peak = (double)brg__max(recent->settled_in_second, gained.settled);
    uint64_t span = brg__recent_since(recent, work->now, BRG__RECENT_SECOND_NS, &totals, &gained);
    to->throughput = read_rate(gained.settled, span);
    span = brg__recent_since(recent, work->now, BRG__RECENT_NS, &totals, &gained);
    to->throughput_recent = read_rate(gained.settled, span);
    to->utilization = gained.worker_ns == 0 ? 0 : (double)gained.busy_ns / (double)gained.worker_ns;
    work->recent = *recent;
}

void brg__metrics_text(char *to, size_t size, const char *from)
{
    size_t left = strnlen(from, size - 1), at = 0;
    while (left != 0) {
        size_t step = brg__utf8_step(from, left), taken = step != 0 ? step : 1;
        if (step != 0)
            memcpy(&to[at], from, step);
        else
            to[at] = '?';
        at += taken;
        from += taken;
        left -= taken;
    }
    to[at] = '\0';
}

static void read_names_locked(read_work *work)
{
    const brg__metrics *metrics = work->pool->metrics;
    for (uint32_t i = 0; i < BRG__NAME_COUNT; i++) {
        const brg__metrics_name *from = &metrics->name[i];
        if (i != BRG__NAME_OTHERS && i >= metrics->names)
            continue;
        work->named[work->names] = from->xrun;
        work->out->tasks[work->names].index = (uint8_t)i;
        brg_metrics_of_task *to = &work->out->tasks[work->names++].seen;
        brg__metrics_text(to->name, sizeof(to->name), from->name);
    }
}

/* What runs in it. Names are written only under the lock, and tasks are freed only with the pool. */
const brg_task *brg__slot_runs_locked(brg__slot *slot)
{
    if (brg_load_acquire(&slot->xticket) == 0)
        return NULL;
    return brg__pool_has_processes(slot->pool) ? brg__slot_head_locked(slot) : brg_load_relaxed(&slot->xrunning);
}

const char *brg__task_shown_name(const brg_task *task)
{
    if (task == NULL)
        return "";
    if (brg__task_is_strand(task))
        return BRG_METRICS_FLOWS;
    if (task->call != NULL)
        return BRG_METRICS_FUNCTIONS;
    return task->name[0] > 0 && task->name[0] < ' ' ? "(setting up)" : task->name; /* the library's own */
}

static brg_metrics_state read_state(const brg__slot *slot)
{
    if (slot->ending || slot->retiring)
        return BRG_METRICS_ENDING;
    if (!slot->online)
        return BRG_METRICS_STARTING;
    if (brg__slot_is_busy_locked(slot))
        return BRG_METRICS_BUSY;
    return slot->xparked != 0 ? BRG_METRICS_PARKED : BRG_METRICS_IDLE;
}

/* Of a thread within a few microseconds: a hand is read out once. */
static uint64_t read_running_ns(brg__slot *slot, const brg_task *task, uint64_t now)
{
    if (task == NULL)
        return 0;
    uint64_t since;
    if (!brg__pool_has_processes(slot->pool)) {
        since = brg_load_relaxed(&slot->xhand_at);
        now = brg__now_real();
    } else {
        since = brg__task_is_timed(task) ? task->started_ns : 0;
    }
    return since == 0 || since > now ? 0 : now - since;
}

static void read_worker_locked(read_work *work, brg__slot *slot)
{
    brg_metrics *out = work->out;
    brg_metrics_of_worker *to = &out->workers[out->worker_count];
    work->workers[out->worker_count++] = slot->worker;
    brg__worker_ref(slot->worker);
    to->id = slot->worker->id;
    to->index = slot->index;
    to->starts = slot->starts;
    to->state = read_state(slot);
    to->errors = brg__slot_errors(slot);
    to->uptime_ns = slot->online && work->now > slot->online_at ? work->now - slot->online_at : 0;
    const brg_task *task = brg__slot_runs_locked(slot);
    to->running_ns = brg__min(read_running_ns(slot, task, work->now), to->uptime_ns); /* a later now */
    brg__metrics_text(to->task, sizeof(to->task), brg__task_shown_name(task));
}

/* False: there are more workers than there is room for. */
static bool read_locked(read_work *work)
{
    brg_pool *pool = work->pool;
    if (pool->slot_count > work->slots)
        return false;
    work->now = brg__now();
    brg__pool_account_locked(pool, work->now);
    read_counts_locked(work);
    work->out->pool.busy_ns = pool->busy_ns;
    work->out->pool.available_ns = pool->worker_ns;
    work->out->pool.sampling = UINT64_C(1) << pool->sampler.shift;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        brg__slot *slot = pool->slots[i];
        work->out->pool.workers_restarted += slot->starts > 1 ? slot->starts - 1 : 0;
        if (slot->worker != NULL)
            read_worker_locked(work, slot);
        if (pool->metrics != NULL)
            work->meters[work->meter_count++] = slot->xsettled.meter;
    }
    if (pool->metrics != NULL) {
        work->meters[work->meter_count++] = pool->settled.meter;
        brg__metrics_move_locked(pool, work->now);
        brg__sampler_rest(&pool->sampler, work->now);
        read_recent_locked(work);
        read_names_locked(work);
    }
    return true;
}

/* ---- after it ---------------------------------------------------------------------------------------------------- */

static void read_fill_times(brg_metrics_times *to, const brg__histogram *from)
{
    to->count = brg__histogram_count(from);
    to->sum_ns = from->xsum;
    to->mean_ns = to->count == 0 ? 0 : from->xsum / to->count;
    to->p50_ns = brg__histogram_quantile(from, 0.5);
    to->p90_ns = brg__histogram_quantile(from, 0.9);
    to->p99_ns = brg__histogram_quantile(from, 0.99);
    to->p999_ns = brg__histogram_quantile(from, 0.999);
    to->max_ns = from->xmax;
}

static void read_times(read_work *work)
{
    brg_metrics *out = work->out;
    for (int time = 0; time < BRG__TIME_COUNT; time++) {
        brg__metrics_sum(&out->times[time], work->meters, work->meter_count, time);
        work->scratch[time] = out->times[time];
    }
    for (uint32_t i = 0; i < work->meter_count; i++)
        out->pool.tasks_timed += brg_load_relaxed(&work->meters[i]->xtimed);
    read_fill_times(&out->pool.wait, &out->times[BRG__TIME_WAIT]);
    read_fill_times(&out->pool.run, &out->times[BRG__TIME_RUN]);
    out->pool.recent_ns = brg__recent_times(&work->recent, work->now, work->scratch);
    read_fill_times(&out->pool.wait_recent, &work->scratch[BRG__TIME_WAIT]);
    read_fill_times(&out->pool.run_recent, &work->scratch[BRG__TIME_RUN]);
}

static void read_fill_ends(brg_metrics_of_task *to, const uint64_t ended[BRG__END_COUNT])
{
    to->done = ended[0];
    to->failed = ended[BRG_TASK_FAILED - BRG_TASK_DONE];
    to->cancelled = ended[BRG_TASK_CANCELLED - BRG_TASK_DONE];
    to->timed_out = ended[BRG_TASK_TIMED_OUT - BRG_TASK_DONE];
    to->lost = ended[BRG_TASK_LOST - BRG_TASK_DONE];
}

/* What a name has ended; out of what is left for functions. */
static uint64_t read_name_ends(read_work *work, uint32_t index, uint64_t ended[BRG__END_COUNT])
{
    uint64_t all = 0;
    for (int end = 0; end < BRG__END_COUNT; end++) {
        ended[end] = 0;
        for (uint32_t i = 0; i < work->meter_count; i++)
            ended[end] += brg_load_relaxed(&work->meters[i]->xnames[index][end]);
        work->ended[end] -= brg__min(work->ended[end], ended[end]);
        all += ended[end];
    }
    return all;
}

/* Functions had what nobody with a name had. Tasks settle meanwhile: that is too few, by those whose names were counted
 * after the counts of all had been read, and never too many (settle_count). */
static void read_function_ends(read_work *work)
{
    brg__metrics *metrics = work->pool->metrics;
    brg__pool_lock(work->pool);
    for (int end = 0; end < BRG__END_COUNT; end++)
        work->ended[end] = metrics->functions[end] = brg__max(metrics->functions[end], work->ended[end]);
    brg__pool_unlock(work->pool);
}

static void read_name_run(brg_metrics_times *to, brg__histogram *scratch, const brg__histogram *run)
{
    memset(scratch, 0, sizeof(*scratch));
    if (run != NULL)
        brg__histogram_merge(scratch, run);
    read_fill_times(to, scratch);
}

static void read_names(read_work *work)
{
    brg_metrics *out = work->out;
    uint64_t ended[BRG__END_COUNT];
    for (uint32_t i = 1; i < work->names; i++) {
        brg__metrics_named *to = &out->tasks[i];
        to->is_there = read_name_ends(work, to->index, ended) != 0 || to->index != BRG__NAME_OTHERS;
        read_fill_ends(&to->seen, ended);
        read_name_run(&to->seen.run, &work->scratch[0], work->named[i]);
    }
    read_function_ends(work);
    read_fill_ends(&out->tasks[0].seen, work->ended);
    read_name_run(&out->tasks[0].seen.run, &work->scratch[0], work->named[0]);
    for (int end = 0; end < BRG__END_COUNT; end++)
        out->tasks[0].is_there = out->tasks[0].is_there || work->ended[end] != 0;
    for (uint32_t i = 0; i < work->names; i++)
        if (out->tasks[i].is_there)
            out->tasks[out->task_count++] = out->tasks[i];
}

static void read_worker(brg_metrics_of_worker *to, brg_worker *worker)
{
    brg_usage usage = {.size = sizeof(usage)};
    if (brg_worker_usage(worker, &usage) != BRG_OK)
        return;
    uint64_t idle_since = brg_load_relaxed(&worker->usage->xidle_since), now = brg__now_real();
    to->inactive_ns = idle_since == 0 || idle_since > now ? 0 : brg__min(now - idle_since, to->uptime_ns);
    to->tasks = usage.tasks;
    to->messages = usage.messages;
    to->busy_ns = usage.busy_ns;
    to->idle_ns = usage.idle_ns;
    to->utilization = brg_usage_utilization(&usage);
    to->cpu_ns = usage.cpu_ns;
    to->rss_bytes = usage.rss_bytes;
    int64_t pid = brg_worker_process_id(worker);
    to->process_id = pid > 0 ? pid : 0;
    brg__metrics_text(to->name, sizeof(to->name), worker->name);
}

/* ---- a reading --------------------------------------------------------------------------------------------------- */

static void read_free(read_work *work)
{
    if (work == NULL)
        return;
    brg__mfree(work->workers);
    brg__mfree(work->meters);
    brg__mfree(work);
}

/* Room for a reading of so many slots. NULL: no memory. */
static read_work *read_new(const brg_pool *pool, uint32_t slots)
{
    read_work *work = brg__calloc(1, sizeof(*work));
    if (work == NULL)
        return NULL;
    work->pool = (brg_pool *)pool; /* the lock is not part of what const promises */
    work->slots = slots;
    work->workers = brg__calloc(slots + 1, sizeof(brg_worker *));
    work->meters = brg__calloc(slots + 1, sizeof(brg__meter *));
    work->out = brg__calloc(1, sizeof(*work->out));
    if (work->out != NULL)
        work->out->workers = brg__calloc(slots + 1, sizeof(*work->out->workers));
    if (work->out != NULL && work->out->workers != NULL && work->workers != NULL && work->meters != NULL)
        return work;
    brg_metrics_free(work->out);
    read_free(work);
    return NULL;
}

static void read_finish(read_work *work)
{
    brg_metrics *out = work->out;
    const brg_pool *pool = work->pool;
    if (pool->metrics != NULL) {
        read_times(work);
        read_names(work);
    }
    for (size_t i = 0; i < out->worker_count; i++) {
        read_worker(&out->workers[i], work->workers[i]);
        brg__worker_unref(work->workers[i]);
    }
    brg__metrics_text(out->name, sizeof(out->name), pool->options.name);
    out->pool.name = out->name;
    out->pool.isolation = pool->options.isolation;
}

brg_status brg_pool_metrics(const brg_pool *pool, brg_metrics **out, brg_error *error)
{
    if (pool == NULL || out == NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "the pool and out must not be NULL");
    if (pool->generation != brg__fork_generation())
        return brg_error_set(error, BRG_FORKED, "pool", "the pool belongs to the parent of this forked process");
    brg_pool *self = (brg_pool *)pool;
    brg__pool_lock(self);
    uint32_t slots = self->slot_count;
    brg__pool_unlock(self);
    for (;;) {
        read_work *work = read_new(pool, slots);
        if (work == NULL)
            return brg__error_memory(error, "a reading of a pool");
        brg__pool_lock(self);
        bool fits = read_locked(work);
        slots = self->slot_count;
        brg__pool_unlock(self);
        if (fits) {
            read_finish(work);
            *out = work->out;
            read_free(work);
            return BRG_OK;
        }
        brg_metrics_free(work->out);
        read_free(work);
    }
}

void brg_metrics_free(brg_metrics *metrics)
{
    if (metrics == NULL)
        return;
    brg__mfree(metrics->workers);
    brg__mfree(metrics);
}

const brg_metrics_of_pool *brg_metrics_pool(const brg_metrics *metrics)
{
    return metrics == NULL ? NULL : &metrics->pool;
}

const brg_metrics_of_worker *brg_metrics_worker(const brg_metrics *metrics, size_t index)
{
    return metrics == NULL || index >= metrics->worker_count ? NULL : &metrics->workers[index];
}

const brg_metrics_of_task *brg_metrics_task(const brg_metrics *metrics, size_t index)
{
    return metrics == NULL || index >= metrics->task_count ? NULL : &metrics->tasks[index].seen;
}

const char *brg_metrics_state_name(brg_metrics_state state)
{
    static const char *const names[] = {"starting", "idle", "busy", "parked", "ending"};
    return (unsigned)state < brg__count_of(names) ? names[state] : "?";
}
