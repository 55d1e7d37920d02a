/* SPDX-License-Identifier: MIT */
/* Counts the words of files, each in a worker process: word_count MODULE FILE... */
#include <stdio.h>
#include <stdlib.h>

#include <brigade.h>

static int fail(const brg_error *error)
{
    fprintf(stderr, "%s: %s\n", brg_status_name(error->status), error->message);
    return EXIT_FAILURE;
}

static brg_status submit(brg_pool *pool, const char *path, brg_task **task, brg_error *error)
{
    brg_value *input = NULL;
    brg_status status = brg_value_map(&input, error, brg_field_string("path", path));
    if (status != BRG_OK)
        return status;
    status = brg_pool_submit(pool, "count", input, brg_submit_opts(.error = error), task);
    if (status != BRG_OK)
        brg_value_unref(input); /* taken only on success */
    return status;
}

static void print(const char *path, const brg_result *result)
{
    if (result->status != BRG_OK) {
        printf("%s: %s\n", path, result->error->message);
        return;
    }
    brg_view counts = brg_value_root(result->output);
    long long lines = brg_view_get_int(counts, "lines", 0);
    long long words = brg_view_get_int(counts, "words", 0);
    printf("%s: %lld lines, %lld words\n", path, lines, words);
}

static int count_files(brg_pool *pool, char **paths, size_t path_count)
{
    brg_error error;
    int code = EXIT_SUCCESS;
    brg_task **tasks = calloc(path_count, sizeof(brg_task *));
    if (tasks == NULL)
        return EXIT_FAILURE;
    for (size_t i = 0; i < path_count && code == EXIT_SUCCESS; i++)
        if (submit(pool, paths[i], &tasks[i], &error) != BRG_OK)
            code = fail(&error);
    for (size_t i = 0; i < path_count && tasks[i] != NULL; i++) {
        brg_task_wait(tasks[i], BRG_FOREVER);
        print(paths[i], brg_task_result(tasks[i]));
        brg_task_unref(tasks[i]);
    }
    free(tasks);
    return code;
}

int main(int argc, char **argv)
{
    brg_error error;
    brg_pool *pool = NULL;
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODULE FILE...\n", argv[0]);
        return EXIT_FAILURE;
    }
    if (brg_pool_create(&pool, brg_pool_opts(.isolation = BRG_ISOLATION_PROCESS, .module = argv[1]), &error) != BRG_OK)
        return fail(&error);
    int code = count_files(pool, argv + 2, (size_t)argc - 2);
    brg_pool_destroy(pool);
    return code;
}
