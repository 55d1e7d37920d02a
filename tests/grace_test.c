/* SPDX-License-Identifier: MIT */
/* The grace of tasks that are asked to end, where the program itself does not run for longer than that. */
#include "scenario.h"

#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include <brigade/policy.h>

#define GRACE BRG_MILLISECONDS(500)

static atomic_bool asked, passed;

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * BRG_SECONDS(1) + (uint64_t)time.tv_nsec;
}

/* Holds the supervisor until the grace is long over. */
static uint32_t hold_target(void *state, const brg_load *load)
{
    (void)state;
    if (atomic_load(&asked) && !atomic_load(&passed)) {
        for (uint64_t end = now() + GRACE + BRG_MILLISECONDS(100); now() < end;)
            sched_yield();
        atomic_store(&passed, true);
    }
    return load->workers_max;
}

/* Listens, and needs a little more once the program runs again. */
static brg_status listen_task(brg_context *context, void *argument)
{
    (void)argument;
    while (!brg_context_cancelled(context))
        sched_yield();
    atomic_store(&asked, true);
    while (!atomic_load(&passed))
        sched_yield();
    for (uint64_t end = now() + BRG_MILLISECONDS(10); now() < end;)
        sched_yield();
    return BRG_CANCELLED;
}

static void a_grace_is_not_over_while_nothing_runs(void **state)
{
    static const brg_scaling_policy holds = {.size = sizeof(holds), .name = "holds", .target = hold_target};
    (void)state;
    brg_task *task = NULL;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2, .workers_min = 1, .scaling = &holds,
                                                          .grace_ns = GRACE,
                                                          .scaling_interval_ns = BRG_MILLISECONDS(1)));
    assert_int_equal(
        brg_pool_submit_call(pool, listen_task, NULL, brg_submit_opts(.run_timeout_ns = BRG_MILLISECONDS(1)), &task),
        BRG_OK);
    assert_int_equal(scenario_result(task)->status, BRG_TIMED_OUT);
    assert_int_equal(scenario_stats(pool).workers_killed, 0);
    brg_task_unref(task);
    brg_pool_destroy(pool);
    assert_int_equal(brg_workers_lost(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_grace_is_not_over_while_nothing_runs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
