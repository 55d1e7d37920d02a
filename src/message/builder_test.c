/* SPDX-License-Identifier: MIT */
/* Building: what is refused, that failures stick and pass, limits, keys, grafts, and running out of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "message/builder_fixture.h"
#include "message/keys.h"
#include "message/value_fixture.h"
#include "os/fault.h"

static void expect_failure(brg_status expected)
{
    brg_value *untouched = (brg_value *)&builder, *value = untouched;
    brg_error error = {.status = BRG_OK};
    assert_int_equal(brg_builder_finish(builder, &value, &error), expected);
    assert_int_equal(error.status, expected);
    assert_true(error.message[0] != '\0');
    assert_ptr_equal(value, untouched);
}

/* After any failure the builder starts afresh. */
static void expect_usable(void)
{
    brg_builder_int(builder, 7);
    brg_value *value = finish();
    int64_t seven = 0;
    assert_int_equal(brg_view_int(brg_value_root(value), &seven), BRG_OK);
    assert_int_equal(seven, 7);
    brg_value_unref(value);
}

static void misuse_is_a_state_error_and_passes(void **state)
{
    (void)state;
    expect_failure(BRG_STATE); /* nothing */
    expect_usable();
    brg_builder_nil(builder);
    brg_builder_nil(builder); /* a second root */
    expect_failure(BRG_STATE);
    expect_usable();
    brg_builder_list(builder); /* left open */
    expect_failure(BRG_STATE);
    expect_usable();
    brg_builder_end(builder); /* nothing to end */
    expect_failure(BRG_STATE);
    expect_usable();
    brg_builder_map(builder);
    brg_builder_int(builder, 1); /* no key */
    expect_failure(BRG_STATE);
    expect_usable();
    brg_builder_map(builder);
    brg_builder_list(builder); /* no key */
    expect_failure(BRG_STATE);
    expect_usable();
    brg_builder_map(builder);
    brg_builder_key(builder, "a");
    brg_builder_key(builder, "b"); /* two in a row */
    expect_failure(BRG_STATE);
    expect_usable();
    brg_builder_map(builder);
    brg_builder_key(builder, "a");
    brg_builder_end(builder); /* no value */
    expect_failure(BRG_STATE);
    expect_usable();
    brg_builder_list(builder);
    brg_builder_key(builder, "a"); /* in a list */
    expect_failure(BRG_STATE);
    expect_usable();
    brg_builder_key(builder, "a"); /* at the root */
    expect_failure(BRG_STATE);
    expect_usable();
}

static void arguments_are_checked(void **state)
{
    (void)state;
    brg_builder_string(builder, NULL);
    expect_failure(BRG_INVALID);
    brg_builder_map(builder);
    brg_builder_key(builder, NULL);
    expect_failure(BRG_INVALID);
    brg_builder_buffer(builder, NULL);
    expect_failure(BRG_INVALID);
    brg_builder_view(builder, (brg_view){NULL, 0, 0});
    expect_failure(BRG_INVALID);
    expect_usable();
}

static void first_failure_sticks(void **state)
{
    (void)state;
    brg_builder_list(builder);
    brg_builder_string(builder, "\xff");
    brg_builder_end(builder);
    brg_builder_end(builder); /* would be BRG_STATE */
    brg_builder_nil(builder);
    expect_failure(BRG_INVALID);
    expect_usable();
}

static void text_must_be_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "ascii",
        "sixteen bytes ok",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "seven b\xc3\xa9",
        "long enough for words \xe2\x82\xac and then some more ascii, and again \xe2\x82\xac",
    };
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xe0\x9f\xbf",
        "\xe1\x80",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x90\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "a\xc3(",
        "seven b\xc3",
        "long enough for words, then \xe2\x82 cut",
        "1234567\x80",
        "123456781234567\x80",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        brg_builder_string(builder, good[i]);
        brg_value *value = finish();
        assert_string_equal(brg_view_string(brg_value_root(value), NULL), good[i]);
        brg_value_unref(value);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        brg_builder_string(builder, bad[i]);
        expect_failure(BRG_INVALID);
        brg_builder_map(builder);
        brg_builder_key(builder, bad[i]);
        expect_failure(BRG_INVALID);
        brg_builder_bytes(builder, bad[i], strlen(bad[i])); /* bytes may be anything */
        brg_value_unref(finish());
    }
}

static void strings_of_every_short_length_come_back(void **state)
{
    (void)state;
    static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    for (size_t size = 0; size < sizeof(text); size++) {
        char *exact = malloc(size == 0 ? 1 : size); /* so that a read past it is seen */
        memcpy(exact, text, size);
        brg_builder_string_n(builder, exact, size);
        free(exact);
        brg_value *value = finish();
        size_t read_bytes = 0;
        const char *read = brg_view_string(brg_value_root(value), &read_bytes);
        assert_int_equal(read_bytes, size);
        assert_memory_equal(read, text, size);
        assert_int_equal(read[size], 0);
        brg_value_unref(value);
    }
}

static void nest(int depth, bool maps)
{
    for (int i = 0; i < depth; i++) {
        if (maps) {
            brg_builder_map(builder);
            brg_builder_key(builder, "k");
        } else {
            brg_builder_list(builder);
        }
    }
    brg_builder_int(builder, 1);
    for (int i = 0; i < depth; i++)
        brg_builder_end(builder);
}

static void depth_has_a_limit(void **state)
{
    (void)state;
    for (int maps = 0; maps < 2; maps++) {
        nest(BRG_VALUE_DEPTH_MAX, maps != 0);
        brg_value_unref(finish());
        nest(BRG_VALUE_DEPTH_MAX + 1, maps != 0);
        expect_failure(BRG_TOO_LARGE);
        expect_usable();
    }
}

static void size_has_a_limit(void **state)
{
    (void)state;
    brg_builder_bytes(builder, "", BRG_VALUE_BYTES_MAX + 1);
    expect_failure(BRG_TOO_LARGE);
    brg_builder_bytes(builder, "", BRG_VALUE_BYTES_MAX - 16); /* fits, but not beside the head */
    expect_failure(BRG_TOO_LARGE);
    brg_builder_bytes(builder, "", SIZE_MAX);
    expect_failure(BRG_TOO_LARGE);
    expect_usable();
}

static void add_numbered(int number)
{
    char key[32];
    snprintf(key, sizeof(key), "key %d", number);
    brg_builder_key(builder, key);
    brg_builder_int(builder, number);
}

static void repeated_keys_are_refused_at_any_size(void **state)
{
    (void)state;
    static const int counts[] = {2, 3, 4, 5, 8, 9, 16, 17, 63, 64, 65, 66, 1000, 20000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        for (int repeated = -1; repeated < counts[i] - 1; repeated += 1 + counts[i] / 7) {
            brg_builder_map(builder);
            for (int j = 0; j < counts[i]; j++)
                add_numbered(j == counts[i] - 1 && repeated >= 0 ? repeated : j);
            brg_builder_end(builder);
            if (repeated >= 0)
                expect_failure(BRG_INVALID);
            else
                brg_value_unref(finish());
        }
    }
    /* Keys that differ only past their first word, in length, or behind a zero byte are different keys. */
    static const char *const keys[] = {"12345678", "123456789", "1234567", "12345678\0", "12345678\0\0", "\0", ""};
    static const size_t sizes[] = {8, 9, 7, 9, 10, 1, 0};
    brg_builder_map(builder);
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        brg_builder_key_n(builder, keys[i], sizes[i]);
        brg_builder_nil(builder);
    }
    brg_builder_end(builder);
    brg_value_unref(finish());
}

/* As in keys.c, for keys of one word: the low bits choose the slot. */
static uint32_t slot_hash(uint64_t word, size_t size)
{
    uint64_t hash = (size ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash ^ hash >> 32);
}

static void colliding_keys_are_sorted_out(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    char keys[COUNT][8];
    uint64_t number = 0;
    for (int found = 0; found < COUNT; number++) {
        uint64_t word = 0;
        snprintf(keys[found], sizeof(keys[found]), "%07llx", (unsigned long long)number);
        memcpy(&word, keys[found], 7);
        found += slot_hash(word, 7) % 1024 == 0; /* the table has as many slots */
    }
    for (int repeat = 0; repeat < 2; repeat++) {
        brg_builder_map(builder);
        for (int i = 0; i < COUNT; i++) {
            brg_builder_key(builder, keys[repeat != 0 && i == COUNT - 1 ? 123 : i]);
            brg_builder_int(builder, i);
        }
        brg_builder_end(builder);
        if (repeat != 0)
            expect_failure(BRG_INVALID);
        else
            brg_value_unref(finish());
    }
}

static void buffers_move_in_or_stay(void **state)
{
    (void)state;
    brg_buffer *buffer = NULL;
    assert_int_equal(brg_buffer_create(&buffer, 3, NULL), BRG_OK);
    brg_buffer *held = buffer;
    brg_builder_end(builder); /* a failure that sticks */
    brg_builder_buffer(builder, &buffer);
    assert_ptr_equal(buffer, held);
    expect_failure(BRG_STATE);
    brg_builder_list(builder);
    brg_builder_buffer(builder, &buffer);
    assert_null(buffer);
    brg_builder_buffer(builder, &buffer); /* gone already */
    expect_failure(BRG_INVALID);          /* and `held` freed with what was built */
    expect_usable();
}

static void grafts_copy_subtrees(void **state)
{
    (void)state;
    fixture_everything(builder, true);
    brg_value *whole = finish();
    brg_view root = brg_value_root(whole);
    brg_builder_map(builder);
    brg_builder_key(builder, "before");
    brg_builder_string(builder, "moves the offsets");
    brg_builder_key(builder, "all");
    brg_builder_view(builder, root);
    brg_builder_key(builder, "again");
    brg_builder_view(builder, root);
    brg_builder_key(builder, "parts");
    brg_builder_list(builder);
    for (size_t i = 0; i < brg_view_count(root); i++)
        brg_builder_view(builder, brg_view_at(root, i));
    brg_builder_end(builder);
    brg_builder_end(builder);
    brg_value *grafted = finish();
    brg_view map = brg_value_root(grafted);
    assert_true(brg_view_equal(brg_view_get(map, "all"), root));
    assert_true(brg_view_equal(brg_view_get(map, "again"), root));
    assert_true(brg_view_equal(brg_view_get(map, "parts"), root));
    brg_view buffer = brg_view_at(brg_view_get(map, "again"), brg_view_count(root) - 2);
    assert_ptr_equal(brg_view_buffer(buffer), brg_view_buffer(brg_view_at(root, brg_view_count(root) - 2)));
    assert_int_equal(brg_value_size_with_buffers(grafted), brg_value_size(grafted) + 5); /* each buffer once */
    brg_value_unref(whole); /* the buffers live on in the other */
    assert_memory_equal(brg_buffer_data(brg_view_buffer(buffer)), "bytes", 5);
    brg_value_unref(grafted);
}

static void grafts_keep_the_depth_limit(void **state)
{
    (void)state;
    nest(BRG_VALUE_DEPTH_MAX - 1, false);
    brg_value *deep = finish();
    brg_builder_list(builder);
    brg_builder_view(builder, brg_value_root(deep));
    brg_builder_end(builder);
    brg_value_unref(finish());
    brg_builder_list(builder);
    brg_builder_list(builder);
    brg_builder_view(builder, brg_value_root(deep));
    brg_builder_end(builder);
    brg_builder_end(builder);
    expect_failure(BRG_TOO_LARGE);
    /* A graft counts in the height of what contains it. */
    brg_builder_list(builder);
    brg_builder_view(builder, brg_value_root(deep));
    brg_builder_end(builder);
    brg_value *deepest = finish();
    brg_builder_list(builder);
    brg_builder_view(builder, brg_value_root(deepest));
    brg_builder_end(builder);
    expect_failure(BRG_TOO_LARGE);
    brg_value_unref(deepest);
    brg_value_unref(deep);
}

static void fields_make_a_map(void **state)
{
    (void)state;
    brg_value *value = NULL, *outer = NULL, *untouched = (brg_value *)&builder;
    brg_error error;
    assert_int_equal(brg_value_map(&value, &error, brg_field_string("path", "a.jpg"), brg_field_string("none", NULL),
                                   brg_field_int("width", 800), brg_field_double("ratio", 0.5),
                                   brg_field_bool("flip", true)),
                     BRG_OK);
    brg_view root = brg_value_root(value);
    assert_string_equal(brg_view_get_string(root, "path", ""), "a.jpg");
    assert_int_equal(brg_view_type(brg_view_get(root, "none")), BRG_TYPE_NIL);
    assert_int_equal(brg_view_get_int(root, "width", 0), 800);
    assert_true(brg_view_get_double(root, "ratio", 0) == 0.5);
    assert_true(brg_view_get_bool(root, "flip", false));
    assert_int_equal(brg_value_map(&outer, &error, brg_field_view("inner", root)), BRG_OK);
    assert_true(brg_view_equal(brg_view_get(brg_value_root(outer), "inner"), root));
    brg_value *out = untouched;
    assert_int_equal(brg_value_map(&out, &error, brg_field_int("a", 1), brg_field_int("a", 2)), BRG_INVALID);
    assert_non_null(strstr(error.message, "\"a\""));
    assert_int_equal(brg_value_map(&out, &error, brg_field_view("a", brg_view_get(root, "missing"))), BRG_INVALID);
    brg_field odd = brg_field_int("a", 1);
    odd.type = BRG_TYPE_LIST;
    assert_int_equal(brg_value_map(&out, &error, odd), BRG_INVALID);
    assert_ptr_equal(out, untouched);
    assert_int_equal(brg_value_from_fields(&out, NULL, 0, &error), BRG_OK);
    assert_int_equal(brg_view_count(brg_value_root(out)), 0);
    brg_value_unref(out);
    brg_value_unref(outer);
    brg_value_unref(value);
}

static void builder_serves_many_values(void **state)
{
    (void)state;
    /* Small after large and large after small: what it foresees from the last one must never be too little. */
    for (int round = 0; round < 40; round++) {
        int count = round % 3 == 0 ? 5000 : round;
        brg_builder_list(builder);
        for (int i = 0; i < count; i++)
            brg_builder_int(builder, i);
        brg_builder_end(builder);
        brg_value *value = finish();
        assert_int_equal(brg_view_count(brg_value_root(value)), count);
        brg_value_unref(value);
    }
}

static void build_much(void)
{
    brg_value *part = NULL;
    fixture_everything(builder, true);
    brg_builder_finish(builder, &part, NULL);
    brg_builder_map(builder);
    for (int i = 0; i < 200; i++)
        add_numbered(i);
    brg_builder_key(builder, "part");
    brg_builder_view(builder, brg_value_root(part)); /* a missing node if that failed */
    brg_builder_end(builder);
    brg_value_unref(part);
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    uint64_t failures = 0;
    for (uint64_t nth = 1;; nth++) {
        brg_value *value = NULL;
        brg_builder_destroy(builder);
        builder = NULL;
        brg__fault_arm(NULL, nth);
        brg_status status = brg_builder_create(&builder, NULL);
        if (status == BRG_OK) {
            build_much();
            status = brg_builder_finish(builder, &value, NULL);
        }
        bool fired = brg__fault_fired();
        brg__fault_disarm();
        if (status == BRG_OK)
            fixture_check_whole(value);
        else
            assert_true(fired && (status == BRG_NO_MEMORY || status == BRG_INVALID));
        brg_value_unref(value);
        failures += status != BRG_OK;
        if (!fired)
            break;
    }
    assert_true(failures > 10);
    expect_usable();
}

/* Keys are guessed from the map before; a zero byte in one of those must not end it. */
static void guessed_keys_are_compared_whole(void **state)
{
    (void)state;
    brg_value *value = NULL;
    brg_builder_list(builder);
    for (int i = 0; i < 2; i++) {
        brg_builder_map(builder);
        if (i == 0)
            brg_builder_key_n(builder, "a\0b", 3);
        else
            brg_builder_key(builder, "a");
        brg_builder_int(builder, i);
        brg_builder_end(builder);
    }
    brg_builder_end(builder);
    assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
    size_t size_bytes = 0;
    assert_memory_equal(brg_view_key_at(brg_view_at(brg_value_root(value), 0), 0, &size_bytes), "a\0b", 4);
    assert_int_equal(size_bytes, 3);
    assert_string_equal(brg_view_key_at(brg_view_at(brg_value_root(value), 1), 0, &size_bytes), "a");
    assert_int_equal(size_bytes, 1);
    brg_value_unref(value);
}

/* A record with a record inside, between its other keys; `count` of the keys after that. */
static void build_record(int count, const char *last)
{
    brg_builder_map(builder);
    brg_builder_key(builder, "first");
    brg_builder_int(builder, 1);
    brg_builder_key(builder, "inside");
    brg_builder_map(builder);
    brg_builder_key(builder, "x");
    brg_builder_bool(builder, true);
    brg_builder_key(builder, "y");
    brg_builder_double(builder, 0.5);
    brg_builder_end(builder);
    if (count > 0) {
        brg_builder_key(builder, "third");
        brg_builder_int(builder, 3);
    }
    if (count > 1) {
        brg_builder_key(builder, last);
        brg_builder_int(builder, 4);
    }
    brg_builder_end(builder);
}

/* Some records are as the one before, some end early, some go on in another way. */
static void guessed_keys_go_on_after_a_map_inside(void **state)
{
    static const struct {
        int count;
        const char *last;
    } records[] = {{2, "fourth"}, {2, "fourth"}, {1, ""}, {2, "other"}, {0, ""}, {2, "fourth"}, {2, "other"}};
    (void)state;
    brg_value *value = NULL;
    brg_builder_list(builder);
    for (size_t i = 0; i < 7; i++)
        build_record(records[i].count, records[i].last);
    brg_builder_end(builder);
    assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
    for (size_t i = 0; i < 7; i++) {
        brg_view record = brg_view_at(brg_value_root(value), i);
        assert_int_equal(brg_view_count(record), 2 + records[i].count);
        assert_int_equal(brg_view_get_int(record, "first", 0), 1);
        assert_true(brg_view_get_bool(brg_view_get(record, "inside"), "x", false));
        assert_true(brg_view_get_double(brg_view_get(record, "inside"), "y", 0) == 0.5);
        assert_int_equal(brg_view_get_int(record, "third", 0), records[i].count > 0 ? 3 : 0);
        if (records[i].count > 1)
            assert_int_equal(brg_view_get_int(record, records[i].last, 0), 4);
    }
    fixture_check_whole(value);
    brg_value_unref(value);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(misuse_is_a_state_error_and_passes),
        TEST(arguments_are_checked),
        TEST(first_failure_sticks),
        TEST(text_must_be_utf8),
        TEST(strings_of_every_short_length_come_back),
        TEST(depth_has_a_limit),
        TEST(size_has_a_limit),
        TEST(repeated_keys_are_refused_at_any_size),
        TEST(colliding_keys_are_sorted_out),
        TEST(guessed_keys_are_compared_whole),
        TEST(guessed_keys_go_on_after_a_map_inside),
        TEST(buffers_move_in_or_stay),
        TEST(grafts_copy_subtrees),
        TEST(grafts_keep_the_depth_limit),
        TEST(fields_make_a_map),
        TEST(builder_serves_many_values),
        TEST(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
