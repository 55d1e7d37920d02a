/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "os/atomic.h"
#include "os/cgroup.h"
#include "os/memory.h"
#include "os/sys.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define THREAD_STACK_MIN (256u * 1024u) /* their frames are several times larger */
#else
#define THREAD_STACK_MIN (16u * 1024u)
#endif

/* CPU masks grow until the kernel is content; this is a multiple of any machine. */
#define THREAD_CPUS_MAX (1 << 20)

typedef struct thread_start {
    void (*body)(void *argument);
    void *argument;
    char name[16];
} thread_start;

void brg__name_shorten(char out[16], const char *name)
{
    size_t size = strlen(name), kept = 0;
    const char *number = strrchr(name, '-');
    if (size > 15 && number != NULL && number[1] != '\0' && strspn(number + 1, "0123456789") == strlen(number + 1))
        kept = strlen(number);
    if (kept > 12)
        kept = 0;
    snprintf(out, 16, "%.*s%s", (int)brg__min(size - kept, 15 - kept), name, kept != 0 ? number : "");
}

static void *thread_main(void *argument)
{
    thread_start *given = argument, start = *given;
    brg__mfree(given);
    pthread_setname_np(pthread_self(), start.name);
    start.body(start.argument);
    return NULL;
}

/* Every signal but those that a fault of the thread itself raises: blocking those would end the process mutely. */
static void thread_signal_mask(sigset_t *mask)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
    sigfillset(mask);
    for (size_t i = 0; i < brg__count_of(faults); i++)
        sigdelset(mask, faults[i]);
}

static size_t thread_stack_size(size_t wanted)
{
    long least = sysconf(_SC_THREAD_STACK_MIN);
    size_t size = (size_t)brg__max(wanted, brg__max(THREAD_STACK_MIN, least > 0 ? (uint64_t)least : 0));
    return (size_t)brg__align_up(size, (uint64_t)sysconf(_SC_PAGESIZE));
}

/* The mask is part of the attributes, so that no signal finds the new thread with another. */
static int thread_attributes(pthread_attr_t *attributes, size_t stack_bytes)
{
    sigset_t mask;
    thread_signal_mask(&mask);
    int failed = pthread_attr_setsigmask_np(attributes, &mask);
    if (failed == 0 && stack_bytes != 0)
        failed = pthread_attr_setstacksize(attributes, thread_stack_size(stack_bytes));
    return failed;
}

brg_status brg__thread_start(brg__thread *thread, const char *name, size_t stack_bytes, void (*body)(void *argument),
                             void *argument, brg_error *error)
{
    thread_start *start = brg__malloc(sizeof(*start));
    if (start == NULL)
        return brg__error_memory(error, "starting a thread");
    start->body = body;
    start->argument = argument;
    brg__name_shorten(start->name, name);
    pthread_attr_t attributes;
    pthread_t handle;
    int failed = pthread_attr_init(&attributes);
    if (failed == 0) {
        failed = thread_attributes(&attributes, stack_bytes);
        if (failed == 0)
            failed = brg__os.thread_start(&handle, &attributes, thread_main, start);
        pthread_attr_destroy(&attributes);
    }
    if (failed != 0) {
        brg__mfree(start);
        return brg__error_errno(error, "starting a thread", failed);
    }
    thread->handle = handle;
    return BRG_OK;
}

void brg__thread_join(brg__thread *thread) { pthread_join(thread->handle, NULL); }
void brg__thread_yield(void) { sched_yield(); }

void brg__thread_detach(brg__thread *thread) { pthread_detach(thread->handle); }

/* Where the calling thread's stack must not be used below; 1 where that cannot be told. */
static uintptr_t thread_stack_floor(void)
{
    pthread_attr_t attributes;
    void *lowest = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return 1;
    int failed = pthread_attr_getstack(&attributes, &lowest, &size);
    pthread_attr_destroy(&attributes);
    return failed != 0 ? 1 : (uintptr_t)lowest + brg__min(size / 4, (size_t)128 << 10);
}

bool brg__thread_stack_is_low(void)
{
    static _Thread_local uintptr_t floor;
    char here;
    if (floor == 0)
        floor = thread_stack_floor();
    return (uintptr_t)&here < floor;
}

uint32_t brg__thread_id(void)
{
    static uint32_t xlast;
    static _Thread_local uint32_t id;
    if (id == 0)
        id = brg_add_relaxed(&xlast, 1u) + 1;
    return id;
}

static uint32_t thread_affinity_count(void)
{
    for (int cpus = 1024; cpus <= THREAD_CPUS_MAX; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        if (set == NULL)
            break;
        size_t size = CPU_ALLOC_SIZE((size_t)cpus);
        int failed = sched_getaffinity(0, size, set) != 0 ? errno : 0;
        int count = failed == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (failed == 0 && count > 0)
            return (uint32_t)count;
        if (failed != EINVAL)
            break;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

uint32_t brg__cpu_count(void)
{
    return (uint32_t)brg__max(
        1, brg__min(thread_affinity_count(), brg__cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup")));
}

uint32_t brg__cpu_online(void)
{
    static uint32_t xcount;
    uint32_t count = brg_load_relaxed(&xcount);
    if (count == 0) {
        count = thread_affinity_count();
        brg_store_relaxed(&xcount, count);
    }
    return count;
}

uint32_t brg__cpu_current(void)
{
    int cpu = sched_getcpu();
    return cpu < 0 ? 0 : (uint32_t)cpu;
}

/* Written only while the process has one thread: in the child of a fork, before fork returns. */
static uint32_t thread_generation;

static void thread_after_fork(void) { thread_generation++; }

/* If it fails there is no memory at load: forks then go unnoticed, as they do for every library. */
__attribute__((constructor)) static void thread_watch_forks(void) { pthread_atfork(NULL, NULL, thread_after_fork); }

uint32_t brg__fork_generation(void) { return thread_generation; }
