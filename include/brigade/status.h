/* SPDX-License-Identifier: MIT */
/* Status values and errors. Status 0 is success, errors are negative, stable, and listed once: here. */
#ifndef BRIGADE_STATUS_H
#define BRIGADE_STATUS_H

#include <brigade/export.h>

/* X(name, number, text). The list feeds the enum, brg_status_name, brg_status_text and the manual. */
#define BRG_STATUS_MAP(X)                                                                                              \
    X(OK, 0, "success")                                                                                                \
    X(INVALID, -1, "invalid argument")                                                                                 \
    X(NO_MEMORY, -2, "out of memory")                                                                                  \
    X(SYSTEM, -3, "system call failed")                                                                                \
    X(FULL, -4, "queue or mailbox is full")                                                                            \
    X(EMPTY, -5, "nothing is there")                                                                                   \
    X(TIMED_OUT, -6, "timed out")                                                                                      \
    X(CANCELLED, -7, "cancelled")                                                                                      \
    X(CLOSED, -8, "closed or shutting down")                                                                           \
    X(NOT_FOUND, -9, "not found")                                                                                      \
    X(STATE, -10, "not possible in this state")                                                                        \
    X(UNSUPPORTED, -11, "not supported")                                                                               \
    X(TOO_LARGE, -12, "larger than a limit allows")                                                                    \
    X(MALFORMED, -13, "malformed data")                                                                                \
    X(WRONG_TYPE, -14, "value has another type")                                                                       \
    X(RANGE, -15, "number out of range")                                                                               \
    X(FAILED, -16, "task failed")                                                                                      \
    X(CRASHED, -17, "worker ended by a signal")                                                                        \
    X(EXITED, -18, "worker exited while running a task")                                                               \
    X(LOST, -19, "thread worker did not end and was abandoned")                                                        \
    X(PROTOCOL, -20, "worker broke the protocol")                                                                      \
    X(START_FAILED, -21, "worker could not start")                                                                     \
    X(UNAVAILABLE, -22, "too many worker starts failed; not trying for a while")                                       \
    X(POISONED, -23, "task ended too many workers")                                                                    \
    X(FORKED, -24, "object belongs to the parent of this forked process")                                              \
    X(DEADLOCK, -25, "the caller would wait for itself")                                                               \
    X(NOT_EQUAL, -26, "the value is not the expected one")                                                             \
    X(OWNER_DIED, -27, "a holder died; its successor holds it now")

#ifdef __cplusplus
extern "C" {
#endif

typedef enum brg_status {
#define BRG_STATUS_ENUM(name, number, text) BRG_##name = number,
    BRG_STATUS_MAP(BRG_STATUS_ENUM)
#undef BRG_STATUS_ENUM
} brg_status;

/*
 * What went wrong, whole. The caller owns it and passes its address; functions fill it only on failure.
 * Fields that do not apply are zero or empty. Every string ends with a zero byte.
 */
typedef struct brg_error {
    brg_status status;
    int os_errno;         /* errno of the system call that failed, or 0 */
    int signal;           /* signal that ended the worker, or 0 */
    int exit_code;        /* exit code of a worker that exited, or 0 */
    uint32_t attempt;     /* which attempt of the task this was, from 1; 0 outside tasks */
    int64_t code;         /* the task's own code, from brg_context_fail */
    char domain[32];      /* who speaks: "os", "value", "worker", "pool", or the module's name */
    char message[256];    /* one sentence: what was wrong and what would be right */
    char backtrace[1024]; /* of a crashed worker, a frame a line, innermost first */
} brg_error;

/* The name of a status as "BRG_INVALID", or "BRG_?" for an unknown one. Static. Any thread and signal handlers. */
BRG_API const char *brg_status_name(brg_status status);

/* What a status means, in a few words. Static. Any thread and signal handlers. */
BRG_API const char *brg_status_text(brg_status status);

/* Fills `error` (which may be NULL) and returns `status`: `return brg_error_set(error, ...)`. Any thread. */
BRG_API brg_status brg_error_set(brg_error *error, brg_status status, const char *domain, const char *format, ...)
    BRG_PRINTF(4, 5);

#ifdef __cplusplus
}
#endif

#endif
