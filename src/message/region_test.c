/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "message/region_fixture.h"

enum { CACHE_COUNT = 16 };
#define CACHE_BYTES (256 * MB)

static uint64_t blocks(int fd)
{
    struct stat about;
    assert_int_equal(fstat(fd, &about), 0);
    return (uint64_t)about.st_blocks;
}

static bool is_zero(const void *memory, size_t size)
{
    const unsigned char *bytes = memory;
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* ---- made here ------------------------------------------------------------------------------------------------ */

static void fresh_ones_are_zero_whole_pages_and_sealed(void **state)
{
    (void)state;
    brg__region *region = take(10000);
    assert_int_equal(region->size % brg__page_size(), 0);
    assert_true(region->size < 10000 + brg__page_size());
    assert_true(is_zero(region->memory, region->size));
    int seals = fcntl(region->fd, F_GET_SEALS);
    assert_int_equal(seals & (F_SEAL_SHRINK | F_SEAL_GROW), F_SEAL_SHRINK | F_SEAL_GROW);
    assert_int_equal(ftruncate(region->fd, 0), -1);
    brg__region_unuse(region);
    brg__region *none = NULL;
    assert_int_equal(brg__region_take(&none, SIZE_MAX, true, NULL), BRG_TOO_LARGE);
    assert_null(none);
}

static void idle_ones_come_back(void **state)
{
    (void)state;
    brg__region *region = take(MB), *other;
    uint64_t id = region->id;
    void *memory = region->memory;
    brg__region_unuse(region);
    other = take(MB);
    assert_int_equal(other->id, id);
    assert_ptr_equal(other->memory, memory);
    assert_true(other->is_dirty);
    brg__region *second = take(MB);
    assert_int_not_equal(second->id, id);
    brg__region_unuse(other);
    brg__region_unuse(second);
}

static void other_sizes_and_fresh_ones_are_not_served_from_the_cache(void **state)
{
    (void)state;
    brg__region *region = take(4 * MB), *fresh = NULL;
    uint64_t id = region->id;
    brg__region_unuse(region);
    assert_int_equal(brg__region_take(&fresh, 4 * MB, false, NULL), BRG_OK);
    assert_int_not_equal(fresh->id, id);
    assert_false(fresh->is_dirty);
    brg__region *larger = take(4 * MB + 1), *small = take(2 * MB - brg__page_size());
    assert_int_not_equal(larger->id, id);
    assert_int_not_equal(small->id, id);
    brg__region *half = take(2 * MB);
    assert_int_equal(half->id, id);
    brg__region *all[] = {fresh, larger, small, half};
    for (size_t i = 0; i < brg__count_of(all); i++)
        brg__region_unuse(all[i]);
}

static void the_best_fit_is_taken_and_of_equals_the_newest(void **state)
{
    (void)state;
    brg__region *all[] = {take(8 * MB), take(6 * MB), take(5 * MB), take(5 * MB), take(7 * MB)};
    uint64_t newest = all[3]->id, best_of_six = all[1]->id;
    for (size_t i = 0; i < brg__count_of(all); i++)
        brg__region_unuse(all[i]);
    brg__region *five = take(5 * MB), *six = take(5 * MB + 1);
    assert_int_equal(five->id, newest);
    assert_int_equal(six->id, best_of_six);
    brg__region_unuse(five);
    brg__region_unuse(six);
}

static void the_cache_is_bounded_in_number_and_bytes(void **state)
{
    (void)state;
    brg__region *all[CACHE_COUNT + 5];
    for (size_t i = 0; i < brg__count_of(all); i++)
        all[i] = take(MB);
    uint64_t oldest = all[0]->id;
    for (size_t i = 0; i < brg__count_of(all); i++)
        brg__region_unuse(all[i]);
    assert_int_equal(open_fds(), fds_before + CACHE_COUNT);
    for (size_t i = 0; i < CACHE_COUNT; i++) {
        all[i] = take(MB);
        assert_true(all[i]->id > oldest + 4); /* the oldest went */
        assert_true(all[i]->is_dirty);
    }
    for (size_t i = 0; i < CACHE_COUNT; i++)
        brg__region_unuse(all[i]);
    brg__region_trim();
    assert_int_equal(open_fds(), fds_before);

    brg__region *big[] = {take(CACHE_BYTES / 2), take(CACHE_BYTES / 2), take(CACHE_BYTES / 2)};
    brg__region *huge = take(CACHE_BYTES + 1);
    for (size_t i = 0; i < brg__count_of(big); i++)
        brg__region_unuse(big[i]);
    assert_int_equal(open_fds(), fds_before + 3); /* two of them, and the huge one */
    brg__region_unuse(huge);
    assert_int_equal(open_fds(), fds_before + 2);
}

static void clearing_touches_no_page_that_was_never_written(void **state)
{
    (void)state;
    size_t page = brg__page_size();
    brg__region *region = take(64 * page);
    unsigned char *bytes = region->memory;
    memset(bytes, 1, page);
    memset(bytes + 10 * page + 5, 2, 2 * page);
    memset(bytes + 63 * page, 3, page);
    uint64_t before = blocks(region->fd);
    brg__region_unuse(region);
    region = take(64 * page);
    assert_int_equal(bytes[10 * page + 5], 2); /* the same, as it was */
    brg__region_clear(region, 11 * page);
    assert_int_equal(bytes[11 * page - 1], 2);
    assert_int_equal(blocks(region->fd), before);
    brg__region_clear(region, 0);
    assert_int_equal(blocks(region->fd), before);
    assert_true(is_zero(bytes, region->size));
    memset(bytes, 4, region->size); /* and with every page there */
    brg__region_clear(region, page - 1);
    assert_int_equal(bytes[page - 2], 4);
    assert_true(is_zero(bytes + page - 1, region->size - page + 1));
    brg__region_unuse(region);
}

static void what_a_worker_saw_is_emptied_and_never_used_again(void **state)
{
    (void)state;
    brg__region *region = take(MB);
    uint64_t id = region->id;
    memset(region->memory, 7, region->size);
    brg__region_ref(region); /* a link's */
    brg__region_expose(region);
    assert_int_not_equal(blocks(region->fd), 0);
    brg__region_unuse(region);
    assert_int_equal(brg_load_acquire(&region->xretired), 1);
    assert_int_equal(blocks(region->fd), 0);
    assert_int_equal(*(unsigned char *)region->memory, 0);
    brg__region *other = take(MB);
    assert_int_not_equal(other->id, id);
    brg__region_unuse(other);
    brg__region_unref(region);
}

static void trimmed_ones_are_emptied(void **state)
{
    (void)state;
    brg__region *region = take(MB);
    brg__region_ref(region);
    memset(region->memory, 7, region->size);
    brg__region_unuse(region);
    assert_int_not_equal(blocks(region->fd), 0);
    assert_int_equal(brg_load_acquire(&region->xretired), 0);
    brg__region_trim();
    assert_int_equal(blocks(region->fd), 0);
    assert_int_equal(brg_load_acquire(&region->xretired), 1);
    brg__region_unref(region);
}

static void frozen_ones_cannot_be_mapped_for_writing_and_are_not_used_again(void **state)
{
    (void)state;
    brg__region *region = take(MB);
    uint64_t id = region->id;
    int fd = region->fd;
    strcpy(region->memory, "before");
    brg__region_freeze(region);
    brg__region_freeze(region);
    if ((fcntl(fd, F_GET_SEALS) & F_SEAL_FUTURE_WRITE) != 0) { /* Linux 5.1 */
        assert_ptr_equal(mmap(NULL, region->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
        assert_int_equal(errno, EPERM);
        void *reader = mmap(NULL, region->size, PROT_READ, MAP_SHARED, fd, 0);
        assert_ptr_not_equal(reader, MAP_FAILED);
        assert_string_equal(reader, "before");
        munmap(reader, region->size);
    }
    brg__region_unuse(region);
    brg__region *other = take(MB);
    assert_int_not_equal(other->id, id);
    brg__region_unuse(other);
}

static void freezing_where_the_kernel_has_no_seal_is_a_flag(void **state)
{
    (void)state;
    brg__region *region = take(MB);
    brg__fault_arm("seal", 1);
    brg__region_freeze(region);
    assert_true(brg__fault_fired());
    brg__fault_disarm();
    assert_int_equal(brg_load_acquire(&region->xfrozen), 1);
    brg__region_unuse(region);
    assert_int_equal(open_fds(), fds_before); /* not in the cache */
}

static void failures_leave_nothing_behind(void **state)
{
    (void)state;
    static const struct {
        const char *entry;
        brg_status status;
    } failures[] = {{"memfd", BRG_SYSTEM},
                    {"truncate", BRG_SYSTEM},
                    {"seal", BRG_SYSTEM},
                    {"map", BRG_NO_MEMORY},
                    {"allocate", BRG_NO_MEMORY}};
    for (size_t i = 0; i < brg__count_of(failures); i++) {
        brg__region *none = NULL;
        brg_error error = {0};
        brg__fault_arm(failures[i].entry, 1);
        assert_int_equal(brg__region_take(&none, MB, true, &error), failures[i].status);
        assert_true(brg__fault_fired());
        brg__fault_disarm();
        assert_int_equal(error.status, failures[i].status);
        assert_null(none);
        assert_int_equal(open_fds(), fds_before);
    }
}

/* A link that finds it by its number: what the other process should not have named any more. */
static void one_that_is_raised_from_the_cache_is_not_served_from_there(void **state)
{
    (void)state;
    brg__region *region = take(MB);
    uint64_t id = region->id;
    brg__region_ref(region); /* the link's */
    brg__region_unuse(region);
    brg__region_use(region);
    brg__region *other = take(MB);
    assert_int_not_equal(other->id, id);
    memset(region->memory, 5, region->size);
    brg__region_unuse(region);
    brg__region *again = take(MB);
    assert_int_equal(again->id, id);
    brg__region_unuse(again);

    brg__region_use(region);
    brg__region_trim(); /* in use: not emptied */
    assert_int_equal(*(unsigned char *)region->memory, 5);
    assert_int_equal(brg_load_acquire(&region->xretired), 0);
    brg__region_unuse(region);
    brg__region_trim();
    assert_int_equal(brg_load_acquire(&region->xretired), 1);
    brg__region_use(region); /* later still */
    brg__region_unuse(region);
    brg__region_unref(region);
    brg__region_unuse(other);
}

/* ---- forks ------------------------------------------------------------------------------------------------------ */

typedef struct fork_pair {
    brg__region *cached;
    brg__region *used;
} fork_pair;

static void use_the_parents(void *argument)
{
    fork_pair *pair = argument;
    brg__region *region = NULL;
    child_check(brg__region_take(&region, MB, true, NULL) == BRG_OK && region->id != pair->cached->id);
    uint64_t id = region->id;
    brg__region_unuse(region);
    child_check(brg__region_take(&region, MB, true, NULL) == BRG_OK && region->id == id); /* its own it uses again */
    brg__region_expose(pair->used);
    brg__region_unuse(pair->used);
    brg__region_trim();
}

static void a_forked_child_leaves_its_parents_alone(void **state)
{
    (void)state;
    fork_pair pair = {take(MB), take(MB)};
    memset(pair.cached->memory, 1, MB);
    memset(pair.used->memory, 2, MB);
    brg__region_unuse(pair.cached);
    assert_int_equal(test_wait(test_fork(use_the_parents, &pair)), 0);
    assert_int_equal(((unsigned char *)pair.used->memory)[MB - 1], 2);
    assert_int_equal(((unsigned char *)pair.cached->memory)[MB - 1], 1);
    brg__region_unuse(pair.used);
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

static void take_write_and_let_go(void *argument)
{
    unsigned char mark = *(unsigned char *)argument;
    for (int i = 0; i < ROUNDS; i++) {
        brg__region *region = NULL;
        size_t size = (1 + (size_t)(i % 5)) << 16;
        assert_int_equal(brg__region_take(&region, size, true, NULL), BRG_OK);
        unsigned char *bytes = region->memory;
        bytes[0] = bytes[size - 1] = mark;
        brg__region_use(region);
        brg__region_unuse(region);
        assert_int_equal(bytes[0], mark); /* nobody else has it */
        assert_int_equal(bytes[size - 1], mark);
        if (i % 64 == 0)
            brg__region_expose(region);
        if (i % 97 == 0)
            brg__region_trim();
        brg__region_unuse(region);
    }
}

static void no_two_threads_have_one_region(void **state)
{
    (void)state;
    brg__thread threads[THREADS];
    unsigned char marks[THREADS];
    for (int i = 0; i < THREADS; i++) {
        marks[i] = (unsigned char)(i + 1);
        assert_int_equal(brg__thread_start(&threads[i], "taker", 0, take_write_and_let_go, &marks[i], NULL), BRG_OK);
    }
    for (int i = 0; i < THREADS; i++)
        brg__thread_join(&threads[i]);
    assert_true(open_fds() <= fds_before + CACHE_COUNT);
}

/* Raised from zero by one thread while others take from the cache and trim it. */
static void raise_and_let_go(void *argument)
{
    brg__region *region = argument;
    for (int i = 0; i < ROUNDS; i++) {
        brg__region_use(region);
        brg__region_unuse(region);
    }
}

static void raising_from_zero_breaks_nothing(void **state)
{
    (void)state;
    brg__region *region = take(1 << 16);
    unsigned char marks[THREADS];
    brg__thread threads[THREADS];
    brg__region_ref(region);
    brg__region_unuse(region);
    for (int i = 0; i < THREADS; i++) {
        marks[i] = (unsigned char)(i + 1);
        bool raises = i % 2 == 0;
        assert_int_equal(brg__thread_start(&threads[i], "raiser", 0, raises ? raise_and_let_go : take_write_and_let_go,
                                           raises ? (void *)region : &marks[i], NULL),
                         BRG_OK);
    }
    for (int i = 0; i < THREADS; i++)
        brg__thread_join(&threads[i]);
    brg__region_trim();
    assert_int_equal(region->xusers, 0);
    assert_int_equal(region->xrefs, 1);
    assert_false(region->is_cached);
    brg__region_unref(region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        region_test(fresh_ones_are_zero_whole_pages_and_sealed),
        region_test(idle_ones_come_back),
        region_test(other_sizes_and_fresh_ones_are_not_served_from_the_cache),
        region_test(the_best_fit_is_taken_and_of_equals_the_newest),
        region_test(the_cache_is_bounded_in_number_and_bytes),
        region_test(clearing_touches_no_page_that_was_never_written),
        region_test(what_a_worker_saw_is_emptied_and_never_used_again),
        region_test(trimmed_ones_are_emptied),
        region_test(frozen_ones_cannot_be_mapped_for_writing_and_are_not_used_again),
        region_test(freezing_where_the_kernel_has_no_seal_is_a_flag),
        region_test(failures_leave_nothing_behind),
        region_test(one_that_is_raised_from_the_cache_is_not_served_from_there),
        region_test(a_forked_child_leaves_its_parents_alone),
        region_test(no_two_threads_have_one_region),
        region_test(raising_from_zero_breaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
