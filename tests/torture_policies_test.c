/* SPDX-License-Identifier: MIT */
/* Torture of pools with every policy: queues, placements, tags, scaling, admission, changes while they run. */
#include "failing.h"

#include "base/util.h"

enum { TASKS = 8 };

/* Tasks of all priorities, keys and deadlines; one is cancelled, one waits for its time. */
static void submit_all_kinds(brg_pool *pool, failing_task *tasks, bool with_done)
{
    static const brg_priority priorities[] = {BRG_PRIORITY_NORMAL, BRG_PRIORITY_URGENT, BRG_PRIORITY_HIGH,
                                              BRG_PRIORITY_LOW};
    for (int i = 0; i < TASKS; i++)
        failing_submit(pool, &tasks[i], i == 3 ? "fail" : "pass", failing_number(i),
                       brg_submit_opts(.priority = priorities[i % 4], .key = (uint64_t)(i % 3), .tags = i == 5 ? 2u : 0,
                                       .deadline_ns = i % 2 == 0 ? BRG_SECONDS(1000) : 0,
                                       .delay_ns = i == 6 ? BRG_MICROSECONDS(300) : 0),
                       with_done);
    if (tasks[2].task != NULL)
        (void)brg_task_cancel(tasks[2].task);
}

static void with_policies(brg_isolation isolation, const brg_queue_policy *queue, const brg_placement_policy *placement)
{
    static const uint64_t tags[] = {1, 3};
    failing_task tasks[TASKS];
    brg_pool *pool = failing_pool(isolation, (brg_pool_options){.workers_max = 2,
                                                                .queue = queue,
                                                                .placement = placement,
                                                                .worker_tags = tags,
                                                                .worker_tags_count = 2,
                                                                .seed = 1,
                                                                .ageing_ns = BRG_MICROSECONDS(100)});
    if (pool == NULL)
        return;
    submit_all_kinds(pool, tasks, false);
    failing_settled(tasks, TASKS - 1); /* destroy ends the last */
    brg_pool_destroy(pool);
    failing_ended(tasks, TASKS);
}

static void fifo_queue(brg_isolation isolation) { with_policies(isolation, brg_queue_fifo, brg_placement_round_robin); }
static void lifo_queue(brg_isolation isolation) { with_policies(isolation, brg_queue_lifo, brg_placement_random); }
static void priority_queue(brg_isolation isolation) { with_policies(isolation, brg_queue_priority, NULL); }
static void weighted_queue(brg_isolation isolation)
{
    with_policies(isolation, brg_queue_weighted, brg_placement_two_choices);
}
static void deadline_queue(brg_isolation isolation)
{
    with_policies(isolation, brg_queue_deadline, brg_placement_least_busy);
}
static void fair_queue(brg_isolation isolation) { with_policies(isolation, brg_queue_fair, NULL); }
static void fair_and_sticky(brg_isolation isolation) { with_policies(isolation, brg_queue_fair, brg_placement_sticky); }
static void fair_and_stealing(brg_isolation isolation)
{
    with_policies(isolation, brg_queue_fair, brg_placement_stealing);
}
static void weighted_and_sticky(brg_isolation isolation)
{
    with_policies(isolation, brg_queue_weighted, brg_placement_sticky);
}

/* ---- how many workers -------------------------------------------------------------------------------------------- */

static void tune(brg_pool *pool, const brg_pool_options *changes)
{
    brg_error error = {.status = BRG_OK};
    failing_worked(brg_pool_tune(pool, changes, &error), &error, "brg_pool_tune");
}

/* From none to some and to more than there was room for, and down again. */
static void with_scaling(brg_isolation isolation, const brg_scaling_policy *scaling)
{
    failing_task tasks[2 * TASKS];
    brg_pool *pool = failing_pool(isolation, (brg_pool_options){.workers_max = 2,
                                                                .workers_min = BRG_NO_WORKERS,
                                                                .scaling = scaling,
                                                                .idle_timeout_ns = 1,
                                                                .scaling_interval_ns = BRG_MILLISECONDS(1),
                                                                .placement = brg_placement_sticky});
    if (pool == NULL)
        return;
    submit_all_kinds(pool, tasks, false);
    tune(pool, brg_pool_opts(.workers_max = 5, .workers_min = 3, .warm_spares = 1));
    submit_all_kinds(pool, &tasks[TASKS], false);
    tune(pool, brg_pool_opts(.workers_max = 1, .workers_min = 1));
    failing_settled(tasks, 2 * TASKS);
    brg_pool_destroy(pool);
    failing_ended(tasks, 2 * TASKS);
}

static void scaling_by_backlog(brg_isolation isolation) { with_scaling(isolation, brg_scaling_backlog); }
static void scaling_by_load(brg_isolation isolation) { with_scaling(isolation, brg_scaling_load); }
static void scaling_adaptive(brg_isolation isolation) { with_scaling(isolation, brg_scaling_adaptive); }
static void resized_by_hand(brg_isolation isolation) { with_scaling(isolation, brg_scaling_fixed); }

/* ---- full queues ------------------------------------------------------------------------------------------------- */

typedef struct levels {
    int full, drained;
} levels;

static void on_full(brg_pool *pool, uint64_t count, void *user_data)
{
    levels *told = user_data;
    (void)pool, (void)count;
    failing_expect(told->full++ == told->drained, "full twice in a row");
}

static void on_drain(brg_pool *pool, uint64_t count, void *user_data)
{
    levels *told = user_data;
    (void)pool, (void)count;
    failing_expect(++told->drained == told->full, "drained twice in a row");
}

static void with_admission(brg_isolation isolation, brg_admission admission)
{
    failing_task tasks[TASKS], first = {.task = NULL};
    levels told = {0, 0};
    brg_loop *loop = failing_loop();
    brg_pool *pool = loop == NULL ? NULL
                                  : failing_pool(isolation, (brg_pool_options){.workers_max = 1,
                                                                               .loop = loop,
                                                                               .queue = brg_queue_priority,
                                                                               .queue_max = 3,
                                                                               .queue_low = 1,
                                                                               .admission = admission,
                                                                               .admission_timeout_ns = 1,
                                                                               .on_full = on_full,
                                                                               .on_drain = on_drain,
                                                                               .user_data = &told});
    if (pool != NULL) {
        bool is_busy = failing_submit(pool, &first, "stay", NULL, NULL, true);
        submit_all_kinds(pool, tasks, true);
        if (is_busy)
            (void)brg_task_cancel(first.task);
        failing_worked(brg_pool_wait_idle(pool, FAILING_LONG), NULL, "brg_pool_wait_idle");
        brg_pool_destroy(pool);
        failing_ended(&first, 1);
        failing_ended(tasks, TASKS);
    }
    failing_loop_end(loop);
}

static void full_and_rejecting(brg_isolation isolation) { with_admission(isolation, BRG_ADMISSION_REJECT); }
static void full_and_blocking(brg_isolation isolation) { with_admission(isolation, BRG_ADMISSION_BLOCK); }
static void full_and_dropping_old(brg_isolation isolation) { with_admission(isolation, BRG_ADMISSION_DROP_OLDEST); }
static void full_and_dropping_new(brg_isolation isolation) { with_admission(isolation, BRG_ADMISSION_DROP_NEWEST); }

static brg_status call(brg_context *context, void *argument)
{
    __atomic_fetch_add((int *)argument, 1, __ATOMIC_RELAXED);
    return brg_context_alloc(context, 5000) != NULL ? BRG_OK : BRG_NO_MEMORY;
}

static void callers_that_run(brg_isolation isolation)
{
    (void)isolation;
    failing_task tasks[TASKS];
    int ran = 0;
    uint32_t accepted = 0;
    brg_pool *pool = failing_function_pool((brg_pool_options){.workers_max = 1,
                                                              .queue_max = 1,
                                                              .admission = BRG_ADMISSION_CALLER_RUNS,
                                                              .attempts_max = 2,
                                                              .retry_on = BRG_RETRY_MEMORY});
    if (pool == NULL)
        return;
    for (int i = 0; i < TASKS; i++)
        accepted += failing_submit_call(pool, &tasks[i], call, &ran, NULL, false);
    failing_settled(tasks, TASKS);
    brg_pool_destroy(pool);
    failing_ended(tasks, TASKS);
    failing_expect((uint32_t)ran >= accepted, "a task did not run");
}

/* ---- the torture ------------------------------------------------------------------------------------------------- */

static const failing_scenario policies[] = {
    FAILING_SCENARIO(fifo_queue),      FAILING_SCENARIO(lifo_queue),        FAILING_SCENARIO(priority_queue),
    FAILING_SCENARIO(weighted_queue),  FAILING_SCENARIO(deadline_queue),    FAILING_SCENARIO(fair_queue),
    FAILING_SCENARIO(fair_and_sticky), FAILING_SCENARIO(fair_and_stealing), FAILING_SCENARIO(weighted_and_sticky)};

static const failing_scenario sizes[] = {FAILING_SCENARIO(scaling_by_backlog), FAILING_SCENARIO(scaling_by_load),
                                         FAILING_SCENARIO(scaling_adaptive), FAILING_SCENARIO(resized_by_hand)};

static const failing_scenario admissions[] = {
    FAILING_SCENARIO(full_and_rejecting), FAILING_SCENARIO(full_and_blocking), FAILING_SCENARIO(full_and_dropping_old),
    FAILING_SCENARIO(full_and_dropping_new), FAILING_IN_THREADS(callers_that_run)};

static void torture_policies(void **state)
{
    failing_each(policies, brg__count_of(policies), scenario_isolation(state));
}

static void torture_sizes(void **state) { failing_each(sizes, brg__count_of(sizes), scenario_isolation(state)); }

static void torture_admissions(void **state)
{
    failing_each(admissions, brg__count_of(admissions), scenario_isolation(state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENARIO_BOTH(torture_policies), SCENARIO_BOTH(torture_sizes),
                                       SCENARIO_BOTH(torture_admissions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
