/* SPDX-License-Identifier: MIT */
/* What placement policies share: the scans over seats. */
#ifndef BRG_POOL_PLACEMENT_H
#define BRG_POOL_PLACEMENT_H

#include <brigade/policy.h>

#include "base/random.h"

/* The first seat that fits, from `start` on and then around. */
static inline uint32_t brg__seats_next(const brg_seats *seats, uint32_t start)
{
    if (start >= seats->count)
        start = 0;
    for (uint32_t i = start; i < seats->count; i++)
        if (brg_seat_fits(seats, i))
            return i;
    for (uint32_t i = 0; i < start; i++)
        if (brg_seat_fits(seats, i))
            return i;
    return BRG_SEAT_ANY;
}

/* Whether `a` is the better place than `b`: less to do, or as much and idle. */
static inline bool brg__seat_is_better(const brg_seat *a, const brg_seat *b)
{
    return a->load != b->load ? a->load < b->load : a->is_idle && !b->is_idle;
}

/* The best seat that fits; of equal ones the first from *cursor on. Moves *cursor behind it, so equals take turns. */
static inline uint32_t brg__seats_least(const brg_seats *seats, uint32_t *cursor)
{
    uint32_t best = BRG_SEAT_ANY, index = *cursor < seats->count ? *cursor : 0;
    for (uint32_t left = seats->count; left != 0; left--) {
        if (brg_seat_fits(seats, index) &&
            (best == BRG_SEAT_ANY || brg__seat_is_better(seats->seats[index], seats->seats[best]))) {
            best = index;
            if (seats->seats[best]->load == 0 && seats->seats[best]->is_idle)
                break;
        }
        index = index + 1 == seats->count ? 0 : index + 1;
    }
    if (best != BRG_SEAT_ANY)
        *cursor = best + 1;
    return best;
}

#define BRG__RANDOM_TRIES 8

/* A random seat that fits and is not `except`, each as likely: tries, O(1) where most fit, and then a scan. */
static inline uint32_t brg__seats_random(const brg_seats *seats, uint64_t *random, uint32_t except)
{
    for (int i = 0; seats->count != 0 && i < BRG__RANDOM_TRIES; i++) {
        uint32_t index = brg__random_below(random, seats->count);
        if (index != except && brg_seat_fits(seats, index))
            return index;
    }
    uint32_t fitting = 0;
    for (uint32_t i = 0; i < seats->count; i++)
        fitting += i != except && brg_seat_fits(seats, i);
    if (fitting == 0)
        return BRG_SEAT_ANY;
    uint32_t nth = brg__random_below(random, fitting);
    for (uint32_t i = 0;; i++)
        if (i != except && brg_seat_fits(seats, i) && nth-- == 0)
            return i;
}

#define BRG__CURSORS 16 /* as many different sets of tags as a pool takes */

/* Whose turn it is. Tasks with other tags have a cursor of their own: with one for all, tasks that fit few workers
 * would move it past the others always at the same place, and the rest would not be served in turn. */
typedef struct brg__turns {
    uint64_t needs[BRG__CURSORS];
    uint32_t cursor[BRG__CURSORS];
    uint32_t count;
} brg__turns;

static inline uint32_t *brg__turns_cursor(brg__turns *turns, uint64_t needs)
{
    for (uint32_t i = 0; i < turns->count; i++)
        if (turns->needs[i] == needs)
            return &turns->cursor[i];
    if (turns->count == BRG__CURSORS)
        return &turns->cursor[BRG__CURSORS - 1];
    turns->needs[turns->count] = needs;
    return &turns->cursor[turns->count++];
}

static inline uint32_t brg__turns_next(brg__turns *turns, const brg_seats *seats)
{
    uint32_t *cursor = brg__turns_cursor(turns, seats->needs);
    uint32_t index = brg__seats_next(seats, *cursor);
    if (index != BRG_SEAT_ANY)
        *cursor = index + 1;
    return index;
}

#endif
