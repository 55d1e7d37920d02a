/* SPDX-License-Identifier: MIT */
/* A process worker from the inside: batches. Each task in one is answered with a frame of its own, then the batch. */
#include <string.h>

#include "os/atomic.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/process.h"
#include "worker/batch.h"
#include "worker/child_state.h"

/* A member that was asked to end before its batch began. */
typedef struct child_cancel {
    brg__node node;
    uint64_t ticket;
    uint32_t part;
} child_cancel;

static void child_mark_cancelled(brg_batch *batch, uint32_t part)
{
    brg__batch_entry *entry = brg__batch_part(batch, part);
    if (entry != NULL)
        brg_store_relaxed(&entry->xcancelled, 1u);
}

void brg__child_cancel_part(brg__child *self, const brg__frame *frame)
{
    if (self->batch != NULL && self->batch_ticket == frame->id) {
        child_mark_cancelled(self->batch, (uint32_t)frame->word[0]);
        return;
    }
    if (frame->id <= self->batch_ticket)
        return; /* it is through */
    child_cancel *cancel = brg__calloc(1, sizeof(*cancel));
    if (cancel == NULL)
        return;
    cancel->ticket = frame->id;
    cancel->part = (uint32_t)frame->word[0];
    brg__list_push_back(&self->cancels, &cancel->node);
}

/* From here on its members can be asked to end; what came before is told, what came for earlier ones forgotten. */
static void child_batch_begin(brg__child *self, brg_batch *batch, uint64_t ticket)
{
    batch->look = brg__child_look;
    batch->argument = self;
    brg__lock_acquire(&self->look_lock);
    self->batch = batch;
    self->batch_ticket = ticket;
    brg__list_for_each(node, &self->cancels) {
        child_cancel *cancel = brg__container_of(node, child_cancel, node);
        if (cancel->ticket > ticket)
            continue;
        if (cancel->ticket == ticket)
            child_mark_cancelled(batch, cancel->part);
        brg__list_remove(node);
        brg__mfree(cancel);
    }
    brg__lock_release(&self->look_lock);
}

static void child_batch_end(brg__child *self)
{
    brg__lock_acquire(&self->look_lock);
    self->batch = NULL;
    brg__lock_release(&self->look_lock);
}

/* A member whose input cannot be read is answered at once, and its batch does without. */
static void child_refuse_part(brg__child *self, uint64_t ticket, uint32_t part, brg_status status, const brg_error *why)
{
    brg__batch_entry entry = {.part = part, .status = status};
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_error_set(&error, status, "worker", "the input could not be read: %.200s",
                  why->message[0] != '\0' ? why->message : brg_status_text(status));
    entry.error = &error;
    brg__child_answer_part(self, ticket, &entry);
}

static brg_status child_read_part(brg__child *self, const brg__frame *frame, const char **at, uint64_t size,
                                  brg_value **input, brg_error *error)
{
    if (size == BRG__PART_MAILED)
        return brg__child_mailed_input(self, frame->id, input, error);
    brg_status status = brg__wire_read(input, NULL, *at, size, error);
    *at += brg__align_up(size, 8);
    return status;
}

/* The inputs of a peeked batch. `refuses`: it will run. */
static brg_batch *child_read_batch(brg__child *self, const brg__frame *frame, const char *payload, const char *name,
                                   size_t name_bytes, bool refuses)
{
    uint32_t count = (uint32_t)frame->word[4];
    const char *at = payload + brg__align_up(frame->word[1], 8);
    brg_batch *batch = brg__batch_new(&self->context, name, name_bytes, count);
    if (batch == NULL)
        brg__process_exit_now(1);
    for (uint32_t part = 0; part < count; part++) {
        uint64_t size;
        memcpy(&size, at, sizeof(size));
        at += sizeof(size);
        if (size == BRG__PART_ABSENT)
            continue;
        brg_value *input = NULL;
        brg_error error;
        error.message[0] = '\0';
        brg_status status = child_read_part(self, frame, &at, size, &input, &error);
        if (status == BRG_OK)
            brg__batch_add(batch, input, part);
        else if (refuses)
            child_refuse_part(self, frame->id, part, status, &error);
    }
    return batch;
}

static void child_run_batch(brg__child *self, brg_batch *batch, uint64_t ticket)
{
    brg__child_task_begin(self, ticket, 1);
    child_batch_begin(self, batch, ticket);
    uint64_t start = brg__now();
    brg_status status = brg__batch_run_named(batch);
    uint64_t run_ns = brg__now() - start;
    child_batch_end(self);
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->entries[i].answered)
            brg__child_answer_part(self, ticket, &batch->entries[i]);
    brg__child_answer(self, ticket, status, NULL, run_ns);
    brg__context_end(&self->context);
}

void brg__child_batch(brg__child *self, const brg__frame *frame, const void *payload, bool runs)
{
    char name[BRG_TASK_NAME_MAX + 1];
    size_t name_bytes = brg__min(frame->word[1], BRG_TASK_NAME_MAX);
    uint64_t ticket = frame->id;
    memcpy(name, payload, name_bytes);
    brg_batch *batch = child_read_batch(self, frame, payload, name, name_bytes, runs);
    brg__ring_consume(&self->request);
    if (runs)
        child_run_batch(self, batch, ticket);
    brg__batch_unref(batch);
}
