/* SPDX-License-Identifier: MIT */
/*
 * The search against a sweep, on made-up curves with made-up noise: the same seeds give the same numbers anywhere, and
 * rounds stand for time.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "search.h"

#define SEEDS 80

typedef double (*curve_fn)(double workers, double a, double b);

/* As much as `a` CPUs give. */
static double curve_flat(double w, double a, double b)
{
    (void)b;
    return fmin(w, a);
}

/* The same with a soft knee: workers that also sleep. */
static double curve_soft(double w, double a, double b)
{
    (void)b;
    return pow(pow(w, -4) + pow(a, -4), -0.25);
}

/* The universal scalability law: `a` contention, `b` coherence (Gunther, 1993). */
static double curve_usl(double w, double a, double b) { return w / (1 + a * (w - 1) + b * w * (w - 1)); }

/* Up to `a` workers, and then each one more costs. */
static double curve_peak(double w, double a, double b) { return fmin(w, a) / (1 + b * fmax(0, w - a)); }

/* A second, higher hump beyond a valley. */
static double curve_humps(double w, double a, double b)
{
    return fmax(curve_peak(w, a, b), 1.5 * curve_peak(w - 20, a, b));
}

static const struct curve {
    const char *name;
    curve_fn at;
    double a, b;
} curves[] = {{"2 CPUs", curve_flat, 2, 0},          {"3 CPUs", curve_flat, 3, 0},
              {"8 CPUs", curve_flat, 8, 0},          {"13 CPUs", curve_flat, 13, 0},
              {"soft at 4", curve_soft, 4, 0},       {"soft at 10", curve_soft, 10, 0},
              {"Amdahl", curve_usl, 0.1, 0},         {"peak at 6", curve_usl, 0.05, 0.03},
              {"peak at 8", curve_usl, 0.02, 0.015}, {"peak at 20", curve_usl, 0.01, 0.0025},
              {"sharp at 3", curve_peak, 3, 0.05},   {"sharp at 11", curve_peak, 11, 0.1},
              {"for ever", curve_usl, 0, 0},         {"falling", curve_usl, 0.9, 0.05}};
#define CURVES (sizeof(curves) / sizeof(curves[0]))

static uint64_t random_state;

static double random_part(void) /* splitmix64 */
{
    uint64_t value = random_state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((value ^ (value >> 31)) >> 11) * 0x1p-53;
}

/* Nearly normal, deviation 1. */
static double random_normal(void)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += random_part();
    return sum;
}

typedef struct disturbance {
    double deviation; /* of a round, relative */
    double disturbed; /* share of rounds that lose 10 to 40 per cent */
} disturbance;

/* Runs a search to its end; returns what it chose. */
static uint32_t run_search(const struct curve *curve, uint32_t to, disturbance noise, bool sweep, uint64_t seed,
                           uint32_t *used)
{
    search self;
    uint32_t workers = 0, last = 0;
    assert_true(
        search_init(&self, &(search_options){.from = 1, .to = to, .rounds = 7, .tolerance = 0.02, .sweep = sweep}));
    random_state = seed;
    while (search_next(&self, &workers)) {
        assert_in_range(workers, 1, to);
        double rate = curve->at(workers, curve->a, curve->b) * (1 + noise.deviation * random_normal());
        if (random_part() < noise.disturbed)
            rate *= 0.6 + 0.3 * random_part();
        search_add(&self, workers, rate);
        last = workers;
    }
    assert_true(last != 0);
    uint32_t best = search_best(&self);
    *used = self.used;
    search_done(&self);
    return best;
}

static double best_of(const struct curve *curve, uint32_t to)
{
    double best = 0;
    for (uint32_t w = 1; w <= to; w++)
        best = fmax(best, curve->at(w, curve->a, curve->b));
    return best;
}

/* Of all curves, ranges and seeds, how many choices lose more than 5 per cent against the sweep's. */
static uint32_t count_wrong(disturbance noise, uint32_t *total)
{
    static const uint32_t tos[] = {8, 16, 32, 64};
    uint32_t wrong = 0, wrong_sweep = 0;
    *total = 0;
    for (size_t c = 0; c < CURVES; c++)
        for (size_t t = 0; t < sizeof(tos) / sizeof(tos[0]); t++)
            for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                const struct curve *curve = &curves[c];
                uint32_t used = 0, swept = 0;
                uint32_t chosen = run_search(curve, tos[t], noise, false, seed * 1000 + c, &used);
                uint32_t by_sweep = run_search(curve, tos[t], noise, true, seed * 1000 + c, &swept);
                double rate = curve->at(chosen, curve->a, curve->b);
                assert_int_equal(swept, tos[t] * 7);
                assert_true(used * 4 <= swept);
                wrong += rate < 0.95 * fmax(best_of(curve, tos[t]), curve->at(by_sweep, curve->a, curve->b));
                wrong_sweep += curve->at(by_sweep, curve->a, curve->b) < 0.95 * best_of(curve, tos[t]);
                ++*total;
            }
    print_message("noise %.0f %%, disturbed %.0f %%: %u of %u lose more than 5 %%; of the sweep %u\n",
                  100 * noise.deviation, 100 * noise.disturbed, wrong, *total, wrong_sweep);
    return wrong;
}

static void quiet_machine(void **state)
{
    (void)state;
    uint32_t total = 0;
    assert_int_equal(count_wrong((disturbance){0.01, 0}, &total), 0);
}

static void usual_machine(void **state)
{
    (void)state;
    uint32_t total = 0, wrong = count_wrong((disturbance){0.02, 0}, &total);
    assert_true(wrong * 200 <= total);
}

static void disturbed_machine(void **state)
{
    (void)state;
    uint32_t total = 0, wrong = count_wrong((disturbance){0.03, 0.06}, &total);
    assert_true(wrong * 25 <= total);
}

/* Without noise the smallest count that is good enough is the answer, and few rounds are used. */
static void exact(void **state)
{
    (void)state;
    for (uint32_t cpus = 1; cpus <= 16; cpus++) {
        struct curve curve = {"", curve_flat, cpus, 0};
        uint32_t used = 0;
        assert_int_equal(run_search(&curve, 16, (disturbance){0, 0}, false, 1, &used), cpus);
    }
}

/* What it does not promise: the second hump is never looked for, once two doublings brought nothing. */
static void two_humps(void **state)
{
    (void)state;
    struct curve curve = {"two humps", curve_humps, 3, 0.3};
    uint32_t used = 0;
    assert_int_equal(run_search(&curve, 32, (disturbance){0, 0}, false, 1, &used), 3);
    assert_int_equal(run_search(&curve, 32, (disturbance){0, 0}, true, 1, &used), 23);
}

static void small_ranges(void **state)
{
    (void)state;
    struct curve curve = {"", curve_flat, 2, 0};
    uint32_t used = 0;
    assert_int_equal(run_search(&curve, 1, (disturbance){0, 0}, false, 1, &used), 1);
    assert_int_equal(run_search(&curve, 2, (disturbance){0, 0}, false, 1, &used), 2);
    assert_int_equal(run_search(&curve, 4, (disturbance){0, 0}, false, 1, &used), 2);
}

static void says_when_more_may_help(void **state)
{
    (void)state;
    for (int cpus = 4; cpus <= 64; cpus *= 16) {
        search self;
        uint32_t workers = 0;
        assert_true(search_init(&self, &(search_options){.from = 2, .to = 20, .rounds = 5, .tolerance = 0.02}));
        assert_int_equal(search_best(&self), 0);
        assert_false(search_wants_more(&self));
        while (search_next(&self, &workers)) {
            assert_in_range(workers, 2, 20);
            search_add(&self, workers, curve_flat(workers, cpus, 0));
        }
        assert_int_equal(search_wants_more(&self), cpus == 64);
        assert_int_equal(search_best(&self), cpus == 64 ? 20 : 4);
        search_done(&self);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quiet_machine),
        cmocka_unit_test(usual_machine),
        cmocka_unit_test(disturbed_machine),
        cmocka_unit_test(exact),
        cmocka_unit_test(two_humps),
        cmocka_unit_test(small_ranges),
        cmocka_unit_test(says_when_more_may_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
