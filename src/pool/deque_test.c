/* SPDX-License-Identifier: MIT */
#include "pool/deque.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "os/memory.h"
#include "os/thread.h"

static void *item_of(size_t number) { return (void *)(number + 1); }

static brg__deque *new_deque(void)
{
    brg__deque *deque = brg__calloc_aligned(sizeof(*deque));
    assert_non_null(deque);
    return deque;
}

static void test_owner_takes_the_newest_thief_the_oldest(void **state)
{
    (void)state;
    brg__deque *deque = new_deque();
    assert_null(brg__deque_pop(deque));
    assert_null(brg__deque_steal(deque));
    for (size_t i = 0; i < 4; i++)
        assert_true(brg__deque_push(deque, item_of(i)));
    assert_int_equal(brg__deque_count(deque), 4);
    assert_ptr_equal(brg__deque_steal(deque), item_of(0));
    assert_ptr_equal(brg__deque_pop(deque), item_of(3));
    assert_ptr_equal(brg__deque_steal(deque), item_of(1));
    assert_ptr_equal(brg__deque_pop(deque), item_of(2));
    assert_null(brg__deque_pop(deque));
    assert_null(brg__deque_steal(deque));
    assert_int_equal(brg__deque_count(deque), 0);
    brg__mfree_aligned(deque);
}

static void test_it_is_bounded_and_goes_round(void **state)
{
    (void)state;
    brg__deque *deque = new_deque();
    for (size_t round = 0; round < 5; round++) {
        for (size_t i = 0; i < BRG__DEQUE_SIZE; i++)
            assert_true(brg__deque_push(deque, item_of(i)));
        assert_false(brg__deque_push(deque, item_of(0)));
        assert_ptr_equal(brg__deque_steal(deque), item_of(0));
        assert_true(brg__deque_push(deque, item_of(BRG__DEQUE_SIZE))); /* a thief made room */
        assert_false(brg__deque_push(deque, item_of(0)));
        for (size_t i = BRG__DEQUE_SIZE; i > 300; i--)
            assert_ptr_equal(brg__deque_pop(deque), item_of(i));
        for (size_t i = 1; i <= 300; i++)
            assert_ptr_equal(brg__deque_steal(deque), item_of(i));
        assert_null(brg__deque_pop(deque));
    }
    brg__mfree_aligned(deque);
}

/* ---- an owner and thieves at once: every item is taken once, and whole ------------------------------------------- */

#define ITEMS 200000
#define THIEVES 3

typedef struct stress {
    brg__deque *deque;
    uint32_t values[ITEMS]; /* plain memory, which the deque hands over */
    uint32_t xtaken[ITEMS];
    uint32_t xover;
} stress;

static void stress_take(stress *s, void *item)
{
    size_t number = (size_t)item - 1;
    assert_int_equal(s->values[number], number * 3);
    brg_add_relaxed(&s->xtaken[number], 1u);
}

static void stress_thief(void *argument)
{
    stress *s = argument;
    for (;;) {
        bool over = brg_load_acquire(&s->xover) != 0; /* before the look that must find it empty */
        void *item = brg__deque_steal(s->deque);
        if (item != NULL)
            stress_take(s, item);
        else if (over)
            return;
    }
}

static void test_every_item_is_taken_once(void **state)
{
    (void)state;
    stress *s = brg__calloc(1, sizeof(*s));
    assert_non_null(s);
    s->deque = new_deque();
    brg__thread thieves[THIEVES];
    for (size_t i = 0; i < THIEVES; i++)
        assert_int_equal(brg__thread_start(&thieves[i], "thief", 0, stress_thief, s, NULL), BRG_OK);
    uint32_t random = 1;
    for (size_t made = 0; made < ITEMS;) { /* few at a time: the last item is what they fight for */
        random = random * 1664525u + 1013904223u;
        for (size_t i = 0; i < 1 + (random >> 30) && made < ITEMS; i++, made++) {
            s->values[made] = (uint32_t)made * 3;
            if (!brg__deque_push(s->deque, item_of(made)))
                stress_take(s, item_of(made));
        }
        for (size_t i = 0; i < ((random >> 28) & 3); i++) {
            void *item = brg__deque_pop(s->deque);
            if (item != NULL)
                stress_take(s, item);
        }
    }
    brg_store_release(&s->xover, 1u);
    for (void *item; (item = brg__deque_pop(s->deque)) != NULL;)
        stress_take(s, item);
    for (size_t i = 0; i < THIEVES; i++)
        brg__thread_join(&thieves[i]);
    for (size_t i = 0; i < ITEMS; i++)
        assert_int_equal(s->xtaken[i], 1);
    brg__mfree_aligned(s->deque);
    brg__mfree(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owner_takes_the_newest_thief_the_oldest),
        cmocka_unit_test(test_it_is_bounded_and_goes_round),
        cmocka_unit_test(test_every_item_is_taken_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
