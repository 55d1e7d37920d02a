/* SPDX-License-Identifier: MIT */
/*
 * Packets with descriptors between processes that need not trust each other. The kernel installs every descriptor
 * of a packet that its control buffer has room for, wanted or not: the buffer has room for all that a packet can
 * carry, so that what the caller did not ask for can be closed instead of being lost or leaked.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/util.h"
#include "os/fd.h"
#include "os/memory.h"
#include "os/sys.h"

#define SOCKET_FDS_MAX 253 /* the kernel's SCM_MAX_FD */

typedef union socket_control {
    char bytes[CMSG_SPACE(SOCKET_FDS_MAX * sizeof(int))];
    struct cmsghdr alignment;
} socket_control;

brg_status brg__socket_pair(int out[2], brg_error *error)
{
    int fds[2];
    if (brg__os.socket_pair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
        return brg__error_errno(error, "creating a socket pair", errno);
    out[0] = fds[0];
    out[1] = fds[1];
    return BRG_OK;
}

static void socket_attach(struct msghdr *message, socket_control *control, const int *fds, size_t fd_count)
{
    size_t size = fd_count * sizeof(int);
    message->msg_control = control->bytes;
    message->msg_controllen = CMSG_SPACE(size);
    memset(control->bytes, 0, CMSG_SPACE(size));
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), fds, size);
}

static brg_status socket_send_error(int failed, brg_error *error)
{
    switch (failed) {
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        return brg_error_set(error, BRG_CLOSED, "os", "sending a packet: the other side has closed");
    case EAGAIN:
        return brg_error_set(error, BRG_FULL, "os", "sending a packet: the other side does not read");
    case EMSGSIZE:
        return brg_error_set(error, BRG_TOO_LARGE, "os", "sending a packet: it is too large for a socket");
    default:
        return brg__error_errno(error, "sending a packet", failed);
    }
}

brg_status brg__socket_send(int fd, const void *bytes, size_t size, const int *fds, size_t fd_count, brg_error *error)
{
    /* An empty packet would read as the end. */
    if (size == 0 || fd_count > BRG__SEND_FDS_MAX || (fds == NULL && fd_count > 0))
        return brg_error_set(error, BRG_INVALID, "os", "sending a packet: it has %zu bytes and %zu descriptors", size,
                             fd_count);
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    socket_control control;
    if (fds != NULL && fd_count > 0)
        socket_attach(&message, &control, fds, fd_count);
    ssize_t sent;
    do
        sent = brg__os.send(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? socket_send_error(errno, error) : BRG_OK;
}

/* Copies the descriptors of all control messages to `fds`; returns how many there are. */
static size_t socket_collect(struct msghdr *message, int fds[SOCKET_FDS_MAX])
{
    size_t count = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t more = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        more = (size_t)brg__min(more, SOCKET_FDS_MAX - count);
        memcpy(fds + count, CMSG_DATA(header), more * sizeof(int));
        count += more;
    }
    return count;
}

static brg_status socket_receive_error(int failed, brg_error *error)
{
    if (failed == EAGAIN)
        return brg_error_set(error, BRG_EMPTY, "os", "receiving a packet: none is there");
    if (failed == ECONNRESET)
        return brg_error_set(error, BRG_CLOSED, "os", "receiving a packet: the other side has closed");
    return brg__error_errno(error, "receiving a packet", failed);
}

static brg_status socket_judge(ssize_t got, int flags, brg_error *error)
{
    if ((flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        return brg_error_set(error, BRG_MALFORMED, "os", "receiving a packet: it was cut");
    if (got == 0)
        return brg_error_set(error, BRG_CLOSED, "os", "receiving a packet: the other side has closed");
    return BRG_OK;
}

brg_status brg__socket_receive(int fd, void *bytes, size_t *size, int *fds, size_t *fd_count, brg_error *error)
{
    socket_control control;
    struct iovec part = {.iov_base = bytes, .iov_len = *size};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    ssize_t got;
    do
        got = brg__os.receive(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return socket_receive_error(errno, error);
    int found[SOCKET_FDS_MAX];
    size_t found_count = socket_collect(&message, found);
    brg_status status = socket_judge(got, message.msg_flags, error);
    size_t capacity = fd_count == NULL ? 0 : *fd_count;
    size_t kept = status == BRG_OK ? (size_t)brg__min(found_count, capacity) : 0;
    for (size_t i = kept; i < found_count; i++)
        brg__fd_close(&found[i]);
    if (status != BRG_OK)
        return status;
    *size = (size_t)got;
    for (size_t i = 0; i < capacity; i++)
        fds[i] = i < kept ? found[i] : -1;
    if (fd_count != NULL)
        *fd_count = kept;
    return BRG_OK;
}
