/* SPDX-License-Identifier: MIT */
/* The writer of traces from the inside: what trace_write.c, which knows what runs and waits at a moment, and
 * trace_slices.c, which writes the events, share. trace_write.c has the notes. */
#ifndef BRG_POOL_TRACE_WRITE_H
#define BRG_POOL_TRACE_WRITE_H

#include "base/table.h"
#include "pool/trace.h"

#define BRG__TRACE_TIDS 100000 /* numbers of threads for each pool */

typedef struct brg__write_batch {
    uint64_t started_ns;
    uint32_t count, open;
} brg__write_batch;

/* A task that has been seen and has not settled. */
typedef struct brg__write_task {
    struct brg__write_task *outer; /* on its thread, while it runs: the one it runs in */
    brg__node node;                /* in writer->tasks */
    brg__record record;            /* the last that says what it is */
    uint64_t since_ns, started_ns, waited_ns;
    bool waits, runs;
    uint32_t track;
    brg__write_batch *batch;
} brg__write_task;

typedef struct brg__write_chunk brg__write_chunk; /* trace_flows.c */
typedef struct brg__write_flow brg__write_flow;

typedef struct brg__write_track {
    bool is_named;
    uint64_t worker_id, starting_ns;
    brg__write_task *top;     /* the innermost that runs */
    brg__write_chunk *chunks; /* the innermost that runs */
} brg__write_track;

typedef struct brg__writer {
    brg__trace_text *text;
    const brg__trace_source *source;
    uint64_t now_ns, last_counted_ns, count_every_ns;
    brg__table by_number;
    brg__list tasks, flows;
    brg__write_track *tracks;
    uint32_t track_count;
    uint64_t waiting, running;
    bool has_no_memory;
} brg__writer;

static inline uint32_t brg__writer_tid(const brg__writer *self, uint32_t track)
{
    return self->source->number * BRG__TRACE_TIDS + (track == UINT16_MAX ? 0 : track + 1);
}

static inline brg__write_track *brg__writer_track(brg__writer *self, uint32_t index)
{
    return index < self->track_count ? &self->tracks[index] : NULL;
}

/* trace_slices.c */
void brg__write_instant(brg__writer *self, const brg__record *record, uint32_t track, const char *name);
void brg__write_wait(brg__writer *self, const brg__write_task *task, uint64_t until_ns);
/* The slice of one attempt, up to `until_ns`; `end`: how it ended, NULL: it goes on. */
void brg__write_run(brg__writer *self, const brg__write_task *task, uint64_t until_ns, const brg__record *end);
void brg__write_batch_run(brg__writer *self, const brg__write_task *task, uint64_t until_ns);
/* Not each change: as many as a screen can show. */
void brg__write_counts(brg__writer *self, uint64_t at_ns, bool is_last);
void brg__write_thread_name(brg__writer *self, uint32_t track, const char *name);
void brg__write_worker_name(brg__writer *self, uint32_t index);
const char *brg__writer_name(const brg__record *record, char *buffer, size_t size); /* what it is of */

/* trace_flows.c */
void brg__write_flow_event(brg__writer *self, const brg__record *record);
/* What began there at that time or later, and has not ended, is over: its task is, or its worker. */
void brg__write_chunks_end(brg__writer *self, uint32_t index, uint64_t since_ns, uint64_t until_ns);
void brg__write_flows_close(brg__writer *self); /* what has not ended, as far as it is */
void brg__write_flows_done(brg__writer *self);

#endif
