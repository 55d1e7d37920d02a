/* SPDX-License-Identifier: MIT */
/* What is given to every worker is given to all or none: each allocation on the way fails once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/fault.h"
#include "pool/pool.h"

#define WORKERS 3

static uint32_t xruns, xhooks;

static brg_status run(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context, (void)output;
    assert_non_null(input);
    brg_add_relaxed(&xruns, 1u);
    return BRG_OK;
}

static brg_status configure(brg_context *context, const brg_value *config)
{
    (void)context, (void)config;
    brg_add_relaxed(&xhooks, 1u);
    return BRG_OK;
}

static const brg_module_task tasks[] = {{"run", run}, {NULL, NULL}};
static const brg_module module = {
    .size = sizeof(module), .abi = BRG_MODULE_ABI, .name = "all", .tasks = tasks, .configure = configure};

static brg_value *some_value(void)
{
    brg_value *value = NULL;
    assert_int_equal(brg_value_map(&value, NULL, brg_field_int("n", 1)), BRG_OK);
    return value;
}

static void wait_until_idle(brg_pool *pool)
{
    assert_int_equal(brg_pool_wait_idle(pool, BRG_FOREVER), BRG_OK);
    brg_pool_stats stats = {.size = sizeof(stats)};
    do
        assert_int_equal(brg_pool_get_stats(pool, &stats), BRG_OK);
    while (stats.workers_online != WORKERS || stats.running != 0 || stats.queued != 0);
}

static brg_pool *new_pool(void)
{
    brg_pool *pool = NULL;
    assert_int_equal(
        brg_pool_create(&pool, brg_pool_opts(.linked_module = &module, .workers_max = WORKERS, .grace_ns = BRG_FOREVER),
                        NULL),
        BRG_OK);
    wait_until_idle(pool);
    return pool;
}

static void tasks_of_all_or_none(void **state)
{
    (void)state;
    brg_token *token = NULL;
    assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
    for (uint64_t nth = 1;; nth++) {
        brg_pool *pool = new_pool(); /* one without free tasks */
        brg_value *input = some_value();
        uint32_t count = 99;
        brg_store_relaxed(&xruns, 0u);
        brg__fault_arm("allocate", nth);
        brg_status status = brg_pool_submit_all(pool, "run", input, brg_submit_opts(.token = token), &count);
        bool fired = brg__fault_fired();
        brg__fault_disarm();
        wait_until_idle(pool);
        if (status == BRG_OK) {
            assert_int_equal(count, WORKERS);
            assert_int_equal(brg_load_relaxed(&xruns), WORKERS);
        } else {
            assert_int_equal(status, BRG_NO_MEMORY);
            assert_int_equal(count, 99);
            assert_int_equal(brg_load_relaxed(&xruns), 0);
            brg_value_unref(input);
        }
        brg_pool_destroy(pool);
        if (!fired) {
            assert_int_equal(status, BRG_OK);
            assert_true(nth > WORKERS);
            break;
        }
    }
    brg_token_unref(token);
}

static void a_configuration_for_all_or_none(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        brg_pool *pool = new_pool();
        brg_value *config = some_value();
        brg_store_relaxed(&xhooks, 0u);
        brg__fault_arm("allocate", nth);
        brg_status status = brg_pool_configure(pool, config, NULL);
        bool fired = brg__fault_fired();
        brg__fault_disarm();
        wait_until_idle(pool);
        assert_int_equal(brg_load_relaxed(&xhooks), status == BRG_OK ? WORKERS : 0);
        assert_int_equal(status, fired ? BRG_NO_MEMORY : BRG_OK);
        if (status != BRG_OK)
            brg_value_unref(config);
        brg_pool_destroy(pool);
        if (!fired)
            break;
    }
}

static void count_start(brg_pool *pool, uint64_t worker_id, const brg_exit *exit, void *user_data)
{
    (void)pool, (void)worker_id, (void)exit;
    ++*(uint32_t *)user_data;
}

/* A pool, its events and its workers: whatever fails, nothing leaks and nothing is told of a pool that was not made. */
static void a_pool_with_events(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        uint32_t told = 0;
        brg_loop *loop = NULL;
        brg_pool *pool = NULL;
        assert_int_equal(brg_loop_create(&loop, brg_loop_opts(.external = true), NULL), BRG_OK);
        brg_value *input = some_value();
        brg__fault_arm("allocate", nth);
        brg_status status = brg_pool_create(&pool,
                                            brg_pool_opts(.linked_module = &module, .workers_max = WORKERS,
                                                          .grace_ns = BRG_FOREVER, .loop = loop, .prewarm_task = "run",
                                                          .prewarm_input = input, .on_worker_start = count_start,
                                                          .user_data = &told),
                                            NULL);
        if (status == BRG_OK)
            wait_until_idle(pool); /* a worker that could not warm up is tried again */
        bool fired = brg__fault_fired();
        brg__fault_disarm();
        brg_pool_destroy(pool);
        if (status != BRG_OK) {
            assert_int_equal(status, BRG_NO_MEMORY);
            brg_value_unref(input);
        }
        assert_int_equal(told, status == BRG_OK ? WORKERS : 0);
        assert_int_equal(brg_loop_destroy(loop), BRG_OK);
        if (!fired)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(tasks_of_all_or_none),
        cmocka_unit_test(a_configuration_for_all_or_none),
        cmocka_unit_test(a_pool_with_events),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
