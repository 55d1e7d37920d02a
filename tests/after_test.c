/* SPDX-License-Identifier: MIT */
/* Tasks that run after others: chains, fans, failures on the way, cancels in any order, and races with the end. */
#include "scenario.h"

#include <pthread.h>

#include "watch.h"

#define BOUND SCENARIO_BOUND
#define MANY (WATCH_SANITIZED ? 10000 : 100000)
#define WIDE (WATCH_SANITIZED ? 2000 : 10000)

static brg_pool *pool_of(brg_isolation isolation, uint32_t attempts)
{
    return scenario_pool(isolation, &(brg_pool_options){.size = sizeof(brg_pool_options),
                                                        .queue_max = 4 * MANY,
                                                        .attempts_max = attempts,
                                                        .retry_on = BRG_RETRY_FAILED | BRG_RETRY_CRASH});
}

static brg_task *submit_after(brg_pool *pool, const char *name, brg_task *const *after, size_t count, bool any)
{
    return scenario_submit(pool, name, NULL, brg_submit_opts(.after = after, .after_count = count, .after_any = any));
}

static void expect(brg_task *task, brg_status status)
{
    const brg_result *result = scenario_result(task);
    if (result->status != status)
        fail_msg("%s, not %s: %s", brg_status_name(result->status), brg_status_name(status),
                 result->error != NULL ? result->error->message : "");
}

static void unref_all(brg_task **tasks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        brg_task_unref(tasks[i]);
}

/* ---- one after the other ----------------------------------------------------------------------------------------- */

static void waits_for_the_one_before(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 1);
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_task *tasks[3];
    tasks[0] = scenario_submit(pool, "noop", scenario_gate_input(&gate, true), NULL);
    tasks[1] = submit_after(pool, "noop", &tasks[0], 1, false);
    tasks[2] = submit_after(pool, "noop", &tasks[1], 1, false);
    scenario_gate_reached(&gate);
    scenario_expect(pool, "noop", NULL, BRG_OK); /* others go on */
    assert_int_equal(brg_task_get_state(tasks[1]), BRG_TASK_QUEUED);
    assert_int_equal(scenario_stats(pool).queued, 2);
    scenario_gate_release(&gate);
    expect(tasks[2], BRG_OK);
    assert_int_equal(brg_task_get_state(tasks[0]), BRG_TASK_DONE);
    assert_int_equal(brg_task_get_state(tasks[1]), BRG_TASK_DONE);
    unref_all(tasks, 3);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void failure_cancels_what_follows(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 1);
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_task *tasks[6];
    tasks[0] = scenario_submit(pool, "noop", scenario_gate_input(&gate, true), NULL);
    tasks[1] = submit_after(pool, "fail", &tasks[0], 1, false);
    tasks[2] = submit_after(pool, "noop", tasks, 2, false);
    tasks[3] = submit_after(pool, "noop", &tasks[2], 1, false);
    tasks[4] = submit_after(pool, "noop", &tasks[1], 1, true);
    tasks[5] = submit_after(pool, "noop", &tasks[1], 3, true);
    scenario_gate_reached(&gate);
    scenario_gate_release(&gate);
    expect(tasks[1], BRG_FAILED);
    expect(tasks[2], BRG_CANCELLED);
    assert_non_null(strstr(brg_task_result(tasks[2])->error->message, brg_status_name(BRG_FAILED)));
    assert_int_equal(brg_task_result(tasks[2])->attempts, 0);
    expect(tasks[3], BRG_CANCELLED);
    assert_non_null(strstr(brg_task_result(tasks[3])->error->message, brg_status_name(BRG_CANCELLED)));
    expect(tasks[4], BRG_OK);
    expect(tasks[5], BRG_OK);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
    brg_pool_stats stats = scenario_stats(pool);
    assert_int_equal(stats.cancelled, 2);
    assert_int_equal(stats.done, 3);
    assert_int_equal(stats.queued, 0);
    unref_all(tasks, 6);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void after_what_has_settled(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 1);
    brg_task *tasks[5];
    tasks[0] = scenario_submit(pool, "noop", NULL, NULL);
    tasks[1] = scenario_submit(pool, "fail", NULL, NULL);
    expect(tasks[0], BRG_OK);
    expect(tasks[1], BRG_FAILED);
    tasks[2] = submit_after(pool, "noop", &tasks[0], 1, false);
    tasks[3] = submit_after(pool, "noop", tasks, 2, false);
    tasks[4] = submit_after(pool, "noop", tasks, 2, true);
    expect(tasks[2], BRG_OK);
    expect(tasks[3], BRG_CANCELLED);
    expect(tasks[4], BRG_OK);
    unref_all(tasks, 5);
    brg_pool_destroy(pool);
}

/* It is the last attempt that counts. */
static void waits_for_the_last_attempt(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 3);
    brg_task *tasks[2];
    tasks[0] = scenario_submit(pool, "flaky", scenario_int("until", 3), NULL);
    tasks[1] = submit_after(pool, "noop", &tasks[0], 1, false);
    expect(tasks[1], BRG_OK);
    assert_int_equal(brg_task_result(tasks[0])->status, BRG_OK);
    assert_int_equal(brg_task_result(tasks[0])->attempts, 3);
    unref_all(tasks, 2);
    brg_pool_destroy(pool);
}

static void one_that_waits_is_cancelled(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 1);
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_task *tasks[6];
    tasks[0] = scenario_submit(pool, "noop", scenario_gate_input(&gate, true), NULL);
    tasks[1] = submit_after(pool, "noop", &tasks[0], 1, false);
    tasks[2] = submit_after(pool, "noop", tasks, 2, false);
    tasks[3] = submit_after(pool, "noop", tasks, 3, false);
    tasks[4] = submit_after(pool, "noop", &tasks[2], 1, true);
    tasks[5] = scenario_submit(pool, "noop", NULL,
                               brg_submit_opts(.after = tasks, .after_count = 1, .queue_timeout_ns = 1));
    scenario_gate_reached(&gate);
    expect(tasks[5], BRG_TIMED_OUT);
    assert_int_equal(brg_task_cancel(tasks[3]), BRG_OK); /* the last, then one in the middle */
    assert_int_equal(brg_task_cancel(tasks[3]), BRG_STATE);
    assert_int_equal(brg_task_cancel(tasks[2]), BRG_OK);
    expect(tasks[3], BRG_CANCELLED);
    expect(tasks[4], BRG_OK);
    scenario_gate_release(&gate);
    expect(tasks[1], BRG_OK);
    unref_all(tasks, 6);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void running_one_is_cancelled(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 1);
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_task *tasks[3];
    tasks[0] = scenario_submit(pool, "spin_politely", scenario_gate_input(&gate, false), NULL);
    tasks[1] = submit_after(pool, "noop", &tasks[0], 1, false);
    tasks[2] = submit_after(pool, "noop", &tasks[0], 1, true);
    scenario_gate_reached(&gate);
    assert_int_equal(brg_task_cancel(tasks[0]), BRG_OK);
    expect(tasks[1], BRG_CANCELLED);
    expect(tasks[2], BRG_OK);
    unref_all(tasks, 3);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void refuses_strangers(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 1), *other = pool_of(scenario_isolation(state), 1);
    brg_task *tasks[2] = {scenario_submit(other, "noop", NULL, NULL), NULL}, *none = NULL;
    brg_error error;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(brg_pool_submit(pool, "noop", NULL,
                                         brg_submit_opts(.after = &tasks[i], .after_count = 1, .error = &error), &none),
                         BRG_INVALID);
        assert_non_null(strstr(error.message, "after[0]"));
    }
    assert_int_equal(brg_pool_submit(pool, "noop", NULL, brg_submit_opts(.after_count = 1), &none), BRG_INVALID);
    assert_null(none);
    brg_task_unref(tasks[0]);
    brg_pool_destroy(other);
    brg_pool_destroy(pool);
}

/* ---- many -------------------------------------------------------------------------------------------------------- */

static size_t many_of(void **state) { return scenario_isolation(state) == BRG_ISOLATION_THREAD ? MANY : MANY / 10; }

static brg_task **tasks_new(size_t count)
{
    brg_task **tasks = calloc(count, sizeof(*tasks));
    assert_non_null(tasks);
    return tasks;
}

static void chain_run(void **state, bool cancel)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 1);
    size_t count = many_of(state);
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_task **tasks = tasks_new(count);
    tasks[0] = scenario_submit(pool, "spin_politely", scenario_gate_input(&gate, false), NULL);
    tasks[1] = submit_after(pool, "noop", &tasks[0], 1, !cancel);
    for (size_t i = 2; i < count; i++)
        tasks[i] = submit_after(pool, "noop", &tasks[i - 1], 1, false);
    scenario_gate_reached(&gate);
    brg_task_cancel(tasks[0]);
    expect(tasks[count - 1], cancel ? BRG_CANCELLED : BRG_OK);
    for (size_t i = 1; i < count; i++)
        assert_int_equal(brg_task_get_state(tasks[i]), cancel ? BRG_TASK_CANCELLED : BRG_TASK_DONE);
    unref_all(tasks, count);
    free(tasks);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void long_chain_runs(void **state) { chain_run(state, false); }
static void long_chain_is_cancelled(void **state) { chain_run(state, true); }

/* One before many, many before one. */
static void fan_run(void **state, bool cancel)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 1);
    size_t count = many_of(state), wide = count < WIDE ? count : WIDE;
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_task **tasks = tasks_new(count);
    tasks[0] = scenario_submit(pool, "spin_politely", scenario_gate_input(&gate, false), NULL);
    for (size_t i = 1; i < count; i++)
        tasks[i] = submit_after(pool, "noop", &tasks[0], 1, !cancel);
    brg_task *last = submit_after(pool, "noop", tasks, wide, true);
    brg_task *strict = submit_after(pool, "noop", tasks, wide, false);
    scenario_gate_reached(&gate);
    brg_task_cancel(tasks[0]);
    expect(last, BRG_OK);
    expect(strict, BRG_CANCELLED); /* the first was */
    for (size_t i = 1; i < count; i++) {
        expect(tasks[i], cancel ? BRG_CANCELLED : BRG_OK);
        brg_task_unref(tasks[i]);
    }
    brg_task_unref(tasks[0]);
    brg_task_unref(last);
    brg_task_unref(strict);
    free(tasks);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void wide_fan_runs(void **state) { fan_run(state, false); }
static void wide_fan_is_cancelled(void **state) { fan_run(state, true); }

/* ---- the end of the pool ----------------------------------------------------------------------------------------- */

static void count_status(const brg_result *result, void *user_data)
{
    unsigned *counts = user_data;
    counts[result->status == BRG_CANCELLED]++;
}

static void destroy_with_some_that_wait(void **state)
{
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   &(brg_pool_options){.size = sizeof(brg_pool_options), .loop = loop});
    unsigned counts[2] = {0, 0};
    brg_task *before = scenario_submit(pool, "poll_politely", NULL,
                                       brg_submit_opts(.done = count_status, .user_data = counts));
    for (int i = 0; i < 200; i++) {
        brg_task *task = scenario_submit(pool, "noop", NULL,
                                         brg_submit_opts(.after = &before, .after_count = 1, .after_any = i % 2 == 0,
                                                         .done = count_status, .user_data = counts));
        brg_task_unref(before);
        before = task;
    }
    brg_task_unref(before);
    brg_pool_destroy(pool);
    assert_int_equal(counts[1], 201);
    assert_int_equal(counts[0], 0);
    brg_loop_destroy(loop);
}

static void drain_finishes_what_waits(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 1);
    brg_task *tasks[20];
    tasks[0] = scenario_submit(pool, "noop", NULL, NULL);
    for (size_t i = 1; i < 20; i++)
        tasks[i] = submit_after(pool, "noop", tasks, i, false);
    assert_int_equal(brg_pool_drain(pool, BOUND), BRG_OK);
    for (size_t i = 0; i < 20; i++)
        expect(tasks[i], BRG_OK);
    unref_all(tasks, 20);
    brg_pool_destroy(pool);
}

/* ---- races with the end ------------------------------------------------------------------------------------------ */

#define RACERS 3
#define ROUNDS (WATCH_SANITIZED ? 1500 : 15000)
#define KEPT 8

typedef struct race {
    brg_pool *pool;
    unsigned seed, ran_early;
    pthread_t thread;
} race;

/* What a task leaves is not atomic: who runs after it sees it, or the race detector sees that it need not. */
typedef struct race_step {
    int value;
    bool fails;
    const struct race_step *before[2];
    unsigned *ran_early;
} race_step;

static brg_status race_call(brg_context *context, void *argument)
{
    race_step *step = argument;
    for (int i = 0; i < 2; i++)
        if (step->before[i] != NULL && step->before[i]->value != 1)
            ++*step->ran_early;
    step->value = 1;
    return step->fails ? brg_context_fail(context, 1, "as asked") : BRG_OK;
}

static unsigned pick(unsigned *seed, unsigned below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (unsigned)(((uint64_t)(*seed >> 4) * below) >> 28);
}

/* A window of KEPT tasks slides on: each new one runs after two of them, most of which end about now. */
static void *race_run(void *argument)
{
    race *self = argument;
    race_step *steps = calloc(ROUNDS, sizeof(*steps));
    brg_task *kept[KEPT] = {NULL};
    const race_step *kept_steps[KEPT] = {NULL};
    for (unsigned i = 0; i < ROUNDS; i++) {
        brg_task *after[2];
        size_t count = 0;
        race_step *step = &steps[i];
        *step = (race_step){.fails = pick(&self->seed, 8) == 0, .ran_early = &self->ran_early};
        bool any = pick(&self->seed, 2) == 0;
        for (int j = 0; j < 2; j++) {
            unsigned at = pick(&self->seed, KEPT);
            if (kept[at] == NULL)
                continue;
            if (!any) /* one that was cancelled has left nothing */
                step->before[count] = kept_steps[at];
            after[count++] = kept[at];
        }
        brg_task *task = NULL;
        if (brg_pool_submit_call(self->pool, race_call, step,
                                 brg_submit_opts(.after = after, .after_count = count, .after_any = any),
                                 &task) != BRG_OK)
            abort();
        unsigned at = pick(&self->seed, KEPT);
        if (kept[at] != NULL && pick(&self->seed, 4) == 0)
            brg_task_cancel(kept[at]);
        brg_task_unref(kept[at]);
        kept[at] = task;
        kept_steps[at] = step;
        if (pick(&self->seed, 16) == 0 && brg_task_wait(task, BOUND) != BRG_OK)
            abort();
    }
    for (int i = 0; i < KEPT; i++) {
        if (kept[i] != NULL && brg_task_wait(kept[i], BOUND) != BRG_OK)
            abort();
        brg_task_unref(kept[i]);
    }
    if (brg_pool_wait_idle(self->pool, BOUND) != BRG_OK)
        abort();
    free(steps);
    return NULL;
}

static void race_with_ends(void **state)
{
    (void)state;
    brg_pool *pool = pool_of(BRG_ISOLATION_THREAD, 1);
    race races[RACERS];
    for (unsigned i = 0; i < RACERS; i++) {
        races[i] = (race){.pool = pool, .seed = 77 + i};
        assert_int_equal(pthread_create(&races[i].thread, NULL, race_run, &races[i]), 0);
    }
    for (unsigned i = 0; i < RACERS; i++) {
        pthread_join(races[i].thread, NULL);
        assert_int_equal(races[i].ran_early, 0);
    }
    brg_pool_stats stats = scenario_stats(pool);
    assert_int_equal(stats.submitted, RACERS * ROUNDS);
    assert_int_equal(stats.done + stats.failed + stats.cancelled, RACERS * ROUNDS);
    brg_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(waits_for_the_one_before),    SCENARIO_BOTH(failure_cancels_what_follows),
        SCENARIO_BOTH(after_what_has_settled),      SCENARIO_BOTH(waits_for_the_last_attempt),
        SCENARIO_BOTH(one_that_waits_is_cancelled), SCENARIO_BOTH(running_one_is_cancelled),
        SCENARIO_BOTH(refuses_strangers),           SCENARIO_BOTH(long_chain_runs),
        SCENARIO_BOTH(long_chain_is_cancelled),     SCENARIO_BOTH(wide_fan_runs),
        SCENARIO_BOTH(wide_fan_is_cancelled),       SCENARIO_BOTH(destroy_with_some_that_wait),
        SCENARIO_BOTH(drain_finishes_what_waits),   cmocka_unit_test(race_with_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
