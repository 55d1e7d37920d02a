/* SPDX-License-Identifier: MIT */
/*
 * A pool as the command line describes it: what `brigade run` and the commands that measure take alike. A command puts
 * pool_option_table into its cli_command as `shared` and hands what it does not know itself to pool_take_option:
 *
 *     pool_settings settings;
 *     pool_settings_init(&settings);
 *     ... cli_parse; its take calls pool_take_option(&settings, "run", option, argument) ...
 *     if (!pool_settings_check(&settings, "run"))
 *         return CLI_USAGE;
 *     settings.pool.loop = loop, settings.pool.module = path;
 *     brg_pool_create(&pool, &settings.pool, &error);
 */
#ifndef BRIGADE_POOL_OPTIONS_H
#define BRIGADE_POOL_OPTIONS_H

#include <brigade.h>

#include "cli.h"

typedef struct pool_settings {
    brg_pool_options pool;     /* zero where nothing was said, but for isolation, which is process */
    brg_submit_options submit; /* of every task: deadline_ns */
    brg_value *init;           /* --init, owned here: pass brg_value_ref of it as init_data */
    brg_value *config;         /* --config, likewise: for brg_pool_configure */
    bool admission_given;      /* --admission was there: else the command waits by itself */
    bool queue_given, placement_given, scaling_given, workers_given; /* for commands that try several */
    uint64_t retries;
} pool_settings;

extern const cli_option pool_option_table[];

void pool_settings_init(pool_settings *settings);
void pool_settings_done(pool_settings *settings);

/* True after it took the option; false after it printed an error, also for an option that is not in the table. */
bool pool_take_option(pool_settings *settings, const char *command, const cli_option *option, const char *argument);

/* What only shows when all options are there, and what follows from others; false after it printed an error. */
bool pool_settings_check(pool_settings *settings, const char *command);

/* How many workers these settings mean: workers_max, or the CPUs there are. */
uint32_t pool_settings_workers(const pool_settings *settings);

/* JSON text of an option; "@FILE" reads the file. False after it printed an error. */
bool pool_read_json(const char *command, const char *option, const char *text, brg_value **out);

/* The policies by their names on the command line, each list in the order of its help; NULL ends it. */
extern const char *const pool_queue_names[], *const pool_placement_names[], *const pool_scaling_names[];
/* NULL for a name that is not among them. "round_robin" is as good as "round-robin". */
const brg_queue_policy *pool_find_queue(const char *name);
const brg_placement_policy *pool_find_placement(const char *name);
const brg_scaling_policy *pool_find_scaling(const char *name);

#endif
