/* SPDX-License-Identifier: MIT */
/* Shared memory: who sees it, how it grows and lives; wait and notify, waiting and asynchronous. */
#include "peer.h"

/* ---- the memory -------------------------------------------------------------------------------------------------- */

static void writes_are_seen_on_both_sides(void **state)
{
    brg_shared *shared = peer_shared(5000);
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    unsigned char *bytes = brg_shared_data(shared);
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(bytes[i], 0);
    peer_give_shared(peer, shared);
    assert_non_null(shared); /* sending does not empty it */
    brg_value_unref(peer_ask(peer, peer_say_int("shared_write", "first", 3)));
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(bytes[i], (unsigned char)(i + 3));
    memset(bytes, 0x11, 8);
    assert_true(peer_ask_int(peer, peer_say("shared_load"), "value") == 0x1111111111111111);
    brg_worker_destroy(peer);
    brg_shared_unref(shared);
}

static void memory_in_init_data(void **state)
{
    brg_shared *shared = peer_shared(64);
    brg_builder *builder = peer_builder();
    brg_builder_map(builder);
    peer_add_shared(builder, "shared", shared);
    brg_worker *peer = peer_start(scenario_isolation(state), brg_worker_opts(.init_data = peer_end(builder)));
    brg_shared_store64(shared, 0, 99);
    brg_value *answer = peer_ask(peer, peer_say("who"));
    brg_shared *same = brg_view_shared(brg_view_get(peer_get(answer, "init"), "shared")); /* came back */
    assert_non_null(same);
    brg_shared_add32(same, 0, 1, NULL);
    assert_int_equal(peer_load(shared, 0), 100);
    brg_value_unref(answer);
    brg_worker_destroy(peer);
    brg_shared_unref(shared);
}

static void memory_through_a_port(void **state)
{
    brg_port *ours, *theirs;
    brg_shared *shared = peer_shared(64);
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_channel(&ours, &theirs);
    peer_give_port(peer, 0, &theirs);
    brg_builder *builder = peer_builder();
    brg_builder_shared(builder, shared);
    assert_status(brg_port_post(ours, peer_finish(builder), BOUND, NULL), BRG_OK);
    brg_value *answer = peer_ask(peer, peer_say("port_receive"));
    brg_shared *same = brg_view_shared(peer_get(answer, "value"));
    assert_non_null(same);
    brg_shared_store32(same, 4, 17);
    assert_int_equal(peer_load(shared, 4), 17);
    brg_value_unref(answer);
    brg_port_destroy(ours);
    brg_worker_destroy(peer);
    brg_shared_unref(shared);
}

static void several_memories_in_one_message(void **state)
{
    brg_shared *all[3];
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    static const char *const keys[] = {"a", "b", "c"};
    brg_builder *builder = peer_say("echo");
    for (int i = 0; i < 3; i++) {
        all[i] = peer_shared(64);
        brg_shared_store32(all[i], 0, (uint32_t)i + 1);
        peer_add_shared(builder, keys[i], all[i]);
    }
    peer_post(peer, builder);
    brg_value *answer = peer_answer(peer);
    for (int i = 0; i < 3; i++) {
        brg_shared *same = brg_view_shared(peer_get(answer, keys[i]));
        assert_int_equal(peer_load(same, 0), i + 1);
        brg_shared_store32(same, 0, 50);
        assert_int_equal(peer_load(all[i], 0), 50);
    }
    brg_value_unref(answer);
    brg_worker_destroy(peer);
    for (int i = 0; i < 3; i++)
        brg_shared_unref(all[i]);
}

static void memory_outlives_the_worker_that_made_it(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_worker *heir = peer_start(scenario_isolation(state), NULL);
    brg_value *answer = peer_ask(peer, peer_say_int("shared_create", "size", 4096));
    brg_shared *shared = brg_shared_ref(brg_view_shared(peer_get(answer, "shared")));
    brg_value_unref(answer);
    brg_value_unref(peer_ask(peer, peer_say_int("shared_add", "times", 5)));
    brg_worker_destroy(peer);
    assert_int_equal(peer_load(shared, 0), 5);
    peer_give_shared(heir, shared);
    brg_value_unref(peer_ask(heir, peer_say_int("shared_add", "times", 5)));
    assert_int_equal(peer_load(shared, 0), 10);
    brg_worker_destroy(heir);
    brg_shared_unref(shared);
}

static void memory_outlives_its_senders_handle(void **state)
{
    brg_shared *shared = peer_shared(64);
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_shared_store32(shared, 0, 31);
    peer_give_shared(peer, shared);
    brg_shared_unref(shared);
    assert_int_equal(peer_ask_int(peer, peer_say("shared_load"), "value"), 31);
    brg_worker_destroy(peer);
}

static void growth_is_seen_at_once(void **state)
{
    brg_shared *shared = NULL;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    assert_status(brg_shared_create(&shared, brg_shared_opts(.size_bytes = 100, .size_max_bytes = 1 << 20), NULL),
                  BRG_OK);
    peer_give_shared(peer, shared);
    void *start = brg_shared_data(shared);
    assert_status(brg_shared_grow(shared, 10000, NULL), BRG_OK);
    assert_int_equal(peer_ask_int(peer, peer_say("shared_size"), "size"), 10000);
    assert_status(peer_ask_status(peer, peer_say_int("shared_grow", "size", 1 << 20)), BRG_OK);
    assert_int_equal(brg_shared_size(shared), 1 << 20);
    assert_ptr_equal(brg_shared_data(shared), start);
    for (size_t i = 0; i < 1 << 20; i += 4096)
        assert_int_equal(((char *)start)[i], 0); /* new bytes are zero */
    brg_shared_store32(shared, (1 << 20) - 4, 77);
    assert_int_equal(peer_ask_int(peer, peer_say_int("shared_load", "offset", (1 << 20) - 8), "value") >> 32, 77);
    brg_worker_destroy(peer);
    brg_shared_unref(shared);
}

static void growth_above_the_maximum_is_refused(void **state)
{
    brg_shared *shared = NULL;
    (void)state;
    assert_status(brg_shared_create(&shared, brg_shared_opts(.size_bytes = 100, .size_max_bytes = 8192), NULL), BRG_OK);
    assert_int_equal(brg_shared_size_max(shared), 8192);
    assert_status(brg_shared_grow(shared, 8193, NULL), BRG_RANGE);
    assert_int_equal(brg_shared_size(shared), 100);
    assert_status(brg_shared_grow(shared, 8192, NULL), BRG_OK);
    assert_int_equal(brg_shared_size(shared), 8192);
    brg_shared_unref(shared);
    shared = peer_shared(100);
    assert_status(brg_shared_grow(shared, 101, NULL), BRG_RANGE);
    assert_int_equal(brg_shared_size_max(shared), 100);
    brg_shared_unref(shared);
}

static void memory_never_shrinks(void **state)
{
    brg_shared *shared = NULL;
    (void)state;
    assert_status(brg_shared_create(&shared, brg_shared_opts(.size_bytes = 5000, .size_max_bytes = 8192), NULL),
                  BRG_OK);
    assert_status(brg_shared_grow(shared, 5000, NULL), BRG_OK);
    assert_status(brg_shared_grow(shared, 10, NULL), BRG_OK);
    assert_int_equal(brg_shared_size(shared), 5000);
    brg_shared_unref(shared);
}

static void sizes_that_cannot_be_are_refused(void **state)
{
    brg_shared *shared = NULL;
    (void)state;
    assert_status(brg_shared_create(&shared, brg_shared_opts(.size_bytes = 0), NULL), BRG_INVALID);
    assert_status(brg_shared_create(&shared, brg_shared_opts(.size_bytes = 100, .size_max_bytes = 99), NULL),
                  BRG_INVALID);
    assert_status(brg_shared_create(&shared, brg_shared_opts(.size_bytes = SIZE_MAX), NULL), BRG_TOO_LARGE);
    assert_null(shared);
}

/* ---- wait and notify --------------------------------------------------------------------------------------------- */

static brg_builder *wait_at(size_t offset, int64_t expected)
{
    brg_builder *builder = peer_say_int("shared_wait", "offset", (int64_t)offset);
    peer_add_int(builder, "expected", expected);
    return builder;
}

static brg_status answered_status(brg_worker *peer)
{
    brg_value *answer = peer_answer(peer);
    brg_status status = (brg_status)peer_int(answer, "status");
    brg_value_unref(answer);
    return status;
}

static void wait_on_another_number_returns_at_once(void **state)
{
    brg_shared *shared = peer_shared(64);
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_give_shared(peer, shared);
    brg_shared_store32(shared, 8, 42);
    assert_status(brg_shared_wait32(shared, 8, 41, BRG_FOREVER), BRG_NOT_EQUAL);
    assert_status(brg_shared_wait64(shared, 8, 41, BRG_FOREVER), BRG_NOT_EQUAL);
    assert_status(peer_ask_status(peer, wait_at(8, 0)), BRG_NOT_EQUAL);
    brg_worker_destroy(peer);
    brg_shared_unref(shared);
}

static void wait_ends_at_its_deadline(void **state)
{
    brg_shared *shared = peer_shared(64);
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    uint32_t woken = 7;
    peer_give_shared(peer, shared);
    assert_status(brg_shared_wait32(shared, 0, 0, BRG_MILLISECONDS(2)), BRG_TIMED_OUT);
    assert_status(brg_shared_wait64(shared, 0, 0, BRG_MILLISECONDS(2)), BRG_TIMED_OUT);
    brg_builder *builder = wait_at(0, 0);
    peer_add_int(builder, "timeout_ms", 2);
    assert_status(peer_ask_status(peer, builder), BRG_TIMED_OUT);
    assert_status(brg_shared_notify(shared, 0, UINT32_MAX, &woken), BRG_OK);
    assert_int_equal(woken, 0); /* it waits no more */
    brg_worker_destroy(peer);
    brg_shared_unref(shared);
}

static void wait_with_timeout_zero_does_not_wait(void **state)
{
    brg_shared *shared = peer_shared(64);
    (void)state;
    assert_status(brg_shared_wait32(shared, 0, 0, 0), BRG_TIMED_OUT);
    assert_status(brg_shared_wait64(shared, 0, 0, 0), BRG_TIMED_OUT);
    brg_shared_unref(shared);
}

static void wait_and_notify_refuse_bad_offsets(void **state)
{
    brg_shared *shared = peer_shared(64);
    (void)state;
    assert_status(brg_shared_wait32(shared, 64, 0, 0), BRG_RANGE);
    assert_status(brg_shared_wait64(shared, 64, 0, 0), BRG_RANGE);
    assert_status(brg_shared_wait32(shared, SIZE_MAX - 3, 0, 0), BRG_RANGE);
    assert_status(brg_shared_wait32(shared, 2, 0, 0), BRG_INVALID);
    assert_status(brg_shared_wait64(shared, 4, 0, 0), BRG_INVALID);
    assert_status(brg_shared_notify(shared, 64, 1, NULL), BRG_RANGE);
    assert_status(brg_shared_notify(shared, 3, 1, NULL), BRG_INVALID);
    brg_shared_unref(shared);
}

static void notify_wakes_the_waiter(void **state)
{
    brg_shared *shared = peer_shared(64);
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_give_shared(peer, shared);
    peer_post(peer, wait_at(16, 0));
    peer_wake(shared, 16, 1);
    assert_status(answered_status(peer), BRG_OK);
    brg_worker_destroy(peer);
    brg_shared_unref(shared);
}

static void worker_wakes_the_one_who_waits_here(void **state)
{
    brg_shared *shared = peer_shared(64);
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_give_shared(peer, shared);
    /* The worker changes the number and notifies: whoever of the two comes first, the wait ends. */
    brg_builder *builder = peer_say("shared_store");
    peer_add_int(builder, "value", 1);
    peer_post(peer, builder);
    peer_post(peer, peer_say("shared_notify"));
    brg_status status = brg_shared_wait32(shared, 0, 0, BOUND);
    assert_true(status == BRG_OK || status == BRG_NOT_EQUAL);
    assert_int_equal(peer_load(shared, 0), 1);
    brg_worker_destroy(peer);
    brg_shared_unref(shared);
}

static void waits_of_64_bits_look_at_all_of_them(void **state)
{
    brg_shared *shared = peer_shared(64);
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_give_shared(peer, shared);
    brg_shared_store64(shared, 8, UINT64_C(5) << 32);
    brg_builder *builder = wait_at(8, 0); /* the low half is 0 */
    peer_add_int(builder, "bytes", 8);
    assert_status(peer_ask_status(peer, builder), BRG_NOT_EQUAL);
    builder = wait_at(8, INT64_C(5) << 32);
    peer_add_int(builder, "bytes", 8);
    peer_post(peer, builder);
    peer_wake(shared, 8, 1);
    assert_status(answered_status(peer), BRG_OK);
    brg_worker_destroy(peer);
    brg_shared_unref(shared);
}

static void notify_without_waiters_wakes_none(void **state)
{
    brg_shared *shared = peer_shared(64);
    uint32_t woken = 9;
    (void)state;
    assert_status(brg_shared_notify(shared, 0, 1, &woken), BRG_OK);
    assert_int_equal(woken, 0);
    assert_status(brg_shared_notify(shared, 0, UINT32_MAX, NULL), BRG_OK);
    assert_status(brg_shared_wait32(shared, 0, 0, 0), BRG_TIMED_OUT); /* it is not remembered */
    brg_shared_unref(shared);
}

/* ---- asynchronous, in one queue ---------------------------------------------------------------------------------- */

typedef struct waits {
    brg_loop *loop;
    brg_shared *shared;
    int order[8];
    brg_status status[8];
    int done, released;
} waits;

typedef struct one_wait {
    waits *all;
    int tag;
} one_wait;

static void wait_done(brg_status status, void *user_data)
{
    one_wait *one = user_data;
    one->all->order[one->all->done] = one->tag;
    one->all->status[one->all->done++] = status;
}

static void wait_released(void *user_data)
{
    one_wait *one = user_data;
    one->all->released++;
    free(one);
}

static void waits_begin(waits *all, size_t size_bytes)
{
    memset(all, 0, sizeof(*all));
    assert_status(brg_loop_create(&all->loop, NULL, NULL), BRG_OK);
    all->shared = peer_shared(size_bytes);
}

static void waits_end(waits *all)
{
    brg_shared_unref(all->shared);
    assert_status(brg_loop_destroy(all->loop), BRG_OK);
}

static brg_status wait_async(waits *all, int tag, size_t offset, uint32_t expected, uint64_t timeout_ns,
                             brg_shared_wait **out)
{
    one_wait *one = malloc(sizeof(*one));
    assert_non_null(one);
    *one = (one_wait){all, tag};
    brg_status status = brg_shared_wait_async32(all->shared, offset, expected,
                                                brg_shared_wait_opts(.loop = all->loop, .timeout_ns = timeout_ns,
                                                                     .done = wait_done, .release = wait_released,
                                                                     .user_data = one),
                                                out, NULL);
    if (status != BRG_OK)
        free(one);
    return status;
}

static void async_wait_is_done_on_the_loop(void **state)
{
    waits all;
    uint32_t woken = 0;
    (void)state;
    waits_begin(&all, 64);
    assert_status(wait_async(&all, 1, 0, 0, 0, NULL), BRG_OK);
    assert_status(brg_shared_notify(all.shared, 0, 1, &woken), BRG_OK);
    assert_int_equal(woken, 1);
    assert_int_equal(all.done, 0);
    assert_status(brg_loop_run(all.loop), BRG_OK);
    assert_int_equal(all.done, 1);
    assert_int_equal(all.released, 1);
    assert_status(all.status[0], BRG_OK);
    waits_end(&all);
}

static void async_wait_on_another_number_does_not_start(void **state)
{
    waits all;
    (void)state;
    waits_begin(&all, 64);
    assert_status(wait_async(&all, 1, 0, 1, 0, NULL), BRG_NOT_EQUAL);
    assert_status(wait_async(&all, 1, 64, 0, 0, NULL), BRG_RANGE);
    assert_status(wait_async(&all, 1, 2, 0, 0, NULL), BRG_INVALID);
    assert_status(brg_loop_run(all.loop), BRG_OK); /* nothing keeps it */
    assert_int_equal(all.done + all.released, 0);
    waits_end(&all);
}

static void async_wait_ends_at_its_deadline(void **state)
{
    waits all;
    uint32_t woken = 5;
    (void)state;
    waits_begin(&all, 64);
    assert_status(wait_async(&all, 1, 0, 0, BRG_MILLISECONDS(2), NULL), BRG_OK);
    assert_status(brg_loop_run(all.loop), BRG_OK);
    assert_int_equal(all.released, 1);
    assert_status(all.status[0], BRG_TIMED_OUT);
    assert_status(brg_shared_notify(all.shared, 0, 1, &woken), BRG_OK);
    assert_int_equal(woken, 0);
    waits_end(&all);
}

static void async_wait_can_be_cancelled(void **state)
{
    waits all;
    brg_shared_wait *wait = NULL;
    uint32_t woken = 5;
    (void)state;
    waits_begin(&all, 64);
    assert_status(wait_async(&all, 1, 0, 0, 0, &wait), BRG_OK);
    brg_shared_wait_cancel(wait);
    brg_shared_wait_cancel(wait);
    assert_status(brg_shared_notify(all.shared, 0, 1, &woken), BRG_OK);
    assert_int_equal(woken, 0);
    assert_status(brg_loop_run(all.loop), BRG_OK);
    assert_int_equal(all.done, 1);
    assert_status(all.status[0], BRG_CANCELLED);
    brg_shared_wait_unref(wait);
    waits_end(&all);
}

/* Four wait at one offset; `steps` notifies of `count` each wake `woken` in all, the oldest first. */
static void wake_in_order(uint32_t steps, uint32_t count, uint32_t wanted)
{
    waits all;
    uint32_t sum = 0;
    waits_begin(&all, 64);
    for (int i = 0; i < 4; i++)
        assert_status(wait_async(&all, i, 0, 0, 0, NULL), BRG_OK);
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t woken = 0;
        assert_status(brg_shared_notify(all.shared, 0, count, &woken), BRG_OK);
        sum += woken;
    }
    assert_int_equal(sum, wanted);
    uint32_t rest = 0;
    assert_status(brg_shared_notify(all.shared, 0, UINT32_MAX, &rest), BRG_OK);
    assert_int_equal(rest, 4 - wanted);
    assert_status(brg_loop_run(all.loop), BRG_OK);
    assert_int_equal(all.done, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(all.order[i], i);
    waits_end(&all);
}

static void notify_zero_wakes_none(void **state)
{
    (void)state;
    wake_in_order(3, 0, 0);
}

static void notify_one_wakes_the_first(void **state)
{
    (void)state;
    wake_in_order(1, 1, 1);
}

static void notify_two_wakes_two(void **state)
{
    (void)state;
    wake_in_order(1, 2, 2);
}

static void notify_all_wakes_all(void **state)
{
    (void)state;
    wake_in_order(1, UINT32_MAX, 4);
}

static void notify_again_wakes_the_next(void **state)
{
    (void)state;
    wake_in_order(4, 1, 4);
    wake_in_order(9, 1, 4); /* and then nobody */
}

static void notify_elsewhere_wakes_none(void **state)
{
    waits all;
    uint32_t woken = 5;
    (void)state;
    waits_begin(&all, 64);
    assert_status(wait_async(&all, 1, 8, 0, 0, NULL), BRG_OK);
    assert_status(brg_shared_notify(all.shared, 4, UINT32_MAX, &woken), BRG_OK);
    assert_int_equal(woken, 0);
    assert_status(brg_shared_notify(all.shared, 12, UINT32_MAX, &woken), BRG_OK);
    assert_int_equal(woken, 0);
    assert_status(brg_shared_notify(all.shared, 8, UINT32_MAX, &woken), BRG_OK);
    assert_int_equal(woken, 1);
    assert_status(brg_loop_run(all.loop), BRG_OK);
    waits_end(&all);
}

/* ---- asynchronous, in workers ------------------------------------------------------------------------------------ */

static brg_builder *async_at(size_t offset, int64_t tag)
{
    brg_builder *builder = peer_say_int("shared_wait_async", "offset", (int64_t)offset);
    peer_add_int(builder, "tag", tag);
    return builder;
}

static void waiters_of_several_workers_are_woken_in_order(void **state)
{
    brg_shared *shared = peer_shared(64);
    brg_worker *peers[3];
    for (int i = 0; i < 3; i++) {
        peers[i] = peer_start(i == 1 ? (brg_isolation)!scenario_isolation(state) : scenario_isolation(state), NULL);
        peer_give_shared(peers[i], shared);
    }
    for (int i = 0; i < 3; i++) /* each waits once the one before does */
        brg_value_unref(peer_ask(peers[i], async_at(0, i)));
    for (int i = 0; i < 3; i++) {
        uint32_t woken = 0;
        assert_status(brg_shared_notify(shared, 0, 1, &woken), BRG_OK);
        assert_int_equal(woken, 1);
        brg_value *told = peer_answer(peers[i]);
        assert_int_equal(peer_int(told, "done"), i);
        assert_status((brg_status)peer_int(told, "status"), BRG_OK);
        brg_value_unref(told);
    }
    for (int i = 0; i < 3; i++)
        brg_worker_destroy(peers[i]);
    brg_shared_unref(shared);
}

/* What changes the number wakes nobody: only a notify does. */
static void changes_alone_wake_nobody(void **state)
{
    brg_shared *shared = peer_shared(64);
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    uint32_t old, woken = 0;
    peer_give_shared(peer, shared);
    brg_value_unref(peer_ask(peer, async_at(0, 1)));
    brg_shared_store32(shared, 0, 1);
    brg_shared_add32(shared, 0, 1, NULL);
    brg_shared_sub32(shared, 0, 1, NULL);
    brg_shared_and32(shared, 0, 3, NULL);
    brg_shared_or32(shared, 0, 8, NULL);
    brg_shared_xor32(shared, 0, 5, NULL);
    brg_shared_exchange32(shared, 0, 6, NULL);
    brg_shared_compare_exchange32(shared, 0, 6, 7, &old);
    brg_value_unref(peer_ask(peer, peer_say("who"))); /* its loop ran, nothing came */
    assert_status(brg_shared_notify(shared, 0, UINT32_MAX, &woken), BRG_OK);
    assert_int_equal(woken, 1); /* it still waits */
    brg_value *told = peer_answer(peer);
    assert_int_equal(peer_int(told, "done"), 1);
    brg_value_unref(told);
    brg_worker_destroy(peer);
    brg_shared_unref(shared);
}

static void waiter_of_a_dead_worker_takes_no_wake(void **state)
{
    brg_shared *shared = peer_shared(64);
    brg_worker *dead = peer_start(scenario_isolation(state), NULL),
               *alive = peer_start(scenario_isolation(state), NULL);
    peer_give_shared(dead, shared);
    peer_give_shared(alive, shared);
    brg_value_unref(peer_ask(dead, async_at(0, 1)));
    brg_value_unref(peer_ask(alive, async_at(0, 2)));
    brg_worker_destroy(dead);
    peer_wake(shared, 0, 1);
    brg_value *told = peer_answer(alive);
    assert_int_equal(peer_int(told, "done"), 2);
    brg_value_unref(told);
    brg_worker_destroy(alive);
    brg_shared_unref(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(writes_are_seen_on_both_sides),
        SCENARIO_BOTH(memory_in_init_data),
        SCENARIO_BOTH(memory_through_a_port),
        SCENARIO_BOTH(several_memories_in_one_message),
        SCENARIO_BOTH(memory_outlives_the_worker_that_made_it),
        SCENARIO_BOTH(memory_outlives_its_senders_handle),
        SCENARIO_BOTH(growth_is_seen_at_once),
        cmocka_unit_test(growth_above_the_maximum_is_refused),
        cmocka_unit_test(memory_never_shrinks),
        cmocka_unit_test(sizes_that_cannot_be_are_refused),
        SCENARIO_BOTH(wait_on_another_number_returns_at_once),
        SCENARIO_BOTH(wait_ends_at_its_deadline),
        cmocka_unit_test(wait_with_timeout_zero_does_not_wait),
        cmocka_unit_test(wait_and_notify_refuse_bad_offsets),
        SCENARIO_BOTH(notify_wakes_the_waiter),
        SCENARIO_BOTH(worker_wakes_the_one_who_waits_here),
        SCENARIO_BOTH(waits_of_64_bits_look_at_all_of_them),
        cmocka_unit_test(notify_without_waiters_wakes_none),
        cmocka_unit_test(async_wait_is_done_on_the_loop),
        cmocka_unit_test(async_wait_on_another_number_does_not_start),
        cmocka_unit_test(async_wait_ends_at_its_deadline),
        cmocka_unit_test(async_wait_can_be_cancelled),
        cmocka_unit_test(notify_zero_wakes_none),
        cmocka_unit_test(notify_one_wakes_the_first),
        cmocka_unit_test(notify_two_wakes_two),
        cmocka_unit_test(notify_all_wakes_all),
        cmocka_unit_test(notify_again_wakes_the_next),
        cmocka_unit_test(notify_elsewhere_wakes_none),
        SCENARIO_BOTH(waiters_of_several_workers_are_woken_in_order),
        SCENARIO_BOTH(changes_alone_wake_nobody),
        SCENARIO_BOTH(waiter_of_a_dead_worker_takes_no_wake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
