/* SPDX-License-Identifier: MIT */
#include "os/lock.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/atomic.h"
#include "os/futex.h"
#include "os/thread.h"

#define LOCK_FREE 0u
#define LOCK_HELD 1u
#define LOCK_CONTENDED 2u

/* Some 10 us: about what it costs to sleep and be woken (ski rental). Also while others sleep already: a queue of
 * sleepers that everybody joins would last as long as the lock is busy. */
#define LOCK_SPIN_COUNT 300

#ifdef BRG__DEBUG

#define LOCK_HELD_MAX 16

static _Thread_local const brg__lock *lock_held[LOCK_HELD_MAX];
static _Thread_local uint32_t lock_held_count;

static void lock_check_order(const brg__lock *lock)
{
    for (uint32_t i = 0; i < lock_held_count; i++) {
        const brg__lock *held = lock_held[i];
        if (held == lock || (held->rank >= lock->rank && lock->rank != BRG__RANK_NONE)) {
            fprintf(stderr, "brigade: lock order: \"%s\" (rank %u) taken while holding \"%s\" (rank %u)\n", lock->name,
                    lock->rank, held->name, held->rank);
            abort();
        }
    }
}

static void lock_note_acquired(const brg__lock *lock)
{
    if (lock_held_count == LOCK_HELD_MAX) {
        fprintf(stderr, "brigade: \"%s\" is one lock too many for one thread\n", lock->name);
        abort();
    }
    lock_held[lock_held_count++] = lock;
}

static void lock_note_released(const brg__lock *lock)
{
    brg__lock_assert_held(lock);
    uint32_t at = lock_held_count;
    while (lock_held[--at] != lock)
        ;
    for (lock_held_count--; at < lock_held_count; at++)
        lock_held[at] = lock_held[at + 1];
}

void brg__lock_assert_held(const brg__lock *lock)
{
    for (uint32_t i = 0; i < lock_held_count; i++)
        if (lock_held[i] == lock)
            return;
    fprintf(stderr, "brigade: lock \"%s\" is not held by this thread\n", lock->name);
    abort();
}

#else

static inline void lock_check_order(const brg__lock *lock) { (void)lock; }
static inline void lock_note_acquired(const brg__lock *lock) { (void)lock; }
static inline void lock_note_released(const brg__lock *lock) { (void)lock; }
void brg__lock_assert_held(const brg__lock *lock) { (void)lock; }

#endif

void brg__lock_init(brg__lock *lock, brg__lock_rank rank, const char *name)
{
    *lock = (brg__lock)BRG__LOCK_INIT(rank, name);
}

/* The acquire of each taking pairs with the release in brg__lock_release. */
static bool lock_take_free(brg__lock *lock)
{
    uint32_t expected = LOCK_FREE;
    return brg_cas_acq_rel(&lock->xstate, &expected, LOCK_HELD);
}

static bool lock_spin(brg__lock *lock)
{
    if (brg__cpu_online() < 2)
        return false;
    for (int i = 0; i < LOCK_SPIN_COUNT; i++) {
        if (brg_load_relaxed(&lock->xstate) == LOCK_FREE && lock_take_free(lock))
            return true;
        brg__cpu_pause();
    }
    return false;
}

void brg__lock_acquire(brg__lock *lock)
{
    lock_check_order(lock);
    if (!lock_take_free(lock) && !lock_spin(lock))
        while (brg_exchange_acquire(&lock->xstate, LOCK_CONTENDED) != LOCK_FREE)
            brg__futex_wait(&lock->xstate, LOCK_CONTENDED, UINT64_MAX, BRG__FUTEX_PRIVATE);
    lock_note_acquired(lock);
}

/* Ranks do not bind here: who does not wait is in no deadlock. What is taken next is checked against this one. */
bool brg__lock_try_acquire(brg__lock *lock)
{
    if (!lock_take_free(lock))
        return false;
    lock_note_acquired(lock);
    return true;
}

void brg__lock_release(brg__lock *lock)
{
    lock_note_released(lock);
    if (brg_exchange_acq_rel(&lock->xstate, LOCK_FREE) == LOCK_CONTENDED)
        brg__futex_wake(&lock->xstate, 1, BRG__FUTEX_PRIVATE);
}
