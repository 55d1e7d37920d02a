/* SPDX-License-Identifier: MIT */
/* Workers that are set up: each runs a task before it counts as online, hears of changes between tasks, and all can be
 * given a task at once. */
#include "gate.h"

static void ask(brg_pool *pool)
{
    brg_error error;
    brg_task *task = NULL;
    brg_value *input = NULL;
    int64_t price = 0;
    must(brg_value_int(&input, 1, &error), &error);
    must(brg_pool_submit(pool, "price", input, brg_submit_opts(.error = &error), &task), &error);
    brg_task_wait(task, BRG_FOREVER);
    const brg_result *result = brg_task_result(task);
    must(result->status, result->error);
    (void)brg_view_int(brg_value_root(result->output), &price);
    printf("price: %d\n", (int)price);
    brg_task_unref(task);
}

/* On the loop. */
static void count_start(brg_pool *pool, uint64_t worker_id, const brg_exit *exit, void *user_data)
{
    (void)pool, (void)worker_id, (void)exit;
    ++*(int *)user_data;
}

static void count_done(const brg_result *result, void *user_data) { *(int *)user_data += result->status == BRG_OK; }

int main(void)
{
    brg_error error;
    brg_loop *loop = NULL;
    brg_pool *pool = NULL;
    brg_value *config = NULL;
    uint32_t asked = 0;
    int started = 0, loaded = 0;

    must(brg_loop_create(&loop, NULL, &error), &error);
    const brg_pool_options *options = brg_pool_opts(.loop = loop, .module = "./shop.so",
                                                    .isolation = BRG_ISOLATION_PROCESS, .workers_max = 2,
                                                    .prewarm_task = "load", .on_worker_start = count_start,
                                                    .user_data = &started);
    must(brg_pool_create(&pool, options, &error), &error);
    ask(pool); /* online workers are loaded already */

    must(brg_value_map(&config, &error, brg_field_int("discount", 25)), &error);
    must(brg_pool_configure(pool, config, &error), &error);
    ask(pool);

    const brg_submit_options *each = brg_submit_opts(.done = count_done, .user_data = &loaded, .error = &error);
    must(brg_pool_submit_all(pool, "load", NULL, each, &asked), &error);
    brg_loop_run(loop);
    printf("loaded again: %d of %u\n", loaded, asked);
    brg_pool_destroy(pool);
    printf("workers that started: %d\n", started);
    brg_loop_destroy(loop);
    return EXIT_SUCCESS;
}
