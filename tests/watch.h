/* SPDX-License-Identifier: MIT */
/* What the fault tests see of processes and of their own: ends, children, threads, memory. */
#ifndef TESTS_WATCH_H
#define TESTS_WATCH_H

#include <stdbool.h>
#include <sys/types.h>

/* A descriptor that becomes readable when the process ends; -1 when it is gone already. */
int watch_process(pid_t pid);
/* Waits for that, up to some minutes, and closes it. */
bool watch_gone(int pidfd);
/* Whether it has ended and its parent knows: nothing is left of it. */
bool watch_is_reaped(int pidfd);

/* The first child of this process with that name (as in /proc/PID/comm); 0: none. */
pid_t watch_find_child(const char *name);
/* Kills it, unless it has just ended by itself; false: there is none. */
bool watch_kill_child(const char *name);
/* How many children this process has, dead ones that nobody reaped included. */
int watch_count_children(void);

/* Threads of this process; private memory of it in KiB. */
int watch_count_threads(void);
long watch_memory_kb(void);

/* Looks again and again, up to some minutes, until `holds`; what it returned last. For what ends soon after a call,
 * unseen. */
bool watch_until(bool (*holds)(void *argument), void *argument);
bool watch_until_files(int at_most);    /* scenario_open_files() */
bool watch_until_threads(int at_most);  /* watch_count_threads() */
bool watch_until_children(int at_most); /* watch_count_children() */

/* Whether a sanitizer is in this build, and which: its memory is its own. */
#if defined(__SANITIZE_ADDRESS__)
#define WATCH_SANITIZED 1
#elif defined(__SANITIZE_THREAD__)
#define WATCH_SANITIZED 2
#else
#define WATCH_SANITIZED 0
#endif

#endif
