/* SPDX-License-Identifier: MIT */
/*
 * The module of flow_values_test.c. "double" makes 2n of a number n, and does what a map says: {"do": ..., "n": ...}.
 * "sum" adds up a list. Each element that began is marked with a byte at the end of the file "log", where there is one.
 */
#include <brigade.h>

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void mark(const char *log, int64_t number)
{
    char line[32];
    int length = snprintf(line, sizeof(line), "%lld\n", (long long)number);
    int fd = open(log, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || write(fd, line, (size_t)length) != length)
        abort();
    close(fd);
}

static brg_status act(brg_context *context, brg_view map, const char *what, int64_t number, brg_value **output)
{
    brg_value *detail = NULL;
    if (strcmp(what, "crash") == 0)
        abort();
    if (strcmp(what, "crash later") == 0) { /* once there is the file "go" */
        while (access(brg_view_get_string(map, "go", "/"), F_OK) != 0)
            sched_yield();
        abort();
    }
    if (strcmp(what, "exit") == 0)
        _exit(3);
    if (strcmp(what, "nothing") == 0)
        return BRG_OK;
    if (strcmp(what, "spin") == 0) {
        while (!brg_context_cancelled(context))
            __asm__ __volatile__("");
        return BRG_CANCELLED;
    }
    if (strcmp(what, "large") == 0) {
        size_t size = (size_t)brg_view_get_int(map, "bytes", 0);
        char *bytes = brg_context_alloc(context, size);
        if (bytes == NULL)
            return BRG_NO_MEMORY;
        return brg_value_bytes(output, bytes, size, NULL);
    }
    if (brg_value_int(&detail, number, NULL) != BRG_OK)
        return BRG_NO_MEMORY;
    return brg_context_fail_with(context, BRG_FAILED, number, detail, "no %lld", (long long)number);
}

static brg_status flow_double(brg_context *context, const brg_value *input, brg_value **output)
{
    brg_view root = input == NULL ? (brg_view){0} : brg_value_root(input);
    const char *what = brg_view_get_string(root, "do", NULL), *log = brg_view_get_string(root, "log", NULL);
    int64_t number = brg_view_get_int(root, "n", 0);
    if (brg_view_type(root) != BRG_TYPE_MAP && brg_view_int(root, &number) != BRG_OK)
        return brg_context_fail(context, 1, "no number");
    if (log != NULL)
        mark(log, number);
    if (what != NULL)
        return act(context, root, what, number, output);
    return brg_value_int(output, 2 * number, NULL);
}

static brg_status flow_sum(brg_context *context, const brg_value *input, brg_value **output)
{
    brg_view list = brg_value_root(input);
    int64_t sum = 0, number;
    if (brg_view_type(list) != BRG_TYPE_LIST)
        return brg_context_fail(context, 2, "no list");
    for (size_t i = 0; i < brg_view_count(list); i++) {
        if (brg_view_int(brg_view_at(list, i), &number) != BRG_OK)
            return brg_context_fail(context, 1, "no number");
        sum += number;
    }
    return brg_value_int(output, sum, NULL);
}

/* Joins texts: the order shows. */
static brg_status flow_join(brg_context *context, const brg_value *input, brg_value **output)
{
    brg_view list = brg_value_root(input);
    size_t room = 1;
    for (size_t i = 0; i < brg_view_count(list); i++)
        room += strlen(brg_view_string(brg_view_at(list, i), NULL));
    char *text = brg_context_alloc(context, room), *at = text;
    if (text == NULL)
        return BRG_NO_MEMORY;
    for (size_t i = 0; i < brg_view_count(list); i++)
        at = stpcpy(at, brg_view_string(brg_view_at(list, i), NULL));
    return brg_value_string(output, text, NULL);
}

static brg_status flow_name(brg_context *context, const brg_value *input, brg_value **output)
{
    char text[32];
    int64_t number;
    if (brg_view_int(brg_value_root(input), &number) != BRG_OK)
        return brg_context_fail(context, 1, "no number");
    snprintf(text, sizeof(text), "%lld,", (long long)number);
    return brg_value_string(output, text, NULL);
}

BRG_MODULE(flow,
           .tasks = BRG_TASKS({"double", flow_double}, {"sum", flow_sum}, {"join", flow_join}, {"name", flow_name}));
