/* SPDX-License-Identifier: MIT */
/* Turning addresses into text inside a crash handler: from tables laid out beforehand, without any call. */
#ifndef BRG_OS_CRASH_MODULES_H
#define BRG_OS_CRASH_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Writes "module.so+0x1234 (symbol+0x10)\n" for `pc` and returns the length, at most `size`; no zero byte. `is_call`:
 * pc is a return address, so what it belongs to is just before it. Signal handlers.
 */
size_t brg__crash_describe(uintptr_t pc, bool is_call, char *line, size_t size);
/* `number` in decimal; returns the length, at most 20. Signal handlers. */
size_t brg__crash_decimal(uint64_t number, char *out);

#endif
