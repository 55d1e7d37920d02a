/* SPDX-License-Identifier: MIT */
/* A module whose preload does what preload must not: it leaves a thread running. */
#include <brigade.h>

#include <pthread.h>
#include <unistd.h>

static void *stay(void *argument)
{
    for (;;)
        pause();
    return argument;
}

static brg_status threaded_preload(brg_error *error)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, stay, NULL) != 0)
        return brg_error_set(error, BRG_NO_MEMORY, "threaded_preload", "no thread");
    return BRG_OK;
}

static brg_status threaded_noop(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    (void)output;
    return BRG_OK;
}

BRG_MODULE(threaded_preload, .tasks = BRG_TASKS({"noop", threaded_noop}), .preload = threaded_preload);
