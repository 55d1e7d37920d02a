/* SPDX-License-Identifier: MIT */
/*
 * Batches, on the worker's side: what brigade/batch.h reads and writes. A thread worker gets one made by the pool, with
 * references to the members' inputs; a process worker makes one of what it was sent. The pool keeps what a process
 * worker answered in one, too.
 */
#ifndef BRG_WORKER_BATCH_H
#define BRG_WORKER_BATCH_H

#include <brigade/batch.h>
#include <brigade/module.h>

typedef struct brg__batch_entry {
    brg_value *input;    /* referenced; may be NULL */
    uint32_t part;       /* which task of the batch, as the pool counts them; ascending */
    uint32_t xcancelled; /* it was asked to end: set from any thread, at any time */
    bool answered;
    brg_status status;
    brg_value *output, *detail;
    brg_error *error; /* of a failed one; NULL: there was no memory for it */
} brg__batch_entry;

/* Counted, since a worker that is abandoned keeps what it reads. */
struct brg_batch {
    uint32_t xreferences;
    uint32_t count;
    brg_context *context;
    void (*look)(void *argument); /* takes in what was asked meanwhile; may be NULL */
    void *argument;
    char name[BRG_TASK_NAME_MAX + 1];
    brg__batch_entry entries[];
};

/* Room for `capacity` entries, none in it. NULL: no memory. */
brg_batch *brg__batch_new(brg_context *context, const char *name, size_t name_size, uint32_t capacity);
brg_batch *brg__batch_ref(brg_batch *batch);
void brg__batch_unref(brg_batch *batch); /* with what is left in its entries; accepts NULL */

/* One more, not beyond the capacity; the input is taken. */
void brg__batch_add(brg_batch *batch, brg_value *input, uint32_t part);
/* The entry of that part; NULL: there is none. */
brg__batch_entry *brg__batch_part(brg_batch *batch, uint32_t part);

/*
 * User code, on the worker's thread: the module's batch task of that name, or, if there is none, its task of that name
 * for each entry in turn. Concluded: what it returns is for those without an answer.
 */
brg_status brg__batch_run_named(brg_batch *batch);

/* The module's batch task; NULL: it has none of that name. */
const brg_module_batch_task *brg__batch_find(const brg_module *module, const char *name, size_t name_size);
/* A task alone: a batch of one. As brg__context_run_named. */
brg_status brg__batch_run_one(brg_context *context, const brg_module_batch_task *task, const brg_value *input,
                              brg_value **output);

/* An output that is larger than that becomes an error. */
void brg__batch_check_outputs(brg_batch *batch, size_t bytes_max);

#endif
