/* SPDX-License-Identifier: MIT */
/* What a pool tells its owner on the loop: full and drained, in turn and true; workers, each start before its end. */
#include "crowd.h"
#include "watch.h"

#include <pthread.h>
#include <stdatomic.h>

static const char *events_module(void)
{
    static char path[4096];
    const char *directory = getenv("TEST_MODULE_DIR");
    snprintf(path, sizeof(path), "%s/configure.so", directory != NULL ? directory : ".");
    return path;
}

#define WORKERS_MAX 256

typedef struct story {
    brg_loop *loop;
    brg_pool *pool;
    char levels[64]; /* F and D, the first of them */
    uint64_t waiting[64];
    uint32_t level_count;
    bool out_of_turn;
    uint64_t started[WORKERS_MAX], ended[WORKERS_MAX];
    uint32_t started_count, ended_count;
    brg_exit exit; /* the last */
    bool is_over;  /* destroy returned */
    const crowd *here;
    pthread_t thread;
} story;

static void note_level(story *self, brg_pool *pool, char level, uint64_t waiting)
{
    assert_false(self->is_over);
    assert_true(pthread_equal(self->thread, pthread_self()));
    char expected = self->level_count % 2 == 0 ? 'F' : 'D';
    self->out_of_turn = self->out_of_turn || level != expected;
    if (self->level_count < sizeof(self->levels) - 1) {
        self->levels[self->level_count] = level;
        self->waiting[self->level_count] = waiting;
    }
    self->level_count++;
    self->pool = pool;
}

static void note_full(brg_pool *pool, uint64_t waiting, void *user_data) { note_level(user_data, pool, 'F', waiting); }
static void note_drain(brg_pool *pool, uint64_t waiting, void *user_data) { note_level(user_data, pool, 'D', waiting); }

static void note_start(brg_pool *pool, uint64_t worker, const brg_exit *exit, void *user_data)
{
    story *self = user_data;
    assert_false(self->is_over);
    assert_non_null(pool);
    assert_null(exit);
    for (uint32_t i = 0; i < self->started_count; i++)
        assert_int_not_equal(self->started[i], worker);
    self->started[self->started_count++] = worker;
}

static void note_end(brg_pool *pool, uint64_t worker, const brg_exit *exit, void *user_data)
{
    story *self = user_data;
    assert_false(self->is_over);
    assert_non_null(pool);
    assert_non_null(exit);
    bool started = false;
    for (uint32_t i = 0; i < self->started_count; i++)
        started = started || self->started[i] == worker;
    assert_true(started);
    for (uint32_t i = 0; i < self->ended_count; i++)
        assert_int_not_equal(self->ended[i], worker);
    self->ended[self->ended_count++] = worker;
    self->exit = *exit;
}

static void begin(story *self, void **state, const brg_pool_options *options)
{
    memset(self, 0, sizeof(*self));
    self->thread = pthread_self();
    assert_int_equal(brg_loop_create(&self->loop, brg_loop_opts(.external = true), NULL), BRG_OK);
    brg_pool_options complete = *options;
    complete.loop = self->loop;
    complete.module = events_module();
    complete.user_data = self;
    self->pool = scenario_pool(scenario_isolation(state), &complete);
}

/* A pool whose worker is held, so that one more task makes its queue full. */
static brg_task *begin_held(story *self, void **state, crowd *here)
{
    crowd_open(here);
    begin(self, state, brg_pool_opts(.workers_max = 1, .queue_high = 1, .on_full = note_full, .on_drain = note_drain));
    brg_task *held = scenario_submit(self->pool, "show", crowd_input(here), NULL);
    crowd_wait(here, 1);
    return held;
}

static void finish(story *self)
{
    brg_pool_destroy(self->pool);
    self->is_over = true;
    (void)brg_loop_dispatch(self->loop);
    assert_int_equal(brg_loop_destroy(self->loop), BRG_OK);
    assert_false(self->out_of_turn);
}

/* ---- full and drained --------------------------------------------------------------------------------------------- */

static void full_and_drained_in_turn(void **state)
{
    story self;
    crowd here;
    crowd_open(&here);
    begin(
        &self, state,
        brg_pool_opts(.workers_max = 1, .queue_high = 3, .queue_low = 1, .on_full = note_full, .on_drain = note_drain));
    brg_task *held = scenario_submit(self.pool, "show", crowd_input(&here), NULL), *tasks[4];
    crowd_wait(&here, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(brg_loop_dispatch(self.loop), 0);
        assert_false(brg_pool_is_full(self.pool));
        tasks[i] = scenario_submit(self.pool, "show", NULL, NULL);
    }
    assert_true(brg_pool_is_full(self.pool));
    assert_int_equal(self.level_count, 0); /* on the loop, not inside submit */
    (void)brg_loop_dispatch(self.loop);
    assert_string_equal(self.levels, "F");
    assert_int_equal(self.waiting[0], 3);
    assert_int_equal(brg_loop_pending(self.loop), 0); /* it keeps no loop alive */

    assert_int_equal(brg_task_cancel(tasks[0]), BRG_OK); /* two left: neither */
    assert_true(brg_pool_is_full(self.pool));
    assert_int_equal(brg_task_cancel(tasks[1]), BRG_OK);
    assert_false(brg_pool_is_full(self.pool));
    brg_task_unref(tasks[0]);
    brg_task_unref(tasks[1]);
    tasks[0] = scenario_submit(self.pool, "show", NULL, NULL);
    tasks[1] = scenario_submit(self.pool, "show", NULL, NULL);
    assert_true(brg_pool_is_full(self.pool));
    (void)brg_loop_dispatch(self.loop); /* it was drained for a while, and is not any more: nothing to tell */
    assert_string_equal(self.levels, "F");

    assert_int_equal(brg_task_cancel(tasks[0]), BRG_OK);
    assert_int_equal(brg_task_cancel(tasks[1]), BRG_OK);
    (void)brg_loop_dispatch(self.loop);
    assert_string_equal(self.levels, "FD");
    assert_int_equal(self.waiting[1], 1);
    crowd_release(&here, 1);
    assert_int_equal(scenario_result(tasks[2])->status, BRG_OK);
    (void)brg_loop_dispatch(self.loop);
    assert_string_equal(self.levels, "FD");
    for (int i = 0; i < 3; i++)
        brg_task_unref(tasks[i]);
    brg_task_unref(held);
    finish(&self);
    crowd_close(&here);
}

/* A level that came back before the loop turned is not told; but who asked and heard that it is full is told the
 * drain. */
static void who_saw_it_full_hears_of_the_drain(void **state)
{
    story self;
    crowd here;
    brg_task *held = begin_held(&self, state, &here);
    for (int i = 0; i < 2; i++) {
        brg_task *task = scenario_submit(self.pool, "show", NULL, NULL);
        if (i == 1)
            assert_true(brg_pool_is_full(self.pool));
        assert_int_equal(brg_task_cancel(task), BRG_OK);
        assert_false(brg_pool_is_full(self.pool));
        brg_task_unref(task);
        assert_int_equal(brg_loop_pending(self.loop), 1); /* brg_loop_run would come to it */
        (void)brg_loop_dispatch(self.loop);
        assert_int_equal(brg_loop_pending(self.loop), 0);
        assert_string_equal(self.levels, i == 1 ? "D" : "");
    }
    self.out_of_turn = false;
    crowd_release(&here, 1);
    brg_task_unref(held);
    finish(&self);
    crowd_close(&here);
}

/* What is left when the pool goes is told inside destroy, and nothing after it. */
static void the_last_one_is_told_in_destroy(void **state)
{
    story self;
    crowd here;
    brg_task *held = begin_held(&self, state, &here);
    brg_task *task = scenario_submit(self.pool, "show", NULL, NULL);
    assert_int_equal(self.level_count, 0);
    (void)brg_loop_dispatch(self.loop);
    assert_string_equal(self.levels, "F");
    crowd_release(&here, 1);
    finish(&self);
    assert_string_equal(self.levels, "FD");
    assert_int_equal(self.waiting[1], 0);
    brg_task_unref(held);
    brg_task_unref(task);
    crowd_close(&here);
}

/* An event may do anything to its pool but destroy it. */
static void act_when_full(brg_pool *pool, uint64_t waiting, void *user_data)
{
    story *self = user_data;
    note_full(pool, waiting, self);
    assert_int_equal(brg_pool_configure(pool, scenario_int("n", 1), NULL), BRG_OK);
    assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.queue_max = 100), NULL), BRG_OK);
    assert_int_equal(brg_pool_submit(pool, "show", NULL, NULL, NULL), BRG_OK);
    assert_int_equal(scenario_stats(pool).queued, waiting + 1);
    crowd_release(self->here, 1);
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    (void)brg_loop_dispatch(self->loop); /* an event inside an event */
    assert_string_equal(self->levels, "FD");
}

static void an_event_may_use_the_pool(void **state)
{
    story self;
    crowd here;
    crowd_open(&here);
    begin(&self, state,
          brg_pool_opts(.workers_max = 1, .queue_high = 2, .queue_low = 1, .on_full = act_when_full,
                        .on_drain = note_drain));
    self.here = &here;
    assert_int_equal(brg_pool_submit(self.pool, "show", crowd_input(&here), NULL, NULL), BRG_OK);
    crowd_wait(&here, 1);
    assert_int_equal(brg_pool_submit(self.pool, "show", NULL, NULL, NULL), BRG_OK);
    assert_int_equal(brg_pool_submit(self.pool, "show", NULL, NULL, NULL), BRG_OK);
    (void)brg_loop_dispatch(self.loop);
    assert_string_equal(self.levels, "FD");
    finish(&self);
    crowd_close(&here);
}

#define SUBMITTERS 3
#define SUBMITS 4000

static _Atomic uint32_t rejected;

static void *hammer(void *argument)
{
    for (int i = 0; i < SUBMITS; i++)
        if (brg_pool_submit(argument, "show", NULL, NULL, NULL) != BRG_OK)
            atomic_fetch_add(&rejected, 1);
    return NULL;
}

/* Threads fill the queue while the loop turns: the events alternate, whatever happens in between. */
static void in_turn_under_load(void **state)
{
    story self;
    pthread_t threads[SUBMITTERS];
    crowd here;
    crowd_open(&here);
    atomic_store(&rejected, 0);
    begin(&self, state,
          brg_pool_opts(.workers_max = 2, .queue_max = 64, .queue_high = 8, .queue_low = 2, .on_full = note_full,
                        .on_drain = note_drain));
    for (int i = 0; i < 2; i++)
        assert_int_equal(brg_pool_submit(self.pool, "show", crowd_input(&here), NULL, NULL), BRG_OK);
    crowd_wait(&here, 2);
    for (int i = 0; i < SUBMITTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, self.pool), 0);
    while (self.level_count == 0)
        (void)brg_loop_dispatch(self.loop);
    crowd_release(&here, 2);
    brg_pool_stats stats;
    do {
        (void)brg_loop_dispatch(self.loop);
        stats = scenario_stats(self.pool);
    } while (stats.submitted + atomic_load(&rejected) < 2 + SUBMITTERS * SUBMITS);
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(brg_pool_wait_idle(self.pool, SCENARIO_BOUND), BRG_OK);
    assert_false(brg_pool_is_full(self.pool));
    (void)brg_loop_dispatch(self.loop);
    assert_int_equal(self.level_count % 2, 0); /* drained at last */
    finish(&self);
    crowd_close(&here);
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

#define WORKERS 4

static bool all_started(void *argument)
{
    story *self = argument;
    (void)brg_loop_dispatch(self->loop);
    return self->started_count == WORKERS;
}

static void workers_come_and_go(void **state)
{
    story self;
    begin(&self, state,
          brg_pool_opts(.workers_max = WORKERS, .on_worker_start = note_start, .on_worker_end = note_end));
    assert_true(watch_until(all_started, &self));
    assert_int_equal(self.ended_count, 0);
    finish(&self);
    assert_int_equal(self.started_count, WORKERS);
    assert_int_equal(self.ended_count, WORKERS);
    assert_int_equal(self.exit.status, BRG_OK);
    assert_true(self.exit.requested);
}

/* Many workers of one place come and go before the loop turns: none is left out. */
static void none_is_left_out(void **state)
{
    enum { COUNT = 60 };
    story self;
    brg_task *tasks[COUNT];
    begin(
        &self, state,
        brg_pool_opts(.workers_max = 2, .recycle_tasks = 1, .on_worker_start = note_start, .on_worker_end = note_end));
    for (int i = 0; i < COUNT; i++)
        tasks[i] = scenario_submit(self.pool, "show", NULL, NULL);
    for (int i = 0; i < COUNT; i++) {
        const brg_result *result = scenario_result(tasks[i]);
        assert_int_equal(result->status, BRG_OK);
        assert_int_equal(brg_view_get_int(brg_value_root(result->output), "nth", 0), 1);
        brg_task_unref(tasks[i]);
    }
    assert_int_equal(self.started_count, 0);
    finish(&self);
    assert_true(self.started_count >= COUNT);
    assert_int_equal(self.ended_count, self.started_count);
}

static bool one_ended(void *argument)
{
    story *self = argument;
    (void)brg_loop_dispatch(self->loop);
    return self->ended_count == 1;
}

static void an_end_says_why(void **state)
{
    story self;
    begin(&self, state, brg_pool_opts(.workers_max = 1, .on_worker_start = note_start, .on_worker_end = note_end));
    scenario_expect(self.pool, "crash", NULL, BRG_CRASHED);
    assert_true(watch_until(one_ended, &self));
    assert_int_equal(self.exit.status, BRG_CRASHED);
    assert_int_equal(self.exit.signal, 6);
    assert_false(self.exit.requested);
    finish(&self);
}

/* A worker that never was online is told of neither way. */
static void a_failed_start_is_no_start(void **state)
{
    story self;
    brg_task *task = NULL;
    begin(&self, state,
          brg_pool_opts(.workers_max = 2, .restart_min_ns = 1, .breaker_failures = 4, .prewarm_task = "nowhere",
                        .on_worker_start = note_start, .on_worker_end = note_end));
    while (brg_pool_submit(self.pool, "show", NULL, NULL, &task) == BRG_OK) {
        assert_int_equal(scenario_result(task)->status, BRG_UNAVAILABLE);
        brg_task_unref(task);
    }
    finish(&self);
    assert_int_equal(self.started_count, 0);
    assert_int_equal(self.ended_count, 0);
}

static void events_need_a_loop(void **state)
{
    brg_pool *pool = NULL;
    brg_error error;
    assert_int_equal(brg_pool_create(&pool,
                                     brg_pool_opts(.isolation = scenario_isolation(state), .module = events_module(),
                                                   .on_worker_end = note_end),
                                     &error),
                     BRG_INVALID);
    assert_non_null(strstr(error.message, "loop"));
    assert_null(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(full_and_drained_in_turn),
        SCENARIO_BOTH(who_saw_it_full_hears_of_the_drain),
        SCENARIO_BOTH(the_last_one_is_told_in_destroy),
        SCENARIO_BOTH(an_event_may_use_the_pool),
        SCENARIO_BOTH(in_turn_under_load),
        SCENARIO_BOTH(workers_come_and_go),
        SCENARIO_BOTH(none_is_left_out),
        SCENARIO_PROCESS(an_end_says_why),
        SCENARIO_BOTH(a_failed_start_is_no_start),
        SCENARIO_BOTH(events_need_a_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
