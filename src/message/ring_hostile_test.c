/* SPDX-License-Identifier: MIT */
/* A ring whose other end lies: an error or a frame within bounds, never more. ASan watches the area's ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "message/ring.h"
#include "os/memory.h"
#include "os/thread.h"

#define CAPACITY 4096u

static const uint64_t extremes[] = {0,          1,          63,         64,         65,         4032,
                                    4095,       4096,       4097,       4160,       8192,       0x7fffffff,
                                    0x80000000, 0xffffffbf, 0xffffffc0, 0xffffffff, UINT32_MAX, 1ull << 32,
                                    1ull << 40, INT64_MAX,  1ull << 63, ~63ull,     ~4095ull,   UINT64_MAX - 64,
                                    UINT64_MAX};

/* Extreme, small and a multiple of 64, or anything. */
static uint64_t random_lie(uint64_t *state)
{
    switch (brg__random_next(state) % 4) {
    case 0:
        return extremes[brg__random_next(state) % brg__count_of(extremes)];
    case 1:
        return brg__random_next(state) % (2 * CAPACITY) / BRG__FRAME_ALIGN * BRG__FRAME_ALIGN;
    case 2:
        return brg__random_next(state) % (2 * CAPACITY);
    default:
        return brg__random_next(state);
    }
}

typedef struct pair {
    brg__ring_shared *shared;
    unsigned char *area;
    brg__ring_producer producer;
    brg__ring_consumer consumer;
} pair;

static void pair_init(pair *p)
{
    p->shared = brg__calloc_aligned(sizeof(*p->shared));
    p->area = aligned_alloc(BRG__FRAME_ALIGN, CAPACITY);
    assert_non_null(p->shared);
    assert_non_null(p->area);
    memset(p->area, 0, CAPACITY);
    brg__ring_producer_init(&p->producer, p->shared, p->area, CAPACITY, -1, 0);
    brg__ring_consumer_init(&p->consumer, p->shared, p->area, CAPACITY);
}

static void pair_done(pair *p)
{
    brg__mfree_aligned(p->shared);
    free(p->area);
}

static brg__frame *pair_send(pair *p, uint64_t size)
{
    brg__frame *frame = NULL;
    assert_int_equal(brg__ring_reserve(&p->producer, size, &frame), BRG_OK);
    frame->kind = 1;
    brg__ring_publish(&p->producer);
    return frame;
}

static brg_status peek(pair *p)
{
    brg__frame header;
    const void *payload;
    return brg__ring_peek(&p->consumer, &header, NULL, &payload);
}

static volatile unsigned sink;

/* Reads up to `most` frames, each byte of them; returns the status that ended it. */
static brg_status drain(pair *p, int most)
{
    for (int i = 0; i < most; i++) {
        brg__frame header, *in_place = NULL;
        const void *payload = NULL;
        brg_status status = brg__ring_peek(&p->consumer, &header, &in_place, &payload);
        if (status != BRG_OK) {
            assert_true(status == BRG_PROTOCOL || status == BRG_EMPTY);
            assert_null(in_place);
            assert_null(payload);
            return status;
        }
        assert_int_not_equal(header.kind, BRG__FRAME_PAD);
        assert_true(header.payload_bytes <= brg__ring_payload_max(CAPACITY));
        const unsigned char *bytes = payload;
        assert_true(bytes >= p->area && bytes + header.payload_bytes <= p->area + CAPACITY);
        for (uint32_t j = 0; j < header.payload_bytes; j++)
            sink += bytes[j];
        brg__ring_consume(&p->consumer);
    }
    return BRG_OK;
}

static void lying_tail_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < brg__count_of(extremes); i++) {
        pair p;
        pair_init(&p);
        for (int j = 0; j < 10; j++)
            pair_send(&p, 0);
        assert_int_equal(drain(&p, 100), BRG_EMPTY);
        uint64_t lie = extremes[i], head = 640;
        bool fair = lie >= head && lie <= head + CAPACITY && lie % 64 == 0;
        p.shared->xtail = lie;
        if (!fair) {
            assert_true(brg__ring_has_frame(&p.consumer));
            assert_int_equal(peek(&p), BRG_PROTOCOL);
            assert_int_equal(peek(&p), BRG_PROTOCOL);
        } else {
            drain(&p, 1000);
        }
        pair_done(&p);
    }
}

static void lying_length_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < brg__count_of(extremes); i++) {
        pair p;
        pair_init(&p);
        brg__frame *frame = pair_send(&p, 100);
        frame->payload_bytes = (uint32_t)extremes[i];
        bool fair = frame->payload_bytes <= 128;
        assert_int_equal(peek(&p), fair ? BRG_OK : BRG_PROTOCOL);
        pair_done(&p);
    }
}

/* Long enough for what was published, but past the end of the area, or longer than a frame may be. */
static void length_past_the_end_is_refused(void **state)
{
    (void)state;
    pair p;
    pair_init(&p);
    pair_send(&p, 1984);
    pair_send(&p, 1000);
    assert_int_equal(drain(&p, 2), BRG_OK);
    brg__frame *frame = pair_send(&p, 0);
    assert_ptr_equal(frame, p.area + 2048 + 1088);
    p.shared->xtail = p.consumer.head + CAPACITY;
    frame->payload_bytes = CAPACITY - 2048 - 1088 - 64;
    assert_int_equal(peek(&p), BRG_OK);
    frame->payload_bytes++;
    assert_int_equal(peek(&p), BRG_PROTOCOL);
    pair_done(&p);

    pair_init(&p);
    frame = pair_send(&p, 0);
    p.shared->xtail = CAPACITY;
    frame->payload_bytes = (uint32_t)brg__ring_payload_max(CAPACITY);
    assert_int_equal(peek(&p), BRG_OK);
    frame->payload_bytes++;
    assert_int_equal(peek(&p), BRG_PROTOCOL);
    pair_done(&p);
}

static void set_pad(pair *p, uint64_t offset, uint64_t size)
{
    brg__frame *frame = (brg__frame *)(void *)(p->area + offset);
    *frame = (brg__frame){.kind = BRG__FRAME_PAD, .payload_bytes = (uint32_t)(size - sizeof(*frame))};
}

static void pads_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint64_t start, size, tail;
        brg_status want;
    } cases[] = {
        {640, CAPACITY - 640, CAPACITY + 64, BRG_OK},           /* as it should be */
        {640, CAPACITY - 640, CAPACITY, BRG_PROTOCOL},          /* nothing after it */
        {640, CAPACITY - 704, CAPACITY + 64, BRG_PROTOCOL},     /* ends before the end */
        {640, CAPACITY - 639, CAPACITY + 64, BRG_PROTOCOL},     /* ends after it */
        {640, 2 * CAPACITY - 640, CAPACITY + 64, BRG_PROTOCOL}, /* a lap too many */
        {640, 64, CAPACITY + 64, BRG_PROTOCOL},
        {640, 63, CAPACITY + 64, BRG_PROTOCOL}, /* length 2^32 - 1 */
        {0, CAPACITY, CAPACITY, BRG_PROTOCOL},  /* the whole area */
    };
    for (size_t i = 0; i < brg__count_of(cases); i++) {
        pair p;
        pair_init(&p);
        for (uint64_t j = 0; j < cases[i].start / 64; j++)
            pair_send(&p, 0);
        drain(&p, 100);
        assert_int_equal(p.consumer.head, cases[i].start);
        set_pad(&p, cases[i].start, cases[i].size);
        p.shared->xtail = cases[i].tail;
        assert_int_equal(peek(&p), cases[i].want);
        pair_done(&p);
    }
}

static void pads_without_end_are_refused(void **state)
{
    (void)state;
    pair p;
    pair_init(&p);
    pair_send(&p, 0);
    drain(&p, 1);
    for (uint64_t offset = 0; offset < CAPACITY; offset += 64)
        set_pad(&p, offset, CAPACITY - offset);
    p.shared->xtail = CAPACITY + 64;
    for (int i = 0; i < 5; i++)
        assert_int_equal(peek(&p), BRG_PROTOCOL);
    pair_done(&p);

    /* The second could pass for a frame. */
    pair_init(&p);
    pair_send(&p, 0);
    drain(&p, 1);
    set_pad(&p, 64, CAPACITY - 64);
    set_pad(&p, 0, 64);
    p.shared->xtail = CAPACITY + 64;
    for (int i = 0; i < 5; i++)
        assert_int_equal(peek(&p), BRG_PROTOCOL);
    pair_done(&p);
}

static void lying_head_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < brg__count_of(extremes); i++) {
        pair p;
        pair_init(&p);
        brg__frame *frame = NULL;
        /* Full, at position 4096 + 640, with a head last seen at 640. */
        for (int j = 0; j < 10; j++)
            pair_send(&p, 0);
        assert_int_equal(drain(&p, 100), BRG_EMPTY);
        for (uint64_t j = 0; j < CAPACITY / 64; j++)
            pair_send(&p, 0);
        assert_int_equal(brg__ring_reserve(&p.producer, 0, &frame), BRG_FULL);
        uint64_t lie = extremes[i], tail = CAPACITY + 640;
        bool fair = lie >= 640 && lie <= tail && lie % 64 == 0;
        p.shared->xhead = lie;
        brg_status want = !fair ? BRG_PROTOCOL : lie == 640 ? BRG_FULL : BRG_OK;
        assert_int_equal(brg__ring_reserve(&p.producer, 0, &frame), want);
        assert_int_equal(p.producer.tail, tail);
        pair_done(&p);
    }
}

/* Reserved but not published is not the consumer's to consume. */
static void head_past_the_published_is_refused(void **state)
{
    (void)state;
    pair p;
    pair_init(&p);
    brg__frame *frame;
    pair_send(&p, 0);
    for (uint64_t i = 1; i < CAPACITY / 64; i++)
        assert_int_equal(brg__ring_reserve(&p.producer, 0, &frame), BRG_OK);
    p.shared->xhead = 128;
    assert_int_equal(brg__ring_reserve(&p.producer, 0, &frame), BRG_PROTOCOL);
    p.shared->xhead = 64;
    assert_int_equal(brg__ring_reserve(&p.producer, 0, &frame), BRG_OK);
    pair_done(&p);
}

static void consumer_survives_any_image(void **state)
{
    (void)state;
    uint64_t random = 1;
    unsigned outcomes[3] = {0};
    for (int round = 0; round < 50000; round++) {
        pair p;
        pair_init(&p);
        for (uint64_t offset = 0; offset < CAPACITY; offset += 64) {
            brg__frame *frame = (brg__frame *)(void *)(p.area + offset);
            frame->kind = brg__random_next(&random) % 32 == 0 ? BRG__FRAME_PAD : 1;
            frame->payload_bytes = (uint32_t)(brg__random_next(&random) % 80);
            if (frame->kind == BRG__FRAME_PAD && brg__random_next(&random) % 4 != 0)
                frame->payload_bytes = (uint32_t)(CAPACITY - offset - 64);
            if (brg__random_next(&random) % 64 == 0)
                frame->payload_bytes = (uint32_t)random_lie(&random);
        }
        for (int turn = 0; turn < 5; turn++) {
            p.shared->xtail = brg__random_next(&random) % 2 == 0 ? random_lie(&random) : p.consumer.head + CAPACITY;
            brg_status status = drain(&p, 1000);
            outcomes[status == BRG_OK ? 0 : status == BRG_EMPTY ? 1 : 2]++;
        }
        pair_done(&p);
    }
    /* Nothing gives a thousand frames without a new tail; both other ends occur, or the images are too dull. */
    assert_int_equal(outcomes[0], 0);
    assert_true(outcomes[1] > 1000 && outcomes[2] > 1000);
}

static void producer_survives_any_head(void **state)
{
    (void)state;
    uint64_t random = 2;
    unsigned refused = 0, written = 0;
    for (int round = 0; round < 2000; round++) {
        pair p;
        pair_init(&p);
        for (int i = 0; i < 200; i++) {
            p.shared->xhead = brg__random_next(&random) % 20 == 0
                                  ? random_lie(&random)
                                  : p.producer.head + (p.producer.tail - p.producer.head) / 128 * 64;
            uint64_t size = brg__random_next(&random) % (brg__ring_payload_max(CAPACITY) + 1);
            brg__frame *frame;
            brg_status status = brg__ring_reserve(&p.producer, size, &frame);
            assert_true(status == BRG_OK || status == BRG_FULL || status == BRG_PROTOCOL);
            refused += status == BRG_PROTOCOL;
            if (status != BRG_OK)
                continue;
            memset(frame, 0xff, sizeof(*frame) + size); /* within the area, says ASan */
            written++;
            if (brg__random_next(&random) % 2 == 0)
                brg__ring_publish(&p.producer);
        }
        pair_done(&p);
    }
    assert_true(refused > 100 && written > 100);
}

/* --- memory that changes while it is read --- */

typedef struct scribbler {
    pair *p;
    uint32_t xstop;
} scribbler;

static void scribble(void *argument)
{
    scribbler *s = argument;
    uint64_t random = 3;
    while (brg_load_relaxed(&s->xstop) == 0) {
        uint64_t *words = (uint64_t *)(void *)s->p->area;
        uint64_t offset = brg__random_next(&random) % (CAPACITY / 64) * 64;
        uint64_t kind = brg__random_next(&random) % 4 == 0 ? BRG__FRAME_PAD : 1;
        uint64_t size = brg__random_next(&random) % 2 == 0 ? CAPACITY - offset - 64 : random_lie(&random) % 8192;
        brg_store_relaxed(&words[offset / 8], kind | size << 32);
        uint64_t head = brg_load_relaxed(&s->p->shared->xhead);
        brg_store_relaxed(&s->p->shared->xtail, brg__random_next(&random) % 8 == 0 ? random_lie(&random) : head + 4096);
    }
}

static void consumer_survives_changing_memory(void **state)
{
    (void)state;
#if defined(__SANITIZE_THREAD__)
    skip(); /* racing is the test */
#endif
    pair p;
    pair_init(&p);
    scribbler s = {.p = &p};
    brg__thread thread;
    assert_int_equal(brg__thread_start(&thread, "scribbler", 0, scribble, &s, NULL), BRG_OK);
    for (int i = 0; i < 200000; i++)
        drain(&p, 10);
    brg_store_relaxed(&s.xstop, 1u);
    brg__thread_join(&thread);
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lying_tail_is_refused),
        cmocka_unit_test(lying_length_is_refused),
        cmocka_unit_test(length_past_the_end_is_refused),
        cmocka_unit_test(pads_that_lie_are_refused),
        cmocka_unit_test(pads_without_end_are_refused),
        cmocka_unit_test(lying_head_is_refused),
        cmocka_unit_test(head_past_the_published_is_refused),
        cmocka_unit_test(consumer_survives_any_image),
        cmocka_unit_test(producer_survives_any_head),
        cmocka_unit_test(consumer_survives_changing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
