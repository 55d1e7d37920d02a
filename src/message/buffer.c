/* SPDX-License-Identifier: MIT */
/* A buffer is one allocation, the bytes after the head, or a head for memory of someone else's. */
#include "base/util.h"
#include "message/object.h"
#include "os/atomic.h"
#include "os/memory.h"

struct brg_buffer {
    uint32_t xrefs;
    void *memory;
    size_t size_bytes;
    void (*release)(void *memory, void *user_data); /* NULL: nothing to give back beside the head */
    void *user_data;
    _Alignas(max_align_t) unsigned char bytes[];
};

static void buffer_init(brg_buffer *buffer, void *memory, size_t size_bytes)
{
    buffer->xrefs = 1;
    buffer->memory = memory;
    buffer->size_bytes = size_bytes;
    buffer->release = NULL;
    buffer->user_data = NULL;
}

brg_status brg__buffer_allocate(brg_buffer **out, size_t size_bytes, brg_error *error)
{
    if (size_bytes > PTRDIFF_MAX)
        return brg_error_set(error, BRG_TOO_LARGE, "value", "a buffer of %zu bytes, larger than memory", size_bytes);
    brg_buffer *buffer = brg__malloc(sizeof(*buffer) + size_bytes);
    if (buffer == NULL)
        return brg__error_memory(error, "creating a buffer");
    buffer_init(buffer, buffer->bytes, size_bytes);
    *out = buffer;
    return BRG_OK;
}

brg_status brg_buffer_create(brg_buffer **out, size_t size_bytes, brg_error *error)
{
    brg_status status = brg__buffer_allocate(out, size_bytes, error);
    if (status == BRG_OK)
        memset((*out)->bytes, 0, size_bytes);
    return status;
}

brg_status brg_buffer_wrap(brg_buffer **out, void *memory, size_t size_bytes,
                           void (*release)(void *memory, void *user_data), void *user_data, brg_error *error)
{
    if (memory == NULL && size_bytes > 0)
        return brg_error_set(error, BRG_INVALID, "value", "a buffer cannot wrap NULL");
    if (size_bytes > PTRDIFF_MAX)
        return brg_error_set(error, BRG_TOO_LARGE, "value", "a buffer of %zu bytes, larger than memory", size_bytes);
    brg_buffer *buffer = brg__malloc(sizeof(*buffer));
    if (buffer == NULL)
        return brg__error_memory(error, "wrapping memory in a buffer");
    buffer_init(buffer, memory, size_bytes);
    buffer->release = release;
    buffer->user_data = user_data;
    *out = buffer;
    return BRG_OK;
}

void *brg_buffer_data(const brg_buffer *buffer) { return buffer->memory; }
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
    if (buffer->release != NULL)
        buffer->release(buffer->memory, buffer->user_data);
    brg__mfree(buffer);
}
