/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

/* Reads a small file as a string; false when it is not there. No stdio: that allocates outside our table. */
static bool cgroup_read(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t length = 0;
    ssize_t got;
    while (length < size - 1 && (got = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    close(fd);
    text[length] = '\0';
    return length > 0;
}

static uint32_t cgroup_round_up(int64_t quota_us, int64_t period_us)
{
    if (quota_us <= 0 || period_us <= 0)
        return UINT32_MAX;
    int64_t cpus = quota_us / period_us + (quota_us % period_us != 0);
    return cpus > INT32_MAX ? UINT32_MAX : (uint32_t)cpus;
}

/* v2: "max 100000" or "150000 100000". */
static uint32_t cgroup_limit_v2(const char *folder)
{
    char path[PATH_MAX], text[64], *rest;
    if (snprintf(path, sizeof(path), "%s/cpu.max", folder) >= (int)sizeof(path) ||
        !cgroup_read(path, text, sizeof(text)))
        return UINT32_MAX;
    int64_t quota = strtoll(text, &rest, 10);
    return cgroup_round_up(quota, strtoll(rest, NULL, 10));
}

/* v1: two files; quota -1 is none. */
static uint32_t cgroup_limit_v1(const char *folder)
{
    char path[PATH_MAX], text[64];
    if (snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", folder) >= (int)sizeof(path) ||
        !cgroup_read(path, text, sizeof(text)))
        return UINT32_MAX;
    int64_t quota = strtoll(text, NULL, 10);
    if (snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", folder) >= (int)sizeof(path) ||
        !cgroup_read(path, text, sizeof(text)))
        return UINT32_MAX;
    return cgroup_round_up(quota, strtoll(text, NULL, 10));
}

/*
 * The least limit from `group` up to the root. In a container the path may be the host's and missing under the
 * mount; the walk then still meets the container's own limits at the root of the mount.
 */
static uint32_t cgroup_least(const char *mount, const char *controllers, const char *group,
                             uint32_t (*limit)(const char *folder))
{
    char folder[PATH_MAX - 32];
    int length = snprintf(folder, sizeof(folder), "%s%s%s%s", mount, controllers[0] == '\0' ? "" : "/", controllers,
                          group);
    if (length < 0 || length >= (int)sizeof(folder))
        return UINT32_MAX;
    size_t root = (size_t)length - strlen(group);
    uint32_t least = limit(folder);
    while (strlen(folder) > root) {
        *strrchr(folder, '/') = '\0';
        least = (uint32_t)brg__min(least, limit(folder));
    }
    return least;
}

static bool cgroup_names_cpu(const char *controllers)
{
    for (const char *at = controllers; at != NULL; at = strchr(at, ','), at = at == NULL ? NULL : at + 1)
        if (strcmp(at, "cpu") == 0 || strncmp(at, "cpu,", 4) == 0)
            return true;
    return false;
}

/* A line is "0::/path" for v2 and "4:cpu,cpuacct:/path" for v1. */
static uint32_t cgroup_line(char *line, const char *mount)
{
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL || group[1] != '/')
        return UINT32_MAX;
    controllers++;
    *group++ = '\0';
    if (controllers[0] == '\0')
        return (uint32_t)brg__min(cgroup_least(mount, "", group, cgroup_limit_v2),
                                  cgroup_least(mount, "unified", group, cgroup_limit_v2));
    if (!cgroup_names_cpu(controllers))
        return UINT32_MAX;
    return (uint32_t)brg__min(cgroup_least(mount, controllers, group, cgroup_limit_v1),
                              cgroup_least(mount, "cpu", group, cgroup_limit_v1));
}

uint32_t brg__cgroup_cpus(const char *membership, const char *mount)
{
    char text[8192], *rest = NULL;
    if (!cgroup_read(membership, text, sizeof(text)))
        return UINT32_MAX;
    uint32_t least = UINT32_MAX;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        least = (uint32_t)brg__min(least, cgroup_line(line, mount));
    return least;
}
