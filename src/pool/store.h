/* SPDX-License-Identifier: MIT */
/*
 * Stores of records: what one watch or trace keeps of one pool's events.
 *
 * Records lie in chunks, each filled by one writer: the worker thread of a slot, or whoever holds the pool's lock.
 * Writers append to their own chunk without a lock; `xused` is published after the record, so readers see whole
 * records, and nothing that is published changes. A store has so many chunks and no more: a writer whose chunk is full
 * takes a free one, or a new one, or (a flight recorder) the oldest full one, under a lock held for some instructions;
 * if there is none, the record is lost and counted. Chunks that nobody writes are in the order in which they were
 * closed, so that the one that goes ends before the others; what is older than its end is not read any more, since it
 * would lack what went: the window that is kept is whole.
 *
 * Time: a reader takes the time first and leaves what is not older. What happened before something it reads was
 * published before that happened, and is older: so causes are never read after what they caused, though writers
 * publish one by one. Such a reader may sort what it reads by time.
 *
 * Who frees: a store is counted: its watch or trace, and the pool it is attached to.
 */
#ifndef BRG_POOL_STORE_H
#define BRG_POOL_STORE_H

#include <brigade/events.h>

#include "base/list.h"
#include "os/lock.h"

typedef struct brg__record {
    uint64_t time_ns, task, worker_id, key, value;
    union {
        const char *name;
        brg_call_fn function;
    } is; /* `is_function` says which */
    uint8_t type, priority;
    uint16_t attempt; /* cut at its maximum, as are those below */
    int16_t status;
    uint16_t worker_index; /* UINT16_MAX: none */
    uint32_t batch;
    bool is_function;
} brg__record;

_Static_assert(sizeof(brg__record) == 64, "a record is a cache line");

#define BRG__CHUNK_RECORDS 127

/* 8 KiB. */
typedef struct brg__chunk {
    brg__node node;  /* in store->chunks while it has a writer or records; else in store->free */
    uint64_t copied; /* the last copy that has been at it */
    uint64_t number; /* in the order in which they were taken */
    uint32_t writer; /* 0: the pool's lock; else the slot's index plus 1 */
    uint32_t xused;  /* records published */
    uint32_t read;   /* the reader's */
    bool is_open;    /* its writer may append; under the store's lock */
    struct brg__chunk *next_same, *next_head; /* the reader's: of the same writer; chunks to read */
    BRG__ALIGNED(64) brg__record records[BRG__CHUNK_RECORDS];
} brg__chunk;

typedef struct brg__store {
    uint32_t xreferences;
    uint64_t mask;
    bool keeps_newest; /* the oldest go when it is full; else the newest are lost */
    uint32_t xis_full; /* no chunk is to be had: writers need not look */
    uint64_t xlost;
    void (*more)(void *argument, bool is_urgent); /* a record was written; may be NULL. Any thread */
    void *more_argument;
    brg__lock lock; /* a leaf: of what follows */
    brg__list chunks, free;
    uint32_t chunk_count, chunks_max, writers; /* one more chunk for each writer */
    uint64_t numbers, copies, overwritten;
    uint64_t horizon_ns; /* nothing since is overwritten */
    brg__chunk *cursor;  /* of a copy under way: the next chunk; NULL: at the end */
} brg__store;

/* Room for `capacity` records and what each writer has open. NULL: no memory. */
brg__store *brg__store_new(uint64_t mask, uint64_t capacity, bool keeps_newest);
void brg__store_ref(brg__store *store);
void brg__store_unref(brg__store *store); /* accepts NULL */

/* One writer at a time for each `chunk`, which is the writer's place and NULL at first. */
void brg__store_write(brg__store *store, brg__chunk **chunk, uint32_t writer, const brg__record *record);

/* One reader at a time: reads records older than `before_ns`, in order, each once, and gives their room back, until
 * `take` says false. Whether there are more. Not for stores that keep the newest. */
bool brg__store_drain(brg__store *store, uint64_t before_ns, bool (*take)(void *argument, const brg__record *record),
                      void *argument);
uint64_t brg__store_take_lost(brg__store *store); /* how many were lost since the last call */

/* A copy of what it has that is older than `before_ns`, in order and whole; to be freed. NULL and *count 0: nothing, or no memory
 * (false). One at a time. */
bool brg__store_copy(brg__store *store, uint64_t before_ns, brg__record **records, size_t *count);
void brg__store_count(brg__store *store, uint64_t *records, uint64_t *lost, uint64_t *bytes);

#endif
