/* SPDX-License-Identifier: MIT */
/* Progress of running tasks, to a loop and pulled; what holds it back, and what ends it. Heartbeats. */
#include "scenario.h"

#include "lively.h"
#include "plug.h"
#include "watch.h"

#include <stdio.h>
#include <time.h>

#include "os/clock.h"
#include "pool/pool.h"
#include "worker/usage.h"

static const char *progress_module(void)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%.*s/progress.so", (int)(strrchr(scenario_module(), '/') - scenario_module()),
             scenario_module());
    return path;
}

/* What a task on a loop said. */
typedef struct listener {
    int64_t next; /* "n" of the next value, if they count up from 0 */
    int values, ends;
    int attempts_seen;
    bool out_of_order;
    brg_status status;
    brg_task *to_cancel; /* by the first value */
    brg_loop *to_stop;
} listener;

static void listen_progress(const brg_value *value, void *user_data)
{
    listener *heard = user_data;
    brg_view root = brg_value_root(value);
    int attempt = (int)brg_view_get_int(root, "attempt", 0);
    if (attempt != heard->attempts_seen)
        heard->next = 0;
    heard->out_of_order |= heard->ends != 0 || attempt < heard->attempts_seen ||
                           brg_view_get_int(root, "n", -1) != heard->next++;
    heard->attempts_seen = attempt;
    heard->values++;
    if (heard->to_cancel != NULL)
        brg_task_cancel(heard->to_cancel);
    heard->to_cancel = NULL;
}

static void listen_done(const brg_result *result, void *user_data)
{
    listener *heard = user_data;
    heard->ends++;
    heard->status = result->status;
    if (heard->to_stop != NULL)
        brg_loop_stop(heard->to_stop);
}

static brg_pool *make_pool(void **state, brg_loop **loop, brg_pool_options options)
{
    options.module = progress_module();
    if (loop != NULL) {
        assert_int_equal(brg_loop_create(loop, NULL, NULL), BRG_OK);
        options.loop = *loop;
    }
    return scenario_pool(scenario_isolation(state), &options);
}

static void end_pool(brg_pool *pool, brg_loop *loop)
{
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static brg_value *count_input(int64_t count, int64_t timeout_ns)
{
    brg_value *input = NULL;
    assert_int_equal(
        brg_value_map(&input, NULL, brg_field_int("count", count), brg_field_int("timeout_ns", timeout_ns)), BRG_OK);
    return input;
}

static int64_t output_int(const brg_result *result, const char *key)
{
    assert_non_null(result->output);
    return brg_view_get_int(brg_value_root(result->output), key, -1000);
}

/* Pulls the next value; its "n". */
static int64_t pull(brg_task *task)
{
    brg_value *value = NULL;
    assert_int_equal(brg_task_progress(task, &value, SCENARIO_BOUND), BRG_OK);
    int64_t n = brg_view_get_int(brg_value_root(value), "n", -1);
    brg_value_unref(value);
    return n;
}

static void pull_end(brg_task *task)
{
    brg_value *value = NULL;
    assert_int_equal(brg_task_progress(task, &value, SCENARIO_BOUND), BRG_CLOSED);
    assert_null(value);
}

/* ---- to a loop --------------------------------------------------------------------------------------------------- */

static void values_come_in_order_before_done(void **state)
{
    static const uint32_t windows[] = {0, 1, 3, 1000};
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        brg_loop *loop;
        brg_pool *pool = make_pool(state, &loop, (brg_pool_options){.size = sizeof(brg_pool_options)});
        listener heard = {.next = 0};
        assert_int_equal(brg_pool_submit(pool, "count", count_input(200, -1),
                                         brg_submit_opts(.on_progress = listen_progress, .done = listen_done,
                                                         .user_data = &heard, .progress_max = windows[i]),
                                         NULL),
                         BRG_OK);
        assert_int_equal(brg_loop_run(loop), BRG_OK);
        assert_int_equal(heard.values, 200);
        assert_int_equal(heard.ends, 1);
        assert_int_equal(heard.status, BRG_OK);
        assert_false(heard.out_of_order);
        end_pool(pool, loop);
    }
}

/* Without `done` what is out holds the loop all the same, and is waited for. */
static void values_come_without_done(void **state)
{
    brg_loop *loop;
    brg_pool *pool = make_pool(state, &loop, (brg_pool_options){.size = sizeof(brg_pool_options)});
    for (int round = 0; round < 2; round++) {
        listener heard = {.next = 0};
        assert_int_equal(brg_pool_submit(pool, "count", count_input(50, -1),
                                         brg_submit_opts(.on_progress = listen_progress, .user_data = &heard), NULL),
                         BRG_OK);
        if (round == 0)
            assert_int_equal(brg_loop_run(loop), BRG_OK);
        else
            assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
        assert_int_equal(heard.values, 50);
        assert_false(heard.out_of_order);
    }
    end_pool(pool, loop);
}

static void many_tasks_at_once_keep_their_order(void **state)
{
    enum { TASKS = 60, VALUES = 30 };
    brg_loop *loop;
    brg_pool *pool = make_pool(state, &loop, (brg_pool_options){.size = sizeof(brg_pool_options), .workers_max = 3});
    static listener heard[TASKS];
    memset(heard, 0, sizeof(heard));
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(brg_pool_submit(pool, "count", count_input(VALUES, -1),
                                         brg_submit_opts(.on_progress = listen_progress, .done = listen_done,
                                                         .user_data = &heard[i], .progress_max = 1 + (uint32_t)i % 5),
                                         NULL),
                         BRG_OK);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(heard[i].values, VALUES);
        assert_int_equal(heard[i].ends, 1);
        assert_false(heard[i].out_of_order);
    }
    end_pool(pool, loop);
}

/* The owner cancels what it hears of: no more than the window comes after that. */
static void a_callback_may_cancel_its_task(void **state)
{
    brg_loop *loop;
    brg_pool *pool = make_pool(state, &loop,
                               (brg_pool_options){.size = sizeof(brg_pool_options), .grace_ns = BRG_SECONDS(600)});
    listener heard = {.next = 0};
    assert_int_equal(brg_pool_submit(pool, "count", count_input(1 << 30, -1),
                                     brg_submit_opts(.on_progress = listen_progress, .done = listen_done,
                                                     .user_data = &heard, .progress_max = 4),
                                     &heard.to_cancel),
                     BRG_OK);
    brg_task *task = heard.to_cancel;
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(heard.ends, 1);
    assert_int_equal(heard.status, BRG_CANCELLED);
    assert_false(heard.out_of_order);
    brg_task_unref(task);
    end_pool(pool, loop);
}

/* A task that waits for an owner who will not look again: destroy ends it, and delivers what there is. */
static void destroy_ends_one_that_waits(void **state)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_loop *loop;
    brg_pool *pool = make_pool(state, &loop,
                               (brg_pool_options){.size = sizeof(brg_pool_options), .grace_ns = BRG_SECONDS(600)});
    listener heard = {.next = 0};
    assert_int_equal(brg_pool_submit(pool, "overflow", scenario_gate_input(&gate, false),
                                     brg_submit_opts(.on_progress = listen_progress, .done = listen_done,
                                                     .user_data = &heard, .progress_max = 3),
                                     NULL),
                     BRG_OK);
    scenario_gate_reached(&gate);
    brg_pool_destroy(pool);
    assert_in_range(heard.values, 3, 4); /* it may have got one more in before it was asked */
    assert_int_equal(heard.ends, 1);
    assert_false(heard.out_of_order);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    scenario_gate_close(&gate);
}

/* ---- pulled ------------------------------------------------------------------------------------------------------ */

static void values_can_be_pulled(void **state)
{
    brg_pool *pool = make_pool(state, NULL, (brg_pool_options){.size = sizeof(brg_pool_options)});
    brg_task *task = scenario_submit(pool, "count", count_input(100, -1), brg_submit_opts(.progress_max = 3));
    for (int64_t i = 0; i < 100; i++)
        assert_int_equal(pull(task), i);
    pull_end(task);
    assert_int_equal(scenario_result(task)->status, BRG_OK);
    assert_int_equal(output_int(brg_task_result(task), "said"), 100);
    pull_end(task);
    brg_task_unref(task);
    task = scenario_submit(pool, "count", count_input(0, -1), NULL);
    brg_value *value = NULL;
    assert_int_equal(brg_task_progress(task, &value, SCENARIO_BOUND), BRG_INVALID);
    assert_int_equal(brg_task_progress(NULL, &value, 0), BRG_INVALID);
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

/* The window is exact; who does not wait for room is told. */
static void the_window_is_what_was_asked_for(void **state)
{
    brg_pool *pool = make_pool(state, NULL, (brg_pool_options){.size = sizeof(brg_pool_options)});
    for (uint32_t window = 1; window <= 20; window += 19) {
        brg_task *task = scenario_submit(pool, "count", count_input(50, 0), brg_submit_opts(.progress_max = window));
        const brg_result *result = scenario_result(task);
        assert_int_equal(output_int(result, "said"), window);
        assert_int_equal(output_int(result, "status"), BRG_FULL);
        assert_int_equal(output_int(result, "told"), BRG_FULL);
        for (int64_t i = 0; i < window; i++)
            assert_int_equal(pull(task), i);
        pull_end(task);
        brg_task_unref(task);
        task = scenario_submit(pool, "count", count_input(50, 1000), brg_submit_opts(.progress_max = window));
        result = scenario_result(task);
        assert_int_equal(output_int(result, "said"), window);
        assert_int_equal(output_int(result, "status"), BRG_TIMED_OUT);
        brg_task_unref(task);
    }
    brg_pool_destroy(pool);
}

static void a_slow_owner_slows_nobody_else(void **state)
{
    brg_pool *pool = make_pool(state, NULL, (brg_pool_options){.size = sizeof(brg_pool_options), .workers_max = 2});
    brg_task *slow = scenario_submit(pool, "count", count_input(40, -1), brg_submit_opts(.progress_max = 2));
    assert_int_equal(pull(slow), 0);
    for (int i = 0; i < 100; i++)
        scenario_expect(pool, "count", NULL, BRG_OK);
    assert_int_equal(brg_task_get_state(slow), BRG_TASK_RUNNING);
    brg_value *value = NULL;
    for (int64_t i = 1; i < 40; i++)
        assert_int_equal(pull(slow), i);
    assert_int_equal(brg_task_progress(slow, &value, SCENARIO_BOUND), BRG_CLOSED);
    assert_int_equal(scenario_result(slow)->status, BRG_OK);
    brg_task_unref(slow);
    brg_pool_destroy(pool);
}

static void cancel_reaches_one_that_waits_for_room(void **state)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_pool *pool = make_pool(state, NULL,
                               (brg_pool_options){.size = sizeof(brg_pool_options), .grace_ns = BRG_SECONDS(600)});
    for (int round = 0; round < 10; round++) {
        brg_task *task = scenario_submit(pool, "overflow", scenario_gate_input(&gate, false),
                                         brg_submit_opts(.progress_max = 2));
        scenario_gate_reached(&gate);
        assert_int_equal(brg_task_cancel(task), BRG_OK);
        const brg_result *result = scenario_result(task);
        assert_int_equal(result->state, BRG_TASK_CANCELLED);
        assert_int_equal(pull(task), 0);
        assert_int_equal(pull(task), 1);
        pull_end(task);
        brg_task_unref(task);
    }
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

/* Who gives its handle away does not listen any more: the task is not held up. */
static void without_a_handle_nobody_listens(void **state)
{
    brg_pool *pool = make_pool(state, NULL, (brg_pool_options){.size = sizeof(brg_pool_options)});
    brg_task *task = scenario_submit(pool, "count", count_input(500, -1), brg_submit_opts(.progress_max = 2));
    assert_int_equal(pull(task), 0);
    brg_task_unref(brg_task_ref(task));
    assert_int_equal(pull(task), 1);
    brg_task_unref(task);
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(scenario_stats(pool).done, 1);
    assert_int_equal(brg_pool_submit(pool, "count", count_input(500, -1), brg_submit_opts(.progress_max = 2), NULL),
                     BRG_OK);
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(scenario_stats(pool).done, 2);
    brg_pool_destroy(pool);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void nobody_need_listen(void **state)
{
    brg_pool *pool = make_pool(state, NULL, (brg_pool_options){.size = sizeof(brg_pool_options)});
    brg_task *task = scenario_submit(pool, "count", count_input(5000, 0), NULL);
    assert_int_equal(output_int(scenario_result(task), "said"), 5000);
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

static void large_values_and_buffers_travel(void **state)
{
    enum { BYTES = 3 << 20 };
    brg_pool *pool = make_pool(state, NULL, (brg_pool_options){.size = sizeof(brg_pool_options)});
    brg_task *task = scenario_submit(pool, "big", scenario_int("bytes", BYTES), brg_submit_opts(.progress_max = 1));
    for (int i = 0; i < 2; i++) {
        brg_value *value = NULL;
        size_t size = 0;
        assert_int_equal(brg_task_progress(task, &value, SCENARIO_BOUND), BRG_OK);
        const brg_buffer *buffer = i == 0 ? NULL : brg_view_buffer(brg_value_root(value));
        const unsigned char *bytes = i == 0 ? brg_view_bytes(brg_value_root(value), &size) : brg_buffer_bytes(buffer);
        assert_non_null(bytes);
        if (i == 0)
            assert_int_equal(size, BYTES);
        for (size_t at = 0; at < BYTES; at++)
            if (bytes[at] != (unsigned char)(at * 7 + 1))
                fail_msg("byte %zu of value %d", at, i);
        brg_value_unref(value);
    }
    pull_end(task);
    assert_int_equal(scenario_result(task)->status, BRG_OK);
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

static void what_does_not_fit_is_refused(void **state)
{
    brg_pool *pool = make_pool(state, NULL,
                               (brg_pool_options){.size = sizeof(brg_pool_options), .message_bytes_max = 65536});
    brg_task *task = scenario_submit(pool, "refused", scenario_int("bytes", 70000), brg_submit_opts(.progress_max = 1));
    const brg_result *result = scenario_result(task);
    assert_int_equal(output_int(result, "large"), BRG_TOO_LARGE);
    assert_int_equal(output_int(result, "none"), BRG_INVALID);
    pull_end(task);
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

/* A batch is of many tasks, also when there is one: no progress. Other tasks of such a pool have it. */
static void batches_have_none(void **state)
{
    brg_pool *pool = make_pool(state, NULL, (brg_pool_options){.size = sizeof(brg_pool_options), .batch_size = 4});
    scenario_expect(pool, "batch", NULL, BRG_STATE);
    brg_task *task = scenario_submit(pool, "batch", NULL, brg_submit_opts(.progress_max = 1));
    assert_int_equal(scenario_result(task)->status, BRG_STATE);
    brg_task_unref(task);
    task = scenario_submit(pool, "count", count_input(3, -1), brg_submit_opts(.progress_max = 1));
    for (int64_t i = 0; i < 3; i++)
        assert_int_equal(pull(task), i);
    pull_end(task);
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

/* ---- bad ends ---------------------------------------------------------------------------------------------------- */

/* How a task behaves, and a number that it wants. */
static brg_value *how_input(const char *how, const char *key, int64_t number)
{
    brg_value *input = NULL;
    assert_int_equal(brg_value_map(&input, NULL, brg_field_int(key, number), brg_field_string("how", how)), BRG_OK);
    return input;
}

static void what_a_task_said_before_it_crashed_comes(void **state)
{
    static const char *const ends[] = {"abort", "exit"};
    for (int i = 0; i < 2; i++) {
        brg_loop *loop;
        brg_pool *pool = make_pool(state, &loop, (brg_pool_options){.size = sizeof(brg_pool_options)});
        listener heard = {.next = 0};
        assert_int_equal(
            brg_pool_submit(pool, "spoil", how_input(ends[i], "count", 9),
                            brg_submit_opts(.on_progress = listen_progress, .done = listen_done, .user_data = &heard),
                            NULL),
            BRG_OK);
        assert_int_equal(brg_loop_run(loop), BRG_OK);
        assert_int_equal(heard.values, 9);
        assert_int_equal(heard.ends, 1);
        assert_int_equal(heard.status, i == 0 ? BRG_CRASHED : BRG_EXITED);
        assert_false(heard.out_of_order);
        end_pool(pool, loop);
    }
}

/* What the first attempt said stays; the second has the whole window. */
static void each_attempt_has_its_window(void **state)
{
    bool process = scenario_isolation(state) == BRG_ISOLATION_PROCESS;
    brg_pool *pool = make_pool(state, NULL,
                               (brg_pool_options){.size = sizeof(brg_pool_options),
                                                  .attempts_max = 2,
                                                  .retry_on = BRG_RETRY_FAILED | BRG_RETRY_CRASH});
    for (int round = 0; round < (process ? 2 : 1); round++) {
        brg_task *task = scenario_submit(pool, "spoil", how_input(round == 0 ? "fail" : "abort", "count", 3),
                                         brg_submit_opts(.progress_max = 3));
        const brg_result *result = scenario_result(task);
        assert_int_equal(result->status, BRG_OK);
        assert_int_equal(result->attempts, 2);
        for (int64_t i = 0; i < 6; i++)
            assert_int_equal(pull(task), i % 3);
        pull_end(task);
        brg_task_unref(task);
    }
    brg_pool_destroy(pool);
}

static void attempts_come_in_order_on_a_loop(void **state)
{
    brg_loop *loop;
    brg_pool *pool = make_pool(
        state, &loop,
        (brg_pool_options){.size = sizeof(brg_pool_options), .attempts_max = 2, .retry_on = BRG_RETRY_FAILED});
    listener heard = {.next = 0};
    assert_int_equal(
        brg_pool_submit(pool, "spoil", how_input("fail", "count", 5),
                        brg_submit_opts(.on_progress = listen_progress, .done = listen_done, .user_data = &heard),
                        NULL),
        BRG_OK);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(heard.values, 10);
    assert_int_equal(heard.attempts_seen, 2);
    assert_int_equal(heard.status, BRG_OK);
    assert_false(heard.out_of_order);
    end_pool(pool, loop);
}

static bool none_is_lost(void *argument)
{
    (void)argument;
    return brg_workers_lost() == 0;
}

/* For "stubborn": where another attempt reports, where the first waits, and where it says that it was refused. */
static brg_value *stubborn_input(const scenario_gate *gate, const scenario_gate *told)
{
    brg_value *input = NULL;
    assert_int_equal(brg_value_map(&input, NULL, brg_field_string("reach", gate->reach),
                                   brg_field_string("hold", gate->hold), brg_field_string("told", told->reach)),
                     BRG_OK);
    return input;
}

/* A thread that was given up says something later: nobody hears it, nothing breaks. */
static void an_abandoned_thread_speaks_to_nobody(void **state)
{
    scenario_gate gate, told;
    scenario_gate_open(&gate);
    scenario_gate_open(&told);
    brg_pool *pool = make_pool(
        state, NULL,
        (brg_pool_options){.size = sizeof(brg_pool_options), .workers_max = 1, .grace_ns = BRG_MILLISECONDS(1)});
    brg_task *task = scenario_submit(pool, "stubborn", stubborn_input(&gate, &told),
                                     brg_submit_opts(.progress_max = 8));
    assert_int_equal(pull(task), 0); /* from here on it hears nothing */
    assert_int_equal(brg_task_cancel(task), BRG_OK);
    assert_int_equal(scenario_result(task)->state, BRG_TASK_CANCELLED);
    assert_int_equal(brg_workers_lost(), 1);
    pull_end(task);
    brg_task_unref(task);
    brg_pool_destroy(pool);
    scenario_gate_release(&gate);
    scenario_gate_reached(&told); /* it was refused */
    assert_true(watch_until(none_is_lost, NULL));
    scenario_gate_close(&gate);
    scenario_gate_close(&told);
}

/* Nothing but so many 0s; none of an attempt whose time was over before it came to speak. */
static void pull_zeros(brg_task *task, int at_most)
{
    brg_value *value = NULL;
    brg_status status;
    while ((status = brg_task_progress(task, &value, SCENARIO_BOUND)) == BRG_OK) {
        assert_int_equal(brg_view_get_int(brg_value_root(value), "n", -1), 0);
        brg_value_unref(value);
        assert_true(at_most-- > 0);
    }
    assert_int_equal(status, BRG_CLOSED);
}

/* The same while the next attempt runs, which is not disturbed. */
static void an_abandoned_thread_does_not_speak_for_another(void **state)
{
    scenario_gate gate, told;
    scenario_gate_open(&gate);
    scenario_gate_open(&told);
    brg_pool *pool = make_pool(state, NULL,
                               (brg_pool_options){.size = sizeof(brg_pool_options),
                                                  .workers_max = 1,
                                                  .grace_ns = BRG_MILLISECONDS(1),
                                                  .attempts_max = 2,
                                                  .run_timeout_ns = BRG_MILLISECONDS(200),
                                                  .retry_on = BRG_RETRY_TIMEOUT});
    brg_task *task = scenario_submit(pool, "stubborn", stubborn_input(&gate, &told),
                                     brg_submit_opts(.progress_max = 8));
    scenario_gate_reached(&gate); /* the second attempt is there */
    scenario_gate_release(&gate); /* the first goes on */
    scenario_gate_reached(&told); /* it was refused */
    assert_int_equal(scenario_result(task)->state, BRG_TASK_TIMED_OUT);
    pull_zeros(task, 2);
    brg_task_unref(task);
    brg_pool_destroy(pool);
    assert_true(watch_until(none_is_lost, NULL));
    scenario_gate_close(&gate);
    scenario_gate_close(&told);
}

/* ---- nested ------------------------------------------------------------------------------------------------------ */

typedef struct nest {
    brg_pool *pool;
    listener inner;
    int depth;
} nest;

static brg_status nest_say(brg_context *context, int64_t n)
{
    brg_value *value = NULL;
    brg_status status = brg_value_map(&value, NULL, brg_field_int("n", n),
                                      brg_field_int("attempt", brg_context_attempt(context)));
    return status == BRG_OK ? brg_context_progress(context, value, BRG_FOREVER, NULL) : status;
}

static brg_status nest_inner(brg_context *context, void *argument)
{
    (void)argument;
    brg_status status = BRG_OK;
    for (int64_t i = 0; i < 5 && status == BRG_OK; i++)
        status = nest_say(context, i);
    return status;
}

static brg_status nest_outer(brg_context *context, void *argument)
{
    nest *self = argument;
    brg_task *task = NULL;
    brg_status status = nest_say(context, 0);
    if (status == BRG_OK)
        status = brg_pool_submit_call(
            self->pool, nest_inner, self,
            brg_submit_opts(.on_progress = listen_progress, .done = listen_done, .user_data = &self->inner), &task);
    if (status == BRG_OK)
        status = brg_task_wait(task, BRG_FOREVER);
    brg_task_unref(task);
    return status == BRG_OK ? nest_say(context, 1) : status;
}

/* A task that runs inside another, which waits for it, has its own listener. */
static void nested_tasks_speak_for_themselves(void **state)
{
    (void)state;
    brg_loop *loop;
    nest self = {.depth = 0};
    listener outer = {.next = 0};
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    assert_int_equal(
        brg_pool_create(&self.pool, brg_pool_opts(.loop = loop, .workers_max = 1, .grace_ns = SCENARIO_LONG), NULL),
        BRG_OK);
    assert_int_equal(
        brg_pool_submit_call(self.pool, nest_outer, &self,
                             brg_submit_opts(.on_progress = listen_progress, .done = listen_done, .user_data = &outer),
                             NULL),
        BRG_OK);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(outer.status, BRG_OK);
    assert_int_equal(outer.values, 2);
    assert_int_equal(self.inner.values, 5);
    assert_int_equal(outer.ends + self.inner.ends, 2);
    assert_false(outer.out_of_order || self.inner.out_of_order);
    end_pool(self.pool, loop);
}

static brg_status no_task(brg_context *context, void *argument)
{
    brg_value *value = NULL;
    assert_int_equal(brg_value_int(&value, 1, NULL), BRG_OK);
    *(brg_status *)argument = brg_context_progress(context, value, 0, NULL);
    brg_value_unref(value);
    return BRG_OK;
}

static void only_tasks_have_progress(void **state)
{
    (void)state;
    brg_worker *worker = NULL;
    brg_status said = BRG_OK;
    assert_int_equal(
        brg_worker_create(&worker,
                          brg_worker_opts(.entry = no_task, .entry_argument = &said, .grace_ns = SCENARIO_LONG), NULL),
        BRG_OK);
    assert_int_equal(brg_worker_wait(worker, SCENARIO_BOUND, NULL), BRG_OK);
    assert_int_equal(said, BRG_STATE);
    brg_worker_destroy(worker);
}

/* ---- heartbeats -------------------------------------------------------------------------------------------------- */

static void a_silent_task_times_out(void **state)
{
    brg_pool *pool = make_pool(state, NULL,
                               (brg_pool_options){.size = sizeof(brg_pool_options),
                                                  .heartbeat_ns = BRG_MILLISECONDS(20),
                                                  .grace_ns = BRG_SECONDS(600)});
    for (int i = 0; i < 3; i++) {
        brg_task *task = scenario_submit(pool, "silent", NULL, NULL);
        const brg_result *result = scenario_result(task);
        assert_int_equal(result->state, BRG_TASK_TIMED_OUT);
        assert_non_null(strstr(result->error->message, "heartbeat"));
        if (scenario_isolation(state) == BRG_ISOLATION_THREAD) /* a process begins after it was sent the task */
            assert_true(result->run_ns >= BRG_MILLISECONDS(20));
        brg_task_unref(task);
    }
    assert_int_equal(scenario_stats(pool).workers_killed, 0);
    brg_pool_destroy(pool);
}

/* One that does not listen either loses its worker. */
static void a_stubborn_silent_task_is_ended(void **state)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_pool *pool = make_pool(state, NULL,
                               (brg_pool_options){.size = sizeof(brg_pool_options),
                                                  .workers_max = 1,
                                                  .heartbeat_ns = BRG_MILLISECONDS(20),
                                                  .grace_ns = BRG_MILLISECONDS(1)});
    brg_task *task = scenario_submit(pool, "stubborn", scenario_gate_input(&gate, true), NULL);
    const brg_result *result = scenario_result(task);
    assert_int_equal(result->state, BRG_TASK_TIMED_OUT);
    assert_non_null(strstr(result->error->message, "heartbeat"));
    assert_true(scenario_stats(pool).workers_killed >= 1); /* and processes that had not even begun it by then */
    brg_task_unref(task);
    if (scenario_isolation(state) == BRG_ISOLATION_THREAD)
        scenario_gate_release(&gate);
    assert_true(watch_until(none_is_lost, NULL));
    assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.heartbeat_ns = BRG_SECONDS(600)), NULL), BRG_OK);
    scenario_expect(pool, "count", NULL, BRG_OK);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void a_lively_task_lives(void **state)
{
    brg_pool *pool = make_pool(state, NULL,
                               (brg_pool_options){.size = sizeof(brg_pool_options),
                                                  .heartbeat_ns = LIVELY_BEAT,
                                                  .grace_ns = BRG_SECONDS(600)});
    while (!lively_lives(pool, "beat", 2500))
        ;
    while (!lively_lives(pool, "progress", 2500))
        ;
    brg_pool_destroy(pool);
}

/* Whether the task waits for its owner, and was not taken for silent before that; or has ended. */
static bool waits_or_has_ended(void *argument)
{
    const brg_task *task = argument;
    brg_pool *pool = task->pool;
    bool waits = false;
    brg__pool_lock(pool);
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        const brg__slot *slot = pool->slots[i];
        waits = waits || (slot->worker != NULL && slot->kill_ticket == 0 &&
                          brg_load_relaxed(&slot->worker->usage->xbeats) % 2 != 0);
    }
    brg__pool_unlock(pool);
    return waits || brg_task_get_state(task) >= BRG_TASK_DONE;
}

/* Waiting until somebody listens is not the task's silence. False: it was silent before or after that, as it was not
 * given a processor. */
static bool waiting_lives(brg_pool *pool)
{
    brg_task *task = scenario_submit(pool, "count", count_input(5, -1), brg_submit_opts(.progress_max = 2));
    assert_true(watch_until(waits_or_has_ended, task));
    if (brg_task_get_state(task) < BRG_TASK_DONE) {
        while (!lively_lives(pool, "beat", 2500))
            ;
        assert_int_equal(brg_task_get_state(task), BRG_TASK_RUNNING);
    }
    brg_value *value = NULL;
    int64_t next = 0;
    for (; brg_task_progress(task, &value, SCENARIO_BOUND) == BRG_OK; next++) {
        assert_int_equal(brg_view_get_int(brg_value_root(value), "n", -1), next);
        brg_value_unref(value);
    }
    brg_status status = scenario_result(task)->status;
    assert_true((status == BRG_OK && next == 5) || status == BRG_TIMED_OUT);
    brg_task_unref(task);
    return status == BRG_OK;
}

/* Who looks may have been stopped since it read the clock: what it sees counts from when it sees it. */
static void a_late_look_takes_nobody_for_silent(void **state)
{
    (void)state;
    plug busy = {0};
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1, .heartbeat_ns = BRG_SECONDS(600)));
    plug_put(&busy, pool);
    brg__pool_lock(pool);
    brg__slot *slot = pool->slots[0];
    uint64_t ticket = brg_load_acquire(&slot->xticket), now = brg__now();
    brg__usage_beat(slot->worker->usage);
    (void)brg__heartbeat_look_locked(slot, ticket, now > BRG_SECONDS(601) ? now - BRG_SECONDS(601) : 0);
    (void)brg__heartbeat_look_locked(slot, ticket, now);
    uint64_t asked = slot->kill_ticket;
    brg__pool_unlock(pool);
    assert_int_equal(asked, 0);
    plug_pull(&busy);
    assert_int_equal(brg_pool_drain(pool, SCENARIO_BOUND), BRG_OK);
    brg_pool_destroy(pool);
}

static void one_that_waits_for_its_owner_lives(void **state)
{
    brg_pool *pool = make_pool(state, NULL,
                               (brg_pool_options){.size = sizeof(brg_pool_options),
                                                  .workers_max = 2,
                                                  .heartbeat_ns = LIVELY_BEAT,
                                                  .grace_ns = BRG_SECONDS(600)});
    while (!waiting_lives(pool))
        ;
    brg_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(values_come_in_order_before_done),
        SCENARIO_BOTH(values_come_without_done),
        SCENARIO_BOTH(many_tasks_at_once_keep_their_order),
        SCENARIO_BOTH(a_callback_may_cancel_its_task),
        SCENARIO_BOTH(destroy_ends_one_that_waits),
        SCENARIO_BOTH(values_can_be_pulled),
        SCENARIO_BOTH(the_window_is_what_was_asked_for),
        SCENARIO_BOTH(a_slow_owner_slows_nobody_else),
        SCENARIO_BOTH(cancel_reaches_one_that_waits_for_room),
        SCENARIO_BOTH(without_a_handle_nobody_listens),
        SCENARIO_BOTH(nobody_need_listen),
        SCENARIO_BOTH(large_values_and_buffers_travel),
        SCENARIO_BOTH(what_does_not_fit_is_refused),
        SCENARIO_BOTH(batches_have_none),
        SCENARIO_PROCESS(what_a_task_said_before_it_crashed_comes),
        SCENARIO_BOTH(each_attempt_has_its_window),
        SCENARIO_BOTH(attempts_come_in_order_on_a_loop),
        SCENARIO_THREAD(an_abandoned_thread_speaks_to_nobody),
        SCENARIO_THREAD(an_abandoned_thread_does_not_speak_for_another),
        SCENARIO_THREAD(nested_tasks_speak_for_themselves),
        SCENARIO_THREAD(only_tasks_have_progress),
        SCENARIO_BOTH(a_silent_task_times_out),
        SCENARIO_BOTH(a_stubborn_silent_task_is_ended),
        SCENARIO_BOTH(a_lively_task_lives),
        SCENARIO_BOTH(one_that_waits_for_its_owner_lives),
        cmocka_unit_test(a_late_look_takes_nobody_for_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
