/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>

#include "message/value_fixture.h"
#include "os/fault.h"

static brg_value *parse(const char *text)
{
    brg_value *value = NULL;
    brg_error error = {.message = ""};
    if (brg_value_from_json(&value, text, strlen(text), &error) != BRG_OK)
        fail_msg("%s: %s", text, error.message);
    fixture_check_whole(value);
    return value;
}

static char *print(const brg_value *value, brg_json_flags flags)
{
    char *text = NULL;
    size_t size = 0;
    brg_error error = {.message = ""};
    if (brg_value_to_json(value, flags, &text, &size, &error) != BRG_OK)
        fail_msg("%s", error.message);
    assert_int_equal(strlen(text), size);
    return text;
}

/* `text` is printed as `expected`, and that reads back as the same value. */
static void expect_print(const char *text, const char *expected)
{
    brg_value *value = parse(text);
    char *printed = print(value, BRG_JSON_COMPACT);
    assert_string_equal(printed, expected);
    brg_value *again = parse(printed);
    assert_true(brg_view_equal(brg_value_root(value), brg_value_root(again)));
    brg_value_unref(again);
    brg_free(printed);
    printed = print(value, BRG_JSON_INDENT);
    again = parse(printed);
    assert_true(brg_view_equal(brg_value_root(value), brg_value_root(again)));
    brg_value_unref(again);
    brg_free(printed);
    brg_value_unref(value);
}

static void text_there_and_back(void **state)
{
    (void)state;
    expect_print("null", "null");
    expect_print(" true ", "true");
    expect_print("[ ]", "[]");
    expect_print("{ }", "{}");
    expect_print("[1, -2 , 3.5, \"x\", false, null, [], {}]", "[1,-2,3.5,\"x\",false,null,[],{}]");
    expect_print("{\"z\": 1, \"a\": {\"m\": [2]}, \"k\": 3}", "{\"z\":1,\"a\":{\"m\":[2]},\"k\":3}");
    expect_print("\"\\u0000\\u001f\\b\\f\\n\\r\\t\\\"\\\\\\/\"", "\"\\u0000\\u001f\\b\\f\\n\\r\\t\\\"\\\\/\"");
    expect_print("\"\\u00e9\\ud83c\\udf73\"", "\"\xc3\xa9\xf0\x9f\x8d\xb3\"");
    expect_print("{\"a key with \\\" in it\": \"-1 [{\"}", "{\"a key with \\\" in it\":\"-1 [{\"}");
}

static void indented_text_has_its_form(void **state)
{
    (void)state;
    brg_value *value = parse("{\"a\":[1,{\"b\":[]}],\"c\":{}}");
    char *text = print(value, BRG_JSON_INDENT);
    assert_string_equal(text, "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": {}\n}");
    brg_free(text);
    brg_value_unref(value);
}

static void expect_number(const char *text, brg_type type, uint64_t bits)
{
    brg_value *value = parse(text);
    brg_view view = brg_value_root(value);
    assert_int_equal(brg_view_type(view), type);
    uint64_t read = 0;
    double number = 0;
    if (type == BRG_TYPE_DOUBLE) {
        brg_view_double(view, &number);
        memcpy(&read, &number, sizeof(read));
    } else if (type == BRG_TYPE_INT) {
        brg_view_int(view, (int64_t *)&read);
    } else {
        brg_view_uint(view, &read);
    }
    assert_true(read == bits);
    brg_value_unref(value);
}

static uint64_t bits_of(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    return bits;
}

static void whole_numbers_are_exact(void **state)
{
    (void)state;
    expect_number("0", BRG_TYPE_INT, 0);
    expect_number("9223372036854775807", BRG_TYPE_INT, INT64_MAX);
    expect_number("-9223372036854775808", BRG_TYPE_INT, (uint64_t)INT64_MIN);
    expect_number("9223372036854775808", BRG_TYPE_UINT, (uint64_t)INT64_MAX + 1);
    expect_number("18446744073709551615", BRG_TYPE_UINT, UINT64_MAX);
    expect_number("18446744073709551616", BRG_TYPE_DOUBLE, bits_of(0x1p64));
    expect_number("-9223372036854775809", BRG_TYPE_DOUBLE, bits_of(-0x1p63));
    expect_number("100000000000000000000000000000", BRG_TYPE_DOUBLE, bits_of(1e29));
    expect_number("-0.0", BRG_TYPE_DOUBLE, bits_of(-0.0));
    expect_number("1.0", BRG_TYPE_DOUBLE, bits_of(1));
    expect_number("1e2", BRG_TYPE_DOUBLE, bits_of(100));
    expect_number("12345678901234567890.5", BRG_TYPE_DOUBLE, bits_of(12345678901234567890.5));
    expect_number("5e-324", BRG_TYPE_DOUBLE, 1);
}

static void wide_numbers_keep_their_places(void **state)
{
    (void)state;
    expect_print("[1, 18446744073709551615, \"9223372036854775808\", {\"12345678901234567890\": 9223372036854775808, "
                 "\"b\": -1}, 2.5, 18446744073709551614, 7]",
                 "[1,18446744073709551615,\"9223372036854775808\",{\"12345678901234567890\":9223372036854775808,"
                 "\"b\":-1},2.5,18446744073709551614,7]");
    brg_value *value = NULL;
    brg_error error;
    const char *text = "[18446744073709551615,\n  18446744073709551615, x]";
    assert_int_equal(brg_value_from_json(&value, text, strlen(text), &error), BRG_MALFORMED);
    assert_non_null(strstr(error.message, "line 2, column 25"));
}

static void doubles_print_shortest_and_exact(void **state)
{
    (void)state;
    expect_print("0.1", "0.1");
    expect_print("1.0", "1.0");
    expect_print("-0.0", "-0.0");
    expect_print("1e300", "1e+300");
    expect_print("123456789012345680000.0", "1.2345678901234568e+20");
    expect_print("0.30000000000000004", "0.30000000000000004");
    uint64_t random = 3;
    for (int i = 0; i < 20000; i++) {
        double number = fixture_double(fixture_random(&random));
        if (!isfinite(number))
            continue;
        brg_value *value = NULL, *again;
        brg_field field = brg_field_double("n", number);
        assert_int_equal(brg_value_from_fields(&value, &field, 1, NULL), BRG_OK);
        char *text = print(value, BRG_JSON_COMPACT);
        again = parse(text);
        assert_true(brg_view_equal(brg_value_root(value), brg_value_root(again)));
        brg_free(text);
        brg_value_unref(value);
        brg_value_unref(again);
    }
}

static void locale_does_not_matter(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ru_RU.UTF-8", "ps_AF.UTF-8"};
    const char *set = NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names) && set == NULL; i++)
        set = setlocale(LC_NUMERIC, names[i]);
    if (set == NULL)
        skip(); /* none is installed */
    expect_print("[0.5,1e-7,100000000000000000000,5]", "[0.5,1e-07,1e+20,5]");
    setlocale(LC_NUMERIC, "C");
}

static void expect_failure(const char *text, size_t size, brg_status expected, const char *where)
{
    brg_value *untouched = (brg_value *)&size, *value = untouched;
    brg_error error = {.status = BRG_OK};
    char *exact = malloc(size + 1); /* no zero after it */
    memcpy(exact, text, size);
    exact[size] = '7';
    brg_status status = brg_value_from_json(&value, exact, size, &error);
    free(exact);
    if (status != expected || strstr(error.message, where) == NULL)
        fail_msg("%.40s: %s: %s", text, brg_status_name(status), error.message);
    assert_ptr_equal(value, untouched);
    assert_int_equal(error.status, expected);
}

static void malformed_text_names_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *where;
    } cases[] = {
        {"", "line 1"},
        {"  ", "line 1"},
        {"[1,\n2,,3]", "line 2, column 3"},
        {"{\"a\":1,\n\n\"a\":2}", "line 3, column 6"},
        {"{\"a\" 1}", "line 1"},
        {"[1] x", "line 1, column 5"},
        {"[1", "line 1"},
        {"\"\xff\"", "line 1"},
        {"\"\\ud800\"", "line 1"},
        {"\"a\nb\"", "line 1"},
        {"{\"a\\u0000\":1}", "line 1"},
        {"{a:1}", "line 1"},
        {"01", "line 1"},
        {"+1", "line 1"},
        {"1e999", "line 1"},
        {"nul", "line 1"},
        {"NaN", "line 1"},
        {"000000000000000000000001", "line 1"},
        {"-", "line 1"},
        {"\"\\", "line 1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        expect_failure(cases[i].text, strlen(cases[i].text), BRG_MALFORMED, cases[i].where);
    char digits[400];
    memset(digits, '9', sizeof(digits)); /* past the doubles too */
    expect_failure(digits, sizeof(digits), BRG_MALFORMED, "line 1");
}

static void nest(char *text, size_t depth)
{
    for (size_t i = 0; i < depth; i++) {
        text[i] = '[';
        text[2 * depth - 1 - i] = ']';
    }
}

static void depth_has_a_limit(void **state)
{
    (void)state;
    static char text[2000000];
    nest(text, BRG_VALUE_DEPTH_MAX);
    expect_print(text, text);
    nest(text, BRG_VALUE_DEPTH_MAX + 1);
    expect_failure(text, 2 * (BRG_VALUE_DEPTH_MAX + 1), BRG_TOO_LARGE, "line 1, column 129");
    nest(text, sizeof(text) / 2); /* must not recurse */
    expect_failure(text, sizeof(text), BRG_TOO_LARGE, "line 1, column 129");
}

static void bytes_become_base64(void **state)
{
    (void)state;
    static const char *const expected[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                           "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"}; /* RFC 4648 */
    brg_builder *builder = NULL;
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    for (size_t size = 0; size <= 6; size++) {
        char compact[64], indented[64];
        brg_buffer *buffer = NULL;
        brg_value *value = NULL;
        assert_int_equal(brg_buffer_create(&buffer, size, NULL), BRG_OK);
        memcpy(brg_buffer_data(buffer), "foobar", size);
        snprintf(compact, sizeof(compact), "[{\"$bytes\":\"%s\"},{\"$bytes\":\"%s\"}]", expected[size], expected[size]);
        snprintf(indented, sizeof(indented), "{\"$bytes\": \"%s\"}", expected[size]);
        brg_builder_list(builder);
        brg_builder_bytes(builder, "foobar", size);
        brg_builder_buffer(builder, &buffer);
        brg_builder_end(builder);
        assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
        char *text = print(value, BRG_JSON_COMPACT);
        assert_string_equal(text, compact);
        brg_free(text);
        text = print(value, BRG_JSON_INDENT);
        assert_non_null(strstr(text, indented));
        brg_free(text);
        brg_value_unref(value);
    }
    brg_builder_destroy(builder);
}

static void what_json_lacks_is_unsupported(void **state)
{
    (void)state;
    static const double numbers[] = {INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < 3; i++) {
        brg_value *value = NULL;
        brg_error error;
        char *text = (char *)&error, *untouched = text;
        size_t size = 3;
        brg_field field = brg_field_double("n", numbers[i]);
        assert_int_equal(brg_value_from_fields(&value, &field, 1, NULL), BRG_OK);
        assert_int_equal(brg_value_to_json(value, BRG_JSON_COMPACT, &text, &size, &error), BRG_UNSUPPORTED);
        assert_ptr_equal(text, untouched);
        assert_int_equal(size, 3);
        brg_value_unref(value);
    }
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    static char text[20000];
    strcpy(text, "[18446744073709551615");
    for (int i = 0; i < 600; i++)
        strcat(text, i % 30 == 0 ? ",18446744073709551615" : ",{\"a\":\"b\"}");
    strcat(text, "]");
    uint64_t failures = 0;
    for (uint64_t nth = 1;; nth++) {
        brg_value *value = NULL;
        char *printed = NULL;
        brg__fault_arm(NULL, nth);
        brg_status status = brg_value_from_json(&value, text, strlen(text), NULL);
        if (status == BRG_OK)
            status = brg_value_to_json(value, BRG_JSON_INDENT, &printed, NULL, NULL);
        bool fired = brg__fault_fired();
        brg__fault_disarm();
        assert_true(status == BRG_OK || (fired && status == BRG_NO_MEMORY));
        brg_free(printed);
        brg_value_unref(value);
        failures += status != BRG_OK;
        if (!fired)
            break;
    }
    assert_true(failures > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_there_and_back),
        cmocka_unit_test(indented_text_has_its_form),
        cmocka_unit_test(whole_numbers_are_exact),
        cmocka_unit_test(wide_numbers_keep_their_places),
        cmocka_unit_test(doubles_print_shortest_and_exact),
        cmocka_unit_test(locale_does_not_matter),
        cmocka_unit_test(malformed_text_names_the_place),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(bytes_become_base64),
        cmocka_unit_test(what_json_lacks_is_unsupported),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
