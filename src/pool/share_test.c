/* SPDX-License-Identifier: MIT */
/* What a worker gets that comes when others have a backlog: the schedule alone, with items and seats of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "pool/schedule.h"

#define SEATS_MAX 20
#define ITEMS_MAX 4096

typedef struct bed {
    brg_pool_options options;
    brg__schedule schedule;
    brg__seat seats[SEATS_MAX];
    brg_seat *pointers[SEATS_MAX];
    brg_item items[ITEMS_MAX];
    uint32_t put, taken;
    uint8_t takes[ITEMS_MAX];     /* of each item */
    uint32_t taken_by[SEATS_MAX]; /* since bed_count */
} bed;

static uint32_t touched; /* pops of the counting queue */

static bed *bed_new(const brg_placement_policy *placement, const brg_queue_policy *queue)
{
    static const uint64_t tags[SEATS_MAX] = {0, 1, 0, 1, 2, 3};
    bed *self = calloc(1, sizeof(*self));
    assert_non_null(self);
    self->options = (brg_pool_options){.size = sizeof(brg_pool_options), .seed = 5, .queue = queue};
    self->options.placement = placement;
    for (int i = 0; i < BRG_BAND_COUNT; i++)
        self->options.shares[i] = i == 0 ? 0 : 25;
    assert_int_equal(brg__schedule_init(&self->schedule, &self->options), BRG_OK);
    self->schedule.seats = self->pointers;
    for (uint32_t i = 0; i < SEATS_MAX; i++) {
        assert_int_equal(brg__seat_init(&self->schedule, &self->seats[i], i, tags[i]), BRG_OK);
        self->pointers[i] = &self->seats[i].seen;
    }
    self->schedule.seat_count = SEATS_MAX;
    return self;
}

static void bed_free(bed *self)
{
    assert_int_equal(self->put, self->taken);
    assert_int_equal(self->schedule.xready, 0);
    assert_int_equal(self->schedule.xassigned, 0);
    assert_int_equal(self->schedule.xshared, 0);
    for (uint32_t i = 0; i < self->put; i++)
        assert_int_equal(self->takes[i], 1);
    for (uint32_t i = 0; i < SEATS_MAX; i++)
        brg__seat_done(&self->schedule, &self->seats[i]);
    brg__schedule_done(&self->schedule);
    free(self);
}

static void bed_open(bed *self, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++)
        brg__seat_open(&self->schedule, &self->seats[i], 0);
}

static uint32_t number_of(const bed *self, const brg_item *item) { return (uint32_t)(item - self->items); }

static brg__seat *bed_put(bed *self, uint64_t key, uint64_t needs)
{
    assert_true(self->put < ITEMS_MAX);
    brg_item *item = &self->items[self->put++];
    memset(item->link, 0xa5, sizeof(item->link));
    item->key = key;
    item->due_ns = UINT64_MAX;
    item->cost = 1;
    item->band = 2;
    return brg__schedule_put(&self->schedule, item, brg__schedule_lane(&self->schedule, needs), BRG_SEAT_ANY, 0);
}

static void bed_put_many(bed *self, uint32_t count)
{
    while (count-- != 0)
        bed_put(self, 0, 0);
}

static brg_item *bed_take(bed *self, uint32_t seat)
{
    brg_item *item = brg__schedule_take(&self->schedule, &self->seats[seat], 0);
    if (item == NULL)
        return NULL;
    uint64_t needs = self->schedule.lanes[item->reserved_1].needs;
    assert_int_equal(self->seats[seat].seen.tags & needs, needs);
    self->takes[number_of(self, item)]++;
    self->taken++;
    self->taken_by[seat]++;
    return item;
}

/* All of these seats take in turn until none finds anything; then they are idle. */
static void bed_run(bed *self, uint32_t first, uint32_t count)
{
    memset(self->taken_by, 0, sizeof(self->taken_by));
    for (bool any = true; any;) {
        any = false;
        for (uint32_t i = first; i < first + count; i++)
            any = bed_take(self, i) != NULL || any;
    }
    for (uint32_t i = first; i < first + count; i++)
        assert_false(brg__schedule_has_work(&self->schedule, &self->seats[i]));
}

static const brg_placement_policy *const *evenly(size_t p)
{
    static const brg_placement_policy *const *const all[] = {&brg_placement_round_robin, &brg_placement_least_busy,
                                                             &brg_placement_random, &brg_placement_two_choices};
    return p < sizeof(all) / sizeof(all[0]) ? all[p] : NULL;
}

static const brg_queue_policy *const *queue_at(size_t q)
{
    static const brg_queue_policy *const *const all[] = {&brg_queue_fifo,     &brg_queue_lifo,     &brg_queue_priority,
                                                         &brg_queue_weighted, &brg_queue_deadline, &brg_queue_fair};
    return q < sizeof(all) / sizeof(all[0]) ? all[q] : NULL;
}

/* ---- evenly ------------------------------------------------------------------------------------------------------ */

/* One has a thousand, others come, whatever queue: all end at the same time. Without a share they would get none. */
static void who_comes_gets_its_part(void **state)
{
    (void)state;
    for (size_t p = 0; evenly(p) != NULL; p++)
        for (size_t q = 0; queue_at(q) != NULL; q++)
            for (uint32_t more = 1; more < 8; more += 2) {
                bed *self = bed_new(*evenly(p), *queue_at(q));
                bed_open(self, 0, 1);
                bed_put_many(self, 1000);
                bed_open(self, 1, more);
                bed_run(self, 0, more + 1);
                assert_int_equal(self->taken, 1000);
                for (uint32_t i = 0; i <= more; i++)
                    assert_in_range(self->taken_by[i], 1000 / (more + 1) - 10, 1000 / (more + 1) + 10);
                bed_free(self);
            }
}

/* The one that was there is in a long task: who came does its part of what waits and then no more, as the policy is. */
static void no_more_than_its_part(void **state)
{
    (void)state;
    for (size_t p = 0; evenly(p) != NULL; p++) {
        bed *self = bed_new(*evenly(p), brg_queue_fifo);
        bed_open(self, 0, 1);
        bed_put_many(self, 600);
        bed_open(self, 1, 1);
        bed_run(self, 1, 1);
        assert_int_equal(self->taken, 300);
        bed_run(self, 0, 2);
        bed_free(self);
    }
}

/* A small backlog on several, each in a long task, is worth taking to the last one. */
static void few_are_shared_as_well(void **state)
{
    (void)state;
    bed *self = bed_new(brg_placement_round_robin, brg_queue_fifo);
    bed_open(self, 0, 2);
    bed_put_many(self, 4);
    bed_open(self, 2, 2);
    assert_non_null(bed_take(self, 2));
    assert_null(bed_take(self, 2));
    assert_non_null(bed_take(self, 3));
    assert_null(bed_take(self, 3));
    bed_run(self, 0, 4);
    bed_free(self);
}

/* Those that come go first where most wait: in the order of the queue. */
static void the_first_ones_are_taken(void **state)
{
    (void)state;
    bed *self = bed_new(brg_placement_round_robin, brg_queue_fifo);
    bed_open(self, 0, 1);
    bed_put_many(self, 100);
    bed_open(self, 1, 1);
    for (uint32_t i = 0; i < 50; i++)
        assert_int_equal(number_of(self, bed_take(self, 1)), i);
    bed_run(self, 0, 2);
    bed_free(self);
}

/* New tasks: round robin is as exact as ever, whatever is moved meanwhile. */
static void turns_stay_exact(void **state)
{
    (void)state;
    bed *self = bed_new(brg_placement_round_robin, brg_queue_fifo);
    bed_open(self, 0, 3);
    bed_put_many(self, 301);
    bed_open(self, 3, 4);
    for (uint32_t round = 0; round < 50; round++) {
        uint32_t seen = 0;
        for (uint32_t i = 0; i < 7; i++) {
            seen |= 1u << bed_put(self, 0, 0)->seen.index;
            bed_take(self, 3 + (round + i) % 4);
        }
        assert_int_equal(seen, 0x7f);
    }
    bed_run(self, 0, 7);
    bed_free(self);
}

/* What comes later is nobody's due: a share ends when there was nothing to take. */
static void a_share_ends(void **state)
{
    (void)state;
    bed *self = bed_new(brg_placement_random, brg_queue_fifo);
    bed_open(self, 0, 1);
    bed_put_many(self, 500);
    bed_open(self, 1, 1);
    bed_run(self, 0, 1);
    assert_int_equal(self->taken, 500);
    assert_null(bed_take(self, 1));
    brg__seat_set_idle(&self->schedule, &self->seats[1], true); /* as the pool does then */
    brg__seat_set_idle(&self->schedule, &self->seats[1], false);
    bed_put_many(self, 50); /* by chance to either */
    uint32_t own = self->seats[1].count;
    bed_run(self, 1, 1);
    assert_int_equal(self->taken_by[1], own);
    bed_run(self, 0, 1);
    bed_free(self);
}

/* A worker that is replaced, or wanted again, gets its part back of what it left. */
static void who_comes_back_gets_its_part(void **state)
{
    (void)state;
    bed *self = bed_new(brg_placement_round_robin, brg_queue_fifo);
    bed_open(self, 0, 2);
    bed_put_many(self, 100);
    brg__seat_close(&self->schedule, &self->seats[1], 0);
    assert_int_equal(self->seats[0].count, 100);
    bed_open(self, 1, 1);
    bed_run(self, 0, 2);
    assert_int_equal(self->taken_by[0], 50);
    assert_int_equal(self->taken_by[1], 50);
    bed_free(self);
}

/* Seats 1 and 3 have the tag: half of the tasks go to no other. */
static void tags_are_kept(void **state)
{
    (void)state;
    for (size_t p = 0; evenly(p) != NULL; p++)
        for (size_t q = 0; queue_at(q) != NULL; q++) {
            bed *self = bed_new(*evenly(p), *queue_at(q));
            bed_open(self, 1, 1);
            for (uint32_t i = 0; i < 400; i++)
                bed_put(self, 0, i % 2);
            bed_open(self, 2, 2);
            bed_run(self, 1, 3); /* bed_take looks at the tags */
            assert_int_equal(self->taken, 400);
            assert_true(self->taken_by[2] > 40 && self->taken_by[3] > 100);
            bed_free(self);
        }
}

/* Nothing in front that fits: it looks at so much and no further, and does not ask again. */
static brg_item *counting_pop(void *queue, uint64_t now_ns)
{
    touched++;
    return brg_queue_fifo->pop(queue, now_ns);
}

static void looks_are_bounded(void **state)
{
    (void)state;
    brg_queue_policy counting = *brg_queue_fifo;
    counting.pop = counting_pop;
    bed *self = bed_new(brg_placement_round_robin, &counting);
    bed_open(self, 1, 1);
    for (uint32_t i = 0; i < 4000; i++)
        bed_put(self, 0, 1);
    bed_open(self, 0, 1);
    touched = 0;
    assert_null(bed_take(self, 0));
    assert_int_equal(touched, BRG__SHARE_LOOK);
    assert_null(bed_take(self, 0));
    assert_int_equal(touched, BRG__SHARE_LOOK);
    assert_false(brg__schedule_has_work(&self->schedule, &self->seats[0]));
    bed_open(self, 3, 1);
    touched = 0;
    while (bed_take(self, 3) != NULL) {
        assert_true(touched <= BRG__STEAL_MAX + 1);
        touched = 0;
    }
    assert_int_equal(self->taken, 4000 / 3);
    for (uint32_t next = 4000 / 3; next < 4000; next++)
        assert_int_equal(number_of(self, bed_take(self, 1)), next); /* in order, untouched by seat 0 */
    bed_free(self);
}

/* A policy of one's own that says nothing moves nothing. */
static void only_who_says_so_shares(void **state)
{
    (void)state;
    brg_placement_policy own = *brg_placement_round_robin;
    own.share = BRG_SHARE_NONE;
    bed *self = bed_new(&own, brg_queue_fifo);
    bed_open(self, 0, 1);
    bed_put_many(self, 100);
    bed_open(self, 1, 1);
    assert_null(bed_take(self, 1));
    bed_run(self, 0, 1);
    assert_int_equal(self->taken_by[0], 100);
    bed_free(self);
}

/* ---- by key ------------------------------------------------------------------------------------------------------ */

#define KEYS 200

/* All of a key wait in one place, which is the one that a new task with the key gets. */
static void check_places(bed *self)
{
    uint32_t place[KEYS + 1];
    memset(place, 0xff, sizeof(place));
    for (uint32_t i = 0; i < self->put; i++) {
        const brg_item *item = &self->items[i];
        if (self->takes[i] != 0 || item->key == 0)
            continue;
        if (place[item->key] == UINT32_MAX)
            place[item->key] = brg__schedule_choose(&self->schedule, item)->seen.index;
        assert_int_equal(item->reserved_2, place[item->key]);
    }
}

static void keys_move_with_their_tasks(void **state)
{
    (void)state;
    for (size_t q = 0; queue_at(q) != NULL; q++) {
        bed *self = bed_new(brg_placement_sticky, *queue_at(q));
        uint32_t before[4000], moved = 0;
        bed_open(self, 0, 4);
        for (uint32_t i = 0; i < 4000; i++)
            bed_put(self, 1 + i % KEYS, 0);
        for (uint32_t i = 0; i < 4000; i++)
            before[i] = self->items[i].reserved_2;
        bed_open(self, 4, 1);
        for (uint32_t i = 0; i < 4000; i++)
            if (self->items[i].reserved_2 != before[i]) {
                assert_int_equal(self->items[i].reserved_2, 4);
                moved++;
            }
        assert_in_range(moved, 4000 / 5 / 2, 4000 / 5 * 3 / 2); /* a fifth of 200 keys, more or less */
        check_places(self);
        bed_run(self, 0, 5);
        bed_free(self);
    }
}

/* Of each key, as it was put; fifo within a seat. */
static void note_order(uint32_t last[KEYS + 1], const bed *self, const brg_item *item)
{
    if (item == NULL || item->key == 0)
        return;
    uint32_t number = number_of(self, item) + 1;
    assert_true(number > last[item->key]);
    last[item->key] = number;
}

static void change_seat(bed *self, uint64_t *random)
{
    uint32_t index = brg__random_below(random, 6);
    if (!self->seats[index].seen.is_usable)
        bed_open(self, index, 1);
    else
        brg__seat_close(&self->schedule, &self->seats[index], 0);
}

/* Workers come and go, down to none: each key's tasks are taken in order, each once. */
static void order_of_keys_is_kept(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        bed *self = bed_new(brg_placement_sticky, brg_queue_fifo);
        uint32_t last[KEYS + 1] = {0};
        uint64_t random = seed;
        bed_open(self, 0, 1);
        while (self->put < 1000) {
            uint32_t what = brg__random_below(&random, 20), index = brg__random_below(&random, 6);
            if (what == 0)
                change_seat(self, &random);
            else if (what < 14)
                bed_put(self, brg__random_below(&random, 30), 0);
            else if (self->seats[index].seen.is_usable)
                note_order(last, self, bed_take(self, index));
            if (what == 0 && self->schedule.usable_count != 0)
                check_places(self);
        }
        bed_open(self, 0, 6);
        for (uint32_t i = 0; i < 6 * 2000; i++)
            note_order(last, self, bed_take(self, i % 6));
        bed_free(self);
    }
}

/* Half of those without a key have the second worker after all, as evenly as they would have come. */
static void without_a_key_in_parts(void **state)
{
    (void)state;
    bed *self = bed_new(brg_placement_sticky, brg_queue_fifo);
    bed_open(self, 0, 1);
    bed_put_many(self, 100);
    bed_open(self, 1, 1);
    assert_int_equal(self->seats[1].count, 50);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(number_of(self, bed_take(self, i % 2)) / 2, i / 2);
    bed_free(self);
}

static void keys_go_where_their_tags_are(void **state)
{
    (void)state;
    bed *self = bed_new(brg_placement_sticky, brg_queue_fifo);
    bed_open(self, 0, 2); /* the second has the tag */
    for (uint32_t i = 0; i < 800; i++)
        bed_put(self, 1 + i % KEYS, i / KEYS % 2);
    bed_open(self, 2, 2); /* and so has the fourth */
    for (uint32_t i = 0; i < 800; i++)
        if (i / KEYS % 2 != 0)
            assert_true(self->items[i].reserved_2 % 2 == 1);
    assert_true(self->seats[2].count > 50 && self->seats[3].count > 150);
    bed_run(self, 0, 4);
    bed_free(self);
}

/* Nobody was there: the queue for all has them, in order, and the first that comes gets what is its own. */
static void keys_wait_for_the_first(void **state)
{
    (void)state;
    bed *self = bed_new(brg_placement_sticky, brg_queue_fifo);
    for (uint32_t i = 0; i < 100; i++)
        assert_null(bed_put(self, 1 + i % 10, 0));
    bed_open(self, 0, 3);
    check_places(self);
    bed_run(self, 0, 3);
    bed_free(self);
}

/* The shares of a queue that is taken apart and put together are as before. */
static void other_queues_stay_as_they_are(void **state)
{
    (void)state;
    for (size_t q = 0; queue_at(q) != NULL; q++) {
        bed *one = bed_new(brg_placement_sticky, *queue_at(q)), *two = bed_new(brg_placement_sticky, *queue_at(q));
        bed *beds[] = {one, two};
        for (int b = 0; b < 2; b++) {
            bed_open(beds[b], 1, 1);
            for (uint32_t i = 0; i < 600; i++) {
                bed_put(beds[b], 1 + i % 7, 1);
                if (i % 3 == 0 && i > 100)
                    bed_take(beds[b], 1);
            }
        }
        bed_open(two, 0, 1); /* it lacks the tag: nothing moves */
        for (uint32_t i = 0; one->taken < one->put; i++)
            assert_int_equal(number_of(one, bed_take(one, 1)), number_of(two, bed_take(two, 1)));
        bed_free(one);
        bed_free(two);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_gets_its_part),
        cmocka_unit_test(no_more_than_its_part),
        cmocka_unit_test(few_are_shared_as_well),
        cmocka_unit_test(the_first_ones_are_taken),
        cmocka_unit_test(turns_stay_exact),
        cmocka_unit_test(a_share_ends),
        cmocka_unit_test(who_comes_back_gets_its_part),
        cmocka_unit_test(tags_are_kept),
        cmocka_unit_test(looks_are_bounded),
        cmocka_unit_test(only_who_says_so_shares),
        cmocka_unit_test(keys_move_with_their_tasks),
        cmocka_unit_test(order_of_keys_is_kept),
        cmocka_unit_test(without_a_key_in_parts),
        cmocka_unit_test(keys_go_where_their_tags_are),
        cmocka_unit_test(keys_wait_for_the_first),
        cmocka_unit_test(other_queues_stay_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
