/* SPDX-License-Identifier: MIT */
/* A task that tells how far it is: to a callback on the owner's loop, and to somebody who takes the values when it
 * suits them; the task waits where more are on their way than it may have. */
#include "gate.h"

static brg_status cook(brg_context *context, void *argument)
{
    (void)argument;
    for (int done = 25; done <= 75; done += 25) {
        brg_value *value = NULL;
        brg_status status = brg_value_int(&value, done, NULL);
        if (status == BRG_OK && (status = brg_context_progress(context, value, BRG_FOREVER, NULL)) != BRG_OK)
            brg_value_unref(value); /* taken only on success */
        if (status != BRG_OK)
            return status;
    }
    return BRG_OK;
}

static int percent(const brg_value *value)
{
    int64_t done = 0;
    (void)brg_view_int(brg_value_root(value), &done);
    return (int)done;
}

/* Both on the loop. */
static void show_progress(const brg_value *value, void *user_data)
{
    printf("%s: %d %%\n", (char *)user_data, percent(value));
}
static void show_end(const brg_result *result, void *user_data)
{
    printf("%s: %s\n", (char *)user_data, brg_status_name(result->status));
}

static void take(brg_pool *pool)
{
    brg_error error;
    brg_task *task = NULL;
    brg_value *value = NULL;
    must(brg_pool_submit_call(pool, cook, NULL, brg_submit_opts(.progress_max = 1, .error = &error), &task), &error);
    while (brg_task_progress(task, &value, BRG_FOREVER) == BRG_OK) {
        printf("taken: %d %%\n", percent(value));
        brg_value_unref(value);
    }
    brg_task_unref(task); /* it has ended, and nothing is left */
}

int main(void)
{
    static char told[] = "told";
    brg_error error;
    brg_loop *loop = NULL;
    brg_pool *pool = NULL;

    must(brg_loop_create(&loop, NULL, &error), &error);
    must(brg_pool_create(&pool, brg_pool_opts(.loop = loop, .workers_max = 1), &error), &error);
    const brg_submit_options *options = brg_submit_opts(.on_progress = show_progress, .done = show_end,
                                                        .user_data = told, .error = &error);
    must(brg_pool_submit_call(pool, cook, NULL, options, NULL), &error);
    brg_loop_run(loop);
    take(pool);
    brg_pool_destroy(pool);
    brg_loop_destroy(loop);
    return EXIT_SUCCESS;
}
