/* SPDX-License-Identifier: MIT */
/*
 * Events on the owner's loop.
 *
 * Full and drained are a level, not a queue: what was told last is compared with how it is when the completion runs, so
 * they come in turn and tell the truth, and a level that came back meanwhile is not told at all: unless somebody asked
 * and heard that it is full, who may have stopped for that and is owed the drain. The start and the end of a worker are
 * notes in a queue, two for each worker, in memory that is there before the worker is.
 *
 * One completion serves all. It calls at most one callback of each kind and is posted again while more is left, so that
 * the loop's batch bounds it as it bounds all else. It is free again when the callbacks run: they may run the loop
 * themselves. While it is posted it holds the pool's memory, and the loop, which does not end before it has told.
 */
#include "pool/events.h"

#include "os/memory.h"

typedef struct events_note {
    brg__node node;
    bool is_end;
} events_note;

/* One worker. The queue lets go of it with its second note. */
struct brg__told {
    events_note start, end;
    uint64_t worker_id;
    brg_exit exit;
};

struct brg__events {
    brg_pool *pool;
    brg__completion completion;
    bool is_posted, is_over, told_full;
    bool owes_drain; /* somebody saw it full, and it was drained before that was told */
    brg__list notes;
    brg_pool_event_fn on_full, on_drain;
    brg_pool_worker_fn on_worker_start, on_worker_end;
    void *user_data;
};

brg_status brg__events_init(brg_pool *pool)
{
    const brg_pool_options *options = &pool->options;
    if (options->on_full == NULL && options->on_drain == NULL && options->on_worker_start == NULL &&
        options->on_worker_end == NULL)
        return BRG_OK;
    brg__events *events = brg__calloc(1, sizeof(*events));
    if (events == NULL)
        return BRG_NO_MEMORY;
    events->pool = pool;
    brg__list_init(&events->notes);
    events->on_full = options->on_full;
    events->on_drain = options->on_drain;
    events->on_worker_start = options->on_worker_start;
    events->on_worker_end = options->on_worker_end;
    events->user_data = options->user_data;
    pool->events = events;
    return BRG_OK;
}

void brg__events_free(brg_pool *pool)
{
    if (pool->events == NULL)
        return;
    brg__node *node;
    while ((node = brg__list_pop_front(&pool->events->notes)) != NULL)
        if (brg__container_of(node, events_note, node)->is_end)
            brg__mfree(brg__container_of(node, brg__told, end.node));
    brg__mfree(pool->events);
}

/* ---- on the loop ------------------------------------------------------------------------------------------------- */

static bool events_are_left_locked(const brg__events *events)
{
    return !brg__list_is_empty(&events->notes) || events->owes_drain ||
           (brg_load_relaxed(&events->pool->xfull) != 0) != events->told_full;
}

static void events_run(brg__completion *completion);

static void events_post_locked(brg__events *events)
{
    if (events->is_posted || events->is_over || !events_are_left_locked(events))
        return;
    events->is_posted = true;
    brg__pool_ref(events->pool);
    events->completion.run = events_run;
    brg__loop_hold(events->pool->options.loop);
    brg__loop_post(events->pool->options.loop, &events->completion);
}

static void events_tell_level(const brg__events *events, uint64_t waiting)
{
    brg_pool_event_fn tell = events->told_full ? events->on_full : events->on_drain;
    if (tell != NULL)
        tell(events->pool, waiting, events->user_data);
}

static void events_tell_worker(const brg__events *events, const events_note *note)
{
    brg__told *told = note->is_end ? brg__container_of(note, brg__told, end)
                                   : brg__container_of(note, brg__told, start);
    brg_pool_worker_fn tell = note->is_end ? events->on_worker_end : events->on_worker_start;
    if (tell != NULL)
        tell(events->pool, told->worker_id, note->is_end ? &told->exit : NULL, events->user_data);
}

static void events_run(brg__completion *completion)
{
    brg__events *events = brg__container_of(completion, brg__events, completion);
    brg_pool *pool = events->pool;
    brg_loop *loop = pool->options.loop;
    brg__pool_lock(pool);
    bool full = brg_load_relaxed(&pool->xfull) != 0;
    bool level = (full != events->told_full || (events->owes_drain && !full)) && !events->is_over;
    brg__node *node = events->is_over ? NULL : brg__list_pop_front(&events->notes);
    uint64_t waiting = brg__pool_admitted_locked(pool);
    events->is_posted = events->owes_drain = false; /* full again: then a drain follows that is told */
    if (level)
        events->told_full = full;
    events_post_locked(events);
    brg__pool_unlock(pool);
    if (level)
        events_tell_level(events, waiting);
    if (node != NULL) {
        events_note *note = brg__container_of(node, events_note, node);
        events_tell_worker(events, note);
        if (note->is_end) /* its start was before it */
            brg__mfree(brg__container_of(note, brg__told, end));
    }
    brg__loop_unhold(loop);
    brg__pool_unref(pool);
}

static bool events_are_told(void *argument)
{
    brg__events *events = argument;
    brg__pool_lock(events->pool);
    bool told = !events->is_posted;
    brg__pool_unlock(events->pool);
    return told;
}

void brg__events_end(brg_pool *pool)
{
    brg__events *events = pool->events;
    if (events == NULL)
        return;
    if (brg__loop_is_owner(pool->options.loop))
        (void)brg__loop_dispatch_until(pool->options.loop, events_are_told, events, UINT64_MAX);
    brg__events_stop(pool);
}

void brg__events_stop(brg_pool *pool)
{
    if (pool->events == NULL)
        return;
    brg__pool_lock(pool);
    pool->events->is_over = true;
    brg__pool_unlock(pool);
}

/* ---- what happens ------------------------------------------------------------------------------------------------ */

void brg__events_level_locked(brg_pool *pool, bool was_seen)
{
    if (pool->events == NULL)
        return;
    pool->events->owes_drain = pool->events->owes_drain || was_seen;
    events_post_locked(pool->events);
}

brg_status brg__events_expect_locked(brg_pool *pool, brg__slot *slot)
{
    const brg__events *events = pool->events;
    if (slot->told != NULL || events == NULL || (events->on_worker_start == NULL && events->on_worker_end == NULL))
        return BRG_OK;
    slot->told = brg__calloc(1, sizeof(*slot->told));
    return slot->told != NULL ? BRG_OK : BRG_NO_MEMORY;
}

void brg__events_started_locked(brg_pool *pool, brg__slot *slot)
{
    if (slot->told == NULL)
        return;
    slot->told->worker_id = slot->worker->id;
    brg__list_push_back(&pool->events->notes, &slot->told->start.node);
    events_post_locked(pool->events);
}

void brg__events_ended_locked(brg_pool *pool, brg__slot *slot, const brg_exit *exit)
{
    brg__told *told = slot->told;
    if (told == NULL)
        return;
    slot->told = NULL;
    told->exit = *exit;
    told->end.is_end = true;
    brg__list_push_back(&pool->events->notes, &told->end.node);
    events_post_locked(pool->events);
}
