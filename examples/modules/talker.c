/* SPDX-License-Identifier: MIT */
/*
 * A module whose workers talk to each other: whoever gets {"peer": PORT, "first": BOOL} counts to ten with whoever has
 * the channel's other end, each saying every second number, and reports the last number it heard.
 */
#include <brigade.h>

#define LAST 10

static brg_status say(brg_port *peer, int64_t number)
{
    brg_value *message = NULL;
    brg_status status = brg_value_int(&message, number, NULL);
    if (status == BRG_OK && (status = brg_port_post(peer, message, BRG_FOREVER, NULL)) != BRG_OK)
        brg_value_unref(message); /* taken only on success */
    return status;
}

static brg_status hear(brg_port *peer, int64_t *number)
{
    brg_value *message = NULL;
    brg_status status = brg_port_receive(peer, &message, BRG_FOREVER);
    if (status == BRG_OK)
        status = brg_view_int(brg_value_root(message), number);
    brg_value_unref(message);
    return status;
}

static brg_status count(brg_port *peer, bool first, int64_t *heard)
{
    brg_status status = first ? say(peer, 1) : BRG_OK;
    while (status == BRG_OK && *heard < LAST - 1) {
        status = hear(peer, heard);
        if (status == BRG_OK && *heard < LAST)
            status = say(peer, *heard + 1);
    }
    return status;
}

static brg_status on_message(brg_context *context, const brg_value *message)
{
    brg_view root = brg_value_root(message);
    brg_port *peer = NULL;
    brg_status status = brg_view_take_port(brg_view_get(root, "peer"), &peer);
    if (status != BRG_OK)
        return brg_context_fail(context, 1, "a message needs a \"peer\"");

    int64_t heard = 0;
    status = count(peer, brg_view_get_bool(root, "first", false), &heard);
    brg_port_destroy(peer);
    if (status != BRG_OK)
        return brg_context_fail(context, 2, "the peer: %s", brg_status_text(status));

    brg_value *report = NULL;
    status = brg_value_map(&report, NULL, brg_field_int("heard", heard));
    if (status == BRG_OK && (status = brg_context_post(context, report, BRG_FOREVER, NULL)) != BRG_OK)
        brg_value_unref(report);
    return status;
}

BRG_MODULE(talker, .message = on_message);
