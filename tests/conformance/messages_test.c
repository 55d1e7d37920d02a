/* SPDX-License-Identifier: MIT */
/* Messages between a worker and its owner, and the events of its life around them. */
#include "peer.h"

static void post_number(brg_worker *peer, int64_t n)
{
    assert_status(brg_worker_post(peer, peer_number(n), BOUND, NULL), BRG_OK);
}

static void expect_number(brg_worker *peer, int64_t n) { assert_int_equal(peer_take_number(peer_answer(peer)), n); }

/* ---- order and completeness -------------------------------------------------------------------------------------- */

static void messages_come_back_in_order(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    for (int n = 0; n < 200; n++)
        post_number(peer, n); /* those before it is online wait */
    for (int n = 0; n < 200; n++)
        expect_number(peer, n);
    brg_worker_destroy(peer);
}

static void messages_before_the_exit_arrive(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.mailbox_max = 16));
    brg_value *none = NULL;
    brg_exit end = {0};
    brg_builder *builder = peer_say_int("many", "count", 500);
    peer_add_int(builder, "then_exit", 1);
    peer_add_int(builder, "code", 7);
    peer_post(peer, builder);
    for (int n = 0; n < 500; n++)
        expect_number(peer, n);
    assert_status(brg_worker_receive(peer, &none, BOUND), BRG_CLOSED);
    assert_status(brg_worker_wait(peer, BOUND, &end), BRG_OK);
    assert_status(end.status, BRG_EXITED);
    assert_int_equal(end.exit_code, 7);
    assert_false(end.requested);
    brg_worker_destroy(peer);
}

static void large_messages_arrive_whole(void **state)
{
    static const size_t sizes[] = {1000, 64 << 10, 1 << 20, 5 << 20};
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    for (size_t i = 0; i < 4; i++) {
        char *text = malloc(sizes[i] + 1);
        assert_non_null(text);
        memset(text, 'a' + (int)i, sizes[i]);
        text[sizes[i]] = 0;
        brg_builder *builder = peer_say("echo");
        peer_add_string(builder, "text", text);
        peer_post(peer, builder);
        brg_value *answer = peer_answer(peer);
        assert_string_equal(peer_string(answer, "text"), text);
        brg_value_unref(answer);
        free(text);
    }
    brg_worker_destroy(peer);
}

static void worker_takes_messages_by_itself(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_post(peer, peer_say_int("receive", "count", 3));
    for (int n = 1; n <= 4; n++)
        post_number(peer, n);
    brg_value *answer = peer_answer(peer);
    assert_int_equal(peer_int(answer, "sum"), 6);
    assert_status((brg_status)peer_int(answer, "status"), BRG_OK);
    brg_value_unref(answer);
    expect_number(peer, 4); /* the next one goes to the handler again */
    brg_builder *builder = peer_say_int("receive", "timeout_ms", 0);
    assert_status(peer_ask_status(peer, builder), BRG_EMPTY);
    builder = peer_say_int("receive", "timeout_ms", 2);
    assert_status(peer_ask_status(peer, builder), BRG_TIMED_OUT);
    brg_worker_destroy(peer);
}

static void taking_ends_when_the_worker_is_to_end(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_exit end = {0};
    brg_value *answer = NULL;
    assert_status(brg_worker_wait_online(peer, BOUND, NULL), BRG_OK);
    peer_post(peer, peer_say("who"));
    brg_value_unref(peer_answer(peer));
    peer_post(peer, peer_say_int("receive", "count", 10));
    assert_status(brg_worker_terminate(peer), BRG_OK);
    assert_status(brg_worker_wait(peer, BOUND, &end), BRG_OK); /* long before the grace is over */
    assert_status(end.status, BRG_OK);
    assert_true(end.requested);
    while (brg_worker_receive(peer, &answer, BOUND) == BRG_OK)
        brg_value_unref(answer);
    brg_worker_destroy(peer);
}

static void full_mailbox_is_told(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.mailbox_max = 4));
    brg_status status = BRG_OK;
    brg_value *value = peer_number(0);
    peer_post(peer, peer_say("spin"));
    brg_value_unref(peer_answer(peer)); /* it takes nothing more */
    int posted = 0;
    while ((status = brg_worker_post(peer, value, 0, NULL)) == BRG_OK) {
        value = peer_number(0);
        assert_true(++posted <= 100);
    }
    assert_status(status, BRG_FULL);
    assert_true(posted >= 4);
    assert_status(brg_worker_post(peer, value, BRG_MILLISECONDS(2), NULL), BRG_TIMED_OUT);
    brg_value_unref(value);
    brg_worker_destroy(peer);
}

static void owner_that_does_not_read_holds_the_worker_back(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.mailbox_max = 4));
    peer_post(peer, peer_say_int("many", "count", 300));
    for (int n = 0; n < 300; n++)
        expect_number(peer, n); /* none is lost, however few there is room for */
    brg_worker_destroy(peer);
}

/* ---- failing handlers -------------------------------------------------------------------------------------------- */

typedef struct life {
    brg_loop *loop;
    brg_worker *worker;
    int online, messages, errors, exits, released;
    brg_error error;
    brg_exit end;
    int stop_at; /* terminates the worker at this message */
} life;

static void on_online(brg_worker *worker, void *user_data)
{
    (void)worker;
    life *seen = user_data;
    assert_int_equal(seen->messages + seen->exits, 0); /* first */
    seen->online++;
}

static void on_message(brg_worker *worker, brg_value *message, void *user_data)
{
    (void)message;
    life *seen = user_data;
    assert_int_equal(seen->exits, 0);
    if (++seen->messages == seen->stop_at)
        brg_worker_terminate(worker);
}

static void on_error(brg_worker *worker, const brg_error *error, void *user_data)
{
    (void)worker;
    life *seen = user_data;
    assert_int_equal(seen->exits, 0);
    seen->errors++;
    seen->error = *error;
}

static void on_exit_event(brg_worker *worker, const brg_exit *end, void *user_data)
{
    (void)worker;
    life *seen = user_data;
    seen->exits++; /* last, once */
    seen->end = *end;
}

static void on_release(void *user_data) { ((life *)user_data)->released++; }

static void life_begin(life *seen, brg_isolation isolation, const brg_worker_options *options)
{
    brg_worker_options complete = {.size = sizeof(complete)};
    brg_error error;
    if (options != NULL)
        complete = *options;
    assert_status(brg_loop_create(&seen->loop, NULL, NULL), BRG_OK);
    complete.loop = seen->loop;
    complete.isolation = isolation;
    complete.start_timeout_ns = complete.grace_ns = BOUND;
    if (complete.module == NULL)
        complete.module = peer_module();
    complete.on_online = on_online;
    complete.on_message = on_message;
    complete.on_error = on_error;
    complete.on_exit = on_exit_event;
    complete.release = on_release;
    complete.user_data = seen;
    if (brg_worker_create(&seen->worker, &complete, &error) != BRG_OK)
        fail_msg("worker: %s", error.message);
}

static void life_end(life *seen)
{
    assert_int_equal(seen->exits, 1);
    brg_worker_destroy(seen->worker);
    assert_int_equal(seen->exits, 1);
    assert_int_equal(seen->released, 1);
    assert_status(brg_loop_destroy(seen->loop), BRG_OK);
}

static void events_come_in_order_and_exit_is_last(void **state)
{
    life seen = {.stop_at = 3};
    life_begin(&seen, scenario_isolation(state), NULL);
    for (int n = 0; n < 3; n++)
        post_number(seen.worker, n);
    assert_status(brg_loop_run(seen.loop), BRG_OK);
    assert_int_equal(seen.online, 1);
    assert_int_equal(seen.messages, 3);
    assert_status(seen.end.status, BRG_OK);
    assert_true(seen.end.requested);
    life_end(&seen);
}

static void failing_handler_is_an_error_and_no_end(void **state)
{
    life seen = {.stop_at = 1};
    life_begin(&seen, scenario_isolation(state), NULL);
    peer_post(seen.worker, peer_say("no such command"));
    post_number(seen.worker, 1);
    assert_status(brg_loop_run(seen.loop), BRG_OK);
    assert_int_equal(seen.errors, 1);
    assert_int_equal(seen.error.code, 404);
    assert_string_equal(seen.error.message, "no command no such command");
    assert_int_equal(seen.messages, 1); /* it went on */
    life_end(&seen);
}

static void crash_is_told_with_its_signal(void **state)
{
    life seen = {0};
    life_begin(&seen, scenario_isolation(state), NULL);
    peer_post(seen.worker, peer_say("abort"));
    assert_status(brg_loop_run(seen.loop), BRG_OK);
    assert_status(seen.end.status, BRG_CRASHED);
    assert_int_equal(seen.end.signal, 6);
    assert_false(seen.end.requested);
    life_end(&seen);
}

static void exit_code_is_told(void **state)
{
    static const int codes[] = {0, 1, 42, 255};
    for (int i = 0; i < 4; i++) {
        life seen = {0};
        life_begin(&seen, scenario_isolation(state), NULL);
        peer_post(seen.worker, peer_say_int("exit", "code", codes[i]));
        assert_status(brg_loop_run(seen.loop), BRG_OK);
        assert_int_equal(seen.end.exit_code, codes[i]);
        assert_status(seen.end.status, codes[i] == 0 ? BRG_OK : BRG_EXITED);
        assert_int_equal(seen.messages, 0); /* nothing comes from behind the exit */
        life_end(&seen);
    }
}

static void failing_start_is_an_error_and_the_end(void **state)
{
    brg_value *init = NULL;
    assert_status(brg_value_map(&init, NULL, brg_field_int("fail", 1)), BRG_OK);
    life seen = {0};
    life_begin(&seen, scenario_isolation(state), brg_worker_opts(.init_data = init));
    brg_value *value = peer_number(1);
    if (brg_worker_post(seen.worker, value, 0, NULL) != BRG_OK) /* it may have ended already */
        brg_value_unref(value);
    assert_status(brg_loop_run(seen.loop), BRG_OK);
    assert_int_equal(seen.online + seen.messages, 0);
    assert_int_equal(seen.errors, 1);
    assert_string_equal(seen.error.message, "told to fail");
    assert_status(seen.end.status, BRG_START_FAILED);
    life_end(&seen);
}

static void missing_module_is_told(void **state)
{
    brg_worker *worker = NULL;
    brg_error error = {0};
    brg_status status = brg_worker_create(
        &worker, brg_worker_opts(.isolation = scenario_isolation(state), .module = "./no-such-module.so"), &error);
    if (status == BRG_OK) { /* or it comes up when it is loaded */
        status = brg_worker_wait_online(worker, BOUND, &error);
        assert_status(status, BRG_START_FAILED);
    }
    assert_true(error.message[0] != 0);
    brg_worker_destroy(worker);
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

static void terminate_ends_an_idle_worker(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_exit end = {.status = BRG_FAILED};
    assert_status(brg_worker_wait_online(peer, BOUND, NULL), BRG_OK);
    assert_int_equal(brg_worker_get_state(peer), BRG_WORKER_ONLINE);
    assert_status(brg_worker_terminate(peer), BRG_OK);
    assert_status(brg_worker_terminate(peer), BRG_OK); /* again: no harm */
    assert_status(brg_worker_wait(peer, BOUND, &end), BRG_OK);
    assert_status(end.status, BRG_OK);
    assert_int_equal(brg_worker_get_state(peer), BRG_WORKER_EXITED);
    assert_status(brg_worker_terminate(peer), BRG_OK);
    brg_worker_destroy(peer);
}

static void terminate_ends_a_busy_worker(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_exit end = {0};
    peer_post(peer, peer_say("spin"));
    brg_value_unref(peer_answer(peer));
    assert_status(brg_worker_terminate(peer), BRG_OK);
    assert_status(brg_worker_wait(peer, BOUND, &end), BRG_OK);
    assert_true(end.requested);
    assert_status(end.status, BRG_OK);
    brg_worker_destroy(peer);
}

static void terminate_before_online_is_fine(void **state)
{
    for (int i = 0; i < 10; i++) {
        brg_worker *peer = peer_start(scenario_isolation(state), NULL);
        assert_status(brg_worker_terminate(peer), BRG_OK);
        assert_status(brg_worker_wait(peer, BOUND, NULL), BRG_OK);
        brg_worker_destroy(peer);
    }
}

static void post_after_the_end_is_refused(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_value *value = peer_number(3), *none = NULL;
    assert_status(brg_worker_terminate(peer), BRG_OK);
    assert_status(brg_worker_post(peer, value, BOUND, NULL), BRG_CLOSED);
    assert_int_equal(peer_take_number(value), 3);
    assert_status(brg_worker_wait(peer, BOUND, NULL), BRG_OK);
    assert_status(brg_worker_receive(peer, &none, BOUND), BRG_CLOSED);
    brg_worker_destroy(peer);
}

/* ---- who it is --------------------------------------------------------------------------------------------------- */

static void ids_are_never_used_again(void **state)
{
    uint64_t last = 0;
    assert_true(brg_worker_current_id() == 0);
    for (int i = 0; i < 5; i++) {
        brg_worker *peer = peer_start(scenario_isolation(state), NULL);
        assert_true(brg_worker_id(peer) > last);
        last = brg_worker_id(peer);
        brg_value *answer = peer_ask(peer, peer_say("who"));
        assert_int_equal(peer_int(answer, "worker"), last);
        assert_int_equal(peer_int(answer, "current"), last);
        assert_int_equal(peer_int(answer, "isolation"), scenario_isolation(state));
        brg_value_unref(answer);
        brg_worker_destroy(peer);
    }
}

static void name_is_given_or_made(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.name = "Hello World"));
    brg_value *answer = peer_ask(peer, peer_say("who"));
    assert_string_equal(peer_string(answer, "name"), "Hello World");
    assert_string_equal(brg_worker_name(peer), "Hello World");
    brg_value_unref(answer);
    brg_worker_destroy(peer);
    peer = peer_start(scenario_isolation(state), NULL);
    assert_memory_equal(brg_worker_name(peer), "brigade-", 8);
    brg_worker_destroy(peer);
}

static void background_worker_does_not_keep_the_loop(void **state)
{
    life seen = {.stop_at = 1};
    life_begin(&seen, scenario_isolation(state), NULL);
    assert_true(brg_worker_keeps_loop(seen.worker));
    brg_worker_keep_loop(seen.worker, false);
    brg_worker_keep_loop(seen.worker, false);
    assert_false(brg_worker_keeps_loop(seen.worker));
    assert_status(brg_loop_run(seen.loop), BRG_OK); /* returns, though it lives */
    assert_int_equal(seen.exits, 0);
    brg_worker_keep_loop(seen.worker, true);
    post_number(seen.worker, 1);
    assert_status(brg_loop_run(seen.loop), BRG_OK); /* until its end */
    life_end(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(messages_come_back_in_order),
        SCENARIO_PROCESS(messages_before_the_exit_arrive),
        SCENARIO_BOTH(large_messages_arrive_whole),
        SCENARIO_BOTH(worker_takes_messages_by_itself),
        SCENARIO_BOTH(taking_ends_when_the_worker_is_to_end),
        SCENARIO_BOTH(full_mailbox_is_told),
        SCENARIO_BOTH(owner_that_does_not_read_holds_the_worker_back),
        SCENARIO_BOTH(events_come_in_order_and_exit_is_last),
        SCENARIO_BOTH(failing_handler_is_an_error_and_no_end),
        SCENARIO_PROCESS(crash_is_told_with_its_signal),
        SCENARIO_PROCESS(exit_code_is_told),
        SCENARIO_BOTH(failing_start_is_an_error_and_the_end),
        SCENARIO_BOTH(missing_module_is_told),
        SCENARIO_BOTH(terminate_ends_an_idle_worker),
        SCENARIO_BOTH(terminate_ends_a_busy_worker),
        SCENARIO_BOTH(terminate_before_online_is_fine),
        SCENARIO_BOTH(post_after_the_end_is_refused),
        SCENARIO_BOTH(ids_are_never_used_again),
        SCENARIO_BOTH(name_is_given_or_made),
        SCENARIO_BOTH(background_worker_does_not_keep_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
