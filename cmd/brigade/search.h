/* SPDX-License-Identifier: MIT */
/*
 * Which worker count does most, found with few measurements. It measures nothing itself: it names a count, is told what
 * came out, and names the next one, so its tests need no clock.
 *
 *     while (search_next(&search, &workers))
 *         search_add(&search, workers, measure(workers));
 *     best = search_best(&search);
 *
 * Each step looks at all that is known and does the first of these that applies:
 *   1. double the count, until two doublings in a row brought nothing;
 *   2. halve the larger gap beside the best count so far, while something in it could matter;
 *   3. race: measure again, in turn, those that may still be better than the best one, or as good with fewer workers
 *      (Maron and Moore: Hoeffding races, 1994, with a pooled normal bound in place of Hoeffding's).
 * It ends when nothing is open, or after a fifth of the rounds that a full sweep takes. It finds the best of curves that
 * rise, may be flat, and fall; of one with two humps it may find the lower.
 */
#ifndef BRIGADE_SEARCH_H
#define BRIGADE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEARCH_ROUNDS_MAX 31

typedef struct search_options {
    uint32_t from, to; /* counts to choose from, both included; from >= 1 */
    uint32_t rounds;   /* most measurements of one count; a sweep takes so many of each. 1 to SEARCH_ROUNDS_MAX */
    double tolerance;  /* a count is as good as another that does this part more, as 0.02 */
    bool sweep;        /* measure every count equally often */
} search_options;

/* One count, and what was measured there. */
typedef struct search_point {
    uint32_t workers, rounds;
    double rates[SEARCH_ROUNDS_MAX]; /* in the order they came */
} search_point;

typedef struct search {
    search_options options;
    search_point *points; /* one for each count, measured or not */
    uint32_t count;
    uint32_t used, budget; /* rounds */
} search;

/* False without memory. */
bool search_init(search *self, const search_options *options);
void search_done(search *self);

/* The next count to measure; false when it is over. */
bool search_next(const search *self, uint32_t *workers);
void search_add(search *self, uint32_t workers, double rate);

/* The smallest count within the tolerance of the best; 0 before the first measurement. */
uint32_t search_best(const search *self);
/* The median of what was measured at a count; 0 where nothing was. */
double search_rate(const search *self, uint32_t workers);
/* How far, up and down, that median is uncertain: about 95 of 100 times within. */
double search_margin(const search *self, uint32_t workers);
/* How much rounds of the same count differ, relative: their standard deviation. */
double search_noise(const search *self);
/* Whether the best count is the largest allowed and did clearly more than the one before: more may do even more. */
bool search_wants_more(const search *self);

#endif
