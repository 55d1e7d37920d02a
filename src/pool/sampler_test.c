/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pool/sampler.h"

/* What the samples of `count` tasks, one every `every_ns`, say there were; *chosen: how many were. */
static uint64_t weigh(brg__sampler *sampler, uint64_t *now, uint64_t every_ns, uint32_t count, uint32_t *chosen)
{
    uint64_t weight = 0;
    for (uint32_t i = 0; i < count; i++) {
        *now += every_ns;
        if (!brg__sampler_is_next(sampler))
            continue;
        weight += UINT64_C(1) << brg__sampler_take(sampler, *now);
        ++*chosen;
    }
    return weight;
}

static void one_that_was_not_set_up_chooses_nothing(void **state)
{
    (void)state;
    brg__sampler sampler = {0};
    for (int i = 0; i < 100000; i++)
        assert_false(brg__sampler_is_next(&sampler));
}

static void slow_tasks_are_all_chosen(void **state)
{
    (void)state;
    brg__sampler sampler;
    uint64_t now = 1;
    uint32_t chosen = 0;
    brg__sampler_init(&sampler, now, 5);
    assert_true(weigh(&sampler, &now, BRG__SAMPLE_NS, 1000, &chosen) == 1000);
    assert_int_equal(chosen, 1000);
}

static void fast_tasks_cost_one_sample_in_a_while(void **state)
{
    (void)state;
    brg__sampler sampler;
    uint64_t now = 1;
    uint32_t chosen = 0, count = 1000000;
    brg__sampler_init(&sampler, now, 5);
    uint64_t weight = weigh(&sampler, &now, 60, count, &chosen);
    assert_true(chosen < count / 400);
    assert_true(weight > count - 2048 && weight < count + 2048); /* but for the block that is not over */
}

/* Of tasks in a pattern of any period each kind is chosen as often as there are of it: 5 standard deviations. */
static void no_pattern_falls_in_step(void **state)
{
    (void)state;
    static const uint32_t periods[] = {2, 3, 7, 64, 100, 512, 1024};
    for (size_t i = 0; i < brg__count_of(periods); i++) {
        brg__sampler sampler;
        uint64_t now = 1, weight = 0;
        uint32_t count = 4 << 20, chosen = 0;
        brg__sampler_init(&sampler, now, 11 + i);
        for (uint32_t j = 0; j < count; j++) {
            now += 60;
            if (!brg__sampler_is_next(&sampler))
                continue;
            chosen++;
            uint64_t one = UINT64_C(1) << brg__sampler_take(&sampler, now);
            weight += j % periods[i] == 0 ? one : 0;
        }
        double share = 1.0 / periods[i], expected = count * share;
        double deviation = expected / __builtin_sqrt(chosen * share); /* of a binomial one: no less than ours */
        double off = (double)weight - expected;
        assert_true(off < 5 * deviation && off > -5 * deviation);
    }
}

/* Tasks in bursts with pauses, where the blocks are broken off: the weights still stand for all. */
static void bursts_are_neither_over_nor_under_counted(void **state)
{
    (void)state;
    brg__sampler sampler;
    uint64_t now = 1, weight = 0, count = 0, random = 3;
    uint32_t chosen = 0;
    brg__sampler_init(&sampler, now, 17);
    for (int i = 0; i < 20000; i++) {
        uint32_t burst = brg__random_below(&random, 3000) + 1;
        weight += weigh(&sampler, &now, 60, burst, &chosen);
        count += burst;
        now += 2 * BRG__SAMPLE_REST_NS;
        brg__sampler_rest(&sampler, now);
    }
    double ratio = (double)weight / (double)count;
    assert_true(ratio > 0.99 && ratio < 1.01);
}

static void after_a_pause_the_next_task_is_chosen(void **state)
{
    (void)state;
    brg__sampler sampler;
    uint64_t now = 1;
    uint32_t chosen = 0;
    brg__sampler_init(&sampler, now, 23);
    (void)weigh(&sampler, &now, 60, 100000, &chosen);
    now += BRG__SAMPLE_NS; /* too short a pause to forget */
    brg__sampler_rest(&sampler, now);
    assert_true(sampler.shift > 5);
    now += BRG__SAMPLE_REST_NS;
    brg__sampler_rest(&sampler, now);
    assert_true(brg__sampler_is_next(&sampler));
    assert_int_equal(brg__sampler_take(&sampler, now), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_was_not_set_up_chooses_nothing),
        cmocka_unit_test(slow_tasks_are_all_chosen),
        cmocka_unit_test(fast_tasks_cost_one_sample_in_a_while),
        cmocka_unit_test(no_pattern_falls_in_step),
        cmocka_unit_test(bursts_are_neither_over_nor_under_counted),
        cmocka_unit_test(after_a_pause_the_next_task_is_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
