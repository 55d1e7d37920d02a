/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <brigade/status.h>

static void names_and_texts_come_from_the_list(void **state)
{
    (void)state;
#define CHECK(name, number, text)                                                                                      \
    assert_int_equal(BRG_##name, number);                                                                              \
    assert_string_equal(brg_status_name(BRG_##name), "BRG_" #name);                                                    \
    assert_string_equal(brg_status_text(BRG_##name), text);
    BRG_STATUS_MAP(CHECK)
#undef CHECK
    assert_string_equal(brg_status_name((brg_status)-999), "BRG_?");
    assert_non_null(brg_status_text((brg_status)12));
}

static void error_set_fills_everything(void **state)
{
    (void)state;
    brg_error error;
    memset(&error, 0x5a, sizeof(error));
    errno = EAGAIN;
    assert_int_equal(brg_error_set(&error, BRG_RANGE, "value", "%d is above %s", 7, "six"), BRG_RANGE);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(error.status, BRG_RANGE);
    assert_string_equal(error.domain, "value");
    assert_string_equal(error.message, "7 is above six");
    assert_int_equal(error.os_errno, 0);
    assert_int_equal(error.signal, 0);
    assert_int_equal(error.code, 0);
    assert_string_equal(error.backtrace, "");
}

static void error_set_takes_no_error(void **state)
{
    (void)state;
    assert_int_equal(brg_error_set(NULL, BRG_FULL, "pool", "full"), BRG_FULL);
}

static void error_set_cuts_and_ends_long_text(void **state)
{
    (void)state;
    brg_error error;
    char text[1000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    brg_error_set(&error, BRG_INVALID, text, "%s", text);
    assert_int_equal(strlen(error.domain), sizeof(error.domain) - 1);
    assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
}

static void error_set_may_quote_the_error_it_fills(void **state)
{
    (void)state;
    brg_error error;
    brg_error_set(&error, BRG_SYSTEM, "os", "disk full");
    brg_error_set(&error, BRG_FAILED, error.domain, "writing: %s", error.message);
    assert_string_equal(error.domain, "os");
    assert_string_equal(error.message, "writing: disk full");
}

static void version_matches_its_numbers(void **state)
{
    (void)state;
    char text[32];
    snprintf(text, sizeof(text), "%d.%d.%d", BRG_VERSION_MAJOR, BRG_VERSION_MINOR, BRG_VERSION_PATCH);
    assert_string_equal(brg_version(), text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_texts_come_from_the_list),
        cmocka_unit_test(error_set_fills_everything),
        cmocka_unit_test(error_set_takes_no_error),
        cmocka_unit_test(error_set_cuts_and_ends_long_text),
        cmocka_unit_test(error_set_may_quote_the_error_it_fills),
        cmocka_unit_test(version_matches_its_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
