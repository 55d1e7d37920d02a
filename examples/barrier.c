/* SPDX-License-Identifier: MIT */
/* Four process workers meet at a barrier in shared memory: none goes on before all are there. */
#include "sharing.h"

#define BARRIER 0
#define COUNTER BRG_BARRIER_BYTES

static int meet(brg_pool *pool, brg_shared *shared)
{
    brg_error error;
    brg_task *tasks[WORKERS_MAX];
    int code = EXIT_SUCCESS;
    for (int i = 0; i < WORKERS_MAX; i++) {
        brg_field fields[] = {brg_field_int("barrier", BARRIER), brg_field_int("counter", COUNTER)};
        tasks[i] = submit(pool, "meet", input_of("memory", shared, fields, 2), &error);
        if (tasks[i] == NULL)
            code = fail(&error);
    }
    for (int i = 0; i < WORKERS_MAX; i++) {
        int64_t met = 0;
        if (tasks[i] == NULL || finish(tasks[i], &met) != EXIT_SUCCESS)
            code = EXIT_FAILURE;
        else
            printf("worker %d met %d\n", i + 1, (int)met);
    }
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
    if (brg_shared_create(&shared, brg_shared_opts(.size_bytes = COUNTER + sizeof(uint32_t)), &error) != BRG_OK)
        fail(&error);
    else if (brg_barrier_init(shared, BARRIER, WORKERS_MAX) == BRG_OK)
        code = meet(pool, shared);
    brg_pool_destroy(pool);
    brg_shared_unref(shared);
    return code;
}
