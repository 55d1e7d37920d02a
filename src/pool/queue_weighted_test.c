/* SPDX-License-Identifier: MIT */
/* What is served converges to the shares, whatever arrives, and nobody saves up credit. */
#include "pool/queue_fixture.h"

#include "base/util.h"

#define PER_BAND 64
#define SERVED 100000 /* cost, per check */

typedef struct load {
    test_queue queue;
    brg_item items[BRG_BAND_COUNT][PER_BAND];
    brg_item *idle[BRG_BAND_COUNT][PER_BAND];
    int idle_count[BRG_BAND_COUNT];
    uint64_t served[BRG_BAND_COUNT], total;
    uint16_t cost_max;
    uint64_t seed;
} load;

static load *load_open(const uint32_t shares[BRG_BAND_COUNT], uint16_t cost_max)
{
    load *self = calloc(1, sizeof(*self));
    assert_non_null(self);
    brg_pool_options options = {.size = sizeof(options)};
    memcpy(options.shares, shares, sizeof(options.shares));
    self->queue = test_queue_open(brg_queue_weighted, &options);
    self->cost_max = cost_max;
    self->seed = 42;
    for (int band = 0; band < BRG_BAND_COUNT; band++)
        for (int i = 0; i < PER_BAND; i++)
            self->idle[band][self->idle_count[band]++] = &self->items[band][i];
    return self;
}

static void load_close(load *self)
{
    test_drain(&self->queue);
    test_queue_close(&self->queue);
    free(self);
}

static void load_push(load *self, int band)
{
    if (self->idle_count[band] == 0)
        return;
    brg_item *item = self->idle[band][--self->idle_count[band]];
    *item = (brg_item){.band = (uint8_t)band, .cost = (uint16_t)(1 + test_random(&self->seed, self->cost_max))};
    test_push(&self->queue, item);
}

static int load_serve(load *self)
{
    brg_item *item = test_pop(&self->queue);
    if (item == NULL)
        return -1;
    self->served[item->band] += item->cost;
    self->total += item->cost;
    self->idle[item->band][self->idle_count[item->band]++] = item;
    return item->band;
}

/* All bands with a share have work, from one to all of their items. */
static void load_fill(load *self, const uint32_t shares[BRG_BAND_COUNT])
{
    for (int band = 0; band < BRG_BAND_COUNT; band++)
        while (shares[band] != 0 && (self->idle_count[band] == PER_BAND || test_random(&self->seed, PER_BAND) == 0))
            load_push(self, band);
}

static void load_run(load *self, const uint32_t shares[BRG_BAND_COUNT], uint64_t cost)
{
    memset(self->served, 0, sizeof(self->served));
    self->total = 0;
    while (self->total < cost) {
        load_fill(self, shares);
        if (test_random(&self->seed, 5) == 0) /* taken and given back: it does not count */
            test_push_front(&self->queue, test_pop(&self->queue));
        assert_true(load_serve(self) >= 0);
    }
}

static void check_shares(const load *self, const uint32_t shares[BRG_BAND_COUNT])
{
    uint64_t sum = 0;
    for (int band = 0; band < BRG_BAND_COUNT; band++)
        sum += shares[band];
    for (int band = 0; band < BRG_BAND_COUNT; band++) {
        double wanted = (double)shares[band] / (double)sum, got = (double)self->served[band] / (double)self->total;
        assert_true(got > wanted - 0.01 && got < wanted + 0.01);
        if (shares[band] != 0) /* a small share is not lost in the 1 % of the whole */
            assert_true(got > wanted * 0.9 && got < wanted * 1.1);
    }
}

static const uint32_t share_vectors[][BRG_BAND_COUNT] = {
    {0, 50, 40, 10}, {1, 1, 1, 1},    {70, 20, 9, 1},
    {5, 0, 3, 0},    {0, 0, 1000, 1}, {4000000000u, 2000000000u, 600000000, 0},
};

static void served_shares_converge(void **state)
{
    (void)state;
    static const uint16_t costs[] = {1, 16, 200};
    for (size_t v = 0; v < brg__count_of(share_vectors); v++)
        for (size_t c = 0; c < brg__count_of(costs); c++) {
            load *self = load_open(share_vectors[v], costs[c]);
            load_run(self, share_vectors[v], (uint64_t)SERVED * costs[c]);
            check_shares(self, share_vectors[v]);
            load_close(self);
        }
}

/* Numbers at the edge of the type neither overflow nor starve: a share of almost nothing is served at its turn. */
static void extreme_shares_are_served(void **state)
{
    (void)state;
    static const uint32_t shares[] = {UINT32_MAX, UINT32_MAX, 1, UINT32_MAX};
    load *self = load_open(shares, UINT16_MAX);
    load_run(self, shares, (uint64_t)SERVED * UINT16_MAX);
    for (int band = 0; band < BRG_BAND_COUNT; band++)
        assert_true(self->served[band] != 0);
    assert_true(self->served[2] <= UINT16_MAX);
    load_close(self);
}

static void tune_changes_shares(void **state)
{
    (void)state;
    static const uint32_t all[][BRG_BAND_COUNT] = {{1, 50, 40, 9}, {70, 20, 9, 1}, {25, 25, 25, 25}, {1, 9, 20, 70}};
    load *self = load_open(all[0], 16);
    for (size_t v = 0; v < brg__count_of(all); v++) {
        brg_pool_options options = {.size = sizeof(options)};
        memcpy(options.shares, all[v], sizeof(options.shares));
        self->queue.policy->tune(self->queue.state, &options); /* with a backlog, in the midst of it */
        load_run(self, all[v], SERVED * 16);
        check_shares(self, all[v]);
    }
    load_close(self);
}

static void no_shares_are_the_default(void **state)
{
    (void)state;
    static const uint32_t none[BRG_BAND_COUNT] = {0};
    load *self = load_open(none, 1);
    load_run(self, share_vectors[0], SERVED);
    check_shares(self, share_vectors[0]);
    load_close(self);
}

static void strict_bands_go_first_and_do_not_count(void **state)
{
    (void)state;
    static const uint32_t shares[] = {0, 50, 50, 0};
    load *self = load_open(shares, 1);
    uint64_t counted[BRG_BAND_COUNT] = {0};
    for (int i = 0; i < 10000; i++) {
        load_push(self, 1);
        load_push(self, 2);
        if (i % 3 == 0)
            load_push(self, 3);
        if (i % 7 == 0)
            load_push(self, 0);
        int expected = i % 7 == 0 ? 0 : self->idle_count[3] != PER_BAND ? 3 : BRG_BAND_COUNT;
        assert_int_equal(self->queue.policy->rank(self->queue.state, 0), expected);
        int band = load_serve(self);
        counted[band]++;
        if (expected != BRG_BAND_COUNT)
            assert_int_equal(band, expected);
    }
    assert_int_equal(counted[0], 10000 / 7 + 1);
    assert_true(counted[1] - counted[2] + 1 <= 2);
    load_close(self);
}

/* Serves only high for long; then low comes, and must not catch up what it did not ask for. */
static void an_idle_band_saves_up_nothing(void **state)
{
    (void)state;
    static const uint32_t shares[] = {0, 50, 50, 0};
    for (int held = 0; held < 2; held++) {
        load *self = load_open(shares, 1);
        brg_item *taken = NULL;
        if (held == 1) { /* a worker holds its only one all the while, and gives it back */
            load_push(self, 2);
            taken = test_pop(&self->queue);
        }
        load_push(self, 1);
        for (int i = 0; i < 5000; i++) {
            load_push(self, 1);
            assert_int_equal(load_serve(self), 1);
        }
        if (taken != NULL)
            test_push_front(&self->queue, taken);
        memset(self->served, 0, sizeof(self->served));
        for (int i = 0; i < 60; i++) {
            load_push(self, 1);
            load_push(self, 2);
            load_serve(self);
            assert_true(self->served[2] <= self->served[1] + 2);
        }
        assert_true(self->served[1] <= self->served[2] + 2);
        load_close(self);
    }
}

/* It has one task at a time and sends the next when that was served: no more than its share either. */
static void leaving_and_coming_back_is_no_gain(void **state)
{
    (void)state;
    static const uint32_t shares[] = {0, 90, 0, 10};
    load *self = load_open(shares, 1);
    load_push(self, 1);
    for (int i = 0; i < SERVED; i++) {
        load_push(self, 1);
        if (self->idle_count[3] == PER_BAND)
            load_push(self, 3);
        load_serve(self);
    }
    assert_in_range(self->served[3], SERVED / 10 - SERVED / 100, SERVED / 10 + SERVED / 100);
    load_close(self);
}

/* What was served before a time when nothing waited is forgotten: then bands with equal shares alternate. */
static void after_a_pause_all_start_equal(void **state)
{
    (void)state;
    static const uint32_t shares[] = {0, 50, 50, 0};
    load *self = load_open(shares, 1);
    brg_item big = {.band = 2, .cost = 50};
    test_push(&self->queue, &big);
    assert_ptr_equal(test_pop(&self->queue), &big);
    for (int i = 0; i < 10; i++) {
        load_push(self, 1);
        load_push(self, 2);
    }
    for (int i = 0; i < 10; i++)
        assert_int_equal(load_serve(self), 1 + i % 2);
    load_close(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(served_shares_converge),
        cmocka_unit_test(extreme_shares_are_served),
        cmocka_unit_test(tune_changes_shares),
        cmocka_unit_test(no_shares_are_the_default),
        cmocka_unit_test(strict_bands_go_first_and_do_not_count),
        cmocka_unit_test(an_idle_band_saves_up_nothing),
        cmocka_unit_test(after_a_pause_all_start_equal),
        cmocka_unit_test(leaving_and_coming_back_is_no_gain),
    };
    return cmocka_run_group_tests_name("queue_weighted", tests, NULL, NULL);
}
