/* SPDX-License-Identifier: MIT */
/*
 * What surrounds a worker: arguments, environment, environment data. Lists of strings and of data are immutable and
 * counted; who changes one makes a new one. So a worker is born with what its creator had at that moment for the price
 * of a few references (and of one copy of the program's environment, which cannot be referenced).
 */
#ifndef BRG_WORKER_WORLD_H
#define BRG_WORKER_WORLD_H

#include <brigade/worker.h>

typedef struct brg__strings brg__strings;
typedef struct brg__facts brg__facts;

/* Used by one thread, the worker's, but for the facts. */
typedef struct brg__world {
    brg__strings *arguments;   /* NULL: none */
    brg__strings *environment; /* NULL: the program's, or in a process worker the process's */
    brg__facts *xfacts;        /* environment data; under the facts' lock. NULL: none */
    char *found;               /* what getenv gave last */
} brg__world;

/* Whether the options about it are sound. */
brg_status brg__world_check(const brg_worker_options *options, brg_error *error);

/*
 * What a worker with these options gets: from `heritage`, or, where that is NULL, from the worker that the calling
 * thread is, or from the program.
 */
brg_status brg__world_make(brg__world *world, const brg_worker_options *options, const brg__world *heritage,
                           brg_error *error);
/* Lets go of everything; a zeroed one is fine. */
void brg__world_done(brg__world *world);

/* The world as one value for a process worker; the caller's. */
brg_status brg__world_pack(const brg_worker *worker, brg_value **out, brg_error *error);
/*
 * In a process worker, before anything of the user's runs there: makes what pack made the world of this process,
 * environ included, and gives it to `context`. `value` NULL: an empty one.
 */
brg_status brg__world_unpack(brg_context *context, const brg_value *value, brg_error *error);

/* The world outside of workers; in a process worker its own. */
brg__world *brg__world_of_program(void);

#endif
