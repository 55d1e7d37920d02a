/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/usage.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t usage_ns(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec;
}

bool brg__cpu_of(clockid_t clock, uint64_t *cpu_ns)
{
    struct timespec time;
    if (clock_gettime(clock, &time) != 0)
        return false;
    *cpu_ns = usage_ns(&time);
    return true;
}

uint64_t brg__cpu_of_this_thread(void)
{
    uint64_t cpu_ns = 0;
    brg__cpu_of(CLOCK_THREAD_CPUTIME_ID, &cpu_ns);
    return cpu_ns;
}

bool brg__cpu_clock_of_this_thread(clockid_t *clock) { return pthread_getcpuclockid(pthread_self(), clock) == 0; }
bool brg__cpu_clock_of_process(pid_t pid, clockid_t *clock) { return clock_getcpuclockid(pid, clock) == 0; }

bool brg__rss_of_process(pid_t pid, uint64_t *bytes)
{
    char path[40], text[128];
    snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t size = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (size <= 0)
        return false;
    text[size] = '\0';
    char *end = NULL;
    strtoull(text, &end, 10); /* the whole, then what is resident, in pages */
    *bytes = strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}
