/* SPDX-License-Identifier: MIT */
/* How items come in: asked for, or pushed. */
#include "flow/stream.h"

#include "os/clock.h"
#include "os/thread.h"

#define IN_PULL_MAX 16u /* items the source gives between two sections */

/* ---- the source -------------------------------------------------------------------------------------------------- */

bool brg__stream_may_pull_locked(const brg_stream *stream)
{
    return stream->options.source != NULL && !stream->is_closed && !stream->is_empty && !stream->is_pulling;
}

typedef struct in_item {
    brg_value *value;
    void *tag;
    size_t bytes;
} in_item;

/* Up to `room` items, of up to `bytes` and one more; *status says how it went on after them. No lock. */
static uint32_t in_ask(const brg_stream *stream, in_item *items, uint32_t room, uint64_t bytes, brg_status *status)
{
    uint32_t count = 0;
    uint64_t sum = 0;
    for (*status = BRG_OK; count < room && sum < bytes; sum += items[count++].bytes) {
        in_item *item = &items[count];
        *item = (in_item){0};
        *status = stream->options.source(&item->value, &item->tag, stream->options.user_data);
        if (*status != BRG_OK)
            break;
        item->bytes = brg__stream_bytes(item->value);
    }
    return count;
}

static void in_conclude_locked(brg_stream *stream, brg_status status)
{
    if (status == BRG_OK)
        return;
    if (status == BRG_EMPTY) {
        stream->is_empty = !stream->woke;
    } else if (status == BRG_CLOSED) {
        stream->is_closed = true;
    } else if (stream->end_status == BRG_OK) {
        brg__stream_set_end_locked(stream, stream->taken, status, NULL);
        brg_error_set(&stream->end_error, status, "stream", "the source failed before item %llu: %s",
                      (unsigned long long)stream->taken, brg_status_text(status));
    }
}

void brg__stream_pull_locked(brg_stream *stream)
{
    in_item items[IN_PULL_MAX];
    uint32_t room;
    if (!brg__stream_wants_locked(stream))
        return;
    while (brg__stream_may_pull_locked(stream) && (room = brg__stream_room_locked(stream)) != 0) {
        brg_status status;
        uint64_t most = stream->options.in_flight_bytes_max, bytes = most - brg__min(most - 1, stream->bytes);
        stream->is_pulling = true;
        stream->woke = false;
        brg__stream_unlock(stream, false);
        uint32_t count = in_ask(stream, items, (uint32_t)brg__min(room, IN_PULL_MAX), bytes, &status);
        brg__stream_lock(stream);
        stream->is_pulling = false;
        for (uint32_t i = 0; i < count; i++)
            brg__stream_enter_locked(stream, items[i].value, items[i].bytes, items[i].tag);
        in_conclude_locked(stream, status);
    }
}

void brg_stream_wake(brg_stream *stream)
{
    if (stream == NULL || stream->generation != brg__fork_generation())
        return;
    brg__stream_lock(stream);
    stream->is_empty = false;
    stream->woke = true;
    brg__stream_unlock(stream, true);
}

/* ---- pushes ------------------------------------------------------------------------------------------------------ */

static bool in_may_look(void *argument)
{
    brg__stream_pusher *pusher = argument;
    return brg_load_acquire(&pusher->xgo) != 0; /* pairs with flow_wake_locked */
}

/* Until there was room, with the lock released meanwhile. */
static brg_status in_wait_locked(brg_stream *stream, uint64_t deadline_ns)
{
    brg__stream_pusher pusher = {.waiter = brg__waiter_current()};
    if (pusher.waiter == NULL)
        return BRG_NO_MEMORY;
    const brg__wait wait = {.ready = in_may_look, .argument = &pusher, .until_asked = true};
    brg__list_push_back(&stream->pushers, &pusher.node);
    brg__stream_unlock(stream, false);
    bool came = brg__waiter_wait(pusher.waiter, &wait, deadline_ns);
    brg__stream_lock(stream);
    if (brg__node_is_linked(&pusher.node))
        brg__list_remove(&pusher.node);
    if (came || pusher.xgo != 0 || brg__stream_room_locked(stream) != 0) /* little room wakes nobody, but is room */
        return BRG_OK;
    return brg__waiter_is_asked(pusher.waiter) ? BRG_CANCELLED : BRG_TIMED_OUT;
}

static bool in_may_wait(const brg_stream *stream)
{
    return !brg__stream_is_own_task(stream) &&
           !(stream->options.on_item != NULL && brg__loop_is_owner(stream->options.loop));
}

static brg_status in_push_locked(brg_stream *stream, brg_value *value, void *tag, uint64_t timeout_ns)
{
    uint64_t deadline = 0;
    for (;;) {
        if (stream->is_closed)
            return BRG_CLOSED;
        if (brg__stream_room_locked(stream) != 0) {
            brg__stream_enter_locked(stream, value, brg__stream_bytes(value), tag);
            return BRG_OK;
        }
        if (timeout_ns == 0) {
            stream->owes_room = stream->options.on_room != NULL;
            return BRG_FULL;
        }
        if (!in_may_wait(stream))
            return BRG_DEADLOCK;
        if (deadline == 0)
            deadline = brg__deadline(timeout_ns);
        brg_status status = in_wait_locked(stream, deadline);
        if (status != BRG_OK)
            return status;
    }
}

static const char *in_refusal(brg_status status)
{
    switch (status) {
    case BRG_FULL:
        return "the stream has no room for another item now";
    case BRG_TIMED_OUT:
        return "the stream had no room for another item in time";
    case BRG_DEADLOCK:
        return "a task of the stream's pools, or the thread of its loop, must not wait for room: push with timeout 0";
    case BRG_CANCELLED:
        return "the task that pushes was asked to end";
    case BRG_CLOSED:
        return "the stream takes no more items: it was ended, cancelled or stopped by an error";
    default:
        return "out of memory for waiting";
    }
}

brg_status brg_stream_push(brg_stream *stream, brg_value *value, void *tag, uint64_t timeout_ns, brg_error *error)
{
    if (stream == NULL)
        return brg_error_set(error, BRG_INVALID, "stream", "the stream must not be NULL");
    if (stream->generation != brg__fork_generation())
        return brg_error_set(error, BRG_FORKED, "stream", "the stream belongs to the parent of this forked process");
    if (stream->options.source != NULL)
        return brg_error_set(error, BRG_INVALID, "stream", "the stream has a source: nothing can be pushed");
    brg__stream_lock(stream);
    brg_status status = in_push_locked(stream, value, tag, timeout_ns);
    brg__stream_unlock(stream, false);
    return status == BRG_OK ? BRG_OK : brg_error_set(error, status, "stream", "%s", in_refusal(status));
}

void brg_stream_end(brg_stream *stream)
{
    if (stream == NULL || stream->generation != brg__fork_generation())
        return;
    brg__stream_lock(stream);
    stream->is_closed = true;
    brg__stream_unlock(stream, false);
}
