/* SPDX-License-Identifier: MIT */
/*
 * Design notes
 *
 * Two positions rule the ring: xtail, which only the producer stores, and xhead, which only the consumer stores.
 * Each side works from private copies and loads the other's position only when its copy does not suffice, so
 * that in a stream the two sides seldom touch the same cache line (Lamport 1983; the cached index is rigtorp's
 * SPSCQueue's).
 *
 * Where a frame goes. Frames are at most half the capacity, so an empty ring takes any of them wherever it stands:
 * either the rest of the area holds it, or the part before does and a pad fills the rest. A pad is always published
 * together with the frame after it; so the consumer meets at most one between two frames, and more than that is a
 * lie.
 *
 * The soft wrap. A frame that would end past BRG__RING_SOFT_BYTES jumps to offset 0 when that fits, which says that
 * the consumer is in the same lap and past the frame's length. An empty ring thus always jumps, unless the frame is
 * longer than all that lies before it. The price is a fresh xhead for each such frame.
 *
 * Backing. Pages are a prefix [0, backed) of the area, reserved before they are written: a full memory is an error
 * of the producer's call and not a SIGBUS. A run of RING_LOW_COUNT frames below RING_KEEP_BYTES gives back what lies
 * above, when nothing in flight lies there; one big message now and then thus keeps no memory, and a stream of big
 * ones keeps its pages.
 *
 * What a reader might get wrong: everything in the shared memory but our own position is the peer's word. It is
 * loaded once into private memory and only the copy is checked and used.
 */
#include "message/ring.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "os/memory.h"

#define RING_BACK_STEP_BYTES ((uint64_t)64 << 10)
#define RING_KEEP_BYTES ((uint64_t)1 << 20)
#define RING_LOW_COUNT 64u
#define RING_CAPACITY_MAX ((uint64_t)1 << 31)

_Static_assert(sizeof(brg__frame) == BRG__FRAME_ALIGN, "a header fits wherever a frame may start");

/* Where a frame will go. */
typedef struct ring_place {
    uint64_t offset; /* of next */
    uint64_t pad;    /* bytes to fill first, up to the end of the area; 0: none */
    bool fits;
    bool may_jump; /* it would, if the head was further on */
} ring_place;

static void ring_check(const void *area, uint64_t capacity)
{
    assert((capacity & (capacity - 1)) == 0);
    assert(capacity >= 4u * BRG__FRAME_ALIGN && capacity <= RING_CAPACITY_MAX);
    assert((uintptr_t)area % BRG__FRAME_ALIGN == 0);
    (void)area;
    (void)capacity;
}

void brg__ring_producer_init(brg__ring_producer *ring, brg__ring_shared *shared, void *area, uint64_t capacity, int fd,
                             uint64_t area_offset)
{
    ring_check(area, capacity);
    *ring = (brg__ring_producer){
        .shared = shared, .area = area, .capacity = capacity, .fd = fd, .area_offset = area_offset};
}

void brg__ring_consumer_init(brg__ring_consumer *ring, brg__ring_shared *shared, void *area, uint64_t capacity)
{
    ring_check(area, capacity);
    *ring = (brg__ring_consumer){.shared = shared, .area = area, .capacity = capacity};
}

uint64_t brg__ring_payload_max(uint64_t capacity) { return capacity / 2 - sizeof(brg__frame); }

static inline uint64_t ring_frame_size(uint64_t payload_bytes)
{
    return brg__align_up(sizeof(brg__frame) + payload_bytes, BRG__FRAME_ALIGN);
}

static brg_status ring_look(brg__ring_producer *ring)
{
    /* Pairs with the releases of xhead in peek and consume: the room was read before it is written again. */
    uint64_t head = brg_load_acquire(&ring->shared->xhead);
    if (head - ring->head > ring->tail - ring->head || head % BRG__FRAME_ALIGN != 0)
        return BRG_PROTOCOL;
    ring->head = head;
    return BRG_OK;
}

static inline ring_place ring_find_place(const brg__ring_producer *ring, uint64_t size)
{
    uint64_t offset = ring->next & (ring->capacity - 1), rest = ring->capacity - offset;
    uint64_t room = ring->capacity - (ring->next - ring->head);
    if (size > rest)
        return (ring_place){.offset = offset, .pad = rest, .fits = rest + size <= room};
    /* With room for the header of the pad that will follow, so that not even this is written past the limit. */
    if (offset + size + sizeof(brg__frame) > BRG__RING_SOFT_BYTES && size <= offset) {
        if (rest + size <= room)
            return (ring_place){.offset = offset, .pad = rest, .fits = true};
        return (ring_place){.offset = offset, .fits = size <= room, .may_jump = true};
    }
    return (ring_place){.offset = offset, .fits = size <= room};
}

/* The first byte after all that is written for a frame. */
static inline uint64_t ring_place_end(const ring_place *place, uint64_t size)
{
    return place->pad == 0 ? place->offset + size : brg__max(place->offset + sizeof(brg__frame), size);
}

static brg_status ring_back(brg__ring_producer *ring, uint64_t end)
{
    uint64_t to = brg__min(brg__align_up(end, RING_BACK_STEP_BYTES), ring->capacity);
    if (ring->fd >= 0 && brg__memfd_reserve(ring->fd, (size_t)(ring->area_offset + ring->backed),
                                            (size_t)(to - ring->backed), NULL) != BRG_OK)
        return BRG_NO_MEMORY;
    ring->backed = to;
    return BRG_OK;
}

/* Called for each frame while more than RING_KEEP_BYTES are backed. */
static brg_status ring_give_back(brg__ring_producer *ring, const ring_place *place, uint64_t end)
{
    if (end > RING_KEEP_BYTES) {
        ring->low_count = 0;
        return BRG_OK;
    }
    if (++ring->low_count % RING_LOW_COUNT != 0)
        return BRG_OK;
    brg_status status = ring_look(ring);
    /* A head in this lap: all that is in flight ends at the offset, which is low. */
    if (status == BRG_OK && place->pad == 0 && ring->next - ring->head <= place->offset) {
        brg__memory_discard(ring->area + RING_KEEP_BYTES, (size_t)(ring->backed - RING_KEEP_BYTES));
        ring->backed = RING_KEEP_BYTES;
    }
    return status;
}

static brg__frame *ring_write_header(brg__ring_producer *ring, uint32_t kind, uint64_t size, uint64_t payload_bytes)
{
    brg__frame *frame = (brg__frame *)(void *)(ring->area + (ring->next & (ring->capacity - 1)));
    *frame = (brg__frame){.kind = kind, .payload_bytes = (uint32_t)payload_bytes};
    ring->next += size;
    return frame;
}

brg_status brg__ring_reserve(brg__ring_producer *ring, uint64_t payload_bytes, brg__frame **out)
{
    if (payload_bytes > brg__ring_payload_max(ring->capacity))
        return BRG_TOO_LARGE;
    uint64_t size = ring_frame_size(payload_bytes);
    brg_status status = BRG_OK;
    ring_place place = ring_find_place(ring, size);
    if (!place.fits || place.may_jump) {
        status = ring_look(ring);
        if (status != BRG_OK)
            return status;
        place = ring_find_place(ring, size);
        if (!place.fits)
            return BRG_FULL;
    }
    uint64_t end = ring_place_end(&place, size);
    if (BRG__UNLIKELY(end > ring->backed))
        status = ring_back(ring, end);
    if (BRG__UNLIKELY(ring->backed > RING_KEEP_BYTES) && status == BRG_OK)
        status = ring_give_back(ring, &place, end);
    if (status != BRG_OK)
        return status;
    if (place.pad != 0)
        ring_write_header(ring, BRG__FRAME_PAD, place.pad, place.pad - sizeof(brg__frame));
    *out = ring_write_header(ring, 0, size, payload_bytes);
    return BRG_OK;
}

void brg__ring_publish(brg__ring_producer *ring)
{
    ring->tail = ring->next;
    /* Pairs with the acquire in consumer_look. */
    brg_store_release(&ring->shared->xtail, ring->tail);
}

void brg__ring_retract(brg__ring_producer *ring) { ring->next = ring->tail; }

static brg_status consumer_look(brg__ring_consumer *ring)
{
    /* Pairs with the release in publish: the frames up to here are written. */
    uint64_t tail = brg_load_acquire(&ring->shared->xtail);
    if (tail - ring->head > ring->capacity || tail % BRG__FRAME_ALIGN != 0)
        return BRG_PROTOCOL;
    ring->tail = tail;
    return tail == ring->head ? BRG_EMPTY : BRG_OK;
}

/* Pairs with the acquire in ring_look. */
static inline void consumer_publish(brg__ring_consumer *ring) { brg_store_release(&ring->shared->xhead, ring->head); }

static inline brg__frame *consumer_frame(const brg__ring_consumer *ring)
{
    return (brg__frame *)(void *)(ring->area + (ring->head & (ring->capacity - 1)));
}

/* One copy. The barrier keeps the compiler from reading the ring again where the copy is meant. */
static inline void consumer_copy_header(brg__frame *to, const brg__frame *from)
{
    memcpy(to, from, offsetof(brg__frame, xclaim));
    to->xclaim = brg_load_relaxed(&from->xclaim);
    memcpy(&to->status, &from->status, sizeof(*from) - offsetof(brg__frame, status));
    __asm__ __volatile__("" : : "r"(to) : "memory");
}

/* Passes a pad, checked: it ends where the area ends, and a frame follows it. */
static brg_status consumer_skip_pad(brg__ring_consumer *ring, const brg__frame *pad)
{
    uint64_t offset = ring->head & (ring->capacity - 1), size = sizeof(*pad) + (uint64_t)pad->payload_bytes;
    if (offset == 0 || offset + size != ring->capacity || size >= ring->tail - ring->head)
        return BRG_PROTOCOL;
    ring->head += size;
    ring->next = ring->head;
    /* At once, not when the frame is consumed: until then the producer counts the whole end of the area as in use. It
     * is not woken for this; the consume that follows does. */
    consumer_publish(ring);
    return BRG_OK;
}

brg_status brg__ring_peek(brg__ring_consumer *ring, brg__frame *header, brg__frame **in_place, const void **payload)
{
    if (ring->head == ring->tail) {
        brg_status status = consumer_look(ring);
        if (status != BRG_OK)
            return status;
    }
    brg__frame copy;
    consumer_copy_header(&copy, consumer_frame(ring));
    if (copy.kind == BRG__FRAME_PAD) {
        brg_status status = consumer_skip_pad(ring, &copy);
        if (status != BRG_OK)
            return status;
        consumer_copy_header(&copy, consumer_frame(ring));
    }
    /* No sum overflows: payload_bytes has 32 bits. A pad here is the second in a row. */
    uint64_t offset = ring->head & (ring->capacity - 1), size = ring_frame_size(copy.payload_bytes);
    if (copy.kind == BRG__FRAME_PAD || size > ring->capacity / 2 || size > ring->tail - ring->head ||
        size > ring->capacity - offset)
        return BRG_PROTOCOL;
    brg__frame *frame = consumer_frame(ring);
    ring->next = ring->head + size;
    *header = copy;
    if (in_place != NULL)
        *in_place = frame;
    *payload = frame + 1;
    return BRG_OK;
}

void brg__ring_consume(brg__ring_consumer *ring)
{
    assert(ring->next != ring->head);
    ring->head = ring->next;
    consumer_publish(ring);
}

bool brg__ring_has_frame(brg__ring_consumer *ring)
{
    return ring->head != ring->tail || brg_load_acquire(&ring->shared->xtail) != ring->head;
}
