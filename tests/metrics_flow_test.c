/* SPDX-License-Identifier: MIT */
/* What a pool says of itself while flows run on it: their pieces are in no count, and the items of streams are tasks. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "crowd.h"

#define BOUND SCENARIO_BOUND

/* ---- functions of streams ---------------------------------------------------------------------------------------- */

static brg_status stage_pass(brg_context *context, const brg_value *input, brg_value **output, void *state)
{
    (void)context, (void)input, (void)output, (void)state;
    return BRG_OK;
}

static brg_status source_of_ten(brg_value **item, void **tag, void *user_data)
{
    int *left = user_data;
    (void)tag;
    *item = NULL;
    return (*left)-- > 0 ? BRG_OK : BRG_CLOSED;
}

static void run_stream(brg_pool *pool, brg_stage_fn run)
{
    brg_stream *stream = NULL;
    brg_error error;
    brg_stream_item item;
    int left = 10, items = 0;
    if (brg_stream_create(&stream,
                          brg_stream_opts(.pool = pool, .run = run, .source = source_of_ten, .user_data = &left),
                          &error) != BRG_OK)
        fail_msg("stream: %s", error.message);
    while (brg_stream_next(stream, &item, BOUND) == BRG_OK)
        items++;
    assert_int_equal(items, 10);
    brg_stream_destroy(stream);
}

static void functions_of_streams_are_functions(void **state)
{
    (void)state;
    brg_pool *pool = scenario_pool(BRG_ISOLATION_THREAD, NULL);
    for (int i = 0; i < 4; i++)
        scenario_expect(pool, "noop", NULL, BRG_OK);
    run_stream(pool, stage_pass);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
    brg_metrics *metrics = scenario_metrics(pool);
    assert_true(brg_metrics_pool(metrics)->tasks_done == 14);
    for (size_t i = 0; brg_metrics_task(metrics, i) != NULL; i++) {
        const brg_metrics_of_task *task = brg_metrics_task(metrics, i);
        assert_true(task->done == (strcmp(task->name, BRG_METRICS_FUNCTIONS) == 0 ? 10 : 4));
        assert_true(task->name[0] != '\0');
    }
    brg_metrics_free(metrics);
    brg_pool_destroy(pool);
}

/* ---- pieces of flows --------------------------------------------------------------------------------------------- */

static brg_status pass_range(brg_context *context, size_t first, size_t end, void *state)
{
    (void)context, (void)first, (void)end, (void)state;
    return BRG_OK;
}

static void note_end(const brg_result *result, void *user_data)
{
    assert_int_equal(result->status, BRG_OK);
    *(bool *)user_data = true;
}

/* They wait for workers as tasks do, but are the library's: no count has them, the queue's peak neither. */
static void pieces_are_in_no_peak(void **state)
{
    (void)state;
    crowd here;
    brg_loop *loop = NULL;
    bool done = false;
    brg_error error;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = scenario_pool(BRG_ISOLATION_THREAD, brg_pool_opts(.workers_max = 3, .loop = loop));
    brg_task *holds[3];
    crowd_open(&here);
    for (int i = 0; i < 3; i++) {
        holds[i] = scenario_submit(pool, "noop", crowd_input(&here), NULL);
        crowd_wait(&here, 1);
    }
    assert_int_equal(
        brg_parallel_for(pool, 1000, pass_range, NULL, brg_flow_opts(.done = note_end, .user_data = &done), &error),
        BRG_OK);
    brg_task *waits = scenario_submit(pool, "noop", NULL, NULL);
    brg_metrics *metrics = scenario_metrics(pool);
    assert_true(brg_metrics_pool(metrics)->queue_length == 1);
    assert_true(brg_metrics_pool(metrics)->queue_peak == 1);
    brg_metrics_free(metrics);
    crowd_release(&here, 3);
    for (int i = 0; i < 3; i++) {
        (void)scenario_result(holds[i]);
        brg_task_unref(holds[i]);
    }
    (void)scenario_result(waits);
    brg_task_unref(waits);
    assert_int_equal(brg_pool_drain(pool, BOUND), BRG_OK);
    assert_true(done);
    brg_pool_destroy(pool);
    crowd_close(&here);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static brg_value *one_item(const crowd *here)
{
    brg_builder *builder = NULL;
    brg_value *list = NULL;
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_list(builder);
    brg_builder_map(builder);
    brg_builder_key(builder, "reach");
    brg_builder_string(builder, here->gate.reach);
    brg_builder_key(builder, "hold");
    brg_builder_string(builder, here->gate.hold);
    brg_builder_end(builder);
    brg_builder_end(builder);
    assert_int_equal(brg_builder_finish(builder, &list, NULL), BRG_OK);
    brg_builder_destroy(builder);
    return list;
}

/* A worker at one does not set itself up. */
static void a_worker_shows_that_it_runs_a_piece(void **state)
{
    crowd here;
    brg_loop *loop = NULL;
    bool done = false;
    brg_error error;
    assert_int_equal(brg_loop_create(&loop, brg_loop_opts(.external = true), NULL), BRG_OK);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 1, .loop = loop));
    crowd_open(&here);
    brg_value *items = one_item(&here);
    assert_int_equal(
        brg_map_values(pool, "noop", items, NULL, brg_flow_opts(.done = note_end, .user_data = &done), &error), BRG_OK);
    brg_value_unref(items);
    while (!crowd_is_there(&here)) {
        struct pollfd either[] = {{.fd = here.reach, .events = POLLIN}, {.fd = brg_loop_fd(loop), .events = POLLIN}};
        assert_true(poll(either, 2, (int)(SCENARIO_BOUND / 1000000)) > 0);
        (void)brg_loop_dispatch(loop);
    }
    crowd_wait(&here, 1);
    brg_metrics *metrics = scenario_metrics(pool);
    assert_string_equal(brg_metrics_worker(metrics, 0)->task, BRG_METRICS_FLOWS);
    brg_metrics_free(metrics);
    crowd_release(&here, 1);
    assert_int_equal(brg_pool_drain(pool, BOUND), BRG_OK);
    assert_true(done);
    brg_pool_destroy(pool);
    crowd_close(&here);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

/* ---- counts that are what is left -------------------------------------------------------------------------------- */

typedef struct flood {
    brg_pool *pool;
    atomic_bool over;
} flood;

static void *flood_named(void *argument)
{
    flood *self = argument;
    while (!atomic_load(&self->over)) {
        brg_task *last = NULL;
        for (int i = 0; i < 100; i++) {
            brg_task_unref(last);
            last = scenario_submit(self->pool, "noop", NULL, NULL);
        }
        (void)scenario_result(last);
        brg_task_unref(last);
    }
    return NULL;
}

/* While others settle: a counter that falls would be taken for one that began anew. */
static void counts_of_functions_never_fall(void **state)
{
    (void)state;
    flood run = {.pool = scenario_pool(BRG_ISOLATION_THREAD, brg_pool_opts(.timing = true))};
    pthread_t thread;
    run_stream(run.pool, stage_pass);
    assert_int_equal(brg_pool_wait_idle(run.pool, BOUND), BRG_OK);
    brg_metrics_free(scenario_metrics(run.pool));
    assert_int_equal(pthread_create(&thread, NULL, flood_named, &run), 0);
    for (int i = 0; i < 1000; i++) {
        brg_metrics *metrics = scenario_metrics(run.pool);
        const brg_metrics_of_task *functions = brg_metrics_task(metrics, 0);
        assert_string_equal(functions->name, BRG_METRICS_FUNCTIONS);
        assert_true(functions->done == 10);
        assert_true(functions->run.count == 10);
        brg_metrics_free(metrics);
    }
    atomic_store(&run.over, true);
    pthread_join(thread, NULL);
    brg_pool_destroy(run.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_of_streams_are_functions),
        cmocka_unit_test(pieces_are_in_no_peak),
        SCENARIO_BOTH(a_worker_shows_that_it_runs_a_piece),
        cmocka_unit_test(counts_of_functions_never_fall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
