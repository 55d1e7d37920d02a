/* SPDX-License-Identifier: MIT */
/*
 * What scaling policies share: the answer they hold to, and what happened since they last measured.
 *
 * They decide on the count they asked for, not on the one there is: workers that crash and are about to be replaced, or
 * are surplus and not yet idle for long enough, must not change the answer.
 */
#ifndef BRG_POOL_SCALING_H
#define BRG_POOL_SCALING_H

#include <brigade/policy.h>

#include "base/util.h"

#define BRG__SCALING_INTERVAL_NS UINT64_C(100000000) /* if the options name none */

typedef struct brg__scale {
    const brg_pool_options *options;
    uint32_t target;
    uint32_t calm; /* measurements in a row that would bear one worker less */
    bool is_started;
    uint64_t last_ns, last_done, last_busy_ns, last_cpu_ns;
    /* Of the latest measurement. */
    double seconds, busy, cpu; /* workers busy on average, CPUs that they used */
    uint64_t done;
} brg__scale;

static inline uint32_t brg__scale_clamp(const brg_load *load, uint64_t count)
{
    uint64_t least = brg__max(load->workers_min, load->queued != 0); /* with work there is a worker */
    return (uint32_t)brg__max(brg__min(count, load->workers_max), least);
}

/* Keeps the answer within bounds, which may have changed, and measures. False: too little time has passed to tell
 * anything; less than half an interval, as when it is asked because tasks wait and no worker is idle. */
static inline bool brg__scale_measure(brg__scale *scale, const brg_load *load)
{
    uint64_t interval_ns = scale->options->scaling_interval_ns;
    if (interval_ns == 0)
        interval_ns = BRG__SCALING_INTERVAL_NS;
    bool is_measured = scale->is_started && load->now_ns - scale->last_ns >= brg__max(interval_ns / 2, 1);
    scale->target = brg__scale_clamp(load, scale->is_started ? scale->target : load->workers);
    if (scale->is_started && !is_measured)
        return false;
    scale->seconds = (double)(load->now_ns - scale->last_ns) / 1e9;
    scale->busy = (double)(load->busy_ns - scale->last_busy_ns) / 1e9 / scale->seconds;
    scale->cpu = (double)(load->cpu_ns - scale->last_cpu_ns) / 1e9 / scale->seconds;
    scale->done = load->done - scale->last_done;
    scale->last_ns = load->now_ns;
    scale->last_done = load->done;
    scale->last_busy_ns = load->busy_ns;
    scale->last_cpu_ns = load->cpu_ns;
    scale->is_started = true;
    return is_measured;
}

static inline uint32_t brg__scale_ceil(double value)
{
    uint32_t whole = (uint32_t)value;
    return whole + ((double)whole < value - 1e-6);
}

#endif
