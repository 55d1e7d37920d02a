/* SPDX-License-Identifier: MIT */
/* The module of progress_test.c: tasks that say how far they are, or whether they live. */
#include <brigade.h>

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Writes a byte into the FIFO named in the input, or reads one. */
static void meet(const brg_value *input, const char *key, int flags)
{
    char byte = 'x';
    const char *path = brg_view_get_string(brg_value_root(input), key, NULL);
    int fd = path == NULL ? -1 : open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return;
    if ((flags == O_WRONLY ? write(fd, &byte, 1) : read(fd, &byte, 1)) < 0)
        abort();
    close(fd);
}

static brg_status say(brg_context *context, int64_t n, uint64_t timeout_ns, brg_error *error)
{
    brg_value *value = NULL;
    brg_status status = brg_value_map(&value, NULL, brg_field_int("n", n),
                                      brg_field_int("attempt", brg_context_attempt(context)));
    if (status == BRG_OK)
        status = brg_context_progress(context, value, timeout_ns, error);
    if (status != BRG_OK)
        brg_value_unref(value);
    return status;
}

/* {"count", "timeout_ns" (default: for ever)}: says 0 to count - 1, as far as it goes. How far, and why no further. */
static brg_status progress_count(brg_context *context, const brg_value *input, brg_value **output)
{
    brg_view root = brg_value_root(input);
    int64_t count = brg_view_get_int(root, "count", 0), said = 0;
    uint64_t timeout_ns = (uint64_t)brg_view_get_int(root, "timeout_ns", -1);
    brg_status status = BRG_OK;
    brg_error error = {.message = ""};
    meet(input, "reach", O_WRONLY);
    while (said < count && (status = say(context, said, timeout_ns, &error)) == BRG_OK)
        said++;
    if (status == BRG_CANCELLED)
        return brg_context_fail_with(context, status, said, NULL, "cancelled after %d", (int)said);
    return brg_value_map(output, NULL, brg_field_int("said", said), brg_field_int("status", status),
                         brg_field_int("told", error.status));
}

/* Fills the window, tells that it did, and goes on to say more. */
static brg_status progress_overflow(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    int64_t said = 0;
    while (say(context, said, 0, NULL) == BRG_OK)
        said++;
    meet(input, "reach", O_WRONLY);
    brg_status status = say(context, said, BRG_FOREVER, NULL);
    return brg_context_fail_with(context, status, said, NULL, "after %d", (int)said);
}

/* {"count", "how": "abort", "fail" or "exit"}: says so many, and ends badly in its first attempt. */
static brg_status progress_spoil(brg_context *context, const brg_value *input, brg_value **output)
{
    brg_view root = brg_value_root(input);
    const char *how = brg_view_get_string(root, "how", "fail");
    for (int64_t i = 0; i < brg_view_get_int(root, "count", 0); i++) {
        brg_status status = say(context, i, 0, NULL);
        if (status != BRG_OK)
            return brg_context_fail_with(context, BRG_INVALID, i, NULL, "said only %d", (int)i);
    }
    if (brg_context_attempt(context) > 1)
        return brg_value_int(output, 7, NULL);
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "exit") == 0)
        exit(3);
    return brg_context_fail(context, 1, "the first attempt fails");
}

/* {"bytes"}: one value of so many bytes, and a buffer of as many. */
static brg_status progress_big(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    size_t bytes = (size_t)brg_view_get_int(brg_value_root(input), "bytes", 0);
    brg_value *value = NULL;
    char *memory = malloc(bytes);
    if (memory == NULL)
        return BRG_NO_MEMORY;
    for (size_t i = 0; i < bytes; i++)
        memory[i] = (char)(i * 7 + 1);
    brg_status status = brg_value_bytes(&value, memory, bytes, NULL);
    if (status == BRG_OK && (status = brg_context_progress(context, value, BRG_FOREVER, NULL)) != BRG_OK)
        brg_value_unref(value);
    brg_buffer *buffer = NULL;
    if (status == BRG_OK)
        status = brg_buffer_create(&buffer, bytes, NULL);
    if (status == BRG_OK) {
        memcpy(brg_buffer_data(buffer), memory, bytes);
        brg_builder *builder = NULL;
        status = brg_builder_create(&builder, NULL);
        if (status == BRG_OK) {
            brg_builder_buffer(builder, &buffer);
            status = brg_builder_finish(builder, &value, NULL);
            brg_builder_destroy(builder);
        }
    }
    brg_buffer_unref(buffer);
    if (status == BRG_OK && (status = brg_context_progress(context, value, BRG_FOREVER, NULL)) != BRG_OK)
        brg_value_unref(value);
    free(memory);
    return status;
}

/* {"bytes"}: what is refused: the statuses. */
static brg_status progress_refused(brg_context *context, const brg_value *input, brg_value **output)
{
    size_t bytes = (size_t)brg_view_get_int(brg_value_root(input), "bytes", 0);
    char *memory = calloc(1, bytes);
    brg_value *value = NULL;
    if (memory == NULL || brg_value_bytes(&value, memory, bytes, NULL) != BRG_OK)
        return BRG_NO_MEMORY;
    brg_status large = brg_context_progress(context, value, BRG_FOREVER, NULL);
    brg_status none = brg_context_progress(context, NULL, BRG_FOREVER, NULL);
    if (large != BRG_OK)
        brg_value_unref(value);
    free(memory);
    return brg_value_map(output, NULL, brg_field_int("large", large), brg_field_int("none", none));
}

/* Waits until asked to end, and shows no sign of life. */
static brg_status progress_silent(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)input, (void)output;
    struct pollfd asked = {.fd = brg_context_cancel_fd(context), .events = POLLIN};
    while (!brg_context_cancelled(context))
        poll(&asked, 1, -1);
    return BRG_CANCELLED;
}

/* Says one thing, does not listen, and says another once it may go on: if that is refused it says so at "told". Another
 * attempt says that it is there, and waits. */
static brg_status progress_stubborn(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    (void)say(context, 0, BRG_FOREVER, NULL);
    if (brg_context_attempt(context) > 1) {
        meet(input, "reach", O_WRONLY);
        return progress_silent(context, input, output);
    }
    meet(input, "hold", O_RDONLY);
    brg_status status = say(context, 1, BRG_FOREVER, NULL);
    if (status == BRG_CANCELLED)
        meet(input, "told", O_WRONLY);
    return status;
}

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/*
 * {"ms", "how": "beat" or "progress", "since": when it was submitted, "seen": SHARED}: shows signs of life for so long.
 * In `seen` it keeps its longest silence, which is its machine's fault, and when its last sign began.
 */
static brg_status progress_lively(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    brg_view root = brg_value_root(input);
    bool beats = strcmp(brg_view_get_string(root, "how", "beat"), "beat") == 0;
    brg_shared *seen = brg_view_shared(brg_view_get(root, "seen"));
    uint64_t until = now_ns() + (uint64_t)brg_view_get_int(root, "ms", 0) * 1000000;
    uint64_t last = (uint64_t)brg_view_get_int(root, "since", 0), longest = 0;
    struct pollfd asked = {.fd = brg_context_cancel_fd(context), .events = POLLIN};
    while (now_ns() < until && !brg_context_cancelled(context)) {
        uint64_t begin = now_ns();
        if (beats)
            brg_context_heartbeat(context);
        else if (say(context, 0, 0, NULL) != BRG_OK)
            return BRG_FAILED;
        uint64_t end = now_ns();
        longest = end - last > longest ? end - last : longest;
        last = begin;
        brg_shared_store64(seen, 0, longest);
        brg_shared_store64(seen, 8, last);
        poll(&asked, 1, 2);
    }
    return brg_context_cancelled(context) ? BRG_CANCELLED : BRG_OK;
}

static brg_status progress_batch(brg_context *context, brg_batch *batch)
{
    (void)batch;
    return say(context, 0, 0, NULL);
}

static brg_status progress_start(brg_context *context)
{
    return say(context, 0, 0, NULL) == BRG_STATE ? BRG_OK : BRG_FAILED; /* it is no task */
}

BRG_MODULE(progress, .worker_start = progress_start, .batch_tasks = BRG_BATCH_TASKS({"batch", progress_batch}),
           .tasks = BRG_TASKS({"count", progress_count}, {"overflow", progress_overflow}, {"spoil", progress_spoil},
                              {"big", progress_big}, {"refused", progress_refused}, {"stubborn", progress_stubborn},
                              {"silent", progress_silent}, {"lively", progress_lively}));
