/* SPDX-License-Identifier: MIT */
/* How ports leave for other processes, come back and are adopted. The design is in channel.h. */
#include "message/end.h"
#include "base/util.h"
#include "os/atomic.h"
#include "os/memory.h"

#define END_MESSAGES_MAX 1048576u

/* ---- leaving ----------------------------------------------------------------------------------------------------- */

/* A number that was given up is not used again: such a port, closed, travels like any other. */
static bool end_takes_home(brg__channel *channel, const brg__remote *remote)
{
    uint32_t expected = BRG__HOME_FREE;
    return channel->home == remote && brg_cas_acq_rel(&channel->xhome, &expected, (uint32_t)BRG__HOME_TAKEN);
}

brg_status brg__port_leave(brg_port *port, brg__remote *remote, uint64_t *id, bool *home, brg__end **end)
{
    brg__channel *channel = port->channel;
    bool goes_home = end_takes_home(channel, remote);
    brg__end *leaving = brg__end_new(port->side, remote, goes_home ? channel->home_id : *id);
    if (leaving == NULL) {
        if (goes_home)
            brg_store_release(&channel->xhome, (uint32_t)BRG__HOME_FREE);
        return BRG_NO_MEMORY;
    }
    const brg__side *peer = brg__side_peer(port->side);
    leaving->goes_home = goes_home;
    /* Nobody posts by this port now: what is pending can only become less, and is owed as credit then. */
    leaving->view_count = brg_load_relaxed(&peer->xpending_count);
    leaving->view_bytes = brg_load_relaxed(&peer->xpending_bytes);
    port->leaving = leaving;
    *home = goes_home;
    if (goes_home)
        *id = channel->home_id;
    else
        *end = leaving;
    return BRG_OK;
}

void brg__port_stay(brg_port *port)
{
    brg__end *leaving = port->leaving;
    port->leaving = NULL;
    if (leaving->goes_home)
        brg_store_release(&port->channel->xhome, (uint32_t)BRG__HOME_FREE);
    brg__end_unref(leaving);
}

void brg__end_terms(const brg__end *end, brg__terms *terms)
{
    *terms = (brg__terms){.messages_max = end->channel->messages_max,
                          .bytes_max = end->channel->bytes_max,
                          .pending_count = (uint32_t)end->view_count,
                          .pending_bytes = end->view_bytes};
}

void brg__departures_add(brg__departures *departures, brg_port *port)
{
    port->next = NULL;
    if (departures->first == NULL)
        departures->first = port;
    else
        departures->last->next = port;
    departures->last = port;
}

/* The queue goes first, then what its posters and receivers need to know. */
static void end_follow_locked(brg__end *end, brg__after *after)
{
    brg__side *side = end->side, *peer = brg__side_peer(side);
    brg__item *item;
    while ((item = brg__side_pop_locked(side)) != NULL) {
        brg_status status = BRG_MALFORMED;
        if (item->value != NULL)
            status = end->remote->ops->post(end->remote, end->id, item->value, false, &after->departures, NULL);
        if (status != BRG_OK) {
            bool is_told = !peer->dead; /* its death, now, is what tells them */
            brg__list_push_back(&after->dropped, &item->node);
            brg__channel_break_locked(side->channel, after);
            if (!is_told)
                end->remote->ops->close(end->remote, end->id);
            return;
        }
        end->sent_count++;
        end->sent_bytes += item->bytes;
        brg__mfree(item);
    }
    if (side->dead || peer->dead)
        end->remote->ops->close(end->remote, end->id);
    brg__side_credit_locked(peer, false);
    brg__side_want_locked(side);
    brg__side_notify_locked(peer, after);
    brg__side_wake_senders_locked(side);
}

static void end_bounce_all_locked(brg__side *side, brg__end *home, brg__after *after)
{
    brg__item *item;
    brg__side_credit_locked(side, true);
    while ((item = brg__side_pop_locked(side)) != NULL) {
        brg_status status = BRG_MALFORMED; /* an error cannot travel: home will miss a message */
        if (item->value != NULL)
            status = home->remote->ops->post(home->remote, home->id, item->value, true, &after->departures, NULL);
        if (status == BRG_OK)
            brg__mfree(item);
        else
            brg__list_push_back(&after->dropped, &item->node);
    }
}

static void end_go_home_locked(brg__side *side, brg__after *after)
{
    brg__side *peer = brg__side_peer(side);
    brg__end *home = peer->out;
    if (side->dead) { /* meanwhile: home hears it now */
        brg_store_release(&side->channel->xhome, (uint32_t)BRG__HOME_FREE);
        brg__side_kill_locked(side, after);
        return;
    }
    end_bounce_all_locked(side, home, after);
    home->left = true;
    side->dead = peer->dead = true; /* nobody is here any more */
    if (home->fin_due) {
        home->over = true;
        home->remote->ops->fin_ack(home->remote, home->id);
        home->remote->ops->forget(home->remote, home->id);
    }
    brg__after_unref_end(after, &peer->out);
}

void brg__end_depart_locked(brg__end *end, brg__after *after)
{
    if (end->goes_home) {
        end_go_home_locked(end->side, after);
        return;
    }
    end->departed = true;
    end->side->out = end;
    brg__end_ref(end);
    end_follow_locked(end, after);
}

/* Ports in the messages that follow it are added to `more`. */
static void end_depart(brg_port *port, brg__departures *more)
{
    brg__end *end = port->leaving;
    brg__side *side = port->side;
    brg__after after;
    brg__after_init(&after);
    brg__lock_acquire(&port->channel->lock);
    if (side->port == port)
        side->port = NULL;
    if (!end->over && !end->returned) {
        if (side->coming == NULL) {
            brg__end_depart_locked(end, &after);
        } else {
            side->leaving = end;
            brg__end_ref(end);
        }
    }
    brg__lock_release(&port->channel->lock);
    while (after.departures.first != NULL) {
        brg_port *next = after.departures.first;
        after.departures.first = next->next;
        brg__departures_add(more, next);
    }
    brg__after_run(&after);
    brg__end_unref(end);
    brg__port_unref(port);
}

void brg__departures_run(brg__departures *departures)
{
    while (departures->first != NULL) {
        brg_port *port = departures->first;
        departures->first = port->next;
        end_depart(port, departures);
    }
}

/* ---- arriving ---------------------------------------------------------------------------------------------------- */

static brg_status end_come_back_locked(brg__end *end, brg_port *port, brg__after *after)
{
    brg__side *side = end->side;
    if (end->is_home || end->goes_home || end->returned || end->over)
        return BRG_PROTOCOL;
    end->returned = true;
    end->remote->ops->fin(end->remote, end->id);
    side->port = port;
    if (side->out == end) {
        side->coming = end;
        side->out = NULL;
        brg__side_notify_locked(brg__side_peer(side), after); /* they looked at the wrong place */
        brg__side_wake_senders_locked(side);
    } else if (side->leaving == end) {
        brg__after_unref_end(after, &side->leaving);
    }
    if (port != NULL)
        return BRG_OK;
    brg__side_kill_locked(side, after);
    return BRG_NO_MEMORY;
}

brg_status brg__end_come_back(brg__end *end, brg__remote *remote, brg_port **out)
{
    (void)remote;
    brg_port *port = brg__port_new(end->side);
    brg__after after;
    brg__after_init(&after);
    brg__lock_acquire(&end->channel->lock);
    brg_status status = end_come_back_locked(end, port, &after);
    brg__lock_release(&end->channel->lock);
    brg__after_run(&after);
    if (status == BRG_OK)
        *out = port;
    else if (port != NULL)
        brg__port_unref(port);
    return status;
}

static bool end_terms_are_possible(const brg__terms *terms)
{
    return terms->messages_max > 0 && terms->messages_max <= END_MESSAGES_MAX && terms->bytes_max > 0 &&
           terms->pending_count <= 2 * terms->messages_max && terms->pending_bytes <= UINT64_MAX / 2;
}

brg_status brg__end_adopt(brg__remote *remote, uint64_t id, const brg__terms *terms, brg_port **out, brg__end **end)
{
    if (!end_terms_are_possible(terms))
        return BRG_PROTOCOL;
    brg__channel *channel = brg__channel_new(terms->messages_max, terms->bytes_max);
    if (channel == NULL)
        return BRG_NO_MEMORY;
    brg__side *side = &channel->sides[0], *peer = &channel->sides[1];
    brg_port *port = brg__port_new(side);
    brg__end *home = brg__end_new(peer, remote, id);
    if (port == NULL || home == NULL) {
        if (port != NULL)
            brg__port_unref(port);
        brg__end_unref(home);
        brg__channel_unref(channel);
        return BRG_NO_MEMORY;
    }
    remote->ref(remote);
    channel->home = remote;
    channel->home_id = id;
    home->is_home = true;
    home->sent_count = peer->xpending_count = terms->pending_count;
    home->sent_bytes = peer->xpending_bytes = terms->pending_bytes;
    side->port = port;
    peer->out = home;
    brg__end_ref(home);
    brg__channel_unref(channel); /* the port and the end hold it */
    *out = port;
    *end = home;
    return BRG_OK;
}
