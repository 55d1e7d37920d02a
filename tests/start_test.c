/* SPDX-License-Identifier: MIT */
/* Workers that cannot start: a clear error, backoff, the breaker; nothing hangs and nothing leaks. */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watch.h"

static const char *module_path(const char *name)
{
    static char path[4096];
    const char *scenario = scenario_module();
    snprintf(path, sizeof(path), "%.*s/%s.so", (int)(strrchr(scenario, '/') - scenario), scenario, name);
    return path;
}

/* ---- every way not to start ------------------------------------------------------------------------------------- */

typedef struct bad_start {
    const char *helper, *module;
    const char *start;      /* for worker_start of the scenario module */
    const char *message[2]; /* what the error must say */
    int signal, exit_code;
} bad_start;

static brg_value *start_input(const char *start) { return start == NULL ? NULL : scenario_string("start", start); }

static void check_error(const bad_start *bad, const brg_error *error)
{
    for (size_t i = 0; i < 2; i++)
        if (bad->message[i] != NULL && strstr(error->message, bad->message[i]) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", error->message, bad->message[i]);
    assert_true(error->status != BRG_OK);
    assert_int_equal(error->signal, bad->signal);
    assert_int_equal(error->exit_code, bad->exit_code);
}

static void worker_says_why(const bad_start *bad, brg_isolation isolation)
{
    brg_worker *worker = NULL;
    brg_error error;
    brg_exit exit;
    assert_int_equal(
        brg_worker_create(&worker,
                          brg_worker_opts(.isolation = isolation, .module = bad->module, .helper = bad->helper,
                                          .init_data = start_input(bad->start),
                                          .start_timeout_ns = bad->start != NULL && strcmp(bad->start, "hang") == 0
                                                                  ? BRG_MILLISECONDS(300)
                                                                  : BRG_SECONDS(600)),
                          &error),
        BRG_OK);
    assert_int_equal(brg_worker_wait_online(worker, SCENARIO_BOUND, &error), BRG_START_FAILED);
    check_error(bad, &error);
    assert_int_equal(brg_worker_wait(worker, SCENARIO_BOUND, &exit), BRG_OK);
    assert_true(exit.status != BRG_OK);
    assert_false(exit.requested);
    assert_int_equal(brg_worker_get_state(worker), BRG_WORKER_EXITED);
    check_error(bad, &exit.error);
    brg_value *message = scenario_int("n", 1);
    assert_int_equal(brg_worker_post(worker, message, 0, NULL), BRG_CLOSED);
    assert_int_equal(brg_worker_receive(worker, &message, 0), BRG_CLOSED);
    brg_value_unref(message);
    brg_worker_destroy(worker);
}

static void pool_opens_its_breaker(const bad_start *bad, brg_isolation isolation)
{
    bool hangs = bad->start != NULL && strcmp(bad->start, "hang") == 0;
    brg_pool *pool = scenario_pool(
        isolation, brg_pool_opts(.module = bad->module, .helper = bad->helper, .init_data = start_input(bad->start),
                                 .workers_max = 1, .start_timeout_ns = hangs ? BRG_MILLISECONDS(100) : 0,
                                 .restart_min_ns = BRG_MILLISECONDS(1), .breaker_failures = 3,
                                 .restart_max_ns = BRG_MILLISECONDS(2), .breaker_open_ns = BRG_SECONDS(600)));
    brg_task *tasks[10];
    brg_error error;
    int count = 0;
    while (count < 10 && brg_pool_submit(pool, "noop", NULL, brg_submit_opts(.error = &error), &tasks[count]) == BRG_OK)
        count++;
    for (int i = 0; i < count; i++) {
        const brg_result *result = scenario_result(tasks[i]);
        assert_int_equal(result->status, BRG_UNAVAILABLE);
        assert_int_equal(result->attempts, 0);
        assert_non_null(strstr(result->error->message, "workers do not start"));
        if (bad->message[0] != NULL && strlen(bad->message[0]) < 60)
            assert_non_null(strstr(result->error->message, bad->message[0]));
        brg_task_unref(tasks[i]);
    }
    brg_value *input = scenario_int("n", 1);
    brg_task *refused = NULL;
    brg_status status = brg_pool_submit(pool, "noop", input, brg_submit_opts(.error = &error), &refused);
    if (count < 10 || status != BRG_OK) { /* the breaker opened while we submitted, or with the last task */
        assert_int_equal(status, BRG_UNAVAILABLE);
        assert_non_null(strstr(error.message, "workers do not start"));
        assert_null(refused);
        brg_value_unref(input);
    }
    brg_pool_stats stats = scenario_stats(pool);
    assert_int_equal(stats.workers_start_failed, 3); /* and no storm */
    assert_int_equal(stats.failed, stats.submitted);
    assert_int_equal(brg_pool_drain(pool, SCENARIO_BOUND), BRG_OK);
    brg_pool_destroy(pool);
}

static void bad_starts_are_explained(void **state)
{
    brg_isolation isolation = scenario_isolation(state);
    char scenario[4096], no_module[4096], threaded[4096];
    snprintf(scenario, sizeof(scenario), "%s", scenario_module());
    snprintf(no_module, sizeof(no_module), "%s", module_path("not_a_module"));
    snprintf(threaded, sizeof(threaded), "%s", module_path("threaded_preload"));
    const bad_start both[] = {
        {.module = no_module, .message = {"BRG_MODULE", "not_a_module.so"}},
        {.module = "/etc/passwd", .message = {"/etc/passwd"}},
        {.module = scenario, .start = "fail", .message = {"the kitchen is closed"}},
    };
    const bad_start process[] = {
        {.helper = "/no/such/worker", .module = scenario, .message = {"/no/such/worker", "no such file"}},
        {.helper = "/bin/true", .module = scenario, .message = {"exited with code 0"}},
        {.helper = "/bin/false", .module = scenario, .message = {"exited with code 1"}, .exit_code = 1},
        {.helper = "/etc/passwd", .module = scenario, .message = {"/etc/passwd"}},
        {.module = threaded, .message = {"preload", "thread"}},
        {.module = scenario, .start = "exit", .message = {"exited with code 9"}, .exit_code = 9},
        {.module = scenario, .start = "abort", .message = {"SIGABRT"}, .signal = SIGABRT},
        {.module = scenario, .start = "hang", .message = {"within", "start timeout"}}, /* or its template */
    };
    for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++) {
        worker_says_why(&both[i], isolation);
        pool_opens_its_breaker(&both[i], isolation);
    }
    for (size_t i = 0; isolation == BRG_ISOLATION_PROCESS && i < sizeof(process) / sizeof(process[0]); i++) {
        worker_says_why(&process[i], isolation);
        pool_opens_its_breaker(&process[i], isolation);
    }
}

/* A worker program that never says anything. The test itself plays it. */
static void mute_worker_program(void **state)
{
    (void)state;
    const bad_start bad = {.helper = "/proc/self/exe", .module = scenario_module(), .message = {"start timeout"}};
    brg_worker *worker = NULL;
    brg_error error;
    setenv("BRIGADE_TEST_MUTE", "1", 1);
    assert_int_equal(brg_worker_create(&worker,
                                       brg_worker_opts(.isolation = BRG_ISOLATION_PROCESS, .module = bad.module,
                                                       .helper = bad.helper, .start_timeout_ns = BRG_MILLISECONDS(100)),
                                       &error),
                     BRG_OK);
    assert_int_equal(brg_worker_wait_online(worker, SCENARIO_BOUND, &error), BRG_START_FAILED);
    check_error(&bad, &error);
    brg_worker_destroy(worker);
    unsetenv("BRIGADE_TEST_MUTE");
}

typedef struct wanted {
    brg_pool *pool;
    uint32_t online;
    uint64_t failed;
} wanted;

static bool is_as_wanted(void *argument)
{
    const wanted *want = argument;
    brg_pool_stats stats = scenario_stats(want->pool);
    return stats.workers_online == want->online && stats.workers_start_failed >= want->failed;
}

/* ---- the breaker closes again ------------------------------------------------------------------------------------ */

static void breaker_half_opens_and_recovers(void **state)
{
    char directory[] = "/tmp/brigade-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/module.so", directory);
    assert_int_equal(symlink(module_path("not_a_module"), path), 0);
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.module = path, .restart_min_ns = BRG_MILLISECONDS(1),
                                                 .restart_max_ns = BRG_MILLISECONDS(2), .breaker_failures = 2,
                                                 .breaker_open_ns = BRG_MILLISECONDS(5)));
    brg_task *task = NULL;
    for (int refused = 0; refused < 3;) { /* it half-opens and opens again */
        brg_status status = brg_pool_submit(pool, "noop", NULL, NULL, &task);
        if (status != BRG_OK) {
            assert_int_equal(status, BRG_UNAVAILABLE);
            continue;
        }
        assert_int_equal(scenario_result(task)->status, BRG_UNAVAILABLE);
        brg_task_unref(task);
        refused++;
    }
    assert_true(scenario_stats(pool).workers_start_failed >= 4);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(scenario_module(), path), 0);
    brg_status status;
    do {
        status = brg_pool_submit(pool, "noop", NULL, NULL, &task);
        if (status == BRG_OK) {
            status = scenario_result(task)->status;
            brg_task_unref(task);
        }
        assert_true(status == BRG_OK || status == BRG_UNAVAILABLE);
    } while (status != BRG_OK);
    assert_true(watch_until(is_as_wanted, &(wanted){.pool = pool, .online = 2})); /* no start is under way */
    uint64_t failed = scenario_stats(pool).workers_start_failed;
    for (int i = 0; i < 100; i++)
        scenario_expect(pool, "noop", NULL, BRG_OK);
    assert_int_equal(scenario_stats(pool).workers_start_failed, failed);
    brg_pool_destroy(pool);
    unlink(path);
    rmdir(directory);
}

/* ---- one bad place among good ones ------------------------------------------------------------------------------- */

/* The worker with index `bad` never starts: it says so, or crashes. */
static brg_pool *pool_with_bad(void **state, const char *start, uint32_t bad, const brg_pool_options *options)
{
    brg_pool_options complete = *options;
    brg_value *init = NULL;
    assert_int_equal(brg_value_map(&init, NULL, brg_field_string("start", start), brg_field_int("only", bad)), BRG_OK);
    complete.init_data = init;
    complete.restart_min_ns = 1;
    complete.restart_max_ns = BRG_MILLISECONDS(1);
    complete.breaker_failures = 3;
    complete.breaker_open_ns = complete.breaker_open_ns == 0 ? BRG_SECONDS(600) : complete.breaker_open_ns;
    return scenario_pool(scenario_isolation(state), &complete);
}

static const char *bad_way(void **state)
{
    return scenario_isolation(state) == BRG_ISOLATION_PROCESS ? "abort" : "fail";
}

static void one_bad_place_stops_nobody(void **state)
{
    const brg_placement_policy *placements[] = {brg_placement_pull, brg_placement_round_robin, brg_placement_sticky};
    for (size_t i = 0; i < sizeof(placements) / sizeof(placements[0]); i++) {
        brg_pool *pool = pool_with_bad(state, bad_way(state), (uint32_t)i,
                                       brg_pool_opts(.workers_max = 3, .placement = placements[i]));
        assert_true(watch_until(is_as_wanted, &(wanted){.pool = pool, .online = 2, .failed = 8}));
        uint64_t failed = scenario_stats(pool).workers_start_failed;
        for (uint64_t key = 1; key <= 50; key++) { /* none is refused, none waits for the one that does not come */
            brg_task *task = scenario_submit(pool, "noop", NULL, brg_submit_opts(.key = key));
            assert_int_equal(scenario_result(task)->status, BRG_OK);
            brg_task_unref(task);
        }
        assert_true(
            watch_until(is_as_wanted, &(wanted){.pool = pool, .online = 2, .failed = failed + 2})); /* tried on */
        scenario_expect(pool, "noop", NULL, BRG_OK);
        brg_pool_destroy(pool);
    }
}

/* Two are wanted: the first place is no good, so the third has the second worker. */
static void another_place_is_taken(void **state)
{
    brg_pool *pool = pool_with_bad(state, bad_way(state), 0,
                                   brg_pool_opts(.scaling = brg_scaling_backlog, .workers_min = 2, .workers_max = 3));
    assert_true(watch_until(is_as_wanted, &(wanted){.pool = pool, .online = 2, .failed = 3}));
    scenario_expect(pool, "noop", NULL, BRG_OK);
    brg_pool_destroy(pool);
}

/* One is wanted, and the first place is no good: the breaker opens, and half open tries the second. */
static void half_open_it_tries_elsewhere(void **state)
{
    brg_pool *pool = pool_with_bad(state, bad_way(state), 0,
                                   brg_pool_opts(.scaling = brg_scaling_backlog, .workers_min = 1, .workers_max = 2,
                                                 .grow_queued = 1000000, .breaker_open_ns = BRG_MILLISECONDS(2)));
    assert_true(watch_until(is_as_wanted, &(wanted){.pool = pool, .online = 1, .failed = 3}));
    scenario_expect(pool, "noop", NULL, BRG_OK);
    brg_pool_destroy(pool);
}

/* Nobody starts, in several places: as clear as with one. */
static void all_bad_places_are_told(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.workers_max = 4,
                                                 .init_data = scenario_string("start", bad_way(state)),
                                                 .restart_min_ns = 1, .restart_max_ns = BRG_MILLISECONDS(1),
                                                 .breaker_failures = 3, .breaker_open_ns = BRG_SECONDS(600)));
    for (;;) {
        brg_task *task = NULL;
        brg_error error;
        brg_status status = brg_pool_submit(pool, "noop", NULL, brg_submit_opts(.error = &error), &task);
        if (status != BRG_OK) {
            assert_int_equal(status, BRG_UNAVAILABLE);
            assert_non_null(strstr(error.message, "workers do not start"));
            break;
        }
        const brg_result *result = scenario_result(task);
        assert_int_equal(result->status, BRG_UNAVAILABLE);
        assert_non_null(strstr(result->error->message, "workers do not start"));
        brg_task_unref(task);
    }
    assert_true(scenario_stats(pool).workers_start_failed >= 3);
    brg_pool_destroy(pool);
}

/* Only the bad place has the tag: its tasks do not wait for ever. What others can do is done. */
static void tasks_for_a_bad_place_fail(void **state)
{
    static const uint64_t tags[] = {0, 1, 2};
    brg_pool *pool = pool_with_bad(state, bad_way(state), 1,
                                   brg_pool_opts(.workers_max = 3, .worker_tags = tags, .worker_tags_count = 3));
    for (int i = 0; i < 3; i++) {
        brg_task *bad[2], *good = scenario_submit(pool, "noop", NULL, brg_submit_opts(.tags = 2));
        for (int j = 0; j < 2; j++)
            bad[j] = scenario_submit(pool, "noop", NULL, brg_submit_opts(.tags = 1));
        for (int j = 0; j < 2; j++) {
            const brg_result *result = scenario_result(bad[j]);
            assert_int_equal(result->status, BRG_UNAVAILABLE);
            assert_non_null(strstr(result->error->message, "workers with its tags do not start: "));
            brg_task_unref(bad[j]);
        }
        assert_int_equal(scenario_result(good)->status, BRG_OK);
        brg_task_unref(good);
    }
    assert_int_equal(brg_pool_drain(pool, SCENARIO_BOUND), BRG_OK);
    brg_pool_destroy(pool);
}

/* Tasks for each worker, while one is about to start again and again. */
static void tasks_for_all_end(void **state)
{
    brg_pool *pool = pool_with_bad(state, bad_way(state), 1, brg_pool_opts(.workers_max = 2));
    uint64_t all = 0;
    for (int i = 0; i < 100; i++) {
        uint32_t count = 0;
        assert_int_equal(brg_pool_submit_all(pool, "noop", NULL, NULL, &count), BRG_OK);
        all += count;
    }
    assert_int_equal(brg_pool_drain(pool, SCENARIO_BOUND), BRG_OK);
    brg_pool_stats stats = scenario_stats(pool);
    assert_int_equal(stats.done + stats.failed + stats.cancelled, all);
    brg_pool_destroy(pool);
}

/* ---- no storm ---------------------------------------------------------------------------------------------------- */

static bool one_worker_ended(void *argument)
{
    brg_pool_stats stats = scenario_stats(argument);
    return stats.workers_online == 0 && stats.workers_started == 1;
}

static void workers_that_end_at_once_back_off(void **state)
{
    (void)state;
    brg_pool *pool = scenario_pool(
        BRG_ISOLATION_PROCESS, brg_pool_opts(.module = module_path("short_lived"), .workers_max = 1,
                                             .restart_min_ns = BRG_SECONDS(600), .restart_max_ns = BRG_SECONDS(600)));
    assert_true(watch_until(one_worker_ended, pool));
    brg_task *task = scenario_submit(pool, "noop", NULL, brg_submit_opts(.queue_timeout_ns = BRG_MILLISECONDS(200)));
    brg_status status =
        scenario_result(task)->status; /* it was not online yet when we looked, and took the task with it */
    assert_true(status == BRG_TIMED_OUT || status == BRG_EXITED || status == BRG_NOT_FOUND);
    if (status == BRG_TIMED_OUT)
        assert_int_equal(scenario_stats(pool).workers_started, 1);
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

/* ---- no descriptors ---------------------------------------------------------------------------------------------- */

static void set_file_limit(rlim_t files)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = files;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* The least number that no open descriptor has, and how many below it are taken, decide what a limit leaves. */
static int first_free_file(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    close(fd);
    return fd;
}

/* Everything a program does with a pool; each step works or says why not. */
static int use_without_files(brg_isolation isolation, bool with_loop)
{
    brg_loop *loop = NULL;
    brg_pool *pool = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    int worked = 0;
    brg_status status = BRG_OK;
    if (with_loop && (status = brg_loop_create(&loop, NULL, &error)) != BRG_OK)
        assert_null(loop);
    if (status == BRG_OK)
        status = brg_pool_create(&pool,
                                 brg_pool_opts(.isolation = isolation, .module = scenario_module(), .loop = loop,
                                               .workers_max = 2, .restart_min_ns = BRG_MILLISECONDS(1),
                                               .restart_max_ns = BRG_MILLISECONDS(2), .breaker_failures = 3,
                                               .grace_ns = SCENARIO_LONG),
                                 &error);
    if (status != BRG_OK) {
        assert_null(pool);
        assert_true(status == BRG_SYSTEM || status == BRG_NO_MEMORY || status == BRG_START_FAILED);
        assert_int_equal(error.status, status);
        assert_true(error.message[0] != '\0');
    } else {
        for (int i = 0; i < 4; i++) {
            brg_task *task = NULL;
            status = brg_pool_submit(pool, i == 2 ? "poll_politely" : "noop", NULL,
                                     brg_submit_opts(.run_timeout_ns = i == 2 ? BRG_MILLISECONDS(5) : BRG_SECONDS(600)),
                                     &task);
            if (status != BRG_OK) {
                assert_int_equal(status, BRG_UNAVAILABLE);
                continue;
            }
            status = scenario_result(task)->status;
            bool fails = i == 2 && (status == BRG_TIMED_OUT || status == BRG_FAILED); /* of its cancel descriptor */
            if (status != BRG_OK && status != BRG_UNAVAILABLE && !fails)
                fail_msg("%s: %s", brg_status_name(status), brg_task_result(task)->error->message);
            worked += status == BRG_OK;
            brg_task_unref(task);
        }
        brg_pool_destroy(pool);
    }
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    return worked;
}

static void few_descriptors_fail_clean(void **state)
{
    brg_isolation isolation = scenario_isolation(state);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(use_without_files(isolation, true) > 0); /* what stays for ever is there now */
    int files = scenario_open_files(), first = first_free_file(), worked = 0, failed = 0,
        children = watch_count_children();
    for (int more = 0; more < 40; more++) {
        set_file_limit((rlim_t)(first + more));
        if (use_without_files(isolation, more % 2 == 1) == 3)
            worked++;
        else
            failed++;
        set_file_limit(before.rlim_cur);
        if (!watch_until_files(files))
            fail_msg("%d descriptors, not %d, after a limit of %d more", scenario_open_files(), files, more);
    }
    assert_true(worked > 0);
    assert_true(failed > 0);
    assert_true(watch_until_children(children + 1)); /* a worker that nobody holds would be one more, each time */
}

int main(void)
{
    if (getenv("BRIGADE_TEST_MUTE") != NULL)
        for (;;)
            pause();
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(bad_starts_are_explained),        cmocka_unit_test(mute_worker_program),
        SCENARIO_BOTH(one_bad_place_stops_nobody),      SCENARIO_BOTH(another_place_is_taken),
        SCENARIO_BOTH(half_open_it_tries_elsewhere),    SCENARIO_BOTH(all_bad_places_are_told),
        SCENARIO_BOTH(tasks_for_a_bad_place_fail),      SCENARIO_BOTH(tasks_for_all_end),
        SCENARIO_BOTH(breaker_half_opens_and_recovers), cmocka_unit_test(workers_that_end_at_once_back_off),
        SCENARIO_BOTH(few_descriptors_fail_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
