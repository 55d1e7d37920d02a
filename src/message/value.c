/* SPDX-License-Identifier: MIT */
/*
 * A value is one allocation, the flat block inside it, and an array of its objects where it has any. It never
 * changes once it is handed out; the count of holders is the only field that does.
 */
#include "base/util.h"
#include "message/builder.h"
#include "message/graph.h"
#include "os/atomic.h"
#include "os/memory.h"

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
    for (uint32_t i = 0; i < value->object_count; i++)
        brg__object_drop(&value->objects[i]);
    brg__mfree(value->objects);
    brg__value_free(value);
}

size_t brg_value_size(const brg_value *value) { return value->size_bytes; }
const void *brg_value_data(const brg_value *value) { return value->block; }

size_t brg_value_size_with_buffers(const brg_value *value)
{
    uint64_t size = value->size_bytes;
    for (uint32_t i = 0; i < value->object_count; i++)
        if (value->objects[i].type == BRG_TYPE_BUFFER)
            size = brg__add_saturated(size, brg_buffer_size(value->objects[i].xpointer));
    return size;
}

bool brg_value_has_refs(const brg_value *value) { return brg__flat_has_refs(value->block); }

static brg_status value_take_buffers(brg_value *value, brg_buffer *const *buffers, size_t buffer_count,
                                     brg_error *error)
{
    if (buffer_count == 0)
        return BRG_OK;
    value->objects = brg__calloc(buffer_count, sizeof(*value->objects));
    if (value->objects == NULL)
        return brg__error_memory(error, "keeping the buffers of a value");
    for (size_t i = 0; i < buffer_count; i++) {
        if (buffers[i] == NULL)
            return brg_error_set(error, BRG_INVALID, "value", "buffer %zu of %zu is NULL", i, buffer_count);
        value->objects[value->object_count++] = (brg__object){BRG_TYPE_BUFFER, -1, brg_buffer_ref(buffers[i])};
    }
    return BRG_OK;
}

brg_status brg__value_check_objects(const brg_value *value, brg_error *error)
{
    brg__graph graph = {value->block, value->objects, value->object_count};
    if (value->object_count == 0)
        return BRG_OK;
    for (size_t at = BRG__FLAT_FIRST; at < value->size_bytes;) {
        brg__head node = brg__flat_head(value->block, at);
        brg_array array;
        if (brg__head_is_object(node) &&
            (brg__graph_object(&graph, node) == NULL ||
             (node.type == BRG_TYPE_ARRAY && !brg__graph_array(&graph, (uint32_t)at, &array))))
            return brg_error_set(error, BRG_MALFORMED, "value",
                                 "malformed value: a handle that is not what the node at offset %zu says", at);
        at += brg__head_size(node);
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
    if (status == BRG_OK)
        status = brg__value_check_objects(value, error);
    if (status != BRG_OK) {
        brg_value_unref(value);
        return status;
    }
    *out = value;
    return BRG_OK;
}

/* What one call of the builder makes. */
#define VALUE_OF(name, ...)                                                                                            \
    brg_builder builder;                                                                                               \
    brg__builder_init(&builder);                                                                                       \
    brg_builder_##name(__VA_ARGS__);                                                                                   \
    brg_status status = brg_builder_finish(&builder, out, error);                                                      \
    brg__builder_done(&builder);                                                                                       \
    return status

brg_status brg_value_nil(brg_value **out, brg_error *error) { VALUE_OF(nil, &builder); }
brg_status brg_value_bool(brg_value **out, bool value, brg_error *error) { VALUE_OF(bool, &builder, value); }
brg_status brg_value_int(brg_value **out, int64_t value, brg_error *error) { VALUE_OF(int, &builder, value); }
brg_status brg_value_double(brg_value **out, double value, brg_error *error) { VALUE_OF(double, &builder, value); }

brg_status brg_value_string(brg_value **out, const char *string, brg_error *error)
{
    VALUE_OF(string, &builder, string);
}

brg_status brg_value_bytes(brg_value **out, const void *bytes, size_t size_bytes, brg_error *error)
{
    VALUE_OF(bytes, &builder, bytes, size_bytes);
}
