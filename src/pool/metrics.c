/* SPDX-License-Identifier: MIT */
/* Measuring: which tasks are timed and what is recorded of them. metrics_read.c reads it. */
#include "pool/metrics.h"

#include <string.h>

#include "message/utf8.h"
#include "os/clock.h"
#include "os/memory.h"

/* ---- memory ------------------------------------------------------------------------------------------------------ */

brg_status brg__meter_init(const brg_pool *pool, brg__settled *counts)
{
    if (pool->options.no_metrics)
        return BRG_OK;
    counts->meter = brg__calloc_aligned(sizeof(*counts->meter));
    return counts->meter != NULL ? BRG_OK : BRG_NO_MEMORY;
}

void brg__meter_free(brg__settled *counts)
{
    brg__mfree_aligned(counts->meter);
    counts->meter = NULL;
}

brg_status brg__metrics_init(brg_pool *pool)
{
    uint64_t now = brg__now();
    pool->created_ns = now;
    if (brg__metrics_event_init(pool) != BRG_OK)
        return BRG_NO_MEMORY;
    if (pool->options.no_metrics)
        return BRG_OK;
    pool->metrics = brg__calloc(1, sizeof(*pool->metrics));
    if (pool->metrics == NULL)
        return BRG_NO_MEMORY;
    brg__recent_init(&pool->metrics->recent, now);
    pool->metrics->names = 1;
    strcpy(pool->metrics->name[BRG__NAME_FUNCTION].name, BRG_METRICS_FUNCTIONS);
    strcpy(pool->metrics->name[BRG__NAME_OTHERS].name, BRG_METRICS_OTHERS);
    brg__histogram **functions = &pool->metrics->name[BRG__NAME_FUNCTION].xrun;
    *functions = brg__calloc(1, sizeof(**functions));
    if (*functions == NULL)
        return BRG_NO_MEMORY;
    brg__sampler_init(&pool->sampler, now, pool->options.seed);
    return brg__meter_init(pool, &pool->settled);
}

void brg__metrics_free(brg_pool *pool)
{
    brg__metrics_event_free(pool);
    brg__meter_free(&pool->settled);
    for (uint32_t i = 0; pool->metrics != NULL && i < BRG__NAME_COUNT; i++)
        brg__mfree(pool->metrics->name[i].xrun);
    brg__mfree(pool->metrics);
}

/* ---- submit ------------------------------------------------------------------------------------------------------ */

void brg__metrics_sample_locked(brg_pool *pool, brg_task *task)
{
    uint64_t now = brg__now();
    task->sample = (uint8_t)(brg__sampler_take(&pool->sampler, now) + 1);
    task->submitted_ns = now;
    task->started_ns = 0;
}

/* Whether no other name looks like it where names are shown. */
static bool metrics_may_show(const char *text)
{
    return strcmp(text, BRG_METRICS_FUNCTIONS) != 0 && strcmp(text, BRG_METRICS_OTHERS) != 0 &&
           brg__utf8_check(text, strlen(text));
}

static uint8_t metrics_new_name_locked(brg__metrics *metrics, const char *text, uint64_t hash)
{
    uint8_t index = BRG__NAME_OTHERS;
    if (metrics->names <= BRG_METRICS_NAMES_MAX && metrics_may_show(text))
        index = (uint8_t)metrics->names++;
    brg__metrics_name *name = &metrics->name[index];
    if (index != BRG__NAME_OTHERS) {
        name->hash = hash;
        memcpy(name->name, text, strlen(text) + 1);
    }
    if (name->xrun == NULL)
        brg_store_release(&name->xrun, brg__calloc(1, sizeof(*name->xrun))); /* pairs with those of readers */
    return index;
}

void brg__metrics_name_locked(brg_pool *pool, brg_task *task)
{
    brg__metrics *metrics = pool->metrics;
    task->name_index = metrics->last_name;
    if (metrics->last_name != 0 && strcmp(metrics->name[metrics->last_name].name, task->name) == 0)
        return; /* mostly it is the same again */
    uint64_t hash = brg_key(task->name);
    uint32_t index = 1;
    while (index < metrics->names &&
           (metrics->name[index].hash != hash || strcmp(metrics->name[index].name, task->name) != 0))
        index++;
    task->name_index = index < metrics->names ? (uint8_t)index : metrics_new_name_locked(metrics, task->name, hash);
    if (task->name_index != BRG__NAME_OTHERS)
        metrics->last_name = task->name_index;
}

/* ---- settling ---------------------------------------------------------------------------------------------------- */

/* Whether an attempt at it ended just now, and it does not settle in the queue. */
static bool metrics_has_run(const brg_task *task, const brg__outcome *outcome)
{
    return task->started_ns != 0 && task->attempts != 0 &&
           (outcome->worker_id != 0 || brg_load_relaxed(&task->place) == BRG__PLACE_NESTED);
}

static void metrics_record(const brg_task *task, const brg__outcome *outcome, brg__settled *counts, bool has_lock)
{
    brg_pool *pool = task->pool;
    brg__metrics *metrics = pool->metrics;
    brg__meter *meter = counts->meter;
    uint64_t weight = UINT64_C(1) << (task->sample - 1);
    uint64_t ended = task->started_ns + outcome->run_ns;
    if (BRG__UNLIKELY(ended >= brg_load_relaxed(&metrics->recent.xnext_ns))) {
        if (!has_lock)
            brg__pool_lock(pool);
        brg__metrics_move_locked(pool, brg__now());
        if (!has_lock)
            brg__pool_unlock(pool);
    }
    uint64_t waited = task->started_ns > task->submitted_ns ? task->started_ns - task->submitted_ns : 0;
    brg__histogram_add(&meter->times[BRG__TIME_WAIT], waited, weight);
    brg__histogram_add(&meter->times[BRG__TIME_RUN], outcome->run_ns, weight);
    brg_store_relaxed(&meter->xtimed, meter->xtimed + 1);
    brg__histogram *named = brg_load_acquire(&metrics->name[task->name_index].xrun);
    if (named != NULL)
        brg__histogram_add_shared(named, outcome->run_ns, weight);
}

void brg__metrics_settled(const brg_task *task, const brg__outcome *outcome, brg_task_state state, brg__settled *counts,
                          bool has_lock)
{
    if (task->name_index != 0) {
        uint64_t *count = &counts->meter->xnames[task->name_index][state - BRG_TASK_DONE];
        brg_store_relaxed(count, *count + 1);
    }
    if (task->sample != 0 && metrics_has_run(task, outcome))
        metrics_record(task, outcome, counts, has_lock);
}

/* ---- the last minute --------------------------------------------------------------------------------------------- */

static uint64_t metrics_settled(const brg__settled *counts)
{
    uint64_t settled = 0;
    for (int state = BRG_TASK_DONE; state <= BRG_TASK_LOST; state++)
        settled += brg_load_relaxed(&counts->by_state[state]);
    return settled;
}

brg__totals brg__metrics_totals_locked(brg_pool *pool, uint64_t now)
{
    brg__pool_account_locked(pool, now);
    brg__totals totals = {metrics_settled(&pool->settled), pool->busy_ns, pool->worker_ns};
    for (uint32_t i = 0; i < pool->slot_count; i++)
        totals.settled += metrics_settled(&pool->slots[i]->xsettled);
    return totals;
}

void brg__metrics_sum(brg__histogram *to, const brg__meter *const *meters, uint32_t count, int time)
{
    memset(to, 0, sizeof(*to));
    for (uint32_t i = 0; i < count; i++)
        brg__histogram_merge(to, &meters[i]->times[time]);
}

void brg__metrics_move_locked(brg_pool *pool, uint64_t now)
{
    brg__metrics *metrics = pool->metrics;
    if (metrics == NULL || now < metrics->recent.xnext_ns)
        return;
    brg__totals totals = brg__metrics_totals_locked(pool, now);
    if (brg__recent_wants_times(&metrics->recent, now)) {
        memset(metrics->moving, 0, sizeof(metrics->moving));
        for (int time = 0; time < BRG__TIME_COUNT; time++) {
            brg__histogram_merge(&metrics->moving[time], &pool->settled.meter->times[time]);
            for (uint32_t i = 0; i < pool->slot_count; i++)
                brg__histogram_merge(&metrics->moving[time], &pool->slots[i]->xsettled.meter->times[time]);
        }
    }
    brg__recent_move(&metrics->recent, now, &totals, metrics->moving);
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

static uint64_t metrics_errors(const brg__slot *slot)
{
    const brg__settled *counts = &slot->xsettled;
    return brg_load_relaxed(&counts->by_state[BRG_TASK_FAILED]) +
           brg_load_relaxed(&counts->by_state[BRG_TASK_TIMED_OUT]) +
           brg_load_relaxed(&counts->by_state[BRG_TASK_LOST]) + brg_load_relaxed(&counts->retried);
}

void brg__metrics_begin_locked(brg__slot *slot)
{
    slot->starts++;
    slot->errors_before = metrics_errors(slot);
}

uint64_t brg__slot_errors(const brg__slot *slot)
{
    uint64_t errors = metrics_errors(slot);
    return errors > slot->errors_before ? errors - slot->errors_before : 0;
}
