/* SPDX-License-Identifier: MIT */
/* How flows over arrays end: by a token, with their pool, on the loop. */
#include "marks.h"
#include "plug.h"

#include <stdio.h>

#define BOUND SCENARIO_BOUND

/* ---- what ends them ---------------------------------------------------------------------------------------------- */

static void a_token_stops_it(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2));
    for (int i = 0; i < 20; i++) {
        marks m = marks_new(100000);
        brg_error error;
        assert_int_equal(brg_token_create(&m.token, &error), BRG_OK);
        m.cancels_at = (size_t)i * 1000;
        assert_int_equal(brg_parallel_for(pool, m.count, marks_range, &m,
                                          brg_flow_opts(.token = m.token, .chunk_max = 100, .workers_max = 1), &error),
                         BRG_CANCELLED);
        assert_int_equal(error.status, BRG_CANCELLED);
        assert_in_range(marks_end(&m), m.cancels_at + 1, m.cancels_at + 100);
        assert_int_equal(brg_parallel_for(pool, m.count, marks_range, &m, brg_flow_opts(.token = m.token), &error),
                         BRG_CANCELLED); /* nothing begins */
        brg_token_unref(m.token);
        marks_free(&m);
    }
    brg_pool_destroy(pool);
}

typedef struct calling {
    brg_pool *pool;
    marks *marks;
    brg_token *token;
    brg_status status;
    brg_error error;
} calling;

static brg_status call_from_another(brg_context *context, void *argument)
{
    calling *c = argument;
    (void)context;
    c->status = brg_parallel_for(c->pool, c->marks->count, marks_range, c->marks, brg_flow_opts(.token = c->token),
                                 &c->error);
    return BRG_OK;
}

/* Nobody is free to run any of it: it returns all the same, and what waits of it goes. */
static void a_token_stops_what_has_not_begun(void **state)
{
    (void)state;
    plug p = {0};
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1)),
             *other = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    plug_put(&p, pool);
    marks m = marks_new(100);
    calling c = {.pool = pool, .marks = &m};
    assert_int_equal(brg_token_create(&c.token, NULL), BRG_OK);
    brg_task *task = NULL;
    assert_int_equal(brg_pool_submit_call(other, call_from_another, &c, NULL, &task), BRG_OK);
    brg_token_cancel(c.token);
    assert_int_equal(brg_task_wait(task, BOUND), BRG_OK);
    assert_int_equal(c.status, BRG_CANCELLED);
    assert_int_equal(marks_end(&m), 0);
    plug_pull(&p);
    brg_task_unref(task);
    brg_token_unref(c.token);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
    marks_free(&m);
    brg_pool_destroy(pool);
    brg_pool_destroy(other);
}

static void stopping_the_pool_ends_it(void **state)
{
    (void)state;
    for (int kill = 0; kill < 2; kill++) {
        plug p = {0};
        brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1, .grace_ns = BRG_FOREVER));
        brg_pool *other = scenario_function_pool(brg_pool_opts(.workers_max = 1));
        plug_put(&p, pool);
        marks m = marks_new(1000);
        calling c = {.pool = pool, .marks = &m};
        brg_task *task = NULL;
        assert_int_equal(brg_pool_submit_call(other, call_from_another, &c, NULL, &task), BRG_OK);
        (void)(kill ? brg_pool_kill(pool, 0) : brg_pool_stop(pool, 0)); /* before or after it came */
        assert_int_equal(brg_task_wait(task, BOUND), BRG_OK);
        assert_true(c.status == BRG_CANCELLED || c.status == BRG_CLOSED);
        assert_int_equal(c.error.status, c.status);
        assert_int_equal(marks_end(&m), 0);
        plug_pull(&p);
        brg_task_unref(task);
        brg_pool_destroy(pool);
        brg_pool_destroy(other);
        marks_free(&m);
    }
}

static brg_status until_asked(brg_context *context, size_t first, size_t end, void *state)
{
    plug *p = state;
    (void)first, (void)end;
    __atomic_fetch_add(&p->xbegan, 1, __ATOMIC_ACQ_REL);
    while (!brg_context_cancelled(context))
        sched_yield();
    return BRG_OK;
}

static brg_status call_until_asked(brg_context *context, void *argument)
{
    calling *c = argument;
    (void)context;
    c->status = brg_parallel_for(c->pool, 1000, until_asked, c->marks, NULL, &c->error);
    return BRG_OK;
}

static void killing_the_pool_ends_what_runs(void **state)
{
    (void)state;
    plug p = {0};
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2, .grace_ns = BRG_FOREVER));
    brg_pool *other = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    calling c = {.pool = pool, .marks = (void *)&p};
    brg_task *task = NULL;
    assert_int_equal(brg_pool_submit_call(other, call_until_asked, &c, NULL, &task), BRG_OK);
    plug_wait(&p, 1);
    assert_int_equal(brg_pool_kill(pool, BOUND), BRG_OK);
    assert_int_equal(brg_task_wait(task, BOUND), BRG_OK);
    assert_int_equal(c.status, BRG_CANCELLED);
    brg_task_unref(task);
    brg_pool_destroy(pool);
    brg_pool_destroy(other);
}

static brg_status deaf_range(brg_context *context, size_t first, size_t end, void *state)
{
    (void)first, (void)end;
    return plug_task(context, state);
}

static brg_status call_deaf(brg_context *context, void *argument)
{
    calling *c = argument;
    (void)context;
    c->status = brg_parallel_for(c->pool, 1000, deaf_range, c->marks, NULL, &c->error);
    return BRG_OK;
}

/* Its threads do not listen, and are given up: the call returns, and what comes back later touches nothing. */
static void abandoned_threads_do_not_hold_it_up(void **state)
{
    (void)state;
    static plug p; /* the threads may look at it once more after they are counted out */
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2, .grace_ns = 1));
    brg_pool *other = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    calling c = {.pool = pool, .marks = (void *)&p};
    brg_task *task = NULL;
    assert_int_equal(brg_pool_submit_call(other, call_deaf, &c, NULL, &task), BRG_OK);
    plug_wait(&p, 1);
    assert_int_equal(brg_pool_kill(pool, BOUND), BRG_OK);
    assert_int_equal(brg_task_wait(task, BOUND), BRG_OK);
    assert_true(c.status == BRG_CANCELLED || c.status == BRG_LOST);
    brg_pool_destroy(pool);
    assert_true(brg_workers_lost() != 0);
    plug_pull(&p);
    while (brg_workers_lost() != 0)
        sched_yield();
    brg_task_unref(task);
    brg_pool_destroy(other);
}

/* ---- with a loop ------------------------------------------------------------------------------------------------- */

typedef struct told {
    uint32_t count;
    brg_status status;
    brg_task_state state;
    bool has_error;
} told;

static void on_done(const brg_result *result, void *user_data)
{
    told *t = user_data;
    t->count++;
    t->status = result->status;
    t->state = result->state;
    t->has_error = result->error != NULL;
}

static void the_loop_is_told(void **state)
{
    (void)state;
    enum { CALLS = 20 };
    brg_loop *loop = NULL;
    brg_error error;
    assert_int_equal(brg_loop_create(&loop, NULL, &error), BRG_OK);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2, .loop = loop));
    marks all[CALLS];
    told t[CALLS] = {{0}};
    for (int i = 0; i < CALLS; i++) {
        all[i] = marks_new((size_t)i * 1000);
        all[i].fails_at = i % 5 == 4 ? (size_t)i * 500 : SIZE_MAX;
        assert_int_equal(brg_parallel_for(pool, all[i].count, marks_range, &all[i],
                                          brg_flow_opts(.done = on_done, .user_data = &t[i]), &error),
                         BRG_OK);
    }
    assert_int_equal(brg_pool_drain(pool, BOUND), BRG_OK);
    for (int i = 0; i < CALLS; i++) {
        bool fails = i % 5 == 4;
        assert_int_equal(t[i].count, 1);
        assert_int_equal(t[i].status, fails ? BRG_FAILED : BRG_OK);
        assert_int_equal(t[i].state, fails ? BRG_TASK_FAILED : BRG_TASK_DONE);
        assert_int_equal(t[i].has_error, fails);
        size_t ran = marks_end(&all[i]);
        assert_true(fails || ran == all[i].count);
        marks_free(&all[i]);
    }
    brg_pool_destroy(pool);
    brg_loop_destroy(loop);
}

static void destroying_the_pool_tells_the_loop(void **state)
{
    (void)state;
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    for (int i = 0; i < 10; i++) {
        brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2, .loop = loop, .grace_ns = BRG_FOREVER));
        told t = {0};
        marks m = marks_new(2000000);
        m.work = 50;
        assert_int_equal(brg_parallel_for(pool, m.count, marks_range, &m,
                                          brg_flow_opts(.done = on_done, .user_data = &t, .chunk_max = 1000), NULL),
                         BRG_OK);
        brg_pool_destroy(pool);
        assert_int_equal(t.count, 1);
        assert_true(t.status == BRG_CANCELLED || marks_end(&m) == m.count);
        marks_free(&m);
    }
    brg_loop_destroy(loop);
}

static void on_full(brg_pool *pool, uint64_t queued, void *user_data)
{
    (void)pool;
    *(uint64_t *)user_data = queued;
}

/* What waits of a call is in no count of those that wait, nor in its peak. */
static void the_peak_is_of_users_tasks(void **state)
{
    (void)state;
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    plug p = {0};
    told t[3] = {{0}};
    uint64_t leaves = 0;
    uint64_t full_at = 0;
    brg_pool *pool = scenario_function_pool(
        brg_pool_opts(.workers_max = 1, .loop = loop, .queue_high = 2, .on_full = on_full, .user_data = &full_at));
    plug_put(&p, pool);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            brg_parallel_for(pool, 8, marks_count, &leaves, brg_flow_opts(.done = on_done, .user_data = &t[i]), NULL),
            BRG_OK);
    assert_int_equal(brg_pool_call(pool, plug_task, &p, NULL, NULL), BRG_OK);
    assert_int_equal(scenario_stats(pool).queued, 1);
    assert_int_equal(scenario_stats(pool).queue_peak, 1);
    assert_int_equal(brg_pool_call(pool, plug_task, &p, NULL, NULL), BRG_OK);
    while (full_at == 0)
        (void)brg_loop_dispatch(loop);
    assert_int_equal(full_at, 2);
    plug_pull(&p);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
    assert_int_equal(leaves, 24);
    assert_int_equal(scenario_stats(pool).queue_peak, 2);
    brg_pool_destroy(pool);
    brg_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_stops_it),
        cmocka_unit_test(a_token_stops_what_has_not_begun),
        cmocka_unit_test(stopping_the_pool_ends_it),
        cmocka_unit_test(killing_the_pool_ends_what_runs),
        cmocka_unit_test(abandoned_threads_do_not_hold_it_up),
        cmocka_unit_test(the_loop_is_told),
        cmocka_unit_test(destroying_the_pool_tells_the_loop),
        cmocka_unit_test(the_peak_is_of_users_tasks),
    };
    return cmocka_run_group_tests_name("flow_end", tests, NULL, NULL);
}
