/* SPDX-License-Identifier: MIT */
/* How long a command waits, by a clock that goes as the tests say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "cli.h"
#include "patience.h"

static uint64_t clock_ns = BRG_SECONDS(1000);

uint64_t cli_now_ns(void) { return clock_ns; }

static void starts_with(patience *self, const brg_pool_options *options)
{
    *self = patience_of(options);
    patience_begin(self, 0);
    patience_begin_results(self, 0);
}

static bool looks(patience *self, uint64_t after_ns, double run_ns)
{
    brg_error error;
    clock_ns += after_ns;
    return patience_lasts_results(self, 0, run_ns, "test", &error);
}

static bool looks_at_workers(patience *self, uint64_t after_ns, uint32_t online)
{
    brg_error error;
    brg_pool_stats stats = {.size = sizeof(stats), .workers_online = online};
    clock_ns += after_ns;
    return patience_lasts(self, &stats, 4, 0, "test", &error);
}

/* Looking each half second, how many seconds it lasts. */
static int seconds_of(const brg_pool_options *options, double run_ns)
{
    patience self;
    int halves = 0;
    starts_with(&self, options);
    while (looks(&self, BRG_MILLISECONDS(500), run_ns))
        halves++;
    return halves / 2;
}

static void what_hangs_is_given_up(void **state)
{
    (void)state;
    assert_int_equal(seconds_of(brg_pool_opts(.start_timeout_ns = BRG_SECONDS(5)), 0), 15);
    assert_int_equal(seconds_of(brg_pool_opts(.run_timeout_ns = 0), 0), 90);
    assert_int_equal(seconds_of(brg_pool_opts(.start_timeout_ns = BRG_SECONDS(5)), 20e9), 35);
}

static void attempts_have_time(void **state)
{
    (void)state;
    brg_pool_options options = *brg_pool_opts(.start_timeout_ns = BRG_SECONDS(5), .attempts_max = 3);
    assert_int_equal(seconds_of(&options, 20e9), 75);
    options.run_timeout_ns = BRG_SECONDS(7);
    assert_int_equal(seconds_of(&options, 0), 36);
    options.retry_delay_ns = BRG_SECONDS(2);
    options.batch_delay_ns = BRG_SECONDS(1);
    assert_int_equal(seconds_of(&options, 0), 45);
}

static void a_result_begins_anew(void **state)
{
    (void)state;
    brg_error error;
    patience self;
    starts_with(&self, brg_pool_opts(.start_timeout_ns = BRG_SECONDS(1)));
    for (uint64_t settled = 1; settled <= 100; settled++) {
        clock_ns += BRG_SECONDS(1);
        assert_true(patience_lasts_results(&self, settled, 0, "test", &error));
    }
}

/* Who was stopped for long has not waited for long. */
static void a_stop_is_no_wait(void **state)
{
    (void)state;
    patience self;
    starts_with(&self, brg_pool_opts(.start_timeout_ns = BRG_SECONDS(1)));
    assert_true(looks(&self, BRG_SECONDS(3600), 0));
    assert_true(looks(&self, BRG_MILLISECONDS(500), 0));
    starts_with(&self, brg_pool_opts(.start_timeout_ns = BRG_SECONDS(1)));
    assert_true(looks_at_workers(&self, 0, 1));
    assert_true(looks_at_workers(&self, BRG_SECONDS(3600), 1));
    assert_true(looks_at_workers(&self, BRG_MILLISECONDS(500), 1));
}

static void workers_that_do_not_come(void **state)
{
    (void)state;
    patience self;
    int halves = 0;
    starts_with(&self, brg_pool_opts(.start_timeout_ns = BRG_SECONDS(1)));
    for (uint32_t online = 0; online < 4; online++)
        for (int i = 0; i < 6; i++)
            assert_true(looks_at_workers(&self, BRG_MILLISECONDS(500), online));
    while (looks_at_workers(&self, BRG_MILLISECONDS(500), 3))
        halves++;
    assert_int_equal(halves, 1);
}

/* No sum of them overflows. */
static void bounds_are_long(void **state)
{
    (void)state;
    patience self;
    starts_with(&self, brg_pool_opts(.start_timeout_ns = UINT64_MAX, .run_timeout_ns = BRG_SECONDS(99999),
                                     .retry_delay_ns = UINT64_MAX, .batch_delay_ns = BRG_SECONDS(99999),
                                     .attempts_max = 1001));
    for (int i = 0; i < 100000; i++)
        assert_true(looks(&self, BRG_SECONDS(1), 1e300));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_hangs_is_given_up),   cmocka_unit_test(attempts_have_time),
        cmocka_unit_test(a_result_begins_anew),     cmocka_unit_test(a_stop_is_no_wait),
        cmocka_unit_test(workers_that_do_not_come), cmocka_unit_test(bounds_are_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
