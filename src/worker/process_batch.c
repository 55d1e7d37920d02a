/* SPDX-License-Identifier: MIT */
/*
 * Process workers, the owner's side: sending a batch. It is one frame of the request ring, so that it is taken, or
 * taken back, as a whole; the inputs that name ports and regions go through the mail before it, like those of single
 * tasks, in the order of the batch.
 */
#include <string.h>

#include "os/atomic.h"
#include "worker/process.h"

/* Each input in the frame: how many bytes it has, or one of these, then it, padded to 8. */
static size_t batch_bytes(const brg__part *parts, uint32_t count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        bytes += brg__part_bytes(parts[i].input);
    return bytes;
}

size_t brg__part_bytes(const brg_value *input)
{
    return sizeof(uint64_t) + (brg__process_goes_by_mail(input) ? 0 : brg__align_up(brg__wire_size(input, NULL), 8));
}

/* One of them; what cannot be sent is left out. BRG_CLOSED: the worker ends. */
static brg_status batch_write_part(brg__process *process, uint64_t ticket, brg__part *part, char **at,
                                   brg__departures *departures)
{
    uint64_t size = BRG__PART_MAILED;
    part->status = BRG_OK;
    if (brg__process_goes_by_mail(part->input)) {
        const brg__frame head = {.kind = BRG__REQUEST_INPUT, .id = ticket};
        part->status = brg__link_queue_locked(&process->link, &head, part->input, departures, NULL);
        if (part->status != BRG_OK)
            size = BRG__PART_ABSENT;
    } else {
        size = brg__wire_size(part->input, NULL);
        brg__wire_write(part->input, NULL, *at + sizeof(size));
    }
    memcpy(*at, &size, sizeof(size));
    *at += brg__part_bytes(part->input);
    return part->status == BRG_CLOSED ? BRG_CLOSED : BRG_OK;
}

static brg_status batch_write_locked(brg__process *process, uint64_t ticket, const char *name, brg__part *parts,
                                     uint32_t count, brg__departures *departures, brg__sent *sent)
{
    size_t name_bytes = strlen(name), name_room = brg__align_up(name_bytes, 8);
    bool moves = false;
    brg__frame *frame = NULL;
    brg_status status = brg__ring_reserve(&process->request, name_room + batch_bytes(parts, count), &frame);
    if (status != BRG_OK)
        return status;
    char *at = (char *)(frame + 1) + name_room;
    for (uint32_t i = 0; i < count && status == BRG_OK; i++) {
        bool has_movables = parts[i].input != NULL && brg__value_has_movables(parts[i].input);
        moves = moves || has_movables;
        status = batch_write_part(process, ticket, &parts[i], &at, departures);
    }
    if (status != BRG_OK) {
        frame->kind = BRG__REQUEST_NOTHING;
        brg__ring_publish(&process->request);
        return status;
    }
    frame->kind = BRG__REQUEST_TASK;
    frame->id = ticket;
    frame->word[0] = 1;
    frame->word[1] = name_bytes;
    frame->word[4] = count;
    memcpy(frame + 1, name, name_bytes);
    sent->position = process->request.next;
    sent->xclaim = moves ? NULL : &frame->xclaim;
    return BRG_OK;
}

brg_status brg__process_send_batch(brg_worker *worker, uint64_t ticket, const char *name, brg__part *parts,
                                   uint32_t count, brg__sent *sent)
{
    brg__process *process = brg__process_of(worker);
    brg__departures departures = {0};
    brg__lock_acquire(&process->link.send_lock);
    brg_status status = batch_write_locked(process, ticket, name, parts, count, &departures, sent);
    brg__lock_release(&process->link.send_lock);
    brg__departures_run(&departures);
    return status;
}

void brg__process_cancel_part(brg_worker *worker, uint64_t ticket, uint32_t part)
{
    brg__process *process = brg__process_of(worker);
    brg__departures departures = {0};
    const brg__frame head = {.kind = BRG__REQUEST_CANCEL, .id = ticket, .word = {part}};
    (void)brg__link_queue(&process->link, &head, NULL, &departures, NULL); /* without memory it is not heard */
    brg__departures_run(&departures);
}
