/* SPDX-License-Identifier: MIT */
#include "worker/flow.h"

#include <string.h>

#include "base/util.h"
#include "os/atomic.h"
#include "os/futex.h"
#include "os/memory.h"

#define FLOW_FIRST 4096

void brg__flow_init(brg__flow *flow, size_t count_max)
{
    memset(flow, 0, sizeof(*flow));
    flow->count_max = count_max;
    brg__lock_init(&flow->lock, BRG__RANK_LEAF, "stream");
}

void brg__flow_done(brg__flow *flow)
{
    brg__mfree(flow->bytes);
    flow->bytes = NULL;
}

static bool flow_grow_locked(brg__flow *flow, size_t wanted)
{
    size_t capacity = flow->capacity == 0 ? FLOW_FIRST : flow->capacity;
    while (capacity < wanted)
        capacity *= 2;
    if (capacity == flow->capacity)
        return true;
    unsigned char *bytes = brg__malloc(capacity);
    if (bytes == NULL)
        return false;
    size_t to_end = (size_t)brg__min(flow->count, flow->capacity - flow->first);
    if (flow->count != 0) {
        memcpy(bytes, flow->bytes + flow->first, to_end);
        memcpy(bytes + to_end, flow->bytes, flow->count - to_end);
    }
    brg__mfree(flow->bytes);
    flow->bytes = bytes;
    flow->capacity = capacity;
    flow->first = 0;
    return true;
}

static brg_status flow_append_locked(brg__flow *flow, const unsigned char *bytes, size_t size)
{
    if (size == 0 || flow->is_dropped)
        return BRG_OK;
    if (!flow_grow_locked(flow, flow->count + size))
        return BRG_NO_MEMORY;
    size_t at = (flow->first + flow->count) & (flow->capacity - 1);
    size_t to_end = (size_t)brg__min(size, flow->capacity - at);
    memcpy(flow->bytes + at, bytes, to_end);
    memcpy(flow->bytes, bytes + to_end, size - to_end);
    flow->count += size;
    return BRG_OK;
}

static size_t flow_room_locked(const brg__flow *flow)
{
    return flow->is_dropped ? SIZE_MAX : flow->count_max - (size_t)brg__min(flow->count, flow->count_max);
}

/* Sleeps without the lock until `word` changes; false when the deadline passed. */
static bool flow_wait_locked(brg__flow *flow, uint32_t *word, uint64_t deadline_ns)
{
    uint32_t seen = brg_load_relaxed(word);
    flow->waiting++;
    brg__lock_release(&flow->lock);
    bool in_time = brg__futex_wait(word, seen, deadline_ns, BRG__FUTEX_PRIVATE);
    brg__lock_acquire(&flow->lock);
    flow->waiting--;
    return in_time;
}

/* Notes a change for who waits; true when somebody does: wake `word` without the lock. */
static bool flow_note_locked(brg__flow *flow, uint32_t *word)
{
    brg_store_relaxed(word, *word + 1);
    return flow->waiting != 0;
}

brg_status brg__flow_write(brg__flow *flow, const void *bytes, size_t size, size_t *written, uint64_t deadline_ns)
{
    size_t done = 0;
    brg_status status = BRG_OK;
    bool in_time = true;
    brg__lock_acquire(&flow->lock);
    while (status == BRG_OK && done < size) {
        size_t part = (size_t)brg__min(size - done, flow_room_locked(flow));
        if (flow->is_closed)
            status = BRG_CLOSED;
        else if (part == 0 && deadline_ns == 0)
            status = BRG_FULL;
        else if (part == 0 && flow->is_hurried)
            status = BRG_CLOSED;
        else if (part == 0 && !in_time)
            status = BRG_TIMED_OUT;
        else if (part == 0)
            in_time = flow_wait_locked(flow, &flow->xroom, deadline_ns);
        else if ((status = flow_append_locked(flow, (const unsigned char *)bytes + done, part)) == BRG_OK)
            done += part;
        if (part != 0 && status == BRG_OK && flow_note_locked(flow, &flow->xdata))
            brg__futex_wake(&flow->xdata, 1, BRG__FUTEX_PRIVATE); /* before we wait for room: the reader makes it */
    }
    brg__lock_release(&flow->lock);
    *written = done;
    return status;
}

brg_status brg__flow_force(brg__flow *flow, const void *bytes, size_t size)
{
    brg__lock_acquire(&flow->lock);
    brg_status status = flow->is_closed ? BRG_CLOSED : flow_append_locked(flow, bytes, size);
    bool wake = flow_note_locked(flow, &flow->xdata);
    brg__lock_release(&flow->lock);
    if (wake)
        brg__futex_wake(&flow->xdata, 1, BRG__FUTEX_PRIVATE);
    return status;
}

static size_t flow_take_locked(brg__flow *flow, unsigned char *bytes, size_t size)
{
    size_t part = (size_t)brg__min(size, flow->count);
    size_t to_end = (size_t)brg__min(part, flow->capacity - flow->first);
    memcpy(bytes, flow->bytes + flow->first, to_end);
    memcpy(bytes + to_end, flow->bytes, part - to_end);
    flow->first = (flow->first + part) & (flow->capacity - 1);
    flow->count -= part;
    return part;
}

brg_status brg__flow_read(brg__flow *flow, void *bytes, size_t size, size_t *got, uint64_t deadline_ns)
{
    brg_status status = BRG_OK;
    bool in_time = true, wake = false;
    brg__lock_acquire(&flow->lock);
    while (status == BRG_OK && flow->count == 0) {
        if (flow->is_closed)
            status = BRG_CLOSED;
        else if (deadline_ns == 0)
            status = BRG_EMPTY;
        else if (!in_time)
            status = BRG_TIMED_OUT;
        else
            in_time = flow_wait_locked(flow, &flow->xdata, deadline_ns);
    }
    if (status == BRG_OK) {
        *got = flow_take_locked(flow, bytes, size);
        wake = flow_note_locked(flow, &flow->xroom);
    }
    brg__lock_release(&flow->lock);
    if (wake)
        brg__futex_wake(&flow->xroom, 1, BRG__FUTEX_PRIVATE);
    return status;
}

size_t brg__flow_room(brg__flow *flow)
{
    brg__lock_acquire(&flow->lock);
    size_t room = flow_room_locked(flow);
    brg__lock_release(&flow->lock);
    return room;
}

bool brg__flow_is_empty(brg__flow *flow)
{
    brg__lock_acquire(&flow->lock);
    bool empty = flow->count == 0;
    brg__lock_release(&flow->lock);
    return empty;
}

static void flow_mark(brg__flow *flow, bool *mark)
{
    brg__lock_acquire(&flow->lock);
    *mark = true;
    bool wake = flow_note_locked(flow, &flow->xroom);
    flow_note_locked(flow, &flow->xdata);
    brg__lock_release(&flow->lock);
    if (wake) {
        brg__futex_wake(&flow->xroom, INT32_MAX, BRG__FUTEX_PRIVATE);
        brg__futex_wake(&flow->xdata, INT32_MAX, BRG__FUTEX_PRIVATE);
    }
}

void brg__flow_close(brg__flow *flow) { flow_mark(flow, &flow->is_closed); }
void brg__flow_hurry(brg__flow *flow) { flow_mark(flow, &flow->is_hurried); }
void brg__flow_drop(brg__flow *flow) { flow_mark(flow, &flow->is_dropped); }
