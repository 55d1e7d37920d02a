/* SPDX-License-Identifier: MIT */
/*
 * What counts: semaphore, latch, barrier; and once. The barrier's word holds its round and who has arrived in it, so
 * that arriving, completing a round and withdrawing are one compare-and-swap each.
 */
#include "message/sync.h"

#include "os/atomic.h"

typedef struct counter {
    uint32_t xcount;
    brg__bell bell;
} counter;

typedef struct barrier {
    uint64_t xround; /* round << 32 | arrived */
    uint32_t xparties;
    brg__bell bell;
} barrier;

typedef struct once {
    uint32_t xholder; /* who does it; 0: nobody yet; ONCE_DONE */
    uint32_t xthread;
    brg__bell bell;
} once;

#define ONCE_DONE UINT32_MAX

_Static_assert(sizeof(counter) <= BRG_SEMAPHORE_BYTES && sizeof(counter) <= BRG_LATCH_BYTES, "they have room");
_Static_assert(sizeof(barrier) <= BRG_BARRIER_BYTES && sizeof(once) <= BRG_ONCE_BYTES, "they have room");

static brg_status counter_at(const brg_shared *shared, size_t offset, counter **out)
{
    void *at = NULL;
    brg_status status = brg__sync_at(shared, offset, BRG_SEMAPHORE_BYTES, &at);
    if (status == BRG_OK)
        *out = at;
    return status;
}

static brg_status counter_init(brg_shared *shared, size_t offset, uint32_t count)
{
    counter *at = NULL;
    brg_status status = counter_at(shared, offset, &at);
    if (status != BRG_OK)
        return status;
    brg_store_relaxed(&at->bell.xsleepers, 0u);
    brg_store_seq_cst(&at->xcount, count);
    return BRG_OK;
}

static brg_status counter_read(brg_shared *shared, size_t offset, uint32_t *out)
{
    counter *at = NULL;
    brg_status status = counter_at(shared, offset, &at);
    if (status != BRG_OK)
        return status;
    if (out == NULL)
        return BRG_INVALID;
    *out = brg_load_seq_cst(&at->xcount);
    return BRG_OK;
}

static brg_status counter_await(brg_shared *shared, size_t offset, bool (*ready)(void *argument), uint64_t timeout_ns)
{
    counter *at = NULL;
    brg_status status = brg__shared_is_forked(shared) ? BRG_FORKED : counter_at(shared, offset, &at);
    if (status != BRG_OK)
        return status;
    return brg__bell_await(shared, &at->bell, ready, at, timeout_ns) ? BRG_OK : brg__bell_verdict();
}

/* ---- semaphore --------------------------------------------------------------------------------------------- */

brg_status brg_semaphore_init(brg_shared *shared, size_t offset, uint32_t permits)
{
    return counter_init(shared, offset, permits);
}

brg_status brg_semaphore_count(brg_shared *shared, size_t offset, uint32_t *out)
{
    return counter_read(shared, offset, out);
}

static bool semaphore_try(void *argument)
{
    counter *semaphore = argument;
    uint32_t count = brg_load_relaxed(&semaphore->xcount);
    while (count > 0)
        if (brg_cas_seq_cst(&semaphore->xcount, &count, count - 1))
            return true;
    return false;
}

brg_status brg_semaphore_acquire(brg_shared *shared, size_t offset, uint64_t timeout_ns)
{
    return counter_await(shared, offset, semaphore_try, timeout_ns);
}

brg_status brg_semaphore_release(brg_shared *shared, size_t offset, uint32_t count)
{
    counter *semaphore = NULL;
    brg_status status = counter_at(shared, offset, &semaphore);
    if (status != BRG_OK)
        return status;
    uint32_t before = brg_load_relaxed(&semaphore->xcount);
    do
        if (count > UINT32_MAX - before)
            return BRG_TOO_LARGE;
    while (!brg_cas_seq_cst(&semaphore->xcount, &before, before + count));
    brg__bell_ring(&semaphore->bell, count);
    return BRG_OK;
}

/* ---- latch ------------------------------------------------------------------------------------------------- */

brg_status brg_latch_init(brg_shared *shared, size_t offset, uint32_t count)
{
    return counter_init(shared, offset, count);
}

brg_status brg_latch_count(brg_shared *shared, size_t offset, uint32_t *out)
{
    return counter_read(shared, offset, out);
}

static bool latch_is_open(void *argument) { return brg_load_seq_cst(&((counter *)argument)->xcount) == 0; }

brg_status brg_latch_wait(brg_shared *shared, size_t offset, uint64_t timeout_ns)
{
    return counter_await(shared, offset, latch_is_open, timeout_ns);
}

brg_status brg_latch_count_down(brg_shared *shared, size_t offset, uint32_t count)
{
    counter *latch = NULL;
    brg_status status = counter_at(shared, offset, &latch);
    if (status != BRG_OK)
        return status;
    uint32_t left = brg_load_relaxed(&latch->xcount);
    do
        if (count > left)
            return BRG_RANGE;
    while (!brg_cas_seq_cst(&latch->xcount, &left, left - count));
    if (left == count)
        brg__bell_ring(&latch->bell, UINT32_MAX);
    return BRG_OK;
}

/* ---- barrier ----------------------------------------------------------------------------------------------- */

typedef struct barrier_stay {
    barrier *at;
    uint32_t round;
} barrier_stay;

static uint32_t round_number(uint64_t word) { return (uint32_t)(word >> 32); }

brg_status brg_barrier_init(brg_shared *shared, size_t offset, uint32_t parties)
{
    void *at = NULL;
    brg_status status = brg__sync_at(shared, offset, BRG_BARRIER_BYTES, &at);
    if (status != BRG_OK)
        return status;
    if (parties == 0)
        return BRG_INVALID;
    barrier *made = at;
    brg_store_relaxed(&made->bell.xsleepers, 0u);
    brg_store_relaxed(&made->xround, (uint64_t)0);
    brg_store_seq_cst(&made->xparties, parties);
    return BRG_OK;
}

static bool barrier_is_past(void *argument)
{
    const barrier_stay *stay = argument;
    return round_number(brg_load_seq_cst(&stay->at->xround)) != stay->round;
}

/* True where the round was completed meanwhile. */
static bool barrier_withdraw(const barrier_stay *stay)
{
    uint64_t word = brg_load_seq_cst(&stay->at->xround);
    while (round_number(word) == stay->round && (uint32_t)word != 0)
        if (brg_cas_seq_cst(&stay->at->xround, &word, word - 1))
            return false;
    return true;
}

/* Arrives; true for the last one. */
static bool barrier_arrive(barrier *at, uint32_t parties, uint32_t *round)
{
    uint64_t word = brg_load_relaxed(&at->xround), next;
    do {
        uint64_t number = round_number(word);
        *round = (uint32_t)number;
        next = (uint32_t)word + (uint64_t)1 >= parties ? (number + 1) << 32 : word + 1;
    } while (!brg_cas_seq_cst(&at->xround, &word, next));
    return (uint32_t)next == 0;
}

brg_status brg_barrier_wait(brg_shared *shared, size_t offset, uint64_t timeout_ns, bool *is_leader)
{
    void *found = NULL;
    brg_status status = brg__sync_at_wait(shared, offset, BRG_BARRIER_BYTES, &found);
    if (status != BRG_OK)
        return status;
    barrier_stay stay = {.at = found};
    uint32_t parties = brg_load_relaxed(&stay.at->xparties);
    if (parties == 0)
        return BRG_STATE;
    bool last = barrier_arrive(stay.at, parties, &stay.round);
    if (last)
        brg__bell_ring(&stay.at->bell, UINT32_MAX);
    else if (!brg__bell_await(shared, &stay.at->bell, barrier_is_past, &stay, timeout_ns) && !barrier_withdraw(&stay))
        return brg__bell_verdict();
    if (is_leader != NULL)
        *is_leader = last;
    return BRG_OK;
}

/* ---- once -------------------------------------------------------------------------------------------------- */

typedef struct once_taking {
    brg_shared *shared;
    once *at;
    brg_status status;
    bool run;
} once_taking;

static bool once_is_ours(const brg_shared *shared, const once *at)
{
    return brg_load_relaxed(&at->xholder) == shared->participant && brg_load_relaxed(&at->xthread) == brg__thread_id();
}

static bool once_try(void *argument)
{
    once_taking *taking = argument;
    once *at = taking->at;
    uint32_t holder = brg_load_seq_cst(&at->xholder); /* pairs with the exchange in brg_once_end */
    if (holder == ONCE_DONE)
        return true;
    if (holder != 0 && brg__shared_is_alive(taking->shared, holder))
        return false;
    taking->status = holder != 0 ? BRG_OWNER_DIED : BRG_OK;
    if (!brg_cas_seq_cst(&at->xholder, &holder, taking->shared->participant))
        return false;
    brg_store_relaxed(&at->xthread, brg__thread_id());
    taking->run = true;
    return true;
}

brg_status brg_once_begin(brg_shared *shared, size_t offset, uint64_t timeout_ns, bool *run)
{
    void *at = NULL;
    brg_status status = brg__sync_at_wait(shared, offset, BRG_ONCE_BYTES, &at);
    if (status == BRG_OK && run == NULL)
        status = BRG_INVALID;
    if (status == BRG_OK && once_is_ours(shared, at))
        status = BRG_DEADLOCK;
    if (status != BRG_OK)
        return status;
    once_taking taking = {.shared = shared, .at = at};
    if (!brg__bell_await(shared, &taking.at->bell, once_try, &taking, timeout_ns))
        return brg__bell_verdict();
    *run = taking.run;
    return taking.run ? taking.status : BRG_OK;
}

brg_status brg_once_end(brg_shared *shared, size_t offset, bool done)
{
    void *found = NULL;
    brg_status status = brg__sync_at_wait(shared, offset, BRG_ONCE_BYTES, &found);
    if (status == BRG_OK && !once_is_ours(shared, found))
        status = BRG_STATE;
    if (status != BRG_OK)
        return status;
    once *at = found;
    brg_store_relaxed(&at->xthread, 0u);
    brg_exchange_seq_cst(&at->xholder, done ? ONCE_DONE : 0u);
    brg__bell_ring(&at->bell, UINT32_MAX);
    return BRG_OK;
}
