/* SPDX-License-Identifier: MIT */
/* Earliest deadline first: it misses none where a schedule exists that misses none. */
#include "pool/queue_fixture.h"

#include "base/util.h"

#define TASKS 60
#define SETS 300

typedef struct job {
    brg_item item;
    uint64_t release_ns;
} job;

/*
 * A set for which a schedule exists: each task is given a tick of the time line, is released at or before it, and due
 * after it. Tasks of one tick, because a pool does not preempt: for these the earliest deadline first is optimal
 * whatever the releases (Horn 1974).
 */
static void make_feasible(job *jobs, uint64_t *seed)
{
    uint64_t now = 0;
    for (int i = 0; i < TASKS; i++) {
        now += test_random(seed, 4) == 0 ? test_random(seed, 5) : 0; /* sometimes the machine idles */
        uint64_t early = test_random(seed, 20), late = test_random(seed, 3) == 0 ? test_random(seed, 30) : 0;
        jobs[i] = (job){.release_ns = now > early ? now - early : 0};
        jobs[i].item = (brg_item){.due_ns = now + 1 + late, .cost = 1, .band = 2};
        now++;
    }
    for (int i = TASKS - 1; i > 0; i--) { /* the order of submission says nothing */
        int other = (int)test_random(seed, (uint64_t)i + 1);
        job swap = jobs[i];
        jobs[i] = jobs[other];
        jobs[other] = swap;
    }
}

static int count_misses(const brg_queue_policy *policy, job *jobs)
{
    brg_pool_options options = {.size = sizeof(options)};
    test_queue queue = test_queue_open(policy, &options);
    int misses = 0, done = 0;
    for (; done < TASKS; queue.now_ns++) {
        for (int i = 0; i < TASKS; i++)
            if (jobs[i].release_ns == queue.now_ns)
                test_push(&queue, &jobs[i].item);
        brg_item *item = test_pop(&queue);
        if (item == NULL)
            continue;
        done++;
        misses += queue.now_ns + 1 > item->due_ns;
    }
    test_queue_close(&queue);
    return misses;
}

static void feasible_sets_miss_nothing(void **state)
{
    (void)state;
    uint64_t seed = 7;
    int others_missed = 0;
    for (int i = 0; i < SETS; i++) {
        job jobs[TASKS];
        make_feasible(jobs, &seed);
        assert_int_equal(count_misses(brg_queue_deadline, jobs), 0);
        others_missed += count_misses(brg_queue_fifo, jobs) != 0;
    }
    assert_true(others_missed > SETS / 2); /* the sets are hard enough to tell */
}

/* All there at the start, of any length: the earliest due date first (Jackson 1955). */
static void feasible_lengths_miss_nothing(void **state)
{
    (void)state;
    uint64_t seed = 11;
    int others_missed = 0;
    const brg_queue_policy *policies[] = {brg_queue_deadline, brg_queue_fifo};
    for (int set = 0; set < SETS; set++) {
        brg_item items[TASKS];
        uint64_t lengths[TASKS], now = 0;
        for (int i = 0; i < TASKS; i++) {
            lengths[i] = 1 + test_random(&seed, 100);
            now += lengths[i];
            items[i] = (brg_item){.due_ns = now + test_random(&seed, 50), .cost = 1};
        }
        for (size_t p = 0; p < brg__count_of(policies); p++) {
            brg_pool_options options = {.size = sizeof(options)};
            test_queue queue = test_queue_open(policies[p], &options);
            for (int i = 0; i < TASKS; i++)
                test_push(&queue, &items[(i * 7 + set) % TASKS]);
            uint64_t clock = 0;
            bool missed = false;
            for (brg_item *item; (item = test_pop(&queue)) != NULL;) {
                clock += lengths[item - items];
                missed = missed || clock > item->due_ns;
            }
            if (p == 0)
                assert_false(missed);
            else
                others_missed += missed;
            test_queue_close(&queue);
        }
    }
    assert_true(others_missed > SETS / 2);
}

static void equal_deadlines_are_in_order_and_none_is_last(void **state)
{
    (void)state;
    brg_pool_options options = {.size = sizeof(options)};
    test_queue queue = test_queue_open(brg_queue_deadline, &options);
    static brg_item items[3000];
    for (int i = 0; i < 3000; i++) {
        items[i] = (brg_item){.due_ns = i % 3 == 0 ? UINT64_MAX : (uint64_t)(i % 3), .cost = 1};
        test_push(&queue, &items[i]);
    }
    for (int due = 1; due <= 3; due++)
        for (int i = due % 3; i < 3000; i += 3) {
            assert_int_equal(queue.policy->rank(queue.state, 0), due == 3 ? UINT64_MAX : (uint64_t)due);
            brg_item *item = test_pop(&queue);
            assert_ptr_equal(item, &items[i]);
            if (i % 5 == 0) {
                test_push_front(&queue, item);
                assert_ptr_equal(test_pop(&queue), item);
            }
        }
    test_queue_close(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feasible_sets_miss_nothing),
        cmocka_unit_test(feasible_lengths_miss_nothing),
        cmocka_unit_test(equal_deadlines_are_in_order_and_none_is_last),
    };
    return cmocka_run_group_tests_name("queue_deadline", tests, NULL, NULL);
}
