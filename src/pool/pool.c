/* SPDX-License-Identifier: MIT */
/* Creating a pool: what it is made of, and its first workers. */
#include <string.h>

#include "base/options.h"
#include "os/memory.h"
#include "os/thread.h"
#include "pool/events.h"
#include "pool/fork_pool.h"
#include "pool/metrics.h"
#include "pool/observe.h"
#include "pool/pool.h"
#include "pool/trace.h"

static brg_status pool_copy_string(const char **string, brg_error *error)
{
    if (*string == NULL)
        return BRG_OK;
    *string = brg__strdup(*string);
    return *string != NULL ? BRG_OK : brg__error_memory(error, "a pool");
}

static brg_status pool_copy_tags(brg_pool_options *options, const uint64_t *tags)
{
    if (tags == NULL)
        return BRG_OK;
    size_t size = options->worker_tags_count * sizeof(*tags);
    uint64_t *copy = brg__malloc(brg__max(size, 1u));
    if (copy == NULL)
        return BRG_NO_MEMORY;
    memcpy(copy, tags, size);
    options->worker_tags = copy;
    return BRG_OK;
}

/* The strings and arrays of the options become the pool's own. */
static brg_status pool_copy_options(brg_pool_options *options, brg_error *error)
{
    const char *strings[] = {options->module, options->helper, options->name, options->prewarm_task};
    const char **const places[] = {&options->module, &options->helper, &options->name, &options->prewarm_task};
    const uint64_t *tags = options->worker_tags;
    options->worker_tags = NULL;
    for (size_t i = 0; i < brg__count_of(places); i++)
        *places[i] = NULL; /* none is the pool's yet */
    for (size_t i = 0; i < brg__count_of(places); i++) {
        brg_status status = pool_copy_string(&strings[i], error);
        if (status != BRG_OK)
            return status;
        *places[i] = strings[i];
    }
    return pool_copy_tags(options, tags) == BRG_OK ? BRG_OK : brg__error_memory(error, "a pool");
}

static brg_status pool_allocate(brg_pool *pool, brg_error *error)
{
    brg_status status = pool_copy_options(&pool->options, error);
    if (status != BRG_OK)
        return status;
    if (brg__metrics_init(pool) != BRG_OK || brg__schedule_init(&pool->schedule, &pool->options) != BRG_OK ||
        brg__pool_scale_init(pool) != BRG_OK || brg__pool_add_slots_locked(pool, pool->target) != BRG_OK ||
        brg__events_init(pool) != BRG_OK)
        return brg__error_memory(error, "a pool");
    return BRG_OK;
}

static brg_pool *pool_new(const brg_pool_options *options)
{
    brg_pool *pool = brg__calloc_aligned(sizeof(*pool));
    if (pool == NULL)
        return NULL;
    pool->options = *options;
    pool->options.init_data = pool->options.prewarm_input = NULL; /* taken once nothing can fail any more */
    pool->is_plain = brg__pool_options_are_plain(options);
    pool->generation = brg__fork_generation();
    pool->xreferences = 1;
    pool->xtimer_at = UINT64_MAX;
    pool->run_ewma_ns = BRG_MILLISECONDS(1);
    pool->random = options->seed;
    pool->timer.fire = brg__pool_timer_fire;
    brg__lock_init(&pool->lock, BRG__RANK_POOL, "pool");
    brg__list_init(&pool->blocked);
    brg__list_init(&pool->ended);
    brg__list_init(&pool->watches);
    brg__pool_team_init(pool);
    for (size_t i = 0; i < brg__count_of(pool->by_age); i++)
        brg__list_init(&pool->by_age[i]);
    return pool;
}

/* It is not to be: nobody hears of it. */
static void pool_unwatch(brg_pool *pool)
{
    brg__watches_drop(pool);
    if (pool->options.trace != NULL)
        brg__trace_forget(pool->options.trace, pool);
}

brg_status brg_pool_create(brg_pool **out, const brg_pool_options *given, brg_error *error)
{
    brg_pool_options options;
    if (out == NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "out must not be NULL");
    brg_status status = brg__options_read(&options, sizeof(options), given, "brg_pool_options", error);
    if (status == BRG_OK)
        status = brg__pool_options_check(&options, error);
    if (status == BRG_OK)
        status = brg__supervisor_ensure(error);
    if (status != BRG_OK)
        return status;
    brg__pool_options_default(&options);
    brg_pool *pool = pool_new(&options);
    if (pool == NULL)
        return brg__error_memory(error, "a pool");
    status = pool_allocate(pool, error);
    if (status != BRG_OK) {
        brg__pool_unref(pool);
        return status;
    }
    if (options.loop != NULL)
        brg__loop_attach(options.loop);
    pool->options.release = NULL; /* not when this fails */
    brg__pool_member_init(pool);
    status = brg__world_make(&pool->heritage, &(brg_worker_options){.size = sizeof(brg_worker_options)}, NULL, error);
    if (status == BRG_OK)
        status = brg__family_join(&pool->member, error);
    if (status != BRG_OK) {
        brg_pool_destroy(pool);
        return status;
    }
    pool->options.init_data = options.init_data == NULL ? NULL : brg_value_ref(options.init_data);
    pool->options.prewarm_input = options.prewarm_input == NULL ? NULL : brg_value_ref(options.prewarm_input);
    if (options.trace != NULL)
        status = brg_trace_add(options.trace, pool, error);
    if (status == BRG_OK && options.watch != NULL)
        status = brg__watch_begin(pool, options.watch, error);
    pool->options.watch = NULL; /* the caller's */
    if (status != BRG_OK) {
        pool_unwatch(pool);
        brg_pool_destroy(pool);
        return status;
    }
    brg_error own; /* without one brg__pool_fill would go on, and try again later */
    status = brg__pool_fill(pool, error != NULL ? error : &own);
    if (status != BRG_OK) {
        brg__events_stop(pool); /* nobody knows it */
        pool_unwatch(pool);
        brg_pool_destroy(pool);
        return status;
    }
    brg__metrics_event_begin(pool);
    pool->options.release = options.release;
    brg_value_unref(options.init_data); /* the caller's references are taken: the pool has its own */
    brg_value_unref(options.prewarm_input);
    *out = pool;
    return BRG_OK;
}
