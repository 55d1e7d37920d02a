/* SPDX-License-Identifier: MIT */
#include "worker/usage.h"

#include <string.h>

#include "os/usage.h"
#include "worker/worker.h"

/* ---- the worker's thread ----------------------------------------------------------------------------------------- */

static void usage_change_begin(brg__usage_shared *usage)
{
    brg_store_relaxed(&usage->xsequence, usage->xsequence + 1);
    brg_fence_seq_cst(); /* odd is seen before what changes */
}

static void usage_change_end(brg__usage_shared *usage)
{
    brg_store_release(&usage->xsequence, usage->xsequence + 1); /* pairs with usage_read */
}

void brg__usage_online(brg__usage_shared *usage)
{
    usage_change_begin(usage);
    brg_store_relaxed(&usage->xonline_at, brg__now_real());
    brg_store_relaxed(&usage->xidle_ns, (uint64_t)0); /* what start-up waited for does not count */
    usage_change_end(usage);
}

void brg__usage_idle_begin(brg__usage_shared *usage)
{
    if (usage->xidle_since == 0)
        brg_store_relaxed(&usage->xidle_since, brg__now_real()); /* alone: a reader sees it or not */
}

void brg__usage_idle_was(brg__usage_shared *usage, uint64_t idle_ns)
{
    if (usage->xidle_since == 0)
        return;
    usage_change_begin(usage);
    brg_store_relaxed(&usage->xidle_ns, usage->xidle_ns + idle_ns);
    brg_store_relaxed(&usage->xidle_since, (uint64_t)0);
    usage_change_end(usage);
}

void brg__usage_idle_end(brg__usage_shared *usage)
{
    if (usage->xidle_since == 0)
        return;
    brg__usage_idle_was(usage, brg__now_real() - usage->xidle_since);
}

void brg__usage_ended(brg__usage_shared *usage)
{
    brg__usage_idle_end(usage);
    brg_store_relaxed(&usage->xended_at, brg__now_real());
}

/* ---- readers ----------------------------------------------------------------------------------------------------- */

/* A copy whose times belong together; a writer that never lets it be gets what there is. */
static brg__usage_shared usage_read(const brg__usage_shared *from)
{
    brg__usage_shared copy;
    memset(&copy, 0, sizeof(copy));
    for (int i = 0; i < 1000; i++) {
        uint32_t before = brg_load_acquire(&from->xsequence);
        copy.xonline_at = brg_load_relaxed(&from->xonline_at);
        copy.xidle_since = brg_load_relaxed(&from->xidle_since);
        copy.xidle_ns = brg_load_relaxed(&from->xidle_ns);
        copy.xended_at = brg_load_relaxed(&from->xended_at);
        brg_fence_seq_cst();
        if (before % 2 == 0 && brg_load_relaxed(&from->xsequence) == before)
            break;
    }
    copy.xtasks = brg_load_relaxed(&from->xtasks);
    copy.xmessages = brg_load_relaxed(&from->xmessages);
    return copy;
}

/* Makes sense of the times, whatever a hostile worker wrote: busy and idle add up to the time it was online. */
static void usage_times(const brg__usage_shared *from, uint64_t until, brg_usage *out)
{
    uint64_t end = from->xended_at != 0 ? brg__min(from->xended_at, until) : until;
    if (from->xonline_at == 0 || from->xonline_at > end)
        return;
    uint64_t whole = end - from->xonline_at, idle = from->xidle_ns;
    if (from->xidle_since != 0 && from->xidle_since < end)
        idle = brg__add_saturated(idle, end - brg__max(from->xidle_since, from->xonline_at));
    out->idle_ns = brg__min(idle, whole);
    out->busy_ns = whole - out->idle_ns;
}

void brg__usage_thread_begins(brg_worker *worker)
{
    clockid_t clock;
    if (!brg__cpu_clock_of_this_thread(&clock))
        return;
    brg__lock_acquire(&worker->life_lock);
    worker->cpu_clock = clock;
    worker->has_cpu_clock = true;
    brg__lock_release(&worker->life_lock);
}

/* Under the lock: after this nobody asks for the clock of a thread that may be gone. */
void brg__usage_thread_ends(brg_worker *worker)
{
    uint64_t cpu_ns = brg__cpu_of_this_thread();
    brg__lock_acquire(&worker->life_lock);
    worker->has_cpu_clock = false;
    worker->cpu_ns = cpu_ns;
    brg__lock_release(&worker->life_lock);
    brg__usage_ended(&worker->own_usage);
}

static void usage_of_thread(brg_worker *worker, brg_usage *out)
{
    brg__lock_acquire(&worker->life_lock);
    if (worker->has_cpu_clock)
        brg__cpu_of(worker->cpu_clock, &worker->cpu_ns);
    out->cpu_ns = worker->cpu_ns;
    brg__lock_release(&worker->life_lock);
}

uint64_t brg__usage_cpu(brg_worker *worker)
{
    int64_t pid = brg_worker_process_id(worker);
    uint64_t cpu_ns = 0;
    clockid_t clock;
    if (pid > 0 && !brg__worker_is_over(worker) && brg__cpu_clock_of_process((pid_t)pid, &clock))
        brg__cpu_of(clock, &cpu_ns);
    brg__lock_acquire(&worker->life_lock);
    if (worker->has_cpu_clock)
        brg__cpu_of(worker->cpu_clock, &worker->cpu_ns);
    worker->cpu_ns = brg__max(worker->cpu_ns, cpu_ns);
    cpu_ns = worker->cpu_ns;
    brg__lock_release(&worker->life_lock);
    return cpu_ns;
}

/* What was read counts only if the process was still there afterwards: its number may be another's since. */
static void usage_of_process(brg_worker *worker, brg_usage *out)
{
    int64_t pid = brg_worker_process_id(worker);
    uint64_t cpu_ns = 0, rss = 0;
    clockid_t clock;
    bool known = pid > 0 && !brg__worker_is_over(worker) && brg__cpu_clock_of_process((pid_t)pid, &clock) &&
                 brg__cpu_of(clock, &cpu_ns);
    if (known)
        brg__rss_of_process((pid_t)pid, &rss);
    brg__lock_acquire(&worker->life_lock);
    if (known && !brg__worker_is_over(worker)) {
        worker->cpu_ns = brg__max(worker->cpu_ns, cpu_ns);
        out->rss_bytes = rss;
    }
    out->cpu_ns = worker->cpu_ns;
    brg__lock_release(&worker->life_lock);
}

void brg__usage_process_ended(brg_worker *worker, uint64_t cpu_ns)
{
    brg__lock_acquire(&worker->life_lock);
    worker->cpu_ns = brg__max(worker->cpu_ns, cpu_ns);
    worker->ended_at = brg__now_real();
    brg__lock_release(&worker->life_lock);
}

brg_status brg_worker_usage(const brg_worker *worker, brg_usage *usage)
{
    if (worker == NULL || usage == NULL || usage->size < sizeof(size_t))
        return BRG_INVALID;
    if (worker->generation != brg__fork_generation())
        return BRG_FORKED;
    brg_worker *self = (brg_worker *)worker; /* the lock is not part of what const promises */
    brg_usage read;
    memset(&read, 0, sizeof(read));
    if (worker->options.isolation == BRG_ISOLATION_PROCESS)
        usage_of_process(self, &read);
    else
        usage_of_thread(self, &read);
    brg__lock_acquire(&self->life_lock);
    uint64_t until = worker->ended_at != 0 ? worker->ended_at : brg__now_real();
    brg__lock_release(&self->life_lock);
    brg__usage_shared shared = usage_read(worker->usage);
    usage_times(&shared, until, &read);
    read.tasks = shared.xtasks;
    read.messages = shared.xmessages;
    size_t size = usage->size;
    memcpy(usage, &read, brg__min(size, sizeof(read)));
    usage->size = size;
    return BRG_OK;
}

static uint64_t usage_less(uint64_t later, uint64_t earlier) { return later > earlier ? later - earlier : 0; }

void brg_usage_delta(const brg_usage *later, const brg_usage *earlier, brg_usage *out)
{
    brg_usage delta = {.size = out->size,
                       .cpu_ns = usage_less(later->cpu_ns, earlier->cpu_ns),
                       .busy_ns = usage_less(later->busy_ns, earlier->busy_ns),
                       .idle_ns = usage_less(later->idle_ns, earlier->idle_ns),
                       .tasks = usage_less(later->tasks, earlier->tasks),
                       .messages = usage_less(later->messages, earlier->messages),
                       .rss_bytes = later->rss_bytes};
    *out = delta;
}

double brg_usage_utilization(const brg_usage *usage)
{
    double whole = (double)usage->busy_ns + (double)usage->idle_ns;
    return whole == 0 ? 0 : (double)usage->busy_ns / whole;
}
