/* SPDX-License-Identifier: MIT */
/*
 * A process worker from the inside: progress of the running task, a frame a value. So many may be on their way as the
 * task's frame said; how many of this task's were delivered stands in the segment.
 */
#include "os/atomic.h"
#include "os/clock.h"
#include "worker/child_state.h"

typedef struct child_value {
    const brg_value *value;
    brg_error why;
} child_value;

static bool child_progress_has_window(const brg__child *self)
{
    const brg__child_teller *teller = &self->progress;
    uint64_t word = brg_load_acquire(&self->segment->xprogress_taken); /* pairs with brg__process_progress_taken */
    uint32_t taken = (uint32_t)(word >> 32) == (uint32_t)teller->ticket ? (uint32_t)word
                                                                        : 0; /* else: of an earlier task */
    return teller->sent - taken < teller->window;
}

static brg_status child_try_progress(brg__child *self, child_value *value)
{
    if (!child_progress_has_window(self))
        return BRG_FULL;
    const brg__frame head = {.kind = BRG__REPLY_PROGRESS, .id = self->progress.ticket};
    brg__departures departures = {0};
    value->why.message[0] = '\0';
    brg_status status = brg__link_send(&self->link, &head, value->value, &departures, &value->why);
    if (status == BRG_OK)
        self->progress.sent++;
    brg__departures_run(&departures);
    return status;
}

static bool child_has_room(void *argument)
{
    return brg_load_acquire(&((brg__child *)argument)->segment->xneeds_room) == 0;
}

/* As brg__child_retry, but until the task is asked to end: BRG_CANCELLED. */
static brg_status child_progress_until(brg__child *self, child_value *value, uint64_t deadline_ns)
{
    brg__wait wait = {.ready = child_has_room, .argument = self, .until_asked = true};
    for (;;) {
        brg_store_seq_cst(&self->segment->xneeds_room, 1u); /* pairs with process_tell_room */
        brg_fence_seq_cst();
        brg_status status = child_try_progress(self, value);
        if (status != BRG_FULL)
            return status;
        if (brg_context_cancelled(&self->context))
            return BRG_CANCELLED;
        if (!brg__waiter_wait(self->waiter, &wait, deadline_ns) && !brg_context_cancelled(&self->context))
            return BRG_TIMED_OUT;
    }
}

static brg_status child_progress_send(brg__teller *teller, brg_context *context, brg_value *value, uint64_t timeout_ns,
                                      brg_error *error)
{
    brg__child *self = brg__container_of(teller, brg__child, progress.teller);
    size_t size = brg__value_copied_bytes(value);
    if (size > self->segment->message_bytes_max)
        return brg_error_set(error, BRG_TOO_LARGE, "worker", "the value has %zu bytes, message_bytes_max is %llu", size,
                             (unsigned long long)self->segment->message_bytes_max);
    child_value sent = {.value = value};
    brg_status status = child_try_progress(self, &sent);
    if (status == BRG_FULL && timeout_ns != 0) {
        brg__context_idle_begin(context);
        brg__usage_beat_held(context->usage, true);
        status = child_progress_until(self, &sent, brg__deadline(timeout_ns));
        brg__usage_beat_held(context->usage, false);
        brg__context_idle_end(context);
    }
    if (status != BRG_OK)
        return brg_error_set(error, status, "worker", "progress: %s",
                             sent.why.message[0] != '\0' ? sent.why.message : brg_status_text(status));
    brg_value_unref(value);
    return BRG_OK;
}

void brg__child_progress_begin(brg__child *self, uint64_t ticket, uint32_t window)
{
    self->progress = (brg__child_teller){.teller = {.send = child_progress_send}, .ticket = ticket, .window = window};
    self->context.teller = window == 0 ? NULL : &self->progress.teller;
}
