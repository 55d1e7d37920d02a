/* SPDX-License-Identifier: MIT */
/* What the process on the other side of an end says. The design, and what is checked here, are in channel.h. */
#include "base/util.h"
#include "message/end.h"
#include "message/object.h"
#include "os/atomic.h"
#include "os/memory.h"

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* A value that came for `side`. What does not get there, other than a circle, ends the channel. False: not taken. */
static bool end_pass_locked(brg__side *side, brg_value *value, size_t bytes, brg__after *after)
{
    brg_error error;
    brg_status status = brg__side_put_locked(side, value, bytes, after, &error);
    if (status == BRG_INVALID && side->out == NULL)
        brg__side_put_error_locked(side, false, &error, after);
    else if (status != BRG_OK)
        brg__channel_break_locked(side->channel, after);
    return status == BRG_OK;
}

static bool end_view_fits(const brg__end *end, size_t bytes)
{
    const brg__channel *channel = end->channel;
    return end->view_count == 0 || (end->view_count < channel->messages_max &&
                                    brg__add_saturated(end->view_bytes, bytes) <= channel->bytes_max);
}

/* *keep is cleared where the value was not taken on; it is dropped then. */
static brg_status end_arrived_locked(brg__end *end, brg_value *value, brg_value **keep, brg__after *after)
{
    brg__side *to = brg__side_peer(end->side);
    size_t bytes = brg_value_size_with_buffers(value);
    bool taken = false;
    if (end->over) {
        /* it crossed with the end */
    } else if (end->left) {
        taken = end->remote->ops->post(end->remote, end->id, value, true, &after->departures, NULL) == BRG_OK;
    } else if (end->returned || !end_view_fits(end, bytes)) {
        return BRG_PROTOCOL;
    } else if (!to->dead && !end->side->dead) {
        end->view_count++;
        end->view_bytes += bytes;
        taken = end_pass_locked(to, value, bytes, after);
    }
    if (taken)
        *keep = NULL;
    return BRG_OK;
}

static void end_hand_over(brg__departures *from, brg__departures *to)
{
    while (from->first != NULL) {
        brg_port *port = from->first;
        from->first = port->next;
        brg__departures_add(to, port);
    }
}

brg_status brg__end_arrived(brg__end *end, brg__remote *remote, brg_value *value, brg__departures *departures)
{
    (void)remote;
    brg__after after;
    brg_value *left = value;
    brg__after_init(&after);
    brg__lock_acquire(&end->channel->lock);
    brg_status status = end_arrived_locked(end, value, &left, &after);
    brg__lock_release(&end->channel->lock);
    end_hand_over(&after.departures, departures);
    brg__after_run(&after);
    if (status == BRG_OK)
        brg_value_unref(left);
    return status;
}

/* What was sent, `count` messages of `bytes` bytes, is there no more. False: that much was not. */
static bool end_unsend_locked(brg__end *end, uint64_t count, uint64_t *bytes)
{
    if (count > end->sent_count || *bytes > end->sent_bytes)
        return false;
    end->sent_count -= count;
    end->sent_bytes -= *bytes;
    if (end->sent_count == 0) { /* with what could not be read and counted */
        *bytes += end->sent_bytes;
        end->sent_bytes = 0;
    }
    return true;
}

static brg_status end_bounced_locked(brg__end *end, brg_value *value, brg_value **keep, brg__after *after)
{
    brg__side *side = end->side;
    size_t size = brg_value_size_with_buffers(value);
    uint64_t bytes = size;
    if (end->over)
        return BRG_OK;
    if (!end->returned || end->sent_count == 0 || !end_unsend_locked(end, 1, &bytes))
        return BRG_PROTOCOL;
    if (side->dead)
        return BRG_OK;
    brg_error error;
    brg_status status = brg__side_put_back_locked(side, value, size, after, &error);
    if (status == BRG_OK) {
        *keep = NULL;
        if (bytes > size)
            brg__side_settle_locked(side, 0, bytes - size, after);
    } else if (status == BRG_INVALID) {
        brg__side_settle_locked(side, 1, bytes, after);
        brg__side_put_error_locked(side, true, &error, after);
    } else {
        brg__channel_break_locked(side->channel, after);
    }
    return BRG_OK;
}

brg_status brg__end_bounced(brg__end *end, brg__remote *remote, brg_value *value)
{
    (void)remote;
    brg__after after;
    brg_value *left = value;
    brg__after_init(&after);
    brg__lock_acquire(&end->channel->lock);
    brg_status status = end_bounced_locked(end, value, &left, &after);
    brg__lock_release(&end->channel->lock);
    brg__after_run(&after);
    if (status == BRG_OK)
        brg_value_unref(left);
    return status;
}

static void end_garbled_locked(brg__end *end, bool bounced, const brg_error *error, brg__after *after)
{
    brg__side *side = end->side, *to = brg__side_peer(side);
    uint64_t bytes = 0;
    if (end->over || side->dead || to->dead)
        return; /* at home too, where it misses one */
    if (bounced) {
        if (!end->returned || !end_unsend_locked(end, 1, &bytes))
            return;
        brg__side_settle_locked(side, 1, bytes, after);
        brg__side_put_error_locked(side, true, error, after);
        return;
    }
    end->view_count++;
    if (to->out != NULL)
        brg__channel_break_locked(end->channel, after); /* an error cannot be sent on */
    else
        brg__side_put_error_locked(to, false, error, after);
}

void brg__end_garbled(brg__end *end, brg__remote *remote, bool bounced, const brg_error *error)
{
    (void)remote;
    brg__after after;
    brg__after_init(&after);
    brg__lock_acquire(&end->channel->lock);
    end_garbled_locked(end, bounced, error, &after);
    brg__lock_release(&end->channel->lock);
    brg__after_run(&after);
}

/* ---- credit ------------------------------------------------------------------------------------------------------ */

brg_status brg__end_credited(brg__end *end, brg__remote *remote, uint32_t count, uint64_t bytes)
{
    (void)remote;
    brg_status status = BRG_OK;
    brg__side *side = end->side;
    brg__after after;
    brg__after_init(&after);
    brg__lock_acquire(&end->channel->lock);
    if (!end->over && !end_unsend_locked(end, count, &bytes)) {
        status = BRG_PROTOCOL;
    } else if (!end->over && !side->dead) {
        end->want_sent = false;
        brg__side_settle_locked(side, count, bytes, &after);
        brg__side_want_locked(side);
    }
    brg__lock_release(&end->channel->lock);
    brg__after_run(&after);
    return status;
}

void brg__end_wanted(brg__end *end, brg__remote *remote)
{
    (void)remote;
    brg__side *to = brg__side_peer(end->side);
    brg__lock_acquire(&end->channel->lock);
    if (!end->over && !end->returned && !end->left) {
        end->wanted = true;
        brg__side_credit_locked(to, false);
        brg__side_want_locked(to);
    }
    brg__lock_release(&end->channel->lock);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static void end_lost_locked(brg__side *side, brg__end *end, brg__after *after)
{
    brg_error error;
    brg_error_set(&error, BRG_MALFORMED, "port", "up to %llu messages were lost with the process that had the port",
                  (unsigned long long)end->sent_count);
    brg__side_settle_locked(side, end->sent_count, end->sent_bytes, after);
    brg__side_put_error_locked(side, true, &error, after);
    end->sent_count = end->sent_bytes = 0;
}

/* Nothing more will bounce: the side is HERE, or departs. */
static void end_coming_is_over_locked(brg__side *side, brg__after *after)
{
    if (side->coming->sent_count > 0 && !side->dead)
        end_lost_locked(side, side->coming, after);
    brg__after_unref_end(after, &side->coming);
    brg__list_for_each(node, &side->held)
        side->queue_count++;
    brg__list_splice_back(&side->queue, &side->held);
    brg__side_notify_locked(side, after);
    if (side->leaving != NULL) {
        brg__end *leaving = side->leaving;
        brg__end_depart_locked(leaving, after);
        brg__after_unref_end(after, &side->leaving);
    }
}

static void end_closed_locked(brg__end *end, brg__after *after)
{
    brg__side *side = end->side;
    if (end->over)
        return;
    if (end->is_home) {
        if (!end->left)
            brg__side_kill_locked(side, after);
        return;
    }
    end->over = true;
    end->remote->ops->forget(end->remote, end->id);
    if (side->coming == end) {
        end_coming_is_over_locked(side, after);
    } else if (!end->returned) {
        brg__side_kill_locked(side, after);
        if (side->out == end)
            brg__after_unref_end(after, &side->out);
        else if (side->leaving == end)
            brg__after_unref_end(after, &side->leaving);
    }
}

void brg__end_closed(brg__end *end, brg__remote *remote)
{
    (void)remote;
    brg__after after;
    brg__after_init(&after);
    brg__lock_acquire(&end->channel->lock);
    end_closed_locked(end, &after);
    brg__lock_release(&end->channel->lock);
    brg__after_run(&after);
}

brg_status brg__end_fin_acked(brg__end *end, brg__remote *remote)
{
    (void)remote;
    brg_status status = BRG_OK;
    brg__after after;
    brg__after_init(&after);
    brg__lock_acquire(&end->channel->lock);
    if (!end->returned) {
        status = BRG_PROTOCOL;
    } else if (!end->over) {
        end->over = true;
        end->remote->ops->forget(end->remote, end->id);
        if (end->side->coming == end)
            end_coming_is_over_locked(end->side, &after);
    }
    brg__lock_release(&end->channel->lock);
    brg__after_run(&after);
    return status;
}

void brg__end_fin(brg__end *end, brg__remote *remote)
{
    (void)remote;
    brg__lock_acquire(&end->channel->lock);
    if (end->is_home && !end->over && end->left) {
        end->over = true;
        end->remote->ops->fin_ack(end->remote, end->id);
        end->remote->ops->forget(end->remote, end->id);
    } else if (end->is_home && !end->over) {
        end->fin_due = true;
    }
    brg__lock_release(&end->channel->lock);
}
