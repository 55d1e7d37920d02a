/* SPDX-License-Identifier: MIT */
/*
 * The standard streams of one worker, where they are not just the program's.
 *
 * What a worker writes ends in a bounded flow, from which the owner takes it: callbacks on its loop, or
 * brg_worker_read_output. A thread worker writes there itself, through a FILE; a process worker writes into a pipe,
 * which the supervisor reads while there is room in the flow. When the process is gone, what is left in the pipe
 * follows, then the flow is closed: all before the worker counts as ended. stdin is the same the other way: a flow, or
 * a pipe that the owner's thread writes.
 */
#ifndef BRG_WORKER_STREAMS_H
#define BRG_WORKER_STREAMS_H

#include <brigade/worker.h>

#include "os/fd.h"
#include "worker/flow.h"
#include "worker/supervisor.h"

typedef struct brg__stream_source {
    brg__poll_source source; /* supervisor's */
    brg_worker *worker;
    brg__flow *flow;
    bool is_watched, is_paused; /* supervisor's; paused: there is no room, the reader says when there is */
    bool is_closing;            /* thread's: the last bytes come, and do not wait */
} brg__stream_source;

typedef struct brg__streams {
    brg__flow flows[3];
    int ours[3];   /* process: our ends of pipes, or -1 */
    int theirs[3]; /* process: the worker's ends, until it has them; -1: the program's own */
    brg__stream_source sources[3];
    brg__call call;
    uint32_t xcall_posted;
    uint32_t xpaused; /* copy of is_paused for readers: bit 1, 2 */
    bool xstdin_closed;
} brg__streams;

brg_status brg__streams_check(const brg_worker_options *options, brg_error *error);
/* Makes worker->streams, unless all modes are inherit. Freed with the worker. */
brg_status brg__streams_make(brg_worker *worker, brg_error *error);
void brg__streams_free(brg_worker *worker);

/* Process: what the worker gets as descriptors 0, 1 and 2; borrowed, -1 where they are the program's. */
void brg__streams_child_fds(const brg_worker *worker, int fds[3]);
/* The process exists and has them, or will never: closes ours of them. Supervisor. */
void brg__streams_given(brg_worker *worker);
/* In the child, first of all: fds become 0, 1 and 2, where they are not -1, and are closed. */
void brg__streams_become(int fds[3]);

/* From worker.c: the worker runs; it is asked to end; its end is about to be told; its handle goes. */
void brg__streams_started(brg_worker *worker);
void brg__streams_hurry(brg_worker *worker);
void brg__streams_ended(brg_worker *worker);
void brg__streams_drop(brg_worker *worker);

/* On the owner's loop: calls back with some of what is there; true when more is left. */
bool brg__streams_deliver(brg_worker *worker);

/* A thread worker's FILE of stream 0, 1 or 2; NULL without memory. */
FILE *brg__streams_open(brg_worker *worker, int stream);
/* Closes what open made, bytes it still holds first. The worker's thread, before it counts as ended. */
void brg__streams_close(brg_worker *worker, FILE *files[3]);

#endif
