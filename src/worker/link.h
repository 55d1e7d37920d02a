/* SPDX-License-Identifier: MIT */
/*
 * One side of the connection between an owner and its process worker, the same code on both: sends frames with values
 * and what travels in them, and takes the frames about channels, memory and services that process.c and child.c do not
 * know.
 *
 * Sending. A frame is written under send_lock. One that finds no room is refused (messages, tasks) or kept in a
 * backlog, in order, until there is (everything about channels: their credit bounds it); after that all but tasks go
 * there until it is empty. Nothing here waits.
 *
 * Objects. Ports, regions and their like have a number on the link, even for what the owner made it up for, odd for the
 * worker, never used again. The tables are what the other side may name: anything else it says is BRG_PROTOCOL. Regions
 * stay in the tables while both sides have them mapped, so that sending one again is just its number: `holds` counts
 * how often the other side has been sent one of ours and not said that it let go; `receipts` the same for one of
 * theirs. A descriptor goes through the socket in a packet of its own before the frame that names the packet's number.
 * A frame that was given up after its first packets turns into one that says which to close.
 *
 * Locks: send_lock (CHANNEL, possibly under one channel's lock), then table_lock (LEAF). What must not run under them,
 * ends that depart and users of regions that go, is collected and done after.
 */
#ifndef BRG_WORKER_LINK_H
#define BRG_WORKER_LINK_H

#include "base/list.h"
#include "base/table.h"
#include "message/channel.h"
#include "message/ring.h"
#include "message/wire.h"
#include "os/lock.h"
#include "worker/protocol.h"

#define BRG__LINK_PACKETS_MAX 64 /* descriptors in one value */

typedef struct brg__link brg__link;

/* What differs between the sides. All but `service` may run under send_lock or a channel's lock, and must not block. */
typedef struct brg__link_ops {
    void (*wake)(brg__link *link);      /* frames were published */
    void (*want_room)(brg__link *link); /* the backlog waits: call brg__link_flush when the other side has taken some */
    void (*later)(brg__link *link);     /* call brg__link_flush soon, from no lock */
    void (*broken)(brg__link *link, brg_status status, const char *why); /* it lies, or we lack memory to be true */
    bool (*pump)(brg__link *link);
    void (*unpump)(brg__link *link);
    /* CALL, ANSWER and EVENT: `value` is borrowed and may be NULL. No lock but the pump's. */
    brg_status (*service)(brg__link *link, const brg__frame *frame, const brg_value *value, const brg_error *error);
    void (*ref)(brg__link *link);
    void (*unref)(brg__link *link);
} brg__link_ops;

/* A memory file on the link. */
typedef struct brg__link_region {
    brg__node node; /* most recently used first */
    uint64_t id;
    brg__region *region;       /* referenced */
    struct brg_shared *shared; /* ours, sent as one: referenced while held */
    uint32_t participant;      /* its number for the other side, or ours */
    uint64_t holds;            /* ours: sent and not released */
    uint64_t receipts;         /* theirs: received since we last released */
} brg__link_region;

struct brg__link {
    brg__remote remote; /* as channels see it; first */
    const brg__link_ops *ops;
    bool is_owner;
    uint32_t xdead;
    brg__carrier carrier; /* as the wire sees it */

    brg__lock send_lock;
    brg__ring_producer *ring; /* mail or replies */
    brg__list backlog;        /* link_item */
    size_t backlog_count;
    uint32_t xhas_backlog;
    int socket;
    uint64_t packets_sent;

    brg__lock table_lock;
    uint64_t last_number; /* even or odd; the last one given */
    brg__table ports;     /* link_port by number */
    brg__table regions;   /* brg__link_region by number */
    brg__list region_order;
    uint64_t viewer;    /* an owner's: the worker as regions know it */
    uint32_t xreleases; /* regions of theirs may have gone idle: flush looks */

    /* The receiving side's alone (under the pump's lock). */
    brg__list
        packets; /* link_packet: arrived before they were asked for, as the worker's two rings are not in one order */
};

void brg__link_init(brg__link *link, const brg__link_ops *ops, bool is_owner, brg__ring_producer *ring, int socket);
/* The other process is gone: closes its ports, lets go of what it held, drops the backlog. No lock but the pump's.
 * Idempotent. */
void brg__link_die(brg__link *link);
/* Frees what is left; dead before, or never used. */
void brg__link_done(brg__link *link);

/*
 * What one value takes with it, worked out under send_lock in four steps: prepare (numbers, holds; nothing has been
 * sent), packets (BRG_FULL: none was claimed), then, the frame being written, commit; or revert. Departures are to be
 * run under no lock.
 */
typedef struct brg__export {
    brg_value *value;
    brg__wire_object *objects; /* NULL for a value without objects */
    brg__wire_object few[4];
    uint32_t prepared; /* objects that revert has to undo */
    uint32_t packet_count;
    int packets[BRG__LINK_PACKETS_MAX];
} brg__export;

/* BRG_INVALID (taken before), BRG_CLOSED, BRG_TOO_LARGE, BRG_NO_MEMORY, BRG_UNSUPPORTED. */
brg_status brg__export_prepare(brg__link *link, brg__export *export, const brg_value *value, brg_error *error);
brg_status brg__export_packets(brg__link *link, brg__export *export, brg_error *error);
void brg__export_commit(brg__link *link, brg__export *export, brg__departures *departures);
void brg__export_revert(brg__link *link, brg__export *export);

/*
 * One frame now: `head` gives kind, id, status and words; value may be NULL, is borrowed, but what moves with it is
 * gone on success. BRG_FULL when there is no room or a backlog; else as prepare, BRG_CLOSED when dead. Then departures
 * are to be run.
 */
brg_status brg__link_send(brg__link *link, const brg__frame *head, const brg_value *value, brg__departures *departures,
                          brg_error *error);
/* The same, or into the backlog: takes a reference of its own then. Not BRG_FULL. */
brg_status brg__link_queue(brg__link *link, const brg__frame *head, const brg_value *value, brg__departures *departures,
                           brg_error *error);
/* The same under send_lock; `wake` is the caller's. */
brg_status brg__link_queue_locked(brg__link *link, const brg__frame *head, const brg_value *value,
                                  brg__departures *departures, brg_error *error);
/* Sends what waits, as far as there is room. No lock held. */
void brg__link_flush(brg__link *link);

/* A frame of brg__link_kind that arrived; `payload` is hostile where this is the owner. Under the pump's lock only.
 * BRG_PROTOCOL; BRG_FULL: no memory for it now, keep the frame. */
brg_status brg__link_frame(brg__link *link, const brg__frame *frame, const void *payload);

/* Number `number` is of the other side's making. */
static inline bool brg__link_is_theirs(const brg__link *link, uint64_t number)
{
    return (number % 2 == 0) != link->is_owner;
}

/* Makes a frame say that packets after number `before` were sent for nothing; and closes them on the other side. */
void brg__link_nothing(const brg__link *link, brg__frame *frame, uint64_t before);
brg_status brg__link_drop_packets(brg__link *link, const brg__frame *frame);

/* In link_objects.c: the pieces of link.c that know objects. */
brg_status brg__link_import(brg__carrier *carrier, const brg__wire_object *from, brg__object *to, brg_error *error);
brg_status brg__link_released(brg__link *link, uint64_t id, uint64_t count, bool exposed);
brg_status brg__link_unmapped(brg__link *link, uint64_t id);
void brg__link_release_idle(brg__link *link); /* queues RELEASE and UNMAP frames that are due. No lock held */
void brg__link_regions_die(brg__link *link);
void brg__link_packets_done(brg__link *link);
/* Under table_lock. False: no memory. */
bool brg__link_table_room(brg__table *table);

/* One port number. */
typedef struct brg__link_port {
    brg__end *end; /* referenced */
    bool forgotten_here, forgotten_there;
} brg__link_port;
brg_status brg__link_port_add(brg__link *link, uint64_t id, brg__end *end);
void brg__link_port_drop(brg__link *link, uint64_t id); /* unless both sides still use it */

#endif
