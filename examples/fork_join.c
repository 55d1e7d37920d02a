/* SPDX-License-Identifier: MIT */
/* Fork and join inside a task: a recursion that splits in two, and a range whose pieces run on all workers. */
#include "gate.h"

#define COUNT 1000000u
#define PIECE 1000u

typedef struct range {
    const uint32_t *numbers;
    uint64_t first, end, total;
} range;

/* The sum of a range: of its halves, one of which another worker may take. */
static void sum(brg_context *context, void *argument)
{
    range *all = argument;
    if (all->end - all->first <= PIECE) {
        for (uint64_t i = all->first; i < all->end; i++)
            all->total += all->numbers[i];
        return;
    }
    uint64_t middle = all->first + (all->end - all->first) / 2;
    range left = {.numbers = all->numbers, .first = all->first, .end = middle};
    range right = {.numbers = all->numbers, .first = middle, .end = all->end};
    brg_fork fork;
    brg_fork_start(context, &fork, sum, &left);
    sum(context, &right);
    brg_fork_join(context, &fork);
    all->total = left.total + right.total;
}

static void fill(brg_context *context, uint64_t first, uint64_t end, void *argument)
{
    uint32_t *numbers = argument;
    (void)context;
    for (uint64_t i = first; i < end; i++)
        numbers[i] = (uint32_t)i;
}

static brg_status fill_and_sum(brg_context *context, void *argument)
{
    range all = {.end = COUNT};
    uint32_t *numbers = malloc(COUNT * sizeof(*numbers));
    if (numbers == NULL)
        return BRG_NO_MEMORY;
    brg_fork_range(context, 0, COUNT, 0, fill, numbers);
    all.numbers = numbers;
    sum(context, &all);
    free(numbers);
    *(uint64_t *)argument = all.total;
    return BRG_OK;
}

int main(void)
{
    brg_error error;
    brg_pool *pool = NULL;
    uint64_t total = 0;
    must(brg_pool_create(&pool, NULL, &error), &error);
    must(brg_pool_call(pool, fill_and_sum, &total, NULL, NULL), NULL);
    brg_pool_drain(pool, BRG_FOREVER);
    printf("the numbers below %u sum up to %llu\n", COUNT, (unsigned long long)total);
    brg_pool_destroy(pool);
    return EXIT_SUCCESS;
}
