/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "flow/chunk.h"

static brg__chunk_rule rule_of(uint64_t min, uint64_t max, uint32_t strands)
{
    return (brg__chunk_rule){.min = min, .max = max, .time_ns = BRG__CHUNK_NS, .strands = strands};
}

/* How long the last of all strands works on when the first has nothing left, where element i takes cost(i); simulated:
 * who is free claims next. In parts of a thousand of the ideal time. */
static uint64_t imbalance(uint64_t count, uint32_t strands, uint64_t (*cost)(uint64_t index))
{
    enum { STRANDS_MAX = 64 };
    const brg__chunk_rule rule = rule_of(1, UINT64_MAX, strands);
    uint64_t at[STRANDS_MAX] = {0}, last[STRANDS_MAX] = {0}, learned = 0, total = 0, end = 0;
    for (uint64_t next = 0; next < count;) {
        uint32_t free = 0;
        for (uint32_t i = 1; i < strands; i++)
            free = at[i] < at[free] ? i : free;
        uint64_t size = last[free] = brg__chunk_size(&rule, count - next, learned, last[free]), took = 0;
        for (uint64_t k = 0; k < size; k++)
            took += cost(next++);
        learned = brg__chunk_learn(learned, took, size);
        at[free] += took;
        total += took;
    }
    for (uint32_t i = 0; i < strands; i++)
        end = brg__max(end, at[i]);
    return (end - total / strands) * 1000 / (total / strands);
}

static uint64_t cost_even(uint64_t index) { return index < UINT64_MAX ? 100 : 0; }
static uint64_t cost_rising(uint64_t index) { return index / 50 + 1; }
static uint64_t cost_falling(uint64_t index) { return (1000000 - index) / 50 + 1; }
static uint64_t cost_random(uint64_t index) { return brg__random_mix(index) % 20000; }
static uint64_t cost_spiky(uint64_t index) { return brg__random_mix(index) % 1000 == 0 ? 1000000 : 200; }

static void all_end_together(void **state)
{
    (void)state;
    for (uint32_t strands = 1; strands <= 64; strands *= 2) {
        assert_true(imbalance(10000000, strands, cost_even) <= 30);
        assert_true(imbalance(1000000, strands, cost_rising) <= 30);
        assert_true(imbalance(1000000, strands, cost_falling) <= 30);
        assert_true(imbalance(1000000, strands, cost_random) <= 30);
        assert_true(imbalance(1000000, strands, cost_spiky) <= 300); /* one of a millisecond may be the last */
    }
}

static void sizes_keep_to_their_bounds(void **state)
{
    (void)state;
    uint64_t random = 3;
    for (int i = 0; i < 100000; i++) {
        uint64_t min = 1 + brg__random_below(&random, 100), max = min + brg__random_below(&random, 1000);
        uint64_t remaining = (brg__random_next(&random) >> brg__random_below(&random, 64)) | 1;
        uint64_t cost = brg__random_next(&random) >> brg__random_below(&random, 64);
        uint64_t last = brg__random_next(&random) >> brg__random_below(&random, 64);
        const brg__chunk_rule rule = rule_of(min, max, 1 + brg__random_below(&random, 64));
        uint64_t size = brg__chunk_size(&rule, remaining, cost, last);
        assert_true(size >= 1 && size <= remaining && size <= max && (size >= min || size == remaining));
    }
    const brg__chunk_rule wide = rule_of(1, UINT64_MAX, 1);
    assert_int_equal(brg__chunk_size(&wide, UINT64_MAX, 0, 0), 1);
    assert_int_equal(brg__chunk_size(&wide, UINT64_MAX, 0, 1), BRG__CHUNK_GROWTH);
    assert_true(brg__chunk_size(&wide, UINT64_MAX, 0, UINT64_MAX / 2) >= UINT64_MAX / 2); /* no overflow */
}

static void costs_are_learned(void **state)
{
    (void)state;
    assert_int_equal(brg__chunk_learn(0, 1000, 10), 100 << BRG__CHUNK_COST_SHIFT);
    assert_int_equal(brg__chunk_learn(0, 0, 10), 1);
    assert_int_equal(brg__chunk_learn(100, 0, 1), 50);
    assert_true(brg__chunk_learn(1, UINT64_MAX, 1) > UINT64_MAX / 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_end_together),
        cmocka_unit_test(sizes_keep_to_their_bounds),
        cmocka_unit_test(costs_are_learned),
    };
    return cmocka_run_group_tests_name("flow.chunk", tests, NULL, NULL);
}
