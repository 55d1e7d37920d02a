/* SPDX-License-Identifier: MIT */
/*
 * Mutex and condition.
 *
 * A mutex's word is its holder's participant id, as in the kernel's robust futexes
 * (Documentation/locking/robust-futexes); the thread beside it only tells the holder's own process who of its threads
 * it is. Who finds a dead holder takes the word over and marks the mutex as HURT: its guarded data may be half
 * changed. Giving a hurt mutex back makes it DEAD.
 */
#include "message/sync.h"

#include "os/atomic.h"
#include "os/clock.h"

enum { MUTEX_WELL, MUTEX_HURT, MUTEX_DEAD };

_Static_assert(sizeof(brg__mutex) <= BRG_MUTEX_BYTES && sizeof(brg__bell) <= BRG_CONDITION_BYTES, "they have room");

typedef struct mutex_taking {
    brg_shared *shared;
    brg__mutex *mutex;
    brg_status status;
} mutex_taking;

bool brg__mutex_is_ours(const brg_shared *shared, const brg__mutex *mutex)
{
    return brg_load_relaxed(&mutex->xholder) == shared->participant &&
           brg_load_relaxed(&mutex->xthread) == brg__thread_id();
}

static void mutex_release(brg__mutex *mutex, uint32_t wake_count)
{
    brg_store_relaxed(&mutex->xthread, 0u);
    brg_exchange_seq_cst(&mutex->xholder, 0u); /* pairs with the taking in mutex_try */
    brg__bell_ring(&mutex->bell, wake_count);
}

/* The caller's word is in it: what did it get? */
static brg_status mutex_taken(brg__mutex *mutex, bool from_dead)
{
    brg_store_relaxed(&mutex->xthread, brg__thread_id());
    if (brg_load_relaxed(&mutex->xhealth) == MUTEX_DEAD) {
        mutex_release(mutex, UINT32_MAX);
        return BRG_STATE;
    }
    if (!from_dead)
        return BRG_OK;
    brg_store_relaxed(&mutex->xhealth, (uint32_t)MUTEX_HURT);
    return BRG_OWNER_DIED;
}

static bool mutex_try(void *argument)
{
    mutex_taking *taking = argument;
    brg__mutex *mutex = taking->mutex;
    uint32_t holder = brg_load_relaxed(&mutex->xholder);
    if (holder != 0 && brg__shared_is_alive(taking->shared, holder))
        return false;
    bool from_dead = holder != 0;
    if (!brg_cas_acq_rel(&mutex->xholder, &holder, taking->shared->participant))
        return false;
    taking->status = mutex_taken(mutex, from_dead);
    return true;
}

brg_status brg__mutex_take(brg_shared *shared, brg__mutex *mutex, uint64_t timeout_ns)
{
    mutex_taking taking = {.shared = shared, .mutex = mutex};
    if (brg__mutex_is_ours(shared, mutex))
        return BRG_DEADLOCK;
    return brg__bell_await(shared, &mutex->bell, mutex_try, &taking, timeout_ns) ? taking.status : brg__bell_verdict();
}

/* Also in a worker that is asked to end. */
static brg_status mutex_take_surely(brg_shared *shared, brg__mutex *mutex)
{
    mutex_taking taking = {.shared = shared, .mutex = mutex};
    brg__bell_await_surely(shared, &mutex->bell, mutex_try, &taking);
    return taking.status;
}

void brg__mutex_give(brg_shared *shared, brg__mutex *mutex)
{
    (void)shared;
    bool hurt = brg_load_relaxed(&mutex->xhealth) != MUTEX_WELL;
    if (hurt)
        brg_store_relaxed(&mutex->xhealth, (uint32_t)MUTEX_DEAD);
    mutex_release(mutex, hurt ? UINT32_MAX : 1);
}

void brg__mutex_heal(brg__mutex *mutex) { brg_store_relaxed(&mutex->xhealth, (uint32_t)MUTEX_WELL); }

brg_status brg_mutex_init(brg_shared *shared, size_t offset)
{
    void *at = NULL;
    brg_status status = brg__sync_at(shared, offset, BRG_MUTEX_BYTES, &at);
    if (status != BRG_OK)
        return status;
    brg__mutex *mutex = at;
    brg_store_relaxed(&mutex->xthread, 0u);
    brg__mutex_heal(mutex);
    brg_store_relaxed(&mutex->bell.xsleepers, 0u);
    brg_store_seq_cst(&mutex->xholder, 0u);
    return BRG_OK;
}

brg_status brg_mutex_lock(brg_shared *shared, size_t offset, uint64_t timeout_ns)
{
    void *mutex = NULL;
    brg_status status = brg__sync_at_wait(shared, offset, BRG_MUTEX_BYTES, &mutex);
    return status == BRG_OK ? brg__mutex_take(shared, mutex, timeout_ns) : status;
}

/* The mutex, if the calling thread holds it. */
static brg_status mutex_held(brg_shared *shared, size_t offset, brg__mutex **out)
{
    void *mutex = NULL;
    brg_status status = brg__sync_at_wait(shared, offset, BRG_MUTEX_BYTES, &mutex);
    if (status == BRG_OK && !brg__mutex_is_ours(shared, mutex))
        status = BRG_STATE;
    if (status == BRG_OK)
        *out = mutex;
    return status;
}

brg_status brg_mutex_unlock(brg_shared *shared, size_t offset)
{
    brg__mutex *mutex = NULL;
    brg_status status = mutex_held(shared, offset, &mutex);
    if (status == BRG_OK)
        brg__mutex_give(shared, mutex);
    return status;
}

brg_status brg_mutex_recovered(brg_shared *shared, size_t offset)
{
    brg__mutex *mutex = NULL;
    brg_status status = mutex_held(shared, offset, &mutex);
    if (status == BRG_OK)
        brg__mutex_heal(mutex);
    return status;
}

/* ---- condition: a bell ------------------------------------------------------------------------------------- */

brg_status brg_condition_wait(brg_shared *shared, size_t offset, size_t mutex_offset, uint64_t timeout_ns)
{
    void *bell = NULL;
    brg__mutex *mutex = NULL;
    brg_status status = brg__sync_at_wait(shared, offset, BRG_CONDITION_BYTES, &bell);
    if (status == BRG_OK)
        status = mutex_held(shared, mutex_offset, &mutex);
    if (status != BRG_OK)
        return status;
    uint64_t deadline = brg__deadline(timeout_ns);
    brg__bell_watch watch;
    brg__bell_watch_begin(&watch, shared, bell); /* with the mutex held: a signal after this is seen */
    brg__mutex_give(shared, mutex);
    bool in_time = true;
    while (in_time && !brg__bell_watch_has_rung(&watch))
        in_time = brg__bell_watch_sleep(&watch, deadline) && brg__bell_verdict() != BRG_CANCELLED;
    bool signalled = brg__bell_watch_has_rung(&watch);
    brg__bell_watch_end(&watch);
    status = mutex_take_surely(shared, mutex);
    return status == BRG_OK && !signalled ? brg__bell_verdict() : status;
}

static brg_status condition_wake(brg_shared *shared, size_t offset, uint32_t count)
{
    void *bell = NULL;
    brg_status status = brg__sync_at(shared, offset, BRG_CONDITION_BYTES, &bell);
    if (status == BRG_OK)
        brg__bell_ring(bell, count);
    return status;
}

brg_status brg_condition_signal(brg_shared *shared, size_t offset) { return condition_wake(shared, offset, 1); }

brg_status brg_condition_broadcast(brg_shared *shared, size_t offset)
{
    return condition_wake(shared, offset, UINT32_MAX);
}
