/* SPDX-License-Identifier: MIT */
/* Reading: every type, conversions between numbers, what is missing, big containers, equality. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "message/value_fixture.h"
#include "os/fault.h"

static const brg_view none;

static brg_value *build(void (*fill)(brg_builder *))
{
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    fill(builder);
    assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
    brg_builder_destroy(builder);
    return value;
}

static void fill_everything(brg_builder *builder) { fixture_everything(builder, true); }

static uint64_t bits_of(brg_view view)
{
    double number = 0;
    uint64_t bits;
    assert_int_equal(brg_view_type(view), BRG_TYPE_DOUBLE);
    assert_int_equal(brg_view_double(view, &number), BRG_OK);
    memcpy(&bits, &number, sizeof(bits));
    return bits;
}

static void every_type_comes_back(void **state)
{
    (void)state;
    brg_value *value = build(fill_everything);
    brg_view list = brg_value_root(value);
    static const brg_type types[] = {
        BRG_TYPE_NIL,    BRG_TYPE_BOOL,   BRG_TYPE_BOOL,   BRG_TYPE_INT,    BRG_TYPE_INT,
        BRG_TYPE_INT,    BRG_TYPE_UINT,   BRG_TYPE_DOUBLE, BRG_TYPE_DOUBLE, BRG_TYPE_DOUBLE,
        BRG_TYPE_STRING, BRG_TYPE_STRING, BRG_TYPE_STRING, BRG_TYPE_BYTES,  BRG_TYPE_BYTES,
        BRG_TYPE_LIST,   BRG_TYPE_MAP,    BRG_TYPE_MAP,    BRG_TYPE_BUFFER, BRG_TYPE_BUFFER,
    };
    assert_int_equal(brg_view_count(list), sizeof(types) / sizeof(*types));
    for (size_t i = 0; i < brg_view_count(list); i++)
        assert_int_equal(brg_view_type(brg_view_at(list, i)), types[i]);
    bool boolean = false;
    int64_t integer = 0;
    uint64_t natural = 0;
    size_t size = 0;
    assert_int_equal(brg_view_bool(brg_view_at(list, 1), &boolean), BRG_OK);
    assert_true(boolean);
    assert_int_equal(brg_view_bool(brg_view_at(list, 2), &boolean), BRG_OK);
    assert_false(boolean);
    assert_int_equal(brg_view_int(brg_view_at(list, 4), &integer), BRG_OK);
    assert_true(integer == INT64_MIN);
    assert_int_equal(brg_view_uint(brg_view_at(list, 6), &natural), BRG_OK);
    assert_true(natural == UINT64_MAX);
    assert_true(bits_of(brg_view_at(list, 7)) == UINT64_C(1) << 63);
    assert_true(bits_of(brg_view_at(list, 8)) == UINT64_C(0x7ff0000000000000));
    assert_true(bits_of(brg_view_at(list, 9)) == FIXTURE_NAN_BITS);
    assert_string_equal(brg_view_string(brg_view_at(list, 10), &size), "");
    assert_int_equal(size, 0);
    assert_memory_equal(brg_view_string(brg_view_at(list, 11), &size), "zero\0inside", 12);
    assert_int_equal(size, 11);
    assert_non_null(brg_view_bytes(brg_view_at(list, 13), &size));
    assert_int_equal(size, 0);
    assert_memory_equal(brg_view_bytes(brg_view_at(list, 14), &size), "\xff\x00\xfe", 3);
    assert_int_equal(size, 3);
    assert_int_equal(brg_view_count(brg_view_at(list, 15)), 0);
    assert_int_equal(brg_view_count(brg_view_at(list, 16)), 0);
    assert_memory_equal(brg_buffer_data(brg_view_buffer(brg_view_at(list, 18))), "bytes", 5);
    assert_int_equal(brg_buffer_size(brg_view_buffer(brg_view_at(list, 19))), 0);
    brg_value_unref(value);
}

static void maps_keep_order_and_find_keys(void **state)
{
    (void)state;
    brg_value *value = build(fill_everything);
    brg_view map = brg_view_at(brg_value_root(value), 17);
    size_t size = 0;
    assert_int_equal(brg_view_count(map), 23);
    assert_string_equal(brg_view_key_at(map, 0, NULL), "name");
    assert_string_equal(brg_view_key_at(map, 1, &size), "");
    assert_int_equal(size, 0);
    assert_memory_equal(brg_view_key_at(map, 2, &size), "a\0b", 4);
    assert_int_equal(size, 3);
    assert_null(brg_view_key_at(map, 23, &size));
    assert_int_equal(size, 3); /* untouched */
    assert_string_equal(brg_view_get_string(map, "name", "?"), "photo-12.jpg");
    assert_int_equal(brg_view_get_int(map, "", 0), -1);
    assert_int_equal(brg_view_get_int(map, "a longer key, number 19", 0), 19);
    assert_int_equal(brg_view_type(brg_view_get(map, "a")), BRG_TYPE_NONE);
    assert_true(brg_view_get_bool(brg_view_at(brg_view_at(map, 2), 0), "deep", false));
    /* Missing, or of another type: the default. */
    assert_int_equal(brg_view_get_int(map, "missing", 5), 5);
    assert_int_equal(brg_view_get_int(map, "name", 5), 5);
    assert_true(brg_view_get_double(map, "name", 2.5) == 2.5);
    assert_true(brg_view_get_double(map, "", 2.5) == -1);
    assert_true(brg_view_get_bool(map, "", true));
    assert_string_equal(brg_view_get_string(map, "", "default"), "default");
    assert_null(brg_view_get_string(map, "missing", NULL));
    brg_value_unref(value);
}

static void nothing_reads_as_nothing(void **state)
{
    (void)state;
    brg_value *value = build(fill_everything);
    brg_view list = brg_value_root(value);
    brg_view nowhere[] = {none,
                          brg_view_at(list, 20),
                          brg_view_at(list, SIZE_MAX),
                          brg_view_at(brg_view_at(list, 3), 0),
                          brg_view_get(list, "key"),
                          brg_view_get(none, "key"),
                          brg_view_at(none, 0),
                          brg_value_root(NULL)};
    for (size_t i = 0; i < sizeof(nowhere) / sizeof(*nowhere); i++) {
        bool boolean = true;
        int64_t integer = 1;
        uint64_t natural = 2;
        double number = 3;
        size_t size = 4;
        assert_int_equal(brg_view_type(nowhere[i]), BRG_TYPE_NONE);
        assert_int_equal(brg_view_bool(nowhere[i], &boolean), BRG_WRONG_TYPE);
        assert_int_equal(brg_view_int(nowhere[i], &integer), BRG_WRONG_TYPE);
        assert_int_equal(brg_view_uint(nowhere[i], &natural), BRG_WRONG_TYPE);
        assert_int_equal(brg_view_double(nowhere[i], &number), BRG_WRONG_TYPE);
        assert_null(brg_view_string(nowhere[i], &size));
        assert_null(brg_view_bytes(nowhere[i], &size));
        assert_null(brg_view_buffer(nowhere[i]));
        assert_null(brg_view_key_at(nowhere[i], 0, &size));
        assert_int_equal(brg_view_count(nowhere[i]), 0);
        assert_true(boolean && integer == 1 && natural == 2 && number == 3 && size == 4);
        assert_true(brg_view_equal(nowhere[i], none));
        assert_false(brg_view_equal(nowhere[i], list));
    }
    brg_value_unref(value);
}

typedef struct number_case {
    brg_type type;
    uint64_t bits;
    brg_status as_int, as_uint;
    double as_double;
} number_case;

static uint64_t double_bits(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    return bits;
}

static void add_case(brg_builder *builder, const number_case *at)
{
    if (at->type == BRG_TYPE_DOUBLE)
        brg_builder_double(builder, fixture_double(at->bits));
    else if (at->type == BRG_TYPE_UINT)
        brg_builder_uint(builder, at->bits);
    else
        brg_builder_int(builder, (int64_t)at->bits);
}

static void check_case(brg_view view, const number_case *at)
{
    int64_t integer = 42;
    uint64_t natural = 42;
    double number = 42;
    assert_int_equal(brg_view_int(view, &integer), at->as_int);
    assert_int_equal(brg_view_uint(view, &natural), at->as_uint);
    assert_int_equal(brg_view_double(view, &number), BRG_OK);
    assert_true(double_bits(number) == double_bits(at->as_double));
    assert_true(at->as_int == BRG_OK ? (double)integer == number : integer == 42);
    assert_true(at->as_uint == BRG_OK ? (double)natural == number : natural == 42);
}

static void numbers_convert_where_exact(void **state)
{
    (void)state;
    const number_case cases[] = {
        {BRG_TYPE_INT, 5, BRG_OK, BRG_OK, 5},
        {BRG_TYPE_INT, (uint64_t)-5, BRG_OK, BRG_RANGE, -5},
        {BRG_TYPE_UINT, 5, BRG_OK, BRG_OK, 5},
        {BRG_TYPE_UINT, INT64_MAX, BRG_OK, BRG_OK, 0x1p63},
        {BRG_TYPE_UINT, (uint64_t)INT64_MAX + 1, BRG_RANGE, BRG_OK, 0x1p63},
        {BRG_TYPE_UINT, UINT64_MAX, BRG_RANGE, BRG_OK, 0x1p64},
        {BRG_TYPE_DOUBLE, double_bits(3), BRG_OK, BRG_OK, 3},
        {BRG_TYPE_DOUBLE, double_bits(-0.0), BRG_OK, BRG_OK, -0.0},
        {BRG_TYPE_DOUBLE, double_bits(-3), BRG_OK, BRG_RANGE, -3},
        {BRG_TYPE_DOUBLE, double_bits(0.5), BRG_RANGE, BRG_RANGE, 0.5},
        {BRG_TYPE_DOUBLE, double_bits(0x1p63), BRG_RANGE, BRG_OK, 0x1p63},
        {BRG_TYPE_DOUBLE, double_bits(-0x1p63), BRG_OK, BRG_RANGE, -0x1p63},
        {BRG_TYPE_DOUBLE, double_bits(nextafter(-0x1p63, -INFINITY)), BRG_RANGE, BRG_RANGE,
         nextafter(-0x1p63, -INFINITY)},
        {BRG_TYPE_DOUBLE, double_bits(0x1p64), BRG_RANGE, BRG_RANGE, 0x1p64},
        {BRG_TYPE_DOUBLE, double_bits(nextafter(0x1p64, 0)), BRG_RANGE, BRG_OK, nextafter(0x1p64, 0)},
        {BRG_TYPE_DOUBLE, double_bits(2251799813685248.5), BRG_RANGE, BRG_RANGE, 2251799813685248.5},
        {BRG_TYPE_DOUBLE, double_bits(INFINITY), BRG_RANGE, BRG_RANGE, INFINITY},
        {BRG_TYPE_DOUBLE, FIXTURE_NAN_BITS, BRG_RANGE, BRG_RANGE, fixture_double(FIXTURE_NAN_BITS)},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        brg_builder *builder = NULL;
        brg_value *value = NULL;
        assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
        add_case(builder, &cases[i]);
        assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
        check_case(brg_value_root(value), &cases[i]);
        brg_value_unref(value);
        brg_builder_destroy(builder);
    }
}

static void fill_long_list(brg_builder *builder)
{
    brg_builder_list(builder);
    for (int i = 0; i < 100000; i++)
        brg_builder_int(builder, i * 3);
    brg_builder_end(builder);
}

static void long_lists_are_indexed(void **state)
{
    (void)state;
    brg_value *value = build(fill_long_list);
    brg_view list = brg_value_root(value);
    assert_int_equal(brg_view_count(list), 100000);
    for (int i = 0; i < 100000; i++) {
        int64_t number = -1;
        assert_int_equal(brg_view_int(brg_view_at(list, (size_t)i), &number), BRG_OK);
        assert_int_equal(number, i * 3);
    }
    assert_int_equal(brg_view_type(brg_view_at(list, 100000)), BRG_TYPE_NONE);
    fixture_check_whole(value);
    brg_value_unref(value);
}

static const char *const type_names[] = {"none",   "nil",   "bool", "int", "uint",  "double",
                                         "string", "bytes", "list", "map", "buffer"};

static void types_have_names(void **state)
{
    (void)state;
    for (int type = BRG_TYPE_NONE; type <= BRG_TYPE_BUFFER; type++)
        assert_string_equal(brg_type_name((brg_type)type), type_names[type]);
    assert_string_equal(brg_type_name((brg_type)99), "?");
}

static brg_value *from_json(const char *text)
{
    brg_value *value = NULL;
    assert_int_equal(brg_value_from_json(&value, text, strlen(text), NULL), BRG_OK);
    return value;
}

static bool json_equal(const char *a, const char *b)
{
    brg_value *left = from_json(a), *right = from_json(b);
    bool equal = brg_view_equal(brg_value_root(left), brg_value_root(right));
    assert_int_equal(brg_view_equal(brg_value_root(right), brg_value_root(left)), equal);
    brg_value_unref(left);
    brg_value_unref(right);
    return equal;
}

static void equality_is_deep_and_strict(void **state)
{
    (void)state;
    assert_true(json_equal("{\"a\":1,\"b\":[1,{\"c\":null}]}", "{\"b\":[1,{\"c\":null}],\"a\":1}"));
    assert_true(json_equal("[true,\"x\",1.5,{}]", "[true,\"x\",1.5,{}]"));
    assert_false(json_equal("{\"a\":1,\"b\":2}", "{\"b\":1,\"a\":2}"));
    assert_false(json_equal("{\"a\":1}", "{\"b\":1}"));
    assert_false(json_equal("{\"a\":1,\"b\":1}", "{\"a\":1,\"c\":1}"));
    assert_false(json_equal("{\"a\":1}", "{\"a\":1,\"b\":1}"));
    assert_false(json_equal("[1,2]", "[2,1]"));
    assert_false(json_equal("[]", "{}"));
    assert_false(json_equal("[[]]", "[[[]]]"));
    assert_false(json_equal("1", "1.0"));
    assert_false(json_equal("0.0", "-0.0"));
    assert_false(json_equal("true", "false"));
    assert_false(json_equal("null", "false"));
    assert_false(json_equal("\"a\"", "\"b\""));
    assert_false(json_equal("\"a\"", "\"a\\u0000\""));
    assert_false(json_equal("\"abcdefgh\"", "\"abcdefgi\""));
}

static void fill_map(brg_builder *builder, int count, int step, int changed)
{
    brg_builder_map(builder);
    for (int i = 0; i < count; i++) {
        char key[32];
        int number = (int)((int64_t)i * step % count);
        snprintf(key, sizeof(key), "key %d", number);
        brg_builder_key(builder, key);
        brg_builder_int(builder, number == changed ? -1 : number);
    }
    brg_builder_end(builder);
}

static void fill_map_in_order(brg_builder *builder) { fill_map(builder, 20011, 1, -1); }
static void fill_map_shuffled(brg_builder *builder) { fill_map(builder, 20011, 7919, -1); } /* both primes */
static void fill_map_changed(brg_builder *builder) { fill_map(builder, 20011, 7919, 12345); }

static void large_maps_equal_in_any_order(void **state)
{
    (void)state;
    brg_value *a = build(fill_map_in_order), *b = build(fill_map_shuffled), *c = build(fill_map_changed);
    assert_true(brg_view_equal(brg_value_root(a), brg_value_root(b)));
    assert_true(brg_view_equal(brg_value_root(b), brg_value_root(a)));
    assert_false(brg_view_equal(brg_value_root(a), brg_value_root(c)));
    brg_value *d = from_json("{\"x\":1,\"y\":2,\"z\":3}"), *e = from_json("{\"z\":3,\"x\":1,\"y\":2}"),
              *f = from_json("{\"z\":3,\"x\":1,\"w\":2}");
    brg__fault_arm(NULL, 1); /* no memory to sort in: slower, not wrong */
    assert_true(brg_view_equal(brg_value_root(d), brg_value_root(e)));
    assert_true(brg__fault_fired());
    brg__fault_arm(NULL, 1);
    assert_false(brg_view_equal(brg_value_root(d), brg_value_root(f)));
    assert_true(brg__fault_fired());
    brg__fault_disarm();
    brg_value *all[] = {a, b, c, d, e, f};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        brg_value_unref(all[i]);
}

static void buffers_equal_by_content(void **state)
{
    (void)state;
    brg_value *a = build(fill_everything), *b = build(fill_everything);
    assert_true(brg_view_equal(brg_value_root(a), brg_value_root(b)));
    char *data = brg_buffer_data(brg_view_buffer(brg_view_at(brg_value_root(b), 18)));
    data[0]++;
    assert_false(brg_view_equal(brg_value_root(a), brg_value_root(b)));
    assert_false(brg_view_equal(brg_view_at(brg_value_root(a), 18), brg_view_at(brg_value_root(a), 19)));
    assert_false(brg_view_equal(brg_view_at(brg_value_root(a), 19), brg_view_at(brg_value_root(a), 13)));
    brg_value_unref(a);
    brg_value_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back),       cmocka_unit_test(maps_keep_order_and_find_keys),
        cmocka_unit_test(nothing_reads_as_nothing),    cmocka_unit_test(numbers_convert_where_exact),
        cmocka_unit_test(long_lists_are_indexed),      cmocka_unit_test(types_have_names),
        cmocka_unit_test(equality_is_deep_and_strict), cmocka_unit_test(large_maps_equal_in_any_order),
        cmocka_unit_test(buffers_equal_by_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
