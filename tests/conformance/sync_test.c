/* SPDX-License-Identifier: MIT */
/* What people build on shared memory, between workers: and what happens when one dies that holds something. */
#include "peer.h"

#define AT 64
#define COUNTER 1024
#define MUTEX 512

static brg_builder *at(const char *command) { return peer_say_int(command, "offset", AT); }

static brg_builder *at_within(const char *command, int64_t timeout_ms)
{
    brg_builder *builder = at(command);
    peer_add_int(builder, "timeout_ms", timeout_ms);
    return builder;
}

static brg_status answered_status(brg_worker *peer)
{
    brg_value *answer = peer_answer(peer);
    brg_status status = (brg_status)peer_int(answer, "status");
    brg_value_unref(answer);
    return status;
}

/* A worker that shares `*shared`, which is made. */
static brg_worker *with_memory(void **state, brg_shared **shared)
{
    *shared = peer_shared(4096);
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    peer_give_shared(peer, *shared);
    return peer;
}

static void done_with(brg_worker *peer, brg_shared *shared)
{
    brg_worker_destroy(peer);
    brg_shared_unref(shared);
}

/* ---- mutex ------------------------------------------------------------------------------------------------------- */

static void mutex_lets_one_in_at_a_time(void **state)
{
    brg_shared *shared;
    brg_worker *peer = with_memory(state, &shared);
    uint32_t *word = (uint32_t *)((char *)brg_shared_data(shared) + COUNTER);
    brg_builder *builder = at("mutex_count");
    peer_add_int(builder, "counter", COUNTER);
    peer_add_int(builder, "times", 5000);
    peer_post(peer, builder);
    for (int i = 0; i < 5000; i++) {
        assert_status(brg_mutex_lock(shared, AT, BOUND), BRG_OK);
        ++*word;
        assert_status(brg_mutex_unlock(shared, AT), BRG_OK);
    }
    assert_status(answered_status(peer), BRG_OK);
    assert_int_equal(*word, 10000);
    done_with(peer, shared);
}

static void mutex_is_its_holders_alone(void **state)
{
    brg_shared *shared;
    brg_worker *peer = with_memory(state, &shared);
    assert_status(peer_ask_status(peer, at("mutex_lock")), BRG_OK);
    assert_status(peer_ask_status(peer, at("mutex_lock")), BRG_DEADLOCK);
    assert_status(brg_mutex_unlock(shared, AT), BRG_STATE);
    assert_status(brg_mutex_lock(shared, AT, 0), BRG_TIMED_OUT);
    assert_status(brg_mutex_lock(shared, AT, BRG_MILLISECONDS(2)), BRG_TIMED_OUT);
    assert_status(peer_ask_status(peer, at("mutex_unlock")), BRG_OK);
    assert_status(peer_ask_status(peer, at("mutex_unlock")), BRG_STATE);
    assert_status(brg_mutex_lock(shared, AT, 0), BRG_OK);
    assert_status(peer_ask_status(peer, at_within("mutex_lock", 2)), BRG_TIMED_OUT);
    assert_status(brg_mutex_unlock(shared, AT), BRG_OK);
    done_with(peer, shared);
}

static void waiting_for_the_mutex_ends_when_it_is_free(void **state)
{
    brg_shared *shared;
    brg_worker *peer = with_memory(state, &shared);
    assert_status(brg_mutex_lock(shared, AT, 0), BRG_OK);
    peer_post(peer, at("mutex_lock"));
    assert_status(brg_mutex_unlock(shared, AT), BRG_OK);
    assert_status(answered_status(peer), BRG_OK);
    assert_status(brg_mutex_lock(shared, AT, 0), BRG_TIMED_OUT);
    done_with(peer, shared);
}

static void mutex_of_a_dead_worker_is_taken_over(void **state)
{
    brg_shared *shared;
    brg_worker *peer = with_memory(state, &shared);
    assert_status(peer_ask_status(peer, at("mutex_lock")), BRG_OK);
    peer_post(peer, peer_say("abort"));
    assert_status(brg_mutex_lock(shared, AT, BOUND), BRG_OWNER_DIED);
    assert_status(brg_mutex_recovered(shared, AT), BRG_OK);
    assert_status(brg_mutex_unlock(shared, AT), BRG_OK);
    assert_status(brg_mutex_lock(shared, AT, 0), BRG_OK); /* an ordinary one again */
    assert_status(brg_mutex_unlock(shared, AT), BRG_OK);
    done_with(peer, shared);
}

static void mutex_nobody_repairs_is_unusable(void **state)
{
    brg_shared *shared;
    brg_worker *peer = with_memory(state, &shared);
    assert_status(peer_ask_status(peer, at("mutex_lock")), BRG_OK);
    peer_post(peer, peer_say("abort"));
    assert_status(brg_mutex_lock(shared, AT, BOUND), BRG_OWNER_DIED);
    assert_status(brg_mutex_unlock(shared, AT), BRG_OK);
    assert_status(brg_mutex_lock(shared, AT, BOUND), BRG_STATE);
    assert_status(brg_mutex_init(shared, AT), BRG_OK);
    assert_status(brg_mutex_lock(shared, AT, 0), BRG_OK);
    assert_status(brg_mutex_unlock(shared, AT), BRG_OK);
    done_with(peer, shared);
}

/* ---- reader-writer lock ------------------------------------------------------------------------------------------ */

static void readers_share_writers_do_not(void **state)
{
    brg_shared *shared;
    brg_worker *peer = with_memory(state, &shared);
    assert_status(brg_rwlock_read(shared, AT, 0), BRG_OK);
    assert_status(peer_ask_status(peer, at("rwlock_read")), BRG_OK);
    assert_status(brg_rwlock_write(shared, 2048, 0), BRG_OK); /* another lock */
    assert_status(brg_rwlock_end_write(shared, 2048), BRG_OK);
    assert_status(brg_rwlock_end_read(shared, AT), BRG_OK);
    assert_status(brg_rwlock_write(shared, AT, 0), BRG_TIMED_OUT);
    assert_status(peer_ask_status(peer, at("rwlock_end_read")), BRG_OK);
    assert_status(brg_rwlock_write(shared, AT, BOUND), BRG_OK);
    assert_status(peer_ask_status(peer, at_within("rwlock_read", 2)), BRG_TIMED_OUT);
    assert_status(peer_ask_status(peer, at_within("rwlock_write", 2)), BRG_TIMED_OUT);
    assert_status(brg_rwlock_end_write(shared, AT), BRG_OK);
    assert_status(peer_ask_status(peer, at("rwlock_write")), BRG_OK);
    done_with(peer, shared);
}

static void read_lock_of_a_dead_worker_goes(void **state)
{
    brg_shared *shared;
    brg_worker *peer = with_memory(state, &shared);
    assert_status(peer_ask_status(peer, at("rwlock_read")), BRG_OK);
    peer_post(peer, peer_say("abort"));
    assert_status(brg_rwlock_write(shared, AT, BOUND), BRG_OK);
    assert_status(brg_rwlock_end_write(shared, AT), BRG_OK);
    done_with(peer, shared);
}

static void write_lock_of_a_dead_worker_is_taken_over(void **state)
{
    brg_shared *shared;
    brg_worker *peer = with_memory(state, &shared);
    assert_status(peer_ask_status(peer, at("rwlock_write")), BRG_OK);
    peer_post(peer, peer_say("abort"));
    assert_status(brg_rwlock_write(shared, AT, BOUND), BRG_OWNER_DIED);
    assert_status(brg_rwlock_recovered(shared, AT), BRG_OK);
    assert_status(brg_rwlock_end_write(shared, AT), BRG_OK);
    assert_status(brg_rwlock_read(shared, AT, 0), BRG_OK);
    assert_status(brg_rwlock_end_read(shared, AT), BRG_OK);
    done_with(peer, shared);
}

/* ---- condition, semaphore, barrier, latch ------------------------------------------------------------------------ */

static void condition_wakes_who_waits_for_a_change(void **state)
{
    brg_shared *shared;
    brg_worker *peer = with_memory(state, &shared);
    brg_worker *second = peer_start(scenario_isolation(state), NULL);
    brg_worker *both[] = {peer, second};
    peer_give_shared(second, shared);
    for (int i = 0; i < 2; i++) {
        brg_builder *builder = at("condition_wait");
        peer_add_int(builder, "mutex", MUTEX);
        peer_add_int(builder, "counter", COUNTER);
        peer_post(both[i], builder);
    }
    assert_status(brg_mutex_lock(shared, MUTEX, BOUND), BRG_OK);
    brg_shared_store32(shared, COUNTER, 1);
    assert_status(brg_condition_broadcast(shared, AT), BRG_OK);
    assert_status(brg_mutex_unlock(shared, MUTEX), BRG_OK);
    assert_status(answered_status(peer), BRG_OK);
    assert_status(answered_status(second), BRG_OK);
    assert_status(brg_condition_wait(shared, AT, MUTEX, 0), BRG_STATE); /* without the mutex */
    assert_status(brg_mutex_lock(shared, MUTEX, 0), BRG_OK);
    assert_status(brg_condition_wait(shared, AT, MUTEX, BRG_MILLISECONDS(2)), BRG_TIMED_OUT);
    assert_status(brg_mutex_unlock(shared, MUTEX), BRG_OK); /* it was held again */
    brg_worker_destroy(second);
    done_with(peer, shared);
}

static void semaphore_gives_out_its_permits(void **state)
{
    brg_shared *shared;
    uint32_t left = 9;
    brg_worker *peer = with_memory(state, &shared);
    assert_status(brg_semaphore_init(shared, AT, 2), BRG_OK);
    assert_status(peer_ask_status(peer, at("semaphore_acquire")), BRG_OK);
    assert_status(brg_semaphore_acquire(shared, AT, 0), BRG_OK);
    assert_status(peer_ask_status(peer, at_within("semaphore_acquire", 2)), BRG_TIMED_OUT);
    peer_post(peer, at("semaphore_acquire"));
    assert_status(brg_semaphore_release(shared, AT, 1), BRG_OK);
    assert_status(answered_status(peer), BRG_OK);
    assert_status(peer_ask_status(peer, at("semaphore_release")), BRG_OK);
    assert_status(brg_semaphore_count(shared, AT, &left), BRG_OK);
    assert_int_equal(left, 1);
    assert_status(brg_semaphore_release(shared, AT, UINT32_MAX), BRG_TOO_LARGE);
    done_with(peer, shared);
}

static void barrier_lets_nobody_go_early(void **state)
{
    brg_shared *shared;
    brg_worker *peers[4] = {with_memory(state, &shared)};
    int64_t led = 0;
    assert_status(brg_barrier_wait(shared, AT, 0, NULL), BRG_STATE); /* none was made */
    assert_status(brg_barrier_init(shared, AT, 4), BRG_OK);
    for (int i = 0; i < 4; i++) {
        if (i > 0) {
            peers[i] = peer_start(scenario_isolation(state), NULL);
            peer_give_shared(peers[i], shared);
        }
        brg_builder *builder = at("barrier");
        peer_add_int(builder, "counter", COUNTER);
        peer_add_int(builder, "parties", 4);
        peer_add_int(builder, "times", 25);
        peer_post(peers[i], builder);
    }
    for (int i = 0; i < 4; i++) {
        brg_value *answer = peer_answer(peers[i]);
        assert_status((brg_status)peer_int(answer, "status"), BRG_OK);
        assert_int_equal(peer_int(answer, "early"), 0);
        led += peer_int(answer, "led");
        brg_value_unref(answer);
    }
    assert_int_equal(led, 25); /* one leader a round */
    for (int i = 1; i < 4; i++)
        brg_worker_destroy(peers[i]);
    done_with(peers[0], shared);
}

static void latch_opens_when_all_have_counted(void **state)
{
    brg_shared *shared;
    uint32_t left = 9;
    brg_worker *peer = with_memory(state, &shared);
    assert_status(brg_latch_init(shared, AT, 3), BRG_OK);
    peer_post(peer, at("latch_wait"));
    assert_status(brg_latch_wait(shared, AT, 0), BRG_TIMED_OUT);
    assert_status(brg_latch_count_down(shared, AT, 2), BRG_OK);
    assert_status(brg_latch_count_down(shared, AT, 2), BRG_RANGE);
    assert_status(brg_latch_count(shared, AT, &left), BRG_OK);
    assert_int_equal(left, 1);
    assert_status(brg_latch_count_down(shared, AT, 1), BRG_OK);
    assert_status(answered_status(peer), BRG_OK);
    assert_status(brg_latch_wait(shared, AT, 0), BRG_OK); /* it stays open */
    done_with(peer, shared);
}

/* ---- once, queue ------------------------------------------------------------------------------------------------- */

static brg_builder *do_once(int64_t hold)
{
    brg_builder *builder = at("once");
    peer_add_int(builder, "counter", COUNTER);
    peer_add_int(builder, "hold", hold);
    return builder;
}

static void once_runs_once_among_workers(void **state)
{
    brg_shared *shared;
    bool run = true;
    brg_worker *peers[3] = {with_memory(state, &shared)};
    for (int i = 0; i < 3; i++) {
        if (i > 0) {
            peers[i] = peer_start(scenario_isolation(state), NULL);
            peer_give_shared(peers[i], shared);
        }
        peer_post(peers[i], do_once(0));
    }
    int64_t ran = 0;
    for (int i = 0; i < 3; i++) {
        brg_value *answer = peer_answer(peers[i]);
        assert_status((brg_status)peer_int(answer, "status"), BRG_OK);
        ran += peer_int(answer, "ran");
        brg_value_unref(answer);
    }
    assert_int_equal(ran, 1);
    assert_int_equal(peer_load(shared, COUNTER), 1);
    assert_status(brg_once_begin(shared, AT, 0, &run), BRG_OK);
    assert_false(run);
    for (int i = 1; i < 3; i++)
        brg_worker_destroy(peers[i]);
    done_with(peers[0], shared);
}

static void once_of_a_dead_worker_is_begun_anew(void **state)
{
    brg_shared *shared;
    bool run = false;
    brg_worker *peer = with_memory(state, &shared);
    assert_int_equal(peer_ask_int(peer, do_once(1), "ran"), 1);
    assert_status(brg_once_begin(shared, AT, 0, &run), BRG_TIMED_OUT);
    peer_post(peer, peer_say("abort"));
    assert_status(brg_once_begin(shared, AT, BOUND, &run), BRG_OWNER_DIED);
    assert_true(run);
    assert_status(brg_once_end(shared, AT, true), BRG_OK);
    assert_status(brg_once_begin(shared, AT, 0, &run), BRG_OK);
    assert_false(run);
    done_with(peer, shared);
}

static void queue_hands_every_item_to_one_worker(void **state)
{
    brg_shared *shared;
    brg_worker *maker = with_memory(state, &shared), *takers[2];
    assert_status(brg_queue_init(shared, AT, 8, sizeof(uint64_t)), BRG_OK);
    for (int i = 0; i < 2; i++) {
        takers[i] = peer_start(scenario_isolation(state), NULL);
        peer_give_shared(takers[i], shared);
        peer_post(takers[i], at("queue_drain"));
    }
    brg_builder *builder = at("queue_push");
    peer_add_int(builder, "first", 1001);
    peer_add_int(builder, "count", 1000);
    peer_post(maker, builder);
    for (uint64_t item = 1; item <= 1000; item++)
        assert_status(brg_queue_push(shared, AT, &item, sizeof(item), BOUND), BRG_OK);
    assert_status(answered_status(maker), BRG_OK);
    assert_status(brg_queue_close(shared, AT), BRG_OK);
    int64_t sum = 0, count = 0;
    for (int i = 0; i < 2; i++) {
        brg_value *answer = peer_answer(takers[i]);
        assert_status((brg_status)peer_int(answer, "status"), BRG_OK);
        sum += peer_int(answer, "sum");
        count += peer_int(answer, "count");
        brg_value_unref(answer);
        brg_worker_destroy(takers[i]);
    }
    assert_int_equal(count, 2000);
    assert_int_equal(sum, 2000 * 2001 / 2);
    done_with(maker, shared);
}

static void queue_knows_full_empty_and_closed(void **state)
{
    brg_shared *shared = peer_shared(4096);
    uint64_t item = 5;
    (void)state;
    assert_status(brg_queue_push(shared, AT, &item, sizeof(item), 0), BRG_STATE);
    assert_status(brg_queue_init(shared, AT, 2, sizeof(item)), BRG_OK);
    assert_status(brg_queue_pop(shared, AT, &item, sizeof(item), 0), BRG_EMPTY);
    assert_status(brg_queue_push(shared, AT, &item, 4, 0), BRG_INVALID);
    for (item = 1; item <= 2; item++)
        assert_status(brg_queue_push(shared, AT, &item, sizeof(item), 0), BRG_OK);
    assert_status(brg_queue_push(shared, AT, &item, sizeof(item), 0), BRG_FULL);
    assert_status(brg_queue_push(shared, AT, &item, sizeof(item), BRG_MILLISECONDS(2)), BRG_TIMED_OUT);
    assert_status(brg_queue_close(shared, AT), BRG_OK);
    assert_status(brg_queue_push(shared, AT, &item, sizeof(item), BOUND), BRG_CLOSED);
    for (uint64_t want = 1; want <= 2; want++) {
        assert_status(brg_queue_pop(shared, AT, &item, sizeof(item), 0), BRG_OK);
        assert_true(item == want);
    }
    assert_status(brg_queue_pop(shared, AT, &item, sizeof(item), BOUND), BRG_CLOSED);
    brg_shared_unref(shared);
}

/* ---- cancel tokens ----------------------------------------------------------------------------------------------- */

static brg_worker *with_token(void **state, brg_token **token)
{
    *token = NULL;
    assert_status(brg_token_create(token, NULL), BRG_OK);
    brg_worker *peer = peer_start(scenario_isolation(state), NULL);
    brg_builder *builder = peer_say("token_keep");
    brg_builder_key(builder, "token");
    brg_builder_token(builder, *token);
    brg_value_unref(peer_ask(peer, builder));
    return peer;
}

static void cancelling_is_seen_by_a_worker_that_computes(void **state)
{
    brg_token *token;
    brg_worker *peer = with_token(state, &token);
    assert_int_equal(peer_ask_int(peer, peer_say("token_state"), "cancelled"), 0);
    peer_post(peer, peer_say("token_spin"));
    brg_value_unref(peer_answer(peer)); /* it spins */
    brg_token_cancel(token);
    brg_token_cancel(token);
    assert_status(answered_status(peer), BRG_OK);
    assert_int_equal(peer_ask_int(peer, peer_say("token_state"), "cancelled"), 1);
    brg_worker_destroy(peer);
    brg_token_unref(token);
}

static void worker_cancels_for_all(void **state)
{
    brg_token *token;
    brg_worker *peer = with_token(state, &token);
    assert_status(brg_token_wait(token, 0), BRG_TIMED_OUT);
    assert_status(peer_ask_status(peer, peer_say_int("token_wait", "timeout_ms", 2)), BRG_TIMED_OUT);
    peer_post(peer, peer_say("token_cancel"));
    assert_status(brg_token_wait(token, BOUND), BRG_OK);
    assert_true(brg_token_is_cancelled(token));
    assert_false(brg_token_is_cancelled(NULL));
    brg_worker_destroy(peer);
    brg_token_unref(token);
}

static void token_cancelled(void *user_data) { ++*(int *)user_data; }

static void watches_run_once_on_their_loop(void **state)
{
    brg_token *token;
    brg_loop *loop = NULL;
    brg_token_watch *kept = NULL, *ended = NULL;
    int first = 0, second = 0, late = 0;
    brg_worker *peer = with_token(state, &token);
    assert_status(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    assert_status(
        brg_token_on_cancel(
            token, brg_token_watch_opts(.loop = loop, .cancelled = token_cancelled, .user_data = &first), &kept, NULL),
        BRG_OK);
    assert_status(brg_token_on_cancel(
                      token, brg_token_watch_opts(.loop = loop, .cancelled = token_cancelled, .user_data = &second),
                      &ended, NULL),
                  BRG_OK);
    brg_token_watch_destroy(ended);
    brg_value_unref(peer_ask(peer, peer_say("token_cancel")));
    assert_int_equal(first, 0); /* not before the loop runs */
    assert_status(brg_loop_run(loop), BRG_OK);
    assert_int_equal(first, 1);
    assert_int_equal(second, 0);
    brg_token_watch_destroy(kept);
    assert_status(
        brg_token_on_cancel(token, brg_token_watch_opts(.loop = loop, .cancelled = token_cancelled, .user_data = &late),
                            NULL, NULL),
        BRG_OK);
    assert_int_equal(late, 0); /* already cancelled: soon, not now */
    assert_status(brg_loop_run(loop), BRG_OK);
    assert_int_equal(late, 1);
    brg_worker_destroy(peer);
    brg_token_unref(token);
    assert_status(brg_loop_destroy(loop), BRG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(mutex_lets_one_in_at_a_time),
        SCENARIO_BOTH(mutex_is_its_holders_alone),
        SCENARIO_BOTH(waiting_for_the_mutex_ends_when_it_is_free),
        SCENARIO_PROCESS(mutex_of_a_dead_worker_is_taken_over),
        SCENARIO_PROCESS(mutex_nobody_repairs_is_unusable),
        SCENARIO_BOTH(readers_share_writers_do_not),
        SCENARIO_PROCESS(read_lock_of_a_dead_worker_goes),
        SCENARIO_PROCESS(write_lock_of_a_dead_worker_is_taken_over),
        SCENARIO_BOTH(condition_wakes_who_waits_for_a_change),
        SCENARIO_BOTH(semaphore_gives_out_its_permits),
        SCENARIO_BOTH(barrier_lets_nobody_go_early),
        SCENARIO_BOTH(latch_opens_when_all_have_counted),
        SCENARIO_BOTH(once_runs_once_among_workers),
        SCENARIO_PROCESS(once_of_a_dead_worker_is_begun_anew),
        SCENARIO_BOTH(queue_hands_every_item_to_one_worker),
        cmocka_unit_test(queue_knows_full_empty_and_closed),
        SCENARIO_BOTH(cancelling_is_seen_by_a_worker_that_computes),
        SCENARIO_BOTH(worker_cancels_for_all),
        SCENARIO_BOTH(watches_run_once_on_their_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
