/* SPDX-License-Identifier: MIT */
/*
 * Records what things cost here. Each is measured several times, and the least counts where interruptions only add,
 * else the lowest tenth. What cannot be seen alone is found by differences:
 *
 *   a chain    one task after the other, each submitted by the one before: submit + hand + take + run
 *   a flood    a worker runs what it submitted itself, 32 at a time:       hand / 32 + take + run
 *   a drain    the same with what another thread submitted:                and cold
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <brigade.h>

#include "costs.h"
#include "harness.h"
#include "os/atomic.h"
#include "os/futex.h"
#include "os/lock.h"
#include "os/park.h"
#include "os/thread.h"
#include "pool/rules.h"

#define CALIBRATE_ROUNDS 25
#define CALIBRATE_PAIRS 200 /* turns of two threads: few, so that one time nothing comes between */
#define CALIBRATE_PAIR_ROUNDS 200
#define CALIBRATE_MOST_NS 500000000 /* for one of them, where the machine is busy with others */
#define CALIBRATE_TURNS 20000
#define CALIBRATE_TASKS 4000
#define CALIBRATE_WARM 1000
#define CALIBRATE_FLOOD 128
#define CALIBRATE_NAPS 200
#define CALIBRATE_NAP_NS 1000000 /* for how late they end */
#define CALIBRATE_FALL_ASLEEP_NS 50000
#define CALIBRATE_SLICE_NS 2800000 /* Linux' base slice from 8 CPUs on; half of that on two */

static double calibrate_least_of(int rounds, double (*once)(void *state), void *state)
{
    uint64_t until = bench_now_ns() + CALIBRATE_MOST_NS;
    double least = once(state);
    for (int i = 1; i < rounds && bench_now_ns() < until; i++) {
        double ns = once(state);
        least = ns < least ? ns : least;
    }
    return least;
}

static double calibrate_least(double (*once)(void *state), void *state)
{
    return calibrate_least_of(CALIBRATE_ROUNDS, once, state);
}

static double calibrate_positive(double ns, double least) { return ns > least ? ns : least; }

static int calibrate_compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double calibrate_tenth(double *samples, size_t count)
{
    qsort(samples, count, sizeof(*samples), calibrate_compare);
    return samples[count / 10];
}

static void calibrate_thread(pthread_t *thread, void *(*run)(void *), void *state)
{
    if (pthread_create(thread, NULL, run, state) != 0)
        bench_fail("pthread_create failed");
}

/* ---- one thread -------------------------------------------------------------------------------------------------- */

static double once_clock(void *state)
{
    (void)state;
    uint64_t before = bench_now_ns();
    for (int i = 0; i < CALIBRATE_TURNS; i++)
        bench_now_ns();
    return (double)(bench_now_ns() - before) / CALIBRATE_TURNS;
}

static double once_lock(void *state)
{
    uint64_t before = bench_now_ns();
    for (int i = 0; i < CALIBRATE_TURNS; i++) {
        brg__lock_acquire(state);
        brg__lock_release(state);
    }
    return (double)(bench_now_ns() - before) / CALIBRATE_TURNS;
}

/* As lock_spin of src/os/lock.c. */
static double once_lock_spin(void *state)
{
    uint64_t before = bench_now_ns();
    for (int i = 0; i < 100 * 100; i++) {
        brg_load_relaxed(&((brg__lock *)state)->xstate);
        brg__cpu_pause();
    }
    return (double)(bench_now_ns() - before) / 100;
}

static double once_call(void *state)
{
    uint64_t before = bench_now_ns();
    for (int i = 0; i < CALIBRATE_TURNS / 10; i++)
        brg__futex_wake(state, 1, BRG__FUTEX_PRIVATE);
    return (double)(bench_now_ns() - before) / (CALIBRATE_TURNS / 10.0);
}

/* ---- two threads ------------------------------------------------------------------------------------------------- */

typedef struct pair {
    BRG__ALIGNED(64) uint32_t xturn;
    BRG__ALIGNED(64) brg__gate gates[2];
    uint64_t xcalled_ns;
    bool xstop;
    double *late;
    uint32_t count;
    bool is_pinned;
    brg_pool *pool; /* for submitters in turns */
} pair;

static brg_status calibrate_nothing(brg_context *context, void *argument)
{
    (void)context;
    (void)argument;
    return BRG_OK;
}

static void pair_turns(pair *self, uint32_t which)
{
    for (uint32_t i = 0; i < self->count; i++) {
        while (brg_load_acquire(&self->xturn) != which)
            brg__cpu_pause();
        if (self->pool != NULL)
            brg_pool_call(self->pool, calibrate_nothing, NULL, NULL, NULL);
        brg_store_release(&self->xturn, !which);
    }
}

static void *pair_turns_second(void *argument)
{
    pair_turns(argument, 1);
    return NULL;
}

/* From one thread to the other, what each does in its turn included. */
static double once_turn(void *argument)
{
    pair *self = argument;
    pthread_t thread;
    self->xturn = 1;
    calibrate_thread(&thread, pair_turns_second, self);
    while (brg_load_acquire(&self->xturn) != 0) /* until it is there */
        brg__cpu_pause();
    self->count--;
    uint64_t before = bench_now_ns();
    pair_turns(self, 0);
    double ns = (double)(bench_now_ns() - before) / (2.0 * self->count);
    self->count++;
    pthread_join(thread, NULL);
    return ns;
}

static void pair_pin(const pair *self)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    if (self->is_pinned)
        pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
}

static void *pair_naps(void *argument)
{
    pair *self = argument;
    pair_pin(self);
    for (uint32_t i = 0; i < CALIBRATE_NAPS; i++) {
        brg__gate_prepare(&self->gates[0]);
        brg_store_release(&self->xturn, i + 1);
        brg__gate_wait(&self->gates[0], UINT64_MAX, BRG__FUTEX_PRIVATE);
        self->late[i] = (double)(bench_now_ns() - self->xcalled_ns);
    }
    return NULL;
}

static void calibrate_wakes(sim_costs *costs)
{
    double late[CALIBRATE_NAPS], calls[CALIBRATE_NAPS];
    pair self = {.late = late};
    pthread_t thread;
    calibrate_thread(&thread, pair_naps, &self);
    for (uint32_t i = 0; i < CALIBRATE_NAPS; i++) {
        while (brg_load_acquire(&self.xturn) != i + 1)
            brg__cpu_pause();
        uint64_t until = bench_now_ns() + CALIBRATE_FALL_ASLEEP_NS; /* it falls asleep, and its core with it */
        while (bench_now_ns() < until)
            brg__cpu_pause();
        self.xcalled_ns = bench_now_ns();
        brg__gate_wake(&self.gates[0], BRG__FUTEX_PRIVATE);
        calls[i] = (double)(bench_now_ns() - self.xcalled_ns);
    }
    pthread_join(thread, NULL);
    costs->wake_ns = calibrate_tenth(late, CALIBRATE_NAPS);
    costs->wake_call_ns = calibrate_tenth(calls, CALIBRATE_NAPS) - costs->clock_ns;
}

static void *pair_pingpong(void *argument)
{
    pair *self = argument;
    pair_pin(self);
    for (uint32_t i = 0; i < CALIBRATE_TURNS / 10; i++) {
        brg__gate_wait(&self->gates[0], UINT64_MAX, BRG__FUTEX_PRIVATE);
        brg__gate_prepare(&self->gates[0]);
        brg__gate_wake(&self->gates[1], BRG__FUTEX_PRIVATE);
    }
    return NULL;
}

static void *pair_pingpong_first(void *argument)
{
    pair *self = argument;
    pthread_t thread;
    pair_pin(self);
    calibrate_thread(&thread, pair_pingpong, self);
    uint64_t before = bench_now_ns();
    for (uint32_t i = 0; i < CALIBRATE_TURNS / 10; i++) {
        brg__gate_prepare(&self->gates[1]);
        brg__gate_wake(&self->gates[0], BRG__FUTEX_PRIVATE);
        brg__gate_wait(&self->gates[1], UINT64_MAX, BRG__FUTEX_PRIVATE);
    }
    *self->late = (double)(bench_now_ns() - before) / (2.0 * CALIBRATE_TURNS / 10);
    pthread_join(thread, NULL);
    return NULL;
}

/* Two threads on one core that wake each other: a wake, a sleep and a switch. */
static double once_switch(void *state)
{
    (void)state;
    double ns = 0;
    pair self = {.late = &ns, .is_pinned = true};
    pthread_t thread;
    brg__gate_prepare(&self.gates[0]);
    calibrate_thread(&thread, pair_pingpong_first, &self);
    pthread_join(thread, NULL);
    return ns;
}

static double calibrate_late(void)
{
    double late[CALIBRATE_NAPS];
    prctl(PR_SET_TIMERSLACK, 1UL);
    for (int i = 0; i < CALIBRATE_NAPS; i++) {
        uint64_t before = bench_now_ns();
        nanosleep(&(struct timespec){0, CALIBRATE_NAP_NS}, NULL);
        late[i] = (double)(bench_now_ns() - before) - CALIBRATE_NAP_NS;
    }
    qsort(late, CALIBRATE_NAPS, sizeof(*late), calibrate_compare);
    return late[CALIBRATE_NAPS / 2];
}

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

typedef struct calibrate_pool {
    brg_pool *pool;
    uint32_t xopen;
    uint32_t left; /* of a chain */
    uint64_t marks[2];
    double flood_ns, flood_least_ns; /* of a submit */
} calibrate_pool;

static void pool_open(calibrate_pool *self)
{
    *self = (calibrate_pool){.flood_least_ns = 1e9};
    if (brg_pool_create(&self->pool, brg_pool_opts(.workers_max = 1), NULL) != BRG_OK)
        bench_fail("brg_pool_create failed");
}

static void pool_call(calibrate_pool *self, brg_call_fn call, void *argument)
{
    if (brg_pool_call(self->pool, call, argument, NULL, NULL) != BRG_OK)
        bench_fail("brg_pool_call failed");
}

static brg_status pool_gate(brg_context *context, void *argument)
{
    calibrate_pool *self = argument;
    (void)context;
    while (brg_load_acquire(&self->xopen) == 0)
        brg__futex_wait(&self->xopen, 0, UINT64_MAX, BRG__FUTEX_PRIVATE);
    return BRG_OK;
}

static void pool_shut(calibrate_pool *self)
{
    brg_store_release(&self->xopen, 0u);
    pool_call(self, pool_gate, self);
    brg_pool_stats stats = {.size = sizeof(stats)};
    do
        brg_pool_get_stats(self->pool, &stats);
    while (stats.queued != 0);
}

static void pool_let_go(calibrate_pool *self)
{
    brg_store_release(&self->xopen, 1u);
    brg__futex_wake(&self->xopen, 1, BRG__FUTEX_PRIVATE);
    brg_pool_wait_idle(self->pool, BRG_FOREVER);
}

static brg_status pool_mark(brg_context *context, void *argument)
{
    (void)context;
    *(uint64_t *)argument = bench_now_ns();
    return BRG_OK;
}

static double once_submit(void *state)
{
    calibrate_pool *self = state;
    pool_shut(self);
    uint64_t before = bench_now_ns();
    for (int i = 0; i < CALIBRATE_TASKS; i++)
        pool_call(self, calibrate_nothing, NULL);
    double ns = (double)(bench_now_ns() - before) / CALIBRATE_TASKS;
    pool_let_go(self);
    return ns;
}

static double once_drain(void *state)
{
    calibrate_pool *self = state;
    pool_shut(self);
    for (int i = 0; i < CALIBRATE_WARM; i++)
        pool_call(self, calibrate_nothing, NULL);
    pool_call(self, pool_mark, &self->marks[0]);
    for (int i = 0; i < CALIBRATE_TASKS; i++)
        pool_call(self, calibrate_nothing, NULL);
    pool_call(self, pool_mark, &self->marks[1]);
    pool_let_go(self);
    return (double)(self->marks[1] - self->marks[0]) / CALIBRATE_TASKS;
}

static brg_status pool_chain(brg_context *context, void *argument)
{
    calibrate_pool *self = argument;
    (void)context;
    if (self->left == CALIBRATE_TASKS)
        self->marks[0] = bench_now_ns();
    if (self->left-- == 0)
        self->marks[1] = bench_now_ns();
    else
        pool_call(self, pool_chain, self);
    return BRG_OK;
}

static double once_chain(void *state)
{
    calibrate_pool *self = state;
    self->left = CALIBRATE_TASKS + CALIBRATE_WARM;
    pool_call(self, pool_chain, self);
    brg_pool_wait_idle(self->pool, BRG_FOREVER);
    return (double)(self->marks[1] - self->marks[0]) / CALIBRATE_TASKS;
}

/* A task submits many, which then run where they were made: what they cost with everything in the cache. */
static brg_status pool_flood(brg_context *context, void *argument)
{
    calibrate_pool *self = argument;
    (void)context;
    uint64_t before = bench_now_ns();
    for (int i = 0; i < CALIBRATE_FLOOD; i++)
        pool_call(self, calibrate_nothing, NULL);
    self->marks[0] = bench_now_ns();
    self->flood_ns = (double)(self->marks[0] - before) / CALIBRATE_FLOOD;
    pool_call(self, pool_mark, &self->marks[1]);
    return BRG_OK;
}

static double once_flood(void *state)
{
    calibrate_pool *self = state;
    pool_call(self, pool_flood, self);
    brg_pool_wait_idle(self->pool, BRG_FOREVER);
    self->flood_least_ns = self->flood_ns < self->flood_least_ns ? self->flood_ns : self->flood_least_ns;
    return (double)(self->marks[1] - self->marks[0]) / CALIBRATE_FLOOD;
}

/* Two threads submit in turns: every section finds the pool's memory at the other's core. */
static double once_transfer(void *state)
{
    calibrate_pool *self = state;
    pool_shut(self);
    pair two = {.pool = self->pool, .count = CALIBRATE_PAIRS};
    double ns = once_turn(&two);
    pool_let_go(self);
    return ns;
}

static double once_start(void *state)
{
    (void)state;
    calibrate_pool one;
    uint64_t before = bench_now_ns();
    pool_open(&one);
    pool_call(&one, calibrate_nothing, NULL);
    brg_pool_wait_idle(one.pool, BRG_FOREVER);
    double ns = (double)(bench_now_ns() - before);
    brg_pool_destroy(one.pool);
    return ns;
}

void sim_calibrate_schedule(sim_costs *costs); /* calibrate_schedule.c */

static void calibrate_tasks(sim_costs *costs)
{
    calibrate_pool self;
    pool_open(&self);
    calibrate_least(once_submit, &self); /* the first rounds allocate */
    costs->submit_ns = calibrate_least(once_submit, &self);
    double cold = calibrate_least(once_drain, &self), chain = calibrate_least(once_chain, &self);
    double hot = calibrate_least_of(CALIBRATE_PAIR_ROUNDS, once_flood, &self);
    double transfer = calibrate_least_of(CALIBRATE_PAIR_ROUNDS, once_transfer, &self) - costs->submit_ns -
                      costs->miss_ns;
    brg_pool_destroy(self.pool);
    costs->submit_own_ns = self.flood_least_ns;
    double hand = (chain - self.flood_least_ns - hot) * BRG__HAND_MAX / (BRG__HAND_MAX - 1.0);
    costs->hand_ns = calibrate_positive(hand, costs->lock_ns + 2 * costs->clock_ns + 10);
    double each = calibrate_positive(hot - costs->hand_ns / BRG__HAND_MAX, costs->fifo_ns);
    costs->take_ns = each / 2 < costs->fifo_ns ? each / 2 : costs->fifo_ns;
    costs->run_ns = each - costs->take_ns;
    costs->cold_ns = calibrate_positive(cold - hot, 0);
    costs->transfer_ns = calibrate_positive(transfer, costs->miss_ns);
}

void sim_calibrate(sim_costs *costs)
{
    brg__lock lock;
    brg__lock_init(&lock, BRG__RANK_NONE, "calibrate");
    pair turns = {.count = CALIBRATE_PAIRS};
    memset(costs, 0, sizeof(*costs));
    costs->clock_ns = calibrate_least(once_clock, NULL);
    costs->lock_ns = calibrate_least(once_lock, &lock);
    costs->lock_spin_ns = calibrate_least(once_lock_spin, &lock);
    costs->call_ns = calibrate_least(once_call, &turns.xturn);
    costs->miss_ns = calibrate_least_of(CALIBRATE_PAIR_ROUNDS, once_turn, &turns);
    calibrate_wakes(costs);
    double turn = calibrate_least(once_switch, NULL) - costs->call_ns;
    costs->switch_ns = costs->sleep_call_ns = calibrate_positive(turn / 2, 100);
    costs->late_ns = calibrate_late();
    costs->slice_ns = brg__cpu_online() >= 8 ? CALIBRATE_SLICE_NS : CALIBRATE_SLICE_NS / 2;
    costs->start_ns = calibrate_least(once_start, NULL);
    sim_calibrate_schedule(costs);
    calibrate_tasks(costs);
}
