/* SPDX-License-Identifier: MIT */
/* A process worker from the inside: tasks and their results. See child_state.h. */
#include <string.h>

#include "os/atomic.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/memory.h"
#include "os/process.h"
#include "worker/child_state.h"

/* A result on its way. */
typedef struct child_result {
    uint64_t ticket;
    brg_status status;
    brg_value *output, *detail;
    uint64_t run_ns;
    uint32_t part;            /* one more than which of its batch; 0: the task itself */
    const brg_error *failure; /* unless status is BRG_OK */
    brg_error why;            /* of a failed attempt */
} child_result;

static size_t child_result_bytes(const brg__export *output, const brg__export *detail, size_t error_bytes)
{
    return brg__align_up(brg__wire_size(output->value, output->objects), 8) +
           brg__align_up(brg__wire_size(detail->value, detail->objects), 8) + error_bytes;
}

static void child_write_result(const child_result *result, const brg__export *output, const brg__export *detail,
                               brg__frame *frame)
{
    size_t output_bytes = brg__wire_size(output->value, output->objects);
    size_t detail_bytes = brg__wire_size(detail->value, detail->objects);
    char *at = (char *)(frame + 1);
    frame->id = result->ticket;
    frame->status = result->status;
    frame->word[0] = output_bytes;
    frame->word[1] = detail_bytes;
    frame->word[2] = result->status == BRG_OK ? 0 : sizeof(brg__wire_error);
    frame->word[3] = result->run_ns;
    frame->word[4] = result->part;
    brg__wire_write(output->value, output->objects, at);
    at += brg__align_up(output_bytes, 8);
    brg__wire_write(detail->value, detail->objects, at);
    at += brg__align_up(detail_bytes, 8);
    if (result->status != BRG_OK)
        brg__wire_error_from((brg__wire_error *)at, result->failure);
}

/* With both values prepared. */
static brg_status child_send_result_locked(brg__child *self, const child_result *result, brg__export *output,
                                           brg__export *detail, brg_error *error)
{
    size_t limit = self->segment->message_bytes_max + self->segment->message_bytes_max / 8;
    size_t error_bytes = result->status == BRG_OK ? 0 : sizeof(brg__wire_error);
    if (brg__wire_size(output->value, output->objects) > limit)
        return BRG_TOO_LARGE;
    brg__frame *frame = NULL;
    brg_status status = brg__ring_reserve(&self->reply, child_result_bytes(output, detail, error_bytes), &frame);
    if (status != BRG_OK)
        return status;
    uint64_t packets = self->link.packets_sent;
    status = brg__export_packets(&self->link, output, error);
    if (status == BRG_OK)
        status = brg__export_packets(&self->link, detail, error);
    frame->kind = status == BRG_OK ? (uint32_t)BRG__REPLY_RESULT : (uint32_t)BRG__LINK_NOTHING;
    if (status == BRG_OK)
        child_write_result(result, output, detail, frame);
    else
        brg__link_nothing(&self->link, frame, packets);
    brg__ring_publish(&self->reply);
    return status;
}

static brg_status child_try_result(brg__child *self, void *argument)
{
    child_result *result = argument;
    brg__departures departures = {0};
    brg__export output, detail;
    brg__lock_acquire(&self->link.send_lock);
    brg_status status = brg__export_prepare(&self->link, &output, result->output, &result->why);
    if (status == BRG_OK) {
        status = brg__export_prepare(&self->link, &detail, result->detail, &result->why);
        if (status == BRG_OK) {
            status = child_send_result_locked(self, result, &output, &detail, &result->why);
            if (status == BRG_OK)
                brg__export_commit(&self->link, &detail, &departures);
            else
                brg__export_revert(&self->link, &detail);
        }
        if (status == BRG_OK)
            brg__export_commit(&self->link, &output, &departures);
        else
            brg__export_revert(&self->link, &output);
    }
    brg__lock_release(&self->link.send_lock);
    brg__departures_run(&departures);
    if (status == BRG_OK)
        brg__child_wake_owner(self);
    return status;
}

/* Writes the result; a value that is too large, or cannot travel, turns it into an error. */
static void child_send_result(brg__child *self, child_result *result)
{
    brg_status sent = brg__child_retry(self, child_try_result, result, UINT64_MAX, false);
    if (sent == BRG_OK)
        return;
    size_t bytes = (result->output == NULL ? 0 : brg_value_size_with_buffers(result->output)) +
                   (result->detail == NULL ? 0 : brg_value_size_with_buffers(result->detail));
    brg_error failure;
    memset(&failure, 0, sizeof(failure));
    brg_error_set(&failure, sent, "worker", "the result of %zu bytes: %s", bytes,
                  result->why.message[0] != '\0' ? result->why.message : brg_status_text(sent));
    result->status = sent;
    /* cppcheck-suppress autoVariables ; used before it goes */
    result->failure = &failure;
    result->output = result->detail = NULL;
    if (brg__child_retry(self, child_try_result, result, UINT64_MAX, false) != BRG_OK)
        brg__process_exit_now(1); /* not even an error fits: the owner reports the exit */
}

void brg__child_answer(brg__child *self, uint64_t ticket, brg_status status, brg_value *output, uint64_t run_ns)
{
    child_result result = {.ticket = ticket,
                           .status = status,
                           .output = output,
                           .detail = self->context.failure_detail,
                           .run_ns = run_ns,
                           .failure = &self->context.failure};
    child_send_result(self, &result);
}

void brg__child_answer_part(brg__child *self, uint64_t ticket, const brg__batch_entry *entry)
{
    brg_error none;
    memset(&none, 0, sizeof(none));
    child_result result = {.ticket = ticket,
                           .status = entry->status,
                           .output = entry->output,
                           .detail = entry->detail,
                           .part = entry->part + 1,
                           .failure = entry->error != NULL ? entry->error : &none};
    child_send_result(self, &result);
}

void brg__child_task_begin(brg__child *self, uint64_t ticket, uint32_t attempt)
{
    if (brg_load_relaxed(&self->segment->xcancel) != ticket && brg_load_relaxed(&self->segment->xstop) == 0)
        brg__event_clear(self->cancel_event); /* it told an earlier task */
    brg_store_relaxed(&self->segment->xmemory_failed, 0u);
    brg__context_begin(&self->context, ticket, attempt);
}

static void child_run_task(brg__child *self, uint64_t ticket, uint32_t attempt, const char *name, size_t name_bytes,
                           const brg_value *input)
{
    brg_context *context = &self->context;
    brg_value *output = NULL;
    brg__child_task_begin(self, ticket, attempt);
    uint64_t start = brg__now();
    brg_status status = brg__context_run_named(context, name, name_bytes, input, &output);
    uint64_t run_ns = brg__now() - start;
    brg__child_answer(self, ticket, status, output, run_ns);
    brg_value_unref(output);
    brg__context_end(context);
}

/* What came in the mail for a task that has not been taken yet. */
typedef struct child_input {
    brg__node node;
    uint64_t ticket;
    brg_status status;
    brg_value *value;
    brg_error error;
} child_input;

void brg__child_input(brg__child *self, const brg__frame *frame, const void *payload)
{
    child_input *input = brg__calloc(1, sizeof(*input));
    if (input != NULL) {
        input->ticket = frame->id;
        input->status = brg__wire_read(&input->value, &self->link.carrier, payload, frame->payload_bytes,
                                       &input->error);
        brg__list_push_back(&self->inputs, &input->node);
    } else {
        brg__process_exit_now(1);
    }
}

/* Tasks are taken in the order in which their inputs came. */
static bool child_has_input(void *argument)
{
    brg__child *self = argument;
    brg__lock_acquire(&self->look_lock);
    bool has = !brg__list_is_empty(&self->inputs);
    brg__lock_release(&self->look_lock);
    return has || brg_load_acquire(&self->segment->xstop) != 0;
}

brg_status brg__child_mailed_input(brg__child *self, uint64_t ticket, brg_value **out, brg_error *error)
{
    brg__child_look(self);
    (void)brg__child_wait(self, child_has_input, UINT64_MAX);
    brg__lock_acquire(&self->look_lock);
    brg__node *node = brg__list_pop_front(&self->inputs);
    brg__lock_release(&self->look_lock);
    if (node == NULL)
        return BRG_CANCELLED;
    child_input *input = brg__container_of(node, child_input, node);
    brg_status status = input->status;
    if (input->ticket != ticket)
        brg__process_exit_now(1);
    if (status == BRG_OK)
        *out = input->value;
    else
        *error = input->error;
    brg__mfree(input);
    return status;
}

/* The input of a peeked task, copied; then the frame is gone. */
static brg_status child_take_input(brg__child *self, const brg__frame *frame, const void *payload, brg_value **out,
                                   brg_error *error)
{
    size_t name_room = brg__align_up(frame->word[1], 8);
    brg_status status = frame->word[2] != 0 ? brg__child_mailed_input(self, frame->id, out, error)
                                            : brg__wire_read(out, NULL, (const char *)payload + name_room,
                                                             frame->payload_bytes - name_room, error);
    brg__ring_consume(&self->request);
    return status;
}

void brg__child_task(brg__child *self, const brg__frame *frame, brg__frame *in_place, const void *payload)
{
    brg_value *input = NULL;
    brg_error error;
    error.message[0] = '\0';
    uint32_t free_claim = BRG__CLAIM_FREE;
    bool runs = brg_cas_acq_rel(&in_place->xclaim, &free_claim, (uint32_t)BRG__CLAIM_TAKEN);
    if (frame->word[4] != 0) {
        brg__child_batch(self, frame, payload, runs);
        return;
    }
    if (!runs) {
        (void)child_take_input(self, frame, payload, &input, &error); /* taken back; what it holds on is let go of */
        brg_value_unref(input);
        return;
    }
    char name[BRG_TASK_NAME_MAX + 1];
    size_t name_bytes = brg__min(frame->word[1], BRG_TASK_NAME_MAX);
    uint64_t ticket = frame->id;
    uint32_t attempt = (uint32_t)frame->word[0];
    memcpy(name, payload, name_bytes);
    brg_status status = child_take_input(self, frame, payload, &input, &error);
    if (status == BRG_OK) {
        brg__child_progress_begin(self, ticket, (uint32_t)frame->word[3]);
        child_run_task(self, ticket, attempt, name, name_bytes, input);
        brg__child_progress_begin(self, 0, 0);
    } else {
        brg__context_begin(&self->context, ticket, attempt);
        brg_error_set(&self->context.failure, status, "worker", "the input could not be read: %s",
                      error.message[0] != '\0' ? error.message : brg_status_text(status));
        brg__child_answer(self, ticket, status, NULL, 0);
        brg__context_end(&self->context);
    }
    brg_value_unref(input);
}
