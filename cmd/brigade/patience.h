/* SPDX-License-Identifier: MIT */
/* How long a command waits for the workers of its pool: as long as they come nearer to the number that is wanted; and for
 * results: as long as there are some. */
#ifndef BRIGADE_PATIENCE_H
#define BRIGADE_PATIENCE_H

#include <brigade.h>

typedef struct patience {
    uint64_t start_ns;     /* that a worker may take to start */
    uint32_t failures_max; /* failed starts that are too many: those that open the breaker */
    uint64_t tasks_ns;     /* that a task may take at least, with all its attempts, before its timeout ends it */
    uint32_t attempts_max;
    uint64_t nearest, failures, settled;
    uint64_t looked_ns, waited_ns; /* summed from look to look: while it was stopped it did not wait */
} patience;

/* That of a pool with these options. */
patience patience_of(const brg_pool_options *pool);
/* Before each wait; `failures`: of starts that are forgiven, 0 for a pool just made. */
void patience_begin(patience *self, uint64_t failures);
/*
 * Whether it goes on, by the pool's counts now; `tasks_ns`: what else may keep workers. False, and why in `error`, where
 * starts fail, or no worker has come, or gone, for too long.
 */
bool patience_lasts(patience *self, const brg_pool_stats *stats, uint32_t wanted, uint64_t tasks_ns,
                    const char *command, brg_error *error);
/* The same for results; `settled`: how many there were and are, `run_ns`: what else each attempt of one may take. */
void patience_begin_results(patience *self, uint64_t settled);
bool patience_lasts_results(patience *self, uint64_t settled, double run_ns, const char *command, brg_error *error);

#endif
