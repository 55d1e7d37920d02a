/* SPDX-License-Identifier: MIT */
/* Wait and notify, after the behaviour that test262 checks of Atomics.wait and Atomics.notify. */
#include "message/shared_fixture.h"

#define WAITERS 8

typedef struct waiter {
    brg_shared *shared;
    size_t offset;
    uint64_t timeout_ns;
    uint32_t *xnext;
    uint32_t rank;
    brg_status status;
    brg__thread thread;
} waiter;

static void wait_body(void *argument)
{
    waiter *self = argument;
    self->status = brg_shared_wait32(self->shared, self->offset, 0, self->timeout_ns);
    self->rank = brg_add_seq_cst(self->xnext, 1u);
}

static void waiter_start(waiter *self)
{
    assert_int_equal(brg__thread_start(&self->thread, "waiter", 0, wait_body, self, NULL), BRG_OK);
}

/* One after the other, each once the one before stands in the table. */
static void start_all(waiter *waiters, uint32_t count, brg_shared *shared, size_t offset, uint32_t *xnext)
{
    for (uint32_t i = 0; i < count; i++) {
        waiters[i] = (waiter){.shared = shared, .offset = offset, .timeout_ns = BOUND, .xnext = xnext};
        waiter_start(&waiters[i]);
        until_waiting(shared, i + 1);
    }
}

static uint32_t notify(brg_shared *shared, size_t offset, uint32_t count)
{
    uint32_t woken = UINT32_MAX;
    assert_int_equal(brg_shared_notify(shared, offset, count, &woken), BRG_OK);
    return woken;
}

static void another_value_is_told_at_once(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64);
    brg_shared_store64(shared, 8, (uint64_t)1 << 32);
    assert_int_equal(brg_shared_wait32(shared, 0, 1, BRG_FOREVER), BRG_NOT_EQUAL);
    assert_int_equal(brg_shared_wait64(shared, 8, 0, BRG_FOREVER), BRG_NOT_EQUAL);
    /* Half of the number is equal: that is not enough for 64 bits. */
    assert_int_equal(brg_shared_wait32(shared, 8, 0, 1), BRG_TIMED_OUT);
    assert_int_equal(brg_shared_wait64(shared, 8, (uint64_t)1 << 32, 1), BRG_TIMED_OUT);
    assert_int_equal(brg_shared_wait32(shared, 0, 0, 0), BRG_TIMED_OUT);
    assert_int_equal(brg_shared_wait32(shared, 0, 1, 0), BRG_NOT_EQUAL);
    brg_shared_unref(shared);
}

static void bad_places_are_errors(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64);
    assert_int_equal(brg_shared_wait32(shared, 64, 0, 0), BRG_RANGE);
    assert_int_equal(brg_shared_wait32(shared, 2, 0, 0), BRG_INVALID);
    assert_int_equal(brg_shared_wait64(shared, 60, 0, 0), BRG_RANGE);
    assert_int_equal(brg_shared_wait64(shared, 4, 0, 0), BRG_INVALID);
    uint32_t woken = 5;
    assert_int_equal(brg_shared_notify(shared, 64, 1, &woken), BRG_RANGE);
    assert_int_equal(brg_shared_notify(shared, SIZE_MAX - 3, 1, &woken), BRG_RANGE);
    assert_int_equal(brg_shared_notify(shared, 1, 1, &woken), BRG_INVALID);
    assert_int_equal(woken, 5);
    brg_shared_unref(shared);
}

static void nobody_waits_nobody_wakes(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64);
    assert_int_equal(notify(shared, 0, 0), 0);
    assert_int_equal(notify(shared, 0, UINT32_MAX), 0);
    brg_shared_unref(shared);
}

static void waiters_wake_in_the_order_they_came(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64);
    waiter waiters[WAITERS];
    uint32_t xnext = 0;
    start_all(waiters, WAITERS, shared, 4, &xnext);
    for (uint32_t i = 0; i < WAITERS; i++) {
        assert_int_equal(notify(shared, 4, 1), 1);
        brg__thread_join(&waiters[i].thread); /* it is this one that woke */
        assert_int_equal(waiters[i].status, BRG_OK);
        assert_int_equal(waiters[i].rank, i);
    }
    assert_int_equal(notify(shared, 4, 1), 0);
    brg_shared_unref(shared);
}

static void notify_counts(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64);
    waiter waiters[WAITERS];
    uint32_t xnext = 0;
    start_all(waiters, WAITERS, shared, 4, &xnext);
    assert_int_equal(notify(shared, 4, 0), 0);
    assert_int_equal(notify(shared, 0, UINT32_MAX), 0); /* another place */
    assert_int_equal(notify(shared, 8, UINT32_MAX), 0);
    assert_int_equal(brg_load_seq_cst(&xnext), 0);
    assert_int_equal(notify(shared, 4, 3), 3);
    for (int i = 0; i < 3; i++)
        brg__thread_join(&waiters[i].thread);
    until_waiting(shared, WAITERS - 3);
    assert_int_equal(brg_load_seq_cst(&xnext), 3);
    assert_int_equal(notify(shared, 4, UINT32_MAX), WAITERS - 3);
    for (int i = 3; i < WAITERS; i++)
        brg__thread_join(&waiters[i].thread);
    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(waiters[i].status, BRG_OK);
    brg_shared_unref(shared);
}

static void one_that_timed_out_is_not_counted(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64);
    waiter waiters[2];
    uint32_t xnext = 0;
    waiters[0] = (waiter){.shared = shared, .timeout_ns = BRG_MILLISECONDS(1), .xnext = &xnext};
    waiter_start(&waiters[0]);
    brg__thread_join(&waiters[0].thread);
    assert_int_equal(waiters[0].status, BRG_TIMED_OUT);
    start_all(waiters + 1, 1, shared, 0, &xnext);
    assert_int_equal(notify(shared, 0, 2), 1);
    brg__thread_join(&waiters[1].thread);
    assert_int_equal(waiters[1].status, BRG_OK);
    brg_shared_unref(shared);
}

static void a_change_without_notify_wakes_nobody(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64);
    waiter one;
    uint32_t xnext = 0;
    start_all(&one, 1, shared, 0, &xnext);
    for (int i = 0; i < 1000; i++)
        brg_shared_add32(shared, 0, 1, NULL);
    sched_yield();
    assert_int_equal(brg_load_seq_cst(&xnext), 0);
    assert_int_equal(brg_load_seq_cst(&shared->header->xwaiters), 1);
    assert_int_equal(notify(shared, 0, 1), 1);
    brg__thread_join(&one.thread);
    assert_int_equal(one.status, BRG_OK);
    brg_shared_unref(shared);
}

static void a_place_wakes_both_widths(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64);
    const brg__wait_key narrow = {.width = 4}, wide = {.width = 8};
    uint32_t first = 0, second = 0;
    assert_int_equal(brg__shared_enqueue(shared, &wide, false, &first), BRG_OK);
    assert_int_equal(brg__shared_enqueue(shared, &narrow, false, &second), BRG_OK);
    assert_int_equal(notify(shared, 0, 1), 1);
    assert_int_equal(shared->header->slots[first].xstate, BRG__SLOT_NOTIFIED);
    assert_int_equal(shared->header->slots[second].xstate, BRG__SLOT_WAITING);
    assert_int_equal(notify(shared, 0, 2), 1);
    assert_int_equal(shared->header->slots[second].xstate, BRG__SLOT_NOTIFIED);
    brg_shared_unref(shared);
}

static void the_table_is_bounded_and_drains_in_order(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64);
    const brg__wait_key key = {.width = 4};
    uint32_t index = 0;
    for (uint32_t i = 0; i < BRG_SHARED_WAITERS_MAX; i++)
        assert_int_equal(brg__shared_enqueue(shared, &key, false, &index), BRG_OK);
    assert_int_equal(brg_shared_wait32(shared, 0, 0, BOUND), BRG_FULL);
    assert_int_equal(brg_shared_wait32(shared, 0, 1, BOUND), BRG_NOT_EQUAL);
    assert_int_equal(notify(shared, 0, 700), 700);
    assert_int_equal(shared->header->slots[699].xstate, BRG__SLOT_NOTIFIED);
    assert_int_equal(shared->header->slots[700].xstate, BRG__SLOT_WAITING);
    assert_int_equal(notify(shared, 0, UINT32_MAX), BRG_SHARED_WAITERS_MAX - 700);
    assert_int_equal(shared->header->xwaiters, 0);
    brg_shared_unref(shared);
}

/* ---- no wake-up is lost ------------------------------------------------------------------------------------ */

#define ROUNDS 20000

static void ping(brg_shared *shared, uint64_t side)
{
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t turn;
        while (brg_shared_load64(shared, 0, &turn), turn % 2 != side) {
            brg_status status = brg_shared_wait64(shared, 0, turn, BOUND);
            child_check(status == BRG_OK || status == BRG_NOT_EQUAL);
        }
        brg_shared_add64(shared, 0, 1, NULL);
        brg_shared_notify(shared, 0, 1, NULL);
    }
}

static void ping_body(void *argument) { ping(argument, 1); }
static void ping_in_child(brg_shared *shared) { ping(shared, 1); }

static void no_wake_is_lost_between_threads(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64);
    brg__thread other;
    assert_int_equal(brg__thread_start(&other, "other", 0, ping_body, shared, NULL), BRG_OK);
    ping(shared, 0);
    brg__thread_join(&other);
    uint64_t turns = 0;
    brg_shared_load64(shared, 0, &turns);
    assert_int_equal(turns, 2 * ROUNDS);
    assert_int_equal(shared->header->xwaiters, 0);
    brg_shared_unref(shared);
}

static void no_wake_is_lost_between_processes(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64);
    stranger other;
    stranger_start(&other, shared, ping_in_child);
    ping(shared, 0);
    stranger_must_succeed(&other);
    uint64_t turns = 0;
    brg_shared_load64(shared, 0, &turns);
    assert_int_equal(turns, 2 * ROUNDS);
    brg_shared_unref(shared);
}

/* Waits that race with their deadlines, notified at random: whoever was counted returns BRG_OK, and nobody else. */
static void race_body(void *argument)
{
    waiter *self = argument;
    for (int i = 0; i < 2000; i++)
        if (brg_shared_wait32(self->shared, 0, 0, (uint64_t)(i % 50) * 1000 + 1) == BRG_OK)
            self->rank++;
    brg_add_seq_cst(self->xnext, 1u);
}

static void counts_agree_when_deadlines_race(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64);
    waiter waiters[3];
    uint32_t xdone = 0, woken = 0, slept = 0;
    for (int i = 0; i < 3; i++) {
        waiters[i] = (waiter){.shared = shared, .xnext = &xdone};
        assert_int_equal(brg__thread_start(&waiters[i].thread, "race", 0, race_body, &waiters[i], NULL), BRG_OK);
    }
    for (uint32_t i = 0; brg_load_seq_cst(&xdone) < 3; i++) {
        woken += notify(shared, 0, 1 + i % 3);
        if (i % 16 == 0)
            sched_yield();
    }
    for (int i = 0; i < 3; i++) {
        brg__thread_join(&waiters[i].thread);
        slept += waiters[i].rank;
    }
    assert_int_equal(woken, slept);
    assert_int_equal(shared->header->xwaiters, 0);
    brg_shared_unref(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_wake_is_lost_between_processes), /* forks: before there are threads */
        cmocka_unit_test(another_value_is_told_at_once),
        cmocka_unit_test(bad_places_are_errors),
        cmocka_unit_test(nobody_waits_nobody_wakes),
        cmocka_unit_test(a_place_wakes_both_widths),
        cmocka_unit_test(the_table_is_bounded_and_drains_in_order),
        cmocka_unit_test(waiters_wake_in_the_order_they_came),
        cmocka_unit_test(notify_counts),
        cmocka_unit_test(one_that_timed_out_is_not_counted),
        cmocka_unit_test(a_change_without_notify_wakes_nobody),
        cmocka_unit_test(no_wake_is_lost_between_threads),
        cmocka_unit_test(counts_agree_when_deadlines_race),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
