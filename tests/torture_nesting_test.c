/* SPDX-License-Identifier: MIT */
/* Torture of what tasks do: wait for their own tasks, fork, tell of their progress, fail and are tried again. */
#include "failing.h"

#include "base/util.h"

enum { TASKS = 8 };

/* ---- tasks that wait for tasks ----------------------------------------------------------------------------------- */

typedef struct nest {
    brg_pool *pool;
    int depth;
    uint32_t xran;
} nest;

static brg_status nested(brg_context *context, void *argument);

/* Two tasks of its own: one is waited for, the other is in a group. */
static brg_status nest_deeper(nest *self)
{
    brg_group *group = NULL;
    brg_error error = {.status = BRG_OK};
    failing_task tasks[2];
    nest below[2] = {{.pool = self->pool, .depth = self->depth - 1}, {.pool = self->pool, .depth = self->depth - 1}};
    if (!failing_worked(brg_group_create(&group, self->pool, &error), &error, "brg_group_create"))
        return error.status;
    uint32_t accepted = 0;
    for (int i = 0; i < 2; i++)
        accepted += failing_submit_call(self->pool, &tasks[i], nested, &below[i],
                                        brg_submit_opts(.group = i == 1 ? group : NULL), false);
    brg_status status = tasks[0].task == NULL ? BRG_OK : brg_task_wait(tasks[0].task, BRG_FOREVER);
    brg_status of_group = brg_group_wait(group, BRG_FOREVER);
    failing_expect(status == BRG_OK && of_group == BRG_OK, "a task does not see the end of its own");
    failing_ended(tasks, 2);
    brg_group_unref(group);
    failing_expect(below[0].xran + below[1].xran == accepted, "a nested task did not run once");
    return BRG_OK;
}

static brg_status nested(brg_context *context, void *argument)
{
    nest *self = argument;
    __atomic_fetch_add(&self->xran, 1, __ATOMIC_RELAXED);
    if (self->depth > 0)
        return nest_deeper(self);
    return brg_context_alloc(context, 5000) != NULL ? BRG_OK : BRG_NO_MEMORY;
}

static void nested_waits(brg_isolation isolation)
{
    (void)isolation;
    failing_task tasks[2];
    brg_pool *pool = failing_function_pool((brg_pool_options){.workers_max = 2});
    if (pool == NULL)
        return;
    nest nests[2] = {{.pool = pool, .depth = 2}, {.pool = pool, .depth = 1}};
    for (int i = 0; i < 2; i++)
        failing_submit_call(pool, &tasks[i], nested, &nests[i], brg_submit_opts(.run_timeout_ns = BRG_SECONDS(1000)),
                            false);
    failing_settled(tasks, 2);
    brg_pool_destroy(pool);
    failing_ended(tasks, 2);
}

/* Tasks whose caller waits help, too: the queue is full, and each submits another. */
static brg_status submitter(brg_context *context, void *argument)
{
    nest *self = argument;
    failing_task task;
    nest below = {.pool = self->pool};
    bool accepted = failing_submit_call(self->pool, &task, nested, &below, NULL, false);
    if (accepted)
        failing_expect(brg_task_wait(task.task, BRG_FOREVER) == BRG_OK, "a task does not see the end of its own");
    failing_ended(&task, 1);
    failing_expect(below.xran == accepted, "a nested task did not run once");
    return nested(context, self);
}

static void nested_callers(brg_isolation isolation)
{
    (void)isolation;
    failing_task tasks[TASKS];
    nest nests[TASKS];
    brg_pool *pool = failing_function_pool(
        (brg_pool_options){.workers_max = 1, .queue_max = 2, .admission = BRG_ADMISSION_CALLER_RUNS});
    if (pool == NULL)
        return;
    for (int i = 0; i < TASKS; i++) {
        nests[i] = (nest){.pool = pool};
        failing_submit_call(pool, &tasks[i], submitter, &nests[i], NULL, false);
    }
    failing_settled(tasks, TASKS);
    brg_pool_destroy(pool);
    failing_ended(tasks, TASKS);
}

/* ---- forks ------------------------------------------------------------------------------------------------------- */

typedef struct fib_call {
    uint64_t n, result;
    brg_pool *pool; /* a task of it is waited for, deep inside */
} fib_call;

static void fib(brg_context *context, void *argument)
{
    fib_call *call = argument;
    call->result = call->n;
    if (call->n == 3) {
        failing_task task;
        nest below = {.pool = call->pool};
        if (failing_submit_call(call->pool, &task, nested, &below, NULL, false))
            failing_expect(brg_task_wait(task.task, BRG_FOREVER) == BRG_OK, "a fork does not see the end of a task");
        failing_ended(&task, 1);
    }
    if (call->n < 2)
        return;
    fib_call one = {.n = call->n - 1, .pool = call->pool}, two = {.n = call->n - 2, .pool = call->pool};
    brg_fork fork;
    brg_fork_start(context, &fork, fib, &one);
    (void)brg_context_alloc(context, 3000);
    fib(context, &two);
    brg_fork_join(context, &fork);
    call->result = one.result + two.result;
}

static void add_piece(brg_context *context, uint64_t first, uint64_t end, void *argument)
{
    (void)context;
    __atomic_fetch_add((uint64_t *)argument, end - first, __ATOMIC_RELAXED);
}

static brg_status forking(brg_context *context, void *argument)
{
    uint64_t pieces = 0;
    brg_fork_range(context, 0, 1000, 50, add_piece, &pieces);
    failing_expect(pieces == 1000, "a piece did not run once");
    fib(context, argument);
    return BRG_OK;
}

static void forks(brg_isolation isolation)
{
    (void)isolation;
    failing_task tasks[2];
    brg_pool *pool = failing_function_pool((brg_pool_options){.workers_max = 3});
    if (pool == NULL)
        return;
    fib_call calls[2] = {{.n = 8, .pool = pool}, {.n = 7, .pool = pool}};
    for (int i = 0; i < 2; i++)
        failing_submit_call(pool, &tasks[i], forking, &calls[i], NULL, false);
    failing_settled(tasks, 2);
    failing_expect(tasks[0].task == NULL || calls[0].result == 21, "a fork is lost");
    failing_expect(tasks[1].task == NULL || calls[1].result == 13, "a fork is lost");
    brg_pool_destroy(pool);
    failing_ended(tasks, 2);
}

/* ---- again ------------------------------------------------------------------------------------------------------- */

static void with_retries(brg_isolation isolation, brg_backoff backoff)
{
    static const char *const names[] = {"later", "die", "later", "fail", "pass", "later", "die", "pass"};
    failing_task tasks[TASKS];
    brg_pool *pool = failing_pool(isolation, (brg_pool_options){.workers_max = 2,
                                                                .attempts_max = 4,
                                                                .retry_on = BRG_RETRY_CRASH | BRG_RETRY_TRANSIENT |
                                                                            BRG_RETRY_FAILED | BRG_RETRY_MEMORY,
                                                                .retry_backoff = backoff,
                                                                .retry_delay_ns = 1000,
                                                                .retry_jitter_percent = 50,
                                                                .timing = true,
                                                                .queue = brg_queue_fair});
    if (pool == NULL)
        return;
    for (int i = 0; i < TASKS; i++)
        failing_submit(pool, &tasks[i], names[i], failing_number(i),
                       brg_submit_opts(.run_timeout_ns = BRG_SECONDS(1000), .key = (uint64_t)i % 2), false);
    failing_settled(tasks, TASKS);
    for (int i = 0; i < TASKS; i++)
        failing_expect(tasks[i].task == NULL || brg_task_result(tasks[i].task)->attempts <= 4, "too many attempts");
    brg_pool_destroy(pool);
    failing_ended(tasks, TASKS);
}

static void retries(brg_isolation isolation) { with_retries(isolation, BRG_BACKOFF_FIXED); }
static void retries_that_wait(brg_isolation isolation) { with_retries(isolation, BRG_BACKOFF_EXPONENTIAL); }

/* ---- progress ---------------------------------------------------------------------------------------------------- */

static void count_value(const brg_value *value, void *user_data)
{
    int64_t number = -1;
    (void)user_data;
    failing_expect(brg_view_int(brg_value_root(value), &number) == BRG_OK && number >= 0 && number < 4,
                   "a value is another");
}

/* By handle: in order, until it settled. */
static void read_progress(const failing_task *task)
{
    int64_t number, next = 0;
    for (;;) {
        brg_value *value = FAILING_UNTOUCHED;
        brg_status status = brg_task_progress(task->task, &value, FAILING_LONG);
        failing_expect(status != BRG_TIMED_OUT && status != BRG_EMPTY, "a task's values do not end");
        if (!failing_worked(status, NULL, "brg_task_progress")) {
            failing_expect(value == FAILING_UNTOUCHED, "a failed look changed its output");
            if (status == BRG_CLOSED)
                return;
            continue;
        }
        failing_expect(brg_view_int(brg_value_root(value), &number) == BRG_OK && (number >= next || number == 0),
                       "a value is out of its place"); /* from 0 again where its worker never was ours */
        next = number + 1;
        brg_value_unref(value);
    }
}

static void progress(brg_isolation isolation)
{
    failing_task tasks[TASKS];
    brg_loop *loop = failing_loop();
    brg_pool *pool = loop == NULL ? NULL
                                  : failing_pool(isolation, (brg_pool_options){.workers_max = 2,
                                                                               .loop = loop,
                                                                               .heartbeat_ns = BRG_SECONDS(1000)});
    if (pool != NULL) {
        for (int i = 0; i < TASKS; i++)
            failing_submit(
                pool, &tasks[i], "tell", failing_number(i),
                brg_submit_opts(.on_progress = i % 2 == 0 ? count_value : NULL, .progress_max = i % 4 == 1 ? 2 : 0),
                i % 2 == 0);
        for (int i = 1; i < TASKS; i += 4)
            if (tasks[i].task != NULL)
                read_progress(&tasks[i]);
        failing_worked(brg_pool_wait_idle(pool, FAILING_LONG), NULL, "brg_pool_wait_idle");
        brg_pool_destroy(pool);
        failing_ended(tasks, TASKS);
    }
    failing_loop_end(loop);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static void with_end(brg_isolation isolation, brg_status (*end)(brg_pool *pool, uint64_t timeout_ns))
{
    static const char *const names[] = {"pass", "tell", "many", "fail", "stay", "many", "pass", "stay"};
    failing_task tasks[TASKS];
    brg_loop *loop = failing_loop();
    brg_pool *pool = loop == NULL ? NULL
                                  : failing_pool(isolation, (brg_pool_options){.workers_max = 2,
                                                                               .loop = loop,
                                                                               .batch_size = 4,
                                                                               .batch_delay_ns = BRG_SECONDS(1000)});
    if (pool != NULL) {
        for (int i = 0; i < TASKS; i++)
            failing_submit(pool, &tasks[i], names[i], failing_number(2 * i), NULL, i % 2 == 0);
        for (int i = 0; i < TASKS; i++)
            if (tasks[i].task != NULL && names[i][0] == 's' && end == brg_pool_drain)
                (void)brg_task_cancel(tasks[i].task);
        (void)end(pool, 0);
        failing_task late;
        failing_expect(!failing_submit(pool, &late, "pass", failing_number(1), NULL, true),
                       "it takes tasks at its end");
        for (int i = 0; i < TASKS; i++)
            if (tasks[i].task != NULL)
                (void)brg_task_cancel(tasks[i].task);
        failing_worked(end(pool, FAILING_LONG), NULL, "the end of a pool");
        brg_pool_destroy(pool);
        failing_ended(tasks, TASKS);
    }
    failing_loop_end(loop);
}

static void drained(brg_isolation isolation) { with_end(isolation, brg_pool_drain); }
static void stopped(brg_isolation isolation) { with_end(isolation, brg_pool_stop); }
static void killed(brg_isolation isolation) { with_end(isolation, brg_pool_kill); }

/* ---- the torture ------------------------------------------------------------------------------------------------- */

static const failing_scenario scenarios[] = {
    FAILING_IN_THREADS(nested_waits), FAILING_IN_THREADS(nested_callers),  FAILING_IN_THREADS(forks),
    FAILING_SCENARIO(retries),        FAILING_SCENARIO(retries_that_wait), FAILING_SCENARIO(progress),
    FAILING_SCENARIO(drained),        FAILING_SCENARIO(stopped),           FAILING_SCENARIO(killed)};

static void torture_nesting(void **state)
{
    failing_each(scenarios, brg__count_of(scenarios), scenario_isolation(state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENARIO_BOTH(torture_nesting)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
