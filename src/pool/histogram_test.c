/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "os/thread.h"
#include "pool/histogram.h"

#define VALUES 100000

static int compare_u64(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return *left < *right ? -1 : *left > *right;
}

/* From one bucket to the next nothing is left out, and none is wider than 1/16 of its values. */
static void buckets_lie_side_by_side(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < BRG__HISTOGRAM_BUCKETS; i++) {
        uint64_t low = brg__histogram_low(i), next = brg__histogram_low(i + 1);
        assert_true(next > low);
        assert_true((next - low) * BRG__HISTOGRAM_STEPS <= low || next - low == 1);
        assert_int_equal(brg__histogram_bucket(low), i);
        assert_int_equal(brg__histogram_bucket(next - 1), i);
    }
    assert_true(brg__histogram_low(BRG__HISTOGRAM_BUCKETS) == BRG__HISTOGRAM_TOP);
    assert_int_equal(brg__histogram_bucket(BRG__HISTOGRAM_TOP), BRG__HISTOGRAM_BUCKETS - 1);
    assert_int_equal(brg__histogram_bucket(UINT64_MAX), BRG__HISTOGRAM_BUCKETS - 1);
}

typedef uint64_t (*draw_fn)(uint64_t *random);

static uint64_t draw_uniform(uint64_t *random) { return brg__random_next(random) % 1000000; }

/* Most are short, some a million times as long. */
static uint64_t draw_heavy_tail(uint64_t *random)
{
    uint64_t shift = (uint64_t)__builtin_ctzll(brg__random_next(random) | UINT64_C(1) << 20);
    return (50 + brg__random_next(random) % 50) << shift;
}

static uint64_t draw_two_peaks(uint64_t *random)
{
    uint64_t near = brg__random_next(random) % 100;
    return brg__random_next(random) % 10 != 0 ? 1000 + near : 5000000 + near * 1000;
}

static uint64_t draw_constant(uint64_t *random)
{
    (void)random;
    return 123456789;
}

static uint64_t draw_small(uint64_t *random) { return brg__random_next(random) % 20; }

static void check_quantiles(draw_fn draw)
{
    static const double quantiles[] = {0, 0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999};
    uint64_t *values = calloc(VALUES, sizeof(*values)), random = 1, sum = 0;
    brg__histogram *histogram = calloc(1, sizeof(*histogram));
    assert_non_null(values);
    assert_non_null(histogram);
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = draw(&random);
        sum += values[i];
        brg__histogram_add(histogram, values[i], 1);
    }
    qsort(values, VALUES, sizeof(*values), compare_u64);
    assert_true(brg__histogram_count(histogram) == VALUES);
    assert_true(histogram->xsum == sum);
    assert_true(brg__histogram_quantile(histogram, 1) == values[VALUES - 1]);
    for (size_t i = 0; i < brg__count_of(quantiles); i++) {
        size_t rank = (size_t)(quantiles[i] * VALUES);
        rank += (double)rank < quantiles[i] * VALUES;
        uint64_t exact = values[rank == 0 ? 0 : rank - 1], found = brg__histogram_quantile(histogram, quantiles[i]);
        uint64_t off = found > exact ? found - exact : exact - found;
        assert_true(off * 32 <= exact);
    }
    free(values);
    free(histogram);
}

static void quantiles_are_near_the_exact_ones(void **state)
{
    (void)state;
    check_quantiles(draw_uniform);
    check_quantiles(draw_heavy_tail);
    check_quantiles(draw_two_peaks);
    check_quantiles(draw_constant);
    check_quantiles(draw_small);
}

static void an_empty_one_says_zero(void **state)
{
    (void)state;
    brg__histogram histogram;
    memset(&histogram, 0, sizeof(histogram));
    assert_true(brg__histogram_quantile(&histogram, 0.5) == 0);
    assert_true(brg__histogram_quantile(&histogram, 1) == 0);
    assert_true(brg__histogram_count(&histogram) == 0);
}

static void values_past_the_top_are_kept_as_the_maximum(void **state)
{
    (void)state;
    brg__histogram histogram;
    memset(&histogram, 0, sizeof(histogram));
    brg__histogram_add(&histogram, BRG__HISTOGRAM_TOP * 8, 3);
    assert_true(brg__histogram_count(&histogram) == 3);
    assert_true(histogram.xmax == BRG__HISTOGRAM_TOP * 8);
    assert_true(brg__histogram_quantile(&histogram, 1) == BRG__HISTOGRAM_TOP * 8);
}

static void merged_is_as_if_all_were_added_to_one(void **state)
{
    (void)state;
    brg__histogram parts[3], whole, merged;
    uint64_t random = 7;
    memset(parts, 0, sizeof(parts));
    memset(&whole, 0, sizeof(whole));
    memset(&merged, 0, sizeof(merged));
    for (int i = 0; i < 30000; i++) {
        uint64_t value = draw_heavy_tail(&random), weight = 1u << (i % 4);
        brg__histogram_add(&parts[i % 3], value, weight);
        brg__histogram_add(&whole, value, weight);
    }
    for (int i = 0; i < 3; i++)
        brg__histogram_merge(&merged, &parts[i]);
    assert_memory_equal(&merged, &whole, sizeof(whole));
}

static void counts_below_a_border_are_exact(void **state)
{
    (void)state;
    brg__histogram histogram;
    uint64_t random = 3, below = 0;
    memset(&histogram, 0, sizeof(histogram));
    for (int i = 0; i < 10000; i++) {
        uint64_t value = draw_uniform(&random);
        below += value < 65536;
        brg__histogram_add(&histogram, value, 1);
    }
    assert_true(below != 0 && brg__histogram_count_below(&histogram, 65536) == below);
}

#define WRITERS 3

static void write_shared(void *argument)
{
    for (uint64_t i = 0; i < 20000; i++)
        brg__histogram_add_shared(argument, i % 1000, 2);
}

static void several_writers_lose_nothing(void **state)
{
    (void)state;
    brg__histogram *histogram = calloc(1, sizeof(*histogram));
    brg__thread threads[WRITERS];
    assert_non_null(histogram);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(brg__thread_start(&threads[i], "writer", 0, write_shared, histogram, NULL), BRG_OK);
    for (int i = 0; i < WRITERS; i++)
        brg__thread_join(&threads[i]);
    assert_true(brg__histogram_count(histogram) == WRITERS * 20000 * 2);
    assert_true(histogram->xmax == 999);
    assert_true(histogram->xsum == UINT64_C(2) * WRITERS * 20 * 999 * 500);
    free(histogram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_lie_side_by_side),
        cmocka_unit_test(quantiles_are_near_the_exact_ones),
        cmocka_unit_test(an_empty_one_says_zero),
        cmocka_unit_test(values_past_the_top_are_kept_as_the_maximum),
        cmocka_unit_test(merged_is_as_if_all_were_added_to_one),
        cmocka_unit_test(counts_below_a_border_are_exact),
        cmocka_unit_test(several_writers_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
