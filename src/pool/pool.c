/* SPDX-License-Identifier: MIT */
/* Creating a pool: options, defaults, first workers. */
#include "pool/pool.h"

#include <string.h>

#include "base/options.h"
#include "os/library.h"
#include "os/memory.h"
#include "os/thread.h"

#define POOL_WORKERS_MAX 4096
#define POOL_QUEUE_DEFAULT 65536
#define POOL_QUEUE_BYTES_DEFAULT ((size_t)256 << 20)
#define POOL_MESSAGE_BYTES_DEFAULT ((size_t)64 << 20)

static brg_status pool_check(const brg_pool_options *options, brg_error *error)
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
    if (options->workers_max > POOL_WORKERS_MAX)
        return brg_error_set(error, BRG_INVALID, "pool", "workers_max %u is above %d", options->workers_max,
                             POOL_WORKERS_MAX);
    if (options->admission != BRG_ADMISSION_REJECT && options->admission != BRG_ADMISSION_BLOCK)
        return brg_error_set(error, BRG_INVALID, "pool", "admission %d is unknown", (int)options->admission);
    if ((options->retry_on & ~(uint32_t)(BRG_RETRY_CRASH | BRG_RETRY_TIMEOUT | BRG_RETRY_FAILED)) != 0)
        return brg_error_set(error, BRG_INVALID, "pool", "retry_on has unknown flags: 0x%x", options->retry_on);
    if (options->spin_ns == BRG_FOREVER)
        return brg_error_set(error, BRG_INVALID, "pool", "spin_ns must be bounded; use no_spin or some microseconds");
    if (options->loop != NULL && !brg__loop_is_owner(options->loop))
        return brg_error_set(error, BRG_INVALID, "pool", "create the pool on the thread that owns its loop");
    return BRG_OK;
}

static void pool_default_u64(uint64_t *value, uint64_t otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static void pool_default_u32(uint32_t *value, uint32_t otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static void pool_defaults(brg_pool_options *options)
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
    if (options->queue_bytes_max == 0)
        options->queue_bytes_max = POOL_QUEUE_BYTES_DEFAULT;
    if (options->message_bytes_max == 0)
        options->message_bytes_max = POOL_MESSAGE_BYTES_DEFAULT;
    pool_default_u32(&options->queue_max, POOL_QUEUE_DEFAULT);
    pool_default_u32(&options->attempts_max, 1);
    pool_default_u32(&options->retry_on, BRG_RETRY_CRASH);
    pool_default_u32(&options->crash_limit, 2);
    pool_default_u32(&options->breaker_failures, 5);
    pool_default_u64(&options->run_timeout_ns, BRG_FOREVER);
    pool_default_u64(&options->queue_timeout_ns, BRG_FOREVER);
    pool_default_u64(&options->grace_ns, BRG_MILLISECONDS(500));
    pool_default_u64(&options->restart_min_ns, BRG_MILLISECONDS(10));
    pool_default_u64(&options->restart_max_ns, BRG_SECONDS(5));
    pool_default_u64(&options->breaker_open_ns, BRG_SECONDS(10));
    pool_default_u64(&options->spin_ns, BRG_MICROSECONDS(50));
}

static brg_status pool_copy_string(const char **string, brg_error *error)
{
    if (*string == NULL)
        return BRG_OK;
    *string = brg__strdup(*string);
    return *string != NULL ? BRG_OK : brg__error_memory(error, "a pool");
}

/* What needs memory. The strings in `pool->options` are still the caller's when this fails before copying them. */
static brg_status pool_allocate(brg_pool *pool, brg_error *error)
{
    brg_pool_options *options = &pool->options;
    const char *module = options->module, *helper = options->helper, *name = options->name;
    options->module = options->helper = options->name = NULL;
    brg_status status = pool_copy_string(&module, error);
    options->module = module;
    if (status == BRG_OK) {
        status = pool_copy_string(&helper, error);
        options->helper = helper;
    }
    if (status == BRG_OK) {
        status = pool_copy_string(&name, error);
        options->name = name;
    }
    if (status != BRG_OK)
        return status;
    pool->queue = brg__calloc(1, options->queue->state_bytes);
    pool->slots = brg__calloc_aligned(options->workers_max * sizeof(*pool->slots));
    if (pool->queue == NULL || pool->slots == NULL)
        return brg__error_memory(error, "a pool");
    options->queue->init(pool->queue);
    for (uint32_t i = 0; i < options->workers_max; i++) {
        pool->slots[i].pool = pool;
        pool->slots[i].index = i;
        pool->slots[i].kill_at = pool->slots[i].xdeadline = UINT64_MAX;
        pool->slots[i].run_ewma_ns = UINT64_MAX;
    }
    return BRG_OK;
}

static brg_pool *pool_new(const brg_pool_options *options)
{
    brg_pool *pool = brg__calloc_aligned(sizeof(*pool));
    if (pool == NULL)
        return NULL;
    pool->options = *options;
    pool->options.init_data = NULL; /* taken once nothing can fail any more */
    pool->generation = brg__fork_generation();
    pool->xreferences = 1;
    pool->xtimer_at = UINT64_MAX;
    pool->run_ewma_ns = BRG_MILLISECONDS(1);
    pool->timer.fire = brg__pool_timer_fire;
    brg__lock_init(&pool->lock, BRG__RANK_POOL, "pool");
    brg__list_init(&pool->idle);
    return pool;
}

brg_status brg_pool_create(brg_pool **out, const brg_pool_options *given, brg_error *error)
{
    brg_pool_options options;
    if (out == NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "out must not be NULL");
    brg_status status = brg__options_read(&options, sizeof(options), given, "brg_pool_options", error);
    if (status == BRG_OK)
        status = pool_check(&options, error);
    if (status == BRG_OK)
        status = brg__supervisor_ensure(error);
    if (status != BRG_OK)
        return status;
    pool_defaults(&options);
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
    brg_error own; /* without one brg__pool_fill would go on, and try again later */
    status = brg__pool_fill(pool, error != NULL ? error : &own);
    if (status != BRG_OK) {
        brg_pool_destroy(pool);
        return status;
    }
    pool->options.release = options.release;
    brg_value_unref(options.init_data); /* the caller's reference is taken: the pool has its own */
    *out = pool;
    return BRG_OK;
}
