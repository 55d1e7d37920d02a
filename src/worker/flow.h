/* SPDX-License-Identifier: MIT */
/* A bounded queue of bytes inside one process: one writer, one reader, either of which may wait. */
#ifndef BRG_WORKER_FLOW_H
#define BRG_WORKER_FLOW_H

#include <brigade/status.h>

#include "os/lock.h"

typedef struct brg__flow {
    brg__lock lock;       /* BRG__RANK_LEAF: guards all */
    unsigned char *bytes; /* a circle of `capacity`, a power of two; grows as needed */
    size_t capacity, first, count;
    size_t count_max;
    bool is_closed;        /* nothing more will be written */
    bool is_hurried;       /* a writer that would wait is refused */
    bool is_dropped;       /* nobody will read: what is written counts as read */
    uint32_t xroom, xdata; /* futexes: bumped when there is room, or something to read */
    uint32_t waiting;
} brg__flow;

void brg__flow_init(brg__flow *flow, size_t count_max);
void brg__flow_done(brg__flow *flow);

/*
 * Writes all, waiting for room until `deadline_ns` (0: as much as fits now). *written says how much, also on failure.
 * Errors: BRG_FULL, BRG_TIMED_OUT, BRG_CLOSED (also when hurried, where it would wait), BRG_NO_MEMORY.
 */
brg_status brg__flow_write(brg__flow *flow, const void *bytes, size_t size, size_t *written, uint64_t deadline_ns);
/* The last bytes, bound or not. */
brg_status brg__flow_force(brg__flow *flow, const void *bytes, size_t size);
/* Reads 1 to `size` bytes, waiting until `deadline_ns` (0: looks once). Errors: BRG_EMPTY, BRG_TIMED_OUT, BRG_CLOSED.
 * */
brg_status brg__flow_read(brg__flow *flow, void *bytes, size_t size, size_t *got, uint64_t deadline_ns);

size_t brg__flow_room(brg__flow *flow);
bool brg__flow_is_empty(brg__flow *flow);
void brg__flow_close(brg__flow *flow);
void brg__flow_hurry(brg__flow *flow);
void brg__flow_drop(brg__flow *flow);

#endif
