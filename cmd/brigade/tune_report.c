/* SPDX-License-Identifier: MIT */
/* What `brigade tune` shows: progress, table, plot, picture, JSON. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plot.h"
#include "tune.h"

#define REPORT_ROWS 18
#define REPORT_NOISY 0.05 /* rounds differ by more: it is worth a word */
#define REPORT_GREEN "\033[1;32m"
#define REPORT_PLAIN "\033[0m"

static uint32_t report_workers(const tune_run *run, uint32_t index) { return (uint32_t)run->options.from + index; }

/* The median rate at a count by its index; 0 where nothing was measured. */
static double report_rate(const tune_run *run, uint32_t index)
{
    return search_rate(&run->search, report_workers(run, index));
}

static double report_percentile(const tune_run *run, uint32_t index, double part)
{
    const histogram *times = run->counts[index].times;
    return times == NULL ? 0 : histogram_percentile(times, part);
}

static double report_cpus(const tune_run *run, uint32_t index)
{
    double cpus = run->counts[index].cpus;
    return cpus < 0 ? -1 : cpus / run->search.points[index].rounds;
}

/* How much more the count does than the smallest one measured, counted from one worker. */
static double report_speedup(const tune_run *run, uint32_t index)
{
    for (uint32_t i = 0; i < run->search.count; i++)
        if (report_rate(run, i) > 0)
            return report_rate(run, index) / report_rate(run, i) * report_workers(run, i);
    return 0;
}

static double report_seconds(const tune_run *run) { return (double)(run->ended_ns - run->started_ns) / 1e9; }

static const char *report_isolation(const tune_run *run)
{
    return run->options.pool.pool.isolation == BRG_ISOLATION_PROCESS ? "process" : "thread";
}

/* ---- progress ---------------------------------------------------------------------------------------------------- */

void tune_draw_progress(void *state)
{
    static uint64_t drawn_ns;
    const tune_run *run = state;
    uint64_t now = cli_now_ns();
    uint32_t best = search_best(&run->search);
    char line[200], known[80] = "";
    if (now - drawn_ns < BRG_MILLISECONDS(100) || run->at == 0)
        return;
    drawn_ns = now;
    if (best != 0) {
        char rate[32];
        plot_format(rate, sizeof(rate), search_rate(&run->search, best));
        snprintf(known, sizeof(known), "; best so far: %u (%s tasks/s)", best, rate);
    }
    snprintf(line, sizeof(line), "round %u of at most %u: %u worker%s%s", run->search.used + 1, run->search.budget,
             run->at, run->at == 1 ? "" : "s", known);
    fprintf(stderr, "\r%.*s\033[K", cli_columns(stderr) - 1, line);
    fflush(stderr);
}

void tune_clear_progress(const tune_run *run)
{
    if (run->shows_progress)
        fprintf(stderr, "\r\033[K");
}

/* ---- the charts -------------------------------------------------------------------------------------------------- */

typedef struct report_charts {
    plot_point *memory, *rates, *middle, *slow, guide[2], mark;
    size_t count;
    plot_series rate_series[2], time_series[2];
    plot_chart charts[2];
    char title[256], note[256], label[64], times_label[64];
} report_charts;

static const struct report_unit {
    const char *name;
    double ns;
} report_units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};

/* The unit in which the largest of these times is a handy number. */
static const struct report_unit *report_unit_for(double largest_ns)
{
    size_t unit = 0;
    while (unit < 3 && largest_ns >= 1000 * report_units[unit].ns)
        unit++;
    return &report_units[unit];
}

static void report_fill_points(report_charts *self, const tune_run *run)
{
    double slowest = 0;
    for (uint32_t i = 0; i < run->search.count; i++)
        if (report_percentile(run, i, 0.99) > slowest)
            slowest = report_percentile(run, i, 0.99);
    const struct report_unit *unit = report_unit_for(slowest);
    snprintf(self->times_label, sizeof(self->times_label), "run time of a task, %s", unit->name);
    for (uint32_t i = 0; i < run->search.count; i++) {
        double rate = report_rate(run, i), margin = search_margin(&run->search, report_workers(run, i));
        double x = report_workers(run, i);
        if (run->search.points[i].rounds == 0)
            continue;
        double middle = report_percentile(run, i, 0.5) / unit->ns, slow = report_percentile(run, i, 0.99) / unit->ns;
        self->rates[self->count] = (plot_point){x, rate, rate > margin ? rate - margin : 0, rate + margin};
        self->middle[self->count] = (plot_point){x, middle, middle, middle};
        self->slow[self->count] = (plot_point){x, slow, slow, slow};
        if (report_workers(run, i) == search_best(&run->search))
            self->mark = self->rates[self->count];
        self->count++;
    }
}

static bool report_charts_init(report_charts *self, const tune_run *run)
{
    uint32_t best = search_best(&run->search);
    memset(self, 0, sizeof(*self));
    self->memory = calloc(3 * ((size_t)run->search.count + 1), sizeof(plot_point));
    if (self->memory == NULL)
        return false;
    self->rates = self->memory;
    self->middle = self->rates + run->search.count;
    self->slow = self->middle + run->search.count;
    report_fill_points(self, run);
    double last = self->rates[self->count - 1].x;
    self->guide[0] = self->rates[0];
    self->guide[1] = (plot_point){.x = last, .y = self->rates[0].y * last / self->rates[0].x};
    self->rate_series[0] = (plot_series){"measured", self->rates, self->count, false};
    self->rate_series[1] = (plot_series){"each worker as good as the first", self->guide, 2, true};
    self->time_series[0] = (plot_series){"p50", self->middle, self->count, false};
    self->time_series[1] = (plot_series){"p99", self->slow, self->count, false};
    snprintf(self->title, sizeof(self->title), "%s, task %s: the best number of workers", run->options.module,
             run->options.task);
    snprintf(self->note, sizeof(self->note), "%s workers, %ld CPUs; %s, %u rounds in %.1f s", report_isolation(run),
             sysconf(_SC_NPROCESSORS_ONLN), run->options.sweep ? "all counts" : "by search", run->search.used,
             report_seconds(run));
    snprintf(self->label, sizeof(self->label), "best: %u worker%s", best, best == 1 ? "" : "s");
    self->charts[0] = (plot_chart){.title = self->title,
                                   .note = self->note,
                                   .x_label = "workers",
                                   .y_label = "tasks/s",
                                   .series = self->rate_series,
                                   .series_count = self->count > 1 ? 2 : 1,
                                   .mark = &self->mark,
                                   .mark_label = self->label,
                                   .height = 260};
    self->charts[1] = (plot_chart){.x_label = "workers",
                                   .y_label = self->times_label,
                                   .series = self->time_series,
                                   .series_count = 2,
                                   .height = 110};
    return true;
}

bool tune_write_svg(const tune_run *run)
{
    report_charts charts;
    const char *name = run->options.svg;
    if (!report_charts_init(&charts, run))
        return cli_complain("tune", "out of memory");
    FILE *file = fopen(name, "w");
    bool good = file != NULL && plot_write_lines(file, charts.charts, 2);
    if (file != NULL)
        good = fclose(file) == 0 && good;
    free(charts.memory);
    return good || cli_complain("tune", "--svg %s: %s", name, strerror(errno));
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static void report_time(char *text, size_t size, double ns)
{
    const struct report_unit *unit = report_unit_for(ns);
    double value = ns / unit->ns;
    snprintf(text, size, "%.*f %s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, unit->name);
}

static void report_row(const tune_run *run, uint32_t index, bool colour)
{
    char rate[32], middle[32], slow[32], cpus[16] = "-";
    double speedup = report_speedup(run, index), use = report_cpus(run, index);
    bool best = report_workers(run, index) == search_best(&run->search);
    plot_format(rate, sizeof(rate), report_rate(run, index));
    report_time(middle, sizeof(middle), report_percentile(run, index, 0.5));
    report_time(slow, sizeof(slow), report_percentile(run, index, 0.99));
    if (use >= 0)
        snprintf(cpus, sizeof(cpus), "%.2f", use);
    printf("%s%s %7u %9s %5.1f%% %9s %9s %6s %8.2f %9.0f%% %7u%s\n", colour && best ? REPORT_GREEN : "",
           best ? "*" : " ", report_workers(run, index), rate,
           100 * search_margin(&run->search, report_workers(run, index)) / report_rate(run, index), middle, slow, cpus,
           speedup, 100 * speedup / report_workers(run, index), run->search.points[index].rounds,
           colour && best ? REPORT_PLAIN : "");
}

static void report_conclusion(const tune_run *run, bool interrupted)
{
    uint32_t best = search_best(&run->search);
    char rate[32];
    plot_format(rate, sizeof(rate), search_rate(&run->search, best));
    if (search_wants_more(&run->search) && best < 1024)
        printf("It still gains at %u: try --to %u.\n", best, best < 512 ? 2 * best : 1024);
    if (search_noise(&run->search) > REPORT_NOISY)
        printf("Rounds of the same number differ by %.0f %%: is the machine busy with something else?\n",
               100 * search_noise(&run->search));
    if (run->measure.failed > 0)
        printf("%llu tasks failed and are not counted; the first: %s\n", (unsigned long long)run->measure.failed,
               run->measure.first_error.message);
    printf("%sbest: %u worker%s (%s tasks/s, %.2f times what one does; %u rounds, %.1f s)\n",
           interrupted ? "interrupted; so far the " : "", best, best == 1 ? "" : "s", rate,
           report_speedup(run, best - (uint32_t)run->options.from), run->search.used, report_seconds(run));
    printf("write: .isolation = BRG_ISOLATION_%s, .workers_max = %u; on a command line: --isolation %s --workers %u\n",
           run->options.pool.pool.isolation == BRG_ISOLATION_PROCESS ? "PROCESS" : "THREAD", best,
           report_isolation(run), best);
}

bool tune_print(const tune_run *run, bool interrupted)
{
    const tune_options *options = &run->options;
    bool colour = cli_wants_colour(stdout), terminal = isatty(STDOUT_FILENO);
    printf("%s, task %s: %s workers\n\n", options->module, options->task, report_isolation(run));
    printf("  %7s %9s %6s %9s %9s %6s %8s %10s %7s\n", "workers", "tasks/s", "+-", "p50", "p99", "CPUs", "speed-up",
           "efficiency", "rounds");
    for (uint32_t i = 0; i < run->search.count; i++)
        if (run->search.points[i].rounds > 0)
            report_row(run, i, colour);
    printf("\n");
    if ((terminal || options->plot) && !options->no_plot) {
        report_charts charts;
        if (report_charts_init(&charts, run)) {
            plot_terminal to = {cli_columns(stdout), REPORT_ROWS, plot_has_utf8(), colour};
            plot_print(stdout, &charts.charts[0], &to);
            printf("\n");
            free(charts.memory);
        }
    }
    report_conclusion(run, interrupted);
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* Names come from the command line and may be no UTF-8, which JSON is. */
static json_t *report_json_text(const char *text)
{
    json_t *string = json_string(text);
    return string != NULL ? string : json_string("?");
}

static json_t *report_json_count(const tune_run *run, uint32_t index)
{
    double use = report_cpus(run, index);
    return json_pack(
        "{s:i,s:f,s:f,s:f,s:f,s:f,s:f,s:i,s:I,s:I,s:o}", "workers", (int)report_workers(run, index), "tasks_per_second",
        report_rate(run, index), "margin", search_margin(&run->search, report_workers(run, index)), "p50_milliseconds",
        report_percentile(run, index, 0.5) / 1e6, "p99_milliseconds", report_percentile(run, index, 0.99) / 1e6,
        "speed_up", report_speedup(run, index), "efficiency", report_speedup(run, index) / report_workers(run, index),
        "rounds", (int)run->search.points[index].rounds, "tasks", (json_int_t)run->counts[index].tasks, "failed",
        (json_int_t)run->counts[index].failed, "cpus", use < 0 ? json_null() : json_real(use));
}

bool tune_print_json(const tune_run *run, bool interrupted)
{
    uint32_t best = search_best(&run->search);
    json_t *counts = json_array();
    for (uint32_t i = 0; i < run->search.count; i++)
        if (run->search.points[i].rounds > 0)
            json_array_append_new(counts, report_json_count(run, i));
    json_t *root = json_pack("{s:o,s:o,s:s,s:i,s:f,s:b,s:b,s:b,s:f,s:i,s:f,s:I,s:o}", "module",
                             report_json_text(run->options.module), "task", report_json_text(run->options.task),
                             "isolation", report_isolation(run), "best", (int)best, "tasks_per_second",
                             best == 0 ? 0 : search_rate(&run->search, best), "sweep", run->options.sweep, "wants_more",
                             search_wants_more(&run->search), "interrupted", interrupted, "noise",
                             search_noise(&run->search), "rounds", (int)run->search.used, "seconds",
                             report_seconds(run), "failed", (json_int_t)run->measure.failed, "counts", counts);
    bool good = root != NULL && json_dumpf(root, stdout, JSON_INDENT(2)) == 0;
    json_decref(root);
    return printf("\n") > 0 && fflush(stdout) == 0 && good;
}
