/* SPDX-License-Identifier: MIT */
#include "queued.h"

#include <malloc.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define QUEUED_TASKS_MIN ((size_t)100000)     /* short queues are filled and drained until that many have run */
#define QUEUED_PART ((uint64_t)500000)        /* of a longer queue, so many are drained, */
#define QUEUED_PART_NS ((uint64_t)3000000000) /* or as many as are until then */
#define QUEUED_POLL_NS 1000000
#define QUEUED_BLOCK_BYTES ((size_t)16 << 20)

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static size_t gate_inside;
static bool gate_open;

void bench_gate_pass(void)
{
    pthread_mutex_lock(&gate_lock);
    gate_inside++;
    pthread_cond_broadcast(&gate_changed);
    while (!gate_open)
        pthread_cond_wait(&gate_changed, &gate_lock);
    gate_inside--;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

static void gate_await(size_t inside)
{
    pthread_mutex_lock(&gate_lock);
    while (gate_inside != inside)
        pthread_cond_wait(&gate_changed, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

static void gate_set(bool open)
{
    pthread_mutex_lock(&gate_lock);
    gate_open = open;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

/* A tenth of the queue, within reason. */
static size_t queued_further(size_t count)
{
    if (count < 10000)
        return 1000;
    return count < 1000000 ? count / 10 : 100000;
}

size_t bench_queued_room(size_t count) { return count + queued_further(count) + BENCH_WORKERS; }

typedef struct queued_times {
    uint64_t submit_ns;
    uint64_t drain_ns;
} queued_times;

/* Fresh pages cost more than the queue does, and on a virtual machine differently each time. */
void bench_queued_warm(size_t count, size_t task_bytes)
{
    void **last = NULL;
    if (count <= BENCH_QUEUED_WHOLE_MAX)
        return;
    mallopt(M_MMAP_THRESHOLD, 2 * (int)QUEUED_BLOCK_BYTES);
    mallopt(M_TRIM_THRESHOLD, -1); /* never gives back */
    for (size_t bytes = 0; bytes < bench_queued_room(count) * task_bytes; bytes += QUEUED_BLOCK_BYTES) {
        void **block = bench_alloc(QUEUED_BLOCK_BYTES);
        *block = last;
        last = block;
    }
    while (last != NULL) {
        void **block = last;
        last = *block;
        free(block);
    }
}

/* Ends the program: what is left in the queue would take too long. */
static void queued_drain_part(const bench_queued *subject, double submit_ns)
{
    uint64_t before_ns = bench_now_ns();
    uint64_t before = subject->finished(subject->state);
    uint64_t now_ns = before_ns;
    uint64_t finished = 0;
    gate_set(true);
    while (finished < QUEUED_PART && now_ns < before_ns + QUEUED_PART_NS) {
        nanosleep(&(struct timespec){0, QUEUED_POLL_NS}, NULL);
        finished = subject->finished(subject->state) - before;
        now_ns = bench_now_ns();
    }
    bench_print("submit", submit_ns);
    bench_print("drain", (double)(now_ns - before_ns) / (double)(finished > 0 ? finished : 1));
    _exit(EXIT_SUCCESS);
}

static void queued_round(size_t count, const bench_queued *subject, queued_times *times)
{
    size_t further = queued_further(count);
    gate_set(false);
    for (size_t i = 0; i < BENCH_WORKERS; i++)
        subject->hold(subject->state);
    gate_await(BENCH_WORKERS);
    for (size_t i = 0; i < count; i++)
        subject->push(subject->state, i);
    uint64_t before_ns = bench_now_ns();
    for (size_t i = 0; i < further; i++)
        subject->push(subject->state, count + i);
    uint64_t full_ns = bench_now_ns();
    if (count > BENCH_QUEUED_WHOLE_MAX)
        queued_drain_part(subject, (double)(full_ns - before_ns) / (double)further);
    gate_set(true);
    subject->wait(subject->state);
    times->drain_ns += bench_now_ns() - full_ns;
    times->submit_ns += full_ns - before_ns;
}

void bench_queued_measure(size_t count, const bench_queued *subject)
{
    queued_times times = {0, 0};
    size_t further = queued_further(count);
    size_t rounds = QUEUED_TASKS_MIN / (count + further) + 1;
    queued_round(count, subject, &times);
    times = (queued_times){0, 0};
    for (size_t i = 0; i < rounds; i++)
        queued_round(count, subject, &times);
    bench_print("submit", (double)times.submit_ns / (double)(rounds * further));
    bench_print("drain", (double)times.drain_ns / (double)(rounds * (count + further)));
}
