/* SPDX-License-Identifier: MIT */
/* Descriptors: eventfds, pollers, and sockets that carry descriptors. All close-on-exec and non-blocking. */
#ifndef BRG_OS_FD_H
#define BRG_OS_FD_H

#include <brigade/status.h>

struct epoll_event;

void brg__fd_close(int *fd); /* closes unless -1, then stores -1 */
bool brg__fd_is_open(int fd);

brg_status brg__event_create(int *out, brg_error *error);
void brg__event_signal(int fd); /* any thread and signal handlers */
bool brg__event_clear(int fd);  /* true if it was signalled */

typedef struct brg__poller {
    int epoll;
    int wake;                  /* eventfd */
    struct epoll_event *round; /* the events whose callbacks run now */
    int round_count;
} brg__poller;

typedef struct brg__poll_source {
    int fd;
    void (*ready)(struct brg__poll_source *source); /* readable or hung up */
} brg__poll_source;

brg_status brg__poller_init(brg__poller *poller, brg_error *error);
void brg__poller_done(brg__poller *poller);
/* Watches source->fd for reading, level-triggered. `source` must stay until removed. Any thread. */
brg_status brg__poller_add(brg__poller *poller, brg__poll_source *source, brg_error *error);
/* To be called before source->fd closes. Poller thread, callbacks included; or any thread while none waits. */
void brg__poller_remove(brg__poller *poller, brg__poll_source *source);
/* Waits until a source is ready, a wake, or `deadline_ns` (brg__now terms), then calls `ready` of each. A source that a
 * callback removes is not called any more in the same round, and its memory may go at once. Poller thread. */
void brg__poller_wait(brg__poller *poller, uint64_t deadline_ns);
void brg__poller_wake(brg__poller *poller); /* any thread */

#define BRG__SEND_FDS_MAX 8

/* A connected pair of SOCK_SEQPACKET sockets. */
brg_status brg__socket_pair(int out[2], brg_error *error);
/* One packet of at least a byte, with descriptors. BRG_CLOSED when the peer is gone, BRG_FULL when it would block. */
brg_status brg__socket_send(int fd, const void *bytes, size_t size, const int *fds, size_t fd_count, brg_error *error);
/* One packet. *size is capacity in, length out; *fd_count likewise (surplus descriptors are closed, missing ones -1).
 * BRG_EMPTY when none is there, BRG_CLOSED at the end, BRG_MALFORMED when cut: for want of descriptors only, `bytes` is
 * whole. */
brg_status brg__socket_receive(int fd, void *bytes, size_t *size, int *fds, size_t *fd_count, brg_error *error);
/* Blocks until `fd` is readable or hung up, or the deadline (false). */
bool brg__fd_wait_readable(int fd, uint64_t deadline_ns);

#endif
