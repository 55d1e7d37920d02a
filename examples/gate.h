/* SPDX-License-Identifier: MIT */
/*
 * What the examples of pools have in common: a gate, at which tasks keep workers while others queue behind them, so
 * that what the policies do shows, and is the same each time.
 */
#ifndef EXAMPLES_GATE_H
#define EXAMPLES_GATE_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <brigade.h>

static inline int fail(const brg_error *error)
{
    fprintf(stderr, "%s: %s\n", brg_status_name(error->status), error->message);
    return EXIT_FAILURE;
}

/* The examples have nothing to do but end when something fails. */
static inline void must(brg_status status, const brg_error *error)
{
    if (status == BRG_OK)
        return;
    if (error != NULL)
        exit(fail(error));
    fprintf(stderr, "%s\n", brg_status_text(status));
    exit(EXIT_FAILURE);
}

typedef struct gate {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    unsigned inside; /* tasks that came to it */
    bool is_open;
} gate;

#define GATE_CLOSED                                                                                                    \
    {                                                                                                                  \
        .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER                                           \
    }

/* A task: keeps its worker until the gate is open. */
static inline brg_status gate_pass(brg_context *context, void *argument)
{
    gate *door = argument;
    (void)context;
    pthread_mutex_lock(&door->lock);
    door->inside++;
    pthread_cond_broadcast(&door->moved);
    while (!door->is_open)
        pthread_cond_wait(&door->moved, &door->lock);
    pthread_mutex_unlock(&door->lock);
    return BRG_OK;
}

/* Waits until so many tasks in all have come to it. */
static inline void gate_wait(gate *door, unsigned inside)
{
    pthread_mutex_lock(&door->lock);
    while (door->inside < inside)
        pthread_cond_wait(&door->moved, &door->lock);
    pthread_mutex_unlock(&door->lock);
}

/* Has one more worker of the pool, one with these tags, stand at the gate. */
static inline void gate_hold(gate *door, brg_pool *pool, uint64_t tags)
{
    brg_error error;
    unsigned before = door->inside; /* nobody is on the way: each hold waits */
    must(brg_pool_submit_call(pool, gate_pass, door, brg_submit_opts(.tags = tags, .error = &error), NULL), &error);
    gate_wait(door, before + 1);
}

static inline void gate_open(gate *door)
{
    pthread_mutex_lock(&door->lock);
    door->is_open = true;
    pthread_cond_broadcast(&door->moved);
    pthread_mutex_unlock(&door->lock);
}

#endif
