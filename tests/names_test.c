/* SPDX-License-Identifier: MIT */
/* Named locks, broadcast and messages by id between the program and workers of both isolations. */
#include "scenario.h"

#include <stdio.h>

#include <brigade/broadcast.h>
#include <brigade/direct.h>
#include <brigade/locks.h>

#define BOUND SCENARIO_BOUND

static const char *names_module(void)
{
    static char path[512];
    const char *directory = getenv("TEST_MODULE_DIR");
    snprintf(path, sizeof(path), "%s/names.so", directory != NULL ? directory : ".");
    return path;
}

static brg_worker *names_start(brg_isolation isolation, brg_value *init_data)
{
    brg_worker *worker = NULL;
    brg_error error;
    brg_status status = brg_worker_create(&worker,
                                          brg_worker_opts(.isolation = isolation, .module = names_module(),
                                                          .init_data = init_data, .start_timeout_ns = BRG_SECONDS(600),
                                                          .grace_ns = BRG_SECONDS(600)),
                                          &error);
    if (status != BRG_OK)
        fail_msg("%s", error.message);
    return worker;
}

static brg_worker *start(void **state) { return names_start(scenario_isolation(state), NULL); }

/* Takes the command. */
static void tell(brg_worker *worker, brg_value *command)
{
    brg_error error;
    if (brg_worker_post(worker, command, BOUND, &error) != BRG_OK)
        fail_msg("%s", error.message);
}

static brg_value *hear(brg_worker *worker)
{
    brg_value *answer = NULL;
    assert_int_equal(brg_worker_receive(worker, &answer, BOUND), BRG_OK);
    return answer;
}

static int64_t take_field(brg_value *answer, const char *field)
{
    int64_t found = brg_view_get_int(brg_value_root(answer), field, INT64_MIN);
    brg_value_unref(answer);
    return found;
}

#define command(...)                                                                                                   \
    (__extension__({                                                                                                   \
        brg_value *command_ = NULL;                                                                                    \
        assert_int_equal(brg_value_map(&command_, NULL, __VA_ARGS__), BRG_OK);                                         \
        command_;                                                                                                      \
    }))
#define ask(worker, field, ...) (tell((worker), command(__VA_ARGS__)), take_field(hear(worker), (field)))
#define ask_status(worker, ...) ((brg_status)ask(worker, "status", __VA_ARGS__))
#define is(op) brg_field_string("do", (op))
#define named(name_) brg_field_string("name", (name_))

static size_t locks_count(const char *which)
{
    brg_value *all = NULL;
    assert_int_equal(brg_locks_query(&all, NULL), BRG_OK);
    size_t count = brg_view_count(brg_view_get(brg_value_root(all), which));
    brg_value_unref(all);
    return count;
}

/* Until it is: who lets go does so soon, and says nothing. */
static void locks_until(const char *which, size_t count)
{
    brg_lock *busy = NULL; /* each look waits a little: nobody lets go of this one */
    brg_lock *held = NULL;
    assert_int_equal(brg_lock_acquire(&held, "names_test looks", NULL, NULL), BRG_OK);
    for (int i = 0; locks_count(which) != count + (which[0] == 'h'); i++) {
        assert_true(i < 60000);
        assert_int_equal(
            brg_lock_acquire(&busy, "names_test looks", brg_lock_opts(.timeout_ns = BRG_MILLISECONDS(1)), NULL),
            BRG_TIMED_OUT);
    }
    brg_lock_release(held);
}

/* ---- locks ----------------------------------------------------------------------------------------------------- */

static void a_worker_and_the_program_exclude_each_other(void **state)
{
    brg_worker *one = start(state), *two = start(state);
    brg_lock *lock = NULL;
    assert_int_equal(ask_status(one, is("acquire"), named("n")), BRG_OK);
    assert_int_equal(ask_status(two, is("try"), named("n")), BRG_FULL);
    assert_int_equal(brg_lock_acquire(&lock, "n", brg_lock_opts(.if_available = true), NULL), BRG_FULL);
    brg_value *all = NULL;
    assert_int_equal(brg_locks_query(&all, NULL), BRG_OK);
    brg_view held = brg_view_at(brg_view_get(brg_value_root(all), "held"), 0);
    assert_int_equal(brg_view_get_int(held, "worker", -1), brg_worker_id(one));
    brg_value_unref(all);
    tell(two, command(is("acquire"), named("n"), brg_field_bool("announce", true)));
    assert_int_equal(take_field(hear(two), "number"), -1);
    assert_int_equal(ask_status(one, is("release")), BRG_OK);
    assert_int_equal(take_field(hear(two), "status"), BRG_OK);
    assert_int_equal(brg_lock_acquire(&lock, "n", brg_lock_opts(.steal = true), NULL), BRG_OK);
    while (ask_status(two, is("lost")) != BRG_OK)
        ; /* the news is on its way, behind no answer */
    assert_int_equal(ask_status(two, is("release")), BRG_OK);
    assert_true(brg_lock_is_held(lock));
    brg_lock_release(lock);
    brg_worker_destroy(one);
    brg_worker_destroy(two);
    locks_until("held", 0);
}

static void a_lock_goes_with_its_worker(void **state)
{
    brg_worker *holder = names_start(scenario_isolation(state), scenario_int("leave", 1)), *waiter = start(state);
    assert_int_equal(ask_status(holder, is("acquire"), named("n")), BRG_OK);
    tell(waiter, command(is("acquire"), named("n"), brg_field_bool("announce", true)));
    assert_int_equal(take_field(hear(waiter), "number"), -1);
    if (scenario_isolation(state) == BRG_ISOLATION_PROCESS)
        tell(holder, command(is("die")));
    else
        assert_int_equal(brg_worker_terminate(holder), BRG_OK);
    assert_int_equal(take_field(hear(waiter), "status"), BRG_OK);
    brg_worker_destroy(holder);
    brg_worker_destroy(waiter);
    locks_until("held", 0);
}

/* A worker that waits for a lock ends when it is asked to, within its grace: it is not lost, nor killed. */
static void a_worker_that_waits_can_be_ended(void **state)
{
    brg_lock *lock = NULL;
    assert_int_equal(brg_lock_acquire(&lock, "n", NULL, NULL), BRG_OK);
    brg_worker *waiter = start(state);
    tell(waiter, command(is("acquire"), named("n"), brg_field_bool("announce", true)));
    assert_int_equal(take_field(hear(waiter), "number"), -1);
    locks_until("pending", 1);
    assert_int_equal(brg_worker_terminate(waiter), BRG_OK);
    brg_exit exit;
    assert_int_equal(brg_worker_wait(waiter, BOUND, &exit), BRG_OK);
    assert_int_equal(exit.status, BRG_OK);
    assert_int_equal(exit.signal, 0);
    brg_worker_destroy(waiter);
    locks_until("pending", 0);
    brg_lock_release(lock);
}

/* ---- broadcast ------------------------------------------------------------------------------------------------- */

static void workers_and_the_program_hear_each_other(void **state)
{
    brg_worker *workers[3] = {start(state), start(state),
                              names_start(BRG_ISOLATION_THREAD, NULL)}; /* both kinds on one name */
    brg_broadcast *ours = NULL;
    assert_int_equal(brg_broadcast_open(&ours, "news", NULL, NULL), BRG_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask_status(workers[i], is("open"), named("news")), BRG_OK);
    for (int i = 0; i < 5; i++) {
        brg_value *message = command(brg_field_int("number", i));
        assert_int_equal(brg_broadcast_post(ours, message, BOUND, NULL), BRG_OK);
    }
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 5; j++)
            assert_int_equal(ask(workers[i], "number", is("hear")), j);
    assert_int_equal(ask_status(workers[0], is("post"), brg_field_int("number", 77)), BRG_OK);
    assert_int_equal(ask(workers[1], "number", is("hear")), 77);
    assert_int_equal(ask(workers[2], "number", is("hear")), 77);
    brg_value *message = NULL;
    assert_int_equal(brg_broadcast_receive(ours, &message, BOUND), BRG_OK);
    assert_int_equal(take_field(message, "number"), 77);
    assert_int_equal(ask_status(workers[1], is("post"), brg_field_int("number", 78)), BRG_OK);
    assert_int_equal(ask(workers[0], "number", is("hear")), 78); /* not its own 77 */
    for (int i = 0; i < 3; i++)
        brg_worker_destroy(workers[i]);
    brg_broadcast_close(ours);
}

static void a_slow_worker_misses_some(void **state)
{
    brg_worker *worker = start(state);
    brg_broadcast *ours = NULL;
    assert_int_equal(brg_broadcast_open(&ours, "news", NULL, NULL), BRG_OK);
    assert_int_equal(ask_status(worker, is("open"), named("news"), brg_field_int("room", 4)), BRG_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(brg_broadcast_post(ours, command(brg_field_int("number", i)), BOUND, NULL), BRG_OK);
    assert_int_equal(ask(worker, "number", is("dropped")), 6);
    for (int i = 0; i < 4; i++)
        assert_int_equal(ask(worker, "number", is("hear")), i);
    brg_worker_destroy(worker);
    brg_broadcast_close(ours);
}

/* ---- any to any ------------------------------------------------------------------------------------------------ */

static void messages_by_id_are_acknowledged(void **state)
{
    brg_worker *one = start(state), *two = start(state);
    brg_value *message = command(brg_field_int("number", 5));
    brg_error error;
    assert_int_equal(brg_worker_post_to(brg_worker_id(one), message, BOUND, &error), BRG_OK);
    tell(one, command(is("nothing")));
    brg_value *answer = hear(one);
    assert_int_equal(brg_view_get_int(brg_value_root(answer), "direct_number", -1), 5);
    assert_int_equal(brg_view_get_int(brg_value_root(answer), "direct_from", -1), 0);
    brg_value_unref(answer);
    message = command(brg_field_int("number", 13));
    assert_int_equal(brg_worker_post_to(brg_worker_id(one), message, BOUND, &error), BRG_FAILED);
    assert_int_equal(error.code, 4711);
    assert_string_equal(error.message, "thirteen is unlucky");
    brg_value_unref(message);
    int64_t first = (int64_t)brg_worker_id(one), second = (int64_t)brg_worker_id(two);
    assert_int_equal(ask_status(one, is("post_to"), brg_field_int("to", second), brg_field_int("number", 6)), BRG_OK);
    assert_int_equal(ask(two, "direct_from", is("nothing")), first);
    assert_int_equal(ask_status(one, is("post_to"), brg_field_int("to", second), brg_field_int("number", 13)),
                     BRG_FAILED);
    assert_int_equal(ask_status(one, is("post_to"), brg_field_int("to", first)), BRG_DEADLOCK);
    assert_int_equal(ask_status(one, is("post_to"), brg_field_int("to", 1000000)), BRG_NOT_FOUND);
    assert_int_equal(ask_status(one, is("post_to"), brg_field_int("to", 0)), BRG_UNSUPPORTED);
    brg_worker_destroy(two);
    assert_int_equal(ask_status(one, is("post_to"), brg_field_int("to", second)), BRG_NOT_FOUND);
    brg_worker_destroy(one);
}

/* Its handler never gets its turn: it waits for a lock. */
static void a_message_by_id_times_out_or_ends_with_its_receiver(void **state)
{
    brg_worker *busy = start(state), *sender = start(state);
    brg_lock *lock = NULL;
    assert_int_equal(brg_lock_acquire(&lock, "n", NULL, NULL), BRG_OK);
    tell(busy, command(is("acquire"), named("n"), brg_field_bool("announce", true)));
    assert_int_equal(take_field(hear(busy), "number"), -1);
    int64_t to = (int64_t)brg_worker_id(busy);
    assert_int_equal(ask_status(sender, is("post_to"), brg_field_int("to", to),
                                brg_field_int("timeout", (int64_t)BRG_MILLISECONDS(3))),
                     BRG_TIMED_OUT);
    tell(sender, command(is("post_to"), brg_field_int("to", to), brg_field_bool("announce", true)));
    assert_int_equal(take_field(hear(sender), "number"), -1);
    brg_worker_destroy(busy);
    brg_status status = (brg_status)take_field(hear(sender), "status");
    assert_true(status == BRG_CLOSED || status == BRG_NOT_FOUND || status == BRG_OK); /* its wait ended first */
    brg_worker_destroy(sender);
    brg_lock_release(lock);
}

static brg_status program_direct(uint64_t from, const brg_value *message, void *user_data, brg_error *error)
{
    (void)message;
    *(uint64_t *)user_data = from;
    return brg_error_set(error, BRG_RANGE, "test", "not today");
}

static void the_program_is_worker_0(void **state)
{
    brg_loop *loop = NULL;
    brg_direct_handler *handler = NULL;
    uint64_t from = 0;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    assert_int_equal(
        brg_direct_handle(&handler,
                          brg_direct_handler_opts(.loop = loop, .on_direct = program_direct, .user_data = &from), NULL),
        BRG_OK);
    brg_worker *worker = start(state);
    tell(worker, command(is("post_to"), brg_field_int("to", 0)));
    while (from == 0)
        (void)brg_loop_dispatch(loop);
    brg_value *answer = hear(worker);
    assert_string_equal(brg_view_get_string(brg_value_root(answer), "text", ""), "not today");
    assert_int_equal(take_field(answer, "status"), BRG_FAILED);
    assert_int_equal(from, brg_worker_id(worker));
    brg_worker_destroy(worker);
    brg_direct_unhandle(handler);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(a_worker_and_the_program_exclude_each_other),
        SCENARIO_BOTH(a_lock_goes_with_its_worker),
        SCENARIO_BOTH(a_worker_that_waits_can_be_ended),
        SCENARIO_BOTH(workers_and_the_program_hear_each_other),
        SCENARIO_BOTH(a_slow_worker_misses_some),
        SCENARIO_BOTH(messages_by_id_are_acknowledged),
        SCENARIO_BOTH(a_message_by_id_times_out_or_ends_with_its_receiver),
        SCENARIO_BOTH(the_program_is_worker_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
