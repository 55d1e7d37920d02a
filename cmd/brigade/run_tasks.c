/* SPDX-License-Identifier: MIT */
/* The middle of `brigade run`, on the loop: items become tasks, so many at a time, and come out in the order asked for. */
#include <stdlib.h>
#include <string.h>

#include "run.h"

/* ---- the order of results ---------------------------------------------------------------------------------------- */

/* The item is through: on to the writer, in turn. */
static void run_settle(run_state *run, run_item *item)
{
    if (!run->options.ordered) {
        run_list_push(&run->settled, item);
    } else {
        /* There are no more items than slots, and none is skipped: no two meet. */
        run->slots[item->sequence & run->slot_mask] = item;
        while ((item = run->slots[run->slot_next & run->slot_mask]) != NULL) {
            run->slots[run->slot_next++ & run->slot_mask] = NULL;
            run_list_push(&run->settled, item);
        }
    }
}

static void run_settle_failed(run_state *run, run_item *item)
{
    if (run->options.errors_out == NULL) {
        brg_value_unref(item->input);
        item->input = NULL;
    }
    run_settle(run, item);
    if (run->options.fail_fast)
        run_halt(run);
}

static void run_settle_not_run(run_state *run, run_item *item)
{
    item->end = RUN_NOT_RUN;
    run_settle(run, item);
}

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

/* That nothing more can work: workers do not start, or the module does not know the task. */
static bool run_is_hopeless(const brg_error *error)
{
    return error->status == BRG_UNAVAILABLE || (error->status == BRG_NOT_FOUND && strcmp(error->domain, "worker") == 0);
}

static void run_cannot(run_state *run, const brg_error *error)
{
    if (run->cannot_run.status == BRG_OK)
        run->cannot_run = *error;
    run_halt(run);
}

static void run_failed(run_state *run, run_item *item, const brg_result *result)
{
    if (result->status == BRG_CANCELLED && run->is_stopping) {
        run_settle_not_run(run, item);
    } else if (run_is_hopeless(result->error)) {
        run_cannot(run, result->error);
        run_settle_not_run(run, item);
    } else {
        item->end = RUN_FAILED;
        item->status = result->status;
        item->detail = result->detail == NULL ? NULL : brg_value_ref(result->detail);
        item->error = malloc(sizeof(*item->error));
        if (item->error != NULL)
            *item->error = *result->error;
        run_settle_failed(run, item);
    }
}

static void run_done(const brg_result *result, void *user_data)
{
    run_item *item = user_data;
    run_state *run = item->run;
    run->outstanding--;
    item->attempts = result->attempts;
    if (result->status != BRG_OK) {
        run_failed(run, item, result);
    } else {
        brg_value_unref(item->input);
        item->input = NULL;
        if (result->output != NULL) {
            item->output = brg_value_ref(result->output);
            size_t bytes = brg_value_size_with_buffers(item->output);
            run->bytes_more += bytes;
            item->bytes += bytes;
        }
        run_settle(run, item);
    }
    run_feed(run);
}

/* False: the pool is full and says to wait. */
static bool run_submit(run_state *run, run_item *item)
{
    brg_error error = {.status = BRG_OK};
    brg_submit_options options = run->options.settings.submit;
    options.done = run_done;
    options.user_data = item;
    options.key = item->key;
    options.priority = item->priority;
    options.error = &error;
    brg_value *input = brg_value_ref(item->input);
    brg_status status = brg_pool_submit(run->pool, run->task, input, &options, NULL);
    if (status == BRG_OK) {
        run->outstanding++;
        return true;
    }
    brg_value_unref(input);
    if (status == BRG_FULL && !run->options.settings.admission_given && run->outstanding != 0)
        return false;
    if (status == BRG_UNAVAILABLE)
        run_cannot(run, &error);
    if (status == BRG_UNAVAILABLE || (status == BRG_CLOSED && run->is_stopping)) {
        run_settle_not_run(run, item);
    } else {
        run_item_fail(item, status, "%s", error.message);
        run_settle_failed(run, item);
    }
    return true;
}

void run_feed(run_state *run)
{
    while (run->waiting.head != NULL && (run->is_stopping || run->outstanding < run->outstanding_max)) {
        run_item *item = run->waiting.head;
        if (run->is_stopping) {
            run_list_pop(&run->waiting);
            run_settle_not_run(run, item);
        } else if (item->end == RUN_FAILED) {
            run_list_pop(&run->waiting);
            run_settle_failed(run, item);
        } else {
            run_list_pop(&run->waiting);
            if (!run_submit(run, item)) {
                item->next = run->waiting.head;
                run->waiting.head = item;
                if (item->next == NULL)
                    run->waiting.tail = item;
                break;
            }
        }
    }
}

void run_halt(run_state *run)
{
    if (run->is_stopping)
        return;
    run->is_stopping = true;
    run_stop_reading(run);
    brg_pool_stop(run->pool, 0);
}
