/* SPDX-License-Identifier: MIT */
/*
 * Ports on a loop. One completion per port is posted when there is something new; it takes a batch of messages, then
 * goes to the end of the line, so that other ports, and, by the loop's own bound, timers and I/O have their turn. It
 * holds a reference: a port destroyed in one of its callbacks stays until the delivery is done, which looks after each
 * whether that happened.
 *
 * It is posted under the channel's lock, under which destroy marks the port: after that the loop may be gone.
 */
#include "base/options.h"
#include "base/util.h"
#include "message/end.h"
#include "os/atomic.h"
#include "os/memory.h"

#define PORT_BATCH_DEFAULT 32u

typedef enum port_event { PORT_NOTHING, PORT_MESSAGE, PORT_ROOM, PORT_CLOSE } port_event;

static port_event port_next_locked(brg_port *port, brg__item **item, brg__after *after)
{
    if (port->destroyed || port->close_told)
        return PORT_NOTHING;
    if (port->room_due) {
        port->room_due = false;
        return PORT_ROOM;
    }
    *item = brg__side_pop_locked(port->side);
    if (*item != NULL) {
        brg__side_settle_locked(port->side, 1, (*item)->bytes, after);
        return PORT_MESSAGE;
    }
    if (!brg__side_is_over_locked(port->side))
        return PORT_NOTHING;
    port->close_told = true;
    return PORT_CLOSE;
}

static void port_tell_message(brg_port *port, const brg__item *item)
{
    const brg_port_options *options = &port->options;
    brg_error error;
    if (item->value != NULL) {
        options->on_message(port, item->value, options->user_data);
        return;
    }
    if (options->on_message_error == NULL)
        return;
    if (item->error == NULL)
        brg__error_memory(&error, "a message that arrived");
    options->on_message_error(port, item->error != NULL ? item->error : &error, options->user_data);
}

static void port_unhold(brg_port *port)
{
    if (!port->holds_loop)
        return;
    port->holds_loop = false;
    brg__loop_unhold(port->options.loop);
}

static port_event port_deliver_one(brg_port *port)
{
    brg__item *item = NULL;
    brg__after after;
    brg__after_init(&after);
    brg__lock_acquire(&port->channel->lock);
    port_event event = port_next_locked(port, &item, &after);
    brg__lock_release(&port->channel->lock);
    brg__after_run(&after);
    switch (event) {
    case PORT_NOTHING:
        break;
    case PORT_MESSAGE:
        port_tell_message(port, item);
        brg__item_free(item);
        break;
    case PORT_ROOM:
        if (port->options.on_room != NULL)
            port->options.on_room(port, port->options.user_data);
        break;
    case PORT_CLOSE:
        port_unhold(port);
        if (port->options.on_close != NULL)
            port->options.on_close(port, port->options.user_data);
        break;
    }
    return event;
}

static void port_deliver(brg__completion *completion)
{
    brg_port *port = brg__container_of(completion, brg_port, delivery);
    brg__channel *channel = port->channel;
    brg__lock_acquire(&channel->lock);
    port->delivery_posted = false; /* before looking: what comes later posts again */
    brg__lock_release(&channel->lock);
    port_event event = PORT_MESSAGE;
    for (uint32_t i = 0; i < port->options.batch_max && event != PORT_NOTHING && event != PORT_CLOSE; i++)
        event = port_deliver_one(port);
    if (event == PORT_MESSAGE || event == PORT_ROOM) {
        brg__lock_acquire(&channel->lock);
        brg__port_deliver_locked(port);
        brg__lock_release(&channel->lock);
    }
    brg__port_unref(port);
}

void brg__port_deliver_locked(brg_port *port)
{
    if (port->delivery_posted || port->destroyed)
        return;
    port->delivery_posted = true;
    brg_add_relaxed(&port->xrefs, 1u);
    brg__loop_post(port->options.loop, &port->delivery);
}

/* Nothing is delivered any more. */
static void port_stop(brg_port *port)
{
    brg__side *side = port->side;
    brg__after after;
    brg__after_init(&after);
    brg__lock_acquire(&port->channel->lock);
    port->destroyed = true;
    brg__side_kill_locked(side, &after);
    if (side->port == port)
        side->port = NULL;
    brg__lock_release(&port->channel->lock);
    brg__container_clear(side);
    brg__after_run(&after);
}

static void port_leave_loop(brg_port *port)
{
    port_unhold(port);
    brg__loop_detach(port->options.loop);
    port->is_on_loop = false;
}

/* The loop, a worker's, ends before the port was destroyed: it closes now. */
static void port_loop_ends(brg__loop_user *user)
{
    brg_port *port = brg__container_of(user, brg_port, loop_user);
    port_stop(port);
    port_leave_loop(port);
}

static brg_status port_read_start(brg_port_options *read, const brg_port_options *options, brg_error *error)
{
    brg_status status = brg__options_read(read, sizeof(*read), options, "brg_port_options", error);
    if (status != BRG_OK)
        return status;
    if (read->loop == NULL || read->on_message == NULL)
        return brg_error_set(error, BRG_INVALID, "port", "a started port needs a loop and on_message");
    if (!brg__loop_is_owner(read->loop))
        return brg_error_set(error, BRG_INVALID, "port", "a port is started on the thread of its loop");
    if (read->batch_max == 0)
        read->batch_max = PORT_BATCH_DEFAULT;
    return BRG_OK;
}

static brg_status port_start_locked(brg_port *port, const brg_port_options *options)
{
    brg__side *side = port->side;
    if (port->started || side->dead) /* where only the other side closed, on_close will say so */
        return BRG_STATE;
    port->options = *options;
    port->delivery.run = port_deliver;
    port->holds_loop = !options->is_background;
    port->started = port->is_on_loop = true;
    port->loop_user.ending = port_loop_ends;
    brg__loop_attach(options->loop);
    brg__loop_user_add(options->loop, &port->loop_user);
    if (port->holds_loop)
        brg__loop_hold(options->loop);
    brg__port_deliver_locked(port); /* there may be something already */
    return BRG_OK;
}

brg_status brg_port_start(brg_port *port, const brg_port_options *options, brg_error *error)
{
    brg_port_options read;
    if (port == NULL)
        return brg_error_set(error, BRG_INVALID, "port", "port must not be NULL");
    brg_status status = port_read_start(&read, options, error);
    if (status != BRG_OK)
        return status;
    brg__lock_acquire(&port->channel->lock);
    status = port_start_locked(port, &read);
    brg__lock_release(&port->channel->lock);
    if (status != BRG_OK)
        return brg_error_set(error, status, "port", "the port is %s", port->started ? "started already" : "closed");
    return BRG_OK;
}

void brg_port_keep_loop(brg_port *port, bool keep)
{
    if (!port->is_on_loop || port->close_told || keep == port->holds_loop)
        return;
    if (!keep) {
        port_unhold(port);
        return;
    }
    port->holds_loop = true;
    brg__loop_hold(port->options.loop);
}

bool brg_port_keeps_loop(const brg_port *port) { return port->holds_loop; }

void brg_port_destroy(brg_port *port)
{
    if (port == NULL)
        return;
    port_stop(port);
    if (port->is_on_loop) {
        brg__loop_user_remove(&port->loop_user);
        port_leave_loop(port);
    }
    if (port->started && port->options.release != NULL)
        port->options.release(port->options.user_data);
    brg__port_unref(port);
}
