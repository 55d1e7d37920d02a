/* SPDX-License-Identifier: MIT */
/* Commands about shared memory: atomics, wait and notify, growth, tokens. */
#include "module.h"

#include <stdlib.h>
#include <string.h>

static size_t memory_offset(const conf_call *call, const char *key) { return (size_t)call_int(call, key, 0); }

static brg_status memory_keep(conf_call *call)
{
    brg_shared *shared = brg_view_shared(call_get(call, "shared"));
    if (shared == NULL)
        return BRG_WRONG_TYPE;
    brg_shared_unref(call->party->shared);
    call->party->shared = brg_shared_ref(shared);
    return BRG_OK;
}

static brg_status memory_drop(conf_call *call)
{
    brg_shared_unref(call->party->shared);
    call->party->shared = NULL;
    return BRG_OK;
}

/* Makes one of "size" bytes, up to "size_max", and sends it. */
static brg_status memory_create(conf_call *call)
{
    brg_shared_unref(call->party->shared);
    call->party->shared = NULL;
    brg_status status = brg_shared_create(&call->party->shared,
                                          brg_shared_opts(.size_bytes = (size_t)call_int(call, "size", 0),
                                                          .size_max_bytes = (size_t)call_int(call, "size_max", 0)),
                                          NULL);
    if (status != BRG_OK)
        return status;
    brg_builder_key(call->answer, "shared");
    brg_builder_shared(call->answer, call->party->shared);
    return BRG_OK;
}

static brg_status memory_size(conf_call *call)
{
    call_add_int(call, "size", (int64_t)brg_shared_size(call->party->shared));
    call_add_int(call, "size_max", (int64_t)brg_shared_size_max(call->party->shared));
    return BRG_OK;
}

static brg_status memory_grow(conf_call *call)
{
    return brg_shared_grow(call->party->shared, (size_t)call_int(call, "size", 0), NULL);
}

/* Adds 1 "times" times; with "bytes" 8, as 64 bits. */
static brg_status memory_add(conf_call *call)
{
    brg_status status = BRG_OK;
    size_t offset = memory_offset(call, "offset");
    for (int64_t i = call_int(call, "times", 1); i > 0 && status == BRG_OK; i--)
        status = call_int(call, "bytes", 4) == 8 ? brg_shared_add64(call->party->shared, offset, 1, NULL)
                                                 : brg_shared_add32(call->party->shared, offset, 1, NULL);
    return status;
}

/* The same by compare and exchange, 8 bits: others must not lose theirs in the same word. */
static brg_status memory_add_by_exchange(conf_call *call)
{
    size_t offset = memory_offset(call, "offset");
    for (int64_t i = call_int(call, "times", 1); i > 0; i--) {
        uint8_t old = 0;
        brg_status status = brg_shared_load8(call->party->shared, offset, &old);
        do {
            uint8_t was = old;
            status = brg_shared_compare_exchange8(call->party->shared, offset, was, (uint8_t)(was + 1), &old);
        } while (status == BRG_NOT_EQUAL);
        if (status != BRG_OK)
            return status;
    }
    return BRG_OK;
}

static brg_status memory_load(conf_call *call)
{
    uint64_t number = 0;
    brg_status status = brg_shared_load64(call->party->shared, memory_offset(call, "offset"), &number);
    call_add_int(call, "value", (int64_t)number);
    return status;
}

static brg_status memory_store(conf_call *call)
{
    return brg_shared_store32(call->party->shared, memory_offset(call, "offset"), (uint32_t)call_int(call, "value", 0));
}

/* Plain writes: byte i becomes i + "first". */
static brg_status memory_write(conf_call *call)
{
    unsigned char *bytes = brg_shared_data(call->party->shared);
    for (size_t i = 0; i < brg_shared_size(call->party->shared); i++)
        bytes[i] = (unsigned char)(i + (size_t)call_int(call, "first", 0));
    return BRG_OK;
}

static brg_status memory_wait(conf_call *call)
{
    size_t offset = memory_offset(call, "offset");
    uint64_t expected = (uint64_t)call_int(call, "expected", 0);
    return call_int(call, "bytes", 4) == 8
               ? brg_shared_wait64(call->party->shared, offset, expected, call_timeout(call))
               : brg_shared_wait32(call->party->shared, offset, (uint32_t)expected, call_timeout(call));
}

static brg_status memory_notify(conf_call *call)
{
    uint32_t woken = 0;
    brg_status status = brg_shared_notify(call->party->shared, memory_offset(call, "offset"),
                                          (uint32_t)call_int(call, "count", 1), &woken);
    call_add_int(call, "woken", woken);
    return status;
}

/* ---- asynchronous wait ----------------------------------------------------------------------------------------- */

typedef struct memory_waiting {
    brg_context *context;
    int64_t tag;
} memory_waiting;

static void memory_done(brg_status status, void *user_data)
{
    memory_waiting *waiting = user_data;
    brg_value *value = NULL;
    if (brg_value_map(&value, NULL, brg_field_int("done", waiting->tag), brg_field_int("status", status)) == BRG_OK)
        party_post(waiting->context, value);
}

/* Waits on its loop, and tells the owner {"done": tag, "status": ...}. */
static brg_status memory_wait_async(conf_call *call)
{
    brg_loop *loop = brg_context_loop(call->context, NULL);
    memory_waiting *waiting = malloc(sizeof(*waiting));
    if (loop == NULL || waiting == NULL) {
        free(waiting);
        return BRG_NO_MEMORY;
    }
    waiting->context = call->context;
    waiting->tag = call_int(call, "tag", 0);
    brg_status status = brg_shared_wait_async32(
        call->party->shared, memory_offset(call, "offset"), (uint32_t)call_int(call, "expected", 0),
        brg_shared_wait_opts(.loop = loop, .timeout_ns = call_timeout(call), .done = memory_done, .release = free,
                             .user_data = waiting),
        NULL, NULL);
    if (status != BRG_OK)
        free(waiting);
    return status;
}

/* ---- tokens ---------------------------------------------------------------------------------------------------- */

static brg_status memory_token_keep(conf_call *call)
{
    brg_token *token = brg_view_token(call_get(call, "token"));
    if (token == NULL)
        return BRG_WRONG_TYPE;
    brg_token_unref(call->party->token);
    call->party->token = brg_token_ref(token);
    return BRG_OK;
}

static brg_status memory_token_state(conf_call *call)
{
    call_add_int(call, "cancelled", brg_token_is_cancelled(call->party->token));
    return BRG_OK;
}

static brg_status memory_token_cancel(conf_call *call)
{
    brg_token_cancel(call->party->token);
    return BRG_OK;
}

static brg_status memory_token_wait(conf_call *call) { return brg_token_wait(call->party->token, call_timeout(call)); }

/* Tells the owner {"spinning": 1}, then computes, reading no messages, until the token says stop. */
static brg_status memory_token_spin(conf_call *call)
{
    party_post(call->context, party_number("spinning", 1));
    while (!brg_token_is_cancelled(call->party->token) && !brg_context_cancelled(call->context))
        __asm__ __volatile__("");
    return brg_token_is_cancelled(call->party->token) ? BRG_OK : BRG_CANCELLED;
}

const conf_command party_memory_commands[] = {{"shared_keep", memory_keep},
                                              {"shared_drop", memory_drop},
                                              {"shared_create", memory_create},
                                              {"shared_size", memory_size},
                                              {"shared_grow", memory_grow},
                                              {"shared_add", memory_add},
                                              {"shared_add_by_exchange", memory_add_by_exchange},
                                              {"shared_load", memory_load},
                                              {"shared_store", memory_store},
                                              {"shared_write", memory_write},
                                              {"shared_wait", memory_wait},
                                              {"shared_notify", memory_notify},
                                              {"shared_wait_async", memory_wait_async},
                                              {"token_keep", memory_token_keep},
                                              {"token_state", memory_token_state},
                                              {"token_cancel", memory_token_cancel},
                                              {"token_wait", memory_token_wait},
                                              {"token_spin", memory_token_spin},
                                              {NULL, NULL}};
