/* SPDX-License-Identifier: MIT */
/* Futexes: sleeping on a 32-bit word, private to the process or shared between processes. */
#ifndef BRG_OS_FUTEX_H
#define BRG_OS_FUTEX_H

#include <stdbool.h>
#include <stdint.h>

typedef enum brg__futex_scope { BRG__FUTEX_PRIVATE, BRG__FUTEX_SHARED } brg__futex_scope;

/*
 * Sleeps while *word == expected, until a wake or `deadline_ns` (brg__now terms; UINT64_MAX: none). False when
 * the deadline passed; true otherwise, spuriously too: callers look again. Errors but EAGAIN and EINTR do not occur.
 */
bool brg__futex_wait(const uint32_t *word, uint32_t expected, uint64_t deadline_ns, brg__futex_scope scope);
/* Wakes up to `count` sleepers. */
void brg__futex_wake(uint32_t *word, uint32_t count, brg__futex_scope scope);

#endif
