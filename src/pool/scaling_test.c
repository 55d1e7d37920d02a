/* SPDX-License-Identifier: MIT */
/* Scaling by rule: fixed, backlog, load. */
#include "pool/scaling_fixture.h"

static void fixed_is_the_maximum(void **state)
{
    (void)state;
    machine pool;
    machine_init(&pool, brg_scaling_fixed, 1, 7);
    assert_int_equal(machine_ask(&pool), 7);
    pool.load.workers_max = 3;
    assert_int_equal(machine_ask(&pool), 3);
}

/* ---- backlog ----------------------------------------------------------------------------------------------------- */

static void backlog_grows_at_once(void **state)
{
    (void)state;
    machine pool;
    machine_init(&pool, brg_scaling_backlog, 1, 16);
    assert_int_equal(machine_ask(&pool), 1);
    /* Two per worker are no reason; nor does it take an interval. */
    assert_int_equal(machine_step(&pool, 1000, 1, 2, 0), 1);
    assert_int_equal(machine_step(&pool, 1000, 1, 3, 0), 2);
    assert_int_equal(machine_step(&pool, 1000, 2, 4, 0), 2);
    assert_int_equal(machine_step(&pool, 0, 2, 5, 0), 3);
    assert_int_equal(machine_step(&pool, 1000, 3, 15, 0), 8);
    assert_int_equal(machine_step(&pool, 1000, 8, 1000, 0), 16);
    machine_init(&pool, brg_scaling_backlog, 1, 16);
    pool.options.grow_queued = 10;
    assert_int_equal(machine_step(&pool, 1000, 1, 10, 0), 1);
    assert_int_equal(machine_step(&pool, 1000, 1, 11, 0), 2);
}

static void backlog_starts_the_first(void **state)
{
    (void)state;
    machine pool;
    machine_init(&pool, brg_scaling_backlog, 0, 4);
    assert_int_equal(machine_ask(&pool), 0);
    assert_int_equal(machine_step(&pool, 10, 0, 1, 0), 1);
}

static void backlog_shrinks_one_by_one(void **state)
{
    (void)state;
    machine pool;
    machine_init(&pool, brg_scaling_backlog, 2, 8);
    assert_int_equal(machine_step(&pool, INTERVAL_NS, 2, 100, 0), 8);
    /* Between half of the threshold and all of it: nothing changes, however idle. */
    for (int i = 0; i < 100; i++)
        assert_int_equal(machine_step(&pool, INTERVAL_NS, 1, 8 + (uint64_t)i % 9, 0), 8);
    /* Below half, but all are busy. */
    for (int i = 0; i < 100; i++)
        assert_int_equal(machine_step(&pool, INTERVAL_NS, 8, 0, 0), 8);
    /* Few were busy, but now all are. */
    for (int i = 0; i < 100; i++) {
        pool.load.now_ns += INTERVAL_NS;
        pool.load.busy = 8;
        pool.load.queued = 0;
        assert_int_equal(machine_ask(&pool), 8);
    }
    uint32_t before = 8, steps = 0;
    for (int i = 0; i < 100; i++) {
        uint32_t now = machine_step(&pool, INTERVAL_NS, 1, 0, 0);
        assert_true(now == before || now == before - 1);
        steps += now != before;
        before = now;
    }
    assert_int_equal(before, 2);
    assert_int_equal(steps, 6);
}

/* It holds to what it asked for while workers are not there, or still there. */
static void backlog_ignores_who_is_there(void **state)
{
    (void)state;
    machine pool;
    machine_init(&pool, brg_scaling_backlog, 1, 8);
    machine_step(&pool, INTERVAL_NS, 1, 100, 0);
    pool.load.workers = 3; /* five crashed */
    assert_int_equal(machine_ask(&pool), 8);
    pool.load.queued = 12;
    pool.load.now_ns += INTERVAL_NS;
    assert_int_equal(machine_ask(&pool), 8);
}

/* `work` workers' worth of tasks arrive, evenly; how often the answer changes in the second half of a long run. */
static uint32_t constant_load_changes(const brg_scaling_policy *policy, double work, uint32_t *final)
{
    machine pool;
    double queued = 0;
    uint32_t changes = 0;
    machine_init(&pool, policy, 1, 64);
    machine_ask(&pool);
    for (int i = 0; i < 4000; i++) {
        /* Tasks of 10 ms, ten per worker and interval; what waits is worked off as well. */
        double demand = work + queued / 10, busy = demand < pool.target ? demand : pool.target;
        queued = (demand - busy) * 10;
        uint32_t before = pool.target;
        uint32_t now = machine_step(&pool, INTERVAL_NS, busy, (uint64_t)queued, (uint64_t)(busy * 10));
        changes += i >= 2000 && now != before;
    }
    *final = pool.target;
    return changes;
}

static void constant_load_never_flaps(void **state)
{
    (void)state;
    for (double work = 0.1; work < 60; work = work * 1.07 + 0.05) {
        uint32_t final;
        assert_int_equal(constant_load_changes(brg_scaling_backlog, work, &final), 0);
        assert_true(final >= work && final <= work / 0.8 + 2);
        assert_int_equal(constant_load_changes(brg_scaling_load, work, &final), 0);
        assert_true(final >= work && final <= 5 * work + 1);
    }
}

/* ---- load -------------------------------------------------------------------------------------------------------- */

static void load_follows_the_busy_share(void **state)
{
    (void)state;
    machine pool;
    machine_init(&pool, brg_scaling_load, 1, 64);
    assert_int_equal(machine_ask(&pool), 1);
    assert_int_equal(machine_step(&pool, INTERVAL_NS, 0.8, 0, 0), 1);
    assert_int_equal(machine_step(&pool, INTERVAL_NS, 0.9, 0, 0), 2);
    assert_int_equal(machine_step(&pool, INTERVAL_NS, 2, 0, 0), 3);
    assert_int_equal(machine_step(&pool, INTERVAL_NS, 3, 0, 0), 4);
    assert_int_equal(machine_step(&pool, INTERVAL_NS, 4, 0, 0), 5);
    assert_int_equal(machine_step(&pool, INTERVAL_NS, 5, 0, 0), 7);
    /* Anything between the two changes nothing. */
    for (int i = 0; i < 100; i++)
        assert_int_equal(machine_step(&pool, INTERVAL_NS, i % 2 != 0 ? 1.45 : 5.55, 0, 0), 7);
    assert_int_equal(machine_step(&pool, INTERVAL_NS, 1.3, 0, 0), 6);
    assert_int_equal(machine_step(&pool, INTERVAL_NS, 1.1, 0, 0), 5);
    assert_int_equal(machine_step(&pool, INTERVAL_NS, 1.1, 0, 0), 5);
    for (int i = 0; i < 10; i++)
        machine_step(&pool, INTERVAL_NS, 0, 0, 0);
    assert_int_equal(pool.target, 1);
}

/* Thresholds that nearly meet: one less must not be too few at once. They may change while it works. */
static void load_thresholds_may_meet(void **state)
{
    (void)state;
    machine pool;
    machine_init(&pool, brg_scaling_load, 1, 64);
    machine_ask(&pool);
    for (int i = 0; i < 30; i++)
        machine_step(&pool, INTERVAL_NS, pool.target < 3 ? pool.target : 2.1, 0, 0);
    assert_int_equal(pool.target, 3);
    pool.options.grow_busy_percent = 80;
    pool.options.shrink_busy_percent = 79;
    for (int i = 0; i < 30; i++)
        assert_int_equal(machine_step(&pool, INTERVAL_NS, 2.1, 0, 0), 3);
    pool.options.grow_busy_percent = 60;
    assert_int_equal(machine_step(&pool, INTERVAL_NS, 2.1, 0, 0), 4);
}

/* Asked between intervals it measures nothing: a moment says nothing about the busy share. */
static void load_ignores_moments(void **state)
{
    (void)state;
    machine pool;
    machine_init(&pool, brg_scaling_load, 1, 64);
    machine_ask(&pool);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(machine_step(&pool, 1000, 1, 5, 0), 1);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(machine_step(&pool, 0, 1, 5, 0), 1);
    assert_int_equal(machine_step(&pool, INTERVAL_NS, 1, 5, 0), 2);
    machine_init(&pool, brg_scaling_load, 0, 64);
    assert_int_equal(machine_ask(&pool), 0);
    assert_int_equal(machine_step(&pool, 10, 0, 1, 0), 1); /* none there: nobody would ever be busy */
}

static void bounds_hold(void **state)
{
    (void)state;
    const brg_scaling_policy *list[] = {brg_scaling_backlog, brg_scaling_load, brg_scaling_adaptive};
    for (size_t p = 0; p < 3; p++) {
        machine pool;
        machine_init(&pool, list[p], 1, 64);
        pool.random = 11;
        for (int i = 0; i < 20000; i++) {
            if (brg__random_below(&pool.random, 50) == 0) {
                pool.load.workers_min = brg__random_below(&pool.random, 5);
                pool.load.workers_max = 5 + brg__random_below(&pool.random, 60);
            }
            double busy = brg__random_below(&pool.random, pool.load.workers + 1);
            uint64_t queued = brg__random_below(&pool.random, 2) * brg__random_below(&pool.random, 300);
            uint64_t ns = brg__random_below(&pool.random, 3) * INTERVAL_NS / 2;
            machine_step(&pool, ns, busy, queued, brg__random_below(&pool.random, 1000));
            assert_in_range(pool.target, pool.load.workers_min, pool.load.workers_max);
            assert_true(pool.target != 0 || queued == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_is_the_maximum),         cmocka_unit_test(backlog_grows_at_once),
        cmocka_unit_test(backlog_starts_the_first),     cmocka_unit_test(backlog_shrinks_one_by_one),
        cmocka_unit_test(backlog_ignores_who_is_there), cmocka_unit_test(constant_load_never_flaps),
        cmocka_unit_test(load_follows_the_busy_share),  cmocka_unit_test(load_thresholds_may_meet),
        cmocka_unit_test(load_ignores_moments),         cmocka_unit_test(bounds_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
