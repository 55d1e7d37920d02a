/* SPDX-License-Identifier: MIT */
/* Tasks that submit tasks and wait for them, three deep on a single worker: who waits runs what it waits for. */
#include "gate.h"

typedef struct menu {
    brg_pool *pool;
    int courses, dishes;
} menu;

static brg_status cook(brg_context *context, void *argument)
{
    menu *one = argument;
    brg_task *task = NULL;
    brg_error error;
    if (one->courses == 0) {
        one->dishes = 1;
        return BRG_OK;
    }
    menu rest = {.pool = one->pool, .courses = one->courses - 1};
    brg_status status = brg_pool_submit_call(one->pool, cook, &rest, brg_submit_opts(.error = &error), &task);
    if (status == BRG_OK)
        status = brg_task_wait(task, BRG_FOREVER);
    brg_task_unref(task); /* accepts NULL */
    if (status != BRG_OK)
        return brg_context_fail(context, one->courses, "no next course: %s", brg_status_text(status));
    one->dishes = rest.dishes + 1;
    return BRG_OK;
}

int main(void)
{
    brg_error error;
    brg_pool *pool = NULL;
    must(brg_pool_create(&pool, brg_pool_opts(.workers_max = 1), &error), &error);
    menu dinner = {.pool = pool, .courses = 3};
    must(brg_pool_call(pool, cook, &dinner, NULL, NULL), NULL);
    brg_pool_wait_idle(pool, BRG_FOREVER);
    printf("dishes: %d\n", dinner.dishes);
    brg_pool_destroy(pool);
    return EXIT_SUCCESS;
}
