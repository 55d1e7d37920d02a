/* SPDX-License-Identifier: MIT */
/*
 * A double-ended queue of pointers: its owner pushes and pops at the bottom, thieves take from the top. Bounded: push
 * says when it is full. Zeroed memory is an empty one.
 *
 * Chase, Lev, "Dynamic circular work-stealing deque" (2005), without the growing. Where Lê, Pop, Cohen, Zappa Nardelli,
 * "Correct and efficient work-stealing for weak memory models" (2013), put fences, the accesses themselves are
 * sequentially consistent: an exchange costs x86 what the fence does, and the thread sanitizer understands it. What
 * must not happen is that the owner pops the last item without seeing that a thief takes it, while the thief does not
 * see that the owner pops: each writes one index (pop: xbottom; the thief has read xtop) and then reads the other's.
 *
 * Only indices and slots are touched before an item is won; so an item's memory may go as soon as it was won and used.
 * A slot is written again only once xtop has passed it, and then the exchange of a thief that still reads it fails.
 */
#ifndef BRG_POOL_DEQUE_H
#define BRG_POOL_DEQUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "os/atomic.h"

#define BRG__DEQUE_SIZE 1024 /* a power of two */

typedef struct brg__deque {
    BRG__ALIGNED(64) int64_t xtop; /* counts for ever, as xbottom does */
    BRG__ALIGNED(64) int64_t xbottom;
    int64_t top_seen; /* the owner's: xtop, some time ago; most pushes need not read what thieves write */
    BRG__ALIGNED(64) void *xslots[BRG__DEQUE_SIZE];
} brg__deque;

/* Owner. False: full. What it wrote before is seen by who takes the item. */
static inline bool brg__deque_push(brg__deque *deque, void *item)
{
    int64_t bottom = brg_load_relaxed(&deque->xbottom);
    if (BRG__UNLIKELY(bottom - deque->top_seen >= BRG__DEQUE_SIZE)) {
        deque->top_seen = brg_load_acquire(&deque->xtop);
        if (bottom - deque->top_seen >= BRG__DEQUE_SIZE)
            return false;
    }
    brg_store_relaxed(&deque->xslots[bottom & (BRG__DEQUE_SIZE - 1)], item);
    brg_store_release(&deque->xbottom, bottom + 1); /* pairs with brg__deque_steal */
    return true;
}

/* Owner: the newest; NULL: empty. */
static inline void *brg__deque_pop(brg__deque *deque)
{
    int64_t bottom = brg_load_relaxed(&deque->xbottom) - 1;
    (void)brg_exchange_seq_cst(&deque->xbottom, bottom);
    int64_t top = brg_load_seq_cst(&deque->xtop);
    if (BRG__LIKELY(top < bottom))
        return brg_load_relaxed(&deque->xslots[bottom & (BRG__DEQUE_SIZE - 1)]);
    void *item = NULL;
    if (top == bottom) { /* the last: thieves may want it too */
        item = brg_load_relaxed(&deque->xslots[bottom & (BRG__DEQUE_SIZE - 1)]);
        if (!brg_cas_seq_cst(&deque->xtop, &top, top + 1))
            item = NULL;
    }
    brg_store_release(&deque->xbottom, bottom + 1); /* a thief that reads this one sees earlier pushes too */
    return item;
}

/* Any thread: the oldest; NULL: empty. */
static inline void *brg__deque_steal(brg__deque *deque)
{
    int64_t top = brg_load_seq_cst(&deque->xtop);
    while (top < brg_load_seq_cst(&deque->xbottom)) {
        void *item = brg_load_relaxed(&deque->xslots[top & (BRG__DEQUE_SIZE - 1)]);
        if (brg_cas_seq_cst(&deque->xtop, &top, top + 1))
            return item;
    }
    return NULL;
}

/* Any thread: how many there are, about. */
static inline int64_t brg__deque_count(const brg__deque *deque)
{
    int64_t top = brg_load_relaxed(&deque->xtop);
    int64_t bottom = brg_load_relaxed(&deque->xbottom);
    return bottom > top ? bottom - top : 0;
}

#endif
