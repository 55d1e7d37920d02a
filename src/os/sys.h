/* SPDX-License-Identifier: MIT */
/*
 * The one table through which the library allocates, calls the kernel, starts threads and reads the clock.
 * Tests swap entries to make them fail or to fake time (src/os/fault.h), before main; nothing else writes it.
 * Functions follow their libc namesakes: -1 and errno, NULL and errno (map too); thread_start and spawn return the
 * error number.
 */
#ifndef BRG_OS_SYS_H
#define BRG_OS_SYS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

/* X(return type, name, parameters): feeds the struct, the real table and the fault injector. */
#define BRG__SYS_MAP(X)                                                                                                \
    X(void *, allocate, (size_t size))                                                                                 \
    X(void *, reallocate, (void *memory, size_t size))                                                                 \
    X(void *, map, (size_t size, int protection, int flags, int fd))                                                   \
    X(int, memfd, (const char *name, unsigned flags))                                                                  \
    X(int, truncate, (int fd, off_t size))                                                                             \
    X(int, reserve, (int fd, off_t offset, off_t size)) /* fallocate, mode 0 */                                        \
    X(int, seal, (int fd, int seals))                                                                                  \
    X(int, event, (unsigned initial, int flags)) /* eventfd */                                                         \
    X(int, pipe, (int fds[2], int flags))        /* pipe2 */                                                           \
    X(int, epoll_new, (int flags))                                                                                     \
    X(int, epoll_change, (int epoll, int operation, int fd, struct epoll_event *event))                                \
    X(int, socket_pair, (int domain, int type, int protocol, int fds[2]))                                              \
    X(ssize_t, send, (int fd, const struct msghdr *message, int flags))                                                \
    X(ssize_t, receive, (int fd, struct msghdr *message, int flags))                                                   \
    X(int, thread_start,                                                                                               \
      (pthread_t * thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument))                   \
    X(int, spawn, (pid_t * pid, const char *path, char *const argv[], char *const envp[], int inherited_fd))           \
    X(int, pidfd, (pid_t pid))

typedef struct brg__sys {
#define BRG__SYS_FIELD(type, name, parameters) type(*name) parameters;
    BRG__SYS_MAP(BRG__SYS_FIELD)
#undef BRG__SYS_FIELD
    void (*release)(void *memory); /* free: cannot fail */
    uint64_t (*clock_now)(void);   /* CLOCK_MONOTONIC, ns */
    int clock_is_fake;             /* waits with a deadline then look at clock_now, not at the kernel's clock */
} brg__sys;

extern brg__sys brg__os;

/* The table as it is without faults. */
extern const brg__sys brg__os_real;

#endif
