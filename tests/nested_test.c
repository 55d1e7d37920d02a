/* SPDX-License-Identifier: MIT */
/* Workers and pools that workers make: they end with them, in all four combinations of isolations. */
#include "scenario.h"

#include "watch.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define BOUND SCENARIO_BOUND
#define LONG BRG_SECONDS(600) /* what nobody is to run out of */

static const char *world_module(void)
{
    static char path[4096];
    const char *directory = getenv("TEST_MODULE_DIR");
    snprintf(path, sizeof(path), "%s/world.so", directory != NULL ? directory : ".");
    return path;
}

static brg_worker *outer_create(brg_isolation isolation)
{
    brg_worker *worker = NULL;
    brg_error error;
    if (brg_worker_create(&worker,
                          brg_worker_opts(.module = world_module(), .isolation = isolation, .start_timeout_ns = LONG,
                                          .grace_ns = LONG),
                          &error) != BRG_OK)
        fail_msg("worker: %s", error.message);
    return worker;
}

static brg_value *receive(brg_worker *worker)
{
    brg_value *message = NULL;
    brg_status status = brg_worker_receive(worker, &message, BOUND);
    if (status != BRG_OK) {
        brg_exit exit = {.status = BRG_OK};
        brg_worker_wait(worker, 0, &exit);
        fail_msg("receive: %s; %s", brg_status_name(status), exit.error.message);
    }
    return message;
}

static int64_t receive_int(brg_worker *worker, const char *key)
{
    brg_value *value = receive(worker);
    int64_t number = brg_view_get_int(brg_value_root(value), key, -1);
    brg_value_unref(value);
    return number;
}

static void nest(brg_worker *worker, brg_isolation inner, bool in_loop, const char *end_path)
{
    brg_value *message = NULL;
    assert_int_equal(brg_value_map(&message, NULL, brg_field_string("do", "nest"),
                                   brg_field_string("module", world_module()), brg_field_int("isolation", inner),
                                   brg_field_bool("loop", in_loop), brg_field_string("end", end_path)),
                     BRG_OK);
    assert_int_equal(brg_worker_post(worker, message, BOUND, NULL), BRG_OK);
}

/* The file that the inner worker wrote to when it ended, which it does in order. */
static void read_end(int fd, const char *expected)
{
    char text[16] = "";
    assert_true(read(fd, text, sizeof(text) - 1) >= 0);
    assert_string_equal(text, expected);
}

static void ends_with_it(brg_isolation outer, brg_isolation inner, bool in_loop)
{
    char path[] = "/tmp/brigade-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    brg_worker *worker = outer_create(outer);
    nest(worker, inner, in_loop, path);
    if (!in_loop)
        assert_int_equal(receive_int(worker, "ok"), 1);
    int64_t pid = receive_int(worker, "inner");
    assert_true(pid > 0);
    int process = watch_process((pid_t)pid);
    assert_true(process >= 0);
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    brg_exit exit;
    assert_int_equal(brg_worker_wait(worker, BOUND, &exit), BRG_OK);
    assert_int_equal(exit.status, BRG_OK);
    if (inner == BRG_ISOLATION_PROCESS)
        assert_true(watch_is_reaped(process));
    if (!in_loop)
        read_end(fd, "321e"); /* its at-exit functions and worker_end ran */
    brg_worker_destroy(worker);
    close(process);
    close(fd);
    unlink(path);
}

static void inner_threads_end(void **state) { ends_with_it(scenario_isolation(state), BRG_ISOLATION_THREAD, false); }
static void inner_processes_end(void **state) { ends_with_it(scenario_isolation(state), BRG_ISOLATION_PROCESS, false); }
static void inner_threads_on_loops_end(void **state)
{
    ends_with_it(scenario_isolation(state), BRG_ISOLATION_THREAD, true);
}
static void inner_processes_on_loops_end(void **state)
{
    ends_with_it(scenario_isolation(state), BRG_ISOLATION_PROCESS, true);
}

/* The kernel ends what is left when the outer process cannot. */
static void inner_processes_die_with_a_killed_one(void **state)
{
    (void)state;
    brg_worker *worker = outer_create(BRG_ISOLATION_PROCESS);
    nest(worker, BRG_ISOLATION_PROCESS, false, NULL);
    brg_value_unref(receive(worker)); /* what the inner one said about itself */
    int64_t pid = receive_int(worker, "inner");
    int process = watch_process((pid_t)pid);
    assert_true(process >= 0);
    assert_int_equal(kill((pid_t)brg_worker_process_id(worker), SIGKILL), 0);
    brg_exit exit;
    assert_int_equal(brg_worker_wait(worker, BOUND, &exit), BRG_OK);
    assert_int_equal(exit.status, BRG_CRASHED);
    assert_true(watch_gone(process)); /* who reaps it, an orphan, is init's matter */
    brg_worker_destroy(worker);
}

static void inner_pools_end(void **state)
{
    for (int inner = 0; inner < 2; inner++) {
        brg_worker *worker = outer_create(scenario_isolation(state));
        brg_value *message = NULL;
        assert_int_equal(brg_value_map(&message, NULL, brg_field_string("do", "nest_pool"),
                                       brg_field_string("module", world_module()), brg_field_int("isolation", inner)),
                         BRG_OK);
        assert_int_equal(brg_worker_post(worker, message, BOUND, NULL), BRG_OK);
        assert_int_equal(receive_int(worker, "pool"), 1);
        assert_int_equal(brg_worker_terminate(worker), BRG_OK);
        brg_exit exit;
        assert_int_equal(brg_worker_wait(worker, BOUND, &exit), BRG_OK);
        assert_int_equal(exit.status, BRG_OK);
        brg_worker_destroy(worker);
    }
}

/* ---- in entry functions: who ends whom --------------------------------------------------------------------------- */

static brg_status inner_entry(brg_context *context, void *argument)
{
    brg_value *message = NULL;
    (void)argument;
    while (brg_context_receive(context, &message, BRG_FOREVER) == BRG_OK)
        brg_value_unref(message);
    return BRG_OK;
}

typedef struct family {
    brg_worker *left, *destroyed;
    int released;
} family;

static void count_release(void *user_data) { ++*(int *)user_data; }

static brg_status outer_entry(brg_context *context, void *argument)
{
    family *own = argument;
    brg_loop *loop = brg_context_loop(context, NULL);
    if (loop == NULL ||
        brg_worker_create(&own->left,
                          brg_worker_opts(.entry = inner_entry, .loop = loop, .grace_ns = LONG,
                                          .release = count_release, .user_data = &own->released),
                          NULL) != BRG_OK ||
        brg_worker_create(&own->destroyed, brg_worker_opts(.entry = inner_entry, .grace_ns = LONG), NULL) != BRG_OK)
        return BRG_FAILED;
    brg_worker_destroy(own->destroyed);
    return BRG_OK;
}

/* The handle outlives the worker whose loop it used. */
static void handles_are_the_makers(void **state)
{
    (void)state;
    family own = {.released = 0};
    brg_worker *worker = NULL;
    assert_int_equal(brg_worker_create(&worker,
                                       brg_worker_opts(.entry = outer_entry, .entry_argument = &own, .grace_ns = LONG),
                                       NULL),
                     BRG_OK);
    brg_exit exit;
    assert_int_equal(brg_worker_wait(worker, BOUND, &exit), BRG_OK);
    assert_int_equal(exit.status, BRG_OK);
    assert_int_equal(brg_worker_get_state(own.left), BRG_WORKER_EXITED);
    assert_int_equal(own.released, 0);
    brg_worker_destroy(own.left);
    assert_int_equal(own.released, 1);
    brg_worker_destroy(worker);
}

typedef struct deserter {
    scenario_gate gate;
    brg_worker *inner;
} deserter;

static brg_status deaf_entry(brg_context *context, void *argument)
{
    deserter *self = argument;
    (void)context;
    if (brg_worker_create(&self->inner, brg_worker_opts(.entry = inner_entry, .grace_ns = LONG), NULL) != BRG_OK)
        return BRG_FAILED;
    int fd = open(self->gate.reach, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "x", 1) != 1)
        return BRG_FAILED;
    close(fd);
    char byte;
    fd = open(self->gate.hold, O_RDONLY | O_CLOEXEC); /* deaf until released */
    if (fd < 0 || read(fd, &byte, 1) != 1)
        return BRG_FAILED;
    close(fd);
    brg_worker *late = NULL;
    return brg_worker_create(&late, brg_worker_opts(.entry = inner_entry), NULL) == BRG_CLOSED ? BRG_OK : BRG_FAILED;
}

/* A thread that is abandoned cannot end its workers: they are asked for it. */
static void inner_workers_of_a_lost_one_end(void **state)
{
    (void)state;
    deserter self;
    scenario_gate_open(&self.gate);
    brg_worker *worker = NULL;
    assert_int_equal(brg_worker_create(
                         &worker,
                         brg_worker_opts(.entry = deaf_entry, .entry_argument = &self, .grace_ns = BRG_MILLISECONDS(1)),
                         NULL),
                     BRG_OK);
    scenario_gate_reached(&self.gate);
    brg_exit exit;
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    assert_int_equal(brg_worker_wait(worker, BOUND, &exit), BRG_OK);
    assert_int_equal(exit.status, BRG_LOST);
    assert_int_equal(brg_worker_wait(self.inner, BOUND, &exit), BRG_OK);
    assert_int_equal(exit.status, BRG_OK);
    scenario_gate_release(&self.gate);
    while (brg_workers_lost() != 0)
        sched_yield();
    brg_worker_destroy(self.inner);
    brg_worker_destroy(worker);
    scenario_gate_close(&self.gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(inner_threads_end),
        SCENARIO_BOTH(inner_processes_end),
        SCENARIO_BOTH(inner_threads_on_loops_end),
        SCENARIO_BOTH(inner_processes_on_loops_end),
        cmocka_unit_test(inner_processes_die_with_a_killed_one),
        SCENARIO_BOTH(inner_pools_end),
        cmocka_unit_test(handles_are_the_makers),
        cmocka_unit_test(inner_workers_of_a_lost_one_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
