/* SPDX-License-Identifier: MIT */
/* For the tests of queue policies: one instance, items, and random numbers that are the same each time. */
#ifndef BRG_POOL_QUEUE_FIXTURE_H
#define BRG_POOL_QUEUE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <brigade/policy.h>

typedef struct test_queue {
    const brg_queue_policy *policy;
    void *state;
    uint64_t now_ns;
} test_queue;

static inline test_queue test_queue_open(const brg_queue_policy *policy, const brg_pool_options *options)
{
    test_queue queue = {.policy = policy, .state = calloc(1, policy->state_bytes)};
    assert_non_null(queue.state);
    policy->init(queue.state, options);
    return queue;
}

static inline void test_queue_close(test_queue *queue)
{
    assert_null(queue->policy->pop(queue->state, queue->now_ns));
    if (queue->policy->done != NULL)
        queue->policy->done(queue->state);
    free(queue->state);
}

/* Pushes it as the pool does: links are garbage, since_ns is now. */
static inline void test_push(test_queue *queue, brg_item *item)
{
    memset(item->link, 0xa5, sizeof(item->link));
    item->since_ns = queue->policy->wants_time ? queue->now_ns : 0;
    queue->policy->push(queue->state, item);
}

static inline void test_push_front(test_queue *queue, brg_item *item)
{
    memset(item->link, 0xa5, sizeof(item->link));
    queue->policy->push_front(queue->state, item);
}

static inline brg_item *test_pop(test_queue *queue) { return queue->policy->pop(queue->state, queue->now_ns); }

static inline void test_drain(test_queue *queue)
{
    while (test_pop(queue) != NULL) {
    }
}

/* xorshift64* (Vigna 2016), below `bound`. */
static inline uint64_t test_random(uint64_t *seed, uint64_t bound)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return (*seed * UINT64_C(0x2545f4914f6cdd1d) >> 16) % bound;
}

#endif
