/* SPDX-License-Identifier: MIT */
/* Least busy: the worker with the fewest tasks, idle ones first, equal ones in turn. Looks at all of them. */
#include "pool/placement.h"

static uint32_t least_busy_choose(void *state, const brg_seats *seats, const brg_item *item)
{
    (void)item;
    return brg__seats_least(seats, state);
}

static const brg_placement_policy least_busy = {.size = sizeof(brg_placement_policy),
                                                .name = "least_busy",
                                                .share = BRG_SHARE_EVENLY,
                                                .state_bytes = sizeof(uint32_t),
                                                .choose = least_busy_choose};
const brg_placement_policy *const brg_placement_least_busy = &least_busy;
