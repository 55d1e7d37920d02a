/* SPDX-License-Identifier: MIT */
/*
 * The workers and pools that a worker made: they end with it. Each is a member of the family of the worker whose thread
 * made it, until it is destroyed. In a process worker the family is the process', and what it does not end itself the
 * kernel does: its supervisor thread goes, and with it template and workers (PDEATHSIG).
 */
#ifndef BRG_WORKER_FAMILY_H
#define BRG_WORKER_FAMILY_H

#include <brigade/loop.h>

#include "base/list.h"

typedef struct brg__family brg__family;

/* Zeroed before first use; lives in the worker or pool. */
typedef struct brg__member {
    brg__node node;
    brg__family *family;                      /* NULL: none */
    void (*hold)(struct brg__member *member); /* keeps its memory until `end` let go of it again */
    void (*ask)(struct brg__member *member);  /* to end; does not wait. The family's lock is held */
    /* Waits for its end; no callback of it runs on `loop` any more, which it lets go of. Lets go of the hold. */
    void (*end)(struct brg__member *member, brg_loop *loop);
} brg__member;

/* One more user of a family, and one fewer; unref accepts NULL. */
brg__family *brg__family_ref(brg__family *family);
void brg__family_unref(brg__family *family);

/* Makes `member` one of the family of the worker that the calling thread is; outside of workers does nothing.
 * BRG_NO_MEMORY; BRG_CLOSED when that worker was abandoned. */
brg_status brg__family_join(brg__member *member, brg_error *error);
/* It is being destroyed. Any thread; nothing where it is in no family (any more). */
void brg__family_leave(brg__member *member);

/* The worker was abandoned: asks all members to end and takes no more. Accepts NULL. Any thread. */
void brg__family_close(brg__family *family);
/* The worker's thread, at its end: asks all members, then waits for each. Accepts NULL. `loop`: the worker's own, or
 * NULL. */
void brg__family_end(brg__family *family, brg_loop *loop);

#endif
