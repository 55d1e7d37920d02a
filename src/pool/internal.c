/* SPDX-License-Identifier: MIT */
#include "pool/internal.h"

void brg__task_ended_internal(brg_task *task, const brg__outcome *outcome, bool has_lock)
{
    (void)task, (void)outcome, (void)has_lock;
}
int brg__warm_begin_locked(brg_pool *pool, brg__slot *slot) { return (void)pool, (void)slot, 0; }
void brg__config_free(brg_pool *pool) { (void)pool; }
brg_status brg_pool_configure(brg_pool *pool, brg_value *config, brg_error *error)
{
    (void)pool, (void)config;
    return brg_error_set(error, BRG_UNSUPPORTED, "pool", "not yet");
}
brg_status brg_pool_submit_all(brg_pool *pool, const char *name, brg_value *input, const brg_submit_options *options,
                               uint32_t *count)
{
    (void)pool, (void)name, (void)input, (void)options, (void)count;
    return BRG_UNSUPPORTED;
}
