/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "failing.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/util.h"
#include "message/region.h"
#include "os/fault.h"
#include "os/sys.h"
#include "watch.h"

#define FAILING_RUN_SECONDS 200 /* far more than a run takes: a run that hangs is named, and ends the test */
#define FAILING_FIRST (WATCH_SANITIZED ? 4 : 6)  /* calls of an entry that all fail in turn; of the others */
#define FAILING_SAMPLE (WATCH_SANITIZED ? 5 : 8) /* about so many */

static char failing_now[160];

static void failing_hangs(int signal)
{
    (void)signal;
    static const char text[] = "this run hangs: ";
    if (write(2, text, sizeof(text) - 1) > 0 && write(2, failing_now, strlen(failing_now)) > 0 && write(2, "\n", 1) > 0)
        abort();
    abort();
}

/* Also called on other threads than cmocka's, whose way out leads nowhere. */
static __attribute__((noreturn)) void failing_stop(const char *what, const char *more)
{
    fprintf(stderr, "%s: %s%s%s\n", failing_now, what, *more != '\0' ? ": " : "", more);
    abort();
}

bool failing_worked(brg_status status, const brg_error *error, const char *what)
{
    char text[512];
    if (status == BRG_OK)
        return true;
    snprintf(text, sizeof(text), "%s with the error %s \"%s\"", brg_status_name(status),
             error == NULL ? "" : brg_status_name(error->status), error == NULL ? "" : error->message);
    if (strcmp(brg_status_name(status), "BRG_?") == 0 ||
        (error != NULL && (error->status != status || error->message[0] == '\0' ||
                           (status != BRG_CANCELLED && strchr(error->message, ' ') == NULL))))
        failing_stop(what, text);
    return false;
}

void failing_expect(bool holds, const char *what)
{
    if (!holds)
        failing_stop(what, "");
}

/* ---- the torture ------------------------------------------------------------------------------------------------- */

static const char *const entries[] = {
#define FAILING_ENTRY(type, name, parameters) #name,
    BRG__SYS_MAP(FAILING_ENTRY)
#undef FAILING_ENTRY
};

typedef struct failing_level {
    int files, threads;
} failing_level;

static void failing_run(const failing_scenario *scenario, brg_isolation isolation, const char *entry, uint64_t nth)
{
    snprintf(failing_now, sizeof(failing_now), "%s in a %s, failing %s number %llu", scenario->name,
             isolation == BRG_ISOLATION_THREAD ? "thread" : "process", entry, (unsigned long long)nth);
    alarm(FAILING_RUN_SECONDS);
    brg__fault_arm(entry, nth);
    scenario->run(isolation);
    alarm(0);
}

/* Memory that is kept for the next is no leak, whenever it came there. */
static bool failing_files_hold(void *argument)
{
    brg__region_trim();
    return scenario_open_files() <= *(const int *)argument;
}

static bool failing_once(const failing_scenario *scenario, brg_isolation isolation, const char *entry, uint64_t nth,
                         const failing_level *level)
{
    failing_run(scenario, isolation, entry, nth);
    bool fired = brg__fault_fired();
    brg__fault_disarm();
    if (!watch_until(failing_files_hold, &(int){level->files}))
        failing_stop("descriptors are open that were not before", "");
    if (!watch_until_threads(level->threads))
        failing_stop("threads are there that were not before", "");
    return fired;
}

static uint64_t failing_scenario_run(const failing_scenario *scenario, brg_isolation isolation)
{
    bool all = getenv("TORTURE_ALL") != NULL;
    uint64_t failed = 0;
    failing_run(scenario, isolation, "allocate", 0); /* supervisor and template are there from now on */
    brg__fault_disarm();
    brg__region_trim();
    const failing_level level = {.files = scenario_open_files(), .threads = watch_count_threads()};
    for (size_t entry = 0; entry < brg__count_of(entries); entry++) {
        failing_run(scenario, isolation, entries[entry], 0);
        uint64_t calls = brg__fault_calls(), step = 1;
        brg__fault_disarm();
        for (uint64_t nth = 1; calls != 0 && failing_once(scenario, isolation, entries[entry], nth, &level);
             nth += step) {
            failed++;
            if (!all && nth >= FAILING_FIRST && calls > FAILING_FIRST + FAILING_SAMPLE)
                step = (calls - FAILING_FIRST) / FAILING_SAMPLE;
        }
    }
    failing_run(scenario, isolation, "allocate", 0); /* nothing is left broken */
    brg__fault_disarm();
    return failed;
}

void failing_each(const failing_scenario *scenarios, size_t count, brg_isolation isolation)
{
    const char *only = getenv("TORTURE_ONLY");
    signal(SIGALRM, failing_hangs);
    for (size_t i = 0; i < count; i++) {
        if ((scenarios[i].threads_only && isolation != BRG_ISOLATION_THREAD) ||
            (only != NULL && strcmp(only, scenarios[i].name) != 0))
            continue;
        uint64_t failed = failing_scenario_run(&scenarios[i], isolation);
        print_message("%s: %llu failures\n", scenarios[i].name, (unsigned long long)failed);
        if (failed < FAILING_FIRST) /* what makes the pool or loop allocates as often, whoever runs when */
            fail_msg("%s: only %llu calls failed", scenarios[i].name, (unsigned long long)failed);
    }
    assert_int_equal(brg_workers_lost(), 0);
}

/* ---- pools and loops --------------------------------------------------------------------------------------------- */

static brg_pool *failing_create(brg_pool_options *options)
{
    brg_pool *pool = FAILING_UNTOUCHED;
    brg_error error = {.status = BRG_OK};
    options->size = sizeof(*options);
    options->restart_min_ns = BRG_MILLISECONDS(1);
    options->breaker_failures = 4;
    options->start_timeout_ns = FAILING_LONG;
    options->grace_ns = FAILING_LONG; /* they listen, however slow the machine is */
    if (!failing_worked(brg_pool_create(&pool, options, &error), &error, "brg_pool_create")) {
        failing_expect(pool == FAILING_UNTOUCHED, "a failed create changed its output");
        return NULL;
    }
    return pool;
}

brg_pool *failing_pool(brg_isolation isolation, brg_pool_options options)
{
    static char module[4096];
    snprintf(module, sizeof(module), "%s/torture.so", getenv("TEST_MODULE_DIR"));
    options.module = module;
    options.isolation = isolation;
    return failing_create(&options);
}

brg_pool *failing_function_pool(brg_pool_options options) { return failing_create(&options); }

brg_loop *failing_loop(void)
{
    brg_loop *loop = FAILING_UNTOUCHED;
    brg_error error = {.status = BRG_OK};
    if (failing_worked(brg_loop_create(&loop, NULL, &error), &error, "brg_loop_create"))
        return loop;
    failing_expect(loop == FAILING_UNTOUCHED, "a failed create changed its output");
    return NULL;
}

void failing_loop_end(brg_loop *loop) { failing_expect(brg_loop_destroy(loop) == BRG_OK, "a loop is in use for ever"); }

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

static void failing_done(const brg_result *result, void *user_data)
{
    failing_task *task = user_data;
    task->done++;
    task->status = result->status;
    failing_worked(result->status, result->error, "a task");
}

static bool failing_submitted(failing_task *task, brg_status status, const brg_error *error)
{
    if (failing_worked(status, error, "a submit"))
        return true;
    failing_expect(task->task == FAILING_UNTOUCHED, "a refused submit changed its output");
    failing_expect(status != BRG_UNAVAILABLE, "one failure opened the breaker");
    task->task = NULL;
    return false;
}

static brg_submit_options failing_options(failing_task *task, const brg_submit_options *options, bool with_done,
                                          brg_error *error)
{
    brg_submit_options complete = {0};
    if (options != NULL)
        complete = *options;
    complete.size = sizeof(complete);
    complete.error = error;
    if (with_done) {
        complete.done = failing_done;
        complete.user_data = task;
    }
    *task = (failing_task){.task = FAILING_UNTOUCHED, .has_done = with_done};
    return complete;
}

bool failing_submit(brg_pool *pool, failing_task *task, const char *name, brg_value *input,
                    const brg_submit_options *options, bool with_done)
{
    brg_error error = {.status = BRG_OK};
    const brg_submit_options complete = failing_options(task, options, with_done, &error);
    if (failing_submitted(task, brg_pool_submit(pool, name, input, &complete, &task->task), &error))
        return true;
    brg_value_unref(input);
    return false;
}

bool failing_submit_call(brg_pool *pool, failing_task *task, brg_call_fn call, void *argument,
                         const brg_submit_options *options, bool with_done)
{
    brg_error error = {.status = BRG_OK};
    const brg_submit_options complete = failing_options(task, options, with_done, &error);
    return failing_submitted(task, brg_pool_submit_call(pool, call, argument, &complete, &task->task), &error);
}

void failing_settled(failing_task *tasks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (tasks[i].task == NULL)
            continue;
        failing_expect(brg_task_wait(tasks[i].task, FAILING_LONG) == BRG_OK, "a task does not settle");
        const brg_result *result = brg_task_result(tasks[i].task);
        failing_expect(result != NULL, "a settled task has no result");
        failing_worked(result->status, result->error, "a task");
        if (result->status == BRG_UNAVAILABLE || result->status == BRG_LOST)
            failing_stop("one failure cost too much", result->error->message);
        failing_expect((result->status == BRG_OK) == (result->state == BRG_TASK_DONE), "its state is another");
    }
}

void failing_ended(failing_task *tasks, size_t count)
{
    failing_settled(tasks, count);
    for (size_t i = 0; i < count; i++) {
        failing_expect(tasks[i].done == (tasks[i].has_done && tasks[i].task != NULL), "a callback did not run once");
        failing_expect(tasks[i].done == 0 || brg_task_result(tasks[i].task)->status == tasks[i].status,
                       "a task settled twice");
        brg_task_unref(tasks[i].task);
        tasks[i] = (failing_task){.task = NULL};
    }
}

brg_value *failing_number(int64_t number)
{
    brg_value *value = FAILING_UNTOUCHED;
    brg_error error = {.status = BRG_OK};
    if (failing_worked(brg_value_int(&value, number, &error), &error, "brg_value_int"))
        return value;
    failing_expect(value == FAILING_UNTOUCHED, "a failed value changed its output");
    return NULL;
}

brg_value *failing_list(int64_t count)
{
    brg_builder *builder = FAILING_UNTOUCHED;
    brg_value *list = FAILING_UNTOUCHED;
    brg_error error = {.status = BRG_OK};
    if (!failing_worked(brg_builder_create(&builder, &error), &error, "brg_builder_create")) {
        failing_expect(builder == FAILING_UNTOUCHED, "a failed builder changed its output");
        return NULL;
    }
    brg_builder_list(builder);
    for (int64_t i = 0; i < count; i++)
        brg_builder_int(builder, i);
    brg_builder_end(builder);
    if (!failing_worked(brg_builder_finish(builder, &list, &error), &error, "brg_builder_finish")) {
        failing_expect(list == FAILING_UNTOUCHED, "a failed value changed its output");
        list = NULL;
    }
    brg_builder_destroy(builder);
    return list;
}

bool failing_is_list(const brg_value *value, int64_t count)
{
    brg_view list = brg_value_root(value);
    int64_t number;
    if (brg_view_type(list) != BRG_TYPE_LIST || brg_view_count(list) != (size_t)count)
        return false;
    for (int64_t i = 0; i < count; i++)
        if (brg_view_int(brg_view_at(list, (size_t)i), &number) != BRG_OK || number != i)
            return false;
    return true;
}
