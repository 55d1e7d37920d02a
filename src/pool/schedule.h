/* SPDX-License-Identifier: MIT */
/*
 * The scheduler of a pool: queues, seats, and the two decisions, where a task waits and which one a worker takes. It
 * knows no threads and no clock: the pool calls it under its lock, and the simulator calls the same code with a time of
 * its own.
 *
 * A seat is the place of one worker. Tasks wait in the shared queue, from which any worker takes (pull), or in the
 * queue of the seat that the placement chose. Tasks pinned to a seat go before both. The shared queue has a lane for
 * each set of tags that tasks ask for; a worker takes from the lanes it fits, the most urgent by rank first, among
 * equals the most demanding, whose tasks have fewer workers to go to.
 *
 * item.reserved_1 is its lane; item.reserved_2 its home: a seat's index, or BRG_SEAT_ANY for the shared queue.
 */
#ifndef BRG_POOL_SCHEDULE_H
#define BRG_POOL_SCHEDULE_H

#include <brigade/policy.h>

#include "base/list.h"
#include "pool/queue.h"

#define BRG__LANES_MAX 16 /* different sets of tags */
#define BRG__LANE_PINNED 0xff
#define BRG__STEAL_MAX 64     /* items taken from another's queue at once */
#define BRG__SHARE_LOOK 64    /* items of one queue looked at for a share; with tags they may not fit */
#define BRG__SHARE_SEATS 16   /* queues looked at beside the longest, where that has none that fits */
#define BRG__SHARE_KEYS 65536 /* items looked at where they go by key */

typedef struct brg__lane {
    void *state; /* the queue policy's */
    uint32_t count;
    uint64_t needs;
} brg__lane;

typedef struct brg__seat {
    brg_seat seen;  /* as policies see it */
    void *state;    /* its queue; NULL where the placement assigns nothing */
    uint32_t count; /* in its queue */
    uint32_t held;  /* taken and not finished, set by the caller */
    uint32_t pinned_count;
    uint32_t due;    /* how many it may still take from others' queues, since it came: share.c */
    uint32_t xready; /* pinned_count + count; read without the lock */
    brg__list pinned;
    brg__node idle_node;
} brg__seat;

/* What putting and taking a plain task touches comes first: it travels between those who submit and the workers. */
typedef struct brg__schedule {
    uint32_t xshared;   /* items in the shared queue; read without the lock, as are xlane_count and xready */
    uint32_t xready;    /* items in all queues */
    uint32_t xassigned; /* items in the queues of seats */
    uint32_t turns;     /* of takes, so that no queue waits for ever behind another */
    const brg_queue_policy *queue;
    uint32_t xlane_count;
    bool assigns, steals, wants_time; /* as the policies say */
    brg__lane lanes[BRG__LANES_MAX];
    const brg_pool_options *options;
    const brg_placement_policy *placement;
    void *placement_state;
    brg_seat **seats; /* by index; the caller's array */
    uint32_t seat_count, usable_count;
    brg__list idle; /* seats that wait for work, the latest first (idle_node) */
    uint64_t stolen;
} brg__schedule;

/* `options` with defaults filled in; borrowed. Errors: BRG_NO_MEMORY. done: all queues are empty. */
brg_status brg__schedule_init(brg__schedule *schedule, const brg_pool_options *options);
void brg__schedule_done(brg__schedule *schedule);
/* Tells the policies that options changed. */
void brg__schedule_tune(brg__schedule *schedule);

/* A seat, unusable at first. The caller keeps `schedule->seats` and seat_count. */
brg_status brg__seat_init(brg__schedule *schedule, brg__seat *seat, uint32_t index, uint64_t tags);
void brg__seat_done(brg__schedule *schedule, brg__seat *seat);
/* It may be chosen, and gets its share of what waits for others: share.c. */
void brg__seat_open(brg__schedule *schedule, brg__seat *seat, uint64_t now_ns);
/* It may not; what waits in its queue is placed anew, pinned items stay. */
void brg__seat_close(brg__schedule *schedule, brg__seat *seat, uint64_t now_ns);
void brg__seat_set_idle(brg__schedule *schedule, brg__seat *seat, bool idle);
void brg__seat_hold(brg__seat *seat, uint32_t held);

/* The lane for tasks that need these tags: made if new. -1: no memory; -2: there are BRG__LANES_MAX. */
int brg__schedule_lane(brg__schedule *schedule, uint64_t needs);

/* A new item into `lane`; `from`: the index of the seat whose worker submits. Its seat, or NULL: the shared queue. */
brg__seat *brg__schedule_put(brg__schedule *schedule, brg_item *item, int lane, uint32_t from, uint64_t now_ns);
/* It was taken and has not run: back to the front of where it was, if that seat is still usable. */
brg__seat *brg__schedule_put_back(brg__schedule *schedule, brg_item *item);
/* For that seat alone, before all else. */
void brg__schedule_pin(brg__schedule *schedule, brg__seat *seat, brg_item *item);
/* The same before another pinned one, given by its link; or the list's head: behind all. */
void brg__schedule_pin_before(brg__schedule *schedule, brg__seat *seat, brg_item *item, brg__node *next);
/* An item that waits leaves. */
void brg__schedule_remove(brg__schedule *schedule, brg_item *item);

/* The next item for the worker in `seat`: pinned, its own, the shared, a stolen one. NULL: none. */
brg_item *brg__schedule_take(brg__schedule *schedule, brg__seat *seat, uint64_t now_ns);
/* The next item for anybody, whatever the tags and pins: to empty the queues. */
brg_item *brg__schedule_take_any(brg__schedule *schedule);
/* Whether take would return one. */
bool brg__schedule_has_work(const brg__schedule *schedule, const brg__seat *seat);
/* Whether items wait that ask for some of these tags and fit no usable seat but `except` (may be NULL). */
bool brg__schedule_misses(const brg__schedule *schedule, uint64_t tags, const brg__seat *except);
/* How many items a worker may take at once without leaving others without, at most `wanted`. */
uint32_t brg__schedule_portion(const brg__schedule *schedule, const brg__seat *seat, uint32_t wanted);

/* An idle seat to wake because the shared queue has work, or some that may be stolen: the latest to fall idle, whose
 * caches are warm while the others can stay asleep (folly's LifoSem). NULL: none that fits. */
brg__seat *brg__schedule_idle_for(const brg__schedule *schedule);

/* share.c: what a seat gets that came when others had a backlog. begin: it was opened; take: it has nothing to do. */
void brg__share_begin(brg__schedule *schedule, brg__seat *seat, uint64_t now_ns);
brg_item *brg__share_take(brg__schedule *schedule, brg__seat *seat, uint64_t now_ns);

/* For share.c: the parts of put and take. A seat's or, with NULL, a lane's queue. */
typedef void (*brg__push_fn)(void *state, brg_item *item);
void brg__schedule_push(brg__schedule *schedule, brg__seat *seat, brg_item *item, brg__push_fn push);
brg_item *brg__schedule_pop(brg__schedule *schedule, brg__seat *seat, brg__lane *lane, uint64_t now_ns);
brg__seat *brg__schedule_choose(brg__schedule *schedule, const brg_item *item);
brg__seat *brg__schedule_longest(const brg__schedule *schedule, const brg__seat *except); /* NULL: all are empty */

static inline brg__seat *brg__seat_of(brg_seat *seen) { return brg__container_of(seen, brg__seat, seen); }

#endif
