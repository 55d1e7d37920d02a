/* SPDX-License-Identifier: MIT */
/*
 * Map and reduce over ranges.
 *
 * Ordered: each chunk is folded into a part of its own. Parts wait, sorted, until all before them are combined; whoever
 * ends a chunk while nobody combines does so for all whose turn it is, from left to right, without the lock. Unordered:
 * a part for each strand, which at the end are combined.
 *
 * A part that has done its duty is used again. A strand that was abandoned may come back after the end, with a part:
 * that one is discarded then.
 */
#include <string.h>

#include "base/list.h"
#include "base/options.h"
#include "flow/sweep.h"
#include "os/memory.h"

typedef struct reduce_part {
    brg__node node;
    uint64_t first, end;
    BRG__ALIGNED(16) char accumulator[];
} reduce_part;

typedef struct reduce_work {
    brg__sweep_work work;
    brg_reduction reduction;
    bool unordered;
    void *result; /* the caller's */
    reduce_part *identity;

    brg__lock lock;          /* a leaf; guards what follows */
    brg__list free_ones;     /* parts that hold nothing */
    brg__list waiting;       /* ordered: parts, by first */
    reduce_part *done;       /* ordered: of [0, done->end) */
    reduce_part **by_strand; /* unordered: each strand's own; NULL: it has none yet */
    uint32_t strands;
    bool is_combining; /* or never again: it failed */
} reduce_work;

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static reduce_part *part_of(brg__node *node)
{
    return node == NULL ? NULL : brg__container_of(node, reduce_part, node);
}

static reduce_part *part_new(reduce_work *reduce)
{
    brg__lock_acquire(&reduce->lock);
    reduce_part *part = part_of(brg__list_pop_front(&reduce->free_ones));
    brg__lock_release(&reduce->lock);
    if (part == NULL)
        part = brg__calloc(1, sizeof(*part) + reduce->reduction.accumulator_bytes);
    if (part != NULL)
        memcpy(part->accumulator, reduce->identity->accumulator, reduce->reduction.accumulator_bytes);
    return part;
}

static void part_discard(const reduce_work *reduce, reduce_part *part)
{
    if (part != NULL && reduce->reduction.discard != NULL)
        reduce->reduction.discard(part->accumulator, reduce->reduction.state);
    brg__mfree(part);
}

/* All that hold something. */
static void reduce_discard(reduce_work *reduce)
{
    reduce_part *part;
    part_discard(reduce, reduce->done);
    reduce->done = NULL;
    while ((part = part_of(brg__list_pop_front(&reduce->waiting))) != NULL)
        part_discard(reduce, part);
    for (uint32_t i = 0; reduce->by_strand != NULL && i < reduce->strands; i++) {
        part_discard(reduce, reduce->by_strand[i]);
        reduce->by_strand[i] = NULL;
    }
}

static void reduce_fail_memory(reduce_work *reduce, uint64_t index)
{
    brg_error why;
    memset(&why, 0, sizeof(why));
    brg_status status = brg__error_memory(&why, "an accumulator");
    brg__sweep_fail(reduce->work.sweep, index, status, &why);
}

static brg_status reduce_combine(const reduce_work *reduce, reduce_part *into, reduce_part *from, brg_error *why)
{
    brg_status status = reduce->reduction.combine(into->accumulator, from->accumulator, reduce->reduction.state);
    if (status == BRG_OK)
        return BRG_OK;
    if (strcmp(brg_status_name(status), "BRG_?") == 0 || status > 0)
        status = BRG_FAILED;
    return brg_error_set(why, status, "flow", "combining failed: %s", brg_status_text(status));
}

/* Folds the chunk; false when that failed, which has been told. */
static bool reduce_fold(reduce_work *reduce, brg_context *context, uint64_t first, uint64_t end, reduce_part *part)
{
    brg_error why;
    brg_status status = reduce->reduction.fold(context, (size_t)first, (size_t)end, part->accumulator,
                                               reduce->reduction.state);
    if (BRG__LIKELY(status == BRG_OK))
        return true;
    status = brg__strand_conclude(context, status, &why);
    brg__sweep_fail(reduce->work.sweep, first, status, &why);
    return false;
}

/* ---- ordered ----------------------------------------------------------------------------------------------------- */

/* Among those that wait. Chunks are claimed in order, so its place is among the last few. */
static void ordered_insert_locked(reduce_work *reduce, reduce_part *part)
{
    brg__node *next = &reduce->waiting.head;
    while (next->previous != &reduce->waiting.head && part_of(next->previous)->first > part->first)
        next = next->previous;
    brg__list_insert_before(next, &part->node);
}

/* The part whose turn it is, out of those that wait; NULL: it is not there yet. */
static reduce_part *ordered_next_locked(reduce_work *reduce)
{
    uint64_t reached = reduce->done == NULL ? 0 : reduce->done->end;
    if (brg__list_is_empty(&reduce->waiting) || part_of(reduce->waiting.head.next)->first != reached)
        return NULL;
    return part_of(brg__list_pop_front(&reduce->waiting));
}

/* Combines all whose turn it is. The lock is held, and released meanwhile. */
static void ordered_combine_locked(reduce_work *reduce)
{
    reduce_part *part;
    brg_error why;
    brg_status status = BRG_OK;
    reduce->is_combining = true;
    while (status == BRG_OK && (part = ordered_next_locked(reduce)) != NULL) {
        if (reduce->done == NULL) {
            reduce->done = part;
            continue;
        }
        brg__lock_release(&reduce->lock);
        status = reduce_combine(reduce, reduce->done, part, &why);
        if (status != BRG_OK)
            brg__sweep_fail(reduce->work.sweep, part->first, status, &why);
        brg__lock_acquire(&reduce->lock);
        if (status == BRG_OK)
            reduce->done->end = part->end;
        brg__list_push_back(status == BRG_OK ? &reduce->free_ones : &reduce->waiting, &part->node);
    }
    reduce->is_combining = status != BRG_OK;
}

static void reduce_run_ordered(brg__sweep_work *work, brg_context *context, uint64_t first, uint64_t end,
                               uint32_t strand)
{
    reduce_work *reduce = brg__container_of(work, reduce_work, work);
    (void)strand;
    reduce_part *part = part_new(reduce);
    if (part == NULL) {
        reduce_fail_memory(reduce, first);
        return;
    }
    part->first = first;
    part->end = end;
    bool folded = reduce_fold(reduce, context, first, end, part);
    brg__lock_acquire(&reduce->lock);
    if (folded)
        ordered_insert_locked(reduce, part);
    if (folded && !reduce->is_combining)
        ordered_combine_locked(reduce);
    brg__lock_release(&reduce->lock);
    if (!folded)
        part_discard(reduce, part);
}

/* ---- unordered --------------------------------------------------------------------------------------------------- */

static void reduce_run_unordered(brg__sweep_work *work, brg_context *context, uint64_t first, uint64_t end,
                                 uint32_t strand)
{
    reduce_work *reduce = brg__container_of(work, reduce_work, work);
    reduce_part *part = reduce->by_strand[strand];
    if (part == NULL)
        part = reduce->by_strand[strand] = part_new(reduce);
    if (part == NULL)
        reduce_fail_memory(reduce, first);
    else
        (void)reduce_fold(reduce, context, first, end, part);
}

static brg_status unordered_combine(reduce_work *reduce, brg_error *error)
{
    for (uint32_t i = 0; i < reduce->strands; i++) {
        reduce_part *part = reduce->by_strand[i];
        if (part != NULL && reduce->done != NULL) {
            brg_status status = reduce_combine(reduce, reduce->done, part, error);
            if (status != BRG_OK)
                return status;
            brg__mfree(part);
        } else if (part != NULL) {
            reduce->done = part;
        }
        reduce->by_strand[i] = NULL;
    }
    return BRG_OK;
}

/* ---- from start to end ------------------------------------------------------------------------------------------- */

static brg_status reduce_finish(brg__sweep_work *work, brg_status status, brg_value **output, brg_error *error)
{
    reduce_work *reduce = brg__container_of(work, reduce_work, work);
    (void)output;
    if (brg__sweep_has_lost(work->sweep))
        return status; /* who was lost has a part, or combines: the last one discards all */
    if (status == BRG_OK && reduce->unordered)
        status = unordered_combine(reduce, error);
    if (status == BRG_OK && reduce->done != NULL) {
        if (reduce->reduction.accumulator_bytes != 0)
            memcpy(reduce->result, reduce->done->accumulator, reduce->reduction.accumulator_bytes);
        brg__mfree(reduce->done);
        reduce->done = NULL;
    }
    reduce_discard(reduce); /* here, not when the last strand goes: the caller's state may be gone then */
    return status;
}

static void reduce_free(brg__sweep_work *work)
{
    reduce_work *reduce = brg__container_of(work, reduce_work, work);
    brg__node *node;
    reduce_discard(reduce);
    while ((node = brg__list_pop_front(&reduce->free_ones)) != NULL)
        brg__mfree(part_of(node));
    brg__mfree(reduce->by_strand);
    brg__mfree(reduce->identity);
    brg__mfree(reduce);
}

static reduce_work *reduce_new(const brg_reduction *reduction, void *result, const brg_flow_options *options)
{
    reduce_work *reduce = brg__calloc(1, sizeof(*reduce));
    if (reduce == NULL)
        return NULL;
    reduce->reduction = *reduction;
    reduce->result = result;
    reduce->unordered = options->unordered;
    reduce->strands = options->workers_max + 1;
    brg__list_init(&reduce->free_ones);
    brg__list_init(&reduce->waiting);
    brg__lock_init(&reduce->lock, BRG__RANK_LEAF, "reduction");
    reduce->work.run = options->unordered ? reduce_run_unordered : reduce_run_ordered;
    reduce->work.finish = reduce_finish;
    reduce->work.free = reduce_free;
    reduce->work.function = (void (*)(void))reduction->fold;
    reduce->identity = brg__calloc(1, sizeof(*reduce->identity) + reduction->accumulator_bytes);
    reduce->by_strand = brg__calloc(reduce->strands, sizeof(*reduce->by_strand));
    if (reduce->identity == NULL || reduce->by_strand == NULL) {
        reduce_free(&reduce->work);
        return NULL;
    }
    if (reduction->accumulator_bytes != 0)
        memcpy(reduce->identity->accumulator, result, reduction->accumulator_bytes);
    return reduce;
}

static brg_status reduce_check(brg_reduction *to, const brg_reduction *from, const void *result, brg_error *error)
{
    brg_status status = from == NULL ? BRG_INVALID : brg__options_read(to, sizeof(*to), from, "brg_reduction", error);
    if (from != NULL && status != BRG_OK)
        return status;
    if (from == NULL || to->fold == NULL || to->combine == NULL)
        return brg_error_set(error, BRG_INVALID, "flow", "a reduction needs the functions fold and combine");
    if (result == NULL && to->accumulator_bytes != 0)
        return brg_error_set(error, BRG_INVALID, "flow", "result must not be NULL: accumulators begin as copies of it");
    if (to->accumulator_bytes > SIZE_MAX / 2)
        return brg_error_set(error, BRG_INVALID, "flow", "accumulator_bytes is %zu", to->accumulator_bytes);
    return BRG_OK;
}

brg_status brg_map_reduce(brg_pool *pool, size_t count, const brg_reduction *given, void *result,
                          const brg_flow_options *given_options, brg_error *error)
{
    brg_flow_options options;
    brg_reduction reduction;
    memset(&reduction, 0, sizeof(reduction));
    brg_status status = brg__sweep_read_arrays(&options, pool, given_options, 1u << BRG_FLOW_STOP, error);
    if (status == BRG_OK)
        status = reduce_check(&reduction, given, result, error);
    if (status != BRG_OK)
        return status;
    reduce_work *reduce = reduce_new(&reduction, result, &options);
    if (reduce == NULL)
        return brg__error_memory(error, "a flow");
    return brg__sweep_run(pool, count, &reduce->work, &options, NULL, error);
}
