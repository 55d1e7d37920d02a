/* SPDX-License-Identifier: MIT */
/* Transfer lists: all or nothing, what cannot move, and whose things are when a post fails. */
#include "peer.h"

#include <brigade/transfer.h>

#include <fcntl.h>
#include <unistd.h>

static brg_buffer *small_buffer(void)
{
    brg_buffer *buffer = NULL;
    assert_status(brg_buffer_create(&buffer, 16, NULL), BRG_OK);
    return buffer;
}

/* Finishes {"a": entry 0, "b": entry 1} with the list: fails with `wanted`, and nothing was taken. */
static void refuse(const brg_transfer *list, size_t count, brg_status wanted)
{
    brg_builder *builder = peer_builder();
    brg_value *value = NULL;
    brg_builder_map(builder);
    brg_builder_key(builder, "a");
    brg_builder_transfer(builder, 0);
    brg_builder_key(builder, "b");
    brg_builder_transfer(builder, 1);
    brg_builder_end(builder);
    assert_status(brg_builder_finish_transfer(builder, list, count, &value, NULL), wanted);
    assert_null(value);
    brg_builder_destroy(builder);
}

static void listed_things_move_together(void **state)
{
    brg_port *ours, *theirs;
    brg_buffer *buffer = small_buffer();
    brg_token *token = NULL;
    brg_value *value = NULL;
    int pipes[2];
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_channel(&ours, &theirs);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_status(brg_token_create(&token, NULL), BRG_OK);
    brg_transfer list[] = {brg_transfer_buffer(&buffer), brg_transfer_port(&theirs), brg_transfer_fd(&pipes[1]),
                           brg_transfer_token(&token)};
    static const char *const keys[] = {"buffer", "port", "fd", "token"};
    static const brg_type types[] = {BRG_TYPE_BUFFER, BRG_TYPE_PORT, BRG_TYPE_FD, BRG_TYPE_TOKEN};
    brg_builder *builder = peer_say("echo");
    for (size_t i = 0; i < 4; i++) {
        brg_builder_key(builder, keys[i]);
        brg_builder_transfer(builder, i);
    }
    brg_builder_end(builder);
    assert_status(brg_builder_finish_transfer(builder, list, 4, &value, NULL), BRG_OK);
    brg_builder_destroy(builder);
    assert_null(buffer);
    assert_null(theirs);
    assert_null(token);
    assert_int_equal(pipes[1], -1);
    assert_status(brg_worker_post(peer, value, BOUND, NULL), BRG_OK);
    brg_value *answer = peer_answer(peer);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(brg_view_type(peer_get(answer, keys[i])), types[i]);
    brg_value_unref(answer);
    char byte;
    assert_int_equal(read(pipes[0], &byte, 1), 0); /* nobody took the other end: it is closed */
    close(pipes[0]);
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
}

static void duplicates_are_refused(void **state)
{
    brg_port *ours, *theirs;
    brg_buffer *buffer = small_buffer();
    (void)state;
    peer_channel(&ours, &theirs);
    brg_transfer buffers[] = {brg_transfer_buffer(&buffer), brg_transfer_buffer(&buffer)};
    refuse(buffers, 2, BRG_INVALID);
    assert_non_null(buffer);
    brg_transfer ports[] = {brg_transfer_port(&theirs), brg_transfer_port(&theirs)};
    refuse(ports, 2, BRG_INVALID);
    assert_non_null(theirs);
    peer_post_number(theirs, 1); /* it works as before */
    peer_expect_number(ours, 1);
    brg_buffer_unref(buffer);
    brg_port_destroy(ours);
    brg_port_destroy(theirs);
}

static void moved_buffer_cannot_move_again(void **state)
{
    brg_port *ours, *theirs;
    brg_buffer *gone = small_buffer(), *buffer = small_buffer();
    brg_builder *builder = peer_builder();
    (void)state;
    peer_channel(&ours, &theirs);
    brg_builder_buffer(builder, &gone);
    brg_value_unref(peer_finish(builder));
    assert_null(gone);
    brg_transfer list[] = {brg_transfer_buffer(&buffer), brg_transfer_buffer(&gone)};
    refuse(list, 2, BRG_INVALID);
    assert_non_null(buffer); /* the good one stays too */
    brg_transfer ports[] = {brg_transfer_port(&theirs), brg_transfer_buffer(&gone)};
    refuse(ports, 2, BRG_INVALID);
    assert_non_null(theirs);
    brg_buffer_unref(buffer);
    brg_port_destroy(ours);
    brg_port_destroy(theirs);
}

static void closed_port_cannot_move(void **state)
{
    brg_port *ours, *theirs;
    brg_buffer *buffer = small_buffer();
    brg_value *value = NULL;
    (void)state;
    peer_channel(&ours, &theirs);
    brg_port_close(theirs);
    brg_transfer list[] = {brg_transfer_buffer(&buffer), brg_transfer_port(&theirs)};
    refuse(list, 2, BRG_CLOSED);
    assert_non_null(buffer);
    assert_non_null(theirs);
    brg_builder *builder = peer_builder();
    brg_builder_port(builder, &theirs);
    assert_non_null(theirs);
    assert_status(brg_builder_finish(builder, &value, NULL), BRG_CLOSED);
    brg_builder_destroy(builder);
    brg_buffer_unref(buffer);
    brg_port_destroy(ours);
    brg_port_destroy(theirs);
}

static void ignore_message(brg_port *port, brg_value *message, void *user_data)
{
    (void)port;
    (void)message;
    (void)user_data;
}

static void started_port_cannot_move(void **state)
{
    brg_port *ours, *theirs;
    brg_loop *loop = NULL;
    brg_value *value = NULL;
    brg_buffer *buffer = small_buffer();
    (void)state;
    peer_channel(&ours, &theirs);
    assert_status(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    assert_status(brg_port_start(theirs, brg_port_opts(.loop = loop, .on_message = ignore_message), NULL), BRG_OK);
    brg_transfer list[] = {brg_transfer_buffer(&buffer), brg_transfer_port(&theirs)};
    refuse(list, 2, BRG_STATE);
    brg_builder *builder = peer_builder();
    brg_builder_port(builder, &theirs);
    assert_status(brg_builder_finish(builder, &value, NULL), BRG_STATE);
    assert_non_null(theirs);
    brg_builder_destroy(builder);
    brg_buffer_unref(buffer);
    brg_port_destroy(theirs);
    brg_port_destroy(ours);
    assert_status(brg_loop_destroy(loop), BRG_OK);
}

static brg_value *holding(brg_port **port)
{
    brg_builder *builder = peer_builder();
    brg_builder_map(builder);
    peer_add_port(builder, "port", port);
    return peer_end(builder);
}

static void port_in_its_own_message_is_refused(void **state)
{
    brg_port *ours, *theirs, *self;
    (void)state;
    peer_channel(&ours, &theirs);
    self = ours;
    brg_value *value = holding(&self);
    assert_status(brg_port_post(ours, value, 0, NULL), BRG_INVALID);
    assert_status(brg_view_take_port(peer_get(value, "port"), &self), BRG_OK); /* it stays with the sender */
    assert_ptr_equal(self, ours);
    brg_value_unref(value);
    peer_post_number(ours, 2);
    peer_expect_number(theirs, 2);
    brg_port_destroy(ours);
    brg_port_destroy(theirs);
}

static void other_end_in_its_message_is_refused(void **state)
{
    brg_port *ours, *theirs;
    (void)state;
    peer_channel(&ours, &theirs);
    brg_value *value = holding(&theirs);
    assert_status(brg_port_post(ours, value, 0, NULL), BRG_INVALID);
    assert_status(brg_view_take_port(peer_get(value, "port"), &theirs), BRG_OK);
    brg_value_unref(value);
    peer_post_number(ours, 2);
    peer_expect_number(theirs, 2);
    brg_port_destroy(ours);
    brg_port_destroy(theirs);
}

static void port_can_be_taken_once(void **state)
{
    brg_port *ours, *theirs, *again = NULL;
    (void)state;
    peer_channel(&ours, &theirs);
    brg_value *value = holding(&theirs), *posted = NULL;
    assert_status(brg_view_take_port(peer_get(value, "port"), &theirs), BRG_OK);
    assert_status(brg_view_take_port(peer_get(value, "port"), &again), BRG_EMPTY);
    assert_status(brg_view_take_port(brg_value_root(value), &again), BRG_WRONG_TYPE);
    assert_null(again);
    assert_status(brg_port_post(ours, value, 0, NULL), BRG_INVALID); /* not whole any more */
    assert_status(brg_port_receive(theirs, &posted, 0), BRG_EMPTY);
    brg_value_unref(value);
    brg_port_destroy(ours);
    brg_port_destroy(theirs);
}

static void several_ports_in_one_message(void **state)
{
    enum { COUNT = 20 };
    brg_port *ours[COUNT], *theirs[COUNT];
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_builder *builder = peer_say("echo");
    brg_builder_key(builder, "ports");
    brg_builder_list(builder);
    for (int i = 0; i < COUNT; i++) {
        peer_channel(&ours[i], &theirs[i]);
        peer_post_number(ours[i], i);
        brg_builder_port(builder, &theirs[i]);
    }
    brg_builder_end(builder);
    peer_post(peer, builder);
    brg_value *answer = peer_answer(peer);
    for (int i = 0; i < COUNT; i++) {
        brg_port *back = NULL;
        assert_status(brg_view_take_port(brg_view_at(peer_get(answer, "ports"), (size_t)i), &back), BRG_OK);
        peer_expect_number(back, i);
        peer_post_number(back, -i);
        peer_expect_number(ours[i], -i);
        brg_port_destroy(back);
        brg_port_destroy(ours[i]);
    }
    brg_value_unref(answer);
    brg_worker_destroy(peer);
}

/* ---- what fails stays with the sender ---------------------------------------------------------------------------- */

static void post_to_an_ended_worker_keeps_everything(void **state)
{
    brg_port *ours, *theirs;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_channel(&ours, &theirs);
    assert_status(brg_worker_terminate(peer), BRG_OK);
    assert_status(brg_worker_wait(peer, BOUND, NULL), BRG_OK);
    brg_value *value = holding(&theirs);
    assert_status(brg_worker_post(peer, value, BOUND, NULL), BRG_CLOSED);
    assert_status(brg_view_take_port(peer_get(value, "port"), &theirs), BRG_OK);
    brg_value_unref(value);
    peer_post_number(ours, 6);
    peer_expect_number(theirs, 6);
    brg_port_destroy(ours);
    brg_port_destroy(theirs);
    brg_worker_destroy(peer);
}

static void post_without_room_keeps_everything(void **state)
{
    brg_port *ours = NULL, *theirs = NULL, *one, *other;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    assert_status(brg_channel_create(&ours, &theirs, brg_channel_opts(.messages_max = 1), NULL), BRG_OK);
    peer_give_port(peer, 0, &theirs);
    peer_channel(&one, &other);
    peer_post_number(ours, 1);
    brg_value *value = holding(&other);
    assert_status(brg_port_post(ours, value, 0, NULL), BRG_FULL);
    peer_post_number(one, 5);
    assert_status(brg_view_take_port(peer_get(value, "port"), &other), BRG_OK);
    peer_expect_number(other, 5);
    brg_value_unref(value);
    brg_port *all[] = {ours, one, other};
    for (int i = 0; i < 3; i++)
        brg_port_destroy(all[i]);
    brg_worker_destroy(peer);
}

static void ports_on_their_way_to_a_dying_worker_close(void **state)
{
    for (int round = 0; round < 10; round++) {
        brg_port *ours, *theirs;
        brg_value *value = NULL;
        brg_worker *peer = peer_start(scenario_isolation(state), NULL);
        assert_status(brg_worker_wait_online(peer, BOUND, NULL), BRG_OK);
        peer_channel(&ours, &theirs);
        brg_builder *builder = peer_say("port_keep");
        peer_add_port(builder, "port", &theirs);
        peer_post(peer, builder);
        assert_status(brg_worker_terminate(peer), BRG_OK);
        assert_status(brg_port_receive(ours, &value, BOUND), BRG_CLOSED);
        brg_port_destroy(ours);
        brg_worker_destroy(peer);
    }
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

static void descriptor_works_where_it_arrives(void **state)
{
    int pipes[2];
    char text[8] = "";
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    brg_builder *builder = peer_say("write_fd");
    brg_builder_key(builder, "fd");
    brg_builder_fd(builder, &pipes[1]);
    assert_int_equal(pipes[1], -1);
    brg_value_unref(peer_ask(peer, builder));
    assert_int_equal(read(pipes[0], text, sizeof(text)), 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(read(pipes[0], text, sizeof(text)), 0); /* and no copy of it is left anywhere */
    close(pipes[0]);
    brg_worker_destroy(peer);
}

static void descriptor_nobody_takes_is_closed(void **state)
{
    int pipes[2];
    char byte;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    brg_builder *builder = peer_say("who");
    brg_builder_key(builder, "fd");
    brg_builder_fd(builder, &pipes[1]);
    brg_value_unref(peer_ask(peer, builder));
    assert_int_equal(read(pipes[0], &byte, 1), 0);
    close(pipes[0]);
    brg_worker_destroy(peer);
}

static void descriptors_that_are_none_are_refused(void **state)
{
    int bad[] = {-1, 100000};
    (void)state;
    for (int i = 0; i < 2; i++) {
        brg_builder *builder = peer_builder();
        brg_value *value = NULL;
        brg_builder_fd(builder, &bad[i]);
        assert_status(brg_builder_finish(builder, &value, NULL), BRG_INVALID);
        brg_builder_destroy(builder);
    }
    assert_int_equal(bad[1], 100000);
}

/* ---- by reference ------------------------------------------------------------------------------------------------ */

static void shared_memory_is_not_emptied_by_sending(void **state)
{
    brg_shared *shared = peer_shared(64);
    brg_worker *first = peer_start(scenario_isolation(state), NULL);
    brg_worker *second = peer_start(scenario_isolation(state), NULL);
    peer_give_shared(first, shared);
    peer_give_shared(second, shared);
    brg_value_unref(peer_ask(first, peer_say("shared_add")));
    brg_value_unref(peer_ask(second, peer_say("shared_add")));
    assert_int_equal(peer_load(shared, 0), 2);
    brg_worker_destroy(first);
    brg_worker_destroy(second);
    brg_shared_unref(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(listed_things_move_together),
        cmocka_unit_test(duplicates_are_refused),
        cmocka_unit_test(moved_buffer_cannot_move_again),
        cmocka_unit_test(closed_port_cannot_move),
        cmocka_unit_test(started_port_cannot_move),
        cmocka_unit_test(port_in_its_own_message_is_refused),
        cmocka_unit_test(other_end_in_its_message_is_refused),
        cmocka_unit_test(port_can_be_taken_once),
        SCENARIO_BOTH(several_ports_in_one_message),
        SCENARIO_BOTH(post_to_an_ended_worker_keeps_everything),
        SCENARIO_BOTH(post_without_room_keeps_everything),
        SCENARIO_BOTH(ports_on_their_way_to_a_dying_worker_close),
        SCENARIO_BOTH(descriptor_works_where_it_arrives),
        SCENARIO_BOTH(descriptor_nobody_takes_is_closed),
        cmocka_unit_test(descriptors_that_are_none_are_refused),
        SCENARIO_BOTH(shared_memory_is_not_emptied_by_sending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
