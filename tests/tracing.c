/* SPDX-License-Identifier: MIT */
#include "tracing.h"

brg_trace *tracing_new(const brg_trace_options *options)
{
    brg_trace *trace = NULL;
    assert_int_equal(brg_trace_create(&trace, options, NULL), BRG_OK);
    return trace;
}

typedef struct text {
    char *bytes;
    size_t size;
} text;

static brg_status text_take(void *user_data, const char *bytes, size_t size)
{
    text *self = user_data;
    self->bytes = realloc(self->bytes, self->size + size);
    assert_non_null(self->bytes);
    memcpy(self->bytes + self->size, bytes, size);
    self->size += size;
    return BRG_OK;
}

brg_value *tracing_parse(const char *bytes, size_t size)
{
    brg_value *value = NULL;
    brg_error error;
    if (brg_value_from_json(&value, bytes, size, &error) != BRG_OK)
        fail_msg("%s", error.message);
    return value;
}

brg_value *tracing_read(brg_trace *trace)
{
    text all = {NULL, 0};
    assert_int_equal(brg_trace_print(trace, text_take, &all, NULL), BRG_OK);
    brg_value *value = tracing_parse(all.bytes, all.size);
    free(all.bytes);
    return value;
}

typedef struct slice {
    double start, end;
    int64_t pid, tid;
} slice;

static int slice_compare(const void *a, const void *b)
{
    const slice *one = a, *other = b;
    if (one->tid != other->tid)
        return one->tid < other->tid ? -1 : 1;
    if (one->start != other->start)
        return one->start < other->start ? -1 : 1;
    return one->end > other->end ? -1 : one->end < other->end;
}

/* On one thread slices follow each other or lie inside each other. */
static void check_nesting(slice *slices, size_t count)
{
    size_t depth = 0;
    slice *open = calloc(count + 1, sizeof(*open));
    qsort(slices, count, sizeof(*slices), slice_compare);
    for (size_t i = 0; i < count; i++) {
        while (depth > 0 && (open[depth - 1].tid != slices[i].tid || open[depth - 1].end <= slices[i].start))
            depth--;
        if (depth > 0 && slices[i].end > open[depth - 1].end)
            fail_msg("two slices of thread %lld overlap: %.3f to %.3f, %.3f to %.3f", (long long)slices[i].tid,
                     open[depth - 1].start, open[depth - 1].end, slices[i].start, slices[i].end);
        open[depth++] = slices[i];
    }
    free(open);
}

tracing_summary tracing_check(const brg_value *value)
{
    tracing_summary sum = {0};
    brg_view events = brg_view_get(brg_value_root(value), "traceEvents");
    size_t count = brg_view_count(events), slice_count = 0;
    slice *slices = calloc(count + 1, sizeof(*slices));
    for (size_t i = 0; i < count; i++) {
        brg_view event = brg_view_at(events, i);
        const char *phase = brg_view_get_string(event, "ph", "?"), *kind = brg_view_get_string(event, "cat", "");
        assert_int_equal(strlen(phase), 1);
        assert_true(brg_view_get_int(event, "pid", 0) > 0);
        assert_non_null(brg_view_get_string(event, "name", NULL));
        assert_true(phase[0] == 'M' || brg_view_get_double(event, "ts", -1) > 0);
        sum.begins += phase[0] == 'b';
        sum.ends += phase[0] == 'e';
        sum.instants += phase[0] == 'i';
        if (phase[0] != 'X')
            continue;
        slice *one = &slices[slice_count++];
        one->start = brg_view_get_double(event, "ts", -1);
        one->end = one->start + brg_view_get_double(event, "dur", -1);
        one->tid = brg_view_get_int(event, "tid", -1);
        assert_true(one->end >= one->start);
        const char *status = brg_view_get_string(brg_view_get(event, "args"), "status", "");
        sum.tasks += strcmp(kind, "task") == 0;
        sum.batches += strcmp(kind, "batch") == 0;
        sum.starts_of_workers += strcmp(kind, "worker") == 0;
        sum.unfinished += strcmp(status, "running") == 0;
        sum.ok += strcmp(status, "BRG_OK") == 0;
    }
    for (size_t i = 0; i < slice_count; i++) { /* ends are rounded sums */
        slices[i].start = (double)(int64_t)(slices[i].start * 1000 + 0.5);
        slices[i].end = (double)(int64_t)(slices[i].end * 1000 + 0.5);
    }
    check_nesting(slices, slice_count);
    assert_int_equal(sum.begins, sum.ends);
    free(slices);
    return sum;
}

tracing_summary tracing_check_now(brg_trace *trace)
{
    brg_value *value = tracing_read(trace);
    tracing_summary sum = tracing_check(value);
    brg_value_unref(value);
    return sum;
}
