/* SPDX-License-Identifier: MIT */
/* The ring against a plain queue, between threads and between processes; its limits, its soft wrap and its pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "message/ring.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/fd.h"
#include "os/memory.h"
#include "os/thread.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define STREAM_FRAMES 100000u
#else
#define STREAM_FRAMES 1000000u
#endif
#define STREAM_LIMIT BRG_SECONDS(240) /* a wait this long means a lost wake-up */
#define MIB ((uint64_t)1 << 20)

static uint64_t random_below(uint64_t *state, uint64_t limit) { return brg__random_next(state) % limit; }

/* Every byte of a frame follows from its id. */
static void frame_fill(brg__frame *frame, uint64_t id, uint64_t size)
{
    uint64_t state = id;
    frame->kind = (uint32_t)random_below(&state, 1000);
    frame->id = id;
    frame->status = (int32_t)(uint32_t)brg__random_next(&state);
    frame->xclaim = (uint32_t)brg__random_next(&state);
    for (int i = 0; i < 5; i++)
        frame->word[i] = brg__random_next(&state);
    unsigned char *payload = (unsigned char *)(frame + 1);
    for (uint64_t i = 0; i < size; i++)
        payload[i] = (unsigned char)(id * 31 + i);
}

static bool frame_is(const brg__frame *frame, const unsigned char *payload, uint64_t id, uint64_t size)
{
    uint64_t state = id;
    bool same = frame->kind == random_below(&state, 1000) && frame->id == id && frame->payload_bytes == size;
    same = same && frame->status == (int32_t)(uint32_t)brg__random_next(&state);
    same = same && frame->xclaim == (uint32_t)brg__random_next(&state);
    for (int i = 0; i < 5; i++)
        same = same && frame->word[i] == brg__random_next(&state);
    for (uint64_t i = 0; same && i < size; i++)
        same = payload[i] == (unsigned char)(id * 31 + i);
    return same;
}

/* Both ends over heap memory of exactly the ring's size, so that ASan sees every step outside; or over a memfd. */
typedef struct pair {
    brg__ring_shared *shared;
    unsigned char *area;
    uint64_t capacity;
    int fd;
    brg__ring_producer producer;
    brg__ring_consumer consumer;
} pair;

static void pair_init(pair *p, uint64_t capacity)
{
    *p = (pair){.capacity = capacity, .fd = -1};
    p->shared = brg__calloc_aligned(sizeof(*p->shared));
    p->area = aligned_alloc(BRG__FRAME_ALIGN, capacity);
    assert_non_null(p->shared);
    assert_non_null(p->area);
    memset(p->area, 0xa5, capacity);
    brg__ring_producer_init(&p->producer, p->shared, p->area, capacity, -1, 0);
    brg__ring_consumer_init(&p->consumer, p->shared, p->area, capacity);
}

#define PAIR_AREA_OFFSET 4096u

static void pair_init_memfd(pair *p, uint64_t capacity)
{
    *p = (pair){.capacity = capacity};
    void *memory;
    assert_int_equal(brg__memfd_create(&p->fd, "ring", PAIR_AREA_OFFSET + capacity, NULL), BRG_OK);
    assert_int_equal(brg__map_shared(&memory, p->fd, PAIR_AREA_OFFSET + capacity, NULL), BRG_OK);
    p->shared = memory;
    p->area = (unsigned char *)memory + PAIR_AREA_OFFSET;
    brg__ring_producer_init(&p->producer, p->shared, p->area, capacity, p->fd, PAIR_AREA_OFFSET);
    brg__ring_consumer_init(&p->consumer, p->shared, p->area, capacity);
}

static void pair_done(pair *p)
{
    if (p->fd >= 0) {
        brg__unmap(p->shared, PAIR_AREA_OFFSET + p->capacity);
        brg__fd_close(&p->fd);
    } else {
        brg__mfree_aligned(p->shared);
        free(p->area);
    }
}

static void pair_send(pair *p, uint64_t id, uint64_t size)
{
    brg__frame *frame;
    assert_int_equal(brg__ring_reserve(&p->producer, size, &frame), BRG_OK);
    frame_fill(frame, id, size);
    brg__ring_publish(&p->producer);
}

static void pair_receive(pair *p, uint64_t id, uint64_t size)
{
    brg__frame header;
    const void *payload;
    assert_int_equal(brg__ring_peek(&p->consumer, &header, NULL, &payload), BRG_OK);
    assert_true(frame_is(&header, payload, id, size));
    brg__ring_consume(&p->consumer);
}

/* --- the model --- */

#define MODEL_MAX 4096

typedef struct model_frame {
    uint64_t id, size;
    uint64_t offset; /* of the header in the area */
} model_frame;

typedef struct model {
    pair p;
    uint64_t seed, random;
    model_frame frames[MODEL_MAX]; /* in flight, oldest first */
    uint32_t count, published;     /* of them; published <= count */
    uint64_t ids;
} model;

#define CHECK(m, condition)                                                                                            \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fail_msg("seed %llu, capacity %llu: %s", (unsigned long long)(m)->seed,                                    \
                     (unsigned long long)(m)->p.capacity, #condition);                                                 \
    } while (0)

static bool model_overlaps(const model_frame *a, const model_frame *b)
{
    return a->offset < b->offset + sizeof(brg__frame) + b->size && b->offset < a->offset + sizeof(brg__frame) + a->size;
}

/* Says exactly when the ring is full: its own positions, the one rule. */
static bool model_is_full(const model *m, uint64_t size)
{
    uint64_t used = m->p.producer.next - m->p.consumer.head, rest = m->p.capacity - m->p.producer.next % m->p.capacity;
    uint64_t bytes = brg__align_up(sizeof(brg__frame) + size, BRG__FRAME_ALIGN);
    return used + (rest < bytes ? rest : 0) + bytes > m->p.capacity;
}

static void model_reserve(model *m)
{
    uint64_t max = brg__ring_payload_max(m->p.capacity);
    uint64_t size = random_below(&m->random, 1 + (random_below(&m->random, 4) == 0 ? max : brg__min(max, 300)));
    bool full = model_is_full(m, size);
    brg__frame *frame = NULL;
    brg_status status = brg__ring_reserve(&m->p.producer, size, &frame);
    CHECK(m, status == (full ? BRG_FULL : BRG_OK));
    if (full) {
        CHECK(m, frame == NULL && m->count > 0);
        return;
    }
    model_frame new = {m->ids++, size, (uint64_t)((unsigned char *)frame - m->p.area)};
    CHECK(m, new.offset % BRG__FRAME_ALIGN == 0 && new.offset + sizeof(*frame) + size <= m->p.capacity);
    for (uint32_t i = 0; i < m->count; i++)
        CHECK(m, !model_overlaps(&m->frames[i], &new));
    const brg__frame zeroed = {.payload_bytes = (uint32_t)size};
    CHECK(m, memcmp(frame, &zeroed, sizeof(zeroed)) == 0);
    frame_fill(frame, new.id, size);
    m->frames[m->count++] = new;
}

static void model_consume(model *m)
{
    brg__frame header, *in_place;
    const void *payload;
    CHECK(m, brg__ring_has_frame(&m->p.consumer) == (m->published > 0));
    brg_status status = brg__ring_peek(&m->p.consumer, &header, &in_place, &payload);
    CHECK(m, status == (m->published > 0 ? BRG_OK : BRG_EMPTY));
    if (status != BRG_OK)
        return;
    const void *again;
    CHECK(m, brg__ring_peek(&m->p.consumer, &header, NULL, &again) == BRG_OK && again == payload);
    CHECK(m, brg__ring_has_frame(&m->p.consumer));
    CHECK(m, (unsigned char *)in_place - m->p.area == (ptrdiff_t)m->frames[0].offset && payload == in_place + 1);
    CHECK(m, frame_is(&header, payload, m->frames[0].id, m->frames[0].size));
    brg__ring_consume(&m->p.consumer);
    memmove(m->frames, m->frames + 1, --m->count * sizeof(m->frames[0]));
    m->published--;
}

static void model_step(model *m, uint64_t bias)
{
    uint64_t dice = random_below(&m->random, 100);
    if (dice < bias && m->count < MODEL_MAX) {
        model_reserve(m);
    } else if (dice < 60) {
        brg__ring_publish(&m->p.producer);
        m->published = m->count;
    } else if (dice < 63) {
        brg__ring_retract(&m->p.producer);
        m->count = m->published;
    } else {
        model_consume(m);
    }
}

static void ring_agrees_with_a_queue(void **state)
{
    (void)state;
    static const uint64_t capacities[] = {256, 512, 1024, 4096, 65536, 131072, 262144};
    for (uint64_t seed = 1; seed <= 70; seed++) {
        model *m = calloc(1, sizeof(*m));
        assert_non_null(m);
        m->seed = m->random = seed;
        pair_init(&m->p, capacities[seed % brg__count_of(capacities)]);
        uint64_t bias = 45;
        for (int i = 0; i < 10000; i++) {
            /* Now mostly empty, now mostly full. */
            if (i % 500 == 0)
                bias = 20 + random_below(&m->random, 40);
            model_step(m, bias);
        }
        pair_done(&m->p);
        free(m);
    }
}

/* --- limits --- */

static void any_frame_fits_an_empty_ring_and_larger_ones_none(void **state)
{
    (void)state;
    pair p;
    pair_init(&p, 4096);
    uint64_t max = brg__ring_payload_max(4096);
    brg__frame *frame = NULL;
    assert_int_equal(brg__ring_reserve(&p.producer, max + 1, &frame), BRG_TOO_LARGE);
    assert_int_equal(brg__ring_reserve(&p.producer, UINT64_MAX, &frame), BRG_TOO_LARGE);
    assert_null(frame);
    for (uint64_t id = 0; id < 64; id++) {
        pair_send(&p, id, max);
        pair_receive(&p, id, max);
        pair_send(&p, id, 0); /* so that the largest one starts at every offset */
        pair_receive(&p, id, 0);
    }
    pair_done(&p);
}

static void full_ring_keeps_what_it_has(void **state)
{
    (void)state;
    pair p;
    pair_init(&p, 1024);
    for (uint64_t id = 0; id < 16; id++)
        pair_send(&p, id, 0);
    brg__frame *frame = NULL;
    assert_int_equal(brg__ring_reserve(&p.producer, 0, &frame), BRG_FULL);
    assert_null(frame);
    pair_receive(&p, 0, 0);
    assert_int_equal(brg__ring_reserve(&p.producer, 1, &frame), BRG_FULL);
    pair_send(&p, 16, 0);
    for (uint64_t id = 1; id <= 16; id++)
        pair_receive(&p, id, 0);
    assert_false(brg__ring_has_frame(&p.consumer));
    pair_done(&p);
}

static void retracted_frames_are_never_seen(void **state)
{
    (void)state;
    pair p;
    pair_init(&p, 1024);
    pair_send(&p, 1, 100);
    brg__frame *frame;
    for (int i = 0; i < 2; i++)
        assert_int_equal(brg__ring_reserve(&p.producer, 200, &frame), BRG_OK);
    brg__ring_retract(&p.producer);
    brg__ring_publish(&p.producer);
    pair_send(&p, 2, 300);
    pair_receive(&p, 1, 100);
    pair_receive(&p, 2, 300);
    assert_false(brg__ring_has_frame(&p.consumer));
    pair_done(&p);
}

/* --- the soft wrap --- */

static bool area_is_untouched(const pair *p, uint64_t from)
{
    for (uint64_t i = from; i < p->capacity; i++)
        if (p->area[i] != 0xa5)
            return false;
    return true;
}

static void lightly_loaded_ring_keeps_to_its_low_end(void **state)
{
    (void)state;
    pair p;
    pair_init(&p, MIB);
    uint64_t random = 1, sizes[3];
    for (uint64_t id = 0; id < 5000; id++) {
        if (id >= 3)
            pair_receive(&p, id - 3, sizes[id % 3]);
        pair_send(&p, id, sizes[id % 3] = random_below(&random, 4000));
    }
    assert_true(p.producer.next > 2 * MIB);
    assert_true(area_is_untouched(&p, BRG__RING_SOFT_BYTES));
    assert_int_equal(p.producer.backed, BRG__RING_SOFT_BYTES);
    pair_done(&p);
}

static void emptied_ring_returns_to_its_low_end(void **state)
{
    (void)state;
    pair p;
    pair_init(&p, MIB);
    for (uint64_t id = 0; id < 100; id++)
        pair_send(&p, id, 4000);
    assert_true(p.producer.next > 4 * BRG__RING_SOFT_BYTES);
    for (uint64_t id = 0; id < 100; id++)
        pair_receive(&p, id, 4000);
    pair_send(&p, 1, 0);
    assert_true(p.producer.next % MIB < BRG__RING_SOFT_BYTES);
    pair_receive(&p, 1, 0);
    pair_done(&p);
}

/* The pad of a soft wrap is large; once the consumer looks at what follows, it counts no more. */
static void peeking_past_a_pad_frees_it(void **state)
{
    (void)state;
    pair p;
    pair_init(&p, MIB);
    pair_send(&p, 1, 60000);
    pair_receive(&p, 1, 60000);
    pair_send(&p, 2, 50000);
    assert_true(p.producer.next > MIB);
    brg__frame header, *frame;
    const void *payload;
    assert_int_equal(brg__ring_reserve(&p.producer, 400000, &frame), BRG_FULL);
    assert_int_equal(brg__ring_peek(&p.consumer, &header, NULL, &payload), BRG_OK);
    pair_send(&p, 3, 400000);
    assert_true(frame_is(&header, payload, 2, 50000));
    brg__ring_consume(&p.consumer);
    pair_receive(&p, 3, 400000);
    pair_done(&p);
}

/* --- pages --- */

static void missing_pages_are_an_error_and_change_nothing(void **state)
{
    (void)state;
    pair p;
    pair_init_memfd(&p, MIB);
    pair_send(&p, 1, 100);
    for (uint64_t size = 100000; size < 400000; size += 100000) {
        brg__ring_producer before = p.producer;
        brg__frame *frame = NULL;
        brg__fault_arm("reserve", 1);
        brg_status status = brg__ring_reserve(&p.producer, size, &frame);
        assert_true(brg__fault_fired());
        brg__fault_disarm();
        assert_int_equal(status, BRG_NO_MEMORY);
        assert_null(frame);
        assert_memory_equal(&before, &p.producer, sizeof(before));
        pair_send(&p, size, size);
    }
    pair_receive(&p, 1, 100);
    for (uint64_t size = 100000; size < 400000; size += 100000)
        pair_receive(&p, size, size);
    pair_done(&p);
}

static uint64_t pair_pages_bytes(const pair *p)
{
    struct stat status;
    assert_int_equal(fstat(p->fd, &status), 0);
    return (uint64_t)status.st_blocks * 512;
}

static void pages_of_a_rare_big_frame_go_back(void **state)
{
    (void)state;
    pair p;
    pair_init_memfd(&p, 8 * MIB);
    for (uint64_t round = 0; round < 3; round++) {
        pair_send(&p, round, 3 * MIB);
        pair_receive(&p, round, 3 * MIB);
        assert_true(pair_pages_bytes(&p) >= 3 * MIB);
        for (uint64_t id = 0; id < 130; id++) {
            pair_send(&p, id, 100);
            pair_receive(&p, id, 100);
        }
        assert_int_equal(p.producer.backed, MIB);
        assert_true(pair_pages_bytes(&p) <= MIB + PAIR_AREA_OFFSET + 65536);
    }
    pair_done(&p);
}

static void pages_in_flight_stay(void **state)
{
    (void)state;
    pair p;
    pair_init_memfd(&p, 8 * MIB);
    /* The second lies high, the third jumps low over its pad; the second must survive the many small ones after it. */
    pair_send(&p, 1, 3 * MIB);
    pair_send(&p, 2, 3 * MIB);
    pair_receive(&p, 1, 3 * MIB);
    pair_send(&p, 3, 2 * MIB + 512 * 1024);
    pair_receive(&p, 2, 3 * MIB);
    pair_receive(&p, 3, 2 * MIB + 512 * 1024);
    pair_send(&p, 4, 3 * MIB);
    for (uint64_t id = 5; id < 300; id++)
        pair_send(&p, id, 100);
    pair_receive(&p, 4, 3 * MIB);
    for (uint64_t id = 5; id < 300; id++)
        pair_receive(&p, id, 100);
    pair_done(&p);
}

static void stream_of_big_frames_keeps_its_pages(void **state)
{
    (void)state;
    pair p;
    pair_init_memfd(&p, 8 * MIB);
    pair_send(&p, 0, 4 * MIB - 64);
    pair_receive(&p, 0, 4 * MIB - 64);
    pair_send(&p, 0, 4 * MIB - 64);
    pair_receive(&p, 0, 4 * MIB - 64);
    brg__fault_arm("reserve", 0);
    for (uint64_t id = 0; id < 200; id++) {
        uint64_t size = id % 20 == 0 ? 3 * MIB : 1000;
        pair_send(&p, id, size);
        pair_receive(&p, id, size);
    }
    assert_int_equal(brg__fault_calls(), 0);
    brg__fault_disarm();
    pair_done(&p);
}

/* --- streams --- */

typedef struct stream {
    pair *p;
    brg__futex_scope scope;
    bool good;
} stream;

static uint64_t stream_size(uint64_t id) { return id % 1000 == 0 ? 20000 : id * 7919 % 300; }

static bool stream_await_room(stream *s)
{
    brg__gate *gate = &s->p->shared->producer;
    brg__gate_prepare(gate);
    brg__frame *frame;
    if (brg__ring_reserve(&s->p->producer, 20000, &frame) != BRG_FULL) {
        brg__ring_retract(&s->p->producer);
        brg__gate_cancel(gate);
        return true;
    }
    return brg__gate_wait(gate, brg__deadline(STREAM_LIMIT), s->scope);
}

static bool stream_produce(stream *s)
{
    uint64_t random = 7;
    for (uint64_t id = 0; id < STREAM_FRAMES;) {
        for (uint64_t batch = 1 + random_below(&random, 20); batch > 0 && id < STREAM_FRAMES; batch--, id++) {
            brg__frame *frame;
            brg_status status = brg__ring_reserve(&s->p->producer, stream_size(id), &frame);
            if (status == BRG_FULL)
                break;
            if (status != BRG_OK)
                return false;
            frame_fill(frame, id, stream_size(id));
        }
        bool nothing = s->p->producer.next == s->p->producer.tail;
        brg__ring_publish(&s->p->producer);
        brg__gate_wake(&s->p->shared->consumer, s->scope);
        if (nothing && !stream_await_room(s))
            return false;
    }
    return true;
}

static bool stream_await_frame(stream *s)
{
    brg__gate *gate = &s->p->shared->consumer;
    brg__gate_prepare(gate);
    if (brg__ring_has_frame(&s->p->consumer)) {
        brg__gate_cancel(gate);
        return true;
    }
    return brg__gate_wait(gate, brg__deadline(STREAM_LIMIT), s->scope);
}

static bool stream_consume(stream *s)
{
    for (uint64_t id = 0; id < STREAM_FRAMES;) {
        brg__frame header;
        const void *payload;
        brg_status status = brg__ring_peek(&s->p->consumer, &header, NULL, &payload);
        if (status == BRG_EMPTY) {
            if (!stream_await_frame(s))
                return false;
            continue;
        }
        if (status != BRG_OK || !frame_is(&header, payload, id, stream_size(id)))
            return false;
        brg__ring_consume(&s->p->consumer);
        brg__gate_wake(&s->p->shared->producer, s->scope);
        id++;
    }
    return true;
}

static void stream_consumer_thread(void *argument)
{
    stream *s = argument;
    s->good = stream_consume(s);
}

static void stream_between_threads(uint64_t capacity)
{
    pair p;
    pair_init(&p, capacity);
    stream s = {.p = &p, .scope = BRG__FUTEX_PRIVATE};
    brg__thread thread;
    assert_int_equal(brg__thread_start(&thread, "consumer", 0, stream_consumer_thread, &s, NULL), BRG_OK);
    bool produced = stream_produce(&s);
    brg__thread_join(&thread);
    assert_true(produced);
    assert_true(s.good);
    pair_done(&p);
}

static void threads_stream_through_a_small_ring(void **state)
{
    (void)state;
    stream_between_threads(65536);
}

static void threads_stream_through_a_large_ring(void **state)
{
    (void)state;
    stream_between_threads(MIB);
}

static void processes_stream(void **state)
{
    (void)state;
    pair p;
    pair_init_memfd(&p, 262144);
    stream s = {.p = &p, .scope = BRG__FUTEX_SHARED};
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(stream_consume(&s) ? 0 : 1);
    bool produced = stream_produce(&s);
    int ended;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(produced);
    assert_int_equal(ended, 0);
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processes_stream), /* before any thread: it forks */
        cmocka_unit_test(ring_agrees_with_a_queue),
        cmocka_unit_test(any_frame_fits_an_empty_ring_and_larger_ones_none),
        cmocka_unit_test(full_ring_keeps_what_it_has),
        cmocka_unit_test(retracted_frames_are_never_seen),
        cmocka_unit_test(lightly_loaded_ring_keeps_to_its_low_end),
        cmocka_unit_test(emptied_ring_returns_to_its_low_end),
        cmocka_unit_test(peeking_past_a_pad_frees_it),
        cmocka_unit_test(missing_pages_are_an_error_and_change_nothing),
        cmocka_unit_test(pages_of_a_rare_big_frame_go_back),
        cmocka_unit_test(pages_in_flight_stay),
        cmocka_unit_test(stream_of_big_frames_keeps_its_pages),
        cmocka_unit_test(threads_stream_through_a_small_ring),
        cmocka_unit_test(threads_stream_through_a_large_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
