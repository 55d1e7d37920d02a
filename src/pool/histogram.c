/* SPDX-License-Identifier: MIT */
#include "pool/histogram.h"

uint64_t brg__histogram_low(uint32_t bucket)
{
    if (bucket < BRG__HISTOGRAM_STEPS)
        return bucket;
    uint32_t exponent = bucket / BRG__HISTOGRAM_STEPS + 3;
    return (uint64_t)(BRG__HISTOGRAM_STEPS + bucket % BRG__HISTOGRAM_STEPS) << (exponent - 4);
}

void brg__histogram_add_shared(brg__histogram *to, uint64_t value, uint64_t weight)
{
    brg_add_relaxed(&to->xcounts[brg__histogram_bucket(value)], weight);
    brg_add_relaxed(&to->xsum, value * weight);
    uint64_t max = brg_load_relaxed(&to->xmax);
    while (value > max && !brg_cas_relaxed(&to->xmax, &max, value))
        ;
}

void brg__histogram_merge(brg__histogram *to, const brg__histogram *from)
{
    for (uint32_t i = 0; i < BRG__HISTOGRAM_BUCKETS; i++)
        to->xcounts[i] += brg_load_relaxed(&from->xcounts[i]);
    to->xsum += brg_load_relaxed(&from->xsum);
    to->xmax = brg__max(to->xmax, brg_load_relaxed(&from->xmax));
}

uint64_t brg__histogram_count(const brg__histogram *histogram)
{
    return brg__histogram_count_below(histogram, UINT64_MAX);
}

uint64_t brg__histogram_count_below(const brg__histogram *histogram, uint64_t value)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < BRG__HISTOGRAM_BUCKETS && brg__histogram_low(i) < value; i++)
        count += histogram->xcounts[i];
    return count;
}

/* The number, from 1, of the value that stands for the quantile when all are sorted. */
static uint64_t histogram_rank(uint64_t count, double quantile)
{
    double exact = quantile * (double)count;
    uint64_t rank = (uint64_t)exact;
    rank += (double)rank < exact;
    return brg__min(brg__max(rank, 1), count);
}

uint64_t brg__histogram_quantile(const brg__histogram *histogram, double quantile)
{
    uint64_t count = brg__histogram_count(histogram), seen = 0;
    if (count == 0)
        return 0;
    uint64_t rank = quantile >= 1 ? count : histogram_rank(count, quantile > 0 ? quantile : 0);
    if (quantile >= 1)
        return histogram->xmax;
    for (uint32_t i = 0; i < BRG__HISTOGRAM_BUCKETS; i++) {
        seen += histogram->xcounts[i];
        if (seen >= rank) {
            uint64_t low = brg__histogram_low(i), next = brg__histogram_low(i + 1);
            return brg__min(low + (next - low) / 2, histogram->xmax);
        }
    }
    return histogram->xmax;
}
