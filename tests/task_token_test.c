/* SPDX-License-Identifier: MIT */
/* One token, many tasks: all of them end with it, whoever cancels it, and nothing of it stays behind. */
#include "scenario.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "watch.h"

#define BOUND SCENARIO_BOUND
#define MANY (WATCH_SANITIZED ? 2000 : 20000)

static brg_pool *pool_of(brg_isolation isolation, uint32_t workers, const char *module)
{
    return scenario_pool(isolation, &(brg_pool_options){.size = sizeof(brg_pool_options),
                                                        .workers_max = workers,
                                                        .queue_max = 2 * MANY,
                                                        .module = module});
}

static brg_token *token_new(void)
{
    brg_token *token = NULL;
    assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
    return token;
}

static brg_status status_of(brg_task *task)
{
    brg_status status = scenario_result(task)->status;
    brg_task_unref(task);
    return status;
}

/* Queued, running, waiting for its time and for another task. */
static void cancels_wherever_they_are(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 1, NULL);
    brg_token *token = token_new();
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_task *running = scenario_submit(pool, "poll_politely", scenario_gate_input(&gate, false),
                                        brg_submit_opts(.token = token));
    scenario_gate_reached(&gate);
    brg_task *delayed = scenario_submit(pool, "noop", NULL, brg_submit_opts(.token = token, .delay_ns = BOUND * 10));
    brg_task *blocked = scenario_submit(pool, "noop", NULL,
                                        brg_submit_opts(.token = token, .after = &running, .after_count = 1));
    brg_task *free_one = scenario_submit(pool, "noop", NULL, NULL);
    brg_task **tasks = calloc(MANY, sizeof(*tasks));
    for (int i = 0; i < MANY; i++)
        tasks[i] = scenario_submit(pool, "noop", NULL, brg_submit_opts(.token = token));
    brg_token_cancel(token);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(status_of(tasks[i]), BRG_CANCELLED);
    assert_int_equal(status_of(running), BRG_CANCELLED);
    assert_int_equal(status_of(delayed), BRG_CANCELLED);
    assert_int_equal(status_of(blocked), BRG_CANCELLED);
    assert_int_equal(status_of(free_one), BRG_OK);
    free(tasks);
    brg_token_unref(token);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

static void cancelled_before_the_submit(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 1, NULL);
    brg_token *token = token_new();
    brg_token_cancel(token);
    brg_task *task = scenario_submit(pool, "noop", NULL, brg_submit_opts(.token = token));
    const brg_result *result = scenario_result(task);
    assert_int_equal(result->status, BRG_CANCELLED);
    assert_int_equal(result->attempts, 0);
    brg_task_unref(task);
    assert_int_equal(brg_pool_submit(pool, "noop", NULL, brg_submit_opts(.token = token), NULL), BRG_OK);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
    assert_int_equal(scenario_stats(pool).cancelled, 2);
    brg_token_unref(token);
    brg_pool_destroy(pool);
}

/* A watch that stayed would be one of the few that a token can have. */
static void nothing_stays_at_the_token(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 2, NULL);
    brg_token *token = token_new();
    int rounds = 3 * BRG_SHARED_WAITERS_MAX;
    for (int i = 0; i < rounds; i++)
        assert_int_equal(status_of(scenario_submit(pool, "noop", NULL, brg_submit_opts(.token = token))), BRG_OK);
    brg_token_cancel(token);
    brg_token_unref(token);
    assert_int_equal(scenario_stats(pool).done, rounds);
    brg_pool_destroy(pool);
}

/* Each its own, let go of by its owner before it ended. */
static void many_tokens(void **state)
{
    brg_pool *pool = pool_of(scenario_isolation(state), 2, NULL);
    brg_task *tasks[300];
    brg_token *tokens[300];
    for (int i = 0; i < 300; i++) {
        tokens[i] = token_new();
        tasks[i] = scenario_submit(pool, "noop", NULL,
                                   brg_submit_opts(.token = tokens[i], .delay_ns = i % 3 == 0 ? BOUND * 10 : 0));
        if (i % 3 == 1)
            brg_token_unref(tokens[i]);
    }
    for (int i = 0; i < 300; i += 3)
        brg_token_cancel(tokens[i]);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(status_of(tasks[i]), i % 3 == 0 ? BRG_CANCELLED : BRG_OK);
        if (i % 3 != 1)
            brg_token_unref(tokens[i]);
    }
    brg_pool_destroy(pool);
}

static void one_token_for_two_pools(void **state)
{
    brg_pool *pools[2] = {pool_of(scenario_isolation(state), 1, NULL), pool_of(BRG_ISOLATION_THREAD, 1, NULL)};
    brg_token *token = token_new();
    brg_task *tasks[2];
    for (int i = 0; i < 2; i++)
        tasks[i] = scenario_submit(pools[i], "spin_politely", NULL, brg_submit_opts(.token = token));
    brg_token_cancel(token);
    brg_token_unref(token);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(status_of(tasks[i]), BRG_CANCELLED);
        brg_pool_destroy(pools[i]);
    }
}

/* A task of another worker, in another process or not, cancels it. */
static void cancelled_by_a_worker(void **state)
{
    char path[4096];
    const char *directory = getenv("TEST_MODULE_DIR");
    snprintf(path, sizeof(path), "%s/task_token.so", directory != NULL ? directory : ".");
    brg_pool *pool = pool_of(scenario_isolation(state), 2, path);
    for (int i = 0; i < 20; i++) {
        brg_token *token = token_new();
        brg_task *tasks[3];
        tasks[0] = scenario_submit(pool, "wait", NULL, brg_submit_opts(.token = token));
        tasks[1] = scenario_submit(pool, "wait", NULL, brg_submit_opts(.token = token, .delay_ns = BOUND * 10));
        brg_builder *builder = NULL;
        brg_value *input = NULL;
        brg_error error;
        assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
        brg_builder_token(builder, token);
        assert_int_equal(brg_builder_finish(builder, &input, &error), BRG_OK);
        brg_builder_destroy(builder);
        tasks[2] = scenario_submit(pool, "cancel", input, i % 2 == 0 ? NULL : brg_submit_opts(.token = token));
        assert_int_equal(status_of(tasks[0]), BRG_CANCELLED);
        assert_int_equal(status_of(tasks[1]), BRG_CANCELLED);
        brg_status own = status_of(tasks[2]);
        assert_true(own == BRG_OK || (i % 2 != 0 && own == BRG_CANCELLED));
        brg_token_unref(token);
    }
    brg_pool_destroy(pool);
}

static void destroy_with_a_token(void **state)
{
    for (int i = 0; i < 10; i++) {
        brg_pool *pool = pool_of(scenario_isolation(state), 1, NULL);
        brg_token *token = token_new();
        for (int j = 0; j < 100; j++)
            assert_int_equal(brg_pool_submit(pool, "spin_politely", NULL, brg_submit_opts(.token = token), NULL),
                             BRG_OK);
        if (i % 2 == 0)
            brg_token_cancel(token);
        brg_pool_destroy(pool);
        brg_token_cancel(token); /* it reaches nobody */
        brg_token_unref(token);
    }
}

/* A submit that fails leaves nothing at the token. */
static void full_queue_with_a_token(void **state)
{
    brg_pool *pool = scenario_pool(
        scenario_isolation(state),
        &(brg_pool_options){.size = sizeof(brg_pool_options), .workers_max = 1, .queue_max = 1});
    brg_token *token = token_new();
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_task *holder = scenario_submit(pool, "noop", scenario_gate_input(&gate, true), NULL);
    scenario_gate_reached(&gate);
    brg_task *queued = scenario_submit(pool, "noop", NULL, NULL);
    for (int i = 0; i < 2 * BRG_SHARED_WAITERS_MAX; i++)
        assert_int_equal(brg_pool_submit(pool, "noop", NULL, brg_submit_opts(.token = token), NULL), BRG_FULL);
    scenario_gate_release(&gate);
    assert_int_equal(status_of(holder), BRG_OK);
    assert_int_equal(status_of(queued), BRG_OK);
    assert_int_equal(status_of(scenario_submit(pool, "noop", NULL, brg_submit_opts(.token = token))), BRG_OK);
    brg_token_unref(token);
    brg_pool_destroy(pool);
    scenario_gate_close(&gate);
}

/* ---- races ------------------------------------------------------------------------------------------------------- */

#define RACERS 3
#define TOKENS 4
#define ROUNDS (WATCH_SANITIZED ? 2000 : 20000)

typedef struct race {
    brg_pool *pool;
    pthread_mutex_t mutex;
    brg_token *tokens[TOKENS];
    atomic_uint next, finished;
} race;

static brg_status race_call(brg_context *context, void *argument)
{
    (void)context;
    atomic_fetch_add((atomic_uint *)argument, 1);
    return BRG_OK;
}

/* Submits with one of a few tokens; each now and then cancels one and puts another in its place. */
static void *race_run(void *argument)
{
    race *self = argument;
    for (;;) {
        unsigned i = atomic_fetch_add(&self->next, 1);
        if (i >= RACERS * ROUNDS)
            return NULL;
        pthread_mutex_lock(&self->mutex);
        brg_token *token = brg_token_ref(self->tokens[i % TOKENS]);
        brg_token *old = NULL;
        if (i % 37 == 0) {
            old = self->tokens[i % TOKENS];
            if (brg_token_create(&self->tokens[i % TOKENS], NULL) != BRG_OK)
                abort();
        }
        pthread_mutex_unlock(&self->mutex);
        if (old != NULL) {
            brg_token_cancel(old);
            brg_token_unref(old);
        }
        if (brg_pool_submit_call(self->pool, race_call, &self->finished, brg_submit_opts(.token = token), NULL) !=
            BRG_OK)
            abort();
        brg_token_unref(token);
    }
}

static void race_with_cancels(void **state)
{
    (void)state;
    race self = {.pool = scenario_pool(BRG_ISOLATION_THREAD, &(brg_pool_options){.size = sizeof(brg_pool_options),
                                                                                 .queue_max = RACERS * ROUNDS + 1})};
    pthread_t threads[RACERS];
    pthread_mutex_init(&self.mutex, NULL);
    for (int i = 0; i < TOKENS; i++)
        self.tokens[i] = token_new();
    for (int i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race_run, &self), 0);
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(brg_pool_wait_idle(self.pool, BOUND), BRG_OK);
    brg_pool_stats stats = scenario_stats(self.pool);
    assert_int_equal(stats.done + stats.cancelled, RACERS * ROUNDS);
    assert_true(stats.cancelled != 0);
    assert_true(atomic_load(&self.finished) >= stats.done); /* one may be cancelled as it ends, and counts as done */
    for (int i = 0; i < TOKENS; i++)
        brg_token_unref(self.tokens[i]);
    brg_pool_destroy(self.pool);
    pthread_mutex_destroy(&self.mutex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(cancels_wherever_they_are),  SCENARIO_BOTH(cancelled_before_the_submit),
        SCENARIO_BOTH(nothing_stays_at_the_token), SCENARIO_BOTH(many_tokens),
        SCENARIO_BOTH(one_token_for_two_pools),    SCENARIO_BOTH(cancelled_by_a_worker),
        SCENARIO_BOTH(destroy_with_a_token),       SCENARIO_BOTH(full_queue_with_a_token),
        cmocka_unit_test(race_with_cancels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
