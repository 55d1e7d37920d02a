/* SPDX-License-Identifier: MIT */
/* For the tests of regions: each begins and ends with an empty cache and the same descriptors. */
#ifndef BRG_MESSAGE_REGION_FIXTURE_H
#define BRG_MESSAGE_REGION_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/util.h"
#include "message/region.h"
#include "os/atomic.h"
#include "os/fault.h"
#include "os/lock.h"
#include "os/memory.h"
#include "os/test_support.h"
#include "os/thread.h"

#define MB ((size_t)1 << 20)

enum { THREADS = 4, ROUNDS = 3000 };

static inline size_t open_fds(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static inline brg__region *take(size_t size)
{
    brg__region *region = NULL;
    assert_int_equal(brg__region_take(&region, size, true, NULL), BRG_OK);
    assert_int_equal(region->xusers, 1);
    assert_true(region->size >= size);
    return region;
}

static size_t fds_before;

static inline int setup(void **state)
{
    (void)state;
    brg__region_trim();
    fds_before = open_fds();
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    brg__region_trim();
    return open_fds() == fds_before ? 0 : -1;
}

#define region_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
