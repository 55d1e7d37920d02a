/* SPDX-License-Identifier: MIT */
/* What the tests of streams share: a source that counts, stages that look who else is there, and what is expected. */
#ifndef TESTS_STREAMING_H
#define TESTS_STREAMING_H

#include <stdatomic.h>
#include <time.h>

#include "scenario.h"
#include "watch.h"

#define BOUND SCENARIO_BOUND
#define STEP 1000000
#define MANY (WATCH_SANITIZED ? 300 : 1000)

/* A source of numbers, each its own tag: 1 + number. */
typedef struct streaming {
    uint64_t count, first;
    bool empty;           /* its items have no value */
    brg_status ends_with; /* BRG_OK: BRG_CLOSED */
    uint64_t ahead_max;   /* it must never be asked for more than so many beyond what was consumed; 0: may be */
    uint64_t consumed, taken;
    atomic_uint_fast64_t dropped;
} streaming;

brg_pool *streaming_pool(brg_isolation isolation, uint32_t workers);
brg_pool *streaming_pool_that_dies(uint32_t workers); /* of processes, who may be killed as often as one likes */
brg_stream *streaming_create(streaming *run, brg_stream_options *options);
brg_status streaming_source(brg_value **item, void **tag, void *user_data);

int64_t streaming_number(const brg_value *value);
brg_stream_counts streaming_counts(const brg_stream *stream);
brg_stage_counts streaming_stage(const brg_stream *stream, uint32_t stage);

/* Until the end, which must be a good one: how many came, each in its place, through so many stages. */
uint64_t streaming_expect_order(brg_stream *stream, int stages);
uint64_t streaming_expect_rest(brg_stream *stream, int stages, uint64_t next);
uint64_t streaming_expect_all(brg_stream *stream, int stages); /* in any order */

/* Stages. */
typedef struct streaming_gate {
    atomic_bool open;
} streaming_gate;
typedef struct streaming_crowd {
    atomic_int now, most;
} streaming_crowd;
brg_status streaming_first_waits(brg_context *context, const brg_value *input, brg_value **output, void *gate);
brg_status streaming_count_in(brg_context *context, const brg_value *input, brg_value **output, void *crowd);
brg_status streaming_fail_with(brg_context *context, const brg_value *input, brg_value **output, void *status);
brg_status streaming_fail_twice(brg_context *context, const brg_value *input, brg_value **output, void *state);

#endif
