/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/process.h"

#include <errno.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/fd.h"
#include "os/memory.h"
#include "os/sys.h"

extern char **environ;

void brg__process_end_child(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
}

brg_status brg__process_spawn(pid_t *pid, int *pidfd, const char *path, char *const argv[], int inherited_fd,
                              brg_error *error)
{
    pid_t started;
    int failed = brg__os.spawn(&started, path, argv, environ, inherited_fd);
    if (failed != 0)
        return brg__error_errno(error, path, failed);
    int fd = brg__os.pidfd(started);
    if (fd < 0) {
        failed = errno;
        brg__process_end_child(started);
        return brg__error_errno(error, "opening a pidfd", failed);
    }
    *pid = started;
    *pidfd = fd;
    return BRG_OK;
}

/*
 * What glibc's fork does for its own thread descriptor, done by hand for a raw clone3: the kernel writes the new
 * thread's id where the old one's was, and the robust list is registered again. Where prctl does not tell (kernels
 * without checkpoint support) the stale id stays, which only robust and error-checking mutexes read.
 */
static void *process_tid_address(void)
{
    unsigned long address = 0;
    return prctl(PR_GET_TID_ADDRESS, &address) == 0 ? (void *)address : NULL;
}

pid_t brg__process_fork_sibling(int *pidfd)
{
    void *tid = process_tid_address(), *robust_list = NULL;
    size_t robust_size = 0;
    bool robust = syscall(SYS_get_robust_list, 0, &robust_list, &robust_size) == 0;
    int fd = -1;
    /* The kernel insists on exit_signal 0 with CLONE_PARENT, and gives the sibling the caller's own. */
    struct clone_args arguments = {.flags = CLONE_PARENT | CLONE_PIDFD, .pidfd = (uintptr_t)&fd};
    if (tid != NULL) {
        arguments.flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
        arguments.child_tid = (uintptr_t)tid;
    }
    long made = syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (made < 0)
        return -errno;
    if (made == 0) {
        if (robust && robust_list != NULL)
            syscall(SYS_set_robust_list, robust_list, robust_size);
        return 0;
    }
    *pidfd = fd;
    return (pid_t)made;
}

/*
 * Somebody else has reaped the child: the user's program by waitpid(-1), or the kernel where it ignores SIGCHLD.
 * Kernels since 6.15 still tell how it ended.
 */
#ifndef PIDFD_GET_INFO
struct pidfd_info {
    uint64_t mask, cgroupid;
    uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
};
#define PIDFD_GET_INFO _IOWR(0xFF, 11, struct pidfd_info)
#define PIDFD_INFO_EXIT (1u << 3)
#endif

static int process_late_status(int pidfd)
{
    struct pidfd_info info = {.mask = PIDFD_INFO_EXIT};
    if (ioctl(pidfd, PIDFD_GET_INFO, &info) == 0 && (info.mask & PIDFD_INFO_EXIT) != 0)
        return info.exit_code;
    return W_EXITCODE(255, 0);
}

static uint64_t process_time_ns(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_usec * 1000u;
}

bool brg__process_reap(int pidfd, brg__process_end *out)
{
    siginfo_t info;
    struct rusage usage;
    long result;
    do { /* the system call itself: unlike its wrapper it tells what was used */
        memset(&info, 0, sizeof(info));
        memset(&usage, 0, sizeof(usage));
        result = syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | __WALL | WNOHANG, &usage);
    } while (result != 0 && errno == EINTR);
    if (result == 0 && info.si_pid == 0)
        return false;
    if (result == 0) {
        bool exited = info.si_code == CLD_EXITED;
        *out = (brg__process_end){.exit_code = exited ? info.si_status : 0,
                                  .signal = exited ? 0 : info.si_status,
                                  .cpu_ns = process_time_ns(&usage.ru_utime) + process_time_ns(&usage.ru_stime)};
        return true;
    }
    int status = process_late_status(pidfd);
    bool signalled = WIFSIGNALED(status);
    *out = (brg__process_end){.exit_code = signalled ? 0 : WEXITSTATUS(status),
                              .signal = signalled ? WTERMSIG(status) : 0};
    return true;
}

bool brg__process_signal(int pidfd, int signal) { return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0; }

pid_t brg__process_parent(void) { return getppid(); }
pid_t brg__process_id(void) { return getpid(); }
_Noreturn void brg__process_exit_now(int code) { _exit(code); }
