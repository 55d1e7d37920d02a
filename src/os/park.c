/* SPDX-License-Identifier: MIT */
#include "os/park.h"

#include "os/clock.h"

/* Pauses between two looks at the clock, which costs about as much as this many. */
#define PARK_PAUSES_PER_LOOK 16
/* A spin shorter than this cannot see an answer from another CPU. */
#define PARK_BUDGET_MIN_NS 500
/* While the budget is 0, one spin in this many tries again. */
#define PARK_PROBE_INTERVAL 32

bool brg__gate_wait(brg__gate *gate, uint64_t deadline_ns, brg__futex_scope scope)
{
    bool woken = true;
    brg_store_relaxed(&gate->xcpu, 0u);
    /* Pairs with the exchange in brg__gate_wake. */
    while (woken && brg_load_acquire(&gate->xsleeping) == 1)
        woken = brg__futex_wait(&gate->xsleeping, 1, deadline_ns, scope);
    if (!woken)
        brg_store_relaxed(&gate->xsleeping, 0u);
    brg_store_relaxed(&gate->xcpu, brg__cpu_current() + 1);
    return woken;
}

void brg__spinner_init(brg__spinner *spinner, uint64_t max_ns)
{
    uint64_t max = brg__cpu_online() > 1 ? max_ns : 0;
    *spinner = (brg__spinner){.max_ns = max, .budget_ns = max};
}

static uint64_t spinner_budget(const brg__spinner *spinner)
{
    bool probe = spinner->budget_ns == 0 && spinner->misses % PARK_PROBE_INTERVAL == 0;
    return probe ? spinner->max_ns : spinner->budget_ns;
}

/* Unsigned wrap-around: xcpu 0 (asleep, unknown) never equals a CPU plus 1. */
static bool spinner_peer_is_here(const uint32_t *peer_cpu)
{
    return peer_cpu != NULL && brg_load_relaxed(peer_cpu) == brg__cpu_current() + 1;
}

static bool spinner_run(uint64_t budget_ns, bool (*ready)(void *argument), void *argument)
{
    uint64_t start = brg__now_real();
    do {
        for (int i = 0; i < PARK_PAUSES_PER_LOOK; i++) {
            if (ready(argument))
                return true;
            brg__cpu_pause();
        }
    } while (brg__now_real() - start < budget_ns);
    return ready(argument);
}

bool brg__spinner_spin(brg__spinner *spinner, const uint32_t *peer_cpu, bool (*ready)(void *argument), void *argument)
{
    if (ready(argument))
        return true;
    if (spinner->max_ns == 0 || spinner_peer_is_here(peer_cpu))
        return false;
    uint64_t budget = spinner_budget(spinner);
    if (budget > 0 && spinner_run(budget, ready, argument)) {
        spinner->budget_ns = brg__min(spinner->max_ns, brg__add_saturated(budget, budget) + PARK_BUDGET_MIN_NS);
        spinner->misses = 0;
        return true;
    }
    spinner->misses++;
    spinner->budget_ns = spinner->budget_ns / 2 < PARK_BUDGET_MIN_NS ? 0 : spinner->budget_ns / 2;
    return false;
}
