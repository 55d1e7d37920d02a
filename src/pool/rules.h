/* SPDX-License-Identifier: MIT */
/* Decisions of a pool that are numbers alone, shared by the pool and by the simulator of it (tests/simulator). */
#ifndef BRG_POOL_RULES_H
#define BRG_POOL_RULES_H

#include "pool/schedule.h"

#define BRG__HAND_MAX 32  /* tasks a thread worker takes at once */
#define BRG__HAND_NS 5000 /* that a hand should last */
#define BRG__RUN_UNKNOWN_NS UINT64_MAX

/* How many tasks the thread worker in `seat` takes at once: as many as run in BRG__HAND_NS and at most `most`, one when
 * tasks are long or unknown, and no more than its share of the queue. 0: nothing waits. */
static inline uint32_t brg__hand_count(const brg__schedule *schedule, const brg__seat *seat, uint64_t run_ewma_ns,
                                       uint64_t most)
{
    if (schedule->xready <= 1 || run_ewma_ns > BRG__HAND_NS)
        return schedule->xready == 0 ? 0 : 1;
    uint64_t fits = brg__min(BRG__HAND_NS / (run_ewma_ns + 1) + 1, most);
    return brg__schedule_portion(schedule, seat, (uint32_t)brg__min(fits, BRG__HAND_MAX));
}

/* The running average of a task's cost after `count` more took `elapsed_ns` together (Jacobson's gain of 1/8). */
static inline uint64_t brg__run_learn(uint64_t run_ewma_ns, uint64_t elapsed_ns, uint32_t count)
{
    uint64_t each = elapsed_ns / count;
    return run_ewma_ns == BRG__RUN_UNKNOWN_NS ? each : run_ewma_ns - run_ewma_ns / 8 + each / 8;
}

/* How many workers may be searching for work at a time. */
static inline uint32_t brg__searchers_max(uint32_t cpus) { return (uint32_t)brg__max(1, cpus / 2); }

#endif
