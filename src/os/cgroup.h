/* SPDX-License-Identifier: MIT */
/* The CPU quota of the process's control group. */
#ifndef BRG_OS_CGROUP_H
#define BRG_OS_CGROUP_H

#include <stdint.h>

/*
 * CPUs the quota allows, rounded up: the least over the group and its ancestors; UINT32_MAX when nothing limits.
 * `membership` is a file like /proc/self/cgroup, `mount` where the hierarchies are mounted, like /sys/fs/cgroup.
 */
uint32_t brg__cgroup_cpus(const char *membership, const char *mount);

#endif
