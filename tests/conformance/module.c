/* SPDX-License-Identifier: MIT */
/* The module of the conformance tests: what a worker is told to do, by name. */
#include "module.h"

#include <stdlib.h>
#include <string.h>

int64_t call_int(const conf_call *call, const char *key, int64_t otherwise)
{
    return brg_view_get_int(call->root, key, otherwise);
}

const char *call_string(const conf_call *call, const char *key) { return brg_view_get_string(call->root, key, NULL); }

bool call_flag(const conf_call *call, const char *key) { return brg_view_get_int(call->root, key, 0) != 0; }

brg_view call_get(const conf_call *call, const char *key) { return brg_view_get(call->root, key); }

size_t call_slot(const conf_call *call, const char *key)
{
    int64_t slot = call_int(call, key, 0);
    return slot >= 0 && slot < PARTY_SLOTS ? (size_t)slot : 0;
}

uint64_t call_timeout(const conf_call *call) { return BRG_MILLISECONDS(call_int(call, "timeout_ms", 200000)); }

void call_add_int(conf_call *call, const char *key, int64_t number)
{
    brg_builder_key(call->answer, key);
    brg_builder_int(call->answer, number);
}

void call_add_string(conf_call *call, const char *key, const char *text)
{
    brg_builder_key(call->answer, key);
    if (text != NULL)
        brg_builder_string(call->answer, text);
    else
        brg_builder_nil(call->answer);
}

void call_add_view(conf_call *call, const char *key, brg_view view)
{
    brg_builder_key(call->answer, key);
    brg_builder_view(call->answer, view);
}

brg_value *party_copy(brg_view view)
{
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    if (brg_builder_create(&builder, NULL) != BRG_OK)
        return NULL;
    brg_builder_view(builder, view);
    if (brg_builder_finish(builder, &value, NULL) != BRG_OK)
        value = NULL;
    brg_builder_destroy(builder);
    return value;
}

brg_value *party_number(const char *key, int64_t number)
{
    brg_value *value = NULL;
    return brg_value_map(&value, NULL, brg_field_int(key, number)) == BRG_OK ? value : NULL;
}

void party_post(brg_context *context, brg_value *value)
{
    if (value != NULL && brg_context_post(context, value, BRG_FOREVER, NULL) != BRG_OK)
        brg_value_unref(value);
}

static const conf_command *module_find(const char *name)
{
    static const conf_command *const tables[] = {party_basic_commands, party_port_commands, party_memory_commands,
                                                 party_sync_commands,  party_name_commands, party_world_commands,
                                                 party_nested_commands};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        for (const conf_command *one = tables[i]; one->name != NULL; one++)
            if (strcmp(one->name, name) == 0)
                return one;
    return NULL;
}

static brg_status module_run(conf_call *call, const conf_command *command)
{
    brg_status status = brg_builder_create(&call->answer, NULL);
    if (status != BRG_OK)
        return status;
    brg_builder_map(call->answer);
    call_add_int(call, "status", command->run(call));
    brg_builder_end(call->answer);
    brg_value *answer = NULL;
    brg_error error;
    if (!call->is_silent) {
        status = brg_builder_finish(call->answer, &answer, &error);
        if (status != BRG_OK) {
            brg_value_map(&answer, NULL, brg_field_int("status", status), brg_field_string("why", error.message));
            status = BRG_OK;
        }
    }
    brg_builder_destroy(call->answer);
    party_post(call->context, answer);
    return status;
}

static brg_status module_message(brg_context *context, const brg_value *message)
{
    conf_call call = {.context = context, .party = brg_context_state(context), .message = message};
    call.root = brg_value_root(message);
    const char *name = call_string(&call, "do");
    const conf_command *command = module_find(name != NULL ? name : "echo");
    return command != NULL ? module_run(&call, command) : brg_context_fail(context, 404, "no command %s", name);
}

/* {"n": -2}: tells the owner {"in_direct": 1} and does not finish until the worker is asked to end. {"n": -3}:
 * crashes. */
static brg_status module_direct(brg_context *context, uint64_t from, const brg_value *message)
{
    conf_party *party = brg_context_state(context);
    int64_t n = brg_view_get_int(brg_value_root(message), "n", -1);
    if (n == -3)
        abort();
    if (n == -2) {
        party_post(context, party_number("in_direct", 1));
        while (!brg_context_cancelled(context))
            __asm__ __volatile__("");
        return BRG_CANCELLED;
    }
    if (n < 0)
        return brg_context_fail(context, 77, "no number in it");
    party->direct_out_of_order |= party->direct_count > 0 && n <= party->direct_last;
    party->direct_count++;
    party->direct_last = n;
    party->direct_from = (int64_t)from;
    return BRG_OK;
}

static brg_status module_start(brg_context *context)
{
    const brg_value *init = brg_context_init_data(context);
    if (init != NULL && brg_view_get_int(brg_value_root(init), "fail", 0) != 0)
        return brg_context_fail(context, 3, "told to fail");
    conf_party *party = calloc(1, sizeof(*party));
    if (party == NULL)
        return BRG_NO_MEMORY;
    brg_context_set_state(context, party);
    return BRG_OK;
}

static void module_end(brg_context *context)
{
    conf_party *party = brg_context_state(context);
    if (party == NULL)
        return;
    for (size_t i = 0; i < PARTY_SLOTS; i++) {
        brg_port_destroy(party->ports[i]);
        brg_lock_release(party->locks[i]);
        brg_broadcast_close(party->broadcasts[i]);
    }
    brg_shared_unref(party->shared);
    brg_token_unref(party->token);
    brg_value_unref(party->kept);
    brg_worker_destroy(party->inner);
    free(party);
}

BRG_MODULE(conformance, .worker_start = module_start, .worker_end = module_end, .message = module_message,
           .direct = module_direct);
