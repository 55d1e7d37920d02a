/* SPDX-License-Identifier: MIT */
/*
 * Fork and join from the inside; team.c and fork.c have the notes. A team is the thread workers of one pool as far as
 * they share forks. It knows no pool: what it needs of one is given to it.
 */
#ifndef BRG_POOL_FORK_H
#define BRG_POOL_FORK_H

#include <brigade/fork.h>

#include "base/list.h"
#include "os/lock.h"
#include "os/park.h"
#include "pool/deque.h"
#include "worker/context.h"

/* brg_fork.xstate: BRG__FORK_TAKEN + the index of the thief's forks once there is a thief that has some. */
enum { BRG__FORK_WAITING = 0, BRG__FORK_DONE = 1, BRG__FORK_TAKEN = 2 };

typedef struct brg__team brg__team;
typedef struct brg__forks brg__forks;

/* One worker's side: made when it first forks or steals, the team's until the team ends, used again by later workers.
 * */
struct brg__forks {
    brg__deque deque;
    brg__team *team;
    brg_context *context; /* its worker's */
    uint32_t index;       /* in team->xtable */
    uint32_t random;
    uint32_t strangers; /* forks it runs in joins of others, one in the other */
    bool in_use;        /* under team->lock */
    brg__spinner spinner;

    /* Whose task it works for: the forks of the worker that runs the task. Its own but while it runs a stolen one. */
    BRG__ALIGNED(64) brg__forks *xroot;
    /* Of a root: workers that wait in joins of the task. */
    uint32_t xlooking; /* awake, looking for forks */
    uint32_t xwaiting; /* asleep, in `waiting`. Under team->lock, read without */
    uint32_t xlost;    /* it was abandoned: nobody helps it any more */
    brg__list waiting; /* by waiting_node */
    brg__node waiting_node;
    BRG__ALIGNED(64) brg__gate gate; /* where it sleeps in a join */
};

typedef struct brg__team_table {
    struct brg__team_table *older; /* outgrown: kept, since thieves may still read it */
    uint32_t capacity;
    brg__forks *xforks[];
} brg__team_table;

typedef struct brg__team_hooks {
    bool (*wake)(void *owner); /* wakes a worker that sleeps, whichever; false: there is none. Any thread, no lock */
    uint32_t (*workers)(void *owner); /* how many there are, about */
    void (*leave)(void *owner);       /* one worker's forks ended: undoes what was done for brg__team_join */
} brg__team_hooks;

struct brg__team {
    const brg__team_hooks *hooks;
    void *owner;
    uint64_t spin_ns;
    brg__lock lock; /* a leaf */
    brg__team_table *xtable;
    uint32_t xcount;                 /* forks in it */
    BRG__ALIGNED(64) uint32_t xidle; /* workers that sleep. Written by the owner */
    uint32_t xsearching;             /* workers that spin for work. Written by the owner */
    uint32_t xwaking;                /* somebody was woken for a fork and is not there yet */
};

/* `hooks` live as long as the team. done: no thread uses it any more. */
void brg__team_init(brg__team *team, const brg__team_hooks *hooks, void *owner, uint64_t spin_ns);
void brg__team_done(brg__team *team);

/* The forks of the worker of `context`, whose thread it is: made if there are none yet; set in `context`, which gives
 * them back with brg__context_done. NULL: out of memory. */
brg__forks *brg__team_join(brg__team *team, brg_context *context);

/* Whether there are forks to steal. A hint, cheap; of a worker that looks for work. */
bool brg__team_has_forks(brg__team *team);
/* A worker that looked for work has found something else: while it looked nobody was woken for forks, so that somebody
 * is now, if there are any. A worker in a join of the task of `root`; NULL: any other. */
void brg__team_pass_on(brg__team *team, const brg__forks *root);
/* The last look before a worker sleeps, after it has shown itself as asleep (xidle). */
bool brg__team_has_forks_at_last(brg__team *team);
/* A worker does not sleep any more. */
static inline void brg__team_woke(brg__team *team)
{
    if (brg_load_relaxed(&team->xwaking) != 0)
        brg_store_relaxed(&team->xwaking, 0u);
}
/* The worker was given up: nobody steals what is forked for its task from here on. Fills `helpers` with up to `max`
 * workers that run such forks now, referenced; returns how many. */
uint32_t brg__team_lose(brg__team *team, const brg_worker *worker, brg_worker **helpers, uint32_t max);
/* Steals one fork and runs it, as user code of an idle worker that has joined. Whether there was one. */
bool brg__team_steal(brg__team *team, brg_context *context);

/* ---- between team.c and fork.c ---- */

/* Steals a fork from anyone, or with `root` from those who work for it alone; *victim receives from whom. */
brg_fork *brg__team_take(brg__team *team, brg__forks *self, const brg__forks *root, brg__forks **victim);
/* Whether take would find one. */
bool brg__team_could_take(brg__team *team, const brg__forks *root);
/* There are forks of the task of `root`: wakes one worker that sleeps, unless somebody is looking already. */
void brg__team_call_help(brg__team *team, brg__forks *root);
/* Sleeps in a join until ready(argument), which its thief or somebody who forks makes true; spuriously too. */
void brg__team_sleep(brg__forks *forks, bool (*ready)(void *argument), void *argument);

static inline brg__forks *brg__team_at(brg__team *team, uint32_t index)
{
    return brg_load_acquire(&brg_load_acquire(&team->xtable)->xforks[index]);
}

#endif
