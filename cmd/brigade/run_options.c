/* SPDX-License-Identifier: MIT */
/* The options of `brigade run` itself; those of its pool are in pool_options.c. */
#include <string.h>

#include "run.h"

const cli_option run_option_table[] = {
    {"", 0, CLI_NONE, NULL, "Lines:"},
    {"ordered", 0, CLI_NONE, NULL, "results in the order of the lines; by default as they are completed"},
    {"with-line", 'n', CLI_NONE, NULL, "results as {\"line\":N,\"output\":...}"},
    {"raw-input", 'R', CLI_NONE, NULL, "each line is a string, not JSON"},
    {"raw-output", 'r', CLI_NONE, NULL, "a result that is a string is written as it is, without quotes"},
    {"typed", 0, CLI_NONE, NULL, "{\"$bytes\":...} and the like in the input become what they stand for"},
    {"null-output", 0, CLI_REQUIRED, "RULE", "tasks that return nothing: print null (default) or skip them"},
    {"key", 0, CLI_REQUIRED, "FIELD", "what sticky placement and fair queues go by, as user or user.id"},
    {"priority", 0, CLI_REQUIRED, "FIELD", "a field that is urgent, high, normal or low"},
    {"limit", 0, CLI_REQUIRED, "N", "at most so many lines"},
    {"line-max", 0, CLI_REQUIRED, "SIZE", "a longer line fails; by default 64M"},
    {"in-flight", 0, CLI_REQUIRED, "N", "lines given to the pool at once; by default 256 for each worker"},
    {"fail-fast", 0, CLI_NONE, NULL, "stop at the first line that fails"},
    {"errors-out", 0, CLI_REQUIRED, "FILE", "failed lines go there as JSON, with their input; - is standard output"},
    {"", 0, CLI_NONE, NULL, "What is shown:"},
    {"progress", 0, CLI_REQUIRED, "WHEN", "auto (default: on a terminal), always or never"},
    {"summary", 0, CLI_OPTIONAL, "FORMAT", "counts at the end, as text or json; by default text on a terminal"},
    {"quiet", 'q', CLI_NONE, NULL, "no progress and no summary, only failures"},
    {"help", 'h', CLI_NONE, NULL, "show this"},
    {NULL, 0, CLI_NONE, NULL, NULL},
};

static bool options_flag(run_options *options, const char *name)
{
    const cli_flag flags[] = {{"ordered", &options->ordered},     {"with-line", &options->with_line},
                              {"raw-input", &options->raw_input}, {"raw-output", &options->raw_output},
                              {"typed", &options->typed},         {"fail-fast", &options->fail_fast},
                              {"quiet", &options->quiet},         {NULL, NULL}};
    return cli_set_flag(flags, name);
}

/* A path of names between dots. */
static bool options_field(const char *option, const char *text, const char **out)
{
    size_t length = strlen(text);
    if (length == 0 || text[0] == '.' || text[length - 1] == '.' || strstr(text, "..") != NULL)
        return cli_complain("run", "--%s: \"%s\" names no field; write user, or user.id for one inside another", option,
                            text);
    *out = text;
    return true;
}

bool run_take_option(void *state, const cli_option *option, const char *argument)
{
    static const char *const whens[] = {"auto", "always", "never", NULL};
    static const char *const nulls[] = {"print", "skip", NULL};
    static const char *const formats[] = {"text", "json", NULL};
    run_options *options = state;
    const char *name = option->name;
    int word = 0;
    bool good = true;
    if (options_flag(options, name))
        return true;
    if (strcmp(name, "null-output") == 0) {
        good = cli_read_word("run", name, argument, nulls, &word);
        options->skip_null = word == 1;
    } else if (strcmp(name, "key") == 0) {
        good = options_field(name, argument, &options->key);
    } else if (strcmp(name, "priority") == 0) {
        good = options_field(name, argument, &options->priority);
    } else if (strcmp(name, "errors-out") == 0) {
        options->errors_out = argument;
    } else if (strcmp(name, "limit") == 0) {
        good = cli_read_count("run", name, argument, 1, UINT64_MAX, &options->limit);
    } else if (strcmp(name, "line-max") == 0) {
        good = cli_read_size("run", name, argument, &options->line_max);
    } else if (strcmp(name, "in-flight") == 0) {
        good = cli_read_count("run", name, argument, 1, 65536, &options->in_flight);
    } else if (strcmp(name, "progress") == 0) {
        good = cli_read_word("run", name, argument, whens, &word);
        options->progress = (run_when)word;
    } else if (strcmp(name, "summary") == 0) {
        good = argument == NULL || cli_read_word("run", name, argument, formats, &word);
        options->summary = word == 1 ? RUN_SUMMARY_JSON : RUN_SUMMARY_TEXT;
    } else {
        good = pool_take_option(&options->settings, "run", option, argument);
    }
    return good;
}

bool run_check_options(run_options *options)
{
    const brg_pool_options *pool = &options->settings.pool;
    if (!pool_settings_check(&options->settings, "run"))
        return false;
    if (options->raw_input && (options->key != NULL || options->priority != NULL || options->typed))
        return cli_complain("run", "--key, --priority and --typed look into JSON: they do not go with --raw-input");
    if (options->raw_output && options->with_line)
        return cli_complain("run", "--raw-output and --with-line contradict each other");
    if (options->key == NULL && (pool->queue == brg_queue_fair || pool->placement == brg_placement_sticky))
        return cli_complain("run", "a fair queue and sticky placement go by a key: give --key FIELD");
    if (options->priority == NULL && (pool->queue == brg_queue_priority || pool->queue == brg_queue_weighted))
        return cli_complain("run", "a priority or weighted queue goes by priorities: give --priority FIELD");
    if (options->priority != NULL && pool->queue != brg_queue_priority && pool->queue != brg_queue_weighted)
        return cli_complain("run", "--priority needs --queue priority or weighted");
    if (options->quiet && options->summary != RUN_SUMMARY_AUTO)
        return cli_complain("run", "--quiet and --summary contradict each other");
    if (options->line_max == 0)
        options->line_max = (uint64_t)64 << 20;
    if (options->line_max > (uint64_t)1 << 30)
        return cli_complain("run", "--line-max: at most 1G");
    return true;
}
