/* SPDX-License-Identifier: MIT */
/*
 * How long an event loop keeps others waiting while there is much to compute: a timer that is due each millisecond
 * notes how late it comes, first while the loop computes itself, then while a pool does the same. How late that is
 * depends on the machine; that the timer never comes while the loop computes, and does while a pool does, on none.
 */
#include <stdatomic.h>
#include <stdint.h>

#include "gate.h"

#include <brigade/uv.h>

#define JOBS 40
#define ROUNDS 5000000u /* of a job: some milliseconds */
#define TICKS_MAX 100000
#define TICK_NS BRG_MILLISECONDS(1)

typedef struct latency {
    uv_timer_t timer;
    uint64_t due_ns;
    uint64_t late_ns[TICKS_MAX];
    size_t count;
    atomic_int meanwhile; /* how often it came while a job was being computed */
} latency;

typedef struct server {
    uv_idle_t next; /* the loop's own turn to compute */
    brg_pool *pool;
    latency ticks;
    uint64_t answers[JOBS];
    int started, finished;
    atomic_int computing; /* jobs, now */
} server;

static server here; /* too large for a stack */

/* ---- the work ------------------------------------------------------------------------------------------------- */

static void compute(uint64_t *answer)
{
    uint64_t x = *answer;
    atomic_fetch_add(&here.computing, 1);
    for (uint32_t i = 0; i < ROUNDS; i++) { /* xorshift (Marsaglia 2003) */
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    *answer = x;
    atomic_fetch_sub(&here.computing, 1);
}

/* On a worker. The last job goes on until the timer came: a loop that waits for the pool would wait for ever. */
static brg_status compute_task(brg_context *context, void *answer)
{
    (void)context;
    compute(answer);
    atomic_fetch_add(&here.computing, 1);
    while (answer == &here.answers[JOBS - 1] && atomic_load(&here.ticks.meanwhile) == 0)
        ;
    atomic_fetch_sub(&here.computing, 1);
    return BRG_OK;
}

/* ---- how late the timer comes ---------------------------------------------------------------------------------- */

static void tick(uv_timer_t *timer)
{
    latency *ticks = timer->data;
    uint64_t now_ns = uv_hrtime();
    if (atomic_load(&here.computing) > 0)
        atomic_fetch_add(&ticks->meanwhile, 1);
    if (ticks->count < TICKS_MAX)
        ticks->late_ns[ticks->count++] = now_ns > ticks->due_ns ? now_ns - ticks->due_ns : 0;
    ticks->due_ns = now_ns + TICK_NS;
}

static void measure(uv_loop_t *loop)
{
    here.started = here.finished = 0;
    for (int i = 0; i < JOBS; i++)
        here.answers[i] = (uint64_t)i + 1;
    here.ticks.count = 0;
    atomic_store(&here.ticks.meanwhile, 0);
    here.ticks.timer.data = &here.ticks;
    here.ticks.due_ns = uv_hrtime() + TICK_NS;
    uv_timer_init(loop, &here.ticks.timer);
    uv_timer_start(&here.ticks.timer, tick, 1, 1);
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* Prints a line of the table; returns whether the timer came while it computed. */
static const char *report(const char *label)
{
    static const double parts[] = {0.5, 0.99, 1};
    latency *ticks = &here.ticks;
    double late_ms[3] = {0, 0, 0};
    qsort(ticks->late_ns, ticks->count, sizeof(ticks->late_ns[0]), compare);
    for (int i = 0; i < 3 && ticks->count != 0; i++)
        late_ms[i] = (double)ticks->late_ns[(size_t)((double)(ticks->count - 1) * parts[i])] / 1e6;
    printf("%-14s %9zu %9.3f %9.3f %9.3f\n", label, ticks->count, late_ms[0], late_ms[1], late_ms[2]);
    return atomic_load(&ticks->meanwhile) != 0 ? "yes" : "no";
}

/* ---- on the loop ------------------------------------------------------------------------------------------------ */

static void finish_one(void)
{
    if (++here.finished == JOBS)
        uv_close((uv_handle_t *)&here.ticks.timer, NULL);
}

static void compute_next(uv_idle_t *idle)
{
    compute(&here.answers[here.started++]);
    if (here.started == JOBS)
        uv_close((uv_handle_t *)idle, NULL);
    finish_one();
}

static void finished(const brg_result *result, void *user_data)
{
    (void)user_data;
    must(result->status, result->error);
    finish_one();
}

static uint64_t sum_of_answers(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < JOBS; i++)
        sum += here.answers[i];
    return sum;
}

int main(void)
{
    uv_loop_t *uv = uv_default_loop();
    brg_error error;
    brg_loop *loop = NULL;
    must(brg_loop_create_uv(&loop, uv, NULL, &error), &error);
    must(brg_pool_create(&here.pool, brg_pool_opts(.loop = loop), &error), &error);
    printf("%-14s %9s %9s %9s %9s\n", "late by ms", "ticks", "median", "p99", "most");

    measure(uv);
    uv_idle_init(uv, &here.next);
    uv_idle_start(&here.next, compute_next);
    uv_run(uv, UV_RUN_DEFAULT);
    const char *by_loop = report("on the loop");
    uint64_t sum = sum_of_answers();

    measure(uv);
    for (int i = 0; i < JOBS; i++)
        must(brg_pool_call(here.pool, compute_task, &here.answers[i], finished, NULL), NULL);
    uv_run(uv, UV_RUN_DEFAULT);
    const char *by_pool = report("on a pool");

    printf("the same answers: %s\n", sum_of_answers() == sum ? "yes" : "no");
    printf("the timer comes while a job is computed: on the loop %s, on a pool %s\n", by_loop, by_pool);
    brg_pool_destroy(here.pool);
    brg_loop_destroy(loop);
    uv_run(uv, UV_RUN_DEFAULT); /* closes brigade's handle */
    uv_loop_close(uv);
    return EXIT_SUCCESS;
}
