/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "os/fault.h"
#include "os/fd.h"
#include "os/memory.h"

#define SIZE ((size_t)1 << 20)

static bool all_are(const char *bytes, size_t size, char value)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

static void calloc_zeroes_and_checks(void **state)
{
    (void)state;
    char *memory = brg__calloc(100, 10);
    assert_true(all_are(memory, 1000, 0));
    memory = brg__realloc(memory, 2000);
    assert_true(all_are(memory, 1000, 0));
    brg_free(memory);
    brg_free(NULL);
    volatile size_t huge = SIZE_MAX / 2;
    assert_null(brg__calloc(huge, 3));
    assert_null(brg__calloc_aligned(SIZE_MAX));
    void *empty = brg__malloc(0);
    assert_non_null(empty);
    brg__mfree(empty);
}

static void aligned_memory_is_aligned_and_zeroed(void **state)
{
    (void)state;
    for (size_t size = 1; size < 300; size += 37) {
        char *memory = brg__calloc_aligned(size);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 64, 0);
        assert_true(all_are(memory, size, 0));
        memset(memory, 1, size);
        brg__mfree_aligned(memory);
    }
    brg__mfree_aligned(NULL);
}

static void strdup_copies(void **state)
{
    (void)state;
    char *copy = brg__strdup("brigade");
    assert_string_equal(copy, "brigade");
    brg__mfree(copy);
}

static void errno_becomes_a_status(void **state)
{
    (void)state;
    brg_error error;
    assert_int_equal(brg__error_errno(&error, "opening", ENOENT), BRG_SYSTEM);
    assert_int_equal(error.os_errno, ENOENT);
    assert_string_equal(error.message, "opening: No such file or directory");
    assert_int_equal(brg__error_errno(&error, "mapping", ENOMEM), BRG_NO_MEMORY);
    assert_int_equal(error.os_errno, ENOMEM);
    assert_int_equal(brg__error_memory(&error, "a list"), BRG_NO_MEMORY);
    assert_string_equal(error.domain, "os");
    assert_int_equal(brg__error_memory(NULL, "a list"), BRG_NO_MEMORY);
}

static void memfd_is_sealed_against_resizing(void **state)
{
    (void)state;
    int fd = -1;
    struct stat file;
    assert_int_equal(brg__memfd_create(&fd, "test", SIZE, NULL), BRG_OK);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(fstat(fd, &file), 0);
    assert_int_equal(file.st_size, SIZE);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, (off_t)SIZE * 2), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    brg__fd_close(&fd);
}

static void shared_map_is_shared(void **state)
{
    (void)state;
    int fd = -1;
    void *one = NULL, *two = NULL;
    assert_int_equal(brg__memfd_create(&fd, "test", SIZE, NULL), BRG_OK);
    assert_int_equal(brg__map_shared(&one, fd, SIZE, NULL), BRG_OK);
    assert_int_equal(brg__map_shared(&two, fd, SIZE, NULL), BRG_OK);
    assert_ptr_not_equal(one, two);
    assert_true(all_are(two, SIZE, 0));
    ((char *)one)[SIZE - 1] = 'x';
    assert_int_equal(((char *)two)[SIZE - 1], 'x');
    brg__unmap(one, SIZE);
    brg__unmap(two, SIZE);
    brg__unmap(NULL, SIZE);
    brg__fd_close(&fd);
}

static void reserve_backs_pages(void **state)
{
    (void)state;
    int fd = -1;
    struct stat file;
    assert_int_equal(brg__memfd_create(&fd, "test", SIZE, NULL), BRG_OK);
    assert_int_equal(fstat(fd, &file), 0);
    assert_int_equal(file.st_blocks, 0);
    assert_int_equal(brg__memfd_reserve(fd, SIZE / 4, SIZE / 2, NULL), BRG_OK);
    assert_int_equal(fstat(fd, &file), 0);
    assert_true((size_t)file.st_blocks * 512 >= SIZE / 2);
    /* Not past the sealed end. */
    assert_int_equal(brg__memfd_reserve(fd, SIZE, 4096, NULL), BRG_SYSTEM);
    brg__fd_close(&fd);
}

static void reserve_reports_a_full_machine(void **state)
{
    (void)state;
    int fd = -1;
    brg_error error;
    assert_int_equal(brg__memfd_create(&fd, "test", SIZE, NULL), BRG_OK);
    brg__fault_arm("reserve", 1);
    assert_int_equal(brg__memfd_reserve(fd, 0, SIZE, &error), BRG_SYSTEM);
    assert_int_equal(error.os_errno, ENOSPC);
    brg__fault_disarm();
    brg__fd_close(&fd);
}

static void check_discard(char *memory, size_t offset, size_t size)
{
    memset(memory, 'a', SIZE);
    brg__memory_discard(memory + offset, size);
    assert_true(all_are(memory, offset, 'a'));
    assert_true(all_are(memory + offset, size, 0));
    assert_true(all_are(memory + offset + size, SIZE - offset - size, 'a'));
}

static void discarded_memory_reads_as_zero(void **state)
{
    (void)state;
    int fd = -1;
    void *maps[2] = {NULL, NULL};
    struct stat file;
    assert_int_equal(brg__memfd_create(&fd, "test", SIZE, NULL), BRG_OK);
    assert_int_equal(brg__map_shared(&maps[0], fd, SIZE, NULL), BRG_OK);
    assert_int_equal(brg__map_private(&maps[1], SIZE, NULL), BRG_OK);
    for (int i = 0; i < 2; i++) {
        check_discard(maps[i], 100, 50);
        check_discard(maps[i], 4000, 200);
        check_discard(maps[i], 100, SIZE - 200);
        check_discard(maps[i], 8192, 65536);
        check_discard(maps[i], 0, SIZE);
    }
    brg__memory_discard(maps[0], SIZE); /* again: looking brought pages back */
    assert_int_equal(fstat(fd, &file), 0);
    assert_int_equal(file.st_blocks, 0);
    brg__unmap(maps[0], SIZE);
    brg__unmap(maps[1], SIZE);
    brg__fd_close(&fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calloc_zeroes_and_checks),
        cmocka_unit_test(aligned_memory_is_aligned_and_zeroed),
        cmocka_unit_test(strdup_copies),
        cmocka_unit_test(errno_becomes_a_status),
        cmocka_unit_test(memfd_is_sealed_against_resizing),
        cmocka_unit_test(shared_map_is_shared),
        cmocka_unit_test(reserve_backs_pages),
        cmocka_unit_test(reserve_reports_a_full_machine),
        cmocka_unit_test(discarded_memory_reads_as_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
