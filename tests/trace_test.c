/* SPDX-License-Identifier: MIT */
/* Traces, read back: they are JSON whatever the names, whole or not there, and say what happened. */
#include "crowd.h"
#include "tracing.h"
#include "watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOUND SCENARIO_BOUND

static char folder[64];
static char path[128];

static int folder_make(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/brigade-trace-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/a.json", folder);
    return 0;
}

static int folder_count(void)
{
    int count = 0;
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

static int folder_remove(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder); /* nothing else is in it */
}

/* ---- what is in them --------------------------------------------------------------------------------------------- */

static void a_slice_for_each_attempt(void **state)
{
    brg_trace *trace = tracing_new(brg_trace_opts(.details = true));
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.trace = trace, .attempts_max = 2, .retry_on = BRG_RETRY_FAILED));
    for (int i = 0; i < 300; i++)
        assert_int_equal(brg_pool_submit(pool, i % 3 == 0 ? "fail" : "noop", NULL, NULL, NULL), BRG_OK);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
    tracing_summary sum = tracing_check_now(trace);
    assert_int_equal(sum.tasks, 400);
    assert_int_equal(sum.ok, 200);
    assert_int_equal(sum.unfinished, 0);
    assert_true(sum.starts_of_workers == 1 || sum.starts_of_workers == 2); /* the second may come too late */
    brg_pool_destroy(pool);
    sum = tracing_check_now(trace); /* it stays when the pool goes */
    assert_int_equal(sum.tasks, 400);
    brg_trace_destroy(trace);
}

static void crashes_are_in_it(void **state)
{
    brg_trace *trace = tracing_new(NULL);
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.trace = trace, .attempts_max = 2, .restart_min_ns = 1));
    for (int i = 0; i < 20; i++)
        assert_int_equal(brg_pool_submit(pool, i % 5 == 0 ? "abort" : "noop", NULL, NULL, NULL), BRG_OK);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
    brg_pool_destroy(pool);
    tracing_summary sum = tracing_check_now(trace);
    assert_int_equal(sum.tasks, 16 + 2 * 4); /* starts that were none are no slices */
    assert_true(sum.instants >= 8 + 4);      /* retried, worker_ended, poisoned */
    brg_trace_destroy(trace);
}

static void what_goes_on_is_in_it(void **state)
{
    crowd here;
    crowd_open(&here);
    char module[4096];
    snprintf(module, sizeof(module), "%s/configure.so", getenv("TEST_MODULE_DIR"));
    brg_trace *trace = tracing_new(NULL);
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.trace = trace, .module = module, .workers_max = 1));
    brg_task *held = scenario_submit(pool, "show", crowd_input(&here), NULL);
    crowd_wait(&here, 1);
    brg_task *waits = scenario_submit(pool, "show", NULL, NULL);
    tracing_summary sum = tracing_check_now(trace);
    assert_int_equal(sum.tasks, 1);
    assert_int_equal(sum.unfinished, 1);
    assert_int_equal(sum.begins, 2); /* the wait of the second is there too */
    crowd_release(&here, 1);
    (void)scenario_result(waits);
    brg_task_unref(waits);
    brg_task_unref(held);
    brg_pool_destroy(pool);
    assert_int_equal(tracing_check_now(trace).unfinished, 0);
    brg_trace_destroy(trace);
    crowd_close(&here);
}

/* Tasks that ran inside others lie inside them. */
static brg_status count_down(brg_context *context, void *argument)
{
    brg_task *task = NULL;
    (void)context;
    void **all = argument;
    intptr_t depth = (intptr_t)all[1];
    if (depth == 0)
        return BRG_OK;
    void *inner[] = {all[0], (void *)(depth - 1)};
    brg_status status = brg_pool_submit_call(all[0], count_down, inner, NULL, &task);
    if (status == BRG_OK)
        status = brg_task_wait(task, BOUND);
    brg_task_unref(task);
    return status;
}

static void nested_tasks_nest(void **state)
{
    (void)state;
    brg_trace *trace = tracing_new(NULL);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.trace = trace, .workers_max = 2));
    void *outer[] = {pool, (void *)(intptr_t)10};
    brg_task *tasks[8];
    for (int i = 0; i < 8; i++)
        assert_int_equal(brg_pool_submit_call(pool, count_down, outer, NULL, &tasks[i]), BRG_OK);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(scenario_result(tasks[i])->status, BRG_OK);
        brg_task_unref(tasks[i]);
    }
    assert_int_equal(tracing_check_now(trace).tasks, 8 * 11);
    brg_pool_destroy(pool);
    brg_trace_destroy(trace);
}

static void a_batch_is_one_slice(void **state)
{
    char module[4096];
    snprintf(module, sizeof(module), "%s/batch.so", getenv("TEST_MODULE_DIR"));
    brg_trace *trace = tracing_new(NULL);
    brg_pool *pool = scenario_pool(
        scenario_isolation(state),
        brg_pool_opts(.trace = trace, .module = module, .batch_size = 10, .batch_delay_ns = BRG_SECONDS(3600)));
    for (int i = 0; i < 100; i++)
        assert_int_equal(brg_pool_submit(pool, "work", NULL, NULL, NULL), BRG_OK);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
    tracing_summary sum = tracing_check_now(trace);
    assert_int_equal(sum.tasks, 0);
    assert_int_equal(sum.batches, 10);
    assert_int_equal(sum.begins, 100);
    brg_pool_destroy(pool);
    brg_trace_destroy(trace);
}

static void names_may_hold_anything(void **state)
{
    static const char *const names[] = {"\"", "\\", "a\nb", "\xff\xfe", "\xed\xa0\x80", "\xe2\x82", "ü€𝄞", "</script>"};
    brg_trace *trace = tracing_new(NULL);
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.trace = trace, .name = "q\"\\\x01\xff pool"));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        scenario_expect(pool, names[i], NULL, BRG_NOT_FOUND);
    assert_int_equal(tracing_check_now(trace).tasks, sizeof(names) / sizeof(names[0]));
    brg_pool_destroy(pool);
    brg_trace_destroy(trace);
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

static int64_t last_number(brg_trace *trace, int64_t *first)
{
    brg_value *value = tracing_read(trace);
    brg_view events = brg_view_get(brg_value_root(value), "traceEvents");
    int64_t last = 0;
    *first = INT64_MAX;
    for (size_t i = 0; i < brg_view_count(events); i++) {
        brg_view event = brg_view_at(events, i);
        int64_t number = brg_view_get_int(brg_view_get(event, "args"), "task", 0);
        if (strcmp(brg_view_get_string(event, "cat", ""), "task") != 0 || number == 0)
            continue;
        last = number > last ? number : last;
        *first = number < *first ? number : *first;
    }
    (void)tracing_check(value);
    brg_value_unref(value);
    return last;
}

/* One worker: among several, one that gets no time for long would keep old events in the block it is filling. */
static void a_flight_recorder_keeps_the_newest(void **state)
{
    const int tasks = 5000;
    int64_t first;
    brg_trace_stats stats = {.size = sizeof(stats)};
    brg_trace *newest = tracing_new(brg_trace_opts(.events_max = 1000));
    brg_trace *oldest = tracing_new(brg_trace_opts(.events_max = 1000, .stops_when_full = true));
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 1, .trace = newest));
    assert_int_equal(brg_trace_add(oldest, pool, NULL), BRG_OK);
    for (int i = 0; i < tasks; i++)
        assert_int_equal(brg_pool_submit(pool, "noop", NULL, NULL, NULL), BRG_OK);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
    assert_int_equal(last_number(newest, &first), tasks);
    assert_true(first > tasks / 2);
    assert_int_equal(brg_trace_get_stats(newest, &stats), BRG_OK);
    assert_true(stats.events >= 1000);
    assert_true(stats.events <= 1000 + 127 * 6);
    assert_true(stats.events + stats.lost >= 3 * (uint64_t)tasks);
    assert_true(stats.bytes <= 8192 * (8 + 4));
    (void)last_number(oldest, &first);
    assert_true(first < tasks / 2 || first == INT64_MAX); /* perhaps none has started yet */
    assert_int_equal(brg_trace_get_stats(oldest, &stats), BRG_OK);
    assert_true(stats.lost > 0);
    brg_pool_destroy(pool);
    brg_trace_destroy(newest);
    brg_trace_destroy(oldest);
}

typedef struct hand {
    brg_pool *pool;
    brg_trace *trace;
    int count;
} hand;

static void *hand_submit(void *argument)
{
    const hand *self = argument;
    for (int i = 0; i < self->count; i++)
        if (brg_pool_submit(self->pool, "noop", NULL, NULL, NULL) != BRG_OK)
            abort();
    return NULL;
}

static brg_status count_bytes(void *user_data, const char *bytes, size_t size)
{
    (void)bytes;
    *(size_t *)user_data += size;
    return BRG_OK;
}

static void *hand_write(void *argument)
{
    const hand *self = argument;
    size_t bytes = 0;
    for (int i = 0; i < 20; i++)
        if (brg_trace_print(self->trace, count_bytes, &bytes, NULL) != BRG_OK)
            abort();
    return NULL;
}

/* Written by two threads while two pools work; a third trace comes and goes. */
static void written_while_it_records(void **state)
{
    brg_trace *trace = tracing_new(brg_trace_opts(.events_max = 2000));
    hand hands[3];
    pthread_t threads[4];
    for (int i = 0; i < 2; i++)
        hands[i] = (hand){scenario_pool(scenario_isolation(state), brg_pool_opts(.admission = BRG_ADMISSION_BLOCK)),
                          trace, WATCH_SANITIZED ? 3000 : 20000};
    assert_int_equal(brg_trace_add(trace, hands[0].pool, NULL), BRG_OK);
    assert_int_equal(brg_trace_add(trace, hands[0].pool, NULL), BRG_STATE);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? hand_submit : hand_write, &hands[i % 2]), 0);
    assert_int_equal(brg_trace_add(trace, hands[1].pool, NULL), BRG_OK);
    for (int i = 0; i < 100; i++) {
        brg_trace *other = tracing_new(brg_trace_opts(.details = true));
        for (int j = 0; j < 2; j++)
            assert_int_equal(brg_trace_add(other, hands[j].pool, NULL), BRG_OK);
        if (i % 10 == 0)
            (void)tracing_check_now(other);
        brg_trace_destroy(other);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    (void)tracing_check_now(trace);
    brg_pool_destroy(hands[0].pool);
    (void)tracing_check_now(trace);
    brg_trace_destroy(trace);
    brg_pool_destroy(hands[1].pool);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void write_file(const char *content)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    assert_int_equal(fclose(file), 0);
}

static bool file_is(const char *content)
{
    char found[64] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t size = fread(found, 1, sizeof(found) - 1, file);
    found[size] = '\0';
    fclose(file);
    return strcmp(found, content) == 0;
}

static void a_file_is_whole_or_not_there(void **state)
{
    brg_error error;
    struct rlimit before, small = {100, 100};
    brg_trace *trace = tracing_new(NULL);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.trace = trace));
    for (int i = 0; i < 100; i++)
        scenario_expect(pool, "noop", NULL, BRG_OK);
    char nowhere[256];
    snprintf(nowhere, sizeof(nowhere), "%s/none/a.json", folder);
    assert_int_equal(brg_trace_write(trace, nowhere, &error), BRG_SYSTEM);
    assert_int_equal(error.os_errno, ENOENT);
    assert_non_null(strstr(error.message, nowhere));
    assert_int_equal(brg_trace_write(trace, folder, &error), BRG_SYSTEM);
    assert_int_equal(error.os_errno, EISDIR);
    assert_int_equal(brg_trace_write(trace, "", &error), BRG_INVALID);
    assert_int_equal(brg_trace_write(trace, NULL, &error), BRG_INVALID);
    assert_int_equal(brg_trace_write(trace, "/dev/full", &error), BRG_SYSTEM);
    assert_int_equal(error.os_errno, ENOSPC);
    assert_int_equal(folder_count(), 0);

    write_file("kept");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    brg_status status = brg_trace_write(trace, path, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, BRG_SYSTEM);
    assert_int_equal(error.os_errno, EFBIG);
    assert_true(file_is("kept"));
    assert_int_equal(folder_count(), 1); /* no piece of it lies about */

    char link[256];
    snprintf(link, sizeof(link), "%s/link.json", folder);
    assert_int_equal(symlink("a.json", link), 0);
    assert_int_equal(brg_trace_write(trace, link, &error), BRG_OK);
    struct stat about;
    assert_int_equal(lstat(link, &about), 0);
    assert_true(S_ISLNK(about.st_mode));
    assert_int_equal(stat(path, &about), 0);
    char *bytes = malloc((size_t)about.st_size);
    FILE *file = fopen(path, "r");
    assert_int_equal(fread(bytes, 1, (size_t)about.st_size, file), about.st_size);
    fclose(file);
    brg_value *value = tracing_parse(bytes, (size_t)about.st_size);
    assert_int_equal(tracing_check(value).tasks, 100);
    brg_value_unref(value);
    free(bytes);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(folder_count(), 1);
    brg_pool_destroy(pool);
    brg_trace_destroy(trace);
}

static brg_status refuse(void *user_data, const char *bytes, size_t size)
{
    (void)bytes, (void)size;
    (*(int *)user_data)++;
    return BRG_CANCELLED;
}

static void what_the_function_returns_is_returned(void **state)
{
    (void)state;
    int calls = 0;
    brg_error error;
    brg_trace_stats stats = {.size = 0};
    brg_trace *trace = tracing_new(NULL);
    assert_int_equal(brg_trace_print(trace, refuse, &calls, &error), BRG_CANCELLED);
    assert_int_equal(calls, 1);
    assert_int_equal(brg_trace_print(trace, NULL, NULL, &error), BRG_INVALID);
    assert_int_equal(brg_trace_get_stats(trace, &stats), BRG_INVALID);
    assert_int_equal(brg_trace_add(trace, NULL, &error), BRG_INVALID);
    assert_int_equal(brg_trace_create(NULL, NULL, &error), BRG_INVALID);
    assert_int_equal(tracing_check_now(trace).tasks, 0); /* an empty one is a trace too */
    brg_trace_destroy(trace);
    brg_trace_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(a_slice_for_each_attempt),
        SCENARIO_PROCESS(crashes_are_in_it),
        SCENARIO_BOTH(what_goes_on_is_in_it),
        SCENARIO_THREAD(nested_tasks_nest),
        SCENARIO_BOTH(a_batch_is_one_slice),
        SCENARIO_BOTH(names_may_hold_anything),
        SCENARIO_BOTH(a_flight_recorder_keeps_the_newest),
        SCENARIO_BOTH(written_while_it_records),
        SCENARIO_THREAD(a_file_is_whole_or_not_there),
        SCENARIO_THREAD(what_the_function_returns_is_returned),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
