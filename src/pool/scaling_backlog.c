/* SPDX-License-Identifier: MIT */
/*
 * Backlog: more than grow_queued tasks waiting per worker, and there are at once as many more workers as bring it back
 * to that. One less, at a time, after it was below half of that for a while and the others have room for the work.
 * Without the second condition it would never rest: as soon as there are enough workers, nothing waits.
 */
#include "pool/scaling.h"

#define BACKLOG_CALM 5    /* measurements in a row before each step down */
#define BACKLOG_ROOM 0.8  /* how busy the others may get by a step down */
#define BACKLOG_DEFAULT 2 /* grow_queued */

static void backlog_init(void *state, const brg_pool_options *options) { ((brg__scale *)state)->options = options; }

static uint32_t backlog_target(void *state, const brg_load *load)
{
    brg__scale *scale = state;
    bool is_measured = brg__scale_measure(scale, load);
    uint64_t grow = scale->options->grow_queued != 0 ? scale->options->grow_queued : BACKLOG_DEFAULT;
    if (load->queued > grow * scale->target) {
        scale->calm = 0;
        return scale->target = brg__scale_clamp(load, load->queued / grow + (load->queued % grow != 0));
    }
    if (!is_measured)
        return scale->target;
    bool is_calm = scale->target != 0 && load->queued * 2 < grow * scale->target && load->busy < scale->target &&
                   scale->busy <= BACKLOG_ROOM * (scale->target - 1);
    scale->calm = is_calm ? scale->calm + 1 : 0;
    if (scale->calm >= BACKLOG_CALM) {
        scale->calm = 0;
        scale->target = brg__scale_clamp(load, scale->target - 1);
    }
    return scale->target;
}

static const brg_scaling_policy backlog = {.size = sizeof(brg_scaling_policy),
                                           .name = "backlog",
                                           .state_bytes = sizeof(brg__scale),
                                           .init = backlog_init,
                                           .target = backlog_target};
const brg_scaling_policy *const brg_scaling_backlog = &backlog;
