/* SPDX-License-Identifier: MIT */
/* The tasks of the model test: each writes down that it ran, see ../model/board.h. */
#include <brigade.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "model/board.h"

typedef struct model_task {
    brg_context *context;
    brg_view input;
    board *all;
    board_line *line;
    uint32_t id;
} model_task;

static uint64_t model_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void model_spin(model_task *task)
{
    uint64_t until = model_now() + (uint64_t)brg_view_get_int(task->input, "spin_us", 0) * 1000u;
    while (model_now() < until)
        brg_context_heartbeat(task->context);
}

static bool model_begin(model_task *task, brg_context *context, const brg_value *input)
{
    *task = (model_task){.context = context};
    if (input == NULL)
        return false;
    task->input = brg_value_root(input);
    brg_shared *shared = brg_view_shared(brg_view_get(task->input, "board"));
    if (shared == NULL)
        return false;
    task->all = brg_shared_data(shared);
    task->id = (uint32_t)brg_view_get_int(task->input, "id", BOARD_ORDERS);
    const brg_value *config = brg_context_config(context);
    uint64_t version = config == NULL ? 0 : (uint64_t)brg_view_get_int(brg_value_root(config), "version", 0);
    task->line = board_begin(task->all, task->id, brg_context_attempt(context));
    atomic_store(&task->line->config, version);
    model_spin(task);
    return true;
}

static brg_status model_lost_input(brg_context *context)
{
    return brg_context_fail_with(context, BRG_MALFORMED, 0, NULL, "the input did not come");
}

static brg_status model_answer(model_task *task, int64_t sent, brg_value **output)
{
    brg_status status = brg_value_map(output, NULL, brg_field_int("id", task->id), brg_field_int("sent", sent));
    board_end(task->all, task->line);
    return status;
}

static brg_status model_work(brg_context *context, const brg_value *input, brg_value **output)
{
    model_task task;
    if (!model_begin(&task, context, input))
        return model_lost_input(context);
    return model_answer(&task, 0, output);
}

static brg_status model_refuse(model_task *task)
{
    brg_value *detail = NULL;
    if (brg_value_map(&detail, NULL, brg_field_int("id", task->id)) != BRG_OK)
        return BRG_NO_MEMORY;
    board_end(task->all, task->line);
    return brg_context_fail_with(task->context, BRG_FAILED, task->id, detail, "task %u fails", task->id);
}

static brg_status model_fail(brg_context *context, const brg_value *input, brg_value **output)
{
    model_task task;
    (void)output;
    if (!model_begin(&task, context, input))
        return model_lost_input(context);
    return model_refuse(&task);
}

static brg_status model_flaky(brg_context *context, const brg_value *input, brg_value **output)
{
    model_task task;
    if (!model_begin(&task, context, input))
        return model_lost_input(context);
    if (brg_context_attempt(context) < brg_view_get_int(task.input, "until", 2))
        return model_refuse(&task);
    return model_answer(&task, 0, output);
}

/* Works until it is asked to end, or its patience is over. */
static brg_status model_polite(brg_context *context, const brg_value *input, brg_value **output)
{
    model_task task;
    if (!model_begin(&task, context, input))
        return model_lost_input(context);
    uint64_t until = model_now() + (uint64_t)brg_view_get_int(task.input, "patience_ms", 0) * 1000000u;
    while (!brg_context_cancelled(context)) {
        brg_context_heartbeat(context);
        if (model_now() >= until)
            return model_answer(&task, 0, output);
    }
    board_end(task.all, task.line);
    return brg_context_fail(context, task.id, "it was asked to end");
}

static brg_status model_crash(brg_context *context, const brg_value *input, brg_value **output)
{
    model_task task;
    (void)output;
    if (!model_begin(&task, context, input))
        return model_lost_input(context);
    abort();
}

static brg_status model_exit(brg_context *context, const brg_value *input, brg_value **output)
{
    model_task task;
    (void)output;
    if (!model_begin(&task, context, input))
        return model_lost_input(context);
    _exit((int)(task.id % 100 + 1));
}

/* Sends parts, as many as there is room for. */
static brg_status model_progress(brg_context *context, const brg_value *input, brg_value **output)
{
    model_task task;
    int64_t sent = 0;
    if (!model_begin(&task, context, input))
        return model_lost_input(context);
    for (int64_t i = 0; i < brg_view_get_int(task.input, "parts", 0); i++) {
        brg_value *part = NULL;
        if (brg_value_map(&part, NULL, brg_field_int("id", task.id), brg_field_int("part", sent)) != BRG_OK)
            return BRG_NO_MEMORY;
        brg_status status = brg_context_progress(context, part, i % 2 == 0 ? 0 : BRG_MICROSECONDS(300), NULL);
        if (status == BRG_OK) {
            sent++;
            continue;
        }
        brg_value_unref(part);
        if (status != BRG_FULL && status != BRG_TIMED_OUT && status != BRG_CANCELLED)
            board_say_wrong(task.all, task.id, BOARD_PROGRESS);
    }
    return model_answer(&task, sent, output);
}

/* Waits at the gate. */
static brg_status model_hold(brg_context *context, const brg_value *input, brg_value **output)
{
    model_task task;
    if (!model_begin(&task, context, input))
        return model_lost_input(context);
    brg_shared *shared = brg_view_shared(brg_view_get(task.input, "board"));
    atomic_fetch_add(&task.all->held, 1u);
    brg_shared_notify(shared, offsetof(board, held), UINT32_MAX, NULL);
    while (atomic_load(&task.all->gate) == 0) {
        brg_status status = brg_shared_wait32(shared, offsetof(board, gate), 0, BRG_FOREVER);
        if (status == BRG_CANCELLED)
            return status;
    }
    return model_answer(&task, 0, output);
}

/* Nothing but its run counts. */
static brg_status model_warm(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)output;
    brg_shared *shared = input == NULL ? NULL : brg_view_shared(brg_view_get(brg_value_root(input), "board"));
    if (shared == NULL)
        return BRG_MALFORMED;
    board *all = brg_shared_data(shared);
    atomic_fetch_add(&all->warmed, 1u);
    return BRG_OK;
}

/* Each as it would alone: those whose "fails" is set fail, of the others each has its own output. */
static brg_status model_batch(brg_context *context, brg_batch *batch)
{
    uint32_t count = brg_batch_count(batch);
    for (uint32_t i = 0; i < count; i++) {
        model_task task;
        brg_value *output = NULL;
        if (!model_begin(&task, context, brg_batch_input(batch, i)))
            return model_lost_input(context);
        if (brg_view_get_bool(task.input, "fails", false)) {
            board_end(task.all, task.line);
            brg_batch_fail(batch, i, BRG_FAILED, task.id, NULL, "task %u fails", task.id);
        } else if (model_answer(&task, 0, &output) == BRG_OK) {
            brg_batch_succeed(batch, i, output);
        }
    }
    return BRG_OK;
}

static brg_status model_configure(brg_context *context, const brg_value *config)
{
    return brg_context_config(context) == config ? BRG_OK : BRG_MALFORMED;
}

BRG_MODULE(model,
           .tasks = BRG_TASKS({"work", model_work}, {"fail", model_fail}, {"flaky", model_flaky},
                              {"polite", model_polite}, {"crash", model_crash}, {"exit", model_exit},
                              {"progress", model_progress}, {"hold", model_hold}, {"warm", model_warm}),
           .batch_tasks = BRG_BATCH_TASKS({"batch", model_batch}), .configure = model_configure);
