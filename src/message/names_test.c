/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/names.h"

#define NAMES_COUNT 1000

typedef struct named {
    brg__name name;
    char text[24];
} named;

static void names_are_found_until_removed(void **state)
{
    (void)state;
    static named all[NAMES_COUNT];
    brg__names names = {{0}};
    for (int i = 0; i < NAMES_COUNT; i++) {
        snprintf(all[i].text, sizeof(all[i].text), "name %d", i);
        all[i].name.text = all[i].text;
        all[i].name.size = strlen(all[i].text);
        assert_null(brg__names_find(&names, all[i].text, all[i].name.size));
        assert_int_equal(brg__names_add(&names, &all[i].name), BRG_OK);
    }
    for (int i = 0; i < NAMES_COUNT; i += 2)
        brg__names_remove(&names, &all[i].name);
    for (int i = 0; i < NAMES_COUNT; i++) {
        brg__name *found = brg__names_find(&names, all[i].text, all[i].name.size);
        assert_ptr_equal(found, i % 2 == 0 ? NULL : &all[i].name);
    }
    for (int i = 1; i < NAMES_COUNT; i += 2)
        brg__names_remove(&names, &all[i].name);
    assert_null(names.table.slots);
}

/* Two names are made to share a hash: all of the chain is found, and each can go first. */
static void names_with_one_hash_live_together(void **state)
{
    (void)state;
    for (int gone = 0; gone < 3; gone++) {
        brg__names names = {{0}};
        named all[3];
        assert_int_equal(brg__table_reserve(&names.table), BRG_OK);
        brg__name probe = {.text = "a", .size = 1};
        assert_int_equal(brg__names_add(&names, &probe), BRG_OK);
        uint64_t hash = probe.hash;
        brg__name *chain = &probe;
        for (int i = 0; i < 3; i++) {
            snprintf(all[i].text, sizeof(all[i].text), "%c%d", 'b', i);
            all[i].name = (brg__name){.hash = hash, .text = all[i].text, .size = 2, .next_same = chain};
            chain = &all[i].name;
        }
        brg__table_remove(&names.table, hash);
        brg__table_put(&names.table, hash, chain);
        brg__names_remove(&names, &all[gone].name);
        assert_ptr_equal(brg__names_find(&names, "a", 1), &probe);
        for (brg__name *left = brg__table_get(&names.table, hash); left != NULL; left = left->next_same)
            assert_ptr_not_equal(left, &all[gone].name);
        for (int i = 0; i < 3; i++)
            if (i != gone)
                brg__names_remove(&names, &all[i].name);
        brg__names_remove(&names, &probe);
        assert_null(names.table.slots);
    }
}

static void a_name_is_short_text(void **state)
{
    (void)state;
    char text[BRG__NAME_MAX + 1];
    memset(text, 'x', sizeof(text));
    brg_error error;
    assert_int_equal(brg__name_check(text, 1, "lock", &error), BRG_OK);
    assert_int_equal(brg__name_check(text, BRG__NAME_MAX, "lock", &error), BRG_OK);
    assert_int_equal(brg__name_check("stra\xc3\x9f"
                                     "e",
                                     7, "lock", &error),
                     BRG_OK);
    assert_int_equal(brg__name_check(text, 0, "lock", &error), BRG_INVALID);
    assert_int_equal(brg__name_check(text, sizeof(text), "lock", &error), BRG_INVALID);
    assert_string_equal(error.domain, "lock");
    assert_int_equal(brg__name_check("a\0b", 3, "lock", &error), BRG_INVALID);
    assert_int_equal(brg__name_check("\xff", 1, "lock", NULL), BRG_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_until_removed),
        cmocka_unit_test(names_with_one_hash_live_together),
        cmocka_unit_test(a_name_is_short_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
