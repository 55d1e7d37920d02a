/* SPDX-License-Identifier: MIT */
/* What the examples of shared memory have in common: tasks on process workers of sharing.so, all waited for. */
#ifndef EXAMPLES_SHARING_H
#define EXAMPLES_SHARING_H

#include <stdio.h>
#include <stdlib.h>

#include <brigade.h>

#define WORKERS_MAX 4

static inline int fail(const brg_error *error)
{
    fprintf(stderr, "%s: %s\n", brg_status_name(error->status), error->message);
    return EXIT_FAILURE;
}

/* A map of `shared` under `key` and of some numbers. */
static inline brg_value *input_of(const char *key, brg_shared *shared, const brg_field *fields, size_t field_count)
{
    brg_builder *builder = NULL;
    brg_value *input = NULL;
    if (brg_builder_create(&builder, NULL) != BRG_OK)
        return NULL;
    brg_builder_map(builder);
    brg_builder_key(builder, key);
    brg_builder_shared(builder, shared);
    for (size_t i = 0; i < field_count; i++) {
        brg_builder_key(builder, fields[i].key);
        brg_builder_int(builder, fields[i].as.integer);
    }
    brg_builder_end(builder);
    (void)brg_builder_finish(builder, &input, NULL); /* NULL stays NULL */
    brg_builder_destroy(builder);
    return input;
}

/* Submits one task; the input is gone after it. */
static inline brg_task *submit(brg_pool *pool, const char *name, brg_value *input, brg_error *error)
{
    brg_task *task = NULL;
    if (input == NULL) {
        brg_error_set(error, BRG_NO_MEMORY, "example", "no memory for the input");
    } else if (brg_pool_submit(pool, name, input, brg_submit_opts(.error = error), &task) != BRG_OK) {
        brg_value_unref(input); /* taken only on success */
    }
    return task;
}

/* Waits for a task, prints why it failed if it did, and lets go of it. `met` (may be NULL) receives its "met". */
static inline int finish(brg_task *task, int64_t *met)
{
    brg_task_wait(task, BRG_FOREVER);
    const brg_result *result = brg_task_result(task);
    int code = result->status == BRG_OK ? EXIT_SUCCESS : fail(result->error);
    if (code == EXIT_SUCCESS && met != NULL)
        *met = brg_view_get_int(brg_value_root(result->output), "met", -1);
    brg_task_unref(task);
    return code;
}

static inline brg_pool *pool_of(uint32_t workers, brg_error *error)
{
    brg_pool *pool = NULL;
    brg_pool_create(&pool,
                    brg_pool_opts(.module = "./sharing.so", .isolation = BRG_ISOLATION_PROCESS, .workers_max = workers),
                    error);
    return pool;
}

#endif
