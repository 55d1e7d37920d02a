/* SPDX-License-Identifier: MIT */
/*
 * Shared memory: a turn handed back and forth by wait and notify, beside the futex of peer_futex.c, and what a mutex
 * costs that nobody else wants, beside pthread's.
 */
#include <pthread.h>
#include <string.h>

#include <brigade.h>
#include <brigade/sync.h>

#include "harness.h"

/* Taken and given back in one sample. */
#define SHARED_LOCKS 1000

/* Where the two turns lie, a cache line each. */
#define SHARED_PING 0
#define SHARED_PONG 64

typedef struct shared_pair {
    brg_shared *shared;
    uint64_t round;
    bool wide;
} shared_pair;

/* The last turn: the other side ends. */
#define SHARED_STOP UINT32_MAX

static brg_shared *shared_make(void)
{
    brg_error error;
    brg_shared *shared = NULL;
    if (brg_shared_create(&shared, brg_shared_opts(.size_bytes = 4096), &error) != BRG_OK)
        bench_fail("brg_shared_create: %s", error.message);
    return shared;
}

static void shared_post(const shared_pair *pair, size_t offset, uint64_t turn)
{
    if (pair->wide)
        brg_shared_store64(pair->shared, offset, turn);
    else
        brg_shared_store32(pair->shared, offset, (uint32_t)turn);
    brg_shared_notify(pair->shared, offset, 1, NULL);
}

static uint64_t shared_look(const shared_pair *pair, size_t offset)
{
    uint32_t narrow = 0;
    uint64_t wide = 0;
    if (pair->wide)
        brg_shared_load64(pair->shared, offset, &wide);
    else
        brg_shared_load32(pair->shared, offset, &narrow);
    return pair->wide ? wide : narrow;
}

/*
 * Waits while the turn is `before`; returns the new one. A notify that comes late, for a turn that was seen already,
 * wakes oo: so it is a loop.
 */
static uint64_t shared_await(const shared_pair *pair, size_t offset, uint64_t before)
{
    uint64_t turn;
    do {
        if (pair->wide)
            brg_shared_wait64(pair->shared, offset, before, BRG_FOREVER);
        else
            brg_shared_wait32(pair->shared, offset, (uint32_t)before, BRG_FOREVER);
        turn = shared_look(pair, offset);
    } while (turn == before);
    return turn;
}

static void *shared_echo(void *argument)
{
    const shared_pair *pair = argument;
    uint64_t turn = 0;
    while ((turn = shared_await(pair, SHARED_PING, turn)) != SHARED_STOP)
        shared_post(pair, SHARED_PONG, turn);
    return NULL;
}

static void shared_round(void *state)
{
    shared_pair *pair = state;
    uint64_t before = pair->round++;
    shared_post(pair, SHARED_PING, pair->round);
    if (shared_await(pair, SHARED_PONG, before) != pair->round)
        bench_fail("a turn came back different");
}

static void shared_measure(bool wide)
{
    shared_pair pair = {.shared = shared_make(), .wide = wide};
    pthread_t thread;
    if (pthread_create(&thread, NULL, shared_echo, &pair) != 0)
        bench_fail("pthread_create failed");
    bench_round_trips("notify", shared_round, &pair);
    shared_post(&pair, SHARED_PING, SHARED_STOP);
    pthread_join(thread, NULL);
    brg_shared_unref(pair.shared);
}

static void shared_notify(int argc, char **argv)
{
    shared_measure(strcmp(bench_argument(argc, argv, 0, "bits: 32 or 64"), "64") == 0);
}

static void shared_lock_round(void *state)
{
    for (int i = 0; i < SHARED_LOCKS; i++)
        if (brg_mutex_lock(state, 0, BRG_FOREVER) != BRG_OK || brg_mutex_unlock(state, 0) != BRG_OK)
            bench_fail("the mutex failed");
}

static void pthread_lock_round(void *state)
{
    for (int i = 0; i < SHARED_LOCKS; i++)
        if (pthread_mutex_lock(state) != 0 || pthread_mutex_unlock(state) != 0)
            bench_fail("the mutex failed");
}

/* Microseconds of SHARED_LOCKS pairs are nanoseconds of one. */
static void shared_mutex(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    brg_shared *shared = shared_make();
    bench_round_trips("mutex", shared_lock_round, shared);
    brg_shared_unref(shared);
}

static void shared_pthread(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    pthread_mutex_t mutex;
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    if (pthread_mutex_init(&mutex, &attributes) != 0)
        bench_fail("pthread_mutex_init failed");
    bench_round_trips("mutex", pthread_lock_round, &mutex);
    pthread_mutex_destroy(&mutex);
    pthread_mutexattr_destroy(&attributes);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {
        {"notify", shared_notify}, {"mutex", shared_mutex}, {"pthread-mutex", shared_pthread}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
