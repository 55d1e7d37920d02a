/* SPDX-License-Identifier: MIT */
/* Commands about a worker's world: arguments, environment, streams, limits, its loop, its end. */
#include "module.h"

#include <brigade/uv.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static brg_status world_arguments(conf_call *call)
{
    brg_builder_key(call->answer, "arguments");
    brg_builder_list(call->answer);
    for (size_t i = 0; i < brg_context_argument_count(call->context); i++)
        brg_builder_string(call->answer, brg_context_argument(call->context, i));
    brg_builder_end(call->answer);
    call_add_int(call, "past", brg_context_argument(call->context, brg_context_argument_count(call->context)) != NULL);
    return BRG_OK;
}

/* "c": what getenv(3) says. */
static brg_status world_getenv(conf_call *call)
{
    call_add_string(call, "value", brg_context_getenv(call->context, call_string(call, "name")));
    call_add_string(call, "c", getenv(call_string(call, "name")));
    return BRG_OK;
}

static brg_status world_setenv(conf_call *call)
{
    const char *value = call_string(call, "value");
    return value != NULL ? brg_context_setenv(call->context, call_string(call, "name"), value)
                         : brg_context_unsetenv(call->context, call_string(call, "name"));
}

static brg_status world_environment(conf_call *call)
{
    int64_t count = 0;
    brg_builder_key(call->answer, "all");
    brg_builder_list(call->answer);
    for (const char *const *one = brg_context_environment(call->context); *one != NULL; one++, count++)
        brg_builder_string(call->answer, *one);
    brg_builder_end(call->answer);
    call_add_int(call, "count", count);
    return BRG_OK;
}

static brg_status world_data_get(conf_call *call)
{
    brg_value *value = brg_environment_data_get(call_string(call, "name"));
    if (value != NULL)
        call_add_view(call, "value", brg_value_root(value));
    brg_value_unref(value);
    return value != NULL ? BRG_OK : BRG_NOT_FOUND;
}

static brg_status world_data_set(conf_call *call)
{
    brg_value *value = party_copy(call_get(call, "value"));
    brg_status status = brg_environment_data_set(call_string(call, "name"), value, NULL);
    if (status != BRG_OK)
        brg_value_unref(value);
    return status;
}

/* ---- streams --------------------------------------------------------------------------------------------------- */

/* "text", "times" times, without a flush. */
static brg_status world_write(conf_call *call, FILE *stream)
{
    if (stream == NULL)
        return BRG_NO_MEMORY;
    for (int64_t i = call_int(call, "times", 1); i > 0; i--)
        if (fputs(call_string(call, "text"), stream) < 0)
            return BRG_SYSTEM;
    return BRG_OK;
}

static brg_status world_stdout(conf_call *call) { return world_write(call, brg_context_stdout(call->context)); }
static brg_status world_stderr(conf_call *call) { return world_write(call, brg_context_stderr(call->context)); }

/* Reads stdin up to its end. */
static brg_status world_stdin(conf_call *call)
{
    FILE *stream = brg_context_stdin(call->context);
    if (stream == NULL)
        return BRG_NO_MEMORY;
    char text[256];
    size_t size = fread(text, 1, sizeof(text) - 1, stream);
    text[size] = 0;
    call_add_string(call, "text", text);
    call_add_int(call, "eof", feof(stream) != 0);
    return BRG_OK;
}

/* ---- its end --------------------------------------------------------------------------------------------------- */

static void world_say_first(void *argument) { fputs("first registered\n", brg_context_stdout(argument)); }
static void world_say_second(void *argument) { fputs("second registered\n", brg_context_stdout(argument)); }

static brg_status world_at_exit(conf_call *call)
{
    brg_status status = brg_context_at_exit(call->context, world_say_first, call->context);
    return status == BRG_OK ? brg_context_at_exit(call->context, world_say_second, call->context) : status;
}

/* ---- limits and usage -------------------------------------------------------------------------------------------- */

static brg_status world_arena(conf_call *call)
{
    return brg_context_alloc(call->context, (size_t)call_int(call, "bytes", 0)) != NULL ? BRG_OK : BRG_NO_MEMORY;
}

static brg_status world_limit(conf_call *call)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return BRG_SYSTEM;
    call_add_int(call, "files", (int64_t)limit.rlim_cur);
    return BRG_OK;
}

/* Takes memory until the system says no, at most "bytes". */
static brg_status world_allocate(conf_call *call)
{
    size_t size = (size_t)call_int(call, "bytes", 0);
    char *memory = malloc(size);
    if (memory == NULL)
        return BRG_NO_MEMORY;
    for (size_t i = 0; i < size; i += 4096)
        ((volatile char *)memory)[i] = 1;
    free(memory);
    return BRG_OK;
}

__attribute__((noinline)) static int64_t world_deep(int64_t depth)
{
    volatile char frame[1024];
    frame[0] = (char)depth;
    return depth <= 0 ? frame[0] : world_deep(depth - 1) + frame[0];
}

/* Uses about "bytes" of its stack. */
static brg_status world_stack(conf_call *call)
{
    call_add_int(call, "deep", world_deep(call_int(call, "bytes", 0) / 1024));
    return BRG_OK;
}

/* Computes until its CPU time has grown by "cpu_ms". */
static brg_status world_burn(conf_call *call)
{
    struct timespec now, start;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    int64_t spent = 0;
    while (spent < call_int(call, "cpu_ms", 1) * 1000000) {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        spent = (now.tv_sec - start.tv_sec) * 1000000000 + (now.tv_nsec - start.tv_nsec);
    }
    return BRG_OK;
}

/* ---- its loop -------------------------------------------------------------------------------------------------- */

static void world_tick(uv_timer_t *timer)
{
    party_post(timer->data, party_number("tick", 1));
    uv_close((uv_handle_t *)timer, NULL);
}

/* A timer of its own: {"tick": 1} follows, between messages. */
static brg_status world_timer(conf_call *call)
{
    static uv_timer_t timers[64]; /* static: of one that has not ticked at the end of the worker nobody would be told */
    static uint32_t xcount;
    brg_loop *loop = brg_context_loop(call->context, NULL);
    uint32_t index = __atomic_fetch_add(&xcount, 1, __ATOMIC_RELAXED);
    if (loop == NULL || index >= sizeof(timers) / sizeof(timers[0]))
        return BRG_NO_MEMORY;
    uv_timer_t *timer = &timers[index];
    uv_timer_init(brg_loop_uv(loop), timer);
    timer->data = call->context;
    uv_timer_start(timer, world_tick, 1, 0);
    return BRG_OK;
}

const conf_command party_world_commands[] = {{"arguments", world_arguments},
                                             {"getenv", world_getenv},
                                             {"setenv", world_setenv},
                                             {"environment", world_environment},
                                             {"data_get", world_data_get},
                                             {"data_set", world_data_set},
                                             {"stdout", world_stdout},
                                             {"stderr", world_stderr},
                                             {"stdin", world_stdin},
                                             {"at_exit", world_at_exit},
                                             {"arena", world_arena},
                                             {"limit", world_limit},
                                             {"allocate", world_allocate},
                                             {"stack", world_stack},
                                             {"burn", world_burn},
                                             {"timer", world_timer},
                                             {NULL, NULL}};
