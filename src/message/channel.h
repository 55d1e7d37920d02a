/* SPDX-License-Identifier: MIT */
/*
 * Channels, where their two ends may be in different processes.
 *
 * A process that made a channel, or was sent one end of another's, holds a struct brg__channel with two sides. A side
 * is
 *   HERE     its port, or the value its port travels in, is in this process; what is posted to it waits in its queue;
 *   REMOTE   it is in the process behind a remote, which knows it by a number; what is posted to it is sent there;
 *   SINK     a function takes what is posted to it (broadcast);
 *   COMING   it is on its way back from a remote: see below.
 * So a channel between two process workers is, in their owner, one with two REMOTE sides, and in each worker one with
 * one REMOTE side. The relay needs no code of its own: what arrives from side A's remote is posted to side B.
 *
 * An end (brg__end) is one side as one remote knows it under one number: one trip. A side that wanders has had many,
 * each with a number of its own, and frames of two of them may be on their way at once, even on one link; so all that
 * is counted or remembered about a trip is in its end.
 *
 * Leaving (HERE -> REMOTE). Posting a value with a port in it to another process makes an end for it (brg__port_leave),
 * writes the number into the frame, publishes the frame, and then, with no other lock held, the port departs: its queue
 * is sent after it and its side turns REMOTE. Until then the side is HERE with nobody to receive, so posts to it just
 * wait in the queue, in order. The port may be back before that (brg__end_come_back): then nothing was sent under that
 * number, and departing does nothing. A side that is still COMING from elsewhere departs when it is HERE.
 *
 * Coming back (REMOTE -> COMING -> HERE). The other process sends the port in a value of its own. Posts we sent before
 * we knew are on their way to it, and it sends them back (bounce), after those it had not received. The side turns
 * COMING: what bounces goes into the queue, where a receiver may take it at once, new posts into `held`; we send `fin`,
 * the other process answers `fin_ack` when it has bounced all (it sends all credit it owes before that), then `held`
 * follows the queue and the side is HERE, or departs for where its value went meanwhile. A side is COMING from one
 * remote at a time: before that is over it does not turn REMOTE again, and numbers that came back without having been
 * sent anything have nothing to wait for.
 *
 * Closing. A side is dead when its holder closed it or its process is gone; posts to either side fail then. `close`
 * says to a remote: nothing more will come from the side over here. From home to the one who was sent a port: the other
 * side is dead, read what there is. From that one to home: the port that you sent is dead. A port in a value may travel
 * though its other side is dead: its queue and then `close` follow it. What cannot be sent on (too large for that
 * process, no memory) closes the channel, for a stream with a hole in it is worse than one that ended.
 *
 * Numbers end thus: the one who was sent the port says `forget` after `close` or after `fin_ack`; home says it when it
 * hears one of these. Frames that cross with them are for an end that is over, which takes and drops them.
 *
 * A COMING side whose remote dies: what was sent there and neither came back nor was credited is lost; the receiver
 * gets a message error in its place, and the side is HERE.
 *
 * Credit. A direction's limits count what was posted and not yet received, wherever it is: `pending` of the side that
 * receives. For a REMOTE receiver it holds what was sent there until credit for it comes; for a REMOTE poster its end
 * holds in `view` what that poster believes is pending, and view - pending is the credit it is owed, sent when it is a
 * quarter of a limit, or at once while that poster `wants` it. A relay passes both on. A port that leaves takes along,
 * as its first view, how much of its own is still pending (brg__terms), or moving would renew the limit. Bytes are the
 * receiver's to count, and a value that could not be read has none: so where nothing is pending any more, no bytes are.
 *
 * Trust. What a remote says is checked here: posts beyond its view, credit or bounces for more than was sent, numbers
 * that come back twice give BRG_PROTOCOL and the link ends the worker.
 *
 * Circles. A value that holds a port and waits in that port's own queue, or in one that is held there, could never be
 * read or freed. Each side knows in whose queue it waits (`container`), and what would close a circle is refused:
 * BRG_INVALID for a post, a message error for what came from a process. Circles through two processes last until one of
 * the two ends; where two ports were sent to each other at the same time, each from where the other was, they follow
 * each other to and fro until then.
 *
 * Locks: a channel's lock (BRG__RANK_PORT) may be held while a link's are taken, never two channels'; a LEAF lock
 * guards all containers. Values are dropped, departures run and references let go under none.
 */
#ifndef BRG_MESSAGE_CHANNEL_H
#define BRG_MESSAGE_CHANNEL_H

#include <brigade/port.h>

typedef struct brg__channel brg__channel;
typedef struct brg__end brg__end;

/* Ports whose number was written into a frame that has been published: they depart once no lock is held. Zeroed: none.
 * */
typedef struct brg__departures {
    brg_port *first;
    brg_port *last;
} brg__departures;

/*
 * Another process, as channels see it: one link of the worker layer, or a fake one in tests. None of these waits: what
 * finds no room in the ring stays with the link, in order. All may be called under one channel's lock. Each `id` is one
 * that the link gave out for this end or that came from there.
 */
typedef struct brg__remote brg__remote;
typedef struct brg__remote_ops {
    /*
     * Sends a value to the end called `id` over there: taken on success. Ends in it that go along are added to
     * `departures`. BRG_CLOSED (the process is gone), BRG_TOO_LARGE, BRG_UNSUPPORTED, BRG_NO_MEMORY: nothing was sent.
     * `bounce`: the value was sent to us by that side and is going back.
     */
    brg_status (*post)(brg__remote *remote, uint64_t id, brg_value *value, bool bounce, brg__departures *departures,
                       brg_error *error);
    void (*credit)(brg__remote *remote, uint64_t id, uint32_t count, uint64_t bytes);
    void (*want)(brg__remote *remote, uint64_t id); /* a poster here waits for room there */
    void (*close)(brg__remote *remote,
                  uint64_t id); /* the end on this side is closed: nothing more will come from it */
    void (*fin)(brg__remote *remote, uint64_t id);
    void (*fin_ack)(brg__remote *remote, uint64_t id);
    void (*forget)(brg__remote *remote, uint64_t id); /* this side will not name the id again */
    bool (*pump)(
        brg__remote
            *remote); /* moves what came, on the calling thread; whether there was any. For a receiver that waits */
    void (*unpump)(brg__remote *remote); /* before it sleeps: somebody else looks from here on */
} brg__remote_ops;

struct brg__remote {
    const brg__remote_ops *ops;
    void (*ref)(brg__remote *remote);
    void (*unref)(brg__remote *remote);
};

/* What the one who is sent a port needs to know about its channel. */
typedef struct brg__terms {
    uint32_t messages_max;
    uint32_t pending_count; /* posted by this port before and not yet received */
    uint64_t bytes_max;
    uint64_t pending_bytes;
} brg__terms;

/* ---- what a link calls --------------------------------------------------------------------------------------- */
/*
 * An entry of the link's table for a port number holds one reference on the end (brg__end_ref), until both sides have
 * said that they are done with it. All of these: any thread, no lock held, except where it is said.
 */

void brg__end_ref(brg__end *end);
void brg__end_unref(brg__end *end);

/*
 * Notes that a port, which is in a value, leaves for `remote` under *id, for its frame is about to be published; `stay`
 * takes it back if it was not. Takes no lock, and may run under any: the value is the caller's alone. *end, borrowed
 * from the port, is for the link's table. Where its channel was adopted from that same remote the port goes home: *id
 * becomes the number it has there, *home is true, *end is untouched, the table has it; what it had not received is
 * bounced when it departs, as is what still comes for that id, until `fin`. BRG_NO_MEMORY.
 */
brg_status brg__port_leave(brg_port *port, brg__remote *remote, uint64_t *id, bool *home, brg__end **end);
void brg__port_stay(brg_port *port);
/* After the frame was published: the port, which is in no value any more, departs with `departures`. Under any lock. */
void brg__departures_add(brg__departures *departures, brg_port *port);
/* Sends the queues after them, and after the ports in those that go along. */
void brg__departures_run(brg__departures *departures);
/* Of an end that leaves, until it departs. Under any lock. */
void brg__end_terms(const brg__end *end, brg__terms *terms);

/* A value from there names the number of `end`, which left for there: it comes back; *out is its new port.
 * BRG_PROTOCOL when it is not there. BRG_NO_MEMORY: the port is closed, nothing else is to be done. */
brg_status brg__end_come_back(brg__end *end, brg__remote *remote, brg_port **out);
/* A value from there names an id of that side's making: a new channel, whose one side is REMOTE and whose other is the
 * port *out. *end is the REMOTE one, referenced, for the table. BRG_PROTOCOL for terms that no channel has. */
brg_status brg__end_adopt(brg__remote *remote, uint64_t id, const brg__terms *terms, brg_port **out, brg__end **end);

/* Frames from `remote` about the end of its id: the table's. `arrived` takes the value on success; BRG_PROTOCOL. */
brg_status brg__end_arrived(brg__end *end, brg__remote *remote, brg_value *value, brg__departures *departures);
brg_status brg__end_bounced(brg__end *end, brg__remote *remote, brg_value *value);
brg_status brg__end_credited(brg__end *end, brg__remote *remote, uint32_t count, uint64_t bytes);
void brg__end_wanted(brg__end *end, brg__remote *remote);
/* The side over there is dead, or its process is gone: for a COMING side nothing more will bounce. */
void brg__end_closed(brg__end *end, brg__remote *remote);
/* It has bounced all: a COMING side is HERE now. And the question for that: all that was sent to `id` before has
 * arrived here. */
brg_status brg__end_fin_acked(brg__end *end, brg__remote *remote);
void brg__end_fin(brg__end *end, brg__remote *remote);
/* A value (that bounced) could not be read (memory, here): the receiver gets a message error in its place. */
void brg__end_garbled(brg__end *end, brg__remote *remote, bool bounced, const brg_error *error);

/* ---- what values call -------------------------------------------------------------------------------------------- */

/* Whether a port may be put into a value: BRG_CLOSED, BRG_STATE (started). */
brg_status brg__port_can_travel(const brg_port *port);

/* Channels that exist in this process, for leak checks. */
size_t brg__channels_open(void);

/* ---- sinks (broadcast) ------------------------------------------------------------------------------------------- */

typedef struct brg__sink {
    void (*arrived)(struct brg__sink *sink, brg_value *value); /* borrowed; in order; no channel lock held */
    void (*closed)(struct brg__sink *sink);                    /* once; then the channel lets go of the sink */
} brg__sink;

/* A channel whose other end is a sink. */
brg_status brg__channel_create_sink(brg_port **port, brg__end **sink_end, brg__sink *sink, uint32_t messages_max,
                                    uint64_t bytes_max, brg_error *error);
/* Posts from the sink's side, without waiting. */
brg_status brg__sink_post(brg__end *sink_end, brg_value *value);
void brg__sink_close(brg__end *sink_end);

#endif
