/* SPDX-License-Identifier: MIT */
/*
 * Admission: what happens when the queue is full. All that wait count, wherever they wait: queued, for a delay, for
 * other tasks, for their batch. For dropping, all that wait are in a list by age for each priority.
 */
#include "os/clock.h"
#include "pool/events.h"
#include "pool/observe.h"
#include "pool/pool.h"

/* ---- full and drained -------------------------------------------------------------------------------------------- */

void brg__pool_level_locked(brg_pool *pool)
{
    bool full = brg_load_relaxed(&pool->xfull) != 0, was_seen = false;
    uint64_t admitted = brg__pool_admitted_locked(pool);
    if (!full && admitted >= pool->options.queue_high) {
        brg_store_relaxed(&pool->xfull, BRG__FULL);
        brg__see_pool_full_locked(pool, NULL, BRG_OK, admitted);
    } else if (full && admitted <= pool->options.queue_low) {
        was_seen = (brg_exchange_relaxed(&pool->xfull, 0u) & BRG__FULL_SEEN) != 0;
        brg__see_pool_drained_locked(pool, NULL, BRG_OK, admitted);
    } else {
        return;
    }
    brg__events_level_locked(pool, was_seen);
}

/* Who hears that it is full leaves a mark, in one step with the look, so that the drain that follows is told. */
bool brg_pool_is_full(const brg_pool *pool)
{
    if (pool == NULL)
        return false;
    uint32_t *full = &((brg_pool *)pool)->xfull, seen = brg_load_relaxed(full);
    while (seen == BRG__FULL && !brg_cas_relaxed(full, &seen, BRG__FULL | BRG__FULL_SEEN))
        ;
    return seen != 0;
}

static void admission_wake(brg_pool *pool)
{
    if (BRG__LIKELY(pool->room_waiters == 0))
        return;
    brg_store_release(&pool->xroom_epoch, pool->xroom_epoch + 1);
    brg__futex_wake(&pool->xroom_epoch, INT32_MAX, BRG__FUTEX_PRIVATE);
}

void brg__pool_room_locked(brg_pool *pool)
{
    if (BRG__UNLIKELY(brg_load_relaxed(&pool->xfull) != 0))
        brg__pool_level_locked(pool);
    admission_wake(pool);
}

void brg__pool_close_admission_locked(brg_pool *pool) { admission_wake(pool); }

static bool admission_is_full_locked(const brg_pool *pool, size_t bytes)
{
    size_t used = pool->waiting_bytes - pool->hooked_bytes;
    return brg__pool_admitted_locked(pool) >= pool->options.queue_max ||
           (used + bytes > pool->options.queue_bytes_max && used != 0);
}

/* ---- waiting for room -------------------------------------------------------------------------------------------- */

/* With the lock released meanwhile. BRG_OK with the lock held and room there, or mode and breaker to be looked at. */
static brg_status admission_wait_locked(brg_pool *pool, size_t bytes)
{
    uint64_t timeout = pool->options.admission_timeout_ns;
    uint64_t deadline = brg__deadline(timeout == 0 ? BRG_FOREVER : timeout);
    while (pool->mode == BRG__POOL_OPEN && admission_is_full_locked(pool, bytes)) {
        uint32_t epoch = pool->xroom_epoch;
        pool->room_waiters++;
        brg__pool_unlock(pool);
        bool in_time = brg__futex_wait(&pool->xroom_epoch, epoch, deadline, BRG__FUTEX_PRIVATE);
        brg__pool_lock(pool);
        pool->room_waiters--;
        if (!in_time && pool->mode == BRG__POOL_OPEN && admission_is_full_locked(pool, bytes))
            return BRG_TIMED_OUT;
    }
    return BRG_OK;
}

/* ---- making room ------------------------------------------------------------------------------------------------- */

static brg_task *admission_task_of(brg__node *node) { return brg__container_of(node, brg_task, age_node); }

/* One that comes back from a worker is as old as it was; mostly it is older than all that wait. */
void brg__age_add_locked(brg_pool *pool, brg_task *task)
{
    uint8_t band = task->item.band;
    brg__node *head = &pool->by_age[band].head, *next = head;
    if (task->age == 0)
        task->age = ++pool->ages;
    else if (head->previous != head && admission_task_of(head->previous)->age > task->age)
        for (next = head->next; admission_task_of(next)->age < task->age; next = next->next)
            ;
    brg__list_insert_before(next, &task->age_node);
    pool->band_count[band]++;
    pool->band_bytes[band] += task->input_bytes;
}

void brg__age_remove_locked(brg_pool *pool, brg_task *task)
{
    brg__list_remove(&task->age_node);
    pool->band_count[task->item.band]--;
    pool->band_bytes[task->item.band] -= task->input_bytes;
}

/* Whether there is room once all that are no more urgent than `band` are gone: else none is dropped in vain. */
static bool admission_can_drop_locked(const brg_pool *pool, uint8_t band, size_t bytes)
{
    uint64_t count = brg__pool_admitted_locked(pool), used = pool->waiting_bytes - pool->hooked_bytes;
    for (uint32_t b = band; b < BRG_BAND_COUNT; b++) {
        count -= pool->band_count[b];
        used -= pool->band_bytes[b];
    }
    return count < pool->options.queue_max && (used == 0 || used + bytes <= pool->options.queue_bytes_max);
}

/* Drops one that waits and is no more urgent than `band`; false: there is none. */
static bool admission_drop_locked(brg_pool *pool, uint8_t band)
{
    for (int b = BRG_BAND_COUNT - 1; b >= (int)band; b--) {
        brg__list *list = &pool->by_age[b];
        if (brg__list_is_empty(list))
            continue;
        bool oldest = pool->options.admission == BRG_ADMISSION_DROP_OLDEST;
        brg__node *node = oldest ? list->head.next : list->head.previous;
        brg_task *task = brg__container_of(node, brg_task, age_node);
        brg__task_unwait_locked(pool, task);
        pool->dropped++;
        brg__task_settle_plain(task, BRG_FULL, "the task was dropped to make room in a full queue");
        return true;
    }
    return false;
}

static brg_status admission_make_room_locked(brg_pool *pool, const brg_item *item, size_t bytes)
{
    switch (pool->options.admission) {
    case BRG_ADMISSION_BLOCK:
    case BRG_ADMISSION_CALLER_RUNS: /* who may run it does not come here */
        return brg__pool_own_slot(pool) != NULL ? BRG_DEADLOCK : admission_wait_locked(pool, bytes);
    case BRG_ADMISSION_DROP_OLDEST:
    case BRG_ADMISSION_DROP_NEWEST:
        if (!admission_can_drop_locked(pool, item->band, bytes))
            return BRG_FULL;
        while (admission_is_full_locked(pool, bytes) && admission_drop_locked(pool, item->band))
            ;
        brg__pool_level_locked(pool);
        return BRG_OK;
    default:
        return BRG_FULL;
    }
}

brg_status brg__pool_admit_locked(brg_pool *pool, const brg_item *item, size_t bytes, bool may_run_here)
{
    if (pool->mode != BRG__POOL_OPEN)
        return BRG_CLOSED;
    if (BRG__UNLIKELY(admission_is_full_locked(pool, bytes))) {
        if (may_run_here)
            return BRG_FULL;
        brg_status status = admission_make_room_locked(pool, item, bytes);
        if (status != BRG_OK) {
            pool->rejected += status != BRG_DEADLOCK;
            brg__see_pool_rejected_locked(pool, NULL, status, brg__pool_admitted_locked(pool));
            return status;
        }
        if (pool->mode != BRG__POOL_OPEN)
            return BRG_CLOSED;
    }
    return pool->breaker_until != 0 ? BRG_UNAVAILABLE : BRG_OK;
}
