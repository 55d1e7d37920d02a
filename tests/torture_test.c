/* SPDX-License-Identifier: MIT */
/* Pools under torture. */
#include "torture.h"

#include <stdio.h>

enum { TORTURE_TASKS = 8 };

typedef struct torture_task {
    brg_task *task;
    brg_status submitted;
    int done; /* how often its callback ran */
    brg_status status;
} torture_task;

static void torture_done(const brg_result *result, void *user_data)
{
    torture_task *task = user_data;
    task->done++;
    task->status = result->status;
    torture_worked(result->status, result->error, "a task");
}

static brg_status torture_function(brg_context *context, void *argument)
{
    (void)argument;
    return brg_context_alloc(context, 10000) != NULL ? BRG_OK : BRG_NO_MEMORY;
}

static void torture_submit(brg_pool *pool, torture_task *task, int i, bool with_done, bool by_function)
{
    static const char *const names[] = {"noop", "echo", "fail", "who", "poll_politely", "allocate", "echo", "noop"};
    brg_error error;
    brg_value *input = NULL;
    memset(&error, 0, sizeof(error));
    if (i % 2 == 1 &&
        !torture_worked(brg_value_map(&input, &error, brg_field_int("bytes", 5000)), &error, "brg_value_map")) {
        task->submitted = BRG_NO_MEMORY;
        return;
    }
    const brg_submit_options options = {.size = sizeof(options),
                                        .done = with_done ? torture_done : NULL,
                                        .user_data = task,
                                        .error = &error,
                                        .run_timeout_ns = i == 4 ? BRG_MILLISECONDS(2) : 0,
                                        .queue_timeout_ns = i == 5 ? BRG_SECONDS(1000) : 0};
    if (by_function)
        task->submitted = brg_pool_submit_call(pool, torture_function, NULL, &options, &task->task);
    else
        task->submitted = brg_pool_submit(pool, names[i], input, &options, &task->task);
    if (!torture_worked(task->submitted, &error, "brg_pool_submit")) {
        torture_expect(task->task == NULL, "a refused submit gave a handle");
        torture_expect(task->submitted != BRG_UNAVAILABLE, "one failure opened the breaker");
    }
    if (task->submitted != BRG_OK || by_function)
        brg_value_unref(input);
}

static void torture_settled(torture_task *task)
{
    if (task->submitted != BRG_OK)
        return;
    torture_expect(brg_task_wait(task->task, TORTURE_LONG) == BRG_OK, "a task does not settle");
    const brg_result *result = brg_task_result(task->task);
    torture_expect(result != NULL, "a settled task has no result");
    torture_worked(result->status, result->error, "a task");
    torture_expect(result->status != BRG_UNAVAILABLE && result->status != BRG_LOST, "one failure cost too much");
}

static void torture_pool(brg_isolation isolation, bool with_loop, bool by_function)
{
    brg_loop *loop = NULL;
    brg_pool *pool = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (with_loop && !torture_worked(brg_loop_create(&loop, NULL, &error), &error, "brg_loop_create")) {
        torture_expect(loop == NULL, "a failed create gave a loop");
        return;
    }
    brg_value *init = NULL;
    brg_value_map(&init, NULL, brg_field_string("greeting", "hello"));
    brg_status status = brg_pool_create(&pool,
                                        brg_pool_opts(.isolation = isolation, .module = scenario_module(), .loop = loop,
                                                      .workers_max = 2, .init_data = init, .timing = true,
                                                      .restart_min_ns = BRG_MILLISECONDS(1), .breaker_failures = 4,
                                                      TORTURE_PATIENCE),
                                        &error);
    if (!torture_worked(status, &error, "brg_pool_create")) {
        torture_expect(pool == NULL, "a failed create gave a pool");
        brg_value_unref(init); /* still ours */
    } else {
        torture_task tasks[TORTURE_TASKS];
        memset(tasks, 0, sizeof(tasks));
        for (int i = 0; i < TORTURE_TASKS; i++)
            torture_submit(pool, &tasks[i], i, with_loop, by_function);
        if (tasks[6].task != NULL)
            brg_task_cancel(tasks[6].task);
        for (int i = 0; i < TORTURE_TASKS - 1; i++) /* destroy ends the last */
            torture_settled(&tasks[i]);
        brg_pool_destroy(pool);
        for (int i = 0; i < TORTURE_TASKS; i++) {
            torture_settled(&tasks[i]);
            torture_expect(tasks[i].done == (with_loop && tasks[i].submitted == BRG_OK), "a callback did not run once");
            torture_expect(tasks[i].task == NULL || tasks[i].done == 0 ||
                               brg_task_result(tasks[i].task)->status == tasks[i].status,
                           "a task settled twice");
            brg_task_unref(tasks[i].task);
        }
    }
    torture_expect(brg_loop_destroy(loop) == BRG_OK, "a loop is in use for ever");
}

static void pool_with_handles(brg_isolation isolation) { torture_pool(isolation, false, false); }
static void pool_with_a_loop(brg_isolation isolation) { torture_pool(isolation, true, false); }
static void pool_of_functions(brg_isolation isolation)
{
    if (isolation == BRG_ISOLATION_THREAD)
        torture_pool(isolation, false, true);
}

/* A worker is lost and replaced while calls fail. */
static void pool_whose_worker_crashes(brg_isolation isolation)
{
    brg_pool *pool = NULL;
    brg_error error;
    if (isolation != BRG_ISOLATION_PROCESS)
        return;
    memset(&error, 0, sizeof(error));
    if (!torture_worked(brg_pool_create(&pool,
                                        brg_pool_opts(.isolation = isolation, .module = scenario_module(),
                                                      .workers_max = 1, .restart_min_ns = BRG_MILLISECONDS(1),
                                                      .breaker_failures = 4, TORTURE_PATIENCE),
                                        &error),
                        &error, "brg_pool_create"))
        return;
    static const char *const names[] = {"abort", "noop", "who"};
    for (int i = 0; i < 3; i++) {
        torture_task task = {0};
        task.submitted = brg_pool_submit(pool, names[i], NULL, brg_submit_opts(.error = &error), &task.task);
        torture_worked(task.submitted, &error, "brg_pool_submit");
        torture_settled(&task);
        if (i == 0 && task.task != NULL)
            torture_expect(brg_task_result(task.task)->status != BRG_OK, "an abort is a success");
        brg_task_unref(task.task);
    }
    brg_pool_destroy(pool);
}

static void torture_count(brg_pool *pool, const brg_metrics *metrics, void *user_data)
{
    (void)pool;
    torture_expect(brg_metrics_pool(metrics)->tasks_submitted <= 2, "the event counts what was not there");
    ++*(int *)user_data;
}

static void torture_texts(const brg_metrics *metrics)
{
    char *json = NULL, *page = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    bool made = torture_worked(brg_metrics_json(metrics, BRG_JSON_INDENT, &json, NULL, &error), &error,
                               "brg_metrics_json");
    torture_expect(made == (json != NULL), "failed JSON is there");
    made = torture_worked(brg_metrics_prometheus(&metrics, 1, &page, NULL, &error), &error, "brg_metrics_prometheus");
    torture_expect(made == (page != NULL), "a failed page is there");
    brg_free(json);
    brg_free(page);
}

static void pool_that_is_read(brg_isolation isolation)
{
    brg_loop *loop = NULL;
    brg_pool *pool = NULL;
    brg_metrics *metrics = NULL;
    brg_error error;
    int told = 0;
    memset(&error, 0, sizeof(error));
    FILE *null = fopen("/dev/null", "w");
    if (torture_worked(brg_loop_create(&loop, NULL, &error), &error, "brg_loop_create") &&
        torture_worked(brg_pool_create(&pool,
                                       brg_pool_opts(.isolation = isolation, .module = scenario_module(),
                                                     .workers_max = 1, .loop = loop, .on_metrics = torture_count,
                                                     .user_data = &told, .metrics_interval_ns = BRG_MILLISECONDS(1),
                                                     .restart_min_ns = BRG_MILLISECONDS(1), .breaker_failures = 4,
                                                     TORTURE_PATIENCE),
                                       &error),
                       &error, "brg_pool_create")) {
        for (int i = 0; i < 2; i++) {
            torture_task task = {0};
            torture_submit(pool, &task, i, false, false);
            torture_settled(&task);
            brg_task_unref(task.task);
        }
        bool read = torture_worked(brg_pool_metrics(pool, &metrics, &error), &error, "brg_pool_metrics");
        torture_expect(read == (metrics != NULL), "a failed reading is there");
        if (read)
            torture_texts(metrics);
        torture_worked(brg_pool_dump(pool, null), NULL, "brg_pool_dump");
        brg_metrics_free(metrics);
        brg_pool_destroy(pool);
    }
    fclose(null);
    torture_expect(brg_loop_destroy(loop) == BRG_OK, "a loop is in use for ever");
}

static void torture_see(const brg_event *events, size_t count, uint64_t lost, void *user_data)
{
    (void)lost;
    for (size_t i = 0; i < count; i++)
        *(bool *)user_data = *(bool *)user_data || events[i].type == BRG_EVENT_POOL_CLOSED;
}

static brg_status torture_take(void *user_data, const char *text, size_t size)
{
    (void)text;
    *(size_t *)user_data += size;
    return BRG_OK;
}

/* What is watched and traced from its first moment, and what is not there then. */
static void pool_that_is_watched(brg_isolation isolation)
{
    brg_error error;
    brg_loop *loop = NULL;
    brg_pool *pool = NULL;
    brg_trace *trace = NULL;
    brg_watch *watch = NULL;
    bool is_closed = false;
    size_t size = 0;
    memset(&error, 0, sizeof(error));
    if (!torture_worked(brg_loop_create(&loop, NULL, &error), &error, "brg_loop_create"))
        return;
    torture_worked(brg_trace_create(&trace, NULL, &error), &error, "brg_trace_create");
    brg_status status = brg_pool_create(
        &pool,
        brg_pool_opts(.isolation = isolation, .module = scenario_module(), .loop = loop, .workers_max = 2,
                      .trace = trace, .watch = brg_watch_opts(.on_events = torture_see, .user_data = &is_closed),
                      .restart_min_ns = BRG_MILLISECONDS(1), .breaker_failures = 4, TORTURE_PATIENCE),
        &error);
    if (torture_worked(status, &error, "brg_pool_create")) {
        torture_task task = {0};
        torture_worked(
            brg_watch_create(&watch, pool, brg_watch_opts(.on_events = torture_see, .user_data = &is_closed), &error),
            &error, "brg_watch_create");
        task.submitted = brg_pool_submit(pool, "noop", NULL, brg_submit_opts(.error = &error), &task.task);
        torture_worked(task.submitted, &error, "brg_pool_submit");
        torture_settled(&task);
        brg_task_unref(task.task);
        if (trace != NULL)
            torture_worked(brg_trace_print(trace, torture_take, &size, &error), &error, "brg_trace_print");
        brg_pool_destroy(pool);
    } else {
        torture_expect(pool == NULL, "a failed create gave a pool");
        torture_expect(!is_closed, "a pool that never was told of its end");
    }
    brg_watch_destroy(watch);
    brg_trace_destroy(trace);
    torture_expect(brg_loop_destroy(loop) == BRG_OK, "a loop is in use for ever");
}

static const torture_scenario scenarios[] = {
    TORTURE_SCENARIO(pool_with_handles), TORTURE_SCENARIO(pool_with_a_loop),
    TORTURE_SCENARIO(pool_of_functions), TORTURE_SCENARIO(pool_whose_worker_crashes),
    TORTURE_SCENARIO(pool_that_is_read), TORTURE_SCENARIO(pool_that_is_watched)};

enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

static void whatever_fails(void **state)
{
    assert_true(torture_scenarios(scenarios, SCENARIOS, scenario_isolation(state)) > 100);
}
static void from_a_cold_start(void **state)
{
    assert_true(torture_cold_starts(&scenarios[0], scenario_isolation(state)) > 20);
}

int main(void)
{
    torture_begin();
    const struct CMUnitTest tests[] = {SCENARIO_BOTH(from_a_cold_start), SCENARIO_BOTH(whatever_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
