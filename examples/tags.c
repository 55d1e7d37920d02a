/* SPDX-License-Identifier: MIT */
/* Workers that can do different things: a task asks for tags, and only a worker that has all of them runs it. */
#include "gate.h"

enum { OVEN = 1, KNIFE = 2 };

typedef struct order {
    const char *dish;
    uint64_t needs, got;
} order;

static brg_status cook(brg_context *context, void *argument)
{
    order *one = argument;
    one->got = brg_context_worker_tags(context);
    return BRG_OK;
}

int main(void)
{
    static const uint64_t tags[] = {OVEN, KNIFE, OVEN | KNIFE};
    order orders[] = {{"bread", OVEN, 0}, {"salad", KNIFE, 0}, {"lasagne", OVEN | KNIFE, 0}};
    brg_error error;
    brg_pool *pool = NULL;

    must(brg_pool_create(&pool, brg_pool_opts(.workers_max = 3, .worker_tags = tags, .worker_tags_count = 3), &error),
         &error);
    for (int i = 0; i < 3; i++) {
        const brg_submit_options *options = brg_submit_opts(.tags = orders[i].needs, .error = &error);
        must(brg_pool_submit_call(pool, cook, &orders[i], options, NULL), &error);
    }
    brg_pool_wait_idle(pool, BRG_FOREVER);
    for (int i = 0; i < 3; i++)
        printf("%s: its cook had what it needs: %s\n", orders[i].dish,
               (orders[i].got & orders[i].needs) == orders[i].needs ? "yes" : "no");
    brg_status status = brg_pool_submit_call(pool, cook, &orders[0], brg_submit_opts(.tags = 4, .error = &error), NULL);
    printf("a tag that no worker has: %s\n", brg_status_name(status));
    brg_pool_destroy(pool);
    return EXIT_SUCCESS;
}
