/* SPDX-License-Identifier: MIT */
/* The steps of a submit, for whoever makes tasks in another way: submit_all.c, configure.c. */
#ifndef BRG_POOL_SUBMIT_H
#define BRG_POOL_SUBMIT_H

#include "pool/pool.h"

/* What a task does. */
typedef struct brg__work {
    const char *name; /* or */
    union {
        brg_call_fn call;
        brg_stage_fn stage; /* of BRG__TASK_HOOKED */
    };
    void *argument;
    brg_value *input;
    size_t input_bytes;
    brg_done_fn done; /* of one without options */
    void *user_data;
    uint8_t kind; /* brg__task_kind, besides what the options bring */
} brg__work;

/* The checks of a submit's options: `from` may be NULL; fills `to`, or says in the given options' error why not. */
brg_status brg__submit_read_options(const brg_pool *pool, const brg_submit_options *from, brg_submit_options *to);
/* Whether a worker may get it; *bytes is how much it counts. */
brg_status brg__submit_check_input(const brg_pool *pool, const brg_value *input, size_t *bytes, brg_error *error);
/* The checks of brg_pool_submit: fills `options` and `work`, or says in the given options' error why not. No lock. */
brg_status brg__submit_read_named(brg_pool *pool, const char *name, brg_value *input, const brg_submit_options *given,
                                  brg_submit_options *options, brg__work *work);
/* A new task from brg__task_new_locked gets all its fields but those of the schedule. Lock held. */
void brg__submit_fill_locked(brg_pool *pool, brg_task *task, const brg__work *work, const brg_submit_options *options,
                             bool has_handle);
/* What it takes beside that: a lane for its tags, its extras. BRG_NO_MEMORY; BRG_RANGE: too many lanes. Lock held. */
brg_status brg__submit_prepare_locked(brg_pool *pool, brg_task *task, const brg_submit_options *options);
/* The task is the pool's: from here on it settles. Lock held. */
void brg__submit_accept_locked(brg_pool *pool, brg_task *task, const brg_submit_options *options);
/* Of a task with that priority. */
uint8_t brg__submit_band(brg_priority priority);
/* Says in the options' error why it was refused; returns `status`. */
brg_status brg__submit_error(const brg_pool *pool, const brg_submit_options *options, brg_status status);

#endif
