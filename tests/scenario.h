/* SPDX-License-Identifier: MIT */
/* What the scenario tests share: pools and workers on the scenario module in either isolation, and places to meet. */
#ifndef TESTS_SCENARIO_H
#define TESTS_SCENARIO_H

/* cmocka wants these before its own header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <brigade.h>

/* One test in each isolation; inside, scenario_isolation(state). */
#define SCENARIO_THREAD(test)                                                                                          \
    {                                                                                                                  \
#test " (thread)", test, NULL, NULL, (void *)(intptr_t)BRG_ISOLATION_THREAD                                    \
    }
#define SCENARIO_PROCESS(test)                                                                                         \
    {                                                                                                                  \
#test " (process)", test, NULL, NULL, (void *)(intptr_t)BRG_ISOLATION_PROCESS                                  \
    }
#define SCENARIO_BOTH(test) SCENARIO_THREAD(test), SCENARIO_PROCESS(test)

/* How long a test waits for what comes for certain, on whatever machine: only what hangs takes as long. */
#define SCENARIO_BOUND BRG_SECONDS(240)
/* For times that must not run out: a thread or process may stand still for longer than any default. */
#define SCENARIO_LONG BRG_SECONDS(3600)

static inline brg_isolation scenario_isolation(void **state) { return (brg_isolation)(intptr_t)*state; }

/* Where the scenario module lies. */
const char *scenario_module(void);

/* A pool on the scenario module; fails the test when it cannot be made. `options` is completed and may be NULL: who is
 * asked to end, and who starts, has an hour, unless it says otherwise. */
brg_pool *scenario_pool(brg_isolation isolation, const brg_pool_options *options);

/* A pool of threads for functions; likewise. */
brg_pool *scenario_function_pool(const brg_pool_options *options);

/* Submits, fails the test when that fails. `input` is taken. */
brg_task *scenario_submit(brg_pool *pool, const char *name, brg_value *input, const brg_submit_options *options);
/* Waits for it and returns its result. */
const brg_result *scenario_result(brg_task *task);
/* Runs one task; fails unless it ends with `status`. */
void scenario_expect(brg_pool *pool, const char *name, brg_value *input, brg_status status);

brg_pool_stats scenario_stats(const brg_pool *pool);
/* A reading, to be freed; fails the test when there is none. */
brg_metrics *scenario_metrics(const brg_pool *pool);

/* `call`, which may fill a brg_error called error, fails with the status and a message that has the word. */
#define SCENARIO_REFUSED(wanted, word, call)                                                                           \
    do {                                                                                                               \
        brg_error error;                                                                                               \
        memset(&error, 0, sizeof(error));                                                                              \
        assert_int_equal((call), (wanted));                                                                            \
        assert_int_equal(error.status, (wanted));                                                                      \
        if (strstr(error.message, (word)) == NULL)                                                                     \
            fail_msg("\"%s\" does not speak of \"%s\"", error.message, (word));                                        \
    } while (0)

/* A map with one field. */
brg_value *scenario_int(const char *key, int64_t value);
brg_value *scenario_string(const char *key, const char *value);

/* A FIFO the tasks "reach" and "hold" at. */
typedef struct scenario_gate {
    char directory[64];
    char reach[96], hold[96];
} scenario_gate;
void scenario_gate_open(scenario_gate *gate);
void scenario_gate_close(scenario_gate *gate);
brg_value *scenario_gate_input(const scenario_gate *gate, bool hold); /* {"reach":..., "hold":...} */
void scenario_gate_reached(const scenario_gate *gate);                /* waits until a task is there */
void scenario_gate_release(const scenario_gate *gate);                /* lets a holding task go */

/* Open descriptors of this process. */
int scenario_open_files(void);

#endif
