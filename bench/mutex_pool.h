/* SPDX-License-Identifier: MIT */
/*
 * The pool everybody writes first: one growing ring under one mutex, one condition for "work", one for "done".
 * A push signals a worker only when one sleeps.
 */
#ifndef BENCH_MUTEX_POOL_H
#define BENCH_MUTEX_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

typedef void (*mutex_call)(void *argument);

typedef struct mutex_task {
    mutex_call call;
    void *argument;
} mutex_task;

typedef struct mutex_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    pthread_cond_t idle;
    mutex_task *ring;
    size_t capacity; /* a power of two */
    size_t head;
    size_t tail;
    size_t unfinished;
    size_t sleeping;
    bool stopping;
    pthread_t *threads;
    size_t workers;
} mutex_pool;

/* With room for `capacity` tasks, rounded up to a power of two, before it has to grow. */
void mutex_pool_start(mutex_pool *pool, size_t workers, size_t capacity);
void mutex_pool_push(mutex_pool *pool, mutex_call call, void *argument);
/* Until all that was pushed has run. */
void mutex_pool_wait(mutex_pool *pool);
void mutex_pool_stop(mutex_pool *pool);

#endif
