/* SPDX-License-Identifier: MIT */
/*
 * A side whose messages a function takes. One thread at a time hands them over, in order and with no lock held; who
 * posts meanwhile leaves it to that one. The sink is let go of after `closed`, which comes last.
 */
#include "message/end.h"
#include "message/object.h"
#include "os/memory.h"

brg_status brg__channel_create_sink(brg_port **port, brg__end **sink_end, brg__sink *sink, uint32_t messages_max,
                                    uint64_t bytes_max, brg_error *error)
{
    brg__channel *channel = brg__channel_new(messages_max, bytes_max);
    if (channel == NULL)
        return brg__error_memory(error, "a channel");
    brg_port *made = brg__port_new(&channel->sides[0]);
    brg__end *end = brg__end_new(&channel->sides[1], NULL, 0);
    if (made != NULL && end != NULL) {
        channel->sides[0].port = made;
        channel->sides[1].sink = sink;
        *port = made;
        *sink_end = end;
    } else {
        if (made != NULL)
            brg__port_unref(made);
        brg__end_unref(end);
    }
    brg__channel_unref(channel);
    return made != NULL && end != NULL ? BRG_OK : brg__error_memory(error, "a channel");
}

/* One message, or the close. False: nothing to do. */
static bool sink_step(brg__side *side)
{
    brg__after after;
    brg__after_init(&after);
    brg__lock_acquire(&side->channel->lock);
    brg__sink *sink = side->sink;
    brg__item *item = sink == NULL ? NULL : brg__side_pop_locked(side);
    bool is_over = sink != NULL && item == NULL && brg__side_is_over_locked(side);
    if (is_over)
        side->sink = NULL;
    if (item == NULL)
        side->sink_busy = false;
    brg__lock_release(&side->channel->lock);
    if (is_over)
        sink->closed(sink);
    if (item == NULL)
        return false;
    if (item->value != NULL)
        sink->arrived(sink, item->value);
    brg__lock_acquire(&side->channel->lock);
    brg__side_settle_locked(side, 1, item->bytes, &after);
    brg__lock_release(&side->channel->lock);
    brg__item_free(item);
    brg__after_run(&after);
    return true;
}

void brg__sink_run(brg__side *side)
{
    brg__channel *channel = side->channel;
    brg__lock_acquire(&channel->lock);
    bool is_mine = !side->sink_busy;
    side->sink_busy = true;
    brg__lock_release(&channel->lock);
    while (is_mine && sink_step(side))
        ;
    brg__channel_unref(channel);
}

brg_status brg__sink_post(brg__end *sink_end, brg_value *value)
{
    brg__side *to = brg__side_peer(sink_end->side);
    size_t bytes = brg_value_size_with_buffers(value);
    brg__after after;
    brg__after_init(&after);
    brg__lock_acquire(&to->channel->lock);
    brg_status status = BRG_FULL;
    if (to->dead || sink_end->side->dead)
        status = BRG_CLOSED;
    else if (brg__side_fits_locked(to, bytes))
        status = brg__side_put_locked(to, value, bytes, &after, NULL);
    brg__lock_release(&to->channel->lock);
    brg__after_run(&after);
    return status;
}

void brg__sink_close(brg__end *sink_end)
{
    brg__after after;
    brg__after_init(&after);
    brg__lock_acquire(&sink_end->channel->lock);
    brg__side_kill_locked(sink_end->side, &after);
    brg__lock_release(&sink_end->channel->lock);
    brg__after_run(&after);
}
