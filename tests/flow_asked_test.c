/* SPDX-License-Identifier: MIT */
/* Elements that run when their flow is cancelled: they are told, as a task is, and nobody else is. */
#include <poll.h>
#include <stdio.h>

#include "plug.h"

#define BOUND SCENARIO_BOUND
#define POLL_MS ((int)(SCENARIO_BOUND / 1000000))

typedef enum way { FROM_OUTSIDE, FROM_A_TASK, IN_THE_BACKGROUND, WAYS } way;

typedef struct asked {
    brg_pool *pool;
    brg_token *token;
    way way;
    size_t elements;
    bool by_descriptor, ends_well;
    uint32_t xbegan, xtold; /* elements that run; that heard of it */
    brg_status status;
    brg_error error;
    uint32_t xreturned;
    bool task_was_asked; /* the calling one, after the flow */
    uint64_t counted;
} asked;

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return poll(&poller, 1, timeout_ms) == 1;
}

/* Each ends when it is asked, and not before. */
static brg_status until_asked(brg_context *context, size_t first, size_t end, void *state)
{
    asked *self = state;
    (void)first, (void)end;
    int fd = self->by_descriptor ? brg_context_cancel_fd(context) : -1;
    __atomic_fetch_add(&self->xbegan, 1, __ATOMIC_ACQ_REL);
    if (self->by_descriptor && !is_readable(fd, POLL_MS))
        return brg_context_fail(context, 1, "nobody rang");
    while (!brg_context_cancelled(context))
        sched_yield();
    if (!is_readable(brg_context_cancel_fd(context), POLL_MS)) /* one made late, too */
        return brg_context_fail(context, 2, "the descriptor says nothing");
    __atomic_fetch_add(&self->xtold, 1, __ATOMIC_ACQ_REL);
    return self->ends_well ? BRG_OK : first % 2 == 0 ? BRG_CANCELLED : brg_context_fail(context, 3, "it was stopped");
}

static void on_done(const brg_result *result, void *user_data)
{
    asked *self = user_data;
    self->status = result->status;
    if (result->error != NULL)
        self->error = *result->error;
    flag_set(&self->xreturned);
}

static brg_status call(brg_context *context, void *argument)
{
    asked *self = argument;
    brg_flow_options options = {.size = sizeof(options), .token = self->token, .chunk_max = 1};
    if (self->way == IN_THE_BACKGROUND) {
        options.done = on_done;
        options.user_data = self;
    }
    brg_status status = brg_parallel_for(self->pool, self->elements, until_asked, self, &options, &self->error);
    if (self->way == IN_THE_BACKGROUND)
        return status;
    self->task_was_asked = brg_context_cancelled(context) || is_readable(brg_context_cancel_fd(context), 0);
    self->status = status;
    flag_set(&self->xreturned);
    return BRG_OK;
}

/* Calls, and waits until `workers` elements run. */
static void begin(asked *self, brg_pool *other, brg_task **task, uint32_t workers)
{
    assert_int_equal(brg_token_create(&self->token, NULL), BRG_OK);
    if (self->way == IN_THE_BACKGROUND)
        assert_int_equal(call(NULL, self), BRG_OK);
    else
        assert_int_equal(brg_pool_submit_call(self->way == FROM_OUTSIDE ? other : self->pool, call, self, NULL, task),
                         BRG_OK);
    flag_wait(&self->xbegan, workers);
}

static void end(asked *self, brg_loop *loop, brg_task *task)
{
    while (__atomic_load_n(&self->xreturned, __ATOMIC_ACQUIRE) == 0) {
        (void)brg_loop_dispatch(loop);
        sched_yield();
    }
    if (task != NULL)
        assert_int_equal(scenario_result(task)->status, BRG_OK);
    brg_task_unref(task);
    brg_token_unref(self->token);
}

static brg_status look(brg_context *context, size_t first, size_t end, void *state)
{
    (void)first, (void)end;
    if (brg_context_cancelled(context) || is_readable(brg_context_cancel_fd(context), 0))
        __atomic_store_n((bool *)state, true, __ATOMIC_RELAXED);
    return BRG_OK;
}

/* What comes after it on the same workers has not been asked. */
static void check_others(brg_pool *pool)
{
    bool is_asked = false;
    assert_int_equal(brg_parallel_for(pool, 20, look, &is_asked, brg_flow_opts(.chunk_max = 1), NULL), BRG_OK);
    assert_false(is_asked);
}

static void a_token_asks_what_runs(void **state)
{
    (void)state;
    enum { WORKERS = 3 };
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = WORKERS, .loop = loop));
    brg_pool *other = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    for (int i = 0; i < WAYS * 2 * 2 * 4; i++) {
        asked self = {.pool = pool, .way = (way)(i % WAYS), .by_descriptor = i / WAYS % 2 != 0};
        bool more = i / WAYS / 2 % 2 != 0; /* elements wait that have not begun */
        brg_task *task = NULL;
        self.elements = more ? 50 : WORKERS;
        begin(&self, other, &task, WORKERS);
        brg_token_cancel(self.token);
        end(&self, loop, task);
        assert_int_equal(self.status, BRG_CANCELLED); /* whatever the elements said of it */
        assert_string_equal(self.error.message, "its token was cancelled");
        assert_int_equal(self.xbegan, WORKERS);
        assert_int_equal(self.xtold, WORKERS);
        assert_false(self.task_was_asked);
        check_others(pool);
    }
    assert_int_equal(scenario_stats(pool).workers_killed, 0);
    brg_pool_destroy(pool);
    brg_pool_destroy(other);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

/* As a task that was asked and succeeds all the same. */
static void who_does_it_all_succeeds(void **state)
{
    (void)state;
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2, .loop = loop));
    brg_pool *other = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    for (int i = 0; i < WAYS * 4; i++) {
        asked self = {.pool = pool, .way = (way)(i % WAYS), .elements = i / WAYS % 2 == 0 ? 2 : 3, .ends_well = true};
        brg_task *task = NULL;
        begin(&self, other, &task, 2);
        brg_token_cancel(self.token);
        end(&self, loop, task);
        assert_int_equal(self.status, self.elements == 2 ? BRG_OK : BRG_CANCELLED); /* the third never began */
        assert_int_equal(self.xtold, 2);
        check_others(pool);
    }
    brg_pool_destroy(pool);
    brg_pool_destroy(other);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

/* The task that called is cancelled: its element hears of that, and those on other workers. */
static void the_calling_task_asks_what_runs(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 3, .grace_ns = BRG_FOREVER));
    brg_pool *other = scenario_function_pool(brg_pool_opts(.workers_max = 1, .grace_ns = BRG_FOREVER));
    for (int i = 0; i < 10; i++) {
        asked self = {.pool = pool, .way = i % 2 == 0 ? FROM_OUTSIDE : FROM_A_TASK, .elements = i % 4 < 2 ? 3 : 30};
        brg_task *task = NULL;
        begin(&self, other, &task, 3);
        assert_int_equal(brg_task_cancel(task), BRG_OK);
        flag_wait(&self.xreturned, 1);
        assert_int_equal(self.status, BRG_CANCELLED);
        assert_int_equal(self.xtold, 3);
        assert_true(self.task_was_asked);
        (void)scenario_result(task);
        brg_task_unref(task);
        brg_token_unref(self.token);
        check_others(pool);
    }
    brg_pool_destroy(pool);
    brg_pool_destroy(other);
}

/* ---- inside each other ------------------------------------------------------------------------------------------- */

typedef struct inner {
    asked asked;
    brg_status status; /* of the inner flow */
} inner;

static brg_status call_inner(brg_context *context, size_t first, size_t end, void *state)
{
    inner *self = state;
    (void)context, (void)first, (void)end;
    self->status = brg_parallel_for(self->asked.pool, 3, until_asked, &self->asked, brg_flow_opts(.chunk_max = 1),
                                    NULL);
    return self->status;
}

static brg_status call_outer(brg_context *context, void *argument)
{
    inner *self = argument;
    (void)context;
    self->asked.status = brg_parallel_for(self->asked.pool, 1, call_inner, self,
                                          brg_flow_opts(.token = self->asked.token), NULL);
    return BRG_OK;
}

static void flows_inside_hear_of_it(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 3));
    brg_pool *other = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    for (int i = 0; i < 10; i++) {
        inner self = {.asked = {.pool = pool}};
        brg_task *task = NULL;
        assert_int_equal(brg_token_create(&self.asked.token, NULL), BRG_OK);
        assert_int_equal(brg_pool_submit_call(i % 2 == 0 ? other : pool, call_outer, &self, NULL, &task), BRG_OK);
        flag_wait(&self.asked.xbegan, 3);
        brg_token_cancel(self.asked.token);
        assert_int_equal(scenario_result(task)->status, BRG_OK);
        assert_int_equal(self.status, BRG_CANCELLED);
        assert_int_equal(self.asked.status, BRG_CANCELLED);
        assert_int_equal(self.asked.xtold, 3);
        brg_task_unref(task);
        brg_token_unref(self.asked.token);
        check_others(pool);
    }
    brg_pool_destroy(pool);
    brg_pool_destroy(other);
}

typedef struct parent {
    brg_pool *pool;
    plug plug;
    bool child_was_asked, has_heard;
} parent;

static brg_status child(brg_context *context, void *argument)
{
    parent *self = argument;
    (void)plug_task(context, &self->plug);
    self->child_was_asked = brg_context_cancelled(context) || is_readable(brg_context_cancel_fd(context), 0);
    return BRG_OK;
}

static brg_status run_child(brg_context *context, size_t first, size_t end, void *state)
{
    parent *self = state;
    brg_task *task = NULL;
    (void)first, (void)end;
    brg_status status = brg_pool_submit_call(self->pool, child, self, NULL, &task);
    if (status == BRG_OK)
        status = brg_task_wait(task, BRG_FOREVER); /* there is one worker: it runs here */
    brg_task_unref(task);
    self->has_heard = brg_context_cancelled(context) && is_readable(brg_context_cancel_fd(context), POLL_MS);
    return status;
}

/* A task that an element waits for is another's: it is not asked. The element is, when it goes on. */
static void tasks_inside_are_not_asked(void **state)
{
    (void)state;
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1, .loop = loop));
    for (int i = 0; i < 5; i++) {
        asked heard = {.status = BRG_EMPTY};
        parent self = {.pool = pool};
        brg_token *token = NULL;
        assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
        assert_int_equal(brg_parallel_for(pool, 1, run_child, &self,
                                          brg_flow_opts(.token = token, .done = on_done, .user_data = &heard), NULL),
                         BRG_OK);
        plug_wait(&self.plug, 1);
        brg_token_cancel(token);
        plug_pull(&self.plug);
        while (heard.xreturned == 0)
            (void)brg_loop_dispatch(loop);
        assert_false(self.child_was_asked);
        assert_true(self.has_heard);
        assert_int_equal(heard.status, BRG_OK);
        brg_token_unref(token);
    }
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

/* ---- forks ------------------------------------------------------------------------------------------------------- */

typedef struct forked {
    brg_pool *pool;
    uint32_t xbegan, xouter, xinner,
        xheard; /* the other element; the fork; the fork in it; the other element was asked */
    bool hears, fork_was_asked;
} forked;

static brg_status nothing(brg_context *context, void *argument)
{
    (void)context, (void)argument;
    return BRG_OK;
}

/* Stolen by the element's worker, which waits; runs a task there when the flow is cancelled. */
static void inner_fork(brg_context *context, void *argument)
{
    forked *self = argument;
    brg_task *task = NULL;
    flag_set(&self->xinner);
    flag_wait(&self->xheard, 1);
    self->fork_was_asked = brg_context_cancelled(context) || is_readable(brg_context_cancel_fd(context), 0);
    if (brg_pool_submit_call(self->pool, nothing, NULL, NULL, &task) == BRG_OK)
        (void)brg_task_wait(task, BRG_FOREVER);
    brg_task_unref(task);
}

/* Stolen by the worker that has nothing. */
static void outer_fork(brg_context *context, void *argument)
{
    forked *self = argument;
    brg_fork fork;
    flag_set(&self->xouter);
    brg_fork_start(context, &fork, inner_fork, self);
    flag_wait(&self->xinner, 1);
    brg_fork_join(context, &fork);
}

static brg_status fork_and_join(brg_context *context, size_t first, size_t end, void *state)
{
    forked *self = state;
    (void)end;
    if (first != 0) {
        flag_set(&self->xbegan);
        while (!brg_context_cancelled(context))
            sched_yield();
        flag_set(&self->xheard);
        return BRG_OK;
    }
    brg_fork fork;
    int fd = brg_context_cancel_fd(context);
    flag_wait(&self->xbegan, 1);
    brg_fork_start(context, &fork, outer_fork, self);
    flag_wait(&self->xouter, 1);
    brg_fork_join(context, &fork);
    self->hears = brg_context_cancelled(context) && is_readable(fd, POLL_MS);
    return BRG_OK;
}

/* What ran in a fork that the waiting element took over has not silenced its descriptor. */
static void forks_inside_leave_the_descriptor(void **state)
{
    (void)state;
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 3, .loop = loop));
    for (int i = 0; i < 5; i++) {
        asked heard = {.status = BRG_EMPTY};
        forked self = {.pool = pool};
        assert_int_equal(brg_token_create(&heard.token, NULL), BRG_OK);
        assert_int_equal(
            brg_parallel_for(pool, 2, fork_and_join, &self,
                             brg_flow_opts(.token = heard.token, .chunk_max = 1, .done = on_done, .user_data = &heard),
                             NULL),
            BRG_OK);
        flag_wait(&self.xinner, 1);
        brg_token_cancel(heard.token);
        end(&heard, loop, NULL);
        assert_int_equal(heard.status, BRG_OK);
        assert_false(self.fork_was_asked);
        assert_true(self.hears);
        check_others(pool);
    }
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

/* Cancelled at any moment, by another thread, again and again: it returns, and the next one runs. */
static brg_status cancel_token(brg_context *context, void *argument)
{
    (void)context;
    brg_token_cancel(argument);
    return BRG_OK;
}

static brg_status count_until_asked(brg_context *context, size_t first, size_t end, void *state)
{
    for (size_t i = first; i < end; i++) {
        if (brg_context_cancelled(context))
            return BRG_CANCELLED;
        __atomic_fetch_add((uint64_t *)state, 1, __ATOMIC_RELAXED);
    }
    return BRG_OK;
}

static void at_any_moment(void **state)
{
    (void)state;
    enum { ELEMENTS = 2000 };
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 3));
    brg_pool *other = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    for (int i = 0; i < 300; i++) {
        uint64_t counted = 0;
        brg_token *token = NULL;
        brg_error error;
        assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
        assert_int_equal(brg_pool_call(other, cancel_token, token, NULL, NULL), BRG_OK);
        brg_status status = brg_parallel_for(pool, ELEMENTS, count_until_asked, &counted,
                                             brg_flow_opts(.token = token, .chunk_max = 1 + (size_t)i % 700), &error);
        assert_true(status == BRG_CANCELLED || (status == BRG_OK && counted == ELEMENTS));
        assert_int_equal(brg_pool_wait_idle(other, BOUND), BRG_OK);
        brg_token_unref(token);
    }
    check_others(pool);
    brg_pool_destroy(pool);
    brg_pool_destroy(other);
}

/* The same where the token is watched, by its callers on workers while the loop runs. Some have no time to begin. */
static brg_status call_counted(brg_context *context, void *argument)
{
    asked *self = argument;
    brg_flow_options options = {.size = sizeof(options), .token = self->token};
    if (self->way == IN_THE_BACKGROUND) {
        options.done = on_done;
        options.user_data = self;
    }
    brg_status status = brg_parallel_for(self->pool, self->elements, count_until_asked, &self->counted, &options,
                                         &self->error);
    (void)context;
    if (self->way == IN_THE_BACKGROUND)
        return status;
    self->status = status;
    flag_set(&self->xreturned);
    return BRG_OK;
}

static void at_any_moment_watched(void **state)
{
    (void)state;
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 3, .loop = loop));
    brg_pool *other = scenario_function_pool(brg_pool_opts(.workers_max = 2));
    for (int i = 0; i < 300; i++) {
        asked self = {.pool = pool, .way = i % 2 == 0 ? IN_THE_BACKGROUND : FROM_A_TASK, .elements = 2000};
        brg_task *task = NULL;
        assert_int_equal(brg_token_create(&self.token, NULL), BRG_OK);
        if (i % 3 == 0)
            brg_token_cancel(self.token);
        assert_int_equal(brg_pool_submit_call(i % 2 == 0 ? other : pool, call_counted, &self, NULL, &task), BRG_OK);
        assert_int_equal(brg_pool_call(other, cancel_token, self.token, NULL, NULL), BRG_OK);
        while (__atomic_load_n(&self.xreturned, __ATOMIC_ACQUIRE) == 0)
            (void)brg_loop_dispatch(loop);
        assert_int_equal(brg_pool_wait_idle(other, BOUND), BRG_OK); /* it uses the token */
        end(&self, loop, task);
        assert_true(self.status == BRG_CANCELLED || (self.status == BRG_OK && self.counted == self.elements));
    }
    check_others(pool);
    brg_pool_destroy(pool);
    brg_pool_destroy(other);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

/* A flow that is refused tells nobody on the loop, though its token was cancelled before. */
static void refused_and_cancelled(void **state)
{
    (void)state;
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1, .loop = loop));
    assert_int_equal(brg_pool_drain(pool, BOUND), BRG_OK);
    asked self = {.pool = pool, .way = IN_THE_BACKGROUND, .elements = 10};
    assert_int_equal(brg_token_create(&self.token, NULL), BRG_OK);
    brg_token_cancel(self.token);
    assert_int_equal(call_counted(NULL, &self), BRG_CLOSED);
    brg_token_unref(self.token);
    for (int i = 0; i < 3; i++)
        (void)brg_loop_dispatch(loop);
    assert_int_equal(self.xreturned, 0);
    assert_int_equal(self.counted, 0);
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_asks_what_runs),
        cmocka_unit_test(who_does_it_all_succeeds),
        cmocka_unit_test(the_calling_task_asks_what_runs),
        cmocka_unit_test(flows_inside_hear_of_it),
        cmocka_unit_test(tasks_inside_are_not_asked),
        cmocka_unit_test(at_any_moment),
        cmocka_unit_test(at_any_moment_watched),
        cmocka_unit_test(refused_and_cancelled),
        cmocka_unit_test(forks_inside_leave_the_descriptor),
    };
    return cmocka_run_group_tests_name("flow_asked", tests, NULL, NULL);
}
