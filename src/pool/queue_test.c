/* SPDX-License-Identifier: MIT */
/* What every queue policy must obey, whatever its order: random steps against a plain set. */
#include "pool/queue_fixture.h"

#include "base/util.h"

#define ITEMS 300
#define STEPS 40000
#define UNDO_MAX 12

typedef enum item_place { PLACE_NONE, PLACE_QUEUED } item_place;

/* The reference: which items wait, and how many. */
typedef struct model {
    test_queue queue;
    brg_item items[ITEMS];
    item_place places[ITEMS];
    uint64_t count;
    uint64_t seed;
} model;

static void model_fill_item(model *self, brg_item *item)
{
    static const uint16_t costs[] = {1, 1, 1, 2, 7, UINT16_MAX};
    *item = (brg_item){.key = test_random(&self->seed, 9),
                       .due_ns = test_random(&self->seed, 4) == 0 ? UINT64_MAX : test_random(&self->seed, 50),
                       .band = (uint8_t)test_random(&self->seed, BRG_BAND_COUNT),
                       .cost = costs[test_random(&self->seed, brg__count_of(costs))]};
}

static void model_push(model *self)
{
    uint64_t at = test_random(&self->seed, ITEMS);
    if (self->places[at] != PLACE_NONE)
        return;
    model_fill_item(self, &self->items[at]);
    test_push(&self->queue, &self->items[at]);
    self->places[at] = PLACE_QUEUED;
    self->count++;
}

static void model_remove(model *self)
{
    uint64_t at = test_random(&self->seed, ITEMS);
    if (self->places[at] != PLACE_QUEUED)
        return;
    self->queue.policy->remove(self->queue.state, &self->items[at]);
    self->places[at] = PLACE_NONE;
    self->count--;
}

static brg_item *model_pop(model *self)
{
    brg_item *item = test_pop(&self->queue);
    if (self->count == 0) {
        assert_null(item);
        return NULL;
    }
    assert_non_null(item);
    ptrdiff_t at = item - self->items;
    assert_in_range(at, 0, ITEMS - 1);
    assert_int_equal(self->places[at], PLACE_QUEUED);
    self->places[at] = PLACE_NONE;
    self->count--;
    return item;
}

/*
 * Several are popped and come back: the same come out again, in the same order. The fair queue promises the first only:
 * it forgot keys meanwhile.
 */
static void model_undo(model *self)
{
    brg_item *popped[UNDO_MAX];
    uint64_t count = 0, wanted = 1 + test_random(&self->seed, UNDO_MAX);
    while (count < wanted && (popped[count] = model_pop(self)) != NULL)
        count++;
    for (uint64_t i = count; i-- > 0;) {
        test_push_front(&self->queue, popped[i]);
        self->places[popped[i] - self->items] = PLACE_QUEUED;
        self->count++;
    }
    for (uint64_t i = 0; i < count; i++) {
        brg_item *again = model_pop(self);
        if (i == 0 || self->queue.policy != brg_queue_fair)
            assert_ptr_equal(again, popped[i]);
    }
}

/* One is popped, others are served and come, and only then does it come back. */
static void model_put_back_late(model *self)
{
    brg_item *item = model_pop(self);
    if (item == NULL)
        return;
    if (test_random(&self->seed, 2) == 0)
        model_pop(self);
    model_remove(self);
    test_push_front(&self->queue, item);
    self->places[item - self->items] = PLACE_QUEUED;
    self->count++;
}

static void model_step(model *self, uint64_t push_percent)
{
    self->queue.now_ns += test_random(&self->seed, 3);
    uint64_t draw = test_random(&self->seed, 100);
    if (draw < push_percent)
        model_push(self);
    else if (draw < 80)
        model_pop(self);
    else if (draw < 88)
        model_remove(self);
    else if (draw < 94)
        model_undo(self);
    else
        model_put_back_late(self);
}

static void check_policy(const brg_queue_policy *policy, const brg_pool_options *options, uint64_t seed)
{
    model *self = calloc(1, sizeof(*self));
    assert_non_null(self);
    self->seed = seed;
    self->queue = test_queue_open(policy, options);
    for (int i = 0; i < STEPS; i++) {
        model_step(self, i / 2000 % 2 == 0 ? 65 : 20); /* it fills and empties in turn */
        if (i % 500 == 0 && policy->tune != NULL) {
            brg_pool_options other = *options;
            other.ageing_ns = test_random(&self->seed, 40);
            other.shares[test_random(&self->seed, 4)] = (uint32_t)test_random(&self->seed, 3) * 1000003u;
            policy->tune(self->queue.state, &other);
        }
    }
    while (model_pop(self) != NULL) {
    }
    assert_int_equal(self->count, 0);
    test_queue_close(&self->queue);
    free(self);
}

static void random_steps_lose_nothing_and_repeat_nothing(void **state)
{
    (void)state;
    const brg_queue_policy *policies[] = {brg_queue_fifo,     brg_queue_lifo,     brg_queue_priority,
                                          brg_queue_weighted, brg_queue_deadline, brg_queue_fair};
    const brg_pool_options options[] = {{.size = sizeof(brg_pool_options)},
                                        {.ageing_ns = 20, .shares = {0, 50, 40, 10}},
                                        {.ageing_ns = 1, .shares = {1, UINT32_MAX, 0, 7}}};
    for (size_t p = 0; p < brg__count_of(policies); p++) {
        assert_int_equal(policies[p]->size, sizeof(brg_queue_policy));
        for (size_t o = 0; o < brg__count_of(options); o++)
            check_policy(policies[p], &options[o], 88172645463325252u + p * 7 + o);
    }
}

#define ORDER_COUNT 6

static void check_order(const brg_queue_policy *policy, bool newest_first)
{
    brg_item items[ORDER_COUNT] = {0};
    brg_pool_options options = {.ageing_ns = 0};
    test_queue queue = test_queue_open(policy, &options);
    for (int i = 0; i < ORDER_COUNT; i++) {
        items[i] = (brg_item){.key = 3, .due_ns = 5, .cost = 1, .band = 2};
        test_push(&queue, &items[i]);
    }
    for (int i = 0; i < ORDER_COUNT; i++)
        assert_ptr_equal(test_pop(&queue), &items[newest_first ? ORDER_COUNT - 1 - i : i]);
    test_queue_close(&queue);
}

static void equals_come_out_in_order_of_arrival_but_with_lifo(void **state)
{
    (void)state;
    check_order(brg_queue_fifo, false);
    check_order(brg_queue_lifo, true);
    check_order(brg_queue_priority, false);
    check_order(brg_queue_weighted, false);
    check_order(brg_queue_deadline, false);
    check_order(brg_queue_fair, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_steps_lose_nothing_and_repeat_nothing),
        cmocka_unit_test(equals_come_out_in_order_of_arrival_but_with_lifo),
    };
    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
