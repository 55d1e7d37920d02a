/* SPDX-License-Identifier: MIT */
/* Commands about values, buffers and messages. */
#include "module.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The message itself back, with all that moved in it. */
static brg_status basic_echo(conf_call *call)
{
    call->is_silent = true;
    party_post(call->context, brg_value_ref(call->message));
    return BRG_OK;
}

static brg_status basic_who(conf_call *call)
{
    call_add_int(call, "worker", (int64_t)brg_context_worker_id(call->context));
    call_add_int(call, "current", (int64_t)brg_worker_current_id());
    call_add_int(call, "pid", getpid());
    call_add_int(call, "isolation", brg_context_isolation(call->context));
    call_add_string(call, "name", brg_context_worker_name(call->context));
    const brg_value *init = brg_context_init_data(call->context);
    if (init != NULL)
        call_add_view(call, "init", brg_value_root(init));
    return BRG_OK;
}

static brg_status basic_keep(conf_call *call)
{
    brg_value_unref(call->party->kept);
    call->party->kept = brg_value_ref(call->message);
    return BRG_OK;
}

static brg_status basic_kept(conf_call *call)
{
    if (call->party->kept == NULL)
        return BRG_EMPTY;
    call_add_view(call, "kept", brg_value_root(call->party->kept));
    return BRG_OK;
}

static brg_status basic_many(conf_call *call)
{
    call->is_silent = true;
    int64_t count = call_int(call, "count", 0);
    for (int64_t n = 0; n < count; n++)
        party_post(call->context, party_number("n", n));
    if (call_flag(call, "then_exit"))
        exit((int)call_int(call, "code", 0));
    return BRG_OK;
}

static brg_status basic_exit(conf_call *call) { exit((int)call_int(call, "code", 0)); }

static brg_status basic_abort(conf_call *call)
{
    (void)call;
    abort();
}

/* Spins until it is asked to end. */
static brg_status basic_spin(conf_call *call)
{
    call->is_silent = true;
    party_post(call->context, party_number("spinning", 1));
    while (!brg_context_cancelled(call->context))
        __asm__ __volatile__("");
    return BRG_OK;
}

/* Takes messages by itself: "count" of them, or until the worker is asked to end; says the sum of their "n". */
static brg_status basic_receive(conf_call *call)
{
    brg_status status = BRG_OK;
    int64_t sum = 0, count = 0;
    while (count < call_int(call, "count", 1)) {
        brg_value *message = NULL;
        status = brg_context_receive(call->context, &message, call_timeout(call));
        if (status != BRG_OK)
            break;
        sum += brg_view_get_int(brg_value_root(message), "n", 0);
        brg_value_unref(message);
        count++;
    }
    call_add_int(call, "sum", sum);
    call_add_int(call, "count", count);
    return status;
}

/* ---- buffers ----------------------------------------------------------------------------------------------- */

static brg_status basic_sum(conf_call *call)
{
    brg_buffer *buffer = brg_view_buffer(call_get(call, "buffer"));
    if (buffer == NULL)
        return BRG_WRONG_TYPE;
    const unsigned char *bytes = brg_buffer_bytes(buffer);
    int64_t sum = 0;
    for (size_t i = 0; i < brg_buffer_size(buffer); i++)
        sum += bytes[i];
    call_add_int(call, "sum", sum);
    call_add_int(call, "size", (int64_t)brg_buffer_size(buffer));
    call_add_int(call, "frozen", brg_buffer_is_frozen(buffer));
    call_add_int(call, "region", brg_buffer_is_region(buffer));
    call_add_int(call, "writable", brg_buffer_data(buffer) != NULL);
    return BRG_OK;
}

/* Writes "byte" over the buffer and sends it back. */
static brg_status basic_fill(conf_call *call)
{
    brg_buffer *buffer = brg_view_buffer(call_get(call, "buffer"));
    if (buffer == NULL || brg_buffer_data(buffer) == NULL)
        return BRG_WRONG_TYPE;
    memset(brg_buffer_data(buffer), (int)call_int(call, "byte", 0), brg_buffer_size(buffer));
    buffer = brg_buffer_ref(buffer);
    brg_builder_key(call->answer, "buffer");
    brg_builder_buffer(call->answer, &buffer);
    brg_buffer_unref(buffer);
    return BRG_OK;
}

/* A new buffer of "size" bytes, each "byte", frozen where "frozen". */
static brg_status basic_make(conf_call *call)
{
    brg_buffer *buffer = NULL;
    brg_status status = brg_buffer_create(&buffer, (size_t)call_int(call, "size", 0), NULL);
    if (status != BRG_OK)
        return status;
    if (brg_buffer_size(buffer) > 0)
        memset(brg_buffer_data(buffer), (int)call_int(call, "byte", 0), brg_buffer_size(buffer));
    if (call_flag(call, "frozen"))
        brg_buffer_freeze(buffer);
    brg_builder_key(call->answer, "buffer");
    brg_builder_buffer(call->answer, &buffer);
    brg_buffer_unref(buffer);
    return BRG_OK;
}

const conf_command party_basic_commands[] = {{"echo", basic_echo},
                                             {"who", basic_who},
                                             {"keep", basic_keep},
                                             {"kept", basic_kept},
                                             {"many", basic_many},
                                             {"exit", basic_exit},
                                             {"abort", basic_abort},
                                             {"spin", basic_spin},
                                             {"receive", basic_receive},
                                             {"sum", basic_sum},
                                             {"fill", basic_fill},
                                             {"make", basic_make},
                                             {NULL, NULL}};
