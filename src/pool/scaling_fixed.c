/* SPDX-License-Identifier: MIT */
/* Fixed: workers_max, always. */
#include <brigade/policy.h>

static uint32_t fixed_target(void *state, const brg_load *load)
{
    (void)state;
    return load->workers_max;
}

static const brg_scaling_policy fixed = {.size = sizeof(brg_scaling_policy), .name = "fixed", .target = fixed_target};
const brg_scaling_policy *const brg_scaling_fixed = &fixed;
