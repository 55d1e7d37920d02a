/* SPDX-License-Identifier: MIT */
/* Workers and loops under torture. */
#include "torture.h"

#include <brigade/uv.h>

#include "os/fault.h"

/* ---- workers ----------------------------------------------------------------------------------------------------- */

static void torture_exit_count(brg_worker *worker, const brg_exit *exit, void *user_data)
{
    (void)worker;
    (void)exit;
    ++*(int *)user_data;
}

static void worker_with_a_mailbox(brg_isolation isolation)
{
    brg_worker *worker = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (!torture_worked(
            brg_worker_create(&worker,
                              brg_worker_opts(.isolation = isolation, TORTURE_PATIENCE, .module = scenario_module()),
                              &error),
            &error, "brg_worker_create")) {
        torture_expect(worker == NULL, "a failed create gave a worker");
        return;
    }
    bool online = torture_worked(brg_worker_wait_online(worker, TORTURE_LONG, &error), &error,
                                 "brg_worker_wait_online");
    for (int i = 0; i < 3 && online; i++) {
        brg_value *message = NULL, *answer = NULL;
        if (!torture_worked(brg_value_map(&message, &error, brg_field_int("n", i)), &error, "brg_value_map"))
            continue;
        if (!torture_worked(brg_worker_post(worker, message, TORTURE_LONG, &error), &error, "brg_worker_post")) {
            brg_value_unref(message);
            continue;
        }
        brg_status status;
        do /* the handler may have failed: then no answer comes */
            status = brg_worker_receive(worker, &answer, BRG_MILLISECONDS(200));
        while (status == BRG_TIMED_OUT && !brg__fault_fired());
        if (torture_worked(status, NULL, "brg_worker_receive")) {
            brg_value_unref(answer);
        } else {
            torture_expect(answer == NULL, "a failed receive gave a message");
            torture_expect(brg__fault_fired(), "a message was lost for no reason");
        }
    }
    brg_worker_destroy(worker);
}

/* Messages by callback. The handler's own failures are reported, and cost an answer; nothing else does. */
typedef struct torture_chat {
    brg_loop *loop;
    int outstanding;
} torture_chat;

static void torture_less(torture_chat *chat)
{
    if (--chat->outstanding == 0)
        brg_loop_stop(chat->loop);
}

static void torture_message(brg_worker *worker, brg_value *message, void *user_data)
{
    (void)worker;
    torture_expect(brg_view_get_int(brg_value_root(message), "n", -1) >= 0, "a message is broken");
    torture_less(user_data);
}

static void torture_error(brg_worker *worker, const brg_error *error, void *user_data)
{
    (void)worker;
    torture_worked(error->status, error, "on_error");
    torture_less(user_data);
}

static void torture_exit(brg_worker *worker, const brg_exit *exit, void *user_data)
{
    (void)worker;
    torture_expect(exit->status != BRG_PROTOCOL, "our failure was called the worker's");
    brg_loop_stop(((torture_chat *)user_data)->loop);
}

static void worker_that_answers_on_a_loop(brg_isolation isolation)
{
    brg_worker *worker = NULL;
    torture_chat chat = {0};
    brg_error error;
    if (isolation != BRG_ISOLATION_PROCESS) /* in a thread the failing call may be the handler's or the report's own */
        return;
    memset(&error, 0, sizeof(error));
    if (!torture_worked(brg_loop_create(&chat.loop, NULL, &error), &error, "brg_loop_create"))
        return;
    if (torture_worked(
            brg_worker_create(&worker,
                              brg_worker_opts(.isolation = isolation, TORTURE_PATIENCE, .module = scenario_module(),
                                              .loop = chat.loop, .on_message = torture_message,
                                              .on_error = torture_error, .on_exit = torture_exit, .user_data = &chat),
                              &error),
            &error, "brg_worker_create")) {
        for (int i = 0; i < 40; i++) {
            brg_value *message = NULL;
            if (!torture_worked(brg_value_map(&message, &error, brg_field_int("n", i)), &error, "brg_value_map"))
                continue;
            if (torture_worked(brg_worker_post(worker, message, TORTURE_LONG, &error), &error, "brg_worker_post"))
                chat.outstanding++;
            else
                brg_value_unref(message);
        }
        if (chat.outstanding != 0)
            torture_worked(brg_loop_run(chat.loop), NULL, "brg_loop_run");
        brg_worker_destroy(worker);
    }
    torture_expect(brg_loop_destroy(chat.loop) == BRG_OK, "a loop is in use for ever");
}

static void worker_with_a_loop(brg_isolation isolation)
{
    brg_worker *worker = NULL;
    brg_loop *loop = NULL;
    brg_error error;
    int exits = 0;
    memset(&error, 0, sizeof(error));
    if (!torture_worked(brg_loop_create(&loop, NULL, &error), &error, "brg_loop_create"))
        return;
    if (torture_worked(
            brg_worker_create(&worker,
                              brg_worker_opts(.isolation = isolation, TORTURE_PATIENCE, .module = scenario_module(),
                                              .loop = loop, .on_exit = torture_exit_count, .user_data = &exits),
                              &error),
            &error, "brg_worker_create")) {
        torture_worked(brg_worker_terminate(worker), NULL, "brg_worker_terminate");
        torture_worked(brg_loop_run(loop), NULL, "brg_loop_run");
        torture_expect(exits == 1, "on_exit did not run once");
        brg_worker_destroy(worker);
    }
    torture_expect(brg_loop_destroy(loop) == BRG_OK, "a loop is in use for ever");
}

/* ---- loops ------------------------------------------------------------------------------------------------------- */

static void loops_of_all_kinds(brg_isolation isolation)
{
    brg_loop *loop = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (isolation != BRG_ISOLATION_THREAD)
        return;
    if (torture_worked(brg_loop_create(&loop, brg_loop_opts(.external = true), &error), &error, "brg_loop_create")) {
        torture_expect(brg_loop_fd(loop) >= 0 && brg_loop_dispatch(loop) == 0 && brg_loop_run(loop) == BRG_STATE,
                       "an external loop");
        torture_expect(brg_loop_destroy(loop) == BRG_OK, "a loop is in use for ever");
    }
    uv_loop_t uv;
    assert_int_equal(uv_loop_init(&uv), 0);
    if (torture_worked(brg_loop_create_uv(&loop, &uv, NULL, &error), &error, "brg_loop_create_uv")) {
        uv_run(&uv, UV_RUN_NOWAIT);
        torture_expect(brg_loop_destroy(loop) == BRG_OK, "a loop is in use for ever");
    }
    uv_run(&uv, UV_RUN_DEFAULT);
    torture_expect(uv_loop_close(&uv) == 0, "something is left in the user's loop");
}

static const torture_scenario scenarios[] = {
    TORTURE_SCENARIO(worker_with_a_mailbox), TORTURE_SCENARIO(worker_with_a_loop),
    TORTURE_SCENARIO(worker_that_answers_on_a_loop), TORTURE_SCENARIO(loops_of_all_kinds)};

enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

static void whatever_fails(void **state)
{
    assert_true(torture_scenarios(scenarios, SCENARIOS, scenario_isolation(state)) > 20);
}

int main(void)
{
    torture_begin();
    const struct CMUnitTest tests[] = {SCENARIO_BOTH(whatever_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
