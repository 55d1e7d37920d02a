/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/util.h"
#include "message/mailbox.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/thread.h"

#define SENDERS 4u
#define WAIT_LIMIT BRG_SECONDS(240) /* a wait this long means a lost wake-up */

/* Also called by sender threads, where cmocka's assertions do not work: they abort. */
static brg_value *value_new(int64_t number)
{
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    if (brg_builder_create(&builder, NULL) != BRG_OK)
        abort();
    brg_builder_int(builder, number);
    if (brg_builder_finish(builder, &value, NULL) != BRG_OK)
        abort();
    brg_builder_destroy(builder);
    return value;
}

static int64_t value_take(brg_value *value)
{
    int64_t number = -1;
    assert_int_equal(brg_view_int(brg_value_root(value), &number), BRG_OK);
    brg_value_unref(value);
    return number;
}

static void expect_pop(brg__mailbox *mailbox, int64_t number)
{
    brg_value *value = NULL;
    assert_int_equal(brg__mailbox_pop(mailbox, &value), BRG_OK);
    assert_int_equal(value_take(value), number);
}

static void expect_no_pop(brg__mailbox *mailbox, brg_status want)
{
    brg_value *value = NULL;
    assert_int_equal(brg__mailbox_pop(mailbox, &value), want);
    assert_null(value);
}

static void values_come_in_order_through_growth(void **state)
{
    (void)state;
    brg__mailbox mailbox;
    assert_int_equal(brg__mailbox_init(&mailbox, 1000, NULL, NULL), BRG_OK);
    int64_t sent = 0, received = 0;
    assert_true(brg__mailbox_is_empty(&mailbox));
    /* Two steps forward, one back: the slots grow while their start is anywhere. */
    while (sent - received < 998) {
        for (int i = 0; i < 2; i++)
            assert_int_equal(brg__mailbox_push(&mailbox, value_new(sent++), 0), BRG_OK);
        expect_pop(&mailbox, received++);
    }
    assert_false(brg__mailbox_is_empty(&mailbox));
    while (received < sent)
        expect_pop(&mailbox, received++);
    expect_no_pop(&mailbox, BRG_EMPTY);
    assert_true(brg__mailbox_is_empty(&mailbox));
    brg__mailbox_done(&mailbox);
    brg__mailbox_done(NULL);
}

static void full_mailbox_refuses(void **state)
{
    (void)state;
    brg__mailbox mailbox;
    assert_int_equal(brg__mailbox_init(&mailbox, 20, NULL, NULL), BRG_OK);
    for (int64_t i = 0; i < 20; i++)
        assert_int_equal(brg__mailbox_push(&mailbox, value_new(i), 0), BRG_OK);
    brg_value *extra = value_new(20);
    assert_int_equal(brg__mailbox_push(&mailbox, extra, 0), BRG_FULL);
    assert_int_equal(brg__mailbox_push(&mailbox, extra, 1), BRG_TIMED_OUT); /* long past */
    assert_int_equal(mailbox.senders_waiting, 0);
    expect_pop(&mailbox, 0);
    assert_int_equal(brg__mailbox_push(&mailbox, extra, 1), BRG_OK);
    for (int64_t i = 1; i <= 20; i++)
        expect_pop(&mailbox, i);
    brg__mailbox_done(&mailbox);
}

static void closed_mailbox_delivers_what_it_has(void **state)
{
    (void)state;
    brg__mailbox mailbox;
    assert_int_equal(brg__mailbox_init(&mailbox, 4, NULL, NULL), BRG_OK);
    assert_int_equal(brg__mailbox_push(&mailbox, value_new(1), 0), BRG_OK);
    brg__mailbox_close(&mailbox);
    brg_value *late = value_new(2);
    assert_int_equal(brg__mailbox_push(&mailbox, late, 0), BRG_CLOSED);
    assert_int_equal(brg__mailbox_push(&mailbox, late, BRG_FOREVER), BRG_CLOSED);
    expect_pop(&mailbox, 1);
    /* A receiver on its way to sleep must see that there is something to learn. */
    assert_false(brg__mailbox_is_empty(&mailbox));
    expect_no_pop(&mailbox, BRG_CLOSED);
    brg_value_unref(late);
    brg__mailbox_done(&mailbox);
}

/* LeakSanitizer and the counter tell. */
static void done_lets_go_of_what_is_left(void **state)
{
    (void)state;
    brg__mailbox mailbox;
    assert_int_equal(brg__mailbox_init(&mailbox, 4, NULL, NULL), BRG_OK);
    brg_value *value = value_new(7);
    for (int i = 0; i < 3; i++)
        assert_int_equal(brg__mailbox_push(&mailbox, brg_value_ref(value), 0), BRG_OK);
    brg__mailbox_done(&mailbox);
    assert_int_equal(value_take(value), 7);
}

static void failing_allocations_change_nothing(void **state)
{
    (void)state;
    brg__mailbox mailbox = {.capacity = 77};
    brg_error error = {0};
    brg__fault_arm("allocate", 1);
    assert_int_equal(brg__mailbox_init(&mailbox, 100, NULL, &error), BRG_NO_MEMORY);
    brg__fault_disarm();
    assert_int_equal(mailbox.capacity, 77);
    assert_int_equal(error.status, BRG_NO_MEMORY);

    assert_int_equal(brg__mailbox_init(&mailbox, 100, NULL, NULL), BRG_OK);
    unsigned failures = 0;
    for (int64_t i = 0; i < 100; i++) {
        brg_value *value = value_new(i);
        brg__fault_arm("allocate", 1);
        brg_status status = brg__mailbox_push(&mailbox, value, 0);
        brg__fault_disarm();
        if (status == BRG_OK)
            continue;
        assert_int_equal(status, BRG_NO_MEMORY);
        assert_int_equal(mailbox.xcount, i);
        assert_int_equal(brg__mailbox_push(&mailbox, value, 0), BRG_OK);
        failures++;
    }
    assert_true(failures > 1);
    for (int64_t i = 0; i < 100; i++)
        expect_pop(&mailbox, i);
    brg__mailbox_done(&mailbox);
}

/* --- threads --- */

typedef struct sender {
    brg__thread thread;
    brg__mailbox *mailbox;
    int64_t first, count;
    uint64_t deadline_ns;
    brg_status status; /* of its last push */
} sender;

static void sender_run(void *argument)
{
    sender *s = argument;
    for (int64_t i = 0; i < s->count; i++) {
        brg_value *value = value_new(s->first + i);
        s->status = brg__mailbox_push(s->mailbox, value, s->deadline_ns);
        if (s->status != BRG_OK) {
            brg_value_unref(value);
            return;
        }
    }
}

static void sender_start(sender *s, brg__mailbox *mailbox, int64_t first, int64_t count, uint64_t deadline_ns)
{
    *s = (sender){.mailbox = mailbox, .first = first, .count = count, .deadline_ns = deadline_ns};
    assert_int_equal(brg__thread_start(&s->thread, "sender", 0, sender_run, s, NULL), BRG_OK);
}

static bool receiver_wait(brg__mailbox *mailbox, brg__gate *gate)
{
    brg__gate_prepare(gate);
    if (!brg__mailbox_is_empty(mailbox)) {
        brg__gate_cancel(gate);
        return true;
    }
    return brg__gate_wait(gate, brg__deadline(WAIT_LIMIT), BRG__FUTEX_PRIVATE);
}

static void many_senders(uint32_t capacity, int64_t each)
{
    brg__mailbox mailbox;
    brg__gate gate = {0};
    sender senders[SENDERS];
    int64_t next[SENDERS] = {0};
    assert_int_equal(brg__mailbox_init(&mailbox, capacity, &gate, NULL), BRG_OK);
    for (uint32_t i = 0; i < SENDERS; i++)
        sender_start(&senders[i], &mailbox, (int64_t)i * 1000000, each, brg__deadline(WAIT_LIMIT));
    for (int64_t received = 0; received < SENDERS * each;) {
        brg_value *value;
        brg_status status = brg__mailbox_pop(&mailbox, &value);
        if (status == BRG_EMPTY) {
            assert_true(receiver_wait(&mailbox, &gate));
            continue;
        }
        assert_int_equal(status, BRG_OK);
        int64_t number = value_take(value), from = number / 1000000;
        assert_in_range(from, 0, SENDERS - 1);
        assert_int_equal(number % 1000000, next[from]);
        next[from]++;
        received++;
    }
    for (uint32_t i = 0; i < SENDERS; i++) {
        brg__thread_join(&senders[i].thread);
        assert_int_equal(senders[i].status, BRG_OK);
    }
    expect_no_pop(&mailbox, BRG_EMPTY);
    brg__mailbox_done(&mailbox);
}

static void order_per_sender_is_kept(void **state)
{
    (void)state;
    many_senders(UINT32_MAX, 20000);
}

static void senders_that_wait_all_get_in(void **state)
{
    (void)state;
    many_senders(1, 5000);
    many_senders(3, 5000);
}

/* Until `count` senders have let go of the lock on their way to sleep. */
static void await_waiting(brg__mailbox *mailbox, uint32_t count)
{
    uint64_t limit = brg__now_real() + WAIT_LIMIT;
    for (bool there = false; !there; brg__cpu_pause()) {
        brg__lock_acquire(&mailbox->lock);
        there = mailbox->senders_waiting == count;
        brg__lock_release(&mailbox->lock);
        assert_true(brg__now_real() < limit);
    }
}

static void room_lets_one_waiting_sender_in(void **state)
{
    (void)state;
    brg__mailbox mailbox;
    sender senders[2];
    assert_int_equal(brg__mailbox_init(&mailbox, 1, NULL, NULL), BRG_OK);
    assert_int_equal(brg__mailbox_push(&mailbox, value_new(0), 0), BRG_OK);
    for (int i = 0; i < 2; i++)
        sender_start(&senders[i], &mailbox, 1, 1, BRG_FOREVER);
    await_waiting(&mailbox, 2);
    expect_pop(&mailbox, 0);
    await_waiting(&mailbox, 1);
    assert_int_equal(mailbox.xcount, 1);
    expect_pop(&mailbox, 1);
    for (int i = 0; i < 2; i++)
        brg__thread_join(&senders[i].thread);
    expect_pop(&mailbox, 1);
    brg__mailbox_done(&mailbox);
}

static void waiting_senders_time_out(void **state)
{
    (void)state;
    brg__mailbox mailbox;
    sender senders[SENDERS];
    brg__fake_clock_install(BRG_SECONDS(1));
    assert_int_equal(brg__mailbox_init(&mailbox, 1, NULL, NULL), BRG_OK);
    assert_int_equal(brg__mailbox_push(&mailbox, value_new(0), 0), BRG_OK);
    for (uint32_t i = 0; i < SENDERS; i++)
        sender_start(&senders[i], &mailbox, 1, 1, BRG_SECONDS(3 + i));
    await_waiting(&mailbox, SENDERS);
    for (uint32_t i = 0; i < SENDERS; i++) {
        brg__fake_clock_advance(i == 0 ? BRG_SECONDS(2) : BRG_SECONDS(1));
        brg__thread_join(&senders[i].thread);
        assert_int_equal(senders[i].status, BRG_TIMED_OUT);
        await_waiting(&mailbox, SENDERS - 1 - i);
    }
    brg__fake_clock_remove();
    expect_pop(&mailbox, 0);
    expect_no_pop(&mailbox, BRG_EMPTY);
    brg__mailbox_done(&mailbox);
}

typedef struct receiver {
    brg__mailbox *mailbox;
    brg__gate *gate;
    brg_status status;
} receiver;

static void receiver_run(void *argument)
{
    receiver *r = argument;
    brg_value *value;
    while ((r->status = brg__mailbox_pop(r->mailbox, &value)) == BRG_EMPTY)
        if (!receiver_wait(r->mailbox, r->gate))
            return;
}

static void close_wakes_the_receiver(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        brg__mailbox mailbox;
        brg__gate gate = {0};
        assert_int_equal(brg__mailbox_init(&mailbox, 1, &gate, NULL), BRG_OK);
        receiver r = {.mailbox = &mailbox, .gate = &gate};
        brg__thread thread;
        assert_int_equal(brg__thread_start(&thread, "receiver", 0, receiver_run, &r, NULL), BRG_OK);
        /* On its way to sleep in even rounds, anywhere in odd ones. */
        while (round % 2 == 0 && brg_load_relaxed(&gate.xsleeping) == 0)
            brg__cpu_pause();
        brg__mailbox_close(&mailbox);
        brg__thread_join(&thread);
        assert_int_equal(r.status, BRG_CLOSED);
        brg__mailbox_done(&mailbox);
    }
}

static void close_wakes_all_senders(void **state)
{
    (void)state;
    brg__mailbox mailbox;
    sender senders[SENDERS];
    assert_int_equal(brg__mailbox_init(&mailbox, 1, NULL, NULL), BRG_OK);
    assert_int_equal(brg__mailbox_push(&mailbox, value_new(0), 0), BRG_OK);
    for (uint32_t i = 0; i < SENDERS; i++)
        sender_start(&senders[i], &mailbox, 1, 1, BRG_FOREVER);
    await_waiting(&mailbox, SENDERS);
    brg__mailbox_close(&mailbox);
    for (uint32_t i = 0; i < SENDERS; i++) {
        brg__thread_join(&senders[i].thread);
        assert_int_equal(senders[i].status, BRG_CLOSED);
    }
    expect_pop(&mailbox, 0);
    expect_no_pop(&mailbox, BRG_CLOSED);
    brg__mailbox_done(&mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_in_order_through_growth),
        cmocka_unit_test(full_mailbox_refuses),
        cmocka_unit_test(closed_mailbox_delivers_what_it_has),
        cmocka_unit_test(done_lets_go_of_what_is_left),
        cmocka_unit_test(failing_allocations_change_nothing),
        cmocka_unit_test(order_per_sender_is_kept),
        cmocka_unit_test(senders_that_wait_all_get_in),
        cmocka_unit_test(room_lets_one_waiting_sender_in),
        cmocka_unit_test(waiting_senders_time_out),
        cmocka_unit_test(close_wakes_the_receiver),
        cmocka_unit_test(close_wakes_all_senders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
