/* SPDX-License-Identifier: MIT */
/* Four process workers add to one number, each in two careless steps: the lock called "tally" lets one at a time. */
#include "sharing.h"

#define TIMES 250

static int tally(brg_pool *pool, brg_shared *shared)
{
    brg_error error;
    brg_task *tasks[WORKERS_MAX];
    int code = EXIT_SUCCESS;
    for (int i = 0; i < WORKERS_MAX; i++) {
        brg_field fields[] = {brg_field_int("times", TIMES)};
        tasks[i] = submit(pool, "tally", input_of("memory", shared, fields, 1), &error);
        if (tasks[i] == NULL)
            code = fail(&error);
    }
    for (int i = 0; i < WORKERS_MAX; i++)
        if (tasks[i] != NULL && finish(tasks[i], NULL) != EXIT_SUCCESS)
            code = EXIT_FAILURE;
    return code;
}

int main(void)
{
    brg_error error;
    brg_shared *shared = NULL;
    brg_pool *pool = pool_of(WORKERS_MAX, &error);
    if (pool == NULL)
        return fail(&error);
    int code = EXIT_FAILURE;
    if (brg_shared_create(&shared, brg_shared_opts(.size_bytes = sizeof(int64_t)), &error) != BRG_OK) {
        fail(&error);
    } else {
        code = tally(pool, shared);
        printf("%d\n", (int)*(const int64_t *)brg_shared_data(shared));
    }
    brg_pool_destroy(pool);
    brg_shared_unref(shared);
    return code;
}
