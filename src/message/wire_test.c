/* SPDX-License-Identifier: MIT */
/* Values as one stretch of bytes: there and back, truncated, mutated, changed while they are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "message/value_fixture.h"
#include "message/wire.h"
#include "os/atomic.h"
#include "os/fault.h"
#include "os/thread.h"

#define MUTATIONS 30000

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

/* In memory of exactly its size, so that a byte too far is seen. */
static unsigned char *write_out(const brg_value *value, size_t *size)
{
    *size = brg__wire_size(value, NULL);
    unsigned char *bytes = malloc(*size);
    memset(bytes, 0xaa, *size);
    brg__wire_write(value, NULL, bytes);
    return bytes;
}

static void values_there_and_back(void **state)
{
    (void)state;
    for (int with_buffers = 0; with_buffers < 2; with_buffers++) {
        brg_value *value = build_everything(with_buffers != 0), *read = NULL;
        size_t size;
        unsigned char *bytes = write_out(value, &size);
        assert_int_equal(size % 8, 0);
        assert_int_equal(brg__wire_read(&read, NULL, bytes, size, NULL), BRG_OK);
        memset(bytes, 0xff, size); /* nothing of it is looked at again */
        free(bytes);
        assert_true(brg_view_equal(brg_value_root(value), brg_value_root(read)));
        assert_int_equal(brg_value_size_with_buffers(read), brg_value_size_with_buffers(value));
        fixture_check_whole(read);
        brg_value_unref(read);
        brg_value_unref(value);
    }
}

static void no_value_is_no_bytes(void **state)
{
    (void)state;
    brg_value *read = (brg_value *)state;
    assert_int_equal(brg__wire_size(NULL, NULL), 0);
    brg__wire_write(NULL, NULL, NULL);
    assert_int_equal(brg__wire_read(&read, NULL, NULL, 0, NULL), BRG_OK);
    assert_null(read);
}

static void any_truncation_is_refused(void **state)
{
    (void)state;
    brg_value *value = build_everything(true);
    size_t size;
    unsigned char *bytes = write_out(value, &size);
    for (size_t cut = 1; cut < size; cut++) {
        unsigned char *exact = malloc(cut);
        brg_value *read = value;
        brg_error error;
        memcpy(exact, bytes, cut);
        assert_int_equal(brg__wire_read(&read, NULL, exact, cut, &error), BRG_MALFORMED);
        assert_ptr_equal(read, value);
        free(exact);
    }
    unsigned char *longer = calloc(1, size + 8);
    brg_value *read = value;
    memcpy(longer, bytes, size);
    assert_int_equal(brg__wire_read(&read, NULL, longer, size + 8, NULL), BRG_MALFORMED);
    assert_int_equal(brg__wire_read(&read, NULL, longer + 1, size, NULL), BRG_MALFORMED);
    free(longer);
    free(bytes);
    brg_value_unref(value);
}

static void lying_sizes_are_refused(void **state)
{
    (void)state;
    brg_value *value = build_everything(true);
    size_t size;
    unsigned char *bytes = write_out(value, &size);
    static const uint64_t lies[] = {0,
                                    1,
                                    8,
                                    1u << 20,
                                    UINT32_MAX,
                                    UINT64_MAX,
                                    UINT64_MAX - 7,
                                    UINT64_MAX - 15,
                                    (uint64_t)INT64_MAX,
                                    (uint64_t)1 << 31,
                                    ((uint64_t)1 << 31) + 8};
    static const size_t places[] = {0, 1, 5, 11}; /* block, count, and the size of each buffer */
    for (size_t place = 0; place < sizeof(places) / sizeof(*places); place++) {
        size_t word = places[place];
        uint64_t truth;
        memcpy(&truth, bytes + word * 8, 8);
        for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
            brg_value *read = value;
            if (lies[i] == truth || (word >= 2 && (lies[i] + 7) / 8 == (truth + 7) / 8))
                continue;
            memcpy(bytes + word * 8, &lies[i], 8);
            brg_status status = brg__wire_read(&read, NULL, bytes, size, NULL);
            assert_true(status == BRG_MALFORMED || (word == 0 && status == BRG_TOO_LARGE));
            assert_ptr_equal(read, value);
        }
        memcpy(bytes + word * 8, &truth, 8);
    }
    free(bytes);
    brg_value_unref(value);
}

static void mutated_bytes_never_crash(void **state)
{
    (void)state;
    uint64_t random = 42, accepted = 0, refused = 0;
    brg_value *value = build_everything(true);
    size_t whole;
    unsigned char *bytes = write_out(value, &whole);
    for (int i = 0; i < MUTATIONS; i++) {
        unsigned char *copy = malloc(whole);
        memcpy(copy, bytes, whole);
        size_t size = fixture_mutate(copy, whole, &random);
        copy = realloc(copy, size);
        brg_value *read = NULL;
        brg_status status = brg__wire_read(&read, NULL, copy, size, NULL);
        free(copy);
        if (status == BRG_OK)
            fixture_check(read, false);
        else
            assert_true(status == BRG_MALFORMED || status == BRG_TOO_LARGE);
        accepted += status == BRG_OK;
        refused += status != BRG_OK;
        brg_value_unref(read);
    }
    assert_true(accepted > MUTATIONS / 100 && refused > MUTATIONS / 4);
    free(bytes);
    brg_value_unref(value);
}

typedef struct vandal {
    uint64_t *words;
    size_t word_count;
    bool xstop;
} vandal;

static void scribble(void *argument)
{
    vandal *self = argument;
    uint64_t random = 99;
    while (!brg_load_acquire(&self->xstop)) { /* pairs with the release in the test */
        uint64_t *word = &self->words[fixture_random(&random) % self->word_count];
        uint64_t truth = brg_load_relaxed(word);
        brg_store_relaxed(word, fixture_random(&random) % 3 == 0 ? fixture_random(&random) : truth ^ 8);
        brg_store_relaxed(word, truth);
    }
}

/* Under ThreadSanitizer the copy would be reported, and rightly: the peer races on purpose. */
#if defined(__SANITIZE_THREAD__)
__attribute__((no_sanitize("thread")))
#endif
static void
bytes_that_change_meanwhile_never_crash(void **state)
{
    (void)state;
#if defined(__SANITIZE_THREAD__)
    skip();
#endif
    brg_value *value = build_everything(true);
    size_t size;
    unsigned char *bytes = write_out(value, &size);
    vandal peer = {(uint64_t *)(void *)bytes, size / 8, false};
    brg__thread thread;
    assert_int_equal(brg__thread_start(&thread, "vandal", 0, scribble, &peer, NULL), BRG_OK);
    for (int i = 0; i < 20000; i++) {
        brg_value *read = NULL;
        brg_status status = brg__wire_read(&read, NULL, bytes, size, NULL);
        if (status == BRG_OK)
            fixture_check(read, false);
        brg_value_unref(read);
    }
    brg_store_release(&peer.xstop, true);
    brg__thread_join(&thread);
    free(bytes);
    brg_value_unref(value);
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    brg_value *value = build_everything(true);
    size_t size;
    unsigned char *bytes = write_out(value, &size);
    uint64_t nth = 1;
    for (bool fired = true; fired; nth++) {
        brg_value *read = NULL;
        brg__fault_arm(NULL, nth);
        brg_status status = brg__wire_read(&read, NULL, bytes, size, NULL);
        fired = brg__fault_fired();
        brg__fault_disarm();
        assert_int_equal(status, fired ? BRG_NO_MEMORY : BRG_OK);
        brg_value_unref(read);
    }
    assert_int_equal(nth, 7); /* the value, scratch for the keys of a map, the array, two buffers; then none */
    free(bytes);
    brg_value_unref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_there_and_back),
        cmocka_unit_test(no_value_is_no_bytes),
        cmocka_unit_test(any_truncation_is_refused),
        cmocka_unit_test(lying_sizes_are_refused),
        cmocka_unit_test(mutated_bytes_never_crash),
        cmocka_unit_test(bytes_that_change_meanwhile_never_crash),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
