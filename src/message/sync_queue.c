/* SPDX-License-Identifier: MIT */
/*
 * Bounded queue: a ring under a mutex. Lock-free rings (Vyukov's) stall for ever when a process dies between claiming
 * a cell and filling it; here an item counts only once xtail or xhead was raised, by one store under the mutex, so that
 * the queue is in order at every instant and a mutex that comes from a dead holder needs no repair.
 *
 * Waiters look at the two counts without the mutex, and take it only when there seems to be room or an item.
 */
#include <string.h>

#include "message/sync.h"
#include "os/atomic.h"

#define QUEUE_MAGIC 0x51524442u

typedef struct queue {
    brg__mutex mutex;
    BRG__ALIGNED(64) uint32_t xmagic;
    uint32_t xslots;
    uint32_t xitem_bytes;
    uint32_t xclosed;
    brg__bell room;
    brg__bell items;
    BRG__ALIGNED(64) uint64_t xhead; /* items ever taken */
    uint64_t xtail;                  /* items ever put in */
    BRG__ALIGNED(64) unsigned char bytes[];
} queue;

_Static_assert(sizeof(queue) == 192 && BRG_QUEUE_BYTES(1, 8) == 256, "BRG_QUEUE_BYTES says so");

/* A queue as one call sees it: what another process may change is read once. */
typedef struct queue_call {
    brg_shared *shared;
    queue *at;
    uint32_t slots;
    uint32_t item_bytes;
    void *target;       /* of pop */
    const void *source; /* of push */
    brg_status status;
} queue_call;

static brg_status queue_size(uint32_t slots, uint32_t item_bytes, size_t *out)
{
    /* Both are below 2^32: no overflow in 64 bits but at the very end, which no shared memory reaches. */
    uint64_t item = brg__align_up(item_bytes, 8);
    if (slots == 0 || item_bytes == 0)
        return BRG_INVALID;
    if (item > (PTRDIFF_MAX - sizeof(queue)) / slots)
        return BRG_RANGE;
    *out = sizeof(queue) + (size_t)(item * slots);
    return BRG_OK;
}

static brg_status queue_open(queue_call *call, brg_shared *shared, size_t offset)
{
    void *at = NULL;
    brg_status status = brg__sync_at_wait(shared, offset, sizeof(queue), &at);
    if (status != BRG_OK)
        return status;
    *call = (queue_call){.shared = shared, .at = at};
    if (brg_load_acquire(&call->at->xmagic) != QUEUE_MAGIC)
        return BRG_STATE;
    call->slots = brg_load_relaxed(&call->at->xslots);
    call->item_bytes = brg_load_relaxed(&call->at->xitem_bytes);
    size_t size = 0;
    if (queue_size(call->slots, call->item_bytes, &size) != BRG_OK)
        return BRG_STATE;
    return brg__sync_at(shared, offset, size, &at);
}

brg_status brg_queue_init(brg_shared *shared, size_t offset, uint32_t slots, uint32_t item_bytes)
{
    size_t size = 0;
    void *at = NULL;
    brg_status status = queue_size(slots, item_bytes, &size);
    if (status == BRG_OK)
        status = brg__sync_at(shared, offset, size, &at);
    if (status != BRG_OK)
        return status;
    queue *made = at;
    memset(made, 0, sizeof(*made));
    made->xslots = slots;
    made->xitem_bytes = item_bytes;
    brg_store_release(&made->xmagic, QUEUE_MAGIC); /* pairs with the load in queue_open */
    return BRG_OK;
}

static bool queue_lock(const queue_call *call)
{
    brg_status status = brg__mutex_take(call->shared, &call->at->mutex, BRG_FOREVER);
    if (status == BRG_OWNER_DIED)
        brg__mutex_heal(&call->at->mutex);
    return status == BRG_OK || status == BRG_OWNER_DIED;
}

static void queue_unlock(const queue_call *call) { brg__mutex_give(call->shared, &call->at->mutex); }

static uint64_t queue_count(const queue_call *call)
{
    return brg_load_acquire(&call->at->xtail) - brg_load_acquire(&call->at->xhead);
}

static unsigned char *queue_slot(const queue_call *call, uint64_t number)
{
    return call->at->bytes + (number % call->slots) * brg__align_up(call->item_bytes, 8);
}

static bool queue_is_closed(const queue_call *call) { return brg_load_seq_cst(&call->at->xclosed) != 0; }

/* Ends a call: its status is known. */
static bool queue_say(queue_call *call, brg_status status)
{
    call->status = status;
    return true;
}

static bool queue_try_push(void *argument)
{
    queue_call *call = argument;
    if (queue_is_closed(call))
        return queue_say(call, BRG_CLOSED);
    if (queue_count(call) >= call->slots)
        return false;
    if (!queue_lock(call)) /* only where the mutex was written over */
        return queue_say(call, BRG_STATE);
    bool closed = queue_is_closed(call), room = queue_count(call) < call->slots;
    if (!closed && room) {
        uint64_t tail = brg_load_relaxed(&call->at->xtail);
        memcpy(queue_slot(call, tail), call->source, call->item_bytes);
        brg_store_release(&call->at->xtail, tail + 1);
    }
    queue_unlock(call);
    if (!closed && room)
        brg__bell_ring(&call->at->items, 1);
    return closed ? queue_say(call, BRG_CLOSED) : room;
}

static bool queue_try_pop(void *argument)
{
    queue_call *call = argument;
    if (queue_count(call) == 0) {
        if (!queue_is_closed(call))
            return false;
        if (queue_count(call) == 0) /* again: nothing comes in after the close, but something may have before */
            return queue_say(call, BRG_CLOSED);
    }
    if (!queue_lock(call))
        return queue_say(call, BRG_STATE);
    bool found = queue_count(call) != 0;
    if (found) {
        uint64_t head = brg_load_relaxed(&call->at->xhead);
        memcpy(call->target, queue_slot(call, head), call->item_bytes);
        brg_store_release(&call->at->xhead, head + 1);
    }
    queue_unlock(call);
    if (found)
        brg__bell_ring(&call->at->room, 1);
    return found;
}

brg_status brg_queue_push(brg_shared *shared, size_t offset, const void *item, size_t item_bytes, uint64_t timeout_ns)
{
    queue_call call;
    brg_status status = queue_open(&call, shared, offset);
    if (status != BRG_OK)
        return status;
    if (item == NULL || item_bytes != call.item_bytes)
        return BRG_INVALID;
    call.source = item;
    if (brg__bell_await(shared, &call.at->room, queue_try_push, &call, timeout_ns))
        return call.status;
    return timeout_ns == 0 ? BRG_FULL : brg__bell_verdict();
}

brg_status brg_queue_pop(brg_shared *shared, size_t offset, void *item, size_t item_bytes, uint64_t timeout_ns)
{
    queue_call call;
    brg_status status = queue_open(&call, shared, offset);
    if (status != BRG_OK)
        return status;
    if (item == NULL || item_bytes != call.item_bytes)
        return BRG_INVALID;
    call.target = item;
    if (brg__bell_await(shared, &call.at->items, queue_try_pop, &call, timeout_ns))
        return call.status;
    return timeout_ns == 0 ? BRG_EMPTY : brg__bell_verdict();
}

brg_status brg_queue_close(brg_shared *shared, size_t offset)
{
    queue_call call;
    brg_status status = queue_open(&call, shared, offset);
    if (status != BRG_OK)
        return status;
    if (!queue_lock(&call)) /* a push that began before is in it whole */
        return BRG_STATE;
    brg_store_seq_cst(&call.at->xclosed, 1u);
    queue_unlock(&call);
    brg__bell_ring(&call.at->room, UINT32_MAX);
    brg__bell_ring(&call.at->items, UINT32_MAX);
    return BRG_OK;
}

brg_status brg_queue_count(brg_shared *shared, size_t offset, uint32_t *out)
{
    queue_call call;
    brg_status status = queue_open(&call, shared, offset);
    if (status != BRG_OK)
        return status;
    if (out == NULL)
        return BRG_INVALID;
    *out = (uint32_t)brg__min(queue_count(&call), call.slots);
    return BRG_OK;
}
