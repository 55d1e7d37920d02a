/* SPDX-License-Identifier: MIT */
/* Values as graphs: shared and cyclic references, sets, errors, arrays, big integers, transfer lists, their text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include <brigade/transfer.h>

#include "message/builder_fixture.h"
#include "message/value_fixture.h"

static void expect_failure(brg_status expected)
{
    brg_value *value = NULL;
    brg_error error = {.message = ""};
    assert_int_equal(brg_builder_finish(builder, &value, &error), expected);
    assert_true(error.message[0] != '\0');
}

/* The same value from its bytes. */
static brg_value *received(const brg_value *value)
{
    brg_value *copy = NULL;
    brg_error error = {.message = ""};
    if (brg_value_from_bytes(&copy, brg_value_data(value), brg_value_size(value), NULL, 0, &error) != BRG_OK)
        fail_msg("%s", error.message);
    assert_true(brg_view_equal(brg_value_root(value), brg_value_root(copy)));
    return copy;
}

static void expect_text(const brg_value *value, const char *expected)
{
    char *text = NULL;
    assert_int_equal(brg_value_to_text(value, &text, NULL, NULL), BRG_OK);
    assert_string_equal(text, expected);
    brg_free(text);
}

static void shared_nodes_keep_identity(void **state)
{
    (void)state;
    brg_builder_list(builder);
    brg_builder_map(builder);
    brg_builder_key(builder, "x");
    brg_builder_int(builder, 1);
    brg_builder_end(builder);
    brg_mark mark = brg_builder_mark(builder);
    brg_builder_ref(builder, mark);
    brg_builder_map(builder);
    brg_builder_key(builder, "x");
    brg_builder_int(builder, 1);
    brg_builder_end(builder);
    brg_builder_end(builder);
    brg_value *value = finish(), *copy = received(value);
    brg_view root = brg_value_root(copy);
    assert_true(brg_view_same(brg_view_at(root, 0), brg_view_at(root, 1)));
    assert_false(brg_view_same(brg_view_at(root, 0), brg_view_at(root, 2)));
    assert_true(brg_view_equal(brg_view_at(root, 1), brg_view_at(root, 2)));
    expect_text(copy, "[#1={\"x\": 1}, #1#, {\"x\": 1}]");
    char *json = NULL;
    assert_int_equal(brg_value_to_json(copy, BRG_JSON_COMPACT, &json, NULL, NULL), BRG_OK);
    assert_string_equal(json, "[{\"x\":1},{\"x\":1},{\"x\":1}]");
    brg_free(json);
    brg_value_unref(copy);
    brg_value_unref(value);
}

/* `period` nested lists, the innermost of which holds the outermost. */
static brg_value *cycle(int period, int64_t number)
{
    brg_mark first = {0, 0};
    for (int i = 0; i < period; i++) {
        brg_builder_list(builder);
        if (i == 0)
            first = brg_builder_mark(builder);
        brg_builder_int(builder, number);
    }
    brg_builder_ref(builder, first);
    for (int i = 0; i < period; i++)
        brg_builder_end(builder);
    return finish();
}

static void cycles_are_equal_where_walks_are(void **state)
{
    (void)state;
    brg_value *one = cycle(1, 5), *three = cycle(3, 5), *seven = cycle(7, 5), *other = cycle(3, 6);
    assert_true(brg_view_equal(brg_value_root(one), brg_value_root(three)));
    assert_true(brg_view_equal(brg_value_root(three), brg_value_root(seven)));
    assert_false(brg_view_equal(brg_value_root(three), brg_value_root(other)));
    brg_view deep = brg_value_root(three);
    for (int i = 0; i < 3000; i++)
        deep = brg_view_at(deep, 1);
    assert_true(brg_view_same(deep, brg_value_root(three)));
    expect_text(three, "#1=[5, [5, [5, #1#]]]");
    char *json = NULL;
    brg_error error;
    assert_int_equal(brg_value_to_json(three, BRG_JSON_COMPACT, &json, NULL, &error), BRG_UNSUPPORTED);
    assert_non_null(strstr(error.message, "cycle"));
    brg_value_unref(received(three));
    brg_builder_list(builder); /* a part of a cycle brings the whole */
    brg_builder_view(builder, brg_view_at(brg_value_root(three), 1));
    brg_builder_end(builder);
    brg_value *part = finish();
    assert_true(brg_view_equal(brg_view_at(brg_value_root(part), 0), brg_value_root(one)));
    brg_value_unref(part);
    brg_value_unref(one);
    brg_value_unref(three);
    brg_value_unref(seven);
    brg_value_unref(other);
}

static void shared_nodes_do_not_explode(void **state)
{
    (void)state;
    brg_builder_list(builder);
    brg_builder_list(builder);
    brg_builder_string(builder, "ha");
    brg_builder_end(builder);
    for (int i = 0; i < 60; i++) {
        brg_mark last = brg_builder_mark(builder);
        brg_builder_list(builder);
        brg_builder_ref(builder, last);
        brg_builder_ref(builder, last);
        brg_builder_end(builder);
    }
    brg_builder_end(builder);
    brg_value *value = finish(), *copy = received(value);
    char *json = NULL;
    assert_int_equal(brg_value_to_json(copy, BRG_JSON_COMPACT, &json, NULL, NULL), BRG_TOO_LARGE);
    brg_value_unref(copy);
    brg_value_unref(value);
    brg_builder_list(builder);
    for (int i = 0; i < BRG_VALUE_DEPTH_MAX; i++) { /* heights count through references */
        brg_mark last = brg_builder_mark(builder);
        brg_builder_list(builder);
        if (i > 0)
            brg_builder_ref(builder, last);
        brg_builder_end(builder);
    }
    brg_builder_end(builder);
    expect_failure(BRG_TOO_LARGE);
}

static void marks_of_other_values_are_refused(void **state)
{
    (void)state;
    brg_builder_list(builder);
    brg_mark mark = brg_builder_mark(builder);
    brg_builder_end(builder);
    brg_value_unref(finish());
    brg_builder_list(builder);
    brg_builder_ref(builder, mark);
    brg_builder_end(builder);
    expect_failure(BRG_INVALID);
    brg_builder_list(builder);
    brg_builder_ref(builder, (brg_mark){0, 0});
    expect_failure(BRG_INVALID);
    assert_int_equal(brg_builder_mark(builder).number, 0);
    expect_failure(BRG_STATE);
}

static void add_record(int64_t number)
{
    brg_builder_map(builder);
    brg_builder_key(builder, "n");
    brg_builder_int(builder, number);
    brg_builder_key(builder, "same");
    brg_builder_list(builder);
    brg_builder_int(builder, 7);
    brg_builder_end(builder);
    brg_builder_end(builder);
}

static void sets_refuse_what_they_have(void **state)
{
    (void)state;
    brg_builder_set(builder);
    for (int i = 0; i < 1000; i++)
        add_record(i);
    brg_builder_double(builder, 1);
    brg_builder_int(builder, 1);
    brg_builder_end(builder);
    brg_value *value = finish(), *copy = received(value);
    brg_value_unref(copy);
    brg_builder_set(builder); /* the same backwards */
    brg_builder_int(builder, 1);
    brg_builder_double(builder, 1);
    for (int i = 1000; i-- > 0;)
        add_record(i);
    brg_builder_end(builder);
    copy = finish();
    assert_true(brg_view_equal(brg_value_root(value), brg_value_root(copy)));
    brg_value_unref(copy);
    brg_value_unref(value);
    for (int other = 0; other < 2; other++) {
        brg_builder_set(builder);
        for (int i = 0; i < 50; i++)
            add_record(i);
        add_record(other == 0 ? 50 : 17);
        brg_builder_end(builder);
        if (other == 0)
            brg_value_unref(finish());
        else
            expect_failure(BRG_INVALID);
    }
}

static void errors_nest(void **state)
{
    (void)state;
    brg_error cause, whole, read;
    memset(&cause, 0, sizeof(cause));
    brg_error_set(&cause, BRG_SYSTEM, "os", "no such file");
    cause.os_errno = 2;
    whole = cause;
    brg_error_set(&whole, BRG_FAILED, "photos", "cannot read \"%s\"", "x.jpg");
    whole.code = -77;
    brg_builder_error_open(builder, &whole);
    brg_builder_string(builder, "x.jpg");
    brg_builder_error(builder, &cause);
    brg_builder_end(builder);
    brg_value *value = finish(), *copy = received(value);
    brg_view root = brg_value_root(copy);
    assert_int_equal(brg_view_error(root, &read), BRG_OK);
    assert_int_equal(read.status, BRG_FAILED);
    assert_int_equal(read.code, -77);
    assert_string_equal(read.domain, "photos");
    assert_string_equal(read.message, "cannot read \"x.jpg\"");
    assert_string_equal(brg_view_string(brg_view_error_detail(root), NULL), "x.jpg");
    assert_int_equal(brg_view_error(brg_view_error_cause(root), &read), BRG_OK);
    assert_int_equal(read.os_errno, 2);
    assert_int_equal(brg_view_type(brg_view_error_cause(brg_view_error_cause(root))), BRG_TYPE_NIL);
    brg_value_unref(copy);
    brg_value_unref(value);
    brg_builder_error_open(builder, &whole);
    for (int i = 0; i < 3; i++)
        brg_builder_nil(builder);
    brg_builder_end(builder);
    expect_failure(BRG_STATE);
}

static void numbers_and_arrays(void **state)
{
    (void)state;
    static const int16_t shorts[] = {-1, 2, 300};
    brg_buffer *buffer = NULL;
    assert_int_equal(brg_buffer_create(&buffer, 64, NULL), BRG_OK);
    brg_buffer *again = brg_buffer_ref(buffer);
    brg_builder_list(builder);
    brg_builder_timestamp(builder, INT64_MIN);
    brg_builder_bigint(builder, true, "\x01\x02\x00", 3);
    brg_builder_bigint(builder, true, "\x00\x00", 2);
    brg_builder_array(builder, BRG_ELEMENT_I16, shorts, 3);
    brg_builder_array_buffer(builder, BRG_ELEMENT_F64, &buffer, 8, 7);
    brg_builder_array_buffer(builder, BRG_ELEMENT_U8, &again, 63, 1);
    brg_builder_end(builder);
    assert_true(buffer == NULL && again == NULL);
    brg_value *value = finish();
    brg_view root = brg_value_root(value);
    brg_array one, other;
    bool negative = false;
    size_t size = 0;
    assert_memory_equal(brg_view_bigint(brg_view_at(root, 1), &negative, &size), "\x01\x02", 2);
    assert_true(negative && size == 2);
    assert_non_null(brg_view_bigint(brg_view_at(root, 2), &negative, &size));
    assert_true(!negative && size == 0);
    assert_int_equal(brg_view_array(brg_view_at(root, 3), &one), BRG_OK);
    assert_memory_equal(one.data, shorts, sizeof(shorts));
    assert_int_equal(brg_view_array(brg_view_at(root, 4), &one), BRG_OK);
    assert_int_equal(brg_view_array(brg_view_at(root, 5), &other), BRG_OK);
    assert_ptr_equal(one.buffer, other.buffer);
    assert_int_equal(brg_value_size_with_buffers(value), brg_value_size(value) + 64);
    assert_int_equal(brg_view_array(brg_view_at(root, 0), &one), BRG_WRONG_TYPE);
    brg_buffer *small = NULL;
    brg_value *copy = NULL;
    assert_int_equal(brg_buffer_create(&small, 8, NULL), BRG_OK); /* the arrays lie outside of it */
    assert_int_equal(brg_value_from_bytes(&copy, brg_value_data(value), brg_value_size(value), &small, 1, NULL),
                     BRG_MALFORMED);
    brg_value_unref(value);
    brg_builder_array_buffer(builder, BRG_ELEMENT_U32, &small, 4, 2);
    expect_failure(BRG_RANGE);
    brg_builder_array_buffer(builder, BRG_ELEMENT_U32, &small, 2, 1);
    expect_failure(BRG_INVALID);
    brg_buffer_unref(small);
}

static void transfers_are_all_or_nothing(void **state)
{
    (void)state;
    brg_buffer *one = NULL, *other = NULL;
    brg_error error;
    brg_value *value = NULL;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), none = -1;
    assert_int_equal(brg_buffer_create(&one, 1, NULL), BRG_OK);
    assert_int_equal(brg_buffer_create(&other, 2, NULL), BRG_OK);
    brg_buffer *alias = one;
    const brg_transfer twice[] = {brg_transfer_buffer(&one), brg_transfer_fd(&fd), brg_transfer_buffer(&alias)};
    const brg_transfer empty[] = {brg_transfer_buffer(&one), brg_transfer_fd(&none)};
    const brg_transfer good[] = {brg_transfer_buffer(&one), brg_transfer_fd(&fd), brg_transfer_buffer(&other)};
    const struct {
        const brg_transfer *list;
        size_t count;
        const char *says;
    } bad[] = {{twice, 3, "transfer 2"}, {empty, 2, "transfer 1"}, {good, 1, "transfer 1"}};
    for (size_t i = 0; i < 3; i++) {
        brg_builder_list(builder);
        brg_builder_transfer(builder, 1);
        brg_builder_end(builder);
        assert_int_equal(brg_builder_finish_transfer(builder, bad[i].list, bad[i].count, &value, &error), BRG_INVALID);
        assert_non_null(strstr(error.message, bad[i].says));
        assert_true(one == alias && fd >= 0 && value == NULL);
    }
    brg_builder_transfer(builder, 0);
    expect_failure(BRG_STATE); /* without its list */
    brg_builder_list(builder);
    brg_builder_transfer(builder, 1);
    brg_builder_transfer(builder, 0);
    brg_builder_transfer(builder, 0);
    brg_builder_end(builder);
    assert_int_equal(brg_builder_finish_transfer(builder, good, 3, &value, &error), BRG_OK);
    assert_true(one == NULL && other == NULL && fd == -1);
    brg_view root = brg_value_root(value);
    assert_ptr_equal(brg_view_buffer(brg_view_at(root, 1)), alias);
    assert_true(brg_view_same(brg_view_at(root, 1), brg_view_at(root, 2)));
    brg_builder_view(builder, root); /* a descriptor moves */
    expect_failure(BRG_INVALID);
    assert_int_equal(brg_view_take_fd(brg_view_at(root, 0), &fd), BRG_OK);
    assert_int_equal(brg_view_take_fd(brg_view_at(root, 0), &none), BRG_EMPTY);
    assert_int_equal(close(fd), 0);
    brg_value_unref(value);
}

static void json_comes_in_pieces(void **state)
{
    (void)state;
    static const char text[] = "{\"a\": [1, -2.5e3, \"gr\\u00fc\\ud83c\\udf73\\n\", true]} null 17\n[]";
    for (size_t piece = 1; piece <= sizeof(text); piece++) {
        brg_json_reader *reader = NULL;
        brg_value *values[5] = {NULL};
        size_t count = 0, at = 0, end = sizeof(text) - 1;
        assert_int_equal(brg_json_reader_create(&reader, BRG_JSON_MANY, NULL), BRG_OK);
        while (at < end) {
            size_t used = 0, size = end - at < piece ? end - at : piece;
            assert_true(count < 4);
            assert_int_equal(brg_json_reader_feed(reader, text + at, size, &used, &values[count], NULL), BRG_OK);
            count += values[count] != NULL;
            at += used;
        }
        assert_int_equal(brg_json_reader_finish(reader, &values[count], NULL), BRG_OK);
        assert_null(values[count]);
        assert_int_equal(count, 4);
        char *json = NULL;
        assert_int_equal(brg_value_to_json(values[0], BRG_JSON_COMPACT, &json, NULL, NULL), BRG_OK);
        assert_string_equal(json, "{\"a\":[1,-2500.0,\"gr\xc3\xbc\xf0\x9f\x8d\xb3\\n\",true]}");
        brg_free(json);
        for (size_t i = 0; i < count; i++)
            brg_value_unref(values[i]);
        brg_json_reader_destroy(reader);
    }
}

static void typed_json_there_and_back(void **state)
{
    (void)state;
    static const char text[] =
        "{\"$set\":[1,{\"$array\":[\"u8\",1,255]},{\"$bytes\":\"AQI=\"},{\"$bigint\":\"-0x1ff\"},"
        "{\"$error\":{\"status\":-16,\"message\":\"m\",\"cause\":{\"$error\":{\"status\":-2}}}},"
        "{\"$timestamp\":-4}]}";
    brg_value *value = NULL;
    brg_error error = {.message = ""};
    assert_int_equal(brg_value_from_json_flags(&value, text, sizeof(text) - 1, BRG_JSON_TYPED, &error), BRG_OK);
    assert_int_equal(brg_view_type(brg_value_root(value)), BRG_TYPE_SET);
    fixture_check_whole(value);
    char *json = NULL;
    assert_int_equal(brg_value_to_json(value, BRG_JSON_COMPACT, &json, NULL, NULL), BRG_OK);
    assert_string_equal(json, text);
    brg_free(json);
    brg_value_unref(value);
    static const char *const bad[] = {"{\"$set\":[1,1]}",     "{\"$bytes\":\"A\"}",        "{\"$bytes\":\"AR==\"}",
                                      "{\"$bigint\":\"12\"}", "{\"$array\":[\"u8\",256]}", "{\"$timestamp\":\"x\"}",
                                      "{\"$error\":1}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        value = NULL;
        assert_int_equal(brg_value_from_json_flags(&value, bad[i], strlen(bad[i]), BRG_JSON_TYPED, &error),
                         BRG_MALFORMED);
        assert_int_equal(brg_value_from_json(&value, bad[i], strlen(bad[i]), &error), BRG_OK); /* a map */
        brg_value_unref(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(shared_nodes_keep_identity, setup, teardown),
        cmocka_unit_test_setup_teardown(cycles_are_equal_where_walks_are, setup, teardown),
        cmocka_unit_test_setup_teardown(shared_nodes_do_not_explode, setup, teardown),
        cmocka_unit_test_setup_teardown(marks_of_other_values_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(sets_refuse_what_they_have, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_nest, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_and_arrays, setup, teardown),
        cmocka_unit_test_setup_teardown(transfers_are_all_or_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(json_comes_in_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(typed_json_there_and_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
