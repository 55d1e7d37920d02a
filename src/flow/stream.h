/* SPDX-License-Identifier: MIT */
/*
 * Streams from the inside.
 *
 * Life of an item: taken from the source or pushed (stream_in.c) -> waits before stage 0 -> submitted to its pool ->
 * settles: brg__stream_settled, on whatever thread settles it -> waits before stage 1, or, if there is no room, in stage
 * 0, whose share it keeps (blocked) -> ... -> out: waits for the consumer, ordered in a ring by index, else in a list ->
 * delivered or dropped (stream_out.c) -> its memory is used again. Everything that moves items between stages is in
 * stream_flow.c; stream_end.c cancels, stream.c makes and destroys streams.
 *
 * Bounds, and why nothing hangs: an item in flight has one of `capacity` places, taken by the source only. The last
 * stage's items always find room: the ring and the list are as large as all that may be in flight. So each item of the
 * last stage leaves it; then one before it finds room there; and so on to the first: by induction every stage goes on,
 * and with it the oldest item, which an ordered stream waits for. Only the consumer can hold it up, which is the point.
 *
 * One lock, BRG__RANK_FLOW: nothing is called under it. A section notes what there is to do and brg__stream_unlock does
 * it: submits, wakes, posts, cancels. Items are claimed under the lock, so any number of threads may be doing that.
 *
 * Who frees: the struct is counted: the user, a posted completion, the token's watch and its cancel on the way. What it
 * holds goes in destroy, which waits until none of its tasks is left (`submitted`) and no hook is on its way out
 * (`xbusy`). A hook whose section noted nothing does not touch the stream after the unlock; others count as busy.
 */
#ifndef BRG_FLOW_STREAM_H
#define BRG_FLOW_STREAM_H

#include <brigade/stream.h>

#include "base/list.h"
#include "base/util.h"
#include "loop/loop.h"
#include "os/atomic.h"
#include "os/lock.h"
#include "os/waiter.h"
#include "pool/hooked.h"

#define BRG__STREAM_SHARE_MAX 256u /* of a stage whose share is measured */
#define BRG__STREAM_LIMIT_MIN 64u  /* in flight, where that is not given: else one slow item holds up too few others */
#define BRG__STREAM_CAPACITY_MAX 1048576u /* items in flight */
#define BRG__STREAM_DESTROYED 0x80000000u /* in xbusy: who leaves last wakes */

typedef enum brg__stream_place {
    BRG__STREAM_FREE = 0,
    BRG__STREAM_QUEUED,    /* before its stage */
    BRG__STREAM_SUBMITTED, /* or about to be */
    BRG__STREAM_BLOCKED,   /* done in its stage, no room before the next */
    BRG__STREAM_OUT        /* for the consumer, or with it */
} brg__stream_place;

typedef struct brg__stream_node {
    struct brg__stream_node *next;
    brg_stream *stream;
    uint64_t index;
    size_t bytes; /* of its value, or of the input that its task has */
    void *tag;
    brg_value *value; /* input of its stage, then output, or detail of its failure; the task's while it is submitted */
    brg_task *xtask;  /* of a submitted one, once the pool has it */
    brg_error *error; /* of a failed one; NULL: no memory for more than its status */
    brg_status status;
    uint32_t attempts;
    uint16_t stage;
    uint8_t place;  /* brg__stream_place */
    bool is_doomed; /* the stream ended before it */
} brg__stream_node;

typedef struct brg__stream_list {
    brg__stream_node *first, *last;
    uint32_t count;
} brg__stream_list;

typedef struct brg__stream_stage {
    brg__hooked hooked;
    uint32_t running_max, queue_max; /* as given; 0: measured */
    uint32_t share;                  /* how many may be submitted or blocked now */
    uint32_t running;                /* submitted */
    brg__stream_list queue, blocked;
    uint64_t done, failed, retried;
    uint32_t queued_peak, running_peak;
    uint64_t since_ns; /* what its share is measured by */
    uint32_t since_count;
} brg__stream_stage;

/* A thread that waits in a push. */
typedef struct brg__stream_pusher {
    brg__node node;
    brg__waiter *waiter;
    uint32_t xgo; /* there was room, or an end: it looks again */
} brg__stream_pusher;

struct brg_stream {
    brg_stream_options options;
    uint32_t generation;
    uint32_t xreferences;
    uint32_t xbusy; /* hooks and cancels that act outside the lock */
    brg__lock lock;

    uint32_t capacity;
    uint32_t limit;   /* of items in flight */
    bool is_measured; /* in_flight_max was not given: the limit follows the shares */
    brg__stream_node *nodes;
    uint32_t nodes_used;
    brg__stream_node *free;
    brg__stream_node **ring; /* ordered: what is out, by index % capacity */
    brg__stream_list out;    /* unordered */
    uint64_t next_index;     /* ordered: the one the consumer waits for */

    bool is_closed;    /* nothing comes from the source any more */
    bool is_empty;     /* the source has nothing until it wakes us */
    bool is_pulling;   /* it is being asked */
    bool woke;         /* it woke us meanwhile */
    bool is_stopped;   /* what came after the end's cause is dropped */
    bool is_cancelled; /* all is */
    bool needs_sweep;  /* for the unlock: there is something to cancel */
    bool needs_cancel; /* likewise, but only tasks that were on their way to their pool meanwhile */
    bool is_destroying;
    brg_status end_status; /* why it ends, or BRG_OK */
    brg_error end_error;
    uint64_t end_index; /* ... before this item */
    uint32_t xsweeps;   /* changes before each look for tasks to cancel */
    uint32_t submitted; /* in all stages, those about to be included */

    brg__waiter *consumer; /* waits in next */
    uint32_t xsignal;      /* changes when it should look */
    bool has_destroyer;    /* waits, at xsignal, for submitted to be 0 */
    brg__list pushers;

    /* With a loop. Owner thread but for those under the lock */
    brg__completion turn;
    bool is_held;      /* the loop runs because of us */
    bool in_turn;      /* under the lock */
    bool is_posted;    /* likewise */
    bool is_paused;    /* likewise */
    bool owes_room;    /* likewise: a push found it full, on_room is to follow */
    bool has_told_end; /* likewise */

    brg__stream_node *held; /* next: what the consumer looks at */
    brg_token_watch *watch;
    brg__later later;
    uint64_t taken, delivered, failed, skipped, dropped;
    uint32_t in_flight, in_flight_peak;
    uint64_t bytes, bytes_peak; /* of those in flight */

    uint32_t stage_count;
    brg__stream_stage stages[];
};

/* ---- stream_flow.c ----------------------------------------------------------------------------------------------- */

static inline void brg__stream_lock(brg_stream *stream) { brg__lock_acquire(&stream->lock); }
/* Ends every section in which something may have moved: does what there is to do. Callers from a hook, or any thread
 * that is not inside a call of the stream's user, say so: the stream may be gone then when this returns. */
void brg__stream_unlock(brg_stream *stream, bool is_hook);
/* A hook: the task of an item settled. */
void brg__stream_settled(brg_task *task, void *user_data);
/* A new item enters; there is room. */
void brg__stream_enter_locked(brg_stream *stream, brg_value *value, size_t bytes, void *tag);
/* So much room that it is worth waking a source for it. */
bool brg__stream_wants_locked(const brg_stream *stream);
/* The same for those who push: any room, when no item moves and makes more of it: the consumer may come after them. */
bool brg__stream_wants_push_locked(const brg_stream *stream);
/* How many items may enter now. */
uint32_t brg__stream_room_locked(const brg_stream *stream);
/* The item waits for the consumer. */
void brg__stream_out_locked(brg_stream *stream, brg__stream_node *node);

/* ---- stream_end.c ------------------------------------------------------------------------------------------------ */

/* Ordered: whether the end came before it. Unordered: whether an item that comes out now does. */
bool brg__stream_is_past_end_locked(const brg_stream *stream, const brg__stream_node *node);
/* It ends, before item `index`, if no reason came before; `error` may be NULL. */
void brg__stream_set_end_locked(brg_stream *stream, uint64_t index, brg_status status, const brg_error *error);
void brg__stream_cancel_all(brg_stream *stream, bool is_hook);
void brg__stream_cancel_all_locked(brg_stream *stream);
/* All that does not run and is past the end goes out. Its tasks are cancelled after the unlock. */
void brg__stream_sweep_locked(brg_stream *stream);
void brg__stream_cancel_tasks(brg_stream *stream);

/* ---- stream_in.c ------------------------------------------------------------------------------------------------- */

/* Asks the source for as much as there is room for. Lock held, released meanwhile. The consumer's thread. */
void brg__stream_pull_locked(brg_stream *stream);
bool brg__stream_may_pull_locked(const brg_stream *stream);

/* ---- stream_out.c ------------------------------------------------------------------------------------------------ */

bool brg__stream_has_ended_locked(const brg_stream *stream); /* and nothing is left of it */
bool brg__stream_is_ready_locked(const brg_stream *stream);  /* something is there for the consumer */
bool brg__stream_needs_turn_locked(const brg_stream *stream);
void brg__stream_turn(brg__completion *completion);
/* Frees what an item holds, dropped or not; its node is to be given back. Consumer's thread, no lock. */
void brg__stream_dispose(brg_stream *stream, brg__stream_node *node, bool dropped);
/* What is out and next for the consumer, taken out; NULL: nothing. *delivers: it gets it; else it is to be dropped. */
brg__stream_node *brg__stream_pop_locked(brg_stream *stream, bool *delivers);
void brg__stream_give_back_locked(brg_stream *stream, brg__stream_node *node);

/* ---- stream.c ---------------------------------------------------------------------------------------------------- */

void brg__stream_unref(brg_stream *stream);
/* Whether the caller is a task of one of its pools: it must not wait. */
bool brg__stream_is_own_task(const brg_stream *stream);

static inline void brg__stream_push_node(brg__stream_list *list, brg__stream_node *node)
{
    node->next = NULL;
    if (list->first == NULL)
        list->first = node;
    else
        list->last->next = node;
    list->last = node;
    list->count++;
}

static inline brg__stream_node *brg__stream_pop_node(brg__stream_list *list)
{
    brg__stream_node *node = list->first;
    if (node != NULL) {
        list->first = node->next;
        list->count--;
    }
    return node;
}

static inline size_t brg__stream_bytes(const brg_value *value)
{
    return value == NULL ? 0 : brg_value_size_with_buffers(value);
}

static inline uint32_t brg__stream_queue_max(const brg__stream_stage *stage)
{
    return stage->queue_max != 0 ? stage->queue_max : stage->share;
}

#endif
