/* SPDX-License-Identifier: MIT */
/* Torture of tasks that belong together: groups, tokens, dependencies, batches, and what all workers get. */
#include "failing.h"

#include "base/util.h"

enum { TASKS = 8 };

/* ---- groups ------------------------------------------------------------------------------------------------------ */

static void count_group(brg_group *group, void *user_data)
{
    brg_group_counts counts = {.size = sizeof(counts)};
    failing_worked(brg_group_get_counts(group, &counts), NULL, "brg_group_get_counts");
    failing_expect(counts.pending == 0, "a group is done before its tasks are");
    ++*(int *)user_data;
}

static brg_group *make_group(brg_pool *pool)
{
    brg_group *group = FAILING_UNTOUCHED;
    brg_error error = {.status = BRG_OK};
    if (failing_worked(brg_group_create(&group, pool, &error), &error, "brg_group_create"))
        return group;
    failing_expect(group == FAILING_UNTOUCHED, "a failed create changed its output");
    return NULL;
}

static void group_work(brg_pool *pool, brg_group *group)
{
    static const char *const names[] = {"pass", "fail", "stay", "pass"};
    failing_task tasks[4];
    brg_error error = {.status = BRG_OK};
    brg_group_counts counts = {.size = sizeof(counts)};
    uint64_t accepted = 0;
    int told = 0;
    bool is_told = failing_worked(brg_group_when_done(group, count_group, &told, &error), &error,
                                  "brg_group_when_done");
    for (int i = 0; i < 4; i++)
        accepted += failing_submit(pool, &tasks[i], names[i], failing_number(i),
                                   brg_submit_opts(.group = group, .priority = BRG_PRIORITY_HIGH), i == 1);
    brg_group_cancel(group);
    failing_expect(brg_group_wait(group, FAILING_LONG) == BRG_OK, "a group does not settle");
    brg_group_get_counts(group, &counts);
    failing_expect(counts.submitted == accepted && counts.pending == 0, "a group counts what was refused");
    failing_expect(counts.done + counts.failed + counts.cancelled == accepted, "a group does not count an end");
    failing_worked(brg_pool_wait_idle(pool, FAILING_LONG), NULL, "brg_pool_wait_idle");
    brg_group_unref(group);
    brg_pool_destroy(pool);
    failing_expect(told == is_told, "a group's function did not run once");
    failing_ended(tasks, 4);
}

static void groups(brg_isolation isolation)
{
    brg_loop *loop = failing_loop();
    brg_pool *pool = loop == NULL ? NULL : failing_pool(isolation, (brg_pool_options){.workers_max = 2, .loop = loop});
    brg_group *group = pool == NULL ? NULL : make_group(pool);
    if (group != NULL)
        group_work(pool, group);
    else
        brg_pool_destroy(pool);
    failing_loop_end(loop);
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static brg_token *make_token(void)
{
    brg_token *token = FAILING_UNTOUCHED;
    brg_error error = {.status = BRG_OK};
    if (failing_worked(brg_token_create(&token, &error), &error, "brg_token_create"))
        return token;
    failing_expect(token == FAILING_UNTOUCHED, "a failed create changed its output");
    return NULL;
}

/* Cancelled while one runs and others wait; and one is submitted with a token that is cancelled. */
static void tokens(brg_isolation isolation)
{
    static const char *const names[] = {"stay", "pass", "stay", "pass", "pass"};
    failing_task tasks[5];
    brg_token *token = make_token(), *other = make_token();
    brg_pool *pool = token == NULL || other == NULL ? NULL
                                                    : failing_pool(isolation, (brg_pool_options){.workers_max = 1});
    if (pool != NULL) {
        for (int i = 0; i < 4; i++)
            failing_submit(pool, &tasks[i], names[i], failing_number(i),
                           brg_submit_opts(.token = i == 3 ? other : token), false);
        brg_token_cancel(token);
        failing_submit(pool, &tasks[4], names[4], NULL, brg_submit_opts(.token = token), false);
        failing_settled(tasks, 5);
        for (int i = 0; i < 5; i += i == 2 ? 2 : 1)
            failing_expect(tasks[i].task == NULL || brg_task_result(tasks[i].task)->status != BRG_OK || i == 1,
                           "a cancelled task went on");
        brg_pool_destroy(pool);
        failing_ended(tasks, 5);
    }
    brg_token_unref(token);
    brg_token_unref(other);
}

static void note_cancelled(void *user_data) { ++((int *)user_data)[0]; }
static void note_released(void *user_data) { ++((int *)user_data)[1]; }

static void token_watches(brg_isolation isolation)
{
    (void)isolation;
    int seen[2] = {0, 0};
    brg_token_watch *watch = FAILING_UNTOUCHED;
    brg_error error = {.status = BRG_OK};
    brg_loop *loop = failing_loop();
    brg_token *token = loop == NULL ? NULL : make_token();
    if (token != NULL) {
        bool watched = failing_worked(
            brg_token_on_cancel(token,
                                brg_token_watch_opts(.loop = loop, .cancelled = note_cancelled,
                                                     .release = note_released, .user_data = seen),
                                &watch, &error),
            &error, "brg_token_on_cancel");
        failing_expect(watched || watch == FAILING_UNTOUCHED, "a failed watch changed its output");
        brg_token_cancel(token);
        failing_worked(brg_loop_run(loop), NULL, "brg_loop_run");
        if (watched)
            brg_token_watch_destroy(watch);
        failing_worked(brg_loop_run(loop), NULL, "brg_loop_run");
        failing_expect(seen[0] == watched && seen[1] == watched, "a watch was not told once");
    }
    brg_token_unref(token);
    failing_loop_end(loop);
}

/* ---- dependencies ------------------------------------------------------------------------------------------------ */

/* Two that run, one after both, a chain behind that, and one that runs whatever became of them. */
static void dependencies(brg_isolation isolation)
{
    failing_task tasks[7];
    brg_pool *pool = failing_pool(isolation, (brg_pool_options){.workers_max = 2});
    if (pool == NULL)
        return;
    failing_submit(pool, &tasks[0], "pass", failing_number(0), NULL, false);
    failing_submit(pool, &tasks[1], "pass", failing_number(1), brg_submit_opts(.delay_ns = 1000), false);
    failing_submit(pool, &tasks[2], "fail", NULL, NULL, false);
    for (int i = 3; i < 7; i++) {
        brg_task *after[3];
        size_t count = 0;
        for (int j = i == 3 ? 0 : i - 2; j < i; j++)
            if (tasks[j].task != NULL && (i != 3 || j < 3))
                after[count++] = tasks[j].task;
        failing_submit(
            pool, &tasks[i], "pass", failing_number(i),
            brg_submit_opts(.after = after, .after_count = count, .after_any = i >= 5, .delay_ns = i == 5 ? 1000 : 0),
            false);
    }
    failing_settled(tasks, 6); /* destroy may end the last */
    brg_pool_destroy(pool);
    failing_ended(tasks, 7);
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

static void with_batches(brg_isolation isolation, const brg_queue_policy *queue)
{
    failing_task tasks[3 * TASKS];
    brg_loop *loop = failing_loop();
    brg_pool *pool = loop == NULL ? NULL
                                  : failing_pool(isolation,
                                                 (brg_pool_options){.workers_max = 2,
                                                                    .loop = loop,
                                                                    .batch_size = 4,
                                                                    .queue = queue,
                                                                    .batch_delay_ns = 1000,
                                                                    .attempts_max = 3,
                                                                    .retry_on = BRG_RETRY_CRASH | BRG_RETRY_TRANSIENT});
    if (pool != NULL) {
        for (int i = 0; i < 3 * TASKS; i++)
            failing_submit(pool, &tasks[i], i == 5 ? "pass" : "many", failing_number(i),
                           brg_submit_opts(.key = (uint64_t)i % 2), i % 2 == 0);
        if (tasks[12].task != NULL)
            (void)brg_task_cancel(tasks[12].task);
        failing_settled(tasks, 3 * TASKS);
        brg_pool_destroy(pool);
        failing_ended(tasks, 3 * TASKS);
    }
    failing_loop_end(loop);
}

static void batches(brg_isolation isolation) { with_batches(isolation, NULL); }
static void fair_batches(brg_isolation isolation) { with_batches(isolation, brg_queue_fair); }

/* ---- what every worker gets -------------------------------------------------------------------------------------- */

static void configure(brg_pool *pool, brg_value *config)
{
    brg_error error = {.status = BRG_OK};
    if (!failing_worked(brg_pool_configure(pool, config, &error), &error, "brg_pool_configure"))
        brg_value_unref(config);
}

typedef struct all_workers {
    int done, started, ended;
} all_workers;

static void count_done(const brg_result *result, void *user_data)
{
    failing_worked(result->status, result->error, "a task of all");
    ((all_workers *)user_data)->done++;
}

static void count_worker_start(brg_pool *pool, uint64_t worker_id, const brg_exit *exit, void *user_data)
{
    (void)pool, (void)worker_id;
    failing_expect(exit == NULL, "a worker ended as it started");
    ((all_workers *)user_data)->started++;
}

static void count_worker_end(brg_pool *pool, uint64_t worker_id, const brg_exit *exit, void *user_data)
{
    (void)pool, (void)worker_id;
    failing_expect(exit != NULL, "a worker ended for no reason");
    ((all_workers *)user_data)->ended++;
}

/* Configured, prewarmed, told of, and replaced after each second task. */
static void all_get_something(brg_isolation isolation)
{
    failing_task tasks[TASKS];
    all_workers seen = {0, 0, 0};
    brg_loop *loop = failing_loop();
    brg_value *warm = failing_number(1);
    brg_pool *pool = loop == NULL ? NULL
                                  : failing_pool(isolation, (brg_pool_options){.workers_max = 2,
                                                                               .loop = loop,
                                                                               .prewarm_task = "pass",
                                                                               .prewarm_input = warm,
                                                                               .on_worker_start = count_worker_start,
                                                                               .on_worker_end = count_worker_end,
                                                                               .user_data = &seen,
                                                                               .recycle_tasks = 2});
    if (pool == NULL)
        brg_value_unref(warm);
    if (pool != NULL) {
        uint32_t count = 77;
        brg_error error = {.status = BRG_OK};
        configure(pool, failing_number(1));
        brg_value *input = failing_list(3);
        bool all = failing_worked(
            brg_pool_submit_all(pool, "pass", input,
                                brg_submit_opts(.done = count_done, .user_data = &seen, .error = &error), &count),
            &error, "brg_pool_submit_all");
        if (!all)
            brg_value_unref(input);
        failing_expect(all || count == 77, "a refused submit changed its output");
        for (int i = 0; i < TASKS; i++) {
            if (i == 4)
                configure(pool, failing_list(2));
            failing_submit(pool, &tasks[i], "pass", failing_number(i), NULL, i % 2 == 0);
        }
        failing_settled(tasks, TASKS);
        configure(pool, NULL);
        brg_pool_destroy(pool);
        failing_ended(tasks, TASKS);
        failing_expect(seen.done == (all ? (int)count : 0), "a task of all did not settle once");
        failing_expect(seen.started == seen.ended, "a worker that started did not end");
    }
    failing_loop_end(loop);
}

/* ---- the torture ------------------------------------------------------------------------------------------------- */

static const failing_scenario scenarios[] = {FAILING_SCENARIO(groups),           FAILING_SCENARIO(tokens),
                                             FAILING_IN_THREADS(token_watches),  FAILING_SCENARIO(batches),
                                             FAILING_SCENARIO(fair_batches),     FAILING_SCENARIO(dependencies),
                                             FAILING_SCENARIO(all_get_something)};

static void torture_bunches(void **state)
{
    failing_each(scenarios, brg__count_of(scenarios), scenario_isolation(state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENARIO_BOTH(torture_bunches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
