/* SPDX-License-Identifier: MIT */
/* Broadcast channels: who hears what, in which order, and what a slow one misses. */
#include "peer.h"

static brg_broadcast *listen(const char *name)
{
    brg_broadcast *handle = NULL;
    brg_error error;
    if (brg_broadcast_open(&handle, name, NULL, &error) != BRG_OK)
        fail_msg("open: %s", error.message);
    return handle;
}

static void expect(brg_broadcast *handle, int64_t n)
{
    brg_value *message = NULL;
    assert_status(brg_broadcast_receive(handle, &message, BOUND), BRG_OK);
    assert_int_equal(peer_take_number(message), n);
}

static void expect_nothing(brg_broadcast *handle)
{
    brg_value *message = NULL;
    assert_status(brg_broadcast_receive(handle, &message, 0), BRG_EMPTY);
    assert_null(message);
}

static void say(brg_broadcast *handle, int64_t n)
{
    assert_status(brg_broadcast_post(handle, peer_number(n), BOUND, NULL), BRG_OK);
}

static void peer_opens(brg_worker *peer, const char *name, int slot)
{
    brg_builder *builder = peer_say_int("broadcast_open", "slot", slot);
    peer_add_string(builder, "name", name);
    brg_value_unref(peer_ask(peer, builder));
}

static void peer_says(brg_worker *peer, int slot, int count)
{
    brg_builder *builder = peer_say_int("broadcast_post", "slot", slot);
    peer_add_int(builder, "count", count);
    brg_value_unref(peer_ask(peer, builder));
}

static void peer_hears(brg_worker *peer, int slot, int64_t n)
{
    brg_value *answer = peer_ask(peer, peer_say_int("broadcast_receive", "slot", slot));
    assert_int_equal(brg_view_get_int(peer_get(answer, "value"), "n", -1), n);
    brg_value_unref(answer);
}

static void peer_hears_nothing(brg_worker *peer, int slot)
{
    brg_builder *builder = peer_say_int("broadcast_receive", "slot", slot);
    peer_add_int(builder, "timeout_ms", 0);
    assert_status(peer_ask_status(peer, builder), BRG_EMPTY);
}

/* ---- who hears --------------------------------------------------------------------------------------------------- */

static void all_others_hear_but_not_the_sender(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_broadcast *sender = listen("all"), *first = listen("all"), *second = listen("all");
    peer_opens(peer, "all", 0);
    say(sender, 1);
    expect(first, 1);
    expect(second, 1);
    peer_hears(peer, 0, 1);
    expect_nothing(sender);
    brg_broadcast *handles[] = {sender, first, second};
    for (int i = 0; i < 3; i++)
        brg_broadcast_close(handles[i]);
    brg_worker_destroy(peer);
}

static void worker_is_heard(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_broadcast *handle = listen("worker");
    peer_opens(peer, "worker", 0);
    peer_opens(peer, "worker", 1);
    peer_says(peer, 0, 3);
    for (int n = 0; n < 3; n++) {
        expect(handle, n);
        peer_hears(peer, 1, n); /* another handle of the same worker hears it */
    }
    peer_hears_nothing(peer, 0);
    brg_broadcast_close(handle);
    brg_worker_destroy(peer);
}

static void workers_hear_each_other(void **state)
{
    brg_worker *one = peer_start(scenario_isolation(state), NULL);
    brg_worker *other = peer_start((brg_isolation)!scenario_isolation(state), NULL);
    peer_opens(one, "between", 0);
    peer_opens(other, "between", 0);
    peer_says(one, 0, 20);
    for (int n = 0; n < 20; n++)
        peer_hears(other, 0, n);
    peer_says(other, 0, 1);
    peer_hears(one, 0, 0);
    brg_worker_destroy(one);
    brg_worker_destroy(other);
}

static void names_are_apart(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_broadcast *here = listen("name"), *there = listen("Name"), *sender = listen("name");
    peer_opens(peer, "name ", 0);
    say(sender, 1);
    expect(here, 1);
    expect_nothing(there);
    peer_hears_nothing(peer, 0);
    assert_string_equal(brg_broadcast_name(there), "Name");
    brg_broadcast *handles[] = {here, there, sender};
    for (int i = 0; i < 3; i++)
        brg_broadcast_close(handles[i]);
    brg_worker_destroy(peer);
}

static void names_that_cannot_be_are_refused(void **state)
{
    brg_broadcast *handle = NULL;
    char name[BRG_BROADCAST_NAME_MAX + 2];
    (void)state;
    memset(name, 'x', sizeof(name));
    name[BRG_BROADCAST_NAME_MAX + 1] = 0;
    assert_status(brg_broadcast_open(&handle, name, NULL, NULL), BRG_INVALID);
    assert_status(brg_broadcast_open(&handle, "", NULL, NULL), BRG_INVALID);
    assert_status(brg_broadcast_open(&handle, NULL, NULL, NULL), BRG_INVALID);
    assert_status(brg_broadcast_open(&handle, "\xc3", NULL, NULL), BRG_INVALID);
    assert_null(handle);
    name[BRG_BROADCAST_NAME_MAX] = 0;
    brg_broadcast_close(listen(name));
}

static void late_comers_hear_nothing_old(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_broadcast *sender = listen("late");
    say(sender, 1);
    peer_opens(peer, "late", 0);
    brg_broadcast *late = listen("late");
    say(sender, 2);
    peer_hears(peer, 0, 2);
    expect(late, 2);
    brg_broadcast_close(late);
    brg_broadcast_close(sender);
    brg_worker_destroy(peer);
}

static void closed_handle_hears_no_more(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_broadcast *sender = listen("closed");
    peer_opens(peer, "closed", 0);
    peer_opens(peer, "closed", 1);
    say(sender, 1);
    peer_hears(peer, 0, 1);
    brg_value_unref(peer_ask(peer, peer_say("broadcast_close")));
    say(sender, 2);
    peer_opens(peer, "closed", 0); /* open again: what came meanwhile is not there */
    say(sender, 3);
    peer_hears(peer, 0, 3);
    for (int n = 1; n <= 3; n++)
        peer_hears(peer, 1, n);
    brg_broadcast_close(sender);
    brg_worker_destroy(peer);
}

static void what_was_said_before_the_close_is_heard(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_broadcast *handle = listen("last words");
    peer_opens(peer, "last words", 0);
    peer_says(peer, 0, 10);
    brg_value_unref(peer_ask(peer, peer_say("broadcast_close")));
    for (int n = 0; n < 10; n++)
        expect(handle, n);
    brg_broadcast_close(handle);
    brg_worker_destroy(peer);
}

static void what_a_worker_said_before_its_end_is_heard(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_broadcast *handle = listen("testament");
    peer_opens(peer, "testament", 0);
    peer_says(peer, 0, 10);
    brg_worker_destroy(peer);
    for (int n = 0; n < 10; n++)
        expect(handle, n);
    say(handle, 1); /* into the void: no error */
    brg_broadcast_close(handle);
}

static void nobody_there_is_no_error(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_opens(peer, "desert", 0);
    peer_says(peer, 0, 5);
    brg_broadcast *alone = listen("empty");
    say(alone, 1);
    expect_nothing(alone);
    brg_broadcast_close(alone);
    brg_worker_destroy(peer);
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

static void each_senders_order_is_kept(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_broadcast *handles[3];
    for (int i = 0; i < 3; i++)
        handles[i] = listen("order");
    peer_opens(peer, "order", 0);
    for (int n = 0; n < 100; n++) {
        say(handles[0], n);
        say(handles[1], 1000 + n);
    }
    int64_t next = 0, other = 1000;
    for (int n = 0; n < 200; n++) {
        brg_value *message = NULL, *answer = peer_ask(peer, peer_say("broadcast_receive"));
        int64_t heard = brg_view_get_int(peer_get(answer, "value"), "n", -1);
        brg_value_unref(answer);
        assert_true(heard == (heard < 1000 ? next++ : other++));
        assert_status(brg_broadcast_receive(handles[2], &message, BOUND), BRG_OK);
        brg_value_unref(message);
    }
    assert_int_equal(next + other, 1200);
    for (int n = 0; n < 100; n++)
        expect(handles[1], n);
    for (int i = 0; i < 3; i++)
        brg_broadcast_close(handles[i]);
    brg_worker_destroy(peer);
}

/* ---- what is sent ------------------------------------------------------------------------------------------------ */

static void receivers_in_the_program_share_the_message(void **state)
{
    brg_broadcast *sender = listen("same"), *first = listen("same"), *second = listen("same");
    brg_value *one = NULL, *two = NULL;
    (void)state;
    say(sender, 5);
    assert_status(brg_broadcast_receive(first, &one, BOUND), BRG_OK);
    assert_status(brg_broadcast_receive(second, &two, BOUND), BRG_OK);
    assert_ptr_equal(brg_value_data(one), brg_value_data(two)); /* not even a copy */
    brg_value_unref(one);
    assert_int_equal(peer_take_number(two), 5);
    brg_broadcast *handles[] = {sender, first, second};
    for (int i = 0; i < 3; i++)
        brg_broadcast_close(handles[i]);
}

static void shared_memory_is_broadcast(void **state)
{
    brg_shared *shared = peer_shared(64);
    brg_worker *peers[2];
    brg_broadcast *sender = listen("memory");
    for (int i = 0; i < 2; i++) {
        peers[i] = peer_start(scenario_isolation(state), NULL);
        peer_opens(peers[i], "memory", 0);
    }
    brg_builder *builder = peer_builder();
    brg_builder_shared(builder, shared);
    assert_status(brg_broadcast_post(sender, peer_finish(builder), BOUND, NULL), BRG_OK);
    for (int i = 0; i < 2; i++) {
        brg_value *answer = peer_ask(peers[i], peer_say("broadcast_receive"));
        brg_shared *same = brg_view_shared(peer_get(answer, "value"));
        assert_non_null(same);
        brg_shared_add32(same, 0, 1, NULL);
        brg_value_unref(answer);
    }
    assert_int_equal(peer_load(shared, 0), 2);
    brg_broadcast_close(sender);
    for (int i = 0; i < 2; i++)
        brg_worker_destroy(peers[i]);
    brg_shared_unref(shared);
}

static void buffers_are_broadcast(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_broadcast *sender = listen("bytes"), *handle = listen("bytes");
    brg_buffer *buffer = NULL;
    brg_value *message = NULL;
    peer_opens(peer, "bytes", 0);
    assert_status(brg_buffer_create(&buffer, 2 << 20, NULL), BRG_OK);
    memset(brg_buffer_data(buffer), 3, 2 << 20);
    brg_buffer_freeze(buffer);
    brg_builder *builder = peer_builder();
    brg_builder_buffer(builder, &buffer);
    assert_status(brg_broadcast_post(sender, peer_finish(builder), BOUND, NULL), BRG_OK);
    assert_status(brg_broadcast_receive(handle, &message, BOUND), BRG_OK);
    brg_value *answer = peer_ask(peer, peer_say("broadcast_receive"));
    brg_view views[] = {brg_value_root(message), peer_get(answer, "value")};
    for (int i = 0; i < 2; i++) {
        brg_buffer *got = brg_view_buffer(views[i]);
        assert_int_equal(brg_buffer_size(got), 2 << 20);
        assert_int_equal(((const char *)brg_buffer_bytes(got))[(2 << 20) - 1], 3);
    }
    brg_value_unref(message);
    brg_value_unref(answer);
    brg_broadcast_close(sender);
    brg_broadcast_close(handle);
    brg_worker_destroy(peer);
}

static void ports_cannot_be_broadcast(void **state)
{
    brg_port *ours, *theirs;
    brg_broadcast *sender = listen("ports"), *handle = listen("ports");
    (void)state;
    peer_channel(&ours, &theirs);
    brg_builder *builder = peer_builder();
    brg_builder_port(builder, &theirs);
    brg_value *value = peer_finish(builder);
    assert_status(brg_broadcast_post(sender, value, 0, NULL), BRG_INVALID);
    assert_status(brg_broadcast_post(sender, NULL, 0, NULL), BRG_INVALID);
    assert_status(brg_view_take_port(brg_value_root(value), &theirs), BRG_OK);
    expect_nothing(handle);
    brg_value_unref(value);
    brg_broadcast_close(sender);
    brg_broadcast_close(handle);
    brg_port_destroy(ours);
    brg_port_destroy(theirs);
}

static void slow_receiver_misses_the_newest_alone(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_broadcast *sender = listen("slow"), *quick = listen("slow");
    brg_builder *builder = peer_say_int("broadcast_open", "messages_max", 4);
    peer_add_string(builder, "name", "slow");
    brg_value_unref(peer_ask(peer, builder));
    for (int n = 0; n < 10; n++)
        say(sender, n);
    for (int n = 0; n < 10; n++)
        expect(quick, n);
    for (int n = 0; n < 4; n++)
        peer_hears(peer, 0, n);
    peer_hears_nothing(peer, 0);
    assert_int_equal(peer_ask_int(peer, peer_say("broadcast_dropped"), "dropped"), 6);
    assert_int_equal(brg_broadcast_dropped(quick), 0);
    brg_broadcast_close(sender);
    brg_broadcast_close(quick);
    brg_worker_destroy(peer);
}

/* ---- on a loop --------------------------------------------------------------------------------------------------- */

typedef struct hearing {
    brg_loop *loop;
    brg_broadcast *handle;
    int messages, released;
    int64_t last;
    int close_at; /* closes itself then; */
    int stop_at;  /* or stops its loop */
} hearing;

static void on_message(brg_broadcast *handle, brg_value *message, void *user_data)
{
    hearing *mine = user_data;
    assert_ptr_equal(handle, mine->handle);
    mine->last = brg_view_get_int(brg_value_root(message), "n", -1);
    if (++mine->messages == mine->close_at)
        brg_broadcast_close(handle);
    else if (mine->messages == mine->stop_at)
        brg_loop_stop(mine->loop);
}

static void on_release(void *user_data) { ((hearing *)user_data)->released++; }

static void hear_on(hearing *mine, const char *name, bool is_background)
{
    if (mine->loop == NULL)
        assert_status(brg_loop_create(&mine->loop, NULL, NULL), BRG_OK);
    assert_status(
        brg_broadcast_open(&mine->handle, name,
                           brg_broadcast_opts(.loop = mine->loop, .on_message = on_message, .release = on_release,
                                              .is_background = is_background, .user_data = mine),
                           NULL),
        BRG_OK);
}

static void closing_in_the_callback_ends_the_messages(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    hearing mine = {.close_at = 2};
    hear_on(&mine, "callback", false);
    peer_opens(peer, "callback", 0);
    peer_says(peer, 0, 10);
    assert_status(brg_loop_run(mine.loop), BRG_OK); /* returns: it is closed */
    assert_int_equal(mine.messages, 2);
    assert_int_equal(mine.last, 1);
    assert_int_equal(mine.released, 1);
    brg_worker_destroy(peer);
    assert_status(brg_loop_destroy(mine.loop), BRG_OK);
}

static void background_handle_does_not_keep_its_loop(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    hearing mine = {.stop_at = 3};
    hear_on(&mine, "background", true);
    assert_status(brg_loop_run(mine.loop), BRG_OK); /* returns */
    assert_int_equal(mine.messages, 0);
    brg_broadcast_keep_loop(mine.handle, true);
    peer_opens(peer, "background", 0);
    peer_says(peer, 0, 3);
    assert_status(brg_loop_run(mine.loop), BRG_OK); /* until the third stops it */
    assert_int_equal(mine.messages, 3);
    brg_broadcast_close(mine.handle);
    assert_int_equal(mine.released, 1);
    brg_worker_destroy(peer);
    assert_status(brg_loop_destroy(mine.loop), BRG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(all_others_hear_but_not_the_sender),
        SCENARIO_BOTH(worker_is_heard),
        SCENARIO_BOTH(workers_hear_each_other),
        SCENARIO_BOTH(names_are_apart),
        cmocka_unit_test(names_that_cannot_be_are_refused),
        SCENARIO_BOTH(late_comers_hear_nothing_old),
        SCENARIO_BOTH(closed_handle_hears_no_more),
        SCENARIO_BOTH(what_was_said_before_the_close_is_heard),
        SCENARIO_BOTH(what_a_worker_said_before_its_end_is_heard),
        SCENARIO_BOTH(nobody_there_is_no_error),
        SCENARIO_BOTH(each_senders_order_is_kept),
        cmocka_unit_test(receivers_in_the_program_share_the_message),
        SCENARIO_BOTH(shared_memory_is_broadcast),
        SCENARIO_BOTH(buffers_are_broadcast),
        cmocka_unit_test(ports_cannot_be_broadcast),
        SCENARIO_BOTH(slow_receiver_misses_the_newest_alone),
        SCENARIO_BOTH(closing_in_the_callback_ends_the_messages),
        SCENARIO_BOTH(background_handle_does_not_keep_its_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
