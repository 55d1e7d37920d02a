/* SPDX-License-Identifier: MIT */
/*
 * The periodic event. The pool's timer posts a completion when it is due, and the reading is made where it runs, on the
 * loop, so that it is of that moment. A loop that is busy for longer than the interval hears once. While it is posted it
 * holds the pool's memory and the loop, as in events.c.
 */
#include "os/clock.h"
#include "os/memory.h"
#include "pool/metrics.h"

typedef struct brg__metrics_event {
    brg_pool *pool;
    brg__completion completion;
    uint64_t due_ns;
    bool is_posted, is_over;
} brg__metrics_event;

brg_status brg__metrics_event_init(brg_pool *pool)
{
    if (pool->options.on_metrics == NULL)
        return BRG_OK;
    brg__metrics_event *event = brg__calloc(1, sizeof(*event));
    if (event == NULL)
        return BRG_NO_MEMORY;
    event->pool = pool;
    event->due_ns = brg__add_saturated(brg__now(), pool->options.metrics_interval_ns);
    pool->metrics_event = event;
    return BRG_OK;
}

void brg__metrics_event_begin(brg_pool *pool)
{
    if (pool->metrics_event == NULL)
        return;
    brg__pool_lock(pool);
    brg__pool_timer_at(pool, pool->metrics_event->due_ns);
    brg__pool_unlock(pool);
}

void brg__metrics_event_free(brg_pool *pool) { brg__mfree(pool->metrics_event); }

static void event_run(brg__completion *completion)
{
    brg__metrics_event *event = brg__container_of(completion, brg__metrics_event, completion);
    brg_pool *pool = event->pool;
    brg_loop *loop = pool->options.loop;
    brg_metrics *metrics = NULL;
    brg__pool_lock(pool);
    bool tell = !event->is_over;
    event->is_posted = false; /* the callback may run the loop */
    brg__pool_unlock(pool);
    if (tell && brg_pool_metrics(pool, &metrics, NULL) == BRG_OK) /* no memory: there is a next one */
        pool->options.on_metrics(pool, metrics, pool->options.user_data);
    brg_metrics_free(metrics);
    brg__loop_unhold(loop);
    brg__pool_unref(pool);
}

uint64_t brg__metrics_event_locked(brg_pool *pool, uint64_t now)
{
    brg__metrics_event *event = pool->metrics_event;
    if (event == NULL || event->is_over)
        return UINT64_MAX;
    if (event->due_ns > now)
        return event->due_ns;
    uint64_t interval = pool->options.metrics_interval_ns;
    event->due_ns = brg__add_saturated(event->due_ns, interval); /* in step, but not for those that were missed */
    if (event->due_ns <= now)
        event->due_ns = brg__add_saturated(now, interval);
    if (!event->is_posted) {
        event->is_posted = true;
        brg__pool_ref(pool);
        event->completion.run = event_run;
        brg__loop_hold(pool->options.loop);
        brg__loop_post(pool->options.loop, &event->completion);
    }
    return event->due_ns;
}

static bool event_is_told(void *argument)
{
    brg__metrics_event *event = argument;
    brg__pool_lock(event->pool);
    bool told = !event->is_posted;
    brg__pool_unlock(event->pool);
    return told;
}

void brg__metrics_event_end(brg_pool *pool)
{
    brg__metrics_event *event = pool->metrics_event;
    if (event == NULL)
        return;
    brg__pool_lock(pool);
    event->is_over = true;
    brg__pool_unlock(pool);
    if (brg__loop_is_owner(pool->options.loop))
        (void)brg__loop_dispatch_until(pool->options.loop, event_is_told, event, UINT64_MAX);
}
