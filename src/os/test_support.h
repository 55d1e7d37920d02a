/* SPDX-License-Identifier: MIT */
/* For the unit tests of this folder: cmocka, and code that runs in a forked child. */
#ifndef BRG_OS_TEST_SUPPORT_H
#define BRG_OS_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Nearly as long as ctest lets a test run: a wait that reaches it has failed, however slow the machine. */
#define TEST_BOUND_NS ((uint64_t)240 * 1000000000u)

/* In a child of test_fork: cmocka's assertions would return into the parent's test. */
#define child_check(condition)                                                                                         \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: failed in the child: %s\n", __FILE__, __LINE__, #condition);                       \
            _exit(99);                                                                                                 \
        }                                                                                                              \
    } while (0)

/* Runs `body` in a forked child, which exits with 0 if it returns. */
static inline pid_t test_fork(void (*body)(void *argument), void *argument)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        signal(signals[i], SIG_DFL);
    body(argument);
    _exit(0);
}

/* The wait status of the child. */
static inline int test_wait(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

#endif
