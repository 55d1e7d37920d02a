/* SPDX-License-Identifier: MIT */
/* Channels and ports: order, moving, close. */
#include "peer.h"

/* ---- what is posted arrives -------------------------------------------------------------------------------------- */

static void both_ends_deliver_in_order(void **state)
{
    brg_port *one, *other;
    (void)state;
    peer_channel(&one, &other);
    for (int n = 0; n < 100; n++) {
        peer_post_number(one, n);
        peer_post_number(other, 1000 + n);
    }
    for (int n = 0; n < 100; n++) {
        peer_expect_number(other, n);
        peer_expect_number(one, 1000 + n);
    }
    brg_port_destroy(one);
    brg_port_destroy(other);
}

static void port_given_to_worker_talks_both_ways(void **state)
{
    brg_port *ours, *theirs;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_channel(&ours, &theirs);
    peer_give_port(peer, 0, &theirs);
    peer_post_number(ours, 7);
    brg_value *answer = peer_ask(peer, peer_say("port_receive"));
    assert_int_equal(brg_view_get_int(peer_get(answer, "value"), "n", 0), 7);
    brg_value_unref(answer);
    assert_int_equal(peer_ask_int(peer, peer_say_int("port_flood", "count", 50), "posted"), 50);
    for (int n = 0; n < 50; n++)
        peer_expect_number(ours, n);
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
}

static void what_waits_moves_with_the_port(void **state)
{
    brg_port *ours, *theirs;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_channel(&ours, &theirs);
    for (int n = 0; n < 10; n++)
        peer_post_number(ours, n);
    peer_give_port(peer, 0, &theirs);
    for (int n = 10; n < 20; n++)
        peer_post_number(ours, n);
    for (int n = 0; n < 20; n++) {
        brg_value *answer = peer_ask(peer, peer_say("port_receive"));
        assert_int_equal(brg_view_get_int(peer_get(answer, "value"), "n", -1), n);
        brg_value_unref(answer);
    }
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
}

static void what_is_posted_while_it_travels_follows(void **state)
{
    brg_port *ours, *theirs;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_channel(&ours, &theirs);
    brg_builder *builder = peer_say("port_keep");
    peer_post_number(ours, 0);
    peer_add_port(builder, "port", &theirs);
    peer_post_number(ours, 1); /* in a builder now */
    peer_post(peer, builder);
    for (int n = 2; n < 60; n++)
        peer_post_number(ours, n);
    brg_value_unref(peer_answer(peer));
    for (int n = 0; n < 60; n++) {
        brg_value *answer = peer_ask(peer, peer_say("port_receive"));
        assert_int_equal(brg_view_get_int(peer_get(answer, "value"), "n", -1), n);
        brg_value_unref(answer);
    }
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
}

static void port_there_and_back(void **state)
{
    brg_port *ours, *theirs;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_channel(&ours, &theirs);
    peer_post_number(ours, 1);
    brg_builder *builder = peer_say("echo");
    peer_add_port(builder, "port", &theirs);
    peer_post(peer, builder);
    peer_post_number(ours, 2);
    brg_value *answer = peer_answer(peer);
    assert_status(brg_view_take_port(peer_get(answer, "port"), &theirs), BRG_OK);
    brg_value_unref(answer);
    peer_post_number(ours, 3);
    for (int n = 1; n <= 3; n++)
        peer_expect_number(theirs, n);
    peer_post_number(theirs, 4);
    peer_expect_number(ours, 4);
    brg_port_destroy(ours);
    brg_port_destroy(theirs);
    brg_worker_destroy(peer);
}

static void port_travels_through_a_port(void **state)
{
    brg_port *carrier, *carried_to, *ours, *theirs;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_channel(&carrier, &carried_to);
    peer_channel(&ours, &theirs);
    peer_give_port(peer, 0, &carried_to);
    brg_builder *builder = peer_builder();
    brg_builder_map(builder);
    peer_add_port(builder, "port", &theirs);
    peer_post_number(ours, 11);
    assert_status(brg_port_post(carrier, peer_end(builder), BOUND, NULL), BRG_OK);
    peer_post_number(ours, 12);
    brg_value_unref(peer_ask(peer, peer_say_int("port_receive_port", "other", 1)));
    for (int n = 11; n <= 12; n++) {
        brg_value *answer = peer_ask(peer, peer_say_int("port_receive", "slot", 1));
        assert_int_equal(brg_view_get_int(peer_get(answer, "value"), "n", -1), n);
        brg_value_unref(answer);
    }
    brg_port_destroy(carrier);
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
}

static void port_made_in_the_worker_comes_out(void **state)
{
    brg_port *port = NULL;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_value_unref(peer_ask(peer, peer_say_int("port_create", "other", 1)));
    brg_value_unref(peer_ask(peer, peer_say_int("port_flood", "count", 3)));
    brg_value *answer = peer_ask(peer, peer_say_int("port_give", "slot", 1));
    assert_status(brg_view_take_port(peer_get(answer, "port"), &port), BRG_OK);
    brg_value_unref(answer);
    for (int n = 0; n < 3; n++)
        peer_expect_number(port, n);
    peer_post_number(port, 9);
    answer = peer_ask(peer, peer_say("port_receive"));
    assert_int_equal(brg_view_get_int(peer_get(answer, "value"), "n", -1), 9);
    brg_value_unref(answer);
    brg_port_destroy(port);
    brg_worker_destroy(peer);
}

static void port_in_init_data(void **state)
{
    brg_port *ours, *theirs;
    peer_channel(&ours, &theirs);
    brg_builder *builder = peer_builder();
    brg_builder_map(builder);
    peer_add_port(builder, "port", &theirs);
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.init_data = peer_end(builder)));
    peer_post_number(ours, 5);
    brg_value_unref(peer_ask(peer, peer_say("port_from_init")));
    brg_value *answer = peer_ask(peer, peer_say("port_receive"));
    assert_int_equal(brg_view_get_int(peer_get(answer, "value"), "n", -1), 5);
    brg_value_unref(answer);
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
}

static void talk_directly(brg_isolation one_isolation, brg_isolation other_isolation)
{
    brg_port *ours, *theirs;
    brg_worker *one = peer_start(one_isolation, NULL), *other = peer_start(other_isolation, NULL);
    peer_channel(&ours, &theirs);
    peer_give_port(one, 0, &ours);
    peer_give_port(other, 0, &theirs);
    peer_post(other, peer_say("port_echo"));
    assert_int_equal(peer_ask_int(one, peer_say_int("port_flood", "count", 200), "posted"), 200);
    for (int n = 0; n < 200; n++) {
        brg_value *answer = peer_ask(one, peer_say("port_receive"));
        assert_int_equal(brg_view_get_int(peer_get(answer, "value"), "n", -1), n);
        brg_value_unref(answer);
    }
    brg_value_unref(peer_ask(one, peer_say("port_close")));
    brg_value *answer = peer_answer(other);
    assert_status((brg_status)peer_int(answer, "status"), BRG_CLOSED);
    assert_int_equal(peer_int(answer, "count"), 200);
    brg_value_unref(answer);
    brg_worker_destroy(one);
    brg_worker_destroy(other);
}

static void workers_of_one_kind_talk_directly(void **state)
{
    talk_directly(scenario_isolation(state), scenario_isolation(state));
}

static void thread_and_process_talk_directly(void **state)
{
    (void)state;
    talk_directly(BRG_ISOLATION_THREAD, BRG_ISOLATION_PROCESS);
    talk_directly(BRG_ISOLATION_PROCESS, BRG_ISOLATION_THREAD);
}

static void port_handed_on_twice_keeps_order(void **state)
{
    brg_port *ours, *theirs, *left, *right;
    brg_worker *first = peer_start(scenario_isolation(state), NULL);
    brg_worker *second = peer_start(scenario_isolation(state), NULL);
    peer_channel(&ours, &theirs);
    peer_channel(&left, &right);
    peer_give_port(first, 0, &left);
    peer_give_port(second, 0, &right);
    peer_post_number(ours, 0);
    peer_give_port(first, 1, &theirs);
    peer_post_number(ours, 1);
    brg_value_unref(peer_ask(first, peer_say_int("port_send_port", "other", 1)));
    peer_post_number(ours, 2);
    brg_value_unref(peer_ask(second, peer_say_int("port_receive_port", "other", 1)));
    peer_post_number(ours, 3);
    for (int n = 0; n < 4; n++) {
        brg_value *answer = peer_ask(second, peer_say_int("port_receive", "slot", 1));
        assert_int_equal(brg_view_get_int(peer_get(answer, "value"), "n", -1), n);
        brg_value_unref(answer);
    }
    brg_port_destroy(ours);
    brg_worker_destroy(first);
    brg_worker_destroy(second);
}

/* ---- taking without a loop --------------------------------------------------------------------------------------- */

static void receive_takes_one_at_a_time(void **state)
{
    brg_port *one, *other;
    brg_value *value = NULL;
    (void)state;
    peer_channel(&one, &other);
    assert_status(brg_port_receive(other, &value, 0), BRG_EMPTY);
    peer_post_number(one, 1);
    peer_post_number(one, 2);
    assert_int_equal(brg_port_waiting(other), 2);
    peer_expect_number(other, 1);
    assert_int_equal(brg_port_waiting(other), 1);
    peer_expect_number(other, 2);
    assert_status(brg_port_receive(other, &value, 0), BRG_EMPTY);
    assert_status(brg_port_receive(one, &value, 0), BRG_EMPTY); /* nobody hears itself */
    assert_null(value);
    brg_port_destroy(one);
    brg_port_destroy(other);
}

static void receive_ends_at_its_deadline(void **state)
{
    brg_port *ours, *theirs;
    brg_value *value = NULL;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_channel(&ours, &theirs);
    peer_give_port(peer, 0, &theirs);
    assert_status(brg_port_receive(ours, &value, BRG_MILLISECONDS(2)), BRG_TIMED_OUT);
    assert_status(peer_ask_status(peer, peer_say_int("port_receive", "timeout_ms", 2)), BRG_TIMED_OUT);
    peer_post_number(ours, 1); /* a receipt that timed out takes nothing with it */
    assert_status(peer_ask_status(peer, peer_say("port_receive")), BRG_OK);
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
}

/* ---- close ------------------------------------------------------------------------------------------------------- */

static void messages_before_the_close_arrive(void **state)
{
    brg_port *ours, *theirs;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_value *value = NULL;
    peer_channel(&ours, &theirs);
    peer_give_port(peer, 0, &theirs);
    brg_value_unref(peer_ask(peer, peer_say_int("port_flood", "count", 20)));
    brg_value_unref(peer_ask(peer, peer_say("port_close")));
    for (int n = 0; n < 20; n++)
        peer_expect_number(ours, n);
    assert_status(brg_port_receive(ours, &value, BOUND), BRG_CLOSED);
    assert_true(brg_port_is_closed(ours));
    assert_status(brg_port_receive(ours, &value, BOUND), BRG_CLOSED);
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
}

static void worker_gets_what_came_before_the_close(void **state)
{
    brg_port *ours, *theirs;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_channel(&ours, &theirs);
    peer_give_port(peer, 0, &theirs);
    for (int n = 0; n < 20; n++)
        peer_post_number(ours, n);
    brg_port_destroy(ours);
    for (int n = 0; n < 20; n++) {
        brg_value *answer = peer_ask(peer, peer_say("port_receive"));
        assert_int_equal(brg_view_get_int(peer_get(answer, "value"), "n", -1), n);
        brg_value_unref(answer);
    }
    assert_status(peer_ask_status(peer, peer_say("port_receive")), BRG_CLOSED);
    brg_worker_destroy(peer);
}

static void post_after_close_fails_and_keeps_the_value(void **state)
{
    brg_port *ours, *theirs;
    brg_value *got = NULL;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_channel(&ours, &theirs);
    peer_give_port(peer, 0, &theirs);
    brg_value_unref(peer_ask(peer, peer_say("port_close")));
    assert_status(brg_port_receive(ours, &got, BOUND), BRG_CLOSED);
    brg_value *value = peer_number(3);
    assert_status(brg_port_post(ours, value, 0, NULL), BRG_CLOSED);
    assert_int_equal(peer_take_number(value), 3);
    brg_port_close(ours);
    brg_port_close(ours); /* again: nothing */
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
}

static void port_closes_with_its_worker(void **state)
{
    brg_port *ours, *theirs;
    brg_value *value = NULL;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_channel(&ours, &theirs);
    peer_give_port(peer, 0, &theirs);
    brg_value_unref(peer_ask(peer, peer_say_int("port_flood", "count", 5)));
    assert_status(brg_worker_terminate(peer), BRG_OK);
    for (int n = 0; n < 5; n++)
        peer_expect_number(ours, n);
    assert_status(brg_port_receive(ours, &value, BOUND), BRG_CLOSED);
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
}

static void port_closes_when_its_worker_crashes(void **state)
{
    brg_port *ours, *theirs;
    brg_value *value = NULL;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_channel(&ours, &theirs);
    peer_give_port(peer, 0, &theirs);
    peer_post(peer, peer_say("abort"));
    assert_status(brg_port_receive(ours, &value, BOUND), BRG_CLOSED);
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
}

static void port_nobody_takes_closes(void **state)
{
    brg_port *ours, *theirs;
    brg_value *value = NULL;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    size_t before = brg_ports_open();
    peer_channel(&ours, &theirs);
    brg_builder *builder = peer_say("who");
    peer_add_port(builder, "port", &theirs);
    brg_value_unref(peer_ask(peer, builder));
    assert_status(brg_port_receive(ours, &value, BOUND), BRG_CLOSED);
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
    assert_int_equal(brg_ports_open(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_deliver_in_order),
        SCENARIO_BOTH(port_given_to_worker_talks_both_ways),
        SCENARIO_BOTH(what_waits_moves_with_the_port),
        SCENARIO_BOTH(what_is_posted_while_it_travels_follows),
        SCENARIO_BOTH(port_there_and_back),
        SCENARIO_BOTH(port_travels_through_a_port),
        SCENARIO_BOTH(port_made_in_the_worker_comes_out),
        SCENARIO_BOTH(port_in_init_data),
        SCENARIO_BOTH(workers_of_one_kind_talk_directly),
        cmocka_unit_test(thread_and_process_talk_directly),
        SCENARIO_BOTH(port_handed_on_twice_keeps_order),
        cmocka_unit_test(receive_takes_one_at_a_time),
        SCENARIO_BOTH(receive_ends_at_its_deadline),
        SCENARIO_BOTH(messages_before_the_close_arrive),
        SCENARIO_BOTH(worker_gets_what_came_before_the_close),
        SCENARIO_BOTH(post_after_close_fails_and_keeps_the_value),
        SCENARIO_BOTH(port_closes_with_its_worker),
        SCENARIO_PROCESS(port_closes_when_its_worker_crashes),
        SCENARIO_BOTH(port_nobody_takes_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
