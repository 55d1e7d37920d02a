/* SPDX-License-Identifier: MIT */
/*
 * Bytes and handles. The bytes are a `root`: on the heap behind its head, in a region, or somebody else's. A handle is
 * a view of a root; the first one is the root's own, slices are others, of the root and never of each other. What is
 * frozen is the root, or its region.
 */
#include "base/util.h"
#include "message/object.h"
#include "os/atomic.h"
#include "os/memory.h"

struct brg_buffer {
    uint32_t xrefs;
    uint32_t xfrozen; /* of a root */
    brg_buffer *root; /* NULL: it is one; else referenced */
    unsigned char *memory;
    size_t size_bytes;
    brg__region *region;                            /* of a root, used; NULL: none */
    void (*release)(void *memory, void *user_data); /* of a root; NULL: nothing to give back beside the head */
    void *user_data;
    _Alignas(max_align_t) unsigned char bytes[];
};

static const brg_buffer *buffer_root(const brg_buffer *buffer) { return buffer->root != NULL ? buffer->root : buffer; }

static brg_buffer *buffer_new(size_t tail_bytes, void *memory, size_t size_bytes)
{
    brg_buffer *buffer = brg__malloc(sizeof(*buffer) + tail_bytes);
    if (buffer == NULL)
        return NULL;
    buffer->xrefs = 1;
    buffer->xfrozen = 0;
    buffer->root = NULL;
    buffer->memory = memory != NULL ? memory : buffer->bytes;
    buffer->size_bytes = size_bytes;
    buffer->region = NULL;
    buffer->release = NULL;
    buffer->user_data = NULL;
    return buffer;
}

static brg_status buffer_check_size(size_t size_bytes, brg_error *error)
{
    if (size_bytes <= PTRDIFF_MAX - sizeof(brg_buffer))
        return BRG_OK;
    return brg_error_set(error, BRG_TOO_LARGE, "value", "a buffer of %zu bytes, larger than memory", size_bytes);
}

brg_status brg__buffer_allocate(brg_buffer **out, size_t size_bytes, brg_error *error)
{
    brg_status status = buffer_check_size(size_bytes, error);
    if (status != BRG_OK)
        return status;
    brg_buffer *buffer = buffer_new(size_bytes, NULL, size_bytes);
    if (buffer == NULL)
        return brg__error_memory(error, "creating a buffer");
    *out = buffer;
    return BRG_OK;
}

/* In a region. Of one that was used before at least what lies behind the buffer is cleared: a process that is sent the
 * buffer sees that too. */
static brg_status buffer_in_region(brg_buffer **out, size_t size_bytes, bool zeroed, brg_error *error)
{
    brg__region *region = NULL;
    brg_status status = buffer_check_size(size_bytes, error);
    if (status == BRG_OK)
        status = brg__region_take(&region, size_bytes, true, error);
    if (status != BRG_OK)
        return status;
    status = brg__buffer_from_region(out, region, 0, size_bytes, false, error);
    if (status == BRG_OK)
        brg__region_clear(region, zeroed ? 0 : size_bytes);
    brg__region_unuse(region); /* the buffer has its own */
    return status;
}

static brg_status buffer_create(brg_buffer **out, size_t size_bytes, bool zeroed, brg_error *error)
{
    if (size_bytes >= BRG_BUFFER_REGION_BYTES && buffer_in_region(out, size_bytes, zeroed, NULL) == BRG_OK)
        return BRG_OK;
    brg_status status = brg__buffer_allocate(out, size_bytes, error);
    if (status == BRG_OK && zeroed)
        memset((*out)->bytes, 0, size_bytes);
    return status;
}

brg_status brg_buffer_create(brg_buffer **out, size_t size_bytes, brg_error *error)
{
    return buffer_create(out, size_bytes, true, error);
}

brg_status brg__buffer_create_for(brg_buffer **out, size_t size_bytes, uint64_t viewer, brg_error *error)
{
    brg__region *region = NULL;
    if (viewer == 0 || size_bytes < BRG_BUFFER_REGION_BYTES || buffer_check_size(size_bytes, NULL) != BRG_OK ||
        brg__region_take_for(&region, size_bytes, viewer, NULL) != BRG_OK)
        return buffer_create(out, size_bytes, false, error);
    brg_status status = brg__buffer_from_region(out, region, 0, size_bytes, false, error);
    brg__region_unuse(region); /* the buffer has its own */
    return status;
}

brg_status brg_buffer_create_region(brg_buffer **out, size_t size_bytes, brg_error *error)
{
    return buffer_in_region(out, size_bytes, true, error);
}

brg_status brg__buffer_from_region(brg_buffer **out, brg__region *region, size_t offset, size_t size, bool frozen,
                                   brg_error *error)
{
    brg_buffer *buffer = buffer_new(0, (unsigned char *)region->memory + offset, size);
    if (buffer == NULL)
        return brg__error_memory(error, "creating a buffer");
    brg__region_use(region);
    buffer->region = region;
    buffer->xfrozen = frozen || region->is_read_only; /* whoever sent it may call it writable: that would fault */
    *out = buffer;
    return BRG_OK;
}

brg__region *brg__buffer_region(const brg_buffer *buffer, size_t *offset)
{
    brg__region *region = buffer_root(buffer)->region;
    if (region != NULL)
        *offset = (size_t)(buffer->memory - (unsigned char *)region->memory);
    return region;
}

brg_status brg_buffer_wrap(brg_buffer **out, void *memory, size_t size_bytes,
                           void (*release)(void *memory, void *user_data), void *user_data, brg_error *error)
{
    if (memory == NULL && size_bytes > 0)
        return brg_error_set(error, BRG_INVALID, "value", "a buffer cannot wrap NULL");
    brg_status status = buffer_check_size(size_bytes, error);
    if (status != BRG_OK)
        return status;
    brg_buffer *buffer = buffer_new(0, memory, size_bytes);
    if (buffer == NULL)
        return brg__error_memory(error, "wrapping memory in a buffer");
    buffer->memory = memory;
    buffer->release = release;
    buffer->user_data = user_data;
    *out = buffer;
    return BRG_OK;
}

brg_status brg_buffer_copy(brg_buffer **out, const brg_buffer *buffer, brg_error *error)
{
    brg_buffer *copy = NULL;
    brg_status status = buffer_create(&copy, buffer->size_bytes, false, error);
    if (status != BRG_OK)
        return status;
    if (buffer->size_bytes > 0)
        memcpy(copy->memory, buffer->memory, buffer->size_bytes);
    *out = copy;
    return BRG_OK;
}

brg_status brg_buffer_slice(brg_buffer **out, brg_buffer *buffer, size_t offset, size_t size_bytes, brg_error *error)
{
    if (offset > buffer->size_bytes || size_bytes > buffer->size_bytes - offset)
        return brg_error_set(error, BRG_RANGE, "value", "a slice of %zu bytes at %zu of a buffer of %zu", size_bytes,
                             offset, buffer->size_bytes);
    brg_buffer *slice = buffer_new(0, NULL, size_bytes);
    if (slice == NULL)
        return brg__error_memory(error, "slicing a buffer");
    slice->memory = buffer->memory + offset;
    slice->root = brg_buffer_ref((brg_buffer *)buffer_root(buffer));
    *out = slice;
    return BRG_OK;
}

void brg_buffer_freeze(brg_buffer *buffer)
{
    brg_buffer *root = (brg_buffer *)buffer_root(buffer);
    if (root->region != NULL)
        brg__region_freeze(root->region);
    brg_store_release(&root->xfrozen, 1u);
}

/* A region that came twice, or came back, has several roots: frozen for one is frozen for all. */
bool brg_buffer_is_frozen(const brg_buffer *buffer)
{
    const brg_buffer *root = buffer_root(buffer);
    return brg_load_acquire(&root->xfrozen) != 0 ||
           (root->region != NULL && brg_load_acquire(&root->region->xfrozen) != 0);
}

bool brg_buffer_is_region(const brg_buffer *buffer) { return buffer_root(buffer)->region != NULL; }
void *brg_buffer_data(const brg_buffer *buffer) { return brg_buffer_is_frozen(buffer) ? NULL : buffer->memory; }
const void *brg_buffer_bytes(const brg_buffer *buffer) { return buffer->memory; }
size_t brg_buffer_size(const brg_buffer *buffer) { return buffer->size_bytes; }

brg_buffer *brg_buffer_ref(brg_buffer *buffer)
{
    brg_add_relaxed(&buffer->xrefs, 1);
    return buffer;
}

void brg_buffer_unref(brg_buffer *buffer)
{
    /* Each holder's release pairs with the last one's acquire: it sees what they wrote before they let go. */
    if (buffer == NULL || brg_sub_acq_rel(&buffer->xrefs, 1) != 1)
        return;
    brg_buffer *root = buffer->root;
    if (buffer->region != NULL)
        brg__region_unuse(buffer->region);
    if (buffer->release != NULL)
        buffer->release(buffer->memory, buffer->user_data);
    brg__mfree(buffer);
    brg_buffer_unref(root); /* a root has none: this goes one deep */
}
