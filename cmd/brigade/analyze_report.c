/* SPDX-License-Identifier: MIT */
/* What `brigade analyze` says beside the result, on standard error: progress, malformed rows, statistics. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analyze.h"

static double report_rate(const analyze_speed *speed, uint64_t now_ns)
{
    return now_ns <= speed->started_ns ? 0 : (double)speed->bytes * 1e9 / (double)(now_ns - speed->started_ns);
}

/* "1.2 GB of 4.5 GB, 27 %, 640 MB/s, 0:05 left". */
void analyze_draw_progress(const analyze_speed *speed)
{
    char bytes[24], total[24], rate[24], part[64] = "", left[32] = "", malformed[48] = "", line[240];
    double per_second = report_rate(speed, cli_now_ns());
    cli_format_bytes(bytes, sizeof(bytes), speed->bytes);
    cli_format_bytes(total, sizeof(total), speed->total);
    cli_format_bytes(rate, sizeof(rate), (uint64_t)per_second);
    if (speed->total != 0)
        snprintf(part, sizeof(part), " of %s, %d %%", total, (int)(100 * (double)speed->bytes / (double)speed->total));
    if (speed->total > speed->bytes && per_second > 0) {
        double seconds = (double)(speed->total - speed->bytes) / per_second;
        snprintf(left, sizeof(left), ", %d:%02d left", (int)seconds / 60, (int)seconds % 60);
    }
    if (speed->malformed != 0)
        snprintf(malformed, sizeof(malformed), ", %" PRIu64 " malformed", speed->malformed);
    snprintf(line, sizeof(line), "%s%s, %s/s%s%s", bytes, part, rate, left, malformed);
    fprintf(stderr, "\r\033[K%.*s", cli_columns(stderr) - 1, line); /* what wraps could not be drawn over */
    fflush(stderr);
}

void analyze_clear_progress(void)
{
    fputs("\r\033[K", stderr);
    fflush(stderr);
}

static void report_why(const result_problem *problem, const analyze_plan *plan, const analyze_header *header)
{
    const analyze_slot *slot = &plan->slots[problem->number < ANALYZE_SLOTS_MAX ? problem->number : 0];
    switch (problem->problem) {
    case PROBLEM_COLUMNS:
        fprintf(stderr, "it has %" PRIu64 " column%s, not %u", problem->number, problem->number == 1 ? "" : "s",
                plan->columns);
        break;
    case PROBLEM_UNCLOSED:
        fputs("a quote is open to the end of the input", stderr);
        break;
    case PROBLEM_AFTER_QUOTE:
        fprintf(stderr, "in column %" PRIu64 " something stands between the closing quote and the delimiter",
                problem->number + 1);
        break;
    case PROBLEM_LONG:
        fprintf(stderr, "it is longer than %" PRIu64 " bytes (--row-max); perhaps a quote is not closed",
                plan->row_max);
        break;
    case PROBLEM_JSON:
        fprintf(stderr, "it is no JSON object, see byte %" PRIu64, problem->number + 1);
        break;
    default:
        fprintf(stderr, "\"%s\" is no number",
                plan->format == ANALYZE_NDJSON ? slot->path : header->names[slot->column]);
    }
}

static void report_excerpt(const result_problem *problem)
{
    for (uint32_t i = 0; i < problem->size; i++) {
        unsigned char byte = (unsigned char)problem->text[i];
        if (byte < 0x20 || byte >= 0x7f)
            fprintf(stderr, "\\x%02x", byte);
        else
            fputc(byte, stderr);
    }
}

void analyze_print_problems(const analyze_result *result, const analyze_header *header, const analyze_source *sources)
{
    for (uint32_t i = 0; i < result->problem_count; i++) {
        const result_problem *problem = &result->problems[i];
        fprintf(stderr, "brigade analyze: %s: line %" PRIu64 ", byte %" PRIu64 ": ", sources[problem->input].name,
                problem->line, problem->offset);
        report_why(problem, result->plan, header);
        fputs(": ", stderr);
        report_excerpt(problem);
        fputc('\n', stderr);
    }
    if (result->malformed != 0)
        fprintf(stderr, "brigade analyze: %" PRIu64 " malformed row%s left out\n", result->malformed,
                result->malformed == 1 ? "" : "s");
}

void analyze_print_stats(const analyze_result *result, const analyze_speed *speed, uint64_t ended_ns)
{
    char bytes[24], rate[24];
    cli_format_bytes(bytes, sizeof(bytes), speed->bytes);
    cli_format_bytes(rate, sizeof(rate), (uint64_t)report_rate(speed, ended_ns));
    fprintf(stderr,
            "brigade analyze: %" PRIu64 " rows, %" PRIu64 " matched, %" PRIu64 " malformed, %s in %.3f s, %s/s\n",
            result->row_count, result->matched, result->malformed, bytes, (double)(ended_ns - speed->started_ns) / 1e9,
            rate);
}
