/* SPDX-License-Identifier: MIT */
/* Tasks that submit tasks to their own pool and wait for them: no deadlock, however few workers there are. */
#include "plug.h"
#include "watch.h"

#include <semaphore.h>
#include <stdatomic.h>

typedef struct fib {
    brg_pool *pool;
    int n;
    long result;
} fib;

static brg_status fib_task(brg_context *context, void *argument)
{
    fib *self = argument;
    if (self->n < 2) {
        self->result = self->n;
        return BRG_OK;
    }
    fib left = {self->pool, self->n - 1, -1}, right = {self->pool, self->n - 2, -1};
    brg_task *task = NULL;
    brg_status status = brg_pool_submit_call(self->pool, fib_task, &left, NULL, &task);
    if (status != BRG_OK)
        return status;
    fib_task(context, &right);
    status = brg_task_wait(task, BRG_FOREVER);
    if (status == BRG_OK)
        status = brg_task_result(task)->status;
    brg_task_unref(task);
    self->result = left.result + right.result;
    return status;
}

static const brg_result *run_call(brg_pool *pool, brg_call_fn call, void *argument, brg_task **task)
{
    assert_int_equal(brg_pool_submit_call(pool, call, argument, NULL, task), BRG_OK);
    assert_int_equal(brg_task_wait(*task, SCENARIO_BOUND), BRG_OK);
    return brg_task_result(*task);
}

static void tasks_wait_for_their_own(void **state)
{
    (void)state;
    const brg_queue_policy *queues[] = {brg_queue_fifo,     brg_queue_lifo,     brg_queue_priority,
                                        brg_queue_weighted, brg_queue_deadline, brg_queue_fair};
    const brg_placement_policy *placements[] = {brg_placement_pull, brg_placement_round_robin, brg_placement_stealing,
                                                brg_placement_two_choices, brg_placement_sticky};
    for (uint32_t workers = 1; workers <= 3; workers++)
        for (size_t q = 0; q < 6; q++)
            for (size_t p = 0; p < 5; p++) {
                brg_pool *pool = scenario_function_pool(
                    brg_pool_opts(.workers_max = workers, .queue = queues[q], .placement = placements[p]));
                fib root = {pool, 13, -1};
                brg_task *task = NULL;
                assert_int_equal(run_call(pool, fib_task, &root, &task)->status, BRG_OK);
                assert_int_equal(root.result, 233);
                brg_task_unref(task);
                brg_pool_stats stats = scenario_stats(pool);
                assert_int_equal(stats.done, stats.submitted);
                brg_pool_destroy(pool);
            }
}

/* ---- circles ----------------------------------------------------------------------------------------------------- */

typedef struct circle {
    brg_task *xother, *self;
    sem_t *go;
    brg_status status;
} circle;

static brg_status wait_for_other(brg_context *context, void *argument)
{
    (void)context;
    circle *one = argument;
    sem_wait(one->go);
    one->status = brg_task_wait(one->xother, BRG_FOREVER);
    return BRG_OK;
}

static void circles_are_found(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2));
    sem_t go;
    sem_init(&go, 0, 0);
    circle a = {.go = &go, .status = BRG_FAILED}, b = a;
    assert_int_equal(brg_pool_submit_call(pool, wait_for_other, &a, NULL, &a.self), BRG_OK);
    assert_int_equal(brg_pool_submit_call(pool, wait_for_other, &b, NULL, &b.self), BRG_OK);
    a.xother = b.self;
    b.xother = a.self;
    sem_post(&go);
    sem_post(&go);
    assert_int_equal(brg_task_wait(a.self, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(brg_task_wait(b.self, SCENARIO_BOUND), BRG_OK);
    assert_true(a.status == BRG_DEADLOCK || b.status == BRG_DEADLOCK);
    assert_true(a.status == BRG_OK || b.status == BRG_OK); /* one lets go, the other gets its answer */
    circle c = {.go = &go, .status = BRG_OK};
    assert_int_equal(brg_pool_submit_call(pool, wait_for_other, &c, NULL, &c.self), BRG_OK);
    c.xother = c.self;
    sem_post(&go);
    assert_int_equal(brg_task_wait(c.self, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(c.status, BRG_DEADLOCK);
    brg_task_unref(a.self);
    brg_task_unref(b.self);
    brg_task_unref(c.self);
    brg_pool_destroy(pool);
}

/* ---- depth ------------------------------------------------------------------------------------------------------- */

typedef struct deep {
    brg_pool *pool;
    int left;
    brg_status deepest;
} deep;

static brg_status go_deeper(brg_context *context, void *argument)
{
    (void)context;
    deep *self = argument;
    if (self->left == 0)
        return BRG_OK;
    deep next = {self->pool, self->left - 1, BRG_OK};
    brg_task *task = NULL;
    brg_status status = brg_pool_submit_call(self->pool, go_deeper, &next, NULL, &task);
    if (status == BRG_OK)
        status = brg_task_wait(task, BRG_FOREVER);
    if (status == BRG_DEADLOCK)
        brg_task_cancel(task);
    brg_task_unref(task);
    self->deepest = status != BRG_OK ? status : next.deepest;
    return BRG_OK;
}

static void depth_is_bounded(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    deep shallow = {pool, 16, BRG_OK}, too_deep = {pool, BRG_NESTING_MAX + 1, BRG_OK};
    brg_task *task = NULL;
    assert_int_equal(run_call(pool, go_deeper, &shallow, &task)->status, BRG_OK);
    assert_int_equal(shallow.deepest, BRG_OK);
    brg_task_unref(task);
    assert_int_equal(run_call(pool, go_deeper, &too_deep, &task)->status, BRG_OK);
    assert_int_equal(too_deep.deepest, BRG_DEADLOCK);
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

/* ---- cancel, timeouts, contexts ---------------------------------------------------------------------------------- */

typedef struct parent {
    brg_pool *pool;
    brg_call_fn child_call;
    sem_t *started;
    _Atomic bool child_saw, parent_saw;
    brg_status waited, child_status;
    brg_task *child;
} parent;

static brg_status wait_until_asked(brg_context *context, void *argument)
{
    parent *self = argument;
    sem_post(self->started);
    while (!brg_context_cancelled(context))
        sched_yield();
    self->child_saw = true;
    return brg_context_fail(context, 7, "asked");
}

static brg_status run_parent(brg_context *context, void *argument)
{
    parent *self = argument;
    char *mine = brg_context_alloc(context, 100);
    strcpy(mine, "the parent's");
    brg_status status = brg_pool_submit_call(self->pool, self->child_call, self, NULL, &self->child);
    if (status != BRG_OK)
        return status;
    self->waited = brg_task_wait(self->child, BRG_FOREVER);
    const brg_result *result = brg_task_result(self->child);
    self->child_status = result == NULL ? BRG_EMPTY : result->status;
    self->parent_saw = brg_context_cancelled(context);
    if (strcmp(mine, "the parent's") != 0 || brg_context_attempt(context) != 1)
        return brg_context_fail(context, 1, "the context was not given back");
    return BRG_OK;
}

/* The nested task alone is cancelled: who waits for it goes on. */
static void cancel_of_the_nested(void **state)
{
    (void)state;
    sem_t started;
    sem_init(&started, 0, 0);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1, .grace_ns = BRG_SECONDS(600)));
    parent self = {.pool = pool, .child_call = wait_until_asked, .started = &started};
    brg_task *task = NULL;
    assert_int_equal(brg_pool_submit_call(pool, run_parent, &self, NULL, &task), BRG_OK);
    sem_wait(&started);
    assert_int_equal(brg_task_cancel(self.child), BRG_OK);
    assert_int_equal(brg_task_wait(task, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(brg_task_result(task)->status, BRG_OK);
    assert_int_equal(self.waited, BRG_OK);
    assert_int_equal(self.child_status, BRG_CANCELLED);
    assert_false(self.parent_saw);
    brg_task_unref(self.child);
    brg_task_unref(task);
    assert_int_equal(scenario_stats(pool).workers_killed, 0);
    brg_pool_destroy(pool);
}

static brg_status finish_when_told(brg_context *context, void *argument)
{
    parent *self = argument;
    (void)context;
    sem_post(self->started);
    while (!self->child_saw)
        sched_yield();
    return BRG_OK;
}

/* The waiting task is cancelled while a nested one runs: it hears of it when it goes on. */
static void cancel_of_the_waiting(void **state)
{
    (void)state;
    sem_t started;
    sem_init(&started, 0, 0);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1, .grace_ns = BRG_SECONDS(600)));
    parent self = {.pool = pool, .child_call = finish_when_told, .started = &started};
    brg_task *task = NULL;
    assert_int_equal(brg_pool_submit_call(pool, run_parent, &self, NULL, &task), BRG_OK);
    sem_wait(&started);
    assert_int_equal(brg_task_cancel(task), BRG_OK);
    self.child_saw = true;
    assert_int_equal(brg_task_wait(task, SCENARIO_BOUND), BRG_OK);
    assert_true(self.parent_saw);
    assert_int_equal(self.child_status, BRG_OK);
    brg_task_unref(self.child);
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

static _Atomic bool stuck_may_end;

static brg_status stuck(brg_context *context, void *argument)
{
    (void)context;
    parent *self = argument;
    sem_post(self->started);
    while (!stuck_may_end)
        sched_yield();
    return BRG_OK;
}

static brg_status wait_for_stuck(brg_context *context, void *argument)
{
    parent *self = argument;
    brg_task *child = NULL;
    (void)context;
    if (brg_pool_submit_call(self->pool, stuck, self, NULL, &child) != BRG_OK)
        return BRG_FAILED;
    brg_status waited = brg_task_wait(child, BRG_FOREVER);
    brg_task_unref(child);
    self->waited = waited;
    self->parent_saw = true;
    return waited;
}

static bool parent_went_on(void *argument) { return ((parent *)argument)->parent_saw; }

/* The worker is given up in a nested task: both settle, and the next task runs on another worker. */
static void abandoned_in_a_nested_task(void **state)
{
    (void)state;
    static sem_t started;
    static parent self;
    sem_init(&started, 0, 0);
    stuck_may_end = false;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1, .grace_ns = BRG_MILLISECONDS(1)));
    self = (parent){.pool = pool, .started = &started};
    brg_task *task = NULL;
    assert_int_equal(brg_pool_submit_call(pool, wait_for_stuck, &self, NULL, &task), BRG_OK);
    sem_wait(&started);
    assert_int_equal(brg_task_cancel(task), BRG_OK);
    assert_int_equal(brg_task_wait(task, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(brg_task_result(task)->status, BRG_CANCELLED);
    fib root = {pool, 10, -1};
    brg_task *next = NULL;
    assert_int_equal(run_call(pool, fib_task, &root, &next)->status, BRG_OK);
    assert_int_equal(root.result, 55);
    brg_pool_stats stats = scenario_stats(pool);
    assert_int_equal(stats.cancelled + stats.lost, 2);
    stuck_may_end = true;
    brg_task_unref(next);
    brg_task_unref(task);
    brg_pool_destroy(pool);
    assert_true(watch_until(parent_went_on, &self));
    assert_int_equal(self.waited, BRG_CANCELLED);
}

/* ---- the full queue ---------------------------------------------------------------------------------------------- */

static brg_status count_one(brg_context *context, void *argument)
{
    (void)context;
    atomic_fetch_add((_Atomic int *)argument, 1);
    return BRG_OK;
}

static void submitter_runs_what_does_not_fit(void **state)
{
    (void)state;
    plug busy = {0};
    brg_pool *pool = scenario_function_pool(
        brg_pool_opts(.workers_max = 1, .queue_max = 2, .admission = BRG_ADMISSION_CALLER_RUNS, .timing = true));
    plug_put(&busy, pool);
    _Atomic int count = 0;
    for (int i = 0; i < 10; i++)
        assert_int_equal(brg_pool_call(pool, count_one, &count, NULL, NULL), BRG_OK);
    assert_int_equal(count, 8); /* two wait */
    plug_pull(&busy);
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(count, 10);
    assert_int_equal(scenario_stats(pool).inline_run, 8);
    assert_int_equal(scenario_stats(pool).done, 11);
    brg_pool_destroy(pool);
}

typedef struct order {
    int values[16];
    _Atomic int count;
} order;
typedef struct order_item {
    order *to;
    int value;
} order_item;

static brg_status note_order(brg_context *context, void *argument)
{
    (void)context;
    order_item *item = argument;
    item->to->values[atomic_fetch_add(&item->to->count, 1)] = item->value;
    return BRG_OK;
}

static void check_dropping(brg_admission admission, const int *expected, int expected_count)
{
    plug busy = {0};
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1, .queue_max = 3, .admission = admission));
    brg_task *tasks[6] = {NULL};
    plug_put(&busy, pool);
    order ran = {.count = 0};
    order_item items[6];
    for (int i = 0; i < 6; i++) {
        items[i] = (order_item){&ran, i};
        brg_priority priority = i == 1 ? BRG_PRIORITY_HIGH : BRG_PRIORITY_NORMAL;
        assert_int_equal(
            brg_pool_submit_call(pool, note_order, &items[i], brg_submit_opts(.priority = priority), &tasks[i]),
            BRG_OK);
    }
    order_item late = {&ran, 9};
    assert_int_equal(brg_pool_submit_call(pool, note_order, &late, brg_submit_opts(.priority = BRG_PRIORITY_LOW), NULL),
                     BRG_FULL); /* less urgent than all that wait */
    plug_pull(&busy);
    int dropped = 0;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(brg_task_wait(tasks[i], SCENARIO_BOUND), BRG_OK);
        dropped += brg_task_result(tasks[i])->status == BRG_FULL;
        brg_task_unref(tasks[i]);
    }
    assert_int_equal(dropped, 3);
    assert_int_equal(ran.count, expected_count);
    for (int i = 0; i < expected_count; i++)
        assert_int_equal(ran.values[i], expected[i]);
    brg_pool_stats stats = scenario_stats(pool);
    assert_int_equal(stats.dropped, 3);
    assert_int_equal(stats.rejected, 1);
    brg_pool_destroy(pool);
}

static void full_queues_drop(void **state)
{
    (void)state;
    const int kept_oldest_dropped[] = {1, 4, 5}, kept_newest_dropped[] = {0, 1, 5};
    check_dropping(BRG_ADMISSION_DROP_OLDEST, kept_oldest_dropped, 3);
    check_dropping(BRG_ADMISSION_DROP_NEWEST, kept_newest_dropped, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_wait_for_their_own),
        cmocka_unit_test(circles_are_found),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(cancel_of_the_nested),
        cmocka_unit_test(cancel_of_the_waiting),
        cmocka_unit_test(abandoned_in_a_nested_task),
        cmocka_unit_test(submitter_runs_what_does_not_fit),
        cmocka_unit_test(full_queues_drop),
    };
    return cmocka_run_group_tests_name("nested_wait", tests, NULL, NULL);
}
