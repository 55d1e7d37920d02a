/* SPDX-License-Identifier: MIT */
/*
 * Readings as a page in the text format of Prometheus, version 0.0.4
 * (prometheus.io/docs/instrumenting/exposition_formats): each family once, with HELP and TYPE, then all of its samples,
 * whichever pool they are of. Numbers are written from integers, so that no locale has a say.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "os/memory.h"
#include "pool/metrics_list.h"
#include "pool/metrics_read.h"

typedef struct page {
    const brg_metrics *const *metrics;
    size_t count;
    char *text;
    size_t size, capacity;
    bool has_failed; /* no memory */
} page;

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* Room for `size` bytes more and a zero. */
static bool page_room(page *to, size_t size)
{
    if (to->has_failed || to->capacity - to->size > size)
        return !to->has_failed;
    size_t capacity = brg__max(to->size + size + 1, brg__max(to->capacity * 2, 4096));
    char *text = brg__realloc(to->text, capacity);
    to->has_failed = text == NULL;
    if (to->has_failed)
        return false;
    to->text = text;
    to->capacity = capacity;
    return true;
}

__attribute__((format(printf, 2, 3))) static void page_print(page *to, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    if (size >= 0 && page_room(to, (size_t)size)) {
        (void)vsnprintf(to->text + to->size, (size_t)size + 1, format, again);
        to->size += (size_t)size;
    }
    va_end(again);
    va_end(arguments);
}

/* With backslashes and newlines escaped; in a label quotes too. */
static void page_escaped(page *to, const char *text, bool is_label)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\' || (is_label && *text == '"'))
            page_print(to, "\\%c", *text);
        else if (*text == '\n')
            page_print(to, "\\n");
        else
            page_print(to, "%c", *text);
    }
}

static void page_label(page *to, const char *name, const char *value)
{
    page_print(to, "%s=\"", name);
    page_escaped(to, value, true);
    page_print(to, "\"");
}

/* `number` / `unit`, a power of ten with `digits` zeros. */
static void page_fraction(page *to, uint64_t number, uint64_t unit, int digits)
{
    page_print(to, "%llu", (unsigned long long)(number / unit));
    char fraction[32];
    (void)snprintf(fraction, sizeof(fraction), "%0*llu", digits, (unsigned long long)(number % unit));
    size_t size = strlen(fraction);
    while (size > 0 && fraction[size - 1] == '0')
        fraction[--size] = '\0';
    if (size != 0)
        page_print(to, ".%s", fraction);
}

static void page_seconds(page *to, uint64_t ns) { page_fraction(to, ns, 1000000000, 9); }

/* ---- names ------------------------------------------------------------------------------------------------------- */

static bool metric_is_ns(const brg__metric *metric) { return strcmp(metric->unit, "ns") == 0; }

/* brigade_GROUP_FIELD with its unit and, for counters, _total. */
static void page_name(page *to, const char *group, const brg__metric *metric)
{
    int size = (int)strlen(metric->field) - (metric_is_ns(metric) ? 3 : 0);
    const char *unit = metric_is_ns(metric) ? "_seconds" : strcmp(metric->unit, "ratio") == 0 ? "_ratio" : "";
    page_print(to, "brigade_%s_%.*s%s%s", group, size, metric->field, unit, metric->is_counter ? "_total" : "");
}

static void page_help(page *to, const char *name, const char *type, const char *help)
{
    page_print(to, "# HELP %s ", name);
    page_escaped(to, help, false);
    page_print(to, "\n# TYPE %s %s\n", name, type);
}

static void page_family(page *to, const char *group, const brg__metric *metric)
{
    page_print(to, "# HELP ");
    page_name(to, group, metric);
    page_print(to, " ");
    page_escaped(to, metric->help, false);
    page_print(to, "\n# TYPE ");
    page_name(to, group, metric);
    page_print(to, " %s\n", metric->is_counter ? "counter" : "gauge");
}

static void page_value(page *to, const brg__metric *metric, const void *of)
{
    if (metric->is_double)
        page_fraction(to, (uint64_t)(brg__metric_double(metric, of) * 1e6 + 0.5), 1000000, 6);
    else if (metric_is_ns(metric))
        page_seconds(to, brg__metric_u64(metric, of));
    else
        page_print(to, "%llu", (unsigned long long)brg__metric_u64(metric, of));
    page_print(to, "\n");
}

static void page_pool_label(page *to, const brg_metrics *metrics)
{
    page_print(to, "{");
    page_label(to, "pool", metrics->pool.name);
}

/* ---- families ---------------------------------------------------------------------------------------------------- */

static void page_pools(page *to)
{
    for (const brg__metric *metric = brg__metrics_of_pool; metric->field != NULL; metric++) {
        page_family(to, "pool", metric);
        for (size_t i = 0; i < to->count; i++) {
            page_name(to, "pool", metric);
            page_pool_label(to, to->metrics[i]);
            page_print(to, "} ");
            page_value(to, metric, &to->metrics[i]->pool);
        }
    }
}

/* Those of a worker begin so; the place and not the id, of which there is another after each restart. */
static void page_worker_labels(page *to, const brg_metrics *metrics, const brg_metrics_of_worker *worker)
{
    page_pool_label(to, metrics);
    page_print(to, ",worker=\"%u\"", worker->index);
}

static void page_worker_states(page *to)
{
    static const char name[] = "brigade_worker_state";
    page_help(to, name, "gauge", "1 for the state the worker is in, 0 for the others.");
    for (size_t i = 0; i < to->count; i++)
        for (size_t j = 0; j < to->metrics[i]->worker_count; j++)
            for (int state = BRG_METRICS_STARTING; state <= BRG_METRICS_ENDING; state++) {
                const brg_metrics_of_worker *worker = &to->metrics[i]->workers[j];
                page_print(to, "%s", name);
                page_worker_labels(to, to->metrics[i], worker);
                page_print(to, ",state=\"%s\"} %d\n", brg_metrics_state_name((brg_metrics_state)state),
                           (int)worker->state == state);
            }
}

static void page_workers(page *to)
{
    for (const brg__metric *metric = brg__metrics_of_worker; metric->field != NULL; metric++) {
        page_family(to, "worker", metric);
        for (size_t i = 0; i < to->count; i++)
            for (size_t j = 0; j < to->metrics[i]->worker_count; j++) {
                page_name(to, "worker", metric);
                page_worker_labels(to, to->metrics[i], &to->metrics[i]->workers[j]);
                page_print(to, "} ");
                page_value(to, metric, &to->metrics[i]->workers[j]);
            }
    }
    page_worker_states(to);
}

static void page_task_labels(page *to, const brg_metrics *metrics, const brg_metrics_of_task *task)
{
    page_pool_label(to, metrics);
    page_print(to, ",");
    page_label(to, "task", task->name);
}

static void page_tasks(page *to)
{
    for (const brg__metric *metric = brg__metrics_of_task; metric->field != NULL; metric++) {
        page_family(to, "task", metric);
        for (size_t i = 0; i < to->count; i++)
            for (size_t j = 0; j < to->metrics[i]->task_count; j++) {
                page_name(to, "task", metric);
                page_task_labels(to, to->metrics[i], &to->metrics[i]->tasks[j].seen);
                page_print(to, "} ");
                page_value(to, metric, &to->metrics[i]->tasks[j].seen);
            }
    }
}

/* ---- times ------------------------------------------------------------------------------------------------------- */

static void page_sum_and_count(page *to, const char *name, const brg_metrics *metrics, const brg_metrics_of_task *task,
                               const brg_metrics_times *times)
{
    for (int is_count = 0; is_count < 2; is_count++) {
        page_print(to, "%s_%s", name, is_count ? "count" : "sum");
        if (task != NULL)
            page_task_labels(to, metrics, task);
        else
            page_pool_label(to, metrics);
        page_print(to, "} ");
        if (is_count)
            page_print(to, "%llu", (unsigned long long)times->count);
        else
            page_seconds(to, times->sum_ns);
        page_print(to, "\n");
    }
}

/* Bounds are powers of 4, which borders of buckets lie on: the counts are exact, for values below the bound. */
#define PAGE_BOUND_FIRST 10 /* about a microsecond */

static void page_histogram(page *to, const char *name, const char *help, int time)
{
    page_help(to, name, "histogram", help);
    for (size_t i = 0; i < to->count; i++) {
        const brg_metrics *metrics = to->metrics[i];
        for (int bits = PAGE_BOUND_FIRST; bits < BRG__HISTOGRAM_BITS; bits += 2) {
            uint64_t bound = UINT64_C(1) << bits;
            page_print(to, "%s_bucket", name);
            page_pool_label(to, metrics);
            page_print(to, ",le=\"");
            page_seconds(to, bound);
            page_print(to, "\"} %llu\n", (unsigned long long)brg__histogram_count_below(&metrics->times[time], bound));
        }
        const brg_metrics_times *times = time == BRG__TIME_WAIT ? &metrics->pool.wait : &metrics->pool.run;
        page_print(to, "%s_bucket", name);
        page_pool_label(to, metrics);
        page_print(to, ",le=\"+Inf\"} %llu\n", (unsigned long long)times->count);
        page_sum_and_count(to, name, metrics, NULL, times);
    }
}

static void page_quantiles(page *to, const char *name, const brg_metrics *metrics, const brg_metrics_of_task *task,
                           const brg_metrics_times *times)
{
    const struct {
        const char *quantile;
        uint64_t ns;
    } rows[] = {{"0.5", times->p50_ns},
                {"0.9", times->p90_ns},
                {"0.99", times->p99_ns},
                {"0.999", times->p999_ns},
                {"1", times->max_ns}};
    for (size_t i = 0; times->count != 0 && i < brg__count_of(rows); i++) {
        page_print(to, "%s", name);
        if (task != NULL)
            page_task_labels(to, metrics, task);
        else
            page_pool_label(to, metrics);
        page_print(to, ",quantile=\"%s\"} ", rows[i].quantile);
        page_seconds(to, rows[i].ns);
        page_print(to, "\n");
    }
}

/* As client libraries have it: the quantiles are of the last minute, sum and count of all. */
static void page_summary(page *to, const char *name, const char *help, int time)
{
    page_help(to, name, "summary", help);
    for (size_t i = 0; i < to->count; i++) {
        const brg_metrics_of_pool *pool = &to->metrics[i]->pool;
        page_quantiles(to, name, to->metrics[i], NULL, time == BRG__TIME_WAIT ? &pool->wait_recent : &pool->run_recent);
        page_sum_and_count(to, name, to->metrics[i], NULL, time == BRG__TIME_WAIT ? &pool->wait : &pool->run);
    }
}

static void page_task_times(page *to)
{
    static const char name[] = "brigade_task_run_seconds";
    page_help(to, name, "summary", "Run times of tasks by name, since the pool was created.");
    for (size_t i = 0; i < to->count; i++)
        for (size_t j = 0; j < to->metrics[i]->task_count; j++) {
            const brg_metrics_of_task *task = &to->metrics[i]->tasks[j].seen;
            page_quantiles(to, name, to->metrics[i], task, &task->run);
            page_sum_and_count(to, name, to->metrics[i], task, &task->run);
        }
}

/* ---- the page ---------------------------------------------------------------------------------------------------- */

static brg_status page_check(const brg_metrics *const *metrics, size_t count, brg_error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (metrics[i] == NULL)
            return brg_error_set(error, BRG_INVALID, "pool", "metrics[%zu] is NULL", i);
        for (size_t j = 0; j < i; j++)
            if (strcmp(metrics[i]->pool.name, metrics[j]->pool.name) == 0)
                return brg_error_set(error, BRG_INVALID, "pool",
                                     "two pools on one page are called \"%.60s\": give each a name of its own",
                                     metrics[i]->pool.name);
    }
    return BRG_OK;
}

brg_status brg_metrics_prometheus(const brg_metrics *const *metrics, size_t count, char **text, size_t *size_bytes,
                                  brg_error *error)
{
    if (text == NULL || (metrics == NULL && count != 0))
        return brg_error_set(error, BRG_INVALID, "pool", "metrics and text must not be NULL");
    brg_status status = page_check(metrics, count, error);
    if (status != BRG_OK)
        return status;
    page to = {.metrics = metrics, .count = count};
    page_pools(&to);
    page_histogram(&to, "brigade_pool_wait_seconds", "From submit to the start of the last attempt.", BRG__TIME_WAIT);
    page_summary(&to, "brigade_pool_wait_recent_seconds", "The same, with the percentiles of the last minute.",
                 BRG__TIME_WAIT);
    page_histogram(&to, "brigade_pool_run_seconds", "The last attempt of tasks.", BRG__TIME_RUN);
    page_summary(&to, "brigade_pool_run_recent_seconds", "The same, with the percentiles of the last minute.",
                 BRG__TIME_RUN);
    page_workers(&to);
    page_tasks(&to);
    page_task_times(&to);
    if (to.has_failed) {
        brg__mfree(to.text);
        return brg__error_memory(error, "a page of metrics");
    }
    *text = to.text;
    if (size_bytes != NULL)
        *size_bytes = to.size;
    return BRG_OK;
}
