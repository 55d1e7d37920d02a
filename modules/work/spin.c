/* SPDX-License-Identifier: MIT */
/*
 * Work is counted in steps and not watched by a clock: so two workers that share a core, its caches or its turbo take
 * longer for it, as they do for work that is meant.
 */
#include "spin.h"

#include <time.h>

#define SPIN_TRIES 8
#define SPIN_TRY_STEPS 300000u /* about a millisecond */

static double spin_steps_per_ns = 1.0 / 3;

uint64_t spin_steps(uint64_t steps)
{
    uint64_t value = steps | 1;
    for (uint64_t i = 0; i < steps; i++) {
        value = value * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        __asm__ volatile("" : "+r"(value)); /* or the compiler would take several steps at once */
    }
    return value;
}

static double spin_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

void spin_calibrate(void)
{
    double best = 0;
    for (int i = 0; i < SPIN_TRIES; i++) {
        double before = spin_cpu_ns();
        spin_steps(SPIN_TRY_STEPS);
        double rate = SPIN_TRY_STEPS / (spin_cpu_ns() - before + 1);
        if (rate > best)
            best = rate;
    }
    if (best > 0)
        spin_steps_per_ns = best;
}

uint64_t spin_count(uint64_t ns) { return (uint64_t)((double)ns * spin_steps_per_ns); }
