/* SPDX-License-Identifier: MIT */
#include "histogram.h"

#include <string.h>

/* Up to 2 * PARTS each value has a bucket of its own; then PARTS to each doubling. */
static int histogram_bucket(uint64_t value)
{
    if (value < 2 * HISTOGRAM_PARTS)
        return (int)value;
    int shift = 63 - __builtin_clzll(value) - 5; /* leaves PARTS to 2 * PARTS - 1 */
    int bucket = shift * HISTOGRAM_PARTS + (int)(value >> shift);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The middle of a bucket. */
static double histogram_value(int bucket)
{
    if (bucket < 2 * HISTOGRAM_PARTS)
        return bucket;
    int shift = bucket / HISTOGRAM_PARTS - 1;
    uint64_t low = (uint64_t)(bucket - shift * HISTOGRAM_PARTS) << shift;
    return (double)low + (double)(UINT64_C(1) << shift) / 2;
}

void histogram_add(histogram *self, uint64_t value)
{
    self->buckets[histogram_bucket(value)]++;
    self->count++;
    self->sum += (double)value;
    if (value > self->largest)
        self->largest = value;
}

void histogram_merge(histogram *self, const histogram *other)
{
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        self->buckets[i] += other->buckets[i];
    self->count += other->count;
    self->sum += other->sum;
    if (other->largest > self->largest)
        self->largest = other->largest;
}

void histogram_reset(histogram *self) { memset(self, 0, sizeof(*self)); }

double histogram_percentile(const histogram *self, double part)
{
    double seen = 0, wanted = part * (double)self->count;
    if (self->count == 0)
        return 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += self->buckets[i];
        if (seen >= wanted && self->buckets[i] > 0) {
            double value = histogram_value(i);
            return value < (double)self->largest ? value : (double)self->largest;
        }
    }
    return (double)self->largest;
}

double histogram_mean(const histogram *self) { return self->count == 0 ? 0 : self->sum / (double)self->count; }
