/* SPDX-License-Identifier: MIT */
/*
 * Shared memory, inside: what lies in front of the data, and what links call.
 *
 * A brg_shared lies on a region: a header of BRG__SHARED_HEADER_BYTES, then the data. Every process that holds it is
 * a participant with an id of its own (slot and generation), never mistaken for a later one. What a process holds is
 * marked with its id; when it dies, its link buries the id, and whoever waits for it looks again and sees that the id
 * is dead.
 *
 * Another process may write anything into the header at any time. So: indexes are bounded by constants, never by what
 * stands there; what is needed twice is copied once; loops are bounded. A hostile holder can make others wait or
 * miss a wake-up, no more.
 *
 * Waits (shared_wait.c). A table of slots, guarded by a lock whose word is its holder's id. A waiter compares and
 * queues under the lock, then sleeps on its own slot; who notifies marks the slots with the smallest tickets. The
 * table is scanned, not linked: whatever a holder had half done when it died, the next one repairs by one scan.
 * xwaiters lets notify return without the lock while nobody waits: the waiter raises it before it compares, the
 * notifier reads it after it stored (Dekker's argument), with full fences between.
 *
 * Asynchronous waits (shared_async.c) have slots in the same table. Who notifies rings the participant's bell; a
 * helper thread of the process, started when such a wait could end from outside or by its deadline, then completes
 * them.
 *
 * Memory. A touch of a page that is not there may fail where memory is counted strictly, so it is reserved before: the
 * data when it grows, the participants at the start, the tables when they are first used, slots by the page.
 *
 * Locks: a thread takes async_lock before the table's lock, never the other way round.
 */
#ifndef BRG_MESSAGE_SHARED_H
#define BRG_MESSAGE_SHARED_H

#include <brigade/shared.h>
#include <brigade/token.h>

#include "base/list.h"
#include "base/util.h"
#include "message/region.h"
#include "os/lock.h"
#include "os/thread.h"

#define BRG__SHARED_MAGIC 0x44524853u
#define BRG__SHARED_VERSION 1u
#define BRG__SHARED_PARTICIPANTS 1024u
#define BRG__SHARED_SLEEPERS 1024u
/* Enough for any page size in use. */
#define BRG__SHARED_HEADER_BYTES ((size_t)128 * 1024)

/* Ids: a slot of the table, and how often it was used. 30 bits, never 0. */
#define BRG__PARTICIPANT_SLOT_BITS 10
#define BRG__PARTICIPANT_GENERATION_MAX 0xfffffu
#define BRG__PARTICIPANT_MASK 0x3fffffffu

typedef struct brg__shared_participant {
    uint32_t xword; /* generation << 2 | state */
    uint32_t xbell; /* futex: one of its asynchronous waits is over */
} brg__shared_participant;

/* Who sleeps on a bell of sync.h: bury rings them all. */
typedef struct brg__shared_sleeper {
    uint32_t xparticipant; /* 0: free */
    uint32_t xcounted;     /* it is in the bell's xsleepers */
    uint64_t xoffset;      /* of the bell, in the data */
} brg__shared_sleeper;

enum { BRG__SLOT_FREE, BRG__SLOT_WAITING, BRG__SLOT_SLEEPING, BRG__SLOT_NOTIFIED };

typedef struct brg__shared_slot {
    BRG__ALIGNED(64)
    uint32_t xstate; /* futex. Changed under the lock, but WAITING to SLEEPING and NOTIFIED to FREE by its owner */
    uint32_t xparticipant;
    uint32_t xasync;
    uint64_t xoffset;
    uint64_t xticket;
} brg__shared_slot;

typedef struct brg__shared_header {
    uint32_t magic;
    uint32_t version;
    uint64_t size_max;
    BRG__ALIGNED(64) uint64_t xsize;
    uint32_t xslept;                 /* the table of sleepers was used */
    BRG__ALIGNED(64) uint32_t xlock; /* id of the holder, and whether others sleep for it */
    uint32_t xwaiters;               /* slots WAITING and SLEEPING; may be too high for a moment */
    uint32_t xhigh;                  /* slots from here on are free */
    uint64_t xticket;                /* the next one */
    BRG__ALIGNED(4096) brg__shared_participant participants[BRG__SHARED_PARTICIPANTS];
    BRG__ALIGNED(4096) brg__shared_sleeper sleepers[BRG__SHARED_SLEEPERS];
    BRG__ALIGNED(4096) brg__shared_slot slots[BRG_SHARED_WAITERS_MAX];
} brg__shared_header;

_Static_assert(sizeof(brg__shared_header) <= BRG__SHARED_HEADER_BYTES, "the header has room in front of the data");

struct brg_shared {
    uint32_t xrefs;
    uint32_t participant; /* this process, as this handle; never 0 */
    uint32_t generation;  /* brg__fork_generation */
    size_t size_max;      /* checked; the header's is not looked at again */
    brg__region *region;
    brg__shared_header *header;
    unsigned char *data;
    uint32_t slots_reserved; /* have memory behind them, as far as we know; under the table's lock */

    brg__lock async_lock;
    brg__list waits; /* asynchronous ones that are not over, by ticket */
    bool is_lent;    /* of another process, which buries us: several of us may have one participant */
    bool has_others; /* other processes had or have it; under async_lock, set before they can */
    bool has_helper;
    bool frees_itself; /* the last reference went on the helper */
    uint32_t helper_id;
    uint32_t xstop;
    brg__thread helper;
};

/* ---- what links call --------------------------------------------------------------------------------------- */

/* The region it lies on, borrowed. */
brg__region *brg__shared_region(brg_shared *shared);

/*
 * An id for another process that is about to be handed the region. BRG_FULL; BRG_SYSTEM, BRG_NO_MEMORY (no thread).
 * Any thread.
 */
brg_status brg__shared_join(brg_shared *shared, uint32_t *participant);

/*
 * What another process handed over, with the id it allocated for this one: uses the region (one more user).
 * BRG_MALFORMED where it is no shared memory or the id is not alive; BRG_NO_MEMORY. The content is not trusted. All
 * handles of one process have its id: it lives until the process that gave it buries it.
 */
brg_status brg__shared_from_region(brg_shared **out, brg__region *region, uint32_t participant, brg_error *error);

/* That process is dead, or never got it: wakes who waits for it and frees what it held. Idempotent. Any thread. */
void brg__shared_bury(brg_shared *shared, uint32_t participant);

bool brg__shared_is_alive(const brg_shared *shared, uint32_t participant);

/*
 * A token is a shared memory of its own: borrowed from it; and made of it, taking one reference on success.
 * BRG_MALFORMED where t is too small.
 */
brg_shared *brg__token_shared(brg_token *token);
brg_status brg__token_from_shared(brg_token **out, brg_shared *shared, brg_error *error);

/*
 * As brg_token_on_cancel, but `cancelled` and `release` run at once on whichever thread cancels or ends the watch
 * (also inside this call, if it is cancelled already), with no lock of ours held; end it with
 * brg_token_watch_destroy.
 */
brg_status brg__token_watch(brg_token *token, void (*cancelled)(void *user_data), void (*release)(void *user_data),
                            void *user_data, brg_token_watch **out, brg_error *error);

/* ---- between the files of this part ------------------------------------------------------------------------ */

static inline bool brg__shared_is_forked(const brg_shared *shared)
{
    return BRG__UNLIKELY(shared->generation != brg__fork_generation());
}

/* BRG_OK where bytes [offset, offset + width) are inside and aligned to `alignment`. */
brg_status brg__shared_check(const brg_shared *shared, size_t offset, size_t width, size_t alignment);

typedef struct brg__wait_key {
    size_t offset;
    size_t width; /* 4 or 8 */
    uint64_t expected;
} brg__wait_key;

/* Puts memory behind a part of the header. BRG_NO_MEMORY, BRG_SYSTEM. */
brg_status brg__shared_reserve(brg_shared *shared, size_t offset, size_t size, brg_error *error);

/* The lock of the table of waits. */
void brg__shared_lock(brg_shared *shared);
void brg__shared_unlock(brg_shared *shared);

/* Compares and queues. BRG_NOT_EQUAL, BRG_FULL, BRG_RANGE, BRG_INVALID, BRG_FORKED. */
brg_status brg__shared_enqueue(brg_shared *shared, const brg__wait_key *key, bool async, uint32_t *index);
/* Whether the slot's wait is over; true frees it. With `leave`, one that is not leaves the queue and false is given. */
bool brg__shared_dequeue_locked(brg_shared *shared, uint32_t index, bool leave);
/* After a death: frees the slots of the dead; and wakes again whoever a dead notifier may have forgotten. */
void brg__shared_repair_locked(brg_shared *shared);
void brg__shared_rewake(brg_shared *shared);

/* Wakes the sleepers of every bell, and forgets the dead ones. In sync_wait.c. */
void brg__shared_ring_all(brg_shared *shared);

/* Completes the asynchronous waits of this process that are over. */
void brg__shared_async_collect(brg_shared *shared);
/* Other processes will have it. */
brg_status brg__shared_async_open(brg_shared *shared, brg_error *error);
/* Ends the helper; false when the caller is the helper: it then frees the shared itself. */
bool brg__shared_async_close(brg_shared *shared);
void brg__shared_free(brg_shared *shared);

/*
 * Without a loop `done` runs wherever the wait ends, no lock held; `at_once`: what is BRG_NOT_EQUAL is done with
 * that.
 */
brg_status brg__shared_wait_begin(brg_shared *shared, const brg__wait_key *key, const brg_shared_wait_options *options,
                                  bool at_once, brg_shared_wait **out, brg_error *error);

#endif
