/* SPDX-License-Identifier: MIT */
/*
 * Times counted in buckets, 32 to each doubling, so that a percentile is right to about 3 %: after HdrHistogram (Tene,
 * 2012).
 */
#ifndef BRIGADE_HISTOGRAM_H
#define BRIGADE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_PARTS 32
#define HISTOGRAM_BUCKETS (60 * HISTOGRAM_PARTS)

typedef struct histogram {
    uint64_t count, largest;
    double sum;
    uint32_t buckets[HISTOGRAM_BUCKETS];
} histogram;

void histogram_add(histogram *self, uint64_t value);
void histogram_merge(histogram *self, const histogram *other);
void histogram_reset(histogram *self);

/* The value below which `part` (0.99) of all lie; 0 for none. */
double histogram_percentile(const histogram *self, double part);
double histogram_mean(const histogram *self);

#endif
