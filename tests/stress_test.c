/* SPDX-License-Identifier: MIT */
/*
 * Everything at once: four threads submit, cancel, wait and look, at random, while tasks fail, time out, crash and are
 * killed. Whatever happens, each accepted task settles exactly once with an outcome that is its own, and the counts add
 * up. BRIGADE_TEST_SEED repeats the choices of a run, though not its timing. Then: workers started and ended by the
 * thousand; BRIGADE_TEST_WORKERS says how many.
 */
#include "scenario.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "watch.h"

#define BOUND SCENARIO_BOUND
#define PATIENT BRG_SECONDS(3600) /* a grace that nobody waits out */

/* On any thread: cmocka's assertions are for the one that runs the tests. */
#define MUST(condition, ...)                                                                                           \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not %s: ", __FILE__, __LINE__, #condition);                                        \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fprintf(stderr, "\n");                                                                                     \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#define SUBMITTERS 4
#define KEPT 24 /* handles a submitter holds at a time */
#define ROUNDS 6
#define OPERATIONS_THREAD (WATCH_SANITIZED ? 600 : 6000)
#define OPERATIONS_PROCESS (WATCH_SANITIZED ? 200 : 1200)

static unsigned base_seed;

static int seed_print(void **state)
{
    (void)state;
    const char *given = getenv("BRIGADE_TEST_SEED");
    base_seed = given != NULL ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);
    fprintf(stderr, "BRIGADE_TEST_SEED=%u\n", base_seed);
    return 0;
}

/* ---- what is submitted ------------------------------------------------------------------------------------------- */

typedef struct stress_kind {
    const char *name; /* NULL: a function */
    brg_status expected, or_else;
    unsigned weight_thread, weight_process;
    bool ends_only_when_asked;
} stress_kind;

static const stress_kind kinds[] = {
    {"noop", BRG_OK, BRG_OK, 30, 40, false},
    {"echo", BRG_OK, BRG_OK, 20, 30, false},
    {"allocate", BRG_OK, BRG_OK, 5, 5, false},
    {"fail", BRG_FAILED, BRG_FAILED, 10, 10, false},
    {"no-such-task", BRG_NOT_FOUND, BRG_NOT_FOUND, 3, 3, false},
    {"spin_politely", BRG_TIMED_OUT, BRG_TIMED_OUT, 3, 2, true},
    {"poll_politely", BRG_TIMED_OUT, BRG_TIMED_OUT, 3, 2, true},
    {"spin", BRG_TIMED_OUT, BRG_TIMED_OUT, 0, 1, true},
    {"abort", BRG_CRASHED, BRG_POISONED, 0, 2, false},
    {"exit", BRG_EXITED, BRG_POISONED, 0, 1, false},
    {NULL, BRG_OK, BRG_OK, 30, 0, false},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

typedef struct stress_round {
    brg_pool *pool;
    brg_isolation isolation;
    bool has_loop;
    atomic_uint accepted, settled, twice; /* `settled` counts the calls of done, `twice` those beyond the first */
    atomic_uint with_done;
    atomic_int submitting;
    atomic_bool closing; /* any task may be cancelled now */
} stress_round;

/* One submitted task; freed by the last of submitter and done. */
typedef struct stress_order {
    stress_round *round;
    const stress_kind *kind;
    brg_task *task;
    bool cancelled, has_clock;
    atomic_int done, holders;
} stress_order;

typedef struct submitter {
    stress_round *round;
    unsigned seed;
    int operations;
    pthread_t thread;
    stress_order *kept[KEPT];
} submitter;

static unsigned pick(unsigned *seed, unsigned below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (unsigned)(((uint64_t)(*seed >> 4) * below) >> 28);
}

static const stress_kind *pick_kind(unsigned *seed, brg_isolation isolation)
{
    unsigned total = 0;
    for (size_t i = 0; i < KINDS; i++)
        total += isolation == BRG_ISOLATION_THREAD ? kinds[i].weight_thread : kinds[i].weight_process;
    unsigned at = pick(seed, total);
    for (size_t i = 0; i < KINDS; i++) {
        unsigned weight = isolation == BRG_ISOLATION_THREAD ? kinds[i].weight_thread : kinds[i].weight_process;
        if (at < weight)
            return &kinds[i];
        at -= weight;
    }
    return &kinds[0];
}

static void order_put(stress_order *order)
{
    if (atomic_fetch_sub(&order->holders, 1) == 1)
        free(order);
}

static void order_done(const brg_result *result, void *user_data)
{
    stress_order *order = user_data;
    stress_round *round = order->round;
    atomic_fetch_add(&round->settled, 1);
    if (atomic_fetch_add(&order->done, 1) != 0)
        atomic_fetch_add(&round->twice, 1);
    MUST(result->state >= BRG_TASK_DONE, "state %d", (int)result->state);
    order_put(order);
}

/* A function that works a little, and tries what a task of the pool must not do. */
static brg_status small_call(brg_context *context, void *argument)
{
    stress_round *round = argument;
    brg_task *child = NULL;
    if (brg_pool_submit_call(round->pool, small_call, round, NULL, &child) == BRG_OK) {
        atomic_fetch_add(&round->accepted, 1);
        brg_status waited = brg_task_wait(child, BRG_FOREVER);
        bool settled = brg_task_result(child) != NULL;
        brg_task_cancel(child); /* else there would be no end of them */
        brg_task_unref(child);
        if (waited != BRG_DEADLOCK && (waited != BRG_OK || !settled))
            return brg_context_fail(context, 1, "waiting for a task of the pool: %s", brg_status_name(waited));
    }
    return BRG_OK;
}

static brg_value *order_input(const stress_kind *kind, unsigned *seed)
{
    if (kind->name == NULL || pick(seed, 4) == 0)
        return NULL;
    brg_value *input = NULL;
    MUST(brg_value_map(&input, NULL, brg_field_int("bytes", pick(seed, 3000)), brg_field_int("code", 3),
                       brg_field_string("text", pick(seed, 2) == 0 ? "short" : NULL)) == BRG_OK,
         "no memory");
    return input;
}

static stress_order *order_submit(submitter *self)
{
    stress_round *round = self->round;
    stress_order *order = calloc(1, sizeof(*order));
    MUST(order != NULL, "no memory");
    order->round = round;
    order->kind = pick_kind(&self->seed, round->isolation);
    bool with_done = round->has_loop && pick(&self->seed, 2) == 0;
    brg_submit_options options = {
        .size = sizeof(options), .user_data = order, .attempts_max = 1 + pick(&self->seed, 3)};
    if (with_done)
        options.done = order_done;
    if (order->kind->ends_only_when_asked)
        options.run_timeout_ns = BRG_MICROSECONDS(200 + pick(&self->seed, 3000));
    order->has_clock = pick(&self->seed, 10) == 0;
    if (order->has_clock)
        *(pick(&self->seed, 2) == 0 ? &options.queue_timeout_ns
                                    : &options.deadline_ns) = BRG_MICROSECONDS(1 + pick(&self->seed, 2000));
    atomic_store(&order->holders, with_done ? 2 : 1);
    brg_value *input = order_input(order->kind, &self->seed);
    /* Before the submit: done may come first. */
    atomic_fetch_add(&round->with_done, with_done);
    brg_status status = order->kind->name == NULL
                            ? brg_pool_submit_call(round->pool, small_call, round, &options, &order->task)
                            : brg_pool_submit(round->pool, order->kind->name, input, &options, &order->task);
    if (status == BRG_OK) {
        atomic_fetch_add(&round->accepted, 1);
        return order;
    }
    MUST(status == BRG_FULL || status == BRG_TIMED_OUT, "submit: %s", brg_status_name(status));
    atomic_fetch_sub(&round->with_done, with_done);
    brg_value_unref(input);
    free(order);
    return NULL;
}

/* Its outcome is one that its kind, its clocks and its cancelling explain: nobody pays for another. */
static void order_check(const stress_order *order)
{
    const brg_result *result = brg_task_result(order->task);
    const char *name = order->kind->name != NULL ? order->kind->name : "function";
    MUST(result != NULL, "%s", name);
    brg_status status = result->status;
    bool explained = status == order->kind->expected || status == order->kind->or_else ||
                     (status == BRG_CANCELLED && (order->cancelled || atomic_load(&order->round->closing))) ||
                     (status == BRG_TIMED_OUT && order->has_clock);
    MUST(explained, "%s: %s in attempt %u: %s", name, brg_status_name(status), result->attempts,
         result->error != NULL ? result->error->message : "");
    MUST((status == BRG_OK) == (result->error == NULL), "%s: %s", name, brg_status_name(status));
    MUST(status != BRG_OK || (result->attempts >= 1 && result->worker_id != 0), "%s: attempt %u", name,
         result->attempts);
}

static void order_finish(stress_order *order, bool must_be_settled)
{
    if (must_be_settled || brg_task_result(order->task) != NULL)
        order_check(order);
    brg_task_unref(order->task);
    order_put(order);
}

static void submitter_step(submitter *self)
{
    unsigned at = pick(&self->seed, KEPT), what = pick(&self->seed, 100);
    stress_order *order = self->kept[at];
    if (order == NULL || what < 60) {
        if (order != NULL)
            order_finish(order, false);
        self->kept[at] = order_submit(self);
    } else if (what < 75) {
        order->cancelled = true;
        brg_status status = brg_task_cancel(order->task);
        MUST(status == BRG_OK || status == BRG_STATE, "%s", brg_status_name(status));
        if (status == BRG_STATE)
            order_check(order);
    } else if (what < 95) {
        brg_status status = brg_task_wait(order->task, BRG_MICROSECONDS(pick(&self->seed, 1000)));
        MUST(status == BRG_OK || status == BRG_TIMED_OUT, "%s", brg_status_name(status));
        if (status == BRG_OK)
            order_check(order);
    } else if (what < 97) {
        brg_status status = brg_pool_wait_idle(self->round->pool, BRG_MICROSECONDS(pick(&self->seed, 500)));
        MUST(status == BRG_OK || status == BRG_TIMED_OUT, "%s", brg_status_name(status));
    } else {
        brg_pool_stats stats = {.size = sizeof(stats)};
        MUST(brg_pool_get_stats(self->round->pool, &stats) == BRG_OK, "stats");
        brg_task_unref(brg_task_ref(order->task));
    }
}

static void *submitter_main(void *argument)
{
    submitter *self = argument;
    for (int i = 0; i < self->operations; i++)
        submitter_step(self);
    atomic_fetch_sub(&self->round->submitting, 1);
    return NULL;
}

/* ---- a round: one pool from its start to its end ----------------------------------------------------------------- */

static void round_run(stress_round *round, brg_loop *loop)
{
    while (atomic_load(&round->submitting) > 0) {
        if (loop == NULL) {
            sched_yield();
            continue;
        }
        struct pollfd poller = {.fd = brg_loop_fd(loop), .events = POLLIN};
        poll(&poller, 1, 10); /* submitters may end without a callback to come */
        brg_loop_dispatch(loop);
    }
}

/* Drain, stop, kill, or destroy what is there; handles outlive the pool. */
static void round_end(stress_round *round, unsigned how)
{
    if (how % 4 != 0)
        atomic_store(&round->closing, true);
    brg_status status = how % 4 == 0   ? brg_pool_drain(round->pool, BOUND)
                        : how % 4 == 1 ? brg_pool_stop(round->pool, BOUND)
                        : how % 4 == 2 ? brg_pool_kill(round->pool, BOUND)
                                       : BRG_OK;
    assert_int_equal(status, BRG_OK);
    if (how % 4 != 3) {
        brg_pool_stats stats = scenario_stats(round->pool);
        assert_int_equal(stats.submitted, atomic_load(&round->accepted));
        assert_int_equal(stats.done + stats.failed + stats.cancelled + stats.timed_out + stats.lost, stats.submitted);
        assert_int_equal(stats.queued, 0);
        assert_int_equal(stats.running, 0);
        assert_int_equal(stats.lost, 0);
        assert_int_equal(stats.workers_start_failed, 0);
        assert_int_equal(atomic_load(&round->settled), atomic_load(&round->with_done)); /* delivered by then */
    }
    brg_pool_destroy(round->pool);
    assert_int_equal(atomic_load(&round->settled), atomic_load(&round->with_done));
    assert_int_equal(atomic_load(&round->twice), 0);
}

static void round_play(brg_isolation isolation, unsigned seed)
{
    brg_loop *loop = NULL;
    stress_round round = {.isolation = isolation, .has_loop = pick(&seed, 3) != 0, .submitting = SUBMITTERS};
    submitter submitters[SUBMITTERS];
    if (round.has_loop)
        assert_int_equal(
            brg_loop_create(&loop, brg_loop_opts(.external = true, .batch_max = 1 + pick(&seed, 200)), NULL), BRG_OK);
    round.pool = scenario_pool(
        isolation,
        brg_pool_opts(.loop = loop, .workers_max = 1 + pick(&seed, 4), .queue_max = 8 + pick(&seed, 200),
                      .admission = pick(&seed, 2) == 0 ? BRG_ADMISSION_REJECT : BRG_ADMISSION_BLOCK,
                      .admission_timeout_ns = BRG_MICROSECONDS(1 + pick(&seed, 2000)),
                      .crash_limit = 1 + pick(&seed, 3), .retry_on = BRG_RETRY_CRASH | BRG_RETRY_FAILED,
                      .no_spin = pick(&seed, 3) == 0, .timing = pick(&seed, 2) == 0,
                      .grace_ns = isolation == BRG_ISOLATION_THREAD ? PATIENT
                                                                    : BRG_MICROSECONDS(1 + pick(&seed, 4000))));
    for (int i = 0; i < SUBMITTERS; i++) {
        submitters[i] = (submitter){.round = &round, .seed = seed + 77u * (unsigned)i};
        submitters[i].operations = isolation == BRG_ISOLATION_THREAD ? OPERATIONS_THREAD : OPERATIONS_PROCESS;
        assert_int_equal(pthread_create(&submitters[i].thread, NULL, submitter_main, &submitters[i]), 0);
    }
    round_run(&round, loop);
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(submitters[i].thread, NULL);
    round_end(&round, pick(&seed, 4));
    for (int i = 0; i < SUBMITTERS; i++)
        for (int k = 0; k < KEPT; k++)
            if (submitters[i].kept[k] != NULL)
                order_finish(submitters[i].kept[k], true);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void everything_at_once(void **state)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        round_play(scenario_isolation(state), base_seed + 1000003u * i);
}

/* ---- workers by the thousand ------------------------------------------------------------------------------------- */

#define BATCH 50

static brg_status short_entry(brg_context *context, void *argument)
{
    brg_value *value = NULL;
    (void)argument;
    brg_status status = brg_value_map(&value, NULL, brg_field_int("n", 0));
    if (status == BRG_OK && (status = brg_context_post(context, value, BRG_FOREVER, NULL)) != BRG_OK)
        brg_value_unref(value);
    return status == BRG_CLOSED ? BRG_OK : status;
}

static void count_exit(brg_worker *worker, const brg_exit *exit, void *user_data)
{
    int *exits = user_data;
    assert_int_equal(exit->status, BRG_OK);
    *exits += 1;
    brg_worker_destroy(worker);
}

/* A batch of workers that end by themselves, are asked to, or are destroyed at once. */
static void batch_play(brg_loop *loop)
{
    int exits = 0, expected = 0;
    for (int i = 0; i < BATCH; i++) {
        brg_worker *worker = NULL;
        brg_error error;
        if (brg_worker_create(&worker,
                              brg_worker_opts(.loop = loop, .entry = short_entry, .on_exit = count_exit,
                                              .user_data = &exits, .grace_ns = PATIENT),
                              &error) != BRG_OK)
            fail_msg("worker: %s", error.message);
        expected += i % 5 != 0;
        if (i % 5 == 0)
            brg_worker_destroy(worker);
        else if (i % 5 == 1)
            brg_worker_terminate(worker);
    }
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(exits, expected);
}

#define PORTIONS 4

/* How much memory that many workers leave behind, in the portion of them that left the least: what is kept for threads
 * that run at once grows in some, a leak in all. */
static long growth_kb(brg_loop *loop, int count)
{
    long least = LONG_MAX;
    for (int i = 0; i < PORTIONS; i++) {
        long before = watch_memory_kb();
        for (int j = 0; j < count / PORTIONS; j += BATCH)
            batch_play(loop);
        long grown = watch_memory_kb() - before;
        least = grown < least ? grown : least;
    }
    return least;
}

static void workers_by_the_thousand(void **state)
{
    (void)state;
    const char *given = getenv("BRIGADE_TEST_WORKERS");
    int count = given != NULL ? atoi(given) : WATCH_SANITIZED ? 1000 : 5000;
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    for (int i = 0; i < 4; i++)
        batch_play(loop);
    int threads = watch_count_threads(), files = scenario_open_files();
    long grown_kb = growth_kb(loop, count);
    assert_true(watch_until_threads(threads));
    assert_true(watch_until_files(files));
    if (!WATCH_SANITIZED && grown_kb > 4096 / PORTIONS)
        fail_msg("%d workers left %ld KiB behind", count / PORTIONS, grown_kb);
    assert_int_equal(brg_workers_lost(), 0);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(everything_at_once),
        cmocka_unit_test(workers_by_the_thousand),
    };
    return cmocka_run_group_tests(tests, seed_print, NULL);
}
