/* SPDX-License-Identifier: MIT */
/* Fork and join in tasks of a pool. */
#include "plug.h"

#include <stdio.h>

#define BOUND SCENARIO_BOUND

static brg_task *start_call(brg_pool *pool, brg_call_fn call, void *argument)
{
    brg_task *task = NULL;
    assert_int_equal(brg_pool_submit_call(pool, call, argument, NULL, &task), BRG_OK);
    return task;
}

/* Waits for it, and drops the handle. */
static brg_status end_call(brg_task *task)
{
    assert_int_equal(brg_task_wait(task, BOUND), BRG_OK);
    brg_status status = brg_task_result(task)->status;
    brg_task_unref(task);
    return status;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

typedef struct fib_call {
    uint64_t n, result;
} fib_call;

static void fib(brg_context *context, void *argument)
{
    fib_call *call = argument;
    call->result = call->n;
    if (call->n < 2)
        return;
    fib_call one = {.n = call->n - 1}, two = {.n = call->n - 2};
    brg_fork fork;
    brg_fork_start(context, &fork, fib, &one);
    fib(context, &two);
    brg_fork_join(context, &fork);
    call->result = one.result + two.result;
}

static brg_status fib_task(brg_context *context, void *argument)
{
    fib(context, argument);
    return BRG_OK;
}

static void fib_in_one_task(void **state)
{
    (void)state;
    for (uint32_t workers = 1; workers <= 4; workers++) {
        brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = workers, .no_spin = workers == 3));
        for (int i = 0; i < 10; i++) {
            fib_call call = {.n = 18};
            assert_int_equal(end_call(start_call(pool, fib_task, &call)), BRG_OK);
            assert_int_equal(call.result, 2584);
        }
        brg_pool_destroy(pool);
    }
}

static void fib_in_many_tasks_at_once(void **state)
{
    (void)state;
    enum { TASKS = 60 };
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 3));
    fib_call calls[TASKS];
    brg_task *tasks[TASKS];
    for (int i = 0; i < TASKS; i++) {
        calls[i] = (fib_call){.n = i % 20};
        tasks[i] = start_call(pool, fib_task, &calls[i]);
    }
    uint64_t expected[20] = {0, 1};
    for (int i = 2; i < 20; i++)
        expected[i] = expected[i - 1] + expected[i - 2];
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(end_call(tasks[i]), BRG_OK);
        assert_int_equal(calls[i].result, expected[i % 20]);
    }
    brg_pool_destroy(pool);
}

enum { FLAT = 5000 };

static void add_one(brg_context *context, void *argument)
{
    (void)context;
    __atomic_fetch_add((uint32_t *)argument, 1, __ATOMIC_RELAXED);
}

static brg_status flat_task(brg_context *context, void *argument)
{
    brg_fork *forks = brg_context_alloc(context, FLAT * sizeof(*forks));
    if (forks == NULL)
        return BRG_NO_MEMORY;
    uint32_t *counts = argument;
    for (int i = 0; i < FLAT; i++)
        brg_fork_start(context, &forks[i], add_one, &counts[i]);
    for (int i = 0; i < FLAT; i++)
        brg_fork_join(context, &forks[i]);
    return BRG_OK;
}

static void more_forks_than_are_kept(void **state)
{
    (void)state;
    static uint32_t counts[FLAT];
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2));
    for (int round = 1; round <= 5; round++) {
        assert_int_equal(end_call(start_call(pool, flat_task, counts)), BRG_OK);
        for (int i = 0; i < FLAT; i++)
            assert_int_equal(counts[i], round);
    }
    brg_pool_destroy(pool);
}

static void sum_piece(brg_context *context, uint64_t first, uint64_t end, void *argument)
{
    uint64_t sum = 0;
    (void)context;
    for (uint64_t i = first; i < end; i++)
        sum += i;
    __atomic_fetch_add((uint64_t *)argument, sum, __ATOMIC_RELAXED);
}

static brg_status sum_task(brg_context *context, void *argument)
{
    brg_fork_range(context, 0, 1000000, 0, sum_piece, argument);
    return BRG_OK;
}

static void a_range(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2));
    uint64_t sum = 0;
    assert_int_equal(end_call(start_call(pool, sum_task, &sum)), BRG_OK);
    assert_int_equal(sum, (uint64_t)1000000 * 999999 / 2);
    brg_pool_destroy(pool);
}

/* ---- elsewhere --------------------------------------------------------------------------------------------------- */

static void process_runs_it_in_place(void **state)
{
    (void)state;
    char path[4096];
    const char *directory = getenv("TEST_MODULE_DIR");
    snprintf(path, sizeof(path), "%s/fork.so", directory != NULL ? directory : ".");
    brg_pool *pool = scenario_function_pool(
        brg_pool_opts(.module = path, .isolation = BRG_ISOLATION_PROCESS, .workers_max = 2));
    brg_value *input = NULL;
    assert_int_equal(brg_value_int(&input, 15, NULL), BRG_OK);
    brg_task *task = scenario_submit(pool, "fib", input, NULL);
    const brg_result *result = scenario_result(task);
    assert_int_equal(result->status, BRG_OK);
    assert_int_equal(brg_view_get_int(brg_value_root(result->output), "fib", -1), 610);
    assert_false(brg_view_get_bool(brg_value_root(result->output), "elsewhere", true));
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

static void a_worker_without_a_pool_runs_it_in_place(void **state)
{
    (void)state;
    fib_call call = {.n = 15};
    brg_worker *worker = NULL;
    assert_int_equal(
        brg_worker_create(&worker,
                          brg_worker_opts(.entry = fib_task, .entry_argument = &call, .grace_ns = SCENARIO_LONG), NULL),
        BRG_OK);
    assert_int_equal(brg_worker_wait(worker, BOUND, NULL), BRG_OK);
    assert_int_equal(call.result, 610);
    brg_worker_destroy(worker);
}

/* ---- cancel ------------------------------------------------------------------------------------------------------ */

typedef struct pair {
    uint32_t xbegan;
    uint64_t forker, runner; /* ids of the workers */
} pair;

static void run_until_cancelled(brg_context *context, void *argument)
{
    pair *p = argument;
    p->runner = brg_context_worker_id(context);
    flag_set(&p->xbegan);
    while (!brg_context_cancelled(context))
        sched_yield();
}

static brg_status fork_until_cancelled(brg_context *context, void *argument)
{
    pair *p = argument;
    brg_fork fork;
    p->forker = brg_context_worker_id(context);
    brg_fork_start(context, &fork, run_until_cancelled, p);
    flag_wait(&p->xbegan, 1); /* by the other worker, which may sleep and is woken */
    brg_fork_join(context, &fork);
    return BRG_CANCELLED;
}

static void a_stolen_fork_sees_the_cancel(void **state)
{
    (void)state;
    for (int no_spin = 0; no_spin < 2; no_spin++) {
        brg_pool *pool = scenario_function_pool(
            brg_pool_opts(.workers_max = 2, .no_spin = no_spin != 0, .grace_ns = BRG_FOREVER));
        for (int i = 0; i < 20; i++) {
            pair p = {0};
            brg_task *task = start_call(pool, fork_until_cancelled, &p);
            flag_wait(&p.xbegan, 1);
            assert_int_equal(brg_task_cancel(task), BRG_OK);
            assert_int_equal(end_call(task), BRG_CANCELLED);
            assert_int_not_equal(p.forker, p.runner);
        }
        brg_pool_destroy(pool);
    }
}

static brg_status fork_for_ever(brg_context *context, void *argument)
{
    (void)argument;
    while (!brg_context_cancelled(context)) {
        fib_call call = {.n = 12};
        fib(context, &call);
    }
    return BRG_CANCELLED;
}

static void a_pool_ends_while_tasks_fork(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 3, .grace_ns = BRG_FOREVER));
        for (int k = 0; k < 2; k++)
            assert_int_equal(brg_pool_submit_call(pool, fork_for_ever, NULL, NULL, NULL), BRG_OK);
        fib_call call = {.n = 15};
        assert_int_equal(end_call(start_call(pool, fib_task, &call)), BRG_OK); /* they may be at it by now */
        brg_pool_destroy(pool);
    }
}

/* ---- tasks in forks ---------------------------------------------------------------------------------------------- */

typedef struct nest {
    brg_pool *pool;
    uint32_t xbegan, xinner;
    uint64_t forker, runner, inner;
    brg_task *task;
    brg_status status;
    bool cancelled;
    fib_call after;
} nest;

/* With forks of its own, until it is asked to end. */
static brg_status inner_task(brg_context *context, void *argument)
{
    nest *n = argument;
    n->inner = brg_context_worker_id(context);
    flag_set(&n->xinner);
    while (!brg_context_cancelled(context))
        fib(context, &(fib_call){.n = 5});
    return BRG_CANCELLED;
}

/* There is no other worker for the task: this one runs it, inside the fork. */
static void wait_for_a_task(brg_context *context, void *argument)
{
    nest *n = argument;
    n->runner = brg_context_worker_id(context);
    flag_set(&n->xbegan);
    flag_wait(&n->xbegan, 2); /* it has its handle by then */
    n->status = brg_task_wait(n->task, BOUND);
    n->cancelled = brg_context_cancelled(context);
    fib(context, &n->after);
}

static brg_status outer_task(brg_context *context, void *argument)
{
    nest *n = argument;
    brg_fork fork;
    n->forker = brg_context_worker_id(context);
    brg_fork_start(context, &fork, wait_for_a_task, n);
    flag_wait(&n->xbegan, 1);
    brg_status status = brg_pool_submit_call(n->pool, inner_task, n, NULL, &n->task);
    __atomic_store_n(&n->xbegan, 2, __ATOMIC_RELEASE);
    brg_fork_join(context, &fork);
    return brg_context_cancelled(context) ? BRG_CANCELLED : status;
}

static void a_stolen_fork_waits_for_a_task(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2, .grace_ns = BRG_FOREVER));
    for (int i = 0; i < 20; i++) {
        nest n = {.pool = pool, .after = {.n = 10}};
        brg_task *outer = start_call(pool, outer_task, &n);
        flag_wait(&n.xinner, 1);
        assert_int_equal(brg_task_cancel(n.task), BRG_OK);
        assert_int_equal(end_call(outer), BRG_OK);
        assert_int_equal(n.status, BRG_OK);
        assert_int_equal(end_call(n.task), BRG_CANCELLED);
        assert_false(n.cancelled);
        assert_int_equal(n.inner, n.runner);
        assert_int_not_equal(n.inner, n.forker);
        assert_int_equal(n.after.result, 55);
    }
    brg_pool_destroy(pool);
}

/* ---- abandoned --------------------------------------------------------------------------------------------------- */

typedef struct deaf {
    plug plug;
    uint32_t xended;
    fib_call after;
} deaf;

static void deaf_fork(brg_context *context, void *argument)
{
    deaf *d = argument;
    (void)plug_task(context, &d->plug);
}

/* Ends only when it is let go, then works on, with forks, as if nothing had happened. */
static brg_status deaf_task(brg_context *context, void *argument)
{
    deaf *d = argument;
    brg_fork fork;
    brg_fork_start(context, &fork, deaf_fork, d);
    plug_wait(&d->plug, 1);
    brg_fork_join(context, &fork);
    fib(context, &d->after);
    flag_set(&d->xended);
    return BRG_OK;
}

static void wait_for_lost(size_t count)
{
    while (brg_workers_lost() != count)
        sched_yield();
}

/* Both its worker and the one that runs its fork are given up. */
static void start_deaf(brg_pool *pool, deaf *d)
{
    wait_for_lost(0); /* of those before */
    *d = (deaf){.after = {.n = 12}};
    brg_task *task = start_call(pool, deaf_task, d);
    plug_wait(&d->plug, 1);
    assert_int_equal(brg_task_cancel(task), BRG_OK);
    assert_int_equal(end_call(task), BRG_CANCELLED);
    wait_for_lost(2);
    assert_int_equal(scenario_stats(pool).workers_killed, 2);
}

static void end_deaf(deaf *d)
{
    plug_pull(&d->plug);
    flag_wait(&d->xended, 1);
    wait_for_lost(0);
    assert_int_equal(d->after.result, 144);
}

static void be_met(brg_context *context, void *argument)
{
    pair *p = argument;
    p->runner = brg_context_worker_id(context);
    flag_set(&p->xbegan);
}

static brg_status meet(brg_context *context, void *argument)
{
    pair *p = argument;
    brg_fork fork;
    p->forker = brg_context_worker_id(context);
    brg_fork_start(context, &fork, be_met, p);
    flag_wait(&p->xbegan, 1);
    brg_fork_join(context, &fork);
    return BRG_OK;
}

static void a_deaf_task_takes_its_helpers_with_it(void **state)
{
    (void)state;
    static deaf d;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2, .grace_ns = BRG_MILLISECONDS(1)));
    start_deaf(pool, &d);
    for (int i = 0; i < 5; i++) { /* two new ones are there, and share forks */
        pair p = {0};
        assert_int_equal(end_call(start_call(pool, meet, &p)), BRG_OK);
        assert_int_not_equal(p.forker, p.runner);
    }
    end_deaf(&d);
    brg_pool_destroy(pool);
}

static void lost_workers_fork_when_the_pool_is_gone(void **state)
{
    (void)state;
    static deaf d;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2, .grace_ns = BRG_MILLISECONDS(1)));
    start_deaf(pool, &d);
    brg_pool_destroy(pool);
    end_deaf(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fib_in_one_task),
        cmocka_unit_test(fib_in_many_tasks_at_once),
        cmocka_unit_test(more_forks_than_are_kept),
        cmocka_unit_test(a_range),
        cmocka_unit_test(process_runs_it_in_place),
        cmocka_unit_test(a_worker_without_a_pool_runs_it_in_place),
        cmocka_unit_test(a_stolen_fork_sees_the_cancel),
        cmocka_unit_test(a_pool_ends_while_tasks_fork),
        cmocka_unit_test(a_stolen_fork_waits_for_a_task),
        cmocka_unit_test(a_deaf_task_takes_its_helpers_with_it),
        cmocka_unit_test(lost_workers_fork_when_the_pool_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
