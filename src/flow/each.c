/* SPDX-License-Identifier: MIT */
/* The same for each index, and for each element of an array. */
#include <string.h>

#include "flow/sweep.h"
#include "os/memory.h"

#define EACH_RULES (1u << BRG_FLOW_STOP | 1u << BRG_FLOW_GO_ON)

typedef struct each_work {
    brg__sweep_work work;
    brg_range_fn body; /* or */
    brg_map_fn map;
    brg_mapping mapping;
    void *state;
} each_work;

static void each_free(brg__sweep_work *work) { brg__mfree(brg__container_of(work, each_work, work)); }

static void each_run_range(brg__sweep_work *work, brg_context *context, uint64_t first, uint64_t end, uint32_t strand)
{
    each_work *each = brg__container_of(work, each_work, work);
    (void)strand;
    brg_error why;
    brg_status status = each->body(context, (size_t)first, (size_t)end, each->state);
    if (BRG__UNLIKELY(status != BRG_OK)) {
        status = brg__strand_conclude(context, status, &why);
        brg__sweep_fail(work->sweep, first, status, &why);
    }
}

/* One that failed; whether those behind it in its chunk run. */
static bool each_failed(each_work *each, brg_context *context, uint64_t index, brg_status status)
{
    brg_error why;
    status = brg__strand_conclude(context, status, &why);
    brg__sweep_fail(each->work.sweep, index, status, &why);
    return !brg__sweep_is_past(each->work.sweep, index + 1);
}

static void each_run_map(brg__sweep_work *work, brg_context *context, uint64_t first, uint64_t end, uint32_t strand)
{
    each_work *each = brg__container_of(work, each_work, work);
    const brg_mapping mapping = each->mapping;
    brg_map_fn map = each->map;
    const char *in = mapping.in == NULL ? NULL : (const char *)mapping.in + first * mapping.in_bytes;
    char *out = mapping.out == NULL ? NULL : (char *)mapping.out + first * mapping.out_bytes;
    (void)strand;
    for (uint64_t i = first; i < end && !brg__sweep_is_past(work->sweep, i); i++) {
        brg_status status = map(context, in, out, each->state);
        if (BRG__UNLIKELY(status != BRG_OK) && !each_failed(each, context, i, status))
            return;
        in += mapping.in_bytes;
        out += mapping.out_bytes;
    }
}

static brg_status each_start(brg_pool *pool, size_t count, const each_work *what, const brg_flow_options *options,
                             brg_error *error)
{
    each_work *each = brg__malloc(sizeof(*each));
    if (each == NULL)
        return brg__error_memory(error, "a flow");
    *each = *what;
    return brg__sweep_run(pool, count, &each->work, options, NULL, error);
}

brg_status brg_parallel_for(brg_pool *pool, size_t count, brg_range_fn body, void *state, const brg_flow_options *given,
                            brg_error *error)
{
    brg_flow_options options;
    brg_status status = brg__sweep_read_arrays(&options, pool, given, EACH_RULES, error);
    if (status != BRG_OK)
        return status;
    if (body == NULL)
        return brg_error_set(error, BRG_INVALID, "flow", "the function must not be NULL");
    const each_work each = {.work = {.run = each_run_range, .free = each_free, .function = (void (*)(void))body},
                            .body = body,
                            .state = state};
    return each_start(pool, count, &each, &options, error);
}

static brg_status each_check_array(const char *name, const void *array, size_t element_bytes, size_t count,
                                   brg_error *error)
{
    if (count != 0 && array == NULL && element_bytes != 0)
        return brg_error_set(error, BRG_INVALID, "flow", "the array %s is NULL, but its elements have %zu bytes", name,
                             element_bytes);
    if (element_bytes != 0 && count > SIZE_MAX / element_bytes)
        return brg_error_set(error, BRG_INVALID, "flow", "no array %s has %zu elements of %zu bytes", name, count,
                             element_bytes);
    return BRG_OK;
}

brg_status brg_map(brg_pool *pool, brg_map_fn fn, const brg_mapping *mapping, void *state,
                   const brg_flow_options *given, brg_error *error)
{
    brg_flow_options options;
    brg_status status = brg__sweep_read_arrays(&options, pool, given, EACH_RULES, error);
    if (status != BRG_OK)
        return status;
    if (fn == NULL || mapping == NULL)
        return brg_error_set(error, BRG_INVALID, "flow", "a function and arrays must be given");
    status = each_check_array("in", mapping->in, mapping->in_bytes, mapping->count, error);
    if (status == BRG_OK)
        status = each_check_array("out", mapping->out, mapping->out_bytes, mapping->count, error);
    if (status != BRG_OK)
        return status;
    const each_work each = {.work = {.run = each_run_map, .free = each_free, .function = (void (*)(void))fn},
                            .map = fn,
                            .mapping = *mapping,
                            .state = state};
    return each_start(pool, mapping->count, &each, &options, error);
}
