/* SPDX-License-Identifier: MIT */
/*
 * A worker that is asked to end while it waits for something that never comes: the wait ends with BRG_CANCELLED, and
 * the worker by itself, long before its grace is over. A thread would be lost otherwise, a process killed.
 */
#include <stdio.h>

#include "scenario.h"

static const char *const ways[] = {"port",    "post",  "lock",  "shared32", "shared64",  "semaphore",
                                   "barrier", "latch", "token", "queue",    "condition", "broadcast"};

typedef struct asked {
    brg_loop *loop;
    brg_status ended;
    brg_exit exit;
    bool is_over;
} asked;

/* It waits, or is about to: both must end. */
static void asked_message(brg_worker *worker, brg_value *message, void *user_data)
{
    (void)message;
    (void)user_data;
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);
}

static void asked_error(brg_worker *worker, const brg_error *error, void *user_data)
{
    (void)worker;
    ((asked *)user_data)->ended = error->status;
}

static void asked_exit(brg_worker *worker, const brg_exit *exit, void *user_data)
{
    (void)worker;
    asked *a = user_data;
    a->exit = *exit;
    a->is_over = true;
}

static void asked_in(brg_isolation isolation, const char *way)
{
    char module[512];
    brg_error error;
    brg_worker *worker = NULL;
    asked a = {.ended = BRG_OK};
    snprintf(module, sizeof(module), "%s/waiting.so", getenv("TEST_MODULE_DIR"));
    assert_int_equal(brg_loop_create(&a.loop, NULL, &error), BRG_OK);
    const brg_worker_options *options = brg_worker_opts(.loop = a.loop, .isolation = isolation, .module = module,
                                                        .grace_ns = SCENARIO_LONG, .start_timeout_ns = SCENARIO_LONG,
                                                        .on_message = asked_message, .on_error = asked_error,
                                                        .on_exit = asked_exit, .user_data = &a);
    if (brg_worker_create(&worker, options, &error) != BRG_OK)
        fail_msg("%s", error.message);
    assert_int_equal(brg_worker_post(worker, scenario_string("for", way), 0, &error), BRG_OK);
    assert_int_equal(brg_loop_run(a.loop), BRG_OK);
    assert_true(a.is_over);
    if (a.exit.status != BRG_OK || a.exit.signal != 0)
        fail_msg("%s: %s, signal %d: %s", way, brg_status_name(a.exit.status), a.exit.signal, a.exit.error.message);
    if (a.ended != BRG_CANCELLED)
        fail_msg("%s: the wait ended with %s", way, brg_status_name(a.ended));
    brg_worker_destroy(worker);
    assert_int_equal(brg_loop_destroy(a.loop), BRG_OK);
}

static void every_wait_ends_when_the_worker_is_asked_to(void **state)
{
    brg_error error;
    brg_lock *lock = NULL;
    assert_int_equal(brg_lock_acquire(&lock, "asked", NULL, &error), BRG_OK);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        asked_in(scenario_isolation(state), ways[i]);
    brg_lock_release(lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENARIO_BOTH(every_wait_ends_when_the_worker_is_asked_to)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
