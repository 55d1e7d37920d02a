/* SPDX-License-Identifier: MIT */
/*
 * Which tasks are timed. A clock reading costs a third of an empty task, so that when tasks come fast only one of N is,
 * and counts as N.
 *
 * Stratified sampling (Cochran, Sampling Techniques, ch. 5): of each block of N tasks in a row one is chosen, all
 * equally likely. So each task has the same chance whatever pattern they come in, no period of the caller's can fall in
 * step with it, and the weights add up to the number of tasks but for the last block. N is a power of two, set when a
 * block ends, so that about one task is timed in each BRG__SAMPLE_NS: 1 for tasks that come slower than that. A block
 * that began when tasks were fast is broken off when somebody is idle; that depends on time alone and not on the choice
 * within the block, so the estimate stays unbiased (Horvitz and Thompson, 1952).
 */
#ifndef BRG_POOL_SAMPLER_H
#define BRG_POOL_SAMPLER_H

#include <stdbool.h>

#include "base/random.h"
#include "base/util.h"

#define BRG__SAMPLE_NS 32000
#define BRG__SAMPLE_REST_NS (8 * (uint64_t)BRG__SAMPLE_NS) /* longer than from one to the next while tasks come fast */
#define BRG__SAMPLE_SHIFT_MAX 10                           /* one of 1024 */
#define BRG__SAMPLE_SHIFT_STEP 2 /* a block is at most so many doublings longer than the one before */

typedef struct brg__sampler {
    uint64_t left; /* tasks up to the next that is chosen; 0, as it is made: none ever */
    uint64_t gap;  /* what `left` began with */
    uint64_t last_ns;
    uint64_t random;
    uint32_t shift, offset; /* the block has 1 << shift tasks, of which the chosen one is number `offset` */
} brg__sampler;

static inline void brg__sampler_init(brg__sampler *sampler, uint64_t now_ns, uint64_t seed)
{
    *sampler = (brg__sampler){.left = 1, .gap = 1, .last_ns = now_ns, .random = seed};
}

/* A task is submitted: whether it is the chosen one. Then brg__sampler_take follows. */
static inline bool brg__sampler_is_next(brg__sampler *sampler) { return BRG__UNLIKELY(--sampler->left == 0); }

/* Its weight, as a power of two; chooses the next one. */
static inline uint32_t brg__sampler_take(brg__sampler *sampler, uint64_t now_ns)
{
    uint32_t weight = sampler->shift, shift = weight;
    uint64_t rest = (UINT64_C(1) << weight) - 1 - sampler->offset;
    uint64_t each = now_ns > sampler->last_ns ? (now_ns - sampler->last_ns) / sampler->gap : 0;
    if (now_ns > sampler->last_ns) {
        uint32_t most = (uint32_t)brg__min(weight + BRG__SAMPLE_SHIFT_STEP, BRG__SAMPLE_SHIFT_MAX);
        for (shift = 0; shift < most && (each << shift) < BRG__SAMPLE_NS; shift++)
            ;
    }
    sampler->last_ns = now_ns;
    sampler->shift = shift;
    sampler->offset = (uint32_t)brg__random_next(&sampler->random) & ((1u << shift) - 1);
    sampler->left = sampler->gap = rest + sampler->offset + 1;
    return weight;
}

/* Somebody is idle, or looks: what was learnt when tasks came fast does not count any more. */
static inline void brg__sampler_rest(brg__sampler *sampler, uint64_t now_ns)
{
    if (BRG__LIKELY(sampler->shift == 0) || now_ns - sampler->last_ns < BRG__SAMPLE_REST_NS)
        return;
    sampler->shift = sampler->offset = 0;
    sampler->left = sampler->gap = 1;
    sampler->last_ns = now_ns;
}

#endif
