/* SPDX-License-Identifier: MIT */
/* A worker of one's own, on a thread and then in a process: post it a message, get its reply, see it end. */
#include <stdio.h>
#include <stdlib.h>

#include <brigade.h>

static void on_message(brg_worker *worker, brg_value *message, void *user_data)
{
    (void)user_data;
    brg_view root = brg_value_root(message);
    printf("%s: %s\n", brg_worker_name(worker), brg_view_get_string(root, "echo", "?"));
    brg_worker_terminate(worker);
}

static void on_end(brg_worker *worker, const brg_exit *exit, void *user_data)
{
    (void)user_data;
    printf("%s: ended, %s\n", brg_worker_name(worker), brg_status_text(exit->status));
}

static int fail(const brg_error *error)
{
    fprintf(stderr, "%s: %s\n", brg_status_name(error->status), error->message);
    return EXIT_FAILURE;
}

static int post_hello(brg_worker *worker)
{
    brg_error error;
    brg_value *message = NULL;
    if (brg_value_map(&message, &error, brg_field_string("text", "hello")) != BRG_OK)
        return fail(&error);
    if (brg_worker_post(worker, message, 0, &error) != BRG_OK) {
        brg_value_unref(message); /* taken only on success */
        return fail(&error);
    }
    return EXIT_SUCCESS;
}

static int run(brg_loop *loop, brg_isolation isolation, const char *name)
{
    brg_error error;
    brg_worker *worker = NULL;
    const brg_worker_options *options = brg_worker_opts(.loop = loop, .isolation = isolation, .module = "./echo.so",
                                                        .name = name, .grace_ns = BRG_SECONDS(3600),
                                                        .on_message = on_message, .on_exit = on_end);
    if (brg_worker_create(&worker, options, &error) != BRG_OK)
        return fail(&error);
    int code = post_hello(worker);
    if (code == EXIT_SUCCESS)
        brg_loop_run(loop);
    brg_worker_destroy(worker);
    return code;
}

int main(void)
{
    brg_error error;
    brg_loop *loop = NULL;
    if (brg_loop_create(&loop, NULL, &error) != BRG_OK)
        return fail(&error);
    int code = run(loop, BRG_ISOLATION_THREAD, "thread");
    if (code == EXIT_SUCCESS)
        code = run(loop, BRG_ISOLATION_PROCESS, "process");
    brg_loop_destroy(loop);
    return code;
}
