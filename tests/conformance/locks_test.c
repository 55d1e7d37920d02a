/* SPDX-License-Identifier: MIT */
/* Named locks: who has them, who waits, who gives up, who steals, and what becomes of those of a dead worker. */
#include "peer.h"

static brg_builder *ask_lock(const char *name, int slot, const char *flag)
{
    brg_builder *builder = peer_say_int("lock", "slot", slot);
    peer_add_string(builder, "name", name);
    if (flag != NULL)
        peer_add_int(builder, flag, 1);
    return builder;
}

static brg_status try_lock(brg_lock **lock, const char *name, brg_lock_mode mode)
{
    return brg_lock_acquire(lock, name, brg_lock_opts(.mode = mode, .if_available = true), NULL);
}

static brg_lock *take(const char *name, brg_lock_mode mode)
{
    brg_lock *lock = NULL;
    assert_status(brg_lock_acquire(&lock, name, brg_lock_opts(.mode = mode, .timeout_ns = BOUND), NULL), BRG_OK);
    return lock;
}

static brg_status answered_status(brg_worker *peer)
{
    brg_value *answer = peer_answer(peer);
    brg_status status = (brg_status)peer_int(answer, "status");
    brg_value_unref(answer);
    return status;
}

/* How many entries for `name` there are under `key` ("held" or "pending"); those of `worker` alone, unless it is -1. */
static int count_in(const brg_value *locks, const char *key, const char *name, int64_t worker)
{
    brg_view list = peer_get(locks, key);
    int count = 0;
    assert_int_equal(brg_view_type(list), BRG_TYPE_LIST);
    for (size_t i = 0; i < brg_view_count(list); i++) {
        brg_view entry = brg_view_at(list, i);
        bool same = strcmp(brg_view_get_string(entry, "name", ""), name) == 0;
        count += same && (worker == -1 || brg_view_get_int(entry, "worker", -1) == worker);
    }
    return count;
}

static int count_locks(const char *key, const char *name, int64_t worker)
{
    brg_value *locks = NULL;
    assert_status(brg_locks_query(&locks, NULL), BRG_OK);
    int count = count_in(locks, key, name, worker);
    brg_value_unref(locks);
    return count;
}

/* Asks again until so many wait for `name`. */
static void await_pending(const char *name, int count)
{
    while (count_locks("pending", name, -1) != count)
        ;
}

/* ---- exclusive and shared ---------------------------------------------------------------------------------------- */

static void exclusive_lock_is_held_by_one(void **state)
{
    brg_lock *lock = NULL;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_value_unref(peer_ask(peer, ask_lock("exclusive", 0, NULL)));
    assert_status(try_lock(&lock, "exclusive", BRG_LOCK_EXCLUSIVE), BRG_FULL);
    assert_status(try_lock(&lock, "exclusive", BRG_LOCK_SHARED), BRG_FULL);
    assert_null(lock);
    brg_value_unref(peer_ask(peer, peer_say("unlock")));
    assert_status(try_lock(&lock, "exclusive", BRG_LOCK_EXCLUSIVE), BRG_OK);
    assert_true(brg_lock_is_held(lock));
    assert_int_equal(brg_lock_get_mode(lock), BRG_LOCK_EXCLUSIVE);
    assert_string_equal(brg_lock_name(lock), "exclusive");
    assert_status(peer_ask_status(peer, ask_lock("exclusive", 0, "if_available")), BRG_FULL);
    brg_lock_release(lock);
    brg_worker_destroy(peer);
}

static void shared_lock_is_held_by_many(void **state)
{
    brg_lock *lock = NULL, *second = NULL;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_value_unref(peer_ask(peer, ask_lock("shared", 0, "shared")));
    assert_status(try_lock(&lock, "shared", BRG_LOCK_SHARED), BRG_OK);
    assert_status(try_lock(&second, "shared", BRG_LOCK_SHARED), BRG_OK);
    brg_lock *refused = NULL;
    assert_status(try_lock(&refused, "shared", BRG_LOCK_EXCLUSIVE), BRG_FULL);
    assert_int_equal(count_locks("held", "shared", -1), 3);
    brg_lock_release(lock);
    brg_lock_release(second);
    assert_status(try_lock(&refused, "shared", BRG_LOCK_EXCLUSIVE), BRG_FULL);
    brg_value_unref(peer_ask(peer, peer_say("unlock")));
    assert_status(try_lock(&refused, "shared", BRG_LOCK_EXCLUSIVE), BRG_OK);
    brg_lock_release(refused);
    brg_worker_destroy(peer);
}

static void names_do_not_hinder_each_other(void **state)
{
    static const char *const names[] = {"a", "A", "b", "", " ", "a longer one, with spaces", "\xe2\x98\x83", "-x"};
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_lock *lock = NULL;
    assert_status(brg_lock_acquire(&lock, "", NULL, NULL), BRG_INVALID);
    assert_status(brg_lock_acquire(&lock, "\xff", NULL, NULL), BRG_INVALID);
    brg_value_unref(peer_ask(peer, ask_lock("other", 1, NULL)));
    for (size_t i = 0; i < 8; i++) {
        if (names[i][0] == 0)
            continue;
        lock = take(names[i], BRG_LOCK_EXCLUSIVE);
        assert_status(peer_ask_status(peer, ask_lock(names[i], 0, "if_available")), BRG_FULL);
        brg_lock_release(lock);
    }
    brg_worker_destroy(peer);
}

static void waiter_gets_the_lock_when_it_is_released(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_lock *lock = take("handed on", BRG_LOCK_EXCLUSIVE);
    peer_post(peer, ask_lock("handed on", 0, NULL));
    await_pending("handed on", 1);
    brg_lock_release(lock);
    assert_status(answered_status(peer), BRG_OK);
    assert_int_equal(count_locks("held", "handed on", (int64_t)brg_worker_id(peer)), 1);
    brg_worker_destroy(peer);
}

static void requests_are_served_in_their_order(void **state)
{
    brg_worker *writer = peer_start(scenario_isolation(state), NULL);
    brg_worker *reader = peer_start(scenario_isolation(state), NULL);
    brg_lock *lock = take("order", BRG_LOCK_SHARED), *late = NULL;
    peer_post(writer, ask_lock("order", 0, NULL));
    await_pending("order", 1);
    peer_post(reader, ask_lock("order", 0, "shared")); /* compatible with the holder, but behind the writer */
    await_pending("order", 2);
    assert_status(try_lock(&late, "order", BRG_LOCK_SHARED), BRG_FULL);
    brg_lock_release(lock);
    assert_status(answered_status(writer), BRG_OK);
    assert_int_equal(count_locks("pending", "order", (int64_t)brg_worker_id(reader)), 1);
    brg_value_unref(peer_ask(writer, peer_say("unlock")));
    assert_status(answered_status(reader), BRG_OK);
    brg_worker_destroy(writer);
    brg_worker_destroy(reader);
}

/* ---- giving up --------------------------------------------------------------------------------------------------- */

static void lock_waiting_ends_at_its_deadline(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_lock *lock = take("timed", BRG_LOCK_EXCLUSIVE);
    brg_builder *builder = ask_lock("timed", 0, NULL);
    peer_add_int(builder, "timeout_ms", 2);
    assert_status(peer_ask_status(peer, builder), BRG_TIMED_OUT);
    assert_int_equal(count_locks("pending", "timed", -1), 0);
    brg_lock_release(lock);
    lock = take("timed", BRG_LOCK_EXCLUSIVE); /* the one that gave up is not in the way */
    brg_lock_release(lock);
    brg_worker_destroy(peer);
}

static void token_ends_the_waiting(void **state)
{
    brg_token *token = NULL;
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_lock *lock = take("cancelled", BRG_LOCK_EXCLUSIVE);
    assert_status(brg_token_create(&token, NULL), BRG_OK);
    brg_builder *builder = peer_say("token_keep");
    brg_builder_key(builder, "token");
    brg_builder_token(builder, token);
    brg_value_unref(peer_ask(peer, builder));
    peer_post(peer, ask_lock("cancelled", 0, NULL));
    await_pending("cancelled", 1);
    brg_token_cancel(token);
    assert_status(answered_status(peer), BRG_CANCELLED);
    assert_int_equal(count_locks("pending", "cancelled", -1), 0);
    assert_true(brg_lock_is_held(lock));
    brg_lock_release(lock);
    assert_status(peer_ask_status(peer, ask_lock("cancelled", 0, NULL)), BRG_CANCELLED); /* before it waits, too */
    brg_worker_destroy(peer);
    brg_token_unref(token);
}

static void token_does_not_take_a_held_lock_away(void **state)
{
    brg_token *token = NULL;
    brg_lock *lock = NULL;
    (void)state;
    assert_status(brg_token_create(&token, NULL), BRG_OK);
    assert_status(brg_lock_acquire(&lock, "kept", brg_lock_opts(.token = token), NULL), BRG_OK);
    brg_token_cancel(token);
    assert_true(brg_lock_is_held(lock));
    brg_lock_release(lock);
    brg_token_unref(token);
}

/* ---- stealing ---------------------------------------------------------------------------------------------------- */

static void stolen_lock_is_lost(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_lock *lock = take("stolen", BRG_LOCK_EXCLUSIVE);
    assert_false(brg_lock_is_lost(lock));
    brg_value_unref(peer_ask(peer, ask_lock("stolen", 0, "steal")));
    assert_false(brg_lock_is_held(lock));
    assert_true(brg_lock_is_lost(lock));
    brg_lock_release(lock); /* takes nothing from the thief */
    assert_int_equal(peer_ask_int(peer, peer_say("lock_state"), "held"), 1);
    assert_int_equal(count_locks("held", "stolen", (int64_t)brg_worker_id(peer)), 1);
    brg_worker_destroy(peer);
}

static void worker_learns_that_its_lock_was_stolen(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_lock *lock = NULL;
    brg_value_unref(peer_ask(peer, ask_lock("taken", 0, NULL)));
    assert_status(brg_lock_acquire(&lock, "taken", brg_lock_opts(.steal = true), NULL), BRG_OK);
    assert_true(brg_lock_is_held(lock));
    brg_value_unref(peer_ask(peer, peer_say("locks"))); /* there and back: the news came first */
    brg_value *told = peer_ask(peer, peer_say("lock_state"));
    assert_int_equal(peer_int(told, "held"), 0);
    assert_int_equal(peer_int(told, "lost"), 1);
    brg_value_unref(told);
    brg_value_unref(peer_ask(peer, peer_say("unlock")));
    assert_true(brg_lock_is_held(lock));
    brg_lock_release(lock);
    brg_worker_destroy(peer);
}

static void thief_goes_before_all_who_wait(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_lock *lock = take("queue", BRG_LOCK_EXCLUSIVE), *thief = NULL;
    peer_post(peer, ask_lock("queue", 0, NULL));
    await_pending("queue", 1);
    assert_status(brg_lock_acquire(&thief, "queue", brg_lock_opts(.steal = true), NULL), BRG_OK);
    brg_lock_release(lock);
    assert_int_equal(count_locks("pending", "queue", -1), 1); /* still waits */
    brg_lock_release(thief);
    assert_status(answered_status(peer), BRG_OK);
    brg_worker_destroy(peer);
}

static void stealing_is_exclusive_and_never_polite(void **state)
{
    brg_lock *lock = NULL;
    (void)state;
    assert_status(brg_lock_acquire(&lock, "rude", brg_lock_opts(.steal = true, .mode = BRG_LOCK_SHARED), NULL),
                  BRG_INVALID);
    assert_status(brg_lock_acquire(&lock, "rude", brg_lock_opts(.steal = true, .if_available = true), NULL),
                  BRG_INVALID);
    assert_null(lock);
    assert_int_equal(count_locks("held", "rude", -1), 0);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static void terminated_worker_lets_go(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_value_unref(peer_ask(peer, ask_lock("left", 0, NULL)));
    brg_value_unref(peer_ask(peer, ask_lock("left too", 1, "shared")));
    assert_status(brg_worker_terminate(peer), BRG_OK);
    brg_lock *lock = take("left", BRG_LOCK_EXCLUSIVE);
    brg_lock *other = take("left too", BRG_LOCK_EXCLUSIVE);
    brg_lock_release(lock);
    brg_lock_release(other);
    brg_worker_destroy(peer);
}

static void crashed_worker_lets_go(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_value_unref(peer_ask(peer, ask_lock("crashed", 0, NULL)));
    peer_post(peer, peer_say("abort"));
    brg_lock_release(take("crashed", BRG_LOCK_EXCLUSIVE));
    brg_worker_destroy(peer);
}

static void terminated_worker_waits_no_more(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_lock *lock = take("awaited", BRG_LOCK_EXCLUSIVE);
    peer_post(peer, ask_lock("awaited", 0, NULL));
    await_pending("awaited", 1);
    brg_worker_destroy(peer);
    assert_int_equal(count_locks("pending", "awaited", -1), 0);
    brg_lock_release(lock);
    brg_lock_release(take("awaited", BRG_LOCK_EXCLUSIVE));
}

/* ---- query ------------------------------------------------------------------------------------------------------- */

static void query_shows_who_holds_and_waits(void **state)
{
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_lock *lock = take("asked about", BRG_LOCK_EXCLUSIVE);
    brg_value_unref(peer_ask(peer, ask_lock("its own", 0, "shared")));
    peer_post(peer, ask_lock("asked about", 1, NULL));
    await_pending("asked about", 1);
    int64_t id = (int64_t)brg_worker_id(peer);
    assert_int_equal(count_locks("held", "asked about", 0), 1);
    assert_int_equal(count_locks("held", "its own", id), 1);
    assert_int_equal(count_locks("pending", "asked about", id), 1);
    brg_value *locks = NULL;
    assert_status(brg_locks_query(&locks, NULL), BRG_OK);
    brg_view held = peer_get(locks, "held");
    for (size_t i = 0; i < brg_view_count(held); i++) {
        brg_view entry = brg_view_at(held, i);
        bool is_its = strcmp(brg_view_get_string(entry, "name", ""), "its own") == 0;
        assert_string_equal(brg_view_get_string(entry, "mode", ""), is_its ? "shared" : "exclusive");
    }
    brg_value_unref(locks);
    brg_lock_release(lock);
    assert_status(answered_status(peer), BRG_OK);
    brg_value *answer = peer_ask(peer, peer_say("locks")); /* a worker sees the same */
    locks = NULL;
    assert_int_equal(brg_view_count(brg_view_get(peer_get(answer, "locks"), "held")), 2);
    brg_value_unref(answer);
    brg_worker_destroy(peer);
}

static void query_keeps_the_order_of_requests(void **state)
{
    brg_worker *peers[3];
    brg_lock *lock = take("line", BRG_LOCK_EXCLUSIVE);
    for (int i = 0; i < 3; i++) {
        peers[i] = peer_start(scenario_isolation(state), NULL);
        peer_post(peers[i], ask_lock("line", 0, "shared"));
        await_pending("line", i + 1);
    }
    brg_value *locks = NULL;
    assert_status(brg_locks_query(&locks, NULL), BRG_OK);
    brg_view pending = peer_get(locks, "pending");
    assert_int_equal(brg_view_count(pending), 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(brg_view_get_int(brg_view_at(pending, i), "worker", -1), brg_worker_id(peers[i]));
    brg_value_unref(locks);
    brg_lock_release(lock);
    for (int i = 0; i < 3; i++)
        assert_status(answered_status(peers[i]), BRG_OK); /* all three together */
    assert_int_equal(count_locks("held", "line", -1), 3);
    for (int i = 0; i < 3; i++)
        brg_worker_destroy(peers[i]);
    assert_int_equal(count_locks("held", "line", -1), 0);
}

/* ---- on a loop --------------------------------------------------------------------------------------------------- */

typedef struct asked {
    int granted, lost, released;
    brg_status status;
} asked;

static void on_granted(brg_lock *lock, const brg_error *error, void *user_data)
{
    asked *mine = user_data;
    mine->granted++;
    mine->status = error != NULL ? error->status : BRG_OK;
    assert_int_equal(brg_lock_is_held(lock), error == NULL);
}

static void on_lost(brg_lock *lock, void *user_data)
{
    assert_true(brg_lock_is_lost(lock));
    ((asked *)user_data)->lost++;
}

static void on_release(void *user_data) { ((asked *)user_data)->released++; }

static brg_lock *request(brg_loop *loop, const char *name, bool if_available, asked *mine)
{
    brg_lock *lock = NULL;
    assert_status(brg_lock_request(&lock, name,
                                   brg_lock_opts(.loop = loop, .if_available = if_available, .on_granted = on_granted,
                                                 .on_lost = on_lost, .release = on_release, .user_data = mine),
                                   NULL),
                  BRG_OK);
    assert_int_equal(mine->granted, 0); /* never inside the call */
    return lock;
}

static void request_is_granted_on_the_loop(void **state)
{
    brg_loop *loop = NULL;
    asked first = {0}, second = {0}, refused = {0};
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    assert_status(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_lock *lock = request(loop, "looped", false, &first);
    assert_status(brg_loop_run(loop), BRG_OK);
    assert_int_equal(first.granted, 1);
    assert_status(first.status, BRG_OK);
    brg_lock *never = request(loop, "looped", true, &refused);
    assert_status(brg_loop_run(loop), BRG_OK);
    assert_status(refused.status, BRG_FULL);
    brg_value_unref(peer_ask(peer, ask_lock("looped", 0, "steal")));
    brg_lock *next = request(loop, "looped", false, &second);
    peer_post(peer, peer_say("unlock"));
    assert_status(brg_loop_run(loop), BRG_OK);
    assert_int_equal(first.lost, 1);
    assert_int_equal(second.granted, 1);
    assert_status(second.status, BRG_OK);
    brg_lock *all[] = {lock, never, next};
    for (int i = 0; i < 3; i++)
        brg_lock_release(all[i]);
    brg_worker_destroy(peer);
    assert_status(brg_loop_run(loop), BRG_OK);
    assert_int_equal(first.released + second.released + refused.released, 3);
    assert_status(brg_loop_destroy(loop), BRG_OK);
}

static void withdrawn_request_is_never_granted(void **state)
{
    brg_loop *loop = NULL;
    asked mine = {0};
    (void)state;
    assert_status(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_lock *holder = take("withdrawn", BRG_LOCK_EXCLUSIVE);
    brg_lock *lock = request(loop, "withdrawn", false, &mine);
    brg_lock_release(lock);
    brg_lock_release(holder);
    assert_status(brg_loop_run(loop), BRG_OK);
    assert_int_equal(mine.granted, 0);
    assert_int_equal(mine.released, 1);
    brg_lock_release(take("withdrawn", BRG_LOCK_EXCLUSIVE));
    assert_status(brg_loop_destroy(loop), BRG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(exclusive_lock_is_held_by_one),
        SCENARIO_BOTH(shared_lock_is_held_by_many),
        SCENARIO_BOTH(names_do_not_hinder_each_other),
        SCENARIO_BOTH(waiter_gets_the_lock_when_it_is_released),
        SCENARIO_BOTH(requests_are_served_in_their_order),
        SCENARIO_BOTH(lock_waiting_ends_at_its_deadline),
        SCENARIO_BOTH(token_ends_the_waiting),
        cmocka_unit_test(token_does_not_take_a_held_lock_away),
        SCENARIO_BOTH(stolen_lock_is_lost),
        SCENARIO_BOTH(worker_learns_that_its_lock_was_stolen),
        SCENARIO_BOTH(thief_goes_before_all_who_wait),
        cmocka_unit_test(stealing_is_exclusive_and_never_polite),
        SCENARIO_BOTH(terminated_worker_lets_go),
        SCENARIO_PROCESS(crashed_worker_lets_go),
        SCENARIO_BOTH(terminated_worker_waits_no_more),
        SCENARIO_BOTH(query_shows_who_holds_and_waits),
        SCENARIO_BOTH(query_keeps_the_order_of_requests),
        SCENARIO_BOTH(request_is_granted_on_the_loop),
        cmocka_unit_test(withdrawn_request_is_never_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
