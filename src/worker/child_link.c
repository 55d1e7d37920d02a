/* SPDX-License-Identifier: MIT */
/* A process worker from the inside: mail, the link and calls to the hub. See child_state.h. */
#include <string.h>

#include "os/atomic.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/memory.h"
#include "os/process.h"
#include "worker/child_state.h"
#include "worker/service.h"

#define CHILD_ELSEWHERE_NS BRG_MILLISECONDS(1) /* how often other threads look while the main one is busy */

static brg__child *child_of_link(brg__link *link) { return brg__container_of(link, brg__child, link); }

/* ---- mail ------------------------------------------------------------------------------------------------------ */

/* Room came up: wakes senders in the owner, and a backlog of its link. */
void brg__child_tell_room(brg__child *self)
{
    brg__segment *segment = self->segment;
    brg__gate *room = &segment->mail.producer; /* several senders may wait there */
    brg_fence_seq_cst();
    if (brg_load_relaxed(&room->xsleeping) != 0) {
        brg_store_seq_cst(&room->xsleeping, 0u);
        brg__futex_wake(&room->xsleeping, INT32_MAX, BRG__FUTEX_SHARED);
    }
    if (brg_load_relaxed(&segment->xwants_room) != 0 && brg_exchange_seq_cst(&segment->xwants_room, 0u) != 0)
        brg__event_signal(self->event);
}

static void child_mail_message(brg__child *self, const brg__frame *frame, const void *payload)
{
    brg_value *message = NULL;
    brg_error error;
    brg_status status = brg__wire_read(&message, &self->link.carrier, payload, frame->payload_bytes, &error);
    if (status != BRG_OK || message == NULL || brg__mailbox_push(&self->inbox, message, 0) != BRG_OK) {
        brg_value_unref(message);
        brg__process_exit_now(1); /* a message lost for want of memory: the owner hears of the exit */
    }
}

static void child_mail(brg__child *self, const brg__frame *frame, const void *payload)
{
    if (frame->kind == BRG__REQUEST_MESSAGE)
        child_mail_message(self, frame, payload);
    else if (frame->kind == BRG__REQUEST_INPUT)
        brg__child_input(self, frame, payload);
    else if (frame->kind == BRG__REQUEST_CANCEL)
        brg__child_cancel_part(self, frame);
    else if (brg__link_frame(&self->link, frame, payload) != BRG_OK)
        brg__process_exit_now(1);
}

/* Moves what there is; true if there was any. */
static bool child_move_mail(brg__child *self)
{
    bool any = false;
    if (!brg__ring_has_frame(&self->mail))
        return false;
    for (;;) {
        brg__frame frame;
        const void *payload;
        brg_status status = brg__ring_peek(&self->mail, &frame, NULL, &payload);
        if (status == BRG_EMPTY)
            break;
        if (status != BRG_OK)
            brg__process_exit_now(1);
        child_mail(self, &frame, payload);
        brg__ring_consume(&self->mail);
        any = true;
    }
    brg__child_tell_room(self);
    return any;
}

static bool child_look(brg__child *self)
{
    bool any = false;
    if (brg__lock_try_acquire(&self->look_lock)) {
        any = child_move_mail(self);
        brg__lock_release(&self->look_lock);
    }
    if (brg_load_relaxed(&self->link.xhas_backlog) != 0 || brg_load_relaxed(&self->link.xreleases) != 0)
        brg__link_flush(&self->link);
    return any;
}

void brg__child_look(void *argument) { (void)child_look(argument); }

/* ---- the link's side of us --------------------------------------------------------------------------------------- */

static void child_link_wake(brg__link *link) { brg__child_wake_owner(child_of_link(link)); }
static bool child_link_pump(brg__link *link) { return child_look(child_of_link(link)); }
static void child_link_unpump(brg__link *link) { (void)link; }
static void child_link_keep(brg__link *link) { (void)link; } /* it lives as long as the process */

static void child_link_want_room(brg__link *link)
{
    brg__child *self = child_of_link(link);
    brg_store_seq_cst(&self->segment->xneeds_room, 1u); /* pairs with process_tell_room */
    brg_fence_seq_cst();
    if (brg_load_acquire(&self->segment->reply.xhead) == brg_load_relaxed(&self->segment->reply.xtail))
        brg__child_wake(self); /* it took all there was before it could see that */
}

static void child_link_later(brg__link *link) { brg__child_wake(child_of_link(link)); }

static void child_link_broken(brg__link *link, brg_status status, const char *why)
{
    (void)link, (void)status, (void)why;
    brg__process_exit_now(1);
}

static brg__uplink_call *child_take_call(brg__child *self, uint64_t number)
{
    brg__uplink_call *found = NULL;
    brg__lock_acquire(&self->calls_lock);
    brg__list_for_each(node, &self->calls) {
        brg__uplink_call *call = brg__container_of(node, brg__uplink_call, node);
        if (call->number == number) {
            brg__list_remove(node);
            found = call;
            break;
        }
    }
    brg__lock_release(&self->calls_lock);
    return found;
}

static brg_status child_link_service(brg__link *link, const brg__frame *frame, const brg_value *value,
                                     const brg_error *error)
{
    brg__child *self = child_of_link(link);
    if (frame->kind == BRG__LINK_EVENT && error == NULL) {
        brg__uplink_event((uint32_t)frame->word[0], frame->word + 1, value);
    } else if (frame->kind == BRG__LINK_ANSWER) {
        brg__uplink_call *call = child_take_call(self, frame->id);
        if (call != NULL)
            call->completed(call, error == NULL ? (brg_status)frame->status : error->status, value);
    }
    return BRG_OK;
}

static const brg__link_ops child_link_ops = {.wake = child_link_wake,
                                             .want_room = child_link_want_room,
                                             .later = child_link_later,
                                             .broken = child_link_broken,
                                             .pump = child_link_pump,
                                             .unpump = child_link_unpump,
                                             .service = child_link_service,
                                             .ref = child_link_keep,
                                             .unref = child_link_keep};

/* ---- calls to the hub -------------------------------------------------------------------------------------------- */

static brg_status child_call_start(brg__uplink_call *call, brg_error *error)
{
    brg__child *self = brg__child_self();
    brg__departures departures = {0};
    brg__lock_acquire(&self->calls_lock);
    call->number = call->is_notice ? 0 : ++self->last_call;
    call->node = (brg__node){0};
    if (!call->is_notice) /* before it is sent: the answer may come at once, to another thread */
        brg__list_push_back(&self->calls, &call->node);
    brg__lock_release(&self->calls_lock);
    brg__frame head = {
        .kind = BRG__LINK_CALL, .id = call->number, .word = {call->service, call->words[0], call->words[1]}};
    brg_value *request = call->request;
    bool is_notice = call->is_notice;
    uint64_t number = call->number;
    brg_status status = brg__link_queue(&self->link, &head, request, &departures, error);
    if (status == BRG_OK)
        brg_value_unref(request);
    else if (!is_notice)
        (void)child_take_call(self, number); /* the request is the caller's as before */
    brg__departures_run(&departures);
    if (status == BRG_OK && is_notice)
        call->completed(call, BRG_OK, NULL);
    return status;
}

static const brg__uplink_ops child_uplink_ops = {.start = child_call_start};

void brg__child_link_init(brg__child *self, int socket)
{
    brg__lock_init(&self->look_lock, BRG__RANK_WORKER, "mail");
    brg__lock_init(&self->calls_lock, BRG__RANK_LEAF, "calls to the program");
    brg__list_init(&self->calls);
    brg__list_init(&self->inputs);
    brg__list_init(&self->cancels);
    brg__link_init(&self->link, &child_link_ops, false, &self->reply, socket);
    brg__uplink_set(&child_uplink_ops);
    brg__waiter_set_other(brg__child_look, CHILD_ELSEWHERE_NS, self);
}
