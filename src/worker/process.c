/* SPDX-License-Identifier: MIT */
/*
 * Process workers, the owner's side.
 *
 * One memory segment per worker (protocol.h), mapped here and in the worker and nowhere else. Requests are written under
 * send_lock by any thread. Replies are moved by "pumping", under pump_lock: by the supervisor when the worker writes its
 * event, or by a thread that waits for an answer anyway and spins (brg_task_wait, brg_worker_receive). The worker writes the
 * event only if `xwatch` is set, once per setting: whoever stops pumping sets it and looks once more.
 *
 * What is read from the segment is hostile: frames are checked by the ring, values are copied and checked by the wire
 * reader, replies must answer something that was asked. A lie ends the worker with BRG_PROTOCOL.
 *
 * Lock order: pump_lock (WORKER) < the pool's lock < send_lock (CHANNEL). References: the process holds one on the
 * worker from start until it is reaped, or the request for it failed.
 */
#include <stdio.h>
#include <string.h>

#include "message/wire.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/process.h"
#include "worker/protocol.h"
#include "worker/template.h"
#include "worker/worker.h"

#define PROCESS_PUMP_BATCH 512
#define PROCESS_TERM_NS BRG_MILLISECONDS(50) /* between SIGTERM and SIGKILL */
#define PROCESS_NAME_ROOM 256                /* a task frame's name and padding */

typedef struct brg__process {
    brg_worker *worker;
    brg__segment *segment;
    size_t segment_bytes;
    int memfd, event, cancel_event;
    int xpidfd; /* -1 until it exists; supervisor writes */
    int64_t xpid;
    uint32_t signals; /* 0: none sent, 1: SIGTERM, 2: SIGKILL */
    uint64_t kill_at;

    brg__lock send_lock;
    brg__ring_producer request;
    uint64_t *message_ends; /* ring positions where the messages in flight end: a circle of mailbox_max */
    uint32_t messages_first, messages_count;

    brg__lock pump_lock;
    brg__ring_consumer reply;
    uint64_t xconsumed; /* copy of reply.head for a look without the lock */
    uint32_t xstalled;  /* the inbox was full: pumping waits for room */
    bool broken;

    brg__call start_call;
    brg__spawn spawn;
    brg__poll_source event_source, pid_source;
    bool event_watched;
} brg__process;

static brg__process *process_of(const brg_worker *worker) { return worker->process; }

int64_t brg__process_worker_id(const brg_worker *worker) { return brg_load_relaxed(&process_of(worker)->xpid); }

/* ---- to the worker ----------------------------------------------------------------------------------------- */

static void process_wake(brg__process *process)
{
    brg__gate_wake(&process->segment->request.consumer, BRG__FUTEX_SHARED);
}

/* How many messages the worker has not taken from the ring yet. */
static uint32_t process_messages_locked(brg__process *process)
{
    uint64_t head = brg_load_acquire(&process->segment->request.xhead); /* a lie only changes the worker's own bound */
    while (process->messages_count > 0 && process->message_ends[process->messages_first] <= head) {
        process->messages_first = (process->messages_first + 1) % process->worker->options.mailbox_max;
        process->messages_count--;
    }
    return process->messages_count;
}

static brg_status process_try_post(brg__process *process, const brg_value *message, brg__request_kind kind)
{
    brg_worker *worker = process->worker;
    brg__lock_acquire(&process->send_lock);
    brg_status status = BRG_FULL;
    if (brg_load_acquire(&worker->xasked) != 0 || brg__worker_is_over(worker)) {
        status = BRG_CLOSED;
    } else if (kind == BRG__REQUEST_INIT || process_messages_locked(process) < worker->options.mailbox_max) {
        brg__frame *frame = NULL;
        status = brg__ring_reserve(&process->request, brg__wire_size(message), &frame);
        if (status == BRG_OK) {
            frame->kind = kind;
            brg__wire_write(message, frame + 1);
            brg__ring_publish(&process->request);
        }
        if (status == BRG_OK && kind == BRG__REQUEST_MESSAGE) {
            uint32_t last = (process->messages_first + process->messages_count) % worker->options.mailbox_max;
            process->message_ends[last] = process->request.tail;
            process->messages_count++;
        }
    }
    brg__lock_release(&process->send_lock);
    return status;
}

static brg_status process_post(brg_worker *worker, brg_value *message, uint64_t deadline_ns, brg_error *error)
{
    (void)error;
    brg__process *process = process_of(worker);
    brg__gate *room = &process->segment->request.producer;
    for (;;) {
        brg_status status = process_try_post(process, message, BRG__REQUEST_MESSAGE);
        if (status == BRG_FULL && deadline_ns != 0) {
            brg__gate_prepare(room);
            status = process_try_post(process, message, BRG__REQUEST_MESSAGE);
        }
        if (status == BRG_OK) {
            process_wake(process);
            brg_value_unref(message);
        }
        if (status != BRG_FULL || deadline_ns == 0)
            return status;
        if (!brg__futex_wait(&room->xsleeping, 1, deadline_ns, BRG__FUTEX_SHARED))
            return BRG_TIMED_OUT;
    }
}

brg_status brg__process_send_task(brg_worker *worker, uint64_t ticket, uint32_t attempt, const char *name,
                                  const brg_value *input, brg__sent *sent)
{
    brg__process *process = process_of(worker);
    size_t name_bytes = strlen(name), name_room = brg__align_up(name_bytes, 8);
    brg__frame *frame = NULL;
    brg__lock_acquire(&process->send_lock);
    brg_status status = brg__ring_reserve(&process->request, name_room + brg__wire_size(input), &frame);
    if (status == BRG_OK) {
        frame->kind = BRG__REQUEST_TASK;
        frame->id = ticket;
        frame->word[0] = attempt;
        frame->word[1] = name_bytes;
        memcpy(frame + 1, name, name_bytes);
        brg__wire_write(input, (char *)(frame + 1) + name_room);
        sent->position = process->request.next;
        sent->xclaim = &frame->xclaim;
    }
    brg__lock_release(&process->send_lock);
    return status;
}

void brg__process_publish(brg_worker *worker)
{
    brg__process *process = process_of(worker);
    brg__lock_acquire(&process->send_lock);
    brg__ring_publish(&process->request);
    brg__lock_release(&process->send_lock);
    process_wake(process);
}

bool brg__process_recall(brg_worker *worker, const brg__sent *sent)
{
    brg__process *process = process_of(worker);
    brg__lock_acquire(&process->send_lock);
    /* Past the checked head the frame's memory may be another's; before it the claim is still this frame's. */
    uint32_t free_claim = BRG__CLAIM_FREE;
    bool recalled = sent->position > process->request.head &&
                    brg_cas_acq_rel(sent->xclaim, &free_claim, (uint32_t)BRG__CLAIM_RECALLED);
    brg__lock_release(&process->send_lock);
    return recalled;
}

void brg__process_cancel(brg_worker *worker, uint64_t ticket)
{
    brg__process *process = process_of(worker);
    brg_store_release(&process->segment->xcancel, ticket);
    brg__event_signal(process->cancel_event);
}

/* Senders that wait for room look again, and find the worker closed. */
static void process_closed(brg_worker *worker)
{
    brg__gate *room = &process_of(worker)->segment->request.producer;
    brg_store_seq_cst(&room->xsleeping, 0u);
    brg__futex_wake(&room->xsleeping, INT32_MAX, BRG__FUTEX_SHARED);
}

static void process_ask(brg_worker *worker)
{
    brg__process *process = process_of(worker);
    brg_store_release(&process->segment->xstop, 1u);
    brg__process_cancel(worker, UINT64_MAX);
    process_wake(process);
    brg__gate_wake(&process->segment->reply.producer, BRG__FUTEX_SHARED); /* it posts no more if it waits for room */
    process_closed(worker);
}

/* ---- from the worker --------------------------------------------------------------------------------------- */

static void process_break(brg__process *process, const char *why)
{
    if (process->broken)
        return;
    process->broken = true;
    char message[160];
    snprintf(message, sizeof(message), "worker %llu broke the protocol: %s", (unsigned long long)process->worker->id,
             why);
    brg__worker_end_now(process->worker, BRG_PROTOCOL, message);
}

/* BRG_FULL: the inbox has no room, keep the frame. */
static brg_status process_message(brg__process *process, const brg__frame *frame, const void *payload)
{
    brg_worker *worker = process->worker;
    brg_value *message = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (frame->payload_bytes > process->segment_bytes || worker->source != NULL)
        return BRG_PROTOCOL;
    brg__lock_acquire(&worker->inbox.lock);
    bool full = worker->inbox.xcount >= worker->inbox.capacity; /* looked at before the value is copied */
    brg__lock_release(&worker->inbox.lock);
    if (full)
        return BRG_FULL;
    brg_status status = brg__wire_read(&message, payload, frame->payload_bytes, &error);
    if (status == BRG_NO_MEMORY)
        return BRG_FULL;
    if (status != BRG_OK || message == NULL)
        return BRG_PROTOCOL;
    status = brg__mailbox_push(&worker->inbox, message, 0);
    if (status == BRG_OK)
        brg__worker_deliver(worker);
    else
        brg_value_unref(message);
    if (status == BRG_NO_MEMORY) /* ours, not the worker's fault */
        return BRG_FULL;
    return status == BRG_CLOSED ? BRG_OK : status;
}

/* A value of `size` bytes at *at, which moves on; BRG_PROTOCOL where it is no value. Memory failing is the task's failure. */
static brg_status process_part(const char **at, const char *end, uint64_t size, brg_value **out, brg_error *error)
{
    if (size > (uint64_t)(end - *at))
        return BRG_PROTOCOL;
    brg_status status = brg__wire_read(out, *at, (size_t)size, error);
    *at += brg__min(brg__align_up(size, 8), (uint64_t)(end - *at));
    return status == BRG_MALFORMED || status == BRG_TOO_LARGE ? BRG_PROTOCOL : status;
}

static void process_reply_error(brg__task_reply *reply, const void *from, uint64_t size)
{
    brg__wire_error wire;
    memset(&wire, 0, sizeof(wire));
    if (size == sizeof(wire))
        memcpy(&wire, from, sizeof(wire));
    wire.status = reply->status;
    reply->error = brg__calloc(1, sizeof(*reply->error));
    if (reply->error == NULL)
        return;
    brg__wire_error_to(reply->error, &wire);
    if (reply->error->message[0] == '\0')
        brg_error_set(reply->error, reply->status, "worker", "the result of the task: %s",
                      brg_status_text(reply->status));
}

static brg_status process_result(brg__process *process, const brg__frame *frame, const void *payload)
{
    brg_worker *worker = process->worker;
    brg__task_reply reply = {.ticket = frame->id, .status = (brg_status)frame->status, .run_ns = frame->word[3]};
    const char *at = payload, *end = at + frame->payload_bytes;
    if (worker->source == NULL || frame->status > 0)
        return BRG_PROTOCOL;
    brg_status status = BRG_OK;
    if (frame->payload_bytes != 0) {
        brg_error error;
        status = process_part(&at, end, frame->word[0], &reply.output, &error);
        if (status == BRG_OK)
            status = process_part(&at, end, frame->word[1], &reply.detail, &error);
        if (status == BRG_OK && frame->word[2] > (uint64_t)(end - at))
            status = BRG_PROTOCOL;
    }
    if (status == BRG_NO_MEMORY) { /* here, in the owner: the result cannot be held */
        reply.status = BRG_NO_MEMORY;
        status = BRG_OK;
    }
    if (status == BRG_OK && reply.status != BRG_OK)
        process_reply_error(&reply, at, at + frame->word[2] <= end ? frame->word[2] : 0);
    if (status == BRG_OK && !worker->source->reply(worker->source_owner, worker, &reply))
        status = BRG_PROTOCOL;
    brg_value_unref(reply.output);
    brg_value_unref(reply.detail);
    brg__mfree(reply.error);
    return status;
}

static brg_status process_failed_hook(brg__process *process, const brg__frame *frame, const void *payload)
{
    brg_worker *worker = process->worker;
    brg__wire_error wire;
    brg_error error;
    if (frame->payload_bytes != sizeof(wire))
        return BRG_PROTOCOL;
    memcpy(&wire, payload, sizeof(wire));
    brg__wire_error_to(&error, &wire);
    if (frame->kind == BRG__REPLY_HANDLER_ERROR) {
        brg__worker_error(worker, &error);
        return BRG_OK;
    }
    brg__lock_acquire(&worker->life_lock);
    if (worker->exit.status == BRG_OK) {
        worker->exit.status = BRG_START_FAILED;
        worker->exit.error = error;
    }
    brg__lock_release(&worker->life_lock);
    return BRG_OK;
}

static brg_status process_frame(brg__process *process, const brg__frame *frame, const void *payload)
{
    switch (frame->kind) {
    case BRG__REPLY_RESULT:
        return process_result(process, frame, payload);
    case BRG__REPLY_MESSAGE:
        return process_message(process, frame, payload);
    case BRG__REPLY_ONLINE:
        if (brg__worker_state(process->worker) == BRG_WORKER_STARTING)
            brg__worker_started(process->worker);
        return BRG_OK;
    case BRG__REPLY_START_FAILED:
    case BRG__REPLY_HANDLER_ERROR:
        return process_failed_hook(process, frame, payload);
    default:
        return BRG_PROTOCOL;
    }
}

static bool process_pump_locked(brg__process *process)
{
    bool any = false;
    for (int i = 0; i < PROCESS_PUMP_BATCH && !process->broken; i++) {
        brg__frame frame;
        const void *payload;
        brg_status status = brg__ring_peek(&process->reply, &frame, NULL, &payload);
        if (status == BRG_EMPTY)
            break;
        if (status == BRG_OK)
            status = process_frame(process, &frame, payload);
        if (status == BRG_FULL) {
            brg_store_relaxed(&process->xstalled, 1u);
            break;
        }
        if (status != BRG_OK) {
            process_break(process, "a reply that is malformed or answers nothing that was asked");
            break;
        }
        brg__ring_consume(&process->reply);
        brg_store_relaxed(&process->xconsumed, process->reply.head);
        brg__gate_wake(&process->segment->reply.producer, BRG__FUTEX_SHARED);
        any = true;
    }
    return any;
}

static bool process_pump(brg_worker *worker)
{
    brg__process *process = process_of(worker);
    brg__segment *segment = process->segment;
    if (brg_load_relaxed(&segment->xwatch) != 0)
        brg_store_relaxed(&segment->xwatch, 0u); /* somebody looks: no need to write the event */
    if (brg_load_acquire(&segment->reply.xtail) == brg_load_relaxed(&process->xconsumed))
        return false;
    if (!brg__lock_try_acquire(&process->pump_lock))
        return false;
    bool any = process_pump_locked(process);
    brg__lock_release(&process->pump_lock);
    return any;
}

static void process_unpump(brg_worker *worker)
{
    brg__process *process = process_of(worker);
    brg_store_relaxed(&process->xstalled, 0u);
    brg_store_seq_cst(&process->segment->xwatch, 1u); /* pairs with the worker's look after publishing */
    brg_fence_seq_cst();
    if (brg_load_acquire(&process->segment->reply.xtail) != brg_load_relaxed(&process->xconsumed))
        brg__event_signal(process->event);
}

/* The worker wrote its event. Supervisor. */
static void process_event(brg__poll_source *source)
{
    brg__process *process = brg__container_of(source, brg__process, event_source);
    brg__event_clear(process->event);
    brg__lock_acquire(&process->pump_lock);
    process_pump_locked(process);
    bool stalled = brg_load_relaxed(&process->xstalled) != 0, broken = process->broken;
    brg__lock_release(&process->pump_lock);
    /* Taking messages resumes it; with none there to take it was memory that lacked, and we try again. */
    if (!broken && (!stalled || brg__mailbox_is_empty(&process->worker->inbox)))
        process_unpump(process->worker);
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

static void process_unwatch(brg__process *process)
{
    if (process->event_watched) {
        brg__supervisor_unwatch(&process->event_source);
        process->event_watched = false;
    }
}

static void process_describe_signal(brg__process *process, brg_exit *exit)
{
    brg_worker *worker = process->worker;
    brg_error *error = &exit->error;
    int reported = 0;
    uint64_t address = 0;
    char trace[sizeof(error->backtrace)];
    bool has_report = brg__crash_read(&process->segment->crash, &reported, &address, trace, sizeof(trace));
    exit->status = BRG_CRASHED;
    if (brg_load_relaxed(&process->segment->xmemory_failed) != 0) {
        exit->status = BRG_NO_MEMORY;
        brg_error_set(error, BRG_NO_MEMORY, "worker", "worker %llu ran out of memory and was ended by signal %d (%s)",
                      (unsigned long long)worker->id, exit->signal, brg__signal_name(exit->signal));
    } else {
        brg_error_set(error, BRG_CRASHED, "worker", "worker %llu was ended by signal %d (%s)%s",
                      (unsigned long long)worker->id, exit->signal, brg__signal_name(exit->signal),
                      has_report ? "" : ", without a report");
    }
    error->signal = exit->signal;
    if (has_report && reported == exit->signal)
        snprintf(error->backtrace, sizeof(error->backtrace), "%s", trace);
}

static void process_finish(brg__process *process, const brg__process_end *end)
{
    brg_worker *worker = process->worker;
    brg_exit exit;
    memset(&exit, 0, sizeof(exit));
    exit.exit_code = end->exit_code;
    exit.signal = end->signal;
    bool asked = brg_load_acquire(&worker->xasked) != 0;
    if (end->signal != 0 && !asked) {
        process_describe_signal(process, &exit);
    } else if (end->signal == 0 && end->exit_code != 0) {
        exit.status = BRG_EXITED;
        brg_error_set(&exit.error, BRG_EXITED, "worker", "worker %llu exited with code %d",
                      (unsigned long long)worker->id, end->exit_code);
        exit.error.exit_code = end->exit_code;
    }
    brg__worker_ended(worker, BRG__LIFE_ENDED, &exit);
}

/* The process is gone. Supervisor. */
static void process_exited(brg__poll_source *source)
{
    brg__process *process = brg__container_of(source, brg__process, pid_source);
    brg_worker *worker = process->worker;
    brg__process_end end;
    if (!brg__process_reap(process->xpidfd, &end))
        return;
    process_unwatch(process);
    brg__supervisor_unwatch(&process->pid_source);
    /* What it sent before it ended arrives before its exit, room or not: the ring bounds it. */
    brg__lock_acquire(&worker->inbox.lock);
    worker->inbox.capacity = INT32_MAX;
    brg__lock_release(&worker->inbox.lock);
    brg__lock_acquire(&process->pump_lock);
    while (process_pump_locked(process))
        ;
    brg__lock_release(&process->pump_lock);
    brg__template_release(&process->spawn);
    process_finish(process, &end);
    brg__worker_unref(worker);
}

static bool process_end(brg_worker *worker)
{
    brg__process *process = process_of(worker);
    if (process->xpidfd < 0) { /* no process yet: when the answer comes it is killed at once */
        brg_exit exit;
        memset(&exit, 0, sizeof(exit));
        brg__template_hurry(&process->spawn);
        brg__worker_ended(worker, BRG__LIFE_ENDED, &exit);
        return true;
    }
    bool at_once = brg_load_relaxed(&worker->xasked) != 1 || process->signals == 1;
    if (process->signals == 0 && !at_once) {
        brg__process_signal(process->xpidfd, 15);
        process->signals = 1;
        process->kill_at = brg__deadline(PROCESS_TERM_NS);
        return false;
    }
    if (process->signals == 1 && brg__now() < process->kill_at)
        return false;
    brg__process_signal(process->xpidfd, 9);
    process->signals = 2;
    return true;
}

/* ---- the start -------------------------------------------------------------------------------------------------- */

static void process_spawned(brg__spawn *spawn, int64_t pid, int pidfd)
{
    brg__process *process = brg__container_of(spawn, brg__process, spawn);
    brg_worker *worker = process->worker;
    process->xpidfd = pidfd;
    brg_store_relaxed(&process->xpid, pid);
    process->pid_source = (brg__poll_source){.fd = pidfd, .ready = process_exited};
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (brg__worker_is_over(worker))
        brg__process_signal(pidfd, 9);
    if (brg__supervisor_watch(&process->pid_source, &error) == BRG_OK)
        return;
    brg__process_end end; /* it cannot be watched: end it here */
    brg__process_signal(pidfd, 9);
    brg__fd_wait_readable(pidfd, UINT64_MAX);
    brg__process_reap(pidfd, &end);
    process_unwatch(process);
    brg__template_release(spawn);
    brg_exit exit = {.status = BRG_START_FAILED, .error = error};
    brg__worker_ended(worker, BRG__LIFE_ENDED, &exit);
    brg__worker_unref(worker);
}

static void process_spawn_failed(brg__spawn *spawn, const brg_error *error)
{
    brg__process *process = brg__container_of(spawn, brg__process, spawn);
    brg_worker *worker = process->worker;
    process_unwatch(process);
    brg_store_release(&process->segment->xstop, 1u); /* if it was started all the same, it ends by itself */
    brg_exit exit = {.status = BRG_START_FAILED, .error = *error};
    brg__worker_ended(worker, BRG__LIFE_ENDED, &exit);
    brg__worker_unref(worker);
}

static void process_start_call(brg__call *call)
{
    brg__process *process = brg__container_of(call, brg__process, start_call);
    brg_worker *worker = process->worker;
    brg_error error;
    memset(&error, 0, sizeof(error));
    process->event_source = (brg__poll_source){.fd = process->event, .ready = process_event};
    if (brg__supervisor_watch(&process->event_source, &error) != BRG_OK) {
        process_spawn_failed(&process->spawn, &error);
        return;
    }
    process->event_watched = true;
    brg__template_spawn(&process->spawn, worker->options.module, worker->options.helper);
}

static uint64_t process_area_bytes(size_t message_bytes_max)
{
    uint64_t capacity = (uint64_t)1 << 20;
    while (brg__ring_payload_max(capacity) <
           message_bytes_max + message_bytes_max / 8 + PROCESS_NAME_ROOM + sizeof(brg__wire_error))
        capacity *= 2;
    return capacity;
}

static brg_status process_segment(brg__process *process, brg_error *error)
{
    const brg_worker_options *options = &process->worker->options;
    uint64_t area = process_area_bytes(options->message_bytes_max);
    void *memory = NULL;
    process->segment_bytes = (size_t)(BRG__SEGMENT_HEAD_BYTES + 2 * area);
    brg_status status = brg__memfd_create(&process->memfd, "brigade-worker", process->segment_bytes, error);
    if (status == BRG_OK)
        status = brg__memfd_reserve(process->memfd, 0, BRG__SEGMENT_HEAD_BYTES, error);
    if (status == BRG_OK)
        status = brg__map_shared(&memory, process->memfd, process->segment_bytes, error);
    if (status != BRG_OK)
        return status;
    brg__segment *segment = process->segment = memory;
    segment->magic = BRG__SEGMENT_MAGIC;
    segment->version = BRG__PROTOCOL_VERSION;
    segment->worker_id = process->worker->id;
    segment->area_bytes = area;
    segment->request_offset = BRG__SEGMENT_HEAD_BYTES;
    segment->reply_offset = BRG__SEGMENT_HEAD_BYTES + area;
    segment->message_bytes_max = options->message_bytes_max;
    segment->owner_pid = brg__process_id();
    segment->spin_ns = options->spin_ns;
    segment->is_pooled = process->worker->source != NULL;
    segment->limits = (brg__segment_limits){.arena_bytes_max = options->limits.arena_bytes_max,
                                            .memory_bytes_max = options->limits.memory_bytes_max,
                                            .stack_bytes = options->limits.stack_bytes,
                                            .files_max = options->limits.files_max,
                                            .cpu_seconds_max = options->limits.cpu_seconds_max};
    snprintf(segment->name, sizeof(segment->name), "%s", process->worker->name);
    segment->xwatch = 1;
    char *base = memory;
    brg__ring_producer_init(&process->request, &segment->request, base + segment->request_offset, area, process->memfd,
                            segment->request_offset);
    brg__ring_consumer_init(&process->reply, &segment->reply, base + segment->reply_offset, area);
    return BRG_OK;
}

static void process_free(brg_worker *worker)
{
    brg__process *process = process_of(worker);
    if (process == NULL)
        return;
    if (process->segment != NULL)
        brg__unmap(process->segment, process->segment_bytes);
    brg__fd_close(&process->memfd);
    brg__fd_close(&process->event);
    brg__fd_close(&process->cancel_event);
    brg__fd_close(&process->xpidfd);
    brg__mfree(process->message_ends);
    brg__mfree_aligned(process);
    worker->process = NULL;
}

static brg_status process_start(brg_worker *worker, brg_error *error)
{
    brg__process *process = brg__calloc_aligned(sizeof(*process));
    if (process == NULL)
        return brg__error_memory(error, "a worker");
    worker->process = process; /* process_free runs with the worker's own, also when the rest fails */
    process->worker = worker;
    process->memfd = process->event = process->cancel_event = process->xpidfd = -1;
    brg__lock_init(&process->send_lock, BRG__RANK_CHANNEL, "worker send");
    brg__lock_init(&process->pump_lock, BRG__RANK_WORKER, "worker pump");
    process->message_ends = brg__calloc(worker->options.mailbox_max, sizeof(uint64_t));
    brg_status status = process->message_ends == NULL ? brg__error_memory(error, "a worker") : BRG_OK;
    if (status == BRG_OK)
        status = brg__event_create(&process->event, error);
    if (status == BRG_OK)
        status = brg__event_create(&process->cancel_event, error);
    if (status == BRG_OK)
        status = process_segment(process, error);
    if (status == BRG_OK && worker->options.init_data != NULL) {
        status = process_try_post(process, worker->options.init_data, BRG__REQUEST_INIT);
        if (status != BRG_OK)
            brg_error_set(error, status, "worker", "init_data of %zu bytes: %s",
                          brg_value_size_with_buffers(worker->options.init_data), brg_status_text(status));
    }
    if (status != BRG_OK)
        return status;
    process->spawn = (brg__spawn){.fds = {process->memfd, process->event, process->cancel_event},
                                  .segment_bytes = process->segment_bytes,
                                  .spawned = process_spawned,
                                  .failed = process_spawn_failed};
    process->start_call.run = process_start_call;
    brg__supervisor_call(&process->start_call);
    return BRG_OK;
}

const brg__isolation_ops brg__isolation_process = {.start = process_start,
                                                   .post = process_post,
                                                   .ask = process_ask,
                                                   .closed = process_closed,
                                                   .end = process_end,
                                                   .pump = process_pump,
                                                   .unpump = process_unpump,
                                                   .free = process_free};
