/* SPDX-License-Identifier: MIT */
/* The life of a worker, every state by every event, written down once more by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/life.h"

#define STATES (BRG_WORKER_LOST + 1)

static void every_state_by_every_event(void **state)
{
    (void)state;
    static const struct {
        brg_worker_state from;
        brg__life_event event;
        brg_worker_state to;
    } expected[] = {
        {BRG_WORKER_STARTING, BRG__LIFE_STARTED, BRG_WORKER_ONLINE},
        {BRG_WORKER_STARTING, BRG__LIFE_ASKED, BRG_WORKER_STOPPING},
        {BRG_WORKER_STARTING, BRG__LIFE_ENDED, BRG_WORKER_EXITED},
        {BRG_WORKER_STARTING, BRG__LIFE_ABANDONED, BRG_WORKER_LOST},
        {BRG_WORKER_ONLINE, BRG__LIFE_STARTED, BRG_WORKER_ONLINE},
        {BRG_WORKER_ONLINE, BRG__LIFE_ASKED, BRG_WORKER_STOPPING},
        {BRG_WORKER_ONLINE, BRG__LIFE_ENDED, BRG_WORKER_EXITED},
        {BRG_WORKER_ONLINE, BRG__LIFE_ABANDONED, BRG_WORKER_LOST},
        {BRG_WORKER_STOPPING, BRG__LIFE_STARTED, BRG_WORKER_STOPPING}, /* asked while it started: no way back */
        {BRG_WORKER_STOPPING, BRG__LIFE_ASKED, BRG_WORKER_STOPPING},
        {BRG_WORKER_STOPPING, BRG__LIFE_ENDED, BRG_WORKER_EXITED},
        {BRG_WORKER_STOPPING, BRG__LIFE_ABANDONED, BRG_WORKER_LOST},
    };
    assert_int_equal(sizeof(expected) / sizeof(expected[0]), 3 * BRG__LIFE_EVENT_COUNT);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_int_equal(brg__life_next(expected[i].from, expected[i].event), expected[i].to);
}

static void the_end_is_the_end(void **state)
{
    (void)state;
    for (int event = 0; event < BRG__LIFE_EVENT_COUNT; event++) {
        assert_int_equal(brg__life_next(BRG_WORKER_EXITED, (brg__life_event)event), BRG_WORKER_EXITED);
        assert_int_equal(brg__life_next(BRG_WORKER_LOST, (brg__life_event)event), BRG_WORKER_LOST);
    }
}

/* Waiting for "at least this state" relies on it. */
static void states_only_grow(void **state)
{
    (void)state;
    for (int from = 0; from < STATES; from++)
        for (int event = 0; event < BRG__LIFE_EVENT_COUNT; event++)
            assert_true((int)brg__life_next((brg_worker_state)from, (brg__life_event)event) >= from);
}

static void states_have_names(void **state)
{
    (void)state;
    static const char *const names[STATES] = {"starting", "online", "stopping", "exited", "lost"};
    for (int i = 0; i < STATES; i++)
        assert_string_equal(brg_worker_state_name((brg_worker_state)i), names[i]);
    assert_string_equal(brg_worker_state_name((brg_worker_state)STATES), "?");
    assert_string_equal(brg_worker_state_name((brg_worker_state)-1), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_by_every_event),
        cmocka_unit_test(the_end_is_the_end),
        cmocka_unit_test(states_only_grow),
        cmocka_unit_test(states_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
