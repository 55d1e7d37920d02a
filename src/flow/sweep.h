/* SPDX-License-Identifier: MIT */
/*
 * A sweep: each index from 0 to count - 1 once, over the workers of a pool. sweep.c has the notes.
 */
#ifndef BRG_FLOW_SWEEP_H
#define BRG_FLOW_SWEEP_H

#include <brigade/flow.h>

#include "flow/chunk.h"
#include "os/lock.h"
#include "pool/strand.h"

typedef struct brg__sweep brg__sweep;

/* What it does; lives as long as the sweep. */
typedef struct brg__sweep_work {
    /* The indexes of a chunk, on a worker, as strand number `strand`, of which each is at one place at a time. Failures
     * go to brg__sweep_fail. */
    void (*run)(struct brg__sweep_work *work, brg_context *context, uint64_t first, uint64_t end, uint32_t strand);
    /* It is over, with `status`: what follows, on the caller's thread or the loop. Returns what it all came to. May be
     * NULL. Not called where nothing began. */
    brg_status (*finish)(struct brg__sweep_work *work, brg_status status, brg_value **output, brg_error *error);
    void (*free)(struct brg__sweep_work *work); /* the last use is over; any thread, also under the pool's lock */
    brg__sweep *sweep;
    const char *name;       /* what it is called, where the options say nothing; or */
    void (*function)(void); /* its own, by its address */
} brg__sweep_work;

/* Reads and checks what a call was given; workers_max is a number then, and strands have numbers up to that. `rules`:
 * those of errors that the call takes, a bit each. */
brg_status brg__sweep_read(brg_flow_options *to, const brg_pool *pool, const brg_flow_options *from, uint32_t rules,
                           brg_error *error);

/* The same for calls on arrays, which only thread workers see. */
brg_status brg__sweep_read_arrays(brg_flow_options *to, const brg_pool *pool, const brg_flow_options *from,
                                  uint32_t rules, brg_error *error);

/*
 * Runs it, as the options say until all is done, or in the background. `work` is taken, also on failure. `output` is
 * what `finish` made; may be NULL.
 */
brg_status brg__sweep_run(brg_pool *pool, uint64_t count, brg__sweep_work *work, const brg_flow_options *options,
                          brg_value **output, brg_error *error);

/* An index failed: on the strand's thread, inside `run`. */
void brg__sweep_fail(brg__sweep *sweep, uint64_t index, brg_status status, const brg_error *why);
/* The same for what no rule of errors excuses: all of it ends. */
void brg__sweep_stop(brg__sweep *sweep, uint64_t index, brg_status status, const brg_error *why);
/* Whether one with a lower index has, so that this one need not run. */
bool brg__sweep_is_past(const brg__sweep *sweep, uint64_t index);
/* Whether a strand was abandoned in `run`, and may be in it still: for `finish`. */
bool brg__sweep_has_lost(const brg__sweep *sweep);

#endif
