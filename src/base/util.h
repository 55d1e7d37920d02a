/* SPDX-License-Identifier: MIT */
/* Small helpers without a home of their own. */
#ifndef BRG_BASE_UTIL_H
#define BRG_BASE_UTIL_H

#include <stddef.h>
#include <stdint.h>

#define brg__container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define brg__count_of(array) (sizeof(array) / sizeof((array)[0]))

#define BRG__CACHE_LINE 64
#define BRG__ALIGNED(bytes) __attribute__((aligned(bytes)))
#define BRG__LIKELY(condition) __builtin_expect(!!(condition), 1)
#define BRG__UNLIKELY(condition) __builtin_expect(!!(condition), 0)

static inline uint64_t brg__min(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t brg__max(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* `value` rounded up to a multiple of `alignment`, a power of two. */
static inline uint64_t brg__align_up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

/* a + b, or UINT64_MAX where that overflows: deadlines made from BRG_FOREVER stay for ever. */
static inline uint64_t brg__add_saturated(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

#endif
