/* SPDX-License-Identifier: MIT */
/*
 * How many workers there are: asks the policy, keeps its answer within bounds, ends workers that are not needed.
 *
 * Looks happen on the supervisor, as part of the pool's timer: every scaling_interval_ns while there is something to
 * decide, and at once when a submit finds nobody idle and there could be more. Such a hint is given once per look, and
 * again only when the look helped, so that a flood of submits costs none.
 *
 * Where the policy parks, and where there are more than workers_max, a worker that finds more at work than are wanted
 * takes no tasks, though there are some, until more are wanted or it is ended. So fewer workers are a matter of the
 * task that runs, not of an empty queue. Other policies let idle workers help until their idle_timeout.
 *
 * Who is ended gets no task from the moment it is chosen, under the lock that submit assigns under: no task is lost
 * to a worker on its way out. The one idle the longest goes first.
 */
#include "os/clock.h"
#include "os/memory.h"
#include "os/thread.h"
#include "pool/metrics.h"
#include "pool/observe.h"
#include "pool/pool.h"
#include "worker/usage.h"

/* ---- busy and idle ----------------------------------------------------------------------------------------------- */

/* Those that are on their way out are neither idle nor busy. */
static uint32_t scale_busy_locked(const brg_pool *pool)
{
    uint32_t others = pool->idle_count + pool->leaving;
    return pool->online - brg__min(others, pool->online);
}

void brg__pool_account_locked(brg_pool *pool, uint64_t now)
{
    uint64_t passed = now > pool->load_since ? now - pool->load_since : 0;
    pool->load_since = now;
    pool->busy_ns += passed * scale_busy_locked(pool);
    pool->worker_ns += passed * (pool->online - brg__min(pool->leaving, pool->online));
}

void brg__pool_watch_locked(brg_pool *pool, uint64_t now)
{
    if (!pool->may_hint || pool->scale_at != UINT64_MAX)
        return;
    pool->scale_at = now + pool->options.scaling_interval_ns;
    brg__pool_timer_at(pool, pool->scale_at);
}

/* A worker is not idle any more, and there could be more of them. */
static void scale_is_busier_locked(brg_pool *pool, uint64_t now)
{
    if (pool->idle_count < pool->options.warm_spares)
        brg__pool_hint_locked(pool);
    brg__pool_watch_locked(pool, now); /* where nothing waits any more there was no hint */
}

/* There are fewer by now: it is not to be. */
static bool scale_is_surplus(const brg__slot *slot) { return slot->index >= slot->pool->options.workers_max; }

void brg__slot_set_idle_locked(brg__slot *slot, bool idle)
{
    brg_pool *pool = slot->pool;
    if (slot->seat.seen.is_idle == idle)
        return;
    uint64_t now = brg__now();
    brg__pool_account_locked(pool, now);
    slot->idle_since = now;
    if (idle) {
        brg__sampler_rest(&pool->sampler, now);
        brg__see_worker_idle_locked(pool, slot, BRG_OK, 0);
        pool->idle_count++;
        if (BRG__UNLIKELY(pool->workers > pool->target))
            brg__pool_timer_at(pool, brg__add_saturated(now, pool->options.idle_timeout_ns));
        if (BRG__UNLIKELY(scale_is_surplus(slot)))
            brg__pool_timer_at(pool, 0);
    } else {
        brg__see_worker_busy_locked(pool, slot, BRG_OK, 0);
        pool->idle_count--;
        if (BRG__UNLIKELY(pool->may_hint))
            scale_is_busier_locked(pool, now);
    }
    brg__seat_set_idle(&pool->schedule, &slot->seat, idle);
    brg_store_relaxed(&pool->team.xidle, pool->idle_count);
}

void brg__pool_hint_locked(brg_pool *pool)
{
    if (pool->waiting == 0)
        return; /* what new workers run first needs no more of them */
    pool->may_hint = false;
    pool->scale_at = 0;
    brg__pool_timer_at(pool, 0);
}

/* ---- parking ----------------------------------------------------------------------------------------------------- */

/* Neither parked nor on their way out. */
static uint32_t scale_at_work_locked(const brg_pool *pool)
{
    return pool->online - brg__min(pool->leaving + pool->parked, pool->online);
}

bool brg__slot_must_park_locked(const brg__slot *slot)
{
    const brg_pool *pool = slot->pool;
    if (BRG__LIKELY(!pool->options.scaling->parks && !scale_is_surplus(slot)))
        return false;
    if (!slot->online || slot->xparked != 0 || slot->ending || slot->retiring)
        return false;
    if (scale_is_surplus(slot))
        return scale_at_work_locked(pool) > 1;
    return scale_at_work_locked(pool) > brg__max(pool->target, 1u) &&
           !brg__schedule_misses(&pool->schedule, slot->seat.seen.tags, &slot->seat);
}

void brg__slot_park_locked(brg__slot *slot)
{
    brg_pool *pool = slot->pool;
    uint64_t now = brg__now();
    brg__slot_set_idle_locked(slot, false);
    brg__pool_account_locked(pool, now);
    if (slot->seat.count != 0 || scale_is_surplus(slot))
        brg__pool_timer_at(pool, 0); /* who gets what waited for it is woken; it is ended */
    brg__seat_close(&pool->schedule, &slot->seat, now);
    brg_store_relaxed(&slot->xparked, 1u);
    brg__see_worker_parked_locked(pool, slot, BRG_OK, 0);
    slot->idle_since = now;
    pool->parked++;
    pool->idle_count++;
    brg__pool_timer_at(pool, brg__add_saturated(now, pool->options.idle_timeout_ns));
}

void brg__slot_unpark_locked(brg__slot *slot)
{
    brg_pool *pool = slot->pool;
    if (slot->xparked == 0)
        return;
    brg__pool_account_locked(pool, brg__now());
    brg_store_relaxed(&slot->xparked, 0u);
    brg__see_worker_unparked_locked(pool, slot, BRG_OK, 0);
    pool->parked--;
    pool->idle_count--;
}

/* As many as are wanted work again, and those whose tags nobody else has. */
static void scale_unpark_locked(brg_pool *pool)
{
    for (uint32_t i = 0; i < pool->slot_count && pool->parked != 0; i++) {
        brg__slot *slot = pool->slots[i];
        if (slot->xparked == 0 || slot->ending || scale_is_surplus(slot) ||
            (scale_at_work_locked(pool) >= brg__max(pool->target, 1u) &&
             !brg__schedule_misses(&pool->schedule, slot->seat.seen.tags, NULL)))
            continue;
        brg__slot_unpark_locked(slot);
        brg__slot_set_idle_locked(slot, true);
        brg__slot_open_locked(slot); /* after that: who is idle has had its share */
        brg__pool_wake_slot_locked(pool, slot);
    }
}

/* ---- fewer ------------------------------------------------------------------------------------------------------- */

void brg__slot_retire_locked(brg__slot *slot)
{
    brg_pool *pool = slot->pool;
    brg__pool_account_locked(pool, brg__now());
    brg__slot_set_idle_locked(slot, false);
    brg__slot_unpark_locked(slot); /* it is counted as leaving */
    if (slot->seat.count != 0)
        brg__pool_timer_at(pool, 0); /* who gets what waited for it is woken */
    brg__seat_close(&pool->schedule, &slot->seat, 0);
    slot->retiring = true;
    pool->leaving += slot->online;
    brg__pool_ask_locked(pool, slot);
}

/* Those that are to stay: with a worker, or about to get one. */
static uint32_t scale_staying_locked(const brg_pool *pool)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < brg__min(pool->slot_count, pool->options.workers_max); i++) {
        const brg__slot *slot = pool->slots[i];
        count += slot->worker != NULL ? !slot->retiring : slot->restart_at == UINT64_MAX;
    }
    return count;
}

/* One without work that is not to be. */
static brg__slot *scale_surplus_locked(const brg_pool *pool)
{
    for (uint32_t i = pool->options.workers_max; i < pool->slot_count; i++) {
        brg__slot *slot = pool->slots[i];
        if (slot->worker != NULL && !slot->ending && !slot->retiring && (slot->xparked != 0 || slot->seat.seen.is_idle))
            return slot;
    }
    return NULL;
}

/* The one that has been without work the longest, parked ones first. */
static brg__slot *scale_longest_idle_locked(const brg_pool *pool)
{
    brg__slot *longest = NULL;
    for (uint32_t i = 0; pool->parked != 0 && i < pool->slot_count; i++) {
        brg__slot *slot = pool->slots[i];
        if (slot->xparked != 0 && !slot->ending && (longest == NULL || slot->idle_since < longest->idle_since))
            longest = slot;
    }
    if (longest != NULL || brg__list_is_empty(&pool->schedule.idle))
        return longest;
    return brg__slot_of(brg__container_of(pool->schedule.idle.head.previous, brg__seat, idle_node));
}

/* Ends what is too many and has been idle long enough; when the next will have been. */
static uint64_t scale_shrink_locked(brg_pool *pool, uint64_t now)
{
    uint32_t staying = scale_staying_locked(pool);
    uint64_t next = UINT64_MAX;
    brg__slot *slot;
    while (pool->asks.count < BRG__WAKE_MAX && (slot = scale_surplus_locked(pool)) != NULL) {
        brg__see_worker_shrunk_locked(pool, slot, BRG_OK, 0);
        brg__slot_retire_locked(slot);
        pool->workers_shrunk++;
    }
    while (staying > pool->target && pool->asks.count < BRG__WAKE_MAX &&
           (slot = scale_longest_idle_locked(pool)) != NULL) {
        uint64_t due = brg__add_saturated(slot->idle_since, pool->options.idle_timeout_ns);
        if (due > now) {
            next = due;
            break;
        }
        brg__see_worker_shrunk_locked(pool, slot, BRG_OK, 0);
        brg__slot_retire_locked(slot);
        pool->workers_shrunk++;
        staying--;
    }
    return pool->asks.count == BRG__WAKE_MAX ? now + BRG_MILLISECONDS(1) : next;
}

/* ---- deciding ---------------------------------------------------------------------------------------------------- */

static uint32_t scale_minimum(const brg_pool *pool)
{
    return pool->options.workers_min == BRG_NO_WORKERS ? 0 : pool->options.workers_min;
}

static uint64_t scale_settled_locked(const brg_pool *pool)
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < pool->slot_count; i++)
        all += brg_load_relaxed(&pool->slots[i]->xsettled.all);
    return all;
}

/* So many there are when nothing is to do. */
static uint32_t scale_at_rest(const brg_pool *pool)
{
    return (uint32_t)brg__min(brg__max(scale_minimum(pool), pool->options.warm_spares), pool->options.workers_max);
}

uint32_t brg__pool_missed_locked(const brg_pool *pool, uint64_t now)
{
    uint32_t count = brg__min(pool->options.worker_tags_count, pool->options.workers_max);
    for (uint32_t i = 0; pool->schedule.xlane_count > 1 && i < count; i++) {
        const brg__slot *slot = i < pool->slot_count ? pool->slots[i] : NULL;
        if ((slot == NULL || (slot->worker == NULL && slot->restart_at <= now)) &&
            brg__schedule_misses(&pool->schedule, pool->options.worker_tags[i], NULL))
            return i;
    }
    return UINT32_MAX;
}

/* What a worker used before it was looked at for the first time does not count: some of it is its start. False: there
 * is such a worker. */
static bool scale_count_cpu_locked(brg_pool *pool)
{
    bool all = true;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        brg__slot *slot = pool->slots[i];
        if (!slot->online || slot->ending)
            continue;
        uint64_t used = brg__usage_cpu(slot->worker);
        all = all && slot->cpu_ns != 0;
        pool->cpu_ns += slot->cpu_ns == 0 ? 0 : used - brg__min(used, slot->cpu_ns);
        slot->cpu_ns = brg__max(used, slot->cpu_ns);
    }
    return all;
}

/* As many as the policy wants, within bounds, and spares beside those that are busy. */
static uint32_t scale_wanted_locked(brg_pool *pool, uint64_t now)
{
    const brg_pool_options *options = &pool->options;
    brg__pool_account_locked(pool, now);
    uint32_t busy = scale_busy_locked(pool);
    bool knows_cpu = options->scaling->wants_cpu && scale_count_cpu_locked(pool);
    brg_load load = {.now_ns = now,
                     .workers_min = scale_minimum(pool),
                     .workers_max = options->workers_max,
                     .workers = pool->workers,
                     .busy = busy,
                     .queued = pool->schedule.xready,
                     .done = scale_settled_locked(pool),
                     .busy_ns = pool->busy_ns,
                     .worker_ns = pool->worker_ns,
                     .cpu_ns = pool->cpu_ns,
                     .cpus = knows_cpu ? pool->cpus : 0};
    uint32_t wanted = options->scaling->target(pool->scaling, &load);
    uint32_t least = brg__max(load.workers_min, (uint32_t)(pool->schedule.xready != 0));
    if (options->warm_spares != 0)
        least = (uint32_t)brg__max(least, busy + options->warm_spares);
    if (BRG__UNLIKELY(brg__pool_missed_locked(pool, now) != UINT32_MAX))
        least = (uint32_t)brg__max(least, scale_staying_locked(pool) + 1);
    return (uint32_t)brg__min(brg__max(wanted, least), options->workers_max);
}

static bool scale_is_active_locked(const brg_pool *pool)
{
    uint32_t minimum = scale_at_rest(pool);
    return pool->waiting != 0 || scale_busy_locked(pool) != 0 || pool->workers > minimum || pool->target > minimum;
}

uint64_t brg__pool_scale_locked(brg_pool *pool, uint64_t now)
{
    if (pool->mode >= BRG__POOL_CLOSED)
        return UINT64_MAX;
    bool is_fixed = pool->options.scaling == brg_scaling_fixed;
    uint32_t before = pool->target;
    if (now >= pool->scale_at) {
        bool was_hint = pool->scale_at == 0;
        pool->target = scale_wanted_locked(pool, now);
        pool->scale_at = is_fixed || !scale_is_active_locked(pool) ? UINT64_MAX
                                                                   : now + pool->options.scaling_interval_ns;
        bool helped = pool->target > before;
        if (pool->target != before)
            brg__see_pool_target_locked(pool, NULL, BRG_OK, pool->target);
        pool->may_hint = !is_fixed && pool->target < pool->options.workers_max &&
                         (helped || !was_hint || pool->scale_at == UINT64_MAX);
    }
    uint64_t next = pool->scale_at;
    if (BRG__UNLIKELY(pool->parked != 0))
        scale_unpark_locked(pool);
    if (pool->workers > pool->target || pool->slot_count > pool->options.workers_max)
        next = brg__min(next, scale_shrink_locked(pool, now));
    return next;
}

brg_status brg__pool_scale_init(brg_pool *pool)
{
    const brg_pool_options *options = &pool->options;
    const brg_scaling_policy *policy = options->scaling;
    if (policy->state_bytes != 0) {
        pool->scaling = brg__calloc(1, policy->state_bytes);
        if (pool->scaling == NULL)
            return BRG_NO_MEMORY;
    }
    if (policy->init != NULL)
        policy->init(pool->scaling, options);
    pool->cpus = policy->wants_cpu ? brg__cpu_count() : 0;
    pool->load_since = brg__now();
    pool->target = options->scaling == brg_scaling_fixed
                       ? options->workers_max
                       : (uint32_t)brg__min(brg__max(scale_at_rest(pool), options->workers_start),
                                            options->workers_max);
    pool->may_hint = pool->target < options->workers_max;
    pool->scale_at = UINT64_MAX;
    return BRG_OK;
}
