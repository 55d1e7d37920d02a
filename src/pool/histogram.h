/* SPDX-License-Identifier: MIT */
/*
 * Histograms of times, log-linear as HdrHistogram has them (Gil Tene, hdrhistogram.org): each power of two is cut into
 * 16 equal buckets, so that a value read back from the middle of its bucket is off by at most 1/32 of it. Values up to
 * 15 have a bucket each; those from BRG__HISTOGRAM_TOP on share the last.
 *
 * One writer adds with plain stores; anybody reads at any time, and may see the last additions or not. Only
 * brg__histogram_add_shared is for several writers, all of which must use it then. Counts of different histograms
 * may be added up bucket by bucket.
 */
#ifndef BRG_POOL_HISTOGRAM_H
#define BRG_POOL_HISTOGRAM_H

#include "base/util.h"
#include "os/atomic.h"

#define BRG__HISTOGRAM_STEPS 16 /* buckets to a power of two */
#define BRG__HISTOGRAM_BITS 43  /* of the largest value with a bucket of its own: 2.4 hours of ns */
#define BRG__HISTOGRAM_TOP (UINT64_C(1) << BRG__HISTOGRAM_BITS)
#define BRG__HISTOGRAM_BUCKETS ((BRG__HISTOGRAM_BITS - 3) * BRG__HISTOGRAM_STEPS)

typedef struct brg__histogram {
    uint64_t xsum, xmax; /* exact */
    uint64_t xcounts[BRG__HISTOGRAM_BUCKETS];
} brg__histogram;

static inline uint32_t brg__histogram_bucket(uint64_t value)
{
    if (value < BRG__HISTOGRAM_STEPS)
        return (uint32_t)value;
    if (value >= BRG__HISTOGRAM_TOP)
        return BRG__HISTOGRAM_BUCKETS - 1;
    uint32_t exponent = 63u - (uint32_t)__builtin_clzll(value); /* 4 to BITS - 1 */
    return (exponent - 3) * BRG__HISTOGRAM_STEPS + (uint32_t)(value >> (exponent - 4)) % BRG__HISTOGRAM_STEPS;
}

/* The smallest value of a bucket; that of the one behind the last is BRG__HISTOGRAM_TOP. */
uint64_t brg__histogram_low(uint32_t bucket);

/* Counts `value` as `weight` of them. One writer. */
static inline void brg__histogram_add(brg__histogram *to, uint64_t value, uint64_t weight)
{
    uint64_t *count = &to->xcounts[brg__histogram_bucket(value)];
    brg_store_relaxed(count, *count + weight);
    brg_store_relaxed(&to->xsum, to->xsum + value * weight);
    if (value > to->xmax)
        brg_store_relaxed(&to->xmax, value);
}

/* The same, with several writers. */
void brg__histogram_add_shared(brg__histogram *to, uint64_t value, uint64_t weight);

/* Adds what `from` holds, which others may be writing, to `to`, which is the caller's alone. */
void brg__histogram_merge(brg__histogram *to, const brg__histogram *from);

/* Of one that is the caller's alone. */
uint64_t brg__histogram_count(const brg__histogram *histogram);
/* How many are below `value`, which is the low end of a bucket. */
uint64_t brg__histogram_count_below(const brg__histogram *histogram, uint64_t value);
/* The value that the share `quantile` (0 to 1) of all is not above: the nearest rank, within 1/32; 1 is the maximum. 0:
 * it is empty. */
uint64_t brg__histogram_quantile(const brg__histogram *histogram, double quantile);

#endif
