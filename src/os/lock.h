/* SPDX-License-Identifier: MIT */
/*
 * Mutexes with ranks. A thread may take a lock only if its rank is higher than that of every lock it holds;
 * debug builds (BRG__DEBUG) abort on an inversion and name both. Three-state futex mutex after Drepper, "Futexes Are
 * Tricky" (2011), mutex 3, with a short bounded spin while the holder may run on another CPU.
 */
#ifndef BRG_OS_LOCK_H
#define BRG_OS_LOCK_H

#include <stdbool.h>
#include <stdint.h>

/* All ranks of the library, in the order in which they may be taken. */
typedef enum brg__lock_rank {
    BRG__RANK_NONE = 0,
    BRG__RANK_LIBRARY, /* start of the supervisor, module registry */
    BRG__RANK_WORKER,  /* replies of one worker being moved */
    BRG__RANK_POOL,    /* queue, placement, counts */
    BRG__RANK_SERVICE, /* registries of names: locks, broadcast, messages by id */
    BRG__RANK_PORT,    /* one channel's two ends */
    BRG__RANK_CHANNEL, /* one side of one worker's ring or mailbox */
    BRG__RANK_LOOP,
    BRG__RANK_SUPERVISOR, /* its timers and calls */
    BRG__RANK_FLOW,       /* one stream; takes nothing but a leaf */
    BRG__RANK_LEAF        /* takes nothing else */
} brg__lock_rank;

typedef struct brg__lock {
    uint32_t xstate; /* 0 free, 1 held, 2 held with waiters */
    uint32_t rank;
    const char *name;
} brg__lock;

#define BRG__LOCK_INIT(rank_, name_)                                                                                   \
    {                                                                                                                  \
        .xstate = 0, .rank = (rank_), .name = (name_)                                                                  \
    }

void brg__lock_init(brg__lock *lock, brg__lock_rank rank, const char *name);
void brg__lock_acquire(brg__lock *lock);
bool brg__lock_try_acquire(brg__lock *lock);
void brg__lock_release(brg__lock *lock);
/* Debug builds abort unless the calling thread holds it; nothing in release builds. */
void brg__lock_assert_held(const brg__lock *lock);

#endif
