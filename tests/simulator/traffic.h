/* SPDX-License-Identifier: MIT */
/*
 * Loads and what becomes of them: a trace of tasks made from a description and a seed, and the measures of a run. Real
 * and simulated runs use the same of both.
 */
#ifndef SIMULATOR_TRAFFIC_H
#define SIMULATOR_TRAFFIC_H

#include <brigade/policy.h>

typedef enum sim_arrival {
    SIM_BURST = 0, /* as fast as one thread submits */
    SIM_OPEN,      /* at `rate` a second, at random (Poisson); what is late is submitted at once */
    SIM_CHAINS     /* so many tasks in flight: each submits the next as its last act, no other thread does */
} sim_arrival;

typedef enum sim_length {
    SIM_FIXED = 0,
    SIM_EXPONENTIAL,
    SIM_BIMODAL, /* of ten tasks nine are short, one a hundred times as long */
    SIM_PARETO   /* shape 1.5, at most 1000 times the mean */
} sim_length;

typedef struct sim_load {
    const char *name;
    uint64_t seed;
    uint32_t count; /* tasks */
    sim_arrival arrival;
    double rate;
    uint32_t chains;
    sim_length length;
    double mean_ns;   /* of a task's length; 0: it does nothing */
    double off_share; /* this part of it the task sleeps, 0 to 1 */
    uint32_t keys;    /* tasks have keys 1 to this; the first gets half of the tasks; 0: none */
    bool has_bands;   /* urgent, high, normal and low alike; else all are normal */
    double patience;  /* its deadline is this often its length plus the mean after it came; 0: none */
} sim_load;

/* One task: what it is, and what became of it. Times count from the start of the run. */
typedef struct sim_record {
    double work_ns, off_ns;
    uint64_t due_ns; /* arrival to deadline; UINT64_MAX: none */
    uint64_t key;
    uint64_t wanted_ns; /* when it should be submitted */
    uint64_t came_ns, began_ns, ended_ns;
    uint32_t worker;
    uint32_t times; /* it ran */
    uint8_t band;
} sim_record;

typedef struct sim_run {
    sim_record *records;
    uint32_t count;
} sim_run;

/* False: no memory. */
bool sim_run_make(sim_run *run, const sim_load *load);
void sim_run_done(sim_run *run);

typedef struct sim_measures {
    double seconds, rate; /* to the end of the last; tasks a second */
    double makespan;      /* over the ideal: all work dealt out evenly, without gap or cost */
    double busy;          /* workers running tasks, on average, of those there */
    double wait_ns, wait_50_ns, wait_99_ns, wait_999_ns;             /* from submit to start */
    double stay_ns;                                                  /* from submit to end, mean */
    double band_wait_ns[BRG_BAND_COUNT], band_early[BRG_BAND_COUNT]; /* mean; share of the first half that ran */
    double fairness; /* of the keys' mean waits: Jain's index, 1 is fair */
    double late;     /* share of the tasks that ended after their deadline */
} sim_measures;

/* `cores` and `workers` bound the ideal. */
bool sim_measure(sim_measures *out, const sim_run *run, uint32_t cores, uint32_t workers);

#endif
