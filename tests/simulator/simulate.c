/* SPDX-License-Identifier: MIT */
/* The program: records costs, compares predictions with real runs, predicts. See docs/simulator.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "model.h"
#include "os/thread.h"
#include "real.h"
#include "simulate.h"

sim_measures sim_simulate(const sim_setup *setup, const sim_load *load, sim_insight *insight)
{
    sim_run run;
    sim_measures measures;
    if (!sim_run_make(&run, load) || !sim_model_run(setup, load, &run, insight) ||
        !sim_measure(&measures, &run, setup->cores, setup->options.workers_max))
        bench_fail("no memory, or the simulation came to a standstill");
    sim_run_done(&run);
    return measures;
}

/* argv[0]: the file, else the committed one. */
static void simulate_costs(sim_costs *costs, int argc, char **argv, int index)
{
    if (!sim_costs_read(costs, index < argc ? argv[index] : SIMULATOR_COSTS_FILE))
        exit(EXIT_FAILURE);
}

static void simulate_calibrate(int argc, char **argv)
{
    sim_costs costs;
    (void)argc;
    (void)argv;
    sim_calibrate(&costs);
    sim_costs_write(&costs, stdout);
}

/* ---- predictions against real runs ------------------------------------------------------------------------------- */

#define VALIDATE_RUNS 40
#define VALIDATE_NS 400000000 /* no new run after this */

typedef struct validate_case {
    const char *group, *name;
    sim_load load;
    uint32_t workers[4]; /* ends with 0 */
    const brg_placement_policy *const *placement;
} validate_case;

#define US 1e3
#define MS 1e6

static const validate_case validate_cases[] = {
    {"empty", "empty, one submitter", {.count = 100000}, {1, 2, 4}, NULL},
    {"empty", "empty, 8 chains", {.count = 100000, .arrival = SIM_CHAINS, .chains = 8}, {1, 2, 4}, NULL},
    {"empty", "empty, round robin", {.count = 20000}, {2, 4}, &brg_placement_round_robin},
    {"empty", "empty, stealing", {.count = 20000}, {2, 4}, &brg_placement_stealing},
    {"work", "10 us", {.count = 2000, .mean_ns = 10 * US}, {1, 2, 4}, NULL},
    {"work",
     "10 us, 8 chains",
     {.count = 2000, .mean_ns = 10 * US, .arrival = SIM_CHAINS, .chains = 8},
     {1, 2, 4},
     NULL},
    {"work", "100 us, exponential", {.count = 300, .mean_ns = 100 * US, .length = SIM_EXPONENTIAL}, {1, 2, 4}, NULL},
    {"work", "10 us and 1 ms", {.count = 300, .mean_ns = 109 * US, .length = SIM_BIMODAL}, {1, 2, 4}, NULL},
    {"work",
     "10 us and 1 ms, round robin",
     {.count = 300, .mean_ns = 109 * US, .length = SIM_BIMODAL},
     {2, 4},
     &brg_placement_round_robin},
    {"work",
     "10 us and 1 ms, stealing",
     {.count = 300, .mean_ns = 109 * US, .length = SIM_BIMODAL},
     {2, 4},
     &brg_placement_stealing},
    {"sleep", "1 ms asleep", {.count = 200, .mean_ns = MS, .off_share = 1}, {1, 4, 16}, NULL},
    {"sleep", "1 ms, 90 % asleep", {.count = 400, .mean_ns = MS, .off_share = 0.9}, {4, 16}, NULL},
    {"sleep",
     "1 ms asleep, random",
     {.count = 400, .mean_ns = MS, .off_share = 1, .length = SIM_EXPONENTIAL},
     {4, 16},
     &brg_placement_random},
    {"sleep",
     "1 ms asleep, two choices",
     {.count = 400, .mean_ns = MS, .off_share = 1, .length = SIM_EXPONENTIAL},
     {4, 16},
     &brg_placement_two_choices},
    {"open",
     "200 us exponential at 50 %",
     {.count = 300, .mean_ns = 200 * US, .arrival = SIM_OPEN, .rate = 2500, .length = SIM_EXPONENTIAL},
     {1},
     NULL},
    {"open",
     "1 ms asleep at 70 %",
     {.count = 1600, .mean_ns = MS, .off_share = 1, .arrival = SIM_OPEN, .rate = 0.7 * 8000, .length = SIM_EXPONENTIAL},
     {8},
     NULL},
    {"open",
     "1 ms asleep at 70 %, random",
     {.count = 1600, .mean_ns = MS, .off_share = 1, .arrival = SIM_OPEN, .rate = 0.7 * 8000, .length = SIM_EXPONENTIAL},
     {8},
     &brg_placement_random},
};

static int validate_compare(const void *left, const void *right)
{
    const sim_measures *a = left, *b = right;
    return (a->seconds > b->seconds) - (a->seconds < b->seconds);
}

/*
 * The fastest of several runs: other programs on the machine only make it slower. Empty tasks, whose runs differ by who
 * happens to have the lock when, the median. With arrivals by the clock the one that waited least.
 */
static sim_measures validate_real(const sim_setup *setup, const sim_load *load)
{
    sim_measures all[VALIDATE_RUNS];
    uint32_t count = 0, least = 0;
    uint64_t end_ns = bench_now_ns() + VALIDATE_NS;
    for (int i = 0; i < VALIDATE_RUNS && (count < 3 || bench_now_ns() < end_ns); i++) {
        sim_run run;
        if (!sim_run_make(&run, load))
            bench_fail("no memory");
        bool counts = sim_real_run(&setup->options, load, &run) || (i == VALIDATE_RUNS - 1 && count == 0);
        if (!sim_measure(&all[count], &run, setup->cores, setup->options.workers_max))
            bench_fail("no memory");
        count += counts;
        sim_run_done(&run);
    }
    if (load->arrival == SIM_OPEN) {
        for (uint32_t i = 1; i < count; i++)
            least = all[i].wait_ns < all[least].wait_ns ? i : least;
        return all[least];
    }
    qsort(all, count, sizeof(*all), validate_compare);
    return all[load->mean_ns == 0 ? count / 2 : 0];
}

typedef struct validate_sums {
    double rate_error, wait_error, rate_log;
    uint32_t count, waits, within;
} validate_sums;

static void validate_one(const validate_case *one, uint32_t workers, const sim_costs *costs, validate_sums *sums)
{
    sim_insight insight;
    sim_load load = one->load;
    load.seed = 42;
    sim_setup setup = {.costs = costs, .cores = brg__cpu_online()};
    setup.options = (brg_pool_options){.workers_max = workers, .queue_max = 65536, .seed = 9};
    setup.options.placement = one->placement == NULL ? NULL : *one->placement;
    sim_measures predicted = sim_simulate(&setup, &load, &insight), real = validate_real(&setup, &load);
    double ratio = predicted.rate / real.rate;
    printf("%-30s %3u  %10.0f %10.0f %6.3f", one->name, workers, real.rate, predicted.rate, ratio);
    sums->rate_error += fabs(ratio - 1);
    sums->rate_log += log(ratio);
    sums->within += fabs(ratio - 1) <= 0.15;
    sums->count++;
    if (load.mean_ns != 0) {
        double waits = predicted.wait_ns / real.wait_ns;
        printf("  %7.3f %7.3f  %10.1f %10.1f %6.3f", real.makespan, predicted.makespan, real.wait_ns / 1e3,
               predicted.wait_ns / 1e3, waits);
        sums->wait_error += fabs(waits - 1);
        sums->waits++;
    }
    putchar('\n');
    fflush(stdout);
}

/* argv: the group of loads, or all; the costs, else they are recorded first. */
static void simulate_validate(int argc, char **argv)
{
    sim_costs costs;
    validate_sums sums = {.count = 0};
    const char *group = argc > 0 ? argv[0] : "all";
    if (argc > 1)
        simulate_costs(&costs, argc, argv, 1);
    else
        sim_calibrate(&costs);
    bool anew = argc <= 1;
    printf("%-30s %3s  %10s %10s %6s  %7s %7s  %10s %10s %6s\n", "load", "W", "tasks/s", "predicted", "ratio",
           "makesp.", "pred.", "wait us", "predicted", "ratio");
    for (size_t i = 0; i < brg__count_of(validate_cases); i++)
        if (strcmp(group, "all") == 0 || strcmp(group, validate_cases[i].group) == 0)
            for (const uint32_t *workers = validate_cases[i].workers; *workers != 0; workers++) {
                /* Here the machine's moods count: a virtual one may have its CPUs on one core now and on two later. */
                if (anew && validate_cases[i].load.mean_ns == 0)
                    sim_calibrate(&costs);
                validate_one(&validate_cases[i], *workers, &costs, &sums);
            }
    if (sums.count == 0)
        bench_fail("no loads are called %s: empty, work, sleep, open, all", group);
    bench_print("ratio", exp(sums.rate_log / sums.count));
    bench_print("error", 100 * sums.rate_error / sums.count);
    if (sums.waits != 0)
        bench_print("wait-error", 100 * sums.wait_error / sums.waits);
    bench_print("within-15-percent", 100.0 * sums.within / sums.count);
}

/* ---- one load ---------------------------------------------------------------------------------------------------- */

static void simulate_predict(int argc, char **argv)
{
    sim_costs costs;
    simulate_costs(&costs, argc, argv, 1);
    if (!sim_predict(bench_argument(argc, argv, 0, "table"), &costs))
        bench_fail("no table is called %s: empty, chains, lock, wait, bands, scaling, all", argv[0]);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"calibrate", simulate_calibrate},
                                             {"validate", simulate_validate},
                                             {"predict", simulate_predict},
                                             {"load", sim_load_command},
                                             {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
