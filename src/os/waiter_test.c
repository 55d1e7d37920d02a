/* SPDX-License-Identifier: MIT */
#include "os/test_support.h"

#include "os/atomic.h"
#include "os/clock.h"
#include "os/waiter.h"

typedef struct place {
    uint32_t xturn;
    brg__waiter *xwaiters[2];
    uint32_t looks, unlooks;
} place;

typedef struct seat {
    place *at;
    uint32_t side;
    bool lost;
} seat;

#define ROUNDS 3000u

static bool is_my_turn(void *argument)
{
    const seat *self = argument;
    return brg_load_acquire(&self->at->xturn) % 2 == self->side;
}

static void play(void *argument)
{
    seat *self = argument;
    brg__waiter *waiter = brg__waiter_current();
    brg_store_seq_cst(&self->at->xwaiters[self->side], waiter);
    const brg__wait wait = {.ready = is_my_turn, .argument = self};
    for (uint32_t i = 0; i < ROUNDS && !self->lost; i++) {
        self->lost = !brg__waiter_wait(waiter, &wait, brg__deadline(TEST_BOUND_NS));
        brg_add_acq_rel(&self->at->xturn, 1u);
        brg__waiter *other = brg_load_seq_cst(&self->at->xwaiters[1 - self->side]);
        if (other != NULL)
            brg__waiter_wake(other);
    }
}

static void no_wake_is_lost(void **state)
{
    (void)state;
    place shared = {0};
    seat seats[2] = {{.at = &shared, .side = 0}, {.at = &shared, .side = 1}};
    shared.xwaiters[0] = brg__waiter_current();
    brg__thread other;
    assert_int_equal(brg__thread_start(&other, "other", 0, play, &seats[1], NULL), BRG_OK);
    play(&seats[0]);
    brg__thread_join(&other);
    assert_false(seats[0].lost || seats[1].lost);
    assert_int_equal(shared.xturn, 2 * ROUNDS);
}

static void note_waiter(void *argument) { *(brg__waiter **)argument = brg__waiter_current(); }

static void waiter_is_the_threads_own_and_is_handed_on(void **state)
{
    (void)state;
    brg__waiter *mine = brg__waiter_current(), *first = NULL, *second = NULL;
    assert_non_null(mine);
    assert_ptr_equal(brg__waiter_current(), mine);
    brg__thread thread;
    assert_int_equal(brg__thread_start(&thread, "one", 0, note_waiter, &first, NULL), BRG_OK);
    brg__thread_join(&thread);
    assert_ptr_not_equal(first, mine);
    brg__waiter_wake(first); /* late: harms nobody */
    assert_int_equal(brg__thread_start(&thread, "two", 0, note_waiter, &second, NULL), BRG_OK);
    brg__thread_join(&thread);
    assert_ptr_equal(second, first);
}

static bool is_never(void *argument)
{
    (void)argument;
    return false;
}
static void count_look(void *argument) { ((place *)argument)->looks++; }
static void count_unlook(void *argument) { ((place *)argument)->unlooks++; }

static void deadline_ends_a_wait_after_looking(void **state)
{
    (void)state;
    place here = {0};
    const brg__wait wait = {.ready = is_never, .look = count_look, .unlook = count_unlook, .argument = &here};
    assert_false(brg__waiter_wait(brg__waiter_current(), &wait, brg__deadline(1000)));
    assert_true(here.looks >= 2);
    assert_int_equal(here.unlooks, 1);
}

static bool was_unlooked(void *argument) { return ((place *)argument)->unlooks > 0; }

static void ready_is_asked_again_after_unlook(void **state)
{
    (void)state;
    place here = {0};
    const brg__wait wait = {.ready = was_unlooked, .unlook = count_unlook, .argument = &here};
    assert_true(brg__waiter_wait(brg__waiter_current(), &wait, UINT64_MAX));
    assert_int_equal(here.unlooks, 1);
}

static bool has_missed_twice(void *argument) { return ((place *)argument)->looks >= 2; }

static void long_sleeps_are_interrupted_to_look_after_the_owner(void **state)
{
    (void)state;
    place here = {0};
    brg__waiter *waiter = brg__waiter_current();
    waiter->look_every_ns = 100000;
    waiter->missed = count_look;
    waiter->argument = &here;
    const brg__wait wait = {.ready = has_missed_twice, .argument = &here};
    assert_true(brg__waiter_wait(waiter, &wait, UINT64_MAX));
    waiter->look_every_ns = UINT64_MAX;
    waiter->missed = NULL;
    assert_int_equal(here.looks, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_wake_is_lost),
        cmocka_unit_test(waiter_is_the_threads_own_and_is_handed_on),
        cmocka_unit_test(deadline_ends_a_wait_after_looking),
        cmocka_unit_test(ready_is_asked_again_after_unlook),
        cmocka_unit_test(long_sleeps_are_interrupted_to_look_after_the_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
