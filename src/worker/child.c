/* SPDX-License-Identifier: MIT */
/*
 * A process worker from the inside: one thread that takes frames from its request ring and answers into its reply ring.
 * It trusts its owner. Every frame's payload is copied out and the frame consumed before user code runs, so the owner
 * may reuse the room; a task frame is claimed first, since the owner may take it back.
 *
 * It ends when asked (xstop) after what it is doing, and with its owner: PDEATHSIG, and a look at its parent whenever
 * it has slept long.
 */
#include "worker/child.h"

#include <stdio.h>
#include <string.h>

#include "message/wire.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/memory.h"
#include "os/process.h"
#include "worker/context.h"
#include "worker/protocol.h"

#define CHILD_LOOK_NS BRG_SECONDS(10) /* how often a sleeping worker looks whether its owner lives */

typedef struct child {
    brg__segment *segment;
    brg__ring_consumer request;
    brg__ring_producer reply;
    brg__spinner spinner;
    int event, cancel_event;
    brg_context context;
    brg_value *init_data;
} child;

static brg__segment *child_segment; /* for brg__worker_memory_failed: one worker per process */

void brg__worker_memory_failed(void)
{
    if (child_segment != NULL)
        brg_store_relaxed(&child_segment->xmemory_failed, 1u);
}

/* ---- to the owner ------------------------------------------------------------------------------------------------- */

static void child_wake_owner(child *self)
{
    brg_fence_seq_cst(); /* pairs with the one in process_unpump */
    if (brg_load_relaxed(&self->segment->xwatch) != 0 && brg_exchange_seq_cst(&self->segment->xwatch, 0u) != 0)
        brg__event_signal(self->event);
}

static bool child_is_orphan(const child *self) { return brg__process_parent() != self->segment->owner_pid; }

/* Room for a reply; waits for it until the deadline (0: tries once), or, `unless_asked`, until asked to end: BRG_CLOSED. */
static brg_status child_reserve(child *self, size_t payload_bytes, uint64_t deadline_ns, bool unless_asked,
                                brg__frame **frame)
{
    brg__gate *room = &self->segment->reply.producer;
    for (;;) {
        brg_status status = brg__ring_reserve(&self->reply, payload_bytes, frame);
        if (status != BRG_FULL || deadline_ns == 0)
            return status;
        brg__gate_prepare(room);
        status = brg__ring_reserve(&self->reply, payload_bytes, frame);
        if (status == BRG_FULL && unless_asked && brg_load_acquire(&self->segment->xstop) != 0)
            status = BRG_CLOSED;
        if (status != BRG_FULL) {
            brg__gate_cancel(room);
            return status;
        }
        uint64_t look = brg__min(deadline_ns, brg__deadline(CHILD_LOOK_NS));
        if (!brg__gate_wait(room, look, BRG__FUTEX_SHARED)) {
            if (child_is_orphan(self))
                brg__process_exit_now(1);
            if (brg__now() >= deadline_ns)
                return BRG_TIMED_OUT;
        }
    }
}

static void child_publish(child *self)
{
    brg__ring_publish(&self->reply);
    child_wake_owner(self);
}

static void child_send_error(child *self, brg__reply_kind kind, const brg_error *error)
{
    brg__frame *frame = NULL;
    if (child_reserve(self, sizeof(brg__wire_error), BRG_FOREVER, true, &frame) != BRG_OK)
        return;
    frame->kind = kind;
    brg__wire_error_from((brg__wire_error *)(frame + 1), error);
    child_publish(self);
}

/* ---- context operations ----------------------------------------------------------------------------------------------- */

static brg_status child_post(brg_context *context, brg_value *message, uint64_t timeout_ns, brg_error *error)
{
    child *self = context->owner;
    size_t size = brg_value_size_with_buffers(message);
    if (size > self->segment->message_bytes_max)
        return brg_error_set(error, BRG_TOO_LARGE, "worker", "the message has %zu bytes, message_bytes_max is %llu",
                             size, (unsigned long long)self->segment->message_bytes_max);
    brg__frame *frame = NULL;
    brg_status status = child_reserve(self, brg__wire_size(message), timeout_ns == 0 ? 0 : brg__deadline(timeout_ns),
                                      true, &frame);
    if (status != BRG_OK)
        return brg_error_set(error, status, "worker", "post: %s", brg_status_text(status));
    frame->kind = BRG__REPLY_MESSAGE;
    brg__wire_write(message, frame + 1);
    child_publish(self);
    brg_value_unref(message);
    return BRG_OK;
}

static void child_consume(child *self)
{
    brg__ring_consume(&self->request);
    brg__gate *room = &self->segment->request.producer; /* several senders may wait there */
    brg_fence_seq_cst();
    if (brg_load_relaxed(&room->xsleeping) != 0) {
        brg_store_seq_cst(&room->xsleeping, 0u);
        brg__futex_wake(&room->xsleeping, INT32_MAX, BRG__FUTEX_SHARED);
    }
}

/* The value of a peeked frame, copied; then the frame is gone. */
static brg_status child_take_value(child *self, const void *bytes, size_t size, brg_value **out)
{
    brg_error error;
    brg_status status = brg__wire_read(out, bytes, size, &error);
    child_consume(self);
    return status;
}

static bool child_has_frame(void *argument)
{
    child *self = argument;
    return brg__ring_has_frame(&self->request) || brg_load_acquire(&self->segment->xstop) != 0;
}

/* Sleeps until a frame comes or the worker is asked to end; false when the deadline passed. */
static bool child_wait(child *self, uint64_t deadline_ns)
{
    brg__gate *gate = &self->segment->request.consumer;
    if (brg__spinner_spin(&self->spinner, NULL, child_has_frame, self))
        return true;
    for (;;) {
        brg__gate_prepare(gate);
        if (child_has_frame(self)) {
            brg__gate_cancel(gate);
            return true;
        }
        if (brg__gate_wait(gate, brg__min(deadline_ns, brg__deadline(CHILD_LOOK_NS)), BRG__FUTEX_SHARED)) {
            if (child_has_frame(self))
                return true;
        } else if (child_is_orphan(self)) {
            brg__process_exit_now(1);
        }
        if (brg__now() >= deadline_ns)
            return false;
    }
}

static brg_status child_receive(brg_context *context, brg_value **message, uint64_t timeout_ns)
{
    child *self = context->owner;
    uint64_t deadline = brg__deadline(timeout_ns);
    for (;;) {
        brg__frame frame;
        const void *payload;
        brg_status status = brg__ring_peek(&self->request, &frame, NULL, &payload);
        if (status == BRG_OK && frame.kind == BRG__REQUEST_MESSAGE)
            return child_take_value(self, payload, frame.payload_bytes, message);
        if (brg_load_acquire(&self->segment->xstop) != 0)
            return BRG_CLOSED;
        if (status == BRG_OK || timeout_ns == 0) /* a task waits in front: messages are behind it */
            return BRG_EMPTY;
        if (!child_wait(self, deadline))
            return BRG_TIMED_OUT;
    }
}

static int child_cancel_fd(brg_context *context) { return ((child *)context->owner)->cancel_event; }

static const brg__context_ops child_context_ops = {child_post, child_receive, child_cancel_fd};

/* ---- tasks ---------------------------------------------------------------------------------------------------------------- */

/* Writes the result; a value that is too large, or finds no room, turns it into an error. */
static void child_answer(child *self, uint64_t ticket, brg_status status, brg_value *output, uint64_t run_ns)
{
    brg_value *detail = self->context.failure_detail;
    for (;;) {
        size_t output_bytes = brg__wire_size(output), detail_bytes = brg__wire_size(detail);
        size_t error_bytes = status == BRG_OK ? 0 : sizeof(brg__wire_error);
        size_t payload = brg__align_up(output_bytes, 8) + brg__align_up(detail_bytes, 8) + error_bytes;
        brg__frame *frame = NULL;
        brg_status room = BRG_TOO_LARGE;
        if (output_bytes <= self->segment->message_bytes_max + self->segment->message_bytes_max / 8)
            room = child_reserve(self, payload, BRG_FOREVER, false, &frame);
        if (room == BRG_OK) {
            char *at = (char *)(frame + 1);
            frame->kind = BRG__REPLY_RESULT;
            frame->id = ticket;
            frame->status = status;
            frame->word[0] = output_bytes;
            frame->word[1] = detail_bytes;
            frame->word[2] = error_bytes;
            frame->word[3] = run_ns;
            brg__wire_write(output, at);
            at += brg__align_up(output_bytes, 8);
            brg__wire_write(detail, at);
            at += brg__align_up(detail_bytes, 8);
            if (error_bytes != 0)
                brg__wire_error_from((brg__wire_error *)at, &self->context.failure);
            child_publish(self);
            return;
        }
        if (output == NULL && detail == NULL)
            brg__process_exit_now(1); /* not even an error fits: the owner reports the exit */
        status = room;
        brg_error_set(&self->context.failure, status, "worker", "the result of %zu bytes: %s",
                      output_bytes + detail_bytes, brg_status_text(status));
        output = detail = NULL;
    }
}

static void child_run_task(child *self, uint64_t ticket, uint32_t attempt, const char *name, size_t name_bytes,
                           const brg_value *input)
{
    brg_context *context = &self->context;
    brg_value *output = NULL;
    if (brg_load_relaxed(&self->segment->xcancel) != ticket && brg_load_relaxed(&self->segment->xstop) == 0)
        brg__event_clear(self->cancel_event); /* it told an earlier task */
    brg_store_relaxed(&self->segment->xmemory_failed, 0u);
    brg__context_begin(context, ticket, attempt);
    uint64_t start = brg__now();
    brg_status status = brg__context_run_named(context, name, name_bytes, input, &output);
    uint64_t run_ns = brg__now() - start;
    child_answer(self, ticket, status, output, run_ns);
    brg_value_unref(output);
    brg__context_end(context);
}

/* Takes the frame unless the owner took it back; runs it. */
static void child_task(child *self, const brg__frame *frame, brg__frame *in_place, const void *payload)
{
    uint32_t free_claim = BRG__CLAIM_FREE;
    if (!brg_cas_acq_rel(&in_place->xclaim, &free_claim, (uint32_t)BRG__CLAIM_TAKEN)) {
        child_consume(self);
        return;
    }
    char name[BRG_TASK_NAME_MAX + 1];
    size_t name_bytes = brg__min(frame->word[1], BRG_TASK_NAME_MAX), name_room = brg__align_up(frame->word[1], 8);
    uint64_t ticket = frame->id;
    uint32_t attempt = (uint32_t)frame->word[0];
    brg_value *input = NULL;
    memcpy(name, payload, name_bytes);
    brg_status status = child_take_value(self, (const char *)payload + name_room, frame->payload_bytes - name_room,
                                         &input);
    if (status == BRG_OK) {
        child_run_task(self, ticket, attempt, name, name_bytes, input);
    } else {
        brg__context_begin(&self->context, ticket, attempt);
        brg_error_set(&self->context.failure, status, "worker", "the input could not be read: %s",
                      brg_status_text(status));
        child_answer(self, ticket, status, NULL, 0);
        brg__context_end(&self->context);
    }
    brg_value_unref(input);
}

static void child_message(child *self, const brg__frame *frame, const void *payload)
{
    brg_value *message = NULL;
    brg_status status = child_take_value(self, payload, frame->payload_bytes, &message);
    if (status == BRG_OK) {
        brg_store_relaxed(&self->segment->xmemory_failed, 0u);
        status = brg__context_handle_message(&self->context, message);
    } else {
        brg_error_set(&self->context.failure, status, "worker", "a message could not be read: %s",
                      brg_status_text(status));
    }
    brg_value_unref(message);
    if (status != BRG_OK)
        child_send_error(self, BRG__REPLY_HANDLER_ERROR, &self->context.failure);
}

/* ---- life --------------------------------------------------------------------------------------------------------------------- */

static void child_serve(child *self)
{
    bool handles = self->context.module->message != NULL;
    while (brg_load_acquire(&self->segment->xstop) == 0) {
        brg__frame frame, *in_place = NULL;
        const void *payload;
        brg_status status = brg__ring_peek(&self->request, &frame, &in_place, &payload);
        if (status == BRG_EMPTY) {
            child_wait(self, UINT64_MAX);
        } else if (status != BRG_OK) {
            brg__process_exit_now(1);
        } else if (frame.kind == BRG__REQUEST_TASK) {
            child_task(self, &frame, in_place, payload);
        } else if (frame.kind == BRG__REQUEST_MESSAGE && handles) {
            child_message(self, &frame, payload);
        } else { /* a message nobody handles */
            child_consume(self);
        }
    }
}

/* Maps and checks the segment; exits when it is not ours. */
static void child_map(child *self, int segment_fd, size_t segment_bytes)
{
    void *memory = NULL;
    if (segment_bytes < BRG__SEGMENT_HEAD_BYTES || brg__map_shared(&memory, segment_fd, segment_bytes, NULL) != BRG_OK)
        brg__process_exit_now(126);
    brg__segment *segment = self->segment = memory;
    if (segment->magic != BRG__SEGMENT_MAGIC || segment->version != BRG__PROTOCOL_VERSION)
        brg__process_exit_now(126);
    char *base = memory;
    brg__ring_consumer_init(&self->request, &segment->request, base + segment->request_offset, segment->area_bytes);
    brg__ring_producer_init(&self->reply, &segment->reply, base + segment->reply_offset, segment->area_bytes,
                            segment_fd, segment->reply_offset);
    brg__spinner_init(&self->spinner, segment->spin_ns);
    child_segment = segment;
}

static brg_status child_harden(child *self, brg_error *error)
{
    const brg__segment_limits *limits = &self->segment->limits;
    brg__process_limits given = {.memory_bytes = (size_t)limits->memory_bytes_max,
                                 .stack_bytes = (size_t)limits->stack_bytes,
                                 .files = limits->files_max,
                                 .cpu_seconds = limits->cpu_seconds_max};
    brg_status status = brg__crash_install(&self->segment->crash, error);
    return status == BRG_OK ? brg__process_harden(&given, error) : status;
}

/* init_data, when there is some, is the first frame. */
static brg_status child_init_data(child *self)
{
    brg__frame frame;
    const void *payload;
    if (brg__ring_peek(&self->request, &frame, NULL, &payload) != BRG_OK || frame.kind != BRG__REQUEST_INIT)
        return BRG_OK;
    return child_take_value(self, payload, frame.payload_bytes, &self->init_data);
}

static void child_context(child *self, const brg_module *module)
{
    brg_context *context = &self->context;
    brg__context_init(context, &child_context_ops, self, module);
    context->worker_id = self->segment->worker_id;
    context->worker_name = self->segment->name;
    context->isolation = BRG_ISOLATION_PROCESS;
    context->is_pooled = self->segment->is_pooled != 0;
    context->init_data = self->init_data;
    context->xcancel = &self->segment->xcancel;
    context->arena_max = (size_t)self->segment->limits.arena_bytes_max;
    brg__context_set_current(context);
}

_Noreturn void brg__child_main(const brg_module *module, int segment_fd, size_t segment_bytes, int event,
                               int cancel_event)
{
    child *self = brg__calloc_aligned(sizeof(*self));
    if (self == NULL)
        brg__process_exit_now(126);
    self->event = event;
    self->cancel_event = cancel_event;
    child_map(self, segment_fd, segment_bytes);
    brg__process_die_with_parent((pid_t)self->segment->owner_pid);
    brg__process_set_name(self->segment->name);
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_status status = child_harden(self, &error);
    if (status == BRG_OK && (status = child_init_data(self)) != BRG_OK)
        brg_error_set(&error, status, "worker", "init_data could not be read: %s", brg_status_text(status));
    child_context(self, module);
    if (status == BRG_OK && (status = brg__context_start(&self->context)) != BRG_OK)
        error = self->context.failure;
    if (status != BRG_OK) {
        child_send_error(self, BRG__REPLY_START_FAILED, &error);
        fflush(NULL);
        brg__process_exit_now(1);
    }
    brg__frame *frame = NULL;
    if (child_reserve(self, 0, BRG_FOREVER, false, &frame) != BRG_OK)
        brg__process_exit_now(126);
    frame->kind = BRG__REPLY_ONLINE;
    child_publish(self);
    child_serve(self);
    brg__context_finish(&self->context);
    fflush(NULL);
    brg__process_exit_now(0);
}
