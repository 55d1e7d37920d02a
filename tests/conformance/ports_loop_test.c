/* SPDX-License-Identifier: MIT */
/* Ports on a loop: when it starts, closes and runs, fairness, and room in bounded channels. */
#include "peer.h"

#include <brigade/uv.h>

typedef struct listener {
    int messages, closes, rooms, releases;
    int64_t last;
    int close_at;   /* close at this message */
    bool bounces;   /* send back what comes, one larger */
    brg_port *stop; /* closed when `messages` reaches stop_at */
    int stop_at;
} listener;

static void on_message(brg_port *port, brg_value *message, void *user_data)
{
    listener *heard = user_data;
    int64_t n = brg_view_get_int(brg_value_root(message), "n", -1);
    assert_int_equal(heard->closes, 0);
    heard->messages++;
    heard->last = n;
    if (heard->messages == heard->close_at)
        brg_port_close(port);
    else if (heard->bounces)
        peer_post_number(port, n + 1);
    if (heard->stop != NULL && heard->messages == heard->stop_at)
        brg_port_close(heard->stop);
}

static void on_close(brg_port *port, void *user_data)
{
    (void)port;
    ((listener *)user_data)->closes++;
}

static void on_room(brg_port *port, void *user_data)
{
    (void)port;
    ((listener *)user_data)->rooms++;
}

static void on_release(void *user_data) { ((listener *)user_data)->releases++; }

static void listen_on(brg_loop *loop, brg_port *port, listener *heard)
{
    brg_error error;
    if (brg_port_start(port,
                       brg_port_opts(.loop = loop, .on_message = on_message, .on_close = on_close, .on_room = on_room,
                                     .release = on_release, .user_data = heard),
                       &error) != BRG_OK)
        fail_msg("start: %s", error.message);
}

static brg_loop *new_loop(void)
{
    brg_loop *loop = NULL;
    assert_status(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    return loop;
}

static void nothing_is_delivered_before_start(void **state)
{
    brg_port *one, *other;
    listener heard = {0};
    brg_loop *loop = new_loop();
    (void)state;
    peer_channel(&one, &other);
    for (int n = 0; n < 5; n++)
        peer_post_number(one, n);
    assert_status(brg_loop_run(loop), BRG_OK); /* nothing to do */
    assert_int_equal(heard.messages, 0);
    listen_on(loop, other, &heard);
    assert_int_equal(heard.messages, 0); /* not inside start */
    brg_port_close(one);
    assert_status(brg_loop_run(loop), BRG_OK);
    assert_int_equal(heard.messages, 5);
    assert_int_equal(heard.last, 4);
    assert_int_equal(heard.closes, 1);
    brg_port_destroy(one);
    brg_port_destroy(other);
    assert_int_equal(heard.releases, 1);
    assert_status(brg_loop_destroy(loop), BRG_OK);
}

static void close_is_heard_once_on_both_sides(void **state)
{
    brg_port *one, *other;
    listener first = {0}, second = {0};
    brg_loop *loop = new_loop();
    (void)state;
    peer_channel(&one, &other);
    listen_on(loop, one, &first);
    listen_on(loop, other, &second);
    brg_port_close(one);
    brg_port_close(other);
    assert_status(brg_loop_run(loop), BRG_OK); /* neither keeps it any more */
    assert_int_equal(first.closes, 1);
    assert_int_equal(second.closes, 1);
    brg_port_destroy(one);
    brg_port_destroy(other);
    assert_int_equal(first.releases + second.releases, 2);
    assert_status(brg_loop_destroy(loop), BRG_OK);
}

static void closing_while_receiving_drops_the_rest(void **state)
{
    brg_port *one, *other;
    listener heard = {.close_at = 2};
    brg_loop *loop = new_loop();
    (void)state;
    peer_channel(&one, &other);
    for (int n = 0; n < 10; n++)
        peer_post_number(one, n);
    listen_on(loop, other, &heard);
    assert_status(brg_loop_run(loop), BRG_OK);
    assert_int_equal(heard.messages, 2);
    assert_int_equal(heard.closes, 1);
    brg_port_destroy(one);
    brg_port_destroy(other);
    assert_status(brg_loop_destroy(loop), BRG_OK);
}

static void background_port_does_not_keep_its_loop(void **state)
{
    brg_port *one, *other;
    listener heard = {0};
    brg_loop *loop = new_loop();
    (void)state;
    peer_channel(&one, &other);
    listen_on(loop, other, &heard);
    assert_true(brg_port_keeps_loop(other));
    brg_port_keep_loop(other, false);
    brg_port_keep_loop(other, false);
    assert_false(brg_port_keeps_loop(other));
    assert_status(brg_loop_run(loop), BRG_OK); /* returns */
    brg_port_keep_loop(other, true);
    assert_true(brg_port_keeps_loop(other));
    assert_true(brg_loop_pending(loop) > 0);
    brg_port_close(one);
    assert_status(brg_loop_run(loop), BRG_OK); /* until the close */
    assert_int_equal(heard.closes, 1);
    brg_port_destroy(one);
    brg_port_destroy(other);
    assert_status(brg_loop_destroy(loop), BRG_OK);
}

static void started_port_is_read_by_its_loop_alone(void **state)
{
    brg_port *one, *other;
    brg_value *value = NULL;
    listener heard = {0};
    brg_loop *loop = new_loop();
    (void)state;
    peer_channel(&one, &other);
    listen_on(loop, other, &heard);
    assert_status(brg_port_receive(other, &value, 0), BRG_STATE);
    assert_status(brg_port_start(other, brg_port_opts(.loop = loop, .on_message = on_message), NULL), BRG_STATE);
    brg_port_destroy(other);
    assert_int_equal(heard.releases, 1);
    assert_int_equal(heard.closes, 0); /* not after destroy */
    brg_port_destroy(one);
    assert_status(brg_loop_destroy(loop), BRG_OK);
}

static void stop_timer(uv_timer_t *timer)
{
    listener *heard = timer->data;
    brg_port_close(heard->stop);
    uv_close((uv_handle_t *)timer, NULL);
}

static void endless_messages_do_not_starve_a_timer(void **state)
{
    brg_port *one, *other;
    brg_loop *loop = new_loop();
    (void)state;
    peer_channel(&one, &other);
    listener first = {.bounces = true, .stop = one}, second = {.bounces = true};
    listen_on(loop, one, &first);
    listen_on(loop, other, &second);
    uv_timer_t timer = {.data = &first};
    uv_timer_init(brg_loop_uv(loop), &timer);
    uv_timer_start(&timer, stop_timer, 2, 0);
    peer_post_number(one, 0);
    assert_status(brg_loop_run(loop), BRG_OK); /* only the timer can end it */
    assert_int_equal(first.closes + second.closes, 2);
    brg_port_destroy(one);
    brg_port_destroy(other);
    assert_status(brg_loop_destroy(loop), BRG_OK);
}

static void busy_port_does_not_starve_another(void **state)
{
    brg_port *one, *other, *quiet, *speaker;
    brg_loop *loop = new_loop();
    (void)state;
    peer_channel(&one, &other);
    peer_channel(&quiet, &speaker);
    listener first = {.bounces = true}, second = {.bounces = true};
    listener calm = {.stop = one, .stop_at = 3};
    listen_on(loop, one, &first);
    listen_on(loop, other, &second);
    listen_on(loop, quiet, &calm);
    peer_post_number(one, 0);
    for (int n = 0; n < 3; n++)
        peer_post_number(speaker, n);
    brg_port_keep_loop(quiet, false);
    assert_status(brg_loop_run(loop), BRG_OK); /* only the quiet one's third message ends it */
    assert_int_equal(calm.messages, 3);
    brg_port *all[] = {one, other, quiet, speaker};
    for (int i = 0; i < 4; i++)
        brg_port_destroy(all[i]);
    assert_status(brg_loop_destroy(loop), BRG_OK);
}

static void port_on_the_workers_loop(void **state)
{
    brg_port *ours, *theirs;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_channel(&ours, &theirs);
    for (int n = 0; n < 10; n++)
        peer_post_number(ours, n);
    peer_give_port(peer, 0, &theirs);
    brg_value_unref(peer_ask(peer, peer_say("port_start")));
    for (int n = 10; n < 100; n++)
        peer_post_number(ours, n);
    for (int n = 0; n < 100; n++)
        peer_expect_number(ours, n);
    assert_int_equal(peer_ask_int(peer, peer_say("who"), "worker"), brg_worker_id(peer)); /* messages come as well */
    brg_port_close(ours);
    brg_value *told = peer_answer(peer);
    assert_int_equal(peer_int(told, "closed"), 1);
    brg_value_unref(told);
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
}

static void workers_loop_runs_while_a_port_is_open(void **state)
{
    brg_port *ours, *theirs;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_channel(&ours, &theirs);
    peer_give_port(peer, 0, &theirs);
    brg_value_unref(peer_ask(peer, peer_say("port_start")));
    peer_post(peer, peer_say("port_run_loop"));
    for (int n = 0; n < 5; n++) {
        peer_post_number(ours, n);
        peer_expect_number(ours, n);
    }
    brg_port_destroy(ours);
    brg_value *told = peer_answer(peer);
    assert_int_equal(peer_int(told, "closed"), 1);
    brg_value_unref(told);
    brg_value *returned = peer_answer(peer); /* nothing keeps the loop now */
    assert_status((brg_status)peer_int(returned, "status"), BRG_OK);
    brg_value_unref(returned);
    brg_worker_destroy(peer);
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

static void sender_is_told_when_there_is_no_room(void **state)
{
    brg_port *ours = NULL, *theirs = NULL;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    assert_status(brg_channel_create(&ours, &theirs, brg_channel_opts(.messages_max = 4), NULL), BRG_OK);
    peer_give_port(peer, 0, &theirs);
    for (int n = 0; n < 4; n++)
        assert_status(brg_port_post(ours, peer_number(n), 0, NULL), BRG_OK);
    brg_value *value = peer_number(4);
    assert_status(brg_port_post(ours, value, 0, NULL), BRG_FULL);
    assert_status(brg_port_post(ours, value, BRG_MILLISECONDS(2), NULL), BRG_TIMED_OUT);
    peer_post(peer, peer_say("port_receive"));
    assert_status(brg_port_post(ours, value, BOUND, NULL), BRG_OK); /* waits for the room */
    brg_value_unref(peer_answer(peer));
    for (int n = 1; n < 5; n++) {
        brg_value *answer = peer_ask(peer, peer_say("port_receive"));
        assert_int_equal(brg_view_get_int(peer_get(answer, "value"), "n", -1), n);
        brg_value_unref(answer);
    }
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
}

static void room_is_heard_of_on_the_loop(void **state)
{
    brg_port *ours = NULL, *theirs = NULL;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_loop *loop = new_loop();
    assert_status(brg_channel_create(&ours, &theirs, brg_channel_opts(.messages_max = 2), NULL), BRG_OK);
    peer_give_port(peer, 0, &theirs);
    listener heard = {0};
    listen_on(loop, ours, &heard);
    for (int n = 0; n < 2; n++)
        assert_status(brg_port_post(ours, peer_number(n), 0, NULL), BRG_OK);
    brg_value *value = peer_number(2);
    assert_status(brg_port_post(ours, value, 0, NULL), BRG_FULL);
    for (int n = 0; n < 2; n++)
        peer_post(peer, peer_say("port_receive"));
    peer_post(peer, peer_say("port_close"));
    assert_status(brg_loop_run(loop), BRG_OK);
    assert_true(heard.rooms >= 1);
    assert_int_equal(heard.closes, 1);
    brg_value_unref(value);
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
    assert_status(brg_loop_destroy(loop), BRG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_delivered_before_start),
        cmocka_unit_test(close_is_heard_once_on_both_sides),
        cmocka_unit_test(closing_while_receiving_drops_the_rest),
        cmocka_unit_test(background_port_does_not_keep_its_loop),
        cmocka_unit_test(started_port_is_read_by_its_loop_alone),
        cmocka_unit_test(endless_messages_do_not_starve_a_timer),
        cmocka_unit_test(busy_port_does_not_starve_another),
        SCENARIO_BOTH(port_on_the_workers_loop),
        SCENARIO_BOTH(workers_loop_runs_while_a_port_is_open),
        SCENARIO_BOTH(sender_is_told_when_there_is_no_room),
        SCENARIO_BOTH(room_is_heard_of_on_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
