/* SPDX-License-Identifier: MIT */
/* The workers of bench/bench_message.c. */
#include <string.h>

#include <brigade.h>
#include <brigade/broadcast.h>
#include <brigade/port.h>
#include <brigade/shared.h>

#include "harness.h"
#include "message.h"
#include "tree.h"

typedef struct role_state {
    brg_status (*run)(brg_context *context, const brg_value *message);
    brg_builder *builder;
} role_state;

static brg_builder *role_builder(const brg_context *context)
{
    const role_state *state = brg_context_state(context);
    return state->builder;
}

static brg_status role_post(brg_context *context, brg_value *message)
{
    brg_status status = brg_context_post(context, message, BRG_FOREVER, NULL);
    if (status != BRG_OK)
        brg_value_unref(message);
    return status;
}

static brg_status role_post_built(brg_context *context)
{
    brg_value *message = NULL;
    brg_status status = brg_builder_finish(role_builder(context), &message, NULL);
    return status == BRG_OK ? role_post(context, message) : status;
}

static brg_status role_post_int(brg_context *context, int64_t number)
{
    brg_builder_int(role_builder(context), number);
    return role_post_built(context);
}

static brg_status role_post_nil(brg_context *context)
{
    brg_builder_nil(role_builder(context));
    return role_post_built(context);
}

static brg_status role_echo(brg_context *context, const brg_value *message)
{
    return role_post(context, brg_value_ref(message));
}

static brg_status role_count(brg_context *context, const brg_value *message)
{
    return brg_view_type(brg_value_root(message)) == BRG_TYPE_NIL ? role_post_nil(context) : BRG_OK;
}

static brg_status role_answer(brg_context *context, const brg_value *message)
{
    return role_post_int(context, (int64_t)brg_value_size_with_buffers(message));
}

static brg_status role_stamp(brg_context *context, const brg_value *message)
{
    brg_buffer *buffer = brg_view_buffer(brg_value_root(message));
    uint8_t *bytes = buffer != NULL ? brg_buffer_data(buffer) : NULL;
    if (bytes == NULL)
        return BRG_WRONG_TYPE;
    bytes[0]++;
    bytes[brg_buffer_size(buffer) - 1]++;
    return role_post(context, brg_value_ref(message));
}

static brg_status role_sum(brg_context *context, const brg_value *message)
{
    return role_post_int(context, bench_tree_read(brg_value_root(message)));
}

/* ---- worker to worker -------------------------------------------------------------------------------------- */

static brg_status role_port_echo(brg_context *context, const brg_value *message)
{
    brg_port *port = NULL;
    brg_value *value = NULL;
    brg_status status = brg_view_take_port(brg_value_root(message), &port);
    (void)context;
    while (status == BRG_OK) {
        status = brg_port_receive(port, &value, BRG_FOREVER);
        if (status != BRG_OK)
            break;
        status = brg_port_post(port, value, BRG_FOREVER, NULL);
        if (status != BRG_OK)
            brg_value_unref(value);
    }
    brg_port_destroy(port);
    return status == BRG_CLOSED ? BRG_OK : status;
}

typedef struct role_drive {
    brg_port *port;
    brg_builder *builder;
} role_drive;

static void role_drive_round(void *state)
{
    role_drive *drive = state;
    brg_value *message = NULL;
    brg_error error;
    brg_builder_int(drive->builder, 42);
    brg_status status = brg_builder_finish(drive->builder, &message, &error);
    if (status == BRG_OK)
        status = brg_port_post(drive->port, message, BRG_FOREVER, &error);
    if (status != BRG_OK)
        bench_fail("a round over a port: %s: %s", brg_status_text(status), error.message);
    status = brg_port_receive(drive->port, &message, BRG_FOREVER);
    if (status != BRG_OK)
        bench_fail("brg_port_receive: %s", brg_status_text(status));
    brg_value_unref(message);
}

static brg_status role_port_drive(brg_context *context, const brg_value *message)
{
    role_drive drive = {NULL, role_builder(context)};
    brg_status status = brg_view_take_port(brg_value_root(message), &drive.port);
    if (status != BRG_OK)
        return status;
    bench_round_trips("hot", role_drive_round, &drive);
    brg_port_destroy(drive.port);
    return role_post_nil(context);
}

/* ---- shared memory and broadcast --------------------------------------------------------------------------- */

/* Waits until the turn is not `*turn` and says what it is. A notify may come late, for a turn seen already. */
static brg_status role_await(brg_shared *shared, uint32_t *turn)
{
    uint32_t before = *turn;
    brg_status status = BRG_OK;
    while (*turn == before && (status == BRG_OK || status == BRG_NOT_EQUAL)) {
        status = brg_shared_wait32(shared, MESSAGE_PING_OFFSET, before, BRG_FOREVER);
        brg_shared_load32(shared, MESSAGE_PING_OFFSET, turn);
    }
    return *turn != before ? BRG_OK : status;
}

static brg_status role_notify(brg_context *context, const brg_value *message)
{
    uint32_t turn = 0;
    brg_shared *shared = brg_view_shared(brg_value_root(message));
    if (shared == NULL)
        return BRG_WRONG_TYPE;
    brg_status status = role_post_nil(context);
    while (status == BRG_OK) {
        status = role_await(shared, &turn);
        if (status != BRG_OK || turn == 0)
            break;
        brg_shared_store32(shared, MESSAGE_PONG_OFFSET, turn);
        status = brg_shared_notify(shared, MESSAGE_PONG_OFFSET, 1, NULL);
    }
    return status;
}

/* Whether one message was heard that is not the last. */
static bool role_hear(brg_context *context, brg_broadcast *broadcast, brg_status *status)
{
    int64_t number = 0;
    brg_value *heard = NULL;
    *status = brg_broadcast_receive(broadcast, &heard, BRG_FOREVER);
    if (*status != BRG_OK)
        return false;
    bool goes_on = brg_view_int(brg_value_root(heard), &number) == BRG_OK;
    brg_value_unref(heard);
    if (number < 0)
        *status = role_post_nil(context);
    return goes_on && *status == BRG_OK;
}

static brg_status role_broadcast(brg_context *context, const brg_value *message)
{
    brg_broadcast *broadcast = NULL;
    const char *name = brg_view_string(brg_value_root(message), NULL);
    brg_status status = brg_broadcast_open(&broadcast, name, NULL, NULL);
    if (status == BRG_OK)
        status = role_post_nil(context);
    while (status == BRG_OK && role_hear(context, broadcast, &status)) {
    }
    brg_broadcast_close(broadcast);
    return status;
}

/* ---- the module -------------------------------------------------------------------------------------------- */

static brg_status role_start(brg_context *context)
{
    static const struct {
        const char *name;
        brg_status (*run)(brg_context *context, const brg_value *message);
    } roles[] = {{"echo", role_echo},
                 {"count", role_count},
                 {"answer", role_answer},
                 {"stamp", role_stamp},
                 {"sum", role_sum},
                 {"port-echo", role_port_echo},
                 {"port-drive", role_port_drive},
                 {"notify", role_notify},
                 {"broadcast", role_broadcast}};
    const char *name = brg_context_argument(context, 0);
    role_state *state = bench_alloc(sizeof(*state));
    brg_context_set_state(context, state);
    for (size_t i = 0; name != NULL && i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(roles[i].name, name) == 0)
            state->run = roles[i].run;
    }
    if (state->run == NULL)
        return brg_context_fail(context, 1, "no such role: %s", name != NULL ? name : "(none)");
    return brg_builder_create(&state->builder, NULL);
}

static void role_end(brg_context *context)
{
    role_state *state = brg_context_state(context);
    brg_builder_destroy(state->builder);
    free(state);
}

static brg_status role_run(brg_context *context, const brg_value *message)
{
    const role_state *state = brg_context_state(context);
    return state->run(context, message);
}

BRG_MODULE(bench_message, .worker_start = role_start, .worker_end = role_end, .message = role_run);
