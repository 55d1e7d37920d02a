/* SPDX-License-Identifier: MIT */
/* Flows over arrays: what they do, nested and beside others. */
#include "marks.h"
#include "plug.h"

#include <stdio.h>

#include "base/random.h"

#define BOUND SCENARIO_BOUND

/* ---- every index once -------------------------------------------------------------------------------------------- */

static void each_index_runs_once(void **state)
{
    (void)state;
    uint64_t random = 20261121;
    for (uint32_t workers = 1; workers <= 4; workers++) {
        brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = workers));
        for (int i = 0; i < 60; i++) {
            marks m = marks_new(brg__random_below(&random, i < 10 ? 4 : 30000));
            m.chunk_min = brg__random_below(&random, 3) == 0 ? brg__random_below(&random, 500) : 0;
            m.chunk_max = brg__random_below(&random, 3) == 0 ? m.chunk_min + 1 + brg__random_below(&random, 500) : 0;
            m.work = 1u << brg__random_below(&random, 9);
            brg_error error;
            brg_status status = brg_parallel_for(pool, m.count, marks_range, &m,
                                                 brg_flow_opts(.chunk_min = m.chunk_min, .chunk_max = m.chunk_max,
                                                               .workers_max = brg__random_below(&random, 6),
                                                               .priority = (brg_priority)(i % 4)),
                                                 &error);
            assert_int_equal(status, BRG_OK);
            assert_int_equal(marks_end(&m), m.count);
            marks_free(&m);
        }
        assert_int_equal(scenario_stats(pool).submitted, 0); /* it is in no count */
        assert_int_equal(scenario_stats(pool).cancelled, 0);
        brg_pool_destroy(pool);
    }
}

static void none_and_very_many(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2));
    uint64_t counted = 0;
    assert_int_equal(brg_parallel_for(pool, 0, marks_count, &counted, NULL, NULL), BRG_OK);
    assert_int_equal(counted, 0);
    assert_int_equal(
        brg_parallel_for(pool, SIZE_MAX, marks_count, &counted, brg_flow_opts(.chunk_min = SIZE_MAX / 5 * 2), NULL),
        BRG_OK);
    assert_true(counted == SIZE_MAX);
    brg_pool_destroy(pool);
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static void a_failure_stops(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 3));
    for (int i = 0; i < 50; i++) {
        marks m = marks_new(20000);
        m.work = 100;
        m.fails_at = (size_t)i * 100;
        brg_error error;
        size_t failures = 0;
        assert_int_equal(
            brg_parallel_for(pool, m.count, marks_range, &m,
                             brg_flow_opts(.chunk_max = 50, .failures = &failures, .workers_max = i % 2 == 0 ? 1 : 3),
                             &error),
            BRG_FAILED);
        size_t ran = marks_end(&m);
        assert_true(ran > m.fails_at && (i % 2 != 0 || ran <= m.fails_at + 50)); /* others may be ahead */
        for (size_t k = 0; k <= m.fails_at; k++)
            assert_int_equal(m.xcounts[k], 1);
        assert_int_equal(failures, 1);
        assert_int_equal(error.status, BRG_FAILED);
        assert_int_equal(error.code, 7);
        assert_non_null(strstr(error.message, "at "));
        marks_free(&m);
    }
    brg_pool_destroy(pool);
}

/* Fails for every number of a kind. */
static brg_status fail_some(brg_context *context, const void *in, void *out, void *state)
{
    uint32_t number = *(const uint32_t *)in;
    *(uint32_t *)out = number + 1;
    marks_burn(number % 64);
    return number % *(const uint32_t *)state == 17 ? brg_context_fail(context, number, "no %u", number) : BRG_OK;
}

static void the_lowest_index_is_told(void **state)
{
    (void)state;
    enum { COUNT = 30000 };
    static uint32_t in[COUNT], out[COUNT];
    uint32_t kind = 1000;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 4));
    for (uint32_t i = 0; i < COUNT; i++)
        in[i] = i;
    const brg_mapping mapping = {in, out, sizeof(in[0]), sizeof(out[0]), COUNT};
    for (int i = 0; i < 20; i++) {
        brg_error error;
        size_t failures = 0;
        memset(out, 0, sizeof(out));
        assert_int_equal(brg_map(pool, fail_some, &mapping, &kind,
                                 brg_flow_opts(.errors = BRG_FLOW_GO_ON, .failures = &failures), &error),
                         BRG_FAILED);
        assert_int_equal(error.code, 17);
        assert_string_equal(error.message, "no 17");
        assert_int_equal(failures, COUNT / kind);
        for (uint32_t k = 0; k < COUNT; k++)
            assert_int_equal(out[k], k + 1);
        assert_int_equal(brg_map(pool, fail_some, &mapping, &kind, brg_flow_opts(.failures = &failures), &error),
                         BRG_FAILED);
        assert_int_equal(error.code, 17);
        assert_true(failures >= 1);
    }
    brg_pool_destroy(pool);
}

/* ---- nesting ----------------------------------------------------------------------------------------------------- */

typedef struct nest {
    brg_pool *pool;
    uint32_t depth;
    uint64_t xleaves;
} nest;

static brg_status nest_range(brg_context *context, size_t first, size_t end, void *state)
{
    nest *n = state;
    (void)context;
    for (size_t i = first; i < end; i++) {
        nest below = {.pool = n->pool, .depth = n->depth - 1};
        if (n->depth == 0) {
            __atomic_fetch_add(&n->xleaves, 1, __ATOMIC_RELAXED);
            continue;
        }
        brg_status status = brg_parallel_for(n->pool, 6, nest_range, &below, NULL, NULL);
        if (status != BRG_OK)
            return status;
        __atomic_fetch_add(&n->xleaves, below.xleaves, __ATOMIC_RELAXED);
    }
    return BRG_OK;
}

static void calls_nest(void **state)
{
    (void)state;
    for (uint32_t workers = 1; workers <= 4; workers++) {
        brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = workers));
        for (int i = 0; i < 10; i++) {
            nest n = {.pool = pool, .depth = 3};
            assert_int_equal(brg_parallel_for(pool, 6, nest_range, &n, NULL, NULL), BRG_OK);
            assert_int_equal(n.xleaves, 6 * 6 * 6 * 6);
        }
        brg_pool_destroy(pool);
    }
}

/* A failure inside is the inner call's, until the body says otherwise; and what the task allocated stays. */
static brg_status inner_failure(brg_context *context, void *argument)
{
    brg_pool *pool = argument;
    uint32_t kind = 1000, in[100], out[100];
    char *kept = brg_context_alloc(context, 1000);
    brg_error error;
    if (kept == NULL)
        return BRG_NO_MEMORY;
    memset(kept, 'x', 1000);
    (void)brg_context_fail(context, 5, "the outer one");
    for (uint32_t i = 0; i < 100; i++)
        in[i] = i;
    if (brg_map(pool, fail_some, &(brg_mapping){in, out, 4, 4, 100}, &kind, NULL, &error) != BRG_FAILED ||
        error.code != 17)
        return brg_context_fail(context, 6, "the inner one is another");
    for (int i = 0; i < 1000; i++)
        if (kept[i] != 'x')
            return brg_context_fail(context, 6, "memory of the task is gone");
    return BRG_FAILED;
}

static void inner_failures_stay_inside(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    brg_task *task = NULL;
    assert_int_equal(brg_pool_submit_call(pool, inner_failure, pool, NULL, &task), BRG_OK);
    assert_int_equal(brg_task_wait(task, BOUND), BRG_OK);
    assert_int_equal(brg_task_result(task)->error->code, 5);
    assert_string_equal(brg_task_result(task)->error->message, "the outer one");
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

static brg_status call_many(brg_context *context, void *argument)
{
    nest *n = argument;
    (void)context;
    for (int i = 0; i < 200; i++)
        if (brg_parallel_for(n->pool, 8, marks_count, &n->xleaves, NULL, NULL) != BRG_OK)
            return BRG_FAILED;
    return BRG_OK;
}

/* All workers are busy: what waits of a call goes with it, and does not pile up. */
static void nothing_piles_up(void **state)
{
    (void)state;
    plug p = {0};
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2));
    nest n = {.pool = pool};
    brg_task *task = NULL;
    plug_put(&p, pool);
    assert_int_equal(brg_pool_submit_call(pool, call_many, &n, NULL, &task), BRG_OK);
    assert_int_equal(brg_task_wait(task, BOUND), BRG_OK);
    assert_int_equal(brg_task_result(task)->status, BRG_OK);
    assert_int_equal(n.xleaves, 1600);
    assert_int_equal(scenario_stats(pool).queued, 0);
    plug_pull(&p);
    brg_task_unref(task);
    assert_int_equal(brg_pool_drain(pool, BOUND), BRG_OK);
    brg_pool_destroy(pool);
}

/* ---- sharing workers --------------------------------------------------------------------------------------------- */

typedef struct shared {
    brg_pool *pool;
    uint32_t xdone; /* the stranger has run */
    uint32_t xasked;
    uint64_t xelements;
} shared;

static brg_status stranger(brg_context *context, void *argument)
{
    (void)context;
    flag_set(&((shared *)argument)->xdone);
    return BRG_OK;
}

/* Goes on until the other task has run: which it can only if this gives the worker back. */
static brg_status until_stranger(brg_context *context, size_t first, size_t end, void *state)
{
    shared *s = state;
    (void)context;
    if (__atomic_exchange_n(&s->xasked, 1, __ATOMIC_ACQ_REL) == 0 &&
        brg_pool_call(s->pool, stranger, s, NULL, NULL) != BRG_OK)
        return BRG_FAILED;
    bool is_last = end == 1u << 30;
    (void)first;
    if (!is_last && __atomic_load_n(&s->xdone, __ATOMIC_ACQUIRE) == 0)
        marks_burn(20000);
    return is_last && __atomic_load_n(&s->xdone, __ATOMIC_ACQUIRE) == 0 ? BRG_FAILED : BRG_OK;
}

static void others_get_their_turn(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    shared s = {.pool = pool};
    assert_int_equal(brg_parallel_for(pool, 1u << 30, until_stranger, &s, brg_flow_opts(.chunk_max = 1u << 17), NULL),
                     BRG_OK);
    assert_int_equal(s.xdone, 1);
    brg_pool_destroy(pool);
}

/* Each waits until there are two. */
static brg_status meet(brg_context *context, size_t first, size_t end, void *state)
{
    (void)context, (void)first, (void)end;
    __atomic_fetch_add((uint32_t *)state, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n((uint32_t *)state, __ATOMIC_ACQUIRE) < 2)
        sched_yield();
    return BRG_OK;
}

static void the_pool_grows_for_it(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        uint32_t there = 0;
        brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 8,
                                                              .workers_min = i % 2 == 0 ? BRG_NO_WORKERS : 1,
                                                              .scaling = brg_scaling_backlog, .grow_queued = 1,
                                                              .scaling_interval_ns = BRG_MILLISECONDS(1)));
        assert_int_equal(brg_parallel_for(pool, 8, meet, &there, brg_flow_opts(.chunk_max = 1), NULL), BRG_OK);
        brg_pool_destroy(pool);
    }
}

/* ---- map --------------------------------------------------------------------------------------------------------- */

static brg_status square(brg_context *context, const void *in, void *out, void *state)
{
    (void)context, (void)state;
    *(double *)out = (double)*(const int32_t *)in * *(const int32_t *)in;
    return BRG_OK;
}

static brg_status increment(brg_context *context, const void *in, void *out, void *state)
{
    (void)context, (void)state;
    *(int32_t *)out = *(const int32_t *)in + 1;
    return BRG_OK;
}

static void arrays_are_mapped(void **state)
{
    (void)state;
    enum { COUNT = 50000 };
    static int32_t in[COUNT];
    static double out[COUNT];
    brg_error error;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 3));
    for (int i = 0; i < COUNT; i++)
        in[i] = i - 7;
    assert_int_equal(brg_map_array(pool, increment, in, in, COUNT, &error), BRG_OK);
    assert_int_equal(brg_map_array(pool, square, in, out, COUNT, &error), BRG_OK);
    for (int i = 0; i < COUNT; i++)
        assert_true(in[i] == i - 6 && out[i] == (double)(i - 6) * (i - 6));
    brg_pool_destroy(pool);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static void on_done(const brg_result *result, void *user_data) { (void)result, (void)user_data; }

static void bad_arguments_are_named(void **state)
{
    (void)state;
    uint64_t n = 0;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    SCENARIO_REFUSED(BRG_INVALID, "pool", brg_parallel_for(NULL, 1, marks_count, &n, NULL, &error));
    SCENARIO_REFUSED(BRG_INVALID, "function", brg_parallel_for(pool, 1, NULL, &n, NULL, &error));
    SCENARIO_REFUSED(BRG_INVALID, "done",
                     brg_parallel_for(pool, 1, marks_count, &n, brg_flow_opts(.done = on_done), &error));
    SCENARIO_REFUSED(BRG_INVALID, "priority",
                     brg_parallel_for(pool, 1, marks_count, &n, brg_flow_opts(.priority = (brg_priority)9), &error));
    SCENARIO_REFUSED(BRG_INVALID, "chunk_min",
                     brg_parallel_for(pool, 1, marks_count, &n, brg_flow_opts(.chunk_min = 3, .chunk_max = 2), &error));
    SCENARIO_REFUSED(BRG_INVALID, "errors",
                     brg_parallel_for(pool, 1, marks_count, &n, brg_flow_opts(.errors = BRG_FLOW_SKIP), &error));
    SCENARIO_REFUSED(BRG_INVALID, "brg_flow_options",
                     brg_parallel_for(pool, 1, marks_count, &n, &(brg_flow_options){.size = 1}, &error));
    SCENARIO_REFUSED(BRG_INVALID, "array",
                     brg_map(pool, increment, &(brg_mapping){NULL, &n, 4, 4, 1}, NULL, NULL, &error));
    SCENARIO_REFUSED(BRG_INVALID, "array",
                     brg_map(pool, increment, &(brg_mapping){&n, NULL, 4, 4, 1}, NULL, NULL, &error));
    SCENARIO_REFUSED(BRG_INVALID, "arrays", brg_map(pool, increment, NULL, NULL, NULL, &error));
    SCENARIO_REFUSED(BRG_INVALID, "elements",
                     brg_map(pool, increment, &(brg_mapping){&n, &n, 8, 8, SIZE_MAX}, NULL, NULL, &error));
    assert_int_equal(brg_pool_drain(pool, BOUND), BRG_OK);
    SCENARIO_REFUSED(BRG_CLOSED, "shutting down", brg_parallel_for(pool, 1, marks_count, &n, NULL, &error));
    brg_pool_destroy(pool);
    pool = scenario_pool(BRG_ISOLATION_PROCESS, NULL);
    SCENARIO_REFUSED(BRG_UNSUPPORTED, "process workers", brg_parallel_for(pool, 1, marks_count, &n, NULL, &error));
    brg_pool_destroy(pool);
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_index_runs_once),
        cmocka_unit_test(none_and_very_many),
        cmocka_unit_test(a_failure_stops),
        cmocka_unit_test(the_lowest_index_is_told),
        cmocka_unit_test(calls_nest),
        cmocka_unit_test(inner_failures_stay_inside),
        cmocka_unit_test(nothing_piles_up),
        cmocka_unit_test(others_get_their_turn),
        cmocka_unit_test(the_pool_grows_for_it),
        cmocka_unit_test(arrays_are_mapped),
        cmocka_unit_test(bad_arguments_are_named),
    };
    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
