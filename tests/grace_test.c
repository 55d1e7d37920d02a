/* SPDX-License-Identifier: MIT */
/*
 * The grace of tasks that are asked to end, where the program itself does not run for longer than that. Time is a
 * number here, which moves only where the test says so: however slow the machine, no other grace runs out.
 */
#include "scenario.h"

#include <sched.h>
#include <stdatomic.h>

#include <brigade/policy.h>

#include "os/fault.h"

#define GRACE BRG_MILLISECONDS(500)
#define LOOK BRG_MILLISECONDS(1) /* how often the supervisor asks how many workers there should be */

static atomic_bool asked, passed;
static atomic_int looks; /* of the supervisor, since then */

/* The supervisor is in here while the grace passes, and looks at the task the next time it comes. */
static uint32_t hold_target(void *state, const brg_load *load)
{
    (void)state;
    if (atomic_load(&passed)) {
        atomic_fetch_add(&looks, 1);
    } else if (atomic_load(&asked)) {
        brg__fake_clock_advance(GRACE + BRG_MILLISECONDS(100));
        atomic_store(&passed, true);
    }
    return load->workers_max;
}

/* Listens, and needs a little more once the program runs again: until the supervisor has seen how late it is. */
static brg_status listen_task(brg_context *context, void *argument)
{
    (void)argument;
    brg__fake_clock_advance(2 * LOOK); /* its run timeout */
    while (!brg_context_cancelled(context))
        sched_yield();
    atomic_store(&asked, true);
    brg__fake_clock_advance(2 * LOOK);
    while (atomic_load(&looks) == 0)
        sched_yield();
    return BRG_CANCELLED;
}

static void a_grace_is_not_over_while_nothing_runs(void **state)
{
    static const brg_scaling_policy holds = {.size = sizeof(holds), .name = "holds", .target = hold_target};
    (void)state;
    brg_task *task = NULL;
    brg__fake_clock_install(BRG_SECONDS(1000)); /* to the end: there is no other test here */
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2, .workers_min = 1, .scaling = &holds,
                                                          .grace_ns = GRACE, .scaling_interval_ns = LOOK));
    assert_int_equal(brg_pool_submit_call(pool, listen_task, NULL, brg_submit_opts(.run_timeout_ns = LOOK), &task),
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
