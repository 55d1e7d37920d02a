/* SPDX-License-Identifier: MIT */
#include "os/test_support.h"

#include "os/library.h"

static void symbols_of_a_library_are_found(void **state)
{
    (void)state;
    void *library = NULL, *symbol = NULL;
    double (*power)(double base, double exponent);
    assert_int_equal(brg__library_open(&library, "libm.so.6", NULL), BRG_OK);
    assert_int_equal(brg__library_symbol(library, "pow", &symbol, NULL), BRG_OK);
    memcpy(&power, &symbol, sizeof(power));
    assert_true(power(2, 3) == 8);
    brg__library_close(library);
    brg__library_close(NULL);
}

static void missing_symbol_is_not_found(void **state)
{
    (void)state;
    int untouched;
    void *library = NULL, *symbol = &untouched;
    brg_error error;
    assert_int_equal(brg__library_open(&library, "libm.so.6", NULL), BRG_OK);
    assert_int_equal(brg__library_symbol(library, "brigade_has_none", &symbol, &error), BRG_NOT_FOUND);
    assert_ptr_equal(symbol, &untouched);
    assert_non_null(strstr(error.message, "brigade_has_none"));
    brg__library_close(library);
}

static void missing_file_is_not_found(void **state)
{
    (void)state;
    void *library = NULL;
    brg_error error;
    assert_int_equal(brg__library_open(&library, "/no/such/library.so", &error), BRG_NOT_FOUND);
    assert_non_null(strstr(error.message, "/no/such/library.so"));
    assert_int_equal(brg__library_open(&library, "libbrigade-no-such.so", &error), BRG_NOT_FOUND);
    assert_null(library);
    assert_false(brg__library_exists("/no/such/library.so"));
    assert_true(brg__library_exists("libm.so.6"));
}

static void file_that_is_no_library_fails_to_start(void **state)
{
    (void)state;
    void *library = NULL;
    brg_error error;
    assert_int_equal(brg__library_open(&library, "/etc/passwd", &error), BRG_START_FAILED);
    assert_non_null(strstr(error.message, "/etc/passwd"));
    assert_null(library);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symbols_of_a_library_are_found),
        cmocka_unit_test(missing_symbol_is_not_found),
        cmocka_unit_test(missing_file_is_not_found),
        cmocka_unit_test(file_that_is_no_library_fails_to_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
