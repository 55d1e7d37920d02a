/* SPDX-License-Identifier: MIT */
/*
 * A process worker from the inside: life and messages. It trusts its owner. Every frame's payload is copied out and the
 * frame consumed before user code runs, so the owner may reuse the room; a task frame is claimed first, since the owner
 * may take it back.
 *
 * It ends when asked (xstop) after what it is doing, and with its owner: PDEATHSIG, and a look at its parent whenever
 * it has slept long.
 */
#include "worker/child.h"

#include <stdio.h>
#include <string.h>

#include "os/atomic.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/memory.h"
#include "os/process.h"
#include "worker/child_state.h"
#include "worker/service.h"
#include "worker/streams.h"
#include "worker/worker.h"

#define CHILD_LOOK_NS BRG_SECONDS(10)        /* how often a sleeping worker looks whether its owner lives */
#define CHILD_FLUSH_NS BRG_MILLISECONDS(500) /* at its end, for what waits for room */

static brg__child *child_self; /* one worker per process */

brg__child *brg__child_self(void) { return child_self; }

void brg__worker_memory_failed(void)
{
    if (child_self != NULL)
        brg_store_relaxed(&child_self->segment->xmemory_failed, 1u);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

void brg__child_wake_owner(brg__child *self)
{
    brg_fence_seq_cst(); /* pairs with the one in brg__process_unpump */
    if (brg_load_relaxed(&self->segment->xwatch) != 0 && brg_exchange_seq_cst(&self->segment->xwatch, 0u) != 0)
        brg__event_signal(self->event);
}

void brg__child_wake(brg__child *self)
{
    brg__gate *gate = &self->segment->request.consumer;
    brg_fence_seq_cst(); /* pairs with the one after the gate was prepared */
    uint32_t how = brg_load_relaxed(&gate->xsleeping);
    if (how == BRG__SLEEPS_NOT ||
        (how = brg_exchange_seq_cst(&gate->xsleeping, (uint32_t)BRG__SLEEPS_NOT)) == BRG__SLEEPS_NOT)
        return;
    if (how == BRG__SLEEPS_IN_LOOP)
        brg__event_signal(self->bell);
    else
        brg__futex_wake(&gate->xsleeping, 1, BRG__FUTEX_SHARED);
}

static void child_missed(void *argument)
{
    brg__child *self = argument;
    if (brg__process_parent() != self->segment->owner_pid)
        brg__process_exit_now(1);
}

bool brg__child_wait(brg__child *self, bool (*ready)(void *self), uint64_t deadline_ns)
{
    brg__wait wait = {.ready = ready, .argument = self};
    return brg__waiter_wait(self->waiter, &wait, deadline_ns);
}

static bool child_is_asked(const brg__child *self) { return brg_load_acquire(&self->segment->xstop) != 0; }

static bool child_room_or_stop(void *argument)
{
    brg__child *self = argument;
    return brg_load_acquire(&self->segment->xneeds_room) == 0 || child_is_asked(self);
}

static bool child_room(void *argument)
{
    return brg_load_acquire(&((brg__child *)argument)->segment->xneeds_room) == 0;
}

brg_status brg__child_retry(brg__child *self, brg_status (*attempt)(brg__child *self, void *argument), void *argument,
                            uint64_t deadline_ns, bool unless_asked)
{
    for (;;) {
        brg_status status = attempt(self, argument);
        if (status != BRG_FULL || deadline_ns == 0)
            return status;
        brg_store_seq_cst(&self->segment->xneeds_room, 1u); /* pairs with process_tell_room */
        brg_fence_seq_cst();
        status = attempt(self, argument);
        if (status == BRG_FULL && unless_asked && child_is_asked(self))
            status = BRG_CLOSED;
        if (status != BRG_FULL)
            return status;
        if (!brg__child_wait(self, unless_asked ? child_room_or_stop : child_room, deadline_ns))
            return BRG_TIMED_OUT;
    }
}

/* ---- context operations ------------------------------------------------------------------------------------------ */

/* A frame without packets. */
typedef struct child_frame {
    brg__frame head;
    const void *payload;
    size_t payload_bytes;
} child_frame;

static brg_status child_try_frame(brg__child *self, void *argument)
{
    const child_frame *given = argument;
    brg__frame *frame = NULL;
    brg__lock_acquire(&self->link.send_lock);
    brg_status status = brg__ring_reserve(&self->reply, given->payload_bytes, &frame);
    if (status == BRG_OK) {
        frame->kind = given->head.kind;
        memcpy(frame->word, given->head.word, sizeof(frame->word));
        if (given->payload_bytes > 0)
            memcpy(frame + 1, given->payload, given->payload_bytes);
        brg__ring_publish(&self->reply);
    }
    brg__lock_release(&self->link.send_lock);
    if (status == BRG_OK)
        brg__child_wake_owner(self);
    return status;
}

static void child_send_error(brg__child *self, brg__reply_kind kind, const brg_error *error)
{
    brg__wire_error wire;
    brg__wire_error_from(&wire, error);
    child_frame frame = {.head = {.kind = kind}, .payload = &wire, .payload_bytes = sizeof(wire)};
    (void)brg__child_retry(self, child_try_frame, &frame, UINT64_MAX, true);
}

typedef struct child_message {
    brg_value *value;
    brg_error *error;
} child_message;

static brg_status child_try_post(brg__child *self, void *argument)
{
    const child_message *message = argument;
    uint64_t taken = brg_load_acquire(&self->segment->xinbox_taken); /* pairs with process_publish_taken */
    if (self->messages_sent - taken >= self->segment->mailbox_max)
        return BRG_FULL;
    brg__departures departures = {0};
    brg__frame head = {.kind = BRG__REPLY_MESSAGE};
    brg_status status = brg__link_send(&self->link, &head, message->value, &departures, message->error);
    if (status == BRG_OK)
        self->messages_sent++;
    brg__departures_run(&departures);
    return status;
}

static brg_status child_post(brg_context *context, brg_value *value, uint64_t timeout_ns, brg_error *error)
{
    brg__child *self = context->owner;
    size_t size = brg__value_copied_bytes(value);
    if (size > self->segment->message_bytes_max)
        return brg_error_set(error, BRG_TOO_LARGE, "worker", "the message has %zu bytes, message_bytes_max is %llu",
                             size, (unsigned long long)self->segment->message_bytes_max);
    brg_error why;
    why.message[0] = '\0';
    child_message message = {value, &why};
    brg_status status = brg__child_retry(self, child_try_post, &message,
                                         timeout_ns == 0 ? 0 : brg__deadline(timeout_ns), true);
    if (status != BRG_OK)
        return brg_error_set(error, status, "worker", "post: %s",
                             why.message[0] != '\0' ? why.message : brg_status_text(status));
    brg_value_unref(value);
    return BRG_OK;
}

/* The next message; tells the owner that there is room for one more. */
static brg_status child_take_message(brg__child *self, brg_value **message)
{
    brg_status status = brg__mailbox_pop(&self->inbox, message);
    if (status == BRG_OK) {
        brg_store_release(&self->segment->xtaken, ++self->messages_taken); /* pairs with process_take_place */
        brg__child_tell_room(self);
    }
    return status;
}

static bool child_has_message(void *argument)
{
    brg__child *self = argument;
    return !brg__mailbox_is_empty(&self->inbox) || child_is_asked(self);
}

static brg_status child_receive(brg_context *context, brg_value **message, uint64_t timeout_ns)
{
    brg__child *self = context->owner;
    uint64_t deadline = timeout_ns == 0 ? 0 : brg__deadline(timeout_ns);
    for (;;) {
        brg__child_look(self);
        if (child_take_message(self, message) == BRG_OK)
            return BRG_OK;
        if (child_is_asked(self))
            return BRG_CLOSED;
        if (timeout_ns == 0)
            return BRG_EMPTY;
        if (!brg__child_wait(self, child_has_message, deadline))
            return BRG_TIMED_OUT;
    }
}

static int child_cancel_fd(brg_context *context) { return ((brg__child *)context->owner)->cancel_event; }

static bool child_asked(brg_context *context) { return child_is_asked(context->owner); }
static int child_bell(brg_context *context) { return ((brg__child *)context->owner)->bell; }

static void child_loop_sleeps(brg_context *context)
{
    brg__child *self = context->owner;
    brg_store_seq_cst(&self->segment->request.consumer.xsleeping, (uint32_t)BRG__SLEEPS_IN_LOOP);
    brg_fence_seq_cst();   /* pairs with the one in brg__process_wake */
    brg__child_look(self); /* what came before the mark, for ports too, whoever runs the loop */
}

static void child_loop_woke(brg_context *context)
{
    brg__child *self = context->owner;
    brg_store_relaxed(&self->segment->request.consumer.xsleeping, (uint32_t)BRG__SLEEPS_NOT);
    brg__child_look(self);
}

static const brg__context_ops child_context_ops = {.post = child_post,
                                                   .receive = child_receive,
                                                   .cancel_fd = child_cancel_fd,
                                                   .asked = child_asked,
                                                   .bell = child_bell,
                                                   .loop_sleeps = child_loop_sleeps,
                                                   .loop_woke = child_loop_woke};

static void child_handle_message(brg__child *self)
{
    brg_value *message = NULL;
    if (child_take_message(self, &message) != BRG_OK)
        return;
    brg_store_relaxed(&self->segment->xmemory_failed, 0u);
    brg_status status = brg__context_handle_message(&self->context, message);
    brg_value_unref(message);
    if (status != BRG_OK)
        child_send_error(self, BRG__REPLY_HANDLER_ERROR, &self->context.failure);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static bool child_handles(const brg__child *self) { return self->context.module->message != NULL; }

static bool child_has_work(void *argument)
{
    brg__child *self = argument;
    if (self->context.loop != NULL) /* nobody else looks while it sleeps there */
        brg__child_look(self);
    return brg__ring_has_frame(&self->request) || child_is_asked(self) || brg__direct_waits(&self->context) ||
           (child_handles(self) && !brg__mailbox_is_empty(&self->inbox));
}

/* The next task, if there is one. */
static bool child_serve_task(brg__child *self)
{
    brg__frame frame, *in_place = NULL;
    const void *payload;
    brg_status status = brg__ring_peek(&self->request, &frame, &in_place, &payload);
    if (status == BRG_EMPTY)
        return false;
    if (status != BRG_OK)
        brg__process_exit_now(1);
    if (frame.kind == BRG__REQUEST_TASK) {
        brg__child_task(self, &frame, in_place, payload);
        return true;
    }
    brg__lock_acquire(&self->look_lock);
    (void)brg__link_drop_packets(&self->link, &frame);
    brg__lock_release(&self->look_lock);
    brg__ring_consume(&self->request);
    return true;
}

/* Waits for work, in its loop where it has one. */
static void child_idle(brg__child *self)
{
    if (child_has_work(self))
        return;
    brg__context_idle_begin(&self->context);
    if (self->context.loop != NULL)
        brg__context_loop_wait(&self->context, child_has_work, self, UINT64_MAX);
    else
        (void)brg__child_wait(self, child_has_work, UINT64_MAX);
    brg__context_idle_end(&self->context);
}

static void child_serve(brg__child *self)
{
    while (!child_is_asked(self)) {
        brg__child_look(self);
        bool did = brg__direct_run(&self->context);
        if (child_handles(self) && !brg__mailbox_is_empty(&self->inbox)) {
            child_handle_message(self);
            did = true;
        }
        did = child_serve_task(self) || did;
        if (did)
            brg__context_loop_turn(&self->context);
        else
            child_idle(self);
    }
}

/* Maps and checks the segment; exits when it is not ours. */
static void child_map(brg__child *self, int segment_fd, size_t segment_bytes)
{
    void *memory = NULL;
    if (segment_bytes < BRG__SEGMENT_HEAD_BYTES || brg__map_shared(&memory, segment_fd, segment_bytes, NULL) != BRG_OK)
        brg__process_exit_now(126);
    brg__segment *segment = self->segment = memory;
    if (segment->magic != BRG__SEGMENT_MAGIC || segment->version != BRG__PROTOCOL_VERSION)
        brg__process_exit_now(126);
    char *base = memory;
    brg__ring_consumer_init(&self->request, &segment->request, base + segment->request_offset, segment->area_bytes);
    brg__ring_consumer_init(&self->mail, &segment->mail, base + segment->mail_offset, segment->area_bytes);
    brg__ring_producer_init(&self->reply, &segment->reply, base + segment->reply_offset, segment->area_bytes,
                            segment_fd, segment->reply_offset);
    child_self = self;
}

/* Before there is a context nothing is. */
static bool child_is_cancelled(void *argument)
{
    const brg_context *context = argument;
    return context->xcancel != NULL && brg_context_cancelled(context);
}

/* What the main thread waits at, and what it looks at meanwhile. */
static void child_waiter(brg__child *self)
{
    self->waiter = brg__waiter_current();
    if (self->waiter == NULL || brg__mailbox_init(&self->inbox, INT32_MAX, NULL, NULL) != BRG_OK)
        brg__process_exit_now(126);
    self->waiter->gate = &self->segment->request.consumer;
    self->waiter->scope = BRG__FUTEX_SHARED;
    self->waiter->look = brg__child_look;
    self->waiter->look_every_ns = CHILD_LOOK_NS;
    self->waiter->missed = child_missed;
    self->waiter->argument = self;
    self->waiter->asked = child_is_cancelled;
    self->waiter->asked_argument = &self->context;
    brg__spinner_init(&self->waiter->spinner, self->segment->spin_ns);
}

static brg_status child_harden(brg__child *self, brg_error *error)
{
    const brg__segment_limits *limits = &self->segment->limits;
    brg__process_limits given = {.memory_bytes = (size_t)limits->memory_bytes_max,
                                 .address_bytes = (size_t)limits->address_bytes_max,
                                 .stack_bytes = (size_t)limits->stack_bytes,
                                 .files = limits->files_max,
                                 .cpu_seconds = limits->cpu_seconds_max};
    brg_status status = brg__crash_install(&self->segment->crash, error);
    return status == BRG_OK ? brg__process_harden(&given, error) : status;
}

/* World and init_data, when there are some, are the first mail. */
static brg_status child_first_mail(brg__child *self, brg__request_kind kind, brg_value **out, brg_error *error)
{
    brg__frame frame;
    const void *payload;
    if (brg__ring_peek(&self->mail, &frame, NULL, &payload) != BRG_OK || frame.kind != (uint32_t)kind)
        return BRG_OK;
    brg_status status = brg__wire_read(out, &self->link.carrier, payload, frame.payload_bytes, error);
    brg__ring_consume(&self->mail);
    return status;
}

static void child_direct_wake(brg__direct_target *target)
{
    brg__child_wake(brg__container_of(target, brg__child, direct));
}

static void child_context(brg__child *self, const brg_module *module)
{
    brg_context *context = &self->context;
    brg__context_init(context, &child_context_ops, self, module);
    context->worker_id = self->segment->worker_id;
    context->worker_name = self->segment->name;
    context->isolation = BRG_ISOLATION_PROCESS;
    context->is_pooled = self->segment->is_pooled != 0;
    context->pool_index = (uint32_t)self->segment->pool_index;
    context->pool_tags = self->segment->pool_tags;
    context->xcancel = &self->segment->xcancel;
    context->arena_max = (size_t)self->segment->limits.arena_bytes_max;
    context->usage = &self->segment->usage;
    context->direct = &self->direct;
    brg__direct_open_home(&self->direct, context->worker_id, child_direct_wake);
    brg__context_set_current(context);
}

static brg_status child_begin(brg__child *self, brg_error *error)
{
    brg_status status = child_harden(self, error);
    if (status == BRG_OK)
        status = child_first_mail(self, BRG__REQUEST_WORLD, &self->world, error);
    if (status == BRG_OK)
        status = child_first_mail(self, BRG__REQUEST_INIT, &self->init_data, error);
    if (status == BRG_OK)
        status = brg__world_unpack(&self->context, self->world, error);
    self->context.init_data = self->init_data;
    if (status == BRG_OK && (status = brg__context_start(&self->context)) != BRG_OK)
        *error = self->context.failure;
    return status;
}

static bool child_backlog_gone(void *argument)
{
    return brg_load_relaxed(&((brg__child *)argument)->link.xhas_backlog) == 0;
}

_Noreturn static void child_exit(brg__child *self, int code)
{
    (void)brg__child_wait(self, child_backlog_gone, brg__deadline(CHILD_FLUSH_NS));
    fflush(NULL);
    brg__process_exit_now(code);
}

_Noreturn void brg__child_main(const brg_module *module, int fds[BRG__FD_COUNT], size_t segment_bytes)
{
    brg__streams_become(&fds[BRG__FD_STDIN]);
    brg__child *self = brg__calloc_aligned(sizeof(*self));
    if (self == NULL)
        brg__process_exit_now(126);
    self->event = fds[BRG__FD_EVENT];
    self->cancel_event = fds[BRG__FD_CANCEL];
    self->bell = fds[BRG__FD_BELL];
    child_map(self, fds[BRG__FD_SEGMENT], segment_bytes);
    brg__process_die_with_parent((pid_t)self->segment->owner_pid);
    brg__process_set_name(self->segment->name);
    brg__worker_ids_of_process(brg__process_id(), brg__now());
    child_waiter(self);
    brg__child_link_init(self, fds[BRG__FD_SOCKET]);
    child_context(self, module);
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (child_begin(self, &error) != BRG_OK) {
        child_send_error(self, BRG__REPLY_START_FAILED, &error);
        child_exit(self, 1);
    }
    brg__direct_ready(&self->direct, brg__direct_has_hook(module));
    brg__usage_online(self->context.usage);
    child_frame online = {.head = {.kind = BRG__REPLY_ONLINE}};
    if (brg__child_retry(self, child_try_frame, &online, UINT64_MAX, false) != BRG_OK)
        brg__process_exit_now(126);
    child_serve(self);
    brg__context_finish(&self->context);
    brg__context_leave(&self->context);
    child_exit(self, 0);
}
