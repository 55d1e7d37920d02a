/* SPDX-License-Identifier: MIT */
/* A task crashes its worker process. The program lives, learns signal and backtrace, and runs the next task. */
#include <stdio.h>
#include <stdlib.h>

#include <brigade.h>

static int fail(const brg_error *error)
{
    fprintf(stderr, "%s: %s\n", brg_status_name(error->status), error->message);
    return EXIT_FAILURE;
}

static void report(const char *name, const brg_result *result)
{
    if (result->status == BRG_OK)
        printf("%s: %lld\n", name, (long long)brg_view_get_int(brg_value_root(result->output), "answer", 0));
    else if (result->status == BRG_CRASHED)
        printf("%s: killed by signal %d\n%s\n", name, result->error->signal, result->error->backtrace);
    else
        printf("%s: %s\n", name, result->error->message);
}

static int run(brg_pool *pool, const char *name)
{
    brg_error error;
    brg_task *task = NULL;
    if (brg_pool_submit(pool, name, NULL, brg_submit_opts(.error = &error), &task) != BRG_OK)
        return fail(&error);
    brg_task_wait(task, BRG_FOREVER);
    report(name, brg_task_result(task));
    brg_task_unref(task);
    return EXIT_SUCCESS;
}

int main(void)
{
    static const char *const names[] = {"answer", "crash", "answer"};
    brg_error error;
    brg_pool *pool = NULL;
    int code = EXIT_SUCCESS;

    const brg_pool_options *options = brg_pool_opts(.isolation = BRG_ISOLATION_PROCESS, .module = "./crashing.so");
    if (brg_pool_create(&pool, options, &error) != BRG_OK)
        return fail(&error);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && code == EXIT_SUCCESS; i++)
        code = run(pool, names[i]);
    brg_pool_destroy(pool);
    return code;
}
