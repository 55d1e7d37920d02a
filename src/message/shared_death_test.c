/* SPDX-License-Identifier: MIT */
/* What happens to what a process held when it is killed. This program has no threads: it forks. */
#include "message/shared_fixture.h"
#include "os/fault.h"

#define SAID 3968 /* words by which children tell that they are where they should be */
#define MUTEX 0
#define RWLOCK 256
#define QUEUE 1024
#define ONCE 2048

static void hold_mutex(brg_shared *shared)
{
    child_check(brg_mutex_lock(shared, MUTEX, BOUND) == BRG_OK);
    say_and_stay(shared, SAID);
}

static void get_dead_mutex(brg_shared *shared)
{
    child_check(brg_mutex_lock(shared, MUTEX, BOUND) == BRG_OWNER_DIED);
    child_check(brg_mutex_recovered(shared, MUTEX) == BRG_OK);
    child_check(brg_mutex_unlock(shared, MUTEX) == BRG_OK);
}

static void mutex_of_a_dead_process_is_given_to_who_waits(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(4096);
    stranger holder, heir;
    stranger_start(&holder, shared, hold_mutex);
    until_said(shared, SAID);
    assert_int_equal(brg_mutex_lock(shared, MUTEX, 0), BRG_TIMED_OUT);
    assert_int_equal(brg_mutex_unlock(shared, MUTEX), BRG_STATE);
    stranger_start(&heir, shared, get_dead_mutex);
    until_sleeping(shared, MUTEX + offsetof(brg__mutex, bell), 1);
    stranger_kill(&holder);
    stranger_must_succeed(&heir);
    assert_int_equal(brg_mutex_lock(shared, MUTEX, 0), BRG_OK);
    assert_int_equal(brg_mutex_unlock(shared, MUTEX), BRG_OK);
    brg_shared_unref(shared);
}

static void mutex_that_nobody_repairs_is_unusable(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(4096);
    stranger holder;
    stranger_start(&holder, shared, hold_mutex);
    until_said(shared, SAID);
    stranger_kill(&holder);
    assert_int_equal(brg_mutex_lock(shared, MUTEX, 0), BRG_OWNER_DIED);
    assert_int_equal(brg_mutex_unlock(shared, MUTEX), BRG_OK);
    assert_int_equal(brg_mutex_lock(shared, MUTEX, BOUND), BRG_STATE);
    assert_int_equal(brg_mutex_lock(shared, MUTEX, BOUND), BRG_STATE);
    assert_int_equal(brg_mutex_init(shared, MUTEX), BRG_OK);
    assert_int_equal(brg_mutex_lock(shared, MUTEX, 0), BRG_OK);
    brg_shared_unref(shared);
}

static void sleep_for_mutex(brg_shared *shared) { brg_mutex_lock(shared, MUTEX, BRG_FOREVER); }

static void a_dead_sleeper_is_not_counted(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(4096);
    stranger sleeper;
    const brg__mutex *mutex = brg_shared_data(shared);
    assert_int_equal(brg_mutex_lock(shared, MUTEX, 0), BRG_OK);
    stranger_start(&sleeper, shared, sleep_for_mutex);
    until_sleeping(shared, MUTEX + offsetof(brg__mutex, bell), 1);
    bool counted = false;
    while (!counted) /* it says so a moment later */
        for (uint32_t i = 0; i < BRG__SHARED_SLEEPERS; i++)
            counted |= brg_load_seq_cst(&shared->header->sleepers[i].xcounted) != 0;
    stranger_kill(&sleeper);
    assert_int_equal(mutex->bell.xsleepers, 0);
    for (uint32_t i = 0; i < BRG__SHARED_SLEEPERS; i++)
        assert_int_equal(shared->header->sleepers[i].xparticipant, 0);
    brg_shared_unref(shared);
}

static void wait_for_ever(brg_shared *shared) { brg_shared_wait32(shared, 0, 0, BRG_FOREVER); }

static void a_dead_waiter_leaves_the_table(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(4096);
    stranger waiter;
    stranger_start(&waiter, shared, wait_for_ever);
    until_waiting(shared, 1);
    stranger_kill(&waiter);
    assert_int_equal(shared->header->xwaiters, 0);
    uint32_t woken = 7;
    assert_int_equal(brg_shared_notify(shared, 0, UINT32_MAX, &woken), BRG_OK);
    assert_int_equal(woken, 0);
    brg_shared_unref(shared);
}

static void hold_table(brg_shared *shared)
{
    brg__shared_lock(shared);
    /* Half done: a slot that is filled but not counted. */
    shared->header->slots[0].xparticipant = shared->participant;
    shared->header->slots[0].xstate = BRG__SLOT_WAITING;
    shared->header->xhigh = 1;
    shared->header->xwaiters = 77;
    brg_shared_store32(shared, SAID, 1);
    for (;;)
        pause();
}

static void wait_to_be_woken(brg_shared *shared) { child_check(brg_shared_wait32(shared, 0, 0, BOUND) == BRG_OK); }

/* For it no time passes: it takes the table from no holder that lives, however long the test takes to kill that. */
static void wait_patiently(brg_shared *shared)
{
    brg__fake_clock_install(1);
    wait_to_be_woken(shared);
}

static void the_table_of_a_dead_holder_is_repaired(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(4096);
    stranger holder, waiter;
    stranger_start(&holder, shared, hold_table);
    uint32_t said = 0;
    while (brg_shared_load32(shared, SAID, &said), said == 0)
        sched_yield();
    stranger_start(&waiter, shared, wait_patiently);
    while ((brg_load_seq_cst(&shared->header->xlock) & 0x80000000u) == 0)
        sched_yield(); /* until it stands at the lock */
    stranger_kill(&holder);
    until_waiting(shared, 1);
    uint32_t woken = 0;
    assert_int_equal(brg_shared_notify(shared, 0, 5, &woken), BRG_OK);
    assert_int_equal(woken, 1);
    stranger_must_succeed(&waiter);
    assert_int_equal(shared->header->xlock, 0);
    assert_int_equal(shared->header->xwaiters, 0);
    brg_shared_unref(shared);
}

/* One that marked a waiter and died before it woke it. */
static void mark_and_die(brg_shared *shared)
{
    brg__shared_lock(shared);
    shared->header->slots[0].xstate = BRG__SLOT_NOTIFIED;
    shared->header->xwaiters--;
    brg__shared_unlock(shared);
    say_and_stay(shared, SAID);
}

static void a_wake_up_that_died_is_made_good(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(4096);
    stranger waiter, notifier;
    stranger_start(&waiter, shared, wait_to_be_woken);
    while (brg_load_seq_cst(&shared->header->slots[0].xstate) != BRG__SLOT_SLEEPING)
        sched_yield();
    stranger_start(&notifier, shared, mark_and_die);
    until_said(shared, SAID);
    stranger_kill(&notifier);
    stranger_must_succeed(&waiter);
    brg_shared_unref(shared);
}

static void hold_read(brg_shared *shared)
{
    child_check(brg_rwlock_read(shared, RWLOCK, BOUND) == BRG_OK);
    child_check(brg_rwlock_read(shared, RWLOCK, BOUND) == BRG_OK);
    say_and_stay(shared, SAID);
}

static void hold_write(brg_shared *shared)
{
    child_check(brg_rwlock_write(shared, RWLOCK, BOUND) == BRG_OK);
    say_and_stay(shared, SAID);
}

static void readers_of_a_dead_process_go(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(4096);
    stranger reader;
    stranger_start(&reader, shared, hold_read);
    until_said(shared, SAID);
    assert_int_equal(brg_rwlock_write(shared, RWLOCK, 1000), BRG_TIMED_OUT);
    assert_int_equal(brg_rwlock_read(shared, RWLOCK, 0), BRG_OK);
    assert_int_equal(brg_rwlock_end_read(shared, RWLOCK), BRG_OK);
    assert_int_equal(brg_rwlock_end_read(shared, RWLOCK), BRG_STATE);
    stranger_kill(&reader);
    assert_int_equal(brg_rwlock_write(shared, RWLOCK, 0), BRG_OK);
    assert_int_equal(brg_rwlock_end_write(shared, RWLOCK), BRG_OK);
    brg_shared_unref(shared);
}

static void a_dead_writer_is_told_until_it_is_repaired(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(4096);
    stranger writer;
    stranger_start(&writer, shared, hold_write);
    until_said(shared, SAID);
    assert_int_equal(brg_rwlock_read(shared, RWLOCK, 1000), BRG_TIMED_OUT);
    stranger_kill(&writer);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(brg_rwlock_read(shared, RWLOCK, 0), BRG_OWNER_DIED);
        assert_int_equal(brg_rwlock_end_read(shared, RWLOCK), BRG_OK);
    }
    assert_int_equal(brg_rwlock_recovered(shared, RWLOCK), BRG_STATE);
    assert_int_equal(brg_rwlock_write(shared, RWLOCK, 0), BRG_OWNER_DIED);
    assert_int_equal(brg_rwlock_recovered(shared, RWLOCK), BRG_OK);
    assert_int_equal(brg_rwlock_end_write(shared, RWLOCK), BRG_OK);
    assert_int_equal(brg_rwlock_read(shared, RWLOCK, 0), BRG_OK);
    brg_shared_unref(shared);
}

static void begin_once(brg_shared *shared)
{
    bool run = false;
    child_check(brg_once_begin(shared, ONCE, BOUND, &run) == BRG_OK && run);
    say_and_stay(shared, SAID);
}

static void once_begins_again_after_a_death(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(4096);
    stranger runner;
    bool run = false;
    stranger_start(&runner, shared, begin_once);
    until_said(shared, SAID);
    assert_int_equal(brg_once_begin(shared, ONCE, 1000, &run), BRG_TIMED_OUT);
    stranger_kill(&runner);
    assert_int_equal(brg_once_begin(shared, ONCE, 0, &run), BRG_OWNER_DIED);
    assert_true(run);
    assert_int_equal(brg_once_end(shared, ONCE, true), BRG_OK);
    assert_int_equal(brg_once_begin(shared, ONCE, 0, &run), BRG_OK);
    assert_false(run);
    brg_shared_unref(shared);
}

/* In the middle of a push: the item is half written, the mutex (first in the queue) held. */
static void push_half(brg_shared *shared)
{
    child_check(brg__mutex_take(shared, (brg__mutex *)(void *)(shared->data + QUEUE), BOUND) == BRG_OK);
    memset(shared->data + QUEUE + 192, 0xaa, 4);
    say_and_stay(shared, SAID);
}

static void push_one(brg_shared *shared)
{
    uint64_t item = 42;
    child_check(brg_queue_push(shared, QUEUE, &item, sizeof(item), BOUND) == BRG_OK);
}

static void a_queue_outlives_its_dead_producers(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(4096);
    stranger dead, living;
    assert_int_equal(brg_queue_init(shared, QUEUE, 4, 8), BRG_OK);
    stranger_start(&dead, shared, push_half);
    until_said(shared, SAID);
    stranger_start(&living, shared, push_one);
    stranger_kill(&dead);
    uint64_t item = 0;
    assert_int_equal(brg_queue_pop(shared, QUEUE, &item, sizeof(item), BOUND), BRG_OK);
    assert_int_equal(item, 42);
    stranger_must_succeed(&living);
    assert_int_equal(brg_queue_pop(shared, QUEUE, &item, sizeof(item), 0), BRG_EMPTY);
    brg_shared_unref(shared);
}

static void leave_with_mutex(brg_shared *shared) { child_check(brg_mutex_lock(shared, MUTEX, BOUND) == BRG_OK); }

static void leaving_without_unlocking_counts_as_dying(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(4096);
    stranger leaver;
    stranger_start(&leaver, shared, leave_with_mutex);
    assert_int_equal(test_wait(leaver.pid), 0);
    assert_int_equal(brg_mutex_lock(shared, MUTEX, 0), BRG_TIMED_OUT); /* until its link says so */
    brg__shared_bury(shared, leaver.participant);
    assert_int_equal(brg_mutex_lock(shared, MUTEX, 0), BRG_OWNER_DIED);
    brg_shared_unref(shared);
}

static void set_late(brg_shared *shared)
{
    brg_shared_wait32(shared, SAID, 0, BOUND);
    brg_shared_store32(shared, SAID + 64, 9);
}

static void it_outlives_its_creator(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(4096), *copy = NULL;
    uint32_t id = 0, word = 0;
    stranger late;
    assert_int_equal(brg__shared_join(shared, &id), BRG_OK);
    assert_int_equal(brg__shared_from_region(&copy, brg__shared_region(shared), id, NULL), BRG_OK);
    stranger_start(&late, shared, set_late);
    brg_shared_unref(shared);
    late.parents = copy;
    brg_shared_store32(copy, SAID, 1);
    brg_shared_notify(copy, SAID, 1, NULL);
    stranger_must_succeed(&late);
    brg_shared_load32(copy, SAID + 64, &word);
    assert_int_equal(word, 9);
    brg_shared_unref(copy);
}

static void spin_until_cancelled(brg_shared *shared)
{
    brg_token *token = NULL;
    child_check(brg__token_from_shared(&token, brg_shared_ref(shared), NULL) == BRG_OK);
    child_check(!brg_token_is_cancelled(token));
    brg_shared_store32(shared, 4, 1); /* the parent may cancel now */
    while (!brg_token_is_cancelled(token))
        sched_yield();
    child_check(brg_token_wait(token, BOUND) == BRG_OK);
    brg_token_unref(token);
}

static void wait_until_cancelled(brg_shared *shared)
{
    brg_token *token = NULL;
    child_check(brg__token_from_shared(&token, brg_shared_ref(shared), NULL) == BRG_OK);
    child_check(brg_token_wait(token, BOUND) == BRG_OK);
    child_check(brg_token_is_cancelled(token));
    brg_token_unref(token);
}

static void a_token_is_seen_cancelled_by_other_processes(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64);
    brg_token *token = NULL;
    stranger spins, waits;
    uint32_t said = 0;
    assert_int_equal(brg__token_from_shared(&token, shared, NULL), BRG_OK);
    stranger_start(&spins, shared, spin_until_cancelled);
    stranger_start(&waits, shared, wait_until_cancelled);
    until_waiting(shared, 1);
    while (brg_shared_load32(shared, 4, &said), said == 0)
        sched_yield();
    brg_token_cancel(token);
    stranger_must_succeed(&spins);
    stranger_must_succeed(&waits);
    brg_token_unref(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutex_of_a_dead_process_is_given_to_who_waits),
        cmocka_unit_test(mutex_that_nobody_repairs_is_unusable),
        cmocka_unit_test(a_dead_sleeper_is_not_counted),
        cmocka_unit_test(a_dead_waiter_leaves_the_table),
        cmocka_unit_test(the_table_of_a_dead_holder_is_repaired),
        cmocka_unit_test(a_wake_up_that_died_is_made_good),
        cmocka_unit_test(readers_of_a_dead_process_go),
        cmocka_unit_test(a_dead_writer_is_told_until_it_is_repaired),
        cmocka_unit_test(once_begins_again_after_a_death),
        cmocka_unit_test(a_queue_outlives_its_dead_producers),
        cmocka_unit_test(leaving_without_unlocking_counts_as_dying),
        cmocka_unit_test(it_outlives_its_creator),
        cmocka_unit_test(a_token_is_seen_cancelled_by_other_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
