/* SPDX-License-Identifier: MIT */
/* Placement policies against their definitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "pool/placement.h"

#define SEATS_MAX 65536

static brg_seat seat_store[SEATS_MAX];
static brg_seat *seat_pointers[SEATS_MAX];
static union {
    uint8_t bytes[1024];
    max_align_t align;
} policy_state;
static const brg_placement_policy *policy;
static brg_seats seats;
static brg_item item;

static void set_up(const brg_placement_policy *which, uint32_t count, uint64_t seed)
{
    brg_pool_options options = {.size = sizeof(options), .seed = seed};
    policy = which;
    assert_true(policy->size == sizeof(*policy));
    assert_true(policy->state_bytes <= sizeof(policy_state));
    memset(&policy_state, 0, sizeof(policy_state));
    if (policy->init != NULL)
        policy->init(&policy_state, &options);
    for (uint32_t i = 0; i < count; i++) {
        seat_store[i] = (brg_seat){.index = i, .is_usable = true};
        seat_pointers[i] = &seat_store[i];
    }
    seats = (brg_seats){.seats = seat_pointers, .count = count, .usable_count = count, .from = BRG_SEAT_ANY};
    item = (brg_item){.cost = 1};
}

static uint32_t choose(void) { return policy->choose(&policy_state, &seats, &item); }

static void set_usable(uint32_t index, bool usable)
{
    seats.usable_count += (uint32_t)usable - (uint32_t)seat_store[index].is_usable;
    seat_store[index].is_usable = usable;
}

static void all_policies(const brg_placement_policy *list[6])
{
    list[0] = brg_placement_round_robin;
    list[1] = brg_placement_least_busy;
    list[2] = brg_placement_random;
    list[3] = brg_placement_two_choices;
    list[4] = brg_placement_sticky;
    list[5] = brg_placement_stealing;
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

static void pull_assigns_nothing(void **state)
{
    (void)state;
    assert_null(brg_placement_pull->choose);
    assert_false(brg_placement_pull->steals);
    assert_true(brg_placement_stealing->steals);
}

/* Workers come and go, tags differ, loads change: what is chosen always fits, and is something if anything fits. */
static void only_what_fits_is_chosen(void **state)
{
    (void)state;
    const brg_placement_policy *list[6];
    all_policies(list);
    for (int p = 0; p < 6; p++) {
        uint64_t random = 7;
        set_up(list[p], 20, 1);
        uint32_t none = 0, some = 0;
        for (int step = 0; step < 50000; step++) {
            uint32_t index = brg__random_below(&random, 20);
            seat_store[index].tags = brg__random_next(&random) & 7;
            seat_store[index].load = brg__random_below(&random, 5);
            seat_store[index].is_idle = seat_store[index].load == 0;
            set_usable(index, brg__random_below(&random, 8) == 0);
            seats.count = 15 + brg__random_below(&random, 6);
            seats.needs = brg__random_next(&random) & brg__random_next(&random) & 7;
            seats.from = brg__random_below(&random, 2) == 0 ? BRG_SEAT_ANY : brg__random_below(&random, 20);
            item.key = brg__random_below(&random, 3);
            bool any = false;
            for (uint32_t i = 0; i < seats.count; i++)
                any = any || brg_seat_fits(&seats, i);
            uint32_t chosen = choose();
            any ? some++ : none++;
            assert_int_equal(chosen != BRG_SEAT_ANY, any);
            if (any)
                assert_true(chosen < seats.count && brg_seat_fits(&seats, chosen));
        }
        assert_true(none > 100 && some > 100);
    }
}

static void without_seats_nothing_is_chosen(void **state)
{
    (void)state;
    const brg_placement_policy *list[6];
    all_policies(list);
    for (int p = 0; p < 6; p++) {
        set_up(list[p], 0, 1);
        for (item.key = 0; item.key < 3; item.key++)
            assert_true(choose() == BRG_SEAT_ANY);
    }
}

/* ---- in turn ----------------------------------------------------------------------------------------------------- */

static void check_rounds(const brg_placement_policy *which)
{
    set_up(which, 7, 1);
    set_usable(2, false);
    for (uint32_t i = 0; i < 7; i += 2)
        seat_store[i].tags = 1;
    /* Tagged tasks among the others, three of each two: rounds of each kind are exact all the same. */
    uint32_t plain[7] = {0}, tagged[7] = {0};
    for (int step = 0; step < 6 * 3 * 100; step++) {
        seats.needs = step % 3 != 0;
        uint32_t chosen = choose();
        if (seats.needs != 0)
            tagged[chosen]++;
        else
            plain[chosen]++;
        if (step % 18 == 17)
            for (uint32_t i = 0; i < 7; i++) {
                assert_int_equal(plain[i], i == 2 ? 0 : step / 18 + 1);
                assert_int_equal(tagged[i], i == 2 || i % 2 == 1 ? 0 : (step / 18 + 1) * 4);
            }
    }
}

static void round_robin_is_exact(void **state)
{
    (void)state;
    check_rounds(brg_placement_round_robin);
}

static void stealing_is_in_turn_from_outside(void **state)
{
    (void)state;
    check_rounds(brg_placement_stealing);
}

/* From any point on, whatever happened before, each of the next n tasks goes to another worker. */
static void round_robin_is_exact_after_changes(void **state)
{
    (void)state;
    uint64_t random = 3;
    set_up(brg_placement_round_robin, 64, 1);
    for (int step = 0; step < 2000; step++) {
        set_usable(brg__random_below(&random, 64), brg__random_below(&random, 2) == 0);
        uint64_t seen = 0;
        for (uint32_t i = 0; i < seats.usable_count; i++) {
            uint64_t bit = UINT64_C(1) << choose();
            assert_true((seen & bit) == 0);
            seen |= bit;
        }
    }
}

/* More sets of tags than it keeps apart: still in turn as far as it goes, and never out of bounds. */
static void many_sets_of_tags(void **state)
{
    (void)state;
    set_up(brg_placement_round_robin, 8, 1);
    for (uint32_t i = 0; i < 8; i++)
        seat_store[i].tags = UINT64_MAX;
    for (uint64_t needs = 0; needs < 1000; needs++) {
        seats.needs = needs;
        assert_true(choose() < 8);
    }
}

static void stealing_keeps_a_workers_own(void **state)
{
    (void)state;
    set_up(brg_placement_stealing, 4, 1);
    for (uint32_t i = 0; i < 4; i++) {
        seats.from = i;
        assert_int_equal(choose(), i);
        assert_int_equal(choose(), i);
    }
    seat_store[0].tags = 1;
    seats.needs = 1;
    assert_int_equal(choose(), 0); /* from 3, which lacks the tag */
    seats.needs = 0;
    set_usable(3, false);
    assert_int_not_equal(choose(), 3);
}

/* ---- by load ----------------------------------------------------------------------------------------------------- */

static void least_busy_is_a_minimum(void **state)
{
    (void)state;
    uint64_t random = 5;
    set_up(brg_placement_least_busy, 40, 1);
    for (int step = 0; step < 20000; step++) {
        brg_seat *seat = &seat_store[brg__random_below(&random, 40)];
        seat->load = brg__random_below(&random, 4);
        seat->is_idle = seat->load == 0 && brg__random_below(&random, 2) == 0;
        set_usable(seat->index, brg__random_below(&random, 3) != 0);
        uint32_t least = UINT32_MAX;
        bool any_idle = false;
        for (uint32_t i = 0; i < 40; i++)
            if (seat_store[i].is_usable)
                least = seat_store[i].load < least ? seat_store[i].load : least;
        for (uint32_t i = 0; i < 40; i++)
            any_idle = any_idle || (seat_store[i].is_usable && seat_store[i].load == least && seat_store[i].is_idle);
        const brg_seat *chosen = &seat_store[choose()];
        assert_int_equal(chosen->load, least);
        assert_int_equal(chosen->is_idle, any_idle);
    }
}

static void least_busy_takes_turns_among_equals(void **state)
{
    (void)state;
    set_up(brg_placement_least_busy, 5, 1);
    for (int step = 0; step < 50; step++)
        for (uint32_t i = 0; i < 5; i++)
            assert_int_equal(choose(), i);
}

/* Chi-square with 9 degrees of freedom: 27.88 is passed with probability 0.001; the seeds are fixed. */
static double chi_square(uint32_t tries, const uint32_t *which, uint32_t count)
{
    uint32_t hits[64] = {0};
    double sum = 0, expected = (double)tries / count;
    for (uint32_t i = 0; i < tries; i++)
        hits[choose()]++;
    for (uint32_t i = 0; i < count; i++)
        sum += (hits[which[i]] - expected) * (hits[which[i]] - expected) / expected;
    return sum;
}

static void random_is_uniform(void **state)
{
    (void)state;
    static const uint32_t dense[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    static const uint32_t sparse[10] = {0, 1, 2, 3, 20, 31, 40, 61, 62, 63};
    for (uint64_t seed = 0; seed < 5; seed++) {
        set_up(brg_placement_random, 10, seed);
        assert_true(chi_square(100000, dense, 10) < 27.88);
        /* Ten of 64 are there: tries and scan together are as even. */
        set_up(brg_placement_random, 64, seed);
        for (uint32_t i = 0, next = 0; i < 64; i++)
            if (sparse[next] == i)
                next++;
            else
                set_usable(i, false);
        assert_true(chi_square(100000, sparse, 10) < 27.88);
    }
}

static void seeds_decide(void **state)
{
    (void)state;
    uint32_t first[32];
    set_up(brg_placement_random, 100, 42);
    for (int i = 0; i < 32; i++)
        first[i] = choose();
    set_up(brg_placement_random, 100, 42);
    for (int i = 0; i < 32; i++)
        assert_int_equal(choose(), first[i]);
    set_up(brg_placement_random, 100, 43);
    int same = 0;
    for (int i = 0; i < 32; i++)
        same += choose() == first[i];
    assert_true(same < 8);
}

static uint32_t max_load(const brg_placement_policy *which, uint32_t count, uint64_t seed)
{
    uint32_t most = 0;
    set_up(which, count, seed);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t chosen = choose();
        if (++seat_store[chosen].load > most)
            most = seat_store[chosen].load;
    }
    return most;
}

/* n balls in n bins: two choices stay under ln ln n / ln 2 + 2; one choice is over that by far for large n, and over
 * ln n / ln ln n. */
static void two_choices_follow_theory(void **state)
{
    (void)state;
    static const uint32_t counts[] = {16, 64, 256, 1024, 4096, 16384, 65536};
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        double n = counts[c], two = log(log(n)) / log(2) + 2, one = log(n) / log(log(n));
        uint32_t two_sum = 0, one_sum = 0;
        for (uint64_t seed = 1; seed <= 10; seed++) {
            uint32_t most = max_load(brg_placement_two_choices, counts[c], seed);
            assert_true(most <= two);
            two_sum += most;
            one_sum += max_load(brg_placement_random, counts[c], seed);
        }
        if (n >= 256) {
            assert_true(one_sum > 10 * one);
            assert_true(one_sum >= 15 + two_sum); /* 1.5 more on average */
            assert_true(one_sum > 10 * two || n < 4096);
        }
    }
}

static void two_choices_are_distinct(void **state)
{
    (void)state;
    /* Of two workers the less busy always gets it: with the same one twice, one in four would go wrong. */
    set_up(brg_placement_two_choices, 2, 9);
    seat_store[0].load = 1;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(choose(), 1);
    set_up(brg_placement_two_choices, 1, 9);
    assert_int_equal(choose(), 0);
}

/* ---- by key ------------------------------------------------------------------------------------------------------ */

#define KEYS 100000

static uint8_t owner_of[KEYS];

/* Keys as people have them: small numbers in a row, or hashes. */
static uint64_t key_of(uint32_t i, bool hashed) { return hashed ? brg__random_mix(i + 1) : i + 1; }

static void place_keys(uint8_t *owners, bool hashed)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        item.key = key_of(i, hashed);
        owners[i] = (uint8_t)choose();
    }
}

static void check_sticky(uint32_t count, bool hashed)
{
    static uint8_t before[KEYS];
    set_up(brg_placement_sticky, count + 1, 1);
    set_usable(count, false);
    place_keys(before, hashed);
    uint32_t held[256] = {0}, moved = 0;
    for (uint32_t i = 0; i < KEYS; i++)
        held[before[i]]++;
    for (uint32_t i = 0; i < count; i++)
        assert_true(fabs(held[i] - (double)KEYS / count) < 0.15 * KEYS / count);
    set_usable(count, true);
    place_keys(owner_of, hashed);
    for (uint32_t i = 0; i < KEYS; i++)
        if (owner_of[i] != before[i]) {
            assert_int_equal(owner_of[i], count); /* never between old workers */
            moved++;
        }
    assert_true(moved > 0 && moved <= 1.15 * KEYS / (count + 1));
    /* One leaves: its keys move, and no others. */
    memcpy(before, owner_of, sizeof(before));
    set_usable(0, false);
    place_keys(owner_of, hashed);
    for (uint32_t i = 0; i < KEYS; i++)
        assert_int_equal(owner_of[i] != before[i], before[i] == 0);
}

static void sticky_moves_few_keys(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 3, 7, 16, 50};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        check_sticky(counts[i], false);
        check_sticky(counts[i], true);
    }
}

static void sticky_ignores_load(void **state)
{
    (void)state;
    set_up(brg_placement_sticky, 8, 1);
    item.key = 99;
    uint32_t owner = choose();
    seat_store[owner].load = 1000;
    assert_int_equal(choose(), owner);
    item.key = 0; /* without a key: the least busy */
    for (uint32_t i = 0; i < 8; i++)
        seat_store[i].load = i == 5 ? 1 : 2;
    assert_int_equal(choose(), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pull_assigns_nothing),
        cmocka_unit_test(only_what_fits_is_chosen),
        cmocka_unit_test(without_seats_nothing_is_chosen),
        cmocka_unit_test(round_robin_is_exact),
        cmocka_unit_test(round_robin_is_exact_after_changes),
        cmocka_unit_test(many_sets_of_tags),
        cmocka_unit_test(stealing_is_in_turn_from_outside),
        cmocka_unit_test(stealing_keeps_a_workers_own),
        cmocka_unit_test(least_busy_is_a_minimum),
        cmocka_unit_test(least_busy_takes_turns_among_equals),
        cmocka_unit_test(random_is_uniform),
        cmocka_unit_test(seeds_decide),
        cmocka_unit_test(two_choices_follow_theory),
        cmocka_unit_test(two_choices_are_distinct),
        cmocka_unit_test(sticky_moves_few_keys),
        cmocka_unit_test(sticky_ignores_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
