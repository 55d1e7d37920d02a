/* SPDX-License-Identifier: MIT */
/*
 * Stealing: what a worker submits stays with it, what comes from outside goes to the workers in turn, and one that has
 * nothing takes half of what waits for another (Blumofe, Leiserson: Scheduling multithreaded computations by work
 * stealing, 1999).
 */
#include "pool/placement.h"

static uint32_t stealing_choose(void *state, const brg_seats *seats, const brg_item *item)
{
    (void)item;
    if (seats->from < seats->count && brg_seat_fits(seats, seats->from))
        return seats->from;
    return brg__turns_next(state, seats);
}

static const brg_placement_policy stealing = {.size = sizeof(brg_placement_policy),
                                              .name = "stealing",
                                              .state_bytes = sizeof(brg__turns),
                                              .steals = true,
                                              .choose = stealing_choose};
const brg_placement_policy *const brg_placement_stealing = &stealing;
