/* SPDX-License-Identifier: MIT */
/* Flows over arrays. */
#include "scenario.h"

#include <sched.h>
#include <stdio.h>

#include "base/random.h"

#define BOUND BRG_SECONDS(60)

static void wait_for(const uint32_t *flag, uint32_t value)
{
    while (__atomic_load_n(flag, __ATOMIC_ACQUIRE) != value)
        sched_yield();
}

static void set(uint32_t *flag) { __atomic_store_n(flag, 1, __ATOMIC_RELEASE); }

/* ---- every index once -------------------------------------------------------------------------------------------- */

typedef struct marks {
    uint8_t *xcounts;
    size_t count, chunk_min, chunk_max;
    uint32_t xbad;    /* ranges that break the rules */
    uint32_t xafter;  /* ranges that began after the return */
    uint32_t xclosed; /* the call has returned */
    size_t fails_at;  /* SIZE_MAX: never */
    uint32_t work;    /* turns per element, at most */
    brg_token *token; /* is cancelled at index `cancels_at` */
    size_t cancels_at;
} marks;

static void burn(uint32_t turns)
{
    for (uint32_t i = 0; i < turns; i++)
        __asm__ __volatile__("");
}

static brg_status mark_range(brg_context *context, size_t first, size_t end, void *state)
{
    marks *m = state;
    bool too_small = end - first < m->chunk_min && end != m->count;
    bool too_large = m->chunk_max != 0 && end - first > m->chunk_max;
    if (context == NULL || first >= end || end > m->count || too_small || too_large)
        __atomic_fetch_add(&m->xbad, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&m->xclosed, __ATOMIC_RELAXED) != 0)
        __atomic_fetch_add(&m->xafter, 1, __ATOMIC_RELAXED);
    for (size_t i = first; i < end; i++) {
        __atomic_fetch_add(&m->xcounts[i], 1, __ATOMIC_RELAXED);
        burn((uint32_t)(brg__random_mix(i) % (m->work + 1)));
        if (i == m->cancels_at)
            brg_token_cancel(m->token);
    }
    if (m->fails_at >= first && m->fails_at < end)
        return brg_context_fail(context, 7, "at %zu", m->fails_at);
    return BRG_OK;
}

static marks marks_new(size_t count)
{
    marks m = {.count = count, .fails_at = SIZE_MAX, .cancels_at = SIZE_MAX};
    m.xcounts = calloc(count + 1, 1);
    assert_non_null(m.xcounts);
    return m;
}

/* How many of them ran; none twice, nothing after the return. */
static size_t marks_end(marks *m)
{
    size_t ran = 0;
    set(&m->xclosed);
    for (size_t i = 0; i < m->count; i++) {
        assert_in_range(m->xcounts[i], 0, 1);
        ran += m->xcounts[i];
    }
    assert_int_equal(m->xbad, 0);
    return ran;
}

static void marks_free(marks *m)
{
    assert_int_equal(m->xafter, 0);
    free(m->xcounts);
}

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
            brg_status status = brg_parallel_for(pool, m.count, mark_range, &m,
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

static brg_status count_only(brg_context *context, size_t first, size_t end, void *state)
{
    (void)context;
    __atomic_fetch_add((uint64_t *)state, end - first, __ATOMIC_RELAXED);
    return BRG_OK;
}

static void none_and_very_many(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2));
    uint64_t counted = 0;
    assert_int_equal(brg_parallel_for(pool, 0, count_only, &counted, NULL, NULL), BRG_OK);
    assert_int_equal(counted, 0);
    assert_int_equal(
        brg_parallel_for(pool, SIZE_MAX, count_only, &counted, brg_flow_opts(.chunk_min = SIZE_MAX / 5 * 2), NULL),
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
            brg_parallel_for(pool, m.count, mark_range, &m,
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
    burn(number % 64);
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

static void a_token_stops_it(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2));
    for (int i = 0; i < 20; i++) {
        marks m = marks_new(100000);
        brg_error error;
        assert_int_equal(brg_token_create(&m.token, &error), BRG_OK);
        m.cancels_at = (size_t)i * 1000;
        assert_int_equal(brg_parallel_for(pool, m.count, mark_range, &m,
                                          brg_flow_opts(.token = m.token, .chunk_max = 100, .workers_max = 1), &error),
                         BRG_CANCELLED);
        assert_int_equal(error.status, BRG_CANCELLED);
        assert_in_range(marks_end(&m), m.cancels_at + 1, m.cancels_at + 100);
        assert_int_equal(brg_parallel_for(pool, m.count, mark_range, &m, brg_flow_opts(.token = m.token), &error),
                         BRG_CANCELLED); /* nothing begins */
        brg_token_unref(m.token);
        marks_free(&m);
    }
    brg_pool_destroy(pool);
}

typedef struct plug {
    uint32_t xbegan, xgo;
} plug;

static brg_status plug_task(brg_context *context, void *argument)
{
    plug *p = argument;
    (void)context;
    set(&p->xbegan);
    wait_for(&p->xgo, 1);
    return BRG_OK;
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
    c->status = brg_parallel_for(c->pool, c->marks->count, mark_range, c->marks, brg_flow_opts(.token = c->token),
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
    assert_int_equal(brg_pool_call(pool, plug_task, &p, NULL, NULL), BRG_OK);
    wait_for(&p.xbegan, 1);
    marks m = marks_new(100);
    calling c = {.pool = pool, .marks = &m};
    assert_int_equal(brg_token_create(&c.token, NULL), BRG_OK);
    brg_task *task = NULL;
    assert_int_equal(brg_pool_submit_call(other, call_from_another, &c, NULL, &task), BRG_OK);
    brg_token_cancel(c.token);
    assert_int_equal(brg_task_wait(task, BOUND), BRG_OK);
    assert_int_equal(c.status, BRG_CANCELLED);
    assert_int_equal(marks_end(&m), 0);
    set(&p.xgo);
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
        assert_int_equal(brg_pool_call(pool, plug_task, &p, NULL, NULL), BRG_OK);
        wait_for(&p.xbegan, 1);
        marks m = marks_new(1000);
        calling c = {.pool = pool, .marks = &m};
        brg_task *task = NULL;
        assert_int_equal(brg_pool_submit_call(other, call_from_another, &c, NULL, &task), BRG_OK);
        (void)(kill ? brg_pool_kill(pool, 0) : brg_pool_stop(pool, 0)); /* before or after it came */
        assert_int_equal(brg_task_wait(task, BOUND), BRG_OK);
        assert_true(c.status == BRG_CANCELLED || c.status == BRG_CLOSED);
        assert_int_equal(c.error.status, c.status);
        assert_int_equal(marks_end(&m), 0);
        set(&p.xgo);
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
    set(&p->xbegan);
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
    wait_for(&p.xbegan, 1);
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
    wait_for(&p.xbegan, 1);
    assert_int_equal(brg_pool_kill(pool, BOUND), BRG_OK);
    assert_int_equal(brg_task_wait(task, BOUND), BRG_OK);
    assert_true(c.status == BRG_CANCELLED || c.status == BRG_LOST);
    brg_pool_destroy(pool);
    assert_true(brg_workers_lost() != 0);
    set(&p.xgo);
    while (brg_workers_lost() != 0)
        sched_yield();
    brg_task_unref(task);
    brg_pool_destroy(other);
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
        if (brg_parallel_for(n->pool, 8, count_only, &n->xleaves, NULL, NULL) != BRG_OK)
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
    assert_int_equal(brg_pool_call(pool, plug_task, &p, NULL, NULL), BRG_OK);
    wait_for(&p.xbegan, 1);
    assert_int_equal(brg_pool_submit_call(pool, call_many, &n, NULL, &task), BRG_OK);
    assert_int_equal(brg_task_wait(task, BOUND), BRG_OK);
    assert_int_equal(brg_task_result(task)->status, BRG_OK);
    assert_int_equal(n.xleaves, 1600);
    assert_int_equal(scenario_stats(pool).queued, 0);
    set(&p.xgo);
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
    set(&((shared *)argument)->xdone);
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
        burn(20000);
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
        assert_int_equal(brg_parallel_for(pool, all[i].count, mark_range, &all[i],
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
        assert_int_equal(brg_parallel_for(pool, m.count, mark_range, &m,
                                          brg_flow_opts(.done = on_done, .user_data = &t, .chunk_max = 1000), NULL),
                         BRG_OK);
        brg_pool_destroy(pool);
        assert_int_equal(t.count, 1);
        assert_true(t.status == BRG_CANCELLED || marks_end(&m) == m.count);
        marks_free(&m);
    }
    brg_loop_destroy(loop);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static void bad_arguments_are_named(void **state)
{
    (void)state;
    uint64_t n = 0;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    SCENARIO_REFUSED(BRG_INVALID, "pool", brg_parallel_for(NULL, 1, count_only, &n, NULL, &error));
    SCENARIO_REFUSED(BRG_INVALID, "function", brg_parallel_for(pool, 1, NULL, &n, NULL, &error));
    SCENARIO_REFUSED(BRG_INVALID, "done",
                     brg_parallel_for(pool, 1, count_only, &n, brg_flow_opts(.done = on_done), &error));
    SCENARIO_REFUSED(BRG_INVALID, "priority",
                     brg_parallel_for(pool, 1, count_only, &n, brg_flow_opts(.priority = (brg_priority)9), &error));
    SCENARIO_REFUSED(BRG_INVALID, "chunk_min",
                     brg_parallel_for(pool, 1, count_only, &n, brg_flow_opts(.chunk_min = 3, .chunk_max = 2), &error));
    SCENARIO_REFUSED(BRG_INVALID, "errors",
                     brg_parallel_for(pool, 1, count_only, &n, brg_flow_opts(.errors = BRG_FLOW_SKIP), &error));
    SCENARIO_REFUSED(BRG_INVALID, "brg_flow_options",
                     brg_parallel_for(pool, 1, count_only, &n, &(brg_flow_options){.size = 1}, &error));
    SCENARIO_REFUSED(BRG_INVALID, "array",
                     brg_map(pool, increment, &(brg_mapping){NULL, &n, 4, 4, 1}, NULL, NULL, &error));
    SCENARIO_REFUSED(BRG_INVALID, "array",
                     brg_map(pool, increment, &(brg_mapping){&n, NULL, 4, 4, 1}, NULL, NULL, &error));
    SCENARIO_REFUSED(BRG_INVALID, "arrays", brg_map(pool, increment, NULL, NULL, NULL, &error));
    SCENARIO_REFUSED(BRG_INVALID, "elements",
                     brg_map(pool, increment, &(brg_mapping){&n, &n, 8, 8, SIZE_MAX}, NULL, NULL, &error));
    assert_int_equal(brg_pool_drain(pool, BOUND), BRG_OK);
    SCENARIO_REFUSED(BRG_CLOSED, "shutting down", brg_parallel_for(pool, 1, count_only, &n, NULL, &error));
    brg_pool_destroy(pool);
    pool = scenario_pool(BRG_ISOLATION_PROCESS, NULL);
    SCENARIO_REFUSED(BRG_UNSUPPORTED, "process workers", brg_parallel_for(pool, 1, count_only, &n, NULL, &error));
    brg_pool_destroy(pool);
    assert_int_equal(n, 0);
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
    assert_int_equal(brg_pool_call(pool, plug_task, &p, NULL, NULL), BRG_OK);
    wait_for(&p.xbegan, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            brg_parallel_for(pool, 8, count_only, &leaves, brg_flow_opts(.done = on_done, .user_data = &t[i]), NULL),
            BRG_OK);
    assert_int_equal(brg_pool_call(pool, plug_task, &p, NULL, NULL), BRG_OK);
    assert_int_equal(scenario_stats(pool).queued, 1);
    assert_int_equal(scenario_stats(pool).queue_peak, 1);
    assert_int_equal(brg_pool_call(pool, plug_task, &p, NULL, NULL), BRG_OK);
    while (full_at == 0)
        (void)brg_loop_dispatch(loop);
    assert_int_equal(full_at, 2);
    set(&p.xgo);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
    assert_int_equal(leaves, 24);
    assert_int_equal(scenario_stats(pool).queue_peak, 2);
    brg_pool_destroy(pool);
    brg_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_index_runs_once),
        cmocka_unit_test(none_and_very_many),
        cmocka_unit_test(a_failure_stops),
        cmocka_unit_test(the_lowest_index_is_told),
        cmocka_unit_test(a_token_stops_it),
        cmocka_unit_test(a_token_stops_what_has_not_begun),
        cmocka_unit_test(stopping_the_pool_ends_it),
        cmocka_unit_test(killing_the_pool_ends_what_runs),
        cmocka_unit_test(abandoned_threads_do_not_hold_it_up),
        cmocka_unit_test(the_peak_is_of_users_tasks),
        cmocka_unit_test(calls_nest),
        cmocka_unit_test(inner_failures_stay_inside),
        cmocka_unit_test(nothing_piles_up),
        cmocka_unit_test(others_get_their_turn),
        cmocka_unit_test(the_pool_grows_for_it),
        cmocka_unit_test(arrays_are_mapped),
        cmocka_unit_test(the_loop_is_told),
        cmocka_unit_test(destroying_the_pool_tells_the_loop),
        cmocka_unit_test(bad_arguments_are_named),
    };
    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
