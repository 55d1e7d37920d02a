/* SPDX-License-Identifier: MIT */
/* What each worker of a pool is given: a configuration, a prewarm task, a task of its own, an index and tags. */
#include "crowd.h"
#include "watch.h"

#include <brigade/port.h>

#define WORKERS 3

static const char *configure_module(void)
{
    static char path[4096];
    const char *directory = getenv("TEST_MODULE_DIR");
    snprintf(path, sizeof(path), "%s/configure.so", directory != NULL ? directory : ".");
    return path;
}

static brg_pool *configure_pool(void **state, const brg_pool_options *options)
{
    brg_pool_options complete = *options;
    complete.module = configure_module();
    if (complete.workers_max == 0)
        complete.workers_max = WORKERS;
    return scenario_pool(scenario_isolation(state), &complete);
}

static void configure_all(brg_pool *pool, int64_t n)
{
    assert_int_equal(brg_pool_configure(pool, n < 0 ? NULL : scenario_int("n", n), NULL), BRG_OK);
}

/* A field of what the task "show" said. */
static int64_t shown(brg_task *task, const char *key)
{
    const brg_result *result = scenario_result(task);
    if (result->status != BRG_OK)
        fail_msg("show: %s", result->error->message);
    return brg_view_get_int(brg_value_root(result->output), key, INT64_MIN);
}

static bool is_full_of_workers(void *pool) { return scenario_stats(pool).workers_online == WORKERS; }

/* ---- each worker once -------------------------------------------------------------------------------------------- */

/* What the task of each worker said, by index. */
typedef struct each {
    int64_t config[WORKERS], seen[WORKERS], hooks[WORKERS], warm[WORKERS], tags[WORKERS], worker[WORKERS];
    uint32_t done, cancelled;
} each;

static void each_done(const brg_result *result, void *user_data)
{
    each *all = user_data;
    if (result->status == BRG_CANCELLED) {
        all->cancelled++;
        return;
    }
    assert_int_equal(result->status, BRG_OK);
    brg_view root = brg_value_root(result->output);
    int64_t index = brg_view_get_int(root, "index", -1);
    assert_in_range(index, 0, WORKERS - 1);
    all->config[index] = brg_view_get_int(root, "config", INT64_MIN);
    all->seen[index] = brg_view_get_int(root, "seen", INT64_MIN);
    all->hooks[index] = brg_view_get_int(root, "hooks", INT64_MIN);
    all->warm[index] = brg_view_get_int(root, "warm", INT64_MIN);
    all->tags[index] = brg_view_get_int(root, "tags", INT64_MIN);
    assert_int_equal(all->worker[index], 0); /* each once */
    all->worker[index] = brg_view_get_int(root, "worker", 0);
    all->done++;
}

static each ask_each(brg_pool *pool, brg_loop *loop)
{
    each all = {.done = 0};
    uint32_t count = 0;
    assert_true(watch_until(is_full_of_workers, pool));
    assert_int_equal(
        brg_pool_submit_all(pool, "show", NULL, brg_submit_opts(.done = each_done, .user_data = &all), &count), BRG_OK);
    assert_int_equal(count, WORKERS);
    assert_int_equal(all.done, 0); /* never inside submit */
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(all.done, WORKERS);
    return all;
}

static void each_worker_has_what_was_given_last(void **state)
{
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = configure_pool(state, brg_pool_opts(.loop = loop));
    each all = ask_each(pool, loop);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(all.config[i], -1);
        assert_int_equal(all.hooks[i], 0);
    }
    configure_all(pool, 5);
    all = ask_each(pool, loop);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(all.config[i], 5);
        assert_int_equal(all.seen[i], 5);
        assert_int_equal(all.hooks[i], 1);
    }
    configure_all(pool, 6); /* both, in order */
    configure_all(pool, 7);
    all = ask_each(pool, loop);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(all.config[i], 7);
        assert_int_equal(all.hooks[i], 3);
    }
    configure_all(pool, -1);
    all = ask_each(pool, loop);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(all.config[i], -1);
        assert_int_equal(all.seen[i], -1);
        assert_int_equal(all.hooks[i], 4);
    }
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    brg_pool_stats stats = scenario_stats(pool);
    assert_int_equal(stats.submitted, 4 * WORKERS); /* the library's own count for nobody */
    assert_int_equal(stats.done, 4 * WORKERS);
    assert_int_equal(stats.running, 0);
    assert_int_equal(stats.queued, 0);
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void a_worker_knows_its_place(void **state)
{
    const uint64_t tags[] = {1, 1 | UINT64_C(1) << 40};
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = configure_pool(state, brg_pool_opts(.loop = loop, .worker_tags = tags, .worker_tags_count = 2));
    each all = ask_each(pool, loop);
    assert_int_equal(all.tags[0], tags[0]);
    assert_int_equal(all.tags[1], tags[1]);
    assert_int_equal(all.tags[2], 0);
    brg_task *task = scenario_submit(pool, "show", NULL, brg_submit_opts(.tags = UINT64_C(1) << 40));
    assert_int_equal(shown(task, "index"), 1);
    brg_task_unref(task);
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static brg_status ask_outside(brg_context *context, void *argument)
{
    assert_int_equal(brg_context_worker_index(context), UINT32_MAX);
    assert_int_equal(brg_context_worker_tags(context), 0);
    assert_null(brg_context_config(context));
    *(bool *)argument = true;
    return BRG_OK;
}

static void a_worker_of_no_pool_has_no_place(void **state)
{
    (void)state;
    bool asked = false;
    brg_worker *worker = NULL;
    assert_int_equal(
        brg_worker_create(
            &worker, brg_worker_opts(.entry = ask_outside, .entry_argument = &asked, .grace_ns = SCENARIO_LONG), NULL),
        BRG_OK);
    assert_int_equal(brg_worker_wait(worker, SCENARIO_BOUND, NULL), BRG_OK);
    assert_true(asked);
    brg_worker_destroy(worker);
}

/* ---- workers that come later ------------------------------------------------------------------------------------- */

static void later_workers_get_it_too(void **state)
{
    brg_pool *pool = configure_pool(state, brg_pool_opts(.workers_max = 1, .recycle_tasks = 1, .prewarm_task = "warm"));
    configure_all(pool, 9);
    int64_t last = 0;
    for (int i = 0; i < 10; i++) {
        brg_task *task = scenario_submit(pool, "show", NULL, NULL);
        assert_int_equal(shown(task, "config"), 9);
        assert_int_equal(shown(task, "warm"), 1);
        assert_int_equal(shown(task, "hooks"), 1);
        assert_int_equal(shown(task, "nth"), 1);
        assert_int_not_equal(shown(task, "worker"), last);
        last = shown(task, "worker");
        brg_task_unref(task);
    }
    assert_int_equal(scenario_stats(pool).submitted, 10);
    brg_pool_destroy(pool);
}

static void after_a_crash_as_well(void **state)
{
    brg_pool *pool = configure_pool(state, brg_pool_opts(.workers_max = 1, .prewarm_task = "warm"));
    configure_all(pool, 3);
    for (int i = 0; i < 3; i++) {
        scenario_expect(pool, "crash", NULL, BRG_CRASHED);
        brg_task *task = scenario_submit(pool, "show", NULL, NULL);
        assert_int_equal(shown(task, "config"), 3);
        assert_int_equal(shown(task, "warm"), 1);
        brg_task_unref(task);
    }
    assert_int_equal(scenario_stats(pool).workers_start_failed, 0);
    brg_pool_destroy(pool);
}

static void it_comes_before_what_waits(void **state)
{
    crowd here;
    crowd_open(&here);
    brg_pool *pool = configure_pool(state, brg_pool_opts(.workers_max = 1));
    for (int i = 0; i < 200; i++) /* so quick that many go to the worker at once */
        scenario_expect(pool, "show", NULL, BRG_OK);
    enum { COUNT = 40 };
    brg_task *held = scenario_submit(pool, "show", crowd_input(&here), NULL), *waiting[COUNT];
    crowd_wait(&here, 1);
    for (int i = 0; i < COUNT; i++)
        waiting[i] = scenario_submit(pool, "show", NULL, NULL);
    configure_all(pool, 1);
    crowd_release(&here, 1);
    assert_int_equal(shown(held, "config"), -1);
    brg_task_unref(held);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(shown(waiting[i], "config"), 1);
        brg_task_unref(waiting[i]);
    }
    brg_pool_destroy(pool);
    crowd_close(&here);
}

/* While they are being configured there is no other load: settings made at any time reach all, none waits for ever. */
static void at_any_time(void **state)
{
    brg_pool *pool = configure_pool(state, brg_pool_opts(.recycle_tasks = 7, .prewarm_task = "warm"));
    enum { ROUNDS = 40, EACH = 10 };
    static brg_task *tasks[ROUNDS][EACH];
    for (int i = 0; i < ROUNDS; i++) {
        configure_all(pool, i);
        for (int j = 0; j < EACH; j++)
            tasks[i][j] = scenario_submit(pool, "show", NULL, NULL);
    }
    for (int i = 0; i < ROUNDS; i++)
        for (int j = 0; j < EACH; j++) {
            assert_in_range(shown(tasks[i][j], "config"), i, ROUNDS - 1);
            assert_int_equal(shown(tasks[i][j], "config"), shown(tasks[i][j], "seen"));
            assert_int_equal(shown(tasks[i][j], "warm"), 1);
            assert_in_range(shown(tasks[i][j], "nth"), 1, 7);
            brg_task_unref(tasks[i][j]);
        }
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(scenario_stats(pool).done, ROUNDS * EACH);
    brg_pool_destroy(pool);
}

/* ---- what fails -------------------------------------------------------------------------------------------------- */

static brg_value *bad_config(const char *how)
{
    brg_value *config = NULL;
    assert_int_equal(brg_value_map(&config, NULL, brg_field_int("n", 13), brg_field_bool(how, true)), BRG_OK);
    return config;
}

/* Until the breaker opens, which ends what waits; it says why. */
static brg_error wait_for_breaker(brg_pool *pool)
{
    brg_error error = {.status = BRG_OK};
    brg_task *task = NULL;
    brg_status status;
    while ((status = brg_pool_submit(pool, "show", NULL, brg_submit_opts(.error = &error), &task)) == BRG_OK) {
        assert_int_not_equal(scenario_result(task)->status, BRG_OK);
        brg_task_unref(task);
    }
    assert_int_equal(status, BRG_UNAVAILABLE);
    return error;
}

static bool works_again(void *pool)
{
    brg_task *task = NULL;
    if (brg_pool_submit(pool, "show", NULL, NULL, &task) != BRG_OK)
        return false;
    const brg_result *result = scenario_result(task);
    bool works = result->status == BRG_OK;
    if (works)
        assert_int_equal(brg_view_get_int(brg_value_root(result->output), "config", INT64_MIN), 21);
    brg_task_unref(task);
    return works;
}

static bool has_no_worker(void *pool) { return scenario_stats(pool).workers_online == 0; }

static void a_refused_configuration_ends_the_worker(void **state)
{
    brg_pool *pool = configure_pool(state, brg_pool_opts(.restart_min_ns = 1, .breaker_open_ns = BRG_MILLISECONDS(20)));
    assert_true(watch_until(is_full_of_workers, pool));
    assert_int_equal(brg_pool_configure(pool, bad_config("fail"), NULL), BRG_OK);
    brg_error error = wait_for_breaker(pool); /* no replacement takes it either */
    assert_non_null(strstr(error.message, "this configuration is refused"));
    assert_true(watch_until(has_no_worker, pool));
    assert_true(scenario_stats(pool).workers_start_failed >= 5);
    configure_all(pool, 21);
    assert_true(watch_until(works_again, pool));
    brg_pool_destroy(pool);
}

static void a_crash_in_the_hook_is_one_of_the_worker(void **state)
{
    brg_pool *pool = configure_pool(
        state, brg_pool_opts(.restart_min_ns = 1, .breaker_failures = 2, .breaker_open_ns = BRG_MILLISECONDS(20)));
    assert_true(watch_until(is_full_of_workers, pool));
    assert_int_equal(brg_pool_configure(pool, bad_config("crash"), NULL), BRG_OK);
    (void)wait_for_breaker(pool);
    configure_all(pool, 21);
    assert_true(watch_until(works_again, pool));
    brg_pool_destroy(pool);
}

static void a_cold_worker_does_not_start(void **state)
{
    static const struct {
        const char *task, *why;
    } cold[] = {{"warm", "it stays cold"}, {"nowhere", "no task named \"nowhere\""}};
    for (size_t i = 0; i < 2; i++) {
        brg_value *input = NULL;
        assert_int_equal(brg_value_map(&input, NULL, brg_field_bool("fail", true)), BRG_OK);
        brg_pool *pool = configure_pool(state, brg_pool_opts(.restart_min_ns = 1, .breaker_failures = 2,
                                                             .prewarm_task = cold[i].task, .prewarm_input = input));
        brg_error error;
        brg_task *task = NULL;
        brg_status status;
        while ((status = brg_pool_submit(pool, "show", NULL, brg_submit_opts(.error = &error), &task)) == BRG_OK) {
            assert_int_equal(scenario_result(task)->status, BRG_UNAVAILABLE);
            brg_task_unref(task);
        }
        assert_int_equal(status, BRG_UNAVAILABLE);
        assert_non_null(strstr(error.message, cold[i].why));
        brg_pool_destroy(pool);
    }
}

static brg_status stay(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context, (void)output;
    char byte;
    int fd = open(brg_view_get_string(brg_value_root(input), "hold", ""), O_RDONLY | O_CLOEXEC);
    brg_status status = fd >= 0 && read(fd, &byte, 1) == 1 ? BRG_OK : BRG_SYSTEM;
    close(fd);
    return status;
}

static void a_slow_start_is_over_in_time(void **state)
{
    static const brg_module_task tasks[] = {{"warm", stay}, {NULL, NULL}};
    static const brg_module slow = {.size = sizeof(slow), .abi = BRG_MODULE_ABI, .name = "slow", .tasks = tasks};
    bool is_thread = scenario_isolation(state) == BRG_ISOLATION_THREAD;
    crowd here;
    crowd_open(&here);
    brg_pool *pool = NULL;
    assert_int_equal(brg_pool_create(&pool,
                                     brg_pool_opts(.isolation = scenario_isolation(state),
                                                   .module = is_thread ? NULL : configure_module(),
                                                   .linked_module = is_thread ? &slow : NULL, .workers_max = 1,
                                                   .restart_min_ns = 1, .breaker_failures = 1, .prewarm_task = "warm",
                                                   .prewarm_input = crowd_input(&here),
                                                   .start_timeout_ns = BRG_MILLISECONDS(200), .grace_ns = 1),
                                     NULL),
                     BRG_OK);
    brg_task *task = scenario_submit(pool, "show", NULL, NULL); /* it waits for a worker that never is one */
    assert_int_equal(scenario_result(task)->status, BRG_UNAVAILABLE);
    assert_int_equal(scenario_stats(pool).workers_online, 0);
    brg_task_unref(task);
    crowd_release(&here, 8); /* abandoned threads */
    brg_pool_destroy(pool);
    crowd_close(&here);
}

static void what_cannot_be_given_stays(void **state)
{
    brg_pool *pool = configure_pool(state, brg_pool_opts(.message_bytes_max = 1 << 20));
    brg_error error;
    brg_port *near = NULL, *far = NULL;
    brg_builder *builder = NULL;
    brg_value *moving = NULL, *large = NULL;
    assert_int_equal(brg_pool_configure(NULL, NULL, &error), BRG_INVALID);
    assert_int_equal(brg_channel_create(&near, &far, NULL, NULL), BRG_OK);
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_port(builder, &far);
    assert_int_equal(brg_builder_finish(builder, &moving, NULL), BRG_OK);
    assert_int_equal(brg_pool_configure(pool, moving, &error), BRG_UNSUPPORTED);
    uint32_t count = 7;
    assert_true(watch_until(is_full_of_workers, pool));
    assert_int_equal(brg_pool_submit_all(pool, "show", moving, brg_submit_opts(.error = &error), &count),
                     BRG_UNSUPPORTED);
    assert_int_equal(count, 7);
    brg_value_unref(moving);
    char *bytes = calloc(1, 2 << 20);
    brg_builder_bytes(builder, bytes, 2 << 20);
    assert_int_equal(brg_builder_finish(builder, &large, NULL), BRG_OK);
    assert_int_equal(brg_pool_configure(pool, large, &error), BRG_TOO_LARGE);
    assert_int_equal(brg_pool_submit_all(pool, "show", large, NULL, NULL), BRG_TOO_LARGE);
    brg_value_unref(large);
    free(bytes);
    brg_builder_destroy(builder);
    brg_port_destroy(near);
    brg_task *task = scenario_submit(pool, "show", NULL, NULL);
    assert_int_equal(shown(task, "hooks"), 0);
    brg_task_unref(task);
    assert_int_equal(brg_pool_submit(pool, "\001configure", NULL, NULL, NULL), BRG_INVALID); /* a name of the library */
    assert_int_equal(brg_pool_drain(pool, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(brg_pool_configure(pool, NULL, &error), BRG_CLOSED);
    assert_int_equal(brg_pool_submit_all(pool, "show", NULL, NULL, NULL), BRG_CLOSED);
    brg_pool_destroy(pool);
}

/* A module from before there was the hook is shorter: what lies behind it is not its own. */
static brg_status never_called(brg_context *context, const brg_value *config)
{
    (void)context, (void)config;
    abort();
}

static brg_status note_config(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)input, (void)output;
    return brg_view_get_int(brg_value_root(brg_context_config(context)), "n", 0) == 4 ? BRG_OK : BRG_FAILED;
}

static void an_old_module_has_no_hook(void **state)
{
    (void)state;
    static const brg_module_task tasks[] = {{"note", note_config}, {NULL, NULL}};
    static const brg_module old = {.size = offsetof(brg_module, configure),
                                   .abi = BRG_MODULE_ABI,
                                   .name = "old",
                                   .tasks = tasks,
                                   .configure = never_called};
    brg_pool *pool = NULL;
    assert_int_equal(
        brg_pool_create(&pool, brg_pool_opts(.linked_module = &old, .workers_max = 1, .grace_ns = SCENARIO_LONG), NULL),
        BRG_OK);
    configure_all(pool, 4);
    scenario_expect(pool, "note", NULL, BRG_OK);
    brg_pool_destroy(pool);
}

/* ---- submit_all -------------------------------------------------------------------------------------------------- */

static void it_goes_before_what_waits(void **state)
{
    crowd here;
    crowd_open(&here);
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = configure_pool(state, brg_pool_opts(.loop = loop));
    brg_task *held[WORKERS], *last;
    for (int i = 0; i < WORKERS; i++)
        held[i] = scenario_submit(pool, "show", crowd_input(&here), NULL);
    crowd_wait(&here, WORKERS);
    last = scenario_submit(pool, "show", NULL, brg_submit_opts(.priority = BRG_PRIORITY_URGENT));
    each all = {.done = 0};
    uint32_t count = 0;
    assert_int_equal(
        brg_pool_submit_all(pool, "show", NULL, brg_submit_opts(.done = each_done, .user_data = &all), &count), BRG_OK);
    assert_int_equal(count, WORKERS);
    assert_int_equal(scenario_stats(pool).queued, WORKERS + 1);
    crowd_release(&here, WORKERS);
    assert_int_equal(shown(last, "nth"), 3); /* behind the one held there, and the one of all */
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(all.done, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        brg_task_unref(held[i]);
    brg_task_unref(last);
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    crowd_close(&here);
}

static void a_replacement_runs_it(void **state)
{
    crowd here;
    crowd_open(&here);
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = configure_pool(state, brg_pool_opts(.loop = loop));
    brg_task *task = scenario_submit(pool, "crash", crowd_input(&here), NULL);
    crowd_wait(&here, 1);
    each all = {.done = 0};
    assert_int_equal(
        brg_pool_submit_all(pool, "show", NULL, brg_submit_opts(.done = each_done, .user_data = &all), NULL), BRG_OK);
    crowd_release(&here, 1);
    assert_int_equal(scenario_result(task)->status, BRG_CRASHED);
    brg_task_unref(task);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(all.done, WORKERS);
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    crowd_close(&here);
}

/* A retry, at once or after a delay, stays with its worker. */
static void it_is_tried_again_there(void **state)
{
    brg_pool *pool = configure_pool(state, brg_pool_opts(.attempts_max = 3, .retry_on = BRG_RETRY_TRANSIENT));
    for (int i = 0; i < 2; i++) {
        uint32_t count = 0;
        assert_int_equal(brg_pool_submit_all(pool, "fail", NULL, NULL, &count), BRG_OK);
        assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
        assert_int_equal(scenario_stats(pool).failed, (unsigned)(i + 1) * WORKERS);
        assert_int_equal(scenario_stats(pool).retried, (unsigned)(i + 1) * 2 * WORKERS);
        assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.retry_delay_ns = 1000), NULL), BRG_OK);
    }
    uint32_t count = 0;
    assert_int_equal(brg_pool_submit_all(pool, "nowhere", NULL, NULL, &count), BRG_OK);
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(scenario_stats(pool).failed, 3 * WORKERS);
    brg_pool_destroy(pool);
}

static void it_is_cancelled_with_the_rest(void **state)
{
    crowd here;
    crowd_open(&here);
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = configure_pool(state, brg_pool_opts(.loop = loop));
    brg_task *held[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        held[i] = scenario_submit(pool, "show", crowd_input(&here), NULL);
    crowd_wait(&here, WORKERS);
    each all = {.done = 0}, tokened = {.done = 0};
    brg_token *token = NULL;
    assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
    assert_int_equal(
        brg_pool_submit_all(pool, "show", NULL, brg_submit_opts(.done = each_done, .user_data = &all), NULL), BRG_OK);
    assert_int_equal(brg_pool_submit_all(pool, "show", NULL,
                                         brg_submit_opts(.done = each_done, .user_data = &tokened, .token = token),
                                         NULL),
                     BRG_OK);
    configure_all(pool, 8);
    brg_token_cancel(token);
    assert_int_equal(brg_pool_submit_all(pool, "show", NULL,
                                         brg_submit_opts(.done = each_done, .user_data = &tokened, .token = token),
                                         NULL),
                     BRG_OK);
    assert_int_equal(brg_pool_stop(pool, 0), BRG_TIMED_OUT);
    crowd_release(&here, WORKERS);
    assert_int_equal(brg_pool_stop(pool, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(all.cancelled, WORKERS);
    assert_int_equal(tokened.cancelled, 2 * WORKERS);
    brg_token_unref(token);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(shown(held[i], "config"), -1);
        brg_task_unref(held[i]);
    }
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    crowd_close(&here);
}

static void what_does_not_apply_is_refused(void **state)
{
    brg_pool *pool = configure_pool(state, brg_pool_opts(.workers_max = 1));
    brg_error error;
    const brg_submit_options wrong[] = {{.size = sizeof(wrong[0]), .error = &error, .key = 1},
                                        {.size = sizeof(wrong[0]), .error = &error, .delay_ns = 1},
                                        {.size = sizeof(wrong[0]), .error = &error, .after_any = true}};
    const char *names[] = {"key", "delay_ns", "after"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(brg_pool_submit_all(pool, "show", NULL, &wrong[i], NULL), BRG_INVALID);
        assert_non_null(strstr(error.message, names[i]));
    }
    assert_int_equal(brg_pool_submit_all(NULL, "show", NULL, NULL, NULL), BRG_INVALID);
    assert_int_equal(brg_pool_submit_all(pool, NULL, NULL, NULL, NULL), BRG_INVALID);
    assert_int_equal(scenario_stats(pool).submitted, 0);
    brg_pool_destroy(pool);
}

static void no_worker_no_task(void **state)
{
    brg_pool *pool = configure_pool(state,
                                    brg_pool_opts(.scaling = brg_scaling_backlog, .workers_min = BRG_NO_WORKERS));
    uint32_t count = 1;
    assert_int_equal(brg_pool_submit_all(pool, "show", scenario_int("n", 1), NULL, &count), BRG_OK);
    assert_int_equal(count, 0);
    brg_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(each_worker_has_what_was_given_last),
        SCENARIO_BOTH(a_worker_knows_its_place),
        SCENARIO_THREAD(a_worker_of_no_pool_has_no_place),
        SCENARIO_BOTH(later_workers_get_it_too),
        SCENARIO_PROCESS(after_a_crash_as_well),
        SCENARIO_BOTH(it_comes_before_what_waits),
        SCENARIO_BOTH(at_any_time),
        SCENARIO_BOTH(a_refused_configuration_ends_the_worker),
        SCENARIO_PROCESS(a_crash_in_the_hook_is_one_of_the_worker),
        SCENARIO_BOTH(a_cold_worker_does_not_start),
        SCENARIO_BOTH(a_slow_start_is_over_in_time),
        SCENARIO_BOTH(what_cannot_be_given_stays),
        SCENARIO_THREAD(an_old_module_has_no_hook),
        SCENARIO_BOTH(it_goes_before_what_waits),
        SCENARIO_PROCESS(a_replacement_runs_it),
        SCENARIO_BOTH(it_is_tried_again_there),
        SCENARIO_BOTH(it_is_cancelled_with_the_rest),
        SCENARIO_BOTH(what_does_not_apply_is_refused),
        SCENARIO_BOTH(no_worker_no_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
