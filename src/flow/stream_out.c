/* SPDX-License-Identifier: MIT */
/* How items go out: to a thread that asks, or to a loop. */
#include <string.h>

#include "flow/stream.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/thread.h"

#define OUT_TURN_MAX 256 /* items delivered before the loop's other business */

/* ---- what is there ----------------------------------------------------------------------------------------------- */

static brg__stream_node *out_peek_locked(const brg_stream *stream)
{
    return stream->options.unordered ? stream->out.first : stream->ring[stream->next_index % stream->capacity];
}

bool brg__stream_is_ready_locked(const brg_stream *stream) { return out_peek_locked(stream) != NULL; }

bool brg__stream_has_ended_locked(const brg_stream *stream)
{
    return stream->is_closed && stream->in_flight == 0 && !stream->is_pulling;
}

/* Whether the consumer gets it; counts it. */
static bool out_judge_locked(brg_stream *stream, const brg__stream_node *node)
{
    bool is_past = stream->options.unordered ? stream->is_cancelled : brg__stream_is_past_end_locked(stream, node);
    if (BRG__UNLIKELY(is_past || node->is_doomed)) {
        stream->dropped++;
    } else if (node->status == BRG_OK || stream->options.rule == BRG_STREAM_COLLECT) {
        stream->delivered++;
        return true;
    } else {
        stream->skipped++;
    }
    return false;
}

brg__stream_node *brg__stream_pop_locked(brg_stream *stream, bool *delivers)
{
    brg__stream_node *node = out_peek_locked(stream);
    if (node == NULL)
        return NULL;
    if (stream->options.unordered)
        brg__stream_pop_node(&stream->out);
    else
        stream->ring[stream->next_index++ % stream->capacity] = NULL;
    *delivers = out_judge_locked(stream, node);
    return node;
}

void brg__stream_dispose(brg_stream *stream, brg__stream_node *node, bool dropped)
{
    if (dropped && stream->options.drop != NULL)
        stream->options.drop(node->tag, stream->options.user_data);
    brg_value_unref(node->value);
    brg__mfree(node->error);
    node->value = NULL;
    node->error = NULL;
}

void brg__stream_give_back_locked(brg_stream *stream, brg__stream_node *node)
{
    node->place = BRG__STREAM_FREE;
    node->next = stream->free;
    stream->free = node;
    stream->in_flight--;
    stream->bytes -= node->bytes;
}

static void out_fill(const brg__stream_node *node, brg_stream_item *item)
{
    item->index = node->index;
    item->tag = node->tag;
    item->status = node->status;
    item->output = node->status == BRG_OK ? node->value : NULL;
    item->detail = node->status == BRG_OK ? NULL : node->value;
    item->error = NULL;
    item->stage = node->stage;
    item->attempts = node->attempts;
    if (BRG__UNLIKELY(node->status != BRG_OK))
        item->error = node->error != NULL ? node->error : brg__error_of_status(node->status);
}

/* ---- next -------------------------------------------------------------------------------------------------------- */

typedef struct out_wait {
    const uint32_t *signal;
    uint32_t seen;
} out_wait;

static bool out_is_signalled(void *argument)
{
    const out_wait *wait = argument;
    return brg_load_acquire(wait->signal) != wait->seen; /* pairs with flow_wake_locked */
}

/* Until something is there, with the lock released meanwhile. */
static brg_status out_wait_locked(brg_stream *stream, uint64_t deadline_ns)
{
    brg__waiter *waiter = brg__waiter_current();
    if (waiter == NULL)
        return BRG_NO_MEMORY;
    out_wait what = {.signal = &stream->xsignal, .seen = stream->xsignal};
    const brg__wait wait = {.ready = out_is_signalled, .argument = &what, .until_asked = true};
    stream->consumer = waiter;
    brg__stream_unlock(stream, false);
    bool came = brg__waiter_wait(waiter, &wait, deadline_ns);
    brg__stream_lock(stream);
    stream->consumer = NULL;
    if (came || out_is_signalled(&what))
        return BRG_OK;
    return brg__waiter_is_asked(waiter) ? BRG_CANCELLED : BRG_TIMED_OUT;
}

/* What next returns at the end: BRG_CLOSED when all is well, and never what could mean that, or "not now". */
static brg_status out_end_status_locked(const brg_stream *stream)
{
    switch (stream->end_status) {
    case BRG_OK:
        return BRG_CLOSED;
    case BRG_CLOSED:
    case BRG_EMPTY:
    case BRG_TIMED_OUT:
    case BRG_DEADLOCK:
        return BRG_FAILED;
    default:
        return stream->end_status;
    }
}

/* Its watch may be late by what the supervisor is at. */
static void out_look_at_token_locked(brg_stream *stream)
{
    if (BRG__UNLIKELY(brg_token_is_cancelled(stream->options.token)))
        brg__stream_cancel_all_locked(stream);
}

/* The next item, out of everything; NULL with why in *status. */
static brg__stream_node *out_take_locked(brg_stream *stream, uint64_t timeout_ns, brg_status *status)
{
    uint64_t deadline = 0;
    bool delivers = false;
    for (;;) {
        brg__stream_node *node = brg__stream_pop_locked(stream, &delivers);
        if (node != NULL && !delivers) {
            brg__stream_unlock(stream, false);
            brg__stream_dispose(stream, node, true);
            brg__stream_lock(stream);
            brg__stream_give_back_locked(stream, node);
            continue;
        }
        brg__stream_pull_locked(stream);
        if (node != NULL)
            return node;
        if (brg__stream_is_ready_locked(stream))
            continue;
        *status = brg__stream_has_ended_locked(stream) ? out_end_status_locked(stream)
                  : timeout_ns == 0                    ? BRG_EMPTY
                  : brg__stream_is_own_task(stream)    ? BRG_DEADLOCK
                                                       : BRG_OK;
        if (*status == BRG_OK && deadline == 0)
            deadline = brg__deadline(timeout_ns);
        if (*status == BRG_OK)
            *status = out_wait_locked(stream, deadline);
        if (*status != BRG_OK)
            return NULL;
    }
}

brg_status brg_stream_next(brg_stream *stream, brg_stream_item *item, uint64_t timeout_ns)
{
    if (stream == NULL || item == NULL || stream->options.on_item != NULL)
        return BRG_INVALID;
    if (stream->generation != brg__fork_generation())
        return BRG_FORKED;
    brg_status status = BRG_OK;
    brg__stream_node *last = stream->held;
    if (last != NULL)
        brg__stream_dispose(stream, last, false);
    stream->held = NULL;
    brg__stream_lock(stream);
    if (last != NULL)
        brg__stream_give_back_locked(stream, last);
    out_look_at_token_locked(stream);
    brg__stream_node *node = out_take_locked(stream, timeout_ns, &status);
    brg__stream_unlock(stream, false);
    if (node == NULL)
        return status;
    stream->held = node;
    out_fill(node, item);
    return BRG_OK;
}

/* ---- on a loop --------------------------------------------------------------------------------------------------- */

static bool out_may_deliver_locked(const brg_stream *stream)
{
    return brg__stream_is_ready_locked(stream) && (!stream->is_paused || stream->is_cancelled);
}

static bool out_has_room_to_tell_locked(const brg_stream *stream)
{
    return stream->owes_room && !stream->is_closed && brg__stream_wants_push_locked(stream);
}

bool brg__stream_needs_turn_locked(const brg_stream *stream)
{
    return !stream->in_turn && !stream->is_destroying &&
           (out_may_deliver_locked(stream) || out_has_room_to_tell_locked(stream) ||
            (brg__stream_has_ended_locked(stream) && !stream->has_told_end) ||
            (brg__stream_may_pull_locked(stream) && brg__stream_wants_locked(stream)));
}

static void out_deliver_locked(brg_stream *stream)
{
    bool delivers = false;
    brg__stream_node *node = brg__stream_pop_locked(stream, &delivers);
    if (node == NULL)
        return;
    brg__stream_unlock(stream, false);
    if (delivers) {
        brg_stream_item item;
        out_fill(node, &item);
        stream->options.on_item(&item, stream->options.user_data);
    }
    brg__stream_dispose(stream, node, !delivers);
    brg__stream_lock(stream);
    brg__stream_give_back_locked(stream, node);
}

static void out_tell_end_locked(brg_stream *stream)
{
    brg_stream_counts counts = {.size = sizeof(counts)};
    stream->has_told_end = true;
    bool failed = stream->end_status != BRG_OK;
    brg__lock_release(&stream->lock);
    (void)brg_stream_get_counts(stream, &counts);
    if (stream->options.on_end != NULL)
        stream->options.on_end(&counts, failed ? &stream->end_error : NULL, stream->options.user_data);
    if (stream->is_held) {
        stream->is_held = false;
        brg__loop_unhold(stream->options.loop);
    }
    brg__stream_lock(stream);
}

/* One thing the owner is to do; false: there is nothing. */
static bool out_step_locked(brg_stream *stream)
{
    if (out_has_room_to_tell_locked(stream)) {
        stream->owes_room = false;
        brg__stream_unlock(stream, false);
        stream->options.on_room(stream->options.user_data);
        brg__stream_lock(stream);
    } else if (brg__stream_may_pull_locked(stream) && brg__stream_wants_locked(stream)) {
        brg__stream_pull_locked(stream);
    } else if (out_may_deliver_locked(stream)) {
        out_deliver_locked(stream);
    } else if (brg__stream_has_ended_locked(stream) && !stream->has_told_end) {
        out_tell_end_locked(stream);
    } else {
        return false;
    }
    return true;
}

void brg__stream_turn(brg__completion *completion)
{
    brg_stream *stream = brg__container_of(completion, brg_stream, turn);
    brg__stream_lock(stream);
    stream->is_posted = false;
    stream->in_turn = true;
    out_look_at_token_locked(stream);
    for (uint32_t i = 0; i < OUT_TURN_MAX && !stream->is_destroying; i++)
        if (!out_step_locked(stream))
            break;
    stream->in_turn = false;
    brg__stream_unlock(stream, false); /* which posts another turn, if there is more to do */
    brg__stream_unref(stream);
}

static void out_set_paused(brg_stream *stream, bool paused)
{
    if (stream == NULL || stream->generation != brg__fork_generation())
        return;
    brg__stream_lock(stream);
    stream->is_paused = paused;
    brg__stream_unlock(stream, false);
}

void brg_stream_pause(brg_stream *stream) { out_set_paused(stream, true); }
void brg_stream_resume(brg_stream *stream) { out_set_paused(stream, false); }
