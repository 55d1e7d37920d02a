/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/options.h"

typedef struct old_options {
    size_t size;
    uint64_t first;
} old_options;

typedef struct options {
    size_t size;
    uint64_t first;
    uint64_t second;
} options;

typedef struct new_options {
    size_t size;
    uint64_t first;
    uint64_t second;
    uint64_t third;
} new_options;

static const options untouched = {.size = 11, .first = 12, .second = 13};

static void null_means_defaults(void **state)
{
    (void)state;
    options to = untouched;
    assert_int_equal(brg__options_read(&to, sizeof(to), NULL, "x", NULL), BRG_OK);
    assert_int_equal(to.size, sizeof(to));
    assert_int_equal(to.first, 0);
    assert_int_equal(to.second, 0);
}

static void same_version_is_copied(void **state)
{
    (void)state;
    options to = untouched;
    assert_int_equal(brg__options_read(&to, sizeof(to), BRG_OPTIONS(options, .first = 1, .second = 2), "x", NULL),
                     BRG_OK);
    assert_int_equal(to.first, 1);
    assert_int_equal(to.second, 2);
}

static void older_caller_gets_defaults(void **state)
{
    (void)state;
    options to = untouched;
    assert_int_equal(brg__options_read(&to, sizeof(to), BRG_OPTIONS(old_options, .first = 1), "x", NULL), BRG_OK);
    assert_int_equal(to.size, sizeof(to));
    assert_int_equal(to.first, 1);
    assert_int_equal(to.second, 0);
}

static void newer_caller_works_while_its_tail_is_zero(void **state)
{
    (void)state;
    options to = untouched;
    assert_int_equal(brg__options_read(&to, sizeof(to), BRG_OPTIONS(new_options, .second = 2), "x", NULL), BRG_OK);
    assert_int_equal(to.size, sizeof(to));
    assert_int_equal(to.second, 2);
}

static void unknown_option_is_refused(void **state)
{
    (void)state;
    options to = untouched;
    brg_error error;
    new_options from = {.size = sizeof(from), .third = (uint64_t)1 << 56};
    assert_int_equal(brg__options_read(&to, sizeof(to), &from, "brg_x_options", &error), BRG_UNSUPPORTED);
    assert_int_equal(error.status, BRG_UNSUPPORTED);
    assert_non_null(strstr(error.message, "brg_x_options"));
    assert_memory_equal(&to, &untouched, sizeof(to));
}

static void size_never_set_is_refused(void **state)
{
    (void)state;
    options to = untouched;
    brg_error error;
    const size_t sizes[] = {0, sizeof(size_t) - 1, SIZE_MAX};
    for (size_t i = 0; i < 3; i++) {
        options from = {.size = sizes[i]};
        assert_int_equal(brg__options_read(&to, sizeof(to), &from, "brg_x_options", &error), BRG_INVALID);
        assert_non_null(strstr(error.message, "brg_x_options"));
        assert_memory_equal(&to, &untouched, sizeof(to));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_means_defaults),        cmocka_unit_test(same_version_is_copied),
        cmocka_unit_test(older_caller_gets_defaults), cmocka_unit_test(newer_caller_works_while_its_tail_is_zero),
        cmocka_unit_test(unknown_option_is_refused),  cmocka_unit_test(size_never_set_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
