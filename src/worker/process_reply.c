/* SPDX-License-Identifier: MIT */
/* Process workers, the owner's side: what they send. See process.h. */
#include <string.h>

#include "os/atomic.h"
#include "os/memory.h"
#include "worker/process.h"

#define PROCESS_PUMP_BATCH 512
#define PROCESS_INBOX_SLACK 16 /* messages past mailbox_max before it counts as a lie: our count may lag */

/* Wakes a worker that waits for room of any kind. */
static void process_tell_room(brg__process *process)
{
    brg_fence_seq_cst(); /* pairs with child_needs_room */
    if (brg_load_relaxed(&process->segment->xneeds_room) != 0 &&
        brg_exchange_seq_cst(&process->segment->xneeds_room, 0u) != 0)
        brg__process_wake(process);
}

void brg__process_took(brg_worker *worker)
{
    brg__process *process = brg__process_of(worker);
    brg_add_acq_rel(&process->segment->xinbox_taken, (uint64_t)1); /* pairs with child_try_post */
    process_tell_room(process);
}

void brg__process_progress_taken(brg_worker *worker, uint64_t ticket, uint32_t taken)
{
    brg__process *process = brg__process_of(worker);
    brg_store_release(&process->segment->xprogress_taken, ticket << 32 | taken); /* pairs with child_try_progress */
    process_tell_room(process);
}

/* A message with objects was lost for want of memory or descriptors here; the worker is not to blame. */
static brg_status process_garbled(brg__process *process, const brg_error *error)
{
    brg__worker_message_error(process->worker, error);
    brg__process_took(process->worker);
    return BRG_OK;
}

/* BRG_FULL: no memory for it now, keep the frame. */
static brg_status process_message(brg__process *process, const brg__frame *frame, const void *payload)
{
    brg_worker *worker = process->worker;
    brg_value *message = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (worker->source != NULL)
        return BRG_PROTOCOL;
    brg_status status = brg__wire_read(&message, &process->link.carrier, payload, frame->payload_bytes, &error);
    bool again = status == BRG_NO_MEMORY && brg__wire_is_plain(payload, frame->payload_bytes);
    if (again)
        return BRG_FULL;
    if (status == BRG_NO_MEMORY || status == BRG_SYSTEM)
        return process_garbled(process, &error);
    if (status != BRG_OK || message == NULL)
        return BRG_PROTOCOL;
    brg__lock_acquire(&worker->inbox.lock);
    bool beyond = worker->inbox.xcount > worker->options.mailbox_max + PROCESS_INBOX_SLACK;
    brg__lock_release(&worker->inbox.lock);
    status = beyond ? BRG_PROTOCOL : brg__mailbox_push(&worker->inbox, message, 0);
    if (status != BRG_OK)
        brg_value_unref(message);
    if (status == BRG_NO_MEMORY && brg__wire_is_plain(payload, frame->payload_bytes))
        return BRG_FULL;
    if (status == BRG_NO_MEMORY) {
        brg__error_memory(&error, "receiving a message");
        return process_garbled(process, &error);
    }
    if (status == BRG_OK)
        brg__worker_deliver(worker);
    return status == BRG_CLOSED ? BRG_OK : status;
}

/* A value of `size` bytes at *at, which moves on; BRG_PROTOCOL where it is no value. Memory failing is the task's
 * failure. */
static brg_status process_part(brg__process *process, const char **at, const char *end, uint64_t size, brg_value **out,
                               brg_error *error)
{
    if (size > (uint64_t)(end - *at))
        return BRG_PROTOCOL;
    brg_status status = brg__wire_read(out, &process->link.carrier, *at, (size_t)size, error);
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
    if (worker->source == NULL || frame->status > 0 || frame->word[4] > UINT32_MAX)
        return BRG_PROTOCOL;
    reply.part = (uint32_t)frame->word[4];
    brg_status status = BRG_OK;
    if (frame->payload_bytes != 0) {
        brg_error error;
        status = process_part(process, &at, end, frame->word[0], &reply.output, &error);
        if (status == BRG_OK)
            status = process_part(process, &at, end, frame->word[1], &reply.detail, &error);
        if (status == BRG_OK && frame->word[2] > (uint64_t)(end - at))
            status = BRG_PROTOCOL;
    }
    if (status == BRG_NO_MEMORY || status == BRG_SYSTEM) { /* here, in the owner: the result cannot be held */
        reply.status = status;
        status = BRG_OK;
    }
    if (status == BRG_OK && reply.status != BRG_OK)
        process_reply_error(&reply, at, frame->word[2] <= (uint64_t)(end - at) ? frame->word[2] : 0);
    if (status == BRG_OK && !worker->source->reply(worker->source_owner, worker, &reply))
        status = BRG_PROTOCOL;
    brg_value_unref(reply.output);
    brg_value_unref(reply.detail);
    brg__mfree(reply.error);
    return status;
}

/* BRG_FULL: no memory for it now, keep the frame. One with objects, which are imported once, cannot be tried again: its
 * task must not go on as if it had been delivered. */
static brg_status process_progress(brg__process *process, const brg__frame *frame, const void *payload)
{
    brg_worker *worker = process->worker;
    brg_value *value = NULL;
    brg_error error;
    if (worker->source == NULL)
        return BRG_PROTOCOL;
    brg_status status = brg__wire_read(&value, &process->link.carrier, payload, frame->payload_bytes, &error);
    if (status == BRG_OK && value != NULL)
        status = worker->source->progress(worker->source_owner, worker, frame->id, value);
    else if (status == BRG_OK || (status != BRG_NO_MEMORY && status != BRG_SYSTEM))
        status = BRG_PROTOCOL;
    if (status != BRG_OK)
        brg_value_unref(value);
    if (status == BRG_NO_MEMORY && brg__wire_is_plain(payload, frame->payload_bytes))
        return BRG_FULL;
    if (status != BRG_OK && status != BRG_PROTOCOL) {
        brg__process_break(process, status, "a value of its task's progress could not be taken in");
        return BRG_OK;
    }
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

static brg_status process_online(brg__process *process)
{
    if (BRG__UNLIKELY(brg_load_acquire(&process->xpid) == 0))
        return BRG_FULL; /* the template's answer with its number is still to come: who is online has one */
    if (brg__worker_state(process->worker) != BRG_WORKER_STARTING)
        return BRG_OK;
    brg__service_client_ready(&process->client);
    brg__worker_started(process->worker);
    return BRG_OK;
}

static brg_status process_frame(brg__process *process, const brg__frame *frame, const void *payload)
{
    switch (frame->kind) {
    case BRG__REPLY_RESULT:
        return process_result(process, frame, payload);
    case BRG__REPLY_PROGRESS:
        return process_progress(process, frame, payload);
    case BRG__REPLY_MESSAGE:
        return process_message(process, frame, payload);
    case BRG__REPLY_ONLINE:
        return process_online(process);
    case BRG__REPLY_START_FAILED:
    case BRG__REPLY_HANDLER_ERROR:
        return process_failed_hook(process, frame, payload);
    default:
        return brg__link_frame(&process->link, frame, payload);
    }
}

static bool process_pump_locked(brg__process *process)
{
    bool any = false;
    if (brg_load_relaxed(&process->link.xdead) != 0)
        return false; /* it has ended: whoever writes there now is not the worker */
    for (int i = 0; i < PROCESS_PUMP_BATCH && !brg_load_relaxed(&process->xbroken); i++) {
        brg__frame frame;
        const void *payload;
        brg_status status = brg__ring_peek(&process->reply, &frame, NULL, &payload);
        if (status == BRG_EMPTY)
            break;
        if (status == BRG_OK)
            status = process_frame(process, &frame, payload);
        if (status == BRG_FULL) /* unpump finds it there, and the supervisor tries again */
            break;
        if (status != BRG_OK) {
            brg__process_break(process, BRG_PROTOCOL, "a reply that is malformed or answers nothing that was asked");
            break;
        }
        brg__ring_consume(&process->reply);
        brg_store_relaxed(&process->xconsumed, process->reply.head);
        any = true;
    }
    if (any)
        process_tell_room(process);
    return any;
}

bool brg__process_pump(brg_worker *worker)
{
    brg__process *process = brg__process_of(worker);
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

void brg__process_unpump(brg_worker *worker)
{
    brg__process *process = brg__process_of(worker);
    process_tell_room(process);
    brg_store_seq_cst(&process->segment->xwatch, 1u); /* pairs with the worker's look after publishing */
    brg_fence_seq_cst();
    if (brg_load_acquire(&process->segment->reply.xtail) != brg_load_relaxed(&process->xconsumed))
        brg__event_signal(process->event);
}

/* The worker wrote its event: replies, or room for what waits. Supervisor. */
void brg__process_event(brg__poll_source *source)
{
    brg__process *process = brg__container_of(source, brg__process, event_source);
    brg__event_clear(process->event);
    brg__lock_acquire(&process->pump_lock);
    process_pump_locked(process);
    brg__lock_release(&process->pump_lock);
    brg__link_flush(&process->link);
    if (!brg_load_relaxed(&process->xbroken))
        brg__process_unpump(process->worker);
}

void brg__process_unwatch(brg__process *process)
{
    if (process->event_watched) {
        brg__supervisor_unwatch(&process->event_source);
        process->event_watched = false;
    }
}

void brg__process_pump_rest(brg__process *process)
{
    brg__lock_acquire(&process->pump_lock);
    while (process_pump_locked(process))
        ;
    brg__lock_release(&process->pump_lock);
}
