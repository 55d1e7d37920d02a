/* SPDX-License-Identifier: MIT */
/* Relays from the inside: what relay.c, and relay_background.c, turns on the loop, share. relay.c has the notes. */
#ifndef BRG_FLOW_RELAY_STATE_H
#define BRG_FLOW_RELAY_STATE_H

#include "base/list.h"
#include "flow/chunk.h"
#include "flow/relay.h"
#include "flow/results.h"
#include "message/shared.h"
#include "os/lock.h"
#include "pool/strand.h"

typedef struct brg__relay brg__relay;

typedef struct brg__relay_chunk {
    brg__strand strand;
    brg__relay *relay;
    brg__node node; /* in ended or idle */
    uint64_t first, end, last;
    uint32_t attempts;
    bool is_under_way;
    brg_status status; /* how it ended */
    brg_error error;
} brg__relay_chunk;

typedef struct brg__relay_range {
    uint64_t first, end;
    uint32_t attempts; /* of one alone */
} brg__relay_range;

struct brg__relay {
    uint32_t xreferences; /* the owner's, and the watch's */
    brg_pool *pool;
    char name[BRG_TASK_NAME_MAX + 1];
    brg_value *items;
    brg_flow_options options;
    brg__results results;
    brg__completion completion;
    brg__seen seen;
    brg_token_watch *watch; /* in the background */
    brg__chunk_rule rule;
    uint64_t next, cost;
    uint32_t under_way;
    bool has_begun, closed, was_asked;
    brg_status status;
    uint64_t failed_at;
    size_t failures;
    brg_error error;
    brg_builder *builder;
    brg__list idle;          /* chunks */
    brg__relay_range *alone; /* first chunks that failed, then single elements that try again */
    uint32_t alone_count, alone_chunks;

    brg__lock lock; /* a leaf; guards the next four */
    brg__list ended;
    bool is_posted, is_over;
    uint32_t xepoch; /* futex: something ended */

    uint32_t chunk_count;
    brg__relay_chunk chunks[];
};

void brg__relay_unref(brg__relay *self);
void brg__relay_free(brg__relay *self);
/* Takes what ended and sends what comes next; whether it is over. */
bool brg__relay_step(brg__relay *self);
/* It is over: what it came to. */
brg_status brg__relay_finish(brg__relay *self, brg_value **out, brg_error *error);

/* relay_background.c */
/* The loop's thread does the rest, and tells. `self` is taken, also on failure. */
brg_status brg__relay_run_in_background(brg__relay *self, brg_error *error);

#endif
