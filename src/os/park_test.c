/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/test_support.h"

#include <sched.h>

#include "os/clock.h"
#include "os/fd.h"
#include "os/memory.h"
#include "os/park.h"

#define ROUNDS 3000

/* Two sides that hand a turn back and forth; each word and gate has one writer. */
typedef struct table {
    struct {
        brg__gate gate;
        uint32_t xturn; /* how many turns this side was given */
    } sides[2];
    brg__futex_scope scope;
    uint64_t spin_ns;
} table;

typedef struct seat {
    table *at;
    int side;
    bool lost; /* a wait reached its bound */
} seat;

typedef struct wanted {
    const uint32_t *word;
    uint32_t value;
} wanted;

static bool has_come(void *argument)
{
    const wanted *want = argument;
    return brg_load_acquire(want->word) >= want->value;
}

static bool await_turn(table *at, int side, brg__spinner *spinner, uint32_t round)
{
    wanted want = {.word = &at->sides[side].xturn, .value = round};
    brg__gate *gate = &at->sides[side].gate;
    while (!brg__spinner_spin(spinner, &at->sides[!side].gate.xcpu, has_come, &want)) {
        brg__gate_prepare(gate);
        if (has_come(&want))
            brg__gate_cancel(gate);
        else if (!brg__gate_wait(gate, brg__deadline(TEST_BOUND_NS), at->scope))
            return false;
    }
    return true;
}

static void play(void *argument)
{
    seat *self = argument;
    table *at = self->at;
    brg__spinner spinner;
    brg__spinner_init(&spinner, at->spin_ns);
    for (uint32_t round = 1; round <= ROUNDS && !self->lost; round++) {
        if (self->side == 1 && !await_turn(at, 1, &spinner, round))
            self->lost = true;
        brg_add_acq_rel(&at->sides[!self->side].xturn, 1u);
        brg__gate_wake(&at->sides[!self->side].gate, at->scope);
        if (self->side == 0 && !await_turn(at, 0, &spinner, round))
            self->lost = true;
    }
}

static void play_in_child(void *argument)
{
    seat *self = argument;
    play(self);
    child_check(!self->lost);
}

static void no_wake_is_lost_between_threads(void **state)
{
    (void)state;
    const uint64_t spins[] = {0, 3000, 50000};
    for (int i = 0; i < 3; i++) {
        table shared = {.scope = BRG__FUTEX_PRIVATE, .spin_ns = spins[i]};
        seat seats[2] = {{.at = &shared, .side = 0}, {.at = &shared, .side = 1}};
        brg__thread other;
        assert_int_equal(brg__thread_start(&other, "other", 0, play, &seats[1], NULL), BRG_OK);
        play(&seats[0]);
        brg__thread_join(&other);
        assert_false(seats[0].lost || seats[1].lost);
        assert_int_equal(shared.sides[0].xturn, ROUNDS);
        assert_int_equal(shared.sides[1].xturn, ROUNDS);
    }
}

static void no_wake_is_lost_between_processes(void **state)
{
    (void)state;
    const uint64_t spins[] = {0, 50000};
    for (int i = 0; i < 2; i++) {
        int fd = -1;
        void *memory = NULL;
        assert_int_equal(brg__memfd_create(&fd, "table", sizeof(table), NULL), BRG_OK);
        assert_int_equal(brg__map_shared(&memory, fd, sizeof(table), NULL), BRG_OK);
        table *shared = memory;
        shared->scope = BRG__FUTEX_SHARED;
        shared->spin_ns = spins[i];
        seat seats[2] = {{.at = shared, .side = 0}, {.at = shared, .side = 1}};
        pid_t child = test_fork(play_in_child, &seats[1]);
        play(&seats[0]);
        assert_int_equal(test_wait(child), 0);
        assert_false(seats[0].lost);
        assert_int_equal(shared->sides[0].xturn, ROUNDS);
        brg__unmap(memory, sizeof(table));
        brg__fd_close(&fd);
    }
}

static void wake_is_free_when_nobody_sleeps(void **state)
{
    (void)state;
    brg__gate gate = {0};
    assert_false(brg__gate_wake(&gate, BRG__FUTEX_PRIVATE));
    brg__gate_prepare(&gate);
    brg__gate_cancel(&gate);
    assert_false(brg__gate_wake(&gate, BRG__FUTEX_PRIVATE));
}

static void wake_between_prepare_and_wait_is_kept(void **state)
{
    (void)state;
    brg__gate gate = {0};
    brg__gate_prepare(&gate);
    assert_true(brg__gate_wake(&gate, BRG__FUTEX_PRIVATE));
    assert_false(brg__gate_wake(&gate, BRG__FUTEX_PRIVATE));
    assert_true(brg__gate_wait(&gate, UINT64_MAX, BRG__FUTEX_PRIVATE));
    assert_int_not_equal(gate.xcpu, 0);
}

static void deadline_ends_a_wait_and_clears_the_mark(void **state)
{
    (void)state;
    brg__gate gate = {0};
    brg__gate_prepare(&gate);
    assert_false(brg__gate_wait(&gate, brg__now(), BRG__FUTEX_PRIVATE));
    assert_int_equal(gate.xsleeping, 0);
    assert_false(brg__gate_wake(&gate, BRG__FUTEX_PRIVATE));
}

/* No stop of the thread between two looks ends such a spin. */
#define SPIN_LONG_NS (UINT64_MAX / 4)

static bool count_and_say(void *argument)
{
    int *left = argument; /* looks until it is ready */
    return --*left <= 0;
}

static void spinner_that_may_not_spin_looks_once(void **state)
{
    (void)state;
    brg__spinner spinner;
    brg__spinner_init(&spinner, 0);
    int looks = 3;
    assert_false(brg__spinner_spin(&spinner, NULL, count_and_say, &looks));
    assert_int_equal(looks, 2);
}

static void spinner_sees_an_answer(void **state)
{
    (void)state;
    brg__spinner spinner = {.max_ns = SPIN_LONG_NS, .budget_ns = SPIN_LONG_NS};
    int looks = 1000;
    assert_true(brg__spinner_spin(&spinner, NULL, count_and_say, &looks));
    assert_int_equal(looks, 0);
}

static void spinner_does_not_spin_against_a_peer_on_its_cpu(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    uint32_t cpu = brg__cpu_current();
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    brg__spinner spinner = {.max_ns = SPIN_LONG_NS, .budget_ns = SPIN_LONG_NS};
    uint32_t here = cpu + 1, elsewhere = cpu + 2, unknown = 0;
    int looks = 1000;
    assert_false(brg__spinner_spin(&spinner, &here, count_and_say, &looks));
    assert_int_equal(looks, 999);
    assert_true(brg__spinner_spin(&spinner, &elsewhere, count_and_say, &looks));
    looks = 1000;
    assert_true(brg__spinner_spin(&spinner, &unknown, count_and_say, &looks));
    sched_setaffinity(0, sizeof(before), &before);
}

static void spinner_stops_where_it_does_not_pay_and_tries_again(void **state)
{
    (void)state;
    brg__spinner spinner = {.max_ns = 20000, .budget_ns = 20000};
    int never = INT32_MAX, soon, misses = 0;
    while (spinner.budget_ns > 0) {
        uint64_t before = spinner.budget_ns;
        assert_false(brg__spinner_spin(&spinner, NULL, count_and_say, &never));
        assert_true(spinner.budget_ns < before);
        assert_true(++misses < 64);
    }
    /* Within the next probes one spin comes that would see an answer after its first look. */
    int tries = 0;
    do
        soon = 2;
    while (!brg__spinner_spin(&spinner, NULL, count_and_say, &soon) && ++tries < 100);
    assert_in_range(tries, 1, 99);
    assert_true(spinner.budget_ns > 0);
    for (int i = 0; i < 10; i++) {
        soon = 2;
        assert_true(brg__spinner_spin(&spinner, NULL, count_and_say, &soon));
    }
    assert_true(spinner.budget_ns == spinner.max_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_wake_is_lost_between_threads),
        cmocka_unit_test(no_wake_is_lost_between_processes),
        cmocka_unit_test(wake_is_free_when_nobody_sleeps),
        cmocka_unit_test(wake_between_prepare_and_wait_is_kept),
        cmocka_unit_test(deadline_ends_a_wait_and_clears_the_mark),
        cmocka_unit_test(spinner_that_may_not_spin_looks_once),
        cmocka_unit_test(spinner_sees_an_answer),
        cmocka_unit_test(spinner_does_not_spin_against_a_peer_on_its_cpu),
        cmocka_unit_test(spinner_stops_where_it_does_not_pay_and_tries_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
