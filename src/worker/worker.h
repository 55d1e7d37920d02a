/* SPDX-License-Identifier: MIT */
/*
 * One worker as its two isolations and the pool see it.
 *
 * Threads: `xstate` moves under life_lock (a leaf) on whatever thread the event happens; everything about processes but
 * posting and pumping happens on the supervisor. Who frees: references; the user's handle holds one, a running thread
 * or process one, a posted delivery one.
 */
#ifndef BRG_WORKER_WORKER_H
#define BRG_WORKER_WORKER_H

#include <brigade/worker.h>

#include "base/list.h"
#include "loop/loop.h"
#include "message/mailbox.h"
#include "os/lock.h"
#include "os/park.h"
#include "os/waiter.h"
#include "worker/context.h"
#include "worker/direct.h"
#include "worker/family.h"
#include "worker/life.h"
#include "worker/streams.h"
#include "worker/supervisor.h"
#include "worker/usage.h"
#include "worker/world.h"

/* What a process worker answered for a task; values and error are the receiver's to take (set to NULL) or leave. */
typedef struct brg__task_reply {
    uint64_t ticket;
    brg_status status;
    brg_value *output;
    brg_value *detail;
    brg_error *error; /* filled unless status is BRG_OK */
    uint64_t run_ns;
    uint32_t part; /* which task of a batch it is for, plus 1; 0: the task, or all of the batch */
} brg__task_reply;

/*
 * Where a pool's workers get their tasks: functions of the pool. For a worker of one's own there is none.
 * run, ready, spin, sleep, wake: the worker's thread. reply: under pump_lock. started, ended: any thread, no lock.
 */
typedef struct brg__source {
    bool (*run)(void *owner, brg_worker *worker, brg_context *context); /* runs what is there; whether there was any */
    bool (*ready)(void *owner, brg_worker *worker);                     /* a hint, without a lock */
    bool (*spin)(void *owner, brg_worker *worker, bool begin);          /* may it search by spinning? */
    void (*leave)(void *owner, brg_worker *worker); /* about to do something else for a while: it searches no more */
    bool (*sleep)(void *owner, brg_worker *worker); /* about to sleep; false: there is work */
    void (*wake)(void *owner, brg_worker *worker);  /* does not sleep any more */
    bool (*reply)(void *owner, brg_worker *worker,
                  brg__task_reply *reply); /* false: it answers nothing that was asked */
    /* A value of the running task, taken on success. BRG_PROTOCOL: it has no such task, or may not send one;
     * BRG_NO_MEMORY. Under pump_lock. */
    brg_status (*progress)(void *owner, brg_worker *worker, uint64_t ticket, brg_value *value);
    void (*started)(void *owner, brg_worker *worker);
    void (*ended)(void *owner, brg_worker *worker, const brg_exit *exit); /* exactly once, after the last reply */
    const brg__world *(*heritage)(void *owner); /* what its workers are born with, whenever they are */
    void (*place)(const void *slot, uint32_t *index, uint64_t *tags); /* where the slot is in it; may be NULL */
} brg__source;

/* Where the thread of a worker is. Leaving user code and being abandoned are the two ends of one compare-and-swap. */
typedef enum brg__where { BRG__IN_LIBRARY = 0, BRG__IN_USER_CODE, BRG__IN_ABANDONED } brg__where;

typedef struct brg__isolation_ops {
    brg_status (*start)(brg_worker *worker, brg_error *error);
    brg_status (*post)(brg_worker *worker, brg_value *message, uint64_t deadline_ns, brg_error *error);
    void (*ask)(brg_worker *worker);    /* to end: flag, event, wake. Any thread */
    void (*closed)(brg_worker *worker); /* it ended: refuses senders that wait. Any thread. May be NULL */
    bool (*end)(brg_worker *worker);    /* grace is over: end it. Supervisor. False: call again soon */
    bool (*pump)(brg_worker *worker);   /* moves replies to where they belong; whether there were any. May be NULL */
    void (*unpump)(brg_worker *worker); /* the caller stops pumping: the supervisor watches again. May be NULL */
    void (*took)(brg_worker *worker);   /* the owner received one of its messages. May be NULL */
    void (*free)(brg_worker *worker);
} brg__isolation_ops;

struct brg_worker {
    const brg__isolation_ops *ops;
    brg_worker_options options; /* as given, defaults filled in; strings copied */
    uint64_t id;
    char name[64];
    uint32_t generation; /* fork generation it was made in */
    uint32_t xreferences;
    const brg__source *source;
    void *source_owner;
    void *slot;          /* the source's own */
    uint32_t pool_index; /* where that is; UINT32_MAX: in no pool */
    uint64_t pool_tags;
    bool is_registered;

    brg__lock life_lock;
    uint32_t xstate;   /* brg_worker_state; futex of those who wait for it */
    uint32_t xwaiters; /* how many sleep on it */
    uint32_t xasked;   /* the owner asked it to end */
    uint32_t xwhere;   /* brg__where; threads only */
    bool was_online;   /* under life_lock */
    brg_exit exit;     /* written before xstate says exited or lost */
    brg__timer timer;  /* start timeout, then grace; holds a reference while it is set */

    /* To the owner. */
    brg__gate inbox_gate;
    brg__mailbox inbox; /* messages from the worker */
    brg__spinner receive_spinner;
    brg__completion delivery;
    uint32_t xdelivery_posted;
    uint32_t xdestroyed;
    bool online_told, exit_told; /* owner thread */
    bool keeps_loop;             /* owner thread: the loop is held for it */
    bool has_left_loop;          /* owner thread: the loop is gone, or going */
    uint32_t xpending_online, xpending_exit;
    brg__list errors; /* of worker_error, under life_lock */
    uint32_t error_count;
    uint32_t xgarbled; /* messages that could not be read, for brg_worker_receive to say */

    /* To the worker (thread), and its waiting place. */
    brg__gate gate;
    brg__mailbox outbox;
    brg__direct_target direct; /* messages by id: of threads; a process has them in its client */
    brg__waiter *xwaiter;      /* of the thread, once it runs: where it waits inside user code */
    brg__spinner spinner;
    uint64_t xcancel; /* context->xcancel */
    uint32_t xstop;
    int xcancel_event; /* eventfd made on demand, or -1; under life_lock but for reading */
    int xbell;         /* likewise: wakes the thread when it is in its loop. Open as long as the worker: wakers have a
                          reference, and may be late */

    brg__world world;      /* the worker thread's, once it runs; for a process it is what is sent */
    brg__streams *streams; /* NULL: all are the program's */
    brg__member member;    /* of the worker that made it */
    brg__family *family;   /* thread: what it made; under life_lock, referenced */
    brg__timer rss_timer;  /* samples memory; holds a reference while it is set */

    brg__usage_shared *usage; /* &own_usage, or in the segment */
    clockid_t cpu_clock;      /* with has_cpu_clock; these under life_lock */
    bool has_cpu_clock;
    uint64_t cpu_ns;   /* as last seen */
    uint64_t ended_at; /* process: when it was seen to be gone; 0: not yet */
    BRG__ALIGNED(64) brg__usage_shared own_usage;

    void *process; /* brg__process of process.c */
};

/* As brg_worker_create, for a pool. */
brg_status brg__worker_create(brg_worker **out, const brg_worker_options *options, const brg__source *source,
                              void *source_owner, void *slot, brg_error *error);

/* In a process worker, before it makes any: ids that no other process has given, living or, but for an odd chance,
 * dead. */
void brg__worker_ids_of_process(int64_t process_id, uint64_t started_ns);

void brg__worker_ref(brg_worker *worker);
void brg__worker_unref(brg_worker *worker);

/* Sets or clears its timer. Any thread. */
void brg__worker_set_timer(brg_worker *worker, uint64_t deadline_ns);
/* An event of its life. False when it changed nothing. Any thread. */
bool brg__worker_live(brg_worker *worker, brg__life_event event);
/* It started: tells owner and source. */
void brg__worker_started(brg_worker *worker);
/* It ended (BRG__LIFE_ENDED or _ABANDONED): tells everybody, once; later calls do nothing. Any thread, no lock. */
void brg__worker_ended(brg_worker *worker, brg__life_event event, const brg_exit *exit);
/* A hook or handler failed: queues an on_error. */
void brg__worker_error(brg_worker *worker, const brg_error *error);
/* A message of the worker could not be read: queues an on_message_error, or lets brg_worker_receive say so. */
void brg__worker_message_error(brg_worker *worker, const brg_error *error);
/* The next message for the owner, as brg__mailbox_pop. */
brg_status brg__worker_pop(brg_worker *worker, brg_value **message);
/* It is over and its loop ends before its handle: no callback of it runs any more. Owner thread. */
void brg__worker_leave_loop(brg_worker *worker);
/* Something for the owner is there: posts the delivery. */
void brg__worker_deliver(brg_worker *worker);

static inline brg_worker_state brg__worker_state(const brg_worker *worker)
{
    return (brg_worker_state)brg_load_acquire(&worker->xstate);
}
static inline bool brg__worker_is_over(const brg_worker *worker)
{
    return brg__worker_state(worker) >= BRG_WORKER_EXITED;
}

/* Asks it to end and starts its grace. Any thread. */
void brg__worker_ask(brg_worker *worker);

/* Thread workers, around user code. leave returns false when the thread was abandoned meanwhile: touch nothing then. */
static inline void brg__worker_enter_user(brg_worker *worker)
{
    brg_store_release(&worker->xwhere, (uint32_t)BRG__IN_USER_CODE); /* pairs with the swap in thread_end */
}
static inline bool brg__worker_leave_user(brg_worker *worker)
{
    uint32_t where = BRG__IN_USER_CODE; /* pairs with the swap in thread_end */
    return brg_cas_acq_rel(&worker->xwhere, &where, (uint32_t)BRG__IN_LIBRARY);
}

/* Asks the task with `ticket` to end; the thread or process sees its flag and descriptor. Any thread. */
void brg__worker_cancel_task(brg_worker *worker, uint64_t ticket);
/* A thread's: it is to look whether it is cancelled; its descriptor is readable. With `nesting`, of its context, only if
 * what runs now is so deep inside other tasks; ANY_NESTING: whatever runs. Any thread, while it lives. */
#define BRG__ANY_NESTING UINT32_MAX
void brg__worker_ring(brg_worker *worker, brg_context *context, uint32_t nesting);
/* Its thread is about to run another task inside this one, or has. */
void brg__worker_nest(brg_worker *worker, brg_context *context, int by);
/* Ends the worker now, whatever it runs: kills the process; abandons the thread once it is in user code. Any thread. */
void brg__worker_end_now(brg_worker *worker, brg_status why, const char *message);

/* Process workers: a task into the ring (not yet seen), then one publish for all. Callers serialise per worker. */
typedef struct brg__sent {
    uint64_t position; /* in the ring */
    uint32_t *xclaim;
} brg__sent;
brg_status brg__process_send_task(brg_worker *worker, uint64_t ticket, uint32_t attempt, uint32_t progress_max,
                                  const char *name, const brg_value *input, brg__sent *sent);
/* One task of a batch. */
typedef struct brg__part {
    const brg_value *input; /* may be NULL */
    brg_status status;      /* filled: BRG_OK, or why it could not be sent, and its batch went without it */
} brg__part;
/* The same for a batch of `count`; it fails for all of them, or for those whose status says so. */
brg_status brg__process_send_batch(brg_worker *worker, uint64_t ticket, const char *name, brg__part *parts,
                                   uint32_t count, brg__sent *sent);
/* How many bytes an input adds to what is sent. */
size_t brg__part_bytes(const brg_value *input);
/* One task of a batch that was sent, and not answered, is asked to end. */
void brg__process_cancel_part(brg_worker *worker, uint64_t ticket, uint32_t part);
void brg__process_publish(brg_worker *worker); /* wakes the worker if it sleeps */
int64_t brg__process_worker_id(const brg_worker *worker);
void brg__process_cancel(brg_worker *worker, uint64_t ticket);
/* So many values of the task's progress were delivered. One caller at a time; any thread, under the pool's lock or
 * none. */
void brg__process_progress_taken(brg_worker *worker, uint64_t ticket, uint32_t taken);
/* Takes an unstarted task back; false when the worker has it. */
bool brg__process_recall(brg_worker *worker, const brg__sent *sent);

extern const brg__isolation_ops brg__isolation_thread;
extern const brg__isolation_ops brg__isolation_process;

#endif
