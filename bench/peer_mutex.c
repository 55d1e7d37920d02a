/* SPDX-License-Identifier: MIT */
/* The pool of mutex_pool.h: what everybody writes first. */
#include "harness.h"
#include "load.h"
#include "mutex_pool.h"
#include "queued.h"

#define MUTEX_CAPACITY 1024

static void mutex_noop(void *argument) { (void)argument; }

static void mutex_batch(mutex_pool *pool, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mutex_pool_push(pool, mutex_noop, NULL);
    mutex_pool_wait(pool);
}

static void mutex_empty(int argc, char **argv)
{
    mutex_pool pool;
    (void)argc;
    (void)argv;
    mutex_pool_start(&pool, BENCH_WORKERS, MUTEX_CAPACITY);
    mutex_batch(&pool, BENCH_EMPTY_TASKS / 10);
    uint64_t before_ns = bench_now_ns();
    mutex_batch(&pool, BENCH_EMPTY_TASKS);
    bench_print("empty", (double)(bench_now_ns() - before_ns) / (double)BENCH_EMPTY_TASKS);
    mutex_pool_stop(&pool);
}

static void mutex_round(void *state) { mutex_batch(state, 1); }

static void mutex_hot(int argc, char **argv)
{
    mutex_pool pool;
    (void)argc;
    (void)argv;
    mutex_pool_start(&pool, BENCH_WORKERS, MUTEX_CAPACITY);
    bench_round_trips("hot", mutex_round, &pool);
    mutex_pool_stop(&pool);
}

static void mutex_turn(void *argument) { bench_load_turn(*(const uint64_t *)argument); }

static void mutex_run_load(void *state, const uint64_t *turns)
{
    for (size_t i = 0; i < BENCH_LOAD_TASKS; i++)
        mutex_pool_push(state, mutex_turn, (void *)(uintptr_t)&turns[i]);
    mutex_pool_wait(state);
}

static void mutex_load(int argc, char **argv)
{
    mutex_pool pool;
    mutex_pool_start(&pool, BENCH_WORKERS, MUTEX_CAPACITY);
    bench_load_measure(argc, argv, mutex_run_load, &pool);
    mutex_pool_stop(&pool);
}

static void mutex_run_scale(void *state, size_t count, uint64_t turns)
{
    for (size_t i = 0; i < count; i++)
        mutex_pool_push(state, turns > 0 ? mutex_turn : mutex_noop, &turns);
    mutex_pool_wait(state);
}

static void mutex_scale(int argc, char **argv)
{
    mutex_pool pool;
    size_t workers = strtoull(bench_argument(argc, argv, 0, "workers"), NULL, 10);
    uint64_t turns = bench_load_turns(strtoull(bench_argument(argc, argv, 1, "nanoseconds"), NULL, 10));
    mutex_pool_start(&pool, workers, MUTEX_CAPACITY);
    bench_scale_measure(turns, mutex_run_scale, &pool);
    mutex_pool_stop(&pool);
}

static void mutex_gate(void *argument)
{
    (void)argument;
    bench_gate_pass();
}

static void mutex_queued_hold(void *state) { mutex_pool_push(state, mutex_gate, NULL); }

static void mutex_queued_push(void *state, uint64_t index)
{
    (void)index;
    mutex_pool_push(state, mutex_noop, NULL);
}

static void mutex_queued_wait(void *state) { mutex_pool_wait(state); }

static uint64_t mutex_queued_finished(void *state)
{
    mutex_pool *pool = state;
    pthread_mutex_lock(&pool->lock);
    uint64_t finished = pool->tail - pool->unfinished;
    pthread_mutex_unlock(&pool->lock);
    return finished;
}

static void mutex_queued(int argc, char **argv)
{
    mutex_pool pool;
    size_t count = strtoull(bench_argument(argc, argv, 0, "tasks"), NULL, 10);
    mutex_pool_start(&pool, BENCH_WORKERS, bench_queued_room(count));
    bench_queued_measure(
        count, &(bench_queued){&pool, mutex_queued_hold, mutex_queued_push, mutex_queued_wait, mutex_queued_finished});
    mutex_pool_stop(&pool);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"empty", mutex_empty}, {"hot", mutex_hot},       {"load", mutex_load},
                                             {"scale", mutex_scale}, {"queued", mutex_queued}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
