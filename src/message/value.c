/* SPDX-License-Identifier: MIT */
/*
 * A value is one allocation, the flat block inside it, and an array of its buffers where it has any. It never
 * changes once it is handed out; the count of holders is the only field that does.
 */
#include "base/util.h"
#include "message/object.h"
#include "os/atomic.h"
#include "os/memory.h"

brg_value *brg__value_allocate(size_t size_bytes)
{
    brg_value *value = brg__malloc(sizeof(*value) + size_bytes);
    if (value == NULL)
        return NULL;
    value->xrefs = 1;
    value->buffer_count = 0;
    value->size_bytes = size_bytes;
    value->buffers = NULL;
    return value;
}

brg_value *brg_value_ref(const brg_value *value)
{
    brg_value *shared = (brg_value *)value; /* immutable but for its count, which is not part of what const promises */
    brg_add_relaxed(&shared->xrefs, 1);
    return shared;
}

void brg_value_unref(brg_value *value)
{
    /* As in brg_buffer_unref: each holder's release pairs with the last one's acquire. */
    if (value == NULL || brg_sub_acq_rel(&value->xrefs, 1) != 1)
        return;
    for (uint32_t i = 0; i < value->buffer_count; i++)
        brg_buffer_unref(value->buffers[i]);
    brg__mfree(value->buffers);
    brg__mfree(value);
}

size_t brg_value_size(const brg_value *value) { return value->size_bytes; }
const void *brg_value_data(const brg_value *value) { return value->block; }

size_t brg_value_size_with_buffers(const brg_value *value)
{
    uint64_t size = value->size_bytes;
    for (uint32_t i = 0; i < value->buffer_count; i++)
        size = brg__add_saturated(size, brg_buffer_size(value->buffers[i]));
    return size;
}

static brg_status value_take_buffers(brg_value *value, brg_buffer *const *buffers, size_t buffer_count,
                                     brg_error *error)
{
    if (buffer_count == 0)
        return BRG_OK;
    value->buffers = brg__calloc(buffer_count, sizeof(*value->buffers));
    if (value->buffers == NULL)
        return brg__error_memory(error, "keeping the buffers of a value");
    for (size_t i = 0; i < buffer_count; i++) {
        if (buffers[i] == NULL)
            return brg_error_set(error, BRG_INVALID, "value", "buffer %zu of %zu is NULL", i, buffer_count);
        value->buffers[value->buffer_count++] = brg_buffer_ref(buffers[i]);
    }
    return BRG_OK;
}

brg_status brg_value_from_bytes(brg_value **out, const void *bytes, size_t size_bytes, brg_buffer *const *buffers,
                                size_t buffer_count, brg_error *error)
{
    if (size_bytes > BRG_VALUE_BYTES_MAX || buffer_count > UINT32_MAX)
        return brg_error_set(error, BRG_TOO_LARGE, "value", "a value of %zu bytes and %zu buffers is past the limit",
                             size_bytes, buffer_count);
    brg_value *value = brg__value_allocate(size_bytes);
    if (value == NULL)
        return brg__error_memory(error, "copying a value");
    if (size_bytes > 0)
        memcpy(value->block, bytes, size_bytes);
    brg_status status = brg__flat_check(value->block, size_bytes, buffer_count, error);
    if (status == BRG_OK)
        status = value_take_buffers(value, buffers, buffer_count, error);
    if (status != BRG_OK) {
        brg_value_unref(value);
        return status;
    }
    *out = value;
    return BRG_OK;
}
