/* SPDX-License-Identifier: MIT */
/* "The life of a task", number by number, in both isolations. */
#include "scenario.h"

#include <pthread.h>

/* ---- 1: the callback runs exactly once, later, on the loop; a failed submit leaves everything with the caller ---- */

typedef struct call_record {
    int count;
    brg_status status;
    bool inside_submit, was_inside;
    brg_value *output;
    pthread_t thread;
} call_record;

static void count_call(const brg_result *result, void *user_data)
{
    call_record *calls = user_data;
    calls->count++;
    calls->status = result->status;
    calls->was_inside = calls->inside_submit;
    calls->thread = pthread_self();
    if (result->output != NULL)
        calls->output = brg_value_ref(result->output);
}

static void callback_runs_once_on_the_loop(void **state)
{
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.loop = loop));
    enum { COUNT = 500 };
    static call_record all[COUNT];
    memset(all, 0, sizeof(all));
    for (int i = 0; i < COUNT; i++) {
        all[i].inside_submit = true;
        assert_int_equal(brg_pool_submit(pool, "echo", scenario_int("n", i),
                                         brg_submit_opts(.done = count_call, .user_data = &all[i]), NULL),
                         BRG_OK);
        all[i].inside_submit = false;
        assert_int_equal(all[i].count, 0);
    }
    assert_int_equal(brg_loop_pending(loop), COUNT);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(brg_loop_pending(loop), 0);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(all[i].count, 1);
        assert_int_equal(all[i].status, BRG_OK);
        assert_false(all[i].was_inside);
        assert_true(pthread_equal(all[i].thread, pthread_self()));
        assert_int_equal(brg_view_get_int(brg_value_root(all[i].output), "n", -1), i);
        brg_value_unref(all[i].output);
    }
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void failed_submit_leaves_everything(void **state)
{
    brg_loop *loop = NULL;
    scenario_gate gate;
    scenario_gate_open(&gate);
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.loop = loop, .workers_max = 1, .queue_max = 1));
    call_record held = {0}, queued = {0}, refused = {0};
    assert_int_equal(brg_pool_submit(pool, "noop", scenario_gate_input(&gate, true),
                                     brg_submit_opts(.done = count_call, .user_data = &held), NULL),
                     BRG_OK);
    scenario_gate_reached(&gate);
    assert_int_equal(
        brg_pool_submit(pool, "noop", NULL, brg_submit_opts(.done = count_call, .user_data = &queued), NULL), BRG_OK);
    brg_value *input = scenario_int("n", 1);
    brg_error error;
    brg_task *task = NULL;
    assert_int_equal(brg_pool_submit(pool, "noop", input,
                                     brg_submit_opts(.done = count_call, .user_data = &refused, .error = &error),
                                     &task),
                     BRG_FULL);
    assert_null(task);
    assert_non_null(strstr(error.message, "queue_max is 1"));
    assert_int_equal(brg_view_get_int(brg_value_root(input), "n", 0), 1); /* still ours */
    brg_value_unref(input);
    scenario_gate_release(&gate);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(held.count, 1);
    assert_int_equal(queued.count, 1);
    assert_int_equal(refused.count, 0);
    assert_int_equal(scenario_stats(pool).rejected, 1);
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    scenario_gate_close(&gate);
}

static void destroy_delivers_what_is_out(void **state)
{
    brg_loop *loop = NULL;
    scenario_gate gate;
    scenario_gate_open(&gate);
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.loop = loop, .workers_max = 1));
    call_record running = {0}, queued[10] = {{0}};
    assert_int_equal(brg_pool_submit(pool, "spin_politely", scenario_gate_input(&gate, false),
                                     brg_submit_opts(.done = count_call, .user_data = &running), NULL),
                     BRG_OK);
    scenario_gate_reached(&gate);
    for (int i = 0; i < 10; i++)
        assert_int_equal(
            brg_pool_submit(pool, "noop", NULL, brg_submit_opts(.done = count_call, .user_data = &queued[i]), NULL),
            BRG_OK);
    assert_int_equal(brg_loop_destroy(loop), BRG_STATE); /* a pool uses it */
    brg_pool_destroy(pool);
    assert_int_equal(running.count, 1);
    assert_int_equal(running.status, BRG_CANCELLED);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(queued[i].count, 1);
        assert_int_equal(queued[i].status, BRG_CANCELLED);
    }
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    scenario_gate_close(&gate);
}

/* ---- 2: three clocks --------------------------------------------------------------------------------------------- */

static void run_timeout_starts_with_the_task(void **state)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 1));
    brg_task *first = scenario_submit(pool, "noop", scenario_gate_input(&gate, true), NULL);
    scenario_gate_reached(&gate);
    brg_task *polite = scenario_submit(pool, "spin_politely", NULL,
                                       brg_submit_opts(.run_timeout_ns = BRG_MILLISECONDS(20)));
    brg_task *after = scenario_submit(pool, "noop", NULL, brg_submit_opts(.run_timeout_ns = SCENARIO_LONG));
    /* However long it waits, it does not time out before it runs. */
    assert_int_equal(brg_task_wait(polite, BRG_MILLISECONDS(60)), BRG_TIMED_OUT);
    scenario_gate_release(&gate);
    const brg_result *result = scenario_result(polite);
    assert_int_equal(result->status, BRG_TIMED_OUT);
    assert_int_equal(result->state, BRG_TASK_TIMED_OUT);
    assert_true(result->queued_ns >= BRG_MILLISECONDS(60));
    assert_true(result->run_ns > 0);
    assert_int_equal(scenario_result(after)->status, BRG_OK);
    assert_int_equal(scenario_stats(pool).workers_killed, 0); /* it listened: nobody was ended */
    brg_task_unref(first);
    brg_task_unref(polite);
    brg_task_unref(after);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void queue_timeout_and_deadline(void **state)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 1));
    brg_task *first = scenario_submit(pool, "noop", scenario_gate_input(&gate, true), NULL);
    scenario_gate_reached(&gate);
    brg_task *impatient = scenario_submit(pool, "noop", NULL, brg_submit_opts(.queue_timeout_ns = BRG_MILLISECONDS(5)));
    brg_task *late = scenario_submit(pool, "noop", NULL, brg_submit_opts(.deadline_ns = BRG_MILLISECONDS(5)));
    assert_int_equal(scenario_result(impatient)->status, BRG_TIMED_OUT);
    assert_int_equal(scenario_result(impatient)->attempts, 0);
    assert_int_equal(scenario_result(late)->status, BRG_TIMED_OUT);
    scenario_gate_release(&gate);
    assert_int_equal(scenario_result(first)->status, BRG_OK);
    brg_task *bound = scenario_submit(pool, "spin_politely", NULL,
                                      brg_submit_opts(.deadline_ns = BRG_MILLISECONDS(30)));
    assert_int_equal(scenario_result(bound)->status, BRG_TIMED_OUT); /* the deadline bounds running, too */
    brg_task_unref(first);
    brg_task_unref(impatient);
    brg_task_unref(late);
    brg_task_unref(bound);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

/* ---- 3: cancel --------------------------------------------------------------------------------------------------- */

static void cancel_queued(void **state)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 1));
    brg_task *first = scenario_submit(pool, "noop", scenario_gate_input(&gate, true), NULL);
    scenario_gate_reached(&gate);
    brg_task *cancelled = scenario_submit(pool, "noop", NULL, NULL);
    brg_task *kept = scenario_submit(pool, "noop", NULL, NULL);
    assert_int_equal(brg_task_cancel(cancelled), BRG_OK);
    assert_int_equal(brg_task_get_state(cancelled), BRG_TASK_CANCELLED); /* at once, though the worker is busy */
    assert_int_equal(brg_task_result(cancelled)->status, BRG_CANCELLED);
    assert_int_equal(brg_task_result(cancelled)->attempts, 0);
    assert_int_equal(brg_task_cancel(cancelled), BRG_STATE);
    scenario_gate_release(&gate);
    assert_int_equal(scenario_result(kept)->status, BRG_OK); /* its neighbour is not touched */
    assert_int_equal(scenario_result(first)->status, BRG_OK);
    brg_task_unref(first);
    brg_task_unref(cancelled);
    brg_task_unref(kept);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void cancel_running_by(void **state, const char *name)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 1));
    brg_task *task = scenario_submit(pool, name, scenario_gate_input(&gate, false), NULL);
    scenario_gate_reached(&gate);
    assert_int_equal(brg_task_cancel(task), BRG_OK);
    assert_int_equal(scenario_result(task)->status, BRG_CANCELLED);
    assert_int_equal(scenario_stats(pool).workers_killed, 0);
    scenario_expect(pool, "noop", NULL, BRG_OK); /* the next one on that worker is not cancelled with it */
    brg_task_unref(task);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void cancel_running_by_flag(void **state) { cancel_running_by(state, "spin_politely"); }
static void cancel_running_by_descriptor(void **state) { cancel_running_by(state, "poll_politely"); }

static void cancelled_task_may_finish(void **state)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 1));
    brg_task *task = scenario_submit(pool, "finish_anyway", scenario_gate_input(&gate, false), NULL);
    scenario_gate_reached(&gate);
    assert_int_equal(brg_task_cancel(task), BRG_OK);
    assert_int_equal(scenario_result(task)->status, BRG_OK);
    assert_true(brg_view_get_bool(brg_value_root(brg_task_result(task)->output), "finished", false));
    brg_task_unref(task);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void cancel_of_a_deaf_task_ends_its_worker(void **state)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.workers_max = 1, .grace_ns = BRG_MILLISECONDS(20)));
    brg_task *task = scenario_submit(pool, "spin", scenario_gate_input(&gate, false), NULL);
    scenario_gate_reached(&gate);
    brg_task *behind = scenario_submit(pool, "noop", NULL, NULL);
    assert_int_equal(brg_task_cancel(task), BRG_OK);
    assert_int_equal(scenario_result(task)->status, BRG_CANCELLED);
    assert_int_equal(scenario_result(behind)->status, BRG_OK);
    assert_int_equal(scenario_stats(pool).workers_killed, 1);
    brg_task_unref(task);
    brg_task_unref(behind);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

/* ---- 4: a death settles only what the worker was running --------------------------------------------------------- */

static void death_settles_only_the_running_task(void **state)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 1));
    for (int i = 0; i < 200; i++) /* short tasks: the pool learns to send many ahead */
        scenario_expect(pool, "noop", NULL, BRG_OK);
    brg_task *first = scenario_submit(pool, "noop", scenario_gate_input(&gate, true), NULL);
    scenario_gate_reached(&gate);
    brg_task *killer = scenario_submit(pool, "abort", NULL, NULL), *others[40];
    for (int i = 0; i < 40; i++)
        others[i] = scenario_submit(pool, "who", NULL, NULL);
    scenario_gate_release(&gate);
    assert_int_equal(scenario_result(first)->status, BRG_OK);
    assert_int_equal(scenario_result(killer)->status, BRG_CRASHED);
    for (int i = 0; i < 40; i++) {
        const brg_result *result = scenario_result(others[i]);
        assert_int_equal(result->status, BRG_OK);
        assert_int_equal(result->attempts, 1); /* what was sent ahead lost no attempt */
        assert_int_equal(brg_view_get_int(brg_value_root(result->output), "attempt", 0), 1);
        brg_task_unref(others[i]);
    }
    assert_int_equal(scenario_stats(pool).workers_crashed, 1);
    brg_task_unref(first);
    brg_task_unref(killer);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static brg_value *flaky(int64_t until, bool crash)
{
    brg_value *input = NULL;
    assert_int_equal(brg_value_map(&input, NULL, brg_field_int("until", until), brg_field_bool("crash", crash)),
                     BRG_OK);
    return input;
}

static void crash_is_retried_when_asked(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.workers_max = 1, .attempts_max = 3, .crash_limit = 5));
    brg_task *task = scenario_submit(pool, "flaky", flaky(3, true), NULL);
    const brg_result *result = scenario_result(task);
    assert_int_equal(result->status, BRG_OK);
    assert_int_equal(result->attempts, 3);
    assert_int_equal(scenario_stats(pool).retried, 2);
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

static void failure_is_retried_only_when_asked(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.attempts_max = 3, .retry_on = BRG_RETRY_FAILED));
    brg_task *task = scenario_submit(pool, "flaky", flaky(3, false), NULL);
    assert_int_equal(scenario_result(task)->status, BRG_OK);
    brg_task *once = scenario_submit(pool, "flaky", flaky(3, false), brg_submit_opts(.attempts_max = 1));
    assert_int_equal(scenario_result(once)->status, BRG_FAILED);
    assert_int_equal(scenario_result(once)->attempts, 1);
    brg_task_unref(task);
    brg_task_unref(once);
    brg_pool_destroy(pool);
    pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.attempts_max = 3)); /* only crashes, by default */
    task = scenario_submit(pool, "flaky", flaky(3, false), NULL);
    assert_int_equal(scenario_result(task)->status, BRG_FAILED);
    assert_int_equal(scenario_result(task)->attempts, 1);
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

/* ---- 5: poison --------------------------------------------------------------------------------------------------- */

static void poison_is_not_retried(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 1, .attempts_max = 10));
    brg_task *task = scenario_submit(pool, "segfault", NULL, NULL);
    const brg_result *result = scenario_result(task);
    assert_int_equal(result->status, BRG_POISONED);
    assert_int_equal(result->attempts, 2); /* crash_limit */
    assert_int_equal(result->error->signal, 11);
    assert_non_null(strstr(result->error->message, "ended 2 workers"));
    scenario_expect(pool, "noop", NULL, BRG_OK);
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

/* ---- 6: errors travel whole -------------------------------------------------------------------------------------- */

static void errors_travel_whole(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), NULL);
    brg_task *task = scenario_submit(pool, "fail", NULL, NULL);
    const brg_result *result = scenario_result(task);
    assert_int_equal(result->status, BRG_FAILED);
    assert_int_equal(result->error->status, BRG_FAILED);
    assert_int_equal(result->error->code, -42);
    assert_string_equal(result->error->message, "page 7 is upside down");
    assert_string_equal(result->error->domain, "scenario");
    assert_int_equal(result->error->attempt, 1);
    assert_string_equal(brg_view_get_string(brg_value_root(result->detail), "page", ""), "seven");
    assert_null(result->output);
    brg_task_unref(task);
    task = scenario_submit(pool, "odd_status", NULL, NULL);
    assert_int_equal(scenario_result(task)->status, BRG_FAILED);
    assert_non_null(strstr(brg_task_result(task)->error->message, "99"));
    brg_task_unref(task);
    task = scenario_submit(pool, "no_such_task", NULL, NULL);
    assert_int_equal(scenario_result(task)->status, BRG_NOT_FOUND);
    assert_non_null(strstr(brg_task_result(task)->error->message, "no_such_task"));
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

static void crash_errors_carry_signal_and_backtrace(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), NULL);
    brg_task *task = scenario_submit(pool, "segfault", NULL, NULL);
    const brg_result *result = scenario_result(task);
    assert_int_equal(result->status, BRG_CRASHED);
    assert_int_equal(result->error->signal, 11);
    assert_non_null(strstr(result->error->backtrace, "scenario.so+0x"));
    assert_true(result->worker_id != 0);
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

/* ---- 7: the task's arena ----------------------------------------------------------------------------------------- */

static void arena_is_zeroed_bounded_and_freed(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.workers_max = 1, .limits = {.arena_bytes_max = 1 << 20}));
    for (int i = 0; i < 50; i++) { /* together far past the limit: each task starts with an empty arena */
        brg_task *task = scenario_submit(pool, "allocate", scenario_int("bytes", (i % 2 == 0) ? 1000000 : 700), NULL);
        const brg_result *result = scenario_result(task);
        assert_int_equal(result->status, BRG_OK);
        assert_true(brg_view_get_bool(brg_value_root(result->output), "aligned", false));
        brg_task_unref(task);
    }
    scenario_expect(pool, "allocate", scenario_int("bytes", (1 << 20) + 1), BRG_NO_MEMORY);
    scenario_expect(pool, "allocate", scenario_int("bytes", 0), BRG_OK);
    brg_pool_destroy(pool);
}

/* ---- the pool around the tasks ----------------------------------------------------------------------------------- */

static void values_of_all_sizes_go_there_and_back(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.message_bytes_max = 8 << 20));
    static const size_t sizes[] = {0, 1, 63, 64, 65, 4000, 65536, 100000, 1 << 20, 7 << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        brg_builder *builder = NULL;
        brg_value *value = NULL;
        unsigned char *bytes = malloc(sizes[i] + 1);
        for (size_t k = 0; k < sizes[i]; k++)
            bytes[k] = (unsigned char)(k * 31 + i);
        assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
        brg_builder_bytes(builder, bytes, sizes[i]);
        assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
        brg_builder_destroy(builder);
        brg_value_ref(value);
        brg_task *task = scenario_submit(pool, "echo", value, NULL);
        const brg_result *result = scenario_result(task);
        assert_int_equal(result->status, BRG_OK);
        assert_true(brg_view_equal(brg_value_root(result->output), brg_value_root(value)));
        brg_task_unref(task);
        brg_value_unref(value);
        free(bytes);
    }
    brg_pool_destroy(pool);
}

static void too_large_is_refused_both_ways(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.message_bytes_max = 1 << 16));
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    char *bytes = calloc(1, 1 << 17);
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_bytes(builder, bytes, 1 << 17);
    assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
    assert_int_equal(brg_pool_submit(pool, "echo", value, NULL, NULL), BRG_TOO_LARGE);
    brg_value_unref(value);
    brg_builder_destroy(builder);
    free(bytes);
    scenario_expect(pool, "big_result", scenario_int("bytes", 1 << 18), BRG_TOO_LARGE);
    scenario_expect(pool, "noop", NULL, BRG_OK);
    brg_pool_destroy(pool);
}

static void drain_finishes_everything(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), NULL);
    brg_task *tasks[300];
    for (int i = 0; i < 300; i++)
        tasks[i] = scenario_submit(pool, "noop", NULL, NULL);
    assert_int_equal(brg_pool_drain(pool, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(brg_pool_submit(pool, "noop", NULL, NULL, NULL), BRG_CLOSED);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(brg_task_result(tasks[i])->status, BRG_OK);
        brg_task_unref(tasks[i]);
    }
    brg_pool_stats stats = scenario_stats(pool);
    assert_int_equal(stats.done, 300);
    assert_int_equal(stats.queued + stats.running, 0);
    brg_pool_destroy(pool);
}

static void stop_cancels_the_queue_only(void **state)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 1));
    brg_task *running = scenario_submit(pool, "noop", scenario_gate_input(&gate, true), NULL);
    scenario_gate_reached(&gate);
    brg_task *queued = scenario_submit(pool, "noop", NULL, NULL);
    assert_int_equal(brg_pool_drain(pool, BRG_MILLISECONDS(1)), BRG_TIMED_OUT);
    assert_int_equal(brg_pool_stop(pool, 0), BRG_TIMED_OUT);
    assert_int_equal(scenario_result(queued)->status, BRG_CANCELLED);
    assert_int_equal(brg_task_get_state(running), BRG_TASK_RUNNING);
    scenario_gate_release(&gate);
    assert_int_equal(brg_pool_stop(pool, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(scenario_result(running)->status, BRG_OK);
    brg_task_unref(running);
    brg_task_unref(queued);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void *release_later(void *argument)
{
    scenario_gate_release(argument);
    return NULL;
}

static void blocked_submit_gets_its_room(void **state)
{
    scenario_gate gate;
    pthread_t thread;
    scenario_gate_open(&gate);
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.workers_max = 1, .queue_max = 1, .admission = BRG_ADMISSION_BLOCK));
    brg_task *first = scenario_submit(pool, "noop", scenario_gate_input(&gate, true), NULL);
    scenario_gate_reached(&gate);
    brg_task *second = scenario_submit(pool, "noop", NULL, NULL);
    assert_int_equal(pthread_create(&thread, NULL, release_later, &gate), 0);
    brg_task *third = scenario_submit(pool, "noop", NULL, NULL); /* waits until the first is done */
    pthread_join(thread, NULL);
    assert_int_equal(scenario_result(third)->status, BRG_OK);
    brg_task_unref(first);
    brg_task_unref(second);
    brg_task_unref(third);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void state_and_init_data_belong_to_the_worker(void **state)
{
    brg_value *init = scenario_string("greeting", "bonjour");
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 1, .init_data = init));
    for (int i = 1; i <= 3; i++) {
        brg_task *task = scenario_submit(pool, "state", NULL, NULL);
        brg_view root = brg_value_root(scenario_result(task)->output);
        assert_int_equal(brg_view_get_int(root, "count", 0), i);
        assert_string_equal(brg_view_get_string(root, "greeting", ""), "bonjour");
        brg_task_unref(task);
    }
    brg_pool_destroy(pool);
}

/* ---- functions as tasks ------------------------------------------------------------------------------------------ */

static brg_status call_sum(brg_context *context, void *argument)
{
    (void)context;
    __atomic_fetch_add((long *)argument, 1, __ATOMIC_RELAXED);
    return BRG_OK;
}

static brg_status call_fail(brg_context *context, void *argument)
{
    (void)argument;
    return brg_context_fail(context, 9, "no");
}

/* On a pool of one worker: waits for a task that nobody else can run. */
static brg_status call_wait_behind(brg_context *context, void *argument)
{
    (void)context;
    static long count;
    brg_task *behind = NULL;
    brg_status status = brg_pool_submit_call(argument, call_sum, &count, NULL, &behind);
    if (status == BRG_OK)
        status = brg_task_wait(behind, BRG_FOREVER);
    brg_task_unref(behind);
    return status;
}

static void functions_run_as_tasks(void **state)
{
    (void)state;
    brg_pool *pool = NULL;
    long count = 0;
    assert_int_equal(brg_pool_create(&pool, brg_pool_opts(.workers_max = 2, .grace_ns = SCENARIO_LONG), NULL), BRG_OK);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(brg_pool_call(pool, call_sum, &count, NULL, NULL), BRG_OK);
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(count, 20000);
    brg_task *task = NULL, *waiter = NULL;
    assert_int_equal(brg_pool_submit_call(pool, call_fail, NULL, NULL, &task), BRG_OK);
    assert_int_equal(scenario_result(task)->error->code, 9);
    assert_int_equal(brg_pool_submit(pool, "noop", NULL, NULL, NULL), BRG_INVALID); /* no module here */
    assert_int_equal(brg_pool_call(pool, NULL, NULL, NULL, NULL), BRG_INVALID);
    brg_task_unref(task);
    brg_pool_destroy(pool);

    /* A task that waits for another of its pool runs it: it does not hang. */
    assert_int_equal(brg_pool_create(&pool, brg_pool_opts(.workers_max = 1, .grace_ns = SCENARIO_LONG), NULL), BRG_OK);
    assert_int_equal(brg_pool_submit_call(pool, call_wait_behind, pool, NULL, &waiter), BRG_OK);
    assert_int_equal(scenario_result(waiter)->status, BRG_OK);
    brg_task_unref(waiter);
    brg_pool_destroy(pool);
}

static void functions_need_threads(void **state)
{
    (void)state;
    brg_pool *pool = scenario_pool(BRG_ISOLATION_PROCESS, NULL);
    brg_error error;
    assert_int_equal(brg_pool_submit_call(pool, call_sum, NULL, brg_submit_opts(.error = &error), NULL),
                     BRG_UNSUPPORTED);
    assert_non_null(strstr(error.message, "module"));
    brg_pool_destroy(pool);
}

static void bad_options_are_named(void **state)
{
    (void)state;
    brg_pool *pool = NULL;
    brg_error error;
    assert_int_equal(brg_pool_create(&pool, brg_pool_opts(.isolation = BRG_ISOLATION_PROCESS), &error), BRG_INVALID);
    assert_non_null(strstr(error.message, ".module"));
    assert_int_equal(brg_pool_create(&pool, brg_pool_opts(.module = "/no/such/module.so"), &error), BRG_NOT_FOUND);
    assert_non_null(strstr(error.message, "/no/such/module.so"));
    assert_int_equal(brg_pool_create(&pool, brg_pool_opts(.workers_max = 1000000), &error), BRG_INVALID);
    assert_int_equal(brg_pool_create(&pool, brg_pool_opts(.retry_on = 64), &error), BRG_INVALID);
    struct {
        brg_pool_options known;
        long unknown;
    } newer;
    memset(&newer, 0, sizeof(newer));
    newer.known.size = sizeof(newer);
    newer.unknown = 1;
    assert_int_equal(brg_pool_create(&pool, &newer.known, &error), BRG_UNSUPPORTED);
    assert_null(pool);
    newer.unknown = 0;
    assert_int_equal(brg_pool_create(&pool, &newer.known, &error), BRG_OK);
    brg_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(callback_runs_once_on_the_loop),
        SCENARIO_BOTH(failed_submit_leaves_everything),
        SCENARIO_BOTH(destroy_delivers_what_is_out),
        SCENARIO_BOTH(run_timeout_starts_with_the_task),
        SCENARIO_BOTH(queue_timeout_and_deadline),
        SCENARIO_BOTH(cancel_queued),
        SCENARIO_BOTH(cancel_running_by_flag),
        SCENARIO_BOTH(cancel_running_by_descriptor),
        SCENARIO_BOTH(cancelled_task_may_finish),
        SCENARIO_PROCESS(cancel_of_a_deaf_task_ends_its_worker),
        SCENARIO_PROCESS(death_settles_only_the_running_task),
        SCENARIO_PROCESS(crash_is_retried_when_asked),
        SCENARIO_BOTH(failure_is_retried_only_when_asked),
        SCENARIO_PROCESS(poison_is_not_retried),
        SCENARIO_BOTH(errors_travel_whole),
        SCENARIO_PROCESS(crash_errors_carry_signal_and_backtrace),
        SCENARIO_BOTH(arena_is_zeroed_bounded_and_freed),
        SCENARIO_BOTH(values_of_all_sizes_go_there_and_back),
        SCENARIO_BOTH(too_large_is_refused_both_ways),
        SCENARIO_BOTH(drain_finishes_everything),
        SCENARIO_BOTH(stop_cancels_the_queue_only),
        SCENARIO_BOTH(blocked_submit_gets_its_room),
        SCENARIO_BOTH(state_and_init_data_belong_to_the_worker),
        cmocka_unit_test(functions_run_as_tasks),
        cmocka_unit_test(functions_need_threads),
        cmocka_unit_test(bad_options_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
