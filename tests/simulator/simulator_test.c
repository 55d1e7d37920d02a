/* SPDX-License-Identifier: MIT */
/* The simulator against itself, and against what theory says of queues. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "model.h"

#define MS 1e6

static sim_insight insight;
static sim_measures measures;

static sim_run play(const sim_load *load, const sim_setup *setup)
{
    sim_run run;
    assert_true(sim_run_make(&run, load));
    assert_true(sim_model_run(setup, load, &run, &insight));
    assert_true(sim_measure(&measures, &run, setup->cores, setup->options.workers_max));
    return run;
}

/* The same, for its measures only. */
static void measure(const sim_load *load, const sim_setup *setup)
{
    sim_run run = play(load, setup);
    sim_run_done(&run);
}

static sim_costs some_costs(void)
{
    return (sim_costs){.clock_ns = 30,
                       .lock_ns = 20,
                       .lock_spin_ns = 3000,
                       .miss_ns = 80,
                       .transfer_ns = 200,
                       .call_ns = 200,
                       .wake_call_ns = 1500,
                       .wake_ns = 5000,
                       .sleep_call_ns = 800,
                       .late_ns = 10000,
                       .switch_ns = 1500,
                       .slice_ns = 1000000,
                       .start_ns = 20000,
                       .submit_ns = 60,
                       .hand_ns = 120,
                       .take_ns = 20,
                       .run_ns = 40,
                       .least_busy_seat_ns = 1,
                       .victim_seat_ns = 1};
}

static const brg_placement_policy *placement_at(int index)
{
    const brg_placement_policy *all[] = {brg_placement_pull,    brg_placement_round_robin, brg_placement_least_busy,
                                         brg_placement_random,  brg_placement_two_choices, brg_placement_sticky,
                                         brg_placement_stealing};
    return index < 7 ? all[index] : NULL;
}

static const brg_queue_policy *queue_at(int index)
{
    const brg_queue_policy *all[] = {brg_queue_fifo,     brg_queue_lifo,     brg_queue_priority,
                                     brg_queue_weighted, brg_queue_deadline, brg_queue_fair};
    return index < 6 ? all[index] : NULL;
}

/* ---- sound ------------------------------------------------------------------------------------------------------- */

static void check_times(const sim_run *run, uint32_t workers)
{
    for (uint32_t i = 0; i < run->count; i++) {
        const sim_record *record = &run->records[i];
        assert_int_equal(record->times, 1);
        assert_true(record->worker < workers);
        assert_true(record->began_ns >= record->came_ns);
        assert_true((double)(record->ended_ns - record->began_ns) >= record->work_ns + record->off_ns - 2);
    }
}

/* Every task exactly once, whatever the policies, arrivals, cores and costs. */
static void every_task_runs_once(void **state)
{
    (void)state;
    const sim_costs costs = some_costs();
    for (int p = 0; placement_at(p) != NULL; p++)
        for (int q = 0; queue_at(q) != NULL; q++)
            for (int kind = 0; kind < 12; kind++) {
                sim_load load = {.seed = (uint64_t)(p * 100 + q * 10 + kind + 1),
                                 .count = 2000,
                                 .arrival = (sim_arrival)(kind % 3),
                                 .rate = 200000,
                                 .chains = 5,
                                 .length = (sim_length)(kind % 4),
                                 .mean_ns = kind % 5 == 0 ? 0 : 20000,
                                 .off_share = kind % 2 == 0 ? 0.5 : 0,
                                 .keys = 10,
                                 .has_bands = true,
                                 .patience = 3};
                sim_setup setup = {.costs = kind % 6 == 1 ? NULL : &costs, .cores = kind % 4 == 0 ? 2 : 9};
                setup.options = (brg_pool_options){.queue = queue_at(q),
                                                   .placement = placement_at(p),
                                                   .workers_max = 7,
                                                   .queue_max = kind % 2 == 1 ? 16 : 0};
                sim_run run = play(&load, &setup);
                check_times(&run, 7);
                assert_true(setup.options.queue_max == 0 || load.arrival == SIM_CHAINS ||
                            insight.queue_peak <= 16 + 32 * 7);
                assert_true(measures.makespan == 0 || measures.makespan >= 0.999);
                sim_run_done(&run);
            }
}

static void the_same_seed_is_the_same_course(void **state)
{
    (void)state;
    const sim_costs costs = some_costs();
    sim_load load = {
        .seed = 3, .count = 20000, .arrival = SIM_OPEN, .rate = 300000, .mean_ns = 20000, .length = SIM_BIMODAL};
    sim_setup setup = {
        .costs = &costs, .cores = 4, .options = {.placement = brg_placement_two_choices, .workers_max = 8, .seed = 5}};
    sim_run one = play(&load, &setup);
    uint64_t events = insight.events;
    sim_run two = play(&load, &setup);
    assert_int_equal(insight.events, events);
    assert_memory_equal(one.records, two.records, one.count * sizeof(sim_record));
    load.seed = 4;
    sim_run three = play(&load, &setup);
    assert_memory_not_equal(one.records, three.records, one.count * sizeof(sim_record));
    sim_run_done(&one);
    sim_run_done(&two);
    sim_run_done(&three);
}

/* A core does one thing at a time: work on fewer cores than workers takes what the cores give. */
static void cores_are_shared(void **state)
{
    (void)state;
    sim_load load = {.seed = 1, .count = 400, .mean_ns = MS};
    for (uint32_t cores = 1; cores <= 4; cores++) {
        sim_setup setup = {.cores = cores, .options = {.workers_max = 8, .no_spin = true}};
        measure(&load, &setup);
        assert_true(fabs(measures.seconds - 0.4 / cores) < 0.01);
    }
    load.off_share = 1; /* sleeping takes no core */
    sim_setup setup = {.cores = 1, .options = {.workers_max = 8}};
    measure(&load, &setup);
    assert_true(fabs(measures.seconds - 0.4 / 8) < 0.001);
}

/* One lock, held 1 us for each task: no more than a million tasks a second, however many workers. */
static void a_lock_is_a_bound(void **state)
{
    (void)state;
    sim_costs costs = {.take_ns = 1000};
    sim_load load = {.seed = 1, .count = 20000, .arrival = SIM_CHAINS, .chains = 256, .mean_ns = 10000};
    sim_setup setup = {.costs = &costs, .cores = 129, .options = {.workers_max = 128}};
    measure(&load, &setup);
    assert_true(measures.rate < 1.001e6 && measures.rate > 0.98e6);
    assert_true(insight.lock_busy > 0.98);
    setup.options.workers_max = 4;
    measure(&load, &setup);
    assert_true(fabs(measures.rate - 4e9 / 11000) < 0.03 * measures.rate);
}

/* Many workers, and a lock whose release takes longer than all else: once idle ones took the last tasks from each
 * other's hands for ever, since nobody came to start what he had just taken. */
static void crowds_come_to_an_end(void **state)
{
    (void)state;
    /* As recorded on a virtual machine. */
    const sim_costs costs = {.clock_ns = 22.37,
                             .lock_ns = 10.6,
                             .lock_spin_ns = 2566,
                             .miss_ns = 203,
                             .transfer_ns = 544.5,
                             .call_ns = 171,
                             .wake_call_ns = 9162,
                             .wake_ns = 16750,
                             .sleep_call_ns = 893.3,
                             .switch_ns = 893.3,
                             .submit_own_ns = 36.62,
                             .hand_ns = 72.57,
                             .take_ns = 7.523,
                             .run_ns = 31.2};
    for (uint64_t seed = 1; seed <= 8; seed++) {
        sim_load load = {.seed = seed, .count = 3000, .arrival = SIM_CHAINS, .chains = 256, .mean_ns = 10000};
        sim_setup setup = {.costs = &costs, .cores = 65, .options = {.workers_max = 64}};
        load.length = seed % 2 == 0 ? SIM_FIXED : SIM_EXPONENTIAL;
        measure(&load, &setup);
        assert_true(insight.events < 200 * (uint64_t)load.count);
    }
}

/* ---- theory ------------------------------------------------------------------------------------------------------ */

/* Erlang's C: the mean wait in M/M/c, in units of the mean length. */
static double erlang_wait(uint32_t workers, double load)
{
    double offered = load * workers, blocked = 1;
    for (uint32_t i = 1; i <= workers; i++)
        blocked = offered * blocked / (i + offered * blocked);
    double waits = blocked / (1 - load * (1 - blocked));
    return waits / (workers * (1 - load));
}

static double simulated_wait(uint32_t workers, double load, const brg_placement_policy *placement, sim_length length)
{
    sim_load it = {.seed = 11,
                   .count = 400000,
                   .arrival = SIM_OPEN,
                   .rate = load * workers * 1e9 / MS,
                   .length = length,
                   .mean_ns = MS};
    sim_setup setup = {.cores = workers + 1,
                       .options = {.placement = placement, .workers_max = workers, .no_spin = true}};
    measure(&it, &setup);
    return measures.wait_ns / MS;
}

static void waits_follow_erlang(void **state)
{
    (void)state;
    static const struct {
        uint32_t workers;
        double load;
    } cases[] = {{1, 0.5}, {1, 0.8}, {2, 0.7}, {4, 0.8}, {16, 0.9}, {64, 0.95}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        double wait = simulated_wait(cases[i].workers, cases[i].load, brg_placement_pull, SIM_EXPONENTIAL);
        double expected = erlang_wait(cases[i].workers, cases[i].load);
        assert_true(fabs(wait - expected) < 0.05 * expected);
    }
    /* M/D/1: half of what M/M/1 waits (Pollaczek, Khinchine). */
    double wait = simulated_wait(1, 0.8, brg_placement_pull, SIM_FIXED);
    assert_true(fabs(wait - 2) < 0.05 * 2);
    /* Random placement splits the stream: each worker is an M/M/1. */
    wait = simulated_wait(8, 0.8, brg_placement_random, SIM_EXPONENTIAL);
    assert_true(fabs(wait - 4) < 0.05 * 4);
}

static void better_placement_waits_less(void **state)
{
    (void)state;
    double random = simulated_wait(64, 0.9, brg_placement_random, SIM_EXPONENTIAL);
    double in_turn = simulated_wait(64, 0.9, brg_placement_round_robin, SIM_EXPONENTIAL);
    double two = simulated_wait(64, 0.9, brg_placement_two_choices, SIM_EXPONENTIAL);
    double least = simulated_wait(64, 0.9, brg_placement_least_busy, SIM_EXPONENTIAL);
    double stealing = simulated_wait(64, 0.9, brg_placement_stealing, SIM_EXPONENTIAL);
    double pull = simulated_wait(64, 0.9, brg_placement_pull, SIM_EXPONENTIAL);
    assert_true(random > 1.1 * in_turn && in_turn > 1.5 * two && two > 1.5 * least && least > 1.1 * pull);
    assert_true(fabs(stealing - pull) < 0.05 * pull + 0.002); /* work conserving both, in another order */
    /* Two choices at a large count: sum of load^(2^i - 1) over i, less what is served (Mitzenmacher 2001). */
    double in_system = 0;
    for (double power = 1, i = 1; i < 20; i++, power = pow(2, i) - 1)
        in_system += pow(0.9, power);
    assert_true(fabs(two - (in_system / 0.9 - 1)) < 0.1 * two);
}

/* ---- queues ------------------------------------------------------------------------------------------------------ */

static void deadlines_first_are_kept_more(void **state)
{
    (void)state;
    sim_load load = {.seed = 2,
                     .count = 50000,
                     .arrival = SIM_OPEN,
                     .rate = 0.9 * 4e9 / MS,
                     .length = SIM_EXPONENTIAL,
                     .mean_ns = MS,
                     .patience = 3};
    sim_setup setup = {.cores = 5, .options = {.queue = brg_queue_fifo, .workers_max = 4}};
    measure(&load, &setup);
    double fifo = measures.late;
    setup.options.queue = brg_queue_deadline;
    measure(&load, &setup);
    assert_true(fifo > 0.01 && measures.late < 0.8 * fifo);
}

static void shares_are_served(void **state)
{
    (void)state;
    sim_load load = {.seed = 2, .count = 40000, .mean_ns = 100000, .has_bands = true};
    sim_setup setup = {.cores = 17,
                       .options = {.queue = brg_queue_weighted, .shares = {40, 30, 20, 10}, .workers_max = 16}};
    measure(&load, &setup);
    /* A quarter of all each: when half ran, urgent ones had 40 % of it and so on. */
    for (int band = 0; band < BRG_BAND_COUNT; band++)
        assert_true(fabs(measures.band_early[band] - 0.1 * (4 - band)) < 0.01);
    setup.options.queue = brg_queue_priority;
    measure(&load, &setup);
    assert_true(measures.band_early[0] > 0.49 && measures.band_early[1] > 0.49 && measures.band_early[3] < 0.001);
}

/* Of the tasks whose key is not the first, that half of all have. */
static double wait_of_others(const sim_load *load, const sim_setup *setup)
{
    double sum = 0, count = 0;
    sim_run run = play(load, setup);
    for (uint32_t i = 0; i < run.count; i++) {
        if (run.records[i].key == 1)
            continue;
        sum += (double)(run.records[i].began_ns - run.records[i].came_ns);
        count++;
    }
    sim_run_done(&run);
    return sum / count;
}

static void keys_in_turn_spare_the_others(void **state)
{
    (void)state;
    sim_load load = {.seed = 2, .count = 20000, .mean_ns = 100000, .arrival = SIM_OPEN, .rate = 39000, .keys = 20};
    sim_setup setup = {.cores = 5, .options = {.queue = brg_queue_fair, .workers_max = 4}};
    load.length = SIM_EXPONENTIAL;
    double fair = wait_of_others(&load, &setup), all = measures.wait_ns;
    setup.options.queue = brg_queue_fifo;
    double fifo = wait_of_others(&load, &setup);
    assert_true(fair < 0.5 * fifo);
    assert_true(fabs(measures.wait_ns - all) < 0.1 * all); /* what one gains another pays */
}

/* ---- how many workers -------------------------------------------------------------------------------------------- */

static void scaling_grows_and_shrinks(void **state)
{
    (void)state;
    const brg_scaling_policy *all[] = {brg_scaling_backlog, brg_scaling_load, brg_scaling_adaptive};
    const sim_costs costs = some_costs();
    /* Tasks that mostly sleep: 2 cores could keep twenty workers going. */
    sim_load load = {.seed = 2, .count = 60000, .arrival = SIM_CHAINS, .chains = 200, .mean_ns = MS, .off_share = 0.9};
    sim_setup setup = {.costs = &costs, .cores = 2, .options = {.workers_max = 2}};
    measure(&load, &setup);
    double fixed = measures.rate;
    for (int i = 0; i < 3; i++) {
        setup.options = (brg_pool_options){.scaling = all[i], .workers_min = 2, .workers_max = 64};
        sim_run run = play(&load, &setup);
        check_times(&run, 64);
        sim_run_done(&run);
        assert_true(measures.rate > 4 * fixed);
        assert_true(insight.workers > 8 && insight.workers <= 64);
    }
    /* A trickle: they go again. */
    load = (sim_load){.seed = 2, .count = 5000, .arrival = SIM_OPEN, .rate = 500, .mean_ns = MS};
    setup.options = (brg_pool_options){
        .scaling = brg_scaling_backlog, .workers_min = 1, .workers_max = 64, .idle_timeout_ns = BRG_MILLISECONDS(200)};
    measure(&load, &setup);
    assert_true(insight.workers < 4 && insight.workers_last <= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(the_same_seed_is_the_same_course),
        cmocka_unit_test(cores_are_shared),
        cmocka_unit_test(a_lock_is_a_bound),
        cmocka_unit_test(crowds_come_to_an_end),
        cmocka_unit_test(waits_follow_erlang),
        cmocka_unit_test(better_placement_waits_less),
        cmocka_unit_test(deadlines_first_are_kept_more),
        cmocka_unit_test(shares_are_served),
        cmocka_unit_test(keys_in_turn_spare_the_others),
        cmocka_unit_test(scaling_grows_and_shrinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
