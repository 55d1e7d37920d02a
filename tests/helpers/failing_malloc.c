/* SPDX-License-Identifier: MIT */
/*
 * Put before a program by LD_PRELOAD: the FAIL_AT-th allocation of each of its processes fails, and those that follow it
 * if there is FAIL_ON. With FAIL_IN only in programs of that name. The number of allocations is written to the file
 * FAIL_REPORT, by programs that end in order.
 *
 * What libuv and the dynamic loader allocate neither counts nor fails: they end the program by themselves where memory is
 * out for a watcher or for thread-local data.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static unsigned long calls, fail_at;
static bool fails_on, is_ready;

static bool is_exempt(void *caller)
{
    struct dl_find_object object;
    if (_dl_find_object(caller, &object) != 0)
        return false;
    const char *path = object.dlfo_link_map->l_name, *name = strrchr(path, '/');
    name = name == NULL ? path : name + 1;
    return strncmp(name, "libuv.", 6) == 0 || strncmp(name, "ld-", 3) == 0;
}

static bool failing(void *caller)
{
    if (!__atomic_load_n(&is_ready, __ATOMIC_ACQUIRE) || is_exempt(caller))
        return false;
    unsigned long call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    if (fail_at == 0 || call < fail_at || (call > fail_at && !fails_on))
        return false;
    errno = ENOMEM;
    return true;
}

#define CALLER __builtin_return_address(0)

#pragma GCC visibility push(default)

void *malloc(size_t size) { return failing(CALLER) ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return failing(CALLER) ? NULL : __libc_calloc(count, size); }
void *realloc(void *memory, size_t size) { return failing(CALLER) ? NULL : __libc_realloc(memory, size); }
void *memalign(size_t alignment, size_t size) { return failing(CALLER) ? NULL : __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { return failing(CALLER) ? NULL : __libc_memalign(alignment, size); }

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    void *got = failing(CALLER) ? NULL : __libc_memalign(alignment, size);
    if (got == NULL)
        return ENOMEM;
    *memory = got;
    return 0;
}

#pragma GCC visibility pop

__attribute__((constructor)) static void begin(void)
{
    const char *at = getenv("FAIL_AT"), *in = getenv("FAIL_IN");
    if (in != NULL && strcmp(in, program_invocation_short_name) != 0)
        return;
    fail_at = at == NULL ? 0 : strtoul(at, NULL, 10);
    fails_on = getenv("FAIL_ON") != NULL;
    __atomic_store_n(&is_ready, true, __ATOMIC_RELEASE);
}

__attribute__((destructor)) static void end(void)
{
    char text[32];
    const char *path = getenv("FAIL_REPORT");
    int length = snprintf(text, sizeof(text), "%lu\n", __atomic_load_n(&calls, __ATOMIC_RELAXED));
    if (path == NULL || !__atomic_load_n(&is_ready, __ATOMIC_RELAXED))
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0 && write(fd, text, (size_t)length) < 0)
        perror(path);
    if (fd >= 0)
        close(fd);
}
