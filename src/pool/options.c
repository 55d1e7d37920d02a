/* SPDX-License-Identifier: MIT */
/* The options of a pool: what is wrong with them, their defaults, and changing them while it runs. */
#include <stddef.h>
#include <string.h>

#include "base/options.h"
#include "os/clock.h"
#include "os/library.h"
#include "os/memory.h"
#include "os/thread.h"
#include "pool/observe.h"
#include "pool/pool.h"

#define OPTIONS_WORKERS_MAX 4096
#define OPTIONS_BATCH_MAX 4096
#define OPTIONS_QUEUE_DEFAULT 65536
#define OPTIONS_GROW_BUSY_DEFAULT 80
#define OPTIONS_QUEUE_BYTES_DEFAULT ((size_t)256 << 20)
#define OPTIONS_MESSAGE_BYTES_DEFAULT ((size_t)64 << 20)
#define OPTIONS_RETRY_ALL                                                                                              \
    (uint32_t)(BRG_RETRY_CRASH | BRG_RETRY_TIMEOUT | BRG_RETRY_FAILED | BRG_RETRY_MEMORY | BRG_RETRY_TRANSIENT)

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static brg_status options_check_where(const brg_pool_options *options, brg_error *error)
{
    if (options->isolation != BRG_ISOLATION_THREAD && options->isolation != BRG_ISOLATION_PROCESS)
        return brg_error_set(error, BRG_INVALID, "pool", "isolation %d is neither thread nor process",
                             (int)options->isolation);
    if (options->module != NULL && options->linked_module != NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "give module or linked_module, not both");
    if (options->isolation == BRG_ISOLATION_PROCESS && options->module == NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "process workers need .module, the path of a shared object");
    if (options->module != NULL && !brg__library_exists(options->module))
        return brg_error_set(error, BRG_NOT_FOUND, "pool", "module %s: no such file", options->module);
    if (options->prewarm_task != NULL && options->module == NULL && options->linked_module == NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "prewarm_task \"%s\" needs a module", options->prewarm_task);
    if (options->prewarm_task != NULL &&
        (options->prewarm_task[0] == '\0' || strlen(options->prewarm_task) > BRG_TASK_NAME_MAX))
        return brg_error_set(error, BRG_INVALID, "pool", "prewarm_task: a task name has 1 to %d bytes",
                             BRG_TASK_NAME_MAX);
    if (options->prewarm_input != NULL && options->prewarm_task == NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "prewarm_input needs prewarm_task");
    if (options->prewarm_input != NULL && brg__value_has_movables(options->prewarm_input))
        return brg_error_set(error, BRG_UNSUPPORTED, "pool",
                             "prewarm_input goes to every worker: it cannot hold ports or descriptors");
    return BRG_OK;
}

static brg_status options_check_policies(const brg_pool_options *options, brg_error *error)
{
    const brg_queue_policy *queue = options->queue;
    const brg_placement_policy *placement = options->placement;
    const brg_scaling_policy *scaling = options->scaling;
    if (queue != NULL && (queue->size < sizeof(*queue) || queue->init == NULL || queue->push == NULL ||
                          queue->push_front == NULL || queue->pop == NULL || queue->remove == NULL))
        return brg_error_set(error, BRG_INVALID, "pool",
                             "the queue policy lacks its size, or one of init, push, push_front, pop and remove");
    if (placement != NULL && (placement->size < sizeof(*placement) || (placement->steals && placement->choose == NULL)))
        return brg_error_set(error, BRG_INVALID, "pool",
                             "the placement policy lacks its size, or choose, if it steals");
    if (placement != NULL && ((unsigned)placement->share > BRG_SHARE_BY_KEY ||
                              (placement->share == BRG_SHARE_BY_KEY && placement->choose == NULL)))
        return brg_error_set(
            error, BRG_INVALID, "pool",
            "the placement policy's share is %d: one of brg_share is wanted, and BRG_SHARE_BY_KEY needs choose",
            (int)placement->share);
    if (scaling != NULL && (scaling->size < sizeof(*scaling) || scaling->target == NULL))
        return brg_error_set(error, BRG_INVALID, "pool", "the scaling policy lacks its size or target");
    return BRG_OK;
}

static brg_status options_check_percents(const brg_pool_options *options, brg_error *error)
{
    if (options->retry_jitter_percent > 100 || options->grow_busy_percent > 100 || options->shrink_busy_percent > 100)
        return brg_error_set(error, BRG_INVALID, "pool",
                             "retry_jitter_percent, grow_busy_percent and shrink_busy_percent are at most 100");
    uint32_t grow = options->grow_busy_percent != 0 ? options->grow_busy_percent : OPTIONS_GROW_BUSY_DEFAULT;
    if (options->shrink_busy_percent >= grow)
        return brg_error_set(error, BRG_INVALID, "pool", "shrink_busy_percent %u must be below grow_busy_percent %u",
                             options->shrink_busy_percent, grow);
    return BRG_OK;
}

/* Of options as given or with defaults: zeros pass. Also after a change at run time. */
static brg_status options_check_numbers(const brg_pool_options *options, brg_error *error)
{
    if (options->workers_max > OPTIONS_WORKERS_MAX)
        return brg_error_set(error, BRG_INVALID, "pool", "workers_max %u is above %d", options->workers_max,
                             OPTIONS_WORKERS_MAX);
    if (options->workers_max != 0 && options->workers_min != BRG_NO_WORKERS &&
        options->workers_min > options->workers_max)
        return brg_error_set(error, BRG_INVALID, "pool", "workers_min %u is above workers_max %u", options->workers_min,
                             options->workers_max);
    if (options->batch_size > OPTIONS_BATCH_MAX)
        return brg_error_set(error, BRG_INVALID, "pool", "batch_size %u is above %d", options->batch_size,
                             OPTIONS_BATCH_MAX);
    if ((options->retry_on & ~OPTIONS_RETRY_ALL) != 0)
        return brg_error_set(error, BRG_INVALID, "pool", "retry_on has unknown flags: 0x%x", options->retry_on);
    uint32_t most = options->queue_max != 0 ? options->queue_max : OPTIONS_QUEUE_DEFAULT;
    uint32_t high = options->queue_high != 0 ? options->queue_high : most;
    if (high > most)
        return brg_error_set(error, BRG_INVALID, "pool", "queue_high %u is above queue_max %u", high, most);
    if (options->queue_low >= high)
        return brg_error_set(error, BRG_INVALID, "pool", "queue_low %u must be below queue_high %u", options->queue_low,
                             high);
    return options_check_percents(options, error);
}

static brg_status options_check_choices(const brg_pool_options *options, brg_error *error)
{
    if ((unsigned)options->admission > BRG_ADMISSION_DROP_NEWEST)
        return brg_error_set(error, BRG_INVALID, "pool", "admission %d is unknown", (int)options->admission);
    if ((unsigned)options->retry_backoff > BRG_BACKOFF_EXPONENTIAL)
        return brg_error_set(error, BRG_INVALID, "pool", "retry_backoff %d is unknown", (int)options->retry_backoff);
    if (options->spin_ns == BRG_FOREVER)
        return brg_error_set(error, BRG_INVALID, "pool", "spin_ns must be bounded; use no_spin or some microseconds");
    if ((options->worker_tags == NULL) != (options->worker_tags_count == 0))
        return brg_error_set(error, BRG_INVALID, "pool", "worker_tags and worker_tags_count go together");
    if (options->loop == NULL && (options->on_full != NULL || options->on_drain != NULL ||
                                  options->on_worker_start != NULL || options->on_worker_end != NULL))
        return brg_error_set(error, BRG_INVALID, "pool", "on_full, on_drain and on_worker_... need a loop");
    if ((options->on_metrics == NULL) != (options->metrics_interval_ns == 0))
        return brg_error_set(error, BRG_INVALID, "pool", "on_metrics and metrics_interval_ns go together");
    if (options->on_metrics != NULL && options->metrics_interval_ns < BRG_MILLISECONDS(1))
        return brg_error_set(error, BRG_INVALID, "pool", "metrics_interval_ns %llu is below a millisecond",
                             (unsigned long long)options->metrics_interval_ns);
    if (options->on_metrics != NULL && options->loop == NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "on_metrics needs a loop");
    if (options->loop != NULL && !brg__loop_is_owner(options->loop))
        return brg_error_set(error, BRG_INVALID, "pool", "create the pool on the thread that owns its loop");
    return BRG_OK;
}

brg_status brg__pool_options_check(const brg_pool_options *options, brg_error *error)
{
    brg_status status = options_check_where(options, error);
    if (status == BRG_OK)
        status = options_check_policies(options, error);
    if (status == BRG_OK)
        status = options_check_numbers(options, error);
    return status == BRG_OK ? options_check_choices(options, error) : status;
}

/* ---- defaults ---------------------------------------------------------------------------------------------------- */

static void options_default_u64(uint64_t *value, uint64_t otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static void options_default_u32(uint32_t *value, uint32_t otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

/* Of scaling, batches, watermarks and retries. */
static void options_default_more(brg_pool_options *options)
{
    options_default_u32(&options->queue_high, options->queue_max);
    options_default_u32(&options->queue_low, options->queue_high / 2);
    options_default_u32(&options->grow_queued, 2);
    options_default_u32(&options->grow_busy_percent, OPTIONS_GROW_BUSY_DEFAULT);
    if (options->shrink_busy_percent == 0)
        options->shrink_busy_percent = (uint32_t)brg__min(20, options->grow_busy_percent / 2);
    options_default_u32(&options->batch_size, 1);
    options_default_u64(&options->batch_delay_ns, BRG_MILLISECONDS(1));
    options_default_u64(&options->idle_timeout_ns, BRG_SECONDS(10));
    options_default_u64(&options->scaling_interval_ns, BRG_MILLISECONDS(100));
    options_default_u64(&options->retry_delay_max_ns, BRG_SECONDS(30));
}

void brg__pool_options_default(brg_pool_options *options)
{
    if (options->workers_max == 0)
        options->workers_max = brg__cpu_count();
    if (options->queue == NULL)
        options->queue = brg_queue_fifo;
    if (options->placement == NULL)
        options->placement = brg_placement_pull;
    if (options->scaling == NULL)
        options->scaling = brg_scaling_fixed;
    if (options->name == NULL)
        options->name = "pool";
    if ((options->shares[0] | options->shares[1] | options->shares[2] | options->shares[3]) == 0)
        memcpy(options->shares, (const uint32_t[]){0, 50, 40, 10}, sizeof(options->shares));
    if (options->workers_min == 0)
        options->workers_min = options->scaling == brg_scaling_fixed ? options->workers_max : 1;
    options_default_u64(&options->seed, brg__now_real() | 1);
    if (options->queue_bytes_max == 0)
        options->queue_bytes_max = OPTIONS_QUEUE_BYTES_DEFAULT;
    if (options->message_bytes_max == 0)
        options->message_bytes_max = OPTIONS_MESSAGE_BYTES_DEFAULT;
    options_default_u32(&options->queue_max, OPTIONS_QUEUE_DEFAULT);
    options_default_u32(&options->attempts_max, 1);
    options_default_u32(&options->retry_on, BRG_RETRY_CRASH);
    options_default_u32(&options->crash_limit, 2);
    options_default_u32(&options->breaker_failures, 5);
    options_default_u64(&options->run_timeout_ns, BRG_FOREVER);
    options_default_u64(&options->queue_timeout_ns, BRG_FOREVER);
    options_default_u64(&options->grace_ns, BRG_MILLISECONDS(500));
    options_default_u64(&options->restart_min_ns, BRG_MILLISECONDS(10));
    options_default_u64(&options->restart_max_ns, BRG_SECONDS(5));
    options_default_u64(&options->breaker_open_ns, BRG_SECONDS(10));
    options_default_u64(&options->spin_ns, BRG_MICROSECONDS(50));
    options_default_more(options);
}

bool brg__pool_options_are_plain(const brg_pool_options *options)
{
    return !options->timing && options->queue_timeout_ns == BRG_FOREVER && options->run_timeout_ns == BRG_FOREVER &&
           options->heartbeat_ns == 0 && options->admission <= BRG_ADMISSION_CALLER_RUNS;
}

/* ---- changes ----------------------------------------------------------------------------------------------------- */

typedef struct options_field {
    const char *name;
    size_t offset, size;
    bool may_change;
} options_field;

#define OPTIONS_FIELD(name_, may_change_)                                                                              \
    {                                                                                                                  \
        .name = #name_, .offset = offsetof(brg_pool_options, name_), .size = sizeof(((brg_pool_options *)0)->name_),   \
        .may_change = (may_change_)                                                                                    \
    }

/* All of them, as in the header, whose asterisks say the same. */
static const options_field options_fields[] = {
    OPTIONS_FIELD(loop, false),
    OPTIONS_FIELD(isolation, false),
    OPTIONS_FIELD(module, false),
    OPTIONS_FIELD(linked_module, false),
    OPTIONS_FIELD(name, false),
    OPTIONS_FIELD(init_data, false),
    OPTIONS_FIELD(queue, false),
    OPTIONS_FIELD(shares, true),
    OPTIONS_FIELD(ageing_ns, true),
    OPTIONS_FIELD(placement, false),
    OPTIONS_FIELD(seed, false),
    OPTIONS_FIELD(worker_tags, false),
    OPTIONS_FIELD(worker_tags_count, false),
    OPTIONS_FIELD(scaling, false),
    OPTIONS_FIELD(workers_max, true),
    OPTIONS_FIELD(workers_min, true),
    OPTIONS_FIELD(workers_start, false),
    OPTIONS_FIELD(warm_spares, true),
    OPTIONS_FIELD(idle_timeout_ns, true),
    OPTIONS_FIELD(scaling_interval_ns, false),
    OPTIONS_FIELD(grow_queued, true),
    OPTIONS_FIELD(grow_busy_percent, true),
    OPTIONS_FIELD(shrink_busy_percent, true),
    OPTIONS_FIELD(batch_size, true),
    OPTIONS_FIELD(batch_delay_ns, true),
    OPTIONS_FIELD(admission, false),
    OPTIONS_FIELD(admission_timeout_ns, false),
    OPTIONS_FIELD(queue_max, true),
    OPTIONS_FIELD(queue_bytes_max, true),
    OPTIONS_FIELD(message_bytes_max, false),
    OPTIONS_FIELD(queue_high, true),
    OPTIONS_FIELD(queue_low, true),
    OPTIONS_FIELD(on_full, false),
    OPTIONS_FIELD(on_drain, false),
    OPTIONS_FIELD(run_timeout_ns, true),
    OPTIONS_FIELD(queue_timeout_ns, true),
    OPTIONS_FIELD(grace_ns, true),
    OPTIONS_FIELD(attempts_max, true),
    OPTIONS_FIELD(retry_on, true),
    OPTIONS_FIELD(crash_limit, false),
    OPTIONS_FIELD(retry_backoff, false),
    OPTIONS_FIELD(retry_delay_ns, true),
    OPTIONS_FIELD(retry_delay_max_ns, true),
    OPTIONS_FIELD(retry_jitter_percent, true),
    OPTIONS_FIELD(start_timeout_ns, false),
    OPTIONS_FIELD(restart_min_ns, false),
    OPTIONS_FIELD(restart_max_ns, false),
    OPTIONS_FIELD(breaker_failures, false),
    OPTIONS_FIELD(breaker_open_ns, false),
    OPTIONS_FIELD(prewarm_task, false),
    OPTIONS_FIELD(prewarm_input, false),
    OPTIONS_FIELD(on_worker_start, false),
    OPTIONS_FIELD(on_worker_end, false),
    OPTIONS_FIELD(recycle_tasks, true),
    OPTIONS_FIELD(recycle_age_ns, true),
    OPTIONS_FIELD(recycle_rss_bytes, true),
    OPTIONS_FIELD(heartbeat_ns, true),
    OPTIONS_FIELD(spin_ns, false),
    OPTIONS_FIELD(no_spin, false),
    OPTIONS_FIELD(timing, false),
    OPTIONS_FIELD(limits, false),
    OPTIONS_FIELD(helper, false),
    OPTIONS_FIELD(release, false),
    OPTIONS_FIELD(user_data, false),
    OPTIONS_FIELD(on_metrics, false),
    OPTIONS_FIELD(metrics_interval_ns, false),
    OPTIONS_FIELD(no_metrics, false),
    OPTIONS_FIELD(trace, false),
    OPTIONS_FIELD(watch, false),
};

static bool options_is_set(const void *options, const options_field *field)
{
    const unsigned char *bytes = (const unsigned char *)options + field->offset;
    for (size_t i = 0; i < field->size; i++)
        if (bytes[i] != 0)
            return true;
    return false;
}

/* Bounds that follow others, unless somebody set them apart. */
static void options_follow(brg_pool_options *to, const brg_pool_options *before, const brg_pool_options *changes)
{
    if (changes->queue_high == 0 && (before->queue_high == before->queue_max || to->queue_high > to->queue_max))
        to->queue_high = to->queue_max;
    if (changes->queue_low == 0 && (before->queue_low == before->queue_high / 2 || to->queue_low >= to->queue_high))
        to->queue_low = to->queue_high / 2;
    bool min_follows = to->scaling == brg_scaling_fixed ||
                       (to->workers_min != BRG_NO_WORKERS && to->workers_min > to->workers_max);
    if (changes->workers_min == 0 && min_follows)
        to->workers_min = to->workers_max;
}

/* `to` with what `changes` sets. */
static brg_status options_merge(brg_pool_options *to, const brg_pool_options *changes, brg_error *error)
{
    const brg_pool_options before = *to;
    for (size_t i = 0; i < brg__count_of(options_fields); i++) {
        const options_field *field = &options_fields[i];
        if (!options_is_set(changes, field))
            continue;
        if (!field->may_change)
            return brg_error_set(error, BRG_INVALID, "pool", "%s cannot be changed while the pool runs", field->name);
        memcpy((char *)to + field->offset, (const char *)changes + field->offset, field->size);
    }
    options_follow(to, &before, changes);
    return options_check_numbers(to, error);
}

/* What cannot change stays untouched: others read it without the lock. */
static void options_store(brg_pool_options *to, const brg_pool_options *from)
{
    for (size_t i = 0; i < brg__count_of(options_fields); i++) {
        const options_field *field = &options_fields[i];
        char *place = (char *)to + field->offset;
        const char *value = (const char *)from + field->offset;
        if (!field->may_change || memcmp(place, value, field->size) == 0)
            continue;
        if (field->size == sizeof(uint64_t))
            brg_store_relaxed((uint64_t *)(void *)place, *(const uint64_t *)(const void *)value);
        else if (field->size == sizeof(uint32_t))
            brg_store_relaxed((uint32_t *)(void *)place, *(const uint32_t *)(const void *)value);
        else
            memcpy(place, value, field->size); /* shares: read under the lock only */
    }
}

static void options_apply_locked(brg_pool *pool, const brg_pool_options *merged)
{
    options_store(&pool->options, merged);
    pool->is_plain = brg__pool_options_are_plain(merged);
    brg__schedule_tune(&pool->schedule);
    brg__pool_room_locked(pool);
    brg__pool_level_locked(pool);
    pool->scale_at = 0;
    brg__pool_timer_at(pool, 0);
}

/* Tasks that asked for tags may wait in many places: whoever could serve them stays. */
static brg_status options_check_tags_locked(const brg_pool *pool, uint32_t workers_max, brg_error *error)
{
    uint32_t count = brg__min(pool->options.worker_tags_count, workers_max);
    for (uint32_t i = 1; i < pool->schedule.xlane_count; i++) {
        uint64_t needs = pool->schedule.lanes[i].needs;
        bool fits = false;
        for (uint32_t j = 0; j < count; j++)
            fits = fits || (pool->options.worker_tags[j] & needs) == needs;
        if (!fits)
            return brg_error_set(error, BRG_INVALID, "pool",
                                 "workers_max %u leaves no worker with the tags 0x%llx, which tasks asked for",
                                 workers_max, (unsigned long long)needs);
    }
    return BRG_OK;
}

brg_status brg_pool_tune(brg_pool *pool, const brg_pool_options *given, brg_error *error)
{
    brg_pool_options changes;
    if (pool == NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "the pool must not be NULL");
    if (pool->generation != brg__fork_generation())
        return brg_error_set(error, BRG_FORKED, "pool", "the pool belongs to the parent of this forked process");
    brg_status status = brg__options_read(&changes, sizeof(changes), given, "brg_pool_options", error);
    if (status != BRG_OK)
        return status;
    brg__pool_lock(pool);
    brg_pool_options merged = pool->options;
    status = options_merge(&merged, &changes, error);
    if (status == BRG_OK)
        status = options_check_tags_locked(pool, merged.workers_max, error);
    uint32_t slots = merged.workers_min == BRG_NO_WORKERS ? 0 : merged.workers_min;
    if (status == BRG_OK && brg__pool_add_slots_locked(pool, slots) != BRG_OK)
        status = brg__error_memory(error, "workers");
    if (status == BRG_OK)
        options_apply_locked(pool, &merged);
    if (status == BRG_OK)
        brg__see_pool_tuned_locked(pool, NULL, BRG_OK, 0);
    brg__pool_unlock(pool);
    return status;
}
