/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <brigade/value.h>

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
        cmocka_unit_test(value_holds_its_buffer_and_shares_it),
        cmocka_unit_test(builder_that_is_dropped_releases),
        cmocka_unit_test(last_of_many_threads_releases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
