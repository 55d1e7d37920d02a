/* SPDX-License-Identifier: MIT */
/* Counters of one worker, read while they change, and made sense of when a hostile worker wrote them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/worker.h"

static brg_worker worker;

static brg_usage read_usage(void)
{
    brg_usage usage = {.size = sizeof(usage)};
    assert_int_equal(brg_worker_usage(&worker, &usage), BRG_OK);
    return usage;
}

static int fresh(void **state)
{
    (void)state;
    memset(&worker, 0, sizeof(worker));
    worker.usage = &worker.own_usage;
    brg__lock_init(&worker.life_lock, BRG__RANK_LEAF, "worker life");
    return 0;
}

static void nothing_before_online(void **state)
{
    (void)state;
    brg__usage_idle_begin(worker.usage);
    brg_usage usage = read_usage();
    assert_int_equal(usage.busy_ns, 0);
    assert_int_equal(usage.idle_ns, 0);
    brg__usage_idle_end(worker.usage);
}

static void busy_and_idle_add_up(void **state)
{
    (void)state;
    brg__usage_online(worker.usage);
    brg_usage busy = read_usage();
    assert_int_equal(busy.idle_ns, 0);
    brg__usage_idle_begin(worker.usage);
    brg__usage_idle_begin(worker.usage); /* counts once */
    brg_usage idle = read_usage(), later = read_usage();
    assert_int_equal(idle.busy_ns, later.busy_ns); /* nothing is added while it waits */
    assert_true(later.idle_ns >= idle.idle_ns);
    brg__usage_idle_end(worker.usage);
    brg__usage_idle_end(worker.usage);
    idle = read_usage();
    later = read_usage();
    assert_int_equal(idle.idle_ns, later.idle_ns);
    assert_true(later.busy_ns >= idle.busy_ns);
    brg__usage_ended(worker.usage);
    idle = read_usage();
    later = read_usage();
    assert_int_equal(idle.idle_ns, later.idle_ns);
    assert_int_equal(idle.busy_ns, later.busy_ns);
    assert_int_equal(idle.idle_ns + idle.busy_ns, worker.usage->xended_at - worker.usage->xonline_at);
}

static void lies_stay_within_bounds(void **state)
{
    (void)state;
    static const uint64_t lies[] = {0, 1, UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX};
    enum { LIES = sizeof(lies) / sizeof(lies[0]) };
    for (int i = 0; i < LIES * LIES * LIES * LIES; i++) {
        worker.own_usage = (brg__usage_shared){.xsequence = (uint32_t)i,
                                               .xonline_at = lies[i % LIES],
                                               .xidle_since = lies[i / LIES % LIES],
                                               .xidle_ns = lies[i / LIES / LIES % LIES],
                                               .xended_at = lies[i / LIES / LIES / LIES]};
        uint64_t now = brg__now_real();
        brg_usage usage = read_usage();
        assert_true(usage.busy_ns <= brg__now_real() && usage.idle_ns <= brg__now_real());
        assert_true(usage.busy_ns + usage.idle_ns <= brg__now_real());
        assert_true(now != 0);
    }
}

static void deltas_never_wrap(void **state)
{
    (void)state;
    brg_usage earlier = {.size = sizeof(earlier), .cpu_ns = 10, .busy_ns = 30, .idle_ns = 10, .tasks = 1};
    brg_usage later = {
        .size = sizeof(later), .cpu_ns = 15, .busy_ns = 60, .idle_ns = 20, .tasks = 4, .messages = 2, .rss_bytes = 9};
    brg_usage delta = {.size = sizeof(delta)};
    brg_usage_delta(&later, &earlier, &delta);
    assert_int_equal(delta.cpu_ns, 5);
    assert_int_equal(delta.tasks, 3);
    assert_int_equal(delta.messages, 2);
    assert_int_equal(delta.rss_bytes, 9);
    assert_true(brg_usage_utilization(&delta) > 0.749 && brg_usage_utilization(&delta) < 0.751);
    brg_usage_delta(&earlier, &later, &earlier);
    assert_int_equal(earlier.cpu_ns, 0);
    assert_int_equal(earlier.tasks, 0);
}

static void readers_may_be_older(void **state)
{
    (void)state;
    brg_usage usage;
    memset(&usage, 0x55, sizeof(usage));
    usage.size = offsetof(brg_usage, tasks);
    assert_int_equal(brg_worker_usage(&worker, &usage), BRG_OK);
    assert_int_equal(usage.size, offsetof(brg_usage, tasks));
    assert_int_equal(usage.tasks, UINT64_C(0x5555555555555555));
    usage.size = 0;
    assert_int_equal(brg_worker_usage(&worker, &usage), BRG_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_before_online, fresh),   cmocka_unit_test_setup(busy_and_idle_add_up, fresh),
        cmocka_unit_test_setup(lies_stay_within_bounds, fresh), cmocka_unit_test_setup(deltas_never_wrap, fresh),
        cmocka_unit_test_setup(readers_may_be_older, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
