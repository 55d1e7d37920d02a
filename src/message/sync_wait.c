/* SPDX-License-Identifier: MIT */
/* Bells: see message/sync.h. */
#include "message/sync.h"

#include "os/atomic.h"
#include "os/clock.h"
#include "os/park.h"
#include "os/waiter.h"

#define SYNC_SPIN_NS BRG_MICROSECONDS(20)
/* How often a sleeper that bury cannot see looks by itself. */
#define SYNC_UNSEEN_NS BRG_MILLISECONDS(10)

brg_status brg__sync_at(const brg_shared *shared, size_t offset, size_t bytes, void **object)
{
    brg_status status = brg__shared_check(shared, offset, bytes, BRG_SYNC_ALIGNMENT);
    if (status == BRG_OK)
        *object = shared->data + offset;
    return status;
}

brg_status brg__sync_at_wait(const brg_shared *shared, size_t offset, size_t bytes, void **object)
{
    return brg__shared_is_forked(shared) ? BRG_FORKED : brg__sync_at(shared, offset, bytes, object);
}

/* ---- the table of sleepers --------------------------------------------------------------------------------- */

static brg__shared_sleeper *sleeper_take(brg_shared *shared, const brg__bell *bell)
{
    brg__shared_header *header = shared->header;
    if (brg_load_relaxed(&header->xslept) == 0) {
        if (brg__shared_reserve(shared, offsetof(brg__shared_header, sleepers), sizeof(header->sleepers), NULL) !=
            BRG_OK)
            return NULL;
        brg_store_seq_cst(&header->xslept, 1u);
    }
    uint32_t start = brg__thread_id();
    for (uint32_t i = 0; i < BRG__SHARED_SLEEPERS; i++) {
        brg__shared_sleeper *sleeper = &header->sleepers[(start + i) % BRG__SHARED_SLEEPERS];
        uint32_t nobody = 0;
        if (brg_load_relaxed(&sleeper->xparticipant) == 0 &&
            brg_cas_seq_cst(&sleeper->xparticipant, &nobody, shared->participant)) {
            brg_store_seq_cst(&sleeper->xoffset, (uint64_t)((const unsigned char *)bell - shared->data));
            return sleeper;
        }
    }
    return NULL;
}

/* The bell of a sleeper, as far as its offset can be believed. */
static brg__bell *sleeper_bell(brg_shared *shared, const brg__shared_sleeper *sleeper)
{
    uint64_t offset = brg_load_seq_cst(&sleeper->xoffset);
    if (brg__shared_check(shared, offset, sizeof(brg__bell), sizeof(uint32_t)) != BRG_OK)
        return NULL;
    return (brg__bell *)(void *)(shared->data + offset);
}

/* One sleeper less, never below none. */
static void bell_discount(brg__bell *bell)
{
    uint32_t sleepers = brg_load_relaxed(&bell->xsleepers);
    while (sleepers > 0 && !brg_cas_acq_rel(&bell->xsleepers, &sleepers, sleepers - 1))
        ;
}

static void sleeper_ring(brg_shared *shared, brg__shared_sleeper *sleeper)
{
    uint32_t participant = brg_load_seq_cst(&sleeper->xparticipant);
    brg__bell *bell = participant != 0 ? sleeper_bell(shared, sleeper) : NULL;
    if (participant == 0)
        return;
    if (!brg__shared_is_alive(shared, participant)) {
        if (bell != NULL && brg_exchange_acq_rel(&sleeper->xcounted, 0u) != 0)
            bell_discount(bell);
        brg_cas_acq_rel(&sleeper->xparticipant, &participant, 0u);
    }
    if (bell != NULL) { /* whoever else sleeps there: the dead one may have been about to wake it */
        brg_add_seq_cst(&bell->xring, 1u);
        brg__futex_wake(&bell->xring, UINT32_MAX, BRG__FUTEX_SHARED);
    }
}

void brg__shared_ring_all(brg_shared *shared)
{
    brg_fence_seq_cst(); /* pairs with the seq_cst stores of who registers and then looks at the object */
    if (brg_load_seq_cst(&shared->header->xslept) == 0)
        return;
    for (uint32_t i = 0; i < BRG__SHARED_SLEEPERS; i++)
        sleeper_ring(shared, &shared->header->sleepers[i]);
}

/* ---- bells ------------------------------------------------------------------------------------------------- */

void brg__bell_ring(brg__bell *bell, uint32_t count)
{
    brg_fence_seq_cst(); /* pairs with the one in brg__bell_watch_begin */
    if (brg_load_seq_cst(&bell->xsleepers) == 0)
        return;
    brg_add_seq_cst(&bell->xring, 1u);
    brg__futex_wake(&bell->xring, count, BRG__FUTEX_SHARED);
}

void brg__bell_watch_begin(brg__bell_watch *watch, brg_shared *shared, brg__bell *bell)
{
    *watch = (brg__bell_watch){.shared = shared, .bell = bell, .sleeper = sleeper_take(shared, bell)};
    brg_add_seq_cst(&bell->xsleepers, 1u);
    if (watch->sleeper != NULL)
        brg_store_release(&watch->sleeper->xcounted, 1u);
    watch->ring = brg_load_seq_cst(&bell->xring);
    brg_fence_seq_cst(); /* pairs with the one in brg__bell_ring */
}

bool brg__bell_watch_has_rung(const brg__bell_watch *watch)
{
    return brg_load_seq_cst(&watch->bell->xring) != watch->ring;
}

bool brg__bell_watch_sleep(brg__bell_watch *watch, uint64_t deadline_ns)
{
    uint64_t until = brg__waiter_slice(deadline_ns);
    if (watch->sleeper == NULL)
        until = brg__min(until, brg__deadline(SYNC_UNSEEN_NS));
    return brg__futex_wait(&watch->bell->xring, watch->ring, until, BRG__FUTEX_SHARED) || until != deadline_ns;
}

void brg__bell_watch_end(brg__bell_watch *watch)
{
    if (watch->sleeper != NULL)
        brg_store_relaxed(&watch->sleeper->xcounted, 0u);
    bell_discount(watch->bell);
    if (watch->sleeper != NULL)
        brg_store_release(&watch->sleeper->xparticipant, 0u); /* pairs with the taking in sleeper_take */
}

static brg__spinner *sync_spinner(void)
{
    static _Thread_local brg__spinner spinner;
    static _Thread_local bool ready;
    if (!ready)
        brg__spinner_init(&spinner, SYNC_SPIN_NS);
    ready = true;
    return &spinner;
}

brg_status brg__bell_verdict(void)
{
    return brg__waiter_is_asked(brg__waiter_current()) ? BRG_CANCELLED : BRG_TIMED_OUT;
}

static bool bell_is_asked(void) { return brg__waiter_is_asked(brg__waiter_current()); }

static bool bell_await(brg_shared *shared, brg__bell *bell, bool (*ready)(void *argument), void *argument,
                       uint64_t timeout_ns, bool until_asked)
{
    if (ready(argument))
        return true;
    if (timeout_ns == 0)
        return false;
    uint64_t deadline = brg__deadline(timeout_ns);
    if (brg__spinner_spin(sync_spinner(), NULL, ready, argument))
        return true;
    brg__bell_watch watch;
    brg__bell_watch_begin(&watch, shared, bell);
    bool done, in_time = true;
    while (!(done = ready(argument)) && in_time) {
        in_time = brg__bell_watch_sleep(&watch, deadline) && !(until_asked && bell_is_asked());
        watch.ring = brg_load_seq_cst(&bell->xring);
    }
    brg__bell_watch_end(&watch);
    return done;
}

bool brg__bell_await(brg_shared *shared, brg__bell *bell, bool (*ready)(void *argument), void *argument,
                     uint64_t timeout_ns)
{
    return bell_await(shared, bell, ready, argument, timeout_ns, true);
}

void brg__bell_await_surely(brg_shared *shared, brg__bell *bell, bool (*ready)(void *argument), void *argument)
{
    (void)bell_await(shared, bell, ready, argument, BRG_FOREVER, false);
}
