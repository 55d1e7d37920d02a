/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "harness.h"

#define LOAD_HEAVY 100 /* of BENCH_LOAD_TASKS */
#define LOAD_LIGHT_NS 10000
#define LOAD_HEAVY_NS 1000000
#define LOAD_UNIFORM_NS 100000
#define LOAD_ROUNDS 9
#define LOAD_PAUSE_NS 10000000 /* idle workers that still spin would make the ideal worse than it is */
#define LOAD_SCALE_TASKS 40000
#define LOAD_SCALE_EMPTY_TASKS 400000
#define LOAD_CALIBRATION_TURNS 200000
#define LOAD_CALIBRATIONS 15

/* The multiplication waits for the one before: the loop runs as fast whatever stands beside it on the core. */
void bench_load_turn(uint64_t turns)
{
    uint64_t value = turns | 1;
    for (uint64_t i = 0; i < turns; i++) {
        value *= UINT64_C(6364136223846793005);
        __asm__ volatile("" : "+r"(value));
    }
}

/* The fastest of several: whoever interrupts it only makes it slower. */
uint64_t bench_load_turns(uint64_t ns)
{
    uint64_t best_ns = UINT64_MAX;
    for (int i = 0; i < LOAD_CALIBRATIONS; i++) {
        uint64_t before_ns = bench_now_ns();
        bench_load_turn(LOAD_CALIBRATION_TURNS);
        uint64_t took_ns = bench_now_ns() - before_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    return ns * LOAD_CALIBRATION_TURNS / best_ns;
}

static void load_shuffle(uint64_t *turns, size_t count)
{
    uint64_t state = 1; /* the same order in every run; Knuth's linear congruential generator, MMIX */
    for (size_t i = count - 1; i > 0; i--) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t other = (size_t)((state >> 33) % (i + 1));
        uint64_t swap = turns[i];
        turns[i] = turns[other];
        turns[other] = swap;
    }
}

static void load_fill(const char *name, uint64_t *turns)
{
    uint64_t unit = bench_load_turns(LOAD_HEAVY_NS);
    bool uniform = strcmp(name, "uniform") == 0;
    bool mixed = strcmp(name, "mixed") == 0;
    if (!uniform && !mixed && strcmp(name, "heavy-first") != 0)
        bench_fail("no load is called %s", name);
    for (size_t i = 0; i < BENCH_LOAD_TASKS; i++) {
        bool heavy = i % 2 == 0 && i / 2 < LOAD_HEAVY;
        turns[i] = unit * (uniform ? LOAD_UNIFORM_NS : heavy ? LOAD_HEAVY_NS : LOAD_LIGHT_NS) / LOAD_HEAVY_NS;
    }
    if (mixed)
        load_shuffle(turns, BENCH_LOAD_TASKS);
}

typedef struct load_share {
    uint64_t turns;
    uint64_t took_ns;
} load_share;

static void *load_share_run(void *argument)
{
    load_share *share = argument;
    uint64_t before_ns = bench_now_ns();
    bench_load_turn(share->turns);
    share->took_ns = bench_now_ns() - before_ns;
    return NULL;
}

/* The mean of what the threads took: one that the machine held up does not make the ideal worse than it is. */
static double load_ideal_ns(uint64_t turns)
{
    pthread_t threads[BENCH_WORKERS];
    load_share shares[BENCH_WORKERS];
    double sum_ns = 0;
    for (size_t i = 0; i < BENCH_WORKERS; i++) {
        shares[i].turns = turns / BENCH_WORKERS;
        if (pthread_create(&threads[i], NULL, load_share_run, &shares[i]) != 0)
            bench_fail("pthread_create failed");
    }
    for (size_t i = 0; i < BENCH_WORKERS; i++) {
        pthread_join(threads[i], NULL);
        sum_ns += (double)shares[i].took_ns;
    }
    return sum_ns / BENCH_WORKERS;
}

static int load_compare(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

void bench_load_measure(int argc, char **argv, void (*run)(void *state, const uint64_t *turns), void *state)
{
    uint64_t turns[BENCH_LOAD_TASKS];
    uint64_t total = 0;
    double ratios[LOAD_ROUNDS];
    load_fill(bench_argument(argc, argv, 0, "load"), turns);
    for (size_t i = 0; i < BENCH_LOAD_TASKS; i++)
        total += turns[i];
    run(state, turns); /* warms up */
    for (size_t i = 0; i < LOAD_ROUNDS; i++) {
        nanosleep(&(struct timespec){0, LOAD_PAUSE_NS}, NULL);
        double ideal_ns = load_ideal_ns(total);
        uint64_t before_ns = bench_now_ns();
        run(state, turns);
        ratios[i] = (double)(bench_now_ns() - before_ns) / ideal_ns;
    }
    qsort(ratios, LOAD_ROUNDS, sizeof(*ratios), load_compare);
    bench_print("makespan", ratios[LOAD_ROUNDS / 2]);
}

void bench_scale_measure(uint64_t turns, void (*run)(void *state, size_t count, uint64_t turns), void *state)
{
    size_t count = turns > 0 ? LOAD_SCALE_TASKS : LOAD_SCALE_EMPTY_TASKS;
    run(state, count / 10, turns); /* warms up */
    uint64_t before_ns = bench_now_ns();
    run(state, count, turns);
    bench_print("rate", (double)count * 1e9 / (double)(bench_now_ns() - before_ns));
}
