/* SPDX-License-Identifier: MIT */
/* A worker's world: init data, arguments, environment, streams, limits, usage, its loop, its exit hooks. */
#include "peer.h"

#include <stdio.h>

/* ---- what it is given -------------------------------------------------------------------------------------------- */

static void init_data_is_seen(void **state)
{
    brg_value *init = NULL;
    assert_status(brg_value_map(&init, NULL, brg_field_string("greeting", "hello"), brg_field_double("pi", 3.14)),
                  BRG_OK);
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.init_data = init));
    brg_value *answer = peer_ask(peer, peer_say("who"));
    assert_string_equal(brg_view_get_string(peer_get(answer, "init"), "greeting", ""), "hello");
    assert_true(brg_view_get_double(peer_get(answer, "init"), "pi", 0) == 3.14);
    brg_value_unref(answer);
    brg_worker_destroy(peer);
}

static void arguments_are_seen(void **state)
{
    static const char *const arguments[] = {"one", "", "with spaces", "--flag=\xc3\xa9", NULL};
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.arguments = arguments));
    brg_value *answer = peer_ask(peer, peer_say("arguments"));
    assert_int_equal(brg_view_count(peer_get(answer, "arguments")), 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(brg_view_string(brg_view_at(peer_get(answer, "arguments"), i), NULL), arguments[i]);
    assert_int_equal(peer_int(answer, "past"), 0);
    brg_value_unref(answer);
    brg_worker_destroy(peer);
    peer = peer_start(scenario_isolation(state), NULL);
    answer = peer_ask(peer, peer_say("arguments"));
    assert_int_equal(brg_view_count(peer_get(answer, "arguments")), 0);
    brg_value_unref(answer);
    brg_worker_destroy(peer);
}

/* ---- environment ------------------------------------------------------------------------------------------------- */

/* What the worker sees under `name`; the empty string where there is nothing. */
static void expect_environment(brg_worker *peer, const char *name, const char *wanted)
{
    brg_builder *builder = peer_say("getenv");
    peer_add_string(builder, "name", name);
    brg_value *answer = peer_ask(peer, builder);
    const char *value = brg_view_string(peer_get(answer, "value"), NULL);
    assert_string_equal(value != NULL ? value : "", wanted);
    brg_value_unref(answer);
}

static brg_status set_environment(brg_worker *peer, const char *name, const char *value)
{
    brg_builder *builder = peer_say("setenv");
    peer_add_string(builder, "name", name);
    if (value != NULL)
        peer_add_string(builder, "value", value);
    return peer_ask_status(peer, builder);
}

static void environment_is_a_copy(void **state)
{
    setenv("CONFORMANCE", "before", 1);
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    setenv("CONFORMANCE", "after", 1);
    expect_environment(peer, "CONFORMANCE", "before");
    assert_status(set_environment(peer, "CONFORMANCE", "mine"), BRG_OK);
    assert_status(set_environment(peer, "CONFORMANCE_NEW", "new"), BRG_OK);
    expect_environment(peer, "CONFORMANCE", "mine");
    expect_environment(peer, "CONFORMANCE_NEW", "new");
    assert_string_equal(getenv("CONFORMANCE"), "after");
    assert_null(getenv("CONFORMANCE_NEW"));
    assert_status(set_environment(peer, "CONFORMANCE", NULL), BRG_OK);
    expect_environment(peer, "CONFORMANCE", "");
    assert_string_equal(getenv("CONFORMANCE"), "after");
    brg_worker_destroy(peer);
    unsetenv("CONFORMANCE");
}

static void environment_of_a_process_is_its_getenv(void **state)
{
    static const char *const environment[] = {"CONFORMANCE=one", NULL};
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.environment = environment));
    assert_status(set_environment(peer, "CONFORMANCE_TWO", "two"), BRG_OK);
    static const char *const names[] = {"CONFORMANCE", "CONFORMANCE_TWO"}, *const values[] = {"one", "two"};
    for (int i = 0; i < 2; i++) {
        brg_builder *builder = peer_say("getenv");
        peer_add_string(builder, "name", names[i]);
        brg_value *answer = peer_ask(peer, builder);
        assert_string_equal(peer_string(answer, "c"), values[i]);
        brg_value_unref(answer);
    }
    brg_worker_destroy(peer);
}

static void environment_can_be_given_whole(void **state)
{
    static const char *const environment[] = {"A=1", "EMPTY=", "B=x=y", NULL};
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.environment = environment));
    brg_value *answer = peer_ask(peer, peer_say("environment"));
    assert_int_equal(peer_int(answer, "count"), 3); /* nothing of the program's */
    brg_value_unref(answer);
    expect_environment(peer, "B", "x=y");
    expect_environment(peer, "PATH", "");
    brg_worker_destroy(peer);
}

static void environment_can_be_shared_with_a_thread(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.share_environment = true));
    assert_status(set_environment(peer, "CONFORMANCE_SHARED", "from the worker"), BRG_OK);
    assert_string_equal(getenv("CONFORMANCE_SHARED"), "from the worker");
    setenv("CONFORMANCE_SHARED", "from the program", 1);
    expect_environment(peer, "CONFORMANCE_SHARED", "from the program");
    assert_status(set_environment(peer, "CONFORMANCE_SHARED", NULL), BRG_OK);
    assert_null(getenv("CONFORMANCE_SHARED"));
    brg_worker_destroy(peer);
    brg_worker *none = NULL;
    assert_status(brg_worker_create(&none,
                                    brg_worker_opts(.isolation = BRG_ISOLATION_PROCESS, .module = peer_module(),
                                                    .share_environment = true),
                                    NULL),
                  BRG_UNSUPPORTED);
}

static void names_with_equals_signs_are_refused(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    assert_status(set_environment(peer, "A=B", "1"), BRG_INVALID);
    assert_status(set_environment(peer, "", "1"), BRG_INVALID);
    brg_worker_destroy(peer);
}

static brg_status data_in(brg_worker *peer, const char *name, int64_t *n)
{
    brg_builder *builder = peer_say("data_get");
    peer_add_string(builder, "name", name);
    peer_post(peer, builder);
    brg_value *answer = peer_answer(peer);
    *n = brg_view_get_int(peer_get(answer, "value"), "n", -1);
    brg_status status = (brg_status)peer_int(answer, "status");
    brg_value_unref(answer);
    return status;
}

static void environment_data_is_inherited_as_it_is_then(void **state)
{
    int64_t n = 0;
    assert_status(brg_environment_data_set("data", peer_number(1), NULL), BRG_OK);
    brg_worker *first = peer_start(scenario_isolation(state), NULL);
    assert_status(brg_environment_data_set("data", peer_number(2), NULL), BRG_OK);
    brg_worker *second = peer_start(scenario_isolation(state), NULL);
    assert_status(brg_environment_data_set("data", NULL, NULL), BRG_OK);
    brg_worker *third = peer_start(scenario_isolation(state), NULL);
    assert_null(brg_environment_data_get("data"));
    assert_status(data_in(first, "data", &n), BRG_OK);
    assert_int_equal(n, 1);
    assert_status(data_in(second, "data", &n), BRG_OK);
    assert_int_equal(n, 2);
    assert_status(data_in(third, "data", &n), BRG_NOT_FOUND);
    brg_builder *builder = peer_say("data_set");
    peer_add_string(builder, "name", "data");
    brg_builder_key(builder, "value");
    brg_builder_int(builder, 3);
    assert_status(peer_ask_status(first, builder), BRG_OK);
    assert_null(brg_environment_data_get("data")); /* its own */
    brg_worker *all[] = {first, second, third};
    for (int i = 0; i < 3; i++)
        brg_worker_destroy(all[i]);
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static brg_builder *write_text(const char *stream, const char *text, int times)
{
    brg_builder *builder = peer_say_int(stream, "times", times);
    peer_add_string(builder, "text", text);
    return builder;
}

/* Reads a stream up to its end; how many bytes, the first `capacity` - 1 of them in `text`. */
static size_t read_all(brg_worker *peer, brg_output stream, char *text, size_t capacity)
{
    char piece[5000];
    size_t all = 0, size = 0, kept = 0;
    brg_status status;
    while ((status = brg_worker_read_output(peer, stream, piece, sizeof(piece), &size, BOUND)) == BRG_OK) {
        size_t room = capacity - 1 - kept;
        memcpy(text + kept, piece, size < room ? size : room);
        kept += size < room ? size : room;
        all += size;
    }
    assert_status(status, BRG_CLOSED);
    text[kept] = 0;
    return all;
}

static void captured_output_is_complete(void **state)
{
    char text[64];
    brg_worker *peer = peer_start(scenario_isolation(state),
                                  brg_worker_opts(.stdout_mode = BRG_STDIO_PIPE, .stderr_mode = BRG_STDIO_PIPE));
    brg_value_unref(peer_ask(peer, write_text("stdout", "hello", 1))); /* no line end, no flush */
    brg_value_unref(peer_ask(peer, write_text("stderr", "oops", 1)));
    assert_status(brg_worker_terminate(peer), BRG_OK);
    assert_int_equal(read_all(peer, BRG_OUTPUT_STDOUT, text, sizeof(text)), 5);
    assert_string_equal(text, "hello");
    assert_int_equal(read_all(peer, BRG_OUTPUT_STDERR, text, sizeof(text)), 4);
    assert_string_equal(text, "oops");
    brg_worker_destroy(peer);
}

static void much_output_is_not_lost(void **state)
{
    char text[64];
    brg_worker *peer = peer_start(scenario_isolation(state),
                                  brg_worker_opts(.stdout_mode = BRG_STDIO_PIPE, .stdio_bytes_max = 8192));
    brg_builder *builder = write_text("stdout", "0123456789abcde\n", 20000);
    peer_post(peer, builder);
    char piece[3000];
    size_t all = 0, size = 0;
    while (all < 320000) {
        assert_status(brg_worker_read_output(peer, BRG_OUTPUT_STDOUT, piece, sizeof(piece), &size, BOUND), BRG_OK);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(piece[i], "0123456789abcde\n"[(all + i) % 16]);
        all += size;
    }
    brg_value_unref(peer_answer(peer));
    assert_status(brg_worker_terminate(peer), BRG_OK);
    assert_int_equal(read_all(peer, BRG_OUTPUT_STDOUT, text, sizeof(text)), 0);
    brg_worker_destroy(peer);
}

typedef struct output {
    char text[64];
    size_t size;
    int exits;
} output;

static void on_stdout(brg_worker *worker, const void *bytes, size_t size_bytes, void *user_data)
{
    (void)worker;
    output *seen = user_data;
    assert_int_equal(seen->exits, 0); /* the last piece comes before */
    assert_true(size_bytes > 0 && seen->size + size_bytes < sizeof(seen->text));
    memcpy(seen->text + seen->size, bytes, size_bytes);
    seen->size += size_bytes;
}

static void on_exit_event(brg_worker *worker, const brg_exit *end, void *user_data)
{
    (void)worker;
    (void)end;
    ((output *)user_data)->exits++;
}

static void output_comes_before_the_exit(void **state)
{
    brg_loop *loop = NULL;
    brg_worker *worker = NULL;
    output seen = {.size = 0};
    assert_status(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    assert_status(brg_worker_create(&worker,
                                    brg_worker_opts(.loop = loop, .isolation = scenario_isolation(state),
                                                    .module = peer_module(), .stdout_mode = BRG_STDIO_PIPE,
                                                    .on_stdout = on_stdout, .on_exit = on_exit_event,
                                                    .start_timeout_ns = BOUND, .grace_ns = BOUND, .user_data = &seen),
                                    NULL),
                  BRG_OK);
    assert_status(brg_worker_wait_online(worker, BOUND, NULL), BRG_OK);
    peer_post(worker, peer_say("at_exit"));
    peer_post(worker, peer_say_int("receive", "count", 1)); /* in here it is asked to end */
    assert_status(brg_worker_post(worker, peer_number(1), BOUND, NULL), BRG_OK);
    peer_post(worker, write_text("stdout", "last\n", 1));
    peer_post(worker, peer_say_int("receive", "count", 1));
    assert_status(brg_worker_post(worker, peer_number(2), BOUND, NULL), BRG_OK);
    while (seen.size < 5)
        brg_loop_dispatch(loop);
    assert_status(brg_worker_terminate(worker), BRG_OK);
    assert_status(brg_loop_run(loop), BRG_OK);
    assert_int_equal(seen.exits, 1);
    assert_string_equal(seen.text, "last\nsecond registered\nfirst registered\n");
    brg_worker_destroy(worker);
    assert_status(brg_loop_destroy(loop), BRG_OK);
}

static void hooks_run_at_the_end_newest_first(void **state)
{
    char text[64];
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.stdout_mode = BRG_STDIO_PIPE));
    brg_value_unref(peer_ask(peer, peer_say("at_exit")));
    assert_status(brg_worker_terminate(peer), BRG_OK);
    read_all(peer, BRG_OUTPUT_STDOUT, text, sizeof(text));
    assert_string_equal(text, "second registered\nfirst registered\n");
    brg_worker_destroy(peer);
}

static void stdin_is_read_to_its_end(void **state)
{
    size_t written = 0;
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.stdin_mode = BRG_STDIO_PIPE));
    peer_post(peer, peer_say("stdin"));
    assert_status(brg_worker_write_stdin(peer, "some ", 5, &written, BOUND, NULL), BRG_OK);
    assert_int_equal(written, 5);
    assert_status(brg_worker_write_stdin(peer, "words", 5, NULL, BOUND, NULL), BRG_OK);
    brg_worker_close_stdin(peer);
    brg_worker_close_stdin(peer);
    assert_status(brg_worker_write_stdin(peer, "x", 1, NULL, BOUND, NULL), BRG_CLOSED);
    brg_value *answer = peer_answer(peer);
    assert_string_equal(peer_string(answer, "text"), "some words");
    assert_int_equal(peer_int(answer, "eof"), 1);
    brg_value_unref(answer);
    brg_worker_destroy(peer);
}

static void stdin_of_nothing_is_empty(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.stdin_mode = BRG_STDIO_NULL));
    brg_value *answer = peer_ask(peer, peer_say("stdin"));
    assert_string_equal(peer_string(answer, "text"), "");
    assert_int_equal(peer_int(answer, "eof"), 1);
    brg_value_unref(answer);
    assert_status(brg_worker_write_stdin(peer, "x", 1, NULL, 0, NULL), BRG_STATE);
    brg_worker_destroy(peer);
}

static void output_to_nowhere_is_dropped(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.stdout_mode = BRG_STDIO_NULL));
    size_t size = 0;
    char byte;
    for (int i = 0; i < 3; i++)
        brg_value_unref(peer_ask(peer, write_text("stdout", "nobody reads this\n", 1000)));
    assert_status(brg_worker_read_output(peer, BRG_OUTPUT_STDOUT, &byte, 1, &size, 0), BRG_STATE);
    brg_worker_destroy(peer);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static void arena_has_its_limit(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.limits = {.arena_bytes_max = 1 << 20}));
    assert_status(peer_ask_status(peer, peer_say_int("arena", "bytes", 1000)), BRG_OK);
    assert_status(peer_ask_status(peer, peer_say_int("arena", "bytes", 4 << 20)), BRG_NO_MEMORY);
    assert_status(peer_ask_status(peer, peer_say_int("arena", "bytes", 1000)), BRG_OK); /* it goes on */
    brg_worker_destroy(peer);
}

static void stack_has_the_size_asked_for(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.limits = {.stack_bytes = 24 << 20}));
    brg_value_unref(peer_ask(peer, peer_say_int("stack", "bytes", 12 << 20))); /* more than the default has */
    brg_worker_destroy(peer);
}

static void stack_overflow_ends_a_process(void **state)
{
    brg_exit end = {0};
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.limits = {.stack_bytes = 1 << 20}));
    peer_post(peer, peer_say_int("stack", "bytes", INT64_C(1) << 36));
    assert_status(brg_worker_wait(peer, BOUND, &end), BRG_OK);
    assert_status(end.status, BRG_CRASHED);
    assert_int_equal(end.signal, 11);
    brg_worker_destroy(peer);
}

static void files_and_memory_have_their_limits(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state),
                                  brg_worker_opts(.limits = {.files_max = 40, .memory_bytes_max = 64 << 20}));
    assert_int_equal(peer_ask_int(peer, peer_say("limit"), "files"), 40);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* their memory is their own */
    assert_status(peer_ask_status(peer, peer_say_int("allocate", "bytes", 200 << 20)), BRG_NO_MEMORY);
    assert_status(peer_ask_status(peer, peer_say_int("allocate", "bytes", 1 << 20)), BRG_OK);
#endif
    brg_worker_destroy(peer);
}

static void cpu_time_has_its_limit(void **state)
{
    brg_exit end = {0};
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.limits = {.cpu_seconds_max = 1}));
    peer_post(peer, peer_say_int("burn", "cpu_ms", 50000));
    assert_status(brg_worker_wait(peer, BRG_FOREVER, &end), BRG_OK); /* whenever it gets that second */
    assert_true(end.status != BRG_OK);
    assert_false(end.requested);
    brg_worker_destroy(peer);
}

/* ---- usage and loop ---------------------------------------------------------------------------------------------- */

static void usage_is_read_while_it_runs(void **state)
{
    brg_usage before = {.size = sizeof(before)}, after = {.size = sizeof(after)}, delta = {.size = sizeof(delta)};
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_value_unref(peer_ask(peer, peer_say("who")));
    assert_status(brg_worker_usage(peer, &before), BRG_OK);
    brg_value_unref(peer_ask(peer, peer_say_int("burn", "cpu_ms", 30)));
    brg_value_unref(peer_ask(peer, peer_say("who")));
    assert_status(brg_worker_usage(peer, &after), BRG_OK);
    brg_usage_delta(&after, &before, &delta);
    assert_true(delta.cpu_ns >= BRG_MILLISECONDS(30));
    assert_true(delta.busy_ns >= BRG_MILLISECONDS(15)); /* of a clock that may go slower than that of the processor */
    assert_true(delta.messages >= 2);
    double share = brg_usage_utilization(&delta);
    assert_true(share > 0 && share <= 1);
    if (scenario_isolation(state) == BRG_ISOLATION_PROCESS)
        assert_true(after.rss_bytes > 0);
    assert_status(brg_worker_terminate(peer), BRG_OK);
    assert_status(brg_worker_wait(peer, BOUND, NULL), BRG_OK);
    assert_status(brg_worker_usage(peer, &before), BRG_OK); /* and after it */
    assert_true(before.messages >= after.messages);
    assert_int_equal(before.rss_bytes, 0);
    brg_worker_destroy(peer);
}

static void timers_run_between_messages(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_value_unref(peer_ask(peer, peer_say("timer")));
    brg_value *tick = peer_answer(peer);
    assert_int_equal(peer_int(tick, "tick"), 1);
    brg_value_unref(tick);
    assert_int_equal(peer_ask_int(peer, peer_say("who"), "worker"), brg_worker_id(peer));
    brg_worker_destroy(peer);
}

static void open_timers_do_not_hinder_the_end(void **state)
{
    brg_exit end = {.status = BRG_FAILED};
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    for (int i = 0; i < 10; i++)
        peer_post(peer, peer_say("timer"));
    assert_status(brg_worker_terminate(peer), BRG_OK);
    assert_status(brg_worker_wait(peer, BOUND, &end), BRG_OK);
    assert_status(end.status, BRG_OK);
    brg_worker_destroy(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(init_data_is_seen),
        SCENARIO_BOTH(arguments_are_seen),
        SCENARIO_BOTH(environment_is_a_copy),
        SCENARIO_PROCESS(environment_of_a_process_is_its_getenv),
        SCENARIO_BOTH(environment_can_be_given_whole),
        SCENARIO_THREAD(environment_can_be_shared_with_a_thread),
        SCENARIO_BOTH(names_with_equals_signs_are_refused),
        SCENARIO_BOTH(environment_data_is_inherited_as_it_is_then),
        SCENARIO_BOTH(captured_output_is_complete),
        SCENARIO_BOTH(much_output_is_not_lost),
        SCENARIO_BOTH(output_comes_before_the_exit),
        SCENARIO_BOTH(hooks_run_at_the_end_newest_first),
        SCENARIO_BOTH(stdin_is_read_to_its_end),
        SCENARIO_BOTH(stdin_of_nothing_is_empty),
        SCENARIO_BOTH(output_to_nowhere_is_dropped),
        SCENARIO_BOTH(arena_has_its_limit),
        SCENARIO_BOTH(stack_has_the_size_asked_for),
        SCENARIO_PROCESS(stack_overflow_ends_a_process),
        SCENARIO_PROCESS(files_and_memory_have_their_limits),
        SCENARIO_PROCESS(cpu_time_has_its_limit),
        SCENARIO_BOTH(usage_is_read_while_it_runs),
        SCENARIO_BOTH(timers_run_between_messages),
        SCENARIO_BOTH(open_timers_do_not_hinder_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
