/* SPDX-License-Identifier: MIT */
/*
 * The hand of a thread worker: tasks it has taken and starts one by one, without the lock. run_thread.c has the notes.
 */
#ifndef BRG_POOL_HAND_H
#define BRG_POOL_HAND_H

#include "pool/pool.h"

static inline uint64_t brg__hand_pack(uint64_t epoch, uint32_t next, uint32_t end)
{
    return epoch << 32 | (uint64_t)next << 16 | end;
}
static inline uint32_t brg__hand_next(uint64_t hand) { return (uint32_t)(hand >> 16) & 0xffff; }
static inline uint32_t brg__hand_end(uint64_t hand) { return (uint32_t)hand & 0xffff; }

/*
 * The worker's thread: the next task of its hand, or NULL. It shows as running before it leaves the hand: who finds it
 * neither in the hand nor to be claimed sees whom to ask, so that no cancel is lost on the way. Nothing of the task is
 * touched before, since another may take it back.
 */
static inline brg_task *brg__hand_pop(brg__slot *slot)
{
    uint64_t hand = brg_load_acquire(&slot->xhand), ticket = ++slot->tickets;
    for (;;) {
        uint32_t next = brg__hand_next(hand);
        if (next == brg__hand_end(hand)) {
            brg_store_release(&slot->xticket, (uint64_t)0);
            return NULL;
        }
        brg_task *task = brg_load_relaxed(&slot->xhand_tasks[next]);
        brg_store_relaxed(&slot->xdeadline, UINT64_MAX);
        brg_store_relaxed(&slot->xrunning, task);
        brg_store_release(&slot->xticket, ticket); /* pairs with the looks of task.c, shutdown.c and supervise.c */
        if (brg_cas_acq_rel(&slot->xhand, &hand, brg__hand_pack(hand >> 32, next + 1, brg__hand_end(hand))))
            return task;
    }
}

/* Lock held, on the worker's thread: its hand is empty and gets `count` tasks, or fewer: one that may expire does not
 * wait there. */
uint32_t brg__hand_fill_locked(brg_pool *pool, brg__slot *slot, uint32_t count);
/* What its worker has not started, back to the front of the queue; but one stays if it runs nothing: it is about to. */
void brg__hand_reclaim_rest_locked(brg__slot *slot);

#endif
