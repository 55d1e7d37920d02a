/* SPDX-License-Identifier: MIT */
/* Batches from the inside: what batch.c and batch_run.c share. */
#ifndef BRG_POOL_BATCH_STATE_H
#define BRG_POOL_BATCH_STATE_H

#include "base/heap.h"
#include "base/table.h"
#include "pool/batch.h"

typedef struct brg__batch brg__batch;

typedef struct brg__batch_member {
    brg_task *task; /* NULL: it settled before its batch */
    bool cancelled; /* asked to end when its batch was taken */
} brg__batch_member;

struct brg__batch {
    brg_pool *pool;
    brg_task *carrier; /* its argument is the batch */
    uint64_t kind;     /* hash */
    uint8_t lane;
    bool is_open;      /* more may come; in brg__batches.open */
    bool is_scheduled; /* its carrier is, or was */
    bool is_taken;     /* by a worker: its members stay as they are */
    bool is_started;
    brg__heap_item ripe; /* while it waits for more, in brg__batches.ripe */
    brg__batch_member *members;
    uint32_t count, capacity;
    uint32_t cancelled; /* of a taken one: how many do not matter any more */
    size_t bytes;       /* of what it sends */
    brg_batch *answers; /* a thread's that runs it, which only marks of cancels go to; or what a process answered */
};

struct brg__batches {
    brg__table open; /* by kind */
    brg__heap ripe;  /* by when they have waited long enough */
};

/* Of a member. */
static inline brg__batch *brg__batch_of(const brg_task *task) { return task->item.link[0]; }

void brg__batch_free(brg__batch *batch);
/* Nothing comes into it any more, and it does not wait. */
void brg__batch_shut_locked(brg__batch *batch);
/* In O(1): the last takes its place. */
void brg__batch_drop_member(brg__batch *batch, uint32_t index);

#endif
