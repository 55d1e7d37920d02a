/* SPDX-License-Identifier: MIT */
/* Random numbers for choices, not for secrets: splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
 * generators, 2014). */
#ifndef BRG_BASE_RANDOM_H
#define BRG_BASE_RANDOM_H

#include <stdint.h>

#define BRG__RANDOM_STEP UINT64_C(0x9e3779b97f4a7c15) /* 2^64 over the golden ratio */

/* The finalizer: spreads what differs in a few bits. */
static inline uint64_t brg__random_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* The next number; `state` starts as the seed, whatever it is. */
static inline uint64_t brg__random_next(uint64_t *state) { return brg__random_mix(*state += BRG__RANDOM_STEP); }

/* 0 to count - 1, each as likely as the next but for count / 2^32 (Lemire: Fast random integer generation, 2019). */
static inline uint32_t brg__random_below(uint64_t *state, uint32_t count)
{
    return (uint32_t)(((brg__random_next(state) >> 32) * count) >> 32);
}

#endif
