/* SPDX-License-Identifier: MIT */
/*
 * Pull: tasks stay in the shared queue until a worker is free. Of the idle ones the latest to fall idle is woken: its
 * caches are warm, and the others can stay asleep (LIFO wake order, after folly's LifoSem).
 */
#include "pool/policy.h"
#include "pool/pool.h"

static brg__slot *pull_next(const brg__pool_view *view)
{
    return brg__list_is_empty(view->idle) ? NULL : brg__container_of(view->idle->head.next, brg__slot, idle_node);
}

static const brg_placement_policy pull = {.name = "pull", .next = pull_next};
const brg_placement_policy *const brg_placement_pull = &pull;
