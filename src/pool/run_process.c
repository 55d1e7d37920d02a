/* SPDX-License-Identifier: MIT */
/*
 * Tasks on process workers: the owner's side sends them.
 *
 * A slot keeps the tasks it sent in order. The first runs, as far as we know; the others wait in the worker's ring so
 * that it never waits for us: as many as run in AHEAD_NS by the running average, one when tasks are long. Each carries
 * a claim word in the ring, swapped by whoever is first, the worker that starts it or we who take it back: for a
 * cancel, when the worker died, or when the first turned out to be long while others are idle. So a death costs one
 * task, and nobody waits behind a long one.
 *
 * Replies come under the worker's pump lock, on the supervisor or on a thread that waits for its task.
 */
#include <string.h>

#include "os/clock.h"
#include "os/memory.h"
#include "pool/batch.h"
#include "pool/metrics.h"
#include "pool/observe.h"
#include "pool/pool.h"
#include "pool/progress.h"

#define AHEAD_NS 200000
#define STRANDS_AHEAD 2                   /* strands a worker has in its ring, of which none are learned from */
#define AHEAD_LOOK_NS BRG_MILLISECONDS(2) /* a first task this long may have kept others waiting */

static brg__ahead *ahead_at(brg__slot *slot, uint32_t index)
{
    return &slot->ahead[(slot->ahead_first + index) % BRG__AHEAD_MAX];
}

/* Drops taken-back entries in front. */
static void ahead_skip(brg__slot *slot)
{
    while (slot->ahead_count > 0 && ahead_at(slot, 0)->task == NULL) {
        slot->ahead_first = (slot->ahead_first + 1) % BRG__AHEAD_MAX;
        slot->ahead_count--;
    }
}

brg_task *brg__slot_head_locked(brg__slot *slot)
{
    ahead_skip(slot);
    return slot->ahead_count == 0 ? NULL : ahead_at(slot, 0)->task;
}

/*
 * The task may have run for a while, unseen, behind one whose answer was on its way: what it was asked then may have
 * been overwritten by what the other was asked, and a kill did not count it among the running ones.
 */
static void process_ask_head_again_locked(brg__slot *slot, brg_task *task)
{
    brg_status why = ahead_at(slot, 0)->end_why;
    if (why == BRG_OK && slot->pool->mode >= BRG__POOL_KILL)
        why = BRG_CANCELLED;
    if (why != BRG_OK && !slot->ending)
        brg__slot_ask_end_locked(slot, task->ticket, why);
}

/* The first in line is the one that runs: its clocks start. */
static void process_start_head_locked(brg__slot *slot)
{
    brg_pool *pool = slot->pool;
    brg_task *task = brg__slot_head_locked(slot);
    brg_store_relaxed(&slot->xticket, task == NULL ? (uint64_t)0 : task->ticket);
    if (task != NULL)
        process_ask_head_again_locked(slot, task);
    if (task == NULL || (brg_load_relaxed(&task->xstate) & BRG__TASK_STATE_MASK) != BRG_TASK_QUEUED)
        return;
    brg_or_acq_rel(&task->xstate, (uint32_t)BRG_TASK_RUNNING);
    task->attempts++;
    uint64_t deadline = UINT64_MAX, now = 0;
    if (brg__task_is(task, BRG__TASK_CLOCK)) {
        now = task->started_ns = brg__now();
        deadline = brg__min(task->deadline_ns, brg__add_saturated(now, task->run_timeout_ns));
    } else if (brg__task_is_sampled(task)) {
        now = task->started_ns = brg__now();
    }
    if (BRG__UNLIKELY(brg__task_is(task, BRG__TASK_CARRIER)))
        brg__batch_started_locked(task);
    brg__see_started(pool, NULL, task, slot, slot->worker->id);
    brg__see_chunk_locked(task, slot, BRG_EVENT_CHUNK_STARTED, BRG_OK, 0);
    slot->xdeadline = deadline;
    if (brg__task_is_watched(task))
        deadline = brg__min(deadline, brg__heartbeat_begin(slot, task, now));
    brg__pool_timer_at(pool, deadline);
    if (slot->ahead_count > 1) {
        slot->ahead_since = now != 0 ? now : brg__now();
        brg__pool_timer_at(pool, slot->ahead_since + AHEAD_LOOK_NS);
    }
}

/* What it has changed. */
static void process_idle_locked(brg__slot *slot)
{
    brg__seat_hold(&slot->seat, slot->ahead_count);
    brg__slot_set_idle_locked(slot, slot->online && !slot->ending && !slot->retiring && slot->xparked == 0 &&
                                        slot->ahead_count == 0 && !slot->is_stuffed);
}

/* No reply will come that makes it look again: the timer does. */
static void process_stuffed_locked(brg__slot *slot)
{
    slot->is_stuffed = true;
    brg__pool_timer_at(slot->pool, brg__now() + AHEAD_LOOK_NS);
}

/* How many tasks the slot should have. */
static uint32_t process_depth_locked(const brg_pool *pool, brg__slot *slot)
{
    const brg_task *last = slot->ahead_count == 0 ? NULL : ahead_at(slot, slot->ahead_count - 1)->task;
    if (BRG__UNLIKELY(last != NULL && brg__task_is_strand(last)))
        return (uint32_t)brg__max(slot->ahead_count, STRANDS_AHEAD);
    if (BRG__UNLIKELY(last != NULL && brg__task_is(last, BRG__TASK_INTERNAL)))
        return slot->ahead_count; /* whether it gets more depends on how that one ends */
    if (BRG__UNLIKELY(last == NULL && slot->ahead_count != 0))
        return slot->ahead_count; /* those behind the first were taken back: nobody is to wait there again */
    uint64_t fits = brg__min(AHEAD_NS / (pool->run_ewma_ns + 500) + 1, brg__slot_left_locked(slot));
    uint32_t portion = brg__schedule_portion(&pool->schedule, &slot->seat, BRG__AHEAD_MAX);
    return (uint32_t)brg__min(brg__min(fits, BRG__AHEAD_MAX), slot->ahead_count + portion);
}

static bool process_has_movables(const brg_task *task)
{
    if (BRG__UNLIKELY(brg__task_is(task, BRG__TASK_CARRIER)))
        return brg__batch_has_movables(task);
    return task->input != NULL && brg__value_has_movables(task->input);
}

static brg_status process_hand_over_locked(brg__slot *slot, brg_task *task, brg__ahead *ahead)
{
    if (BRG__UNLIKELY(brg__task_is(task, BRG__TASK_CARRIER)))
        return brg__batch_send_locked(slot, task, ahead->ticket, &ahead->sent);
    return brg__process_send_task(slot->worker, ahead->ticket, task->attempts + 1, brg__progress_window(task->progress),
                                  task->name, task->input, &ahead->sent);
}

/* Sends one; false when it does not fit now. */
static bool process_send_locked(brg__slot *slot, brg_task *task)
{
    brg_pool *pool = slot->pool;
    if (slot->ahead_count > 0 && process_has_movables(task)) {
        brg__task_put_back_locked(pool, task); /* it could not be taken back: it goes to an idle worker */
        return false;
    }
    brg__ahead *ahead = ahead_at(slot, slot->ahead_count);
    ahead->ticket = ++pool->tickets;
    ahead->end_why = BRG_OK;
    brg_status status = process_hand_over_locked(slot, task, ahead);
    if (status == BRG_FULL || status == BRG_CLOSED) { /* closed: it ends, as the pool will hear */
        brg__task_put_back_locked(pool, task);
        if (BRG__UNLIKELY(status == BRG_FULL && brg__slot_head_locked(slot) == NULL))
            process_stuffed_locked(slot);
        return false;
    }
    if (status != BRG_OK) {
        brg__task_settle_plain(task, status,
                               status == BRG_TOO_LARGE   ? "the input does not fit a worker's ring"
                               : status == BRG_NO_MEMORY ? "no memory to hand the task to a worker"
                                                         : "the input cannot go to a process");
        brg__pool_room_locked(pool);
        brg__pool_check_idle_locked(pool);
        return status != BRG_PROTOCOL;
    }
    ahead->task = task;
    task->slot = slot;
    task->ticket = ahead->ticket;
    brg_store_relaxed(&task->place, (uint8_t)BRG__PLACE_AHEAD);
    slot->ahead_count++;
    return true;
}

/* There were `before` tasks, the first of which had begun: for how long those that came wait behind it is looked at. */
static void process_look_behind_locked(brg__slot *slot, uint32_t before)
{
    if (before == 0 || slot->ahead_count < 2)
        return;
    if (before == 1)
        slot->ahead_since = brg__now();
    brg__pool_timer_at(slot->pool, slot->ahead_since + AHEAD_LOOK_NS);
}

void brg__slot_feed_locked(brg__slot *slot)
{
    brg_pool *pool = slot->pool;
    if (slot->worker == NULL || (!slot->online && slot->warming == 0) || slot->ending || slot->retiring)
        return;
    if (BRG__UNLIKELY(brg__slot_is_due_locked(slot))) { /* to be replaced: once it has done what it has */
        if (slot->ahead_count == 0)
            brg__slot_recycle_locked(slot);
        return;
    }
    if (BRG__UNLIKELY(brg__slot_must_park_locked(slot))) { /* likewise */
        if (slot->ahead_count != 0)
            return;
        brg__slot_park_locked(slot);
    }
    uint32_t depth = process_depth_locked(pool, slot), before = slot->ahead_count;
    slot->is_stuffed = false;
    while (slot->ahead_count < depth) {
        brg_task *task = brg__task_take_locked(pool, slot);
        bool is_strand = task != NULL && brg__task_is_strand(task);
        bool is_last = task == NULL ||
                       (is_strand ? slot->ahead_count + 1 >= STRANDS_AHEAD : brg__task_is(task, BRG__TASK_INTERNAL));
        if (task == NULL || !process_send_locked(slot, task) || is_last)
            break;
    }
    if (slot->ahead_count != before) {
        process_start_head_locked(slot);
        process_look_behind_locked(slot, before);
        brg__process_publish(slot->worker);
        brg__pool_room_locked(pool);
    }
    process_idle_locked(slot);
}

void brg__slot_recall_locked(brg__slot *slot)
{
    for (uint32_t i = slot->ahead_count; i > 0; i--) { /* back to front, so that their order stays */
        brg__ahead *ahead = ahead_at(slot, i - 1);
        brg_task *task = ahead->task;
        if (task == NULL || !brg__process_recall(slot->worker, &ahead->sent))
            continue;
        ahead->task = NULL;
        if ((brg_load_relaxed(&task->xstate) & BRG__TASK_STATE_MASK) ==
            BRG_TASK_RUNNING) { /* the first, which had not started */
            brg__see_task_unstarted_locked(slot->pool, task, slot, BRG_OK, 0);
            brg__see_chunk_locked(task, slot, BRG_EVENT_CHUNK_UNSTARTED, BRG_OK, 0);
            task->attempts--;
            uint32_t state = brg_load_relaxed(&task->xstate);
            while (!brg_cas_acq_rel(&task->xstate, &state, state & ~(uint32_t)BRG_TASK_RUNNING))
                ;
        }
        task->slot = NULL;
        brg__task_put_back_locked(slot->pool, task);
    }
    process_start_head_locked(slot);
    process_idle_locked(slot);
}

bool brg__slot_take_back_locked(brg__slot *slot, brg_task *task)
{
    for (uint32_t i = 0; i < slot->ahead_count; i++) {
        brg__ahead *ahead = ahead_at(slot, i);
        if (ahead->task != task)
            continue;
        if (!brg__process_recall(slot->worker, &ahead->sent))
            return false;
        ahead->task = NULL;
        process_start_head_locked(slot);
        brg__slot_feed_locked(slot);
        return true;
    }
    return false;
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */

static void process_settle_locked(brg__slot *slot, brg_task *task, brg_status end_why, brg__task_reply *reply)
{
    brg__outcome outcome = {.status = reply->status,
                            .output = reply->output,
                            .detail = reply->detail,
                            .error = reply->error,
                            .worker_id = slot->worker->id,
                            .run_ns = brg__task_is_timed(task) ? reply->run_ns : 0};
    reply->output = reply->detail = NULL;
    if (end_why == BRG_TIMED_OUT || (end_why != BRG_OK && outcome.status != BRG_OK)) { /* it was asked to end */
        outcome.status = end_why;
        outcome.error = brg__heartbeat_error(slot, task->ticket, outcome.status);
        brg_value_unref(outcome.output);
        outcome.output = NULL;
    }
    if (slot->kill_ticket == task->ticket) {
        slot->kill_ticket = 0;
        slot->kill_at = UINT64_MAX;
    }
    if (outcome.status != BRG_OK && brg__task_may_retry(task, outcome.status)) {
        brg_value_unref(outcome.output);
        brg_value_unref(outcome.detail);
        brg__task_retry_locked(task, outcome.status, &slot->xsettled);
        return;
    }
    brg__task_settle(task, &outcome, &slot->xsettled, NULL);
}

static bool process_reply(void *owner, brg_worker *worker, brg__task_reply *reply)
{
    brg_pool *pool = owner;
    brg__slot *slot = worker->slot;
    brg__pool_lock(pool);
    brg_task *task = slot->worker == worker ? brg__slot_head_locked(slot) : NULL;
    bool asked = task != NULL && ahead_at(slot, 0)->ticket == reply->ticket;
    if (BRG__UNLIKELY(reply->part != 0)) {
        asked = asked && brg__batch_answer_locked(task, reply);
    } else if (asked) {
        brg_status end_why = ahead_at(slot, 0)->end_why;
        slot->ahead_first = (slot->ahead_first + 1) % BRG__AHEAD_MAX;
        slot->ahead_count--;
        uint64_t run = brg__min(reply->run_ns, BRG_SECONDS(60));
        if (BRG__LIKELY(!brg__task_is(task, BRG__TASK_INTERNAL)))
            pool->run_ewma_ns = pool->run_ewma_ns - pool->run_ewma_ns / 8 + run / 8;
        process_settle_locked(slot, task, end_why, reply);
        process_start_head_locked(slot);
        if (slot->ahead_count <= BRG__AHEAD_MAX / 2 || pool->schedule.xready == 0)
            brg__slot_feed_locked(slot);
        brg__pool_check_idle_locked(pool);
    }
    brg__pool_unlock(pool);
    return asked;
}

static brg_status process_progress(void *owner, brg_worker *worker, uint64_t ticket, brg_value *value)
{
    brg_pool *pool = owner;
    brg__slot *slot = worker->slot;
    brg_status status = BRG_PROTOCOL;
    brg__pool_lock(pool);
    brg_task *task = slot->worker == worker ? brg__slot_head_locked(slot) : NULL;
    if (task != NULL && task->progress != NULL && task->ticket == ticket)
        status = brg__progress_receive_locked(task->progress, worker, ticket, value);
    brg__pool_unlock(pool);
    return status;
}

const brg__source brg__source_process = {.reply = process_reply,
                                         .progress = process_progress,
                                         .started = brg__pool_started,
                                         .ended = brg__pool_ended,
                                         .heritage = brg__pool_heritage,
                                         .place = brg__pool_place};
