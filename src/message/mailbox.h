/* SPDX-License-Identifier: MIT */
/*
 * A mailbox: a bounded queue of values inside one process, many senders, one receiver. The receiver sleeps at a gate
 * of its own (it usually waits for other things too); the mailbox wakes it. Senders that wait for room sleep in the
 * mailbox. A closed mailbox refuses new values and still hands out what it has.
 */
#ifndef BRG_MESSAGE_MAILBOX_H
#define BRG_MESSAGE_MAILBOX_H

#include <brigade/value.h>

#include "os/lock.h"
#include "os/park.h"

typedef struct brg__mailbox {
    brg__lock lock;       /* BRG__RANK_CHANNEL: guards all; xcount and xclosed are readable without */
    brg_value **slots;    /* ring of capacity, allocated as it grows (starts at 16) */
    uint32_t slots_count; /* a power of two */
    uint32_t first;
    uint32_t capacity;
    uint32_t xcount; /* values inside */
    uint32_t xroom;  /* futex: bumped when room appears or on close, if senders wait */
    uint32_t senders_waiting;
    bool sender_called; /* one of those was woken and has not looked yet */
    bool xclosed;
    bool is_hurried;
    brg__gate *receiver; /* woken after each push; may be NULL */
} brg__mailbox;

brg_status brg__mailbox_init(brg__mailbox *mailbox, uint32_t capacity, brg__gate *receiver, brg_error *error);
/* Unrefs what is left. */
void brg__mailbox_done(brg__mailbox *mailbox);
/* Takes `value` on success. Waits for room until `deadline_ns`; 0 tries once. BRG_FULL (tried once), BRG_TIMED_OUT,
 * BRG_CLOSED, BRG_NO_MEMORY. */
brg_status brg__mailbox_push(brg__mailbox *mailbox, brg_value *value, uint64_t deadline_ns);
/* BRG_OK and the caller's value; BRG_EMPTY; BRG_CLOSED when closed and empty. Never waits. */
brg_status brg__mailbox_pop(brg__mailbox *mailbox, brg_value **out);
/* Whether a pop would give BRG_EMPTY: false once closed, so that a receiver about to sleep notices. Without the lock: a
 * hint unless the caller is at its gate. */
bool brg__mailbox_is_empty(const brg__mailbox *mailbox);
void brg__mailbox_close(brg__mailbox *mailbox); /* wakes senders and receiver */
void brg__mailbox_hurry(brg__mailbox *mailbox); /* nobody waits for room from here on: BRG_CLOSED where it would have */

#endif
