/* SPDX-License-Identifier: MIT */
/* Tasks that run after others: only if all of them succeeded, or however they ended. */
#include "gate.h"

static brg_status do_it(brg_context *context, void *argument)
{
    (void)context;
    printf("%s\n", (const char *)argument);
    return BRG_OK;
}

static brg_status burn(brg_context *context, void *argument)
{
    printf("%s\n", (const char *)argument);
    return brg_context_fail(context, 1, "burnt");
}

static brg_task *after(brg_pool *pool, brg_call_fn call, const char *what, brg_task *const *others, size_t count,
                       bool any)
{
    brg_error error;
    brg_task *task = NULL;
    const brg_submit_options *options = brg_submit_opts(.after = others, .after_count = count, .after_any = any,
                                                        .error = &error);
    must(brg_pool_submit_call(pool, call, (void *)what, options, &task), &error);
    return task;
}

int main(void)
{
    brg_error error;
    brg_pool *pool = NULL;
    must(brg_pool_create(&pool, brg_pool_opts(.workers_max = 4), &error), &error);

    brg_task *wash = after(pool, do_it, "wash", NULL, 0, false);
    brg_task *chop = after(pool, do_it, "chop", &wash, 1, false);
    brg_task *roast = after(pool, burn, "roast", &chop, 1, false);
    brg_task *both[] = {chop, roast};
    brg_task *serve = after(pool, do_it, "serve", both, 2, false);
    brg_task *clean = after(pool, do_it, "clean up", &serve, 1, true);
    brg_task_wait(clean, BRG_FOREVER);
    printf("serve: %s\n", brg_task_result(serve)->error->message);

    brg_task *all[] = {wash, chop, roast, serve, clean};
    for (int i = 0; i < 5; i++)
        brg_task_unref(all[i]);
    brg_pool_destroy(pool);
    return EXIT_SUCCESS;
}
