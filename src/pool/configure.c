/* SPDX-License-Identifier: MIT */
/*
 * What workers run before users' tasks: the configuration and the prewarm task.
 *
 * Each is a task pinned to the worker's slot, named or nameless like any other, so that it is run, timed, sent to a
 * process and ended with its worker by what does that for all tasks. A worker that is not fit for users' tasks, because
 * one failed, is ended between tasks (recycle.c) and replaced. When that happens before it was online, it counts as a
 * failed start.
 */
#include "os/clock.h"
#include "os/memory.h"
#include "pool/batch.h"
#include "pool/internal.h"
#include "pool/observe.h"
#include "pool/submit.h"

#define CONFIGURE_TIMEOUT_NS BRG_SECONDS(30) /* without start_timeout_ns */

/* ---- tasks of the library's own ---------------------------------------------------------------------------------- */

static void internal_fill_locked(brg_pool *pool, brg_task *task, const char *name, const brg_value *input)
{
    uint64_t timeout = pool->options.start_timeout_ns != 0 ? pool->options.start_timeout_ns : CONFIGURE_TIMEOUT_NS;
    brg__work work = {.name = name, .kind = BRG__TASK_INTERNAL};
    brg_submit_options options = {
        .size = sizeof(options), .run_timeout_ns = timeout, .queue_timeout_ns = BRG_FOREVER, .attempts_max = 1};
    if (input != NULL)
        work.input = brg_value_ref(input);
    brg__submit_fill_locked(pool, task, &work, &options, false);
}

static brg_task *internal_first(const brg__slot *slot, brg__node *node)
{
    return node == &slot->seat.pinned.head ? NULL : brg__task_of(brg__node_item(node));
}

/* Behind others of its kind, before all else. */
static void internal_pin_locked(brg_pool *pool, brg_task *task, brg__slot *slot)
{
    brg__node *next = slot->seat.pinned.head.next;
    brg_task *other;
    while ((other = internal_first(slot, next)) != NULL && brg__task_is(other, BRG__TASK_INTERNAL))
        next = next->next;
    pool->submitted++;
    pool->internal++;
    brg__pool_count_locked(pool, task);
    brg_store_relaxed(&task->place, (uint8_t)BRG__PLACE_QUEUE);
    brg__schedule_pin_before(&pool->schedule, &slot->seat, &task->item, next);
}

/* `count` tasks that are not filled, as a chain; NULL: no memory, or none were wanted. */
static brg_task *internal_new_locked(brg_pool *pool, uint32_t count)
{
    brg_task *chain = NULL;
    for (uint32_t i = 0; i < count; i++) {
        brg_task *task = brg__task_new_locked(pool);
        if (task == NULL)
            break;
        task->next = chain;
        chain = task;
        if (i + 1 == count)
            return chain;
    }
    while (chain != NULL) {
        brg_task *next = chain->next;
        brg__task_discard(chain);
        chain = next;
    }
    return NULL;
}

static brg_task *internal_pop(brg_task **chain)
{
    brg_task *task = *chain;
    *chain = task->next;
    return task;
}

/* ---- how they end ------------------------------------------------------------------------------------------------ */

/* It must get no task of a user. */
static void internal_failed_locked(brg_pool *pool, brg__slot *slot, const brg_task *task, const brg__outcome *outcome)
{
    slot->warm_failed = true;
    slot->warm_error = outcome->error != NULL ? *outcome->error : *brg__error_of_status(outcome->status);
    slot->warm_error.status = outcome->status;
    bool was_waiting = task->place == BRG__PLACE_QUEUE;
    bool is_between = brg__pool_has_processes(pool) ? slot->ahead_count == 0
                                                    : was_waiting && (!slot->online || slot->seat.seen.is_idle);
    if (is_between) /* else its worker looks when it is */
        brg__slot_recycle_locked(slot);
}

static void internal_ended_locked(brg_pool *pool, const brg_task *task, const brg__outcome *outcome)
{
    brg__slot *slot = pool->slots[task->item.reserved_2];
    pool->internal_ended++;
    slot->settled_before += task->place != BRG__PLACE_QUEUE; /* it counts as served, and was no user's */
    if (slot->worker == NULL || slot->ending || slot->retiring)
        return; /* what comes after it begins anew */
    if (outcome->status != BRG_OK) {
        if (pool->mode < BRG__POOL_STOP)
            internal_failed_locked(pool, slot, task, outcome);
    } else if (slot->warming != 0 && --slot->warming == 0) {
        brg__slot_online_locked(slot);
    }
}

void brg__task_ended_internal(brg_task *task, const brg__outcome *outcome, bool has_lock)
{
    brg_pool *pool = task->pool;
    if (brg__task_is(task, BRG__TASK_CARRIER))
        brg__batch_ended(task, outcome, has_lock);
    if (!brg__task_is(task, BRG__TASK_INTERNAL))
        return;
    if (!has_lock)
        brg__pool_lock(pool);
    if (brg__task_is_strand(task))
        brg__strand_ended_locked(task, outcome);
    else
        internal_ended_locked(pool, task, outcome);
    if (!has_lock)
        brg__pool_unlock(pool);
}

/* ---- a new worker ------------------------------------------------------------------------------------------------ */

int brg__warm_begin_locked(brg_pool *pool, brg__slot *slot)
{
    const char *prewarm = pool->options.prewarm_task;
    uint32_t count = (uint32_t)(pool->config != NULL) + (uint32_t)(prewarm != NULL);
    slot->warm_failed = false;
    if (count == 0 || slot->ending)
        return 0;
    brg_task *chain = internal_new_locked(pool, count);
    if (chain == NULL) {
        slot->warm_failed = true;
        slot->warm_error = *brg__error_of_status(BRG_NO_MEMORY);
        brg__slot_recycle_locked(slot);
        return -1;
    }
    slot->warming = count;
    if (pool->config != NULL) {
        brg_task *task = internal_pop(&chain);
        internal_fill_locked(pool, task, BRG__TASK_CONFIGURE, pool->config);
        internal_pin_locked(pool, task, slot);
    }
    if (prewarm != NULL) {
        internal_fill_locked(pool, chain, prewarm, pool->options.prewarm_input);
        internal_pin_locked(pool, chain, slot);
    }
    brg__pool_wake_slot_locked(pool, slot);
    return (int)count;
}

void brg__warm_end_locked(brg_pool *pool, brg__slot *slot)
{
    brg_task *task;
    slot->warming = 0;
    while ((task = internal_first(slot, slot->seat.pinned.head.next)) != NULL &&
           brg__task_is(task, BRG__TASK_INTERNAL)) {
        brg__task_unwait_locked(pool, task);
        brg__task_settle_plain(task, BRG_CANCELLED, "the worker ended");
    }
}

/* ---- configuring ------------------------------------------------------------------------------------------------- */

void brg__config_free(brg_pool *pool) { brg_value_unref(pool->config); }

static brg_status configure_check(const brg_pool *pool, const brg_value *config, brg_error *error)
{
    if (pool == NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "the pool must not be NULL");
    if (pool->generation != brg__fork_generation())
        return brg_error_set(error, BRG_FORKED, "pool", "the pool belongs to the parent of this forked process");
    if (config == NULL)
        return BRG_OK;
    if (brg__value_has_movables(config))
        return brg_error_set(error, BRG_UNSUPPORTED, "pool",
                             "a configuration goes to many workers: it cannot hold ports or descriptors");
    size_t size = brg__value_copied_bytes(config);
    if (size > pool->options.message_bytes_max)
        return brg_error_set(error, BRG_TOO_LARGE, "pool", "the configuration has %zu bytes, message_bytes_max is %zu",
                             size, pool->options.message_bytes_max);
    return BRG_OK;
}

/* It has begun: what comes later must be told it. Those that have not get it when they begin. */
static bool configure_is_for(const brg__slot *slot)
{
    return slot->worker != NULL && !slot->ending && !slot->retiring && (slot->online || slot->warming != 0);
}

static void configure_slot_locked(brg_pool *pool, brg__slot *slot, brg_task *task, const brg_value *config)
{
    if (brg__pool_has_processes(pool))
        brg__slot_recall_locked(slot); /* what has not started comes after it */
    else
        brg__hand_reclaim_locked(slot);
    internal_fill_locked(pool, task, BRG__TASK_CONFIGURE, config);
    slot->warming += slot->warming != 0;
    internal_pin_locked(pool, task, slot);
    brg__pool_wake_slot_locked(pool, slot);
}

static brg_status configure_locked(brg_pool *pool, brg_value *config, brg_error *error)
{
    if (pool->mode != BRG__POOL_OPEN)
        return brg_error_set(error, BRG_CLOSED, "pool", "the pool is shutting down");
    uint32_t count = 0;
    for (uint32_t i = 0; i < pool->slot_count; i++)
        count += configure_is_for(pool->slots[i]);
    brg_task *chain = internal_new_locked(pool, count);
    if (chain == NULL && count != 0)
        return brg__error_memory(error, "a configuration");
    pool->config = config;
    brg__see_pool_configured_locked(pool, NULL, BRG_OK, count);
    for (uint32_t i = 0; chain != NULL && i < pool->slot_count; i++)
        if (configure_is_for(pool->slots[i]))
            configure_slot_locked(pool, pool->slots[i], internal_pop(&chain), config);
    brg__pool_dispatch_locked(pool); /* what was taken back */
    return BRG_OK;
}

brg_status brg_pool_configure(brg_pool *pool, brg_value *config, brg_error *error)
{
    brg_status status = configure_check(pool, config, error);
    if (status != BRG_OK)
        return status;
    brg__pool_lock(pool);
    brg_value *before = pool->config;
    status = configure_locked(pool, config, error);
    brg__pool_unlock(pool);
    if (status == BRG_OK)
        brg_value_unref(before);
    return status;
}
