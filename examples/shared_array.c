/* SPDX-License-Identifier: MIT */
/* Doubles an array where it is: two process workers, each with one half, no copy of a number anywhere. */
#include "sharing.h"

#define NUMBERS 1000000

static int twice(brg_pool *pool, brg_shared *shared)
{
    brg_error error;
    brg_task *tasks[2] = {NULL, NULL};
    int code = EXIT_SUCCESS;
    for (int half = 0; half < 2; half++) {
        brg_field fields[] = {brg_field_int("from", half * (NUMBERS / 2)),
                              brg_field_int("to", (half + 1) * (NUMBERS / 2))};
        tasks[half] = submit(pool, "twice", input_of("numbers", shared, fields, 2), &error);
        if (tasks[half] == NULL)
            code = fail(&error);
    }
    for (int half = 0; half < 2; half++)
        if (tasks[half] != NULL && finish(tasks[half], NULL) != EXIT_SUCCESS)
            code = EXIT_FAILURE;
    return code;
}

int main(void)
{
    brg_error error;
    brg_shared *shared = NULL;
    brg_pool *pool = pool_of(2, &error);
    if (pool == NULL)
        return fail(&error);
    if (brg_shared_create(&shared, brg_shared_opts(.size_bytes = NUMBERS * sizeof(double)), &error) != BRG_OK) {
        brg_pool_destroy(pool);
        return fail(&error);
    }
    double *numbers = brg_shared_data(shared);
    for (int i = 0; i < NUMBERS; i++)
        numbers[i] = i;
    int code = twice(pool, shared);
    if (code == EXIT_SUCCESS)
        printf("%.0f %.0f ... %.0f\n", numbers[0], numbers[1], numbers[NUMBERS - 1]);
    brg_shared_unref(shared);
    brg_pool_destroy(pool);
    return code;
}
