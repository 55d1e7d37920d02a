/* SPDX-License-Identifier: MIT */
/*
 * Process workers, the owner's side: what its files share. process.c sends and ends, process_reply.c takes what comes
 * back, process_start.c makes segment and process.
 *
 * One memory segment per worker (protocol.h), mapped here and in the worker and nowhere else. Tasks and mail are
 * written under the link's send_lock by any thread. Replies are moved by "pumping", under pump_lock: by the supervisor
 * when the worker writes its event, or by a thread that waits for an answer anyway and spins (brg_task_wait,
 * brg_worker_receive, a port). The worker writes the event only if `xwatch` is set, once per setting: whoever stops
 * pumping sets it and looks once more.
 *
 * What is read from the segment is hostile: frames are checked by the ring, values are copied and checked by the wire
 * reader, replies must answer something that was asked. A lie ends the worker with BRG_PROTOCOL.
 *
 * Lock order: pump_lock (WORKER) < the pool's lock < a channel's (PORT) < send_lock (CHANNEL). References: the process
 * holds one on the worker from start until it is reaped, or the request for it failed; the link's users hold others.
 */
#ifndef BRG_WORKER_PROCESS_H
#define BRG_WORKER_PROCESS_H

#include "worker/link.h"
#include "worker/protocol.h"
#include "worker/service.h"
#include "worker/template.h"
#include "worker/worker.h"

typedef struct brg__process {
    brg_worker *worker;
    brg__segment *segment;
    size_t segment_bytes;
    int memfd, event, cancel_event, bell, socket, worker_socket;
    int xpidfd; /* -1 until it exists; supervisor writes */
    int64_t xpid;
    uint32_t signals; /* 0: none sent, 1: SIGTERM, 2: SIGKILL */
    uint64_t kill_at;

    brg__link link;
    brg__ring_producer request, mail; /* under the link's send_lock */
    uint64_t xmessages_sent;          /* to the worker: those that wait there are these less segment->xtaken */

    brg__lock pump_lock;
    brg__ring_consumer reply;
    uint64_t xconsumed; /* copy of reply.head for a look without the lock */
    bool xbroken;
    brg__service_client client;
    bool has_client;

    brg__call start_call, flush_call;
    uint32_t xflush_posted;
    brg__spawn spawn;
    brg__poll_source event_source, pid_source;
    bool event_watched;
} brg__process;

static inline brg__process *brg__process_of(const brg_worker *worker) { return worker->process; }

/* Whether the input of a task goes through the mail. */
bool brg__process_goes_by_mail(const brg_value *input);
/* The worker looks at its rings. Any thread. */
void brg__process_wake(brg__process *process);
/* It lied, or cannot be told the truth for want of memory. Any thread. */
void brg__process_break(brg__process *process, brg_status status, const char *why);

/* Moves replies while there are any; for the last time when the process is gone. */
bool brg__process_pump(brg_worker *worker);
void brg__process_unpump(brg_worker *worker);
/* One of its messages was received: there is room for one more. Any thread. */
void brg__process_took(brg_worker *worker);
void brg__process_pump_rest(brg__process *process);
void brg__process_event(brg__poll_source *source);
void brg__process_unwatch(brg__process *process);

/* The process is gone, or will never be: its link dies and its services let go. No lock held. */
void brg__process_sever(brg__process *process);

brg_status brg__process_start(brg_worker *worker, brg_error *error);
void brg__process_free(brg_worker *worker);
/* pid_source.ready */
void brg__process_exited(brg__poll_source *source);

#endif
