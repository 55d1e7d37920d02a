/* SPDX-License-Identifier: MIT */
/*
 * Load: above grow_busy_percent of the workers busy on average over the last interval, and there are as many more as
 * bring it back to that, at least one; below shrink_busy_percent, one less, unless the others would then be too busy.
 */
#include "pool/scaling.h"

#define LOAD_GROW_DEFAULT 80
#define LOAD_SHRINK_DEFAULT 20

static void load_init(void *state, const brg_pool_options *options) { ((brg__scale *)state)->options = options; }

static uint32_t load_target(void *state, const brg_load *load)
{
    brg__scale *scale = state;
    if (!brg__scale_measure(scale, load))
        return scale->target;
    double grow = scale->options->grow_busy_percent != 0 ? scale->options->grow_busy_percent : LOAD_GROW_DEFAULT;
    double shrink = scale->options->shrink_busy_percent != 0 ? scale->options->shrink_busy_percent
                                                             : LOAD_SHRINK_DEFAULT;
    double busy = scale->busy * 100; /* per cent of one worker */
    if (busy > grow * scale->target)
        scale->target = brg__scale_clamp(load, brg__scale_ceil(busy / grow));
    else if (scale->target != 0 && load->busy < scale->target && busy < shrink * scale->target &&
             busy <= grow * (scale->target - 1))
        scale->target = brg__scale_clamp(load, scale->target - 1);
    return scale->target;
}

static const brg_scaling_policy by_load = {.size = sizeof(brg_scaling_policy),
                                           .name = "load",
                                           .state_bytes = sizeof(brg__scale),
                                           .init = load_init,
                                           .target = load_target};
const brg_scaling_policy *const brg_scaling_load = &by_load;
