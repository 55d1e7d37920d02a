/* SPDX-License-Identifier: MIT */
/* For tests and fuzz targets: the two sides of a link in one process, over rings in memory and a socket pair. */
#ifndef BRG_WORKER_LINK_FIXTURE_H
#define BRG_WORKER_LINK_FIXTURE_H

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <brigade.h>

#include "message/object.h"
#include "os/fd.h"
#include "os/memory.h"
#include "worker/link.h"

#define LINK_FIXTURE_AREA ((uint64_t)1 << 16)
#define LINK_FIXTURE_MESSAGE 3u /* kind of a frame with a value: the fixture takes it */
#define LINK_FIXTURE_KEPT 256

typedef struct link_side {
    brg__link link; /* first */
    brg__ring_producer out;
    brg__ring_consumer in;
    struct link_side *other;
    int refs;
    bool broken, bad;  /* it was told that it lies; it said so */
    uint32_t bad_kind; /* of the frame that was a lie */
    uint64_t bad_id;
    char bad_why[100];
    brg_status unreadable;              /* the last message, for want of memory or descriptors */
    uint64_t calls, wakes;              /* wakes: how often the other one was woken */
    brg_value *kept[LINK_FIXTURE_KEPT]; /* what came */
    uint32_t kept_count;
    uint64_t ids[LINK_FIXTURE_KEPT]; /* frame ids of CALL, ANSWER, EVENT, in order */
} link_side;

typedef struct link_pair {
    link_side owner, worker;
    brg__ring_shared *shared;
    unsigned char *area;
    int sockets[2];
} link_pair;

static inline link_side *link_fixture_of(brg__link *link) { return (link_side *)(void *)link; }
static inline void link_fixture_nothing(brg__link *link) { (void)link; }
static inline void link_fixture_wake(brg__link *link) { link_fixture_of(link)->wakes++; }
static inline void link_fixture_ref(brg__link *link) { link_fixture_of(link)->refs++; }
static inline void link_fixture_unref(brg__link *link) { link_fixture_of(link)->refs--; }
static inline bool link_fixture_pump(brg__link *link)
{
    (void)link;
    return false;
}

static inline void link_fixture_broken(brg__link *link, brg_status status, const char *why)
{
    (void)status, (void)why;
    link_fixture_of(link)->broken = true;
}

static inline brg_status link_fixture_service(brg__link *link, const brg__frame *frame, const brg_value *value,
                                              const brg_error *error)
{
    link_side *side = link_fixture_of(link);
    (void)value, (void)error;
    side->ids[side->calls++ % LINK_FIXTURE_KEPT] = frame->id;
    return BRG_OK;
}

static const brg__link_ops link_fixture_ops = {.wake = link_fixture_wake,
                                               .want_room = link_fixture_nothing,
                                               .later = link_fixture_nothing,
                                               .broken = link_fixture_broken,
                                               .pump = link_fixture_pump,
                                               .unpump = link_fixture_nothing,
                                               .service = link_fixture_service,
                                               .ref = link_fixture_ref,
                                               .unref = link_fixture_unref};

/* False: no memory or descriptors; nothing is left behind. */
static inline bool link_pair_open(link_pair *pair)
{
    memset(pair, 0, sizeof(*pair));
    if (brg__socket_pair(pair->sockets, NULL) != BRG_OK)
        return false;
    pair->shared = brg__calloc_aligned(2 * sizeof(*pair->shared));
    pair->area = brg__calloc_aligned(2 * LINK_FIXTURE_AREA);
    if (pair->shared == NULL || pair->area == NULL) {
        brg__mfree_aligned(pair->shared);
        brg__mfree_aligned(pair->area);
        brg__fd_close(&pair->sockets[0]);
        brg__fd_close(&pair->sockets[1]);
        return false;
    }
    link_side *sides[2] = {&pair->owner, &pair->worker};
    for (int i = 0; i < 2; i++) {
        brg__ring_producer_init(&sides[i]->out, &pair->shared[i], pair->area + i * LINK_FIXTURE_AREA, LINK_FIXTURE_AREA,
                                -1, 0);
        brg__ring_consumer_init(&sides[1 - i]->in, &pair->shared[i], pair->area + i * LINK_FIXTURE_AREA,
                                LINK_FIXTURE_AREA);
        sides[i]->other = sides[1 - i];
        brg__link_init(&sides[i]->link, &link_fixture_ops, i == 0, &sides[i]->out, pair->sockets[i]);
    }
    return true;
}

/* One message: BRG_OK, or what the link said. */
static inline brg_status link_side_message(link_side *side, const void *payload, size_t size)
{
    brg_value *value = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_status status = brg__wire_read(&value, &side->link.carrier, payload, size, &error);
    if (status == BRG_NO_MEMORY || status == BRG_SYSTEM) {
        side->unreadable = status;
        return BRG_OK;
    }
    memcpy(side->bad_why, error.message, sizeof(side->bad_why));
    if (status == BRG_OK && side->kept_count < LINK_FIXTURE_KEPT)
        side->kept[side->kept_count++] = value;
    else
        brg_value_unref(value);
    return status;
}

/* What came to `side`, one frame; false when there was none. */
static inline bool link_side_take(link_side *side)
{
    brg__frame frame;
    const void *payload;
    brg_status status = brg__ring_peek(&side->in, &frame, NULL, &payload);
    if (status == BRG_EMPTY || side->bad || side->broken)
        return false;
    if (side->link.xdead != 0)
        status = BRG_OK; /* nobody listens */
    else if (status == BRG_OK && frame.kind == LINK_FIXTURE_MESSAGE)
        status = link_side_message(side, payload, frame.payload_bytes);
    else if (status == BRG_OK)
        status = brg__link_frame(&side->link, &frame, payload);
    if (status == BRG_FULL) /* no memory for it now: it is lost here */
        status = BRG_OK;
    if (status != BRG_OK) {
        side->bad = true;
        side->bad_kind = frame.kind;
        side->bad_id = frame.id;
    }
    brg__ring_consume(&side->in);
    return true;
}

static inline bool link_side_take_all(link_side *side)
{
    bool any = false;
    while (link_side_take(side))
        any = true;
    return any;
}

/* Both sides, until all is said. */
static inline void link_pair_run(link_pair *pair)
{
    bool any = true;
    for (int i = 0; any && i < 10000; i++) {
        any = link_side_take_all(&pair->owner);
        any = link_side_take_all(&pair->worker) || any;
        any = any || brg__ring_has_frame(&pair->owner.in) || brg__ring_has_frame(&pair->worker.in);
        brg__link_flush(&pair->owner.link);
        brg__link_flush(&pair->worker.link);
        any = any || pair->owner.link.backlog_count > 0 || pair->worker.link.backlog_count > 0 ||
              brg__ring_has_frame(&pair->owner.in) || brg__ring_has_frame(&pair->worker.in);
        any = any && !pair->owner.bad && !pair->worker.bad && !pair->owner.broken && !pair->worker.broken;
    }
}

static inline void link_side_drop_kept(link_side *side)
{
    while (side->kept_count > 0)
        brg_value_unref(side->kept[--side->kept_count]);
}

static inline void link_pair_close(link_pair *pair)
{
    brg__link_die(&pair->owner.link);
    brg__link_die(&pair->worker.link);
    link_side_drop_kept(&pair->owner);
    link_side_drop_kept(&pair->worker);
    brg__link_done(&pair->owner.link);
    brg__link_done(&pair->worker.link);
    brg__fd_close(&pair->sockets[0]);
    brg__fd_close(&pair->sockets[1]);
    brg__mfree_aligned(pair->shared);
    brg__mfree_aligned(pair->area);
}

/* Sends `value`, which stays the caller's. */
static inline brg_status link_side_send(link_side *side, const brg_value *value)
{
    const brg__frame head = {.kind = LINK_FIXTURE_MESSAGE};
    brg__departures departures = {0};
    brg_status status = brg__link_send(&side->link, &head, value, &departures, NULL);
    brg__departures_run(&departures);
    return status;
}

/* The lowest free descriptor: the same before and after where none was left open. */
static inline int link_fixture_next_fd(void)
{
    int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);
    close(fd);
    return fd;
}

#endif
