/* SPDX-License-Identifier: MIT */
/* Stages: an item is a number, to which each stage adds a million. */
#include <brigade.h>

#include <signal.h>
#include <time.h>
#include <unistd.h>

#define STEP 1000000

static int64_t number_of(const brg_value *input)
{
    int64_t number = -1;
    (void)brg_view_int(brg_value_root(input), &number);
    return number;
}

static brg_status step(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    return brg_value_int(output, number_of(input) + STEP, NULL);
}

/* Now and then much longer than the others, so that items overtake each other. */
static brg_status jitter(brg_context *context, const brg_value *input, brg_value **output)
{
    uint64_t random = (uint64_t)number_of(input) * UINT64_C(0x9e3779b97f4a7c15) >> 40;
    for (volatile uint64_t i = 0, end = random % 64 == 0 ? 100000 : random % 500; i < end; i++)
        ;
    return step(context, input, output);
}

/* Those that end in 3 fail. */
static brg_status picky(brg_context *context, const brg_value *input, brg_value **output)
{
    if (number_of(input) % 10 == 3)
        return brg_context_fail_with(context, BRG_FAILED, 33, brg_value_ref(input), "no threes");
    return step(context, input, output);
}

/* Every eleventh kills its worker the first time. */
static brg_status mortal(brg_context *context, const brg_value *input, brg_value **output)
{
    if (number_of(input) % 11 == 0 && brg_context_attempt(context) == 1)
        kill(getpid(), SIGKILL);
    return step(context, input, output);
}

/* A pair of the number and who had it: for those who kill. */
static brg_status signed_step(brg_context *context, const brg_value *input, brg_value **output)
{
    brg_view root = brg_value_root(input);
    int64_t number = brg_view_type(root) == BRG_TYPE_MAP ? brg_view_get_int(root, "n", -1) : number_of(input);
    (void)context;
    return brg_value_map(output, NULL, brg_field_int("n", number + STEP), brg_field_int("pid", getpid()));
}

/* Until it is asked to end. */
static brg_status wait_politely(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)input, (void)output;
    while (!brg_context_cancelled(context))
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    return BRG_CANCELLED;
}

/* The item itself. */
static brg_status pass(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    *output = input == NULL ? NULL : brg_value_ref(input);
    return BRG_OK;
}

BRG_MODULE(stream, .tasks = BRG_TASKS({"step", step}, {"jitter", jitter}, {"picky", picky}, {"mortal", mortal},
                                      {"signed", signed_step}, {"wait", wait_politely}, {"pass", pass}));
