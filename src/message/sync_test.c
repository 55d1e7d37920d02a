/* SPDX-License-Identifier: MIT */
/* The objects of brigade/sync.h between threads. What happens when processes die is in shared_death_test.c. */
#include "message/shared_fixture.h"

#define THREADS 4
#define ROUNDS 3000

/* Where each object lies in the shared memory of a test. */
#define MUTEX 0
#define CONDITION 64
#define SEMAPHORE 128
#define BARRIER 192
#define LATCH 256
#define ONCE 320
#define RWLOCK 512
#define QUEUE 1024
#define BYTES 4096

typedef struct crew {
    brg_shared *shared;
    uint64_t plain; /* guarded by the object under test: no atomics */
    uint64_t other;
    uint32_t xfailed;
    uint32_t xleaders;
    uint64_t xsum;
} crew;

/* In a thread: cmocka's assertions belong to the main one. */
static void crew_check(crew *all, bool good)
{
    if (!good)
        brg_add_seq_cst(&all->xfailed, 1u);
}

static void crew_run(crew *all, uint32_t count, void (*body)(void *argument))
{
    brg__thread threads[2 * THREADS];
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(brg__thread_start(&threads[i], "crew", 0, body, all, NULL), BRG_OK);
    for (uint32_t i = 0; i < count; i++)
        brg__thread_join(&threads[i]);
    assert_int_equal(all->xfailed, 0);
}

/* ---- mutex and condition ----------------------------------------------------------------------------------- */

static void lock_and_count(void *argument)
{
    crew *all = argument;
    for (int i = 0; i < ROUNDS; i++) {
        crew_check(all, brg_mutex_lock(all->shared, MUTEX, BOUND) == BRG_OK);
        all->plain++;
        crew_check(all, brg_mutex_unlock(all->shared, MUTEX) == BRG_OK);
    }
}

static void mutex_excludes(void **state)
{
    (void)state;
    crew all = {.shared = make_shared(BYTES)};
    crew_run(&all, THREADS, lock_and_count);
    assert_int_equal(all.plain, THREADS * ROUNDS);
    brg_shared_unref(all.shared);
}

static void others_hand_off(void *argument)
{
    crew *all = argument;
    crew_check(all, brg_mutex_lock(all->shared, MUTEX, 0) == BRG_TIMED_OUT);
    crew_check(all, brg_mutex_lock(all->shared, MUTEX, 1000) == BRG_TIMED_OUT);
    crew_check(all, brg_mutex_unlock(all->shared, MUTEX) == BRG_STATE);
    crew_check(all, brg_mutex_recovered(all->shared, MUTEX) == BRG_STATE);
    crew_check(all, brg_condition_wait(all->shared, CONDITION, MUTEX, 0) == BRG_STATE);
}

static void mutex_knows_its_holder(void **state)
{
    (void)state;
    crew all = {.shared = make_shared(BYTES)};
    assert_int_equal(brg_mutex_unlock(all.shared, MUTEX), BRG_STATE);
    assert_int_equal(brg_mutex_lock(all.shared, MUTEX, 0), BRG_OK);
    assert_int_equal(brg_mutex_lock(all.shared, MUTEX, BRG_FOREVER), BRG_DEADLOCK);
    crew_run(&all, 1, others_hand_off);
    assert_int_equal(brg_mutex_unlock(all.shared, MUTEX), BRG_OK);
    assert_int_equal(brg_mutex_unlock(all.shared, MUTEX), BRG_STATE);
    brg_shared_unref(all.shared);
}

static void places_are_checked(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(100);
    bool flag;
    uint32_t count;
    uint64_t item = 0;
    assert_int_equal(brg_mutex_lock(shared, 4, 0), BRG_INVALID);
    assert_int_equal(brg_mutex_lock(shared, 64, 0), BRG_RANGE);
    assert_int_equal(brg_rwlock_read(shared, 0, 0), BRG_RANGE);
    assert_int_equal(brg_rwlock_write(shared, 0, 0), BRG_RANGE);
    assert_int_equal(brg_condition_signal(shared, 64), BRG_RANGE);
    assert_int_equal(brg_semaphore_acquire(shared, 32, 0), BRG_INVALID);
    assert_int_equal(brg_semaphore_release(shared, 64, 1), BRG_RANGE);
    assert_int_equal(brg_semaphore_count(shared, 0, NULL), BRG_INVALID);
    assert_int_equal(brg_barrier_init(shared, 0, 0), BRG_INVALID);
    assert_int_equal(brg_barrier_wait(shared, 0, 0, &flag), BRG_STATE);
    assert_int_equal(brg_latch_wait(shared, SIZE_MAX - 63, 0), BRG_RANGE);
    assert_int_equal(brg_latch_count(shared, 64, &count), BRG_RANGE);
    assert_int_equal(brg_once_begin(shared, 0, 0, NULL), BRG_INVALID);
    assert_int_equal(brg_once_end(shared, 0, true), BRG_STATE);
    assert_int_equal(brg_queue_init(shared, 0, 1, 8), BRG_RANGE);
    assert_int_equal(brg_queue_init(shared, 0, 0, 8), BRG_INVALID);
    assert_int_equal(brg_queue_init(shared, 0, UINT32_MAX, UINT32_MAX), BRG_RANGE);
    assert_int_equal(brg_queue_push(shared, 0, &item, 8, 0), BRG_RANGE);
    brg_shared_unref(shared);
}

/* Two that hand a turn back and forth; plain is whose turn it is. */
static void take_turns(void *argument)
{
    crew *all = argument;
    uint32_t mine = brg_add_seq_cst(&all->xleaders, 1u) % 2;
    crew_check(all, brg_mutex_lock(all->shared, MUTEX, BOUND) == BRG_OK);
    for (int i = 0; i < ROUNDS; i++) {
        while (all->plain % 2 != mine)
            crew_check(all, brg_condition_wait(all->shared, CONDITION, MUTEX, BOUND) == BRG_OK);
        all->plain++;
        brg_condition_signal(all->shared, CONDITION);
    }
    crew_check(all, brg_mutex_unlock(all->shared, MUTEX) == BRG_OK);
}

static void condition_signals_are_not_lost(void **state)
{
    (void)state;
    crew all = {.shared = make_shared(BYTES)};
    crew_run(&all, 2, take_turns);
    assert_int_equal(all.plain, 2 * ROUNDS);
    assert_int_equal(brg_mutex_lock(all.shared, MUTEX, 0), BRG_OK);
    assert_int_equal(brg_condition_wait(all.shared, CONDITION, MUTEX, 1000), BRG_TIMED_OUT);
    assert_int_equal(brg_mutex_unlock(all.shared, MUTEX), BRG_OK); /* it was taken again */
    brg_shared_unref(all.shared);
}

static void await_broadcast(void *argument)
{
    crew *all = argument;
    crew_check(all, brg_mutex_lock(all->shared, MUTEX, BOUND) == BRG_OK);
    if (++all->other == THREADS) { /* the last one lets all go, itself too */
        all->plain = 1;
        brg_condition_broadcast(all->shared, CONDITION);
    }
    while (all->plain == 0)
        crew_check(all, brg_condition_wait(all->shared, CONDITION, MUTEX, BOUND) == BRG_OK);
    brg_mutex_unlock(all->shared, MUTEX);
}

static void broadcast_wakes_all(void **state)
{
    (void)state;
    crew all = {.shared = make_shared(BYTES)};
    crew_run(&all, THREADS, await_broadcast);
    brg_shared_unref(all.shared);
}

/* ---- reader-writer lock ------------------------------------------------------------------------------------ */

static void read_and_write(void *argument)
{
    crew *all = argument;
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 8 == 0) {
            crew_check(all, brg_rwlock_write(all->shared, RWLOCK, BOUND) == BRG_OK);
            all->plain++;
            all->other++;
            crew_check(all, brg_rwlock_end_write(all->shared, RWLOCK) == BRG_OK);
        } else {
            crew_check(all, brg_rwlock_read(all->shared, RWLOCK, BOUND) == BRG_OK);
            crew_check(all, all->plain == all->other);
            crew_check(all, brg_rwlock_end_read(all->shared, RWLOCK) == BRG_OK);
        }
    }
}

static void read_beside(void *argument)
{
    crew *all = argument;
    crew_check(all, brg_rwlock_read(all->shared, RWLOCK, 0) == BRG_OK);
    brg_add_seq_cst(&all->xleaders, 1u);
    while (brg_load_seq_cst(&all->xleaders) < 2)
        sched_yield(); /* both read: who tries to write keeps new readers out meanwhile */
    crew_check(all, brg_rwlock_write(all->shared, RWLOCK, 0) == BRG_TIMED_OUT);
    crew_check(all, brg_rwlock_end_write(all->shared, RWLOCK) == BRG_STATE);
    crew_check(all, brg_rwlock_end_read(all->shared, RWLOCK) == BRG_OK);
}

static void rwlock_excludes_writers_only(void **state)
{
    (void)state;
    crew all = {.shared = make_shared(BYTES)};
    crew_run(&all, THREADS, read_and_write);
    assert_int_equal(all.plain, THREADS * ((ROUNDS + 7) / 8));
    assert_int_equal(brg_rwlock_read(all.shared, RWLOCK, 0), BRG_OK);
    crew_run(&all, 2, read_beside);
    assert_int_equal(brg_rwlock_end_read(all.shared, RWLOCK), BRG_OK);
    assert_int_equal(brg_rwlock_end_read(all.shared, RWLOCK), BRG_STATE);
    assert_int_equal(brg_rwlock_write(all.shared, RWLOCK, 0), BRG_OK);
    assert_int_equal(brg_rwlock_read(all.shared, RWLOCK, BRG_FOREVER), BRG_DEADLOCK);
    assert_int_equal(brg_rwlock_write(all.shared, RWLOCK, BRG_FOREVER), BRG_DEADLOCK);
    assert_int_equal(brg_rwlock_end_write(all.shared, RWLOCK), BRG_OK);
    brg_shared_unref(all.shared);
}

static void want_to_write(void *argument)
{
    crew *all = argument;
    crew_check(all, brg_rwlock_write(all->shared, RWLOCK, BOUND) == BRG_OK);
    crew_check(all, brg_rwlock_end_write(all->shared, RWLOCK) == BRG_OK);
}

static void a_waiting_writer_goes_before_new_readers(void **state)
{
    (void)state;
    crew all = {.shared = make_shared(BYTES)};
    brg__thread writer;
    assert_int_equal(brg_rwlock_read(all.shared, RWLOCK, 0), BRG_OK);
    assert_int_equal(brg__thread_start(&writer, "writer", 0, want_to_write, &all, NULL), BRG_OK);
    while (brg_rwlock_read(all.shared, RWLOCK, 0) == BRG_OK) { /* until it stands there */
        assert_int_equal(brg_rwlock_end_read(all.shared, RWLOCK), BRG_OK);
        sched_yield();
    }
    assert_int_equal(brg_rwlock_end_read(all.shared, RWLOCK), BRG_OK);
    brg__thread_join(&writer);
    assert_int_equal(all.xfailed, 0);
    assert_int_equal(brg_rwlock_read(all.shared, RWLOCK, 0), BRG_OK);
    brg_shared_unref(all.shared);
}

/* ---- what counts ------------------------------------------------------------------------------------------- */

static void pass_semaphore(void *argument)
{
    crew *all = argument;
    for (int i = 0; i < ROUNDS; i++) {
        crew_check(all, brg_semaphore_acquire(all->shared, SEMAPHORE, BOUND) == BRG_OK);
        crew_check(all, brg_add_seq_cst(&all->xleaders, 1u) < 2); /* never more inside than permits */
        brg_sub_seq_cst(&all->xleaders, 1u);
        crew_check(all, brg_semaphore_release(all->shared, SEMAPHORE, 1) == BRG_OK);
    }
}

static void semaphore_bounds(void **state)
{
    (void)state;
    crew all = {.shared = make_shared(BYTES)};
    uint32_t count = 0;
    assert_int_equal(brg_semaphore_acquire(all.shared, SEMAPHORE, 0), BRG_TIMED_OUT);
    assert_int_equal(brg_semaphore_acquire(all.shared, SEMAPHORE, 1000), BRG_TIMED_OUT);
    assert_int_equal(brg_semaphore_init(all.shared, SEMAPHORE, 2), BRG_OK);
    crew_run(&all, THREADS, pass_semaphore);
    assert_int_equal(brg_semaphore_count(all.shared, SEMAPHORE, &count), BRG_OK);
    assert_int_equal(count, 2);
    assert_int_equal(brg_semaphore_release(all.shared, SEMAPHORE, UINT32_MAX - 1), BRG_TOO_LARGE);
    assert_int_equal(brg_semaphore_release(all.shared, SEMAPHORE, UINT32_MAX - 2), BRG_OK);
    brg_shared_unref(all.shared);
}

static void meet(void *argument)
{
    crew *all = argument;
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        bool leader = false;
        brg_add_seq_cst(&all->xsum, (uint64_t)1);
        crew_check(all, brg_barrier_wait(all->shared, BARRIER, BOUND, &leader) == BRG_OK);
        crew_check(all, brg_load_seq_cst(&all->xsum) >= i * THREADS); /* all were there */
        brg_add_seq_cst(&all->xleaders, (uint32_t)leader);
    }
}

static void barrier_holds_all_and_names_one(void **state)
{
    (void)state;
    crew all = {.shared = make_shared(BYTES)};
    assert_int_equal(brg_barrier_init(all.shared, BARRIER, THREADS), BRG_OK);
    crew_run(&all, THREADS, meet);
    assert_int_equal(all.xleaders, ROUNDS);
    brg_shared_unref(all.shared);
}

static void meet_once(void *argument)
{
    crew *all = argument;
    crew_check(all, brg_barrier_wait(all->shared, BARRIER, BOUND, NULL) == BRG_OK);
}

static void who_gives_up_at_a_barrier_breaks_nothing(void **state)
{
    (void)state;
    crew all = {.shared = make_shared(BYTES)};
    bool leader = true;
    assert_int_equal(brg_barrier_init(all.shared, BARRIER, 2), BRG_OK);
    assert_int_equal(brg_barrier_wait(all.shared, BARRIER, 0, &leader), BRG_TIMED_OUT);
    assert_int_equal(brg_barrier_wait(all.shared, BARRIER, 1000, &leader), BRG_TIMED_OUT);
    crew_run(&all, 2, meet_once); /* neither of them met us */
    assert_int_equal(brg_barrier_init(all.shared, BARRIER, 1), BRG_OK);
    leader = false;
    assert_int_equal(brg_barrier_wait(all.shared, BARRIER, 0, &leader), BRG_OK);
    assert_true(leader);
    brg_shared_unref(all.shared);
}

static void count_down_and_wait(void *argument)
{
    crew *all = argument;
    brg_add_seq_cst(&all->xsum, (uint64_t)1);
    crew_check(all, brg_latch_count_down(all->shared, LATCH, 2) == BRG_OK);
    crew_check(all, brg_latch_wait(all->shared, LATCH, BOUND) == BRG_OK);
    crew_check(all, brg_load_seq_cst(&all->xsum) == THREADS);
}

static void latch_opens_for_good(void **state)
{
    (void)state;
    crew all = {.shared = make_shared(BYTES)};
    uint32_t left = 9;
    assert_int_equal(brg_latch_wait(all.shared, LATCH, 0), BRG_OK);
    assert_int_equal(brg_latch_init(all.shared, LATCH, 2 * THREADS), BRG_OK);
    assert_int_equal(brg_latch_wait(all.shared, LATCH, 1000), BRG_TIMED_OUT);
    assert_int_equal(brg_latch_count_down(all.shared, LATCH, 2 * THREADS + 1), BRG_RANGE);
    crew_run(&all, THREADS, count_down_and_wait);
    assert_int_equal(brg_latch_count(all.shared, LATCH, &left), BRG_OK);
    assert_int_equal(left, 0);
    assert_int_equal(brg_latch_wait(all.shared, LATCH, 0), BRG_OK);
    brg_shared_unref(all.shared);
}

static void do_once(void *argument)
{
    crew *all = argument;
    bool run = false;
    crew_check(all, brg_once_begin(all->shared, ONCE, BOUND, &run) == BRG_OK);
    if (run) {
        bool works = all->other++ > 0; /* the first try fails */
        all->plain += works;
        crew_check(all, brg_once_begin(all->shared, ONCE, BRG_FOREVER, &run) == BRG_DEADLOCK);
        crew_check(all, brg_once_end(all->shared, ONCE, works) == BRG_OK);
    } else
        crew_check(all, all->plain == 1);
}

static void once_is_done_once_by_the_first_that_succeeds(void **state)
{
    (void)state;
    crew all = {.shared = make_shared(BYTES)};
    crew_run(&all, 2 * THREADS, do_once);
    assert_int_equal(all.plain, 1);
    assert_int_equal(all.other, 2);
    brg_shared_unref(all.shared);
}

/* ---- queue ------------------------------------------------------------------------------------------------- */

typedef struct item {
    uint64_t number;
    uint32_t check; /* not a multiple of 8: slots are padded */
} __attribute__((packed)) item;

static void push_or_pop(void *argument)
{
    crew *all = argument;
    item one = {0};
    if (brg_add_seq_cst(&all->xleaders, 1u) % 2 == 0) {
        for (uint32_t i = 1; i <= ROUNDS; i++) {
            one = (item){.number = i, .check = ~i};
            crew_check(all, brg_queue_push(all->shared, QUEUE, &one, sizeof(one), BOUND) == BRG_OK);
        }
        return;
    }
    for (int i = 0; i < ROUNDS; i++) {
        crew_check(all, brg_queue_pop(all->shared, QUEUE, &one, sizeof(one), BOUND) == BRG_OK);
        crew_check(all, one.check == ~(uint32_t)one.number);
        brg_add_seq_cst(&all->xsum, (uint64_t)one.number);
    }
}

static void queue_loses_and_doubles_nothing(void **state)
{
    (void)state;
    crew all = {.shared = make_shared(BYTES)};
    assert_int_equal(brg_queue_init(all.shared, QUEUE, 5, sizeof(item)), BRG_OK);
    crew_run(&all, THREADS, push_or_pop);
    assert_int_equal(all.xsum, (uint64_t)THREADS / 2 * ROUNDS * (ROUNDS + 1) / 2);
    brg_shared_unref(all.shared);
}

static void queue_is_bounded_ordered_and_closes(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(BYTES);
    uint64_t one = 0;
    uint32_t count = 0;
    assert_int_equal(brg_queue_push(shared, QUEUE, &one, 8, 0), BRG_STATE);
    assert_int_equal(brg_queue_init(shared, QUEUE, 3, 8), BRG_OK);
    assert_int_equal(brg_queue_pop(shared, QUEUE, &one, 8, 0), BRG_EMPTY);
    assert_int_equal(brg_queue_pop(shared, QUEUE, &one, 8, 1000), BRG_TIMED_OUT);
    assert_int_equal(brg_queue_push(shared, QUEUE, &one, 4, 0), BRG_INVALID);
    for (int round = 0; round < 3; round++) {
        for (one = 0; one < 3; one++)
            assert_int_equal(brg_queue_push(shared, QUEUE, &one, 8, 0), BRG_OK);
        assert_int_equal(brg_queue_push(shared, QUEUE, &one, 8, 0), BRG_FULL);
        assert_int_equal(brg_queue_push(shared, QUEUE, &one, 8, 1000), BRG_TIMED_OUT);
        assert_int_equal(brg_queue_count(shared, QUEUE, &count), BRG_OK);
        assert_int_equal(count, 3);
        if (round == 2)
            assert_int_equal(brg_queue_close(shared, QUEUE), BRG_OK);
        for (uint64_t i = 0; i < 3; i++) {
            assert_int_equal(brg_queue_pop(shared, QUEUE, &one, 8, 0), BRG_OK);
            assert_int_equal(one, i);
        }
    }
    assert_int_equal(brg_queue_pop(shared, QUEUE, &one, 8, BRG_FOREVER), BRG_CLOSED);
    assert_int_equal(brg_queue_push(shared, QUEUE, &one, 8, BRG_FOREVER), BRG_CLOSED);
    assert_int_equal(brg_queue_close(shared, QUEUE), BRG_OK);
    brg_shared_unref(shared);
}

static void pop_until_closed(void *argument)
{
    crew *all = argument;
    uint64_t one;
    crew_check(all, brg_queue_pop(all->shared, QUEUE, &one, 8, BOUND) == BRG_CLOSED);
}

static void close_wakes_who_waits(void **state)
{
    (void)state;
    crew all = {.shared = make_shared(BYTES)};
    brg__thread threads[2];
    assert_int_equal(brg_queue_init(all.shared, QUEUE, 3, 8), BRG_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(brg__thread_start(&threads[i], "popper", 0, pop_until_closed, &all, NULL), BRG_OK);
    until_sleeping(all.shared, QUEUE + 64 + 24, 2);
    assert_int_equal(brg_queue_close(all.shared, QUEUE), BRG_OK);
    for (int i = 0; i < 2; i++)
        brg__thread_join(&threads[i]);
    assert_int_equal(all.xfailed, 0);
    brg_shared_unref(all.shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutex_excludes),
        cmocka_unit_test(mutex_knows_its_holder),
        cmocka_unit_test(places_are_checked),
        cmocka_unit_test(condition_signals_are_not_lost),
        cmocka_unit_test(broadcast_wakes_all),
        cmocka_unit_test(rwlock_excludes_writers_only),
        cmocka_unit_test(a_waiting_writer_goes_before_new_readers),
        cmocka_unit_test(semaphore_bounds),
        cmocka_unit_test(barrier_holds_all_and_names_one),
        cmocka_unit_test(who_gives_up_at_a_barrier_breaks_nothing),
        cmocka_unit_test(latch_opens_for_good),
        cmocka_unit_test(once_is_done_once_by_the_first_that_succeeds),
        cmocka_unit_test(queue_loses_and_doubles_nothing),
        cmocka_unit_test(queue_is_bounded_ordered_and_closes),
        cmocka_unit_test(close_wakes_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
