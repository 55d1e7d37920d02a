/* SPDX-License-Identifier: MIT */
/* Workers that are replaced: after so many tasks, exactly; at an age; above a memory. No task is lost by it. */
#include "crowd.h"
#include "watch.h"

static const char *recycle_module(void)
{
    static char path[4096];
    const char *directory = getenv("TEST_MODULE_DIR");
    snprintf(path, sizeof(path), "%s/configure.so", directory != NULL ? directory : ".");
    return path;
}

static brg_pool *recycle_pool(void **state, const brg_pool_options *options)
{
    brg_pool_options complete = *options;
    complete.module = recycle_module();
    return scenario_pool(scenario_isolation(state), &complete);
}

#define COUNT 300
#define LIMIT 7

/* All done, each worker no more than LIMIT of them, and just LIMIT but for those that live and `incomplete` others. */
static void check_shares(brg_task **tasks, const brg_pool *pool, uint32_t living)
{
    static int64_t workers[COUNT], most[COUNT];
    uint32_t count = 0, whole = 0;
    for (int i = 0; i < COUNT; i++) {
        const brg_result *result = scenario_result(tasks[i]);
        assert_int_equal(result->status, BRG_OK);
        brg_view root = brg_value_root(result->output);
        int64_t worker = brg_view_get_int(root, "worker", 0), nth = brg_view_get_int(root, "nth", 0);
        assert_in_range(nth, 1, LIMIT);
        uint32_t at = 0;
        while (at < count && workers[at] != worker)
            at++;
        if (at == count) {
            workers[count] = worker;
            most[count++] = 0;
        }
        most[at] = nth > most[at] ? nth : most[at];
        brg_task_unref(tasks[i]);
    }
    for (uint32_t i = 0; i < count; i++)
        whole += most[i] == LIMIT;
    assert_true(whole + living >= count);
    assert_true(scenario_stats(pool).workers_recycled >= count - living);
    assert_int_equal(scenario_stats(pool).workers_start_failed, 0);
}

static void after_so_many_tasks(void **state)
{
    const brg_placement_policy *placements[] = {brg_placement_pull, brg_placement_round_robin, brg_placement_least_busy,
                                                brg_placement_stealing, brg_placement_sticky};
    for (size_t p = 0; p < sizeof(placements) / sizeof(placements[0]); p++) {
        static brg_task *tasks[COUNT];
        brg_pool *pool = recycle_pool(
            state, brg_pool_opts(.workers_max = 3, .recycle_tasks = LIMIT, .placement = placements[p]));
        for (int i = 0; i < COUNT; i++)
            tasks[i] = scenario_submit(pool, "show", NULL, brg_submit_opts(.key = (uint64_t)i % 5 + 1));
        check_shares(tasks, pool, 3);
        brg_pool_stats stats = scenario_stats(pool);
        assert_int_equal(stats.done, COUNT);
        brg_pool_destroy(pool);
    }
}

/* An attempt that is tried again was one. */
static void attempts_count(void **state)
{
    brg_pool *pool = recycle_pool(
        state, brg_pool_opts(.workers_max = 1, .recycle_tasks = 2, .attempts_max = 6, .retry_on = BRG_RETRY_TRANSIENT));
    scenario_expect(pool, "fail", NULL, BRG_UNAVAILABLE); /* six attempts: three workers */
    brg_task *task = scenario_submit(pool, "show", NULL, NULL);
    assert_int_equal(brg_view_get_int(brg_value_root(scenario_result(task)->output), "nth", 0), 1);
    brg_task_unref(task);
    assert_int_equal(scenario_stats(pool).workers_recycled, 3);
    brg_pool_destroy(pool);
}

/* The limit may come while it runs, and what was given ahead is not taken away from anybody. */
static void a_limit_that_comes_later(void **state)
{
    crowd here;
    crowd_open(&here);
    brg_pool *pool = recycle_pool(state, brg_pool_opts(.workers_max = 1));
    brg_task *held = scenario_submit(pool, "show", crowd_input(&here), NULL), *tasks[20];
    crowd_wait(&here, 1);
    for (int i = 0; i < 20; i++)
        tasks[i] = scenario_submit(pool, "show", NULL, NULL);
    assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.recycle_tasks = 1), NULL), BRG_OK);
    crowd_release(&here, 1);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(scenario_result(tasks[i])->status, BRG_OK);
        brg_task_unref(tasks[i]);
    }
    brg_task_unref(held);
    brg_pool_destroy(pool);
    crowd_close(&here);
}

static bool three_were_recycled(void *pool) { return scenario_stats(pool).workers_recycled >= 3; }

/* Also of those that have nothing to do. */
static void at_an_age(void **state)
{
    brg_pool *pool = recycle_pool(state, brg_pool_opts(.workers_max = 2, .recycle_age_ns = BRG_MILLISECONDS(5)));
    assert_true(watch_until(three_were_recycled, pool));
    for (int i = 0; i < 50; i++)
        scenario_expect(pool, "show", NULL, BRG_OK);
    assert_int_equal(scenario_stats(pool).workers_start_failed, 0);
    brg_pool_destroy(pool);
}

/* Not while it has a task, however old. */
static void between_tasks(void **state)
{
    crowd here;
    crowd_open(&here);
    brg_pool *pool = recycle_pool(state, brg_pool_opts(.workers_max = 2));
    brg_task *held = scenario_submit(pool, "show", crowd_input(&here), NULL);
    crowd_wait(&here, 1);
    assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.recycle_age_ns = BRG_MILLISECONDS(1)), NULL), BRG_OK);
    assert_true(watch_until(three_were_recycled, pool)); /* the other one */
    assert_int_equal(brg_task_get_state(held), BRG_TASK_RUNNING);
    crowd_release(&here, 1);
    assert_int_equal(scenario_result(held)->status, BRG_OK);
    brg_task_unref(held);
    brg_pool_destroy(pool);
    crowd_close(&here);
}

#define LARGE ((int64_t)400 << 20) /* far above what a worker has of itself, a sanitizer's included */

static brg_value *meal(bool keep)
{
    brg_value *value = NULL;
    assert_int_equal(brg_value_map(&value, NULL, brg_field_int("bytes", LARGE), brg_field_bool("keep", keep)), BRG_OK);
    return value;
}

static bool one_was_recycled(void *pool) { return scenario_stats(pool).workers_recycled >= 1; }

static void above_a_memory(void **state)
{
    brg_pool *pool = recycle_pool(state, brg_pool_opts(.workers_max = 1, .recycle_rss_bytes = LARGE / 4 * 3));
    for (int i = 0; i < 20; i++) /* within it */
        scenario_expect(pool, "show", NULL, BRG_OK);
    assert_int_equal(scenario_stats(pool).workers_recycled, 0);
    scenario_expect(pool, "eat", meal(true), BRG_OK);
    assert_true(watch_until(one_was_recycled, pool));
    brg_task *task = scenario_submit(pool, "show", NULL, NULL);
    assert_int_equal(brg_view_get_int(brg_value_root(scenario_result(task)->output), "nth", 0), 1);
    brg_task_unref(task);
    assert_int_equal(scenario_stats(pool).workers_recycled, 1);
    brg_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(after_so_many_tasks), SCENARIO_BOTH(attempts_count), SCENARIO_BOTH(a_limit_that_comes_later),
        SCENARIO_BOTH(at_an_age),           SCENARIO_BOTH(between_tasks),  SCENARIO_PROCESS(above_a_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
