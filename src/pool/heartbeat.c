/* SPDX-License-Identifier: MIT */
/*
 * Tasks that must show that they live. Each sign is one step of a counter in the worker's usage; the supervisor looks
 * at it a few times in each heartbeat_ns and remembers when it last saw it move. So a task that is silent is found out
 * after heartbeat_ns at the earliest and some looks later at the latest, and signs cost the task a store. For a process
 * the counter lies in the shared segment: a liar seems to live, which it can as well without lies.
 *
 * Odd: the task waits until its progress is taken, which is not its silence.
 */
#include "os/clock.h"
#include "pool/pool.h"

#define HEARTBEAT_LOOKS 4
#define HEARTBEAT_LOOK_MIN_NS BRG_MICROSECONDS(100)

static uint64_t heartbeat_next_look(uint64_t every, uint64_t now)
{
    return brg__add_saturated(now, brg__max(every / HEARTBEAT_LOOKS, HEARTBEAT_LOOK_MIN_NS));
}

uint64_t brg__heartbeat_begin(brg__slot *slot, const brg_task *task, uint64_t now)
{
    brg_store_relaxed(&slot->xbeat_every, task->heartbeat_ns);
    brg_store_release(&slot->xbeat_ticket, task->ticket); /* pairs with the look in supervise.c */
    return heartbeat_next_look(task->heartbeat_ns, now);
}

uint64_t brg__heartbeat_look_locked(brg__slot *slot, uint64_t ticket, uint64_t now)
{
    uint64_t every = brg_load_relaxed(&slot->xbeat_every);
    uint32_t beats = brg_load_relaxed(&slot->worker->usage->xbeats);
    if (slot->kill_ticket == ticket)
        return UINT64_MAX;
    if (slot->beat_ticket != ticket || slot->beats != beats || beats % 2 != 0) {
        slot->beat_ticket = ticket;
        slot->beats = beats;
        slot->beat_at = brg__now(); /* `now` may be long ago */
    }
    uint64_t due = brg__add_saturated(slot->beat_at, every);
    if (due > now)
        return brg__min(due, heartbeat_next_look(every, now));
    brg_store_relaxed(&slot->xsilent_ticket, ticket);
    brg__slot_ask_end_locked(slot, ticket, BRG_TIMED_OUT);
    return UINT64_MAX;
}

const brg_error *brg__heartbeat_error(const brg__slot *slot, uint64_t ticket, brg_status status)
{
    static const brg_error silent = {
        .status = BRG_TIMED_OUT, .domain = "pool", .message = "the task's heartbeat stopped: see heartbeat_ns"};
    if (status == BRG_TIMED_OUT && brg_load_relaxed(&slot->xsilent_ticket) == ticket)
        return &silent;
    return brg__error_of_status(status);
}
