/* SPDX-License-Identifier: MIT */
/*
 * The module of ports_race_test.c: takes the port out of {"port", "channel", "next", "take"}, receives up to `take`
 * numbers from it, which must follow `next`, and sends all of it back: {"port" (unless it closed), "channel", "next",
 * "wrong", "cut": asked to end before it had received all, or some died
 * with the process that had the port before (a message error): then there may be a gap}.
 */
#include <brigade.h>

#include <sched.h>

static brg_status wander_reply(brg_context *context, brg_port **port, int64_t channel, int64_t next, int64_t wrong,
                               bool is_cut)
{
    brg_builder *builder = NULL;
    brg_value *reply = NULL;
    brg_status status = brg_builder_create(&builder, NULL);
    if (status != BRG_OK)
        return status;
    brg_builder_map(builder);
    if (port != NULL) {
        brg_builder_key(builder, "port");
        brg_builder_port(builder, port);
    }
    brg_builder_key(builder, "channel");
    brg_builder_int(builder, channel);
    brg_builder_key(builder, "next");
    brg_builder_int(builder, next);
    brg_builder_key(builder, "wrong");
    brg_builder_int(builder, wrong);
    brg_builder_key(builder, "cut");
    brg_builder_bool(builder, is_cut);
    brg_builder_end(builder);
    status = brg_builder_finish(builder, &reply, NULL);
    brg_builder_destroy(builder);
    if (status == BRG_OK && (status = brg_context_post(context, reply, BRG_SECONDS(600), NULL)) != BRG_OK)
        brg_value_unref(reply);
    return status;
}

/* Up to `*left` numbers, and all there are where it closed. Not BRG_OK: nothing more comes from it. */
static brg_status wander_hear(brg_port *port, int64_t *left, int64_t *next, int64_t *wrong, bool *is_cut)
{
    brg_status status = BRG_OK;
    while (status == BRG_OK && (*left > 0 || brg_port_is_closed(port))) {
        brg_value *heard = NULL;
        int64_t number = -1;
        status = brg_port_receive(port, &heard, BRG_SECONDS(600));
        if (status == BRG_OK) {
            if (brg_view_int(brg_value_root(heard), &number) != BRG_OK || number < *next ||
                (number > *next && !*is_cut))
                ++*wrong;
            *next = number + 1;
        } else if (status == BRG_MALFORMED) {
            *is_cut = true;
            status = BRG_OK;
        }
        brg_value_unref(heard);
        if ((*left)-- % 3 == 0)
            sched_yield();
    }
    if (status != BRG_OK && status != BRG_CLOSED && status != BRG_CANCELLED)
        ++*wrong;
    return status;
}

static brg_status wander(brg_context *context, const brg_value *message)
{
    brg_view root = brg_value_root(message);
    brg_port *port = NULL;
    if (brg_view_take_port(brg_view_get(root, "port"), &port) != BRG_OK)
        return brg_context_fail(context, 1, "no port");
    int64_t channel = brg_view_get_int(root, "channel", -1), next = brg_view_get_int(root, "next", 0), wrong = 0;
    int64_t left = brg_view_get_int(root, "take", 0);
    bool is_cut = brg_view_get_bool(root, "cut", false);
    brg_status status;
    do {
        status = wander_hear(port, &left, &next, &wrong, &is_cut);
        is_cut = is_cut || status == BRG_CANCELLED;
        status = wander_reply(context, status == BRG_OK ? &port : NULL, channel, next, wrong, is_cut);
    } while (status == BRG_CLOSED && port != NULL && !brg_context_cancelled(context)); /* it closed this moment */
    brg_port_destroy(port);
    return BRG_OK;
}

BRG_MODULE(wander, .message = wander);
