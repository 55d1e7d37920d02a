/* SPDX-License-Identifier: MIT */
/* What `brigade run` shows: failed lines, the progress line, the summary. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

#define REPORT_BAR 20

void run_name_line(char *text, size_t size, const run_item *item)
{
    if (item->file != NULL)
        snprintf(text, size, "%s:%" PRIu64, item->file, item->line);
    else
        snprintf(text, size, "line %" PRIu64, item->line);
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

/* ", signal 11" where there is one. */
static void report_add(char *text, size_t size, const char *what, long long number, const char *unit)
{
    size_t used = strlen(text);
    if (number != 0)
        snprintf(text + used, size - used, ", %s%lld%s", what, number, unit);
}

void run_report_failure(run_state *run, const run_item *item)
{
    static const brg_error unknown;
    const brg_error *error = item->error != NULL ? item->error : &unknown;
    char line[4200], facts[200];
    run_name_line(line, sizeof(line), item);
    snprintf(facts, sizeof(facts), "%s", brg_status_name(item->status));
    report_add(facts, sizeof(facts), "code ", (long long)error->code, "");
    report_add(facts, sizeof(facts), "signal ", error->signal, "");
    report_add(facts, sizeof(facts), "exit code ", error->exit_code, "");
    report_add(facts, sizeof(facts), "errno ", error->os_errno, "");
    report_add(facts, sizeof(facts), "", item->attempts > 1 ? item->attempts : 0, " attempts");
    bool colour = cli_wants_colour(stderr);
    uv_mutex_lock(&run->lock);
    run_clear_progress(run);
    fprintf(stderr, "%s%s%s: %s (%s)\n", colour ? "\033[31m" : "", line, colour ? "\033[0m" : "",
            error->message[0] != '\0' ? error->message : brg_status_text(item->status), facts);
    uv_mutex_unlock(&run->lock);
}

static void report_put_string(brg_builder *builder, const char *key, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    brg_builder_key(builder, key);
    brg_builder_string(builder, text);
}

static void report_put_number(brg_builder *builder, const char *key, int64_t number)
{
    if (number == 0)
        return;
    brg_builder_key(builder, key);
    brg_builder_int(builder, number);
}

static void report_put_error(brg_builder *builder, const run_item *item)
{
    static const brg_error unknown;
    const brg_error *error = item->error != NULL ? item->error : &unknown;
    brg_builder_map(builder);
    report_put_string(builder, "status", brg_status_name(item->status));
    report_put_string(builder, "message", error->message[0] != '\0' ? error->message : brg_status_text(item->status));
    report_put_string(builder, "domain", error->domain);
    report_put_number(builder, "code", error->code);
    report_put_number(builder, "signal", error->signal);
    report_put_number(builder, "exit_code", error->exit_code);
    report_put_number(builder, "errno", error->os_errno);
    report_put_number(builder, "attempts", item->attempts);
    report_put_string(builder, "backtrace", error->backtrace);
    if (item->detail != NULL) {
        brg_builder_key(builder, "detail");
        brg_builder_view(builder, brg_value_root(item->detail));
    }
    brg_builder_end(builder);
}

brg_status run_error_value(const run_item *item, brg_value **out)
{
    brg_builder *builder = NULL;
    brg_status status = brg_builder_create(&builder, NULL);
    if (status != BRG_OK)
        return status;
    brg_builder_map(builder);
    brg_builder_key(builder, "line");
    brg_builder_uint(builder, item->line);
    report_put_string(builder, "file", item->file);
    brg_builder_key(builder, "error");
    report_put_error(builder, item);
    if (item->input != NULL) {
        brg_builder_key(builder, "input");
        brg_builder_view(builder, brg_value_root(item->input));
    }
    brg_builder_end(builder);
    status = brg_builder_finish(builder, out, NULL);
    brg_builder_destroy(builder);
    return status;
}

/* ---- progress ---------------------------------------------------------------------------------------------------- */

/* "12.3 k" */
static void report_rate(char *text, size_t size, double rate)
{
    if (rate >= 999500)
        snprintf(text, size, "%.2f M", rate / 1e6);
    else if (rate >= 9999.5)
        snprintf(text, size, "%.1f k", rate / 1e3);
    else
        snprintf(text, size, rate < 10 ? "%.1f" : "%.0f", rate);
}

/* How far the files are read; nothing where that says nothing. */
static void report_bar(char text[REPORT_BAR + 4], const run_state *run, int width)
{
    text[0] = '\0';
    if (run->bytes_total == 0 || width < 8)
        return;
    uint64_t read = run->counts.bytes_read < run->bytes_total ? run->counts.bytes_read : run->bytes_total;
    width = width - 2 < REPORT_BAR ? width - 2 : REPORT_BAR;
    memset(text + 1, '.', (size_t)width);
    memset(text + 1, '#', (size_t)((double)read / (double)run->bytes_total * width));
    text[0] = '[';
    memcpy(text + 1 + width, "] ", 3);
}

/* "[###...] 12345 lines, 2 failed, 512 in flight, 41.2 k lines/s". It never wraps: it could not be drawn over. */
void run_draw_progress(run_state *run)
{
    char counts[160], failed[40], rate[24], rest[80], bar[REPORT_BAR + 4];
    uv_mutex_lock(&run->lock);
    const run_counts *now = &run->counts;
    uint64_t settled = now->done + now->failed, elapsed = cli_now_ns() - run->started_ns;
    report_rate(rate, sizeof(rate), elapsed == 0 ? 0 : (double)settled * 1e9 / (double)elapsed);
    snprintf(counts, sizeof(counts), "%" PRIu64 " lines, ", settled);
    snprintf(failed, sizeof(failed), "%" PRIu64 " failed", now->failed);
    snprintf(rest, sizeof(rest), ", %zu in flight, %s lines/s", run->outstanding, rate);
    int room = cli_columns(stderr) - 1 - (int)(strlen(counts) + strlen(failed));
    report_bar(bar, run, room - (int)strlen(rest) - 1);
    bool red = now->failed != 0 && cli_wants_colour(stderr);
    fprintf(stderr, "\r\033[K%s%s%s%s%s%.*s", bar, counts, red ? "\033[31m" : "", failed, red ? "\033[0m" : "",
            room > 0 ? room : 0, rest);
    fflush(stderr);
    run->progress_drawn = true;
    uv_mutex_unlock(&run->lock);
}

/* Under the lock. */
void run_clear_progress(run_state *run)
{
    if (!run->progress_drawn)
        return;
    run->progress_drawn = false;
    fputs("\r\033[K", stderr);
    fflush(stderr);
}

/* ---- summary ----------------------------------------------------------------------------------------------------- */

static double report_seconds(const run_state *run) { return (double)(run->ended_ns - run->started_ns) / 1e9; }

static void report_json(const run_state *run)
{
    const run_counts *counts = &run->counts;
    double seconds = report_seconds(run);
    brg_value *value = NULL;
    char *text = NULL;
    if (brg_value_map(
            &value, NULL, brg_field_int("lines", (int64_t)counts->lines),
            brg_field_int("blank", (int64_t)counts->blank), brg_field_int("done", (int64_t)counts->done),
            brg_field_int("failed", (int64_t)counts->failed), brg_field_int("bad", (int64_t)counts->bad),
            brg_field_int("not_run", (int64_t)counts->not_run), brg_field_int("written", (int64_t)counts->written),
            brg_field_int("retried", (int64_t)counts->retried), brg_field_bool("interrupted", run->interrupts != 0),
            brg_field_double("seconds", seconds),
            brg_field_double("lines_per_second",
                             seconds > 0 ? (double)(counts->done + counts->failed) / seconds : 0)) == BRG_OK &&
        brg_value_to_json(value, BRG_JSON_COMPACT, &text, NULL, NULL) == BRG_OK)
        fprintf(stderr, "%s\n", text);
    brg_free(text);
    brg_value_unref(value);
}

void run_print_summary(const run_state *run)
{
    const run_counts *counts = &run->counts;
    char rate[24];
    double seconds = report_seconds(run);
    if (run->options.summary == RUN_SUMMARY_JSON) {
        report_json(run);
        return;
    }
    fprintf(stderr, "%" PRIu64 " lines: %" PRIu64 " done, %" PRIu64 " failed", counts->lines, counts->done,
            counts->failed);
    if (counts->bad != 0)
        fprintf(stderr, " (%" PRIu64 " of them no input)", counts->bad);
    if (counts->blank != 0)
        fprintf(stderr, ", %" PRIu64 " blank", counts->blank);
    if (counts->not_run != 0)
        fprintf(stderr, ", %" PRIu64 " not run", counts->not_run);
    if (counts->retried != 0)
        fprintf(stderr, ", %" PRIu64 " retries", counts->retried);
    report_rate(rate, sizeof(rate), seconds > 0 ? (double)(counts->done + counts->failed) / seconds : 0);
    fprintf(stderr, "; %" PRIu64 " written%s\n%.2f s, %s lines/s\n", counts->written,
            run->interrupts != 0 ? " (interrupted)" : "", seconds, rate);
}
