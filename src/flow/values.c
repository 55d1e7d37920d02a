/* SPDX-License-Identifier: MIT */
/* Tasks of a module over the elements of a list. Thread workers sweep over it; for processes see relay.c. */
#include <string.h>

#include "flow/relay.h"
#include "flow/results.h"
#include "flow/sweep.h"
#include "message/object.h"
#include "os/memory.h"

#define VALUES_RULES (1u << BRG_FLOW_STOP | 1u << BRG_FLOW_GO_ON | 1u << BRG_FLOW_SKIP | 1u << BRG_FLOW_COLLECT)
#define VALUES_GROUP 32 /* results that go into a reduce at a time */

/* ---- thread workers ---------------------------------------------------------------------------------------------- */

typedef struct values_work {
    brg__sweep_work work;
    char name[BRG_TASK_NAME_MAX + 1];
    brg_value *items;
    brg_flow_errors errors;
    brg__results results;
} values_work;

static void values_free(brg__sweep_work *work)
{
    values_work *values = brg__container_of(work, values_work, work);
    brg__results_done(&values->results);
    brg_value_unref(values->items);
    brg__mfree(values);
}

static void values_failed(void *argument, uint64_t index, const brg_error *error)
{
    values_work *values = argument;
    brg__sweep_fail(values->work.sweep, index, error->status, error);
}

static void values_run(brg__sweep_work *work, brg_context *context, uint64_t first, uint64_t end, uint32_t strand)
{
    values_work *values = brg__container_of(work, values_work, work);
    brg__answer answer = {.first = first,
                          .end = end,
                          .stops = values->errors == BRG_FLOW_STOP,
                          .failed = values_failed,
                          .argument = values};
    brg_error why;
    (void)strand;
    memset(&why, 0, sizeof(why));
    brg_status status = brg__strand_run_each(context, values->name, answer.stops, brg_value_root(values->items),
                                             (size_t)first, (size_t)end, &answer.value);
    if (status != BRG_OK)
        status = brg__strand_conclude(context, status, &why);
    else if ((status = brg__results_take(&values->results, &answer)) != BRG_OK)
        brg_error_set(&why, status, "flow", "%s", brg_status_text(status));
    else if (answer.was_stopped) /* no rule excuses what never began */
        status = brg_error_set(&why, BRG_CANCELLED, "flow", "a worker of it was asked to end");
    if (status != BRG_OK)
        brg__sweep_stop(work->sweep, first, status, &why);
}

static brg_status values_finish(brg__sweep_work *work, brg_status status, brg_value **output, brg_error *error)
{
    values_work *values = brg__container_of(work, values_work, work);
    return status != BRG_OK ? status : brg__results_list(&values->results, values->errors, output, error);
}

static brg_status values_run_threads(brg_pool *pool, const char *name, const brg_value *items,
                                     const brg_flow_options *options, brg_value **out, brg_error *error)
{
    uint64_t count = brg_view_count(brg_value_root(items));
    values_work *values = brg__calloc(1, sizeof(*values));
    if (values == NULL)
        return brg__error_memory(error, "a flow");
    values->work.run = values_run;
    values->work.finish = values_finish;
    values->work.free = values_free;
    memcpy(values->name, name, strlen(name) + 1);
    values->work.name = values->name;
    values->items = brg_value_ref(items);
    values->errors = options->errors;
    if (brg__results_init(&values->results, count) != BRG_OK) {
        values_free(&values->work);
        return brg__error_memory(error, "results");
    }
    return brg__sweep_run(pool, count, &values->work, options, out, error);
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static brg_status values_check_name(const brg_pool *pool, const char *name, brg_error *error)
{
    if (name == NULL || name[0] == '\0' || strlen(name) > BRG_TASK_NAME_MAX)
        return brg_error_set(error, BRG_INVALID, "flow", "a task name has 1 to %d bytes", BRG_TASK_NAME_MAX);
    if (name[0] > 0 && name[0] < ' ')
        return brg_error_set(error, BRG_INVALID, "flow", "a task name begins with no control character");
    if (!brg__strand_has_module(pool))
        return brg_error_set(error, BRG_INVALID, "flow",
                             "this pool has no module, so no task named \"%s\": use brg_map", name);
    return BRG_OK;
}

static brg_status values_check_items(const brg_value *items, brg_error *error)
{
    if (items == NULL)
        return brg_error_set(error, BRG_INVALID, "flow", "items must not be NULL");
    if (brg_view_type(brg_value_root(items)) != BRG_TYPE_LIST)
        return brg_error_set(error, BRG_WRONG_TYPE, "flow", "items must be a list, not %s",
                             brg_type_name(brg_view_type(brg_value_root(items))));
    if (brg__value_has_movables(items))
        return brg_error_set(error, BRG_UNSUPPORTED, "flow",
                             "elements are copied for each worker: they cannot hold ports or descriptors");
    return BRG_OK;
}

brg_status brg_map_values(brg_pool *pool, const char *name, const brg_value *items, brg_value **out,
                          const brg_flow_options *given, brg_error *error)
{
    brg_flow_options options;
    brg_status status = brg__sweep_read(&options, pool, given, VALUES_RULES, error);
    if (status == BRG_OK)
        status = values_check_name(pool, name, error);
    if (status == BRG_OK)
        status = values_check_items(items, error);
    if (status != BRG_OK)
        return status;
    if ((out == NULL) != (options.done != NULL))
        return brg_error_set(error, BRG_INVALID, "flow",
                             "the list goes either to out or, with done, into its result: set one of them");
    if (brg__strand_has_processes(pool))
        return brg__relay_run(pool, name, items, &options, out, error);
    return values_run_threads(pool, name, items, &options, out, error);
}

/* ---- reduce ------------------------------------------------------------------------------------------------------ */

/* A list of lists, each of neighbours. Always one at least. */
static brg_status values_group(const brg_value *list, brg_value **out, brg_error *error)
{
    brg_builder *builder = NULL;
    brg_view root = brg_value_root(list);
    size_t count = brg_view_count(root), i = 0;
    brg_status status = brg_builder_create(&builder, error);
    if (status != BRG_OK)
        return status;
    brg_builder_list(builder);
    do {
        brg_builder_list(builder);
        for (size_t end = (size_t)brg__min(count, i + VALUES_GROUP); i < end; i++)
            brg_builder_view(builder, brg_view_at(root, i));
        brg_builder_end(builder);
    } while (i < count);
    brg_builder_end(builder);
    status = brg_builder_finish(builder, out, error);
    brg_builder_destroy(builder);
    return status;
}

/* One level: *list is replaced. */
static brg_status values_reduce_level(brg_pool *pool, const char *reduce, brg_value **list,
                                      const brg_flow_options *options, brg_error *error)
{
    brg_value *groups = NULL, *reduced = NULL;
    brg_status status = values_group(*list, &groups, error);
    if (status == BRG_OK)
        status = brg_map_values(pool, reduce, groups, &reduced, options, error);
    brg_value_unref(groups);
    if (status != BRG_OK)
        return status;
    brg_value_unref(*list);
    *list = reduced;
    return BRG_OK;
}

static brg_status values_only(const brg_value *list, brg_value **out, brg_error *error)
{
    brg_builder *builder = NULL;
    brg_status status = brg_builder_create(&builder, error);
    if (status != BRG_OK)
        return status;
    brg_builder_view(builder, brg_view_at(brg_value_root(list), 0));
    status = brg_builder_finish(builder, out, error);
    brg_builder_destroy(builder);
    return status;
}

brg_status brg_map_reduce_values(brg_pool *pool, const char *map, const char *reduce, const brg_value *items,
                                 brg_value **out, const brg_flow_options *given, brg_error *error)
{
    brg_flow_options options;
    brg_value *list = NULL;
    brg_status status = brg__sweep_read(&options, pool, given, VALUES_RULES & ~(1u << BRG_FLOW_COLLECT), error);
    if (status == BRG_OK)
        status = values_check_name(pool, reduce, error);
    if (status != BRG_OK)
        return status;
    if (options.done != NULL || out == NULL)
        return brg_error_set(error, BRG_INVALID, "flow", "this call waits: it takes out, and no done");
    status = brg_map_values(pool, map, items, &list, &options, error);
    options.errors = BRG_FLOW_STOP; /* of a reduce there is nothing to skip */
    options.failures = NULL;
    options.chunk_min = options.chunk_max = 0;
    do {
        if (status == BRG_OK)
            status = values_reduce_level(pool, reduce, &list, &options, error);
    } while (status == BRG_OK && brg_view_count(brg_value_root(list)) > 1);
    if (status == BRG_OK)
        status = values_only(list, out, error);
    brg_value_unref(list);
    return status;
}
