/* SPDX-License-Identifier: MIT */
/*
 * Workers that served long enough are replaced: after so many tasks, at an age, above a memory; and those whose
 * configuration or prewarm task failed. Always between tasks.
 *
 * A busy worker is looked at when it comes for the next task, or has answered the last. One that is idle does not come:
 * the pool's timer looks. The number of tasks is exact, since no worker is given more than it has left.
 *
 * Memory is sampled, and may have been above the limit only because of what a task had: who was seen above it gets
 * nothing more until it has no task, and is looked at again then.
 */
#include "os/clock.h"
#include "os/usage.h"
#include "pool/observe.h"
#include "pool/pool.h"

#define RECYCLE_SAMPLE_NS BRG_MILLISECONDS(500)
#define RECYCLE_AGAIN_NS BRG_MILLISECONDS(1) /* more wanted to end at once than can be asked */

static uint64_t recycle_count(const brg__slot *slot)
{
    return brg_load_relaxed(&slot->xsettled.all) + brg_load_relaxed(&slot->xsettled.retried);
}

void brg__recycle_begin_locked(brg__slot *slot)
{
    slot->settled_before = recycle_count(slot);
    slot->is_large = false;
}

uint64_t brg__slot_served(const brg__slot *slot)
{
    uint64_t count = recycle_count(slot);
    return count > slot->settled_before ? count - slot->settled_before : 0;
}

uint64_t brg__slot_left_locked(const brg__slot *slot)
{
    uint64_t limit = slot->pool->options.recycle_tasks;
    if (BRG__LIKELY(limit == 0))
        return UINT64_MAX;
    uint64_t served = brg__slot_served(slot);
    return served >= limit ? 0 : limit - served;
}

/* ---- which ------------------------------------------------------------------------------------------------------- */

static bool recycle_is_large(const brg_pool *pool, brg_worker *worker)
{
    uint64_t rss = 0;
    int64_t pid = brg_worker_process_id(worker);
    return pid > 0 && brg__rss_of_process((pid_t)pid, &rss) && rss > pool->options.recycle_rss_bytes;
}

bool brg__slot_is_due_locked(brg__slot *slot)
{
    const brg_pool_options *options = &slot->pool->options;
    if (slot->warm_failed || brg__slot_left_locked(slot) == 0)
        return true;
    if (slot->is_large && slot->ahead_count == 0)
        slot->is_large = options->recycle_rss_bytes != 0 && recycle_is_large(slot->pool, slot->worker);
    if (slot->is_large)
        return true;
    return options->recycle_age_ns != 0 && slot->online && brg__now() - slot->online_at >= options->recycle_age_ns;
}

void brg__slot_recycle_locked(brg__slot *slot)
{
    slot->pool->workers_recycled += !slot->warm_failed;
    if (!slot->warm_failed)
        brg__see_worker_recycled_locked(slot->pool, slot, BRG_OK, brg__slot_served(slot));
    brg__slot_retire_locked(slot);
}

/* ---- those that are idle ----------------------------------------------------------------------------------------- */

static bool recycle_is_idle(const brg__slot *slot)
{
    return brg__pool_has_processes(slot->pool) ? slot->online && slot->ahead_count == 0 : slot->seat.seen.is_idle;
}

/* When to look at it again. */
static uint64_t recycle_slot_locked(brg_pool *pool, brg__slot *slot, uint64_t now)
{
    if (slot->worker == NULL || slot->ending)
        return UINT64_MAX;
    if (slot->retiring || (recycle_is_idle(slot) && brg__slot_is_due_locked(slot))) {
        if (slot->retiring) /* it could not be asked */
            brg__pool_ask_locked(pool, slot);
        else
            brg__slot_recycle_locked(slot);
        return slot->ending ? UINT64_MAX : now + RECYCLE_AGAIN_NS;
    }
    if (!slot->online || pool->options.recycle_age_ns == 0)
        return UINT64_MAX;
    uint64_t at = brg__add_saturated(slot->online_at, pool->options.recycle_age_ns);
    return at > now ? at : UINT64_MAX; /* it is busy */
}

static bool recycle_samples_locked(const brg_pool *pool)
{
    return pool->options.recycle_rss_bytes != 0 && brg__pool_has_processes(pool) && pool->online != 0;
}

uint64_t brg__recycle_locked(brg_pool *pool, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    if (pool->mode >= BRG__POOL_CLOSED)
        return next;
    for (uint32_t i = 0; i < pool->slot_count; i++)
        next = brg__min(next, recycle_slot_locked(pool, pool->slots[i], now));
    if (!recycle_samples_locked(pool))
        return next;
    if (pool->rss_at <= now)
        pool->rss_at = now + RECYCLE_SAMPLE_NS;
    return brg__min(next, pool->rss_at);
}

void brg__recycle_watch_locked(brg__slot *slot)
{
    brg_pool *pool = slot->pool;
    if (pool->options.recycle_age_ns != 0)
        brg__pool_timer_at(pool, brg__add_saturated(slot->online_at, pool->options.recycle_age_ns));
    if (recycle_samples_locked(pool))
        brg__pool_timer_at(pool, brg__max(pool->rss_at, slot->online_at));
}

/* The worker of a slot that shall be sampled, referenced; NULL: none. */
static brg_worker *recycle_sampled(brg_pool *pool, uint32_t index)
{
    brg__pool_lock(pool);
    brg__slot *slot = pool->slots[index];
    brg_worker *worker = slot->online && !slot->ending && !slot->is_large ? slot->worker : NULL;
    if (worker != NULL)
        brg__worker_ref(worker);
    brg__pool_unlock(pool);
    return worker;
}

void brg__recycle_sample(brg_pool *pool, uint64_t now)
{
    brg__pool_lock(pool);
    bool is_time = recycle_samples_locked(pool) && pool->rss_at <= now;
    uint64_t limit = pool->options.recycle_rss_bytes;
    uint32_t count = is_time ? pool->slot_count : 0;
    brg__pool_unlock(pool);
    for (uint32_t i = 0; i < count; i++) {
        brg_worker *worker = recycle_sampled(pool, i);
        uint64_t rss = 0;
        if (worker == NULL)
            continue;
        int64_t pid = brg_worker_process_id(worker); /* reaped on this thread: the number is still its own */
        if (pid > 0 && brg__rss_of_process((pid_t)pid, &rss) && rss > limit) {
            brg__pool_lock(pool);
            if (pool->slots[i]->worker == worker)
                pool->slots[i]->is_large = true;
            brg__pool_unlock(pool);
        }
        brg__worker_unref(worker);
    }
}
