/* SPDX-License-Identifier: MIT */
/* CPU time of this program and of the worker processes, whose parents are its threads: proc(5). */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "measure.h"

static uint64_t measure_process_ns(pid_t process)
{
    struct timespec used;
    clockid_t clock;
    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return 0;
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static bool measure_children_ns(uint64_t *ns)
{
    DIR *threads = opendir("/proc/self/task");
    bool known = false;
    if (threads == NULL)
        return false;
    for (struct dirent *entry = readdir(threads); entry != NULL; entry = readdir(threads)) {
        char path[300];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/proc/self/task/%s/children", entry->d_name);
        FILE *children = fopen(path, "r");
        if (children == NULL)
            continue;
        known = true;
        char *text = NULL, *end = NULL;
        size_t capacity = 0;
        if (getline(&text, &capacity, children) > 0) /* numbers, a blank after each */
            for (long process = strtol(text, &end, 10); process > 0; process = strtol(end, &end, 10))
                *ns += measure_process_ns((pid_t)process);
        free(text);
        fclose(children);
    }
    closedir(threads);
    return known;
}

uint64_t measure_cpu_ns(void)
{
    struct timespec own;
    uint64_t ns = 0;
    if (!measure_children_ns(&ns) || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own) != 0)
        return 0;
    return ns + (uint64_t)own.tv_sec * 1000000000u + (uint64_t)own.tv_nsec;
}
