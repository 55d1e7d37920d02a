/* SPDX-License-Identifier: MIT */
/* The ends of what travels in values. */
#include <brigade/port.h>
#include <brigade/shared.h>
#include <brigade/token.h>

#include "base/util.h"
#include "message/object.h"
#include "os/atomic.h"
#include "os/fd.h"

void brg__object_drop(brg__object *object)
{
    switch (object->type) {
    case BRG_TYPE_BUFFER:
        brg_buffer_unref(object->xpointer);
        break;
    case BRG_TYPE_PORT:
        brg_port_destroy(object->xpointer);
        break;
    case BRG_TYPE_SHARED:
        brg_shared_unref(object->xpointer);
        break;
    case BRG_TYPE_TOKEN:
        brg_token_unref(object->xpointer);
        break;
    case BRG_TYPE_FD:
        brg__fd_close(&object->xfd);
        break;
    default:
        break;
    }
    object->xpointer = NULL;
    object->xfd = -1;
}

bool brg__value_has_movables(const brg_value *value)
{
    for (uint32_t i = 0; i < value->object_count; i++)
        if (value->objects[i].type == BRG_TYPE_PORT || value->objects[i].type == BRG_TYPE_FD)
            return true;
    return false;
}

bool brg__value_is_whole(const brg_value *value)
{
    for (uint32_t i = 0; i < value->object_count; i++) {
        const brg__object *object = &value->objects[i];
        if ((object->type == BRG_TYPE_PORT && brg_load_acquire(&object->xpointer) == NULL) ||
            (object->type == BRG_TYPE_FD && brg_load_acquire(&object->xfd) < 0))
            return false;
    }
    return true;
}

size_t brg__value_copied_bytes(const brg_value *value)
{
    uint64_t size = value->size_bytes;
    for (uint32_t i = 0; i < value->object_count; i++)
        if (value->objects[i].type == BRG_TYPE_BUFFER && !brg_buffer_is_region(value->objects[i].xpointer))
            size = brg__add_saturated(size, brg_buffer_size(value->objects[i].xpointer));
    return size;
}
