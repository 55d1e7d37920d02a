/* SPDX-License-Identifier: MIT */
/* For tests only (compiled into test programs, not into the library): failing calls and a fake clock. */
#ifndef BRG_OS_FAULT_H
#define BRG_OS_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * From now on the `nth` call (from 1) of brg__os entry `name` ("allocate", "map", ...; NULL: any entry) fails, once,
 * with the errno typical for it. nth 0 only counts. Any thread may make the call.
 */
void brg__fault_arm(const char *name, uint64_t nth);
/* Calls counted since the last arm, and whether the armed one came. */
uint64_t brg__fault_calls(void);
bool brg__fault_fired(void);
/* Back to the real table. */
void brg__fault_disarm(void);

/* Time stands at `start_ns` until advanced. Waits with a deadline look at it about every real millisecond. Install
 * and remove while no thread waits with a deadline. */
void brg__fake_clock_install(uint64_t start_ns);
void brg__fake_clock_advance(uint64_t by_ns);
void brg__fake_clock_remove(void);

#endif
