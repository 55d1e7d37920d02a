/* SPDX-License-Identifier: MIT */
/*
 * Put before `brigade analyze --sort` by LD_PRELOAD: interrupts it when its loop is over and its workers have ended, just
 * before it holds SIGINT and SIGTERM back for the last merging.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(default)

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    int (*real)(int, const sigset_t *, sigset_t *);
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_sigmask");
    bool holds = how == SIG_BLOCK && set != NULL && sigismember(set, SIGINT) == 1 && sigismember(set, SIGHUP) == 0;
    if (holds)
        raise(SIGINT);
    return real(how, set, old);
}

#pragma GCC visibility pop
