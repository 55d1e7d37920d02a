/* SPDX-License-Identifier: MIT */
/*
 * The table holds no references. Who finds a worker takes one under the lock, unless the last is just going: then the
 * worker counts as gone, and waits for the lock to leave the table.
 */
#include "worker/registry.h"

#include "base/table.h"
#include "os/atomic.h"
#include "os/lock.h"
#include "os/memory.h"
#include "os/thread.h"
#include "worker/worker.h"

#define REGISTRY_FIRST 64

static brg__lock registry_lock = BRG__LOCK_INIT(BRG__RANK_LEAF, "workers");
static brg__table registry;
static uint32_t registry_generation; /* the fork generation it belongs to */

/* A forked child has one thread at first, and none of its parent's workers. */
static void registry_look_for_fork(void)
{
    if (BRG__LIKELY(brg_load_relaxed(&registry_generation) == brg__fork_generation()))
        return;
    brg__lock_init(&registry_lock, BRG__RANK_LEAF, "workers"); /* its holder did not survive */
    registry = (brg__table){.slots = NULL};                    /* the parent's may be half written: left alone */
    brg_store_relaxed(&registry_generation, brg__fork_generation());
}

/* Room for one more; false without memory. The new slots are made without the lock. */
static bool registry_has_room_locked(void)
{
    while (!brg__table_has_room(&registry)) {
        size_t before = registry.capacity, capacity = before == 0 ? REGISTRY_FIRST : 2 * before;
        brg__lock_release(&registry_lock);
        brg__table_slot *slots = brg__calloc(capacity, sizeof(*slots));
        brg__lock_acquire(&registry_lock);
        if (slots == NULL)
            return brg__table_has_room(&registry);
        if (registry.capacity == before)
            slots = brg__table_rehash(&registry, slots, capacity);
        brg__mfree(slots);
    }
    return true;
}

brg_status brg__registry_add(brg_worker *worker, brg_error *error)
{
    registry_look_for_fork();
    brg__lock_acquire(&registry_lock);
    bool room = registry_has_room_locked();
    if (room)
        brg__table_put(&registry, worker->id, worker);
    brg__lock_release(&registry_lock);
    if (!room)
        return brg__error_memory(error, "a worker");
    worker->is_registered = true;
    return BRG_OK;
}

void brg__registry_remove(brg_worker *worker)
{
    if (!worker->is_registered || worker->generation != brg__fork_generation())
        return;
    registry_look_for_fork();
    brg__lock_acquire(&registry_lock);
    brg__table_remove(&registry, worker->id);
    brg__lock_release(&registry_lock);
    worker->is_registered = false;
}

static bool registry_hold(brg_worker *worker)
{
    uint32_t references = brg_load_relaxed(&worker->xreferences);
    while (references != 0)
        if (brg_cas_relaxed(&worker->xreferences, &references, references + 1))
            return true;
    return false;
}

brg_worker *brg__registry_find(uint64_t id)
{
    registry_look_for_fork();
    brg__lock_acquire(&registry_lock);
    brg_worker *worker = brg__table_get(&registry, id);
    if (worker != NULL && !registry_hold(worker))
        worker = NULL;
    brg__lock_release(&registry_lock);
    return worker;
}
