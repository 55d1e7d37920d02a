/* SPDX-License-Identifier: MIT */
#include "worker/batch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "message/object.h"
#include "os/atomic.h"
#include "os/memory.h"
#include "worker/context.h"

/* ---- life -------------------------------------------------------------------------------------------------------- */

brg_batch *brg__batch_new(brg_context *context, const char *name, size_t name_size, uint32_t capacity)
{
    brg_batch *batch = brg__calloc(1, sizeof(*batch) + capacity * sizeof(batch->entries[0]));
    if (batch == NULL)
        return NULL;
    batch->xreferences = 1;
    batch->context = context;
    memcpy(batch->name, name, brg__min(name_size, BRG_TASK_NAME_MAX));
    return batch;
}

brg_batch *brg__batch_ref(brg_batch *batch)
{
    brg_add_relaxed(&batch->xreferences, 1u);
    return batch;
}

/* What was said of it is taken back. */
static void batch_forget(brg__batch_entry *entry)
{
    brg_value_unref(entry->output);
    brg_value_unref(entry->detail);
    brg__mfree(entry->error);
    entry->output = entry->detail = NULL;
    entry->error = NULL;
    entry->answered = false;
}

void brg__batch_unref(brg_batch *batch)
{
    if (batch == NULL || brg_sub_acq_rel(&batch->xreferences, 1u) != 1)
        return;
    for (uint32_t i = 0; i < batch->count; i++) {
        batch_forget(&batch->entries[i]);
        brg_value_unref(batch->entries[i].input);
    }
    brg__mfree(batch);
}

void brg__batch_add(brg_batch *batch, brg_value *input, uint32_t part)
{
    brg__batch_entry *entry = &batch->entries[batch->count++];
    entry->input = input;
    entry->part = part;
}

brg__batch_entry *brg__batch_part(brg_batch *batch, uint32_t part)
{
    if (batch->count == 0)
        return NULL;
    uint32_t i = (uint32_t)brg__min(part, batch->count - 1); /* ascending from 0: no further than that */
    while (i > 0 && batch->entries[i].part > part)
        i--;
    return batch->entries[i].part == part ? &batch->entries[i] : NULL;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static const char *batch_domain(const brg_batch *batch)
{
    const brg_module *module = batch->context == NULL ? NULL : batch->context->module;
    return module != NULL && module->name != NULL ? module->name : "task";
}

static void batch_succeed(brg__batch_entry *entry, brg_value *output)
{
    batch_forget(entry);
    entry->answered = true;
    entry->status = BRG_OK;
    entry->output = output;
}

/* `error` is copied. */
static void batch_fail(brg__batch_entry *entry, brg_status status, const brg_error *error, brg_value *detail)
{
    batch_forget(entry);
    entry->answered = true;
    entry->status = status;
    entry->detail = detail;
    entry->error = brg__malloc(sizeof(*entry->error));
    if (entry->error != NULL)
        *entry->error = *error;
}

uint32_t brg_batch_count(const brg_batch *batch) { return batch->count; }

const brg_value *brg_batch_input(const brg_batch *batch, uint32_t index)
{
    return index < batch->count ? batch->entries[index].input : NULL;
}

bool brg_batch_cancelled(const brg_batch *batch, uint32_t index)
{
    if (index >= batch->count)
        return false;
    if (batch->look != NULL)
        batch->look(batch->argument);
    return brg_load_relaxed(&batch->entries[index].xcancelled) != 0 || brg_context_cancelled(batch->context);
}

void brg_batch_succeed(brg_batch *batch, uint32_t index, brg_value *output)
{
    if (index >= batch->count)
        brg_value_unref(output);
    else
        batch_succeed(&batch->entries[index], output);
}

void brg_batch_fail(brg_batch *batch, uint32_t index, brg_status status, int64_t code, brg_value *detail,
                    const char *format, ...)
{
    if (index >= batch->count) {
        brg_value_unref(detail);
        return;
    }
    brg_error error;
    memset(&error, 0, sizeof(error));
    error.status = brg__context_status(status);
    error.code = code;
    error.attempt = batch->context->attempt;
    snprintf(error.domain, sizeof(error.domain), "%s", batch_domain(batch));
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error.message, sizeof(error.message), format, arguments);
    va_end(arguments);
    batch_fail(&batch->entries[index], error.status, &error, detail);
}

void brg__batch_check_outputs(brg_batch *batch, size_t bytes_max)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        brg__batch_entry *entry = &batch->entries[i];
        size_t size = entry->output == NULL ? 0 : brg__value_copied_bytes(entry->output);
        if (size <= bytes_max)
            continue;
        brg_error error;
        memset(&error, 0, sizeof(error));
        brg_error_set(&error, BRG_TOO_LARGE, "worker", "the result has %zu bytes, message_bytes_max is %zu", size,
                      bytes_max);
        batch_fail(entry, BRG_TOO_LARGE, &error, NULL);
    }
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

const brg_module_batch_task *brg__batch_find(const brg_module *module, const char *name, size_t name_size)
{
    if (module == NULL || module->size < offsetof(brg_module, batch_tasks) + sizeof(module->batch_tasks) ||
        module->batch_tasks == NULL)
        return NULL;
    for (const brg_module_batch_task *task = module->batch_tasks; task->name != NULL; task++)
        if (strlen(task->name) == name_size && memcmp(task->name, name, name_size) == 0)
            return task;
    return NULL;
}

/* An ordinary task for each in turn. Those that were asked to end together, and did not succeed, have no answer: the
 * end of the batch is theirs. */
static brg_status batch_run_each(brg_batch *batch, size_t name_size)
{
    brg_context *context = batch->context;
    const brg__arena_mark mark = brg__context_arena_mark(context);
    for (uint32_t i = 0; i < batch->count; i++) {
        brg__batch_entry *entry = &batch->entries[i];
        brg_value *output = NULL;
        if (brg_batch_cancelled(batch, i))
            continue;
        brg_status status = brg__context_run_named(context, batch->name, name_size, entry->input, &output);
        if (status == BRG_OK) {
            batch_succeed(entry, output);
        } else if (brg_context_cancelled(context)) {
            brg_value_unref(output);
            brg_value_unref(context->failure_detail);
            context->failure_detail = NULL;
            memset(&context->failure, 0, sizeof(context->failure));
        } else {
            brg_value_unref(output);
            batch_fail(entry, status, &context->failure, context->failure_detail);
            context->failure_detail = NULL;
            memset(&context->failure, 0, sizeof(context->failure));
        }
        brg__context_arena_back(context, &mark);
    }
    return brg_context_cancelled(context) ? brg__context_conclude(context, BRG_CANCELLED, batch->name) : BRG_OK;
}

/* The function is of many tasks, also when there is one: it has no progress. */
static brg_status batch_call(const brg_module_batch_task *task, brg_batch *batch)
{
    brg_context *context = batch->context;
    brg__teller *teller = context->teller;
    context->teller = &brg__teller_refuses;
    brg_status status = brg__context_conclude(context, task->run(context, batch), task->name);
    context->teller = teller;
    return status;
}

brg_status brg__batch_run_named(brg_batch *batch)
{
    brg_context *context = batch->context;
    size_t name_size = strlen(batch->name);
    const brg_module_batch_task *task = brg__batch_find(context->module, batch->name, name_size);
    if (batch->count == 0)
        return BRG_OK;
    if (task != NULL)
        return batch_call(task, batch);
    return batch_run_each(batch, name_size);
}

brg_status brg__batch_run_one(brg_context *context, const brg_module_batch_task *task, const brg_value *input,
                              brg_value **output)
{
    brg_batch *batch = brg__batch_new(context, task->name, strlen(task->name), 1);
    if (batch == NULL)
        return brg__error_memory(&context->failure, "a batch");
    brg__batch_add(batch, input == NULL ? NULL : brg_value_ref((brg_value *)input), 0);
    brg__batch_entry *entry = &batch->entries[0];
    brg_status status = batch_call(task, batch);
    if (entry->answered) {
        status = entry->status;
        *output = entry->output;
        entry->output = NULL;
        if (status != BRG_OK) {
            brg_value_unref(context->failure_detail);
            context->failure_detail = entry->detail;
            entry->detail = NULL;
            memset(&context->failure, 0, sizeof(context->failure));
            if (entry->error != NULL)
                context->failure = *entry->error;
            status = brg__context_conclude(context, status, task->name);
        }
    }
    brg__batch_unref(batch);
    return status;
}
