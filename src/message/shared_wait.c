/* SPDX-License-Identifier: MIT */
/*
 * Wait and notify. message/shared.h says how the table works; here is what a reader might get wrong.
 *
 * A slot goes FREE -> WAITING (queued) -> SLEEPING (its owner is in the kernel or about to be) -> NOTIFIED -> FREE. The
 * owner itself frees a notified slot, so a wake-up costs one turn at the lock on each side, not two.
 *
 * The kernel's own sleepers may wake for nothing, or for a slot's former owner: they look at the state and sleep again.
 *
 * The lock: three-state futex mutex (Drepper, "Futexes Are Tricky", 2011) whose word is the holder's id, so that a
 * dead one shows. Holders stay microseconds; one that lives and does not leave for LOCK_PATIENCE_NS (stopped by a
 * debugger, or hostile) loses it: others must not hang, and the table is repairable.
 */
#include "message/shared.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/park.h"
#include "os/waiter.h"

#define LOCK_CONTENDED 0x80000000u
#define LOCK_SPIN_COUNT 200
#define LOCK_PATIENCE_NS BRG_SECONDS(2)
#define WAIT_SPIN_NS BRG_MICROSECONDS(20)
/* Marked under one hold of the lock. */
#define NOTIFY_BATCH_MAX 32
/* A page of them, or a part of one. */
#define SLOTS_RESERVED_AT_ONCE 64

/* ---- the lock ---------------------------------------------------------------------------------------------- */

static bool table_lock_change(brg_shared *shared, uint32_t from, uint32_t to)
{
    /* The acquire of a taking pairs with the release of the giving back. */
    return brg_cas_acq_rel(&shared->header->xlock, &from, to);
}

static bool table_lock_spin(brg_shared *shared)
{
    if (brg__cpu_online() < 2)
        return false;
    for (int i = 0; i < LOCK_SPIN_COUNT; i++) {
        uint32_t word = brg_load_relaxed(&shared->header->xlock);
        if (word == 0 && table_lock_change(shared, 0, shared->participant))
            return true;
        brg__cpu_pause();
    }
    return false;
}

static void table_lock_sleep(brg_shared *shared)
{
    uint32_t *lock = &shared->header->xlock, mine = shared->participant | LOCK_CONTENDED;
    bool robbing = false;
    uint64_t patience_end = brg__deadline(LOCK_PATIENCE_NS);
    for (;;) {
        uint32_t word = brg_load_relaxed(lock), holder = word & BRG__PARTICIPANT_MASK;
        if (holder == 0 || robbing || !brg__shared_is_alive(shared, holder)) {
            if (table_lock_change(shared, word, mine)) {
                if (holder != 0)
                    brg__shared_repair_locked(shared);
                return;
            }
            robbing = false;
            continue;
        }
        if ((word & LOCK_CONTENDED) == 0 && !table_lock_change(shared, word, word | LOCK_CONTENDED))
            continue;
        if (brg__futex_wait(lock, word | LOCK_CONTENDED, patience_end, BRG__FUTEX_SHARED))
            patience_end = brg__deadline(LOCK_PATIENCE_NS);
        else
            robbing = brg_load_relaxed(lock) == (word | LOCK_CONTENDED);
    }
}

void brg__shared_lock(brg_shared *shared)
{
    if (!table_lock_change(shared, 0, shared->participant) && !table_lock_spin(shared))
        table_lock_sleep(shared);
}

/* Where it was taken away meanwhile it is not ours to free. */
void brg__shared_unlock(brg_shared *shared)
{
    if (table_lock_change(shared, shared->participant, 0))
        return;
    if (table_lock_change(shared, shared->participant | LOCK_CONTENDED, 0))
        brg__futex_wake(&shared->header->xlock, 1, BRG__FUTEX_SHARED);
}

/* ---- the table --------------------------------------------------------------------------------------------- */

static uint32_t table_high(const brg__shared_header *header)
{
    return (uint32_t)brg__min(brg_load_relaxed(&header->xhigh), BRG_SHARED_WAITERS_MAX);
}

static bool slot_is_queued(uint32_t state) { return state == BRG__SLOT_WAITING || state == BRG__SLOT_SLEEPING; }

/* Rings the bell of a participant with asynchronous waits. */
static void slot_ring(brg_shared *shared, uint32_t participant)
{
    uint32_t *bell = &shared->header->participants[participant % BRG__SHARED_PARTICIPANTS].xbell;
    brg_add_seq_cst(bell, 1u);
    brg__futex_wake(bell, 1, BRG__FUTEX_SHARED);
}

void brg__shared_repair_locked(brg_shared *shared)
{
    brg__shared_header *header = shared->header;
    uint32_t high = table_high(header), waiters = 0;
    uint64_t ticket = brg_load_relaxed(&header->xticket);
    for (uint32_t i = 0; i < high; i++) {
        brg__shared_slot *slot = &header->slots[i];
        uint32_t state = brg_load_acquire(&slot->xstate);
        if (state == BRG__SLOT_FREE)
            continue;
        if (!brg__shared_is_alive(shared, brg_load_relaxed(&slot->xparticipant))) {
            brg_store_release(&slot->xstate, BRG__SLOT_FREE);
            continue;
        }
        waiters += slot_is_queued(state);
        ticket = brg__max(ticket, brg_load_relaxed(&slot->xticket) + 1);
    }
    brg_store_relaxed(&header->xticket, ticket);
    brg_store_seq_cst(&header->xwaiters, waiters);
}

/* Who marked them may have died before it woke them. */
void brg__shared_rewake(brg_shared *shared)
{
    brg__shared_header *header = shared->header;
    for (uint32_t i = 0, high = table_high(header); i < high; i++) {
        brg__shared_slot *slot = &header->slots[i];
        if (brg_load_seq_cst(&slot->xstate) != BRG__SLOT_NOTIFIED)
            continue;
        if (brg_load_relaxed(&slot->xasync) != 0)
            slot_ring(shared, brg_load_relaxed(&slot->xparticipant));
        else
            brg__futex_wake(&slot->xstate, 1, BRG__FUTEX_SHARED);
    }
    brg__shared_async_collect(shared);
}

/* ---- waiting ----------------------------------------------------------------------------------------------- */

static bool wait_is_equal(const brg_shared *shared, const brg__wait_key *key)
{
    const void *at = shared->data + key->offset;
    if (key->width == sizeof(uint32_t))
        return brg_load_seq_cst((const uint32_t *)at) == (uint32_t)key->expected;
    return brg_load_seq_cst((const uint64_t *)at) == key->expected;
}

static brg_status wait_check(const brg_shared *shared, const brg__wait_key *key)
{
    if (brg__shared_is_forked(shared))
        return BRG_FORKED;
    brg_status status = brg__shared_check(shared, key->offset, key->width, key->width);
    if (status != BRG_OK)
        return status;
    return wait_is_equal(shared, key) ? BRG_OK : BRG_NOT_EQUAL;
}

/* Whether slot `index`, and those that follow up to the next whole batch, have memory behind them. */
static bool slot_reserve_locked(brg_shared *shared, uint32_t index)
{
    if (index < shared->slots_reserved)
        return true;
    uint32_t first = index / SLOTS_RESERVED_AT_ONCE * SLOTS_RESERVED_AT_ONCE;
    size_t offset = offsetof(brg__shared_header, slots) + first * sizeof(brg__shared_slot);
    if (brg__shared_reserve(shared, offset, SLOTS_RESERVED_AT_ONCE * sizeof(brg__shared_slot), NULL) != BRG_OK)
        return false;
    shared->slots_reserved = first + SLOTS_RESERVED_AT_ONCE;
    return true;
}

/* The lowest free slot; BRG_SHARED_WAITERS_MAX when there is none. */
static uint32_t slot_find_locked(brg_shared *shared)
{
    brg__shared_header *header = shared->header;
    uint32_t high = table_high(header), i = 0;
    while (i < high && brg_load_acquire(&header->slots[i].xstate) != BRG__SLOT_FREE)
        i++;
    if (i == BRG_SHARED_WAITERS_MAX || !slot_reserve_locked(shared, i))
        return BRG_SHARED_WAITERS_MAX;
    if (i == high)
        brg_store_relaxed(&header->xhigh, high + 1); /* before it is used: a repair must find it */
    return i;
}

static void slot_fill_locked(brg_shared *shared, uint32_t index, const brg__wait_key *key, bool async)
{
    brg__shared_header *header = shared->header;
    brg__shared_slot *slot = &header->slots[index];
    uint64_t ticket = brg_load_relaxed(&header->xticket);
    brg_store_relaxed(&header->xticket, ticket + 1);
    brg_store_relaxed(&slot->xparticipant, shared->participant);
    brg_store_relaxed(&slot->xasync, (uint32_t)async);
    brg_store_relaxed(&slot->xoffset, key->offset);
    brg_store_relaxed(&slot->xticket, ticket);
    brg_store_release(&slot->xstate, BRG__SLOT_WAITING);
}

brg_status brg__shared_enqueue(brg_shared *shared, const brg__wait_key *key, bool async, uint32_t *index)
{
    brg_status status = wait_check(shared, key);
    if (status != BRG_OK)
        return status;
    brg__shared_header *header = shared->header;
    brg__shared_lock(shared);
    uint32_t waiters = brg_load_relaxed(&header->xwaiters), found = 0;
    brg_store_seq_cst(&header->xwaiters, waiters + 1);
    brg_fence_seq_cst(); /* pairs with the one in brg_shared_notify: it sees the count, or we see what it stored */
    if (!wait_is_equal(shared, key))
        status = BRG_NOT_EQUAL;
    else if ((found = slot_find_locked(shared)) == BRG_SHARED_WAITERS_MAX)
        status = BRG_FULL;
    if (status == BRG_OK)
        slot_fill_locked(shared, found, key, async);
    else
        brg_store_relaxed(&header->xwaiters, waiters);
    brg__shared_unlock(shared);
    if (status == BRG_OK)
        *index = found;
    return status;
}

bool brg__shared_dequeue_locked(brg_shared *shared, uint32_t index, bool leave)
{
    brg__shared_slot *slot = &shared->header->slots[index];
    bool queued = slot_is_queued(brg_load_acquire(&slot->xstate));
    if (queued && !leave)
        return false;
    if (queued)
        brg_sub_relaxed(&shared->header->xwaiters, 1u);
    brg_store_release(&slot->xstate, BRG__SLOT_FREE);
    return !queued;
}

static bool wait_is_over(void *argument)
{
    const brg__shared_slot *slot = argument;
    /* Pairs with the exchange in notify_mark_locked. */
    return !slot_is_queued(brg_load_acquire(&slot->xstate));
}

static brg__spinner *wait_spinner(void)
{
    static _Thread_local brg__spinner spinner;
    static _Thread_local bool ready;
    if (!ready)
        brg__spinner_init(&spinner, WAIT_SPIN_NS);
    ready = true;
    return &spinner;
}

/* False when the deadline passed, or the worker that the thread is was asked to end. */
static bool wait_sleep(brg__shared_slot *slot, uint64_t deadline_ns)
{
    if (brg__spinner_spin(wait_spinner(), NULL, wait_is_over, slot))
        return true;
    uint32_t state = BRG__SLOT_WAITING;
    brg_cas_acq_rel(&slot->xstate, &state, BRG__SLOT_SLEEPING); /* it fails where the wait is over */
    while (!wait_is_over(slot)) {
        uint64_t until = brg__waiter_slice(deadline_ns);
        bool in_time = brg__futex_wait(&slot->xstate, BRG__SLOT_SLEEPING, until, BRG__FUTEX_SHARED);
        if ((!in_time && until == deadline_ns) || (until != deadline_ns && brg__waiter_is_asked(brg__waiter_current())))
            return wait_is_over(slot);
    }
    return true;
}

static brg_status shared_wait(brg_shared *shared, const brg__wait_key *key, uint64_t timeout_ns)
{
    uint32_t index = 0;
    if (timeout_ns == 0) {
        brg_status checked = wait_check(shared, key);
        return checked == BRG_OK ? BRG_TIMED_OUT : checked;
    }
    uint64_t deadline = brg__deadline(timeout_ns);
    brg_status status = brg__shared_enqueue(shared, key, false, &index);
    if (status != BRG_OK)
        return status;
    brg__shared_slot *slot = &shared->header->slots[index];
    if (wait_sleep(slot, deadline)) {
        brg_store_release(&slot->xstate, BRG__SLOT_FREE); /* pairs with slot_find_locked */
        return BRG_OK;
    }
    brg__shared_lock(shared);
    bool notified = brg__shared_dequeue_locked(shared, index, true);
    brg__shared_unlock(shared);
    if (notified)
        return BRG_OK;
    return brg__waiter_is_asked(brg__waiter_current()) ? BRG_CANCELLED : BRG_TIMED_OUT;
}

brg_status brg_shared_wait32(brg_shared *shared, size_t offset, uint32_t expected, uint64_t timeout_ns)
{
    const brg__wait_key key = {.offset = offset, .width = sizeof(uint32_t), .expected = expected};
    return shared_wait(shared, &key, timeout_ns);
}

brg_status brg_shared_wait64(brg_shared *shared, size_t offset, uint64_t expected, uint64_t timeout_ns)
{
    const brg__wait_key key = {.offset = offset, .width = sizeof(uint64_t), .expected = expected};
    return shared_wait(shared, &key, timeout_ns);
}

/* ---- notifying --------------------------------------------------------------------------------------------- */

/* The slots of one batch, by ticket. */
typedef struct notify_batch {
    size_t offset;
    uint64_t ticket_end; /* who queues from here on came after the call */
    uint32_t room;
    uint32_t count;
    uint32_t index[NOTIFY_BATCH_MAX];
    uint64_t ticket[NOTIFY_BATCH_MAX];
    uint32_t participant[NOTIFY_BATCH_MAX]; /* of an asynchronous one; 0 for one that is awake */
    bool sleeps[NOTIFY_BATCH_MAX];
} notify_batch;

/* Keeps the smallest tickets: insertion sort. */
static void notify_offer(notify_batch *batch, uint32_t index, uint64_t ticket)
{
    uint32_t at = batch->count;
    while (at > 0 && batch->ticket[at - 1] > ticket)
        at--;
    if (at == batch->room)
        return;
    if (batch->count < batch->room)
        batch->count++;
    for (uint32_t i = batch->count - 1; i > at; i--) {
        batch->index[i] = batch->index[i - 1];
        batch->ticket[i] = batch->ticket[i - 1];
    }
    batch->index[at] = index;
    batch->ticket[at] = ticket;
}

static void notify_choose_locked(brg__shared_header *header, notify_batch *batch)
{
    uint32_t high = table_high(header), last = 0;
    for (uint32_t i = 0; i < high; i++) {
        const brg__shared_slot *slot = &header->slots[i];
        uint32_t state = brg_load_acquire(&slot->xstate);
        if (state == BRG__SLOT_FREE)
            continue;
        last = i + 1;
        uint64_t ticket = brg_load_relaxed(&slot->xticket);
        if (slot_is_queued(state) && brg_load_relaxed(&slot->xoffset) == batch->offset && ticket < batch->ticket_end)
            notify_offer(batch, i, ticket);
    }
    brg_store_relaxed(&header->xhigh, last);
}

static void notify_mark_locked(brg__shared_header *header, notify_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        brg__shared_slot *slot = &header->slots[batch->index[i]];
        batch->participant[i] = brg_load_relaxed(&slot->xasync) != 0
                                    ? brg_load_relaxed(&slot->xparticipant) & BRG__PARTICIPANT_MASK
                                    : 0;
        /* From here on it may be gone. */
        batch->sleeps[i] = brg_exchange_seq_cst(&slot->xstate, BRG__SLOT_NOTIFIED) == BRG__SLOT_SLEEPING;
    }
    brg_sub_relaxed(&header->xwaiters, batch->count);
}

/* After the lock: a slot may have another owner by now, which looks and sleeps on. */
static void notify_wake(brg_shared *shared, const notify_batch *batch)
{
    bool ours = false;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->participant[i] == shared->participant)
            ours = true;
        else if (batch->participant[i] != 0)
            slot_ring(shared, batch->participant[i]);
        else if (batch->sleeps[i])
            brg__futex_wake(&shared->header->slots[batch->index[i]].xstate, 1, BRG__FUTEX_SHARED);
    }
    if (ours)
        brg__shared_async_collect(shared);
}

static uint32_t notify_waiters(brg_shared *shared, size_t offset, uint32_t count)
{
    notify_batch batch = {.offset = offset};
    uint32_t total = 0;
    do {
        batch.count = 0;
        batch.room = (uint32_t)brg__min(count - total, NOTIFY_BATCH_MAX);
        brg__shared_lock(shared);
        if (batch.ticket_end == 0)
            batch.ticket_end = brg_load_relaxed(&shared->header->xticket);
        notify_choose_locked(shared->header, &batch);
        if (batch.count > 0)
            notify_mark_locked(shared->header, &batch);
        brg__shared_unlock(shared);
        notify_wake(shared, &batch);
        total += batch.count;
    } while (batch.count == NOTIFY_BATCH_MAX && total < count && total < BRG_SHARED_WAITERS_MAX);
    return total;
}

brg_status brg_shared_notify(brg_shared *shared, size_t offset, uint32_t count, uint32_t *woken)
{
    if (brg__shared_is_forked(shared))
        return BRG_FORKED;
    brg_status status = brg__shared_check(shared, offset, sizeof(uint32_t), sizeof(uint32_t));
    if (status != BRG_OK)
        return status;
    uint32_t total = 0;
    brg_fence_seq_cst(); /* pairs with the one in brg__shared_enqueue */
    if (count != 0 && brg_load_seq_cst(&shared->header->xwaiters) != 0)
        total = notify_waiters(shared, offset, count);
    if (woken != NULL)
        *woken = total;
    return BRG_OK;
}
