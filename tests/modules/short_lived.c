/* SPDX-License-Identifier: MIT */
/* Workers that come online and end by themselves soon after, without a task. */
#include <brigade.h>

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *leave(void *argument)
{
    (void)argument;
    _exit(3);
}

static brg_status short_lived_start(brg_context *context)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, leave, NULL) != 0)
        return brg_context_fail(context, 1, "no thread");
    return BRG_OK;
}

BRG_MODULE(short_lived, .worker_start = short_lived_start);
