/* SPDX-License-Identifier: MIT */
/*
 * The two sides of a channel: queues, limits, credit, death. Who calls these holds the channel's lock and a reference;
 * what must not happen under the lock is noted in brg__after and done when it was let go.
 *
 * Dropping a value may destroy a port, whose queue is dropped, and so on: the outermost drop of a thread does them all,
 * one after the other, so that the depth of the stack does not depend on what was sent.
 */
#include "base/util.h"
#include "message/end.h"
#include "message/object.h"
#include "os/atomic.h"
#include "os/memory.h"

#define CHANNEL_CREDIT_SHARE 4 /* credit is sent when this part of a limit was received */

static size_t channel_count;
static size_t channel_port_count;
static _Thread_local brg__list *channel_dropping; /* where inner drops leave their items */

size_t brg__channels_open(void) { return brg_load_relaxed(&channel_count); }
size_t brg_ports_open(void) { return brg_load_relaxed(&channel_port_count); }

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void channel_side_init(brg__channel *channel, brg__side *side)
{
    side->channel = channel;
    brg__list_init(&side->queue);
    brg__list_init(&side->held);
    brg__list_init(&side->senders);
}

brg__channel *brg__channel_new(uint32_t messages_max, uint64_t bytes_max)
{
    brg__channel *channel = brg__calloc(1, sizeof(*channel));
    if (channel == NULL)
        return NULL;
    channel->xrefs = 1;
    channel->messages_max = messages_max;
    channel->bytes_max = bytes_max;
    brg__lock_init(&channel->lock, BRG__RANK_PORT, "channel");
    channel_side_init(channel, &channel->sides[0]);
    channel_side_init(channel, &channel->sides[1]);
    brg_add_relaxed(&channel_count, (size_t)1);
    return channel;
}

void brg__channel_ref(brg__channel *channel) { brg_add_relaxed(&channel->xrefs, 1u); }

static void channel_drop(brg__list *items)
{
    if (channel_dropping != NULL) {
        brg__list_splice_back(channel_dropping, items);
        return;
    }
    channel_dropping = items;
    brg__node *node;
    while ((node = brg__list_pop_front(items)) != NULL)
        brg__item_free(brg__container_of(node, brg__item, node));
    channel_dropping = NULL;
}

void brg__channel_unref(brg__channel *channel)
{
    if (brg_sub_acq_rel(&channel->xrefs, 1u) != 1)
        return;
    for (int i = 0; i < 2; i++) {
        brg__container_clear(&channel->sides[i]);
        brg__list_splice_back(&channel->sides[i].queue, &channel->sides[i].held);
        channel_drop(&channel->sides[i].queue);
    }
    if (channel->home != NULL)
        channel->home->unref(channel->home);
    brg__mfree(channel);
    brg_sub_relaxed(&channel_count, (size_t)1);
}

brg_port *brg__port_new(brg__side *side)
{
    brg_port *port = brg__calloc(1, sizeof(*port));
    if (port == NULL)
        return NULL;
    port->xrefs = 1;
    port->channel = side->channel;
    port->side = side;
    brg__channel_ref(side->channel);
    brg_add_relaxed(&channel_port_count, (size_t)1);
    return port;
}

void brg__port_unref(brg_port *port)
{
    if (brg_sub_acq_rel(&port->xrefs, 1u) != 1)
        return;
    brg__channel_unref(port->channel);
    brg__mfree(port);
    brg_sub_relaxed(&channel_port_count, (size_t)1);
}

brg__end *brg__end_new(brg__side *side, brg__remote *remote, uint64_t id)
{
    brg__end *end = brg__calloc(1, sizeof(*end));
    if (end == NULL)
        return NULL;
    end->xrefs = 1;
    end->channel = side->channel;
    end->side = side;
    end->remote = remote;
    end->id = id;
    brg__channel_ref(side->channel);
    if (remote != NULL)
        remote->ref(remote);
    return end;
}

void brg__end_ref(brg__end *end) { brg_add_relaxed(&end->xrefs, 1u); }

void brg__end_unref(brg__end *end)
{
    if (end == NULL || brg_sub_acq_rel(&end->xrefs, 1u) != 1)
        return;
    if (end->remote != NULL)
        end->remote->unref(end->remote);
    brg__channel_unref(end->channel);
    brg__mfree(end);
}

/* ---- after the lock ---------------------------------------------------------------------------------------------- */

void brg__after_init(brg__after *after)
{
    after->wake_count = after->end_count = 0;
    after->departures = (brg__departures){NULL, NULL};
    after->sink = NULL;
    brg__list_init(&after->dropped);
}

void brg__after_wake(brg__after *after, brg__waiter *waiter)
{
    if (after->wake_count < brg__count_of(after->wakes))
        after->wakes[after->wake_count++] = waiter;
    else
        brg__waiter_wake(waiter);
}

void brg__after_unref_end(brg__after *after, brg__end **end)
{
    if (*end != NULL)
        after->ends[after->end_count++] = *end;
    *end = NULL;
}

void brg__after_run(brg__after *after)
{
    for (uint32_t i = 0; i < after->wake_count; i++)
        brg__waiter_wake(after->wakes[i]);
    for (uint32_t i = 0; i < after->end_count; i++)
        brg__end_unref(after->ends[i]);
    channel_drop(&after->dropped);
    brg__departures_run(&after->departures);
    if (after->sink != NULL)
        brg__sink_run(after->sink);
}

/* ---- items ------------------------------------------------------------------------------------------------------- */

void brg__item_free(brg__item *item)
{
    brg_value_unref(item->value);
    brg__mfree(item->error);
    brg__mfree(item);
}

static void side_push_locked(brg__side *side, brg__item *item, bool bounced, brg__after *after)
{
    bool holds = side->coming != NULL && !bounced;
    brg__list_push_back(holds ? &side->held : &side->queue, &item->node);
    if (!holds) {
        side->queue_count++;
        brg__side_notify_locked(side, after);
    }
}

static brg_status side_queue_locked(brg__side *side, brg_value *value, size_t bytes, bool bounced, brg__after *after,
                                    brg_error *error)
{
    brg__item *item = brg__calloc(1, sizeof(*item));
    if (item == NULL)
        return brg__error_memory(error, "a message");
    brg_status status = brg__containers_enter(side, value, error);
    if (status != BRG_OK) {
        brg__mfree(item);
        return status;
    }
    item->value = value;
    item->bytes = bytes;
    side_push_locked(side, item, bounced, after);
    return BRG_OK;
}

static void side_count_locked(brg__side *side, size_t bytes)
{
    brg_store_relaxed(&side->xpending_count, side->xpending_count + 1);
    brg_store_relaxed(&side->xpending_bytes, side->xpending_bytes + bytes);
}

brg_status brg__side_put_locked(brg__side *side, brg_value *value, size_t bytes, brg__after *after, brg_error *error)
{
    brg__end *out = side->out;
    brg_status status;
    if (out != NULL)
        status = out->remote->ops->post(out->remote, out->id, value, false, &after->departures, error);
    else
        status = side_queue_locked(side, value, bytes, false, after, error);
    if (status != BRG_OK)
        return status;
    side_count_locked(side, bytes);
    if (out != NULL) {
        out->sent_count++;
        out->sent_bytes += bytes;
    }
    return BRG_OK;
}

brg_status brg__side_put_back_locked(brg__side *side, brg_value *value, size_t bytes, brg__after *after,
                                     brg_error *error)
{
    return side_queue_locked(side, value, bytes, true, after, error);
}

void brg__side_put_error_locked(brg__side *side, bool bounced, const brg_error *error, brg__after *after)
{
    brg__item *item = brg__calloc(1, sizeof(*item));
    if (item == NULL) {
        brg__channel_break_locked(side->channel, after); /* not even this: let nobody wait for what was lost */
        return;
    }
    item->error = brg__malloc(sizeof(*item->error));
    if (item->error != NULL)
        *item->error = *error;
    side_count_locked(side, 0);
    side_push_locked(side, item, bounced, after);
}

brg__item *brg__side_pop_locked(brg__side *side)
{
    brg__node *node = brg__list_pop_front(&side->queue);
    if (node == NULL)
        return NULL;
    side->queue_count--;
    brg__item *item = brg__container_of(node, brg__item, node);
    if (item->value != NULL)
        brg__containers_leave(side, item->value);
    return item;
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

bool brg__side_fits_locked(const brg__side *side, size_t bytes)
{
    const brg__channel *channel = side->channel;
    return side->xpending_count == 0 || (side->xpending_count < channel->messages_max &&
                                         brg__add_saturated(side->xpending_bytes, bytes) <= channel->bytes_max);
}

void brg__side_settle_locked(brg__side *side, uint64_t count, uint64_t bytes, brg__after *after)
{
    uint64_t count_left = side->xpending_count - brg__min(count, side->xpending_count);
    uint64_t bytes_left = side->xpending_bytes - brg__min(bytes, side->xpending_bytes);
    brg_store_relaxed(&side->xpending_count, (uint32_t)count_left);
    brg_store_relaxed(&side->xpending_bytes, count_left == 0 ? 0 : bytes_left);
    brg__side_offer_room_locked(side, after);
    brg__side_credit_locked(side, false);
}

void brg__side_offer_room_locked(brg__side *side, brg__after *after)
{
    if (!brg__list_is_empty(&side->senders)) {
        brg__sender *sender = brg__container_of(side->senders.head.next, brg__sender, node);
        if (brg_load_relaxed(&sender->xgo) == 0 && brg__side_fits_locked(side, sender->bytes)) {
            brg__after_wake(after, sender->waiter);
            brg_store_release(&sender->xgo, 1u); /* pairs with the acquire of its look */
        }
        return;
    }
    brg_port *poster = brg__side_peer(side)->port;
    if (!side->room_wanted || !brg__side_fits_locked(side, side->room_bytes))
        return;
    side->room_wanted = false;
    if (poster != NULL && poster->started) {
        poster->room_due = true;
        brg__port_deliver_locked(poster);
    }
}

/* What the poster over there believes is pending and is not. A poster that has not departed, as we see it, is told
 * later. */
void brg__side_credit_locked(brg__side *side, bool all)
{
    brg__end *poster = brg__side_peer(side)->out;
    if (poster == NULL || poster->over || side->dead || poster->view_count <= side->xpending_count)
        return;
    uint64_t count = poster->view_count - side->xpending_count;
    uint64_t bytes = poster->view_bytes - brg__min(poster->view_bytes, side->xpending_bytes);
    const brg__channel *channel = side->channel;
    if (!all && !poster->wanted && count < channel->messages_max / CHANNEL_CREDIT_SHARE &&
        bytes < channel->bytes_max / CHANNEL_CREDIT_SHARE)
        return;
    poster->view_count -= count;
    poster->view_bytes -= bytes;
    poster->wanted = false;
    poster->remote->ops->credit(poster->remote, poster->id, (uint32_t)count, bytes);
}

void brg__side_want_locked(brg__side *side)
{
    brg__end *out = side->out, *poster = brg__side_peer(side)->out;
    if (out == NULL || out->over || out->want_sent)
        return;
    if (brg__list_is_empty(&side->senders) && !side->room_wanted && (poster == NULL || !poster->wanted))
        return;
    out->want_sent = true;
    out->remote->ops->want(out->remote, out->id);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

void brg__side_notify_locked(brg__side *side, brg__after *after)
{
    brg_store_release(&side->xevents, side->xevents + 1); /* pairs with the acquire of a receiver's look */
    if (side->receiver != NULL)
        brg__after_wake(after, side->receiver);
    if (side->port != NULL && side->port->started)
        brg__port_deliver_locked(side->port);
    if (side->sink != NULL && after->sink == NULL) {
        brg__channel_ref(side->channel);
        after->sink = side;
    }
}

void brg__side_wake_senders_locked(brg__side *side)
{
    brg__list_for_each(node, &side->senders) {
        brg__sender *sender = brg__container_of(node, brg__sender, node);
        brg__waiter *waiter = sender->waiter;
        brg_store_release(&sender->xgo, 1u);
        brg__waiter_wake(waiter);
    }
}

bool brg__side_is_over_locked(brg__side *side)
{
    return side->dead || (brg__side_peer(side)->dead && side->queue_count == 0 && side->coming == NULL &&
                          brg__list_is_empty(&side->held));
}

static void side_drop_locked(brg__list *items, brg__side *side, brg__after *after)
{
    brg__list_for_each(node, items) {
        brg__item *item = brg__container_of(node, brg__item, node);
        if (item->value != NULL)
            brg__containers_leave(side, item->value);
    }
    brg__list_splice_back(&after->dropped, items);
}

/* Nobody is left here who would name the number of an adopted channel; while its port is on its way there, that one
 * tells. */
static void side_leave_home_locked(brg__side *peer, brg__after *after)
{
    uint32_t expected = BRG__HOME_FREE;
    brg__end *home = peer->out;
    if (!brg_cas_acq_rel(&peer->channel->xhome, &expected, (uint32_t)BRG__HOME_OVER))
        return;
    home->over = true;
    home->remote->ops->close(home->remote, home->id);
    home->remote->ops->forget(home->remote, home->id);
    brg__after_unref_end(after, &peer->out);
}

static void side_die_locked(brg__side *side, brg__after *after)
{
    brg__side *peer = brg__side_peer(side);
    brg__end *out = peer->out;
    side->dead = true;
    side_drop_locked(&side->queue, side, after);
    side_drop_locked(&side->held, side, after);
    side->queue_count = 0;
    side->room_wanted = peer->room_wanted = false;
    if (out != NULL && !out->is_home)
        out->remote->ops->close(out->remote, out->id);
    brg__side_wake_senders_locked(side);
    brg__side_wake_senders_locked(peer);
    brg__side_notify_locked(side, after);
    brg__side_notify_locked(peer, after);
}

void brg__side_kill_locked(brg__side *side, brg__after *after)
{
    const brg__side *peer = brg__side_peer(side);
    if (!side->dead)
        side_die_locked(side, after);
    if (peer->out != NULL && peer->out->is_home)
        side_leave_home_locked(brg__side_peer(side), after);
}

void brg__channel_break_locked(brg__channel *channel, brg__after *after)
{
    brg__side_kill_locked(&channel->sides[0], after);
    brg__side_kill_locked(&channel->sides[1], after);
}
