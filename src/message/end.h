/* SPDX-License-Identifier: MIT */
/* Inside channels: sides, ends, ports, and what is done once the channel's lock is let go. The design is in channel.h.
 * */
#ifndef BRG_MESSAGE_END_H
#define BRG_MESSAGE_END_H

#include "base/list.h"
#include "loop/loop.h"
#include "message/channel.h"
#include "os/lock.h"
#include "os/waiter.h"

/* What waits in a queue: a value, or an error in the place of one. */
typedef struct brg__item {
    brg__node node;
    brg_value *value; /* NULL: an error */
    brg_error *error; /* of such; NULL where there was no memory for it */
    size_t bytes;     /* as it was counted */
} brg__item;

/* A sender that waits for room, first come first served. On its stack. */
typedef struct brg__sender {
    brg__node node;
    brg__waiter *waiter;
    size_t bytes;
    uint32_t xgo; /* look again */
} brg__sender;

/* All under the channel's lock but `container`. */
typedef struct brg__side {
    brg__channel *channel;
    brg_port *port;    /* NULL where it is REMOTE, a sink, or gone */
    brg__end *out;     /* REMOTE: where what is posted goes; referenced */
    brg__end *coming;  /* COMING: from there; referenced */
    brg__end *leaving; /* departs when nothing is COMING; referenced */
    brg__list queue;
    brg__list held;
    size_t queue_count;
    bool dead;
    uint32_t xpending_count; /* posted to it, not yet received; written under the lock */
    uint64_t xpending_bytes;
    brg__list senders; /* of the other side, who wait for room here */
    bool room_wanted;  /* the other side's port is to hear of room for room_bytes */
    size_t room_bytes;
    uint32_t xevents; /* counts what a receiver may want to look at */
    brg__waiter *receiver;
    struct brg__side *container; /* in whose queue its port waits; holds that channel. Under the containers' lock */
    brg__sink *sink;
    bool sink_busy;
} brg__side;

/* Of an adopted channel's number: a port that leaves by it, under no lock, and one that closes must not both use it. */
enum brg__home {
    BRG__HOME_FREE = 0,
    BRG__HOME_TAKEN, /* a port goes there: between leave and depart, or stay */
    BRG__HOME_OVER   /* it will not be named again */
};

struct brg__channel {
    uint32_t xrefs; /* ports, ends, containers */
    brg__lock lock;
    uint32_t messages_max;
    uint64_t bytes_max;
    brg__remote *home; /* of an adopted one, referenced; with home_id never changes */
    uint64_t home_id;
    uint32_t xhome;     /* brg__home */
    brg__side sides[2]; /* of an adopted one: the port's, and the one at home */
};

/* One side as one remote knows it. Under the channel's lock but for what leave sets before anybody sees it. */
struct brg__end {
    uint32_t xrefs;
    brg__channel *channel; /* referenced */
    brg__side *side;
    brg__remote *remote; /* referenced; NULL for a sink */
    uint64_t id;
    bool is_home;   /* of an adopted channel: the way home. Else the side was sent there */
    bool goes_home; /* no trip of its own: a departure on the way home */
    bool departed;
    bool returned;
    bool over;
    bool left; /* is_home: the port went home; all that still comes bounces */
    bool fin_due;
    bool wanted;         /* its poster waits for credit */
    bool want_sent;      /* ours does */
    uint64_t sent_count; /* sent and neither credited nor bounced */
    uint64_t sent_bytes;
    uint64_t view_count; /* what its poster believes is pending on the other side */
    uint64_t view_bytes;
};

struct brg_port {
    uint32_t xrefs;        /* the handle, a posted delivery */
    brg__channel *channel; /* referenced */
    brg__side *side;
    brg__end *leaving; /* between leave and depart; referenced */
    brg_port *next;    /* in departures */

    /* Once started; under the lock unless only the owner thread touches it. */
    brg_port_options options;
    brg__completion delivery;
    bool started, destroyed, delivery_posted, room_due;
    brg__loop_user loop_user;
    bool close_told, holds_loop, is_on_loop; /* owner thread */
};

/* What is done after the lock was let go. Zero wake_count and end_count, empty list. */
typedef struct brg__after {
    brg__waiter *wakes[4];
    uint32_t wake_count;
    brg__end *ends[8]; /* references to let go */
    uint32_t end_count;
    brg__list dropped; /* brg__item */
    brg__departures departures;
    brg__side *sink; /* has something to take; its channel referenced */
} brg__after;

void brg__after_init(brg__after *after);
void brg__after_run(brg__after *after);

/* channel.c. `_locked`: the channel's lock is held. */
brg__channel *brg__channel_new(uint32_t messages_max, uint64_t bytes_max); /* one reference; NULL: no memory */
void brg__channel_ref(brg__channel *channel);
void brg__channel_unref(brg__channel *channel);
static inline brg__side *brg__side_peer(brg__side *side)
{
    return &side->channel->sides[side == &side->channel->sides[0]];
}
brg_port *brg__port_new(brg__side *side); /* not yet known to the side; NULL: no memory */
void brg__port_unref(brg_port *port);
brg__end *brg__end_new(brg__side *side, brg__remote *remote, uint64_t id);

bool brg__side_fits_locked(const brg__side *side, size_t bytes);
/* Queues or sends a value, which is taken on success. */
brg_status brg__side_put_locked(brg__side *side, brg_value *value, size_t bytes, brg__after *after, brg_error *error);
/* An error into the queue, counted; as part of the queue even where the side is COMING when `bounced`. */
void brg__side_put_error_locked(brg__side *side, bool bounced, const brg_error *error, brg__after *after);
/* A value that was counted before, into the queue. BRG_NO_MEMORY, BRG_INVALID (a circle). */
brg_status brg__side_put_back_locked(brg__side *side, brg_value *value, size_t bytes, brg__after *after,
                                     brg_error *error);
brg__item *brg__side_pop_locked(brg__side *side);
void brg__item_free(brg__item *item); /* drops what is in it; no lock held */
/* That many are pending no more: room for senders, credit for a remote poster. */
void brg__side_settle_locked(brg__side *side, uint64_t count, uint64_t bytes, brg__after *after);
void brg__side_offer_room_locked(brg__side *side, brg__after *after);
void brg__side_credit_locked(brg__side *side, bool all);
void brg__side_want_locked(brg__side *side);
/* Receiver or loop of the side's port: look. */
void brg__side_notify_locked(brg__side *side, brg__after *after);
/* Senders to the side: look again. */
void brg__side_wake_senders_locked(brg__side *side);
/* Nothing more from it, nothing more for it. */
void brg__side_kill_locked(brg__side *side, brg__after *after);
/* Both sides, wherever they are. */
void brg__channel_break_locked(brg__channel *channel, brg__after *after);
/* Nothing will come any more, and all was taken. */
bool brg__side_is_over_locked(brg__side *side);
/* References of ends go with `after`. */
void brg__after_unref_end(brg__after *after, brg__end **end);
void brg__after_wake(brg__after *after, brg__waiter *waiter);

/* container.c */
/* Notes that the ports of `value` wait at `side`. BRG_INVALID: that would close a circle, or they wait elsewhere. */
brg_status brg__containers_enter(brg__side *side, const brg_value *value, brg_error *error);
void brg__containers_leave(brg__side *side, const brg_value *value);
void brg__container_clear(brg__side *side);

/* end.c */
void brg__end_depart_locked(brg__end *end, brg__after *after);

/* port_loop.c */
void brg__port_deliver_locked(brg_port *port);

/* sink.c */
void brg__sink_run(brg__side *side);

#endif
