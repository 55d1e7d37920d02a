/* SPDX-License-Identifier: MIT */
/* Which task comes when: drawn once, from the seed, so that every choice of policies gets the same. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define LOAD_SECONDS 1.0 /* of work, unless it is said how many */
#define LOAD_TASKS_LEAST 200
#define LOAD_TASKS_MOST 500000
#define LOAD_KEYS 64

/* splitmix64 (Steele, Lea, Flood, 2014), as a number from 0 to 1, without 1. */
static double load_random(uint64_t *state)
{
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((value ^ (value >> 31)) >> 11) * 0x1p-53;
}

static uint32_t load_pick_class(const bench_options *options, uint64_t *state)
{
    double place = load_random(state);
    uint32_t index = 0;
    while (index + 1 < options->class_count && place >= options->classes[index].share)
        place -= options->classes[index++].share;
    return index;
}

/* Tasks that compute cannot use more workers than there are CPUs. */
static double load_capacity(const bench_load *self, const bench_options *options)
{
    pool_settings whole = {.pool = {.workers_max = 0}};
    double cpus = pool_settings_workers(&whole), workers = self->workers;
    double share = strcmp(options->task, "spin") == 0 ? 1 : strcmp(options->task, "mix") == 0 ? 0.5 : 0;
    return share * workers > cpus ? cpus / share : workers;
}

static void load_draw(bench_load *self, const bench_options *options, double capacity, double mean_ns)
{
    uint64_t state = options->pool.pool.seed, end = 0;
    double now = 0;
    for (size_t i = 0; i < self->count; i++) {
        bench_item *item = &self->items[i];
        item->class_index = load_pick_class(options, &state);
        item->key = 1 + (uint64_t)(load_random(&state) * LOAD_KEYS);
        /* Poisson arrivals: gaps that remember nothing. */
        double gap = -log(1 - load_random(&state)) * mean_ns / (capacity * options->load);
        item->arrival_ns = options->at_once ? 0 : (uint64_t)now;
        now += gap;
        uint64_t length = options->classes[item->class_index].length_ns;
        self->work_ns += (double)length;
        end = item->arrival_ns + length > end ? item->arrival_ns + length : end;
    }
    double busy = self->work_ns / capacity;
    self->ideal_ns = busy > (double)end ? (uint64_t)busy : end;
}

bool bench_load_init(bench_load *self, bench_options *options)
{
    double mean = 0;
    brg_error error;
    *self = (bench_load){.workers = pool_settings_workers(&options->pool)};
    for (size_t i = 0; i < options->class_count; i++)
        mean += options->classes[i].share * (double)options->classes[i].length_ns;
    double capacity = load_capacity(self, options), count = LOAD_SECONDS * 1e9 * capacity * options->load / mean;
    if (options->tasks == 0)
        options->tasks = count < LOAD_TASKS_LEAST  ? LOAD_TASKS_LEAST
                         : count > LOAD_TASKS_MOST ? LOAD_TASKS_MOST
                                                   : (uint64_t)count;
    self->count = (size_t)options->tasks;
    self->items = calloc(self->count, sizeof(*self->items));
    if (self->items == NULL)
        return cli_complain("bench", "out of memory for %zu tasks", self->count);
    for (size_t i = 0; i < options->class_count; i++)
        if (brg_value_map(&self->inputs[i], &error, brg_field_int("ns", (int64_t)options->classes[i].length_ns)) !=
            BRG_OK)
            return cli_complain("bench", "%s", error.message);
    load_draw(self, options, capacity, mean);
    return true;
}

void bench_load_done(bench_load *self)
{
    for (size_t i = 0; i < BENCH_CLASSES_MAX; i++)
        brg_value_unref(self->inputs[i]);
    free(self->items);
    *self = (bench_load){.items = NULL};
}
