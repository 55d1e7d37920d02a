/* SPDX-License-Identifier: MIT */
/*
 * What few tasks have: a token, a group, tasks they run after, and progress, which hangs on the task itself. Made at
 * submit when asked for, freed with the task.
 */
#ifndef BRG_POOL_EXTRAS_H
#define BRG_POOL_EXTRAS_H

#include "pool/pool.h"
#include "pool/progress.h"

typedef struct brg__bunch brg__bunch; /* tasks with one token: bunch.c */
typedef struct brg__after brg__after; /* after.c */
typedef struct brg__batch brg__batch; /* batch.c */

struct brg__extras {
    brg_task *task; /* whose they are, where it has a token or a group */
    brg__bunch *bunch;
    brg__node bunch_node;
    brg_group *group;
    brg__node group_node;
    uint64_t group_number; /* counted up in its group */
    brg__after *after;     /* what it runs after, and what runs after it */
    uint64_t needs;        /* the tags it asks for */
};

/* The task's extras, made if it has none. NULL: no memory. Lock held, before anybody else knows the task. */
brg__extras *brg__extras_of_locked(brg_task *task);

/* Submit: joins what the options name; its bunch is held. Undone by brg__task_discard, also where it failed. Lock
 * held. */
brg_status brg__extras_join_locked(brg_pool *pool, brg_task *task, const brg_submit_options *options);
/* Whether it must wait for others before it is ready, or is never to run. Lock held. */
bool brg__extras_is_blocked_locked(const brg_task *task);
/* Settles a new blocked task that is never to run: the token is cancelled, or what it was to run after failed. Lock
 * held. */
void brg__extras_settle_doomed_locked(brg_task *task);
/* A task taken from the schedule: settles it when its token or group is cancelled, whoever has not come to it yet. Lock
 * held. */
bool brg__extras_refuse_locked(brg_task *task);
/* The task settled, with its state visible: leaves token and group, lets those go that run after it. Lock held. */
void brg__extras_settled_locked(brg_task *task, brg_task_state state);
/* The task is not accepted after all: leaves what it joined. Lock held. */
void brg__extras_undo_locked(brg_task *task);
/* Frees them; the task is gone. Any thread, no lock needed. */
void brg__extras_free(brg__extras *extras);

/* after.c */
brg_status brg__after_join_locked(brg_task *task, const brg_submit_options *options);
bool brg__after_is_blocked_locked(const brg_task *task);
bool brg__after_settle_if_doomed_locked(brg_task *task); /* one that is blocked */
void brg__after_leave_locked(brg__after *after);         /* it waits for nobody any more */
void brg__after_settled_locked(brg_task *task);          /* frees those it held up */
void brg__after_tell_locked(brg_pool *pool);             /* a slice of those, if there are more: from the unlock */
void brg__after_free(brg__after *after);
/* A task that `task` still waits for; NULL: none. Lock held. */
brg_task *brg__after_first_locked(const brg_task *task);

/* bunch.c */
/* Before a submit with a token, without the lock: there is a bunch for it. BRG_NO_MEMORY; errors of token watches. */
brg_status brg__bunch_hold(brg_pool *pool, brg_token *token, brg_error *error);
void brg__bunch_unhold_locked(brg_pool *pool, const brg_token *token); /* the submit is through, or failed */
void brg__bunch_join_locked(brg_task *task, const brg_token *token);   /* while it is held */
bool brg__bunch_is_cancelled(const brg_task *task);
void brg__bunch_leave_locked(brg_task *task);
void brg__bunches_let_go(brg__bunch *first); /* pool->bunches_left, from the unlock, without the lock */
void brg__bunches_free(brg_pool *pool);

/* group.c */
brg_pool *brg__group_pool(const brg_group *group);
void brg__group_join_locked(brg_group *group, brg_task *task);
void brg__group_leave_locked(brg_task *task); /* as if it had never joined */
void brg__group_leave_locked(brg_task *task); /* as if it had never joined */
void brg__group_settled_locked(brg_task *task, brg_task_state state);
bool brg__group_is_cancelled_locked(const brg_task *task); /* since it joined */
void brg__group_delivered(brg_task *task);                 /* its callback ran. No lock */

#endif
