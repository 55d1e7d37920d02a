/* SPDX-License-Identifier: MIT */
/* Ports as programs use them: post, receive, close. See channel.h for the design, port_loop.c for ports on a loop. */
#include <brigade/port.h>

#include "base/options.h"
#include "base/util.h"
#include "message/end.h"
#include "message/object.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/memory.h"

#define PORT_MESSAGES_DEFAULT 1024u
#define PORT_MESSAGES_MAX 1048576u
#define PORT_BYTES_DEFAULT ((size_t)64 << 20)

static brg_status port_read_options(brg_channel_options *read, const brg_channel_options *options, brg_error *error)
{
    brg_status status = brg__options_read(read, sizeof(*read), options, "brg_channel_options", error);
    if (status != BRG_OK)
        return status;
    if (read->messages_max > PORT_MESSAGES_MAX)
        return brg_error_set(error, BRG_INVALID, "port", "messages_max is %u, at most %u are possible",
                             read->messages_max, PORT_MESSAGES_MAX);
    if (read->messages_max == 0)
        read->messages_max = PORT_MESSAGES_DEFAULT;
    if (read->bytes_max == 0)
        read->bytes_max = PORT_BYTES_DEFAULT;
    return BRG_OK;
}

brg_status brg_channel_create(brg_port **one, brg_port **other, const brg_channel_options *options, brg_error *error)
{
    if (one == NULL || other == NULL)
        return brg_error_set(error, BRG_INVALID, "port", "a channel needs a place for each of its ports");
    brg_channel_options read;
    brg_status status = port_read_options(&read, options, error);
    if (status != BRG_OK)
        return status;
    brg__channel *channel = brg__channel_new(read.messages_max, read.bytes_max);
    if (channel == NULL)
        return brg__error_memory(error, "a channel");
    brg_port *ports[2];
    for (int i = 0; i < 2; i++)
        ports[i] = channel->sides[i].port = brg__port_new(&channel->sides[i]);
    if (ports[0] == NULL || ports[1] == NULL) {
        brg_port_destroy(ports[0]);
        brg_port_destroy(ports[1]);
        brg__channel_unref(channel);
        return brg__error_memory(error, "a channel");
    }
    brg__channel_unref(channel);
    *one = ports[0];
    *other = ports[1];
    return BRG_OK;
}

/* ---- looking at remotes while waiting ---------------------------------------------------------------------------- */

/* One who waits, and the processes from where what it waits for may come. */
typedef struct port_wait {
    const uint32_t *word; /* changes when there is something to look at */
    uint32_t seen;
    brg__remote *remotes[2]; /* referenced; may be NULL */
} port_wait;

static void port_wait_add_locked(port_wait *wait, int index, const brg__end *end)
{
    wait->remotes[index] = end == NULL ? NULL : end->remote;
    if (wait->remotes[index] != NULL)
        wait->remotes[index]->ref(wait->remotes[index]);
}

static void port_wait_done(port_wait *wait)
{
    for (int i = 0; i < 2; i++)
        if (wait->remotes[i] != NULL)
            wait->remotes[i]->unref(wait->remotes[i]);
}

static bool port_wait_ready(void *argument)
{
    const port_wait *wait = argument;
    return brg_load_acquire(wait->word) != wait->seen;
}

static void port_wait_look(void *argument)
{
    const port_wait *wait = argument;
    for (int i = 0; i < 2; i++)
        if (wait->remotes[i] != NULL)
            wait->remotes[i]->ops->pump(wait->remotes[i]);
}

static void port_wait_unlook(void *argument)
{
    const port_wait *wait = argument;
    for (int i = 0; i < 2; i++)
        if (wait->remotes[i] != NULL)
            wait->remotes[i]->ops->unpump(wait->remotes[i]);
}

/* Gives up the lock meanwhile. False: the deadline passed. */
static bool port_wait_locked(brg__channel *channel, brg__waiter *waiter, port_wait *wait, uint64_t deadline_ns)
{
    const brg__wait how = {.ready = port_wait_ready,
                           .look = port_wait_look,
                           .unlook = port_wait_unlook,
                           .argument = wait,
                           .until_asked = true};
    brg__lock_release(&channel->lock);
    bool in_time = true;
    if (waiter == NULL) /* only a look */
        port_wait_look(wait);
    else
        in_time = brg__waiter_wait(waiter, &how, deadline_ns);
    port_wait_unlook(wait); /* also where it did not sleep: while we looked nobody else did */
    port_wait_done(wait);
    brg__lock_acquire(&channel->lock);
    return in_time;
}

/* ---- posting ----------------------------------------------------------------------------------------------------- */

static brg_status port_check_value(const brg_port *port, const brg_value *value, brg_error *error)
{
    for (uint32_t i = 0; i < value->object_count; i++) {
        const brg__object *object = &value->objects[i];
        const brg_port *held = object->type == BRG_TYPE_PORT ? brg_load_acquire(&object->xpointer) : NULL;
        if (object->type == BRG_TYPE_PORT && held == NULL)
            return brg_error_set(error, BRG_INVALID, "port",
                                 "a port was taken out of the value; build a new one without it");
        if (object->type == BRG_TYPE_FD && brg_load_acquire(&object->xfd) < 0)
            return brg_error_set(error, BRG_INVALID, "port",
                                 "a file descriptor was taken out of the value; build a new one without it");
        if (held != NULL && held->channel == port->channel)
            return brg_error_set(error, BRG_INVALID, "port", "the value holds %s",
                                 held == port ? "the port it is posted to"
                                              : "the other end of the port it is posted to");
    }
    return BRG_OK;
}

typedef struct port_posting {
    brg_port *port;
    brg_value *value;
    brg__side *to;
    uint64_t timeout_ns, deadline_ns;
    brg__sender sender;
    bool has_looked, is_late;
} port_posting;

/* For on_room, and that who tries again finds out about room elsewhere soon. */
static void port_want_room_locked(port_posting *posting)
{
    posting->to->room_wanted = true;
    posting->to->room_bytes = posting->sender.bytes;
    brg__side_want_locked(posting->to);
}

/* There is no room: looks or waits once. Not BRG_OK: it gives up. */
static brg_status port_await_room_locked(port_posting *posting, brg_error *error)
{
    brg__side *to = posting->to;
    port_wait wait = {.word = &posting->sender.xgo};
    if ((posting->timeout_ns == 0 && posting->has_looked) || posting->is_late) {
        port_want_room_locked(posting);
        if (posting->is_late && brg__waiter_is_asked(posting->sender.waiter))
            return brg_error_set(error, BRG_CANCELLED, "port", "the worker is asked to end");
        return brg_error_set(error, posting->is_late ? BRG_TIMED_OUT : BRG_FULL, "port",
                             "there is no room: %u messages wait to be received", to->xpending_count);
    }
    if (posting->timeout_ns != 0) {
        posting->sender.waiter = brg__waiter_current();
        if (posting->sender.waiter == NULL)
            return brg__error_memory(error, "waiting for room");
        if (!brg__node_is_linked(&posting->sender.node))
            brg__list_push_back(&to->senders, &posting->sender.node);
        brg_store_relaxed(&posting->sender.xgo, 0u);
        brg__side_want_locked(to);
    }
    posting->has_looked = true;
    port_wait_add_locked(&wait, 0, to->out);
    posting->is_late = !port_wait_locked(posting->port->channel, posting->sender.waiter, &wait, posting->deadline_ns);
    return BRG_OK;
}

static bool port_is_my_turn_locked(const port_posting *posting)
{
    const brg__side *to = posting->to;
    if (brg__node_is_linked(&posting->sender.node))
        return to->senders.head.next == &posting->sender.node;
    return brg__list_is_empty(&to->senders);
}

static brg_status port_post_locked(port_posting *posting, brg__after *after, brg_error *error)
{
    brg__side *to = posting->to;
    for (;;) {
        if (to->dead || brg__side_peer(to)->dead)
            return brg_error_set(error, BRG_CLOSED, "port", "the port is closed");
        if (port_is_my_turn_locked(posting) && brg__side_fits_locked(to, posting->sender.bytes))
            return brg__side_put_locked(to, posting->value, posting->sender.bytes, after, error);
        brg_status status = port_await_room_locked(posting, error);
        if (status != BRG_OK)
            return status;
    }
}

brg_status brg_port_post(brg_port *port, brg_value *value, uint64_t timeout_ns, brg_error *error)
{
    if (port == NULL || value == NULL)
        return brg_error_set(error, BRG_INVALID, "port", "post needs a port and a value");
    brg_status status = port_check_value(port, value, error);
    if (status != BRG_OK)
        return status;
    brg__channel *channel = port->channel;
    port_posting posting = {.port = port,
                            .value = value,
                            .to = brg__side_peer(port->side),
                            .timeout_ns = timeout_ns,
                            .deadline_ns = brg__deadline(timeout_ns)};
    posting.sender.bytes = brg_value_size_with_buffers(value);
    brg__after after;
    brg__after_init(&after);
    brg__lock_acquire(&channel->lock);
    status = port_post_locked(&posting, &after, error);
    if (brg__node_is_linked(&posting.sender.node)) {
        brg__list_remove(&posting.sender.node);
        brg__side_offer_room_locked(posting.to, &after); /* the next one may fit */
    }
    brg__lock_release(&channel->lock);
    brg__after_run(&after);
    return status;
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

/* BRG_EMPTY: nothing yet. */
static brg_status port_take_locked(brg__side *side, brg__item **item, brg__after *after)
{
    if (side->port == NULL || side->port->started)
        return BRG_STATE;
    *item = brg__side_pop_locked(side);
    if (*item == NULL)
        return brg__side_is_over_locked(side) ? BRG_CLOSED : BRG_EMPTY;
    brg__side_settle_locked(side, 1, (*item)->bytes, after);
    return BRG_OK;
}

static bool port_await_message_locked(brg__side *side, brg__waiter *waiter, uint64_t deadline_ns)
{
    port_wait wait = {.word = &side->xevents, .seen = side->xevents};
    port_wait_add_locked(&wait, 0, brg__side_peer(side)->out);
    port_wait_add_locked(&wait, 1, side->coming);
    side->receiver = waiter;
    bool in_time = port_wait_locked(side->channel, waiter, &wait, deadline_ns);
    side->receiver = NULL;
    return in_time;
}

static brg_status port_receive_locked(brg__side *side, uint64_t timeout_ns, brg__item **item, brg__after *after)
{
    brg_status status = port_take_locked(side, item, after);
    if (status != BRG_EMPTY)
        return status;
    if (timeout_ns == 0) {
        port_await_message_locked(side, NULL, 0);
        return port_take_locked(side, item, after);
    }
    uint64_t deadline_ns = brg__deadline(timeout_ns);
    brg__waiter *waiter = brg__waiter_current();
    if (waiter == NULL)
        return BRG_NO_MEMORY;
    bool in_time = true;
    while (in_time && status == BRG_EMPTY) {
        in_time = port_await_message_locked(side, waiter, deadline_ns);
        status = port_take_locked(side, item, after);
    }
    if (status != BRG_EMPTY)
        return status;
    return brg__waiter_is_asked(waiter) ? BRG_CANCELLED : BRG_TIMED_OUT;
}

brg_status brg_port_receive(brg_port *port, brg_value **value, uint64_t timeout_ns)
{
    if (port == NULL || value == NULL)
        return BRG_INVALID;
    brg__item *item = NULL;
    brg__after after;
    brg__after_init(&after);
    brg__lock_acquire(&port->channel->lock);
    brg_status status = port_receive_locked(port->side, timeout_ns, &item, &after);
    brg__lock_release(&port->channel->lock);
    brg__after_run(&after);
    if (status != BRG_OK)
        return status;
    if (item->value == NULL) {
        brg__item_free(item);
        return BRG_MALFORMED;
    }
    *value = item->value;
    brg__mfree(item);
    return BRG_OK;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

void brg_port_close(brg_port *port)
{
    if (port == NULL)
        return;
    brg__after after;
    brg__after_init(&after);
    brg__lock_acquire(&port->channel->lock);
    brg__side_kill_locked(port->side, &after);
    brg__lock_release(&port->channel->lock);
    brg__after_run(&after);
}

bool brg_port_is_closed(const brg_port *port)
{
    brg__channel *channel = port->channel;
    brg__lock_acquire(&channel->lock);
    bool is_closed = channel->sides[0].dead || channel->sides[1].dead;
    brg__lock_release(&channel->lock);
    return is_closed;
}

size_t brg_port_waiting(const brg_port *port)
{
    brg__lock_acquire(&port->channel->lock);
    size_t count = port->side->queue_count;
    brg__lock_release(&port->channel->lock);
    return count;
}

brg_status brg__port_can_travel(const brg_port *port)
{
    brg__channel *channel = port->channel;
    brg__lock_acquire(&channel->lock);
    bool is_closed = channel->sides[0].dead || channel->sides[1].dead, started = port->started;
    brg__lock_release(&channel->lock);
    return started ? BRG_STATE : is_closed ? BRG_CLOSED : BRG_OK;
}
