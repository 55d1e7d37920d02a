/* SPDX-License-Identifier: MIT */
/*
 * Metrics as text: the page for Prometheus is read by a parser that takes nothing but the format, 0.0.4, and what good
 * pages keep to; the JSON is read back and compared with the struct, field by field.
 */
#include <ctype.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>

#include "scenario.h"

/* ---- a strict parser --------------------------------------------------------------------------------------------- */

#define NAME_MAX_BYTES 128
#define LABELS_MAX 8
#define SAMPLES_MAX 4096

typedef struct sample {
    char name[NAME_MAX_BYTES], labels[LABELS_MAX][2][NAME_MAX_BYTES];
    int label_count;
    double value;
} sample;

typedef struct page {
    sample *samples;
    int count;
    char families[256][NAME_MAX_BYTES], types[256][16];
    int family_count;
    bool has_type; /* of the last family; its HELP came first */
} page;

static bool is_name_char(char c, bool is_first)
{
    return isalpha((unsigned char)c) || c == '_' || c == ':' || (!is_first && isdigit((unsigned char)c));
}

/* [a-zA-Z_:][a-zA-Z0-9_:]* */
static const char *parse_name(const char *at, char *name)
{
    size_t size = 0;
    while (is_name_char(at[size], size == 0))
        size++;
    assert_true(size > 0 && size < NAME_MAX_BYTES);
    memcpy(name, at, size);
    name[size] = '\0';
    return at + size;
}

static const char *expect_char(const char *at, char c)
{
    if (*at != c)
        fail_msg("'%c' is missing before: %.60s", c, at);
    return at + 1;
}

static const char *parse_label_value(const char *at, char *value)
{
    size_t size = 0;
    at = expect_char(at, '"');
    for (; *at != '"'; at++) {
        assert_true(*at != '\0' && *at != '\n' && size + 1 < NAME_MAX_BYTES);
        if (*at != '\\') {
            value[size++] = *at;
            continue;
        }
        at++;
        assert_true(*at == '\\' || *at == '"' || *at == 'n');
        value[size++] = *at == 'n' ? '\n' : *at;
    }
    value[size] = '\0';
    return at + 1;
}

static const char *parse_labels(const char *at, sample *to)
{
    at = expect_char(at, '{');
    for (;;) {
        assert_true(to->label_count < LABELS_MAX);
        at = parse_name(at, to->labels[to->label_count][0]);
        assert_null(strchr(to->labels[to->label_count][0], ':'));
        at = parse_label_value(expect_char(at, '='), to->labels[to->label_count][1]);
        for (int i = 0; i < to->label_count; i++)
            assert_string_not_equal(to->labels[i][0], to->labels[to->label_count][0]);
        to->label_count++;
        if (*at == '}')
            return at + 1;
        at = expect_char(at, ',');
    }
}

static const char *label(const sample *of, const char *name)
{
    for (int i = 0; i < of->label_count; i++)
        if (strcmp(of->labels[i][0], name) == 0)
            return of->labels[i][1];
    return NULL;
}

static bool same_labels(const sample *a, const sample *b, const char *but)
{
    for (int i = 0; i < a->label_count; i++) {
        const char *other = label(b, a->labels[i][0]);
        if (strcmp(a->labels[i][0], but) != 0 && (other == NULL || strcmp(other, a->labels[i][1]) != 0))
            return false;
    }
    return a->label_count - (label(a, but) != NULL) == b->label_count - (label(b, but) != NULL);
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), wanted = strlen(end);
    return size >= wanted && strcmp(text + size - wanted, end) == 0;
}

/* Whether a sample of this name may stand in the family. */
static bool is_of_family(const char *name, const char *family, const char *type)
{
    size_t size = strlen(family);
    if (strncmp(name, family, size) != 0)
        return false;
    const char *rest = name + size;
    if (strcmp(type, "histogram") == 0)
        return strcmp(rest, "_bucket") == 0 || strcmp(rest, "_sum") == 0 || strcmp(rest, "_count") == 0;
    if (strcmp(type, "summary") == 0)
        return *rest == '\0' || strcmp(rest, "_sum") == 0 || strcmp(rest, "_count") == 0;
    return *rest == '\0';
}

/* HELP, then TYPE, each once, and families never come back. */
static const char *parse_comment(page *to, const char *at)
{
    char name[NAME_MAX_BYTES];
    if (strncmp(at, "# HELP ", 7) == 0) {
        at = parse_name(at + 7, name);
        at = expect_char(at, ' ');
        assert_true(*at != '\n');
        for (int i = 0; i < to->family_count; i++)
            assert_string_not_equal(to->families[i], name);
        assert_true(to->family_count < 256 && (to->family_count == 0 || to->has_type));
        strcpy(to->families[to->family_count++], name);
        to->has_type = false;
        for (; *at != '\n'; at++)
            assert_true(*at != '\0' && (*at != '\\' || at[1] == '\\' || at[1] == 'n'));
        return at + 1;
    }
    assert_memory_equal(at, "# TYPE ", 7);
    at = expect_char(parse_name(at + 7, name), ' ');
    assert_true(to->family_count > 0 && !to->has_type);
    assert_string_equal(name, to->families[to->family_count - 1]);
    char *type = to->types[to->family_count - 1];
    assert_int_equal(sscanf(at, "%15[a-z]", type), 1);
    assert_true(strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0 || strcmp(type, "histogram") == 0 ||
                strcmp(type, "summary") == 0);
    assert_true((strcmp(type, "counter") == 0) == ends_with(name, "_total"));
    to->has_type = true;
    return expect_char(at + strlen(type), '\n');
}

static const char *parse_sample(page *to, const char *at)
{
    assert_true(to->count < SAMPLES_MAX && to->family_count > 0 && to->has_type);
    sample *of = &to->samples[to->count];
    memset(of, 0, sizeof(*of));
    at = parse_labels(parse_name(at, of->name), of);
    const char *family = to->families[to->family_count - 1], *type = to->types[to->family_count - 1];
    if (!is_of_family(of->name, family, type))
        fail_msg("%s stands in %s", of->name, family);
    assert_true((label(of, "le") != NULL) == ends_with(of->name, "_bucket"));
    at = expect_char(at, ' ');
    assert_true(isdigit((unsigned char)*at)); /* ours are all finite and not below zero */
    size_t size = strspn(at, "0123456789.");
    assert_null(memchr(at, ',', size));
    char *end = NULL;
    of->value = strtod(at, &end);
    assert_ptr_equal(end, at + size);
    for (int i = 0; i < to->count; i++)
        assert_false(strcmp(to->samples[i].name, of->name) == 0 && same_labels(&to->samples[i], of, ""));
    to->count++;
    return expect_char(end, '\n');
}

/* Within a histogram the counts grow with the bounds, and the last is the count. */
static void check_histograms(const page *of)
{
    for (int i = 1; i < of->count; i++) {
        const sample *before = &of->samples[i - 1], *now = &of->samples[i];
        if (label(before, "le") == NULL)
            continue;
        if (label(now, "le") != NULL && same_labels(before, now, "le")) {
            assert_true(now->value >= before->value);
            assert_true(strtod(label(now, "le"), NULL) > strtod(label(before, "le"), NULL)); /* +Inf too */
        } else {
            assert_string_equal(label(before, "le"), "+Inf");
            assert_true(of->samples[i + 1].value == before->value && ends_with(of->samples[i + 1].name, "_count"));
        }
    }
}

static page parse(const char *text, size_t size)
{
    page to = {.samples = calloc(SAMPLES_MAX, sizeof(sample))};
    const char *at = text;
    assert_int_equal(strlen(text), size);
    assert_true(size == 0 || text[size - 1] == '\n');
    while (*at != '\0')
        at = *at == '#' ? parse_comment(&to, at) : parse_sample(&to, at);
    check_histograms(&to);
    return to;
}

/* The value of the sample with that label. */
static double value_of(const page *of, const char *name, const char *key, const char *value)
{
    for (int i = 0; i < of->count; i++) {
        const char *found = label(&of->samples[i], key);
        if (strcmp(of->samples[i].name, name) == 0 && found != NULL && strcmp(found, value) == 0)
            return of->samples[i].value;
    }
    fail_msg("no %s{%s=\"%s\"}", name, key, value);
    return 0;
}

/* ---- the page ---------------------------------------------------------------------------------------------------- */

static void run_some(brg_pool *pool, int count)
{
    for (int i = 0; i < count; i++)
        scenario_expect(pool, i % 5 == 0 ? "echo" : "noop", NULL, BRG_OK);
    scenario_expect(pool, "fail", NULL, BRG_FAILED);
    scenario_expect(pool, "so \"it\" is\\", NULL, BRG_NOT_FOUND);
    assert_int_equal(brg_pool_wait_idle(pool, BRG_FOREVER), BRG_OK);
}

#define ODD_NAME "a \"quoted\" \\ name\n\xff!"
#define ODD_NAME_SHOWN "a \"quoted\" \\ name\n?!"

static void a_page_of_two_pools_is_well_formed(void **state)
{
    brg_pool *first = scenario_pool(scenario_isolation(state), brg_pool_opts(.name = "first", .timing = true));
    brg_pool *second = scenario_pool(scenario_isolation(state), brg_pool_opts(.name = ODD_NAME));
    run_some(first, 40);
    run_some(second, 3);
    brg_metrics *metrics[] = {scenario_metrics(first), scenario_metrics(second)};
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(brg_metrics_prometheus((const brg_metrics *const *)metrics, 2, &text, &size, NULL), BRG_OK);
    page shown = parse(text, size);
    const brg_metrics_of_pool *pool = brg_metrics_pool(metrics[0]);
    assert_true(value_of(&shown, "brigade_pool_tasks_submitted_total", "pool", "first") == 42);
    assert_true(value_of(&shown, "brigade_pool_tasks_submitted_total", "pool", ODD_NAME_SHOWN) == 5);
    assert_true(value_of(&shown, "brigade_pool_tasks_failed_total", "pool", "first") == 2);
    assert_true(value_of(&shown, "brigade_pool_run_seconds_count", "pool", "first") == 42);
    assert_true(
        fabs(value_of(&shown, "brigade_pool_run_seconds_sum", "pool", "first") * 1e9 - (double)pool->run.sum_ns) < 0.5);
    assert_true(fabs(value_of(&shown, "brigade_pool_uptime_seconds", "pool", "first") * 1e9 - (double)pool->uptime_ns) <
                1000);
    assert_true(value_of(&shown, "brigade_task_done_total", "task", "noop") == 32);
    assert_true(value_of(&shown, "brigade_task_failed_total", "task", "so \"it\" is\\") == 1);
    if (pool->run_recent.count != 0) /* less than a minute ago */
        assert_true(fabs(value_of(&shown, "brigade_pool_run_recent_seconds", "quantile", "0.5") * 1e9 -
                         (double)pool->run_recent.p50_ns) < 0.5);
    free(shown.samples);
    brg_free(text);
    for (int i = 0; i < 2; i++)
        brg_metrics_free(metrics[i]);
    brg_pool_destroy(first);
    brg_pool_destroy(second);
}

/* The buckets hold what the values say: all run times of a pool with timing, counted again. */
static void buckets_count_what_is_below_their_bounds(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.timing = true));
    uint64_t run[60];
    for (int i = 0; i < 60; i++) {
        brg_task *task = scenario_submit(pool, "noop", NULL, NULL);
        run[i] = scenario_result(task)->run_ns;
        brg_task_unref(task);
    }
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    const brg_metrics *metrics = scenario_metrics(pool);
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(brg_metrics_prometheus(&metrics, 1, &text, &size, NULL), BRG_OK);
    page shown = parse(text, size);
    int buckets = 0;
    for (int i = 0; i < shown.count; i++) {
        const sample *of = &shown.samples[i];
        if (strcmp(of->name, "brigade_pool_run_seconds_bucket") != 0)
            continue;
        double bound = strtod(label(of, "le"), NULL) * 1e9, below = 0;
        for (int j = 0; j < 60; j++)
            below += (double)run[j] < bound - 0.5;
        assert_true(of->value == below);
        buckets++;
    }
    assert_true(buckets > 10);
    free(shown.samples);
    brg_free(text);
    brg_metrics_free((brg_metrics *)metrics);
    brg_pool_destroy(pool);
}

static void pools_of_one_name_are_refused(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.name = "twice", .workers_max = 1));
    brg_metrics *metrics[] = {scenario_metrics(pool), scenario_metrics(pool), NULL};
    brg_error error;
    char *text = NULL;
    assert_int_equal(brg_metrics_prometheus((const brg_metrics *const *)metrics, 2, &text, NULL, &error), BRG_INVALID);
    assert_non_null(strstr(error.message, "\"twice\""));
    assert_int_equal(brg_metrics_prometheus((const brg_metrics *const *)metrics + 1, 2, &text, NULL, &error),
                     BRG_INVALID);
    assert_int_equal(brg_metrics_prometheus(NULL, 1, &text, NULL, &error), BRG_INVALID);
    assert_int_equal(brg_metrics_json(NULL, BRG_JSON_COMPACT, &text, NULL, &error), BRG_INVALID);
    assert_int_equal(brg_metrics_json(metrics[0], BRG_JSON_MANY, &text, NULL, &error), BRG_INVALID);
    assert_null(text);
    brg_metrics_free(metrics[0]);
    brg_metrics_free(metrics[1]);
    brg_pool_destroy(pool);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static void check_u64(brg_view map, const char *key, uint64_t value)
{
    brg_view found = brg_view_get(map, key);
    if (brg_view_type(found) != BRG_TYPE_INT || brg_view_get_int(map, key, -1) != (int64_t)value)
        fail_msg("%s is not %" PRIu64, key, value);
}

static void check_double(brg_view map, const char *key, double value)
{
    assert_true(brg_view_get_double(map, key, -1) == value);
}

#define CHECK_uint64_t check_u64
#define CHECK_double check_double
#define CHECK_FIELD(field, type, kind, unit, help) CHECK_##type(map, #field, of->field);

static void check_times(brg_view map, const brg_metrics_times *of) { BRG_METRICS_TIMES_MAP(CHECK_FIELD) }
static void check_pool(brg_view map, const brg_metrics_of_pool *of)
{
    BRG_METRICS_POOL_MAP(CHECK_FIELD)
    check_times(brg_view_get(map, "wait"), &of->wait);
    check_times(brg_view_get(map, "run"), &of->run);
    check_times(brg_view_get(map, "wait_recent"), &of->wait_recent);
    check_times(brg_view_get(map, "run_recent"), &of->run_recent);
    assert_string_equal(brg_view_get_string(map, "name", ""), of->name);
}
static void check_worker(brg_view map, const brg_metrics_of_worker *of)
{
    BRG_METRICS_WORKER_MAP(CHECK_FIELD)
    check_u64(map, "id", of->id);
    check_u64(map, "process_id", (uint64_t)of->process_id);
    assert_string_equal(brg_view_get_string(map, "state", ""), brg_metrics_state_name(of->state));
}
static void check_task(brg_view map, const brg_metrics_of_task *of)
{
    BRG_METRICS_TASK_MAP(CHECK_FIELD)
    assert_string_equal(brg_view_get_string(map, "name", ""), of->name);
    check_times(brg_view_get(map, "run"), &of->run);
}

static void json_says_what_the_struct_says(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.name = ODD_NAME, .timing = true));
    run_some(pool, 20);
    brg_metrics *metrics = scenario_metrics(pool);
    char *text = NULL;
    size_t size = 0, i = 0;
    brg_value *value = NULL;
    const brg_metrics_of_worker *worker;
    const brg_metrics_of_task *task;
    assert_int_equal(brg_metrics_json(metrics, BRG_JSON_INDENT, &text, &size, NULL), BRG_OK);
    assert_int_equal(brg_value_from_json(&value, text, size, NULL), BRG_OK);
    brg_view root = brg_value_root(value);
    check_pool(brg_view_get(root, "pool"), brg_metrics_pool(metrics));
    brg_view workers = brg_view_get(root, "workers"), tasks = brg_view_get(root, "tasks");
    for (i = 0; (worker = brg_metrics_worker(metrics, i)) != NULL; i++)
        check_worker(brg_view_at(workers, i), worker);
    assert_int_equal(brg_view_count(workers), i);
    assert_true(i > 0);
    for (i = 0; (task = brg_metrics_task(metrics, i)) != NULL; i++)
        check_task(brg_view_at(tasks, i), task);
    assert_int_equal(brg_view_count(tasks), i);
    assert_int_equal(i, 4);
    brg_value_unref(value);
    brg_free(text);
    brg_metrics_free(metrics);
    brg_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(a_page_of_two_pools_is_well_formed),
        SCENARIO_BOTH(buckets_count_what_is_below_their_bounds),
        cmocka_unit_test(pools_of_one_name_are_refused),
        SCENARIO_BOTH(json_says_what_the_struct_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
