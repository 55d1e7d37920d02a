/* SPDX-License-Identifier: MIT */
/*
 * How many elements go into the next chunk. As many as take BRG__CHUNK_NS, by what elements took lately, since a claim
 * costs 100 ns or so; never more than what is left by twice the strands, so that the last ones are small (guided
 * self-scheduling: Polychronopoulos, Kuck 1987; halved as in factoring: Hummel, Schonberg, Flynn 1992); and at most
 * eight times as many as the strand had before, because what one element took says little of the next.
 */
#ifndef BRG_FLOW_CHUNK_H
#define BRG_FLOW_CHUNK_H

#include "base/util.h"

#define BRG__CHUNK_NS UINT64_C(100000)
#define BRG__CHUNK_GROWTH 8

/* Costs of an element are in 1/256 ns; 0: not known. */
#define BRG__CHUNK_COST_SHIFT 8

typedef struct brg__chunk_rule {
    uint64_t min, max; /* elements; 1 <= min <= max */
    uint64_t time_ns;  /* that it should take */
    uint32_t strands;
} brg__chunk_rule;

/* `remaining` is not 0; `last`: the strand's chunk before, 0: none. From 1 to `remaining`. */
static inline uint64_t brg__chunk_size(const brg__chunk_rule *rule, uint64_t remaining, uint64_t cost, uint64_t last)
{
    uint64_t size = last == 0 ? 1 : brg__max(last, last * BRG__CHUNK_GROWTH);
    if (cost != 0)
        size = brg__min(size, brg__max(1, (rule->time_ns << BRG__CHUNK_COST_SHIFT) / cost));
    size = brg__min(size, brg__max(1, remaining / (2 * (uint64_t)rule->strands)));
    size = brg__min(brg__max(size, rule->min), rule->max);
    return brg__min(size, remaining);
}

/* The cost, after `count` elements took `elapsed_ns`: half of what it was, since work changes along an array. */
static inline uint64_t brg__chunk_learn(uint64_t cost, uint64_t elapsed_ns, uint64_t count)
{
    uint64_t seen = (brg__min(elapsed_ns, UINT64_MAX >> (BRG__CHUNK_COST_SHIFT + 1)) << BRG__CHUNK_COST_SHIFT) / count;
    seen = brg__max(1, seen);
    return cost == 0 ? seen : brg__max(1, cost / 2 + seen / 2);
}

#endif
