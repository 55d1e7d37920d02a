/* SPDX-License-Identifier: MIT */
/* Watches: every transition is told, once, in order, whatever happens. */
#include "batching.h"
#include "crowd.h"
#include "tale.h"
#include "watch.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <brigade/trace.h>

#define BOUND SCENARIO_BOUND

static uint32_t random_state;

static uint32_t choose(uint32_t count)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 16) % count;
}

static int seed_print(void **state)
{
    (void)state;
    const char *given = getenv("BRIGADE_TEST_SEED");
    random_state = given != NULL ? (uint32_t)strtoul(given, NULL, 0) : 1; /* the same choices each time */
    fprintf(stderr, "BRIGADE_TEST_SEED=%u\n", random_state);
    return 0;
}

/* ---- everything at once ------------------------------------------------------------------------------------------ */

static brg_status call_sometimes(brg_context *context, void *argument)
{
    (void)context;
    return argument == NULL ? BRG_OK : BRG_FAILED;
}

static brg_task *submit_any(brg_pool *pool, bool is_process, brg_task *before)
{
    brg_task *task = NULL;
    brg_submit_options options = {.size = sizeof(options),
                                  .priority = (brg_priority)choose(4),
                                  .key = choose(5),
                                  .attempts_max = 1 + choose(3),
                                  .delay_ns = choose(8) == 0 ? BRG_MICROSECONDS(1 + choose(2000)) : 0,
                                  .run_timeout_ns = choose(4) == 0 ? BRG_MILLISECONDS(5) : 0,
                                  .queue_timeout_ns = choose(16) == 0 ? BRG_MICROSECONDS(1 + choose(500)) : 0};
    if (before != NULL && choose(6) == 0) {
        options.after = &before;
        options.after_count = 1;
        options.after_any = choose(2) == 0;
    }
    switch (choose(is_process ? 40 : 12)) {
    case 0:
        return scenario_submit(pool, "fail", NULL, &options);
    case 1:
        return scenario_submit(pool, "flaky", scenario_int("until", 2), &options);
    case 2: /* few, and few of those that spin: where time is short, what ends them waits for it */
        if (choose(4) != 0)
            return scenario_submit(pool, "noop", NULL, &options);
        options.run_timeout_ns = BRG_MILLISECONDS(2);
        return scenario_submit(pool, choose(8) == 0 ? "spin_politely" : "poll_politely", NULL, &options);
    case 3:
        return scenario_submit(pool, "no such task", NULL, &options);
    case 4:
    case 5:
        if (is_process)
            return scenario_submit(pool, "abort", NULL, &options);
        assert_int_equal(brg_pool_submit_call(pool, call_sometimes, choose(2) == 0 ? pool : NULL, &options, &task),
                         BRG_OK);
        return task;
    default:
        return scenario_submit(pool, "noop", NULL, &options);
    }
}

#define KEPT 16

static void play(brg_pool *pool, brg_loop *loop, bool is_process, int operations)
{
    brg_task *kept[KEPT] = {NULL};
    for (int i = 0; i < operations; i++) {
        uint32_t place = choose(KEPT);
        if (kept[place] != NULL && choose(5) == 0)
            (void)brg_task_cancel(kept[place]);
        if (kept[place] != NULL && choose(4) == 0)
            assert_int_equal(brg_task_wait(kept[place], BOUND), BRG_OK);
        brg_task_unref(kept[place]);
        kept[place] = NULL;
        kept[place] = submit_any(pool, is_process, kept[choose(KEPT)]);
        if (choose(16) == 0)
            (void)brg_loop_dispatch(loop);
        if (choose(200) == 0)
            assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.workers_max = 1 + choose(3)), NULL), BRG_OK);
    }
    for (int i = 0; i < KEPT; i++)
        brg_task_unref(kept[i]);
}

/* What chance may have left out. */
static void play_the_rest(brg_pool *pool)
{
    brg_task_unref(scenario_submit(pool, "flaky", scenario_int("until", 2), brg_submit_opts(.attempts_max = 2)));
    brg_task_unref(
        scenario_submit(pool, "spin_politely", NULL, brg_submit_opts(.run_timeout_ns = BRG_MILLISECONDS(1))));
    brg_task *task = scenario_submit(pool, "noop", NULL, brg_submit_opts(.delay_ns = BRG_SECONDS(3600)));
    assert_int_equal(brg_task_cancel(task), BRG_OK);
    brg_task_unref(task);
    for (int i = 0; i < 40; i++)
        assert_int_equal(brg_pool_submit(pool, "noop", NULL, NULL, NULL), BRG_OK);
}

static void every_transition_is_told_in_order(void **state)
{
    bool is_process = scenario_isolation(state) == BRG_ISOLATION_PROCESS;
    tale self = {.needs_all = true};
    brg_loop *loop = tale_loop();
    brg_pool *pool = scenario_pool(
        scenario_isolation(state),
        brg_pool_opts(.loop = loop, .workers_max = 3,
                      .retry_on = BRG_RETRY_FAILED | BRG_RETRY_CRASH | BRG_RETRY_TIMEOUT,
                      .retry_delay_ns = BRG_MICROSECONDS(100), .retry_jitter_percent = 100, .crash_limit = 3,
                      .grace_ns = LONG, .recycle_tasks = 7, .restart_min_ns = 1,
                      .watch = brg_watch_opts(.on_events = tale_listen, .user_data = &self, .capacity = 4000000)));
    play(pool, loop, is_process, is_process ? (WATCH_SANITIZED ? 150 : 800) : (WATCH_SANITIZED ? 1500 : 8000));
    play_the_rest(pool);
    tale_finish(loop, pool, &self);
    assert_true(self.counts[BRG_EVENT_TASK_RETRIED] > 0);
    assert_true(self.counts[BRG_EVENT_TASK_CANCEL_ASKED] > 0);
    assert_true(self.counts[BRG_EVENT_TASK_OVERDUE] > 0);
    assert_true(self.counts[BRG_EVENT_WORKER_RECYCLED] > 0);
    assert_int_equal(self.counts[BRG_EVENT_POOL_CLOSED], 1);
    tale_free(&self);
}

/* Workers that pull, steal and are pushed to, and submitters on other threads, retries at once. */
typedef struct submitter {
    brg_pool *pool;
    bool is_process;
    int count;
} submitter;

static void *submitter_run(void *argument)
{
    const submitter *self = argument;
    for (int i = 0; i < self->count; i++) {
        brg_task *task = NULL;
        const char *name = i % 7 == 0 ? "fail" : "noop";
        if (brg_pool_submit(self->pool, name, NULL, NULL, i % 3 == 0 ? &task : NULL) != BRG_OK)
            abort();
        if (i % 9 == 0)
            (void)brg_task_cancel(task);
        brg_task_unref(task);
    }
    return NULL;
}

static void submitters_on_other_threads(void **state)
{
    bool is_process = scenario_isolation(state) == BRG_ISOLATION_PROCESS;
    tale self = {.needs_all = true};
    brg_loop *loop = tale_loop();
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.loop = loop, .workers_max = 3, .placement = brg_placement_stealing,
                                                 .attempts_max = 2, .retry_on = BRG_RETRY_FAILED,
                                                 .watch = brg_watch_opts(.on_events = tale_listen, .user_data = &self,
                                                                         .capacity = 4000000, .delay_ns = 1)));
    submitter work = {pool, is_process, WATCH_SANITIZED ? 1000 : 10000};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submitter_run, &work), 0);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK); /* it delivers meanwhile */
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    tale_finish(loop, pool, &self);
    assert_int_equal(self.counts[BRG_EVENT_TASK_SUBMITTED], 2 * (uint64_t)work.count);
    tale_free(&self);
}

static void members_of_batches(void **state)
{
    static const char *const orders[] = {"good", "fail", "good", "silent", "whole", "later", "crash"};
    uint32_t kinds = scenario_isolation(state) == BRG_ISOLATION_PROCESS ? 7 : 6;
    tale self = {.needs_all = true};
    brg_loop *loop = tale_loop();
    brg_pool *pool = batch_pool(
        state, .loop = loop, .workers_max = 2, .batch_size = 8, .batch_delay_ns = BRG_MILLISECONDS(1),
        .attempts_max = 3, .retry_on = BRG_RETRY_FAILED | BRG_RETRY_CRASH | BRG_RETRY_TRANSIENT, .crash_limit = 3,
        .restart_min_ns = 1,
        .watch = brg_watch_opts(.on_events = tale_listen, .user_data = &self, .capacity = 4000000));
    for (int i = 0; i < 300; i++) {
        brg_task *task = submit(pool, orders[choose(kinds)], i);
        if (choose(11) == 0)
            (void)brg_task_cancel(task);
        brg_task_unref(task);
    }
    tale_finish(loop, pool, &self);
    assert_true(self.counts[BRG_EVENT_TASK_BATCHED] > 0);
    tale_free(&self);
}

/* ---- flows ------------------------------------------------------------------------------------------------------ */

#define STREAMED 300

typedef struct streamed {
    int left;
    uint32_t kinds;
    brg_pool *pool;
    uint64_t told;
} streamed;

static brg_status streamed_source(brg_value **item, void **tag, void *user_data)
{
    static const char *const orders[] = {"good", "fail", "good", "silent", "whole", "later", "crash"};
    streamed *self = user_data;
    (void)tag;
    if (self->left == 0)
        return BRG_CLOSED;
    self->left--;
    *item = order(orders[choose(self->kinds)], self->left);
    return BRG_OK;
}

static void streamed_metrics(brg_pool *pool, const brg_metrics *metrics, void *user_data)
{
    streamed *self = user_data;
    const brg_metrics_of_pool *seen = brg_metrics_pool(metrics);
    assert_ptr_equal(pool, self->pool);
    assert_true(seen->tasks_running + seen->queue_length <= seen->tasks_submitted);
    self->told++;
}

/* Through batches, retries, crashes, changing numbers of workers, killed in the middle or not. */
static void items_of_streams(void **state)
{
    bool is_process = scenario_isolation(state) == BRG_ISOLATION_PROCESS;
    for (int round = 0; round < 4; round++) {
        tale self = {.needs_all = true};
        streamed run = {.left = STREAMED, .kinds = is_process ? 7 : 6};
        brg_loop *loop = tale_loop();
        brg_stream *stream = NULL;
        brg_trace *trace = NULL;
        brg_error error;
        size_t bytes = 0;
        assert_int_equal(brg_trace_create(&trace, brg_trace_opts(.events_max = 500, .details = true), NULL), BRG_OK);
        brg_pool *pool = run.pool = batch_pool(
            state, .loop = loop, .workers_min = 1, .workers_max = 3, .scaling = brg_scaling_adaptive, .batch_size = 8,
            .batch_delay_ns = BRG_MILLISECONDS(1), .attempts_max = 3, .crash_limit = 3, .restart_min_ns = 1,
            .retry_on = BRG_RETRY_FAILED | BRG_RETRY_CRASH | BRG_RETRY_TRANSIENT, .trace = trace,
            .no_metrics = round == 3, .on_metrics = streamed_metrics, .metrics_interval_ns = BRG_MILLISECONDS(1),
            .user_data = &run, .timing = round == 2, .heartbeat_ns = round == 1 ? LONG : 0,
            .watch = brg_watch_opts(.on_events = tale_listen, .user_data = &self, .capacity = 4000000));
        if (brg_stream_create(&stream,
                              brg_stream_opts(.pool = pool, .task = "work", .source = streamed_source,
                                              .unordered = round % 2 == 0, .rule = BRG_STREAM_COLLECT,
                                              .user_data = &run),
                              &error) != BRG_OK)
            fail_msg("stream: %s", error.message);
        brg_stream_item item;
        int items = 0;
        while (brg_stream_next(stream, &item, BOUND) == BRG_OK) {
            if (++items == STREAMED / 2 && round % 2 == 1)
                assert_int_equal(brg_pool_kill(pool, BRG_FOREVER), BRG_OK);
            if (items % 100 == 0)
                assert_int_equal(brg_trace_print(trace, tale_forget, &bytes, NULL), BRG_OK);
            (void)brg_loop_dispatch(loop);
        }
        assert_true(round % 2 == 1 || items == STREAMED);
        brg_stream_destroy(stream);
        tale_finish(loop, pool, &self);
        assert_int_equal(brg_trace_print(trace, tale_forget, &bytes, NULL), BRG_OK);
        brg_trace_destroy(trace);
        tale_free(&self);
    }
}

/* Tasks that wait for others and call flows, in workers and in their submitter. */
static brg_status nest_range(brg_context *context, size_t first, size_t end, void *state)
{
    (void)context;
    atomic_fetch_add((atomic_size_t *)state, end - first);
    return BRG_OK;
}

static brg_status nest(brg_context *context, void *argument)
{
    brg_pool *pool = argument;
    atomic_size_t count = 0;
    brg_task *inner = NULL;
    if (brg_pool_submit_call(pool, call_sometimes, brg_context_attempt(context) % 2 != 0 ? pool : NULL, NULL, &inner) ==
        BRG_OK) {
        (void)brg_task_wait(inner, BRG_SECONDS(1));
        brg_task_unref(inner);
    }
    brg_status status = brg_parallel_for(pool, 64, nest_range, &count, NULL, NULL);
    if (status == BRG_OK && atomic_load(&count) != 64)
        abort();
    return brg_context_attempt(context) < 2 ? brg_context_fail(context, 1, "again") : status;
}

static void flows_in_tasks(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        tale self = {.needs_all = true};
        streamed run = {.left = 0};
        brg_loop *loop = tale_loop();
        brg_pool *pool = run.pool = scenario_function_pool(
            brg_pool_opts(.loop = loop, .workers_min = 1, .workers_max = 3, .scaling = brg_scaling_backlog,
                          .admission = BRG_ADMISSION_CALLER_RUNS, .queue_max = 4, .attempts_max = 2,
                          .retry_on = BRG_RETRY_FAILED, .on_metrics = streamed_metrics,
                          .metrics_interval_ns = BRG_MILLISECONDS(1), .user_data = &run, .no_metrics = round == 1,
                          .timing = round == 2, .recycle_tasks = 20,
                          .watch = brg_watch_opts(.on_events = tale_listen, .user_data = &self, .capacity = 4000000)));
        for (int i = 0; i < 200; i++) {
            brg_task *task = NULL;
            brg_status status = brg_pool_submit_call(pool, nest, pool, NULL, &task);
            assert_true(status == BRG_OK || (round == 3 && status == BRG_CLOSED));
            if (choose(9) == 0 && task != NULL)
                (void)brg_task_cancel(task);
            brg_task_unref(task);
            if (round == 3 && i == 150)
                assert_int_equal(brg_pool_kill(pool, BRG_FOREVER), BRG_OK);
            (void)brg_loop_dispatch(loop);
        }
        tale_finish(loop, pool, &self);
        tale_free(&self);
    }
}

/* Of a batch, which task takes the time is not known: that one does is told, wherever it runs. */
static void a_batch_is_overdue(void **state)
{
    tale self = {.needs_all = true};
    brg_loop *loop = tale_loop();
    brg_pool *pool = batch_pool(state, .loop = loop, .batch_size = 2, .run_timeout_ns = BRG_MILLISECONDS(5),
                                .grace_ns = LONG,
                                .watch = brg_watch_opts(.on_events = tale_listen, .user_data = &self));
    brg_task *tasks[] = {submit(pool, "spin", 0), submit(pool, "spin", 1)};
    for (int i = 0; i < 2; i++)
        expect(tasks[i], BRG_TIMED_OUT);
    tale_finish(loop, pool, &self);
    assert_int_equal(self.counts[BRG_EVENT_TASK_OVERDUE], 1);
    tale_free(&self);
}

typedef struct numbers {
    uint64_t seen[8];
    size_t count;
} numbers;

static void numbers_listen(const brg_event *events, size_t count, uint64_t lost, void *user_data)
{
    numbers *self = user_data;
    assert_true(lost == 0);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < self->count; j++)
            assert_true(self->seen[j] != events[i].task);
        assert_true(self->count < 8 && events[i].task != 0);
        self->seen[self->count++] = events[i].task;
    }
}

/* One for each worker, submitted before anybody watched: they have a token, so they have numbers. */
static void each_of_all_has_its_number(void **state)
{
    crowd here;
    numbers self = {.count = 0};
    brg_loop *loop = tale_loop();
    brg_watch *watch = NULL;
    brg_token *token = NULL;
    uint32_t count = 0;
    crowd_open(&here);
    assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.loop = loop, .workers_max = 2));
    brg_task *holds[2];
    for (int i = 0; i < 2; i++) {
        holds[i] = scenario_submit(pool, "noop", crowd_input(&here), NULL);
        crowd_wait(&here, 1);
    }
    assert_int_equal(brg_pool_submit_all(pool, "noop", NULL, brg_submit_opts(.token = token), &count), BRG_OK);
    assert_int_equal(count, 2);
    assert_int_equal(brg_watch_create(&watch, pool,
                                      brg_watch_opts(.mask = BRG_EVENT_BIT(BRG_EVENT_TASK_SETTLED),
                                                     .on_events = numbers_listen, .user_data = &self),
                                      NULL),
                     BRG_OK);
    crowd_release(&here, 2);
    for (int i = 0; i < 2; i++)
        brg_task_unref(holds[i]);
    assert_int_equal(brg_pool_drain(pool, BOUND), BRG_OK);
    brg_pool_destroy(pool);
    assert_int_equal(self.count, 4);
    brg_watch_destroy(watch);
    brg_token_unref(token);
    crowd_close(&here);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

static void what_happens_to_the_pool(void **state)
{
    tale self = {.needs_all = true};
    crowd here;
    brg_loop *loop = tale_loop();
    crowd_open(&here);
    char module[4096];
    snprintf(module, sizeof(module), "%s/configure.so", getenv("TEST_MODULE_DIR"));
    brg_pool *pool = scenario_pool(
        scenario_isolation(state),
        brg_pool_opts(.loop = loop, .module = module, .workers_max = 1, .queue_max = 3, .queue_high = 2, .queue_low = 1,
                      .watch = brg_watch_opts(.on_events = tale_listen, .user_data = &self)));
    brg_task *held = scenario_submit(pool, "show", crowd_input(&here), NULL), *tasks[3];
    crowd_wait(&here, 1);
    for (int i = 0; i < 3; i++)
        tasks[i] = scenario_submit(pool, "show", NULL, NULL);
    assert_int_equal(brg_pool_submit(pool, "show", NULL, NULL, NULL), BRG_FULL);
    assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.queue_max = 5), NULL), BRG_OK);
    assert_int_equal(brg_pool_configure(pool, scenario_int("n", 1), NULL), BRG_OK);
    assert_int_equal(brg_pool_drain(pool, 0), BRG_TIMED_OUT);
    assert_int_equal(brg_pool_stop(pool, 0),
                     BRG_TIMED_OUT); /* the three leave the queue at once, and do not come back */
    crowd_release(&here, 1);
    assert_int_equal(brg_pool_stop(pool, BOUND), BRG_OK);
    for (int i = 0; i < 3; i++)
        brg_task_unref(tasks[i]);
    brg_task_unref(held);
    tale_finish(loop, pool, &self);
    const brg_event_type once[] = {BRG_EVENT_POOL_FULL,     BRG_EVENT_POOL_DRAINED,    BRG_EVENT_POOL_REJECTED,
                                   BRG_EVENT_POOL_TUNED,    BRG_EVENT_POOL_CONFIGURED, BRG_EVENT_POOL_DRAINING,
                                   BRG_EVENT_POOL_STOPPING, BRG_EVENT_POOL_KILLING,    BRG_EVENT_POOL_CLOSED};
    for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
        if (self.counts[once[i]] != 1)
            fail_msg("%s was told %llu times", brg_event_name(once[i]), (unsigned long long)self.counts[once[i]]);
    tale_free(&self);
    crowd_close(&here);
}

static bool breaker_has_opened_and_half(void *argument)
{
    const tale *self = ((void **)argument)[0];
    (void)brg_loop_dispatch(((void **)argument)[1]);
    return self->counts[BRG_EVENT_POOL_BREAKER_HALF_OPEN] != 0;
}

static void a_breaker_opens_and_half_opens(void **state)
{
    tale self = {.needs_all = true};
    brg_loop *loop = tale_loop();
    brg_pool *pool = scenario_pool(
        scenario_isolation(state),
        brg_pool_opts(.loop = loop, .workers_max = 1, .prewarm_task = "nowhere", .restart_min_ns = 1,
                      .breaker_failures = 2, .breaker_open_ns = BRG_MILLISECONDS(5),
                      .watch = brg_watch_opts(.on_events = tale_listen, .user_data = &self)));
    void *both[] = {&self, loop};
    assert_true(watch_until(breaker_has_opened_and_half, both));
    assert_true(self.counts[BRG_EVENT_WORKER_START_FAILED] >= 2);
    assert_true(self.counts[BRG_EVENT_POOL_BREAKER_OPEN] >= 1);
    assert_int_equal(self.counts[BRG_EVENT_POOL_BREAKER_CLOSED], 0);
    assert_int_equal(self.counts[BRG_EVENT_WORKER_ONLINE], 0);
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    tale_free(&self);
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

static void what_finds_no_room_is_counted(void **state)
{
    tale self = {.needs_all = false};
    brg_loop *loop = tale_loop();
    brg_watch *watch = NULL;
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.loop = loop));
    const int tasks = 3000;
    assert_int_equal(brg_watch_create(&watch, pool,
                                      brg_watch_opts(.mask = BRG_EVENTS_TASKS, .on_events = tale_listen, .capacity = 1,
                                                     .user_data = &self),
                                      NULL),
                     BRG_OK);
    for (int i = 0; i < tasks; i++)
        assert_int_equal(brg_pool_submit(pool, "noop", NULL, NULL, NULL), BRG_OK);
    while (scenario_stats(pool).done != (uint64_t)tasks) /* nothing is delivered meanwhile */
        sched_yield();
    brg_pool_destroy(pool);
    uint64_t told = 0;
    for (int i = 0; i < BRG_EVENT_COUNT; i++)
        told += self.counts[i];
    assert_true(self.lost > 0);
    uint64_t unstarted = self.counts[BRG_EVENT_TASK_UNSTARTED]; /* each with a start of its own */
    assert_true(told + self.lost >= 3 * (uint64_t)tasks + 2 * unstarted);
    assert_true(scenario_isolation(state) == BRG_ISOLATION_PROCESS || told + self.lost == 3 * (uint64_t)tasks);
    brg_watch_destroy(watch);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

/* Told in time, a small one loses nothing. */
static void room_comes_back(void **state)
{
    tale self = {.needs_all = true};
    brg_loop *loop = tale_loop();
    brg_pool *pool = scenario_pool(
        scenario_isolation(state),
        brg_pool_opts(.loop = loop, .watch = brg_watch_opts(.on_events = tale_listen, .user_data = &self,
                                                            .capacity = 1000, .delay_ns = 1)));
    for (int i = 0; i < 200; i++) {
        for (int j = 0; j < 20; j++)
            assert_int_equal(brg_pool_submit(pool, "noop", NULL, NULL, NULL), BRG_OK);
        assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
        while (self.counts[BRG_EVENT_TASK_SETTLED] != 20 * ((uint64_t)i + 1))
            (void)brg_loop_dispatch(loop);
    }
    tale_finish(loop, pool, &self);
    assert_true(self.calls >= 200); /* batches: one in each turn, and the first of it has all that was submitted */
    assert_true(self.largest >= 20);
    tale_free(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(every_transition_is_told_in_order),
        SCENARIO_BOTH(submitters_on_other_threads),
        SCENARIO_BOTH(members_of_batches),
        SCENARIO_BOTH(a_batch_is_overdue),
        SCENARIO_BOTH(items_of_streams),
        cmocka_unit_test(flows_in_tasks),
        SCENARIO_BOTH(each_of_all_has_its_number),
        SCENARIO_BOTH(what_happens_to_the_pool),
        SCENARIO_BOTH(a_breaker_opens_and_half_opens),
        SCENARIO_BOTH(what_finds_no_room_is_counted),
        SCENARIO_BOTH(room_comes_back),
    };
    return cmocka_run_group_tests(tests, seed_print, NULL);
}
