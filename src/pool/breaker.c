/* SPDX-License-Identifier: MIT */
/*
 * Workers that do not start.
 *
 * A place whose worker does not start waits before the next try: restart_min_ns, doubling to restart_max_ns, however the
 * others are. From its second try on it is given no tasks before it is online, so that it keeps none of them waiting.
 *
 * The pool's breaker is for a pool that nobody serves: it counts the failed starts in a row while no worker is online
 * and none starts in a place that has not failed. breaker_failures of them open it: what is queued fails at once,
 * submits are refused, and after breaker_open_ns one worker is tried, each time in the place that failed longest ago. The
 * first that is online closes it, and all places may try again.
 *
 * Where others serve, a place that failed as often as that is given up: another takes its part, if there may be more,
 * and what only it could do fails at every failure of its. It is tried on.
 */
#include <stdio.h>

#include "os/clock.h"
#include "pool/batch.h"
#include "pool/observe.h"
#include "pool/pool.h"

static bool breaker_is_given_up(const brg__slot *slot)
{
    return !slot->online && slot->start_failures >= slot->pool->options.breaker_failures;
}

uint32_t brg__pool_given_up_locked(const brg_pool *pool)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < brg__min(pool->slot_count, pool->options.workers_max); i++)
        count += breaker_is_given_up(pool->slots[i]);
    return count;
}

/* Somebody serves, or may be about to: a worker starts where none failed. */
static bool breaker_has_hope_locked(const brg_pool *pool)
{
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        const brg__slot *slot = pool->slots[i];
        bool starts = slot->worker != NULL || slot->restart_at == UINT64_MAX;
        if (slot->online || (starts && slot->start_failures == 0))
            return true;
    }
    return false;
}

static void breaker_open_locked(brg_pool *pool, uint64_t now)
{
    char message[sizeof(pool->start_error.message)];
    pool->breaker_until = brg__add_saturated(now, pool->options.breaker_open_ns);
    brg__see_pool_breaker_open_locked(pool, NULL, pool->start_error.status, pool->options.breaker_open_ns);
    snprintf(message, sizeof(message), "workers do not start: %.220s", pool->start_error.message);
    brg__pool_cancel_queue_locked(pool, BRG_UNAVAILABLE, message);
    brg__pool_timer_at(pool, pool->breaker_until);
}

/* ---- one place --------------------------------------------------------------------------------------------------- */

/* Whether all places that have these tags are given up. */
static bool breaker_is_for_nobody_locked(const brg_pool *pool, uint64_t needs)
{
    const brg_pool_options *options = &pool->options;
    bool any = false;
    for (uint32_t i = 0; i < brg__max(options->workers_max, pool->slot_count); i++) {
        const brg__slot *slot = i < pool->slot_count ? pool->slots[i] : NULL;
        uint64_t tags = i < options->worker_tags_count ? options->worker_tags[i] : 0;
        if ((tags & needs) != needs || (i >= options->workers_max && !slot->online))
            continue;
        if (slot == NULL || !breaker_is_given_up(slot))
            return false;
        any = true;
    }
    return any;
}

/* No worker's queue has any: who is given up is not usable. */
static void breaker_fail_lane_locked(brg_pool *pool, brg__lane *lane, const char *message)
{
    while (lane->count != 0) {
        brg_task *task = brg__task_of(brg__schedule_pop(&pool->schedule, NULL, lane, 0));
        brg__pool_uncount_locked(pool, task);
        if (brg__task_is(task, BRG__TASK_CARRIER))
            brg__batch_taken_locked(pool, task);
        brg__task_settle_plain(task, BRG_UNAVAILABLE, message);
    }
}

static void breaker_give_up_locked(brg_pool *pool, brg__slot *slot)
{
    char message[sizeof(pool->start_error.message)];
    pool->is_telling = true; /* none becomes ready because another one is gone */
    snprintf(message, sizeof(message), "the worker that it is for does not start: %.200s", pool->start_error.message);
    while (slot->seat.pinned_count != 0) {
        brg_task *task = brg__task_of(brg__node_item(slot->seat.pinned.head.next));
        brg__task_unwait_locked(pool, task);
        brg__task_settle_plain(task, BRG_UNAVAILABLE, message);
    }
    snprintf(message, sizeof(message), "workers with its tags do not start: %.200s", pool->start_error.message);
    for (uint32_t i = 1; i < pool->schedule.xlane_count; i++)
        if (breaker_is_for_nobody_locked(pool, pool->schedule.lanes[i].needs))
            breaker_fail_lane_locked(pool, &pool->schedule.lanes[i], message);
    pool->is_telling = false;
    brg__pool_room_locked(pool);
    brg__pool_check_idle_locked(pool);
}

/* ---- starts ------------------------------------------------------------------------------------------------------ */

uint64_t brg__restart_wait(const brg_pool_options *options, uint32_t failures)
{
    uint32_t doublings = (uint32_t)brg__min(failures, 20);
    bool is_longest = options->restart_min_ns > options->restart_max_ns >> doublings;
    return is_longest ? options->restart_max_ns : options->restart_min_ns << doublings;
}

void brg__start_failed_locked(brg__slot *slot, const brg_error *error)
{
    brg_pool *pool = slot->pool;
    const brg_pool_options *options = &pool->options;
    uint64_t now = brg__now();
    uint64_t wait = brg__restart_wait(options, brg__max(slot->start_failures, pool->failures));
    pool->workers_start_failed++;
    pool->start_error = *error;
    slot->start_failures++;
    slot->restart_at = brg__add_saturated(now, wait);
    brg__see_worker_start_failed_locked(pool, slot, error->status, wait);
    if (pool->breaker_until != 0)
        return;
    bool has_hope = breaker_has_hope_locked(pool);
    if (!has_hope && ++pool->failures >= options->breaker_failures)
        breaker_open_locked(pool, now);
    else if (breaker_is_given_up(slot))
        breaker_give_up_locked(pool, slot);
}

void brg__start_worked_locked(brg__slot *slot)
{
    brg_pool *pool = slot->pool;
    bool was_open = pool->failures >= pool->options.breaker_failures;
    slot->start_failures = 0;
    pool->failures = 0;
    if (!was_open)
        return;
    pool->breaker_until = 0; /* it may have been starting when it opened */
    brg__see_pool_breaker_closed_locked(pool, NULL, BRG_OK, 0);
    brg__pool_timer_at(pool, 0);
    for (uint32_t i = 0; i < pool->slot_count; i++)
        if (pool->slots[i]->worker == NULL && pool->slots[i]->restart_at != UINT64_MAX)
            pool->slots[i]->restart_at = 0;
}
