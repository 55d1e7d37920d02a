/* SPDX-License-Identifier: MIT */
/*
 * The work module: tasks that only use time and memory, to measure pools with and to try policies on. What each takes,
 * always in a map, times as one of ns, us and ms:
 *     spin   {"us": 100}                          computes so long; the work is counted out, see spin.c
 *     sleep  {"ms": 5}                            waits so long, as for a disk or another machine
 *     mix    {"us": 1000, "spin_percent": 50}     computes for a part of it and sleeps for the rest
 *     touch  {"bytes": 1048576, "times": 1}       reads and writes each cache line of memory the worker keeps
 *     hash   {"data": "..."}, or that alone       FNV-1a, 64 bits, of a string, bytes or a buffer
 *     echo   anything                             gives it back
 *     fail   {"message": "...", "code": 7, "times": 1}    fails; with times only in its first attempts
 *     crash  {"signal": 11, "times": 1} or {"exit": 3}    ends its worker process
 */
#include "spin.h"

#include <brigade/module.h>

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define WORK_TIME_MAX_NS UINT64_C(3600000000000) /* an hour */
#define WORK_PIECE_NS 50000                      /* between two looks at the cancel flag */
#define WORK_SHORT_SLEEP_NS 10000000             /* up to this a sleep does not listen */
#define WORK_TOUCH_MAX ((uint64_t)1 << 30)
#define WORK_LINE 64

enum { WORK_BAD_INPUT = 1, WORK_NO_MEMORY };

/* Memory of a worker that `touch` walks over. */
typedef struct work_memory {
    unsigned char *bytes;
    size_t size;
} work_memory;

static brg_view work_root(const brg_value *input)
{
    static const brg_view nothing;
    return input == NULL ? nothing : brg_value_root(input);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static bool work_time(brg_context *context, const brg_value *input, uint64_t *ns)
{
    static const struct {
        const char *key;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        brg_view view = brg_view_get(work_root(input), units[i].key);
        double number = 0;
        if (brg_view_type(view) == BRG_TYPE_NONE)
            continue;
        if (brg_view_double(view, &number) != BRG_OK || !(number >= 0) ||
            number * units[i].ns > (double)WORK_TIME_MAX_NS) {
            brg_context_fail(context, WORK_BAD_INPUT, "\"%s\" must be a number from 0, and at most an hour",
                             units[i].key);
            return false;
        }
        *ns = (uint64_t)(number * units[i].ns);
        return true;
    }
    brg_context_fail(context, WORK_BAD_INPUT, "how long? Give {\"us\": 100}, or \"ns\" or \"ms\"");
    return false;
}

static brg_status work_compute(brg_context *context, uint64_t ns)
{
    volatile uint64_t sink = 0; /* somebody has to want the result */
    uint64_t left = spin_count(ns), piece = spin_count(WORK_PIECE_NS);
    while (left > 0) {
        uint64_t now = left < piece ? left : piece;
        sink ^= spin_steps(now);
        left -= now;
        if (left > 0 && brg_context_cancelled(context))
            return BRG_CANCELLED;
    }
    (void)sink;
    return BRG_OK;
}

static brg_status work_wait(brg_context *context, uint64_t ns)
{
    struct timespec time = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    if (ns <= WORK_SHORT_SLEEP_NS) {
        nanosleep(&time, NULL);
        return BRG_OK;
    }
    struct pollfd ended = {brg_context_cancel_fd(context), POLLIN, 0};
    int count = ppoll(&ended, ended.fd < 0 ? 0 : 1, &time, NULL);
    return count > 0 ? BRG_CANCELLED : BRG_OK;
}

static brg_status work_spin(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    uint64_t ns = 0;
    return work_time(context, input, &ns) ? work_compute(context, ns) : BRG_FAILED;
}

static brg_status work_sleep(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    uint64_t ns = 0;
    return work_time(context, input, &ns) ? work_wait(context, ns) : BRG_FAILED;
}

static brg_status work_mix(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    uint64_t ns = 0;
    double percent = brg_view_get_double(work_root(input), "spin_percent", 50);
    if (!(percent >= 0 && percent <= 100))
        return brg_context_fail(context, WORK_BAD_INPUT, "\"spin_percent\" must be from 0 to 100");
    if (!work_time(context, input, &ns))
        return BRG_FAILED;
    uint64_t computed = (uint64_t)((double)ns * percent / 100);
    brg_status status = work_compute(context, computed);
    return status == BRG_OK && ns > computed ? work_wait(context, ns - computed) : status;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static brg_status work_touch(brg_context *context, const brg_value *input, brg_value **output)
{
    work_memory *memory = brg_context_state(context);
    int64_t bytes = brg_view_get_int(work_root(input), "bytes", 1 << 20);
    int64_t times = brg_view_get_int(work_root(input), "times", 1);
    uint64_t sum = 0;
    if (bytes < 1 || (uint64_t)bytes > WORK_TOUCH_MAX || times < 0)
        return brg_context_fail(context, WORK_BAD_INPUT, "\"bytes\" must be from 1 to 1073741824, \"times\" from 0");
    if ((size_t)bytes > memory->size) {
        unsigned char *more = realloc(memory->bytes, (size_t)bytes);
        if (more == NULL)
            return brg_context_fail(context, WORK_NO_MEMORY, "no memory for %lld bytes", (long long)bytes);
        memory->bytes = more;
        for (size_t i = memory->size; i < (size_t)bytes; i++)
            more[i] = 0;
        memory->size = (size_t)bytes;
    }
    for (int64_t turn = 0; turn < times && !brg_context_cancelled(context); turn++)
        for (size_t i = 0; i < (size_t)bytes; i += WORK_LINE)
            sum += ++memory->bytes[i];
    return brg_value_map(output, NULL, brg_field_int("sum", (int64_t)(sum & INT64_MAX)));
}

static brg_status work_hash(brg_context *context, const brg_value *input, brg_value **output)
{
    brg_view data = work_root(input);
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    char text[20];
    size_t size = 0;
    if (brg_view_type(data) == BRG_TYPE_MAP)
        data = brg_view_get(data, "data");
    brg_buffer *buffer = brg_view_buffer(data);
    const unsigned char *bytes = NULL;
    if (buffer != NULL) {
        bytes = brg_buffer_bytes(buffer);
        size = brg_buffer_size(buffer);
    } else if (brg_view_type(data) == BRG_TYPE_STRING) {
        bytes = (const unsigned char *)brg_view_string(data, &size);
    } else {
        bytes = brg_view_bytes(data, &size);
    }
    if (bytes == NULL && (size > 0 || buffer == NULL))
        return brg_context_fail(context, WORK_BAD_INPUT, "hash takes a string, bytes or a buffer, also as \"data\"");
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    snprintf(text, sizeof(text), "%016llx", (unsigned long long)hash);
    return brg_value_map(output, NULL, brg_field_string("hash", text), brg_field_int("bytes", (int64_t)size));
}

static brg_status work_echo(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    *output = input == NULL ? NULL : brg_value_ref(input);
    return BRG_OK;
}

/* ---- trouble ----------------------------------------------------------------------------------------------------- */

/* Whether this attempt is one of those that go wrong. */
static bool work_is_due(brg_context *context, brg_view root)
{
    return (int64_t)brg_context_attempt(context) <= brg_view_get_int(root, "times", INT64_MAX);
}

static brg_status work_fail(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    brg_view root = work_root(input);
    if (!work_is_due(context, root))
        return BRG_OK;
    return brg_context_fail(context, brg_view_get_int(root, "code", 1), "%s",
                            brg_view_get_string(root, "message", "failed, as it was asked to"));
}

static brg_status work_crash(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    brg_view root = work_root(input);
    if (brg_context_isolation(context) != BRG_ISOLATION_PROCESS)
        return brg_context_fail(context, WORK_BAD_INPUT, "crash ends the whole program here: run it in a process");
    if (!work_is_due(context, root))
        return BRG_OK;
    int64_t code = brg_view_get_int(root, "exit", -1), number = brg_view_get_int(root, "signal", SIGSEGV);
    if (code >= 0)
        _exit((int)(code & 255));
    if (number < 1 || number > 31 || raise((int)number) != 0)
        return brg_context_fail(context, WORK_BAD_INPUT, "\"signal\" must be a number from 1 to 31");
    return BRG_OK;
}

/* ---- hooks ------------------------------------------------------------------------------------------------------- */

static brg_status work_preload(brg_error *error)
{
    (void)error;
    spin_calibrate();
    return BRG_OK;
}

static brg_status work_start(brg_context *context)
{
    work_memory *memory = calloc(1, sizeof(*memory));
    brg_context_set_state(context, memory);
    return memory == NULL ? BRG_NO_MEMORY : BRG_OK;
}

static void work_end(brg_context *context)
{
    work_memory *memory = brg_context_state(context);
    if (memory != NULL)
        free(memory->bytes);
    free(memory);
}

BRG_MODULE(work,
           .tasks = BRG_TASKS({"spin", work_spin}, {"sleep", work_sleep}, {"mix", work_mix}, {"touch", work_touch},
                              {"hash", work_hash}, {"echo", work_echo}, {"fail", work_fail}, {"crash", work_crash}),
           .preload = work_preload, .worker_start = work_start, .worker_end = work_end);
