/* SPDX-License-Identifier: MIT */
/* A module whose tasks work on memory that they share with others. */
#include <brigade.h>

/* {"numbers": SHARED, "from": INT, "to": INT}: doubles the doubles [from, to) where they are. */
static brg_status twice(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    brg_view root = brg_value_root(input);
    brg_shared *shared = brg_view_shared(brg_view_get(root, "numbers"));
    int64_t from = brg_view_get_int(root, "from", 0), to = brg_view_get_int(root, "to", 0);
    if (shared == NULL || from < 0 || (uint64_t)to > brg_shared_size(shared) / sizeof(double))
        return brg_context_fail(context, 1, "\"numbers\" must be shared memory with numbers [from, to) in it");
    double *numbers = brg_shared_data(shared);
    for (int64_t i = from; i < to; i++)
        numbers[i] *= 2;
    return BRG_OK;
}

/*
 * {"memory": SHARED, "barrier": OFFSET, "counter": OFFSET}: counts itself, meets the others, and answers how many it
 * counted then: all of them, whoever came last.
 */
static brg_status meet(brg_context *context, const brg_value *input, brg_value **output)
{
    brg_view root = brg_value_root(input);
    brg_shared *shared = brg_view_shared(brg_view_get(root, "memory"));
    size_t barrier = (size_t)brg_view_get_int(root, "barrier", 0),
           counter = (size_t)brg_view_get_int(root, "counter", 0);
    if (shared == NULL || brg_shared_add32(shared, counter, 1, NULL) != BRG_OK)
        return brg_context_fail(context, 1, "\"memory\" must be shared memory with a counter in it");
    brg_status status = brg_barrier_wait(shared, barrier, BRG_FOREVER, NULL);
    if (status != BRG_OK)
        return brg_context_fail(context, 2, "the barrier: %s", brg_status_text(status));
    uint32_t met = 0;
    brg_shared_load32(shared, counter, &met);
    return brg_value_map(output, NULL, brg_field_int("met", met));
}

/* {"memory": SHARED, "times": INT}: adds to the number at its start without any care but the lock's. */
static brg_status tally(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    brg_view root = brg_value_root(input);
    brg_shared *shared = brg_view_shared(brg_view_get(root, "memory"));
    if (shared == NULL)
        return brg_context_fail(context, 1, "\"memory\" must be shared memory");
    volatile int64_t *total = brg_shared_data(shared);
    for (int64_t i = brg_view_get_int(root, "times", 0); i > 0; i--) {
        brg_error error;
        brg_lock *lock = NULL;
        if (brg_lock_acquire(&lock, "tally", NULL, &error) != BRG_OK)
            return brg_context_fail(context, 2, "the lock: %s", error.message);
        int64_t before = *total;
        *total = before + 1;
        brg_lock_release(lock);
    }
    return BRG_OK;
}

BRG_MODULE(sharing, .tasks = BRG_TASKS({"twice", twice}, {"meet", meet}, {"tally", tally}));
