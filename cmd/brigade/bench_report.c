/* SPDX-License-Identifier: MIT */
/* What `brigade bench` shows: table, picture, JSON. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "plot.h"

static int report_compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* The median of the field at `offset` of all rounds. */
static double report_median(const bench_result *result, size_t offset)
{
    double sorted[BENCH_ROUNDS_MAX] = {0};
    for (size_t i = 0; i < result->count; i++)
        memcpy(&sorted[i], (const char *)&result->rounds[i] + offset, sizeof(double));
    qsort(sorted, result->count, sizeof(sorted[0]), report_compare);
    return (sorted[(result->count - 1) / 2] + sorted[result->count / 2]) / 2;
}

void bench_take_medians(bench_result *result, size_t class_count)
{
    bench_round *median = &result->median;
    if (result->count == 0)
        return;
    median->makespan = report_median(result, offsetof(bench_round, makespan));
    median->rate = report_median(result, offsetof(bench_round, rate));
    for (size_t i = 0; i < class_count; i++) {
        size_t at = offsetof(bench_round, classes) + i * sizeof(bench_figures);
        median->classes[i] = (bench_figures){.p50_ns = report_median(result, at + offsetof(bench_figures, p50_ns)),
                                             .p99_ns = report_median(result, at + offsetof(bench_figures, p99_ns)),
                                             .p999_ns = report_median(result, at + offsetof(bench_figures, p999_ns)),
                                             .slowdown = report_median(result, at + offsetof(bench_figures, slowdown)),
                                             .tasks = result->rounds[0].classes[i].tasks};
    }
}

static void report_time(char *text, size_t size, double ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    int unit = 0;
    while (unit < 3 && ns >= 999.5) {
        ns /= 1000;
        unit++;
    }
    snprintf(text, size, "%.*f %s", ns < 9.995 ? 2 : ns < 99.95 ? 1 : 0, ns, units[unit]);
}

/* What is the same for all, as "2 process workers; 1468 tasks ...". */
static void report_setting(const bench_all *all, char *text, size_t size)
{
    const bench_options *options = &all->options;
    char load[48] = "all there at the start";
    if (!options->at_once)
        snprintf(load, sizeof(load), "coming at random, load %g", options->load);
    snprintf(text, size, "%s of the work module: %zu tasks, %s, %s; %u workers; medians of %zu round%s", options->task,
             all->load.count, options->mix, load, all->load.workers, all->results[0].count,
             all->results[0].count == 1 ? "" : "s");
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static void report_rows(const bench_all *all, size_t index, int width)
{
    const bench_round *median = &all->results[index].median;
    for (size_t i = 0; i < all->options.class_count; i++) {
        char middle[32], slow[32], slowest[32], rate[32], slowdown[32];
        const bench_figures *figures = &median->classes[i];
        report_time(middle, sizeof(middle), figures->p50_ns);
        report_time(slow, sizeof(slow), figures->p99_ns);
        report_time(slowest, sizeof(slowest), figures->p999_ns);
        plot_format(rate, sizeof(rate), median->rate);
        plot_format(slowdown, sizeof(slowdown), figures->slowdown);
        if (i == 0)
            printf("%-*s %8.3f %8s", width, all->options.choices[index].name, median->makespan, rate);
        else
            printf("%-*s %8s %8s", width, "", "", "");
        printf("  %-8s %9s %9s %9s %9s\n", all->options.classes[i].name, middle, slow, slowest, slowdown);
    }
}

bool bench_print(const bench_all *all)
{
    char setting[256];
    int width = 8;
    report_setting(all, setting, sizeof(setting));
    for (size_t i = 0; i < all->options.choice_count; i++)
        if ((int)strlen(all->options.choices[i].name) > width)
            width = (int)strlen(all->options.choices[i].name);
    printf("%s\n\n%-*s %8s %8s  %-8s %9s %9s %9s %9s\n", setting, width, "policies", "makespan", "tasks/s", "length",
           "wait p50", "p99", "p99.9", "slowdown");
    for (size_t i = 0; i < all->options.choice_count; i++)
        if (all->results[i].count > 0)
            report_rows(all, i, width);
    printf(
        "\nmakespan: over the least that any order could need. slowdown: waiting and running over the length, on the "
        "mean.\n");
    if (all->failed > 0)
        printf("%llu tasks failed and are not counted; the first: %s\n", (unsigned long long)all->failed,
               all->first_error.message);
    if (all->stage.interrupts > 0)
        printf("interrupted; what was measured until then\n");
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

static bool report_write_bars(const bench_all *all, FILE *to, double *values)
{
    const bench_options *options = &all->options;
    const char *rows[BENCH_CHOICES_MAX], *series[BENCH_CLASSES_MAX];
    size_t cells = options->choice_count * options->class_count;
    char setting[256];
    report_setting(all, setting, sizeof(setting));
    for (size_t i = 0; i < options->choice_count; i++) {
        rows[i] = options->choices[i].name;
        for (size_t c = 0; c < options->class_count; c++) {
            const bench_round *median = &all->results[i].median;
            double *cell = values + i * options->class_count + c;
            bool known = all->results[i].count > 0;
            cell[0] = known ? median->makespan : -1;
            cell[cells] = known ? median->classes[c].p50_ns / 1e6 : -1;
            cell[2 * cells] = known ? median->classes[c].p99_ns / 1e6 : -1;
        }
    }
    for (size_t c = 0; c < options->class_count; c++)
        series[c] = options->classes[c].name;
    const plot_panel panels[] = {{"makespan, x ideal", false, true, values},
                                 {"wait p50, ms", true, false, values + cells},
                                 {"wait p99, ms", true, false, values + 2 * cells}};
    const plot_bars bars = {"How long tasks wait, by policy",
                            setting,
                            rows,
                            options->choice_count,
                            series,
                            options->class_count,
                            panels,
                            3};
    return plot_write_bars(to, &bars);
}

bool bench_write_svg(const bench_all *all)
{
    const char *name = all->options.svg;
    double *values = calloc(3 * all->options.choice_count * all->options.class_count, sizeof(*values));
    if (values == NULL)
        return cli_complain("bench", "out of memory");
    FILE *file = fopen(name, "w");
    bool good = file != NULL && report_write_bars(all, file, values);
    if (file != NULL)
        good = fclose(file) == 0 && good;
    free(values);
    return good || cli_complain("bench", "--svg %s: %s", name, strerror(errno));
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static json_t *report_json_choice(const bench_all *all, size_t index)
{
    const bench_choice *choice = &all->options.choices[index];
    const bench_round *median = &all->results[index].median;
    json_t *classes = json_array();
    for (size_t i = 0; i < all->options.class_count; i++) {
        const bench_figures *figures = &median->classes[i];
        json_array_append_new(classes,
                              json_pack("{s:s,s:I,s:f,s:f,s:f,s:f}", "length", all->options.classes[i].name, "tasks",
                                        (json_int_t)figures->tasks, "wait_p50_milliseconds", figures->p50_ns / 1e6,
                                        "wait_p99_milliseconds", figures->p99_ns / 1e6, "wait_p999_milliseconds",
                                        figures->p999_ns / 1e6, "slowdown", figures->slowdown));
    }
    return json_pack("{s:s,s:s,s:s,s:s,s:f,s:f,s:i,s:o}", "queue", choice->queue, "placement", choice->placement,
                     "scaling", choice->scaling, "isolation", choice->isolation, "makespan_over_ideal",
                     median->makespan, "tasks_per_second", median->rate, "rounds", (int)all->results[index].count,
                     "lengths", classes);
}

bool bench_print_json(const bench_all *all)
{
    json_t *choices = json_array();
    for (size_t i = 0; i < all->options.choice_count; i++)
        if (all->results[i].count > 0)
            json_array_append_new(choices, report_json_choice(all, i));
    json_t *root = json_pack("{s:s,s:s,s:I,s:o,s:i,s:I,s:b,s:o}", "mix", all->options.mix, "task", all->options.task,
                             "tasks", (json_int_t)all->load.count, "load",
                             all->options.at_once ? json_null() : json_real(all->options.load), "workers",
                             (int)all->load.workers, "failed", (json_int_t)all->failed, "interrupted",
                             all->stage.interrupts > 0, "policies", choices);
    bool good = root != NULL && json_dumpf(root, stdout, JSON_INDENT(2)) == 0;
    json_decref(root);
    return printf("\n") > 0 && fflush(stdout) == 0 && good;
}
