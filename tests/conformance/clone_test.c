/* SPDX-License-Identifier: MIT */
/*
 * The structured-clone battery: a value goes to a worker and comes back, and is the same. In the thread isolation it
 * may not even be copied; in the process isolation it is, twice.
 */
#include "peer.h"

#include <float.h>
#include <math.h>

/* What is built with `build` comes back equal, of the same type. The caller's to unref. */
static brg_value *there_and_back(void **state, void (*build)(brg_builder *))
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_builder *builder = peer_say("echo");
    brg_builder_key(builder, "value");
    build(builder);
    brg_value *sent = peer_end(builder);
    assert_status(brg_worker_post(peer, brg_value_ref(sent), BOUND, NULL), BRG_OK);
    brg_value *got = peer_answer(peer);
    assert_int_equal(brg_view_type(peer_get(sent, "value")), brg_view_type(peer_get(got, "value")));
    assert_true(brg_view_equal(peer_get(sent, "value"), peer_get(got, "value")));
    assert_true(brg_view_equal(brg_value_root(sent), brg_value_root(got)));
    brg_value_unref(sent);
    brg_worker_destroy(peer);
    return got;
}

static brg_view item(const brg_value *value, size_t index) { return brg_view_at(peer_get(value, "value"), index); }

/* ---- scalars ----------------------------------------------------------------------------------------------------- */

static void build_nil(brg_builder *builder) { brg_builder_nil(builder); }

static void clones_nil(void **state)
{
    brg_value *got = there_and_back(state, build_nil);
    assert_int_equal(brg_view_type(peer_get(got, "value")), BRG_TYPE_NIL);
    assert_int_equal(brg_view_type(peer_get(got, "missing")), BRG_TYPE_NONE); /* nil is there, this is not */
    brg_value_unref(got);
}

static void build_booleans(brg_builder *builder)
{
    brg_builder_list(builder);
    brg_builder_bool(builder, true);
    brg_builder_bool(builder, false);
    brg_builder_end(builder);
}

static void clones_booleans(void **state)
{
    brg_value *got = there_and_back(state, build_booleans);
    bool yes = false, no = true;
    assert_status(brg_view_bool(item(got, 0), &yes), BRG_OK);
    assert_status(brg_view_bool(item(got, 1), &no), BRG_OK);
    assert_true(yes && !no);
    int64_t number;
    assert_status(brg_view_int(item(got, 0), &number), BRG_WRONG_TYPE); /* true is not 1 */
    brg_value_unref(got);
}

static const int64_t ints[] = {0, 1, -1, INT32_MAX, INT32_MIN, (INT64_C(1) << 53) + 1, INT64_MAX, INT64_MIN};

static void build_integers(brg_builder *builder)
{
    brg_builder_list(builder);
    for (size_t i = 0; i < 8; i++)
        brg_builder_int(builder, ints[i]);
    brg_builder_uint(builder, UINT64_MAX);
    brg_builder_uint(builder, (uint64_t)INT64_MAX + 1);
    brg_builder_end(builder);
}

static void clones_integers(void **state)
{
    brg_value *got = there_and_back(state, build_integers);
    uint64_t large = 0;
    for (size_t i = 0; i < 8; i++) {
        int64_t number = 5;
        assert_status(brg_view_int(item(got, i), &number), BRG_OK);
        assert_true(number == ints[i]);
    }
    assert_status(brg_view_uint(item(got, 8), &large), BRG_OK);
    assert_true(large == UINT64_MAX);
    assert_status(brg_view_uint(item(got, 9), &large), BRG_OK);
    assert_true(large == (uint64_t)INT64_MAX + 1);
    brg_value_unref(got);
}

static const double doubles[] = {0.0,     -0.0,    0.2,    -12.5,    9007199254740994.0,
                                 DBL_MAX, DBL_MIN, 5e-324, INFINITY, -INFINITY};

static void build_doubles(brg_builder *builder)
{
    brg_builder_list(builder);
    for (size_t i = 0; i < 10; i++)
        brg_builder_double(builder, doubles[i]);
    brg_builder_double(builder, NAN);
    brg_builder_end(builder);
}

static void clones_doubles_bit_for_bit(void **state)
{
    brg_value *got = there_and_back(state, build_doubles);
    double number = 1;
    for (size_t i = 0; i < 10; i++) {
        assert_status(brg_view_double(item(got, i), &number), BRG_OK);
        assert_memory_equal(&number, &doubles[i], sizeof(number));
    }
    assert_status(brg_view_double(item(got, 10), &number), BRG_OK);
    assert_true(isnan(number));
    brg_value_unref(got);
}

static void build_strings(brg_builder *builder)
{
    brg_builder_list(builder);
    brg_builder_string(builder, "");
    brg_builder_string(builder, "this is a sample string");
    brg_builder_string_n(builder, "null(\0)", 7);
    brg_builder_string(builder, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"); /* two, three and four bytes */
    brg_builder_end(builder);
}

static void clones_strings(void **state)
{
    brg_value *got = there_and_back(state, build_strings);
    size_t size = 9;
    assert_string_equal(brg_view_string(item(got, 0), &size), "");
    assert_int_equal(size, 0);
    assert_string_equal(brg_view_string(item(got, 1), NULL), "this is a sample string");
    assert_memory_equal(brg_view_string(item(got, 2), &size), "null(\0)", 8);
    assert_int_equal(size, 7);
    assert_string_equal(brg_view_string(item(got, 3), NULL), "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    brg_value_unref(got);
}

static void halves_of_characters_are_refused(void **state)
{
    static const char *const bad[] = {"\xed\xa0\xbd", "\xed\xb8\x80", "\xc3", "\xf4\x90\x80\x80", "\xc0\x80"};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        brg_builder *builder = peer_builder();
        brg_value *value = NULL;
        brg_builder_string(builder, bad[i]);
        assert_status(brg_builder_finish(builder, &value, NULL), BRG_INVALID);
        assert_null(value);
        brg_builder_destroy(builder);
    }
}

static void build_bytes(brg_builder *builder)
{
    brg_builder_list(builder);
    brg_builder_bytes(builder, "", 0);
    brg_builder_bytes(builder, "\0\xff\x80", 3);
    brg_builder_end(builder);
}

static void clones_bytes(void **state)
{
    brg_value *got = there_and_back(state, build_bytes);
    size_t size = 9;
    assert_non_null(brg_view_bytes(item(got, 0), &size));
    assert_int_equal(size, 0);
    assert_memory_equal(brg_view_bytes(item(got, 1), &size), "\0\xff\x80", 3);
    assert_int_equal(size, 3);
    brg_value_unref(got);
}

static const int64_t times[] = {0,         1,        -1, INT64_C(8640000000000000000), -INT64_C(8640000000000000000),
                                INT64_MIN, INT64_MAX};

static void build_timestamps(brg_builder *builder)
{
    brg_builder_list(builder);
    for (size_t i = 0; i < 7; i++)
        brg_builder_timestamp(builder, times[i]);
    brg_builder_end(builder);
}

static void clones_timestamps(void **state)
{
    brg_value *got = there_and_back(state, build_timestamps);
    for (size_t i = 0; i < 7; i++) {
        int64_t ns = 3;
        assert_status(brg_view_timestamp(item(got, i), &ns), BRG_OK);
        assert_true(ns == times[i]);
        assert_status(brg_view_int(item(got, i), &ns), BRG_WRONG_TYPE); /* a time is no number */
    }
    brg_value_unref(got);
}

static unsigned char huge[300];

static void build_bigints(brg_builder *builder)
{
    memset(huge, 0x5a, sizeof(huge));
    brg_builder_list(builder);
    brg_builder_bigint(builder, false, "", 0);
    brg_builder_bigint(builder, true, "\x01", 1);
    brg_builder_bigint(builder, false, huge, sizeof(huge));
    brg_builder_bigint(builder, true, huge, sizeof(huge));
    brg_builder_bigint(builder, true, "\0\0", 2); /* is 0 */
    brg_builder_end(builder);
}

static void clones_big_integers(void **state)
{
    static const size_t sizes[] = {0, 1, 300, 300, 0};
    static const bool signs[] = {false, true, false, true, false};
    brg_value *got = there_and_back(state, build_bigints);
    for (size_t i = 0; i < 5; i++) {
        bool negative = !signs[i];
        size_t size = 99;
        const void *bytes = brg_view_bigint(item(got, i), &negative, &size);
        assert_non_null(bytes);
        assert_int_equal(size, sizes[i]);
        assert_int_equal(negative, signs[i]);
        if (size == 300)
            assert_memory_equal(bytes, huge, 300);
    }
    brg_value_unref(got);
}

/* ---- typed arrays ------------------------------------------------------------------------------------------------ */

static const struct {
    brg_element element;
    const char *name;
    size_t bytes;
} elements[] = {{BRG_ELEMENT_I8, "i8", 1},   {BRG_ELEMENT_U8, "u8", 1},   {BRG_ELEMENT_I16, "i16", 2},
                {BRG_ELEMENT_U16, "u16", 2}, {BRG_ELEMENT_I32, "i32", 4}, {BRG_ELEMENT_U32, "u32", 4},
                {BRG_ELEMENT_I64, "i64", 8}, {BRG_ELEMENT_U64, "u64", 8}, {BRG_ELEMENT_F32, "f32", 4},
                {BRG_ELEMENT_F64, "f64", 8}};

static const unsigned char numbers[64] = {0x7f, 0xc0, 0, 1, 2, 3, 0xff, 0xf8, 9, 0x80};

static void build_arrays(brg_builder *builder)
{
    brg_builder_list(builder);
    for (size_t i = 0; i < 10; i++)
        brg_builder_array(builder, elements[i].element, numbers, 3);
    brg_builder_end(builder);
}

static void clones_typed_arrays_of_every_element(void **state)
{
    brg_value *got = there_and_back(state, build_arrays);
    for (size_t i = 0; i < 10; i++) {
        brg_array array = {0};
        assert_status(brg_view_array(item(got, i), &array), BRG_OK);
        assert_int_equal(array.element, elements[i].element);
        assert_string_equal(brg_element_name(array.element), elements[i].name);
        assert_int_equal(brg_element_bytes(array.element), elements[i].bytes);
        assert_int_equal(array.count, 3);
        assert_int_equal((uintptr_t)array.data % elements[i].bytes, 0);
        assert_memory_equal(array.data, numbers, 3 * elements[i].bytes);
    }
    brg_value_unref(got);
}

static void build_empty_array(brg_builder *builder) { brg_builder_array(builder, BRG_ELEMENT_F64, NULL, 0); }

static void clones_an_empty_typed_array(void **state)
{
    brg_value *got = there_and_back(state, build_empty_array);
    brg_array array = {.count = 4};
    assert_status(brg_view_array(peer_get(got, "value"), &array), BRG_OK);
    assert_int_equal(array.count, 0);
    assert_int_equal(array.element, BRG_ELEMENT_F64);
    brg_value_unref(got);
}

static void build_array_views(brg_builder *builder)
{
    brg_buffer *buffer = NULL, *again;
    assert_status(brg_buffer_create(&buffer, 64, NULL), BRG_OK);
    for (int i = 0; i < 64; i++)
        ((unsigned char *)brg_buffer_data(buffer))[i] = (unsigned char)i;
    brg_builder_list(builder);
    again = brg_buffer_ref(buffer);
    brg_builder_array_buffer(builder, BRG_ELEMENT_U16, &again, 8, 4);
    again = brg_buffer_ref(buffer);
    brg_builder_array_buffer(builder, BRG_ELEMENT_U8, &again, 8, 56);
    brg_builder_buffer(builder, &buffer);
    brg_builder_end(builder);
}

static void typed_arrays_still_share_their_buffer(void **state)
{
    brg_value *got = there_and_back(state, build_array_views);
    brg_array halves = {0}, bytes = {0};
    assert_status(brg_view_array(item(got, 0), &halves), BRG_OK);
    assert_status(brg_view_array(item(got, 1), &bytes), BRG_OK);
    assert_int_equal(halves.offset, 8);
    assert_int_equal(halves.count, 4);
    assert_int_equal(bytes.count, 56);
    assert_int_equal(((const uint16_t *)halves.data)[0], 0x0908);
    assert_ptr_equal(halves.buffer, bytes.buffer);
    assert_ptr_equal(halves.buffer, brg_view_buffer(item(got, 2)));
    ((unsigned char *)brg_buffer_data(halves.buffer))[8] = 0x77; /* one memory under all of them */
    assert_int_equal(*(const unsigned char *)bytes.data, 0x77);
    assert_int_equal(((const uint16_t *)halves.data)[0], 0x0977);
    brg_value_unref(got);
}

static void array_past_its_buffer_is_refused(void **state)
{
    brg_builder *builder = peer_builder();
    brg_buffer *buffer = NULL;
    brg_value *value = NULL;
    (void)state;
    assert_status(brg_buffer_create(&buffer, 64, NULL), BRG_OK);
    brg_builder_array_buffer(builder, BRG_ELEMENT_U32, &buffer, 32, 9);
    assert_status(brg_builder_finish(builder, &value, NULL), BRG_RANGE);
    assert_non_null(buffer); /* stays here */
    brg_builder_array_buffer(builder, BRG_ELEMENT_U32, &buffer, 2, 1);
    assert_status(brg_builder_finish(builder, &value, NULL), BRG_INVALID);
    assert_non_null(buffer);
    brg_buffer_unref(buffer);
    brg_builder_destroy(builder);
}

/* ---- containers -------------------------------------------------------------------------------------------------- */

static void build_containers(brg_builder *builder)
{
    brg_builder_list(builder);
    brg_builder_list(builder);
    brg_builder_end(builder);
    brg_builder_map(builder);
    brg_builder_end(builder);
    brg_builder_set(builder);
    brg_builder_end(builder);
    brg_builder_list(builder);
    for (int i = 0; i < 1000; i++)
        brg_builder_int(builder, i);
    brg_builder_end(builder);
    brg_builder_end(builder);
}

static void clones_empty_and_long_lists(void **state)
{
    brg_value *got = there_and_back(state, build_containers);
    static const brg_type types[] = {BRG_TYPE_LIST, BRG_TYPE_MAP, BRG_TYPE_SET};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(brg_view_type(item(got, i)), types[i]);
        assert_int_equal(brg_view_count(item(got, i)), 0);
    }
    for (int64_t i = 0; i < 1000; i++) {
        int64_t number = -1;
        brg_view_int(brg_view_at(item(got, 3), (size_t)i), &number);
        assert_true(number == i);
    }
    brg_value_unref(got);
}

static const char *const keys[] = {"undefined", "", "z", "a", "1", "0", "\xc3\xa9", "a.b"};

static void build_map(brg_builder *builder)
{
    brg_builder_map(builder);
    for (int i = 0; i < 8; i++)
        peer_add_int(builder, keys[i], i);
    brg_builder_end(builder);
}

static void clones_maps_in_their_order(void **state)
{
    brg_value *got = there_and_back(state, build_map);
    brg_view map = peer_get(got, "value");
    assert_int_equal(brg_view_count(map), 8);
    for (size_t i = 0; i < 8; i++) {
        assert_string_equal(brg_view_key_at(map, i, NULL), keys[i]);
        assert_int_equal(brg_view_get_int(map, keys[i], -1), i);
    }
    brg_value_unref(got);
}

static void build_set(brg_builder *builder)
{
    brg_builder_set(builder);
    brg_builder_int(builder, 3);
    brg_builder_string(builder, "3");
    brg_builder_nil(builder);
    brg_builder_list(builder);
    brg_builder_int(builder, 3);
    brg_builder_end(builder);
    brg_builder_int(builder, 1);
    brg_builder_end(builder);
}

static void clones_sets_in_their_order(void **state)
{
    static const brg_type types[] = {BRG_TYPE_INT, BRG_TYPE_STRING, BRG_TYPE_NIL, BRG_TYPE_LIST, BRG_TYPE_INT};
    brg_value *got = there_and_back(state, build_set);
    assert_int_equal(brg_view_count(peer_get(got, "value")), 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(brg_view_type(item(got, i)), types[i]);
    brg_value_unref(got);
}

static void twice_in_map_or_set_is_refused(void **state)
{
    brg_builder *builder = peer_builder();
    brg_value *value = NULL;
    (void)state;
    brg_builder_map(builder);
    peer_add_int(builder, "a", 1);
    peer_add_int(builder, "a", 2);
    brg_builder_end(builder);
    assert_status(brg_builder_finish(builder, &value, NULL), BRG_INVALID);
    brg_builder_set(builder);
    brg_builder_string(builder, "a");
    brg_builder_string(builder, "a");
    brg_builder_end(builder);
    assert_status(brg_builder_finish(builder, &value, NULL), BRG_INVALID);
    assert_null(value);
    brg_builder_destroy(builder);
}

static void build_error(brg_builder *builder)
{
    brg_error outer = {0}, inner = {0};
    brg_error_set(&outer, BRG_FAILED, "kitchen", "the soup is cold");
    brg_error_set(&inner, BRG_SYSTEM, "os", "no gas");
    outer.code = -7;
    inner.os_errno = 5;
    brg_builder_error_open(builder, &outer);
    brg_builder_list(builder);
    brg_builder_string(builder, "table 4");
    brg_builder_end(builder);
    brg_builder_error(builder, &inner);
    brg_builder_end(builder);
}

static void clones_errors_with_detail_and_cause(void **state)
{
    brg_value *got = there_and_back(state, build_error);
    brg_error error = {0};
    brg_view view = peer_get(got, "value");
    assert_status(brg_view_error(view, &error), BRG_OK);
    assert_int_equal(error.status, BRG_FAILED);
    assert_int_equal(error.code, -7);
    assert_string_equal(error.domain, "kitchen");
    assert_string_equal(error.message, "the soup is cold");
    assert_string_equal(brg_view_string(brg_view_at(brg_view_error_detail(view), 0), NULL), "table 4");
    assert_status(brg_view_error(brg_view_error_cause(view), &error), BRG_OK);
    assert_string_equal(error.message, "no gas");
    assert_int_equal(error.os_errno, 5);
    assert_int_equal(brg_view_type(brg_view_error_cause(brg_view_error_cause(view))), BRG_TYPE_NIL);
    brg_value_unref(got);
}

/* ---- shared and cyclic ------------------------------------------------------------------------------------------- */

static void build_shared_nodes(brg_builder *builder)
{
    brg_builder_list(builder);
    brg_builder_map(builder);
    peer_add_int(builder, "n", 1);
    brg_builder_end(builder);
    brg_mark map = brg_builder_mark(builder);
    brg_builder_ref(builder, map);
    brg_builder_map(builder);
    peer_add_int(builder, "n", 1);
    brg_builder_end(builder);
    brg_builder_end(builder);
}

static void shared_nodes_stay_one(void **state)
{
    brg_value *got = there_and_back(state, build_shared_nodes);
    assert_true(brg_view_same(item(got, 0), item(got, 1)));
    assert_false(brg_view_same(item(got, 0), item(got, 2)));
    assert_true(brg_view_equal(item(got, 0), item(got, 2)));
    brg_value_unref(got);
}

static void build_cycles(brg_builder *builder)
{
    brg_builder_list(builder);
    brg_mark list = brg_builder_mark(builder);
    brg_builder_ref(builder, list); /* in itself */
    brg_builder_map(builder);
    brg_mark map = brg_builder_mark(builder);
    brg_builder_key(builder, "self");
    brg_builder_ref(builder, map);
    brg_builder_key(builder, "up");
    brg_builder_ref(builder, list);
    brg_builder_end(builder);
    brg_builder_end(builder);
}

static void cycles_stay_cycles(void **state)
{
    brg_value *got = there_and_back(state, build_cycles);
    brg_view list = peer_get(got, "value"), map = item(got, 1);
    assert_true(brg_view_same(item(got, 0), list));
    assert_true(brg_view_same(brg_view_get(map, "self"), map));
    assert_true(brg_view_same(brg_view_get(map, "up"), list));
    brg_view deep = list;
    for (int i = 0; i < 1000; i++)
        deep = brg_view_at(brg_view_get(brg_view_at(deep, 1), "up"), 0);
    assert_true(brg_view_same(deep, list));
    brg_value_unref(got);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static void build_deep(brg_builder *builder)
{
    for (int i = 0; i < BRG_VALUE_DEPTH_MAX - 1; i++) /* the map around it counts */
        brg_builder_list(builder);
    for (int i = 0; i < BRG_VALUE_DEPTH_MAX - 1; i++)
        brg_builder_end(builder);
}

static void nesting_has_a_limit(void **state)
{
    brg_value *got = there_and_back(state, build_deep), *none = NULL;
    brg_builder *builder = peer_builder();
    brg_value_unref(got);
    for (int i = 0; i < BRG_VALUE_DEPTH_MAX + 1; i++)
        brg_builder_list(builder);
    for (int i = 0; i < BRG_VALUE_DEPTH_MAX + 1; i++)
        brg_builder_end(builder);
    assert_status(brg_builder_finish(builder, &none, NULL), BRG_TOO_LARGE);
    assert_null(none);
    brg_builder_destroy(builder);
}

static void handles_cannot_be_copied(void **state)
{
    brg_port *ours, *theirs;
    brg_value *copy = NULL;
    (void)state;
    peer_channel(&ours, &theirs);
    brg_builder *builder = peer_builder();
    brg_builder_list(builder);
    brg_builder_port(builder, &theirs);
    brg_builder_end(builder);
    brg_value *value = peer_finish(builder);
    builder = peer_builder();
    brg_builder_view(builder, brg_value_root(value));
    assert_status(brg_builder_finish(builder, &copy, NULL), BRG_INVALID);
    assert_null(copy);
    brg_builder_destroy(builder);
    assert_status(brg_view_take_port(brg_view_at(brg_value_root(value), 0), &theirs), BRG_OK); /* unharmed */
    peer_post_number(theirs, 1);
    peer_expect_number(ours, 1);
    brg_value_unref(value);
    brg_port_destroy(ours);
    brg_port_destroy(theirs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(clones_nil),
        SCENARIO_BOTH(clones_booleans),
        SCENARIO_BOTH(clones_integers),
        SCENARIO_BOTH(clones_doubles_bit_for_bit),
        SCENARIO_BOTH(clones_strings),
        cmocka_unit_test(halves_of_characters_are_refused),
        SCENARIO_BOTH(clones_bytes),
        SCENARIO_BOTH(clones_timestamps),
        SCENARIO_BOTH(clones_big_integers),
        SCENARIO_BOTH(clones_typed_arrays_of_every_element),
        SCENARIO_BOTH(clones_an_empty_typed_array),
        SCENARIO_BOTH(typed_arrays_still_share_their_buffer),
        cmocka_unit_test(array_past_its_buffer_is_refused),
        SCENARIO_BOTH(clones_empty_and_long_lists),
        SCENARIO_BOTH(clones_maps_in_their_order),
        SCENARIO_BOTH(clones_sets_in_their_order),
        cmocka_unit_test(twice_in_map_or_set_is_refused),
        SCENARIO_BOTH(clones_errors_with_detail_and_cause),
        SCENARIO_BOTH(shared_nodes_stay_one),
        SCENARIO_BOTH(cycles_stay_cycles),
        SCENARIO_BOTH(nesting_has_a_limit),
        cmocka_unit_test(handles_cannot_be_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
