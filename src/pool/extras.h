/* SPDX-License-Identifier: MIT */
/*
 * What few tasks have: a token, a group, tasks they run after, progress. Made at submit when asked for, freed with the
 * task.
 */
#ifndef BRG_POOL_EXTRAS_H
#define BRG_POOL_EXTRAS_H

#include "pool/pool.h"

typedef struct brg__bunch brg__bunch;       /* tasks with one token: token.c */
typedef struct brg__progress brg__progress; /* progress.c */
typedef struct brg__after brg__after;       /* after.c */
typedef struct brg__batch brg__batch;       /* batch.c */

struct brg__extras {
    brg__bunch *bunch;
    brg__node bunch_node;
    brg_group *group;
    brg__node group_node;
    brg__after *after; /* what it runs after, and what runs after it */
    brg__progress *progress;
    brg__batch *batch; /* of a carrier, and of its members */
    uint64_t needs;    /* the tags it asks for */
};

/* The task's extras, made if it has none. NULL: no memory. Lock held. */
brg__extras *brg__extras_of_locked(brg_task *task);

/* Submit: joins what the options name; on failure nothing is joined. Lock held. */
brg_status brg__extras_join_locked(brg_pool *pool, brg_task *task, const brg_submit_options *options);
/* Whether it must wait for others before it is ready. Lock held. */
bool brg__extras_is_blocked_locked(const brg_task *task);
/* The task settled, with its state visible: leaves token and group, lets those go that run after it. Lock held. */
void brg__extras_settled_locked(brg_task *task, brg_task_state state);
/* Frees them; the task is gone. Any thread, no lock needed. */
void brg__extras_free(brg__extras *extras);

/* after.c */
brg_status brg__after_join_locked(brg_task *task, const brg_submit_options *options);
bool brg__after_is_blocked_locked(const brg_task *task);
void brg__after_settled_locked(brg_task *task, brg_task_state state); /* frees those it held up */
void brg__after_free(brg__after *after);
/* A task that `task` still waits for; NULL: none. Lock held. */
brg_task *brg__after_first_locked(const brg_task *task);

/* token.c */
brg_status brg__bunch_join_locked(brg_task *task, brg_token *token);
void brg__bunch_leave_locked(brg_task *task);
void brg__bunches_end(brg_pool *pool); /* from destroy, no lock: no watch is left afterwards */

/* group.c */
void brg__group_join_locked(brg_group *group, brg_task *task);
void brg__group_settled_locked(brg_task *task, brg_task_state state);

/* progress.c */
brg_status brg__progress_init(brg_task *task, const brg_submit_options *options);
void brg__progress_flush(brg_task *task);          /* owner thread, before `done`: delivers what is left */
void brg__progress_settled_locked(brg_task *task); /* wakes who waits to receive or to send */
void brg__progress_free(brg__progress *progress);

#endif
