/* SPDX-License-Identifier: MIT */
/* Commands about what has a name: locks and broadcast channels; and messages to workers by id. */
#include "module.h"

static brg_lock **lock_at(const conf_call *call) { return &call->party->locks[call_slot(call, "slot")]; }

static brg_status names_lock(conf_call *call)
{
    brg_lock *lock = NULL;
    brg_status status = brg_lock_acquire(
        &lock, call_string(call, "name"),
        brg_lock_opts(.mode = call_flag(call, "shared") ? BRG_LOCK_SHARED : BRG_LOCK_EXCLUSIVE,
                      .if_available = call_flag(call, "if_available"), .steal = call_flag(call, "steal"),
                      .timeout_ns = call_timeout(call), .token = call->party->token),
        NULL);
    if (status != BRG_OK)
        return status;
    brg_lock_release(*lock_at(call));
    *lock_at(call) = lock;
    return BRG_OK;
}

static brg_status names_unlock(conf_call *call)
{
    brg_lock_release(*lock_at(call));
    *lock_at(call) = NULL;
    return BRG_OK;
}

static brg_status names_lock_state(conf_call *call)
{
    call_add_int(call, "held", brg_lock_is_held(*lock_at(call)));
    call_add_int(call, "lost", brg_lock_is_lost(*lock_at(call)));
    return BRG_OK;
}

static brg_status names_locks(conf_call *call)
{
    brg_value *locks = NULL;
    brg_status status = brg_locks_query(&locks, NULL);
    if (status == BRG_OK)
        call_add_view(call, "locks", brg_value_root(locks));
    brg_value_unref(locks);
    return status;
}

/* ---- broadcast ------------------------------------------------------------------------------------------------- */

static brg_broadcast **broadcast_at(const conf_call *call) { return &call->party->broadcasts[call_slot(call, "slot")]; }

static brg_status names_broadcast_open(conf_call *call)
{
    return brg_broadcast_open(broadcast_at(call), call_string(call, "name"),
                              brg_broadcast_opts(.messages_max = (uint32_t)call_int(call, "messages_max", 0)), NULL);
}

/* Posts "value", or {"n": 0}, {"n": 1}, ...: "count" of them. */
static brg_status names_broadcast_post(conf_call *call)
{
    brg_status status = BRG_OK;
    for (int64_t n = 0; n < call_int(call, "count", 1) && status == BRG_OK; n++) {
        brg_view value = call_get(call, "value");
        brg_value *message = brg_view_type(value) != BRG_TYPE_NONE ? party_copy(value) : party_number("n", n);
        status = brg_broadcast_post(*broadcast_at(call), message, BRG_FOREVER, NULL);
        if (status != BRG_OK)
            brg_value_unref(message);
    }
    return status;
}

static brg_status names_broadcast_receive(conf_call *call)
{
    brg_value *message = NULL;
    brg_status status = brg_broadcast_receive(*broadcast_at(call), &message, call_timeout(call));
    if (status == BRG_OK)
        call_add_view(call, "value", brg_value_root(message));
    brg_value_unref(message);
    return status;
}

static brg_status names_broadcast_close(conf_call *call)
{
    brg_broadcast_close(*broadcast_at(call));
    *broadcast_at(call) = NULL;
    return BRG_OK;
}

static brg_status names_broadcast_dropped(conf_call *call)
{
    call_add_int(call, "dropped", (int64_t)brg_broadcast_dropped(*broadcast_at(call)));
    return BRG_OK;
}

/* ---- by id ----------------------------------------------------------------------------------------------------- */

static brg_status names_post_to(conf_call *call)
{
    brg_error error = {0};
    brg_value *value = party_copy(call_get(call, "value"));
    brg_status status = brg_worker_post_to((uint64_t)call_int(call, "to", 0), value, call_timeout(call), &error);
    if (status != BRG_OK)
        brg_value_unref(value);
    call_add_int(call, "code", error.code);
    return status;
}

static brg_status names_direct_state(conf_call *call)
{
    call_add_int(call, "count", call->party->direct_count);
    call_add_int(call, "last", call->party->direct_last);
    call_add_int(call, "from", call->party->direct_from);
    call_add_int(call, "out_of_order", call->party->direct_out_of_order);
    return BRG_OK;
}

const conf_command party_name_commands[] = {{"lock", names_lock},
                                            {"unlock", names_unlock},
                                            {"lock_state", names_lock_state},
                                            {"locks", names_locks},
                                            {"broadcast_open", names_broadcast_open},
                                            {"broadcast_post", names_broadcast_post},
                                            {"broadcast_receive", names_broadcast_receive},
                                            {"broadcast_close", names_broadcast_close},
                                            {"broadcast_dropped", names_broadcast_dropped},
                                            {"post_to", names_post_to},
                                            {"direct_state", names_direct_state},
                                            {NULL, NULL}};
