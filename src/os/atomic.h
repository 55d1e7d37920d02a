/* SPDX-License-Identifier: MIT */
/*
 * Atomics with their order in their name, on plain integer and pointer objects (compiler builtins, so that the
 * same fields work in shared memory and in C++-free headers). Each release names, at its place, the acquire it
 * pairs with. Fields other threads write start with x.
 */
#ifndef BRG_OS_ATOMIC_H
#define BRG_OS_ATOMIC_H

#include <stdbool.h>

#define brg_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define brg_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define brg_load_seq_cst(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define brg_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define brg_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define brg_store_seq_cst(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define brg_exchange_relaxed(p, v) __atomic_exchange_n((p), (v), __ATOMIC_RELAXED)
#define brg_exchange_acquire(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
#define brg_exchange_acq_rel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define brg_exchange_seq_cst(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define brg_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define brg_add_acq_rel(p, v) __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define brg_add_seq_cst(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define brg_sub_relaxed(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)
#define brg_sub_acq_rel(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_ACQ_REL)
#define brg_sub_seq_cst(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_SEQ_CST)
#define brg_or_acq_rel(p, v) __atomic_fetch_or((p), (v), __ATOMIC_ACQ_REL)
/* Strong compare-and-swap: on failure *expected receives what was there. */
#define brg_cas_relaxed(p, expected, v)                                                                                \
    __atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
#define brg_cas_acq_rel(p, expected, v)                                                                                \
    __atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define brg_cas_seq_cst(p, expected, v)                                                                                \
    __atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

/* A full fence. The thread sanitizer does not model fences; it sees the acquires and releases beside them. */
static inline void brg_fence_seq_cst(void)
{
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wtsan"
#endif
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
}

#endif
