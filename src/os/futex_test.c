/* SPDX-License-Identifier: MIT */
#include "os/test_support.h"

#include "os/atomic.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/futex.h"
#include "os/thread.h"

typedef struct waiter {
    uint32_t xword;
    uint32_t xstarted;
    uint64_t deadline_ns;
    bool result; /* of the last wait; read after the join */
} waiter;

/* Waits until the word changes or the deadline passes. */
static void wait_for_change(void *argument)
{
    waiter *self = argument;
    brg_store_release(&self->xstarted, 1u);
    self->result = true;
    while (self->result && brg_load_acquire(&self->xword) == 0)
        self->result = brg__futex_wait(&self->xword, 0, self->deadline_ns, BRG__FUTEX_PRIVATE);
}

static void start(waiter *waiting, brg__thread *thread)
{
    assert_int_equal(brg__thread_start(thread, "waiter", 0, wait_for_change, waiting, NULL), BRG_OK);
    while (brg_load_acquire(&waiting->xstarted) == 0)
        brg__cpu_pause();
}

static void wake(waiter *waiting)
{
    brg_store_release(&waiting->xword, 1u);
    brg__futex_wake(&waiting->xword, 1, BRG__FUTEX_PRIVATE);
}

static void wake_ends_a_wait(void **state)
{
    (void)state;
    const uint64_t deadlines[] = {UINT64_MAX, brg__deadline(TEST_BOUND_NS)};
    for (int i = 0; i < 2; i++) {
        waiter waiting = {.deadline_ns = deadlines[i]};
        brg__thread thread;
        start(&waiting, &thread);
        wake(&waiting);
        brg__thread_join(&thread);
        assert_true(waiting.result);
    }
}

static void other_value_does_not_wait(void **state)
{
    (void)state;
    uint32_t word = 5;
    assert_true(brg__futex_wait(&word, 4, UINT64_MAX, BRG__FUTEX_PRIVATE));
    assert_true(brg__futex_wait(&word, 4, UINT64_MAX, BRG__FUTEX_SHARED));
}

static void passed_deadline_ends_a_wait(void **state)
{
    (void)state;
    uint32_t word = 0;
    uint64_t before = brg__now();
    assert_false(brg__futex_wait(&word, 0, 0, BRG__FUTEX_PRIVATE));
    assert_false(brg__futex_wait(&word, 0, before, BRG__FUTEX_SHARED));
    /* Not before its time. */
    uint64_t deadline = brg__deadline(2000000);
    while (brg__futex_wait(&word, 0, deadline, BRG__FUTEX_PRIVATE))
        ;
    assert_true(brg__now() >= deadline);
}

static void deadlines_saturate(void **state)
{
    (void)state;
    assert_true(brg__deadline(UINT64_MAX) == UINT64_MAX);
    assert_true(brg__deadline(UINT64_MAX - 1) == UINT64_MAX);
    assert_true(brg__deadline(0) <= brg__now());
}

static void fake_time_decides_a_timeout(void **state)
{
    (void)state;
    brg__fake_clock_install(1000);
    assert_true(brg__now() == 1000);
    waiter woken = {.deadline_ns = brg__deadline(10)}, late = {.deadline_ns = brg__deadline(11)};
    brg__thread woken_thread, late_thread;
    start(&woken, &woken_thread);
    start(&late, &late_thread);
    /* However long it really takes, fake time stands: many kernel waits of a fake deadline go by here. */
    for (uint64_t until = brg__now_real() + 10000000; brg__now_real() < until;)
        brg__cpu_pause();
    brg__fake_clock_advance(9);
    assert_true(brg__now() == 1009);
    wake(&woken);
    brg__thread_join(&woken_thread);
    assert_true(woken.result);
    brg__fake_clock_advance(2);
    brg__thread_join(&late_thread);
    assert_false(late.result);
    brg__fake_clock_remove();
    assert_true(brg__now() > 1011);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wake_ends_a_wait),
        cmocka_unit_test(other_value_does_not_wait),
        cmocka_unit_test(passed_deadline_ends_a_wait),
        cmocka_unit_test(deadlines_saturate),
        cmocka_unit_test(fake_time_decides_a_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
