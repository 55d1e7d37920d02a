/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/atomic.h"
#include "os/clock.h"

/* How long the kernel is trusted under a fake clock before that is looked at again. */
#define FUTEX_FAKE_SLICE_NS 1000000

static long futex_call(const uint32_t *word, int operation, uint32_t value, const struct timespec *timeout)
{
    /* FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC time; the last argument is ignored by the others. */
    return syscall(SYS_futex, word, operation, value, timeout, NULL, FUTEX_BITSET_MATCH_ANY);
}

static int futex_operation(int operation, brg__futex_scope scope)
{
    return scope == BRG__FUTEX_PRIVATE ? operation | FUTEX_PRIVATE_FLAG : operation;
}

static bool futex_wait_fake(const uint32_t *word, uint32_t expected, uint64_t deadline_ns, brg__futex_scope scope)
{
    const struct timespec slice = {.tv_nsec = FUTEX_FAKE_SLICE_NS};
    while (futex_call(word, futex_operation(FUTEX_WAIT, scope), expected, &slice) != 0 && errno == ETIMEDOUT)
        if (brg__now() >= deadline_ns)
            return false;
    return true;
}

bool brg__futex_wait(const uint32_t *word, uint32_t expected, uint64_t deadline_ns, brg__futex_scope scope)
{
    if (deadline_ns != UINT64_MAX && brg_load_relaxed(&brg__os.clock_is_fake))
        return futex_wait_fake(word, expected, deadline_ns, scope);
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                             .tv_nsec = (long)(deadline_ns % 1000000000u)};
    return futex_call(word, futex_operation(FUTEX_WAIT_BITSET, scope), expected,
                      deadline_ns == UINT64_MAX ? NULL : &until) == 0 ||
           errno != ETIMEDOUT;
}

void brg__futex_wake(uint32_t *word, uint32_t count, brg__futex_scope scope)
{
    uint32_t most = count > INT32_MAX ? INT32_MAX : count;
    futex_call(word, futex_operation(FUTEX_WAKE, scope), most, NULL);
}
