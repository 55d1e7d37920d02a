/* SPDX-License-Identifier: MIT */
/*
 * Templates, the owner's side: one warm, single-threaded process per module and worker program, started when the first
 * worker needs it, shared by all that use the same two, and kept for a while after the last. It forks workers as
 * siblings, children of the supervisor. When it dies, what it had not answered fails and the next request starts a new
 * one; workers it made live on. Everything here runs on the supervisor.
 */
#ifndef BRG_WORKER_TEMPLATE_H
#define BRG_WORKER_TEMPLATE_H

#include <brigade/status.h>

#include "base/list.h"
#include "worker/protocol.h"

typedef struct brg__template brg__template;

/* A request for one worker process; lives in the process it is for until one of the two functions was called. */
typedef struct brg__spawn {
    brg__node node;
    uint64_t number;
    brg__template *template; /* while it uses one: brg__template_release when the worker is gone */
    int fds[BRG__FD_COUNT];  /* borrowed; -1: not given */
    size_t segment_bytes;
    void (*spawned)(struct brg__spawn *spawn, int64_t pid, int pidfd); /* takes pidfd */
    void (*failed)(struct brg__spawn *spawn, const brg_error *error);
} brg__spawn;

/* `helper` NULL: found beside the library. Failures arrive through `failed`, possibly inside this call. */
void brg__template_spawn(brg__spawn *spawn, const char *module, const char *helper);
/* The worker of `spawn`, or the request, is over. */
void brg__template_release(brg__spawn *spawn);
/* A request is given up: not answered in time, or not wanted any more. It fails; a template that nobody else waits
 * for, or that has been silent for long, is killed. */
void brg__template_hurry(brg__spawn *spawn);

#endif
