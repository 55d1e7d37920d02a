/* SPDX-License-Identifier: MIT */
#include "streaming.h"

#include <sched.h>
#include <stdio.h>

static const char *streaming_module(void)
{
    static char path[4096];
    const char *directory = getenv("TEST_MODULE_DIR");
    snprintf(path, sizeof(path), "%s/stream.so", directory != NULL ? directory : ".");
    return path;
}

brg_pool *streaming_pool(brg_isolation isolation, uint32_t workers)
{
    return scenario_pool(isolation, brg_pool_opts(.workers_max = workers, .module = streaming_module()));
}

brg_pool *streaming_pool_that_dies(uint32_t workers)
{
    return scenario_pool(BRG_ISOLATION_PROCESS,
                         brg_pool_opts(.workers_max = workers, .module = streaming_module(), .crash_limit = 1000,
                                       .restart_min_ns = 1, .breaker_failures = 1000));
}

brg_status streaming_source(brg_value **item, void **tag, void *user_data)
{
    streaming *run = user_data;
    if (run->taken == run->count)
        return run->ends_with == BRG_OK ? BRG_CLOSED : run->ends_with;
    if (!run->empty)
        assert_int_equal(brg_value_int(item, (int64_t)(run->first + run->taken), NULL), BRG_OK);
    *tag = (void *)(uintptr_t)(run->taken + 1);
    run->taken++;
    if (run->ahead_max != 0)
        assert_true(run->taken - run->consumed <= run->ahead_max);
    return BRG_OK;
}

static void streaming_drop(void *tag, void *user_data)
{
    streaming *run = user_data;
    assert_true((uintptr_t)tag >= 1 && (uintptr_t)tag <= run->taken);
    atomic_fetch_add(&run->dropped, 1);
}

brg_stream *streaming_create(streaming *run, brg_stream_options *options)
{
    brg_stream *stream = NULL;
    brg_error error;
    if (options->source == NULL)
        options->source = streaming_source;
    options->drop = streaming_drop;
    options->user_data = run;
    if (brg_stream_create(&stream, options, &error) != BRG_OK)
        fail_msg("stream: %s", error.message);
    return stream;
}

int64_t streaming_number(const brg_value *value)
{
    int64_t number = -1;
    assert_non_null(value);
    assert_int_equal(brg_view_int(brg_value_root(value), &number), BRG_OK);
    return number;
}

brg_stream_counts streaming_counts(const brg_stream *stream)
{
    brg_stream_counts counts = {.size = sizeof(counts)};
    assert_int_equal(brg_stream_get_counts(stream, &counts), BRG_OK);
    return counts;
}

brg_stage_counts streaming_stage(const brg_stream *stream, uint32_t stage)
{
    brg_stage_counts counts = {.size = sizeof(counts)};
    assert_int_equal(brg_stream_get_stage(stream, stage, &counts), BRG_OK);
    return counts;
}

/* What every good item has. */
static void expect_item(const brg_stream_item *item, int stages)
{
    assert_int_equal(item->status, BRG_OK);
    assert_null(item->error);
    assert_int_equal(streaming_number(item->output), (int64_t)item->index + stages * STEP);
    assert_int_equal((uintptr_t)item->tag, item->index + 1);
    assert_int_equal(item->attempts == 0, 0);
}

uint64_t streaming_expect_rest(brg_stream *stream, int stages, uint64_t next)
{
    brg_stream_item item;
    brg_status status;
    uint64_t count = 0;
    for (; (status = brg_stream_next(stream, &item, BOUND)) == BRG_OK; count++) {
        assert_int_equal(item.index, next + count);
        expect_item(&item, stages);
    }
    assert_int_equal(status, BRG_CLOSED);
    return count;
}

uint64_t streaming_expect_order(brg_stream *stream, int stages) { return streaming_expect_rest(stream, stages, 0); }

uint64_t streaming_expect_all(brg_stream *stream, int stages)
{
    brg_stream_item item;
    brg_status status;
    uint64_t count = 0, sum = 0;
    for (; (status = brg_stream_next(stream, &item, BOUND)) == BRG_OK; count++) {
        expect_item(&item, stages);
        sum += item.index;
    }
    assert_int_equal(status, BRG_CLOSED);
    assert_int_equal(sum, count * (count - 1) / 2);
    return count;
}

/* ---- stages ------------------------------------------------------------------------------------------------------ */

brg_status streaming_first_waits(brg_context *context, const brg_value *input, brg_value **output, void *gate)
{
    (void)context, (void)output;
    while (streaming_number(input) == 0 && !atomic_load(&((streaming_gate *)gate)->open))
        sched_yield();
    return BRG_OK;
}

brg_status streaming_count_in(brg_context *context, const brg_value *input, brg_value **output, void *crowd)
{
    streaming_crowd *self = crowd;
    (void)context;
    int now = atomic_fetch_add(&self->now, 1) + 1, most = atomic_load(&self->most);
    while (now > most && !atomic_compare_exchange_weak(&self->most, &most, now))
        ;
    if (streaming_number(input) % 7 == 0)
        sched_yield();
    atomic_fetch_sub(&self->now, 1);
    *output = brg_value_ref(input);
    return BRG_OK;
}

brg_status streaming_fail_with(brg_context *context, const brg_value *input, brg_value **output, void *status)
{
    (void)context, (void)input, (void)output;
    return *(const brg_status *)status;
}

brg_status streaming_fail_twice(brg_context *context, const brg_value *input, brg_value **output, void *state)
{
    (void)input, (void)output, (void)state;
    return brg_context_attempt(context) < 3 ? brg_context_fail(context, 1, "not yet") : BRG_OK;
}
