/* SPDX-License-Identifier: MIT */
/* Watches: their beginnings and ends, and what they are refused. */
#include "tale.h"
#include "watch.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <brigade/trace.h>

#define BOUND SCENARIO_BOUND

typedef struct ending {
    brg_watch *watch;
    brg_loop *loop;
    brg_pool *pool;
    int calls, releases;
} ending;

static void end_inside(const brg_event *events, size_t count, uint64_t lost, void *user_data)
{
    ending *self = user_data;
    (void)events, (void)count, (void)lost;
    assert_int_equal(self->calls++, 0);
    brg_watch_destroy(self->watch);
    assert_int_equal(self->releases, 1);
}

static void count_release(void *user_data) { ((ending *)user_data)->releases++; }

static void it_may_end_inside_its_callback(void **state)
{
    ending self = {.calls = 0};
    brg_loop *loop = tale_loop();
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.loop = loop));
    assert_int_equal(brg_watch_create(&self.watch, pool,
                                      brg_watch_opts(.on_events = end_inside, .release = count_release, .delay_ns = 1,
                                                     .user_data = &self),
                                      NULL),
                     BRG_OK);
    for (int i = 0; i < 300; i++)
        assert_int_equal(brg_pool_submit(pool, "noop", NULL, NULL, NULL), BRG_OK);
    while (self.calls == 0)
        (void)brg_loop_dispatch(loop);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
    brg_pool_destroy(pool);
    assert_int_equal(self.calls, 1);
    assert_int_equal(self.releases, 1);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void run_inside(const brg_event *events, size_t count, uint64_t lost, void *user_data)
{
    ending *self = user_data;
    (void)events, (void)count, (void)lost;
    assert_int_equal(self->releases, 0); /* never inside itself */
    self->releases = 1;
    if (self->calls++ < 3 && self->pool != NULL) {
        assert_int_equal(brg_pool_submit(self->pool, "noop", NULL, NULL, NULL), BRG_OK);
        assert_int_equal(brg_pool_wait_idle(self->pool, BOUND), BRG_OK);
        (void)brg_loop_dispatch(self->loop);
    }
    self->releases = 0;
}

static void its_callback_may_run_the_loop(void **state)
{
    ending self = {.loop = tale_loop()};
    self.pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.loop = self.loop));
    brg_pool *pool = self.pool;
    assert_int_equal(brg_watch_create(&self.watch, pool,
                                      brg_watch_opts(.on_events = run_inside, .delay_ns = 1, .user_data = &self), NULL),
                     BRG_OK);
    assert_int_equal(brg_pool_submit(pool, "noop", NULL, NULL, NULL), BRG_OK);
    while (self.calls < 3)
        (void)brg_loop_dispatch(self.loop);
    self.pool = NULL;
    brg_pool_destroy(pool);
    brg_watch_destroy(self.watch);
    assert_int_equal(brg_loop_destroy(self.loop), BRG_OK);
}

typedef struct submitter {
    brg_pool *pool;
    int count;
} submitter;

static void *keep_submitting(void *argument)
{
    const submitter *self = argument;
    for (int i = 0; i < self->count; i++)
        if (brg_pool_submit(self->pool, "noop", NULL, NULL, NULL) != BRG_OK)
            abort();
    return NULL;
}

static void they_come_and_go_while_tasks_run(void **state)
{
    tale self = {.needs_all = false};
    brg_loop *loop = tale_loop();
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.loop = loop, .workers_max = 3, .admission = BRG_ADMISSION_BLOCK));
    submitter work = {pool, WATCH_SANITIZED ? 3000 : 30000};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, keep_submitting, &work), 0);
    for (int i = 0; i < 150; i++) {
        brg_watch *watches[3];
        for (int j = 0; j < 3; j++)
            assert_int_equal(brg_watch_create(&watches[j], pool,
                                              brg_watch_opts(.on_events = tale_listen, .delay_ns = 1, .capacity = 500,
                                                             .user_data = &self),
                                              NULL),
                             BRG_OK);
        uint64_t before = self.calls;
        assert_int_equal(brg_pool_submit(pool, "noop", NULL, NULL, NULL), BRG_OK);
        while (i % 8 == 0 && self.calls == before)
            (void)brg_loop_dispatch(loop);
        for (int j = 0; j < 3; j++)
            brg_watch_destroy(watches[j]);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    brg_pool_destroy(pool);
    self.is_over = true;
    (void)brg_loop_dispatch(loop);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    assert_true(self.counts[BRG_EVENT_TASK_SUBMITTED] > 0);
}

static void no_more_than_sixteen(void **state)
{
    tale self = {.needs_all = false};
    brg_error error;
    brg_watch *watches[17] = {NULL};
    brg_loop *loop = tale_loop();
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.loop = loop));
    for (int i = 0; i < 17; i++)
        assert_int_equal(
            brg_watch_create(&watches[i], pool, brg_watch_opts(.on_events = tale_listen, .user_data = &self), &error),
            i < 16 ? BRG_OK : BRG_FULL);
    assert_null(watches[16]);
    brg_watch_destroy(watches[3]);
    assert_int_equal(
        brg_watch_create(&watches[3], pool, brg_watch_opts(.on_events = tale_listen, .user_data = &self), &error),
        BRG_OK);
    brg_pool_destroy(pool);
    assert_int_equal(self.counts[BRG_EVENT_POOL_CLOSED], 16);
    for (int i = 0; i < 16; i++)
        brg_watch_destroy(watches[i]);
    brg_watch_destroy(NULL);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

/* What belongs to the parent is let go of, and nothing new begins. */
static int forked_child(brg_pool *pool, brg_watch *watch, brg_trace *trace)
{
    brg_watch *other = NULL;
    size_t bytes = 0;
    if (brg_watch_create(&other, pool, brg_watch_opts(.on_events = tale_listen), NULL) != BRG_FORKED)
        return 1;
    if (brg_trace_add(trace, pool, NULL) != BRG_FORKED)
        return 2;
    if (brg_trace_print(trace, tale_forget, &bytes, NULL) != BRG_FORKED)
        return 3;
    if (brg_trace_get_stats(trace, &(brg_trace_stats){.size = sizeof(brg_trace_stats)}) != BRG_FORKED)
        return 4;
    brg_pool_destroy(pool);
    brg_watch_destroy(watch);
    brg_trace_destroy(trace);
    return 0;
}

/* Whether all other threads of this program sleep: so none of them is in an allocation. */
static bool others_sleep(void *argument)
{
    bool all = true;
    DIR *directory = opendir("/proc/self/task");
    (void)argument;
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL && all;) {
        char path[300], text[256] = "";
        snprintf(path, sizeof(path), "/proc/self/task/%s/stat", entry->d_name);
        bool is_other = entry->d_name[0] != '.' && atoi(entry->d_name) != getpid();
        FILE *file = is_other ? fopen(path, "re") : NULL;
        if (file == NULL)
            continue; /* no thread, ours, or gone by now */
        const char *end = fgets(text, sizeof(text), file) == NULL ? NULL : strrchr(text, ')');
        all = end == NULL || end[2] == 'S';
        fclose(file);
    }
    closedir(directory);
    return all;
}

static void a_forked_child_lets_go(void **state)
{
    tale self = {.needs_all = true};
    brg_loop *loop = tale_loop();
    brg_watch *watch = NULL;
    brg_trace *trace = NULL;
    assert_int_equal(brg_trace_create(&trace, NULL, NULL), BRG_OK);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.loop = loop, .trace = trace));
    assert_int_equal(
        brg_watch_create(&watch, pool,
                         brg_watch_opts(.mask = BRG_EVENTS_TASKS, .on_events = tale_listen, .user_data = &self), NULL),
        BRG_OK);
    scenario_expect(pool, "noop", NULL, BRG_OK);
    (void)watch_until(others_sleep, NULL); /* sanitizers do not take their locks to the other side of a fork */
    pid_t child = fork();
    if (child == 0)
        _exit(forked_child(pool, watch, trace));
    int end = -1;
    assert_int_equal(waitpid(child, &end, 0), child);
    assert_int_equal(end, 0);
    scenario_expect(pool, "noop", NULL, BRG_OK);
    tale_finish(loop, pool, &self);
    brg_watch_destroy(watch);
    brg_trace_destroy(trace);
    tale_free(&self);
}

static void options_that_are_wrong(void **state)
{
    brg_error error;
    brg_watch *watch = NULL;
    brg_pool *pool = NULL;
    ending unused = {.calls = 0};
    brg_loop *loop = tale_loop();
    brg_pool *without = scenario_pool(scenario_isolation(state), NULL);
    brg_pool *with = scenario_pool(scenario_isolation(state), brg_pool_opts(.loop = loop));
    assert_int_equal(brg_watch_create(&watch, without, brg_watch_opts(.on_events = tale_listen), &error), BRG_INVALID);
    assert_non_null(strstr(error.message, "loop"));
    assert_int_equal(
        brg_watch_create(&watch, with, brg_watch_opts(.release = count_release, .user_data = &unused), &error),
        BRG_INVALID);
    assert_non_null(strstr(error.message, "on_events"));
    assert_int_equal(
        brg_watch_create(&watch, with, brg_watch_opts(.on_events = tale_listen, .mask = UINT64_C(1) << 63), &error),
        BRG_INVALID);
    assert_non_null(strstr(error.message, "mask"));
    assert_int_equal(brg_watch_create(&watch, with, NULL, &error), BRG_INVALID);
    assert_int_equal(brg_watch_create(NULL, with, brg_watch_opts(.on_events = tale_listen), &error), BRG_INVALID);
    assert_int_equal(brg_watch_create(&watch, NULL, brg_watch_opts(.on_events = tale_listen), &error), BRG_INVALID);
    assert_null(watch);
    assert_int_equal(
        brg_pool_create(&pool,
                        brg_pool_opts(.loop = loop, .module = scenario_module(),
                                      .watch = brg_watch_opts(.release = count_release, .user_data = &unused)),
                        &error),
        BRG_INVALID);
    assert_null(pool);
    assert_int_equal(unused.releases, 0);
    assert_int_equal(brg_pool_tune(with, brg_pool_opts(.watch = brg_watch_opts(.on_events = tale_listen)), &error),
                     BRG_INVALID);
    brg_pool_destroy(without);
    brg_pool_destroy(with);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    assert_string_equal(brg_event_name(BRG_EVENT_TASK_SUBMITTED), "task_submitted");
    assert_string_equal(brg_event_name(BRG_EVENT_POOL_CLOSED), "pool_closed");
    assert_string_equal(brg_event_name(BRG_EVENT_COUNT), "?");
    assert_int_equal(BRG_EVENTS_TASKS | BRG_EVENTS_DETAILS | BRG_EVENTS_WORKERS | BRG_EVENTS_POOL | BRG_EVENTS_FLOWS,
                     BRG_EVENTS_ALL);
#define IS_IN_GROUP(NAME, name, group, value)                                                                          \
    assert_int_not_equal(BRG_EVENTS_##group &BRG_EVENT_BIT(BRG_EVENT_##NAME), 0);
    BRG_EVENT_MAP(IS_IN_GROUP)
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(it_may_end_inside_its_callback),   SCENARIO_BOTH(its_callback_may_run_the_loop),
        SCENARIO_BOTH(they_come_and_go_while_tasks_run), SCENARIO_THREAD(no_more_than_sixteen),
        SCENARIO_BOTH(a_forked_child_lets_go),           SCENARIO_THREAD(options_that_are_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
