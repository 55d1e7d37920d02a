/* SPDX-License-Identifier: MIT */
/* Sweeps from the inside: what sweep.c, from start to end, and sweep_strand.c, the strands at work, share. */
#ifndef BRG_FLOW_SWEEP_STATE_H
#define BRG_FLOW_SWEEP_STATE_H

#include "flow/sweep.h"
#include "message/shared.h"

typedef enum brg__sweep_state {
    BRG__SWEEP_ENDED = 0,
    BRG__SWEEP_WAITING, /* its task does, or will in a moment */
    BRG__SWEEP_RUNNING,
    BRG__SWEEP_LOST
} brg__sweep_state;

typedef struct brg__sweep_strand {
    brg__strand strand;
    brg__sweep *sweep;
    brg__sweep_state state;
    uint64_t last;        /* elements of its chunk before */
    brg_context *context; /* of the thread that is in a chunk of it; NULL: none is */
    uint32_t nesting;     /* of that */
} brg__sweep_strand;

struct brg__sweep {
    uint32_t xreferences;
    brg_pool *pool;
    brg__sweep_work *work;
    brg_flow_options options;
    brg__chunk_rule rule;
    uint64_t count;
    brg__completion completion;
    brg__seen seen;
    brg_token_watch *watch; /* NULL: there is no token, or who waits looks at it */

    brg__lock lock; /* takes nothing but a leaf; guards what follows */
    uint64_t next;  /* to be claimed */
    uint64_t cost;
    uint32_t waiting, running; /* strands */
    bool has_begun;            /* there is somebody to end it; its token may be cancelled before */
    bool closed;               /* nothing is claimed any more */
    bool is_over;
    bool has_lost;   /* a strand */
    uint32_t xasked; /* 1: what runs is asked to end; written under the lock */
    const char *why_asked;
    brg_status status;
    uint64_t xfailed; /* the lowest index that failed; UINT64_MAX: none */
    size_t failures;
    brg_error error;
    uint32_t xover; /* futex: 1 when it is */

    uint32_t strand_count;
    brg__sweep_strand strands[]; /* and one more, the caller's */
};

void brg__sweep_unref(brg__sweep *sweep);
/* No more is claimed; why, if nothing was wrong before. */
void brg__sweep_close_locked(brg__sweep *sweep, brg_status status, const char *why);
/* Whether it is over from now on: the caller then tells, once the lock is released. */
bool brg__sweep_ends_locked(brg__sweep *sweep);
void brg__sweep_tell(brg__sweep *sweep, bool has_pool_lock);

/* sweep_ask.c */
void brg__sweep_ask_locked(brg__sweep *sweep, const char *why); /* once; `why` is static */
void brg__sweep_watch(brg__sweep *sweep);                       /* its token, if it has one */
void brg__sweep_let_token_go(brg__sweep *sweep);

/* Of its strands. */
void brg__sweep_strand_run(brg__strand *strand, brg_context *context);
bool brg__sweep_strand_ended(brg__strand *strand, brg_status status, const brg_error *error);
/* The caller, a worker of the pool, is one too, and counts as running already. */
void brg__sweep_take_part(brg__sweep *sweep, brg_context *context);

#endif
