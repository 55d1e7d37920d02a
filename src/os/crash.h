/* SPDX-License-Identifier: MIT */
/*
 * Crash reports: a handler for SEGV, BUS, ILL, FPE, ABRT, SYS and TRAP on an alternate stack that writes signal,
 * address and return addresses as text into memory shared with the owner, then lets the signal take its course.
 * Async-signal-safe throughout; survives a stack overflow.
 */
#ifndef BRG_OS_CRASH_H
#define BRG_OS_CRASH_H

#include <brigade/status.h>

typedef struct brg__crash_report {
    uint32_t xready; /* 1 once the rest is written */
    int32_t signal;
    int32_t code; /* si_code */
    uint32_t text_size;
    uint64_t address; /* si_addr */
    char text[1000];  /* "module.so+0x1234 (symbol+0x10)", a frame a line, innermost first; not trusted by the reader */
} brg__crash_report;

/* In a worker process, once: loads what the handler needs, sets the alternate stack and the handlers. */
brg_status brg__crash_install(brg__crash_report *report, brg_error *error);

/* In a worker process, after it loaded modules (not while it crashes): learns where they lie. */
void brg__crash_refresh(void);

/* In the owner: the report of an untrusted process, copied and cleaned (printable, ended). False when there is none. */
bool brg__crash_read(const brg__crash_report *report, int *signal, uint64_t *address, char *text, size_t text_size);

#endif
