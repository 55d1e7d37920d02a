/* SPDX-License-Identifier: MIT */
/* Hands are filled, and emptied by others. run_thread.c has the notes. */
#include "pool/hand.h"

/* Whether it must be watched while it waits: nobody watches hands. */
static bool hand_refuses(const brg_task *task)
{
    return brg__task_is(task, BRG__TASK_CLOCK) && (task->start_by_ns != UINT64_MAX || task->deadline_ns != UINT64_MAX);
}

uint32_t brg__hand_fill_locked(brg_pool *pool, brg__slot *slot, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        brg_task *task = brg__task_take_locked(pool, slot);
        if (task == NULL || BRG__UNLIKELY(i != 0 && hand_refuses(task))) {
            if (task != NULL)
                brg__task_put_back_locked(pool, task);
            count = i;
            break;
        }
        brg_store_relaxed(&task->place, (uint8_t)BRG__PLACE_HAND);
        task->slot = slot;
        brg_store_relaxed(&slot->xhand_tasks[i], task);
        if (BRG__UNLIKELY(brg__task_is(task, BRG__TASK_INTERNAL)))
            count = i + 1; /* whether it gets more depends on how this one ends */
    }
    uint64_t epoch = (brg_load_relaxed(&slot->xhand) >> 32) + 1;
    uint64_t hand = brg__hand_pack(epoch & 0xffffffffu, 0, count);
    brg_store_release(&slot->xhand, hand); /* pairs with brg__hand_pop and reclaim */
    brg__seat_hold(&slot->seat, count);
    return count;
}

static void hand_reclaim_locked(brg__slot *slot, bool spares_idle)
{
    uint64_t hand = brg_load_acquire(&slot->xhand);
    brg_task *tasks[BRG__HAND_MAX];
    uint32_t first, end;
    do {
        /* The hand is read first: when its worker pops the one that is kept, and runs, the swap fails. */
        bool keeps = spares_idle && brg_load_acquire(&slot->xticket) == 0;
        end = brg__hand_end(hand);
        first = (uint32_t)brg__min(brg__hand_next(hand) + keeps, end);
        for (uint32_t i = first; i < end; i++)
            tasks[i] = brg_load_relaxed(&slot->xhand_tasks[i]);
    } while (first < end &&
             !brg_cas_acq_rel(&slot->xhand, &hand, brg__hand_pack(hand >> 32, brg__hand_next(hand), first)));
    for (uint32_t i = end; i > first; i--) { /* back to front, so that their order stays */
        brg_task *task = tasks[i - 1];
        if ((brg_load_acquire(&task->xstate) & BRG__TASK_STATE_MASK) != BRG_TASK_QUEUED)
            brg__task_drop(task, NULL); /* cancelled: the hand's reference */
        else
            brg__task_put_back_locked(slot->pool, task);
    }
}

void brg__hand_reclaim_locked(brg__slot *slot) { hand_reclaim_locked(slot, false); }
void brg__hand_reclaim_rest_locked(brg__slot *slot) { hand_reclaim_locked(slot, true); }
