/* SPDX-License-Identifier: MIT */
/*
 * A ring under a hostile peer. The input is a list of steps and the memory the peer left:
 * byte 0: log2 of the capacity less 8 (mod 5); byte 1: number of steps (mod 16); then the steps, 12 bytes each:
 * xtail or xhead (u64), what to do (u8), a number (u24); then the area's bytes, repeated to its end.
 */
#include <stdlib.h>
#include <string.h>

#include "message/ring.h"

#define STEP_BYTES 12u
#define FRAMES_MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void consume_all(brg__ring_consumer *ring)
{
    for (int i = 0; i < FRAMES_MAX; i++) {
        brg__frame header, *in_place;
        const void *payload;
        if (brg__ring_peek(ring, &header, &in_place, &payload) != BRG_OK)
            return;
        const unsigned char *bytes = payload;
        check(header.kind != BRG__FRAME_PAD);
        check(header.payload_bytes <= brg__ring_payload_max(ring->capacity));
        check(bytes >= ring->area && bytes + header.payload_bytes <= ring->area + ring->capacity);
        for (uint32_t j = 0; j < header.payload_bytes; j++)
            sink += bytes[j];
        sink += brg_load_relaxed(&in_place->xclaim);
        brg__ring_consume(ring);
    }
    /* Each frame takes 64 bytes of at most a lap, so that this many cannot come from one look at xtail. */
    check(false);
}

/* As the producer, whose peer stores xhead. */
static void produce(brg__ring_producer *ring, uint64_t xhead, uint32_t number)
{
    brg_store_relaxed(&ring->shared->xhead, xhead);
    uint64_t payload_bytes = number % (brg__ring_payload_max(ring->capacity) + 1);
    brg__frame *frame;
    if (brg__ring_reserve(ring, payload_bytes, &frame) != BRG_OK)
        return;
    memset(frame + 1, (int)number, payload_bytes);
    frame->kind = number;
    if (number % 8 == 0)
        brg__ring_retract(ring);
    else if (number % 2 == 0)
        brg__ring_publish(ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    uint64_t capacity = (uint64_t)256 << data[0] % 5;
    size_t steps = (size_t)data[1] % 16;
    if (size - 2 < steps * STEP_BYTES)
        steps = (size - 2) / STEP_BYTES;
    const uint8_t *image = data + 2 + steps * STEP_BYTES;
    size_t image_size = size - 2 - steps * STEP_BYTES;

    brg__ring_shared shared = {0};
    unsigned char *area = aligned_alloc(BRG__FRAME_ALIGN, capacity);
    check(area != NULL);
    for (uint64_t i = 0; i < capacity; i++)
        area[i] = image_size > 0 ? image[i % image_size] : 0;
    brg__ring_consumer consumer;
    brg__ring_producer producer;
    brg__ring_consumer_init(&consumer, &shared, area, capacity);
    brg__ring_producer_init(&producer, &shared, area, capacity, -1, 0);
    for (size_t i = 0; i < steps; i++) {
        uint64_t position;
        uint32_t what;
        memcpy(&position, data + 2 + i * STEP_BYTES, sizeof(position));
        memcpy(&what, data + 2 + i * STEP_BYTES + sizeof(position), sizeof(what));
        if (what % 2 == 0) {
            brg_store_relaxed(&shared.xtail, what % 4 == 0 ? position : consumer.head + position % (2 * capacity));
            consume_all(&consumer);
        } else {
            produce(&producer, what % 4 == 1 ? position : producer.head + position % (2 * capacity), what >> 8);
        }
    }
    free(area);
    return 0;
}
