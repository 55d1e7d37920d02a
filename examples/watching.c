/* SPDX-License-Identifier: MIT */
/* Every transition of a pool's tasks, in batches on its loop: here, the story of a task that fails once. */
#include <brigade/events.h>

#include "gate.h"

static brg_status try_twice(brg_context *context, void *argument)
{
    (void)argument;
    return brg_context_attempt(context) < 2 ? brg_context_fail(context, 1, "not yet") : BRG_OK;
}

static void tell(const brg_event *events, size_t count, uint64_t lost, void *user_data)
{
    (void)user_data;
    for (size_t i = 0; i < count; i++)
        printf("%s, attempt %u: %s\n", brg_event_name(events[i].type), events[i].attempt,
               brg_status_name(events[i].status));
    if (lost != 0)
        printf("and %llu that found no room\n", (unsigned long long)lost);
}

int main(void)
{
    brg_error error;
    brg_loop *loop = NULL;
    brg_pool *pool = NULL;
    must(brg_loop_create(&loop, NULL, &error), &error);
    must(brg_pool_create(&pool,
                         brg_pool_opts(.loop = loop, .workers_max = 1, .attempts_max = 2, .retry_on = BRG_RETRY_FAILED,
                                       .watch = brg_watch_opts(.mask = BRG_EVENTS_TASKS, .on_events = tell)),
                         &error),
         &error);
    must(brg_pool_submit_call(pool, try_twice, NULL, brg_submit_opts(.error = &error), NULL), &error);
    brg_pool_drain(pool, BRG_FOREVER);
    brg_pool_destroy(pool); /* tells what is left */
    brg_loop_destroy(loop);
    return EXIT_SUCCESS;
}
