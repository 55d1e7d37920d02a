/* SPDX-License-Identifier: MIT */
/*
 * Flags between a test and functions that its pools run, and a plug: a task that keeps its worker until it is let go.
 * Plain words, so that a thread that was given up may look at one that is static for as long as it lives.
 */
#ifndef TESTS_PLUG_H
#define TESTS_PLUG_H

#include <sched.h>

#include "scenario.h"

static inline void flag_wait(const uint32_t *flag, uint32_t value)
{
    while (__atomic_load_n(flag, __ATOMIC_ACQUIRE) != value)
        sched_yield();
}

static inline void flag_set(uint32_t *flag) { __atomic_store_n(flag, 1, __ATOMIC_RELEASE); }

typedef struct plug {
    uint32_t xbegan; /* so many workers are in it */
    uint32_t xgo;
} plug;

static inline brg_status plug_task(brg_context *context, void *argument)
{
    plug *self = argument;
    (void)context;
    __atomic_fetch_add(&self->xbegan, 1, __ATOMIC_ACQ_REL);
    flag_wait(&self->xgo, 1);
    return BRG_OK;
}

/* So many workers are in it: returns when they are. */
static inline void plug_wait(const plug *self, uint32_t count)
{
    while (__atomic_load_n(&self->xbegan, __ATOMIC_ACQUIRE) < count)
        sched_yield();
}

/* A worker of the pool, which has none in it yet, is kept from now on. */
static inline void plug_put(plug *self, brg_pool *pool)
{
    assert_int_equal(brg_pool_call(pool, plug_task, self, NULL, NULL), BRG_OK);
    plug_wait(self, 1);
}

/* Lets all go who are in it or will be. */
static inline void plug_pull(plug *self) { flag_set(&self->xgo); }

#endif
