/* SPDX-License-Identifier: MIT */
/* What a worker has around it, in both isolations: arguments, environment, environment data, loop, at-exit, usage,
 * limits. */
#include "scenario.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include <brigade/uv.h>

#include "worker/registry.h"
#include "worker/worker.h"

#define BOUND SCENARIO_BOUND
#define PATIENT BRG_SECONDS(3600) /* a grace that nobody waits out */

static const char *world_module(void)
{
    static char path[4096];
    const char *directory = getenv("TEST_MODULE_DIR");
    snprintf(path, sizeof(path), "%s/world.so", directory != NULL ? directory : ".");
    return path;
}

static brg_worker *worker_create(void **state, const brg_worker_options *options)
{
    brg_worker_options complete = {.size = sizeof(complete)};
    brg_worker *worker = NULL;
    brg_error error;
    if (options != NULL)
        complete = *options;
    complete.module = world_module();
    complete.isolation = scenario_isolation(state);
    complete.grace_ns = PATIENT;
    if (brg_worker_create(&worker, &complete, &error) != BRG_OK)
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

static void post(brg_worker *worker, brg_value *message)
{
    assert_int_equal(brg_worker_post(worker, message, BOUND, NULL), BRG_OK);
}

static brg_value *ask(brg_worker *worker, brg_value *question)
{
    post(worker, question);
    return receive(worker);
}

static brg_value *ask_about(brg_worker *worker) { return ask(worker, scenario_string("do", "about")); }

static const char *text_of(const brg_value *value, const char *key)
{
    return brg_view_get_string(brg_value_root(value), key, "(none)");
}

static int64_t int_of(const brg_value *value, const char *key)
{
    return brg_view_get_int(brg_value_root(value), key, -1);
}

/* ---- arguments and identity -------------------------------------------------------------------------------------- */

static void arguments_arrive(void **state)
{
    const char *arguments[] = {"one", "tw\xf6", NULL}; /* no UTF-8: whatever a command line may hold */
    brg_worker *worker = worker_create(state, brg_worker_opts(.arguments = arguments));
    arguments[0] = "changed"; /* they were copied */
    brg_value *about = ask_about(worker);
    assert_int_equal(int_of(about, "arguments"), 2);
    assert_string_equal(text_of(about, "first"), "one");
    assert_int_equal(int_of(about, "second"), 0xf6);
    assert_string_equal(text_of(about, "past"), "(none)");
    assert_int_equal(int_of(about, "current"), brg_worker_id(worker));
    assert_true(brg_view_get_bool(brg_value_root(about), "same", false));
    brg_value_unref(about);
    brg_worker_destroy(worker);
    assert_int_equal(brg_worker_current_id(), 0);
    assert_null(brg_context_current());
}

static void no_arguments(void **state)
{
    brg_worker *worker = worker_create(state, NULL);
    brg_value *about = ask_about(worker);
    assert_int_equal(int_of(about, "arguments"), 0);
    assert_string_equal(text_of(about, "first"), "(none)");
    brg_value_unref(about);
    brg_worker_destroy(worker);
}

static void init_data_brings_descriptors(void **state)
{
    int fds[2];
    char byte = 0;
    brg_builder *builder = NULL;
    brg_value *init = NULL;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_fd(builder, &fds[1]);
    assert_int_equal(brg_builder_finish(builder, &init, NULL), BRG_OK);
    brg_builder_destroy(builder);
    brg_worker *worker = worker_create(state, brg_worker_opts(.init_data = init));
    brg_value *taken = ask(worker, scenario_string("do", "take"));
    assert_int_equal(int_of(taken, "taken"), BRG_OK);
    brg_value_unref(taken);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_int_equal(byte, 'x');
    brg_worker_destroy(worker);
    assert_int_equal(read(fds[0], &byte, 1), 0); /* nobody has the other end any more */
    close(fds[0]);
}

/* ---- environment ------------------------------------------------------------------------------------------------- */

static void environment_is_a_snapshot(void **state)
{
    setenv("WORLD_TEST", "before", 1);
    brg_worker *worker = worker_create(state, NULL);
    setenv("WORLD_TEST", "after", 1);
    brg_value *about = ask_about(worker);
    assert_string_equal(text_of(about, "env"), "before");
    if (scenario_isolation(state) == BRG_ISOLATION_PROCESS)
        assert_string_equal(text_of(about, "libc"), "before");
    brg_value_unref(about);
    brg_value *change = NULL;
    assert_int_equal(brg_value_map(&change, NULL, brg_field_string("do", "setenv"), brg_field_string("value", "inner")),
                     BRG_OK);
    about = ask(worker, change);
    assert_string_equal(text_of(about, "env"), "inner");
    if (scenario_isolation(state) == BRG_ISOLATION_PROCESS)
        assert_string_equal(text_of(about, "libc"), "inner");
    int64_t entries = int_of(about, "entries");
    brg_value_unref(about);
    assert_string_equal(getenv("WORLD_TEST"), "after"); /* the program's is its own */
    about = ask(worker, scenario_string("do", "setenv"));
    assert_string_equal(text_of(about, "env"), "(none)");
    assert_int_equal(int_of(about, "entries"), entries - 1);
    brg_value_unref(about);
    brg_worker_destroy(worker);
    unsetenv("WORLD_TEST");
}

static void environment_can_be_given(void **state)
{
    const char *const environment[] = {"WORLD_TEST=given", "OTHER=1", NULL};
    setenv("WORLD_TEST", "outer", 1);
    brg_worker *worker = worker_create(state, brg_worker_opts(.environment = environment));
    brg_value *about = ask_about(worker);
    assert_string_equal(text_of(about, "env"), "given");
    assert_int_equal(int_of(about, "entries"), 2);
    brg_value_unref(about);
    brg_worker_destroy(worker);
    unsetenv("WORLD_TEST");
}

static void environment_can_be_shared(void **state)
{
    brg_worker *worker = worker_create(state, brg_worker_opts(.share_environment = true));
    setenv("WORLD_TEST", "later", 1);
    brg_value *about = ask_about(worker);
    assert_string_equal(text_of(about, "env"), "later");
    brg_value_unref(about);
    brg_value *change = NULL;
    assert_int_equal(brg_value_map(&change, NULL, brg_field_string("do", "setenv"), brg_field_string("value", "inner")),
                     BRG_OK);
    brg_value_unref(ask(worker, change));
    assert_string_equal(getenv("WORLD_TEST"), "inner");
    brg_worker_destroy(worker);
    unsetenv("WORLD_TEST");
}

static void bad_worlds_are_refused(void **state)
{
    static const char *const no_equals[] = {"A=1", "nonsense", NULL};
    static const char *const no_name[] = {"=x", NULL};
    const brg_worker_options bad[] = {{.environment = no_equals},
                                      {.environment = no_name},
                                      {.environment = no_name + 1, .share_environment = true},
                                      {.stdout_mode = (brg_stdio)7},
                                      {.stdin_mode = (brg_stdio)7},
                                      {.stdio_bytes_max = 100}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        brg_worker_options options = bad[i];
        brg_worker *worker = NULL;
        brg_error error;
        options.size = sizeof(options);
        options.module = world_module();
        options.isolation = scenario_isolation(state);
        brg_status status = brg_worker_create(&worker, &options, &error);
        bool unsupported = options.share_environment && options.isolation == BRG_ISOLATION_PROCESS;
        assert_int_equal(status, unsupported ? BRG_UNSUPPORTED : BRG_INVALID);
        assert_true(error.message[0] != '\0');
        assert_null(worker);
    }
}

/* ---- environment data -------------------------------------------------------------------------------------------- */

static void environment_data_is_inherited(void **state)
{
    assert_null(brg_environment_data_get("menu"));
    assert_int_equal(brg_environment_data_set("menu", scenario_string("dish", "soup"), NULL), BRG_OK);
    brg_worker *worker = worker_create(state, NULL);
    assert_int_equal(brg_environment_data_set("menu", scenario_string("dish", "stew"), NULL), BRG_OK);
    brg_worker *later = worker_create(state, NULL);
    brg_value *about = ask_about(worker);
    assert_string_equal(text_of(about, "menu"), "soup"); /* as it was then */
    brg_value_unref(about);
    about = ask_about(later);
    assert_string_equal(text_of(about, "menu"), "stew");
    brg_value_unref(about);
    brg_value *change = NULL;
    assert_int_equal(brg_value_map(&change, NULL, brg_field_string("do", "data"), brg_field_string("dish", "cake")),
                     BRG_OK);
    about = ask(worker, change);
    assert_string_equal(text_of(about, "menu"), "cake"); /* its own, and of workers it makes */
    brg_value_unref(about);
    brg_value *ours = brg_environment_data_get("menu");
    assert_string_equal(text_of(ours, "dish"), "stew");
    brg_value_unref(ours);
    brg_worker_destroy(worker);
    brg_worker_destroy(later);
    assert_int_equal(brg_environment_data_set("menu", NULL, NULL), BRG_OK);
    assert_null(brg_environment_data_get("menu"));
    assert_int_equal(brg_environment_data_set("menu", NULL, NULL), BRG_OK); /* again */
}

static void environment_data_has_names(void **state)
{
    (void)state;
    brg_error error;
    brg_value *value = scenario_int("n", 1);
    assert_int_equal(brg_environment_data_set(NULL, value, &error), BRG_INVALID);
    assert_int_equal(brg_environment_data_set("", value, &error), BRG_INVALID);
    assert_int_equal(brg_environment_data_set("\xff", value, &error), BRG_INVALID);
    brg_value_unref(value); /* still ours */
    assert_null(brg_environment_data_get(NULL));
    assert_null(brg_environment_data_get("nothing"));
}

/* ---- at exit ----------------------------------------------------------------------------------------------------- */

static void at_exit_runs_backwards(void **state)
{
    char path[] = "/tmp/brigade-test-XXXXXX", text[32] = "";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    brg_worker *worker = worker_create(state, NULL);
    brg_value *question = NULL;
    assert_int_equal(brg_value_map(&question, NULL, brg_field_string("do", "at_exit"), brg_field_string("path", path)),
                     BRG_OK);
    brg_value_unref(ask(worker, question));
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    assert_int_equal(brg_worker_wait(worker, BOUND, NULL), BRG_OK);
    brg_worker_destroy(worker);
    assert_int_equal(read(fd, text, sizeof(text) - 1), 4);
    assert_string_equal(text, "321e"); /* 2 was added by 3; worker_end after all */
    close(fd);
    unlink(path);
}

/* ---- loop -------------------------------------------------------------------------------------------------------- */

/* Its timer ticks while it waits for messages, and messages come through while it has a loop. */
static void loop_runs_between_messages(void **state)
{
    brg_worker *worker = worker_create(state, NULL);
    for (int round = 0; round < 3; round++) {
        post(worker, scenario_string("do", "ticks"));
        for (int i = 1; i <= 3; i++) {
            brg_value *tick = receive(worker);
            assert_int_equal(int_of(tick, "tick"), round * 3 + i);
            brg_value_unref(tick);
        }
        for (int i = 0; i < 20; i++)
            brg_value_unref(ask_about(worker));
    }
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    brg_exit exit;
    assert_int_equal(brg_worker_wait(worker, BOUND, &exit), BRG_OK);
    assert_int_equal(exit.status, BRG_OK);
    assert_int_equal(exit.signal, 0); /* it heard that while it slept in its loop */
    brg_worker_destroy(worker);
}

static void loop_can_be_run_inside(void **state)
{
    brg_worker *worker = worker_create(state, NULL);
    post(worker, scenario_string("do", "run"));
    for (int i = 1; i <= 3; i++)
        brg_value_unref(receive(worker));
    brg_value *done = receive(worker);
    assert_int_equal(int_of(done, "run"), BRG_OK); /* nothing kept it any more */
    brg_value_unref(done);
    brg_worker_destroy(worker);
}

static void run_ends_when_asked(void **state)
{
    brg_worker *worker = worker_create(state, NULL);
    brg_value_unref(ask_about(worker));
    post(worker, scenario_string("do", "run_for_ever"));
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    brg_exit exit;
    assert_int_equal(brg_worker_wait(worker, BOUND, &exit), BRG_OK);
    assert_int_equal(exit.status, BRG_OK);
    assert_int_equal(exit.signal, 0);
    brg_worker_destroy(worker);
}

typedef struct ticker {
    uv_timer_t timer;
    int xticks;
} ticker;

static void ticker_tick(uv_timer_t *timer) { __atomic_fetch_add((int *)timer->data, 1, __ATOMIC_SEQ_CST); }

static brg_status ticker_start(brg_context *context, void *argument)
{
    ticker *self = argument;
    brg_loop *loop = brg_context_loop(context, NULL);
    if (loop == NULL || uv_timer_init(brg_loop_uv(loop), &self->timer) != 0)
        return BRG_NO_MEMORY;
    self->timer.data = &self->xticks;
    uv_timer_start(&self->timer, ticker_tick, 1, 1);
    return BRG_OK;
}

static brg_status nothing_to_do(brg_context *context, void *argument)
{
    (void)context;
    (void)argument;
    return BRG_OK;
}

static void count_done(const brg_result *result, void *user_data)
{
    assert_int_equal(result->status, BRG_OK);
    ++*(int *)user_data;
}

/* A pool's worker with a loop is woken for tasks, and its timer goes on between and beside them. */
static void pool_workers_may_have_loops(void **state)
{
    (void)state;
    ticker self = {.xticks = 0};
    brg_pool *pool = NULL;
    brg_loop *loop = NULL;
    int done = 0;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    assert_int_equal(
        brg_pool_create(&pool, brg_pool_opts(.workers_max = 1, .loop = loop, .no_spin = true, .grace_ns = PATIENT),
                        NULL),
        BRG_OK);
    assert_int_equal(brg_pool_call(pool, ticker_start, &self, count_done, &done), BRG_OK);
    for (int round = 1; round <= 5; round++) {
        int seen = __atomic_load_n(&self.xticks, __ATOMIC_SEQ_CST);
        for (int i = 0; i < 100; i++)
            assert_int_equal(brg_pool_call(pool, nothing_to_do, NULL, count_done, &done), BRG_OK);
        assert_int_equal(brg_loop_run(loop), BRG_OK);
        assert_int_equal(done, 1 + 100 * round);
        while (__atomic_load_n(&self.xticks, __ATOMIC_SEQ_CST) < seen + 2) /* it sleeps in its loop */
            sched_yield();
    }
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

/* ---- usage ------------------------------------------------------------------------------------------------------- */

static void usage_is_seen_from_outside(void **state)
{
    brg_usage first = {.size = sizeof(first)}, later = {.size = sizeof(later)}, delta = {.size = sizeof(delta)};
    brg_worker *worker = worker_create(state, NULL);
    assert_int_equal(brg_worker_usage(worker, NULL), BRG_INVALID);
    assert_int_equal(brg_worker_wait_online(worker, BOUND, NULL), BRG_OK);
    assert_int_equal(brg_worker_usage(worker, &first), BRG_OK);
    brg_value_unref(ask(worker, scenario_string("do", "burn")));
    brg_value_unref(ask_about(worker));
    assert_int_equal(brg_worker_usage(worker, &later), BRG_OK);
    brg_usage_delta(&later, &first, &delta);
    assert_int_equal(later.messages, 2);
    assert_int_equal(later.tasks, 0);
    assert_true(delta.cpu_ns > 0);
    assert_true(delta.busy_ns > 0);
    assert_true(later.idle_ns >= first.idle_ns);
    assert_true(brg_usage_utilization(&delta) > 0 && brg_usage_utilization(&delta) <= 1);
    assert_true((later.rss_bytes != 0) == (scenario_isolation(state) == BRG_ISOLATION_PROCESS));
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    assert_int_equal(brg_worker_wait(worker, BOUND, NULL), BRG_OK);
    assert_int_equal(brg_worker_usage(worker, &first), BRG_OK);
    assert_true(first.cpu_ns >= later.cpu_ns);
    assert_int_equal(first.rss_bytes, 0);
    assert_int_equal(brg_worker_usage(worker, &later), BRG_OK); /* nothing grows after the end */
    assert_int_equal(first.busy_ns, later.busy_ns);
    assert_int_equal(first.idle_ns, later.idle_ns);
    assert_int_equal(first.cpu_ns, later.cpu_ns);
    brg_worker_destroy(worker);
    brg_usage none = {.size = sizeof(none)};
    assert_true(brg_usage_utilization(&none) == 0);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static void rss_limit_ends_the_worker(void **state)
{
    brg_worker *worker = worker_create(state, brg_worker_opts(.limits.rss_bytes_max = (size_t)128 << 20));
    post(worker, scenario_string("do", "eat"));
    brg_exit exit;
    assert_int_equal(brg_worker_wait(worker, BOUND, &exit), BRG_OK);
    assert_int_equal(exit.status, BRG_NO_MEMORY);
    assert_non_null(strstr(exit.error.message, "rss_bytes_max"));
    brg_worker_destroy(worker);
}

static void address_limit_refuses_memory(void **state)
{
    brg_worker *worker = worker_create(state, brg_worker_opts(.limits.address_bytes_max = (size_t)64 << 20));
    brg_value *refused = ask(worker, scenario_string("do", "eat"));
    assert_int_equal(int_of(refused, "refused"), ENOMEM);
    brg_value_unref(refused);
    brg_worker_destroy(worker);
}

/* ---- ids and loops of owners ------------------------------------------------------------------------------------- */

static void workers_are_found_by_id(void **state)
{
    brg_worker *worker = worker_create(state, NULL), *other = worker_create(state, NULL);
    uint64_t id = brg_worker_id(worker);
    brg_worker *found = brg__registry_find(id);
    assert_ptr_equal(found, worker);
    brg__worker_unref(found);
    assert_null(brg__registry_find(0));
    assert_null(brg__registry_find(UINT64_MAX));
    brg_worker_destroy(worker);
    found = brg__registry_find(brg_worker_id(other));
    assert_ptr_equal(found, other);
    brg_worker_destroy(other); /* whoever found it keeps it */
    assert_int_equal(brg_worker_get_state(found), BRG_WORKER_EXITED);
    brg__worker_unref(found);
}

static void worker_need_not_keep_its_loop(void **state)
{
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_worker *worker = worker_create(state, brg_worker_opts(.loop = loop));
    assert_true(brg_worker_keeps_loop(worker));
    brg_worker_keep_loop(worker, false);
    brg_worker_keep_loop(worker, false);
    assert_false(brg_worker_keeps_loop(worker));
    assert_int_equal(brg_loop_pending(loop), 0);
    assert_int_equal(brg_loop_run(loop), BRG_OK); /* returns although the worker lives */
    brg_worker_keep_loop(worker, true);
    assert_int_equal(brg_loop_pending(loop), 1);
    brg_worker_terminate(worker);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(brg_worker_get_state(worker), BRG_WORKER_EXITED);
    brg_worker_keep_loop(worker, true); /* too late */
    assert_int_equal(brg_loop_pending(loop), 0);
    brg_worker_destroy(worker);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(arguments_arrive),
        SCENARIO_BOTH(no_arguments),
        SCENARIO_BOTH(init_data_brings_descriptors),
        SCENARIO_BOTH(environment_is_a_snapshot),
        SCENARIO_BOTH(environment_can_be_given),
        SCENARIO_THREAD(environment_can_be_shared),
        SCENARIO_BOTH(bad_worlds_are_refused),
        SCENARIO_BOTH(environment_data_is_inherited),
        cmocka_unit_test(environment_data_has_names),
        SCENARIO_BOTH(at_exit_runs_backwards),
        SCENARIO_BOTH(loop_runs_between_messages),
        SCENARIO_BOTH(loop_can_be_run_inside),
        SCENARIO_BOTH(run_ends_when_asked),
        cmocka_unit_test(pool_workers_may_have_loops),
        SCENARIO_BOTH(usage_is_seen_from_outside),
        SCENARIO_PROCESS(rss_limit_ends_the_worker),
        SCENARIO_PROCESS(address_limit_refuses_memory),
        SCENARIO_BOTH(workers_are_found_by_id),
        SCENARIO_BOTH(worker_need_not_keep_its_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
