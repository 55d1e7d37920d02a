/* SPDX-License-Identifier: MIT */
/*
 * Batches: how they fill, wait and leave. How they run and end is in batch_run.c.
 *
 * There is at most one batch that may still grow of each kind, which is what a worker must not see mixed: name,
 * priority, key and tags. It is found by the kind's hash. It goes into the schedule when it is full, when its first
 * member has waited batch_delay_ns, or when nothing new will come; from there on it takes more as long as nobody has
 * taken it, so that a busy pool makes its batches full.
 *
 * A member has its batch in item.link[0] and its place there in item.reserved_2. It is counted as waiting like any
 * other task; the carrier never is. Where there is no memory for a batch, a task goes alone.
 */
#include "pool/batch_state.h"

#include <string.h>

#include "base/random.h"
#include "os/clock.h"
#include "os/memory.h"
#include "pool/observe.h"
#include "worker/batch.h"

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

static uint64_t batch_kind(const brg_task *task)
{
    uint64_t kind = brg_key(task->name) ^ ((uint64_t)task->item.band << 8 | task->item.reserved_1);
    return brg__random_mix(brg__random_mix(kind) + task->item.key);
}

static bool batch_is_kind(const brg__batch *batch, const brg_task *task)
{
    const brg_item *item = &batch->carrier->item;
    return item->key == task->item.key && item->band == task->item.band && batch->lane == task->item.reserved_1 &&
           strcmp(batch->carrier->name, task->name) == 0;
}

static struct brg__batches *batches_of(brg_pool *pool)
{
    if (pool->batches_filling == NULL)
        pool->batches_filling = brg__calloc(1, sizeof(*pool->batches_filling));
    return pool->batches_filling;
}

static bool batches_make_room(brg__table *open)
{
    if (brg__table_has_room(open))
        return true;
    size_t capacity = open->capacity == 0 ? 16 : open->capacity * 2;
    brg__table_slot *slots = brg__calloc(capacity, sizeof(*slots));
    if (slots == NULL)
        return false;
    brg__mfree(brg__table_rehash(open, slots, capacity));
    return true;
}

void brg__batches_free(brg_pool *pool)
{
    if (pool->batches_filling != NULL)
        brg__mfree(pool->batches_filling->open.slots);
    brg__mfree(pool->batches_filling);
    pool->batches_filling = NULL;
}

/* ---- one batch --------------------------------------------------------------------------------------------------- */

/* A carrier as submit fills a task: it is nobody's but the library's, which holds one reference. */
static void batch_fill_carrier(brg__batch *batch, brg_task *carrier, const brg_task *first)
{
    carrier->item.key = first->item.key;
    carrier->item.due_ns = UINT64_MAX;
    carrier->item.since_ns = brg__pool_wants_time(batch->pool) ? brg__now() : 0;
    carrier->item.cost = 0;
    carrier->item.band = first->item.band;
    carrier->item.reserved_1 = first->item.reserved_1;
    carrier->item.reserved_2 = BRG_SEAT_ANY;
    carrier->call = NULL;
    carrier->argument = batch;
    carrier->done = NULL;
    carrier->user_data = NULL;
    carrier->xstate = BRG_TASK_QUEUED;
    carrier->kind = BRG__TASK_CARRIER | BRG__TASK_HANDLE;
    carrier->place = BRG__PLACE_BATCH;
    carrier->cancel_asked = carrier->has_result = false;
    carrier->slot = NULL;
    carrier->input = NULL;
    carrier->input_bytes = 0;
    carrier->ticket = carrier->worker_id = carrier->id = 0;
    carrier->expiry_if_linked = NULL;
    carrier->attempts = carrier->crashes = 0;
    carrier->measured = 0;
    carrier->attempts_max = 1;
    carrier->xreferences = 1;
    carrier->extras = NULL;
    carrier->progress = NULL;
    carrier->submitted_ns = carrier->started_ns = carrier->start_delay_ns = 0;
    carrier->run_timeout_ns = carrier->deadline_ns = carrier->start_by_ns = UINT64_MAX;
    carrier->end_why = BRG_OK;
    carrier->outer = NULL;
    memcpy(carrier->name, first->name, sizeof(carrier->name));
}

static brg__batch *batch_new_locked(brg_pool *pool, struct brg__batches *all, const brg_task *first, uint64_t kind)
{
    brg__batch *batch = brg__calloc(1, sizeof(*batch));
    brg_task *carrier = batch == NULL ? NULL : brg__task_new_locked(pool);
    if (carrier == NULL || !batches_make_room(&all->open)) {
        if (carrier != NULL)
            brg__task_discard(carrier);
        brg__mfree(batch);
        return NULL;
    }
    batch->pool = pool;
    batch->carrier = carrier;
    batch->kind = kind;
    batch->lane = first->item.reserved_1;
    batch_fill_carrier(batch, carrier, first);
    brg__table_put(&all->open, kind, batch);
    batch->is_open = true;
    return batch;
}

void brg__batch_free(brg__batch *batch)
{
    brg__batch_unref(batch->answers);
    brg__mfree(batch->members);
    brg__mfree(batch);
}

void brg__batch_shut_locked(brg__batch *batch)
{
    struct brg__batches *all = batch->pool->batches_filling;
    if (batch->is_open)
        brg__table_remove(&all->open, batch->kind);
    if (brg__heap_is_linked(&batch->ripe))
        brg__heap_remove(&all->ripe, &batch->ripe);
    batch->is_open = false;
}

/* Into the schedule, if it is not there yet. */
static void batch_schedule_locked(brg__batch *batch)
{
    struct brg__batches *all = batch->pool->batches_filling;
    if (brg__heap_is_linked(&batch->ripe))
        brg__heap_remove(&all->ripe, &batch->ripe);
    if (batch->is_scheduled)
        return;
    batch->is_scheduled = true;
    brg__task_schedule_locked(batch->pool, batch->carrier); /* it may be taken, and sent, in here */
}

static void batch_close_locked(brg__batch *batch)
{
    brg__batch_shut_locked(batch);
    batch_schedule_locked(batch);
}

/* It has no member left and nobody has taken it. */
static void batch_dissolve_locked(brg__batch *batch)
{
    brg_task *carrier = batch->carrier;
    brg__batch_shut_locked(batch);
    if (batch->is_scheduled)
        brg__schedule_remove(&batch->pool->schedule, &carrier->item);
    brg__batch_free(batch);
    carrier->argument = NULL;
    brg__task_drop(carrier, NULL);
}

/* ---- members ----------------------------------------------------------------------------------------------------- */

static size_t batch_bytes_of(const brg_pool *pool, const brg_task *task)
{
    return brg__pool_has_processes(pool) ? brg__part_bytes(task->input) : 0;
}

/* Whether the batch may take it, now: it is not too large then, nor later than its place in the schedule says. */
static bool batch_takes(const brg__batch *batch, const brg_task *task)
{
    const brg_pool *pool = batch->pool;
    if (!batch_is_kind(batch, task) || batch->count >= pool->options.batch_size)
        return false;
    if (batch->is_scheduled && task->item.due_ns < batch->carrier->item.due_ns)
        return false;
    return batch->bytes + batch_bytes_of(pool, task) <= pool->options.message_bytes_max;
}

static bool batch_grow(brg__batch *batch)
{
    if (batch->count < batch->capacity)
        return true;
    uint32_t capacity = batch->capacity == 0 ? 8 : batch->capacity * 2;
    brg__batch_member *members = brg__realloc(batch->members, capacity * sizeof(*members));
    if (members == NULL)
        return false;
    batch->members = members;
    batch->capacity = capacity;
    return true;
}

static void batch_put(brg__batch *batch, brg_task *task)
{
    brg_item *item = &batch->carrier->item;
    task->item.link[0] = batch;
    task->item.reserved_2 = batch->count;
    batch->members[batch->count++] = (brg__batch_member){.task = task};
    batch->bytes += batch_bytes_of(batch->pool, task);
    item->cost = (uint16_t)batch->count;
    item->due_ns = brg__min(item->due_ns, task->item.due_ns);
    brg_store_relaxed(&task->place, (uint8_t)BRG__PLACE_BATCH);
}

static void batch_wait_locked(brg_pool *pool, struct brg__batches *all, brg__batch *batch)
{
    uint64_t at = brg__add_saturated(brg__now(), pool->options.batch_delay_ns);
    brg__heap_insert(&all->ripe, &batch->ripe, brg__min(at, UINT64_MAX - 1));
    brg__pool_timer_at(pool, at);
}

void brg__batch_add_locked(brg_pool *pool, brg_task *task)
{
    bool goes_alone = task->goes_alone || task->progress != NULL; /* which is told of one task at a time */
    struct brg__batches *all = goes_alone ? NULL : batches_of(pool);
    uint64_t kind = batch_kind(task);
    brg__batch *batch = all == NULL ? NULL : brg__table_get(&all->open, kind);
    if (batch != NULL && !batch_takes(batch, task)) {
        batch_close_locked(batch);
        batch = NULL;
    }
    if (batch == NULL && all != NULL)
        batch = batch_new_locked(pool, all, task, kind);
    if (batch == NULL || !batch_grow(batch)) {
        if (batch != NULL && batch->count == 0)
            batch_dissolve_locked(batch);
        brg__task_schedule_locked(pool, task);
        return;
    }
    brg__see_task_batched_locked(pool, task, NULL, BRG_OK, 0);
    batch_put(batch, task);
    if (batch->count >= pool->options.batch_size || pool->mode != BRG__POOL_OPEN)
        batch_close_locked(batch);
    else if (batch->count == 1)
        batch_wait_locked(pool, all, batch);
}

void brg__batch_drop_member(brg__batch *batch, uint32_t index)
{
    if (batch->members[index].task != NULL)
        batch->bytes -= batch_bytes_of(batch->pool, batch->members[index].task);
    batch->members[index] = batch->members[--batch->count];
    if (index < batch->count)
        batch->members[index].task->item.reserved_2 = index;
    batch->carrier->item.cost = (uint16_t)batch->count;
}

void brg__batch_remove_locked(brg_pool *pool, brg_task *task)
{
    (void)pool;
    brg__batch *batch = brg__batch_of(task);
    brg__batch_drop_member(batch, task->item.reserved_2);
    if (batch->count == 0)
        batch_dissolve_locked(batch);
}

bool brg__batch_is_taken(const brg_task *task) { return brg__batch_of(task)->is_taken; }
brg_task *brg__batch_carrier(const brg_task *task) { return brg__batch_of(task)->carrier; }

brg_task *brg__batch_close_locked(brg_task *task)
{
    brg_task *carrier = brg__batch_carrier(task);
    batch_close_locked(brg__batch_of(task));
    return carrier;
}

/* ---- ripening ---------------------------------------------------------------------------------------------------- */

/* As batch_schedule_locked, for those that will be taken out again at once. */
static void batch_schedule_quietly_locked(brg_pool *pool, brg__batch *batch)
{
    brg_task *carrier = batch->carrier;
    brg__batch_shut_locked(batch);
    batch->is_scheduled = true;
    brg_store_relaxed(&carrier->place, (uint8_t)BRG__PLACE_QUEUE);
    (void)brg__schedule_put(&pool->schedule, &carrier->item, carrier->item.reserved_1, BRG_SEAT_ANY,
                            carrier->item.since_ns);
}

uint64_t brg__batches_ripen_locked(brg_pool *pool, uint64_t now)
{
    struct brg__batches *all = pool->batches_filling;
    brg__heap_item *item = NULL;
    while (all != NULL && (item = brg__heap_peek(&all->ripe)) != NULL && item->key <= now) {
        brg__batch *batch = brg__container_of(item, brg__batch, ripe);
        if (now == UINT64_MAX)
            batch_schedule_quietly_locked(pool, batch);
        else
            batch_schedule_locked(batch);
    }
    return item == NULL ? UINT64_MAX : item->key;
}

void brg__batches_hurry_locked(brg_pool *pool) { (void)brg__batches_ripen_locked(pool, UINT64_MAX - 1); }
