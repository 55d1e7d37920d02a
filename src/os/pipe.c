/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/sys.h"

brg_status brg__pipe_create(int out[2], int ours, brg_error *error)
{
    int fds[2];
    if (brg__os.pipe(fds, O_CLOEXEC) != 0)
        return brg__error_errno(error, "creating a pipe", errno);
    fcntl(fds[ours], F_SETFL, O_NONBLOCK); /* cannot fail on a pipe of ours */
    out[0] = fds[0];
    out[1] = fds[1];
    return BRG_OK;
}

brg_status brg__null_open(int *out, brg_error *error)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return brg__error_errno(error, "/dev/null", errno);
    *out = fd;
    return BRG_OK;
}

brg_status brg__pipe_read(int fd, void *bytes, size_t size, size_t *got)
{
    ssize_t result;
    do
        result = read(fd, bytes, size);
    while (result < 0 && errno == EINTR);
    if (result > 0)
        *got = (size_t)result;
    if (result != 0)
        return result > 0 ? BRG_OK : errno == EAGAIN ? BRG_EMPTY : BRG_SYSTEM;
    return BRG_CLOSED;
}

/* Writes with SIGPIPE held back in this thread, and takes back the one that the write may have raised: the program's
 * own handler must not see it (Stevens and Rago, APUE 12.8; sigtimedwait takes what is pending). */
brg_status brg__pipe_write(int fd, const void *bytes, size_t size, size_t *written)
{
    sigset_t pipe_signal, before, pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    ssize_t result;
    do
        result = write(fd, bytes, size);
    while (result < 0 && errno == EINTR);
    int failed = errno;
    if (result < 0 && failed == EPIPE && !was_pending) {
        struct timespec at_once = {.tv_sec = 0};
        while (sigtimedwait(&pipe_signal, NULL, &at_once) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result >= 0) {
        *written = (size_t)result;
        return BRG_OK;
    }
    return failed == EAGAIN ? BRG_FULL : failed == EPIPE ? BRG_CLOSED : BRG_SYSTEM;
}

bool brg__pipe_wait_writable(int fd, uint64_t deadline_ns)
{
    struct pollfd polled = {.fd = fd, .events = POLLOUT};
    for (;;) {
        uint64_t now = brg__now();
        if (deadline_ns != UINT64_MAX && now >= deadline_ns)
            return false;
        int timeout = -1;
        if (deadline_ns != UINT64_MAX)
            timeout = brg_load_relaxed(&brg__os.clock_is_fake)
                          ? 1
                          : (int)brg__min((deadline_ns - now - 1) / 1000000u + 1, INT32_MAX);
        if (poll(&polled, 1, timeout) > 0)
            return true;
    }
}

void brg__pipe_become(int fd, int standard)
{
    while (dup2(fd, standard) < 0 && errno == EINTR)
        ;
}
