/* SPDX-License-Identifier: MIT */
/* Process workers have tasks in their rings that they have not begun: nobody waits there behind a long one. */
#include "scenario.h"

#define MANY 64

static brg_task *submit(brg_pool *pool) { return scenario_submit(pool, "noop", NULL, NULL); }

static void succeeded(brg_task *task)
{
    assert_int_equal(scenario_result(task)->status, BRG_OK);
    brg_task_unref(task);
}

/* Short ones, so that several go to a worker at a time; and all workers are there. */
static brg_pool *pool_of_short_ones(void **state, const brg_placement_policy *placement)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 2, .placement = placement));
    while (scenario_stats(pool).workers_online < 2)
        succeeded(submit(pool));
    for (int i = 0; i < MANY; i++)
        succeeded(submit(pool));
    return pool;
}

/* It goes to a worker that has begun a long one. */
static void comes_after(void **state)
{
    brg_pool *pool = pool_of_short_ones(state, brg_placement_stealing);
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_task *longer = scenario_submit(pool, "noop", scenario_gate_input(&gate, true), NULL);
    scenario_gate_reached(&gate);
    brg_task *others[2] = {submit(pool), submit(pool)}; /* in turn: one of them comes to where the long one is */
    for (int i = 0; i < 2; i++)
        succeeded(others[i]);
    scenario_gate_release(&gate);
    succeeded(longer);
    scenario_gate_close(&gate);
    brg_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENARIO_PROCESS(comes_after)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
