/* SPDX-License-Identifier: MIT */
/* Events of a trace, as text. trace_write.c has the notes. */
#include "pool/trace_write.h"

#include <inttypes.h>
#include <stdio.h>

#include "os/process.h"

const char *brg__writer_name(const brg__record *record, char *buffer, size_t size)
{
    if (!record->is_function)
        return record->is.name != NULL ? record->is.name : "(task)";
    if (brg__symbol_name((const void *)(uintptr_t)record->is.function, buffer, size))
        return buffer;
    return "(function)";
}

void brg__write_instant(brg__writer *self, const brg__record *record, uint32_t track, const char *name)
{
    brg__trace_text *text = self->text;
    brg__trace_event(text, 'i', self->source->number, brg__writer_tid(self, track), name);
    brg__trace_time(text, "ts", record->time_ns);
    brg__trace_printf(text, ",\"s\":\"%s\",\"cat\":\"%s\",\"args\":{\"value\":%" PRIu64,
                      track == UINT16_MAX ? "p" : "t", brg_event_name((brg_event_type)record->type), record->value);
    if (record->status != BRG_OK)
        brg__trace_printf(text, ",\"status\":\"%s\"", brg_status_name((brg_status)record->status));
    if (record->task != 0)
        brg__trace_printf(text, ",\"task\":%" PRIu64, record->task);
    if (record->worker_id != 0)
        brg__trace_printf(text, ",\"worker\":%" PRIu64, record->worker_id);
    brg__trace_put(text, "}}", 2);
}

void brg__write_wait(brg__writer *self, const brg__write_task *task, uint64_t until_ns)
{
    char buffer[128], name[160];
    brg__trace_text *text = self->text;
    if (until_ns <= task->since_ns)
        return;
    snprintf(name, sizeof(name), "waits: %.120s", brg__writer_name(&task->record, buffer, sizeof(buffer)));
    for (int i = 0; i < 2; i++) {
        brg__trace_event(text, i == 0 ? 'b' : 'e', self->source->number, brg__writer_tid(self, UINT16_MAX), name);
        brg__trace_time(text, "ts", i == 0 ? task->since_ns : until_ns);
        brg__trace_printf(text, ",\"cat\":\"wait\",\"id\":\"%" PRIu32 ".%" PRIu64 "\"", self->source->number,
                          task->record.task);
        brg__trace_close(text);
    }
}

static const char *write_priority(uint8_t priority)
{
    static const char *const names[] = {"normal", "urgent", "high", "low"};
    return priority < brg__count_of(names) ? names[priority] : "?";
}

void brg__write_run(brg__writer *self, const brg__write_task *task, uint64_t until_ns, const brg__record *end)
{
    char buffer[128];
    brg__trace_text *text = self->text;
    uint64_t start = task->started_ns;
    if (self->source->has_processes && end != NULL && end->value != 0 && end->value < until_ns - start)
        start = until_ns - end->value; /* it began when its process came to it */
    brg__trace_event(text, 'X', self->source->number, brg__writer_tid(self, task->track),
                     brg__writer_name(&task->record, buffer, sizeof(buffer)));
    brg__trace_time(text, "ts", start);
    brg__trace_time(text, "dur", until_ns - start);
    brg__trace_printf(text, ",\"cat\":\"task\",\"args\":{\"task\":%" PRIu64 ",\"attempt\":%u,\"priority\":\"%s\"",
                      task->record.task, task->record.attempt, write_priority(task->record.priority));
    if (task->waited_ns != 0)
        brg__trace_printf(text, ",\"waited_us\":%" PRIu64 ".%03u", task->waited_ns / 1000,
                          (unsigned)(task->waited_ns % 1000));
    if (task->record.key != 0)
        brg__trace_printf(text, ",\"key\":\"%" PRIu64 "\"", task->record.key);
    if (task->record.worker_id != 0)
        brg__trace_printf(text, ",\"worker\":%" PRIu64, task->record.worker_id);
    brg__trace_printf(text, ",\"status\":\"%s\"}", end == NULL ? "running" : brg_status_name((brg_status)end->status));
    brg__trace_close(text);
}

void brg__write_batch_run(brg__writer *self, const brg__write_task *task, uint64_t until_ns)
{
    char buffer[128], name[160];
    brg__trace_text *text = self->text;
    const brg__write_batch *batch = task->batch;
    snprintf(name, sizeof(name), "%.120s (batch of %" PRIu32 ")",
             brg__writer_name(&task->record, buffer, sizeof(buffer)), batch->count);
    brg__trace_event(text, 'X', self->source->number, brg__writer_tid(self, task->track), name);
    brg__trace_time(text, "ts", batch->started_ns);
    brg__trace_time(text, "dur", until_ns - batch->started_ns);
    brg__trace_printf(text, ",\"cat\":\"batch\",\"args\":{\"tasks\":%" PRIu32 ",\"batch\":%" PRIu32 "}", batch->count,
                      task->record.batch);
    brg__trace_close(text);
}

static void write_counter(brg__writer *self, const char *name, uint64_t at_ns, uint64_t value)
{
    brg__trace_event(self->text, 'C', self->source->number, brg__writer_tid(self, UINT16_MAX), name);
    brg__trace_time(self->text, "ts", at_ns);
    brg__trace_printf(self->text, ",\"args\":{\"tasks\":%" PRIu64 "}", value);
    brg__trace_close(self->text);
}

void brg__write_counts(brg__writer *self, uint64_t at_ns, bool is_last)
{
    if (!is_last && at_ns - self->last_counted_ns < self->count_every_ns)
        return;
    self->last_counted_ns = at_ns;
    write_counter(self, "waiting", at_ns, self->waiting);
    write_counter(self, "running", at_ns, self->running);
}

void brg__write_thread_name(brg__writer *self, uint32_t track, const char *name)
{
    brg__trace_event(self->text, 'M', self->source->number, brg__writer_tid(self, track), "thread_name");
    brg__trace_put(self->text, ",\"args\":{\"name\":", 16);
    brg__trace_string(self->text, name);
    brg__trace_put(self->text, "}}", 2);
    brg__trace_event(self->text, 'M', self->source->number, brg__writer_tid(self, track), "thread_sort_index");
    brg__trace_printf(self->text, ",\"args\":{\"sort_index\":%" PRIu32 "}}", track == UINT16_MAX ? 0 : track + 1);
}

void brg__write_worker_name(brg__writer *self, uint32_t index)
{
    char name[96];
    brg__write_track *track = brg__writer_track(self, index);
    if (track == NULL || track->is_named)
        return;
    track->is_named = true;
    snprintf(name, sizeof(name), "%s-%" PRIu32, self->source->name, index);
    brg__write_thread_name(self, index, name);
}
