/* SPDX-License-Identifier: MIT */
/*
 * The module of the scenario tests: tasks that behave, and tasks that misbehave in every way the fault table names.
 * They meet the test at FIFOs, so that no test sleeps: "reach" writes a byte and goes on, "hold" writes a byte and then
 * reads one.
 */
#include <brigade.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile bool for_ever = true;

static void fifo_write(const char *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, "x", 1) != 1)
            abort();
        close(fd);
    }
}

static void fifo_read(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, &byte, 1) < 0)
            abort();
        close(fd);
    }
}

static void meet(const brg_value *input)
{
    if (input == NULL)
        return;
    brg_view root = brg_value_root(input);
    const char *reach = brg_view_get_string(root, "reach", NULL), *hold = brg_view_get_string(root, "hold", NULL);
    if (reach != NULL)
        fifo_write(reach);
    if (hold != NULL)
        fifo_read(hold);
}

static brg_status scenario_noop(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)output;
    meet(input);
    return BRG_OK;
}

static brg_status scenario_echo(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    *output = input == NULL ? NULL : brg_value_ref(input);
    return BRG_OK;
}

static brg_status scenario_who(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)input;
    return brg_value_map(output, NULL, brg_field_int("pid", getpid()), brg_field_int("ppid", getppid()),
                         brg_field_int("worker", (int64_t)brg_context_worker_id(context)),
                         brg_field_int("attempt", brg_context_attempt(context)),
                         brg_field_int("isolation", brg_context_isolation(context)),
                         brg_field_string("name", brg_context_worker_name(context)));
}

static brg_status scenario_segfault(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)output;
    meet(input);
    volatile uintptr_t nowhere = 8; /* the compiler must not know */
    *(volatile int *)nowhere = 1;
    return BRG_OK;
}

static brg_status scenario_abort(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    (void)output;
    abort();
}

static brg_status scenario_exit(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)output;
    exit((int)brg_view_get_int(brg_value_root(input), "code", 0));
}

__attribute__((noinline)) static int overflow(volatile char *above)
{
    volatile char frame[4096];
    frame[0] = above[0];
    return for_ever ? overflow(frame) + frame[0] : 0;
}

static brg_status scenario_overflow(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    (void)output;
    volatile char start[1] = {1};
    return overflow(start) == 0 ? BRG_OK : BRG_FAILED;
}

/* Takes memory until there is none, then uses what it did not get, as careless code does. */
static brg_status scenario_leak(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    (void)output;
    while (for_ever) {
        char *memory = malloc(1 << 20);
        memset(memory, 1, 1 << 20);
    }
    return BRG_OK;
}

/* The same, but says so. */
static brg_status scenario_leak_politely(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    (void)output;
    void *chain = NULL;
    for (;;) {
        void **memory = malloc(1 << 20);
        if (memory == NULL)
            break;
        memset(memory, 1, 1 << 20);
        *memory = chain;
        chain = memory;
    }
    while (chain != NULL) {
        void *next = *(void **)chain;
        free(chain);
        chain = next;
    }
    return BRG_NO_MEMORY;
}

static brg_status scenario_spin(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)output;
    meet(input);
    while (for_ever)
        __asm__ __volatile__("");
    return BRG_OK;
}

static brg_status scenario_ignore_term(brg_context *context, const brg_value *input, brg_value **output)
{
    signal(SIGTERM, SIG_IGN);
    return scenario_spin(context, input, output);
}

static brg_status scenario_spin_politely(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    meet(input);
    while (!brg_context_cancelled(context))
        __asm__ __volatile__("");
    return brg_context_fail_with(context, BRG_CANCELLED, 7, NULL, "saw the flag");
}

static brg_status scenario_poll_politely(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    struct pollfd poller = {.fd = brg_context_cancel_fd(context), .events = POLLIN};
    if (poller.fd < 0)
        return brg_context_fail(context, 2, "there is no descriptor to wait for");
    meet(input);
    while (!brg_context_cancelled(context))
        if (poll(&poller, 1, -1) < 0 && errno != EINTR)
            return BRG_SYSTEM;
    return BRG_CANCELLED;
}

/* Finishes in spite of being asked to end. */
static brg_status scenario_finish_anyway(brg_context *context, const brg_value *input, brg_value **output)
{
    meet(input);
    while (!brg_context_cancelled(context))
        __asm__ __volatile__("");
    return brg_value_map(output, NULL, brg_field_bool("finished", true));
}

static brg_status scenario_fail(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    (void)input;
    brg_value *detail = NULL;
    if (brg_value_map(&detail, NULL, brg_field_string("page", "seven")) != BRG_OK)
        return BRG_NO_MEMORY;
    return brg_context_fail_with(context, BRG_FAILED, -42, detail, "page %d is upside down", 7);
}

static brg_status scenario_odd_status(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    (void)output;
    return (brg_status)99;
}

/* Succeeds in the attempt that "until" names, and fails, or crashes, before. */
static brg_status scenario_flaky(brg_context *context, const brg_value *input, brg_value **output)
{
    brg_view root = brg_value_root(input);
    if (brg_context_attempt(context) >= brg_view_get_int(root, "until", 2))
        return brg_value_map(output, NULL, brg_field_int("attempt", brg_context_attempt(context)));
    if (brg_view_get_bool(root, "crash", false))
        abort();
    return brg_context_fail(context, 1, "not yet");
}

static brg_status scenario_allocate(brg_context *context, const brg_value *input, brg_value **output)
{
    size_t size = (size_t)brg_view_get_int(brg_value_root(input), "bytes", 0);
    char *memory = brg_context_alloc(context, size);
    if (memory == NULL)
        return BRG_NO_MEMORY;
    for (size_t i = 0; i < size; i++)
        if (memory[i] != 0)
            return brg_context_fail(context, 1, "byte %zu is not zero", i);
    memset(memory, 0xff, size);
    return brg_value_map(output, NULL, brg_field_bool("aligned", (uintptr_t)memory % 16 == 0));
}

static brg_status scenario_big_result(brg_context *context, const brg_value *input, brg_value **output)
{
    size_t size = (size_t)brg_view_get_int(brg_value_root(input), "bytes", 0);
    brg_buffer *buffer = NULL;
    brg_builder *builder = NULL;
    if (brg_buffer_create(&buffer, size, NULL) != BRG_OK)
        return BRG_NO_MEMORY;
    brg_status status = brg_builder_create(&builder, NULL);
    if (status == BRG_OK) {
        brg_builder_buffer(builder, &buffer);
        status = brg_builder_finish(builder, output, &(brg_error){0});
    }
    brg_buffer_unref(buffer);
    brg_builder_destroy(builder);
    (void)context;
    return status;
}

static brg_status scenario_state(brg_context *context, const brg_value *input, brg_value **output)
{
    int *count = brg_context_state(context);
    (void)input;
    const brg_value *init = brg_context_init_data(context);
    return brg_value_map(
        output, NULL, brg_field_int("count", ++*count),
        brg_field_string("greeting",
                         init == NULL ? NULL : brg_view_get_string(brg_value_root(init), "greeting", NULL)));
}

/* Writes garbage over everything the worker shares with its owner, then answers. */
static brg_status scenario_garbage(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)output;
    unsigned seed = (unsigned)brg_view_get_int(brg_value_root(input), "seed", 1);
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        unsigned long from, to;
        if (strstr(line, "memfd:") == NULL || sscanf(line, "%lx-%lx", &from, &to) != 2)
            continue;
        unsigned char *memory = (unsigned char *)from;
        for (size_t i = 0; i < 8192 && i < to - from; i++) { /* rings and their positions */
            seed = seed * 1103515245u + 12345u;
            memory[i] = (unsigned char)(seed >> 16);
        }
    }
    if (maps != NULL)
        fclose(maps);
    return BRG_OK;
}

/* Returns, and hurts its worker afterwards. */
static void *late(void *argument)
{
    (void)argument;
    abort();
}

static brg_status scenario_late(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    (void)output;
    pthread_t thread;
    if (pthread_create(&thread, NULL, late, NULL) != 0)
        return BRG_NO_MEMORY;
    return BRG_OK;
}

static brg_status scenario_files(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    int count = 0;
    while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
        count++;
    int why = errno;
    for (int fd = 3 + count; fd >= 3; fd--)
        if (fcntl(fd, F_GETFD) >= 0 && count > 0) {
            char path[64], target[64] = "";
            snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
            if (readlink(path, target, sizeof(target) - 1) > 0 && strcmp(target, "/dev/null") == 0)
                close(fd);
        }
    return brg_value_map(output, NULL, brg_field_int("opened", count), brg_field_int("errno", why));
}

static brg_status scenario_worker_start(brg_context *context)
{
    const brg_value *init = brg_context_init_data(context);
    const char *start = init == NULL ? "" : brg_view_get_string(brg_value_root(init), "start", "");
    int64_t only = init == NULL ? -1
                                : brg_view_get_int(brg_value_root(init), "only", -1); /* the worker with this index */
    if (only >= 0 && only != brg_context_worker_index(context))
        start = "";
    if (strcmp(start, "fail") == 0)
        return brg_context_fail(context, 3, "the kitchen is closed");
    if (strcmp(start, "exit") == 0)
        exit(9);
    if (strcmp(start, "abort") == 0)
        abort();
    if (strcmp(start, "hang") == 0)
        for (;;)
            pause();
    if (strcmp(start, "meet") == 0) {
        meet(init);
        if (brg_context_cancelled(context))
            return BRG_CANCELLED;
    }
    static _Thread_local int count; /* not from the heap: an abandoned worker does not come to its end */
    count = 0;
    brg_context_set_state(context, &count);
    return BRG_OK;
}

static void scenario_worker_end(brg_context *context)
{
    const brg_value *init = brg_context_init_data(context);
    const char *path = init == NULL ? NULL : brg_view_get_string(brg_value_root(init), "end_fifo", NULL);
    if (path != NULL)
        fifo_write(path);
}

/* Answers who the worker is and what it was given. */
static brg_status message_who(brg_context *context)
{
    const brg_value *init = brg_context_init_data(context);
    brg_value *answer = NULL;
    brg_status status = brg_value_map(
        &answer, NULL, brg_field_int("worker", (int64_t)brg_context_worker_id(context)), brg_field_int("pid", getpid()),
        brg_field_int("isolation", brg_context_isolation(context)),
        brg_field_int("attempt", brg_context_attempt(context)),
        brg_field_string("name", brg_context_worker_name(context)),
        brg_field_string("greeting",
                         init == NULL ? NULL : brg_view_get_string(brg_value_root(init), "greeting", NULL)));
    if (status == BRG_OK && (status = brg_context_post(context, answer, BRG_FOREVER, NULL)) != BRG_OK)
        brg_value_unref(answer);
    return status;
}

/* Messages: {"do": "echo" | "who" | "fail" | "crash" | "exit" | "spin" | "polite" | "many", ...}; without "do" an
 * echo. */
static brg_status scenario_message(brg_context *context, const brg_value *message)
{
    brg_view root = brg_value_root(message);
    const char *what = brg_view_get_string(root, "do", "echo");
    if (strcmp(what, "fail") == 0)
        return brg_context_fail(context, 5, "no such dish");
    if (strcmp(what, "crash") == 0)
        abort();
    if (strcmp(what, "exit") == 0)
        exit((int)brg_view_get_int(root, "code", 0));
    if (strcmp(what, "spin") == 0) {
        meet(message);
        for (;;)
            __asm__ __volatile__("");
    }
    if (strcmp(what, "polite") == 0) {
        meet(message);
        while (!brg_context_cancelled(context))
            __asm__ __volatile__("");
        return BRG_OK;
    }
    if (strcmp(what, "who") == 0)
        return message_who(context);
    if (strcmp(what, "many") == 0) {
        for (int64_t i = 0; i < brg_view_get_int(root, "count", 0); i++) {
            brg_value *value = NULL;
            brg_status status = brg_value_map(&value, NULL, brg_field_int("n", i));
            if (status == BRG_OK && (status = brg_context_post(context, value, BRG_FOREVER, NULL)) != BRG_OK)
                brg_value_unref(value);
            if (status != BRG_OK)
                return status;
        }
        if (brg_view_get_bool(root, "then_exit", false))
            _exit(0);
        return BRG_OK;
    }
    brg_value *copy = brg_value_ref(message);
    brg_status status = brg_context_post(context, copy, BRG_FOREVER, NULL);
    if (status != BRG_OK)
        brg_value_unref(copy);
    return status;
}

BRG_MODULE(scenario,
           .tasks = BRG_TASKS({"noop", scenario_noop}, {"echo", scenario_echo}, {"who", scenario_who},
                              {"segfault", scenario_segfault}, {"abort", scenario_abort}, {"exit", scenario_exit},
                              {"overflow", scenario_overflow}, {"leak", scenario_leak},
                              {"leak_politely", scenario_leak_politely}, {"spin", scenario_spin},
                              {"ignore_term", scenario_ignore_term}, {"spin_politely", scenario_spin_politely},
                              {"poll_politely", scenario_poll_politely}, {"finish_anyway", scenario_finish_anyway},
                              {"fail", scenario_fail}, {"odd_status", scenario_odd_status}, {"flaky", scenario_flaky},
                              {"allocate", scenario_allocate}, {"big_result", scenario_big_result},
                              {"state", scenario_state}, {"garbage", scenario_garbage}, {"late", scenario_late},
                              {"files", scenario_files}),
           .worker_start = scenario_worker_start, .worker_end = scenario_worker_end, .message = scenario_message);
