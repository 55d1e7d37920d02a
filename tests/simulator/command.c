/* SPDX-License-Identifier: MIT */
/* One load and one pool, by words. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "simulate.h"

typedef struct command_case {
    sim_setup setup;
    sim_load load;
    sim_costs costs;
    const char *costs_file; /* "none": nothing costs anything */
} command_case;

/* A list of names, whose place in it is the value. */
static uint32_t command_choice(const char *names, const char *value)
{
    uint32_t index = 0;
    for (const char *at = names; *at != '\0'; index++) {
        size_t length = strcspn(at, " ");
        if (strlen(value) == length && strncmp(at, value, length) == 0)
            return index;
        at += length + (at[length] == ' ');
    }
    bench_fail("\"%s\" is none of: %s", value, names);
}

static void command_policy(command_case *self, const char *key, const char *value)
{
    brg_pool_options *options = &self->setup.options;
    const brg_queue_policy *queues[] = {brg_queue_fifo,     brg_queue_lifo,     brg_queue_priority,
                                        brg_queue_weighted, brg_queue_deadline, brg_queue_fair};
    const brg_placement_policy *placements[] = {
        brg_placement_pull,        brg_placement_round_robin, brg_placement_least_busy, brg_placement_random,
        brg_placement_two_choices, brg_placement_sticky,      brg_placement_stealing};
    const brg_scaling_policy *scalings[] = {brg_scaling_fixed, brg_scaling_backlog, brg_scaling_load,
                                            brg_scaling_adaptive};
    if (strcmp(key, "queue") == 0)
        options->queue = queues[command_choice("fifo lifo priority weighted deadline fair", value)];
    else if (strcmp(key, "placement") == 0)
        options->placement =
            placements[command_choice("pull round_robin least_busy random two_choices sticky stealing", value)];
    else if (strcmp(key, "scaling") == 0)
        options->scaling = scalings[command_choice("fixed backlog load adaptive", value)];
    else if (strcmp(key, "arrival") == 0)
        self->load.arrival = (sim_arrival)command_choice("burst open chains", value);
    else if (strcmp(key, "length") == 0)
        self->load.length = (sim_length)command_choice("fixed exponential bimodal pareto", value);
    else if (strcmp(key, "costs") == 0)
        self->costs_file = value;
    else
        bench_fail("no key is called %s", key);
}

static void command_word(command_case *self, char *word)
{
    char *value = strchr(word, '=');
    if (value == NULL)
        bench_fail("\"%s\" is no key=value", word);
    *value++ = '\0';
    const struct {
        const char *key;
        uint32_t *number;
        double *real;
    } fields[] = {{"workers", &self->setup.options.workers_max, NULL},
                  {"workers_min", &self->setup.options.workers_min, NULL},
                  {"queue_max", &self->setup.options.queue_max, NULL},
                  {"cores", &self->setup.cores, NULL},
                  {"tasks", &self->load.count, NULL},
                  {"chains", &self->load.chains, NULL},
                  {"keys", &self->load.keys, NULL},
                  {"rate", NULL, &self->load.rate},
                  {"mean_us", NULL, &self->load.mean_ns},
                  {"asleep", NULL, &self->load.off_share},
                  {"patience", NULL, &self->load.patience}};
    if (strcmp(word, "seed") == 0) {
        self->load.seed = self->setup.options.seed = strtoull(value, NULL, 10);
        return;
    }
    if (strcmp(word, "bands") == 0) {
        self->load.has_bands = strcmp(value, "0") != 0;
        return;
    }
    for (size_t i = 0; i < brg__count_of(fields); i++) {
        if (strcmp(fields[i].key, word) != 0)
            continue;
        if (fields[i].number != NULL)
            *fields[i].number = (uint32_t)strtoul(value, NULL, 10);
        else
            *fields[i].real = strtod(value, NULL);
        return;
    }
    command_policy(self, word, value);
}

static void command_print(const sim_measures *one, const sim_insight *insight)
{
    bench_print("rate", one->rate);
    bench_print("seconds", one->seconds);
    bench_print("makespan", one->makespan);
    bench_print("busy", one->busy);
    bench_print("wait-us", one->wait_ns / 1e3);
    bench_print("wait-p50-us", one->wait_50_ns / 1e3);
    bench_print("wait-p99-us", one->wait_99_ns / 1e3);
    bench_print("wait-p999-us", one->wait_999_ns / 1e3);
    for (int band = 0; band < BRG_BAND_COUNT; band++)
        printf("band-%d-wait-us %.6g\nband-%d-early %.6g\n", band, one->band_wait_ns[band] / 1e3, band,
               one->band_early[band]);
    bench_print("fairness", one->fairness);
    bench_print("late", one->late);
    bench_print("queue-peak", (double)insight->queue_peak);
    bench_print("lock-busy", insight->lock_busy);
    bench_print("lock-wait-ns", insight->lock_wait_ns);
    bench_print("cores-busy", insight->cores_busy);
    bench_print("workers", insight->workers);
    bench_print("stolen", (double)insight->stolen);
    bench_print("events", (double)insight->events);
}

void sim_load_command(int argc, char **argv)
{
    command_case self = {.costs_file = SIMULATOR_COSTS_FILE};
    sim_insight insight;
    self.load = (sim_load){.seed = 1, .count = 100000, .chains = 16, .rate = 1000, .mean_ns = 10};
    self.setup.options = (brg_pool_options){.workers_max = 2};
    for (int i = 0; i < argc; i++)
        command_word(&self, argv[i]);
    self.load.mean_ns *= 1e3;
    if (self.setup.cores == 0)
        self.setup.cores = self.setup.options.workers_max + 1;
    if (strcmp(self.costs_file, "none") != 0) {
        if (!sim_costs_read(&self.costs, self.costs_file))
            exit(EXIT_FAILURE);
        self.setup.costs = &self.costs;
    }
    sim_measures one = sim_simulate(&self.setup, &self.load, &insight);
    command_print(&one, &insight);
}
