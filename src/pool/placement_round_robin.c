/* SPDX-License-Identifier: MIT */
/*
 * Round robin: one worker after the other. Exact: while the workers stay the same, each that fits gets one of every
 * round of tasks with the same tags. One that is new has its turn in the order of indexes.
 */
#include "pool/placement.h"

static uint32_t round_robin_choose(void *state, const brg_seats *seats, const brg_item *item)
{
    (void)item;
    return brg__turns_next(state, seats);
}

static const brg_placement_policy round_robin = {.size = sizeof(brg_placement_policy),
                                                 .name = "round_robin",
                                                 .share = BRG_SHARE_EVENLY,
                                                 .state_bytes = sizeof(brg__turns),
                                                 .choose = round_robin_choose};
const brg_placement_policy *const brg_placement_round_robin = &round_robin;
