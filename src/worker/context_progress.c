/* SPDX-License-Identifier: MIT */
/* What a running task says of itself before it ends. */
#include "worker/context.h"

brg_status brg_context_progress(brg_context *context, brg_value *value, uint64_t timeout_ns, brg_error *error)
{
    if (value == NULL)
        return brg_error_set(error, BRG_INVALID, "worker", "a value of progress must not be NULL");
    if (context->ticket == 0)
        return brg_error_set(error, BRG_STATE, "worker", "progress is of a running task of a pool");
    brg__usage_beat(context->usage);
    if (context->teller != NULL)
        return context->teller->send(context->teller, context, value, timeout_ns, error);
    brg_value_unref(value);
    return BRG_OK;
}

void brg_context_heartbeat(brg_context *context) { brg__usage_beat(context->usage); }

static brg_status context_refuse(brg__teller *teller, brg_context *context, brg_value *value, uint64_t timeout_ns,
                                 brg_error *error)
{
    (void)teller, (void)context, (void)value, (void)timeout_ns;
    return brg_error_set(error, BRG_STATE, "worker", "progress is of one task; a batch is of many");
}

brg__teller brg__teller_refuses = {.send = context_refuse};
