/* SPDX-License-Identifier: MIT */
/*
 * Traces: a store for each pool, and the copies of them that are written.
 *
 * The lock is taken before that of any pool. It guards the list of sources. Who writes, one at a time (xwriting), reads
 * one source after the other without it: sources are added meanwhile, but none goes. A source keeps the memory of its pool, not its workers.
 */
#include "pool/trace.h"

#include <string.h>

#include "base/options.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/futex.h"
#include "os/memory.h"
#include "os/thread.h"

#define TRACE_EVENTS_MAX 131072

struct brg_trace {
    brg_trace_options options;
    brg__lock lock;
    brg__list sources;
    uint32_t source_count;
    uint32_t xwriting; /* somebody writes */
    uint32_t generation;
};

brg_status brg_trace_create(brg_trace **out, const brg_trace_options *given, brg_error *error)
{
    brg_trace_options options;
    if (out == NULL)
        return brg_error_set(error, BRG_INVALID, "trace", "out must not be NULL");
    brg_status status = brg__options_read(&options, sizeof(options), given, "brg_trace_options", error);
    if (status != BRG_OK)
        return status;
    brg_trace *trace = brg__calloc(1, sizeof(*trace));
    if (trace == NULL)
        return brg__error_memory(error, "a trace");
    trace->options = options;
    if (trace->options.events_max == 0)
        trace->options.events_max = TRACE_EVENTS_MAX;
    trace->generation = brg__fork_generation();
    brg__lock_init(&trace->lock, BRG__RANK_LIBRARY, "trace");
    brg__list_init(&trace->sources);
    *out = trace;
    return BRG_OK;
}

/* ---- sources ----------------------------------------------------------------------------------------------------- */

static void trace_free_source(brg__trace_source *source)
{
    brg__store_unref(source->store);
    brg__names_unref(source->names);
    brg__mfree(source);
}

static brg_status trace_new_source(brg__trace_source **out, const brg_trace *trace, brg_pool *pool, brg_error *error)
{
    uint64_t mask = BRG_EVENTS_TASKS | BRG_EVENTS_WORKERS | BRG_EVENTS_POOL | BRG_EVENTS_FLOWS;
    if (trace->options.details)
        mask = BRG_EVENTS_ALL;
    brg__trace_source *source = brg__calloc(1, sizeof(*source));
    brg__store *store = brg__store_new(mask, trace->options.events_max, !trace->options.stops_when_full);
    if (source == NULL || store == NULL) {
        brg__store_unref(store);
        brg__mfree(source);
        return brg__error_memory(error, "a trace of a pool");
    }
    source->store = store;
    source->has_processes = brg__pool_has_processes(pool);
    size_t size = brg__min(strlen(pool->options.name), sizeof(source->name) - 1);
    memcpy(source->name, pool->options.name, size);
    brg_status status = brg__observers_add(pool, store, error);
    if (status != BRG_OK) {
        trace_free_source(source);
        return status;
    }
    source->names = brg__names_of(pool);
    source->pool = pool;
    brg__pool_ref(pool);
    *out = source;
    return BRG_OK;
}

static brg_status trace_add_locked(brg_trace *trace, brg_pool *pool, brg_error *error)
{
    brg__trace_source *source;
    brg__list_for_each(node, &trace->sources)
        if (brg__container_of(node, brg__trace_source, node)->pool == pool)
            return brg_error_set(error, BRG_STATE, "trace", "the pool is in this trace already");
    brg_status status = trace_new_source(&source, trace, pool, error);
    if (status != BRG_OK)
        return status;
    source->number = ++trace->source_count;
    brg__list_push_back(&trace->sources, &source->node);
    return BRG_OK;
}

brg_status brg_trace_add(brg_trace *trace, brg_pool *pool, brg_error *error)
{
    if (trace == NULL || pool == NULL)
        return brg_error_set(error, BRG_INVALID, "trace", "neither the trace nor the pool may be NULL");
    if (trace->generation != brg__fork_generation())
        return brg_error_set(error, BRG_FORKED, "trace", "the trace belongs to the parent of this forked process");
    brg__lock_acquire(&trace->lock);
    brg_status status = trace_add_locked(trace, pool, error);
    brg__lock_release(&trace->lock);
    return status;
}

static void trace_writing_begin(brg_trace *trace)
{
    while (brg_exchange_acquire(&trace->xwriting, 1u) != 0)
        brg__futex_wait(&trace->xwriting, 1, UINT64_MAX, BRG__FUTEX_PRIVATE);
}

static void trace_writing_end(brg_trace *trace)
{
    brg_store_release(&trace->xwriting, 0u);
    brg__futex_wake(&trace->xwriting, INT32_MAX, BRG__FUTEX_PRIVATE);
}

static void trace_end_source(brg__trace_source *source)
{
    brg__observers_remove(source->pool, source->store);
    brg__pool_unref(source->pool);
    trace_free_source(source);
}

void brg__trace_forget(brg_trace *trace, const brg_pool *pool)
{
    brg__trace_source *found = NULL;
    if (trace->generation != brg__fork_generation())
        return;                 /* it was never added; its locks are the parent's */
    trace_writing_begin(trace); /* who writes walks the list without the lock */
    brg__lock_acquire(&trace->lock);
    brg__list_for_each(node, &trace->sources)
        if (brg__container_of(node, brg__trace_source, node)->pool == pool)
            found = brg__container_of(node, brg__trace_source, node);
    if (found != NULL)
        brg__list_remove(&found->node);
    brg__lock_release(&trace->lock);
    trace_writing_end(trace);
    if (found != NULL)
        trace_end_source(found);
}

void brg_trace_destroy(brg_trace *trace)
{
    brg__node *node;
    if (trace == NULL)
        return;
    while ((node = brg__list_pop_front(&trace->sources)) != NULL)
        trace_end_source(brg__container_of(node, brg__trace_source, node));
    brg__mfree(trace);
}

/* The source after this one; the first after NULL. Sources stay. */
static brg__trace_source *trace_next(brg_trace *trace, brg__trace_source *source)
{
    brg__lock_acquire(&trace->lock);
    brg__node *node = source == NULL ? trace->sources.head.next : source->node.next;
    bool is_end = node == &trace->sources.head;
    brg__lock_release(&trace->lock);
    return is_end ? NULL : brg__container_of(node, brg__trace_source, node);
}

brg_status brg_trace_get_stats(brg_trace *trace, brg_trace_stats *out)
{
    if (trace == NULL || out == NULL || out->size < sizeof(size_t))
        return BRG_INVALID;
    if (trace->generation != brg__fork_generation())
        return BRG_FORKED;
    brg_trace_stats stats;
    memset(&stats, 0, sizeof(stats));
    brg__lock_acquire(&trace->lock);
    brg__list_for_each(node, &trace->sources) {
        uint64_t events, lost, bytes;
        brg__store_count(brg__container_of(node, brg__trace_source, node)->store, &events, &lost, &bytes);
        stats.events += events;
        stats.lost += lost;
        stats.bytes += bytes;
    }
    brg__lock_release(&trace->lock);
    size_t size = out->size;
    memcpy(out, &stats, brg__min(size, sizeof(stats)));
    out->size = size;
    return BRG_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static brg_status trace_print(brg_trace *trace, brg__trace_text *text, brg_error *error)
{
    brg_trace_stats stats = {.size = sizeof(stats)};
    (void)brg_trace_get_stats(trace, &stats);
    uint64_t now = brg__now_real();
    brg__trace_begin(text, stats.lost);
    brg_status status = BRG_OK;
    for (brg__trace_source *source = trace_next(trace, NULL); source != NULL && status == BRG_OK;
         source = trace_next(trace, source)) {
        brg__record *records;
        size_t count;
        if (!brg__store_copy(source->store, now, &records, &count))
            return brg__error_memory(error, "a copy of the trace");
        status = brg__trace_source_print(text, source, records, count, now);
        brg__mfree(records);
    }
    if (status == BRG_NO_MEMORY && text->status == BRG_OK)
        return brg__error_memory(error, "writing a trace");
    return brg__trace_end(text);
}

brg_status brg_trace_print(brg_trace *trace, brg_json_write_fn write, void *user_data, brg_error *error)
{
    if (trace == NULL || write == NULL)
        return brg_error_set(error, BRG_INVALID, "trace", "neither the trace nor the function may be NULL");
    if (trace->generation != brg__fork_generation())
        return brg_error_set(error, BRG_FORKED, "trace", "the trace belongs to the parent of this forked process");
    brg__trace_text text = {.write = write, .user_data = user_data};
    trace_writing_begin(trace);
    brg_status status = trace_print(trace, &text, error);
    trace_writing_end(trace);
    if (status != BRG_OK && status == text.status)
        brg_error_set(error, status, "trace", "the function that takes the trace returned %s", brg_status_name(status));
    return status;
}

typedef struct trace_file {
    brg__file file;
    brg_error error;
} trace_file;

static brg_status trace_write_piece(void *user_data, const char *bytes, size_t size)
{
    trace_file *to = user_data;
    return brg__file_write(&to->file, bytes, size, &to->error);
}

brg_status brg_trace_write(brg_trace *trace, const char *path, brg_error *error)
{
    trace_file to = {.error.status = BRG_OK};
    if (trace == NULL)
        return brg_error_set(error, BRG_INVALID, "trace", "the trace must not be NULL");
    brg_status status = brg__file_begin(&to.file, path, error);
    if (status != BRG_OK)
        return status;
    status = brg_trace_print(trace, trace_write_piece, &to, error);
    if (status == BRG_OK)
        return brg__file_end(&to.file, error);
    brg__file_drop(&to.file);
    if (to.error.status != BRG_OK && error != NULL)
        *error = to.error;
    return status;
}
