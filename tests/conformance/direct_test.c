/* SPDX-License-Identifier: MIT */
/* Any to any: messages to workers by id, with acknowledgement and every way they fail. */
#include "peer.h"

static brg_builder *tell(uint64_t to, int64_t n)
{
    brg_builder *builder = peer_say_int("post_to", "to", (int64_t)to);
    brg_builder_key(builder, "value");
    brg_builder_map(builder);
    peer_add_int(builder, "n", n);
    brg_builder_end(builder);
    return builder;
}

static brg_status post(uint64_t to, int64_t n, uint64_t timeout_ns, brg_error *error)
{
    brg_value *value = peer_number(n);
    brg_status status = brg_worker_post_to(to, value, timeout_ns, error);
    if (status != BRG_OK)
        brg_value_unref(value);
    return status;
}

static void expect_direct(brg_worker *peer, int64_t count, int64_t last, uint64_t from)
{
    brg_value *answer = peer_ask(peer, peer_say("direct_state"));
    assert_int_equal(peer_int(answer, "count"), count);
    assert_int_equal(peer_int(answer, "last"), last);
    assert_int_equal(peer_int(answer, "from"), from);
    assert_int_equal(peer_int(answer, "out_of_order"), 0);
    brg_value_unref(answer);
}

/* ---- arriving ---------------------------------------------------------------------------------------------------- */

static void program_reaches_a_worker(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    for (int n = 0; n < 20; n++)
        assert_status(post(brg_worker_id(peer), n, BOUND, NULL), BRG_OK);
    expect_direct(peer, 20, 19, BRG_PROGRAM_ID); /* all handled by now: that is what BRG_OK says */
    brg_worker_destroy(peer);
}

static void workers_reach(brg_isolation one_isolation, brg_isolation other_isolation)
{
    brg_worker *one = peer_start(one_isolation, NULL), *other = peer_start(other_isolation, NULL);
    for (int n = 0; n < 5; n++) {
        assert_status(peer_ask_status(one, tell(brg_worker_id(other), n)), BRG_OK);
        assert_status(peer_ask_status(other, tell(brg_worker_id(one), n)), BRG_OK);
    }
    expect_direct(other, 5, 4, brg_worker_id(one));
    expect_direct(one, 5, 4, brg_worker_id(other));
    brg_worker_destroy(one);
    brg_worker_destroy(other);
}

static void workers_of_one_kind_reach_each_other(void **state)
{
    workers_reach(scenario_isolation(state), scenario_isolation(state));
}

static void workers_of_both_kinds_reach_each_other(void **state)
{
    (void)state;
    workers_reach(BRG_ISOLATION_THREAD, BRG_ISOLATION_PROCESS);
}

/* The number under `key` in the next thing the peer says. */
static int64_t peer_told(brg_worker *peer, const char *key)
{
    brg_value *told = peer_answer(peer);
    int64_t number = peer_int(told, key);
    brg_value_unref(told);
    return number;
}

typedef struct handled {
    brg_loop *loop;
    brg_direct_handler *handler;
    int count, released, stop_at;
    uint64_t from;
    int64_t last;
    brg_status answer;
} handled;

static brg_status on_direct(uint64_t from, const brg_value *message, void *user_data, brg_error *error)
{
    handled *mine = user_data;
    mine->from = from;
    mine->last = brg_view_get_int(brg_value_root(message), "n", -1);
    if (++mine->count == mine->stop_at)
        brg_loop_stop(mine->loop);
    if (mine->answer != BRG_OK) {
        brg_error_set(error, mine->answer, "kitchen", "not today");
        error->code = 42;
    }
    return mine->answer;
}

static void on_release(void *user_data) { ((handled *)user_data)->released++; }

static void handle(handled *mine, bool keeps_loop)
{
    if (mine->loop == NULL)
        assert_status(brg_loop_create(&mine->loop, NULL, NULL), BRG_OK);
    assert_status(
        brg_direct_handle(&mine->handler,
                          brg_direct_handler_opts(.loop = mine->loop, .on_direct = on_direct, .keeps_loop = keeps_loop,
                                                  .release = on_release, .user_data = mine),
                          NULL),
        BRG_OK);
}

static void worker_reaches_the_program(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    handled mine = {.stop_at = 3};
    handle(&mine, true);
    for (int n = 0; n < 3; n++)
        peer_post(peer, tell(BRG_PROGRAM_ID, n));
    assert_status(brg_loop_run(mine.loop), BRG_OK);
    assert_int_equal(mine.count, 3);
    assert_int_equal(mine.last, 2);
    assert_int_equal(mine.from, brg_worker_id(peer));
    for (int n = 0; n < 3; n++) {
        brg_value *answer = peer_answer(peer);
        assert_status((brg_status)peer_int(answer, "status"), BRG_OK);
        brg_value_unref(answer);
    }
    brg_direct_unhandle(mine.handler);
    assert_int_equal(mine.released, 1);
    brg_worker_destroy(peer);
    assert_status(brg_loop_destroy(mine.loop), BRG_OK);
}

/* ---- failing ----------------------------------------------------------------------------------------------------- */

static void nobody_has_that_id(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    assert_status(post(UINT64_MAX, 0, BOUND, NULL), BRG_NOT_FOUND);
    assert_status(peer_ask_status(peer, tell(1000000, 0)), BRG_NOT_FOUND);
    brg_worker_destroy(peer);
}

static void ended_worker_is_not_found(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    uint64_t id = brg_worker_id(peer);
    assert_status(post(id, 0, BOUND, NULL), BRG_OK);
    assert_status(brg_worker_terminate(peer), BRG_OK);
    assert_status(brg_worker_wait(peer, BOUND, NULL), BRG_OK);
    assert_status(post(id, 1, BOUND, NULL), BRG_NOT_FOUND);
    brg_worker_destroy(peer);
    assert_status(post(id, 1, BOUND, NULL), BRG_NOT_FOUND);
}

static void posting_to_oneself_is_refused(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    assert_status(peer_ask_status(peer, tell(brg_worker_id(peer), 0)), BRG_DEADLOCK);
    assert_status(post(BRG_PROGRAM_ID, 0, BOUND, NULL), BRG_DEADLOCK);
    expect_direct(peer, 0, 0, 0);
    brg_worker_destroy(peer);
}

static void post_waiting_ends_at_its_deadline(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_token *token = NULL;
    assert_status(brg_token_create(&token, NULL), BRG_OK);
    brg_builder *builder = peer_say("token_keep");
    brg_builder_key(builder, "token");
    brg_builder_token(builder, token);
    brg_value_unref(peer_ask(peer, builder));
    peer_post(peer, peer_say("token_spin"));
    brg_value_unref(peer_answer(peer)); /* it spins: no handler runs */
    assert_status(post(brg_worker_id(peer), 0, BRG_MILLISECONDS(2), NULL), BRG_TIMED_OUT);
    brg_token_cancel(token);
    brg_value_unref(peer_answer(peer));
    assert_status(post(brg_worker_id(peer), 5, BOUND, NULL), BRG_OK); /* it lives on */
    brg_worker_destroy(peer);
    brg_token_unref(token);
}

static void failing_handler_is_reported(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_worker *other = peer_start(scenario_isolation(state), NULL);
    brg_error error = {0};
    assert_status(post(brg_worker_id(peer), -5, BOUND, &error), BRG_FAILED); /* it wants no negative number */
    assert_int_equal(error.code, 77);
    assert_string_equal(error.message, "no number in it");
    peer_post(other, tell(brg_worker_id(peer), -5));
    brg_value *answer = peer_answer(other);
    assert_status((brg_status)peer_int(answer, "status"), BRG_FAILED);
    assert_int_equal(peer_int(answer, "code"), 77);
    brg_value_unref(answer);
    assert_status(post(brg_worker_id(peer), 1, BOUND, NULL), BRG_OK); /* the worker lives on */
    brg_worker_destroy(peer);
    brg_worker_destroy(other);
}

static void failing_handler_of_the_program_is_reported(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    handled mine = {.stop_at = 1, .answer = BRG_STATE};
    handle(&mine, true);
    peer_post(peer, tell(BRG_PROGRAM_ID, 0));
    assert_status(brg_loop_run(mine.loop), BRG_OK);
    brg_value *answer = peer_answer(peer);
    assert_status((brg_status)peer_int(answer, "status"), BRG_FAILED);
    assert_int_equal(peer_int(answer, "code"), 42);
    brg_value_unref(answer);
    brg_direct_unhandle(mine.handler);
    brg_worker_destroy(peer);
    assert_status(brg_loop_destroy(mine.loop), BRG_OK);
}

static void receiver_without_a_handler_is_reported(void **state)
{
    brg_worker *deaf = NULL, *peer = peer_start(scenario_isolation(state), NULL);
    assert_status(brg_worker_create(&deaf,
                                    brg_worker_opts(.isolation = scenario_isolation(state), .module = scenario_module(),
                                                    .start_timeout_ns = BOUND, .grace_ns = BOUND),
                                    NULL),
                  BRG_OK);
    assert_status(brg_worker_wait_online(deaf, BOUND, NULL), BRG_OK);
    assert_status(post(brg_worker_id(deaf), 0, BOUND, NULL), BRG_UNSUPPORTED);
    assert_status(peer_ask_status(peer, tell(brg_worker_id(deaf), 0)), BRG_UNSUPPORTED);
    assert_status(peer_ask_status(peer, tell(BRG_PROGRAM_ID, 0)), BRG_UNSUPPORTED);
    brg_worker_destroy(deaf);
    brg_worker_destroy(peer);
}

static void receiver_that_ends_in_its_handler_is_reported(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_worker *other = peer_start(scenario_isolation(state), NULL);
    peer_post(other, tell(brg_worker_id(peer), -2));
    assert_int_equal(peer_told(peer, "in_direct"), 1);
    assert_status(brg_worker_terminate(peer), BRG_OK);
    brg_value *answer = peer_answer(other);
    brg_status status = (brg_status)peer_int(answer, "status");
    assert_true(status == BRG_CLOSED || status == BRG_FAILED); /* as the handler's word or the end came first */
    brg_value_unref(answer);
    brg_worker_destroy(peer);
    brg_worker_destroy(other);
}

static void receiver_that_crashes_is_reported(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_worker *other = peer_start(scenario_isolation(state), NULL);
    assert_status(peer_ask_status(other, tell(brg_worker_id(peer), -3)), BRG_CLOSED);
    assert_status(peer_ask_status(other, tell(brg_worker_id(peer), 0)), BRG_NOT_FOUND);
    brg_worker_destroy(peer);
    peer = peer_start(scenario_isolation(state), NULL);
    assert_status(post(brg_worker_id(peer), -3, BOUND, NULL), BRG_CLOSED);
    brg_worker_destroy(peer);
    brg_worker_destroy(other);
}

static void nothing_and_no_time_are_refused(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    assert_status(brg_worker_post_to(brg_worker_id(peer), NULL, BOUND, NULL), BRG_INVALID);
    assert_status(post(brg_worker_id(peer), 0, 0, NULL), BRG_INVALID);
    expect_direct(peer, 0, 0, 0);
    brg_worker_destroy(peer);
}

/* ---- handlers ---------------------------------------------------------------------------------------------------- */

static void handlers_come_one_at_a_time_and_go(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    handled mine = {0};
    brg_direct_handler *second = NULL;
    handle(&mine, false);
    assert_status(brg_direct_handle(&second, brg_direct_handler_opts(.loop = mine.loop, .on_direct = on_direct), NULL),
                  BRG_STATE);
    assert_status(brg_loop_run(mine.loop), BRG_OK); /* it does not keep its loop */
    brg_direct_unhandle(mine.handler);
    assert_int_equal(mine.released, 1);
    assert_status(peer_ask_status(peer, tell(BRG_PROGRAM_ID, 0)), BRG_UNSUPPORTED);
    handle(&mine, true);
    mine.stop_at = 1;
    peer_post(peer, tell(BRG_PROGRAM_ID, 9));
    assert_status(brg_loop_run(mine.loop), BRG_OK);
    assert_int_equal(mine.last, 9);
    brg_direct_unhandle(mine.handler);
    brg_direct_unhandle(NULL);
    brg_worker_destroy(peer);
    assert_status(brg_loop_destroy(mine.loop), BRG_OK);
}

typedef struct settled {
    int count, released;
    brg_status status;
} settled;

static void on_done(const brg_error *error, void *user_data)
{
    settled *mine = user_data;
    mine->count++;
    mine->status = error == NULL ? BRG_OK : error->status;
}

static void on_settled(void *user_data) { ((settled *)user_data)->released++; }

static brg_status post_async(brg_loop *loop, uint64_t to, int64_t n, settled *mine)
{
    brg_value *value = peer_number(n);
    brg_status status = brg_worker_post_to_async(
        to, value,
        brg_direct_opts(.loop = loop, .timeout_ns = BOUND, .done = on_done, .release = on_settled, .user_data = mine),
        NULL);
    if (status != BRG_OK)
        brg_value_unref(value);
    return status;
}

static void acknowledgement_comes_on_the_loop(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_loop *loop = NULL;
    settled good = {0}, bad = {0}, none = {0};
    assert_status(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    assert_status(post_async(loop, brg_worker_id(peer), 1, &good), BRG_OK);
    assert_status(post_async(loop, brg_worker_id(peer), -1, &bad), BRG_OK);
    assert_int_equal(good.count + bad.count, 0); /* never inside the call */
    brg_status status = post_async(loop, 1000000, 1, &none);
    assert_status(brg_loop_run(loop), BRG_OK); /* keeps running until both came */
    assert_int_equal(good.count, 1);
    assert_status(good.status, BRG_OK);
    assert_status(bad.status, BRG_FAILED);
    assert_int_equal(good.released + bad.released, 2);
    assert_true(status == BRG_NOT_FOUND ? none.count == 0 : none.status == BRG_NOT_FOUND); /* known at once or later */
    expect_direct(peer, 1, 1, BRG_PROGRAM_ID);
    brg_worker_destroy(peer);
    assert_status(brg_loop_destroy(loop), BRG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(program_reaches_a_worker),
        SCENARIO_BOTH(workers_of_one_kind_reach_each_other),
        cmocka_unit_test(workers_of_both_kinds_reach_each_other),
        SCENARIO_BOTH(worker_reaches_the_program),
        SCENARIO_BOTH(nobody_has_that_id),
        SCENARIO_BOTH(ended_worker_is_not_found),
        SCENARIO_BOTH(posting_to_oneself_is_refused),
        SCENARIO_BOTH(post_waiting_ends_at_its_deadline),
        SCENARIO_BOTH(failing_handler_is_reported),
        SCENARIO_BOTH(failing_handler_of_the_program_is_reported),
        SCENARIO_BOTH(receiver_without_a_handler_is_reported),
        SCENARIO_BOTH(receiver_that_ends_in_its_handler_is_reported),
        SCENARIO_PROCESS(receiver_that_crashes_is_reported),
        SCENARIO_BOTH(nothing_and_no_time_are_refused),
        SCENARIO_BOTH(handlers_come_one_at_a_time_and_go),
        SCENARIO_BOTH(acknowledgement_comes_on_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
