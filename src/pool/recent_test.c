/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pool/recent.h"

#define BEGIN UINT64_C(5000000000123)
#define SECOND BRG__RECENT_SECOND_NS

/* A pool as the last minute sees it. */
typedef struct fixture {
    brg__recent recent;
    uint64_t now;
    brg__totals totals;
    brg__histogram times[BRG__TIME_COUNT];
} fixture;

static int set_up(void **state)
{
    fixture *self = calloc(1, sizeof(*self));
    self->now = BEGIN;
    brg__recent_init(&self->recent, self->now);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static void move(fixture *self)
{
    if (self->now >= self->recent.xnext_ns)
        brg__recent_move(&self->recent, self->now, &self->totals,
                         brg__recent_wants_times(&self->recent, self->now) ? self->times : NULL);
}

/* Time passes, and then `count` tasks that ran for `run_ns` settle. */
static void pass(fixture *self, uint64_t ns, uint64_t count, uint64_t run_ns)
{
    self->now += ns;
    move(self);
    self->totals.settled += count;
    self->totals.busy_ns += ns / 2;
    self->totals.worker_ns += ns;
    if (count != 0) {
        brg__histogram_add(&self->times[BRG__TIME_WAIT], 10, count);
        brg__histogram_add(&self->times[BRG__TIME_RUN], run_ns, count);
    }
}

/* How many run times the last minute has, and the longest. */
static uint64_t look(fixture *self, uint64_t *max, uint64_t *span)
{
    brg__histogram *times = malloc(sizeof(self->times));
    memcpy(times, self->times, sizeof(self->times));
    move(self);
    *span = brg__recent_times(&self->recent, self->now, times);
    uint64_t count = brg__histogram_count(&times[BRG__TIME_RUN]);
    *max = times[BRG__TIME_RUN].xmax;
    assert_true(times[BRG__TIME_WAIT].xsum == 10 * brg__histogram_count(&times[BRG__TIME_WAIT]));
    assert_true(count == brg__histogram_count(&times[BRG__TIME_WAIT]));
    free(times);
    return count;
}

static void what_is_new_is_recent(void **state)
{
    fixture *self = *state;
    uint64_t max, span;
    pass(self, SECOND / 2, 3, 1000);
    assert_true(look(self, &max, &span) == 3);
    assert_true(max == 1000 && span == SECOND / 2);
}

/* Every second some, for three minutes: between 60 and 70 seconds of them are there. */
static void the_window_slides(void **state)
{
    fixture *self = *state;
    for (uint64_t i = 1; i <= 180; i++) {
        uint64_t max, span;
        pass(self, SECOND, 2, 100);
        uint64_t count = look(self, &max, &span);
        assert_true(count == 2 * (span / SECOND + (span != i * SECOND))); /* those on its border are in it */
        assert_true(i < 60 ? span == i * SECOND : span >= 60 * SECOND && span < 70 * SECOND);
    }
}

static void what_is_old_is_forgotten_even_if_nobody_looked(void **state)
{
    fixture *self = *state;
    uint64_t max, span;
    pass(self, SECOND / 2, 5, 1 << 20);
    pass(self, 30 * SECOND, 7, 100);
    assert_true(look(self, &max, &span) == 12);
    assert_true(max == 1 << 20);
    self->now += 39 * SECOND; /* the first are more than a minute ago */
    self->now += SECOND;
    assert_true(look(self, &max, &span) == 7);
    assert_true(max < 110);
    self->now += 1000 * SECOND;
    assert_true(look(self, &max, &span) == 0);
    assert_true(max == 0);
    pass(self, SECOND / 2, 1, 50);
    assert_true(look(self, &max, &span) == 1);
}

static void what_came_before_a_pause_counts_before_it(void **state)
{
    fixture *self = *state;
    brg__totals gained;
    pass(self, SECOND / 2, 100, 10);
    self->now += 20 * SECOND;
    move(self);
    assert_true(self->recent.settled_in_second == 100);
    assert_true(brg__recent_since(&self->recent, self->now, SECOND, &self->totals, &gained) >= SECOND);
    assert_true(gained.settled == 0);
    uint64_t span = brg__recent_since(&self->recent, self->now, BRG__RECENT_NS, &self->totals, &gained);
    assert_true(gained.settled == 100 && span == 20 * SECOND + SECOND / 2);
}

static void rates_are_of_whole_seconds(void **state)
{
    fixture *self = *state;
    brg__totals gained;
    for (int i = 0; i < 500; i++) { /* ten a second, then a hundred */
        pass(self, SECOND / 10, i < 400 ? 1 : 10, 10);
        uint64_t span = brg__recent_since(&self->recent, self->now, SECOND, &self->totals, &gained);
        assert_true(i < 9 || (span >= SECOND && span < 2 * SECOND));
    }
    assert_true(gained.settled >= 100 && gained.settled <= 200);
    assert_true(self->recent.settled_in_second == 100);
    uint64_t span = brg__recent_since(&self->recent, self->now, BRG__RECENT_NS, &self->totals, &gained);
    assert_true(span == 50 * SECOND && gained.settled == 400 + 1000);
    assert_true(gained.busy_ns * 2 == gained.worker_ns && gained.worker_ns == 50 * SECOND);
}

/* Borders are left out when nobody comes by; then older ones than a minute are kept, and found. */
static void the_minute_is_found_whatever_borders_there_are(void **state)
{
    fixture *self = *state;
    uint64_t random = 1;
    brg__totals gained;
    for (int i = 0; i < 3000; i++) {
        random = random * 6364136223846793005u + 1;
        pass(self, (random >> 33) % (3 * SECOND), 1, 10);
        uint64_t span = brg__recent_since(&self->recent, self->now, BRG__RECENT_NS, &self->totals, &gained);
        uint64_t age = self->now - BEGIN;
        assert_true(age < BRG__RECENT_NS ? span == age : span >= BRG__RECENT_NS && span < BRG__RECENT_NS + 4 * SECOND);
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_new_is_recent),
        TEST(the_window_slides),
        TEST(what_is_old_is_forgotten_even_if_nobody_looked),
        TEST(what_came_before_a_pause_counts_before_it),
        TEST(rates_are_of_whole_seconds),
        TEST(the_minute_is_found_whatever_borders_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
