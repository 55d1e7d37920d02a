/* SPDX-License-Identifier: MIT */
/*
 * What the torture tests of tasks share. A scenario is run again and again, failing the 1st, 2nd, ... call of each entry
 * of the library's door to the kernel; where there are many calls, a sample of them, or all with TORTURE_ALL=1 in the
 * environment. Whatever fails, every call works or says why not and leaves its outputs alone, every accepted task
 * settles exactly once, nothing hangs and nothing stays behind.
 */
#ifndef TESTS_FAILING_H
#define TESTS_FAILING_H

#include "scenario.h"

#define FAILING_LONG BRG_SECONDS(1000) /* what no machine is too slow for: a run that hangs is ended before */

typedef struct failing_scenario {
    const char *name;
    void (*run)(brg_isolation isolation);
    bool threads_only;
} failing_scenario;

#define FAILING_SCENARIO(function)                                                                                     \
    {                                                                                                                  \
        .name = #function, .run = function                                                                             \
    }
#define FAILING_IN_THREADS(function)                                                                                   \
    {                                                                                                                  \
        .name = #function, .run = function, .threads_only = true                                                       \
    }

/* Runs all of them; fails the test naming the run when something in it is wrong, or it hangs. */
void failing_each(const failing_scenario *scenarios, size_t count, brg_isolation isolation);

/* Whether the call worked; fails the test unless a failure says what it is. */
bool failing_worked(brg_status status, const brg_error *error, const char *what);
void failing_expect(bool holds, const char *what);

/* What an output holds before a call that may fail, and must hold after it failed. */
#define FAILING_UNTOUCHED ((void *)(uintptr_t)0xf00)

/* A pool on the torture module, whose workers restart at once; NULL when that failed. */
brg_pool *failing_pool(brg_isolation isolation, brg_pool_options options);
/* The same of functions alone. */
brg_pool *failing_function_pool(brg_pool_options options);
brg_loop *failing_loop(void); /* or NULL */
void failing_loop_end(brg_loop *loop);

typedef struct failing_task {
    brg_task *task; /* NULL: it was refused */
    int done;       /* how often its callback ran */
    bool has_done;
    brg_status status; /* that its callback saw */
} failing_task;

/* Submits; `task` must stay where it is until it ended. `input` is taken. False: refused. With a `with_done`, done is
 * counted. */
bool failing_submit(brg_pool *pool, failing_task *task, const char *name, brg_value *input,
                    const brg_submit_options *options, bool with_done);
bool failing_submit_call(brg_pool *pool, failing_task *task, brg_call_fn call, void *argument,
                         const brg_submit_options *options, bool with_done);
/* Waits until those that were accepted settled, each in a way that says why. */
void failing_settled(failing_task *tasks, size_t count);
/* After the pool's end: each settled once; lets go of them. */
void failing_ended(failing_task *tasks, size_t count);

brg_value *failing_number(int64_t number);                   /* NULL when that failed */
brg_value *failing_list(int64_t count);                      /* 0, 1, ...; NULL when that failed */
bool failing_is_list(const brg_value *value, int64_t count); /* ... that same list */

#endif
