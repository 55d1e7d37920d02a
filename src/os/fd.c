/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/util.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/sys.h"

#define POLLER_BATCH_MAX 16

bool brg__fd_is_open(int fd) { return fd >= 0 && fcntl(fd, F_GETFD) >= 0; }

void brg__fd_close(int *fd)
{
    int saved_errno = errno;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved_errno;
}

brg_status brg__event_create(int *out, brg_error *error)
{
    int fd = brg__os.event(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return brg__error_errno(error, "creating an eventfd", errno);
    *out = fd;
    return BRG_OK;
}

void brg__event_signal(int fd)
{
    int saved_errno = errno;
    const uint64_t one = 1;
    /* EAGAIN means that the counter is full, so it is signalled already. */
    while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    errno = saved_errno;
}

bool brg__event_clear(int fd)
{
    uint64_t count;
    ssize_t got;
    do
        got = read(fd, &count, sizeof(count));
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof(count);
}

/* The kernel's timeout for a wait until `deadline_ns`, in ms, rounded up so that a wait never ends early. */
static int fd_timeout_ms(uint64_t deadline_ns)
{
    if (deadline_ns == UINT64_MAX)
        return -1;
    uint64_t now = brg__now();
    if (now >= deadline_ns)
        return 0;
    /* Fake time moves without the kernel: look again after one real ms. */
    if (brg_load_relaxed(&brg__os.clock_is_fake))
        return 1;
    uint64_t ms = (deadline_ns - now - 1) / 1000000u + 1;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static brg_status poller_watch(brg__poller *poller, int fd, void *data, brg_error *error)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};
    if (brg__os.epoll_change(poller->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        return brg__error_errno(error, "watching a descriptor", errno);
    return BRG_OK;
}

brg_status brg__poller_init(brg__poller *poller, brg_error *error)
{
    brg__poller made = {.epoll = -1, .wake = -1};
    made.epoll = brg__os.epoll_new(EPOLL_CLOEXEC);
    if (made.epoll < 0)
        return brg__error_errno(error, "creating an epoll set", errno);
    brg_status status = brg__event_create(&made.wake, error);
    if (status == BRG_OK)
        status = poller_watch(&made, made.wake, NULL, error);
    if (status == BRG_OK)
        *poller = made;
    else
        brg__poller_done(&made);
    return status;
}

void brg__poller_done(brg__poller *poller)
{
    brg__fd_close(&poller->epoll);
    brg__fd_close(&poller->wake);
}

brg_status brg__poller_add(brg__poller *poller, brg__poll_source *source, brg_error *error)
{
    return poller_watch(poller, source->fd, source, error);
}

void brg__poller_remove(brg__poller *poller, brg__poll_source *source)
{
    /* Not through brg__os: a removal cannot fail, and a failing one would leave a pointer in the kernel. */
    epoll_ctl(poller->epoll, EPOLL_CTL_DEL, source->fd, NULL);
    for (int i = 0; i < poller->round_count; i++)
        if (poller->round[i].data.ptr == source)
            poller->round[i].data.ptr = NULL;
}

static void poller_dispatch(brg__poller *poller, struct epoll_event *events, int count)
{
    poller->round = events;
    poller->round_count = count;
    for (int i = 0; i < count; i++) {
        brg__poll_source *source = events[i].data.ptr;
        if (source != NULL)
            source->ready(source);
    }
    poller->round = NULL;
    poller->round_count = 0;
}

static int poller_wait_events(brg__poller *poller, struct epoll_event *events, uint64_t deadline_ns)
{
    for (;;) {
        int timeout = fd_timeout_ms(deadline_ns);
        int count = epoll_wait(poller->epoll, events, POLLER_BATCH_MAX, timeout);
        if (count > 0 || timeout == 0)
            return count;
    }
}

void brg__poller_wait(brg__poller *poller, uint64_t deadline_ns)
{
    struct epoll_event events[POLLER_BATCH_MAX];
    int count = poller_wait_events(poller, events, deadline_ns);
    /* NULL is the wake, cleared before any callback: a wake from now on counts for the next round. */
    for (int i = 0; i < count; i++)
        if (events[i].data.ptr == NULL)
            brg__event_clear(poller->wake);
    poller_dispatch(poller, events, count);
}

void brg__poller_wake(brg__poller *poller) { brg__event_signal(poller->wake); }

bool brg__fd_wait_readable(int fd, uint64_t deadline_ns)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    for (;;) {
        int timeout = fd_timeout_ms(deadline_ns);
        int count = poll(&polled, 1, timeout);
        if (count > 0)
            return true;
        if (timeout == 0)
            return false;
    }
}
