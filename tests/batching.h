/* SPDX-License-Identifier: MIT */
/* What the tests of batches share: pools on the batch module, tasks with an expected end, a worker that is busy. */
#ifndef TESTS_BATCHING_H
#define TESTS_BATCHING_H

#include <stdio.h>

#include "scenario.h"

#define LONG SCENARIO_LONG

static inline brg_pool *batch_pool_of(brg_isolation isolation, brg_pool_options options)
{
    static char module[512];
    snprintf(module, sizeof(module), "%s/batch.so", getenv("TEST_MODULE_DIR"));
    options.size = sizeof(options);
    options.module = module;
    if (options.workers_max == 0)
        options.workers_max = 1;
    if (options.batch_size == 0)
        options.batch_size = 4;
    if (options.batch_delay_ns == 0)
        options.batch_delay_ns = LONG;
    return scenario_pool(isolation, &options);
}
#define batch_pool(state, ...) batch_pool_of(scenario_isolation(state), (brg_pool_options){__VA_ARGS__})

static inline brg_value *order(const char *what, int64_t n)
{
    brg_value *input = NULL;
    assert_int_equal(brg_value_map(&input, NULL, brg_field_string("do", what), brg_field_int("n", n)), BRG_OK);
    return input;
}

static inline brg_task *submit(brg_pool *pool, const char *what, int64_t n)
{
    return scenario_submit(pool, "work", order(what, n), NULL);
}

static inline brg_task *submit_meeting(brg_pool *pool, const scenario_gate *gate, const char *what, int64_t n)
{
    brg_value *input = NULL;
    assert_int_equal(brg_value_map(&input, NULL, brg_field_string("do", what), brg_field_int("n", n),
                                   brg_field_string("reach", gate->reach), brg_field_string("hold", gate->hold)),
                     BRG_OK);
    return scenario_submit(pool, "work", input, NULL);
}

static inline int64_t answer(const brg_result *result, const char *key)
{
    return result->output == NULL ? INT64_MIN : brg_view_get_int(brg_value_root(result->output), key, INT64_MIN);
}

/* Waits for it, that it ends with `status`, and lets go of it. */
static inline void expect(brg_task *task, brg_status status)
{
    const brg_result *result = scenario_result(task);
    if (result->status != status)
        fail_msg("%s, not %s: %s", brg_status_name(result->status), brg_status_name(status),
                 result->error != NULL ? result->error->message : "");
    brg_task_unref(task);
}

/* The same for a success: its own number, and how many were in its batch. */
static inline void expect_number(brg_task *task, int64_t n, int64_t count)
{
    const brg_result *result = scenario_result(task);
    if (result->status != BRG_OK)
        fail_msg("%d: %s: %s", (int)n, brg_status_name(result->status), result->error->message);
    assert_int_equal(answer(result, "n"), n);
    if (count != 0)
        assert_int_equal(answer(result, "count"), count);
    assert_true(result->worker_id != 0);
    brg_task_unref(task);
}

static inline bool is_settled(const brg_task *task) { return brg_task_result(task) != NULL; }

/* A worker that is busy with a full batch until the gate is released. */
typedef struct busy {
    scenario_gate gate;
    brg_task *tasks[4];
} busy;

static inline void busy_begin(busy *self, brg_pool *pool)
{
    scenario_gate_open(&self->gate);
    self->tasks[0] = submit_meeting(pool, &self->gate, "double", 0);
    for (int i = 1; i < 4; i++)
        self->tasks[i] = submit(pool, "double", i);
    scenario_gate_reached(&self->gate);
}

static inline void busy_end(busy *self)
{
    scenario_gate_release(&self->gate);
    for (int i = 0; i < 4; i++)
        expect_number(self->tasks[i], 2 * i, 4);
    scenario_gate_close(&self->gate);
}

static inline brg_value *with_port(brg_port **port, int64_t n)
{
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_map(builder);
    brg_builder_key(builder, "do");
    brg_builder_string(builder, "port");
    brg_builder_key(builder, "n");
    brg_builder_int(builder, n);
    brg_builder_key(builder, "port");
    brg_builder_port(builder, port);
    brg_builder_end(builder);
    assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
    brg_builder_destroy(builder);
    return value;
}

#endif
