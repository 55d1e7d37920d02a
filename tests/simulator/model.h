/* SPDX-License-Identifier: MIT */
/*
 * The pool on the simulated machine. Its queues, seats and policies are the library's own code (src/pool/schedule.c and
 * the policies); what src/pool/{submit,ready,run_thread,scale}.c do around them with threads, locks and clocks is
 * written again here, in virtual time. model.c names for each function the one it stands for.
 */
#ifndef SIMULATOR_MODEL_H
#define SIMULATOR_MODEL_H

#include "machine.h"
#include "pool/rules.h"
#include "pool/schedule.h"
#include "traffic.h"

typedef struct sim_pool sim_pool;

typedef struct sim_task {
    brg_item item;
    sim_record *record;
    const sim_thread *by; /* who submitted it */
} sim_task;

typedef struct sim_worker {
    sim_thread thread; /* first: a step gets it */
    brg__seat seat;
    sim_pool *pool;
    sim_task *hand[BRG__HAND_MAX];
    uint32_t hand_next, hand_end, hand_done;
    uint64_t hand_since_ns, run_ewma_ns;
    bool is_searching, is_there, is_online, is_ending, took, has_work;
    double spin_budget_ns;
    uint32_t spin_misses;
    uint64_t idle_since_ns;
    sim_task *running, *next_of_chain;
    brg__node wake_node, spin_node;
} sim_worker;

typedef struct sim_submitter {
    sim_thread thread; /* first */
    sim_pool *pool;
    uint32_t next;
    bool is_waiting; /* for room */
} sim_submitter;

struct sim_pool {
    sim_machine machine;
    const sim_costs *costs; /* the machine's */
    brg_pool_options options;
    const sim_load *load;
    sim_run *run;
    sim_task *tasks;
    sim_lock lock;
    brg__schedule schedule;
    sim_worker **workers; /* worker_count, as many as workers_max */
    brg_seat **seats;
    uint32_t worker_count, online_count, started_count;
    uint32_t searching, searching_max;
    uint32_t chains, chained, settled; /* chained: submitted of chains */
    uint64_t waiting, waiting_peak;
    sim_submitter submitter;
    brg__list wakes;    /* workers whom the next unlock wakes, by wake_node */
    brg__list spinning; /* workers that spin, by spin_node */
    uint64_t zero_ns;   /* when the load began */
    /* costs of the policies in use */
    double queue_ns, place_ns, place_seat_ns;
    /* scaling: model_scale.c */
    sim_thread supervisor;
    void *scaling;
    uint32_t target, idle_count;
    bool may_hint;
    uint64_t scale_at_ns, scale_next_ns, load_since_ns, busy_ns, worker_ns;
};

typedef struct sim_setup {
    const sim_costs *costs; /* NULL: nothing costs anything */
    uint32_t cores;
    brg_pool_options options; /* queue, placement, scaling, workers, queue_max and theirs; the rest is ignored */
} sim_setup;

/* What only a simulation can tell. */
typedef struct sim_insight {
    double lock_busy, lock_wait_ns; /* share of the time that the pool's lock is held; mean wait for it */
    double workers;                 /* there, on average */
    double cores_busy;              /* of all cores, spinning included */
    uint64_t queue_peak, stolen, events;
    uint32_t workers_last;
} sim_insight;

/* Runs the load to its end: fills the times of `run`'s records. False: no memory, or it came to a standstill. */
bool sim_model_run(const sim_setup *setup, const sim_load *load, sim_run *run, sim_insight *insight);

/* model_scale.c */
bool sim_scale_init(sim_pool *pool); /* false: no memory */
void sim_scale_done(sim_pool *pool);
void sim_scale_account(sim_pool *pool);                  /* brg__pool_account_locked */
void sim_scale_hint(sim_pool *pool);                     /* brg__pool_hint_locked */
void sim_worker_set_idle(sim_worker *worker, bool idle); /* brg__slot_set_idle_locked */
/* model.c, for it and for model_run.c */
void sim_worker_start(sim_pool *pool, uint32_t index);
void sim_submitter_start(sim_pool *pool);
void sim_pool_dispatch(sim_pool *pool);
void sim_pool_unlock(sim_thread *thread, sim_pool *pool, sim_step next);

#endif
