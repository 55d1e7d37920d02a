/* SPDX-License-Identifier: MIT */
/*
 * Reader-writer lock, after the "big reader" locks: readers count themselves in an entry of their process, so that a
 * dead process's readers are told from living ones, and then look whether a writer is there; a writer first announces
 * itself and then looks whether all entries are empty. Each side writes, fences, and reads what the other writes.
 *
 * xwriter is the id of the writer, or of the one that waits for the readers to leave; xwriting tells the two apart:
 * only one that had begun to write can leave the data half changed. Who finds a dead one takes its place and marks
 * the lock hurt.
 */
#include "message/sync.h"

#include "os/atomic.h"

typedef struct rwlock {
    uint32_t xwriter;
    uint32_t xthread;
    uint32_t xwriting;
    uint32_t xhurt;
    brg__bell bell;
    BRG__ALIGNED(64) uint64_t xreaders[BRG_RWLOCK_READERS_MAX]; /* participant << 32 | count; 0: free */
} rwlock;

_Static_assert(sizeof(rwlock) <= BRG_RWLOCK_BYTES, "it has room");

typedef struct rwlock_taking {
    brg_shared *shared;
    rwlock *lock;
    bool announced; /* xwriter is ours */
} rwlock_taking;

static brg_status rwlock_at(const brg_shared *shared, size_t offset, rwlock **out)
{
    void *lock = NULL;
    brg_status status = brg__sync_at_wait(shared, offset, BRG_RWLOCK_BYTES, &lock);
    if (status == BRG_OK)
        *out = lock;
    return status;
}

static bool rwlock_is_ours(const brg_shared *shared, const rwlock *lock)
{
    return brg_load_relaxed(&lock->xwriter) == shared->participant &&
           brg_load_relaxed(&lock->xthread) == brg__thread_id();
}

static void rwlock_clear_writer(rwlock *lock)
{
    brg_store_relaxed(&lock->xthread, 0u);
    brg_store_relaxed(&lock->xwriting, 0u);
    brg_exchange_seq_cst(&lock->xwriter, 0u);
    brg__bell_ring(&lock->bell, UINT32_MAX);
}

/* The caller has just put its id where a dead one's was. */
static void rwlock_note_death(rwlock *lock)
{
    if (brg_load_relaxed(&lock->xwriting) == 0)
        return;
    brg_store_relaxed(&lock->xhurt, 1u);
    brg_store_relaxed(&lock->xwriting, 0u);
}

static brg_status rwlock_status(const rwlock *lock)
{
    return brg_load_relaxed(&lock->xhurt) != 0 ? BRG_OWNER_DIED : BRG_OK;
}

/* ---- readers ----------------------------------------------------------------------------------------------- */

static uint32_t entry_participant(uint64_t entry) { return (uint32_t)(entry >> 32); }

/* Nobody reads by this entry: it is free, or its process is dead. */
static bool entry_is_idle(const brg_shared *shared, uint64_t entry)
{
    return (uint32_t)entry == 0 || !brg__shared_is_alive(shared, entry_participant(entry));
}

/* One more reader in our process's entry, or in one that is idle. */
static bool readers_enter(brg_shared *shared, rwlock *lock)
{
    for (uint32_t i = 0; i < BRG_RWLOCK_READERS_MAX; i++) {
        uint64_t entry = brg_load_relaxed(&lock->xreaders[i]);
        while (entry_participant(entry) == shared->participant && (uint32_t)entry != UINT32_MAX)
            if (brg_cas_seq_cst(&lock->xreaders[i], &entry, entry + 1))
                return true;
    }
    for (uint32_t i = 0; i < BRG_RWLOCK_READERS_MAX; i++) {
        uint64_t entry = brg_load_relaxed(&lock->xreaders[i]);
        while (entry_is_idle(shared, entry))
            if (brg_cas_seq_cst(&lock->xreaders[i], &entry, (uint64_t)shared->participant << 32 | 1))
                return true;
    }
    return false;
}

/* One reader of our process less; false when it has none. */
static bool readers_leave(brg_shared *shared, rwlock *lock)
{
    for (uint32_t i = 0; i < BRG_RWLOCK_READERS_MAX; i++) {
        uint64_t entry = brg_load_relaxed(&lock->xreaders[i]);
        while (entry_participant(entry) == shared->participant && (uint32_t)entry != 0)
            if (brg_cas_seq_cst(&lock->xreaders[i], &entry, (uint32_t)entry == 1 ? 0 : entry - 1)) {
                brg__bell_ring(&lock->bell, UINT32_MAX);
                return true;
            }
    }
    return false;
}

static bool rwlock_try_read(void *argument)
{
    rwlock_taking *taking = argument;
    rwlock *lock = taking->lock;
    uint32_t writer = brg_load_seq_cst(&lock->xwriter);
    if (writer != 0) {
        if (brg__shared_is_alive(taking->shared, writer) ||
            !brg_cas_seq_cst(&lock->xwriter, &writer, taking->shared->participant))
            return false;
        rwlock_note_death(lock);
        rwlock_clear_writer(lock);
    }
    if (!readers_enter(taking->shared, lock))
        return false;
    brg_fence_seq_cst(); /* pairs with the one in rwlock_try_write */
    if (brg_load_seq_cst(&lock->xwriter) == 0)
        return true;
    readers_leave(taking->shared, lock);
    return false;
}

brg_status brg_rwlock_read(brg_shared *shared, size_t offset, uint64_t timeout_ns)
{
    rwlock *lock = NULL;
    brg_status status = rwlock_at(shared, offset, &lock);
    if (status != BRG_OK)
        return status;
    if (rwlock_is_ours(shared, lock))
        return BRG_DEADLOCK;
    rwlock_taking taking = {.shared = shared, .lock = lock};
    if (!brg__bell_await(shared, &lock->bell, rwlock_try_read, &taking, timeout_ns))
        return brg__bell_verdict();
    return rwlock_status(lock);
}

brg_status brg_rwlock_end_read(brg_shared *shared, size_t offset)
{
    rwlock *lock = NULL;
    brg_status status = rwlock_at(shared, offset, &lock);
    if (status == BRG_OK && !readers_leave(shared, lock))
        status = BRG_STATE;
    return status;
}

/* ---- writers ----------------------------------------------------------------------------------------------- */

static bool rwlock_announce(rwlock_taking *taking)
{
    rwlock *lock = taking->lock;
    uint32_t writer = brg_load_relaxed(&lock->xwriter);
    if (writer != 0 && brg__shared_is_alive(taking->shared, writer))
        return false;
    bool from_dead = writer != 0;
    if (!brg_cas_seq_cst(&lock->xwriter, &writer, taking->shared->participant))
        return false;
    if (from_dead)
        rwlock_note_death(lock);
    brg_store_relaxed(&lock->xthread, brg__thread_id());
    return true;
}

static bool rwlock_try_write(void *argument)
{
    rwlock_taking *taking = argument;
    rwlock *lock = taking->lock;
    if (!taking->announced && !rwlock_announce(taking))
        return false;
    taking->announced = true;
    brg_fence_seq_cst(); /* pairs with the one in rwlock_try_read */
    for (uint32_t i = 0; i < BRG_RWLOCK_READERS_MAX; i++)
        if (!entry_is_idle(taking->shared, brg_load_seq_cst(&lock->xreaders[i])))
            return false;
    brg_store_relaxed(&lock->xwriting, 1u);
    return true;
}

brg_status brg_rwlock_write(brg_shared *shared, size_t offset, uint64_t timeout_ns)
{
    rwlock *lock = NULL;
    brg_status status = rwlock_at(shared, offset, &lock);
    if (status != BRG_OK)
        return status;
    if (rwlock_is_ours(shared, lock))
        return BRG_DEADLOCK;
    rwlock_taking taking = {.shared = shared, .lock = lock};
    if (brg__bell_await(shared, &lock->bell, rwlock_try_write, &taking, timeout_ns))
        return rwlock_status(lock);
    if (taking.announced)
        rwlock_clear_writer(lock);
    return brg__bell_verdict();
}

brg_status brg_rwlock_end_write(brg_shared *shared, size_t offset)
{
    rwlock *lock = NULL;
    brg_status status = rwlock_at(shared, offset, &lock);
    if (status == BRG_OK && !rwlock_is_ours(shared, lock))
        status = BRG_STATE;
    if (status == BRG_OK)
        rwlock_clear_writer(lock);
    return status;
}

brg_status brg_rwlock_recovered(brg_shared *shared, size_t offset)
{
    rwlock *lock = NULL;
    brg_status status = rwlock_at(shared, offset, &lock);
    if (status == BRG_OK && !rwlock_is_ours(shared, lock))
        status = BRG_STATE;
    if (status == BRG_OK)
        brg_store_relaxed(&lock->xhurt, 0u);
    return status;
}

brg_status brg_rwlock_init(brg_shared *shared, size_t offset)
{
    rwlock *lock = NULL;
    brg_status status = rwlock_at(shared, offset, &lock);
    if (status != BRG_OK)
        return status;
    for (uint32_t i = 0; i < BRG_RWLOCK_READERS_MAX; i++)
        brg_store_relaxed(&lock->xreaders[i], (uint64_t)0);
    brg_store_relaxed(&lock->bell.xsleepers, 0u);
    brg_store_relaxed(&lock->xhurt, 0u);
    rwlock_clear_writer(lock);
    return BRG_OK;
}
