/* SPDX-License-Identifier: MIT */
/*
 * How busy a worker is. Its thread writes, with plain stores and a clock reading where it begins or ends to wait;
 * others read. For a process worker the counters lie in the segment, and what is read there is not trusted.
 */
#ifndef BRG_WORKER_USAGE_H
#define BRG_WORKER_USAGE_H

#include <brigade/worker.h>

#include "os/atomic.h"
#include "os/clock.h"

typedef struct brg__usage_shared {
    uint32_t xsequence;   /* odd while the times change (a sequence lock: Boehm, MSPC 2012) */
    uint32_t xbeats;      /* steps of two: signs of life; odd: its task waits for who its progress goes to */
    uint64_t xonline_at;  /* CLOCK_MONOTONIC; 0: not yet */
    uint64_t xidle_since; /* 0: busy */
    uint64_t xidle_ns;    /* of the waits that are over */
    uint64_t xended_at;   /* 0: not yet */
    uint64_t xtasks;
    uint64_t xmessages;
} brg__usage_shared;

void brg__usage_online(brg__usage_shared *usage);
void brg__usage_ended(brg__usage_shared *usage);
/* The worker begins to wait, and does not any more. Beginning twice counts once. */
void brg__usage_idle_begin(brg__usage_shared *usage);
void brg__usage_idle_end(brg__usage_shared *usage);
/* It does not any more, and waited only so long of it. */
void brg__usage_idle_was(brg__usage_shared *usage, uint64_t idle_ns);

static inline void brg__usage_count_task(brg__usage_shared *usage)
{
    brg_store_relaxed(&usage->xtasks, brg_load_relaxed(&usage->xtasks) + 1);
}

static inline void brg__usage_count_message(brg__usage_shared *usage)
{
    brg_store_relaxed(&usage->xmessages, brg_load_relaxed(&usage->xmessages) + 1);
}

static inline void brg__usage_beat(brg__usage_shared *usage)
{
    brg_store_relaxed(&usage->xbeats, brg_load_relaxed(&usage->xbeats) + 2);
}

/* Around a wait that is no silence of the task's own. */
static inline void brg__usage_beat_held(brg__usage_shared *usage, bool held)
{
    uint32_t beats = brg_load_relaxed(&usage->xbeats) + 2;
    brg_store_relaxed(&usage->xbeats, held ? beats | 1u : beats & ~1u);
}

/* A thread worker's thread: when it begins and when it ends. */
void brg__usage_thread_begins(brg_worker *worker);
void brg__usage_thread_ends(brg_worker *worker);
/* A process worker was reaped and had used so much CPU time (0: unknown). Supervisor. */
void brg__usage_process_ended(brg_worker *worker, uint64_t cpu_ns);

/* CPU time that the worker has used, as far as it can be read. Of a process worker: on the supervisor. Takes a leaf. */
uint64_t brg__usage_cpu(brg_worker *worker);

#endif
