/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/list.h"

#define ITEMS 40
#define STEPS 20000

typedef struct item {
    brg__node node;
    int number;
} item;

static item *item_of(brg__node *node) { return brg__container_of(node, item, node); }

static void push_and_pop_keep_order(void **state)
{
    (void)state;
    brg__list list;
    item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    brg__list_init(&list);
    assert_true(brg__list_is_empty(&list));
    assert_null(brg__list_pop_front(&list));
    brg__list_push_back(&list, &items[1].node);
    brg__list_push_back(&list, &items[2].node);
    brg__list_push_front(&list, &items[0].node);
    for (int i = 0; i < 3; i++) {
        brg__node *node = brg__list_pop_front(&list);
        assert_int_equal(item_of(node)->number, i);
        assert_false(brg__node_is_linked(node));
    }
    assert_true(brg__list_is_empty(&list));
}

static void for_each_allows_removal(void **state)
{
    (void)state;
    brg__list list;
    brg__list_init(&list);
    for (int i = 0; i < 4; i++) {
        item *made = calloc(1, sizeof(*made));
        assert_non_null(made);
        made->number = i;
        brg__list_push_back(&list, &made->node);
    }
    int expected = 0;
    brg__list_for_each(node, &list) {
        assert_int_equal(item_of(node)->number, expected++);
        brg__list_remove(node);
        free(item_of(node));
    }
    assert_int_equal(expected, 4);
    assert_true(brg__list_is_empty(&list));
}

static void splice_moves_all(void **state)
{
    (void)state;
    brg__list to, from;
    item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    brg__list_init(&to);
    brg__list_init(&from);
    brg__list_splice_back(&to, &from);
    assert_true(brg__list_is_empty(&to));
    for (int i = 0; i < 4; i++)
        brg__list_push_back(i < 2 ? &to : &from, &items[i].node);
    brg__list_splice_back(&to, &from);
    assert_true(brg__list_is_empty(&from));
    for (int i = 0; i < 4; i++)
        assert_int_equal(item_of(brg__list_pop_front(&to))->number, i);
    assert_true(brg__list_is_empty(&to));
}

static int reference_find(const int *reference, int count, int number)
{
    for (int i = 0; i < count; i++)
        if (reference[i] == number)
            return i;
    return -1;
}

static void check_same(brg__list *list, const int *reference, int count)
{
    int at = 0;
    brg__list_for_each(node, list) {
        assert_true(at < count);
        assert_int_equal(item_of(node)->number, reference[at++]);
    }
    assert_int_equal(at, count);
    brg__node *back = list->head.previous;
    while (at > 0) {
        assert_int_equal(item_of(back)->number, reference[--at]);
        back = back->previous;
    }
    assert_ptr_equal(back, &list->head);
}

static void random_steps_match_an_array(void **state)
{
    (void)state;
    static item items[ITEMS];
    int reference[ITEMS], count = 0;
    brg__list list;
    brg__list_init(&list);
    srand(1);
    for (int step = 0; step < STEPS; step++) {
        int number = rand() % ITEMS, at = reference_find(reference, count, number);
        items[number].number = number;
        assert_int_equal(brg__node_is_linked(&items[number].node), at >= 0);
        if (at >= 0) {
            brg__list_remove(&items[number].node);
            for (count--; at < count; at++)
                reference[at] = reference[at + 1];
        } else if (rand() % 2 == 0) {
            brg__list_push_back(&list, &items[number].node);
            reference[count++] = number;
        } else {
            brg__list_push_front(&list, &items[number].node);
            for (at = count++; at > 0; at--)
                reference[at] = reference[at - 1];
            reference[0] = number;
        }
        check_same(&list, reference, count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(push_and_pop_keep_order),
        cmocka_unit_test(for_each_allows_removal),
        cmocka_unit_test(splice_moves_all),
        cmocka_unit_test(random_steps_match_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
