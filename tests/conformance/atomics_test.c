/* SPDX-License-Identifier: MIT */
/* Atomic operations on shared memory, of each width: what they return, what they leave, what they refuse. */
#include "peer.h"

#define WIDTHS 4
static const size_t widths[WIDTHS] = {1, 2, 4, 8};

/* One operation in all its widths, behind one shape: the old value, at 64 bits. */
typedef brg_status (*operate)(brg_shared *shared, size_t width, size_t offset, uint64_t value, uint64_t *old);

#define OPERATION(name)                                                                                                \
    static brg_status operate_##name(brg_shared *shared, size_t width, size_t offset, uint64_t value, uint64_t *old)   \
    {                                                                                                                  \
        uint8_t old8 = 0;                                                                                              \
        uint16_t old16 = 0;                                                                                            \
        uint32_t old32 = 0;                                                                                            \
        brg_status status;                                                                                             \
        switch (width) {                                                                                               \
        case 1:                                                                                                        \
            status = brg_shared_##name##8(shared, offset, (uint8_t)value, &old8);                                      \
            *old = old8;                                                                                               \
            return status;                                                                                             \
        case 2:                                                                                                        \
            status = brg_shared_##name##16(shared, offset, (uint16_t)value, &old16);                                   \
            *old = old16;                                                                                              \
            return status;                                                                                             \
        case 4:                                                                                                        \
            status = brg_shared_##name##32(shared, offset, (uint32_t)value, &old32);                                   \
            *old = old32;                                                                                              \
            return status;                                                                                             \
        default:                                                                                                       \
            return brg_shared_##name##64(shared, offset, value, old);                                                  \
        }                                                                                                              \
    }

OPERATION(add)
OPERATION(sub)
OPERATION(and)
OPERATION(or)
OPERATION(xor)
OPERATION(exchange)

static brg_status load(const brg_shared *shared, size_t width, size_t offset, uint64_t *out)
{
    uint8_t byte = 0;
    uint16_t half = 0;
    uint32_t word = 0;
    brg_status status;
    switch (width) {
    case 1:
        status = brg_shared_load8(shared, offset, &byte);
        *out = byte;
        return status;
    case 2:
        status = brg_shared_load16(shared, offset, &half);
        *out = half;
        return status;
    case 4:
        status = brg_shared_load32(shared, offset, &word);
        *out = word;
        return status;
    default:
        return brg_shared_load64(shared, offset, out);
    }
}

static brg_status store(brg_shared *shared, size_t width, size_t offset, uint64_t value)
{
    switch (width) {
    case 1:
        return brg_shared_store8(shared, offset, (uint8_t)value);
    case 2:
        return brg_shared_store16(shared, offset, (uint16_t)value);
    case 4:
        return brg_shared_store32(shared, offset, (uint32_t)value);
    default:
        return brg_shared_store64(shared, offset, value);
    }
}

static brg_status compare_exchange(brg_shared *shared, size_t width, size_t offset, uint64_t expected, uint64_t value,
                                   uint64_t *old)
{
    uint8_t byte = 0;
    uint16_t half = 0;
    uint32_t word = 0;
    brg_status status;
    switch (width) {
    case 1:
        status = brg_shared_compare_exchange8(shared, offset, (uint8_t)expected, (uint8_t)value, &byte);
        *old = byte;
        return status;
    case 2:
        status = brg_shared_compare_exchange16(shared, offset, (uint16_t)expected, (uint16_t)value, &half);
        *old = half;
        return status;
    case 4:
        status = brg_shared_compare_exchange32(shared, offset, (uint32_t)expected, (uint32_t)value, &word);
        *old = word;
        return status;
    default:
        return brg_shared_compare_exchange64(shared, offset, expected, value, old);
    }
}

static uint64_t all_ones(size_t width) { return width == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * width)) - 1; }

/* ---- one operation after the other ------------------------------------------------------------------------------- */

typedef struct step {
    uint64_t before, operand, after; /* cut to the width */
} step;

/* Each step in each width, at the start, in the middle and at the very end of the memory. */
static void follow(operate run, const step *steps, size_t count)
{
    brg_shared *shared = peer_shared(4096);
    for (size_t w = 0; w < WIDTHS; w++) {
        size_t width = widths[w], offsets[] = {0, 64 + width, 4096 - width};
        uint64_t mask = all_ones(width);
        for (size_t i = 0; i < count * 3; i++) {
            uint64_t old = 12345, now = 0;
            const step *one = &steps[i / 3];
            assert_status(store(shared, width, offsets[i % 3], one->before), BRG_OK);
            assert_status(run(shared, width, offsets[i % 3], one->operand, &old), BRG_OK);
            assert_status(load(shared, width, offsets[i % 3], &now), BRG_OK);
            assert_true(old == (one->before & mask));
            assert_true(now == (one->after & mask));
        }
    }
    brg_shared_unref(shared);
}

static void add_gives_the_old_value(void **state)
{
    static const step steps[] = {{0, 10, 10}, {10, (uint64_t)-15, (uint64_t)-5}, {100, 0, 100}, {7, 1, 8}};
    (void)state;
    follow(operate_add, steps, 4);
}

static void sub_gives_the_old_value(void **state)
{
    static const step steps[] = {{10, 3, 7}, {0, 1, UINT64_MAX}, {5, (uint64_t)-5, 10}, {9, 9, 0}};
    (void)state;
    follow(operate_sub, steps, 4);
}

static void and_gives_the_old_value(void **state)
{
    static const step steps[] = {
        {0x33, 0x55, 0x11}, {0xff, 0, 0}, {UINT64_MAX, UINT64_MAX, UINT64_MAX}, {0xa5, 0x0f, 0x05}};
    (void)state;
    follow(operate_and, steps, 4);
}

static void or_gives_the_old_value(void **state)
{
    static const step steps[] = {{0x33, 0x55, 0x77}, {0, 0, 0}, {0, UINT64_MAX, UINT64_MAX}, {0xa0, 0x0f, 0xaf}};
    (void)state;
    follow(operate_or, steps, 4);
}

static void xor_gives_the_old_value(void **state)
{
    static const step steps[] = {{0x33, 0x55, 0x66}, {0x77, 0x77, 0}, {0, UINT64_MAX, UINT64_MAX}, {0xf0, 0, 0xf0}};
    (void)state;
    follow(operate_xor, steps, 4);
}

static void exchange_gives_the_old_value(void **state)
{
    static const step steps[] = {{0, 10, 10}, {10, (uint64_t)-5, (uint64_t)-5}, {3, 3, 3}, {UINT64_MAX, 0, 0}};
    (void)state;
    follow(operate_exchange, steps, 4);
}

static void numbers_wrap_around(void **state)
{
    static const step up[] = {{UINT64_MAX, 1, 0}, {UINT64_MAX, 2, 1}}, down[] = {{0, 1, UINT64_MAX}};
    (void)state;
    follow(operate_add, up, 2);
    follow(operate_sub, down, 1);
}

static void compare_exchange_stores_only_what_was_expected(void **state)
{
    brg_shared *shared = peer_shared(64);
    (void)state;
    for (size_t w = 0; w < WIDTHS; w++) {
        uint64_t old = 0, now = 0, high = all_ones(widths[w]);
        store(shared, widths[w], 8, high);
        assert_status(compare_exchange(shared, widths[w], 8, high - 1, 1, &old), BRG_NOT_EQUAL);
        assert_true(old == high);
        load(shared, widths[w], 8, &now);
        assert_true(now == high);
        assert_status(compare_exchange(shared, widths[w], 8, high, 1, &old), BRG_OK);
        assert_true(old == high);
        load(shared, widths[w], 8, &now);
        assert_true(now == 1);
    }
    brg_shared_unref(shared);
}

static void store_and_load_keep_every_bit(void **state)
{
    brg_shared *shared = peer_shared(64);
    (void)state;
    for (size_t w = 0; w < WIDTHS; w++)
        for (unsigned bit = 0; bit < 8 * widths[w]; bit++) {
            uint64_t now = 0;
            assert_status(store(shared, widths[w], 16, UINT64_C(1) << bit), BRG_OK);
            assert_status(load(shared, widths[w], 16, &now), BRG_OK);
            assert_true(now == UINT64_C(1) << bit);
        }
    brg_shared_unref(shared);
}

static void operations_leave_their_neighbours(void **state)
{
    brg_shared *shared = peer_shared(64);
    unsigned char *bytes = brg_shared_data(shared);
    (void)state;
    for (size_t w = 0; w < WIDTHS; w++) {
        uint64_t old;
        memset(bytes, 0xee, 64);
        assert_status(operate_add(shared, widths[w], 32, all_ones(widths[w]), &old), BRG_OK);
        assert_status(operate_exchange(shared, widths[w], 32, 0, &old), BRG_OK);
        for (size_t i = 0; i < 64; i++)
            assert_int_equal(bytes[i], i >= 32 && i < 32 + widths[w] ? 0 : 0xee);
    }
    brg_shared_unref(shared);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static const operate operations[] = {operate_add, operate_sub, operate_and, operate_or, operate_xor, operate_exchange};

static void offsets_outside_are_refused(void **state)
{
    brg_shared *shared = peer_shared(64);
    (void)state;
    for (size_t w = 0; w < WIDTHS; w++) {
        size_t width = widths[w], outside[] = {64, 64 + width, SIZE_MAX - width + 1, (size_t)1 << 40};
        for (size_t i = 0; i < 4; i++) {
            uint64_t old = 77;
            for (size_t k = 0; k < 6; k++)
                assert_status(operations[k](shared, width, outside[i], 1, &old), BRG_RANGE);
            assert_status(store(shared, width, outside[i], 1), BRG_RANGE);
            assert_status(load(shared, width, outside[i], &old), BRG_RANGE);
            assert_status(compare_exchange(shared, width, outside[i], 0, 1, &old), BRG_RANGE);
        }
    }
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(((unsigned char *)brg_shared_data(shared))[i], 0);
    brg_shared_unref(shared);
}

static void offsets_between_are_refused(void **state)
{
    brg_shared *shared = peer_shared(64);
    (void)state;
    for (size_t w = 1; w < WIDTHS; w++) {
        uint64_t old = 0;
        for (size_t offset = 1; offset < widths[w]; offset++) {
            for (size_t k = 0; k < 6; k++)
                assert_status(operations[k](shared, widths[w], offset, 1, &old), BRG_INVALID);
            assert_status(store(shared, widths[w], offset, 1), BRG_INVALID);
            assert_status(load(shared, widths[w], offset, &old), BRG_INVALID);
            assert_status(compare_exchange(shared, widths[w], offset, 0, 1, &old), BRG_INVALID);
        }
    }
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(((unsigned char *)brg_shared_data(shared))[i], 0);
    brg_shared_unref(shared);
}

static void lock_free_widths_are_known(void **state)
{
    (void)state;
    for (size_t width = 0; width <= 17; width++)
        assert_int_equal(brg_is_lock_free(width), width == 1 || width == 2 || width == 4 || width == 8);
}

/* ---- between workers --------------------------------------------------------------------------------------------- */

#define TIMES 20000

static void additions_of_workers_are_all_counted(void **state)
{
    brg_shared *shared = peer_shared(4096);
    brg_worker *peers[2];
    for (int i = 0; i < 2; i++) {
        peers[i] = peer_start(scenario_isolation(state), NULL);
        peer_give_shared(peers[i], shared);
    }
    for (int i = 0; i < 2; i++) {
        brg_builder *builder = peer_say_int("shared_add", "times", TIMES);
        peer_add_int(builder, "offset", 128);
        peer_post(peers[i], builder);
    }
    for (int n = 0; n < TIMES; n++)
        brg_shared_add32(shared, 128, 1, NULL);
    for (int i = 0; i < 2; i++)
        brg_value_unref(peer_answer(peers[i]));
    assert_int_equal(peer_load(shared, 128), 3 * TIMES);
    for (int i = 0; i < 2; i++)
        brg_worker_destroy(peers[i]);
    brg_shared_unref(shared);
}

static void additions_of_64_bits_carry(void **state)
{
    brg_shared *shared = peer_shared(64);
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    uint64_t now = 0;
    peer_give_shared(peer, shared);
    brg_shared_store64(shared, 8, UINT32_MAX - TIMES);
    brg_builder *builder = peer_say_int("shared_add", "times", TIMES);
    peer_add_int(builder, "bytes", 8);
    peer_add_int(builder, "offset", 8);
    peer_post(peer, builder);
    for (int n = 0; n < TIMES; n++)
        brg_shared_add64(shared, 8, 1, NULL);
    brg_value_unref(peer_answer(peer));
    brg_shared_load64(shared, 8, &now);
    assert_true(now == (uint64_t)UINT32_MAX + TIMES);
    brg_worker_destroy(peer);
    brg_shared_unref(shared);
}

/* Two workers count in neighbouring bytes by compare and exchange: neither takes the other's count away. */
static void bytes_beside_each_other_do_not_disturb(void **state)
{
    brg_shared *shared = peer_shared(64);
    brg_worker *peers[2];
    for (int i = 0; i < 2; i++) {
        peers[i] = peer_start(scenario_isolation(state), NULL);
        peer_give_shared(peers[i], shared);
        brg_builder *builder = peer_say_int("shared_add_by_exchange", "times", 256 * 20 + 17);
        peer_add_int(builder, "offset", i + 1);
        peer_post(peers[i], builder);
    }
    for (int i = 0; i < 2; i++) {
        brg_value_unref(peer_answer(peers[i]));
        brg_worker_destroy(peers[i]);
    }
    assert_int_equal(peer_load(shared, 0), 17 << 8 | 17 << 16);
    brg_shared_unref(shared);
}

static void workers_see_each_others_stores(void **state)
{
    brg_shared *shared = peer_shared(64);
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_give_shared(peer, shared);
    for (int n = 1; n < 20; n++) {
        brg_shared_store64(shared, 0, (uint64_t)n << 32);
        assert_true(peer_ask_int(peer, peer_say_int("shared_load", "offset", 0), "value") == (int64_t)n << 32);
        brg_builder *builder = peer_say_int("shared_store", "offset", 8);
        peer_add_int(builder, "value", n);
        brg_value_unref(peer_ask(peer, builder));
        assert_int_equal(peer_load(shared, 8), n);
    }
    brg_worker_destroy(peer);
    brg_shared_unref(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(add_gives_the_old_value),
        cmocka_unit_test(sub_gives_the_old_value),
        cmocka_unit_test(and_gives_the_old_value),
        cmocka_unit_test(or_gives_the_old_value),
        cmocka_unit_test(xor_gives_the_old_value),
        cmocka_unit_test(exchange_gives_the_old_value),
        cmocka_unit_test(numbers_wrap_around),
        cmocka_unit_test(compare_exchange_stores_only_what_was_expected),
        cmocka_unit_test(store_and_load_keep_every_bit),
        cmocka_unit_test(operations_leave_their_neighbours),
        cmocka_unit_test(offsets_outside_are_refused),
        cmocka_unit_test(offsets_between_are_refused),
        cmocka_unit_test(lock_free_widths_are_known),
        SCENARIO_BOTH(additions_of_workers_are_all_counted),
        SCENARIO_BOTH(additions_of_64_bits_carry),
        SCENARIO_BOTH(bytes_beside_each_other_do_not_disturb),
        SCENARIO_BOTH(workers_see_each_others_stores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
