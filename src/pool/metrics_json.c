/* SPDX-License-Identifier: MIT */
/* The lists as tables, and a reading as JSON. */
#include <brigade/builder.h>

#include "pool/metrics_list.h"
#include "pool/metrics_read.h"

/* ---- tables ------------------------------------------------------------------------------------------------------ */

#define LIST_COUNTER true
#define LIST_GAUGE false
#define LIST_IS_DOUBLE(type) _Generic((type)0, double : true, default : false)
#define LIST_ROW(of, field_, type_, kind_, unit_, help_)                                                               \
    {                                                                                                                  \
        .field = #field_, .unit = unit_, .help = help_, .is_counter = LIST_##kind_,                                    \
        .is_double = LIST_IS_DOUBLE(type_), .offset = offsetof(of, field_)                                             \
    }
#define LIST_POOL(field, type, kind, unit, help) LIST_ROW(brg_metrics_of_pool, field, type, kind, unit, help),
#define LIST_WORKER(field, type, kind, unit, help) LIST_ROW(brg_metrics_of_worker, field, type, kind, unit, help),
#define LIST_TASK(field, type, kind, unit, help) LIST_ROW(brg_metrics_of_task, field, type, kind, unit, help),
#define LIST_TIMES(field, type, kind, unit, help) LIST_ROW(brg_metrics_times, field, type, kind, unit, help),

const brg__metric brg__metrics_of_pool[] = {BRG_METRICS_POOL_MAP(LIST_POOL){.field = NULL}};
const brg__metric brg__metrics_of_worker[] = {BRG_METRICS_WORKER_MAP(LIST_WORKER){.field = NULL}};
const brg__metric brg__metrics_of_task[] = {BRG_METRICS_TASK_MAP(LIST_TASK){.field = NULL}};
const brg__metric brg__metrics_of_times[] = {BRG_METRICS_TIMES_MAP(LIST_TIMES){.field = NULL}};

uint64_t brg__metric_u64(const brg__metric *metric, const void *of)
{
    return *(const uint64_t *)(const void *)((const char *)of + metric->offset);
}

double brg__metric_double(const brg__metric *metric, const void *of)
{
    return *(const double *)(const void *)((const char *)of + metric->offset);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* The fields of a list, into the map that is open. */
static void json_fields(brg_builder *builder, const brg__metric *list, const void *of)
{
    for (const brg__metric *metric = list; metric->field != NULL; metric++) {
        brg_builder_key(builder, metric->field);
        if (metric->is_double)
            brg_builder_double(builder, brg__metric_double(metric, of));
        else
            brg_builder_uint(builder, brg__metric_u64(metric, of));
    }
}

static void json_text(brg_builder *builder, const char *key, const char *text)
{
    brg_builder_key(builder, key);
    brg_builder_string(builder, text);
}

static void json_number(brg_builder *builder, const char *key, uint64_t number)
{
    brg_builder_key(builder, key);
    brg_builder_uint(builder, number);
}

static void json_times(brg_builder *builder, const char *key, const brg_metrics_times *times)
{
    brg_builder_key(builder, key);
    brg_builder_map(builder);
    json_fields(builder, brg__metrics_of_times, times);
    brg_builder_end(builder);
}

static void json_pool(brg_builder *builder, const brg_metrics_of_pool *pool)
{
    brg_builder_key(builder, "pool");
    brg_builder_map(builder);
    json_text(builder, "name", pool->name);
    json_text(builder, "isolation", pool->isolation == BRG_ISOLATION_PROCESS ? "process" : "thread");
    json_fields(builder, brg__metrics_of_pool, pool);
    json_times(builder, "wait", &pool->wait);
    json_times(builder, "run", &pool->run);
    json_times(builder, "wait_recent", &pool->wait_recent);
    json_times(builder, "run_recent", &pool->run_recent);
    brg_builder_end(builder);
}

static void json_worker(brg_builder *builder, const brg_metrics_of_worker *worker)
{
    brg_builder_map(builder);
    json_number(builder, "id", worker->id);
    json_number(builder, "index", worker->index);
    json_number(builder, "starts", worker->starts);
    json_text(builder, "name", worker->name);
    json_text(builder, "state", brg_metrics_state_name(worker->state));
    json_text(builder, "task", worker->task);
    json_number(builder, "process_id", (uint64_t)worker->process_id);
    json_fields(builder, brg__metrics_of_worker, worker);
    brg_builder_end(builder);
}

static void json_task(brg_builder *builder, const brg_metrics_of_task *task)
{
    brg_builder_map(builder);
    json_text(builder, "name", task->name);
    json_fields(builder, brg__metrics_of_task, task);
    json_times(builder, "run", &task->run);
    brg_builder_end(builder);
}

brg_status brg_metrics_json(const brg_metrics *metrics, brg_json_flags flags, char **text, size_t *size_bytes,
                            brg_error *error)
{
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    if (metrics == NULL || text == NULL || (flags & ~BRG_JSON_INDENT) != 0)
        return brg_error_set(error, BRG_INVALID, "pool", "metrics and text must not be NULL, flags are 0 or INDENT");
    brg_status status = brg_builder_create(&builder, error);
    if (status != BRG_OK)
        return status;
    brg_builder_map(builder);
    json_pool(builder, &metrics->pool);
    brg_builder_key(builder, "workers");
    brg_builder_list(builder);
    for (size_t i = 0; i < metrics->worker_count; i++)
        json_worker(builder, &metrics->workers[i]);
    brg_builder_end(builder);
    brg_builder_key(builder, "tasks");
    brg_builder_list(builder);
    for (size_t i = 0; i < metrics->task_count; i++)
        json_task(builder, &metrics->tasks[i].seen);
    brg_builder_end(builder);
    brg_builder_end(builder);
    status = brg_builder_finish(builder, &value, error);
    brg_builder_destroy(builder);
    if (status == BRG_OK)
        status = brg_value_to_json(value, flags, text, size_bytes, error);
    brg_value_unref(value);
    return status;
}
