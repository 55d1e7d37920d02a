/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void *sys_allocate(size_t size) { return malloc(size); }
static void *sys_reallocate(void *memory, size_t size) { return realloc(memory, size); }

static void *sys_map(size_t size, int protection, int flags, int fd)
{
    void *memory = mmap(NULL, size, protection, flags, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static int sys_memfd(const char *name, unsigned flags) { return memfd_create(name, flags); }
static int sys_truncate(int fd, off_t size) { return ftruncate(fd, size); }
static int sys_reserve(int fd, off_t offset, off_t size) { return fallocate(fd, 0, offset, size); }
static int sys_seal(int fd, int seals) { return fcntl(fd, F_ADD_SEALS, seals); }
static int sys_event(unsigned initial, int flags) { return eventfd(initial, flags); }
static int sys_pipe(int fds[2], int flags) { return pipe2(fds, flags); }
static int sys_epoll_new(int flags) { return epoll_create1(flags); }

static int sys_epoll_change(int epoll, int operation, int fd, struct epoll_event *event)
{
    return epoll_ctl(epoll, operation, fd, event);
}

static int sys_socket_pair(int domain, int type, int protocol, int fds[2])
{
    return socketpair(domain, type, protocol, fds);
}

static ssize_t sys_send(int fd, const struct msghdr *message, int flags) { return sendmsg(fd, message, flags); }
static ssize_t sys_receive(int fd, struct msghdr *message, int flags) { return recvmsg(fd, message, flags); }

static int sys_thread_start(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument)
{
    return pthread_create(thread, attributes, body, argument);
}

/* dup2 before closing: inherited_fd may be 3 already, for which posix_spawn clears close-on-exec. */
static int sys_spawn_actions(posix_spawn_file_actions_t *actions, int inherited_fd)
{
    int failed = posix_spawn_file_actions_adddup2(actions, inherited_fd, 3);
    return failed != 0 ? failed : posix_spawn_file_actions_addclosefrom_np(actions, 4);
}

static int sys_spawn_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int sys_spawn(pid_t *pid, const char *path, char *const argv[], char *const envp[], int inherited_fd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed != 0)
        return failed;
    failed = posix_spawnattr_init(&attributes);
    if (failed == 0) {
        failed = sys_spawn_actions(&actions, inherited_fd);
        if (failed == 0)
            failed = sys_spawn_attributes(&attributes);
        if (failed == 0)
            failed = posix_spawn(pid, path, &actions, &attributes, argv, envp);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

static int sys_pidfd(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
static void sys_release(void *memory) { free(memory); }

static uint64_t sys_clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#define SYS_ENTRY(type, name, parameters) .name = sys_##name,
#define SYS_TABLE                                                                                                      \
    {                                                                                                                  \
        BRG__SYS_MAP(SYS_ENTRY).release = sys_release, .clock_now = sys_clock_now                                      \
    }

brg__sys brg__os = SYS_TABLE;
const brg__sys brg__os_real = SYS_TABLE;
