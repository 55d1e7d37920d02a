/* SPDX-License-Identifier: MIT */
/*
 * A machine that is not there: cores, threads that share them, and locks as src/os/lock.c has them. Its clock jumps
 * from event to event, so the same program takes the same course every time.
 *
 * A thread is a chain of steps. A step takes no time; it ends with exactly one of the calls below that says what the
 * thread does next, for how long, and which step follows.
 */
#ifndef SIMULATOR_MACHINE_H
#define SIMULATOR_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/list.h"
#include "costs.h"

typedef struct sim_machine sim_machine;
typedef struct sim_thread sim_thread;
typedef void (*sim_step)(sim_thread *thread);

typedef enum sim_state {
    SIM_BLOCKED = 0, /* until somebody wakes it */
    SIM_ASLEEP,      /* until a time */
    SIM_READY,       /* waits for a core */
    SIM_ARRIVING,    /* has one, and is not there yet */
    SIM_RUNNING
} sim_state;

typedef struct sim_lock {
    sim_thread *holder; /* NULL: free */
    const sim_thread *last;
    bool is_contended;
    brg__list spinners, sleepers;
    uint64_t since_ns;
    uint64_t takes, held_ns, waited_ns; /* all so far */
} sim_lock;

struct sim_thread {
    brg__heap_item event; /* the end of what it does */
    brg__heap_item turn;  /* among those that wait for a core, by vruntime_ns */
    brg__node lock_node;
    sim_machine *machine;
    sim_state state;
    sim_step next, found;
    double left_ns; /* of what it does */
    uint64_t since_ns, slice_end_ns, vruntime_ns, used_ns, order;
    bool is_spinning, is_woken;
    sim_lock *lock;
    sim_step after_lock;
    uint64_t asked_ns, spin_until_ns;
    /* For who uses the machine. */
    sim_step after_unlock;
    brg__list to_wake;
};

struct sim_machine {
    sim_costs costs;
    uint64_t now_ns;
    uint32_t cores, free_cores;
    brg__heap events, ready;
    uint64_t order, vruntime_ns;
    sim_thread **threads;
    uint32_t thread_count, thread_capacity;
    uint64_t events_count;
};

void sim_machine_init(sim_machine *machine, uint32_t cores, const sim_costs *costs);
void sim_machine_done(sim_machine *machine);
/* A thread that begins with `first`, at once. The memory is the caller's. */
void sim_thread_start(sim_machine *machine, sim_thread *thread, sim_step first);
/* To the next event; false: there is none. */
bool sim_machine_step(sim_machine *machine);

/* ---- what a step ends with ----------------------------------------------------------------------------------- */

/* Computes for `ns`. */
void sim_use(sim_thread *thread, double ns, sim_step next);
/* Computes for `ns` while it looks for something: `found` instead of `next` if sim_find is called before. */
void sim_spin(sim_thread *thread, double ns, sim_step next, sim_step found);
/* Off its core for `ns`, or until sim_wake. */
void sim_sleep(sim_thread *thread, double ns, sim_step next);
/* Off its core until sim_wake, which may have been called since sim_prepare (brg__gate). */
void sim_block(sim_thread *thread, sim_step next);
/* Takes the lock, then `next`. Releases it, then `next`. */
void sim_acquire(sim_thread *thread, sim_lock *lock, sim_step next);
void sim_release(sim_thread *thread, sim_lock *lock, sim_step next);

/* ---- what one thread does to another, taking no time --------------------------------------------------------- */

static inline void sim_prepare(sim_thread *thread) { thread->is_woken = false; }
void sim_wake(sim_thread *thread);
/* It spins, and sees it after `ns`. */
void sim_find(sim_thread *thread, double ns);

static inline void sim_lock_init(sim_lock *lock)
{
    *lock = (sim_lock){.holder = NULL};
    brg__list_init(&lock->spinners);
    brg__list_init(&lock->sleepers);
}

#endif
