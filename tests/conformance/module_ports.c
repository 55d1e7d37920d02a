/* SPDX-License-Identifier: MIT */
/* Commands about ports, each in a slot. */
#include "module.h"

#include <stdlib.h>
#include <unistd.h>

static brg_port **port_at(const conf_call *call, const char *key) { return &call->party->ports[call_slot(call, key)]; }

static brg_status port_keep(conf_call *call)
{
    brg_port **slot = port_at(call, "slot");
    brg_port_destroy(*slot);
    *slot = NULL;
    return brg_view_take_port(call_get(call, "port"), slot);
}

/* From the init data's "port". */
static brg_status port_from_init(conf_call *call)
{
    const brg_value *init = brg_context_init_data(call->context);
    if (init == NULL)
        return BRG_EMPTY;
    return brg_view_take_port(brg_view_get(brg_value_root(init), "port"), port_at(call, "slot"));
}

static brg_status port_create(conf_call *call)
{
    return brg_channel_create(port_at(call, "slot"), port_at(call, "other"), NULL, NULL);
}

static brg_status port_post(conf_call *call)
{
    brg_value *value = party_copy(call_get(call, "value"));
    if (value == NULL)
        return BRG_NO_MEMORY;
    brg_status status = brg_port_post(*port_at(call, "slot"), value, call_timeout(call), NULL);
    if (status != BRG_OK)
        brg_value_unref(value);
    return status;
}

/* Posts {"n": 0}, {"n": 1}, ... until "count" or an error; says how many went. */
static brg_status port_flood(conf_call *call)
{
    brg_status status = BRG_OK;
    int64_t n = 0;
    for (; n < call_int(call, "count", 1); n++) {
        brg_value *value = party_number("n", n);
        status = brg_port_post(*port_at(call, "slot"), value, call_timeout(call), NULL);
        if (status != BRG_OK) {
            brg_value_unref(value);
            break;
        }
    }
    call_add_int(call, "posted", n);
    return status;
}

static brg_status port_receive(conf_call *call)
{
    brg_value *value = NULL;
    brg_status status = brg_port_receive(*port_at(call, "slot"), &value, call_timeout(call));
    if (status == BRG_OK)
        call_add_view(call, "value", brg_value_root(value));
    brg_value_unref(value);
    return status;
}

/* Receives a value whose "port" goes to slot "other". */
static brg_status port_receive_port(conf_call *call)
{
    brg_value *value = NULL;
    brg_status status = brg_port_receive(*port_at(call, "slot"), &value, call_timeout(call));
    if (status == BRG_OK)
        status = brg_view_take_port(brg_view_get(brg_value_root(value), "port"), port_at(call, "other"));
    brg_value_unref(value);
    return status;
}

/* Sends the port of slot "other" through the one of "slot", as {"port": ...}. */
static brg_status port_send_port(conf_call *call)
{
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    brg_status status = brg_builder_create(&builder, NULL);
    if (status != BRG_OK)
        return status;
    brg_builder_map(builder);
    brg_builder_key(builder, "port");
    brg_builder_port(builder, port_at(call, "other"));
    brg_builder_end(builder);
    status = brg_builder_finish(builder, &value, NULL);
    brg_builder_destroy(builder);
    if (status == BRG_OK && (status = brg_port_post(*port_at(call, "slot"), value, BRG_FOREVER, NULL)) != BRG_OK)
        brg_value_unref(value);
    return status;
}

/* Back to the owner, in the answer. */
static brg_status port_give(conf_call *call)
{
    brg_builder_key(call->answer, "port");
    brg_builder_port(call->answer, port_at(call, "slot"));
    return BRG_OK;
}

static brg_status port_close(conf_call *call)
{
    brg_port_close(*port_at(call, "slot"));
    return BRG_OK;
}

static brg_status port_destroy(conf_call *call)
{
    brg_port_destroy(*port_at(call, "slot"));
    *port_at(call, "slot") = NULL;
    return BRG_OK;
}

static brg_status port_state(conf_call *call)
{
    call_add_int(call, "closed", brg_port_is_closed(*port_at(call, "slot")));
    call_add_int(call, "waiting", (int64_t)brg_port_waiting(*port_at(call, "slot")));
    return BRG_OK;
}

/* Sends back what comes until the port is closed; says how many that were. */
static brg_status port_echo(conf_call *call)
{
    brg_port *port = *port_at(call, "slot");
    brg_value *value = NULL;
    int64_t count = 0;
    brg_status status;
    while ((status = brg_port_receive(port, &value, call_timeout(call))) == BRG_OK) {
        if ((status = brg_port_post(port, value, call_timeout(call), NULL)) != BRG_OK) {
            brg_value_unref(value);
            break;
        }
        count++;
    }
    call_add_int(call, "count", count);
    return status;
}

/* ---- on the worker's loop ------------------------------------------------------------------------------------ */

static void port_on_message(brg_port *port, brg_value *message, void *user_data)
{
    (void)user_data;
    brg_value *copy = brg_value_ref(message);
    if (brg_port_post(port, copy, 0, NULL) != BRG_OK)
        brg_value_unref(copy);
}

static void port_on_close(brg_port *port, void *user_data)
{
    (void)port;
    (void)user_data;
    party_post(brg_context_current(), party_number("closed", 1));
}

/* Starts the port on the worker's loop, where it sends back what comes and tells the owner {"closed": 1}. */
static brg_status port_start(conf_call *call)
{
    brg_loop *loop = brg_context_loop(call->context, NULL);
    if (loop == NULL)
        return BRG_SYSTEM;
    return brg_port_start(*port_at(call, "slot"),
                          brg_port_opts(.loop = loop, .on_message = port_on_message, .on_close = port_on_close), NULL);
}

/* Runs the worker's loop until nothing keeps it. */
static brg_status port_run_loop(conf_call *call)
{
    brg_loop *loop = brg_context_loop(call->context, NULL);
    return loop != NULL ? brg_loop_run(loop) : BRG_SYSTEM;
}

/* Writes "text" to the descriptor "fd" and closes it. */
static brg_status port_write_fd(conf_call *call)
{
    int fd = -1;
    brg_status status = brg_view_take_fd(call_get(call, "fd"), &fd);
    if (status != BRG_OK)
        return status;
    if (write(fd, "hello", 5) != 5)
        status = BRG_SYSTEM;
    close(fd);
    return status;
}

const conf_command party_port_commands[] = {{"port_keep", port_keep},
                                            {"port_from_init", port_from_init},
                                            {"port_create", port_create},
                                            {"port_post", port_post},
                                            {"port_flood", port_flood},
                                            {"port_receive", port_receive},
                                            {"port_receive_port", port_receive_port},
                                            {"port_send_port", port_send_port},
                                            {"port_give", port_give},
                                            {"port_close", port_close},
                                            {"port_destroy", port_destroy},
                                            {"port_state", port_state},
                                            {"port_echo", port_echo},
                                            {"port_start", port_start},
                                            {"port_run_loop", port_run_loop},
                                            {"write_fd", port_write_fd},
                                            {NULL, NULL}};
