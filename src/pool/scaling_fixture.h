/* SPDX-License-Identifier: MIT */
/* A simulated pool for the tests of scaling policies: it does what a policy says, with a clock of its own. */
#ifndef BRG_POOL_SCALING_FIXTURE_H
#define BRG_POOL_SCALING_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "pool/placement.h"

#define INTERVAL_NS UINT64_C(100000000)

typedef struct machine {
    const brg_scaling_policy *policy;
    union {
        uint8_t bytes[1024];
        max_align_t align;
    } state;
    brg_pool_options options;
    brg_load load;
    uint32_t target;
    uint64_t random;
} machine;

static inline uint32_t machine_ask(machine *self)
{
    self->target = self->policy->target(&self->state, &self->load);
    return self->target;
}

static inline void machine_init(machine *self, const brg_scaling_policy *policy, uint32_t min, uint32_t max)
{
    memset(self, 0, sizeof(*self));
    self->policy = policy;
    assert_true(policy->size == sizeof(*policy));
    assert_true(policy->state_bytes <= sizeof(self->state));
    self->options = (brg_pool_options){.size = sizeof(brg_pool_options), .scaling_interval_ns = INTERVAL_NS};
    self->load = (brg_load){.now_ns = 12345, .workers_min = min, .workers_max = max, .workers = min};
    if (policy->init != NULL)
        policy->init(&self->state, &self->options);
}

/* Time passes with so many workers busy, on average; then the policy is asked, and gets what it asks for. */
static inline uint32_t machine_step(machine *self, uint64_t ns, double busy, uint64_t queued, uint64_t done)
{
    self->load.now_ns += ns;
    self->load.busy = (uint32_t)busy;
    self->load.busy_ns += (uint64_t)(busy * (double)ns);
    self->load.worker_ns += self->load.workers * ns;
    self->load.queued = queued;
    self->load.done += done;
    self->load.workers = machine_ask(self);
    return self->target;
}

/* Normal, mean 0, deviation 1, nearly: twelve evenly spread ones (Irwin-Hall). */
static inline double machine_noise(machine *self)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += (double)(brg__random_next(&self->random) >> 11) / 9007199254740992.0;
    return sum;
}

#endif
