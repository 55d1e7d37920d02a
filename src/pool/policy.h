/* SPDX-License-Identifier: MIT */
/*
 * The tables behind the policies. Every function runs under the pool's lock, must not block, and must not call
 * back into the pool. A policy is one file and one line in brigade/pool.h.
 */
#ifndef BRG_POOL_POLICY_H
#define BRG_POOL_POLICY_H

#include <brigade/pool.h>

#include "base/list.h"

typedef struct brg__slot brg__slot;

/* What the pool tells placement and scaling about itself. */
typedef struct brg__pool_view {
    brg__list *idle; /* slots that wait for work, the latest first (brg__slot.idle_node) */
    uint32_t queued, workers, online, busy;
    uint32_t workers_min, workers_max;
    uint64_t now_ns;
} brg__pool_view;

/*
 * Which task is next. `state` is state_bytes zeroed bytes per pool. Called in this order: init once; then push,
 * push_front, pop and remove as tasks come and go. Each task is in at most one queue; its queue_node is the policy's
 * while it is inside.
 */
struct brg_queue_policy {
    const char *name;
    size_t state_bytes;
    void (*init)(void *state);
    void (*push)(void *state, brg_task *task);
    void (*push_front)(void *state, brg_task *task); /* it had its turn and comes back without losing it */
    brg_task *(*pop)(void *state);                   /* NULL when empty */
    void (*remove)(void *state, brg_task *task);     /* O(1) or O(log n) */
};

/* Which worker gets it. */
struct brg_placement_policy {
    const char *name;
    /* A slot to wake or feed because the shared queue has work, or NULL: all are busy and will look by themselves. */
    brg__slot *(*next)(const brg__pool_view *view);
};

/* How many workers there should be, between workers_min and workers_max. Asked at the start and when a worker ends. */
struct brg_scaling_policy {
    const char *name;
    uint32_t (*target)(const brg__pool_view *view);
};

#endif
