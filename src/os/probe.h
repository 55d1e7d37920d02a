/* SPDX-License-Identifier: MIT */
/*
 * Static probes (USDT): a no-op in the code and a note in the file that tells perf, bpftrace, gdb and SystemTap where
 * it is and where its arguments are. Each has a semaphore, which a tracer raises while it listens: so nobody computes
 * arguments that nobody reads. Without <sys/sdt.h> (Debian: systemtap-sdt-dev) there are none.
 */
#ifndef BRG_OS_PROBE_H
#define BRG_OS_PROBE_H

#include <stdint.h>

#if defined(__has_include) && !defined(BRG_NO_PROBES)
#if __has_include(<sys/sdt.h>)
#define BRG__HAS_PROBES 1
#endif
#endif

#ifdef BRG__HAS_PROBES
#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>

#define BRG__PROBE_DECLARE(name) extern unsigned short brigade_##name##_semaphore __attribute__((visibility("hidden")));
/* Once in the library. */
#define BRG__PROBE_DEFINE(name)                                                                                        \
    unsigned short brigade_##name##_semaphore __attribute__((section(".probes"), visibility("hidden")));
/* The tracer writes it from outside. */
#define BRG__PROBE_IS_ON(name) (__atomic_load_n(&brigade_##name##_semaphore, __ATOMIC_RELAXED) != 0)
#define BRG__PROBE8(name, ...) STAP_PROBE8(brigade, name, __VA_ARGS__)
#else
#define BRG__PROBE_DECLARE(name)
#define BRG__PROBE_DEFINE(name)
#define BRG__PROBE_IS_ON(name) 0
#define BRG__PROBE8(name, ...) ((void)0)
#endif

#endif
