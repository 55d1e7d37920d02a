/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "watch.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "scenario.h"

#define WATCH_BOUND_MS 240000

int watch_process(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

bool watch_gone(int pidfd)
{
    if (pidfd < 0)
        return true;
    struct pollfd poller = {.fd = pidfd, .events = POLLIN};
    int got;
    do
        got = poll(&poller, 1, WATCH_BOUND_MS);
    while (got < 0 && errno == EINTR);
    close(pidfd);
    return got == 1;
}

bool watch_is_reaped(int pidfd) { return syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) != 0 && errno == ESRCH; }

/* Name and parent of a process, from "PID (name) state parent ..."; false when it is gone. */
static bool watch_read(pid_t pid, char name[64], pid_t *parent)
{
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool read = fgets(text, sizeof(text), file) != NULL;
    fclose(file);
    char *open = read ? strchr(text, '(') : NULL, *close = read ? strrchr(text, ')') : NULL;
    int above = 0;
    if (open == NULL || close == NULL || sscanf(close + 1, " %*c %d", &above) != 1)
        return false;
    *close = '\0';
    snprintf(name, 64, "%s", open + 1);
    *parent = above;
    return true;
}

static int watch_children(const char *wanted, pid_t *found)
{
    int count = 0;
    DIR *directory = opendir("/proc");
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char name[64];
        pid_t pid = (pid_t)atoi(entry->d_name), parent = 0;
        if (pid <= 0 || !watch_read(pid, name, &parent) || parent != getpid())
            continue;
        count++;
        if (found != NULL && *found == 0 && wanted != NULL && strcmp(name, wanted) == 0)
            *found = pid;
    }
    closedir(directory);
    return count;
}

pid_t watch_find_child(const char *name)
{
    pid_t found = 0;
    watch_children(name, &found);
    return found;
}

bool watch_kill_child(const char *name)
{
    pid_t pid = watch_find_child(name);
    int process = pid > 0 ? watch_process(pid) : -1;
    if (process >= 0 && watch_find_child(name) == pid) /* it, and not one that got its number meanwhile */
        (void)syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
    if (process >= 0)
        close(process);
    return pid > 0;
}

int watch_count_children(void) { return watch_children(NULL, NULL); }

int watch_count_threads(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/task");
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2;
}

long watch_memory_kb(void)
{
    long size = -1;
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");
    assert_non_null(file);
    while (size < 0 && fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "RssAnon: %ld", &size) != 1)
            size = -1;
    fclose(file);
    return size;
}

bool watch_until(bool (*holds)(void *argument), void *argument)
{
    struct timespec now, start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        if (holds(argument))
            return true;
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec < WATCH_BOUND_MS / 1000);
    return holds(argument); /* it may have been this thread that stood still */
}

static bool watch_files_hold(void *argument) { return scenario_open_files() <= *(int *)argument; }
static bool watch_threads_hold(void *argument) { return watch_count_threads() <= *(int *)argument; }
static bool watch_children_hold(void *argument) { return watch_count_children() <= *(int *)argument; }

bool watch_until_files(int at_most) { return watch_until(watch_files_hold, &at_most); }
bool watch_until_threads(int at_most) { return watch_until(watch_threads_hold, &at_most); }
bool watch_until_children(int at_most) { return watch_until(watch_children_hold, &at_most); }
