/* SPDX-License-Identifier: MIT */
/* Streams and pipelines without a loop: order, values, bounds, back-pressure. */
#include "scenario.h"

#include <stdatomic.h>

#include "streaming.h"
#include "watch.h"

/* ---- what comes out ---------------------------------------------------------------------------------------------- */

static void keeps_the_order(void **state)
{
    brg_pool *pool = streaming_pool(scenario_isolation(state), 2);
    streaming run = {.count = MANY};
    brg_stream *stream = streaming_create(&run, brg_stream_opts(.pool = pool, .task = "jitter"));
    assert_int_equal(streaming_expect_order(stream, 1), MANY);
    assert_int_equal(brg_stream_next(stream, &(brg_stream_item){0}, 0), BRG_CLOSED);
    brg_stream_counts counts = streaming_counts(stream);
    assert_int_equal(counts.taken, MANY);
    assert_int_equal(counts.delivered, MANY);
    assert_int_equal(counts.in_flight, 0);
    assert_int_equal(brg_stream_get_error(stream, NULL), BRG_OK);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

static void gives_each_once_as_completed(void **state)
{
    brg_pool *pool = streaming_pool(scenario_isolation(state), 2);
    streaming run = {.count = MANY};
    brg_stream *stream = streaming_create(&run, brg_stream_opts(.pool = pool, .task = "jitter", .unordered = true));
    char *seen = calloc(MANY, 1);
    brg_stream_item item;
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
        assert_int_equal(streaming_number(item.output), item.index + STEP);
        assert_true(item.index < MANY && !seen[item.index]);
        seen[item.index] = 1;
    }
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_CLOSED);
    free(seen);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

static void overtakes_when_it_may(void **state)
{
    (void)state;
    streaming_gate gate = {0};
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2));
    streaming run = {.count = 3};
    brg_stream *stream = streaming_create(
        &run, brg_stream_opts(.pool = pool, .run = streaming_first_waits, .state = &gate, .unordered = true));
    brg_stream_item item;
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
    assert_int_not_equal(item.index, 0);
    atomic_store(&gate.open, true);
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_CLOSED);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

static void goes_through_stages_of_several_pools(void **state)
{
    brg_pool *one = streaming_pool(scenario_isolation(state), 2), *other = streaming_pool(BRG_ISOLATION_THREAD, 1);
    const brg_stage stages[] = {BRG_STAGE(.pool = one, .task = "jitter"), BRG_STAGE(.pool = other, .task = "step"),
                                BRG_STAGE(.pool = one, .task = "jitter", .running_max = 1)};
    for (int unordered = 0; unordered < 2; unordered++) {
        streaming run = {.count = MANY};
        brg_stream *stream = streaming_create(
            &run, brg_stream_opts(.stages = stages, .stage_count = 3, .unordered = unordered != 0));
        if (unordered == 0)
            assert_int_equal(streaming_expect_order(stream, 3), MANY);
        else
            assert_int_equal(streaming_expect_all(stream, 3), MANY);
        for (uint32_t i = 0; i < 3; i++)
            assert_int_equal(streaming_stage(stream, i).done, MANY);
        brg_stream_destroy(stream);
    }
    brg_pool_destroy(one);
    brg_pool_destroy(other);
}

static brg_status same_value(brg_context *context, const brg_value *input, brg_value **output, void *state)
{
    (void)context, (void)state;
    *output = brg_value_ref(input);
    return BRG_OK;
}

static const brg_value *value_given;

static brg_status one_value(brg_value **item, void **tag, void *user_data)
{
    int *left = user_data;
    brg_buffer *buffer = NULL;
    brg_builder *builder = NULL;
    (void)tag;
    if ((*left)-- == 0)
        return BRG_CLOSED;
    assert_int_equal(brg_buffer_create(&buffer, 2000000, NULL), BRG_OK);
    memset(brg_buffer_data(buffer), 'x', 2000000);
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_buffer(builder, &buffer);
    assert_int_equal(brg_builder_finish(builder, item, NULL), BRG_OK);
    brg_builder_destroy(builder);
    value_given = *item;
    return BRG_OK;
}

static void moves_values_between_threads(void **state)
{
    (void)state;
    int left = 1;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2));
    const brg_stage stages[] = {BRG_STAGE(.pool = pool, .run = same_value), BRG_STAGE(.pool = pool, .run = same_value)};
    brg_stream *stream = NULL;
    assert_int_equal(
        brg_stream_create(&stream,
                          brg_stream_opts(.stages = stages, .stage_count = 2, .source = one_value, .user_data = &left),
                          NULL),
        BRG_OK);
    brg_stream_item item;
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
    assert_ptr_equal(item.output, value_given);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

static void carries_buffers_to_processes_and_back(void **state)
{
    int left = 3;
    brg_pool *pool = streaming_pool(scenario_isolation(state), 2);
    const brg_stage stages[] = {BRG_STAGE(.pool = pool, .task = "pass"), BRG_STAGE(.pool = pool, .task = "pass")};
    brg_stream *stream = NULL;
    assert_int_equal(
        brg_stream_create(&stream,
                          brg_stream_opts(.stages = stages, .stage_count = 2, .source = one_value, .user_data = &left),
                          NULL),
        BRG_OK);
    brg_stream_item item;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
        brg_buffer *buffer = brg_view_buffer(brg_value_root(item.output));
        assert_non_null(buffer);
        assert_int_equal(brg_buffer_size(buffer), 2000000);
        assert_int_equal(((const char *)brg_buffer_data(buffer))[1999999], 'x');
    }
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_CLOSED);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

static void keeps_to_its_bounds(void **state)
{
    (void)state;
    streaming_crowd crowds[3] = {{.most = 0}};
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 4));
    const brg_stage stages[] = {
        BRG_STAGE(.pool = pool, .run = streaming_count_in, .state = &crowds[0], .running_max = 3, .queue_max = 2),
        BRG_STAGE(.pool = pool, .run = streaming_count_in, .state = &crowds[1], .running_max = 1, .queue_max = 4),
        BRG_STAGE(.pool = pool, .run = streaming_count_in, .state = &crowds[2], .running_max = 2, .queue_max = 1)};
    const uint32_t running[] = {3, 1, 2}, queued[] = {2, 4, 1};
    for (int unordered = 0; unordered < 2; unordered++) {
        streaming run = {.count = MANY, .ahead_max = 9};
        brg_stream *stream = streaming_create(
            &run, brg_stream_opts(.stages = stages, .stage_count = 3, .in_flight_max = 9, .unordered = unordered != 0));
        brg_stream_item item;
        while (brg_stream_next(stream, &item, BOUND) == BRG_OK)
            run.consumed++;
        assert_int_equal(run.consumed, MANY);
        assert_true(streaming_counts(stream).in_flight_peak <= 9);
        for (uint32_t i = 0; i < 3; i++) {
            assert_true((uint32_t)atomic_load(&crowds[i].most) <= running[i]);
            assert_true(streaming_stage(stream, i).running_peak <= running[i]);
            assert_true(streaming_stage(stream, i).queued_peak <= queued[i]);
        }
        brg_stream_destroy(stream);
    }
    brg_pool_destroy(pool);
}

/* Items of 100,000 bytes: half a million is reached by the fifth or sixth. */
static brg_status heavy_source(brg_value **item, void **tag, void *user_data)
{
    static const char bytes[100000];
    int *left = user_data;
    (void)tag;
    return (*left)-- == 0 ? BRG_CLOSED : brg_value_bytes(item, bytes, sizeof(bytes), NULL);
}

static void keeps_to_its_bytes(void **state)
{
    brg_pool *pool = streaming_pool(scenario_isolation(state), 2);
    for (int i = 0; i < 2; i++) {
        int left = 100, came = 0;
        brg_stream *stream = NULL;
        const brg_stream_options *options = brg_stream_opts(.pool = pool, .task = "pass", .source = heavy_source,
                                                            .user_data = &left,
                                                            .in_flight_bytes_max = i == 0 ? 500000 : 10);
        assert_int_equal(brg_stream_create(&stream, options, NULL), BRG_OK);
        brg_stream_item item;
        while (brg_stream_next(stream, &item, BOUND) == BRG_OK)
            came++;
        brg_stream_counts counts = streaming_counts(stream);
        assert_int_equal(came, 100);
        assert_true(counts.in_flight_peak <= (i == 0 ? 5 : 1));
        assert_true(counts.in_flight_bytes_peak < (i == 0 ? 600000 : 110000));
        assert_int_equal(counts.in_flight_bytes, 0);
        brg_stream_destroy(stream);
    }
    brg_pool_destroy(pool);
}

static void a_slow_consumer_slows_the_source_alone(void **state)
{
    brg_pool *pool = streaming_pool(scenario_isolation(state), 2);
    streaming run = {.count = MANY};
    brg_stream *stream = streaming_create(&run, brg_stream_opts(.pool = pool, .task = "step", .in_flight_max = 20));
    brg_stream_item item;
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK); /* all that it may take is done; nobody takes it */
    assert_true(run.taken <= 20);
    uint64_t taken = run.taken;
    brg_value *value = NULL;
    assert_int_equal(brg_value_int(&value, 5, NULL), BRG_OK);
    scenario_expect(pool, "step", value, BRG_OK);
    assert_int_equal(run.taken, taken);
    assert_int_equal(streaming_expect_rest(stream, 1, 1), MANY - 1);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

static void passes_by_a_full_queue(void **state)
{
    brg_pool *pool = NULL;
    brg_isolation isolation = scenario_isolation(state);
    for (int admission = BRG_ADMISSION_REJECT; admission <= BRG_ADMISSION_DROP_NEWEST; admission++) {
        scenario_gate gate;
        scenario_gate_open(&gate);
        pool = scenario_pool(isolation,
                             brg_pool_opts(.workers_max = 1, .queue_max = 2, .admission = (brg_admission)admission));
        brg_task *holds = scenario_submit(pool, "noop", scenario_gate_input(&gate, true), NULL);
        scenario_gate_reached(&gate);
        brg_task *first = scenario_submit(pool, "noop", NULL, NULL),
                 *second = scenario_submit(pool, "noop", NULL, NULL);
        streaming run = {.count = 50, .empty = true};
        brg_stream *stream = streaming_create(&run, brg_stream_opts(.pool = pool, .task = "noop", .in_flight_max = 8));
        brg_stream_item item;
        assert_int_equal(brg_stream_next(stream, &item, 0), BRG_EMPTY);
        if (admission >= BRG_ADMISSION_DROP_OLDEST) { /* which drops the pool's own, not the stream's */
            brg_task *third = scenario_submit(pool, "noop", NULL, NULL);
            brg_task_unref(third);
        } else if (admission == BRG_ADMISSION_REJECT) {
            assert_int_equal(brg_pool_submit(pool, "noop", NULL, NULL, NULL), BRG_FULL);
        }
        scenario_gate_release(&gate);
        for (int i = 0; i < 50; i++)
            assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
        assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_CLOSED);
        brg_task_unref(holds);
        brg_task_unref(first);
        brg_task_unref(second);
        brg_stream_destroy(stream);
        brg_pool_destroy(pool);
        scenario_gate_close(&gate);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENARIO_BOTH(keeps_the_order),
                                       SCENARIO_BOTH(gives_each_once_as_completed),
                                       cmocka_unit_test(overtakes_when_it_may),
                                       SCENARIO_BOTH(goes_through_stages_of_several_pools),
                                       cmocka_unit_test(moves_values_between_threads),
                                       SCENARIO_BOTH(carries_buffers_to_processes_and_back),
                                       cmocka_unit_test(keeps_to_its_bounds),
                                       SCENARIO_BOTH(keeps_to_its_bytes),
                                       SCENARIO_BOTH(a_slow_consumer_slows_the_source_alone),
                                       SCENARIO_BOTH(passes_by_a_full_queue)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
