/* SPDX-License-Identifier: MIT */
/* Workers that served long enough are replaced: after so many tasks, at an age, above a memory. */
#include "os/clock.h"
#include "pool/pool.h"

bool brg__slot_is_due_locked(const brg__slot *slot)
{
    const brg_pool_options *options = &slot->pool->options;
    if (options->recycle_tasks != 0 &&
        brg_load_relaxed(&slot->xsettled.all) - slot->settled_before >= options->recycle_tasks)
        return true;
    return options->recycle_age_ns != 0 && slot->online && brg__now() - slot->online_at >= options->recycle_age_ns;
}

void brg__slot_recycle_locked(brg__slot *slot)
{
    slot->pool->workers_recycled++;
    brg__slot_retire_locked(slot);
}
