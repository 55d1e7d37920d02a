/* SPDX-License-Identifier: MIT */
#include "base/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 4096

static uint64_t random_state = 88172645463325252u;

/* xorshift64 (Marsaglia 2003). */
static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void table_grow_if_full(brg__table *table)
{
    if (brg__table_has_room(table))
        return;
    size_t capacity = table->capacity == 0 ? 4 : table->capacity * 2;
    brg__table_slot *slots = calloc(capacity, sizeof(*slots));
    assert_non_null(slots);
    free(brg__table_rehash(table, slots, capacity));
}

static void empty_table_has_nothing(void **state)
{
    (void)state;
    brg__table table = {0};
    assert_null(brg__table_get(&table, 1));
    assert_null(brg__table_remove(&table, 1));
    assert_false(brg__table_has_room(&table));
}

static void what_was_put_is_found(void **state)
{
    (void)state;
    brg__table table = {0};
    static char values[100];
    for (uint64_t key = 0; key < 100; key++) {
        table_grow_if_full(&table);
        brg__table_put(&table, key * 2, &values[key]);
    }
    assert_int_equal(table.count, 100);
    for (uint64_t key = 0; key < 100; key++) {
        assert_ptr_equal(brg__table_get(&table, key * 2), &values[key]);
        assert_null(brg__table_get(&table, key * 2 + 1));
    }
    free(table.slots);
}

/* Against an array that says what is in it: collisions, wrap-around and holes of every kind. */
static void random_operations_agree_with_a_model(void **state)
{
    (void)state;
    brg__table table = {0};
    static void *model[KEYS];
    static char values[KEYS];
    size_t count = 0;
    memset(model, 0, sizeof(model));
    for (int i = 0; i < 400000; i++) {
        uint64_t key = random_next() % (i % 3 == 0 ? 64 : KEYS);
        if (model[key] != NULL) {
            assert_ptr_equal(brg__table_get(&table, key), model[key]);
            assert_ptr_equal(brg__table_remove(&table, key), model[key]);
            model[key] = NULL;
            count--;
        } else {
            assert_null(brg__table_get(&table, key));
            table_grow_if_full(&table);
            brg__table_put(&table, key, model[key] = &values[key]);
            count++;
        }
        assert_int_equal(table.count, count);
    }
    for (uint64_t key = 0; key < KEYS; key++)
        assert_ptr_equal(brg__table_get(&table, key), model[key]);
    free(table.slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_table_has_nothing),
        cmocka_unit_test(what_was_put_is_found),
        cmocka_unit_test(random_operations_agree_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
