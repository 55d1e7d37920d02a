/* SPDX-License-Identifier: MIT */
/* How many workers a pool has, with tasks that stay as its load; the policies alone are tested beside their code. */
#include "crowd.h"
#include "watch.h"

#include <pthread.h>
#include <sched.h>

static const char *load_module(void)
{
    static char path[4096];
    const char *directory = getenv("TEST_MODULE_DIR");
    snprintf(path, sizeof(path), "%s/configure.so", directory != NULL ? directory : ".");
    return path;
}

static brg_pool *load_pool(void **state, const brg_pool_options *options)
{
    brg_pool_options complete = *options;
    complete.module = load_module();
    complete.isolation = scenario_isolation(state);
    complete.start_timeout_ns = complete.grace_ns = SCENARIO_LONG; /* none is killed for want of a processor */
    brg_pool *pool = NULL;
    brg_error error;
    if (brg_pool_create(&pool, &complete, &error) != BRG_OK)
        fail_msg("pool: %s", error.message);
    return pool;
}

/* A pool with so many workers, online. */
typedef struct wanted {
    brg_pool *pool;
    uint32_t workers;
} wanted;

static bool has_workers(void *argument)
{
    wanted *want = argument;
    return scenario_stats(want->pool).workers_online == want->workers;
}

static void wait_for_workers(brg_pool *pool, uint32_t workers)
{
    if (!watch_until(has_workers, &(wanted){.pool = pool, .workers = workers}))
        fail_msg("%u workers online, not %u", scenario_stats(pool).workers_online, workers);
}

#define LOAD_MAX 64

typedef struct load {
    crowd here;
    brg_pool *pool;
    brg_task *tasks[LOAD_MAX];
    int count;
} load;

static void load_begin(load *self, void **state, const brg_pool_options *options)
{
    memset(self, 0, sizeof(*self));
    crowd_open(&self->here);
    self->pool = load_pool(state, options);
}

static void load_add(load *self, int count)
{
    for (int i = 0; i < count; i++)
        self->tasks[self->count++] = scenario_submit(self->pool, "show", crowd_input(&self->here), NULL);
}

/* Lets all go: none was lost. */
static void load_release(load *self)
{
    crowd_release(&self->here, self->count);
    for (int i = 0; i < self->count; i++) {
        assert_int_equal(scenario_result(self->tasks[i])->status, BRG_OK);
        brg_task_unref(self->tasks[i]);
    }
    self->count = 0;
    while (crowd_is_there(&self->here)) /* what nobody waited for */
        crowd_wait(&self->here, 1);
}

static void load_end(load *self)
{
    brg_pool_stats stats = scenario_stats(self->pool);
    assert_int_equal(stats.submitted, stats.done);
    assert_int_equal(stats.workers_crashed + stats.workers_killed + stats.workers_start_failed, 0);
    brg_pool_destroy(self->pool);
    crowd_close(&self->here);
}

/* ---- by default -------------------------------------------------------------------------------------------------- */

static void as_many_as_cpus(void **state)
{
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    brg_pool *pool = load_pool(state, brg_pool_opts(.no_spin = true));
    brg_pool_stats stats = scenario_stats(pool);
    assert_in_range(stats.workers_target, 1, (uint32_t)CPU_COUNT(&set)); /* a quota may want fewer */
    wait_for_workers(pool, stats.workers_target);
    brg_pool_destroy(pool);
}

static void *create_on_one_cpu(void *argument)
{
    cpu_set_t set;
    int cpu = 0;
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    while (!CPU_ISSET(cpu, &set))
        cpu++;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
    brg_pool *pool = load_pool(argument, brg_pool_opts(.no_spin = true));
    assert_int_equal(scenario_stats(pool).workers_target, 1);
    brg_pool_destroy(pool);
    return NULL;
}

static void as_many_as_this_thread_may_use(void **state)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, create_on_one_cpu, state), 0);
    pthread_join(thread, NULL);
}

/* ---- more and fewer ---------------------------------------------------------------------------------------------- */

#define QUICK .scaling_interval_ns = BRG_MILLISECONDS(1), .idle_timeout_ns = BRG_MILLISECONDS(5)

static void backlog_grows_and_shrinks(void **state)
{
    load self;
    load_begin(&self, state, brg_pool_opts(.scaling = brg_scaling_backlog, .workers_max = 6, .grow_queued = 1, QUICK));
    for (int round = 0; round < 3; round++) {
        wait_for_workers(self.pool, 1);
        load_add(&self, 30);
        crowd_wait(&self.here, 6); /* on six workers at once */
        assert_int_equal(scenario_stats(self.pool).workers_online, 6);
        load_release(&self);
    }
    wait_for_workers(self.pool, 1);
    assert_true(scenario_stats(self.pool).workers_shrunk >= 15);
    load_end(&self);
}

static void every_policy_grows_and_shrinks(void **state)
{
    const brg_scaling_policy *policies[] = {brg_scaling_backlog, brg_scaling_load};
    for (int i = 0; i < 2; i++) {
        load self;
        load_begin(&self, state,
                   brg_pool_opts(.scaling = policies[i], .workers_min = 2, .workers_max = 4, .grow_queued = 1, QUICK));
        wait_for_workers(self.pool, 2);
        load_add(&self, 20);
        crowd_wait(&self.here, 4);
        load_release(&self);
        wait_for_workers(self.pool, 2);
        load_end(&self);
    }
}

/*
 * Load looks at the workers, not at the queue: one that is busy for long gets company, with nothing waiting. On a
 * starved machine a new worker may seem busy for an interval, hence the bound.
 */
static void load_grows_without_a_queue(void **state)
{
    load self;
    load_begin(&self, state, brg_pool_opts(.scaling = brg_scaling_load, .workers_max = 2, QUICK));
    wait_for_workers(self.pool, 1);
    load_add(&self, 1);
    crowd_wait(&self.here, 1);
    wait_for_workers(self.pool, 2);
    assert_int_equal(scenario_stats(self.pool).queue_peak, 1); /* for a moment */
    load_release(&self);
    wait_for_workers(self.pool, 1);
    load_end(&self);
}

static void adaptive_stays_within_its_bounds(void **state)
{
    load self;
    load_begin(&self, state, brg_pool_opts(.scaling = brg_scaling_adaptive, .workers_min = 1, .workers_max = 4, QUICK));
    for (int i = 0; i < 5000; i++) {
        scenario_expect(self.pool, "show", NULL, BRG_OK);
        if (i % 50 == 0)
            assert_in_range(scenario_stats(self.pool).workers_target, 1, 4);
    }
    load_end(&self);
}

/* A worker that only waits gets company before its task has ended: none of them uses a CPU. */
static void adaptive_sees_who_waits(void **state)
{
    load self;
    load_begin(&self, state, brg_pool_opts(.scaling = brg_scaling_adaptive, .workers_min = 1, .workers_max = 8, QUICK));
    load_add(&self, 30);
    crowd_wait(&self.here, 4);
    load_release(&self);
    load_end(&self);
}

static void from_none_and_back(void **state)
{
    const brg_scaling_policy *policies[] = {brg_scaling_backlog, brg_scaling_load, brg_scaling_adaptive};
    for (int i = 0; i < 3; i++) {
        load self;
        load_begin(&self, state,
                   brg_pool_opts(.scaling = policies[i], .workers_min = BRG_NO_WORKERS, .workers_max = 3, QUICK));
        assert_int_equal(scenario_stats(self.pool).workers_started, 0);
        for (int round = 0; round < 3; round++) {
            scenario_expect(self.pool, "show", NULL, BRG_OK);
            wait_for_workers(self.pool, 0);
        }
        load_end(&self);
    }
}

static void starts_with_as_many_as_asked(void **state)
{
    load self;
    load_begin(&self, state,
               brg_pool_opts(.scaling = brg_scaling_backlog, .workers_max = 5, .workers_start = 4,
                             .idle_timeout_ns = BRG_SECONDS(1000)));
    wait_for_workers(self.pool, 4);
    load_end(&self);
}

static void spares_are_kept_ready(void **state)
{
    load self;
    load_begin(
        &self, state,
        brg_pool_opts(.scaling = brg_scaling_backlog, .workers_max = 6, .warm_spares = 2, .grow_queued = 1000, QUICK));
    wait_for_workers(self.pool, 2);
    load_add(&self, 1);
    crowd_wait(&self.here, 1);
    wait_for_workers(self.pool, 3);
    load_add(&self, 2);
    crowd_wait(&self.here, 2);
    wait_for_workers(self.pool, 5);
    load_add(&self, 3);
    crowd_wait(&self.here, 3);
    wait_for_workers(self.pool, 6); /* workers_max */
    load_release(&self);
    wait_for_workers(self.pool, 2);
    load_end(&self);
}

/* ---- by hand ----------------------------------------------------------------------------------------------------- */

static void tune(brg_pool *pool, uint32_t minimum, uint32_t maximum)
{
    assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.workers_min = minimum, .workers_max = maximum), NULL), BRG_OK);
}

static void resized_while_it_works(void **state)
{
    load self;
    load_begin(&self, state, brg_pool_opts(.workers_max = 2));
    load_add(&self, 12);
    crowd_wait(&self.here, 2);
    tune(self.pool, 0, 5);
    crowd_wait(&self.here, 3);
    wait_for_workers(self.pool, 5);
    tune(self.pool, 0, 1); /* the others end when they are idle, after what they have */
    assert_int_equal(scenario_stats(self.pool).workers_online, 5);
    load_release(&self);
    wait_for_workers(self.pool, 1);
    tune(self.pool, 0, 9);
    wait_for_workers(self.pool, 9);
    load_add(&self, 9);
    crowd_wait(&self.here, 9);
    load_release(&self);
    tune(self.pool, 0, 3);
    wait_for_workers(self.pool, 3);
    load_end(&self);
}

static void a_higher_minimum_is_met(void **state)
{
    load self;
    load_begin(&self, state, brg_pool_opts(.scaling = brg_scaling_backlog, .workers_max = 8, QUICK));
    wait_for_workers(self.pool, 1);
    tune(self.pool, 4, 0);
    wait_for_workers(self.pool, 4);
    tune(self.pool, 2, 0);
    wait_for_workers(self.pool, 2);
    tune(self.pool, BRG_NO_WORKERS, 0);
    wait_for_workers(self.pool, 0);
    scenario_expect(self.pool, "show", NULL, BRG_OK);
    tune(self.pool, 3, 3);
    wait_for_workers(self.pool, 3);
    load_end(&self);
}

/* The others come when all waits for the first one, which does not end: they have their part nevertheless. */
static void who_comes_shares_the_backlog(void **state)
{
    const brg_placement_policy *placements[] = {brg_placement_round_robin, brg_placement_least_busy,
                                                brg_placement_random, brg_placement_two_choices, brg_placement_sticky};
    for (size_t p = 0; p < sizeof(placements) / sizeof(placements[0]); p++) {
        load self;
        load_begin(&self, state, brg_pool_opts(.workers_max = 1, .placement = placements[p]));
        load_add(&self, 12);
        crowd_wait(&self.here, 1);
        tune(self.pool, 0, 4);
        crowd_wait(&self.here, 3); /* three more run at the same time */
        load_release(&self);
        load_end(&self);
    }
}

/* A key's tasks run in the order of their submits, though another worker takes the key over in between. */
#define KEYS 5
#define KEYED 60

typedef struct keyed {
    uint32_t *next; /* of its key */
    uint32_t number;
} keyed;

static brg_status keyed_run(brg_context *context, void *argument)
{
    (void)context;
    const keyed *self = argument;
    uint32_t expected = self->number;
    bool is_next = __atomic_compare_exchange_n(self->next, &expected, self->number + 1, false, __ATOMIC_SEQ_CST,
                                               __ATOMIC_SEQ_CST);
    return is_next ? BRG_OK : BRG_FAILED;
}

static void keys_start_in_order(void **state)
{
    (void)state;
    static uint32_t next[KEYS];
    static keyed tasks[KEYS * KEYED];
    brg_task *handles[KEYS * KEYED];
    load self;
    load_begin(&self, state, brg_pool_opts(.workers_max = 1, .placement = brg_placement_sticky));
    memset(next, 0, sizeof(next));
    load_add(&self, 1);
    crowd_wait(&self.here, 1); /* the worker is busy with another task: none of these starts yet */
    for (uint32_t i = 0; i < KEYS * KEYED; i++) {
        tasks[i] = (keyed){.next = &next[i % KEYS], .number = i / KEYS};
        assert_int_equal(
            brg_pool_submit_call(self.pool, keyed_run, &tasks[i], brg_submit_opts(.key = 1 + i % KEYS), &handles[i]),
            BRG_OK);
        if (i != KEYS * KEYED / 2)
            continue;
        tune(self.pool, 0, 2);
        wait_for_workers(self.pool, 2);
    }
    load_release(&self);
    for (uint32_t i = 0; i < KEYS * KEYED; i++) {
        assert_int_equal(scenario_result(handles[i])->status, BRG_OK);
        brg_task_unref(handles[i]);
    }
    load_end(&self);
}

/* Every placement, tasks all the while: the queue of a worker that leaves moves on. */
static void no_task_is_lost(void **state)
{
    const brg_placement_policy *placements[] = {
        brg_placement_pull,        brg_placement_round_robin, brg_placement_least_busy, brg_placement_random,
        brg_placement_two_choices, brg_placement_sticky,      brg_placement_stealing};
    for (size_t p = 0; p < sizeof(placements) / sizeof(placements[0]); p++) {
        brg_pool *pool = load_pool(state, brg_pool_opts(.workers_max = 4, .placement = placements[p]));
        for (uint32_t i = 0; i < 30; i++) {
            for (uint32_t j = 0; j < 20; j++)
                assert_int_equal(brg_pool_submit(pool, "show", NULL, brg_submit_opts(.key = j + 1), NULL), BRG_OK);
            tune(pool, 0, 1 + (i * 7) % 5);
        }
        assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
        assert_int_equal(scenario_stats(pool).done, 600);
        brg_pool_destroy(pool);
    }
}

/* Bounds that make no sense change nothing. */
static void wrong_bounds_are_refused(void **state)
{
    brg_error error;
    brg_pool *pool = load_pool(state, brg_pool_opts(.scaling = brg_scaling_backlog, .workers_max = 2));
    assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.workers_min = 5, .idle_timeout_ns = 1), &error), BRG_INVALID);
    assert_non_null(strstr(error.message, "workers_min"));
    assert_int_equal(brg_pool_tune(pool, brg_pool_opts(.workers_start = 2), &error), BRG_INVALID);
    assert_non_null(strstr(error.message, "workers_start"));
    assert_int_equal(scenario_stats(pool).workers_target, 1);
    brg_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(as_many_as_cpus),
        SCENARIO_BOTH(as_many_as_this_thread_may_use),
        SCENARIO_BOTH(backlog_grows_and_shrinks),
        SCENARIO_BOTH(every_policy_grows_and_shrinks),
        SCENARIO_BOTH(load_grows_without_a_queue),
        SCENARIO_BOTH(adaptive_stays_within_its_bounds),
        SCENARIO_BOTH(adaptive_sees_who_waits),
        SCENARIO_BOTH(from_none_and_back),
        SCENARIO_BOTH(starts_with_as_many_as_asked),
        SCENARIO_BOTH(spares_are_kept_ready),
        SCENARIO_BOTH(resized_while_it_works),
        SCENARIO_BOTH(a_higher_minimum_is_met),
        SCENARIO_BOTH(who_comes_shares_the_backlog),
        SCENARIO_THREAD(keys_start_in_order),
        SCENARIO_BOTH(no_task_is_lost),
        SCENARIO_BOTH(wrong_bounds_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
