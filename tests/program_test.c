/* SPDX-License-Identifier: MIT */
/* Faults of the whole program: it is killed, it forks, it makes and ends workers for ever. */
#define _GNU_SOURCE 1
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watch.h"

#define PROGRAM_WORKERS 3

/* ---- the owner is killed ----------------------------------------------------------------------------------------- */

/* The owner: this program once more. Prints who its workers and its template are, and stays. */
static int owner_main(void)
{
    brg_pool *pool = NULL;
    brg_error error;
    if (brg_pool_create(&pool,
                        brg_pool_opts(.isolation = BRG_ISOLATION_PROCESS, .module = scenario_module(),
                                      .workers_max = PROGRAM_WORKERS, .start_timeout_ns = SCENARIO_LONG,
                                      .grace_ns = SCENARIO_LONG),
                        &error) != BRG_OK)
        return 1;
    for (int i = 0; i < PROGRAM_WORKERS; i++) {
        /* Each holds its worker at the gate, so that each runs on its own; the last ones spin or sleep. */
        brg_task *task = NULL;
        brg_value *input = NULL;
        if (brg_value_map(&input, NULL, brg_field_string("reach", getenv("BRIGADE_TEST_GATE"))) != BRG_OK ||
            brg_pool_submit(pool,
                            i == 0   ? "spin"
                            : i == 1 ? "ignore_term"
                                     : "noop",
                            input, NULL, &task) != BRG_OK)
            return 1;
    }
    for (;;)
        pause();
}

static pid_t owner_start(const char *gate)
{
    setenv("BRIGADE_TEST_OWNER", "1", 1);
    setenv("BRIGADE_TEST_GATE", gate, 1);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "owner", (char *)NULL);
        _exit(127);
    }
    unsetenv("BRIGADE_TEST_OWNER");
    unsetenv("BRIGADE_TEST_GATE");
    assert_true(pid > 0);
    return pid;
}

/* Its children: workers and template. */
static int owner_children(pid_t owner, int pidfds[16])
{
    char path[64];
    int count = 0, pid;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)owner);
    /* The kernel lists children by the thread that made them; brigade's by its supervisor. */
    char command[160];
    snprintf(command, sizeof(command), "cat %s/*/children", path);
    FILE *list = popen(command, "re");
    assert_non_null(list);
    while (count < 16 && fscanf(list, "%d", &pid) == 1)
        pidfds[count++] = watch_process(pid);
    pclose(list);
    return count;
}

static void killed_owner_takes_its_workers_along(void **state)
{
    (void)state;
    scenario_gate gate;
    scenario_gate_open(&gate);
    int pidfds[16], reach = open(gate.reach, O_RDWR | O_CLOEXEC);
    assert_true(reach >= 0);
    pid_t owner = owner_start(gate.reach);
    for (int i = 0; i < PROGRAM_WORKERS; i++) {
        char byte;
        assert_int_equal(read(reach, &byte, 1), 1);
    }
    int count = owner_children(owner, pidfds);
    assert_int_equal(count, PROGRAM_WORKERS + 1);
    assert_int_equal(kill(owner, SIGKILL), 0);
    assert_int_equal(waitpid(owner, NULL, 0), owner);
    for (int i = 0; i < count; i++)
        assert_true(watch_gone(pidfds[i]));
    close(reach);
    scenario_gate_close(&gate);
}

/* ---- the program forks ------------------------------------------------------------------------------------------- */

#define FORK_CHECK(condition)                                                                                          \
    do                                                                                                                 \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "in the forked child, line %d: %s\n", __LINE__, #condition);                               \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    while (0)

typedef struct fork_world {
    brg_pool *pool, *looped;
    brg_task *running, *settled;
    brg_worker *worker;
    brg_loop *loop;
    brg_isolation isolation;
} fork_world;

static void fork_old_objects(fork_world *world)
{
    brg_task *task = NULL;
    brg_error error;
    brg_pool_stats stats = {.size = sizeof(stats)};
    brg_value *value = scenario_int("n", 1), *received = NULL;
    FORK_CHECK(brg_pool_submit(world->pool, "noop", NULL, brg_submit_opts(.error = &error), &task) == BRG_FORKED);
    FORK_CHECK(error.status == BRG_FORKED && strstr(error.message, "fork") != NULL);
    FORK_CHECK(brg_pool_submit_call(world->pool, NULL, NULL, NULL, &task) == BRG_FORKED);
    FORK_CHECK(task == NULL);
    FORK_CHECK(brg_pool_wait_idle(world->pool, BRG_FOREVER) == BRG_FORKED);
    FORK_CHECK(brg_pool_drain(world->pool, BRG_FOREVER) == BRG_FORKED);
    FORK_CHECK(brg_pool_stop(world->pool, BRG_FOREVER) == BRG_FORKED);
    FORK_CHECK(brg_pool_kill(world->pool, BRG_FOREVER) == BRG_FORKED);
    FORK_CHECK(brg_pool_get_stats(world->pool, &stats) == BRG_FORKED);
    FORK_CHECK(brg_task_wait(world->running, BRG_FOREVER) == BRG_FORKED);
    FORK_CHECK(brg_task_cancel(world->running) == BRG_FORKED);
    FORK_CHECK(brg_task_wait(world->settled, BRG_FOREVER) == BRG_OK); /* its result is here */
    FORK_CHECK(brg_task_result(world->settled)->status == BRG_OK);
    FORK_CHECK(brg_worker_post(world->worker, value, BRG_FOREVER, &error) == BRG_FORKED);
    FORK_CHECK(brg_worker_receive(world->worker, &received, BRG_FOREVER) == BRG_FORKED);
    FORK_CHECK(brg_worker_wait(world->worker, BRG_FOREVER, NULL) == BRG_FORKED);
    FORK_CHECK(brg_worker_wait_online(world->worker, BRG_FOREVER, &error) == BRG_FORKED);
    FORK_CHECK(brg_worker_terminate(world->worker) == BRG_FORKED);
    FORK_CHECK(brg_loop_run(world->loop) == BRG_FORKED);
    FORK_CHECK(brg_loop_dispatch(world->loop) == 0);
    brg_value_unref(value);
}

static void fork_new_objects(brg_isolation isolation)
{
    brg_loop *loop = NULL;
    brg_pool *pool = NULL;
    brg_task *task = NULL;
    FORK_CHECK(brg_loop_create(&loop, NULL, NULL) == BRG_OK);
    FORK_CHECK(
        brg_pool_create(&pool,
                        brg_pool_opts(.isolation = isolation, .module = scenario_module(), .workers_max = 2,
                                      .loop = loop, .start_timeout_ns = SCENARIO_LONG, .grace_ns = SCENARIO_LONG),
                        NULL) == BRG_OK);
    for (int i = 0; i < 10; i++) {
        FORK_CHECK(brg_pool_submit(pool, "who", NULL, NULL, &task) == BRG_OK);
        FORK_CHECK(brg_task_wait(task, SCENARIO_BOUND) == BRG_OK);
        FORK_CHECK(brg_task_result(task)->status == BRG_OK);
        if (isolation == BRG_ISOLATION_PROCESS)
            FORK_CHECK(brg_view_get_int(brg_value_root(brg_task_result(task)->output), "ppid", 0) == getpid());
        brg_task_unref(task);
    }
    FORK_CHECK(brg_pool_drain(pool, SCENARIO_BOUND) == BRG_OK);
    brg_pool_destroy(pool);
    FORK_CHECK(brg_loop_destroy(loop) == BRG_OK);
}

static void fork_child(fork_world *world)
{
    fork_old_objects(world);
    fork_new_objects(BRG_ISOLATION_THREAD);
    fork_new_objects(BRG_ISOLATION_PROCESS);
    brg_task_unref(world->running);
    brg_task_unref(world->settled);
    brg_worker_destroy(world->worker);
    brg_pool_destroy(world->looped);
    brg_pool_destroy(world->pool);
    brg_loop_destroy(world->loop);
}

/* Forks while `world` is at work; the child must come to its end. */
static void fork_run(fork_world *world)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* if it hangs it does not outlive the test */
        fork_child(world);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void forked_child_does_not_hang(void **state)
{
    if (WATCH_SANITIZED == 2)
        skip(); /* ThreadSanitizer dies when a child of a threaded program starts threads */
    fork_world world = {.isolation = scenario_isolation(state)};
    scenario_gate gate;
    scenario_gate_open(&gate);
    assert_int_equal(brg_loop_create(&world.loop, NULL, NULL), BRG_OK);
    world.looped = scenario_pool(world.isolation, brg_pool_opts(.loop = world.loop));
    world.pool = scenario_pool(world.isolation, brg_pool_opts(.workers_max = 1));
    assert_int_equal(brg_worker_create(&world.worker,
                                       brg_worker_opts(.isolation = world.isolation, .module = scenario_module(),
                                                       .start_timeout_ns = SCENARIO_LONG, .grace_ns = SCENARIO_LONG),
                                       NULL),
                     BRG_OK);
    assert_int_equal(brg_worker_wait_online(world.worker, SCENARIO_BOUND, NULL), BRG_OK);
    world.settled = scenario_submit(world.pool, "noop", NULL, NULL);
    scenario_result(world.settled);
    world.running = scenario_submit(world.pool, "noop", scenario_gate_input(&gate, true), NULL);
    scenario_gate_reached(&gate);
    fork_run(&world);
    /* Here nothing happened. */
    assert_int_equal(brg_task_get_state(world.running), BRG_TASK_RUNNING);
    scenario_gate_release(&gate);
    assert_int_equal(scenario_result(world.running)->status, BRG_OK);
    scenario_expect(world.pool, "noop", NULL, BRG_OK);
    scenario_expect(world.looped, "noop", NULL, BRG_OK);
    brg_value *message = scenario_int("n", 5), *answer = NULL;
    assert_int_equal(brg_worker_post(world.worker, message, BRG_FOREVER, NULL), BRG_OK);
    assert_int_equal(brg_worker_receive(world.worker, &answer, SCENARIO_BOUND), BRG_OK);
    brg_value_unref(answer);
    brg_task_unref(world.running);
    brg_task_unref(world.settled);
    brg_worker_destroy(world.worker);
    brg_pool_destroy(world.pool);
    brg_pool_destroy(world.looped);
    assert_int_equal(brg_loop_destroy(world.loop), BRG_OK);
    scenario_gate_close(&gate);
}

/* ---- for ever ---------------------------------------------------------------------------------------------------- */

#if WATCH_SANITIZED
#define CYCLES(count) ((count) / 20)
#else
#define CYCLES(count) (count)
#endif
#define GROWTH_KB 8192
#define GROWTHS 5 /* the C library keeps arenas and stacks of as many threads as were alive at once; leaks grow on */

typedef struct flat {
    int files, threads, children;
    long memory_kb;
} flat;

static flat flat_now(void)
{
    return (flat){.files = scenario_open_files(),
                  .threads = watch_count_threads(),
                  .children = watch_count_children(),
                  .memory_kb = watch_memory_kb()};
}

static void flat_check(const flat *before)
{
    assert_true(watch_until_files(before->files));
    assert_true(watch_until_threads(before->threads));
    assert_true(watch_until_children(before->children));
}

/* Whether it grew again, and there is to be another look at whether that goes on. */
static bool flat_grows(flat *before, int *times)
{
    long now_kb = watch_memory_kb();
    if (WATCH_SANITIZED || now_kb <= before->memory_kb + GROWTH_KB)
        return false;
    if (++*times == GROWTHS)
        fail_msg("memory grew %d times, now from %ld to %ld KiB", *times, before->memory_kb, now_kb);
    before->memory_kb = now_kb;
    return true;
}

static void flat_lives(void (*live)(brg_isolation isolation, int i), brg_isolation isolation, int count)
{
    int times = 0;
    for (int i = 0; i < 16; i++)
        live(isolation, i);
    flat before = flat_now();
    do {
        for (int i = 0; i < count; i++)
            live(isolation, i);
        flat_check(&before);
    } while (flat_grows(&before, &times));
}

static void pool_life(brg_isolation isolation, int i)
{
    brg_loop *loop = NULL;
    if (i % 2 == 0)
        assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = scenario_pool(isolation, brg_pool_opts(.workers_max = 2, .loop = loop));
    if (i % 4 < 2) /* or it goes before its workers came */
        scenario_expect(pool, "noop", NULL, BRG_OK);
    if (i % 8 == 0)
        assert_int_equal(brg_pool_submit(pool, "noop", NULL, NULL, NULL), BRG_OK);
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void pools_for_ever(void **state)
{
    brg_isolation isolation = scenario_isolation(state);
    flat_lives(pool_life, isolation, CYCLES(isolation == BRG_ISOLATION_THREAD ? 2000 : 200));
}

static void worker_life(brg_isolation isolation, int i)
{
    brg_worker *worker = NULL;
    brg_value *answer = NULL;
    assert_int_equal(brg_worker_create(&worker,
                                       brg_worker_opts(.isolation = isolation, .module = scenario_module(),
                                                       .start_timeout_ns = SCENARIO_LONG, .grace_ns = SCENARIO_LONG),
                                       NULL),
                     BRG_OK);
    if (i % 2 == 0) {
        assert_int_equal(brg_worker_post(worker, scenario_int("n", i), BRG_FOREVER, NULL), BRG_OK);
        assert_int_equal(brg_worker_receive(worker, &answer, SCENARIO_BOUND), BRG_OK);
        brg_value_unref(answer);
    }
    brg_worker_destroy(worker);
}

static void workers_for_ever(void **state)
{
    brg_isolation isolation = scenario_isolation(state);
    flat_lives(worker_life, isolation, CYCLES(isolation == BRG_ISOLATION_THREAD ? 2000 : 400));
}

static void crash_life(brg_pool *pool, int i)
{
    scenario_expect(pool,
                    i % 3 == 0   ? "segfault"
                    : i % 3 == 1 ? "abort"
                                 : "exit",
                    i % 3 == 2 ? scenario_int("code", 1) : NULL, i % 3 == 2 ? BRG_EXITED : BRG_CRASHED);
}

static void crashes_for_ever(void **state)
{
    (void)state;
    brg_pool *pool = scenario_pool(BRG_ISOLATION_PROCESS, brg_pool_opts(.workers_max = 2));
    int count = 0, times = 0;
    for (; count < 20; count++)
        crash_life(pool, count);
    flat before = flat_now();
    do {
        for (int end = count + CYCLES(2000); count < end; count++)
            crash_life(pool, count);
    } while (flat_grows(&before, &times));
    scenario_expect(pool, "noop", NULL, BRG_OK);
    scenario_expect(pool, "noop", NULL, BRG_OK);
    brg_pool_stats stats = scenario_stats(pool);
    assert_int_equal(stats.failed, count);
    assert_int_equal(stats.workers_start_failed, 0);
    brg_pool_destroy(pool);
    flat_check(&before);
}

int main(void)
{
    if (getenv("BRIGADE_TEST_OWNER") != NULL)
        return owner_main();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_owner_takes_its_workers_along),
        SCENARIO_BOTH(forked_child_does_not_hang),
        SCENARIO_BOTH(pools_for_ever),
        SCENARIO_BOTH(workers_for_ever),
        cmocka_unit_test(crashes_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
