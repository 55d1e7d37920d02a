/* SPDX-License-Identifier: MIT */
/*
 * A process worker from the inside: what child.c (life, messages), child_task.c and child_link.c share.
 *
 * The main thread takes tasks from the request ring when it is free for them. Mail it takes whenever it waits, whatever
 * for: `child_look` moves it, under look_lock, since other threads of this process that wait for a port look too.
 * Messages go to an inbox, all else to the link. User code never runs inside a look.
 *
 * It sleeps at one gate, that of the request ring, which the owner wakes for tasks, mail, room it asked for, and the
 * end; with a loop of its own (brg_context_loop) it sleeps in that, and the owner writes its bell instead.
 */
#ifndef BRG_WORKER_CHILD_STATE_H
#define BRG_WORKER_CHILD_STATE_H

#include "message/mailbox.h"
#include "os/waiter.h"
#include "worker/batch.h"
#include "worker/context.h"
#include "worker/direct.h"
#include "worker/link.h"
#include "worker/protocol.h"

/* Where the progress of the running task goes. Main thread. */
typedef struct brg__child_teller {
    brg__teller teller;
    uint64_t ticket;
    uint32_t window, sent; /* how many may be on their way */
} brg__child_teller;

typedef struct brg__child {
    brg__segment *segment;
    brg__ring_consumer request; /* main thread */
    brg__ring_consumer mail;    /* under look_lock */
    brg__ring_producer reply;   /* under the link's send_lock */
    brg__link link;
    brg__lock look_lock;
    brg__mailbox inbox;
    uint64_t messages_sent, messages_taken; /* main thread */
    brg__list inputs;                       /* of tasks, that came in the mail; under look_lock */
    brg__list calls;                        /* on their way to the hub; under calls_lock */
    brg__lock calls_lock;
    uint64_t last_call;
    brg__waiter *waiter; /* of the main thread */
    int event, cancel_event, bell;
    brg_context context;
    brg__child_teller progress;
    struct brg_batch *batch; /* the one that runs; under look_lock, as these */
    uint64_t batch_ticket;   /* of the latest */
    brg__list cancels;       /* members of later ones that were asked to end: child_batch.c */
    brg_value *init_data, *world;
    brg__direct_target direct;
} brg__child;

/* The worker that this process is, or NULL. */
brg__child *brg__child_self(void);

/* Moves mail, and frames that waited for room. `argument` is the brg__child. Any thread. */
void brg__child_look(void *argument);
void brg__child_link_init(brg__child *self, int socket);

/* Waits on the main thread until ready(self), the deadline (false), looking meanwhile. */
bool brg__child_wait(brg__child *self, bool (*ready)(void *self), uint64_t deadline_ns);

/*
 * Asks the owner to wake us when it has taken replies or messages, then tries `attempt` until it does not give
 * BRG_FULL, the deadline passes (BRG_TIMED_OUT; 0 tries once: BRG_FULL), or, `unless_asked`, the worker is asked to
 * end: BRG_CLOSED. Main thread.
 */
brg_status brg__child_retry(brg__child *self, brg_status (*attempt)(brg__child *self, void *argument), void *argument,
                            uint64_t deadline_ns, bool unless_asked);

/* Room for mail or messages came up: wakes senders in the owner, and a backlog of its link. */
void brg__child_tell_room(brg__child *self);

/* The context's teller, for a task whose progress may be so far ahead of who listens; 0: nobody does. Main thread. */
void brg__child_progress_begin(brg__child *self, uint64_t ticket, uint32_t window);

/* Makes the main thread look, which may sleep. Any thread. */
void brg__child_wake(brg__child *self);

/* Writes the event if the owner watches. */
void brg__child_wake_owner(brg__child *self);

/* The input of a task, in the mail; under look_lock. */
void brg__child_input(brg__child *self, const brg__frame *frame, const void *payload);
brg_status brg__child_mailed_input(brg__child *self, uint64_t ticket, brg_value **out, brg_error *error);
/* A member of a batch is asked to end. Under look_lock. */
void brg__child_cancel_part(brg__child *self, const brg__frame *frame);
/* Main thread: before a task runs; its result; that of one in a batch, error included. */
void brg__child_task_begin(brg__child *self, uint64_t ticket, uint32_t attempt);
void brg__child_answer(brg__child *self, uint64_t ticket, brg_status status, brg_value *output, uint64_t run_ns);
void brg__child_answer_part(brg__child *self, uint64_t ticket, const brg__batch_entry *entry);
/* A peeked batch; unless it `runs`, it was taken back. Main thread. */
void brg__child_batch(brg__child *self, const brg__frame *frame, const void *payload, bool runs);
/* A frame of the request ring. Main thread. */
void brg__child_task(brg__child *self, const brg__frame *frame, brg__frame *in_place, const void *payload);

#endif
