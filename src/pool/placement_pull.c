/* SPDX-License-Identifier: MIT */
/* Pull: tasks wait in the queue for all until a worker is free. Nothing is decided early, so nothing can be decided
 * wrongly: the default. */
#include <brigade/policy.h>

static const brg_placement_policy pull = {.size = sizeof(brg_placement_policy), .name = "pull"};
const brg_placement_policy *const brg_placement_pull = &pull;
