/* SPDX-License-Identifier: MIT */
/* What `brigade image` shows: the progress line, the summary, the JSON document. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"

#define REPORT_BAR 24
#define REPORT_BAR_LEAST 4 /* below that it says nothing */

static double report_rate(const image_jobs *jobs, uint64_t now_ns)
{
    uint64_t elapsed = now_ns - jobs->started_ns;
    return jobs->done == 0 || elapsed == 0 ? 0 : (double)jobs->done * 1e9 / (double)elapsed;
}

/*
 * "[###...] 12 of 40, 1 failed, 36.0 images/s, 0:01 left". A line that wraps could not be drawn over: the bar gives
 * way first, then the end of the text.
 */
void image_draw_progress(const image_jobs *jobs, bool colour)
{
    uint64_t now = cli_now_ns();
    size_t settled = jobs->done + jobs->failed;
    char left[32] = "", count[64], failed[32], rate[80], bar[REPORT_BAR + 4] = "";
    if (settled != 0 && settled < jobs->count) {
        double seconds = (double)(now - jobs->started_ns) / 1e9 * (double)(jobs->count - settled) / (double)settled;
        snprintf(left, sizeof(left), ", %d:%02d left", (int)seconds / 60, (int)seconds % 60);
    }
    snprintf(count, sizeof(count), "%zu of %zu, ", settled, jobs->count);
    snprintf(failed, sizeof(failed), "%zu failed", jobs->failed);
    snprintf(rate, sizeof(rate), ", %.1f images/s%s", report_rate(jobs, now), left);

    int room = cli_columns(stderr) - 1 - (int)(strlen(count) + strlen(failed));
    int width = room - (int)strlen(rate) - 3;
    if (width > REPORT_BAR)
        width = REPORT_BAR;
    if (width >= REPORT_BAR_LEAST) {
        size_t filled = jobs->count == 0 ? (size_t)width : settled * (size_t)width / jobs->count;
        memset(bar + 1, '.', (size_t)width);
        memset(bar + 1, '#', filled);
        bar[0] = '[';
        memcpy(bar + 1 + width, "] ", 3);
    }
    const char *red = colour && jobs->failed != 0 ? "\033[31m" : "", *plain = red[0] != '\0' ? "\033[0m" : "";
    fprintf(stderr, "\r\033[K%s%s%s%s%s%.*s", bar, count, red, failed, plain, room > 0 ? room : 0, rate);
    fflush(stderr);
}

void image_clear_progress(void)
{
    fputs("\r\033[K", stderr);
    fflush(stderr);
}

static int report_compare(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
    return (first > second) - (first < second);
}

typedef struct report_sums {
    double p50_ms, p99_ms; /* 0 where nothing succeeded */
    uint64_t bytes_in, bytes_out;
    double seconds;
} report_sums;

static void report_sum(const image_jobs *jobs, report_sums *sums)
{
    memset(sums, 0, sizeof(*sums));
    sums->seconds = (double)(jobs->ended_ns - jobs->started_ns) / 1e9;
    uint64_t *times = malloc((jobs->count + 1) * sizeof(*times));
    size_t count = 0;
    for (size_t i = 0; i < jobs->count; i++) {
        const image_job *job = &jobs->list[i];
        if (!job->settled || job->status != BRG_OK)
            continue;
        sums->bytes_in += job->bytes_in;
        sums->bytes_out += job->bytes_out;
        if (times != NULL)
            times[count++] = job->run_ns;
    }
    if (count != 0) {
        qsort(times, count, sizeof(*times), report_compare);
        /* Nearest rank: of few pictures the p99 is the slowest. */
        size_t p50 = (count - 1) / 2, p99 = (count * 99 + 99) / 100 - 1;
        sums->p50_ms = (double)times[p50] / 1e6;
        sums->p99_ms = (double)times[p99] / 1e6;
    }
    free(times);
}

static void report_failures(const image_jobs *jobs, bool colour)
{
    for (size_t i = 0; i < jobs->count; i++) {
        const image_job *job = &jobs->list[i];
        if (!job->settled || job->status == BRG_OK)
            continue;
        /* The module's messages name the file already. */
        const char *error = job->error != NULL ? job->error : brg_status_text(job->status);
        size_t length = strlen(job->input);
        bool named = strncmp(error, job->input, length) == 0 && error[length] == ':';
        fprintf(stderr, "%sfailed%s  %s%s%s\n", colour ? "\033[31m" : "", colour ? "\033[0m" : "",
                named ? "" : job->input, named ? "" : ": ", error);
    }
}

void image_print_summary(const image_jobs *jobs, const image_options *options, bool interrupted)
{
    report_failures(jobs, cli_wants_colour(stderr));
    if (options->quiet)
        return;
    report_sums sums;
    char in[32], out[32];
    report_sum(jobs, &sums);
    cli_format_bytes(in, sizeof(in), sums.bytes_in);
    cli_format_bytes(out, sizeof(out), sums.bytes_out);
    size_t open = jobs->count - jobs->done - jobs->failed;
    fprintf(stderr, "%zu of %zu pictures done, %zu failed", jobs->done, jobs->count, jobs->failed);
    if (open != 0)
        fprintf(stderr, ", %zu not started", open);
    fprintf(stderr, "%s\n", interrupted ? " (interrupted)" : "");
    if (jobs->done == 0)
        return;
    double saved = sums.bytes_in == 0 ? 0 : 100.0 - 100.0 * (double)sums.bytes_out / (double)sums.bytes_in;
    fprintf(stderr, "%.2f s, %.1f images/s, each %.1f ms (p50) to %.1f ms (p99); %s became %s, %.0f %% %s\n",
            sums.seconds, report_rate(jobs, jobs->ended_ns), sums.p50_ms, sums.p99_ms, in, out,
            saved < 0 ? -saved : saved, saved < 0 ? "more" : "saved");
}

/* File names are any bytes, JSON is UTF-8: what is none becomes U+FFFD. */
static json_t *report_text(const char *text)
{
    json_t *string = json_string(text);
    char *clean = string != NULL ? NULL : malloc(3 * strlen(text) + 1), *to = clean;
    while (clean != NULL && *text != '\0') {
        size_t left = strlen(text), length = 1;
        json_t *whole = json_stringn(text, 1);
        while (whole == NULL && length < 4 && length < left)
            whole = json_stringn(text, ++length);
        memcpy(to, whole != NULL ? text : "\xef\xbf\xbd", whole != NULL ? length : 3);
        to += whole != NULL ? length : 3;
        text += whole != NULL ? length : 1;
        json_decref(whole);
    }
    if (clean == NULL)
        return string;
    string = json_stringn(clean, (size_t)(to - clean));
    free(clean);
    return string;
}

static json_t *report_job(const image_job *job)
{
    json_t *object = json_object();
    json_object_set_new(object, "input", report_text(job->input));
    if (job->settled && job->status == BRG_OK) {
        json_object_set_new(object, "output", report_text(job->output));
        json_object_set_new(object, "width", json_integer(job->width));
        json_object_set_new(object, "height", json_integer(job->height));
        json_object_set_new(object, "format", json_string(job->format));
        json_object_set_new(object, "bytes_in", json_integer((json_int_t)job->bytes_in));
        json_object_set_new(object, "bytes_out", json_integer((json_int_t)job->bytes_out));
        json_object_set_new(object, "milliseconds", json_real((double)job->run_ns / 1e6));
    } else if (job->settled) {
        json_object_set_new(object, "status", json_string(brg_status_name(job->status)));
        json_object_set_new(object, "error",
                            report_text(job->error != NULL ? job->error : brg_status_text(job->status)));
        if (job->code != 0)
            json_object_set_new(object, "code", json_integer(job->code));
    }
    json_object_set_new(object, "attempts", json_integer(job->attempts));
    json_object_set_new(object, "ok", json_boolean(job->settled && job->status == BRG_OK));
    return object;
}

bool image_print_json(const image_jobs *jobs, bool interrupted)
{
    report_sums sums;
    report_sum(jobs, &sums);
    json_t *root = json_object(), *files = json_array();
    for (size_t i = 0; i < jobs->count; i++)
        json_array_append_new(files, report_job(&jobs->list[i]));
    json_object_set_new(root, "files", files);
    json_object_set_new(root, "count", json_integer((json_int_t)jobs->count));
    json_object_set_new(root, "done", json_integer((json_int_t)jobs->done));
    json_object_set_new(root, "failed", json_integer((json_int_t)jobs->failed));
    json_object_set_new(root, "interrupted", json_boolean(interrupted));
    json_object_set_new(root, "seconds", json_real(sums.seconds));
    json_object_set_new(root, "images_per_second", json_real(report_rate(jobs, jobs->ended_ns)));
    json_object_set_new(root, "p50_milliseconds", json_real(sums.p50_ms));
    json_object_set_new(root, "p99_milliseconds", json_real(sums.p99_ms));
    json_object_set_new(root, "bytes_in", json_integer((json_int_t)sums.bytes_in));
    json_object_set_new(root, "bytes_out", json_integer((json_int_t)sums.bytes_out));
    bool good = root != NULL && json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 &&
                fputc('\n', stdout) != EOF && fflush(stdout) == 0;
    json_decref(root);
    return good;
}
