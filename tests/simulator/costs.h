/* SPDX-License-Identifier: MIT */
/*
 * What things cost on a machine, in nanoseconds: recorded by calibrate.c, kept as lines of "key value" in a text file.
 * All zero is the ideal machine.
 */
#ifndef SIMULATOR_COSTS_H
#define SIMULATOR_COSTS_H

#include <stdbool.h>
#include <stdio.h>

/* The machine, then the pool. `assumed` are not measured: they are what two cores cannot show, or the kernel's own. */
#define SIM_COSTS(one)                                                                                                 \
    one(clock_ns)          /* reading the clock */                                                                     \
        one(lock_ns)       /* taking and releasing a lock that nobody wants, its line in the cache */                  \
        one(lock_spin_ns)  /* how long who finds it held tries before it sleeps */                                     \
        one(miss_ns)       /* a line of memory from another core */                                                    \
        one(transfer_ns)   /* what a section of the pool's lock costs more when another core had the one before */     \
        one(call_ns)       /* a futex wake that finds nobody */                                                        \
        one(wake_call_ns)  /* one that finds somebody, for the waker */                                                \
        one(wake_ns)       /* from there until the other one runs on a core that was idle */                           \
        one(sleep_call_ns) /* going to sleep, until another thread can run on the core */                              \
        one(late_ns)       /* a sleep by the clock lasts longer by */                                                  \
        one(switch_ns)     /* from one runnable thread to the next */                                                  \
        one(slice_ns)      /* assumed: a thread runs so long while others wait for the core */                         \
        one(start_ns)      /* a worker, until it is online */                                                          \
        one(submit_ns)     /* a submit, its lock included */                                                           \
        one(submit_own_ns) /* from a task, of a task whose memory its worker has used just now */                      \
        one(hand_ns)       /* taking, beside what it costs for each task */                                            \
        one(take_ns)       /* for each task taken, under the lock */                                                   \
        one(run_ns)        /* for each task, without the lock: starting, settling, freeing */                          \
        one(cold_ns)       /* ... and more for one that another thread submitted */                                    \
        one(fifo_ns)       /* push and pop of each queue */                                                            \
        one(lifo_ns) one(priority_ns) one(weighted_ns) one(deadline_ns) one(fair_ns)                                   \
            one(round_robin_ns) /* choosing a worker, beside pull, and for each worker there is */                     \
        one(round_robin_seat_ns) one(least_busy_ns) one(least_busy_seat_ns) one(random_ns) one(random_seat_ns)         \
            one(two_choices_ns) one(two_choices_seat_ns) one(sticky_ns) one(sticky_seat_ns) one(stealing_ns)           \
                one(stealing_seat_ns)                                                                                  \
                    one(victim_seat_ns) /* looking for one to steal from, for each worker there is */

typedef struct sim_costs {
#define SIM_COST_FIELD(name_) double name_;
    SIM_COSTS(SIM_COST_FIELD)
#undef SIM_COST_FIELD
} sim_costs;

/* False, with a message on stderr, when the file cannot be read or lacks a key. */
bool sim_costs_read(sim_costs *costs, const char *path);
void sim_costs_write(const sim_costs *costs, FILE *file);
/* The cost called "<name><suffix>", 0 if there is none. */
double sim_costs_of(const sim_costs *costs, const char *name, const char *suffix);

/* calibrate.c: measures them here; takes some seconds. */
void sim_calibrate(sim_costs *costs);

#endif
