/* SPDX-License-Identifier: MIT */
#include "mutex_pool.h"

#include <string.h>

#include "harness.h"

static void *mutex_pool_worker(void *argument)
{
    mutex_pool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->head == pool->tail && !pool->stopping) {
            pool->sleeping++;
            pthread_cond_wait(&pool->work, &pool->lock);
            pool->sleeping--;
        }
        if (pool->head == pool->tail)
            break;
        mutex_task task = pool->ring[pool->head++ & (pool->capacity - 1)];
        pthread_mutex_unlock(&pool->lock);
        task.call(task.argument);
        pthread_mutex_lock(&pool->lock);
        if (--pool->unfinished == 0)
            pthread_cond_signal(&pool->idle);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void mutex_pool_grow(mutex_pool *pool)
{
    mutex_task *ring = bench_alloc(2 * pool->capacity * sizeof(*ring));
    for (size_t i = pool->head; i != pool->tail; i++)
        ring[i & (2 * pool->capacity - 1)] = pool->ring[i & (pool->capacity - 1)];
    free(pool->ring);
    pool->ring = ring;
    pool->capacity *= 2;
}

void mutex_pool_push(mutex_pool *pool, mutex_call call, void *argument)
{
    pthread_mutex_lock(&pool->lock);
    if (pool->tail - pool->head == pool->capacity)
        mutex_pool_grow(pool);
    pool->ring[pool->tail++ & (pool->capacity - 1)] = (mutex_task){call, argument};
    pool->unfinished++;
    bool wake = pool->sleeping > 0;
    pthread_mutex_unlock(&pool->lock);
    if (wake)
        pthread_cond_signal(&pool->work);
}

void mutex_pool_wait(mutex_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->unfinished > 0)
        pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void mutex_pool_start(mutex_pool *pool, size_t workers, size_t capacity)
{
    memset(pool, 0, sizeof(*pool));
    pool->capacity = 1;
    while (pool->capacity < capacity)
        pool->capacity *= 2;
    pool->ring = bench_alloc(pool->capacity * sizeof(*pool->ring));
    pool->workers = workers;
    pool->threads = bench_alloc(workers * sizeof(*pool->threads));
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->idle, NULL);
    for (size_t i = 0; i < workers; i++) {
        if (pthread_create(&pool->threads[i], NULL, mutex_pool_worker, pool) != 0)
            bench_fail("pthread_create failed");
    }
}

void mutex_pool_stop(mutex_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->workers; i++)
        pthread_join(pool->threads[i], NULL);
    free(pool->threads);
    free(pool->ring);
}
