/* SPDX-License-Identifier: MIT */
/* Single tasks in, batches to the worker, single results out: eight submits make two batches of four, and each task
 * ends on its own. */
#include "gate.h"

#define TASKS 8

static brg_task *look_up(brg_pool *pool, int64_t article)
{
    brg_error error;
    brg_task *task = NULL;
    brg_value *input = NULL;
    must(brg_value_int(&input, article, &error), &error);
    must(brg_pool_submit(pool, "look_up", input, brg_submit_opts(.error = &error), &task), &error);
    return task;
}

static void print(brg_task *task)
{
    brg_task_wait(task, BRG_FOREVER);
    const brg_result *result = brg_task_result(task);
    brg_view answer = brg_value_root(result->output);
    if (result->status == BRG_OK)
        printf("%d, in a batch of %d\n", (int)brg_view_get_int(answer, "price", 0),
               (int)brg_view_get_int(answer, "with", 0));
    else
        printf("%s\n", result->error->message);
    brg_task_unref(task);
}

int main(void)
{
    brg_error error;
    brg_pool *pool = NULL;
    brg_task *tasks[TASKS];
    brg_pool_stats stats = {.size = sizeof(stats)};
    /* One that is not full goes when its first task waited so long. A few milliseconds as a rule. */
    const brg_pool_options *options = brg_pool_opts(.module = "./batching.so", .isolation = BRG_ISOLATION_PROCESS,
                                                    .workers_max = 1, .batch_size = 4,
                                                    .batch_delay_ns = BRG_SECONDS(3600));

    must(brg_pool_create(&pool, options, &error), &error);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = look_up(pool, i == 2 ? -1 : i);
    for (int i = 0; i < TASKS; i++)
        print(tasks[i]);
    brg_pool_get_stats(pool, &stats);
    printf("%llu batches\n", (unsigned long long)stats.batches);
    brg_pool_destroy(pool);
    return EXIT_SUCCESS;
}
