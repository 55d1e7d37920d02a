/* SPDX-License-Identifier: MIT */
/*
 * Batches that a worker has: taken, put back, run and ended.
 *
 * A member of a taken batch is out of the counts, and settles when the batch is through: with its own answer, or, if it
 * has none, with the end of the batch. What ended a whole batch is not every member's fault, so those without an answer
 * that are worth another attempt get it alone. That counts as a worker they ended, but never as the last one before
 * they are poison: only one that ends its worker alone is. When the batch ran out of the time of one of them, the
 * others have not used theirs: they run again as if they had not, or are cancelled where the pool was stopped since.
 */
#include <string.h>

#include "os/clock.h"
#include "os/memory.h"
#include "pool/batch_state.h"
#include "pool/metrics.h"
#include "pool/observe.h"
#include "worker/batch.h"

/* ---- taken and put back ------------------------------------------------------------------------------------------ */

/* The least of its members' times. */
static void batch_set_clock(brg__batch *batch)
{
    brg_task *carrier = batch->carrier;
    carrier->kind &= (uint8_t)~BRG__TASK_CLOCK;
    carrier->heartbeat_ns = 0;
    carrier->run_timeout_ns = carrier->deadline_ns = carrier->start_by_ns = UINT64_MAX;
    carrier->submitted_ns = UINT64_MAX;
    for (uint32_t i = 0; i < batch->count; i++) {
        const brg_task *task = batch->members[i].task;
        if (!brg__task_is(task, BRG__TASK_CLOCK))
            continue;
        carrier->kind |= BRG__TASK_CLOCK;
        carrier->heartbeat_ns = brg__max(carrier->heartbeat_ns, task->heartbeat_ns);
        carrier->run_timeout_ns = brg__min(carrier->run_timeout_ns, task->run_timeout_ns);
        carrier->deadline_ns = brg__min(carrier->deadline_ns, task->deadline_ns);
        carrier->submitted_ns = brg__min(carrier->submitted_ns, task->submitted_ns);
        if (task->attempts == 0)
            carrier->start_by_ns = brg__min(carrier->start_by_ns, task->start_by_ns);
    }
}

void brg__batch_taken_locked(brg_pool *pool, brg_task *carrier)
{
    brg__batch *batch = carrier->argument;
    brg__batch_shut_locked(batch);
    batch->is_taken = true;
    batch_set_clock(batch);
    for (uint32_t i = 0; i < batch->count; i++) {
        brg__see_task_taken_locked(pool, batch->members[i].task, NULL, BRG_OK, 0);
        brg__pool_uncount_locked(pool, batch->members[i].task);
    }
}

/* Running to queued, whoever waits for it meanwhile. */
static void batch_unstart(brg_task *task)
{
    brg__see_task_unstarted_locked(task->pool, task, task->slot, BRG_OK, 0);
    uint32_t state = brg_load_relaxed(&task->xstate);
    while (!brg_cas_acq_rel(&task->xstate, &state, (state & ~BRG__TASK_STATE_MASK) | (uint32_t)BRG_TASK_QUEUED))
        ;
    task->attempts--;
    task->slot = NULL;
}

void brg__batch_put_back_locked(brg_pool *pool, brg_task *carrier)
{
    brg__batch *batch = carrier->argument;
    for (uint32_t i = batch->count; i > 0; i--) { /* the last takes the place of one that goes */
        brg__batch_member *member = &batch->members[i - 1];
        brg_task *task = member->task;
        if (task != NULL && batch->is_started)
            batch_unstart(task);
        if (task != NULL && !member->cancelled)
            continue;
        brg__batch_drop_member(batch, i - 1);
        if (task != NULL)
            brg__task_settle_plain(task, BRG_CANCELLED, "the task was cancelled before it started");
    }
    if (batch->is_started)
        pool->batches--;
    batch->is_taken = batch->is_started = false;
    batch->cancelled = 0;
    brg__batch_unref(batch->answers);
    batch->answers = NULL;
    for (uint32_t i = 0; i < batch->count; i++) {
        brg__see_task_put_back_locked(pool, batch->members[i].task, NULL, BRG_OK, 0);
        brg__pool_count_locked(pool, batch->members[i].task);
    }
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

void brg__batch_started_locked(brg_task *carrier)
{
    brg__batch *batch = carrier->argument;
    batch->is_started = true;
    batch->pool->batches++;
    if (!brg__task_is(carrier, BRG__TASK_CLOCK))
        carrier->started_ns = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        brg_task *task = batch->members[i].task;
        if (task == NULL)
            continue;
        brg_or_acq_rel(&task->xstate, (uint32_t)BRG_TASK_RUNNING);
        task->attempts++;
        task->started_ns = carrier->started_ns;
        if (brg__task_is_sampled(task) && task->started_ns == 0)
            task->started_ns = carrier->started_ns = brg__now();
        task->slot = carrier->slot;
        brg__see_started_in_batch_locked(batch->pool, task, carrier->slot, batch->pool->batches);
    }
}

void brg__batch_begin(brg_context *context, brg_task *carrier, brg__outcome *outcome)
{
    brg__batch *batch = carrier->argument;
    brg_batch *run = brg__batch_new(context, carrier->name, strlen(carrier->name), batch->count);
    brg__pool_lock(batch->pool);
    brg__batch_started_locked(carrier);
    for (uint32_t i = 0; run != NULL && i < batch->count; i++) {
        const brg__batch_member *member = &batch->members[i];
        if (!member->cancelled)
            brg__batch_add(run, member->task->input == NULL ? NULL : brg_value_ref(member->task->input), i);
    }
    batch->answers = run == NULL ? NULL : brg__batch_ref(run);
    brg__pool_unlock(batch->pool);
    outcome->batch = run;
    outcome->batch_bytes_max = batch->pool->options.message_bytes_max;
}

brg_status brg__batch_run(brg_context *context, brg__outcome *outcome)
{
    if (outcome->batch == NULL)
        return brg__error_memory(&context->failure, "a batch");
    brg_status status = brg__batch_run_named(outcome->batch);
    brg__batch_check_outputs(outcome->batch, outcome->batch_bytes_max);
    return status;
}

/* ---- process workers --------------------------------------------------------------------------------------------- */

bool brg__batch_has_movables(const brg_task *carrier)
{
    const brg__batch *batch = carrier->argument;
    for (uint32_t i = 0; i < batch->count; i++) {
        const brg_task *task = batch->members[i].task;
        if (task->input != NULL && brg__value_has_movables(task->input))
            return true;
    }
    return false;
}

static void batch_settle_unsent(brg__batch *batch, const brg__part *parts)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        brg_task *task = batch->members[i].task;
        if (parts[i].status == BRG_OK)
            continue;
        batch->members[i].task = NULL;
        batch->cancelled++;
        brg__task_settle_plain(task, parts[i].status,
                               parts[i].status == BRG_NO_MEMORY ? "no memory to hand the task to a worker"
                                                                : "the input cannot go to a process");
    }
}

brg_status brg__batch_send_locked(brg__slot *slot, brg_task *carrier, uint64_t ticket, brg__sent *sent)
{
    brg__batch *batch = carrier->argument;
    brg__part *parts = brg__calloc(batch->count + 1, sizeof(*parts)); /* it may be empty */
    brg_batch *answers = brg__batch_new(NULL, "", 0, batch->count);
    brg_status status = BRG_NO_MEMORY;
    if (parts != NULL && answers != NULL) {
        for (uint32_t i = 0; i < batch->count; i++) {
            parts[i].input = batch->members[i].task->input;
            brg__batch_add(answers, NULL, i);
        }
        status = brg__process_send_batch(slot->worker, ticket, carrier->name, parts, batch->count, sent);
    }
    if (status == BRG_OK) {
        batch->answers = brg__batch_ref(answers);
        batch_settle_unsent(batch, parts);
    }
    brg__batch_unref(answers);
    brg__mfree(parts);
    return status;
}

bool brg__batch_answer_locked(brg_task *carrier, brg__task_reply *reply)
{
    if (!brg__task_is(carrier, BRG__TASK_CARRIER))
        return false;
    const brg__batch *batch = carrier->argument;
    brg__batch_entry *entry = batch->answers == NULL ? NULL : brg__batch_part(batch->answers, reply->part - 1);
    if (entry == NULL || entry->answered || batch->members[entry->part].task == NULL)
        return false;
    entry->answered = true;
    entry->status = reply->status;
    entry->output = reply->output;
    entry->detail = reply->detail;
    entry->error = reply->error;
    reply->output = reply->detail = NULL;
    reply->error = NULL;
    return true;
}

/* ---- cancels ----------------------------------------------------------------------------------------------------- */

void brg__batch_cancel_locked(brg_task *task)
{
    brg__batch *batch = brg__batch_of(task);
    brg_task *carrier = batch->carrier;
    uint32_t index = task->item.reserved_2;
    if (batch->members[index].cancelled)
        return;
    batch->members[index].cancelled = true;
    batch->cancelled++;
    brg__batch_entry *entry = batch->answers == NULL ? NULL : brg__batch_part(batch->answers, index);
    if (!brg__pool_has_processes(batch->pool)) {
        if (entry != NULL)
            brg_store_relaxed(&entry->xcancelled, 1u);
    } else if (carrier->slot != NULL && carrier->slot->worker != NULL && entry != NULL) {
        brg__process_cancel_part(carrier->slot->worker, carrier->ticket, index);
    }
    if (batch->cancelled == batch->count)
        (void)brg__task_cancel_locked(carrier); /* which may be the end of it */
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

typedef struct batch_end {
    brg__batch *batch;
    const brg__outcome *outcome;
    brg__settled *counts;
    brg__slot *slot; /* NULL: under the lock */
    uint64_t now;
    bool was_late;   /* the time of one of its members is over */
    bool is_stopped; /* its pool is: nobody runs again */
} batch_end;

/* Its own time is over. */
static bool end_is_late(const batch_end *end, const brg_task *task)
{
    return brg__task_is(task, BRG__TASK_CLOCK) &&
           end->now >= brg__min(task->deadline_ns, brg__add_saturated(task->started_ns, task->run_timeout_ns));
}

static void end_look_late(batch_end *end)
{
    end->now = brg__now();
    for (uint32_t i = 0; end->outcome->status == BRG_TIMED_OUT && i < end->batch->count; i++) {
        const brg_task *task = end->batch->members[i].task;
        end->was_late = end->was_late || (task != NULL && end_is_late(end, task));
    }
}

static bool end_is_crash(brg_status status)
{
    return status == BRG_CRASHED || status == BRG_EXITED || status == BRG_PROTOCOL || status == BRG_NO_MEMORY;
}

static brg__batch_entry *end_entry(const batch_end *end, uint32_t index)
{
    brg_batch *answers = end->outcome->batch;
    if (answers == NULL && brg__pool_has_processes(end->batch->pool))
        answers = end->batch->answers;
    brg__batch_entry *entry = answers == NULL ? NULL : brg__batch_part(answers, index);
    return entry == NULL || !entry->answered ? NULL : entry;
}

/* Whether the member, which has no answer, gets another attempt; alone. Lock held. */
static bool end_retries_alone_locked(const batch_end *end, brg_task *task)
{
    brg_pool *pool = end->batch->pool;
    brg_status status = end->outcome->status;
    if (status == BRG_TIMED_OUT && end->was_late && !end_is_late(end, task) && !task->cancel_asked &&
        pool->mode < BRG__POOL_STOP && brg__task_can_run_again(task)) {
        brg__see_task_unstarted_locked(pool, task, task->slot, BRG_OK, 0);
        task->attempts--;
        task->goes_alone = true;
        brg__task_again_locked(task);
        return true;
    }
    if (end_is_crash(status) && task->crashes + 1u < pool->options.crash_limit)
        task->crashes++;
    if (!brg__task_may_retry(task, status))
        return false;
    task->goes_alone = true;
    brg__task_retry_locked(task, status, end->counts);
    return true;
}

/* Whether the member goes back. Lock held. */
static bool end_retries_locked(const batch_end *end, uint32_t index)
{
    brg_task *task = end->batch->members[index].task;
    const brg__batch_entry *entry = end_entry(end, index);
    if (!end->batch->is_started || task->cancel_asked)
        return false;
    if (entry == NULL)
        return end->outcome->status != BRG_OK && end_retries_alone_locked(end, task);
    if (entry->status == BRG_OK || !brg__task_may_retry(task, entry->status))
        return false;
    task->goes_alone = true; /* a batch has no number of the attempt */
    brg__task_retry_locked(task, entry->status, end->counts);
    return true;
}

/* Its batch ran out of another's time, and only the pool's end keeps it from running again. */
static bool end_is_stopped(const batch_end *end, const brg_task *task)
{
    return end->outcome->status == BRG_TIMED_OUT && end->was_late && end->is_stopped && !end_is_late(end, task);
}

static void end_settle(const batch_end *end, uint32_t index)
{
    brg_task *task = end->batch->members[index].task;
    brg__batch_entry *entry = end_entry(end, index);
    brg__outcome outcome = {.status = end->outcome->status,
                            .error = end->outcome->error,
                            .worker_id = end->outcome->worker_id,
                            .run_ns = end->outcome->run_ns};
    if (brg__task_is_sampled(task) && outcome.run_ns == 0)
        outcome.run_ns = end->now - task->started_ns;
    bool succeeded = entry != NULL && entry->status == BRG_OK;
    if (!succeeded && end->batch->members[index].cancelled) {
        outcome.status = BRG_CANCELLED;
        outcome.error = end->outcome->status == BRG_CANCELLED ? end->outcome->error : NULL;
    } else if (entry != NULL) {
        outcome.status = entry->status;
        outcome.error = entry->error;
        outcome.output = succeeded ? entry->output : NULL;
        outcome.detail = entry->detail;
        entry->output = succeeded ? NULL : entry->output;
        entry->detail = NULL;
    } else if (end_is_stopped(end, task)) {
        outcome.status = BRG_CANCELLED;
        outcome.error = NULL;
    } else if (end->outcome->detail != NULL) {
        outcome.detail = brg_value_ref(end->outcome->detail);
    }
    brg__task_settle(task, &outcome, end->counts, end->slot);
}

/* Its members are nobody's any more but ours: who looks at one sees one that runs, and nothing to ask. */
static void end_detach_locked(batch_end *end)
{
    brg__batch *batch = end->batch;
    end->is_stopped = batch->pool->mode >= BRG__POOL_STOP;
    for (uint32_t i = 0; i < batch->count; i++) {
        brg_task *task = batch->members[i].task;
        if (task == NULL)
            continue;
        if (end_retries_locked(end, i)) {
            batch->members[i].task = NULL;
            continue;
        }
        batch->members[i].cancelled = task->cancel_asked;
        brg_store_relaxed(&task->place, (uint8_t)BRG__PLACE_HAND);
        task->slot = NULL;
    }
}

void brg__batch_ended(brg_task *carrier, const brg__outcome *outcome, bool has_lock)
{
    brg__batch *batch = carrier->argument;
    brg_pool *pool = batch->pool;
    batch_end end = {.batch = batch,
                     .outcome = outcome,
                     .counts = has_lock ? &pool->settled : &carrier->slot->xsettled,
                     .slot = has_lock ? NULL : carrier->slot};
    if (!has_lock)
        brg__pool_lock(pool);
    carrier->argument = NULL;
    brg__batch_shut_locked(batch);
    end_look_late(&end);
    end_detach_locked(&end);
    if (!has_lock)
        brg__pool_unlock(pool);
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->members[i].task != NULL)
            end_settle(&end, i);
    brg__batch_free(batch);
}
