/* SPDX-License-Identifier: MIT */
/* The design's table of faults: tasks that crash, never end, take all memory, or lie to their owner. */
#include "crowd.h"

#include <signal.h>
#include <stdio.h>

#include "watch.h"

/* ---- ends of a process worker ---------------------------------------------------------------------------------- */

/* Runs `name` while a neighbour is at work, and checks that neither the neighbour nor the pool minds. The caller
 * unrefs. */
static brg_task *run_beside_a_neighbour(brg_pool *pool, const char *name, brg_value *input)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_task *neighbour = scenario_submit(pool, "noop", scenario_gate_input(&gate, true), NULL);
    scenario_gate_reached(&gate);
    brg_task *task = scenario_submit(pool, name, input, NULL);
    scenario_result(task);
    assert_int_equal(brg_task_get_state(neighbour), BRG_TASK_RUNNING);
    scenario_gate_release(&gate);
    assert_int_equal(scenario_result(neighbour)->status, BRG_OK);
    assert_int_equal(scenario_result(neighbour)->attempts, 1);
    scenario_expect(pool, "noop", NULL, BRG_OK);
    brg_task_unref(neighbour);
    scenario_gate_close(&gate);
    return task;
}

static void crash_settles_with_its_signal(void **state)
{
    (void)state;
    static const struct {
        const char *task;
        int signal;
    } cases[] = {{"segfault", SIGSEGV}, {"abort", SIGABRT}, {"overflow", SIGSEGV}};
    brg_pool *pool = scenario_pool(BRG_ISOLATION_PROCESS, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        brg_task *task = run_beside_a_neighbour(pool, cases[i].task, NULL);
        const brg_result *result = brg_task_result(task);
        assert_int_equal(result->status, BRG_CRASHED);
        assert_int_equal(result->state, BRG_TASK_FAILED);
        assert_int_equal(result->error->status, BRG_CRASHED);
        assert_int_equal(result->error->signal, cases[i].signal);
        assert_int_equal(result->error->exit_code, 0);
        assert_non_null(strstr(result->error->backtrace, "scenario.so+0x"));
        assert_null(result->output);
        brg_task_unref(task);
    }
    assert_int_equal(scenario_stats(pool).workers_crashed, 3);
    brg_pool_destroy(pool);
}

/* A stack limit of its own does not take the report away. */
static void small_stack_overflows_with_a_backtrace(void **state)
{
    (void)state;
    brg_pool *pool = scenario_pool(BRG_ISOLATION_PROCESS, brg_pool_opts(.limits = {.stack_bytes = 1 << 20}));
    brg_task *task = scenario_submit(pool, "overflow", NULL, NULL);
    assert_int_equal(scenario_result(task)->status, BRG_CRASHED);
    assert_int_equal(brg_task_result(task)->error->signal, SIGSEGV);
    assert_non_null(strstr(brg_task_result(task)->error->backtrace, "scenario.so+0x"));
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

static void exit_settles_with_its_code(void **state)
{
    (void)state;
    static const int codes[] = {7, 0, 255};
    brg_pool *pool = scenario_pool(BRG_ISOLATION_PROCESS, NULL);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        char number[16];
        snprintf(number, sizeof(number), "code %d", codes[i]);
        brg_task *task = run_beside_a_neighbour(pool, "exit", scenario_int("code", codes[i]));
        const brg_result *result = brg_task_result(task);
        assert_int_equal(result->status, BRG_EXITED);
        assert_int_equal(result->state, BRG_TASK_FAILED);
        assert_int_equal(result->error->exit_code, codes[i]);
        assert_int_equal(result->error->signal, 0);
        assert_non_null(strstr(result->error->message, number));
        brg_task_unref(task);
    }
    assert_int_equal(scenario_stats(pool).workers_crashed, 0);
    brg_pool_destroy(pool);
}

/* ---- tasks that do not end --------------------------------------------------------------------------------------- */

static void endless_loop_is_killed(void **state)
{
    (void)state;
    static const char *const names[] = {"spin", "ignore_term"};
    brg_pool *pool = scenario_pool(BRG_ISOLATION_PROCESS,
                                   brg_pool_opts(.workers_max = 1, .grace_ns = BRG_MILLISECONDS(10)));
    uint64_t timeout_ns = BRG_MILLISECONDS(20);
    for (size_t i = 0; i < 2; timeout_ns *= 2) { /* until each was in its loop before its time was over */
        crowd here;
        crowd_open(&here);
        brg_task *task = scenario_submit(pool, names[i], scenario_gate_input(&here.gate, false),
                                         brg_submit_opts(.run_timeout_ns = timeout_ns));
        brg_task *behind = scenario_submit(pool, "who", NULL, NULL);
        assert_int_equal(scenario_result(task)->status, BRG_TIMED_OUT);
        assert_int_equal(brg_task_result(task)->state, BRG_TASK_TIMED_OUT);
        assert_int_equal(brg_task_result(task)->error->status, BRG_TIMED_OUT);
        assert_int_equal(scenario_result(behind)->status, BRG_OK);
        assert_int_equal(scenario_result(behind)->attempts, 1);
        brg_task_unref(task);
        brg_task_unref(behind);
        i += crowd_is_there(&here);
        crowd_close(&here);
    }
    assert_true(scenario_stats(pool).workers_killed >= 2); /* also some that had not begun by then */
    assert_int_equal(scenario_stats(pool).workers_crashed, 0);
    brg_pool_destroy(pool);
}

/* A module of this program, whose task is deaf until it is let go, and then answers. */
static void deaf_wait(const brg_value *input)
{
    brg_view root = brg_value_root(input);
    char byte = 'x';
    int fd = open(brg_view_get_string(root, "reach", ""), O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, &byte, 1) != 1)
        abort();
    close(fd);
    fd = open(brg_view_get_string(root, "hold", ""), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, &byte, 1) < 0)
        abort();
    close(fd);
}

static brg_status deaf_answer(brg_context *context, const brg_value *input, brg_value **output)
{
    deaf_wait(input);
    /* All that a task may do, though nobody waits for it any more. */
    memset(brg_context_alloc(context, 4096), 1, 4096);
    brg_value *detail = NULL;
    brg_status status = brg_value_map(
        output, NULL, brg_field_string("answer", brg_view_get_string(brg_value_root(input), "hold", "")));
    if (status == BRG_OK)
        status = brg_value_map(&detail, NULL, brg_field_int("late", 1));
    return status != BRG_OK ? status
                            : brg_context_fail_with(context, BRG_FAILED, 1, detail, "too late, cancelled: %d",
                                                    (int)brg_context_cancelled(context));
}

static brg_status deaf_who(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)input;
    return brg_value_map(output, NULL, brg_field_int("worker", (int64_t)brg_context_worker_id(context)));
}

static brg_status deaf_start(brg_context *context)
{
    const brg_value *init = brg_context_init_data(context);
    if (init != NULL)
        deaf_wait(init);
    return BRG_OK;
}

static const brg_module deaf = {
    .size = sizeof(brg_module),
    .abi = BRG_MODULE_ABI,
    .name = "deaf",
    .tasks = (const brg_module_task[]){{"answer", deaf_answer}, {"who", deaf_who}, {NULL, NULL}},
    .worker_start = deaf_start};

static bool nobody_is_lost(void *argument)
{
    (void)argument;
    return brg_workers_lost() == 0;
}

/* However many starts fail, it goes on: the breaker stays closed. */
static brg_pool *deaf_pool(brg_value *init_data, uint64_t start_timeout_ns)
{
    brg_pool *pool = NULL;
    brg_error error;
    if (brg_pool_create(&pool,
                        brg_pool_opts(.linked_module = &deaf, .workers_max = 1, .grace_ns = BRG_MILLISECONDS(10),
                                      .init_data = init_data, .start_timeout_ns = start_timeout_ns,
                                      .breaker_failures = UINT32_MAX),
                        &error) != BRG_OK)
        fail_msg("%s", error.message);
    return pool;
}

static int64_t deaf_worker(brg_pool *pool)
{
    brg_task *task = scenario_submit(pool, "who", NULL, NULL);
    assert_int_equal(scenario_result(task)->status, BRG_OK);
    int64_t id = brg_view_get_int(brg_value_root(brg_task_result(task)->output), "worker", 0);
    brg_task_unref(task);
    return id;
}

static void stuck_thread_is_abandoned(void **state)
{
    (void)state;
    for (int cancel = 0; cancel < 2; cancel++) {
        scenario_gate gate;
        scenario_gate_open(&gate);
        brg_pool *pool = deaf_pool(NULL, SCENARIO_LONG);
        int64_t first = deaf_worker(pool);
        brg_task *task = scenario_submit(
            pool, "answer", scenario_gate_input(&gate, true),
            brg_submit_opts(.run_timeout_ns = cancel ? BRG_FOREVER : BRG_MILLISECONDS(10)));
        scenario_gate_reached(&gate);
        if (cancel)
            assert_int_equal(brg_task_cancel(task), BRG_OK);
        const brg_result *result = scenario_result(task);
        brg_status expected = cancel ? BRG_CANCELLED : BRG_TIMED_OUT;
        assert_int_equal(result->status, expected);
        assert_int_equal(result->error->status, expected);
        assert_null(result->output);
        assert_int_equal(brg_workers_lost(), 1);
        assert_true(deaf_worker(pool) != first);
        assert_int_equal(scenario_stats(pool).workers_killed, 1);
        scenario_gate_release(&gate);
        assert_true(watch_until(nobody_is_lost, NULL));
        assert_int_equal(result->status, expected); /* its late answer changed nothing */
        assert_null(result->output);
        assert_null(result->detail);
        assert_true(deaf_worker(pool) != first);
        brg_task_unref(task);
        brg_pool_destroy(pool);
        assert_true(watch_until(nobody_is_lost, NULL));
        scenario_gate_close(&gate);
    }
}

static void stuck_thread_outlives_its_pool(void **state)
{
    (void)state;
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_pool *pool = deaf_pool(NULL, SCENARIO_LONG);
    brg_task *task = scenario_submit(pool, "answer", scenario_gate_input(&gate, true), NULL);
    scenario_gate_reached(&gate);
    brg_pool_destroy(pool);
    assert_int_equal(brg_workers_lost(), 1);
    assert_int_equal(scenario_result(task)->status, BRG_CANCELLED);
    scenario_gate_release(&gate);
    assert_true(watch_until(nobody_is_lost, NULL));
    assert_int_equal(scenario_result(task)->status, BRG_CANCELLED);
    brg_task_unref(task);
    scenario_gate_close(&gate);
}

static void thread_that_hangs_in_start_is_abandoned(void **state)
{
    (void)state;
    scenario_gate gate;
    scenario_gate_open(&gate);
    char bytes[2];
    /* Several may be there at once: both ends stay open. */
    int reach = open(gate.reach, O_RDWR | O_CLOEXEC), hold = open(gate.hold, O_RDWR | O_CLOEXEC);
    assert_true(reach >= 0 && hold >= 0);
    brg_pool *pool = deaf_pool(scenario_gate_input(&gate, true), BRG_MILLISECONDS(10));
    brg_task *task = scenario_submit(pool, "who", NULL, NULL);
    for (int i = 0; i < 2; i++) /* the first is in its start, and the next one later */
        assert_int_equal(read(reach, &bytes[i], 1), 1);
    assert_true(brg_workers_lost() >= 1);
    assert_true(scenario_stats(pool).workers_start_failed >= 1);
    brg_pool_destroy(pool);
    assert_int_equal(scenario_result(task)->status, BRG_CANCELLED);
    brg_task_unref(task);
    for (size_t i = brg_workers_lost(); i > 0; i--)
        assert_int_equal(write(hold, "x", 1), 1);
    assert_true(watch_until(nobody_is_lost, NULL));
    close(reach);
    close(hold);
    scenario_gate_close(&gate);
}

/* A worker takes short tasks a handful at a time. One of them turns out to be long: who waits behind it still expires.
 * */
static brg_pool *behind_pool;
static brg_task *behind_task;

static brg_status behind_noop(brg_context *context, void *argument)
{
    (void)context;
    (void)argument;
    return BRG_OK;
}

static brg_status behind_hold(brg_context *context, void *argument)
{
    (void)context;
    while (__atomic_load_n((int *)argument, __ATOMIC_ACQUIRE) == 0)
        ;
    return BRG_OK;
}

static brg_status behind_submit(brg_context *context, void *argument)
{
    (void)context;
    brg_status status = brg_pool_submit_call(behind_pool, behind_hold, argument, NULL, NULL);
    return status != BRG_OK
               ? status
               : brg_pool_submit_call(behind_pool, behind_noop, NULL,
                                      brg_submit_opts(.queue_timeout_ns = BRG_MILLISECONDS(10)), &behind_task);
}

static void queue_timeout_holds_behind_a_long_task(void **state)
{
    (void)state;
    int let_go = 0;
    brg_task *task = NULL;
    behind_pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    for (int i = 0; i < 5000; i++)
        assert_int_equal(brg_pool_call(behind_pool, behind_noop, NULL, NULL, NULL), BRG_OK);
    assert_int_equal(brg_pool_wait_idle(behind_pool, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(brg_pool_submit_call(behind_pool, behind_submit, &let_go, NULL, &task), BRG_OK);
    assert_int_equal(scenario_result(task)->status, BRG_OK);
    brg_status waited = brg_task_wait(behind_task, SCENARIO_BOUND);
    __atomic_store_n(&let_go, 1, __ATOMIC_RELEASE);
    assert_int_equal(waited, BRG_OK);
    assert_int_equal(brg_task_result(behind_task)->status, BRG_TIMED_OUT);
    brg_task_unref(behind_task);
    brg_task_unref(task);
    brg_pool_destroy(behind_pool);
}

static brg_status until_cancelled(brg_context *context, void *argument)
{
    (void)argument;
    while (!brg_context_cancelled(context))
        __asm__ __volatile__("");
    return BRG_CANCELLED;
}

/* Wherever between queue and function the cancel finds it: a task that ends only when asked is asked. */
static void no_cancel_is_lost(void **state)
{
    (void)state;
    brg_pool *pool = NULL;
    assert_int_equal(brg_pool_create(&pool, brg_pool_opts(.workers_max = 2, .grace_ns = BRG_FOREVER), NULL), BRG_OK);
    for (int i = 0; i < 20000; i++) {
        brg_task *task = NULL;
        assert_int_equal(brg_pool_submit_call(pool, until_cancelled, NULL, NULL, &task), BRG_OK);
        for (volatile int spin = 0; spin < (i * 7) % 1500; spin++)
            ;
        assert_int_equal(brg_task_cancel(task), BRG_OK);
        assert_int_equal(brg_task_wait(task, SCENARIO_BOUND), BRG_OK);
        assert_int_equal(brg_task_result(task)->status, BRG_CANCELLED);
        brg_task_unref(task);
    }
    brg_pool_destroy(pool);
}

static void no_kill_is_lost(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        brg_pool *pool = NULL;
        assert_int_equal(brg_pool_create(&pool, brg_pool_opts(.workers_max = 1, .grace_ns = BRG_FOREVER), NULL),
                         BRG_OK);
        for (int k = 0; k < 3; k++)
            assert_int_equal(brg_pool_call(pool, until_cancelled, NULL, NULL, NULL), BRG_OK);
        for (volatile int spin = 0; spin < (i * 37) % 40000; spin++)
            ;
        assert_int_equal(brg_pool_kill(pool, SCENARIO_BOUND), BRG_OK);
        brg_pool_destroy(pool);
    }
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void leaking_task_ends_at_the_limit(void **state)
{
    (void)state;
    if (WATCH_SANITIZED)
        skip();
    brg_pool *pool = scenario_pool(BRG_ISOLATION_PROCESS,
                                   brg_pool_opts(.workers_max = 1, .limits = {.memory_bytes_max = (size_t)64 << 20}));
    brg_task *who = scenario_submit(pool, "who", NULL, NULL);
    int64_t first = brg_view_get_int(brg_value_root(scenario_result(who)->output), "pid", 0);
    brg_task_unref(who);
    scenario_expect(pool, "leak_politely", NULL, BRG_NO_MEMORY);
    who = scenario_submit(pool, "who", NULL, NULL); /* it said so, and lives */
    assert_int_equal(brg_view_get_int(brg_value_root(scenario_result(who)->output), "pid", 0), first);
    brg_task_unref(who);
    assert_int_equal(scenario_stats(pool).workers_crashed, 0);
    brg_task *task = scenario_submit(pool, "leak", NULL, NULL);
    const brg_result *result = scenario_result(task);
    assert_int_equal(result->status, BRG_NO_MEMORY);
    assert_int_equal(result->error->signal, SIGSEGV);
    assert_non_null(strstr(result->error->message, "memory"));
    scenario_expect(pool, "noop", NULL, BRG_OK);
    brg_task_unref(task);
    /* A crash afterwards is a crash, not the memory of long ago. */
    scenario_expect(pool, "leak_politely", NULL, BRG_NO_MEMORY);
    scenario_expect(pool, "abort", NULL, BRG_CRASHED);
    brg_pool_destroy(pool);
}

/* ---- a worker that lies, or is hurt late ------------------------------------------------------------------------- */

static const char *hostile_module(void)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%.*s/hostile.so", (int)(strrchr(scenario_module(), '/') - scenario_module()),
             scenario_module());
    return path;
}

static brg_value *hostile_input(int seed, int bytes)
{
    brg_value *input = NULL;
    assert_int_equal(brg_value_map(&input, NULL, brg_field_int("seed", seed), brg_field_int("bytes", bytes)), BRG_OK);
    return input;
}

/* Random bytes over ring positions, then also over all that follows: the owner sees it and ends the worker. */
static void garbage_is_a_protocol_error(void **state)
{
    (void)state;
    brg_pool *pool = scenario_pool(BRG_ISOLATION_PROCESS, brg_pool_opts(.module = hostile_module()));
    for (int seed = 1; seed <= 40; seed++) {
        brg_task *task = scenario_submit(pool, "scribble", hostile_input(seed, seed % 2 == 0 ? 8192 : 1 << 20), NULL);
        const brg_result *result = scenario_result(task);
        assert_int_equal(result->status, BRG_PROTOCOL);
        assert_int_equal(result->state, BRG_TASK_FAILED);
        assert_int_equal(result->error->status, BRG_PROTOCOL);
        assert_non_null(strstr(result->error->message, "broke the protocol"));
        brg_task_unref(task);
        scenario_expect(pool, "echo", NULL, BRG_OK);
    }
    brg_pool_destroy(pool);
}

/*
 * Garbage and an answer, and a worker that goes on while its memory changes under it. What its tasks get is its own
 * affair, values of any kind included; each settles, and the owner and the other worker do not notice.
 */
static void run_against_garbage(brg_pool *pool, const char *name, int seed)
{
    enum { OTHERS = 12 };
    brg_task *others[OTHERS];
    /* A worker that spoiled its own ring may wait for ever: the timeout ends it. */
    brg_task *task = scenario_submit(pool, name, hostile_input(seed, 0),
                                     brg_submit_opts(.run_timeout_ns = BRG_MILLISECONDS(50)));
    for (int i = 0; i < OTHERS; i++)
        others[i] = scenario_submit(pool, "echo", scenario_int("n", i),
                                    brg_submit_opts(.run_timeout_ns = BRG_MILLISECONDS(50)));
    scenario_result(task);
    for (int i = 0; i < OTHERS; i++) {
        const brg_result *result = scenario_result(others[i]);
        assert_true(result->status == BRG_OK || result->error->status == result->status);
        if (result->output != NULL)
            brg_view_get_int(brg_value_root(result->output), "n", 0);
        brg_task_unref(others[i]);
    }
    brg_task_unref(task);
}

static void garbage_harms_only_its_worker(void **state)
{
    (void)state;
    static const struct {
        const char *module, *task;
    } cases[] = {{"scenario", "garbage"}, {"hostile", "flip"}};
    for (size_t i = 0; i < 2; i++) {
        brg_pool *pool = scenario_pool(
            BRG_ISOLATION_PROCESS,
            brg_pool_opts(.module = i == 0 ? scenario_module() : hostile_module(), .grace_ns = BRG_MILLISECONDS(5)));
        brg_pool *bystander = scenario_pool(BRG_ISOLATION_PROCESS, brg_pool_opts(.workers_max = 1));
        for (int seed = 1; seed <= 40; seed++) {
            run_against_garbage(pool, cases[i].task, seed);
            scenario_expect(bystander, "noop", NULL, BRG_OK);
        }
        brg_pool_stats stats = scenario_stats(pool);
        assert_int_equal(stats.submitted, 40 * 13);
        /* Their status is a spoiled worker's affair, too: it may answer that a task was cancelled. */
        assert_int_equal(stats.done + stats.failed + stats.timed_out + stats.cancelled + stats.lost, stats.submitted);
        brg_pool_destroy(pool);
        brg_pool_destroy(bystander);
    }
}

/* A pool takes no messages: posting them gets a task nowhere, and stops nobody. */
static void posting_to_a_pool_stops_nobody(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.module = hostile_module(), .workers_max = 1));
    for (int i = 0; i < 3; i++) {
        brg_task *task = scenario_submit(pool, "post", scenario_int("count", 5000), NULL);
        assert_int_equal(scenario_result(task)->status, BRG_OK);
        assert_int_equal(brg_view_get_int(brg_value_root(brg_task_result(task)->output), "posted", -1), 0);
        scenario_expect(pool, "echo", NULL, BRG_OK);
        brg_task_unref(task);
    }
    brg_pool_destroy(pool);
}

/* The only worker of a pool: its process, and its id, which no other one gets. */
typedef struct only {
    pid_t pid;
    int64_t id;
} only;

static only only_worker(brg_pool *pool)
{
    brg_task *who = scenario_submit(pool, "who", NULL, NULL);
    assert_int_equal(scenario_result(who)->status, BRG_OK);
    brg_view root = brg_value_root(brg_task_result(who)->output);
    only one = {.pid = (pid_t)brg_view_get_int(root, "pid", 0), .id = brg_view_get_int(root, "worker", 0)};
    brg_task_unref(who);
    assert_true(one.pid > 0 && one.pid != getpid() && one.id != 0);
    return one;
}

static void late_harm_costs_no_innocent_task(void **state)
{
    (void)state;
    brg_pool *pool = scenario_pool(BRG_ISOLATION_PROCESS, brg_pool_opts(.workers_max = 1));
    only first = only_worker(pool);
    int watched = watch_process(first.pid);
    brg_task *late = scenario_submit(pool, "late", NULL, NULL);
    brg_status status = scenario_result(late)->status; /* its own end may be quicker than its answer */
    assert_true(status == BRG_OK || status == BRG_CRASHED);
    assert_true(watch_gone(watched));
    assert_true(only_worker(pool).id != first.id);
    assert_int_equal(scenario_stats(pool).workers_crashed, 1);
    brg_task_unref(late);
    brg_pool_destroy(pool);
}

static void killed_from_outside(void **state)
{
    (void)state;
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_pool *pool = scenario_pool(BRG_ISOLATION_PROCESS, brg_pool_opts(.workers_max = 1));
    only idle = only_worker(pool);
    int watched = watch_process(idle.pid);
    assert_int_equal(kill(idle.pid, SIGKILL), 0);
    assert_true(watch_gone(watched));
    only busy = only_worker(pool); /* nobody paid */
    assert_true(busy.id != idle.id);
    brg_task *task = scenario_submit(pool, "spin", scenario_gate_input(&gate, false), NULL);
    scenario_gate_reached(&gate);
    assert_int_equal(kill(busy.pid, SIGKILL), 0);
    const brg_result *result = scenario_result(task);
    assert_int_equal(result->status, BRG_CRASHED);
    assert_int_equal(result->error->signal, SIGKILL);
    assert_string_equal(result->error->backtrace, "");
    assert_true(only_worker(pool).id != busy.id);
    assert_int_equal(scenario_stats(pool).workers_crashed, 2);
    brg_task_unref(task);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

/* Ends all there are, also those of other pools' modules that linger: one may go by itself meanwhile. */
static bool no_template_is_left(void *argument)
{
    (void)argument;
    return !watch_kill_child("brigade-tmpl");
}

static void killed_template_harms_no_work(void **state)
{
    (void)state;
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_pool *pool = scenario_pool(BRG_ISOLATION_PROCESS, brg_pool_opts(.workers_max = 1));
    only worker = only_worker(pool);
    assert_true(watch_find_child("brigade-tmpl") > 0);
    brg_task *task = scenario_submit(pool, "noop", scenario_gate_input(&gate, true), NULL);
    scenario_gate_reached(&gate);
    assert_true(watch_until(no_template_is_left, NULL));
    scenario_gate_release(&gate);
    assert_int_equal(scenario_result(task)->status, BRG_OK);
    assert_int_equal(only_worker(pool).id, worker.id); /* it lives on */
    int watched = watch_process(worker.pid);
    assert_int_equal(kill(worker.pid, SIGKILL), 0);
    assert_true(watch_gone(watched));
    assert_true(only_worker(pool).id != worker.id);
    assert_true(watch_find_child("brigade-tmpl") > 0); /* a new one */
    brg_task_unref(task);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

/* Killed at any moment of many workers' starts: the pool still comes up. */
static void killed_template_delays_starts_only(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        brg_pool *pool = scenario_pool(BRG_ISOLATION_PROCESS, brg_pool_opts(.workers_max = 4, .breaker_failures = 100,
                                                                            .restart_min_ns = BRG_MILLISECONDS(1),
                                                                            .restart_max_ns = BRG_MILLISECONDS(5)));
        (void)watch_kill_child("brigade-tmpl");
        scenario_expect(pool, "noop", NULL, BRG_OK);
        brg_pool_destroy(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crash_settles_with_its_signal),
        cmocka_unit_test(small_stack_overflows_with_a_backtrace),
        cmocka_unit_test(exit_settles_with_its_code),
        cmocka_unit_test(endless_loop_is_killed),
        cmocka_unit_test(stuck_thread_is_abandoned),
        cmocka_unit_test(stuck_thread_outlives_its_pool),
        cmocka_unit_test(thread_that_hangs_in_start_is_abandoned),
        cmocka_unit_test(queue_timeout_holds_behind_a_long_task),
        cmocka_unit_test(no_cancel_is_lost),
        cmocka_unit_test(no_kill_is_lost),
        cmocka_unit_test(leaking_task_ends_at_the_limit),
        cmocka_unit_test(garbage_is_a_protocol_error),
        cmocka_unit_test(garbage_harms_only_its_worker),
        SCENARIO_BOTH(posting_to_a_pool_stops_nobody),
        cmocka_unit_test(late_harm_costs_no_innocent_task),
        cmocka_unit_test(killed_from_outside),
        cmocka_unit_test(killed_template_harms_no_work),
        cmocka_unit_test(killed_template_delays_starts_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
