/* SPDX-License-Identifier: MIT */
/*
 * Watches: events from a store, in batches on the owner's loop.
 *
 * The first record after a delivery arms a timer on the supervisor (xarmed), which posts the completion; the delivery
 * disarms before it reads, so nothing that comes later is missed. When half of the store is filled the timer is set to
 * now. While the completion is out, xposted, it holds the loop.
 *
 * A callback may destroy its watch, run the loop, or destroy another: is_running keeps deliveries from nesting, and the
 * memory goes when nobody is in the watch and its completion is not out. It stays in its pool's list until then, so
 * that the end of the pool can wait for that.
 */
#include "pool/observe.h"

#include "base/options.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/thread.h"
#include "worker/supervisor.h"

#define WATCH_BATCH 128
#define WATCH_DELAY_NS BRG_MILLISECONDS(10)
#define WATCH_CAPACITY 65536

struct brg_watch {
    brg__store *store;
    brg__node node; /* in pool->watches; the owner's alone, as all of this but what is marked x, and the timer */
    brg_pool *pool; /* counted; NULL once it is over */
    brg_loop *loop;
    uint32_t generation;
    brg_events_fn on_events;
    void (*release)(void *user_data);
    void *user_data;
    uint64_t delay_ns;
    bool is_over;     /* nothing is told any more */
    bool is_dead;     /* and its handle is gone */
    bool is_running;  /* its callback is */
    bool is_again;    /* a delivery came meanwhile */
    bool is_last;     /* all workers are gone: what there is is all there will be */
    bool is_pools;    /* by option: it has no handle */
    uint32_t xarmed;  /* 1: a delivery will come; 2: at once */
    uint32_t xposted; /* the completion is out */
    brg__timer timer;
    brg__completion completion;
};

typedef struct watch_round {
    brg_watch *watch;
    size_t count;
    brg_event events[WATCH_BATCH];
} watch_round;

static void watch_tell_nobody(const brg_event *events, size_t count, uint64_t lost, void *user_data)
{
    (void)events, (void)count, (void)lost, (void)user_data;
}

/* ---- when -------------------------------------------------------------------------------------------------------- */

/* A record was written. Any thread, with the pool's lock or without. */
static void watch_more(void *argument, bool is_urgent)
{
    brg_watch *watch = argument;
    brg_fence_seq_cst(); /* the record is there before this looks: pairs with the exchange in watch_run */
    uint32_t level = is_urgent ? 2 : 1, before = brg_load_relaxed(&watch->xarmed);
    if (BRG__LIKELY(before >= level))
        return;
    while (before < level && !brg_cas_acq_rel(&watch->xarmed, &before, level))
        ;
    if (before < level)
        brg__supervisor_timer_set(&watch->timer, is_urgent ? 0 : brg__deadline(watch->delay_ns));
}

static void watch_deliver(brg__completion *completion);

/* On the supervisor: nobody else posts. */
static void watch_fire(brg__timer *timer)
{
    brg_watch *watch = brg__container_of(timer, brg_watch, timer);
    if (brg_exchange_acq_rel(&watch->xposted, 1u) != 0)
        return;
    watch->completion.run = watch_deliver;
    brg__loop_hold(watch->loop);
    brg__loop_post(watch->loop, &watch->completion);
}

/* ---- what -------------------------------------------------------------------------------------------------------- */

static brg_event watch_event(const brg__record *record)
{
    return (brg_event){.time_ns = record->time_ns,
                       .task = record->task,
                       .worker_id = record->worker_id,
                       .key = record->key,
                       .value = record->value,
                       .name = record->is_function ? NULL : record->is.name,
                       .function = record->is_function ? record->is.function : NULL,
                       .type = (brg_event_type)record->type,
                       .status = (brg_status)record->status,
                       .priority = (brg_priority)record->priority,
                       .attempt = record->attempt,
                       .worker_index = record->worker_index == UINT16_MAX ? BRG_NO_WORKER_INDEX : record->worker_index,
                       .batch = record->batch};
}

static void watch_tell(watch_round *round)
{
    brg_watch *watch = round->watch;
    uint64_t lost = brg__store_take_lost(watch->store);
    if ((round->count != 0 || lost != 0) && !watch->is_over)
        watch->on_events(round->events, round->count, lost, watch->user_data);
    round->count = 0;
}

static bool watch_take(void *argument, const brg__record *record)
{
    watch_round *round = argument;
    round->events[round->count++] = watch_event(record);
    if (round->count == WATCH_BATCH)
        watch_tell(round);
    return !round->watch->is_over;
}

/* All that is older than now. */
static void watch_run(brg_watch *watch)
{
    if (watch->is_running) { /* a callback runs the loop */
        watch->is_again = true;
        return;
    }
    watch_round round = {.watch = watch};
    watch->is_running = true;
    do {
        watch->is_again = false;
        (void)brg_exchange_seq_cst(&watch->xarmed, 0u); /* before reading: who writes later arms it again */
        bool is_more = brg__store_drain(watch->store, watch->is_last ? UINT64_MAX : brg__now_real(), watch_take,
                                        &round);
        watch_tell(&round);
        if (is_more && !watch->is_over && !watch->is_last) /* too young by a moment */
            watch_more(watch, false);
    } while (watch->is_again && !watch->is_over);
    watch->is_running = false;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* Its handle is gone, and nobody is in it or comes to it. */
static void watch_free_if_through(brg_watch *watch)
{
    if (!watch->is_dead || watch->is_running || brg_load_acquire(&watch->xposted) != 0)
        return;
    if (brg__node_is_linked(&watch->node))
        brg__list_remove(&watch->node);
    brg__store_unref(watch->store);
    brg__mfree(watch);
}

static void watch_deliver(brg__completion *completion)
{
    brg_watch *watch = brg__container_of(completion, brg_watch, completion);
    brg_loop *loop = watch->loop;
    brg_store_seq_cst(&watch->xposted, 0u); /* it may be posted again from here on */
    if (!watch->is_over)
        watch_run(watch);
    watch_free_if_through(watch);
    brg__loop_unhold(loop);
}

static void watch_clear_timer(void *argument)
{
    brg_watch *watch = argument;
    brg__supervisor_timer_set(&watch->timer, UINT64_MAX);
}

/* Nothing is told from here on. Nobody writes to its store any more, so no timer is set: once it is cleared on the
 * supervisor, nothing is posted. */
static void watch_end(brg_watch *watch)
{
    if (watch->is_over)
        return;
    watch->is_over = true;
    brg__observers_remove(watch->pool, watch->store);
    brg__supervisor_call_wait(watch_clear_timer, watch);
    brg__pool_unref(watch->pool);
    watch->pool = NULL;
    if (watch->release != NULL)
        watch->release(watch->user_data);
}

void brg_watch_destroy(brg_watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->generation == brg__fork_generation())
        watch_end(watch);
    watch->is_dead = true;
    watch_free_if_through(watch);
}

static bool watch_none_is_posted(void *argument)
{
    const brg_pool *pool = argument;
    brg__list_for_each(node, &pool->watches)
        if (brg_load_acquire(&brg__container_of(node, brg_watch, node)->xposted) != 0)
            return false;
    return true;
}

void brg__watches_end(brg_pool *pool)
{
    if (brg__list_is_empty(&pool->watches))
        return;
    brg__list_for_each(node, &pool->watches)
        brg__supervisor_call_wait(watch_clear_timer, brg__container_of(node, brg_watch, node));
    if (brg__loop_is_owner(pool->options.loop))
        (void)brg__loop_dispatch_until(pool->options.loop, watch_none_is_posted, pool, UINT64_MAX);
    while (!brg__list_is_empty(&pool->watches)) {
        brg_watch *watch = brg__container_of(pool->watches.head.next, brg_watch, node);
        brg__list_remove(&watch->node);
        watch->is_last = true;
        watch_run(watch);
        bool is_pools = watch->is_pools;
        watch_end(watch);
        if (is_pools)
            brg_watch_destroy(watch);
    }
}

void brg__watches_drop(brg_pool *pool)
{
    brg__list_for_each(node, &pool->watches) {
        brg_watch *watch = brg__container_of(node, brg_watch, node);
        watch->release = NULL;
        watch->on_events = watch_tell_nobody;
    }
}

/* ---- the beginning ----------------------------------------------------------------------------------------------- */

static brg_status watch_read_options(const brg_pool *pool, const brg_watch_options *given, brg_watch_options *options,
                                     brg_error *error)
{
    brg_status status = brg__options_read(options, sizeof(*options), given, "brg_watch_options", error);
    if (status != BRG_OK)
        return status;
    if (pool->options.loop == NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "a watch needs a pool with a loop: use a trace without one");
    if (options->on_events == NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "on_events must not be NULL");
    if ((options->mask & ~BRG_EVENTS_ALL) != 0)
        return brg_error_set(error, BRG_INVALID, "pool", "mask 0x%llx has bits of no event",
                             (unsigned long long)options->mask);
    if (options->mask == 0)
        options->mask = BRG_EVENTS_ALL;
    if (options->delay_ns == 0)
        options->delay_ns = WATCH_DELAY_NS;
    if (options->capacity == 0)
        options->capacity = WATCH_CAPACITY;
    return BRG_OK;
}

static brg_status watch_new(brg_watch **out, brg_pool *pool, const brg_watch_options *given, brg_error *error)
{
    brg_watch_options options;
    brg_status status = watch_read_options(pool, given, &options, error);
    if (status != BRG_OK)
        return status;
    brg_watch *watch = brg__calloc(1, sizeof(*watch));
    brg__store *store = brg__store_new(options.mask, options.capacity, false);
    if (watch == NULL || store == NULL) {
        brg__store_unref(store);
        brg__mfree(watch);
        return brg__error_memory(error, "a watch");
    }
    watch->store = store;
    watch->pool = pool;
    watch->loop = pool->options.loop;
    watch->generation = brg__fork_generation();
    watch->on_events = options.on_events;
    watch->release = options.release;
    watch->user_data = options.user_data;
    watch->delay_ns = options.delay_ns;
    watch->timer.fire = watch_fire;
    store->more = watch_more;
    store->more_argument = watch;
    status = brg__observers_add(pool, store, error);
    if (status != BRG_OK) {
        brg__store_unref(store);
        brg__mfree(watch);
        return status;
    }
    brg__pool_ref(pool);
    brg__list_push_back(&pool->watches, &watch->node);
    *out = watch;
    return BRG_OK;
}

brg_status brg_watch_create(brg_watch **out, brg_pool *pool, const brg_watch_options *options, brg_error *error)
{
    if (out == NULL || pool == NULL)
        return brg_error_set(error, BRG_INVALID, "pool", "a watch needs a pool, and a place for its handle");
    if (pool->generation != brg__fork_generation())
        return brg_error_set(error, BRG_FORKED, "pool", "the pool belongs to the parent of this forked process");
    return watch_new(out, pool, options, error);
}

brg_status brg__watch_begin(brg_pool *pool, const brg_watch_options *options, brg_error *error)
{
    brg_watch *watch = NULL;
    brg_status status = watch_new(&watch, pool, options, error);
    if (status == BRG_OK)
        watch->is_pools = true;
    return status;
}
