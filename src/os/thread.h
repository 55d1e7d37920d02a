/* SPDX-License-Identifier: MIT */
/* Threads and CPUs. Started threads block every signal but those a fault raises. */
#ifndef BRG_OS_THREAD_H
#define BRG_OS_THREAD_H

#include <brigade/status.h>
#include <pthread.h>
#include <stdbool.h>

typedef struct brg__thread {
    pthread_t handle;
} brg__thread;

/* The 15 bytes that the kernel keeps of a name, and a zero: of a longer one what follows its last hyphen stays, when it
 * is a number: workers of one pool differ there. */
void brg__name_shorten(char out[16], const char *name);

/* `name` is shortened so; `stack_bytes` 0 means the system's default, less than the minimum is raised to it. */
brg_status brg__thread_start(brg__thread *thread, const char *name, size_t stack_bytes, void (*body)(void *argument),
                             void *argument, brg_error *error);
void brg__thread_join(brg__thread *thread);
void brg__thread_detach(brg__thread *thread);
void brg__thread_yield(void); /* lets others run */
/* A small number unique to the calling thread for its life, from 1; cheap. */
uint32_t brg__thread_id(void);

/* Whether little of the calling thread's stack is left: less than a quarter, or 128 KiB where that is less. Cheap. */
bool brg__thread_stack_is_low(void);

/* CPUs this process may use: affinity, then the cgroup quota (v2 cpu.max, v1 cfs_quota) rounded up; at least 1. Reads
 * files. */
uint32_t brg__cpu_count(void);
/* CPUs in the affinity mask when first asked; cached, cheap. */
uint32_t brg__cpu_online(void);
/* The CPU the caller runs on. */
uint32_t brg__cpu_current(void);
/* One spin-loop hint. */
static inline void brg__cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

/* How many forks lie between this process and the one that loaded the library, 0 in that one; siblings made by
 * brg__process_fork_sibling do not count. Cheap. */
uint32_t brg__fork_generation(void);

#endif
