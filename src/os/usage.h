/* SPDX-License-Identifier: MIT */
/* What threads and processes have used. */
#ifndef BRG_OS_USAGE_H
#define BRG_OS_USAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* CPU time of the calling thread. */
uint64_t brg__cpu_of_this_thread(void);
/* The clock of the calling thread's CPU time, for brg__cpu_of; false where there is none. */
bool brg__cpu_clock_of_this_thread(clockid_t *clock);
/* The clock of a process' CPU time, all of its threads. */
bool brg__cpu_clock_of_process(pid_t pid, clockid_t *clock);
/* False when what it belongs to is gone. */
bool brg__cpu_of(clockid_t clock, uint64_t *cpu_ns);
/* Resident memory of a process, from /proc; false when it is gone. */
bool brg__rss_of_process(pid_t pid, uint64_t *bytes);

#endif
