/* SPDX-License-Identifier: MIT */
/*
 * Pools from the inside.
 *
 * Path of a task: submit.c (checks) -> admission.c (is there room) -> ready.c (into the schedule, or a batch) ->
 * run_thread.c or run_process.c (a worker gets it) -> settle.c (its result), retry.c -> the owner's loop. Beside that
 * path: supervise.c (timeouts), workers.c (starts and ends), scale.c (how many), shutdown.c, metrics.h (what is
 * measured). schedule.c decides where tasks wait and who takes which, with the policies.
 *
 * Locks: `lock` (BRG__RANK_POOL) guards schedule, slots, modes and counts. Thread workers take tasks a handful at a
 * time under it and run and settle them without it; what they write is in their slot and marked x. brg__pool_unlock
 * ends every section in which something may have become ready: it wakes whom the section chose.
 *
 * Who frees: the pool struct is counted: its user, each live worker, each task with a handle. A task is counted when it
 * has a handle; the library's own reference goes when it settled and its callback ran.
 */
#ifndef BRG_POOL_POOL_H
#define BRG_POOL_POOL_H

#include <brigade/pool.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/table.h"
#include "message/object.h"
#include "os/atomic.h"
#include "os/lock.h"
#include "pool/fork.h"
#include "pool/hooked.h"
#include "pool/rules.h"
#include "pool/sampler.h"
#include "pool/schedule.h"
#include "pool/task.h"
#include "worker/worker.h"

#define BRG__OBSERVERS_MAX 16 /* watches and traces on one pool */
#define BRG__AHEAD_MAX 64     /* tasks a process worker has in its ring, the running one included */

/* brg_pool.xfull */
#define BRG__FULL 1u
#define BRG__FULL_SEEN 2u /* somebody was told by brg_pool_is_full: on_drain must follow */

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
    struct brg__meter *meter; /* metrics.h; NULL with no_metrics */
} brg__settled;

/* A place for one worker. */
struct brg__slot {
    brg__seat seat; /* as the schedule sees it */
    brg_pool *pool;
    brg_worker *worker; /* NULL: none */
    uint32_t index;
    bool online, ending;
    uint32_t xparked; /* there are more workers than wanted: it takes nothing but what is pinned to it */
    bool retiring;    /* ending because it is not needed, or to be recycled */
    uint32_t warming; /* internal tasks it must run before it is online */
    bool warm_failed; /* one of them failed: warm_error says why */
    brg_error warm_error;
    uint64_t online_at, idle_since;
    uint64_t cpu_ns;     /* that its worker had used when scale.c last looked; 0: it has not */
    uint64_t restart_at; /* when an empty slot may get a worker again; 0: at once; UINT64_MAX: it is being started */
    uint64_t settled_before; /* what it had served, with what was not the user's, when its worker started: recycle.c */
    uint64_t errors_before;  /* the same of what did not succeed: metrics.c */
    uint32_t starts;         /* workers it has had */
    struct brg__told *told;  /* what the owner hears of its worker: events.c */
    bool is_large;           /* its worker was seen above recycle_rss_bytes */
    uint32_t start_failures; /* failed starts in a row */
    uint32_t fruitless;      /* workers in a row that ended by themselves without a task */

    /* The task that runs: whose ticket, until when, and when its worker is ended because it did not listen. */
    uint64_t kill_at, kill_ticket;
    brg_status kill_why;
    uint32_t kill_deferrals, kill_graces;
    brg_task *suspended;   /* tasks that wait while a nested one runs, the innermost first: help.c */
    brg_task *waiting_for; /* what the innermost that waits waits for; may have settled */
    uint32_t depth;
    uint64_t beat_ticket, beat_at; /* heartbeat.c: what was seen of it last, and when */
    uint32_t beats;
    uint64_t ahead_since; /* process: when the head started, to take back what waits behind a long one */
    bool is_stuffed;      /* it has no task, and its ring has no room: the worker has not yet passed those taken back */

    /* Process workers: sent tasks, oldest first. */
    brg__ahead ahead[BRG__AHEAD_MAX];
    uint32_t ahead_first, ahead_count;

    /* Thread workers; written by the worker's thread, read by others. */
    BRG__ALIGNED(64) uint64_t xhand; /* epoch << 32 | next << 16 | end: hand.h */
    brg_task *xhand_tasks[BRG__HAND_MAX];
    uint64_t xhand_at; /* when its worker began with them, CLOCK_MONOTONIC */
    brg_task *xrunning;
    uint64_t tickets;                   /* given so far, one per attempt; its worker's only */
    uint64_t xticket;                   /* of the running task, 0 between tasks */
    uint64_t xdeadline;                 /* of the running task; UINT64_MAX: none */
    uint64_t xbeat_ticket, xbeat_every; /* of the task whose heartbeat is watched; under lock for process workers */
    uint64_t xsilent_ticket;            /* of the one whose heartbeat stopped; written under lock */
    bool searching;                     /* counted in pool->xsearching; its worker's only */
    uint32_t xbrief;                    /* counted in pool->brief_count; written under the lock */
    uint32_t gather_misses;             /* times it waited for more to take, and none came: its worker's only */
    uint64_t run_ewma_ns;               /* thread: this worker's */
    brg_task *free_first, *free_last;
    uint32_t free_count;
    uint32_t xrecording; /* it writes to stores: observe.c */
    struct brg__chunk *chunks[BRG__OBSERVERS_MAX];
    BRG__ALIGNED(64) brg__settled xsettled;
};

static inline brg__slot *brg__slot_of(brg__seat *seat)
{
    return seat == NULL ? NULL : brg__container_of(seat, brg__slot, seat);
}

typedef enum brg__pool_mode {
    BRG__POOL_OPEN = 0,
    BRG__POOL_DRAIN,
    BRG__POOL_STOP,
    BRG__POOL_KILL,
    BRG__POOL_CLOSED
} brg__pool_mode;

#define BRG__WAKE_MAX 8

/* Whom brg__pool_unlock wakes or asks to end; referenced. */
typedef struct brg__wakes {
    brg_worker *workers[BRG__WAKE_MAX];
    uint32_t count;
    bool is_over; /* there were more */
} brg__wakes;

struct brg_pool {
    brg_pool_options options; /* defaults filled in; strings are the pool's; those marked * change under the lock */
    uint32_t generation;
    uint32_t xreferences;
    brg__world heritage; /* what its workers are born with, whenever they are */
    brg__member member;  /* of the worker that made the pool */
    bool has_ended;      /* owner: its workers are gone and the loop is left */

    /* What submitting and taking a plain task writes, in as few cache lines as may be: they travel with the lock. Whose
     * own line it is: who waits for it looks at it, and is not to slow down who has it. */
    BRG__ALIGNED(64) brg__lock lock;
    BRG__ALIGNED(64) brg__schedule schedule;
    BRG__ALIGNED(64) uint64_t waiting; /* tasks accepted and not taken, wherever they wait */
    uint64_t waiting_bytes, waiting_peak, submitted;
    uint64_t hooked_waiting;  /* of those that wait: they are in no bound of admission's */
    uint64_t strands_waiting; /* of hooked_waiting: strand.c's, which no user sees */
    brg__pool_mode mode;
    bool is_plain;   /* its options ask for no clocks, and for nothing to do with those that wait: submit.c */
    bool has_chores; /* for the unlock: the three lists below */
    bool is_telling;
    bool is_relied_on;    /* somebody was not woken because of the brief ones; the timer is set */
    uint32_t brief_count; /* thread workers that will be back for more in some microseconds: ready.c */
    uint32_t brief_ns;    /* what a task takes there on average */
    uint64_t with_done;   /* submitted with a callback */
    brg__heap expiries;   /* of tasks that wait with a bound */
    brg__heap delayed;    /* tasks that wait for a time, by item.link */
    brg__list blocked;    /* tasks that wait for others, likewise */
    brg__wakes wakes, asks;
    brg__list ended;                 /* after.c: ends whose followers are to be told */
    struct brg__bunch *bunches_left; /* bunch.c: those without tasks */
    brg_task *hooked_first;          /* hooked.c: settled ones, by `next`, each with a reference to the pool */
    brg_task *hooked_last;
    uint64_t hooked_bytes; /* of hooked_waiting */
    uint64_t rejected, dropped, inline_run;
    brg__sampler sampler;              /* which tasks are timed: metrics.c */
    uint64_t internal, internal_ended; /* of the library's own, in submitted and settled.all */
    brg__settled settled;              /* under the lock; slots have their own */
    uint64_t tickets;
    uint32_t workers, online; /* workers: slots in use */
    uint32_t leaving;         /* of those online: retiring */
    uint32_t room_waiters;
    uint64_t run_ewma_ns; /* process workers */
    uint64_t workers_started, workers_crashed, workers_killed, workers_start_failed, workers_recycled, workers_shrunk;
    uint64_t batches;
    uint64_t flows;         /* that somebody was told of: strand_watch.c */
    uint32_t failures;      /* failed starts in a row while nobody serves: breaker.c */
    uint64_t breaker_until; /* 0: closed */
    brg_error start_error;  /* why the last start failed */
    brg_task *free_tasks;
    uint64_t random; /* of retry's jitter */
    uint64_t created_ns;

    /* scale.c */
    void *scaling; /* state of options.scaling */
    uint32_t target;
    bool may_hint; /* a submit that finds nobody idle may ask for a look */
    uint64_t scale_at;
    uint64_t load_since, busy_ns, worker_ns;
    uint64_t cpu_ns;             /* that workers used, where the policy wants_cpu */
    uint32_t cpus;               /* likewise */
    uint32_t idle_count, parked; /* parked ones count as idle */

    struct brg__batches *batches_filling; /* batch.c */
    brg__table bunches;                   /* bunch.c: tasks by token */
    struct brg__events *events;           /* events.c */
    struct brg__metrics *metrics;         /* metrics.c; NULL with no_metrics */
    struct brg__metrics_event *metrics_event;
    struct brg__observers *observers; /* observe.c; NULL until somebody watches */
    brg__list watches;                /* watch.c: the owner's alone */
    brg_value *config;                /* configure.c */
    uint64_t rss_at;                  /* when recycle.c looks at memory again */
    brg__list by_age[BRG_BAND_COUNT]; /* drop_oldest and drop_newest: all that wait, by age: admission.c */
    uint64_t band_count[BRG_BAND_COUNT], band_bytes[BRG_BAND_COUNT], ages; /* theirs */

    brg__timer timer;
    uint64_t xtimer_at; /* when it fires; UINT64_MAX: not set. Under lock, read without */

    brg__team team; /* of thread workers that share forks; who sleeps and who searches */

    BRG__ALIGNED(64) uint32_t xfull; /* BRG__FULL...: queue_high was reached, queue_low not again yet */
    uint32_t xidle_waiters, xidle_epoch, xroom_epoch;
    uint64_t xobserved;               /* the events that somebody wants, as bits: observe.h */
    BRG__ALIGNED(64) brg_task *xfree; /* returned from outside the lock */
    uint64_t xdelivered;              /* callbacks that ran */
    brg__slot **slots; /* slot_count, made as needed, kept to the end; under the lock, as schedule.seats */
    uint32_t slot_count, slot_capacity;
};

/* ready.c */
static inline void brg__pool_lock(brg_pool *pool) { brg__lock_acquire(&pool->lock); }
void brg__pool_unlock_and_wake(brg_pool *pool);
static inline void brg__pool_unlock(brg_pool *pool) /* and wakes and asks whom the section chose */
{
    if (BRG__LIKELY((pool->wakes.count | pool->asks.count | (uint32_t)pool->has_chores) == 0))
        brg__lock_release(&pool->lock);
    else
        brg__pool_unlock_and_wake(pool);
}
/* The task is taken for a worker: out of the counts. Its item is out of the schedule already. */
brg_task *brg__task_take_locked(brg_pool *pool, brg__slot *slot); /* the next for this slot; NULL */
/* Accepted: counts it as waiting, and its bound. Then one of these: it is ready, delayed or blocked. */
void brg__pool_count_locked(brg_pool *pool, brg_task *task);
void brg__task_ready_locked(brg_pool *pool, brg_task *task);    /* into a batch or the schedule; chooses whom to wake */
void brg__task_schedule_locked(brg_pool *pool, brg_task *task); /* into the schedule, likewise; no count */
void brg__task_delay_locked(brg_pool *pool, brg_task *task, uint64_t until_ns);
void brg__task_block_locked(brg_pool *pool, brg_task *task);
void brg__task_unblock_locked(brg_pool *pool, brg_task *task); /* nothing holds it up any more: delayed, or ready */
brg_task *brg__task_leave_any_locked(brg_pool *pool);          /* one that waits, whatever for, out of it; NULL: none */
void brg__task_put_back_locked(brg_pool *pool,
                               brg_task *task); /* taken and not run: first where it was; counted again */
void brg__task_pin_locked(brg_pool *pool, brg_task *task, brg__slot *slot); /* for that slot alone; counted */
void brg__task_unwait_locked(brg_pool *pool,
                             brg_task *task); /* it leaves where it waits, whatever that is; uncounted */
void brg__pool_uncount_locked(brg_pool *pool, brg_task *task);    /* only the count and the bound */
void brg__pool_wake_slot_locked(brg_pool *pool, brg__slot *slot); /* if it is idle */
void brg__pool_wake_next_locked(brg_pool *pool);                  /* who takes and leaves something wakes the next */
void brg__slot_set_brief_locked(brg__slot *slot, bool is_brief); /* its worker took a hand of short tasks, or is back */
void brg__pool_check_brief_locked(brg_pool *pool);               /* those that are not back in time do not count */
void brg__pool_dispatch_locked(brg_pool *pool);                  /* whatever became ready: wakes or feeds who fits */
void brg__pool_ask_locked(brg_pool *pool, brg__slot *slot);      /* asks its worker to end, at the unlock */
uint64_t brg__pool_release_delayed_locked(brg_pool *pool, uint64_t now); /* when the next is due */
static inline bool brg__pool_wants_time(const brg_pool *pool) { return pool->schedule.wants_time; }

/* admission.c */
/* Tasks of users that wait; and those of them that are bounded by it. */
static inline uint64_t brg__pool_waiting_locked(const brg_pool *pool) { return pool->waiting - pool->strands_waiting; }
static inline uint64_t brg__pool_admitted_locked(const brg_pool *pool) { return pool->waiting - pool->hooked_waiting; }
static inline void brg__pool_peak_locked(brg_pool *pool) /* one more waits */
{
    uint64_t waiting = brg__pool_waiting_locked(pool);
    if (waiting > pool->waiting_peak)
        pool->waiting_peak = waiting;
}
/* Whether a task may come in; may unlock meanwhile. `may_run_here`: BRG_FULL lets the caller run it. */
brg_status brg__pool_admit_locked(brg_pool *pool, const brg_item *item, size_t bytes, bool may_run_here);
void brg__pool_room_locked(brg_pool *pool);  /* tells submitters that wait, and who listens for full and drain */
void brg__pool_level_locked(brg_pool *pool); /* looks whether it became full or drained */
void brg__pool_close_admission_locked(brg_pool *pool); /* submitters that wait find it closed */
void brg__age_add_locked(brg_pool *pool, brg_task *task);
void brg__age_remove_locked(brg_pool *pool, brg_task *task);

/* settle.c */
typedef struct brg__outcome {
    brg_status status;
    brg_value *output, *detail; /* taken */
    const brg_error *error;     /* copied */
    uint64_t worker_id;
    uint64_t run_ns;
    brg_batch *batch; /* of a carrier that ran here: the answers. The runner's */
    size_t batch_bytes_max;
} brg__outcome;
/* Ends the task: result, counters, waiters, callback. The caller owns the right to (it took it from its place).
 * `counts`: the slot's for its worker thread, without the lock; pool->settled, with `slot` NULL, under it. `task` may
 * be gone afterwards. */
void brg__task_settle(brg_task *task, const brg__outcome *outcome, brg__settled *counts, brg__slot *slot);
/* A short form without worker: queue timeouts, cancels. Lock held. */
void brg__task_settle_plain(brg_task *task, brg_status status, const char *message);
/* Wakes those who wait for an idle pool, or for its workers to end: they look again. */
void brg__pool_notify(brg_pool *pool);
/* ... if it is idle. Lock held. */
void brg__pool_check_idle_locked(brg_pool *pool);
bool brg__pool_is_idle_locked(brg_pool *pool);
brg_task *brg__task_new_locked(brg_pool *pool);
void brg__task_discard(brg_task *task); /* one that was never accepted; its input stays the caller's */
/* One reference fewer; with the last the task goes. Without a handle there is only one. `slot`: the caller is its
 * worker's thread; NULL: anywhere. */
void brg__task_drop(brg_task *task, brg__slot *slot);
void brg__pool_flush_free(brg_pool *pool, brg__slot *slot);
void brg__pool_delivered(brg_pool *pool); /* owner thread: a callback ran, of those in pool->with_done */

/* retry.c */
/* Whether the end of this attempt is worth another. */
bool brg__task_may_retry(const brg_task *task, brg_status status);
uint32_t brg__retry_class(brg_status status); /* of brg_retry_on; 0: never worth it */
/* Whether nothing of its input is gone with an earlier attempt. */
bool brg__task_can_run_again(const brg_task *task);
/* How long to wait before the attempt that follows `attempts` ones; `random`: any number, for the jitter. */
uint64_t brg__retry_delay(const brg_pool_options *options, uint32_t attempts, uint64_t random);
/* Back into the queue for another attempt, at once or after its delay. Lock held. */
void brg__task_retry_locked(brg_task *task, brg_status why, brg__settled *counts);
void brg__task_again_locked(brg_task *task); /* at once, and not counted: it was not its fault */

/* task.c */
brg_status brg__task_cancel_locked(brg_task *task);
bool brg__task_withdraw_locked(brg_task *task); /* settles it as cancelled, if nobody has started it */

/* hand.c */
void brg__hand_reclaim_locked(brg__slot *slot); /* what its worker has not started, back to the front of the queue */

/* run_thread.c */
extern const brg__source brg__source_thread;
/* Runs one started task; false when the thread was abandoned in it: touch nothing then. */
bool brg__run_one(brg_pool *pool, brg_worker *worker, brg__slot *slot, brg_context *context, brg_task *task);
bool brg__run_start(brg_task *task); /* queued to running; false when it was cancelled */

/* run_process.c */
extern const brg__source brg__source_process;
void brg__slot_feed_locked(brg__slot *slot);
void brg__slot_recall_locked(brg__slot *slot); /* unstarted tasks back to the front of the queue */
brg_task *brg__slot_head_locked(brg__slot *slot);
bool brg__slot_take_back_locked(brg__slot *slot, brg_task *task); /* unless its worker has started it */

/* supervise.c */
void brg__pool_timer_at(brg_pool *pool, uint64_t at_ns); /* no later than that; lock held */
void brg__pool_timer_fire(brg__timer *timer);
void brg__slot_ask_end_locked(brg__slot *slot, uint64_t ticket, brg_status why); /* flag now, end after grace */

/* heartbeat.c */
/* The task, with its ticket, runs in the slot now: when to look at it. Its worker's thread, or under the lock. */
uint64_t brg__heartbeat_begin(brg__slot *slot, const brg_task *task, uint64_t now);
/* Asks the task with this ticket, which runs, to end if it has been silent; when to look again. Lock held. */
uint64_t brg__heartbeat_look_locked(brg__slot *slot, uint64_t ticket, uint64_t now);
/* What is said of the task with this ticket, which was asked to end. */
const brg_error *brg__heartbeat_error(const brg__slot *slot, uint64_t ticket, brg_status status);

/* workers.c */
void brg__pool_started(void *owner, brg_worker *worker);
void brg__pool_ended(void *owner, brg_worker *worker, const brg_exit *exit);
const brg__world *brg__pool_heritage(void *owner);
void brg__pool_place(const void *slot, uint32_t *index, uint64_t *tags);
brg_status brg__pool_fill(brg_pool *pool, brg_error *error);           /* starts workers up to the target. No lock */
void brg__slot_open_locked(brg__slot *slot);                           /* it may be chosen, and gets its share */
void brg__slot_online_locked(brg__slot *slot);                         /* it may take tasks */
brg_status brg__pool_add_slots_locked(brg_pool *pool, uint32_t count); /* so many there are then, at least */

/* breaker.c */
uint64_t brg__restart_wait(const brg_pool_options *options, uint32_t failures); /* doubled for each failure before */
void brg__start_failed_locked(brg__slot *slot, const brg_error *error);         /* the slot is empty */
void brg__start_worked_locked(brg__slot *slot);
uint32_t brg__pool_given_up_locked(const brg_pool *pool); /* slots whose workers do not start, for so long */

/* recycle.c */
bool brg__slot_is_due_locked(brg__slot *slot);              /* its worker served long enough, or is not fit to go on */
void brg__slot_recycle_locked(brg__slot *slot);             /* ends it, to be replaced; between tasks */
uint64_t brg__slot_served(const brg__slot *slot);           /* attempts at tasks that its worker has ended */
uint64_t brg__slot_left_locked(const brg__slot *slot);      /* how many more it may take */
void brg__recycle_begin_locked(brg__slot *slot);            /* a new worker comes */
void brg__recycle_watch_locked(brg__slot *slot);            /* it is online */
uint64_t brg__recycle_locked(brg_pool *pool, uint64_t now); /* idle ones that are due; when to look again */
void brg__recycle_sample(brg_pool *pool, uint64_t now);     /* the memory of all. Supervisor, no lock */

/* scale.c */
void brg__slot_set_idle_locked(brg__slot *slot, bool idle);
void brg__pool_account_locked(brg_pool *pool, uint64_t now);   /* before busy or online change */
void brg__pool_hint_locked(brg_pool *pool);                    /* tasks wait and nobody is idle */
void brg__pool_watch_locked(brg_pool *pool, uint64_t now);     /* a worker is busy: looks begin again */
uint64_t brg__pool_scale_locked(brg_pool *pool, uint64_t now); /* decides, retires; when to look again */

/* The index of a worker that is not there and whose tags tasks wait for that nobody else has; UINT32_MAX: none. */
uint32_t brg__pool_missed_locked(const brg_pool *pool, uint64_t now);

bool brg__slot_must_park_locked(const brg__slot *slot); /* before it takes: more are at work than wanted */
void brg__slot_park_locked(brg__slot *slot);
void brg__slot_unpark_locked(brg__slot *slot);   /* only the mark; nothing if it is not */
void brg__slot_retire_locked(brg__slot *slot);   /* it gets nothing more and is asked to end */
brg_status brg__pool_scale_init(brg_pool *pool); /* BRG_NO_MEMORY */

/* options.c */
brg_status brg__pool_options_check(const brg_pool_options *options, brg_error *error);
void brg__pool_options_default(brg_pool_options *options);
bool brg__pool_options_are_plain(const brg_pool_options *options); /* for pool->is_plain */

/* shutdown.c */
void brg__pool_cancel_queue_locked(brg_pool *pool, brg_status status, const char *message);
void brg__pool_ref(brg_pool *pool);
void brg__pool_unref(brg_pool *pool);
void brg__pool_member_init(brg_pool *pool);
/* stats.c */
bool brg__slot_is_busy_locked(const brg__slot *slot);
void brg__pool_stats_locked(const brg_pool *pool, brg_pool_stats *stats); /* all but its size */

brg__slot *brg__pool_own_slot(
    const brg_pool *pool); /* of the pool's thread worker that the caller is; NULL: it is none */

static inline bool brg__pool_has_processes(const brg_pool *pool)
{
    return pool->options.isolation == BRG_ISOLATION_PROCESS;
}

#endif
