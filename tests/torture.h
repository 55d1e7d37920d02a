/* SPDX-License-Identifier: MIT */
/*
 * After curl's torture tests: each scenario is run again and again, failing the 1st, 2nd, ... n-th call of each entry
 * of the library's door to the kernel, until a run in which none failed. Whatever fails, every call works or says why
 * not, every accepted task settles exactly once, nothing hangs and nothing stays behind.
 */
#ifndef TESTS_TORTURE_H
#define TESTS_TORTURE_H

#include "scenario.h"

/* What a machine cannot be too slow for: a run that hangs is ended before. */
#define TORTURE_LONG BRG_SECONDS(1000)
#define TORTURE_PATIENCE .start_timeout_ns = TORTURE_LONG, .grace_ns = TORTURE_LONG

typedef struct torture_scenario {
    const char *name;
    void (*run)(brg_isolation isolation);
} torture_scenario;

#define TORTURE_SCENARIO(function)                                                                                     \
    {                                                                                                                  \
#function, function                                                                                            \
    }

/* What every call promises: whether it worked, and if not, that it says why not. */
bool torture_worked(brg_status status, const brg_error *error, const char *what);
void torture_expect(bool holds, const char *what);

/* Each of them, until all that can fail has failed; how many calls did. */
uint64_t torture_scenarios(const torture_scenario *scenarios, size_t count, brg_isolation isolation);
/* One from a cold start: in a forked child the library begins anew, so that starting the supervisor and the first
 * template fails, too. It forks: before the program has a thread. */
uint64_t torture_cold_starts(const torture_scenario *scenario, brg_isolation isolation);
/* A run that hangs ends the program and says which it was. */
void torture_begin(void);

#endif
