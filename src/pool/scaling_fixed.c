/* SPDX-License-Identifier: MIT */
/* Fixed: always workers_max. */
#include "pool/policy.h"

static uint32_t fixed_target(const brg__pool_view *view) { return view->workers_max; }

static const brg_scaling_policy fixed = {.name = "fixed", .target = fixed_target};
const brg_scaling_policy *const brg_scaling_fixed = &fixed;
