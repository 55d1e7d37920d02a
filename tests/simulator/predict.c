/* SPDX-License-Identifier: MIT */
/* What the recorded costs say of machines that are not at hand, as Markdown tables. */
#include <stdio.h>
#include <string.h>

#include "simulate.h"

#define US 1e3
#define MS 1e6
#define PREDICT_TASKS 50000 /* at least; more where there are many workers */

static const uint32_t predict_workers[] = {2, 4, 8, 16, 32, 64, 128, 256};
static const brg_placement_policy *const *const predict_placements[] = {
    &brg_placement_pull,        &brg_placement_round_robin, &brg_placement_least_busy, &brg_placement_random,
    &brg_placement_two_choices, &brg_placement_sticky,      &brg_placement_stealing};

static uint32_t predict_count(uint32_t workers) { return (uint32_t)brg__max(PREDICT_TASKS, workers * 400); }

static void predict_head(const char *title, const char *first)
{
    printf("\n%s\n\n| %s |", title, first);
    for (size_t w = 0; w < brg__count_of(predict_workers); w++)
        printf(" %u |", predict_workers[w]);
    printf("\n| --- |");
    for (size_t w = 0; w < brg__count_of(predict_workers); w++)
        printf(" ---: |");
    putchar('\n');
}

/* A core for each worker, and one for who submits. */
static sim_setup predict_setup(const sim_costs *costs, uint32_t workers, const brg_placement_policy *placement)
{
    return (sim_setup){
        .costs = costs, .cores = workers + 1, .options = {.workers_max = workers, .placement = placement, .seed = 1}};
}

typedef double (*predict_cell)(const sim_costs *costs, uint32_t workers, const brg_placement_policy *placement);

static void predict_by_placement(const char *title, int decimals, predict_cell cell, const sim_costs *costs)
{
    predict_head(title, "placement \\ workers");
    for (size_t p = 0; p < brg__count_of(predict_placements); p++) {
        printf("| %s |", (*predict_placements[p])->name);
        for (size_t w = 0; w < brg__count_of(predict_workers); w++) {
            printf(" %.*f |", decimals, cell(costs, predict_workers[w], *predict_placements[p]));
            fflush(stdout);
        }
        putchar('\n');
    }
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static double empty_cell(const sim_costs *costs, uint32_t workers, const brg_placement_policy *placement)
{
    sim_insight insight;
    sim_setup setup = predict_setup(costs, workers, placement);
    setup.options.queue_max = 65536;
    sim_load load = {.seed = 1, .count = PREDICT_TASKS, .keys = placement == brg_placement_sticky ? 1000 : 0};
    return sim_simulate(&setup, &load, &insight).rate / 1e6;
}

static void predict_empty(const sim_costs *costs)
{
    predict_by_placement("Empty tasks from one thread, millions a second", 2, empty_cell, costs);
}

static sim_measures chains_run(const sim_costs *costs, uint32_t workers, const brg_placement_policy *placement,
                               double mean_ns, sim_insight *insight)
{
    sim_setup setup = predict_setup(costs, workers, placement);
    sim_load load = {.seed = 1,
                     .count = predict_count(workers),
                     .arrival = SIM_CHAINS,
                     .chains = 4 * workers,
                     .mean_ns = mean_ns,
                     .keys = placement == brg_placement_sticky ? 1000 : 0};
    return sim_simulate(&setup, &load, insight);
}

static double chains_cell(const sim_costs *costs, uint32_t workers, const brg_placement_policy *placement)
{
    sim_insight insight;
    return chains_run(costs, workers, placement, 10 * US, &insight).rate / 1e6;
}

static void predict_chains(const sim_costs *costs)
{
    predict_by_placement("Tasks of 10 us, four in flight for each worker, each submits the next, millions a second", 3,
                         chains_cell, costs);
}

static void predict_lock(const sim_costs *costs)
{
    static const double lengths_us[] = {1, 3, 10, 30, 100, 300, 1000};
    predict_head("Workers busy and lock held, per cent of the time: pull, four in flight for each worker, each submits "
                 "the next",
                 "task \\ workers");
    for (size_t i = 0; i < brg__count_of(lengths_us); i++) {
        printf("| %g us |", lengths_us[i]);
        for (size_t w = 0; w < brg__count_of(predict_workers); w++) {
            sim_insight insight;
            sim_measures one = chains_run(costs, predict_workers[w], brg_placement_pull, lengths_us[i] * US, &insight);
            printf(" %.0f, %.0f |", 100 * one.busy, 100 * insight.lock_busy);
            fflush(stdout);
        }
        putchar('\n');
    }
}

static double wait_cell(const sim_costs *costs, uint32_t workers, const brg_placement_policy *placement)
{
    sim_insight insight;
    sim_setup setup = predict_setup(costs, workers, placement);
    sim_load load = {.seed = 1,
                     .count = predict_count(workers),
                     .arrival = SIM_OPEN,
                     .rate = 0.8 * workers * 1e9 / MS,
                     .length = SIM_EXPONENTIAL,
                     .mean_ns = MS}; /* without keys: sticky does as least busy */
    return sim_simulate(&setup, &load, &insight).wait_99_ns / MS;
}

static void predict_wait(const sim_costs *costs)
{
    predict_by_placement("Wait before the start in ms, the 99th percentile: tasks of 1 ms (exponential), at random, "
                         "workers 80 % busy",
                         2, wait_cell, costs);
}

static void predict_bands(const sim_costs *costs)
{
    static const brg_queue_policy *const *const queues[] = {&brg_queue_fifo, &brg_queue_lifo, &brg_queue_priority,
                                                            &brg_queue_weighted, &brg_queue_deadline};
    printf(
        "\nMean wait in ms by priority: 16 workers, 95 %% busy, tasks of 1 ms (exponential), a quarter each\n\n"
        "| queue | urgent | high | normal | low | p99 | missed |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for (size_t q = 0; q < brg__count_of(queues); q++) {
        sim_insight insight;
        sim_setup setup = predict_setup(costs, 16, brg_placement_pull);
        setup.options.queue = *queues[q];
        memcpy(setup.options.shares, (const uint32_t[]){0, 50, 40, 10}, sizeof(setup.options.shares));
        sim_load load = {.seed = 1,
                         .count = 4 * PREDICT_TASKS,
                         .arrival = SIM_OPEN,
                         .rate = 0.95 * 16e9 / MS,
                         .length = SIM_EXPONENTIAL,
                         .mean_ns = MS,
                         .has_bands = true,
                         .patience = 3};
        sim_measures one = sim_simulate(&setup, &load, &insight);
        printf("| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.1f %% |\n", (*queues[q])->name, one.band_wait_ns[0] / MS,
               one.band_wait_ns[1] / MS, one.band_wait_ns[2] / MS, one.band_wait_ns[3] / MS, one.wait_99_ns / MS,
               100 * one.late);
        fflush(stdout);
    }
}

static void scaling_row(const sim_costs *costs, const char *name, brg_pool_options options, double off_share)
{
    sim_insight insight;
    sim_setup setup = {.costs = costs, .cores = 8, .options = options};
    sim_load load = {.seed = 1,
                     .count = off_share == 0 ? 80000 : 400000,
                     .arrival = SIM_CHAINS,
                     .chains = 400,
                     .mean_ns = MS,
                     .off_share = off_share};
    sim_measures one = sim_simulate(&setup, &load, &insight);
    printf("| %s | %.0f | %.0f | %.1f | %u |\n", name, 100 * off_share, one.rate, insight.workers,
           insight.workers_last);
    fflush(stdout);
}

static void predict_scaling(const sim_costs *costs)
{
    static const double shares[] = {0, 0.5, 0.9, 0.97};
    printf(
        "\nTasks of 1 ms on 8 cores, 400 in flight, part of each task asleep: tasks a second, workers on average and "
        "at the end\n\n| scaling | asleep %% | tasks/s | workers | last |\n| --- | ---: | ---: | ---: | ---: |\n");
    for (size_t i = 0; i < brg__count_of(shares); i++) {
        scaling_row(costs, "fixed, 8", (brg_pool_options){.workers_max = 8}, shares[i]);
        scaling_row(costs, "fixed, 64", (brg_pool_options){.workers_max = 64}, shares[i]);
        scaling_row(costs, "fixed, 256", (brg_pool_options){.workers_max = 256}, shares[i]);
        brg_pool_options options = {.workers_min = 1, .workers_max = 256, .idle_timeout_ns = BRG_SECONDS(1)};
        options.scaling = brg_scaling_backlog;
        scaling_row(costs, "backlog, 1 to 256", options, shares[i]);
        options.scaling = brg_scaling_load;
        scaling_row(costs, "load, 1 to 256", options, shares[i]);
        options.scaling = brg_scaling_adaptive;
        scaling_row(costs, "adaptive, 1 to 256", options, shares[i]);
    }
}

typedef struct predict_table {
    const char *name;
    void (*print)(const sim_costs *costs);
} predict_table;

static const predict_table predict_tables[] = {{"empty", predict_empty}, {"chains", predict_chains},
                                               {"lock", predict_lock},   {"wait", predict_wait},
                                               {"bands", predict_bands}, {"scaling", predict_scaling}};

bool sim_predict(const char *table, const sim_costs *costs)
{
    bool is_known = false;
    for (size_t i = 0; i < brg__count_of(predict_tables); i++) {
        if (strcmp(table, "all") != 0 && strcmp(table, predict_tables[i].name) != 0)
            continue;
        predict_tables[i].print(costs);
        is_known = true;
    }
    return is_known;
}
