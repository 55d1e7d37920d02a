/* SPDX-License-Identifier: MIT */
/* Sums, means and percentiles, also of numbers near the end of the doubles, where what lies between two of them may be
 * beyond it. Expected values are exact. */
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "result.h"

#define NUMBERS_MAX 40
#define STEPS 1000

static uint64_t random_state = 7;

static uint32_t pick(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

static void is_exactly(double got, double wanted)
{
    if (!(got == wanted))
        fail_msg("%.17g, not %.17g", got, wanted);
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

typedef struct sum_case {
    double numbers[8];
    uint64_t count;
    double sum, mean;
} sum_case;

static const sum_case sums[] = {
    {{1, 2, 4}, 3, 7, 7.0 / 3},
    {{1e100, 1, -1e100}, 3, 1, 1.0 / 3},
    {{0x1p1023, 0x1p1023}, 2, INFINITY, 0x1p1023},
    {{-0x1p1023, -0x1p1023, -0x1p1023, -0x1p1023}, 4, -INFINITY, -0x1p1023},
    {{DBL_MAX, DBL_MAX, DBL_MAX}, 3, INFINITY, DBL_MAX},
    {{-DBL_MAX, -DBL_MAX}, 2, -INFINITY, -DBL_MAX},
    {{DBL_MAX, 0x1p970}, 2, INFINITY, 0x1p1023},
    {{DBL_MAX, -DBL_MAX}, 2, 0, 0},
    {{0x1p1023, 0x1p1023, 0, 0}, 4, INFINITY, 0x1p1022},
    /* Beyond the doubles, and back. */
    {{0x1p1023, 0x1p1023, -0x1p1023}, 3, 0x1p1023, 0x1p1023 / 3},
    {{0x1p1023, 0x1p1023, -0x1p1023, -0x1p1023, 1}, 5, 1, 0.2},
    {{0x1p1023, 0x1p1023, 0x1p900, -0x1p1023, -0x1p1023, 0x1p-1074}, 6, 0x1p900, 0x1p900 / 6},
    {{1e-300, 0x1.8p1023, 0x1.8p1023, -0x1.8p1023, -0x1.8p1023}, 5, 1e-300, 1e-300 / 5},
    {{-0x1p1023, -0x1p1023, -0x1p1023, 0x1p1023, 0x1p1023, 0x1p1023}, 6, 0, 0},
    /* What is beyond is rounded, too. */
    {{0x1p1023, 0x1.0000000000001p1023, 0x1p1023, -0x1p1023, -0x1p1023, -0x1p1023}, 6, 0x1p971, 0x1p971 / 6},
};

/* In one piece, and cut in two at each place. */
static void sums_and_means(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
        for (uint64_t cut = 0; cut <= sums[i].count; cut++) {
            group_cell first = {0}, second = {0};
            for (uint64_t j = 0; j < sums[i].count; j++)
                group_add(j < cut ? &first : &second, sums[i].numbers[j]);
            analyze_cell_merge(&first, &second);
            assert_int_equal(first.count, sums[i].count);
            is_exactly(analyze_cell_sum(&first), sums[i].sum);
            is_exactly(analyze_cell_mean(&first), sums[i].mean);
        }
}

/* In any order, as long as the exact sum is a double: large ones go and come back, small ones are what is left. */
static void sums_come_back(void **state)
{
    (void)state;
    for (int round = 0; round < 2000; round++) {
        double numbers[NUMBERS_MAX], left = 0;
        uint32_t count = 0;
        while (count + 3 <= NUMBERS_MAX) {
            double large = ldexp((double)(1 + pick(1 << 20)), 1003), small = (double)(int)pick(1000) - 500;
            numbers[count++] = large;
            numbers[count++] = -large;
            numbers[count++] = small;
            left += small;
        }
        group_cell cell = {0};
        for (uint32_t i = count; i > 0; i--) {
            uint32_t at = pick(i);
            group_add(&cell, numbers[at]);
            numbers[at] = numbers[i - 1];
        }
        is_exactly(analyze_cell_sum(&cell), left);
    }
}

/* ---- percentiles --------------------------------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
    uint64_t first = ((const tally_entry *)a)->value, second = ((const tally_entry *)b)->value;
    return (first > second) - (first < second);
}

static double percentile(const double *numbers, size_t count, bool sketch, double percent)
{
    tally_entry entries[NUMBERS_MAX];
    for (size_t i = 0; i < count; i++)
        entries[i] = (tally_entry){sketch ? analyze_sketch_word(numbers[i]) : analyze_order(numbers[i]), 1, 0};
    qsort(entries, count, sizeof(entries[0]), compare_entries);
    return analyze_percentile(entries, count, sketch, percent);
}

static void percentiles(void **state)
{
    (void)state;
    is_exactly(percentile((double[]){1, 2, 4, 8}, 4, false, 50), 3);
    is_exactly(percentile((double[]){-0x1p1023, 0x1p1023}, 2, false, 50), 0);
    is_exactly(percentile((double[]){-0x1p1023, 0x1p1023}, 2, false, 75), 0x1p1022);
    is_exactly(percentile((double[]){-DBL_MAX, DBL_MAX}, 2, false, 0), -DBL_MAX);
    is_exactly(percentile((double[]){-DBL_MAX, DBL_MAX}, 2, false, 50), 0);
    is_exactly(percentile((double[]){-DBL_MAX, DBL_MAX}, 2, false, 100), DBL_MAX);
    is_exactly(percentile((double[]){0x1p1023, 0x1.8p1023}, 2, false, 50), 0x1.4p1023);
    is_exactly(percentile((double[]){DBL_MAX, DBL_MAX}, 2, false, 37), DBL_MAX);
    is_exactly(percentile((double[]){0.1, 0.1}, 2, false, 37), 0.1);
}

/* From the least to the greatest, never back. */
static void percentiles_rise(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        double numbers[NUMBERS_MAX], low = INFINITY, high = -INFINITY, before = -INFINITY;
        size_t count = 1 + pick(5);
        for (size_t i = 0; i < count; i++) {
            static const double largest[] = {DBL_MAX, -DBL_MAX, 0x1p1023, -0x1p1023, 0, DBL_MIN, 0.1, -0x1p-1074};
            numbers[i] = pick(2) == 0 ? largest[pick(8)] : ldexp((double)(int)pick(1 << 20) - (1 << 19), 1004);
            low = fmin(low, numbers[i]);
            high = fmax(high, numbers[i]);
        }
        for (int step = 0; step <= STEPS; step++) {
            double value = percentile(numbers, count, false, 100.0 * step / STEPS);
            if (!(value >= before && value >= low && value <= high))
                fail_msg("round %d, step %d: %.17g after %.17g, from %.17g to %.17g", round, step, value, before, low,
                         high);
            before = value;
        }
        is_exactly(percentile(numbers, count, false, 0), low);
        is_exactly(percentile(numbers, count, false, 100), high);
    }
}

static void sketches_are_near(void **state)
{
    (void)state;
    for (int exponent = -1020; exponent < 1024; exponent++)
        for (int i = 0; i < 50; i++) {
            double number = ldexp(1 + pick(1 << 30) / 0x1p30, exponent) * (pick(2) == 0 ? 1 : -1);
            double value = analyze_number_of_word(analyze_sketch_word(number), true);
            if (!(fabs(value - number) <= fabs(number) / 256))
                fail_msg("%.17g is sketched as %.17g", number, value);
        }
    is_exactly(analyze_number_of_word(analyze_sketch_word(0), true), 0);
    double most = percentile((double[]){-DBL_MAX, DBL_MAX}, 2, true, 100);
    assert_true(isfinite(most) && most > DBL_MAX / 256 * 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_means),   cmocka_unit_test(sums_come_back),    cmocka_unit_test(percentiles),
        cmocka_unit_test(percentiles_rise), cmocka_unit_test(sketches_are_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
