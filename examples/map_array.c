/* SPDX-License-Identifier: MIT */
/* A function for each element of an array, on all CPUs: a pool, a map, done. */
#include <math.h>

#include "gate.h"

#define COUNT 1000000

static brg_status square_root(brg_context *context, const void *in, void *out, void *state)
{
    (void)context, (void)state;
    *(double *)out = sqrt(*(const double *)in);
    return BRG_OK;
}

int main(void)
{
    static double numbers[COUNT], roots[COUNT];
    brg_pool *pool = NULL;
    brg_error error;
    for (int i = 0; i < COUNT; i++)
        numbers[i] = (double)i * i;

    must(brg_pool_create(&pool, NULL, &error), &error);
    must(brg_map_array(pool, square_root, numbers, roots, COUNT, &error), &error);
    brg_pool_destroy(pool);

    printf("the root of %.0f is %.0f\n", numbers[COUNT - 1], roots[COUNT - 1]);
    return EXIT_SUCCESS;
}
