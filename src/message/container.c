/* SPDX-License-Identifier: MIT */
/*
 * In whose queue a port waits: see "Circles" in channel.h. One lock for all channels, a leaf, taken only for values
 * with ports in them.
 */
#include "message/end.h"
#include "message/object.h"
#include "os/atomic.h"

static brg__lock container_lock = BRG__LOCK_INIT(BRG__RANK_LEAF, "containers");

static brg__side *container_port_side(const brg_value *value, uint32_t index)
{
    const brg__object *object = &value->objects[index];
    const brg_port *port = object->type == BRG_TYPE_PORT ? brg_load_acquire(&object->xpointer) : NULL;
    return port == NULL ? NULL : port->side;
}

static bool container_has_ports(const brg_value *value)
{
    for (uint32_t i = 0; i < value->object_count; i++)
        if (value->objects[i].type == BRG_TYPE_PORT)
            return true;
    return false;
}

/* Each side waits in at most one queue, so this is a walk up one chain for each port. */
static brg_status container_check_locked(const brg__side *side, const brg_value *value, brg_error *error)
{
    for (uint32_t i = 0; i < value->object_count; i++) {
        const brg__side *held = container_port_side(value, i);
        if (held == NULL)
            continue;
        if (held->container != NULL)
            return brg_error_set(error, BRG_INVALID, "port", "the port in the value already waits in another message");
        const brg__side *at = side;
        while (at != NULL && at != held)
            at = at->container;
        if (at == held)
            return brg_error_set(error, BRG_INVALID, "port",
                                 "the value holds the port that it would have to be received from");
    }
    return BRG_OK;
}

brg_status brg__containers_enter(brg__side *side, const brg_value *value, brg_error *error)
{
    if (!container_has_ports(value))
        return BRG_OK;
    brg__lock_acquire(&container_lock);
    brg_status status = container_check_locked(side, value, error);
    for (uint32_t i = 0; status == BRG_OK && i < value->object_count; i++) {
        brg__side *held = container_port_side(value, i);
        if (held == NULL)
            continue;
        brg__channel_ref(side->channel);
        held->container = side;
    }
    brg__lock_release(&container_lock);
    return status;
}

/* The caller holds a reference on the side's channel: none of these is the last. */
void brg__containers_leave(brg__side *side, const brg_value *value)
{
    if (!container_has_ports(value))
        return;
    brg__lock_acquire(&container_lock);
    for (uint32_t i = 0; i < value->object_count; i++) {
        brg__side *held = container_port_side(value, i);
        if (held == NULL || held->container != side)
            continue;
        held->container = NULL;
        brg__channel_unref(side->channel);
    }
    brg__lock_release(&container_lock);
}

/* For a port that was taken out of a value while it waited. No channel's lock is held. */
void brg__container_clear(brg__side *side)
{
    brg__lock_acquire(&container_lock);
    brg__side *container = side->container;
    side->container = NULL;
    brg__lock_release(&container_lock);
    if (container != NULL)
        brg__channel_unref(container->channel);
}
