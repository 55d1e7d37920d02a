/* SPDX-License-Identifier: MIT */
/* What a process does to itself, and knows of itself: the part of os/process.h that runs in children. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/util.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/thread.h"

void brg__process_die_with_parent(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* It may have died before the line above; nobody would tell. */
    if (getppid() != parent)
        _exit(1);
}

void brg__process_ignore_interrupt(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &action, NULL);
}

static void self_close_range(unsigned first, unsigned last)
{
    if (first > last || close_range(first, last, 0) == 0)
        return;
    /* Old kernels, and filters that do not know the call. */
    struct rlimit limit;
    unsigned end = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (unsigned)brg__min(limit.rlim_cur, 1u << 20) : 1024;
    for (unsigned fd = first; fd <= last && fd < end; fd++)
        close((int)fd);
}

/* The least kept descriptor from `first` on; UINT_MAX when there is none. */
static unsigned self_next_kept(unsigned first, const int *keep, size_t keep_count)
{
    unsigned next = UINT_MAX;
    for (size_t i = 0; i < keep_count; i++)
        if (keep[i] >= 0 && (unsigned)keep[i] >= first)
            next = (unsigned)brg__min(next, (unsigned)keep[i]);
    return next;
}

void brg__process_close_others(const int *keep, size_t keep_count)
{
    for (unsigned first = 3;;) {
        unsigned kept = self_next_kept(first, keep, keep_count);
        if (kept == UINT_MAX) {
            self_close_range(first, UINT_MAX);
            return;
        }
        if (kept > first)
            self_close_range(first, kept - 1);
        first = kept + 1;
    }
}

/* The number after `field` ("Threads:") in /proc/self/status. */
static bool self_status(const char *field, uint64_t *out)
{
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t size = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (size <= 0)
        return false;
    text[size] = '\0';
    const char *found = strstr(text, field);
    if (found == NULL)
        return false;
    *out = strtoull(found + strlen(field), NULL, 10);
    return true;
}

/* Soft and hard, never above the hard limit that is: raising that one is not allowed. */
static brg_status self_limit(int resource, rlim_t soft, rlim_t hard, const char *what, brg_error *error)
{
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0)
        return brg__error_errno(error, what, errno);
    limit.rlim_max = (rlim_t)brg__min(hard, limit.rlim_max);
    limit.rlim_cur = (rlim_t)brg__min(soft, limit.rlim_max);
    return setrlimit((__rlimit_resource_t)resource, &limit) == 0 ? BRG_OK : brg__error_errno(error, what, errno);
}

/* `bytes` on top of what /proc says is in use now. */
static brg_status self_limit_more(int resource, const char *field, size_t bytes, const char *what, brg_error *error)
{
    uint64_t now_kb;
    if (!self_status(field, &now_kb))
        return brg_error_set(error, BRG_SYSTEM, "os", "%s: /proc does not tell what is in use now", what);
    rlim_t limit = (rlim_t)brg__min(brg__add_saturated(now_kb * 1024, bytes), (uint64_t)RLIM_INFINITY);
    return self_limit(resource, limit, limit, what, error);
}

static void self_prefer_for_oom(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    /* Best effort: the worker runs as well without. */
    ssize_t written = write(fd, "1000", 4);
    (void)written;
    close(fd);
}

brg_status brg__process_harden(const brg__process_limits *limits, brg_error *error)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return brg__error_errno(error, "giving up new privileges", errno);
    self_prefer_for_oom();
    /* 1, not 0: a core handler behind a pipe (core(5)) is called with 0, and a file of one byte is never written. */
    brg_status status = self_limit(RLIMIT_CORE, 1, 1, "limiting core dumps", error);
    if (status == BRG_OK && limits->stack_bytes != 0)
        status = self_limit(RLIMIT_STACK, limits->stack_bytes, limits->stack_bytes, "limiting the stack", error);
    if (status == BRG_OK && limits->files != 0)
        status = self_limit(RLIMIT_NOFILE, limits->files, limits->files, "limiting descriptors", error);
    /* SIGXCPU at the soft limit, SIGKILL a second later. */
    if (status == BRG_OK && limits->cpu_seconds != 0)
        status = self_limit(RLIMIT_CPU, limits->cpu_seconds, (rlim_t)limits->cpu_seconds + 1, "limiting CPU time",
                            error);
    if (status == BRG_OK && limits->memory_bytes != 0)
        status = self_limit_more(RLIMIT_DATA, "VmData:", limits->memory_bytes, "limiting memory", error);
    if (status == BRG_OK && limits->address_bytes != 0)
        status = self_limit_more(RLIMIT_AS, "VmSize:", limits->address_bytes, "limiting address space", error);
    return status;
}

void brg__process_set_name(const char *name)
{
    char cut[16];
    brg__name_shorten(cut, name);
    prctl(PR_SET_NAME, cut);
}

uint32_t brg__process_thread_count(void)
{
    uint64_t count;
    return self_status("Threads:", &count) ? (uint32_t)count : 0;
}

bool brg__symbol_name(const void *address, char *name, size_t name_size)
{
    Dl_info found;
    if (dladdr(address, &found) == 0)
        return false;
    if (found.dli_sname != NULL && found.dli_saddr == address) {
        snprintf(name, name_size, "%s", found.dli_sname);
        return true;
    }
    const char *file = found.dli_fname == NULL ? NULL : strrchr(found.dli_fname, '/');
    file = file != NULL ? file + 1 : found.dli_fname;
    if (file == NULL || file[0] == '\0')
        file = "?";
    snprintf(name, name_size, "%s+0x%zx", file, (size_t)((const char *)address - (const char *)found.dli_fbase));
    return true;
}

bool brg__object_path(const void *address, char *path, size_t path_size)
{
    Dl_info found;
    struct link_map *map = NULL;
    char whole[PATH_MAX];
    if (dladdr1(address, &found, (void **)&map, RTLD_DL_LINKMAP) == 0 || map == NULL)
        return false;
    /* The main program has no name here; and what dladdr calls it is argv[0], which may be anything. */
    bool program = map->l_name == NULL || map->l_name[0] == '\0';
    if (realpath(program ? "/proc/self/exe" : map->l_name, whole) == NULL)
        return false;
    size_t length = strlen(whole);
    if (length >= path_size)
        return false;
    memcpy(path, whole, length + 1);
    return true;
}
