/* SPDX-License-Identifier: MIT */
#include "message/region.h"

#include "base/util.h"
#include "os/atomic.h"
#include "os/fd.h"
#include "os/lock.h"
#include "os/memory.h"
#include "os/thread.h"

#define REGION_CACHE_COUNT 16
#define REGION_CACHE_BYTES ((size_t)256 << 20)

static brg__lock region_lock = BRG__LOCK_INIT(BRG__RANK_LEAF, "regions");
static brg__list region_cache = {{&region_cache.head, &region_cache.head}}; /* idle ones, the newest first */
static uint32_t region_cached;
static size_t region_cached_bytes;
static uint64_t xregion_ids;

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
    if (size == 0 || !brg__memfd_is_sound(fd, size))
        return brg_error_set(error, BRG_MALFORMED, "value", "a region that is no sealed memory file of %zu bytes", size);
    brg_status status = writable ? brg__map_shared(&memory, fd, size, error) : brg__map_shared_read(&memory, fd, size, error);
    if (status != BRG_OK)
        return status;
    brg__region *region = region_new(fd, memory, size);
    if (region == NULL) {
        brg__unmap(memory, size);
        return brg__error_memory(error, "a region of shared memory");
    }
    region->is_lent = true;
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

/* ---- the cache ----------------------------------------------------------------------------------------------- */

static void region_retire(brg__region *region)
{
    brg_store_release(&region->xretired, 1u); /* pairs with the links' look */
    brg__memfd_empty(region->fd, region->size);
    brg__region_unref(region);
}

static void region_uncache_locked(brg__region *region)
{
    brg__list_remove(&region->node);
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
    return region;
}

static void region_trim(uint32_t count_max, size_t bytes_max)
{
    for (;;) {
        brg__lock_acquire(&region_lock);
        brg__region *region = region_surplus_locked(count_max, bytes_max);
        brg__lock_release(&region_lock);
        if (region == NULL)
            return;
        region_retire(region);
    }
}

void brg__region_trim(void) { region_trim(0, 0); }

/* Nobody uses it; takes the caller's reference. */
static void region_idle(brg__region *region)
{
    bool spoilt = brg_load_relaxed(&region->xfrozen) != 0 || brg_load_relaxed(&region->xexposed) != 0;
    if (spoilt || region->size > REGION_CACHE_BYTES) {
        region_retire(region);
        return;
    }
    brg__lock_acquire(&region_lock);
    brg__list_push_front(&region_cache, &region->node);
    region_cached++;
    region_cached_bytes += region->size;
    brg__lock_release(&region_lock);
    region_trim(REGION_CACHE_COUNT, REGION_CACHE_BYTES);
}

/* The smallest that is large enough and not more than twice that. */
static brg__region *region_find_locked(size_t size)
{
    brg__region *best = NULL;
    brg__list_for_each(node, &region_cache) {
        brg__region *region = brg__container_of(node, brg__region, node);
        if (region->size >= size && region->size / 2 <= size && (best == NULL || region->size < best->size))
            best = region;
    }
    return best;
}

brg_status brg__region_take(brg__region **out, size_t size, bool any, brg_error *error)
{
    size_t page = brg__page_size();
    if (size > PTRDIFF_MAX - page)
        return brg_error_set(error, BRG_TOO_LARGE, "value", "a region of %zu bytes, larger than memory", size);
    size = brg__align_up(brg__max(size, 1), page);
    brg__region *found = NULL;
    if (any && brg__fork_generation() == 0) { /* in a forked child cached ones are the parent's as well */
        brg__lock_acquire(&region_lock);
        found = region_find_locked(size);
        if (found != NULL)
            region_uncache_locked(found);
        brg__lock_release(&region_lock);
    }
    if (found == NULL)
        return region_create(out, size, error);
    found->is_dirty = true;
    brg_store_relaxed(&found->xusers, 1u);
    *out = found;
    return BRG_OK;
}
