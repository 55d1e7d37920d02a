/* SPDX-License-Identifier: MIT */
/*
 * Random operations on random pools against a model of what must come of them, in both isolations: every accepted task
 * settles exactly once, with an end that what was done explains; the counts add up; nothing is left of it afterwards.
 *
 * BRIGADE_TEST_SEED=n repeats the choices of a run, though not its timing; BRIGADE_TEST_RUNS=n makes so many, with
 * consecutive seeds. Without it there are as many as fit in some seconds.
 */
#include "model.h"

#include <stdio.h>
#include <time.h>

#include "watch.h"

#define WARM_UP 10 /* runs before threads, files and memory are counted */
#define BUDGET_SECONDS 3
#define MEMORY_KB 8192
#define GROWTHS 5     /* a run with more threads at once than ever keeps more; a leak grows on */
#define FILES_KEPT 16 /* shared memory that the library keeps for the next who wants some */

static uint64_t base_seed;
static long wanted_runs; /* 0: as many as fit */

static int seed_print(void **state)
{
    (void)state;
    const char *given = getenv("BRIGADE_TEST_SEED"), *wanted = getenv("BRIGADE_TEST_RUNS");
    base_seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    wanted_runs = wanted != NULL ? atol(wanted) : given != NULL ? 1 : 0;
    fprintf(stderr, "BRIGADE_TEST_SEED=%llu\n", (unsigned long long)base_seed);
    model_watch_start();
    return 0;
}

static bool no_worker_is_lost(void *argument)
{
    (void)argument;
    return brg_workers_lost() == 0;
}

static bool no_child_is_left(void *argument) { return watch_count_children() <= *(int *)argument; }

/* Of a clock that nobody sets. */
static time_t seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static bool is_over(long runs, time_t start)
{
    return wanted_runs != 0 ? runs >= wanted_runs : runs >= WARM_UP && seconds_now() - start >= BUDGET_SECONDS;
}

/* Whether there is more memory than before; then as many runs again, of which a leak leaves as much, and so on. */
static void memory_stays(long before_kb, long runs, bool is_process, void (*play)(uint64_t seed, bool is_process))
{
    uint64_t seed = base_seed + (uint64_t)runs;
    for (int times = 0; watch_memory_kb() > before_kb + MEMORY_KB; times++) {
        if (times == GROWTHS)
            fail_msg("memory grew %d times, now from %ld to %ld KiB", times, before_kb, watch_memory_kb());
        before_kb = watch_memory_kb();
        for (long i = 0; i < runs; i++)
            play(seed++, is_process);
    }
}

static void play_many(bool is_process, void (*play)(uint64_t seed, bool is_process))
{
    int threads = 0, files = 0, children = 0;
    long memory_kb = 0, runs = 0;
    time_t start = seconds_now();
    for (; !is_over(runs, start); runs++) {
        if (runs == WARM_UP) {
            threads = watch_count_threads();
            files = scenario_open_files();
            children = watch_count_children();
        }
        if (runs == WARM_UP * 10)
            memory_kb = watch_memory_kb();
        play(base_seed + (uint64_t)runs, is_process);
    }
    print_message("%ld runs\n", runs);
    assert_true(watch_until(no_worker_is_lost, NULL));
    if (runs <= WARM_UP)
        return;
    if (!watch_until_threads(threads))
        fail_msg("there were %d threads, and are %d", threads, watch_count_threads());
    if (!watch_until_files(files + FILES_KEPT))
        fail_msg("there were %d files, and are %d", files, scenario_open_files());
    if (!watch_until(no_child_is_left, &children))
        fail_msg("there were %d children, and are %d", children, watch_count_children());
    if (!WATCH_SANITIZED && memory_kb != 0)
        memory_stays(memory_kb, runs, is_process, play);
}

static void pools_keep_to_the_model(void **state)
{
    play_many(scenario_isolation(state) == BRG_ISOLATION_PROCESS, model_play);
}

static void held_pools_are_exact(void **state)
{
    play_many(scenario_isolation(state) == BRG_ISOLATION_PROCESS, model_play_exact);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENARIO_BOTH(pools_keep_to_the_model), SCENARIO_BOTH(held_pools_are_exact)};
    return cmocka_run_group_tests(tests, seed_print, NULL);
}
