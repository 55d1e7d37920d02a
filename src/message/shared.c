/* SPDX-License-Identifier: MIT */
/* Shared memory: its life, its size and its participants. message/shared.h has the design. */
#include "message/shared.h"

#include "base/options.h"
#include "os/atomic.h"
#include "os/memory.h"

enum { PARTICIPANT_FREE, PARTICIPANT_ALIVE, PARTICIPANT_DEAD };

static uint32_t participant_word(uint32_t id, uint32_t state)
{
    return (id & BRG__PARTICIPANT_MASK) >> BRG__PARTICIPANT_SLOT_BITS << 2 | state;
}

static brg__shared_participant *participant_at(const brg_shared *shared, uint32_t id)
{
    return &shared->header->participants[id % BRG__SHARED_PARTICIPANTS];
}

bool brg__shared_is_alive(const brg_shared *shared, uint32_t participant)
{
    /* Pairs with the marking in brg__shared_bury. */
    return brg_load_seq_cst(&participant_at(shared, participant)->xword) ==
           participant_word(participant, PARTICIPANT_ALIVE);
}

/* A new id; 0 when all slots are in use. */
static uint32_t participant_allocate(brg__shared_header *header)
{
    for (uint32_t slot = 0; slot < BRG__SHARED_PARTICIPANTS; slot++) {
        uint32_t word = brg_load_acquire(&header->participants[slot].xword);
        if ((word & 3) != PARTICIPANT_FREE)
            continue;
        uint32_t generation = (word >> 2) % BRG__PARTICIPANT_GENERATION_MAX + 1;
        uint32_t id = generation << BRG__PARTICIPANT_SLOT_BITS | slot;
        if (brg_cas_seq_cst(&header->participants[slot].xword, &word, participant_word(id, PARTICIPANT_ALIVE)))
            return id;
    }
    return 0;
}

static brg_shared *shared_new(brg__region *region, size_t size_max)
{
    brg_shared *shared = brg__calloc(1, sizeof(*shared));
    if (shared == NULL)
        return NULL;
    shared->xrefs = 1;
    shared->generation = brg__fork_generation();
    shared->size_max = size_max;
    shared->region = region;
    shared->header = region->memory;
    shared->data = (unsigned char *)region->memory + BRG__SHARED_HEADER_BYTES;
    brg__lock_init(&shared->async_lock, BRG__RANK_LEAF, "waits on a shared memory");
    brg__list_init(&shared->waits);
    return shared;
}

brg_status brg__shared_reserve(brg_shared *shared, size_t offset, size_t size, brg_error *error)
{
    return brg__memfd_reserve(shared->region->fd, offset, size, error);
}

static brg_status shared_read_options(brg_shared_options *read, const brg_shared_options *options, brg_error *error)
{
    brg_status status = brg__options_read(read, sizeof(*read), options, "brg_shared_options", error);
    if (status != BRG_OK)
        return status;
    if (read->size_max_bytes == 0)
        read->size_max_bytes = read->size_bytes;
    if (read->size_max_bytes == 0)
        return brg_error_set(error, BRG_INVALID, "shared", "size_bytes and size_max_bytes are 0: set one");
    if (read->size_max_bytes < read->size_bytes)
        return brg_error_set(error, BRG_INVALID, "shared", "size_max_bytes %zu is less than size_bytes %zu",
                             read->size_max_bytes, read->size_bytes);
    if (read->size_max_bytes > PTRDIFF_MAX - BRG__SHARED_HEADER_BYTES)
        return brg_error_set(error, BRG_TOO_LARGE, "shared", "size_max_bytes %zu is more than there are addresses",
                             read->size_max_bytes);
    return BRG_OK;
}

static void shared_write_header(brg_shared *shared, size_t size)
{
    brg__shared_header *header = shared->header;
    header->version = BRG__SHARED_VERSION;
    header->size_max = shared->size_max;
    header->xsize = size;
    header->xticket = 1;
    shared->participant = participant_allocate(header);
    header->magic = BRG__SHARED_MAGIC;
}

brg_status brg_shared_create(brg_shared **out, const brg_shared_options *options, brg_error *error)
{
    brg_shared_options read;
    brg__region *region = NULL;
    if (out == NULL)
        return brg_error_set(error, BRG_INVALID, "shared", "out must not be NULL");
    brg_status status = shared_read_options(&read, options, error);
    if (status == BRG_OK)
        status = brg__region_take(&region, BRG__SHARED_HEADER_BYTES + read.size_max_bytes, false, error);
    if (status != BRG_OK)
        return status;
    brg_shared *shared = NULL;
    status = brg__memfd_reserve(region->fd, 0, offsetof(brg__shared_header, sleepers), error);
    if (status == BRG_OK && read.size_bytes != 0)
        status = brg__memfd_reserve(region->fd, BRG__SHARED_HEADER_BYTES, read.size_bytes, error);
    if (status == BRG_OK) {
        shared = shared_new(region, read.size_max_bytes);
        if (shared == NULL)
            status = brg__error_memory(error, "a shared memory");
    }
    if (status != BRG_OK) {
        brg__region_unuse(region);
        return status;
    }
    shared_write_header(shared, read.size_bytes);
    *out = shared;
    return BRG_OK;
}

brg_status brg__shared_from_region(brg_shared **out, brg__region *region, uint32_t participant, brg_error *error)
{
    const brg__shared_header *header = region->memory;
    if (region->is_read_only || region->size <= BRG__SHARED_HEADER_BYTES || header->magic != BRG__SHARED_MAGIC ||
        header->version != BRG__SHARED_VERSION)
        return brg_error_set(error, BRG_MALFORMED, "shared", "the region is no shared memory of this version");
    uint64_t size_max = brg_load_relaxed(&header->size_max);
    if (size_max == 0 || size_max > region->size - BRG__SHARED_HEADER_BYTES)
        return brg_error_set(error, BRG_MALFORMED, "shared", "the region is smaller than its shared memory");
    brg_shared *shared = shared_new(region, (size_t)size_max);
    if (shared == NULL)
        return brg__error_memory(error, "a shared memory");
    shared->participant = participant;
    shared->is_lent = shared->has_others = true;
    if (participant == 0 || participant > BRG__PARTICIPANT_MASK || !brg__shared_is_alive(shared, participant)) {
        brg__mfree(shared);
        return brg_error_set(error, BRG_MALFORMED, "shared", "the participant is not known there");
    }
    brg__region_use(region);
    *out = shared;
    return BRG_OK;
}

brg__region *brg__shared_region(brg_shared *shared) { return shared->region; }

brg_status brg__shared_join(brg_shared *shared, uint32_t *participant)
{
    brg__region_expose(shared->region);
    brg_status status = brg__shared_async_open(shared, NULL);
    if (status != BRG_OK)
        return status;
    uint32_t id = participant_allocate(shared->header);
    if (id == 0)
        return BRG_FULL;
    *participant = id;
    return BRG_OK;
}

/* False when the id is not in use any more. */
static bool participant_mark_dead(brg_shared *shared, uint32_t id)
{
    uint32_t word = participant_word(id, PARTICIPANT_ALIVE);
    /* Pairs with brg__shared_is_alive: who looks after this sees it dead, who looked before is found by the scans. */
    return brg_cas_seq_cst(&participant_at(shared, id)->xword, &word, participant_word(id, PARTICIPANT_DEAD)) ||
           word == participant_word(id, PARTICIPANT_DEAD); /* somebody died while burying it */
}

void brg__shared_bury(brg_shared *shared, uint32_t participant)
{
    if (brg__shared_is_forked(shared) || !participant_mark_dead(shared, participant))
        return;
    if (participant != shared->participant) { /* with a dead id the lock would be taken away */
        brg__shared_lock(shared);
        brg__shared_repair_locked(shared);
        brg__shared_unlock(shared);
        brg__shared_rewake(shared);
    }
    brg__shared_ring_all(shared);
    uint32_t word = participant_word(participant, PARTICIPANT_DEAD);
    brg_cas_seq_cst(&participant_at(shared, participant)->xword, &word,
                    participant_word(participant, PARTICIPANT_FREE));
}

void brg__shared_free(brg_shared *shared)
{
    if (!shared->is_lent)
        brg__shared_bury(shared, shared->participant);
    brg__region_unuse(shared->region);
    brg__mfree(shared);
}

brg_shared *brg_shared_ref(brg_shared *shared)
{
    brg_add_relaxed(&shared->xrefs, 1u);
    return shared;
}

void brg_shared_unref(brg_shared *shared)
{
    if (shared == NULL || brg_sub_acq_rel(&shared->xrefs, 1u) != 1)
        return;
    if (brg__shared_async_close(shared))
        brg__shared_free(shared);
}

void *brg_shared_data(const brg_shared *shared) { return shared->data; }
size_t brg_shared_size_max(const brg_shared *shared) { return shared->size_max; }

size_t brg_shared_size(const brg_shared *shared)
{
    /* Pairs with the store in brg_shared_grow: the pages are there. Another process may have put anything there. */
    return (size_t)brg__min(brg_load_acquire(&shared->header->xsize), shared->size_max);
}

brg_status brg_shared_grow(brg_shared *shared, size_t size_bytes, brg_error *error)
{
    if (brg__shared_is_forked(shared))
        return brg_error_set(error, BRG_FORKED, "shared", "the shared memory belongs to the parent of this process");
    if (size_bytes > shared->size_max)
        return brg_error_set(error, BRG_RANGE, "shared", "%zu bytes are more than the maximum of %zu", size_bytes,
                             shared->size_max);
    uint64_t size = brg_shared_size(shared);
    if (size >= size_bytes)
        return BRG_OK;
    brg_status status = brg__shared_reserve(shared, BRG__SHARED_HEADER_BYTES + (size_t)size, size_bytes - (size_t)size,
                                            error);
    if (status != BRG_OK)
        return status;
    while (size < size_bytes && !brg_cas_acq_rel(&shared->header->xsize, &size, (uint64_t)size_bytes))
        ;
    return BRG_OK;
}

brg_status brg__shared_check(const brg_shared *shared, size_t offset, size_t width, size_t alignment)
{
    size_t size = brg_shared_size(shared);
    if (BRG__UNLIKELY(width > size || offset > size - width))
        return BRG_RANGE;
    return BRG__UNLIKELY(offset % alignment != 0) ? BRG_INVALID : BRG_OK;
}
