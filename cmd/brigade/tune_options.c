/* SPDX-License-Identifier: MIT */
/* The options of `brigade tune`, beside those of its pool. */
#include <string.h>

#include "tune.h"

#define TUNE_WORKERS_MOST 1024
#define TUNE_PER_CPU 4
#define TUNE_TO_LEAST 16

const cli_option tune_option_table[] = {
    {"", 0, CLI_NONE, NULL, "What is measured:"},
    {"input", 'i', CLI_REQUIRED, "JSON", "what the task gets; @FILE reads a file"},
    {"inputs", 0, CLI_REQUIRED, "FILE", "what the tasks get in turn: a line of JSON each; - is standard input"},
    {"from", 0, CLI_REQUIRED, "N", "the fewest workers; by default 1"},
    {"to", 0, CLI_REQUIRED, "N", "the most workers; by default 4 for each CPU, and at least 16"},
    {"round", 0, CLI_REQUIRED, "TIME", "how long a count is measured at a time; by default 200ms"},
    {"rounds", 0, CLI_REQUIRED, "N", "how often at most; by default 7"},
    {"tolerance", 0, CLI_REQUIRED, "PERCENT", "fewer workers win that do less by at most this; by default 2"},
    {"sweep", 0, CLI_NONE, NULL, "measure all counts equally often: slow, to compare"},
    {"", 0, CLI_NONE, NULL, "What is shown:"},
    {"plot", 0, CLI_NONE, NULL, "draw the plot also where standard output is no terminal"},
    {"no-plot", 0, CLI_NONE, NULL, "only the table"},
    {"svg", 0, CLI_REQUIRED, "FILE", "write the plot as a picture"},
    {"json", 0, CLI_NONE, NULL, "one JSON document on standard output, nothing else"},
    {"progress", 0, CLI_REQUIRED, "WHEN", "auto (default: on a terminal), always or never"},
    {"quiet", 0, CLI_NONE, NULL, "no progress"},
    {"help", 'h', CLI_NONE, NULL, "show this"},
    {NULL, 0, CLI_NONE, NULL, NULL},
};

static bool tune_flag(tune_options *options, const char *name)
{
    const cli_flag flags[] = {{"sweep", &options->sweep}, {"plot", &options->plot},   {"no-plot", &options->no_plot},
                              {"json", &options->json},   {"quiet", &options->quiet}, {NULL, NULL}};
    return cli_set_flag(flags, name);
}

bool tune_take_option(void *state, const cli_option *option, const char *argument)
{
    static const char *const whens[] = {"auto", "always", "never", NULL};
    tune_options *options = state;
    const char *name = option->name;
    int word = 0;
    if (tune_flag(options, name))
        return true;
    if (strcmp(name, "input") == 0)
        options->input = argument;
    else if (strcmp(name, "inputs") == 0)
        options->inputs = argument;
    else if (strcmp(name, "svg") == 0)
        options->svg = argument;
    else if (strcmp(name, "from") == 0)
        return cli_read_count("tune", name, argument, 1, TUNE_WORKERS_MOST, &options->from);
    else if (strcmp(name, "to") == 0)
        return cli_read_count("tune", name, argument, 1, TUNE_WORKERS_MOST, &options->to);
    else if (strcmp(name, "rounds") == 0)
        return cli_read_count("tune", name, argument, 1, SEARCH_ROUNDS_MAX, &options->rounds);
    else if (strcmp(name, "round") == 0)
        return cli_read_duration("tune", name, argument, &options->round_ns);
    else if (strcmp(name, "tolerance") == 0)
        return cli_read_number("tune", name, argument, 0, 50, &options->tolerance);
    else if (strcmp(name, "progress") == 0) {
        if (!cli_read_word("tune", name, argument, whens, &word))
            return false;
        options->progress = (tune_when)word;
    } else {
        return pool_take_option(&options->pool, "tune", option, argument);
    }
    return true;
}

static bool tune_check_pool(tune_options *options)
{
    pool_settings *pool = &options->pool;
    if (pool->workers_given)
        return cli_complain("tune", "--workers is what tune finds; give --from and --to instead");
    if (pool->scaling_given || pool->pool.workers_min != 0 || pool->pool.warm_spares != 0)
        return cli_complain("tune", "--scaling, --workers-min and --warm-spares would change the number of workers, "
                                    "which tune sets itself");
    if (pool->pool.admission == BRG_ADMISSION_DROP_OLDEST || pool->pool.admission == BRG_ADMISSION_DROP_NEWEST)
        return cli_complain("tune", "--admission drop-oldest and drop-newest lose tasks where the queue is full, and "
                                    "what is lost cannot be measured; without it tune waits for room");
    return pool_settings_check(pool, "tune");
}

bool tune_check_options(tune_options *options, int count, char **operands)
{
    if (count != 2)
        return cli_complain("tune",
                            count < 2 ? "which task? Give a module and the name of a task, as work spin"
                                      : "a module and one task, please: \"%s\" is one too many",
                            count < 2 ? "" : operands[2]);
    options->module = operands[0];
    options->task = operands[1];
    if (options->input != NULL && options->inputs != NULL)
        return cli_complain("tune", "--input and --inputs contradict each other");
    if (options->plot && options->no_plot)
        return cli_complain("tune", "--plot and --no-plot contradict each other");
    if (!tune_check_pool(options))
        return false;
    uint64_t most = (uint64_t)TUNE_PER_CPU * pool_settings_workers(&options->pool);
    if (options->to == 0) {
        options->to = most < TUNE_TO_LEAST ? TUNE_TO_LEAST : most > TUNE_WORKERS_MOST ? TUNE_WORKERS_MOST : most;
        if (options->to < options->from)
            options->to = options->from;
    }
    if (options->from > options->to)
        return cli_complain("tune", "--from %llu is above --to %llu", (unsigned long long)options->from,
                            (unsigned long long)options->to);
    return true;
}
