/* SPDX-License-Identifier: MIT */
#include "message/region.h"

#include "base/util.h"
#include "os/atomic.h"
#include "os/fd.h"
#include "os/lock.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/thread.h"

#define REGION_CACHE_COUNT 16
#define REGION_CACHE_BYTES ((size_t)256 << 20)

static brg__lock region_lock = BRG__LOCK_INIT(BRG__RANK_LEAF, "regions");
static brg__list region_cache = {{&region_cache.head, &region_cache.head}}; /* idle ones, the newest first */
static uint32_t region_cached;
static size_t region_cached_bytes;
static int64_t xregion_process; /* whose cache it is; minus that while it is being emptied */
static uint64_t xregion_ids, xregion_viewers;

/* ---- life ---------------------------------------------------------------------------------------------------- */

static brg__region *region_new(int fd, void *memory, size_t size)
{
    brg__region *region = brg__calloc(1, sizeof(*region));
    if (region == NULL)
        return NULL;
    region->xrefs = 1;
    region->id = brg_add_relaxed(&xregion_ids, (uint64_t)1) + 1;
    region->fd = fd;
    region->memory = memory;
    region->size = size;
    region->process_id = brg__process_id();
    return region;
}

static brg_status region_create(brg__region **out, size_t size, brg_error *error)
{
    int fd = -1;
    void *memory = NULL;
    brg_status status = brg__memfd_create_freezable(&fd, "brigade-region", size, error);
    if (status == BRG_OK)
        status = brg__map_shared(&memory, fd, size, error);
    brg__region *region = status == BRG_OK ? region_new(fd, memory, size) : NULL;
    if (region == NULL) {
        brg__unmap(memory, size);
        brg__fd_close(&fd);
        return status == BRG_OK ? brg__error_memory(error, "a region of shared memory") : status;
    }
    region->xusers = 1;
    *out = region;
    return BRG_OK;
}

brg_status brg__region_open(brg__region **out, int fd, size_t size, bool writable, brg_error *error)
{
    void *memory = NULL;
    if (size == 0 || !brg__memfd_is_sound(fd, size, writable))
        return brg_error_set(error, BRG_MALFORMED, "value", "a region that is no sealed memory file of %zu bytes",
                             size);
    brg_status status = writable ? brg__map_shared(&memory, fd, size, error)
                                 : brg__map_shared_read(&memory, fd, size, error);
    if (status != BRG_OK)
        return status;
    brg__region *region = region_new(fd, memory, size);
    if (region == NULL) {
        brg__unmap(memory, size);
        return brg__error_memory(error, "a region of shared memory");
    }
    region->is_lent = true;
    region->is_read_only = !writable;
    *out = region;
    return BRG_OK;
}

void brg__region_ref(brg__region *region) { brg_add_relaxed(&region->xrefs, 1u); }

void brg__region_unref(brg__region *region)
{
    if (brg_sub_acq_rel(&region->xrefs, 1u) != 1) /* pairs with itself: the last one sees all */
        return;
    brg__unmap(region->memory, region->size);
    brg__fd_close(&region->fd);
    if (region->gone != NULL)
        region->gone(region);
    brg__mfree(region);
}

void brg__region_use(brg__region *region)
{
    brg__region_ref(region);
    brg_add_relaxed(&region->xusers, 1u);
}

static void region_idle(brg__region *region);

void brg__region_unuse(brg__region *region)
{
    if (brg_sub_acq_rel(&region->xusers, 1u) != 1) {
        brg__region_unref(region);
        return;
    }
    if (!region->is_lent)
        region_idle(region); /* takes the reference */
    else {
        if (region->idle != NULL)
            region->idle(region);
        brg__region_unref(region);
    }
}

void brg__region_expose(brg__region *region) { brg_store_relaxed(&region->xexposed, 1u); }

void brg__region_freeze(brg__region *region)
{
    if (brg_exchange_acq_rel(&region->xfrozen, 1u) == 0 && !region->is_lent)
        (void)brg__memfd_freeze(region->fd); /* where it cannot be sealed it is a promise of the handles only */
}

void brg__region_clear(brg__region *region, size_t offset)
{
    if (region->is_dirty && offset < region->size)
        brg__memfd_clear(region->fd, region->memory, offset, region->size - offset);
}

/* ---- the cache ----------------------------------------------------------------------------------------------- */

/*
 * What is in the cache of a forked process is its parent's, which goes on using it: left alone. Asks for the process
 * and not for the fork generation, as workers are forked from their template without one.
 */
static void region_look_for_fork(void)
{
    int64_t self = brg__process_id(), whose = brg_load_acquire(&xregion_process);
    while (BRG__UNLIKELY(whose != self)) {
        if (whose != -self && brg_cas_acq_rel(&xregion_process, &whose, -self)) {
            brg__lock_init(&region_lock, BRG__RANK_LEAF, "regions"); /* its holder did not survive */
            brg__list_init(&region_cache);
            region_cached = 0;
            region_cached_bytes = 0;
            brg_store_release(&xregion_process, self); /* pairs with the load of whoever takes the lock next */
            return;
        }
        brg__cpu_pause(); /* another thread empties it */
        whose = brg_load_acquire(&xregion_process);
    }
}

static void region_retire(brg__region *region)
{
    brg_store_release(&region->xretired, 1u); /* pairs with the links' look */
    brg__memfd_empty(region->fd, region->size);
    brg__region_unref(region);
}

static void region_uncache_locked(brg__region *region)
{
    brg__list_remove(&region->node);
    region->is_cached = false;
    region_cached--;
    region_cached_bytes -= region->size;
}

/* The oldest one, if the cache is beyond its limits. */
static brg__region *region_surplus_locked(uint32_t count_max, size_t bytes_max)
{
    if (region_cached <= count_max && region_cached_bytes <= bytes_max)
        return NULL;
    brg__region *region = brg__container_of(region_cache.head.previous, brg__region, node);
    region_uncache_locked(region);
    if (brg_load_relaxed(&region->xusers) == 0)
        brg_store_release(&region->xretired, 1u); /* here, so that another that just fell idle does not bring it back */
    return region;
}

/* Of one that left the cache. */
static void region_let_go(brg__region *region)
{
    if (brg_load_relaxed(&region->xretired) != 0)
        region_retire(region);
    else
        brg__region_unref(region); /* raised by a link: its last user brings it back */
}

static void region_trim(uint32_t count_max, size_t bytes_max)
{
    for (;;) {
        brg__lock_acquire(&region_lock);
        brg__region *region = region_surplus_locked(count_max, bytes_max);
        brg__lock_release(&region_lock);
        if (region == NULL)
            return;
        region_let_go(region);
    }
}

void brg__region_trim(void)
{
    region_look_for_fork();
    region_trim(0, 0);
}

/* Takes the caller's reference. */
static void region_cache_put(brg__region *region)
{
    brg__lock_acquire(&region_lock);
    bool put = !region->is_cached && brg_load_relaxed(&region->xretired) == 0;
    if (put) {
        brg__list_push_front(&region_cache, &region->node);
        region->is_cached = true;
        region_cached++;
        region_cached_bytes += region->size;
    }
    brg__lock_release(&region_lock);
    if (!put)
        brg__region_unref(region);
    region_trim(REGION_CACHE_COUNT, REGION_CACHE_BYTES);
}

/* Nobody uses it; takes the caller's reference. */
static void region_idle(brg__region *region)
{
    if (region->process_id != brg__process_id()) {
        brg__region_unref(region);
        return;
    }
    region_look_for_fork();
    bool spoilt = brg_load_relaxed(&region->xfrozen) != 0 || brg_load_relaxed(&region->xexposed) != 0 ||
                  brg_load_relaxed(&region->xretired) != 0;
    if (spoilt || region->size > REGION_CACHE_BYTES)
        region_retire(region);
    else
        region_cache_put(region);
}

/* The smallest that is large enough and not more than twice that; of several the newest. */
static brg__region *region_find_locked(size_t size, uint64_t viewer)
{
    brg__region *best = NULL;
    brg__list_for_each(node, &region_cache) {
        brg__region *region = brg__container_of(node, brg__region, node);
        if (region->viewer == viewer && region->size >= size && region->size / 2 <= size &&
            (best == NULL || region->size < best->size))
            best = region;
    }
    return best;
}

/* One from the cache, whose reference becomes the user's; NULL: none fits. */
static brg__region *region_reuse(size_t size, uint64_t viewer)
{
    region_look_for_fork();
    brg__lock_acquire(&region_lock);
    brg__region *region = region_find_locked(size, viewer);
    if (region != NULL)
        region_uncache_locked(region);
    brg__lock_release(&region_lock);
    uint32_t none = 0;
    if (region == NULL || brg_cas_acq_rel(&region->xusers, &none, 1u))
        return region;
    brg__region_unref(region); /* raised by a link just now */
    return NULL;
}

static bool region_forbidden;

void brg__region_forbid(bool forbidden) { region_forbidden = forbidden; }

static brg_status region_take(brg__region **out, size_t size, bool any, uint64_t viewer, brg_error *error)
{
    if (region_forbidden)
        return brg_error_set(error, BRG_UNSUPPORTED, "value",
                             "memory that all workers of the template would share; make it in worker_start");
    size_t page = brg__page_size();
    if (size > PTRDIFF_MAX - page)
        return brg_error_set(error, BRG_TOO_LARGE, "value", "a region of %zu bytes, larger than memory", size);
    size = brg__align_up(brg__max(size, 1), page);
    brg__region *found = any ? region_reuse(size, viewer) : NULL;
    if (found == NULL) {
        brg_status status = region_create(out, size, error);
        if (status == BRG_OK)
            (*out)->viewer = viewer;
        return status;
    }
    found->is_dirty = true;
    *out = found;
    return BRG_OK;
}

brg_status brg__region_take(brg__region **out, size_t size, bool any, brg_error *error)
{
    return region_take(out, size, any, 0, error);
}

/* ---- for one worker ------------------------------------------------------------------------------------------ */

brg_status brg__region_take_for(brg__region **out, size_t size, uint64_t viewer, brg_error *error)
{
    return region_take(out, size, true, viewer, error);
}

uint64_t brg__region_viewer_new(void) { return brg_add_relaxed(&xregion_viewers, (uint64_t)1) + 1; }

static brg__region *region_uncache_of(uint64_t viewer)
{
    brg__region *found = NULL;
    brg__lock_acquire(&region_lock);
    brg__list_for_each(node, &region_cache) {
        brg__region *region = brg__container_of(node, brg__region, node);
        if (region->viewer != viewer)
            continue;
        found = region;
        region_uncache_locked(region);
        if (brg_load_relaxed(&region->xusers) == 0)
            brg_store_release(&region->xretired, 1u);
        break;
    }
    brg__lock_release(&region_lock);
    return found;
}

void brg__region_viewer_gone(uint64_t viewer)
{
    brg__region *region;
    region_look_for_fork();
    while ((region = region_uncache_of(viewer)) != NULL)
        region_let_go(region);
}
