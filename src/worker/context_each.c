/* SPDX-License-Identifier: MIT */
/* One task of the module for each of several inputs: flows over values. */
#include <string.h>

#include "os/clock.h"
#include "worker/context.h"

/* A list of one, its output; or the error. */
static void each_put(brg_builder *outputs, brg_context *context, brg_status status, const brg_value *output)
{
    if (status == BRG_OK) {
        brg_builder_list(outputs);
        if (output == NULL)
            brg_builder_nil(outputs);
        else
            brg_builder_view(outputs, brg_value_root(output));
        brg_builder_end(outputs);
    } else if (context->failure_detail == NULL) {
        brg_builder_error(outputs, &context->failure);
    } else {
        brg_builder_error_open(outputs, &context->failure);
        brg_builder_view(outputs, brg_value_root(context->failure_detail));
        brg_builder_end(outputs);
    }
}

static void each_clear(brg_context *context)
{
    memset(&context->failure, 0, sizeof(context->failure));
    brg_value_unref(context->failure_detail);
    context->failure_detail = NULL;
}

static brg_status each_one(brg_context *context, const brg__each *each, brg_view item, brg_builder *inputs,
                           brg_builder *outputs)
{
    brg_value *input = NULL, *output = NULL;
    brg_builder_view(inputs, item);
    brg_status status = brg_builder_finish(inputs, &input, &context->failure);
    brg__arena_mark mark = brg__context_arena_mark(context);
    if (status == BRG_OK)
        status = brg__context_run_named(context, each->name, strlen(each->name), input, &output);
    each_put(outputs, context, status, output);
    brg__context_arena_back(context, &mark);
    brg_value_unref(input);
    brg_value_unref(output);
    if (status != BRG_OK || context->failure.message[0] != '\0')
        each_clear(context);
    return status;
}

static void each_all(brg_context *context, const brg__each *each, brg_builder *inputs, brg_builder *outputs)
{
    uint64_t start = brg__now_real();
    brg_builder_list(outputs);
    for (size_t i = each->first; i < each->end && !brg_context_cancelled(context); i++)
        if (each_one(context, each, brg_view_at(each->items, i), inputs, outputs) != BRG_OK && each->stops)
            break;
    brg_builder_int(outputs, (int64_t)(brg__now_real() - start));
    brg_builder_end(outputs);
}

brg_status brg__context_run_each(brg_context *context, const brg__each *each, brg_value **out)
{
    brg_builder *inputs = NULL, *outputs = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_status status = brg_builder_create(&inputs, &error);
    if (status == BRG_OK)
        status = brg_builder_create(&outputs, &error);
    if (status == BRG_OK) {
        each_all(context, each, inputs, outputs);
        status = brg_builder_finish(outputs, out, &error);
    }
    brg_builder_destroy(inputs);
    brg_builder_destroy(outputs);
    if (status != BRG_OK)
        context->failure = error;
    return status;
}

bool brg__context_names_each(const char *name, size_t name_size)
{
    return name_size == sizeof(BRG__TASK_EACH) - 1 && memcmp(name, BRG__TASK_EACH, name_size) == 0;
}

brg_status brg__context_run_each_input(brg_context *context, const brg_value *input, brg_value **out)
{
    brg_view root = {0};
    if (input != NULL)
        root = brg_value_root(input);
    brg__each each = {.name = brg_view_string(brg_view_at(root, 0), NULL), .items = brg_view_at(root, 2)};
    each.end = brg_view_count(each.items);
    if (each.name == NULL || brg_view_bool(brg_view_at(root, 1), &each.stops) != BRG_OK)
        return brg_error_set(&context->failure, BRG_MALFORMED, "worker", "this is no list of inputs");
    return brg__context_run_each(context, &each, out);
}
