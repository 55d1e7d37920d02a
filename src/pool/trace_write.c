/* SPDX-License-Identifier: MIT */
/*
 * Records into the Chrome trace event format ("Trace Event Format", Google, 2016), JSON object form.
 *
 * Each pool is a process, each place of a worker a thread of it; thread 0 has what happens to the pool. Numbers of
 * threads differ between pools, since viewers look threads up by number alone. An attempt at a task is a complete event
 * (X) on its worker's thread; those that run inside others nest, as they did. Waiting is an asynchronous event (b, e)
 * of the process, so that waits may overlap. Members of a batch are one slice: they ran as one call.
 *
 * Records are read once, in order of time. What is missing, because a flight recorder dropped it, is not guessed: an
 * end without its start is left out, a start without an end goes on to the end of the trace.
 */
#include "pool/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/table.h"
#include "os/memory.h"
#include "os/process.h"

#define WRITE_TIDS 100000 /* numbers of threads for each pool */

/* ---- what is known at a moment ----------------------------------------------------------------------------------- */

typedef struct write_batch {
    uint64_t started_ns;
    uint32_t count, open;
} write_batch;

/* A task that has been seen and has not settled. */
typedef struct write_task {
    struct write_task *outer; /* on its thread, while it runs: the one it runs in */
    brg__node node;           /* in writer->tasks */
    brg__record record;       /* the last that says what it is */
    uint64_t since_ns, started_ns, waited_ns;
    bool waits, runs;
    uint32_t track;
    write_batch *batch;
} write_task;

typedef struct write_track {
    bool is_named;
    uint64_t worker_id, starting_ns;
    write_task *top; /* the innermost that runs */
} write_track;

typedef struct writer {
    brg__trace_text *text;
    const brg__trace_source *source;
    uint64_t now_ns, last_counted_ns, count_every_ns;
    brg__table by_number;
    brg__list tasks;
    write_track *tracks;
    uint32_t track_count;
    uint64_t waiting, running;
    bool has_no_memory;
} writer;

static uint32_t writer_tid(const writer *self, uint32_t track)
{
    return self->source->number * WRITE_TIDS + (track == UINT16_MAX ? 0 : track + 1);
}

static const char *writer_name(const brg__record *record, char *buffer, size_t size)
{
    if (!record->is_function)
        return record->is.name != NULL ? record->is.name : "(task)";
    if (brg__symbol_name((const void *)(uintptr_t)record->is.function, buffer, size))
        return buffer;
    return "(function)";
}

static write_track *writer_track(writer *self, uint32_t index)
{
    return index < self->track_count ? &self->tracks[index] : NULL;
}

static void writer_put(writer *self, write_task *task)
{
    if (!brg__table_has_room(&self->by_number)) {
        size_t capacity = self->by_number.capacity == 0 ? 1024 : self->by_number.capacity * 2;
        brg__table_slot *slots = brg__calloc(capacity, sizeof(*slots));
        if (slots == NULL) {
            self->has_no_memory = true;
            return;
        }
        brg__mfree(brg__table_rehash(&self->by_number, slots, capacity));
    }
    brg__table_put(&self->by_number, task->record.task, task);
}

static write_task *writer_new(writer *self, const brg__record *record)
{
    write_task *task = brg__calloc(1, sizeof(*task));
    if (task == NULL) {
        self->has_no_memory = true;
        return NULL;
    }
    task->record = *record;
    brg__list_push_back(&self->tasks, &task->node);
    if (record->task != 0)
        writer_put(self, task);
    return task;
}

/* Its task; one without a number is the one that runs where it says. NULL: not known. */
static write_task *writer_find(writer *self, const brg__record *record)
{
    if (record->task != 0)
        return brg__table_get(&self->by_number, record->task);
    write_track *track = writer_track(self, record->worker_index);
    return track != NULL && track->top != NULL && track->top->record.task == 0 ? track->top : NULL;
}

static void writer_forget(writer *self, write_task *task)
{
    if (task->record.task != 0)
        brg__table_remove(&self->by_number, task->record.task);
    brg__list_remove(&task->node);
    brg__mfree(task);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void write_instant(writer *self, const brg__record *record, uint32_t track, const char *name)
{
    brg__trace_text *text = self->text;
    brg__trace_event(text, 'i', self->source->number, writer_tid(self, track), name);
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

static void write_wait(writer *self, const write_task *task, uint64_t until_ns)
{
    char buffer[128], name[160];
    brg__trace_text *text = self->text;
    if (until_ns <= task->since_ns)
        return;
    snprintf(name, sizeof(name), "waits: %.120s", writer_name(&task->record, buffer, sizeof(buffer)));
    for (int i = 0; i < 2; i++) {
        brg__trace_event(text, i == 0 ? 'b' : 'e', self->source->number, writer_tid(self, UINT16_MAX), name);
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

/* The slice of one attempt, up to `until_ns`; `end`: how it ended, NULL: it goes on. */
static void write_run(writer *self, const write_task *task, uint64_t until_ns, const brg__record *end)
{
    char buffer[128];
    brg__trace_text *text = self->text;
    uint64_t start = task->started_ns;
    if (self->source->has_processes && end != NULL && end->value != 0 && end->value < until_ns - start)
        start = until_ns - end->value; /* it began when its process came to it */
    brg__trace_event(text, 'X', self->source->number, writer_tid(self, task->track),
                     writer_name(&task->record, buffer, sizeof(buffer)));
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

static void write_batch_run(writer *self, const write_task *task, uint64_t until_ns)
{
    char buffer[128], name[160];
    brg__trace_text *text = self->text;
    const write_batch *batch = task->batch;
    snprintf(name, sizeof(name), "%.120s (batch of %" PRIu32 ")", writer_name(&task->record, buffer, sizeof(buffer)),
             batch->count);
    brg__trace_event(text, 'X', self->source->number, writer_tid(self, task->track), name);
    brg__trace_time(text, "ts", batch->started_ns);
    brg__trace_time(text, "dur", until_ns - batch->started_ns);
    brg__trace_printf(text, ",\"cat\":\"batch\",\"args\":{\"tasks\":%" PRIu32 ",\"batch\":%" PRIu32 "}", batch->count,
                      task->record.batch);
    brg__trace_close(text);
}

static void write_counter(writer *self, const char *name, uint64_t at_ns, uint64_t value)
{
    brg__trace_event(self->text, 'C', self->source->number, writer_tid(self, UINT16_MAX), name);
    brg__trace_time(self->text, "ts", at_ns);
    brg__trace_printf(self->text, ",\"args\":{\"tasks\":%" PRIu64 "}", value);
    brg__trace_close(self->text);
}

/* Not each change: as many as a screen can show. */
static void write_counts(writer *self, uint64_t at_ns, bool is_last)
{
    if (!is_last && at_ns - self->last_counted_ns < self->count_every_ns)
        return;
    self->last_counted_ns = at_ns;
    write_counter(self, "waiting", at_ns, self->waiting);
    write_counter(self, "running", at_ns, self->running);
}

static void write_thread_name(writer *self, uint32_t track, const char *name)
{
    brg__trace_event(self->text, 'M', self->source->number, writer_tid(self, track), "thread_name");
    brg__trace_put(self->text, ",\"args\":{\"name\":", 16);
    brg__trace_string(self->text, name);
    brg__trace_put(self->text, "}}", 2);
    brg__trace_event(self->text, 'M', self->source->number, writer_tid(self, track), "thread_sort_index");
    brg__trace_printf(self->text, ",\"args\":{\"sort_index\":%" PRIu32 "}}", track == UINT16_MAX ? 0 : track + 1);
}

static void write_worker_name(writer *self, uint32_t index)
{
    char name[96];
    write_track *track = writer_track(self, index);
    if (track == NULL || track->is_named)
        return;
    track->is_named = true;
    snprintf(name, sizeof(name), "%s-%" PRIu32, self->source->name, index);
    write_thread_name(self, index, name);
}

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

/* Takes a task from where it runs; those inside it, whose ends are missing, with it. */
static void task_leave_track(writer *self, write_task *task)
{
    write_track *track = writer_track(self, task->track);
    if (track == NULL)
        return;
    for (write_task **at = &track->top; *at != NULL; at = &(*at)->outer)
        if (*at == task) {
            *at = task->outer;
            break;
        }
    task->outer = NULL;
}

static void task_leave_batch(writer *self, write_task *task, uint64_t until_ns, bool has_run)
{
    task->batch->count -= !has_run;
    if (--task->batch->open == 0) {
        if (task->batch->count != 0)
            write_batch_run(self, task, until_ns);
        brg__mfree(task->batch);
    }
    task->batch = NULL;
}

/* Its attempt ended, or is as good as. */
static void task_stop(writer *self, write_task *task, uint64_t until_ns, const brg__record *end)
{
    if (!task->runs)
        return;
    task->runs = false;
    self->running--;
    task_leave_track(self, task);
    bool has_run = end == NULL || end->type != BRG_EVENT_TASK_UNSTARTED;
    if (task->batch != NULL)
        task_leave_batch(self, task, until_ns, has_run);
    else if (has_run)
        write_run(self, task, until_ns, end);
}

static void task_submitted(writer *self, const brg__record *record)
{
    if (record->task == 0)
        return;
    write_task *task = writer_new(self, record);
    if (task == NULL)
        return;
    task->since_ns = record->time_ns;
    task->waits = true;
    self->waiting++;
}

/* One call runs them all: the first that starts makes it. */
static void task_join_batch(writer *self, write_task *task)
{
    write_track *track = writer_track(self, task->track);
    write_task *other = track == NULL ? NULL : track->top;
    if (other != NULL && other->batch != NULL && other->record.batch == task->record.batch) {
        task->batch = other->batch;
    } else {
        task->batch = brg__calloc(1, sizeof(*task->batch));
        if (task->batch == NULL) {
            self->has_no_memory = true;
            return;
        }
        task->batch->started_ns = task->started_ns;
    }
    task->batch->count++;
    task->batch->open++;
}

static void task_started(writer *self, const brg__record *record)
{
    write_task *task = record->task == 0 ? NULL : writer_find(self, record);
    if (task == NULL)
        task = writer_new(self, record);
    if (task == NULL)
        return;
    if (task->runs) /* its end is missing */
        task_stop(self, task, record->time_ns, NULL);
    task->record = *record;
    task->track = record->worker_index;
    task->started_ns = record->time_ns;
    if (task->waits) {
        self->waiting--;
        write_wait(self, task, record->time_ns);
        task->waited_ns = record->time_ns - task->since_ns;
    }
    task->waits = false;
    task->runs = true;
    self->running++;
    if (record->batch != 0)
        task_join_batch(self, task);
    write_track *track = writer_track(self, task->track);
    if (track != NULL) {
        task->outer = track->top;
        track->top = task;
    }
}

static void task_ended(writer *self, const brg__record *record)
{
    write_task *task = writer_find(self, record);
    if (task == NULL)
        return;
    bool ran = task->runs;
    uint32_t track = ran ? task->track : UINT16_MAX;
    task_stop(self, task, record->time_ns, record);
    if (record->type != BRG_EVENT_TASK_SETTLED) {
        if (record->type == BRG_EVENT_TASK_RETRIED)
            write_instant(self, record, track, "retried");
        if (ran)
            task->since_ns = record->time_ns;
        self->waiting += !task->waits;
        task->waits = true;
        return;
    }
    if (task->waits) {
        self->waiting--;
        write_wait(self, task, record->time_ns);
    }
    if (record->status != BRG_OK)
        write_instant(self, record, track, brg_status_name((brg_status)record->status));
    writer_forget(self, task);
}

static void task_asked(writer *self, const brg__record *record)
{
    const write_task *task = writer_find(self, record);
    uint32_t track = task != NULL && task->runs ? task->track : record->worker_index;
    write_instant(self, record, track, record->type == BRG_EVENT_TASK_OVERDUE ? "overdue" : "cancel asked");
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

static void worker_event(writer *self, const brg__record *record)
{
    write_track *track = writer_track(self, record->worker_index);
    if (track == NULL)
        return;
    if (record->type == BRG_EVENT_WORKER_STARTING) {
        track->starting_ns = record->time_ns;
        return;
    }
    if (record->type == BRG_EVENT_WORKER_ONLINE && track->starting_ns != 0) {
        brg__trace_event(self->text, 'X', self->source->number, writer_tid(self, record->worker_index), "starting");
        brg__trace_time(self->text, "ts", track->starting_ns);
        brg__trace_time(self->text, "dur", record->time_ns - track->starting_ns);
        brg__trace_printf(self->text, ",\"cat\":\"worker\",\"args\":{\"worker\":%" PRIu64 "}}", record->worker_id);
        track->starting_ns = 0;
        return;
    }
    write_instant(self, record, record->worker_index, brg_event_name((brg_event_type)record->type));
}

static void writer_take(writer *self, const brg__record *record)
{
    if (record->worker_index != UINT16_MAX)
        write_worker_name(self, record->worker_index);
    switch ((brg_event_type)record->type) {
    case BRG_EVENT_TASK_SUBMITTED:
        task_submitted(self, record);
        break;
    case BRG_EVENT_TASK_STARTED:
        task_started(self, record);
        break;
    case BRG_EVENT_TASK_UNSTARTED:
    case BRG_EVENT_TASK_RETRIED:
    case BRG_EVENT_TASK_SETTLED:
        task_ended(self, record);
        break;
    case BRG_EVENT_TASK_CANCEL_ASKED:
    case BRG_EVENT_TASK_OVERDUE:
        task_asked(self, record);
        break;
    default:
        if (record->worker_index != UINT16_MAX)
            worker_event(self, record);
        else
            write_instant(self, record, UINT16_MAX, brg_event_name((brg_event_type)record->type));
    }
    if (record->type <= BRG_EVENT_TASK_SETTLED)
        write_counts(self, record->time_ns, false);
}

/* What has not ended, as far as it is. */
static void writer_close(writer *self)
{
    uint64_t waiting = self->waiting, running = self->running;
    brg__list_for_each(node, &self->tasks) {
        write_task *task = brg__container_of(node, write_task, node);
        task_stop(self, task, self->now_ns, NULL);
        if (task->waits)
            write_wait(self, task, self->now_ns);
    }
    self->waiting = waiting;
    self->running = running;
    write_counts(self, self->now_ns, true);
}

static void writer_name_process(writer *self)
{
    brg__trace_text *text = self->text;
    char name[96];
    snprintf(name, sizeof(name), "pool %s", self->source->name);
    brg__trace_event(text, 'M', self->source->number, writer_tid(self, UINT16_MAX), "process_name");
    brg__trace_put(text, ",\"args\":{\"name\":", 16);
    brg__trace_string(text, name);
    brg__trace_put(text, "}}", 2);
    brg__trace_event(text, 'M', self->source->number, writer_tid(self, UINT16_MAX), "process_labels");
    brg__trace_printf(text, ",\"args\":{\"labels\":\"%s workers\"}}",
                      self->source->has_processes ? "process" : "thread");
    brg__trace_event(text, 'M', self->source->number, writer_tid(self, UINT16_MAX), "process_sort_index");
    brg__trace_printf(text, ",\"args\":{\"sort_index\":%" PRIu32 "}}", self->source->number);
    write_thread_name(self, UINT16_MAX, "pool");
}

static void writer_done(writer *self)
{
    brg__node *node;
    while ((node = brg__list_pop_front(&self->tasks)) != NULL) {
        write_task *task = brg__container_of(node, write_task, node);
        if (task->batch != NULL && --task->batch->open == 0)
            brg__mfree(task->batch);
        brg__mfree(task);
    }
    brg__mfree(self->by_number.slots);
    brg__mfree(self->tracks);
}

brg_status brg__trace_source_print(brg__trace_text *text, const brg__trace_source *source, const brg__record *records,
                                   size_t count, uint64_t now_ns)
{
    writer self = {.text = text, .source = source, .now_ns = now_ns};
    brg__list_init(&self.tasks);
    for (size_t i = 0; i < count; i++)
        if (records[i].worker_index != UINT16_MAX)
            self.track_count = (uint32_t)brg__max(self.track_count, records[i].worker_index + 1u);
    self.tracks = brg__calloc(self.track_count + 1, sizeof(*self.tracks));
    if (self.tracks == NULL)
        return BRG_NO_MEMORY;
    if (count != 0)
        self.count_every_ns = (now_ns - records[0].time_ns) / 5000;
    writer_name_process(&self);
    for (size_t i = 0; i < count && !self.has_no_memory && text->status == BRG_OK; i++)
        writer_take(&self, &records[i]);
    if (!self.has_no_memory)
        writer_close(&self);
    writer_done(&self);
    return self.has_no_memory ? BRG_NO_MEMORY : text->status;
}
