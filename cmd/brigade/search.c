/* SPDX-License-Identifier: MIT */
#include "search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SEARCH_PART 5     /* of the rounds of a sweep: with all changes between them, less than a quarter of its time */
#define SEARCH_NOISE 0.03 /* relative, of one round, before anything is known; it counts as much as */
#define SEARCH_NOISE_ROUNDS 4 /* so many rounds */
#define SEARCH_NOISE_LEAST 0.004
#define SEARCH_SIGMAS 2.0
#define SEARCH_GOOD 0.05 /* what may be this much better must be looked at again */

bool search_init(search *self, const search_options *options)
{
    *self = (search){.options = *options, .count = options->to - options->from + 1};
    self->points = calloc(self->count, sizeof(*self->points));
    if (self->points == NULL)
        return false;
    for (uint32_t i = 0; i < self->count; i++)
        self->points[i].workers = options->from + i;
    self->budget = self->count * options->rounds;
    if (!options->sweep) {
        self->budget /= SEARCH_PART;
        if (self->budget < 2)
            self->budget = 2;
    }
    return true;
}

void search_done(search *self)
{
    free(self->points);
    self->points = NULL;
}

static search_point *search_at(const search *self, uint32_t workers)
{
    return &self->points[workers - self->options.from];
}

void search_add(search *self, uint32_t workers, double rate)
{
    search_point *point = search_at(self, workers);
    if (point->rounds < SEARCH_ROUNDS_MAX)
        point->rates[point->rounds++] = rate;
    self->used++;
}

/* ---- what is known ----------------------------------------------------------------------------------------------- */

static int search_compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double search_median(const search_point *point)
{
    double sorted[SEARCH_ROUNDS_MAX];
    uint32_t count = point->rounds;
    if (count == 0)
        return 0;
    memcpy(sorted, point->rates, count * sizeof(sorted[0]));
    qsort(sorted, count, sizeof(sorted[0]), search_compare);
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

double search_rate(const search *self, uint32_t workers) { return search_median(search_at(self, workers)); }

/*
 * Relative deviation of one round, from all counts that were measured more than once: they share it, so that a few rounds
 * of each suffice. Deviations are cut, or a single disturbed round would make everything look uncertain.
 */
double search_noise(const search *self)
{
    double sum = SEARCH_NOISE_ROUNDS * SEARCH_NOISE * SEARCH_NOISE, freedom = SEARCH_NOISE_ROUNDS;
    for (uint32_t i = 0; i < self->count; i++) {
        const search_point *point = &self->points[i];
        double middle = search_median(point);
        if (point->rounds < 2 || middle <= 0)
            continue;
        for (uint32_t r = 0; r < point->rounds; r++) {
            double off = fmin(fabs(point->rates[r] / middle - 1), 3 * SEARCH_NOISE);
            sum += off * off;
        }
        freedom += point->rounds - 1;
    }
    return fmax(sqrt(sum / freedom), SEARCH_NOISE_LEAST);
}

static double search_half_width(const search_point *point, double noise)
{
    return point->rounds == 0 ? 0 : SEARCH_SIGMAS * noise * search_median(point) / sqrt(point->rounds);
}

double search_margin(const search *self, uint32_t workers)
{
    return search_half_width(search_at(self, workers), search_noise(self));
}

static const search_point *search_fastest(const search *self)
{
    const search_point *best = NULL;
    for (uint32_t i = 0; i < self->count; i++)
        if (self->points[i].rounds > 0 && (best == NULL || search_median(&self->points[i]) > search_median(best)))
            best = &self->points[i];
    return best;
}

static const search_point *search_leader(const search *self)
{
    const search_point *fastest = search_fastest(self);
    if (fastest == NULL)
        return NULL;
    double least = search_median(fastest) * (1 - self->options.tolerance);
    for (uint32_t i = 0; i < self->count; i++)
        if (self->points[i].rounds > 0 && search_median(&self->points[i]) >= least)
            return &self->points[i];
    return fastest;
}

uint32_t search_best(const search *self)
{
    const search_point *leader = search_leader(self);
    return leader == NULL ? 0 : leader->workers;
}

/* The nearest measured count below or above, or NULL. */
static const search_point *search_neighbour(const search *self, const search_point *point, int step)
{
    for (const search_point *at = point + step; at >= self->points && at < self->points + self->count; at += step)
        if (at->rounds > 0)
            return at;
    return NULL;
}

bool search_wants_more(const search *self)
{
    const search_point *leader = search_leader(self);
    const search_point *below = leader == NULL ? NULL : search_neighbour(self, leader, -1);
    return below != NULL && leader->workers == self->options.to &&
           search_median(leader) > search_median(below) * (1 + self->options.tolerance);
}

/* ---- the steps --------------------------------------------------------------------------------------------------- */

/* 1. The next doubling. */
static bool search_double(const search *self, uint32_t *workers)
{
    uint64_t next = self->options.from;
    double best = 0;
    int idle = 0; /* doublings in a row that gained nothing */
    while (next <= self->options.to && idle < 2) {
        const search_point *point = search_at(self, (uint32_t)next);
        if (point->rounds == 0) {
            *workers = (uint32_t)next;
            return true;
        }
        double rate = search_median(point);
        idle = rate > best * (1 + self->options.tolerance) ? 0 : idle + 1;
        best = fmax(best, rate);
        if (next == self->options.to)
            break;
        next = next * 2 < self->options.to ? next * 2 : self->options.to;
    }
    return false;
}

/* Whether a count between `low` and `high` could do more than `low` does: not even by a worker's full share each. */
static bool search_matters(const search *self, const search_point *low, const search_point *high)
{
    return high->workers - low->workers > 1 &&
           (double)(high->workers - 1) > (double)low->workers * (1 + self->options.tolerance);
}

/* 2. The middle of the larger gap beside the leader. */
static bool search_halve(const search *self, uint32_t *workers)
{
    const search_point *leader = search_leader(self);
    const search_point *low = search_neighbour(self, leader, -1), *high = search_neighbour(self, leader, 1);
    uint32_t below = low != NULL && search_matters(self, low, leader) ? leader->workers - low->workers : 0;
    uint32_t above = high != NULL && search_matters(self, leader, high) ? high->workers - leader->workers : 0;
    if (below < 2 && above < 2)
        return false;
    *workers = above >= below ? leader->workers + above / 2 : leader->workers - below / 2;
    return true;
}

/* Whether more rounds of this one could change the answer. */
static bool search_is_open(const search *self, const search_point *point, const search_point *leader, double noise)
{
    if (point->rounds == 0 || point == leader)
        return false;
    /* One disturbed round must not rule out what is next to the best. */
    if (point->rounds == 1 &&
        (point == search_neighbour(self, leader, -1) || point == search_neighbour(self, leader, 1)))
        return true;
    double highest = search_median(point) + search_half_width(point, noise);
    double sure = search_median(leader) - search_half_width(leader, noise);
    if (highest > sure * (1 + SEARCH_GOOD))
        return true;
    return point < leader && highest >= search_median(search_fastest(self)) * (1 - self->options.tolerance);
}

/* 3. The least measured of those that are open, and of the leader they are compared with. */
static bool search_race(const search *self, uint32_t *workers)
{
    const search_point *leader = search_leader(self), *next = NULL;
    double noise = search_noise(self);
    for (uint32_t i = 0; i < self->count; i++) {
        const search_point *point = &self->points[i];
        if (search_is_open(self, point, leader, noise) && point->rounds < self->options.rounds &&
            (next == NULL || point->rounds < next->rounds))
            next = point;
    }
    if (next == NULL)
        return false;
    if (leader->rounds <= next->rounds && leader->rounds < self->options.rounds)
        next = leader;
    *workers = next->workers;
    return true;
}

/* Up and down in turn, so that what disturbs the machine for a while disturbs all counts alike. */
static bool search_sweep(const search *self, uint32_t *workers)
{
    uint32_t turn = self->used / self->count, at = self->used % self->count;
    *workers = self->options.from + (turn % 2 == 0 ? at : self->count - 1 - at);
    return true;
}

bool search_next(const search *self, uint32_t *workers)
{
    if (self->used >= self->budget)
        return false;
    if (self->options.sweep)
        return search_sweep(self, workers);
    return search_double(self, workers) || search_halve(self, workers) || search_race(self, workers);
}
