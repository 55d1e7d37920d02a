/* SPDX-License-Identifier: MIT */
/*
 * Handles in values: buffers, ports, descriptors, shared memory, tokens. The builder holds each object once: one added
 * again gives its first number, and the reference that came with it is dropped. Ports and descriptors are taken out of
 * finished values, perhaps by several threads at once: an exchange of the slot decides who gets it.
 */
#include <brigade/port.h>
#include <brigade/shared.h>
#include <brigade/token.h>

#include "message/builder.h"
#include "message/channel.h"
#include "os/atomic.h"
#include "os/fd.h"
#include "os/memory.h"

#define HANDLES_SCANNED 16u /* most objects that are looked through; more have a hash table */

static bool handles_is(const brg__object *object, brg_type type, const void *pointer, int fd)
{
    return object->type == type && object->xpointer == pointer && object->xfd == fd;
}

/* Where in the table an object is, or would be: open addressing, at most half full. */
static uint32_t handles_slot(const brg_builder *builder, brg_type type, const void *pointer, int fd)
{
    uint32_t mask = builder->object_slot_count - 1;
    uint64_t hash = ((uint64_t)(uintptr_t)pointer ^ (uint64_t)(uint32_t)fd) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t slot = (uint32_t)(hash >> 32) & mask;
    while (builder->object_slots[slot] != 0 &&
           !handles_is(&builder->objects[builder->object_slots[slot] - 1], type, pointer, fd))
        slot = (slot + 1) & mask;
    return slot;
}

bool brg__builder_find_object(const brg_builder *builder, brg_type type, const void *pointer, int fd, uint32_t *index)
{
    if (builder->object_slot_count > 0) {
        uint32_t found = builder->object_slots[handles_slot(builder, type, pointer, fd)];
        *index = found - 1;
        return found != 0;
    }
    for (uint32_t i = builder->object_count; i-- > 0;) {
        if (!handles_is(&builder->objects[i], type, pointer, fd))
            continue;
        *index = i;
        return true;
    }
    return false;
}

/* Room in the table, if there is to be one, for one more object; false: no memory. */
static bool handles_make_room(brg_builder *builder)
{
    if (builder->object_count < brg__max(builder->object_slot_count / 2, HANDLES_SCANNED))
        return true;
    uint32_t count = brg__max(builder->object_slot_count * 2, 4 * HANDLES_SCANNED);
    uint32_t *slots = brg__calloc(count, sizeof(*slots));
    if (slots == NULL)
        return false;
    brg__mfree(builder->object_slots);
    builder->object_slots = slots;
    builder->object_slot_count = count;
    for (uint32_t i = 0; i < builder->object_count; i++) {
        const brg__object *object = &builder->objects[i];
        slots[handles_slot(builder, (brg_type)object->type, object->xpointer, object->xfd)] = i + 1;
    }
    return true;
}

bool brg__builder_add_object(brg_builder *builder, brg_type type, void *pointer, int fd, uint32_t *index)
{
    if (brg__builder_find_object(builder, type, pointer, fd, index)) {
        if (type == BRG_TYPE_PORT || type == BRG_TYPE_FD) {
            brg__builder_fail(builder, BRG_INVALID, "a %s is in the value twice", brg_type_name(type));
            return false;
        }
        brg__object again = {type, fd, pointer};
        brg__object_drop(&again);
        return true;
    }
    if (!handles_make_room(builder)) {
        brg__builder_fail_memory(builder);
        return false;
    }
    if (builder->object_count == builder->object_capacity) {
        uint32_t capacity = builder->object_capacity == 0 ? 4 : builder->object_capacity * 2;
        brg__object *objects = brg__realloc(builder->objects, (size_t)capacity * sizeof(*objects));
        if (objects == NULL) {
            brg__builder_fail_memory(builder);
            return false;
        }
        builder->objects = objects;
        builder->object_capacity = capacity;
    }
    *index = builder->object_count;
    if (builder->object_slot_count > 0)
        builder->object_slots[handles_slot(builder, type, pointer, fd)] = *index + 1;
    builder->objects[builder->object_count++] = (brg__object){type, fd, pointer};
    return true;
}

bool brg__builder_put_object(brg_builder *builder, brg_type type, void *pointer, int fd)
{
    unsigned char *at = brg__builder_append(builder, BRG__HEAD_BYTES);
    uint32_t index;
    if (at == NULL || !brg__builder_add_object(builder, type, pointer, fd, &index))
        return false;
    brg__builder_put(at, (uint8_t)type, 0, index);
    return true;
}

void brg_builder_buffer(brg_builder *builder, brg_buffer **buffer)
{
    if (buffer == NULL || *buffer == NULL)
        brg__builder_fail(builder, BRG_INVALID, "a buffer is NULL, perhaps since it moved away before");
    else if (brg__builder_put_object(builder, BRG_TYPE_BUFFER, *buffer, -1))
        *buffer = NULL;
}

brg_status brg__handle_check(brg_type type, const void *pointer, int fd, const char **why)
{
    brg_status status = BRG_OK;
    switch (type) {
    case BRG_TYPE_FD:
        *why = "is a descriptor that is not open";
        return brg__fd_is_open(fd) ? BRG_OK : BRG_INVALID;
    case BRG_TYPE_PORT:
        *why = "is NULL, perhaps since it moved away before";
        if (pointer == NULL)
            return BRG_INVALID;
        *why = "is a port that is closed";
        if (brg_port_is_closed(pointer))
            return BRG_CLOSED;
        *why = "is a port that was started on a loop";
        status = brg__port_can_travel(pointer);
        return status;
    case BRG_TYPE_BUFFER:
    case BRG_TYPE_SHARED:
    case BRG_TYPE_TOKEN:
        *why = "is NULL, perhaps since it moved away before";
        return pointer != NULL ? BRG_OK : BRG_INVALID;
    default:
        *why = "is of no type that can be transferred";
        return BRG_INVALID;
    }
}

static bool handles_check(brg_builder *builder, brg_type type, const void *pointer, int fd)
{
    const char *why;
    if (builder->failure.status != BRG_OK)
        return false;
    brg_status status = brg__handle_check(type, pointer, fd, &why);
    if (status != BRG_OK)
        brg__builder_fail(builder, status, "a %s for a value %s", brg_type_name(type), why);
    return status == BRG_OK;
}

void brg_builder_port(brg_builder *builder, brg_port **port)
{
    if (handles_check(builder, BRG_TYPE_PORT, port != NULL ? *port : NULL, -1) &&
        brg__builder_put_object(builder, BRG_TYPE_PORT, *port, -1))
        *port = NULL;
}

void brg_builder_fd(brg_builder *builder, int *fd)
{
    if (handles_check(builder, BRG_TYPE_FD, NULL, fd != NULL ? *fd : -1) && fd != NULL &&
        brg__builder_put_object(builder, BRG_TYPE_FD, NULL, *fd))
        *fd = -1;
}

void brg_builder_shared(brg_builder *builder, brg_shared *shared)
{
    if (!handles_check(builder, BRG_TYPE_SHARED, shared, -1))
        return;
    brg_shared_ref(shared);
    if (!brg__builder_put_object(builder, BRG_TYPE_SHARED, shared, -1))
        brg_shared_unref(shared);
}

void brg_builder_token(brg_builder *builder, brg_token *token)
{
    if (!handles_check(builder, BRG_TYPE_TOKEN, token, -1))
        return;
    brg_token_ref(token);
    if (!brg__builder_put_object(builder, BRG_TYPE_TOKEN, token, -1))
        brg_token_unref(token);
}

brg_status brg_view_take_port(brg_view view, brg_port **port)
{
    brg__object *object = brg__view_object(view, BRG_TYPE_PORT);
    if (object == NULL)
        return BRG_WRONG_TYPE;
    /* Pairs with itself: who gets the port sees what who put it there did. */
    void *taken = brg_exchange_acq_rel(&object->xpointer, NULL);
    if (taken == NULL)
        return BRG_EMPTY;
    *port = taken;
    return BRG_OK;
}

brg_status brg_view_take_fd(brg_view view, int *fd)
{
    brg__object *object = brg__view_object(view, BRG_TYPE_FD);
    if (object == NULL)
        return BRG_WRONG_TYPE;
    int32_t taken = brg_exchange_acq_rel(&object->xfd, -1);
    if (taken < 0)
        return BRG_EMPTY;
    *fd = taken;
    return BRG_OK;
}

brg_shared *brg_view_shared(brg_view view)
{
    const brg__object *object = brg__view_object(view, BRG_TYPE_SHARED);
    return object != NULL ? object->xpointer : NULL;
}

brg_token *brg_view_token(brg_view view)
{
    const brg__object *object = brg__view_object(view, BRG_TYPE_TOKEN);
    return object != NULL ? object->xpointer : NULL;
}
