/* SPDX-License-Identifier: MIT */
/* Processes, held by pidfd: no SIGCHLD handler in the user's program, no pid that was reused. */
#ifndef BRG_OS_PROCESS_H
#define BRG_OS_PROCESS_H

#include <brigade/status.h>
#include <sys/types.h>

/*
 * Starts `path` with `argv` by posix_spawn: descriptor `inherited_fd` becomes its descriptor 3, 0 to 2 are shared, all
 * others close; signal mask and handlers are reset. It becomes a child of the calling *thread* (PDEATHSIG watches
 * that one).
 */
brg_status brg__process_spawn(pid_t *pid, int *pidfd, const char *path, char *const argv[], int inherited_fd,
                              brg_error *error);

/*
 * In a single-threaded process: forks a sibling, a child of the caller's parent (CLONE_PARENT). Returns 0 in the child,
 * its pid in the caller with its *pidfd, or -errno. Its end raises the same signal as the caller's, so SIGCHLD.
 */
pid_t brg__process_fork_sibling(int *pidfd);

/* How a child ended. */
typedef struct brg__process_end {
    int exit_code;
    int signal;      /* 0 when it exited */
    uint64_t cpu_ns; /* user and system time; 0: unknown */
} brg__process_end;

/* Reaps the child; false while it still runs. Only the process that is its parent. If the user's program reaped it by
 * waitpid(-1), or ignores SIGCHLD, kernels before 6.15 cannot tell how it ended: exit code 255. */
bool brg__process_reap(int pidfd, brg__process_end *out);
/* "SIGSEGV" for 11 and so on; "?" for one without a name. */
const char *brg__signal_name(int signal);
/* Kills and reaps a child that nobody has a pidfd of: it is not reaped yet, so the number is still its own. */
void brg__process_end_child(pid_t pid);

/* Sends a signal; false when it is gone. */
bool brg__process_signal(int pidfd, int signal);

/* In a child: die with the parent thread (SIGKILL), checked against the race with its death: exits at once if `parent`
 * is gone. */
void brg__process_die_with_parent(pid_t parent);
/* In a child: a terminal sends Ctrl-C to the whole process group, and what then happens is for the owner to say. */
void brg__process_ignore_interrupt(void);
/* In a child: closes every descriptor but 0 to 2 and the `keep_count` in `keep`. */
void brg__process_close_others(const int *keep, size_t keep_count);
/* In a child: no new privileges, no core dumps, the OOM killer's first choice, and the limits (0: none). memory_bytes
 * is on top of the private memory in use now (RLIMIT_DATA), address_bytes on top of the address space (RLIMIT_AS). */
typedef struct brg__process_limits {
    size_t memory_bytes;
    size_t address_bytes;
    size_t stack_bytes;
    uint32_t files;
    uint32_t cpu_seconds;
} brg__process_limits;
brg_status brg__process_harden(const brg__process_limits *limits, brg_error *error);
void brg__process_set_name(const char *name); /* shortened as those of threads: brg__name_shorten */
pid_t brg__process_parent(void);
pid_t brg__process_id(void);
/* How many threads this process has, from /proc; 0 when unknown. */
uint32_t brg__process_thread_count(void);
_Noreturn void brg__process_exit_now(int code); /* no atexit, no flush */

/* Where the file that holds `address` lies (dladdr), into `path`; false when unknown. */
bool brg__object_path(const void *address, char *path, size_t path_size);
/* The name of the function at `address` if the loader knows it, else its file and the place in that, as addr2line wants
 * it: "photos.so+0x1a2b". False when that is unknown too. */
bool brg__symbol_name(const void *address, char *name, size_t name_size);

#endif
