/* SPDX-License-Identifier: MIT */
/*
 * Values over process workers. A chunk is a task of the library's own that runs the module's task for each of its
 * elements and answers them all (worker/context_each.c). Two chunks for each worker are under way, so that none waits
 * while the answer of another is looked at.
 *
 * One thread at a time makes chunks and takes answers: the caller, who waits, or the loop's, in completions. Strands
 * that ended are left in a list for it, under a lock; everything else is its own. It is over when nothing is under way
 * and nothing is left, or it was closed.
 *
 * A chunk that fails as a whole is run again element by element: who crashes alone is to blame. Those come before new
 * chunks, and before them elements that try again: of either kind there are never more than chunks under way.
 */
#include "flow/relay_state.h"

#include <string.h>

#include "message/object.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/waiter.h"

#define RELAY_CHUNK_NS BRG_MILLISECONDS(1) /* a message and its answer are a few microseconds' work */
#define RELAY_TIMEOUT_PART 8               /* ... but no more than this part of the pool's timeout */
#define RELAY_AHEAD 2                      /* chunks a worker */
#define RELAY_LOOK_NS BRG_MILLISECONDS(5)  /* how often a waiting caller looks at its token */

/* ---- life -------------------------------------------------------------------------------------------------------- */

void brg__relay_unref(brg__relay *self)
{
    if (brg_sub_acq_rel(&self->xreferences, 1u) == 1)
        brg__mfree(self);
}

void brg__relay_free(brg__relay *self)
{
    brg_pool *pool = self->pool;
    brg_token_watch_destroy(self->watch);
    brg__results_done(&self->results);
    brg_builder_destroy(self->builder);
    brg_value_unref(self->items);
    brg_token_unref(self->options.token);
    brg__mfree(self->alone);
    brg__relay_unref(self);
    brg__strand_drop_pool(pool);
}

static bool relay_ended(brg__strand *strand, brg_status status, const brg_error *error);

static brg__relay *relay_new(brg_pool *pool, const char *name, const brg_value *items, const brg_flow_options *options)
{
    uint64_t count = brg_view_count(brg_value_root(items));
    uint32_t chunks = options->workers_max * RELAY_AHEAD;
    brg__relay *self = brg__calloc(1, sizeof(*self) + chunks * sizeof(self->chunks[0]));
    if (self == NULL)
        return NULL;
    brg__strand_hold_pool(pool);
    self->xreferences = 1;
    self->pool = pool;
    memcpy(self->name, name, strlen(name) + 1);
    self->items = brg_value_ref(items);
    self->options = *options;
    if (options->token != NULL)
        brg_token_ref(options->token);
    brg__seen_init(&self->seen, pool, options->name != NULL ? options->name : name, NULL);
    self->failed_at = UINT64_MAX;
    self->chunk_count = chunks;
    self->rule = (brg__chunk_rule){
        .min = brg__max(1, options->chunk_min),
        .max = options->chunk_max == 0 ? UINT64_MAX : options->chunk_max,
        .time_ns = brg__max(1, brg__min(RELAY_CHUNK_NS, brg__strand_run_timeout(pool) / RELAY_TIMEOUT_PART)),
        .strands = chunks};
    brg__lock_init(&self->lock, BRG__RANK_LEAF, "relay");
    brg__list_init(&self->idle);
    brg__list_init(&self->ended);
    for (uint32_t i = 0; i < chunks; i++) {
        brg__relay_chunk *chunk = &self->chunks[i];
        chunk->relay = self;
        chunk->strand = (brg__strand){
            .pool = pool, .priority = options->priority, .ended = relay_ended, .flow = &self->seen};
        brg__list_push_back(&self->idle, &chunk->node);
    }
    self->alone = brg__calloc(2 * chunks, sizeof(*self->alone));
    if (self->alone == NULL || brg__results_init(&self->results, count) != BRG_OK ||
        brg_builder_create(&self->builder, NULL) != BRG_OK) {
        brg__relay_free(self);
        return NULL;
    }
    return self;
}

/* Its task settled. Under the pool's lock. */
static bool relay_ended(brg__strand *strand, brg_status status, const brg_error *error)
{
    brg__relay_chunk *chunk = brg__container_of(strand, brg__relay_chunk, strand);
    brg__relay *self = chunk->relay;
    chunk->status = status;
    if (error != NULL)
        chunk->error = *error;
    else
        brg_error_set(&chunk->error, status, "flow", "%s", brg_status_text(status));
    brg_pool *pool = self->pool;
    bool in_background = self->options.done != NULL;
    brg__lock_acquire(&self->lock);
    brg__list_push_back(&self->ended, &chunk->node);
    bool posts = in_background && !self->is_posted;
    self->is_posted = self->is_posted || in_background;
    brg_store_release(&self->xepoch, self->xepoch + 1);
    brg__futex_wake(&self->xepoch, INT32_MAX, BRG__FUTEX_PRIVATE);
    brg__lock_release(&self->lock); /* the waiting caller may have freed it by now */
    if (posts)
        brg__strand_tell(pool, &self->completion);
    return false;
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static void relay_close(brg__relay *self, brg_status status, const brg_error *error)
{
    self->closed = true;
    if (self->status != BRG_OK)
        return;
    self->status = status;
    if (error != NULL)
        self->error = *error;
    else
        brg_error_set(&self->error, status, "flow", "%s", brg_status_text(status));
}

static void relay_failed(void *argument, uint64_t index, const brg_error *error)
{
    brg__relay *self = argument;
    self->failures++;
    if (self->options.errors >= BRG_FLOW_SKIP)
        return;
    if (index < self->failed_at) {
        self->failed_at = index;
        self->status = error->status;
        self->error = *error;
    }
    if (self->options.errors == BRG_FLOW_STOP)
        self->closed = true;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void relay_add_alone(brg__relay *self, const brg__relay_chunk *chunk)
{
    bool is_chunk = chunk->end - chunk->first > 1;
    brg__relay_range *last = &self->alone[self->alone_count++], *range = last;
    if (is_chunk) {
        range = &self->alone[self->alone_chunks++];
        *last = *range;
    }
    *range = (brg__relay_range){chunk->first, chunk->end, is_chunk ? 0 : chunk->attempts};
}

/* It failed as a whole. */
static void relay_take_failure(brg__relay *self, brg__relay_chunk *chunk)
{
    bool is_ours = chunk->status == BRG_CANCELLED || chunk->status == BRG_CLOSED || chunk->status == BRG_UNAVAILABLE;
    bool again = brg__strand_tries_again(self->pool, chunk->status, chunk->attempts);
    if (is_ours) {
        relay_close(self, chunk->status, &chunk->error);
    } else if (chunk->end - chunk->first > 1 || again) {
        relay_add_alone(self, chunk);
    } else {
        if (!brg__results_put_error(&self->results, chunk->first, &chunk->error))
            relay_close(self, BRG_NO_MEMORY, NULL);
        relay_failed(self, chunk->first, &chunk->error);
    }
}

static void relay_take(brg__relay *self, brg__relay_chunk *chunk)
{
    brg__answer answer = {.first = chunk->first,
                          .end = chunk->end,
                          .value = chunk->strand.output,
                          .stops = self->options.errors == BRG_FLOW_STOP,
                          .failed = relay_failed,
                          .argument = self};
    chunk->strand.output = NULL;
    brg_value_unref(chunk->strand.input);
    chunk->strand.input = NULL;
    self->under_way--;
    chunk->is_under_way = false;
    if (chunk->status == BRG_OK) {
        chunk->status = brg__results_take(&self->results, &answer);
        if (chunk->status != BRG_OK)
            brg_error_set(&chunk->error, chunk->status, "flow", "%s", brg_status_text(chunk->status));
        else if (answer.was_stopped)
            relay_close(self, BRG_CANCELLED, NULL); /* no rule excuses what never began */
    } else {
        brg_value_unref(answer.value);
    }
    if (chunk->status == BRG_OK)
        self->cost = brg__chunk_learn(self->cost, answer.run_ns, chunk->end - chunk->first);
    else
        relay_take_failure(self, chunk);
    brg__list_push_back(&self->idle, &chunk->node);
}

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

/* The next range: one of a chunk that failed, alone; or new ones. False: there is none. */
static bool relay_next(brg__relay *self, brg__relay_chunk *chunk)
{
    if (self->alone_count != 0) {
        brg__relay_range *range = &self->alone[self->alone_count - 1];
        chunk->attempts = range->attempts;
        chunk->first = range->first++;
        chunk->end = range->first;
        if (range->first == range->end)
            self->alone_chunks = brg__min(self->alone_chunks, --self->alone_count);
        return true;
    }
    if (self->next == self->results.count)
        return false;
    uint64_t size = brg__chunk_size(&self->rule, self->results.count - self->next, self->cost, chunk->last);
    chunk->last = size;
    chunk->attempts = 0;
    chunk->first = self->next;
    chunk->end = self->next += size;
    return true;
}

static brg_status relay_build(brg__relay *self, brg__relay_chunk *chunk, brg_error *error)
{
    brg_view items = brg_value_root(self->items);
    brg_builder_list(self->builder);
    brg_builder_string(self->builder, self->name);
    brg_builder_bool(self->builder, self->options.errors == BRG_FLOW_STOP);
    brg_builder_list(self->builder);
    for (uint64_t i = chunk->first; i < chunk->end; i++)
        brg_builder_view(self->builder, brg_view_at(items, (size_t)i));
    brg_builder_end(self->builder);
    brg_builder_end(self->builder);
    return brg_builder_finish(self->builder, &chunk->strand.input, error);
}

/* Its input, of fewer elements where a message has no room for all: what is left comes alone, unless it can be given
 * back. */
static brg_status relay_build_fitting(brg__relay *self, brg__relay_chunk *chunk, brg_error *error)
{
    size_t most = brg__strand_bytes_max(self->pool);
    for (;;) {
        brg_status status = relay_build(self, chunk, error);
        if (status != BRG_OK)
            return status;
        size_t bytes = brg__value_copied_bytes(chunk->strand.input);
        if (bytes <= most)
            return BRG_OK;
        brg_value_unref(chunk->strand.input);
        chunk->strand.input = NULL;
        if (chunk->end - chunk->first == 1)
            return brg_error_set(error, BRG_TOO_LARGE, "flow", "element %llu has %zu bytes, message_bytes_max is %zu",
                                 (unsigned long long)chunk->first, bytes, most);
        chunk->end = chunk->first + (chunk->end - chunk->first) / 2; /* only of new ones, the last claimed */
        chunk->last = chunk->end - chunk->first;
        self->next = chunk->end;
    }
}

static void relay_send(brg__relay *self, brg__relay_chunk *chunk)
{
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_status status = relay_build_fitting(self, chunk, &error);
    if (status == BRG_TOO_LARGE) {
        if (!brg__results_put_error(&self->results, chunk->first, &error))
            relay_close(self, BRG_NO_MEMORY, NULL);
        relay_failed(self, chunk->first, &error);
        brg__list_push_back(&self->idle, &chunk->node);
        return;
    }
    chunk->attempts++;
    if (status == BRG_OK) {
        self->under_way++;
        chunk->is_under_way = true;
        chunk->strand.is_more = self->has_begun;
        chunk->strand.first = chunk->first;
        chunk->strand.end = chunk->end;
        status = brg__strand_start(&chunk->strand, &error);
        self->has_begun = true;
        if (status == BRG_OK)
            return;
        self->under_way--;
        chunk->is_under_way = false;
    }
    brg_value_unref(chunk->strand.input);
    chunk->strand.input = NULL;
    brg__list_push_back(&self->idle, &chunk->node);
    if (status == BRG_CLOSED && self->options.done != NULL)
        relay_close(self, BRG_CANCELLED, NULL); /* it was accepted before the pool closed */
    else
        relay_close(self, status, &error);
}

static void relay_feed(brg__relay *self)
{
    while (!self->closed && !brg__list_is_empty(&self->idle)) {
        brg__relay_chunk *chunk = brg__container_of(brg__list_pop_front(&self->idle), brg__relay_chunk, node);
        if (!relay_next(self, chunk)) {
            brg__list_push_front(&self->idle, &chunk->node);
            return;
        }
        relay_send(self, chunk);
    }
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static void relay_look_asked(brg__relay *self)
{
    const brg_context *context = self->options.done == NULL ? brg_context_current() : NULL;
    bool asked = context != NULL && brg_context_cancelled(context);
    if (self->was_asked || (!asked && !brg_token_is_cancelled(self->options.token)))
        return;
    self->was_asked = true;
    if (self->under_way == 0 && self->next == self->results.count && self->alone_count == 0)
        return;
    relay_close(self, BRG_CANCELLED, NULL);
    for (uint32_t i = 0; i < self->chunk_count; i++)
        if (self->chunks[i].is_under_way)
            brg__strand_cancel(&self->chunks[i].strand);
}

bool brg__relay_step(brg__relay *self)
{
    brg__list ended;
    brg__node *node;
    brg__list_init(&ended);
    brg__lock_acquire(&self->lock);
    brg__list_splice_back(&ended, &self->ended);
    self->is_posted = false;
    brg__lock_release(&self->lock);
    while ((node = brg__list_pop_front(&ended)) != NULL)
        relay_take(self, brg__container_of(node, brg__relay_chunk, node));
    relay_look_asked(self);
    relay_feed(self);
    return self->under_way == 0;
}

brg_status brg__relay_finish(brg__relay *self, brg_value **out, brg_error *error)
{
    brg_status status = self->status;
    brg__seen_ended(&self->seen, status, self->failures, false);
    if (self->options.failures != NULL)
        *self->options.failures = self->failures;
    if (status == BRG_OK)
        return brg__results_list(&self->results, self->options.errors, out, error);
    if (error != NULL) {
        *error = self->error;
        error->status = status;
    }
    return status;
}

static void relay_wait(brg__relay *self)
{
    for (;;) {
        uint32_t epoch = brg_load_acquire(&self->xepoch);
        if (brg__relay_step(self))
            return;
        uint64_t until = brg__waiter_slice(UINT64_MAX);
        if (self->options.token != NULL)
            until = brg__min(until, brg__add_saturated(brg__now(), RELAY_LOOK_NS));
        brg__futex_wait(&self->xepoch, epoch, until, BRG__FUTEX_PRIVATE);
    }
}

brg_status brg__relay_run(brg_pool *pool, const char *name, const brg_value *items, const brg_flow_options *options,
                          brg_value **out, brg_error *error)
{
    brg__relay *self = relay_new(pool, name, items, options);
    if (self == NULL)
        return brg__error_memory(error, "a flow");
    brg__seen_started(&self->seen, self->results.count);
    if (options->done != NULL)
        return brg__relay_run_in_background(self, error);
    relay_wait(self);
    brg_status status = brg__relay_finish(self, out, error);
    brg__relay_free(self);
    return status;
}
