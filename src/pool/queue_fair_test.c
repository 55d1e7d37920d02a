/* SPDX-License-Identifier: MIT */
/* Keys in turn: exact, whatever waits for others; keys come and go. */
#include "pool/queue_fixture.h"

#include "os/fault.h"

#define FLOOD 100000
#define KEYS 1000

static test_queue fair_open(void)
{
    brg_pool_options options = {.size = sizeof(options)};
    return test_queue_open(brg_queue_fair, &options);
}

static brg_item *new_items(size_t count)
{
    brg_item *items = calloc(count, sizeof(*items));
    assert_non_null(items);
    return items;
}

static void push_key(test_queue *queue, brg_item *item, uint64_t key, uint16_t cost)
{
    *item = (brg_item){.key = key, .cost = cost, .band = 2};
    test_push(queue, item);
}

static void a_flood_delays_others_by_one_round(void **state)
{
    (void)state;
    test_queue queue = fair_open();
    brg_item *flood = new_items(FLOOD);
    for (int i = 0; i < FLOOD; i++)
        push_key(&queue, &flood[i], 1, 1);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(test_pop(&queue)->key, 1);
    for (int backlogged = 1; backlogged < KEYS; backlogged *= 10) {
        brg_item *few = new_items((size_t)backlogged * 3), late;
        for (int i = 0; i < backlogged * 3; i++)
            push_key(&queue, &few[i], 10 + (uint64_t)(i % backlogged), 1);
        for (int i = 0; i < backlogged / 2; i++)
            test_pop(&queue);
        push_key(&queue, &late, 2, 1);
        int before = 0;
        while (test_pop(&queue) != &late)
            before++;
        assert_true(before <= backlogged + 1); /* a task of each key, and of the flood */
        for (int i = 0; i < backlogged * 6 + 6; i++)
            assert_non_null(test_pop(&queue)); /* `few` is served */
        free(few);
    }
    test_drain(&queue);
    test_queue_close(&queue);
    free(flood);
}

/* Whoever has work is never ahead of another who has by more than one task, or by what one batch costs. */
static void backlogged_keys_share_equally(void **state)
{
    (void)state;
    for (uint16_t cost_max = 1; cost_max <= 50; cost_max = (uint16_t)(cost_max + 49)) {
        enum { SHARERS = 7, EACH = 2000 };
        test_queue queue = fair_open();
        brg_item *items = new_items(SHARERS * EACH);
        uint64_t served[SHARERS] = {0}, seed = 3;
        int left[SHARERS];
        for (int key = 0; key < SHARERS; key++) { /* one after the other, key 0 among them */
            left[key] = EACH;
            for (int i = 0; i < EACH; i++)
                push_key(&queue, &items[key * EACH + i], (uint64_t)key, (uint16_t)(1 + test_random(&seed, cost_max)));
        }
        for (bool all = true; all;) {
            brg_item *item = test_pop(&queue);
            served[item->key] += item->cost;
            all = --left[item->key] != 0;
            for (int key = 0; key < SHARERS && all; key++)
                assert_true(served[item->key] <= served[key] + cost_max);
        }
        test_drain(&queue);
        test_queue_close(&queue);
        free(items);
    }
}

static void round_robin_is_exact(void **state)
{
    (void)state;
    test_queue queue = fair_open();
    brg_item *items = new_items(KEYS * 5);
    for (int i = 0; i < KEYS * 5; i++)
        push_key(&queue, &items[i], 1 + (uint64_t)(i / 5), 1);
    for (int round = 0; round < 5; round++)
        for (int key = 0; key < KEYS; key++) {
            assert_ptr_equal(test_pop(&queue), &items[key * 5 + round]);
            if (key % 3 == 0) { /* it comes back and has its turn */
                test_push_front(&queue, &items[key * 5 + round]);
                assert_ptr_equal(test_pop(&queue), &items[key * 5 + round]);
            }
        }
    test_queue_close(&queue);
    free(items);
}

/* A key with one batch at a time gets no more than one that has single tasks waiting. */
static void leaving_and_coming_back_is_no_gain(void **state)
{
    (void)state;
    test_queue queue = fair_open();
    brg_item *singles = new_items(FLOOD), batch;
    for (int i = 0; i < FLOOD; i++)
        push_key(&queue, &singles[i], 1, 1);
    uint64_t served[3] = {0};
    push_key(&queue, &batch, 2, 64);
    while (served[1] < FLOOD / 2) {
        brg_item *item = test_pop(&queue);
        served[item->key] += item->cost;
        if (item == &batch)
            push_key(&queue, &batch, 2, 64);
        assert_true(served[2] <= served[1] + 64);
    }
    assert_true(served[2] + 64 >= served[1]);
    test_drain(&queue);
    test_queue_close(&queue);
    free(singles);
}

/* A key that was away while another was served catches up nothing. One that had a batch owes nothing after a pause. */
static void absence_is_no_credit_and_a_pause_ends_debts(void **state)
{
    (void)state;
    test_queue queue = fair_open();
    brg_item *items = new_items(3000), *others = new_items(100), batch;
    push_key(&queue, &batch, 2, 500);
    assert_ptr_equal(test_pop(&queue), &batch);
    for (int i = 0; i < 3000; i++)
        push_key(&queue, &items[i], 1, 1);
    push_key(&queue, &batch, 2, 1);
    assert_int_equal(test_pop(&queue)->key, 1);
    assert_ptr_equal(test_pop(&queue), &batch);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(test_pop(&queue)->key, 1);
    for (int i = 0; i < 100; i++)
        push_key(&queue, &others[i], 3, 1);
    for (uint64_t i = 0, other = 0; i < 100; i++) {
        other += test_pop(&queue)->key == 3;
        assert_in_range(2 * other, i, i + 2);
    }
    test_drain(&queue);
    test_queue_close(&queue);
    free(others);
    free(items);
}

/* Many keys over time, few at once: what was taken for them is given back (the address sanitiser counts). */
static void keys_come_and_go(void **state)
{
    (void)state;
    test_queue queue = fair_open();
    brg_item *items = new_items(KEYS);
    uint64_t seed = 5, waiting = 0;
    for (uint64_t i = 0; i < 200; i++) {
        for (uint64_t k = 0; k < KEYS; k++, waiting++)
            push_key(&queue, &items[k], i * KEYS + k + 1, 1);
        for (uint64_t k = 0; k < KEYS; k += 2, waiting--)
            queue.policy->remove(queue.state, &items[k]);
        for (brg_item *item; (item = test_pop(&queue)) != NULL; waiting--)
            if (test_random(&seed, 10) == 0) {
                test_push_front(&queue, item);
                waiting++;
            }
        assert_int_equal(waiting, 0);
    }
    test_queue_close(&queue);
    free(items);
}

/* Each allocation fails once, at each place: the items wait in turn with those without a key, and none is lost. */
static void no_memory_loses_nothing(void **state)
{
    (void)state;
    brg_item items[40];
    bool fired = true;
    for (uint64_t nth = 1; fired; nth++) {
        test_queue queue = fair_open();
        brg__fault_arm("allocate", nth);
        for (int i = 0; i < 40; i++)
            push_key(&queue, &items[i], (uint64_t)(i % 20), 1);
        fired = brg__fault_fired();
        brg__fault_disarm();
        for (int i = 0; i < 40; i += 4)
            queue.policy->remove(queue.state, &items[i]);
        uint64_t seen = 0;
        for (brg_item *item; (item = test_pop(&queue)) != NULL;)
            seen |= UINT64_C(1) << (item - items);
        assert_int_equal(seen, UINT64_C(0xeeeeeeeeee));
        test_queue_close(&queue);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_delays_others_by_one_round),
        cmocka_unit_test(backlogged_keys_share_equally),
        cmocka_unit_test(round_robin_is_exact),
        cmocka_unit_test(leaving_and_coming_back_is_no_gain),
        cmocka_unit_test(absence_is_no_credit_and_a_pause_ends_debts),
        cmocka_unit_test(keys_come_and_go),
        cmocka_unit_test(no_memory_loses_nothing),
    };
    return cmocka_run_group_tests_name("queue_fair", tests, NULL, NULL);
}
