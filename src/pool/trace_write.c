/* SPDX-License-Identifier: MIT */
/*
 * Records into the Chrome trace event format ("Trace Event Format", Google, 2016), JSON object form.
 *
 * Each pool is a process, each place of a worker a thread of it; thread 0 has what happens to the pool. Numbers of
 * threads differ between pools, since viewers look threads up by number alone. An attempt at a task is a complete event
 * (X) on its worker's thread; those that run inside others nest, as they did. Waiting is an asynchronous event (b, e)
 * of the process, so that waits may overlap. Members of a batch are one slice: they ran as one call. Flows are in
 * trace_flows.c.
 *
 * Records are read once, in order of time. What is missing, because a flight recorder dropped it, is not guessed: an
 * end without its start is left out, a start without an end goes on to the end of the trace.
 */
#include "pool/trace_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "os/memory.h"

/* ---- what is known at a moment ----------------------------------------------------------------------------------- */

static void writer_put(brg__writer *self, brg__write_task *task)
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

static brg__write_task *writer_new(brg__writer *self, const brg__record *record)
{
    brg__write_task *task = brg__calloc(1, sizeof(*task));
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
static brg__write_task *writer_find(brg__writer *self, const brg__record *record)
{
    if (record->task != 0)
        return brg__table_get(&self->by_number, record->task);
    brg__write_track *track = brg__writer_track(self, record->worker_index);
    return track != NULL && track->top != NULL && track->top->record.task == 0 ? track->top : NULL;
}

static void writer_forget(brg__writer *self, brg__write_task *task)
{
    if (task->record.task != 0)
        brg__table_remove(&self->by_number, task->record.task);
    brg__list_remove(&task->node);
    brg__mfree(task);
}

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

/* Takes a task from where it runs; those inside it, whose ends are missing, with it. */
static void task_leave_track(brg__writer *self, brg__write_task *task)
{
    brg__write_track *track = brg__writer_track(self, task->track);
    if (track == NULL)
        return;
    for (brg__write_task **at = &track->top; *at != NULL; at = &(*at)->outer)
        if (*at == task) {
            *at = task->outer;
            break;
        }
    task->outer = NULL;
}

static void task_leave_batch(brg__writer *self, brg__write_task *task, uint64_t until_ns, bool has_run)
{
    task->batch->count -= !has_run;
    if (--task->batch->open == 0) {
        if (task->batch->count != 0)
            brg__write_batch_run(self, task, until_ns);
        brg__mfree(task->batch);
    }
    task->batch = NULL;
}

/* Its attempt ended, or is as good as. */
static void task_stop(brg__writer *self, brg__write_task *task, uint64_t until_ns, const brg__record *end)
{
    if (!task->runs)
        return;
    task->runs = false;
    self->running--;
    brg__write_chunks_end(self, task->track, task->started_ns, until_ns);
    task_leave_track(self, task);
    bool has_run = end == NULL || end->type != BRG_EVENT_TASK_UNSTARTED;
    if (task->batch != NULL)
        task_leave_batch(self, task, until_ns, has_run);
    else if (has_run)
        brg__write_run(self, task, until_ns, end);
}

static void task_submitted(brg__writer *self, const brg__record *record)
{
    if (record->task == 0)
        return;
    brg__write_task *task = writer_new(self, record);
    if (task == NULL)
        return;
    task->since_ns = record->time_ns;
    task->waits = true;
    self->waiting++;
}

/* One call runs them all: the first that starts makes it. */
static void task_join_batch(brg__writer *self, brg__write_task *task)
{
    brg__write_track *track = brg__writer_track(self, task->track);
    brg__write_task *other = track == NULL ? NULL : track->top;
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

static void task_started(brg__writer *self, const brg__record *record)
{
    brg__write_task *task = record->task == 0 ? NULL : writer_find(self, record);
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
        brg__write_wait(self, task, record->time_ns);
        task->waited_ns = record->time_ns - task->since_ns;
    }
    task->waits = false;
    task->runs = true;
    self->running++;
    if (record->batch != 0)
        task_join_batch(self, task);
    brg__write_track *track = brg__writer_track(self, task->track);
    if (track != NULL) {
        task->outer = track->top;
        track->top = task;
    }
}

static void task_ended(brg__writer *self, const brg__record *record)
{
    brg__write_task *task = writer_find(self, record);
    if (task == NULL)
        return;
    bool ran = task->runs;
    uint32_t track = ran ? task->track : UINT16_MAX;
    task_stop(self, task, record->time_ns, record);
    if (record->type != BRG_EVENT_TASK_SETTLED) {
        if (record->type == BRG_EVENT_TASK_RETRIED)
            brg__write_instant(self, record, track, "retried");
        if (ran)
            task->since_ns = record->time_ns;
        self->waiting += !task->waits;
        task->waits = true;
        return;
    }
    if (task->waits) {
        self->waiting--;
        brg__write_wait(self, task, record->time_ns);
    }
    if (record->status != BRG_OK)
        brg__write_instant(self, record, track, brg_status_name((brg_status)record->status));
    writer_forget(self, task);
}

static void task_asked(brg__writer *self, const brg__record *record)
{
    const brg__write_task *task = writer_find(self, record);
    uint32_t track = task != NULL && task->runs ? task->track : record->worker_index;
    brg__write_instant(self, record, track, record->type == BRG_EVENT_TASK_OVERDUE ? "overdue" : "cancel asked");
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

static void worker_event(brg__writer *self, const brg__record *record)
{
    brg__write_track *track = brg__writer_track(self, record->worker_index);
    if (track == NULL)
        return;
    if (record->type == BRG_EVENT_WORKER_STARTING) {
        track->starting_ns = record->time_ns;
        return;
    }
    if (record->type == BRG_EVENT_WORKER_ONLINE && track->starting_ns != 0) {
        brg__trace_event(self->text, 'X', self->source->number, brg__writer_tid(self, record->worker_index),
                         "starting");
        brg__trace_time(self->text, "ts", track->starting_ns);
        brg__trace_time(self->text, "dur", record->time_ns - track->starting_ns);
        brg__trace_printf(self->text, ",\"cat\":\"worker\",\"args\":{\"worker\":%" PRIu64 "}}", record->worker_id);
        track->starting_ns = 0;
        return;
    }
    if (record->type == BRG_EVENT_WORKER_ENDED)
        brg__write_chunks_end(self, record->worker_index, 0, record->time_ns);
    brg__write_instant(self, record, record->worker_index, brg_event_name((brg_event_type)record->type));
}

static void writer_take(brg__writer *self, const brg__record *record)
{
    if (record->worker_index != UINT16_MAX)
        brg__write_worker_name(self, record->worker_index);
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
    case BRG_EVENT_FLOW_STARTED:
    case BRG_EVENT_FLOW_ENDED:
    case BRG_EVENT_CHUNK_STARTED:
    case BRG_EVENT_CHUNK_UNSTARTED:
    case BRG_EVENT_CHUNK_ENDED:
        brg__write_flow_event(self, record);
        break;
    default:
        if (record->worker_index != UINT16_MAX)
            worker_event(self, record);
        else
            brg__write_instant(self, record, UINT16_MAX, brg_event_name((brg_event_type)record->type));
    }
    if (record->type <= BRG_EVENT_TASK_SETTLED)
        brg__write_counts(self, record->time_ns, false);
}

/* What has not ended, as far as it is. */
static void writer_close(brg__writer *self)
{
    uint64_t waiting = self->waiting, running = self->running;
    brg__list_for_each(node, &self->tasks) {
        brg__write_task *task = brg__container_of(node, brg__write_task, node);
        task_stop(self, task, self->now_ns, NULL);
        if (task->waits)
            brg__write_wait(self, task, self->now_ns);
    }
    brg__write_flows_close(self);
    self->waiting = waiting;
    self->running = running;
    brg__write_counts(self, self->now_ns, true);
}

static void writer_name_process(brg__writer *self)
{
    brg__trace_text *text = self->text;
    char name[96];
    snprintf(name, sizeof(name), "pool %s", self->source->name);
    brg__trace_event(text, 'M', self->source->number, brg__writer_tid(self, UINT16_MAX), "process_name");
    brg__trace_put(text, ",\"args\":{\"name\":", 16);
    brg__trace_string(text, name);
    brg__trace_put(text, "}}", 2);
    brg__trace_event(text, 'M', self->source->number, brg__writer_tid(self, UINT16_MAX), "process_labels");
    brg__trace_printf(text, ",\"args\":{\"labels\":\"%s workers\"}}",
                      self->source->has_processes ? "process" : "thread");
    brg__trace_event(text, 'M', self->source->number, brg__writer_tid(self, UINT16_MAX), "process_sort_index");
    brg__trace_printf(text, ",\"args\":{\"sort_index\":%" PRIu32 "}}", self->source->number);
    brg__write_thread_name(self, UINT16_MAX, "pool");
}

static void writer_done(brg__writer *self)
{
    brg__node *node;
    while ((node = brg__list_pop_front(&self->tasks)) != NULL) {
        brg__write_task *task = brg__container_of(node, brg__write_task, node);
        if (task->batch != NULL && --task->batch->open == 0)
            brg__mfree(task->batch);
        brg__mfree(task);
    }
    brg__write_flows_done(self);
    brg__mfree(self->by_number.slots);
    brg__mfree(self->tracks);
}

brg_status brg__trace_source_print(brg__trace_text *text, const brg__trace_source *source, const brg__record *records,
                                   size_t count, uint64_t now_ns)
{
    brg__writer self = {.text = text, .source = source, .now_ns = now_ns};
    brg__list_init(&self.tasks);
    brg__list_init(&self.flows);
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
