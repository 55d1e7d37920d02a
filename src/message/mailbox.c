/* SPDX-License-Identifier: MIT */
/*
 * Design notes: the lock guards everything; xcount and xclosed are stored atomically so that a receiver on its way
 * to sleep can look without it. No wake-up is a system call under the lock.
 *
 * A sender that waits reads xroom under the lock and sleeps on that value, so that room made after it let go of the
 * lock is not missed. A pop that finds senders waiting bumps xroom and wakes one, unless one was woken that has not
 * looked yet: while that one is on its way many values may be popped, for one system call. A sender that looks has
 * answered the call, woken or not, and what room it leaves to the others it wakes the next one for. Senders that time
 * out look once more too.
 *
 * The gate pointer is read before the lock is let go: by then the receiver may be at the value, and the mailbox
 * gone.
 */
#include "message/mailbox.h"

#include <assert.h>
#include <string.h>

#include "base/util.h"
#include "os/atomic.h"
#include "os/futex.h"
#include "os/memory.h"

#define MAILBOX_SLOTS_MIN 16u

brg_status brg__mailbox_init(brg__mailbox *mailbox, uint32_t capacity, brg__gate *receiver, brg_error *error)
{
    assert(capacity > 0);
    brg_value **slots = brg__malloc(MAILBOX_SLOTS_MIN * sizeof(*slots));
    if (slots == NULL)
        return brg__error_memory(error, "mailbox");
    *mailbox = (brg__mailbox){
        .slots = slots, .slots_count = MAILBOX_SLOTS_MIN, .capacity = capacity, .receiver = receiver};
    brg__lock_init(&mailbox->lock, BRG__RANK_CHANNEL, "mailbox");
    return BRG_OK;
}

static brg_value *mailbox_take_first_locked(brg__mailbox *mailbox)
{
    brg_value *value = mailbox->slots[mailbox->first];
    mailbox->first = (mailbox->first + 1) & (mailbox->slots_count - 1);
    brg_store_relaxed(&mailbox->xcount, mailbox->xcount - 1);
    return value;
}

void brg__mailbox_done(brg__mailbox *mailbox)
{
    if (mailbox == NULL)
        return;
    assert(mailbox->senders_waiting == 0);
    while (mailbox->xcount > 0)
        brg_value_unref(mailbox_take_first_locked(mailbox));
    brg__mfree(mailbox->slots);
    mailbox->slots = NULL;
}

static brg_status mailbox_grow_locked(brg__mailbox *mailbox)
{
    uint32_t count = mailbox->slots_count, to_end = count - mailbox->first;
    if (count > UINT32_MAX / 2)
        return BRG_NO_MEMORY;
    brg_value **slots = brg__malloc(2 * (size_t)count * sizeof(*slots));
    if (slots == NULL)
        return BRG_NO_MEMORY;
    memcpy(slots, mailbox->slots + mailbox->first, to_end * sizeof(*slots));
    memcpy(slots + to_end, mailbox->slots, mailbox->first * sizeof(*slots));
    brg__mfree(mailbox->slots);
    mailbox->slots = slots;
    mailbox->slots_count = 2 * count;
    mailbox->first = 0;
    return BRG_OK;
}

/*
 * Lets go of the lock while it sleeps. Where senders wait the slots have grown to the capacity, for they never
 * shrink: a woken sender cannot fail for memory and so leave room unused while others sleep.
 */
static brg_status mailbox_await_room_locked(brg__mailbox *mailbox, uint64_t deadline_ns)
{
    bool in_time = true;
    while (!mailbox->xclosed && mailbox->xcount >= mailbox->capacity) {
        if (deadline_ns == 0)
            return BRG_FULL;
        if (mailbox->is_hurried)
            return BRG_CLOSED;
        if (!in_time)
            return BRG_TIMED_OUT;
        uint32_t seen = brg_load_relaxed(&mailbox->xroom);
        mailbox->senders_waiting++;
        brg__lock_release(&mailbox->lock);
        in_time = brg__futex_wait(&mailbox->xroom, seen, deadline_ns, BRG__FUTEX_PRIVATE);
        brg__lock_acquire(&mailbox->lock);
        mailbox->senders_waiting--;
        mailbox->sender_called = false;
    }
    return mailbox->xclosed ? BRG_CLOSED : BRG_OK;
}

static brg_status mailbox_append_locked(brg__mailbox *mailbox, brg_value *value)
{
    uint32_t count = mailbox->xcount;
    if (count == mailbox->slots_count && mailbox_grow_locked(mailbox) != BRG_OK)
        return BRG_NO_MEMORY;
    mailbox->slots[(mailbox->first + count) & (mailbox->slots_count - 1)] = value;
    brg_store_relaxed(&mailbox->xcount, count + 1);
    return BRG_OK;
}

/* Whether a sender is to be woken for the room there is. */
static bool mailbox_call_sender_locked(brg__mailbox *mailbox)
{
    if (mailbox->senders_waiting == 0 || mailbox->sender_called || mailbox->xcount >= mailbox->capacity)
        return false;
    mailbox->sender_called = true;
    return true;
}

/* Whether senders wait; they will see that something changed. */
static bool mailbox_note_change_locked(brg__mailbox *mailbox)
{
    brg_store_relaxed(&mailbox->xroom, mailbox->xroom + 1);
    return mailbox->senders_waiting > 0;
}

brg_status brg__mailbox_push(brg__mailbox *mailbox, brg_value *value, uint64_t deadline_ns)
{
    brg__lock_acquire(&mailbox->lock);
    brg_status status = mailbox_await_room_locked(mailbox, deadline_ns);
    if (status == BRG_OK)
        status = mailbox_append_locked(mailbox, value);
    brg__gate *receiver = mailbox->receiver;
    bool wake = mailbox_call_sender_locked(mailbox);
    brg__lock_release(&mailbox->lock);
    if (wake)
        brg__futex_wake(&mailbox->xroom, 1, BRG__FUTEX_PRIVATE);
    if (status == BRG_OK && receiver != NULL)
        brg__gate_wake(receiver, BRG__FUTEX_PRIVATE);
    return status;
}

brg_status brg__mailbox_pop(brg__mailbox *mailbox, brg_value **out)
{
    brg_value *value = NULL;
    bool wake = false;
    brg__lock_acquire(&mailbox->lock);
    brg_status status = BRG_OK;
    if (mailbox->xcount > 0) {
        value = mailbox_take_first_locked(mailbox);
        mailbox_note_change_locked(mailbox);
        wake = mailbox_call_sender_locked(mailbox);
    } else {
        status = mailbox->xclosed ? BRG_CLOSED : BRG_EMPTY;
    }
    brg__lock_release(&mailbox->lock);
    if (wake)
        brg__futex_wake(&mailbox->xroom, 1, BRG__FUTEX_PRIVATE);
    if (status == BRG_OK)
        *out = value;
    return status;
}

/* Relaxed: at its gate, the receiver has a fence on its side and the sender has one in brg__gate_wake. */
bool brg__mailbox_is_empty(const brg__mailbox *mailbox)
{
    return brg_load_relaxed(&mailbox->xcount) == 0 && !brg_load_relaxed(&mailbox->xclosed);
}

void brg__mailbox_close(brg__mailbox *mailbox)
{
    brg__lock_acquire(&mailbox->lock);
    brg_store_relaxed(&mailbox->xclosed, true);
    bool wake = mailbox_note_change_locked(mailbox);
    brg__gate *receiver = mailbox->receiver;
    brg__lock_release(&mailbox->lock);
    if (wake)
        brg__futex_wake(&mailbox->xroom, UINT32_MAX, BRG__FUTEX_PRIVATE);
    if (receiver != NULL)
        brg__gate_wake(receiver, BRG__FUTEX_PRIVATE);
}

void brg__mailbox_hurry(brg__mailbox *mailbox)
{
    brg__lock_acquire(&mailbox->lock);
    mailbox->is_hurried = true;
    bool wake = mailbox_note_change_locked(mailbox);
    brg__lock_release(&mailbox->lock);
    if (wake)
        brg__futex_wake(&mailbox->xroom, UINT32_MAX, BRG__FUTEX_PRIVATE);
}
