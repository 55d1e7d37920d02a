/* SPDX-License-Identifier: MIT */
/* Tasks of a pool whose inputs and outputs hold ports, memory, tokens and descriptors; and what a crash does to them.
 * */
#include <stdio.h>
#include <unistd.h>

#include "scenario.h"
#include "watch.h"

#define BOUND SCENARIO_BOUND
#define BUFFER_BYTES ((size_t)2 << 20)

static brg_pool *objects_pool(void **state, uint32_t attempts_max)
{
    char module[512];
    brg_error error;
    brg_pool *pool = NULL;
    snprintf(module, sizeof(module), "%s/objects.so", getenv("TEST_MODULE_DIR"));
    if (brg_pool_create(&pool,
                        brg_pool_opts(.isolation = scenario_isolation(state), .module = module, .workers_max = 2,
                                      .attempts_max = attempts_max, .retry_on = BRG_RETRY_CRASH,
                                      .start_timeout_ns = SCENARIO_LONG, .grace_ns = SCENARIO_LONG),
                        &error) != BRG_OK)
        fail_msg("%s", error.message);
    return pool;
}

static brg_builder *open_map(void)
{
    brg_builder *builder = NULL;
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_map(builder);
    return builder;
}

static brg_value *close_map(brg_builder *builder)
{
    brg_value *value = NULL;
    brg_error error;
    brg_builder_end(builder);
    if (brg_builder_finish(builder, &value, &error) != BRG_OK)
        fail_msg("%s", error.message);
    brg_builder_destroy(builder);
    return value;
}

static brg_value *with_port(brg_port **port, int64_t count)
{
    brg_builder *builder = open_map();
    brg_builder_key(builder, "port");
    brg_builder_port(builder, port);
    brg_builder_key(builder, "count");
    brg_builder_int(builder, count);
    return close_map(builder);
}

static void say(brg_port *port, int64_t number)
{
    brg_value *message = NULL;
    assert_int_equal(brg_value_int(&message, number, NULL), BRG_OK);
    assert_int_equal(brg_port_post(port, message, BOUND, NULL), BRG_OK);
}

/* Some were posted before the port was sent, some after it: none overtakes the port, none another. */
static void messages_follow_a_port_into_a_task(void **state)
{
    brg_pool *pool = objects_pool(state, 1);
    for (int round = 0; round < 50; round++) {
        brg_port *ours = NULL, *theirs = NULL;
        assert_int_equal(brg_channel_create(&ours, &theirs, NULL, NULL), BRG_OK);
        for (int i = 0; i < 3; i++)
            say(ours, i);
        brg_task *task = scenario_submit(pool, "hear", with_port(&theirs, 6), NULL);
        for (int i = 3; i < 6; i++)
            say(ours, i);
        const brg_result *result = scenario_result(task);
        if (result->status != BRG_OK)
            fail_msg("%s", result->error->message);
        assert_int_equal(brg_view_get_int(brg_value_root(result->output), "right", -1), 6);
        brg_task_unref(task);
        brg_port_destroy(ours);
    }
    brg_pool_destroy(pool);
}

/* The port went with the worker: there is nothing to try again, and its other end hears of it. */
static void port_that_crashed_is_not_tried_again(void **state)
{
    brg_pool *pool = objects_pool(state, 3);
    brg_port *ours = NULL, *theirs = NULL;
    brg_value *message = NULL;
    assert_int_equal(brg_channel_create(&ours, &theirs, NULL, NULL), BRG_OK);
    brg_task *task = scenario_submit(pool, "crash", with_port(&theirs, 0), NULL);
    const brg_result *result = scenario_result(task);
    assert_int_equal(result->status, BRG_CRASHED);
    assert_int_equal(result->attempts, 1);
    brg_task_unref(task);
    assert_int_equal(brg_port_receive(ours, &message, BOUND), BRG_CLOSED);
    brg_port_destroy(ours);
    brg_pool_destroy(pool);
}

static void crash_without_a_port_is_tried_again(void **state)
{
    brg_pool *pool = objects_pool(state, 3);
    brg_task *task = scenario_submit(pool, "crash", scenario_int("n", 1), NULL);
    const brg_result *result = scenario_result(task);
    assert_int_equal(result->status, BRG_OK);
    assert_int_equal(result->attempts, 2);
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

static void check_marks(const brg_result *result, const void *before, brg_shared *shared, brg_token *token, int reader)
{
    if (result->status != BRG_OK)
        fail_msg("%s", result->error->message);
    brg_view root = brg_value_root(result->output);
    brg_buffer *back = brg_view_buffer(brg_view_get(root, "buffer"));
    assert_non_null(back);
    assert_ptr_equal(brg_buffer_bytes(back), before); /* handed there and back, not copied */
    assert_int_equal(((const char *)brg_buffer_bytes(back))[BUFFER_BYTES - 1], 'b');
    uint32_t mark = 0;
    char letter = 0;
    assert_int_equal(brg_shared_load32(shared, 0, &mark), BRG_OK);
    assert_int_equal(mark, 's');
    assert_true(brg_token_is_cancelled(token));
    assert_int_equal(read(reader, &letter, 1), 1);
    assert_int_equal(letter, 'f');
    brg_port *port = NULL;
    brg_value *message = NULL;
    assert_int_equal(brg_view_take_port(brg_view_get(root, "port"), &port), BRG_OK);
    assert_int_equal(brg_port_receive(port, &message, BOUND), BRG_OK);
    brg_value_unref(message);
    assert_int_equal(brg_port_receive(port, &message, BOUND), BRG_CLOSED);
    brg_port_destroy(port);
}

static bool no_port_is_open(void *argument)
{
    (void)argument;
    return brg_ports_open() == 0;
}

static void every_object_goes_in_and_out(void **state)
{
    brg_pool *pool = objects_pool(state, 1);
    for (int round = 0; round < 10; round++) {
        brg_buffer *buffer = NULL;
        brg_shared *shared = NULL;
        brg_token *token = NULL;
        int ends[2];
        assert_int_equal(brg_buffer_create(&buffer, BUFFER_BYTES, NULL), BRG_OK);
        assert_int_equal(brg_shared_create(&shared, brg_shared_opts(.size_bytes = 64), NULL), BRG_OK);
        assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
        assert_int_equal(pipe(ends), 0);
        const void *before = brg_buffer_bytes(buffer);
        brg_builder *builder = open_map();
        brg_builder_key(builder, "buffer");
        brg_builder_buffer(builder, &buffer);
        brg_builder_key(builder, "shared");
        brg_builder_shared(builder, shared);
        brg_builder_key(builder, "token");
        brg_builder_token(builder, token);
        brg_builder_key(builder, "fd");
        brg_builder_fd(builder, &ends[1]);
        brg_task *task = scenario_submit(pool, "mark", close_map(builder), NULL);
        check_marks(scenario_result(task), before, shared, token, ends[0]);
        brg_task_unref(task);
        brg_shared_unref(shared);
        brg_token_unref(token);
        close(ends[0]);
    }
    brg_pool_destroy(pool);
    assert_true(watch_until(no_port_is_open, NULL));
}

static void token_reaches_a_loop_that_computes(void **state)
{
    brg_pool *pool = objects_pool(state, 1);
    brg_shared *begun = NULL;
    brg_token *token = NULL;
    assert_int_equal(brg_shared_create(&begun, brg_shared_opts(.size_bytes = 64), NULL), BRG_OK);
    assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
    brg_builder *builder = open_map();
    brg_builder_key(builder, "token");
    brg_builder_token(builder, token);
    brg_builder_key(builder, "begun");
    brg_builder_shared(builder, begun);
    brg_task *task = scenario_submit(pool, "compute", close_map(builder), NULL);
    brg_status status;
    while ((status = brg_shared_wait32(begun, 0, 0, BOUND)) == BRG_OK) /* a late notify: look again */
        ;
    assert_int_equal(status, BRG_NOT_EQUAL);
    brg_token_cancel(token);
    assert_int_equal(scenario_result(task)->status, BRG_OK);
    brg_task_unref(task);
    brg_token_unref(token);
    brg_shared_unref(begun);
    brg_pool_destroy(pool);
}

/* A worker that cannot start takes the port along: the other end hears of it. */
static void port_of_a_worker_that_never_starts_closes(void **state)
{
    char module[512];
    brg_worker *worker = NULL;
    brg_port *ours = NULL, *theirs = NULL;
    brg_value *message = NULL;
    snprintf(module, sizeof(module), "%s/not_a_module.so", getenv("TEST_MODULE_DIR"));
    assert_int_equal(brg_channel_create(&ours, &theirs, NULL, NULL), BRG_OK);
    brg_error error;
    assert_int_equal(brg_worker_create(&worker,
                                       brg_worker_opts(.isolation = scenario_isolation(state), .module = module,
                                                       .init_data = with_port(&theirs, 0),
                                                       .start_timeout_ns = SCENARIO_LONG, .grace_ns = SCENARIO_LONG),
                                       &error),
                     BRG_OK);
    assert_int_equal(brg_worker_wait_online(worker, BOUND, NULL), BRG_START_FAILED);
    brg_worker_destroy(worker);
    assert_int_equal(brg_port_receive(ours, &message, BOUND), BRG_CLOSED);
    brg_port_destroy(ours);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(messages_follow_a_port_into_a_task),     SCENARIO_PROCESS(port_that_crashed_is_not_tried_again),
        SCENARIO_PROCESS(crash_without_a_port_is_tried_again), SCENARIO_BOTH(every_object_goes_in_and_out),
        SCENARIO_BOTH(token_reaches_a_loop_that_computes),     SCENARIO_BOTH(port_of_a_worker_that_never_starts_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
