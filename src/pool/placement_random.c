/* SPDX-License-Identifier: MIT */
/* Random: each worker that fits, as likely as the next. */
#include "pool/placement.h"

static void random_init(void *state, const brg_pool_options *options) { *(uint64_t *)state = options->seed; }

static uint32_t random_choose(void *state, const brg_seats *seats, const brg_item *item)
{
    (void)item;
    return brg__seats_random(seats, state, BRG_SEAT_ANY);
}

static const brg_placement_policy placement_random = {.size = sizeof(brg_placement_policy),
                                                      .name = "random",
                                                      .share = BRG_SHARE_EVENLY,
                                                      .state_bytes = sizeof(uint64_t),
                                                      .init = random_init,
                                                      .choose = random_choose};
const brg_placement_policy *const brg_placement_random = &placement_random;
