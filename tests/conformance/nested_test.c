/* SPDX-License-Identifier: MIT */
/* Workers inside workers: in every pair of isolations, and their end with the outer one. */
#include "peer.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An inner worker of `inner` isolation; its id. */
static int64_t nest(brg_worker *outer, brg_isolation inner)
{
    brg_builder *builder = peer_say_int("nest", "isolation", inner);
    peer_add_string(builder, "module", peer_module());
    return peer_ask_int(outer, builder, "id");
}

/* {"do": "nest_ask", "request": {"do": command}} */
static brg_builder *through(const char *command)
{
    brg_builder *builder = peer_say("nest_ask");
    brg_builder_key(builder, "request");
    brg_builder_map(builder);
    peer_add_string(builder, "do", command);
    brg_builder_end(builder);
    return builder;
}

static void inner_worker_answers_the_outer(void **state)
{
    for (int inner = 0; inner < 2; inner++) {
        brg_worker *outer = peer_start(scenario_isolation(state), NULL);
        int64_t id = nest(outer, (brg_isolation)inner);
        brg_value *answer = peer_ask(outer, through("who"));
        assert_int_equal(brg_view_get_int(peer_get(answer, "answer"), "worker", -1), id);
        assert_int_equal(brg_view_get_int(peer_get(answer, "answer"), "isolation", -1), inner);
        brg_value_unref(answer);
        brg_worker_destroy(outer);
    }
}

static void ids_are_one_series(void **state)
{
    brg_worker *first = peer_start(scenario_isolation(state), NULL);
    brg_worker *second = peer_start(scenario_isolation(state), NULL);
    int64_t ids[4] = {(int64_t)brg_worker_id(first), (int64_t)brg_worker_id(second)};
    ids[2] = nest(first, scenario_isolation(state));
    ids[3] = nest(second, scenario_isolation(state));
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            assert_true(ids[i] != ids[k]);
    brg_worker_destroy(first);
    brg_worker_destroy(second);
}

static void inner_worker_is_ended_by_the_outer(void **state)
{
    for (int inner = 0; inner < 2; inner++) {
        brg_worker *outer = peer_start(scenario_isolation(state), NULL);
        nest(outer, (brg_isolation)inner);
        assert_status((brg_status)peer_ask_int(outer, peer_say_int("nest_end", "terminate", 1), "end"), BRG_OK);
        nest(outer, (brg_isolation)inner); /* and again */
        brg_worker_destroy(outer);
    }
}

static void exit_of_the_inner_is_told_to_the_outer(void **state)
{
    brg_worker *outer = peer_start(scenario_isolation(state), NULL);
    nest(outer, BRG_ISOLATION_PROCESS);
    assert_status(peer_ask_status(outer, through("exit")), BRG_CLOSED); /* instead of an answer */
    brg_value *answer = peer_ask(outer, peer_say("nest_end"));
    assert_status((brg_status)peer_int(answer, "end"), BRG_OK);
    assert_int_equal(peer_int(answer, "code"), 0);
    brg_value_unref(answer);
    brg_worker_destroy(outer);
}

static void crash_of_the_inner_leaves_the_outer(void **state)
{
    brg_worker *outer = peer_start(scenario_isolation(state), NULL);
    nest(outer, BRG_ISOLATION_PROCESS);
    assert_status(peer_ask_status(outer, through("abort")), BRG_CLOSED);
    assert_status((brg_status)peer_ask_int(outer, peer_say("nest_end"), "end"), BRG_CRASHED);
    assert_int_equal(peer_ask_int(outer, peer_say("who"), "worker"), brg_worker_id(outer));
    brg_worker_destroy(outer);
}

/* A descriptor that is readable when the inner process has ended. */
static int watch_inner(brg_worker *outer)
{
    brg_value *answer = peer_ask(outer, through("who"));
    int64_t pid = brg_view_get_int(peer_get(answer, "answer"), "pid", 0);
    brg_value_unref(answer);
    assert_true(pid > 0 && pid != getpid());
    int watch = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    assert_true(watch >= 0);
    return watch;
}

static void expect_gone(int watch)
{
    struct pollfd poller = {.fd = watch, .events = POLLIN};
    assert_int_equal(poll(&poller, 1, 200000), 1);
    close(watch);
}

static void inner_worker_ends_with_the_outer(void **state)
{
    brg_worker *outer = peer_start(scenario_isolation(state), NULL);
    nest(outer, BRG_ISOLATION_PROCESS);
    int watch = watch_inner(outer);
    assert_status(brg_worker_terminate(outer), BRG_OK);
    assert_status(brg_worker_wait(outer, BOUND, NULL), BRG_OK);
    expect_gone(watch);
    brg_worker_destroy(outer);
}

static void inner_worker_ends_with_an_outer_that_crashes(void **state)
{
    brg_worker *outer = peer_start(scenario_isolation(state), NULL);
    nest(outer, BRG_ISOLATION_PROCESS);
    int watch = watch_inner(outer);
    peer_post(outer, peer_say("abort"));
    expect_gone(watch);
    brg_worker_destroy(outer);
}

static void outer_ends_though_the_inner_is_busy(void **state)
{
    brg_exit end = {.status = BRG_FAILED};
    brg_worker *outer = peer_start(scenario_isolation(state), NULL);
    nest(outer, scenario_isolation(state));
    brg_value_unref(peer_ask(outer, through("spin"))); /* the inner one spins until it is asked to end */
    assert_status(brg_worker_terminate(outer), BRG_OK);
    assert_status(brg_worker_wait(outer, BOUND, &end), BRG_OK);
    assert_true(end.requested);
    brg_worker_destroy(outer);
}

static void port_reaches_the_innermost(void **state)
{
    for (int inner = 0; inner < 2; inner++) {
        brg_port *ours, *theirs;
        brg_worker *outer = peer_start(scenario_isolation(state), NULL);
        nest(outer, (brg_isolation)inner);
        peer_channel(&ours, &theirs);
        peer_post_number(ours, 0);
        peer_give_port(outer, 0, &theirs);
        peer_post_number(ours, 1);
        brg_value_unref(peer_ask(outer, peer_say("nest_give_port")));
        peer_post_number(ours, 2);
        for (int n = 0; n < 3; n++) {
            brg_value *answer = peer_ask(outer, through("port_receive"));
            assert_int_equal(brg_view_get_int(brg_view_get(peer_get(answer, "answer"), "value"), "n", -1), n);
            brg_value_unref(answer);
        }
        brg_builder *builder = through("port_flood");
        brg_value_unref(peer_ask(outer, builder));
        peer_expect_number(ours, 0); /* and back, past the outer one */
        brg_port_destroy(ours);
        brg_worker_destroy(outer);
    }
}

static void shared_memory_reaches_the_innermost(void **state)
{
    for (int inner = 0; inner < 2; inner++) {
        brg_shared *shared = peer_shared(64);
        brg_worker *outer = peer_start(scenario_isolation(state), NULL);
        nest(outer, (brg_isolation)inner);
        brg_builder *builder = peer_say("nest_ask");
        brg_builder_key(builder, "request");
        brg_builder_map(builder);
        peer_add_string(builder, "do", "shared_keep");
        peer_add_shared(builder, "shared", shared);
        brg_builder_end(builder);
        brg_value_unref(peer_ask(outer, builder));
        brg_value_unref(peer_ask(outer, through("shared_add")));
        assert_int_equal(peer_load(shared, 0), 1);
        brg_worker_destroy(outer);
        brg_shared_unref(shared);
    }
}

static void environment_data_goes_down_the_line(void **state)
{
    assert_status(brg_environment_data_set("line", peer_number(1), NULL), BRG_OK);
    brg_worker *outer = peer_start(scenario_isolation(state), NULL);
    brg_builder *builder = peer_say("data_set");
    peer_add_string(builder, "name", "line");
    brg_builder_key(builder, "value");
    brg_builder_map(builder);
    peer_add_int(builder, "n", 2);
    brg_builder_end(builder);
    brg_value_unref(peer_ask(outer, builder));
    nest(outer, scenario_isolation(state));
    builder = peer_say("nest_ask");
    brg_builder_key(builder, "request");
    brg_builder_map(builder);
    peer_add_string(builder, "do", "data_get");
    peer_add_string(builder, "name", "line");
    brg_builder_end(builder);
    brg_value *answer = peer_ask(outer, builder);
    assert_int_equal(brg_view_get_int(brg_view_get(peer_get(answer, "answer"), "value"), "n", -1), 2);
    brg_value_unref(answer);
    brg_value *mine = brg_environment_data_get("line");
    assert_int_equal(peer_take_number(mine), 1);
    assert_status(brg_environment_data_set("line", NULL, NULL), BRG_OK);
    brg_worker_destroy(outer);
}

static void lock_of_the_innermost_is_everybodys(void **state)
{
    brg_lock *lock = NULL;
    brg_worker *outer = peer_start(scenario_isolation(state), NULL);
    nest(outer, BRG_ISOLATION_THREAD);
    brg_builder *builder = peer_say("nest_ask");
    brg_builder_key(builder, "request");
    brg_builder_map(builder);
    peer_add_string(builder, "do", "lock");
    peer_add_string(builder, "name", "deep");
    brg_builder_end(builder);
    brg_value_unref(peer_ask(outer, builder));
    assert_status(brg_lock_acquire(&lock, "deep", brg_lock_opts(.if_available = true), NULL), BRG_FULL);
    brg_worker_destroy(outer);
    assert_status(brg_lock_acquire(&lock, "deep", brg_lock_opts(.timeout_ns = BOUND), NULL), BRG_OK);
    brg_lock_release(lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(inner_worker_answers_the_outer),
        SCENARIO_BOTH(ids_are_one_series),
        SCENARIO_BOTH(inner_worker_is_ended_by_the_outer),
        SCENARIO_BOTH(exit_of_the_inner_is_told_to_the_outer),
        SCENARIO_BOTH(crash_of_the_inner_leaves_the_outer),
        SCENARIO_BOTH(inner_worker_ends_with_the_outer),
        SCENARIO_PROCESS(inner_worker_ends_with_an_outer_that_crashes),
        SCENARIO_BOTH(outer_ends_though_the_inner_is_busy),
        SCENARIO_BOTH(port_reaches_the_innermost),
        SCENARIO_BOTH(shared_memory_reaches_the_innermost),
        SCENARIO_BOTH(environment_data_goes_down_the_line),
        SCENARIO_BOTH(lock_of_the_innermost_is_everybodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
