/* SPDX-License-Identifier: MIT */
/* Adaptive scaling on simulated machines: it finds the best count, through noise of 5 %. */
#include "pool/scaling_fixture.h"

#include <math.h>

#define RATE 10000 /* tasks per second of one worker alone */
#define NOISE 0.05
#define SEEDS 20
#define SETTLE 400  /* intervals until it must be there */
#define MEASURE 600 /* intervals whose averages count */

/* Throughput of n workers, of one alone = 1, whose best count is `best`. */
typedef double (*curve_fn)(double n, double best);

/* Gunther's universal scalability law (A simple capacity model of massively parallel transaction systems, 1993) without
 * contention, only coherency: n / (1 + b n (n - 1)) is best at sqrt(1 / b). */
static double curve_usl(double n, double best) { return n / (1 + n * (n - 1) / (best * best)); }

/* The same with contention: the best is at sqrt((1 - a) / b). */
static double curve_contention(double n, double best)
{
    double a = 0.02;
    return n / (1 + a * (n - 1) + (1 - a) / (best * best) * n * (n - 1));
}

/* As many as there are of something, and beyond that they get into each other's way: a sharp best. */
static double curve_sharp(double n, double best) { return n <= best ? n : best / (1 + (n - best) / best); }

/* The same without harm beyond: the best is flat. */
static double curve_flat(double n, double best) { return fmin(n, best); }

typedef struct averages {
    double count, yield; /* workers; throughput, of the best possible */
} averages;

static double curve_top(curve_fn curve, double best)
{
    double top = 0;
    for (uint32_t n = 1; n <= 256; n++)
        top = fmax(top, curve(n, best));
    return top;
}

/* An interval with a backlog. */
static void machine_work(machine *self, curve_fn curve, double best)
{
    double rate = curve(self->target, best) * RATE * fmax(1 + NOISE * machine_noise(self), 0.1);
    machine_step(self, INTERVAL_NS, self->target, 1000, (uint64_t)(rate / 10));
}

static averages machine_average(machine *self, curve_fn curve, double best)
{
    averages result = {0, 0};
    double top = curve_top(curve, best);
    for (int i = 0; i < MEASURE; i++) {
        result.count += (double)self->target / MEASURE;
        result.yield += curve(self->target, best) / top / MEASURE;
        machine_work(self, curve, best);
    }
    return result;
}

static void machine_start(machine *self, uint32_t first, uint64_t seed)
{
    machine_init(self, brg_scaling_adaptive, 1, 256);
    self->random = seed;
    self->load.workers = first;
    machine_ask(self);
    assert_int_equal(self->target, first);
}

static void assert_yields(const averages *found, double best, double yield, double share)
{
    if (found->yield < yield || fabs(found->count - best) > fmax(best * share, 1))
        fail_msg("best %g: %g workers on average, %g of the throughput", best, found->count, found->yield);
}

/* Where 10 % off costs more than the noise: within 10 %, in each run. */
static void assert_found_sharp(const averages *found, double best) { assert_yields(found, best, 0.9, 0.1); }

/* A smooth top: 10 % off costs half a per cent, a tenth of the noise. The throughput is closer than 5 %, and the count
 * is within 10 % on average over the seeds, to be seen by the caller. */
static void assert_found_smooth(const averages *found, double best) { assert_yields(found, best, 0.95, 0.3); }

static void assert_unbiased(double mean, double best)
{
    if (fabs(mean - best) > fmax(best * 0.1, 0.5))
        fail_msg("best %g: %g workers on average over the seeds", best, mean);
}

static const double bests[] = {1, 3, 8, 20, 64, 200};

static void check_curve(curve_fn curve, uint32_t first, void (*assert_found)(const averages *found, double best))
{
    for (size_t b = 0; b < sizeof(bests) / sizeof(bests[0]); b++) {
        double mean = 0;
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            machine pool;
            machine_start(&pool, first, seed);
            for (int i = 0; i < SETTLE; i++)
                machine_work(&pool, curve, bests[b]);
            averages found = machine_average(&pool, curve, bests[b]);
            assert_found(&found, bests[b]);
            mean += found.count / SEEDS;
        }
        assert_unbiased(mean, bests[b]);
    }
}

static void finds_the_best_under_coherency(void **state)
{
    (void)state;
    check_curve(curve_usl, 1, assert_found_smooth);
}

static void finds_the_best_under_contention(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        machine pool;
        machine_start(&pool, 1, seed);
        for (int i = 0; i < SETTLE; i++)
            machine_work(&pool, curve_contention, 20);
        averages found = machine_average(&pool, curve_contention, 20);
        assert_true(found.yield > 0.95);
        assert_true(found.count > 14 && found.count < 23); /* 10 % off costs half a per cent here */
    }
}

static void finds_a_sharp_best(void **state)
{
    (void)state;
    check_curve(curve_sharp, 1, assert_found_sharp);
}

static void finds_it_from_above(void **state)
{
    (void)state;
    check_curve(curve_usl, 256, assert_found_smooth);
    check_curve(curve_sharp, 256, assert_found_sharp);
}

/* All counts from 20 on are alike: it comes down from 256, not to 20 for sure, but near on average over the seeds. */
static void flat_means_few(void **state)
{
    (void)state;
    double mean = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        machine pool;
        machine_start(&pool, 256, seed);
        for (int i = 0; i < SETTLE; i++)
            machine_work(&pool, curve_flat, 20);
        averages found = machine_average(&pool, curve_flat, 20);
        assert_true(found.yield >= 0.9 && found.count < 100);
        mean += found.count / SEEDS;
    }
    assert_true(mean < 40);
}

static void check_moves(curve_fn curve, void (*assert_found)(const averages *found, double best))
{
    static const double moves[][2] = {{3, 64}, {64, 3}, {8, 20}, {20, 8}, {1, 200}, {200, 1}};
    for (size_t m = 0; m < sizeof(moves) / sizeof(moves[0]); m++)
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            machine pool;
            machine_start(&pool, 1, seed);
            for (int half = 0; half < 2; half++) {
                for (int i = 0; i < SETTLE; i++)
                    machine_work(&pool, curve, moves[m][half]);
                averages found = machine_average(&pool, curve, moves[m][half]);
                assert_found(&found, moves[m][half]);
            }
        }
}

static void follows_when_the_best_moves(void **state)
{
    (void)state;
    check_moves(curve_usl, assert_found_smooth);
    check_moves(curve_sharp, assert_found_sharp);
}

/* Another kind of work, ten times as heavy, with the same best: it must not lose its way. */
static void heavier_work_changes_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        machine pool;
        machine_start(&pool, 1, seed);
        for (int i = 0; i < SETTLE; i++)
            machine_work(&pool, curve_usl, 20);
        for (int i = 0; i < SETTLE; i++) {
            double rate = curve_usl(pool.target, 20) * RATE / 10 * (1 + NOISE * machine_noise(&pool));
            machine_step(&pool, INTERVAL_NS, pool.target, 1000, (uint64_t)(rate / 10));
        }
        averages found = machine_average(&pool, curve_usl, 20);
        assert_found_smooth(&found, 20);
    }
}

/* Tasks of two seconds: an interval sees less than one per worker. */
static void long_tasks_take_longer(void **state)
{
    (void)state;
    machine pool;
    double done = 0;
    machine_start(&pool, 1, 1);
    for (int i = 0; i < 20 * SETTLE; i++) {
        uint64_t before = (uint64_t)done;
        done += curve_sharp(pool.target, 8) / 20;
        machine_step(&pool, INTERVAL_NS, pool.target, 1000, (uint64_t)done - before);
    }
    assert_in_range(pool.target, 6, 10);
}

/* Without a backlog throughput says nothing: it goes down to what is busy, and back up when tasks wait again. */
static void light_load_takes_few(void **state)
{
    (void)state;
    machine pool;
    machine_start(&pool, 1, 1);
    for (int i = 0; i < SETTLE; i++)
        machine_work(&pool, curve_usl, 64);
    assert_in_range(pool.target, 48, 80);
    uint32_t least = UINT32_MAX;
    for (int i = 0; i < SETTLE; i++) {
        uint32_t before = pool.target;
        machine_step(&pool, INTERVAL_NS, 3, 0, 300);
        assert_true(pool.target <= before);
        least = pool.target;
    }
    assert_in_range(least, 4, 5);
    for (int i = 0; i < 1000; i++) /* and rests there, whatever noise */
        assert_int_equal(machine_step(&pool, INTERVAL_NS, 2.6 + 0.4 * (i % 2), 0, 300), least);
    assert_int_equal(machine_step(&pool, 1000, least, 2, 0), least + 2);
    for (int i = 0; i < 3; i++)
        machine_work(&pool, curve_usl, 64);
    assert_in_range(pool.target, 40, 90);
}

/* ---- workers that sleep ------------------------------------------------------------------------------------------ */

/*
 * Tasks that wait for `seconds` on average (exponential) and compute for a fiftieth of it, on 4 CPUs. `most` of them get on
 * at a time, as connections to something; more share these. A worker that is surplus ends its task first.
 */
typedef struct sleepers {
    machine pool;
    double left[256]; /* of each worker's task; 0: none */
    double seconds, most;
} sleepers;

static double sleepers_draw(sleepers *self)
{
    double evenly = (double)(brg__random_next(&self->pool.random) >> 11) / 9007199254740992.0;
    return -log(1 - evenly) * self->seconds;
}

static void sleepers_start(sleepers *self, double seconds, double most, uint64_t seed)
{
    memset(self, 0, sizeof(*self));
    machine_start(&self->pool, 1, seed);
    self->seconds = seconds;
    self->most = most;
    self->pool.load.cpus = 4;
}

/* One interval. */
static void sleepers_step(sleepers *self)
{
    uint32_t running = 0;
    uint64_t done = 0;
    for (uint32_t i = 0; i < 256; i++) {
        if (self->left[i] <= 0 && i < self->pool.target)
            self->left[i] = sleepers_draw(self);
        running += self->left[i] > 0;
    }
    double speed = fmin(1, self->most / running);
    for (uint32_t i = 0; i < 256; i++) {
        double time = 0.1 * speed;
        while (self->left[i] > 0 && self->left[i] <= time) {
            time -= self->left[i];
            self->left[i] = i < self->pool.target ? sleepers_draw(self) : 0;
            done++;
        }
        self->left[i] = fmax(self->left[i] - time, 0);
    }
    self->pool.load.cpu_ns += (uint64_t)(running * speed * INTERVAL_NS / 50);
    machine_step(&self->pool, INTERVAL_NS, running, 1000, done);
}

/* How many intervals until it has nine tenths of the throughput there is. */
static uint32_t sleepers_converge(sleepers *self)
{
    uint32_t intervals = 0;
    for (; fmin(self->pool.target, self->most) < 0.9 * self->most; intervals++) {
        assert_true(intervals < 20000);
        sleepers_step(self);
    }
    return intervals;
}

static void check_sleepers(double seconds, double most, double mean, uint32_t worst)
{
    double sum = 0, yield = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        sleepers self;
        sleepers_start(&self, seconds, most, seed);
        uint32_t intervals = sleepers_converge(&self);
        if (intervals > worst)
            fail_msg("%g s, %g at a time: %u intervals", seconds, most, intervals);
        sum += intervals;
        for (int i = 0; i < 2000; i++) {
            sleepers_step(&self);
            yield += fmin(self.pool.target, most) / most / 2000;
        }
    }
    if (sum / SEEDS > mean || yield / SEEDS < 0.9)
        fail_msg("%g s, %g at a time: %g intervals, then %g of the throughput", seconds, most, sum / SEEDS,
                 yield / SEEDS);
}

/* By doubling alone, with 4 tasks of each worker to judge by, it would be 78 and 439 intervals for 64 of them. */
static void sleepers_are_found_fast(void **state)
{
    (void)state;
    check_sleepers(0.01, 64, 6, 10);
    check_sleepers(0.1, 64, 12, 20);
    check_sleepers(1, 64, 60, 80);
    check_sleepers(0.01, 200, 12, 20);
    check_sleepers(0.1, 200, 20, 30);
    check_sleepers(1, 200, 110, 140);
}

/* Tasks of five seconds, of which ten intervals see one of each two: it takes its time and gets there. */
static void long_sleepers_are_found(void **state)
{
    (void)state;
    check_sleepers(5, 64, 150, 400);
}

/* What they wait for is scarce: it went too far, and comes back. */
static void a_leap_too_far_is_taken_back(void **state)
{
    (void)state;
    double count = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        sleepers self;
        sleepers_start(&self, 0.01, 20, seed);
        for (int i = 0; i < SETTLE; i++)
            sleepers_step(&self);
        for (int i = 0; i < MEASURE; i++) {
            sleepers_step(&self);
            count += (double)self.pool.target / MEASURE / SEEDS;
            assert_true(self.pool.target >= 10);
        }
    }
    assert_true(count < 50); /* all from 20 on are alike */
}

/* The best is found as before, whatever the CPUs say: here all of the time is computed, or next to nothing of it. */
static void cpus_do_not_mislead(void **state)
{
    (void)state;
    static const double shares[] = {0.01, 0.1, 1};
    for (size_t c = 0; c < sizeof(shares) / sizeof(shares[0]); c++)
        for (size_t b = 0; b < sizeof(bests) / sizeof(bests[0]); b++)
            for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                machine pool;
                machine_start(&pool, 1, seed);
                pool.load.cpus = 8;
                for (int i = 0; i < SETTLE; i++) {
                    pool.load.cpu_ns += (uint64_t)(pool.target * shares[c] * INTERVAL_NS);
                    machine_work(&pool, curve_sharp, bests[b]);
                }
                averages found = machine_average(&pool, curve_sharp, bests[b]);
                assert_found_sharp(&found, bests[b]);
            }
}

/* One task of each that does not end: it leaps all the same, once, as nothing is lost by it. */
static void a_leap_needs_no_end(void **state)
{
    (void)state;
    machine pool;
    machine_start(&pool, 1, 1);
    pool.load.cpus = 4;
    for (int i = 0; i < 4; i++) {
        pool.load.cpu_ns += 1000;
        machine_step(&pool, INTERVAL_NS, pool.target, 1000, 0);
    }
    assert_int_equal(pool.target, 8);
    for (int i = 0; i < 100; i++) {
        pool.load.cpu_ns += 1000;
        machine_step(&pool, INTERVAL_NS, pool.target, 1000, 0);
    }
    assert_int_equal(pool.target, 8);
}

/* Surplus workers stay busy for ever: what is asked for never comes about, and must not be taken for good. */
static void what_does_not_happen_is_no_evidence(void **state)
{
    (void)state;
    machine pool;
    machine_start(&pool, 16, 1);
    for (int i = 0; i < 4000; i++) {
        uint32_t there = pool.load.workers > pool.target ? pool.load.workers : pool.target;
        there = there > 32 ? 32 : there; /* nor can there be more than these */
        pool.load.workers = there;
        pool.load.busy = there;
        double rate = curve_flat(there, 32) * RATE * (1 + NOISE * machine_noise(&pool));
        pool.load.now_ns += INTERVAL_NS;
        pool.load.busy_ns += there * INTERVAL_NS;
        pool.load.queued = 1000;
        pool.load.done += (uint64_t)(rate / 10);
        machine_ask(&pool);
    }
    double sum = 0;
    for (int i = 0; i < MEASURE; i++) {
        pool.load.now_ns += INTERVAL_NS;
        pool.load.busy_ns += 32 * INTERVAL_NS;
        pool.load.done += 32 * RATE / 10;
        sum += machine_ask(&pool);
    }
    assert_true(sum / MEASURE > 26 && sum / MEASURE < 44);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_best_under_coherency),
        cmocka_unit_test(finds_the_best_under_contention),
        cmocka_unit_test(finds_a_sharp_best),
        cmocka_unit_test(finds_it_from_above),
        cmocka_unit_test(flat_means_few),
        cmocka_unit_test(follows_when_the_best_moves),
        cmocka_unit_test(heavier_work_changes_nothing),
        cmocka_unit_test(long_tasks_take_longer),
        cmocka_unit_test(light_load_takes_few),
        cmocka_unit_test(sleepers_are_found_fast),
        cmocka_unit_test(long_sleepers_are_found),
        cmocka_unit_test(a_leap_too_far_is_taken_back),
        cmocka_unit_test(cpus_do_not_mislead),
        cmocka_unit_test(a_leap_needs_no_end),
        cmocka_unit_test(what_does_not_happen_is_no_evidence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
