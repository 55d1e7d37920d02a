/* SPDX-License-Identifier: MIT */
/* Torture of flows: over arrays and over values, waited for and told on a loop, with all rules of errors. */
#include "failing.h"

#include "base/util.h"

enum { ELEMENTS = 48 };

/* ---- arrays ------------------------------------------------------------------------------------------------------ */

typedef struct counts {
    uint32_t xcounts[ELEMENTS];
    uint32_t xlive; /* accumulators that hold memory */
    bool fails;     /* those that end in 3 fail */
    int done;
} counts;

static brg_status range(brg_context *context, size_t first, size_t end, void *state)
{
    counts *self = state;
    bool failed = false;
    for (size_t i = first; i < end; i++) {
        __atomic_fetch_add(&self->xcounts[i], 1, __ATOMIC_RELAXED);
        failed = failed || (self->fails && i % 10 == 3);
    }
    if (brg_context_alloc(context, 5000) == NULL)
        return BRG_NO_MEMORY;
    return failed ? brg_context_fail(context, 3, "no threes") : BRG_OK;
}

static void expect_counts(const counts *self, bool all)
{
    for (int i = 0; i < ELEMENTS; i++)
        failing_expect(self->xcounts[i] <= 1 && (!all || self->xcounts[i] == 1), "an element did not run once");
}

static void ranges(brg_pool *pool, brg_token *token, brg_flow_errors errors)
{
    counts self = {.fails = errors != BRG_FLOW_STOP};
    brg_error error = {.status = BRG_OK};
    size_t failures = 0;
    bool all = failing_worked(
        brg_parallel_for(pool, ELEMENTS, range, &self,
                         brg_flow_opts(.chunk_max = 4, .token = token, .errors = errors, .failures = &failures),
                         &error),
        &error, "brg_parallel_for");
    expect_counts(&self, all);
    failing_expect(!all || failures == 0, "failures of those that did not fail");
    failing_expect(all || errors == BRG_FLOW_STOP || error.status != BRG_FAILED || failures != 0, "no failures");
}

static void note_done(const brg_result *result, void *user_data)
{
    failing_worked(result->status, result->error, "a flow");
    ((counts *)user_data)->done++;
}

static void ranges_on_a_loop(brg_pool *pool)
{
    counts self = {.done = 0};
    brg_error error = {.status = BRG_OK};
    bool begun = failing_worked(brg_parallel_for(pool, ELEMENTS, range, &self,
                                                 brg_flow_opts(.chunk_max = 4, .done = note_done, .user_data = &self),
                                                 &error),
                                &error, "brg_parallel_for");
    failing_worked(brg_pool_wait_idle(pool, FAILING_LONG), NULL, "brg_pool_wait_idle");
    failing_expect(self.done == begun, "a flow did not end once");
    expect_counts(&self, false);
}

static brg_status twice(brg_context *context, const void *in, void *out, void *state)
{
    (void)state;
    *(int *)out = *(const int *)in * 2;
    return brg_context_alloc(context, 100) != NULL ? BRG_OK : BRG_NO_MEMORY;
}

static void maps(brg_pool *pool)
{
    int numbers[ELEMENTS], out[ELEMENTS] = {0};
    brg_error error = {.status = BRG_OK};
    for (int i = 0; i < ELEMENTS; i++)
        numbers[i] = i + 1;
    bool all = failing_worked(brg_map_array(pool, twice, numbers, out, ELEMENTS, &error), &error, "brg_map");
    for (int i = 0; all && i < ELEMENTS; i++)
        failing_expect(out[i] == 2 * (i + 1), "an element is another");
}

static brg_status fold(brg_context *context, size_t first, size_t end, void *accumulator, void *state)
{
    counts *self = state;
    uint64_t **own = accumulator;
    if (*own == NULL && (*own = calloc(1, sizeof(**own))) != NULL)
        __atomic_fetch_add(&self->xlive, 1, __ATOMIC_RELAXED);
    for (size_t i = first; i < end; i++)
        **own += i;
    return brg_context_alloc(context, 5000) != NULL ? BRG_OK : BRG_NO_MEMORY;
}

static void discard(void *accumulator, void *state)
{
    uint64_t **own = accumulator;
    if (*own != NULL)
        __atomic_fetch_sub(&((counts *)state)->xlive, 1, __ATOMIC_RELAXED);
    free(*own);
    *own = NULL;
}

static brg_status combine(void *into, void *from, void *state)
{
    uint64_t **left = into, **right = from;
    if (*left == NULL) {
        *left = *right;
    } else if (*right != NULL) {
        **left += **right;
        discard(right, state);
    }
    return BRG_OK;
}

static void reductions(brg_pool *pool, bool unordered)
{
    counts self = {.done = 0};
    uint64_t *result = NULL;
    brg_error error = {.status = BRG_OK};
    bool all = failing_worked(brg_map_reduce(pool, ELEMENTS,
                                             brg_reduction_opts(.fold = fold, .combine = combine, .discard = discard,
                                                                .state = &self, .accumulator_bytes = sizeof(result)),
                                             &result, brg_flow_opts(.chunk_max = 4, .unordered = unordered), &error),
                              &error, "brg_map_reduce");
    failing_expect(all == (result != NULL), "a failed reduction left something");
    failing_expect(!all || *result == ELEMENTS * (ELEMENTS - 1) / 2, "a sum is wrong");
    if (all)
        discard(&result, &self);
    failing_expect(self.xlive == 0, "an accumulator is lost");
}

/* Inside a task, and from a fork's worker's point of view. */
static brg_status flow_in_a_task(brg_context *context, void *argument)
{
    (void)context;
    ranges(argument, NULL, BRG_FLOW_GO_ON);
    reductions(argument, true);
    return BRG_OK;
}

static void arrays(brg_isolation isolation)
{
    (void)isolation;
    failing_task task;
    brg_token *token = NULL;
    brg_loop *loop = failing_loop();
    brg_pool *pool = loop == NULL ? NULL : failing_function_pool((brg_pool_options){.workers_max = 2, .loop = loop});
    if (pool != NULL) {
        failing_worked(brg_token_create(&token, NULL), NULL, "brg_token_create");
        ranges(pool, token, BRG_FLOW_STOP);
        ranges(pool, NULL, BRG_FLOW_GO_ON);
        if (token != NULL)
            brg_token_cancel(token);
        ranges(pool, token, BRG_FLOW_STOP);
        ranges_on_a_loop(pool);
        maps(pool);
        reductions(pool, false);
        reductions(pool, true);
        failing_submit_call(pool, &task, flow_in_a_task, pool, NULL, true);
        failing_settled(&task, 1);
        brg_pool_destroy(pool);
        failing_ended(&task, 1);
        brg_token_unref(token);
    }
    failing_loop_end(loop);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* What a map of "pick" gives: those that end in 3 are left out, or errors. */
static bool is_picked(const brg_value *value, brg_flow_errors errors)
{
    brg_view list = brg_value_root(value);
    size_t at = 0;
    int64_t number;
    if (brg_view_type(list) != BRG_TYPE_LIST)
        return false;
    for (int64_t i = 0; i < ELEMENTS; i++) {
        if (i % 10 != 3 && (brg_view_int(brg_view_at(list, at++), &number) != BRG_OK || number != i))
            return false;
        if (i % 10 == 3 && errors == BRG_FLOW_COLLECT && brg_view_type(brg_view_at(list, at++)) != BRG_TYPE_ERROR)
            return false;
    }
    return brg_view_count(list) == at;
}

static void map_values(brg_pool *pool, const brg_value *list, const char *task, brg_flow_errors errors, bool unordered)
{
    brg_value *out = FAILING_UNTOUCHED;
    brg_error error = {.status = BRG_OK};
    size_t failures = 0;
    bool all = failing_worked(
        brg_map_values(pool, task, list, &out,
                       brg_flow_opts(.chunk_max = 8, .errors = errors, .unordered = unordered, .failures = &failures),
                       &error),
        &error, "brg_map_values");
    if (!all) {
        failing_expect(out == FAILING_UNTOUCHED, "a failed map changed its output");
        return;
    }
    if (errors == BRG_FLOW_STOP)
        failing_expect(unordered || failing_is_list(out, ELEMENTS), "an element is lost");
    else if (failures == 5) /* more: memory was out for one of them */
        failing_expect(is_picked(out, errors), "an element is lost");
    brg_value_unref(out);
}

static void reduce_values(brg_pool *pool, const brg_value *list)
{
    brg_value *out = FAILING_UNTOUCHED;
    brg_error error = {.status = BRG_OK};
    int64_t sum = 0;
    if (!failing_worked(brg_map_reduce_values(pool, "pass", "sum", list, &out, brg_flow_opts(.chunk_max = 8), &error),
                        &error, "brg_map_reduce_values")) {
        failing_expect(out == FAILING_UNTOUCHED, "a failed reduction changed its output");
        return;
    }
    failing_expect(brg_view_int(brg_value_root(out), &sum) == BRG_OK && sum == ELEMENTS * (ELEMENTS - 1) / 2,
                   "a sum is wrong");
    brg_value_unref(out);
}

static void note_list(const brg_result *result, void *user_data)
{
    failing_worked(result->status, result->error, "a flow");
    failing_expect(result->status != BRG_OK || failing_is_list(result->output, ELEMENTS), "an element is lost");
    ++*(int *)user_data;
}

static void values(brg_isolation isolation)
{
    brg_loop *loop = failing_loop();
    brg_value *list = loop == NULL ? NULL : failing_list(ELEMENTS);
    brg_pool *pool = list == NULL ? NULL
                                  : failing_pool(isolation,
                                                 (brg_pool_options){.workers_max = 2, .loop = loop, .attempts_max = 2});
    if (pool != NULL) {
        int done = 0;
        brg_error error = {.status = BRG_OK};
        map_values(pool, list, "pass", BRG_FLOW_STOP, false);
        map_values(pool, list, "pick", BRG_FLOW_SKIP, false);
        map_values(pool, list, "pick", BRG_FLOW_COLLECT, false);
        map_values(pool, list, "pick", BRG_FLOW_STOP, true);
        reduce_values(pool, list);
        bool begun = failing_worked(
            brg_map_values(pool, "pass", list, NULL, brg_flow_opts(.done = note_list, .user_data = &done), &error),
            &error, "brg_map_values");
        failing_worked(brg_pool_wait_idle(pool, FAILING_LONG), NULL, "brg_pool_wait_idle");
        failing_expect(done == begun, "a flow did not end once");
        brg_pool_destroy(pool);
    }
    brg_value_unref(list);
    failing_loop_end(loop);
}

/* Some of the elements kill their worker. */
static void values_that_kill(brg_isolation isolation)
{
    brg_value *list = failing_list(ELEMENTS / 4), *out = FAILING_UNTOUCHED;
    brg_error error = {.status = BRG_OK};
    brg_pool *pool = list == NULL ? NULL
                                  : failing_pool(isolation, (brg_pool_options){.workers_max = 2,
                                                                               .attempts_max = 3,
                                                                               .crash_limit = 100,
                                                                               .restart_min_ns = 1});
    if (pool != NULL) {
        if (failing_worked(brg_map_values(pool, "die", list, &out, brg_flow_opts(.chunk_max = 4), &error), &error,
                           "brg_map_values")) {
            failing_expect(failing_is_list(out, ELEMENTS / 4), "an element is lost");
            brg_value_unref(out);
        }
        brg_pool_destroy(pool);
    }
    brg_value_unref(list);
}

/* ---- the torture ------------------------------------------------------------------------------------------------- */

static const failing_scenario scenarios[] = {FAILING_IN_THREADS(arrays), FAILING_SCENARIO(values),
                                             FAILING_SCENARIO(values_that_kill)};

static void torture_elements(void **state)
{
    failing_each(scenarios, brg__count_of(scenarios), scenario_isolation(state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENARIO_BOTH(torture_elements)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
