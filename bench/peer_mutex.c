/* SPDX-License-Identifier: MIT */
/*
 * The pool everybody writes first: one growing ring under one mutex, one condition for "work", one for "done".
 * Two workers; a push signals one of them, only when one sleeps.
 */
#include <pthread.h>
#include <string.h>

#include "harness.h"

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
    pthread_t threads[BENCH_WORKERS];
} mutex_pool;

static void *mutex_worker(void *argument)
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

static void mutex_grow(mutex_pool *pool)
{
    mutex_task *ring = bench_alloc(2 * pool->capacity * sizeof(*ring));
    for (size_t i = pool->head; i != pool->tail; i++)
        ring[i & (2 * pool->capacity - 1)] = pool->ring[i & (pool->capacity - 1)];
    free(pool->ring);
    pool->ring = ring;
    pool->capacity *= 2;
}

static void mutex_push(mutex_pool *pool, mutex_call call, void *argument)
{
    pthread_mutex_lock(&pool->lock);
    if (pool->tail - pool->head == pool->capacity)
        mutex_grow(pool);
    pool->ring[pool->tail++ & (pool->capacity - 1)] = (mutex_task){call, argument};
    pool->unfinished++;
    bool wake = pool->sleeping > 0;
    pthread_mutex_unlock(&pool->lock);
    if (wake)
        pthread_cond_signal(&pool->work);
}

static void mutex_wait(mutex_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->unfinished > 0)
        pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static void mutex_start(mutex_pool *pool)
{
    memset(pool, 0, sizeof(*pool));
    pool->capacity = 1024;
    pool->ring = bench_alloc(pool->capacity * sizeof(*pool->ring));
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->idle, NULL);
    for (size_t i = 0; i < BENCH_WORKERS; i++) {
        if (pthread_create(&pool->threads[i], NULL, mutex_worker, pool) != 0)
            bench_fail("pthread_create failed");
    }
}

static void mutex_stop(mutex_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < BENCH_WORKERS; i++)
        pthread_join(pool->threads[i], NULL);
    free(pool->ring);
}

static void mutex_noop(void *argument) { (void)argument; }

static void mutex_batch(mutex_pool *pool, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mutex_push(pool, mutex_noop, NULL);
    mutex_wait(pool);
}

static void mutex_empty(int argc, char **argv)
{
    mutex_pool pool;
    (void)argc;
    (void)argv;
    mutex_start(&pool);
    mutex_batch(&pool, BENCH_EMPTY_TASKS / 10);
    uint64_t before_ns = bench_now_ns();
    mutex_batch(&pool, BENCH_EMPTY_TASKS);
    bench_print("empty", (double)(bench_now_ns() - before_ns) / (double)BENCH_EMPTY_TASKS);
    mutex_stop(&pool);
}

static void mutex_round(void *state) { mutex_batch(state, 1); }

static void mutex_hot(int argc, char **argv)
{
    mutex_pool pool;
    (void)argc;
    (void)argv;
    mutex_start(&pool);
    bench_round_trips("hot", mutex_round, &pool);
    mutex_stop(&pool);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"empty", mutex_empty}, {"hot", mutex_hot}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
