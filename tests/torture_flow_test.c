/* SPDX-License-Identifier: MIT */
/* Streams and flows under torture. */
#include <brigade/trace.h>

#include "torture.h"

/* ---- streams ----------------------------------------------------------------------------------------------------- */

enum { TORTURE_ITEMS = 16 };

typedef struct torture_items {
    int made, dropped;
} torture_items;

static brg_status torture_source(brg_value **item, void **tag, void *user_data)
{
    torture_items *items = user_data;
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (items->made == TORTURE_ITEMS)
        return BRG_CLOSED;
    if (!torture_worked(brg_value_map(item, &error, brg_field_int("bytes", 5000)), &error, "brg_value_map"))
        return BRG_NO_MEMORY;
    *tag = items;
    items->made++;
    return BRG_OK;
}

static void torture_drop(void *tag, void *user_data)
{
    torture_expect(tag == user_data, "a tag is another's");
    ((torture_items *)user_data)->dropped++;
}

/* Each item comes out once, good or bad, or is dropped; the end says why. */
static void stream_of_two_stages(brg_isolation isolation)
{
    static const char *const second[] = {"who", "fail"};
    for (int rule = 0; rule < 2; rule++) {
        brg_pool *pool = NULL;
        brg_stream *stream = NULL;
        brg_error error;
        torture_items items = {.made = 0};
        memset(&error, 0, sizeof(error));
        const brg_pool_options *options = brg_pool_opts(.isolation = isolation, .module = scenario_module(),
                                                        .workers_max = 1, .restart_min_ns = 1, .breaker_failures = 4,
                                                        TORTURE_PATIENCE);
        if (!torture_worked(brg_pool_create(&pool, options, &error), &error, "brg_pool_create"))
            return;
        const brg_stage stages[] = {BRG_STAGE(.pool = pool, .task = "echo"),
                                    BRG_STAGE(.pool = pool, .task = second[rule])};
        if (torture_worked(
                brg_stream_create(&stream,
                                  brg_stream_opts(.stages = stages, .stage_count = 2, .source = torture_source,
                                                  .drop = torture_drop, .user_data = &items,
                                                  .rule = rule == 0 ? BRG_STREAM_COLLECT : BRG_STREAM_STOP),
                                  &error),
                &error, "brg_stream_create")) {
            brg_stream_item item;
            brg_status status;
            int came = 0;
            for (; (status = brg_stream_next(stream, &item, TORTURE_LONG)) == BRG_OK; came++) {
                torture_expect(item.index == (uint64_t)came, "an item is out of its place");
                torture_worked(item.status, item.error, "an item");
            }
            torture_expect(status != BRG_TIMED_OUT && status != BRG_EMPTY, "a stream does not end");
            torture_expect(status != BRG_NO_MEMORY || came <= items.made, "more came than went in");
            brg_stream_destroy(stream);
            torture_expect(came + items.dropped == items.made, "an item is lost");
        } else {
            torture_expect(stream == NULL, "a failed create gave a stream");
        }
        brg_pool_destroy(pool);
    }
}

/* ---- flows ------------------------------------------------------------------------------------------------------- */

enum { TORTURE_ELEMENTS = 64 };

typedef struct torture_counts {
    uint32_t xcounts[TORTURE_ELEMENTS];
    uint32_t xlive; /* accumulators that hold memory */
} torture_counts;

static brg_status torture_range(brg_context *context, size_t first, size_t end, void *state)
{
    torture_counts *counts = state;
    for (size_t i = first; i < end; i++)
        __atomic_fetch_add(&counts->xcounts[i], 1, __ATOMIC_RELAXED);
    return brg_context_alloc(context, 100) != NULL ? BRG_OK : BRG_NO_MEMORY;
}

static brg_status torture_fold(brg_context *context, size_t first, size_t end, void *accumulator, void *state)
{
    torture_counts *counts = state;
    char **own = accumulator;
    (void)context, (void)first, (void)end;
    if (*own == NULL) {
        *own = malloc(10);
        __atomic_fetch_add(&counts->xlive, 1, __ATOMIC_RELAXED);
    }
    return BRG_OK;
}

static void torture_discard(void *accumulator, void *state)
{
    torture_counts *counts = state;
    char **own = accumulator;
    if (*own != NULL)
        __atomic_fetch_sub(&counts->xlive, 1, __ATOMIC_RELAXED);
    free(*own);
}

static brg_status torture_combine(void *into, void *from, void *state)
{
    (void)into;
    torture_discard(from, state);
    return BRG_OK;
}

static brg_status torture_take(void *user_data, const char *text, size_t size)
{
    (void)text;
    *(size_t *)user_data += size;
    return BRG_OK;
}

static void torture_arrays(brg_pool *pool)
{
    brg_error error;
    torture_counts counts;
    memset(&counts, 0, sizeof(counts));
    bool all = torture_worked(
        brg_parallel_for(pool, TORTURE_ELEMENTS, torture_range, &counts, brg_flow_opts(.chunk_max = 4), &error), &error,
        "brg_parallel_for");
    for (int i = 0; i < TORTURE_ELEMENTS; i++)
        torture_expect(counts.xcounts[i] <= 1 && (!all || counts.xcounts[i] == 1), "an element did not run once");
    for (int unordered = 0; unordered < 2; unordered++) {
        char *result = NULL;
        bool reduced = torture_worked(
            brg_map_reduce(pool, TORTURE_ELEMENTS,
                           brg_reduction_opts(.fold = torture_fold, .combine = torture_combine,
                                              .discard = torture_discard, .state = &counts,
                                              .accumulator_bytes = sizeof(result)),
                           &result, brg_flow_opts(.chunk_max = 4, .unordered = unordered), &error),
            &error, "brg_map_reduce");
        torture_expect(reduced == (result != NULL), "a failed reduction left something");
        if (reduced)
            torture_discard(&result, &counts);
        torture_expect(counts.xlive == 0, "an accumulator is lost");
    }
}

static void torture_values(brg_pool *pool)
{
    brg_error error;
    brg_builder *builder = NULL;
    brg_value *items = NULL, *out = NULL;
    if (!torture_worked(brg_builder_create(&builder, &error), &error, "brg_builder_create"))
        return;
    brg_builder_list(builder);
    for (int i = 0; i < TORTURE_ELEMENTS; i++)
        brg_builder_int(builder, i);
    brg_builder_end(builder);
    if (torture_worked(brg_builder_finish(builder, &items, &error), &error, "brg_builder_finish")) {
        if (torture_worked(brg_map_values(pool, "echo", items, &out, brg_flow_opts(.chunk_max = 8), &error), &error,
                           "brg_map_values"))
            torture_expect(brg_view_equal(brg_value_root(items), brg_value_root(out)), "an element is lost");
        else
            torture_expect(out == NULL, "a failed map gave a list");
    }
    brg_value_unref(out);
    brg_value_unref(items);
    brg_builder_destroy(builder);
}

static void flows(brg_isolation isolation)
{
    brg_pool *pool = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (!torture_worked(brg_pool_create(&pool,
                                        brg_pool_opts(.isolation = isolation, .module = scenario_module(),
                                                      .workers_max = 2, .restart_min_ns = BRG_MILLISECONDS(1),
                                                      .breaker_failures = 4, TORTURE_PATIENCE),
                                        &error),
                        &error, "brg_pool_create"))
        return;
    if (isolation == BRG_ISOLATION_THREAD)
        torture_arrays(pool);
    torture_values(pool);
    brg_pool_destroy(pool);
}

typedef struct torture_call {
    brg_pool *pool;
    brg_token *token;
    torture_counts counts;
    brg_status status;
} torture_call;

static brg_status torture_in_a_task(brg_context *context, void *argument)
{
    torture_call *call = argument;
    brg_error error;
    (void)context;
    call->status = brg_parallel_for(call->pool, TORTURE_ELEMENTS, torture_range, &call->counts,
                                    brg_flow_opts(.token = call->token, .chunk_max = 4), &error);
    torture_worked(call->status, &error, "brg_parallel_for");
    return BRG_OK;
}

/* Where the token is watched, and all of it traced. */
static void flow_in_a_task(brg_isolation isolation)
{
    static brg_token *token; /* of the first run, in which nothing fails: its memory would stay in a cache anyway */
    brg_trace *trace = NULL;
    torture_call call;
    brg_error error;
    if (isolation != BRG_ISOLATION_THREAD)
        return;
    memset(&call, 0, sizeof(call));
    if (token == NULL)
        assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
    call.token = token;
    torture_worked(brg_trace_create(&trace, NULL, &error), &error, "brg_trace_create");
    if (torture_worked(
            brg_pool_create(&call.pool,
                            brg_pool_opts(.workers_max = 2, .trace = trace, .restart_min_ns = BRG_MILLISECONDS(1),
                                          .breaker_failures = 4, TORTURE_PATIENCE),
                            &error),
            &error, "brg_pool_create")) {
        brg_task *task = NULL;
        if (torture_worked(
                brg_pool_submit_call(call.pool, torture_in_a_task, &call, brg_submit_opts(.error = &error), &task),
                &error, "brg_pool_submit_call")) {
            torture_expect(brg_task_wait(task, TORTURE_LONG) == BRG_OK, "a task does not settle");
            for (int i = 0; i < TORTURE_ELEMENTS; i++)
                torture_expect(call.counts.xcounts[i] <= 1 && (call.status != BRG_OK || call.counts.xcounts[i] == 1),
                               "an element did not run once");
        }
        size_t size = 0;
        if (trace != NULL)
            torture_worked(brg_trace_print(trace, torture_take, &size, &error), &error, "brg_trace_print");
        brg_task_unref(task);
        brg_pool_destroy(call.pool);
    }
    brg_trace_destroy(trace);
}

static const torture_scenario scenarios[] = {TORTURE_SCENARIO(stream_of_two_stages), TORTURE_SCENARIO(flows),
                                             TORTURE_SCENARIO(flow_in_a_task)};

enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

static void whatever_fails(void **state)
{
    assert_true(torture_scenarios(scenarios, SCENARIOS, scenario_isolation(state)) > 100);
}

int main(void)
{
    torture_begin();
    const struct CMUnitTest tests[] = {SCENARIO_BOTH(whatever_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
