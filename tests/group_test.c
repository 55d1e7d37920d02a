/* SPDX-License-Identifier: MIT */
/* Groups: waited for, counted, cancelled, told of; from outside and from tasks that wait for tasks of their own. */
#include <brigade/group.h>

#include "scenario.h"

#include <pthread.h>
#include <stdatomic.h>

#include "watch.h"

#define BOUND SCENARIO_BOUND
#define MANY (WATCH_SANITIZED ? 1000 : 10000)

static brg_pool *pool_of(brg_isolation isolation, uint32_t workers, brg_loop *loop)
{
    return scenario_pool(
        isolation, &(brg_pool_options){
                       .size = sizeof(brg_pool_options), .workers_max = workers, .queue_max = 4 * MANY, .loop = loop});
}

static brg_group *group_new(brg_pool *pool)
{
    brg_group *group = NULL;
    assert_int_equal(brg_group_create(&group, pool, NULL), BRG_OK);
    return group;
}

static brg_loop *loop_new(void)
{
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    return loop;
}

static void submit_in(brg_group *group, brg_pool *pool, const char *name, brg_value *input)
{
    assert_int_equal(brg_pool_submit(pool, name, input, brg_submit_opts(.group = group), NULL), BRG_OK);
}

static brg_group_counts counts_of(const brg_group *group)
{
    brg_group_counts counts = {.size = sizeof(counts)};
    assert_int_equal(brg_group_get_counts(group, &counts), BRG_OK);
    return counts;
}

/* ---- from outside ------------------------------------------------------------------------------------------------ */

static void waits_for_all_and_counts(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 2, NULL);
    brg_group *group = group_new(pool);
    scenario_gate gate;
    scenario_gate_open(&gate);
    assert_int_equal(brg_group_wait(group, BRG_FOREVER), BRG_OK); /* there are none */
    submit_in(group, pool, "noop", scenario_gate_input(&gate, true));
    scenario_gate_reached(&gate);
    for (int i = 0; i < MANY; i++)
        submit_in(group, pool, i % 4 == 0 ? "fail" : "noop", NULL);
    assert_int_equal(brg_group_wait(group, 1), BRG_TIMED_OUT);
    assert_true(counts_of(group).pending >= 1);
    scenario_gate_release(&gate);
    assert_int_equal(brg_group_wait(group, BOUND), BRG_OK);
    brg_group_counts counts = counts_of(group);
    assert_int_equal(counts.pending, 0);
    assert_int_equal(counts.submitted, MANY + 1);
    assert_int_equal(counts.failed, MANY / 4);
    assert_int_equal(counts.done, MANY + 1 - MANY / 4);
    brg_group_unref(group);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void cancels_all_there_are(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 1, NULL);
    brg_group *group = group_new(pool);
    scenario_gate gate;
    scenario_gate_open(&gate);
    submit_in(group, pool, "poll_politely", scenario_gate_input(&gate, false));
    scenario_gate_reached(&gate);
    for (int i = 0; i < MANY; i++)
        submit_in(group, pool, "noop", NULL);
    brg_task *other = scenario_submit(pool, "noop", NULL, NULL);
    brg_group_cancel(group);
    submit_in(group, pool, "noop", NULL);
    assert_int_equal(brg_group_wait(group, BOUND), BRG_OK);
    assert_int_equal(scenario_result(other)->status, BRG_OK);
    brg_group_counts counts = counts_of(group);
    assert_int_equal(counts.cancelled, MANY + 1);
    assert_int_equal(counts.done, 1);
    brg_group_cancel(group); /* none is left */
    assert_int_equal(counts_of(group).cancelled, MANY + 1);
    brg_task_unref(other);
    brg_group_unref(group);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void let_go_before_they_end(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 1, NULL);
    for (int i = 0; i < 50; i++) {
        brg_group *group = group_new(pool);
        for (int j = 0; j < 10; j++)
            submit_in(group, pool, "noop", NULL);
        brg_group_unref(group);
    }
    brg_group *last = group_new(pool);
    submit_in(last, pool, "spin_politely", NULL);
    brg_pool_destroy(pool);
    assert_int_equal(brg_group_wait(last, BRG_FOREVER), BRG_OK);
    assert_int_equal(counts_of(last).cancelled, 1);
    brg_group_unref(last); /* it outlives its pool */
}

static void refuses_another_pool(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 1, NULL), *other = pool_of(scenario_isolation(state), 1, NULL);
    brg_group *group = group_new(other);
    brg_error error;
    assert_int_equal(brg_pool_submit(pool, "noop", NULL, brg_submit_opts(.group = group, .error = &error), NULL),
                     BRG_INVALID);
    assert_non_null(strstr(error.message, "group"));
    assert_int_equal(brg_group_create(&group, NULL, NULL), BRG_INVALID);
    brg_group_unref(group);
    brg_pool_destroy(other);
    brg_pool_destroy(pool);
}

/* ---- told of ----------------------------------------------------------------------------------------------------- */

typedef struct told {
    int done, groups;
    int done_then; /* when the group was last told of */
    brg_pool *pool;
    int again;
} told;

static void note_done(const brg_result *result, void *user_data)
{
    (void)result;
    ((told *)user_data)->done++;
}

static void note_group(brg_group *group, void *user_data)
{
    told *self = user_data;
    self->groups++;
    self->done_then = self->done;
    if (self->again-- <= 0)
        return;
    assert_int_equal(brg_group_when_done(group, note_group, self, NULL), BRG_OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(brg_pool_submit(self->pool, "noop", NULL,
                                         brg_submit_opts(.group = group, .done = note_done, .user_data = self), NULL),
                         BRG_OK);
}

static void told_after_all_callbacks(void **state)
{
    brg_loop *loop = loop_new();
    brg_pool *pool = pool_of(scenario_isolation(state), 2, loop);
    brg_group *group = group_new(pool);
    told self = {.pool = pool, .again = 30};
    brg_error error;
    assert_int_equal(brg_group_when_done(group, note_group, &self, NULL), BRG_OK); /* soon: there are none */
    assert_int_equal(brg_group_when_done(group, note_group, &self, &error), BRG_INVALID);
    assert_int_equal(self.groups, 0);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(self.groups, 31);
    assert_int_equal(self.done, 600);
    assert_int_equal(self.done_then, 600);
    brg_group_unref(group);
    brg_pool_destroy(pool);
    brg_loop_destroy(loop);
}

static void told_in_each_round(void **state)
{
    brg_loop *loop = loop_new();
    brg_pool *pool = pool_of(scenario_isolation(state), 2, loop);
    told self = {.pool = pool};
    for (int i = 1; i <= 200; i++) {
        brg_group *group = group_new(pool);
        for (int j = 0; j < 3; j++)
            assert_int_equal(brg_pool_submit(pool, "noop", NULL,
                                             brg_submit_opts(.group = group, .done = note_done, .user_data = &self),
                                             NULL),
                             BRG_OK);
        assert_int_equal(brg_group_when_done(group, note_group, &self, NULL), BRG_OK);
        brg_group_unref(group);
        assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK); /* waits for that callback too */
        assert_int_equal(self.groups, i);
        assert_int_equal(self.done_then, 3 * i);
    }
    brg_pool_destroy(pool);
    brg_loop_destroy(loop);
}

static void told_by_destroy(void **state)
{
    brg_loop *loop = loop_new();
    brg_pool *pool = pool_of(scenario_isolation(state), 1, loop);
    brg_group *group = group_new(pool);
    told self = {.pool = pool};
    for (int i = 0; i < 50; i++)
        assert_int_equal(brg_pool_submit(pool, "spin_politely", NULL,
                                         brg_submit_opts(.group = group, .done = note_done, .user_data = &self), NULL),
                         BRG_OK);
    assert_int_equal(brg_group_when_done(group, note_group, &self, NULL), BRG_OK);
    brg_pool_destroy(pool);
    assert_int_equal(self.groups, 1);
    assert_int_equal(self.done_then, 50);
    assert_int_equal(brg_group_when_done(group, note_group, &self, NULL), BRG_CLOSED);
    brg_group_unref(group);
    brg_loop_destroy(loop);
}

static void telling_needs_a_loop(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 1, NULL);
    brg_group *group = group_new(pool);
    assert_int_equal(brg_group_when_done(group, note_group, NULL, NULL), BRG_INVALID);
    brg_group_unref(group);
    brg_pool_destroy(pool);
}

/* ---- in tasks ---------------------------------------------------------------------------------------------------- */

typedef struct tree {
    brg_pool *pool;
    int depth;
    atomic_int leaves;
} tree;

static brg_status tree_call(brg_context *context, void *argument);

static brg_status tree_wait(tree *self, brg_call_fn call, void *argument, int count)
{
    brg_group *group = NULL;
    brg_status status = brg_group_create(&group, self->pool, NULL);
    for (int i = 0; i < count && status == BRG_OK; i++)
        status = brg_pool_submit_call(self->pool, call, argument, brg_submit_opts(.group = group), NULL);
    if (status == BRG_OK)
        status = brg_group_wait(group, BRG_FOREVER);
    brg_group_counts counts = {.size = sizeof(counts)};
    brg_group_get_counts(group, &counts);
    if (status == BRG_OK && counts.done != (uint64_t)count)
        status = BRG_STATE;
    brg_group_unref(group);
    return status;
}

static brg_status tree_call(brg_context *context, void *argument)
{
    (void)context;
    tree *self = argument;
    if (self->depth == 0) {
        atomic_fetch_add(&self->leaves, 1);
        return BRG_OK;
    }
    tree below = {.pool = self->pool, .depth = self->depth - 1};
    brg_status status = tree_wait(self, tree_call, &below, 4);
    atomic_fetch_add(&self->leaves, atomic_load(&below.leaves));
    return status;
}

static void tasks_wait_for_groups(void **state)
{
    (void)state;
    for (uint32_t workers = 1; workers <= 3; workers++) {
        brg_pool *pool = pool_of(BRG_ISOLATION_THREAD, workers, NULL);
        tree root = {.pool = pool, .depth = 4};
        assert_int_equal(tree_wait(&root, tree_call, &root, 1), BRG_OK);
        assert_int_equal(atomic_load(&root.leaves), 4 * 4 * 4 * 4);
        brg_pool_destroy(pool);
    }
}

static brg_status wait_for_own_group(brg_context *context, void *argument)
{
    (void)context;
    return brg_group_wait(argument, BRG_FOREVER);
}

static brg_status wait_nested(brg_context *context, void *argument)
{
    (void)context;
    void **arguments = argument;
    brg_task *task = NULL;
    brg_status status = brg_pool_submit_call(arguments[0], wait_for_own_group, arguments[1], NULL, &task);
    if (status == BRG_OK)
        status = brg_task_wait(task, BRG_FOREVER);
    if (status == BRG_OK)
        status = brg_task_result(task)->status;
    brg_task_unref(task);
    return status;
}

/* Directly, and from a task that runs nested in one of the group. */
static void tasks_must_not_wait_for_their_own(void **state)
{
    (void)state;
    brg_pool *pool = pool_of(BRG_ISOLATION_THREAD, 1, NULL);
    brg_group *group = group_new(pool);
    void *arguments[2] = {pool, group};
    for (int i = 0; i < 2; i++) {
        brg_task *task = NULL;
        assert_int_equal(brg_pool_submit_call(pool, i == 0 ? wait_for_own_group : wait_nested,
                                              i == 0 ? (void *)group : arguments, brg_submit_opts(.group = group),
                                              &task),
                         BRG_OK);
        assert_int_equal(scenario_result(task)->status, BRG_DEADLOCK);
        brg_task_unref(task);
    }
    brg_group_unref(group);
    brg_pool_destroy(pool);
}

static brg_status wait_after(brg_context *context, void *argument)
{
    (void)context;
    tree *self = argument;
    brg_group *group = NULL;
    brg_task *before = NULL;
    brg_status status = brg_group_create(&group, self->pool, NULL);
    for (int i = 0; i < 50 && status == BRG_OK; i++) {
        brg_task *task = NULL;
        status = brg_pool_submit_call(self->pool, tree_call, self,
                                      brg_submit_opts(.group = i % 2 == 0 ? NULL : group, .after = &before,
                                                      .after_count = before == NULL ? 0 : 1),
                                      &task);
        brg_task_unref(before);
        before = task;
    }
    brg_task_unref(before);
    if (status == BRG_OK)
        status = brg_group_wait(group, BRG_FOREVER);
    brg_group_unref(group);
    return status;
}

/* Every second one of a chain is in the group: what they run after is run too. */
static void groups_with_dependencies(void **state)
{
    (void)state;
    brg_pool *pool = pool_of(BRG_ISOLATION_THREAD, 1, NULL);
    tree self = {.pool = pool};
    brg_task *task = NULL;
    assert_int_equal(brg_pool_submit_call(pool, wait_after, &self, NULL, &task), BRG_OK);
    assert_int_equal(scenario_result(task)->status, BRG_OK);
    assert_int_equal(atomic_load(&self.leaves), 50);
    brg_task_unref(task);
    brg_pool_destroy(pool);
}

/* ---- races ------------------------------------------------------------------------------------------------------- */

#define RACERS 3
#define ROUNDS (WATCH_SANITIZED ? 300 : 3000)

typedef struct race {
    brg_pool *pool;
    brg_group *shared;
} race;

static void *race_run(void *argument)
{
    race *self = argument;
    tree leaf = {.pool = self->pool};
    for (int i = 0; i < ROUNDS; i++) {
        for (int j = 0; j < 8; j++)
            if (brg_pool_submit_call(self->pool, tree_call, &leaf, brg_submit_opts(.group = self->shared), NULL) !=
                BRG_OK)
                abort();
        if (i % 5 == 0)
            brg_group_cancel(self->shared);
        if (i % 3 == 0 && brg_group_wait(self->shared, BOUND) != BRG_OK)
            abort();
        if (tree_wait(&leaf, tree_call, &leaf, 3) != BRG_OK)
            abort();
    }
    if (brg_group_wait(self->shared, BOUND) != BRG_OK)
        abort();
    return NULL;
}

static void race_of_waits_and_cancels(void **state)
{
    (void)state;
    race self = {.pool = pool_of(BRG_ISOLATION_THREAD, 2, NULL)};
    self.shared = group_new(self.pool);
    pthread_t threads[RACERS];
    for (int i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race_run, &self), 0);
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    brg_group_counts counts = counts_of(self.shared);
    assert_int_equal(counts.submitted, RACERS * ROUNDS * 8);
    assert_int_equal(counts.done + counts.cancelled, RACERS * ROUNDS * 8);
    brg_group_unref(self.shared);
    brg_pool_destroy(self.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENARIO_BOTH(waits_for_all_and_counts),
                                       SCENARIO_BOTH(cancels_all_there_are),
                                       SCENARIO_BOTH(let_go_before_they_end),
                                       SCENARIO_BOTH(refuses_another_pool),
                                       SCENARIO_BOTH(told_after_all_callbacks),
                                       SCENARIO_BOTH(told_in_each_round),
                                       SCENARIO_BOTH(told_by_destroy),
                                       SCENARIO_BOTH(telling_needs_a_loop),
                                       cmocka_unit_test(tasks_wait_for_groups),
                                       cmocka_unit_test(tasks_must_not_wait_for_their_own),
                                       cmocka_unit_test(groups_with_dependencies),
                                       cmocka_unit_test(race_of_waits_and_cancels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
