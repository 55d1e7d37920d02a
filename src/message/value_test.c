/* SPDX-License-Identifier: MIT */
/* Whole values: holders, bytes there and back, hostile bytes, running out of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "message/flat.h"
#include "message/value_fixture.h"
#include "os/fault.h"
#include "os/thread.h"

#define MUTATIONS 30000
#define WORDS_MAX 300

static brg_value *build_everything(bool with_buffers)
{
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    fixture_everything(builder, with_buffers);
    assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
    brg_builder_destroy(builder);
    return value;
}

static void find_buffers(const brg_value *value, brg_buffer *buffers[2])
{
    brg_view root = brg_value_root(value);
    buffers[0] = brg_view_buffer(brg_view_at(root, brg_view_count(root) - 2));
    buffers[1] = brg_view_buffer(brg_view_at(root, brg_view_count(root) - 1));
}

static void bytes_there_and_back(void **state)
{
    (void)state;
    brg_value *value = build_everything(true), *copy = NULL;
    brg_buffer *buffers[2];
    find_buffers(value, buffers);
    assert_int_equal(brg_value_from_bytes(&copy, brg_value_data(value), brg_value_size(value), buffers, 2, NULL),
                     BRG_OK);
    assert_true(brg_view_equal(brg_value_root(value), brg_value_root(copy)));
    assert_int_equal(brg_value_size_with_buffers(value), brg_value_size(value) + 5);
    brg_value_unref(value);
    fixture_check_whole(copy); /* which holds the buffers by itself */
    brg_value_unref(copy);
    brg_value_unref(NULL);
}

static void buffers_must_match(void **state)
{
    (void)state;
    brg_value *value = build_everything(true), *untouched = value, *out = untouched;
    brg_buffer *buffers[3];
    brg_error error;
    find_buffers(value, buffers);
    buffers[2] = buffers[0];
    const void *data = brg_value_data(value);
    size_t size = brg_value_size(value);
    assert_int_equal(brg_value_from_bytes(&out, data, size, NULL, 0, &error), BRG_MALFORMED);
    assert_int_equal(brg_value_from_bytes(&out, data, size, buffers, 1, &error), BRG_MALFORMED);
    assert_int_equal(brg_value_from_bytes(&out, data, size, buffers, 3, &error), BRG_MALFORMED);
    buffers[1] = NULL;
    assert_int_equal(brg_value_from_bytes(&out, data, size, buffers, 2, &error), BRG_INVALID);
    assert_ptr_equal(out, untouched);
    brg_value_unref(value);
}

/* Blocks written by hand, word by word. */
static uint64_t words[WORDS_MAX];
static uint32_t word_count;

static uint32_t add(uint64_t word)
{
    words[word_count] = word;
    return word_count++ * 8;
}

static uint32_t add_head(unsigned type, unsigned extra, uint32_t count)
{
    return add(type | (uint64_t)extra << 8 | (uint64_t)count << 32);
}

static uint32_t add_list(unsigned height, uint32_t first, uint32_t second)
{
    uint32_t at = add_head(BRG_TYPE_LIST, height, 2);
    add(first | (uint64_t)second << 32);
    return at;
}

static uint32_t add_string(const char *eight_bytes, uint32_t count)
{
    uint64_t word = 0;
    memcpy(&word, eight_bytes, strlen(eight_bytes));
    uint32_t at = add_head(BRG_TYPE_STRING, 0, count);
    add(word);
    return at;
}

static uint32_t add_key(const char *eight_bytes, uint32_t count)
{
    uint32_t at = add_string(eight_bytes, count);
    words[at / 8] += BRG__TAG_KEY - BRG_TYPE_STRING;
    return at;
}

static void start(void)
{
    word_count = 0;
    add(BRG__FLAT_MAGIC | (uint64_t)BRG__FLAT_VERSION << 32);
    add(0);
}

static void expect_sized(uint32_t root, size_t size_bytes, brg_status expected)
{
    brg_value *untouched = (brg_value *)words, *value = untouched;
    brg_error error = {.status = BRG_OK};
    memcpy(&words[1], &root, sizeof(root));
    brg_status status = brg_value_from_bytes(&value, words, size_bytes, NULL, 0, &error);
    if (status != expected)
        fail_msg("%s: %s", brg_status_name(status), error.message);
    if (status == BRG_OK) {
        fixture_check(value, false);
        brg_value_unref(value);
    } else {
        assert_ptr_equal(value, untouched);
        assert_int_equal(error.status, expected);
    }
}

static void expect(uint32_t root, brg_status expected) { expect_sized(root, (size_t)word_count * 8, expected); }

static void headers_are_checked(void **state)
{
    (void)state;
    start();
    uint32_t nil = add_head(BRG_TYPE_NIL, 0, 0);
    expect(nil, BRG_OK);
    for (size_t size = 0; size < 24; size++)
        expect_sized(nil, size, BRG_MALFORMED);
    expect_sized(nil, BRG_VALUE_BYTES_MAX + 1, BRG_TOO_LARGE);
    expect(0, BRG_MALFORMED);
    expect(8, BRG_MALFORMED);
    expect(nil + 1, BRG_MALFORMED);
    expect(nil + 8, BRG_MALFORMED);
    expect(UINT32_MAX - 7, BRG_MALFORMED);
    uint64_t good = words[0];
    for (int bit = 0; bit < 64; bit++) { /* magic, version and flags */
        words[0] = good ^ UINT64_C(1) << bit;
        expect(nil, BRG_MALFORMED);
    }
    words[0] = good;
    words[1] |= UINT64_C(1) << 32; /* a buffer that nobody brought */
    expect(nil, BRG_MALFORMED);
    start();
    nil = add_head(BRG_TYPE_NIL, 0, 0);
    add_head(BRG_TYPE_NIL, 0, 0); /* after the root */
    expect(nil, BRG_MALFORMED);
    expect(nil + 8, BRG_MALFORMED); /* before it */
}

static void leaves_are_checked(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        start();
        uint32_t at = add_head(type, 0, 0);
        bool one_word = type == BRG_TYPE_NIL || type == BRG_TYPE_BOOL || type == BRG_TYPE_BYTES ||
                        type == BRG_TYPE_BIGINT;
        expect(at, one_word ? BRG_OK : BRG_MALFORMED);
    }
    start();
    uint32_t at = add_head(BRG_TYPE_UINT, 0, 0);
    add(5); /* an int would be due */
    expect(at, BRG_MALFORMED);
    words[3] = (uint64_t)INT64_MAX + 1;
    expect(at, BRG_OK);
    static const uint64_t reserved[] = {1u << 16, 1u << 31, UINT64_C(1) << 32, 1u << 8};
    for (size_t i = 0; i < 4; i++) {
        start();
        at = add(BRG_TYPE_NIL | reserved[i]);
        expect(at, BRG_MALFORMED);
        start();
        at = add(BRG_TYPE_INT | reserved[i]);
        add(0);
        expect(at, BRG_MALFORMED);
    }
    start();
    at = add_head(BRG_TYPE_BOOL, 1, 0);
    expect(at, BRG_OK);
    start();
    at = add_head(BRG_TYPE_BOOL, 2, 0);
    expect(at, BRG_MALFORMED);
    start();
    at = add_head(BRG_TYPE_BUFFER, 0, 0);
    expect(at, BRG_MALFORMED);
}

static void strings_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        uint32_t count;
        brg_status expected;
    } cases[] = {
        {"abc", 3, BRG_OK},
        {"abcdefg", 7, BRG_OK},
        {"abc", 4, BRG_OK}, /* a zero byte inside */
        {"abcd", 3, BRG_MALFORMED},
        {"abcdefgh", 7, BRG_MALFORMED},
        {"abcdefgh", 8, BRG_MALFORMED},
        {"\xc3", 1, BRG_MALFORMED},
        {"", 0, BRG_OK},
        {"a", 0, BRG_MALFORMED},
        {"a", UINT32_MAX, BRG_MALFORMED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        start();
        uint32_t at = add_string(cases[i].bytes, cases[i].count);
        expect(at, cases[i].expected);
    }
}

static void trees_are_checked(void **state)
{
    (void)state;
    start();
    uint32_t a = add_head(BRG_TYPE_NIL, 0, 0), b = add_head(BRG_TYPE_NIL, 0, 0);
    uint32_t list = add_list(1, a, b);
    expect(list, BRG_OK);
    static const uint32_t wrong[] = {0, 8, 20, 40, 48, UINT32_MAX & ~7u};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) { /* out of place, itself, past the end */
        words[5] = a | (uint64_t)wrong[i] << 32;
        expect(list, BRG_MALFORMED);
        words[5] = wrong[i] | (uint64_t)b << 32;
        expect(list, BRG_MALFORMED);
    }
    words[5] = a | (uint64_t)a << 32; /* shared */
    expect(list, BRG_MALFORMED);
    words[5] = b | (uint64_t)a << 32; /* out of order */
    expect(list, BRG_MALFORMED);
    start();
    a = add_head(BRG_TYPE_NIL, 0, 0);
    add_head(BRG_TYPE_NIL, 0, 0); /* nobody's */
    b = add_head(BRG_TYPE_NIL, 0, 0);
    list = add_list(1, a, b);
    expect(list, BRG_MALFORMED);
    start();
    a = add_head(BRG_TYPE_NIL, 0, 0);
    list = add_head(BRG_TYPE_LIST, 1, 1);
    add(a);
    expect(list, BRG_OK);
    words[4] |= UINT64_C(1) << 32; /* in the padding */
    expect(list, BRG_MALFORMED);
    words[3] = BRG_TYPE_LIST | 2 << 8 | UINT64_C(1) << 32; /* too high */
    words[4] = a;
    expect(list, BRG_MALFORMED);
    words[3] = BRG_TYPE_LIST | UINT64_C(1) << 32; /* too low */
    expect(list, BRG_MALFORMED);
    words[3] = BRG_TYPE_LIST | 1 << 8 | UINT64_C(0xffffffff) << 32; /* a count past the end */
    expect(list, BRG_MALFORMED);
}

/* Each list names the one before twice: 2^60 nodes to a reader that follows blindly. */
static void shared_subtrees_do_not_explode(void **state)
{
    (void)state;
    start();
    uint32_t at = add_head(BRG_TYPE_NIL, 0, 0);
    for (unsigned i = 1; i <= 60; i++)
        at = add_list(i, at, at);
    expect(at, BRG_MALFORMED);
}

static void maps_are_checked(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        start();
        uint32_t key = variant == 1 ? add_head(BRG_TYPE_NIL, 0, 0) : add_key("key", 3);
        uint32_t value = add_head(BRG_TYPE_NIL, 0, 0);
        uint32_t other = add_key(variant == 2 ? "key" : variant == 3 ? "ke" : "yek", variant == 3 ? 2 : 3);
        uint32_t second = add_head(BRG_TYPE_NIL, 0, 0);
        uint32_t keys = add_head(BRG__TAG_KEYS, 0, 2);
        add(key | (uint64_t)other << 32);
        uint32_t map = add_head(BRG_TYPE_MAP, 1, 2);
        add(keys | (uint64_t)value << 32);
        add(second);
        expect(map, variant == 1 || variant == 2 ? BRG_MALFORMED : BRG_OK);
    }
}

static void depth_is_checked(void **state)
{
    (void)state;
    for (unsigned depth = 1; depth <= BRG_VALUE_DEPTH_MAX + 1; depth++) {
        start();
        uint32_t at = add_head(BRG_TYPE_LIST, 1, 0);
        for (unsigned i = 2; i <= depth; i++) {
            uint32_t inner = at;
            at = add_head(BRG_TYPE_LIST, i, 1);
            add(inner);
        }
        expect(at, depth <= BRG_VALUE_DEPTH_MAX ? BRG_OK : BRG_TOO_LARGE);
    }
}

/* What is accepted can be read whole and is what the builder would have built; the rest is refused. No crash. */
static void mutated_bytes_never_crash(void **state)
{
    (void)state;
    uint64_t random = 20240611, accepted = 0, refused = 0;
    brg_value *value = build_everything(true);
    brg_buffer *buffers[2];
    find_buffers(value, buffers);
    for (int i = 0; i < MUTATIONS; i++) {
        unsigned char *bytes = malloc(brg_value_size(value));
        memcpy(bytes, brg_value_data(value), brg_value_size(value));
        size_t size = fixture_mutate(bytes, brg_value_size(value), &random);
        unsigned char *exact = realloc(bytes, size);
        brg_value *read = NULL;
        brg_error error;
        brg_status status = brg_value_from_bytes(&read, exact, size, buffers, 2, &error);
        if (status == BRG_OK)
            fixture_check(read, false);
        else
            assert_true(status == BRG_MALFORMED || status == BRG_TOO_LARGE);
        accepted += status == BRG_OK;
        refused += status != BRG_OK;
        brg_value_unref(read);
        free(exact);
    }
    assert_true(accepted > MUTATIONS / 100 && refused > MUTATIONS / 4);
    brg_value_unref(value);
}

static void random_bytes_never_crash(void **state)
{
    (void)state;
    uint64_t random = 7;
    for (int i = 0; i < MUTATIONS; i++) {
        start();
        for (uint64_t left = 1 + fixture_random(&random) % 12; left > 0; left--)
            add_head(fixture_random(&random) % 12, fixture_random(&random) % 3, fixture_random(&random) % 64);
        uint32_t root = (uint32_t)(16 + fixture_random(&random) % (word_count * 8 - 16));
        memcpy(&words[1], &root, sizeof(root));
        brg_value *value = NULL;
        if (brg_value_from_bytes(&value, words, (size_t)word_count * 8, NULL, 0, NULL) == BRG_OK)
            fixture_check_whole(value);
        brg_value_unref(value);
    }
}

static void read_and_let_go(void *argument)
{
    brg_value *value = argument;
    for (int i = 0; i < 200; i++) {
        brg_value *mine = brg_value_ref(value);
        fixture_check_whole(mine);
        brg_value_unref(mine);
    }
    brg_value_unref(value);
}

static void threads_share_a_value(void **state)
{
    (void)state;
    brg__thread threads[4];
    brg_value *value = build_everything(true);
    for (int i = 0; i < 4; i++)
        assert_int_equal(brg__thread_start(&threads[i], "reader", 0, read_and_let_go, brg_value_ref(value), NULL),
                         BRG_OK);
    brg_value_unref(value);
    for (int i = 0; i < 4; i++)
        brg__thread_join(&threads[i]);
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    brg_builder *builder = NULL;
    brg_value *value = NULL, *part = build_everything(true);
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_map(builder);
    for (int i = 0; i < 100; i++) { /* more than are checked on the stack */
        char key[16];
        snprintf(key, sizeof(key), "%d", i);
        brg_builder_key(builder, key);
        brg_builder_nil(builder);
    }
    brg_builder_key(builder, "part");
    brg_builder_view(builder, brg_value_root(part));
    brg_builder_end(builder);
    assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
    brg_buffer *buffers[2];
    find_buffers(part, buffers);
    uint64_t nth = 1;
    for (bool fired = true; fired; nth++) {
        brg_value *copy = NULL;
        brg__fault_arm(NULL, nth);
        brg_status status = brg_value_from_bytes(&copy, brg_value_data(value), brg_value_size(value), buffers, 2, NULL);
        fired = brg__fault_fired();
        brg__fault_disarm();
        assert_int_equal(status, fired ? BRG_NO_MEMORY : BRG_OK);
        brg_value_unref(copy);
    }
    assert_int_equal(nth, 6); /* the value, scratch for the keys of two maps, the array of buffers; then none */
    brg_value_unref(value);
    brg_value_unref(part);
    brg_builder_destroy(builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_there_and_back),
        cmocka_unit_test(buffers_must_match),
        cmocka_unit_test(headers_are_checked),
        cmocka_unit_test(leaves_are_checked),
        cmocka_unit_test(strings_are_checked),
        cmocka_unit_test(trees_are_checked),
        cmocka_unit_test(shared_subtrees_do_not_explode),
        cmocka_unit_test(maps_are_checked),
        cmocka_unit_test(depth_is_checked),
        cmocka_unit_test(mutated_bytes_never_crash),
        cmocka_unit_test(random_bytes_never_crash),
        cmocka_unit_test(threads_share_a_value),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
