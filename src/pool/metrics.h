/* SPDX-License-Identifier: MIT */
/*
 * Measuring, from the inside.
 *
 * A task whose times count has task->sample set since its submit: it has clocks anyway, or the sampler chose it
 * (sampler.h). Who starts it notes when, who ends it how long it ran, both where they did for tasks with clocks, and
 * settling records it (brg__metrics_settled), in the meter beside the counts it is counted in. So a meter has one writer, as those have: the
 * thread of a slot's worker; or, for process workers and for the pool's own, who holds the lock. Histograms of names
 * are shared by all workers.
 */
#ifndef BRG_POOL_METRICS_H
#define BRG_POOL_METRICS_H

#include <brigade/metrics.h>

#include "pool/pool.h"
#include "pool/recent.h"

/* task->name_index. */
#define BRG__NAME_FUNCTION 0
#define BRG__NAME_OTHERS (BRG_METRICS_NAMES_MAX + 1)
#define BRG__NAME_COUNT (BRG_METRICS_NAMES_MAX + 2)

#define BRG__END_COUNT (BRG_TASK_LOST - BRG_TASK_DONE + 1)

typedef struct brg__meter {
    brg__histogram times[BRG__TIME_COUNT];
    uint64_t xtimed;
    uint64_t xnames[BRG__NAME_COUNT][BRG__END_COUNT]; /* how tasks ended; those of functions are what is left */
} brg__meter;

typedef struct brg__metrics_name {
    uint64_t hash;
    brg__histogram *xrun; /* NULL: there was no memory */
    char name[BRG_TASK_NAME_MAX + 1];
} brg__metrics_name;

typedef struct brg__metrics {
    brg__recent recent;
    uint32_t names;    /* in use, functions included, others not; names of tasks that were accepted */
    uint8_t last_name; /* that was found */
    brg__metrics_name name[BRG__NAME_COUNT];
    brg__histogram moving[BRG__TIME_COUNT]; /* what is summed up under the lock */
    uint64_t functions[BRG__END_COUNT];     /* how they ended, as the last reading saw it: counts must not fall */
} brg__metrics;

/* Of a pool with its options; nothing with no_metrics. Errors: BRG_NO_MEMORY. */
brg_status brg__metrics_init(brg_pool *pool);
void brg__metrics_free(brg_pool *pool);
brg_status brg__meter_init(const brg_pool *pool, brg__settled *counts);
void brg__meter_free(brg__settled *counts);

static inline bool brg__task_is_sampled(const brg_task *task) { return BRG__UNLIKELY(task->sample != 0); }
static inline bool brg__task_is_timed(const brg_task *task)
{
    return brg__task_is(task, BRG__TASK_CLOCK) || brg__task_is_sampled(task);
}

/* The task was chosen: its clock starts. Lock held. */
void brg__metrics_sample_locked(brg_pool *pool, brg_task *task);
void brg__metrics_name_locked(brg_pool *pool, brg_task *task);

/* A task is filled, with its clocks and its name. Lock held. */
static inline void brg__metrics_submit_locked(brg_pool *pool, brg_task *task)
{
    if (pool->metrics == NULL || brg__task_is(task, BRG__TASK_INTERNAL))
        return;
    if (brg__task_is(task, BRG__TASK_CLOCK))
        task->sample = 1;
    else if (brg__sampler_is_next(&pool->sampler))
        brg__metrics_sample_locked(pool, task);
    if (task->call == NULL)
        brg__metrics_name_locked(pool, task);
}

/* A task that is measured settles; its place is still where it was. As brg__task_settle. */
void brg__metrics_settled(const brg_task *task, const brg__outcome *outcome, brg_task_state state, brg__settled *counts,
                          bool has_lock);

/* A border of the last minute has passed; nothing otherwise. Lock held. */
void brg__metrics_move_locked(brg_pool *pool, uint64_t now);
/* Counters as they are. Lock held. */
brg__totals brg__metrics_totals_locked(brg_pool *pool, uint64_t now);
/* Adds up a kind of times over all meters, which the caller keeps alive. */
void brg__metrics_sum(brg__histogram *to, const brg__meter *const *meters, uint32_t count, int time);

/* The slot gets a worker. Lock held. */
void brg__metrics_begin_locked(brg__slot *slot);
/* What did not succeed on its worker. */
uint64_t brg__slot_errors(const brg__slot *slot);

/* metrics_event.c: the periodic event. */
brg_status brg__metrics_event_init(brg_pool *pool);
void brg__metrics_event_begin(brg_pool *pool); /* the pool is made */
void brg__metrics_event_free(brg_pool *pool);
/* Owner thread, from destroy: what is posted runs, nothing comes after it. */
void brg__metrics_event_end(brg_pool *pool);
uint64_t brg__metrics_event_locked(brg_pool *pool, uint64_t now); /* posts it if it is due; when it is next */

#endif
