/* SPDX-License-Identifier: MIT */
/* How workers end: asked, polite or deaf, early, in the middle of their callbacks, and with others waiting on them. */
#include "record.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "watch.h"

#define BOUND SCENARIO_BOUND
#define PATIENT RECORD_PATIENT

static brg_worker *worker_create(brg_isolation isolation, const brg_worker_options *options)
{
    brg_worker_options complete = {.size = sizeof(complete)};
    brg_worker *worker = NULL;
    brg_error error;
    if (options != NULL)
        complete = *options;
    complete.isolation = isolation;
    if (complete.entry == NULL)
        complete.module = scenario_module();
    if (complete.grace_ns == 0)
        complete.grace_ns = PATIENT;
    complete.start_timeout_ns = PATIENT; /* some are held in their start */
    if (brg_worker_create(&worker, &complete, &error) != BRG_OK)
        fail_msg("worker: %s", error.message);
    return worker;
}

static brg_exit worker_ends(brg_worker *worker)
{
    brg_exit exit;
    assert_int_equal(brg_worker_wait(worker, BOUND, &exit), BRG_OK);
    return exit;
}

static void post_at(brg_worker *worker, const char *what, const scenario_gate *gate)
{
    brg_value *message = NULL;
    assert_int_equal(
        brg_value_map(&message, NULL, brg_field_string("do", what), brg_field_string("reach", gate->reach)), BRG_OK);
    assert_int_equal(brg_worker_post(worker, message, BOUND, NULL), BRG_OK);
}

static brg_value *start_at(const scenario_gate *gate)
{
    brg_value *init = NULL;
    assert_int_equal(brg_value_map(&init, NULL, brg_field_string("start", "meet"),
                                   brg_field_string("reach", gate->reach), brg_field_string("hold", gate->hold)),
                     BRG_OK);
    return init;
}

/* ---- asked to end ------------------------------------------------------------------------------------------------ */

static void idle_worker_ends_at_once(void **state)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_worker *worker = worker_create(
        scenario_isolation(state),
        brg_worker_opts(.grace_ns = PATIENT, .init_data = scenario_string("end_fifo", gate.reach)));
    assert_int_equal(brg_worker_wait_online(worker, BOUND, NULL), BRG_OK);
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    scenario_gate_reached(&gate); /* worker_end ran */
    brg_exit exit = worker_ends(worker);
    assert_int_equal(exit.status, BRG_OK);
    assert_int_equal(exit.signal, 0);
    assert_true(exit.requested);
    brg_value *message = scenario_int("n", 1);
    brg_error error;
    assert_int_equal(brg_worker_post(worker, message, 0, &error), BRG_CLOSED);
    assert_int_equal(brg_worker_post(worker, message, BRG_FOREVER, &error), BRG_CLOSED);
    brg_value_unref(message);
    brg_worker_destroy(worker);
    scenario_gate_close(&gate);
}

static void polite_worker_ends_by_itself(void **state)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_worker *worker = worker_create(scenario_isolation(state), brg_worker_opts(.grace_ns = PATIENT));
    post_at(worker, "polite", &gate);
    scenario_gate_reached(&gate);
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    brg_value *message = scenario_int("n", 1);
    assert_int_equal(brg_worker_post(worker, message, 0, NULL), BRG_CLOSED); /* though it may still run */
    brg_value_unref(message);
    brg_exit exit = worker_ends(worker);
    assert_int_equal(exit.status, BRG_OK);
    assert_int_equal(exit.signal, 0);
    assert_int_equal(brg_worker_get_state(worker), BRG_WORKER_EXITED);
    brg_worker_destroy(worker);
    scenario_gate_close(&gate);
}

static void deaf_process_is_killed(void **state)
{
    (void)state;
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_worker *worker = worker_create(BRG_ISOLATION_PROCESS, brg_worker_opts(.grace_ns = BRG_MILLISECONDS(20)));
    post_at(worker, "spin", &gate);
    scenario_gate_reached(&gate);
    int pidfd = watch_process((pid_t)brg_worker_process_id(worker));
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    brg_exit exit = worker_ends(worker);
    assert_int_equal(exit.status, BRG_OK); /* as asked */
    assert_true(exit.requested);
    assert_true(exit.signal == SIGTERM || exit.signal == SIGKILL);
    assert_int_equal(brg_worker_get_state(worker), BRG_WORKER_EXITED);
    assert_true(watch_gone(pidfd));
    brg_worker_destroy(worker);
    scenario_gate_close(&gate);
}

/* ---- deaf threads: they listen to nobody until they are let go --------------------------------------------------- */

static atomic_bool deaf_runs, deaf_may_go;

static brg_status deaf_entry(brg_context *context, void *argument)
{
    (void)argument;
    brg_value *late = scenario_int("n", 1);
    atomic_store(&deaf_runs, true);
    while (!atomic_load(&deaf_may_go))
        sched_yield();
    assert_int_equal(brg_context_post(context, late, BRG_FOREVER, NULL), BRG_CLOSED); /* nobody is there any more */
    brg_value_unref(late);
    return brg_context_fail(context, 1, "too late");
}

static bool is_true(void *argument) { return atomic_load((atomic_bool *)argument); }
static bool nobody_is_lost(void *argument)
{
    (void)argument;
    return brg_workers_lost() == 0;
}

static void deaf_thread_is_lost(void **state)
{
    (void)state;
    assert_int_equal(brg_workers_lost(), 0);
    for (int i = 0; i < 2; i++) { /* destroyed while it is lost, and after it came back */
        atomic_store(&deaf_runs, false);
        atomic_store(&deaf_may_go, false);
        recorder record = {0};
        record_start(&record, BRG_ISOLATION_THREAD,
                     brg_worker_opts(.entry = deaf_entry, .grace_ns = BRG_MILLISECONDS(5)));
        assert_true(watch_until(is_true, &deaf_runs));
        assert_int_equal(brg_worker_terminate(record.worker), BRG_OK);
        record_run(&record);
        assert_string_equal(record.events, "ox");
        assert_int_equal(record.exit.status, BRG_LOST);
        assert_int_equal(record.exit.error.status, BRG_LOST);
        assert_non_null(strstr(record.exit.error.message, "abandoned"));
        assert_true(record.exit.requested);
        assert_int_equal(brg_worker_get_state(record.worker), BRG_WORKER_LOST);
        assert_int_equal(brg_workers_lost(), 1);
        if (i == 0)
            record_end(&record);
        atomic_store(&deaf_may_go, true);
        assert_true(watch_until(nobody_is_lost, NULL));
        if (i == 1) {
            record_run(&record);
            assert_string_equal(record.events, "ox"); /* its late words are dropped */
            record_end(&record);
        }
    }
}

/* ---- early ------------------------------------------------------------------------------------------------------- */

static void terminate_right_after_create(void **state)
{
    for (int i = 0; i < 20; i++) {
        recorder record = {0};
        record_start(&record, scenario_isolation(state), brg_worker_opts(.grace_ns = PATIENT));
        assert_int_equal(brg_worker_terminate(record.worker), BRG_OK);
        record_run(&record);
        assert_true(strcmp(record.events, "ox") == 0 || strcmp(record.events, "x") == 0);
        assert_int_equal(record.exit.status, BRG_OK);
        assert_true(record.exit.requested);
        record_end(&record);
    }
}

static void terminate_in_a_start_that_hangs(void **state)
{
    brg_isolation isolation = scenario_isolation(state);
    scenario_gate gate;
    scenario_gate_open(&gate);
    recorder record = {0};
    brg_error error;
    record_start(&record, isolation, brg_worker_opts(.init_data = start_at(&gate), .grace_ns = BRG_MILLISECONDS(10)));
    scenario_gate_reached(&gate);
    assert_int_equal(brg_worker_terminate(record.worker), BRG_OK);
    assert_int_equal(brg_worker_wait_online(record.worker, BOUND, &error), BRG_START_FAILED);
    record_run(&record);
    assert_string_equal(record.events, "x");
    assert_true(record.exit.requested);
    assert_int_equal(record.exit.status, isolation == BRG_ISOLATION_THREAD ? BRG_LOST : BRG_OK);
    record_end(&record);
    if (isolation == BRG_ISOLATION_THREAD)
        scenario_gate_release(&gate);
    assert_true(watch_until(nobody_is_lost, NULL));
    scenario_gate_close(&gate);
}

/* They share a template: a worker that nobody waits for must not take it away from one that is starting. */
static void impatience_harms_no_neighbour(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++) {
        brg_error error;
        brg_worker *impatient = worker_create(BRG_ISOLATION_PROCESS, brg_worker_opts(.grace_ns = 1));
        brg_worker *neighbour = worker_create(BRG_ISOLATION_PROCESS, NULL);
        assert_int_equal(brg_worker_terminate(impatient), BRG_OK);
        if (brg_worker_wait_online(neighbour, BOUND, &error) != BRG_OK)
            fail_msg("the neighbour: %s", error.message);
        brg_worker_destroy(impatient);
        brg_worker_destroy(neighbour);
    }
}

/* Whatever it was at: the loop can go at once, too, and nothing of the worker touches it later. */
static void destroy_at_any_time(void **state)
{
    for (int i = 0; i < 60; i++) {
        recorder record = {0};
        record_start(&record, scenario_isolation(state), NULL);
        if (i % 3 == 1)
            assert_int_equal(brg_worker_wait_online(record.worker, BOUND, NULL), BRG_OK);
        if (i % 3 == 2) {
            record_post(record.worker, "echo", 0);
            record_post(record.worker, "fail", 0);
            brg_worker_terminate(record.worker);
            brg_worker_wait(record.worker, BOUND, NULL);
        }
        record_end(&record);
        assert_string_equal(record.events, "r"); /* the loop never ran */
    }
}

static void destroy_in_a_start_that_hangs(void **state)
{
    brg_isolation isolation = scenario_isolation(state);
    scenario_gate gate;
    scenario_gate_open(&gate);
    recorder record = {0};
    record_start(&record, isolation, brg_worker_opts(.init_data = start_at(&gate), .grace_ns = BRG_MILLISECONDS(10)));
    scenario_gate_reached(&gate);
    record_end(&record);
    assert_string_equal(record.events, "r");
    if (isolation == BRG_ISOLATION_THREAD)
        scenario_gate_release(&gate);
    assert_true(watch_until(nobody_is_lost, NULL));
    scenario_gate_close(&gate);
}

/* ---- inside its own callbacks ------------------------------------------------------------------------------------ */

static void destroy_in_callback(recorder *record, char event)
{
    const char *when = record->argument;
    if (event == *when) {
        brg_worker_destroy(record->worker);
        record->worker = NULL;
        assert_int_equal(record->released, 1);
    } else if (event == RECORD_ONLINE) {
        record_post(record->worker, "fail", 0);
        for (int i = 0; i < 100; i++) /* more than one delivery takes */
            record_post(record->worker, "echo", i);
    } else if (event == RECORD_MESSAGE && record->messages == 100) {
        brg_worker_terminate(record->worker);
    }
}

static void destroy_in_each_callback(void **state)
{
    static const char *const when[] = {"o", "m", "e", "x"};
    for (size_t i = 0; i < 4; i++) {
        recorder record = {.act = destroy_in_callback, .argument = (void *)when[i]};
        record_start(&record, scenario_isolation(state), NULL);
        record_run(&record);
        assert_null(record.worker);
        size_t length = strlen(record.events);
        if (length > 1 && length < sizeof(record.events) - 1) { /* release is the last thing of all */
            assert_int_equal(record.events[length - 1], RECORD_RELEASE);
            assert_int_equal(record.events[length - 2], *when[i]);
        }
        assert_int_equal(record.exits, *when[i] == RECORD_EXIT);
        if (*when[i] == RECORD_EXIT)
            assert_int_equal(record.messages, 100);
        assert_int_equal(brg_loop_pending(record.loop), 0);
        record_end(&record);
    }
}

/* ---- with others waiting ----------------------------------------------------------------------------------------- */

typedef struct waiting {
    brg_worker *worker;
    atomic_int thread; /* kernel's id */
    brg_status status;
    pthread_t handle;
} waiting;

static void *post_for_ever(void *argument)
{
    waiting *poster = argument;
    brg_value *message = scenario_int("n", 1);
    atomic_store(&poster->thread, (int)syscall(SYS_gettid));
    poster->status = brg_worker_post(poster->worker, message, BRG_FOREVER, NULL);
    if (poster->status != BRG_OK)
        brg_value_unref(message);
    return NULL;
}

static void *receive_for_ever(void *argument)
{
    waiting *receiver = argument;
    brg_value *message = NULL;
    atomic_store(&receiver->thread, (int)syscall(SYS_gettid));
    receiver->status = brg_worker_receive(receiver->worker, &message, BRG_FOREVER);
    return NULL;
}

static bool sleeps(void *argument)
{
    char path[64], text[256] = "";
    int thread = atomic_load(&((waiting *)argument)->thread);
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
    FILE *file = thread == 0 ? NULL : fopen(path, "re");
    bool asleep = file != NULL && fgets(text, sizeof(text), file) != NULL && strrchr(text, ')')[2] == 'S';
    if (file != NULL)
        fclose(file);
    return asleep;
}

#define POSTERS 3

static void waiting_senders_see_the_end(brg_isolation isolation, bool killed)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_worker *worker = worker_create(
        isolation, brg_worker_opts(.init_data = start_at(&gate), .mailbox_max = 2, .grace_ns = BRG_MILLISECONDS(10)));
    record_post(worker, "echo", 0);
    record_post(worker, "echo", 1);
    scenario_gate_reached(&gate);
    waiting posters[POSTERS], receiver = {.worker = worker, .thread = 0};
    assert_int_equal(pthread_create(&receiver.handle, NULL, receive_for_ever, &receiver), 0);
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (waiting){.worker = worker};
        assert_int_equal(pthread_create(&posters[i].handle, NULL, post_for_ever, &posters[i]), 0);
    }
    for (int i = 0; i < POSTERS; i++)
        assert_true(watch_until(sleeps, &posters[i]));
    assert_true(watch_until(sleeps, &receiver));
    if (killed)
        assert_int_equal(kill((pid_t)brg_worker_process_id(worker), SIGKILL), 0);
    else
        assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].handle, NULL);
        assert_int_equal(posters[i].status, BRG_CLOSED);
    }
    pthread_join(receiver.handle, NULL);
    assert_int_equal(receiver.status, BRG_CLOSED);
    brg_worker_destroy(worker);
    if (isolation == BRG_ISOLATION_THREAD)
        scenario_gate_release(&gate);
    assert_true(watch_until(nobody_is_lost, NULL));
    scenario_gate_close(&gate);
}

static void waiting_senders_see_terminate(void **state)
{
    waiting_senders_see_the_end(scenario_isolation(state), false);
}

static void waiting_senders_see_death(void **state)
{
    (void)state;
    waiting_senders_see_the_end(BRG_ISOLATION_PROCESS, true);
}

/* Its own mailbox to the owner is full, the owner takes nothing, and ends it: it is not deaf, only waiting. */
static void worker_that_waits_for_room_ends(void **state)
{
    for (int i = 0; i < 2; i++) {
        brg_worker *worker = worker_create(scenario_isolation(state),
                                           brg_worker_opts(.grace_ns = PATIENT, .mailbox_max = 4));
        brg_value *message = NULL;
        assert_int_equal(brg_value_map(&message, NULL, brg_field_string("do", "many"), brg_field_int("count", 1000000)),
                         BRG_OK);
        assert_int_equal(brg_worker_post(worker, message, BOUND, NULL), BRG_OK);
        assert_int_equal(brg_worker_receive(worker, &message, BOUND), BRG_OK); /* it is at it */
        brg_value_unref(message);
        if (i == 0) {
            assert_int_equal(brg_worker_terminate(worker), BRG_OK);
            brg_exit exit = worker_ends(worker);
            assert_int_equal(exit.status, BRG_OK);
            assert_int_equal(exit.signal, 0);
            assert_int_equal(brg_worker_receive(worker, &message, BOUND), BRG_OK); /* what was sent is still there */
            assert_int_equal(brg_view_get_int(brg_value_root(message), "n", -1), 1);
            brg_value_unref(message);
        }
        brg_worker_destroy(worker);
        assert_int_equal(brg_workers_lost(), 0);
    }
}

/* Posts from several threads while the worker is ended: each is taken whole or refused whole. */
static void *post_until_closed(void *argument)
{
    waiting *poster = argument;
    do {
        brg_value *message = scenario_int("n", 1);
        poster->status = brg_worker_post(poster->worker, message, BRG_FOREVER, NULL);
        if (poster->status != BRG_OK)
            brg_value_unref(message);
    } while (poster->status == BRG_OK);
    return NULL;
}

static void terminate_under_fire(void **state)
{
    brg_worker *worker = worker_create(scenario_isolation(state),
                                       brg_worker_opts(.mailbox_max = 16, .grace_ns = PATIENT));
    waiting posters[POSTERS];
    brg_value *message = NULL;
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (waiting){.worker = worker};
        assert_int_equal(pthread_create(&posters[i].handle, NULL, post_until_closed, &posters[i]), 0);
    }
    brg_status status;
    for (int taken = 0; (status = brg_worker_receive(worker, &message, BOUND)) == BRG_OK; taken++) {
        brg_value_unref(message);
        if (taken == 500)
            assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    }
    assert_int_equal(status, BRG_CLOSED);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].handle, NULL);
        assert_int_equal(posters[i].status, BRG_CLOSED);
    }
    assert_int_equal(worker_ends(worker).status, BRG_OK);
    brg_worker_destroy(worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(idle_worker_ends_at_once),         SCENARIO_BOTH(polite_worker_ends_by_itself),
        cmocka_unit_test(deaf_process_is_killed),        cmocka_unit_test(deaf_thread_is_lost),
        cmocka_unit_test(impatience_harms_no_neighbour), SCENARIO_BOTH(terminate_right_after_create),
        SCENARIO_BOTH(terminate_in_a_start_that_hangs),  SCENARIO_BOTH(destroy_at_any_time),
        SCENARIO_BOTH(destroy_in_a_start_that_hangs),    SCENARIO_BOTH(destroy_in_each_callback),
        SCENARIO_BOTH(waiting_senders_see_terminate),    cmocka_unit_test(waiting_senders_see_death),
        SCENARIO_BOTH(worker_that_waits_for_room_ends),  SCENARIO_BOTH(terminate_under_fire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
