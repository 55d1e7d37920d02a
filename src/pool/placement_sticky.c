/* SPDX-License-Identifier: MIT */
/*
 * Sticky: one key, one worker, as long as that worker is there. Each worker scores the key by a hash of both, and the
 * highest score has it (rendezvous hashing: Thaler, Ravishankar, Using name-based mappings to increase hit rates,
 * 1998). A new worker takes the keys it scores highest for, about 1 in n, evenly from the others; one that leaves
 * gives back only its own. Looks at all workers; there is no table to keep. Tasks without a key go to the least busy.
 */
#include "pool/placement.h"

static uint32_t sticky_choose(void *state, const brg_seats *seats, const brg_item *item)
{
    if (item->key == 0)
        return brg__seats_least(seats, state);
    uint32_t best = BRG_SEAT_ANY;
    uint64_t best_score = 0, key = brg__random_mix(item->key);
    for (uint32_t i = 0; i < seats->count; i++) {
        key += BRG__RANDOM_STEP;
        if (!brg_seat_fits(seats, i))
            continue;
        uint64_t score = brg__random_mix(key);
        if (best == BRG_SEAT_ANY || score > best_score) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

static const brg_placement_policy sticky = {.size = sizeof(brg_placement_policy),
                                            .name = "sticky",
                                            .share = BRG_SHARE_BY_KEY,
                                            .state_bytes = sizeof(uint32_t),
                                            .choose = sticky_choose};
const brg_placement_policy *const brg_placement_sticky = &sticky;
