/* SPDX-License-Identifier: MIT */
/*
 * Flows in a trace: each chunk is a slice on its worker's thread, inside the task or chunk it was begun in, and each
 * flow an asynchronous event (b, e) of the process, since flows overlap. trace_write.c has the rest.
 */
#include "pool/trace_write.h"

#include <inttypes.h>

#include "os/memory.h"

struct brg__write_chunk {
    brg__write_chunk *outer; /* on its thread */
    brg__record record;      /* its start */
};

struct brg__write_flow {
    brg__node node;     /* in writer->flows */
    brg__record record; /* its start */
};

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

/* Up to `until_ns`; `end`: how it ended, NULL: it goes on, or nobody knows. */
static void chunk_write(brg__writer *self, const brg__record *start, uint64_t until_ns, const brg__record *end)
{
    char buffer[128];
    brg__trace_text *text = self->text;
    uint64_t started_ns = start->time_ns;
    if (self->source->has_processes && end != NULL && end->value != 0 && end->value < until_ns - started_ns)
        started_ns = until_ns - end->value; /* it began when its process came to it */
    brg__trace_event(text, 'X', self->source->number, brg__writer_tid(self, start->worker_index),
                     brg__writer_name(start, buffer, sizeof(buffer)));
    brg__trace_time(text, "ts", started_ns);
    brg__trace_time(text, "dur", until_ns - started_ns);
    brg__trace_printf(text, ",\"cat\":\"chunk\",\"args\":{\"flow\":%" PRIu64, start->task);
    brg__trace_printf(text, ",\"first\":%" PRIu64 ",\"end\":%" PRIu64 ",\"elements\":%" PRIu64, start->key,
                      start->key + start->value, start->value);
    if (start->worker_id != 0)
        brg__trace_printf(text, ",\"worker\":%" PRIu64, start->worker_id);
    brg__trace_printf(text, ",\"status\":\"%s\"}", end == NULL ? "running" : brg_status_name((brg_status)end->status));
    brg__trace_close(text);
}

/* The innermost of the thread is over. */
static void chunk_pop(brg__writer *self, brg__write_track *track, const brg__record *end, uint64_t until_ns)
{
    brg__write_chunk *chunk = track->chunks;
    track->chunks = chunk->outer;
    if (end == NULL || end->type != BRG_EVENT_CHUNK_UNSTARTED)
        chunk_write(self, &chunk->record, until_ns, end);
    brg__mfree(chunk);
}

void brg__write_chunks_end(brg__writer *self, uint32_t index, uint64_t since_ns, uint64_t until_ns)
{
    brg__write_track *track = brg__writer_track(self, index);
    while (track != NULL && track->chunks != NULL && track->chunks->record.time_ns >= since_ns)
        chunk_pop(self, track, NULL, until_ns);
}

static void chunk_started(brg__writer *self, const brg__record *record)
{
    brg__write_track *track = brg__writer_track(self, record->worker_index);
    brg__write_chunk *chunk = track == NULL ? NULL : brg__malloc(sizeof(*chunk));
    if (chunk == NULL) {
        self->has_no_memory = self->has_no_memory || track != NULL;
        return;
    }
    *chunk = (brg__write_chunk){.outer = track->chunks, .record = *record};
    track->chunks = chunk;
}

static void chunk_ended(brg__writer *self, const brg__record *record)
{
    brg__write_track *track = brg__writer_track(self, record->worker_index);
    const brg__write_chunk *found = track == NULL ? NULL : track->chunks;
    while (found != NULL && (found->record.task != record->task || found->record.key != record->key))
        found = found->outer;
    if (found == NULL)
        return; /* its start is missing */
    while (track->chunks != found)
        chunk_pop(self, track, NULL, record->time_ns);
    chunk_pop(self, track, record, record->time_ns);
}

/* ---- flows ------------------------------------------------------------------------------------------------------- */

static void flow_write(brg__writer *self, const brg__write_flow *flow, uint64_t until_ns, const brg__record *end)
{
    char buffer[128];
    brg__trace_text *text = self->text;
    const brg__record *start = &flow->record;
    for (int i = 0; i < 2; i++) {
        brg__trace_event(text, i == 0 ? 'b' : 'e', self->source->number, brg__writer_tid(self, UINT16_MAX),
                         brg__writer_name(start, buffer, sizeof(buffer)));
        brg__trace_time(text, "ts", i == 0 ? start->time_ns : until_ns);
        brg__trace_printf(text, ",\"cat\":\"flow\",\"id\":\"flow %" PRIu32 ".%" PRIu64 "\"", self->source->number,
                          start->task);
        if (i == 0) {
            brg__trace_printf(text, ",\"args\":{\"flow\":%" PRIu64 ",\"elements\":%" PRIu64, start->task, start->value);
            brg__trace_printf(text, ",\"failures\":%" PRIu64 ",\"status\":\"%s\"}", end == NULL ? 0 : end->value,
                              end == NULL ? "running" : brg_status_name((brg_status)end->status));
        }
        brg__trace_close(text);
    }
}

static void flow_started(brg__writer *self, const brg__record *record)
{
    brg__write_flow *flow = brg__malloc(sizeof(*flow));
    if (flow == NULL) {
        self->has_no_memory = true;
        return;
    }
    flow->record = *record;
    brg__list_push_back(&self->flows, &flow->node);
}

static void flow_ended(brg__writer *self, const brg__record *record)
{
    brg__list_for_each(node, &self->flows) {
        brg__write_flow *flow = brg__container_of(node, brg__write_flow, node);
        if (flow->record.task != record->task)
            continue;
        flow_write(self, flow, record->time_ns, record);
        brg__list_remove(&flow->node);
        brg__mfree(flow);
        return;
    }
}

void brg__write_flow_event(brg__writer *self, const brg__record *record)
{
    switch ((brg_event_type)record->type) {
    case BRG_EVENT_FLOW_STARTED:
        flow_started(self, record);
        break;
    case BRG_EVENT_FLOW_ENDED:
        flow_ended(self, record);
        break;
    case BRG_EVENT_CHUNK_STARTED:
        chunk_started(self, record);
        break;
    default:
        chunk_ended(self, record);
    }
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

void brg__write_flows_close(brg__writer *self)
{
    for (uint32_t i = 0; i < self->track_count; i++)
        brg__write_chunks_end(self, i, 0, self->now_ns);
    brg__list_for_each(node, &self->flows)
        flow_write(self, brg__container_of(node, brg__write_flow, node), self->now_ns, NULL);
}

void brg__write_flows_done(brg__writer *self)
{
    brg__node *node;
    while ((node = brg__list_pop_front(&self->flows)) != NULL)
        brg__mfree(brg__container_of(node, brg__write_flow, node));
    for (uint32_t i = 0; i < self->track_count; i++)
        for (brg__write_chunk *chunk; (chunk = self->tracks[i].chunks) != NULL;) {
            self->tracks[i].chunks = chunk->outer;
            brg__mfree(chunk);
        }
}
