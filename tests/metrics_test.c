/* SPDX-License-Identifier: MIT */
/* What a pool says of itself: counts that agree with what was asked of it, times as they were, whoever asks when. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "crowd.h"
#include "plug.h"

static const brg_metrics_of_task *task_called(const brg_metrics *metrics, const char *name)
{
    const brg_metrics_of_task *task;
    for (size_t i = 0; (task = brg_metrics_task(metrics, i)) != NULL; i++)
        if (strcmp(task->name, name) == 0)
            return task;
    return NULL;
}

static uint64_t settled_of(const brg_metrics_of_pool *pool)
{
    return pool->tasks_done + pool->tasks_failed + pool->tasks_cancelled + pool->tasks_timed_out + pool->tasks_lost;
}

/* Every sum that must hold once all is settled. */
static void check_sums(brg_pool *pool)
{
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND),
                     BRG_OK); /* who sees a result may be ahead of the counts */
    brg_metrics *metrics = scenario_metrics(pool);
    const brg_metrics_of_pool *seen = brg_metrics_pool(metrics);
    brg_pool_stats stats = scenario_stats(pool);
    uint64_t named[5] = {0};
    const brg_metrics_of_task *task;
    assert_true(seen->tasks_submitted == settled_of(seen));
    assert_true(seen->tasks_running == 0 && seen->queue_length == 0 && seen->callbacks_pending == 0);
    assert_true(seen->tasks_submitted == stats.submitted && seen->tasks_done == stats.done);
    assert_true(seen->tasks_failed == stats.failed && seen->tasks_cancelled == stats.cancelled);
    assert_true(seen->tasks_timed_out == stats.timed_out && seen->tasks_retried == stats.retried);
    assert_true(seen->queue_peak == stats.queue_peak && seen->workers_started <= stats.workers_started);
    for (size_t i = 0; (task = brg_metrics_task(metrics, i)) != NULL; i++) {
        named[0] += task->done;
        named[1] += task->failed;
        named[2] += task->cancelled;
        named[3] += task->timed_out;
        named[4] += task->lost;
        assert_true(task->run.count == 0 || task->run.p50_ns <= task->run.max_ns);
    }
    assert_true(named[0] == seen->tasks_done && named[1] == seen->tasks_failed && named[2] == seen->tasks_cancelled);
    assert_true(named[3] == seen->tasks_timed_out && named[4] == seen->tasks_lost);
    assert_true(seen->wait.count == seen->run.count);
    assert_true(seen->run_recent.count <= seen->run.count);
    if (seen->recent_ns == seen->uptime_ns) /* else one may have come in between when an old part was cut off */
        assert_true(seen->wait_recent.count == seen->run.count && seen->run_recent.count == seen->run.count);
    assert_true(seen->busy_ns <= seen->available_ns && seen->utilization >= 0 && seen->utilization <= 1);
    brg_metrics_free(metrics);
}

/* ---- counts ------------------------------------------------------------------------------------------------------ */

typedef struct tally {
    uint64_t done, failed, cancelled, timed_out, lost, retried, ran;
} tally;

static void tally_add(tally *self, brg_task *task)
{
    const brg_result *result = scenario_result(task);
    self->done += result->state == BRG_TASK_DONE;
    self->failed += result->state == BRG_TASK_FAILED;
    self->cancelled += result->state == BRG_TASK_CANCELLED;
    self->timed_out += result->state == BRG_TASK_TIMED_OUT;
    self->lost += result->state == BRG_TASK_LOST;
    self->retried += result->attempts > 1 ? result->attempts - 1 : 0;
    self->ran += result->worker_id != 0;
    brg_task_unref(task);
}

#define MIXED 120

/* Successes, failures, retries, timeouts, cancels; crashes too where a worker is a process. */
static brg_task *submit_mixed(brg_pool *pool, int i, bool crashes)
{
    const brg_submit_options *short_run = brg_submit_opts(.run_timeout_ns = BRG_MILLISECONDS(5));
    brg_task *task;
    switch (i % 6) {
    case 0:
        return scenario_submit(pool, "fail", NULL, NULL);
    case 1:
        return scenario_submit(pool, "flaky", scenario_int("until", 3), NULL);
    case 2:
        return i % 24 == 2 ? scenario_submit(pool, "spin_politely", NULL, short_run)
                           : scenario_submit(pool, "noop", NULL, NULL);
    case 3:
        task = scenario_submit(pool, "noop", NULL, NULL);
        (void)brg_task_cancel(task);
        return task;
    case 4:
        if (crashes && i % 24 == 4)
            return scenario_submit(pool, "abort", NULL, NULL);
        return scenario_submit(pool, "echo", scenario_int("n", i), NULL);
    default:
        return scenario_submit(pool, "noop", NULL, NULL);
    }
}

static void every_count_agrees(void **state)
{
    bool is_process = scenario_isolation(state) == BRG_ISOLATION_PROCESS;
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.attempts_max = 3, .crash_limit = 9, .timing = true,
                                                 .grace_ns = BRG_SECONDS(600),
                                                 .retry_on = BRG_RETRY_CRASH | BRG_RETRY_FAILED));
    brg_task *tasks[MIXED];
    tally counts = {0};
    for (int i = 0; i < MIXED; i++)
        tasks[i] = submit_mixed(pool, i, is_process);
    for (int i = 0; i < MIXED; i++)
        tally_add(&counts, tasks[i]);
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    check_sums(pool);
    brg_metrics *metrics = scenario_metrics(pool);
    const brg_metrics_of_pool *seen = brg_metrics_pool(metrics);
    assert_true(seen->tasks_submitted == MIXED);
    assert_true(seen->tasks_done == counts.done && seen->tasks_failed == counts.failed);
    assert_true(seen->tasks_cancelled == counts.cancelled && seen->tasks_timed_out == counts.timed_out);
    assert_true(seen->tasks_lost == counts.lost && seen->tasks_retried == counts.retried);
    assert_true(seen->run.count == counts.ran && seen->tasks_timed == counts.ran);
    assert_true(task_called(metrics, "fail")->failed == MIXED / 6);
    assert_true(task_called(metrics, "flaky")->done == MIXED / 6);
    assert_null(task_called(metrics, BRG_METRICS_FUNCTIONS));
    if (is_process) {
        assert_true(seen->workers_crashed == 3 * MIXED / 24);
        assert_true(seen->workers_restarted >= 1 && seen->workers_restarted < seen->workers_started);
        assert_true(task_called(metrics, "abort")->failed == MIXED / 24);
    }
    brg_metrics_free(metrics);
    brg_pool_destroy(pool);
}

/* ---- times ------------------------------------------------------------------------------------------------------- */

static int compare_u64(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return *left < *right ? -1 : *left > *right;
}

static void check_near(uint64_t found, uint64_t exact)
{
    uint64_t off = found > exact ? found - exact : exact - found;
    assert_true(off * 32 <= exact);
}

#define TIMED 400

/* With timing the percentiles are those of the results. */
static void times_are_those_of_the_results(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.timing = true));
    uint64_t run[TIMED], wait[TIMED], sum = 0;
    brg_task *tasks[TIMED];
    for (int i = 0; i < TIMED; i++)
        tasks[i] = scenario_submit(pool, i % 2 == 0 ? "noop" : "echo", scenario_int("n", i), NULL);
    for (int i = 0; i < TIMED; i++) {
        const brg_result *result = scenario_result(tasks[i]);
        run[i] = result->run_ns;
        wait[i] = result->queued_ns;
        sum += result->run_ns;
        brg_task_unref(tasks[i]);
    }
    qsort(run, TIMED, sizeof(run[0]), compare_u64);
    qsort(wait, TIMED, sizeof(wait[0]), compare_u64);
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    brg_metrics *metrics = scenario_metrics(pool);
    const brg_metrics_of_pool *seen = brg_metrics_pool(metrics);
    assert_true(seen->run.count == TIMED && seen->run.sum_ns == sum && seen->run.mean_ns == sum / TIMED);
    check_near(seen->run.p50_ns, run[TIMED / 2 - 1]);
    check_near(seen->run.p90_ns, run[TIMED * 9 / 10 - 1]);
    check_near(seen->run.p99_ns, run[TIMED * 99 / 100 - 1]);
    assert_true(seen->run.max_ns == run[TIMED - 1]);
    check_near(seen->wait.p50_ns, wait[TIMED / 2 - 1]);
    assert_true(seen->wait.max_ns == wait[TIMED - 1]);
    assert_true(task_called(metrics, "noop")->run.count == TIMED / 2);
    assert_true(task_called(metrics, "echo")->run.count == TIMED / 2);
    assert_true(task_called(metrics, "noop")->run.sum_ns + task_called(metrics, "echo")->run.sum_ns == sum);
    brg_metrics_free(metrics);
    check_sums(pool);
    brg_pool_destroy(pool);
}

static brg_status do_nothing(brg_context *context, void *argument)
{
    (void)context, (void)argument;
    return BRG_OK;
}

#define FAST 100000
#define BLOCK 1024 /* the longest of which one is chosen: sampler.h */

/* Few of many fast ones are timed, and stand for all but the last block: nobody is idle, who would break one off. */
static void samples_stand_for_all(void **state)
{
    (void)state;
    plug busy = {0};
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2, .queue_max = FAST));
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(brg_pool_call(pool, plug_task, &busy, NULL, NULL), BRG_OK);
        plug_wait(&busy, i + 1);
    }
    for (int i = 2; i < FAST; i++)
        assert_int_equal(brg_pool_call(pool, do_nothing, NULL, NULL, NULL), BRG_OK);
    plug_pull(&busy);
    assert_int_equal(brg_pool_wait_idle(pool, BRG_FOREVER), BRG_OK);
    check_sums(pool);
    brg_metrics *metrics = scenario_metrics(pool);
    const brg_metrics_of_pool *seen = brg_metrics_pool(metrics);
    const brg_metrics_of_task *functions = task_called(metrics, BRG_METRICS_FUNCTIONS);
    assert_true(seen->tasks_timed > 0 && seen->tasks_timed <= seen->run.count);
    assert_in_range(seen->run.count, FAST - BLOCK, FAST + BLOCK);
    assert_true(functions->done == FAST && functions->run.count == seen->run.count);
    assert_true(seen->throughput_peak > 0);
    brg_metrics_free(metrics);
    brg_pool_destroy(pool);
}

static void members_of_batches_are_timed(void **state)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/batch.so", getenv("TEST_MODULE_DIR"));
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.module = path, .batch_size = 8, .workers_max = 1));
    brg_task *tasks[40];
    for (int i = 0; i < 40; i++)
        tasks[i] = scenario_submit(pool, "work", scenario_int("n", i), NULL);
    for (int i = 0; i < 40; i++) {
        (void)scenario_result(tasks[i]);
        brg_task_unref(tasks[i]);
    }
    assert_int_equal(brg_pool_wait_idle(pool, BRG_FOREVER), BRG_OK);
    check_sums(pool);
    brg_metrics *metrics = scenario_metrics(pool);
    const brg_metrics_of_pool *seen = brg_metrics_pool(metrics);
    assert_true(seen->tasks_submitted == 40 && seen->batches > 0);
    assert_true(seen->run.count > 0 && seen->run.max_ns > 0 && seen->run.max_ns < seen->uptime_ns);
    assert_true(seen->wait.max_ns < seen->uptime_ns);
    brg_metrics_free(metrics);
    brg_pool_destroy(pool);
}

/* ---- workers and names ------------------------------------------------------------------------------------------- */

static void a_worker_shows_what_it_runs(void **state)
{
    brg_isolation isolation = scenario_isolation(state);
    brg_pool *pool = scenario_pool(isolation, brg_pool_opts(.workers_max = 2, .name = "shown"));
    crowd here;
    crowd_open(&here);
    brg_task *task = scenario_submit(pool, "noop", crowd_input(&here), NULL);
    crowd_wait(&here, 1);
    brg_metrics *metrics = scenario_metrics(pool);
    assert_true(brg_metrics_pool(metrics)->tasks_running == 1);
    const brg_metrics_of_worker *worker, *busy = NULL;
    for (size_t i = 0; (worker = brg_metrics_worker(metrics, i)) != NULL; i++)
        if (worker->state == BRG_METRICS_BUSY)
            busy = worker;
    assert_non_null(busy);
    assert_string_equal(busy->task, "noop");
    assert_true(busy->running_ns > 0 && busy->running_ns <= busy->uptime_ns);
    assert_true(busy->inactive_ns == 0 && busy->tasks == 1 && busy->errors == 0 && busy->starts == 1);
    assert_true(strncmp(busy->name, "shown-", 6) == 0);
    assert_true((busy->process_id != 0) == (isolation == BRG_ISOLATION_PROCESS));
    assert_true((busy->rss_bytes != 0) == (isolation == BRG_ISOLATION_PROCESS));
    brg_metrics_free(metrics);
    crowd_release(&here, 1);
    (void)scenario_result(task);
    brg_task_unref(task);
    crowd_close(&here);
    scenario_expect(pool, "fail", NULL, BRG_FAILED);
    assert_int_equal(brg_pool_wait_idle(pool, BRG_FOREVER), BRG_OK);
    metrics = scenario_metrics(pool);
    uint64_t errors = 0;
    for (size_t i = 0; (worker = brg_metrics_worker(metrics, i)) != NULL; i++)
        errors += worker->errors;
    assert_true(errors == 1);
    brg_metrics_free(metrics);
    brg_pool_destroy(pool);
}

#define NAMES (BRG_METRICS_NAMES_MAX + 20)

static void names_are_bounded(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), NULL);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < NAMES; i++) {
            char name[32];
            snprintf(name, sizeof(name), "nobody-%d", i);
            scenario_expect(pool, name, NULL, BRG_NOT_FOUND);
        }
    assert_int_equal(brg_pool_wait_idle(pool, BRG_FOREVER), BRG_OK);
    check_sums(pool);
    brg_metrics *metrics = scenario_metrics(pool);
    assert_true(task_called(metrics, "nobody-0")->failed == 2);
    assert_true(task_called(metrics, "nobody-31")->failed == 2);
    assert_null(task_called(metrics, "nobody-32"));
    assert_true(task_called(metrics, BRG_METRICS_OTHERS)->failed == 2 * 20);
    assert_null(brg_metrics_task(metrics, BRG_METRICS_NAMES_MAX + 1));
    brg_metrics_free(metrics);
    brg_pool_destroy(pool);
}

/* Else a page would have two rows of one name, and Prometheus would take none of it. */
static void no_two_names_look_alike(void **state)
{
    static const char *const names[] = {"noop", BRG_METRICS_FUNCTIONS, BRG_METRICS_OTHERS, "x\xff", "x\xfe", "x?"};
    brg_pool *pool = scenario_pool(scenario_isolation(state), NULL);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        scenario_expect(pool, names[i], NULL, i == 0 ? BRG_OK : BRG_NOT_FOUND);
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    brg_metrics *metrics = scenario_metrics(pool);
    const brg_metrics_of_task *task;
    for (size_t i = 0; (task = brg_metrics_task(metrics, i)) != NULL; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(brg_metrics_task(metrics, j)->name, task->name);
    assert_true(task_called(metrics, BRG_METRICS_OTHERS)->failed == 4);
    assert_null(task_called(metrics, BRG_METRICS_FUNCTIONS));
    brg_metrics_free(metrics);
    check_sums(pool);
    brg_pool_destroy(pool);
}

static void without_metrics_counts_are_there(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.no_metrics = true, .timing = true));
    for (int i = 0; i < 10; i++)
        scenario_expect(pool, "noop", NULL, BRG_OK);
    assert_int_equal(brg_pool_wait_idle(pool, BRG_FOREVER), BRG_OK);
    brg_metrics *metrics = scenario_metrics(pool);
    const brg_metrics_of_pool *seen = brg_metrics_pool(metrics);
    assert_true(seen->tasks_done == 10 && seen->run.count == 0 && seen->throughput_peak == 0);
    assert_non_null(brg_metrics_worker(metrics, 0));
    assert_null(brg_metrics_task(metrics, 0));
    brg_metrics_free(metrics);
    brg_pool_destroy(pool);
}

/* ---- at any time ------------------------------------------------------------------------------------------------- */

typedef struct reader {
    const brg_pool *pool;
    atomic_bool is_over;
    uint64_t readings;
} reader;

/* What only grows does, and nothing is counted before it came. */
static void *read_on(void *argument)
{
    reader *self = argument;
    uint64_t settled = 0, runs = 0;
    while (!self->is_over || self->readings == 0) {
        brg_metrics *metrics = scenario_metrics(self->pool);
        const brg_metrics_of_pool *seen = brg_metrics_pool(metrics);
        assert_true(settled_of(seen) >= settled && settled_of(seen) <= seen->tasks_submitted);
        assert_true(seen->run.count >= runs);
        settled = settled_of(seen);
        runs = seen->run.count;
        char *text = NULL;
        assert_int_equal(brg_metrics_json(metrics, BRG_JSON_COMPACT, &text, NULL, NULL), BRG_OK);
        brg_free(text);
        assert_int_equal(brg_metrics_prometheus((const brg_metrics *const[]){metrics}, 1, &text, NULL, NULL), BRG_OK);
        brg_free(text);
        brg_metrics_free(metrics);
        self->readings++;
    }
    return NULL;
}

static void it_is_read_while_workers_work_crash_and_come_back(void **state)
{
    brg_isolation isolation = scenario_isolation(state);
    bool is_process = isolation == BRG_ISOLATION_PROCESS;
    brg_pool *pool = scenario_pool(
        isolation, brg_pool_opts(.workers_max = 3, .attempts_max = 2, .timing = !is_process, .queue_max = 100000));
    reader other = {.pool = pool};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_on, &other), 0);
    for (int i = 0; i < 2000; i++) {
        brg_task *task = scenario_submit(pool, is_process && i % 400 == 0 ? "abort" : "noop", NULL, NULL);
        brg_task_unref(task);
    }
    assert_int_equal(brg_pool_wait_idle(pool, BRG_FOREVER), BRG_OK);
    other.is_over = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    check_sums(pool);
    FILE *null = fopen("/dev/null", "w");
    assert_int_equal(brg_pool_dump(pool, null), BRG_OK);
    fclose(null);
    brg_pool_destroy(pool);
}

static void a_dump_says_who_does_what(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 1, .name = "dumped"));
    crowd here;
    char *text = NULL;
    size_t size = 0;
    crowd_open(&here);
    brg_task *runs = scenario_submit(pool, "noop", crowd_input(&here), NULL);
    crowd_wait(&here, 1);
    brg_task *waits = scenario_submit(pool, "echo", NULL, brg_submit_opts(.delay_ns = BRG_SECONDS(3600)));
    brg_task *follows = scenario_submit(pool, "fail", NULL, brg_submit_opts(.after = &waits, .after_count = 1));
    brg_task *expires = scenario_submit(
        pool, "noop", NULL, brg_submit_opts(.queue_timeout_ns = BRG_SECONDS(1900), .after = &runs, .after_count = 1));
    FILE *to = open_memstream(&text, &size);
    assert_int_equal(brg_pool_dump(pool, to), BRG_OK);
    fclose(to);
    assert_non_null(strstr(text, "pool \"dumped\": open, "));
    assert_non_null(strstr(text, "queue fifo, placement pull, scaling fixed"));
    assert_non_null(strstr(text, "busy with noop for "));
    assert_non_null(strstr(text, "4 submitted"));
    assert_non_null(strstr(text, "their time, the next, echo, for 3"));
    assert_non_null(strstr(text, "to settle, first fail\n"));
    assert_non_null(strstr(text, "so long, the next, noop, for 1"));
    free(text);
    (void)brg_task_cancel(waits);
    crowd_release(&here, 1);
    (void)scenario_result(runs);
    brg_task_unref(runs);
    brg_task_unref(waits);
    brg_task_unref(follows);
    brg_task_unref(expires);
    crowd_close(&here);
    assert_int_equal(brg_pool_dump(NULL, stdout), BRG_INVALID);
    assert_int_equal(brg_pool_dump(pool, NULL), BRG_INVALID);
    to = fopen("/dev/full", "w");
    assert_non_null(to);
    assert_int_equal(brg_pool_dump(pool, to), BRG_SYSTEM);
    fclose(to);
    brg_pool_destroy(pool);
}

/* ---- the event --------------------------------------------------------------------------------------------------- */

typedef struct told {
    brg_pool *pool;
    pthread_t thread;
    int count;
    uint64_t submitted;
} told;

static void tell(brg_pool *pool, const brg_metrics *metrics, void *user_data)
{
    told *self = user_data;
    assert_true(pthread_equal(self->thread, pthread_self()));
    assert_ptr_equal(pool, self->pool);
    self->submitted = brg_metrics_pool(metrics)->tasks_submitted;
    self->count++;
}

static void it_is_told_on_the_loop(void **state)
{
    told heard = {.thread = pthread_self()};
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, brg_loop_opts(.external = true), NULL), BRG_OK);
    heard.pool = scenario_pool(scenario_isolation(state),
                               brg_pool_opts(.loop = loop, .on_metrics = tell, .user_data = &heard,
                                             .metrics_interval_ns = BRG_MILLISECONDS(1)));
    brg_task *task = scenario_submit(heard.pool, "noop", NULL, NULL);
    brg_task_unref(task);
    while (heard.count < 5 || heard.submitted == 0) {
        struct pollfd ready = {.fd = brg_loop_fd(loop), .events = POLLIN};
        assert_int_equal(poll(&ready, 1, (int)(SCENARIO_BOUND / 1000000)), 1);
        (void)brg_loop_dispatch(loop);
    }
    assert_true(heard.submitted == 1);
    brg_pool_destroy(heard.pool);
    int count = heard.count;
    (void)brg_loop_dispatch(loop);
    assert_int_equal(heard.count, count);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void wrong_options_are_named(void **state)
{
    (void)state;
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, brg_loop_opts(.external = true), NULL), BRG_OK);
    const struct {
        brg_pool_options options;
        const char *says;
    } rows[] = {
        {*brg_pool_opts(.loop = loop, .on_metrics = tell), "go together"},
        {*brg_pool_opts(.loop = loop, .metrics_interval_ns = BRG_SECONDS(1)), "go together"},
        {*brg_pool_opts(.loop = loop, .on_metrics = tell, .metrics_interval_ns = 999999), "below a millisecond"},
        {*brg_pool_opts(.on_metrics = tell, .metrics_interval_ns = BRG_SECONDS(1)), "needs a loop"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        brg_pool *pool = NULL;
        brg_error error;
        assert_int_equal(brg_pool_create(&pool, &rows[i].options, &error), BRG_INVALID);
        assert_non_null(strstr(error.message, rows[i].says));
        assert_null(pool);
    }
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    brg_metrics *metrics = NULL;
    assert_int_equal(brg_pool_metrics(NULL, &metrics, NULL), BRG_INVALID);
    assert_null(metrics);
    brg_metrics_free(NULL);
    assert_null(brg_metrics_pool(NULL));
    assert_null(brg_metrics_worker(NULL, 0));
    assert_null(brg_metrics_task(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(every_count_agrees),
        SCENARIO_BOTH(times_are_those_of_the_results),
        cmocka_unit_test(samples_stand_for_all),
        SCENARIO_BOTH(members_of_batches_are_timed),
        SCENARIO_BOTH(a_worker_shows_what_it_runs),
        SCENARIO_BOTH(names_are_bounded),
        SCENARIO_BOTH(no_two_names_look_alike),
        SCENARIO_BOTH(without_metrics_counts_are_there),
        SCENARIO_BOTH(it_is_read_while_workers_work_crash_and_come_back),
        SCENARIO_BOTH(a_dump_says_who_does_what),
        SCENARIO_BOTH(it_is_told_on_the_loop),
        cmocka_unit_test(wrong_options_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
