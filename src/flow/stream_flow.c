/* SPDX-License-Identifier: MIT */
/* How items move: from stage to stage, and out. */
#include "flow/stream.h"

#include <string.h>

#include "os/clock.h"
#include "os/memory.h"

#define FLOW_AHEAD_NS 500000 /* a measured share is what its pool does in this time */
#define FLOW_MEASURE_EVERY 64u

/* What a section leaves to do after the unlock. */
typedef struct flow_work {
    brg__stream_list submit;
    brg__waiter *consumer, *pusher;
    brg_loop *loop; /* to post the turn to */
    bool wakes_destroyer, cancels;
    uint32_t sweeps;
} flow_work;

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

static uint32_t flow_taken(const brg__stream_stage *stage) { return stage->running + stage->blocked.count; }

/* One too large for the bound passes alone. */
static bool flow_is_heavy(const brg_stream *stream)
{
    return stream->bytes >= stream->options.in_flight_bytes_max && stream->in_flight != 0;
}

static void flow_weigh_locked(brg_stream *stream, brg__stream_node *node, size_t bytes)
{
    stream->bytes = stream->bytes - node->bytes + bytes;
    node->bytes = bytes;
    if (stream->bytes > stream->bytes_peak)
        stream->bytes_peak = stream->bytes;
}

uint32_t brg__stream_room_locked(const brg_stream *stream)
{
    const brg__stream_stage *first = &stream->stages[0];
    uint32_t queue_max = brg__stream_queue_max(first), taken = flow_taken(first);
    if (stream->in_flight >= stream->limit || first->queue.count >= queue_max || flow_is_heavy(stream))
        return 0;
    uint32_t free_share = first->share > taken ? first->share - taken : 0;
    return (uint32_t)brg__min(stream->limit - stream->in_flight, queue_max - first->queue.count + free_share);
}

bool brg__stream_wants_locked(const brg_stream *stream)
{
    const brg__stream_stage *first = &stream->stages[0];
    if (stream->in_flight >= stream->limit || flow_is_heavy(stream))
        return false;
    return (uint64_t)2 * (flow_taken(first) + first->queue.count) <=
               (uint64_t)first->share + brg__stream_queue_max(first) &&
           (uint64_t)(stream->limit - stream->in_flight) * 8 >= stream->limit;
}

bool brg__stream_wants_push_locked(const brg_stream *stream)
{
    return brg__stream_wants_locked(stream) || (stream->submitted == 0 && brg__stream_room_locked(stream) != 0);
}

static void flow_set_limit_locked(brg_stream *stream)
{
    uint64_t shares = 0;
    if (!stream->is_measured)
        return;
    for (uint32_t i = 0; i < stream->stage_count; i++)
        shares += stream->stages[i].share;
    stream->limit = (uint32_t)brg__min(brg__max(4 * shares, BRG__STREAM_LIMIT_MIN), stream->capacity);
}

/* As much as its pool does in FLOW_AHEAD_NS, by how fast items came through lately: enough that no worker waits for the
 * next one, and that a wake-up serves many small ones; little enough that others in the pool hardly wait behind it. */
static void flow_measure_locked(brg_stream *stream, brg__stream_stage *stage)
{
    if (BRG__LIKELY(++stage->since_count < FLOW_MEASURE_EVERY))
        return;
    uint64_t count = stage->since_count;
    stage->since_count = 0;
    if (stage->running_max != 0)
        return;
    uint64_t now = brg__now(), each = (now - stage->since_ns) / count;
    stage->since_ns = now;
    uint64_t least = brg__hooked_least(&stage->hooked);
    uint64_t share = brg__min(FLOW_AHEAD_NS / brg__max(each, 1), BRG__STREAM_SHARE_MAX);
    stage->share = (uint32_t)brg__min(brg__max(least, share), BRG__STREAM_CAPACITY_MAX);
    flow_set_limit_locked(stream);
}

/* ---- from place to place ----------------------------------------------------------------------------------------- */

void brg__stream_out_locked(brg_stream *stream, brg__stream_node *node)
{
    node->place = BRG__STREAM_OUT;
    node->is_doomed = node->is_doomed || brg__stream_is_past_end_locked(stream, node);
    if (stream->options.unordered)
        brg__stream_push_node(&stream->out, node);
    else
        stream->ring[node->index % stream->capacity] = node;
}

static void flow_queue_locked(brg__stream_stage *stage, brg__stream_node *node)
{
    node->place = BRG__STREAM_QUEUED;
    brg__stream_push_node(&stage->queue, node);
}

void brg__stream_enter_locked(brg_stream *stream, brg_value *value, size_t bytes, void *tag)
{
    brg__stream_node *node = stream->free;
    if (node != NULL)
        stream->free = node->next;
    else
        node = &stream->nodes[stream->nodes_used++];
    *node = (brg__stream_node){.stream = stream, .index = stream->taken++, .tag = tag, .value = value};
    flow_weigh_locked(stream, node, bytes);
    if (++stream->in_flight > stream->in_flight_peak)
        stream->in_flight_peak = stream->in_flight;
    if (BRG__UNLIKELY(brg__stream_is_past_end_locked(stream, node)))
        brg__stream_out_locked(stream, node);
    else
        flow_queue_locked(&stream->stages[0], node);
}

/* It failed in its stage. `is_fatal`: so would all that come after it. */
static void flow_fail_locked(brg_stream *stream, brg__stream_node *node, bool is_fatal)
{
    if (!is_fatal) {
        stream->failed++;
        stream->stages[node->stage].failed++;
    }
    if (is_fatal || stream->options.rule == BRG_STREAM_STOP) {
        const brg_error *error = node->error != NULL ? node->error : brg__error_of_status(node->status);
        brg__stream_set_end_locked(stream, node->index, node->status, error);
        brg__stream_out_locked(stream, node);
        node->is_doomed = true;
        stream->is_stopped = stream->needs_sweep = true;
    } else {
        brg__stream_out_locked(stream, node);
    }
}

/* Its stage is through with it, or could not begin. */
static void flow_settle_locked(brg_stream *stream, brg__stream_node *node, bool is_fatal)
{
    brg__stream_stage *stage = &stream->stages[node->stage];
    stage->running--;
    stream->submitted--;
    if (BRG__UNLIKELY(node->attempts > 1))
        stage->retried += node->attempts - 1;
    flow_measure_locked(stream, stage);
    stage->done += node->status == BRG_OK;
    if (BRG__UNLIKELY(brg__stream_is_past_end_locked(stream, node)))
        brg__stream_out_locked(stream, node);
    else if (BRG__UNLIKELY(node->status != BRG_OK))
        flow_fail_locked(stream, node, is_fatal);
    else if (node->stage + 1u == stream->stage_count)
        brg__stream_out_locked(stream, node);
    else {
        node->place = BRG__STREAM_BLOCKED; /* until the section ends, if there is room */
        brg__stream_push_node(&stage->blocked, node);
    }
}

static bool flow_submit_some_locked(brg_stream *stream, brg__stream_stage *stage, flow_work *work)
{
    bool moved = false;
    while (stage->queue.count != 0 && flow_taken(stage) < stage->share) {
        brg__stream_node *node = brg__stream_pop_node(&stage->queue);
        node->place = BRG__STREAM_SUBMITTED;
        node->stage = (uint16_t)(stage - stream->stages);
        stage->running++;
        stream->submitted++;
        brg__stream_push_node(&work->submit, node);
        moved = true;
    }
    if (moved && flow_taken(stage) > stage->running_peak)
        stage->running_peak = flow_taken(stage);
    return moved;
}

static bool flow_unblock_some_locked(brg__stream_stage *from, brg__stream_stage *to)
{
    bool moved = false;
    while (from->blocked.count != 0 && to->queue.count < brg__stream_queue_max(to)) {
        flow_queue_locked(to, brg__stream_pop_node(&from->blocked));
        moved = true;
    }
    return moved;
}

/* From the last stage to the first, since each makes room for the one before it. */
static void flow_advance_locked(brg_stream *stream, flow_work *work)
{
    for (uint32_t i = stream->stage_count; i-- > 0;) {
        brg__stream_stage *stage = &stream->stages[i];
        do
            flow_submit_some_locked(stream, stage, work);
        while (i > 0 && flow_unblock_some_locked(stage - 1, stage));
        if (stage->queue.count > stage->queued_peak)
            stage->queued_peak = stage->queue.count;
    }
}

/* ---- the end of a section ---------------------------------------------------------------------------------------- */

static void flow_wake_locked(brg_stream *stream, flow_work *work)
{
    if (stream->consumer != NULL && (brg__stream_is_ready_locked(stream) || brg__stream_has_ended_locked(stream) ||
                                     (brg__stream_may_pull_locked(stream) && brg__stream_wants_locked(stream)))) {
        work->consumer = stream->consumer;
        stream->consumer = NULL;
        brg_store_release(&stream->xsignal, stream->xsignal + 1); /* pairs with out_is_signalled */
    }
    if (BRG__UNLIKELY(!brg__list_is_empty(&stream->pushers)) &&
        (stream->is_closed || brg__stream_wants_push_locked(stream))) { /* one: it wakes the next */
        brg__stream_pusher *pusher = brg__container_of(brg__list_pop_front(&stream->pushers), brg__stream_pusher, node);
        work->pusher = pusher->waiter;
        brg_store_release(&pusher->xgo, 1u); /* it may be gone from here on; pairs with in_may_look */
    }
    if (stream->options.on_item != NULL && !stream->is_posted && brg__stream_needs_turn_locked(stream)) {
        stream->is_posted = true;
        brg_add_relaxed(&stream->xreferences, 1u); /* the turn's */
        work->loop = stream->options.loop;
    }
    if (BRG__UNLIKELY(stream->has_destroyer && stream->submitted == 0)) {
        stream->has_destroyer = false;
        brg_store_release(&stream->xsignal, stream->xsignal + 1); /* pairs with the look of destroy */
        work->wakes_destroyer = true;
    }
}

static void flow_section_locked(brg_stream *stream, flow_work *work)
{
    if (BRG__UNLIKELY(stream->needs_sweep))
        brg__stream_sweep_locked(stream);
    work->cancels = stream->needs_sweep || stream->needs_cancel;
    stream->needs_sweep = stream->needs_cancel = false;
    work->sweeps = stream->xsweeps;
    flow_advance_locked(stream, work);
    flow_wake_locked(stream, work);
}

/* Frees nothing of an error that could not be kept: its status remains. */
static void flow_keep_error(brg__stream_node *node, brg_status status, const brg_error *error)
{
    node->status = status;
    node->error = brg__calloc(1, sizeof(*node->error));
    if (node->error == NULL)
        return;
    node->error->status = status;
    memcpy(node->error->domain, error->domain, sizeof(error->domain));
    memcpy(node->error->message, error->message, sizeof(error->message));
}

/* Hands them to their pools; those that were refused are left in `refused`. Once one is handed over it is its hook's. */
static void flow_submit(brg_stream *stream, brg__stream_list *list, brg__stream_list *refused)
{
    brg__stream_node *node;
    while ((node = brg__stream_pop_node(list)) != NULL) {
        brg_value *value = node->value;
        brg_error error;
        node->value = NULL;
        node->attempts = 0;
        brg_status status = brg__hooked_submit(&stream->stages[node->stage].hooked, value, node, &node->xtask, &error);
        if (BRG__LIKELY(status == BRG_OK))
            continue;
        brg_value_unref(value);
        flow_keep_error(node, status, &error);
        brg__stream_push_node(refused, node);
    }
}

static void flow_refuse_locked(brg_stream *stream, brg__stream_list *refused)
{
    brg__stream_node *node;
    while ((node = brg__stream_pop_node(refused)) != NULL) {
        flow_weigh_locked(stream, node, 0);
        flow_settle_locked(stream, node, node->status == BRG_CLOSED || node->status == BRG_UNAVAILABLE);
    }
}

/* Does it; true, with the lock held again, when more came of it. */
static bool flow_do(brg_stream *stream, flow_work *work)
{
    brg__stream_list refused = {0};
    if (work->loop != NULL)
        brg__loop_post(work->loop, &stream->turn);
    if (BRG__UNLIKELY(work->cancels))
        brg__stream_cancel_tasks(stream);
    if (work->submit.count == 0)
        return false;
    flow_submit(stream, &work->submit, &refused);
    brg_fence_seq_cst(); /* see brg__stream_cancel_tasks */
    bool swept = brg_load_relaxed(&stream->xsweeps) != work->sweeps;
    if (BRG__LIKELY(refused.count == 0 && !swept))
        return false;
    brg__stream_lock(stream);
    flow_refuse_locked(stream, &refused);
    stream->needs_cancel = stream->needs_cancel || swept;
    return true;
}

static void flow_leave(brg_stream *stream)
{
    uint32_t *busy = &stream->xbusy;
    if (brg_sub_acq_rel(busy, 1u) == (BRG__STREAM_DESTROYED | 1u)) /* the stream may be gone: only its address counts */
        brg__futex_wake(busy, INT32_MAX, BRG__FUTEX_PRIVATE);
}

void brg__stream_unlock(brg_stream *stream, bool is_hook)
{
    bool is_busy = false, again;
    do {
        flow_work work;
        memset(&work, 0, sizeof(work));
        flow_section_locked(stream, &work);
        bool acts = work.submit.count != 0 || work.cancels || work.loop != NULL;
        if (acts && is_hook && !is_busy) {
            brg_add_relaxed(&stream->xbusy, 1u);
            is_busy = true;
        }
        uint32_t *signal = &stream->xsignal;
        brg__lock_release(&stream->lock);
        if (work.consumer != NULL)
            brg__waiter_wake(work.consumer);
        if (work.pusher != NULL)
            brg__waiter_wake(work.pusher);
        if (BRG__UNLIKELY(work.wakes_destroyer))
            brg__futex_wake(signal, INT32_MAX, BRG__FUTEX_PRIVATE); /* only its address, as above */
        again = acts && flow_do(stream, &work);
    } while (again);
    if (is_busy)
        flow_leave(stream);
}

void brg__stream_settled(brg_task *task, void *user_data)
{
    brg__stream_node *node = user_data;
    brg_stream *stream = node->stream;
    const brg_result *result = brg_task_result(task);
    bool failed = result->status != BRG_OK;
    brg_value *value = BRG__UNLIKELY(failed) ? brg__hooked_take_detail(task) : brg__hooked_take_output(task);
    brg_error *error = brg__hooked_take_error(task);
    size_t bytes = brg__stream_bytes(value);
    brg__stream_lock(stream);
    flow_weigh_locked(stream, node, bytes);
    node->value = value;
    node->error = error;
    node->status = result->status;
    node->attempts = result->attempts;
    brg_store_relaxed(&node->xtask, (brg_task *)NULL);
    flow_settle_locked(stream, node, false);
    brg__stream_unlock(stream, true);
}
