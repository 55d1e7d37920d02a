/* SPDX-License-Identifier: MIT */
/*
 * Policies of a pool: which task is next, which worker gets it, how many workers there are. Each is a table of
 * functions; those that come with the library are named in brigade/pool.h, and a program may write its own here.
 *
 * All functions run under the pool's lock, one at a time: they must be short, must not block, and must not call the
 * pool. They know no clock but the time they are given (nanoseconds of CLOCK_MONOTONIC, or a simulator's), so they can
 * be tested without one. State is `state_bytes` zeroed bytes per instance, aligned for any type.
 */
#ifndef BRIGADE_POLICY_H
#define BRIGADE_POLICY_H

#include <brigade/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- which task is next ------------------------------------------------------------------------------------ */

#define BRG_BAND_COUNT 4 /* 0 urgent, 1 high, 2 normal, 3 low */

/* A task as policies see it: what was said of it at submit. A batch is one item. */
typedef struct brg_item {
    void *link[4];     /* the policy's own while it holds the item: a list's links, a heap's; garbage before push */
    uint64_t key;      /* brg_submit_options.key; 0: none */
    uint64_t due_ns;   /* its deadline; UINT64_MAX: none */
    uint64_t since_ns; /* when it was submitted; filled for policies with wants_time only */
    uint16_t cost;     /* tasks in it: 1, or as many as a batch has */
    uint8_t band;      /* its priority as an index, 0 the most urgent */
    uint8_t reserved_1;
    uint32_t reserved_2;
} brg_item;

/*
 * An instance is one queue: a pool has one that all workers share, one for each worker if the placement assigns
 * tasks, and one more of each for every different set of tags that tasks ask for. Call order: init once; then push,
 * push_front, pop, remove and tune as things happen; done once, when it is empty. None of them can fail: one that has
 * no memory does the next best. All are O(1) or O(log n) of what is queued.
 */
struct brg_queue_policy {
    size_t size;
    const char *name;
    size_t state_bytes;
    bool wants_time;                                            /* fill since_ns */
    void (*init)(void *state, const brg_pool_options *options); /* options as brg_pool_create fills them */
    void (*done)(void *state);                                  /* frees what init and push took; may be NULL */
    void (*tune)(void *state, const brg_pool_options *options); /* they changed (brg_pool_tune); may be NULL */
    void (*push)(void *state, brg_item *item);
    /* It was popped and comes back without having run: it must be popped before what is like it, and its pop
     * uncounted. */
    void (*push_front)(void *state, brg_item *item);
    brg_item *(*pop)(void *state, uint64_t now_ns); /* NULL when empty, never otherwise */
    void (*remove)(void *state, brg_item *item);    /* cancelled, expired or moved: not served */
    /* How urgent the item is that pop would return: the least goes first where a worker may take from several
     * queues. Not called when empty. NULL: all are alike. */
    uint64_t (*rank)(void *state, uint64_t now_ns);
};

/* ---- which worker gets it ---------------------------------------------------------------------------------- */

#define BRG_SEAT_ANY UINT32_MAX /* no worker yet: the queue for all */

/* A worker as policies see it. It keeps its index when the worker is replaced. */
typedef struct brg_seat {
    uint32_t index;
    uint32_t load; /* tasks assigned to it: in its queue, sent to it, running */
    uint64_t tags;
    bool is_usable; /* it may be chosen: it is there, or starting, and not ending */
    bool is_idle;   /* it waits for work */
} brg_seat;

typedef struct brg_seats {
    brg_seat *const *seats; /* by index; some may be unusable */
    uint32_t count;
    uint32_t usable_count;
    uint32_t from;   /* the worker that submits, or BRG_SEAT_ANY */
    uint64_t needs;  /* the tags the task asks for: brg_seat_fits */
    uint64_t now_ns; /* 0 unless the queue policy wants_time */
} brg_seats;

static inline bool brg_seat_fits(const brg_seats *seats, uint32_t index)
{
    const brg_seat *seat = seats->seats[index];
    return seat->is_usable && (seat->tags & seats->needs) == seats->needs;
}

/* What of that which waits for others a worker gets that comes: is started, started again, or wanted again. */
typedef enum brg_share {
    BRG_SHARE_NONE = 0, /* nothing */
    /* Its part of as many as are usable then, a few at a time whenever it has nothing: those that go first where most
     * wait. At most 64 are moved and 1,088 looked at each time. */
    BRG_SHARE_EVENLY,
    /* At once, all tasks with a key for which choose names it now, in their order, and of those without a key its part.
     * Up to 65,536 tasks are looked at, 0.1 to 1 us each by the queue policy. choose must go by key, tags and who is
     * usable alone. */
    BRG_SHARE_BY_KEY
} brg_share;

/* Without choose, tasks wait in the queue for all and whoever is free takes them. */
struct brg_placement_policy {
    size_t size;
    const char *name;
    size_t state_bytes;
    bool steals; /* a worker that has nothing takes half of what waits for another; tasks with tags wait for all then */
    brg_share share;                                            /* nothing where it steals */
    void (*init)(void *state, const brg_pool_options *options); /* may be NULL */
    /* The index of a worker that fits, or BRG_SEAT_ANY: for the queue for all. Called once per task, and again when its
     * worker is no longer there, or another comes: share. */
    uint32_t (*choose)(void *state, const brg_seats *seats, const brg_item *item);
};

/* ---- how many workers -------------------------------------------------------------------------------------- */

/* What a pool does, as scaling policies see it. Counts are since the pool was created. */
typedef struct brg_load {
    uint64_t now_ns;
    uint32_t workers_min, workers_max;
    uint32_t workers;   /* there now, those that start included */
    uint32_t busy;      /* of these, now */
    uint64_t queued;    /* tasks ready to run and waiting now; a batch counts as one */
    uint64_t done;      /* tasks that workers finished, however they ended */
    uint64_t busy_ns;   /* time that workers were busy, of all together */
    uint64_t worker_ns; /* time that workers were there, busy or not, of all together */
    /* For a policy that wants_cpu. */
    uint64_t cpu_ns; /* CPU time that workers used since they were first looked at, of all together */
    uint32_t cpus;   /* that the program may use; 0: some of cpu_ns is not known this time */
} brg_load;

/*
 * Asked every scaling_interval_ns while the pool has work or more workers than workers_min, and when tasks are
 * queued and no worker is idle. The pool keeps the answer between workers_min and workers_max, starts
 * workers at once, and ends only workers that have been idle, or parked, for idle_timeout_ns. A worker parks before its
 * next task, where the policy parks and more are at work than it wants.
 */
struct brg_scaling_policy {
    size_t size;
    const char *name;
    size_t state_bytes;
    bool parks;     /* workers beyond the target take no tasks, though some wait */
    bool wants_cpu; /* fill cpu_ns and cpus: a system call for each worker each time it is asked */
    void (*init)(void *state, const brg_pool_options *options); /* may be NULL */
    uint32_t (*target)(void *state, const brg_load *load);
};

#ifdef __cplusplus
}
#endif

#endif
