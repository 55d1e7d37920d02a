/* SPDX-License-Identifier: MIT */
/* Corners where parts of a pool meet: tags and scaling, parked workers, dropped tasks, workers that come and go. */
#include <signal.h>
#include <stdatomic.h>

#include "crowd.h"
#include "plug.h"
#include "watch.h"

#define GPU 1u
#define LONG BRG_SECONDS(3600)

static brg_task *edges_call(brg_pool *pool, brg_call_fn call, void *argument, uint64_t tags)
{
    brg_task *task = NULL;
    brg_error error;
    if (brg_pool_submit_call(pool, call, argument, brg_submit_opts(.tags = tags, .error = &error), &task) != BRG_OK)
        fail_msg("%s", error.message);
    return task;
}

static void edges_done(brg_task *task, brg_status status)
{
    assert_int_equal(brg_task_wait(task, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(brg_task_result(task)->status, status);
    brg_task_unref(task);
}

static brg_status nothing(brg_context *context, void *argument)
{
    (void)context, (void)argument;
    return BRG_OK;
}

/* ---- a scaling policy that does as it is told -------------------------------------------------------------------- */

static atomic_uint told_target;

static uint32_t told_answer(void *state, const brg_load *load)
{
    (void)state, (void)load;
    return atomic_load(&told_target);
}

static const brg_scaling_policy told = {.size = sizeof(told), .name = "told", .parks = true, .target = told_answer};

static bool told_has(void *argument)
{
    brg_pool_stats stats = scenario_stats(argument);
    return stats.workers_target == atomic_load(&told_target) && stats.workers_online >= stats.workers_target;
}

static void tell(brg_pool *pool, uint32_t target)
{
    atomic_store(&told_target, target);
    assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.idle_timeout_ns = LONG), NULL), BRG_OK); /* asks it */
    assert_true(watch_until(told_has, pool));
}

/* ---- tags -------------------------------------------------------------------------------------------------------- */

static const uint64_t third_is_gpu[] = {0, 0, GPU}, both[] = {GPU, 0}, two_kinds[] = {GPU, 2};

static void a_worker_with_the_tags_is_started(void **state)
{
    (void)state;
    const brg_scaling_policy *scalings[] = {brg_scaling_backlog, brg_scaling_load, brg_scaling_adaptive};
    const brg_placement_policy *placements[] = {brg_placement_pull, brg_placement_round_robin, brg_placement_stealing};
    for (size_t i = 0; i < 3; i++) {
        brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 3, .workers_min = 1,
                                                              .scaling = scalings[i], .placement = placements[i],
                                                              .worker_tags = third_is_gpu, .worker_tags_count = 3));
        edges_done(edges_call(pool, nothing, NULL, 0), BRG_OK);
        for (int round = 0; round < 3; round++)
            edges_done(edges_call(pool, nothing, NULL, GPU), BRG_OK);
        brg_pool_destroy(pool);
    }
}

static void tags_beyond_the_workers_are_refused(void **state)
{
    (void)state;
    brg_error error;
    brg_task *task = NULL;
    brg_pool *pool = scenario_function_pool(
        brg_pool_opts(.workers_max = 3, .worker_tags = third_is_gpu, .worker_tags_count = 3));
    assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.workers_max = 2), &error), BRG_OK);
    assert_int_equal(brg_pool_submit_call(pool, nothing, NULL, brg_submit_opts(.tags = GPU, .error = &error), &task),
                     BRG_INVALID);
    assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.workers_max = 3), &error), BRG_OK);
    edges_done(edges_call(pool, nothing, NULL, GPU), BRG_OK);
    assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.workers_max = 2), &error), BRG_INVALID);
    assert_non_null(strstr(error.message, "workers_max"));
    edges_done(edges_call(pool, nothing, NULL, GPU), BRG_OK);
    brg_pool_destroy(pool);
}

static bool has_one_worker(void *argument) { return scenario_stats(argument).workers_online == 1; }

/* Fewer workers: the first ones stay, which have the tags that tasks ask for. */
static void the_workers_that_stay_are_the_first(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(
        brg_pool_opts(.workers_max = 2, .worker_tags = both, .worker_tags_count = 2, .idle_timeout_ns = LONG));
    plug gate = {0};
    edges_done(edges_call(pool, nothing, NULL, GPU), BRG_OK);
    brg_task *first = edges_call(pool, plug_task, &gate, GPU), *second = edges_call(pool, plug_task, &gate, 0);
    plug_wait(&gate, 2);
    assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.workers_max = 1), NULL), BRG_OK);
    plug_pull(&gate);
    edges_done(first, BRG_OK);
    edges_done(second, BRG_OK);
    assert_true(watch_until(has_one_worker, pool));
    edges_done(edges_call(pool, nothing, NULL, GPU), BRG_OK);
    brg_pool_destroy(pool);
}

/* What others may run does not wait behind what only a busy worker may. */
static void tasks_behind_tagged_ones_are_stolen(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2, .placement = brg_placement_stealing,
                                                          .worker_tags = both, .worker_tags_count = 2));
    plug gate = {0};
    brg_task *busy = edges_call(pool, plug_task, &gate, GPU), *tagged[4], *free[4];
    plug_wait(&gate, 1);
    for (int i = 0; i < 4; i++) {
        tagged[i] = edges_call(pool, nothing, NULL, GPU);
        free[i] = edges_call(pool, nothing, NULL, 0);
    }
    for (int i = 0; i < 4; i++)
        edges_done(free[i], BRG_OK);
    plug_pull(&gate);
    edges_done(busy, BRG_OK);
    for (int i = 0; i < 4; i++)
        edges_done(tagged[i], BRG_OK);
    brg_pool_destroy(pool);
}

/* ---- parked workers ---------------------------------------------------------------------------------------------- */

/* Two tasks at a time bring both workers to where one of them parks. */
static void park_one(brg_pool *pool)
{
    tell(pool, 1);
    for (int i = 0; i < 100; i++)
        scenario_expect(pool, "who", NULL, BRG_OK);
}

static void parked_workers_run_what_is_theirs(void **state)
{
    atomic_store(&told_target, 2);
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.workers_max = 2, .workers_start = 2, .workers_min = 1,
                                                 .scaling = &told, .idle_timeout_ns = LONG));
    tell(pool, 2);
    park_one(pool);
    uint32_t count = 0;
    assert_int_equal(brg_pool_submit_all(pool, "who", NULL, NULL, &count), BRG_OK);
    assert_int_equal(count, 2);
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(brg_pool_configure(pool, NULL, NULL), BRG_OK);
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    tell(pool, 2);
    scenario_expect(pool, "who", NULL, BRG_OK);
    brg_pool_destroy(pool);
}

/* Who parks instead of taking the task leaves it to another, who is asleep; nobody looks for an hour. */
static void who_parks_wakes_another(void **state)
{
    atomic_store(&told_target, 2);
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.workers_max = 2, .workers_start = 2, .workers_min = 1,
                                                 .scaling = &told, .idle_timeout_ns = LONG,
                                                 .scaling_interval_ns = LONG));
    tell(pool, 2);
    tell(pool, 1);
    for (int i = 0; i < 4; i++)
        scenario_expect(pool, "who", NULL, BRG_OK);
    brg_pool_destroy(pool);
}

static void parked_workers_leave_no_tag_unserved(void **state)
{
    (void)state;
    atomic_store(&told_target, 2);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2, .workers_start = 2, .workers_min = 1,
                                                          .scaling = &told, .worker_tags = two_kinds,
                                                          .worker_tags_count = 2, .idle_timeout_ns = LONG));
    tell(pool, 2);
    tell(pool, 1);
    for (int i = 0; i < 50; i++) {
        edges_done(edges_call(pool, nothing, NULL, 0), BRG_OK);
        edges_done(edges_call(pool, nothing, NULL, GPU), BRG_OK);
        edges_done(edges_call(pool, nothing, NULL, 2), BRG_OK);
    }
    brg_pool_destroy(pool);
}

/* ---- placements and fewer workers -------------------------------------------------------------------------------- */

/* Tasks that waited for a worker that is too many go to others, who are asleep. */
static void surplus_workers_hand_over(void **state)
{
    (void)state;
    const brg_placement_policy *placements[] = {brg_placement_round_robin, brg_placement_sticky,
                                                brg_placement_least_busy};
    for (size_t p = 0; p < 3; p++) {
        brg_pool *pool = scenario_function_pool(
            brg_pool_opts(.workers_max = 3, .placement = placements[p], .idle_timeout_ns = LONG));
        plug gate = {0};
        brg_task *busy[3], *behind[12];
        for (int i = 0; i < 3; i++)
            assert_int_equal(
                brg_pool_submit_call(pool, plug_task, &gate, brg_submit_opts(.key = (uint64_t)i), &busy[i]), BRG_OK);
        plug_wait(&gate, 1);
        for (uint64_t i = 0; i < 12; i++)
            assert_int_equal(brg_pool_submit_call(pool, nothing, NULL, brg_submit_opts(.key = i), &behind[i]), BRG_OK);
        assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.workers_max = 1), NULL), BRG_OK);
        plug_pull(&gate);
        for (int i = 0; i < 3; i++)
            edges_done(busy[i], BRG_OK);
        for (int i = 0; i < 12; i++)
            edges_done(behind[i], BRG_OK);
        assert_true(watch_until(has_one_worker, pool));
        brg_pool_destroy(pool);
    }
}

/* ---- ends that nobody asked for ---------------------------------------------------------------------------------- */

/* A task of a worker that goes away for good settles, and who waits for an idle pool hears of it. */
static void cancelled_with_their_worker(void **state)
{
    crowd here;
    crowd_open(&here);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 2, .idle_timeout_ns = LONG));
    brg_task *one = scenario_submit(pool, "noop", crowd_input(&here), NULL);
    brg_task *two = scenario_submit(pool, "noop", crowd_input(&here), NULL);
    crowd_wait(&here, 2);
    uint32_t count = 0;
    assert_int_equal(brg_pool_submit_all(pool, "who", NULL, NULL, &count), BRG_OK);
    assert_int_equal(count, 2);
    assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.workers_max = 1, .grace_ns = BRG_MILLISECONDS(1)), NULL),
                     BRG_OK);
    assert_int_equal(brg_task_cancel(one), BRG_OK); /* their workers end, and one is replaced */
    assert_int_equal(brg_task_cancel(two), BRG_OK);
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    crowd_release(&here, 2); /* threads that were given up */
    brg_task_unref(one);
    brg_task_unref(two);
    brg_pool_destroy(pool);
    crowd_close(&here);
}

/* The oldest is the one that was submitted first, also when it had been given to a worker and was taken back. */
static void the_oldest_is_dropped(void **state)
{
    (void)state;
    crowd here;
    crowd_open(&here);
    brg_pool *pool = scenario_pool(
        BRG_ISOLATION_PROCESS, brg_pool_opts(.workers_max = 1, .queue_max = 4, .admission = BRG_ADMISSION_DROP_OLDEST));
    for (int i = 0; i < 100; i++)
        scenario_expect(pool, "who", NULL, BRG_OK); /* short ones: it gets many ahead */
    brg_task *busy = scenario_submit(pool, "noop", crowd_input(&here), NULL), *tasks[5];
    crowd_wait(&here, 1);
    for (int i = 0; i < 3; i++)
        tasks[i] = scenario_submit(pool, "who", NULL, NULL);
    assert_int_equal(brg_pool_configure(pool, NULL, NULL), BRG_OK); /* takes them back */
    for (int i = 3; i < 5; i++)
        tasks[i] = scenario_submit(pool, "who", NULL, NULL);
    crowd_release(&here, 1);
    assert_int_equal(scenario_result(busy)->status, BRG_OK);
    brg_task_unref(busy);
    for (int i = 0; i < 5; i++)
        edges_done(tasks[i], i == 0 ? BRG_FULL : BRG_OK);
    brg_pool_destroy(pool);
    crowd_close(&here);
}

/* Nobody is dropped for one that is refused all the same. */
static void none_is_dropped_for_nothing(void **state)
{
    (void)state;
    crowd here;
    crowd_open(&here);
    brg_pool *pool = scenario_pool(BRG_ISOLATION_THREAD, brg_pool_opts(.workers_max = 1, .queue_bytes_max = 100000,
                                                                       .admission = BRG_ADMISSION_DROP_OLDEST));
    brg_task *busy = scenario_submit(pool, "noop", crowd_input(&here), NULL), *refused = NULL;
    crowd_wait(&here, 1);
    char text[70001];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    brg_task *urgent = scenario_submit(pool, "who", scenario_string("text", text),
                                       brg_submit_opts(.priority = BRG_PRIORITY_URGENT));
    brg_task *low = scenario_submit(pool, "who", scenario_int("n", 1), brg_submit_opts(.priority = BRG_PRIORITY_LOW));
    brg_value *input = scenario_string("text", text);
    assert_int_equal(brg_pool_submit(pool, "who", input, NULL, &refused), BRG_FULL);
    brg_value_unref(input);
    crowd_release(&here, 1);
    assert_int_equal(scenario_result(busy)->status, BRG_OK);
    brg_task_unref(busy);
    edges_done(urgent, BRG_OK);
    edges_done(low, BRG_OK);
    assert_int_equal(scenario_stats(pool).dropped, 0);
    brg_pool_destroy(pool);
    crowd_close(&here);
}

/* Pools that end while their workers are about to be started. */
static void destroyed_while_it_grows(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        brg_pool *pool = scenario_function_pool(
            brg_pool_opts(.workers_max = 8, .workers_min = 1, .scaling = brg_scaling_backlog, .grow_queued = 1));
        for (int i = 0; i < 64; i++)
            assert_int_equal(brg_pool_call(pool, nothing, NULL, NULL, NULL), BRG_OK);
        brg_pool_destroy(pool);
    }
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static void bounds_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    const brg_pool_options *wrong[] = {
        brg_pool_opts(.workers_max = 1, .queue_max = 10, .queue_low = 10),
        brg_pool_opts(.workers_max = 1, .queue_low = 65536),
        brg_pool_opts(.workers_max = 1, .shrink_busy_percent = 90),
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        brg_pool *pool = NULL;
        brg_error error;
        assert_int_equal(brg_pool_create(&pool, wrong[i], &error), BRG_INVALID);
    }
}

static void policies_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    brg_placement_policy wrong[] = {{.size = 8}, *brg_placement_stealing, *brg_placement_sticky, *brg_placement_random};
    wrong[1].choose = NULL;
    wrong[2].choose = NULL;
    wrong[3].share = (brg_share)(BRG_SHARE_BY_KEY + 1);
    static const char *const said[] = {"lacks its size", "lacks its size", "needs choose", "share is 3"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        brg_pool *pool = NULL;
        brg_error error;
        assert_int_equal(brg_pool_create(&pool, brg_pool_opts(.placement = &wrong[i]), &error), BRG_INVALID);
        assert_null(pool);
        assert_non_null(strstr(error.message, said[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_that_do_not_fit_are_refused),
        cmocka_unit_test(a_worker_with_the_tags_is_started),
        cmocka_unit_test(tags_beyond_the_workers_are_refused),
        cmocka_unit_test(the_workers_that_stay_are_the_first),
        cmocka_unit_test(tasks_behind_tagged_ones_are_stolen),
        SCENARIO_BOTH(parked_workers_run_what_is_theirs),
        SCENARIO_BOTH(who_parks_wakes_another),
        cmocka_unit_test(parked_workers_leave_no_tag_unserved),
        cmocka_unit_test(surplus_workers_hand_over),
        SCENARIO_BOTH(cancelled_with_their_worker),
        cmocka_unit_test(the_oldest_is_dropped),
        cmocka_unit_test(none_is_dropped_for_nothing),
        cmocka_unit_test(destroyed_while_it_grows),
        cmocka_unit_test(bounds_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
