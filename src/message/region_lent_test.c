/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "message/region_fixture.h"

#ifndef MFD_HUGETLB
#define MFD_HUGETLB 4U
#endif

/* ---- lent ------------------------------------------------------------------------------------------------------- */

static int xidles, xgones;

static void count_idle(brg__region *region)
{
    assert_true(brg_load_relaxed(&region->xrefs) > 0);
    xidles++;
}

static void count_gone(brg__region *region)
{
    assert_ptr_equal(region->owner, &xgones);
    xgones++;
}

static brg__region *lend(const brg__region *from, bool writable)
{
    brg__region *region = NULL;
    int fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
    assert_int_equal(brg__region_open(&region, fd, from->size, writable, NULL), BRG_OK);
    assert_int_equal(region->fd, fd);
    assert_int_equal(region->xrefs, 1);
    assert_int_equal(region->xusers, 0);
    assert_true(region->is_lent);
    assert_int_equal(region->is_read_only, !writable);
    region->owner = &xgones;
    region->idle = count_idle;
    region->gone = count_gone;
    return region;
}

static void a_lent_one_is_the_same_memory_and_says_when_it_is_idle(void **state)
{
    (void)state;
    brg__region *maker = take(MB), *lent = lend(maker, true), *reader = lend(maker, false);
    xidles = xgones = 0;
    strcpy(lent->memory, "hello");
    assert_string_equal(maker->memory, "hello");
    assert_string_equal(reader->memory, "hello");
    for (int i = 1; i <= 3; i++) {
        brg__region_use(lent);
        brg__region_use(lent);
        brg__region_unuse(lent);
        assert_int_equal(xidles, i - 1);
        brg__region_unuse(lent);
        assert_int_equal(xidles, i);
    }
    assert_int_equal(xgones, 0);
    brg__region_unref(lent);
    brg__region_unref(reader);
    assert_int_equal(xgones, 2);
    assert_string_equal(maker->memory, "hello"); /* neither cached nor emptied */
    brg__region_unuse(maker);
}

static void expect_refused(int fd, size_t size, bool writable)
{
    brg__region *none = NULL;
    brg_error error = {0};
    assert_true(fd >= 0);
    assert_int_equal(brg__region_open(&none, fd, size, writable, &error), BRG_MALFORMED);
    assert_int_equal(error.status, BRG_MALFORMED);
    assert_null(none);
    assert_true(fcntl(fd, F_GETFD) >= 0); /* it is still the caller's */
}

static int memory_file(unsigned flags, size_t size, int seals)
{
    int fd = memfd_create("hostile", MFD_CLOEXEC | flags);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    if (seals != 0)
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void memory_files_that_could_fault_are_refused(void **state)
{
    (void)state;
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
    size_t page = brg__page_size();
    int fds[] = {
        memory_file(MFD_ALLOW_SEALING, MB, 0), memory_file(MFD_ALLOW_SEALING, MB, F_SEAL_SHRINK),
        memory_file(MFD_ALLOW_SEALING, MB, F_SEAL_GROW), memory_file(0, MB, 0), /* sealed, but not against that */
    };
    for (size_t i = 0; i < brg__count_of(fds); i++) {
        expect_refused(fds[i], MB, true);
        expect_refused(fds[i], MB, false);
        close(fds[i]);
    }
    int fd = memory_file(MFD_ALLOW_SEALING, MB, seals);
    expect_refused(fd, MB - page, true);
    expect_refused(fd, MB + page, true);
    expect_refused(fd, 0, true);
    expect_refused(fd, SIZE_MAX, true);
    expect_refused(fd, SIZE_MAX - page + 1, true);
    close(fd);
    fd = memory_file(MFD_ALLOW_SEALING, page + 1, seals);
    expect_refused(fd, page + 1, true);
    close(fd);
    fd = memory_file(MFD_ALLOW_SEALING, 0, seals);
    expect_refused(fd, 0, true);
    close(fd);
}

static void memory_files_that_cannot_be_written_are_refused_for_that(void **state)
{
    (void)state;
    char path[64];
    brg__region *region = NULL;
    int fd = memory_file(MFD_ALLOW_SEALING, MB, F_SEAL_SHRINK | F_SEAL_GROW);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int reader = open(path, O_RDONLY | O_CLOEXEC), writer = open(path, O_WRONLY | O_CLOEXEC);
    expect_refused(reader, MB, true);
    expect_refused(writer, MB, true);
    expect_refused(writer, MB, false);
    assert_int_equal(brg__region_open(&region, reader, MB, false, NULL), BRG_OK);
    brg__region_unref(region);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    expect_refused(fd, MB, true);
    assert_int_equal(brg__region_open(&region, fd, MB, false, NULL), BRG_OK);
    brg__region_unref(region);
    close(writer);
}

static void what_is_no_memory_file_is_refused(void **state)
{
    (void)state;
    int pipes[2];
    char path[] = "region-test-XXXXXX";
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    int file = mkostemp(path, O_CLOEXEC), folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ftruncate(file, (off_t)MB), 0);
    int fds[] = {pipes[0], pipes[1], file, folder};
    for (size_t i = 0; i < brg__count_of(fds); i++) {
        expect_refused(fds[i], MB, true);
        expect_refused(fds[i], MB, false);
        close(fds[i]);
    }
    brg__region *none = NULL;
    assert_int_equal(brg__region_open(&none, -1, MB, true, NULL), BRG_MALFORMED);
}

static void huge_pages_are_refused(void **state)
{
    (void)state;
    int fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
    if (fd < 0)
        skip(); /* this kernel has none */
    assert_int_equal(ftruncate(fd, (off_t)(32 * MB)), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    expect_refused(fd, 32 * MB, true);
    expect_refused(fd, 32 * MB, false);
    close(fd);
}

static void opening_fails_without_a_trace(void **state)
{
    (void)state;
    static const char *const entries[] = {"map", "allocate"};
    for (size_t i = 0; i < brg__count_of(entries); i++) {
        brg__region *none = NULL;
        int fd = memory_file(MFD_ALLOW_SEALING, MB, F_SEAL_SHRINK | F_SEAL_GROW);
        brg__fault_arm(entries[i], 1);
        assert_int_equal(brg__region_open(&none, fd, MB, true, NULL), BRG_NO_MEMORY);
        brg__fault_disarm();
        assert_null(none);
        assert_int_equal(close(fd), 0);
    }
}

/* ---- threads ------------------------------------------------------------------------------------------------ */

/* A link in short: lends and gives back under its lock, and is told by `idle` to look. */
typedef struct fake_link {
    brg__lock lock;
    brg__region *region;
    uint64_t receipts; /* under the lock */
    uint64_t released; /* by the one that looks */
    uint32_t xlook;
    uint32_t xlent;
} fake_link;

static void link_idle(brg__region *region)
{
    fake_link *link = region->owner;
    brg_store_release(&link->xlook, 1u);
}

static void link_look(fake_link *link)
{
    if (brg_exchange_acq_rel(&link->xlook, 0u) == 0)
        return;
    brg__lock_acquire(&link->lock);
    if (brg_load_acquire(&link->region->xusers) == 0) {
        link->released += link->receipts;
        link->receipts = 0;
        *(uint64_t *)link->region->memory += 1; /* the maker's again: ThreadSanitizer sees who still writes */
    }
    brg__lock_release(&link->lock);
}

static void borrow_and_let_go(void *argument)
{
    fake_link *link = argument;
    for (int i = 0; i < ROUNDS; i++) {
        brg__lock_acquire(&link->lock);
        brg__region_use(link->region);
        link->receipts++;
        brg__lock_release(&link->lock);
        brg_add_relaxed(&link->xlent, 1u);
        brg_add_relaxed((uint64_t *)link->region->memory + 1, (uint64_t)1);
        brg__region_unuse(link->region);
        if (i % 3 == 0)
            link_look(link);
    }
}

static void what_is_lent_again_and_again_is_all_given_back(void **state)
{
    (void)state;
    brg__region *maker = take(MB);
    fake_link link = {.region = lend(maker, true)};
    brg__lock_init(&link.lock, BRG__RANK_LEAF, "a link's table");
    link.region->owner = &link;
    link.region->idle = link_idle;
    link.region->gone = NULL;
    brg__thread threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(brg__thread_start(&threads[i], "borrower", 0, borrow_and_let_go, &link, NULL), BRG_OK);
    for (int i = 0; i < THREADS; i++)
        brg__thread_join(&threads[i]);
    link_look(&link);
    assert_int_equal(link.receipts, 0);
    assert_int_equal(link.released, THREADS * ROUNDS);
    assert_int_equal(link.xlent, THREADS * ROUNDS);
    assert_int_equal(link.region->xrefs, 1);
    brg__region_unref(link.region);
    brg__region_unuse(maker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        region_test(a_lent_one_is_the_same_memory_and_says_when_it_is_idle),
        region_test(memory_files_that_could_fault_are_refused),
        region_test(memory_files_that_cannot_be_written_are_refused_for_that),
        region_test(what_is_no_memory_file_is_refused),
        region_test(huge_pages_are_refused),
        region_test(opening_fails_without_a_trace),
        region_test(what_is_lent_again_and_again_is_all_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
