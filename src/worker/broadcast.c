/* SPDX-License-Identifier: MIT */
/*
 * Broadcast as its users see it: a handle is a port to the program's registry (message/broadcast.h). A process worker
 * gets that port in the answer to a call; from then on it needs the program only to be told what it missed.
 *     call {op: "open", name, messages, bytes}: {id, port}
 *     call {op: "dropped", id}: {dropped}
 * Closing is the port's.
 */
#include "message/broadcast.h"

#include <string.h>

#include <brigade/broadcast.h>

#include "base/options.h"
#include "loop/loop.h"
#include "message/names.h"
#include "message/object.h"
#include "os/memory.h"
#include "worker/service.h"

_Static_assert(BRG_BROADCAST_NAME_MAX == BRG__NAME_MAX, "one limit for all names");

#define BROADCAST_MESSAGES_MAX ((uint32_t)1 << 20)

struct brg_broadcast {
    brg_port *port;
    brg__subscription *subscription; /* in the program */
    uint64_t id;                     /* in a process worker */
    brg_broadcast_options options;
    char name[];
};

static const uint64_t broadcast_words[BRG__SERVICE_WORDS];

/* ---- the program, for a process worker ------------------------------------------------------------------------- */

static brg_status serve_answer_open(brg__service_client *client, uint64_t number, uint64_t id, brg_port **port,
                                    brg_error *error)
{
    brg_builder *builder = NULL;
    brg_value *answer = NULL;
    brg_status status = brg_builder_create(&builder, error);
    if (status != BRG_OK)
        return status;
    brg_builder_map(builder);
    brg_builder_key(builder, "id");
    brg_builder_uint(builder, id);
    brg_builder_key(builder, "port");
    brg_builder_port(builder, port);
    brg_builder_end(builder);
    status = brg_builder_finish(builder, &answer, error);
    brg_builder_destroy(builder);
    if (status != BRG_OK)
        return status;
    client->ops->answer(client, number, BRG_OK, answer);
    return BRG_OK;
}

static brg_status serve_open(brg__service_client *client, uint64_t number, brg_view request, brg_error *error)
{
    brg__subscribe subscribe = {.total_max = BRG_BROADCASTS_MAX};
    uint64_t messages = 0, bytes = 0;
    subscribe.name = brg_view_string(brg_view_get(request, "name"), &subscribe.name_size);
    if (number == 0 || subscribe.name == NULL ||
        brg__name_check(subscribe.name, subscribe.name_size, "broadcast", NULL) != BRG_OK ||
        brg_view_uint(brg_view_get(request, "messages"), &messages) != BRG_OK || messages > BROADCAST_MESSAGES_MAX ||
        brg_view_uint(brg_view_get(request, "bytes"), &bytes) != BRG_OK)
        return brg_error_set(error, BRG_PROTOCOL, "broadcast", "a request for a broadcast name that makes no sense");
    subscribe.messages_max = (uint32_t)messages;
    subscribe.bytes_max = bytes;
    brg__listener listener = {.worker_id = client->worker_id,
                              .list = &client->subscriptions,
                              .count = &client->subscription_count,
                              .max = BRG_BROADCASTS_WORKER_MAX};
    brg_port *port = NULL;
    brg__subscription *subscription = NULL;
    brg_status status = brg__broadcast_subscribe(&subscribe, &listener, &port, &subscription, error);
    if (status != BRG_OK)
        return status;
    status = serve_answer_open(client, number, brg__subscription_id(subscription), &port, error);
    brg_port_destroy(port); /* NULL when it left */
    brg__subscription_unref(subscription);
    return status;
}

static brg_status serve_dropped(brg__service_client *client, uint64_t number, brg_view request, brg_error *error)
{
    uint64_t id = 0, dropped = 0;
    if (number == 0 || brg_view_uint(brg_view_get(request, "id"), &id) != BRG_OK)
        return brg_error_set(error, BRG_PROTOCOL, "broadcast", "a question about no broadcast name");
    if (!brg__broadcast_dropped_of(&client->subscriptions, id, &dropped))
        return brg_error_set(error, BRG_NOT_FOUND, "broadcast", "the worker has closed that name");
    brg_value *answer = NULL;
    brg_status status = brg_value_map(&answer, error, brg_field_int("dropped", (int64_t)dropped));
    if (status == BRG_OK)
        client->ops->answer(client, number, BRG_OK, answer);
    return status;
}

brg_status brg__broadcast_serve(brg__service_client *client, uint64_t number, brg_view request, brg_error *error)
{
    const char *op = brg_view_get_string(request, "op", "");
    if (strcmp(op, "open") == 0)
        return serve_open(client, number, request, error);
    if (strcmp(op, "dropped") == 0)
        return serve_dropped(client, number, request, error);
    return brg_error_set(error, BRG_PROTOCOL, "broadcast", "an unknown request about broadcast");
}

void brg__broadcast_client_gone(brg__service_client *client) { brg__broadcast_list_gone(&client->subscriptions); }

/* ---- opening --------------------------------------------------------------------------------------------------- */

static brg_status broadcast_open_here(brg_broadcast *broadcast, brg_error *error)
{
    brg__subscribe subscribe = {.name = broadcast->name,
                                .name_size = strlen(broadcast->name),
                                .messages_max = broadcast->options.messages_max,
                                .bytes_max = broadcast->options.bytes_max,
                                .total_max = BRG_BROADCASTS_MAX};
    brg__listener listener = {.worker_id = brg__service_self()};
    return brg__broadcast_subscribe(&subscribe, &listener, &broadcast->port, &broadcast->subscription, error);
}

static brg_status broadcast_open_there(brg_broadcast *broadcast, brg_error *error)
{
    brg_value *request = NULL, *answer = NULL;
    brg_status status = brg_value_map(&request, error, brg_field_string("op", "open"),
                                      brg_field_string("name", broadcast->name),
                                      brg_field_int("messages", broadcast->options.messages_max),
                                      brg_field_int("bytes", (int64_t)broadcast->options.bytes_max));
    if (status == BRG_OK)
        status = brg__uplink_call_wait(BRG__SERVICE_BROADCAST, broadcast_words, request, UINT64_MAX, &answer, error);
    brg_value_unref(request);
    if (status != BRG_OK)
        return status;
    brg_view root = {0};
    if (answer != NULL)
        root = brg_value_root(answer);
    status = brg_view_uint(brg_view_get(root, "id"), &broadcast->id);
    if (status == BRG_OK)
        status = brg_view_take_port(brg_view_get(root, "port"), &broadcast->port);
    if (status != BRG_OK)
        brg_error_set(error, BRG_PROTOCOL, "broadcast", "the program answered nothing that has a port");
    brg_value_unref(answer);
    return status == BRG_OK ? BRG_OK : BRG_PROTOCOL;
}

static void broadcast_message(brg_port *port, brg_value *message, void *user_data)
{
    (void)port;
    brg_broadcast *broadcast = user_data;
    if (broadcast->options.on_message != NULL)
        broadcast->options.on_message(broadcast, message, broadcast->options.user_data);
}

static void broadcast_message_error(brg_port *port, const brg_error *error, void *user_data)
{
    (void)port;
    brg_broadcast *broadcast = user_data;
    if (broadcast->options.on_message_error != NULL)
        broadcast->options.on_message_error(broadcast, error, broadcast->options.user_data);
}

static void broadcast_closed(brg_port *port, void *user_data)
{
    (void)port;
    brg_broadcast *broadcast = user_data;
    if (broadcast->options.on_close != NULL)
        broadcast->options.on_close(broadcast, broadcast->options.user_data);
}

static brg_status broadcast_start(brg_broadcast *broadcast, brg_error *error)
{
    const brg_broadcast_options *options = &broadcast->options;
    if (options->loop == NULL)
        return BRG_OK;
    return brg_port_start(broadcast->port,
                          brg_port_opts(.loop = options->loop, .batch_max = options->batch_max,
                                        .is_background = options->is_background, .on_message = broadcast_message,
                                        .on_message_error = broadcast_message_error, .on_close = broadcast_closed,
                                        .user_data = broadcast),
                          error);
}

static brg_status broadcast_check(const char *name, const brg_broadcast_options *options, brg_error *error)
{
    if (name == NULL)
        return brg_error_set(error, BRG_INVALID, "broadcast", "name must not be NULL");
    brg_status status = brg__name_check(name, strlen(name), "broadcast", error);
    if (status != BRG_OK)
        return status;
    if (options->messages_max > BROADCAST_MESSAGES_MAX)
        return brg_error_set(error, BRG_INVALID, "broadcast", "messages_max %u is above %u", options->messages_max,
                             BROADCAST_MESSAGES_MAX);
    if (options->bytes_max > INT64_MAX)
        return brg_error_set(error, BRG_INVALID, "broadcast", "bytes_max is above %lld", (long long)INT64_MAX);
    if (options->loop == NULL &&
        (options->on_message != NULL || options->on_message_error != NULL || options->on_close != NULL))
        return brg_error_set(error, BRG_INVALID, "broadcast",
                             "callbacks need a loop; without one use brg_broadcast_receive");
    if (options->loop != NULL && !brg__loop_is_owner(options->loop))
        return brg_error_set(error, BRG_INVALID, "broadcast", "open the name on the thread that owns its loop");
    return BRG_OK;
}

brg_status brg_broadcast_open(brg_broadcast **out, const char *name, const brg_broadcast_options *given,
                              brg_error *error)
{
    brg_broadcast_options options;
    if (out == NULL)
        return brg_error_set(error, BRG_INVALID, "broadcast", "out must not be NULL");
    brg_status status = brg__options_read(&options, sizeof(options), given, "brg_broadcast_options", error);
    if (status == BRG_OK)
        status = brg__service_check_fork(error);
    if (status == BRG_OK)
        status = broadcast_check(name, &options, error);
    if (status != BRG_OK)
        return status;
    size_t name_bytes = strlen(name) + 1;
    brg_broadcast *broadcast = brg__calloc(1, sizeof(*broadcast) + name_bytes);
    if (broadcast == NULL)
        return brg__error_memory(error, "a broadcast name");
    broadcast->options = options;
    memcpy(broadcast->name, name, name_bytes);
    status = brg__uplink_exists() ? broadcast_open_there(broadcast, error) : broadcast_open_here(broadcast, error);
    if (status == BRG_OK)
        status = broadcast_start(broadcast, error);
    if (status != BRG_OK) {
        broadcast->options.release = NULL;
        brg_broadcast_close(broadcast);
        return status;
    }
    *out = broadcast;
    return BRG_OK;
}

/* ---- using ----------------------------------------------------------------------------------------------------- */

brg_status brg_broadcast_post(brg_broadcast *broadcast, brg_value *message, uint64_t timeout_ns, brg_error *error)
{
    if (message == NULL)
        return brg_error_set(error, BRG_INVALID, "broadcast", "a message must not be NULL");
    if (brg__value_has_movables(message))
        return brg_error_set(error, BRG_INVALID, "broadcast",
                             "a message with a port or descriptor in it cannot go to many: only one could have it");
    return brg_port_post(broadcast->port, message, timeout_ns, error);
}

brg_status brg_broadcast_receive(brg_broadcast *broadcast, brg_value **message, uint64_t timeout_ns)
{
    return brg_port_receive(broadcast->port, message, timeout_ns);
}

static uint64_t broadcast_dropped_there(const brg_broadcast *broadcast)
{
    brg_value *request = NULL, *answer = NULL;
    uint64_t dropped = 0;
    if (brg_value_map(&request, NULL, brg_field_string("op", "dropped"), brg_field_int("id", (int64_t)broadcast->id)) ==
            BRG_OK &&
        brg__uplink_call_wait(BRG__SERVICE_BROADCAST, broadcast_words, request, UINT64_MAX, &answer, NULL) == BRG_OK &&
        answer != NULL)
        (void)brg_view_uint(brg_view_get(brg_value_root(answer), "dropped"), &dropped);
    brg_value_unref(answer);
    brg_value_unref(request);
    return dropped;
}

uint64_t brg_broadcast_dropped(const brg_broadcast *broadcast)
{
    return broadcast->subscription != NULL ? brg__subscription_dropped(broadcast->subscription)
                                           : broadcast_dropped_there(broadcast);
}

const char *brg_broadcast_name(const brg_broadcast *broadcast) { return broadcast->name; }

void brg_broadcast_keep_loop(brg_broadcast *broadcast, bool keep)
{
    if (broadcast->options.loop != NULL)
        brg_port_keep_loop(broadcast->port, keep);
}

void brg_broadcast_close(brg_broadcast *broadcast)
{
    if (broadcast == NULL)
        return;
    brg_port_destroy(broadcast->port);
    brg__subscription_unref(broadcast->subscription);
    if (broadcast->options.release != NULL)
        broadcast->options.release(broadcast->options.user_data);
    brg__mfree(broadcast);
}
