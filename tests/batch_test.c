/* SPDX-License-Identifier: MIT */
/* Batches: how they fill, that each task in one settles once and on its own, and how some of them leave. */
#include "batching.h"

/* ---- filling ----------------------------------------------------------------------------------------------------- */

static void a_full_batch_goes_at_once(void **state)
{
    brg_pool *pool = batch_pool(state, .workers_max = 2);
    brg_task *tasks[40];
    for (int i = 0; i < 40; i++)
        tasks[i] = submit(pool, "double", i);
    for (int i = 0; i < 40; i++)
        expect_number(tasks[i], 2 * i, 4);
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    brg_pool_stats stats = scenario_stats(pool);
    assert_int_equal(stats.batches, 10);
    assert_int_equal(stats.submitted, 40);
    assert_int_equal(stats.done, 40);
    assert_int_equal(stats.queued, 0);
    assert_int_equal(stats.running, 0);
    brg_pool_destroy(pool);
}

static void a_lone_task_goes_after_the_delay(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_delay_ns = BRG_MILLISECONDS(1), .timing = true);
    brg_task *task = submit(pool, "double", 21);
    const brg_result *result = scenario_result(task);
    assert_int_equal(result->attempts, 1);
    assert_true(result->queued_ns >= BRG_MILLISECONDS(1));
    assert_int_equal(answer(result, "attempt"), 1);
    expect_number(task, 42, 1);
    brg_pool_destroy(pool);
}

static void a_batch_that_waits_for_a_worker_grows(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 4);
    busy other;
    busy_begin(&other, pool); /* its own batch waits until it is full */
    brg_pool_options shorter = {.size = sizeof(shorter), .batch_delay_ns = BRG_MILLISECONDS(1)};
    assert_int_equal(brg_pool_tune(pool, &shorter, NULL), BRG_OK);
    brg_task *tasks[3] = {submit(pool, "double", 1), NULL, NULL};
    if (scenario_isolation(state) == BRG_ISOLATION_THREAD) {
        brg_task *urgent = scenario_submit(pool, "work", order("double", 9),
                                           brg_submit_opts(.queue_timeout_ns = BRG_MILLISECONDS(20)));
        expect(urgent, BRG_TIMED_OUT); /* by then the first one's delay is over, too */
    }
    tasks[1] = submit(pool, "double", 2);
    tasks[2] = submit(pool, "double", 3);
    busy_end(&other);
    for (int i = 0; i < 3; i++)
        expect_number(tasks[i], 2 * (i + 1), scenario_isolation(state) == BRG_ISOLATION_THREAD ? 3 : 0);
    brg_pool_destroy(pool);
}

/* Name, priority, key and tags. */
static void kinds_do_not_mix(void **state)
{
    static const uint64_t tags[] = {1};
    brg_pool *pool = batch_pool(state, .batch_size = 2, .worker_tags = tags, .worker_tags_count = 1);
    brg_task *tasks[2][6];
    for (int i = 0; i < 2; i++) {
        tasks[i][0] = submit(pool, "double", i);
        tasks[i][1] = scenario_submit(pool, "work", order("double", i), brg_submit_opts(.priority = BRG_PRIORITY_LOW));
        tasks[i][2] = scenario_submit(pool, "work", order("double", i), brg_submit_opts(.key = 1));
        tasks[i][3] = scenario_submit(pool, "work", order("double", i), brg_submit_opts(.key = 2));
        tasks[i][4] = scenario_submit(pool, "work", order("double", i), brg_submit_opts(.tags = 1));
        tasks[i][5] = scenario_submit(pool, "plain", order("triple", i), NULL);
        for (int k = 0; i == 0 && k < 6; k++)
            assert_false(is_settled(tasks[0][k]));
        assert_true(scenario_stats(pool).batches <= (i == 0 ? 0u : 6u));
    }
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 5; k++)
            expect_number(tasks[i][k], 2 * i, 2);
        expect_number(tasks[i][5], 3 * i, 0);
    }
    assert_int_equal(scenario_stats(pool).batches, 6);
    brg_pool_destroy(pool);
}

static void many_kinds_fill_at_once(void **state)
{
    enum { kinds = 1000 };
    brg_pool *pool = batch_pool(state, .batch_size = 2, .workers_max = 2);
    static brg_task *tasks[2 * kinds];
    for (int i = 0; i < 2 * kinds; i++)
        tasks[i] = scenario_submit(pool, "work", order("double", i), brg_submit_opts(.key = 1 + (uint64_t)i % kinds));
    for (int i = 0; i < 2 * kinds; i++)
        expect_number(tasks[i], 2 * i, 2);
    assert_int_equal(scenario_stats(pool).batches, kinds);
    brg_pool_destroy(pool);
}

static void a_pool_without_batches_runs_batch_tasks(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 1);
    expect_number(submit(pool, "double", 4), 8, 1);
    expect(submit(pool, "silent", 4), BRG_OK);
    brg_task *task = submit(pool, "fail", 4);
    assert_int_equal(scenario_result(task)->error->code, 4);
    assert_string_equal(scenario_result(task)->error->message, "no 4");
    expect(task, BRG_FAILED);
    assert_int_equal(scenario_stats(pool).batches, 0);
    brg_pool_destroy(pool);
}

/* message_bytes_max holds for all of it where it is sent. */
static void a_batch_is_no_larger_than_a_message(void **state)
{
    enum { size = 40000 };
    static char text[size];
    brg_pool *pool = batch_pool(state, .batch_size = 3, .message_bytes_max = 100000);
    brg_task *tasks[6];
    memset(text, 'a', sizeof(text) - 1);
    for (int i = 0; i < 6; i++) {
        brg_value *input = NULL;
        assert_int_equal(brg_value_map(&input, NULL, brg_field_int("n", i), brg_field_string("text", text)), BRG_OK);
        tasks[i] = scenario_submit(pool, "work", input, NULL);
    }
    assert_int_equal(brg_pool_drain(pool, SCENARIO_BOUND), BRG_OK);
    for (int i = 0; i < 6; i++)
        expect_number(tasks[i], 2 * i, scenario_isolation(state) == BRG_ISOLATION_PROCESS ? 2 : 3);
    brg_pool_destroy(pool);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void each_has_its_own_answer(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 5);
    brg_task *good = submit(pool, "double", 1), *bad = submit(pool, "fail", 2), *silent = submit(pool, "silent", 3);
    brg_task *none = scenario_submit(pool, "work", NULL, NULL), *other = submit(pool, "fail", 5);
    expect_number(good, 2, 5);
    const brg_result *result = scenario_result(bad);
    assert_int_equal(result->error->code, 2);
    assert_string_equal(result->error->message, "no 2");
    assert_string_equal(result->error->domain, "batch");
    assert_int_equal(brg_view_get_int(brg_value_root(result->detail), "n", 0), 2);
    assert_null(result->output);
    expect(bad, BRG_FAILED);
    assert_null(scenario_result(silent)->output);
    expect(silent, BRG_OK);
    expect_number(none, -2, 5);
    assert_string_equal(scenario_result(other)->error->message, "no 5");
    expect(other, BRG_FAILED);
    brg_pool_destroy(pool);
}

static void what_it_returns_is_for_those_without_an_answer(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 4);
    brg_task *good = submit(pool, "double", 1), *whole = submit(pool, "whole", 2);
    brg_task *silent = submit(pool, "silent", 3), *bad = submit(pool, "fail", 4);
    expect_number(good, 2, 4);
    assert_string_equal(scenario_result(whole)->error->message, "the whole batch");
    assert_int_equal(scenario_result(silent)->error->code, 7);
    expect(whole, BRG_FAILED);
    expect(silent, BRG_FAILED);
    assert_int_equal(scenario_result(bad)->error->code, 4);
    expect(bad, BRG_FAILED);
    brg_pool_destroy(pool);
}

static void ordinary_tasks_go_in_turn(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 3);
    brg_task *first = scenario_submit(pool, "plain", order("triple", 1), NULL);
    brg_task *bad = scenario_submit(pool, "plain", order("fail", 2), NULL);
    brg_task *last = scenario_submit(pool, "plain", order("triple", 3), NULL);
    expect_number(first, 3, 0);
    assert_string_equal(scenario_result(bad)->error->message, "plain 2");
    assert_int_equal(scenario_result(bad)->error->code, 2);
    expect(bad, BRG_FAILED);
    expect_number(last, 9, 0);
    brg_pool_destroy(pool);
}

static void an_unknown_name_is_not_found(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 2);
    brg_task *one = scenario_submit(pool, "nothing", NULL, NULL), *other = scenario_submit(pool, "nothing", NULL, NULL);
    expect(one, BRG_NOT_FOUND);
    expect(other, BRG_NOT_FOUND);
    brg_pool_destroy(pool);
}

static brg_value *with_buffer(size_t size)
{
    brg_builder *builder = NULL;
    brg_buffer *buffer = NULL;
    brg_value *value = NULL;
    assert_int_equal(brg_buffer_create(&buffer, size, NULL), BRG_OK);
    memset(brg_buffer_data(buffer), 1, size);
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_map(builder);
    brg_builder_key(builder, "do");
    brg_builder_string(builder, "buffer");
    brg_builder_key(builder, "buffer");
    brg_builder_buffer(builder, &buffer);
    brg_builder_end(builder);
    assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
    brg_builder_destroy(builder);
    return value;
}

/* Ports and buffers, small ones and such as are shared, beside plain inputs and none. */
static void objects_travel_in_batches(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 6);
    for (int round = 0; round < 20; round++) {
        brg_port *ours[2], *theirs[2];
        brg_task *tasks[6];
        for (int i = 0; i < 2; i++)
            assert_int_equal(brg_channel_create(&ours[i], &theirs[i], NULL, NULL), BRG_OK);
        tasks[0] = submit(pool, "double", 1);
        tasks[1] = scenario_submit(pool, "work", with_port(&theirs[0], 10), NULL);
        tasks[2] = scenario_submit(pool, "work", with_buffer(100), NULL);
        tasks[3] = scenario_submit(pool, "work", with_buffer((size_t)1 << 20), NULL);
        tasks[4] = scenario_submit(pool, "work", with_port(&theirs[1], 11), NULL);
        tasks[5] = scenario_submit(pool, "work", NULL, NULL);
        expect_number(tasks[0], 2, 6);
        assert_int_equal(answer(scenario_result(tasks[2]), "sum"), 100);
        assert_int_equal(answer(scenario_result(tasks[3]), "sum"), 1 << 20);
        for (int i = 1; i < 5; i++)
            expect(tasks[i], BRG_OK);
        expect_number(tasks[5], -2, 6);
        for (int i = 0; i < 2; i++) {
            brg_value *heard = NULL;
            int64_t number = 0;
            assert_int_equal(brg_port_receive(ours[i], &heard, SCENARIO_BOUND), BRG_OK);
            assert_int_equal(brg_view_int(brg_value_root(heard), &number), BRG_OK);
            assert_int_equal(number, 10 + i);
            brg_value_unref(heard);
            brg_port_destroy(ours[i]);
        }
    }
    brg_pool_destroy(pool);
}

/* ---- leaving ----------------------------------------------------------------------------------------------------- */

static void a_filling_member_is_cancelled(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 3);
    brg_task *alone = submit(pool, "double", 0);
    assert_int_equal(brg_task_cancel(alone), BRG_OK);
    expect(alone, BRG_CANCELLED);
    brg_task *first = submit(pool, "double", 1), *second = submit(pool, "double", 2);
    assert_int_equal(brg_task_cancel(first), BRG_OK);
    expect(first, BRG_CANCELLED);
    brg_task *third = submit(pool, "double", 3);
    assert_false(is_settled(third));
    brg_task *fourth = submit(pool, "double", 4);
    expect_number(second, 4, 3);
    expect_number(third, 6, 3);
    expect_number(fourth, 8, 3);
    assert_int_equal(scenario_stats(pool).cancelled, 2);
    brg_pool_destroy(pool);
}

static void a_queued_member_is_cancelled(void **state)
{
    brg_pool *pool = batch_pool(state, .workers_max = 1);
    busy other;
    busy_begin(&other, pool);
    brg_task *tasks[8];
    for (int i = 0; i < 8; i++)
        tasks[i] = submit(pool, "double", i);
    assert_int_equal(brg_task_cancel(tasks[1]), BRG_OK);
    for (int i = 4; i < 8; i++) /* a whole one */
        assert_int_equal(brg_task_cancel(tasks[i]), BRG_OK);
    for (int i = 4; i < 8; i++)
        expect(tasks[i], BRG_CANCELLED);
    busy_end(&other);
    expect_number(tasks[0], 0, 0);
    const brg_result *result = scenario_result(tasks[1]); /* a process may have had it, and finished it anyway */
    assert_true(result->status == BRG_CANCELLED || result->status == BRG_OK);
    if (scenario_isolation(state) == BRG_ISOLATION_THREAD)
        assert_int_equal(result->status, BRG_CANCELLED);
    brg_task_unref(tasks[1]);
    expect_number(tasks[2], 4, 0);
    expect_number(tasks[3], 6, 0);
    brg_pool_destroy(pool);
}

static void a_running_member_is_cancelled(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 4, .grace_ns = LONG);
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_task *good = submit_meeting(pool, &gate, "double", 1), *asked = submit(pool, "until cancelled", 2);
    brg_task *finishes = submit(pool, "in spite", 3), *last = submit(pool, "double", 4);
    scenario_gate_reached(&gate);
    assert_int_equal(brg_task_get_state(asked), BRG_TASK_RUNNING);
    assert_int_equal(brg_task_cancel(asked), BRG_OK);
    assert_int_equal(brg_task_cancel(asked), BRG_OK);
    assert_int_equal(brg_task_cancel(finishes), BRG_OK);
    scenario_gate_release(&gate);
    expect_number(good, 2, 4);
    expect(asked, BRG_CANCELLED);
    expect_number(finishes, 6, 4);
    expect_number(last, 8, 4);
    assert_int_equal(scenario_stats(pool).workers_killed, 0);
    scenario_gate_close(&gate);
    brg_pool_destroy(pool);
}

/* Only then is the worker asked; it listens. */
static void all_members_are_cancelled(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 2, .grace_ns = LONG);
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_task *one = submit_meeting(pool, &gate, "spin", 1), *other = submit(pool, "silent", 2);
    scenario_gate_reached(&gate);
    assert_int_equal(brg_task_cancel(one), BRG_OK);
    scenario_gate_release(&gate);
    assert_int_equal(brg_task_cancel(other), BRG_OK);
    expect(one, BRG_CANCELLED);
    expect(other, BRG_CANCELLED);
    assert_int_equal(scenario_stats(pool).workers_killed, 0);
    brg_task *next = submit(pool, "double", 5), *then = submit(pool, "double", 6);
    expect_number(next, 10, 2);
    expect_number(then, 12, 2);
    scenario_gate_close(&gate);
    brg_pool_destroy(pool);
}

static void a_waiting_member_expires_alone(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 3);
    brg_task *one = submit(pool, "double", 1);
    brg_task *late = scenario_submit(pool, "work", order("double", 2),
                                     brg_submit_opts(.queue_timeout_ns = BRG_MILLISECONDS(2)));
    expect(late, BRG_TIMED_OUT);
    assert_false(is_settled(one));
    brg_task *two = submit(pool, "double", 3), *three = submit(pool, "double", 4);
    expect_number(one, 2, 3);
    expect_number(two, 6, 3);
    expect_number(three, 8, 3);
    brg_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(a_full_batch_goes_at_once),
        SCENARIO_BOTH(a_lone_task_goes_after_the_delay),
        SCENARIO_BOTH(a_batch_that_waits_for_a_worker_grows),
        SCENARIO_BOTH(kinds_do_not_mix),
        SCENARIO_BOTH(many_kinds_fill_at_once),
        SCENARIO_BOTH(a_pool_without_batches_runs_batch_tasks),
        SCENARIO_BOTH(a_batch_is_no_larger_than_a_message),
        SCENARIO_BOTH(each_has_its_own_answer),
        SCENARIO_BOTH(what_it_returns_is_for_those_without_an_answer),
        SCENARIO_BOTH(ordinary_tasks_go_in_turn),
        SCENARIO_BOTH(an_unknown_name_is_not_found),
        SCENARIO_BOTH(objects_travel_in_batches),
        SCENARIO_BOTH(a_filling_member_is_cancelled),
        SCENARIO_BOTH(a_queued_member_is_cancelled),
        SCENARIO_BOTH(a_running_member_is_cancelled),
        SCENARIO_BOTH(all_members_are_cancelled),
        SCENARIO_BOTH(a_waiting_member_expires_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
