/* SPDX-License-Identifier: MIT */
/* Values of hostile make: small ones that stand for much; handles that are named twice. What hangs here is a defect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include <brigade/port.h>
#include <brigade/transfer.h>

#include "message/builder_fixture.h"
#include "message/flat.h"
#include "message/value_fixture.h"

static void expect_failure(brg_status expected)
{
    brg_value *value = NULL;
    assert_int_equal(brg_builder_finish(builder, &value, NULL), expected);
    assert_null(value);
}

/* Offset 0, which stands for no keys, is not the first map's keys: the words of the header are not offsets of keys. */
static void the_header_is_no_keys(void **state)
{
    (void)state;
    const uint64_t head = BRG_TYPE_MAP | 1u << 8;
    for (uint64_t flags = 0; flags < 2; flags++) {
        uint64_t words[] = {BRG__FLAT_MAGIC | (uint64_t)BRG__FLAT_VERSION << 32 | flags << 48,
                            32,
                            BRG_TYPE_NIL,
                            BRG_TYPE_NIL,
                            head | (uint64_t)BRG__FLAT_VERSION << 32,
                            (uint64_t)16 << 32,
                            24};
        brg_value *value = NULL;
        brg_error error;
        assert_int_equal(brg_value_from_bytes(&value, words, sizeof(words), NULL, 0, &error), BRG_MALFORMED);
        assert_non_null(strstr(error.message, "without keys"));
    }
}

/* Each error has the same one as its detail and as its cause: 2^100 paths. */
static void errors_that_share_errors_end_in_json(void **state)
{
    (void)state;
    brg_error error = {.status = BRG_FAILED, .domain = "test", .message = "again"};
    char *json = NULL;
    for (int i = 0; i < 100; i++)
        brg_builder_error_open(builder, &error);
    brg_builder_error(builder, &error);
    for (int i = 0; i < 100; i++) {
        brg_builder_ref(builder, brg_builder_mark(builder));
        brg_builder_end(builder);
    }
    brg_value *value = finish_unread();
    assert_int_equal(brg_value_to_json(value, BRG_JSON_COMPACT, &json, NULL, &error), BRG_TOO_LARGE);
    assert_null(json);
    brg_value_unref(value);
}

static brg_status write_nowhere(void *user_data, const char *text, size_t size_bytes)
{
    (void)text;
    *(size_t *)user_data += size_bytes;
    return BRG_OK;
}

/* A buffer under many nodes has a bound in JSON, as what refs share. */
static void buffers_named_often_are_bounded_in_json(void **state)
{
    (void)state;
    for (int with_arrays = 0; with_arrays < 2; with_arrays++) {
        size_t written = 0;
        brg_buffer *buffer = NULL;
        assert_int_equal(brg_buffer_create(&buffer, 4 << 20, NULL), BRG_OK);
        brg_builder_list(builder);
        for (int i = 0; i < 40; i++) {
            brg_buffer *same = brg_buffer_ref(buffer);
            if (with_arrays)
                brg_builder_array_buffer(builder, BRG_ELEMENT_U8, &same, 0, 4 << 20);
            else
                brg_builder_buffer(builder, &same);
        }
        brg_builder_end(builder);
        brg_value *value = finish_unread();
        assert_int_equal(brg_value_write_json(value, BRG_JSON_COMPACT, write_nowhere, &written, NULL), BRG_TOO_LARGE);
        assert_in_range(written, BRG_JSON_SHARED_BYTES_MAX, BRG_JSON_SHARED_BYTES_MAX + (16 << 20));
        brg_value_unref(value);
        brg_buffer_unref(buffer);
    }
}

/* A list that hashes as the others of its length, and the mark of it. */
static brg_mark add_alike(int count, bool last)
{
    brg_builder_list(builder);
    for (int i = 0; i + 1 < count; i++)
        brg_builder_nil(builder);
    brg_builder_bool(builder, last);
    brg_builder_end(builder);
    return brg_builder_mark(builder);
}

/* Each set is cheap to write and dear to check; the bound is one for all. */
static void many_sets_have_one_bound(void **state)
{
    (void)state;
    for (int sets = 2; sets <= 2000; sets *= 1000) {
        brg_builder_list(builder);
        brg_mark marks[] = {add_alike(3000, false), add_alike(3000, true)};
        for (int i = 0; i < sets; i++) {
            brg_builder_set(builder);
            brg_builder_ref(builder, marks[0]);
            brg_builder_ref(builder, marks[1]);
            brg_builder_end(builder);
        }
        brg_builder_end(builder);
        if (sets == 2)
            brg_value_unref(finish_unread());
        else
            expect_failure(BRG_TOO_LARGE);
    }
}

/* An array is the same element of a set wherever its numbers lie. */
static void sets_of_arrays_are_equal_by_content(void **state)
{
    (void)state;
    brg_value *values[2];
    for (int outside = 0; outside < 2; outside++) {
        brg_builder_set(builder);
        for (int64_t i = 0; i < 100; i++) {
            int64_t number = outside ? 99 - i : i;
            brg_buffer *buffer = NULL;
            if (!outside) {
                brg_builder_array(builder, BRG_ELEMENT_I64, &number, 1);
                continue;
            }
            assert_int_equal(brg_buffer_create(&buffer, sizeof(number), NULL), BRG_OK);
            memcpy(brg_buffer_data(buffer), &number, sizeof(number));
            brg_builder_array_buffer(builder, BRG_ELEMENT_I64, &buffer, 0, 1);
        }
        brg_builder_end(builder);
        values[outside] = finish_unread();
    }
    assert_true(brg_view_equal(brg_value_root(values[0]), brg_value_root(values[1])));
    brg_value_unref(values[0]);
    brg_value_unref(values[1]);
}

#define LONG_BYTES (4u << 20)
#define LONG_WORDS ((LONG_BYTES + 8) / 8)

/* A text of LONG_BYTES, which ends in `last`. */
static uint64_t *put_long(uint64_t *to, unsigned tag, char last)
{
    *to++ = tag | (uint64_t)LONG_BYTES << 32;
    memset(to, 'x', LONG_BYTES - 1);
    ((char *)to)[LONG_BYTES - 1] = last;
    return to + LONG_WORDS;
}

/* A list of `count` pairs: a ref to one long string, a map with one long key, which all share. By hand: that is fast.
 * */
static brg_value *share_much(uint32_t count, char last)
{
    uint64_t *words = calloc(2 * LONG_WORDS + 8 * (size_t)count + 16, sizeof(*words));
    assert_non_null(words);
    uint64_t *at = put_long(words + 2, BRG__TAG_KEY, last);
    uint32_t keys = (uint32_t)(at - words) * 8, string = keys + 16, first;
    *at++ = BRG__TAG_KEYS | (uint64_t)1 << 32;
    *at++ = BRG__FLAT_FIRST;
    at = put_long(at, BRG_TYPE_STRING, last);
    first = (uint32_t)(at - words) * 8;
    for (uint32_t i = 0; i < count; i++) {
        *at++ = BRG__TAG_REF | (uint64_t)string << 32;
        *at++ = BRG_TYPE_NIL;
        *at++ = BRG_TYPE_MAP | 1u << 8 | (uint64_t)1 << 32;
        *at++ = keys | (uint64_t)(first + i * 32 + 8) << 32;
    }
    words[0] = BRG__FLAT_MAGIC | (uint64_t)BRG__FLAT_VERSION << 32 | (uint64_t)BRG__FLAT_HAS_REFS << 48;
    words[1] = (uint64_t)(at - words) * 8;
    *at++ = BRG_TYPE_LIST | 2u << 8 | (uint64_t)(2 * count + 1) << 32;
    uint32_t *table = (uint32_t *)at;
    *table++ = string;
    for (uint32_t i = 0; i < count; i++) {
        *table++ = first + i * 32;
        *table++ = first + i * 32 + 16;
    }
    brg_value *value = NULL;
    brg_error error;
    if (brg_value_from_bytes(&value, words, (size_t)(at + count + 1 - words) * 8, NULL, 0, &error) != BRG_OK)
        fail_msg("%s", error.message);
    free(words);
    return value;
}

static void what_is_long_is_compared_once(void **state)
{
    (void)state;
    brg_value *one = share_much(300000, 'a'), *same = share_much(300000, 'a'), *other = share_much(3, 'b');
    assert_true(brg_view_equal(brg_value_root(one), brg_value_root(same)));
    brg_view ours = brg_value_root(one), theirs = brg_value_root(other);
    assert_false(brg_view_equal(brg_view_at(ours, 1), brg_view_at(theirs, 1)));
    assert_false(brg_view_equal(brg_view_at(ours, 2), brg_view_at(theirs, 2)));
    brg_value_unref(one);
    brg_value_unref(same);
    brg_value_unref(other);
}

/* A part of an error that was met before as a ref is copied all the same: else nobody would take the copy. */
static void grafted_errors_have_their_parts(void **state)
{
    (void)state;
    brg_error error = {.status = BRG_FAILED, .domain = "test", .message = "a message of some length"}, read;
    brg_builder_error(builder, &error);
    brg_value *plain = finish_unread(), *value = NULL, *copy = NULL;
    uint64_t words[100];
    size_t size = brg_value_size(plain), at = size / 8;
    assert_true(size + 80 < sizeof(words));
    memcpy(words, brg_value_data(plain), size);
    uint32_t root = (uint32_t)words[1], message;
    memcpy(&message, (char *)words + root + BRG__HEAD_BYTES + 7 * sizeof(message), sizeof(message));
    /* [error, [ref message, ref error]] */
    words[0] |= (uint64_t)BRG__FLAT_HAS_REFS << 48;
    words[at] = BRG__TAG_REF | (uint64_t)message << 32;
    words[at + 1] = BRG__TAG_REF | 1u << 8 | (uint64_t)root << 32;
    words[at + 2] = BRG_TYPE_LIST | 2u << 8 | (uint64_t)2 << 32;
    words[at + 3] = at * 8 | (uint64_t)(at + 1) * 8 << 32;
    words[at + 4] = BRG_TYPE_LIST | 3u << 8 | (uint64_t)2 << 32;
    words[at + 5] = root | (uint64_t)(at + 2) * 8 << 32;
    words[1] = (at + 4) * 8;
    if (brg_value_from_bytes(&value, words, (at + 6) * 8, NULL, 0, &read) != BRG_OK)
        fail_msg("%s", read.message);
    brg_builder_view(builder, brg_view_at(brg_value_root(value), 1));
    brg_value *graft = finish_unread();
    if (brg_value_from_bytes(&copy, brg_value_data(graft), brg_value_size(graft), NULL, 0, &read) != BRG_OK)
        fail_msg("%s", read.message);
    assert_int_equal(brg_view_error(brg_view_at(brg_value_root(copy), 1), &read), BRG_OK);
    assert_string_equal(read.message, error.message);
    assert_string_equal(brg_view_string(brg_view_at(brg_value_root(copy), 0), NULL), error.message);
    brg_value_unref(copy);
    brg_value_unref(graft);
    brg_value_unref(value);
    brg_value_unref(plain);
}

/* Whatever the number of handles, each is held once. */
static void handles_are_held_once(void **state)
{
    (void)state;
    brg_port *port = NULL, *peer = NULL;
    brg_buffer *first = NULL, *buffer;
    assert_int_equal(brg_channel_create(&port, &peer, NULL, NULL), BRG_OK);
    assert_int_equal(brg_buffer_create(&first, 8, NULL), BRG_OK);
    brg_port *again = port;
    brg_builder_list(builder);
    brg_builder_port(builder, &port);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(brg_buffer_create(&buffer, 8, NULL), BRG_OK);
        if (i % 100 == 0)
            buffer = (brg_buffer_unref(buffer), brg_buffer_ref(first));
        brg_builder_buffer(builder, &buffer);
    }
    brg_builder_end(builder);
    brg_value *value = finish_unread();
    brg_view root = brg_value_root(value);
    assert_true(brg_view_same(brg_view_at(root, 1), brg_view_at(root, 101)));
    assert_true(brg_view_same(brg_view_at(root, 1), brg_view_at(root, 201)));
    assert_false(brg_view_same(brg_view_at(root, 1), brg_view_at(root, 2)));
    assert_int_equal(brg_view_take_port(brg_view_at(root, 0), &port), BRG_OK);
    brg_value_unref(value);

    brg_builder_list(builder);
    brg_builder_port(builder, &port);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(brg_buffer_create(&buffer, 8, NULL), BRG_OK);
        brg_builder_buffer(builder, &buffer);
    }
    brg_builder_port(builder, &again);
    brg_builder_end(builder);
    expect_failure(BRG_INVALID);
    brg_port_destroy(peer);
    brg_buffer_unref(first);
}

static void descriptors_are_held_once(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_RDONLY), again = fd;
    assert_true(fd >= 0);
    brg_builder_list(builder);
    brg_builder_fd(builder, &fd);
    assert_int_equal(fd, -1);
    brg_builder_fd(builder, &again);
    assert_true(again >= 0);
    brg_builder_end(builder);
    expect_failure(BRG_INVALID);
    assert_int_equal(fcntl(again, F_GETFD), -1); /* closed with the builder's value, once */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_header_is_no_keys),
        TEST(errors_that_share_errors_end_in_json),
        TEST(buffers_named_often_are_bounded_in_json),
        TEST(many_sets_have_one_bound),
        TEST(sets_of_arrays_are_equal_by_content),
        TEST(what_is_long_is_compared_once),
        TEST(grafted_errors_have_their_parts),
        TEST(handles_are_held_once),
        TEST(descriptors_are_held_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
