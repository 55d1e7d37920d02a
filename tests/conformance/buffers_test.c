/* SPDX-License-Identifier: MIT */
/* Buffers: moving, sharing, slicing, freezing, and whose they are when somebody ends. */
#include "peer.h"

static brg_buffer *filled(size_t size_bytes, int byte)
{
    brg_buffer *buffer = NULL;
    assert_status(brg_buffer_create(&buffer, size_bytes, NULL), BRG_OK);
    if (size_bytes > 0)
        memset(brg_buffer_data(buffer), byte, size_bytes);
    return buffer;
}

/* {"do": command, "buffer": *buffer}: the caller's handle moves. */
static brg_builder *with_buffer(const char *command, brg_buffer **buffer)
{
    brg_builder *builder = peer_say(command);
    brg_builder_key(builder, "buffer");
    brg_builder_buffer(builder, buffer);
    assert_null(*buffer);
    return builder;
}

static void assert_all(const brg_buffer *buffer, size_t size_bytes, int byte)
{
    assert_non_null(buffer);
    assert_int_equal(brg_buffer_size(buffer), size_bytes);
    const unsigned char *bytes = brg_buffer_bytes(buffer);
    for (size_t i = 0; i < size_bytes; i++)
        if (bytes[i] != byte)
            fail_msg("byte %zu is %d, not %d", i, bytes[i], byte);
}

static void moved_buffer_arrives_whole(void **state)
{
    static const size_t sizes[] = {1, 100, 4096, 70000, 3 << 20};
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    for (size_t i = 0; i < 5; i++) {
        brg_buffer *buffer = filled(sizes[i], 3);
        brg_value *answer = peer_ask(peer, with_buffer("sum", &buffer));
        assert_int_equal(peer_int(answer, "size"), sizes[i]);
        assert_int_equal(peer_int(answer, "sum"), 3 * sizes[i]);
        brg_value_unref(answer);
    }
    brg_worker_destroy(peer);
}

static void worker_writes_into_what_it_was_given(void **state)
{
    static const size_t sizes[] = {64, 2 << 20};
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    for (size_t i = 0; i < 2; i++) {
        brg_buffer *buffer = filled(sizes[i], 1);
        brg_builder *builder = with_buffer("fill", &buffer);
        peer_add_int(builder, "byte", 9);
        brg_value *answer = peer_ask(peer, builder);
        assert_all(brg_view_buffer(peer_get(answer, "buffer")), sizes[i], 9);
        brg_value_unref(answer);
    }
    brg_worker_destroy(peer);
}

static void buffer_goes_there_and_back_often(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_buffer *buffer = NULL;
    assert_status(brg_buffer_create_region(&buffer, 4 << 20, NULL), BRG_OK);
    assert_true(brg_buffer_is_region(buffer));
    for (int i = 1; i <= 20; i++) {
        brg_builder *builder = with_buffer("fill", &buffer);
        peer_add_int(builder, "byte", i);
        brg_value *answer = peer_ask(peer, builder);
        buffer = brg_buffer_ref(brg_view_buffer(peer_get(answer, "buffer")));
        brg_value_unref(answer);
        assert_all(buffer, 4 << 20, i);
        assert_true(brg_buffer_is_region(buffer));
    }
    brg_buffer_unref(buffer);
    brg_worker_destroy(peer);
}

static void empty_buffer_travels(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_buffer *buffer = filled(0, 0);
    brg_builder *builder = with_buffer("echo", &buffer);
    peer_post(peer, builder);
    brg_value *answer = peer_answer(peer);
    assert_int_equal(brg_view_type(peer_get(answer, "buffer")), BRG_TYPE_BUFFER);
    assert_int_equal(brg_buffer_size(brg_view_buffer(peer_get(answer, "buffer"))), 0);
    brg_value_unref(answer);
    brg_worker_destroy(peer);
}

static void new_buffers_are_zero(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    static const size_t sizes[] = {1000, 1 << 20};
    for (int round = 0; round < 10; round++) /* memory of the one before is used again */
        for (size_t i = 0; i < 2; i++) {
            brg_buffer *buffer = NULL;
            assert_status(brg_buffer_create(&buffer, sizes[i], NULL), BRG_OK);
            assert_all(buffer, sizes[i], 0);
            memset(brg_buffer_data(buffer), 0xff, sizes[i]);
            brg_value_unref(peer_ask(peer, with_buffer("sum", &buffer)));
        }
    brg_worker_destroy(peer);
}

/* Memory that a worker saw is used again for it, and for nothing else. */
static void buffers_made_for_a_worker_arrive_there(void **state)
{
    static const size_t sizes[] = {100, 70000, 1 << 20};
    brg_worker *peer = peer_start(scenario_isolation(state), NULL),
               *other = peer_start(scenario_isolation(state), NULL);
    for (int round = 1; round <= 20; round++) {
        size_t size_bytes = sizes[round % 3];
        brg_buffer *buffer = NULL, *plain = NULL;
        assert_status(brg_worker_buffer(peer, size_bytes, &buffer, NULL), BRG_OK);
        assert_int_equal(brg_buffer_size(buffer), size_bytes);
        memset(brg_buffer_data(buffer), round, size_bytes);
        assert_int_equal(peer_ask_int(peer, with_buffer("sum", &buffer), "sum"), (int64_t)size_bytes * round);
        assert_status(brg_buffer_create(&plain, size_bytes, NULL), BRG_OK);
        assert_all(plain, size_bytes, 0);
        assert_int_equal(peer_ask_int(other, with_buffer("sum", &plain), "sum"), 0);
    }
    brg_worker_destroy(peer);
    brg_worker_destroy(other);
}

static void slice_travels_as_a_part(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_buffer *whole = filled(2 << 20, 1), *part = NULL;
    memset((char *)brg_buffer_data(whole) + 5000, 2, 100);
    assert_status(brg_buffer_slice(&part, whole, 5000, 100, NULL), BRG_OK);
    brg_value *answer = peer_ask(peer, with_buffer("sum", &part));
    assert_int_equal(peer_int(answer, "size"), 100);
    assert_int_equal(peer_int(answer, "sum"), 200);
    brg_value_unref(answer);
    assert_int_equal(brg_buffer_size(whole), 2 << 20); /* the rest stays */
    assert_status(brg_buffer_slice(&part, whole, (2 << 20) - 1, 2, NULL), BRG_RANGE);
    assert_null(part);
    brg_buffer_unref(whole);
    brg_worker_destroy(peer);
}

static void slices_see_the_same_bytes(void **state)
{
    brg_buffer *whole = filled(100, 1), *part = NULL, *inner = NULL, *copy = NULL;
    (void)state;
    assert_status(brg_buffer_slice(&part, whole, 10, 50, NULL), BRG_OK);
    assert_status(brg_buffer_slice(&inner, part, 10, 10, NULL), BRG_OK);
    assert_status(brg_buffer_copy(&copy, part, NULL), BRG_OK);
    memset((char *)brg_buffer_data(whole) + 20, 7, 10);
    assert_all(inner, 10, 7);
    assert_all(copy, 50, 1); /* a copy has bytes of its own */
    brg_buffer_unref(whole);
    brg_buffer_unref(part);
    assert_all(inner, 10, 7); /* and they live with the last handle */
    brg_buffer_unref(inner);
    brg_buffer_unref(copy);
}

static void frozen_buffer_is_read_only_everywhere(void **state)
{
    static const size_t sizes[] = {100, 2 << 20};
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    for (size_t i = 0; i < 2; i++) {
        brg_buffer *buffer = filled(sizes[i], 4);
        brg_buffer_freeze(buffer);
        assert_true(brg_buffer_is_frozen(buffer));
        assert_null(brg_buffer_data(buffer));
        brg_buffer *same = brg_buffer_ref(buffer);
        brg_value *answer = peer_ask(peer, with_buffer("sum", &same));
        assert_int_equal(peer_int(answer, "frozen"), 1);
        assert_int_equal(peer_int(answer, "writable"), 0);
        assert_int_equal(peer_int(answer, "sum"), 4 * sizes[i]);
        brg_value_unref(answer);
        assert_all(buffer, sizes[i], 4); /* and it is still here */
        brg_buffer_unref(buffer);
    }
    brg_worker_destroy(peer);
}

static void frozen_buffer_from_a_worker(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_builder *builder = peer_say_int("make", "size", 2 << 20);
    peer_add_int(builder, "byte", 6);
    peer_add_int(builder, "frozen", 1);
    brg_value *answer = peer_ask(peer, builder);
    brg_buffer *buffer = brg_view_buffer(peer_get(answer, "buffer"));
    assert_true(brg_buffer_is_frozen(buffer));
    assert_null(brg_buffer_data(buffer));
    assert_all(buffer, 2 << 20, 6);
    brg_value_unref(answer);
    brg_worker_destroy(peer);
}

static void one_buffer_for_several_workers(void **state)
{
    brg_buffer *buffer = filled(3 << 20, 2);
    brg_buffer_freeze(buffer);
    for (int i = 0; i < 3; i++) {
        brg_worker *peer = peer_start(scenario_isolation(state), NULL);
        brg_buffer *same = brg_buffer_ref(buffer);
        assert_int_equal(peer_ask_int(peer, with_buffer("sum", &same), "sum"), 6 << 20);
        brg_worker_destroy(peer);
    }
    assert_all(buffer, 3 << 20, 2);
    brg_buffer_unref(buffer);
}

static void many_buffers_in_one_message(void **state)
{
    enum { COUNT = 40 };
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_builder *builder = peer_say("echo");
    brg_builder_key(builder, "all");
    brg_builder_list(builder);
    for (int i = 0; i < COUNT; i++) {
        brg_buffer *buffer = filled(i % 4 == 0 ? 1 << 20 : (size_t)i, i);
        brg_builder_buffer(builder, &buffer);
    }
    brg_builder_end(builder);
    peer_post(peer, builder);
    brg_value *answer = peer_answer(peer);
    for (int i = 0; i < COUNT; i++)
        assert_all(brg_view_buffer(brg_view_at(peer_get(answer, "all"), (size_t)i)), i % 4 == 0 ? 1 << 20 : (size_t)i,
                   i);
    brg_value_unref(answer);
    brg_worker_destroy(peer);
}

static void buffer_in_init_data(void **state)
{
    brg_buffer *buffer = filled(1 << 20, 5);
    brg_builder *builder = peer_builder();
    brg_builder_map(builder);
    brg_builder_key(builder, "buffer");
    brg_builder_buffer(builder, &buffer);
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.init_data = peer_end(builder)));
    brg_value *answer = peer_ask(peer, peer_say("who"));
    assert_all(brg_view_buffer(brg_view_get(peer_get(answer, "init"), "buffer")), 1 << 20, 5);
    brg_value_unref(answer);
    brg_worker_destroy(peer);
}

static void buffer_outlives_the_worker_that_made_it(void **state)
{
    static const size_t sizes[] = {10, 100000, 3 << 20};
    for (size_t i = 0; i < 3; i++) {
        brg_worker *peer = peer_start(scenario_isolation(state), NULL);
        brg_builder *builder = peer_say_int("make", "size", (int64_t)sizes[i]);
        peer_add_int(builder, "byte", 8);
        brg_value *answer = peer_ask(peer, builder);
        brg_worker_destroy(peer);
        brg_buffer *buffer = brg_view_buffer(peer_get(answer, "buffer"));
        assert_all(buffer, sizes[i], 8);
        memset(brg_buffer_data(buffer), 9, sizes[i]); /* ours now */
        assert_all(buffer, sizes[i], 9);
        brg_value_unref(answer);
    }
}

static void worker_keeps_what_the_sender_let_go(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_buffer *buffer = filled(2 << 20, 7);
    brg_value_unref(peer_ask(peer, with_buffer("keep", &buffer)));
    for (int i = 0; i < 5; i++) { /* memory that is free would be used again by these */
        brg_buffer *other = filled(2 << 20, i);
        brg_buffer_unref(other);
    }
    brg_value *answer = peer_ask(peer, peer_say("kept"));
    assert_all(brg_view_buffer(brg_view_get(peer_get(answer, "kept"), "buffer")), 2 << 20, 7);
    brg_value_unref(answer);
    brg_worker_destroy(peer);
}

static void count_release(void *memory, void *user_data)
{
    assert_ptr_equal(memory, (char *)user_data - 64);
    ++*(int *)user_data;
}

static void wrapped_memory_is_released_once(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_buffer *buffer = NULL;
    struct {
        char memory[64];
        int released;
    } wrapped = {.released = 0};
    memset(wrapped.memory, 1, 64);
    assert_status(brg_buffer_wrap(&buffer, wrapped.memory, 64, count_release, &wrapped.released, NULL), BRG_OK);
    assert_int_equal(peer_ask_int(peer, with_buffer("sum", &buffer), "sum"), 64);
    brg_worker_destroy(peer);
    assert_int_equal(wrapped.released, 1);
}

static void message_with_too_many_bytes_is_refused(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.message_bytes_max = 1 << 18));
    brg_buffer *buffer = filled(1 << 19, 1); /* those in regions do not count */
    brg_value *message = peer_end(with_buffer("sum", &buffer));
    assert_status(brg_worker_post(peer, message, BOUND, NULL), BRG_TOO_LARGE);
    assert_all(brg_view_buffer(peer_get(message, "buffer")), 1 << 19, 1); /* all here */
    brg_value_unref(message);
    assert_int_equal(peer_ask_int(peer, peer_say("who"), "worker"), brg_worker_id(peer)); /* it lives */
    brg_worker_destroy(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(moved_buffer_arrives_whole),
        SCENARIO_BOTH(worker_writes_into_what_it_was_given),
        SCENARIO_BOTH(buffer_goes_there_and_back_often),
        SCENARIO_BOTH(empty_buffer_travels),
        SCENARIO_BOTH(new_buffers_are_zero),
        SCENARIO_BOTH(buffers_made_for_a_worker_arrive_there),
        SCENARIO_BOTH(slice_travels_as_a_part),
        cmocka_unit_test(slices_see_the_same_bytes),
        SCENARIO_BOTH(frozen_buffer_is_read_only_everywhere),
        SCENARIO_BOTH(frozen_buffer_from_a_worker),
        SCENARIO_BOTH(one_buffer_for_several_workers),
        SCENARIO_BOTH(many_buffers_in_one_message),
        SCENARIO_BOTH(buffer_in_init_data),
        SCENARIO_BOTH(buffer_outlives_the_worker_that_made_it),
        SCENARIO_BOTH(worker_keeps_what_the_sender_let_go),
        SCENARIO_BOTH(wrapped_memory_is_released_once),
        SCENARIO_BOTH(message_with_too_many_bytes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
