/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/heap.h"

#define ITEMS 200
#define STEPS 50000

static void empty_heap_has_no_least(void **state)
{
    (void)state;
    brg__heap heap = {0};
    assert_null(brg__heap_peek(&heap));
}

static void one_item_comes_and_goes(void **state)
{
    (void)state;
    brg__heap heap = {0};
    brg__heap_item item = {0};
    for (int i = 0; i < 2; i++) {
        assert_false(brg__heap_is_linked(&item));
        brg__heap_insert(&heap, &item, 7);
        assert_true(brg__heap_is_linked(&item));
        assert_ptr_equal(brg__heap_peek(&heap), &item);
        brg__heap_remove(&heap, &item);
        assert_null(brg__heap_peek(&heap));
    }
}

/* Follows every link both ways; returns how many items hang under `item`, itself included. */
static int check_tree(const brg__heap_item *item)
{
    int count = 1;
    const brg__heap_item *before = item;
    for (const brg__heap_item *child = item->child; child != NULL; child = child->sibling) {
        assert_ptr_equal(child->previous, before);
        assert_true(child->key >= item->key);
        count += check_tree(child);
        before = child;
    }
    return count;
}

static int check_forest(const brg__heap *heap)
{
    int count = 0;
    for (int i = 0; i < BRG__HEAP_TREES; i++) {
        assert_int_equal(heap->trees[i] != NULL, heap->used >> i & 1);
        if (heap->trees[i] == NULL)
            continue;
        assert_ptr_equal(heap->trees[i]->previous, heap->trees[i]);
        assert_null(heap->trees[i]->sibling);
        count += check_tree(heap->trees[i]);
    }
    return count;
}

static uint64_t least_of(const brg__heap_item *items)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < ITEMS; i++)
        if (brg__heap_is_linked(&items[i]) && items[i].key < least)
            least = items[i].key;
    return least;
}

static void random_steps_match_a_scan(void **state)
{
    (void)state;
    static brg__heap_item items[ITEMS];
    brg__heap heap = {0};
    int count = 0;
    srand(2);
    for (int step = 0; step < STEPS; step++) {
        brg__heap_item *item = &items[rand() % ITEMS];
        if (rand() % 4 == 0 && heap.least != NULL)
            item = brg__heap_peek(&heap);
        if (brg__heap_is_linked(item)) {
            brg__heap_remove(&heap, item);
            assert_false(brg__heap_is_linked(item));
            count--;
        } else {
            brg__heap_insert(&heap, item, (uint64_t)(rand() % 100));
            count++;
        }
        assert_int_equal(heap.least == NULL, count == 0);
        if (heap.least != NULL) {
            assert_true(brg__heap_peek(&heap)->key == least_of(items));
            if (step % 16 == 0)
                assert_int_equal(check_forest(&heap), count);
        }
    }
}

static void draining_sorts(void **state)
{
    (void)state;
    static brg__heap_item items[ITEMS];
    brg__heap heap = {0};
    srand(3);
    for (int i = 0; i < ITEMS; i++)
        brg__heap_insert(&heap, &items[i], ((uint64_t)rand() << 32) | (uint64_t)rand());
    uint64_t before = 0;
    int count = 0;
    for (brg__heap_item *item; (item = brg__heap_peek(&heap)) != NULL; count++) {
        assert_true(item->key >= before);
        before = item->key;
        brg__heap_remove(&heap, item);
    }
    assert_int_equal(count, ITEMS);
}

static uint64_t comparisons;

static bool counted_before(const brg__heap_item *a, const brg__heap_item *b)
{
    comparisons++;
    return a->key < b->key;
}

/* No single step costs more than a few logarithms, whatever came before: not the first pop after a million inserts. */
static void no_step_is_long(void **state)
{
    (void)state;
    const size_t many = 1 << 20;
    const uint64_t bound = 8 * 20;
    brg__heap heap = {.is_before = counted_before};
    brg__heap_item *items = calloc(many, sizeof(*items));
    assert_non_null(items);
    srand(4);
    for (size_t i = 0; i < many; i++) {
        comparisons = 0;
        brg__heap_insert(&heap, &items[i], (uint64_t)rand());
        assert_true(comparisons <= bound);
    }
    for (size_t i = 0; i < many / 4; i++) {
        brg__heap_item *item = i % 2 == 0 ? brg__heap_peek(&heap) : &items[(size_t)rand() % many];
        comparisons = 0;
        if (brg__heap_is_linked(item))
            brg__heap_remove(&heap, item);
        assert_true(comparisons <= bound);
    }
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_heap_has_no_least),   cmocka_unit_test(one_item_comes_and_goes),
        cmocka_unit_test(random_steps_match_a_scan), cmocka_unit_test(draining_sorts),
        cmocka_unit_test(no_step_is_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
