/* SPDX-License-Identifier: MIT */
/* One task for each worker: pinned to its slot, accepted together or not at all. */
#include "pool/extras.h"
#include "pool/submit.h"

static brg_status all_check_options(const brg_submit_options *options)
{
    const struct {
        const char *name;
        bool is_set;
    } fields[] = {{"key", options->key != 0},
                  {"tags", options->tags != 0},
                  {"delay_ns", options->delay_ns != 0},
                  {"after", options->after != NULL || options->after_count != 0 || options->after_any}};
    for (size_t i = 0; i < brg__count_of(fields); i++)
        if (fields[i].is_set)
            return brg_error_set(options->error, BRG_INVALID, "pool", "%s does not apply to a task of every worker",
                                 fields[i].name);
    return BRG_OK;
}

/* A worker is there, or comes; not one that leaves for good. */
static bool all_is_for(const brg_pool *pool, const brg__slot *slot)
{
    if (slot->worker == NULL)
        return slot->restart_at == UINT64_MAX;
    return !slot->retiring || pool->workers <= pool->target;
}

static uint32_t all_count_locked(const brg_pool *pool)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < pool->slot_count; i++)
        count += all_is_for(pool, pool->slots[i]);
    return count;
}

static brg_task *all_pop(brg_task **chain)
{
    brg_task *task = *chain;
    *chain = task->outer;
    task->outer = NULL;
    return task;
}

static brg_status all_make_extras_locked(brg_task *task)
{
    brg__extras *extras = brg__extras_of_locked(task);
    if (extras == NULL)
        return BRG_NO_MEMORY;
    extras->task = task;
    return BRG_OK;
}

/* `count` tasks with all they need but token and group, which cannot fail, chained by `outer`. */
static brg_status all_make_locked(brg_pool *pool, const brg__work *work, const brg_submit_options *options,
                                  uint32_t count, brg_task **chain)
{
    brg_submit_options bare = *options;
    bare.token = NULL;
    bare.group = NULL;
    brg_status status = BRG_OK;
    for (uint32_t i = 0; i < count && status == BRG_OK; i++) {
        brg_task *task = brg__task_new_locked(pool);
        if (task == NULL) {
            status = BRG_NO_MEMORY;
            break;
        }
        brg__submit_fill_locked(pool, task, work, options, false);
        task->outer = *chain;
        *chain = task;
        status = brg__submit_prepare_locked(pool, task, &bare);
        if (status == BRG_OK && (options->token != NULL || options->group != NULL))
            status = all_make_extras_locked(task);
    }
    while (status != BRG_OK && *chain != NULL)
        brg__task_discard(all_pop(chain));
    return status;
}

static void all_pin_locked(brg_pool *pool, brg_task *task, const brg_submit_options *options, brg__slot *slot)
{
    if (task->input != NULL)
        brg_value_ref(task->input);
    task->id = pool->submitted + 1; /* all were made before the first was accepted */
    if (options->token != NULL)
        brg__bunch_join_locked(task, options->token);
    if (options->group != NULL)
        brg__group_join_locked(options->group, task);
    brg__submit_accept_locked(pool, task, options);
    if (brg__task_is(task, BRG__TASK_EXTRAS) && brg__extras_is_blocked_locked(task)) { /* by a cancelled token */
        brg__pool_count_locked(pool, task);
        brg__task_block_locked(pool, task);
        brg__extras_settle_doomed_locked(task);
    } else {
        brg__task_pin_locked(pool, task, slot);
    }
}

static brg_status all_submit_locked(brg_pool *pool, const brg__work *work, const brg_submit_options *options,
                                    uint32_t *count)
{
    const brg_item wanted = {.band = brg__submit_band(options->priority)};
    brg_status status = brg__pool_admit_locked(pool, &wanted, work->input_bytes * all_count_locked(pool), false);
    uint32_t workers = all_count_locked(pool); /* it may have waited */
    brg_task *chain = NULL;
    if (status == BRG_OK && workers > 1 && work->input != NULL && brg__value_has_movables(work->input))
        return brg_error_set(options->error, BRG_UNSUPPORTED, "pool",
                             "the input goes to %u workers: it cannot hold ports or descriptors", workers);
    if (status == BRG_OK)
        status = all_make_locked(pool, work, options, workers, &chain);
    if (status != BRG_OK)
        return brg__submit_error(pool, options, status);
    for (uint32_t i = 0; chain != NULL && i < pool->slot_count; i++)
        if (all_is_for(pool, pool->slots[i]))
            all_pin_locked(pool, all_pop(&chain), options, pool->slots[i]);
    *count = workers;
    return BRG_OK;
}

brg_status brg_pool_submit_all(brg_pool *pool, const char *name, brg_value *input, const brg_submit_options *given,
                               uint32_t *count)
{
    brg_submit_options options;
    brg__work work;
    uint32_t workers = 0;
    brg_status status = brg__submit_read_named(pool, name, input, given, &options, &work);
    if (status == BRG_OK)
        status = all_check_options(&options);
    if (status == BRG_OK && options.token != NULL)
        status = brg__bunch_hold(pool, options.token, options.error);
    if (status != BRG_OK)
        return status;
    brg__pool_lock(pool);
    status = all_submit_locked(pool, &work, &options, &workers);
    if (options.token != NULL)
        brg__bunch_unhold_locked(pool, options.token);
    brg__pool_unlock(pool);
    if (status != BRG_OK)
        return status;
    brg_value_unref(input); /* the tasks have their own */
    if (count != NULL)
        *count = workers;
    return BRG_OK;
}
