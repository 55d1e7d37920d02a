/* SPDX-License-Identifier: MIT */
/* Torture of what looks at pools: readings in all texts, dumps, events, traces. */
#include "failing.h"

#include <stdio.h>
#include <unistd.h>

#include "base/util.h"

enum { TASKS = 8 };

/* A pool in which something runs, waits, is delayed, blocked, in a batch, and has ended in all ways. */
static brg_pool *begin(brg_isolation isolation, brg_loop *loop, failing_task *tasks, brg_pool_options options)
{
    static const char *const names[] = {"pass", "fail", "stay", "pass", "many", "later", "pass", "tell"};
    static const uint64_t tags[] = {1, 3};
    options.loop = loop;
    options.workers_max = 2;
    options.batch_size = 4;
    options.batch_delay_ns = 1000;
    options.attempts_max = 3;
    options.retry_on = BRG_RETRY_TRANSIENT;
    options.queue = brg_queue_fair;
    options.worker_tags = tags;
    options.worker_tags_count = 2;
    brg_pool *pool = failing_pool(isolation, options);
    for (int i = 0; pool != NULL && i < TASKS; i++)
        failing_submit(pool, &tasks[i], names[i], failing_number(i),
                       brg_submit_opts(.key = (uint64_t)i, .delay_ns = i == 3 ? BRG_SECONDS(1000) : 0,
                                       .after = i == 6 ? &tasks[2].task : NULL,
                                       .after_count = i == 6 && tasks[2].task != NULL, .tags = i == 1 ? 2u : 0),
                       loop != NULL);
    if (pool != NULL && tasks[0].task != NULL)
        failing_settled(tasks, 1);
    return pool;
}

static void end(brg_pool *pool, failing_task *tasks)
{
    brg_pool_destroy(pool);
    failing_ended(tasks, TASKS);
}

/* ---- readings ---------------------------------------------------------------------------------------------------- */

static brg_metrics *read_pool(brg_pool *pool)
{
    brg_metrics *metrics = FAILING_UNTOUCHED;
    brg_error error = {.status = BRG_OK};
    if (failing_worked(brg_pool_metrics(pool, &metrics, &error), &error, "brg_pool_metrics"))
        return metrics;
    failing_expect(metrics == FAILING_UNTOUCHED, "a failed reading changed its output");
    return NULL;
}

static void expect_text(brg_status status, const brg_error *error, char *text, size_t size)
{
    if (failing_worked(status, error, "a text")) {
        failing_expect(strlen(text) == size && size > 100, "a text is not whole");
        brg_free(text);
    } else {
        failing_expect(text == FAILING_UNTOUCHED && size == 77, "a failed text changed its output");
    }
}

static void write_texts(const brg_metrics *const *metrics, size_t count)
{
    brg_error error = {.status = BRG_OK};
    for (int flags = 0; flags < 2; flags++) {
        char *json = FAILING_UNTOUCHED;
        size_t size = 77;
        brg_status status = brg_metrics_json(metrics[0], flags == 0 ? 0 : BRG_JSON_INDENT, &json, &size, &error);
        expect_text(status, &error, json, size);
    }
    char *page = FAILING_UNTOUCHED;
    size_t size = 77;
    brg_status status = brg_metrics_prometheus(metrics, count, &page, &size, &error);
    expect_text(status, &error, page, size);
}

static void readings(brg_isolation isolation)
{
    failing_task tasks[TASKS], others[TASKS];
    const brg_metrics *metrics[3];
    size_t count = 0;
    FILE *null = fopen("/dev/null", "w");
    brg_pool *pool = begin(isolation, NULL, tasks, (brg_pool_options){.name = "one", .timing = true});
    brg_pool *other = pool == NULL
                          ? NULL
                          : begin(isolation, NULL, others, (brg_pool_options){.name = "two", .no_metrics = true});
    if (other != NULL) {
        for (int i = 0; i < 2; i++)
            if ((metrics[count] = read_pool(i == 0 ? pool : other)) != NULL)
                count++;
        if (count == 2)
            write_texts(metrics, count);
        failing_worked(brg_pool_dump(pool, null), NULL, "brg_pool_dump");
        failing_worked(brg_pool_dump(other, null), NULL, "brg_pool_dump");
        end(other, others);
    }
    if (pool != NULL)
        end(pool, tasks);
    if (count == 2)
        write_texts(metrics, count); /* they outlive their pools */
    while (count > 0)
        brg_metrics_free((brg_metrics *)metrics[--count]);
    fclose(null);
}

static void count_reading(brg_pool *pool, const brg_metrics *metrics, void *user_data)
{
    (void)pool;
    failing_expect(brg_metrics_pool(metrics)->tasks_submitted <= TASKS, "the event counts what was not there");
    ++*(int *)user_data;
}

static void told_readings(brg_isolation isolation)
{
    failing_task tasks[TASKS];
    int told = 0;
    brg_loop *loop = failing_loop();
    brg_pool *pool = loop == NULL ? NULL
                                  : begin(isolation, loop, tasks,
                                          (brg_pool_options){.on_metrics = count_reading,
                                                             .user_data = &told,
                                                             .metrics_interval_ns = BRG_MILLISECONDS(1)});
    if (pool != NULL) {
        if (tasks[2].task != NULL)
            (void)brg_task_cancel(tasks[2].task);
        failing_settled(&tasks[1], 2);
        end(pool, tasks);
    }
    failing_loop_end(loop);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

typedef struct seen {
    uint64_t submitted, settled, closed, lost;
    int released;
} seen;

static void see(const brg_event *events, size_t count, uint64_t lost, void *user_data)
{
    seen *self = user_data;
    for (size_t i = 0; i < count; i++) {
        self->submitted += events[i].type == BRG_EVENT_TASK_SUBMITTED;
        self->settled += events[i].type == BRG_EVENT_TASK_SETTLED;
        self->closed += events[i].type == BRG_EVENT_POOL_CLOSED;
    }
    self->lost += lost;
}

static void release(void *user_data) { ((seen *)user_data)->released++; }

static void events(brg_isolation isolation)
{
    failing_task tasks[TASKS];
    seen first = {0}, second = {0};
    brg_watch *watch = FAILING_UNTOUCHED;
    brg_error error = {.status = BRG_OK};
    brg_loop *loop = failing_loop();
    brg_pool *pool = loop == NULL
                         ? NULL
                         : begin(isolation, loop, tasks,
                                 (brg_pool_options){.watch = brg_watch_opts(.on_events = see, .delay_ns = 1,
                                                                            .release = release, .user_data = &first)});
    if (pool != NULL) {
        bool watched = failing_worked(
            brg_watch_create(&watch, pool,
                             brg_watch_opts(.on_events = see, .user_data = &second, .release = release,
                                            .mask = BRG_EVENTS_TASKS, .capacity = 4),
                             &error),
            &error, "brg_watch_create");
        failing_expect(watched || watch == FAILING_UNTOUCHED, "a failed watch changed its output");
        uint64_t accepted = 0;
        for (int i = 0; i < TASKS; i++)
            accepted += tasks[i].task != NULL;
        end(pool, tasks);
        failing_expect(first.closed + first.lost >= 1, "its end was not told");
        failing_expect(first.lost != 0 || (first.submitted == accepted && first.settled == accepted),
                       "an event is neither told nor counted as lost");
        if (watched)
            brg_watch_destroy(watch);
        failing_expect(second.released == watched, "a watch was not released once");
    }
    failing_expect(first.released == (pool != NULL), "a watch was not released once");
    failing_loop_end(loop);
}

/* ---- traces ------------------------------------------------------------------------------------------------------ */

static brg_status take_text(void *user_data, const char *text, size_t size)
{
    (void)text;
    *(size_t *)user_data += size;
    return BRG_OK;
}

static void with_trace(brg_isolation isolation, const brg_trace_options *options)
{
    failing_task tasks[TASKS], others[TASKS];
    brg_trace *trace = FAILING_UNTOUCHED;
    brg_error error = {.status = BRG_OK};
    size_t size = 0;
    char path[] = "/tmp/torture-trace-XXXXXX";
    int fd = mkstemp(path);
    if (fd >= 0)
        close(fd);
    if (!failing_worked(brg_trace_create(&trace, options, &error), &error, "brg_trace_create")) {
        failing_expect(trace == FAILING_UNTOUCHED, "a failed create changed its output");
        unlink(path);
        return;
    }
    brg_pool *pool = begin(isolation, NULL, tasks, (brg_pool_options){.trace = trace});
    brg_pool *other = pool == NULL ? NULL : begin(isolation, NULL, others, (brg_pool_options){.name = "other"});
    if (other != NULL)
        failing_worked(brg_trace_add(trace, other, &error), &error, "brg_trace_add");
    if (pool != NULL)
        failing_worked(brg_trace_print(trace, take_text, &size, &error), &error, "brg_trace_print");
    if (other != NULL)
        end(other, others);
    if (pool != NULL)
        end(pool, tasks);
    if (!failing_worked(brg_trace_write(trace, path, &error), &error, "brg_trace_write")) {
        FILE *file = fopen(path, "r");
        failing_expect(file != NULL && fgetc(file) == EOF, "a failed file changed");
        fclose(file);
    }
    brg_trace_stats stats = {.size = sizeof(stats)};
    failing_worked(brg_trace_get_stats(trace, &stats), NULL, "brg_trace_get_stats");
    brg_trace_destroy(trace);
    unlink(path);
}

static void traces(brg_isolation isolation) { with_trace(isolation, brg_trace_opts(.details = true)); }
static void small_traces(brg_isolation isolation) { with_trace(isolation, brg_trace_opts(.events_max = 8)); }
static void traces_that_stop(brg_isolation isolation)
{
    with_trace(isolation, brg_trace_opts(.events_max = 8, .stops_when_full = true));
}

/* ---- the torture ------------------------------------------------------------------------------------------------- */

static const failing_scenario scenarios[] = {FAILING_SCENARIO(readings),       FAILING_SCENARIO(told_readings),
                                             FAILING_SCENARIO(events),         FAILING_SCENARIO(traces),
                                             FAILING_IN_THREADS(small_traces), FAILING_IN_THREADS(traces_that_stop)};

static void torture_readings(void **state)
{
    failing_each(scenarios, brg__count_of(scenarios), scenario_isolation(state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENARIO_BOTH(torture_readings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
