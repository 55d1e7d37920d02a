/* SPDX-License-Identifier: MIT */
/*
 * Pools from the inside.
 *
 * Path of a task: submit.c (admission, queue) -> run_thread.c or run_process.c (a worker gets it) -> settle.c (its
 * result, retry) -> the owner's loop. Beside that path: supervise.c (worker starts and ends, timeouts), shutdown.c.
 *
 * Locks: `lock` (BRG__RANK_POOL) guards queue, slots, idle list, modes and counts. Thread workers take tasks a handful
 * at a time under it and run and settle them without it; what they write is in their slot and marked x.
 *
 * Who frees: the pool struct is counted: its user, each live worker, each task with a handle. A task is counted when it
 * has a handle; the library's own reference goes when it settled and its callback ran.
 */
#ifndef BRG_POOL_POOL_H
#define BRG_POOL_POOL_H

#include <brigade/pool.h>

#include "base/heap.h"
#include "base/list.h"
#include "message/object.h"
#include "os/atomic.h"
#include "os/lock.h"
#include "pool/policy.h"
#include "worker/worker.h"

#define BRG__HAND_MAX 32  /* tasks a thread worker takes at once */
#define BRG__AHEAD_MAX 64 /* tasks a process worker has in its ring, the running one included */

/* brg_task.xstate: a brg_task_state, with a mark when somebody waits. */
#define BRG__TASK_WAITED 0x100u
#define BRG__TASK_STATE_MASK 0xffu

typedef enum brg__task_place {
    BRG__PLACE_QUEUE = 0, /* in the queue policy */
    BRG__PLACE_HAND,      /* taken by a thread worker, and running there; starting it is a swap of xstate */
    BRG__PLACE_AHEAD,     /* sent to a process worker */
    BRG__PLACE_NOWHERE    /* settled */
} brg__task_place;

/*
 * What every task uses lies in its first two cache lines, which travel from the submitter to the worker and back; the
 * rest is touched only by tasks with a handle, a callback, a value or a clock.
 */
struct brg_task {
    union {                                    /* a task is in one of these at a time */
        BRG__ALIGNED(64) brg__node queue_node; /* the queue policy's */
        brg__completion completion;            /* on its way to the loop */
        struct brg_task *next;                 /* in a free list */
    };
    brg_pool *pool;
    brg_call_fn call; /* or a named task */
    void *argument;
    brg_done_fn done;
    void *user_data;
    uint32_t xstate;
    bool has_handle, has_clock, cancel_asked; /* cancel_asked: under lock */
    uint8_t place;                            /* under lock, but a thread worker's own while in its hand */

    BRG__ALIGNED(64) brg__slot *slot; /* where it runs, or is ahead */
    uint64_t ticket;
    brg_value *input;
    size_t input_bytes;
    uint64_t worker_id;               /* of the last attempt */
    brg__heap_item *expiry_if_linked; /* &expiry while it waits with a bound, in pool->expiries */
    uint32_t attempts, attempts_max;
    uint32_t xreferences; /* only counted with a handle */
    uint16_t crashes;
    bool has_result; /* `result` is filled; otherwise a success without output, filled when its callback runs */

    uint64_t id, submitted_ns, started_ns, run_timeout_ns, deadline_ns, start_by_ns; /* the times: with a clock only */
    brg__heap_item expiry;
    brg_result result; /* with a handle or a callback only */
    brg_error *error;
    char name[BRG_TASK_NAME_MAX + 1];
};

/* One task sent to a process worker. */
typedef struct brg__ahead {
    brg_task *task; /* NULL once taken back */
    uint64_t ticket;
    brg_status end_why; /* it was asked to end; BRG_OK: it was not */
    brg__sent sent;
} brg__ahead;

/* How tasks ended, counted by the one writer of a slot, or under the lock for the pool's own. */
typedef struct brg__settled {
    uint64_t by_state[BRG_TASK_LOST + 1];
    uint64_t all, retried;
} brg__settled;

/* A place for one worker. */
struct brg__slot {
    brg_pool *pool;
    brg_worker *worker; /* NULL: none */
    uint32_t index;
    bool online, is_idle, ending;
    brg__node idle_node;
    uint64_t restart_at; /* when an empty slot may get a worker again; 0: at once; UINT64_MAX: it is being started */
    uint64_t settled_before; /* xsettled.all when the worker started */
    uint32_t fruitless;      /* workers in a row that ended by themselves without a task */

    /* The task that runs: whose ticket, until when, and when its worker is ended because it did not listen. */
    uint64_t kill_at, kill_ticket;
    brg_status kill_why;
    uint32_t kill_deferrals;
    uint64_t ahead_since; /* process: when the head started, to take back what waits behind a long one */

    /* Process workers: sent tasks, oldest first. */
    brg__ahead ahead[BRG__AHEAD_MAX];
    uint32_t ahead_first, ahead_count;

    /* Thread workers; written by the worker's thread, read by others. */
    BRG__ALIGNED(64) uint64_t xhand; /* epoch << 32 | next << 16 | end: run_thread.c */
    brg_task *xhand_tasks[BRG__HAND_MAX];
    brg_task *xrunning;
    uint64_t tickets;     /* given so far, one per attempt; its worker's only */
    uint64_t xticket;     /* of the running task, 0 between tasks */
    uint64_t xdeadline;   /* of the running task; UINT64_MAX: none */
    bool searching;       /* counted in pool->xsearching; its worker's only */
    uint64_t run_ewma_ns; /* thread: this worker's */
    brg_task *free_first, *free_last;
    uint32_t free_count;
    BRG__ALIGNED(64) brg__settled xsettled;
};

typedef enum brg__pool_mode {
    BRG__POOL_OPEN = 0,
    BRG__POOL_DRAIN,
    BRG__POOL_STOP,
    BRG__POOL_KILL,
    BRG__POOL_CLOSED
} brg__pool_mode;

struct brg_pool {
    brg_pool_options options; /* defaults filled in; strings are the pool's */
    uint32_t generation;
    uint32_t xreferences;
    brg__world heritage; /* what its workers are born with, whenever they are */
    brg__member member;  /* of the worker that made the pool */
    bool has_ended;      /* owner: its workers are gone and the loop is left */

    brg__lock lock;
    void *queue; /* state of options.queue */
    brg__list idle;
    brg__heap expiries;
    brg__pool_mode mode;
    uint64_t queued_bytes, queued_peak, submitted, rejected;
    brg__settled settled; /* under the lock; slots have their own */
    uint64_t with_done;   /* submitted with a callback */
    uint64_t tickets;
    uint32_t workers, online; /* workers: slots in use */
    uint32_t room_waiters;
    uint64_t run_ewma_ns; /* process workers */
    uint64_t workers_started, workers_crashed, workers_killed, workers_start_failed;
    uint32_t failures;      /* failed starts in a row */
    uint64_t breaker_until; /* 0: closed */
    brg_error start_error;  /* why the last start failed */
    brg_task *free_tasks;

    brg__timer timer;
    uint64_t xtimer_at; /* when it fires; UINT64_MAX: not set. Under lock, read without */

    BRG__ALIGNED(64) uint32_t xqueued; /* written under the lock, read without */
    uint32_t xsearching;               /* thread workers that spin */
    uint32_t xidle_waiters, xidle_epoch, xroom_epoch;
    BRG__ALIGNED(64) brg_task *xfree; /* returned from outside the lock */
    uint64_t xdelivered;              /* callbacks that ran */
    brg__slot *slots;                 /* workers_max */
};

/* submit.c */
brg_task *brg__task_pop_locked(brg_pool *pool); /* the next queued task, out of the queue; NULL */
void brg__task_push_front_locked(brg_pool *pool, brg_task *task);
void brg__task_unqueue_locked(brg_pool *pool, brg_task *task);
void brg__pool_room_locked(brg_pool *pool); /* tells submitters that wait */

/* settle.c */
typedef struct brg__outcome {
    brg_status status;
    brg_value *output, *detail; /* taken */
    const brg_error *error;     /* copied */
    uint64_t worker_id;
    uint64_t run_ns;
} brg__outcome;
/* Ends the task: result, counters, waiters, callback. The caller owns the right to (it took it from its place).
 * `counts`: the slot's for its worker thread, pool->settled under the lock. `task` may be gone afterwards. */
void brg__task_settle(brg_task *task, const brg__outcome *outcome, brg__settled *counts, brg__slot *slot);
/* A short form without worker: queue timeouts, cancels. Lock held. */
void brg__task_settle_plain(brg_task *task, brg_status status, const char *message);
/* Whether the end of this attempt is worth another. */
bool brg__task_may_retry(const brg_task *task, brg_status status);
/* Whether nothing of its input is gone with an earlier attempt. */
bool brg__task_can_run_again(const brg_task *task);
/* Back into the queue for another attempt. Lock held. */
void brg__task_retry_locked(brg_task *task, brg__settled *counts);
/* Wakes those who wait for an idle pool, if it is. Lock held. */
void brg__pool_check_idle_locked(brg_pool *pool);
bool brg__pool_is_idle_locked(brg_pool *pool);
brg_task *brg__task_new_locked(brg_pool *pool);
/* One reference fewer; with the last the task goes. Without a handle there is only one. `slot`: the caller is its
 * worker's thread; NULL: anywhere. */
void brg__task_drop(brg_task *task, brg__slot *slot);
void brg__pool_flush_free(brg_pool *pool, brg__slot *slot);
const brg_error *brg__error_of_status(brg_status status);

/* run_thread.c */
extern const brg__source brg__source_thread;
void brg__hand_reclaim_locked(brg__slot *slot);    /* what its worker has not started, back to the front of the queue */
brg_worker *brg__pool_wake_locked(brg_pool *pool); /* a worker to wake after unlocking: referenced; or NULL */

/* run_process.c */
extern const brg__source brg__source_process;
void brg__slot_feed_locked(brg__slot *slot);
void brg__slot_recall_locked(brg__slot *slot); /* unstarted tasks back to the front of the queue */
brg_task *brg__slot_head_locked(brg__slot *slot);
bool brg__slot_take_back_locked(brg__slot *slot, brg_task *task); /* unless its worker has started it */

/* supervise.c */
void brg__pool_timer_at(brg_pool *pool, uint64_t at_ns); /* no later than that; lock held */
void brg__pool_timer_fire(brg__timer *timer);
void brg__pool_started(void *owner, brg_worker *worker);
void brg__pool_ended(void *owner, brg_worker *worker, const brg_exit *exit);
const brg__world *brg__pool_heritage(void *owner);
brg_status brg__pool_fill(brg_pool *pool, brg_error *error); /* starts workers up to the target. No lock */
void brg__slot_ask_end_locked(brg__slot *slot, uint64_t ticket, brg_status why); /* flag now, end after grace */
brg__pool_view brg__pool_view_locked(brg_pool *pool);

/* shutdown.c */
void brg__pool_cancel_queue_locked(brg_pool *pool, brg_status status, const char *message);
void brg__pool_ref(brg_pool *pool);
void brg__pool_unref(brg_pool *pool);
void brg__pool_member_init(brg_pool *pool);
bool brg__pool_is_own_worker(const brg_pool *pool); /* the caller runs on one of its thread workers */

static inline bool brg__pool_has_processes(const brg_pool *pool)
{
    return pool->options.isolation == BRG_ISOLATION_PROCESS;
}

#endif
