/* SPDX-License-Identifier: MIT */
/* A task from the inside: what it is, where it is, and what lies in which of its cache lines. pool.h has its path. */
#ifndef BRG_POOL_TASK_H
#define BRG_POOL_TASK_H

#include <brigade/pool.h>

#include "base/heap.h"
#include "base/list.h"
#include "loop/loop.h"
#include "pool/hooked.h"
#include "pool/schedule.h"

/* brg_task.xstate: a brg_task_state, with marks: somebody waits; somebody runs after it (after.c). */
#define BRG__TASK_WAITED 0x100u
#define BRG__TASK_FOLLOWED 0x200u
#define BRG__TASK_STATE_MASK 0xffu

typedef enum brg__task_place {
    BRG__PLACE_QUEUE = 0, /* in the schedule */
    BRG__PLACE_DELAYED,   /* waits for its time, in pool->delayed by item.link */
    BRG__PLACE_BLOCKED,   /* waits for other tasks, in pool->blocked by item.link: after.c */
    BRG__PLACE_BATCH,     /* in a batch that fills, waits or runs: batch.c */
    BRG__PLACE_HAND,      /* taken by a thread worker, and running there; starting it is a swap of xstate */
    BRG__PLACE_AHEAD,     /* sent to a process worker */
    BRG__PLACE_NESTED,    /* run by a worker that waits for it: help.c; or by its submitter: caller.c */
    BRG__PLACE_ENDED      /* settled */
} brg__task_place;

/* What a task is besides a function: set at submit. */
typedef enum brg__task_kind {
    BRG__TASK_HANDLE = 1,    /* it is counted: it has a handle, a token or a group */
    BRG__TASK_CLOCK = 2,     /* its times are filled and count */
    BRG__TASK_EXTRAS = 4,    /* it has task->extras since its submit; see also BRG__TASK_FOLLOWED */
    BRG__TASK_INTERNAL = 8,  /* the pool's own (configure, prewarm): in no count a user sees */
    BRG__TASK_CARRIER = 16,  /* a batch: stands for its members and is in no count */
    BRG__TASK_BATCHED = 32,  /* goes into batches */
    BRG__TASK_NUMBERED = 64, /* it has its id and event_name, whether or not it has a handle: observe.c */
    BRG__TASK_HOOKED = 128   /* a flow's: hooked.c */
} brg__task_kind;

typedef struct brg__extras brg__extras;

/*
 * What every task uses lies in its first cache lines, which travel from the submitter to the worker and back; the
 * rest is touched only by tasks with a handle, a callback, a value or a clock.
 */
struct brg_task {
    union { /* a task is in one of these at a time */
        BRG__ALIGNED(64)
        brg_item item;              /* the schedule's; its links are the delays' heap or the batch's list elsewhere */
        brg__completion completion; /* on its way to the loop */
        struct brg_task *next;      /* in a free list */
    };
    BRG__ALIGNED(64) brg_pool *pool;
    union {
        brg_call_fn call;   /* or a named task */
        brg_stage_fn stage; /* of one with a hook; `argument` is its state */
    };
    void *argument;
    union {
        brg_done_fn done;
        brg__hook_fn hook; /* of one with a hook; called by who settles it */
    };
    void *user_data;
    uint32_t xstate;
    uint8_t kind;      /* brg__task_kind */
    uint8_t place;     /* under lock, but a thread worker's own while in its hand */
    bool has_result;   /* `result` is filled; otherwise a success without output, filled when its callback runs */
    bool cancel_asked; /* under lock */
    brg__slot *slot;   /* where it runs, or is ahead */
    uint64_t ticket;

    BRG__ALIGNED(64) brg_value *input;
    size_t input_bytes;
    uint64_t worker_id;               /* of the last attempt */
    brg__heap_item *expiry_if_linked; /* &expiry while it waits with a bound, in pool->expiries */
    uint32_t attempts, attempts_max;
    uint32_t xreferences; /* only counted with a handle */
    uint16_t crashes;
    union {
        struct {
            uint8_t sample;     /* 0: its times do not count; else 1 and its weight as a power of two: metrics.h */
            uint8_t name_index; /* of its name in the metrics; 0: it is a function, or nobody counts names */
        };
        uint16_t measured; /* 0: neither */
    };
    brg__extras *extras;
    struct brg__progress *progress; /* of a task with extras, from submit to its end; else NULL: progress.c */

    uint64_t id, submitted_ns, started_ns, run_timeout_ns, deadline_ns, start_by_ns; /* the times: with a clock only */
    uint64_t heartbeat_ns;   /* 0: its signs of life do not count */
    uint64_t start_delay_ns; /* from submit, of one that waits for others first; 0: none */
    brg__heap_item expiry;
    brg_result result; /* with a handle or a callback only */
    brg_error *error;
    brg__node age_node;     /* in pool->by_age while it waits, where admission drops */
    uint64_t age;           /* its number in the order of submits there; 0: none yet */
    bool goes_alone;        /* of one for batches: its batch failed, it goes into none any more. Under lock */
    struct brg_task *outer; /* of a suspended one: what its worker suspended before: help.c */
    uint64_t *xcancel;      /* of one that runs in its submitter: caller.c */
    brg_status end_why;     /* it was asked to end; BRG_OK: it was not. Of suspended ones, under the lock */
    const char *event_name; /* of a numbered one: NULL, or its name as records have it */
    char name[BRG_TASK_NAME_MAX + 1];
};

_Static_assert(offsetof(brg_task, input) == 128 && offsetof(brg_task, id) == 192,
               "what a plain task uses lies in three cache lines");

static inline bool brg__task_is(const brg_task *task, brg__task_kind kind) { return (task->kind & kind) != 0; }
/* Its signs of life count. */
static inline bool brg__task_is_watched(const brg_task *task)
{
    return brg__task_is(task, BRG__TASK_CLOCK) && task->heartbeat_ns != 0;
}
/* An internal one that may be withdrawn: strand.h's. */
static inline bool brg__task_is_strand(const brg_task *task)
{
    return (task->kind & (BRG__TASK_INTERNAL | BRG__TASK_HANDLE)) == (BRG__TASK_INTERNAL | BRG__TASK_HANDLE);
}
static inline brg_task *brg__task_of(brg_item *item)
{
    return item == NULL ? NULL : brg__container_of(item, brg_task, item);
}

#endif
