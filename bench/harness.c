/* SPDX-License-Identifier: MIT */
#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HARNESS_EXIT_MISSING 77

int bench_main(const bench_command *commands, int argc, char **argv)
{
    for (const bench_command *command = commands; command->name != NULL; command++) {
        if (argc > 1 && strcmp(command->name, argv[1]) == 0) {
            command->run(argc - 2, argv + 2);
            return EXIT_SUCCESS;
        }
    }
    fprintf(stderr, "usage: %s SUBCOMMAND [ARGUMENTS], one of:", argv[0]);
    for (const bench_command *command = commands; command->name != NULL; command++)
        fprintf(stderr, " %s", command->name);
    fputc('\n', stderr);
    return EXIT_FAILURE;
}

const char *bench_argument(int argc, char **argv, int index, const char *what)
{
    if (index >= argc)
        bench_fail("missing argument: %s", what);
    return argv[index];
}

uint64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void bench_print(const char *key, double value)
{
    printf("%s %.6g\n", key, value);
    fflush(stdout);
}

static void harness_end(int status, const char *format, va_list arguments)
    __attribute__((noreturn, format(printf, 2, 0)));

static void harness_end(int status, const char *format, va_list arguments)
{
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(status);
}

void bench_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    harness_end(EXIT_FAILURE, format, arguments);
}

void bench_missing(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    harness_end(HARNESS_EXIT_MISSING, format, arguments);
}

void *bench_alloc(size_t size_bytes)
{
    void *memory = malloc(size_bytes);
    if (memory == NULL)
        bench_fail("out of memory: %zu bytes", size_bytes);
    /* Not calloc, nor what the compiler would make one of: its fresh pages would fault while the clock runs. */
    __asm__ volatile("" : "+r"(memory));
    return memset(memory, 0, size_bytes);
}

void bench_samples_open(bench_samples *samples, uint64_t window_ns)
{
    if (samples->ns == NULL)
        samples->ns = bench_alloc(BENCH_SAMPLES_MAX * sizeof(*samples->ns));
    samples->count = 0;
    samples->end_ns = bench_now_ns() + window_ns;
}

bool bench_samples_wanted(const bench_samples *samples, uint64_t now_ns)
{
    return samples->count < BENCH_SAMPLES_MAX && now_ns < samples->end_ns;
}

void bench_samples_add(bench_samples *samples, uint64_t ns) { samples->ns[samples->count++] = ns; }

static int harness_compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

double bench_samples_close_us(bench_samples *samples)
{
    if (samples->count == 0)
        bench_fail("no sample was taken");
    qsort(samples->ns, samples->count, sizeof(*samples->ns), harness_compare);
    double median = (double)samples->ns[samples->count / 2] / 1e3;
    free(samples->ns);
    samples->ns = NULL;
    return median;
}

static void harness_rounds(bench_samples *samples, uint64_t window_ns, void (*round)(void *state), void *state)
{
    bench_samples_open(samples, window_ns);
    uint64_t before_ns = bench_now_ns();
    while (bench_samples_wanted(samples, before_ns)) {
        round(state);
        uint64_t after_ns = bench_now_ns();
        bench_samples_add(samples, after_ns - before_ns);
        before_ns = after_ns;
    }
}

void bench_round_trips(const char *key, void (*round)(void *state), void *state)
{
    bench_samples samples = {NULL, 0, 0};
    harness_rounds(&samples, BENCH_WINDOW_NS / 10, round, state);
    harness_rounds(&samples, BENCH_WINDOW_NS, round, state);
    bench_print(key, bench_samples_close_us(&samples));
}

double bench_resident_kb(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long total_pages = 0;
    long resident_pages = 0;
    if (file == NULL || fscanf(file, "%ld %ld", &total_pages, &resident_pages) != 2)
        bench_fail("cannot read the size of this process");
    fclose(file);
    return (double)resident_pages * (double)sysconf(_SC_PAGESIZE) / 1024.0;
}

double bench_proportional_kb(int64_t process_id)
{
    char path[64];
    char line[256];
    double kilobytes = -1;
    snprintf(path, sizeof(path), "/proc/%lld/smaps_rollup", (long long)process_id);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return -1;
    while (kilobytes < 0 && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "Pss:", 4) == 0)
            kilobytes = strtod(line + 4, NULL);
    }
    fclose(file);
    return kilobytes;
}

void bench_flow_open(bench_flow *flow)
{
    memset(flow, 0, sizeof(*flow));
    flow->warm_end_ns = bench_now_ns() + BENCH_WINDOW_NS / 10;
}

bool bench_flow_next(bench_flow *flow, uint64_t stride)
{
    if (flow->over)
        return false;
    flow->finished++;
    if (flow->until_check-- > 0)
        return true;
    flow->until_check = stride - 1;
    uint64_t now_ns = bench_now_ns();
    if (flow->start_ns == 0 && now_ns >= flow->warm_end_ns) {
        flow->start_ns = now_ns;
        flow->finished = 0;
        flow->end_ns = now_ns + BENCH_WINDOW_NS;
    } else if (flow->start_ns != 0 && now_ns >= flow->end_ns) {
        flow->end_ns = now_ns;
        flow->over = true;
    }
    return !flow->over;
}

void bench_flow_print(const bench_flow *flow, const char *key)
{
    if (!flow->over)
        bench_fail("the work ended before its time");
    bench_print(key, (double)flow->finished * 1e9 / (double)(flow->end_ns - flow->start_ns));
}
