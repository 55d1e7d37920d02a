/* SPDX-License-Identifier: MIT */
/* A source that stops when the queue is full and goes on when it has drained, so that nothing is ever rejected. */
#include "gate.h"

#define ITEMS 1000

typedef struct source {
    brg_pool *pool;
    int produced, finished;
} source;

static brg_status process(brg_context *context, void *argument)
{
    (void)context, (void)argument;
    return BRG_OK;
}

/* On the loop. */
static void count(const brg_result *result, void *user_data)
{
    source *items = user_data;
    items->finished += result->status == BRG_OK;
}

static void produce(source *items)
{
    while (items->produced < ITEMS && !brg_pool_is_full(items->pool)) {
        must(brg_pool_call(items->pool, process, NULL, count, items), NULL);
        items->produced++;
    }
}

/* On the loop: to produce more is of use again. */
static void go_on(brg_pool *pool, uint64_t queued, void *user_data)
{
    (void)pool, (void)queued;
    produce(user_data);
}

int main(void)
{
    source items = {.produced = 0};
    brg_error error;
    brg_loop *loop = NULL;
    brg_pool_stats stats = {.size = sizeof(stats)};

    must(brg_loop_create(&loop, NULL, &error), &error);
    const brg_pool_options *options = brg_pool_opts(.loop = loop, .workers_max = 1, .queue_high = 8, .queue_low = 2,
                                                    .on_drain = go_on, .user_data = &items);
    must(brg_pool_create(&items.pool, options, &error), &error);
    produce(&items);
    brg_loop_run(loop);
    brg_pool_get_stats(items.pool, &stats);
    printf("%d produced, %d finished, never more than 8 waiting: %s\n", items.produced, items.finished,
           stats.queue_peak <= 8 ? "yes" : "no");
    brg_pool_destroy(items.pool);
    brg_loop_destroy(loop);
    return EXIT_SUCCESS;
}
