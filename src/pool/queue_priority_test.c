/* SPDX-License-Identifier: MIT */
/* Strict bands, and ageing with a clock that only counts. */
#include "pool/queue_fixture.h"

#define AGEING_NS 1000
#define URGENT_COUNT 50
#define LOW_COUNT 5

static void bands_are_strict_without_ageing(void **state)
{
    (void)state;
    brg_pool_options options = {.ageing_ns = 0};
    test_queue queue = test_queue_open(brg_queue_priority, &options);
    brg_item items[8];
    for (int i = 0; i < 8; i++) {
        items[i] = (brg_item){.band = (uint8_t)(3 - i / 2), .cost = 1};
        test_push(&queue, &items[i]);
        queue.now_ns += 1000000000;
    }
    const int order[] = {6, 7, 4, 5, 2, 3, 0, 1};
    for (int i = 0; i < 8; i++) {
        assert_int_equal(queue.policy->rank(queue.state, queue.now_ns), items[order[i]].band);
        assert_ptr_equal(test_pop(&queue), &items[order[i]]);
    }
    test_queue_close(&queue);
}

static void one_rises_a_band_with_each_step(void **state)
{
    (void)state;
    brg_pool_options options = {.ageing_ns = AGEING_NS};
    test_queue queue = test_queue_open(brg_queue_priority, &options);
    brg_item low = {.band = 3, .cost = 1};
    test_push(&queue, &low);
    for (uint64_t age = 0; age <= 5 * AGEING_NS; age++)
        assert_int_equal(queue.policy->rank(queue.state, age), age >= 3 * AGEING_NS ? 0 : 3 - age / AGEING_NS);
    /* It counts as normal now, and goes before a normal one that came later, but not before one that came earlier. */
    brg_item later = {.band = 2, .cost = 1, .since_ns = 1}, earlier = {.band = 2, .cost = 1};
    low.since_ns = 0;
    queue.policy->push(queue.state, &later);
    queue.now_ns = AGEING_NS;
    assert_ptr_equal(test_pop(&queue), &low);
    queue.now_ns = 0;
    queue.policy->remove(queue.state, &later);
    test_push(&queue, &earlier);
    queue.now_ns = 5;
    test_push(&queue, &low);
    queue.now_ns = 5 + AGEING_NS - 1;
    assert_ptr_equal(test_pop(&queue), &earlier);
    queue.now_ns = 0; /* a clock that stands before the submit is no age */
    assert_int_equal(queue.policy->rank(queue.state, queue.now_ns), 3);
    assert_ptr_equal(test_pop(&queue), &low);
    test_queue_close(&queue);
}

/*
 * Workers finish one task each `step` and there are always URGENT_COUNT urgent ones more. Low ones that came at time 0
 * are served once they are three steps old, one after the other, and not a pop later. Returns whether any was.
 */
static bool serve_under_load(uint64_t ageing_ns, uint64_t step)
{
    brg_pool_options options = {.ageing_ns = ageing_ns};
    test_queue queue = test_queue_open(brg_queue_priority, &options);
    brg_item low[LOW_COUNT], urgent[URGENT_COUNT];
    for (int i = 0; i < LOW_COUNT; i++) {
        low[i] = (brg_item){.band = 3, .cost = 1};
        test_push(&queue, &low[i]);
    }
    queue.now_ns = 1;
    for (int i = 0; i < URGENT_COUNT; i++) {
        urgent[i] = (brg_item){.band = 0, .cost = 1};
        test_push(&queue, &urgent[i]);
    }
    int served = 0;
    for (uint64_t bound = 3 * AGEING_NS + LOW_COUNT * step; queue.now_ns < bound; queue.now_ns += step) {
        brg_item *item = test_pop(&queue);
        if (ageing_ns != 0 && queue.now_ns >= 3 * AGEING_NS)
            assert_ptr_equal(item, &low[served]);
        if (item->band == 3)
            served++;
        else
            test_push(&queue, item);
    }
    test_drain(&queue);
    test_queue_close(&queue);
    return served == LOW_COUNT;
}

static void no_task_waits_for_ever_with_ageing(void **state)
{
    (void)state;
    for (uint64_t step = 1; step < 400; step += 7)
        assert_true(serve_under_load(AGEING_NS, step));
    assert_false(serve_under_load(0, 7)); /* without it they do */
}

static void tune_changes_ageing(void **state)
{
    (void)state;
    brg_pool_options options = {.ageing_ns = 0};
    test_queue queue = test_queue_open(brg_queue_priority, &options);
    brg_item low = {.band = 3, .cost = 1}, urgent = {.band = 0, .cost = 1};
    test_push(&queue, &low);
    queue.now_ns = 3 * AGEING_NS;
    test_push(&queue, &urgent);
    assert_ptr_equal(test_pop(&queue), &urgent);
    test_push_front(&queue, &urgent);
    options.ageing_ns = AGEING_NS;
    queue.policy->tune(queue.state, &options);
    assert_ptr_equal(test_pop(&queue), &low);
    test_drain(&queue);
    test_queue_close(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bands_are_strict_without_ageing),
        cmocka_unit_test(one_rises_a_band_with_each_step),
        cmocka_unit_test(no_task_waits_for_ever_with_ageing),
        cmocka_unit_test(tune_changes_ageing),
    };
    return cmocka_run_group_tests_name("queue_priority", tests, NULL, NULL);
}
