/* SPDX-License-Identifier: MIT */
/* Map and reduce over ranges. */
#include "scenario.h"

#include <sched.h>

#include "base/random.h"

/* Matrices of two by two: their product depends on the order. */
typedef struct matrix {
    uint32_t a, b, c, d;
} matrix;

static matrix multiply(matrix x, matrix y)
{
    return (matrix){x.a * y.a + x.b * y.c, x.a * y.b + x.b * y.d, x.c * y.a + x.d * y.c, x.c * y.b + x.d * y.d};
}

static matrix matrix_at(size_t i)
{
    uint32_t r = (uint32_t)brg__random_mix(i);
    return (matrix){r | 1u, r >> 3, r >> 7, (r >> 11) | 1u};
}

static brg_status multiply_range(brg_context *context, size_t first, size_t end, void *accumulator, void *state)
{
    matrix *product = accumulator;
    (void)context, (void)state;
    for (size_t i = first; i < end; i++)
        *product = multiply(*product, matrix_at(i));
    return BRG_OK;
}

static brg_status multiply_two(void *into, void *from, void *state)
{
    (void)state;
    *(matrix *)into = multiply(*(const matrix *)into, *(const matrix *)from);
    return BRG_OK;
}

static void products_are_in_order(void **state)
{
    (void)state;
    uint64_t random = 5;
    for (uint32_t workers = 1; workers <= 4; workers++) {
        brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = workers));
        for (int i = 0; i < 50; i++) {
            size_t count = brg__random_below(&random, 20000);
            matrix expected = {1, 0, 0, 1}, product = expected;
            (void)multiply_range(NULL, 0, count, &expected, NULL);
            brg_error error;
            assert_int_equal(brg_map_reduce(pool, count,
                                            brg_reduction_opts(.fold = multiply_range, .combine = multiply_two,
                                                               .accumulator_bytes = sizeof(matrix)),
                                            &product, brg_flow_opts(.chunk_max = 1 + brg__random_below(&random, 400)),
                                            &error),
                             BRG_OK);
            assert_memory_equal(&product, &expected, sizeof(product));
        }
        brg_pool_destroy(pool);
    }
}

static brg_status add_range(brg_context *context, size_t first, size_t end, void *accumulator, void *state)
{
    double *sum = accumulator;
    (void)context, (void)state;
    for (size_t i = first; i < end; i++)
        *sum += 1.0 / (double)(i + 1);
    return BRG_OK;
}

static brg_status add_two(void *into, void *from, void *state)
{
    (void)state;
    *(double *)into += *(const double *)from;
    return BRG_OK;
}

static void sums_are_the_same_to_the_last_bit(void **state)
{
    (void)state;
    double first = 0;
    for (uint32_t i = 0; i < 30; i++) {
        brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1 + i % 4));
        double sum = 0;
        assert_int_equal(brg_map_reduce(pool, 100000,
                                        brg_reduction_opts(.fold = add_range, .combine = add_two,
                                                           .accumulator_bytes = sizeof(double)),
                                        &sum, brg_flow_opts(.chunk_min = 1000, .chunk_max = 1000), NULL),
                         BRG_OK);
        first = i == 0 ? sum : first;
        assert_memory_equal(&sum, &first, sizeof(sum));
        brg_pool_destroy(pool);
    }
}

/* Accumulators that own memory. */
typedef struct bag {
    uint64_t *counts;
} bag;

typedef struct bags {
    uint32_t xlive;
    size_t fails_at, combine_fails_at;
    uint32_t combined;
} bags;

enum { BAG_KINDS = 16 };

static brg_status bag_fold(brg_context *context, size_t first, size_t end, void *accumulator, void *state)
{
    bag *own = accumulator;
    bags *all = state;
    if (own->counts == NULL) {
        own->counts = calloc(BAG_KINDS, sizeof(*own->counts));
        __atomic_fetch_add(&all->xlive, 1, __ATOMIC_RELAXED);
    }
    for (size_t i = first; i < end; i++)
        own->counts[brg__random_mix(i) % BAG_KINDS]++;
    if (all->fails_at >= first && all->fails_at < end)
        return brg_context_fail(context, 1, "here");
    return BRG_OK;
}

static void bag_discard(void *accumulator, void *state)
{
    bag *own = accumulator;
    bags *all = state;
    if (own->counts != NULL)
        __atomic_fetch_sub(&all->xlive, 1, __ATOMIC_RELAXED);
    free(own->counts);
}

static brg_status bag_combine(void *into, void *from, void *state)
{
    bags *all = state;
    bag *to = into, *with = from;
    if (++all->combined == all->combine_fails_at)
        return BRG_RANGE;
    for (int i = 0; i < BAG_KINDS; i++)
        to->counts[i] += with->counts[i];
    bag_discard(with, state);
    return BRG_OK;
}

static brg_status bag_run(brg_pool *pool, size_t count, bags *all, bag *total, bool unordered, brg_error *error)
{
    return brg_map_reduce(pool, count,
                          brg_reduction_opts(.fold = bag_fold, .combine = bag_combine, .discard = bag_discard,
                                             .accumulator_bytes = sizeof(bag), .state = all),
                          total, brg_flow_opts(.unordered = unordered, .chunk_max = 300), error);
}

static void accumulators_own_memory(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 3));
    for (int i = 0; i < 120; i++) {
        bool unordered = i % 2 == 0;
        bags all = {.fails_at = SIZE_MAX};
        bag total = {NULL}, expected = {NULL};
        brg_error error;
        if (i % 3 == 1)
            all.fails_at = (size_t)i * 150;
        if (i % 3 == 2)
            all.combine_fails_at = 1 + (unordered ? 0 : (size_t)i % 60);
        brg_status status = bag_run(pool, 20000, &all, &total, unordered, &error);
        if (status == BRG_OK) {
            bags none = {.fails_at = SIZE_MAX};
            (void)bag_fold(NULL, 0, 20000, &expected, &none);
            assert_int_equal(all.xlive, 1);
            assert_memory_equal(total.counts, expected.counts, BAG_KINDS * sizeof(uint64_t));
            free(expected.counts);
            free(total.counts);
        } else {
            assert_int_equal(status, i % 3 == 1 ? BRG_FAILED : BRG_RANGE);
            assert_int_equal(error.status, status);
            assert_null(total.counts);
            assert_int_equal(all.xlive, 0);
        }
        assert_true(i % 3 != 1 || status == BRG_FAILED);
        assert_true(i % 3 != 0 || status == BRG_OK);
    }
    brg_pool_destroy(pool);
}

/* Folds of three elements at once; the last one ends when combining has failed. */
typedef struct failing {
    uint32_t xbegun, xcombined;
} failing;

static brg_status failing_fold(brg_context *context, size_t first, size_t end, void *accumulator, void *state)
{
    failing *all = state;
    (void)context, (void)end, (void)accumulator;
    __atomic_fetch_add(&all->xbegun, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&all->xbegun, __ATOMIC_SEQ_CST) != 3 ||
           (first == 2 && __atomic_load_n(&all->xcombined, __ATOMIC_SEQ_CST) == 0))
        sched_yield();
    return BRG_OK;
}

static brg_status failing_combine(void *into, void *from, void *state)
{
    failing *all = state;
    (void)into, (void)from;
    __atomic_fetch_add(&all->xcombined, 1, __ATOMIC_SEQ_CST);
    return BRG_RANGE;
}

static void combining_fails_once(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 3));
    for (int i = 0; i < 200; i++) {
        failing all = {0};
        size_t failures = 0;
        assert_int_equal(
            brg_map_reduce(pool, 3, brg_reduction_opts(.fold = failing_fold, .combine = failing_combine, .state = &all),
                           NULL, brg_flow_opts(.chunk_max = 1, .failures = &failures), NULL),
            BRG_RANGE);
        assert_int_equal(all.xcombined, 1);
        assert_int_equal(failures, 1);
    }
    brg_pool_destroy(pool);
}

static brg_status count_fold(brg_context *context, size_t first, size_t end, void *accumulator, void *state)
{
    (void)context, (void)accumulator;
    __atomic_fetch_add((size_t *)state, end - first, __ATOMIC_RELAXED);
    return BRG_OK;
}

static brg_status count_combine(void *into, void *from, void *state)
{
    (void)into, (void)from, (void)state;
    return BRG_OK;
}

static void accumulators_may_be_nothing(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2));
    size_t seen = 0;
    assert_int_equal(brg_map_reduce(pool, 1000,
                                    brg_reduction_opts(.fold = count_fold, .combine = count_combine, .state = &seen),
                                    NULL, NULL, NULL),
                     BRG_OK);
    assert_int_equal(seen, 1000);
    brg_pool_destroy(pool);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static void bad_reductions_are_named(void **state)
{
    (void)state;
    double n = 0;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    SCENARIO_REFUSED(BRG_INVALID, "fold", brg_map_reduce(pool, 1, NULL, &n, NULL, &error));
    SCENARIO_REFUSED(BRG_INVALID, "combine",
                     brg_map_reduce(pool, 1, brg_reduction_opts(.fold = add_range), &n, NULL, &error));
    SCENARIO_REFUSED(BRG_INVALID, "result",
                     brg_map_reduce(pool, 1,
                                    brg_reduction_opts(.fold = add_range, .combine = add_two, .accumulator_bytes = 8),
                                    NULL, NULL, &error));
    SCENARIO_REFUSED(BRG_INVALID, "errors",
                     brg_map_reduce(pool, 1,
                                    brg_reduction_opts(.fold = add_range, .combine = add_two, .accumulator_bytes = 8),
                                    &n, brg_flow_opts(.errors = BRG_FLOW_GO_ON), &error));
    brg_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_in_order),       cmocka_unit_test(sums_are_the_same_to_the_last_bit),
        cmocka_unit_test(accumulators_own_memory),     cmocka_unit_test(combining_fails_once),
        cmocka_unit_test(accumulators_may_be_nothing), cmocka_unit_test(bad_reductions_are_named),
    };
    return cmocka_run_group_tests_name("flow_reduce", tests, NULL, NULL);
}
