/* SPDX-License-Identifier: MIT */
/*
 * The module of batch_test.c: "work" takes batches, "plain" is an ordinary task. An input is a map: "do" says what
 * happens to it, "n" comes back doubled, at "reach" and "hold" it meets the test.
 */
#include <brigade.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Says how many there are in its batch. */
static void meet(const brg_value *input, uint32_t count)
{
    char byte = (char)('0' + count % 10);
    const char *reach = brg_view_get_string(brg_value_root(input), "reach", NULL);
    const char *hold = brg_view_get_string(brg_value_root(input), "hold", NULL);
    int fd = reach == NULL ? -1 : open(reach, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, &byte, 1) != 1)
        abort();
    if (fd >= 0)
        close(fd);
    fd = hold == NULL ? -1 : open(hold, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, &byte, 1) < 0)
        abort();
    if (fd >= 0)
        close(fd);
}

static int64_t number_of(const brg_value *input)
{
    return input == NULL ? -1 : brg_view_get_int(brg_value_root(input), "n", -1);
}

static bool says(const brg_value *input, const char *what)
{
    const char *text = input == NULL ? NULL : brg_view_get_string(brg_value_root(input), "do", NULL);
    return text != NULL && strcmp(text, what) == 0;
}

/* Posts its number through the port it was given, and closes that. */
static void post_to_port(brg_batch *batch, uint32_t index)
{
    const brg_value *input = brg_batch_input(batch, index);
    brg_port *port = NULL;
    brg_value *message = NULL;
    brg_status status = brg_view_take_port(brg_view_get(brg_value_root(input), "port"), &port);
    if (status == BRG_OK)
        status = brg_value_int(&message, number_of(input), NULL);
    if (status == BRG_OK)
        status = brg_port_post(port, message, BRG_SECONDS(240), NULL);
    brg_port_destroy(port);
    if (status == BRG_OK)
        brg_batch_succeed(batch, index, NULL);
    else
        brg_batch_fail(batch, index, status, 0, NULL, "the port");
}

static void sum_buffer(brg_batch *batch, uint32_t index)
{
    brg_buffer *buffer = brg_view_buffer(brg_view_get(brg_value_root(brg_batch_input(batch, index)), "buffer"));
    brg_value *output = NULL;
    int64_t sum = 0;
    for (size_t i = 0; buffer != NULL && i < brg_buffer_size(buffer); i++)
        sum += ((const unsigned char *)brg_buffer_bytes(buffer))[i];
    if (brg_value_map(&output, NULL, brg_field_int("sum", sum)) != BRG_OK)
        abort();
    brg_batch_succeed(batch, index, output);
}

static void succeed(brg_context *context, brg_batch *batch, uint32_t index)
{
    brg_value *output = NULL;
    if (brg_value_map(&output, NULL, brg_field_int("n", 2 * number_of(brg_batch_input(batch, index))),
                      brg_field_int("count", brg_batch_count(batch)),
                      brg_field_int("attempt", brg_context_attempt(context))) != BRG_OK)
        abort();
    brg_batch_succeed(batch, index, output);
}

static void work_one(brg_context *context, brg_batch *batch, uint32_t index)
{
    const brg_value *input = brg_batch_input(batch, index);
    if (says(input, "crash"))
        abort();
    if (says(input, "exit"))
        exit(3);
    if (says(input, "fail")) {
        brg_value *detail = NULL;
        brg_value_map(&detail, NULL, brg_field_int("n", number_of(input)));
        brg_batch_succeed(batch, index, NULL); /* the last answer counts */
        brg_batch_fail(batch, index, BRG_FAILED, number_of(input), detail, "no %d", (int)number_of(input));
    } else if (says(input, "later")) {
        if (brg_context_attempt(context) == 1 && brg_batch_count(batch) > 1)
            brg_batch_fail(batch, index, BRG_UNAVAILABLE, 0, NULL, "later");
        else
            succeed(context, batch, index);
    } else if (says(input, "port")) {
        post_to_port(batch, index);
    } else if (says(input, "buffer")) {
        sum_buffer(batch, index);
    } else if (says(input, "until cancelled") || says(input, "in spite")) {
        while (!brg_batch_cancelled(batch, index))
            __asm__ __volatile__("");
        if (says(input, "in spite"))
            succeed(context, batch, index);
    } else if (says(input, "spin")) {
        while (!brg_context_cancelled(context))
            __asm__ __volatile__("");
    } else if (!says(input, "silent")) {
        succeed(context, batch, index);
    }
}

/* Those that say "whole" decide what the function returns. */
static brg_status batch_work(brg_context *context, brg_batch *batch)
{
    brg_status status = BRG_OK;
    for (uint32_t i = 0; i < brg_batch_count(batch); i++)
        if (brg_batch_input(batch, i) != NULL)
            meet(brg_batch_input(batch, i), brg_batch_count(batch));
    for (uint32_t i = 0; i < brg_batch_count(batch); i++) {
        if (says(brg_batch_input(batch, i), "whole"))
            status = brg_context_fail(context, 7, "the whole batch");
        else
            work_one(context, batch, i);
    }
    if (brg_batch_input(batch, brg_batch_count(batch)) != NULL || brg_batch_cancelled(batch, UINT32_MAX))
        abort();
    return brg_context_cancelled(context) ? BRG_CANCELLED : status;
}

static brg_status batch_plain(brg_context *context, const brg_value *input, brg_value **output)
{
    if (says(input, "fail"))
        return brg_context_fail(context, number_of(input), "plain %d", (int)number_of(input));
    return brg_value_map(output, NULL, brg_field_int("n", 3 * number_of(input)));
}

BRG_MODULE(batch, .tasks = BRG_TASKS({"plain", batch_plain}), .batch_tasks = BRG_BATCH_TASKS({"work", batch_work}));
