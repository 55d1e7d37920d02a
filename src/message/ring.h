/* SPDX-License-Identifier: MIT */
/*
 * A one-way ring of frames in shared memory: one producer, one consumer, possibly in different processes that do not
 * trust each other. A frame is a 64-byte header and its payload, contiguous, in a sparse area of `capacity` bytes.
 *
 * Positions are 64-bit byte counts that only grow; offset = position % capacity. Frames never wrap: the producer
 * fills the rest of the area with a pad frame and goes on at offset 0. It also does so early, rather than pass
 * BRG__RING_SOFT_BYTES, when the low end is free: so that a lightly loaded ring keeps to a few warm pages. Until the
 * consumer has passed such a pad, room for more is what lies below the offset it has come to.
 *
 * Trust (ISOLATION 2.4): each side keeps its own position in private memory and publishes a copy; it loads the other
 * side's position once, and checks it; headers are copied once and the copy is checked. A lie gives BRG_PROTOCOL.
 * SPSC with cached opposite index: Lamport 1983; FastForward/B-Queue; rigtorp's SPSCQueue.
 */
#ifndef BRG_MESSAGE_RING_H
#define BRG_MESSAGE_RING_H

#include <brigade/status.h>

#include "base/util.h"
#include "os/park.h"

#define BRG__RING_SOFT_BYTES ((uint64_t)64 << 10)
#define BRG__FRAME_ALIGN 64
#define BRG__FRAME_PAD 0xffffffffu /* kind of the frames that fill an end; never handed out */

typedef struct brg__frame {
    uint32_t kind;          /* the protocol's; not BRG__FRAME_PAD */
    uint32_t payload_bytes; /* after the header; the next frame follows at a multiple of 64 */
    uint64_t id;
    uint32_t xclaim; /* shared after publication: who takes this frame (worker/protocol.h) */
    int32_t status;
    uint64_t word[5]; /* the protocol's */
} brg__frame;

/* In the shared segment; zeroed at the start. */
typedef struct brg__ring_shared {
    BRG__ALIGNED(64) uint64_t xtail;     /* written by the producer */
    BRG__ALIGNED(64) uint64_t xhead;     /* written by the consumer */
    BRG__ALIGNED(64) brg__gate consumer; /* where the consumer sleeps */
    BRG__ALIGNED(64) brg__gate producer; /* where the producer waits for room */
} brg__ring_shared;

typedef struct brg__ring_producer {
    brg__ring_shared *shared;
    unsigned char *area;
    uint64_t capacity;    /* a power of two, at least 4 * BRG__FRAME_ALIGN */
    uint64_t tail;        /* published */
    uint64_t next;        /* reserved, not yet published */
    uint64_t head;        /* last checked copy of xhead */
    int fd;               /* to back pages with before writing; -1: memory that needs none */
    uint64_t area_offset; /* of the area in fd */
    uint64_t backed;      /* bytes at the area's start known to be backed; without fd: that may have been touched */
    uint32_t low_count;   /* frames since the last one that lay high in the area: when to give pages back */
} brg__ring_producer;

typedef struct brg__ring_consumer {
    brg__ring_shared *shared;
    unsigned char *area;
    uint64_t capacity;
    uint64_t head; /* consumed, pads included */
    uint64_t next; /* after the frame peeked at; equals head when none was */
    uint64_t tail; /* last checked copy of xtail */
} brg__ring_consumer;

void brg__ring_producer_init(brg__ring_producer *ring, brg__ring_shared *shared, void *area, uint64_t capacity, int fd,
                             uint64_t area_offset);
void brg__ring_consumer_init(brg__ring_consumer *ring, brg__ring_shared *shared, void *area, uint64_t capacity);

/* The largest payload a ring takes: half its capacity less a header. */
uint64_t brg__ring_payload_max(uint64_t capacity);

/*
 * Room for a frame with `payload_bytes`: *out points at its header in the ring, zeroed but for payload_bytes, the
 * payload after it at *out + 1. Several may be reserved before brg__ring_publish hands them all over;
 * brg__ring_retract takes the unpublished back. Errors: BRG_FULL; BRG_TOO_LARGE; BRG_NO_MEMORY (no pages);
 * BRG_PROTOCOL (the peer lies).
 */
brg_status brg__ring_reserve(brg__ring_producer *ring, uint64_t payload_bytes, brg__frame **out);
void brg__ring_publish(brg__ring_producer *ring); /* then brg__gate_wake(&shared->consumer, scope) */
void brg__ring_retract(brg__ring_producer *ring);

/*
 * The next frame: *header is a private, checked copy; *in_place (may be NULL argument) the header in the ring, for
 * xclaim only; *payload the bytes in the ring, header->payload_bytes of them, which the peer may still change.
 * Peeking again gives the same frame until brg__ring_consume. Errors: BRG_EMPTY, BRG_PROTOCOL.
 */
brg_status brg__ring_peek(brg__ring_consumer *ring, brg__frame *header, brg__frame **in_place, const void **payload);
/* Gives the peeked frame's room back. Then brg__gate_wake(&shared->producer, scope). */
void brg__ring_consume(brg__ring_consumer *ring);
/* Whether a frame waits. One acquire load at most; a lie counts as yes. */
bool brg__ring_has_frame(brg__ring_consumer *ring);

#endif
