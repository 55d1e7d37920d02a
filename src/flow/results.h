/* SPDX-License-Identifier: MIT */
/*
 * What tasks made of the elements of a list: views of what workers answered for chunks, and those answers. A view for
 * each index; indexes of different chunks may be filled by different threads.
 */
#ifndef BRG_FLOW_RESULTS_H
#define BRG_FLOW_RESULTS_H

#include <brigade/flow.h>

#include "os/lock.h"

typedef struct brg__results {
    uint64_t count;
    brg_view *views; /* a list of one: an output; an error value; or nothing: it did not run */
    brg__lock lock;  /* a leaf; guards what follows */
    brg_value **kept;
    size_t kept_count, kept_capacity;
} brg__results;

brg_status brg__results_init(brg__results *results, uint64_t count);
void brg__results_done(brg__results *results);

/* How a chunk ended: `failed` is called for each index that failed. */
typedef struct brg__answer {
    uint64_t first, end;
    brg_value *value; /* of worker/context.h's brg__context_run_each; taken */
    bool stops;
    void (*failed)(void *argument, uint64_t index, const brg_error *error);
    void *argument;
    uint64_t run_ns;  /* filled: how long it took */
    bool was_stopped; /* filled: its worker was asked to end, and the last ones never began */
} brg__answer;

/* BRG_OK; BRG_NO_MEMORY; BRG_PROTOCOL: it is no answer to that. Nothing is filled then. */
brg_status brg__results_take(brg__results *results, brg__answer *answer);
/* An index failed without an answer. False: no memory to say so. */
bool brg__results_put_error(brg__results *results, uint64_t index, const brg_error *error);

/* The list. Those that failed are left out with BRG_FLOW_SKIP, else stand there as errors. */
brg_status brg__results_list(const brg__results *results, brg_flow_errors errors, brg_value **out, brg_error *error);

#endif
