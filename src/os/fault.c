/* SPDX-License-Identifier: MIT */
/*
 * The wrappers are put into the table before main, and stay: arming and faking change only the atomics below, so
 * tests may do it while threads of the library run.
 */
#define _GNU_SOURCE 1
#include "os/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "os/atomic.h"
#include "os/sys.h"

enum {
#define FAULT_ID(type, name, parameters) FAULT_##name,
    BRG__SYS_MAP(FAULT_ID)
#undef FAULT_ID
        FAULT_ANY,
    FAULT_OFF
};

static const char *const fault_names[] = {
#define FAULT_NAME(type, name, parameters) #name,
    BRG__SYS_MAP(FAULT_NAME)
#undef FAULT_NAME
};

static int fault_xtarget = FAULT_OFF;
static uint64_t fault_xnth;
static uint64_t fault_xcalls;
static bool fault_xfired;
static uint64_t fault_xnow;

static bool fault_hits(int entry)
{
    int target = brg_load_acquire(&fault_xtarget); /* pairs with the release in brg__fault_arm */
    if (target != entry && target != FAULT_ANY)
        return false;
    uint64_t call = brg_add_relaxed(&fault_xcalls, 1u) + 1;
    if (call != brg_load_relaxed(&fault_xnth))
        return false;
    brg_store_release(&fault_xfired, true);
    return true;
}

/* With `failure` as the result and `failed` as the errno. */
#define FAULT_WRAP(type, name, parameters, arguments, failure, failed)                                                 \
    static type fault_##name parameters                                                                                \
    {                                                                                                                  \
        if (!fault_hits(FAULT_##name))                                                                                 \
            return brg__os_real.name arguments;                                                                        \
        errno = failed;                                                                                                \
        return failure;                                                                                                \
    }

FAULT_WRAP(void *, allocate, (size_t size), (size), NULL, ENOMEM)
FAULT_WRAP(void *, reallocate, (void *memory, size_t size), (memory, size), NULL, ENOMEM)
FAULT_WRAP(void *, map, (size_t size, int protection, int flags, int fd), (size, protection, flags, fd), NULL, ENOMEM)
FAULT_WRAP(int, memfd, (const char *name, unsigned flags), (name, flags), -1, EMFILE)
FAULT_WRAP(int, truncate, (int fd, off_t size), (fd, size), -1, EFBIG)
FAULT_WRAP(int, reserve, (int fd, off_t offset, off_t size), (fd, offset, size), -1, ENOSPC)
FAULT_WRAP(int, seal, (int fd, int seals), (fd, seals), -1, EPERM)
FAULT_WRAP(int, event, (unsigned initial, int flags), (initial, flags), -1, EMFILE)
FAULT_WRAP(int, pipe, (int fds[2], int flags), (fds, flags), -1, EMFILE)
FAULT_WRAP(int, epoll_new, (int flags), (flags), -1, EMFILE)
FAULT_WRAP(int, epoll_change, (int epoll, int operation, int fd, struct epoll_event *event),
           (epoll, operation, fd, event), -1, ENOSPC)
FAULT_WRAP(int, socket_pair, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds), -1,
           EMFILE)
FAULT_WRAP(ssize_t, send, (int fd, const struct msghdr *message, int flags), (fd, message, flags), -1, ENOBUFS)
FAULT_WRAP(ssize_t, receive, (int fd, struct msghdr *message, int flags), (fd, message, flags), -1, ENOMEM)
FAULT_WRAP(int, thread_start,
           (pthread_t * thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument),
           (thread, attributes, body, argument), EAGAIN, EAGAIN)
FAULT_WRAP(int, spawn, (pid_t * pid, const char *path, char *const argv[], char *const envp[], int inherited_fd),
           (pid, path, argv, envp, inherited_fd), EAGAIN, EAGAIN)
FAULT_WRAP(int, pidfd, (pid_t pid), (pid), -1, EMFILE)

static uint64_t fault_clock_now(void)
{
    return brg_load_relaxed(&brg__os.clock_is_fake) ? brg_load_acquire(&fault_xnow) : brg__os_real.clock_now();
}

__attribute__((constructor)) static void fault_install(void)
{
#define FAULT_INSTALL(type, name, parameters) brg__os.name = fault_##name;
    BRG__SYS_MAP(FAULT_INSTALL)
#undef FAULT_INSTALL
    brg__os.clock_now = fault_clock_now;
}

static int fault_find(const char *name)
{
    if (name == NULL)
        return FAULT_ANY;
    for (size_t i = 0; i < brg__count_of(fault_names); i++)
        if (strcmp(fault_names[i], name) == 0)
            return (int)i;
    fprintf(stderr, "fault: brg__os has no entry \"%s\"\n", name);
    abort();
}

void brg__fault_arm(const char *name, uint64_t nth)
{
    brg__fault_disarm();
    brg_store_relaxed(&fault_xcalls, 0u);
    brg_store_relaxed(&fault_xfired, false);
    brg_store_relaxed(&fault_xnth, nth);
    brg_store_release(&fault_xtarget, fault_find(name));
}

uint64_t brg__fault_calls(void) { return brg_load_relaxed(&fault_xcalls); }
bool brg__fault_fired(void) { return brg_load_acquire(&fault_xfired); }
void brg__fault_disarm(void) { brg_store_release(&fault_xtarget, (int)FAULT_OFF); }

void brg__fake_clock_install(uint64_t start_ns)
{
    brg_store_release(&fault_xnow, start_ns);
    brg_store_seq_cst(&brg__os.clock_is_fake, 1);
}

void brg__fake_clock_advance(uint64_t by_ns) { brg_add_acq_rel(&fault_xnow, by_ns); }
void brg__fake_clock_remove(void) { brg_store_seq_cst(&brg__os.clock_is_fake, 0); }
