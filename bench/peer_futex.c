/* SPDX-License-Identifier: MIT */
/*
 * The floor of every round trip: two threads, two words, one futex each. `sleep` waits at once; `spin` looks for
 * up to 10 us first, and spares the wake-up call when nobody sleeps.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness.h"

#define FUTEX_SPIN_NS 10000u

typedef struct futex_word {
    _Alignas(64) _Atomic uint32_t turn;
    _Alignas(64) _Atomic uint32_t sleeping;
} futex_word;

typedef struct futex_pair {
    futex_word ping;
    futex_word pong;
    uint32_t round;
    bool spin;
    atomic_bool stopping;
} futex_pair;

static void futex_post(futex_word *word, uint32_t turn)
{
    atomic_store(&word->turn, turn); /* seq_cst: the sleeper sets `sleeping`, then reads `turn` */
    if (atomic_load(&word->sleeping) != 0)
        syscall(SYS_futex, &word->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void futex_look(futex_word *word, uint32_t turn)
{
    uint64_t end_ns = bench_now_ns() + FUTEX_SPIN_NS;
    for (uint32_t i = 1; atomic_load_explicit(&word->turn, memory_order_acquire) != turn; i++) {
        if (i % 64 == 0 && bench_now_ns() > end_ns)
            return;
    }
}

static void futex_await(futex_word *word, uint32_t turn, bool spin)
{
    if (spin)
        futex_look(word, turn);
    uint32_t seen = atomic_load_explicit(&word->turn, memory_order_acquire);
    while (seen != turn) {
        atomic_store(&word->sleeping, 1);
        syscall(SYS_futex, &word->turn, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
        atomic_store(&word->sleeping, 0);
        seen = atomic_load_explicit(&word->turn, memory_order_acquire);
    }
}

static void *futex_echo(void *argument)
{
    futex_pair *pair = argument;
    for (uint32_t round = 1;; round++) {
        futex_await(&pair->ping, round, pair->spin);
        if (atomic_load(&pair->stopping))
            return NULL;
        futex_post(&pair->pong, round);
    }
}

static void futex_round(void *state)
{
    futex_pair *pair = state;
    pair->round++;
    futex_post(&pair->ping, pair->round);
    futex_await(&pair->pong, pair->round, pair->spin);
}

static void futex_measure(bool spin)
{
    futex_pair pair = {.spin = spin};
    pthread_t thread;
    if (pthread_create(&thread, NULL, futex_echo, &pair) != 0)
        bench_fail("pthread_create failed");
    bench_round_trips("hot", futex_round, &pair);
    atomic_store(&pair.stopping, true);
    futex_post(&pair.ping, pair.round + 1);
    pthread_join(thread, NULL);
}

static void futex_sleep(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    futex_measure(false);
}

static void futex_spin(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    futex_measure(true);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"sleep", futex_sleep}, {"spin", futex_spin}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
