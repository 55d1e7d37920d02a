/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <brigade/value.h>

#include "base/util.h"
#include "message/object.h"
#include "os/atomic.h"
#include "os/fault.h"
#include "os/thread.h"

static int xreleases;

static void count_release(void *memory, void *user_data)
{
    assert_string_equal(memory, "wrapped");
    assert_ptr_equal(user_data, &xreleases);
    brg_add_relaxed(&xreleases, 1);
}

static brg_buffer *wrap(void)
{
    static char memory[] = "wrapped";
    brg_buffer *buffer = NULL;
    xreleases = 0;
    assert_int_equal(brg_buffer_wrap(&buffer, memory, sizeof(memory), count_release, &xreleases, NULL), BRG_OK);
    assert_ptr_equal(brg_buffer_data(buffer), memory);
    assert_int_equal(brg_buffer_size(buffer), sizeof(memory));
    return buffer;
}

static void created_buffers_are_zero_and_aligned(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 15, 4096, 1 << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        brg_buffer *buffer = NULL;
        assert_int_equal(brg_buffer_create(&buffer, sizes[i], NULL), BRG_OK);
        assert_int_equal(brg_buffer_size(buffer), sizes[i]);
        unsigned char *data = brg_buffer_data(buffer);
        assert_int_equal((uintptr_t)data % _Alignof(max_align_t), 0);
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(data[j], 0);
        memset(data, 0xa5, sizes[i]);
        brg_buffer_unref(buffer);
    }
    brg_buffer_unref(NULL);
}

static void wrapped_memory_is_released_once(void **state)
{
    (void)state;
    brg_buffer *buffer = wrap();
    assert_ptr_equal(brg_buffer_ref(buffer), buffer);
    brg_buffer_unref(buffer);
    assert_int_equal(xreleases, 0);
    brg_buffer_unref(buffer);
    assert_int_equal(xreleases, 1);
}

static void failure_leaves_the_memory_with_the_caller(void **state)
{
    (void)state;
    static char memory[4];
    brg_buffer *untouched = (brg_buffer *)memory, *buffer = untouched;
    brg_error error;
    xreleases = 0;
    assert_int_equal(brg_buffer_create(&buffer, (size_t)PTRDIFF_MAX + 1, &error), BRG_TOO_LARGE);
    assert_int_equal(brg_buffer_wrap(&buffer, memory, SIZE_MAX, count_release, &xreleases, &error), BRG_TOO_LARGE);
    assert_int_equal(brg_buffer_wrap(&buffer, NULL, 1, count_release, &xreleases, &error), BRG_INVALID);
    brg__fault_arm("allocate", 1);
    assert_int_equal(brg_buffer_create(&buffer, 1, &error), BRG_NO_MEMORY);
    brg__fault_arm("allocate", 1);
    assert_int_equal(brg_buffer_wrap(&buffer, memory, 4, count_release, &xreleases, &error), BRG_NO_MEMORY);
    brg__fault_disarm();
    assert_int_equal(error.status, BRG_NO_MEMORY);
    assert_ptr_equal(buffer, untouched);
    assert_int_equal(xreleases, 0);
}

#define MB ((size_t)1 << 20)

static brg_buffer *create(size_t size)
{
    brg_buffer *buffer = NULL;
    assert_int_equal(brg_buffer_create(&buffer, size, NULL), BRG_OK);
    return buffer;
}

static brg_buffer *slice(brg_buffer *buffer, size_t offset, size_t size)
{
    brg_buffer *part = NULL;
    assert_int_equal(brg_buffer_slice(&part, buffer, offset, size, NULL), BRG_OK);
    assert_int_equal(brg_buffer_size(part), size);
    return part;
}

static bool is_zero(const brg_buffer *buffer)
{
    const unsigned char *bytes = brg_buffer_bytes(buffer);
    size_t size = brg_buffer_size(buffer);
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static uint64_t region_id(const brg_buffer *buffer)
{
    size_t offset = 0;
    brg__region *region = brg__buffer_region(buffer, &offset);
    assert_non_null(region);
    return region->id;
}

/* ---- regions ---- */

static void large_ones_lie_in_regions(void **state)
{
    (void)state;
    brg_buffer *below = create(BRG_BUFFER_REGION_BYTES - 1), *from = create(BRG_BUFFER_REGION_BYTES), *small = NULL,
               *none = NULL;
    assert_false(brg_buffer_is_region(below));
    assert_true(brg_buffer_is_region(from));
    assert_int_equal(brg_buffer_create_region(&small, 5, NULL), BRG_OK);
    assert_true(brg_buffer_is_region(small));
    assert_int_equal(brg_buffer_size(small), 5);
    assert_true(is_zero(small));
    assert_int_equal(brg_buffer_create_region(&none, 0, NULL), BRG_OK);
    assert_int_equal(brg_buffer_size(none), 0);
    brg_buffer *part = slice(from, 4096, 10);
    size_t offset = 0;
    assert_true(brg_buffer_is_region(part));
    assert_non_null(brg__buffer_region(part, &offset));
    assert_int_equal(offset, 4096);
    brg_buffer *all[] = {below, from, small, none, part};
    for (size_t i = 0; i < brg__count_of(all); i++)
        brg_buffer_unref(all[i]);
}

static void a_region_used_again_is_zero_again(void **state)
{
    (void)state;
    brg__region_trim();
    brg_buffer *buffer = create(2 * MB);
    uint64_t id = region_id(buffer);
    memset(brg_buffer_data(buffer), 0xa5, 2 * MB);
    brg_buffer_unref(buffer);
    buffer = create(2 * MB);
    assert_int_equal(region_id(buffer), id);
    assert_true(is_zero(buffer));
    brg_buffer_unref(buffer);
}

/* Whoever is sent the buffer maps all of the region. */
static void nothing_old_is_left_behind_the_buffer(void **state)
{
    (void)state;
    brg__region_trim();
    brg_buffer *buffer = create(2 * MB), *from = create(MB + 100), *copy = NULL;
    memset(brg_buffer_data(from), 3, MB + 100);
    for (int round = 0; round < 2; round++) {
        uint64_t id = region_id(buffer);
        memset(brg_buffer_data(buffer), 0xa5, brg_buffer_size(buffer));
        brg_buffer_unref(buffer);
        if (round == 0)
            assert_int_equal(brg_buffer_copy(&copy, from, NULL), BRG_OK);
        else
            copy = create(MB + 100);
        assert_int_equal(region_id(copy), id);
        const unsigned char *bytes = brg_buffer_bytes(copy);
        assert_int_equal(bytes[MB + 99], round == 0 ? 3 : 0);
        for (size_t i = MB + 100; i < 2 * MB; i++)
            assert_int_equal(bytes[i], 0);
        buffer = copy;
    }
    brg_buffer_unref(buffer);
    brg_buffer_unref(from);
}

static void without_regions_the_heap_serves(void **state)
{
    (void)state;
    static const char *const entries[] = {"memfd", "truncate", "seal", "map"};
    brg__region_trim();
    for (size_t i = 0; i < brg__count_of(entries); i++) {
        brg__fault_arm(entries[i], 1);
        brg_buffer *buffer = create(MB), *none = NULL;
        assert_true(brg__fault_fired());
        assert_false(brg_buffer_is_region(buffer));
        assert_true(is_zero(buffer));
        brg__fault_arm(entries[i], 1);
        assert_int_not_equal(brg_buffer_create_region(&none, MB, NULL), BRG_OK);
        brg__fault_disarm();
        assert_null(none);
        brg_buffer_unref(buffer);
    }
}

static void without_descriptors_the_heap_serves(void **state)
{
    (void)state;
    struct rlimit before, none_left;
    brg__region_trim();
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none_left = before;
    none_left.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none_left), 0);
    brg_buffer *buffer = NULL, *none = NULL;
    brg_error error = {0};
    brg_status status = brg_buffer_create(&buffer, 3 * MB, &error);
    brg_status in_region = brg_buffer_create_region(&none, 3 * MB, &error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, BRG_OK);
    assert_false(brg_buffer_is_region(buffer));
    assert_true(is_zero(buffer));
    assert_int_equal(in_region, BRG_SYSTEM);
    assert_int_equal(error.os_errno, EMFILE);
    assert_null(none);
    brg_buffer_unref(buffer);
}

/* ---- copies and slices ---- */

static void a_copy_has_bytes_of_its_own(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 5000, MB, 3 * MB + 7};
    for (size_t i = 0; i < brg__count_of(sizes); i++) {
        brg_buffer *from = create(sizes[i]), *copy = NULL;
        memset(brg_buffer_data(from), 0x5a, sizes[i]);
        brg_buffer_freeze(from); /* of the original only */
        assert_int_equal(brg_buffer_copy(&copy, from, NULL), BRG_OK);
        assert_int_equal(brg_buffer_size(copy), sizes[i]);
        assert_false(brg_buffer_is_frozen(copy));
        assert_memory_equal(brg_buffer_bytes(copy), brg_buffer_bytes(from), sizes[i]);
        memset(brg_buffer_data(copy), 1, sizes[i]);
        assert_true(sizes[i] == 0 || *(const unsigned char *)brg_buffer_bytes(from) == 0x5a);
        brg_buffer_unref(from);
        assert_true(sizes[i] == 0 || *(const unsigned char *)brg_buffer_bytes(copy) == 1);
        brg_buffer_unref(copy);
    }
    brg_buffer *from = wrap(), *copy = NULL, *part = slice(from, 2, 3);
    assert_int_equal(brg_buffer_copy(&copy, part, NULL), BRG_OK);
    assert_int_equal(brg_buffer_size(copy), 3);
    assert_memory_equal(brg_buffer_bytes(copy), "app", 3);
    brg_buffer *untouched = copy;
    brg__fault_arm("allocate", 1);
    assert_int_equal(brg_buffer_copy(&untouched, from, NULL), BRG_NO_MEMORY);
    brg__fault_disarm();
    assert_ptr_equal(untouched, copy);
    brg_buffer_unref(copy);
    brg_buffer_unref(part);
    brg_buffer_unref(from);
}

static void slices_stay_inside(void **state)
{
    (void)state;
    brg_buffer *buffer = create(100), *part = slice(buffer, 10, 50), *none = NULL;
    assert_ptr_equal(brg_buffer_data(part), (char *)brg_buffer_data(buffer) + 10);
    static const size_t outside[][2] = {
        {0, 51}, {50, 1}, {51, 0}, {1, 50}, {SIZE_MAX, 1}, {1, SIZE_MAX}, {SIZE_MAX, SIZE_MAX}};
    for (size_t i = 0; i < brg__count_of(outside); i++) {
        brg_error error = {0};
        assert_int_equal(brg_buffer_slice(&none, part, outside[i][0], outside[i][1], &error), BRG_RANGE);
        assert_int_equal(error.status, BRG_RANGE);
    }
    brg__fault_arm("allocate", 1);
    assert_int_equal(brg_buffer_slice(&none, part, 0, 1, NULL), BRG_NO_MEMORY);
    brg__fault_disarm();
    assert_null(none);
    brg_buffer *end = slice(part, 50, 0), *whole = slice(part, 0, 50);
    assert_ptr_equal(brg_buffer_data(whole), brg_buffer_data(part));
    brg_buffer *all[] = {end, whole, part, buffer};
    for (size_t i = 0; i < brg__count_of(all); i++)
        brg_buffer_unref(all[i]);
}

static void slices_share_the_bytes_and_keep_them(void **state)
{
    (void)state;
    brg_buffer *buffer = wrap(), *part = slice(buffer, 1, 6), *inner = slice(part, 2, 3);
    brg_buffer_unref(part); /* the inner one is of the root */
    brg_buffer_unref(buffer);
    assert_int_equal(xreleases, 0);
    assert_memory_equal(brg_buffer_bytes(inner), "ppe", 3);
    brg_buffer_unref(inner);
    assert_int_equal(xreleases, 1);

    buffer = create(2 * MB);
    part = slice(buffer, MB, 10);
    ((unsigned char *)brg_buffer_data(part))[3] = 9;
    assert_int_equal(((const unsigned char *)brg_buffer_bytes(buffer))[MB + 3], 9);
    uint64_t id = region_id(buffer);
    brg_buffer_unref(buffer);
    brg_buffer *other = create(2 * MB);
    assert_int_not_equal(region_id(other), id); /* the slice has it */
    assert_int_equal(((const unsigned char *)brg_buffer_bytes(part))[3], 9);
    brg_buffer_unref(part);
    brg_buffer_unref(other);
}

/* ---- frozen ---- */

static void freezing_is_for_all_handles(void **state)
{
    (void)state;
    brg_buffer *made[] = {create(100), create(MB), wrap()};
    for (size_t i = 0; i < brg__count_of(made); i++) {
        brg_buffer *before = slice(made[i], 0, 8), *inner = slice(before, 2, 2);
        assert_false(brg_buffer_is_frozen(made[i]));
        assert_non_null(brg_buffer_data(inner));
        brg_buffer_freeze(inner);
        brg_buffer_freeze(before);
        brg_buffer *after = slice(made[i], 1, 1), *handles[] = {made[i], before, inner, after};
        for (size_t j = 0; j < brg__count_of(handles); j++) {
            assert_true(brg_buffer_is_frozen(handles[j]));
            assert_null(brg_buffer_data(handles[j]));
            assert_non_null(brg_buffer_bytes(handles[j]));
            brg_buffer_unref(handles[j]);
        }
    }
    assert_int_equal(xreleases, 1);
}

/* As when a region comes back from another process while a handle on it is still here. */
static void two_roots_on_one_region_freeze_together(void **state)
{
    (void)state;
    size_t offset = 0;
    brg_buffer *first = create(MB), *second = NULL;
    assert_int_equal(brg__buffer_from_region(&second, brg__buffer_region(first, &offset), 10, 20, false, NULL), BRG_OK);
    assert_false(brg_buffer_is_frozen(second));
    brg_buffer_freeze(first);
    assert_null(brg_buffer_data(second));
    brg_buffer_unref(first);
    assert_true(brg_buffer_is_frozen(second));
    brg_buffer_unref(second);
}

/* Whatever the one who sent it says: writing would fault. */
static void a_region_mapped_for_reading_is_frozen(void **state)
{
    (void)state;
    size_t offset = 0;
    brg_buffer *made = create(MB), *received = NULL;
    brg__region *from = brg__buffer_region(made, &offset), *lent = NULL;
    strcpy(brg_buffer_data(made), "mine");
    assert_int_equal(brg__region_open(&lent, fcntl(from->fd, F_DUPFD_CLOEXEC, 0), from->size, false, NULL), BRG_OK);
    assert_int_equal(brg__buffer_from_region(&received, lent, 0, 10, false, NULL), BRG_OK);
    assert_null(brg_buffer_data(received));
    assert_string_equal(brg_buffer_bytes(received), "mine");
    brg__region_unref(lent);
    brg_buffer_unref(received);
    brg_buffer_unref(made);
}

static void see_it_frozen(void *argument)
{
    brg_buffer *part = slice(argument, 1, 3);
    while (!brg_buffer_is_frozen(part))
        brg_buffer_unref(brg_buffer_ref(part));
    assert_memory_equal(brg_buffer_bytes(part), "ead", 3); /* what was written before */
    brg_buffer_unref(part);
    brg_buffer_unref(argument);
}

static void other_threads_see_it_frozen(void **state)
{
    (void)state;
    for (size_t size = 100; size <= MB; size += MB - 100) {
        brg_buffer *buffer = create(size);
        brg__thread thread;
        assert_int_equal(brg__thread_start(&thread, "reader", 0, see_it_frozen, brg_buffer_ref(buffer), NULL), BRG_OK);
        memcpy(brg_buffer_data(buffer), "read", 4);
        brg_buffer_freeze(buffer);
        brg_buffer_unref(buffer);
        brg__thread_join(&thread);
    }
}

static void value_holds_its_buffer_and_shares_it(void **state)
{
    (void)state;
    brg_buffer *buffer = wrap();
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_buffer(builder, &buffer);
    assert_null(buffer);
    assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
    brg_builder_destroy(builder);
    buffer = brg_buffer_ref(brg_view_buffer(brg_value_root(value)));
    brg_value_unref(value);
    assert_int_equal(xreleases, 0);
    assert_string_equal(brg_buffer_data(buffer), "wrapped");
    brg_buffer_unref(buffer);
    assert_int_equal(xreleases, 1);
}

static void builder_that_is_dropped_releases(void **state)
{
    (void)state;
    brg_buffer *buffer = wrap();
    brg_builder *builder = NULL;
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_list(builder);
    brg_builder_buffer(builder, &buffer);
    brg_builder_destroy(builder);
    assert_int_equal(xreleases, 1);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void hold_and_let_go(void *argument)
{
    brg_buffer *buffer = argument;
    for (int i = 0; i < ROUNDS; i++)
        brg_buffer_unref(brg_buffer_ref(buffer));
    brg_buffer_unref(buffer);
}

static void last_of_many_threads_releases(void **state)
{
    (void)state;
    brg_buffer *buffer = wrap();
    brg__thread threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(brg__thread_start(&threads[i], "holder", 0, hold_and_let_go, brg_buffer_ref(buffer), NULL),
                         BRG_OK);
    brg_buffer_unref(buffer);
    for (int i = 0; i < THREADS; i++)
        brg__thread_join(&threads[i]);
    assert_int_equal(brg_load_relaxed(&xreleases), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(created_buffers_are_zero_and_aligned),
        cmocka_unit_test(wrapped_memory_is_released_once),
        cmocka_unit_test(failure_leaves_the_memory_with_the_caller),
        cmocka_unit_test(large_ones_lie_in_regions),
        cmocka_unit_test(a_region_used_again_is_zero_again),
        cmocka_unit_test(nothing_old_is_left_behind_the_buffer),
        cmocka_unit_test(without_regions_the_heap_serves),
        cmocka_unit_test(without_descriptors_the_heap_serves),
        cmocka_unit_test(a_copy_has_bytes_of_its_own),
        cmocka_unit_test(slices_stay_inside),
        cmocka_unit_test(slices_share_the_bytes_and_keep_them),
        cmocka_unit_test(freezing_is_for_all_handles),
        cmocka_unit_test(two_roots_on_one_region_freeze_together),
        cmocka_unit_test(a_region_mapped_for_reading_is_frozen),
        cmocka_unit_test(other_threads_see_it_frozen),
        cmocka_unit_test(value_holds_its_buffer_and_shares_it),
        cmocka_unit_test(builder_that_is_dropped_releases),
        cmocka_unit_test(last_of_many_threads_releases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
