/* SPDX-License-Identifier: MIT */
/* Shared memory: its life, its size, its atomics, and what a hostile holder wrote. */
#include "message/shared_fixture.h"
#include "os/fault.h"

static void bytes_are_zero_and_there(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(10000);
    assert_int_equal(brg_shared_size(shared), 10000);
    assert_int_equal(brg_shared_size_max(shared), 10000);
    unsigned char *bytes = brg_shared_data(shared);
    assert_int_equal((uintptr_t)bytes % 4096, 0);
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(bytes[i], 0);
    memset(bytes, 0xff, 10000);
    assert_ptr_equal(brg_shared_ref(shared), shared);
    brg_shared_unref(shared);
    assert_int_equal(bytes[9999], 0xff);
    brg_shared_unref(shared);
    brg_shared_unref(NULL);
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    brg_shared *shared = NULL;
    brg_error error;
    assert_int_equal(brg_shared_create(&shared, NULL, &error), BRG_INVALID);
    assert_int_equal(brg_shared_create(&shared, brg_shared_opts(.size_bytes = 2, .size_max_bytes = 1), &error),
                     BRG_INVALID);
    assert_int_equal(brg_shared_create(&shared, brg_shared_opts(.size_bytes = SIZE_MAX), &error), BRG_TOO_LARGE);
    assert_int_equal(brg_shared_create(NULL, brg_shared_opts(.size_bytes = 1), &error), BRG_INVALID);
    assert_null(shared);
}

static void it_grows_up_to_its_maximum_and_never_shrinks(void **state)
{
    (void)state;
    brg_shared *shared = NULL;
    assert_int_equal(
        brg_shared_create(&shared, brg_shared_opts(.size_bytes = 5, .size_max_bytes = (size_t)1 << 32), NULL), BRG_OK);
    void *data = brg_shared_data(shared);
    assert_int_equal(brg_shared_store32(shared, 4, 1), BRG_RANGE);
    assert_int_equal(brg_shared_grow(shared, 100000, NULL), BRG_OK);
    assert_int_equal(brg_shared_grow(shared, 8, NULL), BRG_OK);
    assert_int_equal(brg_shared_size(shared), 100000);
    assert_ptr_equal(brg_shared_data(shared), data);
    uint32_t word = 1;
    assert_int_equal(brg_shared_load32(shared, 99996, &word), BRG_OK);
    assert_int_equal(word, 0);
    assert_int_equal(brg_shared_grow(shared, ((size_t)1 << 32) + 1, NULL), BRG_RANGE);
    assert_int_equal(brg_shared_size(shared), 100000);
    brg_shared_unref(shared);
}

#define CHECK_WIDTH(bits, top)                                                                                         \
    static void atomics_of_##bits##_bits(void **state)                                                                 \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        brg_shared *shared = make_shared(64);                                                                          \
        uint##bits##_t old = 0, *word = (uint##bits##_t *)(void *)((char *)brg_shared_data(shared) + 8);               \
        assert_int_equal(brg_shared_store##bits(shared, 8, (top)), BRG_OK);                                            \
        assert_int_equal(brg_shared_add##bits(shared, 8, 2, &old), BRG_OK);                                            \
        assert_true(old == (top) && *word == 1);                                                                       \
        assert_int_equal(brg_shared_sub##bits(shared, 8, 2, &old), BRG_OK);                                            \
        assert_true(old == 1 && *word == (top));                                                                       \
        assert_int_equal(brg_shared_and##bits(shared, 8, 12, &old), BRG_OK);                                           \
        assert_true(old == (top) && *word == 12);                                                                      \
        assert_int_equal(brg_shared_or##bits(shared, 8, 3, &old), BRG_OK);                                             \
        assert_true(old == 12 && *word == 15);                                                                         \
        assert_int_equal(brg_shared_xor##bits(shared, 8, 5, NULL), BRG_OK);                                            \
        assert_true(*word == 10);                                                                                      \
        assert_int_equal(brg_shared_exchange##bits(shared, 8, 77, &old), BRG_OK);                                      \
        assert_true(old == 10 && *word == 77);                                                                         \
        assert_int_equal(brg_shared_compare_exchange##bits(shared, 8, 76, 1, &old), BRG_NOT_EQUAL);                    \
        assert_true(old == 77 && *word == 77);                                                                         \
        assert_int_equal(brg_shared_compare_exchange##bits(shared, 8, 77, 1, &old), BRG_OK);                           \
        assert_true(old == 77 && *word == 1);                                                                          \
        assert_int_equal(brg_shared_load##bits(shared, 8, &old), BRG_OK);                                              \
        assert_true(old == 1);                                                                                         \
        assert_true(((unsigned char *)brg_shared_data(shared))[8 + sizeof(old)] == 0);                                 \
        assert_int_equal(brg_shared_load##bits(shared, 8, NULL), BRG_INVALID);                                         \
        assert_int_equal(brg_shared_add##bits(shared, 64, 1, &old), BRG_RANGE);                                        \
        assert_int_equal(brg_shared_add##bits(shared, 65 - sizeof(old), 1, &old), BRG_RANGE);                          \
        assert_int_equal(brg_shared_add##bits(shared, SIZE_MAX, 1, &old), BRG_RANGE);                                  \
        if (sizeof(old) > 1)                                                                                           \
            assert_int_equal(brg_shared_store##bits(shared, 9, 1), BRG_INVALID);                                       \
        assert_true(brg_is_lock_free(sizeof(old)));                                                                    \
        brg_shared_unref(shared);                                                                                      \
    }

CHECK_WIDTH(8, UINT8_MAX)
CHECK_WIDTH(16, UINT16_MAX)
CHECK_WIDTH(32, UINT32_MAX)
CHECK_WIDTH(64, UINT64_MAX)

static void other_widths_are_not_lock_free(void **state)
{
    (void)state;
    const size_t widths[] = {0, 3, 5, 6, 7, 9, 12, 16, SIZE_MAX};
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
        assert_false(brg_is_lock_free(widths[i]));
}

static void add_many(brg_shared *shared)
{
    for (int i = 0; i < 20000; i++)
        brg_shared_add64(shared, 0, 1, NULL);
    if (brg_shared_size(shared) < 8192)
        child_check(brg_shared_grow(shared, 8192, NULL) == BRG_OK);
    brg_shared_store32(shared, 8188, 7);
}

static void processes_see_the_same_bytes_and_size(void **state)
{
    (void)state;
    brg_shared *shared = NULL;
    assert_int_equal(brg_shared_create(&shared, brg_shared_opts(.size_bytes = 64, .size_max_bytes = 8192), NULL),
                     BRG_OK);
    stranger strangers[2];
    for (int i = 0; i < 2; i++)
        stranger_start(&strangers[i], shared, add_many);
    for (int i = 0; i < 2; i++)
        stranger_must_succeed(&strangers[i]);
    uint64_t sum = 0;
    uint32_t last = 0;
    brg_shared_load64(shared, 0, &sum);
    assert_int_equal(sum, 40000);
    assert_int_equal(brg_shared_size(shared), 8192);
    assert_int_equal(brg_shared_load32(shared, 8188, &last), BRG_OK);
    assert_int_equal(last, 7);
    brg_shared_unref(shared);
}

static void ids_are_not_given_again(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64);
    uint32_t first = 0, second = 0;
    assert_int_equal(brg__shared_join(shared, &first), BRG_OK);
    assert_true(brg__shared_is_alive(shared, first));
    brg__shared_bury(shared, first);
    brg__shared_bury(shared, first);
    assert_false(brg__shared_is_alive(shared, first));
    assert_int_equal(brg__shared_join(shared, &second), BRG_OK);
    assert_int_not_equal(first, second);
    assert_false(brg__shared_is_alive(shared, first));
    brg__shared_bury(shared, first);
    assert_true(brg__shared_is_alive(shared, second));
    uint32_t count = 2, id = 0;
    while (brg__shared_join(shared, &id) == BRG_OK)
        count++;
    assert_int_equal(count, BRG__SHARED_PARTICIPANTS);
    assert_int_equal(brg__shared_join(shared, &id), BRG_FULL);
    brg_shared_unref(shared);
}

static void what_is_no_shared_memory_is_refused(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64), *opened = NULL;
    brg__region *region = brg__shared_region(shared);
    uint32_t id = 0;
    assert_int_equal(brg__shared_join(shared, &id), BRG_OK);
    assert_int_equal(brg__shared_from_region(&opened, region, 0, NULL), BRG_MALFORMED);
    assert_int_equal(brg__shared_from_region(&opened, region, id + 1, NULL), BRG_MALFORMED);
    assert_int_equal(brg__shared_from_region(&opened, region, UINT32_MAX, NULL), BRG_MALFORMED);
    brg__shared_header header = *shared->header;
    shared->header->magic ^= 1;
    assert_int_equal(brg__shared_from_region(&opened, region, id, NULL), BRG_MALFORMED);
    shared->header->magic = header.magic;
    shared->header->version++;
    assert_int_equal(brg__shared_from_region(&opened, region, id, NULL), BRG_MALFORMED);
    shared->header->version = header.version;
    const uint64_t sizes[] = {0, region->size, UINT64_MAX};
    for (int i = 0; i < 3; i++) {
        shared->header->size_max = sizes[i];
        assert_int_equal(brg__shared_from_region(&opened, region, id, NULL), BRG_MALFORMED);
    }
    shared->header->size_max = header.size_max;
    assert_null(opened);
    assert_int_equal(brg__shared_from_region(&opened, region, id, NULL), BRG_OK);
    brg_shared_unref(opened);
    brg_shared_unref(shared);
}

/* Whatever stands in the header and the tables, nothing is read or written outside and nothing hangs. */
static void garbage_in_the_header_does_no_harm(void **state)
{
    (void)state;
    uint32_t seed = 12345;
    for (int round = 0; round < 40; round++) {
        brg_shared *shared = make_shared(4096);
        uint32_t id = 0, woken = 0;
        brg__shared_join(shared, &id);
        unsigned char *header = (unsigned char *)shared->header;
        uint32_t *lock = &shared->header->xlock;
        for (size_t i = 64; i < sizeof(brg__shared_header); i++) {
            seed = seed * 1664525u + 1013904223u;
            header[i] = round % 4 == 0 ? 0xff : (unsigned char)(seed >> 24);
        }
        *lock = round % 2 == 0 ? 0 : *lock; /* a dead holder's id, or free */
        assert_true(brg_shared_size(shared) <= 4096);
        brg_shared_wait32(shared, 0, 0, 1000);
        brg_shared_notify(shared, 0, UINT32_MAX, &woken);
        brg__shared_bury(shared, id);
        brg_mutex_lock(shared, 64, 1000);
        brg_mutex_unlock(shared, 64);
        brg_shared_unref(shared);
    }
}

/* Each allocation and system call fails once: an error, nothing leaks, and the next try works. */
static void failing_calls_are_errors(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        brg_shared *shared = NULL;
        brg_token *token = NULL;
        brg__fault_arm(NULL, nth);
        brg_status status = brg_shared_create(&shared, brg_shared_opts(.size_bytes = 64, .size_max_bytes = 8192), NULL);
        if (status == BRG_OK)
            status = brg_shared_grow(shared, 8192, NULL);
        if (status == BRG_OK)
            status = brg_token_create(&token, NULL);
        if (status == BRG_OK) {
            brg_status waited = brg_shared_wait32(shared, 0, 0, 1000); /* the table's memory */
            status = waited == BRG_TIMED_OUT ? BRG_OK : waited;
        }
        bool fired = brg__fault_fired();
        brg__fault_disarm();
        brg_token_unref(token);
        brg_shared_unref(shared);
        if (!fired) {
            assert_int_equal(status, BRG_OK);
            assert_true(nth > 8);
            return;
        }
        assert_true(status == BRG_NO_MEMORY || status == BRG_SYSTEM || status == BRG_FULL || status == BRG_OK);
    }
}

typedef struct robbery {
    brg_shared *shared;
    uint32_t xdone;
} robbery;

static void notify_against_a_holder(void *argument)
{
    robbery *self = argument;
    brg_shared_notify(self->shared, 0, 1, NULL);
    brg_store_seq_cst(&self->xdone, 1u);
}

/* A living holder that never lets go of the table: a hostile or a stopped process. */
static void a_lock_that_is_never_given_back_is_taken(void **state)
{
    (void)state;
    robbery self = {.shared = make_shared(64)};
    brg__shared_header *header = self.shared->header;
    uint32_t id = 0;
    brg__thread thread;
    assert_int_equal(brg__shared_join(self.shared, &id), BRG_OK);
    brg__fake_clock_install(1000000);
    brg_store_seq_cst(&header->xlock, id);
    brg_store_seq_cst(&header->xwaiters, 1u);
    assert_int_equal(brg__thread_start(&thread, "notifier", 0, notify_against_a_holder, &self, NULL), BRG_OK);
    while (brg_load_seq_cst(&header->xlock) == id)
        sched_yield(); /* until it stands at the lock */
    assert_int_equal(brg_load_seq_cst(&self.xdone), 0);
    while (brg_load_seq_cst(&self.xdone) == 0) {
        brg__fake_clock_advance(BRG_MILLISECONDS(100));
        sched_yield();
    }
    brg__thread_join(&thread);
    brg__fake_clock_remove();
    assert_int_equal(header->xlock, 0);
    assert_int_equal(header->xwaiters, 0); /* repaired */
    brg_shared_unref(self.shared);
}

static void in_a_forked_child(void *argument)
{
    brg_shared *shared = argument;
    child_check(brg_shared_wait32(shared, 0, 0, BOUND) == BRG_FORKED);
    child_check(brg_shared_notify(shared, 0, 1, NULL) == BRG_FORKED);
    child_check(brg_shared_grow(shared, 1, NULL) == BRG_FORKED);
    child_check(brg_mutex_lock(shared, 0, BOUND) == BRG_FORKED);
    child_check(brg_shared_add32(shared, 128, 1, NULL) == BRG_OK);
    brg_shared_unref(shared);
}

static void a_forked_child_gets_errors_and_leaves_it_alone(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(256);
    assert_int_equal(test_wait(test_fork(in_a_forked_child, shared)), 0);
    assert_true(brg__shared_is_alive(shared, shared->participant));
    uint32_t word = 0;
    brg_shared_load32(shared, 128, &word);
    assert_int_equal(word, 1);
    brg_shared_unref(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_zero_and_there),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(it_grows_up_to_its_maximum_and_never_shrinks),
        cmocka_unit_test(atomics_of_8_bits),
        cmocka_unit_test(atomics_of_16_bits),
        cmocka_unit_test(atomics_of_32_bits),
        cmocka_unit_test(atomics_of_64_bits),
        cmocka_unit_test(other_widths_are_not_lock_free),
        cmocka_unit_test(processes_see_the_same_bytes_and_size),
        cmocka_unit_test(ids_are_not_given_again),
        cmocka_unit_test(what_is_no_shared_memory_is_refused),
        cmocka_unit_test(garbage_in_the_header_does_no_harm),
        cmocka_unit_test(a_forked_child_gets_errors_and_leaves_it_alone),
        cmocka_unit_test(failing_calls_are_errors),
        cmocka_unit_test(a_lock_that_is_never_given_back_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
