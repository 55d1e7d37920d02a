/* SPDX-License-Identifier: MIT */
#include "os/test_support.h"

#include "base/util.h"
#include "os/atomic.h"
#include "os/lock.h"
#include "os/thread.h"

#define THREADS 4
#define ROUNDS 20000

static brg__lock counter_lock = BRG__LOCK_INIT(BRG__RANK_LEAF, "counter");
static uint64_t counter, other_counter; /* plain: TSan and lost updates would tell */

static void count_up(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 3 != 0 || !brg__lock_try_acquire(&counter_lock))
            brg__lock_acquire(&counter_lock);
        brg__lock_assert_held(&counter_lock);
        counter++;
        other_counter += counter;
        brg__lock_release(&counter_lock);
    }
}

static void threads_exclude_each_other(void **state)
{
    (void)state;
    brg__thread threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(brg__thread_start(&threads[i], "count", 0, count_up, NULL, NULL), BRG_OK);
    for (int i = 0; i < THREADS; i++)
        brg__thread_join(&threads[i]);
    uint64_t total = (uint64_t)THREADS * ROUNDS;
    assert_true(counter == total);
    assert_true(other_counter == total * (total + 1) / 2);
    assert_int_equal(counter_lock.xstate, 0);
}

/* The holder lets go only when the others sleep or are about to: all must come through. */
static void sleepers_are_woken(void **state)
{
    (void)state;
    brg__thread threads[THREADS];
    counter = other_counter = 0;
    brg__lock_acquire(&counter_lock);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(brg__thread_start(&threads[i], "count", 0, count_up, NULL, NULL), BRG_OK);
    while (brg_load_relaxed(&counter_lock.xstate) != 2)
        brg__cpu_pause();
    brg__lock_release(&counter_lock);
    for (int i = 0; i < THREADS; i++)
        brg__thread_join(&threads[i]);
    assert_true(counter == (uint64_t)THREADS * ROUNDS);
}

static void try_acquire_fails_while_held(void **state)
{
    (void)state;
    brg__lock lock;
    brg__lock_init(&lock, BRG__RANK_LEAF, "tried");
    assert_true(brg__lock_try_acquire(&lock));
    assert_false(brg__lock_try_acquire(&lock));
    brg__lock_release(&lock);
    assert_true(brg__lock_try_acquire(&lock));
    brg__lock_release(&lock);
}

static void rising_ranks_are_fine(void **state)
{
    (void)state;
    brg__lock low = BRG__LOCK_INIT(BRG__RANK_WORKER, "low"), middle = BRG__LOCK_INIT(BRG__RANK_POOL, "middle"),
              high = BRG__LOCK_INIT(BRG__RANK_LEAF, "high");
    brg__lock_acquire(&low);
    brg__lock_acquire(&middle);
    brg__lock_release(&low); /* not the last one taken */
    brg__lock_acquire(&high);
    brg__lock_release(&middle);
    brg__lock_release(&high);
    brg__lock_acquire(&low);
    brg__lock_release(&low);
}

#ifdef BRG__DEBUG

static brg__lock low_lock = BRG__LOCK_INIT(BRG__RANK_WORKER, "the-low-one");
static brg__lock high_lock = BRG__LOCK_INIT(BRG__RANK_POOL, "the-high-one");

static void take_inverted(void *argument)
{
    dup2(*(int *)argument, STDERR_FILENO);
    brg__lock_acquire(&high_lock);
    brg__lock_acquire(&low_lock);
}

static void take_twice(void *argument)
{
    dup2(*(int *)argument, STDERR_FILENO);
    brg__lock_acquire(&high_lock);
    brg__lock_acquire(&high_lock);
}

static void take_under_tried(void *argument)
{
    dup2(*(int *)argument, STDERR_FILENO);
    brg__lock_try_acquire(&high_lock);
    brg__lock_acquire(&low_lock);
}

static void release_unheld(void *argument)
{
    dup2(*(int *)argument, STDERR_FILENO);
    brg__lock_release(&low_lock);
}

static void misuse_aborts(void (*misuse)(void *argument), const char *first, const char *second)
{
    int ends[2];
    char text[512];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = test_fork(misuse, &ends[1]);
    close(ends[1]);
    size_t size = 0;
    for (ssize_t got; (got = read(ends[0], text + size, sizeof(text) - 1 - size)) > 0;) /* until it is dead */
        size += (size_t)got;
    close(ends[0]);
    int status = test_wait(pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_true(size > 0);
    text[size] = '\0';
    assert_non_null(strstr(text, first));
    assert_non_null(strstr(text, second));
}

static void misuse_aborts_and_names_the_locks(void **state)
{
    (void)state;
    misuse_aborts(take_inverted, "the-low-one", "the-high-one");
    misuse_aborts(take_twice, "the-high-one", "rank");
    misuse_aborts(take_under_tried, "the-low-one", "the-high-one");
    misuse_aborts(release_unheld, "the-low-one", "not held");
}

#else

static void misuse_aborts_and_names_the_locks(void **state)
{
    (void)state;
    skip();
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_exclude_each_other),        cmocka_unit_test(sleepers_are_woken),
        cmocka_unit_test(try_acquire_fails_while_held),      cmocka_unit_test(rising_ranks_are_fine),
        cmocka_unit_test(misuse_aborts_and_names_the_locks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
