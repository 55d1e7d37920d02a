/* SPDX-License-Identifier: MIT */
/*
 * Two choices: the less busy of two random workers. n tasks on n workers leave the fullest with ln ln n / ln 2 + O(1),
 * where one random choice leaves it with about ln n / ln ln n (Azar, Broder, Karlin, Upfal: Balanced allocations,
 * 1994; Mitzenmacher: The power of two choices in randomized load balancing, 2001). It looks at two, however many
 * there are.
 */
#include "pool/placement.h"

static void two_choices_init(void *state, const brg_pool_options *options) { *(uint64_t *)state = options->seed; }

static uint32_t two_choices_choose(void *state, const brg_seats *seats, const brg_item *item)
{
    (void)item;
    uint32_t first = brg__seats_random(seats, state, BRG_SEAT_ANY);
    if (first == BRG_SEAT_ANY || seats->usable_count == 1)
        return first;
    uint32_t second = brg__seats_random(seats, state, first);
    if (second == BRG_SEAT_ANY)
        return first;
    return brg__seat_is_better(seats->seats[second], seats->seats[first]) ? second : first;
}

static const brg_placement_policy two_choices = {.size = sizeof(brg_placement_policy),
                                                 .name = "two_choices",
                                                 .share = BRG_SHARE_EVENLY,
                                                 .state_bytes = sizeof(uint64_t),
                                                 .init = two_choices_init,
                                                 .choose = two_choices_choose};
const brg_placement_policy *const brg_placement_two_choices = &two_choices;
