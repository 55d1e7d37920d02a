/* SPDX-License-Identifier: MIT */
#include "traffic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pool/placement.h"

#define LOAD_PARETO_SHAPE 1.5
#define LOAD_PARETO_MOST 1000
#define LOAD_LONG_SHARE 0.1
#define LOAD_LONG_TIMES 100.0

/* ---- made -------------------------------------------------------------------------------------------------------- */

/* In (0, 1]. */
static double load_random(uint64_t *random)
{
    return ((double)(brg__random_next(random) >> 11) + 1) / 9007199254740992.0;
}

static double load_length(const sim_load *load, uint64_t *random)
{
    double mean = load->mean_ns;
    switch (load->length) {
    case SIM_EXPONENTIAL:
        return -mean * log(load_random(random));
    case SIM_BIMODAL: {
        double shortest = mean / (1 - LOAD_LONG_SHARE + LOAD_LONG_SHARE * LOAD_LONG_TIMES);
        return load_random(random) <= LOAD_LONG_SHARE ? shortest * LOAD_LONG_TIMES : shortest;
    }
    case SIM_PARETO: {
        double least = mean * (LOAD_PARETO_SHAPE - 1) / LOAD_PARETO_SHAPE;
        return fmin(least * pow(load_random(random), -1 / LOAD_PARETO_SHAPE), mean * LOAD_PARETO_MOST);
    }
    default:
        return mean;
    }
}

bool sim_run_make(sim_run *run, const sim_load *load)
{
    /* Each its own, so that changing one leaves the others; and none the pool's, whose choices would follow lengths. */
    uint64_t lengths = brg__random_mix(load->seed + 1), gaps = brg__random_mix(~load->seed);
    uint64_t rest = brg__random_mix(load->seed ^ (UINT64_C(1) << 63));
    double at = 0;
    *run = (sim_run){calloc(load->count, sizeof(sim_record)), load->count};
    if (run->records == NULL)
        return false;
    for (uint32_t i = 0; i < load->count; i++) {
        sim_record *record = &run->records[i];
        double length = load_length(load, &lengths);
        if (load->arrival == SIM_OPEN)
            at -= log(load_random(&gaps)) * 1e9 / load->rate;
        record->wanted_ns = (uint64_t)at;
        record->off_ns = length * load->off_share;
        record->work_ns = length - record->off_ns;
        record->due_ns = load->patience == 0 ? UINT64_MAX : (uint64_t)(load->patience * (length + load->mean_ns));
        record->band = load->has_bands ? (uint8_t)brg__random_below(&rest, BRG_BAND_COUNT) : 2;
        if (load->keys != 0)
            record->key = load_random(&rest) <= 0.5 ? 1 : 1 + brg__random_below(&rest, load->keys);
    }
    return true;
}

void sim_run_done(sim_run *run)
{
    free(run->records);
    run->records = NULL;
}

/* ---- measured ---------------------------------------------------------------------------------------------------- */

static double record_wait(const sim_record *record) { return (double)(record->began_ns - record->came_ns); }

static int measure_compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double measure_at(const double *sorted, uint32_t count, double part)
{
    return sorted[(uint32_t)fmin((double)count * part, (double)count - 1)];
}

/* Work in order of start: what each band got while all still had some. */
static void measure_bands(sim_measures *out, const sim_run *run, double *begins)
{
    uint64_t counts[BRG_BAND_COUNT] = {0}, early[BRG_BAND_COUNT] = {0};
    for (uint32_t i = 0; i < run->count; i++)
        begins[i] = (double)run->records[i].began_ns;
    qsort(begins, run->count, sizeof(*begins), measure_compare);
    double half = begins[run->count / 2];
    for (uint32_t i = 0; i < run->count; i++) {
        const sim_record *record = &run->records[i];
        counts[record->band]++;
        early[record->band] += (double)record->began_ns < half;
        out->band_wait_ns[record->band] += record_wait(record);
    }
    for (int b = 0; b < BRG_BAND_COUNT; b++) {
        out->band_wait_ns[b] /= counts[b] == 0 ? 1 : (double)counts[b];
        out->band_early[b] = (double)early[b] / fmax(1, (double)(run->count / 2));
    }
}

/* Jain, Chiu, Hawe: A quantitative measure of fairness, 1984; over what a key's tasks wait on average. */
static double measure_fairness(const sim_run *run)
{
    uint64_t most = 0;
    double sum = 0, squares = 0, keys = 0;
    for (uint32_t i = 0; i < run->count; i++)
        most = run->records[i].key > most ? run->records[i].key : most;
    double *waits = calloc(2 * (most + 1), sizeof(double));
    if (waits == NULL || most == 0) {
        free(waits);
        return 1;
    }
    for (uint32_t i = 0; i < run->count; i++) {
        waits[2 * run->records[i].key] += record_wait(&run->records[i]);
        waits[2 * run->records[i].key + 1]++;
    }
    for (uint64_t key = 1; key <= most; key++) {
        if (waits[2 * key + 1] == 0)
            continue;
        double mean = waits[2 * key] / waits[2 * key + 1];
        sum += mean;
        squares += mean * mean;
        keys++;
    }
    free(waits);
    return squares == 0 ? 1 : sum * sum / (keys * squares);
}

bool sim_measure(sim_measures *out, const sim_run *run, uint32_t cores, uint32_t workers)
{
    double *waits = malloc(run->count * sizeof(double)), work = 0, all = 0, end = 1, late = 0;
    if (waits == NULL)
        return false;
    *out = (sim_measures){.seconds = 0};
    for (uint32_t i = 0; i < run->count; i++) {
        const sim_record *record = &run->records[i];
        work += record->work_ns;
        all += record->work_ns + record->off_ns;
        end = fmax(end, (double)record->ended_ns);
        waits[i] = record_wait(record);
        out->wait_ns += waits[i] / run->count;
        out->stay_ns += (double)(record->ended_ns - record->came_ns) / run->count;
        late += record->due_ns != UINT64_MAX && record->ended_ns - record->came_ns > record->due_ns;
    }
    qsort(waits, run->count, sizeof(*waits), measure_compare);
    out->wait_50_ns = measure_at(waits, run->count, 0.5);
    out->wait_99_ns = measure_at(waits, run->count, 0.99);
    out->wait_999_ns = measure_at(waits, run->count, 0.999);
    measure_bands(out, run, waits);
    free(waits);
    double ideal = fmax(work / (cores < workers ? cores : workers), all / workers);
    out->seconds = end / 1e9;
    out->rate = run->count / out->seconds;
    out->makespan = ideal == 0 ? 0 : end / ideal;
    out->busy = all / end / workers;
    out->late = late / run->count;
    out->fairness = measure_fairness(run);
    return true;
}
