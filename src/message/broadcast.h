/* SPDX-License-Identifier: MIT */
/*
 * Broadcast inside the program: names and who listens to them. Each listener has a port whose other end is a sink here;
 * what it posts there is posted, the same value, to every other listener of the name. A listener in another process is
 * given its port in a value and needs nothing else.
 */
#ifndef BRG_MESSAGE_BROADCAST_H
#define BRG_MESSAGE_BROADCAST_H

#include <brigade/port.h>

#include "base/list.h"
#include "message/channel.h"

typedef struct brg__subscription brg__subscription;

/* Who listens. */
typedef struct brg__listener {
    uint64_t worker_id; /* 0: the program */
    brg__list *list;    /* of a process worker: its subscriptions, bounded by `max`. Else NULL */
    uint32_t *count;
    uint32_t max;
} brg__listener;

typedef struct brg__subscribe {
    const char *name; /* checked */
    size_t name_size;
    uint32_t messages_max; /* 0: the default */
    uint64_t bytes_max;
    uint32_t total_max;
} brg__subscribe;

/*
 * Listens from now on. *port is the listener's; *out one reference for whoever asks for its drops. The port that closes
 * ends it. BRG_TOO_LARGE past a bound; BRG_INVALID; BRG_NO_MEMORY.
 */
brg_status brg__broadcast_subscribe(const brg__subscribe *subscribe, const brg__listener *listener, brg_port **port,
                                    brg__subscription **out, brg_error *error);
void brg__subscription_unref(brg__subscription *subscription);

/* Messages that found its queue full, or could not be sent to it. Any thread. */
uint64_t brg__subscription_dropped(const brg__subscription *subscription);
uint64_t brg__subscription_id(const brg__subscription *subscription);

/* The drops of a listener's subscription with that id; false when it is not in the list. */
bool brg__broadcast_dropped_of(const brg__list *list, uint64_t id, uint64_t *dropped);

/* A listener with a list, or a thread worker, ended: its subscriptions close and leave the list. */
void brg__broadcast_list_gone(brg__list *list);
void brg__broadcast_worker_gone(uint64_t worker_id);

#endif
