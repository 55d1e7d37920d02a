/* SPDX-License-Identifier: MIT */
/*
 * SIGINT and SIGTERM. While the loop runs it is told, and what takes long looks at analyze_stop. When it is over no worker
 * is left, and the temporary file has no name: the handler ends the program.
 *
 * A row is written where the loop merges it, and its reader may never come. So no write is begun again after a signal,
 * and for one that was just about to begin standard output is /dev/null from then on. Of threads only this one has the
 * handler run: all others are the library's, which block signals. Nobody may read standard error either, and a handler
 * that waited for that could not be interrupted: where it takes nothing now it is /dev/null, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "analyze_run.h"

volatile sig_atomic_t analyze_stop;

static uv_async_t *volatile interrupt_wake; /* NULL: the loop is over */
static volatile sig_atomic_t interrupt_clears;
static int interrupt_null = -1;

static void interrupt_taken(int number)
{
    static const char clear[] = "\r\033[K";
    struct pollfd errors = {.fd = STDERR_FILENO, .events = POLLOUT};
    (void)number;
    int error = errno;
    analyze_stop = 1;
    bool takes_errors = poll(&errors, 1, 0) > 0;
    if (interrupt_null >= 0) { /* also at the end: sanitizers flush what is left */
        (void)dup2(interrupt_null, STDOUT_FILENO);
        if (!takes_errors)
            (void)dup2(interrupt_null, STDERR_FILENO);
    }
    if (interrupt_wake == NULL) {
        if (interrupt_clears != 0 && takes_errors)
            (void)!write(STDERR_FILENO, clear, sizeof(clear) - 1);
        _exit(CLI_INTERRUPTED);
    }
    uv_async_send(interrupt_wake);
    errno = error;
}

void analyze_interrupt_begin(uv_async_t *wake)
{
    struct sigaction action = {.sa_handler = interrupt_taken}; /* no SA_RESTART: a write ends */
    interrupt_wake = wake;
    interrupt_null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void analyze_interrupt_loop_over(bool shows_progress)
{
    interrupt_clears = shows_progress;
    interrupt_wake = NULL;
}
